"""The compiled loops of the street network: nearest piece of street, and shortest ways with a bound.

A segment ``s`` is two half-edges: ``2 s`` leaves its first node and arrives at its last, ``2 s + 1`` goes back. ``first`` and ``leaving`` hold, node by
node, the half-edges that leave it. A place on the network is a segment and a fraction along it. A search stops at ``radius``; its heap is the plain
binary one (J. W. J. Williams, "Algorithm 232: Heapsort", CACM 7, 1964), entries that were overtaken are skipped when they come up (E. W. Dijkstra, "A
note on two problems in connexion with graphs", Numerische Mathematik 1, 1959, 269-271).
"""

from __future__ import annotations

import math
from typing import Any

from workbench.engines.kernels import kernel, part


@part
def _push(keys: Any, items: Any, size: Any, key: Any, item: Any) -> Any:
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if keys[up] < key or (keys[up] == key and items[up] <= item):
            break
        keys[at] = keys[up]
        items[at] = items[up]
        at = up
    keys[at] = key
    items[at] = item
    return size + 1


@part
def _pop(keys: Any, items: Any, size: Any) -> Any:
    """Take the least away (it is read at 0 before); what comes back is the size left."""
    size -= 1
    key = keys[size]
    item = items[size]
    at = 0
    while True:
        down = 2 * at + 1
        if down >= size:
            break
        if down + 1 < size and (keys[down + 1] < keys[down] or (keys[down + 1] == keys[down] and items[down + 1] < items[down])):
            down += 1
        if key < keys[down] or (key == keys[down] and item <= items[down]):
            break
        keys[at] = keys[down]
        items[at] = items[down]
        at = down
    keys[at] = key
    items[at] = item
    return size


@part
def _search(segment: Any, at: Any, head: Any, first: Any, leaving: Any, cost: Any, way: Any, radius: Any, far: Any, touched: Any, keys: Any, items: Any) -> Any:
    """Cost of every node within ``radius`` of a place, into ``far`` (infinite before); how many were touched."""
    n = 0
    size = 0
    for back in range(2):
        h = 2 * segment + back
        d = cost[segment] * (at if back == 1 else 1.0 - at)
        if way[h] != 0 and d <= radius and d < far[head[h]]:
            if far[head[h]] == math.inf:
                touched[n] = head[h]
                n += 1
            far[head[h]] = d
            size = _push(keys, items, size, d, head[h])
    while size > 0:
        d = keys[0]
        node = items[0]
        size = _pop(keys, items, size)
        if d > far[node]:
            continue
        for k in range(first[node], first[node + 1]):
            h = leaving[k]
            if way[h] == 0:
                continue
            other = head[h]
            new = d + cost[h >> 1]
            if new <= radius and new < far[other]:
                if far[other] == math.inf:
                    touched[n] = other
                    n += 1
                far[other] = new
                size = _push(keys, items, size, new, other)
    return n


@part
def _onto(s: Any, t: Any, segment: Any, at: Any, head: Any, cost: Any, way: Any, far: Any) -> Any:
    """Cost from the searched place (segment, at) to the place (s, t)."""
    d = math.inf
    if way[2 * s] != 0:
        d = far[head[2 * s + 1]] + t * cost[s]
    if way[2 * s + 1] != 0:
        d = min(d, far[head[2 * s]] + (1.0 - t) * cost[s])
    if s == segment:
        if t >= at and way[2 * s] != 0:
            d = min(d, (t - at) * cost[s])
        if t <= at and way[2 * s + 1] != 0:
            d = min(d, (at - t) * cost[s])
    return d


@kernel("i8[:], f8[:], i8, i8, i8, i8[:], i8[:], f8[:], i8[:], i8[:], i8[:], f8[:], u1[:], f8, f8[:], i8[:], f8[:], i8[:], i8[:], i8[:], i8[:], f8[:], "
    "i8[:] -> i8")
def between(segment: Any, at: Any, start: Any, stop: Any, later: Any, by_segment: Any, target: Any, target_at: Any, head: Any, first: Any, leaving: Any,
            cost: Any, way: Any, radius: Any, far: Any, touched: Any, keys: Any, items: Any, seen: Any, out_i: Any, out_j: Any, out_d: Any,
            used: Any) -> Any:
    """Targets within ``radius`` of the places ``start`` to ``stop``, by place and then as met; stops before a place whose targets do not fit.

    ``by_segment`` and ``target``: the numbers of the targets on each segment. ``later``: only targets of a higher number than the place's own.
    ``used[0]`` counts what was written, ``used[1]`` what the place that did not fit needs. Comes back: the first place not done.
    """
    room = len(out_i)
    n = 0
    for i in range(start, stop):
        if segment[i] < 0:
            continue
        before = n
        need = 0
        many = _search(segment[i], at[i], head, first, leaving, cost, way, radius, far, touched, keys, items)
        for q in range(-1, many):
            low = first[touched[q]] if q >= 0 else 0
            high = first[touched[q] + 1] if q >= 0 else 1
            for k in range(low, high):
                s = leaving[k] >> 1 if q >= 0 else segment[i]
                if seen[s] == i + 1:
                    continue
                seen[s] = i + 1
                for p in range(by_segment[s], by_segment[s + 1]):
                    j = target[p]
                    if later != 0 and j <= i:
                        continue
                    d = _onto(s, target_at[j], segment[i], at[i], head, cost, way, far)
                    if d <= radius:
                        if n < room:
                            out_i[n] = i
                            out_j[n] = j
                            out_d[n] = d
                            n += 1
                        need += 1
        for q in range(many):
            far[touched[q]] = math.inf
        if need > n - before:
            for s in range(len(seen)):
                seen[s] = 0
            used[0] = before
            used[1] = need
            return i
    used[0] = n
    used[1] = 0
    return stop


@kernel("i8[:], f8[:], i8, i8, i8[:], i8[:], i8[:], f8[:], u1[:], f8, f8[:], i8[:], f8[:], i8[:], i8[:], i8[:], f8[:], i8[:] -> i8")
def nodes_within(segment: Any, at: Any, start: Any, stop: Any, head: Any, first: Any, leaving: Any, cost: Any, way: Any, radius: Any, far: Any, touched: Any,
                 keys: Any, items: Any, out_i: Any, out_j: Any, out_d: Any, used: Any) -> Any:
    """Nodes within ``radius`` of the places ``start`` to ``stop``, otherwise as ``between``."""
    n = 0
    for i in range(start, stop):
        if segment[i] < 0:
            continue
        many = _search(segment[i], at[i], head, first, leaving, cost, way, radius, far, touched, keys, items)
        fits = n + many <= len(out_i)
        for q in range(many):
            node = touched[q]
            if fits:
                out_i[n] = i
                out_j[n] = node
                out_d[n] = far[node]
                n += 1
            far[node] = math.inf
        if not fits:
            used[0] = n
            used[1] = many
            return i
    used[0] = n
    used[1] = 0
    return stop


@part
def _apart(px: Any, py: Any, ax: Any, ay: Any, bx: Any, by: Any) -> Any:
    """How far along a straight piece its point nearest to (px, py) lies, 0 to 1."""
    dx = bx - ax
    dy = by - ay
    long = dx * dx + dy * dy
    if long <= 0.0:
        return 0.0
    return min(1.0, max(0.0, ((px - ax) * dx + (py - ay) * dy) / long))


@kernel("f8[:], f8[:], f8[:], f8[:], f8, f8, f8, i8, i8, i8, i8[:], i8[:] -> i8")
def into_buckets(ax: Any, ay: Any, bx: Any, by: Any, x0: Any, y0: Any, side: Any, nx: Any, ny: Any, fill: Any, ends: Any, pieces: Any) -> Any:
    """Which pieces cross which bucket: first counted into ``ends[bucket]``, then (``fill``; ``ends`` the running sums) written from behind."""
    for p in range(len(ax) - 1, -1, -1):
        c0 = int(math.floor((min(ax[p], bx[p]) - x0) / side))
        c1 = int(math.floor((max(ax[p], bx[p]) - x0) / side))
        r0 = int(math.floor((min(ay[p], by[p]) - y0) / side))
        r1 = int(math.floor((max(ay[p], by[p]) - y0) / side))
        for r in range(max(r0, 0), min(r1, ny - 1) + 1):
            for c in range(max(c0, 0), min(c1, nx - 1) + 1):
                mx = x0 + (c + 0.5) * side
                my = y0 + (r + 0.5) * side
                t = _apart(mx, my, ax[p], ay[p], bx[p], by[p])
                if math.hypot(ax[p] + t * (bx[p] - ax[p]) - mx, ay[p] + t * (by[p] - ay[p]) - my) > 0.7072 * side:
                    continue
                b = r * nx + c
                if fill != 0:
                    ends[b] -= 1
                    pieces[ends[b]] = p
                else:
                    ends[b] += 1
    return 0


@kernel("f8[:], f8[:], i8, i8, f8, f8[:], f8[:], f8[:], f8[:], f8, f8, f8, i8, i8, i8[:], i8[:], i8[:], f8[:], f8[:] -> i8")
def nearest(px: Any, py: Any, start: Any, stop: Any, limit: Any, ax: Any, ay: Any, bx: Any, by: Any, x0: Any, y0: Any, side: Any, nx: Any, ny: Any,
            begins: Any, pieces: Any, out_piece: Any, out_at: Any, out_far: Any) -> Any:
    """The piece nearest to each point within ``limit`` (-1: none), how far along it, and how far off; ring by ring of buckets; ties: the lower number."""
    for i in range(start, stop):
        best = math.inf
        found = -1
        where = 0.0
        if math.isfinite(px[i]) and math.isfinite(py[i]):
            u = math.floor((px[i] - x0) / side)
            v = math.floor((py[i] - y0) / side)
            reach = int(math.ceil(limit / side))
            if u + reach >= 0 and v + reach >= 0 and u - reach < nx and v - reach < ny:
                c = int(u)
                r = int(v)
                for ring in range(reach + 1):
                    if best < (ring - 1) * side:
                        break
                    for row in range(max(r - ring, 0), min(r + ring, ny - 1) + 1):
                        whole = row == r - ring or row == r + ring
                        step = 1 if whole or ring == 0 else 2 * ring
                        for column in range(c - ring, c + ring + 1, step):
                            if column < 0 or column >= nx:
                                continue
                            b = row * nx + column
                            for k in range(begins[b], begins[b + 1]):
                                p = pieces[k]
                                t = _apart(px[i], py[i], ax[p], ay[p], bx[p], by[p])
                                d = math.hypot(ax[p] + t * (bx[p] - ax[p]) - px[i], ay[p] + t * (by[p] - ay[p]) - py[i])
                                if d < best or (d == best and p < found):
                                    best = d
                                    found = p
                                    where = t
        if best > limit:
            found = -1
        out_piece[i] = found
        out_at[i] = where
        out_far[i] = best
    return 0


@kernel("f8[:], f8[:], i8[:], f8, i8[:] -> i8")
def merge(x: Any, y: Any, order: Any, within: Any, root: Any) -> Any:
    """Points that lie within a distance of each other, also over others, get the same root (the lowest number); ``order`` sorts by x. How many roots."""
    n = len(x)
    for a in range(n):
        i = order[a]
        b = a + 1
        while b < n and x[order[b]] - x[i] <= within:
            j = order[b]
            b += 1
            if abs(y[j] - y[i]) <= within and math.hypot(x[j] - x[i], y[j] - y[i]) <= within:
                u = i
                while root[u] != u:
                    root[u] = root[root[u]]
                    u = root[u]
                v = j
                while root[v] != v:
                    root[v] = root[root[v]]
                    v = root[v]
                if u < v:
                    root[v] = u
                elif v < u:
                    root[u] = v
    count = 0
    for i in range(n):
        u = i
        while root[u] != u:
            u = root[u]
        root[i] = u
        if u == i:
            count += 1
    return count

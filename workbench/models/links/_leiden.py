"""Communities by the Leiden method on arrays: local moving, refinement that keeps communities well connected, aggregation.

V. A. Traag, L. Waltman and N. J. van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific Reports 9, 2019, 5233,
doi:10.1038/s41598-019-41695-z. In the refinement a thing joins the best well-connected part instead of one drawn by chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import kernel

_LEVELS = 60


def partition(first: Any, others: Any, weight: Any, *, resolution: float, seed: int, rounds: int) -> tuple[Any, float]:
    """Community of each thing (i4, 0 = the largest) and the modularity.

    Args:
        first, others: neighbours, see ``Network``. weight: f8, one a neighbour entry.
        rounds: passes of the whole method, each beginning from what the last found; fewer where nothing gets better.
    """
    n = len(first) - 1
    rng = np.random.default_rng(seed)
    strength = np.zeros(n)
    _strengths(first, weight, strength)
    twice = float(strength.sum())
    best = np.arange(n, dtype=np.int32)
    if not twice:
        return best, 0.0
    quality = -1.0
    for _ in range(rounds):
        made = _once(first, others, weight, strength, best.copy(), resolution, twice, rng)
        value = modularity(first, others, weight, made, resolution)
        if value <= quality + 1e-12:
            break
        best, quality = made, value
    return by_size(best), quality


def by_size(community: Any) -> Any:
    """Numbered anew, the largest first, among equals the one with the first thing."""
    _, start, back, many = np.unique(community, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((start, -many))
    new = np.empty(len(order), dtype=np.int32)
    new[order] = np.arange(len(order))
    return new[back.ravel()]


def modularity(first: Any, others: Any, weight: Any, community: Any, resolution: float = 1.0) -> float:
    """Newman's modularity of a partition (i4, shape (n,)); 0 for no edge. O(m)."""
    n = len(first) - 1
    many = int(community.max()) + 1 if n else 0
    inside, total = np.zeros(many), np.zeros(many)
    _inside(first, others, weight, community, inside, total)
    twice = float(total.sum())
    return float(inside.sum() / twice - resolution * np.sum((total / twice) ** 2)) if twice else 0.0


def _once(first: Any, others: Any, weight: Any, strength: Any, community: Any, resolution: float, twice: float, rng: Any) -> Any:
    """One pass of the method over all levels, from a given partition."""
    whole = np.arange(len(community), dtype=np.int32)  # node of the present level that each thing is in
    for _ in range(_LEVELS):
        n = len(community)
        total, many = np.zeros(n), np.zeros(n, dtype=np.int64)
        order = rng.permutation(n).astype(np.int32)
        sums, seen = np.zeros(n), np.empty(n, dtype=np.int32)
        _move(first, others, weight, strength, community, total, many, order, np.ones(n, dtype=np.uint8), sums, seen, np.empty(n, dtype=np.int32),
              resolution / twice)
        _, community = np.unique(community, return_inverse=True)
        community = community.astype(np.int32).ravel()
        found = int(community.max()) + 1
        if found == n:
            break
        part = np.arange(n, dtype=np.int32)
        groups = np.bincount(community, weights=strength, minlength=found)
        _refine(first, others, weight, strength, community, groups, part, strength.copy(), np.zeros(n), np.zeros(n), np.ones(n, dtype=np.int64),
                rng.permutation(n).astype(np.int32), sums, seen, resolution / twice)
        _, part = np.unique(part, return_inverse=True)
        part = part.astype(np.int32).ravel()
        parts = int(part.max()) + 1
        if parts == n:  # nothing joins within communities: take them as they are
            part, parts = community, found
        members = np.argsort(part, kind="stable").astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(part, minlength=parts))]).astype(np.int64)
        upper = np.zeros(parts + 1, dtype=np.int64)
        nothing, none = np.zeros(0, dtype=np.int32), np.zeros(0)
        sums[:parts] = 0.0
        _join(first, others, weight, part, members, starts, sums, seen, upper, nothing, none, 0)
        np.cumsum(upper, out=upper)
        joined, joint = np.empty(upper[-1], dtype=np.int32), np.empty(upper[-1])
        _join(first, others, weight, part, members, starts, sums, seen, upper, joined, joint, 1)
        next_community = np.empty(parts, dtype=np.int32)
        next_community[part] = community
        strength = np.bincount(part, weights=strength, minlength=parts)
        whole, first, others, weight, community = part[whole], upper, joined, joint, next_community
    return community[whole]


@kernel("i8[:], f8[:], f8[:]")
def _strengths(first, weight, out):  # type: ignore[no-untyped-def]
    for v in range(len(out)):
        s = 0.0
        for h in range(first[v], first[v + 1]):
            s += weight[h]
        out[v] = s


@kernel("i8[:], i4[:], f8[:], i4[:], f8[:], f8[:]")
def _inside(first, others, weight, community, inside, total):  # type: ignore[no-untyped-def]
    """Weight within and of each community."""
    for v in range(len(first) - 1):
        c = community[v]
        for h in range(first[v], first[v + 1]):
            total[c] += weight[h]
            if community[others[h]] == c:
                inside[c] += weight[h]


@kernel("i8[:], i4[:], f8[:], f8[:], i4[:], f8[:], i8[:], i4[:], u1[:], f8[:], i4[:], i4[:], f8 -> i8")
def _move(first, others, weight, strength, community, total, many, queue, queued, sums, seen, empty, share):  # type: ignore[no-untyped-def]
    """Move things to the community with the highest gain until none gains; those whose neighbour moved are looked at again."""
    n = len(community)
    for v in range(n):
        total[community[v]] += strength[v]
        many[community[v]] += 1
    free = 0
    for c in range(n):
        if many[c] == 0:
            empty[free] = c
            free += 1
    head, waiting, moves = 0, n, 0
    while waiting:
        v = queue[head]
        head = head + 1 if head + 1 < n else 0
        waiting -= 1
        queued[v] = 0
        own = community[v]
        k = 0
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if w == v:
                continue
            c = community[w]
            if sums[c] == 0.0:
                seen[k] = c
                k += 1
            sums[c] += weight[h]
        total[own] -= strength[v]
        many[own] -= 1
        best = own
        gain = sums[own] - share * strength[v] * total[own]
        for j in range(k):
            c = seen[j]
            value = sums[c] - share * strength[v] * total[c]
            if value > gain + 1e-12:
                best = c
                gain = value
        for j in range(k):
            sums[seen[j]] = 0.0
        if gain < -1e-12 and many[own] > 0 and free > 0:
            best = empty[free - 1]
        if best != own and many[best] == 0:
            free -= 1  # only the last of the empty ones is ever taken
        if best != own and many[own] == 0:
            empty[free] = own
            free += 1
        community[v] = best
        total[best] += strength[v]
        many[best] += 1
        if best != own:
            moves += 1
            for h in range(first[v], first[v + 1]):
                w = others[h]
                if not queued[w] and community[w] != best:
                    queued[w] = 1
                    tail = head + waiting
                    queue[tail if tail < n else tail - n] = w
                    waiting += 1
    return moves


@kernel("i8[:], i4[:], f8[:], f8[:], i4[:], f8[:], i4[:], f8[:], f8[:], f8[:], i8[:], i4[:], f8[:], i4[:], f8")
def _refine(first, others, weight, strength, community, groups, part, total, cut, outward, many, order, sums, seen, share):  # type: ignore[no-untyped-def]
    """Within each community, things that stand alone join the part with the highest gain, if both are well connected to the rest of the community.

    ``cut[p]`` is the weight between a part and the rest of its community, ``outward`` the same of each thing.
    """
    n = len(part)
    for v in range(n):
        s = 0.0
        for h in range(first[v], first[v + 1]):
            if others[h] != v and community[others[h]] == community[v]:
                s += weight[h]
        outward[v] = s
        cut[v] = s
    for q in range(n):
        v = order[q]
        p = part[v]
        if many[p] != 1:
            continue
        group = groups[community[v]]
        if outward[v] < share * strength[v] * (group - strength[v]) - 1e-12:
            continue
        k = 0
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if w == v or community[w] != community[v]:
                continue
            c = part[w]
            if sums[c] == 0.0:
                seen[k] = c
                k += 1
            sums[c] += weight[h]
        best = p
        gain = 0.0
        for j in range(k):
            c = seen[j]
            if cut[c] >= share * total[c] * (group - total[c]) - 1e-12:
                value = sums[c] - share * strength[v] * total[c]
                if value > gain + 1e-12:
                    best = c
                    gain = value
        if best != p:
            cut[best] += outward[v] - 2.0 * sums[best]
            total[best] += strength[v]
            many[best] += 1
            many[p] = 0
            total[p] = 0.0
            part[v] = best
        for j in range(k):
            sums[seen[j]] = 0.0


@kernel("i8[:], i4[:], f8[:], i4[:], i4[:], i8[:], f8[:], i4[:], i8[:], i4[:], f8[:], i8")
def _join(first, others, weight, part, members, starts, sums, seen, upper, joined, joint, fill):  # type: ignore[no-untyped-def]
    """The graph of the parts: how many others each is tied to (into ``upper[p + 1]``), or which, and with what weight; ties within a part are left out."""
    for p in range(len(starts) - 1):
        k = 0
        for q in range(starts[p], starts[p + 1]):
            v = members[q]
            for h in range(first[v], first[v + 1]):
                c = part[others[h]]
                if c == p:
                    continue
                if sums[c] == 0.0:
                    seen[k] = c
                    k += 1
                sums[c] += weight[h]
        if fill:
            for j in range(k):
                joined[upper[p] + j] = seen[j]
                joint[upper[p] + j] = sums[seen[j]]
        else:
            upper[p + 1] = k
        for j in range(k):
            sums[seen[j]] = 0.0

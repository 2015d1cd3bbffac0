"""The compiled loops of the drive graph: strongly connected parts, chains of merged corners, shortest times.

Edges lie in forward-star order: those that leave node v are ``first[v]:first[v + 1]``. Sources: R. Tarjan, "Depth-first search and linear graph
algorithms", SIAM J. Comput. 1, 1972, 146-160 (doi:10.1137/0201010); E. W. Dijkstra, Numerische Mathematik 1, 1959, 269-271 (doi:10.1007/BF01386390);
P. Hart, N. Nilsson, B. Raphael, "A formal basis for the heuristic determination of minimum cost paths", IEEE Trans. SSC 4, 1968, 100-107
(doi:10.1109/TSSC.1968.300136).
"""

from __future__ import annotations

import math
from typing import Any

from workbench.engines.kernels import kernel
from workbench.geo._network import _pop, _push


@kernel("i8[:], i8[:], i8[:], u1[:], i8[:], i8[:], i8[:], i8[:], i8[:], i8[:] -> i8")
def strong(first: Any, leaving: Any, head: Any, way: Any, number: Any, low: Any, stack: Any, path: Any, at: Any, part: Any) -> Any:
    """The strongly connected part of each node, into ``part`` (-1 before); ``number`` is -1 before. How many parts."""
    count = 0
    parts = 0
    top = 0
    for root in range(len(first) - 1):
        if number[root] >= 0:
            continue
        deep = 0
        path[0] = root
        number[root] = count
        low[root] = count
        count += 1
        stack[top] = root
        top += 1
        at[root] = first[root]
        while deep >= 0:
            v = path[deep]
            if at[v] < first[v + 1]:
                h = leaving[at[v]]
                at[v] += 1
                w = head[h]
                if way[h] == 0:
                    continue
                if number[w] < 0:
                    number[w] = count
                    low[w] = count
                    count += 1
                    stack[top] = w
                    top += 1
                    at[w] = first[w]
                    deep += 1
                    path[deep] = w
                elif part[w] < 0:
                    low[v] = min(low[v], number[w])
                continue
            deep -= 1
            if deep >= 0:
                low[path[deep]] = min(low[path[deep]], low[v])
            if low[v] == number[v]:
                while True:
                    top -= 1
                    w = stack[top]
                    part[w] = parts
                    if w == v:
                        break
                parts += 1
    return parts


@kernel("i8[:], i8[:], i8[:], u1[:], u1[:], f8[:], f8[:], i8[:], f8[:], i8[:], i8[:], i8[:], f8[:], f8[:] -> i8")
def chains(first: Any, leaving: Any, head: Any, way: Any, kept: Any, cost: Any, metres: Any, edge_of: Any, before: Any, begins: Any, tails: Any, heads: Any,
           seconds: Any, lengths: Any) -> Any:
    """Edges between kept nodes, along the half-edges in between: which edge each half-edge is part of, and the cost on it before. How many edges."""
    e = 0
    for v in range(len(first) - 1):
        begins[v] = e
        if kept[v] == 0:
            continue
        for k in range(first[v], first[v + 1]):
            h = leaving[k]
            if way[h] == 0:
                continue
            total = 0.0
            long = 0.0
            while True:
                edge_of[h] = e
                before[h] = total
                total += cost[h >> 1]
                long += metres[h >> 1]
                w = head[h]
                if kept[w] != 0:
                    break
                after = -1
                for q in range(first[w], first[w + 1]):
                    g = leaving[q]
                    if way[g] != 0 and (g >> 1) != (h >> 1):
                        after = g
                h = after
            tails[e] = v
            heads[e] = w
            seconds[e] = total
            lengths[e] = long
            e += 1
    begins[len(first) - 1] = e
    return e


@kernel("i8[:,:], f8[:,:], i8[:,:], f8[:,:], i8[:,:], f8[:,:], i8[:,:], f8[:,:], f8, i8[:], i8[:], i8, i8, i8[:], i8[:], f8[:], f8, f8[:], i8[:], f8[:], "
        "i8[:], i8[:], f8[:] -> i8")
def times(from_node: Any, from_cost: Any, from_edge: Any, from_along: Any, to_node: Any, to_cost: Any, to_edge: Any, to_along: Any, sense: Any, wanted: Any,
          target: Any, start: Any, stop: Any, first: Any, head: Any, cost: Any, bound: Any, far: Any, touched: Any, keys: Any, items: Any, asked: Any,
          out: Any) -> Any:
    """Shortest time from the places ``start`` to ``stop``, of each to its targets ``target[wanted[i]:wanted[i + 1]]``; infinite beyond the bound.

    A place is a few (node, cost from or to it) and (edge, how far along); -1: none. ``sense`` is -1 where the graph is turned round. ``far`` is
    infinite and ``asked`` 0 before and afterwards.
    """
    for i in range(start, stop):
        size = 0
        many = 0
        open_ = 0
        for k in range(wanted[i], wanted[i + 1]):
            for b in range(to_node.shape[1]):
                node = to_node[target[k], b]
                if node >= 0 and asked[node] == 0:
                    asked[node] = 1
                    open_ += 1
        for a in range(from_node.shape[1]):
            node = from_node[i, a]
            if node >= 0 and from_cost[i, a] <= bound and from_cost[i, a] < far[node]:
                if far[node] == math.inf:
                    touched[many] = node
                    many += 1
                far[node] = from_cost[i, a]
                size = _push(keys, items, size, far[node], node)
        while size > 0 and open_ > 0:
            d = keys[0]
            node = items[0]
            size = _pop(keys, items, size)
            if d > far[node]:
                continue
            if asked[node] == 1:
                asked[node] = 2
                open_ -= 1
            for e in range(first[node], first[node + 1]):
                new = d + cost[e]
                other = head[e]
                if new <= bound and new < far[other]:
                    if far[other] == math.inf:
                        touched[many] = other
                        many += 1
                    far[other] = new
                    size = _push(keys, items, size, new, other)
        for k in range(wanted[i], wanted[i + 1]):
            j = target[k]
            best = math.inf
            for b in range(to_node.shape[1]):
                if to_node[j, b] >= 0:
                    best = min(best, far[to_node[j, b]] + to_cost[j, b])
                    for a in range(from_node.shape[1]):
                        if from_edge[i, a] == to_edge[j, b] and from_edge[i, a] >= 0:
                            ahead = sense * (to_along[j, b] - from_along[i, a])
                            if ahead >= 0.0:
                                best = min(best, ahead)
            out[k] = best if best <= bound else math.inf
        for q in range(many):
            far[touched[q]] = math.inf
        for k in range(wanted[i], wanted[i + 1]):
            for b in range(to_node.shape[1]):
                if to_node[target[k], b] >= 0:
                    asked[to_node[target[k], b]] = 0
    return stop


@kernel("i8[:], f8[:], i8[:], f8[:], i8[:], i8[:], f8[:], f8[:], f8[:], f8, f8, f8, f8[:], i8[:], f8[:], i8[:], i8[:], f8[:] -> i8")
def towards(from_node: Any, from_cost: Any, to_node: Any, to_cost: Any, first: Any, head: Any, cost: Any, x: Any, y: Any, goal_x: Any, goal_y: Any,
            swiftest: Any, far: Any, via: Any, keys: Any, items: Any, done: Any, best: Any) -> Any:
    """Shortest way between two places by A*, the straight line at the ``swiftest`` speed being the bound: the node it enters the last edge at (-1: none).

    ``far`` is infinite, ``done`` 0 and ``via`` -1 before; ``via`` holds the edge by which each node was reached, ``best[0]`` the time.
    """
    size = 0
    best[0] = math.inf
    last = -1
    for a in range(2):
        node = from_node[a]
        if node >= 0 and from_cost[a] < far[node]:
            far[node] = from_cost[a]
            size = _push(keys, items, size, far[node] + math.hypot(x[node] - goal_x, y[node] - goal_y) / swiftest, node)
    while size > 0:
        node = items[0]
        if keys[0] >= best[0]:
            break
        size = _pop(keys, items, size)
        if done[node] != 0:
            continue
        done[node] = 1
        for b in range(2):
            if node == to_node[b] and far[node] + to_cost[b] < best[0]:
                best[0] = far[node] + to_cost[b]
                last = node
        for e in range(first[node], first[node + 1]):
            other = head[e]
            new = far[node] + cost[e]
            if new < far[other]:
                far[other] = new
                via[other] = e
                done[other] = 0
                size = _push(keys, items, size, new + math.hypot(x[other] - goal_x, y[other] - goal_y) / swiftest, other)
    return last

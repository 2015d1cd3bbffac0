"""Paths of up to four steps, counted without going along each: of those by way of a thing in the middle there are as many as it has ties to the neighbours
of the one end, times those to the neighbours of the other, less those that come back by the same neighbour. Only the first paths asked for are followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.engines.kernels import kernel

if TYPE_CHECKING:
    from workbench.models.links._network import Flags, Network


def listed(net: Network, a: int, b: int, hops: int, okay: Flags, limit: int, most: int) -> tuple[Any, Any, Any, Any]:
    """Numbers of paths of 1 to ``hops`` (3 or 4) steps, and things, edges and lengths of the first ``most``, shortest first, then by name.

    Cost: the ties of the neighbours of both ends.
    """
    n = len(net)
    far = np.zeros(n, dtype=np.int32)
    to_end = np.full(n, -1, dtype=np.int32)
    counts = np.zeros(hops + 1, dtype=np.int64)
    graph = (net.first, net.others, net.edge, okay, limit, a, b)
    _counted(*graph, hops, far, to_end, counts)
    rows = min(most, int(counts.sum()))
    nodes, edges = np.full((rows, hops + 1), -1, dtype=np.int32), np.full((rows, hops), -1, dtype=np.int32)
    length = np.zeros(rows, dtype=np.int64)
    at = 0
    for steps in range(1, hops + 1):
        if counts[steps] and at < rows:
            at = _listed(*graph, steps, far, to_end, at, nodes, edges, length)
    return counts[1:], nodes, edges, length


@kernel("i8[:], i4[:], i4[:], u1[:], i8, i8, i8, i8, i4[:], i4[:], i8[:]")
def _counted(first, others, edge, okay, limit, a, b, hops, far, to_end, counts):  # type: ignore[no-untyped-def]
    """``to_end[v]`` is the edge of v to the second end; ``far`` how many neighbours of the second end a thing is tied to."""
    free = len(okay) == 0
    for h in range(first[b], first[b + 1]):
        v = others[h]
        if (free or okay[edge[h]]) and (v == a or first[v + 1] - first[v] <= limit):
            to_end[v] = edge[h]
    if to_end[a] >= 0:
        counts[1] = 1
    for h in range(first[b], first[b + 1]):
        v = others[h]
        if v == a or to_end[v] < 0:
            continue
        for g in range(first[v], first[v + 1]):
            if free or okay[edge[g]]:
                far[others[g]] += 1
    for h in range(first[a], first[a + 1]):
        v = others[h]
        if v == b or first[v + 1] - first[v] > limit or not (free or okay[edge[h]]):
            continue
        both = to_end[v] >= 0
        if both:
            counts[2] += 1
        counts[3] += far[v]
        if hops < 4:
            continue
        for g in range(first[v], first[v + 1]):
            w = others[g]
            if w != a and w != b and first[w + 1] - first[w] <= limit and (free or okay[edge[g]]):
                counts[4] += far[w] - both  # not back by way of v


@kernel("i8[:], i4[:], i4[:], u1[:], i8, i8, i8, i8, i4[:], i4[:], i8, i4[:,:], i4[:,:], i8[:] -> i8")
def _listed(first, others, edge, okay, limit, a, b, steps, far, to_end, at, nodes, edges, length):  # type: ignore[no-untyped-def]
    """Write the paths of exactly so many steps from row ``at`` on; where the next one goes. ``far`` is 0 where no neighbour of the second end is near."""
    free = len(okay) == 0
    if steps == 1:
        nodes[at, 0], nodes[at, 1], edges[at, 0], length[at] = a, b, to_end[a], 1
        return at + 1
    for h in range(first[a], first[a + 1]):
        u = others[h]
        if u == b or first[u + 1] - first[u] > limit or not (free or okay[edge[h]]):
            continue
        if steps == 2:
            if to_end[u] >= 0:
                nodes[at, 0], nodes[at, 1], nodes[at, 2] = a, u, b
                edges[at, 0], edges[at, 1], length[at] = edge[h], to_end[u], 2
                at += 1
                if at == len(length):
                    return at
            continue
        if steps == 3 and far[u] == 0:
            continue
        for g in range(first[u], first[u + 1]):
            v = others[g]
            follows = v != a and v != b and first[v + 1] - first[v] <= limit and (free or okay[edge[g]])
            if not follows:
                continue
            if steps == 3:
                if to_end[v] >= 0:
                    nodes[at, 0], nodes[at, 1], nodes[at, 2], nodes[at, 3] = a, u, v, b
                    edges[at, 0], edges[at, 1], edges[at, 2], length[at] = edge[h], edge[g], to_end[v], 3
                    at += 1
                    if at == len(length):
                        return at
                continue
            if far[v] == 0:
                continue
            for f in range(first[v], first[v + 1]):
                w = others[f]
                if w != u and w != a and w != b and to_end[w] >= 0 and (free or okay[edge[f]]):
                    nodes[at, 0], nodes[at, 1], nodes[at, 2], nodes[at, 3], nodes[at, 4] = a, u, v, w, b
                    edges[at, 0], edges[at, 1], edges[at, 2], edges[at, 3], length[at] = edge[h], edge[g], edge[f], to_end[w], 4
                    at += 1
                    if at == len(length):
                        return at
    return at

"""Measures of each thing of a network, as compiled loops; each equals networkx on the same graph.

Betweenness: U. Brandes, J. Mathematical Sociology 25, 2001, 163-177, doi:10.1080/0022250X.2001.9990249; of a sample of starts: U. Brandes and C. Pich,
Int. J. Bifurcation and Chaos 17, 2007, 2303-2318, doi:10.1142/S0218127407018403. Cores: V. Batagelj and M. Zaversnik, arXiv:cs/0310049. Constraint and
effective size: R. S. Burt, *Structural Holes*, 1992.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import each, kernel, part

BLOCKS = 8  # sources are dealt out in so many parts, whatever the number of threads, so that sums are the same


def threads_for(others: Any) -> int | None:
    """Several threads are worth it from so many ties on."""
    return 1 if len(others) < 20_000 else None


def components(first: Any, others: Any) -> Any:
    """Number of the component of each thing (i4), the one with the first thing is 0. O(m)."""
    n = len(first) - 1
    out = np.full(n, -1, dtype=np.int32)
    _components(first, others, out, np.empty(n, dtype=np.int32))
    return out


def cores(first: Any, others: Any) -> Any:
    """The largest k so that a thing is in a subgraph where all are tied to at least k others (i8). O(m)."""
    n = len(first) - 1
    degree = np.diff(first)
    order = np.argsort(degree, kind="stable").astype(np.int64)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    starts = np.searchsorted(degree[order], np.arange(int(degree.max()) + 2 if n else 1)).astype(np.int64)
    _cores(first, others, degree, order, place, starts)
    return degree


@dataclass(frozen=True, eq=False)
class Betweenness:
    """Shares of the pairs of others, shape (n,) each: the estimate, its standard error, and an interval (it held the truth in 95 of 100 cases on graphs of
    400 things)."""

    share: Any
    error: Any
    low: Any
    high: Any


def betweenness(first: Any, others: Any, sources: Any) -> Betweenness:
    """Betweenness, normalised; exact where the sources (i4) are all things, else from these, a sample without repeats.

    Of a sample, what a start gives to a thing is weighed by how far along the path it lies (R. Geisberger, P. Sanders and D. Schultes, ALENEX 2008, 90-100,
    doi:10.1137/1.9781611972887.9): unbiased, and about half the error, since starts next to a thing no longer count for much more than others. The interval
    is two standard errors (finite population); upwards also room for starts that were not drawn, as the rule of three has it (J. A. Hanley and A.
    Lippman-Hand, JAMA 249, 1983, 1743-1745): three of them, each giving what the largest drawn gave to any thing.
    """
    n, k = len(first) - 1, len(sources)
    blocks = np.array_split(sources.astype(np.int32), BLOCKS)

    def one(block: Any) -> tuple[Any, Any, float]:
        total, squares = np.zeros(n), np.zeros(n)
        most = _brandes(first, others, block, np.full(n, -1, dtype=np.int32), np.zeros(n), np.zeros(n), np.empty(n, dtype=np.int32), total, squares, k < n)
        return total, squares, most

    made = each(one, blocks, threads=threads_for(others))
    total, squares = sum((m[0] for m in made), np.zeros(n)), sum((m[1] for m in made), np.zeros(n))
    scale = n / ((n - 1) * (n - 2)) if n > 2 else 0.0
    mean, left = total / max(k, 1), (n - k) / n if n else 0.0
    spread = np.maximum(squares / max(k, 1) - mean * mean, 0.0) * (k / (k - 1) if k > 1 else 0.0)
    error = np.sqrt(spread / max(k, 1) * left)
    unseen = 3.0 * max((m[2] for m in made), default=0.0) / max(k, 1) * np.sqrt(left) * (np.diff(first) > 1)  # nothing leads through a thing with one tie
    low, high = np.maximum(mean - 2 * error, 0.0), np.minimum(mean + np.hypot(2 * error, unseen), 1.0 / scale if scale else 0.0)
    return Betweenness(mean * scale, error * scale, low * scale, high * scale)


def closeness(first: Any, others: Any, sources: Any) -> Any:
    """Closeness of the things ``sources`` (i4), for several components as Wasserman and Faust (1994) have it. O(m) each."""
    n = len(first) - 1
    out = np.zeros(len(sources))
    blocks = np.array_split(np.arange(len(sources)), BLOCKS)

    def one(block: Any) -> None:
        held = np.zeros(len(block))
        _closeness(first, others, sources[block].astype(np.int32), np.full(n, -1, dtype=np.int32), np.empty(n, dtype=np.int32), held)
        out[block] = held

    each(one, blocks, threads=threads_for(others))
    return out


def holes(first: Any, others: Any, weight: Any) -> tuple[Any, Any]:
    """Burt's constraint and effective size of each thing; nan for one without ties. Effective size is of unweighted ties."""
    n = len(first) - 1
    constraint, size = np.full(n, np.nan), np.full(n, np.nan)
    strength = np.zeros(n)
    _sums(first, weight, strength)
    _holes(first, others, weight, strength, np.zeros(n), np.zeros(n, dtype=np.int32), constraint, size)
    return constraint, size


def apart(first: Any, others: Any, gone: Any, sources: Any) -> tuple[float, float]:
    """Sum of 1 / distance and number of pairs joined, from the sources (i4) to all others, without the things that are ``gone`` (u1)."""
    n = len(first) - 1
    out = np.zeros(2)
    _apart(first, others, gone, sources, np.full(n, -1, dtype=np.int32), np.empty(n, dtype=np.int32), out)
    return float(out[0]), float(out[1])


def reach(first: Any, others: Any, members: Any) -> float:
    """Sum of 1 / distance from a set of things (i4) to each other thing; its members count 1."""
    n = len(first) - 1
    return float(_reach(first, others, members, np.full(n, -1, dtype=np.int32), np.empty(n, dtype=np.int32)))


@part
def spread(first: Any, others: Any, hop: Any, queue: Any, stop: int) -> int:
    """Steps from what is in the queue to all it reaches; where the queue ends then."""
    head = 0
    while head < stop:
        v = queue[head]
        head += 1
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if hop[w] < 0:
                hop[w] = hop[v] + 1
                queue[stop] = w
                stop += 1
    return stop


@kernel("i8[:], i4[:], i4[:], i4[:]")
def _components(first, others, out, queue):  # type: ignore[no-untyped-def]
    found = 0
    for s in range(len(out)):
        if out[s] >= 0:
            continue
        out[s] = found
        queue[0] = s
        head, stop = 0, 1
        while head < stop:
            v = queue[head]
            head += 1
            for h in range(first[v], first[v + 1]):
                w = others[h]
                if out[w] < 0:
                    out[w] = found
                    queue[stop] = w
                    stop += 1
        found += 1


@kernel("i8[:], i4[:], i8[:], i8[:], i8[:], i8[:]")
def _cores(first, others, core, order, place, starts):  # type: ignore[no-untyped-def]
    for q in range(len(order)):
        v = order[q]
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if core[w] > core[v]:
                at = max(starts[core[w]], q + 1)
                u = order[at]
                order[place[w]] = u
                place[u] = place[w]
                order[at] = w
                place[w] = at
                starts[core[w]] = at + 1
                core[w] -= 1


@kernel("i8[:], f8[:], f8[:]")
def _sums(first, weight, out):  # type: ignore[no-untyped-def]
    for v in range(len(out)):
        s = 0.0
        for h in range(first[v], first[v + 1]):
            s += weight[h] if len(weight) else 1.0
        out[v] = s


@kernel("i8[:], i4[:], i4[:], i4[:], f8[:], f8[:], i4[:], f8[:], f8[:], i8 -> f8")
def _brandes(first, others, sources, hop, ways, share, queue, total, squares, scaled):  # type: ignore[no-untyped-def]
    """Add to ``total`` the share of shortest paths from each source that lead through each thing, to ``squares`` its square; the largest share.

    ``scaled``: each path counts by how far along it the thing lies, twice, so that a path counts once from both its ends together.
    """
    most = 0.0
    for q in range(len(sources)):
        s = sources[q]
        hop[s] = 0
        ways[s] = 1.0
        queue[0] = s
        head, stop = 0, 1
        while head < stop:
            v = queue[head]
            head += 1
            for h in range(first[v], first[v + 1]):
                w = others[h]
                if hop[w] < 0:
                    hop[w] = hop[v] + 1
                    queue[stop] = w
                    stop += 1
                if hop[w] == hop[v] + 1:
                    ways[w] += ways[v]
        for k in range(stop - 1, 0, -1):
            w = queue[k]
            each_way = ((1.0 / hop[w] if scaled else 1.0) + share[w]) / ways[w]
            for h in range(first[w], first[w + 1]):
                v = others[h]
                if hop[v] == hop[w] - 1:
                    share[v] += ways[v] * each_way
            given = share[w] * 2.0 * hop[w] if scaled else share[w]
            total[w] += given
            squares[w] += given * given
            most = max(most, given)
        for k in range(stop):
            v = queue[k]
            hop[v] = -1
            ways[v] = 0.0
            share[v] = 0.0
    return most


@kernel("i8[:], i4[:], i4[:], i4[:], i4[:], f8[:]")
def _closeness(first, others, sources, hop, queue, out):  # type: ignore[no-untyped-def]
    n = len(hop)
    for q in range(len(sources)):
        hop[sources[q]] = 0
        queue[0] = sources[q]
        stop = spread(first, others, hop, queue, 1)
        s = 0.0
        for k in range(stop):
            s += hop[queue[k]]
        if s > 0 and n > 1:
            out[q] = (stop - 1) / s * ((stop - 1) / (n - 1))
        for k in range(stop):
            hop[queue[k]] = -1


@kernel("i8[:], i4[:], u1[:], i4[:], i4[:], i4[:], f8[:]")
def _apart(first, others, gone, sources, hop, queue, out):  # type: ignore[no-untyped-def]
    for q in range(len(sources)):
        if gone[sources[q]]:
            continue
        hop[sources[q]] = 0
        queue[0] = sources[q]
        head, stop = 0, 1
        while head < stop:
            v = queue[head]
            head += 1
            for h in range(first[v], first[v + 1]):
                w = others[h]
                if hop[w] < 0 and not gone[w]:
                    hop[w] = hop[v] + 1
                    queue[stop] = w
                    stop += 1
        out[1] += stop - 1
        for k in range(1, stop):
            out[0] += 1.0 / hop[queue[k]]
        for k in range(stop):
            hop[queue[k]] = -1


@kernel("i8[:], i4[:], i4[:], i4[:], i4[:] -> f8")
def _reach(first, others, members, hop, queue):  # type: ignore[no-untyped-def]
    for k in range(len(members)):
        hop[members[k]] = 0
        queue[k] = members[k]
    stop = spread(first, others, hop, queue, len(members))
    s = 0.0
    for k in range(stop):
        s += 1.0 / max(1, hop[queue[k]])
    return s


@kernel("i8[:], i4[:], f8[:], f8[:], f8[:], i4[:], f8[:], f8[:]")
def _holes(first, others, weight, strength, held, mark, constraint, size):  # type: ignore[no-untyped-def]
    """``held[j]`` is the share of v's ties that go to j, also by way of another; ``mark`` the thing whose neighbours are marked."""
    for v in range(len(first) - 1):
        many = first[v + 1] - first[v]
        if many == 0:
            continue
        for h in range(first[v], first[v + 1]):
            mark[others[h]] = v + 1
            held[others[h]] = (weight[h] if len(weight) else 1.0) / strength[v]
        among = 0
        for h in range(first[v], first[v + 1]):
            u = others[h]
            for g in range(first[u], first[u + 1]):
                if mark[others[g]] == v + 1:
                    among += 1
        total = 0.0
        for h in range(first[v], first[v + 1]):
            j = others[h]
            own = (weight[h] if len(weight) else 1.0) / strength[v]
            s = own
            for g in range(first[j], first[j + 1]):  # by way of u, a neighbour of both
                u = others[g]
                if mark[u] == v + 1:
                    s += held[u] * (weight[g] if len(weight) else 1.0) / strength[u]
            total += s * s
        constraint[v] = total
        size[v] = many - among / many

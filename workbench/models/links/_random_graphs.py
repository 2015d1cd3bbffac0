"""Graphs as chance would draw them where everything keeps as many ties as it has, and to as many of each kind of thing.

Pairs of edges change partners: S. Maslov and K. Sneppen, Science 296, 2002, 910-913, doi:10.1126/science.1065103. Expected numbers of paths without drawing:
the configuration model, M. E. J. Newman, S. H. Strogatz and D. J. Watts, Physical Review E 64, 2001, 026118, doi:10.1103/PhysRevE.64.026118, by kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import GOLD, kernel, mixed, part


def drawn(low: Any, high: Any, types: Any, *, seed: int, swaps: int = 10) -> tuple[Any, Any]:
    """Other ends for the same number of edges (i4): as many ties for each thing, to as many of each type (i4, shape (n,)); no loop, no pair twice.

    ``swaps`` tries an edge; 10 are held to be enough (R. Milo and others, arXiv:cond-mat/0312028).
    """
    m = len(low)
    if m < 2:
        return low.astype(np.int32), high.astype(np.int32)
    turned = types[low] > types[high]
    a, b = np.where(turned, high, low), np.where(turned, low, high)
    many = int(types.max()) + 1
    group = types[a].astype(np.int64) * many + types[b]
    order = np.argsort(group, kind="stable")
    a, b, group = a[order].astype(np.int32), b[order].astype(np.int32), group[order]
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1, [m]]).astype(np.int64)
    within = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts)).astype(np.int32)
    same = (types[a] == types[b]).astype(np.uint8)
    size = 1 << int(4 * m - 1).bit_length()
    _swap(a, b, within, cuts, same, np.full(size, -1, dtype=np.int64), seed & 0x7FFFFFFFFFFFFFFF, swaps * m)
    return a, b


def stubs(low: Any, high: Any, types: Any, n: int) -> Any:
    """How many ties each thing has to things of each type, shape (n, types)."""
    many = int(types.max()) + 1 if n else 1
    counted = np.bincount(low.astype(np.int64) * many + types[high], minlength=n * many) + np.bincount(
        high.astype(np.int64) * many + types[low], minlength=n * many)
    return counted.reshape(n, many).astype(float)


def sums(ties: Any, types: Any) -> tuple[Any, Any]:
    """Of the things of each type: pairs of their ties by type, shape (types, types, types), and ties by type, shape (types, types)."""
    many = ties.shape[1]
    pairs, all_ties = np.zeros((many, many, many)), np.zeros((many, many))
    for s in range(many):
        own = ties[types == s]
        all_ties[s] = own.sum(axis=0)
        pairs[s] = own.T @ own - np.diag(all_ties[s])
    return pairs, all_ties


def expected(ends: tuple[int, int], own: tuple[Any, Any], types: Any, pairs: Any, all_ties: Any, inner: tuple[Any, Any], hops: int) -> list[float]:
    """Expected number of paths of 1, 2, ... hops steps between two things.

    Args:
        own: ties of each end by type. inner: ties by type that each end has in ``pairs`` and ``all_ties`` (0 where it is not in them).
    """
    (a, b), (from_a, from_b) = ends, own
    left, total = pairs.copy(), all_ties.copy()
    for end, given, counted in ((a, from_a, inner[0]), (b, from_b, inner[1])):
        left[types[end]] -= np.outer(counted, counted) - np.diag(counted)
        total[types[end]] += given - counted
    left = np.maximum(left, 0.0)
    share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    out: list[float] = []
    flow = np.zeros_like(total)
    flow[types[a]] = from_a
    for _ in range(hops):
        out.append(float(np.sum(flow[:, types[b]] * from_b * share[types[b]])))
        flow = np.einsum("rs,sru,sr->su", flow, left, share)
    return out


@part
def slot(table: Any, key: Any) -> Any:
    """Where a key is in the table, or where it would be put."""
    mask = len(table) - 1
    at: Any = np.int64(mixed(np.uint64(key)) & np.uint64(mask))
    while table[at] != -1 and table[at] != key:
        at = (at + 1) & mask
    return at


@part
def forget(table: Any, key: Any) -> None:
    """Take a key out; those behind it that were pushed on move up."""
    mask = len(table) - 1
    hole: Any = slot(table, key)
    at = (hole + 1) & mask
    while table[at] != -1:
        home = np.int64(mixed(np.uint64(table[at])) & np.uint64(mask))
        if ((at - home) & mask) >= ((at - hole) & mask):
            table[hole] = table[at]
            hole = at
        at = (at + 1) & mask
    table[hole] = -1


@part
def pair(x: Any, y: Any) -> Any:
    """One number for two things in either order."""
    return (np.int64(min(x, y)) << 32) | np.int64(max(x, y))


@kernel("i4[:], i4[:], i4[:], i8[:], u1[:], i8[:], i8, i8")
def _swap(a, b, within, cuts, same, table, seed, tries):  # type: ignore[no-untyped-def]
    state = mixed(np.uint64(seed))
    m = len(a)
    for e in range(m):
        key = pair(a[e], b[e])
        table[slot(table, key)] = key
    for _ in range(tries):
        state += GOLD
        bits = mixed(state)
        e = np.int64((bits >> np.uint64(33)) % np.uint64(m))  # type: ignore[assignment]
        start = cuts[within[e]]
        state += GOLD
        bits = mixed(state)
        f = start + np.int64((bits >> np.uint64(33)) % np.uint64(cuts[within[e] + 1] - start))
        if e == f:
            continue
        x, y, u, v = a[e], b[e], a[f], b[f]
        if same[e] and bits & np.uint64(1):
            u, v = v, u
        if x == v or u == y:
            continue
        one, two = pair(x, v), pair(u, y)
        if one == two or table[slot(table, one)] == one or table[slot(table, two)] == two:
            continue
        forget(table, pair(x, y))
        forget(table, pair(u, v))
        table[slot(table, one)] = one
        table[slot(table, two)] = two
        b[e] = v
        a[f] = u
        b[f] = y

"""Which incident follows which: links to earlier incidents close by, and the sets that they connect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.engines.kernels import kernel
from workbench.geo import Floats, Ints
from workbench.models.patterns._pairs import Pairs


@dataclass(frozen=True, eq=False)
class Followed:
    """For each incident, in order of time.

    Args:
        same: an earlier incident lies at the same place within the span; ``near``: one lies close by, not at the same place; ``later``: one follows.
        before: the latest of the earlier ones (at the same place, if there is one there), -1 for none; ``metres`` and ``gap`` (microseconds) to it.
        chain: number of its chain from 0, in order of each chain's first incident; -1 for isolated ones.
    """

    same: np.ndarray[tuple[int], np.dtype[np.bool_]]
    near: np.ndarray[tuple[int], np.dtype[np.bool_]]
    later: np.ndarray[tuple[int], np.dtype[np.bool_]]
    before: Ints
    metres: Floats
    gap: Ints
    chain: Ints


@kernel("i4[:], i4[:], i8[:]")
def _connect(i, j, parent):  # type: ignore[no-untyped-def]
    """Union-find: every set's lowest number becomes its root."""
    for p in range(len(i)):
        a = np.int64(i[p])
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        b = np.int64(j[p])
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for k in range(len(parent)):
        parent[k] = parent[parent[k]]


def followed(pairs: Pairs, times: Ints, span: int, same_place: float) -> Followed:
    """Links of ``pairs`` whose times (rising with the number of the incident) are at most ``span`` apart. O(pairs)."""
    n = len(times)
    i, j = np.minimum(pairs.i, pairs.j), np.maximum(pairs.i, pairs.j)
    soon = times[j] - times[i] <= span
    i, j, metres = np.ascontiguousarray(i[soon]), np.ascontiguousarray(j[soon]), pairs.metres[soon]
    here = metres < same_place
    same, near, later = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    same[j[here]], near[j[~here]], later[i] = True, True, True
    order = np.lexsort((-metres, i, here, j))  # last of each j: at the same place before close by, then the latest, then the closest
    last = order[np.flatnonzero(np.diff(j[order], append=-1))] if len(order) else order
    before, apart, gap = np.full(n, -1, dtype=np.int64), np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    before[j[last]], apart[j[last]] = i[last], metres[last]
    gap[j[last]] = times[j[last]] - times[i[last]]
    parent = np.arange(n, dtype=np.int64)
    _connect(i, j, parent)
    linked = np.zeros(n, dtype=bool)
    linked[i], linked[j] = True, True
    roots = np.unique(parent[linked])
    chain = np.where(linked, np.searchsorted(roots, parent), -1)
    return Followed(same, near, later, before, apart, gap, chain.astype(np.int64))


def falling(observed: Floats, expected: Floats) -> Floats:
    """Ratios made to fall with time: neighbours that rise are pooled, weighted by what was expected (isotonic regression). Shape (bands,)."""
    blocks: list[list[float]] = []
    for o, e in zip(observed, expected, strict=True):
        blocks.append([float(o), float(e), 1.0])
        while len(blocks) > 1 and blocks[-1][0] * blocks[-2][1] > blocks[-2][0] * blocks[-1][1]:
            o2, e2, k2 = blocks.pop()
            blocks[-1] = [blocks[-1][0] + o2, blocks[-1][1] + e2, blocks[-1][2] + k2]
    return np.concatenate([np.full(int(k), o / e if e > 0 else 1.0) for o, e, k in blocks])

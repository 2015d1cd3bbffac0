"""Close pairs: which two of n points lie within a distance of each other, found by sorting them into squares.

Distances are compared to the micrometre, so that a pair at exactly 100 m stays there whatever the rounding of degrees to metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import kernel, part
from workbench.errors import BadInput
from workbench.geo import Floats, Ints

#: Pairs at most; beyond it memory (9 bytes a pair and more) would run out before the answer came.
MOST = 60_000_000
METRICS = ("euclidean", "manhattan")
MICRO = 1e6


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows within a distance, each once: ``i``, ``j`` (int32) and the distance ``metres``, all of shape (pairs,)."""

    i: np.ndarray[Any, np.dtype[np.int32]]
    j: np.ndarray[Any, np.dtype[np.int32]]
    metres: Floats

    def __len__(self) -> int:
        return len(self.i)


#: Where pairs come from: (lon, lat, radius in metres) -> (i, j, metres), rows of the frame given; e.g. along a street network.
Source = Callable[[Floats, Floats, float], tuple[Any, Any, Any]]


@dataclass(frozen=True, eq=False)
class Banded:
    """Pairs sorted by distance band: band ``b`` holds ``sizes[b]`` pairs from ``starts[b]`` of ``i`` and ``j``.

    Each band is filled up to a multiple of four with the pair (n, n + 1) of two points that are none, so that pairs can be taken by fours.
    """

    i: np.ndarray[Any, np.dtype[np.int32]]
    j: np.ndarray[Any, np.dtype[np.int32]]
    starts: Ints
    sizes: Ints

    @classmethod
    def empty(cls, sizes: Ints, n: int) -> Banded:
        """Room for so many pairs of n points by band."""
        starts = np.concatenate([[0], np.cumsum(-(-sizes // 4) * 4)]).astype(np.int64)
        made = cls(np.empty(int(starts[-1]), dtype=np.int32), np.empty(int(starts[-1]), dtype=np.int32), starts, sizes)
        for start, size, end in zip(starts[:-1], sizes, starts[1:], strict=True):
            made.i[start + size : end], made.j[start + size : end] = n, n + 1
        return made

    def links(self, n: int) -> Ints:
        """How many pairs of each distance band every point is in, shape (bands, n)."""
        out = np.zeros((len(self.sizes), n), dtype=np.int64)
        for band, size in enumerate(self.sizes):
            _degrees(self.i, self.j, int(self.starts[band]), int(self.starts[band] + size), out[band])
        return out


@part
def _apart(dx: float, dy: float, manhattan: int) -> float:
    """Whole micrometres between two points."""
    d = abs(dx) + abs(dy) if manhattan else np.sqrt(dx * dx + dy * dy)
    return np.floor(d * 1e6 + 0.5)


@kernel("f8[:], f8[:], i8[:,:], f8[:], i8, i8[:], i8, i4[:], i4[:]")
def _bands(x, y, ranges, edges, manhattan, at, fill, i, j):  # type: ignore[no-untyped-def]
    """Pairs by band of ``edges`` (micrometres, half-open); counts into ``at``, or with ``fill`` writes each pair at its band's next place."""
    last = len(edges) - 1
    for a in range(len(x)):
        for side in range(2):
            for b in range(ranges[a, 2 * side], ranges[a, 2 * side + 1]):
                d = _apart(x[a] - x[b], y[a] - y[b], manhattan)
                if d < edges[last] and d >= edges[0]:
                    q = 0
                    while d >= edges[q + 1]:
                        q += 1
                    if fill:
                        i[at[q]] = a
                        j[at[q]] = b
                    at[q] += 1


@kernel("i4[:], i4[:], i8, i8, i8[:]")
def _degrees(i, j, start, end, out):  # type: ignore[no-untyped-def]
    """Count the pairs that each point is in."""
    for p in range(start, end):
        out[i[p]] += 1
        out[j[p]] += 1


@kernel("f8[:], f8[:], i8[:,:], f8, i8, i8[:], i8, i4[:], i4[:], f8[:]")
def _within(x, y, ranges, most, manhattan, at, fill, i, j, metres):  # type: ignore[no-untyped-def]
    """Pairs up to ``most`` micrometres apart; counts into ``at``, or with ``fill`` writes them."""
    k = 0
    for a in range(len(x)):
        for side in range(2):
            for b in range(ranges[a, 2 * side], ranges[a, 2 * side + 1]):
                d = _apart(x[a] - x[b], y[a] - y[b], manhattan)
                if d <= most:
                    if fill:
                        i[k] = a
                        j[k] = b
                        metres[k] = d / 1e6
                    k += 1
    at[0] = k


def near(x: Floats, y: Floats, radius: float, metric: str = "euclidean") -> Pairs:
    """Every pair of points at most ``radius`` metres apart, each once, in order of place.

    Args:
        x, y: metres, finite, shape (n,).
        metric: "euclidean" or "manhattan".

    Raises:
        BadInput: unknown metric, or more pairs than memory holds.

    Cost: O(n log n + pairs of neighbouring squares of the radius's side).
    """
    order, ranges = _squares(x, y, radius)
    xs, ys, many = x[order], y[order], np.zeros(1, dtype=np.int64)
    none, nothing = np.empty(0, dtype=np.int32), np.empty(0)
    how, most = _metric(metric), float(np.floor(radius * MICRO + 0.5))
    _within(xs, ys, ranges, most, how, many, 0, none, none, nothing)
    n = _affordable(int(many[0]), radius)
    i, j, metres = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32), np.empty(n)
    _within(xs, ys, ranges, most, how, many, 1, i, j, metres)
    names = order.astype(np.int32)
    return Pairs(names[i], names[j], metres)


def banded(x: Floats, y: Floats, edges: Floats, metric: str = "euclidean") -> tuple[Banded, Ints]:
    """The pairs by distance band, half-open ``edges[b] <= metres < edges[b + 1]``, without their distances; see ``near``.

    Returns: the pairs, as places in an order of points that keeps neighbours together in memory, and that order: ``order[place]`` is the row.
    """
    order, ranges = _squares(x, y, float(edges[-1]))
    xs, ys, inner = x[order], y[order], np.floor(edges * MICRO + 0.5)
    counts, none = np.zeros(len(edges) - 1, dtype=np.int64), np.empty(0, dtype=np.int32)
    _bands(xs, ys, ranges, inner, _metric(metric), counts, 0, none, none)
    _affordable(int(counts.sum()), float(edges[-1]))
    made = Banded.empty(counts, len(x))
    _bands(xs, ys, ranges, inner, _metric(metric), made.starts[:-1].copy(), 1, made.i, made.j)
    return made, order


def by_band(pairs: Pairs, edges: Floats, n: int) -> Banded:
    """Pairs of n points from elsewhere sorted by band; those outside the edges are left out. O(pairs log bands)."""
    band = np.searchsorted(np.floor(edges * MICRO + 0.5), np.floor(pairs.metres * MICRO + 0.5), side="right") - 1
    made = Banded.empty(np.bincount(band[(band >= 0) & (band < len(edges) - 1)], minlength=len(edges) - 1).astype(np.int64), n)
    for number, (start, size) in enumerate(zip(made.starts[:-1], made.sizes, strict=True)):
        these = band == number
        made.i[start : start + size], made.j[start : start + size] = pairs.i[these], pairs.j[these]
    return made


def given(source: Source | tuple[Any, Any, Any], lon: Floats, lat: Floats, radius: float) -> Pairs:
    """Pairs of a source, each once with i < j, checked.

    Raises:
        BadInput: they are no three arrays of one length, name rows that are not there or a row with itself, give a pair twice, or hold no distances.
    """
    got = source(lon, lat, radius) if callable(source) else source
    if not isinstance(got, (tuple, list)) or len(got) != 3 or len({np.shape(v) for v in got}) != 1 or np.ndim(got[0]) != 1:
        raise BadInput("Pairs are three arrays of one length: row i, row j and the metres between them.")
    i, j, metres = np.asarray(got[0], dtype=np.int64), np.asarray(got[1], dtype=np.int64), np.asarray(got[2], dtype=float)
    n = len(lon)
    if len(i) and (min(i.min(), j.min()) < 0 or max(i.max(), j.max()) >= n):
        raise BadInput(f"A pair names a row outside the {n:,} rows of the frame; rows are counted from 0 in the order of the frame.")
    if (i == j).any():
        raise BadInput("A pair names one row twice; a pair is of two different rows.")
    if not (np.isfinite(metres) & (metres >= 0)).all():
        raise BadInput("A pair's distance is not a number of metres of at least 0.")
    low, high = np.minimum(i, j), np.maximum(i, j)
    if len(np.unique(low * n + high)) != len(low):
        raise BadInput("A pair is given twice; give each pair once, i to j or j to i.")
    return Pairs(low.astype(np.int32), high.astype(np.int32), metres)


def _metric(name: str) -> int:
    if name not in METRICS:
        raise BadInput(f"metric {name!r} is not known; write one of {', '.join(METRICS)}, or give streets= for distances along them.")
    return int(name == "manhattan")


def _affordable(n: int, radius: float) -> int:
    if n > MOST:
        raise BadInput(f"{n:,} pairs lie within {radius:,.0f} m of each other, more than the {MOST:,} that are handled; use a smaller distance, a shorter time "
                       "or a smaller area.")
    return n


def _squares(x: Floats, y: Floats, radius: float) -> tuple[Ints, Ints]:
    """An order of the points by square, and for each place the two ranges of places behind it in which its neighbours lie."""
    side = max(radius, 1e-3) * (1 + 1e-9) + 1e-6
    column, row = (np.floor((v - v.min()) / side).astype(np.int64) if len(v) else np.empty(0, dtype=np.int64) for v in (x, y))
    high = int(row.max()) + 3 if len(row) else 3
    key = column * high + row + 1
    order = np.lexsort((y, x, key))
    key = key[order]
    ranges = np.empty((len(x), 4), dtype=np.int64)
    ranges[:, 0] = np.arange(1, len(x) + 1)
    ranges[:, 1] = np.searchsorted(key, key + 1, side="right")
    ranges[:, 2] = np.searchsorted(key, key + high - 1, side="left")
    ranges[:, 3] = np.searchsorted(key, key + high + 1, side="right")
    return order.astype(np.int64), ranges

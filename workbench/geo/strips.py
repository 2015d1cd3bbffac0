"""The exact test behind the point-in-polygon join: the edges of every area in strips, and on which side of an edge a point lies.

A row strip holds the edges of one area that pass through one row of the raster, a column strip those that pass through one column. A
point is tested with a ray to the east over its row strip or with a ray to the north over its column strip, whichever is shorter; both
give the same answer for every point, also on a border, because both are read as if the point were moved by an endless little bit to the
north and still more to the east.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from workbench.geo.plane import Floats, Ints

Bools = np.ndarray[Any, np.dtype[np.bool_]]

#: Relative error bound of the orientation test in doubles (Shewchuk's ccwerrboundA), and what lies under it for very small products.
_BOUND, _TINY = (3.0 + 16.0 * 2.0**-53) * 2.0**-53, 1e-280


@dataclass(frozen=True)
class Strips:
    """Edges (a1, b1)-(a2, b2) sorted by area and strip; strips are of equal b, rays go along a, and b1 < b2.

    ``north`` says that the ray goes north: then a is the latitude and b the longitude.
    """

    a1: Floats
    b1: Floats
    a2: Floats
    b2: Floats
    begin: Ints
    low: Ints
    base: Ints
    north: bool

    @classmethod
    def of(cls, a1: Floats, b1: Floats, a2: Floats, b2: Floats, owner: Ints, strips: tuple[Ints, Ints], count: int, north: bool) -> Strips:
        """From all edges, the area of each, and its first and last strip; ``count`` areas."""
        down = b1 > b2
        a1, a2 = np.where(down, a2, a1), np.where(down, a1, a2)
        b1, b2 = np.where(down, b2, b1), np.where(down, b1, b2)
        edge, strip = spread(*strips)
        slanted = np.flatnonzero((b1 < b2)[edge])
        edge, strip = edge[slanted], strip[slanted]
        low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, dtype=np.int64)
        np.minimum.at(low, owner[edge], strip)
        np.maximum.at(high, owner[edge], strip)
        low = np.minimum(low, high + 1)
        base = np.concatenate([[0], np.cumsum(high - low + 1)]).astype(np.int64)
        at = base[owner[edge]] + strip - low[owner[edge]]
        edge = edge[np.argsort(at, kind="stable")]
        begin = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=int(base[-1])))]).astype(np.int64)
        return cls(a1[edge], b1[edge], a2[edge], b2[edge], begin, low, base, north)

    def edges(self, area: Ints, strip: Ints) -> tuple[Ints, Ints]:
        """First and last edge (last before first: none) of some areas' strips."""
        at = self.base[area] + strip - self.low[area]
        known = (strip >= self.low[area]) & (at < self.base[area + 1])
        at = np.where(known, at, 0)
        if len(self.begin) < 2:
            return np.zeros(len(at), dtype=np.int64), np.full(len(at), -1, dtype=np.int64)
        return np.where(known, self.begin[at], 0), np.where(known, self.begin[at + 1], 0) - 1

    def inside(self, a: Floats, b: Floats, first: Ints, last: Ints) -> Bools:
        """Whether each point lies in the area whose edges in the point's strip are first..last. O(edges in those strips)."""
        pair, edge = spread(first, last)
        pb = b[pair]
        spans = np.flatnonzero((self.b1[edge] <= pb) & (pb < self.b2[edge]))
        pair, edge, pb = pair[spans], edge[spans], pb[spans]
        before = _before(a[pair], pb, self.a1[edge], self.b1[edge], self.a2[edge], self.b2[edge], self.north)
        return (np.bincount(pair[before], minlength=len(a)) & 1).astype(bool)


def spread(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Each range first..last (both included; empty where last < first) written out: (which range, value)."""
    counts = np.maximum(last - first + 1, 0)
    which = np.repeat(np.arange(len(first)), counts)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return which, np.arange(total) + np.repeat(first - (ends - counts), counts)


def _before(pa: Floats, pb: Floats, a1: Floats, b1: Floats, a2: Floats, b2: Floats, north: bool) -> Bools:
    """Whether a ray along a, from points that edges span in b (b1 <= pb < b2), meets the edge. Exact.

    A point on the edge: the moved point lies east of it, so a ray to the east misses it; a ray to the north meets it if it rises eastwards.
    """
    one, two = (a2 - a1) * (pb - b1), (pa - a1) * (b2 - b1)
    turn = one - two
    before = turn > 0
    doubt = np.flatnonzero(np.abs(turn) <= _BOUND * (np.abs(one) + np.abs(two)) + _TINY)
    if len(doubt):
        pa, pb, a1, b1, a2, b2 = (v[doubt] for v in (pa, pb, a1, b1, a2, b2))
        on = ((a1 == a2) & (pa == a1)) | ((pa == a1) & (pb == b1))
        settled = pa < np.minimum(a1, a2)
        for i in np.flatnonzero((pa >= np.minimum(a1, a2)) & (pa <= np.maximum(a1, a2)) & (a1 != a2) & ~on):
            p, q, r, s, x, y = (Fraction(float(v[i])) for v in (a1, b1, a2, b2, pa, pb))
            exact = (r - p) * (y - q) - (x - p) * (s - q)
            settled[i], on[i] = exact > 0, exact == 0
        before[doubt] = settled | (on & (a2 > a1)) if north else settled & ~on
    return before

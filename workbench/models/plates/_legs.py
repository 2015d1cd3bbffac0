"""Legs: consecutive reads of one plate at two places, and the least time that any drive between them takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.geo import Plane
from workbench.geo.plane import Floats, Ints
from workbench.models.plates._passages import Passages
from workbench.models.pursuit._graph import Roads

#: A straight-line speed below which no leg is looked at on the streets, metres a second: some 14 km/h.
_SLOW = 4.0
_FEW = 4_000  # spots of which a table of all pairs is made


@dataclass(frozen=True)
class Bounds:
    """What a drive and a reader are allowed: times free flow, straight-line metres a second without roads, seconds and metres a reader may be wrong by."""

    fastest: float
    straight: float
    clock: float
    position: float


@dataclass(frozen=True, eq=False)
class Legs:
    """Consecutive reads of a plate at two spots, shape (k,): positions of both reads, seconds between them, metres straight, least seconds, impossible or not.

    ``needed`` is NaN where the leg was so slow that it was not looked at.
    """

    a: Ints
    b: Ints
    gap: Floats
    metres: Floats
    needed: Floats
    bad: Any


class Drives:
    """Least seconds from spot to spot: by the streets where both lie near one, else by the straight line."""

    def __init__(self, passages: Passages, roads: Roads | None, bounds: Bounds) -> None:
        lon, lat = (passages.spots[c].fill_null(np.nan).to_numpy() for c in ("lon", "lat"))
        ok = np.isfinite(lon) & np.isfinite(lat)
        self.placed = ok
        middle = (float(np.median(lat[ok])), float(np.median(lon[ok]))) if ok.any() else (0.0, 0.0)
        self.x, self.y = Plane.local(*middle).to_metres(lon, lat)
        self.roads, self.bounds = roads, bounds
        self.places = None if roads is None else roads.about(lon, lat, bounds.position)
        self.off = 0 if self.places is None else int((~self.places.on & ok).sum())
        self._known: dict[int, float] = {}

    def metres(self, s: Any, t: Any) -> Floats:
        """Straight-line metres between spots, less what both positions may be wrong by, at least 0."""
        return np.maximum(np.hypot(self.x[t] - self.x[s], self.y[t] - self.y[s]) - 2 * self.bounds.position, 0.0)

    def needed(self, s: Any, t: Any) -> Floats:
        """Least seconds of a drive from spot s to spot t, shape of both. One search a spot that is asked for."""
        out = self.metres(s, t) / self.bounds.straight
        if self.roads is None or self.places is None or not len(out):
            return out
        spots = len(self.x)
        key = np.asarray(s, dtype=np.int64) * spots + np.asarray(t, dtype=np.int64)
        if spots <= _FEW and len(key) > spots:  # a table of all pairs is quicker than sorting the legs
            asked = np.zeros(spots * spots, dtype=bool)
            asked[key] = True
            numbers = np.flatnonzero(asked)
            place = np.zeros(spots * spots, dtype=np.int64)
            place[numbers] = np.arange(len(numbers))
            which = place[key]
        else:
            numbers, which = np.unique(key, return_inverse=True)
        pairs = np.stack(np.divmod(numbers, spots))
        both = self.places.on[pairs[0]] & self.places.on[pairs[1]]
        sources, i = np.unique(pairs[0][both], return_inverse=True)
        targets, j = np.unique(pairs[1][both], return_inverse=True)
        seconds = self.roads.pairs(self.places.take(sources), self.places.take(targets), i, j) / self.bounds.fastest
        by_road = np.full(len(numbers), np.nan)
        allowed = 2 * self.bounds.position / (self.roads.swiftest * self.bounds.fastest)
        by_road[both] = np.maximum(seconds - allowed, 0.0)
        found = by_road[which.ravel()]
        return np.where(np.isfinite(found), found, out)


def legs(passages: Passages, keep: Any, drives: Drives) -> Legs:
    """The legs between the kept reads (a mask over the positions). O(reads) and one search a spot of a quick leg."""
    _, order = passages.by_plate
    order = order[keep[order]].astype(np.int64)
    a, b = order[:-1], order[1:]
    spot = passages.spot
    moved = (passages.plate[a] == passages.plate[b]) & (spot[a] != spot[b]) & drives.placed[spot[a]] & drives.placed[spot[b]]
    a, b = a[moved], b[moved]
    gap = (passages.at[b] - passages.at[a]).astype(np.float64)
    metres = drives.metres(spot[a], spot[b])
    quick = np.flatnonzero(metres > _SLOW * (gap + drives.bounds.clock))
    needed = np.full(len(a), np.nan)
    needed[quick] = drives.needed(spot[a[quick]], spot[b[quick]])
    return Legs(a, b, gap, metres, needed, np.nan_to_num(needed, nan=0.0) > gap + drives.bounds.clock)

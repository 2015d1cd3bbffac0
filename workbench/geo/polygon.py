"""One area: rings of degrees, and which points lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import BadInput
from workbench.geo.plane import Floats


@dataclass(frozen=True)
class Polygon:
    """One area as rings of (lon, lat) degrees. Even-odd rule, so holes and several parts are simply more rings."""

    rings: tuple[Floats, ...]
    name: str = ""

    @classmethod
    def from_geojson(cls, geometry: dict[str, Any], name: str = "") -> Polygon:
        """From a GeoJSON ``Polygon`` or ``MultiPolygon`` geometry.

        Raises:
            BadInput: any other geometry type.
        """
        kind = geometry.get("type")
        if kind not in ("Polygon", "MultiPolygon"):
            raise BadInput(f"Geometry of type {kind!r} is not an area; a Polygon or MultiPolygon is needed.")
        parts = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
        return cls(tuple(np.asarray(ring, dtype=float)[:, :2] for part in parts for ring in part), name)

    @classmethod
    def box(cls, west: float, south: float, east: float, north: float, name: str = "") -> Polygon:
        """An upright rectangle in degrees."""
        return cls((np.array([[west, south], [east, south], [east, north], [west, north], [west, south]], dtype=float),), name)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees."""
        every = np.concatenate(self.rings)
        return float(every[:, 0].min()), float(every[:, 1].min()), float(every[:, 0].max()), float(every[:, 1].max())

    def contains(self, lon: Any, lat: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which points lie inside (even-odd crossing rule; NaN is outside). O(points x edges), vectorised over points."""
        lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
        inside = np.zeros(lon.shape, dtype=bool)
        w, s, e, n = self.bounds
        near = np.flatnonzero((lon >= w) & (lon <= e) & (lat >= s) & (lat <= n))
        px, py = lon[near], lat[near]
        odd = np.zeros(len(near), dtype=bool)
        for ring in self.rings:
            for (x1, y1), (x2, y2) in zip(ring[:-1], ring[1:], strict=True):
                if y1 == y2:
                    continue
                crosses = (y1 > py) != (y2 > py)
                odd ^= crosses & (px < (x2 - x1) * (py - y1) / (y2 - y1) + x1)
        inside[near] = odd
        return inside

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON Polygon (one ring) or a MultiPolygon with one part a ring."""
        rings = [[[round(float(x), 6), round(float(y), 6)] for x, y in r] for r in self.rings]
        if len(rings) == 1:
            return {"type": "Polygon", "coordinates": rings}
        return {"type": "MultiPolygon", "coordinates": [[r] for r in rings]}

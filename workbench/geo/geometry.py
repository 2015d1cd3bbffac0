"""GeoJSON geometries as text: how large, how long, where their middle is, and whether they can be used at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.geo.plane import Floats, Plane

#: Geometry types by what they are.
AREAS, LINES = ("Polygon", "MultiPolygon"), ("LineString", "MultiLineString")
_DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_LEAST = {"LineString": 2, "MultiLineString": 2, "Polygon": 4, "MultiPolygon": 4}


def usable(text: str | None, kinds: tuple[str, ...] = tuple(_DEPTH)) -> dict[str, Any] | None:
    """The geometry that a text holds, None where it is none of ``kinds``: malformed, out of the range of degrees, or with too few corners."""
    if not text:
        return None
    try:
        geometry = json.loads(text)
        kind = geometry["type"]
        if kind not in kinds or kind not in _DEPTH:
            return None
        lines = list(_lines(geometry["coordinates"], _DEPTH[kind]))
        if not lines or any(len(line) < _LEAST.get(kind, 1) or not _degrees(line) for line in lines):
            return None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    if kind in AREAS and any((line[0] != line[-1]).any() for line in lines):
        return None
    return dict(geometry)


def area_km2(geometry: dict[str, Any]) -> float:
    """Square kilometres on the ellipsoid of a Polygon or MultiPolygon, holes taken out (C. F. F. Karney, *Geodesics*, by pyproj). O(corners)."""
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return sum(_ring_km2(part[0]) - sum(_ring_km2(hole) for hole in part[1:]) for part in parts)


def length_m(geometry: dict[str, Any]) -> float:
    """Metres on the ellipsoid of a LineString or MultiLineString. O(vertices)."""
    lines = (_array(line) for line in _lines(geometry["coordinates"], _DEPTH[geometry["type"]]))
    return sum(float(np.abs(_geod().line_length(line[:, 0], line[:, 1]))) for line in lines)


def middle(geometry: dict[str, Any]) -> tuple[float, float]:
    """(lon, lat) to stand for a geometry: of a line the point half-way along it (of several the longest), of an area the middle of its
    largest ring's area, of points their mean."""
    lines = [_array(line) for line in _lines(geometry["coordinates"], _DEPTH[geometry["type"]])]
    if geometry["type"] in ("Point", "MultiPoint"):
        lon, lat = np.vstack(lines).mean(axis=0)
        return float(lon), float(lat)
    line = max(lines, key=_extent)
    plane = Plane.local(float(line[0, 1]), float(line[0, 0]))
    x, y = plane.to_metres(line[:, 0], line[:, 1])
    if geometry["type"] in LINES:
        run = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        px, py = np.interp(run[-1] / 2, run, x), np.interp(run[-1] / 2, run, y)
    else:
        cross = x[:-1] * y[1:] - x[1:] * y[:-1]
        whole = cross.sum()
        px, py = (((v[:-1] + v[1:]) * cross).sum() / (3 * whole) if whole else v.mean() for v in (x, y))
    lon, lat = plane.to_degrees(px, py)
    return float(lon), float(lat)


def _lines(coordinates: Any, depth: int) -> Iterator[Any]:
    """The lists of positions in a geometry's coordinates, each as an array (n, 2)."""
    if depth == 0:
        yield _array([coordinates])
    elif depth == 1:
        yield _array(coordinates)
    else:
        for inner in coordinates:
            yield from _lines(inner, depth - 1)


def _array(positions: Any) -> Floats:
    return np.array([p[:2] for p in positions], dtype=float).reshape(-1, 2)


def _degrees(line: Floats) -> bool:
    return bool(np.isfinite(line).all() and (np.abs(line[:, 0]) <= 180).all() and (np.abs(line[:, 1]) <= 90).all())


def _extent(line: Floats) -> float:
    return math.hypot(*(line.max(axis=0) - line.min(axis=0)))


def _ring_km2(ring: Any) -> float:
    line = _array(ring)
    return abs(float(_geod().polygon_area_perimeter(line[:, 0], line[:, 1])[0])) / 1e6


@lru_cache(maxsize=1)
def _geod() -> Any:
    from pyproj import Geod

    return Geod(ellps="WGS84")

"""The metre plane: degrees to metres and back, and the positions of a frame.

The plane is an equirectangular projection about a reference point with the ellipsoid's own radii of curvature there (Snyder,
*Map Projections - A Working Manual*, USGS Professional Paper 1395, 1987, eq. 4-18 to 4-20).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_A, _E2 = 6378137.0, 0.0066943799901413165  # WGS84: semi-major axis in metres, first eccentricity squared


@dataclass(frozen=True)
class Plane:
    """A flat metre plane. ``crs`` is ``"local:<lat>,<lon>"`` (default, no extra library) or any projected CRS pyproj knows, and behind an ``@`` by how
    many degrees its axes are turned anticlockwise about the origin: ``"local:41.88,-87.63@30"``, ``"EPSG:26971@30"``.

    Raises:
        BadInput: the CRS is unknown or its axes are not metres or feet.
    """

    crs: str

    @classmethod
    def local(cls, lat: float, lon: float) -> Plane:
        """The equirectangular plane about one point; easting/northing 0, 0 lie there."""
        return cls(f"local:{lat:.6f},{lon:.6f}")

    @cached_property
    def _parts(self) -> tuple[str, float]:
        found = re.fullmatch(r"(.*)@\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*", self.crs, re.S)
        return (found[1].rstrip(), float(found[2])) if found else (self.crs, 0.0)

    @property
    def turned(self) -> float:
        """By how many degrees the plane's axes are turned anticlockwise: its x axis points so many degrees north of east."""
        return self._parts[1]

    def turn(self, degrees: float) -> Plane:
        """The same plane with its axes turned to ``degrees`` (not by), anticlockwise; lengths and areas stay as they are.

        Raises:
            BadInput: it is no finite number.
        """
        if isinstance(degrees, bool) or not isinstance(degrees, (int, float)) or not math.isfinite(degrees):
            raise BadInput(f"A plane cannot be turned by {degrees!r}; give degrees anticlockwise, e.g. 30.")
        return Plane(f"{self._parts[0]}@{float(degrees)!r}".removesuffix(".0") if degrees else self._parts[0])

    @cached_property
    def _turn(self) -> tuple[float, float]:
        return math.cos(math.radians(self.turned)), math.sin(math.radians(self.turned))

    @cached_property
    def _local(self) -> tuple[float, float, float, float] | None:
        base = self._parts[0]
        if not base.startswith("local:"):
            return None
        try:
            lat, lon = (float(v) for v in base[6:].split(","))
        except ValueError:
            raise BadInput(f"CRS {self.crs!r} is not readable; write 'local:41.88,-87.63' (lat, lon), 'EPSG:26971', or turned 'EPSG:26971@30'.") from None
        s2 = math.sin(math.radians(lat)) ** 2
        north = math.radians(1) * _A * (1 - _E2) / (1 - _E2 * s2) ** 1.5
        east = math.radians(1) * _A / math.sqrt(1 - _E2 * s2) * math.cos(math.radians(lat))
        return lat, lon, east, north

    @cached_property
    def _transformers(self) -> tuple[Any, Any, float]:
        from pyproj import CRS, Transformer
        from pyproj.exceptions import CRSError

        try:
            crs = CRS.from_user_input(self._parts[0])
        except CRSError:
            raise BadInput(f"CRS {self.crs!r} is not known; write e.g. 'EPSG:26971', 'local:41.88,-87.63' or, turned by 30 degrees, 'EPSG:26971@30'.") from None
        if not crs.is_projected:
            raise BadInput(f"CRS {self.crs!r} is not a projected one, so it has no metres; use a state plane or UTM zone.")
        unit = crs.axis_info[0].unit_conversion_factor
        return Transformer.from_crs(4326, crs, always_xy=True), Transformer.from_crs(crs, 4326, always_xy=True), unit

    def to_metres(self, lon: Any, lat: Any) -> tuple[Floats, Floats]:
        """Arrays of degrees to (x, y) in metres; NaN stays NaN. O(n)."""
        lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
        if self._local:
            lat0, lon0, east, north = self._local
            x, y = (lon - lon0) * east, (lat - lat0) * north
        else:
            fwd, _, unit = self._transformers
            x, y = fwd.transform(lon, lat)
            bad = ~np.isfinite(x)
            x, y = np.where(bad, np.nan, x * unit), np.where(bad, np.nan, y * unit)
        if not self.turned:
            return x, y
        c, s = self._turn
        return c * x + s * y, c * y - s * x

    def to_degrees(self, x: Any, y: Any) -> tuple[Floats, Floats]:
        """Arrays of metres to (lon, lat); NaN stays NaN. O(n)."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if self.turned:
            c, s = self._turn
            x, y = c * x - s * y, s * x + c * y
        if self._local:
            lat0, lon0, east, north = self._local
            return x / east + lon0, y / north + lat0
        _, back, unit = self._transformers
        lon, lat = back.transform(x / unit, y / unit)
        return np.asarray(lon), np.asarray(lat)


def positions(frame: pl.DataFrame) -> tuple[Floats, Floats]:
    """The ``lon`` and ``lat`` columns as float arrays; a missing position, or one that is none on earth, is NaN.

    Raises:
        BadInput: the frame has no such columns, or they hold no numbers.
    """
    missing = [c for c in ("lon", "lat") if c not in frame.columns]
    if missing:
        raise BadInput(f"The frame has no column {missing[0]!r}; it needs 'lon' and 'lat' in WGS84 degrees. It has: {', '.join(frame.columns)}.")
    for c in ("lon", "lat"):
        if not (frame.schema[c].is_numeric() or frame.schema[c] == pl.Null):
            raise BadInput(f"Column {c!r} is {frame.schema[c]}, not a number; it must be WGS84 degrees.")
    lon, lat = (_degrees(frame[c].cast(pl.Float64), most) for c, most in (("lon", 180.0), ("lat", 90.0)))
    return lon, lat


def _degrees(values: pl.Series, most: float) -> Floats:
    low, high = values.min(), values.max()
    if isinstance(low, float) and isinstance(high, float) and (low < -most or high > most):
        values = pl.select(pl.when(values.abs() <= most).then(values)).to_series()
    out: Floats = values.fill_null(float("nan")).to_numpy()
    return out

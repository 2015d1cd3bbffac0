"""Where things are: degrees <-> metres, the grid, and polygons. The only room that knows degrees.

Positions travel as WGS84 ``lon``/``lat`` columns; every distance in a model is in metres on a local plane. The plane
is an equirectangular projection about a reference point with the ellipsoid's own radii of curvature there (Snyder,
*Map Projections - A Working Manual*, USGS Professional Paper 1395, 1987, eq. 4-18 to 4-20): within 30 km of the reference
point lengths are right to about 0.3 %. An agency that needs survey accuracy names a projected CRS ("EPSG:26971") instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_A, _E2 = 6378137.0, 0.0066943799901413165  # WGS84: semi-major axis in metres, first eccentricity squared


@dataclass(frozen=True)
class Plane:
    """A flat metre plane. ``crs`` is ``"local:<lat>,<lon>"`` (default, no extra library) or any projected CRS pyproj knows.

    Raises:
        BadInput: the CRS is unknown or its axes are not metres or feet.
    """

    crs: str

    @classmethod
    def local(cls, lat: float, lon: float) -> Plane:
        """The equirectangular plane about one point; easting/northing 0, 0 lie there."""
        return cls(f"local:{lat:.6f},{lon:.6f}")

    @cached_property
    def _local(self) -> tuple[float, float, float, float] | None:
        if not self.crs.startswith("local:"):
            return None
        try:
            lat, lon = (float(v) for v in self.crs[6:].split(","))
        except ValueError:
            raise BadInput(f"CRS {self.crs!r} is not readable; write 'local:41.88,-87.63' (lat, lon) or 'EPSG:26971'.") from None
        s2 = math.sin(math.radians(lat)) ** 2
        north = math.radians(1) * _A * (1 - _E2) / (1 - _E2 * s2) ** 1.5
        east = math.radians(1) * _A / math.sqrt(1 - _E2 * s2) * math.cos(math.radians(lat))
        return lat, lon, east, north

    @cached_property
    def _transformers(self) -> tuple[Any, Any, float]:
        from pyproj import CRS, Transformer
        from pyproj.exceptions import CRSError

        try:
            crs = CRS.from_user_input(self.crs)
        except CRSError:
            raise BadInput(f"CRS {self.crs!r} is not known; write e.g. 'EPSG:26971' or 'local:41.88,-87.63'.") from None
        if not crs.is_projected:
            raise BadInput(f"CRS {self.crs!r} is not a projected one, so it has no metres; use a state plane or UTM zone.")
        unit = crs.axis_info[0].unit_conversion_factor
        return Transformer.from_crs(4326, crs, always_xy=True), Transformer.from_crs(crs, 4326, always_xy=True), unit

    def to_metres(self, lon: Any, lat: Any) -> tuple[Floats, Floats]:
        """Arrays of degrees to (x, y) in metres; NaN stays NaN. O(n)."""
        lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
        if self._local:
            lat0, lon0, east, north = self._local
            return (lon - lon0) * east, (lat - lat0) * north
        fwd, _, unit = self._transformers
        x, y = fwd.transform(lon, lat)
        bad = ~np.isfinite(x)
        return np.where(bad, np.nan, x * unit), np.where(bad, np.nan, y * unit)

    def to_degrees(self, x: Any, y: Any) -> tuple[Floats, Floats]:
        """Arrays of metres to (lon, lat); NaN stays NaN. O(n)."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if self._local:
            lat0, lon0, east, north = self._local
            return x / east + lon0, y / north + lat0
        _, back, unit = self._transformers
        lon, lat = back.transform(x / unit, y / unit)
        return np.asarray(lon), np.asarray(lat)


def positions(frame: pl.DataFrame) -> tuple[Floats, Floats]:
    """The ``lon`` and ``lat`` columns as float arrays; a missing position is NaN.

    Raises:
        BadInput: the frame has no such columns.
    """
    missing = [c for c in ("lon", "lat") if c not in frame.columns]
    if missing:
        raise BadInput(f"The frame has no column {missing[0]!r}; it needs 'lon' and 'lat' in WGS84 degrees. It has: {', '.join(frame.columns)}.")
    lon, lat = (frame[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in ("lon", "lat"))
    return lon, lat


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


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of equal square cells on a metre plane, numbered row by row from the south-west: ``cell = row * nx + column``.

    Args:
        plane: the metre plane.
        x0, y0: south-west corner, metres on that plane.
        nx, ny: columns and rows.
        cell: side of a cell in metres.
        inside: which cells belong to the study area, bool of shape (ny * nx,); all by default.
    """

    plane: Plane
    x0: float
    y0: float
    nx: int
    ny: int
    cell: float
    inside: np.ndarray[Any, np.dtype[np.bool_]] = field(default=None, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not (self.cell > 0 and math.isfinite(self.cell)):
            raise BadInput(f"A cell of {self.cell!r} m is not possible; give a side in metres, e.g. cell=250.")
        if self.nx * self.ny > 4_000_000:
            raise BadInput(f"{self.nx} x {self.ny} cells are more than 4,000,000; choose a larger cell than {self.cell:g} m or a smaller area.")
        if self.inside is None:
            object.__setattr__(self, "inside", np.ones(self.nx * self.ny, dtype=bool))

    @classmethod
    def around(cls, frame: pl.DataFrame, *, cell: float = 250.0, crs: str | None = None, margin: float = 0.0) -> Grid:
        """The grid that just covers a frame's positions.

        Raises:
            CannotTell: no row has a position.
            BadInput: cell is not positive, or the points lie so far apart that the grid would exceed 4,000,000 cells.
        """
        lon, lat = positions(frame)
        ok = np.isfinite(lon) & np.isfinite(lat)
        if not ok.any():
            raise CannotTell(f"None of the {len(frame)} rows has a position, so there is no area to lay a grid over; give an area or rows with lon and lat.")
        lon, lat = lon[ok], lat[ok]
        plane = Plane(crs) if crs else Plane.local(round(float(np.median(lat)), 3), round(float(np.median(lon)), 3))
        x, y = plane.to_metres(lon, lat)
        return cls._covering(plane, float(x.min()) - margin, float(y.min()) - margin, float(x.max()) + margin, float(y.max()) + margin, cell)

    @classmethod
    def over(cls, area: Polygon, *, cell: float = 250.0, crs: str | None = None) -> Grid:
        """The grid over a study area; cells whose centre lies outside it are not ``inside``."""
        w, s, e, n = area.bounds
        plane = Plane(crs) if crs else Plane.local(round((s + n) / 2, 3), round((w + e) / 2, 3))
        every = np.concatenate(area.rings)
        x, y = plane.to_metres(every[:, 0], every[:, 1])
        grid = cls._covering(plane, float(x.min()), float(y.min()), float(x.max()), float(y.max()), cell)
        lon, lat = grid.centres()
        return cls(plane, grid.x0, grid.y0, grid.nx, grid.ny, grid.cell, area.contains(lon, lat))

    @classmethod
    def _covering(cls, plane: Plane, x0: float, y0: float, x1: float, y1: float, cell: float) -> Grid:
        if not (cell > 0 and math.isfinite(cell)):
            raise BadInput(f"A cell of {cell!r} m is not possible; give a side in metres, e.g. cell=250.")
        x0, y0 = math.floor(x0 / cell) * cell, math.floor(y0 / cell) * cell
        return cls(plane, x0, y0, int((x1 - x0) // cell) + 1, int((y1 - y0) // cell) + 1, float(cell))

    def __len__(self) -> int:
        return self.nx * self.ny

    @property
    def n_inside(self) -> int:
        """How many cells belong to the study area."""
        return int(self.inside.sum())

    @property
    def area_km2(self) -> float:
        """Area of the cells inside, square kilometres."""
        return self.n_inside * self.cell**2 / 1e6

    def metres(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """(x, y) of a frame's rows on this grid's plane, NaN where a row has no position."""
        return self.plane.to_metres(*positions(frame))

    def index(self, x: Any, y: Any) -> Ints:
        """Cell number of points in metres, -1 outside the grid or the study area. O(n)."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        with np.errstate(invalid="ignore"):
            col, row = np.floor((x - self.x0) / self.cell), np.floor((y - self.y0) / self.cell)
            ok = (col >= 0) & (col < self.nx) & (row >= 0) & (row < self.ny)
        out = np.full(x.shape, -1, dtype=np.int64)
        out[ok] = (row[ok] * self.nx + col[ok]).astype(np.int64)
        out[ok & ~self.inside[np.maximum(out, 0)]] = -1
        return out

    def locate(self, frame: pl.DataFrame) -> Ints:
        """Cell number of each row of a frame, -1 for rows without a position or outside. O(n)."""
        return self.index(*self.metres(frame))

    def count(self, frame: pl.DataFrame) -> Ints:
        """Rows of a frame in each cell, shape (len(grid),). O(n)."""
        at = self.locate(frame)
        return np.bincount(at[at >= 0], minlength=len(self)).astype(np.int64)

    def centres_metres(self) -> tuple[Floats, Floats]:
        """(x, y) of every cell's centre in metres, each of shape (len(grid),)."""
        at = np.arange(len(self), dtype=np.float64)
        return self.x0 + (at % self.nx + 0.5) * self.cell, self.y0 + (at // self.nx + 0.5) * self.cell

    def centres(self) -> tuple[Floats, Floats]:
        """(lon, lat) of every cell's centre, each of shape (len(grid),)."""
        return self.plane.to_degrees(*self.centres_metres())

    def corners(self, cells: Sequence[int] | Ints) -> Floats:
        """(lon, lat) of the four corners of some cells from the south-west anticlockwise, shape (len(cells), 4, 2)."""
        at = np.asarray(cells, dtype=np.int64)
        x = self.x0 + (at % self.nx) * self.cell
        y = self.y0 + (at // self.nx) * self.cell
        xs = np.stack([x, x + self.cell, x + self.cell, x], axis=1)
        ys = np.stack([y, y, y + self.cell, y + self.cell], axis=1)
        lon, lat = self.plane.to_degrees(xs, ys)
        return np.stack([lon, lat], axis=2)

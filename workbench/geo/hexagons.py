"""A tiling of equal regular hexagons: every neighbour shares an edge, and the corner of a tile is less far from its middle than a square's.

Numbered row by row; every second row is set off by half a hexagon. A point's hexagon is found by rounding cube coordinates (A. Patel, "Hexagonal
grids", Red Blob Games, 2013, section "Rounding"; C. P. D. Birch, S. P. Oom, J. A. Beecham, "Rectangular and hexagonal grids used for observation,
experiment and simulation in ecology", Ecological Modelling 206, 2007, 347-359, doi:10.1016/j.ecolmodel.2007.03.041).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo.grid import Grid
from workbench.geo.plane import Floats, Ints, Plane, positions
from workbench.geo.polygon import Polygon
from workbench.geo.tiles import Tiles

_ROOT3 = math.sqrt(3.0)
_MOST = 4_000_000


@dataclass(frozen=True, eq=False)
class Hexagons(Tiles):
    """Regular hexagons on a metre plane: hexagon ``row * nx + column``.

    Args:
        plane: the metre plane; a turned plane turns the hexagons.
        x0, y0: middle of hexagon 0, metres.
        nx, ny: hexagons a row, and rows.
        side: length of a side (also the distance from the middle to a corner), metres.
        flat: a side lies on top (rows run upwards); else a corner does (rows run eastwards).
        inside: which belong to the study area, bool of shape (nx * ny,); all by default.
    """

    plane: Plane
    x0: float
    y0: float
    nx: int
    ny: int
    side: float
    flat: bool = False
    inside: np.ndarray[Any, np.dtype[np.bool_]] = field(default=None, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not (self.side > 0 and math.isfinite(self.side)):
            raise BadInput(f"A hexagon with a side of {self.side!r} m is not possible; give side= in metres, or area= in square metres.")
        if not 0 < self.nx * self.ny <= _MOST:
            raise BadInput(f"{self.nx} x {self.ny} hexagons are not possible (at most {_MOST:,}); choose a longer side than {self.side:g} m or a smaller area.")
        if self.inside is None:
            object.__setattr__(self, "inside", np.ones(self.nx * self.ny, dtype=bool))

    @classmethod
    def around(cls, frame: pl.DataFrame, *, side: float | None = None, area: float | None = None, flat: bool = False, crs: str | None = None,
               turned: float | None = None) -> Hexagons:
        """The hexagons that just cover a frame's positions.

        Args:
            side: metres; or ``area``: square metres of a hexagon (62,500 by default, as a square of 250 m).
            turned: by how many degrees the tiling is turned anticlockwise.

        Raises:
            CannotTell: no row has a position. BadInput: side or area is no size, or there would be too many.
        """
        lon, lat = positions(frame)
        ok = np.isfinite(lon) & np.isfinite(lat)
        if not ok.any():
            raise CannotTell(f"None of the {len(frame)} rows has a position, so there is no area to lay hexagons over; give an area or rows with lon and lat.")
        lon, lat = lon[ok], lat[ok]
        plane = _plane(crs, turned, float(np.median(lat)), float(np.median(lon)))
        return cls._covering(plane, *plane.to_metres(lon, lat), _side(side, area), flat)

    @classmethod
    def over(cls, area_of: Polygon, *, side: float | None = None, area: float | None = None, flat: bool = False, crs: str | None = None,
             turned: float | None = None) -> Hexagons:
        """The hexagons over a study area; those whose middle lies outside it are not ``inside``. Arguments as for ``around``."""
        w, s, e, n = area_of.bounds
        plane = _plane(crs, turned, (s + n) / 2, (w + e) / 2)
        every = np.concatenate(area_of.rings)
        made = cls._covering(plane, *plane.to_metres(every[:, 0], every[:, 1]), _side(side, area), flat)
        return replace(made, inside=area_of.contains(*made.centres()))

    @classmethod
    def on(cls, grid: Grid, *, side: float | None = None, area: float | None = None, flat: bool = False) -> Hexagons:
        """The hexagons over a grid of squares, of the same area each by default; inside are those whose middle lies in a cell of the study area."""
        x, y = np.array([grid.x0, grid.x0 + grid.nx * grid.cell]), np.array([grid.y0, grid.y0 + grid.ny * grid.cell])
        made = cls._covering(grid.plane, x, y, _side(side, grid.cell**2 if area is None and side is None else area), flat)
        return replace(made, inside=grid.index(*made.centres_metres()) >= 0)

    @classmethod
    def _covering(cls, plane: Plane, x: Floats, y: Floats, side: float, flat: bool) -> Hexagons:
        if flat:
            x, y = y, x
        wide, tall = _ROOT3 * side, 1.5 * side
        x0, y0 = math.floor(float(np.min(x)) / wide) * wide, math.floor(float(np.min(y)) / tall) * tall
        nx, ny = math.ceil((float(np.max(x)) - x0) / wide + 0.5) + 1, math.ceil((float(np.max(y)) - y0) / tall + 2 / 3) + 1
        return cls(plane, y0 if flat else x0, x0 if flat else y0, nx, ny, side, flat)

    @property
    def hexagon_m2(self) -> float:
        """Square metres of one hexagon."""
        return 1.5 * _ROOT3 * self.side**2

    @property
    def area_m2(self) -> Floats:
        """Square metres of each, 0 outside the study area, shape (hexagons,)."""
        return np.where(self.inside, self.hexagon_m2, 0.0)

    @property
    def area_km2(self) -> float:
        """Area of those inside, square kilometres."""
        return self.n_inside * self.hexagon_m2 / 1e6

    def index(self, x: Any, y: Any) -> Ints:
        """Hexagon of points in metres, -1 outside the tiling or the study area. O(n)."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        u, v = ((y - self.y0), (x - self.x0)) if self.flat else ((x - self.x0), (y - self.y0))
        with np.errstate(invalid="ignore"):
            r = v / (1.5 * self.side)
            q = u / (_ROOT3 * self.side) - r / 2
            s = -q - r
            rq, rr, rs = np.round(q), np.round(r), np.round(s)
            dq, dr, ds = np.abs(rq - q), np.abs(rr - r), np.abs(rs - s)
            first, second = (dq > dr) & (dq > ds), dr > ds
            rq, rr = np.where(first, -rr - rs, rq), np.where(~first & second, -rq - rs, rr)
            column = rq + np.floor(rr / 2)
            ok = (column >= 0) & (column < self.nx) & (rr >= 0) & (rr < self.ny)
        return self._numbered(column, rr, ok)

    def centres_metres(self) -> tuple[Floats, Floats]:
        """(x, y) of every hexagon's middle in metres."""
        row, column = np.divmod(np.arange(len(self), dtype=np.int64), self.nx)
        u, v = _ROOT3 * self.side * (column + 0.5 * (row % 2)), 1.5 * self.side * row
        return (self.x0 + v, self.y0 + u) if self.flat else (self.x0 + u, self.y0 + v)

    def corners(self, tiles: Sequence[int] | Ints) -> Floats:
        """(lon, lat) of the six corners of some hexagons, anticlockwise, shape (len(tiles), 6, 2)."""
        at = np.asarray(tiles, dtype=np.int64)
        x, y = (v[at] for v in self.centres_metres())
        turn = np.radians(60.0 * np.arange(6) + (0.0 if self.flat else 30.0))
        lon, lat = self.plane.to_degrees(x[:, None] + self.side * np.cos(turn), y[:, None] + self.side * np.sin(turn))
        return np.stack([lon, lat], axis=2)

    def polygons(self, tiles: Sequence[int] | Ints) -> tuple[Polygon, ...]:
        """Some hexagons as closed polygons."""
        at = self.corners(tiles)
        return tuple(Polygon((np.concatenate([ring, ring[:1]]),)) for ring in at)


def _plane(crs: str | None, turned: float | None, lat: float, lon: float) -> Plane:
    plane = Plane(crs) if crs else Plane.local(round(lat, 3), round(lon, 3))
    return plane if turned is None else plane.turn(turned)


def _side(side: float | None, area: float | None) -> float:
    if side is not None and area is not None:
        raise BadInput(f"side={side!r} and area={area!r} were both given; give one of them.")
    size = side if side is not None else 62_500.0 if area is None else area
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 < size < math.inf:
        raise BadInput(f"{'side' if side is not None else 'area'}={size!r} is no size of a hexagon; give side= in metres, or area= in square metres.")
    return float(size) if side is not None else math.sqrt(size / (1.5 * _ROOT3))

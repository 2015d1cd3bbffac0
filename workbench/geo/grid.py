"""The grid of equal square cells that surfaces and counts are made on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo.plane import Floats, Ints, Plane, positions
from workbench.geo.polygon import Polygon
from workbench.geo.tiles import Tiles


@dataclass(frozen=True, eq=False)
class Grid(Tiles):
    """A grid of equal square cells on a metre plane, numbered row by row from the corner of the least x and y (the south-west,
    unless the plane is turned): ``cell = row * nx + column``.

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
    def around(cls, frame: pl.DataFrame, *, cell: float = 250.0, crs: str | None = None, margin: float = 0.0, turned: float | None = None) -> Grid:
        """The grid that just covers a frame's positions; ``turned`` by some degrees anticlockwise, so that rows may run along the streets.

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
        plane = plane if turned is None else plane.turn(turned)
        x, y = plane.to_metres(lon, lat)
        return cls._covering(plane, float(x.min()) - margin, float(y.min()) - margin, float(x.max()) + margin, float(y.max()) + margin, cell)

    @classmethod
    def over(cls, area: Polygon, *, cell: float = 250.0, crs: str | None = None, turned: float | None = None) -> Grid:
        """The grid over a study area; cells whose centre lies outside it are not ``inside``. ``turned``: see ``around``."""
        w, s, e, n = area.bounds
        plane = Plane(crs) if crs else Plane.local(round((s + n) / 2, 3), round((w + e) / 2, 3))
        plane = plane if turned is None else plane.turn(turned)
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

    @property
    def area_km2(self) -> float:
        """Area of the cells inside, square kilometres."""
        return self.n_inside * self.cell**2 / 1e6

    def index(self, x: Any, y: Any) -> Ints:
        """Cell number of points in metres, -1 outside the grid or the study area. O(n)."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        with np.errstate(invalid="ignore"):
            col, row = np.floor((x - self.x0) / self.cell), np.floor((y - self.y0) / self.cell)
            ok = (col >= 0) & (col < self.nx) & (row >= 0) & (row < self.ny)
        return self._numbered(col, row, ok)

    @property
    def area_m2(self) -> Floats:
        """Area of each cell in square metres, shape (len(grid),), 0 outside the study area."""
        return np.where(self.inside, self.cell**2, 0.0)

    def centres_metres(self) -> tuple[Floats, Floats]:
        """(x, y) of every cell's centre in metres, each of shape (len(grid),)."""
        at = np.arange(len(self), dtype=np.float64)
        return self.x0 + (at % self.nx + 0.5) * self.cell, self.y0 + (at // self.nx + 0.5) * self.cell

    def corners(self, cells: Sequence[int] | Ints) -> Floats:
        """(lon, lat) of the four corners of some cells anticlockwise from the one at the least x and y, shape (len(cells), 4, 2)."""
        at = np.asarray(cells, dtype=np.int64)
        x = self.x0 + (at % self.nx) * self.cell
        y = self.y0 + (at // self.nx) * self.cell
        xs = np.stack([x, x + self.cell, x + self.cell, x], axis=1)
        ys = np.stack([y, y, y + self.cell, y + self.cell], axis=1)
        lon, lat = self.plane.to_degrees(xs, ys)
        return np.stack([lon, lat], axis=2)

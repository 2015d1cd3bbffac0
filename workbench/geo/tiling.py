"""What a tiling is: the parts of an area that a forecast is made for and scored on, squares (``Grid``), hexagons or pieces of street."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo.grid import Grid
from workbench.geo.plane import Floats, Ints, Plane


class Tiling(Protocol):
    """Tiles numbered from 0, of which those ``inside`` belong to the study area."""

    @property
    def plane(self) -> Plane:
        """The metre plane."""

    @property
    def inside(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which tiles belong to the study area, shape (tiles,)."""

    @property
    def n_inside(self) -> int:
        """How many do."""

    @property
    def area_m2(self) -> Floats:
        """Square metres of each tile, 0 for one outside the study area, shape (tiles,)."""

    def __len__(self) -> int:
        """How many tiles there are."""

    def index(self, x: Any, y: Any) -> Ints:
        """Tile of points in metres, -1 for one in no tile of the study area."""

    def locate(self, frame: pl.DataFrame) -> Ints:
        """Tile of each row of a frame with lon and lat, -1 where there is none."""

    def count(self, frame: pl.DataFrame) -> Ints:
        """Rows of a frame in each tile, shape (tiles,)."""

    def centres(self) -> tuple[Floats, Floats]:
        """(lon, lat) of each tile's middle."""


def from_squares(tiling: Any, grid: Grid, expected: Floats, *, fine: int = 12) -> Floats:
    """A forecast on squares summed onto another tiling, shape (tiles,); the total stays as it is.

    Args:
        tiling: ``Hexagons`` or ``Segments``; on any other, and on these, a square's value goes to the tiles in proportion to how much of it they take:
            for streets their length in it, else their area. A square in which no tile lies gives to the tile nearest to its middle.
        grid: the squares.
        expected: one value a square, shape (len(grid),).
        fine: areas are measured by ``fine`` x ``fine`` points a square (an error of about 1 in 40 of a square's own value with 12).

    Raises:
        BadInput: shapes do not fit. Cost: O(squares with a value x fine^2).
    """
    values = np.asarray(expected, dtype=np.float64)
    if values.shape != (len(grid),):
        raise BadInput(f"expected has shape {values.shape}; the grid has {len(grid)} cells.")
    cells, tiles, weights = tiling.samples(grid) if hasattr(tiling, "samples") else _by_area(tiling, grid, np.flatnonzero(values), fine)
    whole = np.bincount(cells, weights=weights, minlength=len(grid))
    share = weights / whole[cells]
    out: Floats = np.bincount(tiles, weights=share * values[cells], minlength=len(tiling)).astype(float)
    left = np.flatnonzero((whole <= 0) & (values != 0))
    if len(left):
        np.add.at(out, _nearest(tiling, grid, left), values[left])
    return out


def _by_area(tiling: Any, grid: Grid, cells: Ints, fine: int) -> tuple[Ints, Ints, Floats]:
    """(cell, tile, weight) of points laid evenly over some squares, those in no tile left out."""
    step = (np.arange(fine) + 0.5) / fine * grid.cell
    dx, dy = (v.ravel() for v in np.meshgrid(step, step))
    at_cell, at_tile = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    many = max(1, 2_000_000 // (fine * fine))
    for a in range(0, len(cells), many):
        some = cells[a : a + many]
        x = grid.x0 + (some % grid.nx)[:, None] * grid.cell + dx
        y = grid.y0 + (some // grid.nx)[:, None] * grid.cell + dy
        tile = tiling.index(*_onto(grid.plane, tiling.plane, x.ravel(), y.ravel()))
        ok = tile >= 0
        at_cell.append(np.repeat(some, fine * fine)[ok])
        at_tile.append(tile[ok])
    cell, tile = np.concatenate(at_cell), np.concatenate(at_tile)
    both, n = np.unique(cell * len(tiling) + tile, return_counts=True)
    return both // len(tiling), both % len(tiling), n.astype(float)


def _onto(here: Plane, there: Plane, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    return (x, y) if here == there else there.to_metres(*here.to_degrees(x, y))


def _nearest(tiling: Any, grid: Grid, cells: Ints) -> Ints:
    """The tile of the study area whose middle is nearest to each square's, by direct comparison. O(cells x tiles)."""
    inside = np.flatnonzero(tiling.inside)
    if not len(inside):
        raise BadInput("No tile lies in the study area, so there is nothing to sum onto.")
    mx, my = tiling.plane.to_metres(*(v[inside] for v in tiling.centres()))
    cx, cy = _onto(grid.plane, tiling.plane, *(v[cells] for v in grid.centres_metres()))
    out = np.empty(len(cells), dtype=np.int64)
    many = max(1, 4_000_000 // len(inside))
    for a in range(0, len(cells), many):
        out[a : a + many] = inside[np.argmin((cx[a : a + many, None] - mx) ** 2 + (cy[a : a + many, None] - my) ** 2, axis=1)]
    return out

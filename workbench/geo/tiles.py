"""What squares and hexagons have in common: tiles in rows on a metre plane, found by ``index`` and with middles at ``centres_metres``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.geo.plane import Floats, Ints, Plane, positions


class Tiles:
    """The methods; ``Grid`` and ``Hexagons`` bring the fields and where a tile lies."""

    if TYPE_CHECKING:
        plane: Plane
        nx: int
        ny: int
        inside: np.ndarray[Any, np.dtype[np.bool_]]

        def index(self, x: Any, y: Any) -> Ints:
            """Number of the tile of points in metres, -1 where there is none."""

        def centres_metres(self) -> tuple[Floats, Floats]:
            """(x, y) of every tile's middle in metres."""

    def __len__(self) -> int:
        return self.nx * self.ny

    @property
    def n_inside(self) -> int:
        """How many tiles belong to the study area."""
        return int(self.inside.sum())

    def metres(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """(x, y) of a frame's rows on this tiling's plane, NaN where a row has no position."""
        return self.plane.to_metres(*positions(frame))

    def locate(self, frame: pl.DataFrame) -> Ints:
        """Number of the tile of each row of a frame, -1 for rows without a position or outside. O(n)."""
        return self.index(*self.metres(frame))

    def count(self, frame: pl.DataFrame) -> Ints:
        """Rows of a frame in each tile, shape (tiles,). O(n)."""
        at = self.locate(frame)
        return np.bincount(at[at >= 0], minlength=len(self)).astype(np.int64)

    def centres(self) -> tuple[Floats, Floats]:
        """(lon, lat) of every tile's middle, each of shape (tiles,)."""
        return self.plane.to_degrees(*self.centres_metres())

    def _numbered(self, column: Any, row: Any, ok: Any) -> Ints:
        """``row * nx + column`` where it is a tile of the study area, else -1."""
        out = np.full(np.shape(column), -1, dtype=np.int64)
        out[ok] = (row[ok] * self.nx + column[ok]).astype(np.int64)
        out[ok & ~self.inside[np.maximum(out, 0)]] = -1
        return out

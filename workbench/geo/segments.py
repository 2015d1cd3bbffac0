"""Pieces of street as a tiling ("lixels"): each street cut into equal pieces of at most some length; a point belongs to the piece it is nearest to.

Source: Z. Xie and J. Yan, "Kernel density estimation of traffic accidents in a network space", Computers, Environment and Urban Systems 32, 2008,
396-406, doi:10.1016/j.compenvurbsys.2008.05.001.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo.grid import Grid
from workbench.geo.network import Placed, StreetNetwork
from workbench.geo.plane import Floats, Ints, Plane, positions
from workbench.geo.polygon import Polygon

_MOST = 20_000_000


@dataclass(frozen=True, eq=False)
class Segments:
    """The pieces, segment by segment in the network's order.

    Args:
        network: the streets.
        longest: pieces are at most so many metres; infinite (default): whole segments, corner to corner.
        width: metres of street for which a piece stands, for its area; 1 (default): its area is its length.
        limit: points farther than so many metres from any street belong to none.
        keep: which pieces belong to the study area, bool of shape (pieces,); all by default.
    """

    network: StreetNetwork
    longest: float = math.inf
    width: float = 1.0
    limit: float = 100.0
    keep: np.ndarray[Any, np.dtype[np.bool_]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("longest", self.longest), ("width", self.width), ("limit", self.limit)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise BadInput(f"{name}={value!r} does not do; give metres above 0.")
        if float(np.ceil(self.network.length / self.longest).sum()) > _MOST:
            raise BadInput(f"Pieces of at most {self.longest:g} m would be more than {_MOST:,}; choose longer ones.")

    @cached_property
    def first(self) -> Ints:
        """Number of each segment's first piece, shape (segments + 1,)."""
        many = np.maximum(1, np.ceil(self.network.length / self.longest - 1e-9)).astype(np.int64)
        return np.concatenate([[0], np.cumsum(many)]).astype(np.int64)

    @cached_property
    def segment(self) -> Ints:
        """The segment of each piece, shape (pieces,)."""
        return np.repeat(np.arange(len(self.network)), np.diff(self.first)).astype(np.int64)

    @cached_property
    def length(self) -> Floats:
        """Metres of each piece, shape (pieces,)."""
        return np.repeat(self.network.length / np.diff(self.first), np.diff(self.first))

    @property
    def plane(self) -> Plane:
        """The metre plane."""
        return self.network.plane

    @cached_property
    def inside(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which pieces belong to the study area, shape (pieces,)."""
        return np.ones(len(self), dtype=bool) if self.keep is None else np.asarray(self.keep, dtype=bool)

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def n_inside(self) -> int:
        """How many pieces belong to the study area."""
        return int(self.inside.sum())

    @property
    def area_m2(self) -> Floats:
        """Length times ``width`` of each piece, 0 outside the study area; with the default width of 1 its metres."""
        return np.where(self.inside, self.length * self.width, 0.0)

    def tiles(self, placed: Placed) -> Ints:
        """The piece of each place on the network, -1 for none. O(n)."""
        s = np.maximum(placed.segment, 0)
        many = np.diff(self.first)[s]
        tile = self.first[s] + np.minimum((placed.at * many).astype(np.int64), many - 1)
        return np.where((placed.segment >= 0) & self.inside[tile], tile, -1).astype(np.int64)

    def index(self, x: Any, y: Any) -> Ints:
        """The piece nearest to points in metres, -1 where no street is within ``limit``."""
        shape = np.shape(x)
        return self.tiles(self.network.snap(x, y, limit=self.limit)).reshape(shape)

    def locate(self, frame: pl.DataFrame) -> Ints:
        """The piece of each row of a frame, -1 for rows without a position or far from every street."""
        return self.index(*self.plane.to_metres(*positions(frame)))

    def count(self, frame: pl.DataFrame) -> Ints:
        """Rows of a frame on each piece, shape (pieces,)."""
        at = self.locate(frame)
        return np.bincount(at[at >= 0], minlength=len(self)).astype(np.int64)

    def spots(self, per: int = 1) -> tuple[Floats, Floats]:
        """(x, y) in metres of ``per`` points spread evenly along each piece, piece by piece, shape (pieces * per,)."""
        within = (np.arange(len(self)) - self.first[self.segment])[:, None] + (np.arange(per) + 0.5) / per
        at = within / np.diff(self.first)[self.segment][:, None]
        return self.network.spots(np.repeat(self.segment, per), at.ravel())

    def centres_metres(self) -> tuple[Floats, Floats]:
        """(x, y) of every piece's middle in metres."""
        return self.spots()

    def centres(self) -> tuple[Floats, Floats]:
        """(lon, lat) of every piece's middle."""
        return self.plane.to_degrees(*self.spots())

    def samples(self, grid: Grid, *, step: float | None = None) -> tuple[Ints, Ints, Floats]:
        """(cell, piece, metres): how much of each piece inside lies in each cell of a grid, by points at most ``step`` metres apart (an eighth of a cell)."""
        apart = grid.cell / 8 if step is None else step
        per = np.maximum(1, np.ceil(self.length / apart)).astype(np.int64)
        piece = np.repeat(np.arange(len(self)), per)
        nth = np.arange(len(piece)) - np.repeat(np.cumsum(per) - per, per)
        within = (piece - self.first[self.segment[piece]]) + (nth + 0.5) / per[piece]
        x, y = self.network.spots(self.segment[piece], within / np.diff(self.first)[self.segment[piece]])
        if grid.plane != self.plane:
            x, y = grid.plane.to_metres(*self.plane.to_degrees(x, y))
        cell = grid.index(x, y)
        ok = (cell >= 0) & self.inside[piece]
        both, back = np.unique(cell[ok] * len(self) + piece[ok], return_inverse=True)
        metres: Floats = np.bincount(back.ravel(), weights=(self.length / per)[piece[ok]], minlength=len(both)).astype(float)
        return both // len(self), both % len(self), metres

    def paths(self, tiles: Sequence[int] | Ints) -> list[Floats]:
        """(lon, lat) along some pieces, each of shape (k, 2), bends included."""
        net, (_, along) = self.network, self.network._pieces
        out = []
        for t in np.asarray(tiles, dtype=np.int64).tolist():
            s = int(self.segment[t])
            a, b = int(net.starts[s]), int(net.starts[s + 1])
            low, high = (t - int(self.first[s])) * float(self.length[t]), (t - int(self.first[s]) + 1) * float(self.length[t])
            run = along[a:b]
            bends = run[(run > low + 1e-6) & (run < high - 1e-6)]
            at = np.concatenate([[low], bends, [high]])
            out.append(np.stack(net.plane.to_degrees(np.interp(at, run, net.vx[a:b]), np.interp(at, run, net.vy[a:b])), axis=1))
        return out

    def polygons(self, tiles: Sequence[int] | Ints, *, wide: float = 12.0) -> tuple[Polygon, ...]:
        """Some pieces as ribbons ``wide`` metres across, for drawing."""
        out = []
        for path in self.paths(tiles):
            x, y = self.plane.to_metres(path[:, 0], path[:, 1])
            dx, dy = np.gradient(x), np.gradient(y)
            long = np.maximum(np.hypot(dx, dy), 1e-9)
            ox, oy = -dy / long * wide / 2, dx / long * wide / 2
            lon, lat = self.plane.to_degrees(np.concatenate([x + ox, (x - ox)[::-1], x[:1] + ox[:1]]), np.concatenate([y + oy, (y - oy)[::-1], y[:1] + oy[:1]]))
            out.append(Polygon((np.stack([lon, lat], axis=1),)))
        return tuple(out)

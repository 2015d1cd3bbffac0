"""Square or oblong tiles of any size, direction and origin, and scores of places that are summed onto them: what the NIJ mode searches over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.geo import Floats, Grid, Ints, Plane

FOOT = 0.3048


@dataclass(frozen=True)
class Tiling:
    """Equal oblong tiles on a metre plane, numbered row by row in a frame of axes turned anticlockwise.

    Args:
        width, height: of a tile, metres.
        turned: degrees anticlockwise from the plane's axes.
        u0, v0: corner of tile 0 in the turned frame, metres.
        nu, nv: tiles along the two axes.
    """

    width: float
    height: float
    turned: float
    u0: float
    v0: float
    nu: int
    nv: int

    @classmethod
    def over(cls, x: Floats, y: Floats, width: float, height: float, turned: float, shift: tuple[float, float]) -> Tiling:
        """The tiles that cover the points, shifted by parts of a tile."""
        u, v = _turn(x, y, turned)
        u0, v0 = (math.floor(float(a.min()) / s - s_) * s + s_ * s for a, s, s_ in ((u, width, shift[0]), (v, height, shift[1])))
        return cls(width, height, turned, u0, v0, int((float(u.max()) - u0) // width) + 1, int((float(v.max()) - v0) // height) + 1)

    def __len__(self) -> int:
        return self.nu * self.nv

    @property
    def area(self) -> float:
        """Of a tile, square metres."""
        return self.width * self.height

    def index(self, x: Any, y: Any) -> Ints:
        """Tile of each point, -1 outside. O(n)."""
        u, v = _turn(np.asarray(x, dtype=float), np.asarray(y, dtype=float), self.turned)
        i, j = np.floor((u - self.u0) / self.width), np.floor((v - self.v0) / self.height)
        ok = (i >= 0) & (i < self.nu) & (j >= 0) & (j < self.nv)
        out = np.full(len(i), -1, dtype=np.int64)
        out[ok] = (j[ok] * self.nu + i[ok]).astype(np.int64)
        return out

    def points(self, tiles: Ints, across: int = 1) -> tuple[Floats, Floats]:
        """(x, y) of ``across`` x ``across`` points evenly in each tile, shape (tiles, across ** 2); their middles for 1."""
        part = (np.arange(across) + 0.5) / across
        du, dv = (a.ravel() for a in np.meshgrid(part, part))
        u = self.u0 + (tiles[:, None] % self.nu + du) * self.width
        v = self.v0 + (tiles[:, None] // self.nu + dv) * self.height
        return _turn(u, v, -self.turned)

    def corners(self, tiles: Ints) -> tuple[Floats, Floats]:
        """(x, y) of the four corners of tiles, anticlockwise, each of shape (tiles, 4)."""
        u = self.u0 + (tiles[:, None] % self.nu + np.array([0, 1, 1, 0])) * self.width
        v = self.v0 + (tiles[:, None] // self.nu + np.array([0, 0, 1, 1])) * self.height
        return _turn(u, v, -self.turned)


def _turn(x: Floats, y: Floats, degrees: float) -> tuple[Floats, Floats]:
    if degrees == 0:
        return x, y
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return x * c + y * s, y * c - x * s


@dataclass(frozen=True, eq=False)
class Sampler:
    """A map on a grid, read at other tiles: linearly between the middles of its cells, times the ratio of areas.

    Args:
        tiles: those that may be chosen: their middle lies in the grid's study area, or a place lies in them. Rising.
        numbers: the number among them of every tile.
        at, share: four cells about each sampled point and their shares, shape (4, len(tiles), points).
    """

    tiles: Ints
    numbers: Ints
    at: Ints
    share: Any

    @classmethod
    def of(cls, tiling: Tiling, grid: Grid, held: Ints) -> Sampler:
        """One point a tile, or four where a tile is larger than one and a half cells; ``held`` are the tiles of all places."""
        every = np.arange(len(tiling))
        x, y = tiling.points(every)
        open_ = grid.index(x[:, 0], y[:, 0]) >= 0
        open_[held[held >= 0]] = True
        tiles = np.flatnonzero(open_)
        across = 1 if tiling.area <= 2.25 * grid.cell**2 else 2
        x, y = tiling.points(tiles, across)
        a, b = (x - grid.x0) / grid.cell - 0.5, (y - grid.y0) / grid.cell - 0.5
        i, j = (np.clip(np.floor(v).astype(np.int64), 0, n - 2) for v, n in ((a, grid.nx), (b, grid.ny)))
        s, t = np.clip(a - i, 0, 1), np.clip(b - j, 0, 1)
        first = j * grid.nx + i
        off = (a < -0.5) | (a > grid.nx - 0.5) | (b < -0.5) | (b > grid.ny - 0.5)
        share = np.where(off, 0.0, np.stack([(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t])) * (tiling.area / grid.cell**2 / across**2)
        return cls(tiles, np.cumsum(open_) - 1, np.stack([first, first + 1, first + grid.nx, first + grid.nx + 1]), share.astype(np.float32))

    def number(self, tile: Ints) -> Ints:
        """The number among ``tiles`` of each tile (which must be one of them)."""
        return np.asarray(self.numbers[tile], dtype=np.int64)

    def read(self, values: Any) -> Floats:
        """The map's mass in each of ``tiles``, shape (len(tiles),)."""
        found = values[self.at[0]] * self.share[0]
        for k in range(1, 4):
            found += values[self.at[k]] * self.share[k]
        return np.asarray(found.sum(axis=1), dtype=np.float64)


def best_of(score: Floats, many: int) -> Ints:
    """The ``many`` tiles of highest score, the best first; equal ones by number."""
    many = min(many, len(score))
    cut = np.partition(score, len(score) - many)[len(score) - many]
    above = np.flatnonzero(score > cut)
    tied = np.flatnonzero(score == cut)[: many - len(above)]
    found = np.concatenate([above[np.argsort(-score[above], kind="stable")], tied])
    return np.asarray(found, dtype=np.int64)


def degrees(plane: Plane, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """(lon, lat) of points of any shape."""
    lon, lat = plane.to_degrees(x.ravel(), y.ravel())
    return lon.reshape(x.shape), lat.reshape(x.shape)

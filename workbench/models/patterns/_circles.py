"""Pairs of points by distance, each weighted for what lies beyond the edge of the study area; and global envelopes of curves. Shared by ``ripley``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import each, kernel, part
from workbench.errors import BadInput
from workbench.geo import Floats, Grid

CORRECTIONS = ("none", "translation", "isotropic")
_FINER = 4  # buckets to a radius


@dataclass(frozen=True, eq=False)
class Region:
    """A study area made ready: its rectangle, and for one that is not a rectangle how much of it overlaps itself when shifted.

    Args:
        x0, y0, wide, high: the grid's rectangle, metres.
        area: of the cells inside, square metres.
        cell: side of a cell.
        overlap: cells that overlap by shift (rows from 0, columns from -reach to reach), shape (reach + 1, 2 reach + 1).
        mode: 0 no correction, 1 translation in a rectangle, 2 translation in any area, 3 isotropic.
    """

    x0: float
    y0: float
    wide: float
    high: float
    area: float
    cell: float
    overlap: Floats
    mode: int

    @classmethod
    def of(cls, grid: Grid, correction: str, radius: float) -> Region:
        """Ready a grid's study area for distances up to ``radius``.

        Raises:
            BadInput: unknown correction; isotropic in an area that is no rectangle; or a radius of more than half the shorter side.
        """
        if correction not in CORRECTIONS:
            raise BadInput(f"correction={correction!r} is not known; choose one of {', '.join(CORRECTIONS)}.")
        wide, high, whole = grid.nx * grid.cell, grid.ny * grid.cell, bool(grid.inside.all())
        if not 0 < radius <= min(wide, high) / 2:
            raise BadInput(f"radius={radius!r} m does not do here: give at most half the shorter side of the area ({min(wide, high) / 2:,.0f} m).")
        if correction == "isotropic" and not whole:
            raise BadInput("correction='isotropic' needs a rectangular study area; use 'translation' for this one.")
        mode = {"none": 0, "translation": 1 if whole else 2, "isotropic": 3}[correction]
        overlap = _overlap(grid, math.ceil(radius / grid.cell) + 1) if mode == 2 else np.ones((1, 1))
        return cls(grid.x0, grid.y0, wide, high, grid.n_inside * grid.cell**2, grid.cell, overlap, mode)


def _overlap(grid: Grid, reach: int) -> Floats:
    """Exact: the overlap of an area of squares with itself is bilinear between whole shifts."""
    inside = grid.inside.reshape(grid.ny, grid.nx).astype(float)
    shape = (grid.ny + reach + 1, grid.nx + reach + 1)
    turned = np.fft.rfft2(inside, shape)
    both = np.round(np.fft.irfft2(turned * np.conj(turned), shape))
    rows, columns = np.arange(reach + 1), np.arange(-reach, reach + 1)
    return np.ascontiguousarray(both[np.ix_(rows % shape[0], columns % shape[1])])


def summed(one: tuple[Floats, Floats, Floats], other: tuple[Floats, Floats, Floats] | None, region: Region, step: float, bins: int, *,
           threads: int | None = 1) -> Floats:
    """Sum over ordered pairs of ``weight x weight x edge weight`` by distance: entry b holds distances over ``b step`` up to ``(b + 1) step``; shape (bins,).

    Args:
        one: x, y, weight of each point.
        other: the points paired with (None = the others of the same set).

    Cost: O(n + pairs within ``bins x step``), some 3 ns a pair.
    """
    radius = step * bins
    side = radius / _FINER
    columns, rows = math.ceil(region.wide / side), math.ceil(region.high / side)
    a = _bucketed(one, region, columns, rows, side)
    b = a if other is None else _bucketed(other, region, columns, rows, side)
    n, box = len(a[0]), np.array([region.x0, region.y0, region.wide, region.high, region.area, region.cell, radius, step, side])
    bounds = np.linspace(0, n, min(64, 1 + n // 2000) + 1).astype(np.int64)

    def run(k: int) -> Floats:
        out = np.zeros(bins)
        _pairs(*a[:3], *b, columns, rows, other is None, box, region.overlap, region.mode, int(bounds[k]), int(bounds[k + 1]), out)
        return out

    total = np.zeros(bins)
    for found in each(run, range(len(bounds) - 1), threads=threads):
        total += found
    return total


def _bucketed(points: tuple[Floats, Floats, Floats], region: Region, columns: int, rows: int, side: float) -> tuple[Any, Any, Any, Any]:
    """x, y, weight by bucket, row by row, and where each bucket begins."""
    x, y, u = points
    row, column = np.clip(((y - region.y0) / side).astype(np.int64), 0, rows - 1), np.clip(((x - region.x0) / side).astype(np.int64), 0, columns - 1)
    at = row * columns + column
    order = np.argsort(at, kind="stable")
    begin = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=rows * columns))]).astype(np.int64)
    return tuple(np.ascontiguousarray(v[order], dtype=np.float64) for v in (x, y, u)) + (begin,)  # type: ignore[return-value]


@part
def _share(left, right, down, up, d):  # type: ignore[no-untyped-def]
    """Share of a circle of radius d that lies in a rectangle, from its middle's distances to the four sides."""
    if d <= left and d <= right and d <= down and d <= up:
        return 1.0
    a = math.acos(left / d) if left < d else 0.0
    b = math.acos(right / d) if right < d else 0.0
    c = math.acos(down / d) if down < d else 0.0
    e = math.acos(up / d) if up < d else 0.0
    half = 0.5 * math.pi
    lost = 2 * (a + b + c + e)
    lost -= max(0.0, a + c - half) + max(0.0, a + e - half) + max(0.0, b + c - half) + max(0.0, b + e - half)
    return max(1.0 - lost / (2 * math.pi), 0.01)


@part
def _edge(mode, box, overlap, xa, ya, xb, yb, d):  # type: ignore[no-untyped-def]
    """Edge weight of the pair seen from its first point, at most 100 as in spatstat."""
    if mode == 0 or d == 0.0 and mode == 3:
        return 1.0
    if mode == 3:
        return 1.0 / _share(xa - box[0], box[0] + box[2] - xa, ya - box[1], box[1] + box[3] - ya, d)
    dx, dy = xb - xa, yb - ya
    if mode == 1:
        return min(box[4] / ((box[2] - abs(dx)) * (box[3] - abs(dy))), 100.0)
    if dy < 0:
        dx, dy = -dx, -dy
    u, v = dx / box[5] + (overlap.shape[1] - 1) // 2, dy / box[5]
    i, j = int(math.floor(u)), int(v)
    u, v = u - i, v - j
    held = (1 - v) * ((1 - u) * overlap[j, i] + u * overlap[j, i + 1]) + v * ((1 - u) * overlap[j + 1, i] + u * overlap[j + 1, i + 1])
    return min(box[4] / max(held * box[5] * box[5], 1e-300), 100.0)


@kernel("f8[:], f8[:], f8[:], f8[:], f8[:], f8[:], i8[:], i8, i8, i8, f8[:], f8[:,:], i8, i8, i8, f8[:]")
def _pairs(x, y, u, xs, ys, us, begin, columns, rows, same, box, overlap, mode, first, last, out):  # type: ignore[no-untyped-def]
    """Weights of ordered pairs by distance, for points first to last; of one set each pair is met once and counted both ways."""
    radius, per, side = box[6], 1.0 / box[7], box[8]
    square, bins = radius * radius, len(out)
    for a in range(first, last):
        row = min(max(int((y[a] - box[1]) / side), 0), rows - 1)
        lowest = row if same else max(int((y[a] - box[1] - radius) / side) - 1, 0)
        for r in range(lowest, min(int((y[a] - box[1] + radius) / side) + 1, rows - 1) + 1):
            away = max(0.0, box[1] + r * side - y[a], y[a] - box[1] - (r + 1) * side)
            reach = math.sqrt(max(square - away * away, 0.0)) + 1e-6 * side
            left = min(max(int(math.floor((x[a] - reach - box[0]) / side)), 0), columns - 1)
            right = min(max(int(math.floor((x[a] + reach - box[0]) / side)), 0), columns - 1)
            start = begin[r * columns + left]
            if same and r == row:
                start = a + 1
            for b in range(start, begin[r * columns + right + 1]):
                dx, dy = xs[b] - x[a], ys[b] - y[a]
                d = dx * dx + dy * dy
                if d > square:
                    continue
                d = math.sqrt(d)
                k = min(max(int(math.ceil(d * per)) - 1, 0), bins - 1)
                weight = _edge(mode, box, overlap, x[a], y[a], xs[b], ys[b], d)
                if same:
                    weight += weight if mode != 3 else _edge(mode, box, overlap, xs[b], ys[b], x[a], y[a], d)
                out[k] += weight * u[a] * us[b]


def envelope(curves: Floats, level: float) -> tuple[Floats, Floats, float]:
    """The global rank envelope of curves, the first being the observed one: (low, high, p).

    Curves are ordered by their extreme rank lengths, two-sided, with average ranks for ties. With chance ``level`` a curve like the others lies wholly
    between low and high; p is the share of curves at least as extreme as the first, ties counted against it. M. Myllymaki, T. Mrkvicka, P. Grabarnik,
    H. Seijo and U. Hahn, "Global envelope tests for spatial processes", *JRSS B* 79, 2017, 381-404, doi:10.1111/rssb.12172. O(curves x bins x log).
    """
    many, bins = curves.shape
    ranks = np.empty(curves.shape)
    for b in range(bins):
        ordered = np.sort(curves[:, b])
        low, high = np.searchsorted(ordered, curves[:, b], "left"), np.searchsorted(ordered, curves[:, b], "right")
        up = (low + high + 1) / 2
        ranks[:, b] = np.minimum(up, many + 1 - up)
    ranks.sort(axis=1)
    order = np.lexsort(ranks[:, ::-1].T)
    change = np.concatenate([[True], (np.diff(ranks[order], axis=0) != 0).any(axis=1)])
    before = np.maximum.accumulate(np.where(change, np.arange(many), 0))  # curves strictly more extreme
    place = np.empty(many, dtype=np.int64)
    place[order] = before
    p = float((place <= place[0]).sum() / many)
    allowed = (1 - level) * many
    kept = place >= max(int(v) for v in before if v <= allowed + 1e-9)
    return curves[kept].min(axis=0), curves[kept].max(axis=0), p

"""Layers of a risk terrain: of every factor, which cells lie near one of its features and which lie where they are dense.

Both are yes or no at several reaches, as in RTMDx: near = the cell's middle lies within the reach of a feature; dense = the kernel density with the reach as
its bandwidth is more than two standard deviations above its mean over the area. Source: J. M. Caplan, L. W. Kennedy, *Risk Terrain Modeling*, 2016, chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.models.hotspots import _lags
from workbench.models.window import known_before

OPERATIONS = ("distance", "density")
_MOST = 400  # layers
_FEWEST = 5  # cells that a layer must hold, and leave


@dataclass(frozen=True)
class Layer:
    """One yes-or-no layer: of which factor, by distance or density, and how far it reaches in metres."""

    factor: str
    operation: str
    reach: float

    def __str__(self) -> str:
        return f"{self.factor} within {self.reach:.0f} m" if self.operation == "distance" else f"{self.factor} dense (bandwidth {self.reach:.0f} m)"


@dataclass(frozen=True, eq=False)
class Features:
    """The positions of one factor's features in metres, with a weight each, as known before a moment."""

    name: str
    x: Floats
    y: Floats
    weight: Floats


def features(frames: Mapping[str, pl.DataFrame] | None, grid: Grid, moment: datetime, window: timedelta) -> tuple[list[Features], list[str]]:
    """What is known before ``moment`` of every factor, and notes on what is not used. Frames with ``started_at`` are cut to the window before it.

    Raises:
        CannotTell: no frame was given, or none holds a feature with a position.
        BadInput: something given is no frame with lon and lat, or a weight is below 0.
    """
    if frames is None or (isinstance(frames, Mapping) and not frames):
        raise CannotTell("A risk terrain needs features beside the incidents, and none were given. Give frames with lon and lat by name, "
                         'e.g. layers={"bars": places, "cameras": cameras, "drug calls": calls, "vacant buildings": buildings}; '
                         "places, cameras, calls of one kind, other offences and street ends all do.")
    if not isinstance(frames, Mapping):
        raise BadInput(f"layers is a {type(frames).__name__}; a mapping of names to frames is needed, e.g. layers={{'bars': places}}.")
    found, notes = [], []
    for name, frame in frames.items():
        if not isinstance(frame, pl.DataFrame):
            raise BadInput(f"Layer {name!r} is a {type(frame).__name__}; a polars.DataFrame with lon and lat is needed.")
        used = frame
        if "started_at" in frame.columns:
            dated = known_before(frame, moment)
            used = dated.filter(pl.col("started_at") >= moment - window)
        x, y = grid.metres(used)
        weight = used["weight"].cast(pl.Float64).fill_null(float("nan")).to_numpy() if "weight" in used.columns else np.ones(len(used))
        if np.any(weight < 0):
            raise BadInput(f"Layer {name!r} has a weight of {weight[weight < 0][0]:g}; weights are 0 or more.")
        ok = np.isfinite(x) & np.isfinite(y) & np.isfinite(weight)
        if not ok.all():
            notes.append(f"{int((~ok).sum())} of {len(used)} features of {name} have no position or weight and are not used.")
        if ok.any():
            found.append(Features(str(name), x[ok], y[ok], weight[ok]))
        else:
            notes.append(f"{name} has no feature with a position known before {moment:%Y-%m-%d}; it is left out.")
    if not found:
        raise CannotTell(f"None of the {len(frames)} layers ({', '.join(map(str, frames))}) holds a feature with a position that was known before "
                         f"{moment:%Y-%m-%d %H:%M} UTC; give frames with lon and lat whose started_at, where they have one, lies before it.")
    return found, notes


def reaches(block: float, extents: int) -> list[float]:
    """Reaches in metres: one to ``extents`` blocks.

    Raises:
        BadInput: the block is no positive length, or there is not one to twelve extents.
    """
    if isinstance(block, (str, bool)) or not (math.isfinite(block) and block > 0):
        raise BadInput(f"block={block!r} does not do; give the usual length of a street block in metres, e.g. 150.")
    if isinstance(extents, bool) or not isinstance(extents, int) or not 1 <= extents <= 12:
        raise BadInput(f"extents={extents!r} does not do; give how many blocks risk may reach, 1 to 12.")
    return [block * k for k in range(1, extents + 1)]


def build(found: Sequence[Features], grid: Grid, far: Sequence[float], operations: Sequence[str]) -> tuple[list[Layer], Floats, list[str]]:
    """The layers that differ from each other and hold and leave at least 5 cells, and their values 0 or 1 in the cells inside, shape (cells inside, layers).

    O(features x cells within the longest reach + layers x cells x reach).

    Raises:
        CannotTell: no layer is left.
        BadInput: an operation is unknown, or there are more than 400 layers.
    """
    wrong = [o for o in operations if o not in OPERATIONS] if not isinstance(operations, str) else [operations]
    if wrong or not len(operations):
        raise BadInput(f"operations={operations!r} does not do; give ('distance', 'density') or one of the two in a tuple.")
    if len(found) * len(far) * len(operations) > _MOST:
        raise BadInput(f"{len(found)} factors x {len(far)} extents x {len(operations)} operations are more than {_MOST} layers; give fewer extents or factors.")
    layers, columns, seen, alike, rare = [], [], set(), 0, 0
    for one in found:
        made: list[tuple[Layer, Any]] = []
        if "distance" in operations:
            near = nearest(one.x, one.y, grid, far[-1])[grid.inside]
            made += [(Layer(one.name, "distance", r), near <= r) for r in far]
        if "density" in operations:
            made += [(Layer(one.name, "density", r), dense(one, grid, r)) for r in far]
        for layer, column in made:
            key = np.packbits(column).tobytes()
            if min(int(column.sum()), int((~column).sum())) < _FEWEST:
                rare += 1
            elif key in seen:
                alike += 1
            else:
                seen.add(key)
                layers.append(layer)
                columns.append(column)
    if not layers:
        raise CannotTell(f"No layer separates the {grid.n_inside} cells of the area: every reach holds all or nearly none of them. "
                         "Give features inside the area, or a block other than the reaches tried.")
    notes = [f"{rare} layers hold or leave under {_FEWEST} cells and are not tried."] if rare else []
    notes += [f"{alike} layers are the same as another one."] if alike else []
    return layers, np.column_stack(columns).astype(float), notes


def nearest(x: Floats, y: Floats, grid: Grid, reach: float) -> Floats:
    """Metres from every cell's middle to the nearest of some points, inf beyond ``reach``; shape (len(grid),). O(n (reach / cell)^2)."""
    both = np.unique(np.column_stack([x, y]), axis=0)
    u, v = (both[:, 0] - grid.x0) / grid.cell - 0.5, (both[:, 1] - grid.y0) / grid.cell - 0.5
    r = reach / grid.cell
    close = (u > -r - 1) & (u < grid.nx + r) & (v > -r - 1) & (v < grid.ny + r)
    u, v = u[close], v[close]
    i, j = np.rint(u).astype(np.int64), np.rint(v).astype(np.int64)
    k = math.ceil(r)
    wide = grid.nx + 4 * k + 4  # room on all sides, so that no index has to be looked at
    squared = np.full((grid.ny + 4 * k + 4) * wide, np.inf)
    flat = squared
    for dj in range(-k, k + 1):
        for di in range(-k, k + 1):
            if math.hypot(max(abs(di) - 0.5, 0), max(abs(dj) - 0.5, 0)) <= r:
                np.minimum.at(flat, (j + dj + 2 * k + 2) * wide + i + di + 2 * k + 2, (i + di - u) ** 2 + (j + dj - v) ** 2)
    inner = squared.reshape(-1, wide)[2 * k + 2 : 2 * k + 2 + grid.ny, 2 * k + 2 : 2 * k + 2 + grid.nx]
    distance: Floats = np.sqrt(inner).ravel() * grid.cell
    distance[distance > reach] = np.inf
    return distance


def dense(one: Features, grid: Grid, bandwidth: float) -> Any:
    """Which of the cells inside lie where features are dense: over the mean plus two standard deviations; bool of shape (cells inside,)."""
    at = np.floor((np.column_stack([one.x, one.y]) - (grid.x0, grid.y0)) / grid.cell).astype(np.int64)
    ok = (at >= 0).all(axis=1) & (at[:, 0] < grid.nx) & (at[:, 1] < grid.ny)
    counts = np.bincount(at[ok, 1] * grid.nx + at[ok, 0], weights=one.weight[ok], minlength=len(grid)).astype(float)
    spread = _lags.spreading(grid, bandwidth)(counts[None])[0][grid.inside] if bandwidth >= 0.3 * grid.cell else counts[grid.inside]
    return spread > spread.mean() + 2 * spread.std() + 1e-12

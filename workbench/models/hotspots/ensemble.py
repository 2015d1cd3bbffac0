"""Where will the next incidents be, if many simple forecasts are asked and each is believed as far as the past bears it out? A stacked ensemble.

The forecasts asked are counts that fade at six speeds, from three weeks to never, each in the cell itself and spread over its neighbourhood by four
kernels, and one that knows nothing (the same everywhere): long run and recent, same place and near repeat, at every scale. The mix is a weighted sum
with weights of at least 0. The weights are those under which the incidents that came after earlier moments of the same past were likeliest
(EM for a mixture's proportions), begun at a fixed starting mix and stopped early, which holds them near it where incidents are few.
How many incidents in all come from ``forecast.levelled``.

Sources: L. Breiman, "Stacked regressions", Machine Learning 24, 1996, 49-64, doi:10.1007/BF00117832; P. Smyth, D. Wolpert, "Linearly combining density
estimators via stacking", Machine Learning 36, 1999, 59-83, doi:10.1023/A:1007511322260 (EM for the weights, out of sample); Y. Lee, S. O, J. E. Eck,
"A theory-driven algorithm for real-time crime hot spot forecasting", Police Quarterly 23, 2020, 174-201, doi:10.1177/1098611119887809.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import kde
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Surface, recorded

TITLE = "Stacked ensemble"

_DAY = 86400.0
#: Days after which an incident counts half; infinite = all alike.
HALF_LIVES = (21.0, 60.0, 180.0, 365.0, math.inf)
#: Standard deviations of the kernels, in cells; 0 = the cell alone.
SCALES = (0.0, 0.6, 1.2, 2.5, 6.0)
#: The starting mix: a row a scale, a column a half-life, and what is spread evenly; from Chicago 2013-2015 and St. Louis 2015-2016.
START = np.array([
    [0.04, 0.05, 0.07, 0.09, 0.17],
    [0.03, 0.03, 0.04, 0.05, 0.08],
    [0.02, 0.02, 0.02, 0.03, 0.03],
    [0.02, 0.02, 0.02, 0.02, 0.02],
    [0.01, 0.01, 0.02, 0.02, 0.02],
])
_EVEN = 0.03
_ROUNDS = 40  # of EM; more follow the past's chance
_ORIGINS = 13
_STRETCH = 14 * _DAY  # of what came, looked at after each origin, at least
_LEAST = 20  # incidents that must have come after the origins; the starting mix where fewer did
_WORK = 4e9  # multiplications that choosing the weights may cost


@recorded
def surface(
    incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "1825d", horizon: Span = "7d", learn: bool = True, zone: str = "UTC"
) -> Surface:
    """Expected incidents by cell over ``horizon``, by a mix of counts and kernels that the past has chosen.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        window: how far back incidents count; two years or more are worth having.
        horizon: how far ahead.
        learn: choose the weights on this past; False = the starting mix.
        zone: zone of the times in the sentence.

    Returns: a Surface; the basis names the weights by half-life and by scale.

    Raises:
        CannotTell: under 5 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns or times that cannot be used.

    Cost: O(n + origins x cells x reach): about 0.3 s on 20,000 cells, 2 s on 65,000; above that fewer origins are looked at.
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=5)
    made = estimate(before, grid, ahead, learn=learn)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (stacked ensemble)",
                         source="Breiman 1996; Smyth and Wolpert 1999; Lee, O and Eck 2020")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, learn: bool = True) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. At most 13 earlier moments are looked at."""
    scales = spreading(grid)
    mix = weights(before, grid, horizon, scales) if learn else Mix(start(), 0, 0)
    counts = faded(before, grid, np.asarray(HALF_LIVES) * _DAY)
    expected = mixed(counts, grid, scales, mix.weights)
    length = before.length.total_seconds()
    certain = float(np.sum(mix.weights[:-1].reshape(len(SCALES), -1).sum(axis=0) * [_certain(h * _DAY, length) for h in HALF_LIVES]))
    certain /= max(1.0 - float(mix.weights[-1]), 1e-9)
    made = Estimate(expected * (len(before) * (horizon / before.length)), max(certain, _DAY), f"stacked ensemble of {len(mix.weights)} forecasts, {mix.said()}",
                    {"weights": mix.told(), "origins": mix.origins})
    return forecast.levelled(before, made, horizon)


@dataclass(frozen=True, eq=False)
class Mix:
    """Weights of the forecasts, summing to 1: scales x half-lives, then the even one; learned from ``incidents`` after ``origins`` earlier moments."""

    weights: Floats
    origins: int
    incidents: int

    def said(self) -> str:
        """How the weights came about."""
        if self.origins == 0:
            return "the starting mix (too short a past, or too few incidents, to learn from)"
        return f"weights learned from {self.incidents:,} incidents after {self.origins} earlier moments"

    def told(self) -> dict[str, Any]:
        """Weight by half-life, by scale and of the even one."""
        table = self.weights[:-1].reshape(len(SCALES), len(HALF_LIVES))
        days = {("never fades" if math.isinf(h) else f"half-life {h:g} d"): round(float(w), 3) for h, w in zip(HALF_LIVES, table.sum(axis=0), strict=True)}
        wide = {("same cell" if s == 0 else f"kernel of {s:g} cells"): round(float(w), 3) for s, w in zip(SCALES, table.sum(axis=1), strict=True)}
        return {**days, **wide, "even": round(float(self.weights[-1]), 3)}


def start() -> Floats:
    """The starting mix, summing to 1."""
    every = np.append(START.ravel(), _EVEN)
    return np.asarray(every / every.sum())


def weights(before: Past, grid: Grid, horizon: timedelta, scales: tuple[Scale, ...]) -> Mix:
    """The mix under which what came after up to 13 earlier moments, two weeks (or half a horizon) apart, was likeliest. See the head of this file."""
    ahead = max(_STRETCH, horizon.total_seconds())
    step = max(_STRETCH, ahead / 2)
    usual = 4.0 * len(HALF_LIVES) * len(grid) * math.sqrt(len(grid))  # multiplications for one moment
    many = max(1, min(_ORIGINS, int(_WORK / usual), int(1 + (before.length.total_seconds() * 2 / 3 - ahead) / step)))
    likely, often = [], []
    for k in range(many, 0, -1):
        ago = ahead + (k - 1) * step
        came = before.cell[(before.age <= ago) & (before.age > ago - ahead)]
        known = before.known > ago
        if not len(came) or not known.any():
            continue
        counts = faded(before, grid, np.asarray(HALF_LIVES) * _DAY, ago)
        cells, times = np.unique(came, return_counts=True)
        likely.append(_at(counts, grid, scales, cells))
        often.append(times.astype(float))
    total = int(sum(t.sum() for t in often))
    if total < _LEAST:
        return Mix(start(), 0, total)
    return Mix(proportions(np.concatenate(likely), np.concatenate(often), start(), _ROUNDS), len(likely), total)


def proportions(likely: Floats, often: Floats, begin: Floats, rounds: int) -> Floats:
    """Rounds of EM for a mixture's proportions.

    Args:
        likely: chance that each forecast gave each place where something came, shape (places, forecasts).
        often: how many came there, shape (places,).
        begin: weights to begin with, shape (forecasts,).
        rounds: of EM; few keep the weights near ``begin``.

    Returns: weights summing to 1. O(rounds x places x forecasts).
    """
    now = begin
    for _ in range(rounds):
        now = now * (likely.T @ (often / np.maximum(likely @ now, 1e-300)))
        now = now / now.sum()
    return now


def faded(before: Past, grid: Grid, half_lives: Floats, ago: float = 0.0) -> Any:
    """Counts by cell that fade with each half-life (seconds), of what was known ``ago`` seconds before asof; each sums to 1. Shape (half-lives, cells)."""
    use = before.known > ago if ago > 0 else slice(None)
    cell, age = before.cell[use], before.age[use] - ago
    out = np.empty((len(half_lives), len(grid)), dtype=np.float32)
    for k, half in enumerate(half_lives):
        made = np.bincount(cell, weights=None if math.isinf(half) else np.exp2(-age / half), minlength=len(grid))
        total = float(made.sum())
        out[k] = made / total if total > 1e-30 else 0.0
    return out


@dataclass(frozen=True, eq=False)
class Scale:
    """A kernel over a grid: what a row, and a column, of cells sends to each other, and the part of a cell's own mass that stays inside (as its inverse)."""

    rows: np.ndarray[Any, np.dtype[np.float32]]
    columns: np.ndarray[Any, np.dtype[np.float32]]
    kept: np.ndarray[Any, np.dtype[np.float32]]


@lru_cache(maxsize=4)
def spreading(grid: Grid) -> tuple[Scale, ...]:
    """The kernels over a grid, one for each of SCALES but the first; kept because a back-test asks for the same grid again and again."""
    inside = grid.inside.reshape(grid.ny, grid.nx).astype(np.float32)
    found = []
    for scale in SCALES[1:]:
        rows, columns = (kde.blurring(n, grid.cell, scale * grid.cell).astype(np.float32) for n in (grid.ny, grid.nx))
        found.append(Scale(rows, columns, 1 / np.maximum(_banded(columns, _banded(rows, inside).T).T, 1e-6)))
    return tuple(found)


_BLOCK = 128


def _banded(matrix: Any, values: Any) -> Any:
    """``matrix @ values``, leaving out the zeros far from the matrix's diagonal where it is large."""
    n = len(matrix)
    if n <= 2 * _BLOCK:
        return matrix @ values
    reach = int(np.flatnonzero(matrix[n // 2])[-1]) - n // 2 + 1
    out = np.empty((n, values.shape[1]), dtype=np.float32)
    for a in range(0, n, _BLOCK):
        b, low, high = min(n, a + _BLOCK), max(0, a - reach), min(n, a + _BLOCK + reach)
        np.matmul(matrix[a:b, low:high], values[low:high], out=out[a:b])
    return out


def _by_rows(counts: Any, grid: Grid, scale: Scale) -> Any:
    """Maps of counts (k, cells) with mass that will leave the area given back, spread along the columns of cells: shape (ny, k, nx)."""
    maps = (counts.reshape(-1, grid.ny, grid.nx) * scale.kept).transpose(1, 0, 2)
    return _banded(scale.rows, np.ascontiguousarray(maps).reshape(grid.ny, -1)).reshape(grid.ny, -1, grid.nx)


def _at(counts: Any, grid: Grid, scales: tuple[Scale, ...], cells: Ints) -> Floats:
    """What every forecast gives the cells named: shape (cells named, forecasts), the even one last."""
    row, column = cells // grid.nx, cells % grid.nx
    parts = [counts[:, cells].T]
    for scale in scales:
        half = _by_rows(counts, grid, scale)
        parts.append(np.einsum("ekx,xe->ek", half[row], scale.columns.T[:, column], optimize=True))
    parts.append(np.full((len(cells), 1), 1.0 / grid.n_inside, dtype=np.float32))
    found: Floats = np.concatenate(parts, axis=1).astype(np.float64)
    return found


def mixed(counts: Any, grid: Grid, scales: tuple[Scale, ...], by: Floats) -> Floats:
    """The weighted sum of all forecasts, shape (len(grid),), summing to 1; a kernel is laid once over the mix of counts that goes with it."""
    share = by[:-1].reshape(len(SCALES), -1)
    out = share[0] @ counts.astype(np.float64)
    for scale, weight in zip(scales, share[1:], strict=True):
        half = _by_rows((weight.astype(np.float32) @ counts)[None], grid, scale)[:, 0]
        out += _banded(scale.columns, np.ascontiguousarray(half.T)).T.ravel()
    out = np.where(grid.inside, out + by[-1] / grid.n_inside, 0.0)
    total = float(out.sum())
    return out / total if total > 0 else out


def _certain(half_life: float, length: float) -> float:
    """Seconds whose plain count would be as certain as one that fades with this half-life (Kish)."""
    if math.isinf(half_life):
        return length
    fade = math.log(2) / half_life
    return 2 * math.expm1(-fade * length) ** 2 / (fade * -math.expm1(-2 * fade * length))

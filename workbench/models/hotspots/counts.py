"""Where have incidents been counted, the recent ones counting more? The plainest forecast, and the one every other must beat.

Each incident weighs ``0.5 ** (age / half_life)``; a cell's expectation is its weight over the time the weights add up to. How fast the past should
fade is tried on the past itself (see ``_choosing``). Source: the count map of J. Ratcliffe, *Intelligence-Led Policing*, 2nd ed. 2016, chapter 6;
exponential forgetting: R. G. Brown, *Smoothing, Forecasting and Prediction of Discrete Time Series*, 1963, chapter 7.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import polars as pl

from workbench import schema
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _choosing
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Surface, recorded

TITLE = "Recent counts"

_DAY = 86400.0
_TRIED = (30, 60, 90, 180, 365)  # half-lives in days; and none
_ORIGINS = 5
_FALLBACK = timedelta(days=90)


@recorded
def surface(
    incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "1095d", half_life: Span | None = "chosen", horizon: Span = "7d", zone: str = "UTC"
) -> Surface:
    """Expected incidents by cell over ``horizon``: the cell's own (weighted) count a day, carried forward.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        window: how far back incidents count.
        half_life: after this long an incident counts half; None = all alike (plain counts). "chosen" = of 30, 60, 90, 180 and 365 days and None the one
            whose counts would have caught most over up to five earlier stretches of four weeks (or of the horizon, where that is longer); 90 days
            where the past is too short to try. ``window="365d", half_life="90d"`` is the fixed choice of earlier versions.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface. Cells with equal expectation are ties: ``Surface.top`` takes the lower cell number, the back-test splits them evenly,
    and the basis says how many tie where the sentence cuts.

    Raises:
        CannotTell: under 5 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns or times that cannot be used.

    Cost: O(n log n + cells); choosing adds at most 5 x 6 passes over the cells (about 3 ms on 6,400), a given half_life none.
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=5)
    made = estimate(before, grid, ahead, half_life=half_life)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (counts)", source="Ratcliffe 2016; Brown 1963")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, half_life: Span | None = "chosen") -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. O(n + cells), choosing 30 times the cells."""
    chosen, why = (_chosen(before, grid, horizon)) if half_life == "chosen" else (None if half_life is None else span(half_life, "half_life"), "")
    length = before.length.total_seconds()
    if chosen is None:
        expected: Floats = np.bincount(before.cell, minlength=len(grid)).astype(float)
        exposure = certain = length
        how = "all alike"
    else:
        fade = math.log(2) / chosen.total_seconds()
        expected = np.bincount(before.cell, weights=np.exp(-fade * before.age), minlength=len(grid)).astype(float)
        exposure = -math.expm1(-fade * length) / fade
        certain = exposure**2 / (-math.expm1(-2 * fade * length) / (2 * fade))  # time whose plain count would be as certain (Kish)
        how = f"half-life {said(chosen)}"
    expected *= horizon.total_seconds() / exposure
    tied = _tied(expected, grid)
    notes = (f"{tied} cells have the same expectation where the top 2 % ends; which of them are outlined goes by cell number.",) if tied > 1 else ()
    return Estimate(expected, certain, f"counts by cell, {how}{why}", {"half_life": how, "half_life chosen": why.strip(" ,()") or "no, given"}, notes)


def _chosen(before: Past, grid: Grid, horizon: timedelta) -> tuple[timedelta | None, str]:
    """The half-life whose counts would have caught most, and how it was found."""
    step, many = _choosing.stretch(before, horizon, _ORIGINS)
    if many == 0:
        return _FALLBACK, " (too short a past to choose by)"
    tried = [d for d in _TRIED if d * _DAY < before.length.total_seconds()]
    fades = np.array([math.log(2) / (d * _DAY) for d in tried] + [0.0])
    places = _choosing.places(grid)
    at = places[before.cell]
    since = np.ceil(before.known / step).astype(np.int64) - 1  # the last inner origin, counted back from asof, by which an incident was known
    table = np.exp(-fades[:, None] * _DAY * np.arange(int(before.age[0] / _DAY) + 2))  # by whole days of age: near enough to choose by
    age = (before.age / _DAY).astype(np.int64)
    weights, scores = np.zeros((len(fades), grid.n_inside)), np.zeros(len(fades))
    fresh: Ints = np.flatnonzero(since >= many)
    for origin in range(many, 0, -1):
        ago, cells = age[fresh], at[fresh]
        for f in range(len(fades)):
            weights[f] += np.bincount(cells, weights=table[f][ago], minlength=grid.n_inside)
        scores += _choosing.caught(weights, places[_choosing.came_after(before, origin, step)])
        fresh = np.flatnonzero(since == origin - 1)
    best = int(len(fades) - 1 - np.argmax(scores[::-1]))  # of equals the longest memory
    why = f" (chosen on {many} earlier {said(timedelta(seconds=step))})"
    return (None if best == len(tried) else timedelta(days=tried[best])), why


def _tied(expected: Floats, grid: Grid) -> int:
    inside = np.sort(expected[grid.inside])[::-1]
    k = max(1, int(0.02 * len(inside) + 1e-9))
    if k >= len(inside) or inside[k - 1] != inside[k]:
        return 0
    return int((inside == inside[k]).sum())

"""Where have incidents been counted, the recent ones counting more? The plainest forecast, and the one every other must beat.

Each incident weighs ``0.5 ** (age / half_life)``; a cell's expectation is its weight over the time the weights add up to. Source: the
count map of J. Ratcliffe, *Intelligence-Led Policing*, 2nd ed. 2016, chapter 6; exponential forgetting: R. G. Brown, *Smoothing,
Forecasting and Prediction of Discrete Time Series*, 1963, chapter 7.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import polars as pl

from workbench.geo import Floats, Grid
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Surface, recorded

TITLE = "Recent counts"


@recorded
def surface(
    incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "365d", half_life: Span | None = "90d", horizon: Span = "7d", zone: str = "UTC"
) -> Surface:
    """Expected incidents by cell over ``horizon``: the cell's own (weighted) count a day, carried forward.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        window: how far back incidents count.
        half_life: after this long an incident counts half; None = all alike (plain counts).
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface. Cells with equal expectation are ties: ``Surface.top`` takes the lower cell number, the back-test splits them evenly,
    and the basis says how many tie where the sentence cuts.

    Raises:
        CannotTell: under 5 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns or times that cannot be used.

    Cost: O(n log n + cells).
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=5)
    made = estimate(before, grid, ahead, half_life=half_life)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (counts)", source="Ratcliffe 2016; Brown 1963")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, half_life: Span | None = "90d") -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. O(n + cells)."""
    length = before.length.total_seconds()
    if half_life is None:
        weights, exposure, how = np.ones(len(before)), length, "all alike"
        certain = exposure
    else:
        fade = math.log(2) / span(half_life, "half_life").total_seconds()
        weights = np.exp(-fade * before.age)
        exposure = -math.expm1(-fade * length) / fade
        certain = exposure**2 / (-math.expm1(-2 * fade * length) / (2 * fade))  # time whose plain count would be as certain (Kish)
        how = f"half-life {said(span(half_life))}"
    expected: Floats = np.bincount(before.cell, weights=weights, minlength=len(grid)).astype(float) * (horizon.total_seconds() / exposure)
    tied = _tied(expected, grid)
    notes = (f"{tied} cells have the same expectation where the top 2 % ends; which of them are outlined goes by cell number.",) if tied > 1 else ()
    return Estimate(expected, certain, f"counts by cell, {how}", {"half_life": how}, notes)


def _tied(expected: Floats, grid: Grid) -> int:
    inside = np.sort(expected[grid.inside])[::-1]
    k = max(1, int(0.02 * len(inside) + 1e-9))
    if k >= len(inside) or inside[k - 1] != inside[k]:
        return 0
    return int((inside == inside[k]).sum())

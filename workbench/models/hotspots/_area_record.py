"""How a forecast did by area at earlier moments, and what that says of its next figures: the area's own record and how far counts swung about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from workbench.errors import CannotTell
from workbench.geo import Floats, Grid, Ints
from workbench.models import chance, forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _scores
from workbench.models.window import Past

_FADE = 0.5 ** (1 / 13)  # weight of a stretch against the next later one, in an area's own record
_FEW = 8  # earlier stretches under which nothing is learnt from them


@dataclass(frozen=True, eq=False)
class Split:
    """Which part of a cell's expectation belongs to which area: pairs (cell, area, part), the parts of a cell summing to at most 1."""

    cell: Ints
    area: Ints
    part: Floats
    areas: int

    def sum(self, expected: Floats) -> Floats:
        """Expected counts by area, shape (areas,)."""
        return np.bincount(self.area, weights=expected[self.cell] * self.part, minlength=self.areas).astype(float)


@dataclass(frozen=True, eq=False)
class Record:
    """Earlier one-step forecasts by area and what came, the latest stretch first: both (stretches, areas)."""

    expected: Floats
    came: Floats


def record(before: Past, grid: Grid, horizon: timedelta, split: Split, area: Ints, estimate: Callable[[Past, Grid, timedelta], Estimate],
           window: timedelta, most: int) -> Record:
    """Forecast each of up to ``most`` stretches before ``before.asof`` from what was known before it. ``area``: of each of the Past's rows, -1 = none.

    Stops where under four stretches, or under 20 incidents, were known. Cost: ``most`` estimates and levels.
    """
    expected, came, seconds = [], [], horizon.total_seconds()
    stretch = np.floor(before.age / seconds).astype(np.int64)
    for k in range(1, most + 1):
        made = at(before, grid, horizon, before.asof - horizon * k, estimate, window)
        if made is None:
            break
        expected.append(split.sum(made.expected))
        now = area[(stretch == k - 1) & (area >= 0)]
        came.append(np.bincount(now, minlength=split.areas).astype(float))
    shape = (len(expected), split.areas)
    return Record(np.array(expected).reshape(shape), np.array(came).reshape(shape))


def at(
    before: Past, grid: Grid, horizon: timedelta, moment: datetime, estimate: Callable[[Past, Grid, timedelta], Estimate], window: timedelta
) -> Estimate | None:
    """The model's estimate at a moment, scaled to the level; None where too little was known or the model cannot tell."""
    if moment - before.start < 4 * horizon:
        return None
    try:
        known = before.back(moment, window, least=20)
        return forecast.levelled(known, estimate(known, grid, horizon), horizon)
    except CannotTell:
        return None


@dataclass(frozen=True, eq=False)
class Judged:
    """Expected counts by area after its own record, and the variance about them, shape (areas,); ``common`` and ``own`` are its two swings."""

    expected: Floats
    variance: Floats
    factor: Floats
    common: float
    own: float


def judged(now: Floats, past: Record) -> Judged:
    """Correct a forecast by each area's own record and say how far its counts will swing, from the errors of earlier forecasts corrected alike.

    The factor of an area is ``(strength + counts) / (strength + expected)`` over its earlier stretches, the later ones weighing more; ``strength``
    comes from how much areas differ beyond chance (gamma-Poisson, empirical Bayes). Variance of a count about its expectation m is
    ``m + common * m**2 + own * m``, both found by weighted least squares on squared errors (never under 0): what moves areas in proportion to their
    size (weeks, trend, season), and what adds to chance in each (series, repeats).
    """
    if len(past.expected) < _FEW or past.expected.sum() <= 0:
        return Judged(now, now.copy(), np.ones(len(now)), 0.0, 0.0)
    stretches = len(past.expected)
    fade = _FADE ** np.arange(stretches)
    strength = _strength(past)
    factors = np.ones_like(past.expected)
    counts, base = np.zeros(len(now)), np.zeros(len(now))
    for k in range(stretches - 1, -1, -1):
        factors[k] = (strength + counts) / (strength + base)
        counts, base = counts * _FADE + past.came[k], base * _FADE + past.expected[k]
    factor = (strength + counts) / (strength + base)
    corrected = past.expected * factors
    use = (corrected > 0.5 * np.median(corrected[corrected > 0])) & (fade[:, None] > 0) & (np.arange(stretches)[:, None] < max(_FEW, stretches * 3 // 4))
    m, over = corrected[use], (past.came[use] - corrected[use]) ** 2 - corrected[use]
    common, own = _swings(m, over)
    for _ in range(2):  # a month that is missing in the data is no swing: errors of over four standard deviations are left out
        usual = over + m < 16 * (m + common * m**2 + own * m)
        common, own = _swings(m[usual], over[usual])
    expected = now * factor
    return Judged(expected, expected + common * expected**2 + own * expected, factor, common, own)


def _strength(past: Record) -> float:
    """Incidents' worth of the forecast that an area's own record is weighed against: 1 / variance of areas' lasting ratios."""
    expected, came = past.expected.sum(axis=0), past.came.sum(axis=0)
    use = expected > 1
    if use.sum() < 3:
        return 100.0
    m, n = expected[use], came[use]
    swing = max(1.0, float(np.sum((past.came[:, use] - past.expected[:, use]) ** 2 / np.maximum(past.expected[:, use], 0.05)) / past.came[:, use].size))
    between = float(np.sum((n - m) ** 2 - swing * m) / np.sum(m**2))
    return float(np.clip(swing / max(between, 1e-6), 5.0, 1e6))


def _swings(m: Floats, over: Floats) -> tuple[float, float]:
    """Non-negative (common, own) with ``over ~ common * m**2 + own * m``, each case weighing 1 / m**2."""
    if len(m) == 0:
        return 0.0, 0.0
    a, b, c, d, e = (float(np.sum(v)) for v in (m**2, m, np.ones(len(m)), over, over / m))
    below = a * c - b * b
    common, own = ((c * d - b * e) / below, (a * e - b * d) / below) if below > 1e-12 * a * c else (max(0.0, d / a), 0.0)
    if common < 0:
        return 0.0, max(0.0, e / c)
    return (max(0.0, d / a), 0.0) if own < 0 else (common, own)


def interval(judged_: Judged, level: float) -> tuple[Floats, Floats]:
    """The counts that lie within the middle ``level`` of a negative binomial with the judged mean and variance, a count itself halved by the ends.

    (P(X < k) + P(X = k) / 2 is between the ends.) Counts are whole, so an interval that always holds at least ``level`` holds more on average; this one is
    meant to hold it on average.
    """
    m = judged_.expected
    spread = np.maximum(np.divide(judged_.variance - m, m**2, out=np.zeros_like(m), where=m > 0), 0.0)
    lower, upper = chance.interval(m, spread, level=level)
    some = np.flatnonzero(m > 0)
    for ends, sign in ((lower, 1.0), (upper, -1.0)):
        middle = _scores.distribution(m[some], spread[some], ends[some], 0.5)[2]
        out = middle < (1 - level) / 2 if sign > 0 else middle > (1 + level) / 2
        ends[some] += sign * out
    return np.minimum(lower, upper), np.maximum(lower, upper)

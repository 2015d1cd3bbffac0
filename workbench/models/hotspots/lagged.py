"""Where will the next incidents be, if the past says how much the last week, the last year and the neighbourhood count? Weighted lagged counts.

A cell's expectation is a sum of counts that fade at several speeds, in the cell itself and spread over its neighbourhood, about the same season of
earlier years, and evenly over the area, each with a weight of at least 0. The weights are a Poisson regression (identity link) of the counts that
came on the features as they were known before, over rolling origins inside the past; a gamma prior about a fixed starting mix keeps them in bounds,
and its strength is chosen on the last third of those origins. Sources: L. Breiman, "Stacked regressions", Machine Learning 24, 1996, 49-64 (weights of
at least 0); Y. Lee, S. O, J. E. Eck, "A theory-driven algorithm for real-time crime hot spot forecasting", Police Quarterly 23, 2020, 174-201 (long run
and recent); G. Rosser, T. Cheng, "Improving the robustness and accuracy of crime prediction with the self-exciting point process through isotropic
triggering", Applied Spatial Analysis and Policy 12, 2019, 5-25 (background and nearness in space and time); S. Boyd, L. Vandenberghe, *Convex
Optimization*, 2004, chapter 11 (Newton steps inside bounds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _lags, _products
from workbench.models.hotspots._lags import DAY, Lags
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Surface, recorded

TITLE = "Lagged counts"
HALF_LIVES: tuple[Span | None, ...] = ("7d", "30d", "90d", "365d", None)
BANDWIDTHS = (150.0, 300.0, 600.0, 1200.0)

_PRIORS = (3.0, 30.0, 300.0, 3000.0)
_STRETCH = 182 * DAY  # of the past that origins are laid over
_WORK = 3_000_000  # at most so many cells times origins
_LEAST = 40  # incidents that must have come after the origins for the weights to be learned
_learned: dict[bytes, Mix] = {}


@dataclass(frozen=True, eq=False)
class Mix:
    """Weights of the features and how they came about; ``origins`` 0 = the starting mix, nothing was learned."""

    lags: Lags
    weights: Floats
    prior: float
    origins: int
    incidents: int


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    window: Span = "1461d",
    half_lives: Sequence[Span | None] = HALF_LIVES,
    bandwidths: Sequence[float] = BANDWIDTHS,
    prior: float | None = None,
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``: lagged counts with weights learned from what came after earlier origins.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        window: how far back incidents count; the longer the better, four years where there are so many.
        half_lives: after these lengths of time an incident counts half; None = all alike. The horizon's length is put to them.
        bandwidths: metres (standard deviation) over which counts are spread; the cell alone is always one. Those too small or wide for the grid are left out.
        prior: how many incidents the starting mix weighs; None = 3, 30, 300 or 3,000, the one that forecast the last third of the origins best.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface; the basis names the weights as shares of the expected total. The weights are learned as of the last of fixed moments four weeks apart
    (counted from 1970) and kept in memory by what they were learned from, so that a back-test learns them 13 times a year and not every day.

    Raises:
        CannotTell: under 10 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns, half-lives, bandwidths or times that cannot be used.

    Cost: learning takes up to 26 origins (52 for horizons under a week; fewer on more than 100,000 cells) x half-lives x bandwidths spreadings, about
    half a second on 35,000 cells; a forecast alone takes some milliseconds.
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=10)
    made = estimate(before, grid, ahead, half_lives=half_lives, bandwidths=bandwidths, prior=prior)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (lagged counts)",
                         source="Breiman 1996; Lee, O and Eck 2020; Rosser and Cheng 2019")


def estimate(
    before: Past,
    grid: Grid,
    horizon: timedelta,
    *,
    half_lives: Sequence[Span | None] = HALF_LIVES,
    bandwidths: Sequence[float] = BANDWIDTHS,
    prior: float | None = None,
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    if prior is not None and not (math.isfinite(prior) and prior > 0):
        raise BadInput(f"prior={prior!r} does not do; give how many incidents the starting mix weighs, e.g. 30, or None to have it chosen.")
    length, ahead = before.length.total_seconds(), horizon.total_seconds()
    mix = _mix(before, grid, ahead, _lags.half_lives(half_lives, horizon), _lags.bandwidths(bandwidths, grid), prior)
    expected = _lags.mixed(before.cell, before.age, length, mix.lags, grid, ahead, mix.weights)
    shares = mix.weights * _totals(before, mix.lags, grid, ahead)
    shares = shares / max(float(shares.sum()), 1e-300)
    order = np.argsort(-shares, kind="stable")
    parts = {mix.lags.names[i]: round(float(shares[i]), 3) for i in order if shares[i] >= 0.005}
    how = f"learned from {mix.incidents:,} incidents after {mix.origins} origins" if mix.origins else "starting mix, nothing learned"
    little = f"The past holds too little to learn weights from (under {_LEAST} incidents after origins with a past of their own): the starting mix is used."
    notes = () if mix.origins else (little,)
    return Estimate(expected, _certain(mix, shares, length), f"lagged counts, weights {how}", {"shares of the total": parts, "prior": mix.prior}, notes)


def _totals(before: Past, lags: Lags, grid: Grid, ahead: float) -> Floats:
    """Each feature's total over the area."""
    length, counts = before.length.total_seconds(), []
    for h in lags.half_lives:
        weights = len(before) if math.isinf(h) else float(np.exp(-math.log(2) / h * before.age).sum())
        counts += [weights * ahead / _lags.standing(h, length)] * len(lags.bandwidths)
    if lags.season:
        about = _lags.season(before.cell, before.age, length, len(grid), ahead)
        counts.append(0.0 if about is None else float(about.sum()))
    return np.array([*counts, len(before) * ahead / length])


def _certain(mix: Mix, shares: Floats, length: float) -> float:
    """Seconds whose plain count would be as certain as the weights over time make it (Kish); spreading is not counted in its favour."""
    lags = mix.lags
    n = len(lags.half_lives) * len(lags.bandwidths)
    of = shares[:n].reshape(len(lags.half_lives), -1).sum(axis=1)
    of[-1] += float(shares[n:].sum())
    fade = np.array([0.0 if math.isinf(h) else math.log(2) / h for h in lags.half_lives])
    both = fade[:, None] + fade[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = np.where(both > 0, -np.expm1(-both * length) / both, length)
    stands = np.array([_lags.standing(h, length) for h in lags.half_lives])
    doubled = float((of / stands) @ overlap @ (of / stands))
    return length if doubled <= 0 else min(length, float(of.sum()) ** 2 / doubled)


# --- learning -----------------------------------------------------------------------------------------------------------------------


def _mix(before: Past, grid: Grid, ahead: float, lives: tuple[float, ...], widths: tuple[float, ...], prior: float | None) -> Mix:
    """The weights as of the last fixed moment, from memory where the same was learned before."""
    known = _lags.settled(before)
    key, age, since = _lags.mark(known, grid, ahead, lives, widths, prior)
    found = _learned.get(key)
    if found is None:
        found = _learn(known.cell, age, since, known.length.total_seconds(), grid, ahead, lives, widths, prior)
        while len(_learned) >= 256:
            _learned.pop(next(iter(_learned)), None)
        _learned[key] = found
    return found


def _learn(cell: Ints, age: Floats, known: Floats, length: float, grid: Grid, ahead: float, lives: tuple[float, ...], widths: tuple[float, ...],
           prior: float | None) -> Mix:
    stretch = min(_STRETCH if ahead <= 7 * DAY else max(_STRETCH, 6 * ahead), 0.4 * length)
    most = min(26 if ahead >= 7 * DAY else 52, max(4, _WORK // len(grid)))
    count = min(most, int(stretch / ahead + 1e-9))
    step = stretch / count if count else ahead
    laters = [ahead + k * step for k in range(count) if ahead + k * step < 0.6 * length][::-1]
    lags = Lags(lives, widths, bool(laters) and length - laters[0] > 1.25 * 365.25 * DAY)
    rows, totals, which = [], [], []
    for later in laters:
        use = (age > later) & (known > later)
        came = cell[(age <= later) & (age > later - ahead)]
        if not use.any():
            continue
        features, total = _lags.at_cells(cell[use], age[use] - later, length - later, lags, grid, ahead, came)
        rows.append(features)
        totals.append(total)
        which.append(np.full(len(came), len(rows) - 1))
    if not rows or sum(map(len, rows)) < _LEAST:
        bare = Lags(lives, widths, False)
        return Mix(bare, _start(bare), 0.0, 0, 0)
    every, origin, sums = np.concatenate(rows), np.concatenate(which), np.array(totals)
    return _fitted(every, origin, sums, lags, prior)


def _fitted(every: Floats, origin: Ints, sums: Floats, lags: Lags, prior: float | None) -> Mix:
    """Choose the prior's strength on the last third of the origins, then fit all of them."""
    start, chosen = _start(lags), prior
    origins = len(sums)
    cut = origins - max(1, origins // 3)
    first, last = origin < cut, origin >= cut
    if chosen is None and (first.sum() < _LEAST / 2 or last.sum() < _LEAST / 4):
        chosen = _PRIORS[-2]
    if chosen is None:
        early, late = sums[:cut].sum(axis=0), sums[cut:].sum(axis=0)
        best = -math.inf
        for strength in _PRIORS:
            weights = regress(every[first], early, start, strength)
            gain = float(np.log(_products.times(every[last], weights)).sum() - late @ weights)
            if gain > best:
                best, chosen = gain, strength
    weights = regress(every, sums.sum(axis=0), start, float(chosen or _PRIORS[-2]))
    return Mix(lags, weights, float(chosen or _PRIORS[-2]), origins, len(every))


def _start(lags: Lags) -> Floats:
    """The starting mix, summing to 1: slow features before quick ones, the cell and its next neighbours before the wide ones, 2 % even."""
    slow = np.array([1.0 if math.isinf(h) else max(h / (h + 365 * DAY), 0.02) for h in lags.half_lives])
    near = np.array([1.0 if b == 0 else min(1.0, 150.0 / b) for b in lags.bandwidths])
    parts = (slow[:, None] * near[None, :]).ravel()
    rest = 0.02 + 0.03 * lags.season
    weights: Floats = np.concatenate([parts / parts.sum() * (1 - rest), [0.03] if lags.season else [], [0.02]])
    return weights


def regress(features: Floats, totals: Floats, start: Floats, strength: float) -> Floats:
    """Weights w > 0 that maximise ``sum(log(features @ w)) - totals @ w`` plus a gamma prior of mode ``start`` that weighs ``strength`` incidents.

    Args:
        features: features of each incident's cell before it came, shape (n, j), at least 0; each row has one above 0.
        totals: each feature's total over all cells and origins, shape (j,).
        start: weights above 0, shape (j,).
        strength: pseudo-incidents, above 0.

    Newton steps, kept inside the bounds; the objective is concave, so there is one maximum. Source: Boyd and Vandenberghe 2004. O(steps x n j^2).
    """
    pull = strength * start / start.sum()
    price = totals + pull / start

    def gain(w: Floats) -> float:
        return float(np.log(_products.times(features, w)).sum() - price @ w + pull @ np.log(w))

    weights = start * (len(features) + strength) / float(price @ start)
    now = gain(weights)
    for _ in range(60):
        ratio = features / _products.times(features, weights)[:, None]
        slope = ratio.sum(axis=0) - price + pull / weights
        curve = _products.gram(ratio) + np.diag(pull / weights**2)
        move = np.linalg.solve(curve, slope)
        if float(slope @ move) < 1e-9 * max(1, len(features)):
            break
        falling = move < 0
        size = min(1.0, 0.95 * float(np.min(-weights[falling] / move[falling]))) if falling.any() else 1.0
        while (then := gain(weights + size * move)) < now and size > 1e-10:
            size /= 2
        if then < now:
            break
        weights, now = weights + size * move, then
    return weights



"""Where are the next incidents, by a regression on what was recent, what was usual and a smooth map? Random Fourier features in a Poisson regression.

Cells and earlier stretches of time are the rows. Their count is regressed on the logarithm of the cell's long-run mean, counts of recent windows in the cell
and about it (the smoothing kernels that stand for kernel density and self-excitation), and random Fourier features of position: cosines and sines whose
frequencies are drawn so that together they make a Gaussian-process map of a given length scale. The fit is Newton's with halved steps; a ridge penalty, free
for the counts and chosen for the map by the latest stretch, holds it. Cells without incidents are sampled and weighted back.

Sources: S. Flaxman, M. Chirico, P. Pereira, C. Loeffler, "Scalable high-resolution forecasting of sparse spatiotemporal events with kernel methods: a winning
solution to the NIJ Real-Time Crime Forecasting Challenge", Annals of Applied Statistics 13, 2019, 2564-2585, doi:10.1214/19-AOAS1284; A. Rahimi, B. Recht,
"Random features for large-scale kernel machines", NIPS 20, 2007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _choosing, long_run
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Surface, recorded

TITLE = "Random Fourier features (regression)"

_DAY = 86400.0
_ORIGINS = 8
_WINDOWS = (28, 84, 182, 365)  # days back, of the counts
_ROWS = 12_000
_RIDGES = (3.0, 30.0, 300.0, 30_000.0)
_ROUNDS = 25
_LEVEL = timedelta(days=365)


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    features: int = 40,
    length: float | None = None,
    ridge: float | None = None,
    seed: int = 0,
    window: Span = "1095d",
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``, by Poisson regression on lagged counts and random Fourier features of position.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        features: frequencies drawn, each giving a cosine and a sine; 0 = none.
        length: length scale of the map in metres; None = an eighth of the area's longer side.
        ridge: penalty of the map's coefficients; None = of 3, 30, 300 and 30,000 the one under which the latest stretch was likeliest.
        seed: of the frequencies and of the sample of cells without incidents.
        window: how far back incidents count.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface; the expectations sum to the rate of the last 365 days (or of a shorter window) times the horizon. Where the past is too short to
    learn from (under two stretches of four weeks with 30 incidents) the long-run mean is given, and the method says so.

    Raises:
        CannotTell: under 30 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns, times or settings that cannot be used.

    Cost: O(n log n + 8 x cells) and some 40 solutions with at most 12,000 rows x (12 + 2 features) columns: about half a second.
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=30)
    made = estimate(before, grid, ahead, features=features, length=length, ridge=ridge, seed=seed)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (random Fourier features)",
                         source="Flaxman, Chirico, Pereira and Loeffler 2019; Rahimi and Recht 2007")


def estimate(
    before: Past, grid: Grid, horizon: timedelta, *, features: int = 40, length: float | None = None, ridge: float | None = None, seed: int = 0
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    if isinstance(features, bool) or not isinstance(features, int) or not 0 <= features <= 500:
        raise BadInput(f"features={features!r} does not do; give a whole number from 0 to 500.")
    for what, value in (("length", length), ("ridge", ridge)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise BadInput(f"{what}={value!r} does not do; give a number over 0, or None.")
    scale = max(grid.nx, grid.ny) * grid.cell / 8 if length is None else length
    step, many = _choosing.stretch(before, horizon, _ORIGINS)
    level = min(_LEVEL, before.length)
    total = int((before.age < level.total_seconds()).sum()) * (horizon / level) or len(before) * (horizon / before.length)
    inside = np.flatnonzero(grid.inside)
    if many < 2:
        rate = long_run.long_run(np.bincount(before.cell, minlength=len(grid)).astype(float), grid, 1.5 * grid.cell, 2.0)[inside]
        how, chosen = "too short a past to learn from, so the long-run mean", ridge
    else:
        rate, chosen = _learned(before, grid, inside, step, many, _map(grid, inside, features, scale, seed), ridge, seed)
        how = f"learned from {many} earlier {said(timedelta(seconds=step))}"
    expected = np.zeros(len(grid))
    expected[inside] = rate * (total / float(rate.sum()))
    about = {"features": features, "length": f"{scale:g} m", "ridge": chosen, "seed": seed, "learned": how}
    words = f"Poisson regression on lagged counts and {features} random Fourier features of {scale:.0f} m; {how}"
    return Estimate(expected, before.length.total_seconds(), words, about)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the regression: columns, count, weight, which stretch (counted back from asof)."""

    x: Floats
    y: Floats
    weight: Floats
    origin: Floats


def _map(grid: Grid, inside: Ints, features: int, scale: float, seed: int) -> Floats:
    """Cosines and sines of position, shape (cells inside, 2 features); a Gaussian kernel of that length scale on average."""
    frequency = np.random.default_rng([seed, 1]).normal(0, 1 / scale, (2, features))
    # from the middle of the grid, so that moving the city changes nothing
    x, y = (inside % grid.nx + 0.5 - grid.nx / 2) * grid.cell, (inside // grid.nx + 0.5 - grid.ny / 2) * grid.cell
    turn = x[:, None] * frequency[0] + y[:, None] * frequency[1]
    return np.asarray(np.hstack([np.cos(turn), np.sin(turn)]) / math.sqrt(max(features, 1)), dtype=float)


def _lagged(before: Past, grid: Grid, inside: Ints, later: float) -> Floats:
    """What was known ``later`` seconds before asof: logarithms of the long-run mean, of counts about the cell, and the cell's own counts by window."""
    use = np.flatnonzero(before.known > later)
    age, cell = before.age[use] - later, before.cell[use]
    reached = before.length.total_seconds() - later
    out, newer = [], 0.0
    counts = np.bincount(cell, minlength=len(grid)).astype(float)
    for width, own in ((1.5, 2.0), (1.0, math.inf), (4.0, math.inf)):
        out.append(_log(long_run.long_run(counts, grid, width * grid.cell, own)[inside], reached))
    for days in _WINDOWS:
        some = (age >= newer * _DAY) & (age < days * _DAY)
        counts = np.bincount(cell[some], minlength=len(grid)).astype(float)
        if days <= 84:
            out.append(_log(long_run.long_run(counts, grid, 1.5 * grid.cell, math.inf)[inside], (days - newer) * _DAY))
        out.append(np.log1p(counts[inside]))
        newer = days
    return np.stack(out, axis=1)


def _log(counts: Floats, seconds: float) -> Floats:
    """Logarithm of a rate, an even twentieth mixed in so that no cell is impossible."""
    return np.asarray(np.log((0.95 * counts + 0.05 * counts.mean() + 1e-6) / max(seconds, _DAY)), dtype=float)


def _learned(
    before: Past, grid: Grid, inside: Ints, step: float, many: int, position: Floats, ridge: float | None, seed: int
) -> tuple[Floats, float]:
    """Rates by cell of the study area, and the ridge."""
    places = _choosing.places(grid)
    lags = [_lagged(before, grid, inside, o * step) for o in range(many + 1)]
    rows = _sampled(before, lags, position, places, step, many, seed)
    mean, spread = rows.x.mean(axis=0), np.maximum(rows.x.std(axis=0), 1e-9)
    given = lags[0].shape[1]

    def penalties(value: float) -> Floats:
        return np.r_[0.0, np.full(given, 1.0), np.full(position.shape[1], value) * np.maximum(spread[given:], 1e-9) ** -2 / max(position.shape[1], 1)]

    def predicted(fitted: Floats, origin: int) -> Floats:
        x = (np.hstack([lags[origin], position]) - mean) / spread
        return np.asarray(np.exp(np.clip(x @ fitted[1:], -30, 30)), dtype=float)

    x = np.hstack([np.ones((len(rows.y), 1)), (rows.x - mean) / spread])
    start = np.r_[math.log(max(float(rows.weight @ rows.y / rows.weight.sum()), 1e-9)), np.zeros(x.shape[1] - 1)]
    if ridge is None:
        early, came = rows.origin > 1, places[_choosing.came_after(before, 1, step)]
        tried, scores = start, []
        for value in reversed(_RIDGES):
            tried = _newton(x[early], rows.y[early], rows.weight[early], penalties(value), tried)
            scores.append(float(_choosing.likely(predicted(tried, 1)[None], came)[0]))
        ridge, start = tuple(reversed(_RIDGES))[int(np.argmax(scores))], tried
    return predicted(_newton(x, rows.y, rows.weight, penalties(ridge), start), 0), ridge


def _sampled(before: Past, lags: list[Floats], position: Floats, places: Ints, step: float, many: int, seed: int) -> _Rows:
    """Every row with an incident and a sample of the others, at most _ROWS in all unless the former are more."""
    cells = len(position)
    counts = np.stack([np.bincount(places[_choosing.came_after(before, o, step)], minlength=cells) for o in range(1, many + 1)])
    origin, at = np.nonzero(counts)
    free_origin, free = np.nonzero(counts == 0)
    room = max(_ROWS - len(at), _ROWS // 3)
    weight = np.ones(len(free))
    if len(free) > room:
        drawn = np.sort(np.random.default_rng([seed, 2]).choice(len(free), room, replace=False))
        weight, free, free_origin = np.full(room, len(free) / room), free[drawn], free_origin[drawn]
    origin, at = np.r_[origin, free_origin], np.r_[at, free]
    x = np.hstack([np.stack(lags[1:])[origin, at], position[at]])
    return _Rows(x, counts[origin, at].astype(float), np.r_[np.ones(len(at) - len(weight)), weight], origin + 1.0)


def _newton(x: Floats, y: Floats, weight: Floats, penalty: Floats, start: Floats) -> Floats:
    """Penalised Poisson regression; each step is halved until the penalised likelihood rises, so that it cannot run away."""
    beta = start.copy()

    def value(b: Floats) -> tuple[float, Floats]:
        eta = np.clip(x @ b, -30, 30)
        mean = np.exp(eta)
        return float(weight @ (y * eta - mean)) - 0.5 * float(penalty @ b**2), mean

    best, mean = value(beta)
    for _ in range(_ROUNDS):
        slope = x.T @ (weight * (y - mean)) - penalty * beta
        bend = (x * (weight * mean)[:, None]).T @ x + np.diag(penalty + 1e-8)
        move = np.linalg.solve(bend, slope)
        size = 1.0
        while size > 1e-4:
            there, mean_there = value(beta + size * move)
            if there >= best:
                break
            size /= 2
        else:
            break
        gain = there - best
        beta, best, mean = beta + size * move, there, mean_there
        if gain < 1e-6 * abs(best) + 1e-9:
            break
    return beta

"""How many incidents in all are to be expected: the recent level, forgotten at a pace chosen on the past, times the season and the days of the week.

Places are one question, how many another: a year's mean rate is far behind where a trend or a summer has taken the total. Here the total is

    sum of the counts by day, each weighing ``0.5 ** (age / half_life)``, over the same sum of what season and weekday would make of a level of 1 a day

times what season and weekday make of the days ahead. Seven half-lives with none, half and all of the season are tried on up to 60 earlier
stretches of the same length and averaged, each weighing as likely as it made them (Poisson deviance over the best one's, as with Akaike's weights). The
season is two waves of a year fitted to weekly counts beside a quadratic trend and shrunk by how sure it is (James and Stein), only where two
years are known. Days whose incidents are not all reported yet count as long as the share that is usually known by then.

Sources: R. G. Brown, *Smoothing, Forecasting and Prediction of Discrete Time Series*, 1963, chapter 7 (forgetting); E. S. Gardner, E. McKenzie,
Management Science 31, 1985, 1237-1246, doi:10.1287/mnsc.31.10.1237 (damped rather than continued trends); B. Efron, C. Morris, JASA 70, 1975,
311-319, doi:10.1080/01621459.1975.10479864 (shrinking); K. P. Burnham, D. R. Anderson, Sociological Methods and Research 33, 2004, 261-304,
doi:10.1177/0049124104268644 (weights).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.geo import Floats

HALF_LIVES = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 1e6)
_STRENGTHS = np.array([0.0, 0.5, 1.0])  # of the season
_YEAR = 365.2425
_MOST = 60  # origins of the validation at most
_SEASON = 2 * 365  # days of data needed for a season
_CHOSEN = 6  # values chosen on the same stretches: half-life, strength and four of the season
_LEAST = 0.5  # days of which less is usually known are left out


@dataclass(frozen=True)
class Level:
    """How many incidents are expected in all, and how far such forecasts were off.

    Args:
        total: incidents over the horizon.
        spread: dispersion of such totals about their forecasts beyond chance: variance ``total + spread * total**2``.
        half_life: days after which a day's count weighs half (geometric mean of those averaged); infinite = all days alike.
        season: what season and weekday make of the stretch ahead, against the mean of the past.
        origins: forecasts of earlier stretches it was chosen on; 0 = too little past, and the total is the plain rate.
    """

    total: float
    spread: float
    half_life: float
    season: float
    origins: int


def level(counts: Floats, complete: Floats, days: float, share: float = 1.0) -> Level:
    """The level from counts by day.

    Args:
        counts: incidents known of each day, the latest first, shape (n,): day 0 are the 24 hours before asof.
        complete: share of a day's incidents that is usually known by now, 0 to 1, shape (n,).
        days: length of the stretch ahead, in days, over 0.
        share: of a day's incidents, the part in the clock hours of the last, broken, day ahead over that day's length; 1 = even.

    Returns: a Level; where under 8 earlier stretches could be forecast, the plain rate. Cost: about 3 ms for five years.
    """
    n = len(counts)
    usual = np.where(complete >= _LEAST, complete, 0.0)
    known = np.where(usual > 0, counts, 0.0)
    whole = math.ceil(days - 1e-9)
    ahead = np.full(whole, 1.0)
    ahead[-1] = (days - whole + 1) * share
    shapes, futures = _shapes(known, usual, whole)
    coming, over = futures @ ahead, usual * shapes
    stride = max(1, math.ceil(days / 2)) if days > 14 else max(whole, 3)
    many = min(_MOST, (n - max(28, whole) - whole) // stride + 1)
    if many < 8 or known.sum() < 50:
        return Level(float(known.sum() / max(float(over[0].sum()), 1e-9) * coming[0]), 0.0, math.inf, float(coming[0] / ahead.sum()), 0)
    came, base = _earlier(np.where(usual > 0, known / np.maximum(usual, _LEAST), 0.0), np.where(usual > 0, shapes, 0.0), stride, whole, many)
    rows, now = np.column_stack([known, over.T]), []
    losses, tried = np.empty((len(HALF_LIVES), len(shapes))), np.empty((len(HALF_LIVES), len(shapes), many))
    for k, half in enumerate(HALF_LIVES):
        sums = _weights(half, -(-n // 256) * 256, whole, stride, many)[:, :n] @ rows
        tried[k] = np.maximum(sums[:, :1] / np.maximum(sums[:, 1:], 1e-9), 1e-9).T * base
        losses[k] = [_deviance(came, t) for t in tried[k]]
        last = _weights(half, -(-n // 256) * 256, 0, 1, 1)[0, :n] @ rows
        now.append(last[0] / np.maximum(last[1:], 1e-9) * coming)
    free = max(many * min(1.0, stride / whole), 1.0)  # stretches that do not overlap
    weight = np.exp(-free * (losses - losses.min()) / (2 * max(float(losses.min()), 1.0)))
    weight /= weight.sum()
    expected, total = np.einsum("ks,ksv->v", weight, tried), float(np.sum(weight * np.array(now)))
    spread = max(0.0, float(np.sum((came - expected) ** 2) * free / max(free - _CHOSEN, 1.0) - np.sum(expected)) / float(np.sum(expected**2)))
    half = float(np.exp(np.sum(weight * np.log(HALF_LIVES)[:, None])))
    return Level(total, spread, half, float(np.sum(weight.sum(axis=0) * coming) / ahead.sum()), many)


def _earlier(counts: Floats, shapes: Floats, stride: int, whole: int, many: int) -> tuple[Floats, Floats]:
    """What came in each earlier stretch, shape (many,), and what a level of 1 a day would have made of it under each shape, (shapes, many)."""
    at = np.arange(many) * stride
    sums = np.concatenate([np.zeros((1 + len(shapes), 1)), np.cumsum(np.vstack([counts, shapes]), axis=1)], axis=1)
    out = sums[:, at + whole] - sums[:, at]
    return out[0], out[1:]


def _deviance(came: Floats, expected: Floats) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(came > 0, came * np.log(came / expected), 0.0)
    return float(np.mean(2 * (logs - came + expected)))


@lru_cache(maxsize=64)
def _weights(half: float, n: int, whole: int, stride: int, many: int) -> Floats:
    """Row v: the weights of the days before the v-th earlier stretch, 0 for those in it or after it. Shape (many, n)."""
    age = np.arange(n)[None, :] - (np.arange(many)[:, None] * stride + whole)
    out: Floats = np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half), 0.0)
    return out


def _shapes(known: Floats, usual: Floats, whole: int) -> tuple[Floats, Floats]:
    """What no, half and the whole season, with weekdays, make of each past day and each day ahead: shapes (3 or 1, n) and (3 or 1, whole)."""
    n = len(known)
    past, future = np.ones((1, n)), np.ones((1, whole))
    if known.sum() < 50 or n < 56:
        return past, future
    season = _season(known, usual) if n >= _SEASON else None
    if season is not None:
        log, then = _waves(-np.arange(n) - 0.5) @ season, _waves(np.arange(whole) + 0.5) @ season
        past, future = (np.exp(_STRENGTHS[:, None] * v[None, :]) for v in (log, then))
    if whole % 7:
        week = _weekdays(known, usual * past[-1])
        past, future = past * week[(-np.arange(n) - 1) % 7], future * week[np.arange(whole) % 7]
    return past, future


def _weekdays(known: Floats, usual: Floats) -> Floats:
    """Factor of each day of the week counted from asof on (0 = the 24 hours after it), from the last year, shrunk towards 1."""
    m = min(len(known), 364)
    day = (-np.arange(m) - 1) % 7
    mean = known[:m].sum() / max(float(usual[:m].sum()), 1e-9)
    n, base = np.bincount(day, known[:m], minlength=7), np.bincount(day, usual[:m] * mean, minlength=7)
    ratio = n / np.maximum(base, 1e-9)
    noise = float(np.mean(1 / np.maximum(base, 1.0)))
    signal = max(0.0, float(np.mean((ratio - 1) ** 2)) * 7 / 6 - noise)
    return np.asarray(1 + (ratio - 1) * signal / (signal + noise))


@lru_cache(maxsize=8)
def _design(weeks: int) -> Floats:
    """Two waves of a year, level and quadratic trend for each past week, the latest first. Shape (weeks, 7)."""
    at = -(np.arange(weeks) + 0.5)
    t = 2 * (at + weeks / 2) / weeks
    waves = np.stack([_waves((at[:, None] * 7) + np.arange(-3, 4)[None, :]).mean(axis=1)])[0]
    return np.column_stack([waves, np.ones(weeks), t, t * t])


def _waves(day: Any) -> Floats:
    angle = 2 * math.pi * np.asarray(day, dtype=float) / _YEAR
    return np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=-1)


def _season(known: Floats, usual: Floats) -> Floats | None:
    """Coefficients of the waves on the log scale, shrunk; None where they are no better than noise."""
    weeks = len(known) // 7
    y, w = known[: weeks * 7].reshape(weeks, 7).sum(axis=1), usual[: weeks * 7].reshape(weeks, 7).sum(axis=1) / 7
    x, use = _design(weeks), w > 0
    x, y, w = x[use], y[use], w[use]
    beta = np.zeros(7)
    beta[4] = math.log(max(y.sum() / w.sum(), 1e-9))
    for _ in range(6):
        mu = w * np.exp(np.clip(x @ beta, -30, 30))
        information = (x * mu[:, None]).T @ x + 1e-9 * np.eye(7)
        step = np.linalg.solve(information, x.T @ (y - mu))
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-6:
            break
    noise = max(1.0, float(np.mean((y - mu) ** 2 / np.maximum(mu, 1e-9))) * len(y) / max(len(y) - 7, 1))
    cover = np.linalg.inv(information)[:4, :4] * noise
    strength = float(beta[:4] @ np.linalg.solve(cover, beta[:4]))
    keep = max(0.0, 1 - 2 / strength) if strength > 0 else 0.0
    return beta[:4] * keep if keep > 0 else None

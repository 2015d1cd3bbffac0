"""The fit of the self-exciting model: expectation-maximisation with squared extrapolation, and standard errors from one more pass.

Sources: A. Veen, F. P. Schoenberg, "Estimation of space-time branching process models in seismology using an EM-type algorithm", JASA 103, 2008, 614-624;
R. Varadhan, C. Roland, "Simple and globally convergent methods for accelerating the convergence of any EM algorithm", Scandinavian Journal of Statistics
35, 2008, 335-353 (SQUAREM); Y. Ogata, "The asymptotic behaviour of maximum likelihood estimators for stationary point processes", Annals of the Institute
of Statistical Mathematics 30, 1978, 243-261 (information as the sum of squared gradients of the log-intensity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.engines.kernels import each
from workbench.geo import Floats, Grid
from workbench.models.hotspots import _self_exciting as inner
from workbench.models.hotspots._self_exciting import STEPS, WIDTHS, Fitted, Pairs

_PASSES = 90
_CLOSE = 1e-4  # of any share, branching or logarithm between two rounds: far below any standard error
_SLOWEST, _FASTEST = 3.0, 48.0  # decays a memory, and a day: a slower trigger could not be told from places that are busy for long
_NARROWEST = 15.0  # metres: nearer is next door, which the background has a kernel for
_KINDS = len(WIDTHS) + 3
_NEAR, _RATE, _SPREAD, _SAME, _AGAIN, _LEVEL, _LEVEL_SPREAD = range(_KINDS, _KINDS + 7)


@dataclass(frozen=True, eq=False)
class Problem:
    """Events with their pairs and background, in bucket order; ``left`` = days from each to the end, falling; ``over`` = each background cause's
    integral over window and area for a rate of 1; ``span`` = days."""

    pairs: Pairs
    ground: Floats
    left: Floats
    over: Floats
    span: float
    reach: float
    memory: float

    def __len__(self) -> int:
        return len(self.left)


def problem(x: Floats, y: Floats, age: Floats, grid: Grid, span: float, reach: float, memory: float) -> Problem:
    """From events in order of time; ``age`` and ``span`` in days."""
    t = span - age
    address = inner.addresses(x, y, grid)
    found = inner.pairs(x, y, t, address, reach, memory)
    ground = np.ascontiguousarray(inner.background(x, y, t, address, grid, span)[found.order])
    over = np.r_[np.full(len(WIDTHS) + 1, span), max(float(age[0]), 1e-9), max(float(age.sum()), 1e-9)]
    return Problem(found, ground, age, over, span, reach, memory)


def fit(given: Problem) -> tuple[Fitted, Floats]:
    """The likeliest parameters, and the covariance of (near, decay rate, spread, same, decay rate, level, its spread, backgrounds' rates); nan where the
    data say nothing."""
    n = len(given)
    at = np.full(_LEVEL_SPREAD + 1, 0.6 / _KINDS)  # shares of the backgrounds, then what has a name
    at[_NEAR], at[_SAME], at[_LEVEL] = (0.2, 0.1, 0.1)
    at[[_RATE, _AGAIN]] = math.log(10 / given.memory)
    at[_SPREAD], at[_LEVEL_SPREAD] = math.log(given.reach / 6), math.log(given.reach / 3)
    if given.pairs.near[-1] == 0:
        at[[_NEAR, _LEVEL]] = 0.0
    if given.pairs.same[-1] == 0:
        at[_SAME] = 0.0
    passes, likelihood = 0, -math.inf
    while passes < _PASSES:
        one, _ = _step(at, given)
        two, likelihood = _step(one, given)
        passes += 2
        weight = np.ones(len(at))  # a delay or spread counts as much as what it is the delay or spread of
        weight[[_RATE, _SPREAD, _AGAIN, _LEVEL_SPREAD]] = two[[_NEAR, _NEAR, _SAME, _LEVEL]]
        if np.abs((two - one) * weight).max() < _CLOSE:
            at = two
            break
        r, v = one - at, two - 2 * one + at
        length = max(1.0, min(16.0, float(np.linalg.norm(r)) / max(float(np.linalg.norm(v)), 1e-12)))
        leap = _kept(at + 2 * length * r + length**2 * v, two, given)
        landed, there = _step(leap, given)
        passes += 1
        at = landed if there >= likelihood - 1e-9 * abs(likelihood) else two
    made = Fitted(tuple(float(v) for v in at[: _KINDS - 2]), float(at[_KINDS - 2]), float(at[_KINDS - 1] * n / given.over[-1]), float(at[_NEAR]),
                  math.exp(-at[_RATE]), math.exp(at[_SPREAD]), float(at[_SAME]), math.exp(-at[_AGAIN]), float(at[_LEVEL]), math.exp(at[_LEVEL_SPREAD]),
                  given.reach, given.memory, likelihood, passes)
    return made, _covariance(at, given)


def _kept(leap: Floats, two: Floats, given: Problem) -> Floats:
    """An extrapolated point pulled back to where parameters mean something."""
    positive = [*range(_KINDS), _NEAR, _SAME, _LEVEL]
    leap[positive] = np.maximum(leap[positive], 0.1 * two[positive])
    leap[[_NEAR, _SAME, _LEVEL]] = np.minimum(leap[[_NEAR, _SAME, _LEVEL]], 0.99)
    for k in (_RATE, _AGAIN):
        leap[k] = min(max(leap[k], math.log(_SLOWEST / given.memory)), math.log(_FASTEST))
    for k in (_SPREAD, _LEVEL_SPREAD):
        leap[k] = min(max(leap[k], math.log(_NARROWEST)), math.log(given.reach / 2))
    return leap


def _tables(at: Floats, given: Problem) -> tuple[Floats, Floats, Floats, Floats]:
    """Space, time, same-address time and level by step, for a branching of 1."""
    delay, d = (np.arange(STEPS) + 0.5) * (given.memory / STEPS), (np.arange(STEPS) + 0.5) * (given.reach / STEPS)
    wide, narrow = (np.exp(-0.5 * (d / s) ** 2) / (2 * math.pi * s**2 * -math.expm1(-0.5 * (given.reach / s) ** 2))
                    for s in (math.exp(at[_LEVEL_SPREAD]), math.exp(at[_SPREAD])))
    time, same = (r * np.exp(-r * delay) / -math.expm1(-r * given.memory) for r in (math.exp(at[_RATE]), math.exp(at[_AGAIN])))
    return narrow, time, same / inner.SAME**2, wide / given.memory


def _step(at: Floats, given: Problem) -> tuple[Floats, float]:
    """One round of EM from a point, and the log-likelihood of that point."""
    n, held = len(given), given.pairs
    space, time, same, level = _tables(at, given)
    rates, time, same, level = at[:_KINDS] * n / given.over, at[_NEAR] * time, at[_SAME] * same, at[_LEVEL] * level

    def work(part: tuple[int, int]) -> Floats:
        out = np.zeros(8 + _KINDS)
        inner._round(part[0], part[1], held.near, held.same, held.distance, held.delay, held.again, given.ground, rates, space, time, same, level, out)
        return out

    sums = np.sum(each(work, inner.parts(n)), axis=0)
    recent = given.left[given.left < given.memory]
    per, shown = given.memory / STEPS, n - len(recent) + float(recent.sum()) / given.memory
    rate, near = _delay(sums[1], sums[2] * per, recent, n, given.memory, math.exp(at[_RATE]))
    again, more = _delay(sums[4], sums[5] * per, recent, n, given.memory, math.exp(at[_AGAIN]))
    likelihood = float(sums[0]) - n * float(at[:_KINDS].sum()) - at[_NEAR] * near[0] - at[_SAME] * more[0] - at[_LEVEL] * shown
    metres = (given.reach / STEPS) ** 2
    spread, wide = (_spread(sums[k], sums[m] * metres, given.reach, math.exp(at[s])) for k, m, s in ((1, 3, _SPREAD), (6, 7, _LEVEL_SPREAD)))
    nexts = np.r_[sums[8:] / n, sums[1] / near[1], math.log(rate), math.log(spread), sums[4] / more[1], math.log(again), sums[6] / shown, math.log(wide)]
    return nexts, likelihood


def _held(rate: float, recent: Floats, n: int, memory: float) -> tuple[float, float]:
    """How many parents' worth of offspring the window shows, and its derivative by the rate."""
    norm, tail = -math.expm1(-rate * memory), math.exp(-rate * memory)
    gone = np.exp(-rate * recent)
    shown = n - len(recent) + float(np.sum(1 - gone)) / norm
    return shown, float(np.sum(recent * gone) * norm - np.sum(1 - gone) * memory * tail) / norm**2


def _delay(total: float, delays: float, recent: Floats, n: int, memory: float, rate: float) -> tuple[float, tuple[float, float]]:
    """The next decay rate of a trigger cut at ``memory`` and seen to the window's end only; and what the window shows before and after it."""
    before = _held(rate, recent, n, memory)[0]
    if total < 1e-9:
        return rate, (before, before)
    for _ in range(4):
        shown, slope = _held(rate, recent, n, memory)
        cut = memory * math.exp(-rate * memory) / -math.expm1(-rate * memory)
        rate = min(max(total / max(delays + total * cut + total / shown * slope, 1e-12), _SLOWEST / memory), _FASTEST)
    return rate, (before, _held(rate, recent, n, memory)[0])


def _spread(total: float, squares: float, reach: float, spread: float) -> float:
    """The next standard deviation of a Gaussian cut at ``reach``."""
    if total < 1e-9:
        return spread
    for _ in range(4):
        q = math.exp(-0.5 * (reach / spread) ** 2)
        spread = min(max(math.sqrt(0.5 * (squares / total + reach**2 * q / (1 - q))), _NARROWEST), reach / 2)
    return spread


def _covariance(at: Floats, given: Problem) -> Floats:
    held, n, memory, size = given.pairs, len(given), given.memory, 7 + _KINDS
    space, time, same, level = _tables(at, given)
    rates = at[:_KINDS] * n / given.over
    rate, spread, again, wide = (math.exp(at[k]) for k in (_RATE, _SPREAD, _AGAIN, _LEVEL_SPREAD))
    slow = [1 / r - memory * math.exp(-r * memory) / -math.expm1(-r * memory) for r in (rate, again)]
    cut = [2 / s - q * given.reach**2 / s**3 / (1 - q) for s in (spread, wide) for q in (math.exp(-0.5 * (given.reach / s) ** 2),)]
    shape = np.array([at[_NEAR], rate, spread, at[_SAME], again, at[_LEVEL], wide, memory / STEPS, given.reach / STEPS, slow[0], cut[0], slow[1], cut[1]])

    def work(part: tuple[int, int]) -> Floats:
        out = np.zeros((size, size))
        inner._information(part[0], part[1], held.near, held.same, held.distance, held.delay, held.again, given.ground, rates, space, time, same, level,
                           shape, np.zeros(size), out)
        return out

    lower = np.sum(each(work, inner.parts(n)), axis=0)
    full = np.tril(lower) + np.tril(lower, -1).T
    # what the data say nothing of: a cause without incidents, and the delay and spread of a trigger that led to hardly any
    told = np.diag(full) > 0
    told[[1, 2]] &= at[_NEAR] * n > 5
    told[4] &= at[_SAME] * n > 5
    told[[5, 6]] &= at[_LEVEL] * n > 5
    told[7:] &= at[:_KINDS] * n > 0.5
    use = np.flatnonzero(told)
    out = np.full(full.shape, np.nan)
    if len(use):
        scale = np.sqrt(np.diag(full)[use])
        out[np.ix_(use, use)] = np.linalg.pinv(full[np.ix_(use, use)] / np.outer(scale, scale), rcond=1e-10) / np.outer(scale, scale)
    return out

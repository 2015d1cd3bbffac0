"""Scores of forecasts by cell, tile or street segment, as plain functions of arrays: ranking (PAI and its kin) and whole distributions.

Every function takes ``expected`` and ``counts`` of one shape (tiles,) and, where tiles differ in size, ``area`` of the same shape in any unit. Tiles
are taken from the highest expectation per area down; those that tie are taken together, in proportion to the area still open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo import Floats

#: Measures for each area share, and those of the whole area.
BY_SHARE = ("pai", "hit_rate", "pei", "pei_star", "rri", "recapture", "success")
OVERALL = ("area", "area_20", "log_score", "crps", "pit")
_EXACT = 4_000_000  # tiles that had incidents x incidents: above, the best whole tiles are bounded rather than found
_LARGE = 100.0  # means from which a distribution is summed from its near tail on


def checked(expected: Any, counts: Any, area: Any = None) -> tuple[Floats, Floats, Floats | None]:
    """The three as float arrays of one shape.

    Raises:
        BadInput: shapes differ, there is no tile, or a value is negative or no number.
    """
    e, n = np.asarray(expected, dtype=float), np.asarray(counts, dtype=float)
    a = None if area is None else np.asarray(area, dtype=float)
    if e.ndim != 1 or e.shape != n.shape or (a is not None and a.shape != e.shape) or len(e) == 0:
        shapes = ", ".join(str(v.shape) for v in (e, n, a) if v is not None)
        raise BadInput(f"Expected, counts and area have shapes {shapes}; give one value a tile in each, for at least one tile.")
    for name, values in (("expected", e), ("counts", n), ("area", a)):
        if values is not None and not (np.isfinite(values).all() and (values >= 0).all() and (name != "area" or (values > 0).all())):
            raise BadInput(f"{name} holds a value that is no number, or too small; expectations and counts are 0 or more, areas over 0.")
    return e, n, a


def ranked(expected: Floats, area: Floats | None, columns: Floats) -> tuple[Floats, Floats]:
    """Area covered, shape (g + 1,), and sums of the columns (c, tiles), shape (c, g + 1), from nothing to all; a step is a group of tiles that tie."""
    key = expected if area is None else expected / area
    order = np.argsort(-key)
    falling = key[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(key) - 1)
    covered = (ends + 1).astype(float) if area is None else np.cumsum(area[order])[ends]
    sums = np.cumsum(columns[:, order], axis=1)[:, ends]
    return np.concatenate([[0.0], covered]), np.concatenate([np.zeros((len(columns), 1)), sums], axis=1)


def curve(expected: Any, counts: Any, area: Any = None) -> tuple[Floats, Floats]:
    """The hit-rate curve: (share of the area, share of the incidents in it), both rising from 0 to 1, straight between their points. O(n log n).

    Without incidents the second is nan. Raises: BadInput, see ``checked``.
    """
    e, n, a = checked(expected, counts, area)
    covered, sums = ranked(e, a, n[None, :])
    with np.errstate(invalid="ignore"):
        return covered / covered[-1], sums[0] / sums[0, -1]


def curve_area(expected: Any, counts: Any, area: Any = None, *, up_to: float = 1.0) -> float:
    """Area under the hit-rate curve from 0 to ``up_to``, over ``up_to``: the mean hit rate over those area shares. Chance gives ``up_to / 2``.

    Raises: BadInput, see ``checked``; up_to is not over 0 and at most 1.
    """
    if not 0 < up_to <= 1:
        raise BadInput(f"up_to={up_to!r} does not do; give a share of the area over 0 and up to 1, e.g. 0.2.")
    return under(*curve(expected, counts, area), up_to)


def under(x: Floats, y: Floats, up_to: float) -> float:
    """Mean height of a curve of straight lines from 0 to ``up_to``."""
    last = int(np.searchsorted(x, up_to, side="left"))
    xs, ys = np.append(x[:last], up_to), np.append(y[:last], np.interp(up_to, x, y))
    return float(np.sum((xs[1:] - xs[:-1]) * (ys[1:] + ys[:-1])) / 2 / up_to)


def held(expected: Floats, counts: Floats, share: float) -> float:
    """Incidents in the cells of highest expectation that make up exactly ``share`` of the area, ties at the cut in proportion. Equal cells. O(n)."""
    area = share * len(expected)
    k = min(len(expected), max(1, math.ceil(area - 1e-9)))
    cut = np.partition(expected, len(expected) - k)[len(expected) - k]
    above, tied = expected > cut, expected == cut
    return float(counts[above].sum() + counts[tied].sum() * (area - above.sum()) / tied.sum())


def best(counts: Any, area: Any, cap: float) -> float:
    """The most incidents that tiles of ``cap`` area in all can hold where the last may be clipped: tiles by incidents per area, the last a fraction.

    It is the fractional knapsack, so exact for clipped tiles and an upper bound for whole ones. ``area`` None = tiles of 1. O(n log n).
    """
    n = np.asarray(counts, dtype=float)
    covered, sums = ranked(n, None if area is None else np.asarray(area, dtype=float), n[None, :])
    return float(np.interp(cap, covered, sums[0]))


def best_whole(counts: Any, area: Any, cap: float) -> tuple[float, bool]:
    """The most incidents that whole tiles of at most ``cap`` area can hold, and whether that is exact.

    Equal tiles (``area`` None): the top ``floor(cap)``. Unequal tiles: the knapsack solved over counts (for each number of incidents the least area
    that holds it), exact while tiles with incidents x incidents is at most 4 million; above that the fractional bound, and False.
    """
    n = np.asarray(counts, dtype=float)
    if area is None:
        k = min(len(n), int(cap + 1e-9))
        return (float(np.sort(n)[::-1][:k].sum()), True)
    a = np.asarray(area, dtype=float)
    use = (n > 0) & (a <= cap * (1 + 1e-12))
    value, weight = np.rint(n[use]).astype(np.int64), a[use]
    total = int(value.sum())
    if len(value) * total > _EXACT or not np.array_equal(value, n[use]):
        return best(n[use], weight, cap) if len(value) else 0.0, False
    least = np.full(total + 1, math.inf)
    least[0] = 0.0
    for v, w in zip(value.tolist(), weight.tolist(), strict=True):
        least[v:] = np.minimum(least[v:], least[:-v] + w)
    return float(np.flatnonzero(least <= cap * (1 + 1e-12))[-1]), True


def chosen_whole(expected: Floats, counts: Floats, area: Floats | None, cap: float) -> float:
    """Incidents in the whole tiles chosen within ``cap`` area, the likeliest per area first, each that still fits; equal tiles that tie share."""
    if area is None:
        return held(expected, counts, max(1, int(cap + 1e-9)) / len(expected))
    left, sum_ = cap * (1 + 1e-12), 0.0
    for i in np.argsort(-expected / area, kind="stable").tolist():
        if area[i] <= left:
            left, sum_ = left - area[i], sum_ + counts[i]
    return sum_


def distribution(mean: Any, spread: Any, counts: Any, draws: Any) -> tuple[Floats, Floats, Floats]:
    """Log score, CRPS and randomised PIT of counts under negative binomials of a mean and dispersion (0 = Poisson); arrays broadcast to (n,).

    Log score: ``log P(X = n)``. CRPS: ``sum over k of (P(X <= k) - [n <= k])**2``, exact to 1e-9 (Gneiting and Raftery 2007). PIT: ``P(X < n) +
    draw * P(X = n)``, with ``draws`` even between 0 and 1 (Czado, Gneiting and Held 2009); uniform where the distributions are right. Means must be
    over 0. O(sum of the counts that matter).
    """
    m, a, n, u = (np.array(v, dtype=float).ravel() for v in np.broadcast_arrays(mean, spread, counts, draws))
    at, below, crps = np.zeros(len(m)), np.zeros(len(m)), np.zeros(len(m))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pmf = np.where(a > 1e-12, np.exp(-np.log1p(a * m) / np.where(a > 1e-12, a, 1.0)), np.exp(-m))
    first = np.zeros(len(m))
    for i in np.flatnonzero(m > _LARGE):
        low = math.floor(m[i] - 9 * math.sqrt(m[i] + a[i] * m[i] ** 2))
        if low > 0:
            first[i], pmf[i], crps[i] = low, math.exp(_log_chance(m[i], a[i], low)), max(0.0, low - n[i])
    cdf, index, k, left, spread_, grows = pmf.copy(), np.arange(len(m)), first, n, a, m / (1 + a * m)
    while len(index):
        reached = left <= k
        crps[index] += (cdf - reached) ** 2
        now = np.flatnonzero(left == k)
        at[index[now]], below[index[now]] = pmf[now], cdf[now] - pmf[now]
        open_ = cdf < 1 - 1e-6
        open_ |= ~reached
        if np.count_nonzero(open_) < 0.8 * len(index):
            index, pmf, cdf, k, left, spread_, grows = (v[open_] for v in (index, pmf, cdf, k, left, spread_, grows))
        elif not open_.any():
            break
        pmf = pmf * (grows * (1 + spread_ * k) / (k + 1))
        cdf = cdf + pmf
        k = k + 1
    with np.errstate(divide="ignore"):
        logs = np.log(at)
    for i in np.flatnonzero(at < 1e-280):
        logs[i] = _log_chance(m[i], a[i], int(n[i]))
    return logs, crps, np.clip(below + u * at, 0.0, 1.0)


def _log_chance(m: float, a: float, k: int) -> float:
    if a <= 1e-12:
        return k * math.log(m) - m - math.lgamma(k + 1)
    r = 1 / a
    return math.lgamma(k + r) - math.lgamma(r) - math.lgamma(k + 1) - r * math.log1p(m / r) + k * (math.log(m) - math.log(m + r))


def uniform(pit: Any) -> tuple[float, float]:
    """Kolmogorov and Smirnov's test that values are uniform between 0 and 1: (largest distance, p-value by Stephens' approximation). O(n log n)."""
    values = np.sort(np.asarray(pit, dtype=float).ravel())
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - values), np.max(values - steps[:-1])))
    return distance, kolmogorov(distance, n)


def kolmogorov(distance: float, n: float) -> float:
    """P-value of a largest distance from uniform among n values."""
    t = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if t < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * sum((-1) ** (j - 1) * math.exp(-2 * j * j * t * t) for j in range(1, 101))))


def by_share(expected: Floats, counts: Floats, area: Floats | None, shares: Sequence[float], before: Floats, struck: Floats, tops: Any) -> Floats:
    """Numerator and denominator of every measure of BY_SHARE and, behind them, of both areas: shape (2, measures x shares + 2).

    ``struck`` is the share of a tile's shifts with an incident, ``before`` its earlier count, ``tops`` what ``tops_of`` gave for the counts.
    """
    covered, sums = ranked(expected, area, np.stack([counts, expected, before, struck, np.ones(len(counts))]))
    whole, n, before_all = covered[-1], sums[0, -1], sums[2, -1]
    caps = np.asarray(shares) * whole
    hits, predicted, earlier, successes, flagged = (np.interp(caps, covered, s) for s in sums)
    if area is None:
        chosen = np.interp(np.maximum(1.0, np.floor(caps + 1e-9)), covered, sums[0])
    else:
        chosen = np.array([chosen_whole(expected, counts, area, float(c)) for c in caps])
    grown = earlier * (n / before_all) if before_all > 0 else np.zeros(len(caps))
    top = np.stack([hits, hits, chosen, hits, predicted, hits, successes])
    bottom = np.stack([n * np.asarray(shares), np.full(len(caps), n), tops[0], tops[1], hits, grown, flagged])
    areas = [n * under(covered / whole, sums[0] / n, part) if n > 0 else 0.0 for part in (1.0, 0.2)]
    return np.stack([np.append(top.ravel(), areas), np.append(bottom.ravel(), [n, n])])


def tops_of(counts: Floats, area: Floats | None, shares: Sequence[float]) -> Floats:
    """The most that whole tiles, and tiles of which the last is clipped, can hold of the counts at each share: shape (2, shares)."""
    if area is None:
        sums = np.concatenate([[0.0], np.cumsum(np.sort(counts)[::-1])])
        caps = np.asarray(shares) * len(counts)
        return np.stack([sums[np.maximum(1, np.floor(caps + 1e-9)).astype(int)], np.interp(caps, np.arange(len(sums)), sums)])
    caps = np.asarray(shares) * area.sum()
    return np.array([[best_whole(counts, area, float(c))[0] for c in caps], [best(counts, area, float(c)) for c in caps]])


def floored(expected: Floats) -> Floats:
    """Expectations of which none is under a thousandth of their mean: one incident where a model expects none at all would end any log score."""
    least = 1e-3 * float(expected.mean()) if len(expected) else 0.0
    return np.maximum(expected, max(least, 1e-9))


def scores(expected: Any, counts: Any, area: Any = None, *, shares: Sequence[float] = (0.01, 0.02, 0.05), before: Any = None, struck: Any = None,
           spread: Any = 0.0, seed: int = 0) -> pl.DataFrame:
    """Every score of one forecast on tiles of any shape: cells, hexagons, beats, street segments (then ``area`` is their length).

    Args:
        expected, counts: what was expected and what came, shape (tiles,).
        area: of each tile, any unit; None = all alike.
        shares: shares of the area.
        before: counts of an earlier stretch, for "recapture"; without, it is null.
        struck: share of each tile's shifts with an incident, 0 to 1; without, whether the tile had one.
        spread: dispersion of each tile's count about its expectation (0 = Poisson), one or (tiles,).
        seed: of the randomised PIT.

    Returns: a frame share, measure, value; see docs/scoring.md for each measure. Value is null where it is not defined.

    Raises:
        BadInput: shapes differ, there is no tile, a value is negative or no number, or a share is out of range.
    """
    e, n, a = checked(expected, counts, area)
    if not len(shares) or any(not 0 < s <= 1 for s in shares):
        raise BadInput(f"Shares {list(shares)!r} do not do; give shares of the area over 0 and up to 1, e.g. (0.01, 0.02, 0.05).")
    earlier = np.zeros(len(e)) if before is None else np.asarray(before, dtype=float)
    hit = (n > 0).astype(float) if struck is None else np.asarray(struck, dtype=float)
    top, bottom = by_share(e, n, a, shares, earlier, hit, tops_of(n, a, shares))
    logs, crps, pit = distribution(floored(e), spread, n, np.random.default_rng(seed).random(len(e)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranks = np.where(bottom > 0, top / bottom, np.nan)
    values = np.append(ranks, [logs.mean(), crps.mean(), uniform(pit)[0]])
    frame = pl.DataFrame({"share": [*(s for _ in BY_SHARE for s in shares), 1.0, 0.2, 1.0, 1.0, 1.0],
                          "measure": [*(m for m in BY_SHARE for _ in shares), *OVERALL], "value": values})
    return frame.with_columns(pl.col("value").fill_nan(None))

"""Two counts beside each other: the e-test, the Poisson z, and the interval of a percent change."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.errors import BadInput
from workbench.geo import Floats

_REACH = 1e-14  # probability left out on each side of a count's law


def poisson_z(current: Any, past: Any, current_days: Any = 1.0, past_days: Any = 1.0) -> Any:
    """``2 (sqrt(current) - sqrt(past))``: about -3 to 3 by chance alone when both counts are Poisson of one mean.

    Two Poisson counts differ by chance: its standard deviation is the square root of 2, so 3 is passed about once in thirty comparisons. With spans of unlike
    length the past is put on the current's length and the difference on the same standard deviation. Source: A. P. Wheeler, "Tables and graphs for
    monitoring temporal crime trends", International Journal of Police Science and Management 18, 2016, 159-172, doi:10.1177/1461355716642781.

    Args:
        current, past: counts, numbers or arrays that broadcast.
        current_days, past_days: length of their spans, in one unit.

    Returns: a number, or an array of the shape of the arguments.

    Raises:
        BadInput: a negative count, or a length that is not above 0.
    """
    c, p, m, n = _checked(current, past, current_days, past_days)
    ratio = m / n
    out = 2 * (np.sqrt(c) - np.sqrt(p * ratio)) * np.sqrt(2 / (1 + ratio))
    return float(out) if out.ndim == 0 else out


def e_test(k1: Any, k2: Any, n1: Any = 1.0, n2: Any = 1.0) -> Any:
    """Two-sided p-value that two Poisson counts have one rate.

    The e-test of K. Krishnamoorthy and J. Thomson, "A more powerful test for comparing two Poisson means", Journal of Statistical Planning and Inference 119,
    2004, 23-35, doi:10.1016/S0378-3758(02)00408-1: the chance of a difference at least as large in units of its own standard error, summed over all pairs of
    counts under the common rate that was seen. ``e_test(6, 2)`` is 0.1748748.

    Args:
        k1, k2: whole counts, numbers or arrays that broadcast.
        n1, n2: what they were counted over (days, people), above 0.

    Returns: a number, or an array of the shape of the arguments; 1 where both counts are 0.

    Raises:
        BadInput: a count that is negative or not whole, or a length that is not above 0.

    Cost: O(sqrt(k1 + k2)) for each different pair: thousands of pairs in a fraction of a second.
    """
    a, b, m, n = _checked(k1, k2, n1, n2)
    if (a % 1 != 0).any() or (b % 1 != 0).any():
        raise BadInput("The e-test compares whole counts; what was given has fractions. Compare an expectation by its own interval instead.")
    every = np.column_stack([v.ravel() for v in (a, b, m, n)])
    if not len(every):
        return np.ones(a.shape)
    pairs, back = np.unique(every, axis=0, return_inverse=True)
    top = float((pairs[:, 0] + pairs[:, 1]).max()) * max(1.0, float((pairs[:, 2:] / pairs[:, 2:].sum(axis=1, keepdims=True)).max()))
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(top + 12 * np.sqrt(top) + 60))))])
    out = np.array([_pair(pair[0], pair[1], pair[2], pair[3], logs) for pair in pairs.tolist()])[back.ravel()].reshape(a.shape)
    return float(out) if out.ndim == 0 else out


def _pair(k1: float, k2: float, n1: float, n2: float, logs: Floats) -> float:
    rate = (k1 + k2) / (n1 + n2)
    observed = (k1 * n2 - k2 * n1) ** 2
    if observed == 0 or rate == 0:
        return 1.0
    t = observed / (k1 * n2 * n2 + k2 * n1 * n1)  # the square of the statistic
    first, x1 = _law(n1 * rate, logs)
    second, x2 = _law(n2 * rate, logs)
    below = np.concatenate([[0.0], np.cumsum(second)])
    # x2 with (x1 n2 - x2 n1)^2 >= t (x1 n2^2 + x2 n1^2): outside the two roots of a parabola
    half, square = 2 * x1 * n1 * n2 + t * n1 * n1, n1 * n1
    root = np.sqrt(np.maximum(half * half - 4 * square * (x1 * x1 - t * x1) * n2 * n2, 0.0))
    slack = 1e-9 * (1 + np.abs(half) / square)
    low = np.floor((half - root) / (2 * square) + slack)
    high = np.ceil((half + root) / (2 * square) - slack)
    low[x1 == 0] = -1.0  # no incident on either side is no difference
    start, many = int(x2[0]), len(x2)
    lower = below[np.clip(low - start + 1, 0, many).astype(np.int64)]
    upper = below[-1] - below[np.clip(high - start, 0, many).astype(np.int64)]
    return float(min(1.0, np.sum(first * np.where(high <= low, below[-1], lower + upper))))


def _law(mean: float, logs: Floats) -> tuple[Floats, Floats]:
    """Poisson probabilities of the counts that matter, and those counts."""
    reach = 8.5 * np.sqrt(mean) + 30
    x = np.arange(max(0, int(mean - reach)), min(len(logs), int(mean + reach) + 1))
    p = np.exp(x * np.log(mean) - mean - logs[x])
    keep = p > _REACH * 1e-3
    return p[keep], x[keep].astype(float)


def percent_change(current: Any, past: Any, current_days: Any = 1.0, past_days: Any = 1.0, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Percent change of a count's rate, and its interval: (change, low, high), arrays of one shape.

    The interval is that of the ratio of two Poisson rates, given their sum (exact, so it holds at least ``level``: Clopper and Pearson). A change
    from none is nan, its upper end inf.

    Raises:
        BadInput: as ``poisson_z``.
    """
    from scipy.special import betaincinv

    c, p, m, n = (np.atleast_1d(v) for v in _checked(current, past, current_days, past_days))
    tail = (1 - level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(p > 0, (c / m) / (p / n) - 1, np.nan)
        low = np.where(c > 0, betaincinv(np.maximum(c, 1e-9), p + 1, tail), 0.0)
        high = np.where(p > 0, betaincinv(c + 1, np.maximum(p, 1e-9), 1 - tail), 1.0)
        ends = [q / (1 - q) * n / m - 1 for q in (low, high)]
    return 100 * change, 100 * ends[0], 100 * ends[1]


def _checked(*given: Any) -> tuple[Floats, Floats, Floats, Floats]:
    a, b, m, n = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in given))
    if not (np.isfinite(a).all() and np.isfinite(b).all() and (a >= 0).all() and (b >= 0).all()):
        raise BadInput("A count is negative or no number; counts from 0 on are needed.")
    if not (np.isfinite(m).all() and np.isfinite(n).all() and (m > 0).all() and (n > 0).all()):
        raise BadInput("The length that a count was taken over must be above 0.")
    return a, b, m, n

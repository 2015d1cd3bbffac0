"""What a forecast chooses for itself: settings are tried on moments of the past, each scored on what came after it.

Two scores. ``caught`` is the mean of the PAI at 1, 2 and 5 % of the area, cells that tie at the cut counting in proportion: it asks what a patrol asks,
and suits bare counts, which say of many cells that nothing ever happens there. ``likely`` is the log score of where incidents came: it uses each of them
and not only those in the best cells, so it tells smooth forecasts apart with fewer incidents. Source of rolling origins: L. J. Tashman, "Out-of-sample
tests of forecasting accuracy", International Journal of Forecasting 16, 2000, 437-450.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from workbench.geo import Floats, Grid, Ints
from workbench.models.window import Past

SHARES = (0.01, 0.02, 0.05)
_SHORTEST = 28 * 86400.0  # what came after an inner origin is looked at for four weeks at least: a single week holds too few to choose by
_LEAST = 30  # incidents that must have come after the inner origins


def stretch(before: Past, horizon: timedelta, most: int) -> tuple[float, int]:
    """(seconds looked at after each inner origin, how many origins lie that far apart before asof); at least a third of the past lies before the first.

    No origin is left where the past is too short or too few incidents came.
    """
    step = max(_SHORTEST, horizon.total_seconds())
    many = min(most, int(before.length.total_seconds() * 2 / 3 / step + 1e-9))
    came = len(before) - int(np.searchsorted(-before.age, -many * step, side="left"))
    return step, many if came >= _LEAST else 0


def came_after(before: Past, origin: int, step: float) -> Ints:
    """Cells of the incidents of the stretch that follows the inner origin ``origin`` steps before asof."""
    first, last = (int(np.searchsorted(-before.age, -o * step, side="left")) for o in (origin, origin - 1))
    return before.cell[first:last]


def known_by(before: Past, origin: int, step: float) -> Ints:
    """Which incidents were known strictly before that inner origin."""
    return np.flatnonzero(before.known > origin * step)


def caught(expected: Floats, came: Ints) -> Floats:
    """Mean over SHARES of incidents caught per share of area, for several expectations at once.

    Args:
        expected: shape (settings, cells of the study area).
        came: index among those cells of what came, shape (n,).

    Returns: shape (settings,), a sum over incidents (divide by n for a PAI). O(settings x cells).
    """
    cells = expected.shape[1]
    most = [min(cells, max(1, math.ceil(s * cells - 1e-9))) for s in SHARES]
    out = np.zeros(len(expected))
    for k, values in enumerate(expected):
        best = np.sort(np.partition(values, cells - max(most))[cells - max(most) :])
        there = values[came]
        for many, share in zip(most, SHARES, strict=True):
            cut = best[-many]
            above = len(best) - int(np.searchsorted(best, cut, side="right"))
            hits = float(np.count_nonzero(there > cut))
            equal = np.count_nonzero(there == cut)
            if equal:
                hits += equal * (share * cells - above) / np.count_nonzero(values == cut)
            out[k] += hits / share
    return out / len(SHARES)


def likely(expected: Floats, came: Ints) -> Floats:
    """Sum over incidents of the log probability of their cell, for several expectations at once; one part in fifty is spread evenly over the area, so
    that one incident where none was expected does not decide. Shapes as in ``caught``. O(settings x cells).
    """
    total = expected.sum(axis=1, keepdims=True)
    share = np.divide(expected[:, came], total, out=np.zeros((len(expected), len(came))), where=total > 0)
    out: Floats = np.log(0.98 * share + 0.02 / expected.shape[1]).sum(axis=1)
    return out


def places(grid: Grid) -> Ints:
    """Index of each cell among those of the study area, shape (len(grid),)."""
    return np.cumsum(grid.inside) - 1

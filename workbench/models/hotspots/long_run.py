"""Which places are bad in the long run, and which of them are worse than usual just now? Long-run risk times recent activity.

Two things make places differ: some are riskier for good (population heterogeneity), and an incident raises the risk of further ones for a while (state
dependence). Lee, O and Eck rank places by the first and then by the second. Here the same two are rates, so that expected counts come out. A cell's
long-run mean ``m`` is its own count over the whole window, shrunk towards that of its neighbourhood ``k`` (counts blurred by a Gaussian, edge-corrected)
as the posterior mean of a gamma-Poisson model of shape ``own``: ``m = k (own + n) / (own + k T)``. What is recent turns it the same way:
``m (steady + r) / (steady + m t)`` with ``r`` incidents in the last ``t`` days. The expectations are scaled to the recent rate of the whole area.

Sources: Y. Lee, S. O, J. E. Eck, "A theory-driven algorithm for real-time crime hot spot forecasting", Police Quarterly 23, 2020, 174-201,
doi:10.1177/1098611119887809; shrinkage: D. Clayton, J. Kaldor, "Empirical Bayes estimates of age-standardized relative risks", Biometrics 43, 1987, 671-681.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.geo import Floats, Grid
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _choosing, kde
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Surface, recorded

TITLE = "Long-run times recent"

_DAY = 86400.0
_OWN = (0.5, 2.0, 6.0)
_STEADY = (2.0, 5.0, 15.0)
_RECENT = (28, 56, 182)
_ORIGINS = 4
_LEVEL = timedelta(days=365)  # the total comes from the rate of this long


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    recent: Span = "chosen",
    own: float | None = None,
    steady: float | None = None,
    neighbourhood: float | None = None,
    window: Span = "1095d",
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``: long-run mean times what is recent.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        recent: what is recent; "chosen" = 28, 56 or 182 days, whichever with its ``steady`` made likeliest what came in up to four earlier stretches
            of four weeks (or of the horizon, where that is longer).
        own: incidents' worth of trust in the neighbourhood: 0 = a cell's own count alone, inf = the neighbourhood alone. None = chosen of 0.5, 2 and 6.
        steady: incidents' worth of trust in the long-run mean: inf = nothing recent counts. None = chosen of 2, 5, 15 and inf.
        neighbourhood: standard deviation of the neighbourhood in metres; None = one and a half cells.
        window: the long run.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface; the expectations sum to the rate of the last 365 days (or of a shorter window) times the horizon.

    Raises:
        CannotTell: under 10 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns, times or settings that cannot be used.

    Cost: O(n log n + cells x side of the grid); choosing at most 4 x 13 passes over the cells, none where recent, own and steady are given.
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=10)
    made = estimate(before, grid, ahead, recent=recent, own=own, steady=steady, neighbourhood=neighbourhood)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (long-run times recent)",
                         source="Lee, O and Eck 2020; Clayton and Kaldor 1987")


def estimate(
    before: Past,
    grid: Grid,
    horizon: timedelta,
    *,
    recent: Span = "chosen",
    own: float | None = None,
    steady: float | None = None,
    neighbourhood: float | None = None,
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. O(n + cells x side of the grid), times at most 6 for choosing."""
    for what, value, least in (("own", own, 0.0), ("steady", steady, 0.0), ("neighbourhood", neighbourhood, grid.cell / 4)):
        if value is not None and (math.isnan(value) or value < least or (what == "neighbourhood" and math.isinf(value))):
            raise BadInput(f"{what}={value!r} does not do; give a number of at least {least:g}, or None.")
    width = 1.5 * grid.cell if neighbourhood is None else neighbourhood
    days = None if recent == "chosen" else span(recent, "recent").total_seconds() / _DAY
    how = ""
    if days is None or own is None or steady is None:
        own, steady, days, how = _chosen(before, grid, horizon, width, own, steady, days)
    mean = long_run(np.bincount(before.cell, minlength=len(grid)).astype(float), grid, width, own)
    rate = _turned(mean, _recent(before, grid, days * _DAY, 0.0), steady, min(days * _DAY / before.length.total_seconds(), 1.0))
    level = min(_LEVEL, before.length)
    total = (len(before) - int(np.searchsorted(-before.age, -level.total_seconds(), side="left"))) * (horizon / level)
    if total == 0:
        level, total = before.length, len(before) * (horizon / before.length)
    expected = rate * (total / float(rate.sum()))
    about = {"recent": f"{days:g} days", "own": own, "steady": steady if math.isfinite(steady) else "inf", "neighbourhood": f"{width:g} m",
             "chosen": how or "no, given"}
    words = f"long-run mean of {said(before.window)} (neighbourhood {width:g} m counts as {own:g} incidents) times the last {days:g} days (against {steady:g})"
    return Estimate(expected, before.length.total_seconds(), words + (f"; {how}" if how else ""), about)


def long_run(counts: Floats, grid: Grid, neighbourhood: float, own: float) -> Floats:
    """A cell's count shrunk towards that of its neighbourhood; counts and result of shape (len(grid),), over the same stretch of time."""
    if own == 0:
        return counts
    inside = grid.inside.reshape(grid.ny, grid.nx)
    up, across = _blur(grid.ny, grid.cell, neighbourhood), _blur(grid.nx, grid.cell, neighbourhood)
    mass = _mass(grid, neighbourhood)
    near = np.where(inside, (up @ np.divide(counts.reshape(inside.shape), mass, out=np.zeros(inside.shape), where=mass > 1e-9)) @ across, 0.0).ravel()
    if math.isinf(own):
        return near
    out: Floats = near * (own + counts) / (own + near)
    return out


@lru_cache(maxsize=8)
def _blur(cells: int, cell: float, bandwidth: float) -> Floats:
    return kde.blurring(cells, cell, bandwidth)


@lru_cache(maxsize=2)
def _mass(grid: Grid, bandwidth: float) -> Floats:
    """How much of a cell's mass stays in the study area; kept because a back-test asks for the same grid again and again."""
    inside = grid.inside.reshape(grid.ny, grid.nx).astype(float)
    return _blur(grid.ny, grid.cell, bandwidth) @ inside @ _blur(grid.nx, grid.cell, bandwidth)


def _recent(before: Past, grid: Grid, seconds: float, later: float) -> Floats:
    """Count by cell of what began within ``seconds`` before the moment ``later`` seconds before asof and was known then."""
    first = int(np.searchsorted(-before.age, -(later + seconds), side="left"))
    use = before.known[first:] > later
    return np.bincount(before.cell[first:][use], minlength=len(grid)).astype(float)


def _turned(mean: Floats, recent: Floats, steady: float, share: float) -> Floats:
    """The long-run mean turned by what is recent; ``share`` is how much of the long run ``recent`` covers."""
    if math.isinf(steady):
        return mean
    usual = mean * share
    # a rate in the long run's own unit; with steady 0 a cell's recent count alone
    out: Floats = np.divide(mean * (steady + recent), steady + usual, out=np.zeros_like(mean), where=steady + usual > 0)
    return out


def _chosen(
    before: Past, grid: Grid, horizon: timedelta, width: float, own: float | None, steady: float | None, days: float | None
) -> tuple[float, float, float, str]:
    """What is not given, first how far to trust the neighbourhood, then what is recent; what was given stays."""
    step, many = _choosing.stretch(before, horizon, _ORIGINS)
    owns = _OWN if own is None else (own,)
    recents = [(s, d) for d in (_RECENT if days is None else (days,)) for s in (_STEADY if steady is None else (steady,))]
    if steady is None:
        recents.append((math.inf, recents[0][1]))
    if many == 0:
        return (own if own is not None else 2.0, steady if steady is not None else 5.0, days if days is not None else 56.0,
                "too short a past to choose by, so the usual settings")
    places, inside = _choosing.places(grid), grid.inside
    long = before.length.total_seconds()
    counts = [np.bincount(before.cell[_choosing.known_by(before, o, step)], minlength=len(grid)).astype(float) for o in range(many, 0, -1)]
    came = [places[_choosing.came_after(before, o, step)] for o in range(many, 0, -1)]
    means = [np.stack([long_run(c, grid, width, v) for v in owns]) for c in counts]
    first = np.argmax(sum(_choosing.likely(m[:, inside], c) for m, c in zip(means, came, strict=True)))
    scores = np.zeros(len(recents))
    for k, origin in enumerate(range(many, 0, -1)):
        so_far = {d: _recent(before, grid, d * _DAY, origin * step) for _, d in recents}
        rates = np.stack([_turned(means[k][first], so_far[d], s, min(1.0, d * _DAY / (long - origin * step)))[inside] for s, d in recents])
        scores += _choosing.likely(rates, came[k])
    best = len(recents) - 1 - int(np.argmax(scores[::-1]))
    return owns[int(first)], recents[best][0], recents[best][1], f"chosen on {many} earlier {said(timedelta(seconds=step))}"

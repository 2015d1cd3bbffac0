"""Does each incident lead to further ones, how many, how near and how soon; and where are the next ones then? The self-exciting point process (ETAS).

Incidents come from a background, or are led to by an earlier incident: near by (``near`` further ones on average, after an exponential delay and at a
Gaussian distance) or at the same address (``same``, with a delay of its own). The background is a mixture of kernel densities, an even part, and addresses:
in proportion to what happened there before, and at a constant rate for each incident before. The part at addresses is a mass on a point, which keeps the
likelihood bounded however often addresses repeat. Every share is fitted at once by expectation-maximisation on the pairs within ``reach`` and ``memory``.

Three things would pass for triggering and are kept apart: an incident's background density leaves out everything within about an eighth of the window
before and after it; what the kernels miss of places that are busy for long is a cause of its own, near by but with no decay; offspring that the window's
end cuts off are allowed for.

Sources: G. O. Mohler, M. B. Short, P. J. Brantingham, F. P. Schoenberg, G. E. Tita, "Self-exciting point process modeling of crime", JASA 106, 2011, 100-108,
doi:10.1198/jasa.2011.ap09546; G. Rosser, T. Cheng, "Improving the robustness and accuracy of crime prediction with the self-exciting point process through
isotropic triggering", Applied Spatial Analysis and Policy 12, 2019, 5-25, doi:10.1007/s12061-016-9198-y; fitting: see ``_self_exciting_fit``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _self_exciting as inner
from workbench.models.hotspots import _self_exciting_fit as fitting
from workbench.models.hotspots import long_run
from workbench.models.hotspots._self_exciting import WIDTHS, Fitted
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import local, said
from workbench.results import Basis, Result, Surface, origin_of, recorded

TITLE = "Self-exciting (near repeat)"
SOURCE = "Mohler et al. 2011; Rosser and Cheng 2019; Veen and Schoenberg 2008"

_DAY = 86400.0
_LEAST = 50
_PAIRS = 200_000_000  # at 4 bytes each
_LEVEL = timedelta(days=365)


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    reach: float = 400.0,
    memory: Span = "90d",
    half_life: Span | None = "365d",
    fitted: Fitted | None = None,
    window: Span = "1095d",
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``: the background, and what recent incidents are still expected to lead to.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        reach: metres beyond which an incident leads to nothing; some four times the spread to be expected.
        memory: age beyond which an incident leads to nothing.
        half_life: after this long an incident counts half for where the background lies; None = all alike.
        fitted: parameters of an earlier fit (``fit(...).fitted``); None = fitted here, on the same incidents.
        window: how far back incidents count.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface. What recent incidents lead to is integrated exactly over the horizon and over cells; what further ones lead to within the horizon is
    added as a factor on the cells where the first are expected (right in the total; the places are off by one more step of the spread).

    Raises:
        CannotTell: under 50 incidents can be placed, all lie at one address, nothing lies before asof, the area is empty, or there are too many pairs.
        BadInput: columns, times or settings that cannot be used.

    Cost: O(n log n + pairs within reach and memory x about 40 passes): 100,000 incidents with 18 million pairs in about 4 s; with ``fitted`` O(n + cells).
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=_LEAST)
    made = estimate(before, grid, ahead, reach=reach, memory=memory, half_life=half_life, fitted=fitted)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (self-exciting)", source=SOURCE)


def estimate(
    before: Past,
    grid: Grid,
    horizon: timedelta,
    *,
    reach: float = 400.0,
    memory: Span = "90d",
    half_life: Span | None = "365d",
    fitted: Fitted | None = None,
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    if fitted is None:
        fitted = fitting.fit(_problem(before, grid, reach, memory))[0]
    ahead, age = horizon.total_seconds() / _DAY, before.age / _DAY
    level = min(_LEVEL, before.length)
    rate = int((before.age < level.total_seconds()).sum()) / (level.total_seconds() / _DAY)
    ground = _background(before, grid, fitted, half_life, rate) * ahead
    recent = age < fitted.memory
    x, y, ages, cell = before.x[recent], before.y[recent], age[recent], before.cell[recent]
    to_come = _between(ages, ahead, fitted.memory, fitted.decay)
    again = _between(ages, ahead, fitted.memory, fitted.same_decay)
    led = inner.spilled(x, y, fitted.near * to_come, fitted.spread, fitted.reach, grid)
    led += np.bincount(cell, weights=fitted.same * again, minlength=len(grid))
    flat = np.minimum(ahead, fitted.memory - ages) / fitted.memory
    ground += inner.spilled(x, y, fitted.level * flat, fitted.level_spread, fitted.reach, grid)
    expected = ground * _growth(fitted, ahead, 0.0) + led * _growth(fitted, ahead, min(fitted.decay, fitted.same_decay))
    share = float(led.sum()) / max(float(expected.sum()), 1e-12)
    about = {"near": round(fitted.near, 4), "spread": f"{fitted.spread:.0f} m", "mean delay": f"{fitted.decay:.1f} days",
             "same address": round(fitted.same, 4),
             "mean delay at the same address": f"{fitted.same_decay:.1f} days", "reach": f"{fitted.reach:g} m",
             "memory": f"{fitted.memory:g} days",
             "half_life of the background": "none" if half_life is None else said(span(half_life, "half_life")),
             "share led to by recent incidents": round(share, 3)}
    words = (f"self-exciting point process (each incident leads to {fitted.near:.2f} further ones near by, {fitted.spread:.0f} m and {fitted.decay:.0f} days "
             f"off, and {fitted.same:.2f} at its address)")
    return Estimate(expected, before.length.total_seconds(), words, about)


def _problem(before: Past, grid: Grid, reach: float, memory: Span) -> fitting.Problem:
    if not (math.isfinite(reach) and reach >= 10):
        raise BadInput(f"A reach of {reach!r} m does not do; give metres, at least 10, e.g. reach=400.")
    length = before.length.total_seconds() / _DAY
    days = min(span(memory, "memory").total_seconds() / _DAY, length / 2)
    if days <= 0 or before.age[0] <= before.age[-1]:
        raise CannotTell(f"All {len(before)} incidents happened at the same moment, so what follows what cannot be said; check how times were recorded.")
    likely = len(before) ** 2 * (days / length) * min(1.0, math.pi * reach**2 / (grid.n_inside * grid.cell**2))
    if likely > _PAIRS:
        raise CannotTell(f"{len(before):,} incidents have some {likely:,.0f} pairs within {reach:g} m and {days:g} days, more than {_PAIRS:,} that are looked "
                         "at; use a smaller reach, a shorter memory or a shorter window.")
    return fitting.problem(before.x, before.y, before.age / _DAY, grid, length, float(reach), days)


def _background(before: Past, grid: Grid, fitted: Fitted, half_life: Span | None, rate: float) -> Floats:
    """Expected background incidents a day by cell; ``rate`` = incidents a day of late."""
    fade = 0.0 if half_life is None else math.log(2) / span(half_life, "half_life").total_seconds()
    weights = np.exp(-fade * before.age)
    counts = np.bincount(before.cell, weights=weights, minlength=len(grid))
    share = counts / counts.sum()
    out = fitted.smooth[-1] * grid.inside / grid.n_inside
    for width, part in zip(WIDTHS, fitted.smooth[:-1], strict=True):
        if part > 1e-6:
            out = out + part * (share if width < grid.cell / 4 else long_run.long_run(share, grid, width, math.inf))
    again = fitted.repeat * float(before.age.sum()) / _DAY / len(before)  # share of the window's incidents that were such repeats
    out = out + (fitted.address + again) * share
    return np.asarray(out * rate, dtype=float)


def _between(age: Floats, ahead: float, memory: float, decay: float) -> Floats:
    """Share of an incident's offspring that is still to come within ``ahead`` days; ages in days."""
    end = np.minimum(age + ahead, memory)
    return np.asarray(np.maximum(np.exp(-age / decay) - np.exp(-end / decay), 0.0) / -math.expm1(-memory / decay), dtype=float)


def _growth(fitted: Fitted, ahead: float, delay: float) -> float:
    """Incidents within the horizon for each direct one: it leads to further ones in what remains. Direct ones come evenly, or (``delay``) fade away."""
    steps = 64
    at = (np.arange(steps) + 0.5) * (ahead / steps)
    direct = np.ones(steps) if delay == 0 else np.exp(-at / delay)
    edges = np.arange(steps + 1) * (ahead / steps)
    kernel = np.zeros(steps)
    for much, mean in ((fitted.near, fitted.decay), (fitted.same, fitted.same_decay)):
        reached = np.minimum(edges, fitted.memory)
        kernel += much * np.diff(-np.expm1(-reached / mean)) / -math.expm1(-fitted.memory / mean)
    every = direct.copy()
    for k in range(1, steps):
        every[k] += float(every[:k] @ kernel[k - 1 :: -1][:k])
    return float(every.sum() / direct.sum())


@dataclass(frozen=True, eq=False)
class Excitation(Result):
    """What an incident leads to; ``fitted`` can be given to ``surface`` and ``estimate``."""

    fitted: Fitted


@recorded
def fit(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    reach: float = 400.0,
    memory: Span = "90d",
    window: Span = "1095d",
    aoristic: int = 0,
    seed: int = 0,
    zone: str = "UTC",
) -> Excitation:
    """How many further incidents each one leads to, how near and how soon.

    Args: as of ``surface``, and
        aoristic: how many times the fit is made with times drawn from each incident's span ``started_at`` to ``ended_at`` (5 will do); values are means over
            the draws, the errors hold the draws' own scatter too. 0 = every incident at its ``started_at``.
        seed: of the draws.

    Returns: a Result with ``fitted``. table: quantity, value, standard_error, lower, upper (95 %, from the observed information; branching and shares at least
    0), unit, about. Where hardly any incident was led to, delay and spread have no interval.

    Raises:
        CannotTell, BadInput: as of ``surface``.

    Cost: as of ``surface``, times the draws.
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=_LEAST)
    if aoristic:
        made, rows = _over_draws([past(f, grid, asof, window, least=_LEAST) for f in _drawn(incidents, aoristic, seed)], grid, reach, memory)
    else:
        made, covariance = fitting.fit(_problem(before, grid, reach, memory))
        rows = _rows(made, covariance)
    table = pl.DataFrame(rows, schema=["quantity", "value", "standard_error", "lower", "upper", "unit", "about"], orient="row").with_columns(
        pl.col("value", "standard_error", "lower", "upper").cast(pl.Float64).fill_nan(None))
    basis = Basis.of(incidents, method="self-exciting point process by expectation-maximisation, standard errors from the observed information", source=SOURCE,
                     used=len(before), time="started_at", asof=before.asof, notes=(*before.notes, _CAUSE),
                     parameters={"reach": f"{made.reach:g} m", "memory": f"{made.memory:g} days", "window": said(before.window), "passes": made.rounds,
                                 "log-likelihood": round(made.likelihood, 2), **({"aoristic": aoristic, "seed": seed} if aoristic else {})})
    return Excitation(headline=_headline(rows, len(before), local(before.asof, zone)), table=table, layers=(), basis=basis, base=origin_of(incidents).base,
                      fitted=made)


def _drawn(incidents: pl.DataFrame, draws: int, seed: int) -> list[pl.DataFrame]:
    """The incidents with each ``started_at`` drawn from its span, so many times."""
    from workbench.models.patterns import aoristic

    timed = schema.utc(incidents, [c for c in ("started_at", "ended_at") if c in incidents.columns]).filter(pl.col("started_at").is_not_null())
    return [timed.with_columns(started_at=pl.Series(t).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")) for t in aoristic.draws(timed, draws, seed)]


def _over_draws(pasts: list[Past], grid: Grid, reach: float, memory: Span) -> tuple[Fitted, list[tuple[object, ...]]]:
    """Means over fits of drawn times, with the error within and between them (D. B. Rubin, *Multiple Imputation for Nonresponse in Surveys*, 1987)."""
    fits = [fitting.fit(_problem(before, grid, reach, memory)) for before in pasts]
    each = [_rows(made, covariance) for made, covariance in fits]
    kinds = ("address", "repeat", "near", "spread", "decay", "same", "same_decay", "level", "level_spread")
    mean: dict[str, Any] = {name: float(np.mean([getattr(made, name) for made, _ in fits])) for name in kinds}
    smooth = tuple(float(v) for v in np.mean([made.smooth for made, _ in fits], axis=0))
    rows: list[tuple[object, ...]] = []
    for quantity in zip(*each, strict=True):
        name, _, _, _, _, unit, about = quantity[0]
        values, errors = (np.array([float(str(row[k])) for row in quantity]) for k in (1, 2))
        value, scatter = float(values.mean()), float(values.var(ddof=1)) if len(values) > 1 else 0.0
        se = math.sqrt(float((errors**2).mean()) + (1 + 1 / len(values)) * scatter)
        rows.append((name, value, se, max(0.0, value - 1.96 * se), value + 1.96 * se, unit, about))
    return replace(fits[0][0], smooth=smooth, **mean), rows


_CAUSE = ("An incident that leads to further ones is a pattern in time and space, not a cause: the same offender, a copy, or a risk that both share for a "
          "while look alike.")


def _rows(made: Fitted, covariance: Floats) -> list[tuple[object, ...]]:
    def error(*which: int) -> float:
        use = [w for w in which if np.isfinite(covariance[w, w])]
        return math.sqrt(max(float(covariance[np.ix_(use, use)].sum()), 0.0)) if use else math.nan

    def row(quantity: str, value: float, se: float, unit: str, about: str) -> tuple[object, ...]:
        return quantity, value, se, max(0.0, value - 1.96 * se), value + 1.96 * se, unit, about

    background = 1 - made.near - made.same
    return [
        row("branching", made.near + made.same, error(0, 3), "incidents", "further incidents each one leads to, near by or at its address"),
        row("near", made.near, error(0), "incidents", "of these near by"),
        row("spread", made.spread, error(2), "m", "standard deviation of their distance along each axis"),
        row("delay", made.decay, error(1) * made.decay**2, "days", "their mean delay"),
        row("same", made.same, error(3), "incidents", "of these at the same address"),
        row("same_delay", made.same_decay, error(4) * made.same_decay**2, "days", "their mean delay"),
        row("level", made.level, error(5), "incidents", "further incidents near by whatever the delay: places busy for long, part of the background"),
        row("background", background, error(0, 3), "share", "incidents that no earlier one led to (of a window without end)"),
    ]


def _headline(rows: list[tuple[object, ...]], n: int, at: str) -> str:
    value = {r[0]: (float(str(r[1])), float(str(r[3])), float(str(r[4]))) for r in rows}
    b, low, high = value["branching"]
    start = f"By {n:,} incidents before {at}, "
    if not math.isfinite(low):
        return start + "cannot tell whether incidents lead to further ones: hardly any two lie near in place and time; use more incidents or a longer reach."
    if low < 0.01:
        return start + f"no triggering can be told from chance: each incident led to {b:.2f} further ones (95 % interval {low:.2f} to {high:.2f})."
    near, same = value["near"][0], value["same"][0]
    parts = []
    if near >= 0.005:
        parts.append(f"{near:.2f} near by (spread {value['spread'][0]:.0f} m, mean delay {value['delay'][0]:.0f} days)")
    if same >= 0.005:
        parts.append(f"{same:.2f} at the same address (mean delay {value['same_delay'][0]:.0f} days)")
    return f"{start}each led to {b:.2f} further ones (95 % interval {low:.2f} to {high:.2f}): {' and '.join(parts)}."

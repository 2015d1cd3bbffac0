"""When did the level of a count change, and which weeks lie outside their band?

``changepoints`` cuts a series of counts into stretches of one rate each: the cut that is best of all possible ones, found by PELT (R. Killick,
P. Fearnhead and I. A. Eckley, "Optimal detection of changepoints with a linear computational cost", JASA 107, 2012, 1590-1598,
doi:10.1080/01621459.2012.737745), with Poisson or negative binomial likelihood and the penalty of the modified BIC (N. R. Zhang and
D. O. Siegmund, Biometrics 63, 2007, 22-32, doi:10.1111/j.1541-0420.2006.00662.x). ``weekly`` draws
the weeks with the band in which a week is to be expected (A. P. Wheeler, IJPSM 18, 2016, 159-172, doi:10.1177/1461355716642781).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Ints
from workbench.models import chance, window
from workbench.models.patterns import _hours, _season, expected
from workbench.models.wording import several
from workbench.results import Basis, Result, origin_of, recorded, table_of
from workbench.schema import require

COSTS = ("poisson", "negative binomial")
BANDS = ("weeks", "years", "season")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LEAST, _MOST = 8, 20_000
_WEEK = timedelta(days=7)


@recorded
def changepoints(counts: pl.DataFrame | Result, *, cost: str = "negative binomial", penalty: float | str = "mbic", least: int = 2, level: float = 0.9,
                 runs: int = 199, seed: int = 0) -> Result:
    """Cut a series of counts where its level changed.

    Args:
        counts: ``count`` and the day or time each period begins, ``week`` or ``at``; periods of one length, none missing (a period without incidents is a 0);
            or the result of ``weekly``.
        cost: "negative binomial" allows counts to vary more than chance does, by a dispersion taken from neighbouring periods; "poisson" does not.
        penalty: "mbic", or a number: what each changepoint must gain in twice the log likelihood.
        least: a stretch holds at least so many periods.
        level: of the interval of each date.
        runs: how often the stretches about a changepoint are simulated for its interval.
        seed: of those runs.

    Returns:
        A Result; its table has one row a stretch: begins, ends (its last period), periods, mean, low and high (95 % of the mean), change (percent
        against the stretch before), and earliest and latest begin (``level``, parametric bootstrap). The first stretch has no change.

    Raises:
        CannotTell: under 8 periods, or no incident at all. BadInput: missing columns, counts that are none, equal or missing periods, unknown cost.

    Cost: O(periods) to O(periods squared), and runs x periods for each changepoint; 520 weeks in 0.1 s.
    Where nothing changed, a change is claimed in under 5 of 100 series.
    """
    if not isinstance(level, float) or not 0 < level < 1 or isinstance(runs, bool) or not isinstance(runs, int) or runs < 19:
        raise BadInput(f"level={level!r} with runs={runs!r} does not do; give a share between 0 and 1, and a whole number of runs from 19 on.")
    counts = table_of(counts)
    time, n, at = _series(counts, least)
    if cost not in COSTS:
        raise BadInput(f"cost={cost!r} does not do; write one of {', '.join(COSTS)}.{did_you_mean(str(cost), COSTS)}")
    over = dispersion(n) if cost == "negative binomial" else 0.0
    cuts = segments(n, dispersion=over, penalty=penalty, least=least)
    edges = [0, *cuts, len(n)]
    rng = np.random.default_rng(seed)
    rows = []
    for i, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        mean = float(n[a:b].mean())
        se = math.sqrt((mean + over * mean**2) / (b - a))
        before = float(n[edges[i - 1]:a].mean()) if i else 0.0
        early, late = (a, a) if not i else _dated(n, edges[i - 1], a, b, over, least, level, runs, rng)
        rows.append({"begins": at[a], "ends": at[b - 1], "periods": b - a, "mean": mean, "low": max(0.0, mean - 1.96 * se), "high": mean + 1.96 * se,
                     "change": 100 * (mean / before - 1) if i and before > 0 else None, "earliest": at[early], "latest": at[late]})
    kind = counts.schema[time]
    table = pl.DataFrame(rows, schema_overrides={"begins": kind, "ends": kind, "earliest": kind, "latest": kind, "change": pl.Float64})
    spread = f"Dispersion {over:.3g} from neighbouring periods (variance = mean + dispersion x mean squared)."
    notes = (spread if over else "Counts are taken to vary by chance alone.",
             "No season is allowed for: where summers differ from winters, their beginnings are changes too; compare like seasons, or use weekly().",
             "A slow trend is shown as steps.")
    basis = Basis.of(counts, method=f"changepoints by PELT ({cost} cost, penalty {penalty})",
                     source="Killick, Fearnhead and Eckley, JASA 107 (2012); Zhang and Siegmund, Biometrics 63 (2007)", used=len(n), notes=notes,
                     parameters={"cost": cost, "penalty": penalty, "least": least, "level": level, "runs": runs, "seed": seed, "dispersion": round(over, 4)})
    return Result(headline=_headline(table, len(n), level), table=table, layers=(), basis=basis, base=origin_of(counts).base)


def segments(n: Ints, *, dispersion: float = 0.0, penalty: float | str = "mbic", least: int = 2) -> list[int]:
    """Where new stretches begin, in the cut with the least penalised cost of all; see ``changepoints``.

    The cost of a stretch is minus twice its log likelihood at its own mean; each changepoint costs the penalty. With "mbic" that is 3 log n, and a
    stretch costs the logarithm of its share of the length besides. Pruning never loses the best cut.

    Raises:
        BadInput: a penalty that is no number above 0.
    """
    long = penalty == "mbic"
    if not long and (isinstance(penalty, bool) or not isinstance(penalty, (int, float)) or not math.isfinite(penalty) or penalty <= 0):
        raise BadInput(f"penalty={penalty!r} does not do; give 'mbic' or a number above 0.")
    size = len(n)
    each = 3 * math.log(size) if long else float(penalty)
    sums = np.concatenate([[0.0], np.cumsum(n, dtype=float)])
    best, last = np.full(size + 1, np.inf), np.zeros(size + 1, dtype=np.int64)
    best[0] = -each
    open_, until = np.array([0]), np.array([size + 1])
    for t in range(least, size + 1):
        here = _cost(sums[t] - sums[open_], t - open_, dispersion) + (np.log((t - open_) / size) if long else 0.0)
        total = best[open_] + here + each
        i = int(total.argmin())
        best[t], last[t] = total[i], open_[i]
        # what is worse than a cut at t is never better once that cut may stand, which is ``least`` periods later
        until[total - each > best[t]] = np.minimum(until, t + least)[total - each > best[t]]
        keep = until > t + 1
        open_, until = open_[keep], until[keep]
        if t + 1 - least >= least:
            open_, until = np.append(open_, t + 1 - least), np.append(until, size + 1)
    cuts, t = [], size
    while last[t] > 0:
        t = int(last[t])
        cuts.append(t)
    return cuts[::-1]


def dispersion(n: Ints) -> float:
    """Dispersion of a series whose level may change, from differences of neighbours: half their squares less the mean, over the mean squared; at least 0."""
    a, b = n[:-1].astype(float), n[1:].astype(float)
    below = float((a * b).sum())
    return max(0.0, float(((a - b) ** 2 / 2 - (a + b) / 2).sum()) / below) if below > 0 else 0.0


@recorded
def weekly(incidents: pl.DataFrame, asof: window.Moment, *, groups: Mapping[str, Iterable[str]] | None = None, offence: str | None = None, band: str = "weeks",
           weeks: int = 52, before: int = 8, years: int = 3, zone: str = "UTC", week_start: str = "monday", level: float = 0.95) -> Result:
    """Weeks of counts with the band in which each is to be expected from what lies before it.

    Args:
        incidents: canonical incidents.
        asof: nothing known later is looked at; a week that has only begun is left out.
        groups, offence: count only this group of ``groups``, or this value of the column ``offence``; None = all rows.
        band: "weeks" = the mean of the ``before`` weeks before each; "years" = the mean of the same week and its neighbours in up to ``years`` years before;
            "season" = Poisson regression with trend, season and weekday on what lies before the first week shown,
            at least a year (trend from two years on).
        weeks: how many weeks are shown, at most.
        before, years: see band.
        zone, week_start: the agency's.
        level: of the band.

    Returns:
        A Result; its table has one row a week: week (first day), count, expected, lower, upper (negative binomial, with the dispersion of the past about its
        expectation and the expectation's own uncertainty), flag. ``views.charts.weekly(result.table)`` draws it. Of weeks in which nothing changed, at most
        1 - level lie outside; that many are to be expected.

    Raises:
        CannotTell: the records are too short for the band. BadInput: missing columns, an unknown band, weekday or offence.

    Cost: O(rows), and one regression.
    """
    if band not in BANDS:
        raise BadInput(f"band={band!r} does not do; write one of {', '.join(BANDS)}.{did_you_mean(str(band), BANDS)}")
    if any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in (weeks, before, years)) or not isinstance(level, float) or not 0 < level < 1:
        raise BadInput(f"weeks={weeks!r}, before={before!r}, years={years!r}, level={level!r} do not do: whole numbers from 1 on, and a share between 0 and 1.")
    require(incidents, "started_at", "nibrs", "offence", what="incidents")
    at = window.moment(asof)
    n, first, days = _weeks(incidents, at, groups, offence, zone, week_start)
    needs = {"weeks": before, "years": 52, "season": -(-_season.SEASON_FROM // 7)}[band]
    show = min(weeks, len(n) - needs)
    if show < 1:
        raise CannotTell(f"The records hold {several(len(n), 'whole week')} before {at:%Y-%m-%d}; the band {band!r} needs at least {needs + 1}. Load earlier "
                         "records, or take band='weeks' with a smaller before.")
    mean, vague, over = _band(n, days, first, show, band, before, years)
    low, high = chance.interval(mean, over + vague, level=level)
    count = n[len(n) - show :]
    table = pl.DataFrame({"week": [first + (len(n) - show + i) * _WEEK for i in range(show)], "count": count, "expected": mean, "lower": low.astype(np.int64),
                          "upper": high.astype(np.int64)}).with_columns(pl.col("week").cast(pl.Date))
    table = table.with_columns(flag=pl.when(pl.col("count") > pl.col("upper")).then(pl.lit("above")).when(pl.col("count") < pl.col("lower"))
                               .then(pl.lit("below")).otherwise(pl.lit("")))
    basis = Basis.of(incidents, method=f"weekly counts with a band from {_words(band, before, years)} (negative binomial)", source="Wheeler, IJPSM 18 (2016)",
                     used=int(n.sum()), time="started_at", asof=at,
                     notes=("Weeks whose reports are still coming in look emptier than they are.", f"Dispersion about the expectation: {over:.3g}."),
                     parameters={"offence": offence, "band": band, "weeks": weeks, "zone": zone, "week_start": week_start, "level": level})
    return Result(headline=_said(table, level), table=table, layers=(), basis=basis, base=origin_of(incidents).base)


def _series(counts: pl.DataFrame, least: int) -> tuple[str, Ints, list[Any]]:
    time = "week" if "week" in getattr(counts, "columns", ()) else "at"
    require(counts, time, "count", what="counts")
    if isinstance(least, bool) or not isinstance(least, int) or least < 1:
        raise BadInput(f"least={least!r} does not do; give a whole number of periods from 1 on (2 by default).")
    rows = counts.select(time, "count").sort(time)
    n = rows["count"].cast(pl.Float64, strict=False)
    if rows[time].null_count() or n.null_count() or n.is_nan().any() or (n < 0).any() or (n % 1 != 0).any():
        raise BadInput("A period has no time, or a count that is missing, negative or not whole; a period without incidents is a 0.")
    _hours.spaced(rows[time])
    if rows.height < max(_LEAST, 2 * least):
        raise CannotTell(f"{several(rows.height, 'period')} are too few to look for a change; at least {max(_LEAST, 2 * least)} are "
                         "needed: use shorter periods.")
    if rows.height > _MOST:
        raise BadInput(f"{rows.height:,} periods are too many; at most {_MOST:,}: use longer periods.")
    if float(n.sum()) == 0:
        raise CannotTell("There is no incident in any period, so no level to change; use a wider offence group or a longer series.")
    return time, n.to_numpy().astype(np.int64), rows[time].to_list()


def _cost(total: Any, length: Any, over: float) -> Any:
    """Minus twice the log likelihood of stretches at their own mean, but for what no cut changes."""
    mean = total / length
    with np.errstate(divide="ignore", invalid="ignore"):
        if over < 1e-9:
            return -2 * np.where(total > 0, total * np.log(mean) - total, 0.0)
        size = 1 / over
        return -2 * (np.where(total > 0, total * np.log(mean / (mean + size)), 0.0) + length * size * np.log(size / (mean + size)))


def _dated(n: Ints, a: int, cut: int, b: int, over: float, least: int, level: float, runs: int, rng: np.random.Generator) -> tuple[int, int]:
    """Where the cut comes to lie when the two stretches about it are drawn anew."""
    length = b - a
    if length < 2 * least + 1:
        return cut, cut
    mean = np.where(np.arange(length) < cut - a, n[a:cut].mean(), n[cut:b].mean())
    rate = np.broadcast_to(mean, (runs, length)) * (rng.gamma(1 / over, over, (runs, length)) if over > 1e-9 else 1.0)
    sums = np.cumsum(rng.poisson(rate), axis=1).astype(float)
    at = np.arange(least, length - least + 1)
    cost = _cost(sums[:, at - 1], at, over) + _cost(sums[:, -1:] - sums[:, at - 1], length - at, over)
    found = a + at[cost.argmin(axis=1)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return min(int(low), cut), max(int(high), cut)


def _headline(table: pl.DataFrame, periods: int, level: float) -> str:
    if table.height == 1:
        only = table.row(0, named=True)
        return f"No change of level in {periods} periods: {only['mean']:,.1f} a period (95 %: {only['low']:,.1f} to {only['high']:,.1f}) throughout."
    row = table.row(-1, named=True)
    before = table["mean"][-2]
    change = f" ({row['change']:+.0f} %)" if row["change"] is not None else ""
    times = several(table.height - 1, "change") + " of level; the last" if table.height > 2 else "The level changed: it"
    return (f"{times} began with {row['begins']:%Y-%m-%d} ({100 * level:.0f} %: {row['earliest']:%Y-%m-%d} to {row['latest']:%Y-%m-%d}), from {before:,.1f} to "
            f"{row['mean']:,.1f} a period{change}.")


def _weeks(incidents: pl.DataFrame, at: datetime, groups: Mapping[str, Iterable[str]] | None, offence: str | None, zone: str,
           week_start: str) -> tuple[Ints, datetime, Ints]:
    """Counts of the whole weeks on record, the first one's beginning, and the counts of their days."""
    if str(week_start).lower() not in WEEKDAYS:
        raise BadInput(f"week_start={week_start!r} is not a weekday.{did_you_mean(str(week_start), WEEKDAYS)}")
    known = expected.known_rows(incidents, at, _hours.checked(zone), groups, None)
    if offence is not None:
        names = known["offence"].unique().to_list() if groups is None else list(groups)
        if offence not in names and len(names):
            raise BadInput(f"There is no offence {offence!r} among the incidents.{did_you_mean(offence, [str(v) for v in names])}")
        known = known.filter(pl.col("offence") == offence)
    now = expected.wall_clock(at, zone)
    start = WEEKDAYS.index(week_start.lower())
    midnight = datetime(now.year, now.month, now.day)
    end = midnight - timedelta(days=(midnight.weekday() - start) % 7)
    known = known.unique("row").filter(pl.col("at") < end)
    if known.is_empty():
        raise CannotTell(f"No incident was known before {at:%Y-%m-%d %H:%M} UTC that lies in a whole week; choose a later asof or load incidents.")
    oldest = cast(datetime, known["at"].min())
    first = datetime(oldest.year, oldest.month, oldest.day)
    first += timedelta(days=(start - first.weekday()) % 7)
    length = (end - first).days
    day = ((known["at"] - first).dt.total_microseconds() // 86_400_000_000).to_numpy()
    days = np.bincount(day[day >= 0], minlength=length)
    return days.reshape(-1, 7).sum(axis=1), first, days


def _band(n: Ints, days: Ints, first: datetime, show: int, band: str, before: int, years: int) -> tuple[Floats, Floats, float]:
    """Expectation of each week shown, the relative variance of that expectation, and the dispersion of the past about it."""
    start = len(n) - show
    if band == "season":
        origin = first.toordinal()
        fitted = _season.fit(days[: 7 * start], origin)
        past = fitted.days(origin, origin + 7 * start).reshape(-1, 7).sum(axis=1)
        both = [fitted.total(origin + 7 * w, origin + 7 * w + 7) for w in range(start, len(n))]
        return np.array([m for m, _ in both]), np.array([v for _, v in both]), chance.dispersion(n[:start].astype(float), past)
    means, spans = np.zeros(len(n)), np.zeros(len(n))
    for w in range(len(n)):
        if band == "weeks":
            use = np.arange(max(0, w - before), w)
        else:
            use = np.array([w - 52 * y + d for y in range(1, years + 1) for d in (-1, 0, 1) if w - 52 * y + d >= 0], dtype=np.int64)
        means[w] = (n[use].sum() + 0.5) / max(len(use), 1)
        spans[w] = len(use)
    enough = spans >= (before if band == "weeks" else 2)
    judged = enough & (np.arange(len(n)) < start)
    if judged.sum() < 8:
        judged = enough
    m, k = means[judged], spans[judged]
    # a week lies about a mean of k others with variance (m + a m^2)(1 + 1 / k)
    over = max(0.0, float(((n[judged] - m) ** 2 / (1 + 1 / k) - m).sum() / max((m**2).sum(), 1e-12)))
    k = np.maximum(spans[start:], 1)
    return means[start:], over / k + 1 / (k * means[start:]), over


def _words(band: str, before: int, years: int) -> str:
    return {"weeks": f"the {before} weeks before", "years": f"the same weeks of up to {years} years before", "season": "trend, season and weekday"}[band]


def _said(table: pl.DataFrame, level: float) -> str:
    last = table.row(-1, named=True)
    out = table.filter(pl.col("flag") != "").height
    verdict = {"above": "above its band", "below": "below its band", "": "within its band"}[last["flag"]]
    return (f"In the week from {last['week']}: {last['count']:,}, {last['expected']:,.1f} expected ({100 * level:.0f} %: {last['lower']:,} to "
            f"{last['upper']:,}), {verdict}; {out} of {table.height} weeks lie outside theirs, where chance "
            f"gives up to {max(1, round((1 - level) * table.height))}.")

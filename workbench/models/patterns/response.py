"""How long does it take from the call to the first unit on scene?

A response time is arrival less receipt of a call that was dispatched. What an officer found was never dispatched and would count as
nothing at all; a call whose times cannot be right would count as anything. Both are left out, and how many and why is said beside
every figure. The middle one and the one that nine in ten stay under are given, because response times have a long tail and their mean
is that of the tail; the interval of the middle one is exact for any distribution (order statistics: Conover, *Practical Nonparametric
Statistics*, 3rd ed. 1999, section 3.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.errors import CannotTell
from workbench.models.patterns import _hours
from workbench.models.patterns._placed import since
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import said, several
from workbench.results import Basis, Ranking, origin_of, recorded
from workbench.schema import require, utc

SOURCE = "Conover, Practical Nonparametric Statistics (1999), section 3.2"
_TIMES = ("received_at", "dispatched_at", "arrived_at")
#: Why a call has no response time, in the order in which it is looked at.
REASONS = ("self-initiated", "never dispatched", "never on scene", "doubtful times", "on scene before received")
_FEWEST = 6


def seconds(calls: pl.DataFrame) -> pl.Series:
    """Response time of each call.

    Args:
        calls: canonical calls.

    Returns:
        "response_seconds", one value a row in the order given: ``arrived_at`` less ``received_at`` where the call was dispatched, was not
        self-initiated, has no doubts and the difference is not negative; else null.

    Raises:
        BadInput: a column is missing or is not a time with a zone.

    Cost: O(rows).
    """
    return _timed(calls)["response_seconds"]


def left_out(calls: pl.DataFrame) -> pl.Series:
    """Why each call has no response time, one of ``REASONS``; null where it has one. "left_out", one value a row. O(rows)."""
    return _timed(calls)["left_out"]


@recorded
def survival(calls: pl.DataFrame, asof: Moment, *, by: str = "priority", window: Span = "28d", zone: str = "UTC") -> Ranking:
    """Time from receipt to the first unit on scene, calls that nobody reached counted as censored and not left out.

    A call cleared, cancelled or still open without anybody on scene has waited at least so long; leaving it out makes response look quicker than it is. The
    Kaplan-Meier estimate uses what is known of it: E. L. Kaplan, P. Meier, JASA 53, 1958, 457-481; intervals of quantiles: R. Brookmeyer, J. Crowley,
    Biometrics 38, 1982, 29-41 (log-log). It holds if calls are not cancelled because they wait; ``censored`` says how many there are.

    Args:
        calls: canonical calls; self-initiated ones and those with doubtful times are left out and counted.
        asof: nothing later is looked at: a call open then is censored then (text without a zone is UTC).
        by: the column that makes the groups, e.g. "priority", "beat", "call_type"; "hour" = hour of the day of receipt; "weekday" likewise.
        window: how far back from asof.
        zone: zone of hours and weekdays.

    Returns:
        A Ranking, slowest first; its table has one row a group: the group, calls, reached, censored, median, low, high (95 %), p90 (seconds; null where
        not so many were reached while they were looked at), left_out.

    Raises:
        BadInput: a column is missing or a span is unreadable. CannotTell: no dispatched or waiting call in the window.

    Cost: O(rows log rows).
    """
    at, length = moment(asof), span(window)
    frame = _waited(calls, at, since(at, length), by, _hours.checked(zone))
    held = frame.filter(pl.col("wait").is_not_null())
    if not held["reached"].any():
        raise CannotTell(f"No call of the {said(length)} before {at:%Y-%m-%d %H:%M} UTC was reached ({several(held.height, 'call')} waited, "
                         f"{frame.height - held.height} left out); choose a longer window or load calls with times of arrival.")
    rows = [_survived(name, part) for (name,), part in frame.group_by("group")]
    shape = {by: frame.schema["group"], "calls": pl.Int64(), "reached": pl.Int64(), "censored": pl.Int64(), "median": pl.Float64(), "low": pl.Float64(),
             "high": pl.Float64(), "p90": pl.Float64(), "left_out": pl.Int64()}
    table = pl.DataFrame([{by: row.pop("group"), **row} for row in rows], schema=shape).sort("median", by, descending=[True, False], nulls_last=False)
    whole = _survived("all", frame)
    basis = Basis.of(
        calls, method="Kaplan-Meier estimate of the time to the first unit on scene, calls not reached censored",
        source="Kaplan and Meier 1958; Brookmeyer and Crowley 1982", used=held.height, time="received_at", asof=at,
        parameters={"by": by, "window": window, "zone": zone},
        notes=(f"{whole['censored']:,} of {held.height:,} calls were cleared or still open with nobody on scene; they count as having waited so long.",
               f"{frame.height - held.height:,} calls are left out: self-initiated, on scene without a dispatch, doubtful times, or on scene before received."))
    most = "nine in ten within " + _clock(whole["p90"]) if whole["p90"] is not None else "when nine in ten were cannot be told"
    middle = f"within {_clock(whole['median'])}" if whole["median"] is not None else "not within the time looked at"
    sure = f" (95 % interval {_clock(whole['low'])} to {_clock(whole['high'])})" if whole["low"] is not None and whole["high"] is not None else ""
    text = (f"In the last {said(length)} half of {several(held.height, 'call')} were reached {middle}{sure}, {most}; {whole['censored']:,} were not reached "
            "and count as waiting until they were cleared.")
    return Ranking(headline=text, table=table, layers=(), basis=basis, base=origin_of(calls).base)


def _waited(calls: pl.DataFrame, at: Any, start: Any, by: str, zone: str) -> pl.DataFrame:
    """One row a call: group, wait (seconds until reached, cleared or asof; null = left out), reached."""
    require(calls, "cleared_at", *([] if by in ("hour", "weekday") else [by]), what="calls")
    timed = _timed(calls, at).filter(pl.col("received_at") >= start, pl.col("received_at") < at)
    timed = utc(timed, ["cleared_at"])
    wall = pl.col("received_at").dt.convert_time_zone(zone)
    group = {"hour": wall.dt.hour().cast(pl.Int64), "weekday": wall.dt.weekday().cast(pl.Int64)}.get(by, pl.col(by) if by in calls.columns else pl.lit(None))
    over = pl.when(pl.col("cleared_at") < at).then(pl.col("cleared_at")).otherwise(pl.lit(at))
    open_ = pl.col("left_out").is_in(["never dispatched", "never on scene"]) & pl.col("arrived_at").is_null() & (over >= pl.col("received_at"))
    waited = pl.when(open_).then((over - pl.col("received_at")).dt.total_microseconds() / 1e6)
    return timed.select(group=group, wait=pl.coalesce("response_seconds", waited), reached=pl.col("response_seconds").is_not_null())


def _survived(name: Any, part: pl.DataFrame) -> dict[str, Any]:
    held = part.filter(pl.col("wait").is_not_null())
    found = kaplan_meier(held["wait"].to_numpy(), held["reached"].to_numpy())
    reached = int(held["reached"].sum())
    return {"group": name, "calls": held.height, "reached": reached, "censored": held.height - reached, "median": found[0], "low": found[1], "high": found[2],
            "p90": found[3], "left_out": part.height - held.height}


def kaplan_meier(wait: Any, reached: Any) -> tuple[float | None, float | None, float | None, float | None]:
    """Median, its 95 % interval and the 90th percentile of waits of which some ended without being reached; None where it is not known.

    ``wait`` seconds, ``reached`` whether it ended by arrival (else censored), both shape (n,). O(n log n).
    """
    wait, reached = np.asarray(wait, dtype=float), np.asarray(reached, dtype=bool)
    times, at = np.unique(wait, return_inverse=True)
    events = np.bincount(at, reached, minlength=len(times))
    risk = len(wait) - np.r_[0, np.cumsum(np.bincount(at, minlength=len(times)))][:-1] if len(wait) else np.zeros(0)
    use = events > 0
    times, events, risk = times[use], events[use], risk[use]
    left = np.cumprod(1 - events / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.cumsum(events / (risk * (risk - events)))) / np.abs(np.log(left))
        upper, lower = left ** np.exp(-1.96 * spread), left ** np.exp(1.96 * spread)
    lower, upper = np.where(left > 0, lower, 0.0), np.where(left > 0, upper, 0.0)

    def first(curve: Any, share: float) -> float | None:
        below = np.flatnonzero(curve <= share + 1e-12)
        return float(times[below[0]]) if len(below) else None

    return first(left, 0.5), first(lower, 0.5), first(upper, 0.5), first(left, 0.1)


@recorded
def by_group(calls: pl.DataFrame, asof: Moment, *, by: str = "priority", window: str = "28d") -> Ranking:
    """Response times of each group of calls, slowest first.

    Args:
        calls: canonical calls.
        asof: nothing later is looked at: calls received later, and arrivals not yet made (text without a zone is UTC).
        by: the column that makes the groups, e.g. "priority", "district", "call_type".
        window: how far back from asof, e.g. "28d".

    Returns:
        A Ranking; its table has one row a group: the group (null = none recorded), calls, timed, median (seconds), low and high (at
        least 95 % interval of the median; null under six timed calls), p90 (seconds), and a column of counts for each reason of ``REASONS``.

    Raises:
        BadInput: a column is missing or a span is unreadable. CannotTell: no call in the window has a response time.

    Cost: O(rows log rows).
    """
    require(calls, by, what="calls")
    at, length = moment(asof), span(window)
    timed = _timed(calls, at).filter(pl.col("received_at") >= since(at, length), pl.col("received_at") < at)
    usable = timed["response_seconds"].drop_nulls()
    if usable.is_empty():
        why = _counted(timed) or "no call was received in that time"
        raise CannotTell(f"No call of the {said(length)} before {at:%Y-%m-%d %H:%M} UTC has a response time: {why}. Choose a longer window or load calls "
                         "with times of dispatch and arrival.")
    rows = [{by: group[0], **_figures(part)} for group, part in timed.group_by(by)]
    shape = {by: timed.schema[by], "calls": pl.Int64(), "timed": pl.Int64(), "median": pl.Float64(), "low": pl.Float64(), "high": pl.Float64(),
             "p90": pl.Float64(), **{reason: pl.Int64() for reason in REASONS}}
    table = pl.DataFrame(rows, schema=shape).sort("median", by, descending=[True, False], nulls_last=True)
    basis = Basis.of(
        calls, method="arrival less receipt of dispatched calls; median with its exact interval, 90th percentile", source=SOURCE, used=len(usable),
        time="received_at", asof=at, parameters={"by": by, "window": window},
        notes=(f"Of {several(timed.height, 'call')} in the window {len(usable):,} have a response time. {_counted(timed)}".strip(),),
    )
    origin = origin_of(calls)
    return Ranking(headline=_headline(table, usable, by, length), table=table, layers=(), basis=basis, base=origin.base)


def _timed(calls: pl.DataFrame, asof: Any = None) -> pl.DataFrame:
    """The calls with response_seconds and left_out; what happened after ``asof`` is not known yet."""
    require(calls, *_TIMES, "self_initiated", "doubts", what="calls")
    frame = utc(calls, _TIMES)
    if asof is not None:
        frame = frame.with_columns(pl.when(pl.col(c) < asof).then(pl.col(c)).alias(c) for c in ("dispatched_at", "arrived_at"))
    took = (pl.col("arrived_at") - pl.col("received_at")).dt.total_microseconds() / 1e6
    conditions = (
        pl.col("self_initiated").fill_null(False), pl.col("dispatched_at").is_null(), pl.col("arrived_at").is_null(),
        pl.col("doubts").list.len().fill_null(0) > 0, took.is_null() | (took < 0),
    )
    why = pl.lit(None, dtype=pl.String)
    for condition, reason in zip(reversed(conditions), reversed(REASONS), strict=True):
        why = pl.when(condition).then(pl.lit(reason)).otherwise(why)
    frame = frame.with_columns(left_out=why)
    return frame.with_columns(response_seconds=pl.when(pl.col("left_out").is_null()).then(took))


def _figures(part: pl.DataFrame) -> dict[str, Any]:
    values = np.sort(part["response_seconds"].drop_nulls().to_numpy())
    low, high = _interval(values)
    counts = dict(part["left_out"].value_counts().iter_rows())
    middle, most = (float(np.quantile(values, q)) if len(values) else None for q in (0.5, 0.9))
    return {"calls": part.height, "timed": len(values), "median": middle, "low": low, "high": high, "p90": most,
            **{reason: counts.get(reason, 0) for reason in REASONS}}


def _interval(values: np.ndarray[Any, np.dtype[Any]]) -> tuple[float | None, float | None]:
    """Values at the ranks that hold the median with at least 95 % probability; none below six values, which cannot."""
    n = len(values)
    if n < _FEWEST:
        return None, None
    from scipy.stats import binom

    rank = int(binom.ppf(0.025, n, 0.5))
    while rank > 0 and binom.cdf(rank - 1, n, 0.5) > 0.025:
        rank -= 1
    return float(values[max(rank - 1, 0)]), float(values[min(n - rank, n - 1)])


def _counted(timed: pl.DataFrame) -> str:
    counts = dict(timed["left_out"].drop_nulls().value_counts().iter_rows())
    told = [f"{counts[reason]:,} {reason}" for reason in REASONS if reason in counts]
    return f"Left out: {', '.join(told)}." if told else ""


def _headline(table: pl.DataFrame, usable: pl.Series, by: str, length: Any) -> str:
    figures = _figures(pl.DataFrame({"response_seconds": usable, "left_out": pl.Series([None] * len(usable), dtype=pl.String)}))
    sure = f" (95 % interval {_clock(figures['low'])} to {_clock(figures['high'])})" if figures["low"] is not None else ""
    text = (f"In the last {said(length)} half of {several(len(usable), 'dispatched call')} were reached within {_clock(figures['median'])}{sure}, "
            f"nine in ten within {_clock(figures['p90'])}.")
    judged = table.filter(pl.col("low").is_not_null())
    if judged.height > 1:
        slowest = judged.row(0, named=True)
        text += f" Slowest {by}: {slowest[by]}, {_clock(slowest['median'])}."
    return text


def _clock(value: float) -> str:
    """Seconds as minutes and seconds: "17:16 min"."""
    whole = round(value)
    return f"{whole // 60}:{whole % 60:02d} min"

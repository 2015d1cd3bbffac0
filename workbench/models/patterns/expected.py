"""What happened, against what was to be expected?

Counts of the latest 24 hours, 7 days and 28 days beside the same spans of the weeks before. A difference is only called one when a
count lies outside what those weeks lead one to expect, after allowing for how many comparisons are made at once.

Method: the spans before give a mean; a new count is negative binomial about it, with the variance of a Poisson count made larger by
the week-to-week overdispersion seen and by the mean's own uncertainty (quasi-Poisson prediction: Farrington, Andrews, Beale and
Catchpole, *JRSS A* 159, 1996, 547-563, without the seasonal term). Two-sided p-values; false discovery rate by Benjamini and
Hochberg, *JRSS B* 57, 1995, 289-300.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.models import window
from workbench.models.patterns import _hours
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require

#: A percent change is shown grey, never alone, where the expected count is below this.
SMALL_BASE = 10.0
SOURCE = "Farrington et al., JRSS A 159 (1996); Benjamini and Hochberg, JRSS B 57 (1995)"
_WEEK = timedelta(days=7)
_FEWEST = 3


@recorded
def counts(
    incidents: pl.DataFrame,
    asof: window.Moment,
    *,
    groups: Mapping[str, Iterable[str]] | None = None,
    by: str | None = None,
    zone: str = "UTC",
    windows: Sequence[str] = ("24h", "7d", "28d"),
    weeks: int = 12,
    rate: float = 0.05,
) -> Result:
    """Count each offence group in each window and say what stands out.

    Args:
        incidents: canonical incidents; ``started_at`` decides the span, the time of report what was known at its end, so that the
            latest days are not compared with weeks for which reports had longer to come in.
        asof: nothing known later is looked at, and every window ends here (text without a zone is UTC).
        groups: offence group -> NIBRS codes ("220") or wordings ("offence:BURGLARY"); without it the agency's own ``offence`` is used.
        by: a further column to split by, e.g. ``"beat"``.
        zone: time zone of the agency, so that a day stays a day when clocks change.
        windows: spans of whole hours or days ("24h", "7d").
        weeks: how far back the comparison reaches; a 28-day window is compared with ``weeks // 4`` spans.
        rate: the share of chance findings accepted among what is flagged (false discovery rate).

    Returns:
        A Result; its table has one row a group (and ``by``) and window: offence, window, count, expected (mean of the spans before),
        low, high (95 % prediction interval), change (percent), small_base (expected below 10: do not read the percent), spans, z, p, q,
        flag ("above", "below", "" or "cannot tell" with fewer than three spans before).

    Raises:
        BadInput: a column is missing or a window is not a length of time. CannotTell: no incident was known before asof.

    Cost: O(rows x groups x windows).
    """
    require(incidents, "started_at", "nibrs", "offence", *([by] if by else []), what="incidents")
    if not len(windows) or not 0 < rate < 1 or isinstance(weeks, bool) or not isinstance(weeks, int) or weeks < 1:
        raise BadInput(f"windows={list(windows)!r}, weeks={weeks!r}, rate={rate!r} do not do: give a window, weeks from 1 on, a share between 0 and 1.")
    spans, at = {w: window.span(w) for w in windows}, window.moment(asof)
    known = known_rows(incidents, at, zone, groups, by)
    if known.is_empty():
        raise CannotTell(f"No incident was known before {at:%Y-%m-%d %H:%M} UTC, so there is nothing to count; choose a later asof or load incidents.")
    now = wall_clock(at, zone)
    first = cast(datetime, known["at"].min())
    keys = ["offence", *([by] if by else [])]
    names = sorted(groups) if groups and not by else None
    weekly = _matrix(known, now, first, _WEEK, weeks, keys, names)
    rows = []
    for name, length in spans.items():
        matrix = _matrix(known, now, first, length, weeks, keys, names)
        rows.append(_compare(matrix, _overdispersion(weekly, matrix, pooled=by is not None), keys).with_columns(window=pl.lit(name)))
    columns = ("offence", "window", "count", "expected", "low", "high", "change", "small_base", "spans", "z", "p", "q", "flag")
    table = _flag(pl.concat(rows), rate).select(*keys[1:], *columns)
    order = {w: i for i, w in enumerate(spans)}
    table = table.sort(*keys[1:], "offence", pl.col("window").replace_strict(order, return_dtype=pl.Int64))
    basis = Basis.of(
        incidents, method=f"counts against the mean of the same spans in the {weeks} weeks before (negative binomial, false discovery rate {100 * rate:.0f} %)",
        source=SOURCE, used=known["row"].n_unique(), time="started_at", asof=at,
        parameters={"windows": list(windows), "weeks": weeks, "rate": rate, "by": by, "zone": zone}, notes=_notes(incidents, known, now, weeks))
    return Result(headline=_headline(table, by), table=table, layers=(), basis=basis, base=origin_of(incidents).base)


def known_rows(incidents: pl.DataFrame, asof: datetime, zone: str, groups: Mapping[str, Iterable[str]] | None, by: str | None) -> pl.DataFrame:
    """Rows known at asof, in local wall time, one a group they belong to: row, at, told, offence, (by). O(rows x groups)."""
    def wall(column: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone(zone).dt.replace_time_zone(None)

    _hours.checked(zone)
    rows = window.known_before(incidents.with_row_index("row"), asof).filter(pl.col("started_at").is_not_null())
    rows = rows.with_columns(told=window.known_at(rows)).with_columns(at=wall("started_at"), told=wall("told"))
    if by:
        rows = rows.filter(pl.col(by).is_not_null())
    keep = ["row", "at", "told", "offence", *([by] if by else [])]
    if groups is None:
        return rows.filter(pl.col("offence").is_not_null()).select(keep)
    return pl.concat([rows.filter(_belongs(tuple(codes))).with_columns(offence=pl.lit(name)).select(keep) for name, codes in groups.items()])


def _belongs(codes: tuple[str, ...]) -> pl.Expr:
    wordings = [c.removeprefix("offence:").strip().upper() for c in codes if c.startswith("offence:")]
    nibrs = [c for c in codes if not c.startswith("offence:")]
    offence = pl.col("offence").cast(pl.String)
    return (pl.col("nibrs").cast(pl.String).is_in(nibrs) | offence.str.strip_chars().str.to_uppercase().is_in(wordings)).fill_null(False)


def _matrix(known: pl.DataFrame, now: datetime, first: datetime, span: timedelta, weeks: int, keys: list[str], names: list[str] | None) -> pl.DataFrame:
    """Counts a key: ``now`` and the list ``before`` of each earlier span (newest first) that lies wholly within the records."""
    step = -(-span // _WEEK) * _WEEK
    spans = min(int(weeks * _WEEK // step), max(0, int((now - first - span) // step)))
    age = (pl.lit(now) - pl.col("at") - pl.duration(microseconds=1)).dt.total_microseconds()
    step_us, span_us = int(step / timedelta(microseconds=1)), int(span / timedelta(microseconds=1))
    rows = known.with_columns(back=age // step_us, into=age % step_us).filter(pl.col("back") <= spans, pl.col("into") < span_us)
    end = pl.lit(now) - pl.duration(microseconds=pl.col("back") * step_us)
    rows = rows.filter(pl.col("told") < end)
    every = known.select(keys).unique() if names is None else pl.DataFrame({"offence": names})
    cells = every.join(pl.DataFrame({"back": np.arange(spans + 1)}), how="cross").join(rows.group_by(*keys, "back").len("n"), on=[*keys, "back"], how="left")
    cells = cells.with_columns(pl.col("n").fill_null(0).cast(pl.Int64)).sort(*keys, "back")
    return cells.group_by(keys, maintain_order=True).agg(count=pl.col("n").first(), before=pl.col("n").slice(1))


def _overdispersion(weekly: pl.DataFrame, matrix: pl.DataFrame, *, pooled: bool) -> np.ndarray[Any, Any]:
    """Variance over mean of the weekly counts, at least 1; pooled over the split when there is one, since one beat's weeks are too few."""
    if not weekly.height or weekly["before"].list.len()[0] < _FEWEST:
        return np.ones(matrix.height)
    before = np.array(weekly["before"].to_list(), dtype=float)
    squares, means = ((before - before.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) / (before.shape[1] - 1), before.mean(axis=1)
    held = weekly.select("offence").with_columns(s=squares, m=means)
    if pooled:
        held = held.group_by("offence", maintain_order=True).agg(pl.col("s", "m").sum())
    phi = held.select("offence", phi=pl.when(pl.col("m") > 0).then(pl.col("s") / pl.col("m")).otherwise(1.0).clip(lower_bound=1.0))
    return matrix.join(phi, on="offence", how="left", maintain_order="left")["phi"].fill_null(1.0).to_numpy()


def _compare(matrix: pl.DataFrame, phi: np.ndarray[Any, Any], keys: list[str]) -> pl.DataFrame:
    from scipy.stats import nbinom

    k = matrix["before"].list.len()[0] if matrix.height else 0
    n = matrix["count"].to_numpy().astype(float)
    enough = k >= _FEWEST
    total = matrix["before"].list.sum().fill_null(0).to_numpy().astype(float)
    mean = (total + 0.5) / max(k, 1)  # half a case more: a span never seen filled is rare, not impossible (Jeffreys)
    variance = phi * mean * (1 + 1 / max(k, 1))
    size, prob = mean**2 / (variance - mean), mean / variance
    low, high = nbinom.ppf(0.025, size, prob), nbinom.ppf(0.975, size, prob)
    p = np.minimum(1.0, 2 * np.minimum(nbinom.cdf(n, size, prob), nbinom.sf(n - 1, size, prob)))
    expected = total / max(k, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(expected > 0, 100 * (n - expected) / expected, np.nan)
    frame = matrix.select(*keys, "count").with_columns(
        expected=expected, low=low.astype(np.int64), high=high.astype(np.int64), change=change, small_base=expected < SMALL_BASE, spans=pl.lit(k),
        z=(n - mean) / np.sqrt(variance), p=p).with_columns(pl.col("change").fill_nan(None))
    if enough:
        return frame
    return frame.with_columns([pl.lit(None, dtype=frame.schema[c]).alias(c) for c in ("expected", "low", "high", "change", "z", "p")])


def _flag(table: pl.DataFrame, rate: float) -> pl.DataFrame:
    """Add q (Benjamini-Hochberg over every comparison made) and the flag."""
    known = table["p"].is_not_null().to_numpy()
    q = np.full(table.height, np.nan)
    q[known] = adjusted(table["p"].drop_nulls().to_numpy())
    side = pl.when(pl.col("count") > pl.col("expected")).then(pl.lit("above")).otherwise(pl.lit("below"))
    flag = pl.when(pl.col("q").is_null()).then(pl.lit("cannot tell")).when(pl.col("q") <= rate).then(side).otherwise(pl.lit(""))
    return table.with_columns(q=pl.Series(q).fill_nan(None)).with_columns(flag=flag)


def adjusted(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Benjamini-Hochberg q-values of some p-values, in their order. O(n log n)."""
    order = np.argsort(p, kind="stable")
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty(len(p))
    out[order] = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    return out


def _headline(table: pl.DataFrame, by: str | None) -> str:
    tested = table.filter(pl.col("q").is_not_null())
    if tested.is_empty():
        return "The records do not reach far enough back to say what was to be expected: fewer than three spans lie before the latest one."
    flagged = tested.filter(pl.col("flag").is_in(["above", "below"])).sort("q", "p", "offence", "window")
    if flagged.is_empty():
        return f"Nothing stands out: none of {tested.height} comparisons lies outside what the weeks before lead one to expect."
    more = f" {flagged.height} of {tested.height} comparisons stand out." if flagged.height > 1 else f" Nothing else of {tested.height} comparisons stands out."
    return sentence(flagged.row(0, named=True), by) + more


def sentence(row: Mapping[str, Any], by: str | None = None) -> str:
    """One row of the table as a sentence with its interval."""
    where = f" in {by} {row[by]}" if by and row.get(by) is not None else ""
    last = f"the last {'24 hours' if row['window'] == '24h' else window.said(window.span(row['window']))}"
    name = str(row["offence"])
    start = f"{name[:1].upper()}{name[1:]}{where}: {row['count']:,} in {last}"
    if row["expected"] is None:
        return f"{start}; too few weeks are on record to say what was to be expected."
    verdict = {"above": ", more than expected", "below": ", fewer than expected"}.get(row["flag"], ", within what was expected")
    return f"{start}, {row['expected']:,.1f} expected (95 %: {row['low']:,} to {row['high']:,}){verdict}."


def _notes(incidents: pl.DataFrame, known: pl.DataFrame, now: datetime, weeks: int) -> tuple[str, ...]:
    notes = [f"Expected = mean of the same spans in the {weeks} weeks before; no season, holiday or weather is allowed for."]
    newest = known["at"].max()
    if isinstance(newest, datetime) and now - newest > timedelta(days=2):
        notes.append(f"The newest incident is of {newest:%Y-%m-%d %H:%M}, {(now - newest).days} days before asof: the latest spans are not complete.")
    if "reported_at" not in incidents.columns or incidents["reported_at"].null_count() == incidents.height:
        notes.append("Times of report are not in these records, so late reports make the latest spans look emptier than they are.")
    else:
        notes.append("A span before counts only what had been reported by its end, as the latest span does.")
    return tuple(notes)


def history(incidents: pl.DataFrame, asof: window.Moment, *, groups: Mapping[str, Iterable[str]], zone: str = "UTC", span: str = "7d",
            weeks: int = 12) -> pl.DataFrame:
    """The counts behind :func:`counts` for one window: offence, now, before (list, oldest first).

    Raises:
        BadInput, CannotTell: as :func:`counts`.
    """
    at = window.moment(asof)
    known = known_rows(incidents, at, zone, groups, None)
    if known.is_empty():
        raise CannotTell(f"No incident was known before {at:%Y-%m-%d %H:%M} UTC, so there is nothing to count; choose a later asof or load incidents.")
    matrix = _matrix(known, wall_clock(at, zone), cast(datetime, known["at"].min()), window.span(span), weeks, ["offence"], list(groups))
    return matrix.select("offence", now="count", before=pl.col("before").list.reverse())


def wall_clock(at: datetime, zone: str) -> datetime:
    """A moment on a zone's clock, without the zone."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

"""Are the times times at which something happened, or what a form was filled in with?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from workbench.intake.quality.finding import Finding, Looked, percent

#: A heap is told when it holds this many times what its neighbours lead one to expect, and this many standard deviations more.
TIMES, DEVIATIONS = 1.5, 5.0
#: Hours, local, around which incidents, calls and reads are fewest everywhere: the middle of the quietest five hours.
QUIET = (2.5, 6.5)
#: Rows with a time to the minute below which nothing is said about a shift of the clock.
FEWEST = 500
_DAILY = ("incidents", "calls", "reads")


def impossible(looked: Looked) -> Iterator[Finding]:
    """Times in the future, ends before begins, reports before the event, chains in the wrong order."""
    frame, time = looked.frame, looked.about.time
    if not time or time not in frame.columns:
        return
    limit: Any = pl.lit(looked.asof) if looked.asof else pl.col("recorded_at") if "recorded_at" in frame.columns else None
    tests = [("in the future", pl.col(time) > limit)] if limit is not None else []
    tests += [("ended before it started", pl.col("ended_at") < pl.col(time))] if "ended_at" in frame.columns and time != "ended_at" else []
    tests += [("reported before it started", pl.col("reported_at") < pl.col(time))] if "reported_at" in frame.columns else []
    tests += [("in an impossible order", pl.col("doubts").list.len() > 0)] if "doubts" in frame.columns else []
    tests.append(("before 1970", pl.col(time).dt.year() < 1970))
    marks = frame.select(test.fill_null(False).alias(name) for name, test in tests)
    rows = np.flatnonzero(marks.select(pl.any_horizontal(pl.all())).to_series().to_numpy())
    parts = [f"{int(marks[name].sum()):,} {name}" for name, _ in tests if int(marks[name].sum())]
    level = "bad" if len(rows) > 0.01 * frame.height else "doubt" if len(rows) else "fine"
    yield Finding("impossible times", level, rows, f"Times that cannot be: {', '.join(parts)}." if parts else "Every time is possible.",
                  "They fall out of, or into the wrong, span of time." if len(rows) else "")


def heaped(looked: Looked) -> Iterator[Finding]:
    """Midnight, noon, the full hour and 1 January."""
    local = looked.local
    if local is None:
        return
    minute = (local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()).to_numpy()
    use = looked.precise & ~np.isnan(minute.astype(float))
    hour, full = minute // 60, minute % 60 == 0
    by_hour = np.bincount(hour[use & full].astype(int), minlength=24)
    yield _heap(looked, "midnight", use & np.isin(minute, (0, 1)), float(np.mean(by_hour[[23, 1]]) + np.sum(use & np.isin(minute, (1381, 61))) / 2),
                "A map of nights holds rows whose hour nobody knew.")
    yield _heap(looked, "noon", use & (minute == 720), float(np.mean(by_hour[[11, 13]])), "A map of midday holds rows whose hour nobody knew.")
    rows = np.flatnonzero(use & full)
    share = len(rows) / max(int(use.sum()), 1)
    known = "an hour" if share > 0.5 else "half an hour" if share > 0.2 else "some minutes" if share > 0.05 else "a minute"
    says = f"{percent(len(rows), int(use.sum()))} of the times fall on the full hour (1.7 % would by chance): times are known to about {known}."
    effect = "None on a map of places; hours beside each other cannot be told apart." if share > 0.1 else ""
    yield Finding("full hour", "doubt" if share > 0.1 else "fine", rows, says, effect)
    yield _new_year(looked, local)


def _heap(looked: Looked, name: str, found: Any, expected: float, effect: str) -> Finding:
    rows = np.flatnonzero(found)
    excess = len(rows) - expected
    heap = len(rows) > TIMES * max(expected, 1.0) and excess > DEVIATIONS * np.sqrt(max(expected, 1.0))
    level = "fine" if not heap else "bad" if excess > 0.03 * looked.frame.height else "doubt"
    beside = "days" if name == "1 January" else "hours"
    says = f"{len(rows):,} rows at {name}; the {beside} beside it lead one to expect {expected:,.0f}"
    says += f": about {excess:,.0f} are placeholders." if heap else "."
    return Finding(name, level, rows, says, effect if heap else "")


def _new_year(looked: Looked, local: pl.Series) -> Finding:
    days = local.dt.date()
    first = ((local.dt.month() == 1) & (local.dt.day() == 1)).fill_null(False)
    near = ((local.dt.month() == 1) & local.dt.day().is_between(2, 15) | (local.dt.month() == 12) & (local.dt.day() >= 18)).fill_null(False)
    span = days.filter(near)
    per_day = near.sum() / max(span.n_unique(), 1)
    rows = np.flatnonzero(first.to_numpy())
    expected = float(per_day * max(days.filter(first).n_unique(), 1))
    return _heap(looked, "1 January", first.to_numpy(), expected, "A map of the first week of a year holds rows of the whole year.") if len(rows) else Finding(
        "1 January", "fine", rows, "No row is of 1 January.")


def shifted(looked: Looked) -> Iterator[Finding]:
    """Whether some source's clock seems to be off by hours, told by its quietest hours."""
    local = looked.local
    if local is None or looked.about.name not in _DAILY:
        return
    sources = looked.frame["source"].fill_null("").to_list() if "source" in looked.frame.columns else [""] * looked.frame.height
    named = pl.DataFrame({"source": sources, "hour": local.dt.hour(), "minute": local.dt.minute(), "use": looked.precise}).with_row_index("row")
    for (source,), part in sorted(named.group_by("source"), key=lambda pair: str(pair[0])):
        clean = part.filter(pl.col("use") & pl.col("hour").is_not_null() & ~((pl.col("minute") <= 1) & pl.col("hour").is_in([0, 12])))
        counts = np.bincount(clean["hour"].to_numpy().astype(int), minlength=24)
        off, says = shift(counts)
        rows = part["row"].to_numpy().astype(np.int64) if off else np.zeros(0, dtype=np.int64)
        yield Finding(f"clock of {source}" if source else "clock", "bad" if off else "fine", rows, says,
                      "A map of a shift or an hour shows another one; a map of all hours does not change." if off else "")


def shift(counts: Any) -> tuple[int, str]:
    """How many hours local times seem to be late (negative: early), by the quietest five hours; (0, why) when they are where they belong
    or nobody can tell.

    Args:
        counts: rows by local hour, shape (24,).
    """
    counts = np.asarray(counts, dtype=float)
    total = counts.sum()
    if total < FEWEST:
        return 0, f"I cannot tell whether the clock is right: {total:,.0f} times to the minute are too few (500 are needed)."
    windows = np.array([counts[(np.arange(5) + start) % 24].sum() for start in range(24)])
    start = int(np.argmin(windows))
    middle = (start + 2.5) % 24
    usual = windows[2]
    flat = windows[start] > 0.5 * total * 5 / 24
    said = f"The quietest five hours are {start:02d} to {(start + 5) % 24:02d} local ({percent(windows[start], total)} of the rows)"
    if flat:
        return 0, f"{said}, hardly quieter than the rest: I cannot tell whether the clock is right."
    if QUIET[0] <= middle <= QUIET[1] + 1 or usual - windows[start] <= DEVIATIONS * np.sqrt(usual + windows[start]):
        return 0, f"{said}, as they are nearly everywhere: the clock looks right."
    off = int(round((middle - 4.5 + 12) % 24 - 12))
    way = "late" if off > 0 else "early"
    return off, f"{said}; nearly everywhere they are 02 to 07: the clock seems to run {abs(off)} hours {way}. Check the time zone of the source."

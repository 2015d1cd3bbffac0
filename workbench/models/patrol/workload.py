"""How much work do the calls make in each hour of the week, and how many units does it take?

Work is what units are bound by calls: for each call and hour of the week the unit-hours between dispatch and clearance. How many units are needed follows
from the calls that wait: Erlang's delay formula (A. K. Erlang 1917; for patrol: L. V. Green, P. J. Kolesar, "Improving emergency responsiveness with
management science", Management Science 50, 2004, 1001-1014): the least number of units with which a call waits longer than a limit in at most a stated
share of cases, while the units are bound no more than a stated share of their time.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats
from workbench.models.patterns._hours import checked
from workbench.models.window import Moment, Span, moment, span
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require, utc

SOURCE = "Erlang 1917; Green and Kolesar, Management Science 50 (2004) 1001-1014"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONGEST = timedelta(hours=24)


def waiting(load: float, units: int) -> float:
    """Chance that a call has to wait (Erlang C): ``load`` unit-hours of work an hour, ``units`` of them. 1 where units cannot keep up. O(units).

    >>> round(waiting(2.0, 3), 4)
    0.4444
    """
    if load <= 0:
        return 0.0
    if units <= load:
        return 1.0
    lost = 1.0
    for k in range(1, units + 1):
        lost = load * lost / (k + load * lost)
    return lost / (1 - load / units * (1 - lost))


def needed(calls: float, hours: float, *, limit: float = 5.0, late: float = 0.1, most: float = 0.6, each: float = 1.0) -> int:
    """The least number of units for ``calls`` an hour that bind a unit for ``hours`` each, ``each`` units to a call.

    A call waits over ``limit`` minutes for a free unit in at most ``late`` of cases, and units are bound at most ``most`` of their time. Sending several
    units to a call is counted as so much more work, not as several having to be free at once.
    """
    load = calls * hours * each
    units = max(1, math.ceil(load / most - 1e-9))
    while units < 10_000:
        if waiting(load, units) * math.exp(-max(0.0, units - load) / max(hours, 1e-9) * limit / 60) <= late:
            return units
        units += 1
    return units


@recorded
def week(
    calls: pl.DataFrame,
    asof: Moment,
    *,
    window: Span = "84d",
    zone: str = "UTC",
    by: str | None = None,
    limit: float = 5.0,
    late: float = 0.1,
    most: float = 0.6,
) -> Result:
    """Calls, unit-hours and units needed by hour of the week.

    Args:
        calls: canonical calls; those that were dispatched and cleared tell how long one binds a unit. Self-initiated ones are work, but do not wait.
        asof: nothing later is looked at (text without a zone is UTC).
        window: how far back; whole weeks are used.
        zone: the agency's zone: hours are wall-clock hours.
        by: a column to split by, e.g. "district"; None = the whole agency.
        limit, late: a call may wait over ``limit`` minutes for a free unit in at most ``late`` of cases.
        most: share of their time that units may be bound by calls, the rest being for patrol and paper.

    Returns: a Result; its table has one row an hour of the week (and ``by``): weekday, hour, calls (mean an hour), low, high (90 % interval of that mean,
    from the weeks' own swing), unit_hours (mean), minutes (a call binds a unit), units (needed), units_high (needed at the interval's upper end).

    Raises:
        BadInput: a column is missing, or a share is out of range. CannotTell: under 2 whole weeks, under 50 calls, or none has dispatch and clearance.

    Cost: O(rows x hours of a call).
    """
    require(calls, "received_at", "dispatched_at", "cleared_at", "units", "self_initiated", *([by] if by else []), what="calls")
    if not limit >= 0 or not 0 < late < 1 or not 0 < most < 1:
        raise BadInput(f"limit={limit!r}, late={late!r}, most={most!r} do not do; minutes from 0, shares between 0 and 1.")
    at, length = moment(asof), span(window)
    checked(zone)
    rows = utc(calls, ["received_at", "dispatched_at", "cleared_at"]).filter(pl.col("received_at") < at)
    first = rows["received_at"].min()
    weeks = int(min(length, (at - first) if first is not None else timedelta(0)) / timedelta(days=7))  # type: ignore[operator]
    if weeks < 2:
        raise CannotTell(f"The calls reach back {weeks} whole weeks before {at:%Y-%m-%d}; at least 2 are needed to say anything of an hour of the week.")
    begin = at - timedelta(weeks=weeks)
    rows = rows.filter(pl.col("received_at") >= begin)
    took = pl.col("cleared_at") - pl.col("dispatched_at")
    rows = rows.with_columns(bound=pl.when((took > timedelta(0)) & (took <= _LONGEST) & (pl.col("cleared_at") < at)).then(took.dt.total_microseconds() / 3.6e9),
                             sent=pl.col("units").list.len().fill_null(1).clip(lower_bound=1).cast(pl.Float64))
    known = rows.filter(pl.col("bound").is_not_null())
    if rows.height < 50 or known.is_empty():
        raise CannotTell(f"Of {rows.height} calls in {weeks} weeks {known.height} have a time of dispatch and of clearance; at least 50 calls are needed, and "
                         "times of clearance, to say how long one binds a unit.")
    keys = rows[by].cast(pl.String).fill_null("(none recorded)") if by else pl.Series("all", ["all"] * rows.height)
    rows = rows.with_columns(key=keys)
    parts = [_hours(part, name, by, weeks, zone, begin, limit, late, most) for (name,), part in sorted(rows.group_by("key"), key=lambda g: str(g[0]))]
    table = pl.concat(parts)
    lost = rows.filter(pl.col("dispatched_at").is_not_null()).height - known.height
    basis = Basis.of(calls, method="unit-hours by hour of the week, units by Erlang's delay formula", source=SOURCE, used=known.height,
                     time="received_at", asof=at, parameters={"weeks": weeks, "zone": zone, "by": by, "limit": f"{limit:g} min", "late": late, "most": most},
                     notes=(f"{lost:,} dispatched calls have no usable time of clearance; they are taken to last as long as the others of their group.",
                            "Calls are taken to come at random within an hour and to be served in turn; priorities are not modelled."))
    return Result(headline=_headline(table, weeks, limit, late, by), table=table, layers=(), basis=basis, base=origin_of(calls).base)


def _hours(part: pl.DataFrame, name: Any, by: str | None, weeks: int, zone: str, begin: Any, limit: float, late: float, most: float) -> pl.DataFrame:
    wall = pl.col("received_at").dt.convert_time_zone(zone)
    week_ = ((pl.col("received_at") - pl.lit(begin)).dt.total_days() // 7).clip(0, weeks - 1)
    placed = part.with_columns(h=(wall.dt.weekday().cast(pl.Int64) - 1) * 24 + wall.dt.hour().cast(pl.Int64), w=week_)
    waits = placed.filter(pl.col("dispatched_at").is_not_null() & ~pl.col("self_initiated").fill_null(False))
    counts = np.zeros((weeks, 168))
    np.add.at(counts, (waits["w"].to_numpy(), waits["h"].to_numpy()), 1.0)
    mean = counts.mean(axis=0)
    near = np.mean([np.roll(mean, s) for s in (-1, 0, 1)], axis=0)
    residual = ((counts - mean) ** 2).sum() / max(1, weeks - 1)
    swing = max(1.0, residual / max(mean.sum(), 1e-9))  # variance over mean, pooled over the hours
    se = np.sqrt(swing * np.maximum(near, 1 / weeks) / weeks)
    low, high = np.maximum(mean - 1.645 * se, 0.0), mean + 1.645 * se
    known = placed.filter(pl.col("bound").is_not_null())
    hours, sent = (float(known["bound"].mean() or 0.5), float(known["sent"].mean() or 1.0)) if known.height else (0.5, 1.0)  # type: ignore[arg-type]
    work = _bound(known, zone) / weeks
    scale = placed.filter(pl.col("dispatched_at").is_not_null()).height / max(known.height, 1)
    own = work * scale
    table = pl.DataFrame({"weekday": np.repeat(WEEKDAYS, 24), "hour": np.tile(np.arange(24), 7), "calls": mean, "low": low, "high": high, "unit_hours": own,
                          "minutes": np.full(168, 60 * hours),
                          "units": [max(needed(m, hours, limit=limit, late=late, most=most, each=sent), math.ceil(w / most - 1e-9))
                                    for m, w in zip(mean, own, strict=True)],
                          "units_high": [max(needed(m, hours, limit=limit, late=late, most=most, each=sent), math.ceil(w * r / most - 1e-9))
                                         for m, w, r in zip(high, own, np.divide(high, mean, out=np.ones(168), where=mean > 0), strict=True)]})
    return table.select(pl.lit(str(name)).alias(by), pl.all()) if by else table


def _bound(known: pl.DataFrame, zone: str) -> Floats:
    """Unit-hours by hour of the week: each call's time from dispatch to clearance put on the hours it lasted, times the units sent."""
    out = np.zeros(168)
    if known.is_empty():
        return out
    start, end = (known[c].dt.convert_time_zone(zone).dt.replace_time_zone(None) for c in ("dispatched_at", "cleared_at"))
    long = pl.DataFrame({"s": start, "e": end, "n": known["sent"]}).filter(pl.col("e") > pl.col("s"))
    long = long.with_columns(at=pl.datetime_ranges(pl.col("s").dt.truncate("1h"), pl.col("e").dt.truncate("1h"), "1h")).explode("at")
    part = pl.min_horizontal(pl.col("at") + pl.duration(hours=1), "e") - pl.max_horizontal("at", "s")
    long = long.select(h=(pl.col("at").dt.weekday().cast(pl.Int64) - 1) * 24 + pl.col("at").dt.hour().cast(pl.Int64),
                       w=part.dt.total_microseconds().clip(lower_bound=0) / 3.6e9 * pl.col("n"))
    np.add.at(out, long["h"].to_numpy(), long["w"].to_numpy())
    return out


def _headline(table: pl.DataFrame, weeks: int, limit: float, late: float, by: str | None) -> str:
    top, low = table.row(int(table["units"].arg_max() or 0), named=True), table.row(int(table["units"].arg_min() or 0), named=True)
    where = f" in {by} {top[by]}" if by else ""
    return (f"Most units are needed on {top['weekday']} at {top['hour']:02d}:00{where}: {top['units']} (up to {top['units_high']} if calls are at the "
            f"upper end of what {weeks} weeks allow), for {top['calls']:.1f} calls an hour that bind a unit {top['minutes']:.0f} minutes each; fewest on "
            f"{low['weekday']} at {low['hour']:02d}:00: {low['units']}. With these a call waits over {limit:g} minutes for a free unit in at most "
            f"{100 * late:.0f} % of cases.")

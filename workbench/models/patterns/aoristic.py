"""At which hour did it happen, when only a span of time is known?

Each incident is spread over the hours from ``started_at`` to ``ended_at`` in proportion to real elapsed time, and put on the hours that the agency's clocks
showed: where clocks go back an hour is there twice, where they go forward one is not there at all. Sources: J. H. Ratcliffe and M. J. McCullagh, "Aoristic
crime analysis", IJGIS 12, 1998, 751-764, doi:10.1080/136588198241644; J. H. Ratcliffe, "Aoristic signatures and the spatio-temporal analysis of high volume
crime patterns", Journal of Quantitative Criminology 18, 2002, 23-43, doi:10.1023/A:1013240828824.

What is not known about the hour is carried on: ``draws`` gives whole sets of times that the incidents can have had, ``chances`` the chance that each fell into
a shift, ``shift`` the surface of that shift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid, Ints
from workbench.layers import Cells
from workbench.models import chance, forecast
from workbench.models.patterns import _hours
from workbench.models.patterns._placed import since
from workbench.models.window import Moment, Span, known_before, moment, past, span
from workbench.models.wording import said, several
from workbench.results import Basis, Result, Surface, origin_of, recorded
from workbench.schema import require

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SOURCE = "Ratcliffe and McCullagh, IJGIS 12 (1998) 751-764; Ratcliffe, Journal of Quantitative Criminology 18 (2002) 23-43"
_FOLDS = {"day": 24, "week": 168}
_LONGER = ("out", "even")
_DRAWN = 10_000


def weights(incidents: pl.DataFrame, *, zone: str = "UTC", fold: str = "week", longest: Span = "7d", longer: str = "out") -> pl.DataFrame:
    """How much of each incident falls on each hour.

    Args:
        incidents: ``started_at`` and, where known, ``ended_at``; without an end, or with one before the start, the start is taken as the moment.
        zone: the agency's, whose clocks showed the hours.
        fold: "week" for 168 hours from Monday 00:00, "day" for 24.
        longest: incidents that may have happened over more than this are treated as ``longer`` says, up to "7d"; a longer span says nothing of the hour.
        longer: "out" leaves them out; "even" spreads them evenly over all hours of the fold.

    Returns: row (of ``incidents``), hour (of the fold), weight; every row that is in it sums to 1. Rows without started_at are not in it.

    Raises:
        BadInput: a missing column, times without zone, an unknown zone, fold or ``longer``.

    Cost: O(sum of the hours of all spans).
    """
    period, limit = _fold(fold), _limit(longest, longer)
    found = _hours.spans(incidents)
    line = _line(found, zone)
    long = found.end - found.start > limit
    parts = []
    used = np.flatnonzero(~long)
    for block in _hours.blocks(found.only(used), line):
        row, hour, weight = _hours.pairs(found.only(used[block]), line)
        key, inverse = np.unique(row * period + line.label[hour] % period, return_inverse=True)
        parts.append((found.rows[used[block]][key // period], key % period, np.bincount(inverse, weights=weight)))
    if longer == "even" and long.any():
        rows = found.rows[long]
        parts.append((np.repeat(rows, period), np.tile(np.arange(period), len(rows)), np.full(len(rows) * period, 1 / period)))
    columns = [np.concatenate([p[i] for p in parts]) if parts else np.zeros(0) for i in range(3)]
    frame = pl.DataFrame({"row": columns[0], "hour": columns[1], "weight": columns[2]}, schema={"row": pl.Int64, "hour": pl.Int64, "weight": pl.Float64})
    return frame.sort("row", "hour")


def draws(incidents: pl.DataFrame, n: int, seed: int = 0) -> Ints:
    """Sets of times that the incidents can have had: each drawn evenly from its span, independently of the others.

    A model that needs one time an incident (Knox, the self-exciting forecast) is run on each set; the spread of its answers is what the unknown times do to it.

    Args:
        incidents: ``started_at``, never null, and ``ended_at`` where known.
        n: how many sets.
        seed: equal seeds and rows in equal order give equal times.

    Returns: microseconds since 1970 UTC, int64, shape (n, rows); a known moment is the same in every set.

    Raises:
        BadInput: a row has no started_at, or n is no whole number of at least 1.

    Cost: O(n x rows).
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise BadInput(f"n={n!r} sets of times cannot be drawn; give a whole number of at least 1.")
    found = _hours.spans(incidents)
    if found.untimed:
        raise BadInput(f"{several(found.untimed, 'row')} of {len(incidents):,} have no started_at, so no time can be drawn for them; leave them out first.")
    out: Ints = np.tile(found.start, (int(n), 1))
    open_ = np.flatnonzero(found.end > found.start)
    length = (found.end - found.start)[open_]
    rng = np.random.default_rng(seed)
    for i in range(int(n)):
        out[i, open_] += np.minimum((rng.random(len(open_)) * length).astype(np.int64), length - 1)
    return out


def chances(incidents: pl.DataFrame, hours: str | Sequence[int], *, days: Sequence[str] | None = None, zone: str = "UTC") -> Floats:
    """The chance that each incident fell into some hours of the day, on some days of the week.

    Args:
        incidents: as for ``weights``; spans of any length.
        hours: "20-04" (from 20:00 to 04:00; the hours after midnight belong to the day before) or hours of the day such as [22, 23].
        days: "Mon" to "Sun", on which the stretch begins; None = all.
        zone: the agency's.

    Returns: 0 to 1, shape (rows,); 0 for rows without started_at. Given as ``kde.spread(..., weights=)`` they carry into a surface what is not known.

    Raises:
        BadInput: hours or days that are none, and as ``weights``.

    Cost: O(rows + hours from first to last).
    """
    wanted = _wanted(hours, days)
    found = _hours.spans(incidents)
    out = np.zeros(len(incidents))
    if len(found):
        out[found.rows] = _hours.share(found, _line(found, zone), wanted)
    return out


@recorded
def hours(incidents: pl.DataFrame, asof: Moment, *, by: str | None = None, grid: Grid | None = None, fold: str = "day", zone: str = "UTC", window: Span = "84d",
          longest: Span = "7d", longer: str = "out", level: float = 0.95) -> Result:
    """Incidents by hour, for the whole or for each area, with what is not known about each hour.

    Args:
        incidents: as for ``weights``.
        asof: nothing known later is looked at (text without a zone is UTC).
        by: a column to split by, e.g. "beat"; rows without a value are left out and counted.
        grid: split by cell instead (``lon`` and ``lat`` are needed); cells without incidents have no rows.
        fold, zone, longest, longer: as for ``weights``.
        window: how far back from asof incidents began.
        level: of the intervals.

    Returns:
        A Result; its table has one row an hour (and area): the area, weekday (fold "week"), hour, incidents (sum of weights), exact (known to lie in
        that hour), lower and upper (how many of these really fell there: Poisson-binomial, refined normal,
        within 1 of exact), low and high (the same with chance added: what a period just like this one would hold; Poisson).

    Raises:
        CannotTell: no usable incident in the window. BadInput: a missing column and the like, or both ``by`` and ``grid``.

    Cost: O(n + areas x hours of the window).
    """
    period, limit = _fold(fold), _limit(longest, longer)
    if by and grid is not None:
        raise BadInput("Give either by, a column, or grid; not both.")
    if not 0 < level < 1:
        raise BadInput(f"level={level!r} does not do; give a share between 0 and 1, e.g. 0.95.")
    require(incidents, "started_at", *([by] if by else []), what="incidents")
    at, length = moment(asof), span(window)
    inside = known_before(incidents, at).filter(pl.col("started_at") >= since(at, length))
    areas, group, name = _areas(inside, by, grid)
    found = _hours.spans(inside)
    placed = group[found.rows] >= 0
    long = found.end - found.start > limit
    use = np.flatnonzero(placed & ~long)
    even = np.flatnonzero(placed & long) if longer == "even" else use[:0]
    if not len(use) + len(even):
        needs = f"has a {name} and " if name else ""
        raise CannotTell(f"No incident in the {said(length)} before {at:%Y-%m-%d} {needs}can be put within {said(span(longest))}; choose "
                         "a longer window, another asof or another offence.")
    kept, of = found.only(use), group[found.rows[use]]
    sums = _hours.moments(kept, _line(kept, zone), of, len(areas), period) if len(use) else np.zeros((5, len(areas), period))
    flat = np.bincount(group[found.rows[even]], minlength=len(areas)).astype(float)[:, None]
    sums[:4] += np.stack([flat / period, flat / period**2, flat / period**3, flat])
    table = _table(sums, areas, name, period, level)
    exact = int(sums[4].sum())
    used = len(use) + len(even)
    notes = _notes(used, exact, found, int((~placed).sum()), int((placed & long).sum()), name, limit, longer)
    basis = Basis.of(inside, method="incidents spread over the hours they can have happened in, by real elapsed time (aoristic weights)",
                     source=SOURCE, used=used, time="started_at", asof=at, notes=notes,
                     parameters={"by": by, "cell": f"{grid.cell:g} m" if grid else None, "fold": fold, "zone": zone, "window": said(length),
                                 "longest": said(span(longest)), "longer": longer, "level": level})
    return Result(headline=_headline(table, used, exact, name, level), table=table, layers=_layers(table, grid, period), basis=basis,
                  base=origin_of(incidents).base)


@recorded
def shift(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, hours: str | Sequence[int] = "20-04", days: Sequence[str] | None = None,
          bandwidth: float | None = None, window: Span = "365d", horizon: Span = "7d", zone: str = "UTC") -> Surface:
    """Where incidents are to be expected during a shift: kernel density, each incident weighted by the chance that it fell into those hours.

    Args:
        incidents: started_at, lon, lat, and ended_at where known.
        grid: cells.
        asof: nothing known at or after it is used.
        hours, days: as for ``chances``.
        bandwidth: metres; None = as ``kde.surface`` chooses it from all the incidents.
        window: how far back incidents count.
        horizon: how far ahead; the expectation is of all the shifts in it.
        zone: the agency's.

    Returns: a Surface; its intervals are of counts during the shift.

    Raises:
        CannotTell: as ``kde.surface``, or no incident can have fallen into those hours. BadInput: as ``chances``.

    Cost: that of ``kde.surface``.
    """
    from workbench.models.hotspots import kde

    wanted, ahead = _wanted(hours, days), span(horizon, "horizon")
    if bandwidth is not None and (not math.isfinite(bandwidth) or bandwidth < grid.cell / 4):
        raise BadInput(f"A bandwidth of {bandwidth!r} does not do: give metres, at least a quarter of a cell ({grid.cell / 4:g} m here), or None.")
    before = past(incidents, grid, asof, window, least=10)
    weight = chances(before.frame, hours, days=days, zone=zone)
    some = np.flatnonzero(weight > 0)
    total = float(weight.sum())
    if total < 1.0:
        raise CannotTell(f"Of {len(before):,} incidents {total:.2f} are expected to have fallen into those hours; choose more hours, a longer window "
                         "or a wider offence group.")
    h = kde.likeliest(before.cell, grid) if bandwidth is None else float(bandwidth)
    expected = kde.spread(before.x, before.y, grid, h, weights=weight) * (ahead / before.length)
    then = replace(before, rows=before.rows[some], x=before.x[some], y=before.y[some], cell=before.cell[some], age=before.age[some], known=before.known[some])
    vague = float(np.sum(weight * (1 - weight)))
    notes = (f"{total:,.1f} of {len(before):,} incidents are expected to have fallen into those hours (give or take {1.96 * math.sqrt(vague):.1f}, as times "
             f"are not known); {len(some):,} can have. 'counted' counts what can have.",)
    return forecast.surface_of(then, incidents, grid, expected, horizon=ahead, exposure=before.length.total_seconds(), zone=zone,
                               name="Expected incidents in the shift",
                               method=f"kernel density of incidents weighted by the chance of the hours (bandwidth {h:.0f} m)",
                               source=SOURCE + "; Silverman 1986", notes=notes,
                               parameters={"hours": hours if isinstance(hours, str) else list(hours), "days": None if days is None else list(days),
                                           "hours of the week": int(wanted.sum()), "bandwidth": round(h, 1), "zone": zone})


def when(sums: Floats, level: float) -> tuple[Floats, Floats]:
    """Central interval of how many incidents really fell into an hour, from sums over them: p, p squared, p cubed, p above 0, p of 1; last axes any.

    Refined normal approximation of the Poisson-binomial law (A. Yu. Volkova, Theory of Probability and its Applications 40, 1996, 791-794).
    """
    mean, variance = sums[0], np.maximum(sums[0] - sums[1], 0.0)
    third = sums[0] - 3 * sums[1] + 2 * sums[2]
    sd = np.sqrt(variance)
    skew = np.divide(third, sd**3, out=np.zeros_like(sd), where=sd > 1e-6)
    z = NormalDist().inv_cdf((1 + level) / 2)
    push = np.clip(skew, -2.0, 2.0) * (z * z - 1) / 6
    low, high = (np.ceil(mean + sd * (side * z + push) - 0.5 - 1e-9) for side in (-1, 1))
    certain, possible = sums[4], sums[3]
    lower, upper = np.clip(low, certain, possible), np.clip(high, certain, possible)
    return np.minimum(lower, np.floor(mean + 1e-9)), np.maximum(upper, np.ceil(mean - 1e-9))


def _fold(fold: str) -> int:
    if fold not in _FOLDS:
        raise BadInput(f"fold={fold!r} does not do; write 'day' or 'week'.{did_you_mean(str(fold), _FOLDS)}")
    return _FOLDS[fold]


def _limit(longest: Span, longer: str) -> int:
    limit = span(longest, "longest")
    if limit > timedelta(days=7):
        raise BadInput(f"longest={longest!r} is over a week; a span that long says nothing of the hour. Give at most '7d', and "
                       "longer='even' if longer ones are to be spread evenly.")
    if longer not in _LONGER:
        raise BadInput(f"longer={longer!r} does not do; write 'out' or 'even'.{did_you_mean(str(longer), _LONGER)}")
    return int(limit / timedelta(microseconds=1))


def _line(found: _hours.Spans, zone: str) -> _hours.Timeline:
    known = _hours.checked(zone)
    return _hours.timeline(int(found.start.min()), int(found.end.max()), known) if len(found) else _hours.timeline(0, 0, known)


def _wanted(hours: str | Sequence[int], days: Sequence[str] | None) -> Floats:
    """1 for each hour of the week that is meant, shape (168,)."""
    if isinstance(hours, str):
        begin, _, end = hours.partition("-")
        if not (begin.isdigit() and end.isdigit() and int(begin) < 24 and int(end) <= 24 and int(begin) != int(end)):
            raise BadInput(f"hours={hours!r} is no stretch of the day; write e.g. '20-04' for 20:00 to 04:00, or hours such as [22, 23].")
        first, last = int(begin), int(end)
        chosen = list(range(first, last if last > first else last + 24))
    else:
        given = list(hours)
        wrong = [h for h in given if isinstance(h, bool) or not isinstance(h, (int, np.integer)) or not 0 <= h < 24]
        if wrong or not given:
            raise BadInput(f"hours={given!r} does not do; give hours of the day from 0 to 23, or a stretch such as '20-04'.")
        chosen = given
    named = WEEKDAYS if days is None else tuple(days)
    strange = [d for d in named if d not in WEEKDAYS]
    if strange or not named:
        raise BadInput(f"days={list(named)!r} does not do; write days such as 'Fri'.{did_you_mean(str(strange[0]), WEEKDAYS) if strange else ''}")
    out = np.zeros(168)
    out[[(24 * WEEKDAYS.index(d) + h) % 168 for d in named for h in chosen]] = 1.0
    return out


def _areas(inside: pl.DataFrame, by: str | None, grid: Grid | None) -> tuple[list[Any], Ints, str]:
    """The areas, the number of its area for each row (-1 = none), and what an area is called."""
    if grid is not None:
        cell = grid.locate(inside)
        areas, number = np.unique(cell[cell >= 0], return_inverse=True)
        group = np.full(inside.height, -1)
        group[cell >= 0] = number
        return areas.tolist(), group, "cell"
    if by is None:
        return [None], np.zeros(inside.height, dtype=np.int64), ""
    named = inside[by].drop_nulls().unique().sort()
    index = pl.DataFrame({by: named, "n": np.arange(len(named))})
    group = inside.select(by).join(index, on=by, how="left", maintain_order="left")["n"].fill_null(-1).to_numpy()
    return named.to_list(), group, by


def _table(sums: Floats, areas: list[Any], name: str, period: int, level: float) -> pl.DataFrame:
    total = sums[0].ravel()
    lower, upper = when(sums, level)
    low, high = chance.interval(total, 0.0, level=level)
    hour = np.tile(np.arange(period), len(areas))
    frame = pl.DataFrame({"weekday": np.array(WEEKDAYS)[hour // 24], "hour": hour % 24, "incidents": total, "exact": sums[4].ravel().round().astype(np.int64),
                          "lower": lower.ravel().astype(np.int64), "upper": upper.ravel().astype(np.int64),
                          "low": np.minimum(low, lower.ravel()).astype(np.int64), "high": np.maximum(high, upper.ravel()).astype(np.int64)})
    if period == 24:
        frame = frame.drop("weekday")
    return frame.select(pl.Series(name, [a for a in areas for _ in range(period)]), pl.all()) if name else frame


def _said_hour(row: dict[str, Any]) -> str:
    day = f"{row['weekday']} " if "weekday" in row else ""
    return f"{day}{row['hour']:02d}:00 to {(row['hour'] + 1) % 24:02d}:00"


def _headline(table: pl.DataFrame, used: int, exact: int, name: str, level: float) -> str:
    top = table.sort("incidents", descending=True, maintain_order=True).row(0, named=True)
    where = f"{name} {top[name]}, " if name else ""
    start = "The fullest hour" if not name else f"The fullest hour of any {name}"
    return (f"{start} is {where}{_said_hour(top)} with {top['incidents']:,.1f} of {used:,} incidents ({100 * level:.0f} %: {top['lower']:,} to "
            f"{top['upper']:,} for what is not known of the times, {top['low']:,} to {top['high']:,} with chance); "
            f"of {100 * exact / used:.0f} % the hour is known.")


def _notes(used: int, exact: int, found: _hours.Spans, unplaced: int, long: int, name: str, limit: int, longer: str) -> tuple[str, ...]:
    what = "left out" if longer == "out" else "spread evenly over all hours"
    notes = [f"Of {exact:,} of {used:,} the hour is known; the others are spread over their span, every moment of it alike.",
             f"{long:,} that may have happened over more than {said(timedelta(microseconds=limit))} are {what}."]
    if unplaced:
        notes.append(f"{unplaced:,} have no {name} and are left out.")
    if found.backward:
        notes.append(f"{found.backward:,} end before they begin; they are taken at their beginning.")
    return tuple(notes)


def _layers(table: pl.DataFrame, grid: Grid | None, period: int) -> tuple[Cells, ...]:
    if grid is None:
        return ()
    rows = table.sort("incidents", descending=True, maintain_order=True).group_by("cell", maintain_order=True)
    cells = rows.agg(pl.col("incidents").sum().alias("total"), pl.all().exclude("cell").first()).sort("total", descending=True).head(_DRAWN).sort("cell")
    tips = tuple(f"{r['total']:.1f} incidents, most of them {_said_hour(r)} ({r['incidents']:.1f})" for r in cells.iter_rows(named=True))
    return (Cells("Incidents by cell and hour", grid, cells["cell"].to_numpy(), cells["total"].to_numpy(), unit="incidents", tips=tips),)

"""The findings of a plate's pattern of life, each with what chance gives and how many other plates show as much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Ints, positions
from workbench.models.plates import _days
from workbench.models.plates._habits import counts, share_interval
from workbench.models.wording import several

if TYPE_CHECKING:
    from workbench.models.plates._passages import Passages

_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EVIDENCE = 50
#: kind, finding, readers, place, count of of, share with its 95 % interval, what chance gives, p, other plates that show as much of those compared, read ids.
FOUND = pl.Schema(
    {
        "kind": pl.String(),
        "finding": pl.String(),
        "readers": pl.List(pl.String()),
        "lon": pl.Float64(),
        "lat": pl.Float64(),
        "count": pl.Int64(),
        "of": pl.Int64(),
        "share": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "expected": pl.Float64(),
        "p": pl.Float64(),
        "as_many": pl.Int64(),
        "others": pl.Int64(),
        "evidence": pl.List(pl.String()),
    }
)


def row(
    kind: str,
    finding: str,
    count: int,
    of: int,
    expected: float | None,
    p: float | None,
    as_many: int | None,
    others: int | None,
    *,
    readers: list[str] | None = None,
    place: tuple[float, float] | None = None,
    evidence: list[str] | None = None,
) -> dict[str, Any]:
    low, high = share_interval(count, of)
    lon, lat = place or (None, None)
    return {
        "kind": kind,
        "finding": finding,
        "readers": readers or [],
        "lon": lon,
        "lat": lat,
        "count": count,
        "of": of,
        "share": count / of if of else 0.0,
        "low": low,
        "high": high,
        "expected": expected,
        "p": p,
        "as_many": as_many,
        "others": others,
        "evidence": evidence or [],
    }


def ids(passages: Passages, rows: Any) -> list[str]:
    """Read ids of some positions, the latest where there are many."""
    out: list[str] = passages.frame["read_id"].gather(passages.row[np.asarray(rows, dtype=np.int64)[-_EVIDENCE:]]).to_list()
    return out


def clusters(passages: Passages, spots: Ints, weight: Ints, metres: float) -> list[Ints]:
    """Spots joined into places: the spot with the most weight takes all within ``metres`` of it, then the next one that is left."""
    lon, lat = (v[spots] for v in positions(passages.spots))
    left = np.isfinite(lon) & np.isfinite(lat)
    out = []
    for i in np.lexsort((spots, -weight)):
        if left[i]:
            near = left & (_days.apart(np.where(left, lon, lon[i]), np.where(left, lat, lat[i]), float(lon[i]), float(lat[i])) <= metres)
            out.append(spots[near])
            left &= ~near
    return out


def anchors(passages: Passages, mine: Ints, code: int, until: int | None, metres: float) -> list[dict[str, Any]]:
    """Places where the plate is read first or last on days with at least two reads, and where it stays between reads."""
    day, spot = _days.day_of(passages, mine), passages.spot[mine].astype(np.int64)
    start = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]]))
    stop = np.concatenate([start[1:], [len(day)]]) - 1
    several_reads = stop > start
    ends = np.unique(np.concatenate([start[several_reads], stop[several_reads]]))
    days = int(several_reads.sum())
    if not days:
        return []
    gap = np.diff(passages.at[mine])
    stays = np.flatnonzero((gap >= 3 * 3600) & (day[1:] == day[:-1]))
    places, count = np.unique(spot[np.concatenate([ends, stays, stays + 1])], return_counts=True)
    every = _days.daily(passages, until)
    out = []
    for group in clusters(passages, places, count, metres)[:6]:
        here = np.isin(spot, group)
        first, last = here[start[several_reads]], here[stop[several_reads]]
        either, share = int((first | last).sum()), float(here.mean())
        stay = stays[here[stays] & here[stays + 1]]
        others = _anchored(every, group, code)
        if either >= 3:
            out.append(
                _anchor(
                    passages,
                    mine,
                    group,
                    ends[here[ends]],
                    "first or last of the day",
                    either,
                    days,
                    1 - (1 - share) ** 2,
                    others,
                    _hours(passages, mine[start[several_reads][first]], "first") + _hours(passages, mine[stop[several_reads][last]], "last"),
                )
            )
        if len(stay) >= 3:
            on = len(np.unique(day[stay]))
            text = f", from about {_clock(passages, mine[stay])} to {_clock(passages, mine[stay + 1])}"
            out.append(_anchor(passages, mine, group, np.concatenate([stay, stay + 1]), "at least 3 hours between two reads", on, days, None, None, text))
    return sorted(out, key=lambda r: (-r["share"], r["finding"]))


def _anchor(
    passages: Passages, mine: Ints, group: Ints, evidence: Ints, what: str, count: int, days: int, chance: float | None, others: Any, text: str
) -> dict[str, Any]:
    spots = passages.spots[group]
    readers = spots["reader"].to_list()
    lon, lat = (float(np.mean(v)) for v in positions(spots))
    about = _spacing(passages, group)
    finding = f"{what} near {' and '.join(readers[:3])}{text}; the place itself is known to about {about:,.0f} m, the distance to the next readers"
    p = None if chance is None else float(_days.beta_binomial_tail(np.array([count]), np.array([days]), np.array([min(max(chance, 1e-6), 1 - 1e-6)]), 0.0)[0])
    as_many = None if others is None else int((others >= count / days - 1e-12).sum())
    return row(
        "anchor",
        finding,
        count,
        days,
        chance,
        p,
        as_many,
        None if others is None else len(others),
        readers=readers,
        place=(lon, lat),
        evidence=ids(passages, mine[np.sort(evidence)]),
    )


def _anchored(every: _days.Days, group: Ints, code: int) -> Floats:
    """Of the other plates with at least five days of two reads or more: the share of these days that begin or end at the place."""
    full = every.reads >= 2
    here = np.isin(every.first[full], group) | np.isin(every.last[full], group)
    plate = every.plate[full]
    days = np.bincount(plate, minlength=code + 1)
    among = days >= 5
    among[code] = False
    out: Floats = np.bincount(plate, weights=here, minlength=code + 1)[among] / days[among]
    return out


def _spacing(passages: Passages, group: Ints) -> float:
    """How far it is from the place to the nearest readers outside it; the place's own breadth where that is larger."""
    lon, lat = positions(passages.spots)
    ok = np.isfinite(lon) & np.isfinite(lat) & ~passages.spots["moving"].fill_null(False).to_numpy()
    middle = float(np.mean(lon[group])), float(np.mean(lat[group]))
    far = _days.apart(np.where(ok, lon, middle[0]), np.where(ok, lat, middle[1]), *middle)
    outside = ok.copy()
    outside[group] = False
    return max(float(np.sort(far[outside])[:3].mean()) if outside.any() else 1000.0, float(far[group].max()))


def _clock(passages: Passages, rows: Ints) -> str:
    """The middle hour of the clock of some reads, days beginning at dawn."""
    second = int(np.median((passages.local_at[rows] - _days.DAWN) % 86_400) + _days.DAWN) % 86_400
    return f"{second // 3600:02d}:{second % 3600 // 60:02d}"


def _hours(passages: Passages, rows: Ints, what: str) -> str:
    return f", {what} at about {_clock(passages, rows)} on {several(len(rows), 'day')}" if len(rows) else ""


def hours(passages: Passages, mine: Ints, code: int, until: int | None, most: int = 12) -> list[dict[str, Any]]:
    """Hours of the week in which the plate is read more often than all vehicles' share of that hour gives: weeks seen of weeks observed."""
    keep = _days.rows_before(passages, until)
    week_hour = (passages.local_at // 3600 + 72) % 168  # 1970-01-01 was a Thursday; 0 is Monday at midnight
    others = int(np.count_nonzero(counts(passages, until))) - 1
    profile = np.bincount(week_hour[keep], minlength=168) / max(int(keep.sum()), 1)
    date = passages.local_at // 86_400
    up = np.unique(date[keep])
    weeks = np.bincount((up + 3) % 7, minlength=7)
    own = np.unique(date[mine] * 24 + passages.local_at[mine] // 3600 % 24)
    cell = ((own // 24 + 3) % 7) * 24 + own % 24
    count = np.bincount(cell, minlength=168)
    of = np.repeat(weeks, 24)
    expected = 1 - np.exp(-len(mine) * profile / np.maximum(of, 1))
    cells = np.flatnonzero((count >= 2) & (of > 0))
    if not len(cells):
        return []
    p = _days.beta_binomial_tail(count[cells], of[cells], expected[cells], 0.0)
    out = []
    for i in np.lexsort((cells, p))[:most]:
        c = int(cells[i])
        rows = np.flatnonzero(keep & (week_hour == c))
        pairs = np.unique(passages.plate[rows].astype(np.int64) * 1_000_000 + date[rows]) // 1_000_000
        times = np.bincount(pairs, minlength=len(passages.plates))
        times[code] = 0
        mine_then = mine[week_hour[mine] == c]
        readers = passages.spots["reader"].gather(np.unique(passages.spot[mine_then])).to_list()
        out.append(
            row(
                "hour",
                f"{_WEEK[c // 24]} {c % 24:02d}:00 to {c % 24 + 1:02d}:00",
                int(count[c]),
                int(of[c]),
                float(expected[c]),
                float(p[i]),
                int((times >= count[c]).sum()),
                others,
                readers=readers,
                evidence=ids(passages, mine_then),
            )
        )
    return out


def fresh(passages: Passages, mine: Ints, until: int | None) -> list[dict[str, Any]]:
    """Readers new for the plate on its last day, against how often a reader was new for it before (first quarter of its days left out)."""
    day, spot = _days.day_of(passages, mine), passages.spot[mine].astype(np.int64)
    keys, where = np.unique(spot, return_index=True)
    first = day[where]
    every = np.unique(day)
    known = every[len(every) // 4] if len(every) >= 4 else every[-1]
    visits = np.unique(day * 1_000_000 + spot)
    counted = visits[(visits // 1_000_000 >= known) & (visits // 1_000_000 < every[-1])]
    new = int(sum(first[np.searchsorted(keys, v % 1_000_000)] == v // 1_000_000 for v in counted.tolist()))
    out = []
    for s in keys[first == every[-1]].tolist():
        reader = passages.spots["reader"][s]
        lon, lat = (float(v[s]) for v in positions(passages.spots))
        at = mine[spot == s]
        text = f"first time at {reader}, on the last day it was read; {new} of {several(len(counted), 'earlier visit')} were at a reader new for it"
        out.append(
            row(
                "first time",
                text,
                1,
                1,
                new / len(counted) if len(counted) else None,
                None,
                None,
                None,
                readers=[reader],
                place=(lon, lat) if np.isfinite(lon) else None,
                evidence=ids(passages, at),
            )
        )
    return out


def repeats(passages: Passages, code: int, until: int | None) -> list[dict[str, Any]]:
    """Readers that the plate passes again within ninety minutes, against its own habit elsewhere and that of plates like it."""
    made = _days.passes(passages, until)
    low, high = np.searchsorted(made.plate, [code, code + 1])
    spot = made.spot[low:high]
    out = []
    for s in np.unique(spot).tolist():
        rows = low + np.flatnonzero(spot == s)
        count = int(made.repeat[rows].sum())
        if count < 2:
            continue
        table = circling(passages, np.array([s]), until)
        me = table.filter(pl.col("_code") == code).row(0, named=True)
        reader = passages.spots["reader"][s]
        lon, lat = (float(v[s]) for v in positions(passages.spots))
        text = f"passed {reader} again within 90 minutes, on {several(me['days'], 'day')}" + (
            "; reads like a fleet vehicle, which circles by trade" if me["fleet"] else ""
        )
        others = table.filter(pl.col("_code") != code)
        out.append(
            row(
                "repeat",
                text,
                count,
                me["passes"],
                me["expected"] / me["passes"],
                me["p"],
                int((others["p"] <= me["p"]).sum()),
                len(others),
                readers=[reader],
                place=(lon, lat) if np.isfinite(lon) else None,
                evidence=ids(passages, made.at[rows[made.repeat[rows]]]),
            )
        )
    return sorted(out, key=lambda r: (r["p"], r["finding"]))[:5]


def circling(passages: Passages, spots: Ints, until: int | None) -> pl.DataFrame:
    """Every plate read at some spots: passes, repeats, the number expected and the chance of so many.

    Expected is passes times the plate's own share of repeats (this place left out, drawn to plates with as many passes and hours a day by the weight of 20
    passes), times what the hour of the day, and this place with everybody else, makes of it.
    """
    made = _days.passes(passages, until)
    n = len(passages.plates)
    here = np.isin(made.spot, spots)
    plate, repeat, hour = made.plate[here], made.repeat[here], made.hour[here]
    total, away = np.bincount(made.plate, minlength=n), np.bincount(made.plate[~here], minlength=n)
    kind = _class_chance(made, total, n)
    elsewhere = np.bincount(made.plate[~here], weights=made.repeat[~here], minlength=n)
    own = (elsewhere + 20 * kind) / (away + 20)
    k, x = np.bincount(plate, minlength=n), np.bincount(plate, weights=repeat, minlength=n).astype(np.int64)
    e = np.bincount(plate, weights=np.minimum(own[plate] * made.hourly[hour], 0.95), minlength=n)
    place = (x.sum() - x + 5) / (e.sum() - e + 5)
    some = np.flatnonzero(k > 0)
    chance = np.minimum(e[some] * place[some] / k[some], 0.95)
    p = np.ones(len(some))
    twice = x[some] >= 2
    p[twice] = _days.beta_binomial_tail(x[some][twice], k[some][twice], chance[twice], made.spread)
    day = (passages.local_at[made.at[here]] - _days.DAWN) // 86_400
    days = np.bincount(np.unique(plate[repeat] * 1_000_000 + day[repeat]) // 1_000_000, minlength=n)
    return pl.DataFrame(
        {
            "plate": passages.plates.gather(some),
            "passes": k[some],
            "repeats": x[some],
            "days": days[some],
            "expected": chance * k[some],
            "p": p,
            "passes_per_day": made.per_day[some],
            "hours_per_day": made.hours[some],
            "fleet": made.fleet[some],
            "_code": some,
        }
    )


def _class_chance(made: _days.Passes, total: Ints, n: int) -> Floats:
    """The share of repeats among plates like each (class of passes and hours a day), drawn to all by the weight of 50 passes."""
    every = (made.repeat.sum() + 0.5) / (len(made.repeat) + 1)
    size = int(made.klass.max()) + 1 if n else 1
    mine = np.bincount(made.plate, weights=made.repeat, minlength=n)
    kind = (np.bincount(made.klass, weights=mine, minlength=size) + 50 * every) / (np.bincount(made.klass, weights=total, minlength=size) + 50)
    out: Floats = kind[made.klass]
    return out


def visits(passages: Passages, here: Ints, up: Ints, when: Ints, since: Ints, new: Any, own: Ints, length: int) -> pl.DataFrame:
    """A row each of a plate's visits ``own`` among all plates' visits (day ``when``, days ``since`` the one before, -1 for none; whether ``new``)."""
    on = _days.day_of(passages, here)
    rows = [
        {
            "day": pl.Series([int(when[i])], dtype=pl.Int32).cast(pl.Date)[0],
            "new": bool(new[i]),
            "days_before": None if since[i] < 0 else int(since[i]),
            "up_days": int(((up < when[i]) & (up >= when[i] - length)).sum()),
            "plates": int((when == when[i]).sum()),
            "new_plates": int((new & (when == when[i])).sum()),
            "evidence": ids(passages, here[on == when[i]]),
        }
        for i in own.tolist()
    ]
    numbers = dict.fromkeys(("days_before", "up_days", "plates", "new_plates"), pl.Int64())
    return pl.DataFrame(rows, schema={"day": pl.Date(), "new": pl.Boolean(), **numbers, "evidence": pl.List(pl.String())})

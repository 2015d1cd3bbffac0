"""Where does this plate come to rest and when is it about; is it new here, does it circle, has it stopped being seen?

All four questions are of the pattern of life of a plate and are asked only for a case. What a single plate does is held against all plates read: a bus is
at the same readers every day, a delivery van circles by trade, and most plates are new at most readers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, counts, finite
from workbench.geo import Ints
from workbench.layers import Layer, Points
from workbench.models.plates import _days, _life, prepare
from workbench.models.plates._habits import adjusted, share_interval, span_of
from workbench.models.plates._passages import Passages
from workbench.models.window import Moment, Span, span
from workbench.models.wording import rounded, several
from workbench.results import Basis, Ranking, origin_of, permitted, recorded

SOURCE = (
    "Wilson, JASA 22, 1927 (intervals of shares); Skellam, JRSS B 10, 1948, 257-261 (beta-binomial); Benjamini and Hochberg, JRSS B 57, 1995; "
    "first and last reads of days as anchors after Ahas et al., Journal of Urban Technology 17, 2010, doi:10.1080/10630731003597306"
)
_READ = "A read is of a plate, not of a driver; where no reader stands nothing is known."


@recorded
def pattern(reads: pl.DataFrame | Passages, plate: str, *, case_number: str, asof: Moment | None = None, zone: str = "UTC", metres: float = 1000) -> Ranking:
    """A plate's anchor places, usual hours, repeat passes and new places.

    Args:
        reads: the reads table of all plates, or what ``plates.prepare`` made of it; the others are the base rate.
        plate: registration in any spelling.
        case_number: the case for which it is asked.
        asof: only reads strictly before.
        zone: zone of days and hours (of prepared reads: the one they were prepared with).
        metres: readers so near to one another are one place.

    Returns: a Ranking; table as ``_life.FOUND``: kind ("anchor", "hour", "repeat", "first time"), finding, readers, lon, lat, count of ``of`` (days, weeks or
    passes), share with its 95 % interval low to high, expected (the share chance gives), p, as_many of ``others`` other plates that show as much, evidence.

    Raises:
        CannotTell: no reads (before asof), or under 10 reads or 5 days of this plate.
        BadInput: no case number, no plate, columns missing. AccessRefused: the workspace's gate says no.

    Cost: one pass over the reads at the first question (about 2 s for 10 M), then well under a second.
    """
    passages = _ready(reads, zone)
    wanted, mine, until = _days.asked(passages, plate, case_number, asof)
    finite(metres=metres)
    if not 50 <= metres <= 20_000:
        raise BadInput(f"metres={metres!r} does not do; give 50 to 20,000 metres, e.g. 1000.")
    permitted(reads, deed="pattern of life", plate=wanted, case_number=case_number)
    _days.enough(wanted, passages, mine, 10, 5)
    code = int(passages.code(wanted) or 0)
    rows = [
        *_life.anchors(passages, mine, code, until, metres),
        *_life.hours(passages, mine, code, until),
        *_life.repeats(passages, code, until),
        *_life.fresh(passages, mine, until),
    ]
    table = pl.DataFrame(rows, schema=_life.FOUND)
    notes = (
        "An anchor is where readers see a plate first or last; the place where it stands lies somewhere about them.",
        "Hours are compared with all vehicles' hours; twelve at most are shown, so some p of the size of 1 in 168 come by chance.",
    )
    basis = _basis(
        passages,
        until,
        "first and last reads of days, hours of the week, repeat passes and new readers, against all plates",
        len(mine),
        {"plate": wanted, "case_number": case_number, "zone": passages.zone, "metres": metres},
        notes,
    )
    return Ranking(headline=_pattern_said(wanted, passages, mine, table), table=table, layers=_layers(table), basis=basis, base=origin_of(passages).base)


def _pattern_said(plate: str, passages: Passages, mine: Ints, table: pl.DataFrame) -> str:
    days = len(np.unique(_days.day_of(passages, mine)))
    text = f"{plate} was read {several(len(mine), 'time')} on {several(days, 'day')}"
    anchors = table.filter((pl.col("kind") == "anchor") & pl.col("as_many").is_not_null())
    if anchors.is_empty():
        text += "; no place is its first or last on three days or more, so no anchor can be told"
    else:
        a = anchors.row(0, named=True)
        text += (
            f"; on {a['count']} of {a['of']} days with several reads ({100 * a['low']:.0f} to {100 * a['high']:.0f} %) the first or last was near "
            f"{a['readers'][0]} (chance: {100 * a['expected']:.0f} %), as it is for {a['as_many']:,} of {a['others']:,} other plates"
        )
        text += ", no more than its reads there alone give" if a["p"] is not None and a["p"] > 0.05 else ""
    hours = table.filter((pl.col("kind") == "hour") & (pl.col("p") <= 0.05 / 168))
    if len(hours):
        text += f"; most regular {', '.join(hours['finding'].head(3).to_list())}"
    tried = len(np.unique(passages.spot[mine]))  # one test a reader, as one an hour of the week above
    circling = table.filter((pl.col("kind") == "repeat") & (pl.col("p") <= 0.05 / tried))
    if len(circling):
        r = circling.row(0, named=True)
        text += f"; {r['finding']} ({r['count']} of {r['of']} passes, p {rounded(r['p'])})"
    return text + "."


@recorded
def first_time(
    reads: pl.DataFrame | Passages,
    plate: str,
    *,
    case_number: str,
    reader: str | None = None,
    lon: float | None = None,
    lat: float | None = None,
    metres: float = 300,
    history: Span = "28d",
    asof: Moment | None = None,
    zone: str = "UTC",
) -> Ranking:
    """Was this plate new here when it was last read here, and how often is a plate new here?

    Args:
        reader, or lon and lat with metres: the place.
        history: how long before nothing of it must have been read here for it to be new; shortened to what the reads reach back.
        others as in ``pattern``.

    Returns: a Ranking; table: day, new, days_before (since its visit before, null for none), up_days (days of the history on which anything was read here),
    plates (read here that day), new_plates (of these, new by the same rule), evidence. The latest day first.

    Raises:
        CannotTell: no reads, the plate was never read here, or the reads reach back under 3 days before. BadInput: see ``pattern``; no such place.
    """
    passages = _ready(reads, zone)
    wanted, mine, until = _days.asked(passages, plate, case_number, asof)
    reach = max(int(span(history, "history").total_seconds() // 86_400), 1)
    spots, where = _days.place(passages, reader, lon, lat, metres)
    permitted(reads, deed="pattern of life", plate=wanted, case_number=case_number)
    rows = _days.at_spots(passages, spots, until)
    here = mine[np.isin(passages.spot[mine], spots)]
    day = _days.day_of(passages, rows)
    if not len(here):
        raise CannotTell(
            f"{wanted} was not read {where} ({several(len(np.unique(day)), 'day')} with reads there), so it cannot be said whether it was new there. "
            "That it was not read does not mean that it was not there."
        )
    visit = np.unique(passages.plate[rows].astype(np.int64) * 1_000_000 + day)
    who, when = visit // 1_000_000, visit % 1_000_000
    since = np.where(np.concatenate([[False], who[1:] == who[:-1]]), np.concatenate([[0], np.diff(when)]), -1)
    start, last = int(day.min()), int(_days.day_of(passages, here).max())
    length = min(reach, last - start)
    if length < 3:
        raise CannotTell(
            f"The reads {where} reach back {several(last - start, 'day')} before {wanted} was last read there; at least 3 are needed to call it new."
        )
    new = (since < 0) | (since > length)
    told = when >= start + length
    code = int(passages.code(wanted) or 0)
    own = np.flatnonzero((who == code) & told)[::-1]
    table = _life.visits(passages, here, np.unique(day), when, since, new, own, length)
    others = told & (who != code)
    k, n = int((new & others).sum()), int(others.sum())
    basis = _basis(
        passages,
        until,
        "days since the plate's visit before, against all plates' visits",
        len(rows),
        {"plate": wanted, "case_number": case_number, "place": where, "history": f"{length} d", "new visits of others": k, "visits of others": n},
        ("Days on which nothing was read here (reader down) do not count as known absence: see up_days.",),
    )
    return Ranking(
        headline=_new_said(wanted, where, table, length, k, n), table=table, layers=_spot_layer(passages, spots), basis=basis, base=origin_of(passages).base
    )


def _new_said(plate: str, where: str, table: pl.DataFrame, length: int, k: int, n: int) -> str:
    row = table.row(0, named=True)
    low, high = share_interval(k, n)
    what = "was new" if row["new"] else f"was not new: it had been there {several(row['days_before'], 'day')} before"
    base = (
        f"of {several(n, 'visit')} by other plates {100 * k / n:.0f} % ({100 * low:.0f} to {100 * high:.0f}) were by plates as new"
        if n
        else "there are no visits of other plates to compare with"
    )
    return (
        f"{plate}, read {where} on {row['day']:%Y-%m-%d}, {what} (nothing of it in {several(length, 'day')}, with reads on {row['up_days']} of them); {base}."
        if row["new"]
        else f"{plate}, read {where} on {row['day']:%Y-%m-%d}, {what}; {base}."
    )


@recorded
def absence(reads: pl.DataFrame | Passages, plate: str, *, case_number: str, asof: Moment | None = None, zone: str = "UTC") -> Ranking:
    """Has a plate that was read regularly stopped being seen, and how likely is a gap as long?

    The chance of the gap is beta-binomial, from the share of days on which it was read up to its last read, working days and weekends apart; only days count on
    which the readers that see it were up (weighed by its reads at each, at least half).

    Returns: a Ranking of one row a kind of day: kind, seen, days (up, to the last read), gap_days (up, since), chance; and of plates as regular: the share
    unseen as long.

    Raises:
        CannotTell: see ``pattern``; or the reads end less than one up day after its last read. BadInput: see ``pattern``.
    """
    passages = _ready(reads, zone)
    wanted, mine, until = _days.asked(passages, plate, case_number, asof)
    permitted(reads, deed="pattern of life", plate=wanted, case_number=case_number)
    _days.enough(wanted, passages, mine, 10, 5)
    up = _up_days(passages, mine, until)
    seen = np.unique(_days.day_of(passages, mine))
    last = int(seen[-1])
    before, after = up[(up >= seen[0]) & (up <= last)], up[up > last]
    if not len(after):
        raise CannotTell(f"{wanted} was last read on {_date(last)}, and no day with its readers up comes after; nothing can be told of its absence.")
    rows, chance, every = [], 1.0, np.union1d(before, seen)
    for kind, weekend in (("working days", False), ("weekends", True)):
        is_kind = [((v + 3) % 7 >= 5) == weekend for v in (seen, every, after)]
        d, n, gap = (int(v.sum()) for v in is_kind)
        p = float(np.exp(np.log1p(-(d + 0.5) / (n + 1 + np.arange(gap))).sum()))
        chance *= p
        rows.append({"kind": kind, "seen": d, "days": n, "gap_days": gap, "chance": p})
    k, others = _unseen(passages, until, len(seen) / len(every), int(seen[0]), last, int(passages.code(wanted) or 0))
    rows.append({"kind": "other plates as regular, unseen as long", "seen": k, "days": others, "gap_days": len(after), "chance": (k + 1) / (others + 1)})
    table = pl.DataFrame(rows, schema={"kind": pl.String, "seen": pl.Int64, "days": pl.Int64, "gap_days": pl.Int64, "chance": pl.Float64})
    base = (
        f"of {several(others, 'other plate')} at least as regular up to then, {k} {'was' if k == 1 else 'were'} unseen since too"
        if others
        else "no other plate was as regular, so there is none to compare with"
    )
    headline = (
        f"{wanted}, read on {len(seen)} of {len(every)} days with its readers up, was last read on {_date(last)} and not on the "
        f"{several(len(after), 'such day')} "
        f"since: by its own rate the chance of that is {chance:.2g}; {base}."
    )
    basis = _basis(
        passages,
        until,
        "beta-binomial chance of the gap by kind of day",
        len(mine),
        {"plate": wanted, "case_number": case_number, "chance": chance},
        ("Holidays, illness and a sold or repaired car look alike; days of one plate hang together, so that true chances of a long gap are larger.",),
    )
    return Ranking(headline=headline, table=table, layers=(), basis=basis, base=origin_of(passages).base)


def _up_days(passages: Passages, mine: Ints, until: int | None) -> Ints:
    """Days on which the spots with at least half of the plate's reads read anything."""
    spots, count = np.unique(passages.spot[mine], return_counts=True)
    rows = _days.at_spots(passages, spots.astype(np.int64), until)
    pairs = np.unique(_days.day_of(passages, rows) * 1_000_000 + passages.spot[rows])
    weight = count[np.searchsorted(spots, pairs % 1_000_000)]
    days, where = np.unique(pairs // 1_000_000, return_inverse=True)
    return days[np.bincount(where, weights=weight) >= count.sum() / 2]


def _unseen(passages: Passages, until: int | None, share: float, first: int, last: int, own: int) -> tuple[int, int]:
    """(unseen after ``last``, all) of the plates but ``own`` read on at least ``share`` of the days from first to last."""
    every = _days.daily(passages, until)
    n = len(passages.plates)
    within = (every.day >= first) & (every.day <= last)
    days = np.bincount(every.plate[within], minlength=n)
    whole = len(np.unique(every.day[within]))
    regular = days >= max(5, np.floor(share * whole))
    regular[own] = False
    latest = np.zeros(n, dtype=np.int64)
    np.maximum.at(latest, every.plate, every.day)
    unseen = regular & (latest <= last)
    return int(unseen.sum()), int(regular.sum())


@recorded
def loitering(
    reads: pl.DataFrame | Passages,
    *,
    case_number: str,
    reader: str | None = None,
    lon: float | None = None,
    lat: float | None = None,
    metres: float = 300,
    asof: Moment | None = None,
    zone: str = "UTC",
    most: int = 100,
) -> Ranking:
    """Which plates pass one place again and again, more than their own habit and that of plates like them gives?

    Args:
        reader, or lon and lat with metres: the place. most: rows shown at most. Others as in ``pattern``.

    Returns: a Ranking of plates with at least 2 repeats (again at the same reader within 90 minutes): rank, plate, passes, repeats, days (with repeats),
    expected, p, by_chance (plates as surprising that chance gives), q (over all plates read here), passes_per_day, hours_per_day, fleet (far more of both
    than others: taxis, buses, deliveries, police), evidence (read ids of the repeats).

    Raises:
        CannotTell: no reads (before asof), or under 20 plates read here. BadInput: no case number, no such place.
    """
    passages = _ready(reads, zone)
    _days.cased(case_number)
    until = _days.some(passages, asof, "of who circles")
    counts(most=most)
    if most < 1:
        raise BadInput(f"most={most!r} does not do; give at least 1 row.")
    spots, where = _days.place(passages, reader, lon, lat, metres)
    permitted(reads, deed="pattern of life", place=where, case_number=case_number)
    every = _life.circling(passages, spots, until)
    if len(every) < 20:
        raise CannotTell(f"{several(len(every), 'plate')} were read {where}; at least 20 are needed to say what is usual there.")
    table = every.filter(pl.col("repeats") >= 2).sort("p", "_code").with_row_index("rank", offset=1)
    table = table.with_columns(
        pl.col("rank").cast(pl.Int64), by_chance=pl.col("p") * len(every), q=pl.Series(adjusted(table["p"].to_numpy(), len(every)), dtype=pl.Float64)
    )
    shown = _repeat_evidence(passages, spots, until, table.head(most))
    clear = table.filter((pl.col("q") <= 0.05) & ~pl.col("fleet"))
    top = ""
    if len(table):
        first = (clear if len(clear) else table).row(0, named=True)
        top = (
            f" {first['plate']} passed again {several(first['repeats'], 'time')} on {several(first['days'], 'day')} ({first['expected']:.2g} expected; "
            "chance gives "
            f"{first['by_chance']:.2g} plates as surprising, q = {first['q']:.2g})."
        )
    headline = (
        f"{several(len(clear), 'plate')} of {len(every):,} read {where} circled more than habit gives, at q = 0.05 and fleet vehicles apart; "
        f"{several(len(table), 'plate')} passed again within 90 minutes at least twice.{top}"
    )
    basis = _basis(
        passages,
        until,
        "repeat passes, beta-binomial against own habit elsewhere, plates alike, hour and place",
        int(every["passes"].sum()),
        {"case_number": case_number, "place": where, "plates here": len(every), "correlation of repeats": _days.passes(passages, until).spread},
        ("Living, working or delivering here explains circling as well as watching does.",),
    )
    return Ranking(headline=headline, table=shown, layers=_spot_layer(passages, spots), basis=basis, base=origin_of(passages).base)


def _repeat_evidence(passages: Passages, spots: Ints, until: int | None, table: pl.DataFrame) -> pl.DataFrame:
    made = _days.passes(passages, until)
    here = np.flatnonzero(np.isin(made.spot, spots) & np.isin(made.plate, table["_code"].to_numpy()) & made.repeat)
    rows = pl.DataFrame(
        {"_code": made.plate[here], "evidence": passages.frame["read_id"].gather(passages.row[made.at[here]]), "_t": passages.at[made.at[here]]}
    )
    lists = rows.sort("_t", "evidence").group_by("_code").agg(pl.col("evidence").tail(50))
    order = ["rank", "plate", "passes", "repeats", "days", "expected", "p", "by_chance", "q", "passes_per_day", "hours_per_day", "fleet", "evidence"]
    return table.join(lists, on="_code", how="left", maintain_order="left").select(order)


def _ready(reads: pl.DataFrame | Passages, zone: str) -> Passages:
    passages = reads if isinstance(reads, Passages) else prepare(reads, zone=zone)
    schema.require(passages.frame, "read_id", what="The reads frame")
    return passages


def _date(day: int) -> Any:
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def _basis(passages: Passages, until: int | None, method: str, used: int, parameters: dict[str, Any], notes: tuple[str, ...]) -> Basis:
    first, last = span_of(passages)
    basis = Basis.of(
        passages,
        method=method,
        source=SOURCE,
        used=used,
        parameters=parameters,
        asof=None if until is None else datetime.fromtimestamp(until, UTC),
        notes=(*notes, _READ),
    )
    return replace(basis, span=(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)))


def _layers(table: pl.DataFrame) -> tuple[Layer, ...]:
    placed = table.filter(pl.col("lon").is_not_null()).unique(["kind", "lon", "lat"], keep="first", maintain_order=True).with_row_index("_n")
    if placed.is_empty():
        return ()
    tips = tuple(f"{k}: {f}" for k, f in placed.select("kind", "finding").iter_rows())
    return (Points("Places of the plate", placed["lon"].to_numpy(), placed["lat"].to_numpy(), tuple(f"finding:{n}" for n in placed["_n"]), tips, kind="read"),)


def _spot_layer(passages: Passages, spots: Ints) -> tuple[Layer, ...]:
    found = passages.spots[spots].filter(pl.col("lon").is_not_null())
    names = found["reader"].to_list()
    return (Points("Readers here", found["lon"].to_numpy(), found["lat"].to_numpy(), tuple(f"reader:{r}" for r in names), tuple(names), kind="read"),)

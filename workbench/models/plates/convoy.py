"""Who travels with whom, passing the same spots within a minute more often than their habits would give by chance?

Raw counts of co-reads find neighbours, bus lines and rush hours. Here each pair is held against its own expectation: what the two plates' habits (spot and
time of day) would give were their days independent. p comes from a city in which every plate's days are dealt out anew, q is the false discovery rate.
Method, formulas and what it cannot say: docs/convoys.md and ``_convoy``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, CannotTell, finite
from workbench.geo import Plane, positions
from workbench.models.plates import _convoy_table as shown
from workbench.models.plates._convoy import Habits, Null, Pairs, Rules, discoveries
from workbench.models.plates._habits import named
from workbench.models.plates._passages import Passages
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, origin_of, permitted, recorded

_SOURCE = ("T. A. Knijnenburg et al., Bioinformatics 25 (2009) i161, doi:10.1093/bioinformatics/btp211; "
           "Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289")
_LEVEL = 0.1  # q up to which the sentence calls a pair found
_MOST_PLATES = 2000  # plates around scenes that are looked at


@recorded
def companions(reads: pl.DataFrame | Passages, plate: str, *, within: Span = "60s", asof: Moment | None = None, zone: str = "UTC", least: int = 3,
               spots: int = 3, days: int = 2, habit: Span = "15m", seed: int = 1, most: int = 50) -> Ranking:
    """Who passed the same spots as one plate within the time, against chance.

    Args:
        reads: the reads table, all plates of the time and place, or what ``plates.prepare`` made of it (then ``zone`` is that one's).
        plate: registration in any spelling.
        within: most time between two reads of one pass.
        asof: only reads strictly before.
        zone: zone of days and hours.
        least, spots, days: co-reads (a spot counts once a day), spots and days that a companion must have at least; one spot less does on more than
            twice as many days.
        habit: time of day within which habits of different days meet.
        seed: of the days dealt out anew.
        most: rows of the table at most, companions and habitual ones apart.

    Returns: a Ranking, companions first, then habitual ones (car pools, buses, fleets), each by p. ``table``: plate, other, together, expected, ratio,
    p, q, days, spots, habitual, reason, co_reads, evidence (read ids of both).

    Raises:
        CannotTell: there are no reads, only one plate, under three days, or the plate was not read.
        BadInput: nothing is left of the plate in normal form, columns are missing, or an argument does not do.

    Cost: at first O(n log n) and a search of all pairs on days dealt out anew, kept with what was prepared; then O(reads of the plate and of its
    candidates), some milliseconds.
    """
    wanted = plates.normal(plate) if isinstance(plate, str) else ""
    if not wanted:
        raise BadInput(f"{plate!r} holds no letter or digit, so it is not a plate; write e.g. 'ABC 1234'.")
    rules = _rules(within, habit, least, spots, days)
    _whole(most, "most", 1)
    passages, habits, until = _habits(reads, zone, asof)
    p = passages.code(wanted)
    own = 0 if p is None else len(habits.of_plate(p))
    if p is None or not own:
        when = "" if until is None else f" before {local(until, passages.zone)}"
        raise CannotTell(f"{wanted} was not read{when} ({len(habits):,} reads, {several(habits.days, 'day')}), so nothing can be told of its companions. "
                         "Search for look-alikes, or load more reads.")
    pairs, co = shown.around_plate(habits, p, rules)
    null, rate = _null(habits, rules, seed)
    table = _table(habits, pairs, rules, null, rate, most=most, first=p, co=co)
    headline = shown.of_plate(table, wanted, own, rules, pairs, _LEVEL)
    notes = (*_notes(passages, null), "Habitual companions stand behind the others: they share places and hours whether they travel together or not.")
    return _ranking(habits, headline, table, until, rules, {"plate": wanted, "seed": seed, **_base(null, pairs, rate)}, notes, used=own)


@recorded
def around(reads: pl.DataFrame | Passages, scenes: pl.DataFrame, *, near: float = 400.0, before: Span = "30m", after: Span = "30m",
           within: Span = "60s", asof: Moment | None = None, zone: str = "UTC", least: int = 3, spots: int = 3, days: int = 2, habit: Span = "15m",
           seed: int = 1, most: int = 500) -> Ranking:
    """Companions of the plates that were read around a set of scenes.

    Args:
        reads: as in ``companions``; likewise within to seed.
        scenes: incidents: incident_id, lon, lat, started_at, ended_at (null: the same as started_at).
        near: metres from a scene.
        before, after: time before a scene's start and after its end.
        most: rows of the table at most, companions and habitual ones apart.

    Returns: a Ranking as of ``companions`` with ``scenes`` (the incident ids) behind ``other``; ``plate`` was read around these scenes.

    Raises:
        CannotTell: no reads, no scene with place and time, no plate read around them, or over 2,000 plates (the scenes are too wide).
        BadInput: columns are missing, or an argument does not do.

    Cost: O(reads) for the scenes, then a companions question for each plate.
    """
    rules = _rules(within, habit, least, spots, days)
    passages, habits, until = _habits(reads, zone, asof)
    _whole(most, "most", 1)
    finite(near=near)
    if not 0 < near <= 20_000:
        raise BadInput(f"near={near!r} m does not do; give up to 20,000 metres, e.g. 400.")
    seen, placed = _at_scenes(habits, scenes, near, span(before, "before").total_seconds(), span(after, "after").total_seconds())
    if not seen:
        raise CannotTell(f"No plate was read within {near:g} m of {several(placed, 'scene')} at their times; use a larger near, before or after.")
    if len(seen) > _MOST_PLATES:
        raise CannotTell(f"{len(seen):,} plates were read around {several(placed, 'scene')}, so this would ask for everybody; use fewer scenes, less time "
                         "or a smaller near.")
    null, rate = _null(habits, rules, seed)
    found, first = _of_plates(habits, sorted(seen), rules)
    table = _table(habits, found, rules, null, rate, most=most, first=first)
    names = {str(passages.plates[q]): sorted(ids) for q, ids in seen.items()}
    table = table.insert_column(2, pl.Series("scenes", [names[x] for x in table["plate"]], dtype=pl.List(pl.String)))
    head = f"{several(len(seen), 'plate was', 'plates were')} read around {several(placed, 'scene')}; "
    headline = head + shown.of_all(table, found, null, _LEVEL)
    detail = {"near": f"{near:g} m", "before": said(span(before)), "after": said(span(after)), "scenes": placed, "plates": len(seen), "seed": seed,
              **_base(null, found, rate)}
    return _ranking(habits, headline, table, until, rules, detail, _notes(passages, null), frames=(scenes,))


@recorded
def pairs(reads: pl.DataFrame | Passages, *, within: Span = "60s", asof: Moment | None = None, zone: str = "UTC", least: int = 3, spots: int = 3, days: int = 2,
          habit: Span = "15m", seed: int = 1, most: int = 2000) -> Ranking:
    """All pairs of plates that travel together more than chance; asked of few only, since it asks about everybody.

    Args: as of ``companions``; ``most`` as of ``around``.

    Returns: a Ranking as of ``companions``, companions first, then habitual ones, each ``most`` at most.

    Raises:
        AccessRefused: the role may not ask about all pairs. CannotTell: no reads, one plate, under three days. BadInput: see ``companions``.

    Cost: O(co-reads log co-reads); ten million reads: about a second for the candidates, some seconds for what chance would give.
    """
    rules = _rules(within, habit, least, spots, days)
    _whole(most, "most", 1)
    permitted(reads, deed="all pairs", within=said(span(within)))
    passages, habits, until = _habits(reads, zone, asof)
    found = habits.candidates(rules)
    null, rate = _null(habits, rules, seed)
    table = _table(habits, found, rules, null, rate, most=most)
    headline = shown.of_all(table, found, null, _LEVEL)
    return _ranking(habits, headline, table, until, rules, {"seed": seed, **_base(null, found, rate)}, _notes(passages, null))


def _of_plates(habits: Habits, codes: list[int], rules: Rules) -> tuple[Pairs, Any]:
    """The candidates of several plates, each pair once, and which of its plates was asked about."""
    found = [shown.around_plate(habits, p, rules)[0] for p in codes]
    low, high, counts = (np.concatenate([getattr(f, name) for f in found]) for name in ("low", "high", "counts"))
    first = np.concatenate([np.full(len(f), p, dtype=np.uint32) for p, f in zip(codes, found, strict=True)])
    keep = np.unique((low.astype(np.uint64) << np.uint64(32)) | high, return_index=True)[1]
    return Pairs(low[keep], high[keep], counts[keep], sum(f.events for f in found)), first[keep]


def _rules(within: Span, habit: Span, least: int, spots: int, days: int) -> Rules:
    near, wide = span(within, "within").total_seconds(), span(habit, "habit").total_seconds()
    if near != int(near) or near > 1800:
        raise BadInput(f"within={within!r} does not do; give whole seconds up to 30 minutes, e.g. '60s'.")
    if wide != int(wide) or not 2 * near <= wide <= 4 * 3600:
        raise BadInput(f"habit={habit!r} does not do; give at least twice within ({near:g} s) and at most 4 hours, e.g. '15m'.")
    for name, value in (("least", least), ("spots", spots), ("days", days)):
        _whole(value, name, 1)
    return Rules(int(near), int(wide), least, spots, days)


def _whole(value: Any, name: str, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise BadInput(f"{name}={value!r} does not do; give a whole number of at least {low}.")


def _habits(reads: pl.DataFrame | Passages, zone: str, asof: Moment | None) -> tuple[Passages, Habits, datetime | None]:
    from workbench.models.plates import prepare

    passages = reads if isinstance(reads, Passages) else prepare(reads, zone=zone)
    until = None if asof is None else moment(asof)
    if not len(passages):
        raise CannotTell("There are no reads with plate, reader and time, so nothing can be told of companions; load reads.")
    before = None if until is None else int(np.floor(until.timestamp()))
    key = ("convoy habits", before)
    if key not in passages.kept:
        passages.kept[key] = Habits(passages, before)
    habits: Habits = passages.kept[key]
    when = "" if until is None else f" before {local(until, passages.zone)}"
    if not len(habits):
        raise CannotTell(f"There are no reads{when}, so nothing can be told of companions; load reads, or ask with a later asof.")
    if int(np.count_nonzero(np.diff(habits.first))) < 2:
        raise CannotTell(f"Only one plate was read{when}, so there is nobody to travel with; ask with all plates of the time and place.")
    if habits.days < 3:
        raise CannotTell(f"The reads{when} are of {several(habits.days, 'day')}; what habits alone would give is told by other days, and at least 3 are "
                         "needed.")
    return passages, habits, until


def _null(habits: Habits, rules: Rules, seed: int) -> tuple[Null, float]:
    _whole(seed, "seed", 0)
    if (rules, seed) not in habits.nulls:
        habits.nulls[rules, seed] = habits.null(rules, seed), habits.base(habits.events(rules))
    return habits.nulls[rules, seed]


def _table(habits: Habits, pairs: Pairs, rules: Rules, null: Null, rate: float, *, most: int, first: Any = None, co: Any = None) -> pl.DataFrame:
    expected = habits.expected(pairs.low, pairs.high, rules)
    score = habits.score(pairs, expected, rate)
    p = null.p(score)
    return shown.table(habits, pairs, rules, expected, score, p, discoveries(p), most=most, first=first, co=co)


def _at_scenes(habits: Habits, scenes: pl.DataFrame, near: float, before: float, after: float) -> tuple[dict[int, set[str]], int]:
    """Plates read within ``near`` metres of a scene and its time, with the scenes, and how many scenes have place and time."""
    schema.require(scenes, "incident_id", "lon", "lat", "started_at", "ended_at", what="The scenes frame")
    frame = schema.utc(scenes, ["started_at", "ended_at"]).with_columns(named(scenes["incident_id"]))
    lon, lat = positions(frame)
    frame = frame.filter(pl.Series(np.isfinite(lon) & np.isfinite(lat)) & pl.col("started_at").is_not_null())
    if frame.is_empty():
        raise CannotTell(f"None of {several(len(scenes), 'scene')} has a place and a time, so no plate can be named; give incidents with lon, lat and "
                         "started_at.")
    lon, lat = positions(frame)
    places = habits.passages.spots
    plane = Plane.local(float(np.median(lat)), float(np.median(lon)))
    x, y = plane.to_metres(lon, lat)
    sx, sy = plane.to_metres(*positions(places))
    out: dict[int, set[str]] = {}
    edges = np.searchsorted(habits.spot, np.arange(len(places) + 1))
    times = frame.select(pl.col("started_at").dt.epoch("s"), end=pl.coalesce("ended_at", "started_at").dt.epoch("s")).to_numpy()
    for k, incident in enumerate(frame["incident_id"].cast(pl.String).to_list()):
        for s in np.flatnonzero(np.hypot(sx - x[k], sy - y[k]) <= near):
            low, high = np.searchsorted(habits.at[edges[s] : edges[s + 1]], (times[k, 0] - before, max(times[k]) + after + 1)) + edges[s]
            for q in np.unique(habits.plate[low:high]).tolist():
                out.setdefault(q, set()).add(incident)
    return out, len(frame)


def _base(null: Null, pairs: Pairs, rate: float) -> dict[str, Any]:
    return {"candidates": len(pairs), "co-reads": pairs.events, "cities of days dealt out anew": null.cities, "candidates in each": round(null.mean, 1),
            "co-reads among a million pairs of reads": float(f"{rate * 1e6:.3g}")}


def _notes(passages: Passages, null: Null) -> tuple[str, ...]:
    out = ["Travelling together is no offence: families, colleagues and neighbours do. Every row is something to check, the pictures of its reads first.",
           "Chance is each plate's own places and hours with independent days; a stream of traffic released by a signal, a road closed for a day or an event "
           "that both went to is not in it."]
    if passages.placeless:
        out.append(f"{passages.placeless:,} reads without plate, reader, time or (of moving readers) place were left out.")
    if not len(null.scores):
        out.append("In no city of days dealt out anew was there any candidate, so p is the smallest that so many can show.")
    return tuple(out)


def _ranking(habits: Habits, headline: str, table: pl.DataFrame, until: datetime | None, rules: Rules, detail: dict[str, Any], notes: tuple[str, ...], *,
             used: int | None = None, frames: tuple[pl.DataFrame, ...] = ()) -> Ranking:
    passages = habits.passages
    parameters = {"within": f"{rules.within} s", "habit": f"{rules.wide} s", "least": rules.reads, "spots": rules.spots, "days": rules.days,
                  "zone": passages.zone, **detail}
    basis = Basis.of(passages, *frames, method="co-reads against each plate's habits with independent days, p by days dealt out anew", source=_SOURCE,
                     used=len(passages) if used is None else used, asof=until, parameters=parameters, notes=notes)
    if "span" not in passages.kept:
        frame = passages.frame
        passages.kept["span"] = (frame["read_at"].min(), frame["read_at"].max())
    basis = replace(basis, span=passages.kept["span"])
    return Ranking(headline=headline, table=table, layers=shown.layers(habits, table, rules.within), basis=basis, base=origin_of(passages).base)

"""Which reads speak against this: that a plate was at these scenes, travels with that plate, or is anchored here?

A straight line is the shortest way there is, so a plate read elsewhere too near in time cannot have been at a scene. Nothing read by readers that were up
speaks against it too, by how often they miss what is known to be about. What cannot be told, because readers were down or nothing says how often they miss, is
a row of its own. The search is for what speaks against, not for; that little does is no proof.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, finite
from workbench.geo import Ints, positions
from workbench.layers import Layer, Points
from workbench.models.plates import _against, _days, prepare
from workbench.models.plates._against import Limits
from workbench.models.plates._habits import Scenes, named, placed, span_of
from workbench.models.plates._passages import Passages
from workbench.models.window import Moment
from workbench.models.wording import local, several
from workbench.plates import normal
from workbench.results import Basis, Ranking, origin_of, permitted, recorded

SOURCE = (
    "Heuer, Psychology of Intelligence Analysis, 1999, chapter 8 (evidence against each hypothesis); "
    "chance of being read from readers that saw the same vehicles: Chapman, University of California Publications in Statistics 1, 1951, 131-160"
)
#: about (scene, night or pass), what speaks, weight (share of the span ruled out, or chance that it would have been read; null: cannot be told), text, when,
#: reader, kmh (that the straight line would need), read ids.
AGAINST = pl.Schema(
    {
        "about": pl.String(),
        "what": pl.String(),
        "weight": pl.Float64(),
        "text": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "reader": pl.String(),
        "kmh": pl.Float64(),
        "evidence": pl.List(pl.String()),
    }
)


@recorded
def against(
    reads: pl.DataFrame | Passages,
    plate: str,
    scenes: pl.DataFrame | None = None,
    *,
    companion: str = "",
    lon: float | None = None,
    lat: float | None = None,
    case_number: str = "",
    metres: float = 800,
    minutes: float = 30,
    fastest: float = 120,
    asof: Moment | None = None,
    zone: str = "UTC",
) -> Ranking:
    """The reads that speak against one hypothesis about a plate, the weightiest first.

    Args:
        reads: the reads table of all plates, or what ``plates.prepare`` made of it.
        scenes: the plate was at these (incident_id, lon, lat, started_at and perhaps ended_at: it happened at one moment of the span).
        companion: or it travels with this plate.
        lon, lat: or it is anchored here: there between midnight and five; asked only for a case (``case_number``), as a pattern of life.
        metres: as near as this is there. minutes: as near in time as this to a scene, or to the other plate's pass, readers would have to see it.
        fastest: km/h above which the straight line between two places cannot have been driven.
        asof: only reads strictly before. zone: of nights and of times in sentences (of prepared reads: their own).

    Returns: a Ranking; table as ``AGAINST``: about, what ("ruled out", "not read", "apart", "alone", "cannot tell"), weight 0 to 1, text, at,
    reader, kmh, evidence.

    Raises:
        CannotTell: no reads (before asof), the plate or the companion was never read, or no scene has place and time.
        BadInput: no or several hypotheses, no plate, no case number where one is needed, numbers that do not do. AccessRefused: the gate says no.

    Cost: the reads of the plate, and those of all plates in the hours about the scenes for the base rate.
    """
    wanted = _hypothesis(plate, scenes, companion, lon, lat)
    finite(metres=metres, minutes=minutes, fastest=fastest)
    if not (1 <= metres <= 20_000 and 0 < minutes <= 720 and 10 <= fastest <= 400):
        raise BadInput(f"metres={metres!r}, minutes={minutes!r}, fastest={fastest!r} do not do; give e.g. 800 metres, 30 minutes, 120 km/h.")
    if lon is not None or lat is not None:
        _days.cased(case_number)
        _days.checked_place(lon, lat, metres)
        permitted(reads, deed="pattern of life", plate=wanted, case_number=case_number)
    passages = reads if isinstance(reads, Passages) else prepare(reads, zone=zone)
    schema.require(passages.frame, "read_id", what="The reads frame")
    until = _days.some(passages, asof, f"against anything about {wanted}")
    mine = _days.reads_of(passages, wanted, until)
    _read(wanted, passages, mine)
    limits = Limits(metres, minutes * 60, fastest / 3.6, until)
    if companion:
        other = normal(companion)
        theirs = _days.reads_of(passages, other, until)
        _read(other, passages, theirs)
        rows, headline, notes = _companion(passages, wanted, mine, other, theirs, limits)
    else:
        every = placed(passages, _timed(scenes), metres) if scenes is not None else None
        rows, headline, notes = (
            _scenes(passages, wanted, mine, _timed(scenes), every, limits)
            if scenes is not None and every is not None
            else _anchor(passages, wanted, mine, float(lon or 0.0), float(lat or 0.0), limits)
        )
    table = pl.DataFrame(rows, schema=AGAINST).sort("weight", "about", "at", descending=[True, False, False], nulls_last=True, maintain_order=True)
    asked = {"plate": wanted, "companion": companion, "lon": lon, "lat": lat, "case_number": case_number, "metres": metres, "minutes": minutes,
             "fastest": f"{fastest:g} km/h", "zone": passages.zone}
    basis = _basis(passages, scenes, until, len(mine), asked, notes)
    return Ranking(headline=headline, table=table, layers=_layers(passages, table), basis=basis, base=origin_of(passages).base)


def _hypothesis(plate: str, scenes: pl.DataFrame | None, companion: str, lon: float | None, lat: float | None) -> str:
    """The plate in normal form, when there is just one hypothesis."""
    wanted = normal(plate)
    if not wanted:
        raise BadInput(f"{plate!r} holds no letter or digit, so it is not a plate; write e.g. 'ABC 1234'.")
    given = [n for n, g in (("scenes", scenes is not None), ("companion", bool(companion)), ("lon and lat", lon is not None or lat is not None)) if g]
    if len(given) != 1:
        raise BadInput(f"Give one hypothesis: scenes, companion, or lon and lat; given: {', '.join(given) or 'none'}.")
    return wanted


def _timed(scenes: pl.DataFrame) -> pl.DataFrame:
    schema.require(scenes, "incident_id", "lon", "lat", "started_at", what="The scenes frame")
    timed = schema.utc(scenes, [c for c in ("started_at", "ended_at") if c in scenes.columns])
    timed = timed.with_columns(named(timed["incident_id"]))
    return timed if "ended_at" in timed.columns else timed.with_columns(ended_at=pl.col("started_at"))


def _read(plate: str, passages: Passages, rows: Ints) -> None:
    if not len(rows):
        raise CannotTell(f"{plate} was never read, so no read can speak against it; that it was not read says little without knowing where readers stood.")


def _elsewhere(
    passages: Passages, about: str, where: str, mine: Ints, lon: float, lat: float, low: float, high: float, limits: Limits
) -> dict[str, Any] | None:
    """The row of a place and span that reads elsewhere rule out, in part or wholly."""
    at, far = passages.at[mine].astype(float), _against.far_from(passages, mine, lon, lat)
    share, tell = _against.ruled_out(at, far, low, high, limits.metres, limits.speed)
    if share <= 0:
        return None
    gap = np.maximum(np.maximum(low - at[tell], at[tell] - high), 0.0)
    i = int(np.argmin(gap / np.maximum(far[tell] - limits.metres, 1.0)))
    read, away, wait = tell[i], float(far[tell[i]]), float(gap[i])
    row = mine[read]
    reader = passages.spots["reader"][int(passages.spot[row])]
    kmh = None if wait <= 0 else max(away - limits.metres, 0.0) / wait * 3.6
    amount = "cannot have been" if share >= 1 - 1e-9 else f"cannot have been in {100 * share:.2g} % of the time"
    when = local(datetime.fromtimestamp(int(passages.at[row]), UTC), passages.zone)
    how = f"{wait / 60:.0f} minutes away in time" if wait > 0 else "within the time in question"
    text = f"{amount} {where}: read by {reader}, {away / 1000:.1f} km away, at {when} ({how})"
    return _against.row(
        about, "ruled out", share, text, int(passages.at[row]), reader, kmh, passages.frame["read_id"].gather(passages.row[mine[tell]]).to_list()
    )


def _scenes(passages: Passages, plate: str, mine: Ints, scenes: pl.DataFrame, near: Scenes, limits: Limits) -> tuple[list[dict[str, Any]], str, list[str]]:
    lon, lat = positions(scenes)
    there = pl.Series(np.isfinite(lon) & np.isfinite(lat), dtype=pl.Boolean)
    whole = scenes.filter(there & scenes["started_at"].is_not_null()).unique("incident_id", keep="first")
    if whole.is_empty():
        raise CannotTell("No scene has a position and a time, so no read can speak against having been there; add them.")
    rows, counts = [], {"ruled out": 0, "in part": 0, "not read": 0, "cannot tell": 0, "nothing": 0}
    numbers = {i: n for n, i in enumerate(near.frame["incident_id"].to_list())}
    base, least = _against.ruled_out_too(passages, whole, limits), 0  # scenes at which it is ruled out wholly or in part
    for about, lon, lat, start, end in whole.sort("started_at", "incident_id").select("incident_id", "lon", "lat", "started_at", "ended_at").iter_rows():
        low, high = start.timestamp(), max(end or start, start).timestamp()
        out = _elsewhere(passages, about, f"at scene {about}", mine, lon, lat, low, high, limits)
        spots = near.spot[near.scene == numbers[about]] if about in numbers else np.zeros(0, dtype=np.int64)
        seen = _unread(passages, plate, about, spots, mine, low, high, limits)
        if out is not None:
            rows.append(out)
            counts["ruled out"] += out["weight"] >= 1 - 1e-9
            least += 1
        if seen is not None and (out is None or out["weight"] < 1 - 1e-9):
            rows.append(seen)
            counts[seen["what"]] += 1
        elif out is not None:
            counts["in part"] += out["weight"] < 1 - 1e-9
        else:
            counts["nothing"] += 1
    chances = [r["weight"] for r in rows if r["what"] == "not read"]
    up = f" (they would have with a probability of {min(chances):.2f} to {max(chances):.2f})" if chances else ""
    share, plates = 100 * sum(hit / every for hit, every in base) / len(base), base[0][1]
    usual = (
        f" A plate taken at random from the {plates:,} read is ruled out by a read elsewhere, wholly or for a part of the time, at "
        f"{share:.{0 if share >= 9.95 or share == 0 else 1}f} % of these scenes; {plate} is at {least} of {len(whole)}."
    )
    told = {
        "ruled out": "it cannot have been (read elsewhere)",
        "in part": "it cannot have been for a part of the time (read elsewhere)",
        "not read": f"it was not read though readers there were up{up}",
        "cannot tell": "nothing can be told",
        "nothing": "nothing speaks against it",
    }
    said = ", ".join(f"at {'all' if counts[k] == len(whole) > 1 else counts[k]} {words}" for k, words in told.items() if counts[k])
    headline = f"Against {plate} at {several(len(whole), 'scene')}: {said or 'at none it can be ruled out wholly'}.{usual}"
    return rows, headline, list(near.notes)


def _unread(passages: Passages, plate: str, about: str, spots: Ints, mine: Ints, low: float, high: float, limits: Limits) -> dict[str, Any] | None:
    """The row of a scene at which readers were up, or were not, and did not read the plate; None where they did."""
    if not len(spots):
        return _against.row(about, "cannot tell", None, f"no standing reader is within {limits.metres:g} m of scene {about}, or its time span is over a day")
    rows = _days.at_spots(passages, spots, limits.until)
    then = rows[(passages.at[rows] >= low - limits.seconds) & (passages.at[rows] <= high + limits.seconds)]
    if np.isin(mine, then).any():
        return None
    if not len(then):
        return _against.row(about, "cannot tell", None, f"the readers near scene {about} read nothing in its time: they were down, or nobody passed")
    chance, known = _against.seen_by_others(passages, rows, limits.seconds)
    was = f"not read near scene {about}, where readers read {several(len(then), 'plate pass', 'plate passes')} in its time"
    if chance is None:
        return _against.row(
            about, "cannot tell", None, f"{was}; one reader stands there alone or few vehicles passed two, so nothing says how often it misses one"
        )
    return _against.row(
        about,
        "not read",
        chance,
        f"{was}; of {several(known, 'vehicle pass', 'vehicle passes')} known to be about there {100 * chance:.0f} % were read by another of them too",
    )


def _companion(passages: Passages, plate: str, mine: Ints, other: str, theirs: Ints, limits: Limits) -> tuple[list[dict[str, Any]], str, list[str]]:
    if plate == other:
        raise BadInput(f"companion={other!r} is the plate itself; give another plate.")
    t, px, py = passages.at[theirs].astype(float), *(v[passages.spot[theirs]] for v in positions(passages.spots))
    lon, lat = (v[passages.spot[mine]] for v in positions(passages.spots))
    rows, together, apart, alone = [], 0, 0, []
    for k, row in enumerate(mine.tolist()):
        at, about = float(passages.at[row]), f"pass {passages.frame['read_id'][int(passages.row[row])]}"
        low, high = np.searchsorted(t, [at - limits.seconds, at + limits.seconds])
        if (passages.spot[theirs[low:high]] == passages.spot[row]).any():
            together += 1
            continue
        reach = np.searchsorted(t, [at - 7200, at + 7200])
        near = np.arange(reach[0], reach[1])
        near = near[np.isfinite(px[near]) & np.isfinite(py[near])] if np.isfinite(lon[k]) and np.isfinite(lat[k]) else near[:0]
        far = _days.apart(px[near], py[near], float(lon[k]), float(lat[k])) if len(near) else np.zeros(0)
        # so far from each other that, even if both drove towards one another since, they were not within reach at this pass
        out = np.flatnonzero(np.maximum(far - limits.metres, 0.0) / limits.speed > np.abs(t[near] - at))
        if len(out):
            apart += 1
            i = int(out[np.argmin(np.abs(t[near[out]] - at))])
            read, wait = int(theirs[near[i]]), abs(float(t[near[i]]) - at)
            reader = passages.spots["reader"][int(passages.spot[read])]
            text = (
                f"{other} cannot have been with it at {passages.spots['reader'][int(passages.spot[row])]} at {_against.when(passages, row)}: "
                f"read {far[i] / 1000:.1f} km away by "
                f"{reader} {wait / 60:.0f} minutes from then"
            )
            rows.append(
                _against.row(
                    about, "apart", 1.0, text, int(at), reader, None if wait <= 0 else far[i] / wait * 3.6, _against.ids(passages, np.array([row, read]))
                )
            )
        else:
            alone.append(row)
    if alone:
        text = (
            f"read {several(len(alone), 'time')} without {other} at the same reader within {limits.seconds / 60:g} minutes; "
            "nothing says how often a reader missed it"
        )
        rows.append(_against.row("passes alone", "alone", None, text, int(passages.at[alone[0]]), None, None, _against.ids(passages, np.array(alone[:200]))))
    headline = (
        f"Against {plate} travelling with {other}: at {apart} of {several(len(mine), 'read')} the other cannot have been with it, at {len(alone)} it was read "
        f"alone, at {together} both were read within {limits.seconds / 60:g} minutes."
    )
    return rows, headline, ["Vehicles that travel together at times are apart at others; reads apart speak against always, not against sometimes."]


def _anchor(passages: Passages, plate: str, mine: Ints, lon: float, lat: float, limits: Limits) -> tuple[list[dict[str, Any]], str, list[str]]:
    day = _days.day_of(passages, mine)
    nights = pl.Series(np.unique(day) + 1).cast(pl.Int32).cast(pl.Date)
    zone = passages.zone
    start = nights.cast(pl.Datetime("us")).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC").drop_nulls()
    far = _against.far_from(passages, mine, lon, lat)
    rows, wholly = [], 0
    for begin in start.to_list():
        out = _elsewhere(
            passages,
            f"night to {begin.astimezone(UTC):%Y-%m-%d}",
            "there between midnight and five",
            mine,
            lon,
            lat,
            begin.timestamp(),
            (begin + timedelta(hours=5)).timestamp(),
            limits,
        )
        if out is not None:
            rows.append(out)
            wholly += out["weight"] >= 1 - 1e-9
    first = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]]))
    last = np.concatenate([first[1:], [len(day)]]) - 1
    bridged = [(a, b) for a, b in zip(last[:-1].tolist(), first[1:].tolist(), strict=True) if day[b] == day[a] + 1]
    both = [(a, b) for a, b in bridged if far[a] > limits.metres and far[b] > limits.metres]
    for a, b in both:
        text = (
            f"last read {far[a] / 1000:.1f} km away at {_against.when(passages, mine[a])} and next {far[b] / 1000:.1f} km away at "
            f"{_against.when(passages, mine[b])}; it had "
            f"{(passages.at[mine[b]] - passages.at[mine[a]]) / 3600:.1f} hours to come and go unread"
        )
        rows.append(
            _against.row(
                f"night from {_against.when(passages, mine[a])}",
                "cannot tell",
                None,
                text,
                int(passages.at[mine[a]]),
                None,
                None,
                _against.ids(passages, mine[[a, b]]),
            )
        )
    near = int((far <= limits.metres).sum())
    headline = (
        f"Against {plate} being anchored within {limits.metres:g} m of {lon:.5f}, {lat:.5f}: of {several(len(nights), 'night')} after a day with reads "
        "it cannot "
        f"have been there for some of the time between midnight and five in {len([r for r in rows if r['what'] == 'ruled out'])}, for all of it in {wholly}; "
        f"{len(both)} of {several(len(bridged), 'night')} began and ended elsewhere; {near} of {several(len(mine), 'read')} were there."
    )
    notes = [] if near else ["No read of the plate was there at all; where no reader stands that says nothing."]
    return rows, headline, notes


def _basis(passages: Passages, scenes: pl.DataFrame | None, until: int | None, used: int, parameters: dict[str, Any], notes: list[str]) -> Basis:
    first, last = span_of(passages)
    frames = (passages,) if scenes is None else (passages, scenes)
    basis = Basis.of(
        *frames,
        method="reads that rule out, by straight line and top speed, or that are missing where readers were up",
        source=SOURCE,
        used=used,
        parameters=parameters,
        asof=None if until is None else datetime.fromtimestamp(until, UTC),
        notes=(
            *notes,
            "Straight lines are shorter than roads, so more is ruled out in truth than here.",
            "A cloned or misread plate can be in two places: see plates.history.",
            "Clocks of readers are taken as right.",
        ),
    )
    return replace(basis, span=(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)))


def _layers(passages: Passages, table: pl.DataFrame) -> tuple[Layer, ...]:
    names = table["reader"].drop_nulls().unique().sort()
    found = passages.spots.filter(pl.col("reader").is_in(names.to_list()) & pl.col("lon").is_not_null()).unique("reader", keep="first", maintain_order=True)
    if found.is_empty():
        return ()
    readers = found["reader"].to_list()
    return (
        Points(
            "Readers that speak against it",
            found["lon"].to_numpy(),
            found["lat"].to_numpy(),
            tuple(f"reader:{r}" for r in readers),
            tuple(readers),
            kind="read",
        ),
    )

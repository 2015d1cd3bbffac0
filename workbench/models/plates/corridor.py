"""Which readers could a vehicle that left a place pass next, and when? And which vehicles that they read could it be?

A reader's window runs from the earliest that the quickest drive on the street network allows (free flow times a factor) to the latest that a slow one
takes; readers that no drive reaches in time are not listed. Reads within the windows are ranked by how well they fit a partial plate, make, colour and a drive
away from the place, along chains of reads that one vehicle can have made, and each says how many vehicles fit as well on other days.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import positions
from workbench.geo.plane import Floats
from workbench.layers import Layer, Lines, Points
from workbench.models.plates import prepare
from workbench.models.plates._chain import Chain, Sought, Windows, as_high, evidence, named
from workbench.models.plates._described import plate_fit
from workbench.models.plates._passages import Passages
from workbench.models.pursuit._graph import Places, Roads
from workbench.models.pursuit.roads import place_of
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, fingerprint, origin_of, recorded

_SOURCE = "least times: Dijkstra 1959 (doi:10.1007/BF01386390); chains: Viterbi 1967 (doi:10.1109/TIT.1967.1054010)"
_KEPT = 400  # readers among which all times are kept
_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_CANDIDATES: dict[str, Any] = {
    "plate": pl.String, "score": pl.Float64, "plate_fit": pl.Float64, "looks_fit": pl.Float64, "movement_fit": pl.Float64, "reads": pl.Int64,
    "make": pl.String, "colour": pl.String, "first_at": pl.Datetime("us", "UTC"), "path": pl.String, "as_high": pl.Float64, "evidence": pl.List(pl.String)}


@recorded
def scan(reads: pl.DataFrame | Passages | None, readers: pl.DataFrame | None, roads: Roads | pl.DataFrame, origin: tuple[float, float], left_at: Moment, *,
         horizon: Span = "30m", delay: Span = "3m", plate: str | None = None, make: str | None = None, colour: str | None = None, fastest: float = 1.6,
         slowest: float = 0.4, clock: float = 15.0, position: float = 60.0, days: int = 14, most: int = 50, zone: str = "UTC") -> Ranking:
    """Readers that a vehicle could pass after leaving a place, or the vehicles read there that it could be.

    Args:
        reads: the reads table or reads made ready; None = only the readers and their windows.
        readers: reader (or camera_id), lon, lat; None = the fixed readers of the reads.
        roads: the drive graph, or streets to make it of.
        origin: (lon, lat) of the place. left_at: when the vehicle left it.
        horizon: how far ahead. delay: how long after ``left_at`` it may have set off at the latest.
        plate: a partial plate ("AB?12*"), in which any character may have been read or remembered wrongly. make, colour: as a reader would name them.
        fastest, slowest: multiples of the free-flow speed between which it drives.
        clock: seconds by which a reader's clock may be off. position: metres by which its place may be.
        days: how many other days are looked at for the base rate. most: rows of the table.
        zone: zone of the times in sentences.

    Returns: a Ranking. Without reads ``table`` has one row a reader in the order it can be reached: reader, earliest_at, latest_at, minutes (free flow),
    straight_km, direction (from the place), next (no other reader lies on the quickest way), passes_first (those that do), lon, lat. With reads one row a
    vehicle: plate, score (logarithm of the likelihood ratio against any other vehicle; the sum of plate_fit, looks_fit and movement_fit), reads (of its chain),
    make, colour, first_at, path, as_high (vehicles a day that score as high at the same hours of other days; null where the reads cover none), evidence.

    Raises:
        CannotTell: the place lies near no street, no reader can be reached in time, or nothing was read within the windows.
        BadInput: columns are missing or an option is out of range.

    Cost: one search of the streets a reader that can be reached; milliseconds for the reads of one window, times ``days``.
    """
    _checked(fastest, slowest, clock, position, days, most)
    if plate is not None:
        plate_fit(plate, [], np.ones(128))
    ahead, late = span(horizon, "horizon").total_seconds(), span(delay, "delay").total_seconds()
    roads = roads if isinstance(roads, Roads) else Roads(roads)
    passages = reads if isinstance(reads, Passages) or reads is None else prepare(reads, zone=zone)
    left = moment(left_at, "left_at")
    local(left, zone)
    known = _readers(readers, passages)
    windows = _windows(roads, known, passages, origin, ahead, late, (fastest, slowest, clock, position))
    inside = np.flatnonzero(windows.earliest <= ahead)
    if not len(inside):
        raise CannotTell(f"None of {several(len(known), 'reader')} can be reached within {said(timedelta(seconds=ahead))}; give a longer horizon.")
    table = _reader_table(known, windows, inside, left, roads, origin)
    parameters = {"origin": list(origin), "left_at": left, "horizon": horizon, "delay": delay, "plate": plate, "make": make, "colour": colour,
                  "fastest": f"{fastest:g} x free flow", "slowest": f"{slowest:g} x free flow", "clock": f"{clock:g} s", "position": f"{position:g} m",
                  "zone": zone, "readers": len(known), "readers in reach": len(inside)}
    layers = _layers(table, origin, zone)
    frames = [f for f in (passages, roads, readers) if f is not None]
    base = origin_of(*frames).base
    if passages is None:
        basis = Basis.of(*frames, method="windows of readers by free-flow times on the drive graph", source=_SOURCE, parameters=parameters, notes=roads.notes)
        return Ranking(headline=_said(table, len(known), left, zone, ahead), table=table.head(most), layers=layers, basis=basis, base=base)
    sought = Sought(passages, windows, plate=plate, make=make, colour=colour, fastest=fastest, clock=clock)
    second = int(left.timestamp())
    chains, elsewhere = sought.chains(second)
    if not chains:
        raise CannotTell(f"None of the {several(len(inside), 'reader')} in reach read a plate in its window after {local(left, zone)} that can have been at "
                         "the place; the vehicle stopped, kept to other streets, or the reads are not in yet. Ask without reads for where to look.")
    others, covered = as_high(sought, second, days, ahead)
    found = _candidates(passages, chains[:most], others, zone)
    notes = (*_cautions(passages, covered, elsewhere, bool(plate or make or colour)), *roads.notes)
    basis = Basis.of(*frames, method="reads in the readers' windows, by likelihood ratio along feasible chains (Viterbi)", source=_SOURCE, time="read_at",
                     used=sum(len(c.reads) for c in chains), parameters={**parameters, "vehicles in the windows": len(chains), "other days": covered},
                     notes=notes)
    return Ranking(headline=_told(found, len(chains), covered, left, zone), table=found, layers=layers, basis=basis, base=base)


def _checked(fastest: float, slowest: float, clock: float, position: float, days: int, most: int) -> None:
    for name, value, low, high, like in (("fastest", fastest, 1.0, 10.0, "1.6"), ("slowest", slowest, 0.01, 1.0, "0.4"),
                                         ("clock", clock, 0.0, 3600.0, "15 (seconds)"), ("position", position, 0.0, 5000.0, "60 (metres)"),
                                         ("days", days, 0, 366, "14"), ("most", most, 1, 100_000, "50")):
        whole = name in ("days", "most")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            raise BadInput(f"{name}={value!r} does not do; give {'a whole number from ' if whole else ''}{low:g} to {high:g}, e.g. {like}.")


def _readers(readers: pl.DataFrame | None, passages: Passages | None) -> pl.DataFrame:
    """reader, lon, lat of those that have a place, one row each, in order of name."""
    if readers is None:
        if passages is None:
            raise BadInput("Neither reads nor readers were given; give the readers (reader, lon, lat), or reads to take them from.")
        readers = passages.spots.filter(~pl.col("moving"))
    elif isinstance(readers, pl.DataFrame) and "reader" not in readers.columns and "camera_id" in readers.columns:
        readers = readers.rename({"camera_id": "reader"})
    schema.require(readers, "reader", "lon", "lat", what="The readers frame")
    if readers.schema["reader"].is_nested():
        raise BadInput(f"Column 'reader' of the readers is {readers.schema['reader']}, not text.")
    lon, lat = positions(readers)
    known = pl.DataFrame({"reader": readers["reader"].cast(pl.String), "lon": lon, "lat": lat})
    known = known.filter(pl.col("reader").is_not_null() & pl.col("lon").is_finite() & pl.col("lat").is_finite()).unique("reader", keep="first").sort("reader")
    if known.is_empty():
        raise CannotTell("No reader that stands still has a position, so nothing can be told of when one could be passed; give the readers their lon and lat.")
    return known


def _windows(roads: Roads, known: pl.DataFrame, passages: Passages | None, origin: tuple[float, float], ahead: float, late: float,
             allowed: tuple[float, float, float, float]) -> Windows:
    fastest, slowest, clock, position = allowed
    start = place_of(roads, origin, "origin")
    put = roads.about(*positions(known), position)
    out = roads.times(start, put, within=(ahead + clock) * fastest + 60)[0]
    slack = clock + 2 * position / (roads.swiftest * fastest)
    earliest = np.maximum(out / fastest - slack, 0.0)
    near = np.flatnonzero(earliest <= ahead)
    between = _between(roads, known, put, near, position, (ahead + clock) * fastest + 60)
    back = roads.times(put, start, within=7200.0)[:, 0]
    spot = np.full(len(known), -1, dtype=np.int64)
    if passages is not None:
        fixed = passages.spots.with_row_index("number").filter(~pl.col("moving"))
        numbers = dict(zip(fixed["reader"].to_list(), fixed["number"].to_list(), strict=True))
        spot = np.array([numbers.get(r, -1) for r in known["reader"].to_list()], dtype=np.int64)
    spot[earliest > ahead] = -1
    latest = np.minimum(np.where(np.isfinite(out), out, 0.0) / slowest + late + slack, ahead)
    return Windows(spot, earliest, latest, out, between, np.where(np.isfinite(back), back, 0.0))


def _between(roads: Roads, known: pl.DataFrame, put: Places, near: Any, position: float, within: float) -> Floats:
    """Free-flow seconds from reader to reader (R, R); of few readers kept with the roads, so that the next question about the same ones does not search."""
    if len(known) > _KEPT:
        between = np.full((len(known), len(known)), math.inf)
        some = put.take(near)
        between[np.ix_(near, near)] = roads.times(some, some, within=within)
        return between
    key = (fingerprint(known), position, within)
    found = roads.kept.get(key)
    if found is None:
        while len(roads.kept) >= 8:
            roads.kept.pop(next(iter(roads.kept)), None)
        found = roads.kept[key] = roads.times(put, put, within=within)
    return found


def _reader_table(known: pl.DataFrame, windows: Windows, inside: Any, left: datetime, roads: Roads, origin: tuple[float, float]) -> pl.DataFrame:
    x, y = roads.plane.to_metres(*positions(known))
    u, v = (float(c[0]) for c in roads.plane.to_metres([origin[0]], [origin[1]]))
    wind = np.round(np.degrees(np.arctan2(x - u, y - v)) / 45).astype(int) % 8
    names = known["reader"].to_list()
    rows = []
    for k in inside[np.lexsort((inside, windows.free[inside]))].tolist():
        free = windows.free
        on = [j for j in inside.tolist() if j != k and free[j] < free[k] and free[j] + windows.between[j, k] <= free[k] * 1.02 + 1]
        on.sort(key=lambda j: windows.free[j])
        rows.append({"reader": names[k], "earliest_at": left + timedelta(seconds=float(windows.earliest[k])),
                     "latest_at": left + timedelta(seconds=float(windows.latest[k])), "minutes": float(windows.free[k]) / 60,
                     "straight_km": math.hypot(x[k] - u, y[k] - v) / 1000, "direction": _WINDS[wind[k]], "next": not on,
                     "passes_first": [names[j] for j in on], "lon": float(known["lon"][k]), "lat": float(known["lat"][k])})
    kinds: dict[str, Any] = {"earliest_at": pl.Datetime("us", "UTC"), "latest_at": pl.Datetime("us", "UTC"), "passes_first": pl.List(pl.String)}
    return pl.DataFrame(rows, schema_overrides=kinds).with_row_index("order", offset=1)


def _said(table: pl.DataFrame, readers: int, left: datetime, zone: str, ahead: float) -> str:
    first, following = table.row(0, named=True), table.filter("next")
    return (f"{len(table)} of {several(readers, 'reader')} can be passed within {said(timedelta(seconds=ahead))} of {local(left, zone)}, "
            f"{len(following)} of them with no other before on the quickest way; the first can be {first['reader']} ({first['direction']}), "
            f"{_span(first, zone)} local time.")


def _span(row: dict[str, Any], zone: str) -> str:
    return f"{local(row['earliest_at'] + timedelta(microseconds=1), zone)[-5:]} to {local(row['latest_at'], zone)[-5:]}"


def _candidates(passages: Passages, chains: list[Chain], others: list[Floats], zone: str) -> pl.DataFrame:
    names = passages.spots["reader"].to_list()
    rows = []
    for chain in chains:
        at = [datetime.fromtimestamp(int(passages.at[k]), UTC) for k in chain.reads]
        path = ", ".join(f"{names[passages.spot[k]]} {local(t, zone)[-5:]}" for k, t in zip(chain.reads, at, strict=True))
        high = float(np.mean([(day >= chain.score - 1e-9).sum() for day in others])) if others else None
        rows.append({"plate": str(passages.plates[chain.plate]), "score": chain.score, "plate_fit": chain.plate_fit, "looks_fit": chain.looks,
                     "movement_fit": chain.movement, "reads": len(chain.reads), "make": named(passages, chain, "make"),
                     "colour": named(passages, chain, "colour"), "first_at": at[0], "path": path, "as_high": high, "evidence": evidence(passages, chain)})
    return pl.DataFrame(rows, schema=_CANDIDATES, orient="row").with_row_index("rank", offset=1)


def _told(table: pl.DataFrame, vehicles: int, covered: int, left: datetime, zone: str) -> str:
    best = table.row(0, named=True)
    rate = (f"at the same hours of {several(covered, 'other day')} {best['as_high']:.2g} vehicles a day fit as well" if covered
            else "how many fit as well on other days is not known, since the reads cover no other day")
    tied = int((table["score"] >= best["score"] - 1.0).sum()) - 1
    close = f" {several(tied, 'other fits', 'others fit')} about as well." if tied else ""
    return (f"Of {several(vehicles, 'vehicle')} read in the windows after {local(left, zone)}, {best['plate']} fits best ({best['path']}); {rate}.{close} "
            "A lead to check against the pictures, not an identification.")


def _cautions(passages: Passages, covered: int, elsewhere: int, described: bool) -> tuple[str, ...]:
    out = ["Reads of plates that look alike count as one vehicle where a drive allows it; plate, make, colour and movement are taken as independent."]
    if not described:
        out.append("Nothing is known of the vehicle, so it is ranked by its movement alone: expect many that fit as well.")
    if elsewhere:
        out.append(f"{several(elsewhere, 'vehicle')} in the windows left out: read before where they could not have come to the place in time.")
    if bool(passages.spots["moving"].any()):
        out.append("Reads of moving readers are not used.")
    if covered and covered < 5:
        out.append(f"The base rate rests on {several(covered, 'other day')} only.")
    return tuple(out)


def _layers(table: pl.DataFrame, origin: tuple[float, float], zone: str) -> tuple[Layer, ...]:
    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    tips = tuple(f"{r['reader']}: {_span(r, zone)}, {r['minutes']:.1f} min at free flow" for r in table.iter_rows(named=True))
    ids = tuple(f"camera:{r}" for r in table["reader"].to_list())
    following = table.filter("next")
    paths = tuple(np.array([origin, (x, y)]) for x, y in following.select("lon", "lat").iter_rows())
    return (Lines("Next readers", paths, tuple(f"next:{r}" for r in following["reader"].to_list()), role="link", arrows=True),
            Points("Readers in reach", lon, lat, ids, tips, kind="camera", numbers=tuple(table["order"].to_list())),
            Points("Place left", np.array([origin[0]]), np.array([origin[1]]), ("place:left",), ("the place that was left",), kind="place"))

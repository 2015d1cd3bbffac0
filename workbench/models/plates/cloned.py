"""Which plates were read where one vehicle cannot have been? Cloned, misread, or a reader whose clock or place is wrong.

Consecutive reads of a plate are held against the least time that any drive between the two readers takes: free flow on the street network, times a
factor for speeding, with the readers' clock and position errors allowed; the straight line where there are no streets. Readers through which many
plates are impossible are told apart first, with the offset of their clock. What is left is a misread where a plate that looks alike was near or the reader was
unsure, and a clone where it happens again and again with nothing of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench import plates as plate_names
from workbench.errors import BadInput, CannotTell
from workbench.geo.plane import Ints
from workbench.layers import Layer, Lines, Points
from workbench.models.plates import prepare
from workbench.models.plates._faults import Fault, faults, without
from workbench.models.plates._legs import Bounds, Drives, Legs, legs
from workbench.models.plates._misreads import Misreads, Reason, differing, expected_plates, tail, usual_rate
from workbench.models.plates._passages import Passages
from workbench.models.pursuit._graph import Roads
from workbench.models.wording import several
from workbench.results import Basis, Ranking, origin_of, recorded

_SOURCE = "impossible travel between readers; least times: Dijkstra 1959 (doi:10.1007/BF01386390); chance: Poisson"
_APART = 3600  # seconds between reads from which impossible legs are another episode
_KINDS = ("cloned plate", "reader's clock", "reader", "cannot tell", "misread")
_SCHEMA: dict[str, Any] = {
    "kind": pl.String, "plate": pl.String, "reader": pl.String, "episodes": pl.Int64, "unexplained": pl.Int64, "days": pl.Int64, "legs": pl.Int64,
    "gap_minutes": pl.Float64, "needed_minutes": pl.Float64, "straight_km": pl.Float64, "makes_differ": pl.String, "colours_differ": pl.String,
    "looks_like": pl.String, "offset_seconds": pl.Float64, "p": pl.Float64, "expected": pl.Float64, "evidence": pl.List(pl.String), "why": pl.String}


@dataclass(frozen=True)
class _Case:
    """One plate's impossible legs: positions of both reads, and why each may be a misread (None: nothing says so)."""

    plate: int
    legs: Ints
    episodes: tuple[tuple[int, ...], ...]
    reasons: tuple[Reason | None, ...]


@recorded
def impossible(reads: pl.DataFrame | Passages, roads: Roads | pl.DataFrame | None = None, *, plate: str | None = None, fastest: float = 1.6,
               straight: float = 160.0, clock: float = 15.0, position: float = 60.0, misread_rate: float = 0.02, zone: str = "UTC") -> Ranking:
    """Plates read at two places in less time than any drive allows, and why.

    Args:
        reads: the reads table, all plates of the time asked about, or reads made ready (``plates.prepare``).
        roads: the drive graph (``pursuit.roads.graph``), or streets to make it of; None = straight lines.
        plate: only this plate in the table (the base rates are still of all).
        fastest: how many times free flow anyone drives. straight: km/h that no straight line is driven faster than, where there is no street.
        clock: seconds by which two readers' clocks may disagree. position: metres by which a reader's place may be wrong.
        misread_rate: share of reads that are misread by one look-alike character, for the number expected.
        zone: zone of the local days.

    Returns: a Ranking, clones first, then readers at fault, plates of which it cannot be told, misreads. ``table``: kind ("cloned plate", "reader's clock",
    "reader", "cannot tell", "misread"), plate or reader, episodes (of impossible legs, an hour apart), unexplained (without sign of a misread), days, legs,
    gap_minutes and needed_minutes and straight_km of the worst leg, makes_differ and colours_differ ("6 of 6 legs"), looks_like, offset_seconds (how far
    ahead a reader's clock is), p (so many unexplained episodes, were they spread evenly), expected (plates that would show as many by chance), evidence
    (read ids), why.

    Raises:
        CannotTell: no reads, or none at readers whose place is known. BadInput: columns are missing or an option is out of range.

    Cost: one pass over the reads and one search of the streets a reader.
    """
    passages = reads if isinstance(reads, Passages) else prepare(reads, zone=zone)
    bounds = _bounds(fastest, straight, clock, position, misread_rate)
    roads = roads if roads is None or isinstance(roads, Roads) else Roads(roads)
    wanted = None if plate is None else _plate(plate)
    if not len(passages):
        raise CannotTell("There are no reads with a plate, a reader and a time, so nothing can be told of impossible drives; load reads.")
    drives = Drives(passages, roads, bounds)
    if int(drives.placed[np.unique(passages.spot)].sum()) < 2:
        raise CannotTell("Fewer than two places where plates were read have a position, so no drive can be timed; give the readers their lon and lat.")
    found = legs(passages, np.ones(len(passages), dtype=bool), drives)
    wrong = faults(passages, found, drives)
    rest = legs(passages, without(passages, wrong), drives) if wrong else found
    if wanted is not None:
        _timed(wanted, passages, found)
    misreads = Misreads(passages, drives)
    cases = _cases(passages, rest, misreads)
    table, rate = _table(passages, rest, cases, wrong, found)
    every = int(len(np.unique(passages.plate[found.a[found.bad]])))
    usual = float(np.median(found.needed[found.bad])) if found.bad.any() else 300.0
    expected = misreads.expected(misread_rate, usual)
    asked = table if wanted is None else table.filter(pl.col("plate") == wanted)
    base = {"plates read": len(passages.plates), "legs": len(found.a), "plates with an impossible leg": every, "expected by misreads": round(expected, 1),
            "unexplained episodes a million reads": round(rate * 1e6, 2)}
    headline = _headline(asked, table, base, wanted)
    basis = Basis.of(passages, *(() if roads is None else (roads,)), method="consecutive reads against the least time of any drive", source=_SOURCE,
                     used=len(passages), time="read_at",
                     parameters={"plate": wanted, "fastest": f"{fastest:g} x free flow", "straight": f"{straight:g} km/h", "clock": f"{clock:g} s",
                                 "position": f"{position:g} m", "misread_rate": misread_rate, "zone": passages.zone, **base},
                     notes=_notes(passages, roads, drives))
    return Ranking(headline=headline, table=asked, layers=_layers(passages, rest, cases, asked), basis=basis,
                   base=origin_of(passages).base)


def _bounds(fastest: float, straight: float, clock: float, position: float, misread_rate: float) -> Bounds:
    for name, value, low, high, like in (("fastest", fastest, 1.0, 10.0, "1.6 (times free flow)"), ("straight", straight, 20.0, 500.0, "160 (km/h)"),
                                         ("clock", clock, 0.0, 3600.0, "15 (seconds)"), ("position", position, 0.0, 5000.0, "60 (metres)"),
                                         ("misread_rate", misread_rate, 0.0, 0.5, "0.02 (of all reads)")):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise BadInput(f"{name}={value!r} does not do; give {low:g} to {high:g}, e.g. {like}.")
    return Bounds(float(fastest), straight / 3.6, float(clock), float(position))


def _plate(plate: str) -> str:
    wanted = plate_names.normal(plate)
    if not wanted:
        raise BadInput(f"{plate!r} holds no letter or digit, so it is not a plate; write e.g. 'ABC 1234'.")
    return wanted


def _timed(plate: str, passages: Passages, found: Legs) -> None:
    """Raises: CannotTell: no two reads of the plate can be held against a drive."""
    code = passages.code(plate)
    reads = 0 if code is None else int((passages.plate == code).sum())
    if reads < 2:
        raise CannotTell(f"{plate} was read {several(reads, 'time')}; two reads at different places are needed to tell whether one vehicle can have made them.")
    if not (passages.plate[found.a] == code).any():
        raise CannotTell(f"{plate} was read {several(reads, 'time')}, but never at two places in a row whose positions are known, so no drive can be timed.")


def _cases(passages: Passages, found: Legs, misreads: Misreads) -> list[_Case]:
    """The plates with impossible legs, each with its episodes."""
    bad = np.flatnonzero(found.bad)
    bad = bad[np.lexsort((passages.at[found.a[bad]], passages.plate[found.a[bad]]))]
    code = passages.plate[found.a[bad]]
    out = []
    for own in np.split(bad, np.flatnonzero(np.diff(code.astype(np.int64))) + 1) if len(bad) else []:
        start = passages.at[found.a[own]]
        cut = np.flatnonzero(start[1:] - passages.at[found.b[own]][:-1] > _APART) + 1
        groups = tuple(tuple(g.tolist()) for g in np.split(own, cut))
        out.append(_Case(int(passages.plate[found.a[own[0]]]), own, groups, tuple(_reason(passages, found, g, misreads) for g in groups)))
    return out


def _reason(passages: Passages, found: Legs, episode: tuple[int, ...], misreads: Misreads) -> Reason | None:
    """Why one read of an episode may be a misread: a read whose absence leaves no impossible leg, that looks like another plate or was unsure."""
    ends = [{int(found.a[k]), int(found.b[k])} for k in episode]
    reasons = [r for position in sorted(set.intersection(*ends)) if (r := misreads.reason(position)) is not None]
    return min(reasons, key=lambda r: (r.other == "", r.position)) if reasons else None


def _table(passages: Passages, found: Legs, cases: list[_Case], wrong: list[Fault], whole: Legs) -> tuple[pl.DataFrame, float]:
    reads = np.bincount(passages.plate, minlength=len(passages.plates)).astype(np.int64)
    unexplained = np.zeros(len(reads), dtype=np.int64)
    for case in cases:
        unexplained[case.plate] = sum(r is None for r in case.reasons)
    rate = usual_rate(reads, unexplained)
    own = np.array([c.plate for c in cases], dtype=np.int64)
    chances = {}
    for n in sorted(set(unexplained[own].tolist())):
        chances[n] = expected_plates(reads, rate, n) if n else float(len(reads))
    ordinary = {c: differing(passages.frame, passages.row[found.a[~found.bad]][:200_000], passages.row[found.b[~found.bad]][:200_000], c)
                for c in ("make", "colour")}
    rows = [_row(passages, found, case, rate, int(reads[case.plate]), chances[int(unexplained[case.plate])], ordinary) for case in cases]
    rows += [_fault_row(passages, fault, whole) for fault in wrong]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    order = pl.col("kind").replace_strict({k: i for i, k in enumerate(_KINDS)}, return_dtype=pl.Int64)
    return table.sort(order, pl.col("unexplained"), pl.col("p"), pl.col("legs"), "plate", "reader", descending=[False, True, False, True, False, False],
                      nulls_last=True).with_row_index("rank", offset=1), rate


def _row(passages: Passages, found: Legs, case: _Case, rate: float, reads: int, expected: float, ordinary: dict[str, tuple[int, int]]) -> dict[str, Any]:
    own, frame = case.legs, passages.frame
    alone = sum(r is None for r in case.reasons)
    worst = int(own[np.argmax(found.needed[own] - found.gap[own])])
    a, b = passages.row[found.a[own]], passages.row[found.b[own]]
    told = {c: differing(frame, a, b, c) for c in ("make", "colour")}
    like = sorted({r.other for r in case.reasons if r is not None and r.other})
    days = len(np.unique(passages.local_at[found.a[own]] // 86_400))
    kind = "misread" if not alone else "cloned plate" if alone >= 2 and expected < 0.5 else "cannot tell"
    evidence = _ids(passages, np.unique(np.concatenate([found.a[own], found.b[own]])))
    name = str(passages.plates[case.plate])
    return {"kind": kind, "plate": name, "reader": None, "episodes": len(case.episodes), "unexplained": alone, "days": days, "legs": len(own),
            "gap_minutes": found.gap[worst] / 60, "needed_minutes": found.needed[worst] / 60, "straight_km": found.metres[worst] / 1000,
            "makes_differ": _of(told["make"]), "colours_differ": _of(told["colour"]), "looks_like": ", ".join(like) or None, "offset_seconds": None,
            "p": tail(rate * reads, alone), "expected": expected, "evidence": evidence, "why": _why(kind, case, told, ordinary, like, days)}


def _of(told: tuple[int, int]) -> str | None:
    return f"{told[1]} of {told[0]}" if told[0] else None


def _ids(passages: Passages, positions: Ints) -> list[str]:
    if "read_id" not in passages.frame.columns:
        return []
    order = positions[np.argsort(passages.at[positions], kind="stable")]
    return [str(v) for v in passages.frame["read_id"].gather(passages.row[order]).to_list()]


def _why(kind: str, case: _Case, told: dict[str, tuple[int, int]], ordinary: dict[str, tuple[int, int]], like: list[str], days: int) -> str:
    words = []
    for column, (known, differ) in told.items():
        legs_told, usual = ordinary[column]
        if known and differ:
            beside = f" ({usual / legs_told:.1%} of ordinary ones)" if legs_told else ""
            words.append(f"the {column} differs on {differ} of {several(known, 'impossible leg')}{beside}")
    seen = ("; " + ", ".join(words)) if words else ""
    if kind == "cloned plate":
        return (f"Two vehicles: {several(len(case.episodes), 'time')} on {several(days, 'day')} in two places at once, with no sign of a misread on "
                f"{several(sum(r is None for r in case.reasons), 'of them', 'of them')}{seen}. Compare the pictures of both sides.")
    if kind == "misread":
        unsure = any(r is not None and r.unsure for r in case.reasons)
        of = f"it looks like {', '.join(like)}, which was read near at that time" if like else ""
        return f"Probably one read is a misread: {' and '.join(w for w in (of, 'the reader was unsure' if unsure else '') if w)}{seen}. Look at the picture."
    return (f"In two places at once on {several(len(case.episodes), 'occasion')}, too few to tell a clone from a misread{seen}. Look at the pictures of both "
            "reads; a second occasion would tell.")


def _fault_row(passages: Passages, fault: Fault, found: Legs) -> dict[str, Any]:
    worst = int(fault.legs[np.argmax(found.needed[fault.legs] - found.gap[fault.legs])])
    share = f"{fault.bad:,} of {fault.quick:,} quick legs through it are impossible, for {several(fault.plates, 'plate')}"
    name = str(passages.spots["reader"][fault.spot])
    if fault.offset is None:
        why = f"{share}, and no one offset of its clock explains them: check its place, name and clock. Its reads are left out of the verdicts."
    else:
        way = "ahead" if fault.offset > 0 else "behind"
        why = (f"{share}; a clock {abs(fault.offset):.0f} s {way} (give or take {max(fault.spread, 1):.0f} s) explains {fault.explained:.0%} of them. "
               "Its reads are left out of the verdicts.")
    return {"kind": "reader" if fault.offset is None else "reader's clock", "plate": None, "reader": name, "episodes": None, "unexplained": None,
            "days": len(np.unique(passages.local_at[found.a[fault.legs]] // 86_400)), "legs": fault.bad, "gap_minutes": found.gap[worst] / 60,
            "needed_minutes": found.needed[worst] / 60, "straight_km": found.metres[worst] / 1000, "makes_differ": None, "colours_differ": None,
            "looks_like": None, "offset_seconds": fault.offset, "p": None, "expected": None,
            "evidence": _ids(passages, np.unique(np.concatenate([found.a[fault.legs], found.b[fault.legs]])[:200])), "why": why}


def _headline(asked: pl.DataFrame, table: pl.DataFrame, base: dict[str, Any], wanted: str | None) -> str:
    many = {k: int((table["kind"] == k).sum()) for k in _KINDS}
    bad = base["plates with an impossible leg"]
    rate = (f"{bad:,} of {several(base['plates read'], 'plate')} {'has' if bad == 1 else 'have'} an impossible leg; misreads alone would make about "
            f"{base['expected by misreads']:g}.")
    if wanted is not None:
        if asked.is_empty():
            return f"{wanted} has no impossible leg: all its reads can be one vehicle. {rate}"
        row = asked.row(0, named=True)
        chance = "" if row["kind"] == "misread" else f" By chance {_few(row['expected'])} plates would show as much."
        return f"{wanted}: {row['kind']}. {row['why']}{chance} {rate}"
    clones = table.filter(pl.col("kind") == "cloned plate")["plate"].to_list()
    named = f" ({', '.join(clones[:5])}{' ...' if len(clones) > 5 else ''})" if clones else ""
    readers = many["reader's clock"] + many["reader"]
    chance = f", where chance would give {_few(table.filter(pl.col('kind') == 'cloned plate')['expected'].max())}" if clones else ""
    return (f"{several(len(clones), 'plate is', 'plates are')} probably on two vehicles{named}{chance}; {many['misread']:,} more look like misreads, of "
            f"{many['cannot tell']:,} it cannot be told, and {several(readers, 'reader is', 'readers are')} at fault. {rate}")


def _few(n: Any) -> str:
    return "under 0.001" if n is not None and n < 0.001 else f"{n:.2g}"


def _notes(passages: Passages, roads: Roads | None, drives: Drives) -> tuple[str, ...]:
    out = ["Lists leads, not proof: look at both pictures, and confirm plate and state, before anybody is stopped."]
    if roads is None:
        out.append("Distances are straight lines, since no streets were given: a clone that a detour would show is missed.")
    else:
        out += roads.notes
        if drives.off:
            out.append(f"{several(drives.off, 'place', 'places')} of reads lie over {roads.limit:g} m from every street; straight lines are used there.")
    if passages.placeless:
        out.append(f"{several(passages.placeless, 'read')} without plate, reader, time or (moving readers) place left out.")
    return tuple(out)


def _layers(passages: Passages, found: Legs, cases: list[_Case], asked: pl.DataFrame) -> tuple[Layer, ...]:
    show = set(asked.filter(pl.col("plate").is_not_null())["plate"].head(20).to_list())
    chosen = [c for c in cases if str(passages.plates[c.plate]) in show]
    lon, lat = (passages.spots[c].fill_null(np.nan).to_numpy() for c in ("lon", "lat"))
    paths, tips = [], []
    spots: set[int] = set()
    for case in chosen:
        for k in case.legs.tolist():
            s, t = int(passages.spot[found.a[k]]), int(passages.spot[found.b[k]])
            paths.append(np.array([[lon[s], lat[s]], [lon[t], lat[t]]]))
            tips.append(f"{passages.plates[case.plate]}: {found.gap[k] / 60:.1f} min for {found.metres[k] / 1000:.1f} km; least {found.needed[k] / 60:.1f} min")
            spots |= {s, t}
    if not paths:
        return ()
    at = np.array(sorted(spots), dtype=np.int64)
    names = passages.spots["reader"].to_list()
    points = Points("Readers", lon[at], lat[at], tuple(f"camera:{names[k]}" for k in at), tuple(str(names[k]) for k in at), kind="camera")
    return (Lines("Impossible legs", tuple(paths), tuple(f"leg:{k}" for k in range(len(paths))), tuple(tips), role="marked", arrows=True), points)

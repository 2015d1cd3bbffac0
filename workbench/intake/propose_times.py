"""The times of a proposal: is a Z true, does the zone fit, how finely is the main time known, what stands in where it is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from workbench.intake import sniff_zone
from workbench.intake.propose_state import State
from workbench.intake.propose_units import as_wall

AMERICAN = frozenset(
    (
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
        "America/Phoenix",
        "America/Anchorage",
        "America/Boise",
        "America/Detroit",
        "America/Juneau",
        "America/Menominee",
        "Pacific/Honolulu",
        "UTC",
    )
)
#: Tables whose hours of the day have a known shape.
_DIURNAL = ("incidents", "calls", "gunshots", "reads")
#: In which order the moments of one row come.
_ORDER = {
    "calls": ("received_at", "dispatched_at", "en_route_at", "arrived_at", "cleared_at", "closed_at"),
    "incidents": ("started_at", "ended_at", "reported_at"),
}
#: Moments that may stand in for the required one, the nearest first.
_INSTEAD = {"calls": ("dispatched_at", "arrived_at", "en_route_at", "cleared_at", "closed_at"), "incidents": ("reported_at", "ended_at", "revised_at")}


def times_told(state: State) -> None:
    """Times that call themselves UTC: are they, or is the Z a lie? One answer for all of the file."""
    claimed = {c: m for c, m in state.matches.items() if m.unit.times is not None and m.unit.times.tail == "Z"}
    if not claimed or state.table.name not in _DIURNAL:
        return
    verdicts: dict[str, int] = {}
    evidence: dict[str, str] = {}
    for column in sorted(claimed, key=lambda c: c != state.table.time):
        if column == "revised_at":
            continue
        walls = claimed[column].unit.walls()
        said, why = sniff_zone.utc_or_wall(walls, state.zone, state.table.name)
        weight = sum(w is not None for w in walls) * (2 if column == state.table.time else 1)
        verdicts[said] = verdicts.get(said, 0) + (weight if said else 0)
        evidence.setdefault(said, f"{column}: {why}")
    verdict = max(verdicts, key=lambda v: verdicts[v]) if any(verdicts.values()) else ""
    marks = ", ".join(dict.fromkeys(r for m in claimed.values() for r in m.unit.raw))
    if verdict == "wall":
        for column, m in claimed.items():
            state.matches[column] = replace(m, unit=as_wall(m.unit), doubts=(*m.doubts, "its Z does not hold"))
        state.doubts.append(f"{marks} call themselves UTC (Z, +00) but are read as wall-clock time of {state.zone}: {evidence['wall']}.")
    elif verdict == "utc":
        state.doubts.append(f"{marks} call themselves UTC, and are: {evidence['utc']}.") if "utc" in evidence else None
    else:
        for column, m in claimed.items():
            state.matches[column] = replace(m, doubts=(*m.doubts, "whether its Z holds is not known"))
        why = evidence.get("", "there are too few")
        state.doubts.append(
            f"{marks} call themselves UTC (Z, +00) and are read so; some exports write Z behind wall-clock times, and here it cannot be told: {why}. "
            f"If they are wall-clock times, write time(bare(...)) in place of utc(...)."
        )


def like_main(state: State, written: str) -> str:
    """How a blank column of times is read: as the file's other times are, if those stand in one column."""
    for other in state.matches.values():
        if other.unit.times is not None and other.unit.clock is None and len(other.unit.raw) == 1 and other.unit.profile.given:
            return other.unit.expression.replace(other.unit.profile.written, written)
    return ""


def stand_in(state: State) -> None:
    """The required moment is not there, but another is."""
    time = state.table.time
    if not time or time in state.columns or not state.table.columns[time].required:
        return
    for other in _INSTEAD.get(state.table.name, ()):
        if other in state.columns and state.matches[other].unit.profile.given:
            had = state.columns[other]
            state.add(time, had.expression, had.raw, "doubtful", f"no column says {time}; {other} stands in for it")
            state.matches[time] = replace(state.matches[other], column=time)
            state.doubts.append(
                f"No column says {state.table.columns[time].help} ({time}); {other} ({' + '.join(had.raw)}) stands in for it. "
                + ("Response times cannot be told from it." if state.table.name == "calls" else "")
            )
            if other in ("reported_at", "ended_at", "cleared_at", "closed_at") and state.table.name == "incidents" and other != "reported_at":
                del state.columns[other]
            return


def precision(state: State) -> None:
    """How finely the main time is known."""
    main = state.matches.get(state.table.time)
    if main is None or main.unit.times is None or state.table.time not in state.columns:
        return
    unit, times = main.unit, main.unit.times
    if "time_precision" in state.table.columns:
        coarse = "month" if times.kind == "month" else "day" if times.kind == "day" and unit.clock is None else ""
        coarse = "hour" if unit.clock is not None and unit.clock.times is None else coarse
        if coarse:
            state.add("time_precision", f'const("{coarse}")', (), "likely", f"{' + '.join(unit.raw)} says no more than the {coarse}")
        elif unit.clock is not None and unit.day_expression:
            clock = unit.clock.written
            state.columns[state.table.time] = replace(state.columns[state.table.time], expression=f"first({unit.expression}, {unit.day_expression})")
            state.add("time_precision", f'unless({clock}, "day")', (unit.clock.name,), "likely", f"where {unit.clock.name} is blank only the day is known")
    elif times.kind == "day" and unit.clock is None and state.table.name in ("calls", "reads"):
        state.doubts.append(f"{' + '.join(unit.raw)} says only the day; every row is put at midnight.")
        state.columns[state.table.time] = replace(state.columns[state.table.time], confidence="doubtful")


def clockwork(state: State) -> None:
    """Hold the hours of the main time against the usual ones."""
    main = state.matches.get(state.table.time)
    if main is None or main.unit.times is None or state.table.name not in _DIURNAL or state.table.time not in state.columns:
        return
    times = main.unit.times
    if times.kind in ("day", "month") and main.unit.clock is None:
        return
    walls = main.unit.walls()
    utc = (times.kind == "epoch" and main.unit.clock is None) or state.columns[state.table.time].expression.startswith("utc(")
    if utc:
        tz = ZoneInfo(state.zone)
        walls = [w.replace(tzinfo=UTC).astimezone(tz).replace(tzinfo=None) if w is not None else None for w in walls]
    found = sniff_zone.check(walls, state.table.name)
    column = state.columns[state.table.time]
    if found.verdict == "fits":
        state.columns[state.table.time] = replace(column, reason=f"{column.reason}; the hours of the day suit {state.zone}")
        return
    if found.verdict == "shifted":
        state.columns[state.table.time] = replace(column, confidence="doubtful")
    said = f"Time zone {state.zone}: {found.sentence()}"
    if found.verdict == "shifted" and not utc and _offset(state.zone, walls) == found.shift:
        said += f" That is the offset of {state.zone} from UTC: the times are probably UTC, write utc(...) in place of time(...)."
    state.doubts.append(said)


def order(state: State) -> None:
    """Moments of a row that mostly stand in the wrong order."""
    chain = [c for c in _ORDER.get(state.table.name, ()) if c in state.columns and c in state.matches and state.matches[c].unit.times is not None]
    for one, other in zip(chain, chain[1:], strict=False):
        kinds = {u.times.kind for u in (state.matches[one].unit, state.matches[other].unit) if u.times is not None and u.clock is None}
        if "month" in kinds:
            continue
        both = zip(state.matches[one].unit.walls(), state.matches[other].unit.walls(), strict=True)
        pairs = [(a, b) for a, b in both if a is not None and b is not None]
        wrong = sum((a.date() > b.date()) if "day" in kinds else a > b for a, b in pairs)
        if len(pairs) >= 5 and wrong > 0.5 * len(pairs):
            state.doubts.append(f"{one} is later than {other} in {wrong:,} of {len(pairs):,} rows; are the two the other way round?")
            for c in (one, other):
                state.columns[c] = replace(state.columns[c], confidence="doubtful")


def lost(state: State) -> None:
    """Times that the export has spoilt, where they are not used."""
    for name, profile in state.found.items():
        if profile.times is not None and name not in state.used:
            state.doubts += [f"{name} is not used: {d}" for d in profile.times.doubts if "AM or PM" in d]


def _offset(zone: str, walls: Sequence[Any]) -> int | None:
    """The zone's offset from UTC in hours, where it is the same, within an hour, for most of the times."""
    known = [w for w in walls if w is not None]
    if not known:
        return None
    offsets = Counter(int(o.total_seconds() // 3600) for w in known[:500] if (o := w.replace(tzinfo=ZoneInfo(zone)).utcoffset()) is not None)
    return offsets.most_common(1)[0][0]

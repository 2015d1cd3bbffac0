"""What a table needs beside matched columns: ids, offence codes, precision of times, the check of the time zone, and what must be said."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from workbench import schema
from workbench.intake import propose_express, propose_words, sniff_zone
from workbench.intake.propose_match import Match
from workbench.intake.propose_units import Unit, as_wall
from workbench.intake.sniff import Profile
from workbench.intake.sniff_file import Sample
from workbench.intake.sniff_places import Spot
from workbench.lake import Lake
from workbench.loaders import Source
from workbench.loaders.mapped import PLACE, check_column

if TYPE_CHECKING:
    from workbench.intake.propose import Preview

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
#: Fixed values for what must be given and is not in the file: column -> (expression, what is said of it).
_FIXED = {
    ("reads", "reader"): ("const({name})", "Nothing names the reader; all reads are put down to one."),
    ("hotlist", "reason"): ('const("not given")', "Nothing says why a plate is wanted."),
    ("cameras", "kind"): ('const("street")', "Nothing says what kind of cameras these are; they are put down as street cameras."),
    ("warrants", "status"): ('const("active")', "Nothing says the state of the warrants; they are put down as active."),
    ("events", "kind"): ("const({name})", "Nothing says what kind of events these are."),
    ("posts", "platform"): ("const({name})", "Nothing says where it was posted."),
}
_ASKED = {
    ("posts", "case_number"): ("case_number", "the case for which the posts were collected"),
    ("posts", "legal_basis"): ("legal_basis", "what allowed collecting them"),
}


@dataclass(frozen=True)
class Proposed:
    """One canonical column as proposed.

    Args:
        column: canonical column, or ``place`` for lon and lat.
        expression: as the mapping file has it.
        raw: the raw columns in it.
        confidence: sure, likely or doubtful.
        reason: why, in words.
        runner_up: the raw column that came second; "" = none.
    """

    column: str
    expression: str
    raw: tuple[str, ...]
    confidence: str
    reason: str
    runner_up: str = ""

    def comment(self) -> str:
        """What the mapping file says above its line."""
        mark = self.confidence if self.confidence != "doubtful" else "DOUBTFUL"
        return f"{mark}: {self.reason}" + (f"; or {self.runner_up}?" if self.runner_up and self.confidence != "sure" else "")


@dataclass
class Settled:
    """The columns in the table's order, doubts, tables of codes, and what is asked for with a load."""

    columns: tuple[Proposed, ...]
    doubts: list[str]
    lookups: dict[str, dict[str, str]] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)


def settle(
    table: schema.Table, matches: Mapping[str, Match], units: Sequence[Unit], found: Mapping[str, Profile], spot: Spot | None, zone: str, name: str
) -> Settled:
    """Turn matches into columns, and add what the table must have beside them."""
    state = _State(table, dict(matches), units, found, zone, name)
    state.times_told()
    state.express()
    if spot is not None:
        state.place(spot)
    state.address()
    state.stand_in()
    state.precision()
    state.offences()
    state.approaches()
    state.clockwork()
    state.order()
    state.identity()
    state.required()
    state.lost()
    order = {c: i for i, c in enumerate(table.columns)}
    columns = sorted(state.columns.values(), key=lambda c: order.get("lon" if c.column == PLACE else c.column, 999))
    told = [d for d in state.doubts]
    told += [
        f"{c.column} from {' + '.join(c.raw) or 'nothing in the file'} is doubtful: {c.reason}."
        for c in columns
        if c.confidence == "doubtful" and not any(c.column in d or (c.raw and c.raw[0] in d) for d in told)
    ]
    return Settled(tuple(columns), told, state.lookups, state.asks)


class _State:
    def __init__(self, table: schema.Table, matches: dict[str, Match], units: Sequence[Unit], found: Mapping[str, Profile], zone: str, name: str) -> None:
        self.table, self.matches, self.units, self.found, self.zone, self.name = table, matches, units, found, zone, name
        self.columns: dict[str, Proposed] = {}
        self.doubts: list[str] = []
        self.lookups: dict[str, dict[str, str]] = {}
        self.asks: dict[str, str] = {}

    @property
    def used(self) -> set[str]:
        return {r for c in self.columns.values() for r in c.raw}

    def add(self, column: str, expression: str, raw: Sequence[str], confidence: str, reason: str, runner_up: str = "") -> None:
        self.columns[column] = Proposed(column, expression, tuple(raw), confidence, reason, runner_up)

    def times_told(self) -> None:
        """Times that call themselves UTC: are they, or is the Z a lie? One answer for all of the file."""
        claimed = {c: m for c, m in self.matches.items() if m.unit.times is not None and m.unit.times.tail == "Z"}
        if not claimed or self.table.name not in _DIURNAL:
            return
        verdicts: dict[str, int] = {}
        evidence: dict[str, str] = {}
        for column in sorted(claimed, key=lambda c: c != self.table.time):
            if column == "revised_at":
                continue
            walls = claimed[column].unit.walls()
            said, why = sniff_zone.utc_or_wall(walls, self.zone, self.table.name)
            weight = sum(w is not None for w in walls) * (2 if column == self.table.time else 1)
            verdicts[said] = verdicts.get(said, 0) + (weight if said else 0)
            evidence.setdefault(said, f"{column}: {why}")
        verdict = max(verdicts, key=lambda v: verdicts[v]) if any(verdicts.values()) else ""
        marks = ", ".join(dict.fromkeys(r for m in claimed.values() for r in m.unit.raw))
        if verdict == "wall":
            for column, m in claimed.items():
                self.matches[column] = replace(m, unit=as_wall(m.unit), doubts=(*m.doubts, "its Z does not hold"))
            self.doubts.append(f"{marks} call themselves UTC (Z, +00) but are read as wall-clock time of {self.zone}: {evidence['wall']}.")
        elif verdict == "utc":
            self.doubts.append(f"{marks} call themselves UTC, and are: {evidence['utc']}.") if "utc" in evidence else None
        else:
            for column, m in claimed.items():
                self.matches[column] = replace(m, doubts=(*m.doubts, "whether its Z holds is not known"))
            why = evidence.get("", "there are too few")
            self.doubts.append(
                f"{marks} call themselves UTC (Z, +00) and are read so; some exports write Z behind wall-clock times, and here it cannot be told: {why}. "
                f"If they are wall-clock times, write time(bare(...)) in place of utc(...)."
            )

    def express(self) -> None:
        """Each match as an expression."""
        for column, m in self.matches.items():
            if self.table.columns[column].type == "TIMESTAMPTZ" and not m.unit.profile.given:
                m = replace(m, unit=replace(m.unit, expression=self._like_main(m.unit.profile.written)))
            made = propose_express.express(self.table, column, m)
            if made is None:
                continue
            expression, why, extra = made
            hard = [d for d in (*m.doubts, *extra)]
            confidence = "sure" if m.score >= 0.82 and m.runner_score < m.score - 0.05 else "likely" if m.score >= 0.55 else "doubtful"
            if not m.unit.profile.given:
                confidence, hard = "doubtful", [*hard, f"{m.unit.raw[0]} is blank in the rows looked at"]
            elif hard:
                confidence = (
                    "doubtful" if any(("tells" in d or "lost" in d or "cannot" in d or "not known" in d or "change places" in d) for d in hard) else "likely"
                )
            reason = "; ".join([m.reason, *([why] if why else []), *(d.rstrip(".") for d in hard)])
            self.add(column, expression, m.unit.raw, confidence, reason, m.runner_up)
            self.doubts += [
                f"{' + '.join(m.unit.raw)}: {d}" if not d.endswith(".") else f"{' + '.join(m.unit.raw)}: {d}"
                for d in hard
                if d != "its Z does not hold" and d != "whether its Z holds is not known"
            ]

    def _like_main(self, written: str) -> str:
        """How a blank column of times is read: as the file's other times are, if those stand in one column."""
        for other in self.matches.values():
            if other.unit.times is not None and other.unit.clock is None and len(other.unit.raw) == 1 and other.unit.profile.given:
                return other.unit.expression.replace(other.unit.profile.written, written)
        return ""

    def place(self, spot: Spot) -> None:
        self.doubts += spot.doubts
        if spot.expression != "nothing":
            self.add(PLACE, spot.expression, spot.raw, spot.confidence, spot.reason)

    def address(self) -> None:
        """A street beside its house number, direction and kind, in columns of their own."""
        if "address" not in self.columns or "address" not in self.matches:
            return
        joined = propose_words.address(self.matches["address"].unit.profile, self.found, self.used - {self.columns["address"].raw[0]})
        if joined is not None:
            expression, raw = joined
            self.add("address", expression, raw, "likely", "the parts of the address stand in columns of their own")

    def stand_in(self) -> None:
        """The required moment is not there, but another is."""
        time = self.table.time
        if not time or time in self.columns or not self.table.columns[time].required:
            return
        for other in _INSTEAD.get(self.table.name, ()):
            if other in self.columns and self.matches[other].unit.profile.given:
                had = self.columns[other]
                self.add(time, had.expression, had.raw, "doubtful", f"no column says {time}; {other} stands in for it")
                self.matches[time] = replace(self.matches[other], column=time)
                self.doubts.append(
                    f"No column says {self.table.columns[time].help} ({time}); {other} ({' + '.join(had.raw)}) stands in for it. "
                    + ("Response times cannot be told from it." if self.table.name == "calls" else "")
                )
                if other in ("reported_at", "ended_at", "cleared_at", "closed_at") and self.table.name == "incidents" and other != "reported_at":
                    del self.columns[other]
                return

    def precision(self) -> None:
        """How finely the main time is known."""
        main = self.matches.get(self.table.time)
        if main is None or main.unit.times is None or self.table.time not in self.columns:
            return
        unit, times = main.unit, main.unit.times
        assert times is not None
        if "time_precision" in self.table.columns:
            coarse = "month" if times.kind == "month" else "day" if times.kind == "day" and unit.clock is None else ""
            coarse = "hour" if unit.clock is not None and unit.clock.times is None else coarse
            if coarse:
                self.add("time_precision", f'const("{coarse}")', (), "likely", f"{' + '.join(unit.raw)} says no more than the {coarse}")
            elif unit.clock is not None and unit.day_expression:
                clock = unit.clock.written
                self.columns[self.table.time] = replace(self.columns[self.table.time], expression=f"first({unit.expression}, {unit.day_expression})")
                self.add("time_precision", f'unless({clock}, "day")', (unit.clock.name,), "likely", f"where {unit.clock.name} is blank only the day is known")
        elif times.kind == "day" and unit.clock is None and self.table.name in ("calls", "reads"):
            self.doubts.append(f"{' + '.join(unit.raw)} says only the day; every row is put at midnight.")
            self.columns[self.table.time] = replace(self.columns[self.table.time], confidence="doubtful")

    def offences(self) -> None:
        """Wide and fine wording the right way round, and NIBRS codes by the wording."""
        if self.table.name not in ("incidents", "arrests"):
            return
        if self.table.name == "incidents":
            self._wide_and_fine()
        if "nibrs" in self.columns:
            had = self.columns["nibrs"]
            self.columns["nibrs"] = replace(had, expression=f'first({had.expression}, const("UNKNOWN"))')
            return
        worded = [self.matches[c].unit.profile for c in ("offence", "offence_detail", "charge", "offence_code") if c in self.matches and c in self.columns]
        made = propose_words.nibrs(worded)
        if made is None:
            self.add("nibrs", 'const("UNKNOWN")', (), "doubtful", "no wording tells the offence")
            self.doubts.append(
                "Offences get no NIBRS code (UNKNOWN): no column has a wording that tells it. Codes of your own go into a table: "
                'nibrs = lookup("Code", nibrs, "UNKNOWN") and [lookup.nibrs].'
            )
            return
        profiles, known = made
        self.add(
            "nibrs",
            f"nibrs({', '.join(p.written for p in profiles)})",
            [p.name for p in profiles],
            "likely",
            f"by the wording: {known:.0%} of the rows looked at get a code",
        )
        if known < 0.9:
            self.doubts.append(f"{1 - known:.0%} of the rows looked at get no NIBRS code by their wording and load as UNKNOWN.")

    def _wide_and_fine(self) -> None:
        wide, fine = self.columns.get("offence"), self.columns.get("offence_detail")
        if fine is not None and wide is None and len(fine.raw) == 1:
            del self.columns["offence_detail"]
            self.columns["offence"] = replace(fine, column="offence")
            self.matches["offence"] = replace(self.matches["offence_detail"], column="offence")
        elif fine is not None and wide is not None:
            a, b = self.matches["offence"].unit.profile, self.matches["offence_detail"].unit.profile
            if a.given > 30 and a.distinct > 1.5 * b.distinct and b.letters > 0.5:
                self.columns["offence"], self.columns["offence_detail"] = replace(fine, column="offence"), replace(wide, column="offence_detail")
                self.matches["offence"], self.matches["offence_detail"] = self.matches["offence_detail"], self.matches["offence"]

    def approaches(self) -> None:
        """Several columns of approaches of one camera, or of units of one call."""
        for column in ("approaches", "units"):
            if column not in self.columns or len(self.columns[column].raw) != 1:
                continue
            first = self.columns[column].raw[0]
            more = propose_words.siblings(first, self.found, self.used)
            if more:
                written = ", ".join(self.found[n].written for n in (first, *more))
                self.add(column, f"several({written})", (first, *more), "likely", "several columns of one kind")

    def clockwork(self) -> None:
        """Hold the hours of the main time against the usual ones."""
        main = self.matches.get(self.table.time)
        if main is None or main.unit.times is None or self.table.name not in _DIURNAL or self.table.time not in self.columns:
            return
        times = main.unit.times
        if times.kind in ("day", "month") and main.unit.clock is None:
            return
        walls = main.unit.walls()
        utc = (times.kind == "epoch" and main.unit.clock is None) or self.columns[self.table.time].expression.startswith("utc(")
        if utc:
            tz = ZoneInfo(self.zone)
            walls = [w.replace(tzinfo=UTC).astimezone(tz).replace(tzinfo=None) if w is not None else None for w in walls]
        found = sniff_zone.check(walls, self.table.name)
        column = self.columns[self.table.time]
        if found.verdict == "fits":
            self.columns[self.table.time] = replace(column, reason=f"{column.reason}; the hours of the day suit {self.zone}")
            return
        if found.verdict == "shifted":
            self.columns[self.table.time] = replace(column, confidence="doubtful")
        said = f"Time zone {self.zone}: {found.sentence()}"
        if found.verdict == "shifted" and not utc and _offset(self.zone, walls) == found.shift:
            said += f" That is the offset of {self.zone} from UTC: the times are probably UTC, write utc(...) in place of time(...)."
        self.doubts.append(said)

    def order(self) -> None:
        """Moments of a row that mostly stand in the wrong order."""
        chain = [c for c in _ORDER.get(self.table.name, ()) if c in self.columns and c in self.matches and self.matches[c].unit.times is not None]
        for one, other in zip(chain, chain[1:], strict=False):
            kinds = {u.times.kind for u in (self.matches[one].unit, self.matches[other].unit) if u.times is not None and u.clock is None}
            if "month" in kinds:
                continue
            both = zip(self.matches[one].unit.walls(), self.matches[other].unit.walls(), strict=True)
            pairs = [(a, b) for a, b in both if a is not None and b is not None]
            wrong = sum((a.date() > b.date()) if "day" in kinds else a > b for a, b in pairs)
            if len(pairs) >= 5 and wrong > 0.5 * len(pairs):
                self.doubts.append(f"{one} is later than {other} in {wrong:,} of {len(pairs):,} rows; are the two the other way round?")
                for c in (one, other):
                    self.columns[c] = replace(self.columns[c], confidence="doubtful")

    def identity(self) -> None:
        """The key: the agency's own id where one names a row, else one made of the row's values."""
        key = self.table.key[0]
        if len(self.table.key) > 1 or not key.endswith("_id"):
            return
        had = self.columns.get(key)
        if had is not None:
            self._repeated(key, had)
            return
        raw = [n for n in self.found if n in self.used - set(self.columns["revised_at"].raw if "revised_at" in self.columns else ())]
        if not raw:
            return
        self.add(key, f"id({', '.join(self.found[n].written for n in raw)})", raw, "likely", "no column is an id, so the row's own values make one")
        self.doubts.append(
            f"No column is an id of the row; {key} is made of {', '.join(raw[:6])}{' ...' if len(raw) > 6 else ''}. Rows alike in all of them count as one, "
            "and a row that the agency changes later counts as a new one."
        )

    def _repeated(self, key: str, had: Proposed) -> None:
        """An id that several different rows share: they are numbered; rows alike but for nothing count as one."""
        if len(had.raw) != 1:
            return
        profile = self.found[had.raw[0]]
        repeats = profile.given - profile.distinct
        if not repeats or profile.given < 8:
            return
        others = [n for n in self.found if n in self.used - {had.raw[0]} and n not in (self.columns["revised_at"].raw if "revised_at" in self.columns else ())]
        rows = {(v, *(self.found[n].values[i] for n in others)) for i, v in enumerate(profile.values) if v is not None}
        differing = len(rows) - profile.distinct
        said = f"{had.raw[0]} repeats in {repeats:,} of {profile.given:,} rows"
        if differing < 0.5 * repeats or (self.table.name != "incidents" and repeats < 0.02 * profile.given):
            self.doubts.append(f"{said}; a later row replaces an earlier one, and rows wholly alike count once.")
            return
        self.add(
            key,
            f"numbered({profile.written})",
            had.raw,
            "likely" if repeats < 0.2 * profile.given else "doubtful",
            f"{had.reason}; it repeats in rows that differ, so the second gets /2 behind it",
        )
        self.doubts.append(
            f"{said} that differ (several victims or offences?), so each row is kept: the second of an id gets /2 behind it. "
            f"If they are editions of one row, write text({profile.written})."
        )
        if "report_number" in self.table.columns and "report_number" not in self.columns:
            self.add("report_number", f"text({profile.written})", had.raw, "likely", "an id that several rows share")

    def lost(self) -> None:
        """Times that the export has spoilt, where they are not used."""
        for name, profile in self.found.items():
            if profile.times is not None and name not in self.used:
                self.doubts += [f"{name} is not used: {d}" for d in profile.times.doubts if "AM or PM" in d]

    def required(self) -> None:
        """What the table must have and no column gives."""
        if self.table.name == "reads" and "plate" in self.columns and "plate_raw" not in self.columns:
            raw = self.columns["plate"].raw
            self.add("plate_raw", f"text({self.found[raw[0]].written})", raw, self.columns["plate"].confidence, "the plate as the reader gave it")
        for column, about in self.table.columns.items():
            if not about.required or column in self.columns:
                continue
            if (self.table.name, column) in _FIXED:
                written, said = _FIXED[self.table.name, column]
                kind = propose_words.camera_kind(self.name) if column == "kind" and self.table.name == "cameras" else ""
                self.add(
                    column,
                    f'const("{kind}")' if kind else written.format(name=json.dumps(self.name)),
                    (),
                    "likely" if kind else "doubtful",
                    "told from the file's name" if kind else said.rstrip("."),
                )
                self.doubts.append(said if not kind else f"Nothing says the kind of camera; the file's name says {kind}.")
            elif (self.table.name, column) in _ASKED:
                word, what = _ASKED[self.table.name, column]
                self.asks[word] = what
                self.add(column, f'text(said("{word}"))', (), "sure", f"asked for with each load: --set {word}=...")
            else:
                self.doubts.append(
                    f"Nothing in the file says {about.help} ({column}), which {self.table.name} must have. It cannot be loaded until a line for it is written."
                )


def _offset(zone: str, walls: Sequence[Any]) -> int | None:
    """The zone's offset from UTC in hours, where it is the same, within an hour, for most of the times."""
    known = [w for w in walls if w is not None]
    if not known:
        return None
    offsets = Counter(int(o.total_seconds() // 3600) for w in known[:500] if (o := w.replace(tzinfo=ZoneInfo(zone)).utcoffset()) is not None)
    return offsets.most_common(1)[0][0]


def checked(table: str, column: str, expression: str, lookups: Mapping[str, Mapping[str, str]]) -> None:
    """See whether an expression can fill a canonical column; raises BadInput where it cannot."""
    check_column(table, column, expression, lookups)


def preview(source: Source, sample: Sample, asks: Mapping[str, str], rows: int, count: int) -> Preview:
    """The first ``rows`` of ``count`` sampled records as they would load, through the loading machinery into a lake that is thrown away."""
    from workbench.intake.propose import Preview

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.ndjson"
        some = min(count, sample.rows)
        with file.open("w", encoding="utf-8", errors="replace") as out:
            for row in range(some):
                record = sample.record(row)
                for name in (*source.columns, *source.optional):
                    record.setdefault(name, None)
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
        lake = Lake(Path(folder) / "lake")
        plain = replace(source, formats=("ndjson",), records="", encoding="utf-8", delimiter=",", beside={})
        report = lake.load(plain, file, said={name: "preview" for name in asks})
        table = source.tables[0]
        good = lake.frame(table).sort("line") if report.added or report.updated else schema.table(table).empty()
        bad = lake.rejects()
        reasons = Counter(bad["reason"].to_list()) if bad.height else Counter()
        return Preview(
            good.head(rows).drop("source", "batch_id", "recorded_at"), some, dict(reasons.most_common()), bad.select("line", "reason", "raw").head(rows)
        )

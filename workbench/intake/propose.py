"""How should a file that nobody has mapped be read? A proposal: a canonical column an expression, how sure it is and why, and every doubt in words.

``propose`` looks at a sample of the file, matches names and values with the canonical columns (``propose_match``), finds the place
(``sniff_places``), checks the time zone (``sniff_zone``), and settles what a table needs beside that (``propose_rules``). Nothing is guessed
silently: what is not certain is marked likely or doubtful and listed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.intake import propose_express, propose_match, propose_rules, propose_times, propose_units, sniff_file, sniff_places
from workbench.intake.propose_match import Match
from workbench.intake.propose_preview import Preview, preview
from workbench.intake.propose_state import Proposed
from workbench.intake.sniff import Profile
from workbench.intake.sniff_file import Sample
from workbench.loaders import Source, names
from workbench.loaders.kit import mapped
from workbench.loaders.kit.mapped import NAME, PLACE, Written, write

if TYPE_CHECKING:
    from workbench.agency import Agency

#: Tables that a file is held against where none is named, by how often exports of them are met.
TABLES = (
    "incidents",
    "calls",
    "reads",
    "hotlist",
    "gunshots",
    "cameras",
    "units",
    "arrests",
    "people",
    "vehicles",
    "people_counts",
    "casings",
    "recoveries",
    "interviews",
    "warrants",
    "posts",
    "phone_calls",
    "closures",
    "events",
)


@dataclass(frozen=True)
class Proposal:
    """How a file would be read.

    Args:
        name: of the source.
        table: the canonical table; ``table_reason`` says why, where none was named.
        zone: time zone of the wall clocks.
        columns: one ``Proposed`` a canonical column (``place`` for lon and lat), in the table's order.
        doubts: what is not certain, one sentence each.
        unused: raw columns that are not taken.
        lookups: tables of codes that the expressions name.
    """

    name: str
    file: Path
    table: str
    zone: str
    columns: tuple[Proposed, ...]
    doubts: tuple[str, ...]
    unused: tuple[str, ...]
    sample: Sample = field(repr=False)
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    asks: Mapping[str, str] = field(default_factory=dict)
    table_reason: str = ""
    units: tuple[propose_units.Unit, ...] = field(default=(), repr=False)
    spots: tuple[sniff_places.Spot, ...] = field(default=(), repr=False)

    def written(self) -> Written:
        """As a mapping file holds it."""
        s = self.sample
        flexible = s.form in ("json", "ndjson", "xml", "geojson")
        needed = {
            r for c in self.columns if c.column in schema.table(self.table).columns and schema.table(self.table).columns[c.column].required for r in c.raw
        }
        used = [r for c in self.columns for r in c.raw]
        tops = {r: _top(s.written.get(r, "")) or r for r in used}
        optional = tuple(dict.fromkeys(tops[r] for r in used if r not in needed and tops[r] not in {tops[n] for n in needed})) if flexible else ()
        head = [
            f"How {s.file.name} becomes rows of {self.table}: proposed by `workbench map`. Edit it, then load with:",
            f"    workbench load {self.name} {s.file.name}",
            "Each line: canonical column = what it is made of. The functions are explained in docs/mapping.md.",
        ]
        if self.doubts:
            head += ["", "DOUBTS - settle these first:", *(f"  {i}. {d}" for i, d in enumerate(self.doubts, 1))]
        return Written(
            name=self.name,
            table=self.table,
            columns={c.column: c.expression for c in self.columns},
            title=f"{self.table} from {s.file.name}",
            zone=self.zone,
            formats=(s.form,),
            delimiter=s.delimiter,
            encoding="",
            records=s.records,
            optional=optional,
            lookups=dict(self.lookups),
            asks=dict(self.asks),
            comments={c.column: c.comment() for c in self.columns},
            head=tuple(head),
            unused=self.unused,
        )

    def source(self) -> Source:
        """The source that would be loaded.

        Raises:
            BadInput: a column that the table must have is missing.
        """
        return self.written().source()

    def to_toml(self) -> str:
        """The text of the mapping file."""
        return write(self.written())

    def with_column(self, column: str, expression: str) -> Proposal:
        """The same with one canonical column changed by a person; an empty expression takes it out. The doubts about a column set by hand are settled.

        Raises:
            BadInput: the expression is not one; the message says why.
        """
        had = next((c for c in self.columns if c.column == column), None)
        kept = [c for c in self.columns if c.column != column]
        doubts = self.doubts
        if expression.strip():
            raw = tuple(n for n, w in self.sample.written.items() if w in expression)
            kept.append(Proposed(column, expression.strip(), raw, "sure", "set by hand"))
            doubts = tuple(d for d in doubts if not _is_about(d, column, had.raw if had is not None and had.expression != expression.strip() else ()))
        order = {c: i for i, c in enumerate(schema.table(self.table).columns)}
        used = {r for c in kept for r in c.raw}
        unused = tuple(n for n in self.sample.columns if n not in used and (n in self.unused or had is not None and n in had.raw))
        columns = tuple(sorted(kept, key=lambda c: order.get("lon" if c.column == PLACE else c.column, 999)))
        made = replace(self, columns=columns, doubts=doubts, unused=unused)
        if expression.strip():
            mapped.check_column(made.table, column, expression, made.lookups)
        return made

    def choices(self, column: str) -> dict[str, str]:
        """What a canonical column could be made of: raw columns -> expression, those that suit what it holds first; for ``place`` the readings of positions."""
        if column == PLACE:
            return {" + ".join(s.raw): s.expression for s in self.spots if s.expression != "nothing"}
        shape = schema.table(self.table)
        ranked = sorted(self.units, key=lambda u: -propose_match.fit(u, column, shape) * (0.2 + u.score(self.table, column)))
        made = (
            (" + ".join(u.raw), propose_express.express(shape, column, Match(column, u, 1.0, 1.0, "")))
            for u in ranked
            if propose_match.fit(u, column, shape) > 0
        )
        return {raw: m[0] for raw, m in made if m is not None}

    def save(self, workspace: Path, *, force: bool = False) -> Path:
        """Write the mapping file into a workspace, ``plugins/loaders/NAME.toml``; the source can be loaded by its name from then on.

        Saving again what stands there already changes nothing.

        Raises:
            BadInput: a mapping or source of that name is there already (``force`` writes over a mapping), or the name cannot be one.
        """
        if not NAME.fullmatch(self.name):
            raise BadInput(f"{self.name!r} cannot be the name of a source; use small letters, digits and _, a letter first.")
        folder = workspace / "plugins" / "loaders"
        file = folder / f"{self.name}.toml"
        if (folder / f"{self.name}.py").exists():
            raise BadInput(f"There is a source {self.name}.py in {folder} already; give the mapping another name.")
        if file.exists() and file.read_text(encoding="utf-8") == self.to_toml():
            return file
        if file.exists() and not force:
            raise BadInput(f"{file} is there already and says something else; give another name, or write over it with --force (force=True).")
        if self.name in names() and not force:
            raise BadInput(f"{self.name} is the name of a built-in source; give another name, or --force to put this mapping before it.")
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        part.write_text(self.to_toml(), encoding="utf-8")
        os.replace(part, file)
        return file

    def preview(self, rows: int = 10, *, sample: int = 500) -> Preview:
        """The first rows as they would load, through the loading machinery itself into a lake that is thrown away. Cost: about a second.

        Raises:
            BadInput: the mapping cannot be used yet (a required column is missing).
        """
        return preview(self.source(), self.sample, self.asks, rows, sample)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The proposal as a table: column, made of, sure, why, else."""
        return pl.DataFrame(
            {
                "column": [c.column for c in self.columns],
                "from": [" + ".join(c.raw) or "(all rows alike)" for c in self.columns],
                "sure": [c.confidence for c in self.columns],
                "expression": [c.expression for c in self.columns],
                "why": [c.reason for c in self.columns],
                "else": [c.runner_up for c in self.columns],
            }
        )


def propose(
    path: str | Path, table: str | None = None, *, agency: Agency | None = None, zone: str | None = None, name: str | None = None, records: str | None = None
) -> Proposal:
    """Propose a mapping for a file.

    Args:
        path: the file, of any form that can be loaded.
        table: the canonical table; proposed with its reason where it is not given.
        agency: the agency, for its time zone and study area.
        zone: time zone of the file's wall clocks, where it is not the agency's.
        name: of the source to be; made of the file's name where it is not given.
        records: where the records lie in a JSON, XML or Excel file.

    Raises:
        BadInput: the file cannot be read. NotFound: there is no such table.
        CannotTell: no table fits.

    Cost: 1 to 5 s for 20,000 rows.
    """
    if table is not None:
        schema.table(table)
    sample = sniff_file.sample(path, records=records)
    zone = zone or (agency.zone if agency else "UTC")
    _known(zone)
    area = agency.study_area.bounds if agency and agency.study_area is not None else None
    found = propose_units.profiles(sample)
    units = propose_units.units(found, american=_american(zone), west=_west(zone))
    spots = sniff_places.spots(found, area)
    reason = ""
    if table is None:
        table, reason = _table(units, spots, Path(path).name)
    doubts = list(sample.notes)
    if agency is None and zone == "UTC":
        doubts.append("No time zone was given, so wall clocks are read as UTC; say it with --zone, or work in a workspace.")
    shape = schema.table(table)
    spot = spots[0] if spots and "lon" in shape.columns else None
    skip = ["lon", "lat"]
    left = [u for u in units if spot is None or not set(u.raw) & set(spot.raw)]
    matches = propose_match.match(shape, left, skip=skip)
    settled = propose_rules.settle(shape, matches, left, found, spot, zone, _stem(path))
    used = {r for c in settled.columns for r in c.raw}
    unused = tuple(n for n in found if n not in used and not (n.count(".") and n.split(".")[0] in used))
    return Proposal(
        name or _stem(path),
        Path(path),
        table,
        zone,
        settled.columns,
        tuple(dict.fromkeys([*doubts, *settled.doubts])),
        unused,
        sample,
        settled.lookups,
        settled.asks,
        reason,
        tuple(units),
        tuple(spots),
    )


def _table(units: list[propose_units.Unit], spots: list[sniff_places.Spot], file: str) -> tuple[str, str]:
    """The table whose columns a file has most of, and why."""
    from workbench.intake import synonyms

    words = set(synonyms.split(Path(file).stem))
    ranked = []
    for rank, name in enumerate(TABLES):
        shape = schema.table(name)
        matches = propose_match.match(shape, units, skip=("lon", "lat"))
        total = sum(max(0.0, m.score - 0.3) for m in matches.values())
        lacking = [c for c, about in shape.columns.items() if about.required and c not in matches and c not in ("nibrs", shape.key[0])]
        named = _FILE_WORDS.get(name, frozenset()) & words
        ranked.append((total - 1.2 * len(lacking) + 0.9 * bool(named) - 0.02 * rank, name, matches, lacking, named))
    ranked.sort(key=lambda r: -r[0])
    best, name, matches, lacking, named = ranked[0]
    if best < 0.3:
        raise CannotTell(f"No table fits {file}; say which with --to, e.g. --to incidents. The tables are: {', '.join(schema.TABLES)}.")
    strong = ", ".join(" + ".join(m.unit.raw) for m in sorted(matches.values(), key=lambda m: -m.score)[:4])
    close = f" {ranked[1][1]} comes close; say --to {ranked[1][1]} if it is that." if ranked[1][0] > best - 0.8 else ""
    return name, f"{len(matches)} of its columns are found (best: {strong})" + (
        f", and the file's name says {', '.join(sorted(named))}" if named else ""
    ) + "." + close


_FILE_WORDS = {
    "incidents": frozenset(
        {
            "crime",
            "crimes",
            "incident",
            "offense",
            "complaint",
            "burglary",
            "theft",
            "robbery",
            "assault",
            "shooting",
            "delikte",
            "delitos",
            "infraction",
            "straftaten",
            "delito",
            "delikt",
        }
    ),
    "calls": frozenset({"call", "calls", "cad", "911", "cfs", "dispatch", "einsatz", "einsatze", "llamada", "appel"}),
    "reads": frozenset({"lpr", "alpr", "anpr", "read", "plate", "lesung"}),
    "hotlist": frozenset({"hotlist", "wanted", "stolen", "fahndung"}),
    "gunshots": frozenset({"shotspotter", "gunshot", "shot", "oakshot", "gunfire"}),
    "cameras": frozenset({"camera", "cctv", "kamera"}),
    "units": frozenset({"avl", "unit", "gps"}),
    "arrests": frozenset({"arrest", "booking"}),
    "closures": frozenset({"closure", "roadwork"}),
    "people_counts": frozenset({"count", "pedestrian", "footfall"}),
}


def _is_about(doubt: str, column: str, raw: tuple[str, ...]) -> bool:
    """Whether a doubt is settled once a person has said what a canonical column is made of (``raw``: what it was made of before)."""
    named = re.search(rf"\b{re.escape(column)}\b", doubt) is not None and "is later than" not in doubt
    return named or bool(raw) and doubt.startswith(f"{' + '.join(raw)}: ")


def _top(written: str) -> str:
    """The file's own column behind a nested member."""
    found = re.match(r'member\(("(?:[^"\\]|\\.)*")', written)
    return str(json.loads(found[1])) if found else ""


def _stem(path: str | Path) -> str:
    stem = Path(path).name.split(".")[0].lower()
    made = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
    return made if made[:1].isalpha() else f"export_{made}".rstrip("_")


def _known(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise BadInput(f"There is no time zone {zone!r}; use an IANA name such as 'America/Chicago'.") from None


def _american(zone: str) -> bool:
    """Whether people of a zone write the month in front: the United States."""
    return zone in propose_times.AMERICAN or zone.startswith(("US/", "America/Indiana", "America/Kentucky", "America/North_Dakota"))


def _west(zone: str) -> bool:
    from datetime import datetime

    offset = datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)).utcoffset()
    return offset is not None and offset.total_seconds() < 0


__all__ = ["Match", "Preview", "Profile", "Proposal", "Proposed", "propose"]

"""Who is asking, for which case and why: the Workbench object, the one gate that every access passes.

A workbench is opened once with case, purpose and reason; table versions are pinned until ``refresh()``. Each access is written to the
audit as intent, then done, then written as outcome. Frames come back as plain ``polars.DataFrame`` with canonical columns.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench import agency as agencies
from workbench import gate, plates
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput, NotFound, did_you_mean
from workbench.geo import Grid
from workbench.lake import Lake
from workbench.layers import Layer
from workbench.models.links import case as links_case
from workbench.oversight.audit import Audit, Person, current_user
from workbench.results import Origin, remember
from workbench.schema import TABLES, table

if TYPE_CHECKING:
    from workbench.intake.quality import Quality

When = gate.When
Place = gate.Place


def open_workbench(path: str | Path | None = None, *, case: str | None = None, purpose: str | None = None, reason: str | None = None,
                   versions: dict[str, int] | None = None, user: str | None = None) -> Workbench:
    """Open a workspace and bind who is asking, for which case and why.

    Args:
        path: the workspace folder; None = the nearest parent of the working directory that holds agency.toml.
        case, purpose, reason: needed before any plate or person is shown, e.g. case="2026-0142", purpose="investigation".
        versions: table versions of an earlier basis, to see the same state again; None = the newest.
        user: who asks; None = the operating system's user.

    Raises:
        NotFound: there is no workspace, or a version is not there.
        BadInput: agency.toml has an error.
    """
    folder = find_workspace(path)
    return Workbench(folder, Person(user or current_user(), case, purpose, reason), versions)


def find_workspace(path: str | Path | None = None) -> Path:
    """The folder of a workspace: the one given, or the nearest parent of the working directory that holds agency.toml.

    Raises:
        NotFound: there is none.
    """
    start = Path(path).expanduser().resolve() if path is not None else Path.cwd()
    if path is not None:
        if not (start / agencies.FILE).is_file():
            raise NotFound(f"{path} is no workspace (it holds no {agencies.FILE}); make one with: workbench init {path} --sample")
        return start
    for folder in (start, *start.parents):
        if (folder / agencies.FILE).is_file():
            return folder
    raise NotFound(f"No workspace found from {start} upwards; make one with: workbench init city --sample, then use -w city.")


class Workbench:
    """An opened workspace. Made by :func:`open_workbench`; see there."""

    def __init__(self, path: Path, person: Person, versions: dict[str, int] | None = None) -> None:
        self.path = path
        self.agency = agencies.read(path)
        self.lake = Lake(path / "lake")
        self.audit = Audit(path / "audit.db")
        self.person = person
        self.versions = self.lake.check(versions) if versions is not None else self.lake.versions()
        self.audit.write(person, "open", path.name, versions=self.versions)

    @cached_property
    def casebook(self) -> Casebook:
        """Cases, subjects, leads and judgements."""
        return Casebook(self.path / "casebook.db")

    @property
    def user(self) -> str:
        """Who is asking."""
        return self.person.user

    @property
    def case(self) -> str | None:
        """The case bound."""
        return self.person.case_number

    @property
    def purpose(self) -> str | None:
        """The purpose bound."""
        return self.person.purpose

    @property
    def reason(self) -> str | None:
        """The reason bound."""
        return self.person.reason

    def __repr__(self) -> str:
        bound = f"case {self.case}, {self.purpose}" if self.case else "no case bound: plates and persons are closed"
        tables = ", ".join(f"{k} {v}" for k, v in sorted(self.versions.items()) if k in TABLES) or "no table yet"
        return f"Workbench of {self.agency.name} ({bound}; versions: {tables})"

    def bind(self, *, case: str, purpose: str, reason: str | None = None) -> Workbench:
        """The same workspace and versions, bound to a case and purpose."""
        return Workbench(self.path, Person(self.user, case, purpose, reason), self.versions)

    def refresh(self) -> Workbench:
        """Pin the newest versions; returns self."""
        self.versions = self.lake.versions()
        self.__dict__.pop("asof", None)
        self.audit.write(self.person, "refresh", self.path.name, versions=self.versions)
        return self

    # ------------------------------------------------------------------ the gate

    @contextlib.contextmanager
    def deed(self, action: str, object: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """Write a deed of this person's to the audit: intent before the body, outcome after it. Put figures into the dict yielded."""
        with self.audit.deed(self.person, action, object, **detail) as outcome:
            yield outcome

    def may_see(self, name: str) -> bool:
        """Whether this workbench may show a table."""
        return not table(name).personal or bool(self.case and self.purpose)

    def _need(self, names: Sequence[str]) -> None:
        closed = [n for n in names if n in TABLES and not self.may_see(n) or n == "rejects" and not (self.case and self.purpose)]
        if closed:
            raise AccessRefused(
                f"{', '.join(closed)} {'is' if len(closed) == 1 else 'are'} about plates or persons: a case and a purpose are needed. Open it so: "
                f"wb.open_workbench({self.path.name!r}, case={self.agency.demo_case or '2026-0142'!r}, purpose='investigation', "
                "reason='who was near the scenes')")

    def _frame(self, name: str, where: Sequence[str], params: Sequence[Any], area: Place | None = None, /, **asked: Any) -> pl.DataFrame:
        with self.deed("query", name, **{k: str(v) for k, v in asked.items() if v is not None}) as outcome:
            self._need([name])
            clauses, values = list(where), list(params)
            polygon = None if area is None else gate.polygon(self.agency, area)
            if polygon is not None:
                w, s, e, n = polygon.bounds
                clauses.append("lon between ? and ? and lat between ? and ?")
                values += [w, e, s, n]
            frame = self.lake.frame(name, self.versions, where=" and ".join(f"({c})" for c in clauses), params=values)
            if polygon is not None:
                frame = frame.filter(pl.Series(polygon.contains(frame["lon"].to_numpy(), frame["lat"].to_numpy())))
            if name == "incidents":
                frame = frame.with_columns(gate.offence_group(self.agency.offence_groups))
            outcome["rows"] = frame.height
        return remember(frame, self._origin())

    def _origin(self) -> Origin:
        return Origin(self.path.name, dict(self.versions), self.base)

    def _known(self, name: str, column: str, value: str) -> None:
        known = self.lake.query(f"select distinct {column} v from {name} where {column} is not null", versions=self.versions)["v"].to_list()
        if value not in known and value not in (self.agency.beats if column == "beat" else ()):
            raise NotFound(f"No {column} {value!r} in {name}.{did_you_mean(value, known)}")

    # ------------------------------------------------------------------ facts

    def incidents(self, start: When | None = None, end: When | None = None, *, offence: str | None = None, beat: str | None = None,
                  area: Place | None = None, unfounded: bool = False) -> pl.DataFrame:
        """Incidents that started in [start, end), current editions, with ``offence_group`` as the agency's settings say.

        Args:
            start, end: local date or time of the agency as text, a date, or an aware datetime; the end is not included.
            offence: one of the agency's offence groups.
            beat: as recorded.
            area: beat or district by name (their polygons), a Polygon, or (west, south, east, north); rows without a position are then left out.
            unfounded: also those that the agency withdrew (column ``unfounded``).

        Raises:
            NotFound: unknown offence group, beat or area. BadInput: the period is empty or unreadable.
        """
        where, params = gate.between(self.agency, "started_at", start, end)
        if not unfounded:
            where.append("unfounded is distinct from true")
        if offence is not None:
            clause, values = gate.offence_clause(self.agency.group(offence))
            where.append(clause)
            params += values
        if beat is not None:
            self._known("incidents", "beat", beat)
            where.append("beat = ?")
            params.append(beat)
        return self._frame("incidents", where, params, area, start=start, end=end, offence=offence, beat=beat, area=area).sort("started_at", "incident_id")

    def calls(self, start: When | None = None, end: When | None = None, *, call_type: str | None = None, beat: str | None = None,
              area: Place | None = None) -> pl.DataFrame:
        """Calls for service received in [start, end); arguments as for :meth:`incidents`, ``call_type`` as recorded (case does not matter)."""
        where, params = gate.between(self.agency, "received_at", start, end)
        if call_type is not None:
            where.append("upper(call_type) = upper(?)")
            params.append(call_type)
        if beat is not None:
            self._known("calls", "beat", beat)
            where.append("beat = ?")
            params.append(beat)
        return self._frame("calls", where, params, area, start=start, end=end, call_type=call_type, beat=beat, area=area).sort("received_at", "call_id")

    def reads(self, start: When | None = None, end: When | None = None, *, plate: str | None = None, reader: str | None = None,
              area: Place | None = None) -> pl.DataFrame:
        """Plate reads in [start, end), by time. ``plate`` is put into normal form first.

        Raises:
            AccessRefused: no case and purpose are bound; the message shows how. NotFound, BadInput: as for :meth:`incidents`.
        """
        where, params = gate.between(self.agency, "read_at", start, end)
        if plate is not None:
            where.append("plate = ?")
            params.append(plates.normal(plate))
        if reader is not None:
            if self.may_see("reads"):
                self._known("reads", "reader", reader)
            where.append("reader = ?")
            params.append(reader)
        return self._frame("reads", where, params, area, start=start, end=end, plate=plate, reader=reader, area=area).sort("read_at", "read_id")

    def rows(self, name: str, start: When | None = None, end: When | None = None, *, area: Place | None = None) -> pl.DataFrame:
        """Rows of any table that has a time (gunshots, units, closures, arrests, ...) in [start, end), by time; arguments as for :meth:`incidents`.

        Raises:
            NotFound: no such table. BadInput: it has no time, or ``area`` is given and it has no place. AccessRefused: as for :meth:`table`.
        """
        spec = table(name)
        if not spec.time:
            raise BadInput(f"The table {name!r} has no time; read it whole with table({name!r}).")
        if area is not None and "lon" not in spec.columns:
            raise BadInput(f"The table {name!r} has no place, so area= cannot pick out rows of it.")
        where, params = gate.between(self.agency, spec.time, start, end)
        return self._frame(name, where, params, area, start=start, end=end, area=area).sort(spec.time, *spec.key)

    def quality(self, name: str = "incidents") -> Quality:
        """How far the rows of a table can be trusted, and what their faults would do to a hotspot map; see ``workbench.intake.quality``."""
        from workbench.intake import quality

        frame = self._frame(name, [], [])
        area = self.agency.study_area
        return quality.check(frame, name, zone=self.agency.zone, area=area, grid=self.grid() if area is not None else None)

    def table(self, name: str) -> pl.DataFrame:
        """Any canonical table whole, current editions.

        Raises:
            NotFound: no such table. AccessRefused: it is personal and no case and purpose are bound.
        """
        spec = table(name)
        return self._frame(name, [], []).sort(*spec.key)

    def facts(self, *, reads_since: When | None = None) -> links_case.Facts:
        """All frames that the link models take; reads from a time on (None: all).

        Raises:
            AccessRefused: no case and purpose are bound.
        """
        names = ("people", "vehicles", "phones", "addresses", "involvements", "associations")
        frames = {n: self.table(n) for n in names}
        return links_case.Facts(incidents=self.incidents(), reads=self.reads(reads_since), **frames)

    def sql(self, query: str, params: Sequence[Any] = ()) -> pl.DataFrame:
        """One SELECT over the canonical tables (and ``batches``, ``rejects``) at the pinned versions, as a Polars frame.

        The connection can read nothing but the files of the tables this workbench may see: no other file, no network, no settings.

        Raises:
            AccessRefused: the query touches plates or persons and no case and purpose are bound.
            BadInput: not one SELECT, or DuckDB cannot run it (its message is given). NotFound: no such table or column.
        """
        with self.deed("sql", "lake", query=query) as outcome:
            names = gate.tables_in(query)
            self._need(names)
            allowed = [n for n in (*TABLES, "batches", "rejects") if n in names]
            derived = {"incidents": gate.offence_group_sql(self.agency.offence_groups)}
            frame = self.lake.query(query, params, versions=self.versions, tables=allowed, derived=derived)
            outcome["rows"] = frame.height
        return remember(frame, self._origin())

    def holdings(self) -> pl.DataFrame:
        """What the lake holds: table, rows (current editions), version, latest (newest time in it, null for tables without a time). Counts only."""
        rows = []
        for name in [n for n in TABLES if self.versions.get(n) is not None]:
            latest = f"max({TABLES[name].time})" if TABLES[name].time else "null::timestamptz"
            query = f"select '{name}' as \"table\", count(*) as rows, {self.versions[name]} as version, {latest} as latest from {name}"
            rows.append(self.lake.query(query, versions=self.versions))
        return pl.concat(rows) if rows else pl.DataFrame(schema={"table": pl.String, "rows": pl.Int64, "version": pl.Int32, "latest": pl.Datetime("us", "UTC")})

    def batches(self) -> pl.DataFrame:
        """Every load: file, SHA-256, counts."""
        return self.lake.batches(self.versions)

    def rejects(self) -> pl.DataFrame:
        """Every record that could not be used, with line and reason; the raw text of plate and person records only with case and purpose."""
        with self.deed("query", "rejects") as outcome:
            frame = self.lake.rejects(self.versions)
            if not (self.case and self.purpose):
                personal = [n for n, t in TABLES.items() if t.personal]
                closed = self.lake.batches(self.versions).filter(pl.col("tables").list.eval(pl.element().is_in(personal)).list.any())
                frame = frame.with_columns(pl.when(pl.col("batch_id").is_in(closed["batch_id"].to_list())).then(None).otherwise(pl.col("raw")).alias("raw"))
            outcome["rows"] = frame.height
        return frame

    # ------------------------------------------------------------------ where and when

    @cached_property
    def asof(self) -> datetime:
        """The end of the local day of the latest incident (not later than when it was recorded), UTC; now when there is none."""
        latest = self.lake.query("select max(started_at) v from incidents where started_at <= recorded_at", versions=self.versions)["v"][0]
        return self.agency.end_of_day(latest) if latest is not None else datetime.now(UTC)

    def offences(self) -> list[str]:
        """The agency's offence groups."""
        return list(self.agency.offence_groups)

    def beats(self) -> list[str]:
        """Beats: those of the map, else those recorded."""
        if self.agency.beats:
            return list(self.agency.beats)
        return self.lake.query("select distinct beat v from incidents where beat is not null order by 1", versions=self.versions)["v"].to_list()

    def areas(self) -> list[str]:
        """Names that ``area=`` takes: all, districts, beats."""
        return ["all", *self.agency.districts, *self.agency.beats] if self.agency.beats else ["all"] if self.agency.study_area is not None else []

    def grid(self, cell: float = 250.0, area: Place | None = None) -> Grid:
        """A grid over the study area (or a beat or district); without one, over where 99.8 % of the incidents lie.

        Raises:
            CannotTell: there is neither a study area nor an incident with a position.
        """
        return gate.grid(self.agency, self.lake, self.versions, cell, area)

    @cached_property
    def _base(self) -> tuple[Layer, ...]:
        return gate.base_layers(self.agency)

    def base(self) -> tuple[Layer, ...]:
        """The agency's own base map as layers: water, streets, beats. Nothing comes from off the machine."""
        return self._base

    # ------------------------------------------------------------------ search

    def search(self, text: str, table: str = "incidents", start: When | None = None, end: When | None = None, *, most: int = 100) -> pl.DataFrame:
        """Rows of a table that tell of some words in narrative, MO or wording, best first: key, at, score, column, snippet.

        ``sliding door`` (both words), ``"kicked in"``, ``pry*``, ``garage | shed``, ``-vehicle``; see ``workbench.lake.words``.

        Raises:
            BadInput: nothing to look for. NotFound: the table is not searched. AccessRefused: it is personal and no case is bound.
        """
        from workbench.lake import words

        with self.deed("search", table, text=text, start=str(start or ""), end=str(end or "")) as outcome:
            self._need([table])
            where, params = gate.between(self.agency, TABLES[table].time, start, end) if table in TABLES and TABLES[table].time else ([], [])
            found = words.search(self.lake, table, self.versions, text, where=" and ".join(where), params=tuple(params), most=most)
            outcome["rows"] = found.height
        return found

    def find(self, text: str, *, most: int = 40) -> pl.DataFrame:
        """Cases, incidents and (with case and purpose) vehicles, people, phones and addresses that match a text.

        Returns a frame kind, id ("<kind>:<key>"), label; nearest first: exact, then beginning with it, then holding it. O(rows of those tables).

        Raises:
            BadInput: fewer than two letters or digits.
        """
        wanted = text.strip()
        if len(re.sub(r"\W", "", wanted)) < 2:
            raise BadInput(f"{text!r} is too short to search; give at least two letters or digits of a number, plate, name, phone or address.")
        with self.deed("search", "entities", text=wanted) as outcome:
            found = gate.find(self.lake, self.versions, self.casebook, wanted, personal=bool(self.case and self.purpose), most=most)
            outcome["rows"] = found.height
        return found

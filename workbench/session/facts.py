"""The facts as frames: one method a table that is asked for often, ``rows`` and ``table`` for any other, ``sql`` for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench import gate, plates
from workbench.errors import AccessRefused, BadInput
from workbench.gate import Place, When
from workbench.lake import withdrawn
from workbench.models.links import case as links_case
from workbench.results import origin_of, remember
from workbench.schema import TABLES, table
from workbench.session.asked import noting
from workbench.session.opened import Opened

if TYPE_CHECKING:
    from workbench.intake.map_widget import MapWidget


class Facts(Opened):
    """Frames out of the lake, each through the gate."""

    @noting
    def incidents(self, start: When | None = None, end: When | None = None, *, offence: str | None = None, beat: str | None = None,
                  area: Place | None = None, unfounded: bool = False) -> pl.DataFrame:
        """Incidents that started in [start, end), current editions, with ``offence_group`` as the agency's settings say.

        Args:
            start, end: local date or time of the agency as text, a date, or an aware datetime; the end is not included.
            offence: one of the agency's offence groups.
            beat: as recorded.
            area: beat or district by name (their polygons), a Polygon, or (west, south, east, north); rows without a position are then left out.
            unfounded: also those that the agency withdrew (column ``unfounded``), and those that a row of their own took back (``withdraws``). Without
                them the count is net; rows that take back one that the lake does not hold are counted in the basis of every result.

        Raises:
            NotFound: unknown offence group, beat or area. BadInput: the period is empty or unreadable.
        """
        where, params = gate.between(self.agency, "started_at", start, end)
        if offence is not None:
            clause, values = gate.offence_clause(self.agency.group(offence))
            where.append(clause)
            params += values
        if beat is not None:
            self._known("incidents", "beat", beat)
            where.append("beat = ?")
            params.append(beat)
        gone = None if unfounded or not self.may_see("incidents") else withdrawn.find(self.lake, self.versions)
        standing = [] if gone is None else ["unfounded is distinct from true", "incident_id not in (select unnest(?::varchar[]))"]
        frame = self._frame("incidents", [*where, *standing], params if gone is None else [*params, gone.incidents], area,
                            start=start, end=end, offence=offence, beat=beat, area=area)
        notes = () if gone is None else self._unpaired(gone.lone, where, params, area)
        noted = origin_of(frame)
        return remember(frame.sort("started_at", "incident_id"), replace(noted, notes=(*noted.notes, *notes)))

    def _unpaired(self, lone: pl.DataFrame, where: Sequence[str], params: Sequence[Any], area: Place | None) -> tuple[str, ...]:
        """What to say of rows that take back an incident which is not held, of those that were asked for."""
        if lone.is_empty():
            return ()
        asked = gate.only(lone, " and ".join(f"({c})" for c in where), params)
        if area is not None:
            inside = gate.polygon(self.agency, area).contains(asked["lon"].to_numpy(), asked["lat"].to_numpy())
            asked = asked.filter(pl.Series(inside, dtype=pl.Boolean))
        one = asked.height == 1
        return (f"{asked.height:,} {'row takes' if one else 'rows take'} back an incident that the lake does not hold, so nothing was left out for "
                f"{'it' if one else 'them'}: the agency's own net count is lower by {asked.height:,}.",) if asked.height else ()

    @noting
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
        return _sorted(self._frame("calls", where, params, area, start=start, end=end, call_type=call_type, beat=beat, area=area), "received_at", "call_id")

    @noting
    def reads(self, start: When | None = None, end: When | None = None, *, plate: str | None = None, reader: str | None = None,
              area: Place | None = None) -> pl.DataFrame:
        """Plate reads in [start, end), by time. ``plate`` is put into normal form first.

        Raises:
            AccessRefused: no case and purpose are bound; the message shows how. NotFound, BadInput: as for :meth:`incidents`.
        """
        where, params = gate.between(self.agency, "read_at", start, end)
        wanted = None if plate is None else plates.normal(plate)
        if reader is not None:
            if self.may_see("reads"):
                self._known("reads", "reader", reader)
            where.append("reader = ?")
            params.append(reader)
        return _sorted(self._frame("reads", where, params, area, wanted, start=start, end=end, plate=plate, reader=reader, area=area), "read_at", "read_id")

    @noting
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
        return _sorted(self._frame(name, where, params, area, start=start, end=end, area=area), spec.time, *spec.key)

    @noting
    def table(self, name: str) -> pl.DataFrame:
        """Any canonical table whole, current editions.

        Raises:
            NotFound: no such table. AccessRefused: it is personal and no case and purpose are bound.
        """
        spec = table(name)
        return _sorted(self._frame(name, [], []), *spec.key)

    def facts(self, *, reads_since: When | None = None) -> links_case.Facts:
        """All frames that the link models take; reads, calls for service and telephone calls from a time on (None: all).

        Arrests, interviews and calls that the role does not see, and tables that this lake does not hold, are left empty.

        Raises:
            AccessRefused: no case and purpose are bound.
        """
        names = ("people", "vehicles", "phones", "addresses", "involvements", "associations")
        frames = {n: self.table(n) for n in names} | {"incidents": self.incidents(), "reads": self.reads(reads_since)}
        for name, since in (("arrests", None), ("interviews", None), ("calls", reads_since), ("phone_calls", reads_since)):
            if name in TABLES and self.may_see(name):
                frames[name] = self.rows(name, since)
        notes = tuple(dict.fromkeys(n for f in frames.values() for n in origin_of(f).notes))
        for frame in frames.values():
            remember(frame, replace(origin_of(frame), notes=notes))  # what limits one frame limits every answer over all of them
        return links_case.Facts(**frames)

    @noting
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
            seen = [n for n in allowed if n in TABLES]
            notes = (*(note for n in seen for note in self._aged(n, None, None)), *self._noted(seen))
            derived = {"incidents": gate.offence_group_sql(self.agency.offence_groups)}
            frame = self.lake.query(query, params, versions=self.versions, tables=allowed, derived=derived)
            outcome["rows"] = frame.height
        return remember(frame, self._origin(notes))

    @noting
    def holdings(self) -> pl.DataFrame:
        """What the lake holds: table, rows (current editions), version, latest (newest time in it, null for tables without a time). Counts only.

        Tables that the role does not see are left out; those that need a case are counted, whether one is bound or not.
        """
        self._alive()
        rows = []
        for name in [n for n in TABLES if self.versions.get(n) is not None and self.policy.acting(self.person).sees(n)]:
            latest = f"max({TABLES[name].time})" if TABLES[name].time else "null::timestamptz"
            query = f"select '{name}' as \"table\", count(*) as rows, {self.versions[name]} as version, {latest} as latest from {name}"
            rows.append(self._counted.query(query, versions=self.versions))
        return pl.concat(rows) if rows else pl.DataFrame(schema={"table": pl.String, "rows": pl.Int64, "version": pl.Int32, "latest": pl.Datetime("us", "UTC")})

    @noting
    def batches(self) -> pl.DataFrame:
        """Every load: file, SHA-256, counts; none for a role that neither sees a table nor loads.

        Raises:
            AccessRefused: an emergency access is over.
        """
        self._alive()
        frame = self.lake.batches(self.versions)
        return frame if any(self.policy.acting(self.person).sees(t) for t in TABLES) or self.may("load") else frame.clear()

    @noting
    def rejects(self) -> pl.DataFrame:
        """Every record that could not be used, with line and reason; the raw text only of sources whose tables this workbench may show whole.

        Raises:
            AccessRefused: the role sees no table.
        """
        with self.deed("query", "rejects") as outcome:
            if not any(self.policy.acting(self.person).sees(t) for t in TABLES):
                raise AccessRefused(f"The role {self.role} sees no facts, and so no records that could not be used.")
            frame = self.lake.rejects(self.versions)
            outcome["rows"] = frame.height
        return frame

    @noting
    def history(self, name: str, *key: Any) -> pl.DataFrame:
        """Every edition of one row, oldest first: what it said before it was changed, with ``recorded_at`` and ``batch_id`` of each.

        Args:
            name: the table.
            key: the values of its key, e.g. ``city.history("calls", "A0000117")``.

        Raises:
            NotFound: no such table. BadInput: not as many values as the key has columns. AccessRefused: as for :meth:`table`.
        """
        table(name)
        with self.deed("history", name, key=[str(k) for k in key]) as outcome:
            self._need([name])
            notes = (*self._aged(name, None, None), *self._noted([name]))
            frame = self.lake.history(name, key, self.versions)
            outcome["rows"] = frame.height
        return remember(frame, self._origin(notes))

    def area_of(self, frame: pl.DataFrame, kind: str = "beat", *, on: str = "row", time: str = "started_at") -> pl.Series:
        """The boundary of a kind that each row lies in, by the map of its own local day (``on="row"``) or of one day ("2026-05-01").

        What the agency recorded stays in the row's own column; see ``workbench.geo.boundaries``.

        Raises:
            NotFound: no boundary of that kind is loaded.
        """
        from workbench.geo import boundaries

        return boundaries.assign(frame, self.table("boundaries"), kind, on=on, time=time, zone=self.agency.zone)

    def map_file(self, path: str | Path, table: str | None = None, *, zone: str | None = None, name: str | None = None) -> MapWidget:
        """A strange export as a widget: what is proposed for each column, how the first rows would load, and a button that saves the mapping.

        Args:
            table: the table it fills; None = proposed with its reason.
            zone: time zone of the file's wall clocks, where it is not the agency's.
            name: of the source to be; None = made of the file's name.

        Raises:
            BadInput: the file cannot be read. AccessRefused: the role may not load.
        """
        from workbench.intake.map_widget import map_file

        self.require("load")
        return map_file(path, table, workspace=self.path, agency=self.agency, zone=zone, name=name)


def _sorted(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """A frame in order, with its origin and notes."""
    return remember(frame.sort(*columns), origin_of(frame))

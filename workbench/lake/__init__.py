"""The facts: append-only Delta tables in a folder. Sources are loaded into it, frames are read out of it at pinned versions.

Several processes may load and read at once. A load is one batch, visible as a whole once its row in ``batches`` is committed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from workbench import schema
from workbench.engines.duckdb import MEMORY, connect, name
from workbench.errors import BadInput, NotFound, did_you_mean, whole
from workbench.lake import compact as compaction
from workbench.lake import journal, keys, known, layout, positions, resolutions
from workbench.lake import purge as purging
from workbench.lake import vacuum as vacuuming
from workbench.lake.load import Load, Progress
from workbench.lake.report import LoadReport
from workbench.lake.status import status
from workbench.lake.sweep import sweep
from workbench.lake.tables import SHAPES
from workbench.lake.view import View
from workbench.loaders import Source

__all__ = ["Lake", "LoadReport"]

#: Memory that one load may use for mapping and comparing, beside some 100 MB of Python's own.
LOAD_MEMORY = "1GB"
#: Bytes of reads that are read again for a question about a plate, rather than laid out by plate.
_MUCH = 8 << 20
#: Keys among pinned versions that are no table.
_MARKS = frozenset({journal.KEY, known.KEY})


class Lake:
    """The lake of a workspace.

    Args:
        path: its folder; made by the first load.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        self._view = View(self.path)
        self._warm: duckdb.DuckDBPyConnection | None = None
        self._own = threading.local()
        self._guard = threading.Lock()
        self._asked: set[str] = set()

    def load(self, source: Source, file: Path, *, zone: str | None = None, user: str = "", progress: Progress | None = None,
             memory: str = LOAD_MEMORY, said: Mapping[str, str] | None = None) -> LoadReport:
        """Take one file in as one batch.

        Args:
            source: what the file is.
            file: plain, .gz or .zip CSV, NDJSON or Parquet, as the source allows.
            zone: of its wall-clock times; None = the source's own.
            user: who loads, for the ledger.
            progress: called with a phase (checking, reading, comparing, writing) and its share done, 0 to 1.
            memory: bound for mapping and comparing; larger work spills to the lake's own disk.
            said: what the source asks for and is not in the file (``Source.asks``), e.g. {"case_number": "2026-0142"}.

        Returns:
            The counts; they always balance. The same bytes with the same mapping again add nothing.

        Raises:
            BadInput: the file cannot be loaded as this source; nothing was loaded.

        Cost: about 0.4 s of CPU for 100,000 records of 12 columns, less of wall time on two cores and more, and 0.2 s for any file. Memory: some 600 MB
        beside ``memory``, and 40 bytes a record while it is compared. Disk while it runs: the Parquet files that stay, and for a document (JSON, XML,
        Excel ...) its records as NDJSON.
        """
        coded = re.search(r"%[0-9A-Fa-f]{2}", str(self.path))
        if coded:
            raise BadInput(f"The lake's folder {self.path} has {coded[0]!r} in its path, which Delta tables take for a coded character; rename that folder.")
        self.path.mkdir(parents=True, exist_ok=True)
        purging.resume(self.path, self._view)
        report = Load(self.path, self._view, source, Path(file), zone or source.zone, user, memory, progress or (lambda phase, share: None), said or {}).run()
        if not report.already:
            report = replace(report, dropped=positions.dropped(self, source, report))
            compaction.after_load(self.path, self._view, (*source.tables, "rejects"))
        return report

    def sweep(self) -> list[str]:
        """Clear away what killed loads left; gives their batches. Every load does this first."""
        return sweep(self.path, self._view)

    def versions(self) -> dict[str, int]:
        """The newest version of every table there is, and the position of the journal: a consistent state to pin. About 1 ms a table."""
        return self._view.versions()

    def check(self, versions: Mapping[str, int]) -> dict[str, int]:
        """The same versions, when this lake has them.

        Raises:
            NotFound: a table or version is not there; the message says what is. DataPurged: rows of it were purged; the message names the certificate.
            BadInput: their moment of knowledge is none, or lies in the future.
        """
        newest = self.versions()
        if known.KEY in versions:
            known.check(versions[known.KEY])
        for table, version in versions.items():
            if table == known.KEY:
                continue
            held = newest.get(table if table == journal.KEY else _known(table))
            if held is None:
                raise NotFound(f"Table {table!r} has no version {version} here: nothing has been loaded into it.")
            if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version <= held:
                raise NotFound(f"Table {table!r} has no version {version!r}; its newest is {held}.")
        if set(versions) - _MARKS and "batches" not in versions:
            raise NotFound("The versions lack 'batches', without which no load is visible; give all that Lake.versions() gave.")
        for table, version in versions.items():
            if table not in _MARKS and not all(f.exists() for f in self._view.files(table, versions)):
                purging.refuse(self.path, self._view, versions, table)
                raise NotFound(f"Version {version} of {table!r} was vacuumed: some of its files are gone. Pin versions that are to be seen again (Lake.pin).")
        purging.refuse(self.path, self._view, versions)
        return dict(versions)

    def relation_sql(self, table: str, versions: Mapping[str, int], *, history: bool = False, at: datetime | None = None) -> str:
        """SQL of a table's rows at pinned versions, in brackets, for use behind FROM.

        Rows are the latest edition of each key, by revised_at where the table has it, then recorded_at, then line; with
        ``history`` every edition. A table that is not there yet is empty, with its columns. With ``at`` (or versions that carry such a
        moment, see ``lake.known``) they are as they were known then: nothing recorded later, the latest edition recorded by then.

        Raises:
            NotFound: there is no such table in the data model. DataPurged: rows of it were purged since that state.
        """
        pinned = versions if at is None else known.at(versions, at)
        purging.refuse(self.path, self._view, pinned, _known(table))
        return f"({self._view.current(table, pinned, history=history)})"

    def files(self, table: str, versions: Mapping[str, int]) -> list[str]:
        """The files a table's pinned state rests on: Parquet files, oldest batch first, lists of superseded rows, then the journal's."""
        own = (*self._view.files(_known(table), versions), *self._view.sidecars(table, versions))
        return [*map(str, own), *journal.rows(self._view, table, versions).files]

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with times in UTC and bounded memory."""
        return connect(memory=MEMORY)

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = (), *, versions: Mapping[str, int],
              tables: Iterable[str] | None = None, derived: Mapping[str, str] | None = None) -> pl.DataFrame:
        """Ask in SQL over the canonical tables, ``batches`` and ``rejects`` at pinned versions.

        The query can read those tables and nothing else: no other file, no network, no setting.

        Args:
            sql: one SELECT; ``?`` or ``$name`` for values.
            params: their values.
            versions: as ``versions()`` gave them.
            tables: the tables that may be seen; None = all.
            derived: table -> SQL of further columns over its own, e.g. {"calls": "hour(received_at) as hour"}.

        Raises:
            NotFound: it names a table or column that is not there.
            BadInput: it is not SQL that can be run.
        """
        from workbench.lake.ask import ask

        allowed = list(SHAPES) if tables is None else [_known(t) for t in tables]
        return ask(self, sql, params, versions, allowed, derived or {})

    def tables_in(self, sql: str) -> list[str]:
        """The tables whose names occur as a word in some SQL; what the query may see is never more."""
        words = set(re.findall(r"\w+", sql.lower()))
        return [t for t in SHAPES if t in words]

    def frame(self, table: str, versions: Mapping[str, int] | None = None, *, where: str = "", params: Sequence[Any] = ()) -> pl.DataFrame:
        """A table's current rows: canonical columns, then provenance.

        Args:
            table: canonical table.
            versions: pinned versions; None = newest.
            where: SQL condition over its columns, ``?`` for values.
            params: their values.
        """
        whole(list(params))
        pinned = self.versions() if versions is None else versions
        columns = ", ".join(name(c) for c in SHAPES[_known(table)])
        sql = f"select {columns} from {self.relation_sql(table, pinned)}" + (f" where {where}" if where else "")
        with self._cursor() as con:
            return (con.sql(sql, params=list(params)) if params else con.sql(sql)).pl()

    def editions(self, table: str, versions: Mapping[str, int], *, where: str) -> pl.DataFrame:
        """Rows of every edition that fulfil an SQL condition, as ``frame`` gives the current ones."""
        columns = ", ".join(name(c) for c in SHAPES[_known(table)])
        with self._cursor() as con:
            return con.sql(f"select {columns} from {self.relation_sql(table, versions, history=True)} where {where}").pl()

    def lookup(self, table: str, column: str, values: Sequence[str], versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """The current rows of a table with one of some values in a column; as ``frame`` gives them.

        For reads by plate it does not read the other plates' rows once their copies sorted by plate are made (``layout``): by ``compact``, or
        here when a second question would have to read many rows again. About 1 ms for each million reads then.
        """
        pinned = self.versions() if versions is None else versions
        if column not in (texts := [n for n, c in SHAPES[_known(table)].items() if c.type == "VARCHAR"]):
            raise NotFound(f"{table} has no column {column!r} of texts.{did_you_mean(column, texts)}")
        whole(values)
        marks = ", ".join("?" for _ in values)
        if layout.BY.get(_known(table)) != column or not values or known.KEY in pinned:
            return self.frame(table, pinned, where=f"{name(column)} in ({marks})" if values else "false", params=list(values))
        with self._cursor() as con:
            bare = [f for files in layout.lacking(self._view, table, pinned).values() for f in files]
            if sum(f.stat().st_size for f in bare) > _MUCH:
                if table not in self._asked:
                    self._asked.add(table)
                    return self.frame(table, pinned, where=f"{name(column)} in ({marks})", params=list(values))
                layout.make(con, self._view, table, pinned)
            found = layout.look_up(con, self._view, table, values, pinned)
            live = journal.rows(self._view, table, pinned).sql
            if live:
                about = schema.table(table)
                rows = con.sql(f"select {', '.join(map(name, dict.fromkeys([*about.key, column])))} from ({live})").pl()
                if rows.filter(pl.col(column).is_in(list(values))).height or rows.join(found, on=list(about.key), how="semi").height:
                    return self.frame(table, pinned, where=f"{name(column)} in ({marks})", params=list(values))
            return found

    def superseded_by(self, table: str, batch_id: str, versions: Mapping[str, int], where: str) -> pl.DataFrame:
        """The rows that a batch superseded and that fulfil an SQL condition; before any of its files is folded.

        Cost: some columns of the files in which those rows are.
        """
        if not (listing := keys.gone_file(self.path, _known(table), batch_id)).exists():
            return self.frame(table, versions, where="false")
        gone = pl.read_parquet(listing)
        names = set(gone["file"].to_list())
        files = [f for f in self._view.files(table, versions) if f.name in names]
        if not files:
            return self.frame(table, versions, where="false")
        columns = ", ".join(name(c) for c in SHAPES[table])
        with self._cursor() as con:
            rows = con.sql(f"select {columns}, parse_filename(filename) as \"#file\", file_row_number as \"#row\" "
                           f"from {self._view.placed(table, versions, files)} where {where}").pl()
        return rows.join(gone.select(pl.col("file").alias("#file"), pl.col("row").cast(rows.schema["#row"]).alias("#row")), on=["#file", "#row"],
                         how="semi").drop("#file", "#row")

    def hourly(self, table: str, column: str, start: datetime, end: datetime, versions: Mapping[str, int] | None = None, *,
               groups: Mapping[str, str] | None = None) -> pl.DataFrame:
        """How many current rows of a table there are in [start, end) for each value of a column and hour: the column, hour (its start, UTC), rows.

        Args:
            table: one with a time.
            column: e.g. "beat" of calls, "reader" of reads.
            start, end: aware datetimes.
            groups: what each value is counted under, e.g. the beat of each reader; values that are not among them are counted under null.

        Raises:
            BadInput: the table has no time or no such column.

        Cost: about 20 ms for each million rows of the span.
        """
        about = schema.table(_known(table))
        if not about.time or column not in about.columns:
            raise BadInput(f"{table} has no time." if not about.time else f"{table} has no column {column!r}.{did_you_mean(column, about.columns)}")
        rows = self.relation_sql(table, self.versions() if versions is None else versions)
        counted = (f"select {name(column)}, epoch_us({name(about.time)}) // 3600000000 as hour, count(*) as rows from {rows} "
                   f"where {name(about.time)} >= ? and {name(about.time)} < ? group by all")
        params: list[Any] = [start, end]
        if groups is not None:
            names = "(select unnest(?::varchar[]) as name, unnest(?::varchar[]) as under)"
            counted = (f"select under as {name(column)}, hour, sum(rows)::bigint as rows from ({counted}) left join {names} "
                       f"on cast({name(column)} as varchar) = name group by all")
            params += [list(groups), list(groups.values())]
        with self._cursor() as con:
            found = con.sql(counted, params=params).pl()
        return found.with_columns((pl.col("hour") * 3_600_000_000).cast(pl.Datetime("us", "UTC"))).sort("hour", column, nulls_last=True)

    def history(self, table: str, key: Sequence[Any], versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Every edition of one key, oldest first: what a row said before it was changed, with ``recorded_at`` and ``batch_id`` of each.

        Args:
            table: canonical table.
            key: the values of its key columns, e.g. ("A0000117",).

        Raises:
            BadInput: not as many values as the table has key columns.
        """
        about = schema.table(_known(table))
        if len(key) != len(about.key) or isinstance(key, str):
            raise BadInput(f"A key of {table} has {len(about.key)} value{'s' if len(about.key) > 1 else ''} ({', '.join(about.key)}); {key!r} was given.")
        whole(key)
        pinned = self.versions() if versions is None else versions
        where, columns = " and ".join(f"{name(k)} = ?" for k in about.key), ", ".join(name(c) for c in SHAPES[table])
        with self._cursor() as con:
            rows = self.relation_sql(table, pinned, history=True)
            return con.sql(f"select {columns} from {rows} where {where} order by recorded_at, line", params=list(key)).pl()

    def compact(self, table: str | None = None) -> list[compaction.Compacted]:
        """Fold small files into few that are sorted by time, and lay reads out by plate; every edition and pinned version stays. See ``lake.compact``.

        Raises:
            NotFound: there is no such table.
        """
        done = compaction.compact(self.path, self._view, None if table is None else [_known(table)])
        with self._cursor() as con:
            for name_ in layout.BY if table is None else {table} & set(layout.BY):
                layout.make(con, self._view, name_, self._view.settled())
        return done

    def vacuum(self, days: float = vacuuming.DAYS) -> vacuuming.Vacuumed:
        """Delete files that no version of the last days, no pinned version and not the newest reads; see ``lake.vacuum``.

        Raises:
            BadInput: days is below 0.
        """
        if days < 0:
            raise BadInput(f"days={days} is below 0; 0 keeps the newest and the pinned versions only.")
        return vacuuming.vacuum(self.path, self._view, days=days)

    def purge(self, selection: purging.Selection, purge_id: str) -> purging.Purged:
        """Take rows out for good: every edition, every older version that has them (pinned ones too), every copy; see ``lake.purge``.

        Args:
            selection: conditions and keys.
            purge_id: names the purge; with one that was begun or done before, that one is finished or told of.

        Raises:
            WorkbenchError: a watcher holds the journal and does not answer.

        Cost: the files that hold such rows are written again, about 3 s of CPU for each million rows in them; loads of the table wait.
        """
        return purging.purge(self.path, self._view, selection, purge_id)

    def pin(self, versions: Mapping[str, int], why: str, user: str = "") -> str:
        """Keep versions readable whatever is vacuumed, e.g. those a briefing rests on; gives the pin's name.

        Raises:
            NotFound: a version is not there.
        """
        return vacuuming.pin(self.path, self.check(versions), why, user)

    def pins(self) -> pl.DataFrame:
        """The pins: name, why, user, pinned_at, versions."""
        return vacuuming.pins(self.path)

    def unpin(self, name: str) -> None:
        """Take a pin away; raises NotFound where there is none of that name."""
        vacuuming.unpin(self.path, name)

    def status(self) -> pl.DataFrame:
        """One row a table: version, files, rows (every edition), superseded (rows that are not the latest edition), bytes (of these files),
        spare (bytes of files that only older versions read). Counts only."""
        return status(self.path, self._view)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """This thread's cursor of the lake's one warm connection, which remembers the footers of Parquet files."""
        with self._guard:
            if self._warm is None:
                self._warm = self.connect()
            if not hasattr(self._own, "cursor"):
                self._own.cursor = self._warm.cursor()
                self._own.cursor.execute("set TimeZone = 'UTC'; set parquet_metadata_cache = true")  # a cursor has settings of its own
        yield self._own.cursor

    def batches(self, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """The ledger: one row a visible batch, oldest first."""
        return self.frame("batches", versions).sort("recorded_at", "batch_id")

    def rejects(self, versions: Mapping[str, int] | None = None, *, open_only: bool = False) -> pl.DataFrame:
        """The rejected records of the visible batches, in order of batch and line, with what became of them: ``outcome`` (mended, dismissed, null =
        open) and ``resolved_by`` (the batch that took the mended record in); with ``open_only`` those that are open."""
        pinned = self.versions() if versions is None else versions
        with self._cursor() as con:
            return con.sql(resolutions.joined(self._view, pinned, open_only=open_only)).pl().sort("recorded_at", "batch_id", "line")

    def resolve(self, batch_id: str, lines: Iterable[int], outcome: str, *, resolved_by: str | None = None, reason: str | None = None,
                user: str = "") -> int:
        """Write down what became of some rejected records of a batch; gives how many.

        Args:
            batch_id: the load that rejected them.
            lines: as ``rejects()`` gives them.
            outcome: "mended" or "dismissed".
            resolved_by: the batch in which the mended records were taken in.
            reason: why they were dismissed.
            user: who says so.

        Raises:
            NotFound: the batch has no such rejected line. BadInput: no such outcome, a dismissal without a reason, or mending without a batch.
        """
        return resolutions.resolve(self.path, self._view, batch_id, lines, outcome, resolved_by, reason, user)


def _known(table: str) -> str:
    if table not in SHAPES:
        raise NotFound(f"There is no table {table!r}.{did_you_mean(table, SHAPES)}")
    return table

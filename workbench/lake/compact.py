"""Many small files of a table become few, sorted by time: the same rows, all editions kept, every pinned version as it was.

A compaction writes the rows of some files of visible batches again: those that are current into one file ("cur"), those that were
superseded into another ("old"), which only history reads. One Delta commit takes the old files out and puts the new ones in, so it is
done or not done. The rows keep their batch, line and recorded_at.

*Nothing uncommitted is ever folded in.* Only files of batches whose ledger row is committed are taken, under the table's lock, which a
load holds from its comparison until its ledger row is committed; what a dead load moved in is not visible and is left to the sweep.

*A compacted file is visible by itself*, without a ledger row, so no state may pair it with a ``batches`` version older than a batch in
it. ``View.versions`` gives a state only if no batch became visible while it looked at the tables. Older versions go on reading the old
files, which stay on disk until ``vacuum``.

*Superseded rows* (``keys``): the lists of the batches folded name rows of files that are gone now, and rows of files that are not
folded; the compaction's own list takes over the latter. Later lists name rows of the compacted file.

A compaction that was killed before its commit leaves files that no version names; the sweep deletes them. After a load it is one step of
at most a million rows, and is left out when another process holds the table.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
from deltalake.exceptions import DeltaError

from workbench import schema
from workbench.engines.duckdb import connect, literal, name
from workbench.lake import compare, keys, tables, vacuum
from workbench.lake.sweep import folder, sweep, working
from workbench.lake.view import View

if TYPE_CHECKING:
    import pyarrow.parquet as pq

#: Files of a table above which a load folds some, and rows that it folds at most.
MANY, BRIEF = 32, 1_000_000
#: Files with fewer rows are folded by ``compact``, so many rows at a time.
LARGE = 4_000_000
#: Rows of a row group: an hour of a busy city's reads lies in one or two.
GROUP = 61_440
#: Share of superseded rows from which a large file is written again.
WORN = 0.01


@dataclass(frozen=True)
class Compacted:
    """One step: how many files became how many, and their rows."""

    table: str
    before: int
    after: int
    rows: int


@dataclass(frozen=True)
class _File:
    path: Path
    rows: int
    worn: bool

    @property
    def old(self) -> bool:
        return tables.kind_of(self.path.name) == tables.OLD


def compact(root: Path, view: View, only: Iterable[str] | None = None) -> list[Compacted]:
    """Fold the small files of every table, and write large ones again that are worn or not in order of time; gives the steps made.

    Cost: about 3 s of CPU for each million rows written again; other loads of a table wait for the step under way.
    """
    sweep(root, view)
    done: list[Compacted] = []
    for table in tables.SHAPES if only is None else only:
        while table != "batches" and (step := _step(root, view, table, brief=False)) is not None:
            done.append(step)
    return done


def after_load(root: Path, view: View, filled: Iterable[str]) -> list[Compacted]:
    """One short step for each table that has come to many files, and a vacuum when the last is a day ago; none where another process is at it.

    What was loaded is visible already, so that a step that fails is only logged.
    """
    done: list[Compacted] = []
    versions = view.settled()
    for table in filled:
        if len(view.files(table, versions)) > MANY:
            try:
                step = _step(root, view, table, brief=True)
            except BlockingIOError:
                continue
            except (OSError, duckdb.Error, DeltaError) as error:
                logging.getLogger(__name__).warning("The lake's table %s was not compacted: %s", table, error)
                continue
            done += [step] if step else []
    if done and vacuum.due(root):
        vacuum.vacuum(root, view)
    return done


def _step(root: Path, view: View, table: str, *, brief: bool) -> Compacted | None:
    if tables.latest(root, table) is None:
        return None
    owner = f"{tables.COMPACTION}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    with working(root, view, owner) as work, tables.locked(root, table, wait=not brief):
        versions = view.settled()
        chosen = _chosen(_files(view, table, versions), brief=brief)
        if not chosen:
            return None
        con = connect(memory="1GB", spill=folder(root, owner) / "spill", within=(root,))
        try:
            made = written(con, view, table, versions, [f.path for f in chosen], owner, work)
        finally:
            con.close()
        if made and table in schema.TABLES:
            compare.place(root, table, owner, work)
        tables.append(root, table, made, remove=[f.path.name for f in chosen], same=True)
    return Compacted(table, len(chosen), len(made), sum(f.rows for f in chosen))


def _files(view: View, table: str, versions: Mapping[str, int]) -> list[_File]:
    import pyarrow.parquet as pq

    gone: dict[str, int] = {}
    for listing in view.sidecars(table, versions):
        for file, count in pl.read_parquet(listing, columns=["file"]).group_by("file").len().iter_rows():
            gone[file] = gone.get(file, 0) + count
    found = []
    for path in view.files(table, versions):
        about = pq.read_metadata(path)
        worn = gone.get(path.name, 0) > WORN * about.num_rows or not _in_order(about, table)
        found.append(_File(path, about.num_rows, worn and tables.kind_of(path.name) != tables.OLD))
    return found


def _in_order(about: pq.FileMetaData, table: str) -> bool:
    """Whether the row groups of a file lie side by side in time (their spans sum up to little more than the whole)."""
    time = schema.TABLES[table].time if table in schema.TABLES else ""
    if not time or about.num_row_groups < 2:
        return True
    column = next((n for n in range(about.num_columns) if about.schema.column(n).path == time), None)
    stats = [about.row_group(n).column(column).statistics for n in range(about.num_row_groups)] if column is not None else []
    spans = [(s.min, s.max) for s in stats if s is not None and s.has_min_max]
    if len(spans) < 2:
        return True
    whole = max(high for _, high in spans) - min(low for low, _ in spans)
    parts = [high - low for low, high in spans]
    return sum(parts[1:], parts[0]) <= whole * 2


def _chosen(files: list[_File], *, brief: bool) -> list[_File]:
    """The files of one step: small ones that together are no larger than it may be. Empty when there is nothing to do."""
    for lot in ([f for f in files if not f.old], [f for f in files if f.old]):
        ranked = sorted((f for f in lot if f.rows < LARGE), key=lambda f: f.rows)
        taken: list[_File] = []
        total = 0
        for file in ranked:
            if total + file.rows > (BRIEF if brief else LARGE) or brief and len(taken) > 1 and file.rows > max(total, 10_000):
                break
            taken.append(file)
            total += file.rows
        if len(taken) > 1 and not (brief and lot and lot[0].old and len(lot) < MANY // 2):
            return taken
    worn = [f for f in files if f.worn]
    return worn[:1] if worn and not brief else []


def written(con: duckdb.DuckDBPyConnection, view: View, table: str, versions: Mapping[str, int], chosen: list[Path], owner: str,
            work: Path, *, without: str = "") -> list[tables.DataFile]:
    """Write the files of a compaction, and its sidecars where the table has keys; ``without`` is SQL behind FROM that leaves rows out."""
    rows = view.placed(table, versions, chosen)
    rows = f"(select * from {rows} {without})" if without else rows
    columns = ", ".join(name(c) for c in tables.SHAPES[table])
    if table not in schema.TABLES:
        return _copied(con, f"select {columns} from {rows} order by recorded_at, batch_id" + (", line" if "line" in tables.SHAPES[table] else ""),
                       work / f"{owner}-rec-0.parquet")
    compare.tend(con, view, table, versions)
    about = schema.table(table)
    listed = [str(f) for f in view.sidecars(table, versions)]
    source = f"read_parquet([{', '.join(map(literal, listed))}])" if listed else "(select '' as file, 0::bigint as row where false)"
    home = literal(str(chosen[0].parent) + "/")
    con.execute(f"create temp table gone as select distinct file, {home} || file as filename, row as file_row_number from {source}")
    old = ", ".join(literal(str(f)) for f in chosen if tables.kind_of(f.name) == tables.OLD)
    aside = f"filename in ({old})" if old else "false"
    order = ", ".join([about.time, *map(name, about.key)] if about.time else map(name, about.key))
    made = _copied(con, f"select {columns} from {rows} anti join gone using (filename, file_row_number) where not ({aside}) order by {order}",
                   work / f"{owner}-cur-0.parquet")
    lost = f"select {columns} from {rows} semi join gone using (filename, file_row_number)"
    if old:
        lost += f" union all by name select {columns} from {rows} anti join gone using (filename, file_row_number) where {aside}"
    made += _copied(con, f"{lost} order by {order}", work / f"{owner}-{tables.OLD}-0.parquet")
    if not made:
        return []
    keys.write(table, keys.read(con, table, [f.path for f in made]), work / f"{table}-{owner}.keys")
    stay = pl.DataFrame({"file": [f.name for f in view.files(table, versions) if f not in chosen]}, schema={"file": pl.String})
    gone = con.sql("select file, file_row_number as row from gone").pl()
    gone.join(stay, on="file", how="semi").sort("file", "row").write_parquet(work / f"{table}-{owner}.gone")
    return made


def _copied(con: duckdb.DuckDBPyConnection, rows: str, to: Path) -> list[tables.DataFile]:
    written = con.execute(f"copy ({rows}) to {literal(str(to))} (format parquet, compression zstd, row_group_size {GROUP})").fetchone()
    if written and written[0]:
        return [tables.DataFile(to, int(written[0]))]
    to.unlink(missing_ok=True)
    return []

"""Rows that are taken out of the lake for good: every edition of them, every older version that has them, and every copy.

All else in the lake is append-only; this is the one exception. A purge is written down first (``_purge/<id>/plan.json`` with the conditions and
the keys that are kept), then done table by table under the table's lock: the files with doomed rows are written again without them, as a compaction
would write them (``compact``), and committed; then every file that holds a doomed row is deleted, whatever version or pin reads it, with its
key index and sorted copies. How many rows each batch lost goes to ``purges``, so that the ledger balances. A purge that was killed is done by the
next purge or load, from the plan. What stays is ``_purge/done/<id>.json``: counts, names of deleted files, and the time up to which rows of a table were
purged (``floors``); a load leaves out older ones. No value of any row is in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from workbench import schema
from workbench.engines.duckdb import connect, literal, name
from workbench.errors import DataPurged, WorkbenchError
from workbench.lake import compact, compare, journal, journal_fold, tables, vacuum
from workbench.lake.journal_write import Writer
from workbench.lake.sweep import folder, sweep, working
from workbench.lake.view import View

FOLDER, DONE, LEDGER = "_purge", "done", "purges"
#: A file with which a purge asks a running watcher to fold and clear its journal at once, and seconds to wait for it.
ASKED, PATIENCE = "clear-asked", 60.0


@dataclass(frozen=True)
class Selection:
    """What is to be purged.

    Args:
        rows: table -> SQL condition on the current edition of a key; all its editions go. Of ``rejects``: on the record.
        editions: table -> SQL condition on any edition; a superseded one that fulfils it goes alone.
        keys: table -> frame of key columns (of rejects: batch_id, line) whose editions go.
        kept: table -> frame of key columns that stay, whatever the conditions say.
        floors: table -> time of a row (UTC) before which nothing of the table is loaded again.
        barred: ids of persons whose rows are not loaded again (kept as salted hashes).
    """

    rows: Mapping[str, str] = field(default_factory=dict)
    editions: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    kept: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    floors: Mapping[str, datetime] = field(default_factory=dict)
    barred: Sequence[str] = ()

    def tables(self) -> list[str]:
        """The tables that may lose rows; the ledger's last."""
        named = {*self.rows, *self.editions, *self.keys}
        return [t for t in (*schema.TABLES, "rejects") if t in named]


@dataclass(frozen=True)
class Purged:
    """What a purge took out: per table rows (every edition), current rows, files written again and deleted; and the versions before it."""

    purge_id: str
    rows: dict[str, int]
    current: dict[str, int]
    rewritten: dict[str, int]
    deleted: dict[str, int]
    versions: dict[str, int]
    at: datetime


def purge(root: Path, view: View, selection: Selection, purge_id: str) -> Purged:
    """Purge; see ``Lake.purge``. One that was begun under this id is finished, one that is done is only told of."""
    held = told(root, purge_id)
    if held is not None:
        return held
    home = root / FOLDER / purge_id
    if not (home / "plan.json").exists():
        _write_plan(home, view, selection)
    return _finish(root, view, purge_id)


def resume(root: Path, view: View) -> list[str]:
    """Finish the purges that were killed; gives their ids. Two looks at a folder where there are none."""
    try:
        found = sorted(e for e in os.listdir(root / FOLDER) if e not in (DONE, "lock") and not e.endswith(".part"))
    except FileNotFoundError:
        return []
    finished = []
    for purge_id in found:
        if (root / FOLDER / purge_id / "plan.json").exists():
            _finish(root, view, purge_id)
            finished.append(purge_id)
        else:
            shutil.rmtree(root / FOLDER / purge_id, ignore_errors=True)
    return finished


def told(root: Path, purge_id: str) -> Purged | None:
    """What a purge that is done took out."""
    said = marks(root).get(purge_id)
    if said is None:
        return None
    rows, current, rewritten = ({t: d[k] for t, d in said["tables"].items()} for k in ("rows", "current", "rewritten"))
    deleted = {t: len(d["deleted"]) for t, d in said["tables"].items()}
    return Purged(purge_id, rows, current, rewritten, deleted, said["versions"], datetime.fromisoformat(said["at"]))


def marks(root: Path) -> dict[str, dict[str, Any]]:
    """What stays of the purges that are done: id -> counts, names of deleted files, floors. One look at a folder."""
    home = root / FOLDER / DONE
    try:
        return _marks(home, home.stat().st_mtime_ns)
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=32)
def _marks(home: Path, changed: int) -> dict[str, dict[str, Any]]:
    found = {f.stem: json.loads(f.read_text(encoding="ascii")) for f in home.glob("*.json")}
    return dict(sorted(found.items(), key=lambda pair: pair[1]["at"]))


def floors(root: Path) -> dict[str, datetime]:
    """Table -> the latest time before which its rows were purged by age."""
    found: dict[str, datetime] = {}
    for said in marks(root).values():
        for table, moment in said["floors"].items():
            found[table] = max(found.get(table, datetime.min.replace(tzinfo=UTC)), datetime.fromisoformat(moment))
    return found


def refuse(root: Path, view: View, versions: Mapping[str, int], table: str | None = None) -> None:
    """Raise where a pinned state had rows that were purged since.

    Raises:
        DataPurged: naming the certificate.
    """
    for purge_id, said in marks(root).items():
        for name_, about in said["tables"].items():
            version = versions.get(name_)
            if table not in (None, name_) or version is None or version >= about["version"]:
                continue
            gone = set(about["deleted"])
            had = gone and any(f.name in gone for f in view.files(name_, versions))
            if had or set(about["live"]) - set(view.visible(versions)) and versions.get(journal.KEY, 0) >= min(about["live"].values()):
                raise DataPurged(f"Version {version} of {name_!r} held rows that were purged on {said['at'][:16].replace('T', ' ')} UTC "
                                 f"(certificate {purge_id}); it cannot be shown again. Open the newest versions.")


def barred(root: Path) -> list[list[str]]:
    """Salt and hash of the ids of persons who were expunged."""
    return [pair for said in marks(root).values() for pair in said["barred"]]


def doomed(view: View, versions: Mapping[str, int], table: str, selection: Selection, home: Path) -> str:
    """SQL of the rows of a table that are to go: its key columns, batch_id, line. ``home`` holds the frames of the selection (``lay``)."""
    key = _key(table)
    columns = ", ".join(dict.fromkeys([*map(name, key), "batch_id", "line"]))
    using = ", ".join(map(name, key))
    every = f"({view.current(table, versions, history=True)})"
    parts = []
    if table in selection.rows:
        now = f"select {using} from ({view.current(table, versions)}) where {selection.rows[table]}"
        parts.append(f"select {columns} from {every} semi join ({now}) using ({using})")
    if table in selection.editions:
        parts.append(f"select {columns} from {every} anti join (select batch_id, line, {using} from ({view.current(table, versions)})) "
                     f"using ({', '.join(dict.fromkeys(['batch_id', 'line', *map(name, key)]))}) where {selection.editions[table]}")
    if table in selection.keys:
        parts.append(f"select {columns} from {every} semi join read_parquet({literal(str(home / f'{table}.keys.parquet'))}) using ({using})")
    if not parts:
        return f"select {columns} from {every} where false"
    rows = f"select distinct * from ({' union all '.join(parts)})"
    if table in selection.kept and selection.kept[table].height:
        rows += f" anti join read_parquet({literal(str(home / f'{table}.kept.parquet'))}) using ({using})"
    return rows


def lay(home: Path, selection: Selection) -> None:
    """Write the frames of a selection beside its plan."""
    for kind, frames in (("keys", selection.keys), ("kept", selection.kept)):
        for table, frame in frames.items():
            frame.select(list(_key(table))).unique().write_parquet(home / f"{table}.{kind}.parquet")


def settle(root: Path, view: View) -> None:
    """Fold all of the journal and delete its segments, so that what came in live is in the tables alone. A running watcher does it when asked.

    Raises:
        WorkbenchError: a watcher runs and does not answer.
    """
    home = root / journal.FOLDER
    if not home.is_dir():
        return
    try:
        writer = Writer(root)
    except WorkbenchError:
        _ask(home)
        return
    try:
        writer.rotate()
        for segment in journal_fold.due(root, view):
            journal_fold.fold(root, view, segment, writer)
        journal_fold.clear(root, view, stays=0.0)
    finally:
        writer.close()
    (home / ASKED).unlink(missing_ok=True)


def _ask(home: Path) -> None:
    (home / ASKED).touch()
    until = time.monotonic() + PATIENCE
    while (home / ASKED).exists():
        if time.monotonic() > until:
            (home / ASKED).unlink(missing_ok=True)
            raise WorkbenchError(f"The watcher of this workspace did not clear its journal within {PATIENCE:.0f} s, so the purge waits; "
                                 "stop the watcher and purge again.")
        time.sleep(0.05)


# ------------------------------------------------------------------ inside


def _key(table: str) -> tuple[str, ...]:
    return schema.TABLES[table].key if table in schema.TABLES else ("batch_id", "line")


def _write_plan(home: Path, view: View, selection: Selection) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    lay(home, selection)
    said = {"rows": dict(selection.rows), "editions": dict(selection.editions), "keys": sorted(selection.keys), "kept": sorted(selection.kept),
            "floors": {t: m.isoformat() for t, m in selection.floors.items()}, "barred": list(selection.barred), "versions": view.versions()}
    _put(home / "plan.json", said)


def _put(path: Path, said: Any) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="ascii") as stream:
        json.dump(said, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)


def _planned(home: Path) -> tuple[Selection, dict[str, int]]:
    said = json.loads((home / "plan.json").read_text(encoding="ascii"))
    frames = {kind: {t: pl.read_parquet(home / f"{t}.{kind}.parquet") for t in said[kind]} for kind in ("keys", "kept")}
    return Selection(said["rows"], said["editions"], frames["keys"], frames["kept"],
                     {t: datetime.fromisoformat(m) for t, m in said["floors"].items()}, said["barred"]), said["versions"]


def _barred(persons: Sequence[str]) -> list[list[str]]:
    """Salt and hash of each id."""
    salt = secrets.token_hex(16)
    return [[salt, hashlib.sha256(f"{salt}{p}".encode()).hexdigest()] for p in persons]


def _finish(root: Path, view: View, purge_id: str) -> Purged:
    home = root / FOLDER / purge_id
    with tables.locked(root, FOLDER):
        held = told(root, purge_id)
        if held is not None:
            shutil.rmtree(home, ignore_errors=True)
            return held
        selection, before = _planned(home)
        sweep(root, view)
        settle(root, view)
        about = {table: _of_table(root, view, table, selection, home) for table in selection.tables() if tables.latest(root, table) is not None}
        _count(root, view, about, purge_id, home)
        (root / FOLDER / DONE).mkdir(exist_ok=True)
        said = {"at": datetime.now(UTC).isoformat(), "versions": before, "tables": {t: d for t, d in about.items() if d["rows"]},
                "floors": {t: m.isoformat() for t, m in selection.floors.items()}, "barred": _barred(selection.barred)}
        for one in said["tables"].values():  # type: ignore[attr-defined]
            one.pop("lost")
        _put(root / FOLDER / DONE / f"{purge_id}.json", said)
        shutil.rmtree(home)
    done = told(root, purge_id)
    if done is None:
        raise WorkbenchError(f"The purge {purge_id} left no mark in {root / FOLDER / DONE}; purge again.")
    return done


def _of_table(root: Path, view: View, table: str, selection: Selection, home: Path) -> dict[str, Any]:
    """Purge one table; what was found is written down before anything is changed, so that it is told rightly after a kill."""
    noted, listed = home / f"{table}.json", home / f"{table}.doomed.parquet"
    con = connect(memory="1GB", spill=home / "spill")
    try:
        with tables.locked(root, table):
            if not noted.exists() or not listed.exists():
                _put(noted, _found(con, view, table, selection, home, listed))
            said: dict[str, Any] = json.loads(noted.read_text(encoding="ascii"))
            if said["rows"]:
                if not tables.committed(root, table, said["owner"]):
                    _rewrite(con, root, view, table, said["owner"], listed)
                deleted = _delete(con, root, table, listed)
                said["deleted"] = sorted({*said["deleted"], *deleted})
                said["version"] = tables.latest(root, table)
    finally:
        con.close()
    return said


def _found(con: duckdb.DuckDBPyConnection, view: View, table: str, selection: Selection, home: Path, listed: Path) -> dict[str, Any]:
    """The doomed rows of a table into a file, and what is to be told of them."""
    versions = view.settled()
    part = listed.with_suffix(".part")
    con.execute(f"copy ({doomed(view, versions, table, selection, home)}) to {literal(str(part))} (format parquet)")
    os.replace(part, listed)
    gone = f"read_parquet({literal(str(listed))})"
    using = ", ".join(dict.fromkeys([*map(name, _key(table)), "batch_id", "line"]))
    lost = dict(con.execute(f"select batch_id, count(*) from {gone} group by all order by all").fetchall())
    now = dict(con.execute(f"select batch_id, count(*) from ({view.current(table, versions)}) semi join {gone} using ({using}) group by all").fetchall())
    ledger = dict(con.execute(f"select batch_id, file from ({view.current('batches', versions)})").fetchall()) if lost else {}
    live = {batch: span[0] for batch in lost if (span := journal.numbers(ledger.get(batch, "")))}
    owner = f"{tables.COMPACTION}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    holding = _holding(con, sorted(p for p in (view.root / table).glob("*.parquet")), table, listed) if lost else []
    affected = {tables.batch_of(p.name) for p in holding}
    chosen = [p for p in view.files(table, versions) if tables.batch_of(p.name) in affected]
    return {"owner": owner, "rows": sum(lost.values()), "current": sum(now.values()), "rewritten": len(chosen), "live": live, "version": -1,
            "deleted": [p.name for p in holding], "lost": {b: [n, now.get(b, 0)] for b, n in lost.items()}}


def _holding(con: duckdb.DuckDBPyConnection, files: list[Path], table: str, listed: Path) -> list[Path]:
    """The files that hold a doomed row."""
    using = ", ".join(dict.fromkeys([*map(name, _key(table)), "batch_id", "line"]))
    found = []
    for file in files:
        row = con.execute(f"select 1 from read_parquet({literal(str(file))}) semi join read_parquet({literal(str(listed))}) using ({using}) limit 1").fetchone()
        if row:
            found.append(file)
    return found


def _rewrite(con: duckdb.DuckDBPyConnection, root: Path, view: View, table: str, owner: str, listed: Path) -> None:
    """Write every file of the affected batches again without the doomed rows, as one compaction, and commit it."""
    shutil.rmtree(folder(root, owner), ignore_errors=True)
    with working(root, view, owner) as work:
        versions = view.settled()
        holding = {tables.batch_of(p.name) for p in _holding(con, view.files(table, versions), table, listed)}
        chosen = [p for p in view.files(table, versions) if tables.batch_of(p.name) in holding]
        if not chosen:
            return
        using = ", ".join(dict.fromkeys([*map(name, _key(table)), "batch_id", "line"]))
        without = f"anti join read_parquet({literal(str(listed))}) using ({using})"
        made = compact.written(con, view, table, versions, chosen, owner, work, without=without)
        if made and table in schema.TABLES:
            compare.place(root, table, owner, work)
        tables.append(root, table, made, remove=[p.name for p in chosen])


def _delete(con: duckdb.DuckDBPyConnection, root: Path, table: str, listed: Path) -> list[str]:
    """Delete every file that holds a doomed row, and the sidecars and sorted copies of owners that have none left."""
    gone = _holding(con, sorted((root / table).glob("*.parquet")), table, listed)
    for path in gone:
        path.unlink(missing_ok=True)
    version = tables.latest(root, table)
    current = set(tables.listing(root, table, version)[0]) if version is not None else set()
    owners = {tables.batch_of(p.name) for p in gone}
    for path in sorted((root / table).glob("*.parquet")):
        if path.name not in current and tables.batch_of(path.name) in owners:
            path.unlink()
            gone.append(path)
    vacuum.tidy(root, table)
    return [p.name for p in gone]


def _count(root: Path, view: View, about: Mapping[str, dict[str, Any]], purge_id: str, home: Path) -> None:
    """Tell the ledger how many rows each batch lost; once, also after a kill."""
    rows = [(batch, table, n, now, purge_id, datetime.now(UTC)) for table, said in about.items() for batch, (n, now) in said["lost"].items()]
    noted = home / "ledger.json"
    if not noted.exists():
        _put(noted, f"{tables.COMPACTION}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}")
    owner = json.loads(noted.read_text(encoding="ascii"))
    if not rows or tables.committed(root, LEDGER, owner):
        return
    shutil.rmtree(folder(root, owner), ignore_errors=True)
    with working(root, view, owner) as work, tables.locked(root, LEDGER):
        append_counts(root, rows, work / f"{owner}-rec-0.parquet")


def append_counts(root: Path, rows: list[tuple[Any, ...]], path: Path) -> None:
    """Append rows of ``purges``; the caller holds its lock. A file of a batch is visible with the batch."""
    shape: dict[str, Any] = {"batch_id": pl.String, "table": pl.String, "rows": pl.Int64, "current": pl.Int64, "certificate_id": pl.String,
             "recorded_at": pl.Datetime("us", "UTC")}
    pl.DataFrame(rows, schema=shape, orient="row").write_parquet(path, use_pyarrow=True)
    tables.append(root, LEDGER, [tables.DataFile(path, len(rows))])

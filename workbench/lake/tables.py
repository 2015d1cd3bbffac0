"""The Delta tables on disk: made, appended to, listed. Their logs hold no value of any row, only file names and row counts.

A data file is named ``<owner>-<kind>-<n>.parquet``. The owner is a batch, or a compaction or resolution, which stand by themselves: they
are visible once they are committed. Kind "new" has the rows that a batch brought ("rev", of older lakes: those that were new editions),
"rec" rows without editions (batches, rejects), and of a compaction "cur" the rows that were current and "old" those that were superseded.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction, RemoveAction

from workbench import schema

SHAPES: dict[str, dict[str, schema.Column]] = {
    **{t.name: t.all_columns() for t in schema.TABLES.values()},
    "batches": schema.BATCHES.columns,
    "rejects": schema.REJECTS.columns,
    "resolutions": schema.RESOLUTIONS.columns,
    "purges": schema.PURGES.columns,
}
_TYPES = {"VARCHAR": "string", "DOUBLE": "double", "BIGINT": "long", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMPTZ": "timestamp"}
#: No statistics of values in the log; no version is dropped by age, because a result's basis may name it.
_CONFIGURATION = {
    "delta.dataSkippingNumIndexedCols": "0",
    "delta.dataSkippingStatsColumns": "",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}
#: Kind of the files whose rows were all superseded when they were written.
OLD = "old"
#: Beginnings of the names of owners that are no batch.
COMPACTION, RESOLUTION = "compaction", "resolution"
#: Tries of a commit that another tool's commit got ahead of (the workbench's own writers wait for one another).
_ATTEMPTS = 8


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table and how many rows it has."""

    path: Path
    rows: int


def batch_of(file: str) -> str:
    """The owner of a data file: a batch, compaction or resolution."""
    return file.rsplit("-", 2)[0]


def stands(owner: str) -> bool:
    """Whether an owner is visible by itself, without a row in ``batches``."""
    return owner.startswith((COMPACTION, RESOLUTION))


def kind_of(file: str) -> str:
    """new, rev, rec, cur or old."""
    return file.rsplit("-", 2)[1]


def latest(root: Path, table: str) -> int | None:
    """A table's newest version, None when there is no such table yet. One look at its log folder, where each version is one file."""
    try:
        commits = [entry for entry in os.listdir(root / table / "_delta_log") if len(entry) == 25 and entry.endswith(".json")]
    except FileNotFoundError:
        return None
    return max((int(entry[:20]) for entry in commits), default=None)


def listing(root: Path, table: str, version: int) -> tuple[list[str], frozenset[str]]:
    """File names of a version, and the columns that the table has in it."""
    delta = DeltaTable(root / table, version=version)
    names = [os.path.basename(uri) for uri in delta.file_uris()]
    return sorted(names), frozenset(f.name for f in delta.schema().fields)


def committed(root: Path, table: str, owner: str) -> bool:
    """Whether any version of a table has had files of this owner. Reads the log backwards; for what a killed compaction left."""
    mark = f'"{owner}-'.encode()
    log = root / table / "_delta_log"
    return log.is_dir() and any(mark in file.read_bytes() for file in sorted(log.glob("*.json"), reverse=True))


def append(root: Path, table: str, files: Iterable[DataFile], remove: Iterable[str] = (), *, same: bool = False) -> None:
    """Move Parquet files into a table and commit them, in one transaction with the removal of others; ``same``: of the same rows.

    The caller holds the table's lock. Files must lie on the lake's own disk, so that moving is one step.
    """
    home = root / table
    delta = _opened(root, table)
    actions: list[AddAction | RemoveAction] = []
    for file in files:
        _flush(file.path)
        size = file.path.stat().st_size
        os.replace(file.path, home / file.path.name)
        actions.append(AddAction(file.path.name, size, {}, int(time.time() * 1000), not same, json.dumps({"numRecords": file.rows})))
    _flush(home)
    actions += [RemoveAction(name, not same, int(time.time() * 1000)) for name in remove]
    attempt = 0
    while True:
        try:
            delta.create_write_transaction(actions, "append", delta.schema(), [])
            return
        except CommitFailedError:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.02 * 2**attempt)
            delta = DeltaTable(home)


def _opened(root: Path, table: str) -> DeltaTable:
    """The table, made when it is not there, with every column of today's schema."""
    wanted = [Field(n, _type(c.type), nullable=True) for n, c in SHAPES[table].items()]
    try:
        delta = DeltaTable(root / table)
    except TableNotFoundError:
        return DeltaTable.create(root / table, Schema(wanted), mode="ignore", name=table, configuration=dict(_CONFIGURATION))
    held = {f.name for f in delta.schema().fields}
    lacking = [f for f in wanted if f.name not in held]
    if lacking:
        delta.alter.add_columns(lacking)
        delta = DeltaTable(root / table)
    return delta


def _type(name: str) -> PrimitiveType | ArrayType:
    if name.endswith("[]"):
        return ArrayType(PrimitiveType(_TYPES[name[:-2]]), contains_null=True)
    return PrimitiveType(_TYPES[name])


@contextmanager
def locked(root: Path, *tables: str, wait: bool = True) -> Iterator[None]:
    """Hold the write locks of some tables; other processes wait. Taken in order of name, so that nobody waits in a circle.

    Raises:
        BlockingIOError: another holds one, where not ``wait``.
    """
    folder = root / "_locks"
    folder.mkdir(parents=True, exist_ok=True)
    held = []
    try:
        for table in sorted(set(tables)):
            stream = (folder / f"{table}.lock").open("a")
            held.append(stream)
            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        for stream in reversed(held):
            stream.close()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Rows that a load leaves out because rows of that age were purged: an old export that is sent again must not bring them back.

They are never written, neither into the tables nor among the rejects; they are counted as added by the load and as gone in ``purges``, so that the
ledger balances.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake import files, purge, tables


def leave_out(con: duckdb.DuckDBPyConnection, ready: files.Ready, staged: dict[str, list[tables.DataFile]],
              floors: Mapping[str, datetime]) -> dict[str, int]:
    """Write staged files again without the rows that are older than their table's floor; gives table -> rows left out. One look at a column."""
    found: dict[str, int] = {}
    for table, floor in floors.items():
        time = schema.table(table).time
        kept: list[tables.DataFile] = []
        for file in staged.get(table, ()) if time else ():
            rows, old = f"read_parquet({literal(str(file.path))}, file_row_number = true)", f"{name(time)} < timestamptz {literal(floor.isoformat())}"
            row = con.execute(f"select count(*) from {rows} where {old}").fetchone()
            count = int(row[0]) if row else 0
            if count:
                found[table] = found.get(table, 0) + count
                ready.hashes.pop(file.path.name, None)
                _again(con, f"select * exclude (file_row_number) from {rows} where ({old}) is distinct from true order by file_row_number", file.path)
            if file.rows > count:
                kept.append(tables.DataFile(file.path, file.rows - count))
        if table in found:
            staged[table] = kept
    return found


def note(root: Path, batch_id: str, left_out: Mapping[str, int], work: Path) -> None:
    """Tell the ledger of them with the batch that brought them, with which it is visible."""
    if left_out:
        latest = {t: purge_id for purge_id, said in purge.marks(root).items() for t in said["floors"]}
        rows = [(batch_id, table, n, n, latest.get(table, ""), datetime.now(UTC)) for table, n in left_out.items()]
        with tables.locked(root, purge.LEDGER):
            purge.append_counts(root, rows, work / f"{batch_id}-rec-0p.parquet")


def _again(con: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    part = path.with_name(f"kept-{path.name}")
    con.execute(f"copy ({sql}) to {literal(str(part))} (format parquet, compression snappy)")
    os.replace(part, path)

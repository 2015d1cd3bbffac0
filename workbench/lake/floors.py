"""Rows that a load leaves out because rows of that age, or of that person by an order, were purged: an old export that is sent again must not
bring them back.

They are never written, neither into the tables nor among the rejects; they are counted as added by the load and as gone in ``purges``, so that the
ledger balances.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake import files, purge, tables


def leave_out(con: duckdb.DuckDBPyConnection, ready: files.Ready, staged: dict[str, list[tables.DataFile]],
              floors: Mapping[str, datetime], barred: Sequence[Sequence[str]]) -> dict[str, int]:
    """Write staged files again without the rows that are older than their table's floor or of a barred person (salt, hash of the id); gives
    table -> rows left out. One look at a column."""
    found: dict[str, int] = {}
    for table, files_ in staged.items():
        out = conditions(table, floors.get(table), barred)
        kept: list[tables.DataFile] = []
        for file in files_ if out else ():
            rows = f"read_parquet({literal(str(file.path))}, file_row_number = true)"
            row = con.execute(f"select count(*) from {rows} where {out}").fetchone()
            count = int(row[0]) if row else 0
            if count:
                found[table] = found.get(table, 0) + count
                ready.hashes.pop(file.path.name, None)
                _again(con, f"select * exclude (file_row_number) from {rows} where ({out}) is distinct from true order by file_row_number", file.path)
            if file.rows > count:
                kept.append(tables.DataFile(file.path, file.rows - count))
        if table in found:
            staged[table] = kept
    return found


def conditions(table: str, floor: datetime | None, barred: Sequence[Sequence[str]]) -> str:
    """SQL of the rows of a table that are left out; "" when none can be."""
    about = schema.table(table)
    parts = [f"{name(about.time)} < timestamptz {literal(floor.isoformat())}"] if floor is not None and about.time else []
    for salt in dict.fromkeys(s for s, _ in barred):
        hashes = ", ".join(literal(h) for s, h in barred if s == salt)
        if "person_id" in about.columns:
            parts.append(f"sha256({literal(salt)} || person_id) in ({hashes})")
        if "entity_kind" in about.columns:
            parts.append(f"(entity_kind = 'person' and sha256({literal(salt)} || entity_id) in ({hashes}))")
    return " or ".join(parts)


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

"""What a case keeps of a fact: a copy of the row with all its editions and where they came from, which outlives the fact's own limit.

A row that is attached is written into the casebook as canonical JSON with its SHA-256, who attached it, when and why. It lives as long as the case's
own retention says, whatever is purged from the facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench import casebook, schema
from workbench.casebook import place
from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake
from workbench.lake import purge as lake_purge


def attach(workspace: Any, case: str, table: str, keys: Any, why: str, user: str, *, at: datetime | None = None) -> list[int]:
    """Copy rows to a case's evidence: every edition up to now with its batch's file and SHA-256. Attaching the same editions again changes nothing.

    Args:
        workspace: its folder, or an opened workbench.
        case: case number.
        table: canonical table.
        keys: one key or a list of keys; a key of several columns is a tuple.
        why: a sentence that says what the row shows.
        user: who attaches.
        at: when; None = now.

    Returns:
        The evidence ids, one a key.

    Raises:
        NotFound: no such case, table or row. BadInput: no reason.
    """
    if len(why.split()) < 2:
        raise BadInput(f"why={why!r} says too little; write what the row shows, e.g. 'the plate of the getaway car two minutes after the robbery'.")
    path = Path(getattr(workspace, "path", workspace))
    lake, book = Lake(path / "lake"), place.of(path)
    schema.table(table)
    book.case(case)
    versions, made = lake.versions(), []
    wanted = [keys] if isinstance(keys, (str, tuple)) else list(keys)
    rows = []
    for key in wanted:
        parts = (key,) if isinstance(key, str) else tuple(key)
        editions = lake.history(table, parts, versions)
        if editions.is_empty():
            raise NotFound(f"{table} holds no row {' '.join(map(str, parts))!r}; it may have been purged already.")
        rows.append((parts, _canonical(lake, versions, editions)))
    with book.engine.begin() as db:
        for parts, text in rows:
            row = {"case_number": case, "table_name": table, "row_key": _listed(parts), "sha256": hashlib.sha256(text.encode()).hexdigest()}
            held = db.execute(sa.select(casebook.evidence.c.evidence_id).filter_by(**row)).first()
            if held is None:
                new = db.execute(casebook.evidence.insert().values(**row, row_json=text, why=why, attached_by=user, attached_at=at or datetime.now(UTC)))
                made.append(int(new.inserted_primary_key[0]))  # type: ignore[index]
            else:
                made.append(int(held[0]))
    return made


def of(workspace: Any, case: str) -> pl.DataFrame:
    """A case's evidence: evidence_id, table_name, row_key, row_json (null where sealed), sha256, why, attached_by, attached_at, sealed_by.

    Raises:
        NotFound: no such case.
    """
    book = place.of(getattr(workspace, "path", workspace))
    book.case(case)
    return book._frame(casebook.evidence, casebook.evidence.c.case_number == case, casebook.evidence.c.evidence_id)


def verify(workspace: Any, case: str) -> pl.DataFrame:
    """Whether a case's evidence is as it was attached, and where the facts are: evidence_id, table_name, row_key, sound, state (in the lake; changed
    since; purged; sealed), certificate_id.

    Raises:
        NotFound: no such case.
    """
    path = Path(getattr(workspace, "path", workspace))
    lake, found = Lake(path / "lake"), []
    versions = lake.versions()
    for row in of(path, case).iter_rows(named=True):
        text = row["row_json"]
        sound = text is not None and hashlib.sha256(text.encode()).hexdigest() == row["sha256"]
        state, certificate = "sealed", row["sealed_by"]
        if text is not None:
            editions = lake.history(row["table_name"], json.loads(row["row_key"]), versions)
            state, certificate = "in the lake", None
            if editions.is_empty():
                state, certificate = "purged", _by(lake, row["table_name"], text)
            elif _canonical(lake, versions, editions) != text:
                state = "changed since"
        found.append((row["evidence_id"], row["table_name"], row["row_key"], sound, state, certificate))
    shape = {"evidence_id": pl.Int64, "table_name": pl.String, "row_key": pl.String, "sound": pl.Boolean, "state": pl.String, "certificate_id": pl.String}
    return pl.DataFrame(found, schema=shape, orient="row")


def keys(path: Path, table: str) -> set[str]:
    """The keys of a table's rows that are in any case's evidence; parts of a key are parted by the unit separator."""
    rows = texts(path, table)
    return {"\x1f".join(map(str, json.loads(key))) for key, _ in rows}


def texts(path: Path, table: str | None = None) -> list[tuple[str, str]]:
    """(key, row as JSON) of the evidence of all cases."""
    if not place.there(path):
        return []
    query = sa.select(casebook.evidence.c.row_key, casebook.evidence.c.row_json).where(casebook.evidence.c.row_json.is_not(None))
    with place.of(path).engine.connect() as db:
        return [(str(k), str(t)) for k, t in db.execute(query if table is None else query.where(casebook.evidence.c.table_name == table))]


def _canonical(lake: Lake, versions: dict[str, int], editions: pl.DataFrame) -> str:
    batches = editions["batch_id"].unique().to_list()
    listed = ", ".join(literal(b) for b in batches)
    files = lake.frame("batches", versions, where=f"batch_id in ({listed})").select("batch_id", "file", "sha256", "source").to_dicts()
    told = {"editions": [{k: _plain(v) for k, v in row.items() if v is not None} for row in editions.to_dicts()],
            "files": sorted(files, key=lambda f: str(f["batch_id"]))}
    return json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _listed(parts: Sequence[Any]) -> str:
    return json.dumps([_plain(p) for p in parts], ensure_ascii=False)


def _by(lake: Lake, table: str, text: str) -> str | None:
    """The purge that took a row: the latest one that took rows of its batches."""
    batches = {e["batch_id"] for e in json.loads(text)["editions"]}
    said = lake.frame("purges", where=f"{name('table')} = {literal(table)} and batch_id in ({', '.join(map(literal, sorted(batches)))})")
    done = {c: m for c, m in lake_purge.marks(lake.path).items() if table in m["tables"]}
    ranked = said.filter(pl.col("certificate_id").is_in(list(done))).sort("recorded_at")
    return str(ranked["certificate_id"][-1]) if ranked.height else None

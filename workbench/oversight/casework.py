"""What a purge or an order does to the hits of the hotlist and to what people said of who is who; both lie in the casebook and hold plates and persons.

A hit lives as long as the reads it came from. It stays longer when somebody has confirmed it and its read is in the evidence of a case, or when a hold in
force means its plate or reader. A judgement on two records, and their place in the queue, live as long as both records. What goes is written down before
it is deleted, so that a purge that was killed still counts it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench import casebook
from workbench.casebook import Casebook, hits, identities, place
from workbench.engines.duckdb import literal
from workbench.lake import Lake
from workbench.oversight import certificate, holds
from workbench.oversight.traces import Search

_LAID = "casework.json"
#: The table of each kind of record that is judged, and its key.
_RECORDS = {"person": ("people", "person_id"), "vehicle": ("vehicles", "vehicle_id"), "address": ("addresses", "address_id")}
#: Columns of a hit that say what was found; texts beside them (reason, note) are masked as leads are.
_FOUND = ("hit_id", "entry_id", "plate", "read_id", "read_plate", "reader")
Pair = tuple[str, str, str]


@dataclass(frozen=True)
class Work:
    """What goes: ids of hits, numbers of judgements, pairs of the queue (kind, left, right), records whose id as an entity is kept (kind, record);
    ``values`` tell of the hits, ``respected`` are the holds."""

    hits: frozenset[str] = frozenset()
    judgements: frozenset[int] = frozenset()
    pairs: frozenset[Pair] = frozenset()
    named: frozenset[tuple[str, str]] = frozenset()
    values: frozenset[str] = frozenset()
    respected: tuple[dict[str, Any], ...] = field(default=())

    def ids(self) -> list[str]:
        """The ids, for the root of a certificate."""
        return [*(f"hits\x1f{h}" for h in sorted(self.hits)), *(f"identity_judgements\x1f{n}" for n in sorted(self.judgements))]


def due(folder: Path, home: Path, lake: Lake, said: Mapping[str, Any]) -> Work:
    """What goes with the rows whose keys were written down in ``home``. O(hits + judgements)."""
    if not place.there(folder):
        return Work()
    book = place.of(folder)
    listed = hits.Hits(book).frame()
    going = _without_read(listed, _keys(home, "reads", "read_id"), lake, said)
    kept = _in_evidence(book, said)
    going = going.filter(~((pl.col("state") == "confirmed") & (pl.col("read_id").is_in(kept) | pl.col("first").is_in(kept))))
    held = holds.of_hits(folder, going, datetime.fromisoformat(said["moment"]))
    going = going.filter(~pl.col("hit_id").is_in(held["hit_id"].to_list()))
    respected = [{"hold_id": number, "matter": matter, "table": "hits", "rows": part.height} for (number, matter), part in
                 held.group_by("hold_id", "matter", maintain_order=True)]
    values = {v for c in ("hit_id", "plate", "read_id", "read_plate") for v in going[c].to_list() if not (v.isdigit() and len(v) < 6)}
    gone = {kind: _keys(home, table, key) for kind, (table, key) in _RECORDS.items()}
    gone["person"] |= set(said.get("persons", ()))
    judgements, pairs = _about(book, lambda kind, one, other: one in gone[kind] or other in gone[kind])
    named = frozenset((kind, record) for kind, record, founder in _ids(book) if record in gone[kind] or founder in gone[kind])
    return Work(frozenset(going["hit_id"].to_list()), judgements, pairs, named, frozenset(values), tuple(respected))


def found(folder: Path, search: Search) -> Work:
    """Hits and judgements that hold one of the values although nothing that stays has them: an order's, and records that were never in the lake."""
    if not place.there(folder):
        return Work()
    book = place.of(folder)
    going = [str(row[0]) for row in hits.Hits(book).frame().select(_FOUND).iter_rows() if search.in_bytes("\n".join(row).encode("utf-8", "surrogatepass"))]
    judgements, pairs = _about(book, lambda _, one, other: bool(search.in_bytes(f"{one}\n{other}".encode("utf-8", "surrogatepass"))))
    held = _ids(book)
    some = search.in_bytes("\n".join(v for row in held for v in row[1:]).encode("utf-8", "surrogatepass"))
    named = [row[:2] for row in held if some and search.in_bytes("\n".join(row[1:]).encode("utf-8", "surrogatepass"))]
    return Work(frozenset(going), judgements, pairs, frozenset(named))


def texts(folder: Path, said: Mapping[str, Any], gone: Collection[str] = ()) -> str:
    """What the hits that stay hold, so that it is held otherwise; with an order only of those that evidence or a hold keeps. ``gone`` are hits that still
    stand there and go."""
    if not place.there(folder):
        return ""
    book = place.of(folder)
    stay = hits.Hits(book).frame().filter(~pl.col("hit_id").is_in(list(gone)))
    if said.get("persons"):
        stay = _firsts(stay)
        kept, held = _in_evidence(book, said), holds.of_hits(folder, stay, datetime.fromisoformat(said["moment"]))["hit_id"].to_list()
        sure = (pl.col("state") == "confirmed") & (pl.col("read_id").is_in(kept) | pl.col("first").is_in(kept))
        stay = stay.filter(sure | pl.col("hit_id").is_in(held))
    return "\n".join(v for c in _FOUND for v in stay[c].to_list())


def judged(folder: Path, but: Work) -> str:
    """The record ids of the judgements, pairs of the queue and kept ids, but for those of ``but``."""
    book, texts = place.of(folder), list[str]()
    _, pairs = _about(book, lambda *pair: True)
    texts += [v for pair in pairs - but.pairs for v in pair[1:]]
    said = identities.said.c
    with book.engine.connect() as db:
        texts += [v for n, *ids in db.execute(sa.select(said.judgement_id, said.left_id, said.right_id)) if n not in but.judgements for v in ids]
    texts += [v for kind, *ids in _ids(book) if (kind, ids[0]) not in but.named for v in ids]
    return "\n".join(texts)


def lay(home: Path, work: Work) -> None:
    """Write down what goes, beside what was written down before."""
    before = laid(home)
    said = {"hits": sorted(before.hits | work.hits), "judgements": sorted(before.judgements | work.judgements), "pairs": sorted(before.pairs | work.pairs),
            "named": sorted(before.named | work.named)}
    certificate.put(home / _LAID, json.dumps(said))


def forget(folder: Path, home: Path, more: Work | None = None) -> None:
    """Delete what was written down, and ``more``, which is written down first. Deleting twice does no harm."""
    if more is not None:
        lay(home, more)
    work = laid(home)
    if not (work.hits or work.judgements or work.pairs or work.named):
        return
    with place.of(folder).engine.begin() as db:
        for one in sorted(work.hits):
            for table in (hits.checks, hits.hits):
                db.execute(table.delete().where(table.c.hit_id == one))
        for number in sorted(work.judgements):
            db.execute(identities.said.delete().where(identities.said.c.judgement_id == number))
        for kind, left, right in sorted(work.pairs):
            held = identities.holds.c
            db.execute(identities.holds.delete().where(held.kind == kind, held.left_id == left, held.right_id == right))
        for kind, record in sorted(work.named):
            db.execute(identities.ids.delete().where(identities.ids.c.kind == kind, identities.ids.c.record_id == record))


def told(home: Path) -> list[str]:
    """What was deleted, for the certificate."""
    return [f"casebook: {what} deleted, since {why}: {count:,}" for count, what, why in counted(laid(home))]


def counted(work: Work) -> list[tuple[int, str, str]]:
    """How many of what go, and why; no row of what nothing goes of."""
    rows = ((len(work.hits), "hits with what was said of them", "the reads they came from are kept no longer"),
            (len(work.judgements), "judgements on who is who", "a record they are about is kept no longer"),
            (len(work.pairs), "pairs of the queue of identities", "a record they are about is kept no longer"),
            (len(work.named), "ids of records in who is who", "the record, or the one they are named after, is kept no longer"))
    return [row for row in rows if row[0]]


def _without_read(listed: pl.DataFrame, gone: Collection[str], lake: Lake, said: Mapping[str, Any]) -> pl.DataFrame:
    """The hits one of whose reads goes, and those beyond the limit of reads whose read the lake does not hold at all."""
    listed = _firsts(listed)
    named = pl.col("read_id").is_in(list(gone)) | pl.col("first").is_in(list(gone))
    floor = said["floors"].get("reads")
    if floor is None:
        return listed.filter(named)
    old = listed.filter(pl.col("read_at") < datetime.fromisoformat(floor), ~named)
    held: set[str] = set()
    for ids in old["read_id"].unique().sort().to_frame().iter_slices(5_000):
        held |= set(lake.frame("reads", where=f"read_id in ({', '.join(map(literal, ids['read_id'].to_list()))})")["read_id"].to_list())
    return listed.filter(named | pl.col("hit_id").is_in(old.filter(~pl.col("read_id").is_in(list(held)))["hit_id"].to_list()))


def _firsts(listed: pl.DataFrame) -> pl.DataFrame:
    """The hits with the id of the first read of their pass, which is part of their own id."""
    first = [str(h).removeprefix(f"{e}/") for h, e in listed.select("hit_id", "entry_id").iter_rows()]
    return listed.with_columns(pl.Series("first", first, dtype=pl.String))


def _in_evidence(book: Casebook, said: Mapping[str, Any]) -> list[str]:
    """The reads in the evidence of cases, but for what this purge or order takes out of it."""
    kept = casebook.evidence.c
    query = sa.select(kept.evidence_id, kept.row_key).where(kept.table_name == "reads", kept.row_json.is_not(None))
    if said.get("cases_before"):
        closed = sa.select(casebook.closings.c.case_number).where(casebook.closings.c.closed_at < datetime.fromisoformat(said["cases_before"]))
        query = query.where(kept.case_number.not_in(closed))
    with book.engine.connect() as db:
        return [str(json.loads(key)[0]) for number, key in db.execute(query) if number not in said.get("evidence", ())]


def _about(book: Casebook, goes: Any) -> tuple[frozenset[int], frozenset[Pair]]:
    """The judgements and pairs of the queue for which ``goes(kind, left, right)`` holds."""
    identities.Judgements(book)
    said, queue = identities.said.c, identities.holds.c
    with book.engine.connect() as db:
        judged = db.execute(sa.select(said.judgement_id, said.kind, said.left_id, said.right_id)).all()
        waiting = db.execute(sa.select(queue.kind, queue.left_id, queue.right_id)).all()
    return frozenset(int(n) for n, *pair in judged if goes(*pair)), frozenset((k, a, b) for k, a, b in waiting if goes(k, a, b))


def _ids(book: Casebook) -> list[tuple[str, str, str]]:
    """The kept ids of records as entities: kind, record, the record that the id is named after."""
    kept = identities.Ids(book).every()
    return list(kept.select("kind", "record_id", identities.founder(pl.col("entity_id"))).iter_rows())


def _keys(home: Path, table: str, column: str) -> set[str]:
    file = home / f"{table}.gone.parquet"
    return set(pl.read_parquet(file)[column].to_list()) if file.exists() else set()


def laid(home: Path) -> Work:
    """What was written down."""
    if not (home / _LAID).exists():
        return Work()
    said = json.loads((home / _LAID).read_text(encoding="utf-8"))
    return Work(frozenset(said["hits"]), frozenset(said["judgements"]), frozenset((k, a, b) for k, a, b in said["pairs"]),
                frozenset((k, r) for k, r in said.get("named", ())))

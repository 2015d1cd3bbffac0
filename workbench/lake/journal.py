"""The journal: what came in live and is not in the Delta tables yet, readable by every process as soon as it is durable.

``_journal/`` in the lake's folder holds segments, ``<first position>-<microseconds>.tsv``, to which one watcher appends (``journal_write``)
and which never change behind their end. A line is one record, tab-separated: its position (one counter for all sources, from 1), the
table it fills, batch, source, when it was recorded (microseconds) and the canonical columns as JSON in ASCII. Beside tables there are the
kinds ``rejects`` (a dead letter), ``duplicate`` (a record that the journal held exactly so already; nothing but its position), ``#batch``
(says what a batch is, before its first line) and ``#end`` (closes a group of lines that were written and flushed together, with their
checksum and the marks of the feeds). ``head`` holds the position up to which everything is on disk: a reader looks at nothing behind it,
so a torn line is never seen.

A closed segment has a manifest (``.json``) with its batches and is folded: each batch becomes an ordinary batch of the ledger under the
id that its rows have carried from the start, with the same lines and times (``journal_fold``). So whether a row comes from the journal
or from Delta is told by whether its batch is visible at the pinned versions, and a pinned state ("batches" and "journal" together)
gives the same rows before and after a fold. Folded segments are deleted an hour later; a state pinned before that fold then takes the
same rows out of the newest Delta tables, by batch and line. The only difference there: a record that Delta held exactly so from an
earlier delivery shows that one's batch, line and time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake import tables

if TYPE_CHECKING:
    from workbench.lake.view import View

FOLDER, HEAD, CUT = "_journal", "head", "cut.json"
#: The key of the journal's position among pinned versions.
KEY = "journal"
#: Kinds of lines that are no row of a canonical table.
REJECT, DUPLICATE, BATCH, END = "rejects", "duplicate", "#batch", "#end"
_COLUMNS = "{'p': 'BIGINT', 't': 'VARCHAR', 'b': 'VARCHAR', 's': 'VARCHAR', 'us': 'BIGINT', 'body': 'VARCHAR'}"
_WHEN = "make_timestamp(us) at time zone 'UTC'"
_RANGE = re.compile(r"journal (\d+)-(\d+)")


@dataclass(frozen=True)
class Segment:
    """One file of the journal: its first position, and when it was begun (microseconds)."""

    path: Path
    first: int
    begun: int

    @property
    def manifest(self) -> Path:
        """Where its manifest is, once it is closed."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True)
class Rows:
    """Live rows of a table: SQL of them ("" = none), the files it reads, and the earliest time at which one of them was recorded (microseconds)."""

    sql: str = ""
    files: tuple[str, ...] = ()
    since: int = 0


def position(root: Path) -> int | None:
    """The last position of the lake's journal that is on disk, 0 for an empty one, None when there is none. One small read."""
    try:
        handle = os.open(root / FOLDER / HEAD, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        while True:
            text = os.pread(handle, 32, 0)
            if len(text) < 30:
                return None
            if text[:15] == text[15:30]:
                return int(text[:15])
    finally:
        os.close(handle)


def segments(root: Path) -> list[Segment]:
    """The segments on disk, oldest first."""
    try:
        found = sorted(entry for entry in os.listdir(root / FOLDER) if entry.endswith(".tsv"))
    except FileNotFoundError:
        return []
    made = []
    for entry in found:
        first, begun = entry[:-4].split("-")
        made.append(Segment(root / FOLDER / entry, int(first), int(begun)))
    return made


def manifest(segment: Segment) -> dict[str, Any] | None:
    """What a closed segment holds: ``last`` position and ``batches``; None while it is open."""
    return _manifest(segment.manifest) if segment.manifest.exists() else None


@lru_cache(maxsize=512)
def _manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    return found


def marks(segment: Segment) -> dict[str, Any]:
    """How far the feeds had got at the end of a segment's groups; one pass over its closing lines."""
    found: dict[str, Any] = {}
    sign = f"\t{END}\t".encode()
    with segment.path.open("rb") as stream:
        for line in stream:
            if line[15:15 + len(sign)] == sign and line.endswith(b"}\n"):
                found.update(json.loads(line.split(b"\t", 5)[5]))
    return found


def numbers(file: str) -> tuple[int, int] | None:
    """First and last position that a ledger row's ``file`` tells of ("journal 1201-1350"); None for other files."""
    match = _RANGE.fullmatch(file)
    return (int(match[1]), int(match[2])) if match else None


def rows(view: View, table: str, versions: Mapping[str, int], *, where: str = "true") -> Rows:
    """The rows of a table that are in the journal up to the pinned position and not yet in the pinned Delta versions.

    For ``rejects`` the dead letters, for ``batches`` one row a batch that is not folded yet. Cost: a listing, and parsing the segments
    that are not folded (about 1 ms for 1,000 lines).

    Args:
        view: of the lake.
        table: canonical table or one of the ledger's.
        versions: pinned, with the key "journal"; without it there are none.
        where: SQL condition on a line's p, t, b, s, us.
    """
    upto = versions.get(KEY)
    if not upto:
        return Rows()
    visible = view.visible(versions)
    files, since, folded = [], 0, []
    for segment in segments(view.root):
        if segment.first > upto:
            break
        about = manifest(segment)
        batches = [batch["batch_id"] for batch in about["batches"]] if about else []
        here = [batch for batch in batches if batch in visible]
        if about and len(here) == len(batches):
            continue
        folded += here
        since = since or segment.begun
        files.append(str(segment.path))
    sql = ""
    if files:
        out = f" and b not in ({', '.join(map(literal, folded))})" if folded else ""
        sql = lines_sql(table, files, f"p <= {upto}{out} and {where}")
    older = _from_delta(view, table, versions, upto)
    if older.sql:
        return Rows(f"{sql} union all by name {older.sql}" if sql else older.sql, (*files, *older.files), min(filter(None, (since, older.since)), default=0))
    return Rows(sql, tuple(files), since) if sql else Rows()


def rows_sql(view: View, table: str, versions: Mapping[str, int]) -> str:
    """SQL of those rows with every column of the table; "" when there are none."""
    return rows(view, table, versions).sql


def lines_sql(table: str, files: list[str], where: str) -> str:
    """SQL of a table's rows in some segments, with every column of the table."""
    read = (f"read_csv([{', '.join(map(literal, files))}], auto_detect = false, header = false, delim = '\\t', quote = '', escape = '', "
            f"columns = {_COLUMNS}, null_padding = true, strict_mode = false, max_line_size = {1 << 24}, parallel = false)")
    if table == "batches":
        return _batches(f"select * from {read} where {where}")
    shape = tables.SHAPES[table]
    given = {"batch_id": "b", "source": "s", "line": "p", "recorded_at": _WHEN}
    inside = {n: c.type for n, c in shape.items() if n not in given}
    struct = json.dumps({n: [t[:-2]] if t.endswith("[]") else t for n, t in inside.items()})
    picked = ", ".join(f"{given[n]} as {name(n)}" if n in given else f"x.{name(n)}" for n in shape)
    taken = f"select p, b, s, us, from_json(body, {literal(struct)}) as x from {read} where t = {literal(table)} and right(body, 1) = '}}' and {where}"
    return f"select {picked} from ({taken})"


def _batches(read: str) -> str:
    """The ledger's rows as they will be, but that every new edition counts as added until the fold compares it with the tables."""
    shape = tables.SHAPES["batches"]
    told = json.dumps({"mapping_version": "VARCHAR", "tables": ["VARCHAR"], "user": "VARCHAR", "zone": "VARCHAR", "said": "VARCHAR"})
    given = {
        "batch_id": "b", "source": "s", "mapping_version": "any_value(x.mapping_version)", "file": "'journal ' || min(p) || '-' || max(p)",
        "sha256": "''", "bytes": "sum(strlen(coalesce(body, '')))", "read": f"count(*) filter (t <> '{BATCH}')",
        "added": f"count(*) filter (t not in ('{BATCH}', '{REJECT}', '{DUPLICATE}'))", "updated": "0",
        "duplicate": f"count(*) filter (t = '{DUPLICATE}')", "rejected": f"count(*) filter (t = '{REJECT}')", "tables": "any_value(x.tables)",
        "user": "any_value(x.user)", "zone": "any_value(x.zone)", "said": "any_value(x.said)", "recorded_at": f"max({_WHEN})", "seconds": "0",
    }
    picked = ", ".join(f"cast({given.get(n, 'null')} as {c.type}) as {name(n)}" for n, c in shape.items())
    sorted_out = f"select *, case when t = '{BATCH}' then from_json(body, {literal(told)}) end as x from ({read}) where s is not null and t <> '{END}'"
    return f"select {picked} from ({sorted_out}) group by b, s having count(*) filter (t <> '{BATCH}') > 0"


def _from_delta(view: View, table: str, versions: Mapping[str, int], upto: int) -> Rows:
    """The rows of segments that are deleted and were folded after the pinned state: from the newest tables, by batch and line."""
    cut = _cut(view.root)
    if cut is None or versions.get("batches", -1) >= cut["batches"]:
        return Rows()
    newest = {t: v for t, v in view.versions().items() if t != KEY}
    ledger = pl.scan_parquet(view.files("batches", newest), extra_columns="ignore", missing_columns="insert").select("batch_id", "file").collect()
    visible, wanted = view.visible(versions), []
    for batch, file in ledger.select("batch_id", "file").iter_rows():
        span = numbers(file)
        if span and span[0] <= upto and span[1] <= cut["position"] and batch not in visible:
            wanted.append(batch)
    files = view.files(table, newest)
    if not wanted or not files:
        return Rows()
    line = "true" if table == "batches" else f"line <= {upto}"
    sql = f"select * from ({view.current(table, newest, history=True)}) where batch_id in ({', '.join(map(literal, wanted))}) and {line}"
    return Rows(f"({sql})", tuple(map(str, files)), 1)


def _cut(root: Path) -> dict[str, int] | None:
    """Up to which position segments have been deleted, and the version of ``batches`` in which all of those were folded."""
    try:
        found: dict[str, int] = json.loads((root / FOLDER / CUT).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    return found


def over(table: str, held: str, live: Rows, *, history: bool = False) -> str:
    """SQL of a table with the live rows laid over what Delta holds: every edition, or the latest of each key by the lake's own rule.

    Only keys that came in live are compared; a row of Delta can be newer than a live one of its key only when it was recorded since,
    or, where the table has revised_at, when the agency revised it later.
    """
    if not live.sql:
        return held
    if history or table not in schema.TABLES:
        return f"select * from ({held}) union all by name select * from ({live.sql})"
    about = schema.table(table)
    key = ", ".join(name(k) for k in about.key)
    revised = "revised_at" in about.columns
    order = ", ".join([*(["revised_at desc nulls last"] if revised else []), "recorded_at desc", "line desc"])
    rivals = "" if revised else f" where recorded_at >= make_timestamp({live.since}) at time zone 'UTC'"
    return (f"with \"#live\" as materialized ({live.sql}), \"#held\" as not materialized ({held}) "
            f"select * from \"#held\" anti join \"#live\" using ({key}) union all by name "
            f"(select * from (select * from \"#live\" union all by name select * from (select * from \"#held\"{rivals}) semi join \"#live\" using ({key})) "
            f"qualify row_number() over (partition by {key} order by {order}) = 1)")

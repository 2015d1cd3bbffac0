"""Where is a key, and which rows have been superseded? Two files beside the data files of each batch, so that a load looks up its keys
instead of reading all that the lake holds.

``_keys/<table>/<id>.keys`` is the key index of a batch (or of a compaction): for each of its rows two hashes of the key (64 and 32 bits,
of different bytes), a hash of the canonical columns (64 bits), revised_at, recorded_at and the row's place, sorted by the first hash,
read through the page cache. A key is taken for held when both hashes agree: with 10 thousand million rows held and 10 million staged
the chance of a single wrong match in a load is 10^-12; a changed row is taken for unchanged with a chance of 10^-19. No value of any
row is in it but the two times. ``_keys/<table>/<id>.gone`` is Parquet: the rows (data file, row number), of this batch or an earlier one,
that the batch superseded; it says so exactly, and the current view leaves those rows out.

Both are written under another name and renamed before the batch's files are committed, and go when those go. A batch without a
``.gone`` file is *unsettled*: the view then compares keys instead (``view``), and the next load or compaction settles it. A ``.keys``
file that is missing, cut short, of other data files or of another DuckDB (whose hashes may differ) is made again from the rows.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from workbench import schema
from workbench.engines.duckdb import literal, name

FOLDER = "_keys"
_FORM = f"1 duckdb {duckdb.__version__}"
#: Rows of an index that are written at once.
_AT_ONCE = 1 << 20
#: Stands for "not revised".
EARLIEST = -(2**63) + 1
_ARRAYS = {"first": "<u8", "second": "<u4", "body": "<u8", "row": "<u4", "revised": "<i8", "recorded": "<i8"}
Array = np.ndarray[Any, np.dtype[Any]]


def folder(root: Path, table: str) -> Path:
    """Where a table's sidecars are."""
    return root / FOLDER / table


def gone_file(root: Path, table: str, owner: str) -> Path:
    """The list of rows that a batch or compaction superseded."""
    return folder(root, table) / f"{owner}.gone"


def keys_file(root: Path, table: str, owner: str) -> Path:
    """The key index of a batch or compaction."""
    return folder(root, table) / f"{owner}.keys"


def forget(root: Path, table: str, owner: str) -> None:
    """Delete the sidecars of a batch or compaction."""
    keys_file(root, table, owner).unlink(missing_ok=True)
    gone_file(root, table, owner).unlink(missing_ok=True)


@dataclass(frozen=True)
class Hits:
    """Some editions of keys: hashes, times, and where they are: ``row`` of the ``file``-th of ``names``, -1 for none. One entry each."""

    first: Array
    second: Array
    body: Array
    revised: Array
    recorded: Array
    file: Array
    row: Array
    names: list[str]

    def picked(self, places: Array) -> Hits:
        """Those at some places."""
        return Hits(self.first[places], self.second[places], self.body[places], self.revised[places], self.recorded[places], self.file[places],
                    self.row[places], self.names)


def together(parts: Sequence[Hits]) -> Hits:
    """Several lots of hits as one."""
    if not parts:
        none = np.empty(0, np.int64)
        return Hits(none.astype(np.uint64), none.astype(np.uint32), none.astype(np.uint64), none, none, none, none, [])
    files: list[Array] = []
    names: list[str] = []
    for part in parts:
        files.append(np.where(part.file < 0, -1, part.file + len(names)))
        names += part.names
    first, second, body, revised, recorded = (np.concatenate([getattr(part, n) for part in parts]) for n in ("first", "second", "body", "revised", "recorded"))
    return Hits(first, second, body, revised, recorded, np.concatenate(files), np.concatenate([part.row for part in parts]), names)


@dataclass
class Rows:
    """The rows of some data files as hashes, in order of file and row; every array has one entry a row.

    ``revised`` and ``recorded`` are microseconds; ``revised`` is empty for tables without revised_at. ``row`` counts through all ``files``.
    """

    files: list[tuple[str, int]]
    first: Array
    second: Array
    body: Array
    revised: Array
    recorded: Array
    line: Array
    order: Array | None = None

    def __len__(self) -> int:
        return len(self.first)

    def ranked(self) -> Array:
        """The rows' places in order of the first hash; sorted once."""
        if self.order is None:
            self.order = _ranked(self.first)
        return self.order

    def hits(self, picked: Array) -> Hits:
        """Some of the rows as hits."""
        revised = self.revised[picked] if len(self.revised) else np.full(len(picked), EARLIEST)
        file, row = _in_files(picked, self.files)
        return Hits(self.first[picked], self.second[picked], self.body[picked], revised, self.recorded[picked], file, row, [f for f, _ in self.files])


def _ranked(first: Array) -> Array:
    """The places of hashes in ascending order. The hash's upper bits and the place are sorted as one number, which is much quicker than argsort."""
    count = len(first)
    low = np.uint64((1 << max(count - 1, 1).bit_length()) - 1)
    packed, alike = np.empty(count, np.uint64), []
    for start in range(0, count, _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, count))
        packed[part] = (first[part] & ~low) | np.arange(part.start, part.stop, dtype=np.uint64)
    packed.sort()
    for start in range(0, count, _AT_ONCE):
        near = packed[start: start + _AT_ONCE + 1]
        alike.append(np.flatnonzero((near[1:] ^ near[:-1]) <= low) + start)
    packed &= low
    order, again = packed.view(np.int64), np.concatenate(alike) if alike else np.empty(0, np.int64)
    if len(again) > 10_000:
        return np.argsort(first)
    for run in np.split(again, np.flatnonzero(np.diff(again) > 1) + 1) if len(again) else ():
        span = slice(int(run[0]), int(run[-1]) + 2)
        order[span] = order[span][np.argsort(first[order[span]], kind="stable")]
    return order


def hashes(table: str) -> dict[str, str]:
    """SQL of the hashes of a table's row, and of when it was revised in microseconds where the table has that."""
    about = schema.table(table)
    parts = [f"cast({name(k)} as varchar)" for k in about.key]
    whole = parts[0] if len(parts) == 1 else f"concat_ws(chr(31), {', '.join(parts)})"
    found = {"first": f"hash({', '.join(name(k) for k in about.key)})", "second": f"cast(hash('#' || {whole}) >> 32 as uinteger)",
             "body": f"hash({', '.join(name(c) for c in about.columns)})"}
    return {**found, "revised": f"coalesce(epoch_us(revised_at), {EARLIEST})"} if "revised_at" in about.columns else found


def hashed(table: str) -> str:
    """SQL columns that make the hashes and times of a table's row."""
    return ", ".join(f"{sql} as {column}" for column, sql in hashes(table).items()) + ", epoch_us(recorded_at) as recorded, line"


def read(con: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], known: dict[str, dict[str, Array]] | None = None) -> Rows:
    """The rows of data files as hashes. About 0.4 s of CPU for a million rows of 25 columns; none for files whose hashes are ``known`` by name,
    which are taken out of there."""
    kept: dict[str, list[Array]] = {n: [] for n in ("first", "second", "body", "revised", "recorded", "line")}
    sizes = []
    for file in files:
        found = known.pop(file.name) if known and file.name in known else _read(con, table, file)
        for column, values in kept.items():
            if column in found:
                values.append(np.asarray(found[column]))
        sizes.append((file.name, len(found["first"])))
    with ThreadPoolExecutor(2) as both:
        joined = dict(zip(kept, both.map(lambda values: np.concatenate(values) if values else np.empty(0, np.int64), kept.values()), strict=True))
    return Rows(sizes, joined["first"].astype(np.uint64, copy=False), joined["second"], joined["body"], joined["revised"], joined["recorded"], joined["line"])


def _read(con: duckdb.DuckDBPyConnection, table: str, file: Path) -> dict[str, Array]:
    held = {n for n, *_ in con.execute(f"describe select * from read_parquet({literal(str(file))})").fetchall()}
    lacking = "".join(f", cast(null as {c.type}) as {name(n)}" for n, c in schema.table(table).columns.items() if n not in held)
    found: dict[str, Array] = con.execute(f"select {hashed(table)} from (select *{lacking} from read_parquet({literal(str(file))}))").fetchnumpy()
    return found


def write(table: str, rows: Rows, to: Path) -> None:
    """Write a key index; 24 bytes a row, 8 more each for revised_at and for times of recording that differ."""
    order = rows.ranked()
    recorded = rows.recorded if len(rows) and (rows.recorded != rows.recorded[0]).any() else np.empty(0, np.int64)
    columns = {"first": rows.first, "second": rows.second, "body": rows.body, "row": order, "revised": rows.revised, "recorded": recorded}
    kept = [column for column, values in columns.items() if len(values) or not len(rows)]
    said = {"form": _form(table), "rows": len(rows), "files": rows.files, "arrays": kept, "recorded": int(rows.recorded[0]) if len(rows) else 0}
    head = json.dumps(said).encode()
    with to.open("wb") as stream:
        stream.write(b"%016d" % len(head) + head)
        for column, start in zip(kept, _starts(len(head), kept, len(rows)), strict=False):
            stream.seek(start)
            for part in _in_order(order, None if column == "row" else columns[column], _ARRAYS[column]):
                stream.write(part.data)
        stream.truncate(_starts(len(head), kept, len(rows))[-1])
        stream.flush()
        os.fsync(stream.fileno())


def _in_order(order: Array, values: Array | None, kind: str) -> Iterator[Array]:
    """Values in an order (None = the order itself), some at a time; the next are gathered by two threads while those before are used."""

    def gathered(first: int) -> Array:
        part = order[first: first + _AT_ONCE]
        return np.ascontiguousarray(part if values is None else values[part], dtype=kind)

    with ThreadPoolExecutor(2) as both:
        waiting: deque[Future[Array]] = deque()
        for first in range(0, len(order), _AT_ONCE):
            waiting.append(both.submit(gathered, first))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _form(table: str) -> str:
    """What the hashes depend on: DuckDB, and the table's columns."""
    return f"{_FORM} {' '.join(schema.table(table).columns)}"


def _starts(head: int, columns: Sequence[str], rows: int) -> list[int]:
    """Where each array begins in the file, and where the file ends."""
    starts = [16 + head]
    for column in columns:
        starts[-1] += -starts[-1] % 64
        starts.append(starts[-1] + rows * np.dtype(_ARRAYS[column]).itemsize)
    return starts


@dataclass(frozen=True)
class Index:
    """A key index on disk. Rows of its ``moved`` files are in another's by now: a compaction folded those files into its own."""

    files: list[tuple[str, int]]
    arrays: Mapping[str, Array]
    recorded: int
    moved: frozenset[str] = frozenset()

    def match(self, first: Array) -> Array:
        """The places in the index whose first hash is among ``first`` (sorted, distinct). O(the smaller times the logarithm of the larger)."""
        return spots(self.arrays["first"], first)

    def hits(self, spots: Array) -> Hits:
        """Some of the entries, without those of files that were moved."""
        if self.moved:
            file, _ = _in_files(np.asarray(self.arrays["row"][spots], np.int64), self.files)
            spots = spots[~np.array([f in self.moved for f, _ in self.files])[file]]
        revised = self.arrays["revised"][spots] if "revised" in self.arrays else np.full(len(spots), EARLIEST)
        recorded = self.arrays["recorded"][spots] if "recorded" in self.arrays else np.full(len(spots), self.recorded)
        file, row = _in_files(np.asarray(self.arrays["row"][spots], np.int64), self.files)
        return Hits(self.arrays["first"][spots], self.arrays["second"][spots], self.arrays["body"][spots], revised, recorded, file, row,
                    [f for f, _ in self.files])


def _in_files(places: Array, files: Sequence[tuple[str, int]]) -> tuple[Array, Array]:
    """The number of the file and the row in it of places that count through all files."""
    sizes = np.array([n for _, n in files], np.int64)
    ends = np.cumsum(sizes)
    number = np.searchsorted(ends, places, "right").astype(np.int64)
    return number, places - (ends - sizes)[number] if len(places) else places


def spots(held: Array, first: Array) -> Array:
    """The places in a sorted array whose value is among ``first`` (sorted, distinct)."""
    if not len(held) or not len(first):
        return np.empty(0, np.int64)
    if len(held) < len(first):
        nearest = np.minimum(np.searchsorted(first, held), len(first) - 1)
        return np.flatnonzero(first[nearest] == held)
    low = np.searchsorted(held, first, "left")
    hit = held[np.minimum(low, len(held) - 1)] == first
    low = low[hit]
    following = np.minimum(low + 1, len(held) - 1)
    if not ((held[following] == first[hit]) & (following > low)).any():
        return low
    count = np.searchsorted(held, first[hit], "right") - low
    return np.repeat(low - np.cumsum(count) + count, count) + np.arange(count.sum())


def distinct(values: Array) -> Array:
    """The distinct values, sorted."""
    ranked = np.sort(values)
    return ranked[np.append(True, ranked[1:] != ranked[:-1])] if len(ranked) else ranked


def within(values: Array, ranked: Array) -> Array:
    """Whether each value is among sorted ones."""
    if not len(ranked):
        return np.zeros(len(values), bool)
    return np.asarray(ranked[np.minimum(np.searchsorted(ranked, values), len(ranked) - 1)] == values)


def opened(root: Path, table: str, owner: str, files: Iterable[str]) -> Index | None:
    """The key index of a batch or compaction that has these data files left; None when it is missing or does not know them."""
    path = keys_file(root, table, owner)
    try:
        with path.open("rb") as stream:
            length = int(stream.read(16) or b"0")
            head = json.loads(stream.read(length) or b"{}")
            size = os.fstat(stream.fileno()).st_size
    except (FileNotFoundError, ValueError):
        return None
    moved = {f for f, _ in head.get("files", ())} - (left := set(files))
    if head.get("form") != _form(table) or len(moved) + len(left) != len(head["files"]):
        return None
    rows, starts = head["rows"], _starts(length, head["arrays"], head["rows"])
    if size != starts[-1]:
        return None
    arrays = {n: np.memmap(path, _ARRAYS[n], "r", start, (rows,)) if rows else np.empty(0, _ARRAYS[n])
              for n, start in zip(head["arrays"], starts, strict=False)}
    return Index([(f, n) for f, n in head["files"]], arrays, head["recorded"], frozenset(moved))

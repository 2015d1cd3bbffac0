"""What the lake shows at pinned versions: the files of visible batches, and the latest edition of each key.

A batch is visible when its row is in the pinned version of ``batches``, which is committed after everything else of it. So a load
that was killed at any moment shows nothing, and a reader never sees half of one. The latest edition of a key is every row that no visible batch
superseded (``keys``); a batch that does not say which it superseded is compared by key.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deltalake.exceptions import DeltaError

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake import journal, keys, known, tables

#: Listings that one open lake remembers.
_REMEMBERED = 64
#: How often a state is looked at before the ledger is held still for it.
_LOOKS = 6
#: Files with superseded rows up to which each is compared with its own rows alone, which is quicker.
_APART = 8
_ORDER = ("recorded_at desc", "line desc")


class View:
    """Reads a lake folder; remembers listings, which never change for a version."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[tuple[str, int], tuple[list[str], frozenset[str]]] = {}
        self._visible: dict[int, dict[str, int]] = {}
        self._gone: dict[tuple[str, str], frozenset[str]] = {}
        self._guard = threading.Lock()

    @property
    def root(self) -> Path:
        """The lake's folder."""
        return self._root

    def versions(self) -> dict[str, int]:
        """The newest version of each table there is, and the journal's position: one state.

        ``batches`` is looked at first, so all its batches are in the others, and again last: had a batch become visible in between, a
        compaction could have taken its rows into a file that is visible by itself.
        """
        for attempt in range(_LOOKS):
            with tables.locked(self._root, "batches") if attempt == _LOOKS - 1 else contextlib.nullcontext():
                found = {}
                for table in ("batches", *sorted(set(tables.SHAPES) - {"batches"})):
                    version = tables.latest(self._root, table)
                    if version is not None:
                        found[table] = version
                if tables.latest(self._root, "batches") == found.get("batches"):
                    break
        position = journal.position(self._root)
        return found if position is None else {**found, journal.KEY: position}

    def settled(self) -> dict[str, int]:
        """The same without the journal: what is in the Delta tables."""
        return {table: version for table, version in self.versions().items() if table != journal.KEY}

    def empty(self, table: str, versions: Mapping[str, int]) -> bool:
        """Whether a table has neither a file nor a live row."""
        return not self.files(table, versions) and not journal.rows(self, table, versions).sql

    def visible(self, versions: Mapping[str, int]) -> dict[str, int]:
        """Batches that are visible, in the order in which they came, each with its place in that order."""
        version = versions.get("batches")
        if version is None:
            return {}
        with self._guard:
            if version not in self._visible:
                paths = [self._root / "batches" / f for f in self._list("batches", version)[0]]
                rows: list[str] = []
                if paths:
                    ledger = pl.scan_parquet(paths, extra_columns="ignore", missing_columns="insert").select("recorded_at", "batch_id")
                    rows = ledger.sort("recorded_at", "batch_id").collect()["batch_id"].to_list()
                _keep(self._visible, version, {batch: place for place, batch in enumerate(rows)})
            return self._visible[version]

    def files(self, table: str, versions: Mapping[str, int]) -> list[Path]:
        """Parquet files of the visible batches, oldest batch first."""
        version = versions.get(table)
        if version is None:
            return []
        visible = self.visible(versions)
        with self._guard:
            listed = self._list(table, version)[0]
        if table == "batches":
            return [self._root / table / f for f in listed]
        shown = [f for f in listed if tables.batch_of(f) in visible or tables.stands(tables.batch_of(f))]
        return [self._root / table / f for f in sorted(shown, key=lambda f: (visible.get(tables.batch_of(f), -1), f))]

    def current(self, table: str, versions: Mapping[str, int], *, history: bool = False) -> str:
        """SQL of a table's rows, to stand behind FROM in brackets; the latest edition of each key, or with ``history`` every edition.

        With "journal" among the versions the live rows that they do not hold yet are laid over them; with "known" it is what was known then.
        """
        if known.KEY in versions:
            every = journal.over(table, self._held(table, versions, history=True), journal.rows(self, table, versions), history=True)
            return known.current(table, every, versions, history=history)
        return journal.over(table, self._held(table, versions, history=history), journal.rows(self, table, versions), history=history)

    def _held(self, table: str, versions: Mapping[str, int], *, history: bool) -> str:
        files = self.files(table, versions)
        if not files:
            return _nothing(table)
        columns, grown = self._columns(table, versions[table]), self._grown(table, versions[table])
        if history or table not in schema.TABLES:
            return f"select {columns} from {_parquet(table, files, grown)}"
        files = [f for f in files if tables.kind_of(f.name) != tables.OLD]
        settled = [f for f in files if self._superseded(table, tables.batch_of(f.name)) is not None]
        loose = [f for f in files if f not in settled]
        if not settled:
            return self._by_key(table, loose, columns, grown)
        listed, dropped = self._dropped(table, settled)
        clean, rest = [f for f in settled if f.name not in dropped], [f for f in settled if f.name in dropped]
        parts = [f"select {columns} from {_parquet(table, clean, grown)}"] if clean else []
        gone = f"read_parquet([{', '.join(literal(str(f)) for f in listed)}])"
        for file in rest if len(rest) <= _APART else ():
            rows = f"select row as file_row_number from {gone} where file = {literal(file.name)}"
            parts.append(f"select {columns} from {_parquet(table, [file], grown, placed=True)} anti join ({rows}) using (file_row_number)")
        if len(rest) > _APART:
            rows = f"select {literal(str(self._root / table) + '/')} || file as filename, row as file_row_number from {gone}"
            parts.append(f"select {columns} from {_parquet(table, rest, grown, placed=True)} anti join ({rows}) using (filename, file_row_number)")
        sql = " union all by name ".join(parts)
        if loose:
            sql = journal.over(table, sql, journal.Rows(f"select {columns} from {_parquet(table, loose, grown)}"))
        return sql

    def _by_key(self, table: str, files: list[Path], columns: str, grown: bool) -> str:
        """The latest edition of each key in files without sidecars, as an older lake or a careless hand leaves them."""
        about = schema.table(table)
        key = ", ".join(name(k) for k in about.key)
        order = ", ".join([*(["revised_at desc nulls last"] if "revised_at" in about.columns else []), *_ORDER])
        return f"select {columns} from {_parquet(table, files, grown)} qualify row_number() over (partition by {key} order by {order}) = 1"

    def sidecars(self, table: str, versions: Mapping[str, int]) -> list[Path]:
        """The lists of superseded rows that the current view reads."""
        if table not in schema.TABLES:
            return []
        files = [f for f in self.files(table, versions) if tables.kind_of(f.name) != tables.OLD]
        return self._dropped(table, files)[0]

    def placed(self, table: str, versions: Mapping[str, int], files: Sequence[Path]) -> str:
        """SQL of the rows of some of a table's files, superseded ones too, with filename and file_row_number; to stand behind FROM."""
        columns = self._columns(table, versions[table])
        rows = _parquet(table, list(files), self._grown(table, versions[table]), placed=True)
        return f"(select {columns}, filename, file_row_number from {rows})"

    def superseded(self, table: str, versions: Mapping[str, int], files: list[str], rows: keys.Array) -> keys.Array:
        """Whether each of some rows, by file name and number, was superseded by a visible batch. The lists are remembered."""
        out = np.zeros(len(files), bool)
        named = np.array(files, dtype=object)
        for listing in self.sidecars(table, versions) if len(files) else ():
            gone = _listing(listing, listing.stat().st_mtime_ns)
            for file in set(files) & gone.keys():
                here = named == file
                out[here] |= keys.within(rows[here], gone[file])
        return out

    def _dropped(self, table: str, files: list[Path]) -> tuple[list[Path], set[str]]:
        """The lists with superseded rows of these files, and the files in which those are."""
        names, listed = {f.name for f in files}, []
        dropped: set[str] = set()
        for owner in dict.fromkeys(tables.batch_of(f.name) for f in files):
            hit = (self._superseded(table, owner) or frozenset()) & names
            if hit:
                listed.append(keys.gone_file(self._root, table, owner))
                dropped |= hit
        return listed, dropped

    def _superseded(self, table: str, owner: str) -> frozenset[str] | None:
        """The files of which an owner superseded rows; None where it has no such list."""
        if (table, owner) not in self._gone:
            file = keys.gone_file(self._root, table, owner)
            if not file.exists():
                return None
            _keep(self._gone, (table, owner), frozenset(pl.read_parquet(file, columns=["file"])["file"].unique().to_list()), 4096)
        return self._gone[table, owner]

    def _grown(self, table: str, version: int) -> bool:
        """Whether the table has got columns since its first version, so that files may lack some."""
        with self._guard:
            try:
                return self._list(table, 0)[1] != self._list(table, version)[1]
            except DeltaError:
                return True

    def _columns(self, table: str, version: int) -> str:
        with self._guard:
            held = self._list(table, version)[1]
        shape = tables.SHAPES[table]
        return ", ".join(name(n) if n in held else f"cast(null as {c.type}) as {name(n)}" for n, c in shape.items())

    def _list(self, table: str, version: int) -> tuple[list[str], frozenset[str]]:
        if (table, version) not in self._listed:
            _keep(self._listed, (table, version), tables.listing(self._root, table, version))
        return self._listed[table, version]


@lru_cache(maxsize=64)
def _listing(file: Path, changed: int) -> dict[str, keys.Array]:
    """A list of superseded rows: file -> its rows, sorted."""
    frame = pl.read_parquet(file)
    return {name: part["row"].sort().to_numpy() for (name,), part in frame.partition_by("file", as_dict=True).items()}


def _keep(store: dict[Any, Any], key: Any, value: Any, most: int = _REMEMBERED) -> None:
    """Remember a value, and forget the oldest when there are too many: an app refreshes for days."""
    store[key] = value
    while len(store) > most:
        with contextlib.suppress(KeyError, StopIteration):
            store.pop(next(iter(store)))


def _parquet(table: str, files: list[Path], grown: bool, *, placed: bool = False) -> str:
    """SQL of the rows of Parquet files, with ``placed`` also filename and file_row_number; with ``grown`` columns that none of them has are null."""
    further = (", union_by_name = true" if grown else "") + (", filename = true, file_row_number = true" if placed else "")
    rows = f"read_parquet([{', '.join(literal(str(f)) for f in files)}]{further})"
    return f"({_nothing(table)} union all by name select * from {rows})" if grown else rows


def _nothing(table: str) -> str:
    return f"select {', '.join(f'cast(null as {c.type}) as {name(n)}' for n, c in tables.SHAPES[table].items())} where false"

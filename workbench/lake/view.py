"""What the lake shows at pinned versions: the files of visible batches, and the latest edition of each key.

A batch is visible when its row is in the pinned version of ``batches``, which is committed after everything else of it. So a load
that was killed at any moment shows nothing, and a reader never sees half of one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake import tables

#: Listings that one open lake remembers.
_REMEMBERED = 64
_ORDER = ("recorded_at desc", "line desc")


class View:
    """Reads a lake folder; remembers listings, which never change for a version."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[tuple[str, int], tuple[list[str], frozenset[str]]] = {}
        self._visible: dict[int, dict[str, int]] = {}
        self._guard = threading.Lock()

    def versions(self) -> dict[str, int]:
        """The newest version of each table there is; ``batches`` is looked at first, so all its batches are in the others."""
        found = {}
        for table in ("batches", *sorted(set(tables.SHAPES) - {"batches"})):
            version = tables.latest(self._root, table) if (self._root / table).is_dir() else None
            if version is not None:
                found[table] = version
        return found

    def visible(self, versions: Mapping[str, int]) -> dict[str, int]:
        """Batches that are visible, in the order in which they came, each with its place in that order."""
        version = versions.get("batches")
        if version is None:
            return {}
        with self._guard:
            if version not in self._visible:
                paths = [self._root / "batches" / f for f in self._list("batches", version)[0]]
                rows = pl.read_parquet(paths, columns=["recorded_at", "batch_id"]).sort("recorded_at", "batch_id")["batch_id"].to_list() if paths else []
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
        shown = [f for f in listed if tables.batch_of(f) in visible]
        return [self._root / table / f for f in sorted(shown, key=lambda f: (visible[tables.batch_of(f)], f))]

    def current(self, table: str, versions: Mapping[str, int], *, history: bool = False) -> str:
        """SQL of a table's rows, to stand behind FROM in brackets; the latest edition of each key, or with ``history`` every edition."""
        files = self.files(table, versions)
        if not files:
            return _nothing(table)
        columns = self._columns(table, versions[table])
        new = [str(f) for f in files if tables.kind_of(f.name) != "rev"]
        rev = [str(f) for f in files if tables.kind_of(f.name) == "rev"]
        if history or not rev or table not in schema.TABLES:
            return f"select {columns} from {_parquet([*new, *rev])}"
        about = schema.table(table)
        key = ", ".join(name(k) for k in about.key)
        order = ", ".join([*(["revised_at desc nulls last"] if "revised_at" in about.columns else []), *_ORDER])
        newest = f"select {columns} from {_parquet(rev)} qualify row_number() over (partition by {key} order by {order}) = 1"
        return f"select {columns} from {_parquet(new)} anti join (select distinct {key} from {_parquet(rev)}) using ({key}) union all by name ({newest})"

    def _columns(self, table: str, version: int) -> str:
        with self._guard:
            held = self._list(table, version)[1]
        shape = tables.SHAPES[table]
        return ", ".join(name(n) if n in held else f"cast(null as {c.type}) as {name(n)}" for n, c in shape.items())

    def _list(self, table: str, version: int) -> tuple[list[str], frozenset[str]]:
        if (table, version) not in self._listed:
            _keep(self._listed, (table, version), tables.listing(self._root, table, version))
        return self._listed[table, version]


def _keep(store: dict[Any, Any], key: Any, value: Any) -> None:
    """Remember a value, and forget the oldest when there are too many: an app refreshes for days."""
    store[key] = value
    while len(store) > _REMEMBERED:
        store.pop(next(iter(store)))


def _parquet(files: list[str]) -> str:
    return f"read_parquet([{', '.join(literal(f) for f in files)}], union_by_name = true)"


def _nothing(table: str) -> str:
    return f"select {', '.join(f'cast(null as {c.type}) as {name(n)}' for n, c in tables.SHAPES[table].items())} where false"

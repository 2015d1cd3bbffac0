"""A piece's mapped rows put together: DuckDB makes only the columns that have to be made.

A text that goes into its column as it stands in the file is taken from there without a copy, a column that is the same in every row
is written down once. Half of a wide table's columns are of these two kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np
import numpy.typing as npt

from workbench.engines.duckdb import name
from workbench.lake import keys
from workbench.lake.columns import of_numbers
from workbench.lake.files import Piece
from workbench.lake.filling import Filling
from workbench.lake.mapping import Provenance, empty, sound_rows, unchanged
from workbench.lake.records import NUMBER
from workbench.loaders import Part, Source

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """``table`` has the canonical columns and the provenance; ``hashes`` is what ``keys.read`` would make of it: an array for each of its columns."""

    table: pa.Table
    hashes: dict[str, npt.NDArray[Any]]


class Assembler:
    """Makes rows of the parts of one source, for one batch."""

    def __init__(self, con: duckdb.DuckDBPyConnection, source: Source, fill: Filling, provenance: Provenance) -> None:
        self._con, self._source, self._fill, self._provenance = con, source, fill, provenance
        moment = datetime.fromisoformat(provenance.recorded_at).astimezone(UTC).replace(tzinfo=None)
        self._recorded = int(np.datetime64(moment, "us").astype(np.int64))
        self._types: dict[str, Mapping[str, Any]] = {}

    def rows(self, part: Part, piece: Piece) -> Rows | None:
        """The rows a part gets of a piece whose frame is registered; None when it gets none."""
        import polars as pl
        import pyarrow as pa

        sql = sound_rows(self._source, part, piece.raw, self._fill, self._provenance, piece.bare, piece.full)
        same = {c: piece.places[raw] for c, raw in unchanged(self._source, part, self._fill, piece.bare, piece.full).items() if raw in piece.places}
        types = self._shape(part.table, sql)
        nothing = empty(part)
        hashes = {f"#{column}": hashed for column, hashed in keys.hashes(part.table).items()}
        left_out = {*same, *nothing, "source", "batch_id", "recorded_at"}
        picked = [name(c) for c in types if c not in left_out] + [f"{hashed} as {name(c)}" for c, hashed in hashes.items()]
        made = self._con.sql(f"select {', '.join(picked)} from ({sql})").to_arrow_table()
        count = made.num_rows
        if not count:
            return None
        told = cast("pl.DataFrame", pl.from_arrow(made.select(["line", *hashes])))
        arrays = {column.lstrip("#"): told[column].to_numpy() for column in told.columns}
        arrays["recorded"] = np.full(count, self._recorded)
        held = {c: made.column(c) for c in types if c in made.column_names}
        if same:
            kept = of_numbers(piece.frame, NUMBER, arrays["line"], list(dict.fromkeys(same.values())))
            held.update((c, kept.column(place)) for c, place in same.items())
        held.update((c, pa.nulls(count, types[c])) for c in nothing)
        held["source"], held["batch_id"] = _one_text(self._provenance.source, count), _one_text(self._provenance.batch_id, count)
        held["recorded_at"] = pa.Array.from_buffers(types["recorded_at"], count, [None, pa.py_buffer(arrays["recorded"])])
        return Rows(pa.Table.from_arrays([held[c] for c in types], names=list(types)), arrays)

    def _shape(self, table: str, sql: str) -> Mapping[str, Any]:
        """The Arrow types of the columns of a table's rows, in order."""
        if table not in self._types:
            import pyarrow as pa

            found = self._con.sql(f"select * from ({sql}) limit 0").to_arrow_table().schema
            self._types[table] = {f.name: pa.string() if f.type == pa.string_view() else f.type for f in found}
        return self._types[table]


def _one_text(value: str, count: int) -> Any:
    import pyarrow as pa

    data = value.encode()
    ends = np.array([0, len(data)], np.int32)
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    return pa.DictionaryArray.from_arrays(pa.Array.from_buffers(pa.int8(), count, [None, pa.py_buffer(bytes(count))]), text)

"""What a table is: a name, a key, columns with a type and a meaning; and the columns that every table shares."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

_POLARS: dict[str, pl.DataType] = {
    "VARCHAR": pl.String(),
    "DOUBLE": pl.Float64(),
    "BIGINT": pl.Int64(),
    "BOOLEAN": pl.Boolean(),
    "DATE": pl.Date(),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
    "VARCHAR[]": pl.List(pl.String()),
    "DOUBLE[]": pl.List(pl.Float64()),
}


@dataclass(frozen=True)
class Column:
    """One column: DuckDB type and what it means; ``required`` means a row without it is rejected."""

    type: str
    help: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One canonical table.

    Args:
        name: plural.
        help: what a row is.
        key: the columns that name a row; the current view holds the latest edition per key.
        time: the column that says when it happened ("" for things without a time); ranges and retention use it.
        personal: a row is about a plate or a person, so a case, a purpose and a reason are needed to see it.
        columns: name -> Column.
    """

    name: str
    help: str
    key: tuple[str, ...]
    columns: dict[str, Column] = field(repr=False)
    time: str = ""
    personal: bool = False

    def all_columns(self) -> dict[str, Column]:
        """Canonical columns followed by PROVENANCE."""
        return {**self.columns, **PROVENANCE}

    def empty(self) -> pl.DataFrame:
        """A frame with every column and no row."""
        return pl.DataFrame(schema={n: _POLARS[c.type] for n, c in self.all_columns().items()})


PROVENANCE: dict[str, Column] = {
    "source": Column("VARCHAR", "the source that read it, e.g. chicago_crimes", True),
    "batch_id": Column("VARCHAR", "the load it came with; the batches table says file, SHA-256 and counts", True),
    "line": Column("BIGINT", "record number in the file, 1 = first record behind the header", True),
    "recorded_at": Column("TIMESTAMPTZ", "when the lake learnt it", True),
}

#: Columns of a thing that has a place.
PLACE = {
    "address": Column("VARCHAR", "as recorded (often a block)"),
    "lon": Column("DOUBLE", "WGS84 degrees; null = no usable position, the row is kept"),
    "lat": Column("DOUBLE", "WGS84 degrees"),
    "place_basis": Column("VARCHAR", "how the position was come by: null = as recorded; else address, hundred block, intersection or street (geocoded)"),
    "place_error_m": Column("DOUBLE", "how far off a geocoded position may be, metres (nine times of ten); null = as recorded"),
}

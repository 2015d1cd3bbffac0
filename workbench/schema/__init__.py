"""The canonical tables: what every source is turned into and every model can rely on.

A table is a name, a key and columns with a type and a meaning. Times are UTC (``TIMESTAMPTZ`` in DuckDB, ``Datetime("us", "UTC")``
in Polars), positions WGS84 degrees. Every fact row also carries PROVENANCE: where it came from and when the lake learnt it.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.schema.events import EVENTS
from workbench.schema.ledger import BATCHES, PURGES, REJECTS, RESOLUTIONS
from workbench.schema.persons import PERSONS
from workbench.schema.places import PLACES
from workbench.schema.plates import PLATES
from workbench.schema.shape import PROVENANCE, Column, Table

__all__ = ["BATCHES", "PROVENANCE", "PURGES", "REJECTS", "RESOLUTIONS", "TABLES", "Column", "Table", "require", "table", "utc"]

TABLES: dict[str, Table] = {t.name: t for t in (*EVENTS, *PLATES, *PERSONS, *PLACES)}


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    if name not in TABLES:
        raise NotFound(f"There is no table {name!r}.{did_you_mean(name, TABLES)}")
    return TABLES[name]


def require(frame: pl.DataFrame, *columns: str, what: str = "The frame") -> None:
    """Check at a model's door that a frame has some columns.

    Raises:
        BadInput: naming the first missing column, with the nearest that is there.
    """
    if not isinstance(frame, pl.DataFrame):
        raise BadInput(f"{what} is a {type(frame).__name__}; a polars.DataFrame is needed.")
    for column in columns:
        if column not in frame.columns:
            raise BadInput(f"{what} has no column {column!r}.{did_you_mean(column, frame.columns)}")


def utc(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Cast time columns to microseconds UTC; a time without zone is refused, because nobody can know what it means.

    Raises:
        BadInput: a column is not a time, or has no zone.
    """
    casts = []
    for name in columns:
        kind = frame.schema[name]
        if not isinstance(kind, pl.Datetime):
            raise BadInput(f"Column {name!r} is {kind}, not a time; it must be Datetime with time zone UTC.")
        if kind.time_zone is None:
            raise BadInput(f"Column {name!r} has no time zone; say which with .dt.replace_time_zone('America/Chicago').dt.convert_time_zone('UTC').")
        casts.append(pl.col(name).dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    return frame.with_columns(casts) if casts else frame

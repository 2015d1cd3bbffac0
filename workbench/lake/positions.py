"""Geocoded positions: which did a load's editions come without, and which can be set again?

An edition says what its source said. An export that has the address and no position is therefore the newest edition without a position, also where
the edition before it had one from ``workbench geocode``. The load counts these; the old edition stays, and its position is taken from there as
long as the address is the same and no streets were loaded since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from workbench import schema
from workbench.loaders import Source

if TYPE_CHECKING:
    from workbench.lake import Lake, LoadReport

#: Name of the source that positions are from which were looked up.
GEOCODER = "geocoder"
PLACED = ("lon", "lat", "place_basis", "place_error_m")


def geocoded(table: str) -> bool:
    """Whether rows of a table can have a geocoded position."""
    return {"address", *PLACED} <= set(schema.table(table).columns)


def dropped(lake: Lake, source: Source, report: LoadReport) -> dict[str, int]:
    """Table -> rows of a batch without a position whose edition before had one from the geocoder and the same address; tables without any left out.

    Cost: nothing where no batch of the geocoder is there, or the load updated nothing; else some columns of the files with the rows updated.
    """
    tables = [t for t in source.tables if geocoded(t)]
    if not report.updated or source.name == GEOCODER or not tables:
        return {}
    versions = lake.versions()
    if not lake.frame("batches", versions, where=f"source = '{GEOCODER}'").height:
        return {}
    found = {}
    for table in tables:
        had = lake.superseded_by(table, report.batch_id, versions, f"source = '{GEOCODER}' and lon is not null")
        if had.height:
            key = list(schema.table(table).key)
            now = lake.frame(table, versions, where="batch_id = ? and lon is null", params=[report.batch_id]).select(*key, "address")
            found[table] = had.join(now, on=[*key, "address"], how="semi").select(key).unique().height
    return {table: count for table, count in found.items() if count}


def again(lake: Lake, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Some rows with the position that their key and address had, for those that had one; the others are left out.

    A position from before the streets were last loaded is not given: it would be looked up otherwise now.

    Args:
        lake: it.
        table: of the rows.
        frame: rows of it without a position.
    """
    key, versions = list(schema.table(table).key), lake.versions()
    streets = lake.frame("batches", versions, where="list_contains(tables, 'streets')")["recorded_at"].max()
    held = lake.editions(table, versions, where=f"source = '{GEOCODER}' and lon is not null")
    if streets is not None:
        held = held.filter(pl.col("recorded_at") > streets)
    last = held.sort("recorded_at", "line").unique(key, keep="last").select(*key, "address", *PLACED)
    columns = [c for c in frame.columns if c not in PLACED]
    return frame.select(columns).join(last, on=[*key, "address"], how="inner", maintain_order="left").select(frame.columns)

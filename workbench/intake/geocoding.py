"""Geocoding a table of the lake: rows without a position get one, each as a new edition, in a batch of its own; the old editions stay."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.intake.geocode import BASES, Geocoder, Report, geocode
from workbench.lake import Lake, LoadReport, positions
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column

#: Name of the source that such batches are of.
SOURCE = positions.GEOCODER
#: Written into the file too, so that the same positions for a later edition of the rows are not taken for a file that was loaded already.
_REPLACES = "recorded_at"
#: How the folder's name begins in which a batch is written; one as old as this (seconds) was left by a run that was killed.
_WORK, _OLD = ".geocoded-", 6 * 3600


def tables() -> list[str]:
    """The tables that can be geocoded: those whose rows have an address and a place."""
    return sorted(filter(positions.geocoded, schema.TABLES))


def geocoder(lake: Lake, *, spelling: bool = True) -> Geocoder:
    """A geocoder over the streets that a lake holds.

    Raises:
        CannotTell: it holds none.
    """
    return Geocoder(lake.frame("streets"), spelling=spelling)


def run(lake: Lake, table: str, *, asker: Geocoder | None = None, user: str = "", dry: bool = False, only_again: bool = False,
        spelling: bool = True, progress: Callable[[str, float], None] | None = None) -> tuple[Report, LoadReport | None]:
    """Geocode the rows of a table that have an address and no position.

    A row that had a geocoded position in an earlier edition gets it again without a look-up, if its address is the same and no streets were loaded since.

    Args:
        lake: with streets in it.
        table: one of :func:`tables`.
        asker: the geocoder; None = over the lake's streets.
        user: who asks, for the ledger.
        dry: only count; nothing is written.
        only_again: only set such positions again, look nothing up.
        spelling: bend the spelling of street names; False also looks up anew what had a position.
        progress: as for ``Lake.load``.

    Returns:
        What it came to, and the report of the batch (None when nothing was written).

    Raises:
        BadInput: the table has no addresses. CannotTell: no row lacks a position, or no streets are loaded.
    """
    if table not in tables():
        raise BadInput(f"Rows of {table!r} cannot be geocoded.{did_you_mean(table, tables())}")
    frame = lake.frame(table, where="(lon is null or lat is null) and address is not null")
    if not frame.height:
        raise CannotTell(f"No row of {table} has an address and lacks a position; there is nothing to geocode.")
    filled, report = _filled(lake, table, frame, asker, only_again, spelling)
    placed = filled.filter(pl.col("lon").is_not_null() & pl.col("place_basis").is_not_null()).select([*schema.table(table).columns, _REPLACES])
    if dry or not placed.height:
        return report, None
    _clear(lake.path.parent)
    work = Path(tempfile.mkdtemp(prefix=_WORK, dir=lake.path.parent))
    try:
        file = work / f"geocoded-{table}.parquet"
        lists = [n for n, kind in placed.schema.items() if isinstance(kind, pl.List)]
        texts = (pl.Series(n, [None if v is None else json.dumps(v) for v in placed[n].to_list()], dtype=pl.String) for n in lists)
        placed.with_columns(texts).write_parquet(file)
        return report, lake.load(source(table), file, user=user, progress=progress)
    finally:
        shutil.rmtree(work)


def _filled(lake: Lake, table: str, frame: pl.DataFrame, asker: Geocoder | None, only_again: bool, spelling: bool) -> tuple[pl.DataFrame, Report]:
    """The rows with the positions they had, and with those that are looked up."""
    had = positions.again(lake, table, frame) if spelling else frame.clear()
    rest = frame.clear() if only_again else frame.join(had, on=list(schema.table(table).key), how="anti", maintain_order="left")
    if not rest.height:
        return had, Report(had.height, 0, dict.fromkeys(BASES, 0), {}, 0, again=had.height)
    filled, report = geocode(rest, asker or geocoder(lake, spelling=spelling))
    return pl.concat([had, filled]), replace(report, rows=report.rows + had.height, again=had.height)


def source(table: str) -> Source:
    """The source of such a batch: the table's own columns as they are."""
    columns = schema.table(table).columns

    def same(name: str, kind: str) -> str:
        if kind.endswith("[]"):
            return f"cast(cast({column(name)} as json) as {kind})"
        return column(name) if kind == "VARCHAR" else f"cast({column(name)} as {kind})"

    part = Part(table, {n: same(n, c.type) for n, c in columns.items()})
    return Source(name=SOURCE, title=f"positions of {table} looked up in the workspace's streets", parts=(part,), columns=tuple(columns), formats=("parquet",))


def _clear(folder: Path) -> None:
    for left in folder.glob(f"{_WORK}*"):
        if time.time() - left.stat().st_mtime > _OLD:
            shutil.rmtree(left, ignore_errors=True)

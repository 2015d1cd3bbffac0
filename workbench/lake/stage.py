"""From a file's records to staged rows: each piece is mapped by DuckDB into Parquet files of its own, and what cannot be used is noted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from workbench.engines.duckdb import literal
from workbench.errors import BadInput
from workbench.lake import files, mapping, rejects, tables
from workbench.lake.filling import Filling


def stage(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, fill: Filling, provenance: mapping.Provenance,
          progress: Callable[[float], None]) -> dict[str, list[tables.DataFile]]:
    """Map the records of every part into Parquet files of its own, and note those that cannot be used."""
    source = ready.source
    staged: dict[str, list[tables.DataFile]] = {table: [] for table in source.tables}
    rejects.begin(con)
    done = 0.0
    for number, piece in enumerate(files.pieces(ready, work)):
        with _reported(con, done, piece.share, progress):
            sound = 0
            for place, part in enumerate(source.parts):
                path = work / f"{provenance.batch_id}-new-{number}p{place}.parquet"
                rows = _copy(con, ready, mapping.sound_rows(source, part, piece.raw, fill, provenance), path)
                sound += rows
                if rows:
                    staged[part.table].append(tables.DataFile(path, rows))
            if sound != piece.records:
                rejects.collect(con, source, piece, fill)
        done = piece.share
    return staged


def _copy(con: duckdb.DuckDBPyConnection, ready: files.Ready, rows: str, path: Path) -> int:
    with _layered(con):
        try:
            written = con.execute(f"copy ({rows}) to {literal(str(path))} (format parquet, compression zstd)").fetchone()
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise BadInput(f"{ready.file.name} cannot be read as {ready.source.name}: {str(error).splitlines()[0]} Nothing was loaded.") from error
    return int(written[0]) if written else 0


@contextmanager
def _layered(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep conditions where the mapping puts them, behind the columns they test, so that no column is computed twice."""
    con.execute("set disabled_optimizers = 'filter_pushdown'")
    try:
        yield
    finally:
        con.execute("set disabled_optimizers = ''")


@contextmanager
def _reported(con: duckdb.DuckDBPyConnection, low: float, high: float, progress: Callable[[float], None]) -> Iterator[None]:
    """Report the progress of the queries that run meanwhile between ``low`` and ``high``, five times a second, never backwards."""
    done = threading.Event()

    def watch() -> None:
        share = 0.0
        while not done.wait(0.2):
            share = max(share, min(1.0, float(con.query_progress()) / 100.0))
            progress(low + (high - low) * share)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    progress(high)

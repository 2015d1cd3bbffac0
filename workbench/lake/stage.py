"""From a file's records to staged rows: each piece is mapped by DuckDB into Parquet files of its own, and what cannot be used is noted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from workbench.engines.duckdb import literal
from workbench.errors import BadInput
from workbench.lake import files, mapping, rejects, tables
from workbench.lake.filling import Filling
from workbench.lake.records import NUMBER, Batch, Checker
from workbench.loaders import Source

if TYPE_CHECKING:
    import polars as pl


def stage_file(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, fill: Filling, provenance: mapping.Provenance,
               progress: Callable[[float], None]) -> dict[str, list[tables.DataFile]]:
    """Map the records of every part into Parquet files of its own, and note those that cannot be used."""
    source = ready.source
    ready.whole = mapping.looks_around(source)
    staged: dict[str, list[tables.DataFile]] = {table: [] for table in source.tables}
    rejects.begin(con)
    done = 0.0
    for number, piece in enumerate(files.pieces(ready, work)):
        with _registered(con, piece.frame), _reported(con, done, piece.share, progress):
            sound = []
            for place, part in enumerate(source.parts):
                path = work / f"{provenance.batch_id}-new-{number}p{place}.parquet"
                rows = _copy(con, ready, mapping.sound_rows(source, part, piece.raw, fill, provenance, piece.bare), path)
                if rows:
                    sound.append(tables.DataFile(path, rows))
                    staged[part.table].append(sound[-1])
            if sum(f.rows for f in sound) != piece.records:
                _refuse(con, ready, piece, [f.path for f in sound], fill)
        done = piece.share
    return staged


def map_records(source: Source, records: list[bytes], fill: Filling, con: duckdb.DuckDBPyConnection) -> tuple[dict[str, pl.DataFrame], list[tuple[int, str]]]:
    """Map JSON records that are in memory, as a file with them would be.

    Args:
        source: whose parts they become.
        records: one JSON object each, UTF-8.
        fill: the values for the holes in the source's expressions.
        con: a connection with ``loaders.functions`` registered; nothing else may use it meanwhile.

    Returns:
        For each table that got rows its frame: canonical columns and ``line``, the record's place in the list counted from 1. And (place, reason)
        of the records that cannot be used, ascending; every record is in one of the two. A member that a record lacks is null, also one of the
        source's ``columns``.

    Cost: some 20 ms, and 10 us a record.
    """
    import numpy as np

    check, numbers = Checker(), []
    refused: list[tuple[int, str]] = []
    for number, raw in enumerate(records, 1):
        problem = check.problem(raw.strip())
        if problem:
            refused.append((number, problem))
        else:
            numbers.append(number)
    frames: dict[str, pl.DataFrame] = {}
    if numbers:
        text = b"\n".join(records[n - 1].strip().replace(b"\n", b" ").replace(b"\r", b" ") for n in numbers)
        ready = files.Ready(source, fill.file, "ndjson")
        piece = files.ndjson_piece(ready, [Batch(1, len(numbers), text, np.array(numbers, np.int64))], check.members)
        with _registered(con, piece.frame), _layered(con):
            for part in source.parts:
                rows = con.sql(mapping.sound_rows(source, part, piece.raw, fill, None, piece.bare)).pl()
                if rows.height:
                    frames[part.table] = rows
            if sum(f.height for f in frames.values()) != piece.records:
                for sql in mapping.refused_rows(source, piece.raw, fill):
                    refused.extend(con.execute(sql).fetchall())
    return frames, sorted(refused)


def _refuse(con: duckdb.DuckDBPyConnection, ready: files.Ready, piece: files.Piece, staged: list[Path], fill: Filling) -> None:
    """Take a piece's records that became no row into the rejects, with their raw text while it is at hand."""
    if piece.frame is None:
        rejects.collect(con, ready.source, piece, fill)
        return
    import numpy as np

    numbers = piece.frame[NUMBER].to_numpy()
    lost = np.ones(len(numbers), bool)
    for path in staged:
        lost[np.searchsorted(numbers, con.sql(f"select line from read_parquet({literal(str(path))})").fetchnumpy()["line"])] = False
    rest = piece.frame.filter(lost)
    files.note(ready, piece, numbers[lost].tolist())
    with _registered(con, rest):
        rejects.collect(con, ready.source, replace(piece, records=rest.height, frame=rest), fill)


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, frame: pl.DataFrame | None) -> Iterator[None]:
    if frame is None:
        yield
        return
    con.register(files.FRAME, frame)
    try:
        yield
    finally:
        con.unregister(files.FRAME)


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

"""From a file's records to staged rows: each piece is mapped by DuckDB into Parquet files of its own, and what cannot be used is noted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np

from workbench.engines.duckdb import literal
from workbench.errors import BadInput
from workbench.lake import files, mapping, rejects, tables
from workbench.lake.filling import Filling
from workbench.lake.records import NUMBER, Batch, Checker, json_rows
from workbench.loaders import Source

#: How staged files are written: a column with more different texts than that in a group of rows is not worth a list of them.
_PARQUET = "compression zstd, dictionary_size_limit 8000"
#: Records that became no row are put among the rejects when there are so many.
_MANY = 100_000

if TYPE_CHECKING:
    import polars as pl


def stage_file(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, fill: Filling, provenance: mapping.Provenance,
               progress: Callable[[float], None]) -> dict[str, list[tables.DataFile]]:
    """Map the records of every part into Parquet files of its own, and note those that cannot be used."""
    source = ready.source
    ready.whole = mapping.looks_around(source)
    ready.once = not mapping.tells_apart(source)
    staged: dict[str, list[tables.DataFile]] = {table: [] for table in source.tables}
    rejects.begin(con)
    lost = _Lost(con, ready, fill)
    done = 0.0
    for number, piece in enumerate(files.pieces(ready, work)):
        with _registered(con, piece.frame), _reported(con, done, piece.share, progress):
            sound = []
            for place, part in enumerate(source.parts):
                path = work / f"{provenance.batch_id}-new-{number}p{place}.parquet"
                rows = _copy(con, ready, mapping.sound_rows(source, part, piece.raw, fill, provenance, piece.bare, piece.full), path)
                if rows:
                    sound.append(tables.DataFile(path, rows))
                    staged[part.table].append(sound[-1])
            if sum(f.rows for f in sound) != piece.records:
                piece = lost.note(piece, [f.path for f in sound])
        ready.repeats = np.concatenate([ready.repeats, piece.repeats])
        done = piece.share
    lost.refuse()
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
    check = Checker()
    sound: dict[int, bytes] = {}
    refused: list[tuple[int, str]] = []
    for number, raw in enumerate(records, 1):
        problem = check.problem(raw.strip())
        if problem:
            refused.append((number, problem))
        else:
            sound[number] = raw.strip()
    frames: dict[str, pl.DataFrame] = {}
    if sound:
        ready = files.Ready(source, fill.file, "ndjson")
        piece = files.ndjson_piece(ready, [Batch(1, len(records), json_rows(list(sound), list(sound.values())))], check.members)
        with _registered(con, piece.frame), _layered(con):
            for part in source.parts:
                rows = con.sql(mapping.sound_rows(source, part, piece.raw, fill, None, piece.bare)).pl()
                if rows.height:
                    frames[part.table] = rows
            if sum(f.height for f in frames.values()) != piece.records:
                for sql in mapping.refused_rows(source, piece.raw, fill):
                    refused.extend(con.execute(sql).fetchall())
    return frames, sorted(refused)


class _Lost:
    """Records that became no row: gathered piece by piece, with their raw text while it is at hand, and put among the rejects all at once."""

    def __init__(self, con: duckdb.DuckDBPyConnection, ready: files.Ready, fill: Filling) -> None:
        self._con, self._ready, self._fill = con, ready, fill
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._count = 0

    def note(self, piece: files.Piece, staged: list[Path]) -> files.Piece:
        """Take those of a piece of which ``staged`` are the rows; gives the piece with the repeats of rows only."""
        if piece.frame is None:
            with _layered(self._con):
                rejects.collect(self._con, self._ready.source, piece, self._fill)
            return piece
        import polars as pl

        numbers = piece.frame.column(NUMBER).to_numpy()
        lost = np.ones(len(numbers), bool)
        for path in staged:
            lost[np.searchsorted(numbers, self._con.sql(f"select line from read_parquet({literal(str(path))})").fetchnumpy()["line"])] = False
        frame = cast(pl.DataFrame, pl.from_arrow(piece.frame))
        frame = frame.filter(lost)
        again = np.isin(piece.repeats[:, 1], numbers[lost])
        if again.any():
            pairs = pl.DataFrame(piece.repeats[again], schema=["#again", NUMBER], orient="row")
            repeated = frame.join(pairs, on=NUMBER).select(pl.col("#again").alias(NUMBER), *frame.columns[1:])
            frame = pl.concat([frame, repeated]).sort(NUMBER)
        files.note(self._ready, piece, frame[NUMBER].to_list())
        self._held.setdefault(piece.raw, []).append(frame)
        self._count += frame.height
        if self._count > _MANY:
            self.refuse()
        return replace(piece, repeats=piece.repeats[~again])

    def refuse(self) -> None:
        """Put them among the rejects, each with its reason."""
        import polars as pl

        for raw, frames in self._held.items():
            frame = pl.concat(frames).rechunk()
            with _registered(self._con, frame), _layered(self._con):
                rejects.collect(self._con, self._ready.source, files.Piece(raw, frame.height, 1.0), self._fill)
        self._held, self._count = {}, 0


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, frame: Any) -> Iterator[None]:
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
            written = con.execute(f"copy ({rows}) to {literal(str(path))} (format parquet, {_PARQUET})").fetchone()
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise BadInput(f"{ready.file.name} cannot be read as {ready.source.name}: {str(error).splitlines()[0]} Nothing was loaded.") from error
    return int(written[0]) if written else 0


@contextmanager
def _layered(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep conditions where the mapping puts them, behind the columns they test, so that no column is computed twice; plan short lists quickly."""
    con.execute("set disabled_optimizers = 'filter_pushdown,in_clause'")
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

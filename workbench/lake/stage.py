"""From a file's records to staged rows: each piece is mapped by DuckDB into Parquet files of its own, and what cannot be used is noted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np

from workbench.engines.duckdb import literal
from workbench.errors import BadInput
from workbench.lake import compact, files, mapping, rejects, tables
from workbench.lake.assembled import Assembler
from workbench.lake.columns import of_numbers
from workbench.lake.filling import Filling
from workbench.lake.records import NUMBER, Batch, Checker, Numbers, json_rows
from workbench.loaders import Part, Source

#: Rows of a group in a staged file, and first rows by which its columns are judged.
_GROUP, _SAMPLE = 122_880, 4096
#: Records that became no row are put among the rejects when there are so many.
_MANY = 100_000

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def stage_file(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, fill: Filling, provenance: mapping.Provenance,
               progress: Callable[[float], None]) -> dict[str, list[tables.DataFile]]:
    """Map the records of every part into Parquet files of its own, and note those that cannot be used."""
    source = ready.source
    ready.whole = mapping.looks_around(source)
    ready.once = not mapping.tells_apart(source)
    staged: dict[str, list[tables.DataFile]] = {table: [] for table in source.tables}
    rejects.begin(con)
    lost = _Lost(con, ready, fill)
    assembler, done = Assembler(con, source, fill, provenance), 0.0
    with _Writing() as writing:
        for number, piece in enumerate(files.pieces(ready, work)):
            with _registered(con, piece.frame), _reported(con, done, piece.share, progress):
                sound, lines = 0, list[Numbers]()
                for place, part in enumerate(source.parts):
                    path = work / f"{provenance.batch_id}-new-{number}p{place}.parquet"
                    if piece.frame is None:
                        sql = mapping.sound_rows(source, part, piece.raw, fill, provenance, piece.bare, piece.full)
                        rows = _copied(con, ready, sql, path, piece.records)
                    else:
                        rows = _assembled(con, ready, assembler, part, piece, path, writing, lines)
                    if rows:
                        staged[part.table].append(tables.DataFile(path, rows))
                    sound += rows
                if sound != piece.records:
                    piece = lost.note(piece, lines)
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
        con: a connection with ``loaders.kit.functions`` registered; nothing else may use it meanwhile.

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

    def note(self, piece: files.Piece, lines: list[Numbers]) -> files.Piece:
        """Take those of a piece of which ``lines`` are the numbers of the others; gives the piece with the repeats of rows only."""
        if piece.frame is None:
            with _layered(self._con):
                rejects.collect(self._con, self._ready.source, piece, self._fill)
            return piece
        import polars as pl

        numbers = cast(pl.DataFrame, pl.from_arrow(piece.frame.select([NUMBER])))[NUMBER].to_numpy()
        there = np.zeros(int(numbers[-1] - numbers[0]) + 1, bool)
        for sound in lines:
            there[sound - numbers[0]] = True
        lost = ~there[numbers - numbers[0]]
        frame = _apart(of_numbers(piece.frame, NUMBER, numbers[lost], piece.frame.column_names))
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


def _apart(rows: pa.Table) -> pl.DataFrame:
    """The same rows with texts of their own, so that they do not keep the blocks that they came from."""
    import polars as pl

    if rows.num_rows < 10_000:  # a few rows out of many blocks: their values are fewer than their buffers
        return pl.DataFrame(rows.to_pydict(), schema={c: pl.Int64 if c == NUMBER else pl.String for c in rows.column_names})
    return cast(pl.DataFrame, pl.from_arrow(cast(pl.DataFrame, pl.from_arrow(rows)).to_arrow(compat_level=pl.CompatLevel.oldest())))


class _Writing:
    """Arrow tables written as Parquet files by a thread, one while the next is made. All are written at the end of a ``with``."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parquet")
        self._last: Future[None] | None = None

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, *failed: Any) -> None:
        try:
            if self._last is not None and failed[0] is None:
                self._last.result()
        finally:
            self._thread.shutdown()

    def put(self, rows: pa.Table, path: Path) -> None:
        """Write it once the one before is written.

        Raises:
            OSError: that one could not be written.
        """
        if self._last is not None:
            self._last.result()
        self._last = self._thread.submit(_write, rows, path)


def _write(rows: pa.Table, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = [column for column in rows.column_names if _few(rows.column(column))]
    ranged = [field.name for field in rows.schema if pa.types.is_primitive(field.type)]
    pq.write_table(rows, path, compression="snappy", row_group_size=_GROUP, store_schema=False, use_dictionary=listed, write_statistics=ranged,
                   column_encoding=None if "line" in listed else {"line": "DELTA_BINARY_PACKED"})


def _few(column: pa.ChunkedArray) -> bool:
    """Whether a list of its different values makes a column smaller, by its first rows."""
    import polars as pl
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return True
    if pa.types.is_nested(column.type):
        return column.null_count == len(column)
    first = pl.from_arrow(column.slice(0, _SAMPLE))
    return isinstance(first, pl.Series) and first.n_unique() * 4 < len(first)


def _assembled(con: duckdb.DuckDBPyConnection, ready: files.Ready, assembler: Assembler, part: Part, piece: files.Piece, path: Path,
               writing: _Writing, lines: list[Numbers]) -> int:
    """Make a part's rows of a piece and have them written; gives how many, and adds their numbers to ``lines``."""
    with _layered(con), _named(ready):
        rows = assembler.rows(part, piece)
    if rows is None:
        return 0
    ready.hashes[path.name] = rows.hashes
    lines.append(rows.hashes["line"])
    writing.put(rows.table, path)
    return int(rows.table.num_rows)


def _copied(con: duckdb.DuckDBPyConnection, ready: files.Ready, sql: str, path: Path, records: int) -> int:
    """Ask for rows that may be too many for the memory, and write them; gives how many. Few are written quickly: a compaction packs them."""
    packed = "zstd" if records > compact.BRIEF else "snappy"
    with _layered(con), _named(ready):
        written = con.execute(f"copy ({sql}) to {literal(str(path))} (format parquet, compression {packed}, dictionary_size_limit 8000)").fetchone()
    return int(written[0]) if written else 0


@contextmanager
def _named(ready: files.Ready) -> Iterator[None]:
    """Say which file it was that could not be read."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise BadInput(f"{ready.file.name} cannot be read as {ready.source.name}: {str(error).splitlines()[0]} Nothing was loaded.") from error


@contextmanager
def _layered(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep conditions where the mapping puts them, behind the columns they test, so that no column is computed twice; plan short lists quickly;
    give texts as views, of which only those of more than 12 bytes are copied."""
    con.execute("set disabled_optimizers = 'filter_pushdown,in_clause'; set produce_arrow_string_view = true; set arrow_output_version = '1.4'")
    try:
        yield
    finally:
        con.execute("set disabled_optimizers = ''; set produce_arrow_string_view = false; set arrow_output_version = '1.0'")


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

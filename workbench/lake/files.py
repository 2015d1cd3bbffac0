"""A source's file made ready for loading: checked, counted, numbered, and in a form that leaves nothing to guess.

Text files (CSV, NDJSON; plain, gzip or zip) are copied once, in pieces, into the load's working folder: unpacked, UTF-8, each
record with its number in front, and without the records that cannot be taken apart, which go into the rejects. One piece is made
while the one before it is mapped. A Parquet file is one piece and is read where it lies. Memory: a block of 8 MB and what it is
split into (about 10 times that); disk: three pieces of at most 256 MB.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import queue
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import duckdb

from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, did_you_mean
from workbench.lake.records import NUMBER, Csv, Lines, Ndjson, Run, as_text, pick
from workbench.loaders import Source

#: Bytes of the first piece of the clean copy, which is ready soon, and of the largest; each is twice the one before.
FIRST, LARGEST = 1 << 24, 1 << 28
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Piece:
    """Some records of a file: ``raw`` is SQL that gives them as text columns with their number in ``"#record"``.

    ``records`` is how many; ``share`` is how much of the file has been read with them, 0 to 1; ``path`` is the copy, if it is one.
    """

    raw: str
    records: int
    share: float
    path: Path | None = None


@dataclass
class Ready:
    """A file that is being made ready. The counts are complete when all ``pieces`` have been taken.

    ``read`` counts all records, ``broken`` those of them that could not be taken apart and lie in ``broken_file`` (NDJSON of
    record, line, reason, raw), None when there are none.
    """

    source: Source
    file: Path
    form: str
    read: int = 0
    broken: int = 0
    broken_file: Path | None = None
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    share: float = 0.0


def check(file: Path) -> None:
    """Say what is wrong with a path that cannot be loaded.

    Raises:
        BadInput: it is not there, is a folder, cannot be read or has no bytes.
    """
    if not file.exists():
        near = sorted(p.name for p in file.parent.iterdir()) if file.parent.is_dir() else []
        raise BadInput(f"There is no file {file}." + (did_you_mean(file.name, near) if near and len(near) <= 200 else ""))
    if file.is_dir():
        raise BadInput(f"{file} is a folder; give a file, or several, e.g. {file}/*.csv.")
    if not file.is_file():
        raise BadInput(f"{file} is not a regular file; copy what it gives into one.")
    try:
        with file.open("rb") as stream:
            if not stream.read(1):
                raise BadInput(f"{file} is empty; nothing was loaded.")
    except PermissionError as error:
        raise BadInput(f"{file} may not be read by this user.") from error


def digest(file: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits. O(bytes), constant memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pieces(ready: Ready, work: Path) -> Iterator[Piece]:
    """Check, count and number a file's records, piece by piece; a piece's copy is gone when the next is asked for.

    Raises:
        BadInput: the file cannot be unpacked, lacks columns of the source, or holds no record; nothing may be loaded then.
    """
    if ready.form == "parquet":
        yield _parquet(ready)
    else:
        for piece in _ahead(_copies(ready, work)):
            yield piece
            if piece.path:
                piece.path.unlink()
        if ready.form == "ndjson" and ready.read:
            _columns(ready, list(ready.header))
    if not ready.read:
        raise BadInput(f"{ready.file.name} has {'a header and ' if ready.form == 'csv' else ''}no record; nothing was loaded.")


def _ahead(made: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, each made by a thread while the one before it is used."""
    line: queue.Queue[Piece | BaseException | None] = queue.Queue(maxsize=1)
    given_up = threading.Event()

    def put(thing: Piece | BaseException | None) -> None:
        while not given_up.is_set():
            try:
                return line.put(thing, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for piece in made:
                put(piece)
                if given_up.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while (thing := line.get()) is not None:
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        given_up.set()
        maker.join()


def raw_texts(ready: Ready, wanted: Iterator[int]) -> Iterator[tuple[int, int, str]]:
    """(record, line, raw text) of the wanted record numbers, ascending; a second pass over a text file, only made for rejects."""
    with _records(ready) as records:
        yield from pick(records.runs(), wanted)


@contextmanager
def _records(ready: Ready) -> Iterator[Csv | Ndjson]:
    file, source = ready.file, ready.source
    try:
        with file.open("rb") as packed, _unpacked(packed, file) as stream:
            lines = Lines(_Watched(stream, packed, ready), file.name)
            yield Csv(lines, file.name, source.delimiter, source.encoding) if ready.form == "csv" else Ndjson(lines, file.name)
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadInput(f"{file.name} is cut off or damaged ({error}); nothing was loaded. Fetch it again.") from error


@contextmanager
def _unpacked(packed: IO[bytes], file: Path) -> Iterator[IO[bytes]]:
    suffix = file.suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(fileobj=packed) as stream:
            yield stream  # type: ignore[misc]
    elif suffix == ".zip":
        with zipfile.ZipFile(packed) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            if len(members) != 1:
                raise BadInput(f"{file.name} holds {len(members)} files; unpack it and load the right one.")
            with archive.open(members[0]) as stream:
                yield stream
    else:
        yield packed


class _Watched:
    """A stream that notes how much of the file behind it has been read."""

    def __init__(self, stream: IO[bytes], packed: IO[bytes], ready: Ready) -> None:
        self._stream, self._packed, self._ready, self._size = stream, packed, ready, max(ready.file.stat().st_size, 1)

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._ready.share = min(1.0, self._packed.tell() / self._size)
        return block


def _copies(ready: Ready, work: Path) -> Iterator[Piece]:
    """Write the clean numbered copy in pieces, and the broken records; counts go into ``ready``."""
    prefix = b"%d" + ready.source.delimiter.encode() + b"%b" if ready.form == "csv" else b""
    with _records(ready) as records, ExitStack() as opened:
        if isinstance(records, Csv):
            ready.header = tuple(records.header)
            _columns(ready, records.header)
        broken: IO[str] | None = None
        out, limit, held, number = _piece(ready, work, 0), FIRST, 0, 0
        opened.callback(lambda: out.close())
        for run in records.runs():
            ready.read += len(run.raw)
            if run.problem:
                if broken is None:
                    ready.broken_file = work / "broken.ndjson"
                    broken = opened.enter_context(ready.broken_file.open("w", encoding="utf-8"))
                ready.broken += 1
                broken.write(_line(run.record, run.line, run.problem, as_text(run.raw[0], ready.source.encoding)))
                continue
            out.write(_numbered(run, prefix))
            held += len(run.raw)
            if out.tell() >= limit:
                out.close()
                yield Piece(_raw(ready, Path(out.name)), held, ready.share, Path(out.name))
                number, held, limit = number + 1, 0, min(2 * limit, LARGEST)
                out = _piece(ready, work, number)
        if isinstance(records, Ndjson):
            ready.header = tuple(records.header)
        out.close()
        if held:
            yield Piece(_raw(ready, Path(out.name)), held, 1.0, Path(out.name))


def _piece(ready: Ready, work: Path, number: int) -> IO[bytes]:
    return (work / f"records-{number}.{ready.form}").open("wb")


def _numbered(run: Run, prefix: bytes) -> bytes:
    if run.clean is not None:
        return (prefix % (run.record, run.clean) if prefix else run.clean) + b"\n"
    return b"\n".join(map(prefix.__mod__, enumerate(run.raw, run.record))) + b"\n"


def _line(record: int, line: int, reason: str, raw: str) -> str:
    return json.dumps({"record": record, "line": line, "reason": reason, "raw": raw}, ensure_ascii=True) + "\n"


def _columns(ready: Ready, found: list[str]) -> None:
    """Find the source's raw columns among those of the file, exactly or but for case and punctuation, and note them as the file spells them."""
    folded = {_folded(c): c for c in reversed(found)}
    spelt = {}
    for c in (*ready.source.columns, *ready.source.optional):
        names = (c, *ready.source.also.get(c, ()))
        spelt[c] = next((n for n in names if n in found), "") or next((folded[_folded(n)] for n in names if _folded(n) in folded), "")
    lacking = [c for c in ready.source.columns if not spelt[c]]
    if lacking:
        shown = ", ".join(repr(c) for c in lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        hint = did_you_mean(lacking[0], found)
        raise BadInput(f"{ready.file.name} is not a file of {ready.source.name}: it has no column {shown}.{hint} Nothing was loaded.")
    ready.columns = tuple(spelt.values())


def _folded(column: str) -> str:
    return re.sub(r"[\W_]+", "", column.casefold()) or column


def _raw(ready: Ready, piece: Path) -> str:
    """SQL of the records in a piece of the clean copy, with the source's columns under the source's own names."""
    wanted = (*ready.source.columns, *ready.source.optional)
    if ready.form == "ndjson":
        shape = {NUMBER: "BIGINT", **dict.fromkeys(wanted, "VARCHAR")}
        return f"select * from read_json({literal(str(piece))}, format = 'newline_delimited', columns = {_struct(shape)}, maximum_object_size = {1 << 26})"
    given = {spelt: c for c, spelt in zip(wanted, ready.columns, strict=True) if spelt}
    picked = [name(NUMBER), *(name(c) if spelt else f"cast(null as varchar) as {name(c)}" for c, spelt in zip(wanted, ready.columns, strict=True))]
    shape = {NUMBER: "BIGINT"}
    for place, column in enumerate(ready.header):
        shape[given.pop(column, f"#{place}")] = "VARCHAR"
    options = f"delim = {literal(ready.source.delimiter)}, quote = '\"', escape = '\"', new_line = '\\n', nullstr = '', max_line_size = {1 << 23}"
    return f"select {', '.join(picked)} from read_csv({literal(str(piece))}, auto_detect = false, header = false, columns = {_struct(shape)}, {options})"


def _struct(shape: dict[str, str]) -> str:
    return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in shape.items()) + "}"


def _parquet(ready: Ready) -> Piece:
    """A Parquet file: records are its rows, shown as JSON text where they are rejected."""
    file, source, path = ready.file, ready.source, literal(str(ready.file))
    con = duckdb.connect()
    try:
        shape: list[tuple[Any, ...]] = con.execute(f"select column_name from (describe select * from read_parquet({path}))").fetchall()
        found = con.execute(f"select sum(num_rows)::bigint from parquet_file_metadata({path})").fetchone()
    except duckdb.Error as error:
        raise BadInput(f"{file.name} is cut off, damaged or no Parquet file ({str(error).splitlines()[0]}); nothing was loaded.") from error
    finally:
        con.close()
    ready.read = int(found[0]) if found and found[0] else 0
    _columns(ready, [row[0] for row in shape])
    wanted = zip((*source.columns, *source.optional), ready.columns, strict=True)
    columns = [f"cast({name(spelt)} as varchar) as {name(c)}" if spelt else f"cast(null as varchar) as {name(c)}" for c, spelt in wanted]
    raw = f"select file_row_number + 1 as {name(NUMBER)}, {', '.join(columns)} from read_parquet({path}, file_row_number = true)"
    return Piece(raw, ready.read, 1.0)

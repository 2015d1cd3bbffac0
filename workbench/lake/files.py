"""A source's file made ready for loading: checked, counted, numbered, and in a form that leaves nothing to guess.

Text files (CSV, NDJSON; plain, gzip or zip) are copied once, in pieces, into the load's working folder: unpacked, UTF-8, each
record with its number in front, and without the records that cannot be taken apart, which go into the rejects. A Parquet file is
read where it lies. Memory: a block of 8 MB and what it is split into (about 10 times that); disk: the unpacked size.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import duckdb

from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, did_you_mean
from workbench.lake.records import NUMBER, Csv, Lines, Ndjson, Run, as_text, pick
from workbench.loaders import Source

#: Bytes of one piece of the clean copy.
PIECE = 1 << 28
Progress = Callable[[float], None]


@dataclass
class Ready:
    """A file made ready: ``raw`` is SQL of its records as text columns with their number in ``"#record"``.

    ``read`` counts all records, ``broken`` those of them that could not be taken apart and lie in ``broken_file`` (NDJSON of
    record, line, reason, raw), None when there are none.
    """

    source: Source
    file: Path
    form: str
    read: int = 0
    broken: int = 0
    broken_file: Path | None = None
    raw: str = ""
    columns: tuple[str, ...] = field(default=())


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


def make_ready(source: Source, file: Path, work: Path, progress: Progress) -> Ready:
    """Check and number a file's records; see ``Ready``.

    Raises:
        BadInput: it cannot be unpacked, lacks columns of the source, or holds no record; nothing has been loaded then.
    """
    form = source.form(file)
    if form == "parquet":
        return _parquet(source, file)
    ready = Ready(source, file, form)
    with _records(source, file, form, progress) as records:
        if isinstance(records, Csv):
            _columns(ready, records.header)
        pieces = _copy(ready, records, work)
        if isinstance(records, Ndjson):
            _columns(ready, list(records.header))
    if not ready.read:
        raise BadInput(f"{file.name} has a header and no record; nothing was loaded." if form == "csv" else f"{file.name} has no record; nothing was loaded.")
    header = records.header if isinstance(records, Csv) else []
    ready.raw = _raw(ready, pieces, list(header))
    return ready


def raw_texts(ready: Ready, wanted: Iterator[int]) -> Iterator[tuple[int, int, str]]:
    """(record, line, raw text) of the wanted record numbers, ascending; a second pass over a text file, only made for rejects."""
    with _records(ready.source, ready.file, ready.form, lambda _: None) as records:
        yield from pick(records.runs(), wanted)


@contextmanager
def _records(source: Source, file: Path, form: str, progress: Progress) -> Iterator[Csv | Ndjson]:
    try:
        with file.open("rb") as packed, _unpacked(packed, file) as stream:
            lines = Lines(_Watched(stream, packed, file.stat().st_size, progress), file.name)
            yield Csv(lines, file.name, source.delimiter, source.encoding) if form == "csv" else Ndjson(lines, file.name)
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
    """A stream that tells how much of the file behind it has been read."""

    def __init__(self, stream: IO[bytes], packed: IO[bytes], size: int, progress: Progress) -> None:
        self._stream, self._packed, self._size, self._progress = stream, packed, max(size, 1), progress

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._progress(min(1.0, self._packed.tell() / self._size))
        return block


def _copy(ready: Ready, records: Csv | Ndjson, work: Path) -> list[Path]:
    """Write the clean numbered copy in pieces and the broken records; counts go into ``ready``."""
    prefix = b"%d" + ready.source.delimiter.encode() + b"%b" if ready.form == "csv" else b""
    pieces: list[Path] = []
    out: IO[bytes] | None = None
    broken: IO[str] | None = None
    try:
        for run in records.runs():
            ready.read += len(run.raw)
            if run.problem:
                if broken is None:
                    ready.broken_file = work / "broken.ndjson"
                    broken = ready.broken_file.open("w", encoding="utf-8")
                ready.broken += 1
                broken.write(_line(run.record, run.line, run.problem, as_text(run.raw[0], ready.source.encoding)))
                continue
            if out is None or out.tell() > PIECE:
                if out is not None:
                    out.close()
                pieces.append(work / f"records-{len(pieces)}.{ready.form}")
                out = pieces[-1].open("wb")
            out.write(_numbered(run, prefix))
    finally:
        for opened in (out, broken):
            if opened is not None:
                opened.close()
    return pieces


def _numbered(run: Run, prefix: bytes) -> bytes:
    if run.clean is not None:
        return (prefix % (run.record, run.clean) if prefix else run.clean) + b"\n"
    return b"\n".join(map(prefix.__mod__, enumerate(run.raw, run.record))) + b"\n"


def _line(record: int, line: int, reason: str, raw: str) -> str:
    return json.dumps({"record": record, "line": line, "reason": reason, "raw": raw}, ensure_ascii=True) + "\n"


def _columns(ready: Ready, found: list[str]) -> None:
    """Find the source's raw columns among those of the file, exactly or but for case, and note them as the file spells them."""
    folded = {c.casefold(): c for c in reversed(found)}
    spelt = {c: c if c in found else folded.get(c.casefold(), "") for c in (*ready.source.columns, *ready.source.optional)}
    lacking = [c for c in ready.source.columns if not spelt[c]]
    if lacking:
        shown = ", ".join(repr(c) for c in lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        hint = did_you_mean(lacking[0], found)
        raise BadInput(f"{ready.file.name} is not a file of {ready.source.name}: it has no column {shown}.{hint} Nothing was loaded.")
    ready.columns = tuple(spelt.values())


def _raw(ready: Ready, pieces: list[Path], header: list[str]) -> str:
    """SQL of the records in the clean copy, with the source's columns under the source's own names."""
    wanted = (*ready.source.columns, *ready.source.optional)
    lacking = [f"cast(null as varchar) as {name(c)}" for c, spelt in zip(wanted, ready.columns, strict=True) if not spelt]
    given = {spelt: c for c, spelt in zip(wanted, ready.columns, strict=True) if spelt}
    files = "[" + ", ".join(literal(str(p)) for p in pieces) + "]"
    picked = ", ".join([name(NUMBER), *(name(c) for c in given.values()), *lacking])
    if not pieces:
        nothing = ", ".join(f"cast(null as varchar) as {name(c)}" for c in given.values())
        return f"select * from (select cast(null as bigint) as {name(NUMBER)}, {', '.join([nothing, *lacking])}) where false"
    if ready.form == "ndjson":
        shape = {NUMBER: "BIGINT", **{spelt: "VARCHAR" for spelt in given}}
        renamed = ", ".join([name(NUMBER), *(f"{name(spelt)} as {name(c)}" for spelt, c in given.items()), *lacking])
        return f"select {renamed} from read_json({files}, format = 'newline_delimited', columns = {_struct(shape)}, maximum_object_size = {1 << 26})"
    shape = {NUMBER: "BIGINT"}
    for place, column in enumerate(header):
        taken = given.pop(column, None)
        shape[taken if taken is not None else f"#{place}"] = "VARCHAR"
    options = f"delim = {literal(ready.source.delimiter)}, quote = '\"', escape = '\"', new_line = '\\n', nullstr = '', max_line_size = {1 << 23}"
    return f"select {picked} from read_csv({files}, auto_detect = false, header = false, columns = {_struct(shape)}, {options})"


def _struct(shape: dict[str, str]) -> str:
    return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in shape.items()) + "}"


def _parquet(source: Source, file: Path) -> Ready:
    """A Parquet file: records are its rows, shown as JSON text where they are rejected."""
    ready = Ready(source, file, "parquet")
    path = literal(str(file))
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
    if not ready.read:
        raise BadInput(f"{file.name} has no record; nothing was loaded.")
    wanted = zip((*source.columns, *source.optional), ready.columns, strict=True)
    columns = [f"cast({name(spelt)} as varchar) as {name(c)}" if spelt else f"cast(null as varchar) as {name(c)}" for c, spelt in wanted]
    ready.raw = f"select file_row_number + 1 as {name(NUMBER)}, {', '.join(columns)} from read_parquet({path}, file_row_number = true)"
    return ready

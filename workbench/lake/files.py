"""A source's file made ready for loading: checked, counted, numbered, and parsed into text columns.

Text files (CSV, NDJSON; plain or packed) are read a block at a time: ``records`` counts and numbers the records of a block and takes out
those that cannot be taken apart, which go into the rejects; the rest is parsed in memory. One piece is made while the one before it is
mapped. Containers (JSON, XML, Excel, GeoJSON ...) are first unfolded into NDJSON in the load's working folder. A Parquet file is one
piece and is read where it lies. Memory: some five times ``LARGEST`` for each of the three pieces that there are at once.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.engines.duckdb import connect, literal, name
from workbench.errors import BadInput, did_you_mean
from workbench.lake.records import NONE, NUMBER, Batch, Csv, Ndjson, Numbers, as_text
from workbench.lake.texts import Blocks, told_encoding
from workbench.loaders import FORMATS, Source

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.lake.forms import Unpacked

#: Bytes of text in the first piece, which is ready soon, and in the largest; each is twice the one before.
FIRST, LARGEST = 1 << 22, 3 << 24
#: The name under which a piece's frame is known to DuckDB while it is mapped.
FRAME = "#piece"
#: Raw texts kept for the rejects; for more the file is read again.
NOTED = 100_000
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Piece:
    """Some records of a file: ``raw`` is SQL that gives them as text columns with their number in ``"#record"``.

    ``records`` is how many; ``share`` how much of the file has been read with them, 0 to 1. ``frame`` is to be registered as ``FRAME`` while
    ``raw`` is asked; None where it needs none. ``batches`` know the raw text of each record; none where the file has none.
    ``repeats``: records that are not in it since they say the same as one that is, each with the number of that.
    ``bare``: raw columns of which no value begins or ends with a blank; ``full``: of these, those in which none stands for nothing (NA and the like).
    ``places``: raw columns that are columns of ``frame`` as they are, by the names that they have there.
    """

    raw: str
    records: int
    share: float
    frame: pa.Table | None = None
    batches: tuple[Batch, ...] = ()
    repeats: Numbers = field(default_factory=lambda: NONE)
    bare: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Ready:
    """A file that is being made ready. The counts are complete when all ``pieces`` have been taken.

    ``read`` counts all records, ``broken`` those of them that could not be taken apart and lie in ``broken_file`` (NDJSON of record, line, reason,
    raw), None when there are none. ``text`` is the text file that the records stand in: the file itself, or what it was unfolded into. ``encoding``
    and ``delimiter`` are those used; ``crs`` is what a map's numbers were said to be; with ``whole`` there must be one piece only. With ``once``
    pieces leave out records that say the same as the one before; ``repeats`` has these, each with the sound one's number. ``hashes``: by staged file.
    """

    source: Source
    file: Path
    form: str
    crs: str = ""
    whole: bool = False
    once: bool = False
    read: int = 0
    broken: int = 0
    broken_file: Path | None = None
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    share: float = 0.0
    text: Path | None = None
    encoding: str = ""
    delimiter: str = ""
    noted: dict[int, tuple[int, str]] = field(default_factory=dict)
    repeats: Numbers = field(default_factory=lambda: NONE)
    hashes: dict[str, dict[str, Any]] = field(default_factory=dict)


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


def pieces(ready: Ready, work: Path) -> Iterator[Piece]:
    """Check, count and number a file's records, piece by piece.

    Raises:
        BadInput: the file cannot be unpacked, lacks columns of the source, or holds no record; nothing may be loaded then.
    """
    if ready.form == "parquet":
        yield _parquet(ready)
    else:
        _texts(ready, work)
        made = _ahead(_made(ready, work))
        yield from _one_piece(ready, made, work) if ready.whole else made
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


def note(ready: Ready, piece: Piece, numbers: list[int]) -> None:
    """Keep the raw text of some records of a piece, ascending, until the rejects are written."""
    firsts = [batch.first for batch in piece.batches]
    for number in numbers[: max(NOTED - len(ready.noted), 0)]:
        line, raw = piece.batches[bisect_right(firsts, number) - 1].raw(number)
        ready.noted[number] = (line, as_text(raw))


def raw_texts(ready: Ready, wanted: Iterator[int]) -> Iterator[tuple[int, int, str]]:
    """(record, line, raw text) of the wanted record numbers, which ascend; a second pass over the file where they are not noted."""
    missing = []
    for number in wanted:
        if number in ready.noted:
            yield number, *ready.noted[number]
        else:
            missing.append(number)
    if missing:
        with _records(ready) as (records, _):
            left = iter(missing)
            number = next(left, 0)
            first = 1
            for batch in records.batches():
                while number and number < first + batch.read:
                    line, raw = batch.raw(number)
                    yield number, line, as_text(raw)
                    number = next(left, 0)
                first += batch.read
                if not number:
                    return


@contextmanager
def _records(ready: Ready) -> Iterator[tuple[Csv | Ndjson, Unpacked]]:
    from workbench.lake.forms import opened

    with opened(ready.text or ready.file, FORMATS[ready.form]) as stream:
        blocks = Blocks(stream, ready.file.name, ready.encoding)
        if ready.form == "csv":
            yield Csv(blocks, ready.delimiter), stream
        else:
            yield Ndjson(blocks), stream


def _texts(ready: Ready, work: Path) -> None:
    """Find out what text there is to read, and how it is written."""
    from workbench.lake.forms import UNFOLDED, opened, unfold

    source, ready.text = ready.source, ready.file
    ready.encoding = source.encoding
    if ready.form in UNFOLDED:
        ready.text, ready.encoding = work / "unfolded.ndjson", "utf-8"
        unfold(ready.file, ready.form, source.records, ready.text, crs=ready.crs)
        if not ready.text.stat().st_size:
            raise BadInput(f"{ready.file.name} has no record; nothing was loaded.")
    ready.encoding = ready.encoding or told_encoding(ready.text, FORMATS.get(ready.form, ()))
    if ready.form == "csv":
        ready.delimiter = source.delimiter
        if not ready.delimiter:
            with opened(ready.text, FORMATS["csv"]) as stream:
                blocks = Blocks(stream, ready.file.name, ready.encoding)
                ready.delimiter = _told_delimiter(ready, blocks.take().split(blocks.end, 1)[0])
        if len(ready.delimiter.encode()) != 1:
            raise BadInput(f"{source.name} has the delimiter {ready.delimiter!r}; it must be one ASCII character, or empty to have it told from the header.")
    else:
        ready.form = "ndjson"


def _told_delimiter(ready: Ready, line: bytes) -> str:
    """The delimiter of a header: the one that parts it into the source's columns, or else the one that is there most often."""
    text = re.sub('"[^"]*"', lambda quoted: quoted[0].translate(str.maketrans("", "", "".join(_DELIMITERS))), line.decode("utf-8", "replace"))
    counts = {d: text.count(d) for d in _DELIMITERS if d in text}
    if not counts:
        return ","
    fitting = [d for d in counts if all(_spelt(ready.source, [c.strip().strip('"').strip() for c in text.split(d)])[c] for c in ready.source.columns)]
    most = [d for d in counts if counts[d] == max(counts.values())]
    for found in (fitting, most):
        if len(found) == 1:
            return found[0]
    shown = " and ".join(repr(d) for d in (fitting or most))
    raise BadInput(f"The delimiter of {ready.file.name} cannot be told: its header has {shown} alike; say it in the source (delimiter=...). "
                   "Nothing was loaded.")


def _made(ready: Ready, work: Path) -> Iterator[Piece]:
    """Pieces of a text file, and the broken records; counts go into ``ready``."""
    with _records(ready) as (records, stream), ExitStack() as opened:
        if isinstance(records, Csv):
            ready.header = tuple(records.header)
            _columns(ready, records.header)
            records.used, records.once = sorted(set(_places(ready).values())), ready.once
        broken: IO[str] | None = None
        held: list[Batch] = []
        size, rows, limit = 0, 0, FIRST
        for batch in records.batches():
            ready.read += batch.read
            ready.share = stream.share
            for record, line, reason, raw in batch.broken:
                if broken is None:
                    ready.broken_file = work / "broken.ndjson"
                    broken = opened.enter_context(ready.broken_file.open("w", encoding="utf-8"))
                ready.broken += 1
                broken.write(json.dumps({"record": record, "line": line, "reason": reason, "raw": as_text(raw)}) + "\n")
            held.append(batch)
            size += batch.size
            rows += batch.rows.num_rows
            if size >= limit and rows:
                yield _piece(ready, held, records.header)
                held, size, rows, limit = [], 0, 0, min(2 * limit, LARGEST)
        if rows:
            yield _piece(ready, held, records.header)
        if isinstance(records, Ndjson):
            ready.header = tuple(records.header)


def _piece(ready: Ready, batches: list[Batch], header: Iterable[str]) -> Piece:
    return csv_piece(ready, batches) if ready.form == "csv" else ndjson_piece(ready, batches, header)


def _columns(ready: Ready, found: list[str]) -> None:
    """Find the source's raw columns among those of the file and note them as the file spells them."""
    spelt = _spelt(ready.source, found)
    lacking = [c for c in ready.source.columns if not spelt[c]]
    if lacking:
        shown = ", ".join(repr(c) for c in lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        hint = did_you_mean(lacking[0], found)
        raise BadInput(f"{ready.file.name} is not a file of {ready.source.name}: it has no column {shown}.{hint} Nothing was loaded.")
    ready.columns = tuple(names[0] if names else "" for names in spelt.values())


def _spelt(source: Source, found: Iterable[str]) -> dict[str, list[str]]:
    """Raw column -> its names in a file, the best first: exactly its own or one of its other names, then those but for case and punctuation."""
    held = dict.fromkeys(found)
    folded: dict[str, list[str]] = {}
    for c in held:
        folded.setdefault(_folded(c), []).append(c)
    spelt = {}
    for c in (*source.columns, *source.optional):
        names = (c, *source.also.get(c, ()))
        spelt[c] = list(dict.fromkeys([*(n for n in names if n in held), *(f for n in names for f in folded.get(_folded(n), ()))]))
    return spelt


def _folded(column: str) -> str:
    return re.sub(r"[\W_]+", "", column.casefold()) or column


def csv_piece(ready: Ready, batches: list[Batch]) -> Piece:
    """The sound records of some batches of CSV."""
    wanted = (*ready.source.columns, *ready.source.optional)
    places = _places(ready)
    picked = [name(NUMBER), *(f"{name(str(places[c]))} as {name(c)}" if c in places else f"cast(null as varchar) as {name(c)}" for c in wanted)]
    edged = set[int]().union(*(batch.edged for batch in batches))
    bare = frozenset(c for c in wanted if c not in places or places[c] not in edged)
    blank = set[int]().union(*(batch.blank for batch in batches))
    full = frozenset(c for c in bare if c not in places or places[c] not in blank)
    repeats = np.concatenate([batch.repeats for batch in batches])
    rows = _table(batches)
    return Piece(f"select {', '.join(picked)} from {name(FRAME)}", rows.num_rows, ready.share, rows, tuple(batches), repeats, bare, full,
                 {c: str(place) for c, place in places.items()})


def _places(ready: Ready) -> dict[str, int]:
    """Raw column -> its place in the file."""
    return {c: ready.header.index(spelt) for c, spelt in zip((*ready.source.columns, *ready.source.optional), ready.columns, strict=True) if spelt}


def _table(batches: list[Batch]) -> pa.Table:
    import pyarrow as pa

    held = [batch.rows for batch in batches if batch.rows.num_rows]
    for batch in batches:
        batch.rows = None
    return pa.Table.from_batches(held)


def ndjson_piece(ready: Ready, batches: list[Batch], members: Iterable[str]) -> Piece:
    """The sound records of some batches of NDJSON; ``members`` are those seen so far."""
    spelt = _spelt(ready.source, members)
    names = list(dict.fromkeys(n for found in spelt.values() for n in found))
    pointers = ", ".join(literal("/" + n.replace("~", "~0").replace("/", "~1")) for n in names)
    picked = [name(NUMBER)]
    for column, found in spelt.items():
        values = [f'"#values"[{names.index(n) + 1}]' for n in found]
        value = "cast(null as varchar)" if not values else values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
        picked.append(f"{value} as {name(column)}")
    every = f'json_extract_string("#json", [{pointers}])' if names else "null"
    rows = f'select {name(NUMBER)}, {every} as "#values" from {name(FRAME)}'
    held = _table(batches)
    return Piece(f"select {', '.join(picked)} from ({rows})", held.num_rows, ready.share, held, tuple(batches))


def _one_piece(ready: Ready, made: Iterator[Piece], work: Path) -> Iterator[Piece]:
    """All pieces as one, for a mapping that looks at several records at once; they lie in the work folder meanwhile."""
    con = connect(within=(work,))
    parts: list[str] = []
    records = 0
    try:
        for number, piece in enumerate(made):
            path = work / f"records-{number}.parquet"
            con.register(FRAME, piece.frame)
            con.execute(f"copy ({piece.raw}) to {literal(str(path))} (format parquet, compression lz4)")
            con.unregister(FRAME)
            parts.append(literal(str(path)))
            records += piece.records
    finally:
        con.close()
    if parts:
        yield Piece(f"select * from read_parquet([{', '.join(parts)}])", records, 1.0)


def _parquet(ready: Ready) -> Piece:
    """A Parquet file: records are its rows, shown as JSON text where they are rejected."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, source, path = ready.file, ready.source, literal(str(ready.file))
    try:
        about = pq.read_metadata(file)
        held = about.schema.to_arrow_schema().names
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file.name} is cut off, damaged or no Parquet file ({str(error).splitlines()[0]}); nothing was loaded.") from error
    ready.read = about.num_rows
    _columns(ready, held)
    wanted = zip((*source.columns, *source.optional), ready.columns, strict=True)
    columns = [f"cast({name(spelt)} as varchar) as {name(c)}" if spelt else f"cast(null as varchar) as {name(c)}" for c, spelt in wanted]
    raw = f"select file_row_number + 1 as {name(NUMBER)}, {', '.join(columns)} from read_parquet({path}, file_row_number = true)"
    return Piece(raw, ready.read, 1.0)

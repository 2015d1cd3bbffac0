"""What is in a file nobody knows: its form, delimiter, encoding, columns, and rows from its beginning, middle and end.

Every value comes back as text, null where the file has nothing, as the loading machinery would hand it to a mapping. Members of nested
JSON records become columns of their own, with the expression that reads them. Memory: about 60 MB for the pieces that are looked at.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from workbench.errors import BadInput
from workbench.intake import sniff_documents as documents
from workbench.lake import files
from workbench.loaders import FORMATS, PACKED

#: Rows looked at, at most; a quarter of them are the first ones.
ROWS = 20_000
#: Bytes up to which a text file is looked at as a whole; of a larger one the first and pieces from all over.
WHOLE = 24 << 20
_HEAD, _PIECE, _STEP = 6 << 20, 96 << 10, 3 << 20
_DELIMITERS = ",;\t|"
_BOMS = (b"\xc3\xaf\xc2\xbb\xc2\xbf", b"\xef\xbb\xbf")
_DEPTH = 4


@dataclass(frozen=True)
class Sample:
    """Rows of a file.

    Args:
        file, form: the file and its form, a key of ``loaders.FORMATS``.
        columns: raw column -> its values, one a sampled row, None where the file has nothing.
        written: raw column -> how an expression names it: its name in quotes, or ``member("vehicle", "$.plate")``.
        rows: how many rows are here; ``whole``: whether these are all.
        notes: what was strange about the file, one sentence each.
    """

    file: Path
    form: str
    columns: dict[str, list[str | None]]
    written: dict[str, str]
    rows: int
    whole: bool
    delimiter: str = ""
    encoding: str = ""
    records: str = ""
    notes: tuple[str, ...] = field(default=())

    def record(self, row: int) -> dict[str, Any]:
        """One sampled row as the record a mapping reads: raw column -> text, nested members as they were."""
        return {n: v[row] for n, v in self.columns.items() if v[row] is not None and self.written[n] == json.dumps(n, ensure_ascii=False)}


def sample(file: str | Path, form: str | None = None, *, records: str | None = None) -> Sample:
    """Look into a file.

    Args:
        file: the file, plain or packed.
        form: a key of ``loaders.FORMATS``; told from the name and the first bytes where it is not given.
        records: where the records lie in a JSON, XML or Excel file; told where it is not given.

    Raises:
        BadInput: it is not there, empty, damaged, or of no form that can be read.
    """
    path = Path(file)
    files.check(path)
    kind = form or _form(path)
    if kind == "csv":
        return _csv(path)
    if kind == "ndjson":
        with documents.stream(path) as stream:
            return _nested(path, kind, *_lines(stream, path), "")
    if kind == "parquet":
        return _parquet(path)
    return _unfolded(path, kind, records)


def _form(path: Path) -> str:
    name = path.name.lower()
    fitting = [f for f, ends in FORMATS.items() if any(name.endswith(e + p) for e in ends for p in PACKED)]
    if "geojson" in fitting and "json" in fitting:
        with documents.stream(path) as stream:
            return "geojson" if re.search(rb'"type"\s*:\s*"Feature', stream.read(4096)) else "json"
    if fitting:
        return fitting[0]
    ends = ", ".join(sorted({e for ends in FORMATS.values() for e in ends}))
    raise BadInput(f"{path.name} is of no form that can be read; a file's name ends in {ends}, plain or packed (.gz, .zip, .zst).")


def _pieces(stream: IO[bytes], packed: bool) -> tuple[list[bytes], bool]:
    """The beginning, then pieces of whole lines from all over (each without the line it begins in), and whether that is all."""
    head = stream.read(WHOLE)
    if len(head) < WHOLE:
        return [head], True
    pieces = [head[: head.rfind(b"\n", 0, _HEAD) + 1]]
    pieces += [head[i : i + _PIECE] for i in range(_HEAD, WHOLE - _PIECE, _STEP)]
    if isinstance(stream, io.BufferedReader) and not packed:
        size = stream.seek(0, 2)
        for i in range(1, 61):
            stream.seek(WHOLE + (size - WHOLE) * i // 60 - (_PIECE if i == 60 else 0))
            pieces.append(stream.read(_PIECE))
    else:
        while block := stream.read(_STEP):
            pieces.append(block[-_PIECE:])
    return [pieces[0], *(p[p.find(b"\n") + 1 : p.rfind(b"\n") + 1] for p in pieces[1:])], False


def _decoded(pieces: list[bytes], name: str) -> tuple[list[str], str]:
    if pieces[0][:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{name} is UTF-16 text; save it as UTF-8 and map that.")
    for bom in _BOMS:
        if pieces[0].startswith(bom):
            pieces = [pieces[0][len(bom) :], *pieces[1:]]
            break
    try:
        return [p.decode("utf-8") for p in pieces], "utf-8"
    except UnicodeDecodeError:
        return [p.decode("cp1252", "replace") for p in pieces], "cp1252"


def _csv(path: Path) -> Sample:
    with documents.stream(path) as stream:
        pieces, whole = _pieces(stream, path.suffix.lower() in PACKED[1:])
    if b"\0" in pieces[0][:4096] and pieces[0][:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{path.name} is not text; its name should say what it is.")
    texts, encoding = _decoded(pieces, path.name)
    delimiter = _delimiter(texts[0][: 1 << 18])
    rows = _rows(texts[0], delimiter, limit=4 * ROWS)
    header = next(rows, [])
    if not any(h.strip() for h in header):
        raise BadInput(f"{path.name} has no header; its first line must name the columns.")
    table = [r for r in rows if r]
    notes = _strange(header, table, path.name)
    wrong = sum(len(r) != len(header) for r in table)
    table = [r for r in table if len(r) == len(header)]
    if not table:
        raise BadInput(f"{path.name} has a header and no record that fits it; nothing can be said of its columns.")
    whole = whole and len(table) <= ROWS
    rest = [r for t in texts[1:] for r in _rows(t, delimiter, limit=ROWS) if len(r) == len(header)]
    if wrong:
        notes.append(f"{wrong:,} of the first {wrong + len(table):,} lines have another number of fields than the header; they will be rejected.")
    table = _thinned(table, rest)
    names = [h.strip() for h in header]
    columns: dict[str, list[str | None]] = {}
    for place, name in enumerate(names):
        if not name or name in columns or any(name.lower() == n.lower() for n in columns):
            if any(r[place].strip() for r in table):
                notes.append(
                    f"The column {name!r} is there twice; only the first can be used." if name else f"Column {place + 1} has no name and cannot be used."
                )
            continue
        columns[name] = [r[place] if r[place] != "" else None for r in table]
    return Sample(path, "csv", columns, {n: json.dumps(n, ensure_ascii=False) for n in columns}, len(table), whole, delimiter, encoding, notes=tuple(notes))


def _rows(text: str, delimiter: str, limit: int) -> Iterator[list[str]]:
    source = io.StringIO(text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""), newline="\n")
    reader = csv.reader(source, delimiter=delimiter)
    for _ in range(limit):
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        yield row


def _delimiter(text: str) -> str:
    """The character that parts the most lines into the same number of fields, two or more."""
    best, found = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        widths = Counter(len(r) for r in _rows(text, delimiter, 60) if r)
        if not widths:
            continue
        first = len(next(_rows(text, delimiter, 1), []))
        share = widths[first] / sum(widths.values())
        if first > 1 and (round(share, 2), first) > best:
            best, found = (round(share, 2), first), delimiter
    return found


_DATUM = re.compile(r"\s*[-+]?[\d.,:/ -]*\d[\d.,:/ -]*\s*")


def _strange(header: list[str], table: list[list[str]], name: str) -> list[str]:
    """What is wrong with a header.

    Raises:
        BadInput: lines stand before the header, or there is none.
    """
    widths = Counter(len(r) for r in table[:200])
    usual = widths.most_common(1)[0][0] if widths else len(header)
    if len(header) < usual and widths[usual] > 3 * widths.get(len(header), 0):
        at = next((i for i, r in enumerate(table) if len(r) == usual), 0)
        raise BadInput(
            f"{name} does not begin with its header: line 1 has {len(header)} field(s), the table {usual}. Delete the first {at + 1} line(s) and map it again."
        )
    if sum(bool(_DATUM.fullmatch(h)) for h in header if h.strip()) > 0.5 * sum(bool(h.strip()) for h in header):
        raise BadInput(f"The first line of {name} looks like data, not like a header ({', '.join(header[:4])}); put a line with the columns' names in front.")
    return []


def _thinned(first: list[Any], rest: list[Any]) -> list[Any]:
    """At most ROWS of all rows: a quarter from the very beginning, the others evenly from what follows."""
    keep = ROWS // 4
    following = first[keep:] + rest
    room = ROWS - min(keep, len(first))
    if len(following) > room:
        following = [following[i * len(following) // room] for i in range(room)]
    return first[:keep] + following


def _lines(stream: IO[bytes], path: Path) -> tuple[list[dict[str, Any]], bool, list[str]]:
    pieces, whole = _pieces(stream, path.suffix.lower() in PACKED[1:])
    texts, _ = _decoded(pieces, path.name)
    records: list[list[dict[str, Any]]] = []
    bad = 0
    for text in texts:
        found = []
        for line in text.split("\n"):
            if line.strip():
                try:
                    value = json.loads(line, parse_float=_Number, parse_int=_Number)
                except (ValueError, RecursionError):
                    value = None
                if isinstance(value, dict):
                    found.append(value)
                else:
                    bad += 1
        records.append(found)
    rest = [r for part in records[1:] for r in part]
    whole = whole and len(records[0]) <= ROWS
    if not records[0]:
        raise BadInput(f"{path.name} holds no JSON object.")
    return _thinned(records[0], rest), whole, [f"{bad:,} lines are not JSON objects; they will be rejected."] if bad else []


class _Number(str):
    """A number as it was written."""


def _nested(path: Path, form: str, records: list[dict[str, Any]], whole: bool, notes: list[str], where: str) -> Sample:
    columns: dict[str, list[str | None]] = {}
    written: dict[str, str] = {}
    for row, record in enumerate(records):
        for name, way, value in _members(record):
            if name not in columns:
                if len(columns) >= 400:
                    continue
                columns[name] = [None] * len(records)
                written[name] = way
            columns[name][row] = value
    for name in [n for n in columns if any(n != m and n.lower() == m.lower() for m in columns)]:
        notes.append(f"Members differ only in case: {name!r}.")
    return Sample(path, form, columns, written, len(records), whole, records=where, notes=tuple(notes))


def _members(record: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """(name, how it is written, text) of a record's members, those of nested objects too."""
    for key, value in record.items():
        if not isinstance(key, str) or not key:
            continue
        top = json.dumps(key, ensure_ascii=False)
        yield key, top, _text(value)
        if isinstance(value, (dict, list)) and key != "geometry":
            for name, way, inner in _inside(key, "$", value, 1):
                yield name, f"member({top}, {json.dumps(way, ensure_ascii=False)})", inner


def _inside(name: str, way: str, value: Any, depth: int) -> Iterator[tuple[str, str, str | None]]:
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if re.fullmatch(r"[\w@#:-]+", key):
                step = f"{way}.{key}" if re.fullmatch(r"\w+", key) else f'{way}."{key}"'
                yield f"{name}.{key}", step, _text(inner)
                yield from _inside(f"{name}.{key}", step, inner, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _inside(f"{name}.0", f"{way}[0]", value[0], depth + 1)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _parquet(path: Path) -> Sample:
    import duckdb

    from workbench.engines.duckdb import connect

    con = connect(within=(path,))
    try:
        found = con.execute("select sum(num_rows)::bigint from parquet_file_metadata(?)", [str(path)]).fetchone()
        total = int(found[0] or 0) if found else 0
        every = max(1, total // (ROWS - ROWS // 4))
        picked = "select cast(columns(*) as varchar) from read_parquet(?, file_row_number = true)"
        rows = con.execute(f"{picked} where file_row_number < {ROWS // 4} or file_row_number % {every} = 0 order by file_row_number", [str(path)])
        names = [d[0] for d in rows.description or ()]
        data = rows.fetchmany(ROWS)
    except duckdb.Error as error:
        raise BadInput(f"{path.name} is cut off, damaged or no Parquet file ({str(error).splitlines()[0]}).") from error
    finally:
        con.close()
    if not data:
        raise BadInput(f"{path.name} has no record.")
    columns = {n: [r[i] if r[i] != "" else None for r in data] for i, n in enumerate(names) if n and n != "file_row_number"}
    return Sample(path, "parquet", columns, {n: json.dumps(n, ensure_ascii=False) for n in columns}, len(data), len(data) >= total)


def _unfolded(path: Path, form: str, records: str | None) -> Sample:
    """A document whose records must first be taken out of it."""
    from workbench.lake import forms

    where, notes = (records, []) if records is not None else documents.where(path, form)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "records.ndjson"
        forms.unfold(path, form, where, lines)
        if not lines.exists() or not lines.stat().st_size:
            raise BadInput(f"{path.name} has no record.")
        with lines.open("rb") as stream:
            found, whole, more = _lines(stream, path)
    return _nested(path, form, found, whole, [*notes, *more], where)

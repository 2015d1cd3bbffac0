"""Excel books and their like (.xlsx, .xlsm, .xls, .xlsb, .ods): the rows of one sheet, a record each, as the sheet shows their values.

Every cell becomes text or null: a whole number has no ".0", a date is ISO, a text keeps its leading zeros. An empty row is no record, an error (#N/A)
or a formula that was never worked out is null. The sheet is held in memory as a whole.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, did_you_mean
from workbench.lake.forms.packed import opened
from workbench.loaders import FORMATS

#: A book may hold this many bytes when its archive is unpacked, and beyond ``FEW`` so many times its size: sheets pack well, but not that well.
LARGEST, FEW, TIMES = 4 << 30, 256 << 20, 100
#: Cells that the rectangle of a sheet may have; the reader holds all of them.
CELLS = 50_000_000
_CELL = re.compile(rb'r="([A-Z]{1,3})(\d{1,7})"')
_NINE = re.compile(r"-?\d+\.\d{9}")
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d 00:00:00")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")
_CLOCK = re.compile(r"1899-12-3[01] (\d\d:\d\d:\d\d(?:\.\d+)?)")


def each_row(file: Path, sheet: str, take: Callable[[str], object]) -> int:
    """Give every row of a sheet below its header to ``take`` as one line of JSON, header -> text; returns how many.

    The header is the first row that is not empty; a title above it, alone in its row, is passed over. Two columns of one name are told
    apart by "_2", one without a name is called by its letter ("column C").

    Args:
        file: the book, plain or packed.
        sheet: its name; "" = the first.
        take: is given one record.

    Raises:
        BadInput: it is damaged, protected or no such book, has no such sheet, or the sheet is empty.
    """
    with opened(file, FORMATS["excel"]) as stream:
        data = stream.read()
    columns, head = _columns(file.name, data, sheet)
    names = _names([c[head] for c in columns], [any(v is not None for v in c[head + 1:]) for c in columns])
    kept = [(json.dumps(name, ensure_ascii=False), c) for name, c in zip(names, columns, strict=True) if name]
    count, said = 0, json.JSONEncoder(ensure_ascii=False).encode
    for i in range(head + 1, len(columns[0])):
        cells = [f"{name}: {'null' if c[i] is None else said(c[i])}" for name, c in kept]
        if any(c[i] is not None for _, c in kept):
            take("{" + ", ".join(cells) + "}")
            count += 1
    return count


def _columns(name: str, data: bytes, sheet: str) -> tuple[list[list[str | None]], int]:
    """The sheet's columns as texts, and in which row of them the header stands."""
    import fastexcel

    measured(name, data)
    try:
        book = fastexcel.read_excel(data)
        held = book.sheet_names
        if not held:
            raise BadInput(f"{name} has no sheet; nothing was loaded.")
        wanted = next((s for s in held if s.strip().casefold() == (sheet or held[0]).strip().casefold()), None)
        if wanted is None:
            raise BadInput(f"{name} has no sheet {sheet!r}.{did_you_mean(sheet, held)} Its sheets are {', '.join(map(repr, held))}. Nothing was loaded.")
        frame = book.load_sheet(wanted, header_row=None, skip_rows=0, dtypes="string").to_arrow()
        columns = [_mended(frame.column(i).to_pylist()) for i in range(frame.num_columns)]
        head = _header(columns)
        if head is None:
            raise BadInput(f"{name} has no row in its sheet {wanted!r}; nothing was loaded.")
        dates = [i for i, c in enumerate(columns) if _dates_alone(c) and not _is_text(book, wanted, i, head + 1)]
    except BadInput:
        raise
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        guard = " It may be protected with a password; save it without." if "assword" in str(error) or data[:4] == b"\xd0\xcf\x11\xe0" else ""
        raise BadInput(f"{name} is cut off, damaged or no Excel book ({said}); nothing was loaded.{guard}") from error
    for i in dates:
        columns[i] = [v[:10] if v is not None and _MIDNIGHT.fullmatch(v) else v for v in columns[i]]
    return columns, head


def _header(columns: list[list[str | None]]) -> int | None:
    filled = [sum(c[i] is not None for c in columns) for i in range(len(columns[0]) if columns else 0)]
    widest = max(filled[:200], default=0)
    return next((i for i, n in enumerate(filled) if n > 1 or n and widest < 3), None)


def measured(name: str, data: bytes) -> None:
    """Refuse a book that would swell beyond all measure: its bytes are counted by unpacking, since a directory can lie, and the rectangle that its
    cells span is looked at, since the reader makes all of it.

    Raises:
        BadInput: it is damaged, or too large.
    """
    if not data.startswith(b"PK"):
        return
    most, size, unpacked = min(LARGEST, max(FEW, TIMES * len(data))), 0, 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(m.file_size for m in archive.infolist())
            for member in archive.infolist() if size <= most else ():
                span = _Span()
                for block in _inflated(data, member):
                    unpacked += len(block)
                    size = max(size, unpacked)
                    if member.filename.lower().startswith("xl/worksheets/") and span.cells(block) > CELLS:
                        raise BadInput(f"{name} has cells so far out that its sheet spans more than {CELLS:,}; nothing was loaded. Save it as CSV.")
                    if size > most:
                        break
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{name} is cut off or damaged ({error}); nothing was loaded. Fetch it again.") from error
    if size > most:
        raise BadInput(f"{name} swells to more than {most / 1e6:,.0f} MB when it is unpacked; nothing was loaded. Save it as CSV.")


def _inflated(data: bytes, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """What a member really unpacks to, in blocks of at most a megabyte."""
    if member.compress_type != zipfile.ZIP_DEFLATED:
        return
    head = member.header_offset
    begin = head + 30 + int.from_bytes(data[head + 26:head + 28], "little") + int.from_bytes(data[head + 28:head + 30], "little")
    inflate, waiting, at = zlib.decompressobj(-15), b"", begin
    while not inflate.eof and (waiting or at < begin + member.compress_size):
        if not waiting:
            waiting, at = data[at:min(at + 65_536, begin + member.compress_size)], at + 65_536
        block = inflate.decompress(waiting, 1 << 20)
        waiting = inflate.unconsumed_tail
        if block:
            yield block


class _Span:
    """The rectangle that the cells of a sheet span, as its XML names them."""

    def __init__(self) -> None:
        self._rows, self._columns, self._rest = 1, 1, b""

    def cells(self, block: bytes) -> int:
        """How many cells it has, with those named in one more block."""
        text = self._rest + block
        for letters, row in set(_CELL.findall(text)):
            self._rows = max(self._rows, int(row))
            column = 0
            for sign in letters:
                column = column * 26 + sign - 64
            self._columns = max(self._columns, column)
        self._rest = text[-16:]
        return self._rows * self._columns


def _mended(cells: list[str | None]) -> list[str | None]:
    """Cells as they are meant: blanks are null, numbers in their shortest form, a time of day without the day that Excel gives it."""
    return [None if v is None or not v.strip() else _shown(v) for v in cells]


def _shown(text: str) -> str:
    if _NINE.fullmatch(text):
        shortest = repr(float(text))
        return shortest if "e" not in shortest and f"{float(text):.9f}" == text else text
    clock = _CLOCK.fullmatch(text)
    return clock[1] if clock else text


def _dates_alone(cells: list[str | None]) -> bool:
    """Whether all times of a column are midnights, so that they are dates."""
    moments = [v for v in cells if v is not None and _MOMENT.fullmatch(v)]
    return bool(moments) and all(map(_MIDNIGHT.fullmatch, moments))


def _is_text(book: Any, sheet: str, column: int, first: int) -> bool:
    """Whether a column that looks like dates was written as text."""
    try:
        found = book.load_sheet(sheet, header_row=None, skip_rows=first, use_columns=[column], schema_sample_rows=None).selected_columns
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("fastexcel", "_fastexcel"):
            raise
        return False
    return bool(found) and found[0].dtype == "string"


def _names(head: list[str | None], used: list[bool]) -> list[str]:
    """Names of the columns; "" for one that has neither name nor value."""
    names: list[str] = []
    for i, cell in enumerate(head):
        wanted = cell.strip() if cell else f"column {_letter(i)}" if used[i] else ""
        name, n = wanted, 2
        while name and name in names:
            name, n = f"{wanted}_{n}", n + 1
        names.append(name)
    return names


def _letter(column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters

"""Which records does a text file hold, on which line does each start, and which cannot be taken apart?

Every record is counted and numbered here, and taken apart into its fields or kept as broken. CSV is read by RFC 4180 with two allowances: a
quotation mark inside an unquoted field is an ordinary character, and a record may run over several lines inside quotes. A quotation mark
that is opened and not properly closed spoils only the line it stands on. Lines that are simply one record are told by ``plain``, a block
at a time, and become columns by ``columns`` without a copy; only the others are looked at singly.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from workbench.lake.columns import Views, column, edged, holds, same_as_before, texts, views, whole_numbers, whole_texts, without
from workbench.lake.plain import Shape, bounds, shape
from workbench.lake.texts import Blocks
from workbench.loaders.kit.expressions import BLANKS

#: A record may run over this many lines and bytes; beyond, its quotation mark counts as never closed.
MAX_LINES, MAX_BYTES = 1000, 1 << 20
#: The column that carries a record's number.
NUMBER = "#record"
Numbers = npt.NDArray[np.int64]
#: No repeats.
NONE = np.empty((0, 2), np.int64)
#: A record that cannot be taken apart: its number, line, reason and the bytes it stood in.
Broken = tuple[int, int, str, bytes]


@dataclass
class Batch:
    """The ``read`` records of one block, numbered from ``first``.

    ``rows`` is an Arrow batch of the sound ones: their numbers and, as text, the columns that were asked for, named by their place (CSV), or
    "#json" (NDJSON). ``repeats`` has the sound records that are left out there since in these columns they are the same as the sound record
    before: a row of the record's number and that of the record it repeats. ``edged``: places of the columns in which a value may begin or
    end with a blank; ``blank``: those in which a value is one of ``BLANKS``.
    """

    first: int
    read: int
    rows: Any
    broken: list[Broken] = field(default_factory=list)
    repeats: Numbers = field(default_factory=lambda: NONE)
    edged: frozenset[int] = frozenset()
    blank: frozenset[int] = frozenset()
    _places: _Places | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the block."""
        return len(self._places.block) if self._places else 0

    def raw(self, number: int) -> tuple[int, bytes]:
        """(line, bytes as they stood in the file, without the last line end) of one of its records."""
        return cast(_Places, self._places).find(number)


@dataclass
class _Places:
    """Where the records of a block stood. ``runs`` are (first record, index of its line) of lines that are one record each."""

    block: bytes
    line: int
    starts: Numbers
    ends: Numbers
    runs: list[tuple[int, int]] = field(default_factory=list)
    singles: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def find(self, number: int) -> tuple[int, bytes]:
        single = self.singles.get(number)
        if single is not None:
            return self.line + single[0], single[1]
        first, index = self.runs[bisect_right(self.runs, (number, 1 << 62)) - 1]
        index += number - first
        return self.line + index, self.block[self.starts[index]:self.ends[index]]


class Csv:
    """Records of a CSV file behind its header. ``used``: places of the columns that are wanted; ``once``: whether repeats are left out."""

    form = "csv"

    def __init__(self, blocks: Blocks, delimiter: str) -> None:
        self._blocks, self._delimiter = blocks, delimiter.encode()
        self.used: list[int] = []
        self.once = False
        d = re.escape(self._delimiter)
        opening = rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?:[^"' + d + rb"][^" + d + rb"]*+)?)"
        self._whole = re.compile(opening + rb"(?:" + d + opening + rb")*+", re.S)
        self._opened = re.compile(rb"(?:" + opening + d + rb')*+"[^"]*+(?:""[^"]*+)*+', re.S)
        self._field = re.compile(rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^' + d + rb"]*+))(?:" + d + rb"|$)", re.S)
        self._inside = re.compile(rb'[^"]*+(?:""[^"]*+)*+', re.S)
        self._record = self._line = 1
        self._width = 1 << 20
        block = blocks.take()
        starts, ends = bounds(block, blocks.end)
        raw = block[starts[0]:ends[0]]
        text, used = self._extend(block, starts, ends, 0, raw)
        if text is None:
            text, used = raw, 1
        self.header = [f.decode("utf-8", "replace").strip() for f in self._fields(text)]
        self._width = len(self.header) - 1
        self._line += used
        blocks.back(block[starts[used]:] if used < len(starts) else b"")

    def batches(self) -> Iterator[Batch]:
        """All records in order."""
        while block := self._blocks.take():
            yield self._batch(block)

    def _batch(self, block: bytes) -> Batch:
        found = shape(block, self._blocks.end, self._delimiter, self._width)
        out = _Taken(_Places(block, self._line, found.starts, found.ends), found, self._record)
        at, number, total = 0, self._record, len(found.starts)
        for index in found.odd.tolist():
            if index < at:
                continue
            if index > at:
                number = out.run(number, at, index)
            text, used, fields, problem = self._one(block, found, index)
            if used == 0:
                total = index
                self._blocks.back(block[found.starts[index]:])
                at = index
                break
            if text is not None:
                number = out.single(number, index, text, fields, problem)
            at = index + used
        if at < total:
            number = out.run(number, at, total)
            at = total
        self._line += at
        read, self._record = number - self._record, number
        return out.batch(read, self.used, self.once)

    def _one(self, block: bytes, found: Shape, index: int) -> tuple[bytes | None, int, list[bytes], str]:
        """The record that starts at line ``index``: its bytes (None for a blank line), its lines (0 = more than the block has), its fields, its problem."""
        raw = block[found.starts[index]:found.ends[index]]
        if not raw.strip():
            return None, 1, [], ""
        text, used = self._extend(block, found.starts, found.ends, index, raw)
        if text is None:
            return raw, used, [], "a quotation mark is opened and not properly closed"
        fields = self._fields(text)
        if len(fields) != self._width + 1:
            if used > 1:
                return raw, 1, [], "a quotation mark is opened and not properly closed"
            return raw, 1, [], f"{_count(len(fields), 'field')}, the header has {self._width + 1}"
        if b"\0" in text:
            return text, used, [], "has a NUL byte, which is not text"
        if not _readable(text):
            return text, used, [], f"has bytes that are not {self._blocks.encoding} text"
        return text, used, fields, ""

    def _extend(self, block: bytes, starts: Numbers, ends: Numbers, index: int, text: bytes) -> tuple[bytes | None, int]:
        """The whole record that begins with ``text`` on line ``index``, with as many of the following lines as its quotes need.

        None for one that is broken (1 line), or for one that is not at its end where the block is (0 lines).
        """
        begin, last, closed = int(starts[index]), index, 0
        while not self._whole.fullmatch(text):
            if not self._opened.fullmatch(text):
                return None, 1
            while True:
                closing = block.find(b'"', int(ends[last]))
                if closing < 0:
                    over = self._blocks.over or len(starts) - index > MAX_LINES or int(ends[-1]) - begin > MAX_BYTES
                    return None, 1 if over else 0
                last = int(np.searchsorted(starts, closing, side="right")) - 1
                line = block[starts[last]:ends[last]]
                if last - index >= MAX_LINES or closing - begin > MAX_BYTES:
                    return None, 1
                inside = self._inside.match(line)
                at = inside.end() if inside else 0
                if at < len(line):
                    break
            closed += 1
            text = line[at + 1:]
            if text and (not text.startswith(self._delimiter) or closed > self._width):
                return None, 1
            text = text[1:]
        return block[begin:ends[last]], last - index + 1

    def _fields(self, text: bytes) -> list[bytes]:
        fields, end = [], 0
        for match in self._field.finditer(text):
            if match.start() != end or (end and end == len(text) and not text.endswith(self._delimiter)):
                break
            inside, bare = match.groups()
            fields.append(bare if inside is None else inside.replace(b'""', b'"'))
            end = match.end()
        return fields


class _Taken:
    """What is taken out of a block: lines that are a record each, and records that were looked at singly."""

    def __init__(self, places: _Places, found: Shape, first: int) -> None:
        self._places, self._found, self._first = places, found, first
        self._order: list[tuple[int, int]] = []
        self._fields: list[list[bytes]] = []
        self._gone: list[int] = []
        self._broken: list[Broken] = []

    def run(self, number: int, at: int, end: int) -> int:
        """Take lines that are one record each; gives the number behind them."""
        self._places.runs.append((number, at))
        even = self._found.even(at)
        self._order.append((even, even + end - at))
        return number + end - at

    def single(self, number: int, index: int, text: bytes, fields: list[bytes], problem: str) -> int:
        """Take a record that was looked at singly; gives the number behind it."""
        self._places.singles[number] = (index, text)
        if problem:
            self._gone.append(number)
            self._broken.append((number, self._places.line + index, problem, text))
        else:
            place = self._found.count + len(self._fields)
            self._order.append((place, place + 1))
            self._fields.append(fields)
        return number + 1

    def batch(self, read: int, used: list[int], once: bool) -> Batch:
        """What was taken, with the columns at the places ``used``; ``once`` leaves out repeats."""
        import pyarrow as pa

        numbers = np.arange(self._first, self._first + read, dtype=np.int64)
        if self._gone:
            numbers = without(numbers, np.array(self._gone) - self._first)
        block = self._places.block
        array = np.frombuffer(block, np.uint8)
        columns: dict[int, tuple[Views, list[bytes]]] = {}
        edges, blanks = set(), set()
        for place in used:
            begin, length = self._found.fields(array, place)
            held, data = views(block, begin, length, 0), [block]
            edge = edged(held, array, begin, length)
            if self._fields:
                values = [fields[place] for fields in self._fields]
                more, extra = texts(values, 1)
                held = np.concatenate([held, more])
                data.append(extra)
                edge = edge or any(v and (_edge(v[0]) or _edge(v[-1])) for v in values)
            columns[place] = self._ordered(held), data
            edges.update([place] if edge else [])
            blanks.update([place] if holds(held, BLANKS) else [])
        again = same_as_before(list(columns.values()), len(numbers)) if once and columns else np.empty(0, np.int64)
        rows = {NUMBER: whole_numbers(without(numbers, again))}
        rows.update((str(place), column(without(held, again), data)) for place, (held, data) in columns.items())
        batch = pa.RecordBatch.from_arrays(list(rows.values()), names=list(rows))
        return Batch(self._first, read, batch, self._broken, _repeated(numbers, again), frozenset(edges), frozenset(blanks),
                     self._places)

    def _ordered(self, held: Views) -> Views:
        """The views of the records taken, in their order."""
        order = self._order
        if len(order) == 1 and order[0] == (0, len(held)):
            return held
        if len(order) > 200:
            return held[np.concatenate([np.arange(a, b) for a, b in order])]
        return np.concatenate([held[a:b] for a, b in order]) if order else held[:0]


def _repeated(numbers: Numbers, again: Numbers) -> Numbers:
    """(number of the record, number of the one it repeats) of the rows ``again``."""
    place = np.arange(len(numbers))
    place[again] = 0
    return np.column_stack([numbers[again], numbers[np.maximum.accumulate(place)[again]]]) if len(again) else NONE


class Ndjson:
    """Records of a file with one JSON object a line; blank lines are none."""

    form = "ndjson"

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._check = blocks, Checker(blocks.encoding)
        self.header = self._check.members

    def batches(self) -> Iterator[Batch]:
        """All records in order; ``header`` gathers the members seen."""
        number, line = 1, 1
        while block := self._blocks.take():
            starts, ends = bounds(block, self._blocks.end)
            places = _Places(block, line, starts, ends)
            first, sound, numbers, broken = number, [], [], []
            for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
                raw = block[start:end].strip()
                if not raw:
                    continue
                problem = self._check.problem(raw)
                if problem:
                    broken.append((number, line + index, problem, raw))
                else:
                    sound.append(raw)
                    numbers.append(number)
                places.singles[number] = (index, raw)
                number += 1
            line += len(starts)
            yield Batch(first, number - first, json_rows(numbers, sound), broken, _places=places)


class Checker:
    """Tells JSON records that can be taken from others, and gathers the ``members`` seen in them."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self.members: dict[str, None] = {}
        self._decoder = json.JSONDecoder(parse_constant=_refuse)

    def problem(self, raw: bytes) -> str:
        """Why a record cannot be taken; "" when it can."""
        try:
            value = self._decoder.decode(raw.decode())
        except UnicodeDecodeError:
            return f"has bytes that are not {self.encoding} text"
        except (ValueError, RecursionError):
            return "not readable as JSON"
        if not isinstance(value, dict):
            return "not a JSON object"
        if b"\\u" in raw and (b"\\u0000" in raw or not _encodable(value)):
            return "has a character that is not text"
        if not value.keys() <= self.members.keys():
            self.members.update(dict.fromkeys(value))
        return ""


def json_rows(numbers: list[int], records: list[bytes]) -> Any:
    """An Arrow batch of JSON records and their numbers."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([whole_numbers(np.array(numbers, np.int64)), whole_texts(records)], names=[NUMBER, "#json"])


def as_text(raw: bytes) -> str:
    """The bytes as text; those that are none are shown as \\xNN."""
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _readable(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _edge(byte: int) -> bool:
    return byte == 32 or byte >= 128


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(word)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" + ("" if n == 1 else "s")

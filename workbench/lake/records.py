"""Which records does a text file hold, on which line does each start, and which cannot be taken apart?

This is a second opinion beside the parser that does the loading: every record is counted here, numbered, and written in a clean
form that leaves the parser nothing to guess. CSV is read by RFC 4180 with two allowances: a quotation mark inside an unquoted
field is an ordinary character, and a record may run over several lines inside quotes. A quotation mark that is opened and not
properly closed spoils only the line it stands on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from workbench.errors import BadInput

BLOCK = 8 << 20
#: A record may run over this many lines and bytes; beyond, its quotation mark counts as never closed.
MAX_LINES, MAX_BYTES = 1000, 1 << 20
#: The member that carries a record's number in the clean form of NDJSON.
NUMBER = "#record"
_BOMS = (b"\xc3\xaf\xc2\xbb\xc2\xbf", b"\xef\xbb\xbf")


@dataclass(frozen=True)
class Run:
    """Consecutive records, one a line: numbers ``record``.. on lines ``line``.. of the file.

    A run of one may be a record over several lines, or one with a ``problem``. ``raw`` is as it stood in the file without the
    last line end; ``clean`` is its form for the parser, None for "as raw".
    """

    record: int
    line: int
    raw: list[bytes]
    problem: str = ""
    clean: bytes | None = None


class Lines:
    """The lines of a byte stream, a block at a time, with one line to look ahead."""

    def __init__(self, stream: Any, file: str) -> None:
        self._stream, self._file = stream, file
        self._rest, self._first, self._end = b"", True, b"\n"
        self.lines: list[bytes] = []
        self.line = 1

    def advance(self, used: int) -> bool:
        """Drop ``used`` lines and make sure that there is at least one more. False at the end of the file."""
        del self.lines[:used]
        self.line += used
        return bool(self.lines) or self.more()

    def more(self) -> bool:
        """Read another block behind the lines that are held. False when there is none."""
        while True:
            block = self._stream.read(BLOCK)
            if self._first:
                block = self._open(block)
            if not block:
                if not self._rest:
                    return False
                self.lines.append(self._rest)
                self._rest = b""
                return True
            parts = (self._rest + block).split(self._end)
            self._rest = parts.pop()
            if parts:
                self.lines.extend(parts)
                return True

    def _open(self, block: bytes) -> bytes:
        self._first = False
        if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise BadInput(f"{self._file} is UTF-16 text; save it as UTF-8 and load that.")
        if block.startswith(_BOMS):
            block = block[next(len(b) for b in _BOMS if block.startswith(b)):]
        if b"\n" not in block and b"\r" in block:
            self._end = b"\r"
        return block


class Csv:
    """Records of a CSV file behind its header."""

    def __init__(self, lines: Lines, file: str, delimiter: str, encoding: str) -> None:
        self._lines, self._delimiter, self._encoding = lines, delimiter.encode(), encoding
        d = re.escape(self._delimiter)
        field = rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?:[^"' + d + rb"][^" + d + rb"]*+)?)"
        self._whole = re.compile(field + rb"(?:" + d + field + rb")*+", re.S)
        self._opened = re.compile(rb"(?:" + field + d + rb')*+"[^"]*+(?:""[^"]*+)*+', re.S)
        self._field = re.compile(rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^' + d + rb"]*+))(?:" + d + rb"|$)", re.S)
        if not lines.advance(0):
            raise BadInput(f"{file} is empty; nothing was loaded.")
        self.header = [f.decode(encoding, "replace").strip() for f in self._fields(lines.lines[0].rstrip(b"\r"))]
        lines.advance(1)

    def runs(self) -> Iterator[Run]:
        """All records in order."""
        record, lines, width = 1, self._lines, len(self.header) - 1
        while lines.lines or lines.more():
            held = lines.lines
            plain = [x.rstrip(b"\r") for x in held] if any(map(bytes.endswith, held, repeat(b"\r"))) else held
            special = self._special(plain, width)
            at = 0
            for index in special:
                if index < at:
                    continue
                if index > at:
                    yield Run(record, lines.line + at, plain[at:index])
                    record += index - at
                run, used = self._one(index, record, width)
                if run is not None:
                    yield run
                    record += 1
                at = index + used
            if at < len(plain):
                yield Run(record, lines.line + at, plain[at:])
                record += len(plain) - at
                at = len(plain)
            lines.advance(at)

    def _special(self, plain: list[bytes], width: int) -> list[int]:
        """Indices of lines that are not simply one record of the right width in plain text, ascending."""
        block = b"\n".join(plain)
        odd: set[int] = set()
        counts = list(map(bytes.count, plain, repeat(self._delimiter)))
        if counts.count(width) != len(counts):
            odd.update(i for i, n in enumerate(counts) if n != width)
        if b'"' in block:
            odd.update(i for i, x in enumerate(plain) if b'"' in x)
            exact = self._exact(width)
            odd = {i for i in odd if not exact.fullmatch(plain[i])}
        if width == 0:
            odd.update(i for i, x in enumerate(plain) if not x)
        for sign in (b"\r", b"\0"):
            if sign in block:
                odd.update(i for i, x in enumerate(plain) if sign in x)
        if self._encoding != "utf-8" or not _readable(block, "utf-8"):
            odd.update(i for i, x in enumerate(plain) if not x.isascii())
        return sorted(odd)

    def _exact(self, width: int) -> re.Pattern[bytes]:
        d = re.escape(self._delimiter)
        field = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"' + d + rb"]*+)"
        return re.compile(field + rb"(?:" + d + field + rb"){%d}" % width, re.S)

    def _one(self, index: int, record: int, width: int) -> tuple[Run | None, int]:
        """The record that starts at line ``index`` of those held, and how many lines it takes; None for a blank line."""
        held, number = self._lines.lines, self._lines.line + index
        raw = held[index].rstrip(b"\r")
        if not raw.strip():
            return None, 1
        text, used = self._extend(index, raw)
        if text is None:
            return Run(record, number, [raw], "a quotation mark is opened and not properly closed"), 1
        fields = self._fields(text)
        if len(fields) != width + 1:
            if used > 1:
                return Run(record, number, [raw], "a quotation mark is opened and not properly closed"), 1
            return Run(record, number, [raw], f"{_count(len(fields), 'field')}, the header has {width + 1}"), 1
        if b"\0" in text:
            return Run(record, number, [text], "has a NUL byte, which is not text"), used
        if not _readable(text, self._encoding):
            return Run(record, number, [text], f"has bytes that are not {self._encoding} text"), used
        clean = self._delimiter.join(b'"' + f.replace(b'"', b'""') + b'"' if _needs_quotes(f, self._delimiter) else f for f in fields)
        if self._encoding != "utf-8":
            clean = clean.decode(self._encoding).encode()
        return Run(record, number, [text], clean=clean), used

    def _extend(self, index: int, text: bytes) -> tuple[bytes | None, int]:
        """The whole record that begins with ``text``, with as many of the following lines as its quotes need; None = broken."""
        lines, parts, used = self._lines, [self._lines.lines[index]], 1
        size = len(text)
        while not self._whole.fullmatch(text):
            if not self._opened.fullmatch(text):
                return None, 1
            following = b""
            while b'"' not in following:
                if used == MAX_LINES or size > MAX_BYTES or (index + used >= len(lines.lines) and not lines.more()):
                    return None, 1
                following = lines.lines[index + used]
                parts.append(following)
                used, size = used + 1, size + len(following)
            text = b"\n".join(parts).rstrip(b"\r")
        return text, used

    def _fields(self, text: bytes) -> list[bytes]:
        fields, end = [], 0
        for match in self._field.finditer(text):
            if match.start() != end or (end and end == len(text) and not text.endswith(self._delimiter)):
                break
            inside, bare = match.groups()
            fields.append(bare if inside is None else inside.replace(b'""', b'"'))
            end = match.end()
        return fields


class Ndjson:
    """Records of a file with one JSON object a line; blank lines are none."""

    def __init__(self, lines: Lines, file: str) -> None:
        self._lines = lines
        self.header: dict[str, None] = {}
        self._decoder = json.JSONDecoder(parse_constant=_refuse)
        if not lines.advance(0):
            raise BadInput(f"{file} is empty; nothing was loaded.")

    def runs(self) -> Iterator[Run]:
        """All records in order; ``header`` gathers the members seen."""
        record, lines = 1, self._lines
        while lines.lines or lines.more():
            for offset, line in enumerate(lines.lines):
                raw = line.strip()
                if raw:
                    problem = self._problem(raw)
                    inside = raw[1:].lstrip()
                    clean = b'{"' + NUMBER.encode() + b'":%d' % record + (b"" if inside == b"}" else b",") + inside
                    yield Run(record, lines.line + offset, [raw], problem, clean)
                    record += 1
            lines.advance(len(lines.lines))

    def _problem(self, raw: bytes) -> str:
        try:
            value = self._decoder.decode(raw.decode())
        except UnicodeDecodeError:
            return "has bytes that are not utf-8 text"
        except (ValueError, RecursionError):
            return "not readable as JSON"
        if not isinstance(value, dict):
            return "not a JSON object"
        if b"\\u" in raw and (b"\\u0000" in raw or not _encodable(value)):
            return "has a character that is not text"
        self.header.update(dict.fromkeys(value))
        return ""


def pick(runs: Iterable[Run], wanted: Iterator[int]) -> Iterator[tuple[int, int, str]]:
    """(record, line, raw text) of the ``wanted`` record numbers, which must ascend. One pass, stops after the last."""
    number = next(wanted, None)
    for run in runs:
        while number is not None and number < run.record + len(run.raw):
            offset = number - run.record
            yield number, run.line + offset, as_text(run.raw[offset])
            number = next(wanted, None)
        if number is None:
            return


def as_text(raw: bytes, encoding: str = "utf-8") -> str:
    """The bytes as text; those that are none are shown as \\xNN."""
    return raw.decode(encoding, "backslashreplace").replace("\0", "\\x00")


def _needs_quotes(field: bytes, delimiter: bytes) -> bool:
    return b'"' in field or delimiter in field or b"\n" in field or b"\r" in field


def _readable(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


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

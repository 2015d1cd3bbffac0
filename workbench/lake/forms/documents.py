"""JSON documents taken apart: the records of a list, wherever it lies in the document, one a line and each exactly as written.

The document is walked from front to end in pieces of some megabytes, so that one of many gigabytes needs no more memory than its largest
value. Each record's own text is copied, so that a number stays as it was written ("1.10" is not 1.1). Bytes that are no UTF-8 are
copied too; such a record is rejected later, alone. Several documents one behind the other (NDJSON under the name .json) are taken in turn.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from workbench.errors import BadInput, did_you_mean

CHUNK = 1 << 22
#: No single value of a document may be longer than this many characters.
LONGEST = 1 << 28
_BLANK = re.compile(r"[ \t\r\n]*")
_BREAK = re.compile(r"[\r\n]+[ \t]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_CONTROL = re.compile(r"[\x00-\x1f]")
#: Within so many characters of the end of what was read, a number or a word may go on.
_EDGE = 16
_BOM = "\u00ef\u00bb\u00bf"


class Readable(Protocol):
    """What a document is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at the end."""


class _Cut(Exception):
    """What has been read ends before the value does."""


class Document:
    """A JSON document that is read from front to end.

    Args:
        stream: its bytes, unpacked.
        name: of the file, for messages.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self._text, self._at, self._before, self._over = "", 0, 0, False
        self._head = stream.read(CHUNK)
        encoding = json.detect_encoding(self._head[:4])
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding.startswith("utf-8") else "strict")
        strict: Any = json.JSONDecoder()
        lenient: Any = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
        self._strict, self._lenient = strict.scan_once, lenient.scan_once

    def each(self, path: str, take: Callable[[str], object]) -> int:
        """Give every record at a dotted member path to ``take`` as one line of JSON text; returns how many. One pass.

        Records are the elements of the list at that path; what stands there without being a list is one record.

        Raises:
            BadInput: the document is damaged, cut off, or has nothing at that path.
        """
        steps = [s for s in path.split(".") if s]
        try:
            if not self._peek():
                raise BadInput(f"{self._name} holds no JSON; nothing was loaded.")
            count = 0
            while self._peek():
                count += self._walk(steps, path, take)
        except RecursionError as error:
            raise self._wrong("is nested too deep") from error
        except UnicodeDecodeError as error:
            raise self._wrong(f"is no {error.encoding} text") from error
        return count

    def _walk(self, steps: list[str], path: str, take: Callable[[str], object]) -> int:
        """Take apart the value that comes next, along the steps that are left."""
        sign = self._peek()
        if not steps:
            return self._list(take) if sign == "[" else self._one(take)
        if sign != "{":
            raise BadInput(f"{self._name} has no records at {path!r}: {'a list' if sign == '[' else 'a single value'} stands where an object with the "
                           f"member {steps[0]!r} was to be. Nothing was loaded.")
        count, seen = -1, []
        for key in self._members():
            seen.append(key)
            if key == steps[0] and count < 0:
                count = self._walk(steps[1:], path, take)
            else:
                self._value()
        if count < 0:
            raise BadInput(f"{self._name} has no member {steps[0]!r}, so no records at {path!r}.{did_you_mean(steps[0], seen)} Nothing was loaded.")
        return count

    def _members(self) -> Iterator[str]:
        """The names of an object's members, each given before its value is read."""
        self._expect("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            if self._peek() != '"':
                raise self._wrong("has no name where a member must begin")
            key = str(self._value()[0])
            self._expect(":")
            yield key
            if self._expect(",}") == "}":
                return

    def _list(self, take: Callable[[str], object]) -> int:
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return 0
        count = 0
        while True:
            count += self._one(take)
            if self._expect(",]") == "]":
                return count

    def _one(self, take: Callable[[str], object]) -> int:
        raw = self._value()[1]
        take(_BREAK.sub(" ", raw) if "\n" in raw or "\r" in raw else raw)
        return 1

    def _value(self) -> tuple[Any, str]:
        """The value that comes next, with its text."""
        while True:
            if not self._peek():
                raise self._wrong("is cut off")
            try:
                value, end, bare = self._scan()
            except _Cut:
                self._more()
                continue
            if end + _EDGE > len(self._text) and not self._over:
                self._more()
                continue
            raw = self._text[self._at:end]
            self._at = end
            return value, _STRING.sub(_escaped, raw) if bare else raw

    def _scan(self) -> tuple[Any, int, bool]:
        """The value that begins here, where it ends, and whether a string in it holds bare control characters."""
        try:
            return *self._strict(self._text, self._at), False
        except (StopIteration, ValueError) as error:
            said, place = self._problem(error)
        if said.startswith(("Invalid control", "Exceeds")):
            try:
                return *self._lenient(self._text, self._at), True
            except (StopIteration, ValueError) as error:
                said, place = self._problem(error)
        if not self._over and (place + _EDGE > len(self._text) or said.startswith("Unterminated")):
            raise _Cut
        self._at = place
        raise self._wrong(f"is cut off or damaged: {said}")

    def _problem(self, error: Exception) -> tuple[str, int]:
        """What the scanner stumbled over, and where; the error itself, which holds all the text, is let go."""
        if isinstance(error, StopIteration):
            return "a value is missing", int(error.value)
        return getattr(error, "msg", str(error)), getattr(error, "pos", len(self._text))

    def _peek(self) -> str:
        """The next sign that is not blank, "" at the end; it is not taken."""
        while True:
            match = _BLANK.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, signs: str) -> str:
        sign = self._peek()
        if not sign:
            raise self._wrong("is cut off")
        if sign not in signs:
            raise self._wrong(f"has {sign!r} where {' or '.join(map(repr, signs))} must stand")
        self._at += 1
        return sign

    def _more(self) -> bool:
        """Read on, twice as much each time a value does not end; what has been taken is forgotten. False at the end."""
        if self._over:
            return False
        rest = self._text[self._at:]
        if len(rest) > LONGEST:
            raise self._wrong(f"has a single value of more than {LONGEST:,} characters")
        block = self._head or self._stream.read(max(CHUNK, len(rest)))
        first, self._head = bool(self._head), b""
        self._over = not block
        text = self._decoder.decode(block, not block)
        self._text = rest + (text.removeprefix(_BOM) if first else text)
        self._before, self._at = self._before + self._at, 0
        return len(self._text) > len(rest) or not self._over

    def _wrong(self, what: str) -> BadInput:
        return BadInput(f"{self._name} {what} (near character {self._before + self._at + 1:,}); nothing was loaded.")


def _escaped(string: re.Match[str]) -> str:
    return _CONTROL.sub(lambda c: f"\\u{ord(c[0]):04x}", string[0])

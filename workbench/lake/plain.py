"""Which lines of a block of CSV are simply one record each, and where are their fields? Told for a whole block at once, over its bytes.

Such a line has as many delimiters outside quotes as the header, quotes only around whole fields and none doubled within, and no byte that
is not text. All other lines are odd; ``records`` looks at them one by one. Cost: about 2 ns a byte; memory: three times the block and 8
bytes for each delimiter in it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_QUOTE, _RETURN = 34, 13
#: A block with fewer quotation marks, or bytes that are not ASCII, than one in so many bytes has the lines with them looked at one by one.
_SPARSE = 1 << 14
#: A field that begins this near to the end of a block is looked at singly: ``columns.views`` reads so many bytes at once.
_MARGIN = 16
#: The highest bit of each of eight bytes.
_HIGH = np.uint64(0x8080808080808080)
_held = threading.local()
Places = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shape:
    """A block's lines.

    ``starts`` and ``ends`` are where each begins and ends (without its line end), ``odd`` the indices of the odd ones, ascending. ``stops`` has
    a row for each column, in it for each of the other lines where its field is ended by a delimiter or the line's end; ``begins`` is
    where these lines begin.
    """

    starts: Places
    ends: Places
    odd: Places
    begins: Places
    stops: Places
    quotes: bool

    @property
    def count(self) -> int:
        """How many of the lines are not odd."""
        return len(self.begins)

    def even(self, index: int) -> int:
        """How many of the lines before ``index`` are not odd."""
        return index - int(np.searchsorted(self.odd, index))

    def fields(self, array: Octets, place: int) -> tuple[Places, Places]:
        """Where the fields of one column begin, and their lengths, quotes around them left out; a value for each line that is not odd."""
        begin, stop = self.stops[place - 1] + 1 if place else self.begins, self.stops[place]
        if self.quotes:
            quoted = array[begin] == _QUOTE
            begin, stop = begin + quoted, stop - quoted
        return begin, stop - begin


def bounds(block: bytes, end: bytes) -> tuple[Places, Places]:
    """Where each line begins and ends, without its line end and carriage returns before it. The block must end with a line end."""
    array = np.frombuffer(block, np.uint8)
    return _bounds(array, np.flatnonzero(array == end[0]), b"\r" in block and end != b"\r")


def shape(block: bytes, end: bytes, delimiter: bytes, width: int) -> Shape:
    """Tell a block's odd lines from the others.

    Args:
        block: whole lines, in UTF-8 but for some that are no text.
        end: the byte that ends a line.
        delimiter: one byte.
        width: delimiters of a record.
    """
    array = np.frombuffer(block, np.uint8)
    mask, other = _room(len(array))
    lone = _lone(block, b'"')
    np.equal(array, end[0], out=mask)
    for wanted in (delimiter[0], *([_QUOTE] if lone is None else [])):
        np.equal(array, wanted, out=other)
        np.bitwise_or(mask.view(np.uint8), other.view(np.uint8), out=mask.view(np.uint8))
    marks = np.flatnonzero(mask)
    kinds = array[marks]
    at_end = np.flatnonzero(kinds == end[0])
    starts, ends = _bounds(array, marks[at_end], b"\r" in block and end != b"\r")
    odd = [_strange(block, array, starts, ends, end)]
    if lone is not None:
        odd.append(_lines_of(lone, starts))
    else:
        misquoted, parting = _quoted(array, marks, kinds, at_end, starts, ends, delimiter[0])
        odd.append(misquoted)
        marks, at_end = marks[parting], np.flatnonzero(kinds[parting] == end[0])
    counts = np.diff(at_end, prepend=-1) - 1
    odd.append(np.flatnonzero(counts != width))
    if width == 0:
        odd.append(np.flatnonzero(starts == ends))
    odd.append(np.flatnonzero(ends[-_MARGIN:] > len(block) - _MARGIN) + max(len(ends) - _MARGIN, 0))
    strange = np.unique(np.concatenate(odd))
    good: Places | slice = np.delete(np.arange(len(starts)), strange) if len(strange) else slice(None)
    stops = _cells(marks, at_end, strange, width)
    stops[width] = ends[good]
    return Shape(starts, ends, strange, starts[good], stops, lone is None)


def _room(size: int) -> npt.NDArray[np.bool_]:
    """Two rows of so many flags, the same ones at each call of a thread: making them anew would cost more than filling them."""
    held: npt.NDArray[np.bool_] | None = getattr(_held, "flags", None)
    if held is None or held.shape[1] < size:
        held = _held.flags = np.empty((2, size + (size >> 2)), bool)
    return held[:, :size]


def _lone(block: bytes, byte: bytes) -> Places | None:
    """Where a byte is of which there are few; None where there are many."""
    found, at = list[int](), block.find(byte)
    while at >= 0:
        found.append(at)
        if len(found) > len(block) // _SPARSE:
            return None
        at = block.find(byte, at + 1)
    return np.array(found, np.int64)


def _bounds(array: Octets, stops: Places, returns_too: bool) -> tuple[Places, Places]:
    starts = np.empty_like(stops)
    starts[:1] = 0
    starts[1:] = stops[:-1] + 1
    if not returns_too:
        return starts, stops
    ends = stops
    while True:
        returns = (ends > starts) & (array[ends - 1] == _RETURN)
        if not returns.any():
            return starts, ends
        ends = ends - returns


def _cells(marks: Places, at_end: Places, odd: Places, width: int) -> Places:
    """The marks of the lines that are not odd: a row for each column."""
    if len(odd) > 1000:
        good = np.ones(len(at_end), bool)
        good[odd] = False
        return np.ascontiguousarray(marks[np.repeat(good, np.diff(at_end, prepend=-1))].reshape(-1, width + 1).T)
    held, count = np.empty((width + 1, len(at_end) - len(odd)), np.int64), 0
    line_begins = np.concatenate([[0], at_end[:-1] + 1])
    begins, stops = np.concatenate([[0], at_end[odd] + 1]), np.concatenate([line_begins[odd], [len(marks)]])
    for first, end in zip(begins.tolist(), stops.tolist(), strict=True):
        lines = marks[first:end].reshape(-1, width + 1)
        held[:, count: count + len(lines)] = lines.T
        count += len(lines)
    return held


def _strange(block: bytes, array: Octets, starts: Places, ends: Places, end: bytes) -> Places:
    """Lines with a NUL, with a line end of the other kind within, or with bytes that are no text."""
    found = [_lines_of(np.flatnonzero(array == 0), starts)] if b"\0" in block else []
    other = b"\n" if end == b"\r" else b"\r"
    if other in block:
        within = np.flatnonzero(array == other[0])
        line = _lines_of(within, starts)
        found.append(line[within < ends[line]])
    if not block.isascii():
        beyond = _beyond(block, array)
        if beyond is not None or not _readable(block):
            lines = np.unique(_lines_of(np.flatnonzero(array >= 128) if beyond is None else beyond, starts)).tolist()
            found.append(np.array([i for i in lines if not _readable(block[starts[i]:ends[i]])], np.int64))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _beyond(block: bytes, array: Octets) -> Places | None:
    """Where the bytes are that are not ASCII, looked for eight at a time; None where there are many."""
    whole = len(block) & ~7
    words = np.flatnonzero((np.frombuffer(block, np.uint64, whole >> 3) & _HIGH) != 0)
    if len(words) > len(block) // _SPARSE:
        return None
    row, column = np.nonzero(array[:whole].reshape(-1, 8)[words] >= 128)
    return np.concatenate([words[row] * 8 + column, whole + np.flatnonzero(array[whole:] >= 128)])


def _lines_of(places: Places, starts: Places) -> Places:
    return np.searchsorted(starts, places, side="right") - 1


def _readable(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _quoted(array: Octets, marks: Places, kinds: Octets, at_end: Places, starts: Places, ends: Places, delimiter: int) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Lines whose quotes are not simply around whole fields; and for each mark whether it parts fields or lines (a delimiter within quotes does not)."""
    is_quote = kinds == _QUOTE
    passed = np.cumsum(is_quote, dtype=np.int64)
    before = np.concatenate([[0], passed[at_end[:-1]]])
    line = np.repeat(np.arange(len(at_end)), np.diff(at_end, prepend=-1))
    inside = ((passed - before[line]) & 1).astype(bool)
    uneven = np.flatnonzero(inside[at_end])
    parting = ~is_quote & ~inside
    parting[at_end] = True
    where = np.flatnonzero(is_quote)
    place, on, opens = marks[where], line[where], inside[where]
    sound = np.where(opens, (place == starts[on]) | (array[np.maximum(place - 1, 0)] == delimiter), (place + 1 == ends[on]) | (array[place + 1] == delimiter))
    return np.concatenate([uneven, on[~sound]]), parting

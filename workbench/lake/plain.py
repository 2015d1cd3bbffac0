"""Which lines of a block of CSV are simply one record each? Told for a whole block at once, over its bytes.

Such a line has as many delimiters outside quotes as the header, quotes only around whole fields, and no byte that is not text. All
other lines are odd; ``records`` looks at them one by one. Cost: about 2 ns a byte; memory: three times the block and 8 bytes for each
delimiter in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_QUOTE, _RETURN, _MARK = 34, 13, b"\xef\xbb\xbf"
#: Bytes of text that are read at once to see whether they are in an encoding.
_SPAN = 1 << 20
#: A block with fewer quotation marks than one in so many bytes has the lines with them looked at one by one.
_SPARSE = 1 << 14
Places = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
_EDGE = np.zeros(256, bool)
_EDGE[32] = True
_EDGE[128:] = True


@dataclass(frozen=True)
class Shape:
    """A block's lines.

    ``starts`` and ``ends`` are where each begins and ends (without its line end), ``odd`` the indices of the odd ones, ascending;
    ``quotes``: whether there is a quotation mark at all; ``edged``: places of the columns in which a value of a line that is not odd
    may begin or end with a blank (of any kind that Unicode knows).
    """

    starts: Places
    ends: Places
    odd: Places
    quotes: bool
    edged: frozenset[int]


def edge(byte: int) -> bool:
    """Whether a field that begins or ends with this byte may begin or end with a blank."""
    return bool(_EDGE[byte])


def bounds(block: bytes, end: bytes) -> tuple[Places, Places]:
    """Where each line begins and ends, without its line end and carriage returns before it. The block must end with a line end."""
    array = np.frombuffer(block, np.uint8)
    return _bounds(array, np.flatnonzero(array == end[0]), end)


def shape(block: bytes, end: bytes, delimiter: bytes, width: int, encoding: str) -> Shape:
    """Tell a block's odd lines from the others.

    Args:
        block: whole lines.
        end: the byte that ends a line.
        delimiter: one byte.
        width: delimiters of a record.
        encoding: of the text.
    """
    array = np.frombuffer(block, np.uint8)
    quoting = array == _QUOTE
    quotes = int(np.count_nonzero(quoting))
    mask = array == end[0]
    mask |= array == delimiter[0]
    if quotes > len(block) // _SPARSE:
        mask |= quoting
    marks = np.flatnonzero(mask)
    del mask
    kinds = array[marks]
    at_end = np.flatnonzero(kinds == end[0])
    starts, ends = _bounds(array, marks[at_end], end)
    odd = [_strange(block, array, starts, ends, end, encoding)]
    if 0 < quotes <= len(block) // _SPARSE:
        odd.append(_lines_with(quoting, starts))
    elif quotes:
        misquoted, parting = _quoted(array, marks, kinds, at_end, starts, ends, delimiter[0])
        odd.append(misquoted)
        marks, at_end = marks[parting], np.flatnonzero(kinds[parting] == end[0])
    counts = np.diff(at_end, prepend=-1) - 1
    odd.append(np.flatnonzero(counts != width))
    if width == 0:
        odd.append(np.flatnonzero(starts == ends))
    strange = np.unique(np.concatenate(odd))
    return Shape(starts, ends, strange, quotes > 0, _edged(array, marks, at_end, ends, counts == width, width, quotes > len(block) // _SPARSE))


def _bounds(array: Octets, stops: Places, end: bytes) -> tuple[Places, Places]:
    starts = np.empty_like(stops)
    starts[:1] = 0
    starts[1:] = stops[:-1] + 1
    if end[0] == _RETURN:
        return starts, stops
    ends = stops
    while True:
        returns = (ends > starts) & (array[ends - 1] == _RETURN)
        if not returns.any():
            return starts, ends
        ends = ends - returns


def _strange(block: bytes, array: Octets, starts: Places, ends: Places, end: bytes,
             encoding: str) -> Places:
    """Lines with a NUL, a line end of the other kind within, bytes that are no text, or a mark that a parser takes for one of the file's beginning."""
    found = [_lines_with(array == 0, starts)] if b"\0" in block else []
    other = b"\n" if end == b"\r" else b"\r"
    if other in block:
        within = np.flatnonzero(array == other[0])
        line = np.searchsorted(starts, within, side="right") - 1
        found.append(line[within < ends[line]])
    if block.startswith(_MARK) or end + _MARK in block:
        found.append(np.flatnonzero((array[starts] == 0xEF) & (ends - starts >= 3)))
    if not block.isascii():
        found.append(_unreadable(block, array, starts, ends, encoding))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _lines_with(mask: npt.NDArray[np.bool_], starts: Places) -> Places:
    return np.searchsorted(starts, np.flatnonzero(mask), side="right") - 1


def _unreadable(block: bytes, array: Octets, starts: Places, ends: Places, encoding: str) -> Places:
    found: list[int] = []
    first = 0
    while first < len(starts):
        last = max(int(np.searchsorted(starts, starts[first] + _SPAN)), first + 1)
        if not _readable(block[starts[first]:ends[last - 1]], encoding):
            beyond = np.flatnonzero(array[starts[first]:ends[last - 1]] >= 128) + starts[first]
            for index in np.unique(np.searchsorted(starts, beyond, side="right") - 1).tolist():
                if not _readable(block[starts[index]:ends[index]], encoding):
                    found.append(index)
        first = last
    return np.array(found, np.int64)


def _readable(text: bytes, encoding: str) -> bool:
    if text.isascii():
        return True
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _quoted(array: Octets, marks: Places, kinds: Octets, at_end: Places,
            starts: Places, ends: Places, delimiter: int) -> tuple[Places, npt.NDArray[np.bool_]]:
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
    previous, following = array[np.maximum(place - 1, 0)], array[place + 1]
    sound = np.where(opens, (place == starts[on]) | (previous == delimiter) | ((previous == _QUOTE) & (place > starts[on])),
                     (place + 1 == ends[on]) | (following == delimiter) | (following == _QUOTE))
    return np.concatenate([uneven, on[~sound]]), parting


def _edged(array: Octets, marks: Places, at_end: Places, ends: Places, regular: npt.NDArray[np.bool_], width: int, quotes: bool) -> frozenset[int]:
    """Columns in which a field of a line of the right width begins or ends with a blank, perhaps within quotes."""
    behind, before = array[marks[:-1] + 1], array[marks - 1]
    last = array[ends - 1]
    if not (_edge(behind).any() or _edge(before).any() or _edge(last).any() or _EDGE[array[0]] or quotes):
        return frozenset()
    grid = marks if regular.all() else marks[np.repeat(regular, np.diff(at_end, prepend=-1))]
    if not len(grid):
        return frozenset()
    grid = grid.reshape(-1, width + 1)
    starts, stops = np.concatenate([[-1], at_end[:-1]]), ends[regular]
    starts = np.where(starts < 0, 0, marks[starts] + 1)[regular]
    found = set()
    for place in range(width + 1):
        begin = grid[:, place - 1] + 1 if place else starts
        stop = grid[:, place] if place < width else stops
        first = array[begin]
        inside = first == _QUOTE
        if (_edge(first) | _edge(array[stop - 1])).any() or (_edge(array[begin[inside] + 1]) | _edge(array[stop[inside] - 2])).any():
            found.add(place)
    return frozenset(found)


def _edge(octets: Octets) -> npt.NDArray[np.bool_]:
    return (octets == 32) | (octets >= 128)

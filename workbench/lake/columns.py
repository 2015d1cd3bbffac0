"""Fields of a block of bytes as text columns, without copying them: Arrow string views into the block.

A view is 16 bytes: the length and the first 4 bytes of a value, then either its other 8 bytes (of a value of 12 at most) or where it
lies. Cost: about 10 ns a value.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from workbench.lake.plain import Octets, Places

_SHORT = 12
#: For each length up to that, the bits of two numbers of 8 bytes that a value fills.
_KEEP = np.array([[(1 << (8 * min(n, 8))) - 1, (1 << (8 * max(n - 8, 0))) - 1] for n in range(_SHORT + 1)], np.uint64)
_HALF, _SIZE = np.uint64(32), np.uint64(0xFFFFFFFF)
Views = npt.NDArray[np.uint64]
if sys.byteorder != "little":
    raise ImportError("workbench.lake.columns needs a little-endian machine, as nearly all are.")


def views(data: bytes, begin: Places, length: Places, buffer: int) -> Views:
    """(values, 2) numbers: the views of the values that begin at ``begin``. ``data`` must go on for 16 bytes behind each beginning.

    Args:
        data: the bytes.
        begin: where each value begins.
        length: of each, in bytes.
        buffer: number of ``data`` among the buffers of the column.
    """
    if not len(begin):
        return np.empty((0, 2), np.uint64)
    held: Views = np.ndarray(len(data) - 15, "V16", data, strides=(1,))[begin].view(np.uint64).reshape(-1, 2)
    held &= _KEEP.take(np.minimum(length, _SHORT), axis=0)
    first = held[:, 0].copy()
    last = held[:, 1] << _HALF
    last |= first >> _HALF
    long = length > _SHORT
    if long.any():
        np.copyto(last, (begin.view(np.uint64) << _HALF) | np.uint64(buffer), where=long)
    first <<= _HALF
    first |= length.view(np.uint64)
    held[:, 0], held[:, 1] = first, last
    return held


def texts(values: Sequence[bytes], buffer: int) -> tuple[Views, bytes]:
    """The views of some values, and the bytes that they lie in."""
    data = b"".join(values) + bytes(16)
    length = np.array([len(v) for v in values], np.int64)
    return views(data, np.cumsum(length) - length, length, buffer), data


def column(held: Views, data: Sequence[bytes]) -> Any:
    """An Arrow column of type string_view; a value of no length is null."""
    import pyarrow as pa

    given = (held[:, 0] & _SIZE) != 0
    missing = int(len(given) - np.count_nonzero(given))
    bitmap = pa.py_buffer(np.packbits(given, bitorder="little")) if missing else None
    return pa.Array.from_buffers(pa.string_view(), len(held), [bitmap, pa.py_buffer(np.ascontiguousarray(held)), *map(pa.py_buffer, data)], missing)


def whole_numbers(values: Places) -> Any:
    """An Arrow column of whole numbers. (``pyarrow.array`` would do the same, and take a second to import pandas.)"""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def whole_texts(values: Sequence[bytes]) -> Any:
    """An Arrow column of texts, given as UTF-8."""
    import pyarrow as pa

    ends = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(v) for v in values], out=ends[1:])
    return pa.Array.from_buffers(pa.large_string(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def without(values: Any, rows: Places) -> Any:
    """An array without some of its rows, which ascend. (``numpy.delete`` would do the same, and go through it one by one.)"""
    if not len(rows):
        return values
    if len(rows) > 200:
        return values[np.delete(np.arange(len(values)), rows)]
    return np.concatenate([values[a:b] for a, b in zip([0, *(rows + 1).tolist()], [*rows.tolist(), len(values)], strict=True)])


def of_numbers(table: Any, number: str, wanted: Places, columns: Sequence[str]) -> Any:
    """Some columns of an Arrow table, of the rows whose ``number`` (ascending) is one of the ``wanted``; without a copy where these are few runs."""
    picked = table.select(list(columns))
    if len(wanted) == table.num_rows:
        return picked
    import polars as pl
    import pyarrow as pa

    held = cast(pl.DataFrame, pl.from_arrow(table.select([number])))[number].to_numpy()
    place = np.empty(int(held[-1] - held[0]) + 1, np.int64)
    place[held - held[0]] = np.arange(len(held))
    at = place[wanted - held[0]]
    breaks = np.flatnonzero(np.diff(at) != 1) + 1
    if len(breaks) > 200:
        stays = np.zeros(len(held), bool)
        stays[at] = True
        return cast(pl.DataFrame, pl.from_arrow(picked)).filter(stays).to_arrow()
    runs = np.split(at, breaks) if len(at) else []
    return pa.concat_tables([picked.slice(int(run[0]), len(run)) for run in runs]) if runs else picked.slice(0, 0)


def edged(held: Views, array: Octets, begin: Places, length: Places) -> bool:
    """Whether one of some values, given with their views, may begin or end with a blank (of any kind that Unicode knows)."""
    ends = (held.view(np.uint8)[:, 4].copy(), array[begin + length - 1])
    return any(len(octets) and (octets.max() >= 128 or (octets == 32).any()) for octets in ends)


def holds(held: Views, words: Sequence[str]) -> bool:
    """Whether one of some values, given by their views, is one of ``words``, of up to 4 letters each."""
    first = held[:, 0].copy()
    return any((first == np.uint64(len(w) | int.from_bytes(w.encode(), "little") << 32)).any() for w in words if w)


def same_as_before(columns: Sequence[tuple[Views, Sequence[bytes]]], count: int) -> Places:
    """The rows whose values are the same as those of the row before, in every one of the columns (views, buffers)."""
    alike = np.ones(max(count - 1, 0), bool)
    for held, _ in columns:
        alike &= held[1:, 0] == held[:-1, 0]
        if not alike.any():
            break
    rows = np.flatnonzero(alike) + 1
    for held, data in columns:
        if len(rows):
            rows = rows[[bool(held[r, 1] == held[r - 1, 1]) or _bytes(held[r], data) == _bytes(held[r - 1], data) for r in rows.tolist()]]
    return rows


def _bytes(view: Views, data: Sequence[bytes]) -> bytes:
    size, buffer, start = (int(n) for n in (view[0] & _SIZE, view[1] & _SIZE, view[1] >> _HALF))
    return data[buffer][start:start + size] if size > _SHORT else view.tobytes()

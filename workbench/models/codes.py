"""Names as numbers: many texts looked up among few, by 64-bit hashes in one open table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.engines.kernels import kernel

Codes = np.ndarray[Any, np.dtype[np.int32]]


def numbered(names: pl.Series, *columns: pl.Series) -> list[Codes]:
    """The place of every value of the columns in ``names`` (all different), -1 for what is not among them or null; i4, shape (len(column),) each.

    Two names with one hash are found (the slow way is then taken); that a text which is no name has the hash of one has a chance under 1e-12 for a
    million names. Cost: O(n); 10 M texts among 1 M names take about 0.2 s (polars' own categories 2 s).
    """
    held, place, twice = _table(names)
    if twice:
        kind = pl.Enum(names)
        return [np.ascontiguousarray(c.cast(kind, strict=False).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()) for c in columns]
    found = []
    for column in columns:
        out = np.empty(len(column), dtype=np.int32)
        _look(column.hash(1).to_numpy(), held, place, out)
        if column.null_count():
            out[column.is_null().to_numpy()] = -1
        found.append(out)
    return found


def repeated(names: pl.Series) -> bool:
    """Whether a name, or the hash of one, comes twice. O(n)."""
    return bool(_table(names)[2])


def lacking(names: pl.Series, column: pl.Series) -> int:
    """The first place in ``column`` of a value that is not among ``names`` (which may repeat), -1 where there is none. O(n)."""
    held, place, _ = _table(names)
    out = np.empty(len(column), dtype=np.int32)
    _look(column.hash(1).to_numpy(), held, place, out)
    lost = np.flatnonzero(out < 0)
    return int(lost[0]) if len(lost) else -1


def _table(names: pl.Series) -> tuple[Any, Codes, int]:
    """Hashes in an open table, the place of each name, and how many hashes were there already."""
    size = 1 << max(4, int(2 * len(names)).bit_length())
    held, place = np.zeros(size, dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    return held, place, int(_put(names.hash(1).to_numpy(), held, place))


@kernel("u8[:], u8[:], i4[:] -> i8")
def _put(hashes, held, place):  # type: ignore[no-untyped-def]
    """Put each hash into the table; how many were there already."""
    mask = np.uint64(len(held) - 1)
    twice = 0
    for i in range(len(hashes)):
        at = hashes[i] & mask
        while place[at] >= 0 and held[at] != hashes[i]:
            at = (at + np.uint64(1)) & mask
        if place[at] >= 0:
            twice += 1
        else:
            held[at] = hashes[i]
            place[at] = i
    return twice


@kernel("u8[:], u8[:], i4[:], i4[:]")
def _look(hashes, held, place, out):  # type: ignore[no-untyped-def]
    """The place of each hash, -1 where it is not in the table."""
    mask = np.uint64(len(held) - 1)
    for i in range(len(hashes)):
        at = hashes[i] & mask
        while place[at] >= 0 and held[at] != hashes[i]:
            at = (at + np.uint64(1)) & mask
        out[i] = place[at]

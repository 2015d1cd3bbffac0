"""Reads as compact arrays: who passed which spot when, in order of (spot, time) and of (plate, time)."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, finite
from workbench.geo import Plane, positions
from workbench.models.wording import local
from workbench.results import Prepared

Ints = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.uint32]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = 86_400, int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())  # days of any zone count from 0, and fit beside a plate into one number


class Passages(Prepared):
    """Reads in order of (spot, second, plate); made by ``workbench.models.plates.prepare``.

    A spot is where plates can pass together: a reader that stands still, or the place (a square of ``spot`` metres) of a read by a moving one.
    Moving readers' reads without a position are at no spot and are left out (``placeless`` of them, with reads without plate, reader or time; a time before
    1970-01-02 or after 2199 is a broken clock's, and is none).
    Plates and readers may be texts or whole numbers (made data); a number stands for its text.

    Attributes (n reads, P plates, S spots):
        plate, spot: u4, shape (n,): numbers into ``plates`` and ``spots``.
        at: i8, shape (n,): seconds since 1970, UTC.
        row: u4, shape (n,): the row of ``frame``.
        plates: the names, sorted, shape (P,). spots: a frame (spot, reader, lon, lat, moving), shape (S,).
        kept: what models made of these reads and would make again, by a key of theirs.
    """

    maker = "workbench.models.plates:prepare"

    def __init__(self, reads: pl.DataFrame, *, zone: str = "UTC", spot: float = 150.0) -> None:
        finite(spot=spot)
        if not 10 <= spot <= 5000:
            raise BadInput(f"spot={spot!r} m does not do; give 10 to 5,000 metres, e.g. 150.")
        schema.require(reads, "plate", "reader", "read_at", "lon", "lat", what="The reads frame")
        _names(reads)
        self.frame, self.zone, self.options = reads, zone, {"zone": zone, "spot": spot}
        self.kept: dict[Any, Any] = {}
        moments = schema.utc(reads.select("read_at"), ["read_at"])["read_at"]
        local(_EPOCH, zone)
        where, self._make_spots, ok = _spots(reads, spot)
        for column in (reads["plate"], moments):
            if column.null_count():
                ok = ok & column.is_not_null().to_numpy()
        at = moments.dt.epoch("us").fill_null(0).to_numpy() // 1_000_000
        if len(at) and (at.min() < _FIRST or at.max() >= _LAST):
            ok = ok & (at >= _FIRST) & (at < _LAST)
        rows = np.flatnonzero(ok).astype(np.uint32)
        self.placeless = len(reads) - len(rows)
        whole = len(rows) == len(reads)
        code, self.plates = _coded(reads["plate"] if whole else reads["plate"].gather(rows))
        if not whole:
            at, where = at[rows], where[rows]
        order = ordered(where, at, code)
        self.plate, self.spot, self.at, self.row = code[order], where[order], at[order], order if whole else rows[order]

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def spots(self) -> pl.DataFrame:
        """The spots, see above."""
        return self._make_spots()

    def code(self, plate: str) -> int | None:
        """The number of a plate in any spelling; None where it was never read. O(log P)."""
        wanted = plates.normal(plate)
        i = bisect_left(self.plates, wanted)  # a query of polars would wake its threads
        return i if i < len(self.plates) and self.plates[i] == wanted else None

    @cached_property
    def by_plate(self) -> tuple[Ints, Codes]:
        """(first, reads): the reads of plate p, in order of time, are ``reads[first[p]:first[p + 1]]`` (positions in the arrays)."""
        return firsts(self.plate, len(self.plates)), ordered(self.plate, self.at, None)

    @cached_property
    def by_spot(self) -> Ints:
        """first: the reads at spot s are at ``first[s]:first[s + 1]``."""
        return firsts(self.spot, len(self.spots))

    @cached_property
    def local_at(self) -> Ints:
        """Seconds since 1970 of the wall clock in ``zone``: // 86,400 is the local day, % 86,400 the second of that day."""
        if not len(self.at):
            return self.at
        quarter = self.at // 900  # offsets change on quarters of an hour
        low, high = int(quarter.min()), int(quarter.max())
        if high - low > 4 * len(quarter) + 100_000:  # a few dates far off
            hours, which = np.unique(quarter, return_inverse=True)
            out: Ints = self.at + _offsets(hours, self.zone)[which.ravel()]
            return out
        out = quarter - low
        np.take(_offsets(np.arange(low, high + 1), self.zone), out, out=out)
        out += self.at
        return out


def _names(reads: pl.DataFrame) -> None:
    """Raises: BadInput: plates or readers are neither texts nor whole numbers, or ``moving`` is not true or false."""
    if reads.schema.get("read_id", pl.String()).is_nested():
        raise BadInput(f"Column 'read_id' of the reads is {reads.schema['read_id']}; it must be text.")
    for column in ("plate", "reader"):
        kind = reads.schema[column]
        if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
            raise BadInput(f"Column {column!r} of the reads is {kind}; it must be text (or whole numbers).")
    kind = reads.schema.get("moving", pl.Boolean())
    if kind not in (pl.Boolean, pl.Null):
        raise BadInput(f"Column 'moving' of the reads is {kind}; it must be true, false or null.")


def _offsets(quarters: Ints, zone: str) -> Ints:
    """Seconds to add to UTC at each quarter of an hour since 1970."""
    wall = pl.Series(quarters * 900_000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.epoch("s").to_numpy()
    out: Ints = wall - quarters * 900
    return out


def firsts(codes: Any, many: int) -> Ints:
    """Where each code begins among sorted codes, shape (many + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=many))]).astype(np.int64)


def bits(largest: int) -> int:
    """How many bits hold 0 to ``largest``."""
    return max(1, int(largest).bit_length())


def ordered(first: Any, at: Ints, last: Codes | None) -> Codes:
    """The order by (first, at, last, row), shape (n,). One sort of packed numbers where they fit into 64 bits; O(n log n)."""
    n = len(first)
    if not n:
        return np.zeros(0, np.uint32)
    low = int(at.min())
    row_bits, at_bits = bits(n - 1), bits(int(at.max()) - low)
    if bits(int(first.max())) + at_bits + row_bits > 64:
        keys = (at, first) if last is None else (last, at, first)
        return np.lexsort(keys).astype(np.uint32)
    key = first.astype(np.uint64)
    key <<= np.uint64(at_bits)
    key |= (at - low).astype(np.uint64)
    key <<= np.uint64(row_bits)
    key |= np.arange(n, dtype=np.uint64)
    key.sort()
    row = (key & np.uint64((1 << row_bits) - 1)).astype(np.uint32)
    if last is None:
        return row
    key >>= np.uint64(row_bits)
    same = np.flatnonzero(key[1:] == key[:-1])  # reads of one spot and second are few: only they are put in order of the plate
    if len(same):
        tied = np.zeros(n, dtype=bool)
        tied[same] = tied[same + 1] = True
        at_ = np.flatnonzero(tied)
        row[at_] = row[at_][np.lexsort((row[at_], last[row[at_]], key[at_]))]
    return row


def _coded(names: pl.Series) -> tuple[Codes, pl.Series]:
    """Number each name into the sorted names that occur; null is 0 and to be left out by the caller."""
    if names.dtype.is_integer():
        numbers = names.fill_null(0).to_numpy()
        low = int(numbers.min()) if len(numbers) else 0
        high = int(numbers.max()) if len(numbers) else -1
        if low >= 0 and high < 4 * len(numbers) + 100_000:
            seen = np.zeros(high + 1, dtype=bool)
            seen[numbers] = True
            values = np.flatnonzero(seen)
        else:
            values = np.unique(numbers)
        texts = pl.Series(values).cast(pl.String)
        order = texts.arg_sort().to_numpy()
        rank = np.empty(len(values), dtype=np.uint32)
        rank[order] = np.arange(len(values), dtype=np.uint32)
        if len(values) and high < 4 * len(numbers) + 100_000 and low >= 0:
            table = np.zeros(high + 1, dtype=np.uint32)
            table[values] = rank
            return table[numbers], texts.gather(order)
        return rank[np.searchsorted(values, numbers)], texts.gather(order)
    texts = names.cast(pl.String)
    known = texts.unique().drop_nulls().sort()
    return texts.cast(pl.Enum(known)).to_physical().fill_null(0).to_numpy().astype(np.uint32), known


def _spots(reads: pl.DataFrame, metres: float) -> tuple[Codes, Any, Any]:
    """The spot of each read, what makes the frame of spots, and which reads have a spot."""
    ok = reads["reader"].is_not_null().to_numpy() if reads["reader"].null_count() else np.ones(len(reads), dtype=bool)
    moving = reads["moving"].cast(pl.Boolean).fill_null(False).to_numpy() if "moving" in reads.columns else np.zeros(len(reads), dtype=bool)
    if not moving.any():
        where, names = _coded(reads["reader"])
        return where, lambda: _standing(reads, where, names), ok
    lon, lat = positions(reads)
    placed = np.isfinite(lon) & np.isfinite(lat)
    cell = np.full(len(reads), -1, dtype=np.int64)
    if (moving & placed).any():
        on = moving & placed
        x, y = Plane.local(float(np.median(lat[on])), float(np.median(lon[on]))).to_metres(lon[on], lat[on])
        cell[on] = (np.floor(x / metres).astype(np.int64) << 32) + (np.floor(y / metres).astype(np.int64) + (1 << 31))
    frame = pl.DataFrame({"reader": reads["reader"].cast(pl.String), "cell": cell, "moving": moving, "lon": lon, "lat": lat})
    key = frame.select(pl.when("moving").then(pl.lit("")).otherwise(pl.col("reader")).alias("who"), "cell", "reader", "lon", "lat", "moving")
    spots = (
        key.group_by("who", "cell")
        .agg(pl.col("reader").min(), pl.col("lon").fill_nan(None).median(), pl.col("lat").fill_nan(None).median(), pl.col("moving").first())
        .sort("who", "cell")
        .with_row_index("spot")
    )
    found = key.join(spots.select("who", "cell", "spot"), on=["who", "cell"], how="left", maintain_order="left")["spot"]
    where = found.fill_null(0).to_numpy().astype(np.uint32)
    shown = spots.select("spot", "reader", "lon", "lat", "moving")
    return where, lambda: shown, ok & (~moving | placed)


def _standing(reads: pl.DataFrame, where: Codes, names: pl.Series) -> pl.DataFrame:
    """The frame of spots where every reader stands still."""
    lon, lat = positions(reads)
    places = pl.DataFrame({"spot": where, "lon": lon, "lat": lat}).filter(reads["reader"].is_not_null())
    middle = places.group_by("spot").agg(pl.col("lon", "lat").fill_nan(None).median()).sort("spot")
    return middle.select("spot", reader=names.gather(middle["spot"]), lon="lon", lat="lat", moving=pl.lit(value=False))

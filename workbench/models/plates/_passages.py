"""Reads as compact arrays: who passed which spot when, in order of (spot, time) and of (plate, time)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.engines.kernels import each
from workbench.errors import BadInput, finite
from workbench.geo import Plane, positions
from workbench.models.codes import numbered
from workbench.models.plates import _laid_kernels as loops
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
                ok = column.is_not_null().to_numpy() if ok is None else ok & column.is_not_null().to_numpy()
        at, low, high = _seconds(moments)
        if len(at) and (low < _FIRST or high >= _LAST):
            fits = (at >= _FIRST) & (at < _LAST)
            ok = fits if ok is None else ok & fits
        rows = None if ok is None or bool(ok.all()) else np.flatnonzero(ok).astype(np.uint32)
        self.placeless = 0 if rows is None else len(reads) - len(rows)
        code, self.plates = _coded(reads["plate"] if rows is None else reads["plate"].gather(rows))
        if rows is not None:
            at, where = at[rows], where[rows]
        self.plate, self.spot, self.at, self.row = _laid(where, at, code)
        if rows is not None:
            self.row = rows[self.row]

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
        ahead, quarter = self.ahead
        out = self.at // 900
        out -= quarter
        np.take(ahead, out, out=out)
        out += self.at
        return out

    @cached_property
    def ahead(self) -> tuple[Ints, int]:
        """Seconds by which the wall clock in ``zone`` is ahead of UTC in each quarter of an hour (offsets change on these), and the first quarter."""
        if not len(self.at):
            return np.zeros(1, dtype=np.int64), 0
        low, high = int(self.at.min()) // 900, int(self.at.max()) // 900
        return _offsets(np.arange(low, high + 1), self.zone), low


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


def in_parts(n: int, call: Callable[[int, int], Any]) -> None:
    """``call(start, stop)`` of parts of ``n`` rows, side by side where there are many."""
    cuts = np.linspace(0, n, 5).astype(np.int64).tolist() if n >= 200_000 else [0, n]
    each(lambda part: call(*part), list(pairwise(cuts)))


def firsts(codes: Any, many: int) -> Ints:
    """Where each code begins among sorted codes, shape (many + 1,)."""
    out = np.zeros(many + 1, dtype=np.int64)
    loops.tallied(np.ascontiguousarray(codes, dtype=np.uint32), out)
    np.cumsum(out, out=out)
    return out


def bits(largest: int) -> int:
    """How many bits hold 0 to ``largest``."""
    return max(1, int(largest).bit_length())


def ordered(first: Any, at: Ints, last: Codes | None) -> Codes:
    """The order by (first, at, last, row), shape (n,). One sort of packed numbers where they fit into 64 bits; O(n log n)."""
    n = len(first)
    return np.zeros(0, np.uint32) if not n else _laid(np.array(first, dtype=np.uint32), at.copy(), np.zeros(n, np.uint32) if last is None else last)[3]


def _laid(where: Codes, at: Ints, code: Codes) -> tuple[Codes, Codes, Ints, Codes]:
    """plate, spot, second and row in order of (spot, second, plate, row); uses up ``where`` and ``at``, whose memory the answer takes. O(n log n)."""
    n = len(where)
    none = np.zeros(0, np.uint32)
    if not n:
        return none, none, np.zeros(0, np.int64), none
    low = int(at.min())
    row_bits, at_bits = bits(n - 1), bits(int(at.max()) - low)
    if bits(int(where.max())) + at_bits + row_bits > 64:
        order = np.lexsort((code, at, where)).astype(np.uint32)
        return code[order], where[order], at[order], order
    key, spot, second = at.view(np.uint64), where, at
    in_parts(n, lambda a, b: loops.packed(where, at, low, at_bits, row_bits, a, b, key))
    key.sort()
    plate, row = np.empty(n, np.uint32), np.empty(n, np.uint32)
    in_parts(n, lambda a, b: loops.unpacked(key, code, low, at_bits, row_bits, a, b, plate, spot, second, row))
    many = int(loops.settled(spot, second, plate, row, np.zeros(0, np.int64)))
    if many:  # the loop above has put the short runs in order
        ends = np.empty(2 * many, dtype=np.int64)
        loops.settled(spot, second, plate, row, ends)
        for a, b in ends.reshape(-1, 2).tolist():
            again = np.lexsort((row[a:b], plate[a:b]))
            plate[a:b], row[a:b] = plate[a:b][again], row[a:b][again]
    return plate, spot, second, row


def _seconds(moments: pl.Series) -> tuple[Ints, int, int]:
    """Whole seconds since 1970 of moments (a missing one is 0), the least and the greatest."""
    dtype = moments.dtype
    unit = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[dtype.time_unit] if isinstance(dtype, pl.Datetime) and dtype.time_unit else 1_000_000
    raw = moments.to_physical().fill_null(0).to_numpy()
    out, ends = np.empty(len(raw), dtype=np.int64), np.tile(np.array([_LAST, 0], dtype=np.int64), 8)
    cuts = list(enumerate(pairwise(np.linspace(0, len(raw), 5).astype(np.int64).tolist())))
    each(lambda part: loops.seconds(raw[part[1][0] : part[1][1]], unit, out[part[1][0] : part[1][1]], ends, 2 * part[0]), cuts)
    return out, int(ends[::2].min()), int(ends[1::2].max())


def _coded(names: pl.Series) -> tuple[Codes, pl.Series]:
    """Number each name into the sorted names that occur; null is 0 and to be left out by the caller."""
    if names.dtype.is_integer():
        low, high = (int(str(v)) if v is not None else 0 for v in (names.min(), names.max()))
        if low < 0 or high >= min(4 * len(names) + 100_000, 1 << 32):
            values, which = np.unique(names.fill_null(low).to_numpy(), return_inverse=True)
            texts = pl.Series(values).cast(pl.String)
            return _ranks(texts)[which.ravel()], texts.sort()
        numbers = np.ascontiguousarray(names.fill_null(low).to_numpy(), dtype=np.uint32)
        seen = np.zeros(high + 1, dtype=np.uint8)
        loops.marked(numbers, seen)
        values = np.flatnonzero(seen)
        texts = pl.Series(values).cast(pl.String)
        new, out = np.zeros(high + 1, dtype=np.uint32), np.empty(len(numbers), dtype=np.uint32)
        new[values] = _ranks(texts)
        in_parts(len(numbers), lambda a, b: loops.mapped(numbers[a:b], new, out[a:b]))
        return out, texts.sort()
    texts = names.cast(pl.String)
    known = texts.unique().drop_nulls().sort()
    code = numbered(known, texts)[0]
    return np.maximum(code, 0, out=code).view(np.uint32), known


def _ranks(texts: pl.Series) -> Codes:
    """The place of each text among them all, sorted."""
    order = texts.arg_sort().to_numpy()
    out = np.empty(len(order), dtype=np.uint32)
    out[order] = np.arange(len(order), dtype=np.uint32)
    return out


def _spots(reads: pl.DataFrame, metres: float) -> tuple[Codes, Any, Any]:
    """The spot of each read, what makes the frame of spots, and which reads have a spot (None: all)."""
    ok = reads["reader"].is_not_null().to_numpy() if reads["reader"].null_count() else None
    if "moving" not in reads.columns or not reads["moving"].cast(pl.Boolean).any():
        where, names = _coded(reads["reader"])
        return where, lambda: _standing(reads, names), ok
    moving = reads["moving"].cast(pl.Boolean).fill_null(False).to_numpy()
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
    stands = ~moving | placed
    return where, lambda: shown, stands if ok is None else ok & stands


def _standing(reads: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """The frame of spots where every reader stands still."""
    lon, lat = positions(reads)
    places = pl.LazyFrame({"reader": reads["reader"], "lon": lon, "lat": lat}).filter(pl.col("reader").is_not_null())
    middle = places.group_by("reader").agg(pl.col("lon", "lat").fill_nan(None).median()).with_columns(pl.col("reader").cast(pl.String)).collect()
    shown = pl.DataFrame({"reader": names}).with_row_index("spot").join(middle, on="reader", how="left", maintain_order="left")
    return shown.select("spot", "reader", "lon", "lat", moving=pl.lit(value=False))

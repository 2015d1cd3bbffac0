"""Reads as compact arrays: who passed which spot when, in order of (spot, time) and of (plate, time)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput
from workbench.geo import Plane, positions
from workbench.models.wording import local
from workbench.results import Prepared

Ints = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.uint32]]


class Passages(Prepared):
    """Reads in order of (spot, second, plate); made by ``workbench.models.plates.prepare``.

    A spot is where plates can pass together: a reader that stands still, or the place (a square of ``spot`` metres) of a read by a moving one.
    Moving readers' reads without a position are at no spot and are left out (``placeless`` of them).

    Attributes (n reads, P plates, S spots):
        plate, spot: u4, shape (n,): numbers into ``plates`` and ``spots``.
        at: i8, shape (n,): seconds since 1970, UTC.
        row: u4, shape (n,): the row of ``frame``.
        plates: the names, sorted, shape (P,). spots: a frame (spot, reader, lon, lat, moving), shape (S,).
    """

    maker = "workbench.models.plates:prepare"

    def __init__(self, reads: pl.DataFrame, *, zone: str = "UTC", spot: float = 150.0) -> None:
        if not 10 <= spot <= 5000:
            raise BadInput(f"spot={spot!r} m does not do; give 10 to 5,000 metres, e.g. 150.")
        schema.require(reads, "plate", "reader", "read_at", "lon", "lat", what="The reads frame")
        self.frame, self.zone, self.options = reads, zone, {"zone": zone, "spot": spot}
        moments = schema.utc(reads.select("read_at"), ["read_at"])["read_at"]
        if len(reads):
            local(moments[0], zone)
        where, self.spots, ok = _spots(reads, spot)
        ok &= reads["plate"].is_not_null().to_numpy() & moments.is_not_null().to_numpy()
        self.placeless = int(len(reads) - ok.sum())
        rows = np.flatnonzero(ok).astype(np.uint32)
        names = reads["plate"].gather(rows)
        self.plates = names.unique().sort()
        code = names.cast(pl.Enum(self.plates)).to_physical().to_numpy().astype(np.uint32)
        at = moments.dt.epoch("us").gather(rows).to_numpy() // 1_000_000
        order = np.lexsort((code, at, where[rows]))
        self.plate, self.spot, self.at, self.row = code[order], where[rows][order], at[order], rows[order]

    def __len__(self) -> int:
        return len(self.at)

    def code(self, plate: str) -> int | None:
        """The number of a plate in any spelling; None where it was never read. O(log P)."""
        wanted = plates.normal(plate)
        i = int(self.plates.search_sorted(wanted)) if len(self.plates) else 0
        return i if i < len(self.plates) and self.plates[i] == wanted else None

    @cached_property
    def by_plate(self) -> tuple[Ints, Codes]:
        """(first, reads): the reads of plate p, in order of time, are ``reads[first[p]:first[p + 1]]`` (positions in the arrays)."""
        order = np.lexsort((self.at, self.plate)).astype(np.uint32)
        return np.concatenate([[0], np.cumsum(np.bincount(self.plate, minlength=len(self.plates)))]).astype(np.int64), order

    @cached_property
    def by_spot(self) -> Ints:
        """first: the reads at spot s are at ``first[s]:first[s + 1]``."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.spot, minlength=len(self.spots)))]).astype(np.int64)

    @cached_property
    def local_at(self) -> Ints:
        """Seconds since 1970 of the wall clock in ``zone``: // 86,400 is the local day, % 86,400 the second of that day."""
        hours, which = np.unique(self.at // 900, return_inverse=True)  # offsets change on quarters of an hour
        wall = pl.Series(hours * 900_000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(self.zone).dt.replace_time_zone(None).dt.epoch("s").to_numpy()
        out: Ints = self.at + (wall - hours * 900)[which.ravel()]
        return out


def _spots(reads: pl.DataFrame, metres: float) -> tuple[Codes, pl.DataFrame, Any]:
    """The spot of each read, the spots, and which reads have one."""
    moving = reads["moving"].fill_null(False).to_numpy() if "moving" in reads.columns else np.zeros(len(reads), dtype=bool)
    lon, lat = positions(reads)
    placed = np.isfinite(lon) & np.isfinite(lat)
    cell = np.full(len(reads), -1, dtype=np.int64)
    if (moving & placed).any():
        on = moving & placed
        x, y = Plane.local(float(np.median(lat[on])), float(np.median(lon[on]))).to_metres(lon[on], lat[on])
        cell[on] = (np.floor(x / metres).astype(np.int64) << 32) + (np.floor(y / metres).astype(np.int64) + (1 << 31))
    frame = pl.DataFrame({"reader": reads["reader"], "cell": cell, "moving": moving, "lon": lon, "lat": lat})
    key = frame.select(pl.when("moving").then(pl.lit("")).otherwise(pl.col("reader")).alias("who"), "cell", "reader", "lon", "lat", "moving")
    spots = (
        key.group_by("who", "cell")
        .agg(pl.col("reader").min(), pl.col("lon").fill_nan(None).median(), pl.col("lat").fill_nan(None).median(), pl.col("moving").first())
        .sort("who", "cell")
        .with_row_index("spot")
    )
    where = key.join(spots.select("who", "cell", "spot"), on=["who", "cell"], how="left", maintain_order="left")["spot"].to_numpy().astype(np.uint32)
    ok = reads["reader"].is_not_null().to_numpy() & (~moving | placed)
    return where, spots.select("spot", "reader", "lon", "lat", "moving"), ok

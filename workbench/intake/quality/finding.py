"""One finding about the rows of a table, and what every check looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import CannotTell
from workbench.geo import Floats, Grid, Ints, Polygon, positions
from workbench.schema import Table

#: How bad a finding is, worst first.
LEVELS = ("bad", "doubt", "fine")
#: Share of the area that a hotspot map marks; what a fault does to it is told by how many of those cells change.
MARKED = 0.02


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: its name, a few words.
        level: "bad", "doubt" or "fine".
        rows: row numbers in the frame, in order.
        says: the finding as a sentence, with its figures.
        effect: what it would do to a hotspot map, a sentence; "" = nothing.
        placed: whether the rows' places are worth a look.
    """

    check: str
    level: str
    rows: Ints
    says: str
    effect: str = ""
    placed: bool = False


@dataclass(frozen=True)
class Looked:
    """The rows looked at, and what all checks need of them."""

    frame: pl.DataFrame = field(repr=False)
    about: Table
    zone: str
    area: Polygon | None
    given: Grid | None
    asof: datetime | None

    @cached_property
    def local(self) -> pl.Series | None:
        """The table's time as local wall clock without zone; None where the table has no time."""
        time = self.about.time
        if not time or time not in self.frame.columns:
            return None
        return self.frame[time].dt.convert_time_zone(self.zone).dt.replace_time_zone(None)

    @cached_property
    def precise(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Rows whose time is known to the minute, as far as the row says."""
        if "time_precision" not in self.frame.columns:
            return np.ones(self.frame.height, dtype=bool)
        return self.frame["time_precision"].is_null().to_numpy()

    @cached_property
    def placed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Rows with a position."""
        if "lon" not in self.frame.columns or "lat" not in self.frame.columns:
            return np.zeros(self.frame.height, dtype=bool)
        lon, lat = positions(self.frame)
        return np.isfinite(lon) & np.isfinite(lat)

    @cached_property
    def grid(self) -> Grid | None:
        """The cells on which effects are told; None where no row has a position."""
        if self.given is not None:
            return self.given
        if not self.placed.any():
            return None
        lon, lat = positions(self.frame)
        ok = self.placed
        low, high = ([float(np.quantile(v[ok], q)) for v in (lon, lat)] for q in (0.001, 0.999))
        near = pl.Series(ok) & pl.col("lon").is_between(low[0], high[0]) & pl.col("lat").is_between(low[1], high[1])
        middle = pl.DataFrame({"lon": lon, "lat": lat}).filter(near)
        try:
            return Grid.over(self.area, cell=250.0) if self.area is not None else Grid.around(middle, cell=250.0)
        except CannotTell:
            return None

    @cached_property
    def cells(self) -> Ints:
        """Cell of each row, -1 without one."""
        return self.grid.locate(self.frame) if self.grid is not None else np.full(self.frame.height, -1, dtype=np.int64)

    @cached_property
    def counts(self) -> Ints:
        """Rows by cell."""
        return self._counted(np.ones(self.frame.height, dtype=bool))

    def _counted(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Ints:
        used = self.cells[keep & (self.cells >= 0)]
        return np.bincount(used, minlength=len(self.grid) if self.grid is not None else 0).astype(np.int64)

    def top(self, counts: Any) -> set[int]:
        """The cells that a map of counts would mark."""
        if self.grid is None or not counts.any():
            return set()
        k = max(1, int(MARKED * self.grid.n_inside))
        order = np.lexsort((np.arange(len(counts)), -counts))[:k]
        return {int(c) for c in order if counts[c] > 0}

    def without(self, rows: Ints) -> str:
        """What leaving these rows out would change on a map of counts, as a sentence; "" where nothing would."""
        keep = np.ones(self.frame.height, dtype=bool)
        keep[rows] = False
        before, after = self.top(self.counts), self.top(self._counted(keep))
        changed = len(before - after)
        if not before or not changed:
            return "No marked cell of a hotspot map rests on them."
        return f"{changed} of the {len(before)} cells that a hotspot map would mark (2 % of the area) are marked because of them."

    def share(self, column: Floats | Ints, wanted: Any) -> float:
        """Share of values equal to one."""
        return float(np.mean(column == wanted)) if len(column) else 0.0


def percent(part: float, whole: float) -> str:
    """A share as text: "12.3 %", "under 0.1 %", "none"."""
    value = 100 * part / whole if whole else 0.0
    return f"{value:.1f} %" if value >= 0.1 else "under 0.1 %" if value else "none"

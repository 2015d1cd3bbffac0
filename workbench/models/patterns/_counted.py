"""Pairs of incidents by distance and time band: as they are, as chance would have them, and as permutations of the times give them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Ints
from workbench.models.patterns import _knox, _pairs
from workbench.models.patterns._knox import Bands
from workbench.models.patterns._permuted import counts
from workbench.models.patterns._placed import Placed, days, drawn, strata
from workbench.models.wording import rounded

_DAY = 86_400_000_000
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted.

    Args:
        table: pairs by distance band, time band and permutation (the observed order first), means over the draws of uncertain times.
        expected: exact mean, or with ``keep`` the mean of the permutations; ``exact`` moments where there are any.
        near: observed, expected, p and closed-form p of the same place and the first distance band together, in the first time band.
        close: the pairs counted there; ``range``: the middle 90 % of their number over the draws.
    """

    table: Floats
    expected: Floats
    exact: _knox.Moments | None
    simulated: tuple[Floats, Floats, Floats, Floats] | None
    near: tuple[float, float, float, float]
    days: bool
    notes: tuple[str, ...]
    close: tuple[Ints, Ints]
    range: tuple[float, float] | None

    @property
    def observed(self) -> Floats:
        """Pairs by distance and time band as they are."""
        return self.table[..., 0]


@dataclass(frozen=True)
class How:
    """The options of ``near_repeat.knox`` that say how pairs are counted."""

    metric: str = "euclidean"
    pairs: Any = None
    whole_days: bool | None = None
    keep: str | None = None
    aoristic: int = 0
    permutations: int = 999
    seed: int = 1
    zone: str = "UTC"
    threads: int | None = None


def counted(ready: Placed, incidents: pl.DataFrame, layout: Bands, how: How) -> Counted:
    """Count, expect, permute.

    Raises:
        CannotTell: no two incidents lie within the last distance. BadInput: options that do not go together.
    """
    permutations, draws, n = whole(how.permutations, "permutations", 0), whole(how.aoristic, "aoristic", 0), len(ready)
    whole(how.seed, "seed", 0)
    banded, place = _links(ready, incidents, layout, how.metric, how.pairs)
    if not banded.sizes.sum():
        raise CannotTell(f"No two of the {n:,} incidents lie within {layout.metres[-1]:,.10g} m of each other; use longer distances or more incidents.")
    moments = drawn(ready.start, ready.end, draws, how.seed) if draws else ready.start[None]
    by_day = not (layout.spans % _DAY).any() if how.whole_days is None else how.whole_days
    if by_day and (layout.spans % _DAY).any():
        raise BadInput("whole_days=True needs time bands of whole days, e.g. '7d'; leave it out to compare the time elapsed.")
    times, below = _ticks(days(moments, how.zone) if by_day else moments, layout, by_day)
    kept = strata(ready.start, how.zone, how.keep)
    found = counts(banded, place, times, below[1:], strata=kept, permutations=permutations, seed=how.seed, threads=how.threads)
    table = np.diff(found, axis=2, prepend=0)
    space = banded.links(n)
    time = [_knox.time_links(row, below[1:]) for row in times]
    if layout.open:
        table = _knox.opened(table, space.sum(axis=1) // 2, np.array([links.sum(axis=1) // 2 for links in time]), n)
    mean = table.mean(axis=0)
    exact = _exact(space, time, layout, n) if how.keep is None else None
    if exact is None and not permutations:
        raise BadInput(f"keep={how.keep!r} has no closed form; give permutations=999.")
    simulated = _knox.chances(mean) if permutations else None
    expected = exact.mean if exact is not None else mean[..., 1:].mean(axis=-1)
    usable = exact if not draws else None  # the variance of a mean over draws has no closed form
    near = _near(mean, expected, space, time, 2 if layout.same and len(space) > 1 else 1, n, bool(permutations), usable is not None)
    spread = (float(np.quantile(_first(table, layout)[:, 0], 0.05)), float(np.quantile(_first(table, layout)[:, 0], 0.95))) if draws else None
    close = _closest(banded, place, times[0], int(below[1]), 2 if layout.same and len(space) > 1 else 1)
    return Counted(mean, expected, usable, simulated, near, by_day, _windows(ready, layout, draws, how.keep, near), close, spread)


def _first(table: Any, layout: Bands) -> Any:
    """Pairs in the first time band at the same place or in the first distance band, shape (draws, permutations + 1)."""
    return table[:, : 2 if layout.same and table.shape[1] > 1 else 1, 0].sum(axis=1)


def _near(whole: Floats, expected: Floats, space: Ints, time: list[Ints], rows: int, n: int, simulated: bool,
          exact: bool) -> tuple[float, float, float, float]:
    together = whole[:rows, 0].sum(axis=0)
    closed = math.nan
    if exact:
        one = _knox.moments(space[:rows].sum(axis=0)[None], time[0][:1])
        closed = float(_knox.tail(np.array([[together[0]]]), one)[0, 0])
    p = float((together >= together[0] - 1e-9).mean()) if simulated else math.nan
    return float(together[0]), float(expected[:rows, 0].sum()), p, closed


def _exact(space: Ints, time: list[Ints], layout: Bands, n: int) -> _knox.Moments:
    """Moments of every band (means over the draws), those of the bands without an end from what is left over."""
    if layout.open:
        space = np.concatenate([space, (n - 1 - space.sum(axis=0))[None]])
        time = [np.concatenate([links, (n - 1 - links.sum(axis=0))[None]]) for links in time]
    each = [_knox.moments(space, links) for links in time]
    return _knox.Moments(np.mean([m.mean for m in each], axis=0), np.mean([m.variance for m in each], axis=0))


def _links(ready: Placed, incidents: pl.DataFrame, layout: Bands, metric: str, pairs: Any) -> tuple[_pairs.Banded, Ints]:
    """Pairs by distance band and the place of each incident in them."""
    n = len(ready)
    if pairs is None:
        banded, order = _pairs.banded(ready.x, ready.y, layout.cuts, metric)
        place = np.empty(n, dtype=np.int64)
        place[order] = np.arange(n)
        return banded, place
    names = ("lon", "lat") if ready.plane is not None else ("x", "y")
    lon, lat = (incidents[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in names)
    got = _pairs.given(pairs, lon, lat, float(layout.cuts[-1]))
    slot = np.full(ready.looked, -1, dtype=np.int32)
    slot[ready.rows] = np.arange(n, dtype=np.int32)
    i, j = slot[got.i], slot[got.j]
    both = (i >= 0) & (j >= 0)
    return _pairs.by_band(_pairs.Pairs(i[both], j[both], got.metres[both]), layout.cuts, n), np.arange(n, dtype=np.int64)


def _ticks(moments: Ints, layout: Bands, by_day: bool) -> tuple[Ints, Ints]:
    """Times as whole numbers from 0 and the bands' ends as ``difference < end``, in the largest unit in which all are whole."""
    spans = layout.spans // _DAY if by_day else layout.spans
    times = moments - moments.min()
    unit = int(np.gcd(np.gcd.reduce(times, axis=None), np.gcd.reduce(spans))) or 1
    below = spans // unit + (layout.closed == "right")
    return times // unit, below


def _closest(banded: _pairs.Banded, place: Ints, times: Ints, below: int, rows: int) -> tuple[Ints, Ints]:
    """The pairs of the closest band, as numbers of incidents."""
    back = np.empty(len(place), dtype=np.int64)
    back[place] = np.arange(len(place))
    at = times[back]
    found = [(back[:0], back[:0])]
    for start, size in zip(banded.starts[:rows], banded.sizes[:rows], strict=True):
        for low in range(int(start), int(start + size), _CHUNK):
            i, j = (ends[low : min(low + _CHUNK, int(start + size))] for ends in (banded.i, banded.j))
            soon = np.abs(at[i] - at[j]) < below
            found.append((back[i[soon]], back[j[soon]]))
    return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])


def _windows(ready: Placed, layout: Bands, draws: int, keep: str | None, near: tuple[float, float, float, float]) -> tuple[str, ...]:
    notes = []
    wide = int((ready.end - ready.start > layout.spans[1]).sum())
    if wide and not draws:
        notes.append(f"{wide:,} incidents have a window longer than the first time band and count at its beginning; aoristic=20 carries the uncertainty.")
    if not math.isnan(near[3]):
        notes.append(f"First answer, before any simulation: {near[0]:,.10g} pairs in the closest bands, {near[1]:,.1f} expected, "
                     f"p {rounded(near[3])} (closed form).")
    if keep is not None:
        notes.append(f"Times change places only among incidents of the same {keep}; expected is the mean of the permutations, no closed form."
                     + (" Within one year that keeps most of what lasts for weeks, so the ratio is a lower one." if keep != "weekday" else ""))
    notes.append("An excess says that incidents follow each other more closely than their places and times alone explain; "
                 "it does not say that anybody is the same.")
    return tuple(notes)


def whole(value: int, what: str, least: int) -> int:
    """A whole number of at least ``least``.

    Raises:
        BadInput: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{what}={value!r} does not do; give a whole number of at least {least}.")
    return value

"""After an incident, do more follow close by and soon than chance would give, how far and how long does it last, and where is that now?

``knox`` counts pairs of incidents by distance and time band against what the same places and the same times would give if they had nothing to do with
each other: exactly (mean and variance under permutation, the first answer) and by simulation. ``classify`` and ``chains`` say which incidents follow which;
``zones`` gives the places that are under raised risk at a moment, and for how long yet.

Method: Knox, *Applied Statistics* 13, 1964, 25-30 (doi 10.2307/2985220); exact moments: Barton and David in *Research Papers in Statistics: Festschrift for
J. Neyman*, 1966, 259-273, and Kulldorff and Hjalmars, *Biometrics* 55, 1999, 544-552 (doi 10.1111/j.0006-341X.1999.00544.x); Monte Carlo on crime:
Johnson et al., *J. Quantitative Criminology* 23, 2007, 201-219 (doi 10.1007/s10940-007-9025-3); bands of the Near Repeat Calculator: Ratcliffe 2009
(manual), and Steenbeek 2019 (R package NearRepeat, vignette NRC) for what version 1.3 really counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Ints
from workbench.layers import Areas, Lines, Points
from workbench.models import window
from workbench.models.patterns import _chains, _knox, _pairs
from workbench.models.patterns._knox import Bands
from workbench.models.patterns._pairs import Source
from workbench.models.patterns._permuted import counts
from workbench.models.patterns._placed import Placed, days, drawn, placed, strata
from workbench.models.wording import local, several
from workbench.results import Basis, Ranking, Result, origin_of, recorded

SOURCE = "Knox 1964; Barton and David 1966; Kulldorff and Hjalmars 1999; Johnson et al. 2007"
CALCULATOR = "near repeat calculator"
_DAY = 86_400_000_000
_DRAWN = 500  # pairs or zones on the map
_SURE = 0.05


@recorded
def knox(
    incidents: pl.DataFrame,
    *,
    distances: Sequence[float] = (100, 200, 300, 400, 500),
    times: Sequence[window.Span] = ("7d", "14d", "21d", "28d"),
    same_place: float | None = 0.01,
    closed: str = "left",
    metric: str = "euclidean",
    pairs: Source | tuple[Any, Any, Any] | None = None,
    convention: str | None = None,
    whole_days: bool | None = None,
    keep: str | None = None,
    aoristic: int = 0,
    permutations: int = 999,
    seed: int = 1,
    asof: window.Moment | None = None,
    zone: str = "UTC",
    crs: str | None = None,
    threads: int | None = None,
) -> Result:
    """Are incidents that are close in space also close in time, more often than chance would have it?

    Args:
        incidents: started_at with lon, lat (or x, y in metres); ended_at for ``aoristic``.
        distances: upper ends of the distance bands, metres, from 0.
        times: upper ends of the time bands, from 0.
        same_place: incidents less than this many metres apart are at the same place, a band of its own; None = no such band.
        closed: which end a band holds: "left" (100 <= d < 200) or "right" (100 < d <= 200); so for times too.
        metric: "euclidean" or "manhattan" on the metre plane.
        pairs: distances from elsewhere, e.g. along streets: three arrays (row i, row j, metres) with each pair once up to the last distance, or a
            function (lon, lat, radius) -> such arrays (x, y for a frame in metres). Rows are counted in the order of ``incidents``, of all rows given.
        convention: "near repeat calculator" counts as its version 1.3 does: whole days, bands that hold their lower end, and a last band without end;
            ``calculator_distance`` and ``calculator_time`` then are what it calls each band, one off from what the band holds.
        whole_days: compare calendar days of ``zone`` (default where every time band is whole days) or the time elapsed.
        keep: "weekday", "month" or "season": times change places only among incidents of the same one, so that a place's own rhythm is no near repeat.
        aoristic: draws of each time within its window started_at..ended_at (20 will do); the counts are means over the draws, which are permuted together.
        permutations: of the times; 0 = the closed form alone. The least p is 1 / (permutations + 1).
        seed: of permutations and draws.
        asof: nothing known at or after it is used; None = all rows.
        zone: of calendar days and weekdays.
        crs: a projected CRS for distances; None = a metre plane about the incidents.
        threads: None = as many as the machine gives; the answer is the same.

    Returns: a Result; one row a distance and time band: observed and expected pairs (exact mean under permutation; with ``keep`` or open ends of it the mean
    of the permutations), ratio, low and high (middle 90 % of the permutations), first_sd and first_p (closed form), p (one-sided, ties counted, the observed
    order among the permutations), q (false discovery rate over the bands), p_any (largest excess over all bands, Westfall and Young).

    Raises:
        CannotTell: under 10 incidents can be used, all at one address or one time, or no two within the last distance.
        BadInput: bands, columns or options that cannot be used.

    Cost: O(pairs within the last distance x permutations x time bands); 20,000 incidents with 20 million pairs take about 5 CPU seconds.
    """
    layout = _layout(distances, times, same_place, closed, convention)
    ready = placed(incidents, asof=asof, crs=crs)
    count = _whole(permutations, "permutations", 0), _whole(aoristic, "aoristic", 0)
    made = _counted(ready, incidents, layout, metric, pairs, convention, whole_days, keep, count, seed, zone, threads)
    table = _knox.frame(layout, made.observed, made.expected, made.exact, made.simulated)
    if convention is not None:
        table = table.with_columns(_calculator(layout))
    notes = [*ready.notes, *made.notes, _ends(layout, made.days)]
    basis = Basis.of(
        incidents, method=f"Knox test, {metric if pairs is None else 'given'} distances, {permutations} permutations of the times", source=SOURCE,
        used=len(ready), time="started_at", asof=None if asof is None else window.moment(asof), notes=tuple(notes),
        parameters={"distances": list(distances), "times": [_knox.named(s) for s in layout.spans[1:]], "same_place": same_place, "closed": layout.closed,
                    "convention": convention, "whole_days": made.days, "keep": keep, "aoristic": aoristic, "seed": seed, "crs": crs, "zone": zone})
    return Result(headline=_headline(made, layout), table=table, layers=_drawn(ready, layout, made), basis=basis, base=origin_of(incidents).base)


def first(incidents: pl.DataFrame, **options: Any) -> Result:
    """The closed form alone, at once: ``knox`` with ``permutations=0``; the same options, raises and table (p, q, p_any, low and high are empty)."""
    made: Result = knox(incidents, **{**options, "permutations": 0})
    return made


@dataclass(frozen=True, eq=False)
class _Counted:
    observed: Floats
    expected: Floats
    exact: _knox.Moments | None
    simulated: tuple[Floats, Floats, Floats, Floats] | None
    near: tuple[float, float, float, float]  # the same place and the first distance band in the first time band: observed, expected, p, low..high share
    days: bool
    notes: tuple[str, ...]
    close: tuple[Ints, Ints]
    range: tuple[float, float] | None


def _counted(ready: Placed, incidents: pl.DataFrame, layout: Bands, metric: str, pairs: Any, convention: str | None, whole_days: bool | None, keep: str | None,
             count: tuple[int, int], seed: int, zone: str, threads: int | None) -> _Counted:
    (permutations, draws), n = count, len(ready)
    banded, place = _links(ready, incidents, layout, metric, pairs)
    if not banded.sizes.sum():
        raise CannotTell(f"No two of the {n:,} incidents lie within {layout.metres[-1]:,.10g} m of each other; use longer distances or more incidents.")
    moments = drawn(ready.start, ready.end, draws, seed) if draws else ready.start[None]
    by_day = not (layout.spans % _DAY).any() if whole_days is None else whole_days
    if by_day and (layout.spans % _DAY).any():
        raise BadInput("whole_days=True needs time bands of whole days, e.g. '7d'; leave it out to compare the time elapsed.")
    times, below = _ticks(days(moments, zone) if by_day else moments, layout, by_day)
    kept = strata(ready.start, zone, keep)
    found = counts(banded, place, times, below[1:], strata=kept, permutations=permutations, seed=seed, threads=threads)
    table = np.diff(found, axis=2, prepend=0)
    space = banded.links(n)
    time = [_knox.time_links(row, below[1:]) for row in times]
    if layout.open:
        table = _knox.opened(table, space.sum(axis=1) // 2, np.array([links.sum(axis=1) // 2 for links in time]), n)
    whole = table.mean(axis=0)
    exact = _exact(space, time, layout, n) if keep is None else None
    if exact is None and not permutations:
        raise BadInput(f"keep={keep!r} has no closed form; give permutations=999.")
    simulated = _knox.chances(whole) if permutations else None
    expected = exact.mean if exact is not None else whole[..., 1:].mean(axis=-1)
    usable = exact if not draws else None  # the variance of a mean over draws has no closed form
    near = _near(table, whole, expected, space, time, 2 if layout.same and len(space) > 1 else 1, n, bool(permutations), usable is not None)
    spread = (float(np.quantile(_first(table, layout)[:, 0], 0.05)), float(np.quantile(_first(table, layout)[:, 0], 0.95))) if draws else None
    close = _closest(banded, place, times[0], int(below[1]), 2 if layout.same and len(space) > 1 else 1)
    return _Counted(whole[..., 0], expected, usable, simulated, near, by_day, _windows(ready, layout, draws, keep, near), close, spread)


def _first(table: Any, layout: Bands) -> Any:
    """Pairs in the first time band at the same place or in the first distance band, shape (draws, permutations + 1)."""
    return table[:, : 2 if layout.same and table.shape[1] > 1 else 1, 0].sum(axis=1)


def _near(table: Any, whole: Floats, expected: Floats, space: Ints, time: list[Ints], rows: int, n: int, simulated: bool,
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


def _layout(distances: Sequence[float], times: Sequence[window.Span], same_place: float | None, closed: str, convention: str | None) -> Bands:
    if convention is None:
        return _knox.bands(distances, times, same_place, closed, unbounded=False)
    if convention != CALCULATOR:
        raise BadInput(f"convention {convention!r} is not known; write {CALCULATOR!r} or None.")
    made = _knox.bands(distances, times, 0.01, "left", unbounded=True)
    widths = np.diff(np.concatenate([[0.0], made.metres[2:]]))
    if np.ptp(widths) > 1e-6 or np.ptp(np.diff(made.spans)) or (made.spans % _DAY).any():
        raise BadInput("The Near Repeat Calculator knows bands of equal width and whole days only, e.g. distances=(100, 200, 300), times=('7d', '14d', '21d').")
    return made


def _calculator(layout: Bands) -> list[pl.Series]:
    """What version 1.3 of the Near Repeat Calculator calls each band: "101 to 200" holds 100 <= d < 200, "8 to 14" holds 7 to 13 days."""
    far, late = layout.metres[2:], layout.spans[1:] // _DAY
    rows = ["Same location", *(f"{a + 1:.10g} to {b:.10g}" for a, b in zip([0.0, *far[:-1]], far, strict=True)), f"More than {far[-1]:.10g}"]
    columns = [f"{a + 1 if k else 0} to {b}" for k, (a, b) in enumerate(zip([0, *late[:-1]], late, strict=True))] + [f"More than {late[-1]}"]
    return [pl.Series("calculator_distance", np.repeat(rows, len(columns))), pl.Series("calculator_time", np.tile(columns, len(rows)))]


def _closest(banded: _pairs.Banded, place: Ints, times: Ints, below: int, rows: int) -> tuple[Ints, Ints]:
    """The pairs of the closest band, as numbers of incidents."""
    back = np.empty(len(place), dtype=np.int64)
    back[place] = np.arange(len(place))
    held = np.concatenate([np.arange(a, a + size) for a, size in zip(banded.starts[:rows], banded.sizes[:rows], strict=True)])
    i, j = back[banded.i[held]], back[banded.j[held]]
    soon = np.abs(times[i] - times[j]) < below
    return i[soon], j[soon]


def _headline(made: _Counted, layout: Bands) -> str:
    observed, expected, p, closed = made.near
    where = f"Within {layout.metres[2 if layout.same and len(layout.metres) > 2 else 1]:,.10g} m and {_knox.named(layout.spans[1])}"
    if expected <= 0:
        return f"{where}: {several(round(observed), 'pair')} of incidents, and chance would give none; the records are too few for a ratio."
    sure = p if not math.isnan(p) else closed
    told = "no p, since times are uncertain and nothing was permuted" if math.isnan(sure) else f"p = {_rounded(sure)}" + ("" if not math.isnan(p) else ", closed form")
    draws = "" if made.range is None else f" ({made.range[0]:,.0f} to {made.range[1]:,.0f} as the true times within their windows may be)"
    pairs = f"{observed:,.10g}" if made.range is None else f"{observed:,.1f}"
    body = f"{pairs} pairs of incidents{draws}, {expected:,.1f} expected."
    if not sure <= _SURE:
        return f"{where}: {observed / expected:.1f} times chance, which is not more than chance can give ({told}); {body}"
    same = ""
    if layout.same and len(layout.metres) > 2 and made.expected[0, 0] > 0 and made.observed[0, 0] >= 5:
        same = f" At the same place alone: {made.observed[0, 0] / made.expected[0, 0]:.1f} times."
    return f"{where}: {observed / expected:.1f} times chance ({told}); {body}{same}"


def _rounded(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "under 0.001"


def _ends(layout: Bands, by_day: bool) -> str:
    low = "their lower end and not their upper" if layout.closed == "left" else "their upper end and not their lower"
    return f"Bands hold {low}; times are {'calendar days apart' if by_day else 'time elapsed'}."


def _windows(ready: Placed, layout: Bands, draws: int, keep: str | None, near: tuple[float, float, float, float]) -> tuple[str, ...]:
    notes = []
    wide = int((ready.end - ready.start > layout.spans[1]).sum())
    if wide and not draws:
        notes.append(f"{wide:,} incidents have a window longer than the first time band and count at its beginning; aoristic=20 carries the uncertainty.")
    if not math.isnan(near[3]):
        notes.append(f"First answer, before any simulation: {near[0]:,.10g} pairs in the closest bands, {near[1]:,.1f} expected, p = {_rounded(near[3])} (closed form).")
    if keep is not None:
        notes.append(f"Times change places only among incidents of the same {keep}; expected is the mean of the permutations, no closed form.")
    notes.append("An excess says that incidents follow each other more closely than their places and times alone explain; it does not say that anybody is the same.")
    return tuple(notes)


def _drawn(ready: Placed, layout: Bands, made: _Counted) -> tuple[Lines | Points, ...]:
    if ready.plane is None:
        return ()
    i, j = made.close
    newest = np.argsort(-np.maximum(ready.start[i], ready.start[j]), kind="stable")[:_DRAWN]
    names = ready.links()
    paths = tuple(np.array([[ready.lon[a], ready.lat[a]], [ready.lon[b], ready.lat[b]]]) for a, b in zip(i[newest], j[newest], strict=True))
    tips = tuple(f"{names[a]} and {names[b]}" for a, b in zip(i[newest], j[newest], strict=True))
    return (Lines("Closest pairs", paths, tips=tips, role="link"),) if paths else ()


def _whole(value: int, what: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{what}={value!r} does not do; give a whole number of at least {least}.")
    return value

"""After an incident, do more follow close by and soon than chance would give, how far and how long does it last, and where is that now?

``knox`` counts pairs of incidents by distance and time band against what the same places and the same times would give if they had nothing to do with
each other: exactly (mean and variance under permutation, the first answer) and by simulation. ``classify`` and ``chains`` say which incidents follow which;
``zones`` gives the places that are under raised risk at a moment, and for how long yet.

Method: Knox, *Applied Statistics* 13, 1964, 25-29 (doi 10.2307/2985220); exact moments: D. E. Barton and F. N. David, "The random intersection of two
graphs", in *Research Papers in Statistics: Festschrift for J. Neyman*, 1966; growth that differs from place to place looks like repeats: Kulldorff and
Hjalmars, *Biometrics* 55, 1999, 544-552 (doi 10.1111/j.0006-341X.1999.00544.x); Monte Carlo on crime: Johnson et al., *J. Quantitative Criminology* 23,
2007, 201-219 (doi 10.1007/s10940-007-9025-3); bands of the Near Repeat Calculator: Ratcliffe 2009 (manual), and Steenbeek 2019 (R package NearRepeat,
vignette NRC) for what version 1.3 really counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.layers import Lines
from workbench.models import window
from workbench.models.patterns import _knox
from workbench.models.patterns._along import Along
from workbench.models.patterns._counted import Counted, How, counted
from workbench.models.patterns._knox import Bands
from workbench.models.patterns._pairs import Source
from workbench.models.patterns._placed import Placed, placed
from workbench.models.patterns.repeats import chains, classify
from workbench.models.patterns.zones import zones
from workbench.models.wording import rounded, several
from workbench.results import Basis, Result, origin_of, recorded

__all__ = ["CALCULATOR", "chains", "classify", "first", "knox", "zones"]
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
    streets: pl.DataFrame | None = None,
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
        streets: the table ``streets``: distances are along them, incidents on their nearest one (over 100 m from any: in no pair).
        pairs: distances from elsewhere: three arrays (row i, row j, metres) with each pair once up to the last distance, or a
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

    Cost: O(pairs within the last distance x permutations x time bands); measured in benchmarks/RESULTS.md.
    """
    layout = _layout(distances, times, same_place, closed, convention)
    ready = placed(incidents, asof=asof, crs=crs)
    if streets is not None and pairs is not None:
        raise BadInput("Give streets or pairs, not both: each says what the distances are.")
    along = None if streets is None else Along(streets)
    pairs = along or pairs
    made = counted(ready, incidents, layout, How(metric, pairs, whole_days, keep, aoristic, permutations, seed, zone, threads))
    table = _knox.frame(layout, made.observed, made.expected, made.exact, made.simulated)
    if convention is not None:
        table = table.with_columns(_calculator(layout))
    notes = [*ready.notes, *made.notes, _ends(layout, made.days)]
    if along is not None and along.far:
        notes.append(f"{several(along.far, 'incident')} lie over {along.limit:g} m from any street and are in no pair.")
    kind = "street" if along is not None else metric if pairs is None else "given"
    basis = Basis.of(
        *([incidents] if streets is None else [incidents, streets]),
        method=f"Knox test, {kind} distances, {permutations} permutations of the times", source=SOURCE, used=len(ready),
        time="started_at", asof=None if asof is None else window.moment(asof), notes=tuple(notes),
        parameters={"distances": list(distances), "times": [_knox.named(s) for s in layout.spans[1:]], "same_place": same_place, "closed": layout.closed,
                    "convention": convention, "whole_days": made.days, "keep": keep, "aoristic": aoristic, "seed": seed, "crs": crs, "zone": zone})
    return Result(headline=_headline(made, layout), table=table, layers=_drawn(ready, made), basis=basis, base=origin_of(incidents).base)


def first(incidents: pl.DataFrame, **options: Any) -> Result:
    """The closed form alone, at once: ``knox`` with ``permutations=0``; the same options, raises and table (p, q, p_any, low and high are empty)."""
    made: Result = knox(incidents, **{**options, "permutations": 0})
    return made


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


def _headline(made: Counted, layout: Bands) -> str:
    observed, expected, p, closed = made.near
    where = f"Within {layout.metres[2 if layout.same and len(layout.metres) > 2 else 1]:,.10g} m and {_knox.named(layout.spans[1])}"
    if expected <= 0:
        return f"{where}: {several(round(observed), 'pair')} of incidents, and chance would give none; the records are too few for a ratio."
    sure = p if not math.isnan(p) else closed
    told = f"p {rounded(sure)}" + ("" if not math.isnan(p) else ", closed form")
    if math.isnan(sure):
        told = "no p, since times are uncertain and nothing was permuted"
    draws = "" if made.range is None else f" ({made.range[0]:,.0f} to {made.range[1]:,.0f} as the true times within their windows may be)"
    pairs = f"{observed:,.10g}" if made.range is None else f"{observed:,.1f}"
    body = f"{pairs} pairs of incidents{draws}, {expected:,.1f} expected."
    if not sure <= _SURE:
        return f"{where}: {_times(observed / expected)}, which is not more than chance can give ({told}); {body}"
    same = ""
    if layout.same and len(layout.metres) > 2 and made.expected[0, 0] > 0 and made.observed[0, 0] >= 5:
        same = f" At the same place alone: {made.observed[0, 0] / made.expected[0, 0]:.1f} times."
    return f"{where}: {_times(observed / expected)} ({told}); {body}{same}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times chance" if 0.95 <= ratio < 1.05 else f"{ratio:.1f} times chance"


def _ends(layout: Bands, by_day: bool) -> str:
    low = "their lower end and not their upper" if layout.closed == "left" else "their upper end and not their lower"
    return f"Bands hold {low}; times are {'calendar days apart' if by_day else 'time elapsed'}."


def _drawn(ready: Placed, made: Counted) -> tuple[Lines, ...]:
    if ready.plane is None:
        return ()
    i, j = made.close
    newest = np.argsort(-np.maximum(ready.start[i], ready.start[j]), kind="stable")[:_DRAWN]
    names = ready.links()
    paths = tuple(np.array([[ready.lon[a], ready.lat[a]], [ready.lon[b], ready.lat[b]]]) for a, b in zip(i[newest], j[newest], strict=True))
    tips = tuple(f"{names[a]} and {names[b]}" for a, b in zip(i[newest], j[newest], strict=True))
    return (Lines("Closest pairs", paths, tips=tips, role="link"),) if paths else ()

"""Which places lie among high counts, and which among low ones, beyond what a random rearrangement of the counts would give?

Gi* of a place compares the sum of its own and its neighbours' counts with what the whole area would lead one to expect (J. K. Ord and A. Getis, "Local
spatial autocorrelation statistics", *Geographical Analysis* 27, 1995, 286-306, doi:10.1111/j.1538-4632.1995.tb00912.x). Local Moran's I tells a place that is
like its neighbours from one that is not (L. Anselin, "Local indicators of spatial association - LISA", *Geographical Analysis* 27, 1995, 93-115,
doi:10.1111/j.1538-4632.1995.tb00338.x). Both are judged by conditional permutation: the place keeps its count, all others are shuffled. For counts that
law is computed exactly (``_local``), or simulated. Many places are judged at once, so what is claimed is held to a false discovery rate (M. Caldas de Castro
and B. H. Singer, "Controlling the false discovery rate", *Geographical Analysis* 38, 2006, 180-208, doi:10.1111/j.0016-7363.2006.00682.x; Y. Benjamini and
Y. Hochberg, *JRSS B* 57, 1995, 289-300).

Weights are binary. Row-standardised ones would change neither z nor p, for they only scale a place's sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints, Polygon, locate, positions
from workbench.layers import Areas, Cells, Layer
from workbench.models.hotspots import _local
from workbench.models.patterns.expected import adjusted
from workbench.models.window import Moment, Span, known_before, moment, past, span
from workbench.models.wording import said
from workbench.results import Basis, Result, origin_of, recorded

TITLE = "Local statistics"
Places = Grid | Mapping[str, Polygon]
_FEWEST, _LEAST = 9, 10
_DRAWN = 10_000
_MORAN = {(True, True): "high-high", (False, False): "low-low", (True, False): "high-low", (False, True): "low-high"}


@recorded
def getis(incidents: pl.DataFrame, places: Places, asof: Moment, *, window: Span = "365d", weights: str = "queen", distance: float | None = None,
          star: bool = True, permutations: int | None = None, rate: float = 0.05, seed: int = 0, threads: int | None = None) -> Result:
    """Hot and cold places by Getis and Ord's Gi* (or Gi), at a false discovery rate.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        places: a Grid, or areas by name (``geo.boundaries.on_day``).
        asof, window: only what was known before, and how far back.
        weights: "queen" (side or corner shared), "rook" (side shared) or "distance" (middles within ``distance`` metres).
        star: the place's own count is part of its sum (Gi*); else the neighbours alone (Gi).
        permutations: None = the exact conditional permutation law (999 simulated where it would cost too much); a number = so many simulated.
        rate: share of chance findings accepted among the places claimed.
        seed, threads: of the simulation; the answer is the same for any number of threads.

    Returns: a Result; its table has a row a place: cell or area, lon, lat (cells), counted, neighbours, statistic ("Gi*"), z (against the normal law), p
    (two-sided, equal sums counted on both sides), q (Benjamini-Hochberg), class ("hot", "cold", "").

    Raises:
        CannotTell: under 10 incidents or 9 places, all places alike, or as ``window.past``. BadInput: options out of range.

    Cost: O(places x neighbours) and the law, which depends on the largest count (40,000 or 160,000 cells: 0.3 s).
    """
    return _asked(incidents, places, asof, window, weights, distance, permutations, rate, seed, threads, "Gi*" if star else "Gi",
                  lambda j, values: (np.where(j.high < j.low, "hot", "cold"), j.star if star else j.gi, j.star if star else j.gi))


@recorded
def moran(incidents: pl.DataFrame, places: Places, asof: Moment, *, window: Span = "365d", weights: str = "queen", distance: float | None = None,
          permutations: int | None = None, rate: float = 0.05, seed: int = 0, threads: int | None = None) -> Result:
    """Local Moran's I: places like their neighbours (high-high, low-low) and unlike them (high-low, low-high), at a false discovery rate.

    Arguments, errors and cost as for ``getis``; the class says the place's own count first, then its neighbours'. ``statistic`` is I_i with row-standardised
    weights and n - 1 above (as in esda), z the conditional one. The p-values are those of Gi: both statistics turn on the neighbours' sum alone.
    """
    def classes(j: _local.Judged, values: Floats) -> tuple[Any, Floats, Floats]:
        up, about = values > values.mean(), j.high < j.low
        names = np.array(["low-low", "low-high", "high-low", "high-high"])
        return names[2 * up + about], j.moran, np.where(up, j.gi, -j.gi)

    return _asked(incidents, places, asof, window, weights, distance, permutations, rate, seed, threads, "I", classes)


@dataclass(frozen=True, eq=False)
class _Sites:
    """Counted places: what each is called, its count, and the sum and number of its neighbours."""

    values: Floats
    sums: Floats
    sizes: Ints
    cells: Ints | None
    used: int
    asof: datetime
    notes: tuple[str, ...]


def _asked(incidents: pl.DataFrame, places: Places, asof: Moment, window: Span, weights: str, distance: float | None, permutations: int | None, rate: float,
           seed: int, threads: int | None, name: str, classes: Callable[[_local.Judged, Floats], tuple[Any, Floats, Floats]]) -> Result:
    if not 0 < rate < 1:
        raise BadInput(f"rate={rate!r} does not do; give a share between 0 and 1, e.g. 0.05.")
    if permutations is not None and (isinstance(permutations, bool) or not isinstance(permutations, int) or not 19 <= permutations <= 99_999):
        raise BadInput(f"permutations={permutations!r} does not do; give None for the exact law, or a whole number from 19 to 99,999.")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    if isinstance(places, Grid):
        sites = _cells(incidents, places, asof, window, weights, distance)
    else:
        sites = _areas(incidents, places, asof, window, weights, distance)
    if len(sites.values) < _FEWEST:
        raise CannotTell(f"There are {len(sites.values)} places; at least {_FEWEST} are needed to compare one with the others: use smaller cells or areas.")
    if np.ptp(sites.values) == 0:
        raise CannotTell(f"All {len(sites.values):,} places have the same count ({sites.values[0]:g}), so none stands out; use a longer window.")
    judged = _local.judge(sites.values, sites.sums, sites.sizes, permutations=permutations, seed=seed, threads=threads)
    kinds, statistic, z = classes(judged, sites.values)
    q = np.ones(len(judged.p))
    able = sites.sizes > 0
    q[able] = adjusted(judged.p[able])
    kind = np.where(able & (q <= rate), kinds, "")
    alone = int((~able).sum())
    notes = (*sites.notes, *((f"{alone:,} places without a neighbour are not judged.",) if alone else ()))
    return Result(
        headline=_headline(kind, name, rate, sites.used, "cells" if isinstance(places, Grid) else "areas"),
        table=_table(places, sites, name, statistic, z, judged.p, q, kind),
        layers=_layers(places, sites, name, z, judged.p, kind), base=origin_of(incidents).base,
        basis=Basis.of(
            incidents, method=f"local {name}, {judged.how}, two-sided, false discovery rate {100 * rate:g} %", time="started_at", used=sites.used,
            asof=sites.asof, source="Ord and Getis 1995; Anselin 1995; Caldas de Castro and Singer 2006; Benjamini and Hochberg 1995", notes=notes,
            parameters={"window": said(span(window)), "weights": f"{weights}, binary", "distance": distance, "permutations": permutations, "rate": rate,
                        "seed": seed, "places": len(sites.values)}))


def _cells(incidents: pl.DataFrame, grid: Grid, asof: Moment, window: Span, weights: str, distance: float | None) -> _Sites:
    steps = _local.offsets(weights, distance, grid.cell)
    before = past(incidents, grid, asof, window, least=_LEAST)
    values = np.bincount(before.cell, minlength=len(grid)).astype(float)
    sums, sizes = _local.over_grid(values, grid, steps)
    cells = np.flatnonzero(grid.inside).astype(np.int64)
    return _Sites(values[cells], sums[cells], sizes[cells], cells, len(before), before.asof, before.notes)


def _areas(incidents: pl.DataFrame, areas: Mapping[str, Polygon], asof: Moment, window: Span, weights: str, distance: float | None) -> _Sites:
    if not areas:
        raise CannotTell("There is no area to count in; give a Grid or areas by name.")
    at, length = moment(asof), span(window)
    known = known_before(incidents, at).filter(pl.col("started_at") >= at - length)
    if known.is_empty():
        raise CannotTell(f"Nothing was known in the {said(length)} before {at:%Y-%m-%d %H:%M} UTC; choose a later asof or a longer window.")
    lon, lat = positions(known)
    polygons = list(areas.values())
    found = locate(polygons, lon, lat)
    used, unplaced = int((found >= 0).sum()), int((~np.isfinite(lon + lat)).sum())
    if used < _LEAST:
        raise CannotTell(f"{used} of {len(known):,} incidents of the {said(length)} before {at:%Y-%m-%d} lie in one of the {len(polygons)} areas "
                         f"({unplaced:,} have no position); at least {_LEAST} are needed: use a longer window or a wider offence group.")
    values = np.bincount(found[found >= 0], minlength=len(polygons)).astype(float)
    one, other = _local.pairs_of_areas(polygons, weights, distance)
    sums = np.bincount(one, weights=values[other], minlength=len(polygons)).astype(float)
    sizes = np.bincount(one, minlength=len(polygons)).astype(np.int64)
    lost = len(known) - used
    notes = (f"{lost:,} of {len(known):,} incidents have no position or lie in no area; they are not counted.",) if lost else ()
    return _Sites(values, sums, sizes, None, used, at, notes)


def _headline(kind: Any, name: str, rate: float, used: int, what: str) -> str:
    risk = f"at {100 * rate:g} % false discovery rate ({name}, {used:,} incidents)"
    many = {k: int((kind == k).sum()) for k in (("hot", "cold") if name != "I" else tuple(_MORAN.values()))}
    if not any(many.values()):
        return f"None of {len(kind):,} {what} stands out {risk}: counts as uneven as these arise when they are shuffled."
    told = ", ".join(f"{n:,} {k}" for k, n in many.items() if n)
    return f"Of {len(kind):,} {what}, {told} {risk}."


def _table(places: Places, sites: _Sites, name: str, statistic: Floats, z: Floats, p: Floats, q: Floats, kind: Any) -> pl.DataFrame:
    columns: dict[str, Any]
    if isinstance(places, Grid):
        lon, lat = places.centres()
        columns = {"cell": sites.cells, "lon": lon[sites.cells], "lat": lat[sites.cells]}
    else:
        columns = {"area": list(places)}
    columns |= {"counted": sites.values.astype(np.int64), "neighbours": sites.sizes, "neighbours_counted": sites.sums.astype(np.int64), name: statistic,
                "z": z, "p": p, "q": q, "class": kind}
    return pl.DataFrame(columns).with_row_index("at").sort(pl.col("class") == "", "p", "at").drop("at")


def _layers(places: Places, sites: _Sites, name: str, z: Floats, p: Floats, kind: Any) -> tuple[Layer, ...]:
    claimed = np.flatnonzero(kind != "")
    if not len(claimed):
        return ()
    drawn = np.sort(claimed[np.argsort(p[claimed], kind="stable")[:_DRAWN]])
    tips = tuple(f"{kind[i]}: {sites.values[i]:g} counted, {sites.sums[i]:g} in {sites.sizes[i]} neighbours, p = {p[i]:.2g}" for i in drawn)
    if isinstance(places, Grid) and sites.cells is not None:
        cells = sites.cells[drawn]
        return (Cells(f"Local {name}", places, cells, z[drawn], unit=f"z of {name}", tips=tips, marked=tuple(int(c) for c in cells), palette="change"),)
    names, polygons = (list(places), list(places.values())) if isinstance(places, Mapping) else ([], [])
    return (Areas(f"Local {name}", tuple(polygons[i] for i in drawn), ids=tuple(f"area:{names[i]}" for i in drawn), tips=tips,
                  values=tuple(float(v) for v in z[drawn]), unit=f"z of {name}", palette="change"),)

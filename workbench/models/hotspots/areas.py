"""How many incidents are to be expected in each beat or district, and how sure is that?

A forecast by cell is summed by area: a cell that two areas share is divided as its past incidents were, and by its size. How many in all comes from
``forecast.level``. The spread of an area's count is not the sum of its cells': whole weeks, trend and season move them together. It is therefore learnt from
what the same model would have said, by area, before each of up to 60 earlier stretches of the same length (from what was known then), and what came:
areas that were lastingly over or under are corrected, and the squared errors say how far counts swing. Sources: empirical Bayes ratios, D. G. Clayton,
J. Kaldor, Biometrics 43, 1987, 671-681, doi:10.2307/2532003; negative binomial counts with both variance terms, A. C. Cameron, P. K. Trivedi,
*Regression Analysis of Count Data*, 2nd ed. 2013, section 3.3; rolling origins, L. J. Tashman, International Journal of Forecasting 16, 2000, 437-450,
doi:10.1016/S0169-2070(00)00065-0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints
from workbench.geo.boundaries import on_day
from workbench.geo.join import locate
from workbench.geo.polygon import Polygon
from workbench.layers import Areas, Layer
from workbench.models import chance, forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _area_record, counts
from workbench.models.hotspots._area_record import Judged, Split
from workbench.models.hotspots._folds import Fast, Model, fast
from workbench.models.level import Level
from workbench.models.window import Past, past
from workbench.models.wording import local, said, several
from workbench.results import Basis, Result, Surface, origin_of, recorded

_MOST = 60  # earlier stretches looked at
_POINTS = 4  # points along a cell's side by which it is divided


@recorded
def expected(
    surface: Surface, areas: pl.DataFrame | Sequence[str | None], incidents: pl.DataFrame, *, model: Model | None = None, kind: str = "beat",
    level: float = 0.9, zone: str = "UTC"
) -> Result:
    """Expected counts by area with intervals, from a forecast by cell.

    Args:
        surface: the forecast; its grid, asof and horizon hold.
        areas: the table ``boundaries`` (kind, name, valid_from, valid_to, geometry; the map of asof's day is taken), or for each cell of the grid the name
            of its area, None for none.
        incidents: those the forecast was made of, with as much of their past as there is: a year and some 20 stretches give good intervals.
        model: what the forecast was made by, e.g. ``functools.partial(kde.surface, bandwidth=300)`` or a ``backtest.Quick``; its earlier errors are
            looked at. None = those of recent counts by cell (half-life 90 days) stand in for them.
        kind: which map of ``areas``.
        level: share of cases that an interval is to hold.
        zone: zone of the times in the sentence.

    Returns: a Result. ``table``: rank, area, expected, lower, upper, factor (of the area's own record), counted (in the stretch of the same length
    before asof), most expected first.

    Raises:
        CannotTell: no area lies on the grid, or nothing was known before asof.
        BadInput: labels of another length than the grid, a model that has no estimate, a level out of range.
        NotFound: no map of that kind.

    Cost: up to 60 estimates of the model, and 3 ms for the level of each.
    """
    if not 0 < level < 1:
        raise BadInput(f"level={level!r} does not do; give the share of cases that an interval is to hold, over 0 and under 1, e.g. 0.9.")
    way = _way(model)
    before = _whole(incidents, surface)
    names, polygons, area, split = _areas(before, surface.grid, areas, kind, surface.asof)
    record = _area_record.record(before, surface.grid, surface.horizon, split, area, way.estimate, way.window, _MOST)
    now = before.back(surface.asof, way.window)
    found = forecast.level(now, surface.horizon)
    made = forecast.levelled(now, Estimate(surface.expected, 1.0, "", {}), surface.horizon)
    judged = _area_record.judged(split.sum(made.expected), record)
    lower, upper = _area_record.interval(judged, level)
    last = area[(before.age <= surface.horizon.total_seconds()) & (area >= 0)]
    order = np.argsort(-judged.expected, kind="stable")
    table = pl.DataFrame({
        "rank": np.arange(1, len(names) + 1), "area": [names[i] for i in order], "expected": judged.expected[order], "lower": lower[order].astype(np.int64),
        "upper": upper[order].astype(np.int64), "factor": judged.factor[order], "counted": np.bincount(last, minlength=len(names))[order],
    })
    basis = _basis(surface, incidents, before, judged, found, len(record.came), level, model is None, split, made.expected)
    return Result(headline=_headline(table, kind, surface, judged, found, level, zone), table=table,
                  layers=_drawn(names, polygons, judged.expected, lower, upper, surface.horizon), basis=basis, base=origin_of(incidents).base)


def _way(model: Model | None) -> Fast:
    way = fast(functools.partial(counts.surface, half_life="90d") if model is None else model)
    if way is None:
        raise BadInput("The model has no estimate that could be asked about earlier moments; give surface of a module that has one, by keywords, e.g. "
                       "functools.partial(kde.surface, bandwidth=300), or a backtest.Quick.")
    return way


def _whole(incidents: pl.DataFrame, surface: Surface) -> Past:
    first = incidents["started_at"].min() if "started_at" in incidents.columns and len(incidents) else None
    length = surface.asof - first.astimezone(surface.asof.tzinfo) if isinstance(first, datetime) and first.tzinfo else timedelta(days=365)
    return past(incidents, surface.grid, surface.asof, max(length, timedelta(days=1)), least=1)


def _areas(before: Past, grid: Grid, areas: pl.DataFrame | Sequence[str | None], kind: str, asof: datetime) -> tuple[list[str], list[Polygon], Ints, Split]:
    """Names, outlines (none for labels), the area of each past incident and the division of the cells."""
    if isinstance(areas, pl.DataFrame):
        shapes = on_day(areas, kind, asof.date())
        names, polygons = list(shapes), list(shapes.values())
        lon, lat = before.frame["lon"].to_numpy(), before.frame["lat"].to_numpy()
        area, split = locate(polygons, lon, lat), None
        split = _divided(before, grid, polygons, area)
    else:
        labels = list(areas)
        if len(labels) != len(grid):
            raise BadInput(f"There are {len(labels)} labels for {len(grid)} cells; give the name of its area for each cell of the grid, None for none.")
        names, polygons = sorted({str(v) for v in labels if v is not None}), []
        number = {name: i for i, name in enumerate(names)}
        of = np.array([-1 if v is None else number[str(v)] for v in labels], dtype=np.int64)
        cells = np.flatnonzero((of >= 0) & grid.inside)
        area, split = of[before.cell], Split(cells, of[cells], np.ones(len(cells)), len(names))
    if not len(split.cell):
        raise CannotTell(f"None of the {several(len(names), 'area')} lies on the grid of the forecast; look at a grid that covers them.")
    return names, polygons, area, split


def _divided(before: Past, grid: Grid, polygons: list[Polygon], area: Ints) -> Split:
    """Each cell divided among areas: as its past incidents were, with the cell's own size counting as one incident more."""
    cells = np.flatnonzero(grid.inside)
    off = (np.arange(_POINTS) + 0.5) / _POINTS
    u, v = (a.ravel() for a in np.meshgrid(off, off))
    x = grid.x0 + ((cells % grid.nx)[:, None] + u[None, :]) * grid.cell
    y = grid.y0 + ((cells // grid.nx)[:, None] + v[None, :]) * grid.cell
    lon, lat = grid.plane.to_degrees(x.ravel(), y.ravel())
    at, many = locate(polygons, lon, lat), len(polygons)
    keys = np.concatenate([np.repeat(cells, _POINTS**2) * (many + 1) + at + 1, before.cell * (many + 1) + area + 1])
    weights = np.concatenate([np.full(len(at), 1.0 / _POINTS**2), np.ones(len(area))])
    pairs, place = np.unique(keys, return_inverse=True)
    part = np.bincount(place, weights=weights)
    cell, which = pairs // (many + 1), pairs % (many + 1) - 1
    part = part / (np.bincount(before.cell, minlength=len(grid))[cell] + 1)
    use = which >= 0
    return Split(cell[use], which[use], part[use], many)


def _basis(surface: Surface, incidents: pl.DataFrame, before: Past, judged: Judged, found: Level, stretches: int, level: float, stands_in: bool, split: Split,
           cells: Floats) -> Basis:
    notes = [*before.notes]
    lost = float(cells.sum()) - float(split.sum(cells).sum())
    if lost > 0.005 * max(float(cells.sum()), 1e-9):
        notes.append(f"{100 * lost / cells.sum():.1f} % of what is expected lies in no area and is in none of the rows.")
    if not judged.variance.size or stretches < _area_record._FEW:
        many = several(stretches, "earlier stretch", "earlier stretches")
        notes.append(f"Only {many} of {said(surface.horizon)} could be forecast, so intervals assume pure chance (Poisson) and may be too narrow.")
    if stands_in:
        notes.append("No model was named: the errors are those of recent counts by cell.")
    basis = Basis.of(
        incidents, method=f"sums by area of: {surface.basis.method}; total by recent level and season; interval from {stretches} earlier forecasts by area",
        source="Clayton and Kaldor 1987; Cameron and Trivedi 2013; Tashman 2000", time="started_at", used=len(before), asof=surface.asof, notes=tuple(notes),
        parameters={"horizon": said(surface.horizon), "level": level, "stretches": stretches, "common swing": round(judged.common, 5),
                    "own swing": round(judged.own, 4), "total by level": round(found.total, 2), "half-life of the level": round(min(found.half_life, 1e5), 1)},
    )
    return replace(basis, rows=len(incidents))


def _headline(table: pl.DataFrame, kind: str, surface: Surface, judged: Judged, found: Level, level: float, zone: str) -> str:
    top = table.row(0, named=True)
    total = float(judged.expected.sum())
    low, high = chance.interval(total, found.spread, level=level)
    when = f"{said(surface.horizon)} from {local(surface.asof, zone)}"
    return (f"Expect about {total:,.0f} incidents in {several(len(table), 'area')} ({kind}) in the {when} "
            f"({100 * level:g} % interval {low[0]:,.0f} to {high[0]:,.0f}), most in {top['area']}: {top['expected']:,.1f} "
            f"({top['lower']:,} to {top['upper']:,}).")


def _drawn(names: list[str], polygons: list[Polygon], values: Any, lower: Any, upper: Any, horizon: timedelta) -> tuple[Layer, ...]:
    if not polygons:
        return ()
    tips = tuple(f"{name}: {v:.1f} expected in {said(horizon)} ({a:.0f} to {b:.0f})" for name, v, a, b in zip(names, values, lower, upper, strict=True))
    return (Areas("Expected incidents by area", tuple(polygons), tuple(names), tips=tips, values=tuple(float(v) for v in values),
                  unit=f"expected incidents in {said(horizon)}"),)

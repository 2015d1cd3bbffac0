"""From expected counts by cell to a Surface: the interval, the sentence, the table and what is drawn. Shared by every hotspot model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Grid
from workbench.layers import Cells
from workbench.models import chance
from workbench.models import level as levels
from workbench.models.level import Level
from workbench.models.window import Past
from workbench.models.wording import local, said
from workbench.results import Basis, Surface, origin_of

_DRAWN = 10_000  # cells drawn at most; the others have the lowest expectation
_TOP = 0.02  # share of the area named in the sentence and outlined on the map


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a forecast says of each cell, before an interval is put about it.

    Args:
        expected: incidents over the horizon, shape (len(grid),), 0 outside the study area.
        exposure: seconds of data whose plain count would be as certain; a wider interval goes with a shorter one.
        method: the method with its chosen values, in words.
        parameters: every value with its name, JSON-able.
        notes: what limits the answer, one sentence each.
    """

    expected: Floats
    exposure: float
    method: str
    parameters: dict[str, Any]
    notes: tuple[str, ...] = ()


def level(past: Past, horizon: timedelta) -> Level:
    """How many incidents in all are to be expected over the horizon: recent level, season and weekday chosen on the past; see ``models.level``.

    It looks at the whole past known at ``past.asof``, up to six years, not only the window; nothing later. About 3 ms, and O(n) once a Past.
    """
    counts, complete = past.days
    days = horizon.total_seconds() / 86400
    broken = days - math.floor(days + 1e-9)
    share = 1.0
    if broken > 1e-9:
        hour = np.mod(-past.age[past.age < 365 * 86400], 86400.0)
        share = (float((hour < broken * 86400).sum()) + 50 * broken) / (len(hour) + 50) / broken
    return levels.level(counts, complete, days, share)


def levelled(past: Past, made: Estimate, horizon: timedelta) -> Estimate:
    """An Estimate scaled to ``level``'s total: where is the model's, how many the level's. Unchanged where nothing is expected or the past is too short."""
    found, total = level(past, horizon), float(made.expected.sum())
    if found.origins == 0 or total <= 0 or found.total <= 0:
        return made
    half = "all days alike" if found.half_life > 1000 else f"half-life {found.half_life:.0f} days"
    said = {"level": round(found.total, 3), "level half-life": round(found.half_life, 1), "level season": round(found.season, 3)}
    return replace(made, expected=made.expected * (found.total / total), method=f"{made.method}; total by recent level ({half}) and season",
                   parameters={**made.parameters, **said})


@dataclass(frozen=True)
class Swing:
    """How much counts of one horizon's length swing about their mean: dispersion of the whole area and of single cells, from ``periods`` past ones."""

    periods: int
    whole: float
    cells: float


def swing(past: Past, expected: Floats, horizon: timedelta) -> Swing:
    """Moment estimates over the window's whole periods of the horizon's length; zero dispersion (Poisson) when there are under 4. O(n log n), and O(cells)
    for every further model on the same Past."""
    periods, mean, spread, squares, cell, n = past.periods(horizon)
    if periods < 4:
        return Swing(periods, 0.0, 0.0)
    total = float(expected.sum())
    m = expected * (mean / total) if total > 0 else expected
    below = periods * float(m @ m)
    over = squares - 2 * float(n @ m[cell]) + below - periods * float(m.sum())
    return Swing(periods, spread, round(max(0.0, over / below), 6) if below > 0 else 0.0)


def dispersion(past: Past, expected: Floats, exposure: float, horizon: timedelta) -> Floats:
    """Dispersion of each cell's count about its expectation: how past periods swung, and that the expectation is itself estimated; see ``surface_of``."""
    return spread_of(expected, swing(past, expected, horizon).cells, exposure, horizon)


def spread_of(expected: Floats, cells: float, exposure: float, horizon: timedelta) -> Floats:
    """``cells + horizon / exposure / expected``, 0 for the second where nothing is expected; shape of ``expected``."""
    ratio = horizon.total_seconds() / exposure
    return np.asarray(cells + np.divide(ratio, expected, out=np.zeros_like(expected), where=expected > 0))


def told(past: Past, incidents: pl.DataFrame, grid: Grid, made: Estimate, *, horizon: timedelta, zone: str, name: str, source: str) -> Surface:
    """An Estimate as a Surface: ``surface_of`` with what the estimate says of itself."""
    return surface_of(past, incidents, grid, made.expected, horizon=horizon, exposure=made.exposure, zone=zone, name=name, method=made.method, source=source,
                      parameters=made.parameters, notes=made.notes)


def surface_of(
    past: Past,
    incidents: pl.DataFrame,
    grid: Grid,
    expected: Floats,
    *,
    horizon: timedelta,
    exposure: float,
    zone: str,
    name: str,
    method: str,
    source: str,
    parameters: dict[str, Any],
    notes: tuple[str, ...] = (),
) -> Surface:
    """Wrap expected counts as a Surface.

    The 90 % interval of a cell is that of a negative binomial count about its expectation. Its variance has three parts: chance
    (``m``), how much past periods of the horizon's length swung about the expectation (``dispersion * m**2``, moment estimate over cells
    and periods), and that the expectation is itself estimated (``m * horizon / exposure``: as if a cell's rate came from its own count
    over ``exposure`` seconds). The interval of the total is made the same way from the totals of past periods.
    """
    moves = swing(past, expected, horizon)
    total = float(expected.sum())
    ratio = horizon.total_seconds() / exposure
    lower, upper = chance.interval(expected, spread_of(expected, moves.cells, exposure, horizon))
    low, high = chance.interval(total, moves.whole * (1 + 1 / max(moves.periods, 1)) + ratio / max(total, 1e-12))
    if moves.periods < 4:
        notes = (*notes, f"The window holds only {moves.periods} periods of {said(horizon)}, so intervals assume pure chance (Poisson) and may be too narrow.")
    order = _order(grid, expected)
    top = order[: max(1, int(grid.n_inside * _TOP + 1e-9))]
    headline = _headline(grid, expected, top, (low[0], high[0]), said(horizon), local(past.asof, zone))
    basis = Basis.of(
        incidents,
        method=method,
        source=source,
        used=len(past),
        asof=past.asof,
        notes=(*past.notes, *notes),
        parameters={
            **parameters,
            "horizon": said(horizon),
            "window": said(past.window),
            "cell": f"{grid.cell:g} m",
            "periods compared": moves.periods,
            "dispersion of totals": moves.whole,
            "dispersion of cells": moves.cells,
            "seconds as certain": exposure,
        },
    )
    basis = replace(basis, span=(past.frame["started_at"][0], past.frame["started_at"][-1]))
    counted = np.bincount(past.cell, minlength=len(grid))
    return Surface(
        headline=headline,
        table=_table(grid, top, expected, lower, upper, counted),
        layers=(_cells(grid, expected, lower, upper, order, top, horizon, name),),
        basis=basis,
        base=origin_of(incidents).base,
        grid=grid,
        expected=expected,
        asof=past.asof,
        horizon=horizon,
        lower=lower,
        upper=upper,
    )


def _headline(grid: Grid, expected: Floats, top: Any, between: tuple[float, float], ahead: str, start: str) -> str:
    total = float(expected.sum())
    held = float(expected[top].sum()) / total if total > 0 else 0.0
    return (
        f"Expect about {total:,.0f} incidents in the {ahead} from {start} (90 % interval {between[0]:,.0f} to {between[1]:,.0f}); "
        f"the {100 * len(top) / grid.n_inside:.2g} % of the area where most are expected ({len(top) * grid.cell**2 / 1e6:.2g} km²) "
        f"should hold about {100 * held:.0f} % of them."
    )


def _order(grid: Grid, expected: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    inside = np.flatnonzero(grid.inside)
    return inside[np.argsort(-expected[inside], kind="stable")]


def _table(grid: Grid, top: Any, expected: Floats, lower: Floats, upper: Floats, counted: Any) -> pl.DataFrame:
    shown = top[:20]
    lon, lat = grid.plane.to_degrees(grid.x0 + (shown % grid.nx + 0.5) * grid.cell, grid.y0 + (shown // grid.nx + 0.5) * grid.cell)
    total = max(float(expected.sum()), 1e-300)
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(shown) + 1),
            "cell": shown,
            "lon": lon,
            "lat": lat,
            "expected": expected[shown],
            "lower": lower[shown],
            "upper": upper[shown],
            "counted": counted[shown],
            "share_so_far": np.cumsum(expected[shown]) / total,
        }
    )


def _cells(grid: Grid, expected: Floats, lower: Floats, upper: Floats, order: Any, top: Any, horizon: timedelta, name: str) -> Cells:
    drawn = np.sort(order[:_DRAWN])
    drawn = drawn[expected[drawn] > 0]
    tips = pl.DataFrame({"e": expected[drawn].round(3), "l": lower[drawn].astype(int), "u": upper[drawn].astype(int)}).select(
        pl.format("{} expected in " + said(horizon) + " (90 % interval {} to {})", "e", "l", "u")
    )
    return Cells(
        name,
        grid,
        drawn,
        expected[drawn],
        unit=f"expected incidents in {said(horizon)}",
        tips=tuple(tips.to_series().to_list()),
        marked=tuple(int(c) for c in top),
    )

"""Where is risk raised just now by what happened nearby just before? Prospective hotspot mapping (ProMap).

Every incident of the last weeks raises the risk of the cells around it, less the further off and the longer ago: a cell's risk is the sum of
``1 / (1 + distance) * 1 / (1 + age)`` with distance in whole half-cells from the incident to the cell's centre and age in whole weeks. Only incidents
within ``reach`` and ``memory`` count. The risks are scaled to the rate of the window. Sources: K. J. Bowers, S. D. Johnson, K. Pease, "Prospective
hot-spotting: the future of crime mapping?", British Journal of Criminology 44, 2004, 641-658, doi:10.1093/bjc/azh036; S. D. Johnson et al., "Predictive
mapping of crime by ProMap: accuracy, units of analysis, and the environmental backcloth", in Weisburd, Bernasco, Bruinsma (eds.), *Putting Crime in its
Place*, 2009, 171-198, doi:10.1007/978-0-387-09688-9_8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Surface, recorded

TITLE = "Prospective hotspots (ProMap)"

_WEEK = 7 * 86400.0
_AT_ONCE = 2_000_000  # incidents x cells worked on at once


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    reach: float = 400.0,
    memory: Span = "56d",
    distances: Sequence[float] | None = None,
    weeks: Sequence[float] | None = None,
    window: Span = "365d",
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``, by the prospective kernel of incidents known before ``asof``.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0, as do cells with no incident within reach and memory. The method was made for cells of 50 m or so.
        asof: nothing known at or after it is used; text without a zone is UTC.
        reach: metres beyond which an incident raises no risk, measured to the cell's centre (its own cell is always within reach).
        memory: age beyond which an incident raises no risk.
        distances: risk by distance band of half a cell, nearest first (the last one holds up to ``reach``); None = 1, 1/2, 1/3 ...
        weeks: risk by week of age, latest first (the last one holds up to ``memory``); None = 1, 1/2, 1/3 ...
        window: incidents of this long give the total rate.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface; the expectations sum to the window's rate times the horizon.

    Raises:
        CannotTell: under 10 incidents of the window can be placed, none of them is as recent as ``memory``, all lie at one address, nothing lies before
            asof, or the area is empty.
        BadInput: columns, times, reach or bands that cannot be used.

    Cost: O(n + incidents within memory x cells within reach).
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=10)
    made = estimate(before, grid, ahead, reach=reach, memory=memory, distances=distances, weeks=weeks)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (ProMap)",
                         source="Bowers, Johnson and Pease 2004; Johnson et al. 2009")


def estimate(
    before: Past,
    grid: Grid,
    horizon: timedelta,
    *,
    reach: float = 400.0,
    memory: Span = "56d",
    distances: Sequence[float] | None = None,
    weeks: Sequence[float] | None = None,
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. O(n + incidents within memory x cells within reach)."""
    if not (math.isfinite(reach) and reach > 0):
        raise BadInput(f"A reach of {reach!r} m does not do; give metres over 0, e.g. reach=400.")
    back = span(memory, "memory")
    risk = raised(before, grid, reach, back, _bands(distances, "distances"), _bands(weeks, "weeks"))
    total = float(risk.sum())
    if total <= 0:
        raise CannotTell(f"No incident of the {said(back)} before {before.asof:%Y-%m-%d} raises any cell's risk; use a longer memory or a wider offence group.")
    expected = risk * (len(before) * (horizon / before.length) / total)
    about = {"reach": f"{reach:g} m", "memory": said(back), "distances": "1 / (1 + half-cells)" if distances is None else [float(v) for v in distances],
             "weeks": "1 / (1 + weeks)" if weeks is None else [float(v) for v in weeks]}
    return Estimate(expected, min(back, before.length).total_seconds(), f"prospective hotspots within {reach:g} m and {said(back)}", about)


def raised(before: Past, grid: Grid, reach: float, memory: timedelta, distances: Floats | None = None, weeks: Floats | None = None) -> Floats:
    """The risk of each cell, not scaled; shape (len(grid),)."""
    first = int(np.searchsorted(-before.age, -memory.total_seconds(), side="left"))
    old = np.floor(before.age[first:] / _WEEK)
    late = 1 / (1 + old) if weeks is None else weeks[np.minimum(old.astype(np.int64), len(weeks) - 1)]
    u, v = (before.x[first:] - grid.x0) / grid.cell, (before.y[first:] - grid.y0) / grid.cell
    column, row = before.cell[first:] % grid.nx, before.cell[first:] // grid.nx
    far = math.ceil(reach / grid.cell)
    near, away = np.meshgrid(np.arange(-far, far + 1), np.arange(-far, far + 1))
    dx, dy = near.ravel(), away.ravel()
    risk = np.zeros(len(grid))
    for a in range(0, len(old), max(1, _AT_ONCE // len(dx))):
        part = slice(a, a + max(1, _AT_ONCE // len(dx)))
        i, j = column[part, None] + dx, row[part, None] + dy
        d = np.hypot(i + 0.5 - u[part, None], j + 0.5 - v[part, None])
        ok = ((d * grid.cell <= reach) | ((dx == 0) & (dy == 0))) & (i >= 0) & (i < grid.nx) & (j >= 0) & (j < grid.ny)
        halves = np.floor(2 * d[ok])
        close = 1 / (1 + halves) if distances is None else distances[np.minimum(halves.astype(np.int64), len(distances) - 1)]
        weight = close * np.broadcast_to(late[part, None], ok.shape)[ok]
        risk += np.bincount((j * grid.nx + i)[ok], weights=weight, minlength=len(grid))
    risk[~grid.inside] = 0.0
    return risk


def _bands(given: Sequence[float] | None, what: str) -> Floats | None:
    if given is None:
        return None
    values = np.asarray(given, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or values.min() < 0 or values.max() <= 0:
        raise BadInput(f"{what}={given!r} does not do; give a risk of at least 0 for each band, one of them over 0, e.g. {what}=(1, 0.5, 0.25).")
    return values

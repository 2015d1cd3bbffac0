"""Was last week's plan kept, and did what it expected come?

Beside each planned cell: how long units were there (from their positions), how many incidents came and how many were expected. Whether patrols prevented
anything it cannot say: for that there must be areas without them (``displacement``). Intervals: Garwood (1936) for what came; the forecast's own for
what was expected.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.layers import Cells
from workbench.models import chance
from workbench.models.window import Moment, Span, known_before, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Plan, Result, Surface, origin_of, recorded
from workbench.schema import require, utc

SOURCE = "PAI: Chainey, Tompson and Uhlig, Security Journal 21 (2008); dosage: Koper, Justice Quarterly 12 (1995)"


@recorded
def followed(
    plan: Plan,
    surface: Surface,
    incidents: pl.DataFrame,
    units: pl.DataFrame | None,
    asof: Moment,
    *,
    gap: Span = "5m",
    dose: Span = "15m",
    zone: str = "UTC",
) -> Result:
    """Compare a plan's cells with what came in the forecast's horizon, and with where units were.

    Args:
        plan: from ``allocate.cells`` (its cells), made from ``surface``.
        surface: the forecast the plan was made from; the time looked at is its horizon.
        incidents: the same kind of incidents as the forecast's, up to ``asof``.
        units: positions of units (unit, seen_at, lon, lat); None = where units were is not known.
        asof: nothing known later is looked at; incidents reported late are still missing.
        gap: two positions of a unit at most so far apart in time count as being there in between; the longer ones are not known.
        dose: time in a cell in a day that counts as a visit worth the name.
        zone: zone of the times in the sentence.

    Returns: a Result; its table has one row a cell: rank, cell, lon, lat, expected, lower, upper, came, minutes (of units in it, null without
    positions), days_dosed (days with at least ``dose`` in it).

    Raises:
        BadInput: a plan without cells, or of another grid. CannotTell: the horizon is not over at ``asof``, or nothing came anywhere.

    Cost: O(incidents + positions log positions).
    """
    at, start, stop = moment(asof), surface.asof, surface.asof + surface.horizon
    grid = surface.grid
    if "cell" not in plan.table.columns or plan.table.is_empty() or int(plan.table["cell"].max()) >= len(grid):  # type: ignore[arg-type]
        raise BadInput("This plan has no cells of the forecast's grid; make it with allocate.cells(surface) from the same forecast.")
    if at < stop:
        raise CannotTell(f"The plan's time ends on {local(stop, zone)}, after {local(at, zone)}; look again when it is over.")
    known = known_before(incidents, at).filter(pl.col("started_at") >= start, pl.col("started_at") < stop)
    cell = grid.locate(known)
    came, total = np.bincount(cell[cell >= 0], minlength=len(grid)).astype(float), int((cell >= 0).sum())
    if not total:
        raise CannotTell(f"No incident with a position came from {local(start, zone)} to {local(stop, zone)}, so the plan cannot be judged; "
                         "look at a longer time or a wider offence group.")
    chosen = plan.table["cell"].to_numpy()
    there = None if units is None else _presence(units, grid, start, stop, span(gap, "gap").total_seconds())
    columns: dict[str, Any] = {"rank": np.arange(1, len(chosen) + 1), "cell": chosen, "lon": plan.table["lon"], "lat": plan.table["lat"],
                               "expected": surface.expected[chosen], "lower": surface.lower[chosen] if surface.lower is not None else None,
                               "upper": surface.upper[chosen] if surface.upper is not None else None, "came": came[chosen].astype(np.int64)}
    dosed = None
    if there is not None:
        dosed = (there[:, chosen] >= span(dose, "dose").total_seconds()).sum(axis=0)
        columns |= {"minutes": there[:, chosen].sum(axis=0) / 60, "days_dosed": dosed}
    else:
        columns |= {"minutes": pl.Series([None] * len(chosen), dtype=pl.Float64), "days_dosed": pl.Series([None] * len(chosen), dtype=pl.Int64)}
    hits = float(came[chosen].sum())
    text = _headline(surface, hits, total, chosen, there, dosed, said(span(dose)), local(start, zone))
    notes = ["What came includes what patrols may have prevented or drawn out; whether they changed anything needs areas without them (patrol.displacement)."]
    if units is None:
        notes.append("No positions of units were given, so how long anybody was there is not known.")
    if (cell < 0).any():
        notes.append(f"{int((cell < 0).sum())} incidents have no position in the area and are not counted.")
    frames = (incidents,) if units is None else (incidents, units)
    basis = Basis.of(*frames, method="plan against what came, presence from positions", source=SOURCE, used=total, asof=at, notes=tuple(notes),
                     parameters={"from": start, "until": stop, "gap": gap, "dose": dose, "forecast": surface.basis.method})
    tips = tuple(f"{surface.expected[c]:.2f} expected, {came[c]:.0f} came" for c in chosen)
    layer = Cells("Planned cells", grid, chosen, came[chosen], unit="incidents that came", tips=tips, marked=tuple(int(c) for c in chosen))
    return Result(headline=text, table=pl.DataFrame(columns), layers=(layer,), basis=basis, base=origin_of(incidents).base)


def _presence(units: pl.DataFrame, grid: Grid, start: Any, stop: Any, longest: float) -> Floats:
    """Seconds that units were in each cell on each day since ``start``, shape (days, cells): between two positions, half to the cell of each."""
    require(units, "unit", "seen_at", "lon", "lat", what="units")
    rows = utc(units, ["seen_at"]).filter(pl.col("seen_at") >= start, pl.col("seen_at") < stop).sort("unit", "seen_at")
    days = max(1, math.ceil((stop - start) / timedelta(days=1)))
    out = np.zeros(days * len(grid))
    if rows.height > 1:
        cell, second = grid.locate(rows), (rows["seen_at"] - start).dt.total_microseconds().to_numpy() / 1e6
        name = rows["unit"].to_numpy()
        apart = np.diff(second)
        both = (name[1:] == name[:-1]) & (apart <= longest)
        day = np.clip(second // 86400, 0, days - 1).astype(np.int64)
        for end in (0, 1):
            c, d = (cell[:-1], day[:-1]) if end == 0 else (cell[1:], day[1:])
            use = both & (c >= 0)
            out += np.bincount(d[use] * len(grid) + c[use], apart[use] / 2, minlength=len(out))
    return out.reshape(days, len(grid))


def _headline(surface: Surface, hits: float, total: int, chosen: Any, there: Floats | None, dosed: Any, dose: str, start: str) -> str:
    n, grid = len(chosen), surface.grid
    expected = float(surface.expected[chosen].sum())
    whole = float(surface.expected.sum())
    swing = surface.basis.parameters.get("dispersion of totals", 0.0)
    low, high = chance.interval(expected, swing if isinstance(swing, float) else 0.0)
    text = (f"In the {said(surface.horizon)} from {start}, {hits:.0f} of {total} incidents came in the {several(n, 'planned cell')} "
            f"({100 * n / grid.n_inside:.2g} % of the area; PAI {hits / total / (n / grid.n_inside):.1f}); "
            f"{expected:.1f} were expected there (90 % interval {low[0]:.0f} to {high[0]:.0f})")
    if whole > 0 and not (low[0] <= hits <= high[0]):
        text += f", so {'more' if hits > high[0] else 'fewer'} came than the forecast allowed for"
    if there is not None:
        minutes = float(there[:, chosen].sum()) / 60
        days = there.shape[0]
        text += (f". Units were in them for {minutes:.0f} minutes in all; {int((dosed > 0).sum())} of {n} had at least {dose} on some day, "
                 f"{int((dosed >= days).sum())} on every day")
    return text + "."

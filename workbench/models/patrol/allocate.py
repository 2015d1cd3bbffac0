"""Where should patrols go? Cells to cover under conditions, posts to wait at, rounds with a dosage that works.

Cells: the most expected incidents for so many cells, where every area gets a least number and none more than a share; the conditions form a matroid, so
taking the best cell that is still allowed is exact (J. Edmonds, "Matroids and the greedy algorithm", Mathematical Programming 1, 1971, 127-136), and what each
condition costs is what the same plan without it would hold more. Posts: the p-median (S. L. Hakimi, Operations Research 12, 1964, 450-459), by greedy start and
interchange (M. B. Teitz, P. Bart, Operations Research 16, 1968, 955-961), with a Lagrangian bound that proves how near the best it is (G. Cornuejols, M. L.
Fisher, G. L. Nemhauser, Management Science 23, 1977, 789-810). Rounds: visits of 10 to 16 minutes at irregular times (C. S. Koper, "Just enough police
presence", Justice Quarterly 12, 1995, 649-672; C. W. Telep, R. J. Mitchell, D. Weisburd, Justice Quarterly 31, 2014, 905-933).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid, Ints, Polygon
from workbench.geo.join import locate
from workbench.layers import Areas, Cells, Layer, Points
from workbench.models.patrol import _posts, _rounds
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import said, several
from workbench.results import Basis, Plan, Surface, recorded

SOURCE = "Edmonds 1971; Hakimi 1964; Teitz and Bart 1968; Cornuejols, Fisher and Nemhauser 1977; Koper 1995"
#: Minutes of a visit after which, in Koper's data, more time on the spot bought no longer quiet.
KOPER = (10.0, 16.0)


@recorded
def cells(
    surface: Surface,
    *,
    share: float = 0.02,
    areas: Mapping[str, Polygon] | None = None,
    least: int | Mapping[str, int] = 0,
    most: float | Mapping[str, float] = 1.0,
) -> Plan:
    """The cells to cover: most expected incidents for the area, under conditions on the areas they lie in.

    Args:
        surface: a forecast.
        share: share of the study area to cover, over 0 and at most 1 (rounded down to whole cells, at least one).
        areas: beats or districts (name -> polygon), needed for conditions; a cell belongs to the area that holds its centre.
        least: cells that each area gets at least (as far as it has so many), or area -> cells.
        most: share of the plan's cells that may lie in one area, or area -> share.

    Returns: a Plan, exact under the conditions (gap 0). Its table: rank, cell, lon, lat, area, expected, lower, upper, reason ("expected" or "minimum of its
    area"); ``prices``: a row a condition with the incidents and the PAI that it costs.

    Raises:
        BadInput: shares out of range, an unknown area, or conditions that cannot all be met (with the figures).
        CannotTell: nothing is expected anywhere.

    Cost: O(cells log cells).
    """
    grid, n = surface.grid, surface.grid.n_inside
    if not 0 < share <= 1:
        raise BadInput(f"share={share!r} does not do; give a share of the area over 0 and at most 1, e.g. 0.02.")
    if not surface.expected[grid.inside].sum() > 0:
        raise CannotTell("The forecast expects nothing anywhere, so no cell is better than another; use a wider offence group or a longer window.")
    k = max(1, int(share * n + 1e-9))
    label, names = _labels(grid, areas)
    low, high = _bounds(least, most, names, np.bincount(label[grid.inside & (label >= 0)], minlength=len(names)), k, grid, label)
    chosen = _greedy(surface.expected, grid, label, low, high, k)
    free = _greedy(surface.expected, grid, label, low * 0, np.full(len(names), k), k)
    prices = _prices(surface, label, names, low, high, k, chosen)
    order = chosen[np.lexsort((chosen, -surface.expected[chosen]))]
    forced = ~np.isin(order, free)
    lon, lat = grid.centres()
    table = pl.DataFrame({"rank": np.arange(1, len(order) + 1), "cell": order, "lon": lon[order], "lat": lat[order],
                          "area": [names[i] if i >= 0 else None for i in label[order]], "expected": surface.expected[order],
                          "lower": surface.lower[order] if surface.lower is not None else np.full(len(order), np.nan),
                          "upper": surface.upper[order] if surface.upper is not None else np.full(len(order), np.nan),
                          "reason": np.where(forced, "minimum of its area", "expected").tolist()}, schema_overrides={"area": pl.String})
    held, total = float(surface.expected[chosen].sum()), float(surface.expected.sum())
    text = (f"{several(k, 'cell')} ({100 * k / n:.2g} % of the area) hold about {held:.1f} of the {total:.1f} incidents expected in {said(surface.horizon)} "
            f"(expected PAI {held / total / (k / n):.1f})")
    lost = float(surface.expected[free].sum()) - held
    text += f"; the conditions cost {lost:.1f} of them." if lost > 1e-9 else "."
    return Plan(headline=text, table=table, layers=_drawn(surface, order, areas), basis=surface.basis, base=surface.base, gap=0.0, prices=prices)


def _labels(grid: Grid, areas: Mapping[str, Polygon] | None) -> tuple[Ints, list[str]]:
    if not areas:
        return np.full(len(grid), -1, dtype=np.int64), []
    lon, lat = grid.centres()
    return np.asarray(locate(list(areas.values()), lon, lat), dtype=np.int64), list(areas)


def _bounds(least: Any, most: Any, names: list[str], size: Ints, k: int, grid: Grid, label: Ints) -> tuple[Ints, Ints]:
    if not names and (least or most != 1.0):
        raise BadInput("Conditions on areas need areas=, e.g. areas=city.agency.beats.")
    for given in (least, most):
        if isinstance(given, Mapping):
            for name in given:
                if name not in names:
                    raise BadInput(f"There is no area {name!r}.{did_you_mean(str(name), names)}")
    low = np.array([min(least.get(a, 0) if isinstance(least, Mapping) else least, s) for a, s in zip(names, size, strict=True)], dtype=np.int64)
    part = np.array([most.get(a, 1.0) if isinstance(most, Mapping) else most for a in names], dtype=float)
    if (low < 0).any() or ((part < 0) | (part > 1)).any():
        raise BadInput(f"least={least!r} with most={most!r} does not do; least is a number of cells from 0, most a share from 0 to 1.")
    high = np.minimum(np.floor(part * k + 1e-9).astype(np.int64), size)
    room = int(high.sum()) + int((grid.inside & (label < 0)).sum())
    if low.sum() > k or (low > high).any() or room < k:
        raise BadInput(f"The conditions cannot all be met with {several(k, 'cell')}: the least numbers add up to {low.sum()}, the largest allowed to {room}"
                       f"{''.join(f', and {names[i]} must have {low[i]} but may have {high[i]}' for i in np.flatnonzero(low > high)[:1])}. "
                       "Cover a larger share, or loosen least or most.")
    return low, high


def _greedy(expected: Floats, grid: Grid, label: Ints, low: Ints, high: Ints, k: int) -> Ints:
    """First each area's least, best cells first, then the best cells that are still allowed. Ties by cell number."""
    inside = np.flatnonzero(grid.inside)
    order = inside[np.lexsort((inside, -expected[inside]))]
    area = label[order]
    place = np.empty(len(order), dtype=np.int64)  # how many better cells its own area has
    by_area = np.argsort(area, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(area[by_area])) + 1] if len(order) else np.empty(0, dtype=np.int64)
    place[by_area] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    must = (area >= 0) & (place < np.r_[low, 0][area])
    may = (area < 0) | (place < np.r_[high, 0][area])
    rest = np.flatnonzero(may & ~must)[: max(0, k - int(must.sum()))]
    return order[np.sort(np.r_[np.flatnonzero(must), rest])]


def _prices(surface: Surface, label: Ints, names: list[str], low: Ints, high: Ints, k: int, chosen: Ints) -> pl.DataFrame:
    grid, expected, total = surface.grid, surface.expected, float(surface.expected.sum())
    per = total * k / grid.n_inside
    own = float(expected[chosen].sum())
    rows = []
    size = np.bincount(label[grid.inside & (label >= 0)], minlength=len(names))
    used = np.bincount(label[chosen[label[chosen] >= 0]], minlength=len(names))
    one = np.arange(len(names))
    binding = [(f"{names[i]}: at least {low[i]}", np.where(one == i, 0, low), high) for i in np.flatnonzero(low > 0)]
    binding += [(f"{names[i]}: at most {high[i]}", low, np.where(one == i, size, high)) for i in np.flatnonzero((used >= high) & (high < np.minimum(size, k)))]
    for text, a, b in binding:
        without = float(expected[_greedy(expected, grid, label, a, b, k)].sum())
        rows.append({"constraint": text, "expected_lost": max(0.0, without - own), "pai": own / per, "pai_without": max(own, without) / per})
    shape = {"constraint": pl.String(), "expected_lost": pl.Float64(), "pai": pl.Float64(), "pai_without": pl.Float64()}
    return pl.DataFrame(rows, schema=shape).sort("expected_lost", "constraint", descending=[True, False])


def _drawn(surface: Surface, order: Ints, areas: Mapping[str, Polygon] | None) -> tuple[Layer, ...]:
    tips = tuple(f"{surface.expected[c]:.2f} expected in {said(surface.horizon)}" for c in order)
    made = Cells("Cells to cover", surface.grid, order, surface.expected[order], unit=f"expected incidents in {said(surface.horizon)}", tips=tips,
                 marked=tuple(int(c) for c in order))
    return (Areas("Areas", tuple(areas.values()), tips=tuple(areas), role="beat"), made) if areas else (made,)


@recorded
def posts(surface: Surface, units: int, *, within: Span | None = None, speed: float = 8.0, detour: float = 1.3) -> Plan:
    """Where so many units should wait so that they are near what is expected.

    Args:
        surface: a forecast.
        units: how many units.
        within: None = least mean time to an expected incident (p-median); a time, e.g. "4m" = most expected incidents reached within it (maximal covering).
        speed: metres a second on the street (8 = 29 km/h).
        detour: street distance over straight distance.

    Returns: a Plan; its table has one row a post: post, lon, lat, cell, expected (incidents nearest to it), minutes (mean, of those), reached (share of all
    within the time, where given). ``gap`` is proved: no choice of posts is better by more than that share.

    Raises:
        BadInput: units, speed or detour out of range. CannotTell: nothing is expected anywhere.

    Cost: cells are merged to at most 2,500 places of demand and 900 of posts (said in the basis); about a second.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1 or not speed > 0 or not detour >= 1:
        raise BadInput(f"units={units!r}, speed={speed!r}, detour={detour!r} do not do; units from 1, metres a second over 0, detour at least 1.")
    grid = surface.grid
    if not surface.expected[grid.inside].sum() > 0:
        raise CannotTell("The forecast expects nothing anywhere, so no post is better than another; use a wider offence group or a longer window.")
    reach = span(within, "within").total_seconds() if within is not None else None
    x, y, weight, fold = _posts.demand(grid, surface.expected, 2500)
    cx, cy, cell = _posts.candidates(grid, surface.expected, 900)
    if units > len(cx):
        raise BadInput(f"{units} units are more than the {len(cx)} places for posts; use a finer grid or fewer units.")
    seconds = np.hypot(x[:, None] - cx[None, :], y[:, None] - cy[None, :]) * detour / speed
    chosen, gap = _posts.median(seconds, weight, units) if reach is None else _posts.covering(seconds <= reach, weight, units)
    nearest = seconds[:, chosen].argmin(axis=1)
    least = seconds[:, chosen].min(axis=1)
    share, minutes = np.bincount(nearest, weight, minlength=units), np.bincount(nearest, weight * least, minlength=units) / 60
    lon, lat = grid.plane.to_degrees(cx[chosen], cy[chosen])
    table = pl.DataFrame({"post": np.arange(1, units + 1), "lon": lon, "lat": lat, "cell": cell[chosen], "expected": share,
                          "minutes": np.divide(minutes, share, out=np.full(units, np.nan), where=share > 0)}).with_columns(pl.col("minutes").fill_nan(None))
    total, mean = float(weight.sum()), float((weight * least).sum() / weight.sum() / 60)
    text = f"{several(units, 'post')}: an expected incident is {mean:.1f} minutes from the nearest on average"
    if reach is not None:
        text += f", {100 * float(weight[least <= reach].sum()) / total:.0f} % of them within {said(timedelta(seconds=reach))}"
    text += f" ({3.6 * speed:.0f} km/h, streets {detour:g} times the straight way); no other choice of posts is better by more than {100 * gap:.1f} %."
    tips = tuple(f"post {i}: {e:.1f} expected incidents are nearest to it" for i, e in enumerate(share, 1))
    points = Points("Posts", lon, lat, ids=tuple(f"unit:post {i}" for i in range(1, units + 1)), tips=tips, kind="unit", numbers=tuple(range(1, units + 1)))
    basis = _with(surface, f"{'p-median' if reach is None else 'maximal covering'} by greedy start and interchange", units=units, speed=speed, detour=detour,
                  within=None if reach is None else f"{reach:g} s", merged=f"{fold} x {fold} cells a place of demand", gap=round(gap, 5))
    return Plan(headline=text, table=table, layers=(*surface.layers[:1], points), basis=basis, base=surface.base, gap=gap)


def _with(surface: Surface, method: str, **parameters: Any) -> Basis:
    return replace(surface.basis, method=f"{surface.basis.method}; {method}", source=f"{surface.basis.source}; {SOURCE}",
                   parameters={**surface.basis.parameters, **{k: v for k, v in parameters.items() if v is not None}})


@recorded
def rounds(
    plan: Plan,
    start: Moment,
    *,
    units: int = 2,
    shift: Span = "8h",
    visit: Span = "14m",
    busy: float = 0.5,
    speed: float = 8.0,
    detour: float = 1.3,
    seed: int = 0,
) -> Plan:
    """Visits for each unit over a shift: every cell of a plan again and again, in an order nobody can foresee.

    Args:
        plan: cells to cover, from ``cells``.
        start: when the shift begins (text without a zone is UTC).
        units: how many units share the cells; each gets cells near one another.
        shift: its length.
        visit: time in a cell at each visit; 10 to 16 minutes lasted longest in Koper's data, longer bought nothing.
        busy: share of the shift that calls take.
        speed, detour: as for ``posts``.
        seed: of the order.

    Returns: a Plan; its table has one row a visit: unit, visit, cell, lon, lat, from, to (UTC). The sentence says how often and how long each cell is visited.

    Raises:
        BadInput: no cells, more units than cells, or numbers out of range. CannotTell: the shift is too short for one visit.
    """
    first, length, stay = moment(start, "start"), span(shift, "shift"), span(visit, "visit")
    if "cell" not in plan.table.columns or plan.table.is_empty():
        raise BadInput("This plan has no cells to visit; make one with allocate.cells(surface).")
    if isinstance(units, bool) or not isinstance(units, int) or not 1 <= units <= plan.table.height or not 0 <= busy < 1 or not speed > 0 or not detour >= 1:
        raise BadInput(f"units={units!r}, busy={busy!r}, speed={speed!r}, detour={detour!r} do not do: 1 to {plan.table.height} units, busy from 0 to under 1, "
                       "speed over 0, detour at least 1.")
    lon, lat = plan.table["lon"].to_numpy(), plan.table["lat"].to_numpy()
    east = math.cos(math.radians(float(lat.mean()))) * 111_320.0
    x, y = lon * east, lat * 110_950.0
    team = _rounds.teams(x, y, plan.table["expected"].to_numpy(), units)
    made = _rounds.visits(x, y, team, units, length.total_seconds(), stay.total_seconds(), busy, detour / speed, seed)
    if not made:
        raise CannotTell(f"A shift of {said(length)} with {100 * busy:.0f} % of it taken by calls has no time for one visit of {said(stay)}; "
                         "choose a longer shift.")
    unit, at, begin = (np.array(c) for c in zip(*made, strict=True))
    from_ = pl.lit(first).dt.cast_time_unit("us") + pl.duration(seconds="s")
    table = pl.DataFrame({"unit": unit + 1, "cell": plan.table["cell"].to_numpy()[at], "lon": lon[at], "lat": lat[at], "s": np.round(begin).astype(np.int64)})
    table = table.with_columns(from_.alias("from"), (from_ + stay).alias("to")).sort("unit", "from").drop("s")
    table = table.with_columns(visit=pl.int_range(pl.len()).over("unit") + 1).select("unit", "visit", "cell", "lon", "lat", "from", "to")
    visits = table.group_by("cell").len()["len"].to_list()
    none = plan.table.height - len(visits)
    minutes = stay.total_seconds() / 60
    often = several(min(visits), "time") if min(visits) == max(visits) else f"{min(visits)} to {max(visits)} times"
    text = (f"{several(units, 'unit')} visit {several(len(visits), 'cell')} for {minutes:g} minutes each, {'once' if often == '1 time' else often} in "
            f"{said(length)}, {several(table.height, 'visit')} in all")
    text += f"; for {several(none, 'cell')} there is no time." if none else "."
    if not KOPER[0] <= minutes <= KOPER[1]:
        text += f" Visits of {KOPER[0]:g} to {KOPER[1]:g} minutes did best in Koper's data."
    basis = replace(plan.basis, method=f"{plan.basis.method}; visits in random order", source=f"{plan.basis.source}; Koper 1995",
                    parameters={**plan.basis.parameters, "units": units, "shift": said(length), "visit": said(stay), "busy": busy, "speed": speed,
                                "detour": detour, "seed": seed})
    return Plan(headline=text, table=table, layers=plan.layers, basis=basis, base=plan.base)

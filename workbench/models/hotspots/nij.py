"""How would these forecasts have done under the rules of the NIJ Real-Time Crime Forecasting Challenge of 2017? Small areas, five horizons, PAI and PEI.

The rules (National Institute of Justice, "Real-Time Crime Forecasting Challenge", 2016): equal cells of 62,500 to 360,000 square feet, none narrower than
125 feet; 0.25 to 0.75 square miles flagged in all; one week, two weeks, one, two and three months ahead; PAI = (n / N) / (a / A) and PEI = n / n*, with n
incidents flagged of N, a of A square feet flagged, and n* the most that as many cells could have held. Size, direction and origin of the cells, the area
and the sharpness of the scores are searched on earlier moments of the past (``_search``), never on what is forecast. PEI*: n* with the area flagged as the
cap, cells at the border cut to the study area and the last one cut to fit (the fractional knapsack).
Sources: J. M. Hunt, "Do crime hot spots move?", American University 2016 (PEI); C. Joshi, S. Curtis-Ham, C. D'Ath, D. Searle, "Considerations for developing
predictive spatial models of crime and new methods for measuring their accuracy", ISPRS International Journal of Geo-Information 10, 2021, 597,
doi:10.3390/ijgi10090597 (PEI*).
"""

from __future__ import annotations

import calendar
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Ints, Polygon
from workbench.layers import Areas
from workbench.models.hotspots import _scores, _study, kde
from workbench.models.hotspots._search import Chosen, Scorer, Shape, choose, parts, places_of
from workbench.models.hotspots._study import SQUARE_MILE, Study, study
from workbench.models.hotspots._tiles import FOOT, Sampler, Tiling, best_of, degrees
from workbench.results import Basis, Matrix, Ranking

TITLE = "NIJ challenge"
#: Square feet of a cell, feet of its shorter side at least, and square miles in all, that the rules allow.
CELL, NARROWEST, AREA = (62_500.0, 360_000.0), 125.0, (0.25, 0.75)
#: Horizons: name -> (days, months).
HORIZONS = {"1w": (7, 0), "2w": (14, 0), "1m": (0, 1), "2m": (0, 2), "3m": (0, 3)}
AIMS = ("pai", "pei")
#: Sides of the square cells that are tried, feet.
SIDES = (250.0, 300.0, 400.0, 500.0, 600.0)
_TOTALS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class Flagged:
    """The cells flagged for one category, horizon and aim; ``baselines`` the tiles of the same number by plain counts and by kernel density."""

    category: str
    horizon: str
    aim: str
    until: float
    chosen: Chosen
    tiling: Tiling
    tiles: Ints
    score: Floats
    baselines: Mapping[str, Ints] = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecast(Ranking):
    """Cells flagged by category, horizon and aim; ``table`` has a row a cell, best first within each. ``refused`` says of a category why it has none."""

    flagged: tuple[Flagged, ...]
    study: Study
    asof: float
    refused: Mapping[str, str]
    columns: Mapping[str, Any]

    def to_csv(self, path: str | Path) -> Path:
        """Write the table as CSV."""
        return _written(Path(path), self.table.write_csv())

    def to_geojson(self, path: str | Path) -> Path:
        """Write the cells as GeoJSON polygons in degrees, each with category, horizon, aim, rank and score."""
        features = []
        for f in self.flagged:
            for k, ring in enumerate(_rings(self.study, f)):
                about = {"category": f.category, "horizon": f.horizon, "aim": f.aim, "rank": k + 1, "score": round(float(f.score[k]), 8)}
                features.append({"type": "Feature", "properties": about, "geometry": {"type": "Polygon", "coordinates": [ring.round(7).tolist()]}})
        return _written(Path(path), json.dumps({"type": "FeatureCollection", "features": features}))


def forecast(
    events: pl.DataFrame, asof: str | date | datetime, *, area: Any = None, x: str = "", y: str = "", time: str = "", category: str | None = "",
    crs: str | None = None, categories: Sequence[str] | None = None, horizons: Sequence[str] = tuple(HORIZONS), aims: Sequence[str] = AIMS,
    cell: float | tuple[float, float] | None = None, total: float | None = None, everything: str | None = None, tilings: int = 24,
) -> Forecast:
    """The cells to flag by category, horizon and aim, from events before ``asof`` alone.

    Args:
        events: one row an event with a position, a date (or time; text is read) and, unless ``category`` is None, a category.
        asof: the first day forecast; events of that day and later are not looked at.
        area: the study area: Polygon(s) or GeoJSON in degrees; a number = its size in square miles; None = the convex hull of the events (stated).
        x, y, time, category: names of the columns; empty = the first there is of x/lon/longitude/x_coordinate ..., date/started_at/occ_date ..., category.
        crs: of x and y, e.g. "EPSG:3435" (feet are known by the CRS); None = degrees.
        categories: which; None = all there are before asof.
        horizons: of HORIZONS; weeks are of seven days, months those of the calendar.
        aims: "pai", "pei" or both.
        cell: side in feet, or (width, height); None = searched among SIDES.
        total: square miles to flag; None = searched: 0.25, 0.5 and 0.75.
        everything: a category to be added that holds every event, e.g. "all calls".
        tilings: directions and origins tried for the best size.

    Returns: a Forecast, a Ranking with a row a cell: category, horizon, aim, rank, score, lon, lat (middle), width_ft, height_ft, turned.

    Raises:
        BadInput: a cell or total outside the rules, a horizon, aim, category, column or CRS that cannot be used.
        CannotTell: no event before asof, or none of any category asked for.

    Cost: per category about 12 moments x 5 sizes x 6 tilings x 4 models, 10 ms each on a city of 150 square miles: some 20 s.
    """
    at = _study.day_of(asof)
    columns = _columns(events, x, y, time, category, crs)
    shapes = _shapes(cell, total)
    lengths = _lengths(at, horizons)
    _one_of("aim", aims, AIMS)
    seen = study(events, **columns, area=area, before=at)
    known = np.flatnonzero(seen.day < at)
    if not len(known):
        first = f"the first of the {len(seen.day):,} events is of {_day(float(seen.day[0])):%Y-%m-%d}" if len(seen.day) else "no event lies in the study area"
        raise CannotTell(f"Nothing is known before {_day(at):%Y-%m-%d}: {first}; choose a later asof or give earlier events.")
    there = {k: known[seen.kind[known] == i] for i, k in enumerate(seen.kinds)}
    if everything:
        there = {**there, everything: known}
    wanted = [k for k in there if len(there[k])] if categories is None else list(categories)
    for k in wanted:
        if k not in there:
            raise BadInput(f"There is no category {k!r}.{did_you_mean(k, list(there))} There are: {', '.join(sorted(there)[:12])}.")
    flagged, refused = [], {}
    for k in wanted:
        if len(there[k]) < 1:
            refused[k] = f"No event of {k!r} is known before {_day(at):%Y-%m-%d}; give earlier events of it, or a wider category."
            continue
        flagged += _flag(seen, there[k], np.setdiff1d(known, there[k]), k, at, lengths, aims, shapes, tilings)
    if not flagged:
        raise CannotTell(" ".join(refused.values()) or "No category was asked for; name at least one.")
    return _forecast(events, seen, flagged, refused, at, columns)


def score(made: Forecast, events_after: pl.DataFrame) -> Matrix:
    """What came in the cells flagged, by the challenge's rules.

    Args:
        made: what ``forecast`` gave.
        events_after: events of the same columns; those before asof or after a horizon's end do not count.

    Returns: a Matrix. ``table``: category, horizon, aim, cell (width x height, feet), turned, area_sq_mi, cells, n, N, pai, best (n*), pei, best_capped,
    pei_star, beyond (events beyond every cell), and the same n, pai and pei for the baselines on the same cells: counts (those of the last
    year, all alike) and kde. A ratio over nothing is null.
    """
    given = list(made.study.areas) if "convex" not in made.study.areas[0].name else made.study.square_metres / SQUARE_MILE
    seen = _after(events_after, made, given)
    rows = [_row(made.study, f, seen, made.asof) for f in made.flagged]
    table = pl.DataFrame(rows)
    basis = Basis.of(events_after, method="NIJ Real-Time Crime Forecasting Challenge: PAI, PEI and PEI*", source="NIJ 2016; Hunt 2016; Joshi et al. 2021",
                     parameters={"asof": f"{_day(made.asof):%Y-%m-%d}", "study area": f"{made.study.square_metres / SQUARE_MILE:.2f} square miles"},
                     notes=(*made.study.notes, *made.refused.values()))
    return Matrix(headline=_headline(table, made), table=table, layers=made.layers, basis=basis, scores=_long(table, made.asof))


def _after(events: pl.DataFrame, made: Forecast, area: Any) -> Study | None:
    try:
        return study(events, **made.columns, area=area, plane=made.study.plane)
    except CannotTell:
        return None  # nothing with a position and a date came


def challenge(events: pl.DataFrame, asof: str | date | datetime, **options: Any) -> Matrix:
    """``forecast`` from what is before ``asof`` and ``score`` on what is after; options as of ``forecast``. The table has counts and kde beside."""
    made = forecast(events, asof, **options)
    return score(made, events)


def _columns(events: pl.DataFrame, x: str, y: str, time: str, category: str | None, crs: str | None) -> dict[str, Any]:
    lower = {c.lower(): c for c in events.columns}

    def found(given: str, *names: str) -> str:
        return given or next((lower[n] for n in names if n in lower), names[0])

    east = ("lon", "longitude", "lng", "x", "x_coordinate") if crs is None else ("x", "x_coordinate", "xcoord", "x_coord", "lon", "longitude")
    north = ("lat", "latitude", "y", "y_coordinate") if crs is None else ("y", "y_coordinate", "ycoord", "y_coord", "lat", "latitude")
    named = None if category is None else found(category, "category", "offence", "offense", "primary type")
    return {"x": found(x, *east), "y": found(y, *north), "time": found(time, "date", "started_at", "occ_date", "datetime", "time"),
            "category": named if named is None or named in events.columns or category else None, "crs": crs}


def _one_of(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if isinstance(given, str) or not given:
        raise BadInput(f"The {what}s {given!r} do not do; give a list of some of {', '.join(known)}.")
    for g in given:
        if g not in known:
            raise BadInput(f"There is no {what} {g!r}.{did_you_mean(str(g), list(known))} There are: {', '.join(known)}.")


def _shapes(cell: float | tuple[float, float] | None, total: float | None) -> list[list[Shape]]:
    """Numbers of tiles to flag, by size of tile, all within the rules."""
    if total is not None and not AREA[0] - 1e-9 <= total <= AREA[1] + 1e-9:
        raise BadInput(f"A total area of {total:g} square miles is outside the rules: {AREA[0]} to {AREA[1]} square miles are flagged in all.")
    sizes = [(s, s) for s in SIDES] if cell is None else [cell if isinstance(cell, tuple) else (float(cell), float(cell))]
    found = []
    for width, height in sizes:
        if not CELL[0] - 1e-6 <= width * height <= CELL[1] + 1e-6 or min(width, height) < NARROWEST:
            raise BadInput(f"A cell of {width:g} x {height:g} feet ({width * height:,.0f} square feet) is outside the rules: {CELL[0]:,.0f} to {CELL[1]:,.0f} "
                           f"square feet, and at least {NARROWEST:g} feet across.")
        one = width * height * FOOT**2 / SQUARE_MILE
        least, most = math.ceil(AREA[0] / one - 1e-9), math.floor(AREA[1] / one + 1e-9)
        many = sorted({min(max(round(t / one), least), most) for t in (_TOTALS if total is None else (total,))})
        found.append([Shape(float(width), float(height), m) for m in many])
    return found


def _lengths(at: float, horizons: Sequence[str]) -> dict[str, float]:
    """Days from asof to the end of each horizon."""
    _one_of("horizon", horizons, tuple(HORIZONS))
    start = _day(at)
    out = {}
    for name in horizons:
        days, months = HORIZONS[name]
        month = start.month - 1 + months
        year, month = start.year + month // 12, month % 12 + 1
        end = start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1])) + timedelta(days=days)
        out[name] = (end - start).total_seconds() / 86400
    return out


def _day(days: float) -> datetime:
    return datetime(1970, 1, 1) + timedelta(days=days)


def _flag(seen: Study, own: Ints, other: Ints, name: str, at: float, lengths: dict[str, float], aims: Sequence[str], shapes: list[list[Shape]],
          ways: int) -> list[Flagged]:
    places = places_of(seen, at)
    sides = [math.sqrt(s[0].width * s[0].height) * FOOT for s in shapes]
    scorers = [Scorer(seen, own, other, at, side) for side in sides]
    found = choose(scorers, shapes, list(lengths.values()), seen.square_metres, places, ways)
    out, made = [], {}
    for h, (horizon, days) in enumerate(lengths.items()):
        for aim in aims:
            chosen = found[aim, h]
            if chosen not in made:
                made[chosen] = _place(scorers[sides.index(math.sqrt(chosen.shape.width * chosen.shape.height) * FOOT)], chosen, places, at)
            tiling, tiles, values, beside = made[chosen]
            out.append(Flagged(name, horizon, aim, at + days, chosen, tiling, tiles, values, beside))
    return out


def _place(scorer: Scorer, chosen: Chosen, places: tuple[Ints, Floats, Floats], at: float) -> tuple[Tiling, Ints, Floats, dict[str, Ints]]:
    """The tiling chosen, the tiles flagged with their scores, and those that plain counts and kernel density would flag on the same tiling."""
    which, px, py = places
    tiling = Tiling.over(px, py, chosen.shape.width * FOOT, chosen.shape.height * FOOT, chosen.turned, chosen.shift)
    seen = tiling.index(px, py)
    sampler = Sampler.of(tiling, scorer.grid, seen)
    tile, many = sampler.number(seen), chosen.shape.many
    own, other, kernels = parts(scorer.at(at, which, len(px)), tile, sampler, bool(chosen.model.lent))
    values = own + chosen.model.kept * kernels + chosen.model.lent * other
    top = best_of(values, many)
    last = scorer.own[scorer.study.day[scorer.own] >= at - 365]
    counted = np.bincount(tile[which[last]], minlength=len(sampler.tiles)).astype(float)
    beside = {"counts": sampler.tiles[best_of(counted, many)], "kde": sampler.tiles[top]}
    x, y, grid = scorer.study.x[last], scorer.study.y[last], scorer.grid
    cell = grid.index(x, y)
    x, y, cell = x[cell >= 0], y[cell >= 0], cell[cell >= 0]
    if len(cell) >= 2:
        smooth = sampler.read(kde.spread(x, y, grid, kde.likeliest(cell, grid)))
        beside["kde"] = sampler.tiles[best_of(smooth, many)]
    return tiling, sampler.tiles[top], values[top], beside


def _rings(seen: Study, f: Flagged) -> Floats:
    lon, lat = degrees(seen.plane, *f.tiling.corners(f.tiles))
    return np.stack([np.column_stack([lon, lon[:, :1]]), np.column_stack([lat, lat[:, :1]])], axis=2)


def _forecast(events: pl.DataFrame, seen: Study, flagged: list[Flagged], refused: dict[str, str], at: float, columns: dict[str, Any]) -> Forecast:
    parts = []
    for f in flagged:
        x, y = f.tiling.points(f.tiles)
        lon, lat = degrees(seen.plane, x[:, 0], y[:, 0])
        about = {"category": f.category, "horizon": f.horizon, "aim": f.aim}
        size = {"width_ft": f.chosen.shape.width, "height_ft": f.chosen.shape.height, "turned": round(f.chosen.turned, 2)}
        parts.append(pl.DataFrame({**about, "rank": np.arange(1, len(f.tiles) + 1), "score": f.score, "lon": lon, "lat": lat, **size}))
    first = flagged[0]
    rings = _rings(seen, first)
    tips = tuple(f"number {k + 1} of {len(first.tiles)}" for k in range(len(first.tiles)))
    layer = Areas(f"{first.category}, {first.horizon}, for {first.aim.upper()}", tuple(Polygon((r,)) for r in rings), tips=tips,
                  values=tuple(float(v) for v in first.score), unit="score")
    several = len({f.category for f in flagged})
    headline = (f"{len(flagged)} sets of cells for {several} categor{'y' if several == 1 else 'ies'}, as of {_day(at):%Y-%m-%d}: for {first.category}, "
                f"{first.horizon} ahead and {first.aim.upper()}, {len(first.tiles)} cells of {first.chosen.shape.width:g} x {first.chosen.shape.height:g} feet "
                f"({first.chosen.shape.square_miles:.2f} square miles), {first.chosen.why}.")
    basis = Basis.of(events, method="stacked ensemble on searched tilings, NIJ challenge rules", source="NIJ 2016; Mohler and Porter 2018",
                     parameters={"asof": f"{_day(at):%Y-%m-%d}", "study area": f"{seen.square_metres / SQUARE_MILE:.2f} square miles", **_settings(flagged)},
                     notes=(*seen.notes, *refused.values()))
    return Forecast(headline=headline, table=pl.concat(parts), layers=(layer,), basis=basis, flagged=tuple(flagged), study=seen, asof=at, refused=refused,
                    columns=columns)


def _settings(flagged: Sequence[Flagged]) -> dict[str, str]:
    return {f"{f.category} {f.horizon} {f.aim}":
            f"{f.chosen.shape.many} of {f.chosen.shape.width:g} x {f.chosen.shape.height:g} ft, turned {f.chosen.turned:.1f} degrees, kernels x "
            f"{f.chosen.model.kept:g}, other events x {f.chosen.model.lent:g}, {f.chosen.why}" for f in flagged}


def _row(past: Study, f: Flagged, seen: Study | None, at: float) -> dict[str, Any]:
    x, y = np.empty(0), np.empty(0)
    if seen is not None:
        came = (seen.day >= at) & (seen.day < f.until)
        if f.category in seen.kinds:
            came &= seen.kind == seen.kinds.index(f.category)
        elif f.category in past.kinds:
            came &= False
        x, y = seen.x[came], seen.y[came]
    return {"category": f.category, "horizon": f.horizon, "aim": f.aim, **measures(f, x, y, past)}


def measures(f: Flagged, x: Floats, y: Floats, past: Study) -> dict[str, Any]:
    """n, N, PAI, PEI and PEI* of flagged cells, from where events came (metres on the study's plane)."""
    shape = f.chosen.shape
    wide = Tiling(f.tiling.width, f.tiling.height, f.tiling.turned, f.tiling.u0, f.tiling.v0, f.tiling.nu, f.tiling.nv)
    at = wide.index(x, y)
    beyond = int((at < 0).sum())
    tiles, counts = np.unique(at[at >= 0], return_counts=True)
    n, total = int(counts[np.isin(tiles, f.tiles)].sum()), len(x)
    share = shape.square_miles * SQUARE_MILE / past.square_metres
    best = float(np.sort(counts)[::-1][: shape.many].sum())
    capped = _capped(past, f, tiles, counts)
    out: dict[str, Any] = {
        "cell": f"{shape.width:g} x {shape.height:g} ft",
        "turned": round(f.chosen.turned, 1), "area_sq_mi": round(shape.square_miles, 4), "cells": shape.many,
        "n": n, "N": total, "pai": n / total / share if total else None, "best": int(best), "pei": n / best if best else None, "best_capped": round(capped, 3),
        "pei_star": n / capped if capped else None,
    }
    for name, others in f.baselines.items():
        held = int(counts[np.isin(tiles, others)].sum())
        out |= {f"{name}_n": held, f"{name}_pai": held / total / share if total else None, f"{name}_pei": held / best if best else None}
    out["beyond"] = beyond
    return out


def _capped(past: Study, f: Flagged, tiles: Ints, counts: Any) -> float:
    """The most events that cells, those at the border cut to the study area, can hold in the area flagged, the last cell cut to fit."""
    if not len(tiles):
        return 0.0
    both = np.union1d(tiles, f.tiles)
    x, y = f.tiling.points(both, 8)
    part = np.maximum(past.inside(x, y).mean(axis=1), 1 / 64)
    return _scores.best(counts, part[np.searchsorted(both, tiles)], float(part[np.searchsorted(both, f.tiles)].sum()))


def _headline(table: pl.DataFrame, made: Forecast) -> str:
    told = table.filter(pl.col("pai").is_not_null())
    if told.is_empty():
        return f"Cannot tell: no event of the categories forecast came from {_day(made.asof):%Y-%m-%d} on; give the events of the days after it."
    parts = []
    for aim in told["aim"].unique(maintain_order=True).to_list():
        rows = told.filter(pl.col("aim") == aim)
        mine, count, smooth = (float(rows[c].mean() or 0.0) for c in (aim, f"counts_{aim}", f"kde_{aim}"))  # type: ignore[arg-type]
        parts.append(f"mean {aim.upper()} {mine:.3g} (last year's counts {count:.3g}, kernel density {smooth:.3g}, on the same cells)")
    return f"Over {len(told)} forecasts from {_day(made.asof):%Y-%m-%d}: {'; '.join(parts)}."


def _long(table: pl.DataFrame, at: float) -> pl.DataFrame:
    rows = [(model, r["category"], r["horizon"], r["aim"], measure, r[column], r["N"]) for r in table.to_dicts()
            for model, before in (("nij", ""), ("counts", "counts_"), ("kde", "kde_")) for measure in AIMS for column in (f"{before}{measure}",)]
    names = ["model", "category", "horizon", "aim", "measure", "value", "n"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.lit(_day(at)).alias("origin"))


def _written(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path

"""Where and when is the next incident of a series to be expected, and how often do such areas hold it?

The incidents of a series are taken to scatter about a middle that may drift; the area is the prediction ellipse for the next one, exact where the scatter is
normal (R. A. Johnson, D. W. Wichern, *Applied Multivariate Statistical Analysis*, 6th ed. 2007, section 7.7). With solved series given, the stated coverage
does not rest on that: the ellipse is made as large as it had to be for the next incidents of those (split conformal prediction: J. Lei et al., JASA 113, 2018,
1094-1111). The time is a prediction interval of the logarithm of the days between incidents, given that so many have already passed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Plane, Polygon, positions
from workbench.layers import Areas, Layer, Points
from workbench.models.patterns._placed import located
from workbench.models.window import Moment, known_before, moment
from workbench.models.wording import local
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require, utc

SOURCE = "Johnson and Wichern 2007, section 7.7; Lei et al., JASA 113 (2018) 1094-1111"
_FEWEST = 4
_SOLVED = 19
_STILL = 3650.0  # days: a series still for so long tells nothing of when it goes on


@recorded
def area(
    incidents: pl.DataFrame,
    series: Collection[str],
    asof: Moment,
    *,
    solved: pl.DataFrame | None = None,
    coverage: Sequence[float] = (0.5, 0.9),
    drift: bool | None = None,
    zone: str = "UTC",
) -> Result:
    """The areas and spans of time that hold the next incident with a stated coverage.

    Args:
        incidents: canonical incidents.
        series: ids of the incidents taken to be one series, at least 4 of them with a position.
        asof: nothing known later is looked at; the next one is taken to come after it.
        solved: past series (series, started_at, lon, lat), on which the coverage is made true; None, or under 19 of at least 5 incidents: it rests on
            the normal scatter, and the sentence says so.
        coverage: shares, over 0 and under 1.
        drift: whether the middle moves from one incident to the next; None = where that is certain at 1 % (F test).
        zone: zone of the times in the sentence.

    Returns: a Result; its table has one row a coverage: coverage, lon, lat (middle), square_km, half_length, half_width (metres), turned (degrees of the long
    axis anticlockwise of east), from, until (UTC; null with under 4 gaps of over an hour).

    Raises:
        BadInput: an id is not there, a coverage out of range. CannotTell: under 4 incidents with a position, or all at one address.

    Cost: O(series + solved).
    """
    at, ids = moment(asof), list(dict.fromkeys(str(s) for s in series))
    if not coverage or any(not 0 < c < 1 for c in coverage):
        raise BadInput(f"coverage={tuple(coverage)!r} does not do; give shares over 0 and under 1, e.g. (0.5, 0.9).")
    rows = _rows(incidents, ids, at)
    lon, lat = positions(rows)
    plane = Plane.local(round(float(lat.mean()), 3), round(float(lon.mean()), 3))
    xy = np.stack(plane.to_metres(lon, lat), axis=1)
    if np.ptp(xy, axis=0).max() < 1:
        raise CannotTell(f"All {len(xy)} incidents lie at the same address; the next one may be there again, and no area can be told from them.")
    moves = _moves(xy) if drift is None else drift
    middle, spread, freedom = _predicted(xy, moves)
    levels, how = _levels(solved, at, coverage, moves)
    gaps = _gaps(rows, at)
    table = pl.DataFrame([{**_ellipse(plane, middle, spread, freedom, level), "coverage": c, **_when(gaps, c, at)}
                          for c, level in zip(coverage, levels, strict=True)],
                         schema_overrides={c: pl.Datetime("us", "UTC") for c in ("from", "until")})
    table = table.select("coverage", "lon", "lat", "square_km", "half_length", "half_width", "turned", "from", "until")
    basis = Basis.of(incidents, *([] if solved is None else [solved]), method="prediction ellipse of the next incident" + (", drifting" if moves else ""),
                     source=SOURCE, used=rows.height, asof=at,
                     notes=(how, "That these incidents are one series, and that it goes on as before, is taken for granted."),
                     parameters={"series": ids, "coverage": list(coverage), "drift": moves, "levels": [round(v, 4) for v in levels]})
    return Result(headline=_headline(table, rows.height, how, zone), table=table, layers=_layers(rows, plane, middle, spread, freedom, levels, coverage),
                  basis=basis, base=origin_of(incidents).base)


def _rows(incidents: pl.DataFrame, ids: list[str], at: datetime) -> pl.DataFrame:
    require(incidents, "incident_id", "started_at", "lon", "lat", what="incidents")
    known = known_before(incidents, at).with_columns(pl.col("incident_id").cast(pl.String))
    have = set(known["incident_id"].to_list())
    for key in ids:
        if key not in have:
            raise BadInput(f"There is no incident {key!r} known before {at:%Y-%m-%d}.{did_you_mean(key, have)}")
    rows = located(known.filter(pl.col("incident_id").is_in(ids), pl.col("started_at").is_not_null())).sort("started_at", "incident_id")
    if rows.height < _FEWEST:
        raise CannotTell(f"{rows.height} incidents of the series have a position and a time; at least {_FEWEST} are needed to say where the next may be.")
    return rows


def _design(n: int, moves: bool) -> Floats:
    return np.stack([np.ones(n), np.arange(n) - (n - 1) / 2], axis=1) if moves else np.ones((n, 1))


def _moves(xy: Floats) -> bool:
    """Whether a drift is certain at 1 %: Wilks' test of a linear change of both coordinates (exact F with 2 and n - 3 degrees of freedom)."""
    n = len(xy)
    if n < 6:
        return False
    still, going = (np.linalg.det(_residual(xy, m)) for m in (False, True))
    if still <= 0 or going <= 0:
        return False
    f = (still / going - 1) * (n - 3) / 2
    return bool((1 + 2 * f / (n - 3)) ** (-(n - 3) / 2) < 0.01)


def _residual(xy: Floats, moves: bool) -> Floats:
    a = _design(len(xy), moves)
    left = xy - a @ np.linalg.lstsq(a, xy, rcond=None)[0]
    return np.asarray(left.T @ left)


def _predicted(xy: Floats, moves: bool) -> tuple[Floats, Floats, int]:
    """Middle of the next, covariance of its error (with the middle's own), degrees of freedom."""
    n, a = len(xy), _design(len(xy), moves)
    coefficients = np.linalg.lstsq(a, xy, rcond=None)[0]
    to = np.array([1.0, n - (n - 1) / 2])[: a.shape[1]]
    leverage = float(to @ np.linalg.solve(a.T @ a, to))
    freedom = n - a.shape[1]
    floor = np.eye(2) * max(1.0, 1e-6 * float(np.trace(_residual(xy, moves))) / freedom)  # a street is no line: a metre at least
    return to @ coefficients, (_residual(xy, moves) / freedom + floor) * (1 + leverage), freedom


def _radius(freedom: int, level: float) -> float:
    """Squared radius of the prediction ellipse: 2 v / (v - 1) times the level's quantile of F with 2 and v - 1 degrees of freedom (closed form)."""
    m = freedom - 1
    return 2 * freedom / m * (m / 2) * ((1 - level) ** (-2 / m) - 1)


def _level(distance: float, freedom: int) -> float:
    """The level whose ellipse just holds a point at this squared distance."""
    m = freedom - 1
    return 1 - (1 + distance / freedom) ** (-m / 2)


def _levels(solved: pl.DataFrame | None, at: datetime, coverage: Sequence[float], moves: bool) -> tuple[list[float], str]:
    normal = "The coverage rests on a normal scatter: no solved series were given to test it on."
    if solved is None:
        return list(coverage), normal
    require(solved, "series", "started_at", "lon", "lat", what="solved")
    scores = []
    past = located(utc(solved, ["started_at"]).filter(pl.col("started_at") < at))
    for part in past.sort("series", "started_at").partition_by("series", maintain_order=True):
        if part.height < _FEWEST + 1:
            continue
        lon, lat = positions(part)
        xy = np.stack(Plane.local(float(lat.mean()), float(lon.mean())).to_metres(lon, lat), axis=1)
        if np.ptp(xy[:-1], axis=0).max() >= 1:  # one score a series: its last incident from those before
            middle, spread, freedom = _predicted(xy[:-1], moves)
            off = xy[-1] - middle
            scores.append(_level(float(off @ np.linalg.solve(spread, off)), freedom))
    if len(scores) < _SOLVED:
        return list(coverage), (f"The coverage rests on a normal scatter: {len(scores)} solved series of at least 5 incidents are fewer than the {_SOLVED} "
                                "needed to test it.")
    ordered = np.sort(scores)
    levels = []
    for c in coverage:
        k = math.ceil((len(ordered) + 1) * c)
        levels.append(float(ordered[k - 1]) if k <= len(ordered) else 1 - 1e-4)
    return levels, f"The areas are as large as they had to be to hold the last incident of {len(ordered)} solved series as often as stated."


def _ellipse(plane: Plane, middle: Floats, spread: Floats, freedom: int, level: float) -> dict[str, Any]:
    values, vectors = np.linalg.eigh(spread)
    half = np.sqrt(values * _radius(freedom, level))
    lon, lat = plane.to_degrees(middle[0], middle[1])
    return {"lon": float(lon), "lat": float(lat), "square_km": math.pi * float(half.prod()) / 1e6, "half_length": float(half[1]), "half_width": float(half[0]),
            "turned": math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180}


def _gaps(rows: pl.DataFrame, at: datetime) -> tuple[Floats, datetime]:
    """Days between incidents (middles of their windows), and the last one."""
    end = pl.max_horizontal("started_at", "ended_at") if "ended_at" in rows.columns else pl.col("started_at")
    when = rows.select(m=pl.col("started_at") + (end.fill_null(pl.col("started_at")) - pl.col("started_at")) / 2)["m"].sort()
    days = np.diff(when.dt.epoch("s").to_numpy()) / 86400
    return days[days > 1 / 24], min(when[-1], at)


def _when(gaps: tuple[Floats, datetime], coverage: float, at: datetime) -> dict[str, Any]:
    """Prediction interval of the next gap on the log scale (Student), of those longer than what has already passed."""
    days, last = gaps
    if len(days) < 4 or (at - last).total_seconds() / 86400 >= _STILL:
        return {"from": None, "until": None}
    from scipy.special import stdtr, stdtrit

    log, n = np.log(days), len(days)
    mean, sd = float(log.mean()), max(float(log.std(ddof=1)), 0.05) * math.sqrt(1 + 1 / n)
    passed = max((at - last).total_seconds() / 86400, 1e-6)
    before = float(stdtr(n - 1, (math.log(passed) - mean) / sd))
    ends = [before + (1 - before) * p for p in ((1 - coverage) / 2, (1 + coverage) / 2)]
    length = [math.exp(min(mean + sd * float(stdtrit(n - 1, min(p, 1 - 1e-9))), math.log(_STILL))) for p in ends]
    return {"from": max(at, last + timedelta(days=length[0])), "until": max(at, last + timedelta(days=length[1]))}


def _headline(table: pl.DataFrame, n: int, how: str, zone: str) -> str:
    last = table.row(-1, named=True)
    text = (f"From {n} incidents: the next lies with {100 * last['coverage']:.0f} % within {last['square_km']:.2g} km² about {last['lat']:.4f}, "
            f"{last['lon']:.4f}")
    if last["from"] is not None:
        text += f", and comes between {local(last['from'], zone)} and {local(last['until'], zone)}"
    return f"{text}, if the series goes on as before. {how}"


def _layers(
    rows: pl.DataFrame, plane: Plane, middle: Floats, spread: Floats, freedom: int, levels: Sequence[float], coverage: Sequence[float]
) -> tuple[Layer, ...]:
    values, vectors = np.linalg.eigh(spread)
    turn = np.linspace(0, 2 * math.pi, 73)
    rings = []
    for c, level in sorted(zip(coverage, levels, strict=True), reverse=True):
        at = vectors @ (np.sqrt(values * _radius(freedom, level))[:, None] * np.stack([np.cos(turn), np.sin(turn)]))
        rings.append(Polygon((np.stack(plane.to_degrees(at[0] + middle[0], at[1] + middle[1]), axis=1),), f"{100 * c:.0f} % area"))
    tips = tuple(f"holds the next incident with {r.name.removesuffix(' area')}" for r in rings)
    lon, lat = positions(rows)
    ids = tuple(f"incident:{i}" for i in rows["incident_id"].to_list())
    return (Areas("Next incident", tuple(rings), tips=tips), Points("The series", lon, lat, ids=ids, numbers=tuple(range(1, rows.height + 1))))


"""Where may whoever did a series have their base (home, work, a friend's place), and how much of the city would have to be searched?

Geographic profiling: each cell gets a score from its distances to the incidents. Three ways: Rossmo's criminal geographic targeting (D. K. Rossmo,
*Geographic Profiling*, 2000, chapter 10: distance decay with a buffer, Manhattan distances), the negative exponential sum (N. Levine, *CrimeStat IV*, chapter
13), and empirical Bayes journey to crime (N. Levine, R. Block, "Bayesian journey-to-crime estimation", The Professional Geographer 63, 2011, 213-229): the
distances that solved series show, times where bases are known to lie. Which is used is decided by the hit score on solved series left out one at a time: the
share of the area that ranks above the true base. A profile is of places, and many people live in any of them: the sentence says how many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid, positions
from workbench.layers import Cells, Points
from workbench.models.patterns._placed import located
from workbench.models.window import Moment, known_before, moment
from workbench.models.wording import several
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require

SOURCE = "Rossmo 2000, chapter 10; Levine, CrimeStat IV, chapter 13; Levine and Block, The Professional Geographer 63 (2011) 213-229"
METHODS = ("rossmo", "exponential", "bayes")
_FEWEST = 3
_SOLVED = 10
_DRAWN = 10_000
Shape = Mapping[str, Any]


def rossmo(x: Floats, y: Floats, cx: Floats, cy: Floats, *, f: float = 1.2, g: float = 1.2, buffer: float | None = None) -> Floats:
    """Rossmo's score of places (cx, cy) for incidents (x, y), metres; higher is likelier. ``buffer`` None = half the mean nearest-neighbour distance.

    O(n x places).
    """
    b = buffer if buffer is not None else _buffer(x, y)
    total = np.zeros(len(cx))
    for a, c in zip(x, y, strict=True):
        d = np.maximum(np.abs(cx - a) + np.abs(cy - c), 1.0)
        with np.errstate(divide="ignore", over="ignore"):
            total += np.where(d > b, d**-f, b ** (g - f) / np.maximum(2 * b - d, 1.0) ** g)
    return total


def exponential(x: Floats, y: Floats, cx: Floats, cy: Floats, *, scale: float = 2000.0) -> Floats:
    """Sum of ``exp(-distance / scale)`` over the incidents, straight distances in metres. O(n x places)."""
    total = np.zeros(len(cx))
    for a, c in zip(x, y, strict=True):
        total += np.exp(-np.hypot(cx - a, cy - c) / scale)
    return total


def _buffer(x: Floats, y: Floats) -> float:
    d = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    np.fill_diagonal(d, np.inf)
    return max(1.0, float(d.min(axis=1).mean()) / 2) if len(x) > 1 else 1.0


def _bayes(x: Floats, y: Floats, cx: Floats, cy: Floats, *, knots: Floats, log_density: Floats, prior: Callable[[Floats, Floats], Floats]) -> Floats:
    """Log posterior: log prior plus the log density of a point at each distance, tempered since incidents are not independent."""
    total = np.log(prior(cx, cy))
    weight = 1 / math.sqrt(len(x))
    for a, c in zip(x, y, strict=True):
        total = total + weight * np.interp(np.log(np.maximum(np.hypot(cx - a, cy - c), 10.0)), knots, log_density)
    return np.asarray(total)


def _learnt(series: list[tuple[Floats, Floats, float, float]], span: float) -> dict[str, Shape]:
    """Each method's values from solved series: (x, y, base x, base y) in metres."""
    distances = np.concatenate([np.hypot(x - bx, y - by) for x, y, bx, by in series])
    weights = np.concatenate([np.full(len(x), 1 / len(x)) for x, _, _, _ in series])
    log = np.log(np.maximum(distances, 10.0))
    knots = np.linspace(math.log(10.0), math.log(max(span, 100.0)), 60)
    width = max(0.25, 1.06 * float(np.sqrt(np.average((log - np.average(log, weights=weights)) ** 2, weights=weights))) * len(series) ** -0.2)
    density = (weights * np.exp(-0.5 * ((knots[:, None] - log) / width) ** 2)).sum(axis=1) / (weights.sum() * width * math.sqrt(2 * math.pi))
    per_square = np.log(density + 1e-4) - 2 * knots  # density of log distance to density of a point: over 2 pi d^2
    bx, by = np.array([s[2] for s in series]), np.array([s[3] for s in series])
    spread = max(1000.0, 0.9 * float(np.hypot(bx.std(), by.std())) * len(series) ** (-1 / 6))

    def prior(cx: Floats, cy: Floats) -> Floats:
        made = np.zeros(len(cx))
        for a, b in zip(bx, by, strict=True):
            made += np.exp(-0.5 * ((cx - a) ** 2 + (cy - b) ** 2) / spread**2)
        return made / len(bx) + 0.05

    return {"rossmo": {}, "exponential": {"scale": float(np.average(distances, weights=weights))},
            "bayes": {"knots": knots, "log_density": per_square, "prior": prior}}


def _scores(method: str, x: Floats, y: Floats, cx: Floats, cy: Floats, shape: Shape) -> Floats:
    made: Callable[..., Floats] = {"rossmo": rossmo, "exponential": exponential, "bayes": _bayes}[method]  # type: ignore[assignment]
    return made(x, y, cx, cy, **shape)


def hit_score(scores: Floats, base: int) -> float:
    """Share of the cells that rank above the base's cell, ties counted half, the cell itself too: 0 = found at once, 0.5 = no better than chance. O(cells)."""
    return float(((scores > scores[base]).sum() + 0.5 * (scores == scores[base]).sum()) / len(scores))


@recorded
def profile(
    incidents: pl.DataFrame,
    series: Collection[str],
    grid: Grid,
    asof: Moment,
    *,
    solved: pl.DataFrame | None = None,
    homes: pl.DataFrame | None = None,
    method: str | None = None,
    share: float = 0.05,
) -> Result:
    """Rank the cells of the study area by how likely they hold the base of whoever did a series.

    Args:
        incidents: canonical incidents.
        series: ids of the incidents taken to be one series, at least 3 at different places.
        grid: the study area.
        asof: nothing known later is looked at.
        solved: solved series with their known base: series, lon, lat, base_lon, base_lat, one row an incident; None or under 10: methods are not tested and
            Rossmo's is used with its published values.
        homes: places where people live (lon, lat), e.g. the table ``addresses``, for the base rate; None = the share of the area is all that can be said.
        method: "rossmo", "exponential" or "bayes"; None = the one with the least median hit score on the solved series.
        share: share of the area named in the sentence and drawn.

    Returns: a Result; its table has one row a method: method, hit_score (median over solved series left out one at a time; null where not tested), mean, within
    (share of solved series whose base lay in ``share`` of the area), tested, used. Layers: the cells by rank, the incidents.

    Raises:
        BadInput: an id or method is not there, a share out of range, "bayes" without solved series. CannotTell: under 3 places.

    Cost: O(solved series x cells x incidents of each).
    """
    at, ids = moment(asof), list(dict.fromkeys(str(s) for s in series))
    if method is not None and method not in METHODS:
        raise BadInput(f"There is no method {method!r}; the methods are {', '.join(METHODS)}.{did_you_mean(method, METHODS)}")
    if not 0 < share < 1:
        raise BadInput(f"share={share!r} does not do; give a share of the area over 0 and under 1, e.g. 0.05.")
    rows, x, y = _placed(incidents, ids, grid, at)
    every = np.flatnonzero(grid.inside)
    cx, cy = (c[every] for c in grid.centres_metres())
    span = math.hypot(grid.nx, grid.ny) * grid.cell
    past = _past(solved, grid)
    tested = _tested(past, cx, cy, span) if len(past) >= _SOLVED else {}
    if method == "bayes" and not past:
        raise BadInput("The Bayes method learns from solved series; give solved=, or choose 'rossmo' or 'exponential'.")
    used = method or (min(tested, key=lambda m: (float(np.median(tested[m])), m)) if tested else "rossmo")
    shape = _learnt(past, span)[used] if past else {}
    scores = _scores(used, x, y, cx, cy, shape)
    k = max(1, int(share * len(every) + 1e-9))
    order = np.argsort(-scores, kind="stable")
    table = pl.DataFrame([{"method": m, "hit_score": float(np.median(tested[m])) if tested else None,
                           "mean": float(tested[m].mean()) if tested else None, "within": float((tested[m] <= share).mean()) if tested else None,
                           "tested": len(tested.get(m, ())), "used": m == used} for m in METHODS],
                         schema_overrides={c: pl.Float64() for c in ("hit_score", "mean", "within")})
    people = _living(homes, grid, every[order[:k]])
    ranks = np.empty(len(order))
    ranks[order] = 1 - np.arange(len(order)) / len(order)
    drawn = np.sort(order[:_DRAWN])
    cells = Cells("Where the base may be", grid, every[drawn], ranks[drawn], unit="rank (1 = looked at first)", marked=tuple(int(c) for c in every[order[:k]]))
    points = Points.of("The series", rows, key="incident_id")
    basis = Basis.of(incidents, *[f for f in (solved, homes) if f is not None], method=f"geographic profile ({used})", source=SOURCE, used=rows.height, asof=at,
                     notes=("It holds for those who set out from one base within the study area; commuters and pairs of offenders it leads astray.",
                            "It ranks places, not people: a base rate stands in the sentence."),
                     parameters={"series": ids, "method": used, "share": share, "solved": len(past), "cell": f"{grid.cell:g} m",
                                 **{n: round(v, 1) for n, v in shape.items() if isinstance(v, float)}})
    return Result(headline=_headline(used, tested, share, k, grid, people, rows.height), table=table, layers=(cells, points), basis=basis,
                  base=origin_of(incidents).base)


def _placed(incidents: pl.DataFrame, ids: list[str], grid: Grid, at: Any) -> tuple[pl.DataFrame, Floats, Floats]:
    require(incidents, "incident_id", "started_at", "lon", "lat", what="incidents")
    known = known_before(incidents, at).with_columns(pl.col("incident_id").cast(pl.String))
    have = set(known["incident_id"].to_list())
    for key in ids:
        if key not in have:
            raise BadInput(f"There is no incident {key!r} known before {at:%Y-%m-%d}.{did_you_mean(key, have)}")
    rows = located(known.filter(pl.col("incident_id").is_in(ids))).sort("started_at", "incident_id")
    x, y = grid.metres(rows)
    if len(np.unique(np.round(np.stack([x, y]), 0), axis=1).T) < _FEWEST:
        raise CannotTell(f"The series lies at fewer than {_FEWEST} different places, so distances from them single out no base.")
    if not grid.n_inside:
        raise CannotTell("No cell of the grid lies in the study area, so there is nowhere to look; use a larger area.")
    return rows, x, y


def _past(solved: pl.DataFrame | None, grid: Grid) -> list[tuple[Floats, Floats, float, float]]:
    """Solved series of at least 3 incidents whose base lies in the study area."""
    if solved is None:
        return []
    require(solved, "series", "lon", "lat", "base_lon", "base_lat", what="solved")
    out = []
    there = solved.with_columns(pl.col("lon", "lat", "base_lon", "base_lat").cast(pl.Float64))
    there = there.filter(pl.all_horizontal(pl.col("lon", "lat", "base_lon", "base_lat").is_finite()))
    for part in there.sort("series", "lon", "lat").partition_by("series", maintain_order=True):
        x, y = grid.plane.to_metres(*positions(part))
        bx, by = grid.plane.to_metres(part["base_lon"].to_numpy(), part["base_lat"].to_numpy())
        if part.height >= _FEWEST and grid.index(bx[:1], by[:1])[0] >= 0:
            out.append((x, y, float(bx[0]), float(by[0])))
    return out


def _tested(past: list[tuple[Floats, Floats, float, float]], cx: Floats, cy: Floats, span: float) -> dict[str, Floats]:
    """Hit scores of each method on each solved series, learnt from the others."""
    scores: dict[str, list[float]] = {m: [] for m in METHODS}
    for n, (x, y, bx, by) in enumerate(past):
        shapes = _learnt(past[:n] + past[n + 1:], span)
        base = int(np.argmin((cx - bx) ** 2 + (cy - by) ** 2))
        for m in METHODS:
            scores[m].append(hit_score(_scores(m, x, y, cx, cy, shapes[m]), base))
    return {m: np.array(v) for m, v in scores.items()}


def _living(homes: pl.DataFrame | None, grid: Grid, cells: Any) -> tuple[int, int] | None:
    if homes is None:
        return None
    at = grid.locate(homes.drop_nulls(["lon", "lat"]))
    return int(np.isin(at, cells).sum()), int((at >= 0).sum())


def _headline(used: str, tested: Mapping[str, Floats], share: float, k: int, grid: Grid, people: tuple[int, int] | None, n: int) -> str:
    size = k * grid.cell**2 / 1e6
    text = f"From {n} incidents: look first in {100 * share:g} % of the area ({size:.2g} km²; method {used})"
    if tested:
        held = float((tested[used] <= share).mean())
        low, high = _wilson(held, len(tested[used]))
        text += (f"; of {len(tested[used])} solved series {100 * held:.0f} % had their base there (95 % interval {100 * low:.0f} to {100 * high:.0f} %), and "
                 f"half within {100 * float(np.median(tested[used])):.0f} % of the area (50 % is chance)")
    else:
        text += "; how often that is right cannot be told, for no solved series were given to test it on"
    if people is not None:
        text += f". {several(people[0], 'recorded home')} of {people[1]:,} lie in it, so the place alone points at nobody"
    return text + "."


def _wilson(p: float, n: int) -> tuple[float, float]:
    z2 = 1.96**2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), 1.96 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)

"""Where is the middle of these incidents, how far and in which direction do they spread, has the middle moved, and do they lie in clusters?

Mean centre, median centre (E. Weiszfeld, *Tohoku Mathematical Journal* 43, 1937, 355-386, with the step of Y. Vardi and C.-H. Zhang, *PNAS* 97, 2000,
1423-1426, for a centre on an incident), standard distance, standard deviational ellipse (R. S. Yuill, *Geografiska Annaler B* 53, 1971, 28-39), convex
hull. The same spread is drawn by different conventions: "yuill" takes the standard deviations along the axes (over n); "arcgis" and "crimestat" are larger
by the square root of 2 (over n, and over n - 2: N. Levine, *CrimeStat* IV, 2013, chapter 4; Esri, "Directional Distribution"); "share" is the ellipse that
holds a stated share of a bivariate normal pattern. Nearest neighbours: P. J. Clark and F. C. Evans, *Ecology* 35, 1954, 445-453,
doi:10.2307/1931034; edges: K. P. Donnelly, in Hodder (ed.), *Simulation Studies in Archaeology*, 1978, 91-95; order k: H. R. Thompson, *Ecology* 37, 1956,
391-394, doi:10.2307/1933159.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Polygon
from workbench.layers import Areas, Layer, Points
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import rounded, said, several
from workbench.results import Basis, Result, origin_of, recorded

TITLE = "Centrography"
CONVENTIONS = ("yuill", "crimestat", "arcgis", "share")
_SOURCE = "Yuill 1971; Levine 2013; Weiszfeld 1937; Vardi and Zhang 2000"


@recorded
def centre(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "365d", convention: str = "share", share: float = 0.68) -> Result:
    """Middle, spread and direction of incidents.

    Args:
        incidents: started_at, lon, lat.
        grid: its cells are the study area.
        asof, window: only what was known before, and how far back.
        convention: of the ellipse, one of CONVENTIONS.
        share: of a normal pattern that the ellipse holds, with convention="share" (0.68 for bulletins).

    Returns: a Result; its table has measure, value, unit, lon, lat: mean_centre, median_centre, standard_distance, ellipse_major and ellipse_minor (half axes),
    ellipse_direction (degrees clockwise from north, 0 to 180), ellipse_area, ellipse_holds (share of the incidents), hull_area.

    Raises:
        CannotTell: under 5 incidents, or as ``window.past``. BadInput: options out of range.

    Cost: O(n log n).
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    if convention not in CONVENTIONS or not 0 < share < 1:
        raise BadInput(f"convention={convention!r} with share={share!r} does not do: choose one of {', '.join(CONVENTIONS)}, and a share between 0 and 1.")
    before = past(incidents, grid, asof, window, least=5)
    n, x, y = len(before), before.x, before.y
    mx, my = float(x.mean()), float(y.mean())
    ex, ey = median(x, y)
    distance = math.sqrt(float(np.sum((x - mx) ** 2 + (y - my) ** 2)) / n)
    major, minor, direction = ellipse(x, y, convention, share)
    turn = math.radians(direction)
    along, across = (x - mx) * math.sin(turn) + (y - my) * math.cos(turn), (x - mx) * math.cos(turn) - (y - my) * math.sin(turn)
    held = float(np.mean((along / max(major, 1e-9)) ** 2 + (across / max(minor, 1e-9)) ** 2 <= 1)) if minor > 0 else math.nan
    hull = convex(x, y)
    hx, hy = hull[:, 0], hull[:, 1]
    area = 0.5 * abs(float(np.sum(hx * np.roll(hy, -1) - hy * np.roll(hx, -1))))
    (mlon, elon), (mlat, elat) = grid.plane.to_degrees([mx, ex], [my, ey])
    rows = [("mean_centre", None, "", mlon, mlat), ("median_centre", None, "", elon, elat), ("standard_distance", distance, "m", None, None),
            ("ellipse_major", major, "m", None, None), ("ellipse_minor", minor, "m", None, None), ("ellipse_direction", direction, "degrees", None, None),
            ("ellipse_area", math.pi * major * minor / 1e6, "km2", None, None), ("ellipse_holds", held, "share", None, None),
            ("hull_area", area / 1e6, "km2", None, None)]
    table = pl.DataFrame(rows, schema={"measure": pl.String, "value": pl.Float64, "unit": pl.String, "lon": pl.Float64, "lat": pl.Float64}, orient="row")
    angle = np.linspace(0, 2 * np.pi, 73)
    a, b = major * np.cos(angle), minor * np.sin(angle)
    outline = (mx + a * math.sin(turn) + b * math.cos(turn), my + a * math.cos(turn) - b * math.sin(turn))
    shapes = [Polygon((np.column_stack(grid.plane.to_degrees(*v)),)) for v in (outline, (np.append(hx, hx[0]), np.append(hy, hy[0])))]
    layers: tuple[Layer, ...] = (
        Areas("Spread", tuple(shapes), ids=("ellipse", "hull"), tips=(f"ellipse ({convention}), half axes {major:,.0f} and {minor:,.0f} m", "convex hull")),
        Points("Centres", np.array([mlon, elon]), np.array([mlat, elat]), ids=("place:mean", "place:median"), tips=("mean centre", "median centre"),
               kind="place"))
    error = distance / math.sqrt(n)
    headline = (f"The mean centre of {n:,} incidents lies at {mlat:.4f}, {mlon:.4f} (within about {1.73 * error:,.0f} m, 95 %); they spread "
                f"{distance:,.0f} m about it, most along {direction:.0f} degrees from north "
                f"(half axes {major:,.0f} and {minor:,.0f} m, ellipse {convention!r}).")
    return Result(headline=headline, table=table, layers=layers, base=origin_of(incidents).base,
                  basis=_basis(incidents, before, "mean and median centre, standard distance, ellipse, hull", _SOURCE, convention=convention, share=share))


def median(x: Floats, y: Floats) -> tuple[float, float]:
    """The point with the least sum of distances to all others (not unique for points on one line). O(n x steps)."""
    px, py = float(np.median(x)), float(np.median(y))
    for _ in range(1000):
        d = np.hypot(x - px, y - py)
        away = d > 1e-9
        if not away.any():
            break
        w = 1 / d[away]
        tx, ty = float(np.sum(w * x[away]) / w.sum()), float(np.sum(w * y[away]) / w.sum())
        pull = math.hypot(float(np.sum(w * (x[away] - px))), float(np.sum(w * (y[away] - py))))
        stay = min(1.0, (len(x) - int(away.sum())) / pull) if pull > 0 else 1.0
        nx, ny = (1 - stay) * tx + stay * px, (1 - stay) * ty + stay * py
        moved, px, py = math.hypot(nx - px, ny - py), nx, ny
        if moved < 1e-7:
            break
    return px, py


def ellipse(x: Floats, y: Floats, convention: str, share: float = 0.68) -> tuple[float, float, float]:
    """(half major axis, half minor axis, degrees of the major axis clockwise from north in [0, 180)) by a convention; see the head of the module."""
    n = len(x)
    values, axes = np.linalg.eigh(np.cov(np.vstack([x, y]), bias=True))
    low, high = np.maximum(values, 0.0)
    factor = {"yuill": 1.0, "arcgis": 2.0, "crimestat": 2.0 * n / max(n - 2, 1), "share": -2 * math.log(1 - share) * n / max(n - 1, 1)}[convention]
    direction = math.degrees(math.atan2(axes[0, 1], axes[1, 1])) % 180
    return math.sqrt(factor * high), math.sqrt(factor * low), direction


def convex(x: Floats, y: Floats) -> Floats:
    """Corners of the convex hull anticlockwise (A. M. Andrew, *Information Processing Letters* 9, 1979, 216-219), shape (k, 2). O(n log n)."""
    points = sorted(set(zip(x.tolist(), y.tolist(), strict=True)))

    def half(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for p in ordered:
            while len(out) > 1 and (out[-1][0] - out[-2][0]) * (p[1] - out[-2][1]) <= (out[-1][1] - out[-2][1]) * (p[0] - out[-2][0]):
                out.pop()
            out.append(p)
        return out[:-1]

    return np.array(half(points) + half(points[::-1]))


@recorded
def moved(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, period: Span = "91d", periods: int = 4, draws: int = 999, seed: int = 0) -> Result:
    """The mean centre of each of some periods before asof, and how far it moved from the first to the last.

    The interval of the shift is the middle 95 % of bootstrap draws; p is from dealing the incidents of the first and last period out anew.

    Returns: a Result; its table has a row a period: first, last (UTC), incidents, lon, lat, moved (metres from the first period's), standard_distance.

    Raises:
        CannotTell: under 5 incidents in a period. BadInput: options out of range. Cost: O(n x draws).
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    step = span(period, "period")
    if any(isinstance(v, bool) or not isinstance(v, int) for v in (periods, draws)) or not 2 <= periods <= 200 or not 99 <= draws <= 99_999:
        raise BadInput(f"periods={periods!r} with draws={draws!r} does not do: give 2 to 200 periods and 99 to 99,999 draws.")
    before = past(incidents, grid, asof, periods * step, least=5 * periods)
    of = periods - np.ceil(before.age / step.total_seconds()).astype(np.int64).clip(1, periods)
    many = np.bincount(of, minlength=periods)
    if many.min() < 5:
        raise CannotTell(f"The {int(many.argmin()) + 1}. of {periods} periods of {said(step)} holds {several(int(many.min()), 'incident')}; at least 5 are "
                         "needed in each: use longer or fewer periods.")
    middle = np.array([(before.x[of == k].mean(), before.y[of == k].mean()) for k in range(periods)])
    spread = [math.sqrt(float(np.mean((before.x[of == k] - middle[k, 0]) ** 2 + (before.y[of == k] - middle[k, 1]) ** 2))) for k in range(periods)]
    ends = [np.column_stack([before.x[of == k], before.y[of == k]]) for k in (0, periods - 1)]
    shift = float(np.hypot(*(middle[-1] - middle[0])))
    rng = np.random.default_rng(seed)
    drawn = [float(np.hypot(*(ends[1][rng.integers(0, len(ends[1]), len(ends[1]))].mean(0) - ends[0][rng.integers(0, len(ends[0]), len(ends[0]))].mean(0))))
             for _ in range(draws)]
    every, cut = np.vstack(ends), len(ends[0])
    chance = []
    for _ in range(draws):
        mixed = every[rng.permutation(len(every))]
        chance.append(float(np.hypot(*(mixed[cut:].mean(0) - mixed[:cut].mean(0)))))
    p = (1 + int((np.array(chance) >= shift - 1e-9).sum())) / (draws + 1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    lon, lat = grid.plane.to_degrees(middle[:, 0], middle[:, 1])
    firsts: list[datetime] = [before.asof - (periods - k) * step for k in range(periods)]
    table = pl.DataFrame({"first": firsts, "last": [f + step for f in firsts], "incidents": many, "lon": lon, "lat": lat,
                          "moved": np.hypot(*(middle - middle[0]).T), "standard_distance": spread})
    verdict = "The mean centre moved" if p <= 0.05 else "The mean centre is not shown to have moved:"
    headline = (f"{verdict} {shift:,.0f} m from the first to the last of {periods} periods of {said(step)} (95 % interval {low:,.0f} to {high:,.0f} m, "
                f"p = {p:.3f}; {many[0]:,} and {many[-1]:,} incidents).")
    points = Points("Mean centres", lon, lat, ids=tuple(f"place:{k + 1}" for k in range(periods)), kind="place", numbers=tuple(range(1, periods + 1)),
                    tips=tuple(f"mean centre from {f:%Y-%m-%d}" for f in firsts))
    return Result(headline=headline, table=table, layers=(points,), base=origin_of(incidents).base,
                  basis=_basis(incidents, before, "mean centre by period, bootstrap and permutation", _SOURCE, period=said(step), periods=periods, draws=draws,
                               seed=seed, p=p))


@recorded
def neighbours(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "365d", order: int = 1, edge: bool = True) -> Result:
    """The nearest-neighbour index: mean distance to the k-th nearest incident over what even scattering would give, for k up to ``order``.

    ``edge`` corrects the first order for the area's edge (Donnelly); there is no such correction for higher orders, whose z is too high near edges. The
    perimeter of an area that is no rectangle is that of its cells, shortened by pi / 4 for their steps.

    Returns: a Result; its table has order, observed, expected (metres), index, z, p (two-sided, normal). Raises: CannotTell: under 20 incidents, or as
    ``window.past``. BadInput: options out of range. Cost: O(n log n).
    """
    from scipy.spatial import cKDTree

    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= 100:
        raise BadInput(f"order={order!r} does not do; give a whole number from 1 to 100.")
    before = past(incidents, grid, asof, window, least=20)
    n, area = len(before), grid.n_inside * grid.cell**2
    if order >= n:
        raise CannotTell(f"{n} incidents have no {order}-th neighbour; use a lower order.")
    points = np.column_stack([before.x, before.y])
    seen = cKDTree(points).query(points, k=order + 1)[0][:, 1:].mean(axis=0)
    rows = []
    for k in range(1, order + 1):
        mean, error = expected(n, area, perimeter(grid), k, edge and k == 1)
        z = (float(seen[k - 1]) - mean) / error
        rows.append((k, float(seen[k - 1]), mean, float(seen[k - 1]) / mean, z, math.erfc(abs(z) / math.sqrt(2))))
    table = pl.DataFrame(rows, schema=["order", "observed", "expected", "index", "z", "p"], orient="row")
    _, near, mean, index, z, p = rows[0]
    verdict = "no closer and no farther apart" if p > 0.05 else "closer together" if z < 0 else "farther apart"
    headline = (f"{n:,} incidents lie {verdict} than evenly scattered ones: {near:,.0f} m to the nearest other on average, {mean:,.0f} m expected "
                f"(index {index:.2f}, z = {z:.1f}, p {rounded(p)}).")
    return Result(headline=headline, table=table, layers=(), base=origin_of(incidents).base,
                  basis=_basis(incidents, before, "nearest-neighbour index", "Clark and Evans 1954; Donnelly 1978; Thompson 1956", window=said(before.window),
                               order=order, edge=edge, area_km2=area / 1e6))


def perimeter(grid: Grid) -> float:
    """Length of the study area's edge, metres; of one that is no rectangle the steps of its cells, shortened by pi / 4."""
    inside = np.pad(grid.inside.reshape(grid.ny, grid.nx), 1)
    sides = float((inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum()) * grid.cell
    return sides if grid.inside.all() else sides * math.pi / 4


def expected(n: int, area: float, edge: float, k: int, corrected: bool) -> tuple[float, float]:
    """(mean of the mean distance to the k-th nearest, its standard error) under even scattering of n points; ``corrected`` = Donnelly's, for k = 1."""
    if corrected:
        return (0.5 * math.sqrt(area / n) + (0.0514 + 0.041 / math.sqrt(n)) * edge / n, math.sqrt(0.0703 * area / n**2 + 0.037 * edge * math.sqrt(area / n**5)))
    mean = math.exp(math.log(k) + math.lgamma(2 * k + 1) - 2 * (k * math.log(2) + math.lgamma(k + 1))) * math.sqrt(area / n)
    return mean, math.sqrt(max(k * area / (math.pi * n) - mean**2, 0.0) / n)


def _basis(incidents: pl.DataFrame, before: Past, method: str, source: str, **parameters: Any) -> Basis:
    return Basis.of(incidents, method=method, source=source, used=len(before), time="started_at", asof=before.asof, notes=before.notes,
                    parameters={"window": said(before.window), **parameters})

"""Where will the next incidents be, if they fall about where they fell before? Kernel density of a window of incidents.

Points are shared out linearly over nodes a fraction of a bandwidth apart, then spread by a Gaussian kernel, integrated exactly over
each cell; the kernel is separable, so this is two banded matrix products. Source: B. W. Silverman, *Density Estimation for Statistics
and Data Analysis*, 1986, sections 3.4 (cross-validation) and 3.5 (binning); edge correction: M. C. Jones, "Simple boundary correction
for kernel density estimation", Statistics and Computing 3, 1993, 135-146; crime forecasting use: S. Chainey, L. Tompson, S. Uhlig,
"The utility of hotspot mapping for predicting spatial patterns of crime", Security Journal 21, 2008, 4-28.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _spread
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Surface, recorded

TITLE = "Kernel density"

_REACH = 5.5  # bandwidths after which the kernel is cut: 4e-8 of its mass lies beyond
_NODES = 4_000_000  # at most this many nodes between the cells


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    bandwidth: float | str | None = None,
    window: Span = "365d",
    horizon: Span = "7d",
    edge: bool = True,
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``, by Gaussian kernel density of the incidents known before ``asof``.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        bandwidth: standard deviation of the kernel in metres, at least a quarter of a cell. None = the one of twelve under which each
            incident is likeliest given the others (leave-one-out, on cells); "rule" = Scott's rule (smooth; for few incidents).
        window: how far back incidents count, all alike.
        horizon: how far ahead.
        edge: mass that would fall outside the study area is given back to the cells inside, so that the surface sums to the forecast
            total: the window's rate times the horizon. Without, it is lost.
        zone: zone of the times in the sentence.

    Returns: a Surface; ``lower`` and ``upper`` hold a cell's count with 90 % (see ``forecast.surface_of``).

    Raises:
        CannotTell: under 10 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns, bandwidth or times that cannot be used.

    Accuracy: within 1 % of the peak of direct summation (tests: 0.2 % at the default bandwidths). Cost: O(n + cells x reach); 100,000 points
    on 40,000 cells in about 0.1 s.
    """
    ahead = span(horizon, "horizon")
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    before = past(incidents, grid, asof, window, least=10)
    made = estimate(before, grid, ahead, bandwidth=bandwidth, edge=edge)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (kernel density)",
                         source="Silverman 1986; Jones 1993; Chainey, Tompson and Uhlig 2008")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, bandwidth: float | str | None = None, edge: bool = True) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. O(n + cells x reach)."""
    h, how = _bandwidth(bandwidth, before.x, before.y, before.cell, grid)
    expected = spread(before.x, before.y, grid, h, edge=edge) * (horizon / before.length)
    return Estimate(expected, before.length.total_seconds(), f"kernel density (Gaussian, bandwidth {h:.0f} m {how})", {"bandwidth": round(h, 1), "edge": edge})


def spread(x: Floats, y: Floats, grid: Grid, bandwidth: float, *, edge: bool = True, weights: Floats | None = None) -> Floats:
    """Each point's weight (1 by default) spread over the cells by a Gaussian of that standard deviation, integrated over each cell; shape (len(grid),).

    With ``edge`` every point's mass inside the study area is scaled to its weight, so the result sums to the sum of weights. Points must lie inside
    the grid. Binning itself widens a kernel by a sixth of the squared node distance; the bandwidth is narrowed by as much.
    """
    per = _nodes_per_cell(grid, bandwidth)
    step = grid.cell / per
    fine = _share_out((x - grid.x0) / step, (y - grid.y0) / step, grid.nx * per + 1, grid.ny * per + 1, weights)
    kernel, reach = _kernel(per, step, _narrowed(bandwidth, step))
    inside = grid.inside.reshape(grid.ny, grid.nx)
    if edge:
        mass = _mass(grid, bandwidth)
        np.divide(fine, mass, out=fine, where=mass > 1e-9)
    cells = _gather(_gather(fine, kernel, per, reach, grid.ny).T, kernel, per, reach, grid.nx).T
    out: Floats = np.where(inside, cells, 0.0).ravel()
    return out


@lru_cache(maxsize=2)
def _mass(grid: Grid, bandwidth: float) -> Floats:
    """How much of a point's mass stays inside the study area, by node; kept because a back-test asks for the same grid again and again."""
    per = _nodes_per_cell(grid, bandwidth)
    kernel, reach = _kernel(per, grid.cell / per, _narrowed(bandwidth, grid.cell / per))
    inside = grid.inside.reshape(grid.ny, grid.nx).astype(float)
    return _gather_back(_gather_back(inside, kernel, per, reach).T, kernel, per, reach).T


def _narrowed(bandwidth: float, step: float) -> float:
    return math.sqrt(max(bandwidth**2 - step**2 / 6, (0.2 * step) ** 2))


def _nodes_per_cell(grid: Grid, bandwidth: float) -> int:
    """Nodes along a cell's side: four to a bandwidth, fewer where that would be over _NODES in all."""
    most = max(1, int(math.sqrt(_NODES / (grid.nx * grid.ny))))
    return max(1, min(math.ceil(4 * grid.cell / bandwidth), most))


def _share_out(u: Floats, v: Floats, nx: int, ny: int, weights: Floats | None) -> Floats:
    """Each point's weight on the four nodes about it in proportion to nearness; u, v in node distances. Shape (ny, nx)."""
    out = np.zeros((ny, nx))
    given = np.empty(0) if weights is None else np.ascontiguousarray(weights, dtype=float)
    _spread.share_out(np.ascontiguousarray(u, dtype=float), np.ascontiguousarray(v, dtype=float), given, int(weights is None), out)
    return out


def _kernel(per: int, step: float, h: float) -> tuple[Floats, int]:
    """Mass that a Gaussian at node k sends into the cell between nodes 0 and ``per``, for k from -reach to per + reach; and that reach."""
    reach = math.ceil(_REACH * h / step)
    tail = [0.5 * math.erfc(k * step / h / math.sqrt(2)) for k in range(-per - reach, per + reach + 1)]  # P(Z > k step / h)
    return np.array([tail[per + reach - k] - tail[2 * per + reach - k] for k in range(-reach, per + reach + 1)]), reach


def _gather(values: Floats, kernel: Floats, per: int, reach: int, cells: int) -> Floats:
    """Along the first axis: cell i gets ``sum_k kernel[k] values[i per + k - reach]``. Shape (cells, values.shape[1])."""
    out = np.empty((cells, values.shape[1]))
    _spread.gather(np.ascontiguousarray(values, dtype=float), kernel, per, reach, out)
    return out


def _gather_back(cells: Floats, kernel: Floats, per: int, reach: int) -> Floats:
    """The transpose of _gather: node k gets ``sum_i kernel[k + reach - i per] cells[i]``. Shape (len(cells) per + 1, cells.shape[1])."""
    out = np.zeros((len(cells) * per + 1, cells.shape[1]))
    _spread.gather_back(np.ascontiguousarray(cells, dtype=float), kernel, per, reach, out)
    return out


def _bandwidth(given: float | str | None, x: Floats, y: Floats, cell: Ints, grid: Grid) -> tuple[float, str]:
    if given is None:
        return likeliest(cell, grid), "by leave-one-out likelihood"
    if given == "rule":
        scatter = math.sqrt((float(np.var(x)) + float(np.var(y))) / 2)
        return max(scatter * len(x) ** (-1 / 6), grid.cell / 2), "by Scott's rule"
    if isinstance(given, str) or not math.isfinite(given) or given < grid.cell / 4:
        raise BadInput(f"A bandwidth of {given!r} does not do: give metres, at least a quarter of a cell ({grid.cell / 4:g} m here), None or 'rule'.")
    return float(given), "as given"


def likeliest(cell: Ints, grid: Grid) -> float:
    """The bandwidth under which the incidents are likeliest when each is left out in turn, in metres.

    Worked on cells (incidents spread evenly over their cell, edge-corrected), for twelve bandwidths from half a cell to a sixth of the area's longer side
    (at most 2,500 m). One part in twenty is spread evenly over the area, so that one far-off incident does not decide. O(12 x cells x reach).
    """
    counts = np.bincount(cell, minlength=len(grid)).astype(float).reshape(grid.ny, grid.nx)
    at, inside = counts > 0, grid.inside.reshape(grid.ny, grid.nx).astype(float)
    n, floor = float(counts.sum()), 0.05 / grid.n_inside
    best, choice = -math.inf, grid.cell
    for h in np.geomspace(0.5, max(4.0, min(2500.0, max(grid.nx, grid.ny) * grid.cell / 6) / grid.cell), 12) * grid.cell:
        kernel, reach = _cell_kernel(grid.cell, float(h))
        mass = np.maximum(_both_ways(inside, kernel, reach), 1e-6)
        blurred = _both_ways(counts / mass, kernel, reach)
        others = np.maximum(blurred[at] - kernel[reach] ** 2 / mass[at], 0.0) / max(n - 1, 1)
        score = float(np.sum(counts[at] * np.log(0.95 * others + floor)))
        if score > best + 1e-9:
            best, choice = score, float(h)
    return choice


def blurring(cells: int, cell: float, bandwidth: float) -> Floats:
    """The symmetric matrix, shape (cells, cells), that spreads values along a row of cells evenly over their cell and then by a Gaussian."""
    kernel, reach = _cell_kernel(cell, bandwidth)
    return _gather(np.eye(cells), kernel, 1, reach, cells)


def _both_ways(values: Floats, kernel: Floats, reach: int) -> Floats:
    return _gather(_gather(values, kernel, 1, reach, values.shape[0]).T, kernel, 1, reach, values.shape[1]).T


def _cell_kernel(cell: float, h: float) -> tuple[Floats, int]:
    """Mass that a cell, evenly filled and blurred, sends into the cell k further on, for k from -reach to reach; and that reach."""
    reach = math.ceil(_REACH * h / cell) + 1
    z = np.arange(-reach - 1, reach + 2) * cell / h
    ramp = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) + math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in z])
    return (ramp[2:] - 2 * ramp[1:-1] + ramp[:-2]) * h / cell, reach

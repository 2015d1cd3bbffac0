"""On which streets will the next incidents be? Kernel density along the street network instead of across blocks.

Incidents are put on their nearest street and spread along the streets, never through houses. Three kernels:

* ``heat`` (default): the density that heat would have after flowing along the streets, the analogue of the Gaussian; worked on pieces of equal length by
  a Chebyshev series, so that its cost does not grow with the number of paths. G. McSwiggan, A. Baddeley, G. Nair, "Kernel density estimation on a linear
  network", Scandinavian Journal of Statistics 44, 2017, 324-345, doi:10.1111/sjos.12255; H. Tal-Ezer, R. Kosloff, Journal of Chemical Physics 81, 1984,
  3967-3971, doi:10.1063/1.448136.
* ``continuous`` and ``discontinuous``: the equal-split kernels with the quartic kernel. All paths are walked at once, by pulses that travel a fifth of a
  lixel a step and share themselves out at corners; a street's length is rounded to such steps. A. Okabe, T. Satoh, K. Sugihara, "A kernel density
  estimation method for networks, its computational method and a GIS-based tool", International Journal of GIS 23, 2009, 7-32,
  doi:10.1080/13658810802475491; A. Okabe, K. Sugihara, *Spatial Analysis along Networks*, 2012, chapter 9. At a dead end all mass turns back, so that
  each incident keeps its mass of one; that is ours for ``discontinuous``, where the book lets it go.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints, Plane
from workbench.geo.network import Placed, StreetNetwork
from workbench.geo.segments import Segments
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _network_kde
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Ranking, Surface, recorded

TITLE = "Density on streets"
SOURCE = "McSwiggan, Baddeley and Nair 2017; Okabe, Satoh and Sugihara 2009"
KERNELS = ("heat", "continuous", "discontinuous")

_CANDIDATES = (50.0, 75.0, 110.0, 160.0, 240.0, 360.0, 540.0, 800.0)  # bandwidths tried, metres
_FOLDS = 4
_REACH = math.sqrt(7.0)  # reach of the quartic kernel in bandwidths, so that a bandwidth is its standard deviation
_FINE = 5  # steps of a pulse in a lixel


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    streets: pl.DataFrame | StreetNetwork | None = None,
    bandwidth: float | None = None,
    kernel: str = "heat",
    lixel: float = 25.0,
    limit: float = 100.0,
    window: Span = "365d",
    horizon: Span = "7d",
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``: the density along the streets, summed onto the cells that the streets run through.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0, and what would fall there is given back to those inside.
        asof: nothing known at or after it is used; text without a zone is UTC.
        streets: the table ``streets`` (``city.table("streets")``), or a network made of it on the grid's plane. Without it nothing can be told.
        bandwidth: standard deviation in metres along the street, at least one lixel. None = the one of eight from 50 m to 800 m under which each quarter of
            the incidents is likeliest given the other three (on pieces twice as long; one part in twenty even over all streets).
        kernel: one of KERNELS.
        lixel: streets are cut into pieces of at most so many metres; one shorter than half of it counts as half.
        limit: incidents farther than so many metres from any street stay in their own cell.
        window: how far back incidents count, all alike.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface, to be compared with the other forecasts; ``segments`` says the same by street.

    Raises:
        CannotTell: under 10 incidents can be placed, all lie at one address, none lies near a street, no streets were
            given or none is usable, or the area is empty.
        BadInput: columns, bandwidth, kernel or times that cannot be used.

    Cost: O(pieces x bandwidth / lixel) for ``heat``; 30,000 pieces and 240 m: about 0.1 s, the choice of a bandwidth about 0.5 s. The equal-split kernels:
    O(steps x steps within reach), about as much.
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=10)
    made = estimate(before, grid, ahead, streets=streets, bandwidth=bandwidth, kernel=kernel, lixel=lixel, limit=limit)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (density on streets)", source=SOURCE)


def estimate(before: Past, grid: Grid, horizon: timedelta, *, streets: pl.DataFrame | StreetNetwork | None = None, bandwidth: float | None = None,
             kernel: str = "heat", lixel: float = 25.0, limit: float = 100.0) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``. Streets are prepared once for a frame and grid and kept."""
    if streets is None:
        raise CannotTell("Density on streets needs the streets: give streets=city.table('streets'), or load a source of streets first (docs/streets.md).")
    ways = _ways(streets, grid.plane, lixel)
    placed = ways.network.snap(before.x, before.y, limit=limit)
    on = placed.segment >= 0
    if not on.any():
        raise CannotTell(f"None of the {len(before)} incidents lies within {limit:g} m of a street, so nothing can be said by street; are these the streets "
            "of this city?")
    h, how = _bandwidth(bandwidth, streets, grid.plane, lixel, placed)
    mass = spread(ways.tiling, placed, h, kernel=kernel)
    cell, piece, metres = ways.samples(grid)
    values: Floats = np.bincount(cell, weights=metres * (mass / ways.tiling.length)[piece], minlength=len(grid)).astype(float)
    total, near = float(values.sum()), int(on.sum())
    if total <= 0:
        raise CannotTell("No street runs through the study area where incidents lie, so nothing can be summed onto its cells; are these the streets of this "
            "city?")
    values *= near / total
    values += np.bincount(before.cell[~on], minlength=len(grid))
    notes = (f"{len(before) - near} of {len(before)} incidents lie farther than {limit:g} m from any street; they stay in their own cell.",
        ) if near < len(before) else ()
    return Estimate(values * (horizon / before.length), before.length.total_seconds(), f"network kernel density ({kernel}, bandwidth {h:.0f} m {how})",
                    {"bandwidth": round(h, 1), "kernel": kernel, "lixel": lixel, "limit": limit, "km of street": round(ways.network.length_km, 1)}, notes)


@recorded
def segments(
    incidents: pl.DataFrame,
    streets: pl.DataFrame | StreetNetwork,
    asof: Moment,
    *,
    bandwidth: float | None = None,
    kernel: str = "heat",
    lixel: float = 25.0,
    limit: float = 100.0,
    window: Span = "365d",
    horizon: Span = "7d",
    by: str = "expected",
    most: int = 20,
    zone: str = "UTC",
) -> Ranking:
    """Streets in the order of how many incidents are expected on them, corner to corner, with 90 % intervals; arguments as for ``surface``.

    Args:
        by: "expected" (long streets come first, all else equal) or "per_km" (the most in the least street).
        most: rows of the table.

    Returns: a Ranking; ``table`` has rank, street_id, name, lon, lat, length_m, expected, lower, upper, counted (in the window), per_km and share_so_far
    for the first ``most``; the map shows every street with an expectation, and those first ones as lines.

    Raises:
        CannotTell, BadInput: as for ``surface``.
    """
    from workbench.models.hotspots import _network_told

    if by not in ("expected", "per_km"):
        raise BadInput(f"by={by!r} is not known; choose 'expected' or 'per_km'.")
    ahead = span(horizon, "horizon")
    network = streets if isinstance(streets, StreetNetwork) else _ways(streets, None, lixel).network
    before = past(incidents, _around(network, limit), asof, window, least=10)
    placed = network.snap(before.x, before.y, limit=limit)
    if not (placed.segment >= 0).any():
        raise CannotTell(f"None of the {len(before)} incidents lies within {limit:g} m of a street, so nothing can be said by street; are these the streets "
            "of this city?")
    h, how = _bandwidth(bandwidth, streets, network.plane, lixel, placed)
    tiling = _ways(streets, network.plane, lixel).tiling
    mass = spread(tiling, placed, h, kernel=kernel)
    expected: Floats = np.add.reduceat(mass, tiling.first[:-1]) * (ahead / before.length)
    return _network_told.ranked(before, incidents, network, placed, expected, np.maximum(network.length, lixel / 2), by=by, horizon=ahead, most=most, zone=zone,
                                source=SOURCE, name="Expected incidents by street",
                                method=f"network kernel density ({kernel}, bandwidth {h:.0f} m {how})",
                                parameters={"bandwidth": round(h, 1), "kernel": kernel, "lixel": lixel, "limit": limit,
                                    "km of street": round(network.length_km, 1)})


def spread(tiling: Segments, placed: Placed, bandwidth: float, *, kernel: str = "heat", weights: Floats | None = None) -> Floats:
    """Each place's weight (1 by default) spread along the streets, shape (pieces,); the result sums to the weights of those on a street.

    Args:
        tiling: the pieces, of a stated longest.
        bandwidth: standard deviation of the kernel on an endless street, metres above 0.
        kernel: one of KERNELS. The equal-split kernels reach 2.65 bandwidths; ``continuous`` may give a little below 0 near corners of many streets, as
            its definition does.

    Raises:
        BadInput: an unknown kernel, no bandwidth, or pieces without a longest.
    """
    if kernel not in KERNELS:
        raise BadInput(f"kernel={kernel!r} is not known; choose one of {', '.join(KERNELS)}.")
    if not math.isfinite(tiling.longest):
        raise BadInput("Density needs streets cut into pieces; give Segments a longest piece, e.g. Segments(network, 25).")
    on = np.flatnonzero(placed.segment >= 0)
    weight = np.ones(len(on)) if weights is None else np.ascontiguousarray(weights[on], dtype=np.float64)
    if kernel == "heat":
        mass = np.bincount(tiling.tiles(placed)[on], weights=weight, minlength=len(tiling)).astype(float)
        return _flow(tiling).run(mass[:, None], np.array([bandwidth]), None)[0, :, 0]
    if not 0 < bandwidth < math.inf:
        raise BadInput(f"A bandwidth of {bandwidth!r} does not do; give metres above 0.")
    net, step = tiling.network, tiling.longest / _FINE
    cells = np.maximum(1, np.round(net.length / step)).astype(np.int64)
    begin = np.concatenate([[0], np.cumsum(cells)]).astype(np.int64)
    s, n = placed.segment[on], cells[placed.segment[on]]
    cell = np.minimum((placed.at[on] * n).astype(np.int64), n - 1)
    held = np.bincount(np.concatenate([2 * begin[s] + cell, 2 * begin[s] + 2 * n - 1 - cell]), weights=np.tile(weight, 2),
        minlength=2 * int(begin[-1])).astype(float)
    u = np.minimum((np.arange(math.ceil(_REACH * bandwidth / step + 0.5)) + 0.5) * step / (_REACH * bandwidth), 1.0)
    laid = np.diff(0.9375 * (u - 2 * u**3 / 3 + u**5 / 5), prepend=0.0)  # the quartic kernel's mass on one side, by step: half in all
    first, leaving = net.adjacency
    fine = np.zeros(int(begin[-1]))
    _network_kde.pulses(begin, cells, first, leaving, np.stack([net.begin, net.end], axis=1).ravel(), held, np.zeros(2 * len(net)), laid,
                        int(kernel == "continuous"), fine)
    run = np.concatenate([[0.0], np.cumsum(fine)])
    many = np.diff(tiling.first)
    edge = begin[tiling.segment] + (np.arange(len(tiling)) - tiling.first[tiling.segment]) / many[tiling.segment] * cells[tiling.segment]
    return np.diff(np.interp(np.append(edge, begin[-1]), np.arange(len(run)), run))


def _counted(tiling: Segments) -> Floats:
    """The metres each piece counts as: half a lixel where it is shorter."""
    return np.maximum(tiling.length, min(tiling.longest, float(tiling.length.max())) / 2)


class _Flow:
    """Heat between the pieces of a tiling: who neighbours whom, and how fast mass passes. Made once for a tiling."""

    def __init__(self, tiling: Segments) -> None:
        net, first = tiling.network, tiling.first
        long = _counted(tiling)
        inner = np.setdiff1d(np.arange(len(tiling) - 1), first[1:-1] - 1)
        begins, leaving = net.adjacency
        piece = np.where(leaving % 2 == 0, first[leaving >> 1], first[(leaving >> 1) + 1] - 1)
        degree = np.diff(begins)
        node = np.repeat(np.arange(len(degree)), degree)
        ease = 2.0 / long[piece]
        whole = np.bincount(node, weights=ease, minlength=len(degree))
        a = np.repeat(np.arange(len(leaving)), degree[node])
        b = np.arange(len(a)) - np.repeat(np.concatenate([[0], np.cumsum(degree[node])[:-1]]), degree[node]) + begins[node[a]]
        other = piece[a] != piece[b]
        a, b = a[other], b[other]
        one = np.concatenate([inner, inner + 1, piece[a]])
        two = np.concatenate([inner + 1, inner, piece[b]])
        passes = np.concatenate([1.0 / long[inner], 1.0 / long[inner], ease[a] * ease[b] / whole[node[a]]])
        order = np.argsort(one, kind="stable")
        self.to = two[order].astype(np.int64)
        self.rate = np.ascontiguousarray((passes / long[two])[order])
        self.first = np.concatenate([[0], np.cumsum(np.bincount(one, minlength=len(tiling)))]).astype(np.int64)
        self.out_rate = np.bincount(two, weights=passes / long[two], minlength=len(tiling)).astype(float)
        self.top = max(2.0 * float(self.out_rate.max()), 1e-12)
        self.longest = float(long.max())

    def run(self, mass: Floats, bandwidths: Floats, watched: Ints | None) -> Floats:
        """Mass after spreading, shape (bandwidths, watched pieces (all), kinds)."""
        if not (np.isfinite(bandwidths).all() and (bandwidths > 0).all()):
            raise BadInput(f"A bandwidth of {bandwidths.tolist()} does not do; give metres above 0.")
        z = bandwidths**2 / 2 * self.top / 2
        c = [_series(float(v)) for v in z]
        coefficients = np.zeros((len(c), max(len(v) for v in c)))
        for row, v in zip(coefficients, c, strict=True):
            row[: len(v)] = v
        at = np.arange(len(mass), dtype=np.int64) if watched is None else watched
        out = np.zeros((len(c), len(at), mass.shape[1]))
        before = np.ascontiguousarray(mass, dtype=np.float64).copy()
        _network_kde.chebyshev(self.first, self.to, self.rate, self.out_rate, 2.0 / self.top, np.zeros_like(before), before, coefficients, at, out)
        return np.maximum(out, 0.0)


def _series(z: float) -> Floats:
    """``(2 - [k = 0]) (-1)^k exp(-z) I_k(z)`` up to where it is below 1e-14, by Miller's backward recurrence; sums (with T_k(-1)) to exactly 1."""
    top = int(math.sqrt(2 * z * 36) + 40)
    values = np.zeros(top + 1)
    later, now = 0.0, 1e-280
    for k in range(top + 10, 0, -1):
        later, now = now, later + 2.0 * k / z * now
        if now > 1e250:
            later, now, values = later * 1e-250, now * 1e-250, values * 1e-250
        if k - 1 <= top:
            values[k - 1] = now
    values[1:] *= 2.0
    values /= values.sum()
    use = int(np.flatnonzero(values > 1e-14)[-1]) + 1
    values = values[:use] / values[:use].sum()
    values[1::2] *= -1.0
    return values


@dataclass(frozen=True, eq=False)
class _Ways:
    network: StreetNetwork
    tiling: Segments

    @cached_property
    def _samples(self) -> list[tuple[Grid, tuple[Ints, Ints, Floats]]]:
        return []

    def samples(self, grid: Grid) -> tuple[Ints, Ints, Floats]:
        """(cell, piece, metres) of the last grid asked for is kept."""
        for known, found in self._samples:
            if known is grid:
                return found
        made = self.tiling.samples(grid)
        self._samples[:] = [(grid, made)]
        return made


_kept: dict[tuple[int, str, float], tuple[Any, _Ways]] = {}


def _ways(streets: pl.DataFrame | StreetNetwork, plane: Plane | None, lixel: float) -> _Ways:
    """Network and pieces of some streets; the last few are kept while their frame lives, because a back-test asks for the same again and again."""
    if isinstance(lixel, bool) or not isinstance(lixel, (int, float)) or not 1 <= lixel <= 10_000:
        raise BadInput(f"lixel={lixel!r} does not do; give metres from 1 to 10,000, e.g. 25.")
    if not isinstance(streets, (pl.DataFrame, StreetNetwork)):
        raise BadInput(f"streets is a {type(streets).__name__}; the table of streets as a frame (city.table('streets')) or a StreetNetwork is needed.")
    if isinstance(streets, StreetNetwork) and plane is not None and streets.plane != plane:
        raise BadInput(f"The network lies on the plane {streets.plane.crs!r}, the grid on {plane.crs!r}; make it with StreetNetwork.of(streets, "
            "plane=grid.plane).")
    key = (id(streets), "" if plane is None or isinstance(streets, StreetNetwork) else plane.crs, float(lixel))
    held = _kept.get(key)
    if held is not None and held[0]() is streets:
        return held[1]
    network = streets if isinstance(streets, StreetNetwork) else StreetNetwork.of(streets, plane=plane)
    made = _Ways(network, Segments(network, float(lixel)))
    while len(_kept) >= 6:
        _kept.pop(next(iter(_kept)), None)
    _kept[key] = (weakref.ref(streets), made)
    return made


_flows: weakref.WeakKeyDictionary[Segments, _Flow] = weakref.WeakKeyDictionary()


def _flow(tiling: Segments) -> _Flow:
    if tiling not in _flows:
        _flows[tiling] = _Flow(tiling)
    return _flows[tiling]


def _bandwidth(given: float | None, streets: pl.DataFrame | StreetNetwork, plane: Plane, lixel: float, placed: Placed) -> tuple[float, str]:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not lixel <= given < math.inf:
            raise BadInput(f"A bandwidth of {given!r} does not do; give metres, at least one lixel ({lixel:g} m), or None.")
        return float(given), "as given"
    return likeliest(_ways(streets, plane, 2 * lixel).tiling, placed), f"by likelihood in {_FOLDS} parts"


def likeliest(tiling: Segments, placed: Placed) -> float:
    """The bandwidth of the heat kernel under which each part of the places (every fourth) is likeliest given the others, in metres.

    Of those of eight candidates (50 to 800 m) that are at least a piece long. One part in twenty is spread evenly over all streets.
    """
    tile = tiling.tiles(placed)
    tile = tile[tile >= 0]
    fold = np.arange(len(tile)) % _FOLDS
    watched, at = np.unique(tile, return_inverse=True)
    mass = np.zeros((len(tiling), _FOLDS))
    np.add.at(mass, (tile, fold), 1.0)
    tried = np.array([h for h in _CANDIDATES if h >= tiling.longest] or [tiling.longest])
    after = _flow(tiling).run(mass, tried, watched.astype(np.int64))
    long = _counted(tiling)[watched]
    held = np.bincount(fold, minlength=_FOLDS)
    others = (after.sum(axis=2, keepdims=True) - after)[:, at.ravel(), fold] / np.maximum(len(tile) - held, 1)[fold] / long[at.ravel()]
    score = np.log(0.95 * others + 0.05 / float(tiling.length.sum())).sum(axis=1)
    return float(tried[int(np.argmax(score))])


def _around(network: StreetNetwork, limit: float) -> Grid:
    """A coarse grid over the streets, so that incidents are taken and placed as for any forecast."""
    x0, y0 = float(network.vx.min()) - limit, float(network.vy.min()) - limit
    wide, tall = float(network.vx.max()) + limit - x0, float(network.vy.max()) + limit - y0
    side = max(250.0, max(wide, tall) / 1000)
    return Grid(network.plane, x0, y0, int(wide / side) + 1, int(tall / side) + 1, side)

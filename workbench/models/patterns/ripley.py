"""At which distances do incidents lie closer together, or to those of another offence, than chance would put them?

Ripley's K counts the others within each distance of an incident, for what even scattering would give (B. D. Ripley, "The second-order analysis of stationary
point processes", *Journal of Applied Probability* 13, 1976, 255-266, doi:10.2307/3212829); L is its root, so that even scattering gives L(r) = r (J. Besag,
*JRSS B* 39, 1977, 193-195). What lies beyond the area's edge is allowed for by translation (J. Ohser, 1983; exact on any area of cells) or, in a
rectangle, by the share of each circle that is inside (Ripley's isotropic correction). Chance is simulated, and the whole curve judged at once by a global
rank envelope (Myllymaki et al. 2017, ``_circles.envelope``).

Crime never scatters evenly, for houses do not. Give other incidents as ``background``: then chance means that the offence is dealt out among all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.engines.kernels import each
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.models.patterns import _circles
from workbench.models.window import Moment, Past, Span, past
from workbench.models.wording import said
from workbench.results import Basis, Result, origin_of, recorded

TITLE = "Ripley's K and L"
_LEAST = 20
_BUDGET = 4e8  # pairs looked at when the number of simulations is left open
_SOURCE = "Ripley 1976; Besag 1977; Ohser 1983; Myllymaki et al. 2017"


@recorded
def clustering(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, background: pl.DataFrame | None = None, window: Span = "365d", radius: float = 1000.0,
               steps: int = 20, correction: str = "translation", simulations: int | None = None, level: float = 0.95,
               seed: int = 0, threads: int | None = None) -> Result:
    """K and L of one offence by distance, with a global envelope.

    Args:
        incidents: started_at, lon, lat (incident_id too when ``background`` holds the same rows).
        grid: its cells are the study area.
        asof, window: only what was known before, and how far back.
        background: other incidents; chance then deals the offence out among all (random labelling). None: chance scatters evenly over the area.
        radius, steps: distances up to ``radius`` metres, in ``steps`` equal steps.
        correction: "translation", "isotropic" (rectangles) or "none".
        simulations: curves of chance; None = 199, or fewer (none under 39) where the points are many; 0 = no envelope.
        level: chance that a curve of chance lies wholly within the envelope.
        seed, threads: of the simulations; the answer is the same for any number of threads.

    Returns: a Result; its table has radius, pairs (ordered, edge-weighted), k, l, times (k over pi r^2), low, high (envelope of l),
    outside ("more", "fewer", "").

    Raises:
        CannotTell: under 20 incidents, or as ``window.past``. BadInput: options out of range.

    Cost: O(pairs within radius x (1 + simulations)); 100,000 points within 2 km on 400 km^2: 157 M pairs.
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    _checked(steps, level, simulations)
    region = _circles.Region.of(grid, correction, radius)
    before = past(incidents, grid, asof, window, least=_LEAST)
    step, n = radius / steps, len(before)
    runs, notes = _runs(simulations, n, n, radius, region.area)
    pool = None if background is None else _others(background, incidents, grid, before)

    def curve(x: Floats, y: Floats, threads: int | None = 1) -> Floats:
        return np.cumsum(_circles.summed((x, y, np.ones(n)), None, region, step, steps, threads=threads)) * region.area / (n * (n - 1.0))

    draw = _dealt(before, pool) if pool is not None else _even(grid, n)
    k = curve(before.x, before.y, threads)
    drawn = each(lambda s: curve(*draw(np.random.default_rng([seed, s]))), range(runs), threads=threads)
    null = "the offence dealt out among all incidents" if pool is not None else "even scattering"
    if pool is None:
        notes += ("Even scattering is not how people and houses lie; give background= to compare with other incidents.",)
    frames = (incidents,) if background is None else (incidents, background)
    return _told(k, np.array(drawn), n * (n - 1.0), region, step, level, null, _words("incidents"), frames, before, notes,
                 {"correction": correction, "simulations": runs, "seed": seed, "cell": f"{grid.cell:g} m"})


@recorded
def cross(incidents: pl.DataFrame, others: pl.DataFrame, grid: Grid, asof: Moment, *, null: str = "labels", window: Span = "365d", radius: float = 1000.0,
          steps: int = 20, correction: str = "translation", simulations: int | None = None, level: float = 0.95, seed: int = 0,
          threads: int | None = None) -> Result:
    """Cross-K of two offences: the second's incidents within each distance of the first's.

    Args:
        incidents, others: the two offences; started_at, lon, lat.
        null: "labels" = which incident is of which offence is chance; "shift" = the second pattern is moved as a whole over a rectangle, round its
            edges (the two are independent, each as clustered as it is).
        The rest as for ``clustering``.

    Returns, raises, cost: as for ``clustering``; BadInput for "shift" in an area that is no rectangle.
    """
    for frame, what in ((incidents, "The incidents frame"), (others, "The others frame")):
        schema.require(frame, "started_at", "lon", "lat", what=what)
    _checked(steps, level, simulations)
    region = _circles.Region.of(grid, correction, radius)
    if null not in ("labels", "shift"):
        raise BadInput(f"null={null!r} is not known; choose 'labels' or 'shift'.")
    if null == "shift" and not grid.inside.all():
        raise BadInput("null='shift' moves points round the edges of a rectangle, and this study area is none; use null='labels'.")
    one, two = past(incidents, grid, asof, window, least=_LEAST), past(others, grid, asof, window, least=_LEAST)
    step, n, m = radius / steps, len(one), len(two)
    runs, notes = _runs(simulations, n, m, radius, region.area)
    x, y = np.append(one.x, two.x), np.append(one.y, two.y)

    def curve(x: Floats, y: Floats, threads: int | None = 1) -> Floats:
        ones = np.ones(n + m)
        both = _circles.summed((x[:n], y[:n], ones[:n]), (x[n:], y[n:], ones[n:]), region, step, steps, threads=threads)
        return np.cumsum(both) * region.area / (n * float(m))

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats]:
        if null == "labels":
            order = rng.permutation(n + m)
            return x[order], y[order]
        east, north = rng.uniform(0, region.wide), rng.uniform(0, region.high)
        return (np.append(x[:n], region.x0 + (x[n:] - region.x0 + east) % region.wide), np.append(y[:n], region.y0 + (y[n:] - region.y0 + north) % region.high))

    k = curve(x, y, threads)
    drawn = each(lambda s: curve(*draw(np.random.default_rng([seed, s]))), range(runs), threads=threads)
    how = "the two offences dealt out among all their incidents" if null == "labels" else "two patterns that do not know of each other"
    return _told(k, np.array(drawn), n * float(m), region, step, level, how, _words("incidents of the two offences"), (incidents, others), one, notes,
                 {"correction": correction, "null": null, "simulations": runs, "seed": seed, "cell": f"{grid.cell:g} m", "first": n, "second": m})


def _checked(steps: int, level: float, simulations: int | None) -> None:
    if isinstance(steps, bool) or not (isinstance(steps, int) and 1 <= steps <= 1000) or not 0.5 <= level < 1:
        raise BadInput(f"steps={steps!r} with level={level!r} does not do: steps is a whole number from 1 to 1,000, level lies between 0.5 and 1.")
    least = math.ceil(1 / (1 - level) - 1.000001)
    if simulations is not None and (isinstance(simulations, bool) or not isinstance(simulations, int) or simulations < 0 or 0 < simulations < least):
        raise BadInput(f"simulations={simulations!r} does not do: give None, 0, or at least {least} for an envelope at {level:g}.")


def _runs(asked: int | None, n: int, m: int, radius: float, area: float) -> tuple[int, tuple[str, ...]]:
    if asked is not None:
        return asked, ()
    able = int(min(199, _BUDGET / max(1.0, 0.5 * n * m * min(1.0, math.pi * radius**2 / area))))
    if able >= 39:
        return able, ()
    return 0, (f"With {max(n, m):,} points chance was not simulated, so there is no envelope; give simulations=199 and some time, or a shorter radius.",)


def _others(background: pl.DataFrame, incidents: pl.DataFrame, grid: Grid, before: Past) -> Past:
    schema.require(background, "started_at", "lon", "lat", what="The background frame")
    rest = background
    if "incident_id" in background.columns and "incident_id" in incidents.columns:
        rest = background.join(incidents.select("incident_id"), on="incident_id", how="anti")
    try:
        return past(rest, grid, before.asof, before.window, least=max(50, len(before) // 2))
    except CannotTell as why:
        raise CannotTell(f"The other incidents are too few to compare with: {why}") from None


def _even(grid: Grid, n: int) -> Callable[[np.random.Generator], tuple[Floats, Floats]]:
    cells = np.flatnonzero(grid.inside)

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats]:
        return _within(grid, cells[rng.integers(0, len(cells), n)], rng)

    return draw


def _dealt(before: Past, pool: Past) -> Callable[[np.random.Generator], tuple[Floats, Floats]]:
    x, y = np.append(before.x, pool.x), np.append(before.y, pool.y)

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats]:
        chosen = rng.choice(len(x), len(before), replace=False)
        return x[chosen], y[chosen]

    return draw


def _within(grid: Grid, cells: Any, rng: np.random.Generator) -> tuple[Floats, Floats]:
    x = grid.x0 + (cells % grid.nx + rng.random(len(cells))) * grid.cell
    y = grid.y0 + (cells // grid.nx + rng.random(len(cells))) * grid.cell
    return x, y


def _words(what: str) -> tuple[str, str]:
    return f"{what[0].upper()}{what[1:]} lie closer together than chance", f"{what[0].upper()}{what[1:]} lie farther apart than chance"


def _told(k: Floats, drawn: Floats, pairs: float, region: _circles.Region, step: float, level: float, null: str, words: tuple[str, str],
          frames: tuple[pl.DataFrame, ...], before: Past, notes: tuple[str, ...], parameters: dict[str, Any]) -> Result:
    radii = step * np.arange(1, len(k) + 1)
    curve = np.sqrt(np.maximum(k, 0.0) / math.pi)
    columns: dict[str, Any] = {"radius": radii, "pairs": k * pairs / region.area, "k": k, "l": curve, "times": k / (math.pi * radii**2)}
    outside = np.full(len(k), "")
    half = int(np.argmin(np.abs(radii - radii[-1] / 2)))
    ratio = f"within {radii[half]:,.0f} m there are {columns['times'][half]:.2f} times the pairs that even scattering would give"
    if len(drawn):
        low, high, p = _circles.envelope(np.vstack([curve, np.sqrt(np.maximum(drawn, 0.0) / math.pi)]), level)
        outside = np.where(curve > high, "more", np.where(curve < low, "fewer", ""))
        columns |= {"low": low, "high": high}
        ratio += f" ({(low[half] / radii[half]) ** 2:.2f} to {(high[half] / radii[half]) ** 2:.2f} by chance)"
        against = f"({null}; {len(drawn)} simulations, p = {p:.3f} for the whole curve)"
        at = np.flatnonzero(outside != "")
        if p <= 1 - level and len(at):
            most = "more" if (outside == "more").sum() >= (outside == "fewer").sum() else "fewer"
            where = radii[outside == most]
            headline = f"{words[most == 'fewer']} at {where.min():,.0f} to {where.max():,.0f} m {against}; {ratio}."
        else:
            headline = f"No distance up to {radii[-1]:,.0f} m stands out from chance {against}; {ratio}."
        parameters = {**parameters, "p": p}
    else:
        columns |= {"low": np.full(len(k), np.nan), "high": np.full(len(k), np.nan)}
        headline = f"Chance was not simulated; {ratio}."
    parameters = {"window": said(before.window), "radius": float(radii[-1]), "steps": len(k), "level": level, **parameters}
    basis = Basis.of(*frames, method=f"Ripley's K against {null}, global rank envelope", source=_SOURCE, used=len(before), time="started_at",
                     asof=before.asof, notes=(*before.notes, *notes), parameters=parameters)
    table = pl.DataFrame(columns | {"outside": outside}).with_columns(pl.col("low", "high").fill_nan(None))
    return Result(headline=headline, table=table, layers=(), basis=basis, base=origin_of(*frames).base)

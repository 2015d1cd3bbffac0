"""What about a place goes with incidents, and where is it all together? Risk terrain modelling: bars, stops, calls, cameras as layers, chosen and weighed.

An elastic net culls the layers (cross-validated over blocks of space), forward and backward steps by BIC choose among the rest, for Poisson and negative
binomial counts, and the better of the two by BIC stands. A relative risk value is how many times as many incidents a cell holds where the layer applies,
the other layers alike. Sources: J. M. Caplan, L. W. Kennedy, J. Miller, "Risk terrain modeling", Justice Quarterly 28, 2011, 360-381; L. W. Kennedy, J. M.
Caplan, E. Piza, "Risk clusters, hotspots, and spatial intelligence", Journal of Quantitative Criminology 27, 2011, 339-362; J. M. Caplan, L. W. Kennedy, *Risk
Terrain Modeling Diagnostics (RTMDx) user manual*, 2013; its limits: A. P. Wheeler, W. Steenbeek, "Mapping the risk terrain for crime using machine
learning", Journal of Quantitative Criminology 37, 2021, 445-480; intervals after choosing: R. Berk, L. Brown, L. Zhao, "Statistical inference after model
selection", Journal of Quantitative Criminology 26, 2010, 217-236; resamples: N. Meinshausen, P. Buehlmann, "Stability selection", JRSS B 72, 2010, 417-473.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints
from workbench.layers import Cells
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _lags
from workbench.models.hotspots import _terrain_fit as fitting
from workbench.models.hotspots import _terrain_layers as terrain_layers
from workbench.models.hotspots._products import sums
from workbench.models.hotspots._terrain_layers import Features, Layer
from workbench.models.window import Moment, Past, Span, moment, past, span
from workbench.models.wording import said, several
from workbench.results import Basis, Ranking, Surface, origin_of, recorded

TITLE = "Risk terrain"
OPERATIONS = terrain_layers.OPERATIONS

_LEAST = 30
_FOLDS = 5
_MIX = 0.5
_SOURCE = "Caplan, Kennedy and Miller 2011; Kennedy, Caplan and Piza 2011; Wheeler and Steenbeek 2021"
_kept: dict[bytes, Terrain] = {}


@dataclass(frozen=True, eq=False)
class Terrain:
    """A chosen terrain: every layer tried, those that the elastic net left, the fit, and each cell's risk relative to one where no layer applies."""

    layers: tuple[Layer, ...]
    left: tuple[int, ...]
    penalty: float
    fit: fitting.Fit
    risk: Floats
    notes: tuple[str, ...]
    rows: Floats
    at: Ints
    counts: Floats
    block: Ints
    factor: Ints


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    layers: Mapping[str, pl.DataFrame] | None = None,
    block: float = 150.0,
    extents: int = 3,
    operations: Sequence[str] = OPERATIONS,
    aggravating: bool = True,
    window: Span = "365d",
    horizon: Span = "7d",
    seed: int = 0,
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``: the terrain's relative risk times the window's rate.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used, neither incidents nor features with a ``started_at``; text without a zone is UTC.
        layers: name -> frame of features with lon, lat, and where wanted ``weight`` (0 or more; for density). Frames with ``started_at`` (calls, offences)
            are cut to the window before asof; frames without a time are taken to have stood there throughout.
        block: usual length of a street block in metres; risk reaches 1 to ``extents`` of them.
        operations: "distance" (a feature within the reach), "density" (features dense at that bandwidth), or both.
        aggravating: only layers that go with more incidents may be chosen; False = protective ones too.
        window: how far back incidents count, all alike.
        horizon: how far ahead.
        seed: of the folds of the elastic net.
        zone: zone of the times in the sentence.

    Returns: a Surface. The terrain is chosen as of the last of fixed moments four weeks apart (counted from 1970; see ``_lags.settled``) and kept in
    memory by what it was chosen from, so that a back-test chooses it 13 times a year; the rate is that of the window before asof. ``factors`` names it.

    Raises:
        CannotTell: no layers, none with a feature known before asof, under 30 incidents, all at one address, nothing before asof, or the area is empty.
        BadInput: columns, weights, lengths or times that cannot be used.

    Cost: 40,000 cells x 45 layers in a few seconds; see ``benchmarks/risk_terrain.py``.
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=_LEAST)
    made = estimate(before, grid, ahead, layers=layers, block=block, extents=extents, operations=operations, aggravating=aggravating, seed=seed)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (risk terrain)", source=_SOURCE)


def estimate(
    before: Past,
    grid: Grid,
    horizon: timedelta,
    *,
    layers: Mapping[str, pl.DataFrame] | None = None,
    block: float = 150.0,
    extents: int = 3,
    operations: Sequence[str] = OPERATIONS,
    aggravating: bool = True,
    seed: int = 0,
) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    arguments = (grid, layers, block, extents, operations, aggravating, seed)
    known = _lags.settled(before)
    try:
        made = _terrain(known, *arguments)
    except CannotTell:
        made = _terrain(before, *arguments)
    total = len(before) * (horizon / before.length)
    expected = made.risk * (total / float(made.risk.sum()))
    chosen = ", ".join(str(made.layers[j]) for j in made.fit.columns) or "none"
    parameters = {**_parameters(made, block, aggravating, seed), "layers chosen": chosen}
    how = f"{several(len(made.fit.columns), 'layer')} of {len(made.layers)} by elastic net and BIC"
    return Estimate(expected, before.length.total_seconds(), f"risk terrain ({_family(made.fit)} regression, {how})", parameters, made.notes)


@recorded
def factors(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    layers: Mapping[str, pl.DataFrame] | None = None,
    block: float = 150.0,
    extents: int = 3,
    operations: Sequence[str] = OPERATIONS,
    aggravating: bool = True,
    window: Span = "365d",
    resamples: int = 50,
    seed: int = 0,
) -> Ranking:
    """Which factors go with incidents, how far they reach, by how much, and how surely they were chosen. Arguments as ``surface``.

    Args:
        resamples: how often the stepwise choice is repeated, from all layers, on blocks of cells drawn with replacement; 0 = not.

    Returns: a Ranking. ``table``: rank, factor, operation, reach_m, relative_risk, lower, upper (95 %), p, chosen (share of the resamples in which the factor
    was chosen, whatever its operation and reach; null without resamples), chosen_so (with this very layer), cells, incidents (within the layer). The intervals
    and p are those of the chosen model as if it had been known beforehand; choosing makes them too narrow, and ``chosen`` says how sure the choice is.

    Raises: as ``surface``.

    Cost: as ``surface``, and some hundredths of a second a resample.
    """
    if isinstance(resamples, bool) or not isinstance(resamples, int) or not 0 <= resamples <= 10_000:
        raise BadInput(f"resamples={resamples!r} does not do; give how often to repeat the choice, 0 to 10,000.")
    before = past(incidents, grid, moment(asof), window, least=_LEAST)
    made = _terrain(before, grid, layers, block, extents, operations, aggravating, seed)
    often, so = _stability(made, aggravating, resamples, seed)
    table = _table(made, often, so)
    cause = "A factor that goes with incidents need not cause them: what else stands there, and who reports, is not in the model."
    basis = Basis.of(
        incidents,
        method=f"risk terrain: elastic net, stepwise BIC, {_family(made.fit)} regression; block resamples",
        source=_SOURCE,
        used=len(before),
        asof=before.asof,
        notes=(*before.notes, *made.notes, *_missed(made, often), cause),
        parameters={
            **_parameters(made, block, aggravating, seed),
            "dispersion": round(made.fit.alpha, 4),
            "extents": extents,
            "operations": list(operations),
            "window": said(before.window),
            "cell": f"{grid.cell:g} m",
            "resamples": resamples,
        },
    )
    drawn = np.flatnonzero(grid.inside & (made.risk > 1 + 1e-9))
    shown = drawn[np.argsort(-made.risk[drawn], kind="stable")][:10_000]
    shown.sort()
    tips = tuple(f"{r:.1f} times the risk of a cell where no layer applies" for r in made.risk[shown])
    layer = Cells("Relative risk", grid, shown, made.risk[shown], unit="times the risk where no layer applies", tips=tips)
    return Ranking(headline=_headline(made, table, resamples), table=table, layers=(layer,), basis=basis, base=origin_of(incidents).base)


def _parameters(made: Terrain, block: float, aggravating: bool, seed: int) -> dict[str, Any]:
    return {"layers tried": len(made.layers), "layers left by the elastic net": len(made.left), "penalty": float(f"{made.penalty:.3g}"),
            "counts": _family(made.fit), "BIC": round(made.fit.bic, 1), "aggravating only": aggravating, "block": f"{block:g} m", "seed": seed}


def _family(fit: fitting.Fit) -> str:
    return "negative binomial" if fit.alpha > 0 else "Poisson"


# --- choosing -----------------------------------------------------------------------------------------------------------------------


def _terrain(before: Past, grid: Grid, frames: Mapping[str, pl.DataFrame] | None, block: float, extents: int, operations: Sequence[str], aggravating: bool,
             seed: int) -> Terrain:
    """The terrain as of that past's asof, from memory where the same was chosen before."""
    far = terrain_layers.reaches(block, extents)
    found, notes = terrain_layers.features(frames, grid, before.asof, before.window)
    counts = np.bincount(before.cell, minlength=len(grid)).astype(float)
    key = hashlib.blake2b(digest_size=16)
    said_ = (grid.x0, grid.y0, grid.nx, grid.ny, grid.cell, grid.plane.crs, far, tuple(operations), aggravating, seed, notes, [f.name for f in found])
    for piece in (repr(said_).encode(), grid.inside.tobytes(), counts.tobytes(), *(a.tobytes() for f in found for a in (f.x, f.y, f.weight))):
        key.update(piece)
    made = _kept.get(key.digest())
    if made is None:
        made = _choose(counts[grid.inside], found, notes, grid, far, operations, aggravating, seed)
        while len(_kept) >= 16:
            _kept.pop(next(iter(_kept)), None)
        _kept[key.digest()] = made
    return made


def _choose(counts: Floats, found: Sequence[Features], notes: Sequence[str], grid: Grid, far: Sequence[float], operations: Sequence[str], aggravating: bool,
            seed: int) -> Terrain:
    if counts.sum() < _LEAST:
        raise CannotTell(f"{counts.sum():.0f} incidents are too few to choose among layers; at least {_LEAST} are needed: use a longer window or a wider "
                         "offence group.")
    layers, x, more = terrain_layers.build(found, grid, far, operations)
    empty = sums(x, counts) == 0
    if empty.any() and not empty.all():
        more = [*more, f"{int(empty.sum())} layers hold no incident and are not tried."]
        layers, x = [layer for layer, none in zip(layers, empty, strict=True) if not none], x[:, ~empty]
    rows, at = fitting.collapse(x)
    names = sorted({layer.factor for layer in layers})
    factor = np.array([names.index(layer.factor) for layer in layers], dtype=np.int64)
    blocks = _blocks(grid)
    whole = fitting.table(rows, at, counts)
    left, penalty = _cull(whole, rows, at, counts, blocks, aggravating, seed)
    poisson = fitting.stepwise(whole, factor, left, negative=False, positive=aggravating)
    wider = fitting.stepwise(whole, factor, left, negative=True, positive=aggravating)
    fit, told = poisson, [*notes, *more]
    if not wider.ok:
        told.append("The negative binomial could not be fitted (it did not converge to a finite likelihood), so Poisson is used; where counts vary more than "
                    "Poisson lets them, its intervals are too narrow.")
    elif wider.bic < poisson.bic or not poisson.ok:
        fit = wider
    if not (poisson.ok or wider.ok):
        raise CannotTell("Neither a Poisson nor a negative binomial regression of these counts on the layers converged; give fewer layers or larger cells.")
    if not fit.columns:
        told.append("No layer was kept, so the terrain is even.")
    risk = np.zeros(len(grid))
    risk[grid.inside] = np.exp(rows[:, list(fit.columns)] @ fit.beta[1:])[at]
    return Terrain(tuple(layers), tuple(left), penalty, fit, risk, tuple(told), rows, at, counts, blocks, factor)


def _blocks(grid: Grid) -> Ints:
    """Squares of cells, about a hundred over the area and at least three cells wide; which one each cell inside lies in."""
    side = max(3, math.ceil(math.sqrt(grid.n_inside / 100)))
    cells = np.flatnonzero(grid.inside)
    return np.unique((cells // grid.nx // side) * (grid.nx // side + 1) + cells % grid.nx // side, return_inverse=True)[1].astype(np.int64)


def _cull(whole: fitting.Table, rows: Floats, at: Ints, counts: Floats, blocks: Ints, aggravating: bool, seed: int) -> tuple[list[int], float]:
    n = int(blocks.max()) + 1
    if n < 2:
        return list(range(rows.shape[1])), 0.0
    fold = (np.random.default_rng(seed).permutation(n) % min(_FOLDS, n))[blocks]
    folds = [fitting.table(rows, at[fold == k], counts[fold == k]) for k in range(min(_FOLDS, n))]
    use = [f for f in folds if 0 < f.y.sum() < whole.y.sum()]
    if len(use) < 2:
        return list(range(rows.shape[1])), 0.0
    return fitting.culled(rows, whole.y, whole.m, np.array([f.y for f in use]), np.array([f.m for f in use]), mix=_MIX, positive=aggravating)


def _stability(made: Terrain, aggravating: bool, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """In which share of the resamples each factor, and each layer, was chosen."""
    n = int(made.block.max()) + 1
    rng = np.random.default_rng([seed, 1])
    often, so, done = np.zeros(int(made.factor.max()) + 1), np.zeros(len(made.layers)), 0
    for _ in range(resamples if n > 1 else 0):
        taken = np.bincount(rng.integers(0, n, n), minlength=n)[made.block].astype(float)
        if (made.counts * taken).sum() < 1:
            continue
        again = fitting.stepwise(fitting.table(made.rows, made.at, made.counts, taken), made.factor, range(len(made.layers)), negative=False,
                                 positive=aggravating, deep=3, alpha=made.fit.alpha)
        done += 1
        often[made.factor[list(again.columns)]] += 1
        so[list(again.columns)] += 1
    return (often / done, so / done) if done else (np.full(len(often), np.nan), np.full(len(so), np.nan))


# --- saying -------------------------------------------------------------------------------------------------------------------------


def _table(made: Terrain, often: Floats, so: Floats) -> pl.DataFrame:
    error = np.sqrt(np.maximum(np.diag(made.fit.covariance)[1:], 0.0))
    rows: list[tuple[Any, ...]] = []
    for j, b, e in zip(made.fit.columns, made.fit.beta[1:], error, strict=True):
        layer, within = made.layers[j], made.rows[made.at, j] > 0
        p = math.erfc(abs(b) / e / math.sqrt(2)) if e > 0 else 1.0
        low, high = math.exp(b - 1.959964 * e), math.exp(b + 1.959964 * e)
        rows.append((layer.factor, layer.operation, layer.reach, math.exp(b), low, high, p, often[made.factor[j]], so[j], int(within.sum()),
                     int(made.counts[within].sum())))
    measured = ("reach_m", "relative_risk", "lower", "upper", "p", "chosen", "chosen_so")
    names = {"factor": pl.String, "operation": pl.String, **dict.fromkeys(measured, pl.Float64), "cells": pl.Int64, "incidents": pl.Int64}
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("chosen", "chosen_so").fill_nan(None))
    strength = pl.max_horizontal("relative_risk", 1 / pl.col("relative_risk"))
    return table.sort(strength, "factor", descending=[True, False]).with_row_index("rank", offset=1)


def _headline(made: Terrain, table: pl.DataFrame, resamples: int) -> str:
    names = {layer.factor for layer in made.layers}
    if table.is_empty():
        return (f"None of {several(len(names), 'factor')} ({several(len(made.layers), 'layer')}) is kept: none explains more of where {made.counts.sum():,.0f} "
                "incidents are than chance would, by BIC.")
    parts = []
    for row in table.head(3).iter_rows(named=True):
        where = f"within {row['reach_m']:.0f} m" if row["operation"] == "distance" else f"dense at {row['reach_m']:.0f} m"
        chosen = f", chosen in {100 * row['chosen']:.0f} % of resamples" if row["chosen"] is not None else ""
        parts.append(f"{row['factor']} {where} ({row['relative_risk']:.1f} times, 95 % interval {row['lower']:.1f} to {row['upper']:.1f}{chosen})")
    more = f" and {len(table) - 3} more" if len(table) > 3 else ""
    how = "" if resamples else "; ask for resamples to see how sure the choice is"
    go = "goes" if len(table) == 1 else "go"
    return (f"Of {several(len(names), 'factor')}, {len(table)} {go} with {made.counts.sum():,.0f} incidents: {'; '.join(parts)}{more}. "
            f"The intervals are too narrow, because the layers were chosen on the same incidents{how}.")


def _missed(made: Terrain, often: Floats) -> tuple[str, ...]:
    kept = {int(made.factor[j]) for j in made.fit.columns}
    names = {int(f): layer.factor for f, layer in zip(made.factor, made.layers, strict=True)}
    near = [f"{names[f]} ({100 * often[f]:.0f} %)" for f in sorted(names) if f not in kept and often[f] >= 0.5]
    return (f"Not kept, but chosen in half of the resamples or more: {', '.join(near)}.",) if near else ()

"""Where will the next incidents be, if many small trees weigh how much was how near and how lately? Gradient boosting, with LightGBM.

Trees of a Poisson regression on the features of ``lagged`` (counts that fade at several speeds, in the cell and around it), the time of the year, and how
far the next feature of each layer is, where layers are given. They start from the starting mix of ``lagged`` and grow on rolling origins inside the
past; how many is decided on the last quarter of those, then they are grown anew on all.
Needs the extra ``boosting``. Sources: G. Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 30, 2017; crime use:
A. P. Wheeler, W. Steenbeek, "Mapping the risk terrain for crime using machine learning", Journal of Quantitative Criminology 37, 2021, 445-480;
G. Mohler, M. D. Porter, "Rotational grid, PAI-maximizing crime forecasts", Statistical Analysis and Data Mining 11, 2018, 227-236.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, NotFound
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _lags, _terrain_layers, lagged
from workbench.models.hotspots._lags import DAY, Lags
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Surface, recorded

TITLE = "Gradient boosting"

_ROWS = 160_000  # cells times origins that are learned from, at most about
_LEAST = 100  # incidents that must have come after the origins
_FAR = 1000.0  # metres beyond which the next feature of a layer makes no difference
_SETTINGS: dict[str, Any] = {
    "objective": "poisson", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 200, "feature_fraction": 0.7, "lambda_l2": 10.0, "max_bin": 127,
    "poisson_max_delta_step": 0.7, "boost_from_average": False, "num_threads": 1, "deterministic": True, "force_col_wise": True, "verbosity": -1,
}
_grown: dict[bytes, Trees] = {}


@dataclass(frozen=True, eq=False)
class Trees:
    """Grown trees with what they ask of a cell."""

    booster: Any
    lags: Lags
    rounds: int
    origins: int
    incidents: int


def available() -> bool:
    """Whether LightGBM is installed."""
    return importlib.util.find_spec("lightgbm") is not None


@recorded
def surface(
    incidents: pl.DataFrame,
    grid: Grid,
    asof: Moment,
    *,
    layers: Mapping[str, pl.DataFrame] | None = None,
    window: Span = "1461d",
    horizon: Span = "7d",
    seed: int = 0,
    zone: str = "UTC",
) -> Surface:
    """Expected incidents by cell over ``horizon``, by gradient boosting.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used; text without a zone is UTC.
        layers: name -> frame of features with lon and lat, as in ``risk_terrain``; None = incidents alone.
        window: how far back incidents count.
        horizon: how far ahead.
        seed: of the columns that trees are grown on; one thread, so the same seed gives the same trees.
        zone: zone of the times in the sentence.

    Returns: a Surface. Trees are grown as of the last of fixed moments four weeks apart and kept in memory, as in ``lagged``.

    Raises:
        NotFound: LightGBM is not installed; the message names the extra.
        CannotTell: under 30 incidents can be placed, too few to grow trees, all at one address, nothing before asof, or the area is empty.
        BadInput: columns or times that cannot be used.

    Cost: a few seconds to grow, some tenths of a second afterwards (35,000 cells).
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=30)
    made = estimate(before, grid, ahead, layers=layers, seed=seed)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (gradient boosting)",
                         source="Ke et al. 2017; Wheeler and Steenbeek 2021; Mohler and Porter 2018")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, layers: Mapping[str, pl.DataFrame] | None = None, seed: int = 0) -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    if not available():
        raise NotFound("LightGBM is not installed, and gradient boosting needs it: install the workbench with its extra 'boosting' "
                       "(pip install 'workbench[boosting]'), or use hotspots.lagged, which learns from the same features and needs nothing more.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise BadInput(f"seed={seed!r} does not do; give a whole number from 0.")
    length, ahead = before.length.total_seconds(), horizon.total_seconds()
    known = _lags.settled(before)
    near, marks = _near(layers, known, grid)
    key, age, since = _lags.mark(known, grid, ahead, seed, marks)
    trees = _grown.get(key)
    if trees is None:
        trees = _grow(known.cell, age, since, known.length.total_seconds(), known.asof, grid, ahead, near, seed)
        while len(_grown) >= 32:
            _grown.pop(next(iter(_grown)), None)
        _grown[key] = trees
    x, offset = _asked(before.cell, before.age, length, before.asof, trees.lags, grid, ahead, near)
    expected = np.zeros(len(grid))
    expected[grid.inside] = np.exp(offset + trees.booster.predict(x, raw_score=True, num_threads=1))
    exposure = lagged._certain(lagged.Mix(trees.lags, np.ones(len(trees.lags)), 0.0, 0, 0), lagged._start(trees.lags), length)
    return Estimate(expected, exposure, f"gradient boosting, {trees.rounds} trees grown on {trees.incidents:,} incidents after {trees.origins} origins",
                    {"trees": trees.rounds, "origins": trees.origins, "features": x.shape[1], "seed": seed})


def _near(layers: Mapping[str, pl.DataFrame] | None, known: Past, grid: Grid) -> tuple[Floats, str]:
    """Metres to the next feature of each layer, shape (cells inside, layers), and a text that changes with any of it."""
    if not layers:
        return np.empty((grid.n_inside, 0)), ""
    found, _ = _terrain_layers.features(layers, grid, known.asof, known.window)
    near = np.column_stack([np.minimum(_terrain_layers.nearest(f.x, f.y, grid, _FAR)[grid.inside], 2 * _FAR) for f in found])
    return near, f"{[f.name for f in found]} {hashlib.blake2b(near.tobytes(), digest_size=16).hexdigest()}"


def _asked(cell: Ints, age: Floats, length: float, at: datetime, lags: Lags, grid: Grid, ahead: float, near: Floats) -> tuple[Floats, Floats]:
    """What trees ask of the cells inside at one origin, and the logarithm of the starting mix there."""
    cells = np.flatnonzero(grid.inside)
    features, _ = _lags.at_cells(cell, age, length, lags, grid, ahead, cells)
    middle = (at + timedelta(seconds=ahead / 2)).timetuple().tm_yday / 365.25 * 2 * math.pi
    season = np.tile([math.sin(middle), math.cos(middle)], (len(cells), 1))
    offset = np.log(np.maximum(features @ lagged._start(lags), 1e-12))
    return np.column_stack([features, near, season]), offset


def _grow(cell: Ints, age: Floats, known: Floats, length: float, asof: datetime, grid: Grid, ahead: float, near: Floats, seed: int) -> Trees:
    import lightgbm

    lags = Lags(_lags.half_lives(lagged.HALF_LIVES, timedelta(seconds=ahead)), _lags.bandwidths(lagged.BANDWIDTHS, grid), False)
    stretch = min(max(364 * DAY, 6 * ahead), 0.5 * length)
    count = min(max(6, min(26, _ROWS // grid.n_inside)), int(stretch / ahead + 1e-9))
    step = stretch / max(count, 1)
    rows, offsets, came = [], [], []
    for k in reversed(range(count)):
        later = ahead + k * step
        use = (age > later) & (known > later)
        if not use.any():
            continue
        x, offset = _asked(cell[use], age[use] - later, length - later, asof - timedelta(seconds=later), lags, grid, ahead, near)
        rows.append(x)
        offsets.append(offset)
        came.append(np.bincount(cell[(age <= later) & (age > later - ahead)], minlength=len(grid))[grid.inside].astype(float))
    total = float(sum(c.sum() for c in came))
    if len(rows) < 4 or total < _LEAST:
        raise CannotTell(f"{total:.0f} incidents after {len(rows)} origins with a past of their own are too few to grow trees; at least {_LEAST} after 4 "
                         "origins are needed: use a longer window, a wider offence group, or hotspots.lagged.")
    settings = {**_SETTINGS, "seed": seed}
    cut = len(rows) - max(1, len(rows) // 4)

    def data(part: slice, reference: Any = None) -> Any:
        x, y, start = (np.concatenate(a[part]) for a in (rows, came, offsets))
        return lightgbm.Dataset(x, y, init_score=start, reference=reference, params=settings)

    first = data(slice(0, cut))
    stop = lightgbm.early_stopping(10, verbose=False)
    tried = lightgbm.train(settings, first, 150, valid_sets=[data(slice(cut, None), first)], callbacks=[stop])
    rounds = max(1, int(tried.best_iteration or 1))
    return Trees(lightgbm.train(settings, data(slice(0, None)), rounds), lags, rounds, len(rows), int(total))

"""A back-test of 365 daily origins x 6 models on 6,400 cells, every score and interval: whole process, imports included.

No peer that installs scores rolling origins; beside it stands the plainest way in numpy and scipy to do a part of the same work (counts by cell of the
year before each origin, PAI at three shares and the CRPS of a Poisson by its sum over counts; no intervals, no other measure), for one model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Back-test, 365 daily origins on 6,400 cells (whole process, imports included)"
POINTS, SIDE, CELL = 40_000, 80, 250.0

_OURS = """
import sys, polars as pl
from functools import partial
from workbench.geo import Grid, Plane
from workbench.models.hotspots import backtest, counts, kde
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, 80, 80, 250.0)
models = {"counts": partial(counts.surface, half_life="90d"), "plain": partial(counts.surface, half_life=None),
          "fast": partial(counts.surface, half_life="30d"), "slow": partial(counts.surface, half_life="180d"),
          "kde": partial(kde.surface, bandwidth=400.0), "narrow": partial(kde.surface, bandwidth=250.0)}
if sys.argv[2] == "one":
    models = {"plain": models["plain"]}
elif sys.argv[2] == "counts":
    models = {f"{days} days": partial(counts.surface, half_life=f"{days}d") for days in (15, 30, 60, 90, 180, 360)}
result = backtest.rolling(pl.read_parquet(sys.argv[1]), grid, models, start="2025-01-01", end="2026-01-01", step="1d", horizon="1d")
if not result.table.height:
    raise SystemExit("nothing was scored")
"""
_PLAIN = """
import sys, numpy as np, polars as pl
from scipy.stats import poisson
frame = pl.read_parquet(sys.argv[1])
cell = ((frame["y"].to_numpy() // 250).astype(int) * 80 + (frame["x"].to_numpy() // 250).astype(int)).clip(0, 6399)
day = 365 * 2 - frame["minutes"].to_numpy() / 1440
k = np.arange(30)[:, None]
out = []
for origin in range(365, 730):
    expected = np.bincount(cell[(day >= origin - 365) & (day < origin)], minlength=6400) / 365 + 1e-4
    came = np.bincount(cell[(day >= origin) & (day < origin + 1)], minlength=6400)
    order = np.argsort(-expected, kind="stable")
    hits = np.cumsum(came[order]) / max(came.sum(), 1)
    out.append([hits[int(s * 6400) - 1] / s for s in (0.01, 0.02, 0.05)] + [np.mean(np.sum((poisson.cdf(k, expected) - (came <= k)) ** 2, axis=0))])
np.mean(out, axis=0)
"""


def _points(path: Path) -> None:
    """Two years of a made-up city: forty centres over an even background."""
    import polars as pl

    from workbench.geo import Plane

    rng = np.random.default_rng(1)
    size = SIDE * CELL
    middle, weight = rng.uniform(0.1 * size, 0.9 * size, (40, 2)), rng.gamma(1, 1, 40)
    which = rng.choice(40, POINTS, p=weight / weight.sum())
    xy = np.where(rng.random(POINTS)[:, None] < 0.15, rng.uniform(0, size, (POINTS, 2)), rng.normal(middle[which], 600)).clip(1, size - 1)
    lon, lat = Plane.local(41.6, -90.9).to_degrees(xy[:, 0], xy[:, 1])
    pl.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "lon": lon, "lat": lat, "minutes": rng.integers(1, 730 * 1440, POINTS)}).with_columns(
        started_at=pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC") - pl.duration(minutes="minutes")
    ).write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a method: seconds and CPU seconds of whole processes, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        points = Path(folder, "points.parquet")
        _points(points)
        task = "back-test"
        return [
            measure(task, "workbench backtest.rolling, 6 models (4 counts, 2 kernel densities)", _OURS, str(points), "six", note="12 measures, intervals"),
            measure(task, "workbench backtest.rolling, 6 models (counts)", _OURS, str(points), "counts", note="12 measures, intervals"),
            measure(task, "workbench backtest.rolling, 1 model", _OURS, str(points), "one", note="12 measures, intervals"),
            measure(task, "numpy and scipy by hand, 1 model", _PLAIN, str(points), note="PAI and CRPS only, no intervals"),
        ]

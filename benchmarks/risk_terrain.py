"""Risk terrain on 40,000 cells x 45 layers: the full selection as a whole process, beside statsmodels fitting one model of the same layers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Risk terrain, 40,000 cells x 45 layers (whole process, imports included)"
SIDE, CELL, FACTORS = 200, 100.0, 15

_READ = """
import sys, polars as pl
from pathlib import Path
from workbench.geo import Grid, Plane
folder, side, cell = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, side, side, cell)
incidents = pl.read_parquet(folder / "incidents.parquet")
layers = {p.stem: pl.read_parquet(p) for p in sorted(folder.glob("factor*.parquet"))}
"""
_FACTORS = (
    _READ
    + """
from workbench.models.hotspots import risk_terrain
found = risk_terrain.factors(incidents, grid, "2026-01-01", layers=layers, operations=("distance",), resamples=int(sys.argv[4]))
(folder / "said.txt").write_text(found.headline)
"""
)
_SURFACE = (
    _READ
    + """
from workbench.models.hotspots import risk_terrain
risk_terrain.surface(incidents, grid, "2026-01-01", layers=layers, operations=("distance",))
"""
)
_LAGGED = (
    _READ
    + """
from workbench.models.hotspots import lagged
lagged.surface(incidents, grid, "2026-01-01")
"""
)
_STATSMODELS = (
    _READ
    + """
import numpy as np, statsmodels.api as sm
from workbench.models.hotspots import _terrain_layers as made
from datetime import datetime, timedelta, UTC
found, _ = made.features(layers, grid, datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365))
_, x, _ = made.build(found, grid, [150.0, 300.0, 450.0], ("distance",))
sm.GLM(grid.count(incidents).astype(float), sm.add_constant(x), family=sm.families.Poisson()).fit()
"""
)


def _city(folder: Path) -> None:
    """Fifteen factors of 300 features; three of them raise the risk within 300 m, counts swing about it."""
    import polars as pl

    from workbench.geo import Grid, Plane
    from workbench.models.hotspots import _terrain_layers as made

    rng, plane = np.random.default_rng(0), Plane.local(41.6, -90.9)
    grid = Grid(plane, 0.0, 0.0, SIDE, SIDE, CELL)
    rate = np.full(len(grid), -1.6)
    for k in range(FACTORS):
        x, y = rng.uniform(0, SIDE * CELL, (2, 300))
        lon, lat = plane.to_degrees(x, y)
        pl.DataFrame({"lon": lon, "lat": lat}).write_parquet(folder / f"factor{k:02}.parquet")
        rate += (1.2, 0.8, 0.6, *([0.0] * FACTORS))[k] * (made.nearest(x, y, grid, 300.0) <= 300)
    cell = np.repeat(np.arange(len(grid)), rng.poisson(np.exp(rate) * rng.gamma(2, 0.5, len(grid))))
    lon, lat = plane.to_degrees((cell % SIDE + rng.random(len(cell))) * CELL, (cell // SIDE + rng.random(len(cell))) * CELL)
    minutes = rng.integers(1, 365 * 1440, len(cell))
    pl.DataFrame({"lon": lon, "lat": lat, "minutes": minutes}).with_columns(
        started_at=pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC") - pl.duration(minutes="minutes")
    ).drop("minutes").write_parquet(folder / "incidents.parquet")


def run() -> list[dict[str, Any]]:
    """One row a method: seconds and CPU seconds of whole processes and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _city(folder)
        base = (name, str(SIDE), str(CELL))
        rows = [measure("risk terrain", "workbench risk_terrain.factors (elastic net, stepwise BIC, both families)", _FACTORS, *base, "0", repeats=5)]
        rows[0]["note"] = (folder / "said.txt").read_text().split(";")[0]
        rows += [
            measure("risk terrain", "workbench risk_terrain.factors with 50 block resamples", _FACTORS, *base, "50", repeats=3),
            measure("risk terrain", "workbench risk_terrain.surface", _SURFACE, *base, repeats=3),
            measure("risk terrain", "statsmodels GLM Poisson, one fit of all 45 layers, nothing chosen", _STATSMODELS, *base, repeats=3),
            measure("lagged counts", "workbench lagged.surface, weights learned", _LAGGED, *base, repeats=3),
        ]
    return rows

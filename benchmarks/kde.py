"""Kernel density of 100,000 and 1 M incidents on 40,000 cells: the workbench against scipy, scikit-learn and KDEpy, each a whole process with imports."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Kernel density on 40,000 cells (whole process, imports included)"
POINTS, SIDE, CELL, BANDWIDTH = 100_000, 200, 100.0, 400.0

_READ = """
import sys, numpy as np, polars as pl
points, out, n, cell, h = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
"""
_MODEL = (
    _READ
    + """
from workbench.geo import Grid, Plane
from workbench.models.hotspots import kde
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, n, n, cell)
surface = kde.surface(pl.read_parquet(points), grid, "2026-01-01", bandwidth=h, edge=False)
np.save(out, surface.expected)
"""
)
_SPREAD = (
    _READ
    + """
from workbench.geo import Grid, Plane
from workbench.models.hotspots import kde
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, n, n, cell)
frame = pl.read_parquet(points)
np.save(out, kde.spread(*grid.metres(frame), grid, h, edge=False) / len(frame))
"""
)
_METRES = """
frame = pl.read_parquet(points)
x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
centre = (np.arange(n) + 0.5) * cell
gx, gy = (a.ravel() for a in np.meshgrid(centre, centre))
"""
_SCIPY = (
    _READ
    + _METRES
    + """
from scipy.stats import gaussian_kde
model = gaussian_kde(np.vstack([x, y]))
model.cho_cov = np.eye(2) * h  # the same round kernel for all
np.save(out, model(np.vstack([gx, gy])) * cell * cell)
"""
)
_SKLEARN = (
    _READ
    + _METRES
    + """
from sklearn.neighbors import KernelDensity
model = KernelDensity(bandwidth=h, kernel="gaussian", rtol=RTOL).fit(np.column_stack([x, y]))
np.save(out, np.exp(model.score_samples(np.column_stack([gx, gy]))) * cell * cell)
"""
)
_KDEPY = (
    _READ
    + """
from KDEpy import FFTKDE
frame = pl.read_parquet(points)
xy = np.column_stack([frame["x"].to_numpy(), frame["y"].to_numpy()])
line = (np.arange(-2, n + 2) + 0.5) * cell
gx, gy = np.meshgrid(line, line, indexing="ij")
made = FFTKDE(kernel="gaussian", bw=h).fit(xy).evaluate(np.column_stack([gx.ravel(), gy.ravel()])).reshape(n + 4, n + 4)
np.save(out, made[2:-2, 2:-2].T.ravel() * cell * cell)
"""
)


def _points(path: Path, points: int = POINTS) -> None:
    """A made-up city of incidents: forty centres of different weight and width over an even background."""
    import polars as pl

    from workbench.geo import Plane

    rng = np.random.default_rng(1)
    middle, width, weight = rng.uniform(2000, 18000, (40, 2)), rng.uniform(300, 1500, 40), rng.gamma(1, 1, 40)
    which = rng.choice(40, points, p=weight / weight.sum())
    xy = np.where(rng.random(points)[:, None] < 0.15, rng.uniform(0, 20000, (points, 2)), rng.normal(middle[which], width[which][:, None])).clip(1, 19999)
    lon, lat = Plane.local(41.6, -90.9).to_degrees(xy[:, 0], xy[:, 1])
    minutes = rng.integers(1, 365 * 1440, points)
    pl.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "lon": lon, "lat": lat, "minutes": minutes}).with_columns(
        started_at=pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC") - pl.duration(minutes="minutes")
    ).write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a method: seconds and CPU seconds of whole processes, memory, and how far the result is from scipy's exact sum."""
    methods = (
        ("workbench", "workbench kde.spread (the density alone)", _SPREAD, 5),
        ("surface", "workbench kde.surface (with interval, table, layers, basis)", _MODEL, 5),
        ("kdepy", "KDEpy FFTKDE", _KDEPY, 5),
        ("scipy", "scipy.stats.gaussian_kde", _SCIPY, 1),
        ("sklearn4", "scikit-learn KernelDensity (rtol 1e-4)", _SKLEARN.replace("RTOL", "1e-4"), 1),
    )
    with tempfile.TemporaryDirectory() as folder:
        points = Path(folder, "points.parquet")
        _points(points)
        rows, million, results = [], [], {}
        for key, name, code, repeats in methods:
            out = Path(folder, f"{key}.npy")
            rows.append(measure("density", name, code, str(points), str(out), str(SIDE), str(CELL), str(BANDWIDTH), repeats=repeats))
            results[key] = np.load(out)
        many = Path(folder, "many.parquet")
        _points(many, 1_000_000)
        for key, name, code, repeats in methods[:3]:
            million.append(measure("density of 1 M points", name, code, str(many), str(Path(folder, f"{key}-m.npy")), str(SIDE), str(CELL), str(BANDWIDTH),
                                   repeats=repeats))
    exact = results["scipy"]
    for (key, *_), row in zip(methods, rows, strict=True):
        result = results[key] / results[key].sum() * exact.sum() if key == "surface" else results[key]
        row["note"] = (
            "exact sum at cell centres" if key == "scipy" else f"largest difference from scipy {np.abs(result - exact).max() / exact.max():.1e} of the peak"
        )
    return rows + million

"""Local statistics, Ripley's K and the space-time scan: the workbench against esda and pointpats, each a whole process, imports included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Local and global statistics (whole process, imports included)"

_READ = """
import sys, numpy as np
import polars as pl
points, side, cell, option = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
frame = pl.read_parquet(points)
"""
_GRID = """
from workbench.geo import Grid, Plane
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, side, side, cell)
runs = None if option == "exact" else int(option)
"""
_LOCAL = _READ + _GRID + """
from workbench.models.hotspots import local
local.getis(frame, grid, "2026-01-01", permutations=runs)
local.moran(frame, grid, "2026-01-01", permutations=runs)
"""
_ESDA = _READ + """
from esda.getisord import G_Local
from esda.moran import Moran_Local
from libpysal.weights import lat2W
counts = np.histogram2d(frame["y"].to_numpy(), frame["x"].to_numpy(), bins=side, range=[[0, side * cell]] * 2)[0].ravel()
w = lat2W(side, side, rook=False)
G_Local(counts, w, star=True, transform="B", permutations=int(option), keep_simulations=False, n_jobs=1, seed=1)
Moran_Local(counts, w, permutations=int(option), keep_simulations=False, n_jobs=1, seed=1)
"""
_RIPLEY = _READ + """
from workbench.geo import Grid, Plane
from workbench.models.patterns import ripley
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, side, side, cell)
ripley.clustering(frame, grid, "2026-01-01", radius=2000.0, steps=40, correction=option, simulations=0)
"""
_POINTPATS = _READ + """
from pointpats import distance_statistics
distance_statistics.k(np.column_stack([frame["x"].to_numpy(), frame["y"].to_numpy()]), support=np.linspace(0, 2000, 41))
"""
_SCAN = _READ + _GRID + """
from workbench.models.patterns import scan
scan.clusters(frame, grid, "2026-01-01", radius=1000.0, longest="30d", permutations=runs, rate=0.05)
"""


def _points(path: Path, n: int) -> None:
    """Incidents of a year about forty centres over an even background, 20 by 20 km."""
    import polars as pl

    from workbench.geo import Plane

    rng = np.random.default_rng(1)
    middle, width = rng.uniform(2000, 18000, (40, 2)), rng.uniform(300, 1500, 40)
    which = rng.integers(0, 40, n)
    xy = np.where(rng.random(n)[:, None] < 0.5, rng.uniform(0, 20000, (n, 2)), rng.normal(middle[which], width[which][:, None])).clip(1, 19999)
    lon, lat = Plane.local(41.6, -90.9).to_degrees(xy[:, 0], xy[:, 1])
    pl.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "lon": lon, "lat": lat, "minutes": rng.integers(1, 365 * 1440, n)}).with_columns(
        started_at=pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC") - pl.duration(minutes="minutes")
    ).write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a task and method: seconds and CPU seconds of whole processes, memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = {n: str(Path(folder, f"{n}.parquet")) for n in (5_000, 100_000)}
        for n, path in files.items():
            _points(Path(path), n)
        for side, cell in ((200, 100.0), (400, 50.0)):
            task = f"Gi* and local Moran, {side * side:,} cells"
            asked = (files[100_000], str(side), str(cell))
            rows += [measure(task, "workbench (exact law, both)", _LOCAL, *asked, "exact"),
                     measure(task, "workbench (999 permutations, both)", _LOCAL, *asked, "999"),
                     *([measure(task, "esda (999 permutations, both)", _ESDA, *asked, "999", repeats=1, note="one-sided pseudo p-values")]
                       if side == 200 else [])]
        task = "Ripley's K, 100,000 points within 2 km on 400 km2"
        rows += [measure(task, f"workbench ({c})", _RIPLEY, files[100_000], "200", "100", c) for c in ("translation", "isotropic", "none")]
        task = "Ripley's K, 5,000 points within 2 km on 400 km2"
        rows += [measure(task, "workbench (translation)", _RIPLEY, files[5_000], "200", "100", "translation"),
                 measure(task, "pointpats (none)", _POINTPATS, files[5_000], "200", "100", "none", repeats=1, note="all pairs in memory; 100,000 need 40 GB")]
        task = "Space-time permutation scan, 5,000 points, 1 km, 30 days"
        rows += [measure(task, f"workbench ({k} permutations)", _SCAN, files[5_000], "200", "100", k, repeats=r) for k, r in (("99", 3), ("999", 1))]
    return rows

"""Fit of the self-exciting model on 5,000, 20,000 and 100,000 incidents, each a whole process, imports included. No peer that installs fits this model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Self-exciting model, fit with standard errors (whole process, imports included)"
SIDE, DAYS = 20_000.0, 1095.0
NEAR, SPREAD, DELAY = 0.25, 80.0, 10.0

_FIT = """
import sys, json, polars as pl
from workbench.geo import Grid, Plane
from workbench.models.hotspots import self_exciting
grid = Grid(Plane.local(41.6, -90.9), 0.0, 0.0, 80, 80, 250.0)
found = self_exciting.fit(pl.read_parquet(sys.argv[1]), grid, "2026-01-01")
json.dump([found.fitted.near, found.fitted.spread, found.fitted.decay], open(sys.argv[2], "w"))
"""


def _incidents(path: Path, n: int) -> None:
    """A made-up city: addresses of very different risk on a street grid, a quarter of the incidents led to by earlier ones."""
    import polars as pl

    from workbench.geo import Plane

    rng = np.random.default_rng(7)
    centre, weight, width = rng.uniform(0.1 * SIDE, 0.9 * SIDE, (60, 2)), rng.pareto(1.1, 60) + 0.2, rng.uniform(300, 1800, 60)
    places = max(2000, n // 12)
    which = rng.choice(60, places, p=weight / weight.sum())
    about = centre[which] + rng.normal(0, 1, (places, 2)) * width[which][:, None]
    place = np.where(rng.random(places)[:, None] < 0.15, rng.uniform(0, SIDE, (places, 2)), about)
    street, other = rng.integers(0, 2, places), np.arange(places)
    place[other, street] = np.round(place[other, street] / 120) * 120
    place[other, 1 - street] = np.round(place[other, 1 - street] / 15) * 15
    place, risk = place.clip(1, SIDE - 1), rng.pareto(1.3, places) + 0.05
    first = int(n * (1 - NEAR))
    every, days = [place[rng.choice(places, first, p=risk / risk.sum())]], [rng.uniform(0, DAYS, first)]
    while len(days[-1]):
        parent = np.repeat(np.arange(len(days[-1])), rng.poisson(NEAR, len(days[-1])))
        at, then = every[-1][parent] + rng.normal(0, SPREAD, (len(parent), 2)), days[-1][parent] + rng.exponential(DELAY, len(parent))
        use = (then < DAYS) & (at > 1).all(axis=1) & (at < SIDE - 1).all(axis=1)
        every.append(at[use])
        days.append(then[use])
    at, then = np.concatenate(every), np.concatenate(days)
    lon, lat = Plane.local(41.6, -90.9).to_degrees(at[:, 0], at[:, 1])
    seconds = np.round((DAYS - then) * 86400).astype(np.int64) + 1
    pl.DataFrame({"lon": lon, "lat": lat, "back": seconds}).with_columns(
        started_at=pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC") - pl.duration(seconds="back")
    ).drop("back").write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a size: seconds and CPU seconds of whole processes, memory, and the parameters found beside the planted ones."""
    import json

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in (5_000, 20_000, 100_000):
            points, out = Path(folder, f"{n}.parquet"), Path(folder, f"{n}.json")
            _incidents(points, n)
            row = measure(f"{n:,} incidents", "workbench self_exciting.fit", _FIT, str(points), str(out))
            near, spread, decay = json.loads(out.read_text())
            row["note"] = f"near {near:.3f} (planted {NEAR}), spread {spread:.0f} m ({SPREAD:.0f}), delay {decay:.1f} days ({DELAY:.0f})"
            rows.append(row)
    return rows

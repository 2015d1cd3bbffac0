"""Near repeats by 999 permutations and 80 bands: the workbench against pointpats, which takes one band at a time; whole processes, imports included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Near repeats: Knox, Mantel and Jacquez with 999 permutations (whole process, imports included)"
SIZES = (1_000, 5_000, 20_000)
_SIDE, _DAYS = 20_000.0, 1_095

_KNOX = """
import sys, numpy as np, polars as pl
from workbench.models.patterns import near_repeat
made = near_repeat.knox(pl.read_parquet(sys.argv[1]), distances=tuple(range(100, 1001, 100)), times=[f"{7 * k}d" for k in range(1, 9)], same_place=None)
np.save(sys.argv[2], made.table["observed"].to_numpy())
"""
_FIRST = _KNOX.replace("knox(", "first(")
_POINTPATS = """
import sys, numpy as np, polars as pl
from pointpats import Knox
frame = pl.read_parquet(sys.argv[1])
np.random.seed(1)
made = Knox(frame.select("x", "y").to_numpy(), frame.select("day").to_numpy().astype(float), delta=100 - 1e-6, tau=6.0, permutations=999)
np.save(sys.argv[2], np.array([made.nst]))
"""
_TEST = """
import sys, numpy as np, polars as pl
from workbench.models.patterns import space_time
made = space_time.TEST(pl.read_parquet(sys.argv[1]))
np.save(sys.argv[2], made.table["p"].to_numpy())
"""
_PEER = """
import sys, numpy as np, polars as pl
from pointpats import spacetime
frame = pl.read_parquet(sys.argv[1])
np.random.seed(1)
made = spacetime.TEST(frame.select("x", "y").to_numpy(), frame.select("day").to_numpy().astype(float), OPTIONS)
np.save(sys.argv[2], np.array([made["pvalue"]]))
"""


def _city(path: Path, n: int) -> None:
    """A made-up city: addresses about sixty centres of very different weight, a quarter of the incidents following an earlier one."""
    import polars as pl

    rng = np.random.default_rng(7)
    middle, wide, weight = rng.uniform(0.1, 0.9, (60, 2)) * _SIDE, rng.uniform(300, 1800, 60), rng.pareto(1.1, 60) + 0.2
    places = max(2_000, n // 12)
    which = rng.choice(60, places, p=weight / weight.sum())
    address = np.round(np.clip(middle[which] + rng.normal(0, 1, (places, 2)) * wide[which][:, None], 0, _SIDE - 1) / 15) * 15
    popular = rng.pareto(1.3, places) + 0.05
    first = n * 3 // 4
    xy, t = address[rng.choice(places, first, p=popular / popular.sum())], rng.uniform(0, _DAYS, first)
    parent = rng.integers(0, first, n - first)
    xy = np.concatenate([xy, xy[parent] + rng.normal(0, 80, (n - first, 2))])
    t = np.concatenate([t, np.minimum(t[parent] + rng.exponential(10, n - first), _DAYS - 0.01)])
    start = pl.lit("2023-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    pl.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "day": np.floor(t).astype(np.int64), "late": (t * 86_400e6).astype(np.int64)}).with_columns(
        started_at=start + pl.duration(microseconds="late")).drop("late").write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a size and method: seconds and CPU seconds of whole processes, memory, and whether the peer counted the same pairs."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in SIZES:
            points, mine, theirs = (str(Path(folder, f"{name}{n}")) for name in ("points", "mine", "theirs"))
            _city(Path(points), n)
            task = f"knox, {n:,} points"
            rows.append(measure(task, "workbench near_repeat.knox (80 bands, 999 permutations)", _KNOX, points, mine + ".npy", repeats=5))
            rows.append(measure(task, "workbench near_repeat.first (80 bands, exact moments)", _FIRST, points, mine + ".npy", repeats=3))
            if n <= 1_000:  # the peer's time grows with the square: minutes at 5,000
                rows.append(measure(task, "pointpats Knox (1 band, 999 permutations)", _POINTPATS, points, theirs + ".npy", repeats=1))
                same = np.load(mine + ".npy")[0] == np.load(theirs + ".npy")[0]
                rows[-1]["note"] = f"one of the 80 bands; counts {'the same pairs' if same else 'OTHER pairs'}"
        points, mine = str(Path(folder, "points1000")), str(Path(folder, "p.npy"))
        for test, options in (("mantel", "permutations=999, scon=100.0, spow=-1.0, tcon=1.0, tpow=-1.0"), ("jacquez", "k=5, permutations=99")):
            rows.append(measure(f"{test}, 1,000 points", f"workbench space_time.{test}", _TEST.replace("TEST", test), points, mine, repeats=3))
            peer = _PEER.replace("TEST", test).replace("OPTIONS", options)
            rows.append(measure(f"{test}, 1,000 points", f"pointpats {test}", peer, points, mine, repeats=1,
                                note="99 permutations only" if test == "jacquez" else ""))
    return rows

"""Incidents of known spans put on the 168 hours of the week, with intervals: the workbench against the sum hour by hour in polars and in pandas.

No aoristic package for Python installs; the peers are the plain ways of writing it: one row for each incident and hour. Each is a whole process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Aoristic weights by hour of the week (whole process, imports included)"
SIZES = (100_000, 1_000_000)

_MODEL = """
import sys, numpy as np, polars as pl
from workbench.models.patterns import aoristic
answer = aoristic.hours(pl.read_parquet(sys.argv[1]), "2026-01-20", fold="week", zone="America/Chicago", window="1500d")
np.save(sys.argv[2], answer.table["incidents"].to_numpy())
"""
_POLARS = """
import sys, numpy as np, polars as pl
frame = pl.read_parquet(sys.argv[1]).with_columns(pl.col("ended_at").fill_null(pl.col("started_at"))).with_row_index("row")
out = np.zeros(168)
for part in frame.iter_slices(200_000):
    long = part.with_columns(at=pl.datetime_ranges(pl.col("started_at").dt.truncate("1h"), pl.col("ended_at").dt.truncate("1h"), "1h")).explode("at")
    begin, stop = pl.max_horizontal("at", "started_at"), pl.min_horizontal(pl.col("at") + pl.duration(hours=1), "ended_at")
    length = (pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds()
    there = pl.col("at").dt.convert_time_zone("America/Chicago")
    share = pl.when(length > 0).then((stop - begin).dt.total_microseconds() / length).otherwise(1.0)
    sums = long.select(hour=(there.dt.weekday().cast(pl.Int64) - 1) * 24 + there.dt.hour(), w=share).group_by("hour").agg(pl.col("w").sum())
    out[sums["hour"].to_numpy()] += sums["w"].to_numpy()
np.save(sys.argv[2], out)
"""
_PANDAS = """
import sys, numpy as np, pandas as pd
frame = pd.read_parquet(sys.argv[1])
start = frame["started_at"]
end = frame["ended_at"].fillna(start)
out = np.zeros(168)
first, last = start.dt.floor("h"), end.dt.floor("h")
many = ((last - first) // pd.Timedelta("1h")).to_numpy() + 1
length = (end - start).dt.total_seconds().to_numpy()
for k in range(many.max()):
    use = many > k
    at = first[use] + pd.Timedelta(hours=k)
    part = (np.minimum(at + pd.Timedelta("1h"), end[use]) - np.maximum(at, start[use])).dt.total_seconds().to_numpy()
    there = at.dt.tz_convert("America/Chicago")
    weight = np.divide(part, length[use], out=np.ones(use.sum()), where=length[use] > 0)
    out += np.bincount(there.dt.dayofweek * 24 + there.dt.hour, weights=weight, minlength=168)
np.save(sys.argv[2], out)
"""


def _incidents(path: Path, n: int) -> None:
    """Incidents of three years; two in three have a span of hours (exponential, mean 12, at most a week)."""
    import polars as pl

    r = np.random.default_rng(1)
    start = np.int64(1_672_531_200_000_000) + r.integers(0, 1_095 * 86_400, n) * 1_000_000
    length = np.minimum(r.exponential(12, n) * 3_600e6, 167 * 3_600e6).astype(np.int64) // 60_000_000 * 60_000_000
    kind = pl.Datetime("us", "UTC")
    frame = pl.DataFrame({"started_at": start, "ended_at": start + length, "known": r.random(n) < 1 / 3})
    frame.with_columns(pl.col("started_at", "ended_at").cast(kind)).select(
        "started_at", ended_at=pl.when("known").then(None).otherwise("ended_at")).write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a size and method: seconds and CPU seconds of whole processes, memory, and the largest difference from the workbench's sums."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in SIZES:
            data = Path(folder, f"{n}.parquet")
            _incidents(data, n)
            results = {}
            methods = (("workbench", "workbench aoristic.hours (intervals, basis)", _MODEL, 5), ("polars", "polars, a row an hour", _POLARS, 2),
                       ("pandas", "pandas, hour after hour", _PANDAS, 2))
            for key, name, code, repeats in methods[: 3 if n == SIZES[0] else 2]:  # pandas takes minutes for the million
                out = Path(folder, f"{key}.npy")
                row = measure(f"aoristic {n:,}", name, code, str(data), str(out), repeats=repeats)
                results[key] = np.load(out)
                row["note"] = f"sums within {np.abs(results[key] - results['workbench']).max():.0e} of the workbench" if key != "workbench" else ""
                rows.append(row)
    return rows

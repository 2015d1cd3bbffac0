"""Plates near several of six scenes among 10 M reads: the workbench on prepared reads against DuckDB joins and the same kind of score, both warm."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure
from benchmarks.simulated_reads import shuffled

TITLE = "Stakeout: plates near at least 3 of 6 scenes, 10 M reads of 30 days by 300 readers (one question on reads that are ready)"
READS = 10_000_000
_WIDE, _DEEP, _DAYS, _SCENES, _PLANTED, _APART = 20, 15, 30, 6, 10, 700.0
_SHUFFLES = 3

_OURS = """
import json, sys, time, polars as pl
from workbench.models import plates
from workbench.models.plates import stakeout
ready = plates.prepare(pl.read_parquet(sys.argv[1]))
scenes, truth = pl.read_parquet(sys.argv[2]), set(json.load(open(sys.argv[3])))
wall, cpu = [], []
for k in range(12):
    a, b = time.perf_counter(), time.process_time()
    found = stakeout.stakeout(ready, scenes, least=3)
    wall.append(time.perf_counter() - a), cpu.append(time.process_time() - b)
hits = sum(p in truth for p in found.table["plate"][:10])
note = f"P@10 = {hits / 10:.1f}, {(found.table['q'] <= 0.05).sum()} plates at q = .05 of {len(truth)} planted"
json.dump({"wall": wall[1:], "cpu": cpu[1:], "note": note}, open(sys.argv[4], "w"))
"""
_PEER = """
import json, sys, time, duckdb, numpy as np, polars as pl
c = duckdb.connect(config={"threads": 2})
reads, scenes, truth = pl.read_parquet(sys.argv[1]), pl.read_parquet(sys.argv[2]), set(json.load(open(sys.argv[3])))
spots = reads.select("reader", "lon", "lat").unique()
c.register("d", reads.select("plate", "reader", ts=pl.col("read_at").dt.epoch("s")).to_arrow())
c.execute("create table r as select plate::varchar p, reader::varchar r, ts from d order by reader, ts")
c.execute("create table rp as select p, r, ts, (ts % 86400)::int tod, (ts // 86400)::int dy from r order by p, r, tod")
x, y = (pl.col("lon") - pl.col("lon_right")) * 83100, (pl.col("lat") - pl.col("lat_right")) * 111200
pairs = scenes.join(spots, how="cross").filter(x ** 2 + y ** 2 <= 800 ** 2)
at = pairs["started_at"].dt.epoch("s")
c.register("scv", pairs.select(s=pl.col("incident_id"), r="reader", t0=at - 1800, t1=at + 1800).to_arrow())
c.execute("create table sc as select s::varchar s, r::varchar r, t0, t1, (t0 % 86400)::int o0, (t1 % 86400)::int o1, (t0 // 86400)::int dy from scv")
wall, cpu = [], []
for k in range(6):
    a, b = time.perf_counter(), time.process_time()
    v = c.sql("select p, count(distinct s) k from r join sc on r.r = sc.r and ts between t0 and t1 group by p having k >= 3").pl()
    c.register("vv", v.to_arrow())
    e = c.sql("select rp.p, s, count(*) / 29.0 lam from rp join vv using (p) join sc on rp.r = sc.r and tod between o0 and o1 and rp.dy <> sc.dy "
              "group by all").pl()
    L = np.full((len(v), 6), 0.003)
    names, ids = v["p"].to_list(), scenes["incident_id"].to_list()
    where = {p: i for i, p in enumerate(names)}
    for p, s, lam in e.iter_rows():
        L[where[p], ids.index(s)] += lam
    p = 1 - np.exp(-L)
    dist = np.zeros((len(v), 7))
    dist[:, 0] = 1
    for j in range(6):
        dist[:, 1:] = dist[:, 1:] * (1 - p[:, [j]]) + dist[:, :-1] * p[:, [j]]
        dist[:, 0] *= 1 - p[:, j]
    tail = np.array([dist[i, k:].sum() for i, k in enumerate(v["k"])])
    wall.append(time.perf_counter() - a), cpu.append(time.process_time() - b)
first = [names[i] for i in np.argsort(tail, kind="stable")[:10]]
note = f"P@10 = {sum(x in truth for x in first) / 10:.1f}; a fixed floor, no q, no spans"
json.dump({"wall": wall[1:], "cpu": cpu[1:], "note": note}, open(sys.argv[4], "w"))
"""


def _city(folder: Path, n: int) -> None:
    """Reads of commuters and of trips of all kinds on a grid of readers; ten little-read plates at four of six scenes."""
    import polars as pl

    from workbench.geo import Plane

    rng = np.random.default_rng(7)
    trips = int(n / 5.6)
    vehicles = trips // 25
    often = rng.pareto(1.3, vehicles) + 0.2
    home = rng.integers(0, [_WIDE, _DEEP], (vehicles, 2))
    work = np.clip(np.round(rng.normal([10, 7], [3, 2.5], (vehicles, 2))), 0, [_WIDE - 1, _DEEP - 1]).astype(int)
    leaves = rng.normal(7.8 * 3600, 2700, vehicles)
    commute = int(trips * 0.45)
    v = np.concatenate([rng.integers(0, vehicles * 15 // 100, commute), rng.choice(vehicles, trips - commute, p=often / often.sum())])
    morning = rng.random(trips) < 0.5
    anywhere = np.clip(np.round(rng.normal([10, 7], [4, 3.5], (trips, 2))), 0, [_WIDE - 1, _DEEP - 1]).astype(int)
    commuting = np.arange(trips) < commute
    a = np.where((commuting & ~morning)[:, None], work[v], home[v])
    b = np.where(commuting[:, None], np.where(morning[:, None], work[v], home[v]), anywhere)
    start = np.where(commuting, leaves[v] + np.where(morning, 0, 9 * 3600) + rng.normal(0, 300, trips), np.clip(rng.normal(14, 4.5, trips), 0, 23.5) * 3600)
    day, pace = rng.integers(0, _DAYS, trips), rng.uniform(60, 130, trips)
    length = np.abs(a - b).sum(axis=1) + 1
    row = np.repeat(np.arange(trips), length)
    step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    kept = rng.random(len(row)) < 0.55
    row, step = row[kept], step[kept]
    across = np.abs(a - b)[row, 0]
    x = a[row, 0] + np.sign(b - a)[row, 0] * np.minimum(step, across)
    y = a[row, 1] + np.sign(b - a)[row, 1] * np.maximum(step - across, 0)
    plate, reader, at = v[row], y * _WIDE + x, (day[row] * 86400 + start[row] + step * pace[row]).astype(np.int64)
    sites = rng.choice([j * _WIDE + i for i in range(7, 14) for j in range(5, 10)], _SCENES, replace=False)
    when = (rng.choice(_DAYS, _SCENES, replace=False) * 86400 + rng.uniform(7.5, 19, _SCENES) * 3600).astype(np.int64)
    total = np.bincount(plate, minlength=vehicles)
    chosen = rng.choice(np.flatnonzero((total > 20) & (total < 120)), _PLANTED, replace=False)
    own = np.concatenate([rng.choice(_SCENES, 4, replace=False) for _ in chosen])
    plate = np.concatenate([plate, np.repeat(chosen, 4)])
    reader = np.concatenate([reader, sites[own]])
    at = np.concatenate([at, when[own] + rng.integers(-1500, 1500, len(own))])
    plane = Plane.local(41.6, -90.9)
    lon, lat = plane.to_degrees(np.arange(_WIDE * _DEEP) % _WIDE * _APART, np.arange(_WIDE * _DEEP) // _WIDE * _APART)
    since = 1_780_272_000  # 2026-06-01
    pl.DataFrame({"p": plate, "r": reader, "at": (at + since) * 1_000_000, "lon": lon[reader], "lat": lat[reader]}).with_row_index("n").select(
        read_id=pl.format("r{}", "n"), plate=pl.format("P{}", "p"), reader=pl.format("R{}", "r"), read_at=pl.col("at").cast(pl.Datetime("us", "UTC")),
        lon="lon", lat="lat").write_parquet(folder / "reads.parquet")
    pl.DataFrame({"incident_id": [f"S{i}" for i in range(_SCENES)], "lon": lon[sites], "lat": lat[sites],
                  "started_at": pl.Series((when + since) * 1_000_000).cast(pl.Datetime("us", "UTC"))}).write_parquet(folder / "scenes.parquet")
    (folder / "truth.json").write_text(json.dumps([f"P{p}" for p in chosen.tolist()]))


def run() -> list[dict[str, Any]]:
    """One row a method: seconds and CPU seconds of single questions after the first, memory of the whole process, and how many of the planted came first."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _city(folder, READS)
        inputs = [str(folder / f) for f in ("reads.parquet", "scenes.parquet", "truth.json", "told.json")]
        for method, code in (("workbench plates.stakeout (habits, draws of other days, q)", _OURS),
                             ("DuckDB joins on sorted tables, Poisson-binomial in numpy", _PEER)):
            row = measure(f"stakeout, {READS / 1e6:g} M reads", method, code, *inputs, repeats=1)
            told = json.loads((folder / "told.json").read_text())
            rows.append(row | {"seconds": told["wall"], "cpu_seconds": told["cpu"], "note": told["note"]})
        rows.append(_shuffled(folder))
    return rows


def _shuffled(folder: Path) -> dict[str, Any]:
    """What stands out where every plate's days are dealt out anew, so that nobody came for the scenes."""
    import polars as pl

    from workbench.models import plates
    from workbench.models.plates import stakeout

    reads, scenes = pl.read_parquet(folder / "reads.parquet"), pl.read_parquet(folder / "scenes.parquet")
    found, took = [], []
    for seed in range(_SHUFFLES):
        ready = plates.prepare(shuffled(reads, seed))
        start = time.perf_counter()
        made = stakeout.stakeout(ready, scenes, least=3)
        took.append(time.perf_counter() - start)
        found.append(int((made.table["q"] <= 0.05).sum()))
    return {"task": f"stakeout, {READS / 1e6:g} M reads, days dealt out anew", "method": "workbench plates.stakeout (first question)", "seconds": took,
            "note": f"plates at q = .05 in {_SHUFFLES} such cities: {', '.join(map(str, found))}"}

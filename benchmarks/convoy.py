"""Convoys: candidates, expectation and one plate's companions on ten and fifty million made-up reads, beside Polars and DuckDB self-joins; how good they are.

``SIZES`` are asked of the simulator. Ours is measured as a whole process (start, reading the Parquet file of codes, laying out, question), and its steps alone
by a clock inside it; the self-joins do the candidates only (pairs, distinct spots and days), as whole processes with the same reading, and are ended
after ``LIMIT`` seconds.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure
from benchmarks.simulated_reads import Town, found, precision, simulate
from workbench.models.plates import convoy, prepare
from workbench.models.plates._convoy import Rules

TITLE = "Convoys: who travels with whom, against chance"
SIZES = (10_000_000, 50_000_000)
SEEDS = 50
LIMIT = 45
TOWN = 500_000  # reads of the towns of the accuracy

_OURS = """
import json, sys, time, numpy as np, polars as pl
from workbench.models.plates import prepare
from workbench.models.plates._convoy import Habits, Rules
frame, rules, clock = pl.read_parquet(sys.argv[1]), Rules(60, 900, 3, 3, 2), [time.perf_counter()]
reads = prepare(frame); clock.append(time.perf_counter())
habits = Habits(reads, None); clock.append(time.perf_counter())
pairs = habits.candidates(rules); clock.append(time.perf_counter())
if sys.argv[3] == "all":
    habits.expected(pairs.low, pairs.high, rules); clock.append(time.perf_counter())
json.dump({"pairs": len(pairs), "steps": np.diff(clock).tolist()}, open(sys.argv[2], "w"))
"""
_ONE = """
import json, sys, time, numpy as np, polars as pl
from workbench.models.plates import convoy, prepare
reads = prepare(pl.read_parquet(sys.argv[1]))
many, rng = np.bincount(reads.plate), np.random.default_rng(1)
convoy.companions(reads, reads.plates[int(reads.plate[0])])
told = {}
for how, drawn in (("plate", rng.choice(np.flatnonzero(many >= 20), 100)), ("read", rng.choice(reads.plate, 100))):
    took, cpu = [], []
    for p in drawn:
        start, used = time.perf_counter(), time.process_time()
        convoy.companions(reads, reads.plates[int(p)])
        took.append(time.perf_counter() - start); cpu.append(time.process_time() - used)
    told[how] = {"took": took, "cpu": cpu, "reads": int(np.median(many[drawn]))}
json.dump(told, open(sys.argv[2], "w"))
"""
_POLARS = """
import json, sys, polars as pl
f = pl.scan_parquet(sys.argv[1]).select("plate", "reader", t=pl.col("read_at").dt.epoch("s")).with_columns(slot=pl.col("t") // 60)
g = pl.concat([f, f.with_columns(slot=pl.col("slot") + 1), f.with_columns(slot=pl.col("slot") - 1)])
j = f.join(g, on=["reader", "slot"], suffix="_b").filter((pl.col("plate") < pl.col("plate_b")) & ((pl.col("t") - pl.col("t_b")).abs() <= 60))
k = j.with_columns(day=pl.col("t") // 86400).group_by("plate", "plate_b").agg(pl.len(), s=pl.col("reader").n_unique(), d=pl.col("day").n_unique())
made = k.filter((pl.col("len") >= 3) & (pl.col("s") >= 3) & (pl.col("d") >= 2)).collect(engine="streaming")
json.dump({"pairs": len(made)}, open(sys.argv[2], "w"))
"""
_DUCKDB = """
import json, sys, duckdb
con = duckdb.connect()
con.execute("set threads = 2")
made = con.sql(f'''with f as (select plate, reader, epoch(read_at)::bigint t from read_parquet('{sys.argv[1]}')),
g as (select plate, reader, t, t // 60 slot from f union all select plate, reader, t, t // 60 + 1 from f union all select plate, reader, t, t // 60 - 1 from f)
select count(*) from (select a.plate, b.plate from f a join g b on a.reader = b.reader and a.t // 60 = b.slot and a.plate < b.plate and abs(a.t - b.t) <= 60
group by 1, 2 having count(*) >= 3 and count(distinct a.reader) >= 3 and count(distinct a.t // 86400) >= 2)''').fetchone()[0]
json.dump({"pairs": made}, open(sys.argv[2], "w"))
"""
def _limited(code: str) -> str:
    """The same code, ended after LIMIT seconds."""
    return f"import signal\nsignal.alarm({LIMIT})\n" + code


def run() -> list[dict[str, Any]]:
    """Rows: candidates with and without expectation, peers, one plate's companions, and accuracy on the easy and the hard town."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "out"))
        for n in SIZES:
            file = str(Path(folder, f"reads{n}.parquet"))
            simulate(Town(reads=n, hard=True), 7)[0].write_parquet(file)
            rows += _timed(n, file, out)
        rows += _accuracy()
    return rows


def _timed(n: int, file: str, out: str) -> list[dict[str, Any]]:
    task = f"candidates of all pairs, {n:,} reads"
    rows = []
    for what in ("candidates", "all") if n <= 10_000_000 else ("candidates",):
        method = f"workbench convoy ({'candidates' if what == 'candidates' else 'and what chance would give'})"
        row = measure(task, method, _OURS, file, out, what, repeats=3 if n <= 10_000_000 else 1)
        said = json.loads(Path(out).read_text())
        names = ("laying out", "habits", "candidates", "expected")
        row["note"] = f"{said['pairs']:,} pairs; steps alone: " + ", ".join(f"{a} {s:.2f} s" for a, s in zip(names, said["steps"], strict=False))
        rows.append(row)
    if n <= 10_000_000:
        for name, code in (("Polars self-join", _POLARS), ("DuckDB self-join", _DUCKDB)):
            try:
                row = measure(task, name, _limited(code), file, out, repeats=1)
                row["note"] = f"candidates only; {json.loads(Path(out).read_text())['pairs']:,} pairs"
            except (RuntimeError, subprocess.SubprocessError):
                row = {"task": task, "method": name, "seconds": float(LIMIT), "note": f"ended after {LIMIT} s or out of memory"}
            rows.append(row)
        row = measure(f"companions of one plate, {n:,} reads", "workbench convoy.companions", _ONE, file, out, repeats=1)
        told = json.loads(Path(out).read_text())
        row["note"] = "whole process with laying out and the first question, which deals the days out anew"
        drawn = {"plate": "plates of 20 reads or more, each as likely", "read": "drawn by their reads, so buses too"}
        for how, one in told.items():
            p95 = 1000 * float(np.quantile(one["took"], 0.95))
            rows.append({"task": row["task"], "method": f"workbench convoy.companions, warm, {drawn[how]}", "seconds": one["took"], "cpu_seconds": one["cpu"],
                         "note": f"{one['reads']} reads in the median; p95 {p95:.1f} ms"})
        rows.append(row)
    return rows


def _accuracy() -> list[dict[str, Any]]:
    """Average precision, realised false discovery rate and power over SEEDS towns, raw counts of all candidates beside; in one process, by its clock."""
    rows = []
    for hard in (False, True):
        figures, seconds = [], []
        for seed in range(SEEDS):
            reads, planted = simulate(Town(reads=TOWN, hard=hard), seed)
            start = time.perf_counter()
            laid = prepare(reads)
            table = convoy.pairs(laid).table
            seconds.append(time.perf_counter() - start)
            many, right = found(table, planted)
            candidates = laid.kept["convoy habits", None].candidates(Rules(60, 900, 3, 3, 2))
            raw = np.argsort(-candidates.counts[:, 3], kind="stable")
            counted = precision(laid.plates.gather(candidates.low[raw]), laid.plates.gather(candidates.high[raw]), planted)
            figures.append((precision(table["plate"], table["other"], planted), (many - right) / max(1, many), right / len(planted), counted))
        ap, fdr, power, counts = np.mean(figures, axis=0)
        least = float(np.min(figures, axis=0)[0])
        rows.append({"task": f"accuracy, {TOWN:,} reads, 300 planted pairs", "method": f"{'hard' if hard else 'easy'} town, {SEEDS} seeds", "seconds": seconds,
                     "note": f"average precision {ap:.3f} (least {least:.3f}), raw counts of all candidates {counts:.3f}; at q = 0.1: "
                             f"realised FDR {fdr:.3f}, power {power:.3f}"})
    return rows

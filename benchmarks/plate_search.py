"""Plate search over 5 M distinct plates, and 5 M reads against a hotlist of 100,000: the workbench beside rapidfuzz, DuckDB and Polars.

Searching is timed inside one process, question by question, on an index that is held (``seconds`` are the 95th percentile of a question; the first is
not counted); the sentence, table and basis around it are a row of their own. The hotlist is timed as a whole process.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Plate search: 5 M distinct plates; 5 M reads against a hotlist of 100,000"
PLATES, READS, LISTED = 5_000_000, 5_000_000, 100_000
_FORMATS = (("AAA9999", 0.5), ("9AAA999", 0.3), ("AAA999", 0.15), ("AA99999", 0.12), ("9999AA", 0.06))

_HEAD = """
import sys, json, time, numpy as np, polars as pl
asked, kind = json.load(open(sys.argv[2])), sys.argv[4]
frame = pl.read_parquet(sys.argv[1])
def timed(question, many):
    question(asked[kind][0])
    took, cpu = [], []
    for text in asked[kind][1:many + 1]:
        start, used = time.perf_counter(), time.process_time()
        found = question(text)
        took.append(time.perf_counter() - start); cpu.append(time.process_time() - used)
    return {"p50": float(np.median(took)), "p95": float(np.percentile(took, 95)), "cpu": float(np.percentile(cpu, 95)), "found": int(found), "made": made}
edits = {"edit 1": 1, "edit 2": 2}.get(kind, 0)
made = 0.0
"""
_END = "\njson.dump(told, open(sys.argv[3], 'w'))\n"
_CORE = _HEAD + """
from workbench.models.plates import _search, search
from workbench.models.plates.misreads import known
start = time.perf_counter(); held = search.index(frame); made = time.perf_counter() - start
told = timed(lambda text: _search.find(held, list(text), edits=edits, confusion=known(), alike=False, allowed=None, most=50).total, 200)
""" + _END
_WHOLE = _HEAD + """
from workbench.models.plates import search
start = time.perf_counter(); held = search.index(frame); made = time.perf_counter() - start
told = timed(lambda text: search.search(held, text, edits=edits).basis.parameters["fit"], 200)
""" + _END
_RAPIDFUZZ = _HEAD + """
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
names = frame["plate"].to_list()
told = timed(lambda text: len(process.extract(text, names, scorer=Levenshtein.distance, score_cutoff=edits, limit=None)), 5)
""" + _END
_DUCKDB = _HEAD + """
import duckdb
con = duckdb.connect(config={"threads": 2}); con.execute("create table p as select plate from frame order by plate")
def ask(text):
    if edits:
        near = "select count(*) from p where abs(length(plate) - ?) <= ? and levenshtein(plate, ?) <= ?"
        return con.execute(near, [len(text), edits, text, edits]).fetchall()[0][0]
    return con.execute("select count(*) from p where plate like ?", [text.replace("?", "_").replace("*", "%")]).fetchall()[0][0]
told = timed(ask, 10)
""" + _END
_POLARS = _HEAD + """
from workbench import plates
told = timed(lambda text: frame["plate"].str.contains(plates.pattern(text)).sum(), 10)
""" + _END
_MATCH = """
import sys, polars as pl
from workbench.models.plates import hotlist
hotlist.match(pl.read_parquet(sys.argv[1]), pl.read_parquet(sys.argv[2]), "2026-08-01")
"""
_JOIN = """
import sys, polars as pl
pl.read_parquet(sys.argv[1]).join(pl.read_parquet(sys.argv[2]), on="plate", how="inner").height
"""


def _plates(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """Distinct plates of five formats, sorted."""
    letters, digits = (np.frombuffer(c, "u1") for c in (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"))
    parts = []
    for form, share in _FORMATS:
        out = np.empty((int(n * share), len(form)), "u1")
        for i, c in enumerate(form):
            out[:, i] = rng.choice(letters if c == "A" else digits, len(out))
        parts.append(out.view(f"S{len(form)}").ravel().astype("S8"))
    every = np.unique(np.concatenate(parts))
    return np.sort(rng.permutation(every)[:n]).astype("U8")


def _asked(rng: np.random.Generator, names: np.ndarray[Any, Any], many: int = 201) -> dict[str, list[str]]:
    """Questions: misread plates, and patterns with ? anywhere, a known beginning, end or middle."""
    wild, wrong = [], []
    for k, name in enumerate(str(n) for n in rng.choice(names, many)):
        cut = list(name)
        for i in rng.choice(len(cut), 2, replace=False):
            cut[i] = "?"
        wild.append(("".join(cut), name[:4] + "*", "*" + name[-4:], "*" + name[1:4] + "*")[k % 4])
        swapped = list(name)
        swapped[int(rng.integers(len(name)))] = str(rng.choice(list("ABC123")))
        wrong.append("".join(swapped))
    return {"wildcard": wild, "edit 1": wrong, "edit 2": wrong}


def _traffic(rng: np.random.Generator, names: np.ndarray[Any, Any], folder: Path) -> tuple[str, str]:
    import polars as pl

    start = pl.lit("2026-06-01").str.to_datetime(time_unit="us", time_zone="UTC")
    passing = rng.choice(names[: READS // 10], READS)
    reads = pl.DataFrame({"read_id": np.arange(READS).astype("U8"), "plate": passing, "reader": rng.integers(0, 200, READS).astype("U3"),
                          "confidence": rng.uniform(0.6, 1.0, READS), "second": np.sort(rng.integers(0, 30 * 86_400, READS))})
    reads.with_columns(read_at=start + pl.duration(seconds="second")).drop("second").write_parquet(folder / "reads")
    wanted = rng.choice(names, LISTED, replace=False)
    pl.DataFrame({"entry_id": np.arange(LISTED).astype("U6"), "plate": wanted, "reason": ["stolen"] * LISTED}).with_columns(
        valid_from=start - pl.duration(days=30)).write_parquet(folder / "listed")
    return str(folder / "reads"), str(folder / "listed")


def run() -> list[dict[str, Any]]:
    """Rows: a question of each kind by each method (95th percentile), and the hotlist."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        names = _plates(rng, PLATES)
        at, asked, told = (str(Path(folder, name)) for name in ("plates", "asked", "told"))
        pl.DataFrame({"plate": names, "reads": rng.integers(1, 50, len(names))}).write_parquet(at)
        Path(asked).write_text(json.dumps(_asked(rng, names)), encoding="utf-8")
        for kind in ("wildcard", "edit 1", "edit 2"):
            like, near = [("DuckDB like", _DUCKDB), ("Polars regex", _POLARS)], [("rapidfuzz extract", _RAPIDFUZZ), ("DuckDB levenshtein", _DUCKDB)]
            peers = like if kind == "wildcard" else near
            for method, code in [("workbench index", _CORE), ("workbench search (with sentence, table, basis)", _WHOLE), *peers]:
                row = measure(f"{kind}, {PLATES:,} plates", method, code, at, asked, told, kind, repeats=1)
                said = json.loads(Path(told).read_text(encoding="utf-8"))
                note = f"95th percentile of a question; median {1e3 * said['p50']:.3f} ms" + (f"; index made in {said['made']:.1f} s" if said["made"] else "")
                rows.append({**row, "seconds": [said["p95"]], "cpu_seconds": [said["cpu"]], "note": note})
        reads, listed = _traffic(rng, names, Path(folder))
        task = f"hotlist, {READS:,} reads against {LISTED:,}"
        rows.append(measure(task, "workbench hotlist.match (look-alikes, probability, chance)", _MATCH, reads, listed, repeats=3))
        rows.append(measure(task, "Polars join", _JOIN, reads, listed, repeats=3, note="equal plates only"))
    return rows

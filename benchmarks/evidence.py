"""The evidence graph of 5 million statements about a million things: build, and why two people are tied; beside networkx' all_simple_paths on the same ties.

A process makes its graph once and is then asked 30 pairs of people; the tasks' seconds are those of the step itself, the memory that of the process.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Evidence graph: 1,000,000 things, 5,000,000 statements"
PEOPLE, PHONES, ADDRESSES, STATEMENTS = 700_000, 180_000, 120_000, 5_000_000
_PAIRS = 30

_OURS = """
import json, sys, time
import numpy as np, polars as pl
from workbench.models.links import evidence
from workbench.models.codes import numbered
from workbench.models.links._network import Network
import networkx
folder, out = sys.argv[1:3]
facts = evidence.Facts(**{n: pl.read_parquet(f"{folder}/{n}.parquet") for n in ("people", "phones", "addresses", "associations")})
clock = lambda: (time.perf_counter(), time.process_time())
def took(since): return [b - a for a, b in zip(since, clock())]
start = clock(); made = evidence.build(facts); build = took(start)
start = clock(); source, target = numbered(made.nodes["id"], made.frame["source"], made.frame["target"]); Network(made.frame, made.nodes["id"], source, target)
arrays = took(start)
pairs = json.load(open(f"{folder}/pairs.json"))
start = clock(); evidence.why(made, *pairs[0]); first = took(start)
each, counts = [], []
for a, b in pairs:
    start = clock(); answer = evidence.why(made, a, b); each.append(took(start)); counts.append(sum(answer.graph.graph["observed"]))
json.dump({"build": build, "arrays": arrays, "first": first, "why": each, "counts": counts}, open(out, "w"))
"""
_PEER = """
import json, sys, time
import networkx as nx, polars as pl
folder, out = sys.argv[1:3]
rows = pl.read_parquet(f"{folder}/associations.parquet")
clock = lambda: (time.perf_counter(), time.process_time())
def took(since): return [b - a for a, b in zip(since, clock())]
start = clock()
graph = nx.Graph()
graph.add_edges_from(rows.select("person:" + pl.col("person_id"), pl.col("entity_kind") + ":" + pl.col("entity_id")).iter_rows())
build = took(start)
each, counts = [], []
for a, b in json.load(open(f"{folder}/pairs.json"))[:5]:
    keep = lambda n: n in (a, b) or graph.degree(n) <= 100
    start = clock(); counts.append(sum(1 for _ in nx.all_simple_paths(nx.subgraph_view(graph, filter_node=keep), a, b, cutoff=4))); each.append(took(start))
json.dump({"build": build, "why": each, "counts": counts}, open(out, "w"))
"""


def city(folder: Path, statements: int = STATEMENTS, people: int = PEOPLE, phones: int = PHONES, addresses: int = ADDRESSES, seed: int = 3) -> None:
    """People in circles of some sixty, with associates, telephones and addresses of very different use; a few that hundreds share."""
    import polars as pl

    rng = np.random.default_rng(seed)
    n = statements
    who = rng.integers(0, people, n)
    kind = rng.choice(3, n, p=[0.6, 0.22, 0.18])  # person, phone, address
    circle, local = who // 60, rng.random(n) < 0.7
    many = np.array([people, phones, addresses])[kind]
    skewed = (many * rng.random(n) ** 1.6).astype(np.int64)
    near = np.minimum(circle * (many // (people // 60)) + rng.integers(0, 60, n), many - 1)
    other = np.where(local, near, np.minimum(skewed, many - 1))
    names = np.array(["person", "phone", "address"])[kind]
    letter = np.array(["P", "T", "A"])[kind]
    frame = pl.DataFrame({"n": np.arange(n), "who": who, "entity_kind": names, "letter": letter, "other": other, "day": rng.integers(0, 700, n)})
    pad = pl.col("other").cast(pl.String).str.zfill(7)
    frame.select(
        association_id=pl.format("B{}", "n"),
        person_id="P" + pl.col("who").cast(pl.String).str.zfill(7),
        entity_kind="entity_kind",
        entity_id=pl.col("letter") + pad,
        relation=pl.col("entity_kind").replace_strict({"person": "associate", "phone": "subscriber", "address": "resident"}),
        since=pl.date(2024, 1, 1) + pl.duration(days="day"),
    ).write_parquet(folder / "associations.parquet")
    for name, key, size, extra in (
        ("people", "person_id", people, {"surname": "S"}),
        ("phones", "phone_id", phones, {"number": "1"}),
        ("addresses", "address_id", addresses, {"address": ""}),
    ):
        number = pl.int_range(size).cast(pl.String).str.zfill(7)
        rest = {c: pl.lit(p) + number + (" OAK ST" if c == "address" else "") for c, p in extra.items()}
        pl.DataFrame({"_": [0]}).select(pl.int_range(size)).select(
            pl.format({"people": "P{}", "phones": "T{}", "addresses": "A{}"}[name], number).alias(key), **rest
        ).write_parquet(folder / f"{name}.parquet")
    ends = rng.integers(0, people, (_PAIRS, 2))
    ends[::3, 1] = np.minimum(ends[::3, 0] // 60 * 60 + rng.integers(0, 60, len(ends[::3])), people - 1)  # a third of one circle
    (folder / "pairs.json").write_text(json.dumps([[f"person:P{a:07d}", f"person:P{b:07d}"] for a, b in ends if a != b]), encoding="utf-8")


def run() -> list[dict[str, Any]]:
    """Rows: build from tables; names to arrays; the first why, which makes its tables; each further why (median, and the longest in the note); networkx."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        city(Path(folder))
        ours, theirs = str(Path(folder, "ours.json")), str(Path(folder, "theirs.json"))
        whole = measure("all", "workbench", _OURS, folder, ours, repeats=1)
        peer = measure("all", "networkx", _PEER, folder, theirs, repeats=1)
        one, two = (json.loads(Path(p).read_text(encoding="utf-8")) for p in (ours, theirs))
        for task, method, times, memory, note in (
            (
                "tables to statements to network",
                "workbench evidence.build",
                [one["build"]],
                whole["memory_mb"],
                "names of things made, every row's key checked",
            ),
            ("names to arrays", "workbench", [one["arrays"]], whole["memory_mb"], "the part of build behind the statements"),
            ("names to graph", "networkx add_edges_from", [two["build"]], peer["memory_mb"], ""),
            ("why, first question", "workbench evidence.why", [one["first"]], whole["memory_mb"], "fingerprint of the statements, ties by kind"),
            (
                "why, up to 4 steps",
                "workbench evidence.why",
                one["why"],
                whole["memory_mb"],
                f"{len(one['why'])} pairs, the longest {max(w for w, _ in one['why']):.3f} s",
            ),
            (
                "paths alone, up to 4 steps",
                "networkx all_simple_paths",
                two["why"],
                peer["memory_mb"],
                "the same numbers of paths" if two["counts"] == one["counts"][: len(two["counts"])] else "OTHER numbers of paths",
            ),
        ):
            rows.append(
                {"task": task, "method": method, "seconds": [w for w, _ in times], "cpu_seconds": [c for _, c in times], "memory_mb": memory, "note": note}
            )
    return rows

"""Questions of a graph of 1 M things and 5 M ties: built, all paths, neighbourhoods, PageRank, communities; the workbench beside networkx and scipy.

Each row is a whole process, imports and reading the file included; what the question itself took, once the arrays are there, stands in the note.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Graphs: paths, neighbourhoods, PageRank and communities among 1 M things and 5 M ties (whole process)"
SIZES = ((50_000, 200_000), (1_000_000, 5_000_000))
_NETWORKX = 200_000  # ties up to which networkx is asked: 5 M take it many minutes and 6 GB

_START = """
import sys, time, numpy as np, polars as pl
frame = pl.read_parquet(sys.argv[1])
ends = np.load(sys.argv[2])
took = {}
def timed(name, call, times=1):
    begin = time.perf_counter()
    for k in range(times): made = call(k)
    took[name] = (time.perf_counter() - begin) / times
    return made
"""
_END = """
open(sys.argv[3], "w").write(", ".join(f"{k} {1000 * v:,.1f} ms" for k, v in took.items()))
"""
_OURS = _START + """
from workbench.models.links._network import Network
from workbench.models.links import _leiden, _pagerank
for most in (None, 1): Network.of(frame.head(10)).paths(*frame.row(0), most=most)
net = timed("build", lambda k: Network.of(frame))
""" + "ASKED" + _END
_ASKED = {
    "paths": 'timed("all paths of up to 4 steps", lambda k: net.paths(int(ends[k, 0]), int(ends[k, 1]), hops=4), 4); '
             'top = np.argsort(-net.degree)[:2]; '
             'timed("the first 200 between the two largest hubs, all counted", lambda k: net.routes(int(top[0]), int(top[1]), 4, most=200))',
    "neighbourhoods": 'timed("2 hops", lambda k: net.ego(int(ends[k, 0]), 2), 20)',
    "PageRank": 'timed("PageRank", lambda k: _pagerank.pagerank(net.first, net.others, np.zeros(0), tolerance=1e-8))',
    "communities": 'w = np.ones(len(net.others)); '
                   'c, q = timed("communities", lambda k: _leiden.partition(net.first, net.others, w, resolution=1.0, seed=1, rounds=1)); '
                   'took[f"(modularity {q:.3f}) 0"] = 0.0',
}
_THEIRS = _START + """
import networkx as nx
def build(k):
    graph = nx.Graph()
    graph.add_edges_from(frame.iter_rows())
    return graph
graph = timed("build", build)
""" + "ASKED" + _END
_PEER = {
    "paths": 'timed("all paths of up to 4 steps", lambda k: list(nx.all_simple_paths(graph, int(ends[k, 0]), int(ends[k, 1]), cutoff=4)), 4)',
    "neighbourhoods": 'timed("2 hops", lambda k: nx.single_source_shortest_path_length(graph, int(ends[k, 0]), 2), 20)',
    "PageRank": 'timed("PageRank", lambda k: nx.pagerank(graph))',
    "communities": 'c = timed("communities", lambda k: nx.community.louvain_communities(graph, seed=1)); '
                   'took[f"(modularity {nx.community.modularity(graph, c):.3f}) 0"] = 0.0',
}
_SCIPY = _START + """
from scipy import sparse
a, b = frame["source"].to_numpy(), frame["target"].to_numpy()
n = int(max(a.max(), b.max())) + 1
def build(k):
    made = sparse.coo_array((np.ones(2 * len(a), "f4"), (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(n, n)).tocsr()
    made.sum_duplicates()
    return made
graph = timed("build", build)
degree = np.maximum(np.diff(graph.indptr), 1)
def ranks(k):
    x = np.full(n, 1 / n)
    for _ in range(100):
        y = 0.85 * (graph @ (x / degree)) + 0.15 / n
        if np.abs(y - x).sum() < 1e-8: break
        x = y
timed("PageRank", ranks)
""" + _END


def simulated(path: Path, n: int, m: int, seed: int) -> None:
    """Things of very uneven numbers of ties, three fifths of which stay within groups of about sixty."""
    import polars as pl

    rng = np.random.default_rng(seed)
    weight = (np.arange(1, n + 1) + 8.0) ** -0.75
    chance, order, tries = np.cumsum(weight / weight.sum()), rng.permutation(n), int(m * 1.25)
    group = np.sort(rng.integers(0, n // 60, n))
    starts = np.searchsorted(group, np.arange(n // 60 + 1))
    one, two = (order[np.minimum(np.searchsorted(chance, rng.random(tries)), n - 1)] for _ in range(2))
    low, high = starts[group[one]], starts[group[one] + 1]
    two = np.where(rng.random(tries) < 0.6, low + (rng.random(tries) * np.maximum(1, high - low)).astype(int), two)
    a, b = np.minimum(one, two), np.maximum(one, two)
    key = rng.permutation(np.unique(a[a != b].astype(np.int64) * n + b[a != b]))[:m]
    pl.DataFrame({"source": (key // n).astype(np.int32), "target": (key % n).astype(np.int32)}).write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a size, question and method."""
    import polars as pl

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ends, note = Path(folder, "ends.npy"), Path(folder, "note")
        for n, m in SIZES:
            graph = Path(folder, f"{m}.parquet")
            simulated(graph, n, m, 3)
            counts = pl.read_parquet(graph).unpivot().group_by("value").len().filter(pl.col("len").is_between(3, 20)).sort("value")["value"].to_numpy()
            np.save(ends, np.random.default_rng(0).choice(counts, (20, 2), replace=False))

            def row(what: str, method: str, code: str, repeats: int, n: int = n, m: int = m, graph: Path = graph) -> dict[str, Any]:
                made = measure(f"{what}, {n:,} things, {m:,} ties", method, code, str(graph), str(ends), str(note), repeats=repeats)
                return {**made, "note": note.read_text(encoding="utf-8")}

            for what in _ASKED:
                rows.append(row(what, "workbench", _OURS.replace("ASKED", _ASKED[what]), 3))
                if m <= _NETWORKX:
                    rows.append(row(what, "networkx", _THEIRS.replace("ASKED", _PEER[what]), 1))
                if what == "PageRank":
                    rows.append(row(what, "scipy (power method)", _SCIPY, 3))
    return rows

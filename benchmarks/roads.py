"""Drive times on a street graph: the workbench against networkx and SciPy on the same graph, and the models of plates that rest on it.

The graph is a made-up city of crossing streets (some one way, some cut twice between corners); with $WORKBENCH_REAL_DATA it is that folder's
roads/columbus.osm.pbf, read and built by the workbench, and the peers get its finished edges.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import in_turn, measure

TITLE = "Drive times by the streets, impossible drives and corridors (whole process, imports included)"
_CORNERS, _READS = 115, (1_000_000, 10_000_000)

_GRAPH = """
import sys, numpy as np, polars as pl
from workbench.models.pursuit import roads
if sys.argv[1].endswith(".pbf"):
    from workbench.geo import extract
    streets = extract.streets(sys.argv[1])
else:
    streets = pl.read_parquet(sys.argv[1])
graph = roads.graph(streets)
"""
_MATRIX = _GRAPH + """
units, calls = (np.load(sys.argv[2])[k] for k in ("units", "calls"))
found = graph.times(graph.nodes(units), graph.nodes(calls), threads=1)
np.save(sys.argv[3], found)
"""
_MAKE = _GRAPH + """
rng = np.random.default_rng(1)
units, calls = rng.choice(len(graph.x), 50, False), rng.choice(len(graph.x), 20, False)
np.savez(sys.argv[2], units=units, calls=calls, tail=graph.tail, head=graph.head, seconds=graph.seconds, lon=graph.lon, lat=graph.lat)
"""
_SCIPY = """
import sys, numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
given = np.load(sys.argv[1])
n = len(given["lon"])
order = np.lexsort((-given["seconds"], given["head"], given["tail"]))
tail, head, seconds = given["tail"][order], given["head"][order], given["seconds"][order]
last = np.append((np.diff(tail) != 0) | (np.diff(head) != 0), True)
graph = csr_matrix((seconds[last], (head[last], tail[last])), shape=(n, n))
np.save(sys.argv[2], dijkstra(graph, indices=given["calls"])[:, given["units"]].T)
"""
_NETWORKX = """
import sys, networkx, numpy as np
given = np.load(sys.argv[1])
graph = networkx.MultiDiGraph()
graph.add_weighted_edges_from(zip(given["head"].tolist(), given["tail"].tolist(), given["seconds"].tolist()))
out = [networkx.single_source_dijkstra_path_length(graph, c) for c in given["calls"].tolist()]
np.save(sys.argv[2], np.array([[far[u] for far in out] for u in given["units"].tolist()]))
"""
_CLONED = _GRAPH + """
from workbench.models.plates import cloned
found = cloned.impossible(pl.read_parquet(sys.argv[2]), graph)
assert found.table["kind"].to_list().count("cloned plate") == 1, found.headline
"""
_CORRIDOR = _GRAPH + """
from workbench.models.plates import corridor, prepare
reads = prepare(pl.read_parquet(sys.argv[2]))
import time
start = time.perf_counter()
for _ in range(20):
    corridor.scan(None, reads.spots.filter(~pl.col("moving")), graph, (float(graph.lon[5]), float(graph.lat[5])), "2026-06-08T12:00:00+00:00")
print(f"{(time.perf_counter() - start) / 20 * 1000:.1f} ms a scan", file=sys.stderr)
"""


def _streets(path: Path) -> None:
    """Crossing streets: half of them cut once more between corners, some one way."""
    import polars as pl

    rng = np.random.default_rng(3)
    lines: list[Any] = []
    for a in range(_CORNERS):
        for b in range(_CORNERS - 1):
            for ends in (((a, b), (a, b + 1)), ((b, a), (b + 1, a))):
                p, q = ((-83.0 + 0.0016 * x, 40.0 + 0.0012 * y) for x, y in ends)
                middle = ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)
                lines += [[p, middle], [middle, q]] if rng.random() < 0.5 else [[p, q]]
    kind = rng.choice(["residential", "tertiary", "secondary", "primary"], len(lines), p=[0.7, 0.15, 0.1, 0.05])
    way = ["forward" if one else None for one in rng.random(len(lines)) < 0.02]
    pl.DataFrame({"street_id": [str(k) for k in range(len(lines))], "geometry": [json.dumps({"type": "LineString", "coordinates": line}) for line in lines],
                  "class": kind.tolist(), "one_way": way}).write_parquet(path)


def _reads(path: Path, edges: Path, n: int) -> None:
    """Drives of four readers each at about free-flow pace over thirty days, and one cloned plate."""
    import polars as pl

    given, rng = np.load(edges), np.random.default_rng(5)
    spot = rng.choice(len(given["lon"]), 80, False)
    lon, lat = given["lon"][spot], given["lat"][spot]
    far = np.hypot((lon[:, None] - lon) * 85_000, (lat[:, None] - lat) * 111_000)
    near = np.argsort(far, axis=1)[:, 1:6]
    trips, at = n // 4, rng.integers(0, 30 * 86_400, n // 4)
    plate, reader = rng.permutation(np.arange(trips) % max(trips // 12, 1)), rng.integers(0, 80, trips)
    rows: list[Any] = []
    for _ in range(4):
        rows.append((plate, reader, at))
        following = near[reader, rng.integers(0, 5, trips)]
        at = at + np.maximum(far[reader, following] / rng.uniform(4, 8, trips), 60).astype(np.int64)
        reader = following
    one, other = int(far.argmax()) // 80, int(far.argmax()) % 80
    days = np.arange(2, 26, 4) * 86_400 + 43_200
    rows += [(np.full(6, plate.max() + 1), np.full(6, one), days), (np.full(6, plate.max() + 1), np.full(6, other), days + 60)]
    p, r, t = (np.concatenate(c) for c in zip(*rows, strict=True))
    frame = pl.DataFrame({"plate": p, "reader": r, "second": t, "lon": lon[r], "lat": lat[r]})
    start = pl.lit("2026-06-01").str.to_datetime(time_unit="us", time_zone="UTC")
    frame = frame.with_columns(read_at=start + pl.duration(seconds="second")).sort("read_at")
    frame.select(plate=pl.format("P{}", "plate"), reader=pl.format("R{}", "reader"), lon="lon", lat="lat", read_at="read_at").write_parquet(path)


def run() -> list[dict[str, Any]]:
    """One row a task and method: whole processes; the peers' times are checked against ours."""
    real = Path(os.environ.get("WORKBENCH_REAL_DATA", "nowhere"), "roads", "columbus.osm.pbf")
    with tempfile.TemporaryDirectory() as folder:
        streets, edges, ours, theirs = (Path(folder, name) for name in ("streets.parquet", "edges.npz", "ours.npy", "theirs.npy"))
        _streets(streets)
        source, name = (real, "Columbus (.osm.pbf)") if real.is_file() else (streets, "made-up streets")
        rows = [measure(f"graph of {name}", "workbench roads.graph", _GRAPH, str(source), repeats=5)]
        measure("edges", "made once", _MAKE, str(source), str(edges), repeats=1)
        task = f"50 x 20 drive times, {name}"
        rows += in_turn(3, lambda: measure(task, "workbench (read, build, ask)", _MATRIX, str(source), str(edges), str(ours), repeats=1),
                        lambda: measure(task, "scipy csgraph.dijkstra (given the finished edges)", _SCIPY, str(edges), str(theirs), repeats=1))
        rows[-1]["note"] = _same(ours, theirs)
        rows.append(measure(task, "networkx dijkstra (given the finished edges)", _NETWORKX, str(edges), str(theirs), repeats=1))
        rows[-1]["note"] = _same(ours, theirs)
        for n in _READS:
            reads = Path(folder, f"reads{n}.parquet")
            _reads(reads, edges, n)
            asked = "workbench cloned.impossible (all plates, prepared within)"
            rows.append(measure(f"impossible drives, {n:,} reads", asked, _CLONED, str(source), str(reads), repeats=1))
        rows.append(measure("corridor, 80 readers", "workbench corridor.scan (20 scans, reads prepared within)", _CORRIDOR, str(source),
                            str(Path(folder, f"reads{_READS[0]}.parquet")), repeats=1))
    return rows


def _same(ours: Path, theirs: Path) -> str:
    worst = float(np.abs(np.load(ours) - np.load(theirs)).max())
    return f"{'the same times' if worst < 1e-3 else 'OTHER times'} (largest difference {worst:.1g} s)"

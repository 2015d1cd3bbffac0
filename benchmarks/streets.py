"""Distances and density along 16,000 streets, each a whole process: the workbench against networkx and scipy's Dijkstra, and the heat kernel against scipy."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Along the streets, 16,020 segments (whole process, imports included)"
SIDE, BLOCK, POINTS, WITHIN = 90, 100.0, 4_000, 500.0

_READ = """
import sys, numpy as np, polars as pl
streets, points, out, within = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
"""
_OURS = (
    _READ
    + """
from workbench.geo.network import StreetNetwork
network = StreetNetwork.of(pl.read_parquet(streets))
i, j, d = network.pairs(network.place(pl.read_parquet(points)), within)
np.save(out, np.array([len(d), d.sum()]))
"""
)
# the peers get corners and places for nothing: what is timed is distances from both ends of each place's street and their combination
_PLACED = (
    _READ
    + """
known = np.load(points.replace("points.parquet", "placed.npz"))
begin, end, length, segment, at = (known[k] for k in ("begin", "end", "length", "segment", "at"))
n = int(known["nodes"])
near = [(begin[segment], at * length[segment]), (end[segment], (1 - at) * length[segment])]
def combined(far):
    count, total = 0, 0.0
    for i in range(len(segment)):
        rows = [far(int(v[i])) + o[i] for v, o in near]
        d = np.min([r[v] + o for r in rows for v, o in near], axis=0)
        same = segment == segment[i]
        d[same] = np.minimum(d[same], np.abs(at[same] - at[i]) * length[segment[i]])
        d = d[i + 1:]
        count, total = count + int((d <= within).sum()), total + float(d[d <= within].sum())
    np.save(out, np.array([count, total]))
"""
)
_SCIPY = (
    _PLACED
    + """
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
graph = coo_array((length, (begin, end)), shape=(n, n)).tocsr()
combined(lambda v: dijkstra(graph, directed=False, indices=v, limit=within))
"""
)
_NETWORKX = (
    _PLACED
    + """
import networkx as nx
graph = nx.Graph()
graph.add_weighted_edges_from(zip(begin.tolist(), end.tolist(), length.tolist()))
def far(v):
    d = np.full(n, np.inf)
    found = nx.single_source_dijkstra_path_length(graph, v, cutoff=within)
    d[list(found)] = list(found.values())
    return d
combined(far)
"""
)
_HEAT = (
    _READ
    + """
from workbench.geo.network import StreetNetwork
from workbench.geo.segments import Segments
from workbench.models.hotspots import network_kde
network = StreetNetwork.of(pl.read_parquet(streets))
np.save(out, network_kde.spread(Segments(network, 25.0), network.place(pl.read_parquet(points)), within / 2))
"""
)
_EXPM = (
    _READ
    + """
from workbench.geo.network import StreetNetwork
from workbench.geo.segments import Segments
from workbench.models.hotspots import network_kde
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import expm_multiply
network = StreetNetwork.of(pl.read_parquet(streets))
tiling = Segments(network, 25.0)
flow = network_kde._Flow(tiling)
a = diags_array(flow.out_rate) - csr_array((flow.rate, flow.to, flow.first), shape=(len(tiling),) * 2)
mass = np.bincount(tiling.tiles(network.place(pl.read_parquet(points))), minlength=len(tiling)).astype(float)
np.save(out, expm_multiply(-a * (within / 2) ** 2 / 2, mass))
"""
)


def _town(folder: Path) -> None:
    """Blocks of 100 m with corners a little off, and points along the streets; what the peers need besides."""
    import json

    import polars as pl

    from workbench.geo import Plane
    from workbench.geo.network import StreetNetwork

    rng = np.random.default_rng(1)
    plane = Plane.local(41.6, -90.9)
    corner = np.stack(np.meshgrid(np.arange(SIDE) * BLOCK, np.arange(SIDE) * BLOCK), axis=2) + rng.normal(0, 10, (SIDE, SIDE, 2))
    lines = [(corner[a, b], corner[a + c, b + d]) for c, d in ((0, 1), (1, 0)) for a in range(SIDE - c) for b in range(SIDE - d)]
    lon, lat = plane.to_degrees(np.array(lines)[..., 0], np.array(lines)[..., 1])
    texts = [json.dumps({"type": "LineString", "coordinates": np.stack([x, y], axis=1).tolist()}) for x, y in zip(lon, lat, strict=True)]
    frame = pl.DataFrame({"street_id": [str(k) for k in range(len(lines))], "geometry": texts})
    frame.write_parquet(folder / "streets.parquet")
    network = StreetNetwork.of(frame)
    segment, at = rng.integers(0, len(network), POINTS), rng.random(POINTS)
    lon, lat = network.plane.to_degrees(*network.spots(segment, at))
    pl.DataFrame({"lon": lon, "lat": lat}).write_parquet(folder / "points.parquet")
    placed = network.place(pl.read_parquet(folder / "points.parquet"))
    np.savez(folder / "placed.npz", begin=network.begin, end=network.end, length=network.length, segment=placed.segment, at=placed.at, nodes=len(network.x))


def run() -> list[dict[str, Any]]:
    """One row a method; the note says what the answer was, so that they can be compared."""
    methods = (
        ("pairs within 500 m of 4,000 places", "workbench StreetNetwork.pairs (reading, snapping and all)", _OURS, 5),
        ("pairs within 500 m of 4,000 places", "scipy.sparse.csgraph.dijkstra (limit; network and places given)", _SCIPY, 3),
        ("pairs within 500 m of 4,000 places", "networkx Dijkstra (cutoff; network and places given)", _NETWORKX, 1),
        ("heat kernel, 250 m, on pieces of 25 m", "workbench network_kde.spread", _HEAT, 5),
        ("heat kernel, 250 m, on pieces of 25 m", "scipy expm_multiply of the same matrix", _EXPM, 1),
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _town(folder)
        answers = []
        for k, (task, method, code, repeats) in enumerate(methods):
            out = folder / f"{k}.npy"
            row = measure(task, method, code, str(folder / "streets.parquet"), str(folder / "points.parquet"), str(out), str(WITHIN), repeats=repeats)
            answers.append(np.load(out))
            if k < 3:
                row["note"] = f"{answers[k][0]:,.0f} pairs, mean {answers[k][1] / answers[k][0]:.3f} m"
            elif k == 4:
                row["note"] = f"largest difference {np.abs(answers[4] - answers[3]).max() / answers[4].max():.1e} of the peak"
            rows.append(row)
    return rows

"""Which beat is each of 5,000,000 points in? The workbench beside shapely and geopandas, on Chicago's 277 beats or the made-up city's.

DuckDB's spatial extension is for DuckDB 1.4 where it comes as a package: it is among them when $WORKBENCH_SPATIAL_PYTHON names the Python of an
environment with ``duckdb==1.4.4``, ``duckdb-ext-spatial``, numpy and pyarrow.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import data
from benchmarks.process import measure

TITLE = "Points to areas: 5,000,000 points (whole process: imports, areas and points read, answers written)"
POINTS, REPEATS = 5_000_000, 3

_READ = """
import sys, json, numpy as np
areas, points, out = sys.argv[1], sys.argv[2], sys.argv[3]
lon, lat = np.load(points, mmap_mode="r")
features = json.load(open(areas, encoding="utf-8"))["features"]
"""
_OURS = (
    _READ
    + """
from workbench.geo import Polygon, locate
np.save(out, locate([Polygon.from_geojson(f["geometry"]) for f in features], lon, lat).astype(np.int32))
"""
)
_TREE = (
    _READ
    + """
import shapely
tree = shapely.STRtree([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
point, area = tree.query(shapely.points(lon, lat), predicate="within")
found = np.full(len(lon), -1, dtype=np.int32)
found[point[::-1]] = area[::-1]
np.save(out, found)
"""
)
_SPATIAL = (
    _READ
    + """
import sysconfig
from pathlib import Path
import duckdb, pyarrow as pa
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
con.execute(f"load '{next(Path(sysconfig.get_paths()['purelib']).rglob('spatial.duckdb_extension'))}'")
pts = pa.table({"i": np.arange(len(lon)), "x": np.array(lon), "y": np.array(lat)})
shapes = pa.table({"j": list(range(len(features))), "g": [json.dumps(f["geometry"]) for f in features]})
con.execute("create table a as select j, st_geomfromgeojson(g) as g from shapes")
pairs = con.execute("select i, j from (select i, st_point(x, y) as p from pts) q join a on st_within(q.p, a.g) order by j desc").fetchnumpy()
found = np.full(len(lon), -1, dtype=np.int32)
found[pairs["i"]] = pairs["j"]
np.save(out, found)
"""
)
_PANDAS = (
    _READ
    + """
import geopandas, shapely
beats = geopandas.GeoDataFrame(geometry=[shapely.from_geojson(json.dumps(f["geometry"])) for f in features], crs=4326)
joined = geopandas.sjoin(geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(lon, lat), crs=4326), beats, predicate="within", how="left")
joined = joined[~joined.index.duplicated()]
np.save(out, joined["index_right"].fillna(-1).to_numpy().astype(np.int32))
"""
)


def _areas() -> tuple[Path, bool]:
    """The areas' file, and whether they are the real ones."""
    real = data()
    beats = real.parent / "police_beats_dec2012.geojson" if real else None
    if beats is not None and beats.is_file():
        return beats, True
    return Path(__file__).resolve().parents[1] / "data" / "samples" / "beats.geojson", False


def _points(kind: str, areas: Path, real: bool, path: Path) -> None:
    """Points anywhere in the areas' box, or where real incidents were: many of those stand on the very streets that are borders."""
    rng = np.random.default_rng(1)
    if kind == "incidents" and real:
        import polars as pl

        frame = pl.read_parquet(areas.parent / "chicago_crimes_2016.parquet", columns=["Longitude", "Latitude"]).drop_nulls()
        frame = frame.filter(pl.col("Longitude") > -88.5)
        at = rng.integers(0, frame.height, POINTS)
        np.save(path, np.vstack([frame[c].to_numpy()[at] for c in ("Longitude", "Latitude")]))
        return
    rings = [r for f in json.loads(areas.read_text(encoding="utf-8"))["features"] for r in _rings(f["geometry"])]
    corners = np.vstack(rings)
    low, high = corners.min(axis=0), corners.max(axis=0)
    np.save(path, np.vstack([rng.uniform(low[k], high[k], POINTS) for k in (0, 1)]))


def _rings(geometry: dict[str, Any]) -> list[Any]:
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [np.array(ring)[:, :2] for part in parts for ring in part]


def run() -> list[dict[str, Any]]:
    """One row a method and kind of points: seconds, CPU seconds and memory of whole processes, and how many answers differ from shapely's."""
    areas, real = _areas()
    methods = [("workbench geo.locate", _OURS, REPEATS), ("shapely STRtree.query(within)", _TREE, 1), ("geopandas.sjoin(within)", _PANDAS, 1)]
    spatial = os.environ.get("WORKBENCH_SPATIAL_PYTHON", "")
    methods += [("duckdb spatial ST_Within", _SPATIAL, 1)] if spatial else []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("anywhere", "incidents") if real else ("anywhere",):
            where = "where incidents were" if kind == "incidents" else "anywhere in the box"
            task = f"points {where}, {'277 beats' if real else 'the beats of the made-up city'}"
            points, answers = Path(folder, "points.npy"), {}
            _points(kind, areas, real, points)
            for name, code, repeats in methods:
                out = Path(folder, "out.npy")
                python = spatial if code is _SPATIAL else sys.executable
                rows.append(measure(task, name, code, str(areas), str(points), str(out), repeats=repeats, python=python))
                answers[name] = np.load(out)
            theirs = answers[methods[1][0]]
            for row, (name, _, _) in zip(rows[-len(methods) :], methods, strict=True):
                row["note"] = f"{int((answers[name] != theirs).sum()):,} answers differ from shapely's"
    return rows

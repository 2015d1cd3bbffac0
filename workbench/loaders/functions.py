"""Functions that a mapping needs and DuckDB has not: survey coordinates to degrees. Registered on every connection that maps."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np

from workbench.errors import BadInput

_local = threading.local()


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``planar_degrees(crs, x, y)`` known to a connection: [lon, lat] of a position in a projected CRS, null where there is none."""
    con.create_function("planar_degrees", _planar_degrees, ["VARCHAR", "DOUBLE", "DOUBLE"], "DOUBLE[]", type="arrow", null_handling="special")  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def known_crs(crs: str) -> bool:
    """Whether there is such a CRS and it is a projected one."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return bool(CRS.from_user_input(crs).is_projected)
    except CRSError:
        return False


def _transformer(crs: str) -> Any:
    """Each thread has its own: a transformer may not be shared between threads."""
    held = _local.__dict__.setdefault("transformers", {})
    if crs not in held:
        from pyproj import Transformer

        if not known_crs(crs):
            raise BadInput(f"CRS {crs!r} is not known or not a projected one; write e.g. 'ESRI:102696' or 'EPSG:26971'.")
        held[crs] = Transformer.from_crs(crs, 4326, always_xy=True)
    return held[crs]


def _planar_degrees(crs: Any, x: Any, y: Any) -> Any:
    import pyarrow as pa

    east, north = (c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in (x, y))
    xs, ys = (c.to_numpy(zero_copy_only=False).astype(float) for c in (east, north))
    lon, lat = np.full(len(xs), np.nan), np.full(len(xs), np.nan)
    ok = np.isfinite(xs) & np.isfinite(ys)
    if ok.any():
        lon[ok], lat[ok] = _transformer(crs[0].as_py()).transform(xs[ok], ys[ok])
    found = ok & np.isfinite(lon) & np.isfinite(lat)
    pairs = np.empty(2 * int(found.sum()))
    pairs[0::2], pairs[1::2] = lon[found], lat[found]
    ends = np.concatenate([[0], np.cumsum(found) * 2]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(pairs), mask=pa.array(~found))

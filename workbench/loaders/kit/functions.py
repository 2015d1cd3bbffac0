"""Functions that a mapping needs and DuckDB has not: survey coordinates to degrees, wordings to NIBRS codes. Registered on every connection that maps."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np

from workbench.errors import BadInput
from workbench.loaders.kit import cap, clock, geometry, nibrs

#: All survey coordinates are converted in one thread: DuckDB calls from threads of its own, to which Python gives a new state at each call, and
#: a transformer made in such a state crashes the process once the state is gone (DuckDB 2.0, pyproj 3.7).
_surveyor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planar-degrees")
_transformers: dict[str, Any] = {}


def _anew() -> None:
    """A process that was forked has no such thread; it gets one of its own."""
    global _surveyor
    _surveyor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planar-degrees")
    _transformers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make known to a connection: ``planar_degrees(crs, x, y)``, [lon, lat] of a position in a projected CRS, null where there is none;
    ``nibrs_by_words(table, wording)``, see ``nibrs.by_words``."""
    con.create_function("nibrs_by_words", _nibrs_by_words, ["VARCHAR", "VARCHAR"], "VARCHAR", type="arrow", null_handling="special")  # type: ignore[call-overload]
    con.create_function("planar_degrees", _planar_degrees, ["VARCHAR", "DOUBLE", "DOUBLE"], "DOUBLE[]", type="arrow", null_handling="special")  # type: ignore[call-overload]
    geometry.register(con)
    cap.register(con)
    clock.register(con)


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
    if crs not in _transformers:
        from pyproj import Transformer

        if not known_crs(crs):
            raise BadInput(f"CRS {crs!r} is not known or not a projected one; write e.g. 'ESRI:102696' or 'EPSG:26971'.")
        _transformers[crs] = Transformer.from_crs(crs, 4326, always_xy=True)
    return _transformers[crs]


def _transformed(crs: str, x: Any, y: Any) -> Any:
    return _transformer(crs).transform(x, y)


def _nibrs_by_words(table: Any, wording: Any) -> Any:
    import pyarrow as pa

    texts, names = wording.to_pylist(), table[0].as_py() if len(table) else ""
    return pa.array([None if text is None else nibrs.worded(names, text) for text in texts], pa.string())


def _planar_degrees(crs: Any, x: Any, y: Any) -> Any:
    import pyarrow as pa

    east, north = (c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in (x, y))
    xs, ys = (c.to_numpy(zero_copy_only=False).astype(float) for c in (east, north))
    lon, lat = np.full(len(xs), np.nan), np.full(len(xs), np.nan)
    ok = np.isfinite(xs) & np.isfinite(ys)
    if ok.any():
        lon[ok], lat[ok] = _surveyor.submit(_transformed, crs[0].as_py(), xs[ok], ys[ok]).result()
    found = ok & np.isfinite(lon) & np.isfinite(lat)
    pairs = np.empty(2 * int(found.sum()))
    pairs[0::2], pairs[1::2] = lon[found], lat[found]
    ends = np.concatenate([[0], np.cumsum(found) * 2]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(pairs), mask=pa.array(~found))

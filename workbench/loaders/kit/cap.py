"""One area of an alert (CAP 1.2) made flat: one text of JSON with what the mapping takes. The function behind ``loaders.cap_alerts``."""

from __future__ import annotations

import json
import math
from typing import Any

import duckdb
import numpy as np

_TAKEN = ("event", "category", "headline", "description", "instruction", "severity", "urgency", "certainty", "effective", "onset", "expires")


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``cap_alert(info, area, references)`` known to a connection: JSON texts in and out."""
    con.create_function("cap_alert", _alerts, ["VARCHAR", "VARCHAR", "VARCHAR"], "VARCHAR", type="arrow", null_handling="special")  # type: ignore[call-overload]


def _alerts(infos: Any, areas: Any, references: Any) -> Any:
    import pyarrow as pa

    rows = zip(infos.to_pylist(), areas.to_pylist(), references.to_pylist(), strict=True)
    return pa.array([alert(i, a, r) for i, a, r in rows], type=pa.string())


def alert(info: str | None, area: str | None, references: str | None) -> str:
    """The flat members of one area of an alert.

    Texts are of the ``info`` block; of a text that is given several times the first. ``place`` is the area in words, ``geometry`` GeoJSON text
    (circles as 32 corners). ``first`` is the alert sent first of those referred to.
    """
    read, where = _json(info), _json(area)
    block: dict[str, Any] = read if isinstance(read, dict) else {}
    out: dict[str, Any] = {n: next((str(v) for v in _several(block.get(n)) if v not in (None, "")), None) for n in _TAKEN}
    shape: dict[str, Any] = where if isinstance(where, dict) else {}
    out["place"] = "; ".join(dict.fromkeys(str(v) for v in _several(shape.get("areaDesc")) if v)) or None
    if shape.get("polygon") or shape.get("circle"):
        rings = [*map(_ring, _several(shape.get("polygon"))), *map(_circle, _several(shape.get("circle")))]
        found = list({json.dumps(r): r for r in rings if r}.values())
        whole = {"type": "Polygon", "coordinates": [found[0]]} if len(found) == 1 else {"type": "MultiPolygon", "coordinates": [[r] for r in found]}
        out["geometry"] = "unreadable" if any(r is None for r in rings) else json.dumps(whole)
    earlier = sorted((parts[2], parts[1]) for ref in (references or "").split() if len(parts := ref.split(",")) == 3)
    out["first"] = earlier[0][1] if earlier else None
    return json.dumps({k: v for k, v in out.items() if v is not None})


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _several(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _ring(text: Any) -> list[list[float]] | None:
    """ "lat,lon lat,lon ..." as a closed ring of [lon, lat]; None where it is none."""
    try:
        ring = [[float(lon), float(lat)] for lat, lon in (pair.split(",") for pair in str(text).split())]
    except ValueError:
        return None
    if ring and ring[0] != ring[-1]:
        ring.append(ring[0])
    return ring if len(ring) >= 4 else None


def _circle(text: Any) -> list[list[float]] | None:
    """ "lat,lon radius-in-km" as a ring of 32 corners; one without a radius is a point and has no area."""
    try:
        centre, radius = str(text).split()
        lat, lon = (float(v) for v in centre.split(","))
        km = float(radius)
    except ValueError:
        return None
    if not (abs(lat) < 89 and abs(lon) <= 180 and 0 <= km < 5000):
        return None
    if not km:
        return []
    turn = np.linspace(0, 2 * math.pi, 33)
    east, north = km / 111.32 / math.cos(math.radians(lat)), km / 110.57
    ring = [[round(lon + east * math.cos(a), 6), round(lat + north * math.sin(a), 6)] for a in turn[:-1]]
    return [*ring, ring[0]]

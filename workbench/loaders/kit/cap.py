"""An alert's nested blocks (CAP 1.2) made flat: one text of JSON with what the mapping takes. The function behind ``loaders.cap_alerts``."""

from __future__ import annotations

import json
import math
from typing import Any

import duckdb
import numpy as np

#: Words of CAP from most to least; anything else comes last.
_SEVERITY = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
_TAKEN = ("event", "category", "headline", "description", "instruction", "urgency", "certainty", "effective", "onset", "expires")


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``cap_alert(info, references)`` known to a connection: JSON text, null where there is no info and no reference."""
    con.create_function("cap_alert", _alerts, ["VARCHAR", "VARCHAR"], "VARCHAR", type="arrow", null_handling="special")  # type: ignore[call-overload]


def _alerts(infos: Any, references: Any) -> Any:
    import pyarrow as pa

    return pa.array([alert(i, r) for i, r in zip(infos.to_pylist(), references.to_pylist(), strict=True)], type=pa.string())


def alert(info: str | None, references: str | None) -> str:
    """The flat members of one alert.

    Texts are of the block in English where blocks differ in language, else of the most severe; ``severity`` is the most severe of all; areas of all
    blocks are put together: ``areas`` (their words) and ``geometry`` (GeoJSON text, circles as 32 corners). ``first`` is the alert sent first of
    those referred to.
    """
    blocks = [b for b in _several(_json(info)) if isinstance(b, dict)]
    english = [b for b in blocks if str(b.get("language") or "en").lower().startswith("en")] or blocks
    english.sort(key=lambda b: _SEVERITY.index(b["severity"]) if b.get("severity") in _SEVERITY else len(_SEVERITY))
    out: dict[str, Any] = {}
    for name in _TAKEN:
        out[name] = next((str(v) for b in english for v in _several(b.get(name)) if v not in (None, "")), None)
    out["severity"] = next((b["severity"] for b in english if isinstance(b.get("severity"), str)), None)
    areas = [a for b in blocks for a in _several(b.get("area")) if isinstance(a, dict)]
    words = dict.fromkeys(str(a["areaDesc"]) for b in english for a in _several(b.get("area")) if isinstance(a, dict) and a.get("areaDesc"))
    out["areas"] = "; ".join(words) or None
    rings = [r for a in areas for r in (*map(_ring, _several(a.get("polygon"))), *map(_circle, _several(a.get("circle"))))]
    given = any(a.get("polygon") or a.get("circle") for a in areas)
    found = list({json.dumps(r): r for r in rings if r}.values())
    if given:
        bad = any(r is None for r in rings)
        shape = {"type": "Polygon", "coordinates": [found[0]]} if len(found) == 1 else {"type": "MultiPolygon", "coordinates": [[r] for r in found]}
        out["geometry"] = "unreadable" if bad else json.dumps(shape)
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

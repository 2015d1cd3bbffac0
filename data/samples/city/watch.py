"""What stands in the streets: cameras with what they see and whose they are, and counters of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .dirt import Count
from .names import pick
from .places import PLACES
from .plane import degrees
from .town import Town, lonlat, number, stream, written
from .units import TRACKED

#: Kind -> how many, owner kind, range (m), field of view (degrees), retention (days), consent.
_KINDS = {
    "street": (14, "city", 90, 90, 30, "LIVE"),
    "transport": (6, "transport", 60, 110, 14, "ON REQUEST"),
    "private business": (20, "business", 35, 95, 14, "ON REQUEST"),
    "private home": (10, "resident", 18, 120, 7, "REGISTRY ONLY"),
}
_SHOPS = ("Larkspur Grocers", "Copper Kettle Diner", "Kestrel Pharmacy", "Union Hardware", "Heron Coffee", "Sorrel Laundry", "Linden Books", "Bypass Tires")
#: Counters: name, place, mean people at the busiest hour.
COUNTERS = (("PC-01", "Central Transfer", 460.0), ("PC-02", "Prairie Gate Mall", 720.0), ("PC-03", "Memorial Stadium", 90.0))
#: The evening of the match: day, first and last hour, how many times the usual.
MATCH = ("2026-06-13", 18, 22, 9.0)
_HOURS = np.array([2, 1, 1, 1, 2, 6, 18, 40, 55, 50, 55, 70, 85, 80, 75, 82, 95, 100, 80, 60, 45, 30, 16, 7]) / 100


def write_cameras(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """A registry: fixed cameras, three of them looking at a door of the glass-door series, and those of the tracked units."""
    rng = stream("cameras")
    rows: list[dict[str, Any]] = []
    seen = []
    series = town.placed[1]
    for k, block in enumerate(series.blocks[-3:]):
        xy, bearing = town.blocks.xy[int(block)], float(rng.integers(0, 360))
        stand = xy - 24 * np.array([np.sin(np.radians(bearing)), np.cos(np.radians(bearing))])
        rows.append(_row(rows, "private business", stand, town, bearing, (0, "business", 45, 80, 14, "ON REQUEST"), _SHOPS[k]))
        seen.append({"camera": rows[-1]["Camera"], "scene": len(series.blocks) - 3 + k, "metres": 24})
    weight = town.blocks.table["premise"].is_in(["RETAIL STORE", "BAR/RESTAURANT", "CONVENIENCE STORE"]).to_numpy() * 1.0
    homes = (town.blocks.table["premise"] == "RESIDENCE").to_numpy() * 1.0
    for kind, about in _KINDS.items():
        for at in pick(rng, homes if kind == "private home" else weight, about[0]):
            name = str(rng.choice(_SHOPS)) if kind == "private business" else ""
            rows.append(_row(rows, kind, town.blocks.xy[int(at)] + rng.normal(0, 8, 2), town, float(rng.integers(0, 360)), about, name))
    for unit in TRACKED:
        for kind, days in (("body", 180), ("vehicle", 90)):
            rows.append({"Camera": f"{'BW' if kind == 'body' else 'VC'}-{unit}", "Kind": kind, "Owner Kind": "police", "Retention": days, "Unit": unit,
                         "Installed": "03/02/2025", "Live": "Y" if kind == "vehicle" else "N"})
    out = pl.DataFrame(rows, infer_schema_length=None)
    spoils = [(30, "", "", "", "duplicate"), (24, "Bearing", "upwards", "Camera", "rejected"), (44, "Kind", "", "Camera", "rejected")]
    return written(path, out, spoils, lost=2 * len(TRACKED)), {"looking_at_glass_doors": seen, "of_units": 2 * len(TRACKED)}


def _row(rows: list[dict[str, Any]], kind: str, xy: Any, town: Town, bearing: float, about: tuple[int, str, int, int, int, str], owner: str) -> dict[str, Any]:
    lon, lat = lonlat(xy)
    _, owner_kind, reach, width, days, consent = about
    return {
        "Camera": f"CAM-{len(rows) + 1:03d}", "Kind": "private" if kind.startswith("private") else kind, "Name": f"{owner or kind} {len(rows) + 1}".upper(),
        "Address": town.blocks.table["block"][int(town.blocks.nearest(np.asarray(xy)[None])[0])], "Latitude": lat, "Longitude": lon, "Bearing": bearing,
        "Field of View": width, "Range": reach, "Retention": days, "Owner Kind": owner_kind, "Owner": owner or None, "Consent": consent, "Unit": None,
        "Installed": "06/01/2024", "Live": "Y" if consent == "LIVE" else "N",
    }


def write_counts(path: Path) -> tuple[Count, dict[str, Any]]:
    """People an hour at three places in June; a match fills the stadium once."""
    rng = stream("counts")
    day, first, last, times = MATCH
    rows = []
    for name, place, most in COUNTERS:
        spot = next(p for p in PLACES if p.name == place)
        lon, lat = (float(v) for v in degrees(np.array([[spot.x, spot.y]]))[0])
        for d in range(30):
            weekday = d % 7
            week = (1.25 if weekday == 5 else 1.0 if weekday == 4 else 0.8 if weekday == 6 else 0.95) if "Mall" in place else (0.55 if weekday > 4 else 1.0)
            for hour in range(24):
                full = name == "PC-03" and d == number(day) - number("2026-06-01") and first <= hour < last
                n = int(rng.poisson(most * _HOURS[hour] * week * (times if full else 1.0)))
                rows.append({"Counter": name, "Date": f"2026-06-{d + 1:02d}", "Hour": f"{hour:02d}:00", "Minutes": 60, "People": n,
                             "Low": round(0.93 * n), "High": round(1.07 * n) + 1, "Latitude": lat, "Longitude": lon})
    out = pl.DataFrame(rows)
    spoils = [(700, "", "", "", "duplicate"), (600, "Date", "2026-06-31", "Counter", "rejected"), (900, "People", "-4", "Counter", "rejected"),
              (1000, "torn", "", "", "rejected")]
    return written(path, out, spoils), {"counters": [c[0] for c in COUNTERS],
                                        "match": {"counter": "PC-03", "day": day, "from_hour": first, "to_hour": last, "times": times}}

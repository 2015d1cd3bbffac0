"""Call-detail records that the case "sliding doors" asked a carrier for: who called whom, how long, by which cell site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .dirt import Count
from .incidents import DAY
from .town import CALL_TIME, Town, lonlat, number, stream, written
from .wall import clock

#: First day of the records, and how many days; the records are of two numbers and of whom these spoke with.
FROM, SPAN = "2026-05-01", 60
_SITES, _CALLS, _CONTACTS = 30, 250, 25
_SERVICES = ("VOICE", "VOICE", "VOICE", "SMS", "SMS", "DATA")


def write(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Ordinary calls of some numbers, and two of the crew that speak shortly before and after most scenes, one of them by the cell site nearest to it."""
    rng = stream("phone calls")
    crew = town.books.truth["crew"]
    said = {p["id"]: p["no"] for p in town.books.rows["phone"]}
    shared = said[crew["shared_phone"]]
    owner = next(said[t["entity"]] for t in town.books.rows["association"] if t["person"] == crew["people"]["van owner"] and t["kind"] == "phone")
    others = [p["no"] for p in town.books.rows["phone"][:2000] if p["no"] not in (shared, owner)]
    known = [others[int(k)] for k in rng.choice(len(others), _CONTACTS, replace=False)]
    spots = town.blocks.xy[rng.choice(len(town.blocks), _SITES, replace=False)]
    sites = [f"310-410-{4100 + k // 10}-{6010 + 7 * k}" for k in range(_SITES)]
    rows: list[dict[str, Any]] = []

    def call(minute: float, a: str, b: str, xy: Any, service: str, seconds: int) -> None:
        site = int(((spots - xy) ** 2).sum(axis=1).argmin())
        east, north = xy - spots[site]
        azimuth = (round(float(np.degrees(np.arctan2(east, north))) / 120) * 120) % 360
        lon, lat = lonlat(spots[site])
        rows.append({"minute": minute, "Calling Number": a, "Called Number": b,
                     "Duration": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
                     "Service": service, "Cell Site": sites[site], "Azimuth": azimuth, "Site Latitude": lat, "Site Longitude": lon})

    first = number(FROM) * DAY
    for _ in range(_CALLS):
        a, b = (known[int(k)] for k in rng.choice(_CONTACTS, 2, replace=False))
        if rng.random() < 0.3:
            a = shared if rng.random() < 0.5 else owner
        minute = first + float(rng.integers(0, SPAN)) * DAY + float(np.clip(rng.normal(16, 4), 6, 23.9)) * 60
        service = str(rng.choice(_SERVICES))
        pair = (a, b) if rng.random() < 0.6 else (b, a)
        call(minute, *pair, town.blocks.xy[int(rng.integers(len(town.blocks)))], service, int(rng.gamma(1.2, 110)) if service == "VOICE" else 0)
    series = town.placed[0]
    scenes = [k for k in range(len(series.minutes)) if first + DAY < series.minutes[k] < first + (SPAN - 1) * DAY]
    around = []
    for k in scenes:
        if rng.random() < 0.15:
            continue
        minute, xy = float(series.minutes[k]), town.blocks.xy[int(series.blocks[k])]
        call(minute - float(rng.integers(12, 40)), shared, owner, xy + rng.normal(0, 150, 2), "VOICE", int(rng.integers(15, 70)))
        call(minute + float(rng.integers(10, 35)), owner, shared, xy + rng.normal(0, 150, 2), "VOICE", int(rng.integers(10, 50)))
        around.append(town.books.truth["series_incidents"][series.series.name][k])
    rows.sort(key=lambda r: (r["minute"], r["Calling Number"], r["Called Number"]))
    frame = pl.DataFrame(rows, infer_schema_length=None)
    when = clock(frame["minute"])
    out = frame.select(
        pl.Series("Record", [f"CDR{k + 1:06d}" for k in range(frame.height)]), "Calling Number", "Called Number",
        pl.Series("Start", when.dt.strftime(CALL_TIME)), "Duration", "Service", "Cell Site", "Azimuth", "Site Latitude", "Site Longitude")
    spoils = [(300, "", "", "", "duplicate"), (250, "Start", "05/32/2026 10:00", "Record", "rejected"), (400, "Duration", "a while", "Record", "rejected"),
              (450, "torn", "", "", "rejected")]
    pair = ["+1" + "".join(c for c in n if c.isdigit()) for n in (shared, owner)]
    return written(path, out, spoils), {"from": FROM, "numbers": pair, "before_and_after": around, "sites": _SITES}

"""Plates read near incidents: one row a read, incident and plate; and how usual it is for one plate to be read there at that hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Ints, Plane, positions
from workbench.models.links._evidence_rows import ROWS, _rows

_LONGEST = 12 * 3600  # seconds: an incident whose time is not known to within this is not compared with reads
_DAYS = 28  # days about an incident that tell what is usual for a plate


@dataclass(frozen=True)
class Reach:
    """Within how many metres, and minutes of an incident's time, a read is near it."""

    metres: float
    minutes: float


def near(reads: pl.DataFrame, incidents: pl.DataFrame, wanted: pl.Series, reach: Reach) -> pl.DataFrame:
    """Rows "read near" of the wanted plates, with how many plates in all were read there then.

    Cost: incidents x readers near them, and the reads there in those minutes; joined by squares and spans of time, never all with all.
    """
    scenes = _scenes(incidents)
    seen = (
        reads.select("read_id", "plate", "reader", "read_at", "lon", "lat")
        .filter(pl.all_horizontal(pl.col("plate", "read_at", "lon", "lat").is_not_null()))
        .unique("read_id", keep="first")
    )
    if scenes.is_empty() or seen.is_empty() or wanted.is_empty():
        return pl.DataFrame(schema=ROWS)
    width = int(120 * reach.minutes)
    low, high = pl.col("started_at").dt.epoch("s") - int(60 * reach.minutes), pl.col("_end").dt.epoch("s") + int(60 * reach.minutes)
    scenes = scenes.with_columns(_low=low, _high=high)
    by_place = _close(seen, scenes, reach.metres).with_columns(_slot=pl.int_ranges(pl.col("_low") // width, pl.col("_high") // width + 1))
    by_place = by_place.explode("_slot", empty_as_null=True)
    at = seen.with_columns(_at=pl.col("read_at").dt.epoch("s"), _slot=pl.col("read_at").dt.epoch("s") // width)
    met = at.join(by_place, on=["lon", "lat", "_slot"], how="inner").filter((pl.col("_at") >= pl.col("_low")) & (pl.col("_at") <= pl.col("_high")))
    met = met.with_columns(_others=pl.col("plate").n_unique().over("incident_id")).filter(pl.col("plate").is_in(wanted.implode()))
    note = pl.format(" by {}, {} m off (one of {} plates read there then)", "reader", pl.col("_metres").round(0).cast(pl.Int64), "_others")
    return _rows(
        met,
        "reads",
        "read_id",
        source=pl.lit("vehicle:") + pl.col("plate"),
        target=pl.lit("incident:") + pl.col("incident_id"),
        kind=pl.lit("read near"),
        at=pl.col("read_at"),
        note=note,
    )


def usual(at: Ints, lon: Floats, lat: Floats, scene: dict[str, Any], reach: Reach, reading: tuple[datetime, datetime] | None) -> tuple[float, int, int] | None:
    """The chance, by its own habit, that a plate is read near an incident in its minutes: (days it was + 1/2) / (days + 1); with both counts.

    ``at`` (seconds since 1970), ``lon`` and ``lat`` are of the plate's reads, ``reading`` from when to when there are reads at all. Days are the 28 before
    and after for which there are reads, at the same hours, the day itself left out. None where nothing can tell.
    """
    if reading is None or None in (scene["lon"], scene["lat"], scene["started_at"]):
        return None
    (first, last), began = reading, scene["started_at"]
    low = began - timedelta(minutes=reach.minutes)
    high = max(began, scene["ended_at"] or began) + timedelta(minutes=reach.minutes)
    days = max(min(_DAYS, (low - first).days), 0) + max(min(_DAYS, (last - high).days), 0)
    if days < 3:
        return None
    plane = Plane.local(scene["lat"], scene["lon"])
    x, y = plane.to_metres(lon, lat)
    sx, sy = plane.to_metres(np.array([scene["lon"]]), np.array([scene["lat"]]))
    passed = at - low.timestamp()
    day = np.floor(passed / 86400)
    there = (np.hypot(x - sx[0], y - sy[0]) <= reach.metres) & (np.abs(day) <= _DAYS) & (day != 0)
    there &= passed - day * 86400 <= (high - low).total_seconds()
    was = min(days, len(np.unique(day[there])))
    return (was + 0.5) / (days + 1), was, days


def _scenes(incidents: pl.DataFrame) -> pl.DataFrame:
    """Incidents with a place and a time known to within 12 hours: incident_id, started_at, _end, lon, lat."""
    ends = incidents.select(
        "incident_id",
        "started_at",
        _end=pl.max_horizontal("started_at", pl.coalesce("ended_at", "started_at")),
        lon=pl.col("lon").cast(pl.Float64),
        lat=pl.col("lat").cast(pl.Float64),
    ).unique("incident_id", keep="first")
    whole = pl.all_horizontal(pl.col("started_at", "lon", "lat").is_not_null())
    return ends.filter(whole & ((pl.col("_end") - pl.col("started_at")).dt.total_seconds() <= _LONGEST))


def _close(seen: pl.DataFrame, scenes: pl.DataFrame, metres: float) -> pl.DataFrame:
    """Scenes with each place of reads within reach: columns of both, lon and lat those of the place, _metres apart."""
    places = seen.select("lon", "lat").unique()
    plane = Plane.local(float(np.median(scenes["lat"].to_numpy())), float(np.median(scenes["lon"].to_numpy())))
    px, py = plane.to_metres(*positions(places))
    sx, sy = plane.to_metres(*positions(scenes))
    spots = places.with_columns(
        _x=pl.Series(px), _y=pl.Series(py), _cx=pl.Series(np.floor(px / metres).astype(np.int64)), _cy=pl.Series(np.floor(py / metres).astype(np.int64))
    )
    at = scenes.drop("lon", "lat").with_columns(_sx=pl.Series(sx), _sy=pl.Series(sy))
    pieces = []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            cell = at.with_columns(_cx=pl.Series(np.floor(sx / metres).astype(np.int64) + i), _cy=pl.Series(np.floor(sy / metres).astype(np.int64) + j))
            pieces.append(cell.join(spots, on=["_cx", "_cy"], how="inner"))
    apart = ((pl.col("_sx") - pl.col("_x")) ** 2 + (pl.col("_sy") - pl.col("_y")) ** 2).sqrt()
    return pl.concat(pieces).with_columns(_metres=apart).filter(pl.col("_metres") <= metres).select("incident_id", "_low", "_high", "lon", "lat", "_metres")

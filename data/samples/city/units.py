"""What units did: every change of their status over four days of June, and where six of them were over two, on the roads between calls.

A unit's track is true to the calls: it is on the scene when the call says so, under way before, and otherwise about its own district.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .dirt import Count
from .incidents import DAY
from .plane import Floats, along, at, degrees
from .town import CALL_TIME, Town, lonlat, number, stream, written
from .traffic import paths
from .wall import clock, later

#: Days of the status changes and of the tracks, the units that are tracked (their shift is the letter), and seconds between two fixes.
EVENT_DAYS, TRACK_DAYS = ("2026-06-17", 4), ("2026-06-19", 2)
TRACKED = ("1B1", "1B2", "2B1", "4B1", "1C1", "4C1")
EVERY = 30
_SHIFT = {"A": 7, "B": 15, "C": 23}
#: Metres a second on patrol, and the pace of a leg without a call.
PATROL = 8.0


def write_events(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """One row a change: the call's own (received, closed, now and then another priority) and each unit's."""
    rng = stream("call events")
    first = number(EVENT_DAYS[0]) * DAY
    calls = town.calls.filter(pl.col("minute").is_between(first, first + EVENT_DAYS[1] * DAY, closed="left"))
    rows: list[tuple[float, str, str | None, str, str | None]] = []
    raised = []
    for call in calls.iter_rows(named=True):
        begin = call["minute"] * 60 + call["second"]
        name, units = call["call_number"], call["units"].split(";") if call["units"] else []
        rows.append((begin, name, None, "RECEIVED", None))
        if not call["own"] and rng.random() < 0.06 and call["priority"] in ("3", "4") and call["dispatched"] > 20:
            rows.append((begin + 0.5 * call["dispatched"], name, None, "PRIORITY", f"{call['priority']} TO {int(call['priority']) - 1}"))
            raised.append(name)
        for k, unit in enumerate(units):
            gap = 0.0 if k == 0 else float(rng.uniform(15, 150))
            moments = [("DISPATCHED", call["dispatched"]), ("EN ROUTE", call["en_route"]), ("ARRIVED", call["arrived"]), ("CLEARED", call["cleared"])]
            for status, moment in moments:
                if moment is not None and not (call["own"] and status != "CLEARED" and status != "ARRIVED"):
                    late = gap if status in ("EN ROUTE", "ARRIVED") else -min(gap, 60) if status == "CLEARED" and k else 0.0
                    rows.append((begin + max(moment + late, 0), name, unit, status, None))
        rows.append((begin + call["cleared"] + float(rng.integers(5, 90)), name, None, "CLOSED", call["disposition"]))
    rows.sort(key=lambda r: (r[0], r[1], r[3], r[2] or ""))
    stamp = later(clock(pl.Series([0.0] * len(rows))), pl.Series([r[0] for r in rows])).dt.strftime(CALL_TIME)
    out = pl.DataFrame({"Call Number": [r[1] for r in rows], "At": stamp, "Unit": [r[2] for r in rows], "Status": [r[3] for r in rows],
                        "Detail": [r[4] for r in rows]}, schema_overrides={"Unit": pl.String, "Detail": pl.String}).unique(maintain_order=True)
    spoils = [(300, "", "", "", "duplicate"), (350, "At", "2026-06-18 24:61:00", "Call Number", "rejected"), (420, "Status", "", "Call Number", "rejected"),
              (500, "torn", "", "", "rejected")]
    return written(path, out, spoils), {"from": EVENT_DAYS[0], "days": EVENT_DAYS[1], "calls": calls.height, "raised": raised}


def write_tracks(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """A fix every half minute of each tracked unit's shifts."""
    rng = stream("units")
    ways = paths(town.graph)
    frames, truth = [], []
    for unit in TRACKED:
        for day in range(TRACK_DAYS[1]):
            start = (number(TRACK_DAYS[0]) + day) * 86400.0 + _SHIFT[unit[1]] * 3600
            frame, scenes = _shift(unit, start, town, ways, rng)
            frames.append(frame)
            truth += scenes
    out = pl.concat(frames).sort("second", "Unit")
    stamp = later(clock(pl.Series([0.0] * out.height)), out["second"]).dt.strftime("%Y-%m-%dT%H:%M:%S") + "-05:00"
    out = out.select("Unit", stamp.alias("Time"), "Latitude", "Longitude", "Speed_mph", "Heading", "Status", "Call")
    lost = np.zeros(out.height, dtype=bool)
    lost[[2000, 6001]] = True
    out = out.with_columns(pl.when(pl.Series(lost)).then(0.0).otherwise(c).alias(c) for c in ("Latitude", "Longitude"))
    spoils = [(4000, "", "", "", "duplicate"), (3000, "Time", "2026-06-19T99:00:00-05:00", "Unit", "rejected"), (5000, "torn", "", "", "rejected"),
              (3600, "Longitude", "west", "Unit", "rejected")]
    about = {"units": list(TRACKED), "from": TRACK_DAYS[0], "days": TRACK_DAYS[1], "seconds": EVERY}
    return written(path, out, spoils, lost=int(lost.sum())), {**about, "scenes": truth}


def _shift(unit: str, start: float, town: Town, ways: list[list[list[int]]], rng: np.random.Generator) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """One unit's eight hours: legs of (from, to, line, status, call), then fixes along them."""
    end = start + 8 * 3600
    jobs = _jobs(unit, start, end, town)
    home = _node(town, town.blocks.xy[int(np.flatnonzero((town.blocks.table["district"] == unit[0]).to_numpy())[rng.integers(2000)])])
    legs: list[tuple[float, float, Floats, str, str | None]] = []
    now, here, truth = start, town.graph.nodes[home], []
    for job in jobs:
        now, here = _patrol(legs, now, here, job, unit, town, ways, rng)
        if job["arrived"] is None:
            line = _way(town, ways, here, job["xy"])
            part = at(line, np.linspace(0, 0.6 * along(line)[-1], 12))
            legs.append((job["sent"], job["cleared"], part, "EN ROUTE", job["call"]))
            here = part[-1]
        else:
            leave = max(min(job["leaves"], job["arrived"] - 1), job["sent"])
            if leave > now:
                legs.append((now, leave, np.vstack([here, here]), "DISPATCHED", job["call"]))
            if job["arrived"] > leave:
                legs.append((leave, job["arrived"], _way(town, ways, here, job["xy"]), "EN ROUTE", job["call"]))
            legs.append((job["arrived"], job["cleared"], np.vstack([job["xy"], job["xy"]]), "ON SCENE", job["call"]))
            here = job["xy"]
            lon, lat = lonlat(here)
            span = pl.Series([job["arrived"], job["cleared"]])
            wall = later(clock(pl.Series([0.0, 0.0])), span).dt.strftime(CALL_TIME).to_list()
            truth.append({"unit": unit, "call": job["call"], "lon": lon, "lat": lat, "from": wall[0], "until": wall[1]})
        now = job["cleared"]
    _patrol(legs, now, here, {"sent": end, "xy": here, "leaves": end, "arrived": None}, unit, town, ways, rng)
    return _fixes(unit, start, end, legs, rng), truth


def _jobs(unit: str, start: float, end: float, town: Town) -> list[dict[str, Any]]:
    """The calls the unit went to first, one after the other, with their moments in seconds."""
    low, high = start / 60, end / 60
    rows = town.calls.filter(pl.col("minute").is_between(low, high - 40) & pl.col("lon").is_not_null() & (pl.col("units").str.split(";").list.first() == unit))
    spots = town.blocks.table.select("lon", "lat").to_numpy()
    out: list[dict[str, Any]] = []
    for call in rows.sort("minute", "second").iter_rows(named=True):
        begin = call["minute"] * 60 + call["second"]
        sent = begin + (call["dispatched"] or 0)
        if out and sent < out[-1]["cleared"] + 30:
            continue
        xy = town.blocks.xy[int(((spots - [call["lon"], call["lat"]]) ** 2).sum(axis=1).argmin())]
        arrived = None if call["arrived"] is None else begin + call["arrived"]
        leaves = begin + (call["en_route"] if call["en_route"] is not None else call["dispatched"] or 0)
        out.append({"call": call["call_number"], "sent": sent, "leaves": leaves, "arrived": arrived, "cleared": min(begin + call["cleared"], end), "xy": xy})
    return [j for j in out if j["arrived"] is None or _in_order(j)]


def _in_order(job: dict[str, Any]) -> bool:
    """Whether a call's moments are in order (a few units arrive before they are sent, and stay out of the tracks)."""
    return bool(job["sent"] <= job["arrived"] <= job["cleared"])


def _patrol(legs: list[tuple[float, float, Floats, str, str | None]], now: float, here: Floats, job: dict[str, Any], unit: str, town: Town,
            ways: list[list[list[int]]], rng: np.random.Generator) -> tuple[float, Floats]:
    """Drive about the district until the next call, ending so near to it that it can be reached in the time that the call gives."""
    until = job["sent"]
    beats = np.flatnonzero((town.blocks.table["district"] == unit[0]).to_numpy())
    while until - now > 1500:
        goal = town.blocks.xy[int(beats[rng.integers(len(beats))])]
        line = _way(town, ways, here, town.graph.nodes[_node(town, goal)])
        took = max(along(line)[-1] / PATROL, 30.0)
        if now + took > until - 600:
            break
        legs.append((now, now + took, line, "AVAILABLE", None))
        pause = float(rng.uniform(120, 600))
        now, here = now + took, line[-1]
        legs.append((now, now + pause, np.vstack([here, here]), "AVAILABLE", None))
        now += pause
    if until > now:
        target = _nearby(town, ways, here, job, until - now)
        line = _way(town, ways, here, target)
        took = min(until - now, max(along(line)[-1] / PATROL, 1.0))
        legs.append((now, now + took, line, "AVAILABLE", None))
        if until - now > took:
            legs.append((now + took, until, np.vstack([target, target]), "AVAILABLE", None))
        now, here = until, target
    return now, here


def _nearby(town: Town, ways: list[list[list[int]]], here: Floats, job: dict[str, Any], idle: float) -> Floats:
    """The corner (or where one is) from which neither the drive there nor the drive on to the scene has to be a race."""
    travel = 60.0 if job["arrived"] is None else max(job["arrived"] - max(min(job["leaves"], job["arrived"] - 1), job["sent"]), 1.0)
    nodes = town.graph.nodes
    near = np.argsort(np.hypot(*(nodes - job["xy"]).T), kind="stable")[:25]
    choices = [here, *nodes[near], job["xy"]]
    cost = [max(1.35 * np.hypot(*(c - here)) / idle, 1.35 * np.hypot(*(job["xy"] - c)) / travel) for c in choices]
    return np.asarray(choices[int(np.argmin(cost))])


def _node(town: Town, xy: Floats) -> int:
    return int(((town.graph.nodes - xy) ** 2).sum(axis=1).argmin())


def _way(town: Town, ways: list[list[list[int]]], a: Floats, b: Floats) -> Floats:
    """A line from a to b: over the main roads where that is not a great detour, else straight."""
    u, v = _node(town, a), _node(town, b)
    parts = [a[None], *(town.graph.points[e] for e in ways[u][v]), b[None]]
    line = np.vstack(parts)
    straight = float(np.hypot(*(b - a)))
    if along(line)[-1] > 1.8 * straight + 150:
        line = np.vstack([a, [a[0] + 0.5 * (b[0] - a[0]), a[1] + 0.5 * (b[1] - a[1])], b])
    keep = np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 0.01])
    kept = line[keep]
    return kept if len(kept) > 1 else np.vstack([kept[0], kept[0]])


def _fixes(unit: str, start: float, end: float, legs: list[tuple[float, float, Floats, str, str | None]], rng: np.random.Generator) -> pl.DataFrame:
    times = np.arange(start + float(rng.integers(0, EVERY)), end, EVERY)
    xy, heading, speed = np.zeros((len(times), 2)), np.zeros(len(times)), np.zeros(len(times))
    status, call = ["AVAILABLE"] * len(times), [""] * len(times)
    for a, b, line, word, name in legs:
        rows = np.flatnonzero((times >= a) & (times < b))
        if not len(rows):
            continue
        length = float(along(line)[-1])
        share = (times[rows] - a) / max(b - a, 1e-9)
        xy[rows] = at(line, share * length) if length > 0 else line[0]
        speed[rows] = length / max(b - a, 1.0) if length > 1 else 0.0
        ahead = at(line, np.minimum(share * length + 15, length)) if length > 0 else xy[rows]
        step = ahead - xy[rows]
        heading[rows] = np.round(np.degrees(np.arctan2(step[:, 0], step[:, 1]))) % 360
        for r in rows:
            status[int(r)], call[int(r)] = word, name or ""
    ll = degrees(xy + rng.normal(0, 3.0, xy.shape))
    mph = np.round(np.maximum(speed / 0.44704 + np.where(speed > 0, rng.normal(0, 2, len(times)), 0), 0), 1)
    return pl.DataFrame({"Unit": [unit] * len(times), "second": times, "Latitude": ll[:, 1], "Longitude": ll[:, 0], "Speed_mph": mph,
                         "Heading": heading.astype(int), "Status": status, "Call": call}).with_columns(pl.col("Call").replace("", None))


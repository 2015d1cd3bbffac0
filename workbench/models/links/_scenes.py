"""Plates read near scenes, against how often each plate is there anyway.

For a scene the plate's own habit is what it did at the same hours on the other days at the readers near it, days of other scenes there left
out: seen on ``d`` of ``D`` such days, its chance to be there on the day itself is taken as ``(d + q) / (D + 1)``, ``q`` being the mean
share of days over the plates seen there. For plates never seen there (d = 0) it is the share of them that one day brings: plates seen on just
one day, over days and plates not seen (I. J. Good, Biometrika 40, 1953, 237-264). Over several scenes the number near adds up to a
Poisson-binomial count (W. Hoeffding, Annals of Mathematical Statistics 27, 1956, 713-721), whose tail says how surprising it is;
``by_chance`` is how many plates as surprising chance would give among all that were compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Plane, positions
from workbench.models import chance

_LONGEST = 12 * 3600.0  # a scene whose time is not known to within this many seconds is left out
NEAR = pl.Schema(
    {
        "plate": pl.String(),
        "incident_id": pl.String(),
        "read_id": pl.String(),
        "reader": pl.String(),
        "read_at": pl.Datetime("us", "UTC"),
        "metres": pl.Float64(),
        "seconds": pl.Float64(),
        "lon": pl.Float64(),
        "lat": pl.Float64(),
    }
)
ODDS = pl.Schema({"plate": pl.String(), "near": pl.Int64(), "expected": pl.Float64(), "p": pl.Float64(), "as_often": pl.Int64(), "by_chance": pl.Float64()})


@dataclass(frozen=True, eq=False)
class Near:
    """Plates near scenes.

    Args:
        reads: the evidence, columns NEAR.
        odds: a row a plate that was near at least one scene, columns ODDS.
        by_scene: plate, incident_id and the plate's own chance p to be there then.
        scenes: how many incidents have a reader near.
        plates: how many plates were compared.
        notes: what limits this.
    """

    reads: pl.DataFrame
    odds: pl.DataFrame
    by_scene: pl.DataFrame
    scenes: int
    plates: int
    notes: tuple[str, ...] = ()


def near(reads: pl.DataFrame, incidents: pl.DataFrame, *, metres: float, minutes: float, window: timedelta) -> Near:
    """Which plates were read within ``metres`` of an incident and within ``minutes`` of its time, and what their habits would give.

    Args:
        reads: the reads table.
        incidents: the scenes; those without a position, or with a time span over 12 hours, are left out and noted.
        window: reads up to this long before and after a scene tell a plate's habits.

    Cost: O(places x scenes + reads x scenes) in numpy; 150,000 reads and 30 scenes in about 0.05 s.
    """
    usable, notes = _usable(incidents)
    located = reads.filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null()).select("plate", "read_id", "reader", "read_at", "lon", "lat")
    if usable.is_empty() or located.is_empty():
        return _nothing(notes)
    located, distance, place = _close(located, usable, metres)
    at = located["read_at"].dt.epoch("us").to_numpy() / 1e6
    start, end = (usable[c].dt.epoch("us").to_numpy() / 1e6 for c in ("started_at", "_end"))
    low, high, reach = start - 60 * minutes, end + 60 * minutes, window.total_seconds()
    rows_of = [np.flatnonzero((distance[place, s] <= metres) & (at >= low[s] - reach) & (at <= high[s] + reach)) for s in range(len(usable))]
    covered = [s for s, rows in enumerate(rows_of) if len(rows)]
    if len(covered) < len(usable):
        gone = len(usable) - len(covered)
        notes = (*notes, f"No plate was read within {metres:g} m of {gone} of {len(usable)} incidents in the days about them; they are not counted as scenes.")
    if not covered:
        return _nothing(notes)
    names = located["plate"].unique().sort()
    code = np.searchsorted(names.to_numpy(), located["plate"].to_numpy())
    shape = (len(names), len(covered))
    hits, own, controls, q = np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(len(covered)), np.zeros(len(covered))
    found: list[tuple[Any, int]] = []
    for c, s in enumerate(covered):
        rows = rows_of[s]
        day = np.floor((at[rows] - low[s]) / 86400).astype(np.int64)
        same = at[rows] - low[s] - day * 86400.0 <= high[s] - low[s]
        same &= ~np.isin(day, _taken(s, low, high, distance <= metres))
        there, other = rows[same & (day == 0)], same & (day != 0)
        seen = np.unique(code[rows[other]] * 4096 + day[other] + 2048)
        controls[c] = len(np.setdiff1d(day, [0, *_taken(s, low, high, distance <= metres)]))
        own[:, c] = np.bincount(seen // 4096, minlength=len(names))
        q[c] = len(seen) / max(controls[c], 1) / max(1, len(np.unique(code[rows])))
        hits[code[there], c] = True
        found.append((there, s))
    unknown = controls == 0
    if unknown.any():
        notes = (*notes, f"For {int(unknown.sum())} scenes there are no reads of other days to say what is usual; being near them is not taken as a surprise.")
    fresh = (own == 1).sum(axis=0) / np.maximum(controls, 1) / np.maximum((own == 0).sum(axis=0), 1)
    p = np.where(unknown, 1.0, np.where(own == 0, np.maximum(fresh, q / (controls + 1)), (own + q) / (controls + 1))).clip(1e-9, 1.0)
    there, scene = np.concatenate([t for t, _ in found]), np.concatenate([np.full(len(t), s) for t, s in found])
    seconds = np.where(at[there] < start[scene], at[there] - start[scene], np.maximum(0.0, at[there] - end[scene]))
    evidence = (
        located[there]
        .with_columns(
            incident_id=usable["incident_id"].gather(scene),
            metres=pl.Series(distance[place[there], scene], dtype=pl.Float64),
            seconds=pl.Series(seconds, dtype=pl.Float64),
        )
        .select(list(NEAR))
        .cast(NEAR)
    )
    return _scored(evidence, names, hits, p, usable["incident_id"].gather(covered), notes)


def _taken(s: int, low: Any, high: Any, close: Any) -> list[int]:
    """Days, counted from scene s, on which its hours overlap another scene's at the same readers: what was done there is no habit."""
    out: list[int] = []
    for t in range(len(low)):
        if t != s and (close[:, s] & close[:, t]).any():
            first, last = math.floor((low[t] - high[s]) / 86400) + 1, math.ceil((high[t] - low[s]) / 86400) - 1
            out += range(first, last + 1)
    return [d for d in out if d != 0]


def _nothing(notes: tuple[str, ...]) -> Near:
    empty = pl.DataFrame(schema={"plate": pl.String(), "incident_id": pl.String(), "p": pl.Float64()})
    return Near(pl.DataFrame(schema=NEAR), pl.DataFrame(schema=ODDS), empty, 0, 0, notes)


def _usable(incidents: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    scenes = (
        incidents.unique("incident_id", keep="first")
        .sort("started_at", "incident_id")
        .with_columns(_end=pl.max_horizontal("started_at", pl.coalesce("ended_at", "started_at")))
    )
    placed = scenes.filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
    usable = placed.filter((pl.col("_end") - pl.col("started_at")).dt.total_seconds() <= _LONGEST)
    notes = []
    if len(placed) < len(scenes):
        notes.append(f"{len(scenes) - len(placed)} of {len(scenes)} incidents have no position, so no read can be near them.")
    if len(usable) < len(placed):
        notes.append(f"{len(placed) - len(usable)} incidents have a time span over 12 hours and were not compared with reads.")
    return usable, tuple(notes)


def _close(located: pl.DataFrame, scenes: pl.DataFrame, metres: float) -> tuple[pl.DataFrame, Any, Any]:
    """Reads within reach of any scene, the distance of each place to each scene, and the place of each of these reads."""
    places = located.select("lon", "lat").unique().sort("lon", "lat")
    lon, lat = positions(scenes)
    plane = Plane.local(float(np.median(lat)), float(np.median(lon)))
    px, py = plane.to_metres(*positions(places))
    sx, sy = plane.to_metres(lon, lat)
    distance = np.hypot(px[:, None] - sx[None, :], py[:, None] - sy[None, :])
    keep = (distance <= metres).any(axis=1)
    places, distance = places.filter(pl.Series(keep, dtype=pl.Boolean)), distance[keep]
    inside = located.join(places.with_row_index("_place"), on=["lon", "lat"], how="inner").sort("read_at", "read_id")
    return inside, distance, inside["_place"].to_numpy().astype(np.int64)


def _as_surprising(tails: Floats, observed: Floats) -> Floats:
    """How many plates chance would give with a tail as small as each observed one: the sum over plates of their largest tail that is no larger."""
    steps = tails - np.concatenate([tails[:, 1:], np.zeros((len(tails), 1))], axis=1)
    order = np.argsort(tails, axis=None)
    total = np.concatenate([[0.0], np.cumsum(steps.ravel()[order])])
    out: Floats = total[np.searchsorted(tails.ravel()[order], observed * (1 + 1e-9), side="right")]
    return out


def _scored(evidence: pl.DataFrame, names: pl.Series, hits: Any, p: Any, scenes: pl.Series, notes: tuple[str, ...]) -> Near:
    count = hits.sum(axis=1)
    some = np.flatnonzero(count)
    tails = chance.tails(p)
    tail = tails[some, count[some]]
    often = np.array([int((count >= k).sum()) for k in count[some]], dtype=np.int64)
    odds = pl.DataFrame(
        {
            "plate": names.gather(some),
            "near": count[some].astype(np.int64),
            "expected": p[some].sum(axis=1),
            "p": tail,
            "as_often": often,
            "by_chance": _as_surprising(tails, tail),
        },
        schema=ODDS,
    ).sort("p", "plate")
    i, j = np.nonzero(hits)
    by_scene = pl.DataFrame({"plate": names.gather(i), "incident_id": scenes.gather(j), "p": p[i, j]}).sort("p", "plate", "incident_id")
    return Near(evidence, odds, by_scene, len(scenes), len(names), notes)

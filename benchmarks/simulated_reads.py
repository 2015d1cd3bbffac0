"""Made-up reads of plates with planted convoys: commuters, random trips and pairs that travel together, on a grid of streets with a reader at each corner.

Two kinds. ``easy``: pairs travel at any hour between any two places and are read well. ``hard``: they travel to work in the morning rush like everybody
else, and are read as badly as all. Every number is a parameter, so that other towns, detection rates and seeds can be tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Town:
    """What is simulated: about ``reads`` reads by ``wide`` x ``high`` readers in ``days`` days; ``pairs`` convoys with ``trips`` (least, most) trips each."""

    reads: int = 1_000_000
    wide: int = 20
    high: int = 15
    days: int = 30
    detection: float = 0.5
    pairs: int = 300
    trips: tuple[int, int] = (2, 6)
    hard: bool = False
    commuters: float = 0.15
    trips_each: float = 25.0
    convoy_detection: float = 0.8


def simulate(town: Town, seed: int = 7) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """The reads (plate, reader as numbers, read_at, lon, lat) in order of time, and the planted pairs, shape (pairs, 2), the lower plate first."""
    rng = np.random.default_rng(seed)
    size = np.array([town.wide, town.high])
    middle, spread = size * np.array([0.5, 7 / 15]), size * np.array([0.15, 2.5 / 15])
    usual = int(town.reads / ((town.wide + town.high) / 3 * town.detection + 0.5))
    many = max(2 * town.pairs + 2000, int(usual / town.trips_each))
    active = rng.pareto(1.3, many) + 0.2
    home = rng.integers(0, size, (many, 2))
    work = _inside(rng.normal(middle, spread, (many, 2)), size)
    leaves = rng.normal(7.8 * 3600, 2700, many)
    back = leaves + rng.normal(9 * 3600, 2700, many)
    commuting, regular = int(usual * 0.45), max(1, int(many * town.commuters))
    who, morning = rng.integers(0, regular, commuting), rng.random(commuting) < 0.5
    parts = [(who, rng.integers(0, town.days, commuting), np.where(morning[:, None], home[who], work[who]), np.where(morning[:, None], work[who], home[who]),
              np.where(morning, leaves[who], back[who]) + rng.normal(0, 300, commuting))]
    other = usual - commuting
    who = rng.choice(many, other, p=active / active.sum())
    hour = np.clip(np.concatenate([rng.normal(12, 4, other // 2), rng.normal(18, 3, other - other // 2)]), 0, 23.5)
    parts.append((who, rng.integers(0, town.days, other), _inside(home[who] + rng.normal(0, 0.15 * town.wide, (other, 2)), size),
                  _inside(rng.normal(middle, spread * 1.35, (other, 2)), size), hour * 3600))
    planted, together = _convoys(town, rng, many, regular, size, middle, spread)
    trips = [np.concatenate(columns) for columns in zip(*parts, *together, strict=True)]
    pace = rng.uniform(60, 130, len(trips[0]))  # seconds from corner to corner; both of a pair drive alike
    m = len(together[0][0])
    if m:
        pace[-m:] = pace[-2 * m : -m]
    detection = np.full(len(pace), town.detection)
    if not town.hard:
        detection[len(pace) - 2 * m :] = town.convoy_detection
    return _reads(town, rng, trips, pace, detection), np.sort(planted, axis=1)


def _inside(at: Any, size: Any) -> Any:
    return np.clip(np.round(at), 0, size - 1).astype(int)


def _convoys(town: Town, rng: Any, many: int, regular: int, size: Any, middle: Any, spread: Any) -> tuple[Any, tuple[Any, Any]]:
    planted = rng.choice(np.arange(regular, many), 2 * town.pairs, replace=False).reshape(town.pairs, 2)
    least, most = (town.trips[0], min(4, town.trips[1])) if town.hard else town.trips
    trips = rng.integers(least, most + 1, town.pairs)
    which = np.repeat(np.arange(town.pairs), trips)
    n = len(which)
    day = np.concatenate([rng.choice(town.days, k, replace=False) for k in trips]) if n else np.zeros(0, int)
    at = np.clip(rng.normal(7.8, 1.0, n), 0, 23) * 3600 if town.hard else rng.uniform(0, 23, n) * 3600
    origin = rng.integers(0, size, (n, 2))
    end = _inside(rng.normal(middle, spread, (n, 2)), size) if town.hard else rng.integers(0, size, (n, 2))
    return planted, ((planted[which, 0], day, origin, end, at), (planted[which, 1], day, origin, end, at + rng.uniform(2, 40, n)))


def _reads(town: Town, rng: Any, trips: list[Any], pace: Any, detection: Any) -> pl.DataFrame:
    who, day, origin, end, start = trips
    corners = np.abs(origin - end).sum(1) + 1
    row = np.repeat(np.arange(len(who)), corners)
    step = np.arange(corners.sum()) - np.repeat(np.cumsum(corners) - corners, corners)
    kept = rng.random(len(row)) < detection[row]
    row, step = row[kept], step[kept]
    along = np.abs(origin - end)[:, 0][row]
    x = origin[:, 0][row] + np.sign(end - origin)[:, 0][row] * np.minimum(step, along)
    y = origin[:, 1][row] + np.sign(end - origin)[:, 1][row] * np.maximum(step - along, 0)
    second = np.maximum(day[row] * 86400 + start[row] + step * pace[row] + rng.normal(0, 3, len(row)), 0).astype(np.int64)
    first = 1_748_736_000_000_000  # 2025-06-01
    return pl.DataFrame({"plate": who[row].astype(np.uint32), "reader": (y * town.wide + x).astype(np.uint16), "second": second, "lon": -90.0 + 0.01 * x,
                         "lat": 41.5 + 0.008 * y}).sort("second", "plate", "reader").select(
        "plate", "reader", (pl.col("second") * 1_000_000 + first).cast(pl.Datetime("us", "UTC")).alias("read_at"), "lon", "lat")


def precision(plate: pl.Series, other: pl.Series, planted: np.ndarray[Any, Any]) -> float:
    """Average precision of a ranking of pairs (best first) against all planted pairs, found or not."""
    true = {frozenset((str(a), str(b))) for a, b in planted.tolist()}
    hit = np.array([frozenset((str(a), str(b))) in true for a, b in zip(plate, other, strict=True)], dtype=float)
    return float((hit * np.cumsum(hit) / np.arange(1, len(hit) + 1)).sum() / max(1, len(true)))


def found(table: pl.DataFrame, planted: np.ndarray[Any, Any], level: float = 0.1) -> tuple[int, int]:
    """How many pairs a ranking calls companions at that false discovery rate, and how many of them were planted."""
    true = {frozenset((str(a), str(b))) for a, b in planted.tolist()}
    rows = table.filter(~pl.col("habitual") & (pl.col("q") <= level))
    return len(rows), sum(frozenset(pair) in true for pair in rows.select("plate", "other").iter_rows())


def shuffled(reads: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """The same reads with every plate's days dealt out anew, so that nobody travels together more than habits give."""
    day = reads["read_at"].dt.epoch("d")
    low = int(day.min() or 0)  # type: ignore[arg-type]
    number = (day - low).to_numpy()
    names, plate = np.unique(reads["plate"].to_numpy(), return_inverse=True)
    new = np.argsort(np.random.default_rng(seed).random((len(names), int(number.max()) + 1)), axis=1)
    moved = new[plate.ravel(), number] - number
    return reads.with_columns(pl.col("read_at") + pl.Series(moved * 86_400_000_000, dtype=pl.Duration("us"))).sort("read_at")

"""Who passed the readers near some scenes, on the days of the scenes and at the same hours of other days, and what chance makes of it.

A scene is a place and a span [start, end] in which it happened at one unknown moment, each as likely (aoristic; Ratcliffe, JQC 18, 2002, 27-43). A plate read
at t was near the scene if it happened within [t - m, t + m]; so a plate's weight at a scene is the share of the span that lies so near to its reads there:
1 or 0 where the moment is known, and small where the span is long. Being there with whatever weight on the other days, hours kept, is the plate's habit.
Weights are kept in eighths (rounded, at least one). What chance gives over several scenes is a sum of independent weights: at each scene nothing, or with the
plate's own chance a weight as anybody's there on other days. Where every moment is known this is the Poisson-binomial count.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo import Floats, Ints, Plane, positions
from workbench.models.plates import _loops

if TYPE_CHECKING:
    from workbench.models.plates._passages import Passages

_SAME_KIND = 7  # with so many other days of the same kind (working day, weekend) only those tell the habit
FEWEST = 3  # days; with fewer the habit at a scene is not known
EIGHTHS = 8
_LONGEST = 86_400  # seconds; scenes with a longer span are left out
_counts: weakref.WeakKeyDictionary[Passages, dict[int | None, Ints]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Scenes:
    """Scenes that reads can be near: ids, low and high of the span (seconds UTC), spots near each (and which scene), what was left out."""

    frame: pl.DataFrame
    low: Ints
    high: Ints
    scene: Ints
    spot: Ints
    metres: Floats
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.low)

    def only(self, which: Any, note: str) -> Scenes:
        """Some of the scenes (a mask), and why not the others."""
        kept = which[self.scene]
        number = np.cumsum(which) - 1
        return Scenes(self.frame.filter(pl.Series(which)), self.low[which], self.high[which], number[self.scene[kept]], self.spot[kept], self.metres[kept],
                      (*self.notes, note))


@dataclass(frozen=True, eq=False)
class Habits:
    """Plates seen near n scenes, then or on other days (K of them).

    Attributes:
        plate: (K,) codes. seen: (K, n) weight on the day itself. level: (K, n) the same in steps (eighths; whole where every moment is known). own: (K, n)
        other days on which it was there. floor: (K, n) chance of a plate that was never seen there on other days. days: (n,) other days. q: (n,) mean share
        of days over plates seen there. spread: (n, classes, steps + 1) how weights there on other days are spread, given that they are not nothing, of plates
        that are there on one day, on 2 or 3, on 4 to 7 and so on (a bus stands there for longer than who passes once).
        entry, drawn, begin: plates (numbers into ``plate``) and steps on other days, those of scene s and its j-th other day at
        ``begin[offset[s] + j]`` to ``begin[offset[s] + j + 1]``.
        date: the local day of each other day, in the order of ``begin``. readable: (n,) reads of anybody near each scene in its time.
    """

    plate: Ints
    seen: Floats
    level: Ints
    own: Ints
    floor: Floats
    days: Ints
    q: Floats
    spread: Floats
    entry: Ints
    drawn: Ints
    begin: Ints
    offset: Ints
    date: Ints
    readable: Ints


def counts(passages: Passages, until: int | None) -> Ints:
    """Reads of each plate before ``until``. Kept with the passages. O(n) once."""
    kept = _counts.setdefault(passages, {})
    if until not in kept:
        plate = passages.plate if until is None else passages.plate[passages.at < until]
        kept[until] = np.bincount(plate, minlength=len(passages.plates))
    return kept[until]


def _activity(passages: Passages, until: int | None) -> tuple[Ints, Floats, Floats]:
    """The class of each plate by its reads (powers of two), and of each class how many plates it has and their mean reads. Kept with the passages."""
    key = ("activity", until)
    if key not in passages.kept:
        every = counts(passages, until)
        kind, read = np.zeros(len(every), dtype=np.int64), every > 0
        kind[read] = np.log2(every[read]).astype(np.int64)
        c = int(kind.max()) + 1 if len(kind) else 1
        size = np.bincount(kind[read], minlength=c).astype(float)
        passages.kept[key] = kind, size, np.bincount(kind[read], weights=every[read], minlength=c) / np.maximum(size, 1)
    held: tuple[Ints, Floats, Floats] = passages.kept[key]
    return held


def named(ids: pl.Series) -> pl.Series:
    """The ids of scenes as texts; one without an id is named by its row.

    Raises:
        BadInput: they are neither texts nor numbers.
    """
    if ids.dtype.is_nested() or ids.dtype == pl.Object:
        raise BadInput(f"Column {ids.name!r} of the scenes is {ids.dtype}; it must be text.")
    rows = pl.Series([f"row {k + 1}" for k in range(len(ids))], dtype=pl.String)
    return ids.cast(pl.String).zip_with(ids.is_not_null(), rows).alias(ids.name)


def placed(passages: Passages, scenes: pl.DataFrame, metres: float) -> Scenes:
    """The scenes with place, time and a standing reader within ``metres``; the others are said in the notes."""
    once = scenes.unique("incident_id", keep="first").sort("started_at", "incident_id")
    ends = pl.max_horizontal("started_at", pl.coalesce("ended_at", "started_at")) if "ended_at" in once.columns else pl.col("started_at")
    once = once.with_columns(_end=ends)
    lon, lat = positions(once)
    whole = np.isfinite(lon) & np.isfinite(lat) & once["started_at"].is_not_null().to_numpy()
    low, high = (once[c].dt.epoch("us").fill_null(0).to_numpy() // 1_000_000 for c in ("started_at", "_end"))
    short = high - low <= _LONGEST
    notes = []
    if (~whole).any():
        notes.append(f"{int((~whole).sum())} of {len(once)} scenes have no position or no time, so no read can be near them.")
    if (whole & ~short).any():
        notes.append(f"{int((whole & ~short).sum())} of {len(once)} scenes have a time span over 24 hours and were left out.")
    keep = np.flatnonzero(whole & short)
    spots = passages.spots
    standing = np.flatnonzero(~spots["moving"].fill_null(False).to_numpy() & spots["lon"].is_not_null().to_numpy() & spots["lat"].is_not_null().to_numpy())
    if not len(keep) or not len(standing):
        none = np.zeros(0, dtype=np.int64)
        return Scenes(once.clear(), none, none, none, none, np.zeros(0), tuple(notes))
    plane = Plane.local(float(np.median(lat[keep])), float(np.median(lon[keep])))
    sx, sy = plane.to_metres(*(v[standing] for v in positions(spots)))
    x, y = plane.to_metres(lon[keep], lat[keep])
    apart = np.hypot(x[:, None] - sx[None, :], y[:, None] - sy[None, :])
    near = apart <= metres
    some = near.any(axis=1)
    if not some.all():
        notes.append(f"No standing reader is within {metres:g} m of {int((~some).sum())} of {len(keep)} scenes; they are not counted.")
    s, k = np.nonzero(near[some])
    keep = keep[some]
    return Scenes(once[keep], low[keep], high[keep], s, standing[k], apart[some][s, k], tuple(notes))


def habits(passages: Passages, scenes: Scenes, *, minutes: float, window: timedelta, until: int | None) -> Habits:
    """Look up who was near when. Cost: two binary searches a scene, reader and day, then a sort of the reads found."""
    m, n = round(60 * minutes), len(scenes)
    day_scene, day_low, real, date = _days(scenes, passages.zone, m, window)
    per = [scenes.spot[scenes.scene == s] for s in range(n)]
    cell = np.repeat(np.arange(len(day_scene)), [len(per[s]) for s in day_scene])
    spot = np.concatenate([per[s] for s in day_scene]).astype(np.int64)
    low = day_low[cell] - m
    length = scenes.high - scenes.low
    high = day_low[cell] + length[day_scene[cell]] + m
    if until is not None:
        high = np.minimum(high, until - 1)
    begin, end = np.zeros(len(cell), dtype=np.int64), np.zeros(len(cell), dtype=np.int64)
    _loops.bounds(passages.at, passages.by_spot, spot, low, high, begin, end)
    size = end - begin
    reads = np.bincount(cell, weights=size, minlength=len(day_scene)).astype(np.int64)
    keys = np.empty(int(size.sum()), dtype=np.int64)
    bits = _loops.TIME_BITS + int(len(day_scene)).bit_length()
    _loops.keys(passages.at, passages.plate, begin, end, low, cell, bits, keys)
    keys.sort()
    who, where, weight = np.empty(len(keys), dtype=np.int64), np.empty(len(keys), dtype=np.int64), np.empty(len(keys))
    many = int(_loops.cover(keys, bits, length[day_scene], m, who, where, weight))
    who, where, weight = who[:many], where[:many], weight[:many]
    steps = EIGHTHS if length.any() else 1
    return _told(passages, (n, steps), (day_scene, real, date), reads, who, where, weight, until)


def _told(
    passages: Passages, size: tuple[int, int], looked: tuple[Ints, Any, Ints], reads: Ints, who: Ints, where: Ints, weight: Floats, until: int | None
) -> Habits:
    (n, steps), (day_scene, real, date) = size, looked
    there = weight > 0
    who, where, weight = who[there], where[there], weight[there]
    level = np.maximum(1, np.rint(weight * steps)).astype(np.int64)
    up = reads > 0  # a day on which nobody was read near the scene tells no habit
    days = np.bincount(day_scene[up & ~real], minlength=n)
    new = np.concatenate([[True], who[1:] != who[:-1]])[: len(who)]
    index, plate = np.cumsum(new) - 1, who[new]
    scene, then = day_scene[where], real[where]
    flat = index * n + scene
    seen = np.bincount(flat[then], weights=weight[then], minlength=len(plate) * n).reshape(-1, n).astype(np.float64)
    own = np.bincount(flat[~then], minlength=len(plate) * n).reshape(-1, n)
    steps_of = np.bincount(flat[then], weights=level[then], minlength=len(plate) * n).reshape(-1, n).astype(np.int64)
    q = own.sum(axis=0) / np.maximum(days, 1) / np.maximum((own > 0).sum(axis=0), 1)
    kind = np.minimum(np.log2(np.maximum(own.ravel()[flat], 1)).astype(np.int64), _loops.CLASSES - 1)
    spread = np.bincount((scene * _loops.CLASSES + kind)[~then] * (steps + 1) + level[~then], minlength=n * _loops.CLASSES * (steps + 1)).reshape(
        n, _loops.CLASSES, -1
    )
    spread = spread + (spread.sum(axis=1, keepdims=True) + 1 / steps) / (spread.sum(axis=(1, 2), keepdims=True) + 1)  # a class with few is drawn to all
    spread[:, :, 0] = 0.0
    spread /= spread.sum(axis=2, keepdims=True)
    fresh = ~then & (own.ravel()[flat] == 1)
    floor = _floor(_activity(passages, until), plate, own, days, scene[fresh], plate[index[fresh]])
    other = np.flatnonzero(~then)
    narrow = np.uint16 if len(day_scene) < 1 << 16 else np.int64  # numpy sorts 16 bits by counting
    order = other[np.argsort(where[other].astype(narrow), kind="stable")]
    control = np.flatnonzero(~real & up)
    place = np.full(len(day_scene), -1)
    place[control] = np.arange(len(control))
    begin = np.concatenate([[0], np.cumsum(np.bincount(place[where[order]], minlength=len(control)))]).astype(np.int64)
    offset = np.concatenate([[0], np.cumsum(days)])[:-1].astype(np.int64)
    readable = np.zeros(n, dtype=np.int64)
    readable[day_scene[real]] = reads[real]
    return Habits(plate, seen, steps_of, own, floor, days, q, spread, index[order].astype(np.int64), level[order], begin, offset, date[control], readable)


def _days(scenes: Scenes, zone: str, m: int, window: timedelta) -> tuple[Ints, Ints, Any, Ints]:
    """(scene, start in seconds UTC, whether it is the scene's own day, local day) of every day looked at, in order of scene and day.

    Other days begin at the same hour of the wall clock; left out are those on which another scene, or this one, shares readers and hours: what was done there
    is no habit. Days of the other kind (working day, weekend) are left out where enough of the same kind are there.
    """
    n, reach = len(scenes), int(window.total_seconds() // 86_400)
    shift = np.arange(-reach, reach + 1)
    wall = pl.Series(scenes.low * 1000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(zone).dt.replace_time_zone(None)
    moved = (wall.dt.epoch("ms").to_numpy()[:, None] + shift[None, :] * 86_400_000).ravel()
    there = pl.Series(moved).cast(pl.Datetime("ms")).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.epoch("ms")
    low = there.fill_null(-1).to_numpy().reshape(n, -1) // 1000
    good = low >= 0
    low[:, reach] = scenes.low
    share = np.zeros((n, int(scenes.spot.max()) + 1 if n else 1), dtype=bool)
    share[scenes.scene, scenes.spot] = True
    together = share.astype(np.float32) @ share.astype(np.float32).T > 0
    length = scenes.high - scenes.low
    for t in range(n):
        hit = together[:, t][:, None] & (low - m <= scenes.high[t] + m) & (low + length[:, None] + m >= scenes.low[t] - m)
        good &= ~hit
    late = (moved // 86_400_000).reshape(n, -1)
    weekend = (late + 3) % 7 >= 5
    same = weekend == weekend[:, [reach]]
    good &= same | ((good & same).sum(axis=1) < _SAME_KIND)[:, None]
    good[:, reach] = True
    s, d = np.nonzero(good)
    return s, low[s, d], d == reach, late[s, d]


def _floor(activity: tuple[Ints, Floats, Floats], plate: Ints, own: Ints, days: Ints, scene: Ints, fresh: Ints) -> Floats:
    """The chance that a plate never seen at a scene on other days is there on one more day, by scene and how often the plate is read at all.

    One day brings new plates: those seen on just one of the days, over days and plates not seen (Good, Biometrika 40, 1953, 237-264), here by class of
    activity (powers of two of its reads), scene and class multiplied; a class with few is drawn towards the rate per read of all by the weight of one plate.
    """
    n, (kind, size, mean) = len(days), activity
    c = len(size)
    k, s = np.nonzero(own > 0)
    unseen = size[None, :] - np.bincount(s * c + kind[plate[k]], minlength=n * c).reshape(n, c)
    brought = np.bincount(scene * c + kind[fresh], minlength=n * c).reshape(n, c)
    exposure = np.maximum(unseen, 0) * days[:, None]
    per_read = max(float(brought.sum()), 0.5) / max(float((exposure * mean).sum()), 1.0)
    rate = (brought.sum(axis=0) + 1) / (exposure.sum(axis=0) + 1 / np.maximum(per_read * mean, 1e-12))
    told = (exposure * rate).sum(axis=1)
    out: Floats = (((brought.sum(axis=1) + 1) / (told + 1))[:, None] * rate[None, :]).clip(1e-12, 1.0)[:, kind[plate]].T
    return np.ascontiguousarray(out)


def replicates(found: Habits, group: Ints, least: int, many: int, seed: int) -> Floats:
    """The surprise of every plate near at least ``least`` scenes when other days stand in for the days of the scenes, over ``many`` draws, sorted.

    Scenes of one group (one night) are moved together, so that plates that are out on one day are so at all its scenes; different groups go to different
    days, as they were: who passes once on a day that stood in for several would look as if they had come to each. As of the scenes' own days, nothing of
    the days that stand in for them counts as habit.
    """
    day = _dealt(found, group, many, np.random.default_rng(seed))
    able = ((found.own > 0).sum(axis=1) >= least)[found.entry]  # the others cannot come near so many
    begin = np.concatenate([[0], np.cumsum(able)])[found.begin].astype(np.int64)
    size = np.diff(begin)
    total = int(np.where(day >= 0, size[np.maximum(day, 0)], 0).sum()) if len(size) else 0
    k, n = found.own.shape
    out = np.empty(total // max(least, 1) + 1)
    steps = found.spread.shape[2] - 1
    mask = np.zeros((k, n, max(1, -(-int(found.days.max()) // 64))), dtype=np.uint64)
    _loops.marked(found.entry[able], begin, found.offset, mask)
    made = _loops.drawn(
        np.ascontiguousarray(day),
        found.date,
        found.offset,
        found.entry[able],
        found.drawn[able],
        begin,
        mask,
        np.zeros((n, mask.shape[2] + 1), dtype=np.uint64),
        found.own,
        found.floor,
        found.days,
        found.q,
        found.spread,
        least,
        np.full(k, -1, dtype=np.int64),
        np.zeros(k, dtype=np.int64),
        np.zeros((k, n), dtype=np.int64),
        np.zeros(k, dtype=np.int64),
        np.zeros(n),
        np.zeros(n, dtype=np.int64),
        np.zeros(n * steps + 1),
        out,
    )
    return np.sort(out[: int(made)])


def _dealt(found: Habits, group: Ints, many: int, rng: np.random.Generator, tries: int = 30) -> Ints:
    """(many, n): the control day that stands in for each scene's own, -1 where too few are known; days of different groups differ where there are enough."""
    known = found.days >= FEWEST
    day = np.full((many, len(group)), -1, dtype=np.int64)
    taken = np.full((many, len(group)), -1, dtype=np.int64)
    for g in range(int(group.max()) + 1):
        mine = (group == g) & known
        if not mine.any():
            continue
        wrong = np.arange(many)
        for _ in range(tries):
            drawn = (rng.random((len(wrong), 1)) * found.days[mine]).astype(np.int64) + found.offset[mine]
            day[np.ix_(wrong, mine)] = drawn
            dates = found.date[drawn]
            again = (dates[:, :, None] == taken[wrong][:, None, :]).any(axis=(1, 2))
            taken_now = wrong[~again]
            taken[np.ix_(taken_now, mine)] = dates[~again]
            wrong = wrong[again]
            if not len(wrong):
                break
    return day


def chances(found: Habits, rows: Ints) -> Floats:
    """(rows, n): each plate's own chance to be near each scene on its day; 1 where the habit there is not known."""
    own = found.own[rows]
    usual = np.maximum(found.floor[rows], (own + found.q) / (found.days + 1))
    out: Floats = np.where(found.days < FEWEST, 1.0, np.where(own > 0, usual, found.floor[rows])).clip(0.0, 1.0)
    return out


def surprise(found: Habits, rows: Ints, chance: Floats) -> Floats:
    """For each row: the chance of weights that add up to as much, see the head of this file. O(rows x n^2 x steps^2)."""
    out = np.empty(len(rows))
    n, _, steps = found.spread.shape
    _loops.tails(
        found.level[rows], found.own[rows], np.ascontiguousarray(chance), found.spread, np.zeros(n, dtype=np.int64), np.zeros(n * (steps - 1) + 1), out
    )
    return out


def groups(low: Ints, high: Ints) -> Ints:
    """Numbers of scenes that belong to one outing: less than 12 hours between one and the next. In order of ``low``."""
    apart = low[1:] - np.maximum.accumulate(high)[:-1] >= 43_200
    return np.concatenate([[0], np.cumsum(apart)]).astype(np.int64)


def adjusted(p: Floats, of: int) -> Floats:
    """q-values (Benjamini and Hochberg, JRSS B 57, 1995, 289-300) of the smallest p-values, ascending, among ``of`` in all; the others count as 1."""
    if not len(p):
        return np.zeros(0)
    raw = p * of / np.arange(1, len(p) + 1)
    out: Floats = np.minimum.accumulate(raw[::-1])[::-1].clip(0.0, 1.0)
    return out


def span_of(passages: Passages) -> tuple[int, int]:
    """First and last second of the reads, without a pass over all of them: each spot's reads are in order."""
    first = passages.by_spot
    some = np.flatnonzero(np.diff(first) > 0)
    return int(passages.at[first[some]].min()), int(passages.at[first[some + 1] - 1].max())


def share_interval(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 22, 1927, 209-212); (0, 1) of nothing."""
    if n == 0:
        return 0.0, 1.0
    z = 1.959964
    p, wide = k / n, z / (1 + z * z / n)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = wide * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)

"""Two years of offences: a background map of risk, six planted hotspots, near repeats, and the traces of how they are reported.

What *truly* happened (``true_at``) is kept beside what the report says (``from``, ``to``, ``reported``): windows, full hours, placeholders.
Times are minutes of local wall clock since 2024-07-01 00:00; a minute that the clocks skip is moved an hour forward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
import polars as pl

from .blocks import Blocks
from .names import pick
from .offences import OFFENCES, WEEK, YEAR, hours, wording
from .plane import Bools, Floats, Ints, stream

START, END = datetime(2024, 7, 1), datetime(2026, 7, 1)
DAYS = (END - START).days
DAY = 1440
_CODES = {o.code: k for k, o in enumerate(OFFENCES)}
BY_CODE = {o.code: o for o in OFFENCES}


@dataclass(frozen=True)
class Hotspot:
    """Within ``radius`` m of ``x``, ``y`` offences of these codes are drawn ``times`` as often as they would be, from day ``since`` on."""

    name: str
    codes: tuple[str, ...]
    x: float
    y: float
    radius: float
    times: float
    since: int = 0


HOTSPOTS = (
    Hotspot("burglary, Linden flats", ("0510", "0511"), -1350, 2860, 260, 6.0),
    Hotspot("robbery, Assembly Street bars", ("0310", "0320"), 640, 330, 230, 6.0),
    Hotspot("theft from vehicles, Mercy River Hospital", ("0610",), -1480, 1540, 260, 7.0),
    Hotspot("vehicle theft, Larkspur apartments", ("0710",), 3350, -420, 300, 7.0),
    Hotspot("assault, Southbank", ("0410", "0420", "0810"), -1150, -640, 240, 6.0),
    Hotspot("vandalism, Stonemill School (new since October 2025)", ("1410",), 2850, 120, 280, 9.0, 457),
)
#: Near repeats: code group -> expected children a burglary or theft, mean distance (m), mean delay (days).
NEAR_REPEATS = {("0510", "0511"): (0.22, 110.0, 6.0), ("0610",): (0.15, 90.0, 4.0)}


@dataclass(frozen=True)
class Happened:
    """Offences as they truly were, one entry an offence: row of OFFENCES, address point, minute, series name, parent (-1 none)."""

    code: Ints
    block: Ints
    minute: Floats
    parent: Ints


def risk(blocks: Blocks) -> dict[str, Floats]:
    """Relative risk of every address point, by family."""
    t, xy = blocks.table, blocks.xy
    premise = t["premise"].to_numpy()
    main = np.where(t["main"].to_numpy(), 1.5, 1.0)

    def hills(*spots: tuple[float, float, float, float]) -> Floats:
        rise = [a * np.exp(-((xy[:, 0] - x) ** 2 + (xy[:, 1] - y) ** 2) / (2 * s * s)) for x, y, s, a in spots]
        return np.asarray(0.3 + np.sum(rise, axis=0))

    def by(**weights: float) -> Floats:
        other = weights.pop("other", 0.3)
        return np.array([weights.get(str(p).split()[0].split("/")[0].lower(), other) for p in premise])

    centre = hills((100, 600, 1300, 1.0), (-700, -1000, 900, 0.9), (1700, 300, 1100, 0.6))
    suburbs = hills((-1500, 2300, 1300, 0.7), (2900, -300, 1200, 0.8), (-900, -1500, 1100, 0.6), (-3900, 2900, 900, 0.3))
    return {
        "violence": centre * by(residence=0.6, apartment=1.5, bar=3.0, convenience=2.2, parking=1.2, other=0.6) * main,
        "robbery": centre * by(residence=0.4, apartment=0.8, bar=1.7, convenience=1.8, retail=1.2, parking=1.0, other=0.5) * main,
        "homes": suburbs * by(residence=1.0, apartment=1.1, other=0.0),
        "shops": centre * by(retail=2.0, bar=1.4, convenience=2.2, office=1.2, warehouse=1.2, other=0.02),
        "shoplifting": hills((3050, 2560, 350, 6.0), (-2500, -960, 300, 4.0), (300, 800, 700, 1.5)) * by(retail=2.2, convenience=1.4, other=0.0),
        "vehicles": (0.6 * suburbs + 0.6 * centre) * by(parking=1.7, hospital=1.3, bar=1.2, retail=1.1, other=0.9),
        "vandalism": (0.6 * suburbs + 0.6 * centre) * by(school=1.6, parking=1.3, other=0.9),
        "roads": centre**0.6 * np.where(t["main"].to_numpy(), 3.0, 0.15),
    }


def within(xy: Floats, spot: Hotspot) -> Bools:
    """Which positions lie in a hotspot."""
    return np.asarray(np.hypot(xy[:, 0] - spot.x, xy[:, 1] - spot.y) <= spot.radius)


def moments(clock: str, family: str, n: int, rng: np.random.Generator) -> Floats:
    """Moments drawn by month, weekday and hour."""
    days = np.arange("2024-07-01", "2026-07-01", dtype="datetime64[D]")
    month = days.astype("datetime64[M]").astype(int) % 12
    year = YEAR.get(family, YEAR["violence"] if family in ("robbery", "roads", "vandalism") else YEAR["shops"])
    weight = np.array(year)[month] * np.array(WEEK[clock])[(days.astype(int) + 3) % 7] * (1 + 0.06 * np.sin(np.arange(len(days)) / 47.0))
    day = pick(rng, weight, n)
    hour = np.searchsorted(hours(clock), rng.random(n), side="right")
    return np.asarray(day * DAY + hour * 60 + np.floor(rng.random(n) * 60), dtype=float)


def happen(blocks: Blocks) -> Happened:
    """Background, hotspots and near repeats of every code."""
    rng = stream("incidents")
    maps = risk(blocks)
    codes, at, when, parents, total = [], [], [], [], 0
    for k, offence in enumerate(OFFENCES):
        branching = next((v for group, v in NEAR_REPEATS.items() if offence.code in group), None)
        n = round(offence.count * (1 - branching[0] if branching else 1))
        minute = moments(offence.clock, offence.family, n, rng)
        block = pick(rng, maps[offence.family], n)
        for spot in (s for s in HOTSPOTS if offence.code in s.codes):
            more = _more(blocks, spot, maps[offence.family], n, rng)
            block = np.concatenate([block, more])
            extra = moments(offence.clock, offence.family, len(more) * 4 + 40, rng)
            minute = np.concatenate([minute, extra[extra >= spot.since * DAY][: len(more)]])
        parent = np.full(len(block), -1)
        if branching:
            block, minute, parent = _offspring(blocks, block, minute, branching, offence.family, rng)
        codes.append(np.full(len(block), k))
        at.append(block)
        when.append(minute)
        parents.append(np.where(parent >= 0, parent + total, -1))
        total += len(block)
    return Happened(np.concatenate(codes), np.concatenate(at), np.concatenate(when), np.concatenate(parents))


def _more(blocks: Blocks, spot: Hotspot, weights: Floats, n: int, rng: np.random.Generator) -> Ints:
    """Address points of the surplus that makes a hotspot ``times`` its background while it is active."""
    inside = weights * within(blocks.xy, spot)
    expected = n * inside.sum() / weights.sum() * (DAYS - spot.since) / DAYS
    return pick(rng, inside, int(round(expected * (spot.times - 1))))


def _offspring(
    blocks: Blocks, block: Ints, minute: Floats, branching: tuple[float, float, float], family: str, rng: np.random.Generator
) -> tuple[Ints, Floats, Ints]:
    """Self-exciting: each offence has Poisson(mean) children, at exponential distance and delay, at the nearest fitting address."""
    mean, metres, days = branching
    fitting = risk(blocks)[family] > 0
    parent = np.full(len(block), -1)
    start = 0
    while start < len(block):
        generation = np.arange(start, len(block))
        start = len(block)
        many = rng.poisson(mean, len(generation))
        of = np.repeat(generation, many)
        far, angle = rng.exponential(metres, len(of)), rng.random(len(of)) * 2 * np.pi
        later = minute[of] + np.maximum(rng.exponential(days, len(of)), 0.4) * DAY
        keep = later < DAYS * DAY
        of, later = of[keep], later[keep]
        to = blocks.xy[block[of]] + (far * np.vstack([np.cos(angle), np.sin(angle)])).T[keep]
        block = np.concatenate([block, blocks.nearest(to, fitting)])
        minute = np.concatenate([minute, np.floor(later)])
        parent = np.concatenate([parent, of])
    return block, minute, parent


def reported(happened: Happened, blocks: Blocks, mos: dict[int, str]) -> pl.DataFrame:
    """What the records say of what happened: one row an offence, in order of reporting. ``mos`` gives the MO of planted ones."""
    rng = stream("series")
    n = len(happened.code)
    kinds = [OFFENCES[k] for k in happened.code]
    first, last = _windows(happened.minute, ["soon" if k in mos else o.found for k, o in enumerate(kinds)], rng)
    known = np.array([o.found != "at once" for o in kinds])
    ranged = known & (last > first)
    first, last = _heap(first, rng, 0.62), np.where(ranged, -_heap(-last, rng, 0.62), np.nan)
    holder = rng.random(n) < np.where([o.found == "weeks" for o in kinds], 0.18, 0.004)
    first = np.where(holder, first // DAY * DAY + 1, first)
    last = np.where(holder, np.nan, last)
    base = np.fmax(np.fmax(first, last), happened.minute)
    delay = np.where([o.found == "weeks" for o in kinds], rng.lognormal(7.6, 1.2, n), np.where(known, rng.lognormal(3.4, 1.0, n), rng.lognormal(2.0, 0.9, n)))
    told = np.floor(base + delay)
    planted = np.array([k in mos for k in range(n)])
    told = np.where(planted, np.floor(base + 20 + 40 * rng.random(n)), told)
    called = (rng.random(n) < np.array([o.called for o in kinds])) | planted
    frame = (
        blocks.table[happened.block]
        .select("x", "y", "lon", "lat", "block", "full", "beat", "district", "premise", "quarter")
        .with_columns(
            code=pl.Series([o.code for o in kinds]),
            true_at=pl.Series(happened.minute),
            first=pl.Series(first),
            last=pl.Series(last),
            told=pl.Series(told),
            called=pl.Series(called),
            arrest=pl.Series(rng.random(n) < np.array([o.arrest for o in kinds])) & ~pl.Series(planted),
            domestic=pl.Series(rng.random(n) < np.array([o.domestic for o in kinds])),
            happened=pl.Series(np.arange(n)),
            parent=pl.Series(happened.parent),
            mo=pl.Series([mos.get(k) or wording(o.code, rng) for k, o in enumerate(kinds)]),
            at_block=pl.Series(happened.block),
            planted=pl.Series(planted),
        )
    )
    frame = _placed(frame, rng).filter(pl.col("told") < DAYS * DAY).sort("told", "happened")
    return _numbered(frame, rng)


def _windows(minute: Floats, found: list[str], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Earliest and latest minute a victim can tell."""
    n, first, last = len(minute), minute.copy(), minute.copy()
    how, draw, day = np.array(found), rng.random((n, 3)), minute // DAY * DAY
    out = (how == "day") | ((how == "night") & (draw[:, 2] < 0.25))
    first[out] = np.minimum(minute, day + (7 * 60 + 120 * draw[:, 0]))[out] - 5
    last[out] = np.maximum(minute + 20, day + 15 * 60 + 200 * draw[:, 1])[out]
    night = (how == "night") & ~out
    evening = np.where(minute % DAY < 12 * 60, day - DAY, day)
    first[night] = np.minimum(minute, evening + 18 * 60 + 300 * draw[:, 0])[night] - 5
    last[night] = np.maximum(minute + 15, evening + DAY + 5.5 * 60 + 240 * draw[:, 1])[night]
    away = (how == "day") & (draw[:, 2] > 0.93)
    first[away] -= np.floor(1 + 5 * draw[away, 0]) * DAY
    last[away] += np.floor(3 * draw[away, 1]) * DAY
    soon = how == "soon"
    first[soon], last[soon] = (minute - 20 - 130 * draw[:, 0])[soon], (minute + 10 + 150 * draw[:, 1])[soon]
    seen = np.isin(how, ["day", "night"]) & (rng.random(n) < 0.12)
    first[seen] = last[seen] = minute[seen]
    return np.maximum(np.floor(first), 0), np.minimum(np.floor(last), DAYS * DAY - 30)


def _heap(minute: Floats, rng: np.random.Generator, share: float) -> Floats:
    """People say "at nine" and "half past": ``share`` of times are rounded down (give it minus the minutes to round up)."""
    draw = rng.random(len(minute))
    unit = np.where(draw < share * 0.55, 60, np.where(draw < share * 0.85, 30, np.where(draw < share, 15, 1)))
    return np.asarray(minute // unit * unit)


def _placed(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Positions as they come: some missing, none for sexual offences; offences on the road say so."""
    n = len(frame)
    missing = pl.Series(rng.random(n) < 0.014) & ~frame["planted"]
    street = pl.Series(rng.random(n) < 0.35) & frame["code"].is_in(["0310", "0320", "0410", "0420", "0610", "0710", "1410", "1810", "2410"])
    hidden = missing | (frame["code"] == "0211")
    return frame.with_columns(
        lon=pl.when(hidden).then(None).otherwise("lon"),
        lat=pl.when(hidden).then(None).otherwise("lat"),
        premise=pl.when((frame["code"] == "2110") | street).then(pl.lit("STREET")).otherwise("premise"),
    )


def _numbered(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Incident ids, and report numbers by year; now and then two offences share one report."""
    year = (frame["told"] >= 184 * DAY).cast(pl.Int64) + (frame["told"] >= (184 + 365) * DAY).cast(pl.Int64)
    number = pl.Series(np.arange(len(frame)))
    base = {0: 31_200, 1: 100, 2: 100}
    text = []
    counts = dict(base)
    for y in year.to_list():
        counts[y] += int(rng.integers(2, 9))
        text.append(f"FW{24 + y}-{counts[y]:06d}")
    same = rng.random(len(frame)) < 0.012
    for i in range(1, len(text)):
        if same[i] and abs(frame["told"][i] - frame["told"][i - 1]) < 90:
            text[i] = text[i - 1]
    return frame.with_columns(incident_id=pl.format("{}", number + 500_001), report_number=pl.Series(text))


def planted() -> dict[str, object]:
    """What was planted here, for planted.json."""
    repeats = [{"codes": list(k), "children_per_offence": v[0], "mean_metres": v[1], "mean_days": v[2]} for k, v in NEAR_REPEATS.items()]
    return {"hotspots": [asdict(s) for s in HOTSPOTS], "near_repeats": repeats}

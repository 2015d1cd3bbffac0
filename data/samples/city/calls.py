"""Calls for service: those behind the incidents, those that come to nothing, and what officers find themselves; with units that are free or not.

A call's moments are seconds after it was received, so that daylight saving cannot tear them apart; ``write`` turns them into wall times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from .blocks import Blocks
from .incidents import BY_CODE, moments, risk
from .names import pick
from .plane import Floats, stream


@dataclass(frozen=True)
class Kind:
    """A kind of call that is no offence: how many in two years, priority, clock, map of risk, found by officers themselves."""

    name: str
    category: str
    priority: str
    count: int
    clock: str
    family: str
    own: bool = False
    minutes: float = 25.0


KINDS = (
    Kind("TRAFFIC STOP", "TRAFFIC", "4", 4300, "evening", "roads", True, 11),
    Kind("DIRECTED PATROL", "PROACTIVE", "5", 900, "night", "robbery", True, 30),
    Kind("BUILDING CHECK", "PROACTIVE", "5", 800, "small hours", "shops", True, 12),
    Kind("TRAFFIC CRASH", "TRAFFIC", "2", 1900, "evening", "roads", False, 48),
    Kind("ALARM, BURGLAR", "PROPERTY", "2", 1500, "small hours", "shops", False, 14),
    Kind("WELFARE CHECK", "SERVICE", "3", 1500, "afternoon", "violence", False, 24),
    Kind("SUSPICIOUS PERSON", "SUSPICION", "3", 1900, "night", "robbery", False, 18),
    Kind("NOISE", "DISORDER", "4", 1100, "night", "homes", False, 14),
    Kind("DISTURBANCE", "DISORDER", "2", 1500, "night", "violence", False, 24),
    Kind("MEDICAL ASSIST", "SERVICE", "1", 1000, "afternoon", "homes", False, 28),
    Kind("911 HANG UP", "SERVICE", "3", 800, "evening", "homes", False, 12),
    Kind("ANIMAL", "SERVICE", "5", 400, "afternoon", "homes", False, 22),
    Kind("PARKING", "TRAFFIC", "5", 700, "shopping", "roads", False, 15),
    Kind("MISSING PERSON", "SERVICE", "2", 120, "evening", "homes", False, 75),
    Kind("CIVIL MATTER", "SERVICE", "4", 500, "afternoon", "homes", False, 30),
    Kind("SHOTS HEARD", "VIOLENCE", "1", 350, "night", "violence", False, 20),
)
#: Median seconds: until dispatch when a unit is free, and from dispatch to arrival, by priority.
_ANSWER = {"1": 75, "2": 170, "3": 380, "4": 760, "5": 1150}
_TRAVEL = {"1": 265, "2": 360, "3": 470, "4": 590, "5": 680}
_CATEGORY = {"1": "VIOLENCE", "2": "DISORDER", "3": "PROPERTY", "4": "PROPERTY"}


def make(incidents: pl.DataFrame, blocks: Blocks) -> pl.DataFrame:
    """All calls in order of receipt, with their moments in seconds after receipt (null = never)."""
    rng = stream("calls")
    frame = pl.concat([_behind(incidents, rng), _others(blocks, rng)]).sort("minute", "block", "call_type", "report_number")
    second = rng.integers(0, 60, len(frame))
    frame = frame.with_columns(second=pl.Series(np.where(frame["own"].to_numpy(), 0, second)))
    return _answered(frame, rng)


def _behind(incidents: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One call for each incident that began with one."""
    called = incidents.filter("called").unique("report_number", keep="first", maintain_order=True)
    kinds = [BY_CODE[c] for c in called["code"].to_list()]
    own = np.array([k.call_type == "TRAFFIC STOP" or k.code in ("1510", "1810", "1820", "2110") for k in kinds]) & (rng.random(len(called)) < 0.6)
    return (
        called.select("lon", "lat", "block", "beat", "district", "report_number", "arrest", minute="told")
        .with_columns(
            call_type=pl.Series([k.call_type for k in kinds]),
            priority=pl.Series([k.priority for k in kinds]),
            category=pl.Series([_CATEGORY[k.priority] for k in kinds]),
            own=pl.Series(own),
            busy=pl.Series(np.full(len(called), 46.0)),
        )
        .select(sorted(("lon", "lat", "block", "beat", "district", "report_number", "arrest", "minute", "call_type", "priority", "category", "own", "busy")))
    )


def _others(blocks: Blocks, rng: np.random.Generator) -> pl.DataFrame:
    """Calls that lead to no report."""
    maps, out = risk(blocks), []
    for kind in KINDS:
        at = pick(rng, maps[kind.family], kind.count)
        here = blocks.table[at].select("lon", "lat", "block", "beat", "district")
        out.append(
            here.with_columns(
                minute=pl.Series(moments(kind.clock, kind.family, kind.count, rng)),
                call_type=pl.lit(kind.name),
                priority=pl.lit(kind.priority),
                category=pl.lit(kind.category),
                own=pl.lit(kind.own),
                busy=pl.lit(float(kind.minutes)),
                report_number=pl.lit(None, dtype=pl.String),
                arrest=pl.lit(False),
            )
        )
    frame = pl.concat(out)
    lost = pl.Series(rng.random(len(frame)) < 0.012)
    frame = frame.with_columns(lon=pl.when(lost).then(None).otherwise("lon"), lat=pl.when(lost).then(None).otherwise("lat"))
    return frame.select(sorted(frame.columns))


def _fleet() -> dict[str, list[str]]:
    """Units by district and shift (A day, B evening, C night), e.g. 2B3; Central has five, the others four."""
    return {f"{d}{s}": [f"{d}{s}{n}" for n in range(1, 6 if d == "1" else 5)] for d in "1234" for s in "ABC"}


def _answered(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Send free units, nearest district first; calls wait when none is free."""
    n = len(frame)
    fleet = _fleet()
    free = {unit: -1e9 for units in fleet.values() for unit in units}
    luck = rng.random((n, 6))
    normal = rng.normal(0, 1, (n, 4))
    rows: list[tuple[Any, ...]] = []
    for i, call in enumerate(frame.select("minute", "second", "district", "priority", "own", "busy", "report_number", "arrest").iter_rows(named=True)):
        now = call["minute"] * 60 + call["second"]
        shift = "ABC"[int(((call["minute"] - 420) % 1440) // 480)]
        near = [call["district"], *(d for d in "1234" if d != call["district"])]
        pool = [unit for d in near for unit in fleet[d + shift]]
        work = call["busy"] * 60 * float(np.exp(0.5 * normal[i, 0])) * (1.5 if call["arrest"] else 1.0)
        if call["own"]:
            unit = next((u for u in pool if free[u] <= now), min(pool, key=free.__getitem__))
            free[unit] = now + work
            rows.append((None, None, 0.0, work, unit, _ending(call, True, luck[i])))
            continue
        wanted = {"1": 3, "2": 2}.get(call["priority"], 1) - int(luck[i, 0] < 0.35) + int(luck[i, 0] > 0.93)
        ready = now + max(20.0, _ANSWER[call["priority"]] * float(np.exp(0.55 * normal[i, 1])))
        ready = max(ready, min(free[u] for u in pool))
        units = [u for u in pool if free[u] <= ready][: max(1, wanted)]
        sent = ready - now
        rows.append(_chain(call, sent, work, units, luck[i], normal[i]))
        for unit in units:
            free[unit] = now + (rows[-1][3] or sent + 300)
    columns = list(zip(*rows, strict=True))
    names = ("dispatched", "en_route", "arrived", "cleared", "units", "disposition")
    kinds = (pl.Float64, pl.Float64, pl.Float64, pl.Float64, pl.String, pl.String)
    return frame.with_columns(
        pl.Series(m, c, dtype=k).round(0) if k == pl.Float64 else pl.Series(m, c, dtype=k) for m, c, k in zip(names, columns, kinds, strict=True)
    ).with_columns(call_number=pl.format("C{}", pl.int_range(pl.len()) + 2_400_001))


def _chain(call: dict[str, object], sent: float, work: float, units: list[str], luck: Floats, normal: Floats) -> tuple[Any, ...]:
    """Moments of a call that was sent out: the usual chain, or cancelled under way, or a unit already there."""
    text = ";".join(units)
    under_way = sent + 12 + 45 * luck[1]
    there = under_way + _TRAVEL[str(call["priority"])] * float(np.exp(0.42 * normal[2]))
    if luck[2] < 0.035 and not call["report_number"]:
        return sent, under_way if luck[3] < 0.7 else None, None, under_way + 60 + 500 * luck[4], text, "CANCELLED"
    if luck[2] > 0.993:
        return sent, None, max(5.0, sent - 20 - 70 * luck[4]), sent + work, text, _ending(call, False, luck)
    return sent, under_way, there, there + work, text, _ending(call, False, luck)


def _ending(call: dict[str, object], own: bool, luck: Floats) -> str:
    if call["report_number"]:
        return "ARREST MADE" if call["arrest"] else "REPORT TAKEN"
    if own:
        return "CITATION" if luck[5] < 0.3 else "WARNING" if luck[5] < 0.75 else "NO ACTION"
    return "NO REPORT" if luck[5] < 0.5 else "GONE ON ARRIVAL" if luck[5] < 0.7 else "UNFOUNDED" if luck[5] < 0.8 else "ASSISTED"

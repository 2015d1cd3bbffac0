"""Who is planted in the traffic: convoys, a stakeout, a cloned plate, the crew's van and its scout. Rows of the fleet, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .incidents import DAY, DAYS
from .names import pick
from .plane import Floats, Ints
from .series import Placed
from .traffic import Demand, Trips

#: Name -> row of the fleet (planted vehicles come first).
ROLE = {
    name: row
    for row, name in enumerate(
        (
            "night lead",
            "night follower",
            "trio lead",
            "trio second",
            "trio third",
            "commute lead",
            "commute follower",
            "loose lead",
            "loose follower",
            "crew van",
            "crew scout",
            "glass doors car",
            "cloned plate",
            "neighbour one",
            "neighbour two",
            "stolen 1",
            "stolen 2",
            "stolen 3",
            "stolen 4",
            "stolen 5",
            "stolen 6",
            "clone",
        )
    )
}
#: 1 June 2026 as a day number since 2024-07-01.
JUNE = DAYS - 30
#: A pass is given up when no reader stands this near to a scene (m).
REACH = 500.0


@dataclass(frozen=True)
class Convoy:
    """Vehicles that travel together: the days of June, the hour they leave, and the seconds between one and the next."""

    name: str
    members: tuple[str, ...]
    days: tuple[int, ...]
    hour: float
    spread: float
    gap: tuple[float, float]
    note: str


CONVOYS = (
    Convoy("night run", ("night lead", "night follower"), (2, 4, 7, 9, 11, 14, 18, 21, 23, 25, 28), 1.2, 0.7, (6, 25), "two cars across town after midnight"),
    Convoy("three in the afternoon", ("trio lead", "trio second", "trio third"), (3, 5, 10, 12, 17, 19, 24, 26), 15.0, 0.6, (8, 30), "three cars twice a week"),
    Convoy(
        "rush hour",
        ("commute lead", "commute follower"),
        (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16, 17, 18, 22, 23, 24, 25, 26, 29, 30),
        7.6,
        0.12,
        (7, 35),
        "two cars in the thick of the morning traffic",
    ),
    Convoy("loose tail", ("loose lead", "loose follower"), (6, 8, 13, 16, 20, 22, 27), 20.5, 0.9, (110, 230), "the second car two to four minutes behind"),
)


@dataclass(frozen=True)
class Pass:
    """One vehicle at one reader at one moment (seconds since 1 June 2026 00:00 local), put there on purpose."""

    vehicle: int
    reader: int
    second: float
    why: str


def convoy_trips(day: int, ends: dict[str, tuple[int, int]], rng: np.random.Generator) -> Trips:
    """The convoys' trips of one day of June; members share way and pace."""
    rows = []
    for convoy in CONVOYS:
        if day not in convoy.days:
            continue
        a, b = ends[convoy.name]
        depart, pace = 3600 * (convoy.hour + convoy.spread * rng.random()), rng.normal(1, 0.05)
        if convoy.name == "night run" and day % 2:
            a, b = b, a
        for member in convoy.members:
            rows.append((ROLE[member], a, b, depart, pace))
            depart += rng.uniform(*convoy.gap)
    if day % 7 not in (6, 0):  # two neighbours with one workplace who leave on their own: together only by chance
        a, b = ends["neighbours"]
        rows += [(ROLE[name], a, b, 3600 * 7.65 + rng.normal(0, 420), rng.normal(1, 0.07)) for name in ("neighbour one", "neighbour two")]
    return trips(rows)


def own_trips(day: int, want: Demand, homes: Ints, rng: np.random.Generator) -> Trips:
    """What planted vehicles drive besides: now and then an errand."""
    rows = []
    for row in ROLE.values():
        if row in (ROLE["clone"], *(ROLE[f"stolen {k}"] for k in range(1, 7))):
            continue
        if rng.random() < 0.35:
            to, home, leaves = int(pick(rng, want.works, 1)[0]), int(homes[row]), 3600 * rng.uniform(9.5, 12.5)
            rows += [(row, home, to, leaves, rng.normal(1, 0.07)), (row, to, home, leaves + 60 * rng.uniform(40, 120), rng.normal(1, 0.07))]
    return trips(rows)


def trips(rows: list[tuple[int, int, int, float, float]]) -> Trips:
    """Rows (vehicle, from, to, departure, pace) as Trips; may be none."""
    columns = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Trips(*(np.array(c, dtype=t) for c, t in zip(columns, (int, int, int, float, float), strict=True)))


def ends(want: Demand, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Where the convoys travel: between far nodes; the rush-hour one and the neighbours from a big quarter to a big workplace."""
    far = [int(e) for e in rng.permutation(want.edge)]
    homes, works = np.argsort(-want.homes, kind="stable"), np.argsort(-want.works, kind="stable")
    return {
        "night run": (far[0], int(works[6])),
        "three in the afternoon": (int(homes[5]), far[1]),
        "rush hour": (int(homes[1]), int(works[1])),
        "loose tail": (int(works[3]), far[2]),
        "neighbours": (int(homes[2]), int(works[1])),
    }


def passes(placed: list[Placed], blocks: Blocks, readers: Floats, rng: np.random.Generator) -> tuple[list[Pass], dict[str, list[dict[str, int]]]]:
    """Passes near the series' scenes, the cloned plate, and what to tell of them."""
    crew, glass = placed
    out: list[Pass] = []
    scenes: dict[str, list[dict[str, int]]] = {}
    for name, who, series, before, after in (
        ("crew van", ("crew van",), crew, (4, 18), (6, 22)),
        ("glass doors car", ("glass doors car",), glass, (4, 22), None),
    ):
        near: list[dict[str, int]] = []
        for k, minute in enumerate(series.minutes):
            if minute < JUNE * DAY:
                continue
            away = np.hypot(*(readers - blocks.xy[series.blocks[k]]).T)
            order = np.argsort(away, kind="stable")
            at = 60 * (minute - JUNE * DAY)
            hit = bool(away[order[0]] <= REACH) and len(near) != 3  # the fourth June scene is left out: one that nobody saw
            near.append({"scene": k, "metres": round(float(away[order[0]])), "read": hit})
            if not hit:
                continue
            out += [Pass(ROLE[w], int(order[0]), at - 60 * rng.uniform(*before), f"{name} before scene {k + 1}") for w in who]
            if after:
                back = int(order[1]) if away[order[1]] <= 900 else int(order[0])
                out.append(Pass(ROLE[name], back, at + 60 * rng.uniform(*after), f"{name} after scene {k + 1}"))
        scenes[name] = near
    scout = [Pass(ROLE["crew scout"], p.reader, p.second - rng.uniform(9, 30), "scout ahead of the van") for p in out if p.vehicle == ROLE["crew van"]]
    return [*out, *scout, *_clone(readers, rng)], scenes


def _clone(readers: Floats, rng: np.random.Generator) -> list[Pass]:
    """The plate's owner and its copy, far apart within minutes, six times."""
    away = np.hypot(*np.moveaxis(readers[:, None] - readers[None], 2, 0))
    pairs = np.argwhere((away > 6500) & (away < 9500))
    out = []
    for day in (3, 8, 12, 17, 22, 27):
        a, b = pairs[int(rng.integers(len(pairs)))]
        second = (day - 1) * 86400 + 3600 * rng.uniform(9, 19)
        out += [Pass(ROLE["cloned plate"], int(a), second, "the owner"), Pass(ROLE["clone"], int(b), second + 60 * rng.uniform(1.1, 2.3), "the copy")]
    return out

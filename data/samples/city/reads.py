"""Plate reads of fixed readers over 30 days, made a day at a time so that ten million cost no more memory than a day of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from . import cast, traffic
from .blocks import Blocks
from .cast import ROLE, Pass
from .ground import Ground
from .names import plates
from .plane import Floats, Ints, along, at, degrees, inside, stream
from .series import Placed
from .streets import Roads, Street
from .traffic import COLOURS, MAKES, REGIONS, Demand, Trips, Vehicles

READERS = 70
LOOK_ALIKES = ("0ODQ", "1IL", "2Z", "5S", "6G", "8B", "UV")
MISREAD = 0.016
SEEN = 0.93


@dataclass(frozen=True)
class Readers:
    """The devices: name, where, position; and for each directed edge of the road graph its reader (-1 none), metres in and heading."""

    name: list[str]
    place: list[str]
    xy: Floats
    of_edge: Ints
    metres_in: Floats
    heading: Floats


@dataclass(frozen=True)
class Routes:
    """For each pair of nodes the readers passed: flat arrays and where each pair's stretch starts; ``whole`` is the pair's time in seconds."""

    start: Ints
    reader: Ints
    seconds: Floats
    heading: Floats
    whole: Floats
    nodes: int


@dataclass(frozen=True)
class Scene:
    """Everything the reads are made from."""

    readers: Readers
    routes: Routes
    fleet: Vehicles
    want: Demand
    passes: list[Pass]
    near_scenes: dict[str, list[dict[str, int]]]
    ends: dict[str, tuple[int, int]]
    scale: int


def place_readers(graph: Roads, streets: list[Street], ground: Ground, ways: list[list[list[int]]], want: Demand) -> Readers:
    """Readers on every bridge and along Founders Avenue, then on the busier roads, always where the next is furthest from those that stand."""
    busy = np.zeros(len(graph.source))
    for home, row in zip(want.homes, ways, strict=True):
        for work, way in zip(want.works, row, strict=True):
            busy[way] += home * work
    middle = np.array([at(p, [along(p)[-1] / 2])[0] for p in graph.points])
    one_way = np.flatnonzero(graph.source < graph.target)
    one_way = one_way[inside(ground.limit, middle[one_way]) & (graph.metres[one_way] > 120)]
    first = [streets[graph.street[e]].bridge or (streets[graph.street[e]].name == "Founders Avenue" and abs(middle[e, 0]) < 1800) for e in one_way]
    chosen = [int(e) for e in one_way[first]]
    rest = one_way[(busy[one_way] > np.quantile(busy, 0.1)) & (np.hypot(middle[one_way, 0] - 300, middle[one_way, 1] - 200) < 5600)]
    while len(chosen) < min(READERS, len(rest)):
        away = np.hypot(*np.moveaxis(middle[rest][:, None] - middle[chosen][None], 2, 0)).min(axis=1)
        chosen.append(int(rest[away.argmax()]))
    chosen.sort(key=lambda e: (-middle[e, 1], middle[e, 0]))
    of_edge, metres_in, heading = np.full(len(graph.source), -1), np.zeros(len(graph.source)), np.zeros(len(graph.source))
    for number, e in enumerate(chosen):
        back = next(
            int(b) for b in np.flatnonzero((graph.source == graph.target[e]) & (graph.target == graph.source[e])) if abs(graph.metres[b] - graph.metres[e]) < 1
        )
        for edge in (e, back):
            line = graph.points[edge]
            d = graph.metres[edge] / 2
            step = at(line, [d + 10])[0] - at(line, [d - 10])[0]
            of_edge[edge], metres_in[edge], heading[edge] = number, d, round(float(np.degrees(np.arctan2(step[0], step[1]))) % 360)
    names = [f"FW-{k + 1:02d}" for k in range(len(chosen))]
    return Readers(names, [streets[graph.street[e]].name.upper() for e in chosen], middle[chosen], of_edge, metres_in, heading)


def routes(graph: Roads, readers: Readers, ways: list[list[list[int]]]) -> Routes:
    """Readers passed on the quickest way between every two nodes, with seconds after departure."""
    start, reader, seconds, heading, whole = [0], [], [], [], []
    for row in ways:
        for way in row:
            clock = 0.0
            for e in way:
                if readers.of_edge[e] >= 0:
                    reader.append(int(readers.of_edge[e]))
                    seconds.append(clock + float(graph.seconds[e]) * float(readers.metres_in[e]) / float(graph.metres[e]))
                    heading.append(float(readers.heading[e]))
                clock += float(graph.seconds[e])
            start.append(len(reader))
            whole.append(clock)
    return Routes(np.array(start), np.array(reader), np.array(seconds), np.array(heading), np.array(whole), len(graph.nodes))


def prepare(graph: Roads, streets: list[Street], ground: Ground, blocks: Blocks, placed: list[Placed], scale: int) -> Scene:
    """Readers, routes, fleet and planted passes."""
    rng = stream("reads")
    want, ways = traffic.demand(graph, blocks, ground), traffic.paths(graph)
    readers = place_readers(graph, streets, ground, ways, want)
    fleet = traffic.vehicles(want, scale, len(ROLE))
    fleet.plate[ROLE["clone"]] = fleet.plate[ROLE["cloned plate"]]
    fleet.make[ROLE["clone"]], fleet.colour[ROLE["clone"]] = (
        (fleet.make[ROLE["cloned plate"]] + 3) % len(MAKES),
        (fleet.colour[ROLE["cloned plate"]] + 1) % len(COLOURS),
    )
    fleet.make[ROLE["crew van"]], fleet.model[ROLE["crew van"]], fleet.colour[ROLE["crew van"]] = 5, 1, 0
    ends = cast.ends(want, rng)
    for convoy in cast.CONVOYS:
        for member in convoy.members:
            fleet.home[ROLE[member]] = ends[convoy.name][0]
    passes, near = cast.passes(placed, blocks, readers.xy, rng)
    way = routes(graph, readers, ways)
    for number in range(1, 7):  # stolen cars drive about for a few days
        row = ROLE[f"stolen {number}"]
        for _ in range(int(rng.integers(3, 9))):
            passes.append(Pass(row, int(rng.integers(len(readers.name))), float(rng.uniform(12 * 86400, 30 * 86400)), "stolen car"))
    return Scene(readers, way, fleet, want, passes, near, ends, scale)


def days(scene: Scene) -> Iterator[pl.DataFrame]:
    """The reads of each of the 30 days, in order of time; column ``truth`` is the plate that was really there."""
    number = 0
    for day in range(1, 31):
        rng = np.random.default_rng([20260602, day])
        trips, through = traffic.day(day, scene.fleet, scene.want, scene.scale)
        passing = {p.vehicle for p in scene.passes if (day - 1) * 86400 <= p.second < day * 86400}
        own = cast.own_trips(day, scene.want, scene.fleet.home, rng)
        own = own.only(~np.isin(own.vehicle, list(passing)))
        free = _possible(Trips.join([trips, own]), scene.routes)
        frame = _reads(day, Trips.join([free, cast.convoy_trips(day, scene.ends, rng)]), through, scene, rng)
        yield frame.with_columns(read_id=pl.format("R{}", pl.int_range(pl.len()) + number + 10_000_001))
        number += len(frame)


def _possible(trips: Trips, routes: Routes) -> Trips:
    """Without the trips that would begin before the vehicle can have come to where they begin."""
    for _ in range(3):
        order = np.lexsort((trips.depart, trips.vehicle))
        trips = trips.only(order)
        here = np.flatnonzero(trips.vehicle[1:] == trips.vehicle[:-1])
        there = here + 1
        arrive = trips.depart[here] + 1.1 * np.maximum(trips.pace[here], 1) * routes.whole[trips.source[here] * routes.nodes + trips.target[here]]
        move = 1.3 * routes.whole[trips.target[here] * routes.nodes + trips.source[there]]
        late = there[trips.depart[there] < arrive + move + 60]
        trips = trips.only(np.setdiff1d(np.arange(len(trips.vehicle)), late))
    return trips


def _reads(day: int, trips: Trips, through: int, scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    pair = trips.source * scene.routes.nodes + trips.target
    many = scene.routes.start[pair + 1] - scene.routes.start[pair]
    trip = np.repeat(np.arange(len(pair)), many)
    spot = np.arange(len(trip)) - np.repeat(np.cumsum(many) - many, many) + scene.routes.start[pair][trip]
    second = trips.depart[trip] + scene.routes.seconds[spot] * np.maximum(trips.pace[trip], 0.75) + rng.normal(0, 1.5, len(trip))
    vehicle, reader, heading = trips.vehicle[trip], scene.routes.reader[spot], scene.routes.heading[spot]
    keep = (rng.random(len(trip)) < SEEN) & ((day < 30) | (second < 86400))
    today = [p for p in scene.passes if (day - 1) * 86400 <= p.second < day * 86400]
    vehicle = np.concatenate([vehicle[keep], np.array([p.vehicle for p in today], dtype=int)])
    reader = np.concatenate([reader[keep], np.array([p.reader for p in today], dtype=int)])
    second = np.concatenate([second[keep], np.array([p.second - (day - 1) * 86400 for p in today])])
    one_way = np.array([float(scene.readers.heading[np.flatnonzero(scene.readers.of_edge == p.reader)[0]]) for p in today])
    heading = np.concatenate([heading[keep], one_way])
    planned = np.concatenate([np.zeros(int(keep.sum()), dtype=bool), np.ones(len(today), dtype=bool)])
    order = np.lexsort((vehicle, second))
    return _described(day, vehicle[order], reader[order], second[order], heading[order], planned[order], through, scene, rng)


def _described(
    day: int, vehicle: Ints, reader: Ints, second: Floats, heading: Floats, planned: Ints, through: int, scene: Scene, rng: np.random.Generator
) -> pl.DataFrame:
    fleet, n = scene.fleet, len(vehicle)
    extra = plates(through, rng)
    plate = np.array([*fleet.plate, *extra])[vehicle]
    region = np.concatenate([fleet.region, rng.integers(0, len(REGIONS), through)])[vehicle]
    make = np.concatenate([fleet.make, rng.integers(0, len(MAKES), through)])[vehicle]
    colour = np.concatenate([fleet.colour, rng.integers(0, len(COLOURS), through)])[vehicle]
    wrong = (rng.random(n) < MISREAD) & ~planned
    shown = plate.copy()
    for i in np.flatnonzero(wrong):
        shown[i] = _misread(str(plate[i]), rng)
    wrong = shown != plate
    sure = np.where(wrong, rng.beta(6, 3, n), rng.beta(22, 1.4, n))
    colour = np.where(rng.random(n) < 0.05, rng.integers(0, len(COLOURS), n), colour)
    nothing = rng.random((n, 2)) < 0.12
    ll = degrees(scene.readers.xy)
    stamp = np.datetime64("2026-06-01T00:00:00") + ((day - 1) * 86400 + np.floor(second)).astype("timedelta64[s]")
    return pl.DataFrame(
        {
            "plate": shown.tolist(),
            "region": np.array(REGIONS)[region].tolist(),
            "reader": np.array(scene.readers.name)[reader].tolist(),
            "place": np.array(scene.readers.place)[reader].tolist(),
            "read_at": np.datetime_as_string(stamp).tolist(),
            "confidence": np.round(np.minimum(sure, 0.99), 2),
            "heading": heading.astype(int),
            "make": [None if b else MAKES[m][0] for m, b in zip(make, nothing[:, 0], strict=True)],
            "colour": [None if b else COLOURS[c] for c, b in zip(colour, nothing[:, 1], strict=True)],
            "lat": ll[reader, 1],
            "lon": ll[reader, 0],
            "truth": plate.tolist(),
        }
    )


def _misread(plate: str, rng: np.random.Generator) -> str:
    """The plate with one character taken for its look-alike; as it is when it has none."""
    spots = [(i, c, group) for i, c in enumerate(plate) for group in LOOK_ALIKES if c in group]
    if not spots:
        return plate
    i, c, group = spots[int(rng.integers(len(spots)))]
    return plate[:i] + str(rng.choice([o for o in group if o != c])) + plate[i + 1 :]

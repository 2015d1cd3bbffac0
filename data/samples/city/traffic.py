"""Who drives: commuters, errands, buses, delivery vans and through traffic over the main roads, day by day.

A trip is a vehicle, two nodes of the road graph, a departure and a pace; ``reads`` turns trips into plate reads.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .ground import Ground
from .names import pick, plates
from .offences import hours
from .places import PLACES
from .plane import Bools, Floats, Ints, inside, stream
from .streets import Roads

#: Vehicles for scale 1.
FLEET = {"commuter": 310, "errands": 4600, "bus": 8, "van": 15}
THROUGH_A_DAY = 260
#: Made-up makes, each with models and a kind of body.
MAKES = (
    ("CALDERA", ("PIKE", "TARN", "ROAM")),
    ("HALDEN", ("ARROW", "FINCH", "HAULER")),
    ("NORVELL", ("SIX", "METRO", "RANGE")),
    ("ORIOLE", ("CITY", "TRAIL", "ESTATE")),
    ("SABLEY", ("NOVA", "CREST", "VANTAGE")),
    ("TREMAINE", ("COUPE", "CARGO", "UTILITY")),
    ("WESTRY", ("MINOR", "MAJOR", "WORKMAN")),
)
COLOURS = ("WHITE", "BLACK", "SILVER", "GRAY", "BLUE", "RED", "GREEN", "TAN")
_COLOUR_SHARES = (0.25, 0.2, 0.16, 0.15, 0.1, 0.08, 0.03, 0.03)
#: NCIC codes of neighbouring states and how often their plates are met.
REGIONS, _REGION_SHARES = ("IA", "IL", "MO", "MN", "NB", "KS"), (0.84, 0.09, 0.025, 0.02, 0.015, 0.01)


@dataclass(frozen=True)
class Vehicles:
    """Arrays of one length: plate, region, make and model, colour, model year, kind, home and work node, usual departure (minute)."""

    plate: list[str]
    region: Ints
    make: Ints
    model: Ints
    colour: Ints
    year: Ints
    kind: list[str]
    home: Ints
    work: Ints
    leaves: Floats
    span: Floats


@dataclass(frozen=True)
class Trips:
    """Trips of one day: vehicle row, from and to node, departure in seconds after midnight, pace (1 = the road's own speed)."""

    vehicle: Ints
    source: Ints
    target: Ints
    depart: Floats
    pace: Floats

    def only(self, rows: Ints | Bools) -> Trips:
        """Some of the trips, by row numbers or a mask."""
        return Trips(self.vehicle[rows], self.source[rows], self.target[rows], self.depart[rows], self.pace[rows])

    @classmethod
    def join(cls, parts: list[Trips]) -> Trips:
        """Several sets of trips as one."""
        return cls(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("vehicle", "source", "target", "depart", "pace")))


@dataclass(frozen=True)
class Demand:
    """Shares of homes and workplaces at each node, the nodes at the edge of town, and the nearest node of some places."""

    homes: Floats
    works: Floats
    edge: Ints
    depot: int
    hub: int


def demand(graph: Roads, blocks: Blocks, ground: Ground) -> Demand:
    """Homes and workplaces at the nearest node; a tenth of each comes from outside."""
    node = np.array([int(((graph.nodes - p) ** 2).sum(axis=1).argmin()) for p in blocks.xy[::3]])
    premise = blocks.table["premise"].to_numpy()[::3]
    home = np.isin(premise, ["RESIDENCE", "APARTMENT"])
    homes = np.bincount(node[home], minlength=len(graph.nodes)).astype(float)
    works = np.bincount(node[~home], minlength=len(graph.nodes)).astype(float) ** 1.2
    edge = np.flatnonzero(~inside(ground.limit, graph.nodes))
    for share in (homes, works):
        share[edge] = 0.14 * share.sum() / len(edge)

    def nearest(name: str) -> int:
        place = next(p for p in PLACES if p.name == name)
        return int(((graph.nodes - place.xy) ** 2).sum(axis=1).argmin())

    return Demand(homes, works, edge, nearest("City Bus Depot"), nearest("Parcel Hub"))


def paths(graph: Roads) -> list[list[list[int]]]:
    """Quickest way between all nodes as lists of edge numbers. Dijkstra from each node."""
    leaving: list[list[int]] = [[] for _ in graph.nodes]
    for e, u in enumerate(graph.source):
        leaving[u].append(e)
    out = []
    for start in range(len(graph.nodes)):
        best, by, queue = {start: 0.0}, {}, [(0.0, start)]
        while queue:
            so_far, u = heapq.heappop(queue)
            if so_far > best[u]:
                continue
            for e in leaving[u]:
                v, then = int(graph.target[e]), so_far + float(graph.seconds[e])
                if then < best.get(v, 1e18):
                    best[v], by[v] = then, e
                    heapq.heappush(queue, (then, v))
        routes = []
        for end in range(len(graph.nodes)):
            way, v = [], end
            while v != start and v in by:
                way.append(by[v])
                v = int(graph.source[by[v]])
            routes.append(way[::-1])
        out.append(routes)
    return out


def vehicles(want: Demand, scale: int, extra: int) -> Vehicles:
    """The fleet: ``extra`` vehicles first, for planted ones; then by kind."""
    rng = stream("traffic")
    counts = {"planted": extra, **{k: v * (scale if k in ("commuter", "errands") else max(1, scale // 4)) for k, v in FLEET.items()}}
    n = sum(counts.values())
    kind = [k for k, v in counts.items() for _ in range(v)]
    home, work = pick(rng, want.homes, n), pick(rng, want.works, n)
    is_bus, is_van = np.array([k == "bus" for k in kind]), np.array([k == "van" for k in kind])
    home[is_bus], home[is_van] = want.depot, want.hub
    make = rng.integers(0, len(MAKES), n)
    region = np.where(is_bus | is_van, 0, pick(rng, _REGION_SHARES, n))
    region[:extra] = 0
    early = rng.random(n) < 0.8
    return Vehicles(
        plates(n, rng),
        region,
        make,
        rng.integers(0, 3, n),
        np.where(is_bus, 4, np.where(is_van, 0, pick(rng, _COLOUR_SHARES, n))),
        rng.integers(2004, 2027, n),
        kind,
        home,
        work,
        np.where(early, rng.normal(445, 38, n), rng.normal(870, 120, n)),
        rng.normal(525, 40, n),
    )


def day(number: int, fleet: Vehicles, want: Demand, scale: int) -> tuple[Trips, int]:
    """Trips of the June day ``number`` (1 = Monday 1 June 2026), and how many through vehicles come on top, numbered behind the fleet."""
    rng = np.random.default_rng([20260601, number])
    weekend = (number - 1) % 7 >= 5
    kind = np.array(fleet.kind)
    parts = [
        _commute(np.flatnonzero(kind == "commuter"), fleet, want, weekend, rng),
        _errands(np.flatnonzero(kind == "errands"), fleet, want, weekend, rng),
        _buses(np.flatnonzero(kind == "bus"), want, weekend, rng),
        _vans(np.flatnonzero(kind == "van"), fleet, want, weekend, rng),
    ]
    through = THROUGH_A_DAY * scale
    ends = want.edge[rng.integers(0, len(want.edge), (through, 2))]
    parts.append(Trips(len(fleet.plate) + np.arange(through), ends[:, 0], ends[:, 1], _at("afternoon", through, rng), rng.normal(1, 0.06, through)))
    return Trips.join(parts), through


def _at(clock: str, n: int, rng: np.random.Generator) -> Floats:
    return np.asarray((np.searchsorted(hours(clock), rng.random(n), side="right") + rng.random(n)) * 3600)


def _commute(who: Ints, fleet: Vehicles, want: Demand, weekend: bool, rng: np.random.Generator) -> Trips:
    goes = who[rng.random(len(who)) < (0.3 if weekend else 0.88)]
    target = pick(rng, want.works, len(goes)) if weekend else fleet.work[goes]
    out = _at("shopping", len(goes), rng) if weekend else 60 * (fleet.leaves[goes] + rng.normal(0, 7, len(goes)))
    back = out + 60 * (rng.normal(95, 30, len(goes)) if weekend else fleet.span[goes] + rng.normal(0, 16, len(goes)))
    pace = rng.normal(1, 0.07, 2 * len(goes))
    return Trips(
        np.tile(goes, 2),
        np.concatenate([fleet.home[goes], target]),
        np.concatenate([target, fleet.home[goes]]),
        np.concatenate([out, np.maximum(back, out + 900)]),
        pace,
    )


def _errands(who: Ints, fleet: Vehicles, want: Demand, weekend: bool, rng: np.random.Generator) -> Trips:
    goes = who[rng.random(len(who)) < (0.085 if weekend else 0.062)]
    target = pick(rng, want.works, len(goes))
    out = _at("afternoon", len(goes), rng)
    back = out + 60 * np.maximum(12, rng.normal(70, 40, len(goes)))
    home = rng.random(len(goes)) < 0.75
    return Trips(
        np.concatenate([goes, goes[home]]),
        np.concatenate([fleet.home[goes], target[home]]),
        np.concatenate([target, fleet.home[goes][home]]),
        np.concatenate([out, back[home]]),
        rng.normal(1, 0.08, len(goes) + int(home.sum())),
    )


def _buses(who: Ints, want: Demand, weekend: bool, rng: np.random.Generator) -> Trips:
    """Four lines between fixed ends; a bus keeps its line and its place in the timetable."""
    ends = np.argsort(-want.homes, kind="stable")[[3, 9, 14, 20, 27, 33, 38, 44]].reshape(4, 2)
    rows = []
    for k, bus in enumerate(who):
        a, b = ends[k % 4]
        every = 75 * 60 if weekend else 55 * 60
        for turn, start in enumerate(np.arange(5.7 * 3600 + (k // 4) * 1000, 22.3 * 3600, every)):
            rows.append((bus, *((a, b) if turn % 2 == 0 else (b, a)), start + rng.normal(0, 50), 1.35))
    return Trips(*(np.array(c, dtype=t) for c, t in zip(zip(*rows, strict=True), (int, int, int, float, float), strict=True)))


def _vans(who: Ints, fleet: Vehicles, want: Demand, weekend: bool, rng: np.random.Generator) -> Trips:
    """Each van leaves its hub in the morning, goes from stop to stop and comes home."""
    rows = []
    for van in who:
        if weekend and rng.random() < 0.6:
            continue
        stops = [int(fleet.home[van]), *(int(s) for s in pick(rng, want.homes, int(rng.integers(5, 9)))), int(fleet.home[van])]
        clock = rng.normal(8.1, 0.4) * 3600
        for a, b in zip(stops[:-1], stops[1:], strict=True):
            if a != b:
                rows.append((int(van), a, b, clock, 1.12))
            clock += max(900.0, rng.normal(58, 14) * 60)
    return Trips(*(np.array(c, dtype=t) for c, t in zip(zip(*rows, strict=True), (int, int, int, float, float), strict=True)))

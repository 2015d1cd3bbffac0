"""The drive graph: streets as corners that matter and directed edges between them, with places on it and shortest times along it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.engines.kernels import each
from workbench.errors import BadInput, CannotTell
from workbench.geo.extract import ATTRIBUTION
from workbench.geo.network import StreetNetwork
from workbench.geo.plane import Floats, Ints, Plane
from workbench.models.pursuit import _search
from workbench.results import Prepared

_MPH = 0.44704
#: Free-flow speed by class where none is signed, metres a second.
SPEEDS = {name: mph * _MPH for name, mph in {
    "motorway": 65, "motorway_link": 45, "trunk": 50, "trunk_link": 40, "primary": 40, "primary_link": 30, "secondary": 35, "secondary_link": 30,
    "tertiary": 30, "tertiary_link": 25, "residential": 25, "unclassified": 25, "road": 25, "busway_shared": 25, "living_street": 15, "service": 12}.items()}
_OTHER = 25 * _MPH
_NO_DRIVE = ("footway", "cycleway", "steps", "path", "track", "bridleway", "pedestrian", "corridor", "river", "bridge")


@dataclass(frozen=True, eq=False)
class Places:
    """Points on the drive graph; up to two directed edges lead over each, or more where its place is known only roughly (k).

    Args (n points):
        edge: number of the edge, -1 where there is none, shape (n, k). before, after: seconds along it to the point and from it.
        off: metres from the point to its street, infinite where none is near enough, shape (n,). x, y: the point on the street, metres, shape (n,).
        segment, at: the piece of street and the fraction along it, shape (n,).
    """

    edge: Ints
    before: Floats
    after: Floats
    off: Floats
    x: Floats
    y: Floats
    segment: Ints
    at: Floats

    def __len__(self) -> int:
        return len(self.off)

    @property
    def on(self) -> Any:
        """Which points lie on a street, shape (n,)."""
        return (self.edge >= 0).any(axis=1)

    def take(self, rows: Any) -> Places:
        """Some of the points, in the order of ``rows``."""
        return Places(*(np.ascontiguousarray(getattr(self, f.name)[rows]) for f in dataclasses.fields(self)))


class Roads(Prepared):
    """The largest strongly connected part of a street network, corners of two streets merged; made by ``pursuit.roads.graph``.

    Attributes (V nodes, E directed edges):
        network: the streets it is made of, with their geometry. limit: metres within which a point is put on a street.
        lon, lat, x, y: of the nodes, shape (V,). first, head, tail: the edges that leave node v are ``first[v]:first[v + 1]`` and arrive at ``head``.
        seconds, metres: of each edge at free flow, shape (E,). notes: what limits it, and whose data it is.
        kept: tables of times that models keep with it.
    """

    maker = "workbench.models.pursuit.roads:graph"

    def __init__(self, streets: pl.DataFrame, *, limit: float = 150.0) -> None:
        schema.require(streets, "geometry", what="The streets frame")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 1 <= limit <= 5000:
            raise BadInput(f"limit={limit!r} m does not do; give 1 to 5,000 metres within which a point is put on a street, e.g. 150.")
        self.kept: dict[Any, Floats] = {}
        self.frame, self.limit, self.options = streets, float(limit), {"limit": limit}
        usable = streets
        if "class" in streets.columns:
            usable = streets.filter(~pl.col("class").is_in(_NO_DRIVE).fill_null(False))
        if usable.is_empty():
            raise CannotTell("There are no streets one may drive, so there is no drive graph; load a source of streets, or read a larger extract.")
        whole = StreetNetwork.of(usable)
        speed = self._speeds(usable, whole)
        keep = _connected(whole)
        self.network, self.share = _part(whole, keep), float(whole.length[keep].sum() / whole.length.sum())
        self._speed = np.ascontiguousarray(speed[keep])
        self._merge()
        self.notes = (*self._limits(len(usable)), *((ATTRIBUTION,) if _is_osm(streets) else ()))

    def _speeds(self, streets: pl.DataFrame, network: StreetNetwork) -> Floats:
        self.signed = float((network.speed > 0).mean())
        if "class" not in streets.columns:
            return np.where(network.speed > 0, network.speed, _OTHER)
        usual = streets["class"].replace_strict(SPEEDS, default=_OTHER, return_dtype=pl.Float64).to_numpy()[network.row]
        out: Floats = np.where(network.speed > 0, network.speed, usual)
        return out

    def _limits(self, rows: int) -> tuple[str, ...]:
        return (
            f"Drive graph of {rows:,} pieces of street: the largest part in which every place is reached from every other ({self.share:.1%} of the length); "
            f"{self.signed:.0%} of the pieces have a signed speed, the others the usual one of their class.",
            "Times are free flow: no lights, queues, turn restrictions or closures, so a drive takes longer than said, unless it is faster than signed.",
        )

    def _merge(self) -> None:
        net = self.network
        first, leaving = net.adjacency
        kept = _kept(net)
        half = 2 * len(net)
        self._edge_of, self._before = np.full(half, -1, dtype=np.int64), np.zeros(half)
        begins, tails, heads = np.empty(len(first), dtype=np.int64), np.empty(half, dtype=np.int64), np.empty(half, dtype=np.int64)
        seconds, metres = np.empty(half), np.empty(half)
        self._cost = net.length / self._speed
        n = _search.chains(first, leaving, net.head, net.way, kept, self._cost, net.length, self._edge_of, self._before, begins, tails, heads, seconds, metres)
        nodes = np.flatnonzero(kept)
        number = np.full(len(kept), -1, dtype=np.int64)
        number[nodes] = np.arange(len(nodes))
        self.first = np.ascontiguousarray(np.append(begins[nodes], n))
        self.tail, self.head = number[tails[:n]], number[heads[:n]]
        self.seconds, self.metres = seconds[:n].copy(), metres[:n].copy()
        self.x, self.y = np.ascontiguousarray(net.x[nodes]), np.ascontiguousarray(net.y[nodes])
        self.lon, self.lat = net.plane.to_degrees(self.x, self.y)
        self.swiftest = float((self.metres / np.maximum(self.seconds, 1e-9)).max())

    def __len__(self) -> int:
        return len(self.head)

    @property
    def plane(self) -> Plane:
        """The metre plane."""
        return self.network.plane

    @cached_property
    def _turned(self) -> tuple[Ints, Ints, Floats]:
        """The graph with every edge turned round: first, head, seconds."""
        order = np.argsort(self.head, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(self.head, minlength=len(self.x)))]).astype(np.int64)
        return first, np.ascontiguousarray(self.tail[order]), np.ascontiguousarray(self.seconds[order])

    def place(self, lon: Any, lat: Any) -> Places:
        """Points, in degrees, on their nearest streets within ``limit`` metres. About a microsecond a point."""
        x, y = self.plane.to_metres(np.atleast_1d(lon), np.atleast_1d(lat))
        put = self.network.snap(x, y, limit=self.limit)
        s, on = np.maximum(put.segment, 0), put.segment >= 0
        edge, before = np.full((len(put), 2), -1, dtype=np.int64), np.zeros((len(put), 2))
        for k, part in enumerate((put.at, 1.0 - put.at)):
            edge[:, k] = np.where(on & (self.network.way[2 * s + k] != 0), self._edge_of[2 * s + k], -1)
            before[:, k] = self._before[2 * s + k] + part * self._cost[s]
        swap = (edge[:, 0] < 0) & (edge[:, 1] >= 0)
        edge[swap], before[swap] = edge[swap][:, ::-1], before[swap][:, ::-1]
        after = np.where(edge >= 0, self.seconds[np.maximum(edge, 0)] - before, math.inf)
        px, py = self.network.spots(s, put.at)
        return Places(edge, before, after, put.distance, np.where(on, px, x), np.where(on, py, y), put.segment, put.at)

    def nodes(self, numbers: Any) -> Places:
        """The nodes of the graph themselves as places: on every edge that leaves or enters."""
        v = np.asarray(numbers, dtype=np.int64)
        lists = [np.concatenate([np.arange(self.first[k], self.first[k + 1]), np.flatnonzero(self.head == k)]) for k in v.tolist()]
        edge = np.full((len(v), max((len(e) for e in lists), default=1)), -1, dtype=np.int64)
        for row, edges in enumerate(lists):
            edge[row, : len(edges)] = edges
        one = np.maximum(edge, 0)
        before = np.where((edge >= 0) & (self.tail[one] != v[:, None]), self.seconds[one], 0.0)
        after = np.where(edge >= 0, self.seconds[one] - before, math.inf)
        none = np.full(len(v), -1, dtype=np.int64)
        return Places(edge, before, after, np.zeros(len(v)), self.x[v], self.y[v], none, np.zeros(len(v)))

    def about(self, lon: Any, lat: Any, metres: float) -> Places:
        """Points of which only the place within ``metres`` is known: each with every edge that the point itself or one of eight points about it lies on.

        So a reader beside a divided road counts as standing on either carriageway, and a time is the shortest that any of them allows.
        """
        whole = self.place(lon, lat)
        x, y = self.plane.to_metres(np.atleast_1d(lon), np.atleast_1d(lat))
        put = [whole]
        for k in range(8 if metres > 0 else 0):
            put.append(self.place(*self.plane.to_degrees(x + metres * math.cos(k * math.pi / 4), y + metres * math.sin(k * math.pi / 4))))
        edge, before, after = (np.ascontiguousarray(np.concatenate([getattr(p, name) for p in put], axis=1)) for name in ("edge", "before", "after"))
        return dataclasses.replace(whole, edge=edge, before=before, after=after)

    def times(self, origins: Places, destinations: Places, *, within: float = math.inf, threads: int | None = None) -> Floats:
        """Shortest seconds from each origin to each destination, infinite where it takes more than ``within``; shape (origins, destinations).

        Cost: a search from each place of the fewer side, up to the bound or until all are reached: about 2 ms a search of 13,000 nodes.
        """
        n, m = len(origins), len(destinations)
        if not n or not m:
            return np.full((n, m), math.inf)
        if m < n:
            i, j = np.tile(np.arange(n), m), np.repeat(np.arange(m), n)
            return np.ascontiguousarray(self._asked(destinations, origins, j, i, within, -1.0, threads).reshape(m, n).T)
        i, j = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
        return self._asked(origins, destinations, i, j, within, 1.0, threads).reshape(n, m)

    def pairs(self, origins: Places, destinations: Places, i: Any, j: Any, *, within: float = math.inf, threads: int | None = None) -> Floats:
        """Shortest seconds from origin ``i[k]`` to destination ``j[k]``, shape (k,); as ``times``, one search an origin that is asked for."""
        i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
        order = np.lexsort((j, i))
        out = np.empty(len(i))
        out[order] = self._asked(origins, destinations, i[order], j[order], within, 1.0, threads)
        return out

    def _asked(self, sources: Places, targets: Places, i: Ints, j: Ints, within: float, sense: float, threads: int | None) -> Floats:
        """Times of pairs in order of i; ``sense`` -1: along the turned graph, from targets of the drive to its origins."""
        ends = (self.head, self.tail) if sense > 0 else (self.tail, self.head)
        first, head, cost = (self.first, self.head, self.seconds) if sense > 0 else self._turned

        def at(p: Places, end: Ints, spent: Floats) -> tuple[Any, ...]:
            return np.where(p.edge >= 0, end[np.maximum(p.edge, 0)], -1), np.ascontiguousarray(np.where(p.edge >= 0, spent, 0.0)), p.edge, p.before

        given = (*at(sources, ends[0], sources.after if sense > 0 else sources.before), *at(targets, ends[1], targets.before if sense > 0 else targets.after))
        wanted = np.searchsorted(i, np.arange(len(sources) + 1)).astype(np.int64)
        out, target = np.empty(len(i)), np.ascontiguousarray(j, dtype=np.int64)

        def some(bounds: tuple[int, int]) -> None:
            scratch = (np.full(len(self.x), math.inf), np.empty(len(self.x), dtype=np.int64), np.empty(len(self) + 4), np.empty(len(self) + 4, dtype=np.int64),
                       np.zeros(len(self.x), dtype=np.int64))
            _search.times(*given, sense, wanted, target, *bounds, first, head, cost, float(within), *scratch, out)

        cuts = np.linspace(0, len(sources), min(8, len(sources)) + 1).astype(int).tolist()
        each(some, [(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if b > a], threads=threads)
        return out

    def way(self, origin: Places, destination: Places) -> tuple[float, float, Floats]:
        """(seconds, metres, (lon, lat) along it, shape (k, 2)) of the quickest drive between the first places of each; infinite where there is none."""
        a, b = origin, destination
        if not (a.on[0] and b.on[0]):
            return math.inf, math.inf, np.empty((0, 2))
        n = len(self.x)
        best, via = np.full(1, math.inf), np.full(n, -1, dtype=np.int64)
        start, goal = (np.where(p.edge[0] >= 0, ends[np.maximum(p.edge[0], 0)], -1) for p, ends in ((a, self.head), (b, self.tail)))
        last = _search.towards(start, a.after[0].copy(), goal, b.before[0].copy(), self.first, self.head, self.seconds, self.x, self.y, float(b.x[0]),
                               float(b.y[0]), self.swiftest, np.full(n, math.inf), via, np.empty(4 * len(self) + 4),
                               np.empty(4 * len(self) + 4, dtype=np.int64), np.zeros(n, dtype=np.int64), best)
        for k in range(2):
            for q in range(2):
                ahead = b.before[0, q] - a.before[0, k]
                if a.edge[0, k] == b.edge[0, q] >= 0 and 0 <= ahead <= best[0]:
                    return self._told(a, b, [int(a.edge[0, k])], float(ahead))
        edges = []
        node = last
        while node >= 0 and via[node] >= 0:
            edges.append(int(via[node]))
            node = int(self.tail[via[node]])
        if node < 0:
            return math.inf, math.inf, np.empty((0, 2))
        out_by = min((float(a.after[0, k]), int(a.edge[0, k])) for k in range(2) if a.edge[0, k] >= 0 and self.head[a.edge[0, k]] == node)[1]
        in_by = min((float(b.before[0, k]), int(b.edge[0, k])) for k in range(2) if b.edge[0, k] >= 0 and self.tail[b.edge[0, k]] == last)[1]
        return self._told(a, b, [out_by, *edges[::-1], in_by], float(best[0]))

    @cached_property
    def _halves(self) -> tuple[Ints, Ints]:
        """(first, halves): the half-edges of edge e, in the order they are driven, are ``halves[first[e]:first[e + 1]]``."""
        used = np.flatnonzero(self._edge_of >= 0)
        order = np.lexsort((self._before[used], self._edge_of[used]))
        return np.searchsorted(self._edge_of[used][order], np.arange(len(self) + 1)), used[order]

    def _told(self, a: Places, b: Places, edges: list[int], seconds: float) -> tuple[float, float, Floats]:
        """Metres and shape of the drive over some edges, from place a on the first to place b on the last."""
        first, halves = self._halves
        run = np.concatenate([halves[first[e] : first[e + 1]] for e in edges]).tolist()
        begin, end = int(a.segment[0]), int(b.segment[0])
        lead = next((k for k, h in enumerate(run) if h >> 1 == begin), 0)
        trail = next((k for k in range(len(run) - 1, -1, -1) if run[k] >> 1 == end), len(run) - 1)
        net, points = self.network, []
        for h in run[lead : trail + 1]:
            s = h >> 1
            line = np.stack([net.vx[net.starts[s] : net.starts[s + 1]], net.vy[net.starts[s] : net.starts[s + 1]]], axis=1)
            points.append(line if h % 2 == 0 else line[::-1])
        low = a.at[0] if run[lead] % 2 == 0 else 1 - a.at[0]
        high = b.at[0] if run[trail] % 2 == 0 else 1 - b.at[0]
        line = np.concatenate(points)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        low, high = low * net.length[begin], along[-1] - (1 - high) * net.length[end]
        inside = (along > low) & (along < high)
        xy = np.concatenate([[[a.x[0], a.y[0]]], line[inside], [[b.x[0], b.y[0]]]])
        return seconds, float(max(high - low, 0.0)), np.stack(self.plane.to_degrees(xy[:, 0], xy[:, 1]), axis=1)


def _is_osm(streets: pl.DataFrame) -> bool:
    return "source" in streets.columns and bool(streets["source"].cast(pl.String).str.starts_with("osm_").fill_null(False).any())


def _connected(net: StreetNetwork) -> Any:
    """Which segments lie in the largest strongly connected part (by corners; ties: the one met first)."""
    first, leaving = net.adjacency
    n = len(net.x)
    scratch = [np.empty(n + 1, dtype=np.int64) for _ in range(4)]
    number, part = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    parts = _search.strong(first, leaving, net.head, net.way, number, *scratch, part)
    largest = int(np.bincount(part, minlength=parts).argmax())
    inside = part == largest
    keep = inside[net.begin] & inside[net.end]
    if not keep.any():
        raise CannotTell("The streets are not joined up: no two corners reach each other both ways, so there is no drive graph. Are the streets cut at their "
                         "corners, and do one-way streets point the right way?")
    return keep


def _part(net: StreetNetwork, keep: Any) -> StreetNetwork:
    """The network of some of its segments, corners as they are."""
    rows = np.flatnonzero(keep)
    use = np.repeat(keep, np.diff(net.starts))
    starts = np.concatenate([[0], np.cumsum(np.diff(net.starts)[rows])]).astype(np.int64)
    way = np.ascontiguousarray(net.way.reshape(-1, 2)[rows].ravel())
    return dataclasses.replace(net, begin=net.begin[rows], end=net.end[rows], starts=starts, vx=np.ascontiguousarray(net.vx[use]),
                               vy=np.ascontiguousarray(net.vy[use]), way=way, speed=net.speed[rows], row=net.row[rows],
                               ids=tuple(net.ids[k] for k in rows), names=tuple(net.names[k] for k in rows))


def _kept(net: StreetNetwork) -> Any:
    """1 for corners that stay nodes: all but those where one street simply goes on as another."""
    n, on = len(net.x), net.way != 0
    tail = np.stack([net.begin, net.end], axis=1).ravel()
    out, into = np.bincount(tail[on], minlength=n), np.bincount(net.head[on], minlength=n)
    open_ = on.reshape(-1, 2).any(axis=1)
    streets = np.bincount(net.begin[open_], minlength=n) + np.bincount(net.end[open_], minlength=n)
    loop = np.zeros(n, dtype=bool)
    loop[net.begin[net.begin == net.end]] = True
    passed = (streets == 2) & ~loop & (((out == 1) & (into == 1)) | ((out == 2) & (into == 2)))
    used = streets > 0
    kept = used & ~passed
    if not kept.any():  # one ring
        kept[np.flatnonzero(used)[0]] = True
    return kept.astype(np.uint8)

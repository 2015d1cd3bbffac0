"""The street network: corners and the pieces of street between them, places on it, and shortest ways along it.

Lengths are metres on a plane. A place is a segment and the fraction along it (``Placed``); distances between places run along the streets, both ways
unless ``one_way`` is asked for. Method and source of the searches: ``geo/_network.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench.engines.kernels import each
from workbench.errors import BadInput, CannotTell
from workbench.geo import _network, geometry
from workbench.geo.plane import Floats, Ints, Plane, positions

_BLOCKS = 16  # parts of a long work that threads share
_ROOM = 1 << 16
_LEAST = 0.01  # metres; a piece of street that is shorter is left out


@dataclass(frozen=True, eq=False)
class Placed:
    """Points put onto their nearest segments.

    Args:
        segment: number of the segment, -1 where none is near enough or the point has no position, shape (n,).
        at: fraction along it, 0 to 1.
        distance: metres from the point to the street, infinite where there is none within the limit.
        limit: metres within which a street was looked for.
    """

    segment: Ints
    at: Floats
    distance: Floats
    limit: float

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def unplaced(self) -> int:
        """How many points lie on no street."""
        return int((self.segment < 0).sum())


@dataclass(frozen=True, eq=False)
class StreetNetwork:
    """Corners (nodes) and pieces of street between them (segments) on a metre plane. Made by ``StreetNetwork.of``.

    Args:
        plane: the metre plane.
        x, y: corners, metres, shape (nodes,).
        begin, end: first and last corner of each segment, shape (segments,).
        starts: where each segment's vertices begin in ``vx``, ``vy``, shape (segments + 1,).
        vx, vy: vertices, metres.
        way: 1 where a half-edge may be driven, shape (2 segments,): first along the geometry, then back.
        speed: metres a second where signed, else NaN, shape (segments,).
        row: row of the frame it was made from, shape (segments,).
        ids, names: of each segment.
        left_out: rows of the frame whose geometry is no line of some length.
    """

    plane: Plane
    x: Floats = field(repr=False)
    y: Floats = field(repr=False)
    begin: Ints = field(repr=False)
    end: Ints = field(repr=False)
    starts: Ints = field(repr=False)
    vx: Floats = field(repr=False)
    vy: Floats = field(repr=False)
    way: np.ndarray[Any, np.dtype[np.uint8]] = field(repr=False)
    speed: Floats = field(repr=False)
    row: Ints = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    left_out: int = 0

    @classmethod
    def of(cls, streets: pl.DataFrame, *, plane: Plane | None = None, snap: float = 0.5) -> StreetNetwork:
        """The network of a frame of the table ``streets``.

        Args:
            streets: ``geometry`` (GeoJSON LineString, WGS84) and, where known, street_id, name, one_way, speed_limit (metres a second).
            plane: the metre plane; None = a local one about the streets.
            snap: ends within so many metres of each other are one corner. Streets that cross without an end there (bridges) are not joined.

        Raises:
            BadInput: no column geometry, or a snap that is no length. CannotTell: no row holds a usable line.

        Cost: O(vertices + ends x ends of about the same easting); 58,000 segments in about a second.
        """
        if "geometry" not in streets.columns:
            raise BadInput(f"The streets frame has no column 'geometry' (GeoJSON LineString, WGS84); it has: {', '.join(streets.columns)[:200]}.")
        if not (isinstance(snap, (int, float)) and 0 <= snap < 100):
            raise BadInput(f"snap={snap!r} does not do; give metres from 0 to 100, within which two ends of streets are one corner.")
        lon, lat, starts = _lines(streets["geometry"])
        if plane is None:
            ok = np.isfinite(lon) & np.isfinite(lat)
            if not ok.any():
                raise CannotTell(f"None of the {len(streets)} rows of the streets frame holds a line, so there is no network; load a source of streets.")
            plane = Plane.local(round(float(np.median(lat[ok])), 3), round(float(np.median(lon[ok])), 3))
        vx, vy = plane.to_metres(lon, lat)
        long = _lengths(vx, vy, starts)
        rows = np.flatnonzero(np.isfinite(long) & (long >= _LEAST))
        if not len(rows):
            raise CannotTell(f"None of the {len(streets)} rows of the streets frame holds a line of some length, so there is no network; load a source of "
                "streets.")
        vx, vy, starts = _taken(vx, vy, starts, rows)
        x, y, corner = _corners(vx, vy, starts, float(snap))
        one_way = streets["one_way"].to_numpy()[rows] if "one_way" in streets.columns else np.full(len(rows), None)
        way = np.ones(2 * len(rows), dtype=np.uint8)
        way[2 * np.flatnonzero(one_way == "backward")] = 0
        way[2 * np.flatnonzero(one_way == "forward") + 1] = 0
        speed = streets["speed_limit"].cast(pl.Float64).fill_null(math.nan).to_numpy()[rows] if "speed_limit" in streets.columns else np.full(len(rows),
            math.nan)

        def texts(column: str) -> tuple[str, ...]:
            if column not in streets.columns:
                return tuple(str(r) if column == "street_id" else "" for r in rows)
            return tuple(streets[column].cast(pl.String).fill_null("").gather(rows).to_list())

        return cls(plane, x, y, corner[0::2].copy(), corner[1::2].copy(), starts, vx, vy, way, np.ascontiguousarray(speed), rows, texts("street_id"),
                   texts("name"), len(streets) - len(rows))

    def __len__(self) -> int:
        return len(self.begin)

    @cached_property
    def length(self) -> Floats:
        """Metres of each segment along its geometry, shape (segments,)."""
        return _lengths(self.vx, self.vy, self.starts)

    @property
    def length_km(self) -> float:
        """Kilometres of street in all."""
        return float(self.length.sum()) / 1000

    @cached_property
    def head(self) -> Ints:
        """The corner each half-edge arrives at, shape (2 segments,)."""
        return np.stack([self.end, self.begin], axis=1).ravel()

    @cached_property
    def adjacency(self) -> tuple[Ints, Ints]:
        """(first, leaving): the half-edges that leave corner v are ``leaving[first[v]:first[v + 1]]``."""
        tail = np.stack([self.begin, self.end], axis=1).ravel()
        first = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=len(self.x)))]).astype(np.int64)
        return first, np.argsort(tail, kind="stable").astype(np.int64)

    @cached_property
    def _pieces(self) -> tuple[Ints, Floats]:
        """Number of the first vertex of each straight piece, and metres along its segment at which each vertex lies."""
        keep = np.ones(len(self.vx), dtype=bool)
        keep[self.starts[1:] - 1] = False
        step = np.hypot(np.diff(self.vx, prepend=self.vx[0]), np.diff(self.vy, prepend=self.vy[0]))
        step[self.starts[:-1]] = 0.0
        run = np.cumsum(step)
        return np.flatnonzero(keep), run - np.repeat(run[self.starts[:-1]], np.diff(self.starts))

    @cached_property
    def _buckets(self) -> tuple[float, float, float, int, int, Ints, Ints]:
        first, _ = self._pieces
        a = tuple(np.ascontiguousarray(v[first + k]) for k in (0, 1) for v in (self.vx, self.vy))
        x0, y0 = float(self.vx.min()), float(self.vy.min())
        wide, tall = float(np.ptp(self.vx)), float(np.ptp(self.vy))
        side = max(50.0, math.sqrt(wide * tall / max(len(first), 1)), math.hypot(wide, tall) / 3000)
        nx, ny = int(wide / side) + 1, int(tall / side) + 1
        counts = np.zeros(nx * ny, dtype=np.int64)
        _network.into_buckets(a[0], a[1], a[2], a[3], x0, y0, side, nx, ny, 0, counts, np.empty(0, dtype=np.int64))
        begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        pieces = np.empty(int(begins[-1]), dtype=np.int64)
        _network.into_buckets(a[0], a[1], a[2], a[3], x0, y0, side, nx, ny, 1, begins[1:].copy(), pieces)
        return x0, y0, side, nx, ny, begins, pieces

    def snap(self, x: Any, y: Any, *, limit: float = 100.0, threads: int | None = None) -> Placed:
        """Each point on its nearest segment within ``limit`` metres; of equally near ones the lower number.

        Args:
            x, y: metres on this network's plane, shape (n,); NaN stays unplaced.

        Raises:
            BadInput: the limit is no positive length.

        Cost: O(n x pieces near a point); a million points in about a second.
        """
        if not (isinstance(limit, (int, float)) and 0 < limit < math.inf):
            raise BadInput(f"limit={limit!r} does not do; give metres above 0, e.g. 100.")
        px, py = (np.ascontiguousarray(v, dtype=np.float64).ravel() for v in (x, y))
        n = len(px)
        piece, part, far = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
        first, along = self._pieces
        x0, y0, side, nx, ny, begins, pieces = self._buckets
        ax, ay, bx, by = (np.ascontiguousarray(v[first + k]) for k in (0, 1) for v in (self.vx, self.vy))

        def some(bounds: tuple[int, int]) -> None:
            _network.nearest(px, py, *bounds, float(limit), ax, ay, bx, by, x0, y0, side, nx, ny, begins, pieces, piece, part, far)

        each(some, _parts(n), threads=threads)
        found = piece >= 0
        vertex = first[np.maximum(piece, 0)]
        segment = np.searchsorted(self.starts, vertex, side="right") - 1
        metres = along[vertex] + part * (along[np.minimum(vertex + 1, len(along) - 1)] - along[vertex])
        at = np.where(found, np.clip(metres / self.length[segment], 0.0, 1.0), 0.0)
        return Placed(np.where(found, segment, -1).astype(np.int64), at, np.where(found, far, math.inf), float(limit))

    def place(self, frame: pl.DataFrame, *, limit: float = 100.0) -> Placed:
        """The rows of a frame with lon and lat on their nearest segments; see ``snap``."""
        return self.snap(*self.plane.to_metres(*positions(frame)), limit=limit)

    def spots(self, segment: Ints, at: Floats) -> tuple[Floats, Floats]:
        """(x, y) in metres of places on the network. O(n log vertices)."""
        _, along = self._pieces
        rise = along + np.repeat(np.concatenate([[0.0], np.cumsum(self.length + 1.0)[:-1]]), np.diff(self.starts))  # one rising run over all segments
        wanted = rise[self.starts[segment]] + at * self.length[segment]
        return np.interp(wanted, rise, self.vx), np.interp(wanted, rise, self.vy)

    def _costs(self, cost: Floats | None, one_way: bool) -> tuple[Floats, np.ndarray[Any, np.dtype[np.uint8]]]:
        each_one = self.length if cost is None else np.ascontiguousarray(cost, dtype=np.float64)
        if each_one.shape != (len(self),) or not bool(np.all(np.isfinite(each_one) & (each_one >= 0))):
            raise BadInput(f"A cost for each of the {len(self)} segments is needed, none below 0; {each_one.shape} was given, or some are negative or missing.")
        return each_one, self.way if one_way else np.ones(2 * len(self), dtype=np.uint8)

    def seconds(self, default: float = 11.0) -> Floats:
        """Driving time of each segment at its signed speed, ``default`` (metres a second) where none is signed; a cost for ``reach`` and ``distances``."""
        return self.length / np.where(self.speed > 0, self.speed, default)

    def pairs(self, placed: Placed, within: float, *, threads: int | None = None) -> tuple[Ints, Ints, Floats]:
        """Pairs of places within a distance along the streets, both ways allowed: (i, j, metres) with i < j, in order. Cost: n bounded searches.

        Raises:
            BadInput: the distance is no positive length.
        """
        return self._between(placed, placed, within, None, False, True, threads)

    def distances(self, sources: Placed, targets: Placed, within: float, *, cost: Floats | None = None, one_way: bool = False,
                  threads: int | None = None) -> tuple[Ints, Ints, Floats]:
        """(source, target, cost) of every target that is reached from a source at a cost of at most ``within``, in order.

        Args:
            cost: one a segment (``seconds()`` for driving time); None = metres.
            one_way: streets are used only in their direction.

        Raises:
            BadInput: ``within`` is not above 0, or costs do not fit.
        """
        return self._between(sources, targets, within, cost, one_way, False, threads)

    def reach(self, sources: Placed, within: float, *, cost: Floats | None = None, one_way: bool = False,
              threads: int | None = None) -> tuple[Ints, Ints, Floats]:
        """(source, corner, cost) of every corner reached at a cost of at most ``within``, in order; arguments as for ``distances``."""
        price, way = self._costs(cost, one_way)
        first, leaving = self.adjacency

        def some(bounds: tuple[int, int], scratch: list[Any], out: tuple[Any, ...], used: Ints) -> int:
            far, touched, keys, items, _ = scratch
            return int(_network.nodes_within(sources.segment, sources.at, *bounds, self.head, first, leaving, price, way, _above(within), far, touched, keys,
                                             items, *out, used))

        return self._gathered(len(sources), some, threads)

    def _between(self, sources: Placed, targets: Placed, within: float, cost: Floats | None, one_way: bool, later: bool,
                 threads: int | None) -> tuple[Ints, Ints, Floats]:
        price, way = self._costs(cost, one_way)
        first, leaving = self.adjacency
        on = np.flatnonzero(targets.segment >= 0)
        target = on[np.argsort(targets.segment[on], kind="stable")].astype(np.int64)
        by_segment = np.concatenate([[0], np.cumsum(np.bincount(targets.segment[on], minlength=len(self)))]).astype(np.int64)

        def some(bounds: tuple[int, int], scratch: list[Any], out: tuple[Any, ...], used: Ints) -> int:
            far, touched, keys, items, seen = scratch
            return int(_network.between(sources.segment, sources.at, *bounds, int(later), by_segment, target, targets.at, self.head, first, leaving, price, way,
                                        _above(within), far, touched, keys, items, seen, *out, used))

        return self._gathered(len(sources), some, threads)

    def _gathered(self, n: int, some: Any, threads: int | None) -> tuple[Ints, Ints, Floats]:
        """What ``some`` finds for all places, part by part; each part has scratch of its own."""
        nodes, edges = len(self.x), len(self)

        def run(bounds: tuple[int, int]) -> list[tuple[Ints, Ints, Floats]]:
            scratch = [np.full(nodes, math.inf), np.empty(nodes, dtype=np.int64), np.empty(2 * edges + 4), np.empty(2 * edges + 4, dtype=np.int64),
                       np.zeros(edges, dtype=np.int64)]
            at, room, found, used = bounds[0], _ROOM, [], np.zeros(2, dtype=np.int64)
            while at < bounds[1]:
                out = (np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64), np.empty(room))
                at = some((at, bounds[1]), scratch, out, used)
                found.append((out[0][: used[0]].copy(), out[1][: used[0]].copy(), out[2][: used[0]].copy()))
                room = max(min(2 * room, 1 << 22), int(used[1]))
            return found

        parts = [p for block in each(run, _parts(n), threads=threads) for p in block]
        if not parts:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
        i, j, d = (np.concatenate([p[k] for p in parts]) for k in range(3))
        order = np.lexsort((j, i))
        return i[order], j[order], d[order]

    def paths(self, segments: Any = None) -> list[Floats]:
        """(lon, lat) of some segments' vertices (all by default), each of shape (k, 2)."""
        lon, lat = self.plane.to_degrees(self.vx, self.vy)
        every = np.stack([lon, lat], axis=1)
        return [every[self.starts[s] : self.starts[s + 1]] for s in (range(len(self)) if segments is None else np.asarray(segments).tolist())]


def _above(within: float) -> float:
    if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0 < within < math.inf:
        raise BadInput(f"within={within!r} does not do; give a distance (or cost) above 0.")
    return float(within)


def _parts(n: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, n, min(_BLOCKS, max(1, n // 256)) + 1).astype(int).tolist()
    return [(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]


def _lines(texts: pl.Series) -> tuple[Floats, Floats, Ints]:
    """(lon, lat) of all vertices and where each row's begin; a row that holds no usable line has none."""
    shape = pl.Struct({"type": pl.String, "coordinates": pl.List(pl.List(pl.Float64))})
    try:
        lines = texts.cast(pl.String).str.json_decode(shape).struct
        points = lines.field("coordinates").set(lines.field("type") != "LineString", None) if len(texts) else lines.field("coordinates")
        counts = points.list.len().fill_null(0).to_numpy().astype(np.int64)
        flat = points.drop_nulls().explode(empty_as_null=False) if counts.sum() else pl.Series([], dtype=pl.List(pl.Float64))
        lon, lat = (flat.list.get(k, null_on_oob=True).fill_null(math.nan).to_numpy() for k in (0, 1))
    except pl.exceptions.PolarsError:
        found = [geometry.usable(t, ("LineString",)) for t in texts.to_list()]
        rows = [np.array([p[:2] for p in f["coordinates"]], dtype=float) if f else np.empty((0, 2)) for f in found]
        counts = np.array([len(r) for r in rows], dtype=np.int64)
        every = np.concatenate(rows) if rows else np.empty((0, 2))
        lon, lat = every[:, 0].copy(), every[:, 1].copy()
    return lon, lat, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _lengths(vx: Floats, vy: Floats, starts: Ints) -> Floats:
    """Metres along each run of vertices; NaN for one with fewer than two."""
    if not len(vx):
        return np.full(len(starts) - 1, math.nan)
    step = np.hypot(np.diff(vx, prepend=vx[0]), np.diff(vy, prepend=vy[0]))
    step[starts[:-1][np.diff(starts) > 0]] = 0.0
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    out: Floats = np.bincount(row, weights=step, minlength=len(starts) - 1).astype(float)
    out[np.diff(starts) < 2] = math.nan
    return out


def _taken(vx: Floats, vy: Floats, starts: Ints, rows: Ints) -> tuple[Floats, Floats, Ints]:
    keep = np.zeros(len(starts) - 1, dtype=bool)
    keep[rows] = True
    use = np.repeat(keep, np.diff(starts))
    return vx[use], vy[use], np.concatenate([[0], np.cumsum(np.diff(starts)[rows])]).astype(np.int64)


def _corners(vx: Floats, vy: Floats, starts: Ints, snap: float) -> tuple[Floats, Floats, Ints]:
    """(x, y) of the corners and, in turn, the first and last corner of each segment."""
    ends = np.stack([starts[:-1], starts[1:] - 1], axis=1).ravel()
    spots, which = np.unique(np.stack([vx[ends], vy[ends]], axis=1), axis=0, return_inverse=True)
    x, y = np.ascontiguousarray(spots[:, 0]), np.ascontiguousarray(spots[:, 1])
    root = np.arange(len(x), dtype=np.int64)
    if snap > 0:
        _network.merge(x, y, np.arange(len(x), dtype=np.int64), snap, root)  # np.unique has sorted by x
    roots, number = np.unique(root, return_inverse=True)
    return x[roots], y[roots], number[which.ravel()].astype(np.int64)


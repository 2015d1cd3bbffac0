"""Streets: main roads on the mesh, river drives, the bypass, and each quarter's own grid, with shared vertices where they cross.

Two streets meet where, and only where, they share a vertex: so the bypass passes over without touching except at its interchanges, and
a router can split every line at shared vertices. A piece of road over the river is a feature of its own with ``bridge`` set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .ground import BRIDGES, BYPASS_BRIDGE, COLUMN_ROADS, QUARTER, ROW_ROADS, Ground
from .names import street_names
from .plane import Bools, Floats, Ints, along, at, band, beside, inside, sampled, simplify, stream, to_line

#: Quarter -> spacing of its streets along and across (m), turn (degrees; None = as the mesh lies), share of streets left out, waviness (m).
_STYLE = {
    "downtown": (118, 150, -20.0, 0.0, 0.0),
    "old": (112, 165, -20.0, 0.03, 0.0),
    "inner": (140, 215, None, 0.05, 0.0),
    "industrial": (330, 420, None, 0.1, 0.0),
    "suburb": (175, 300, None, 0.12, 28.0),
    "fields": (560, 640, 0.0, 0.28, 18.0),
}
_RANK = {"motorway": 0, "primary": 1, "secondary": 2, "residential": 3}


@dataclass(frozen=True)
class Street:
    """One street, or one piece of it between places where it is cut. ``line`` is in metres."""

    name: str
    kind: str
    line: Floats
    bridge: bool = False
    face: tuple[int, int] | None = None


def make(ground: Ground) -> list[Street]:
    """All streets, noded and simplified, main roads first."""
    mains = _mains(ground)
    local = _local(ground)
    return _meet([*mains, *local])


def _runs(line: Floats, keep: Bools) -> list[Floats]:
    """The stretches of a line where ``keep`` holds at its vertices, of two vertices or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    return [line[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _beyond(line: Floats, start: float, end: float) -> Floats:
    """The line made longer at both ends, straight on."""
    a, b = line[0] - line[1], line[-1] - line[-2]
    return np.vstack([line[0] + a / np.hypot(*a) * start, line, line[-1] + b / np.hypot(*b) * end])


def _mains(ground: Ground) -> list[Street]:
    """Main roads along rows and columns, both river drives, the bypass; bridges cut out."""
    streets: list[Street] = []
    for row, (name, kind) in ROW_ROADS.items():
        streets.append(Street(name, kind, _beyond(ground.rows[row], 900, 900)))
    for column, (name, kind) in COLUMN_ROADS.items():
        line = sampled(_beyond(ground.columns[column], 700, 700), 15)
        wet = inside(ground.river_ring, line)
        spots = np.flatnonzero(wet)
        if column in BRIDGES:
            a, b = spots[0] - 3, spots[-1] + 4
            streets += [Street(name, kind, line[: a + 1]), Street(BRIDGES[column], kind, line[a:b], True), Street(name, kind, line[b - 1 :])]
        else:
            streets += [Street(name, kind, run) for run in _runs(line, to_line(ground.river, line) > 168)]
    for side, name in ((1.0, "North River Drive"), (-1.0, "South River Drive")):
        drive = sampled(beside(sampled(ground.river, 90), side * 178), 60)
        streets.append(Street(name, "secondary", drive[(drive[:, 0] > -4620) & (drive[:, 0] < 4080)]))
    line = sampled(ground.bypass, 15)
    spots = np.flatnonzero(inside(ground.river_ring, line))
    a, b = spots[0] - 4, spots[-1] + 5
    for piece, over in ((line[: a + 1], False), (line[a:b], True), (line[b - 1 :], False)):
        streets.append(Street(BYPASS_BRIDGE if over else "Fairwater Bypass", "motorway", piece, over))
    return [replace(s, line=_within(simplify(s.line, 1.5), ground)) for s in streets]


def _within(line: Floats, ground: Ground) -> Floats:
    return line[(np.abs(line[:, 0]) < 7100) & (np.abs(line[:, 1]) < 5300)]


def _turn(face: tuple[int, int], ground: Ground) -> float:
    """How a quarter lies, degrees: the lean of its southern main road, softened."""
    row = ground.rows[face[0]]
    ring = ground.faces[face]
    part = row[(row[:, 0] >= ring[:, 0].min()) & (row[:, 0] <= ring[:, 0].max())]
    d = part[-1] - part[0]
    return round(0.8 * math.degrees(math.atan2(d[1], d[0])) / 4) * 4.0


def _local(ground: Ground) -> list[Street]:
    """Each quarter's own streets, cut at its main roads, the river, parks and the bypass."""
    rng = stream("streets")
    names = iter(street_names())
    shut = [*ground.parks.values(), ground.lake, band(simplify(ground.river, 2), 372), band(simplify(ground.bypass, 2), 124)]
    streets: list[Street] = []
    known: dict[tuple[str, float, int], str] = {}
    for face in sorted(ground.faces):
        quarter = QUARTER.get(face, "suburb")
        a, b, fixed, out, wave = _STYLE[quarter]
        turn = _turn(face, ground) if fixed is None else fixed
        ring = simplify(ground.faces[face], 0.5)
        centre = np.zeros(2) if fixed is not None and quarter != "fields" else ring.mean(axis=0)
        for across, gap in ((False, a), (True, b)):
            for k, line in _rulings(ring, centre, turn, gap, across, wave, rng):
                drop = rng.random(3)
                if drop[0] < out:
                    continue
                runs = _clear(line, ring, shut, bool(drop[1] < 0.5) if quarter in ("suburb", "fields") else None)
                shared = (("across" if across else "along"), turn, k) if quarter in ("downtown", "old") else None
                for run in runs:
                    name = known.get(shared) if shared else None
                    if name is None:
                        name = _ordinal(k, across) if quarter == "downtown" or (shared and across and _ordinal(k, across)) else ""
                        name = name or f"{next(names)} {_suffix(across, quarter, rng)}"
                        if shared:
                            known[shared] = name
                    streets.append(Street(name, "residential", run, False, face))
    return streets


def _ordinal(k: int, across: bool) -> str:
    """Cross streets of the old town are numbered from the west."""
    n = k + 15
    if not across or not 1 <= n <= 29:
        return ""
    return f"{n}{'th' if 10 < n % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')} Street"


def _suffix(across: bool, quarter: str, rng: np.random.Generator) -> str:
    if quarter in ("downtown", "old", "inner"):
        return "Avenue" if across else "Street"
    if quarter == "industrial":
        return "Way"
    return str(rng.choice(["Drive", "Lane", "Court", "Road", "Place"] if quarter == "suburb" else ["Road", "Lane"]))


def _rulings(ring: Floats, centre: Floats, turn: float, gap: float, across: bool, wave: float, rng: np.random.Generator) -> list[tuple[int, Floats]]:
    """Parallel lines (bent by up to ``wave`` m) over a face, with their number counted from ``centre``."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    u, v = np.array([c, s]), np.array([-s, c])
    if across:
        u, v = v, -u
    far = ring - centre
    low, high = int(np.ceil((far @ v).min() / gap)), int(np.floor((far @ v).max() / gap))
    t = np.arange((far @ u).min() - 30, (far @ u).max() + 30, 4.0)
    out = []
    for k in range(low, high + 1):
        phase, jitter = rng.random(2)
        bend = wave * np.sin(t / 210 + 6.28 * phase) if wave else np.zeros(len(t))
        offset = gap * (k + (0.24 * (jitter - 0.5) if wave else 0.0))
        out.append((k, centre + t[:, None] * u + (offset + bend)[:, None] * v))
    return out


def _clear(line: Floats, ring: Floats, shut: list[Floats], cut: bool | None) -> list[Floats]:
    """What of a line may be built: inside its face and outside every ring of ``shut``. ``cut`` shortens one end (a cul-de-sac)."""
    free = inside(ring, line)
    for closed in shut:
        free &= ~inside(closed, line)
    runs = []
    for run in _runs(line, free):
        if cut is not None and len(run) > 120:
            run = run[int(len(run) * 0.22) :] if cut else run[: int(len(run) * 0.8)]
        if (len(run) - 1) * 4 < 70:
            continue
        runs.append(_beyond(simplify(run, 2.5), 20, 20))
    return runs


def _crossings(streets: list[Street]) -> list[list[tuple[float, int, Floats]]]:
    """For each street its crossings: (distance along, other street, point)."""
    seg_a = np.vstack([s.line[:-1] for s in streets])
    seg_b = np.vstack([s.line[1:] for s in streets])
    owner = np.repeat(np.arange(len(streets)), [len(s.line) - 1 for s in streets])
    low, high = np.minimum(seg_a, seg_b), np.maximum(seg_a, seg_b)
    first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(streets)))])
    out: list[list[tuple[float, int, Floats]]] = [[] for _ in streets]
    runs = [along(s.line) for s in streets]
    for i, street in enumerate(streets):
        for k in range(len(street.line) - 1):
            p, r = street.line[k], street.line[k + 1] - street.line[k]
            lo, hi = np.minimum(p, p + r), np.maximum(p, p + r)
            near = np.flatnonzero((low[:, 0] <= hi[0]) & (high[:, 0] >= lo[0]) & (low[:, 1] <= hi[1]) & (high[:, 1] >= lo[1]) & (owner > i))
            if not len(near):
                continue
            q, s = seg_a[near], seg_b[near] - seg_a[near]
            cross = r[0] * s[:, 1] - r[1] * s[:, 0]
            with np.errstate(divide="ignore", invalid="ignore"):
                t = ((q[:, 0] - p[0]) * s[:, 1] - (q[:, 1] - p[1]) * s[:, 0]) / cross
                w = ((q[:, 0] - p[0]) * r[1] - (q[:, 1] - p[1]) * r[0]) / cross
            for n in np.flatnonzero((np.abs(cross) > 1e-9) & (t >= -1e-9) & (t <= 1 + 1e-9) & (w >= -1e-9) & (w <= 1 + 1e-9)):
                j, point = int(owner[near[n]]), p + t[n] * r
                if "motorway" in (street.kind, streets[j].kind) and "primary" not in (street.kind, streets[j].kind) and street.kind != streets[j].kind:
                    continue  # passes over
                back = near[n] - first[j]
                out[i].append((float(runs[i][k] + t[n] * np.hypot(*r)), j, point))
                out[j].append((float(runs[j][back] + w[n] * np.hypot(*s[n])), i, point))
    return out


def _meet(streets: list[Street]) -> list[Street]:
    """Give crossing streets a shared vertex, cut off stubs behind the last crossing, drop pieces that meet nothing."""
    out = []
    for street, found in zip(streets, _crossings(streets), strict=True):
        if not found:
            continue
        length = float(along(street.line)[-1])
        found.sort(key=lambda c: c[0])
        start, end = (found[0][0] if found[0][0] < 45 else 0.0), (found[-1][0] if length - found[-1][0] < 45 else length)
        if street.kind != "residential":
            start, end = (found[0][0] if found[0][0] < 25 else 0.0), (found[-1][0] if length - found[-1][0] < 25 else length)
        if end - start < 40:
            continue
        line = _with_vertices(street.line, [c for c in found if start <= c[0] <= end], start, end)
        out.append(replace(street, line=np.round(line, 2)))
    return out


def _with_vertices(line: Floats, found: list[tuple[float, int, Floats]], start: float, end: float) -> Floats:
    """The stretch of a line between two distances, its own bends and the crossings as vertices."""
    d = along(line)
    own = [(float(x), p) for x, p in zip(d, line, strict=True) if start < x < end and all(abs(x - c[0]) > 4 for c in found)]
    ends = [(x, at(line, [x])[0]) for x in (start, end) if all(abs(x - c[0]) > 1e-6 for c in found)]
    points = sorted([*own, *ends, *[(c[0], c[2]) for c in found]], key=lambda c: c[0])
    kept = [points[0][1]]
    for _, p in points[1:]:
        if np.abs(p - kept[-1]).max() > 0.02:
            kept.append(p)
    return np.array(kept)


@dataclass(frozen=True)
class Roads:
    """The main roads as a graph for traffic: nodes (x, y), directed edges with length (m), time (s) and the street they run on."""

    nodes: Floats
    source: Ints
    target: Ints
    metres: Floats
    seconds: Floats
    street: Ints
    points: list[Floats]


def roads(streets: list[Street]) -> Roads:
    """Main roads split where they share vertices with one another."""
    mains = [i for i, s in enumerate(streets) if _RANK[s.kind] < 3]
    uses: dict[tuple[float, float], set[int]] = {}
    for i in mains:
        for x, y in streets[i].line:
            uses.setdefault((float(x), float(y)), set()).add(i)
        for x, y in streets[i].line[[0, -1]]:
            uses[(float(x), float(y))].add(-1)
    number: dict[tuple[float, float], int] = {}
    rows: list[tuple[int, int, float, float, int, Floats]] = []
    speed = {"motorway": 29.0, "primary": 15.5, "secondary": 12.0}
    for i in mains:
        line = streets[i].line
        stops = [k for k, (x, y) in enumerate(line) if len(uses[(float(x), float(y))]) > 1]
        for a, b in zip(stops[:-1], stops[1:], strict=True):
            part = line[a : b + 1]
            u, v = (number.setdefault((float(p[0]), float(p[1])), len(number)) for p in (part[0], part[-1]))
            metres = float(along(part)[-1])
            seconds = metres / speed[streets[i].kind] + (4.0 if streets[i].kind != "motorway" else 0.0)
            rows += [(u, v, metres, seconds, i, part), (v, u, metres, seconds, i, part[::-1])]
    sources, targets, lengths, times, ways, points = zip(*rows, strict=True)
    return Roads(np.array(list(number)), np.array(sources), np.array(targets), np.array(lengths), np.array(times), np.array(ways), list(points))

"""The flat metre plane the city is drawn on, its way to degrees, and the little geometry it needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

#: Where metre 0, 0 lies. The city is made up; the fields there are real.
LAT0, LON0 = 41.60, -90.90
SEED = 20260701
_STAGES = ("ground", "streets", "places", "blocks", "incidents", "series", "calls", "traffic", "reads", "records", "dirt", "names", "descriptions")

_A, _E2 = 6378137.0, 0.0066943799901413165
_S2 = math.sin(math.radians(LAT0)) ** 2
NORTH = math.radians(1) * _A * (1 - _E2) / (1 - _E2 * _S2) ** 1.5
EAST = math.radians(1) * _A / math.sqrt(1 - _E2 * _S2) * math.cos(math.radians(LAT0))


def stream(stage: str, seed: int = SEED) -> np.random.Generator:
    """The random stream of one stage. A new stage is put at the end of the list, so that the others keep theirs."""
    return np.random.default_rng([seed, _STAGES.index(stage)])


def degrees(xy: Floats) -> Floats:
    """Metres, shape (n, 2), to (lon, lat) rounded to 6 decimals (about 0.1 m)."""
    return np.round(np.column_stack([xy[:, 0] / EAST + LON0, xy[:, 1] / NORTH + LAT0]), 6)


def curve(points: Any, step: float = 40.0) -> Floats:
    """A smooth line through the points (centripetal Catmull-Rom), one vertex about every ``step`` metres."""
    p = np.asarray(points, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    out = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        t = np.cumsum([0.0, *(math.sqrt(math.dist(u, v)) or 1e-6 for u, v in ((a, b), (b, c), (c, d)))])
        n = max(1, round(math.dist(b, c) / step))
        s = np.linspace(t[1], t[2], n, endpoint=False)[:, None]
        ab = (t[1] - s) / (t[1] - t[0]) * a + (s - t[0]) / (t[1] - t[0]) * b
        bc = (t[2] - s) / (t[2] - t[1]) * b + (s - t[1]) / (t[2] - t[1]) * c
        cd = (t[3] - s) / (t[3] - t[2]) * c + (s - t[2]) / (t[3] - t[2]) * d
        abc = (t[2] - s) / (t[2] - t[0]) * ab + (s - t[0]) / (t[2] - t[0]) * bc
        bcd = (t[3] - s) / (t[3] - t[1]) * bc + (s - t[1]) / (t[3] - t[1]) * cd
        out.append((t[2] - s) / (t[2] - t[1]) * abc + (s - t[1]) / (t[2] - t[1]) * bcd)
    return np.vstack([*out, p[-2][None]])


def along(line: Floats) -> Floats:
    """Distance from the start at every vertex, metres."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def at(line: Floats, distance: Any) -> Floats:
    """Points at given distances along a line, shape (n, 2)."""
    d = along(line)
    return np.column_stack([np.interp(distance, d, line[:, 0]), np.interp(distance, d, line[:, 1])])


def sampled(line: Floats, step: float) -> Floats:
    """The line with evenly spaced vertices no further apart than ``step``."""
    length = along(line)[-1]
    return at(line, np.linspace(0, length, max(2, int(length // step) + 2)))


def normals(line: Floats) -> Floats:
    """Unit vectors to the left of travel at every vertex."""
    t = np.gradient(line, axis=0)
    t /= np.hypot(t[:, 0], t[:, 1])[:, None]
    return np.column_stack([-t[:, 1], t[:, 0]])


def beside(line: Floats, distance: float) -> Floats:
    """The line moved to its left (right if negative)."""
    return line + normals(line) * distance


def band(line: Floats, width: Any) -> Floats:
    """Closed ring around a line; ``width`` in metres, one value or one a vertex."""
    half = np.broadcast_to(np.asarray(width, dtype=float) / 2, (len(line),))[:, None] * normals(line)
    ring = np.vstack([line + half, (line - half)[::-1]])
    return np.vstack([ring, ring[:1]])


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0, wobble: float = 0.0, n: int = 40) -> Floats:
    """Closed ring of an ellipse, turned by ``turn`` degrees; ``wobble`` makes its edge uneven."""
    a = np.linspace(0, 2 * np.pi, n + 1)
    r = 1 + wobble * (np.sin(3 * a + 1) + 0.6 * np.sin(5 * a + 2))
    u, v = rx * r * np.cos(a), ry * r * np.sin(a)
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    ring = np.column_stack([x + u * c - v * s, y + u * s + v * c])
    ring[-1] = ring[0]
    return ring


def inside(ring: Floats, xy: Floats) -> Bools:
    """Which points lie inside a closed ring (even-odd rule). O(points near x edges)."""
    out = np.zeros(len(xy), dtype=bool)
    low, high = ring.min(axis=0), ring.max(axis=0)
    near = np.flatnonzero(((xy >= low) & (xy <= high)).all(axis=1))
    if not len(near):
        return out
    px, py = xy[near, 0][:, None], xy[near, 1][:, None]
    x1, y1, x2, y2 = ring[:-1, 0], ring[:-1, 1], ring[1:, 0], ring[1:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        crosses = ((y1 > py) != (y2 > py)) & (px < (x2 - x1) * (py - y1) / (y2 - y1) + x1)
    out[near] = crosses.sum(axis=1) % 2 == 1
    return out


def to_line(line: Floats, xy: Floats) -> Floats:
    """Distance of each point to a line, metres. O(points x segments)."""
    a, d = line[:-1], np.diff(line, axis=0)
    t = ((xy[:, None, :] - a) * d).sum(axis=2) / np.maximum((d * d).sum(axis=1), 1e-9)
    foot = a + np.clip(t, 0, 1)[:, :, None] * d
    return np.asarray(np.hypot(*np.moveaxis(xy[:, None, :] - foot, 2, 0)).min(axis=1))


def simplify(line: Floats, tolerance: float) -> Floats:
    """Douglas-Peucker: fewer vertices, nowhere further than ``tolerance`` metres from the line given."""
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, -1]] = True
    stack = [(0, len(line) - 1)]
    while stack:
        i, j = stack.pop()
        if j - i < 2:
            continue
        away = to_line(line[[i, j]], line[i + 1 : j])
        k = int(away.argmax())
        if away[k] > tolerance:
            keep[i + 1 + k] = True
            stack += [(i, i + 1 + k), (i + 1 + k, j)]
    return line[keep]

"""The lie of the land: river, lake, parks, and the mesh of main roads whose fields become neighbourhoods and beats.

The mesh has 10 lines up (columns, west to east) and 8 lines across (rows, south to north); row 3 is the river. A *face* (band, column) is
the field between two rows and two columns. Main roads, beats and quarters all follow the same lines, so borders lie on streets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .plane import Floats, band, curve, ellipse

RIVER_ROW = 3
_X = np.array([-6000, -4600, -3400, -2300, -1100, 100, 1200, 2300, 3300, 4400, 5300, 6000], dtype=float)
_ROWS = np.array(
    [
        [-4500, -4500, -4450, -4400, -4450, -4500, -4550, -4550, -4500, -4500, -4500, -4500],  # city limit, south
        [-1450, -1550, -1650, -1900, -2150, -2350, -2650, -3050, -3300, -3420, -3450, -3450],
        [500, 520, 240, -330, -760, -1150, -1600, -2200, -2720, -2860, -2700, -2600],
        [1560, 2060, 1640, 720, 230, -200, -600, -1250, -2010, -2080, -1420, -1180],  # the river
        [2620, 2720, 2450, 1750, 1180, 800, 400, -80, -560, -700, -480, -320],
        [3300, 3360, 3220, 2720, 2150, 1750, 1380, 1000, 760, 660, 650, 700],
        [3950, 3960, 3900, 3600, 3200, 2950, 2720, 2470, 2320, 2260, 2250, 2250],
        [4500, 4500, 4500, 4480, 4450, 4500, 4520, 4500, 4500, 4480, 4500, 4500],  # city limit, north
    ],
    dtype=float,
)
_COLUMNS = (-6000, -4560, -3300, -2200, -1180, -150, 900, 2250, 4050, 6000)

#: Rows and columns that carry a main road, with its name and class. Columns that do not cross end at the river.
ROW_ROADS = {
    1: ("Prairie Road", "secondary"),
    2: ("Southgate Avenue", "primary"),
    4: ("Founders Avenue", "primary"),
    5: ("Linden Avenue", "primary"),
    6: ("Northfield Road", "secondary"),
}
COLUMN_ROADS = {
    1: ("Quarry Road", "secondary"),
    2: ("Orchard Road", "secondary"),
    3: ("Ferry Road", "primary"),
    4: ("Granary Street", "secondary"),
    5: ("Kestrel Street", "primary"),
    6: ("Assembly Street", "secondary"),
    7: ("Stonemill Road", "primary"),
    8: ("Larkspur Road", "secondary"),
}
#: Column -> name of its bridge. The fourth bridge is the bypass's.
BRIDGES = {3: "Ferry Bridge", 5: "Kestrel Bridge", 7: "Stonemill Bridge"}
BYPASS_BRIDGE = "Bypass Bridge"
BYPASS = [
    (-7000, -2300),
    (-6000, -2480),
    (-4800, -2440),
    (-3400, -2620),
    (-2000, -3030),
    (-600, -3330),
    (900, -3560),
    (2400, -3900),
    (3700, -4020),
    (4600, -3780),
    (5080, -3100),
    (5200, -2200),
    (5120, -1300),
    (5010, -300),
    (4960, 700),
    (5060, 1700),
    (4980, 2700),
    (4560, 3500),
    (4300, 4300),
    (4260, 5000),
]

#: Beat -> the faces it is made of (band, column); the first digit is the district.
BEATS = {
    "101": [(3, 3)],
    "102": [(3, 4)],
    "103": [(3, 5)],
    "104": [(3, 6)],
    "105": [(4, 3)],
    "106": [(4, 4)],
    "107": [(4, 5)],
    "108": [(4, 6)],
    "201": [(3, 0), (3, 1)],
    "202": [(3, 2)],
    "203": [(4, 0), (5, 0), (6, 0)],
    "204": [(4, 1), (5, 1), (6, 1)],
    "205": [(4, 2), (5, 2)],
    "206": [(5, 3), (5, 4)],
    "207": [(6, 2), (6, 3), (6, 4)],
    "301": [(3, 7)],
    "302": [(3, 8), (4, 8)],
    "303": [(4, 7)],
    "304": [(5, 5), (5, 6)],
    "305": [(5, 7), (5, 8)],
    "306": [(6, 5), (6, 6), (6, 7)],
    "401": [(2, 0), (2, 1)],
    "402": [(2, 2)],
    "403": [(2, 3)],
    "404": [(2, 4)],
    "405": [(2, 5), (2, 6)],
    "406": [(2, 7), (2, 8), (1, 8)],
    "407": [(1, 0), (1, 1)],
    "408": [(1, 2), (1, 3)],
    "409": [(1, 4), (1, 5)],
    "410": [(1, 6), (1, 7)],
    "411": [(0, 1), (0, 2), (0, 3)],
    "412": [(0, 4), (0, 5), (0, 6), (0, 7)],
}
DISTRICTS = {"1": "Central", "2": "North", "3": "East", "4": "South"}

#: Quarter (style of building) of each face; what is not named is "suburb".
_QUARTERS = {
    "downtown": [(3, 4), (3, 5), (4, 4), (4, 5)],
    "old": [(3, 3), (3, 6), (4, 3), (4, 6), (2, 4), (2, 5)],
    "inner": [(5, 3), (5, 4), (5, 5), (5, 6), (2, 3), (3, 2), (4, 2), (3, 7), (4, 7), (1, 3), (1, 4), (1, 5)],
    "industrial": [(2, 6), (2, 7), (1, 6)],
    "fields": [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (1, 0), (1, 8), (6, 0), (5, 8), (2, 8), (4, 8), (6, 7), (1, 7)],
}
QUARTER = {face: name for name, faces in _QUARTERS.items() for face in faces}


@dataclass(frozen=True)
class Ground:
    """River, lake, parks (rings by name), and the rings of faces, beats and the city limit; all in metres."""

    river: Floats
    river_ring: Floats
    lake: Floats
    parks: dict[str, Floats]
    rows: list[Floats]
    columns: list[Floats]
    faces: dict[tuple[int, int], Floats]
    beats: dict[str, Floats]
    limit: Floats
    bypass: Floats = field(repr=False)


@cache
def _control(i: int) -> Floats:
    return curve(np.column_stack([_X, _ROWS[i]]), 60)


def _row(i: int, x: Floats) -> Floats:
    """Height of row i at some x, smooth through its control points."""
    line = _control(i)
    return np.interp(x, line[:, 0], line[:, 1])


def _nodes() -> Floats:
    """Crossings of rows and columns, shape (8, 10, 2). Near the old town columns lean so that they meet the river square."""
    out = np.zeros((len(_ROWS), len(_COLUMNS), 2))

    def sway(j: int, y: float) -> float:  # country roads are not ruled with a straightedge
        return float((230 if j in (0, 9) else 95 if abs(_COLUMNS[j]) > 2500 else 45) * np.sin(y / 1350 + 1.9 * j))

    for j, x0 in enumerate(_COLUMNS):
        y0 = _row(RIVER_ROW, np.array([x0]))[0]
        lean = 0.37 * np.exp(-(((x0 + 100) / 2300) ** 2))
        for i in range(len(_ROWS)):
            x = float(x0)
            for _ in range(12):
                x = x0 + sway(j, _row(i, np.array([x]))[0]) + lean * float(np.clip(_row(i, np.array([x]))[0] - y0, -1700, 2100))
            out[i, j] = x, _row(i, np.array([x]))[0]
    return out


def _edge(line: Floats, a: Floats, b: Floats) -> Floats:
    """The part of a mesh line between two of its vertices, ends exact."""
    ia, ib = (int(np.hypot(*(line - p).T).argmin()) for p in (a, b))
    part = line[min(ia, ib) : max(ia, ib) + 1]
    return part if ia <= ib else part[::-1]


def _mesh() -> tuple[list[Floats], list[Floats], Floats]:
    """Row lines, column lines and crossings; crossings are vertices of both lines."""
    nodes = _nodes()
    rows = []
    for i in range(len(_ROWS)):
        own = np.sort(np.concatenate([np.arange(_X[0], _X[-1], 45.0), nodes[i, :, 0]]))
        line = np.column_stack([own, _row(i, own)])
        rows.append(line)
    return rows, [curve(nodes[:, j], 45) for j in range(len(_COLUMNS))], nodes


def _ring(cells: list[tuple[int, int]], rows: list[Floats], columns: list[Floats], nodes: Floats) -> Floats:
    """Outline of a union of faces: directed mesh edges, those used both ways cancel, the rest are chained."""
    edges: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    for b, c in cells:
        corner = [(b, c), (b, c + 1), (b + 1, c + 1), (b + 1, c)]
        for u, v in zip(corner, corner[1:] + corner[:1], strict=True):
            if (v, u) in edges:
                edges.remove((v, u))
            else:
                edges.add((u, v))
    follow = dict(sorted(edges))
    start = min(follow)
    at_node, ring = start, []
    while True:
        to = follow[at_node]
        line = rows[to[0]] if to[0] == at_node[0] else columns[to[1]]
        ring.append(_edge(line, nodes[at_node], nodes[to])[:-1])
        at_node = to
        if at_node == start:
            break
    closed = np.vstack(ring)
    return np.vstack([closed, closed[:1]])


def make() -> Ground:
    """Build the land. Nothing random: the land is drawn by hand."""
    rows, columns, nodes = _mesh()
    river = curve([(-7300, 900), *[(x, _ROWS[RIVER_ROW][k]) for k, x in enumerate(_X)], (7300, -1500)], 45)
    width = 170 + 45 * np.sin(np.linspace(0, 9, len(river))) + np.linspace(-20, 40, len(river))
    ring = band(river, width)
    island = ellipse(3450, -1930, 260, 52, -28, 0.05)
    lake = ellipse(-2560, 4120, 250, 110, -8, 0.09)
    parks = {
        "Heron Park": ellipse(-560, 290, 350, 165, -22, 0.03),
        "Courthouse Green": ellipse(420, 1050, 95, 75, -20),
        "Lakeside Park": ellipse(-2540, 4110, 460, 230, -8, 0.07),
        "Meadowlark Park": ellipse(-3900, 1150, 430, 260, -15, 0.08),
        "Fairground": ellipse(2060, 3170, 330, 270, 10, 0.04),
        "Southbank Common": ellipse(-950, -1200, 330, 210, -30, 0.06),
        "Cedar Hill Cemetery": ellipse(3150, 1450, 360, 260, 0, 0.03),
        "Island Reserve": island,
        "Tanager Woods": ellipse(3330, 3450, 380, 430, 20, 0.1),
        "Willow Bottoms": ellipse(4500, -2300, 420, 160, 15, 0.08),
        "Prairie Links": ellipse(-3000, -2250, 420, 230, -12, 0.09),
        "Memorial Field": ellipse(2050, 560, 230, 170, -10, 0.02),
    }
    faces = {cell: _ring([cell], rows, columns, nodes) for cells in BEATS.values() for cell in cells}
    beats = {name: _ring(cells, rows, columns, nodes) for name, cells in BEATS.items()}
    limit = _ring([cell for cells in BEATS.values() for cell in cells], rows, columns, nodes)
    return Ground(river, ring, lake, parks, rows, columns, faces, beats, limit, curve(BYPASS, 60))

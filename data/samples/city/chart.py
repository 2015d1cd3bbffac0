"""Files of places: beats of two editions of the map, districts, street pieces with house numbers and corners; and those of school and bulletins."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from . import bulletins, school
from .blocks import _SHORT, Blocks
from .dirt import Count
from .ground import BEATS, _edge, _mesh
from .plane import Floats, along, at, simplify
from .streets import Street
from .write import _feature, _geojson, packed

#: The map of beats that was redrawn: on this day beat 405 gave its eastern half to the new beat 413.
REDRAWN, FIRST_DAY, LAST_DAY = "2026-04-01", "2024-01-01", "2026-03-31"
SPLIT = {"405": [(2, 5)], "413": [(2, 6)]}
#: Signed speeds, miles an hour, and lanes.
_SPEED = {"motorway": 65, "primary": 35, "secondary": 30, "residential": 25}
_LANES = {"motorway": 4, "primary": 4, "secondary": 2, "residential": 2}


def write(out: Path, ways: list[Street], blocks: Blocks) -> dict[str, dict[str, int]]:
    """All files of places and bulletins; gives what a loader should count in each."""
    made = {
        "sample_boundaries.geojson": boundaries(out / "sample_boundaries.geojson"),
        "sample_streets.geojson.gz": streets(out / "sample_streets.geojson.gz", ways),
        "sample_floor_plan.geojson": school.plan(out / "sample_floor_plan.geojson"),
        "sample_closures.csv": bulletins.closures(out / "sample_closures.csv", blocks),
        "sample_events.csv": bulletins.events(out / "sample_events.csv"),
        "sample_alerts.xml": bulletins.alerts(out / "sample_alerts.xml"),
    }
    return {name: count.as_dict() for name, count in made.items()}


def boundaries(path: Path) -> Count:
    """Both editions of the beats and the districts; neighbours share their border vertex for vertex."""
    border = _Border()
    features = []
    for beats, since, until in ((BEATS, FIRST_DAY, LAST_DAY), ({**BEATS, **SPLIT}, REDRAWN, None)):
        for beat in sorted(beats):
            properties = {"kind": "beat", "name": beat, "district": beat[0], "valid_from": since, "valid_to": until}
            features.append(_feature("Polygon", border.ring(beats[beat]), **properties))
    for district in sorted({b[0] for b in BEATS}):
        cells = [cell for beat, faces in BEATS.items() if beat[0] == district for cell in faces]
        features.append(_feature("Polygon", border.ring(cells), kind="district", name=district, district=None, valid_from=FIRST_DAY, valid_to=None))
    _geojson(path, features)
    return Count(added=len(features))


class _Border:
    """The mesh with each of its edges simplified once, so that both neighbours get the same vertices."""

    def __init__(self) -> None:
        self.rows, self.columns, self.nodes = _mesh()
        self.known: dict[tuple[tuple[int, int], tuple[int, int]], Floats] = {}

    def edge(self, a: tuple[int, int], b: tuple[int, int]) -> Floats:
        """The border from one crossing of the mesh to the next."""
        if (a, b) not in self.known:
            low, high = min(a, b), max(a, b)
            line = self.rows[low[0]] if low[0] == high[0] else self.columns[low[1]]
            self.known[low, high] = simplify(_edge(line, self.nodes[low], self.nodes[high]), 1.5)
            self.known[high, low] = self.known[low, high][::-1]
        return self.known[a, b]

    def ring(self, cells: list[tuple[int, int]]) -> Floats:
        """The closed outline of some faces."""
        steps: set[tuple[tuple[int, int], tuple[int, int]]] = set()
        for b, c in cells:
            corner = [(b, c), (b, c + 1), (b + 1, c + 1), (b + 1, c)]
            for u, v in zip(corner, corner[1:] + corner[:1], strict=True):
                if (v, u) in steps:
                    steps.remove((v, u))
                else:
                    steps.add((u, v))
        follow = dict(sorted(steps))
        start = here = min(follow)
        parts = []
        while not parts or here != start:
            parts.append(self.edge(here, follow[here])[:-1])
            here = follow[here]
        closed = np.vstack(parts)
        return np.vstack([closed, closed[:1]])


def streets(path: Path, ways: list[Street]) -> Count:
    """Street pieces between corners, with house numbers as ``blocks`` gives them: even on the left, counted from the city's middle."""
    uses: Counter[tuple[float, float]] = Counter()
    for way in ways:
        uses.update(_key(p) for p in way.line)
        uses.update(_key(p) for p in way.line[[0, -1]])
    corner: dict[tuple[float, float], int] = {}
    features = []
    for way in ways:
        span = np.abs(way.line[-1] - way.line[0])
        axis = 0 if span[0] >= span[1] else 1
        numbered = not way.bridge and way.kind != "motorway"
        line = _with_zero(way.line, axis) if numbered else way.line
        stops = [k for k, p in enumerate(line) if uses[_key(p)] > 1 or (numbered and p[axis] == 0.0 and 0 < k < len(line) - 1) or k in (0, len(line) - 1)]
        for first, last in zip(stops[:-1], stops[1:], strict=True):
            piece = line[first : last + 1]
            ends = [corner.setdefault(_key(p), len(corner) + 1) for p in piece[[0, -1]]]
            properties: dict[str, Any] = {"TLID": f"{len(features) + 1:05d}", "FULLNAME": _name(way.name, _prefix(piece, axis) if numbered else "")}
            if numbered:
                low, high = (_number(float(piece[k, axis])) for k in (0, -1))
                low, high = (low, max(high - 2, low)) if high >= low else (max(low - 2, high), high)
                properties |= {"LFROMADD": low, "LTOADD": high, "RFROMADD": low + 1, "RTOADD": high + 1}
            properties |= {"class": way.kind, "speed": f"{_SPEED[way.kind]} mph", "lanes": _LANES[way.kind], "TNIDF": ends[0], "TNIDT": ends[1]}
            features.append(_feature("LineString", piece, **properties))
    text = path.with_name(f".{path.name}.txt")
    _geojson(text, features)
    packed(path, [text.read_text(encoding="utf-8")])
    text.unlink()
    return Count(added=len(features))


def _key(point: Floats) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _with_zero(line: Floats, axis: int) -> Floats:
    """The line with a vertex where it passes the city's middle axis, where the numbers begin anew on the other side."""
    away = line[:, axis]
    run = along(line)
    cuts = [run[k] + (run[k + 1] - run[k]) * away[k] / (away[k] - away[k + 1]) for k in range(len(line) - 1) if away[k] * away[k + 1] < 0]
    if not cuts:
        return line
    added = at(line, cuts)
    added[:, axis] = 0.0
    order = np.argsort(np.concatenate([run, cuts]), kind="stable")
    return np.vstack([line, np.round(added, 2)])[order]


def _number(reach: float) -> int:
    return 100 + 2 * int(abs(reach) / 5.2)


def _prefix(piece: Floats, axis: int) -> str:
    middle = float(at(piece, [along(piece)[-1] / 2])[0, axis])
    return ("W", "E")[middle >= 0] if axis == 0 else ("S", "N")[middle >= 0]


def _name(name: str, prefix: str) -> str:
    words = name.split()
    kind = _SHORT.get(words[-1])
    return " ".join([*([prefix] if prefix else []), *words[:-1], kind.title() if kind and kind != "WAY" else words[-1]])

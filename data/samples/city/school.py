"""The floor plan of one school of the made-up city: two floors of rooms along a corridor, doors, stairs, a lift and exits. Drawn by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .dirt import Count
from .places import PLACES
from .plane import Floats
from .write import _feature, _geojson

SCHOOL = "Southbank School"
#: Metres: the building's length and depth, the corridor between the rooms, the width of a stair well.
_LONG, _DEEP, _AISLE, _WELL = 66.0, 20.0, 4.0, 6.0
#: Floor -> rooms of the south and of the north side, west to east, with their widths.
_ROOMS = {
    "0": ([("Room 101", 9), ("Room 102", 9), ("Main office", 9), ("Nurse", 6), ("Library", 21)],
          [("Room 103", 9), ("Room 104", 9), ("Cafeteria", 24), ("Kitchen", 12)]),
    "1": ([("Room 201", 9), ("Room 202", 9), ("Room 203", 9), ("Room 204", 9), ("Art room", 18)],
          [("Room 205", 9), ("Room 206", 9), ("Computer lab", 12), ("Science lab", 12), ("Staff room", 12)]),
}


def plan(path: Path) -> Count:
    """Write the plan."""
    features = []
    for floor in _ROOMS:
        features += _floor(floor)
    _geojson(path, features)
    return Count(added=len(features))


def _floor(floor: str) -> list[dict[str, Any]]:
    half, aisle = _DEEP / 2, _AISLE / 2
    found = [_piece(floor, "corridor", "corridor", f"Corridor {floor}", _box(-_LONG / 2 + _WELL, -aisle, _LONG / 2 - _WELL, aisle))]
    for side, sign in (("s", -1.0), ("n", 1.0)):
        x = -_LONG / 2 + _WELL
        for k, (name, width) in enumerate(_ROOMS[floor][side == "n"], start=1):
            room = f"{side}{k}"
            y0, y1 = sorted((sign * aisle, sign * half))
            found.append(_piece(floor, room, "room", name, _box(x, y0, x + width, y1)))
            found.append(_piece(floor, f"{room}-door", "door", f"Door of {name}", _gap(x + width / 2, sign * aisle, 1.0), room, "corridor"))
            x += width
    other = "1" if floor == "0" else "0"
    for well, sign in (("west", -1.0), ("east", 1.0)):
        x0, x1 = sorted((sign * _LONG / 2, sign * (_LONG / 2 - _WELL)))
        stair = f"stair-{well}"
        found.append(_piece(floor, stair, "stair", f"{well.title()} stair", _box(x0, -half, x1, half if well == "west" else aisle), f"school-{other}-{stair}"))
        door = _gap(sign * (_LONG / 2 - _WELL), 0.0, 1.6, upright=True)
        found.append(_piece(floor, f"{stair}-door", "door", f"Door of the {well} stair", door, stair, "corridor"))
        if floor == "0":
            found.append(_piece(floor, f"exit-{well}", "exit", f"{well.title()} exit", _gap(sign * _LONG / 2, 0.0, 1.8, upright=True), stair))
    found.append(_piece(floor, "lift", "lift", "Lift", _box(_LONG / 2 - _WELL, aisle, _LONG / 2, half), f"school-{other}-lift", "corridor"))
    if floor == "0":
        found.append(_piece(floor, "exit-main", "exit", "Main entrance", _gap(-_LONG / 2 + _WELL + 22.5, -half, 2.4), "s3"))
    return found


def _piece(floor: str, id: str, kind: str, name: str, shape: Floats, *leads: str) -> dict[str, Any]:
    at = next(p for p in PLACES if p.name == SCHOOL).xy
    connects = [c if c.startswith("school-") else f"school-{floor}-{c}" for c in leads]
    form = "Polygon" if len(shape) > 2 else "LineString"
    return _feature(form, shape + at, id=f"school-{floor}-{id}", building=SCHOOL, floor=floor, kind=kind, name=name, connects=connects)


def _box(x0: float, y0: float, x1: float, y1: float) -> Floats:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])


def _gap(x: float, y: float, width: float, upright: bool = False) -> Floats:
    half = np.array([0.0, width / 2] if upright else [width / 2, 0.0])
    return np.array([[x, y] - half, [x, y] + half])

"""Streets out of an OpenStreetMap extract: ways cut at every corner, one record a piece.

Two ways meet where they share a node; a node that only one way uses, and once, is a bend. House numbers that stand on nodes and buildings
are put on the two sides of the nearest piece of the street they name, and become a range where there are any.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from workbench.errors import BadInput
from workbench.geo import Floats, Plane
from workbench.geo.extract import drivable, one_way

_NOT_THERE = frozenset({
    "proposed", "construction", "abandoned", "razed", "planned", "platform", "rest_area", "services", "elevator", "corridor", "no", "raceway",
})
_ALIASES = ("alt_name", "old_name", "official_name", "short_name", "loc_name", "name_1", "name:en", "ref", "old_ref", "reg_name", "tiger:name_base_1")
#: A house belongs to a street of its name no further away than this, metres.
_REACH = 120.0


@dataclass
class _Way:
    """One way that is kept: tags, node numbers, (lon, lat) of each."""

    id: int
    tags: dict[str, str]
    nodes: list[int]
    places: list[tuple[float, float]]


@dataclass
class _Piece:
    """One piece of a way between two corners."""

    way: _Way
    number: int
    first: int
    last: int
    houses: list[tuple[float, int, bool]] = field(default_factory=list)

    @property
    def line(self) -> Floats:
        """Its (lon, lat)."""
        return np.array(self.way.places[self.first : self.last + 1])


def unfold(file: Path, records: str, to: Path) -> None:
    """Write the street pieces of an extract as NDJSON.

    Args:
        file: .osm.pbf (or .osm, .osm.bz2).
        records: "drive" or "" = what one may drive; "all" = every way of the highway key.
        to: the file to write.

    Raises:
        BadInput: the file is damaged, is no extract, or holds no street.

    Cost: some 15 s and 500 MB for a million nodes.
    """
    ways, houses = _read(file, everything=records == "all")
    if not ways:
        raise BadInput(f"{file.name} holds no street; is it an extract with its roads? Nothing was loaded.")
    pieces = list(_cut(ways))
    _number(pieces, houses)
    with to.open("w", encoding="utf-8") as out:
        for piece in pieces:
            _write(out, piece)


def _read(file: Path, everything: bool) -> tuple[list[_Way], list[tuple[str, int, float, float]]]:
    """The ways, and the houses as (street, number, lon, lat)."""
    import osmium

    ways: list[_Way] = []
    houses: list[tuple[str, int, float, float]] = []
    try:
        reader = osmium.FileProcessor(str(file), osmium.osm.NODE | osmium.osm.WAY).with_locations().with_filter(
            osmium.filter.KeyFilter("highway", "addr:housenumber"))
        thing: Any
        for thing in reader:
            tags = {t.k: t.v for t in thing.tags}
            if thing.is_way():
                nodes = [(n.ref, n.lon, n.lat) for n in thing.nodes if n.location.valid()]
                if "addr:housenumber" in tags and nodes:
                    middle = np.array([n[1:] for n in nodes]).mean(axis=0)
                    houses += _house(tags, float(middle[0]), float(middle[1]))
                if _kept(tags, everything) and len(nodes) > 1:
                    ways.append(_Way(thing.id, tags, [n[0] for n in nodes], [(n[1], n[2]) for n in nodes]))
            elif "addr:housenumber" in tags and thing.location.valid():
                houses += _house(tags, thing.location.lon, thing.location.lat)
    except (RuntimeError, OSError, ValueError, osmium.InvalidLocationError) as error:
        raise BadInput(f"{file.name} is cut off, damaged or no OpenStreetMap extract ({error}); nothing was loaded.") from error
    return ways, houses


def _kept(tags: dict[str, str], everything: bool) -> bool:
    kind = tags.get("highway")
    if kind is None or kind in _NOT_THERE or tags.get("area") == "yes":
        return False
    return everything or drivable(tags)


def _house(tags: dict[str, str], lon: float, lat: float) -> list[tuple[str, int, float, float]]:
    street, numbers = tags.get("addr:street"), tags["addr:housenumber"].replace(",", ";").split(";")
    found = []
    for text in numbers:
        figures = text.strip().split("-")[0].split()[0:1]
        digits = figures[0].rstrip("abcdefghABCDEFGH") if figures else ""
        if street and digits.isdecimal() and 0 < int(digits) < 1_000_000:
            found.append((street.casefold(), int(digits), lon, lat))
    return found


def _cut(ways: list[_Way]) -> Iterator[_Piece]:
    """Every way in pieces between corners: nodes that are used twice, and its ends."""
    uses = Counter(node for way in ways for node in way.nodes)
    for way in ways:
        stops = [i for i, node in enumerate(way.nodes) if i in (0, len(way.nodes) - 1) or uses[node] > 1]
        number = 0
        for first, last in zip(stops[:-1], stops[1:], strict=True):
            if len(set(way.places[first : last + 1])) > 1:
                yield _Piece(way, number, first, last)
                number += 1


def _number(pieces: list[_Piece], houses: list[tuple[str, int, float, float]]) -> None:
    """Give each house to the nearest piece of the street it names."""
    if not houses:
        return
    named: dict[str, list[_Piece]] = defaultdict(list)
    for piece in pieces:
        for name in {piece.way.tags.get("name", "").casefold(), piece.way.tags.get("alt_name", "").casefold()} - {""}:
            named[name].append(piece)
    plane = Plane.local(houses[0][3], houses[0][2])
    by_street: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for street, number, lon, lat in houses:
        by_street[street].append((number, lon, lat))
    for street, own in by_street.items():
        if street not in named:
            continue
        a, d, owner, start, run = _segments(named[street], plane)
        for number, lon, lat in own:
            x, y = plane.to_metres(lon, lat)
            away = np.array([float(x), float(y)]) - a
            share = np.clip((away * d).sum(axis=1) / np.maximum((d * d).sum(axis=1), 1e-9), 0, 1)
            off = away - share[:, None] * d
            near = int((off * off).sum(axis=1).argmin())
            if (off[near] ** 2).sum() > _REACH**2:
                continue
            piece = named[street][owner[near]]
            at = (start[near] + share[near] * float(np.hypot(*d[near]))) / max(run[owner[near]], 1e-9)
            piece.houses.append((float(at), number, bool(d[near][0] * away[near][1] - d[near][1] * away[near][0] > 0)))


def _segments(pieces: list[_Piece], plane: Plane) -> tuple[Floats, Floats, list[int], list[float], list[float]]:
    """Begin and direction (metres) of every segment, the piece it is of, how far along that it begins; and each piece's length."""
    begins, ways, owner, start, run = [], [], [], [], []
    for k, piece in enumerate(pieces):
        line = np.column_stack(plane.to_metres(piece.line[:, 0], piece.line[:, 1]))
        step = np.diff(line, axis=0)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        begins.append(line[:-1])
        ways.append(step)
        owner += [k] * len(step)
        start += along[:-1].tolist()
        run.append(float(along[-1]))
    return np.vstack(begins), np.vstack(ways), owner, start, run


def _range(houses: list[tuple[float, int]]) -> tuple[int, int] | None:
    """The numbers at both ends of one side: a line through the first and last house, kept within their hundreds; of one house that house."""
    if not houses:
        return None
    houses = sorted(houses)
    (a, low), (b, high) = houses[0], houses[-1]
    if b - a < 0.15 or low == high:
        return low, high
    floor, ceiling = min(low, high) // 100 * 100, max(low, high) // 100 * 100 + 99
    per = (high - low) / (b - a)
    same = len({n % 2 for _, n in houses}) == 1
    ends = []
    for value in (low - per * a, high + per * (1 - b)):
        end = int(min(max(round(value), floor), ceiling))
        ends.append(end + (1 if end < ceiling else -1) if same and end % 2 != low % 2 else end)
    return ends[0], ends[1]


def _write(out: TextIO, piece: _Piece) -> None:
    tags, way = piece.way.tags, piece.way
    record: dict[str, Any] = {"id": f"{way.id}.{piece.number}", "name": tags.get("name") or tags.get("ref"), "class": tags["highway"]}
    aliases = [part.strip() for key in _ALIASES for part in tags.get(key, "").split(";") if part.strip()]
    record["aliases"] = list(dict.fromkeys(a for a in aliases if a != record["name"])) or None
    record["one_way"] = one_way(tags)
    record["maxspeed"] = tags.get("maxspeed")
    record["lanes"] = tags.get("lanes")
    record["from_node"], record["to_node"] = str(way.nodes[piece.first]), str(way.nodes[piece.last])
    for side, left in (("left", True), ("right", False)):
        found = _range([(at, number) for at, number, on_left in piece.houses if on_left == left])
        if found:
            record[f"{side}_from"], record[f"{side}_to"] = found
    record["geometry"] = {"type": "LineString", "coordinates": [[round(x, 7), round(y, 7)] for x, y in way.places[piece.first : piece.last + 1]]}
    out.write(json.dumps({k: v for k, v in record.items() if v is not None}, ensure_ascii=False) + "\n")

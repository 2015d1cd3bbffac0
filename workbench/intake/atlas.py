"""The streets by name, made ready for looking addresses up: pieces, house numbers, corners, and where along a piece a number lies."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Plane
from workbench.intake.addresses import Name, name

#: A house stands this far from the middle of its street, metres.
_SETBACK = 12.0
_SIDES = (("left_from", "left_to", 1.0), ("right_from", "right_to", -1.0))
_ROUTE = ("US ", "I ", "SR ", "FM ", "CR ")


@dataclass(frozen=True)
class Spot:
    """One place that fits: metres on the atlas's plane, how far off it may be, how well it fits (1 = in all), the street."""

    x: float
    y: float
    error_m: float
    street: str
    fit: float = 1.0


@dataclass(frozen=True)
class _Side:
    """The house numbers of one side of a piece, from its begin to its end."""

    begin: int
    end: int
    sign: float

    @property
    def low(self) -> int:
        """Least number."""
        return min(self.begin, self.end)

    @property
    def high(self) -> int:
        """Greatest number."""
        return max(self.begin, self.end)

    def takes(self, number: int) -> bool:
        """Whether a number is of this side: even on an even one, odd on an odd one, any where its ends differ."""
        return (self.begin - self.end) % 2 == 1 or (number - self.begin) % 2 == 0

    def share(self, number: float) -> float:
        """How far along the piece a number lies, 0 to 1."""
        if self.begin == self.end:
            return 0.5
        return float(np.clip((number - self.begin) / (self.end - self.begin), 0.0, 1.0))


class Atlas:
    """An index of a table of streets. Positions are metres on a plane about the streets' middle."""

    def __init__(self, streets: pl.DataFrame, aliases: Mapping[str, str]) -> None:
        wanted = ["name", "aliases", "from_node", "to_node", "left_from", "left_to", "right_from", "right_to", "geometry"]
        rows = streets.select(c for c in wanted if c in streets.columns).filter(pl.col("geometry").is_not_null())
        lines = [np.array([p[:2] for p in json.loads(g)["coordinates"]], dtype=float) for g in rows["geometry"].to_list()]
        every = np.vstack(lines)
        self._plane = Plane.local(float(np.median(every[:, 1])), float(np.median(every[:, 0])))
        self._lines: list[Floats] = [np.column_stack(self._plane.to_metres(line[:, 0], line[:, 1])) for line in lines]
        self._ends = [(_node(row.get("from_node"), line[0]), _node(row.get("to_node"), line[-1])) for row, line in
                      zip(rows.iter_rows(named=True), lines, strict=True)]
        self._sides = [tuple(_Side(row[a], row[b], sign) for a, b, sign in _SIDES if row.get(a) is not None and row.get(b) is not None)
                       for row in rows.iter_rows(named=True)]
        self._names = rows["name"].to_list()
        self._index: dict[str, list[tuple[Name, int, float]]] = defaultdict(list)
        other = _by_street(aliases)
        for piece, row in enumerate(rows.iter_rows(named=True)):
            own = name(row["name"]) if row["name"] else None
            known = [(own, 1.0)] if own else []
            known += [(n, 0.98) for a in row.get("aliases") or () if a and (n := name(a))]
            known += [(n, 0.98) for n in other.get(own.base, ()) ] if own else []
            for street, fit in known:
                for key in street.keys:
                    self._index[key].append((street, piece, fit if key == street.base else fit * 0.97))
                if street.base.startswith(_ROUTE):
                    self._index[f"HWY {street.base.split()[1]}"].append((street, piece, fit * 0.9))
        self.spellings = [key for key in self._index if not any(c.isdigit() for c in key)]

    # ------------------------------------------------------------------ by name

    def named(self, wanted: Name, base: str = "") -> list[tuple[float, list[int]]]:
        """The pieces that a name may mean, in groups that fit alike: (fit, pieces), best first.

        Direction and kind must not contradict; a street of another kind is taken (at 0.75) only where none is of that kind.
        """
        groups: dict[float, list[int]] = defaultdict(list)
        best: dict[int, float] = {}
        for place, key in enumerate([base] if base else wanted.keys):
            for street, piece, fit in self._index.get(key, ()):
                score = fit * _agree(wanted, street, part=key) * (1.0 if place == 0 else 0.98)
                if score > best.get(piece, 0.0):
                    best[piece] = score
        for piece, score in best.items():
            groups[round(score, 3)].append(piece)
        sound = {s: p for s, p in groups.items() if s > 0.76} or {s: p for s, p in groups.items() if s >= 0.6}
        return sorted(sound.items(), key=lambda g: -g[0])

    def numbered(self, pieces: list[int]) -> bool:
        """Whether any of them has house numbers."""
        return any(self._sides[p] for p in pieces)

    # ------------------------------------------------------------------ places

    def houses(self, pieces: list[int], number: int) -> list[Spot]:
        """Where a house number lies: on the side that has it; if none has, on the other side of the street."""
        right: list[tuple[int, _Side]] = []
        wrong: list[tuple[int, _Side]] = []
        for piece in pieces:
            for side in self._sides[piece]:
                if side.low <= number <= side.high:
                    (right if side.takes(number) else wrong).append((piece, side))
        if right:
            return [self._house(p, s, number, 1.0) for p, s in right]
        return [self._house(p, s, number, 0.9) for p, s in wrong]

    def _house(self, piece: int, side: _Side, number: int, fit: float) -> Spot:
        length = _length(self._lines[piece])
        x, y = _along(self._lines[piece], side.share(number), side.sign * _SETBACK * (1 if fit == 1.0 else -1))
        lone = side.begin == side.end
        return Spot(x, y, 15.0 + length * (0.5 if lone else 0.12), self._names[piece] or "", fit)

    def blocks(self, pieces: list[int], low: int, high: int) -> list[Spot]:
        """The middle of the stretch of street that has numbers low to high; one for each stretch that hangs together."""
        parts: list[tuple[float, int, float, float]] = []
        for piece in pieces:
            shares = [tuple(sorted((s.share(max(low, s.low)), s.share(min(high, s.high))))) for s in self._sides[piece] if s.low <= high and s.high >= low]
            if shares:
                a, b = min(s[0] for s in shares), max(s[1] for s in shares)
                side = next(s for s in self._sides[piece] if s.low <= high and s.high >= low)
                if all(s.begin == s.end for s in self._sides[piece]):
                    a, b = 0.0, 1.0
                parts.append((max(low, side.low), piece, a, b))
        return [self._stretch(group, low, high) for group in self._together(sorted(parts))]

    def _together(self, parts: list[tuple[float, int, float, float]]) -> list[list[tuple[float, int, float, float]]]:
        """Parts in groups of one street that share corners."""
        groups: list[tuple[set[Any], list[tuple[float, int, float, float]]]] = []
        for part in parts:
            ends = {(self._names[part[1]], end) for end in self._ends[part[1]]}
            touching = [g for g in groups if g[0] & ends]
            nodes, members = set(ends), [part]
            for group in touching:
                nodes |= group[0]
                members = [*group[1], *members]
                groups.remove(group)
            groups.append((nodes, members))
        return [sorted(members) for _, members in groups]

    def _stretch(self, parts: list[tuple[float, int, float, float]], low: int, high: int) -> Spot:
        """The middle of the parts by length, in order of their numbers."""
        lengths = [max(_length(self._lines[p]) * (b - a), 0.1) for _, p, a, b in parts]
        half, covered = sum(lengths) / 2, 0.0
        for (_, piece, a, b), length in zip(parts, lengths, strict=True):
            if covered + length >= half:
                inner = (half - covered) / length
                rising = next((s.end >= s.begin for s in self._sides[piece]), True)
                x, y = _along(self._lines[piece], a + (b - a) * (inner if rising else 1 - inner), 0.0)
                break
            covered += length
        return Spot(x, y, sum(lengths) / 2 + _SETBACK, self._names[parts[0][1]] or "")

    def corners(self, one: list[int], other: list[int]) -> list[Spot]:
        """The corners that two streets share."""
        nodes = {end: (piece, k) for piece in one for k, end in enumerate(self._ends[piece])}
        found = {}
        for piece in other:
            for end in self._ends[piece]:
                if end in nodes and end not in found:
                    mine, k = nodes[end]
                    x, y = self._lines[mine][-k]
                    found[end] = Spot(float(x), float(y), 20.0, f"{self._names[mine]} / {self._names[piece]}")
        return list(found.values())

    def middle(self, pieces: list[int]) -> tuple[Spot, float]:
        """The middle of a whole street, and how far it stretches, metres."""
        every = np.vstack([self._lines[p] for p in pieces])
        low, high = every.min(axis=0), every.max(axis=0)
        on = np.array([_along(self._lines[p], share, 0.0) for p in pieces for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
        near = on[int(np.hypot(*(on - (low + high) / 2).T).argmin())]
        extent = float(np.hypot(*(high - low)))
        return Spot(float(near[0]), float(near[1]), extent / 2, self._names[pieces[0]] or ""), extent

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """(lon, lat), to 7 decimals."""
        lon, lat = self._plane.to_degrees(x, y)
        return round(float(lon), 7), round(float(lat), 7)


def _agree(wanted: Name, street: Name, part: str) -> float:
    """How well direction, kind and the rest agree, 0 = they contradict; what is part of the key already counts as agreeing."""
    score = 1.0
    for mine, theirs in ((wanted.before, street.before), (wanted.behind, street.behind)):
        if mine == theirs or (mine and part.startswith(f"{mine} ")) or (theirs and part.startswith(f"{theirs} ")):
            continue
        if mine and theirs:
            return 0.0
        crossed = mine in (wanted.behind, street.behind, street.before) and bool(mine)
        score *= 0.95 if not crossed else 0.96
    inside = any(kind and part.endswith(f" {kind}") for kind in (wanted.suffix, street.suffix))
    if wanted.suffix != street.suffix and not inside:
        score *= 0.75 if wanted.suffix and street.suffix else 0.93
    if wanted.service != street.service:
        score *= 0.85 if wanted.service else 0.9
    if wanted.travel != street.travel:
        score *= 0.99
    return score


def _by_street(aliases: Mapping[str, str]) -> dict[str, list[Name]]:
    found: dict[str, list[Name]] = defaultdict(list)
    for alias, street in aliases.items():
        of, other = name(street), name(alias)
        if of and other:
            found[of.base].append(other)
    return found


def _node(given: str | None, point: Floats) -> str:
    return given or f"{point[0]:.6f},{point[1]:.6f}"


def _length(line: Floats) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _along(line: Floats, share: float, aside: float) -> tuple[float, float]:
    """The point at a share of a line's length, moved to its left by ``aside`` metres."""
    step = np.diff(line, axis=0)
    size = np.hypot(step[:, 0], step[:, 1])
    run = np.concatenate([[0.0], np.cumsum(size)])
    at = share * run[-1]
    k = min(int(np.searchsorted(run, at, side="right")) - 1, len(step) - 1)
    way = step[k] / (size[k] or 1.0)
    x, y = line[k] + way * (at - run[k]) + np.array([-way[1], way[0]]) * aside
    return float(x), float(y)

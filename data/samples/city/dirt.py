"""Rows that are wrong on purpose, and what a loader must make of each: the counts stand in planted.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

#: (every how many clean rows, what is done to a copy of the row, what a loader makes of it)
Spoil = tuple[int, Callable[[list[str]], str], str]


@dataclass
class Count:
    """What a loader should report of one file."""

    added: int = 0
    updated: int = 0
    duplicate: int = 0
    rejected: int = 0
    without_place: int = 0

    def as_dict(self) -> dict[str, int]:
        """With ``read``, the sum."""
        return {"read": self.added + self.updated + self.duplicate + self.rejected, **self.__dict__}


class Soiler:
    """Puts a spoilt copy behind every so many-th row of a CSV, over as many pieces as it comes in."""

    def __init__(self, header: list[str], spoils: list[Spoil]) -> None:
        self.header, self.spoils, self.row = header, spoils, 0
        self.count = Count()

    def rows(self, lines: list[str]) -> list[str]:
        """The lines with spoilt copies among them."""
        out = []
        for line in lines:
            out.append(line)
            self.row += 1
            self.count.added += 1
            for every, spoil, fate in self.spoils:
                if self.row % every == every // 2:
                    out.append(spoil(line.split(",")))
                    setattr(self.count, fate, getattr(self.count, fate) + 1)
        return out

    def put(self, column: str, value: str, key: str = "") -> Callable[[list[str]], str]:
        """A copy with a value in one column; with ``key`` it gets an id of its own first (an X before the id)."""
        at, name = self.header.index(column), self.header.index(key) if key else -1

        def spoil(cells: list[str]) -> str:
            cells = list(cells)
            if name >= 0:
                cells[name] = "X" + cells[name]
            cells[at] = value
            return ",".join(cells)

        return spoil


def same(cells: list[str]) -> str:
    """The very same row again."""
    return ",".join(cells)


def torn(cells: list[str]) -> str:
    """A row that ends in the middle."""
    return ",".join(cells[: len(cells) // 2])


def people(lines: list[str]) -> tuple[list[str], Count]:
    """Records of people and things with three repeats, two of unknown kind, one torn and one without its key."""
    count = Count(added=len(lines), duplicate=3, rejected=4)
    out = list(lines)
    for k in (1200, 5400, 9100):
        out.insert(k + 7, out[k])
    out.insert(2500, json.dumps({"record": "boat", "id": "B000001", "name": "SEA LARK"}))
    out.insert(7700, json.dumps({"record": "boat", "id": "B000002", "name": "RIVER WREN"}))
    out.insert(4100, out[4099][: len(out[4099]) // 2])
    out.insert(6300, json.dumps({"record": "phone", "no": "(314) 555-0199"}))
    return out, count

"""What the later stages are made from: the city as it stands, and how each of their files is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from . import dirt
from .blocks import Blocks
from .dirt import Count, Soiler, Spoil
from .incidents import START
from .plane import SEED, Floats, degrees
from .reads import Scene
from .records import Books
from .series import Placed
from .streets import Roads
from .write import lines, packed

CALL_TIME = "%Y-%m-%d %H:%M:%S"
#: Every stage here has a random stream of its own, so that adding one leaves all others as they were; a new name goes to the end.
_STAGES = ("gunshots", "arrivals", "cameras", "units", "call events", "counts", "casings", "arrests", "interviews", "warrants", "recoveries", "posts",
           "phone calls")


@dataclass(frozen=True)
class Town:
    """Incidents as reported, calls with their moments, address points, the books, the traffic scene, planted series and main roads."""

    incidents: pl.DataFrame
    calls: pl.DataFrame
    blocks: Blocks
    books: Books
    scene: Scene
    placed: list[Placed]
    graph: Roads


def stream(stage: str) -> np.random.Generator:
    """The random stream of one of these stages."""
    return np.random.default_rng([SEED, 700 + _STAGES.index(stage)])


def jump(xy: Floats, metres: float, rng: np.random.Generator) -> Floats:
    """Positions with an error of ``metres`` in each direction."""
    return np.asarray(xy + rng.normal(0, metres, np.shape(xy)))


def lonlat(xy: Floats) -> list[float]:
    """One position as [lon, lat]."""
    return [float(v) for v in degrees(np.asarray(xy, dtype=float)[None])[0]]


def number(day: str) -> int:
    """A day such as 2026-06-19 as a day number since the start of the sample."""
    return int((np.datetime64(day) - np.datetime64(START)) / np.timedelta64(1, "D"))


def written(path: Path, frame: pl.DataFrame, spoils: list[tuple[int, str, str, str, str]], later: list[str] | None = None, lost: int = 0) -> Count:
    """Write a frame as CSV with spoilt copies among its rows.

    Args:
        spoils: (every how many rows, column that is spoilt, what is put there, key column that makes the copy a row of its own, its fate);
            column "" = the very same row again, "torn" = a row that ends in the middle.
        later: lines behind the last row: newer editions of rows above.
        lost: rows of the frame without a usable position.
    """
    soiler = Soiler(frame.columns, [])
    made: list[Spoil] = []
    for every, column, value, key, fate in spoils:
        how = dirt.same if not column else dirt.torn if column == "torn" else soiler.put(column, value, key)
        made.append((every, how, fate))
    soiler.spoils = made
    body = soiler.rows(lines(frame))
    soiler.count.updated, soiler.count.without_place = len(later or []), lost
    text = "\n".join([",".join(frame.columns), *body, *(later or [])]) + "\n"
    if path.suffix == ".gz":
        packed(path, [text])
    else:
        path.write_text(text, encoding="utf-8")
    return soiler.count

"""Two planted burglary series: who did what in which way, how they move, and when they strike.

Series "sliding doors": a crew of four with a van, homes on weekday mornings, every few days a little further west-north-west.
Series "glass doors": one man with a car, small businesses in the small hours, moving west along Founders Avenue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .blocks import Blocks
from .incidents import DAY, DAYS, Happened
from .offences import OFFENCES
from .plane import Floats, Ints, stream


@dataclass(frozen=True)
class Series:
    """How a series was made.

    Args:
        mo: the text every report of it has, with one of ``extras`` behind it.
        first, last: day numbers since 2024-07-01 of its first and latest possible event.
        days: mean days between two events; hours: from, to.
        start: centre at the first event (m); drift: how far the centre moves an event (m east, m north); scatter: spread about it (m).
    """

    name: str
    case_number: str
    code: str
    mo: str
    extras: tuple[str, ...]
    n: int
    first: int
    days: float
    hours: tuple[float, float]
    weekdays: bool
    start: tuple[float, float]
    drift: tuple[float, float]
    scatter: float
    premises: tuple[str, ...]


SERIES = (
    Series(
        "sliding doors",
        "2026-0142",
        "0510",
        "REAR SLIDING DOOR LIFTED OFF TRACK; JEWELRY AND CASH TAKEN; MASTER BEDROOM SEARCHED",
        ("PILLOWCASE TAKEN", "GLOVE MARKS", "WHITE VAN SEEN IN ALLEY", "BACK GATE LEFT OPEN", "SHOE PRINT AT PATIO"),
        20,
        653,
        3.55,
        (9.3, 14.2),
        True,
        (3480.0, 230.0),
        (-78.0, 44.0),
        130.0,
        ("RESIDENCE",),
    ),
    Series(
        "glass doors",
        "2026-0157",
        "0520",
        "FRONT GLASS DOOR SMASHED WITH ROCK; REGISTER FORCED; CIGARETTES TAKEN",
        ("HOODED MALE ON CAMERA", "IN AND OUT UNDER THREE MINUTES", "ROCK LEFT AT SCENE", "LOTTERY TICKETS TAKEN"),
        15,
        676,
        3.7,
        (1.6, 4.4),
        False,
        (1250.0, 560.0),
        (-205.0, 72.0),
        120.0,
        ("RETAIL STORE", "CONVENIENCE STORE", "BAR/RESTAURANT", "OFFICE"),
    ),
)


@dataclass(frozen=True)
class Placed:
    """A series as it came out: row numbers in ``Happened``, true minutes, centre of drift at each event."""

    series: Series
    rows: Ints
    minutes: Floats
    blocks: Ints
    centres: Floats


def add(happened: Happened, blocks: Blocks) -> tuple[Happened, list[Placed], dict[int, str]]:
    """Append both series; gives also the MO text by row."""
    rng = stream("places")
    placed, mos = [], {}
    code = {o.code: k for k, o in enumerate(OFFENCES)}
    for series in SERIES:
        minutes = _moments(series, rng)
        centres = np.array(series.start) + np.arange(series.n)[:, None] * np.array(series.drift)
        fits = blocks.table["premise"].is_in(list(series.premises)).to_numpy()
        spots, used = [], np.zeros(len(blocks), dtype=bool)
        for centre in centres:
            spot = int(blocks.nearest((centre + rng.normal(0, series.scatter, 2))[None], fits & ~used)[0])
            used[spot] = True
            spots.append(spot)
        rows = np.arange(len(happened.code), len(happened.code) + series.n)
        happened = replace(
            happened,
            code=np.append(happened.code, [code[series.code]] * series.n),
            block=np.append(happened.block, spots),
            minute=np.append(happened.minute, minutes),
            parent=np.append(happened.parent, [-1] * series.n),
        )
        for row in rows:
            mos[int(row)] = f"{series.mo}; {rng.choice(series.extras)}"
        placed.append(Placed(series, rows, minutes, np.array(spots), centres))
    return happened, placed, mos


def _moments(series: Series, rng: np.random.Generator) -> Floats:
    """True minutes of a series, the last one before the end of the sample."""
    out, day = [], float(series.first)
    span = DAYS - 1.5 - series.first
    gaps = rng.gamma(6.0, 1 / 6.0, series.n - 1)
    gaps *= min(span / gaps.sum(), series.days * (series.n - 1) / gaps.sum())
    for gap in [0.0, *gaps]:
        day += gap
        whole = int(day)
        while series.weekdays and (whole + 0) % 7 >= 5:  # day 0 is a Monday
            whole += 1
        whole = min(whole, DAYS - 2)
        out.append(whole * DAY + np.floor(60 * (series.hours[0] + rng.random() * (series.hours[1] - series.hours[0]))))
    return np.array(sorted(out))

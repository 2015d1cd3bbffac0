"""Are these wall-clock times? The hours of a day have a known shape; times that are off by a zone's offset show it shifted.

Crimes and calls are fewest between 3 and 6 in the morning of the place they happen in, gunshots between 6 and 11. The hours seen are
held against the usual shape at every shift (Pearson correlation over the 24 hours). The usual shapes are means of public records of
Chicago, St. Louis and Washington (incidents), San Antonio, Nashville, San Diego and Montgomery County (calls), San Francisco, Oakland
and Washington (gunshots), per mille. Measured on those cities one by one, right times reach 0.82 to 0.98 unshifted, and times off by
5 hours at most 0.47.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

USUAL: dict[str, tuple[int, ...]] = {
    "incidents": (28, 31, 25, 20, 15, 15, 17, 26, 37, 45, 47, 49, 40, 53, 56, 61, 58, 62, 63, 58, 55, 53, 48, 39),
    "calls": (28, 22, 19, 17, 15, 16, 26, 45, 50, 54, 55, 54, 54, 54, 57, 59, 58, 58, 53, 46, 45, 42, 40, 34),
    "gunshots": (109, 90, 73, 55, 35, 13, 6, 4, 4, 6, 7, 10, 11, 13, 13, 15, 16, 23, 31, 45, 66, 112, 121, 121),
}
#: Times below which nothing is said.
ENOUGH = 300


@dataclass(frozen=True)
class Clockwork:
    """What the hours of a day say.

    Args:
        verdict: fits, shifted, unclear or few.
        shift: hours to be added to the times so that they fit best.
        fit, best: correlation with the usual shape as they are, and at that shift.
        times: how many were looked at (exact midnight, noon and one minute past, which often stand for "not known", left out).
        heaped: share of all times that are such.
    """

    verdict: str
    shift: int
    fit: float
    best: float
    times: int
    heaped: float

    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict == "few":
            return f"Whether the time zone is right cannot be told from {self.times:,} times; {ENOUGH} would do."
        held = f"over {self.times:,} times, correlation with the usual hours {self.fit:.2f} as read"
        if self.verdict == "fits":
            return f"The hours of the day look right ({held})."
        if self.verdict == "shifted":
            return (
                f"The times look {abs(self.shift)} hours too {'late' if self.shift < 0 else 'early'} ({held}, {self.best:.2f} if "
                f"{abs(self.shift)} hours were {'taken off' if self.shift < 0 else 'added'}); the time zone is probably not the one declared."
            )
        return f"Whether the time zone is right cannot be told: the hours of the day have no usual shape ({held})."


def check(walls: Sequence[datetime | None], table: str) -> Clockwork:
    """Hold wall-clock times against the usual hours of a table; tables without a shape of their own are held against calls. O(n)."""
    known = [t for t in walls if t is not None]
    real = [t for t in known if not (t.hour in (0, 12) and t.minute in (0, 1) and t.second == 0)]
    heaped = 1 - len(real) / len(known) if known else 0.0
    if len(real) < ENOUGH:
        return Clockwork("few", 0, 0.0, 0.0, len(real), heaped)
    hours = np.bincount([t.hour for t in real], minlength=24).astype(float)
    usual = np.array(USUAL.get(table, USUAL["calls"]), dtype=float)
    fits = {s: _alike(np.roll(hours, s), usual) for s in range(-11, 13)}
    shift = max(fits, key=lambda s: (round(fits[s], 3), -abs(s)))
    fit, best = fits[0], fits[shift]
    if fit >= 0.6 and best - fit < 0.2:
        verdict = "fits"
    elif best >= 0.6 and best - fit >= 0.2 and abs(shift) >= 2:
        verdict = "shifted"
    else:
        verdict = "unclear"
    return Clockwork(verdict, shift, fit, best, len(real), heaped)


def utc_or_wall(walls: Sequence[datetime | None], zone: str, table: str) -> tuple[str, str]:
    """Whether times that call themselves UTC are that, or wall-clock times of a zone with a false Z.

    Returns:
        ("utc" | "wall" | "", the evidence as a sentence); "" where it cannot be told.
    """
    known = [t for t in walls if t is not None]
    tz = ZoneInfo(zone)
    local = [t.replace(tzinfo=ZoneInfo("UTC")).astimezone(tz).replace(tzinfo=None) for t in known]
    if all(a == b for a, b in zip(known, local, strict=True)):
        return "utc", f"{zone} has no offset from UTC."
    as_utc, as_wall = check(local, table), check(known, table)
    if "few" in (as_utc.verdict, as_wall.verdict):
        return "", as_wall.sentence()
    said = f"{as_utc.fit:.2f} read as UTC, {as_wall.fit:.2f} read as wall-clock time of {zone}, over {as_wall.times:,} times"
    if max(as_utc.fit, as_wall.fit) >= 0.6 and abs(as_utc.fit - as_wall.fit) >= 0.2:
        word = "utc" if as_utc.fit > as_wall.fit else "wall"
        return word, f"correlation with the usual hours of a day {said}"
    return "", f"the hours of the day do not tell ({said})"


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])

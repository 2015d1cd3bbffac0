"""What all plates do by day, hour and pass, kept with the prepared reads: the base rates of a single plate's life.

A day begins at four in the morning, so that a night belongs to the day before it. A pass is a read by a reader that did not read the same plate in the three
minutes before; it is a repeat where the same reader had read it in the ninety minutes before.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput, CannotTell, finite, whole
from workbench.geo import Floats, Ints, Plane, positions
from workbench.models.plates._habits import span_of
from workbench.models.window import Moment, moment
from workbench.models.wording import local, several
from workbench.plates import normal

if TYPE_CHECKING:
    from workbench.models.plates._passages import Passages

DAWN = 4 * 3600
SAME_PASS, REPEAT = 180, 5400  # seconds
_kept: weakref.WeakKeyDictionary[Passages, dict[tuple[str, int | None], Any]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Days:
    """One row a plate and day, in order: plate, day (days since 1970, local), spots of its first and last read, reads."""

    plate: Ints
    day: Ints
    first: Ints
    last: Ints
    reads: Ints


@dataclass(frozen=True, eq=False)
class Passes:
    """One row a pass, in order of plate, spot and time; and by plate (P): active days, passes a day, hours a day, whether it is a fleet's by these.

    ``at`` is where in the passages' arrays the pass is. ``chance``: (P,) how likely a pass of the plate is a repeat, drawn to plates like it; ``hourly``: (24,)
    times that at an hour of the day; ``spread``: how much more repeats of a plate at one reader vary than independent ones would (intraclass correlation).
    """

    plate: Ints
    spot: Ints
    at: Ints
    repeat: Any
    hour: Ints
    days: Ints
    per_day: Floats
    hours: Floats
    fleet: Any
    klass: Ints
    chance: Floats
    hourly: Floats
    spread: float


def asked(passages: Passages, plate: str, case_number: str, asof: Moment | None) -> tuple[str, Ints, int | None]:
    """(normalised plate, positions of its reads in order of time, seconds of asof).

    Raises:
        BadInput: no case number, or no plate. CannotTell: there are no reads at all (before asof).
    """
    cased(case_number)
    wanted = normal(plate)
    if not wanted:
        raise BadInput(f"{plate!r} holds no letter or digit, so it is not a plate; write e.g. 'ABC 1234'.")
    until = some(passages, asof, f"of {wanted}")
    return wanted, reads_of(passages, wanted, until), until


def cased(case_number: str) -> None:
    if not isinstance(case_number, str) or not case_number.strip():
        raise BadInput(f"case_number={case_number!r} names no case; a pattern of life is asked only for a case, e.g. case_number='2026-0142'.")


def some(passages: Passages, asof: Moment | None, what: str) -> int | None:
    """Seconds of asof. Raises: CannotTell: no reads before it."""
    until = None if asof is None else int(moment(asof).timestamp())
    if not len(passages) or (until is not None and span_of(passages)[0] >= until):
        when = "" if asof is None else f" before {local(moment(asof), passages.zone)}"
        raise CannotTell(f"There are no reads{when}, so nothing can be told {what}; load reads, or ask with a later asof.")
    return until


def reads_of(passages: Passages, plate: str, until: int | None) -> Ints:
    """Positions of a plate's reads in order of time."""
    code = passages.code(plate)
    if code is None:
        return np.zeros(0, dtype=np.int64)
    first, order = passages.by_plate
    mine = order[first[code] : first[code + 1]].astype(np.int64)
    return mine if until is None else mine[passages.at[mine] < until]


def enough(plate: str, passages: Passages, mine: Ints, reads: int, days: int) -> None:
    """Raises: CannotTell: fewer reads or days than needed."""
    have = len(np.unique(day_of(passages, mine)))
    if len(mine) < reads or have < days:
        raise CannotTell(
            f"{plate} was read {several(len(mine), 'time')} on {several(have, 'day')}; a pattern needs at least {reads} reads on {days} days. Load more "
            "days, or look at the single reads with plates.history."
        )


def day_of(passages: Passages, at: Any) -> Ints:
    out: Ints = (passages.local_at[at] - DAWN) // 86_400
    return out


def rows_before(passages: Passages, until: int | None) -> Any:
    """A mask of the reads before ``until``, in the passages' own order."""
    return np.ones(len(passages), dtype=bool) if until is None else passages.at < until


def _once(passages: Passages, name: str, until: int | None, make: Any) -> Any:
    kept = _kept.setdefault(passages, {})
    if (name, until) not in kept:
        for old in [k for k in kept if k[0] == name]:
            del kept[old]
        kept[name, until] = make()
    return kept[name, until]


def daily(passages: Passages, until: int | None) -> Days:
    """Kept with the passages. O(n) once."""

    def make() -> Days:
        order = passages.by_plate[1]
        if until is not None:
            order = order[passages.at[order] < until]
        plate, day = passages.plate[order], day_of(passages, order)
        start = np.flatnonzero(np.concatenate([[True], (plate[1:] != plate[:-1]) | (day[1:] != day[:-1])])) if len(order) else np.zeros(0, dtype=np.int64)
        stop = np.concatenate([start[1:], [len(order)]])[: len(start)]
        spot = passages.spot[order]
        return Days(plate[start].astype(np.int64), day[start], spot[start].astype(np.int64), spot[stop - 1].astype(np.int64), stop - start)

    made: Days = _once(passages, "days", until, make)
    return made


def passes(passages: Passages, until: int | None) -> Passes:
    """Kept with the passages. O(n log n) once."""
    made: Passes = _once(passages, "passes", until, lambda: _passes(passages, until))
    return made


def _passes(passages: Passages, until: int | None) -> Passes:
    order = np.argsort(passages.plate, kind="stable")  # reads lie in order of (spot, time), so this is (plate, spot, time)
    if until is not None:
        order = order[passages.at[order] < until]
    plate, spot, at = passages.plate[order].astype(np.int64), passages.spot[order].astype(np.int64), passages.at[order]
    gap = np.full(len(order), np.iinfo(np.int64).max)
    same = (plate[1:] == plate[:-1]) & (spot[1:] == spot[:-1])
    gap[1:][same] = (at[1:] - at[:-1])[same]
    keep = gap > SAME_PASS
    order, plate, spot, repeat = order[keep], plate[keep], spot[keep], gap[keep] <= REPEAT
    wall = passages.local_at[order]
    n = len(passages.plates)
    total = np.bincount(plate, minlength=n)
    days = np.bincount(np.unique(plate * 1_000_000 + (wall - DAWN) // 86_400) // 1_000_000, minlength=n)
    hours = np.bincount(np.unique(plate * 10_000_000 + wall // 3600) // 10_000_000, minlength=n) / np.maximum(days, 1)
    per_day = total / np.maximum(days, 1)
    fleet = (days >= 5) & _far(per_day, days >= 5) & _far(hours, days >= 5)
    klass = np.log2(np.maximum(total, 1)).astype(np.int64) * 8 + np.minimum(hours, 7).astype(np.int64)
    mine = np.bincount(plate, weights=repeat, minlength=n)
    every = (repeat.sum() + 0.5) / (len(repeat) + 1)
    size = int(klass.max()) + 1 if n else 1
    kind = (np.bincount(klass, weights=mine, minlength=size) + 50 * every) / (np.bincount(klass, weights=total, minlength=size) + 50)
    chance = (mine + 20 * kind[klass]) / (total + 20)
    hour = wall // 3600 % 24
    hourly = (np.bincount(hour, weights=repeat, minlength=24) + 200 * every) / (np.bincount(hour, weights=chance[plate], minlength=24) + 200 * every)
    return Passes(plate, spot, order.astype(np.int64), repeat, hour, days, per_day, hours, fleet, klass, chance, hourly, _spread(plate, spot, repeat, chance))


def _far(values: Floats, among: Any) -> Any:
    """Far above the middle: more than three (normal) deviations by median and median absolute deviation."""
    if among.sum() < 20:
        return np.zeros(len(values), dtype=bool)
    middle = np.median(values[among])
    return values > middle + 3 * max(1.4826 * float(np.median(np.abs(values[among] - middle))), 0.1 * middle)


def _spread(plate: Ints, spot: Ints, repeat: Any, chance: Floats) -> float:
    """Moment estimate of the intraclass correlation of repeats, over plates and readers with at least three passes."""
    if not len(plate):
        return 0.0
    start = np.flatnonzero(np.concatenate([[True], (plate[1:] != plate[:-1]) | (spot[1:] != spot[:-1])]))
    k, x, p = np.diff(np.concatenate([start, [len(plate)]])), np.add.reduceat(repeat.astype(np.int64), start), chance[plate[start]]
    many = k >= 3
    k, x, p = k[many], x[many], p[many]
    below = float((k * (k - 1) * p * (1 - p)).sum())
    return float(np.clip(((x - k * p) ** 2 - k * p * (1 - p)).sum() / below, 0.0, 0.5)) if below > 0 else 0.0


def spots_near(passages: Passages, lon: float, lat: float, metres: float) -> Ints:
    """Spots within ``metres`` of a place."""
    px, py = positions(passages.spots)
    ok = np.isfinite(px) & np.isfinite(py)
    return np.flatnonzero(ok & (apart(np.where(ok, px, lon), np.where(ok, py, lat), lon, lat) <= metres))


def apart(lon: Any, lat: Any, from_lon: float, from_lat: float) -> Floats:
    """Metres of places from one place."""
    plane = Plane.local(from_lat, from_lon)
    x, y = plane.to_metres(lon, lat)
    x0, y0 = plane.to_metres(np.array([from_lon]), np.array([from_lat]))
    out: Floats = np.hypot(x - x0, y - y0)
    return out


def place(passages: Passages, reader: str | None, lon: float | None, lat: float | None, metres: float) -> tuple[Ints, str]:
    """The spots of a reader, or within ``metres`` of a place, and how to say it.

    Raises:
        BadInput: neither or both were given, no such reader, or no reader is near.
    """
    if (reader is None) == (lon is None or lat is None):
        raise BadInput("Say which place is meant: either reader='R5', or lon= and lat= with metres=.")
    if reader is not None:
        if not isinstance(reader, str):
            raise BadInput(f"reader={str(reader)[:60]!r} is no text; give the reader's name, e.g. 'R5'.")
        whole(reader, "The reader's name")
        spots = np.flatnonzero((passages.spots["reader"] == reader).fill_null(False).to_numpy())
        if not len(spots):
            from workbench.errors import did_you_mean

            known = passages.spots["reader"].drop_nulls().unique().sort().to_list()
            raise BadInput(f"No reader is called {reader!r} in these reads.{did_you_mean(str(reader), known)}")
        return spots, f"reader {reader}"
    checked_place(lon, lat, metres)
    spots = spots_near(passages, float(lon or 0.0), float(lat or 0.0), metres)
    if not len(spots):
        raise BadInput(f"No reader is within {metres:g} m of {lon:.5f}, {lat:.5f}; give a larger distance.")
    return spots, f"within {metres:g} m of {lon:.5f}, {lat:.5f} ({several(len(spots), 'reader')})"


def checked_place(lon: float | None, lat: float | None, metres: float) -> None:
    if lon is not None and lat is not None:
        finite(lon=lon, lat=lat)
    finite(metres=metres)
    if lon is None or lat is None or not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise BadInput(f"lon={lon!r}, lat={lat!r} is no place; give degrees, e.g. lon=-90.9, lat=41.6.")
    if not 1 <= metres <= 20_000:
        raise BadInput(f"metres={metres!r} does not do; give 1 to 20,000 metres, e.g. 300.")


def at_spots(passages: Passages, spots: Ints, until: int | None) -> Ints:
    """Positions of all reads at some spots."""
    parts = [np.arange(passages.by_spot[s], passages.by_spot[s + 1]) for s in spots.tolist()]
    rows: Ints = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return rows if until is None else rows[passages.at[rows] < until]


def beta_binomial_tail(x: Ints, k: Ints, p: Floats, spread: float) -> Floats:
    """P(at least x of k) where each has chance p and any two the correlation ``spread`` (Skellam, JRSS B 10, 1948, 257-261); binomial for 0. Arrays of (n,)."""
    from scipy.special import bdtrc, betaln, gammaln

    p = np.clip(p, 1e-9, 1 - 1e-9)
    if spread < 1e-6:
        out: Floats = np.where(x <= 0, 1.0, bdtrc(np.maximum(x - 1, 0), k, p))
        return out
    a, b = p * (1 / spread - 1), (1 - p) * (1 / spread - 1)
    tail = np.zeros(len(x))
    for i in range(len(x)):
        j = np.arange(x[i], k[i] + 1)
        tail[i] = np.exp(gammaln(k[i] + 1) - gammaln(j + 1) - gammaln(k[i] - j + 1) + betaln(j + a[i], k[i] - j + b[i]) - betaln(a[i], b[i])).sum()
    return tail.clip(0.0, 1.0)

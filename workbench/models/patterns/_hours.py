"""Wall-clock hours on the line of real time: where each begins and ends, and how much of each a span of time holds.

A zone's clock is cut into stretches of one offset; within a stretch wall-clock hours follow each other, where clocks change an hour is cut short or comes
twice. So real elapsed time is what is shared out, and it is put on the hours that clocks showed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.geo import Floats, Ints

HOUR = 3_600_000_000
WEEK = 168 * HOUR
_DAY, _QUARTER = 24 * HOUR, HOUR // 4
_CHUNK = 2_000_000  # pairs of incident and hour that are held at once


@dataclass(frozen=True)
class Timeline:
    """The hours of a zone from ``edges[0]`` to ``edges[-1]``, in microseconds since 1970 UTC.

    Args:
        edges: where each hour, or piece of one where clocks change, begins, and where the last ends, shape (hours + 1,).
        label: hour of the week of each, 0 = Monday 00:00 to 01:00, shape (hours,).
        starts: where each stretch of one offset begins; ``offsets`` from UTC and ``first`` hour number of each.
    """

    edges: Ints
    label: Ints
    starts: Ints
    offsets: Ints
    first: Ints

    def hour(self, at: Ints) -> Ints:
        """The number of the hour in which each moment lies, shape (n,). O(n)."""
        if len(self.starts) == 1:
            return (at + self.offsets[0]) // HOUR - (self.starts[0] + self.offsets[0]) // HOUR
        piece = np.searchsorted(self.starts, at, side="right") - 1
        begin = (self.starts + self.offsets) // HOUR
        return (at + self.offsets[piece]) // HOUR + (self.first - begin)[piece]


def timeline(first: int, last: int, zone: str) -> Timeline:
    """The hours that hold the moments from ``first`` to ``last``. O(hours).

    Raises:
        BadInput: the zone is not known.
    """
    begin, end = first // _DAY * _DAY - _DAY, last // _DAY * _DAY + 2 * _DAY
    days = np.arange(begin, end + 1, _DAY)
    offset = _offsets(days, zone)
    starts, offsets = [begin], [int(offset[0])]
    for i in np.flatnonzero(np.diff(offset)):
        quarters = np.arange(days[i], days[i + 1] + 1, _QUARTER)
        fine = _offsets(quarters, zone)
        for j in np.flatnonzero(np.diff(fine)) + 1:
            starts.append(int(quarters[j]))
            offsets.append(int(fine[j]))
    edges, labels, numbers, n = [], [], [], 0
    for start, shift, stop in zip(starts, offsets, [*starts[1:], end], strict=True):
        hours = np.arange((start + shift) // HOUR, -(-(stop + shift) // HOUR))
        edges.append(np.maximum(hours * HOUR - shift, start))
        labels.append((hours + 72) % 168)  # 1970-01-01 was a Thursday
        numbers.append(n)
        n += len(hours)
    whole = np.concatenate([*edges, [end]])
    return Timeline(whole, np.concatenate(labels), np.array(starts), np.array(offsets), np.array(numbers))


def checked(zone: str) -> str:
    """The zone, if there is one of that name.

    Raises:
        BadInput: there is none.
    """
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise BadInput(f"Time zone {zone!r} is not known; write e.g. 'America/Chicago' or 'UTC'.") from None


def spaced(times: pl.Series) -> None:
    """Check that periods, in order of time, are equally far apart (months may be), so that the k-th before one is the same place in a cycle.

    Raises:
        BadInput: they are not, two begin at the same time, or they are no dates or times (whole numbers may be).
    """
    if len(times) and not (times.dtype.is_temporal() or times.dtype.is_integer()):
        raise BadInput(f"Column {times.name!r} is {times.dtype}, no date or time; give the day or time each period begins.")
    if times.n_unique() < len(times):
        raise BadInput("Two periods begin at the same time; give one count a period.")
    steps = times.diff().drop_nulls().to_physical().to_numpy()
    if len(steps) and (np.abs(steps - np.median(steps)) > 0.15 * np.median(steps)).any():
        raise BadInput("Periods are missing or of unlike length (months may be); put in the periods without incidents with a count of 0.")


def _offsets(at: Ints, zone: str) -> Ints:
    there = pl.Series(at).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return (there.dt.base_utc_offset() + there.dt.dst_offset()).dt.total_microseconds().to_numpy()


@dataclass(frozen=True)
class Spans:
    """When each incident can have happened.

    Args:
        start, end: microseconds since 1970 UTC, ``end >= start``, shape (n,); equal where one moment is known.
        rows: row number in the frame of each, shape (n,).
        untimed: rows without ``started_at``, which are in none of these.
        backward: rows whose end lies before their start; they are taken at their start.
    """

    start: Ints
    end: Ints
    rows: Ints
    untimed: int
    backward: int

    def __len__(self) -> int:
        return len(self.start)

    def only(self, use: Any) -> Spans:
        """Some of them, by number or by mask."""
        return Spans(self.start[use], self.end[use], self.rows[use], self.untimed, self.backward)


def spans(incidents: pl.DataFrame) -> Spans:
    """From ``started_at`` to ``ended_at`` of each incident; without the latter, or with one that is earlier, at ``started_at``. O(n).

    Raises:
        BadInput: there is no column started_at, or times have no zone.
    """
    schema.require(incidents, "started_at", what="The incidents frame")
    columns = [c for c in ("started_at", "ended_at") if c in incidents.columns]
    empty = [pl.col(c).cast(pl.Datetime("us", "UTC")) for c in columns if incidents.schema[c] == pl.Null]
    frame = schema.utc(incidents.select(columns).with_columns(empty), columns)
    start = frame["started_at"].to_physical()
    rows = np.flatnonzero(start.is_not_null().to_numpy()) if start.null_count() else np.arange(len(start))
    begin = start.drop_nulls().to_numpy()
    if "ended_at" not in columns:
        return Spans(begin, begin, rows, len(start) - len(rows), 0)
    given = frame["ended_at"].to_physical()
    end = given.fill_null(start).to_numpy()[rows] if given.null_count() < len(given) else begin
    late = np.maximum(end, begin)
    return Spans(begin, late, rows, len(start) - len(rows), int((end < begin).sum()))


def pairs(found: Spans, line: Timeline) -> tuple[Ints, Ints, Floats]:
    """Every incident with every hour (of the line) that it can lie in: number in ``found``, number of the hour, weight; an incident's sum to 1.

    A moment counts wholly in its hour. O(pairs).
    """
    a, b = line.hour(found.start), line.hour(np.maximum(found.end - 1, found.start))
    many = b - a + 1
    row = np.repeat(np.arange(len(found)), many)
    hour = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many) + a[row]
    part = np.minimum(line.edges[hour + 1], found.end[row]) - np.maximum(line.edges[hour], found.start[row])
    length = found.end - found.start
    weight = np.where(length[row] > 0, part / np.maximum(length[row], 1), 1.0)
    return row, hour, weight


def blocks(found: Spans, line: Timeline) -> list[slice]:
    """Slices of ``found`` whose pairs fit into memory together."""
    many = np.cumsum(line.hour(np.maximum(found.end - 1, found.start)) - line.hour(found.start) + 1)
    cuts = np.searchsorted(many, np.arange(_CHUNK, many[-1] + _CHUNK, _CHUNK)) if len(many) else np.zeros(0, dtype=np.int64)
    stops = np.unique(np.append(np.minimum(cuts + 1, len(found)), len(found)))
    return [slice(int(a), int(b)) for a, b in zip([0, *stops[:-1]], stops, strict=True) if b > a]


def moments(found: Spans, line: Timeline, group: Ints, groups: int, period: int) -> Floats:
    """Sums of p, p squared and p cubed, how many p are above 0, and how many are 1, by group and hour; p = chance that an incident fell there.

    Args:
        found: the incidents, each with its ``group``, 0 to ``groups`` - 1.
        line: of their zone.
        period: 24 folds the hours to those of the day, 168 to those of the week.

    Returns: shape (5, groups, period).

    Incidents that reach no hour of the fold twice are summed by where they begin and end: O(n + groups x hours of the line), or O(pairs) where that is less.
    The others by pairs.
    """
    out = np.zeros((5, groups * period))
    a, b = line.hour(found.start), line.hour(np.maximum(found.end - 1, found.start))
    label = line.label % period
    one = a == b
    where = group[one] * period + label[a[one]]
    out += np.bincount(where, minlength=groups * period)
    turns = line.starts[1:]
    crossed = np.searchsorted(turns, found.start) != np.searchsorted(turns, found.end)
    folded = ((b - a >= period) | crossed) & ~one
    plain = ~folded & ~one
    if groups * (len(line.label) + 1) > 8_000_000 or (groups > 1 and plain.sum() < 20_000):
        folded |= plain
    else:
        _along(out, found.only(plain), a[plain], b[plain], line, label, group[plain], groups, period)
    rest = np.flatnonzero(folded)
    slow = found.only(rest)
    for block in blocks(slow, line):
        row, hour, weight = pairs(slow.only(np.arange(block.start, block.stop)), line)
        key, inverse = np.unique(row * period + label[hour], return_inverse=True)
        p = np.minimum(np.bincount(inverse, weights=weight), 1.0)
        to = group[rest[block]][key // period] * period + key % period
        for i, value in enumerate((p, p**2, p**3, (p > 0).astype(float))):
            out[i] += np.bincount(to, weights=value, minlength=groups * period)
        out[4] += np.bincount(to, weights=p >= 1.0, minlength=groups * period)
    return out.reshape(5, groups, period)


def _along(out: Floats, found: Spans, a: Ints, b: Ints, line: Timeline, label: Ints, group: Ints, groups: int, period: int) -> None:
    """Add the moments of incidents that lie in several hours, none of them twice in the fold."""
    if not len(found):
        return
    hours = len(line.label)
    length = (found.end - found.start).astype(float)
    head, tail = (line.edges[a + 1] - found.start) / length, (found.end - line.edges[b]) / length
    base = group * (hours + 1)
    rate = HOUR / length
    for i in range(4):
        first, last, value = (v ** (i + 1) if i < 3 else (v > 0).astype(float) for v in (head, tail, rate))
        out[i] += np.bincount(group * period + label[a], weights=first, minlength=groups * period)
        out[i] += np.bincount(group * period + label[b], weights=last, minlength=groups * period)
        change = np.bincount(base + a + 1, weights=value, minlength=groups * (hours + 1)) - np.bincount(base + b, weights=value, minlength=groups * (hours + 1))
        running = np.cumsum(change.reshape(groups, hours + 1)[:, :hours], axis=1)
        for g in range(groups):
            out[i, g * period : (g + 1) * period] += np.maximum(np.bincount(label, weights=running[g], minlength=period), 0.0)


def share(found: Spans, line: Timeline, wanted: Floats) -> Floats:
    """The chance that each incident fell into the hours of the week that are wanted (``wanted``: 0 to 1 for each, shape (168,)); shape (n,). O(n + hours)."""
    inside = wanted[line.label]
    before = np.concatenate([[0.0], np.cumsum(inside * np.diff(line.edges))])

    def upto(at: Ints) -> Floats:
        hour = line.hour(at)
        out: Floats = before[hour] + inside[hour] * (at - line.edges[hour])
        return out

    length = found.end - found.start
    part = (upto(found.end) - upto(found.start)) / np.maximum(length, 1)
    out: Floats = np.where(length > 0, np.clip(part, 0.0, 1.0), inside[line.hour(found.start)])
    return out

"""What the wall clock of a time zone says, as UTC: the function ``wall_to_utc(zone, wall)`` of DuckDB.

The rule: a time that does not exist (clocks went forward) is taken by the offset before the change, so 02:30 becomes 03:30 summer time; one
that happened twice (clocks went back) is taken as the first of the two. It is what Python's ``zoneinfo`` says of a time with fold 0. The changes
of a zone are looked up once; a column costs about 70 ns a value, a third of what DuckDB's own ``timezone`` takes for one step of the three
that the rule needs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from struct import unpack
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt

_EPOCH = datetime(1970, 1, 1)
#: The changes of a zone are known between these years; beyond, each time is asked for singly.
_FIRST, _LAST = -5_364_662_400_000_000, 4_102_444_800_000_000  # 1800, 2100
#: Until 2007 at least every zone's changes are listed.
_RULED = 1_167_609_600
_INFINITE = np.iinfo(np.int64).max
Micros = npt.NDArray[np.int64]


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``wall_to_utc(zone, wall)`` known to a connection: a TIMESTAMP of that zone's wall clock as TIMESTAMPTZ, null for null."""
    con.create_function("wall_to_utc", _wall_to_utc, ["VARCHAR", "TIMESTAMP"], "TIMESTAMPTZ", type="arrow", null_handling="special")  # type: ignore[call-overload]


def to_utc(zone: str, wall: Micros) -> Micros:
    """Microseconds since 1970 of a wall clock as those of UTC.

    Args:
        zone: IANA name.
        wall: its wall clock's time.
    """
    from_then, offsets = _changes(zone)
    utc: Micros = wall - offsets[np.searchsorted(from_then, wall, side="right")]
    if len(wall) and (wall.min() < _FIRST or wall.max() >= _LAST):
        far = (wall < _FIRST) | (wall >= _LAST)
        utc[far] = [_singly(zone, int(at)) for at in wall[far]]
    return utc


def _singly(zone: str, wall: int) -> int:
    """One time, asked of zoneinfo; of a year that Python does not have, as in the year 1 or 9998."""
    if abs(wall) >= _INFINITE:
        return wall
    try:
        at = _EPOCH + timedelta(microseconds=wall)
    except OverflowError:
        at = datetime(2, 1, 1) if wall < 0 else datetime(9998, 1, 1)
    return wall - _offset(at.replace(tzinfo=ZoneInfo(zone)))


def _offset(at: datetime) -> int:
    return round((at.utcoffset() or timedelta()) / timedelta(microseconds=1))


@lru_cache(maxsize=64)
def _changes(zone: str) -> tuple[Micros, Micros]:
    """(from which wall-clock time on, the offset from then on) of a zone; offsets have one more in front, that of before."""
    clock = ZoneInfo(zone)
    instants = sorted({t for t in (*_written(zone), *_foreseen(clock)) if _FIRST < t * 1_000_000 < _LAST})
    offsets = [_offset((_EPOCH + timedelta(microseconds=_FIRST)).replace(tzinfo=UTC).astimezone(clock))]
    offsets += [_offset((_EPOCH + timedelta(seconds=t)).replace(tzinfo=UTC).astimezone(clock)) for t in instants]
    walls = [t * 1_000_000 + max(a, b) for t, a, b in zip(instants, offsets, offsets[1:], strict=False)]
    return np.array(walls, np.int64), np.array(offsets, np.int64)


def _written(zone: str) -> tuple[int, ...]:
    """The instants of change, in seconds, that the time zone database lists (RFC 8536)."""
    files = [Path(folder) / zone for folder in TZPATH]
    found = next((f for f in files if f.is_file()), None)
    data = found.read_bytes() if found else resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()
    utc, std, leap, times, types, chars = unpack(">6l", data[20:44])
    if data[4:5] < b"2":
        return unpack(f">{times}l", data[44:44 + 4 * times])
    second = 44 + 5 * times + 6 * types + chars + 8 * leap + std + utc
    times = unpack(">l", data[second + 32:second + 36])[0]
    return unpack(f">{times}q", data[second + 44:second + 44 + 8 * times])


def _foreseen(clock: ZoneInfo) -> list[int]:
    """The instants of change from 2007 to 2100 by the rule that holds on: offsets two weeks apart that differ, halved down to the second."""
    def offset(t: int) -> timedelta | None:
        return (_EPOCH + timedelta(seconds=t)).replace(tzinfo=UTC).astimezone(clock).utcoffset()

    found, step = [], 14 * 86400
    first = last = offset(_RULED)
    for t in range(_RULED, _LAST // 1_000_000, step):
        low, high, first, last = t, t + step, last, offset(t + step)
        if first == last:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == first else (low, middle)
        found.append(high)
    return found


def _wall_to_utc(zone: Any, wall: Any) -> Any:
    import pyarrow as pa

    if isinstance(wall, pa.ChunkedArray):
        wall = wall.combine_chunks()
    count, shape = len(wall), pa.timestamp("us", "UTC")
    if wall.null_count == count or zone[0].as_py() is None:
        return pa.nulls(count, shape)
    bits, micros = wall.buffers()
    utc = np.frombuffer(micros, np.int64, count, wall.offset * 8)
    if not wall.null_count:
        return pa.Array.from_buffers(shape, count, [None, pa.py_buffer(to_utc(zone[0].as_py(), utc))])
    given = np.unpackbits(np.frombuffer(bits, np.uint8), count=wall.offset + count, bitorder="little")[wall.offset:].astype(bool)
    utc = np.where(given, utc, 0)
    utc[given] = to_utc(zone[0].as_py(), utc[given])
    return pa.Array.from_buffers(shape, count, [pa.py_buffer(np.packbits(given, bitorder="little")), pa.py_buffer(utc)], wall.null_count)

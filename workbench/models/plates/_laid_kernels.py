"""Compiled loops that lay reads out: seconds, numbers of names, the order by (spot, second, plate), and days of the wall clock."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import kernel

_RUN = 64  # reads of one spot and second that are put in order one by one


@kernel("i8[:], i8, i8[:], i8[:], i8")
def seconds(moments: Any, unit: Any, out: Any, ends: Any, place: Any) -> None:
    """Whole seconds of moments of which ``unit`` make one; their least and greatest in ``ends[place]`` and ``ends[place + 1]``."""
    low, high = ends[place], ends[place + 1]
    for i in range(len(moments)):
        s = moments[i] // unit
        out[i] = s
        low = min(low, s)
        high = max(high, s)
    ends[place] = low
    ends[place + 1] = high


@kernel("u4[:], u1[:]")
def marked(numbers: Any, seen: Any) -> None:
    """1 for every number that occurs."""
    for i in range(len(numbers)):
        seen[numbers[i]] = 1


@kernel("u4[:], u4[:], u4[:]")
def mapped(numbers: Any, new: Any, out: Any) -> None:
    """Every number by its new one."""
    for i in range(len(numbers)):
        out[i] = new[numbers[i]]


@kernel("u4[:], i8[:]")
def tallied(codes: Any, many: Any) -> None:
    """Add to ``many[c + 1]`` how often each code occurs."""
    for i in range(len(codes)):
        many[codes[i] + 1] += 1


@kernel("u4[:], i8[:], i8, i8, i8, i8, i8, u8[:]")
def packed(first: Any, at: Any, low: Any, at_bits: Any, row_bits: Any, start: Any, stop: Any, out: Any) -> None:
    """(first, at - low, row) as one number, for the rows ``start:stop``."""
    by_at, by_row = np.uint64(at_bits), np.uint64(row_bits)
    for i in range(start, stop):
        out[i] = (((np.uint64(first[i]) << by_at) | np.uint64(at[i] - low)) << by_row) | np.uint64(i)


@kernel("u8[:], u4[:], i8, i8, i8, i8, i8, u4[:], u4[:], i8[:], u4[:]")
def unpacked(key: Any, code: Any, low: Any, at_bits: Any, row_bits: Any, start: Any, stop: Any, plate: Any, spot: Any, at: Any, row: Any) -> None:
    """What ``packed`` packed, in its new order, and the code of each row."""
    by_at, by_row = np.uint64(at_bits), np.uint64(row_bits)
    at_mask, row_mask = (np.uint64(1) << by_at) - np.uint64(1), (np.uint64(1) << by_row) - np.uint64(1)
    for i in range(start, stop):
        r = np.uint32(key[i] & row_mask)
        rest = key[i] >> by_row
        row[i] = r
        plate[i] = code[r]
        at[i] = np.int64(rest & at_mask) + low
        spot[i] = np.uint32(rest >> by_at)


@kernel("u4[:], i8[:], u4[:], u4[:], i8[:] -> i8")
def settled(spot: Any, at: Any, plate: Any, row: Any, long: Any) -> Any:
    """Reads of one spot and second in order of (plate, row); of longer runs only the ends are put into ``long``, and how many there are comes back."""
    n = len(spot)
    i = 0
    m = 0
    while i < n:
        j = i + 1
        while j < n and at[j] == at[i] and spot[j] == spot[i]:
            j += 1
        if j - i > _RUN:
            if 2 * m + 1 < len(long):
                long[2 * m] = i
                long[2 * m + 1] = j
            m += 1
        else:
            for a in range(i + 1, j):
                p, r = plate[a], row[a]
                b = a
                while b > i and plate[b - 1] > p:
                    plate[b] = plate[b - 1]
                    row[b] = row[b - 1]
                    b -= 1
                plate[b] = p
                row[b] = r
        i = j
    return m


@kernel("i8[:], i8[:], i8, i8, i8, i8[:]")
def hours(at: Any, ahead: Any, quarter: Any, start: Any, stop: Any, many: Any) -> None:
    """How many reads are in each hour of the wall clock, which is ``ahead`` of UTC by so many seconds in each quarter of an hour from ``quarter`` on."""
    for i in range(start, stop):
        many[(at[i] + ahead[at[i] // 900 - quarter]) // 3600 % 24] += 1


@kernel("i8[:], i8[:], i8, i8, i8, i8, i8, i8[:]")
def dates(at: Any, ahead: Any, quarter: Any, shift: Any, low: Any, start: Any, stop: Any, many: Any) -> None:
    """How many reads are on each date of the wall clock, which begins ``shift`` seconds after midnight; from ``low`` on."""
    for i in range(start, stop):
        many[(at[i] + ahead[at[i] // 900 - quarter] - shift) // 86400 - low] += 1


@kernel("i8[:], i8[:], i8, i8, i8, u2[:], i8, i8, u2[:]")
def days(at: Any, ahead: Any, quarter: Any, shift: Any, low: Any, number: Any, start: Any, stop: Any, out: Any) -> None:
    """The number of each read's date."""
    for i in range(start, stop):
        out[i] = number[(at[i] + ahead[at[i] // 900 - quarter] - shift) // 86400 - low]


@kernel("u4[:], u4[:], i8[:], u2[:], i8[:], i8, i8, i8, i8, i8, i8, u8[:]")
def by_habit(plate: Any, spot: Any, at: Any, day: Any, ahead: Any, quarter: Any, shift: Any, spot_bits: Any, day_bits: Any, start: Any, stop: Any,
             out: Any) -> None:
    """(plate, spot, second of the day, day) as one number."""
    by_spot, by_day = np.uint64(spot_bits), np.uint64(day_bits)
    for i in range(start, stop):
        second = (at[i] + ahead[at[i] // 900 - quarter] - shift) % 86400
        key = (((np.uint64(plate[i]) << by_spot) | np.uint64(spot[i])) << np.uint64(17)) | np.uint64(second)
        out[i] = (key << by_day) | np.uint64(day[i])


@kernel("u8[:], i8, i8, i8, i8, u2[:]")
def taken_apart(keys: Any, day_bits: Any, key_bits: Any, start: Any, stop: Any, day: Any) -> None:
    """Of what ``by_habit`` packed the days into ``day``, and (spot, second) in place of the whole."""
    by_day = np.uint64(day_bits)
    day_mask, mask = (np.uint64(1) << by_day) - np.uint64(1), (np.uint64(1) << np.uint64(key_bits)) - np.uint64(1)
    for i in range(start, stop):
        day[i] = np.uint16(keys[i] & day_mask)
        keys[i] = (keys[i] >> by_day) & mask

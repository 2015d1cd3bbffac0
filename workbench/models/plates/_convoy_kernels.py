"""Compiled loops of convoys: pairs that pass a spot together, what their habits alone would give, and days dealt out anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import GOLD, kernel, mixed, part

#: Bits of the second of a day.
TOD = 17
_ONE, _ZERO = np.uint64(1), np.uint64(0)


@kernel("u4[:], u4[:], i8[:], i8, i8, i8, i8[:] -> i8")
def counted(plate: Any, spot: Any, at: Any, within: Any, start: Any, stop: Any, low: Any) -> Any:
    """Co-reads whose first read is in ``start:stop``; ``low[p]`` is raised by those in which p is the plate of the lower number."""
    n = len(plate)
    total = 0
    for i in range(start, stop):
        a, s, last = plate[i], spot[i], at[i] + within
        j = i + 1
        while j < n and spot[j] == s and at[j] <= last:
            b = plate[j]
            if a != b:
                low[min(a, b)] += 1
                total += 1
            j += 1
    return total


@kernel("u4[:], u4[:], i8[:], u2[:], i8, i8, i8, i8, i8, i8, u8[:] -> i8")
def filled(plate: Any, spot: Any, at: Any, day: Any, within: Any, first: Any, last: Any, plate_bits: Any, spot_bits: Any, day_bits: Any, out: Any) -> Any:
    """Every co-read of plates ``first`` to ``last`` (the lower number) packed as (lower - first, higher, spot, day of the earlier); returns how many."""
    n = len(plate)
    k = 0
    by_plate, by_spot, by_day = np.uint64(plate_bits), np.uint64(spot_bits), np.uint64(day_bits)
    for i in range(n):
        a = plate[i]
        if a < first or a >= last:
            continue
        s, since, until = spot[i], at[i] - within, at[i] + within
        lower = np.uint64(a - first) << by_plate
        j = i - 1
        while j >= 0 and spot[j] == s and at[j] >= since:
            if plate[j] > a:
                out[k] = (((lower | np.uint64(plate[j])) << by_spot | np.uint64(s)) << by_day) | np.uint64(day[j])
                k += 1
            j -= 1
        j = i + 1
        while j < n and spot[j] == s and at[j] <= until:
            if plate[j] > a:
                out[k] = (((lower | np.uint64(plate[j])) << by_spot | np.uint64(s)) << by_day) | np.uint64(day[i])
                k += 1
            j += 1
    return k


@kernel("u8[:], i8, i8, i8, i8, u4[:], u4[:], i8[:], u2[:]")
def apart(packed: Any, at_bits: Any, plate_bits: Any, start: Any, stop: Any, plate: Any, spot: Any, at: Any, day: Any) -> None:
    """What ``shuffled`` packed, taken apart."""
    by_plate, by_at = np.uint64(plate_bits), np.uint64(at_bits)
    plate_mask, at_mask = (_ONE << by_plate) - _ONE, (_ONE << by_at) - _ONE
    for i in range(start, stop):
        rest = packed[i] >> by_plate
        plate[i] = np.uint32(packed[i] & plate_mask)
        at[i] = np.int64(rest & at_mask)
        day[i] = np.uint16((rest & at_mask) >> np.uint64(TOD))
        spot[i] = np.uint32(rest >> by_at)


@kernel("u8[:], i8, i8, i8, i8, i8, i8, i8, i4[:], u4[:], u4[:], i4[:,:] -> i8")
def runs(keys: Any, plate_bits: Any, spot_bits: Any, day_bits: Any, base: Any, least: Any, spots: Any, days: Any, seen: Any, low: Any, high: Any,
         counts: Any) -> Any:
    """Pairs of sorted keys with at least so many co-reads (a spot counts once a day), spots and days; ``counts`` is together, spots, days, co-reads."""
    n = len(keys)
    shift, by_day = np.uint64(spot_bits + day_bits), np.uint64(day_bits)
    mask, day_mask = (_ONE << np.uint64(plate_bits)) - _ONE, (_ONE << np.uint64(day_bits)) - _ONE
    i = 0
    m = 0
    stamp = 0
    while i < n:
        pair = keys[i] >> shift
        j = i + 1
        while j < n and keys[j] >> shift == pair:
            j += 1
        if j - i >= least:
            stamp += 1
            together = 1
            where = 1
            when = 1
            seen[keys[i] & day_mask] = stamp
            for k in range(i + 1, j):
                if keys[k] != keys[k - 1]:
                    together += 1
                    if keys[k] >> by_day != keys[k - 1] >> by_day:
                        where += 1
                    d = keys[k] & day_mask
                    if seen[d] != stamp:
                        seen[d] = stamp
                        when += 1
            if together >= least and when >= days and (where >= spots or (where == spots - 1 and when >= 2 * days + 1)):
                low[m] = np.uint32(pair >> np.uint64(plate_bits)) + np.uint32(base)
                high[m] = np.uint32(pair & mask)
                counts[m, 0] = together
                counts[m, 1] = where
                counts[m, 2] = when
                counts[m, 3] = j - i
                m += 1
        i = j
    return m


@part
def _from(key: Any, start: Any, stop: Any, wanted: Any) -> Any:
    """The first place from ``start`` on whose key is at least ``wanted``, by doubling steps."""
    step = 1
    low = start
    while low < stop and key[low] < wanted:
        start = low + 1
        low += step
        step *= 2
    high = min(low, stop)
    while start < high:
        middle = (start + high) // 2
        if key[middle] < wanted:
            start = middle + 1
        else:
            high = middle
    return start


@kernel("u4[:], u4[:], i8[:], i8[:], u2[:], u1[:], f8[:], i8, i8, i8, f8[:], f8[:]")
def expected(one: Any, other: Any, first: Any, key: Any, day: Any, kind: Any, weight: Any, wide: Any, start: Any, stop: Any, most: Any, out: Any) -> None:
    """Co-passings of pairs on different days of one kind within ``wide`` seconds of the day, each by ``weight`` of its day; no further than ``most``."""
    for q in range(start, stop):
        a, b = one[q], other[q]
        if first[a + 1] - first[a] > first[b + 1] - first[b]:
            a, b = b, a
        j, j_stop = first[b], first[b + 1]
        total = 0.0
        for i in range(first[a], first[a + 1]):
            x = key[i]
            j = _from(key, j, j_stop, x - wide)
            if j == j_stop:
                break
            d = day[i]
            k = kind[d]
            m = j
            found = 0
            while m < j_stop and key[m] <= x + wide:
                e = day[m]
                if e != d and kind[e] == k:
                    found += 1
                m += 1
            total += found * weight[d]
            if total > most[q]:
                break
        out[q] = total


@kernel("i8[:], u2[:], i8[:], u2[:], i8[:], u8, i8, i8, i8, i8, u2[:], u2[:], u8[:]")
def shuffled(first: Any, day: Any, key: Any, listed: Any, kinds: Any, seed: Any, at_bits: Any, plate_bits: Any, start: Any, stop: Any, new: Any, scratch: Any,
             out: Any) -> None:
    """The days of each plate in ``start:stop`` dealt out anew among days of one kind: ``new`` the days, ``out`` the reads packed as (spot, moment, plate).

    ``listed`` has the days kind by kind, those of kind k at ``kinds[k]:kinds[k + 1]``; ``scratch`` has the length of ``listed``.
    """
    for p in range(start, stop):
        state = np.uint64(seed) + np.uint64(p + 1) * GOLD
        state = mixed(state)
        for k in range(len(kinds) - 1):
            low, high = kinds[k], kinds[k + 1]
            for i in range(low, high):
                scratch[listed[i]] = listed[i]
            for i in range(high - 1, low, -1):
                state += GOLD
                j = low + np.int64(mixed(state) % np.uint64(i - low + 1))
                a, b = listed[i], listed[j]
                held = scratch[a]
                scratch[a] = scratch[b]
                scratch[b] = held
        for i in range(first[p], first[p + 1]):
            d = scratch[day[i]]
            new[i] = d
            moment = (np.uint64(d) << np.uint64(TOD)) | np.uint64(key[i] & np.int64((1 << TOD) - 1))
            out[i] = (((np.uint64(key[i] >> np.int64(TOD)) << np.uint64(at_bits)) | moment) << np.uint64(plate_bits)) | np.uint64(p)


@kernel("u4[:], u4[:], u4[:], i8[:], i8, u4[:], u4[:] -> i8")
def near(mine: Any, plate: Any, spot: Any, at: Any, within: Any, own: Any, others: Any) -> Any:
    """Reads of other plates at the spots of the reads ``mine`` within so many seconds; with arrays of no length they are only counted."""
    k = 0
    n = len(plate)
    for q in range(len(mine)):
        i = np.int64(mine[q])
        p, s, t = plate[i], spot[i], at[i]
        j = i - 1
        while j >= 0 and spot[j] == s and at[j] >= t - within:
            if plate[j] != p:
                if k < len(own):
                    own[k] = i
                    others[k] = j
                k += 1
            j -= 1
        j = i + 1
        while j < n and spot[j] == s and at[j] <= t + within:
            if plate[j] != p:
                if k < len(own):
                    own[k] = i
                    others[k] = j
                k += 1
            j += 1
    return k

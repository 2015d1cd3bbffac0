"""Counts of close pairs by distance and time band, for the times as they are and for permutations of them.

The permuted times of 64 permutations lie side by side, so that one pair is looked up once for all of them and the comparison of 16 or more
permutations is one instruction. Permutation ``p`` is drawn from the seed and ``p`` alone: the answer is the same for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import each, kernel, mixed, part
from workbench.geo import Ints
from workbench.models.patterns._pairs import Banded

WIDE = 64  # permutations side by side; the kernels below are written for just this many
_SMALL = 32_000  # the largest time that fits the quick path


@part
def shuffle(order: Any, starts: Any, slots: Any, seed: Any, number: int) -> None:
    """Fill ``slots`` with permutation ``number``: rows of one stratum, ``order[starts[s]:starts[s + 1]]``, change places among themselves.

    Number 0 changes nothing.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    low32 = np.uint64(0xFFFFFFFF)
    state = mixed(seed + np.uint64(number) * step)
    for k in range(len(slots)):
        slots[k] = k
    if number == 0:
        return
    for s in range(len(starts) - 1):
        first = starts[s]
        for k in range(starts[s + 1] - first - 1, 0, -1):
            many = np.uint64(k + 1)
            state += step
            wide = (mixed(state) >> np.uint64(32)) * many
            if (wide & low32) < many:  # Lemire, ACM TOMACS 29 (2019): no place is likelier than another
                least = (np.uint64(4294967296) - many) % many
                while (wide & low32) < least:
                    state += step
                    wide = (mixed(state) >> np.uint64(32)) * many
            a = order[first + k]
            b = order[first + np.int64(wide >> np.uint64(32))]
            keep = slots[a]
            slots[a] = slots[b]
            slots[b] = keep


@kernel("i8[:], i8[:], i8[:], i2[:], u8, i8, i8[:], i2[:,:]")
def _times16(order, starts, place, times, seed, first, slots, out):  # type: ignore[no-untyped-def]
    """``out[place[row], q]`` = the time that permutation ``first + q`` gives the row; the two rows behind are as far apart as can be."""
    n = len(times)
    for q in range(64):
        shuffle(order, starts, slots, seed, first + q)
        for k in range(n):
            out[place[k], q] = times[slots[k]]
        out[n, q] = 0
        out[n + 1, q] = 32767


@kernel("i8[:], i8[:], i8[:], i8[:], u8, i8, i8[:], i8[:,:]")
def _times64(order, starts, place, times, seed, first, slots, out):  # type: ignore[no-untyped-def]
    """As ``_times16``, for times of any size."""
    n = len(times)
    for q in range(64):
        shuffle(order, starts, slots, seed, first + q)
        for k in range(n):
            out[place[k], q] = times[slots[k]]
        out[n, q] = 0
        out[n + 1, q] = 4611686018427387903


@kernel("i4[:], i4[:], i8, i8, i2[:,:], i2[:], i8, i2[:], i8[:,:]")
def _count16(i, j, start, end, times, below, first, held, out):  # type: ignore[no-untyped-def]
    """Add to ``out[first + k, q]`` how many of the pairs start..end are under ``below[first + k]`` apart, k = 0..3; whole groups of four pairs.

    ``held`` (256 counters) has a fixed width, by which the compiler sees that the four rows of counters never overlap.
    """
    e0, e1, e2, e3 = below[first], below[first + 1], below[first + 2], below[first + 3]
    at = start
    while at < end:
        stop = min(end, at + 4 * 8000)
        for z in range(256):
            held[z] = 0
        for p in range(at, stop, 4):
            i0, i1, i2, i3 = i[p], i[p + 1], i[p + 2], i[p + 3]
            j0, j1, j2, j3 = j[p], j[p + 1], j[p + 2], j[p + 3]
            for z in range(64):
                a = abs(np.int16(times[i0, z] - times[j0, z]))
                b = abs(np.int16(times[i1, z] - times[j1, z]))
                c = abs(np.int16(times[i2, z] - times[j2, z]))
                d = abs(np.int16(times[i3, z] - times[j3, z]))
                held[z] += np.int16(a < e0) + np.int16(b < e0) + np.int16(c < e0) + np.int16(d < e0)
                held[64 + z] += np.int16(a < e1) + np.int16(b < e1) + np.int16(c < e1) + np.int16(d < e1)
                held[128 + z] += np.int16(a < e2) + np.int16(b < e2) + np.int16(c < e2) + np.int16(d < e2)
                held[192 + z] += np.int16(a < e3) + np.int16(b < e3) + np.int16(c < e3) + np.int16(d < e3)
        for k in range(4):
            for z in range(64):
                out[first + k, z] += held[64 * k + z]
        at = stop


@kernel("i4[:], i4[:], i8, i8, i2[:,:], u1[:], i8, u1[:], i8[:,:]")
def _count8(i, j, start, end, times, below, first, held, out):  # type: ignore[no-untyped-def]
    """As ``_count16`` for edges up to 255, eight of them: differences are cut to one byte, so that one instruction compares 32 permutations or more.

    ``held`` is 512 counters of one byte, emptied before they can run over, then the differences of four pairs. Differences and edges are 128 less than they
    are, since comparing numbers with a sign is the cheaper instruction.
    """
    e0, e1, e2, e3 = np.int8(below[first]), np.int8(below[first + 1]), np.int8(below[first + 2]), np.int8(below[first + 3])
    e4, e5, e6, e7 = np.int8(below[first + 4]), np.int8(below[first + 5]), np.int8(below[first + 6]), np.int8(below[first + 7])
    at = start
    while at < end:
        stop = min(end, at + 4 * 63)
        for z in range(512):
            held[z] = 0
        for p in range(at, stop, 4):
            i0, i1, i2, i3 = i[p], i[p + 1], i[p + 2], i[p + 3]
            j0, j1, j2, j3 = j[p], j[p + 1], j[p + 2], j[p + 3]
            for z in range(64):
                held[512 + z] = np.uint8(min(np.int16(abs(np.int16(times[i0, z] - times[j0, z]))), np.int16(255)) - np.int16(128))
                held[576 + z] = np.uint8(min(np.int16(abs(np.int16(times[i1, z] - times[j1, z]))), np.int16(255)) - np.int16(128))
                held[640 + z] = np.uint8(min(np.int16(abs(np.int16(times[i2, z] - times[j2, z]))), np.int16(255)) - np.int16(128))
                held[704 + z] = np.uint8(min(np.int16(abs(np.int16(times[i3, z] - times[j3, z]))), np.int16(255)) - np.int16(128))
            for z in range(64):
                a, b, c, d = np.int8(held[512 + z]), np.int8(held[576 + z]), np.int8(held[640 + z]), np.int8(held[704 + z])
                held[z] += np.uint8(a < e0) + np.uint8(b < e0) + np.uint8(c < e0) + np.uint8(d < e0)
                held[64 + z] += np.uint8(a < e1) + np.uint8(b < e1) + np.uint8(c < e1) + np.uint8(d < e1)
                held[128 + z] += np.uint8(a < e2) + np.uint8(b < e2) + np.uint8(c < e2) + np.uint8(d < e2)
                held[192 + z] += np.uint8(a < e3) + np.uint8(b < e3) + np.uint8(c < e3) + np.uint8(d < e3)
                held[256 + z] += np.uint8(a < e4) + np.uint8(b < e4) + np.uint8(c < e4) + np.uint8(d < e4)
                held[320 + z] += np.uint8(a < e5) + np.uint8(b < e5) + np.uint8(c < e5) + np.uint8(d < e5)
                held[384 + z] += np.uint8(a < e6) + np.uint8(b < e6) + np.uint8(c < e6) + np.uint8(d < e6)
                held[448 + z] += np.uint8(a < e7) + np.uint8(b < e7) + np.uint8(c < e7) + np.uint8(d < e7)
        for k in range(8):
            for z in range(64):
                out[first + k, z] += held[64 * k + z]
        at = stop


@kernel("i4[:], i4[:], i8, i8, i8[:,:], i8[:], i8[:,:]")
def _count64(i, j, start, end, times, below, out):  # type: ignore[no-untyped-def]
    """As ``_count16``, for times of any size and all of ``below`` at once."""
    for p in range(start, end):
        a = i[p]
        b = j[p]
        for k in range(len(below)):
            e = below[k]
            for z in range(64):
                out[k, z] += np.int64(abs(times[a, z] - times[b, z]) < e)


def counts(pairs: Banded, place: Ints, times: Ints, below: Ints, *, strata: Ints | None = None, permutations: int = 999, seed: int = 1,
           threads: int | None = None) -> Ints:
    """How many pairs of each distance band lie under each time apart, for the observed times and every permutation.

    Args:
        pairs: places of the points; ``place[row]`` is the place of a row, shape (n,).
        times: whole numbers from 0 of a row, shape (draws, n): one draw, or several of uncertain times that are permuted together.
        below: edges, rising; counted is ``abs(difference) < edge``, shape (K,).
        strata: rows of one number change times among themselves only, shape (n,).

    Returns: shape (draws, distance bands, K, permutations + 1); the first permutation is the observed order.

    Cost: O(draws x permutations x pairs x K); 64 permutations of 2 bytes a row a thread (8 bytes where times reach beyond 32,000).
    """
    n = times.shape[1]
    order = np.arange(n, dtype=np.int64) if strata is None else np.argsort(strata, kind="stable").astype(np.int64)
    starts: Ints = np.array([0, n]) if strata is None else np.concatenate([[0], np.flatnonzero(np.diff(strata[order])) + 1, [n]])
    starts, top = starts.astype(np.int64), int(below[-1])
    small = int(times.max(initial=0)) <= _SMALL
    step = 1 if not small else 8 if top <= 255 else 4
    edges = np.zeros(-(-len(below) // step) * step, dtype=np.int64)
    edges[: len(below)] = np.minimum(below, 32767) if small else below
    kind: Any = np.int16 if small else np.int64
    moments, limits = np.ascontiguousarray(times, dtype=kind), _limits(edges, step)
    bands = len(pairs.sizes)
    out = np.zeros((len(times), bands, len(below), permutations + 1), dtype=np.int64)

    def block(first: int) -> None:
        slots, table, held = np.empty(n, dtype=np.int64), np.empty((n + 2, WIDE), dtype=kind), np.empty(12 * WIDE, dtype=np.uint8 if step == 8 else np.int16)
        wide = min(WIDE, permutations + 1 - first)
        for draw, row in enumerate(moments):
            (_times16 if small else _times64)(order, starts, place, row, np.uint64(seed), first, slots, table)
            for band in range(bands):
                found = np.zeros((len(edges), WIDE), dtype=np.int64)
                start, end = int(pairs.starts[band]), int(pairs.starts[band + 1])  # with what fills it up
                if step == 1:
                    _count64(pairs.i, pairs.j, start, end, table, limits, found)
                else:
                    for k in range(0, len(edges), step):
                        (_count8 if step == 8 else _count16)(pairs.i, pairs.j, start, end, table, limits, k, held, found)
                out[draw, band, :, first : first + wide] = found[: len(below), :wide]

    each(block, range(0, permutations + 1, WIDE), threads=threads)
    return out


def _limits(edges: Ints, step: int) -> np.ndarray[Any, Any]:
    """The edges as the kernel of that step compares with them: a byte (128 less, so that it has a sign), 16 bits, or 64."""
    return (edges - 128).astype(np.int8).view(np.uint8) if step == 8 else edges.astype(np.int16) if step == 4 else edges

"""The space-time cylinders of the permutation scan: which circles there are, and the best cylinder of a set of days. Shared by ``scan``.

A circle lies about a place where something happened and grows place by place. When a circle takes in a place, only cylinders that hold one of the new
incidents can be better than those of the smaller circle (the others have the same count and a larger expectation), so only those are looked at. Of these a
cylinder is dropped without taking a logarithm when its expectation is larger than the one at which its count would reach the best value so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import GOLD, each, kernel, mixed, part
from workbench.geo import Floats, Ints

_S32 = np.uint64(32)
_PARTS = 48


@dataclass(frozen=True, eq=False)
class Circles:
    """For every place the incidents round it, nearest first.

    Args:
        x, y: the places (metres), each once.
        begin: where each place's incidents begin, shape (places + 1,).
        row: incident numbers; ``square``: their squared distance; ``full``: 1 where a circle may end (the next one lies farther off).
    """

    x: Floats
    y: Floats
    begin: Ints
    row: Any
    square: Floats
    full: Any


def circles(x: Floats, y: Floats, radius: float, most: int) -> Circles:
    """Circles up to ``radius`` metres and ``most`` incidents about every place. O(places x incidents in reach x log)."""
    places, of = np.unique(np.column_stack([x, y]), axis=0, return_inverse=True)
    px, py = np.ascontiguousarray(places[:, 0]), np.ascontiguousarray(places[:, 1])
    columns = np.floor((x - x.min()) / radius).astype(np.int64)
    rows = np.floor((y - y.min()) / radius).astype(np.int64)
    wide = int(columns.max()) + 1
    order = np.lexsort((np.arange(len(x)), rows * wide + columns))
    bucket = np.concatenate([[0], np.cumsum(np.bincount(rows * wide + columns, minlength=wide * (int(rows.max()) + 1)))]).astype(np.int64)
    sx, sy, box = np.ascontiguousarray(x[order]), np.ascontiguousarray(y[order]), np.array([x.min(), y.min(), radius])
    many = np.zeros(len(px), dtype=np.int64)
    nothing_i, nothing_f = np.zeros(1, dtype=np.int64), np.zeros(1)
    _near(px, py, sx, sy, bucket, wide, box, many, nothing_i, nothing_i, nothing_f, 0)
    begin = np.concatenate([[0], np.cumsum(many)]).astype(np.int64)
    found, square = np.empty(begin[-1], dtype=np.int64), np.empty(begin[-1])
    _near(px, py, sx, sy, bucket, wide, box, many, begin, found, square, 1)
    place = np.repeat(np.arange(len(px)), many)
    by = np.lexsort((found, square, place))
    square, row = square[by], order[found[by]].astype(np.int32)
    full = np.ones(len(row), dtype=np.int8)
    full[:-1] = (square[1:] > square[:-1]) | (place[1:] != place[:-1])
    full[np.arange(len(row)) - begin[place] >= most] = 0
    return Circles(px, py, begin, row, square, full)


@kernel("f8[:], f8[:], f8[:], f8[:], i8[:], i8, f8[:], i8[:], i8[:], i8[:], f8[:], i8")
def _near(px, py, sx, sy, bucket, wide, box, many, begin, found, square, fill):  # type: ignore[no-untyped-def]
    """How many incidents lie within the radius of each place; with ``fill`` also which, and how far."""
    high = (len(bucket) - 1) // wide
    for p in range(len(px)):
        column, row, n = int((px[p] - box[0]) / box[2]), int((py[p] - box[1]) / box[2]), 0
        for r in range(max(row - 1, 0), min(row + 1, high - 1) + 1):
            for b in range(bucket[r * wide + max(column - 1, 0)], bucket[r * wide + min(column + 1, wide - 1) + 1]):
                d = (sx[b] - px[p]) ** 2 + (sy[b] - py[p]) ** 2
                if d <= box[2] * box[2]:
                    if fill == 1:
                        found[begin[p] + n], square[begin[p] + n] = b, d
                    n += 1
        many[p] = n


@dataclass(frozen=True, eq=False)
class Best:
    """The best cylinder about each place: log-likelihood ratio (0 = none), incidents in the circle, first and last day, count; shape (places,)."""

    value: Floats
    circle: Ints
    first: Ints
    last: Ints
    count: Ints


def best(found: Circles, day: Ints, days: int, longest: int, least: int, alive: bool) -> Best:
    """The best cylinder about every place, from each incident's day (0 to days - 1). ``alive``: only those that reach the last day."""
    places, out = len(found.x), np.zeros((4, len(found.x)), dtype=np.int64)
    value = np.zeros(places)
    before = np.concatenate([[0], np.cumsum(np.bincount(day, minlength=days))]).astype(np.int64)
    held, limit = np.empty(int(np.diff(found.begin).max(initial=0)) + 1, dtype=np.int64), np.empty(len(day) + 1)
    _search(found.begin, found.row, found.full, day, before, longest, least, int(alive), 1, held, limit, value, out)
    return Best(value, out[0], out[1], out[2], out[3])


def maxima(found: Circles, day: Ints, days: int, longest: int, least: int, alive: bool, runs: int, seed: int, threads: int | None) -> Floats:
    """The largest log-likelihood ratio of each of ``runs`` permutations of the days among the incidents; a stream of random numbers each."""
    before = np.concatenate([[0], np.cumsum(np.bincount(day, minlength=days))]).astype(np.int64)
    bounds = np.unique(np.linspace(0, runs, min(_PARTS, runs) + 1).astype(np.int64))
    largest = int(np.diff(found.begin).max(initial=0)) + 1

    def run(k: int) -> Floats:
        value, out = np.zeros(1), np.zeros((4, 1), dtype=np.int64)
        held, limit, mixed, results = np.empty(largest, dtype=np.int64), np.empty(len(day) + 1), np.empty(len(day), dtype=np.int64), []
        for r in range(int(bounds[k]), int(bounds[k + 1])):
            _shuffled(day, mixed, np.uint64(seed % 2**64), r)
            value[0] = 0.0
            _search(found.begin, found.row, found.full, mixed, before, longest, least, int(alive), 0, held, limit, value, out)
            results.append(float(value[0]))
        return np.array(results)

    return np.concatenate(each(run, range(len(bounds) - 1), threads=threads)) if runs else np.zeros(0)


@kernel("i8[:], i8[:], u8, i8")
def _shuffled(day, out, seed, run):  # type: ignore[no-untyped-def]
    """The days in a chance order (Fisher and Yates), from run number ``run`` of the seed."""
    state = mixed(seed ^ mixed(GOLD * (np.uint64(run) + np.uint64(1))))
    for i in range(len(day)):
        out[i] = day[i]
    for i in range(len(day) - 1, 0, -1):
        state += GOLD
        j = np.int64(((mixed(state) >> _S32) * np.uint64(i + 1)) >> _S32)
        out[i], out[j] = out[j], out[i]


@part
def _ratio(c, m, n):  # type: ignore[no-untyped-def]
    """Log-likelihood ratio of c seen and m expected among n; 0 where no more than expected."""
    if c <= m:
        return 0.0
    rest = (n - c) * math.log((n - c) / (n - m)) if c < n else 0.0
    return c * math.log(c / m) + rest


@part
def _limits(limit, top, value, n):  # type: ignore[no-untyped-def]
    """For every count up to ``top`` an expectation at and above which its ratio does not exceed ``value``."""
    for c in range(top + 1):
        low, high = 0.0, float(c)
        if value > 0.0 and c <= 64:
            for _ in range(14):
                middle = 0.5 * (low + high)
                if _ratio(c, middle, n) > value:
                    low = middle
                else:
                    high = middle
        limit[c] = high


@part
def _from(held, many, day):  # type: ignore[no-untyped-def]
    """Where in the first ``many`` of ordered days those of ``day`` or later begin."""
    low, left = 0, many
    while left > 0:
        half = left >> 1
        low, left = (low + half + 1, left - half - 1) if held[low + half] < day else (low, half)
    return low


@kernel("i8[:], i4[:], i1[:], i8[:], i8[:], i8, i8, i8, i8, i8[:], f8[:], f8[:], i8[:,:]")
def _search(begin, row, full, day, before, longest, least, alive, each_place, held, limit, value, out):  # type: ignore[no-untyped-def]
    """The best cylinder of all places, or (``each_place``) of each."""
    n, final = len(day), len(before) - 2
    top = min(n, len(held))
    _limits(limit, top, 0.0, n)
    for p in range(len(begin) - 1):
        at = p if each_place == 1 else 0
        if each_place == 1:
            _limits(limit, top, 0.0, n)
        many, new, i = 0, 0, 0  # days held in order; incidents since the last whole circle
        for q in range(begin[p], begin[p + 1]):
            new += 1
            t = day[row[q]]
            if alive == 0 or t > final - longest:
                i = _from(held, many, t)
                for k in range(many, i, -1):
                    held[k] = held[k - 1]
                held[i] = t
                many += 1
            if full[q] == 0:
                continue
            circle = q - begin[p] + 1
            share = circle / n
            for s in range(q - new + 1, q + 1):
                t = day[row[s]]
                if alive == 1 and t <= final - longest or many < least:
                    continue
                here = i if new == 1 else _from(held, many, t)
                first, last = here, here
                while last + 1 < many and (alive == 1 or held[last + 1] < t + longest):
                    last += 1
                while first > 0 and (alive == 1 or held[first - 1] > t - longest):
                    first -= 1
                most = limit[last - first + 1]
                for a in range(here, first - 1, -1):
                    start = held[a]
                    if most < share * (before[t + 1] - before[start]):
                        break
                    if a > first and held[a - 1] == start:
                        continue
                    for b in range(last if alive == 1 else here, last + 1):
                        end = final if alive == 1 else held[b]
                        if end - start >= longest:
                            break
                        if alive == 0 and b < last and held[b + 1] == end:
                            continue
                        c = b - a + 1
                        m = share * (before[end + 1] - before[start])
                        if m > most:
                            break
                        if c >= least and m < limit[c]:
                            ratio = _ratio(c, m, n)
                            if ratio > value[at]:
                                value[at] = ratio
                                out[0, at], out[1, at], out[2, at], out[3, at] = circle, start, end, c
                                _limits(limit, top, ratio, n)
                                most = limit[last - first + 1]
            new = 0

"""The compiled loops behind the habits of plates near scenes."""

from __future__ import annotations

import numpy as np

from workbench.engines.kernels import kernel, part

TIME_BITS = 18  # of a sorted key: seconds since the window began
CLASSES = 5  # of plates by days on which they are at a scene: at most 1, 2 or 3, 4 to 7, ...
ONE = np.uint64(1)


@kernel("i8[:], i8[:], i8[:], i8[:], i8[:], i8[:], i8[:]")
def bounds(at, first, spot, low, high, begin, end):  # type: ignore[no-untyped-def]
    """Reads at each spot from low to high, both included."""
    for i in range(len(spot)):
        for side in range(2):
            a, b = first[spot[i]], first[spot[i] + 1]
            wanted = low[i] if side == 0 else high[i] + 1
            while a < b:
                middle = (a + b) // 2
                if at[middle] < wanted:
                    a = middle + 1
                else:
                    b = middle
            if side == 0:
                begin[i] = a
            else:
                end[i] = max(a, begin[i])


@kernel("i8[:], u4[:], i8[:], i8[:], i8[:], i8[:], i8, i8[:]")
def keys(at, plate, begin, end, low, cell, bits, out):  # type: ignore[no-untyped-def]
    """Plate, scene-day and second of each read as one number."""
    k = 0
    for i in range(len(cell)):
        for j in range(begin[i], end[i]):
            out[k] = (np.int64(plate[j]) << bits) | (cell[i] << TIME_BITS) | (at[j] - low[i])
            k += 1


@kernel("i8[:], i8, i8[:], i8, i8[:], i8[:], f8[:] -> i8")
def cover(keys, bits, length, m, who, where, weight):  # type: ignore[no-untyped-def]
    """The share of each span that lies within m seconds of a plate's reads, by plate and scene-day, from sorted keys."""
    k = -1
    last, reach = np.int64(-1), np.int64(0)
    for i in range(len(keys)):
        both = keys[i] >> TIME_BITS
        cell = both & ((np.int64(1) << (bits - TIME_BITS)) - 1)
        second = keys[i] & ((np.int64(1) << TIME_BITS) - 1)
        if both != last:
            last, reach = both, m
            k += 1
            who[k], where[k], weight[k] = both >> (bits - TIME_BITS), cell, 0.0
        if length[cell] == 0:
            weight[k] = 1.0
        else:
            start, stop = max(second - m, reach), min(second + m, m + length[cell])
            if stop > start:
                weight[k] += (stop - start) / length[cell]
                reach = stop
    return k + 1


@part
def _tail(wanted, chance, kind, spread, n, steps, scratch):  # type: ignore[no-untyped-def]
    """P(weights add up to at least ``wanted`` steps): the distribution is built up scene by scene."""
    for k in range(n * steps + 1):
        scratch[k] = 0.0
    scratch[0] = 1.0
    for s in range(n):
        p = chance[s]
        for k in range((s + 1) * steps, -1, -1):
            new = scratch[k] * (1 - p)
            for a in range(1, min(steps, k) + 1):
                new += scratch[k - a] * p * spread[s, kind[s], a]
            scratch[k] = new
    above = 0.0
    for k in range(n * steps, wanted - 1, -1):
        above += scratch[k]
    return min(above, 1.0)


@part
def _kind(own):  # type: ignore[no-untyped-def]
    """0 for a plate that is there on no or one other day, 1 for 2 or 3, 2 for 4 to 7, ..."""
    kind = 0
    while own > 1 and kind < CLASSES - 1:
        own //= 2
        kind += 1
    return kind


@kernel("i8[:,:], i8[:,:], f8[:,:], f8[:,:,:], i8[:], f8[:], f8[:]")
def tails(level, own, chance, spread, kind, scratch, out):  # type: ignore[no-untyped-def]
    n, steps = spread.shape[0], spread.shape[2] - 1
    for i in range(len(out)):
        wanted = 0
        for s in range(n):
            wanted += level[i, s]
            kind[s] = _kind(own[i, s])
        out[i] = _tail(wanted, chance[i], kind, spread, n, steps, scratch)


@kernel("i8[:], i8[:], i8[:], u8[:,:,:]")
def marked(entry, begin, offset, mask):  # type: ignore[no-untyped-def]
    """Bit j of mask[k, s]: plate k was near scene s on its j-th other day."""
    s = 0
    for c in range(len(begin) - 1):
        while s + 1 < len(offset) and c >= offset[s + 1]:
            s += 1
        j = c - offset[s]
        for e in range(begin[c], begin[c + 1]):
            mask[entry[e], s, j >> 6] |= ONE << np.uint64(j & 63)


@part
def _left_out(day, date, offset, days, r, out):  # type: ignore[no-untyped-def]
    """Bit j of out[s]: the j-th other day of scene s is one of those that stand in for a scene (its own first, and at most half of all of them); their
    number into the last word."""
    n, words = out.shape[0], out.shape[1] - 1
    for s in range(n):
        for w in range(words + 1):
            out[s, w] = np.uint64(0)
        many = 0
        for step in range(n):
            t = (s + step) % n
            if day[r, t] < 0 or (step > 0 and 2 * (many + 1) > days[s]):
                continue
            for j in range(days[s]):
                bit = ONE << np.uint64(j & 63)
                if date[offset[s] + j] == date[day[r, t]] and not out[s, j >> 6] & bit:
                    out[s, j >> 6] |= bit
                    many += 1
        out[s, words] = np.uint64(many)


@part
def _bits(word):  # type: ignore[no-untyped-def]
    many = 0
    while word:
        word &= word - ONE
        many += 1
    return many


@kernel("i8[:,:], i8[:], i8[:], i8[:], i8[:], i8[:], u8[:,:,:], u8[:,:], i8[:,:], f8[:,:], i8[:], f8[:], f8[:,:,:], i8, i8[:], i8[:], i8[:,:], i8[:], f8[:], "
        "i8[:], f8[:], f8[:] -> i8")
def drawn(day, date, offset, entry, drawn, begin, mask, gone, own, floor, days, q, spread, least, stamp, near, seen, touched, chance, kind, scratch, out):  # type: ignore[no-untyped-def]
    """Other days stand in for the scenes' days; each plate's habit is then taken from the days that are left."""
    n, steps, made, words = day.shape[1], spread.shape[2] - 1, 0, mask.shape[2]
    for r in range(day.shape[0]):
        many = 0
        _left_out(day, date, offset, days, r, gone)
        for s in range(n):
            if day[r, s] < 0:
                continue
            for e in range(begin[day[r, s]], begin[day[r, s] + 1]):
                k = entry[e]
                if stamp[k] != r:
                    stamp[k], near[k] = r, 0
                    touched[many] = k
                    many += 1
                    for t in range(n):
                        seen[k, t] = 0
                seen[k, s] = drawn[e]
                near[k] += 1
        for i in range(many):
            k = touched[i]
            if near[k] < least:
                continue
            wanted = 0
            for s in range(n):
                wanted += seen[k, s]
                left = 0
                for w in range(words):
                    left += _bits(mask[k, s, w] & ~gone[s, w])
                kind[s] = _kind(own[k, s])  # the class its spread was told from
                if day[r, s] < 0:
                    chance[s] = 1.0
                elif left > 0:
                    chance[s] = min(1.0, max(floor[k, s], (left + q[s]) / (days[s] - np.int64(gone[s, words]) + 1)))
                else:
                    chance[s] = floor[k, s]
            out[made] = _tail(wanted, chance, kind, spread, n, steps, scratch)
            made += 1
    return made

"""Compiled loops of plate search: plates of up to eight characters as one number each, first character in the highest byte.

Digits and letters are numbered 0 to 35. A format is a length and, bit by bit from the first character on, whether a letter stands there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.engines.kernels import kernel, part

_U0, _U1, _U6, _U7, _U8, _U48, _U55, _U56, _U58, _FF = (np.uint64(v) for v in (0, 1, 6, 7, 8, 48, 55, 56, 58, 255))
_ONES, _GATHER = np.uint64(0x0101010101010101), np.uint64(0x0102040810204080)  # bit 0 of each byte; brings those eight together in the highest byte
_TIMES = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(32)
#: A cost that nothing reaches.
FAR = 1e9


@kernel("u1[:], i8[:], u8[:]")
def packed(data: Any, first: Any, out: Any) -> None:
    """Texts (bytes from ``first[i]`` to ``first[i + 1]``) as numbers; 0 where one is empty, longer than eight or has other characters than 0-9 and A-Z."""
    for i in range(out.size):
        size = first[i + 1] - first[i]
        value = _U0
        if size <= 8:
            for j in range(size):
                c = data[first[i] + j]
                if not (48 <= c <= 57 or 65 <= c <= 90):
                    value = _U0
                    break
                value |= np.uint64(c) << np.uint64(56 - 8 * j)
        out[i] = value


@kernel("u8[:], i4[:], i8[:]")
def unpacked(keys: Any, codes: Any, first: Any) -> None:
    """The numbers of the characters one behind the other, and where each plate begins (n + 1)."""
    at = 0
    for i in range(keys.size):
        first[i] = at
        for j in range(8):
            c = (keys[i] >> np.uint64(56 - 8 * j)) & _FF
            if c == _U0:
                break
            code = np.int64(c) - 48
            codes[at] = code if code < 10 else code - 7
            at += 1
    first[keys.size] = at


@kernel("u8[:], u1[:], u8[:]")
def mapped(keys: Any, table: Any, out: Any) -> None:
    """Each character replaced by ``table`` (256 bytes; 0 stays 0)."""
    for i in range(keys.size):
        value = _U0
        for j in range(8):
            shift = np.uint64(8 * j)
            value |= np.uint64(table[np.int64((keys[i] >> shift) & _FF)]) << shift
        out[i] = value


@kernel("u8[:], u8[:]")
def present(keys: Any, out: Any) -> None:
    """Which characters a plate holds, a bit each (their code modulo 64)."""
    for i in range(keys.size):
        value = _U0
        for j in range(8):
            c = (keys[i] >> np.uint64(8 * j)) & _FF
            if c != _U0:
                value |= _U1 << (c & np.uint64(63))
        out[i] = value


@kernel("u8[:], u1[:], i8[:]")
def filtered(keys: Any, bits: Any, bucket: Any) -> None:
    """Fill the filter (a power of two of bits), and where the sorted plates with each first two bytes begin (65,537)."""
    wide = np.uint64(8 * bits.size - 1)
    for i in range(keys.size):
        h = ((keys[i] * _TIMES) >> _DOWN) & wide
        bits[np.int64(h >> np.uint64(3))] |= np.uint8(_U1 << (h & _U7))
        bucket[np.int64(keys[i] >> _U48) + 1] += 1
    for j in range(65536):
        bucket[j + 1] += bucket[j]


@part
def _found(keys: Any, bits: Any, bucket: Any, key: Any) -> Any:
    """Where a plate is among the sorted ones; -1 = it is not."""
    h = ((key * _TIMES) >> _DOWN) & np.uint64(8 * bits.size - 1)
    if (np.uint64(bits[np.int64(h >> np.uint64(3))]) >> (h & _U7)) & _U1 == _U0:
        return -1
    top = np.int64(key >> _U48)
    low, high = bucket[top], bucket[top + 1]
    while low < high:
        mid = (low + high) // 2
        if keys[mid] < key:
            low = mid + 1
        else:
            high = mid
    return low if low < bucket[top + 1] and keys[low] == key else -1


@part
def _form(key: Any, length: Any) -> Any:
    """The number of a plate's format: a leading 1, then a bit a character, set for letters (their bytes have bit 6)."""
    letters = (((key >> _U6) & _ONES) * _GATHER) >> _U56
    return np.int64((_U1 << np.uint64(length)) | (letters >> np.uint64(8 - length)))


@part
def _usual(key: Any, length: Any, many: Any, share: Any) -> Any:
    """How many such plates there would be if each character were drawn on its own, as often as it stands at its place in plates of this format."""
    form = _form(key, length)
    out = many[form]
    if out > 0.0:
        for j in range(length):
            c = (key >> np.uint64(56 - 8 * j)) & _FF
            out *= share[form, j, np.int64(c - _U48 if c < _U58 else c - _U55)]
    return out


@part
def _tried(keys: Any, bits: Any, bucket: Any, key: Any, length: Any, many: Any, share: Any, chance: Any, out: Any, n: Any) -> Any:
    """Look one plate up; its place goes into ``out`` behind n others, the chance of it on top of ``chance``. Gives the new n (which may pass the room).

    A plate that would never be drawn has a format, or a character at its place, that no plate has.
    """
    drawn = _usual(key, length, many, share)
    if drawn == 0.0:
        return n
    chance[0] += drawn
    at = _found(keys, bits, bucket, key)
    if at < 0:
        return n
    if n < out.size:
        out[n] = at
    return n + 1


@part
def _head(key: Any, i: Any) -> Any:
    """The first i characters."""
    return _U0 if i == 0 else (key >> np.uint64(64 - 8 * i)) << np.uint64(64 - 8 * i)


@part
def _at(key: Any, i: Any) -> Any:
    return (key >> np.uint64(56 - 8 * i)) & _FF


@part
def _without(key: Any, i: Any) -> Any:
    """Character i left out."""
    head = _head(key, i)
    return head | ((key ^ head ^ (_at(key, i) << np.uint64(56 - 8 * i))) << _U8)


@part
def _instead(key: Any, i: Any, c: Any) -> Any:
    shift = np.uint64(56 - 8 * i)
    return (key & ~(_FF << shift)) | (c << shift)


@part
def _inserted(key: Any, i: Any, c: Any) -> Any:
    """Character c put before character i (seven characters at most)."""
    head = _head(key, i)
    return head | (c << np.uint64(56 - 8 * i)) | ((key ^ head) >> _U8)


@part
def _ring(keys: Any, bits: Any, bucket: Any, alphabet: Any, key: Any, length: Any, kind: Any, place: Any,
          many: Any, share: Any, chance: Any, out: Any, n: Any) -> Any:
    """Everything one edit away: characters left out (kind 0), replaced (1) and put in (2), from ``kind`` on, that kind from ``place`` on."""
    if kind == 0 and length > 1:
        for i in range(place, length):
            if i == place or _at(key, i) != _at(key, i - 1):
                n = _tried(keys, bits, bucket, _without(key, i), length - 1, many, share, chance, out, n)
    if kind <= 1:
        for i in range(place if kind == 1 else 0, length):
            for a in range(alphabet.size):
                if alphabet[a] != _at(key, i):
                    n = _tried(keys, bits, bucket, _instead(key, i, alphabet[a]), length, many, share, chance, out, n)
    if length < 8:
        start = place if kind == 2 else 0
        for i in range(start, length + 1):
            for a in range(alphabet.size):
                if i == start or alphabet[a] != _at(key, i - 1):
                    n = _tried(keys, bits, bucket, _inserted(key, i, alphabet[a]), length + 1, many, share, chance, out, n)
    return n


@kernel("u8[:], u1[:], i8[:], u8[:], u8, i8, i8, f8[:], f8[:,:,:], f8[:], i8[:] -> i8")
def near(keys: Any, bits: Any, bucket: Any, alphabet: Any, key: Any, length: Any, edits: Any, many: Any, share: Any, chance: Any, out: Any) -> Any:
    """Places of the sorted plates at most ``edits`` (0 to 2) edits away from one of 1 to 8 characters, some of them twice; how many were written, or would be.

    Any two edits can be done in the order left out, replaced, put in, each from left to right.
    """
    n = _tried(keys, bits, bucket, key, length, many, share, chance, out, 0)
    if edits == 0:
        return n
    n = _ring(keys, bits, bucket, alphabet, key, length, 0, 0, many, share, chance, out, n)
    if edits == 1:
        return n
    if length > 1:
        for i in range(length):
            if i == 0 or _at(key, i) != _at(key, i - 1):
                n = _ring(keys, bits, bucket, alphabet, _without(key, i), length - 1, 0, i, many, share, chance, out, n)
    for i in range(length):
        for a in range(alphabet.size):
            if alphabet[a] != _at(key, i):
                n = _ring(keys, bits, bucket, alphabet, _instead(key, i, alphabet[a]), length, 1, i + 1, many, share, chance, out, n)
    if length < 7:
        for i in range(length + 1):
            for a in range(alphabet.size):
                if i == 0 or alphabet[a] != _at(key, i - 1):
                    n = _ring(keys, bits, bucket, alphabet, _inserted(key, i, alphabet[a]), length + 1, 2, i, many, share, chance, out, n)
    return n


@kernel("u8[:], u1[:], i8[:], u8[:], i8[:], i8[:], f8[:], f8[:,:,:], f8[:], i8[:] -> i8")
def alike(keys: Any, bits: Any, bucket: Any, options: Any, first: Any, turn: Any, many: Any, share: Any, chance: Any, out: Any) -> Any:
    """Places of the sorted plates whose character i is one of ``options[first[i]:first[i + 1]]``; how many were written, or would be."""
    length = first.size - 1
    for i in range(length):
        turn[i] = 0
    n = 0
    while True:
        key = _U0
        for i in range(length):
            key |= options[first[i] + turn[i]] << np.uint64(56 - 8 * i)
        n = _tried(keys, bits, bucket, key, length, many, share, chance, out, n)
        i = length - 1
        while i >= 0:
            turn[i] += 1
            if turn[i] < first[i + 1] - first[i]:
                break
            turn[i] = 0
            i -= 1
        if i < 0:
            return n


@part
def _fitting(key: Any, table: Any, loops: Any, end: Any) -> Any:
    """Whether a plate fits: bit i of the state says that i known characters are behind us; ``loops`` has a bit where a star stands."""
    state = _U1
    for j in range(8):
        c = np.int64((key >> np.uint64(56 - 8 * j)) & _FF)
        if c == 0:
            break
        state = ((state & table[c]) << _U1) | (state & loops)
        if state == _U0:
            return False
    return (state >> end) & _U1 == _U1


@kernel("u8[:], u8[:], u8[:], u8[:], u8[:], u8, u8, i8, u1[:], u8[:], u8[:], i8, i8, i8[:] -> i8")
def scan(looked: Any, keys: Any, masks: Any, values: Any, table: Any, loops: Any, end: Any, verify: Any, allowed: Any, flags: Any,
         picked: Any, start: Any, stop: Any, out: Any) -> Any:
    """How many plates from ``start`` to ``stop`` fit; the first of them go into ``out``.

    Those with ``looked & masks[k] == values[k]`` for any k are looked at; with ``verify`` also whether they really fit (``_fitting``).
    ``flags``, ``picked``: scratch for 512 (one more).
    """
    n = 0
    for b in range(start, stop, 512):
        size, base = np.uint64(min(512, stop - b)), np.uint64(b)  # unsigned: an index that cannot be negative needs no check
        for i in range(size):
            flags[i] = _U0
        for k in range(masks.size):
            mask, value = masks[k], values[k]
            for i in range(size):
                flags[i] |= _U1 if looked[base + i] & mask == value else _U0
        if allowed.size:
            for i in range(size):
                flags[i] &= np.uint64(allowed[base + i])
        many = _U0
        for i in range(size):
            many += flags[i]
        if many == _U0:
            continue
        if n >= out.size and not verify:
            for i in range(size):
                n += 1 if flags[i] == _U1 else 0
            continue
        m = _U0
        for i in range(size):  # without a branch: which places fit
            picked[m] = i
            m += flags[i]
        for k in range(m):
            at = base + picked[k]
            if verify and not _fitting(keys[at], table, loops, end):
                continue
            if n < out.size:
                out[n] = np.int64(at)
            n += 1
    return n


@kernel("f8[:], f8[:,:,:], u8[:], u8, u8, f8[:], f8[:] -> f8")
def usual(many: Any, share: Any, table: Any, loops: Any, end: Any, now: Any, then: Any) -> Any:
    """How many plates would fit a pattern if each character were drawn on its own, as often as it stands at its place in plates of that format."""
    states = np.int64(_U1 << (end + _U1))
    total = 0.0
    for form in range(1, many.size):
        if many[form] == 0.0:
            continue
        length = 0
        while form >> (length + 1):
            length += 1
        for s in range(states):
            now[s] = 0.0
        now[1] = many[form]
        for j in range(length):
            for s in range(states):
                then[s] = 0.0
            for s in range(1, states):
                if now[s] > 0.0:
                    for code in range(36):
                        p = share[form, j, code]
                        if p > 0.0:
                            c = 48 + code if code < 10 else 55 + code
                            after = ((np.uint64(s) & table[c]) << _U1) | (np.uint64(s) & loops)
                            then[np.int64(after)] += now[s] * p
            for s in range(states):
                now[s] = then[s]
        for s in range(1, states):
            if (np.uint64(s) >> end) & _U1 == _U1:
                total += now[s]
    return total


@kernel("i4[:], i8[:], i4[:], f8[:,:], b1[:,:], f8, f8, f8[:,:], f8[:], i8[:], b1[:]")
def weighed(codes: Any, first: Any, asked: Any, cost: Any, mates: Any, missed: Any, added: Any, rows: Any, weight: Any, edits: Any, same: Any) -> None:
    """For each plate: -log of the chance that what was asked for is read like this (best alignment), edits between them, and whether only mates differ.

    ``asked``: numbers of characters (36 and more: others), -1 any one, -2 any run. ``cost[true, read]``; ``missed`` and ``added`` for a character that is not
    read, or read in addition. ``rows``: scratch, (6, longest plate + 1).
    """
    for p in range(first.size - 1):
        size = first[p + 1] - first[p]
        for j in range(size + 1):
            rows[0, j], rows[2, j], rows[4, j] = j, added * j, (0.0 if j == 0 else FAR)
        odd = 0
        for i in range(asked.size):
            a, b = (0, 1) if odd == 0 else (1, 0)
            t = asked[i]
            free = t == -2
            rows[b, 0] = rows[a, 0] + (0.0 if free else 1.0)
            rows[2 + b, 0] = rows[2 + a, 0] + (0.0 if free else missed)
            rows[4 + b, 0] = rows[4 + a, 0] if free else FAR
            for j in range(1, size + 1):
                r = codes[first[p] + j - 1]
                if free:
                    for k in range(0, 6, 2):
                        rows[k + b, j] = min(rows[k + a, j], rows[k + b, j - 1])
                    continue
                agree = t == -1 or t == r
                change = 0.0 if t == -1 else (cost[t, r] if t < 36 and r < 36 else (0.0 if agree else cost[36, 36]))
                mate = agree or (t < 36 and r < 36 and mates[t, r])
                rows[b, j] = min(rows[a, j - 1] + (0.0 if agree else 1.0), rows[a, j] + 1.0, rows[b, j - 1] + 1.0)
                rows[2 + b, j] = min(rows[2 + a, j - 1] + change, rows[2 + a, j] + missed, rows[2 + b, j - 1] + added)
                rows[4 + b, j] = rows[4 + a, j - 1] if mate else FAR
            odd = b
        edits[p] = np.int64(rows[odd, size])
        weight[p] = rows[2 + odd, size]
        same[p] = rows[4 + odd, size] < FAR


@kernel("u8[:], u1[:], u1[:], u1[:]")
def screened(keys: Any, table: Any, bits: Any, out: Any) -> None:
    """1 where a plate, its characters replaced by ``table``, may be among those the filter was filled with."""
    wide = np.uint64(8 * bits.size - 1)
    for i in range(keys.size):
        value = _U0
        for j in range(8):
            shift = np.uint64(8 * j)
            value |= np.uint64(table[np.int64((keys[i] >> shift) & _FF)]) << shift
        h = ((value * _TIMES) >> _DOWN) & wide
        out[i] = np.uint8((np.uint64(bits[np.int64(h >> np.uint64(3))]) >> (h & _U7)) & _U1) if keys[i] != _U0 else np.uint8(0)

"""Patterns of plates: as masks over eight bytes, as an automaton, and look-alikes as one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.models.plates.misreads import CHARACTERS, Confusion

_MASKS = 5  # more ways to lay a pattern than this, and plates are picked by the characters they hold


def automaton(partial: list[str], alike: bool, confusion: Confusion) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], int]:
    """For each byte which of the characters asked for it can be (a bit each), and before which of them a star stands."""
    table, star, i = np.zeros(256, dtype=np.uint64), 0, 0
    for c in partial:
        if c == "*":
            star |= 1 << i
            continue
        fits = CHARACTERS if c == "?" else [CHARACTERS[j] for j in np.flatnonzero(confusion.mates[CHARACTERS.index(c)])] if alike else [c]
        for f in fits:
            table[ord(f)] |= np.uint64(1 << i)
        i += 1
    return table, star


def shape(confusion: Confusion) -> bytes:
    """For each byte the first of all that it is taken for, directly or in steps."""
    group = list(range(36))
    for a, b in zip(*np.nonzero(confusion.mates | confusion.mates.T), strict=True):
        low, high = sorted((group[a], group[b]))
        group = [low if g == high else g for g in group]
    out = list(range(256))
    for i, g in enumerate(group):
        out[ord(CHARACTERS[i])] = ord(CHARACTERS[g])
    return bytes(out)


def laid(partial: list[str]) -> list[tuple[int, int]]:
    """(mask, value) of every way to lay a pattern into eight places; a trailing star leaves the rest open. Empty where there are too many."""
    chunks = "".join(partial).split("*")
    ways: list[tuple[int, int, int]] = [(0, 0, 0)]
    for i, chunk in enumerate(chunks):
        after = sum(len(c) for c in chunks[i:])
        ways = [_put(way, chunk, at) for way in ways for at in ([way[2]] if i == 0 else range(way[2], 9 - after))]
        if len(ways) > 200:
            return []
    if len(chunks) == 1 or chunks[-1]:
        ways = [_closed(way) for way in ways]
    found = sorted({(m, v) for m, v, _ in ways})
    return found if len(found) <= _MASKS else []


def _put(way: tuple[int, int, int], chunk: str, at: int) -> tuple[int, int, int]:
    mask, value, _ = way
    for j, c in enumerate(chunk):
        shift = 56 - 8 * (at + j)
        if c != "?":
            mask, value = mask | 0xFF << shift, value | ord(c) << shift
    return mask, value, at + len(chunk)


def _closed(way: tuple[int, int, int]) -> tuple[int, int, int]:
    """Nothing stands behind."""
    mask, value, end = way
    for j in range(end, 8):
        mask |= 0xFF << (56 - 8 * j)
    return mask, value, end

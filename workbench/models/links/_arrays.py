"""Compiled loops that make a network's arrays: statements sorted by lower and upper end (packed, or in two passes of counting sort), merged to edges."""

from __future__ import annotations

import numpy as np

from workbench.engines.kernels import kernel


@kernel("i4[:], i4[:], i4[:]")
def mark(source, target, there):  # type: ignore[no-untyped-def]
    """1 for every number that is named."""
    for r in range(len(source)):
        if source[r] >= 0:
            there[source[r]] = 1
        if target[r] >= 0:
            there[target[r]] = 1


@kernel("i4[:], i4[:]")
def renumber(codes, new):  # type: ignore[no-untyped-def]
    """Every number by its new one, in place."""
    for r in range(len(codes)):
        if codes[r] >= 0:
            codes[r] = new[codes[r]]


@kernel("i4[:], i4[:], i8, i8, u8[:] -> i8")
def packed(source, target, name_bits, row_bits, out):  # type: ignore[no-untyped-def]
    """Statements that tie two things as (lower end, upper end, row) in one number; how many there are."""
    kept = 0
    by_name, by_row = np.uint64(name_bits), np.uint64(row_bits)
    for r in range(len(source)):
        a, b = source[r], target[r]
        if a > b:
            a, b = b, a
        if a >= 0 and a != b:
            out[kept] = (((np.uint64(a) << by_name) | np.uint64(b)) << by_row) | np.uint64(r)
            kept += 1
    return kept


@kernel("u8[:], i8, i8, i8, i8[:]")
def unpacked(keys, kept, name_bits, row_bits, low):  # type: ignore[no-untyped-def]
    """What ``packed`` packed, sorted, as upper end and row in one number, in place; to ``low[i + 1]`` is added how many have i as lower end."""
    by_name, by_row = np.uint64(name_bits), np.uint64(row_bits)
    name_mask, row_mask = (np.uint64(1) << by_name) - np.uint64(1), (np.uint64(1) << by_row) - np.uint64(1)
    for k in range(kept):
        key = keys[k]
        rest = key >> by_row
        low[np.int64(rest >> by_name) + 1] += 1
        keys[k] = ((rest & name_mask) << np.uint64(32)) | (key & row_mask)


@kernel("i4[:], i4[:], i8[:], i8[:] -> i8")
def tally(source, target, low, high):  # type: ignore[no-untyped-def]
    """How many statements tie two things; add to ``low[i + 1]`` and ``high[i + 1]`` how many have i as lower and as upper end."""
    kept = 0
    for r in range(len(source)):
        a, b = source[r], target[r]
        if a > b:
            a, b = b, a
        if a >= 0 and a != b:
            low[a + 1] += 1
            high[b + 1] += 1
            kept += 1
    return kept


@kernel("i4[:], i4[:], i8[:], i8[:]")
def scatter(source, target, high, out):  # type: ignore[no-untyped-def]
    """Statements by upper end: lower end and row in one number. ``high[i]`` ends where ``high[i + 1]`` began."""
    for r in range(len(source)):
        a, b = source[r], target[r]
        if a > b:
            a, b = b, a
        if a >= 0 and a != b:
            out[high[b]] = (a << 32) | r
            high[b] += 1


@kernel("i8[:], i8[:], i8[:], i8[:]")
def second(high, by_high, low, out):  # type: ignore[no-untyped-def]
    """Statements by lower end, those of one in order of the upper: upper end and row in one number. ``high`` is as ``scatter`` left it."""
    at = 0
    for b in range(len(high) - 1):
        while at < high[b]:
            a = by_high[at] >> 32
            out[low[a]] = (b << 32) | (by_high[at] & 4294967295)
            low[a] += 1
            at += 1


@kernel("i8[:], i8[:], i8[:], i8[:] -> i8")
def merged(low, by_low, up, down):  # type: ignore[no-untyped-def]
    """How many edges there are; in ``up`` and ``down`` how many of each thing lead to higher and to lower numbers."""
    edges = 0
    for a in range(len(low) - 1):
        last = -1
        for k in range(low[a], low[a + 1]):
            b = by_low[k] >> 32
            if b != last:
                up[a] += 1
                down[b] += 1
                edges += 1
                last = b
    return edges


@kernel("i8[:], i8[:], i8[:], i8[:], i8[:], i4[:], i8[:], i4[:], i4[:], i4[:]")
def filled(low, by_low, first, down, cursor, high, stated, rows, others, edge):  # type: ignore[no-untyped-def]
    """Edges with their statements, and the neighbours of each thing in order; ``cursor`` is a copy of ``first``, used up."""
    e = -1
    for a in range(len(low) - 1):
        last = -1
        at = first[a] + down[a]
        for k in range(low[a], low[a + 1]):
            b = by_low[k] >> 32
            if b != last:
                e += 1
                last = b
                high[e] = b
                stated[e] = k
                others[at] = b
                edge[at] = e
                at += 1
                others[cursor[b]] = a
                edge[cursor[b]] = e
                cursor[b] += 1
            rows[k] = by_low[k] & 4294967295
    stated[e + 1] = len(rows)


@kernel("i8[:], i4[:], u1[:], u1[:]")
def one_of(stated, rows, okay, out):  # type: ignore[no-untyped-def]
    """1 for each edge with at least one statement that is okay."""
    for e in range(len(out)):
        for k in range(stated[e], stated[e + 1]):
            if okay[rows[k]]:
                out[e] = 1
                break

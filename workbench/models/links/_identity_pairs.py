"""Which records are worth comparing: those that share a key of a rule. Keys are sorted once; a new record finds its fellows by bisection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from workbench.models.links import _identity_fields as fields_of
from workbench.models.links._identity_fields import Fields

Ints = np.ndarray[Any, np.dtype[np.int64]]
Rows = np.ndarray[Any, np.dtype[np.int32]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]
#: Pairs a rule may bring, for each record and at least: groups larger than fit are left to narrower rules.
_EACH, _ANYHOW = 0.3, 300_000
#: A missing key.
NONE = np.uint64(0)


@dataclass
class Index:
    """The keys of all records, by rule, in parts that were sorted one after the other.

    ``keys`` has shape (rules, records), ``largest`` is the size of the largest group looked at by rule, ``parts`` per rule (sorted keys, their rows).
    """

    keys: Keys
    largest: list[int]
    parts: list[list[tuple[Keys, Rows]]] = field(default_factory=list)


def keyed(frame: pl.DataFrame, made: Fields) -> Keys:
    """The keys of each rule, shape (rules, records), NONE where a part is missing."""
    rules = made.rules()
    if frame.is_empty():
        return np.zeros((len(rules), 0), dtype=np.uint64)
    said = frame.select(fields_of.key(rule).fill_null(0).alias(str(i)) for i, rule in enumerate(rules))
    return np.stack([said[str(i)].to_numpy().astype(np.uint64, copy=False) for i in range(len(rules))])


def blocks(keys: Keys, files: Ints | None = None) -> tuple[Rows, Rows, Index, int]:
    """Pairs (l < r) that share a key of one rule or more, each once; the index; and how many pairs of too large groups were left out.

    ``files`` numbers the file of each record where only pairs of different files are wanted.
    """
    left, right, index, missed = [], [], Index(keys, []), 0
    brought = np.zeros(keys.shape, dtype=bool)  # records whose group by a rule was not too large
    for i in range(len(keys)):
        order: Any = np.argsort(keys[i], kind="stable").astype(np.int32)
        inner = keys[i][order]
        present = int(np.searchsorted(inner, NONE, side="right"))
        order, inner = order[present:], inner[present:]
        index.parts.append([(inner, order)])
        first = np.flatnonzero(np.concatenate([[True], inner[1:] != inner[:-1]])) if len(inner) else np.zeros(0, dtype=np.int64)
        size = np.diff(np.append(first, len(inner)))
        cap = _cap(size, int(max(_ANYHOW, _EACH * keys.shape[1])))
        index.largest.append(cap)
        missed += int((size[size > cap] * (size[size > cap] - 1) // 2).sum())
        keep = (size > 1) & (size <= cap)
        brought[i, order] = np.repeat(keep, size)
        one, other = _pairs_within(first[keep], size[keep])
        one, other = order[one], order[other]
        new = np.ones(len(one), dtype=bool)
        for j in range(i):
            new &= (keys[j][one] != keys[j][other]) | ~brought[j][one]
        if files is not None:
            new &= files[one] != files[other]
        one, other = one[new], other[new]
        left.append(np.minimum(one, other))
        right.append(np.maximum(one, other))
    return np.concatenate(left), np.concatenate(right), index, missed


def _cap(size: Ints, budget: int) -> int:
    """The largest group such that all groups up to it bring no more pairs than the budget."""
    if not len(size):
        return 1
    sizes = np.bincount(size)
    brings = np.cumsum(sizes * np.arange(len(sizes)) * (np.arange(len(sizes)) - 1) // 2)
    return max(int(np.searchsorted(brings, budget, side="right")) - 1, 2)


def _pairs_within(first: Ints, size: Ints) -> tuple[Ints, Ints]:
    """All pairs of positions within groups that begin at ``first`` and have ``size`` members."""
    one, other = [], []
    for n in np.unique(size):
        a, b = np.triu_indices(int(n), 1)
        base = first[size == n][:, None]
        one.append((base + a).ravel())
        other.append((base + b).ravel())
    if not one:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate(one), np.concatenate(other)


def fellows(index: Index, keys: Keys, start: int) -> tuple[Rows, Rows]:
    """Pairs (old, new) of records that share a key; the new records get rows from ``start`` on. Adds the new ones to the index afterwards.

    O(new log old) for the search, plus O(new + old) bytes for the copy of the keys.
    """
    left, right, n = [], [], keys.shape[1]
    for i, parts in enumerate(index.parts):
        here = np.flatnonzero(keys[i] != NONE)
        order = here[np.argsort(keys[i][here], kind="stable")]
        inner, rows = keys[i][order], (order + start).astype(np.int32)
        own = (inner, rows)
        for held, who in [*parts, own]:
            low, high = np.searchsorted(held, inner, side="left"), np.searchsorted(held, inner, side="right")
            count = np.where(high - low > index.largest[i], 0, high - low)
            new = np.repeat(rows, count)
            at = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
            old = who[at]
            ok = old < new
            left.append(old[ok])
            right.append(new[ok])
        parts.append(own)
    index.keys = np.concatenate([index.keys, keys], axis=1)
    pairs = np.unique((np.concatenate(left).astype(np.int64) << 32) | np.concatenate(right)) if n else np.zeros(0, dtype=np.int64)
    return (pairs >> 32).astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32)

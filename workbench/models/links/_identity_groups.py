"""From scored pairs to groups: what people judged comes first, then the strongest agreements, as long as the sum of what speaks for a union is positive.

Greedy additive edge contraction (Keuper et al. 2015, doi:10.1109/ICCV.2015.204) of correlation clustering (Bansal, Blum, Chawla 2004,
doi:10.1023/B:MACH.0000033116.57574.95): two groups held together by one weak pair among many that were never alike are not united.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
#: Natural log odds that one pair can add or take at most, and what a pair that no rule brought together takes.
_MOST, _UNSEEN = 12.0, 0.25


def components(n: int, left: Any, right: Any) -> Ints:
    """The smallest row of the connected part of each of n rows. O((n + pairs) log n)."""
    root = np.arange(n)
    left, right = np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64)
    while len(left):
        a, b = root[left], root[right]
        open_ = a != b
        if not open_.any():
            break
        left, right, a, b = left[open_], right[open_], a[open_], b[open_]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while True:
            up = root[root]
            if (up == root).all():
                break
            root = up
    return root


def parts(n: int, left: Any, right: Any, gain: Floats, same: list[tuple[int, int]]) -> Ints:
    """The smallest row of the part of each of n rows that hangs together by pairs that gain or were judged the same."""
    for_it = gain > 0
    sl, sr = (np.array([p[k] for p in same], dtype=np.int64) for k in (0, 1))
    return components(n, np.concatenate([left[for_it], sl]), np.concatenate([right[for_it], sr]))


def widened(part: Ints, n: int, left: Any, right: Any, gain: Floats, same: list[tuple[int, int]]) -> Ints:
    """``parts`` of n rows after further rows and pairs, from that of the first rows: only what is new is looked at. O(n) to copy."""
    out = np.concatenate([part, np.arange(len(part), n)])
    for_it = gain > 0
    sl, sr = (np.array([p[k] for p in same], dtype=np.int64) for k in (0, 1))
    a, b = out[np.concatenate([left[for_it], sl])], out[np.concatenate([right[for_it], sr])]
    ends, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    if len(ends):
        to = np.arange(n)
        to[ends] = ends[components(len(ends), at[: len(a)], at[len(a) :])]
        out = to[out]
    return out


def groups(
    part: Ints,
    left: Any,
    right: Any,
    gain: Floats,
    same: Iterable[tuple[int, int]],
    different: Iterable[tuple[int, int]],
    files: Ints | None = None,
    only: Any = None,
) -> tuple[Ints, list[tuple[int, int]]]:
    """The smallest row of the group of each row, and the pairs judged the same that judgements of "different" keep apart.

    Args:
        part: what hangs together, by ``parts``.
        left, right, gain: scored pairs; ``gain`` is how far the log odds lie above the threshold.
        same, different: what people judged, the latest first; it outranks every gain.
        files: file of each row where a group may hold one record of a file at most.
        only: rows that are wanted (mask, whole parts); others keep to themselves.
    """
    if only is not None:
        wanted = only[left]
        left, right, gain = left[wanted], right[wanted], gain[wanted]
    n, for_it = len(part), gain > 0
    same, different = list(same), list(different)
    inside = part[left] == part[right]
    out = np.arange(n)
    size = np.bincount(part, minlength=n)
    judged = np.zeros(n, dtype=bool)
    judged[[part[r] for pair in (*same, *different) for r in pair]] = True
    plain = inside & (size[part[left]] == 2) & ~judged[part[left]]
    if files is not None:
        plain &= files[left] != files[right]
    join = plain & for_it
    out[right[join]] = left[join]
    todo = np.flatnonzero(inside & ((size[part[left]] > 2) | judged[part[left]]))
    todo = todo[np.argsort(part[left[todo]], kind="stable")]
    edges: dict[int, list[tuple[int, int, float]]] = {}
    for p, a, b, g in zip(part[left[todo]].tolist(), left[todo].tolist(), right[todo].tolist(), gain[todo].tolist(), strict=True):
        edges.setdefault(p, []).append((a, b, g))
    said: dict[int, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for which, pairs in enumerate((same, different)):
        for a, b in pairs:
            if part[a] == part[b] and (only is None or only[a]):
                said.setdefault(int(part[a]), ([], []))[which].append((a, b))
                edges.setdefault(int(part[a]), [])
    kept_apart = []
    for p, found in edges.items():
        yes, no = said.get(p, ([], []))
        members, refused = _contracted(found, yes, no, files)
        kept_apart += refused
        for group in members:
            out[group] = min(group)
    return out, kept_apart


def _contracted(
    edges: list[tuple[int, int, float]],
    same: list[tuple[int, int]],
    different: list[tuple[int, int]],
    files: Ints | None,
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """The groups of one connected part, and judgements of "same" that could not be kept."""
    nodes = sorted({r for a, b, _ in edges for r in (a, b)} | {r for pair in (*same, *different) for r in pair})
    work = _Work(nodes, files)
    for a, b in different:
        work.never[a].add(b)
        work.never[b].add(a)
    for a, b, gain in edges:
        work.tie(a, b, max(-_MOST, min(_MOST, gain)))
    refused = []
    for a, b in same:
        one, other = work.home[a], work.home[b]
        if one != other:
            if work.forbidden(one, other, judged=True):
                refused.append((a, b))
            else:
                work.unite(one, other)
    heap = [(-work.total(a, b), a, b) for a in nodes if work.home[a] == a for b in work.gain[a] if a < b]
    heap = [h for h in heap if h[0] < 0]
    heapq.heapify(heap)
    while heap:
        minus, a, b = heapq.heappop(heap)
        if work.home[a] != a or work.home[b] != b or b not in work.gain[a] or -work.total(a, b) != minus or work.forbidden(a, b):
            continue
        kept = work.unite(a, b)
        for c in work.gain[kept]:
            total = work.total(kept, c)
            if total > 0:
                heapq.heappush(heap, (-total, min(kept, c), max(kept, c)))
    return [m for m in work.members.values() if m], refused


class _Work:
    """Groups that are being united: members, what speaks for each union, and what forbids it."""

    def __init__(self, nodes: list[int], files: Ints | None) -> None:
        self.home = {a: a for a in nodes}
        self.members = {a: [a] for a in nodes}
        self.gain: dict[int, dict[int, tuple[float, int]]] = {a: {} for a in nodes}
        self.never: dict[int, set[int]] = {a: set() for a in nodes}
        self.files = None if files is None else {a: {int(files[a])} for a in nodes}

    def tie(self, a: int, b: int, gain: float) -> None:
        self.gain[a][b] = self.gain[b][a] = (gain, 1)

    def total(self, a: int, b: int) -> float:
        """What speaks for the union of a and b; rounded, so that the order of sums does not matter."""
        gain, seen = self.gain[a][b]
        return round(gain - _UNSEEN * (len(self.members[a]) * len(self.members[b]) - seen), 6)

    def forbidden(self, a: int, b: int, *, judged: bool = False) -> bool:
        return b in self.never[a] or (not judged and self.files is not None and bool(self.files[a] & self.files[b]))

    def unite(self, a: int, b: int) -> int:
        """Put the group of the larger number into the other; returns the one that stays."""
        a, b = min(a, b), max(a, b)
        for member in self.members[b]:
            self.home[member] = a
        self.members[a] += self.members[b]
        self.members[b] = []
        if self.files is not None:
            self.files[a] |= self.files[b]
        for c, (gain, seen) in self.gain[b].items():
            del self.gain[c][b]
            if c != a:
                have, had = self.gain[a].get(c, (0.0, 0))
                self.gain[a][c] = self.gain[c][a] = (round(have + gain, 9), had + seen)
        for c in self.never[b]:
            self.never[c].discard(b)
            self.never[c].add(a)
            self.never[a].add(c)
        self.gain[b], self.never[b] = {}, set()
        return a

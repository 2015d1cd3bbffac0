"""All simple paths between two things by meeting in the middle: steps from both ends, then only what lies between them.

``far[v]`` is how many steps v is from the one end, ``left[v]`` from the other. With steps taken ``da`` from the first end and ``db`` from the second,
da + db = k, both are known for every thing with ``far + left <= k``, and only those can lie on a path of k steps. Among them, paths are followed with
``left`` as bound, so that next to no step is taken in vain. Nothing is left out: the bound is the true distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.engines.kernels import kernel
from workbench.errors import CannotTell
from workbench.models.links import _short

if TYPE_CHECKING:
    from workbench.models.links._network import Codes, Flags, Floats, Ints, Network

_UNSEEN = 127
_LARGEST = 2_000_000  # paths that are listed
_COUNTED = 100_000_000  # paths that are counted


class Ball:
    """What is within so many steps of a thing; ``hop`` (i1, shape (n,)) is 127 for what was not reached."""

    def __init__(self, net: Network, centre: int, okay: Flags, limit: int, shut: int = -1) -> None:
        self.net, self.okay, self.limit, self.centre, self.shut = net, okay, limit, centre, shut
        self.hop = np.full(len(net), _UNSEEN, dtype=np.int8)
        self.queue = np.empty(len(net), dtype=np.int32)
        self.hop[centre], self.queue[0], self.levels = 0, centre, [0, 1]

    @property
    def depth(self) -> int:
        return len(self.levels) - 2

    @property
    def open(self) -> bool:
        """Whether the last step reached anything."""
        return self.levels[-1] > self.levels[-2] and self.depth < _UNSEEN - 1

    def cost(self) -> int:
        """How many ties the next step goes along."""
        return int(self.net.degree[self.queue[self.levels[-2]:self.levels[-1]]].sum())

    def grow(self) -> None:
        """One step further."""
        net = self.net
        self.levels.append(_grow(net.first, net.others, net.edge, self.okay, self.limit, self.centre, self.shut, self.hop, self.queue,
                                 self.levels[-2], self.levels[-1], self.depth + 1))

    def reached(self) -> Codes:
        return self.queue[:self.levels[-1]]

    def extend(self, other: Ball) -> None:
        """Note for what this ball reached how far it is from the other's centre, as far as that is more than the other's steps."""
        net = self.net
        for j in range(1, self.depth):
            _extend(net.first, net.others, net.edge, self.okay, self.limit, self.centre, other.centre, self.queue, self.levels[self.depth - j + 1],
                    other.hop, other.depth + j)


@dataclass(frozen=True, eq=False)
class Found:
    """Paths between two things; p paths of at most k steps.

    Attributes:
        nodes: i4, shape (p, k + 1): numbers of the things along each path, -1 behind its end. edges: i4, shape (p, k): its edges, -1 behind.
        length: steps, shape (p,). strength: of the weakest step, shape (p,).
        counts: how many paths of 1, 2, ... k steps there are, however many came back.
        complete: counts are complete up to so many steps (k, but for more than 100,000,000 paths).
    """

    net: Network
    nodes: Codes
    edges: Codes
    length: Ints
    strength: Floats
    counts: tuple[int, ...]
    complete: int

    def __len__(self) -> int:
        return len(self.length)

    @property
    def count(self) -> int:
        """How many paths there are, listed or not."""
        return sum(self.counts)

    def names(self) -> list[list[Any]]:
        """The names along each path."""
        used = np.unique(self.nodes[self.nodes >= 0])
        called = dict(zip(used.tolist(), self.net.named(used), strict=True))
        return [[called[i] for i in row[:n + 1]] for row, n in zip(self.nodes.tolist(), self.length.tolist(), strict=True)]

    def table(self) -> pl.DataFrame:
        """One row a path: hops, strength, path (list of names)."""
        kind = self.net.ids.dtype
        return pl.DataFrame({"hops": self.length, "strength": self.strength, "path": self.names()},
                            schema={"hops": pl.Int64, "strength": pl.Float64, "path": pl.List(kind)})


@dataclass(frozen=True, eq=False)
class Between:
    """What lies on paths of at most ``hops`` steps: things in local numbers (the first end last but one, the second last), steps from each to each."""

    codes: Codes
    first: Ints
    to: Codes
    edge: Codes
    left: Any
    hops: int


def between(net: Network, a: int, b: int, hops: int, okay: Flags, limit: int) -> Between | None:
    """None where no path of so many steps can be."""
    one, two = Ball(net, a, okay, limit, shut=b), Ball(net, b, okay, limit, shut=a)
    for _ in range(hops):
        side = one if (one.open, -one.cost()) >= (two.open, -two.cost()) else two
        side.grow()
    one_reached, two_reached = one.reached(), two.reached()
    one.extend(two)
    two.extend(one)
    both = np.concatenate([one_reached, two_reached])
    on = both[one.hop[both].astype(np.int64) + two.hop[both] <= hops]
    on = on[net.degree[on] <= limit]
    inner = np.unique(on)
    codes = np.append(inner[(inner != a) & (inner != b)], np.array([a, b])).astype(np.int32)
    place = np.zeros(len(net), dtype=np.int32)
    place[codes] = np.arange(1, len(codes) + 1)
    far, left = one.hop[codes], two.hop[codes]
    far[-1] = hops  # nothing is followed from the second end
    first = np.zeros(len(codes) + 1, dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int32)
    arrays = (net.first, net.others, net.edge, okay, codes, place, far, left, hops, one.depth, two.depth)
    _steps(*arrays, first, nothing, nothing, 0)
    many = first[1:].copy()
    np.cumsum(first, out=first)
    if not first[-1]:
        return None
    to, edge = np.empty(first[-1], dtype=np.int32), np.empty(first[-1], dtype=np.int32)
    cursor = np.append(0, first[:-1])
    _steps(*arrays, cursor, to, edge, 1)
    if (cursor[1:] - first[:-1] != many).any():
        raise RuntimeError("steps were counted and filled in differently")
    return Between(codes, first, to, edge, left, hops)


def counted(among: Between, bound: int, most: int = _COUNTED) -> tuple[Ints, bool]:
    """Paths by number of steps (shape (hops + 1,)), and whether there are no more than ``most``."""
    counts = np.zeros(among.hops + 1, dtype=np.int64)
    over = _count(among.first, among.to, among.left, bound, np.zeros(8, np.int64), np.zeros(8, np.int64), np.zeros(len(among.codes), np.uint8), counts, most)
    return counts, not over


def found(net: Network, a: int, b: int, hops: int, okay: Flags, limit: int, most: int | None) -> Found:
    """All paths, see ``Network.paths``.

    Raises:
        CannotTell: there are more than can be listed.
    """
    if most is not None and 3 <= hops <= 4 and "strength" not in net.frame.columns:
        number, things, by, steps = _short.listed(net, a, b, hops, okay, limit, most)
        return Found(net, things, by, steps, np.ones(len(steps)), tuple(int(c) for c in number), hops)
    among = between(net, a, b, hops, okay, limit)
    if among is None:
        none = np.zeros(0, dtype=np.int64)
        return Found(net, np.zeros((0, hops + 1), np.int32), np.zeros((0, hops), np.int32), none, none.astype(float), (0,) * hops, hops)
    bound = hops
    counts, whole = counted(among, bound)
    while not whole and bound > 1:
        bound -= 1
        counts, whole = counted(among, bound)
    complete = bound
    total = np.cumsum(counts)
    if most is not None:
        bound = min(bound, int(np.argmax(total >= min(most, total[-1]))))
    room = counts.copy()
    if most is not None and "strength" not in net.frame.columns:
        room[bound] = min(room[bound], max(0, most - int(total[bound - 1]) if bound else 0))
    rows = int(room[:bound + 1].sum())
    if rows > _LARGEST or (complete < hops and most is None):
        raise CannotTell(f"There are {'more than ' if complete < hops else ''}{_COUNTED if complete < hops else rows:,} paths of up to {hops} steps; "
                         "ask for fewer steps, filter by kind, time or strength, leave out things tied to very many others (max_degree), or give most.")
    nodes, edges = np.full((rows, hops + 1), -1, dtype=np.int32), np.full((rows, hops), -1, dtype=np.int32)
    length = np.zeros(rows, dtype=np.int64)
    _fill(among.first, among.to, among.edge, among.left, among.codes, bound, np.zeros(8, np.int64), np.zeros(8, np.int64), np.zeros(8, np.int64),
          np.zeros(len(among.codes), np.uint8), room, nodes, edges, length)
    strength = np.where(edges >= 0, net.strengths[np.maximum(edges, 0)], 1.0).min(axis=1, initial=1.0) if rows else np.zeros(0)
    order = np.lexsort((np.arange(rows), -strength, length))[:most]
    return Found(net, nodes[order], edges[order], length[order], strength[order], tuple(int(c) for c in counts[1:]), complete)


@kernel("i8[:], i4[:], i4[:], u1[:], i8, i8, i8, i1[:], i4[:], i8, i8, i8 -> i8")
def _grow(first, others, edge, okay, limit, centre, shut, hop, queue, start, end, depth):  # type: ignore[no-untyped-def]
    """Append to the queue what the things start..end of it are tied to and what was not reached yet; where it ends then."""
    stop = end
    free = len(okay) == 0
    for q in range(start, end):
        v = queue[q]
        if v == shut or (v != centre and first[v + 1] - first[v] > limit):
            continue
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if hop[w] == 127 and (free or okay[edge[h]]):
                hop[w] = depth
                queue[stop] = w
                stop += 1
    return stop


@kernel("i8[:], i4[:], i4[:], u1[:], i8, i8, i8, i4[:], i8, i1[:], i8")
def _extend(first, others, edge, okay, limit, centre, other, queue, end, left, value):  # type: ignore[no-untyped-def]
    """``left = value`` for those of the queue before ``end`` that have none and are tied to one with ``value - 1``."""
    free = len(okay) == 0
    for q in range(end):
        v = queue[q]
        if left[v] != 127 or (v != centre and first[v + 1] - first[v] > limit):
            continue
        for h in range(first[v], first[v + 1]):
            w = others[h]
            if left[w] == value - 1 and (free or okay[edge[h]]) and (w == other or (w != centre and first[w + 1] - first[w] <= limit)):
                left[v] = value
                break


@kernel("i8[:], i4[:], i4[:], u1[:], i4[:], i4[:], i1[:], i1[:], i8, i8, i8, i8[:], i4[:], i4[:], i8")
def _steps(first, others, edge, okay, codes, place, far, left, hops, one, two, cursor, to, by, fill):  # type: ignore[no-untyped-def]
    """Steps v -> w that a path can take, in local numbers, w in order for each v: counted into ``cursor[v + 1]``, or written there.

    From things nearer than ``one`` to the first end, their ties are looked through; steps from further ones lead to things nearer than ``two`` to the
    second end and are found from there, so that the ties of what lies in the middle (hubs, often) are never gone through.
    """
    free = len(okay) == 0
    last = len(codes) - 1
    for v in range(last):
        if far[v] < one:
            ending = -1
            for h in range(first[codes[v]], first[codes[v] + 1]):
                w = place[others[h]] - 1
                if w < 0 or w == last - 1 or far[v] + 1 + left[w] > hops or not (free or okay[edge[h]]):
                    continue
                if w == last:
                    ending = edge[h]
                    continue
                if fill:
                    to[cursor[v + 1]] = w
                    by[cursor[v + 1]] = edge[h]
                cursor[v + 1] += 1
            if ending >= 0:  # the second end comes last
                if fill:
                    to[cursor[v + 1]] = last
                    by[cursor[v + 1]] = ending
                cursor[v + 1] += 1
    for w in range(last + 1):
        if left[w] < two and w != last - 1:
            for h in range(first[codes[w]], first[codes[w] + 1]):
                v = place[others[h]] - 1
                if v < 0 or v == last or far[v] < one or far[v] + 1 + left[w] > hops or not (free or okay[edge[h]]):
                    continue
                if fill:
                    to[cursor[v + 1]] = w
                    by[cursor[v + 1]] = edge[h]
                cursor[v + 1] += 1


@kernel("i8[:], i4[:], i1[:], i8, i8[:], i8[:], u1[:], i8[:], i8 -> i8")
def _count(first, to, left, bound, at, node, on, counts, most):  # type: ignore[no-untyped-def]
    """Add to ``counts[steps]`` the simple paths of at most ``bound`` steps; 1 where there are more than ``most`` (then counting stops)."""
    end = len(on) - 1
    depth = 0
    total = 0
    node[0] = end - 1
    at[0] = first[end - 1]
    on[end - 1] = 1
    while depth >= 0:
        v = node[depth]
        if at[depth] == first[v + 1]:
            on[v] = 0
            depth -= 1
            continue
        w = to[at[depth]]
        at[depth] += 1
        if w == end:
            counts[depth + 1] += 1
            total += 1
            if total > most:
                return 1
        elif not on[w] and depth + 1 + left[w] <= bound:
            if depth + 2 == bound:  # one step is left: the second end, which comes last
                if to[first[w + 1] - 1] == end:
                    counts[bound] += 1
                    total += 1
                    if total > most:
                        return 1
                continue
            depth += 1
            node[depth] = w
            at[depth] = first[w]
            on[w] = 1
    return 0


@kernel("i8[:], i4[:], i4[:], i1[:], i4[:], i8, i8[:], i8[:], i8[:], u1[:], i8[:], i4[:,:], i4[:,:], i8[:]")
def _fill(first, to, edge, left, codes, bound, at, node, by, on, room, nodes, edges, length):  # type: ignore[no-untyped-def]
    """As ``_count``, writing the paths, of each number of steps the first ``room[steps]``."""
    end = len(on) - 1
    depth = 0
    p = 0
    node[0] = end - 1
    at[0] = first[end - 1]
    on[end - 1] = 1
    while depth >= 0 and p < len(length):
        v = node[depth]
        if at[depth] == first[v + 1]:
            on[v] = 0
            depth -= 1
            continue
        w = to[at[depth]]
        by[depth] = edge[at[depth]]
        at[depth] += 1
        if w == end:
            if depth + 1 <= bound and room[depth + 1] > 0:
                room[depth + 1] -= 1
                for d in range(depth + 1):
                    nodes[p, d] = codes[node[d]]
                    edges[p, d] = by[d]
                nodes[p, depth + 1] = codes[end]
                length[p] = depth + 1
                p += 1
        elif not on[w] and depth + 1 + left[w] <= bound:
            depth += 1
            node[depth] = w
            at[depth] = first[w]
            on[w] = 1

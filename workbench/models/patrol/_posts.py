"""p-median and maximal covering: greedy, interchange, and a bound on what could be better."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.geo import Floats, Grid, Ints

Bools = np.ndarray[Any, np.dtype[np.bool_]]
_TURNS = 150


def demand(grid: Grid, expected: Floats, most: int) -> tuple[Floats, Floats, Floats, int]:
    """Cells merged to blocks of ``fold`` a side so that at most ``most`` hold anything: weighted centre x, y (metres), weight, fold."""
    x, y = grid.centres_metres()
    column, row = np.arange(len(grid)) % grid.nx, np.arange(len(grid)) // grid.nx
    fold = 1
    while True:
        block = (row // fold) * (grid.nx // fold + 1) + column // fold
        weight: Floats = np.bincount(block, np.where(grid.inside, expected, 0.0)).astype(float)
        use = np.flatnonzero(weight > 0)
        if len(use) <= most:
            break
        fold += 1
    held = np.where(grid.inside, expected, 0.0)
    return np.bincount(block, held * x)[use] / weight[use], np.bincount(block, held * y)[use] / weight[use], weight[use], fold


def candidates(grid: Grid, expected: Floats, most: int) -> tuple[Floats, Floats, Ints]:
    """Cells where a post may be: every s-th column and row inside, s the least that keeps within two thirds of ``most``, and the cells most is expected in."""
    column, row = np.arange(len(grid)) % grid.nx, np.arange(len(grid)) // grid.nx
    inside = grid.inside
    step = max(1, math.ceil(math.sqrt(inside.sum() / (most * 2 / 3))))
    use = inside & (column % step == step // 2) & (row % step == step // 2)
    top = np.flatnonzero(inside)[np.argsort(-expected[inside], kind="stable")][: most - int(use.sum())]
    use[top] = True
    at = np.flatnonzero(use)
    x, y = grid.centres_metres()
    return x[at], y[at], at.astype(np.int64)


def median(cost: Floats, weight: Floats, k: int) -> tuple[Ints, float]:
    """Columns of ``cost`` (demand x candidates) that make ``sum(weight * least cost)`` small, and the share by which the best could be smaller."""
    near = np.full(len(weight), np.inf)
    chosen: list[int] = []
    for _ in range(k):
        totals = (weight[:, None] * np.minimum(near[:, None], cost)).sum(axis=0) if chosen else weight @ cost
        totals[chosen] = np.inf
        chosen.append(int(totals.argmin()))
        near = np.minimum(near, cost[:, chosen[-1]])
    chosen = _interchanged(cost, weight, chosen)
    value = float(weight @ cost[:, chosen].min(axis=1))
    bound = _bound(cost * weight[:, None], k, value)
    return np.sort(np.array(chosen, dtype=np.int64)), max(0.0, (value - bound) / value) if value > 0 else 0.0


def _interchanged(cost: Floats, weight: Floats, chosen: list[int]) -> list[int]:
    """Swap one chosen for one not chosen as long as that helps (best swap first)."""
    k = len(chosen)
    for _ in range(20 * k):
        held = cost[:, chosen]
        first = held.argmin(axis=1)
        d1 = held[np.arange(len(held)), first]
        d2 = np.partition(held, 1, axis=1)[:, 1] if k > 1 else np.full(len(held), np.inf)
        gain = np.minimum(cost - d1[:, None], 0.0)  # by adding a candidate, if nothing is taken away
        added = weight @ gain
        best, swap = -1e-9 * float(weight @ d1), None
        for r in range(k):
            of = np.flatnonzero(first == r)
            loss = weight[of] @ (np.minimum(cost[of], d2[of, None]) - d1[of, None] - gain[of]) if len(of) else np.zeros(cost.shape[1])
            change = added + loss
            change[chosen] = np.inf
            j = int(change.argmin())
            if change[j] < best:
                best, swap = float(change[j]), (r, j)
        if swap is None:
            break
        chosen[swap[0]] = swap[1]
    return chosen


def _bound(cost: Floats, k: int, value: float) -> float:
    """Lower bound on the p-median by Lagrangian relaxation of "each place is served once", raised by subgradient steps."""
    price = np.partition(cost, min(k, cost.shape[1] - 1), axis=1)[:, min(k, cost.shape[1] - 1)].copy()
    best, scale, calm = 0.0, 1.5, 0
    for _ in range(_TURNS):
        saved = np.minimum(cost - price[:, None], 0.0)
        worth = saved.sum(axis=0)
        open_ = np.argpartition(worth, k - 1)[:k]
        bound = float(price.sum() + worth[open_].sum())
        if bound > best + 1e-12 * value:
            best, calm = bound, 0
        else:
            calm += 1
            if calm == 8:
                scale, calm = scale / 2, 0
        slack = 1.0 - (saved[:, open_] < 0).sum(axis=1)
        length = float(slack @ slack)
        if length == 0 or value - best <= 1e-9 * value or scale < 1e-3:
            break
        price = np.maximum(price + scale * (1.02 * value - bound) / length * slack, 0.0)
    return best


def covering(reached: Bools, weight: Floats, k: int) -> tuple[Ints, float]:
    """Columns of ``reached`` that together reach much weight, and the share by which the best could reach more.

    The bound: a set S reaches f(S); no k columns reach more than f(S) plus the k largest gains over S (G. L. Nemhauser, L. A. Wolsey, M. L. Fisher,
    Mathematical Programming 14, 1978, 265-294); the least over the greedy sets counts.
    """
    open_ = np.ones(len(weight), dtype=bool)
    chosen: list[int] = []
    total, bound = 0.0, float(weight.sum())
    for _ in range(k):
        gains = (weight * open_) @ reached
        bound = min(bound, total + float(np.sort(gains)[::-1][:k].sum()))
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        total += float((weight * open_) @ reached[:, chosen[-1]])
        open_ &= ~reached[:, chosen[-1]]
    bound = min(bound, total + float(np.sort((weight * open_) @ reached)[::-1][:k].sum()))
    for _ in range(20 * k):  # interchange
        times = reached[:, chosen].sum(axis=1)
        best, swap = total * (1 + 1e-9), None
        for r in range(k):
            others = times - reached[:, chosen[r]] > 0
            sums = float(weight @ others) + (weight * ~others) @ reached
            sums[chosen] = -1.0
            j = int(sums.argmax())
            if sums[j] > best:
                best, swap = float(sums[j]), (r, j)
        if swap is None:
            break
        chosen[swap[0]], total = swap[1], best
    return np.sort(np.array(chosen, dtype=np.int64)), max(0.0, bound / total - 1) if total > 0 else 0.0

"""Cells shared out among units, and visits in random order."""

from __future__ import annotations

import math

import numpy as np

from workbench.geo import Floats, Ints


def teams(x: Floats, y: Floats, weight: Floats, units: int) -> Ints:
    """Which unit each cell goes to: cells near one another, none with more than one cell over its even share (k-means with equal sizes)."""
    from scipy.optimize import linear_sum_assignment

    n, room = len(x), math.ceil(len(x) / units)
    order = np.lexsort((x, y, -weight))
    middle = [int(order[0])]
    while len(middle) < units:
        away = np.min([np.hypot(x - x[m], y - y[m]) for m in middle], axis=0)
        middle.append(int(away.argmax()))
    mx, my = x[middle].astype(float), y[middle].astype(float)
    team = np.full(n, -1, dtype=np.int64)
    for _ in range(20):
        cost = np.repeat((x[:, None] - mx) ** 2 + (y[:, None] - my) ** 2, room, axis=1)
        _, slot = linear_sum_assignment(cost)
        new = slot // room
        if (new == team).all():
            break
        team = new.astype(np.int64)
        for u in range(units):
            if (team == u).any():
                mx[u], my[u] = x[team == u].mean(), y[team == u].mean()
    return team


def visits(x: Floats, y: Floats, team: Ints, units: int, length: float, stay: float, busy: float, pace: float, seed: int) -> list[tuple[int, int, float]]:
    """(unit, cell, second it begins): each unit goes through its cells in an order drawn anew each round; calls take ``busy`` of the time, in between."""
    rng = np.random.default_rng(seed)
    made: list[tuple[int, int, float]] = []
    for u in range(units):
        own = np.flatnonzero(team == u)
        at, here, last = 0.0, -1, -1
        while len(own):
            order = rng.permutation(own)
            if len(order) > 1 and order[0] == last:
                order = np.roll(order, 1)
            began = at
            for c in order:
                way = float(np.hypot(x[c] - x[here], y[c] - y[here])) * pace if here >= 0 else 0.0
                called = rng.exponential((stay + way) * busy / (1 - busy)) if busy > 0 else 0.0
                begin = at + way + called
                if begin + stay > length:
                    break
                made.append((u, int(c), begin))
                at, here, last = begin + stay, int(c), int(c)
            else:
                if at > began:
                    continue
            break
    return made

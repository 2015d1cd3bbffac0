"""Neighbours, sums over neighbours, and what those sums would be by chance: shared by the local statistics.

A site's statistic (Gi, Gi*, local Moran) grows or falls with one number, the sum of its neighbours' values. Under the conditional permutation null the
site keeps its value and its neighbours' places are filled from all other sites, so the law of that sum depends on the site only through the value it
keeps and the number of its neighbours. For whole numbers the law is computed exactly: the coefficients of ``prod (1 + t q^value)`` over all sites, one
site divided out. Otherwise it is simulated, once for each pair of kept value and number of neighbours, from a stream of random numbers of that pair's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import GOLD, each, kernel, mixed
from workbench.errors import BadInput
from workbench.geo import Floats, Grid, Ints, Plane, Polygon

#: Multiplications that the exact law may cost; beyond it is simulated.
_AFFORDABLE = 6e8
_PARTS = 64
_S32 = np.uint64(32)


def offsets(weights: str, distance: float | None, cell: float) -> list[tuple[int, int]]:
    """Steps (rows, columns) from a cell to its neighbours.

    Raises:
        BadInput: unknown weights, or a distance that reaches no other cell or several thousand of them.
    """
    _known(weights, distance)
    if weights != "distance":
        near = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
        return near if weights == "queen" else [(r, c) for r, c in near if r == 0 or c == 0]
    reach = float(distance or 0.0) / cell
    if not 1 <= reach <= 40:
        raise BadInput(f"distance={distance!r} m does not do for cells of {cell:g} m: give {cell:g} to {40 * cell:g} m.")
    whole = int(reach)
    return [(r, c) for r in range(-whole, whole + 1) for c in range(-whole, whole + 1) if (r, c) != (0, 0) and r * r + c * c <= reach * reach * (1 + 1e-12)]


def _known(weights: str, distance: float | None) -> None:
    if weights not in ("queen", "rook", "distance"):
        raise BadInput(f"weights={weights!r} is not known; choose 'queen' (side or corner shared), 'rook' (side shared) or 'distance' (with distance=).")
    if (weights == "distance") != (distance is not None):
        raise BadInput(f"weights={weights!r} with distance={distance!r} does not do: distance= goes with weights='distance', and is needed there.")


def over_grid(values: Floats, grid: Grid, steps: Sequence[tuple[int, int]]) -> tuple[Floats, Ints]:
    """Sum of the neighbours' values and number of neighbours of every cell, both of shape (len(grid),); cells outside the area are nobody's neighbour."""
    inside = grid.inside.reshape(grid.ny, grid.nx)
    held = np.where(inside, values.reshape(grid.ny, grid.nx), 0.0)
    sums, sizes = np.zeros(inside.shape), np.zeros(inside.shape, dtype=np.int64)
    for r, c in steps:
        if abs(r) >= grid.ny or abs(c) >= grid.nx:
            continue
        to = slice(max(0, -r), grid.ny - max(0, r)), slice(max(0, -c), grid.nx - max(0, c))
        of = slice(max(0, r), grid.ny - max(0, -r)), slice(max(0, c), grid.nx - max(0, -c))
        sums[to] += held[of]
        sizes[to] += inside[of]
    return sums.ravel(), sizes.ravel()


def pairs_of_areas(polygons: Sequence[Polygon], weights: str, distance: float | None) -> tuple[Ints, Ints]:
    """Every ordered pair of neighbouring areas. Queen: a corner is shared; rook: a side is; distance: the middles of the bounds lie within it.

    Corners count as the same within a millionth of a degree (some 0.1 m).

    Raises:
        BadInput: unknown weights, or a distance that does not do.
    """
    _known(weights, distance)
    if weights == "distance":
        middle = np.array([((w + e) / 2, (s + n) / 2) for w, s, e, n in (p.bounds for p in polygons)])
        x, y = Plane.local(float(middle[:, 1].mean()), float(middle[:, 0].mean())).to_metres(middle[:, 0], middle[:, 1])
        near = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 <= float(distance or 0.0) ** 2
        np.fill_diagonal(near, False)
        one, other = np.nonzero(near)
        return one.astype(np.int64), other.astype(np.int64)
    by: dict[Any, set[int]] = {}
    for k, polygon in enumerate(polygons):
        for ring in polygon.rings:
            corners = [tuple(v) for v in np.round(ring * 1e6).astype(np.int64).tolist()]
            sides = [tuple(sorted(side)) for side in zip(corners, corners[1:] + corners[:1], strict=True) if side[0] != side[1]]
            keys = corners if weights == "queen" else sides
            for key in keys:
                by.setdefault(key, set()).add(k)
    found = sorted({(a, b) for held in by.values() if len(held) > 1 for a in held for b in held if a != b})
    return np.array([a for a, _ in found], dtype=np.int64), np.array([b for _, b in found], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of each site; all of shape (n,).

    Args:
        gi, star: standardised Gi and Gi* (Ord and Getis 1995); ``gi`` is also, up to the sign of the site's own deviation, the standardised local Moran.
        moran: local Moran's I_i with row-standardised weights, ``(n - 1) z_i mean(z of the neighbours) / sum z^2``.
        low, high: chance of a neighbours' sum at most, and at least, as large as seen; both count sums that are equal.
        p: two-sided, ``min(1, 2 min(low, high))``; 1 for a site without neighbours.
        equal: chance of just that sum.
        how: how the chances were come by, in words.
    """

    gi: Floats
    star: Floats
    moran: Floats
    low: Floats
    high: Floats
    p: Floats
    equal: Floats
    how: str


def judge(values: Floats, sums: Floats, sizes: Ints, *, permutations: int | None, seed: int, threads: int | None) -> Judged:
    """All local statistics of sites from their values, neighbours' sums and numbers of neighbours, arrays of shape (n,) with n of at least 3.

    ``permutations=None`` = the exact law where values are whole numbers from 0 and it is affordable, else 999 simulated.
    """
    gi, star, moran = standardised(values, sums, sizes)
    whole = bool(np.all(values >= 0) and np.all(values == np.floor(values)))
    if permutations is None and whole and _cost(values, sizes) <= _AFFORDABLE:
        low, high, equal = exact(values.astype(np.int64), sums.astype(np.int64), sizes)
        how = "exact conditional permutation law"
    else:
        runs = permutations or 999
        low, high, equal = simulated(values, sums, sizes, runs, seed, threads)
        how = f"{runs:,} conditional permutations"
    p = np.where(sizes > 0, np.minimum(1.0, 2 * np.minimum(low, high)), 1.0)
    return Judged(gi, star, moran, low, high, p, equal, how)


def standardised(values: Floats, sums: Floats, sizes: Ints) -> tuple[Floats, Floats, Floats]:
    """(Gi, Gi*, local Moran's I) of each site, 0 where a site has no neighbour or nothing varies; see Judged."""
    n, k = len(values), sizes.astype(float)
    total, squares = float(values.sum()), float(np.sum(values**2))
    mean = (total - values) / (n - 1)
    variance = np.maximum((squares - values**2) / (n - 1) - mean**2, 0.0)
    spread = np.sqrt(variance * k * (n - 1 - k) / max(n - 2, 1))
    gi = np.divide(sums - k * mean, spread, out=np.zeros(n), where=spread > 1e-12)
    every, whole = total / n, squares / n - (total / n) ** 2
    wide = np.sqrt(np.maximum(whole * (k + 1) * (n - k - 1) / (n - 1), 0.0))
    star = np.divide(sums + values - (k + 1) * every, wide, out=np.zeros(n), where=wide > 1e-12)
    z = values - every
    lag = np.divide(sums, k, out=np.full(n, every), where=k > 0) - every
    moran = (n - 1) * z * lag / max(n * whole, 1e-300)
    return gi, star, moran


def _cost(values: Floats, sizes: Ints) -> float:
    top = int(sizes.max(initial=0))
    kinds = np.unique(values)
    reach = top * float(values.max(initial=0))
    return (top + 1) * reach * len(kinds) * (min(top, 12) / 3 + 1)


def exact(values: Ints, sums: Ints, sizes: Ints) -> tuple[Floats, Floats, Floats]:
    """P(sum <= seen), P(sum >= seen), P(sum = seen) of each site under the conditional permutation null, exactly.

    O(kinds of values x most neighbours^2 x largest sum); the number of sites hardly matters.
    """
    n, top = len(values), int(sizes.max(initial=0))
    kinds, of, held = np.unique(values, return_inverse=True, return_counts=True)
    scale = max(top, 1) / n  # keeps the numbers of ways within what a float holds
    ways = _ways(kinds.tolist(), held.tolist(), top, scale)
    low, high, equal = np.ones(n), np.ones(n), np.ones(n)
    order = np.lexsort((sizes, of))
    keys = of[order] * (top + 1) + sizes[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    last, left = -1, ways
    for a, b in zip(starts, np.append(starts[1:], n), strict=True):
        at = order[a:b]
        kind, size = int(of[at[0]]), int(sizes[at[0]])
        if size == 0:
            continue
        if kind != last:
            left, last = _without(ways, int(kinds[kind]), scale), kind
        law = left[size] / left[size].sum()
        seen = sums[at]
        low[at] = np.cumsum(law)[seen]
        high[at] = np.cumsum(law[::-1])[::-1][seen]
        equal[at] = law[seen]
    return np.minimum(low, 1.0), np.minimum(high, 1.0), equal


def _ways(kinds: list[int], held: list[int], top: int, scale: float) -> Floats:
    """``ways[j, s]`` = in how many ways j sites with sum s can be chosen, times scale^j; shape (top + 1, top x largest value + 1)."""
    ways = np.zeros((top + 1, top * kinds[-1] + 1))
    ways[0, 0] = 1.0
    for value, many in zip(kinds, held, strict=True):
        chosen = [math.comb(many, m) * scale**m if many < 1000 else math.exp(math.lgamma(many + 1) - math.lgamma(m + 1) - math.lgamma(many - m + 1)
                  + m * math.log(scale)) for m in range(min(top, many) + 1)]
        for j in range(top, 0, -1):
            for m in range(1, min(j, many) + 1):
                ways[j, m * value : j * value + 1] += chosen[m] * ways[j - m, : (j - m) * value + 1]
    return ways


def _without(ways: Floats, value: int, scale: float) -> Floats:
    """The ways left when one site of that value is taken out: the polynomial divided by ``1 + t q^value``."""
    left = ways.copy()
    for j in range(1, len(ways)):
        left[j, value:] -= scale * left[j - 1, : left.shape[1] - value]
        np.maximum(left[j], 0.0, out=left[j])
    return left


def simulated(values: Floats, sums: Floats, sizes: Ints, runs: int, seed: int, threads: int | None) -> tuple[Floats, Floats, Floats]:
    """As ``exact``, from ``runs`` permutations: (1 + number at most as large) / (runs + 1) and so on.

    Sites with the same value and number of neighbours share one set of permutations, for their null law is the same; every set has its own stream made
    from the seed, the value's rank and the number, so that neither threads nor the order or number of sites changes it.
    """
    n = len(values)
    _, of = np.unique(values, return_inverse=True)
    order = np.lexsort((sizes, of))
    stored = np.ascontiguousarray(np.sort(values, kind="stable"))
    keys = of[order] * (int(sizes.max(initial=0)) + 1) + sizes[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])).astype(np.int64)
    begin = np.append(starts, n).astype(np.int64)
    own = np.searchsorted(stored, values[order][starts]).astype(np.int64)
    size = np.ascontiguousarray(sizes[order][starts], dtype=np.int64)
    seen = np.ascontiguousarray(sums[order], dtype=np.float64)
    below, above = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    slack = 1e-11 * max(float(np.abs(sums).max(initial=0.0)), float(np.abs(values).max(initial=0.0)))
    groups = len(starts)
    bounds = np.unique(np.linspace(0, groups, min(_PARTS, groups) + 1).astype(np.int64))

    def run(k: int) -> None:
        drawn, picked = np.empty(runs), np.empty(max(1, int(size.max(initial=0))), dtype=np.int64)
        _permuted(stored.copy(), own, size, begin, seen, slack, drawn, picked, np.uint64(seed % 2**64), int(bounds[k]), int(bounds[k + 1]), below, above)

    each(run, range(len(bounds) - 1), threads=threads)
    low, high, equal = np.empty(n), np.empty(n), np.empty(n)
    low[order], high[order] = (1 + below) / (runs + 1), (1 + above) / (runs + 1)
    equal[order] = (below + above - runs) / runs
    return low, high, equal


@kernel("f8[:], i8[:], i8[:], i8[:], f8[:], f8, f8[:], i8[:], u8, i8, i8, i8[:], i8[:]")
def _permuted(stored, own, size, begin, seen, slack, drawn, picked, seed, first, last, below, above):  # type: ignore[no-untyped-def]
    """Sums of ``size`` others drawn without replacement, ``len(drawn)`` times for each group, counted against what its sites show."""
    others = len(stored) - 1
    for g in range(first, last):
        k, skip = size[g], own[g]
        if k == 0:
            continue
        state = mixed(seed ^ mixed(GOLD * (np.uint64(skip) + np.uint64(1)) + np.uint64(k)))
        for r in range(len(drawn)):
            total = 0.0
            for j in range(k):
                state += GOLD
                at = j + np.int64(((mixed(state) >> _S32) * np.uint64(others - j)) >> _S32)
                picked[j] = at
                here, there = j + (j >= skip), at + (at >= skip)
                held = stored[there]
                stored[there] = stored[here]
                stored[here] = held
                total += held
            drawn[r] = total
            for j in range(k - 1, -1, -1):
                at = picked[j]
                here, there = j + (j >= skip), at + (at >= skip)
                held = stored[there]
                stored[there] = stored[here]
                stored[here] = held
        for i in range(begin[g], begin[g + 1]):
            less, more = 0, 0
            for r in range(len(drawn)):
                less += drawn[r] <= seen[i] + slack
                more += drawn[r] >= seen[i] - slack
            below[i], above[i] = less, more

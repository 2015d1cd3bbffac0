"""The self-exciting model's inner works: close pairs, a background that is not fooled by what was triggered, and the fit by EM.

Time is in days, events are ordered by bucket of side ``reach``, then by time. Distances and time differences of pairs are kept in 4,096 steps each, so
that no exponential is taken in the loop over pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.kernels import each, kernel, part
from workbench.geo import Floats, Grid, Ints
from workbench.models.hotspots import kde

STEPS = 4096
WIDTHS = (15.0, 200.0, 500.0, 1500.0)  # standard deviations of the background's kernels, metres; the first is the house next door
SAME = 1.0  # metres within which two incidents are at the same address; also the side of the square metre an address is taken as
_BLOCKS = 8  # stretches of time; an incident's background comes from the others, its own and both neighbours left out
_PARTS = 4


@dataclass(frozen=True)
class Fitted:
    """What the fit found.

    Args:
        smooth: share of incidents explained by each kernel of the background (of WIDTHS, then even over the area).
        address: share explained by addresses in proportion to what happened there before.
        repeat: further incidents a day at an address for each one there before, whatever its age.
        near, decay, spread: incidents led to near by for each one; their mean delay in days, and standard deviation in metres (one coordinate).
        same, same_decay: incidents led to at the same address for each one; their mean delay in days.
        level, level_spread: incidents near by for each one within ``memory``, whatever the delay: what the kernels of the background miss of places that
            are busy for long. It counts as background.
        reach, memory: metres and days beyond which nothing is led to.
        likelihood, rounds: log-likelihood and passes over the pairs.
    """

    smooth: tuple[float, ...]
    address: float
    repeat: float
    near: float
    decay: float
    spread: float
    same: float
    same_decay: float
    level: float
    level_spread: float
    reach: float
    memory: float
    likelihood: float = math.nan
    rounds: int = 0


@dataclass(frozen=True, eq=False)
class Pairs:
    """Events in bucket order with their earlier neighbours: ``distance`` and ``delay`` in steps, of event j at near[j]:near[j + 1], and ``again`` of those
    at the same address at same[j]:same[j + 1]. ``order`` says which event each is."""

    order: Ints
    near: Ints
    same: Ints
    distance: Any
    delay: Any
    again: Any


@part
def _first(t: Any, low: int, high: int, at: float) -> int:
    while low < high:
        middle = (low + high) // 2
        if t[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


@kernel("f8[:], f8[:], f8[:], i8[:], i8[:], i8[:], i8, i8, f8, f8, i8, i8, i8[:], i8[:]")
def _count(x, y, t, address, bucket, starts, across, up, reach, memory, low, high, near, same):  # type: ignore[no-untyped-def]
    """For events low to high: how many earlier ones lie within reach and memory, elsewhere and at the same address."""
    for j in range(low, high):
        column, row = bucket[j] % across, bucket[j] // across
        n, m = 0, 0
        for r in range(max(0, row - 1), min(up, row + 2)):
            for c in range(max(0, column - 1), min(across, column + 2)):
                end = starts[r * across + c + 1]
                i = _first(t, starts[r * across + c], end, t[j] - memory)
                while i < end and t[i] < t[j]:
                    if address[i] == address[j]:
                        m += 1
                    elif (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < reach * reach:
                        n += 1
                    i += 1
        near[j + 1] = n
        same[j + 1] = m


@kernel("f8[:], f8[:], f8[:], i8[:], i8[:], i8[:], i8, i8, f8, f8, i8, i8, i8[:], i8[:], i2[:], i2[:], i2[:]")
def _fill(x, y, t, address, bucket, starts, across, up, reach, memory, low, high, near, same, distance, delay, again):  # type: ignore[no-untyped-def]
    """The same pairs, written down."""
    for j in range(low, high):
        column, row = bucket[j] % across, bucket[j] // across
        n, m = near[j], same[j]
        for r in range(max(0, row - 1), min(up, row + 2)):
            for c in range(max(0, column - 1), min(across, column + 2)):
                end = starts[r * across + c + 1]
                i = _first(t, starts[r * across + c], end, t[j] - memory)
                while i < end and t[i] < t[j]:
                    step = min(4095, int((t[j] - t[i]) / memory * 4096))
                    if address[i] == address[j]:
                        again[m] = step
                        m += 1
                    else:
                        d2 = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
                        if d2 < reach * reach:
                            distance[n] = min(4095, int(math.sqrt(d2) / reach * 4096))
                            delay[n] = step
                            n += 1
                    i += 1


@kernel("i8, i8, i8[:], i8[:], i2[:], i2[:], i2[:], f8[:,:], f8[:], f8[:], f8[:], f8[:], f8[:], f8[:]")
def _round(low, high, near, same, distance, delay, again, ground, rates, space, time, once_more, level, out):  # type: ignore[no-untyped-def]
    """One E-step: sums over events of each cause's probability, and of some the delay or squared distance with it, both in steps.

    out: log-likelihood's sum, near, near x delay, near x distance squared, same, same x delay, level, level x distance squared, then each background's.
    """
    kinds = len(rates)
    for j in range(low, high):
        total = 0.0
        for m in range(kinds):
            total += rates[m] * ground[j, m]
        w0, w1, w2, v0, v2 = 0.0, 0.0, 0.0, 0.0, 0.0
        for q in range(near[j], near[j + 1]):
            w = space[distance[q]] * time[delay[q]]
            v = level[distance[q]]
            d = distance[q] + 0.5
            d *= d
            w0 += w
            w1 += w * delay[q]
            w2 += w * d
            v0 += v
            v2 += v * d
        s0, s1 = 0.0, 0.0
        for q in range(same[j], same[j + 1]):
            w = once_more[again[q]]
            s0 += w
            s1 += w * again[q]
        total += w0 + v0 + s0
        out[0] += math.log(total)
        back = 1.0 / total
        out[1] += w0 * back
        out[2] += (w1 + 0.5 * w0) * back
        out[3] += w2 * back
        out[4] += s0 * back
        out[5] += (s1 + 0.5 * s0) * back
        out[6] += v0 * back
        out[7] += v2 * back
        for m in range(kinds):
            out[8 + m] += rates[m] * ground[j, m] * back


@kernel("i8, i8, i8[:], i8[:], i2[:], i2[:], i2[:], f8[:,:], f8[:], f8[:], f8[:], f8[:], f8[:], f8[:], f8[:], f8[:,:]")
def _information(low, high, near, same, distance, delay, again, ground, rates, space, time, once_more, level, shape, g, out):  # type: ignore[no-untyped-def]
    """Sum over events of the outer product of the log-intensity's gradient.

    Tables are for a branching of 1. shape: near, its decay rate, spread, same, its decay rate, level, its spread, days a step, metres a step, derivatives
    of the norms (near in time, in space, same in time, level in space). g: scratch. Order: near, rate, spread, same, rate, level, spread, backgrounds.
    """
    kinds = len(rates)
    for j in range(low, high):
        total = 0.0
        for m in range(kinds):
            total += rates[m] * ground[j, m]
            g[7 + m] = ground[j, m]
        w0, w1, w2, v0, v2 = 0.0, 0.0, 0.0, 0.0, 0.0
        for q in range(near[j], near[j + 1]):
            w = space[distance[q]] * time[delay[q]]
            v = level[distance[q]]
            d = (distance[q] + 0.5) * shape[8]
            d *= d
            w0 += w
            w1 += w * (delay[q] + 0.5) * shape[7]
            w2 += w * d
            v0 += v
            v2 += v * d
        s0, s1 = 0.0, 0.0
        for q in range(same[j], same[j + 1]):
            w = once_more[again[q]]
            s0 += w
            s1 += w * (again[q] + 0.5) * shape[7]
        total += shape[0] * w0 + shape[3] * s0 + shape[5] * v0
        g[0] = w0
        g[1] = shape[0] * (w0 * shape[9] - w1)
        g[2] = shape[0] * (w2 / shape[2] ** 3 - w0 * shape[10])
        g[3] = s0
        g[4] = shape[3] * (s0 * shape[11] - s1)
        g[5] = v0
        g[6] = shape[5] * (v2 / shape[6] ** 3 - v0 * shape[12])
        for a in range(7 + kinds):
            for b in range(a + 1):
                out[a, b] += g[a] * g[b] / (total * total)


@kernel("f8[:], f8[:], i8[:], i8[:], i8[:], i8[:], i8, i8, f8, i8, i8, f8[:]")
def _beside(x, y, block, address, bucket, starts, across, up, width, low, high, out):  # type: ignore[no-untyped-def]
    """For events low to high (in bucket order) the Gaussian density of those of other stretches of time at other addresses, within three widths."""
    for j in range(low, high):
        column, row = bucket[j] % across, bucket[j] // across
        total = 0.0
        for r in range(max(0, row - 1), min(up, row + 2)):
            for c in range(max(0, column - 1), min(across, column + 2)):
                for i in range(starts[r * across + c], starts[r * across + c + 1]):
                    d2 = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
                    if d2 < 9.0 * width * width and abs(block[i] - block[j]) > 1 and address[i] != address[j]:
                        total += math.exp(-0.5 * d2 / (width * width))
        out[j] = total / (2 * math.pi * width * width)


@part
def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z * 0.7071067811865476)


@kernel("f8[:], f8[:], f8[:], f8, f8, f8, f8, f8, i8, i8, f8[:], f8[:]")
def _spill(x, y, weight, spread, reach, x0, y0, cell, nx, ny, columns, out):  # type: ignore[no-untyped-def]
    """Each event's weight spread over the cells by a Gaussian, integrated over each cell; columns is scratch of length nx."""
    for i in range(len(x)):
        c0, c1 = max(0, int(math.floor((x[i] - reach - x0) / cell))), min(nx, int(math.floor((x[i] + reach - x0) / cell)) + 1)
        r0, r1 = max(0, int(math.floor((y[i] - reach - y0) / cell))), min(ny, int(math.floor((y[i] + reach - y0) / cell)) + 1)
        for c in range(c0, c1):
            columns[c] = _normal((x0 + (c + 1) * cell - x[i]) / spread) - _normal((x0 + c * cell - x[i]) / spread)
        for r in range(r0, r1):
            row = weight[i] * (_normal((y0 + (r + 1) * cell - y[i]) / spread) - _normal((y0 + r * cell - y[i]) / spread))
            for c in range(c0, c1):
                out[r * nx + c] += row * columns[c]


def spilled(x: Floats, y: Floats, weight: Floats, spread: float, reach: float, grid: Grid) -> Floats:
    """Weights spread by the trigger's Gaussian, cut at ``reach``, over the cells of the study area; shape (len(grid),)."""
    out = np.zeros(len(grid))
    _spill(np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(weight), spread, min(reach, 5 * spread), grid.x0, grid.y0, grid.cell,
           grid.nx, grid.ny, np.zeros(grid.nx), out)
    out[~grid.inside] = 0.0
    return out


def addresses(x: Floats, y: Floats, grid: Grid) -> Ints:
    """A number for each address: positions that agree to a metre."""
    east, north = np.rint((x - grid.x0) / SAME).astype(np.int64), np.rint((y - grid.y0) / SAME).astype(np.int64)
    key = north * (int(grid.nx * grid.cell / SAME) + 2) + east
    number: Ints = np.unique(key, return_inverse=True)[1].astype(np.int64)
    return number


def earlier(address: Ints) -> Floats:
    """How many of the events before each lie at its address; events in order of time."""
    order = np.argsort(address, kind="stable")
    ordered = address[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(len(address)) - np.repeat(first, np.diff(np.r_[first, len(address)]))
    out = np.empty(len(address))
    out[order] = rank
    return out


def _buckets(x: Floats, y: Floats, side: float) -> tuple[Ints, Ints, Ints, int, int]:
    """Events sorted into squares: their order, the square of each in that order, where each square's begin; squares across and up."""
    column, row = ((x - x.min()) / side).astype(np.int64), ((y - y.min()) / side).astype(np.int64)
    across, up = int(column.max()) + 1, int(row.max()) + 1
    bucket = row * across + column
    order = np.argsort(bucket, kind="stable").astype(np.int64)
    return order, bucket[order], np.r_[0, np.cumsum(np.bincount(bucket, minlength=across * up))].astype(np.int64), across, up


def _next_door(x: Floats, y: Floats, blocks: Ints, address: Ints, width: float) -> Floats:
    """As ``_elsewhen``, summed directly over the few events within three widths."""
    side = max(3 * width, math.sqrt(float(np.ptp(x)) * float(np.ptp(y)) / 4_000_000))
    order, bucket, starts, across, up = _buckets(x, y, side)
    given, found = (x[order], y[order], blocks[order], address[order], bucket, starts, across, up, width), np.zeros(len(x))
    each(lambda s: _beside(*given, s[0], s[1], found), parts(len(x)))
    out = np.empty(len(x))
    out[order] = found
    counts = np.bincount(blocks, minlength=_BLOCKS).astype(float)
    others = np.array([sum(counts[k] for k in range(_BLOCKS) if abs(k - b) > 1) for b in range(_BLOCKS)])
    return np.asarray(out / np.maximum(others[blocks], 1.0), dtype=float)


def pairs(x: Floats, y: Floats, t: Floats, address: Ints, reach: float, memory: float) -> Pairs:
    """All pairs within reach and memory; events in order of time. O(n log n + pairs), 4 bytes a pair."""
    order, bucket, starts, across, up = _buckets(x, y, reach)
    given = (x[order], y[order], t[order], address[order], bucket, starts, across, up, reach, memory)
    near, same = np.zeros(len(x) + 1, dtype=np.int64), np.zeros(len(x) + 1, dtype=np.int64)
    spans = parts(len(x))
    each(lambda s: _count(*given, s[0], s[1], near, same), spans)
    near, same = np.cumsum(near), np.cumsum(same)
    distance, delay, again = np.empty(near[-1], np.int16), np.empty(near[-1], np.int16), np.empty(same[-1], np.int16)
    each(lambda s: _fill(*given, s[0], s[1], near, same, distance, delay, again), spans)
    return Pairs(order, near, same, distance, delay, again)


def parts(n: int) -> list[tuple[int, int]]:
    """The same stretches of events whatever the number of threads, so that sums come out the same."""
    cuts = [n * k // _PARTS for k in range(_PARTS + 1)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def background(x: Floats, y: Floats, t: Floats, address: Ints, grid: Grid, length: float) -> Floats:
    """Density of each cause of the background at each event, shape (n, len(WIDTHS) + 3): kernels (1 / m2), even (1 / m2), address, repeat (1 / m2).

    The kernels leave out what happened within about an eighth of the window before and after, so that an event's own children and parents do not count
    as its background. The last two look back only. O(n + 8 x widths x nodes).
    """
    blocks = np.minimum((t / length * _BLOCKS).astype(np.int64), _BLOCKS - 1)
    out = np.empty((len(x), len(WIDTHS) + 3))
    out[:, 0] = _next_door(x, y, blocks, address, WIDTHS[0])
    for k, width in enumerate(WIDTHS[1:], 1):
        out[:, k] = _elsewhen(x, y, blocks, grid, width)
    out[:, -3] = 1.0 / (grid.n_inside * grid.cell**2)
    before = earlier(address)
    out[:, -2] = before / np.maximum(np.arange(len(x)), 1) / SAME**2
    out[:, -1] = before / SAME**2
    return out


def _elsewhen(x: Floats, y: Floats, blocks: Ints, grid: Grid, width: float) -> Floats:
    """Kernel density at each event of those of other stretches of time, its own and both neighbours left out."""
    step = max(width / 2, math.sqrt(grid.nx * grid.ny * grid.cell**2 / 160_000))
    nx, ny = math.ceil(grid.nx * grid.cell / step) + 1, math.ceil(grid.ny * grid.cell / step) + 1
    u, v = (x - grid.x0) / step, (y - grid.y0) / step
    i, j = np.minimum(u.astype(np.int64), nx - 2), np.minimum(v.astype(np.int64), ny - 2)
    s, r = u - i, v - j
    at, share = (j * nx + i, j * nx + i + 1, (j + 1) * nx + i, (j + 1) * nx + i + 1), ((1 - s) * (1 - r), s * (1 - r), (1 - s) * r, s * r)
    ext = np.concatenate([a + blocks * (nx * ny) for a in at])
    fine = np.bincount(ext, weights=np.concatenate(share), minlength=_BLOCKS * nx * ny).reshape(_BLOCKS, ny, nx)
    gx, gy = np.meshgrid(grid.x0 + np.arange(nx) * step, grid.y0 + np.arange(ny) * step)
    edge = np.minimum(np.maximum(grid.index(gx.ravel(), gy.ravel()) >= 0, fine.sum(axis=0).ravel() > 0), 1).astype(float).reshape(ny, nx)
    mass = _smoothed(edge[None], width, step)[0] * step**2
    total = fine / np.maximum(mass, 0.05)
    blurred = _smoothed(total, width, step)
    counts = np.bincount(blocks, minlength=_BLOCKS).astype(float)
    out = np.empty(len(x))
    for b in range(_BLOCKS):
        use = np.flatnonzero(blocks == b)
        others = np.array([abs(k - b) > 1 for k in range(_BLOCKS)])
        density = (blurred[others].sum(axis=0) / max(float(counts[others].sum()), 1.0)).ravel()
        out[use] = sum(w[use] * density[a[use]] for a, w in zip(at, share, strict=True))
    return out


def _smoothed(values: Floats, width: float, step: float) -> Floats:
    """Stacked node values blurred by a Gaussian density: shape (layers, ny, nx)."""
    layers, ny, nx = values.shape
    narrowed = math.sqrt(max(width**2 - step**2 / 3, (0.6 * step) ** 2))  # binning and reading between nodes widen it again
    reach = math.ceil(4.5 * narrowed / step)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / narrowed) ** 2)
    weights /= weights.sum() * step
    rows = kde._gather(np.ascontiguousarray(values.transpose(1, 0, 2)).reshape(ny, layers * nx), weights, 1, reach, ny).reshape(ny, layers, nx)
    done = kde._gather(np.ascontiguousarray(rows.transpose(2, 1, 0)).reshape(nx, layers * ny), weights, 1, reach, nx).reshape(nx, layers, ny)
    return np.ascontiguousarray(done.transpose(1, 2, 0))

"""Do places and times of incidents hang together at all? Two tests that need no bands: Mantel's and Jacquez's.

Mantel: the sum over all pairs of a function of distance times a function of the time between; reciprocal functions look at what is close. Jacquez: how often
one of an incident's k nearest in space is one of its k nearest in time. Both against permutations of the times among the places.

Method: Mantel, *Cancer Research* 27, 1967, 209-220 (moments under permutation and the reciprocal transform); Jacquez, *Statistics in Medicine* 15, 1996,
1935-1949 (doi 10.1002/(SICI)1097-0258(19960930)15:18<1935::AID-SIM406>3.0.CO;2-I).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench.engines.kernels import each, kernel
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Ints
from workbench.models import window
from workbench.models.patterns._counted import whole
from workbench.models.patterns._pairs import METRICS
from workbench.models.patterns._permuted import shuffle
from workbench.models.patterns._placed import Placed, placed
from workbench.models.patterns.expected import adjusted
from workbench.results import Basis, Result, origin_of, recorded

TRANSFORMS = ("reciprocal", "none")
_DAY = 86_400e6
_WIDE = 64
_MOST = 20_000


@kernel("f8[:], f8[:], f8[:], i8, i8, f8, f8, f8[:,:], f8[:,:], i8, i8")
def _sums(x, y, t, manhattan, reciprocal, metres, days, space, time, first, last):  # type: ignore[no-untyped-def]
    """Rows first..last of the two matrices: sum and sum of squares of each row into columns 0 and 1 of ``space`` and ``time``."""
    for i in range(first, last):
        for j in range(len(x)):
            if j != i:
                dx = abs(x[i] - x[j])
                dy = abs(y[i] - y[j])
                a = dx + dy if manhattan else np.sqrt(dx * dx + dy * dy)
                b = abs(t[i] - t[j])
                if reciprocal:
                    a = 1.0 / (a + metres)
                    b = 1.0 / (b + days)
                space[i, 0] += a
                space[i, 1] += a * a
                time[i, 0] += b
                time[i, 1] += b * b


@kernel("f8[:], f8[:], f8[:,:], i8, i8, f8, f8, f8[:], f8[:]")
def _mantel(x, y, times, manhattan, reciprocal, metres, days, row, out):  # type: ignore[no-untyped-def]
    """``out[q]`` = sum over pairs of space times time for 64 permutations of the times at once; ``row`` is 64 of scratch."""
    n = len(x)
    for i in range(n):
        for z in range(64):
            row[z] = 0.0
        for j in range(i):
            dx = abs(x[i] - x[j])
            dy = abs(y[i] - y[j])
            a = dx + dy if manhattan else np.sqrt(dx * dx + dy * dy)
            if reciprocal:
                a = 1.0 / (a + metres)
                for z in range(64):
                    row[z] += a / (abs(times[i, z] - times[j, z]) + days)
            else:
                for z in range(64):
                    row[z] += a * abs(times[i, z] - times[j, z])
        for z in range(64):
            out[z] += row[z]


@kernel("i8[:], i8[:], f8[:], u8, i8, i8[:], f8[:,:]")
def _permute(order, starts, times, seed, first, slots, out):  # type: ignore[no-untyped-def]
    """Times of 64 permutations side by side."""
    for q in range(64):
        shuffle(order, starts, slots, seed, first + q)
        for k in range(len(times)):
            out[k, q] = times[slots[k]]


@kernel("f8[:], f8[:], i8[:], i8, i8, i4[:,:], f8[:], i8, i8")
def _nearest(x, y, tie, k, manhattan, out, held, first, last):  # type: ignore[no-untyped-def]
    """The k nearest of rows first..last in order; equal distances go by ``tie``; ``held`` is k of scratch."""
    n = len(x)
    for i in range(first, last):
        many = 0
        for j in range(n):
            if j == i:
                continue
            dx = abs(x[i] - x[j])
            dy = abs(y[i] - y[j])
            d = np.floor((dx + dy if manhattan else np.sqrt(dx * dx + dy * dy)) * 1e6 + 0.5)
            if many == k and (d > held[k - 1] or (d == held[k - 1] and tie[j] > tie[out[i, k - 1]])):
                continue
            at = many if many < k else k - 1
            if many < k:
                many += 1
            while at > 0 and (held[at - 1] > d or (held[at - 1] == d and tie[out[i, at - 1]] > tie[j])):
                held[at] = held[at - 1]
                out[i, at] = out[i, at - 1]
                at -= 1
            held[at] = d
            out[i, at] = j


@kernel("i4[:,:], i4[:,:], i8[:], i8[:], u8, i8, i8[:], i8[:]")
def _both(near, soon, order, starts, seed, number, slots, out):  # type: ignore[no-untyped-def]
    """``out[m]`` = how many (i, j) are among each other's m + 1 nearest in space and in time, and not for a smaller m, in permutation ``number``."""
    shuffle(order, starts, slots, seed, number)
    k = near.shape[1]
    for i in range(len(slots)):
        at = slots[i]
        for a in range(k):
            other = slots[near[i, a]]
            for b in range(k):
                if soon[at, b] == other:
                    out[max(a, b)] += 1


@recorded
def mantel(
    incidents: pl.DataFrame,
    *,
    transform: str = "reciprocal",
    metres: float = 100.0,
    days: float = 1.0,
    metric: str = "euclidean",
    permutations: int = 999,
    seed: int = 1,
    asof: window.Moment | None = None,
    crs: str | None = None,
    threads: int | None = None,
) -> Result:
    """Mantel's test for space-time interaction.

    Args:
        incidents: started_at with lon, lat (or x, y in metres).
        transform: "reciprocal" compares 1 / (distance + metres) and 1 / (time + days), so that close pairs decide; "none" the distances themselves, which
            sees a drift of all incidents over the years rather than repeats.
        metres, days: what is added before the reciprocal is taken.
        metric: "euclidean" or "manhattan".
        permutations: of the times; 0 = the closed form alone.
        seed: of them.
        asof: nothing known at or after it is used.
        crs: a projected CRS for distances.
        threads: None = as many as the machine gives; the answer is the same.

    Returns: a Result; one row: statistic (sum over pairs), mean and sd (exact, under permutation), z, first_p (normal), p (permutation, one-sided, ties
    counted), correlation of the two matrices.

    Raises:
        CannotTell: under 10 or over 20,000 incidents, all at one address or one time. BadInput: options that cannot be used.

    Cost: O(n^2 x permutations) time, O(n) memory; 1,000 incidents with 999 permutations take about a second, 5,000 some twenty.
    """
    if transform not in TRANSFORMS or metric not in METRICS:
        raise BadInput(f"transform={transform!r}, metric={metric!r} do not do; transform is one of {', '.join(TRANSFORMS)}, "
                       f"metric one of {', '.join(METRICS)}.")
    if not (metres > 0 and days > 0):
        raise BadInput(f"metres={metres!r} and days={days!r} are added to distances before their reciprocal is taken; both must be above 0.")
    ready, many = _ready(incidents, asof, crs), whole(permutations, "permutations", 0)
    t = (ready.start - ready.start[0]) / _DAY
    how = (int(metric == "manhattan"), int(transform == "reciprocal"), float(metres), float(days))
    values = _permuted_mantel(ready, t, how, many, whole(seed, "seed", 0), threads)
    mean, variance, spread = _moments(ready, t, how, threads)
    sd = math.sqrt(max(variance, 0.0))
    z = (values[0] - mean) / sd if sd > 0 else 0.0
    close = 0.5 * math.erfc(z / math.sqrt(2))
    low = 1e-12 * abs(values[0])
    above = float((values >= values[0] - low).mean())
    table = pl.DataFrame({"statistic": [values[0]], "mean": [mean], "sd": [sd], "z": [z], "correlation": [(values[0] - mean) / spread if spread > 0 else 0.0],
                          "first_p": [close], "p": pl.Series([above if many else None], dtype=pl.Float64)})
    shown = above if many else close
    return Result(headline=_said("Mantel", shown, f"correlation {(values[0] - mean) / spread if spread > 0 else 0.0:.2f}, {z:.1f} "
                                                  "standard deviations from what chance gives" + ("" if many else " (closed form)")), table=table, layers=(),
                  basis=_basis(incidents, ready, f"Mantel test ({transform} of distance and time), {many} permutations", "Mantel 1967", asof,
                               {"transform": transform, "metres": metres, "days": days, "metric": metric, "seed": seed, "crs": crs}),
                  base=origin_of(incidents).base)


def _permuted_mantel(ready: Placed, t: Floats, how: tuple[int, int, float, float], permutations: int, seed: int, threads: int | None) -> Floats:
    n = len(t)
    order, starts = np.arange(n, dtype=np.int64), np.array([0, n], dtype=np.int64)

    def block(first: int) -> Floats:
        slots, table, out = np.empty(n, dtype=np.int64), np.empty((n, _WIDE)), np.zeros(_WIDE)
        _permute(order, starts, t, np.uint64(seed), first, slots, table)
        _mantel(ready.x, ready.y, table, *how, np.empty(_WIDE), out)
        return out

    return np.concatenate(each(block, range(0, permutations + 1, _WIDE), threads=threads))[: permutations + 1]


def _moments(ready: Placed, t: Floats, how: tuple[int, int, float, float], threads: int | None) -> tuple[float, float, float]:
    """Exact mean and variance of the statistic under permutation (Mantel 1967), and what a correlation of 1 would add to the mean."""
    n = len(t)
    space, time = np.zeros((n, 2)), np.zeros((n, 2))
    each(lambda a: _sums(ready.x, ready.y, t, *how, space, time, a, min(a + 256, n)), range(0, n, 256), threads=threads)
    s1, t1 = space[:, 0].sum() / 2, time[:, 0].sum() / 2
    q1, r1 = space[:, 1].sum() / 2, time[:, 1].sum() / 2
    q2, r2 = (space[:, 0] ** 2).sum() - 2 * q1, (time[:, 0] ** 2).sum() - 2 * r1  # ordered pairs of pairs that share one incident
    q3, r3 = s1**2 - q1 - q2, t1**2 - r1 - r2
    every = n * (n - 1) / 2
    mean = s1 * t1 / every
    second = q1 * r1 / every + q2 * r2 / (n * (n - 1.0) * (n - 2)) + q3 * r3 / (every * (n - 2) * (n - 3) / 2)
    spread = math.sqrt(max(q1 - s1**2 / every, 0.0) * max(r1 - t1**2 / every, 0.0))
    return float(mean), float(second - mean**2), spread


@recorded
def jacquez(
    incidents: pl.DataFrame,
    *,
    k: int = 5,
    metric: str = "euclidean",
    permutations: int = 999,
    seed: int = 1,
    asof: window.Moment | None = None,
    crs: str | None = None,
    threads: int | None = None,
) -> Result:
    """Jacquez's test: are the nearest in space also the nearest in time?

    Args:
        incidents: started_at with lon, lat (or x, y in metres).
        k: nearest neighbours, 1 to 50; every smaller number is told too.
        metric, permutations, seed, asof, crs, threads: as for ``mantel``; at least 19 permutations.

    Returns: a Result; one row a k: k, cumulative (pairs i, j where j is among the k nearest of i in both), expected (exact), p, specific (those that
    k adds to k - 1), specific_expected, specific_p, and q over the k. Equal distances and equal times are put in order by chance, once, from the seed.

    Raises:
        CannotTell: under 10 (or under k + 2) or over 20,000 incidents, all at one address or one time. BadInput: options that cannot be used.

    Cost: O(n^2 + n k^2 permutations).
    """
    if metric not in METRICS:
        raise BadInput(f"metric {metric!r} is not known; write one of {', '.join(METRICS)}.")
    if not 1 <= whole(k, "k", 1) <= 50:
        raise BadInput(f"k={k!r} does not do; give 1 to 50 nearest neighbours.")
    many = whole(permutations, "permutations", 19)
    ready = _ready(incidents, asof, crs, max(10, k + 2))
    near, soon = _neighbours(ready, k, int(metric == "manhattan"), whole(seed, "seed", 0), threads)
    n = len(ready)
    order, starts = np.arange(n, dtype=np.int64), np.array([0, n], dtype=np.int64)

    def one(number: int) -> Ints:
        out = np.zeros(k, dtype=np.int64)
        _both(near, soon, order, starts, np.uint64(seed), number, np.empty(n, dtype=np.int64), out)
        return out

    specific = np.array(each(one, range(many + 1), threads=threads))
    total = specific.cumsum(axis=1)
    ks = np.arange(1, k + 1)
    expected = n * ks**2 / (n - 1.0)
    p, own = (total >= total[0]).mean(axis=0), (specific >= specific[0]).mean(axis=0)
    table = pl.DataFrame({"k": ks, "cumulative": total[0], "expected": expected, "p": p, "q": adjusted(p), "specific": specific[0],
                          "specific_expected": np.diff(expected, prepend=0.0), "specific_p": own})
    told = f"of the {k} nearest in space on average {total[0, -1] / n:.2f} are among the {k} nearest in time, {expected[-1] / n:.2f} by chance"
    return Result(headline=_said("Jacquez", float(p[-1]), told), table=table, layers=(), base=origin_of(incidents).base,
                  basis=_basis(incidents, ready, f"Jacquez test, {k} nearest neighbours, {many} permutations", "Jacquez 1996", asof,
                               {"k": k, "metric": metric, "seed": seed, "crs": crs}))


def _neighbours(ready: Placed, k: int, manhattan: int, seed: int, threads: int | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The k nearest in space and in time, each in order; ties by two orders that have nothing to do with place or time."""
    n = len(ready)
    near, soon = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.int32)
    ties = [np.random.default_rng([seed, side]).permutation(n).astype(np.int64) for side in range(2)]
    when, still = ready.start / 1e6 - ready.start[0] / 1e6, np.zeros(n)

    def rows(first: int) -> None:
        last = min(first + 256, n)
        _nearest(ready.x, ready.y, ties[0], k, manhattan, near, np.empty(k), first, last)
        _nearest(when, still, ties[1], k, 1, soon, np.empty(k), first, last)

    each(rows, range(0, n, 256), threads=threads)
    return near, soon


def _ready(incidents: pl.DataFrame, asof: window.Moment | None, crs: str | None, least: int = 10) -> Placed:
    ready = placed(incidents, asof=asof, crs=crs, least=least, question="space-time interaction")
    if len(ready) > _MOST:
        raise CannotTell(f"{len(ready):,} incidents are more than the {_MOST:,} whose every pair is compared; take a shorter span or a smaller area, "
                         "or use near_repeat.knox, which looks at close pairs only.")
    return ready


def _said(test: str, p: float, told: str) -> str:
    if p <= 0.05:
        return f"Incidents close in space are close in time more than chance would have it ({test} p = {p:.3f}): {told}."
    return f"No more closeness in space and time together than chance would give ({test} p = {p:.3f}): {told}."


def _basis(incidents: pl.DataFrame, ready: Placed, method: str, source: str, asof: window.Moment | None, parameters: dict[str, Any]) -> Basis:
    return Basis.of(incidents, method=method, source=source, used=len(ready), time="started_at", asof=None if asof is None else window.moment(asof),
                    parameters=parameters, notes=(*ready.notes, "What all places and all times would show by chance is taken out; a rhythm or growth that "
                                                  "differs from place to place is not, and looks like interaction."))

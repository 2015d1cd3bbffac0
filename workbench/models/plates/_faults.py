"""Readers through which many plates are impossible: a clock that is off, by how much, or a place that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.geo.plane import Ints
from workbench.models.plates._legs import Drives, Legs
from workbench.models.plates._passages import Passages

#: A reader is at fault when so many plates, and such a share of the quick legs through it, are impossible.
_PLATES, _SHARE, _TIMES = 5, 0.05, 10.0
_NEAR = 3  # reads of the plate before and after that are compared with one at the reader
_WINDOW = 120.0  # seconds: the densest stretch of this length gives the offset


@dataclass(frozen=True)
class Fault:
    """One reader at fault: spot, impossible and quick legs through it, plates, seconds its clock is ahead (None: not the clock), spread, legs it explains."""

    spot: int
    bad: int
    quick: int
    plates: int
    offset: float | None
    spread: float
    explained: float
    legs: Ints


def faults(passages: Passages, found: Legs, drives: Drives) -> list[Fault]:
    """The readers at fault, the worst first; impossible legs are counted to one reader each."""
    spots = len(passages.spots)
    a, b = passages.spot[found.a].astype(np.int64), passages.spot[found.b].astype(np.int64)
    quick = np.isfinite(found.needed)
    through = np.bincount(a[quick], minlength=spots) + np.bincount(b[quick], minlength=spots)
    left = np.flatnonzero(found.bad)
    out: list[Fault] = []
    while len(left):
        bad = np.bincount(a[left], minlength=spots) + np.bincount(b[left], minlength=spots)
        worst = int(np.lexsort((-bad / np.maximum(through, 1), -bad))[0])
        own = left[(a[left] == worst) | (b[left] == worst)]
        rest = (len(left) - len(own)) / max(int(quick.sum()) - int(through[worst]), 1)
        plates = len(np.unique(passages.plate[found.a[own]]))
        if plates < _PLATES or len(own) < max(_SHARE, _TIMES * rest) * through[worst]:
            break
        offset, spread, explained = _offset(passages, worst, found, own, drives)
        out.append(Fault(worst, len(own), int(through[worst]), plates, offset, spread, explained, own))
        left = np.setdiff1d(left, own)
    return out


def _offset(passages: Passages, spot: int, found: Legs, own: Ints, drives: Drives) -> tuple[float | None, float, float]:
    """Seconds by which the clock of a reader is ahead, half the width of the middle half of what says so, and the share of legs that it explains."""
    first, order = passages.by_plate
    at = np.empty(len(order), dtype=np.int64)
    at[order] = np.arange(len(order))
    here = np.flatnonzero(passages.spot == spot)
    here = here[:: max(1, len(here) // 5000)]
    residual = []
    for step in [k for k in range(-_NEAR, _NEAR + 1) if k]:
        other = at[here] + step
        ok = (other >= first[passages.plate[here]]) & (other < first[passages.plate[here].astype(np.int64) + 1])
        me, them = here[ok], order[other[ok]].astype(np.int64)
        use = (passages.spot[them] != spot) & drives.placed[passages.spot[them]] & (np.abs(passages.at[me] - passages.at[them]) < 7200)
        me, them = me[use], them[use]
        apart = (passages.at[me] - passages.at[them]).astype(float)
        slower = drives.bounds.fastest if drives.roads is not None else 4.0  # what was said is the least time: back to the usual one
        residual.append(apart - slower * drives.needed(passages.spot[them], passages.spot[me]))
        residual.append(apart + slower * drives.needed(passages.spot[me], passages.spot[them]))
    every = np.sort(np.concatenate(residual)) if residual else np.zeros(0)
    if len(every) < 20:
        return None, 0.0, 0.0
    most = int((np.searchsorted(every, every + _WINDOW, side="right") - np.arange(len(every))).argmax())
    dense = every[(every >= every[most]) & (every <= every[most] + _WINDOW)]
    offset = float(np.median(dense))
    late = np.where(passages.spot[found.b[own]] == spot, -offset, offset)  # the true time between the reads
    true = found.gap[own] + late
    need = np.where(true >= 0, found.needed[own], drives.needed(passages.spot[found.b[own]], passages.spot[found.a[own]]))
    explained = float((need <= np.abs(true) + drives.bounds.clock + _WINDOW / 2).mean())
    if abs(offset) <= drives.bounds.clock or explained < 0.7:
        return None, 0.0, explained
    low, high = np.percentile(dense, [25, 75])
    return offset, float(high - low) / 2, explained


def without(passages: Passages, found: list[Fault]) -> Any:
    """Which reads are at no reader at fault, a mask over the positions."""
    return ~np.isin(passages.spot, [f.spot for f in found])

"""Candidate vehicles of a corridor: reads within the readers' windows, chained where a drive allows, the best chain of each vehicle by Viterbi."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench import plates
from workbench.geo.plane import Floats, Ints
from workbench.models.plates._described import Named, plate_fit, usual_characters
from workbench.models.plates._passages import Passages

#: Of the time a drive takes, as a multiple of free flow: the middle, and the spread of its logarithm.
_MIDDLE, _SPREAD = 1.2, 0.4


@dataclass(frozen=True, eq=False)
class Windows:
    """Where and when, R readers: number of the spot in the passages (-1: none there), seconds after leaving from and until, free-flow seconds from the place,
    from reader to reader (R, R), and back to the place."""

    spot: Ints
    earliest: Floats
    latest: Floats
    free: Floats
    between: Floats
    back: Floats


@dataclass(frozen=True)
class Chain:
    """A candidate: plate, score (logarithm of a likelihood ratio), its parts, and positions of the reads in order."""

    plate: int
    score: float
    plate_fit: float
    looks: float
    movement: float
    reads: tuple[int, ...]


class Sought:
    """What is known of a vehicle, and how reads fit it."""

    def __init__(self, passages: Passages, windows: Windows, *, plate: str | None, make: str | None, colour: str | None, fastest: float, clock: float) -> None:
        self.passages, self.windows, self.plate = passages, windows, plate
        self.named = (Named(make, "make", passages.frame), Named(colour, "colour", passages.frame))
        self.fastest, self.clock = fastest, clock
        self._usual = usual_characters(passages.plates)
        self._fits: dict[int, float] = {}

    def within(self, left: int) -> tuple[Ints, Ints]:
        """(position, reader) of the reads within the windows of a vehicle that left at second ``left``."""
        p, w = self.passages, self.windows
        found, readers = [], []
        for k in np.flatnonzero(w.spot >= 0).tolist():
            low, high = p.by_spot[w.spot[k]], p.by_spot[w.spot[k] + 1]
            a, b = np.searchsorted(p.at[low:high], [left + w.earliest[k], left + w.latest[k] + 1e-9], side="left")
            found.append(np.arange(low + a, low + b, dtype=np.int64))
            readers.append(np.full(int(b - a), k, dtype=np.int64))
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return np.concatenate(found), np.concatenate(readers)

    def chains(self, left: int) -> tuple[list[Chain], int]:
        """The best chain of each vehicle, the best first, and how many vehicles cannot have been at the place when it was left."""
        p = self.passages
        position, reader = self.within(left)
        if not len(position):
            return [], 0
        order = np.lexsort((position, p.at[position]))
        position, reader = position[order], reader[order]
        codes = p.plate[position].astype(np.int64)
        elsewhere = self._elsewhere(np.unique(codes), left)
        keep = ~np.isin(codes, elsewhere)
        position, reader, codes = position[keep], reader[keep], codes[keep]
        if not len(position):
            return [], len(elsewhere)
        fit = self._plate_fits(codes)
        looks = np.stack([n.matches(p.row[position]) for n in self.named])
        group = np.unique([plates.shape(str(n)) for n in p.plates.gather(codes).to_list()], return_inverse=True)[1]
        after = p.at[position] - left
        start = _movement(after.astype(float), self.windows.free[reader], self.windows.latest[reader] - self.windows.earliest[reader])
        by = np.lexsort((np.arange(len(group)), group))
        out = [self._best(own, position, reader, codes, fit, looks, start) for own in np.split(by, np.flatnonzero(np.diff(group[by])) + 1)]
        return sorted(out, key=lambda c: (-c.score, c.plate)), len(elsewhere)

    def _plate_fits(self, codes: Ints) -> Floats:
        if self.plate is None:
            return np.zeros(len(codes))
        new = [c for c in np.unique(codes).tolist() if c not in self._fits]
        if new:
            names = [str(n) for n in self.passages.plates.gather(new).to_list()]
            self._fits.update(zip(new, plate_fit(self.plate, names, self._usual).tolist(), strict=True))
        return np.array([self._fits[c] for c in codes.tolist()])

    def _elsewhere(self, codes: Ints, left: int) -> Ints:
        """Plates whose last read before is too far away for them to have been at the place."""
        p, w = self.passages, self.windows
        first, order = p.by_plate
        back = np.full(len(p.spots), np.nan)
        back[w.spot[w.spot >= 0]] = w.back[w.spot >= 0]
        out: list[int] = []
        for c in codes.tolist():
            own = order[first[c] : first[c + 1]]
            k = int(np.searchsorted(p.at[own], left, side="right")) - 1
            if k >= 0 and back[p.spot[own[k]]] / self.fastest > left - p.at[own[k]] + self.clock:
                out.append(c)
        return np.array(out, dtype=np.int64)

    def _best(self, own: Any, position: Ints, reader: Ints, codes: Ints, fit: Floats, looks: Floats, start: Floats) -> Chain:
        """Viterbi over one vehicle's reads in order of time: a chain begins at the place and goes on where a drive allows."""
        p, w = self.passages, self.windows
        best, before = start[own].tolist(), [-1] * len(own)
        for j in range(1, len(own)):
            for i in range(j):
                apart = float(p.at[position[own[j]]] - p.at[position[own[i]]])
                a, b = reader[own[i]], reader[own[j]]
                if a == b or w.between[a, b] / self.fastest > apart + self.clock:
                    continue
                width = w.latest[b] - w.earliest[b]
                score = best[i] + float(_movement(np.array([apart]), w.between[a, b : b + 1], np.array([width]))[0])
                if score > best[j]:
                    best[j], before[j] = score, i
        at = int(np.argmax(best))
        top, chain = best[at], []
        while at >= 0:
            chain.append(int(own[at]))
            at = before[at]
        chain.reverse()
        named = max(chain, key=lambda k: (fit[k], -k))
        seen = sum(n.fit(looks[k, chain]) for k, n in enumerate(self.named))
        return Chain(int(codes[named]), float(top + fit[named] + seen), float(fit[named]), seen, float(top), tuple(int(position[k]) for k in chain))


def _movement(apart: Floats, free: Floats, width: Floats) -> Floats:
    """How much likelier so many seconds are for a drive than for any moment of the reader's window (logarithm); at least -6."""
    x = np.maximum(apart, 1.0)
    z = (np.log(x / np.maximum(free * _MIDDLE, 5.0))) / _SPREAD
    out: Floats = np.maximum(-0.5 * z * z - np.log(x * _SPREAD * math.sqrt(2 * math.pi)) + np.log(np.maximum(width, 1.0)), -6.0)
    return out


def as_high(sought: Sought, left: int, days: int, horizon: float) -> tuple[list[Floats], int]:
    """The scores of all vehicles at the same hours of up to ``days`` other days that the reads cover, the nearest days first."""
    at = sought.passages.at
    low, high = int(at.min()), int(at.max())
    out: list[Floats] = []
    for k in sorted((k for k in range(-days, days + 1) if k), key=abs):
        other = left + 86_400 * k
        if other >= low and other + horizon <= high and len(out) < days:
            out.append(np.array([c.score for c in sought.chains(other)[0]]))
    return out, len(out)


def evidence(passages: Passages, chain: Chain) -> list[str]:
    """The ids of a chain's reads."""
    if "read_id" not in passages.frame.columns:
        return []
    return [str(v) for v in passages.frame["read_id"].gather(passages.row[list(chain.reads)]).to_list()]


def named(passages: Passages, chain: Chain, column: str) -> str | None:
    """The makes or colours of a chain's reads."""
    if column not in passages.frame.columns:
        return None
    told = passages.frame[column].gather(passages.row[list(chain.reads)]).drop_nulls().cast(pl.String).unique(maintain_order=True).to_list()
    return ", ".join(told) or None

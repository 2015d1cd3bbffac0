"""What a misread would explain: an odd read, a plate that looks alike and was near, a reader that was unsure; and how many that makes by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import plates
from workbench.geo.plane import Ints
from workbench.models.plates._legs import Drives
from workbench.models.plates._passages import Passages

_NEAR = 1800  # seconds within which the plate that was misread was read elsewhere
_UNSURE = 0.05  # the share of reads with the least confidence


@dataclass(frozen=True)
class Reason:
    """Why a read may be a misread: the look-alike plate that was near (""), or that the reader was unsure."""

    position: int
    other: str
    unsure: bool


class Misreads:
    """Looks for the misread in impossible legs."""

    def __init__(self, passages: Passages, drives: Drives) -> None:
        self.passages, self.drives = passages, drives
        frame = passages.frame
        self.alternatives = frame["alternatives"] if "alternatives" in frame.columns else None
        known = frame["confidence"].drop_nulls() if "confidence" in frame.columns else pl.Series([], dtype=pl.Float64)
        self.confidence = frame["confidence"].cast(pl.Float64) if len(known) >= 100 else None
        self.limit = -math.inf
        if self.confidence is not None:
            low, middle = (float(known.quantile(q, interpolation="lower") or 0.0) for q in (_UNSURE, 0.5))
            self.limit = low if low < middle else -math.inf  # readers that always say the same are never unsure

    @cached_property
    def shapes(self) -> Ints:
        """A number of each plate's look-alike shape, shape (P,)."""
        before = [c for group in plates.LOOK_ALIKES for c in group[1:]]
        after = [group[0] for group in plates.LOOK_ALIKES for _ in group[1:]]
        shape = self.passages.plates.to_frame("plate").select(pl.col("plate").str.replace_many(before, after).rank("dense"))
        return shape["plate"].to_numpy().astype(np.int64)

    @cached_property
    def _by_time(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.passages.at, kind="stable")
        return self.passages.at[order], order

    def reason(self, position: int) -> Reason | None:
        """What speaks for this read being a misread of another plate; None where nothing does."""
        other = self._other(position)
        row = int(self.passages.row[position])
        told = None if self.confidence is None else self.confidence[row]
        unsure = told is not None and told <= self.limit
        return Reason(position, other, unsure) if other or unsure else None

    def _other(self, position: int) -> str:
        """A plate that looks like the read one, or that the reader held possible, and was read within half an hour where a drive allows both."""
        p = self.passages
        at, order = self._by_time
        low, high = np.searchsorted(at, [p.at[position] - _NEAR, p.at[position] + _NEAR + 1])
        near = order[low:high]
        own = int(p.plate[position])
        fits = (self.shapes[p.plate[near]] == self.shapes[own]) & (p.plate[near] != own)
        if self.alternatives is not None and (said := self.alternatives[int(p.row[position])]) is not None:
            codes = [c for text in said if (c := p.code(text)) is not None and c != own]
            fits |= np.isin(p.plate[near], codes)
        near = near[fits & self.drives.placed[p.spot[near]]]
        for k in near.tolist():
            earlier, later = (k, position) if p.at[k] <= p.at[position] else (position, k)
            need = self.drives.needed(p.spot[[earlier]], p.spot[[later]])[0] if p.spot[k] != p.spot[position] else 0.0
            if need <= p.at[later] - p.at[earlier] + self.drives.bounds.clock:
                return str(p.plates[int(p.plate[k])])
        return ""

    def expected(self, rate: float, needed: float) -> float:
        """Plates with an impossible leg that misreads alone would make, were a share ``rate`` of reads misread by one look-alike character.

        A misread of p becomes q for one in as many substitutions as p allows; it shows as impossible when q itself is read elsewhere within ``needed``
        seconds, which at any moment it is with about 2 needed x reads of q / span.
        """
        p = self.passages
        count = np.bincount(p.plate, minlength=len(p.plates)).astype(float)
        span = float(p.at.max() - p.at.min()) if len(p) else 0.0
        frame = pl.DataFrame({"plate": p.plates, "shape": self.shapes, "n": count}).filter(pl.len().over("shape") > 1)
        if frame.is_empty() or span <= 0:
            return 0.0
        pairs = frame.join(frame, on="shape", suffix="_other").filter(pl.col("plate") != pl.col("plate_other"))
        sizes = {c: len(group) - 1 for group in plates.LOOK_ALIKES for c in group}
        total = 0.0
        for plate, other, n, m in pairs.select("plate", "plate_other", "n", "n_other").iter_rows():
            if len(plate) == len(other) and sum(a != b for a, b in zip(plate, other, strict=True)) == 1:
                made = n * rate / max(sum(sizes.get(c, 0) for c in plate), 1)
                total += 1.0 - math.exp(-made * min(1.0, 2 * needed * m / span))
        return total


def usual_rate(reads: Ints, episodes: Ints) -> float:
    """Episodes a read among the plates that have at most one; at least one in all reads."""
    return max(float(episodes[episodes <= 1].sum()), 1.0) / max(float(reads.sum()), 1.0)


def tail(mean: float, k: int) -> float:
    """The chance of k or more where ``mean`` are expected (Poisson)."""
    if k <= 0:
        return 1.0
    term = math.exp(-mean)
    below = 0.0
    if k > mean + 1:  # the sum from above keeps small chances exact
        term = math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) if mean > 0 else 0.0
        total, i = term, k
        while term > total * 1e-16:
            i += 1
            term *= mean / i
            total += term
        return min(total, 1.0)
    for i in range(k):
        below += term
        term *= mean / (i + 1)
    return max(0.0, 1.0 - below)


def expected_plates(reads: Ints, rate: float, least: int) -> float:
    """How many plates would show ``least`` or more episodes by chance."""
    sizes, many = np.unique(reads, return_counts=True)
    return float(sum(c * tail(rate * float(n), least) for n, c in zip(sizes.tolist(), many.tolist(), strict=True)))


def differing(frame: pl.DataFrame, a: Any, b: Any, column: str) -> tuple[int, int]:
    """(of how many legs both reads name it, on how many they differ) for make or colour."""
    if column not in frame.columns or frame.schema[column].is_nested() or not len(a):
        return 0, 0
    one, other = frame[column].gather(a).cast(pl.String).str.to_uppercase(), frame[column].gather(b).cast(pl.String).str.to_uppercase()
    known = one.is_not_null() & other.is_not_null()
    return int(known.sum()), int(((one != other) & known).sum())

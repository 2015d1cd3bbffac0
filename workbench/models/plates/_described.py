"""How well a read fits what is known of a vehicle: a partial plate, make, colour, each as the logarithm of a likelihood ratio.

Above 0 the read is likelier from the vehicle sought than from any other. A character of the plate is read rightly, as one it is taken for, or as any other;
characters may be left out or put in (a Viterbi alignment; R. Durbin et al., "Biological sequence analysis", Cambridge, 1998, chapter 4).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench import plates
from workbench.geo.plane import Floats

#: Chance that a character is read rightly, as one that looks alike, and that one is left out or put in; the rest is any other character.
_RIGHT, _ALIKE, _GAP = 0.93, 0.05, 0.003
_SAMPLE = 100_000  # plates or reads from which usual frequencies are taken
#: Chance that a reader names the make, the colour of a vehicle rightly (colour goes wrong by night and in the eyes of witnesses).
SURE = {"make": 0.85, "colour": 0.75}


def plate_fit(partial: str, names: list[str], usual: Floats) -> Floats:
    """The fit of each plate to a partial one ("AB?12*"), shape (n,). ``usual``: frequency of each of 128 characters among all plates. O(n x length^2).

    Raises:
        BadInput: nothing of the partial plate is known.
    """
    plates.pattern(partial)  # refuses a partial plate without a known character
    wanted = [c for c in partial.upper() if c in "?*" or plates.normal(c)]
    long = np.array([len(n) for n in names], dtype=np.int64)
    width = int(long.max()) if len(names) else 0
    codes = np.zeros((len(names), width), dtype=np.int64)
    for k, name in enumerate(names):
        codes[k, : len(name)] = [min(ord(c), 127) for c in name]
    gap = math.log(_GAP)
    state = np.tile(gap * np.arange(width + 1), (len(names), 1))
    for c in wanted:
        if c == "*":
            state = np.maximum.accumulate(state, axis=1)
            continue
        gain = np.zeros_like(codes, dtype=float) if c == "?" else _table(c, usual)[codes]
        new = state + gap
        new[:, 1:] = np.maximum(new[:, 1:], state[:, :-1] + gain)
        for j in range(1, width + 1):
            new[:, j] = np.maximum(new[:, j], new[:, j - 1] + gap)
        state = new
    out: Floats = state[np.arange(len(names)), long]
    return out


def usual_characters(names: pl.Series) -> Floats:
    """Frequency of each of 128 characters among plates, shape (128,); none is under 0.01, so that a rare character proves nothing by being rare."""
    text = (names.gather_every(max(1, len(names) // _SAMPLE)).str.join("")[0] or "") if len(names) else ""
    count = np.bincount(np.minimum(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), 127).astype(np.int64), minlength=128) + 0.5
    out: Floats = np.maximum(count / count.sum(), 0.01)
    return out


def _table(character: str, usual: Floats) -> Floats:
    alike = [o for group in plates.LOOK_ALIKES if character in group for o in group if o != character]
    chance = (1 - _RIGHT - (_ALIKE if alike else 0.0)) * usual  # any other character, as often as it is read at all
    for other in alike:
        chance[ord(other)] = _ALIKE / len(alike)
    chance[min(ord(character), 127)] = _RIGHT
    out: Floats = np.log(chance / usual)
    return out


class Named:
    """A make or colour sought: how often reads name it at all, and how well the reads of one vehicle fit it."""

    def __init__(self, wanted: str | None, column: str, frame: pl.DataFrame) -> None:
        self.wanted, self.sure = (wanted or "").strip().upper(), SURE[column]
        self.column = frame[column] if self.wanted and column in frame.columns else None
        if self.column is not None:
            some = self.column.gather_every(max(1, len(frame) // _SAMPLE)).cast(pl.String).str.to_uppercase().drop_nulls()
            self.share = (float((some == self.wanted).sum()) + 0.5) / (len(some) + 1.0)
            self.other = (1 - self.sure) / max(some.n_unique() - 1, 4)

    def matches(self, rows: Any) -> Floats:
        """1 where the read names it, 0 where it names another, NaN where none, shape (rows,)."""
        if self.column is None:
            return np.full(len(rows), math.nan)
        read = self.column.gather(rows).cast(pl.String).str.to_uppercase()
        return (read == self.wanted).cast(pl.Float64).fill_null(math.nan).to_numpy()

    def fit(self, matches: Floats) -> float:
        """The fit of one vehicle's reads together. Another vehicle of this make is named so each time too, so many reads say little more than one."""
        known = matches[~np.isnan(matches)]
        if self.column is None or not len(known):
            return 0.0
        yes, no = float(known.sum()), float((1 - known).sum())
        sought = yes * math.log(self.sure) + no * math.log(1 - self.sure)
        alike = math.log(self.share) + sought
        unlike = math.log(1 - self.share) + yes * math.log(self.other) + no * math.log(1 - self.other)
        return sought - max(alike, unlike) - math.log1p(math.exp(-abs(alike - unlike)))

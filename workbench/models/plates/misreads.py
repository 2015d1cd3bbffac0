"""Which characters do this agency's readers take for which others? Learnt from reads whose true plate somebody has verified.

Pairs of a read and the true plate are laid side by side, character by character (by the least number of edits where their lengths differ), and counted.
One is added for every look-alike that the workbench knows (``workbench.plates.LOOK_ALIKES``) and a little for every other character, so that few pairs
do not make certainties; the more pairs, the less that weighs (additive smoothing towards a prior: C. D. Manning, P. Raghavan, H. Schuetze, Introduction to
Information Retrieval, 2008, section 11.3.2; edit costs as a noisy channel: E. Brill, R. C. Moore, ACL 2000, doi:10.3115/1075218.1075255).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats
from workbench.models.wording import several
from workbench.results import Basis, Ranking, origin_of, recorded

#: The characters, in the order of the matrices.
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Without verified right reads: the share of characters that readers get wrong, and how many characters that assumption weighs.
_WRONG, _WEIGHT = 0.015, 1000.0
_GAP = 0.002  # a character that is left out, or read where there is none
_OTHER = 0.02  # added for a pair that is not known to look alike, against 1 for one that is


@dataclass(frozen=True, eq=False, kw_only=True)
class Confusion(Ranking):
    """How characters are read: ``read_as[true, read]`` are chances (rows of 36, CHARACTERS, sum to 1), ``missed`` and ``added`` those of a character that is
    left out, or read where there is none; ``mates[true, read]`` says which are taken for one another often enough to be tried. ``pairs`` it rests on."""

    read_as: Floats = field(repr=False)
    mates: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)
    missed: float
    added: float
    pairs: int

    @cached_property
    def costs(self) -> Floats:
        """-log of the chances, relative to reading the character right; the last row and column are for characters that are none of the 36. (37, 37)."""
        out = np.full((37, 37), -math.log(_WRONG * _OTHER))
        out[:36, :36] = -np.log(self.read_as / np.diag(self.read_as)[:, None])
        return out


@recorded
def confusion(misreads: pl.DataFrame, *, checked: int | None = None, zone: str = "UTC") -> Confusion:
    """Chances that a character is read as another, learnt from verified reads.

    Args:
        misreads: one row a verified read: ``read`` (what the reader took it for) and ``true`` (what it is), in any spelling. Reads that were right may be in
            it (they tell how often readers err); hits that a person rejected because of the plate are such rows.
        checked: how many reads were verified to find these, right ones included; None = those in the frame, if there are right ones among them; else
            the share of wrong characters is taken to be 1.5 %.
        zone: for the times in the basis.

    Returns: a Confusion. ``table``: true, read, times (seen), share (of the misreadings of that character), probability, known (a look-alike of the
    workbench's own list), the likeliest confusions first.

    Raises:
        CannotTell: no pair can be laid side by side. BadInput: columns are missing, ``checked`` is less than the rows.

    Cost: one pass; 100,000 pairs under a second where lengths agree.
    """
    schema.require(misreads, "read", "true", what="The misreads frame")
    for column in ("read", "true"):
        if misreads.schema[column].is_nested():
            raise BadInput(f"Column {column!r} of the misreads is {misreads.schema[column]}, not text.")
    pairs = misreads.select(pl.col("read", "true").cast(pl.String)).drop_nulls()
    both = [(plates.normal(r), plates.normal(t)) for r, t in pairs.iter_rows()]
    both = [(r, t) for r, t in both if r and t]
    if not both:
        raise CannotTell("There are no pairs of a read plate and the true one, so nothing can be learnt of misreads. Verify some reads against their pictures "
                         "(columns read and true); until then the look-alikes known to the workbench are used.")
    if checked is not None and (isinstance(checked, bool) or not isinstance(checked, int) or checked < len(both)):
        raise BadInput(f"checked={checked!r} does not do: {several(len(both), 'verified read')} are in the frame; give how many were verified in all, or None.")
    seen, missed, added = _counted(both)
    wrong, n = sum(r != t for r, t in both), len(both)
    basis = Basis.of(misreads, method="characters of verified reads laid side by side, smoothed towards known look-alikes", used=n,
                     source="Brill and Moore 2000, doi:10.3115/1075218.1075255", parameters={"pairs": n, "misread": wrong, "checked": checked},
                     notes=(_rate_note(checked, wrong, n),))
    right = sum(len(t) for _, t in both) / n * (checked - n) if checked is not None else 0.0
    return _made(seen, missed, added, n, right, checked is not None or wrong < n, basis, origin_of(misreads).base)


def _rate_note(checked: int | None, wrong: int, n: int) -> str:
    if checked is None and wrong == n:
        return "Only misreads were given, so how often readers err is an assumption (1.5 % of characters); give checked= or right reads too."
    return f"{several(wrong, 'misread')} among {several(checked or n, 'verified read')}."


@cache
def known() -> Confusion:
    """The look-alikes that the workbench knows, before anything was learnt."""
    basis = Basis(method="look-alikes known to the workbench", notes=("Nothing was learnt from this agency's own misreads.",))
    return _made(np.zeros((36, 36)), 0.0, 0.0, 0, 0.0, False, basis, None)


def _mates() -> np.ndarray[Any, np.dtype[np.bool_]]:
    out = np.eye(36, dtype=bool)
    for group in plates.LOOK_ALIKES:
        at = [CHARACTERS.index(c) for c in group]
        out[np.ix_(at, at)] = True
    return out


def _made(seen: Floats, missed: float, added: float, n: int, right: float, rated: bool, basis: Basis, base: Any) -> Confusion:
    """Chances out of counts: which wrong character by the pairs, how often a wrong one by the reads that were right (or by assumption)."""
    own, errors = np.eye(36, dtype=bool), seen.copy()
    np.fill_diagonal(errors, 0.0)
    mates = _mates()
    prior = np.where(mates, 1.0, _OTHER)
    prior[own] = 0.0
    which = (errors + prior) / (errors + prior).sum(axis=1, keepdims=True)
    characters = float(seen.sum()) + missed + right
    rate = (float(errors.sum()) * rated + _WRONG * _WEIGHT) / (characters * rated + _WEIGHT)
    # a character that is often misread has a higher rate of its own: its share of the errors against its share of the characters
    held = seen.sum(axis=1) + 36.0
    weight = (errors.sum(axis=1) + 1.0) / held
    each = np.clip(rate * weight / np.average(weight, weights=held), rate / 20, 0.5)
    read_as = which * each[:, None]
    read_as[own] = 1.0 - each
    learnt = (errors >= 3) & (which >= 0.05)
    gaps = [(g * rated + _GAP * _WEIGHT) / (characters * rated + _WEIGHT) for g in (missed, added)]
    table = _table(errors, which, read_as, mates & ~own)
    return Confusion(headline=_headline(table, n), table=table, layers=(), basis=basis, base=base, read_as=read_as, mates=mates | learnt, missed=gaps[0],
                     added=gaps[1], pairs=n)


def _table(errors: Floats, which: Floats, read_as: Floats, mates: Any) -> pl.DataFrame:
    true, read = np.nonzero((errors > 0) | mates)
    names = np.array(list(CHARACTERS))
    return pl.DataFrame({"true": names[true], "read": names[read], "times": errors[true, read].astype(np.int64), "share": which[true, read],
                         "probability": read_as[true, read], "known": mates[true, read]}).sort("probability", "true", "read", descending=[True, False, False])


def _headline(table: pl.DataFrame, n: int) -> str:
    seen = table.filter(pl.col("times") > 0).sort("times", "true", "read", descending=[True, False, False])
    if seen.is_empty():
        return "No misread character was seen" + (f" in {several(n, 'verified read')}" if n else "") + "; the look-alikes known to the workbench are used."
    often = ", ".join(f"{r['true']} as {r['read']} ({r['times']:,})" for r in seen.head(5).iter_rows(named=True))
    strange = int(seen.filter(~pl.col("known"))["times"].sum())
    return (f"Most often misread: {often}. Learnt from {several(n, 'verified read')}; {strange:,} of {int(seen['times'].sum()):,} misread characters "
            "are no known look-alikes.")


def _counted(both: list[tuple[str, str]]) -> tuple[Floats, float, float]:
    """How often each true character was read as each, how many were left out, and how many read in addition."""
    seen, missed, added = np.zeros((36, 36)), 0, 0
    number = {c: i for i, c in enumerate(CHARACTERS)}
    level = [(r, t) for r, t in both if len(r) == len(t) and sum(a != b for a, b in zip(r, t, strict=True)) <= 2]
    others = [(r, t) for r, t in both if len(r) != len(t) or sum(a != b for a, b in zip(r, t, strict=True)) > 2]
    true, read = ("".join(side[k] for side in level) for k in (1, 0))
    known = [(number[t], number[r]) for t, r in zip(true, read, strict=True) if t in number and r in number]
    if known:
        np.add.at(seen, tuple(np.array(known).T), 1.0)
    for r, t in others:
        for a, b in _aligned(r, t):
            missed, added = missed + (a == ""), added + (b == "")
            if a in number and b in number:
                seen[number[b], number[a]] += 1.0
    return seen, float(missed), float(added)


def _aligned(read: str, true: str) -> list[tuple[str, str]]:
    """(read, true) characters laid side by side with the least edits; "" = none."""
    rows = [list(range(len(true) + 1))]
    for i, r in enumerate(read, 1):
        row = [i]
        for j, t in enumerate(true, 1):
            row.append(min(rows[-1][j - 1] + (r != t), rows[-1][j] + 1, row[j - 1] + 1))
        rows.append(row)
    i, j, out = len(read), len(true), []
    while i or j:
        if i and j and rows[i][j] == rows[i - 1][j - 1] + (read[i - 1] != true[j - 1]):
            i, j = i - 1, j - 1
            out.append((read[i], true[j]))
        elif i and rows[i][j] == rows[i - 1][j] + 1:
            i -= 1
            out.append((read[i], ""))
        else:
            j -= 1
            out.append(("", true[j]))
    return out[::-1]

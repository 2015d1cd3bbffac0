"""Which plates can it have been, from what somebody saw of one?

Wildcards (? one unknown character, * any number), up to two edits, and characters that are taken for one another. What fits is ranked by how likely the plate
that was asked for is read as each (best alignment under the confusion matrix: E. Brill, R. C. Moore, ACL 2000, doi:10.3115/1075218.1075255), then by how
often each was read. An edit is a character put in, left out or replaced (V. I. Levenshtein, Soviet Physics Doklady 10, 1966, 707-710); two neighbours that
changed places are two edits. The answer says how many fit, and how many would if plates were made up at random the way these are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench import plates
from workbench.errors import BadInput, CannotTell, whole
from workbench.models.plates import _search
from workbench.models.plates._search import Index
from workbench.models.plates.misreads import Confusion, known
from workbench.models.wording import several
from workbench.results import Basis, Prepared, Ranking, origin_of, recorded


def index(frame: pl.DataFrame) -> Index:
    """Plates made ready to be searched many times.

    Args:
        frame: ``plate`` in normal form; a row is a read, or with a column ``reads`` (whole numbers) one plate and how often it was read. With ``region``,
            ``make``, ``colour`` a search can be narrowed to plates that were read with that value at least once.

    Raises:
        BadInput: no column ``plate``, or ``reads`` is not a count.

    Cost: O(n log n); 5 M plates take some seconds and 150 MB beside the frame (8 bytes a plate sorted, by number of reads, and their order; 17 MB of filter).
    """
    made = Index(frame)
    _ = made.digest, made.said
    return made


@recorded
def search(where: Index | pl.DataFrame, partial: str, *, edits: int = 0, look_alikes: bool = False, confusion: Confusion | None = None,
           region: str | None = None, make: str | None = None, colour: str | None = None, most: int = 50) -> Ranking:
    """Plates that fit a partial or misread one, the likeliest first.

    Args:
        where: an ``index`` (a question takes milliseconds), or the frame for one (indexed first: seconds for millions).
        partial: what is known: ``?`` stands for one unknown character, ``*`` for any number; blanks and dashes are ignored.
        edits: 0, 1 or 2: how many characters may have been put in, left out or replaced. Two that changed places are two edits.
        look_alikes: also find plates that differ in any number of look-alike characters (``confusion.mates``).
        confusion: how characters are read (``plates.misreads.confusion``); None = the look-alikes known to the workbench. It weighs edits too.
        region, make, colour: only plates that were read with this value at least once (in any case; each for itself, not in one read).
        most: rows of the table.

    Returns: a Ranking. ``table``: plate, reads, edits (between it and what was asked), likelihood (that the plate asked for is read like this, 1 = as read
    right), share (likelihood x reads of all rows shown), region, make, colour where the index has them (the values most often read come from the reads
    themselves, not from here). Figures of the basis: fit (plates that fit), chance (how many would fit if each character were drawn on its own as often as it
    stands at its place in plates of that format; about, and not for plates of more than eight characters or other alphabets).

    Raises:
        CannotTell: there are no plates. BadInput: no known character, as many edits as known characters, or a value out of range.

    Cost, 5 M plates: wildcards a few ms, one edit 0.1 ms, two edits a few ms, sentence and basis 2 ms; edits of a pattern with wildcards, and of plates of more
    than ten characters or other alphabets, go through all plates (a second).
    """
    held = where if isinstance(where, Index) else index(_framed(where))
    wanted = _wanted(partial, edits, most)
    if not isinstance(look_alikes, bool):
        raise BadInput(f"look_alikes={look_alikes!r} does not do; give True or False.")
    if not len(held):
        raise CannotTell("There are no plates to search in; load reads, or widen the time they are taken from.")
    used = confusion or known()
    if not isinstance(used, Confusion):
        raise BadInput(f"confusion is a {type(used).__name__}; give what plates.misreads.confusion gave, or None.")
    allowed = held.allowed(region=region, make=make, colour=colour)
    found = _search.find(held, wanted, edits=edits, confusion=used, alike=look_alikes, allowed=allowed, most=most)
    narrowed = {k: v for k, v in (("region", region), ("make", make), ("colour", colour)) if v is not None}
    basis = Basis.of(
        held, method=_method(wanted, edits, look_alikes), source="Levenshtein 1966; Brill and Moore 2000, doi:10.3115/1075218.1075255",
        parameters={"partial": "".join(wanted), "edits": edits, "look_alikes": look_alikes, **narrowed, "fit": found.total, "chance": _figure(found.chance),
                    "plates": len(held), "misreads learnt from": used.pairs},
        notes=("A plate that fits is a lead: look at the picture. Plates that no reader saw are not among them.",))
    return Ranking(headline=_headline(held, "".join(wanted), found, edits, look_alikes, narrowed), table=_table(held, found), layers=(), basis=basis,
                   base=origin_of(held).base)


def _framed(where: Any) -> pl.DataFrame:
    if isinstance(where, Prepared):
        return where.frame
    if not isinstance(where, pl.DataFrame):
        raise BadInput(f"Plates are searched in an index or a polars.DataFrame, not in a {type(where).__name__}.")
    return where


def _wanted(partial: str, edits: int, most: int) -> list[str]:
    """The characters asked for in normal form, runs of * as one."""
    if not isinstance(partial, str):
        raise BadInput(f"A partial plate is text, not {str(partial)[:40]!r}; write e.g. 'AB?1*'.")
    whole(partial, "The partial plate")
    if isinstance(edits, bool) or not isinstance(edits, int) or edits not in (0, 1, 2):
        raise BadInput(f"edits={edits!r} does not do; give 0, 1 or 2.")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise BadInput(f"most={most!r} does not do; give a whole number of at least 1, e.g. 50.")
    pieces: list[str] = []
    for c in partial:
        for n in c if c in "?*" else plates.normal(c):
            if not (n == "*" and pieces[-1:] == ["*"]):
                pieces.append(n)
    firm = sum(c not in "?*" for c in pieces)
    if firm == 0:
        plates.pattern(partial)
    if firm <= edits:
        raise BadInput(f"With {several(edits, 'edit')} every plate of a few characters fits {partial!r}, of which "
                       f"{several(firm, 'character is', 'characters are')} known; give more of the plate, or edits={firm - 1}.")
    if len(pieces) > 64:
        raise BadInput(f"The partial plate has {len(pieces)} characters; 64 are the most.")
    return pieces


def _method(wanted: list[str], edits: int, alike: bool) -> str:
    parts = [*(["wildcards"] if any(c in "?*" for c in wanted) else []), *([f"up to {several(edits, 'edit')} (Levenshtein)"] if edits else []),
             *(["look-alike characters"] if alike else [])]
    return f"plate search: {', '.join(parts) or 'the plate itself'}"


def _figure(chance: float) -> float | None:
    return None if math.isnan(chance) else float(f"{chance:.3g}")


def _table(held: Index, found: _search.Found) -> pl.DataFrame:
    likelihood, reads = np.exp(-found.weight), held.reads[found.at]
    weight = likelihood * np.maximum(reads, 1)
    share = weight / weight.sum() if len(weight) else weight
    names = pl.Series(held.names(found.at), dtype=pl.String)
    return pl.DataFrame({"plate": names, "reads": reads, "edits": found.edits, "likelihood": likelihood, "share": share})


def _headline(held: Index, asked: str, found: _search.Found, edits: int, alike: bool, narrowed: dict[str, str]) -> str:
    extra = "".join([f" with up to {several(edits, 'edit')}" if edits else "", " and" if edits and alike else "", " with look-alikes" if alike else "",
                     "".join(f", {k} {v}" for k, v in narrowed.items())])
    base = "" if math.isnan(found.chance) else f"; {_said(found.chance)} would by chance, were plates drawn character by character as these are"
    of = f"of {several(len(held), 'plate')}"
    if not found.total:
        return f"None {of} fits {asked}{extra}{base}. That it was not read does not mean that it does not exist."
    first = held.names(found.at[:1])[0]
    often = several(int(held.reads[found.at[0]]), "read")
    likely = f" {first} ({often}) is the likeliest" if found.total > 1 else f" It is {first} ({often})"
    shown = f"; the first {len(found.at):,} are shown" if found.total > len(found.at) else ""
    return f"{found.total:,} {of} {'fits' if found.total == 1 else 'fit'} {asked}{extra}{base}.{likely}{shown}."


def _said(chance: float) -> str:
    if chance >= 10:
        return f"about {chance:,.0f}"
    return f"about {chance:.2g}" if chance >= 0.01 else "fewer than 0.01"

"""What a plate is: its normal form, characters that readers and witnesses confuse, and partial plates.

The normal form is upper case letters and digits only: "abc-1234" and "ABC 1234" are the same plate. Letters of other alphabets
are kept. A reader's hash of a plate passes through unchanged but for its case.
"""

from __future__ import annotations

import re

from workbench.errors import BadInput

#: Characters that are taken for one another by readers and people; each group is one shape.
LOOK_ALIKES: tuple[str, ...] = ("0ODQ", "1IL", "2Z", "5S", "6G", "8B", "UV")
_SHAPE = {c: group[0] for group in LOOK_ALIKES for c in group}
_NOT_PLATE = re.compile(r"[\W_]+")


def normal(plate: str) -> str:
    """Upper case letters and digits only: ``normal("abc-1234") == "ABC1234"``. "" when nothing is left. O(length)."""
    if not isinstance(plate, str):
        raise BadInput(f"A plate is text, not {str(plate)[:40]!r}; write e.g. 'ABC 1234'.")
    return _NOT_PLATE.sub("", plate).replace("ß", "ẞ").upper()


def normal_sql(expr: str) -> str:
    """The same as ``normal`` in DuckDB, null when nothing is left."""
    changed = f"upper(regexp_replace({expr}, '[^\\p{{L}}\\p{{N}}]', '', 'g'))"
    return f"nullif(case when {expr} glob '*[!0-9A-Z]*' then {changed} else {expr} end, '')"


def shape(plate: str) -> str:
    """The plate with every character replaced by the first of its look-alike group: plates of one shape may be one plate misread.

    ``shape("B0Q") == shape("8OD")``. O(length).
    """
    return "".join(_SHAPE.get(c, c) for c in normal(plate))


def shape_sql(plate: str) -> str:
    """The same as ``shape`` in DuckDB, over a column that is in normal form already."""
    before = "".join(c for group in LOOK_ALIKES for c in group[1:])
    after = "".join(group[0] for group in LOOK_ALIKES for _ in group[1:])
    return f"translate({plate}, '{before}', '{after}')"


def look_alike(one: str, other: str) -> bool:
    """Whether two plates differ only in look-alike characters (equal plates do). O(length)."""
    return shape(one) == shape(other)


def pattern(partial: str, *, look_alikes: bool = False) -> str:
    """A partial plate as a regular expression over normal forms, for Python, Polars and DuckDB alike.

    Args:
        partial: ``?`` stands for one unknown character, ``*`` for any number; blanks and dashes are ignored. "AB?1*" fits ABX123.
        look_alikes: let a character also stand for those it is confused with.

    Raises:
        BadInput: no known character is left, so everything would fit.
    """
    known = [c for c in partial.upper() if c in "?*" or not _NOT_PLATE.match(c)]
    if not any(c not in "?*" for c in known):
        raise BadInput(f"The partial plate {partial!r} has no letter or digit, so every plate would fit; give one known character or more, e.g. 'AB?1*'.")
    return "^" + "".join(_piece(c, look_alikes) for c in known) + "$"


def fits(plate: str, partial: str, *, look_alikes: bool = False) -> bool:
    """Whether a plate fits a partial one (see ``pattern``)."""
    return re.match(pattern(partial, look_alikes=look_alikes), normal(plate)) is not None


def _piece(character: str, look_alikes: bool) -> str:
    if character == "?":
        return "."
    if character == "*":
        return ".*"
    group = next((g for g in LOOK_ALIKES if character in g), character) if look_alikes else character
    return f"[{group}]" if len(group) > 1 else re.escape(group)

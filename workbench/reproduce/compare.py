"""Where two answers differ: text and whole numbers exactly, other numbers to one part in a thousand million."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from workbench.errors import BadInput
from workbench.results import saving

#: Relative difference up to which two numbers are the same: another processor may add in another order.
CLOSE = 1e-9
#: Cells of a column that are named one by one.
_NAMED = 3


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal: floats nearly, NaN equal to NaN, the parts of lists and dicts one by one."""
    if isinstance(one, float) or isinstance(other, float):
        if not isinstance(one, (int, float)) or not isinstance(other, (int, float)) or isinstance(one, bool) or isinstance(other, bool):
            return False
        return (math.isnan(one) and math.isnan(other)) or one == other or math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    return type(one) is type(other) and bool(one == other)


def frames(saved: Any, made: dict[str, Any], what: str) -> list[str]:
    """Where a saved table differs from one made again: columns, types, rows, cells."""
    try:
        old, new = saving.frame(saved), saving.frame(made)
    except BadInput as error:
        return [f"{what} cannot be compared: {error}"]
    out = [f"{what} has {word} column {c!r}" for word, names in (("no", [c for c in new.columns if c not in old.columns]),
                                                                ("the further", [c for c in old.columns if c not in new.columns])) for c in names]
    if old.height != new.height:
        out.append(f"{what} has {old.height:,} row{'' if old.height == 1 else 's'}; {new.height:,} come out")
    for name in [c for c in old.columns if c in new.columns]:
        if old.schema[name] != new.schema[name]:
            out.append(f"{what}, column {name!r} is of type {old.schema[name]}; {new.schema[name]} comes out")
        elif old.height == new.height:
            out += _cells(old[name], new[name], f"{what}, column {name!r}")
    return out


def _cells(old: pl.Series, new: pl.Series, what: str) -> list[str]:
    if old.equals(new, null_equal=True):
        return []
    pairs = list(zip(old.to_list(), new.to_list(), strict=True))
    wrong = [n for n, (a, b) in enumerate(pairs) if not same(a, b)]
    told = [f"{what}, row {n + 1} says {_short(pairs[n][0])}; {_short(pairs[n][1])} comes out" for n in wrong[:_NAMED]]
    return [*told, f"{what}: {len(wrong) - _NAMED:,} more cells differ"] if len(wrong) > _NAMED else told


def texts(old: str, new: str, what: str) -> list[str]:
    """Where a text differs from one made again, with some letters around the first place."""
    if old == new:
        return []
    at = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, at - 24)
    return [f"{what} says {_short(old[start:at + 40])}; {_short(new[start:at + 40])} comes out"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:87] + "..."

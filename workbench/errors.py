"""What can go wrong, said as a sentence: what was wrong (with the value) and what would be right."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any


class WorkbenchError(Exception):
    """Root of every error the workbench raises on purpose. Its text is meant for the person at the screen."""


class BadInput(WorkbenchError, ValueError):
    """A value, name, column or file that cannot be used as given."""


class NotFound(WorkbenchError, LookupError):
    """Something was named that is not there; the message lists what is, nearest first."""


class AccessRefused(WorkbenchError, PermissionError):
    """The gate said no: a case, purpose, reason or role is missing. The message shows a call that would pass."""


class SignInRefused(AccessRefused):
    """Who is asking could not be made sure of: wrong name, password or token, locked, or too many tries. The message does not say which."""


class DataPurged(NotFound):
    """The rows an answer rested on were deleted under the retention policy or an order; the message names the certificate."""


class CannotTell(WorkbenchError):
    """The data do not allow an answer; the message says what is missing and what would do."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest of ``known``, or the list of what is known.

    The text starts with a blank so that it can be put straight behind a sentence. Cost: one pass of difflib over ``known``.
    """
    names = sorted({k if len(k) <= 100 else f"{k[:100]}..." for k in map(str, known)})
    near = difflib.get_close_matches(str(name)[:100].lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    if near:
        return f" Did you mean {next(n for n in names if n.lower() == near[0])!r}?"
    if not names:
        return " There are none yet."
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f" Known: {shown}."


def finite(**given: Any) -> None:
    """Refuse options that are no finite numbers: text, nothing, yes or no, NaN, infinity.

    Raises:
        BadInput: naming the first such option.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise BadInput(f"{name}={str(value)[:60]!r} is no number; give a finite number.")


def counts(**given: Any) -> None:
    """Refuse options that are no whole numbers a machine can count with (up to 2**62 either way).

    Raises:
        BadInput: naming the first such option.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or abs(int(value)) > 1 << 62:
            raise BadInput(f"{name}={str(value)[:60]!r} does not do; give a whole number.")


def whole(value: Any, what: str = "A value") -> None:
    """Refuse a text, or a list of texts, that no store can hold: one with half a character (a lone surrogate), as broken programs write them.

    Raises:
        BadInput: it is such a text.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"{what} holds half a character at place {error.start + 1} ({ascii(value[error.start])}); write the text anew.") from None
    elif isinstance(value, Mapping):
        whole([*value.keys(), *value.values()], what)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            whole(part, what)

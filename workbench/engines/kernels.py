"""Compiled loops: what numpy cannot say without a Python loop, by numba.

A kernel is compiled once and kept beside its module (as Python keeps ``.pyc``); where neither that folder nor the user's cache can be written it is
compiled anew in each process. Kernels let go of the interpreter's lock and never start threads of their own: numba's own thread pool ends the process
when two pages of the server use it at once. Work is dealt out to threads by ``each``, every part writing its own place, so that the answer does not
depend on how many there are.

Importing this module imports numba (0.3 s): modules that hold kernels are imported by the function that needs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba

from workbench.errors import BadInput

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


def kernel(function: _F) -> _F:
    """A function of arrays and numbers, compiled at its first call (numba, nopython, without fast-math: equal input gives equal bits)."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder that a compiled function could be kept in
        made = numba.njit(nogil=True)(function)
    return cast(_F, made)


def each(call: Callable[[Any], _T], parts: Iterable[Any], *, threads: int | None = None) -> list[_T]:
    """``call`` of each part in the order of the parts, by several threads (None = as many as the machine gives); worth it for kernels, which run side by side.

    Raises:
        BadInput: threads is no whole number of at least 1.
    """
    many = threads if threads is not None else len(os.sched_getaffinity(0))
    if isinstance(many, bool) or not isinstance(many, int) or many < 1:
        raise BadInput(f"threads={threads!r} does not do; give a whole number of at least 1, or None for as many as the machine gives.")
    listed = list(parts)
    if many == 1 or len(listed) < 2:
        return [call(part) for part in listed]
    with ThreadPoolExecutor(min(many, len(listed))) as pool:
        return list(pool.map(call, listed))

"""Compiled loops: what numpy cannot say without a Python loop, compiled by numba.

A kernel names the types of its arguments and works in arrays that it is given: it allocates nothing, raises nothing, and holds neither the lock nor
threads of its own (numba's thread pool ends the process when two pages of a server use it at once). Work is dealt out to threads by ``each``, every part
writing its own place, so that the answer does not depend on how many there are.

    @kernel("f8[:], f8[:,:], i8 -> i8")
    def firsts(x, out, n): ...

Importing this module, or one that holds kernels, costs nothing; a kernel is compiled or fetched at its first call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any, TypeVar

from workbench.errors import BadInput

_T = TypeVar("_T")


class Part:
    """A function that kernels call; it is compiled into them. Called from Python it runs as Python."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def part(function: Callable[..., Any]) -> Part:
    """Mark a function as one that kernels (and other parts) of its module may call."""
    return Part(function)


def _compiled(function: Any, made: dict[int, Any]) -> Any:
    """The function with every Part that it names compiled into it."""
    import numba

    if id(function) not in made:
        names = dict(function.__globals__)
        for name in function.__code__.co_names:
            if isinstance(names.get(name), Part):
                names[name] = _compiled(names[name].function, made)
        made[id(function)] = numba.njit(nogil=True, error_model="numpy")(FunctionType(function.__code__, names, function.__name__, function.__defaults__))
    return made[id(function)]


class Kernel:
    """A compiled function; see ``kernel``."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function, self.signature = function, signature
        self.__doc__ = function.__doc__
        self._run: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._run is None:
            self._run = _compiled(self.function, {})
        return self._run(*arguments)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile a function of arrays and numbers.

    Args:
        signature: the type of each argument and, behind an arrow, of what comes back (none = nothing): ``f8``, ``f4``, ``i8``, ``i4``, ``i2``, ``u1``, ``u8``,
            ``b1``, with ``[:]`` an array of one dimension, with ``[:,:]`` of two, with ``[:,:,:]`` of three; arrays lie in C order.

    The function allocates nothing (no ``np.zeros``; scratch arrays are arguments), raises nothing, draws no global random numbers, and calls only numpy's and
    math's scalar functions and Parts. Division by zero gives inf or nan. Equal input gives equal bits.
    """
    return lambda function: Kernel(function, signature)


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

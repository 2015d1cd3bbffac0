"""Compiled loops: what numpy cannot say without a Python loop, as machine code that numba made.

A kernel names the types of its arguments and works in arrays that it is given: it allocates nothing, raises nothing, and holds neither the lock nor
threads of its own (numba's thread pool ends the process when two pages of a server use it at once). Work is dealt out to threads by ``each``, every part
writing its own place, so that the answer does not depend on how many there are.

    @kernel("f8[:], f8[:,:], i8 -> i8")
    def firsts(x, out, n): ...

Importing this module, or one that holds kernels, costs nothing. At its first call a kernel is compiled and kept beside its module, as Python keeps ``.pyc``;
after that its machine code is loaded by llvmlite alone, since importing numba takes over a second of CPU (``_object``). Where that folder cannot be
written, $WORKBENCH_KERNELS may name another; without one, each process compiles for itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from workbench.errors import BadInput

_T = TypeVar("_T")
_ONE = threading.Lock()


class Part:
    """A function that kernels call; it is compiled into them. Called from Python it runs as Python."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def part(function: Callable[..., Any]) -> Part:
    """Mark a function as one that kernels (and other parts) of its module may call."""
    return Part(function)


class Kernel:
    """A compiled function; see ``kernel``."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function: Any = function
        self.signature = signature
        self.__doc__ = function.__doc__
        self._takes = [_Taken(text) for text in _split(signature)[0]]
        self._run: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._run is None:
            with _ONE:
                self._run = self._run or self._fetched()
        if len(arguments) != len(self._takes):
            raise TypeError(f"{self.function.__name__} takes {len(self._takes)} arguments ({self.signature}), not {len(arguments)}.")
        flat: list[Any] = []
        for taken, value in zip(self._takes, arguments, strict=True):
            taken.put(flat, value, self.function.__name__)
        return self._run(flat)

    def _fetched(self) -> Callable[[list[Any]], Any]:
        from workbench.engines import _object

        return _object.fetched(self.function, self.signature)


class _Taken:
    """One argument: a number, or an array in C order."""

    def __init__(self, text: str) -> None:
        self.text, self.dims = text, text.count(":")
        self.dtype = np.dtype({"b1": "?"}.get(text[:2], text[:2]))

    def put(self, flat: list[Any], value: Any, kernel: str) -> None:
        """Append a value as compiled functions take it: an array as owner, parent, items, size of one, address, shape, strides."""
        if not self.dims:
            flat.append(float(value) if self.dtype.kind == "f" else int(value))
            return
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype or value.ndim != self.dims or not value.flags.c_contiguous:
            what = f"{value.dtype} of {value.ndim} dimensions" if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"{kernel} takes {self.text} in C order, not {what}.")
        flat += (None, None, value.size, value.itemsize, value.__array_interface__["data"][0], *value.shape, *value.strides)


def _split(signature: str) -> tuple[list[str], str]:
    """The types of the arguments and of what comes back ("" = nothing)."""
    takes, _, gives = signature.replace(" ", "").partition("->")
    parts = takes.replace("],", "]|").split("|") if takes else []
    return [p for chunk in parts for p in (_apart(chunk))], gives


def _apart(chunk: str) -> list[str]:
    before, bracket, inside = chunk.partition("[")
    *numbers, last = before.split(",")
    return [*numbers, last + bracket + inside]


def compiled(function: Any, made: dict[int, Any], *, bare: bool = False) -> Any:
    """The function with every Part that it names compiled into it, by numba (imported here); ``bare`` without what calls it from Python."""
    import numba

    if id(function) not in made:
        names = dict(function.__globals__)
        for name in function.__code__.co_names:
            if isinstance(names.get(name), Part):
                names[name] = compiled(names[name].function, made, bare=bare)
        alone = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        options: dict[str, Any] = {"no_cpython_wrapper": bare, "no_cfunc_wrapper": bare}
        made[id(function)] = numba.njit(nogil=True, error_model="numpy", **options)(alone)
    return made[id(function)]


#: The step from one state of splitmix64 to the next.
GOLD = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND, _S27, _S30, _S31 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(27), np.uint64(30), np.uint64(31)


@part
def mixed(state: Any) -> Any:
    """Random bits of a state, by splitmix64: a stream is ``state += GOLD; mixed(state)`` (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014, 453-472)."""
    state = (state ^ (state >> _S30)) * _FIRST
    state = (state ^ (state >> _S27)) * _SECOND
    return state ^ (state >> _S31)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile a function of arrays and numbers.

    Args:
        signature: the type of each argument and, behind an arrow, of what comes back (no arrow = nothing): ``f8``, ``i8``, ``u8``, and for arrays also
            ``f4``, ``i4``, ``i2``, ``i1``, ``u1``, ``u2``, ``u4``, ``b1``, with ``[:]`` an array of one dimension, with ``[:,:]`` of two, with ``[:,:,:]`` of
            three; arrays lie in C order.

    The function allocates nothing (no ``np.zeros``; scratch arrays are arguments), raises nothing, draws no global random numbers, and calls only numpy's and
    math's scalar functions and Parts. Division by zero gives inf or nan. Equal input gives equal bits. An array of another type or order is a TypeError.
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

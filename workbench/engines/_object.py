"""Machine code of kernels, kept in files: made once by numba, loaded by llvmlite.

A file's name holds a hash of all that the code follows from: the bytecode of the function and of the Parts it calls, the constants they name, the types, the
versions, the processor. Its first 32 bytes are the SHA-256 of the rest, so that a file cut short is never run. Functions are called as numba compiles them:
``int f(result *, error **, arguments...)``, an array as owner, parent, items, size of one, address, shape, strides. No reference counting takes
place in a kernel (nothing is allocated), so numba's runtime is not needed; code that asks for anything else of numba is not kept but run by numba.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from workbench.engines import kernels

_C: dict[str, Any] = {"f8": ctypes.c_double, "i8": ctypes.c_int64, "u8": ctypes.c_uint64}
#: Of numba's runtime; named by the code, never called, since nothing is allocated.
_NEVER = "NRT_MemInfo_call_dtor"
_engines: list[Any] = []


def fetched(function: Any, signature: str) -> Callable[[list[Any]], Any]:
    """What runs the kernel on flattened arguments: from its file, or compiled now and kept."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}-{_hash(function, signature, llvm)}.kernel"
    for folder in _folders(function):
        held = _read(folder / name)
        if held is not None:
            return _loaded(llvm, held, signature)
    made = _made(llvm, function, signature)
    if made is None:
        return _by_numba(function, signature)
    for folder in _folders(function):
        if _write(folder / name, made):
            break
    return _loaded(llvm, made, signature)


def _folders(function: Any) -> list[Path]:
    named = os.environ.get("WORKBENCH_KERNELS")
    beside = Path(function.__code__.co_filename).parent / "__pycache__"
    return [Path(named)] if named else [beside]


def _hash(function: Any, signature: str, llvm: Any) -> str:
    said = hashlib.sha256(repr((signature, sys.implementation.cache_tag, sys.version_info[:3], llvm.llvm_version_info, _version(),
                                llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple())).encode())
    seen: set[int] = set()

    def add(f: Any) -> None:
        if id(f) in seen:
            return
        seen.add(id(f))
        said.update(repr((f.__name__, _plain(f.__code__), f.__defaults__)).encode())
        for name in f.__code__.co_names:
            value = f.__globals__.get(name)
            if isinstance(value, kernels.Part):
                said.update(name.encode())
                add(value.function)
            elif isinstance(value, np.ndarray):
                said.update(repr((name, value.dtype.str, value.shape)).encode() + value.tobytes())
            elif value is not None:
                said.update(repr((name, value.__name__ if isinstance(value, ModuleType) or callable(value) else value)).encode())

    add(function)
    return said.hexdigest()[:24]


def _plain(code: CodeType) -> tuple[Any, ...]:
    return (code.co_code, code.co_names, code.co_varnames, tuple(_plain(c) if isinstance(c, CodeType) else c for c in code.co_consts[1:]),
            None if isinstance(code.co_consts[0], str) else code.co_consts[0])


def _version() -> str:
    import llvmlite

    return str(llvmlite.__version__)


def _made(llvm: Any, function: Any, signature: str) -> bytes | None:
    """Name and object code, a line and the rest; None where the code asks for what only numba has."""
    from numba.core import types

    takes, gives = kernels._split(signature)
    kinds: dict[str, Any] = {"f8": types.float64, "f4": types.float32, "i8": types.int64, "i4": types.int32, "i2": types.int16, "i1": types.int8,
                              "u1": types.uint8, "u2": types.uint16, "u4": types.uint32, "u8": types.uint64, "b1": types.boolean}
    arguments = tuple(types.Array(kinds[t[:2]], t.count(":"), "C") if ":" in t else kinds[t] for t in takes)
    dispatcher: Any = kernels.compiled(function, {}, bare=True)
    dispatcher.compile((kinds[gives] if gives else types.none)(*arguments))
    done = dispatcher.overloads[arguments]
    module = llvm.parse_bitcode(done.library._final_module.as_bitcode())
    python = ctypes.CDLL(None)
    asked = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if any(name != _NEVER and not hasattr(python, name) for name in asked) or any(name.startswith(("Py", "_Py", "numba_")) for name in asked):
        return None
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, codemodel="jitdefault", jit=True)
    return str(done.fndesc.llvm_func_name).encode() + b"\n" + bytes(machine.emit_object(module))


def _loaded(llvm: Any, held: bytes, signature: str) -> Callable[[list[Any]], Any]:
    name, _, code = held.partition(b"\n")
    if not llvm.address_of_symbol(_NEVER):
        llvm.add_symbol(_NEVER, ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value)
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)  # the code lives as long as its engine
    takes, gives = kernels._split(signature)
    kinds: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
    for t in takes:
        dims = t.count(":")
        kinds += [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_int64] * (2 * dims)] if dims else [_C[t]]
    call = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(engine.get_function_address(name.decode()))  # lets go of the interpreter's lock
    kind = _C.get(gives, ctypes.c_int64)

    def run(flat: list[Any]) -> Any:
        result, error = kind(), ctypes.c_void_p()
        status = call(ctypes.addressof(result), ctypes.addressof(error), *flat)
        if status:
            raise RuntimeError(f"{name.decode()} ended with status {status}.")
        return result.value if gives else None

    return run


def _by_numba(function: Any, signature: str) -> Callable[[list[Any]], Any]:
    """The same through numba itself; arrays are made again from their addresses."""
    dispatcher, takes = kernels.compiled(function, {}), kernels._split(signature)[0]
    kinds = [np.dtype({"b1": "?"}.get(t[:2], t[:2])) for t in takes]

    def run(flat: list[Any]) -> Any:
        values, at = [], 0
        for t, dtype in zip(takes, kinds, strict=True):
            dims = t.count(":")
            if not dims:
                values.append(dtype.type(flat[at]))
                at += 1
                continue
            shape = flat[at + 5:at + 5 + dims]
            raw = (ctypes.c_char * (flat[at + 2] * flat[at + 3])).from_address(flat[at + 4]) if flat[at + 2] else b""
            values.append(np.frombuffer(raw, dtype=dtype).reshape(shape))
            at += 5 + 2 * dims
        return dispatcher(*values)

    return run


def _read(path: Path) -> bytes | None:
    try:
        held = path.read_bytes()
    except OSError:
        return None
    return held[32:] if len(held) > 32 and hashlib.sha256(held[32:]).digest() == held[:32] else None


def _write(path: Path, made: bytes) -> bool:
    try:
        path.parent.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(hashlib.sha256(made).digest() + made)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    return True

"""How an answer can be asked again: calls and arguments written as JSON, and read back without running anything that is not ours.

``gave`` notes on a frame the call of the workbench that made it; ``recorded`` stands over a model's public function and puts into the basis of its
result which function it was, with every argument: plain values as they are, a frame by the call that made it and its fingerprint. A model that a
model asks (a back-test its forecasts) is not recorded: the outermost one is. What cannot be asked again says why.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import importlib
import inspect
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import polars as pl

from workbench.errors import BadInput

P = ParamSpec("P")
R = TypeVar("R")
#: Modules whose functions, and whose dataclasses, a recorded run may name.
_FUNCTIONS = ("workbench.models.", "workbench.intake.quality")
_SHAPES = ("workbench.geo", "workbench.models.")
_PLUGIN = "workbench_plugin_model_"
#: Bytes of the largest array that is read.
_LARGEST = 1 << 26
_running: ContextVar[bool] = ContextVar("running", default=False)


@dataclass(frozen=True)
class Call:
    """A call of the workbench that gave a frame: ``method`` of ``city``, its arguments written as JSON, workspace and pinned versions."""

    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    workspace: str = ""
    versions: dict[str, int] = field(default_factory=dict)

    def said(self) -> str:
        """``city.reads("2026-05-01", plate="ABC1234")`` for people."""
        given = ", ".join(f"{k}={v!r}" if not isinstance(v, dict) else f"{k}=..." for k, v in self.arguments.items())
        return f"city.{self.method}({given})"


def with_call(origin: Any, call: Call) -> Any:
    """An Origin that also says which call gave the frame."""
    return dataclasses.replace(origin, calls=(call,))


class Prepared:
    """A frame made ready to be asked many times: what a subclass adds to it is made once, and so is the digest that goes into every basis.

    Subclasses set ``frame`` and name in ``maker`` the public function "module:name" of a model that makes them from the frame alone (options as
    keyword arguments in ``options``); a recorded run writes that. The frame is not to be changed in place while it is held.
    """

    frame: pl.DataFrame
    maker: str
    options: Mapping[str, Any] = {}

    @cached_property
    def digest(self) -> bytes:
        """What the frame adds to a fingerprint."""
        return digested(self.frame)

    @cached_property
    def said(self) -> dict[str, Any]:
        """How a recorded run writes it."""
        return {"$": "prepared", "of": reference(referred(self.maker)), "v": _frame(self.frame), "with": written(dict(self.options))}


def digested(frame: pl.DataFrame) -> bytes:
    """What a frame adds to a fingerprint. O(cells)."""
    plain = frame.select(
        pl.col(c).list.join("\x1f") if isinstance(t, pl.List) and t.inner == pl.String() else pl.col(c) for c, t in sorted(frame.schema.items())
    )
    rows = plain.hash_rows(seed=1)
    total = int(rows.to_numpy().sum(dtype=np.uint64)) if len(rows) else 0
    return json.dumps([plain.columns, frame.height, total]).encode()


class Unrepeatable(Exception):
    """A value that cannot be written down so that it can be made again; its text says why."""


def recorded(function: Callable[P, R]) -> Callable[P, R]:
    """Put over a model's public function: its result's basis says how to run it again. Cost: one more fingerprint of its frames."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        if _running.get():
            return function(*args, **kwargs)
        with _outermost():
            result: Any = function(*args, **kwargs)
        if not dataclasses.is_dataclass(result) or not hasattr(result, "basis"):
            return cast(R, result)
        bound = signature.bind(*args, **kwargs)
        run: dict[str, Any] = {"function": f"{function.__module__}:{function.__qualname__}"}
        try:
            run["function"] = _model(function)
            run["arguments"] = {name: _argument(signature.parameters[name], value) for name, value in bound.arguments.items()}
        except Unrepeatable as why:
            run["cannot"] = str(why)
        answer: Any = result
        answer = dataclasses.replace(answer, basis=dataclasses.replace(answer.basis, run=run))
        return cast(R, answer)

    return asked


@contextmanager
def _outermost() -> Iterator[None]:
    token = _running.set(True)
    try:
        yield
    finally:
        _running.reset(token)


def _model(function: Callable[..., Any]) -> str:
    try:
        return reference(function)
    except Unrepeatable as why:
        raise Unrepeatable(f"the model {why}") from None


def _argument(parameter: inspect.Parameter, value: Any) -> Any:
    try:
        return written(value)
    except Unrepeatable as why:
        raise Unrepeatable(f"argument {parameter.name!r} {why}") from None


def reference(function: Callable[..., Any]) -> str:
    """"module:name"; of a plug-in "plugin NAME:name".

    Raises:
        Unrepeatable: it is not a function at the top of a model's module.
    """
    module, name = getattr(function, "__module__", "") or "", getattr(function, "__qualname__", "")
    if module.startswith(_PLUGIN) and name.isidentifier():
        return f"plugin {module[len(_PLUGIN):]}:{name}"
    if not module.startswith(_FUNCTIONS) or not name.isidentifier():
        raise Unrepeatable(f"is {module}.{name}, which is no function of a model")
    return f"{module}:{name}"


def referred(said: Any, find: Callable[[str], Any] | None = None) -> Callable[..., Any]:
    """The public function of a model that a reference names; ``find`` gives the module of a plug-in by its name.

    Raises:
        BadInput: it names something that is no function of a model.
    """
    module, _, name = said.partition(":") if isinstance(said, str) else ("", "", "")
    plugin = module.removeprefix("plugin ")
    found = None
    if re.fullmatch(r"[a-z]\w*", name):
        if plugin != module and find is not None:
            found = getattr(find(plugin), name, None)
        elif re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)+", module) and module.startswith(_FUNCTIONS):
            try:
                found = getattr(importlib.import_module(module), name, None)
            except ModuleNotFoundError:
                found = None
    if not inspect.isfunction(found):
        raise BadInput(f"{said!r} is no function of a model, so it is not run.")
    return found


def written(value: Any) -> Any:
    """A value as JSON from which ``read`` makes it again.

    Raises:
        Unrepeatable: there is no such form for it.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$": "float", "v": str(value)}
    if isinstance(value, (datetime, date)):
        return {"$": "datetime" if isinstance(value, datetime) else "date", "v": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$": "span", "v": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, list):
        return [written(v) for v in value]
    if isinstance(value, tuple):
        return {"$": "tuple", "v": [written(v) for v in value]}
    if isinstance(value, Mapping):
        return {"$": "dict", "v": [[written(k), written(v)] for k, v in value.items()]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"$": "array", "type": value.dtype.str, "shape": list(value.shape),
                "v": base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes())).decode()}
    if isinstance(value, pl.DataFrame):
        return _frame(value)
    if isinstance(value, Prepared):
        return value.said
    if isinstance(value, functools.partial):
        return {"$": "partial", "of": reference(value.func), "args": [written(v) for v in value.args], "keywords": written(value.keywords)}
    if inspect.isfunction(value):
        return {"$": "function", "of": reference(value)}
    if dataclasses.is_dataclass(value) and hasattr(value, "basis"):
        run: dict[str, Any] = value.basis.run
        if "arguments" not in run:
            raise Unrepeatable(f"is a result that cannot be made again: {run.get('cannot', 'how it was made was not recorded')}")
        return {"$": "result", "of": run["function"], "v": run["arguments"]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith(_SHAPES):
        kind = type(value)
        return {"$": "shape", "of": f"{kind.__module__}:{kind.__qualname__}",
                "v": {f.name: written(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}}
    raise Unrepeatable(f"is a {type(value).__module__}.{type(value).__qualname__}, which cannot be written down")


def _frame(frame: pl.DataFrame) -> dict[str, Any]:
    from workbench.results import fingerprint, noted

    origin = noted(frame)
    about: dict[str, Any] = {"$": "frame", "rows": frame.height, "fingerprint": fingerprint(frame)}
    if origin is not None and origin.calls:
        return {**about, "call": dataclasses.asdict(origin.calls[0])}
    if frame.is_empty():
        from workbench.results import saving

        return {**about, "empty": saving.columns(frame)}
    return {**about, "hand": "it was made or changed by hand, not given by a call of the workbench"}


def read(said: Any, frame: Callable[[dict[str, Any]], pl.DataFrame], find: Callable[[str], Any] | None = None) -> Any:
    """The value that ``written`` wrote; ``frame`` gives a frame from what was written of it, ``find`` a plug-in's module.

    Raises:
        BadInput: it has no such form, or names something that is not a model's.
    """
    def again(value: Any) -> Any:
        return read(value, frame, find)

    if isinstance(said, list):
        return [again(v) for v in said]
    if not isinstance(said, dict):
        return said
    try:
        return _made(said, again, frame, find)
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"An argument cannot be read: {str(said)[:80]!r} ({type(error).__name__}: {error}).") from None


def _made(said: dict[str, Any], again: Callable[[Any], Any], frame: Callable[[dict[str, Any]], pl.DataFrame], find: Callable[[str], Any] | None) -> Any:
    kind = said["$"]
    if kind == "frame":
        return frame(said)
    if kind == "function":
        return referred(said["of"], find)
    if kind == "partial":
        return functools.partial(referred(said["of"], find), *again(said["args"]), **again(said["keywords"]))
    if kind == "array":
        return _array(np.dtype(said["type"]), [int(n) for n in said["shape"]], base64.b64decode(said["v"], validate=True))
    if kind == "result":
        return referred(said["of"], find)(**{k: again(v) for k, v in said["v"].items()})
    if kind == "prepared":
        return referred(said["of"], find)(again(said["v"]), **again(said["with"]))
    if kind == "shape":
        return _shape(said["of"])(**{k: again(v) for k, v in said["v"].items()})
    plain: dict[str, Callable[[Any], Any]] = {
        "float": float, "datetime": datetime.fromisoformat, "date": date.fromisoformat, "span": lambda v: timedelta(v[0], v[1], v[2]),
        "tuple": lambda v: tuple(again(v)), "dict": lambda v: {again(k): again(x) for k, x in v}}
    return plain[kind](said["v"])


def _array(kind: np.dtype[Any], shape: list[int], packed: bytes) -> Any:
    size = math.prod(shape) * kind.itemsize
    if kind.kind not in "biuf" or min(shape, default=0) < 0 or size > _LARGEST:
        raise ValueError("not an array of numbers, or too large a one")
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, size + 1)
    return np.frombuffer(data, dtype=kind).reshape(shape).copy()


def _shape(said: str) -> type[Any]:
    module, _, name = said.partition(":")
    if not module.startswith(_SHAPES) or not re.fullmatch(r"[a-z]\w*(\._?[a-z]\w*)+", module) or not name.isidentifier():
        raise BadInput(f"{said!r} is no shape of a place or of facts.")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise BadInput(f"{said!r} is no shape of a place or of facts.")
    return found


def calls_of(run: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(argument, what was written of it) for every frame of a recorded run, however deep."""
    found: list[tuple[str, dict[str, Any]]] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, dict) and value.get("$") == "frame":
            found.append((name, value))
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name}.{key}" if key not in ("v", "$") else name, inner)
        elif isinstance(value, list):
            for inner in value:
                walk(name, inner)

    for name, value in (run.get("arguments") or {}).items():
        walk(name, value)
    return found

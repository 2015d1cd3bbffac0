"""How questions and their answers are written between a notebook kernel and the server: strict JSON with marked values, nothing that can run.

A plain JSON text, number, truth value, null or list stands for itself; every JSON object has one key that says what its value is
(``{"$date": "2026-05-01"}``). What is not in the list below is refused on both sides; nothing is ever pickled or evaluated.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from workbench.agency import Shift
from workbench.errors import BadInput
from workbench.geo import Grid, Plane, Polygon
from workbench.oversight.access import Decision
from workbench.oversight.audit import Person
from workbench.results import Call

#: Longest request taken, bytes.
REQUEST = 4_000_000
#: How deep values may lie in one another.
DEPTH = 40
_ARRAYS = ("float64", "int64", "bool")
_RECORDS: dict[str, Any] = {"person": Person, "shift": Shift, "decision": Decision, "call": Call}


def pack(value: Any) -> bytes:
    """A value as bytes.

    Raises:
        BadInput: it holds something that cannot be sent.
    """
    return json.dumps(encode(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def unpack(data: bytes, *, most: int | None = None) -> Any:
    """The value that bytes stand for.

    Args:
        most: longest text taken, bytes; None = any.

    Raises:
        BadInput: too long, too deep, or not such a text.
    """
    if most is not None and len(data) > most:
        raise BadInput(f"The request has {len(data):,} bytes; at most {most:,} are taken. Ask for less at a time.")
    try:
        return _decode(json.loads(data.decode("utf-8"), parse_constant=_no_constant), 0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as e:
        said = str(e) if isinstance(e, BadInput) else type(e).__name__
        raise BadInput(f"The request cannot be read ({said}); use a client of the same version of the workbench.") from None


def _no_constant(name: str) -> Any:
    raise BadInput(f"{name} is no number")


def encode(value: Any, depth: int = 0) -> Any:
    """A value as what JSON can hold.

    Raises:
        BadInput: it is of a kind that cannot be sent.
    """
    if depth > DEPTH:
        raise BadInput(f"A value lies more than {DEPTH} deep in others; it cannot be sent.")
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if isinstance(value, np.generic):
        return encode(value.item(), depth)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list):
        return [encode(v, depth + 1) for v in value]
    for kind, mark, plain in _KINDS:
        if isinstance(value, kind):
            return {mark: encode(plain(value), depth + 1)}
    for mark, record in _RECORDS.items():
        if isinstance(value, record):
            return {f"${mark}": encode({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, depth + 1)}
    raise BadInput(f"A value of kind {type(value).__name__} cannot be sent to the server; give texts, numbers, dates, lists of them, or a Polygon.")


def carries(value: Any) -> bool:
    """Whether a value can be sent."""
    try:
        encode(value)
    except BadInput:
        return False
    return True


def _array(value: np.ndarray[Any, Any]) -> list[Any]:
    if value.dtype.name not in _ARRAYS:
        raise BadInput(f"An array of {value.dtype.name} cannot be sent.")
    raw = np.packbits(value) if value.dtype == bool else np.ascontiguousarray(value)
    return [value.dtype.name, list(value.shape), base64.b64encode(raw.tobytes()).decode()]


#: Kind, its mark, and what is written for a value of it. A datetime is a date too, so it stands first.
_KINDS: tuple[tuple[Any, str, Any], ...] = (
    (datetime, "$datetime", datetime.isoformat),
    (date, "$date", date.isoformat),
    (time, "$time", time.isoformat),
    (timedelta, "$span", lambda v: [v.days, v.seconds, v.microseconds]),
    (Decimal, "$decimal", str),
    (bytes, "$bytes", lambda v: base64.b64encode(v).decode()),
    (tuple, "$tuple", list),
    (Mapping, "$dict", lambda v: [[k, w] for k, w in v.items()]),
    (np.ndarray, "$array", _array),
    (Polygon, "$polygon", lambda v: [v.name, list(v.rings)]),
    (Grid, "$grid", lambda v: [v.plane.crs, v.x0, v.y0, v.nx, v.ny, v.cell, v.inside]),
)


def _decode(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise BadInput("it lies too deep")
    if isinstance(value, list):
        return [_decode(v, depth + 1) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise BadInput("an object does not say what it is")
    (mark, inner), = value.items()
    inner = _decode(inner, depth + 1)
    if mark in _MADE:
        return _MADE[mark](inner)
    record = _RECORDS.get(mark[1:])
    if record is None or not mark.startswith("$"):
        raise BadInput(f"{mark[:40]!r} is not known")
    known = {f.name for f in dataclasses.fields(record)}
    return record(**{k: v for k, v in inner.items() if k in known})


def _made_array(parts: list[Any]) -> np.ndarray[Any, Any]:
    name, shape, text = parts
    if name not in _ARRAYS or not all(type(n) is int and n >= 0 for n in shape):
        raise BadInput("an array is not readable")
    raw, size = base64.b64decode(text, validate=True), math.prod(shape)
    if len(raw) != ((size + 7) // 8 if name == "bool" else size * 8):
        raise BadInput("an array has another length than it says")
    flat = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=size).astype(bool) if name == "bool" else np.frombuffer(raw, dtype=name)
    return flat.reshape(shape)


def _made_polygon(parts: list[Any]) -> Polygon:
    name, rings = parts
    if not isinstance(name, str) or not rings or not all(isinstance(r, np.ndarray) and r.dtype == np.float64 and r.ndim == 2 and r.shape[1] == 2 and len(r)
                                                         and bool(np.isfinite(r).all()) for r in rings):
        raise BadInput("a polygon is not rings of (lon, lat)")
    return Polygon(tuple(rings), name)


def _made_grid(parts: list[Any]) -> Grid:
    crs, x0, y0, nx, ny, cell, inside = parts
    if not (type(nx) is int and type(ny) is int and isinstance(inside, np.ndarray) and inside.shape == (nx * ny,)):
        raise BadInput("a grid is not readable")
    return Grid(Plane(str(crs)), x0, y0, nx, ny, cell, inside)


def _made_dict(pairs: list[Any]) -> dict[str, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise BadInput("names must be texts")
    return {name: value for name, value in pairs}


def _made_float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise BadInput("a number is not readable")
    return float(text)


_MADE: dict[str, Any] = {
    "$datetime": datetime.fromisoformat, "$date": date.fromisoformat, "$time": time.fromisoformat, "$span": lambda v: timedelta(v[0], v[1], v[2]),
    "$decimal": Decimal, "$bytes": lambda v: base64.b64decode(v, validate=True), "$tuple": tuple, "$float": _made_float, "$dict": _made_dict,
    "$array": _made_array, "$polygon": _made_polygon, "$grid": _made_grid,
}

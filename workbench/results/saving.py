"""A result as one JSON file: headline, table with the type of each column, what else its shape holds, basis, versions of the code, its own SHA-256."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, NotFound
from workbench.results import Basis, Result, code_version

KIND, FORMAT = "workbench result", 1
#: Packages whose version can move a figure; a difference is told, it is no fault by itself.
PACKAGES = ("polars", "duckdb", "numpy", "scipy", "networkx", "deltalake", "pyproj")
#: What a document may hold beside ``sha256`` and ``parts``, which are made of it.
_PARTS = ("kind", "format", "shape", "headline", "table", "further", "basis", "environment", "workspace", "saved_at")
#: Bytes of the largest file that is read.
_LARGEST = 1 << 30
_ATOMS: dict[str, Any] = {str(t): t for t in (
    pl.String, pl.Boolean, pl.Date, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64, pl.Null, pl.Time)}


def environment() -> dict[str, str]:
    """The versions that a figure may hang on: workbench, Python, and the packages that reckon."""
    found = {"workbench": code_version(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def save(result: Result, path: Path) -> Path:
    """Write a result; see ``Result.save``. The file is whole or not there, whatever is killed."""
    path = path.expanduser()
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder {path.parent} to save the result in.")
    keep = result.basis.keep
    resting = keep(result.basis.versions, f"result {path.name}") if keep and result.basis.versions else {}
    text = json.dumps(signed(document(result, resting)), ensure_ascii=False, indent=1)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    return path


def document(result: Result, resting: dict[str, str] | None = None) -> dict[str, Any]:
    """What is saved of a result, without its hashes; ``resting`` is what else of the workspace it rests on."""
    return {"kind": KIND, "format": FORMAT, "shape": type(result).__name__, "headline": result.headline, "table": table(result.table),
            "further": further(result), "basis": json.loads(result.basis.to_json()), "environment": environment(), "workspace": resting or {},
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds")}


def signed(said: dict[str, Any]) -> dict[str, Any]:
    """The document with the SHA-256 of each of its parts, of each column of its table, and of the whole."""
    plain = {k: said[k] for k in _PARTS}
    parts = {k: digest(v) for k, v in plain.items() if k not in ("table", "further")}
    parts |= {f"further {name}": digest(v) for name, v in plain["further"].items()}
    parts |= {f"column {name}": digest([kind, [row[n] for row in plain["table"]["rows"]]]) for n, (name, kind) in enumerate(plain["table"]["columns"])}
    whole = {**plain, "parts": parts}
    return {**whole, "sha256": digest(whole)}


def digest(value: Any) -> str:
    """SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    """The document of a saved result, as it stands in the file.

    Raises:
        NotFound: there is no such file. BadInput: it holds no saved result of this format.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path.name} is larger than 1 GiB; that is no saved result.")
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path.name} cannot be read as JSON, so it is no saved result: {error}.") from None
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise BadInput(f"{path.name} is no saved result; those are written by result.save(path).")
    if said.get("format") != FORMAT:
        raise BadInput(f"{path.name} is of format {said.get('format')!r}; this workbench reads format {FORMAT}.")
    lacking = [k for k in (*_PARTS, "parts", "sha256") if k not in said]
    if lacking:
        raise BadInput(f"{path.name} lacks {', '.join(lacking)}, so it is no whole result.")
    return said


def changed(said: dict[str, Any]) -> list[str]:
    """The parts of a document that are not what was saved, by its own hashes: "headline", "column rows", ...; empty when all are."""
    try:
        made = signed(said)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return ["its form"]
    held = said["parts"] if isinstance(said["parts"], dict) else {}
    found = [name for name, value in made["parts"].items() if held.get(name) != value]
    found += [f"{name} (taken out)" for name in held if name not in made["parts"]]
    return found or ([] if made["sha256"] == said["sha256"] else ["its hashes"])


def result(said: dict[str, Any]) -> Result:
    """Headline, table and basis of a saved document as a result.

    Raises:
        BadInput: it was changed after it was saved; the message names the parts.
    """
    wrong = changed(said)
    if wrong:
        raise BadInput(f"This result was changed after it was saved: {', '.join(wrong)}. workbench basis verify says what it should say.")
    return Result(headline=said["headline"], table=frame(said["table"]), layers=(), basis=Basis.from_json(json.dumps(said["basis"])))


def further(result: Result) -> dict[str, Any]:
    """Arrays and frames that a shape holds beside its table: expected, lower, upper, scores, evidence."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(result):
        value = getattr(result, each.name)
        if isinstance(value, np.ndarray):
            found[each.name] = table(pl.DataFrame({each.name: value.ravel()}))
        elif isinstance(value, pl.DataFrame) and each.name != "table":
            found[each.name] = table(value)
    return found


def table(frame: pl.DataFrame) -> dict[str, Any]:
    """A frame as columns (name, type) and rows."""
    return {"columns": columns(frame), "rows": [[_cell(v) for v in row] for row in frame.iter_rows()]}


def columns(frame: pl.DataFrame) -> list[list[Any]]:
    """Name and type of each column."""
    return [[name, _kind(kind)] for name, kind in frame.schema.items()]


def frame(said: dict[str, Any]) -> pl.DataFrame:
    """The frame that ``table`` wrote.

    Raises:
        BadInput: it has no such form.
    """
    try:
        shape = {name: _type(kind) for name, kind in said["columns"]}
        rows = [[_value(v, kind) for v, kind in zip(row, shape.values(), strict=True)] for row in said["rows"]]
        return pl.DataFrame(rows, schema=shape, orient="row")
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"A table of this file cannot be read: {type(error).__name__}: {error}.") from None


def _kind(kind: Any) -> Any:
    if isinstance(kind, pl.List):
        return ["list", _kind(kind.inner)]
    if isinstance(kind, pl.Struct):
        return ["struct", [[f.name, _kind(f.dtype)] for f in kind.fields]]
    if isinstance(kind, pl.Datetime):
        return ["datetime", kind.time_unit, kind.time_zone]
    if isinstance(kind, pl.Duration):
        return ["span", kind.time_unit]
    return str(kind) if str(kind) in _ATOMS else "String"


def _type(said: Any) -> Any:
    if isinstance(said, str):
        return _ATOMS[said]
    makers: dict[str, Callable[..., Any]] = {
        "list": lambda inner: pl.List(_type(inner)), "struct": lambda fields: pl.Struct([pl.Field(n, _type(t)) for n, t in fields]),
        "datetime": pl.Datetime, "span": pl.Duration}
    return makers[said[0]](*said[1:])


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, timedelta):
        return [value.days, value.seconds, value.microseconds]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _cell(v) for k, v in value.items()}
    if isinstance(value, (list, pl.Series)):
        return [_cell(v) for v in value]
    return str(value)


def _value(said: Any, kind: Any) -> Any:
    if said is None:
        return None
    if kind in (pl.Float64, pl.Float32):
        return float(said)
    if kind == pl.Date:
        return date.fromisoformat(said)
    if isinstance(kind, pl.Datetime):
        return datetime.fromisoformat(said)
    if isinstance(kind, pl.Duration):
        return timedelta(*said)
    if isinstance(kind, pl.List):
        return [_value(v, kind.inner) for v in said]
    if isinstance(kind, pl.Struct):
        return {f.name: _value(said[f.name], f.dtype) for f in kind.fields}
    return said

"""What a briefing can be told: the parameters cell of its template, each line ``name: type = default  # help``.

papermill only logs a parameter it does not know and never looks at types, so both are checked here, before anything runs.
"""

from __future__ import annotations

import ast
import io
import json
import math
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, did_you_mean

TYPES = ("str", "int", "float", "bool", "date", "datetime", "list[str]", "dict[str, int]")
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_EXAMPLE = {"int": "7", "float": "0.02", "bool": "true or false", "date": "2026-07-01", "datetime": "2026-07-01T06:00", "list[str]": "burglary,robbery",
            "str": "text", "dict[str, int]": '{"incidents": 3}'}


@dataclass(frozen=True)
class Parameter:
    """One parameter: ``type`` is one of TYPES, with ``| None`` behind it when it may be left empty."""

    name: str
    type: str
    default: Any
    help: str = ""

    @property
    def optional(self) -> bool:
        """Whether None is a value."""
        return self.type.endswith(" | None")

    @property
    def kind(self) -> str:
        """The type without ``| None``."""
        return self.type.removesuffix(" | None")


def read(template: Path) -> tuple[Parameter, ...]:
    """The parameters of a template, in the order of its parameters cell; none if it has no such cell.

    Raises:
        BadInput: the file is no notebook, or a line of the cell is not ``name: type = default``.
    """
    try:
        cells = json.loads(template.read_text(encoding="utf-8"))["cells"]
        found = [c for c in cells if c.get("cell_type") == "code" and "parameters" in c.get("metadata", {}).get("tags", [])]
        source = "".join(found[0]["source"]) if found else ""
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{template.name} is not a notebook (.ipynb) that can be read.") from None
    return parse(source, template.name)


def parse(source: str, where: str = "the template") -> tuple[Parameter, ...]:
    """The parameters that a cell's source declares.

    Raises:
        BadInput: a line is something else, has a type not in TYPES, or a default that is not of its type.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as e:
        raise BadInput(f"The parameters cell of {where} is not Python: line {e.lineno}: {e.msg}.") from None
    comments = _comments(source)
    out: list[Parameter] = []
    for node in tree.body:
        line = ast.get_source_segment(source, node) or ""
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            raise BadInput(f"The parameters cell of {where} has the line {line!r}; each line must read: name: type = default  # help")
        kind = ast.unparse(node.annotation)
        if kind.removesuffix(" | None") not in TYPES:
            raise BadInput(f"Parameter {node.target.id!r} of {where} has the type {kind!r}; a parameter is one of {', '.join(TYPES)} (or one of these | None).")
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise BadInput(f"The default of parameter {node.target.id!r} of {where} is {ast.unparse(node.value)}; it must be a plain value.") from None
        if any(p.name == node.target.id for p in out):
            raise BadInput(f"Parameter {node.target.id!r} of {where} is declared twice.")
        made = Parameter(node.target.id, kind, default, comments.get(node.end_lineno or node.lineno, ""))
        out.append(replace(made, default=value(made, default)))
    return tuple(out)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def check(known: Sequence[Parameter], given: Mapping[str, Any], where: str = "this briefing") -> dict[str, Any]:
    """The values given, typed; text is read as a command line would give it.

    Raises:
        BadInput: a name is unknown (with the nearest and the list) or a value is not of its type.
    """
    by_name = {p.name: p for p in known}
    out = {}
    for name, raw in given.items():
        if name not in by_name:
            raise BadInput(f"{where} has no parameter {name!r}.{did_you_mean(name, by_name)} Its parameters: {', '.join(by_name) or 'none'}.")
        out[name] = value(by_name[name], raw)
    return out


def value(parameter: Parameter, raw: Any) -> Any:
    """One value as the parameter's type: ``"7"`` for an int is 7, ``"2026-07-01"`` for a date that date, ``"a,b"`` for a list two texts.

    Raises:
        BadInput: it is not of that type; the message shows one that is.
    """
    if raw is None or (parameter.optional and isinstance(raw, str) and raw.strip().lower() in ("", "none")):
        if parameter.optional:
            return None
        raise _wrong(parameter, raw)
    return _READERS[parameter.kind](parameter, raw)


def _wrong(parameter: Parameter, raw: Any) -> BadInput:
    article = "an" if parameter.kind == "int" else "a"
    return BadInput(f"Parameter {parameter.name!r} must be {article} {parameter.kind}, e.g. {_EXAMPLE[parameter.kind]}; {raw!r} is not.")


def _text(p: Parameter, raw: Any) -> str:
    if not isinstance(raw, str) or "\x00" in raw:
        raise _wrong(p, raw)
    return raw


def _whole(p: Parameter, raw: Any) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lstrip("+-").isdecimal():
        return int(raw)
    raise _wrong(p, raw)


def _number(p: Parameter, raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise _wrong(p, raw)
    try:
        number = float(raw)
    except ValueError:
        raise _wrong(p, raw) from None
    if not math.isfinite(number):
        raise _wrong(p, raw)
    return number


def _truth(p: Parameter, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in (*_YES, *_NO):
        return raw.strip().lower() in _YES
    raise _wrong(p, raw)


def _day(p: Parameter, raw: Any) -> date:
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    try:
        return date.fromisoformat(raw.strip())
    except (ValueError, AttributeError):
        raise _wrong(p, raw) from None


def _moment(p: Parameter, raw: Any) -> datetime:
    if isinstance(raw, datetime):
        return raw
    if isinstance(raw, date):
        return datetime(raw.year, raw.month, raw.day)
    try:
        return datetime.fromisoformat(raw.strip())
    except (ValueError, AttributeError):
        raise _wrong(p, raw) from None


def _texts(p: Parameter, raw: Any) -> list[str]:
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, (list, tuple)) and all(isinstance(v, str) for v in raw):
        return list(raw)
    raise _wrong(p, raw)


def _figures(p: Parameter, raw: Any) -> dict[str, int]:
    try:
        data = json.loads(raw) if isinstance(raw, str) else raw
    except json.JSONDecodeError:
        raise _wrong(p, raw) from None
    if isinstance(data, dict) and all(isinstance(k, str) and isinstance(v, int) and not isinstance(v, bool) for k, v in data.items()):
        return dict(data)
    raise _wrong(p, raw)


_READERS = {"str": _text, "int": _whole, "float": _number, "bool": _truth, "date": _day, "datetime": _moment, "list[str]": _texts, "dict[str, int]": _figures}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are handed to the notebook: dates and times as ISO text, all else as it is."""
    return {k: v.isoformat() if isinstance(v, (date, datetime)) else v for k, v in values.items()}

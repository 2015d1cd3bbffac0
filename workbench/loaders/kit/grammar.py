"""What may be written in a mapping file: a small language of named functions, and nothing else.

An expression such as ``time(join("Date", "Time", " "), "%m/%d/%Y %H:%M")`` is parsed by Python's own parser, and only calls of the
functions below, texts, numbers, lists and tables of texts are let in. Column names, formats and constants reach SQL as quoted names
and literals only; texts that the lake would fill in itself ("{salt}") are refused. ``docs/mapping.md`` lists the functions for users.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import BadInput, did_you_mean
from workbench.loaders.kit.phrases import FUNCTIONS
from workbench.loaders.kit.pieces import Columns, Place, Raw, Value, short

LONGEST = 20_000
_HOLES = re.compile(r"\{\s*(zone|salt|said|beside)")
#: What a function gives -> the types of canonical columns it can fill.
FILLS = {
    "text": ("VARCHAR",),
    "time": ("TIMESTAMPTZ",),
    "date": ("DATE",),
    "number": ("DOUBLE",),
    "whole": ("BIGINT", "DOUBLE"),
    "truth": ("BOOLEAN",),
    "list": ("VARCHAR[]",),
    "numbers": ("DOUBLE[]",),
    "nothing": ("VARCHAR", "TIMESTAMPTZ", "DATE", "DOUBLE", "BIGINT", "BOOLEAN", "VARCHAR[]", "DOUBLE[]"),
}
#: A canonical column's type -> an expression that fills it, for messages.
EXAMPLES = {
    "VARCHAR": 'text("Column")',
    "TIMESTAMPTZ": 'time("Column", "%m/%d/%Y %H:%M")',
    "DATE": 'date("Column", "%Y-%m-%d")',
    "DOUBLE": 'number("Column")',
    "BIGINT": 'whole("Column")',
    "BOOLEAN": 'yes_no("Column")',
    "VARCHAR[]": 'list("Column", ";")',
    "DOUBLE[]": "nothing",
}


@dataclass
class Reader:
    """Reads expressions, and notes which raw columns and asked-for names they use.

    Args:
        lookups: tables that expressions may name.
    """

    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    used: Columns = field(default_factory=Columns)

    def read(self, written: str) -> Raw | Value | Place:
        """What an expression says.

        Raises:
            BadInput: it is not of the language; the message says where and what would be.
        """
        if len(written) > LONGEST:
            raise BadInput(f"an expression of {len(written):,} characters is too long; at most {LONGEST:,}.")
        try:
            tree = ast.parse(written.strip(), mode="eval").body
        except SyntaxError as error:
            raise BadInput(f'{short(written)} is not an expression ({error.msg}); write e.g. text("Column").') from None
        except (ValueError, RecursionError, MemoryError):
            raise BadInput(f'{short(written)} cannot be taken apart; write e.g. text("Column").') from None
        try:
            found = self._node(tree)
        except RecursionError:
            raise BadInput(f"{short(written)} is nested too deeply.") from None
        if isinstance(found, str):
            raise BadInput(f"{short(written)} is a text alone; a column of the file is read with text(...), a fixed value is const(...).")
        if not isinstance(found, (Raw, Value, Place)):
            raise BadInput(f'{short(written)} is not an expression; write e.g. text("Column").')
        return found

    def _node(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            value = self._constant(node.operand.value)
            if isinstance(value, (int, float)):
                return -value
        if isinstance(node, ast.List):
            return [self._node(n) for n in node.elts]
        if isinstance(node, ast.Dict):
            keys = [self._node(k) if k is not None else None for k in node.keys]
            values = [self._node(v) for v in node.values]
            if not all(isinstance(t, str) for t in (*keys, *values)):
                raise BadInput('a table has texts on both sides, e.g. {"Y": "yes"}.')
            return dict(zip(keys, values, strict=True))
        if isinstance(node, ast.Name):
            if node.id == "nothing":
                return Value("nothing", "null")
            if node.id in self.lookups:
                return dict(self.lookups[node.id])
            hint = f" Or write {node.id}(...)." if node.id in FUNCTIONS else did_you_mean(node.id, [*self.lookups, "nothing"])
            raise BadInput(f"{node.id!r} is not a table of this file; a column of the export is written in quotes: {_literal(node.id)}.{hint}")
        raise BadInput(f"{short(ast.unparse(node))} is not allowed here; only functions, texts, numbers, lists and tables are.")

    def _constant(self, value: Any) -> Any:
        if isinstance(value, str):
            return checked(value)
        if isinstance(value, (bool, type(None))):
            return value
        if isinstance(value, (int, float)) and math.isfinite(value):
            return value
        raise BadInput(f"{short(repr(value))} is not a text or a number.")

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise BadInput(f"{short(ast.unparse(node.func))} is not the name of a function.")
        name = node.func.id
        if name not in FUNCTIONS:
            raise BadInput(f"there is no function {name!r}.{did_you_mean(name, FUNCTIONS)}")
        given = [self._node(a) for a in node.args]
        named = {}
        for k in node.keywords:
            if k.arg is None:
                raise BadInput(f"{name}(** ...) is not allowed.")
            named[k.arg] = self._node(k.value)
        function = FUNCTIONS[name]
        try:
            inspect.signature(function).bind(self.used, *given, **named)
        except TypeError as error:
            raise BadInput(f"{name}(...) was not given what it takes ({error}); it is written {usage(name)}.") from None
        return function(self.used, *given, **named)


def checked(text: str) -> str:
    """A text that may stand in SQL once it is quoted.

    Raises:
        BadInput: it has characters or marks that may not be in a mapping.
    """
    if any(ord(c) < 32 and c not in "\t\n" or 0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise BadInput(f"{short(repr(text))} has characters that are not text.")
    if _HOLES.search(text):
        raise BadInput(f"{short(repr(text))} holds a mark that the lake fills in itself; it may not stand in a mapping.")
    return text


def usage(name: str) -> str:
    """How a function is written, from the first line of its docstring."""
    return (inspect.getdoc(FUNCTIONS[name]) or name).splitlines()[0].split(": ")[0].strip("`")


def _literal(text: str) -> str:
    return '"' + text + '"'

"""Does an expression only compute, on the record it is given? DuckDB's own parser says so, whatever text made the expression.

``loaders.kit.grammar`` lets nothing but named functions into a mapping file and quotes what it is given. This is the second lock behind
it: the SQL that comes out is parsed by the engine that will run it, and its tree is walked. Only the kinds of node, the functions and
the types listed here may stand in it, and only the record's own columns; a subquery, a table, a setting, the environment or a file is
none of them.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Collection
from typing import Any

import duckdb

from workbench.errors import BadInput
from workbench.loaders.kit.pieces import short

#: Functions of DuckDB that give the same for the same arguments, and look at nothing else.
SCALAR = frozenset({
    "%", "*", "+", "-", "/", "||", "~~", "~~*", "!~~", "!~~*", "~~~", "abs", "array_to_string", "chr", "concat", "concat_ws", "contains", "date_diff",
    "date_trunc", "day", "epoch_us", "floor", "ceil", "from_json", "greatest", "isfinite", "json_extract_string", "json_type", "least", "left", "len",
    "length", "list_max", "list_min", "list_position", "list_contains", "list_sort", "list_value", "lower", "lpad", "make_timestamp", "make_timestamp_ms",
    "make_timestamptz", "map", "md5", "month", "nullif", "regexp_extract", "regexp_extract_all", "regexp_full_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "replace", "right", "round", "row", "rtrim", "ltrim", "sha256", "split_part", "starts_with", "strftime", "string_split",
    "string_split_regex", "struct_pack", "timezone", "to_days", "to_hours", "to_microseconds", "to_minutes", "to_months", "to_seconds", "to_timestamp",
    "trim", "trunc", "try_strptime", "upper", "year",
})
#: Functions of the workbench itself (``loaders.kit.functions.register``).
OWN = frozenset({"nibrs_by_words", "planar_degrees", "wall_to_utc", "cap_alert", "geometry_facts"})
#: Functions that take another one, written as a lambda over what they are given.
OVER_LISTS = frozenset({"list_filter", "list_transform"})
TYPES = frozenset({
    "varchar", "double", "bigint", "integer", "hugeint", "boolean", "date", "time", "timestamp", "timestamptz", "interval", "json", "list", "array",
    "decimal", "timestamp with time zone", "text", "int", "tinyint", "smallint", "ubigint",
})
_KINDS = frozenset({"CONSTANT", "CASE", "OPERATOR", "COMPARISON", "CONJUNCTION", "BETWEEN", "WINDOW"})
_TYPES_OF_NODE = frozenset({
    "VALUE_CONSTANT", "CASE_EXPR", "OPERATOR_COALESCE", "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_TRY", "COMPARE_IN",
    "COMPARE_NOT_IN", "ARRAY_EXTRACT", "ARRAY_SLICE", "STRUCT_EXTRACT", "COMPARE_GREATERTHANOREQUALTO", "COMPARE_EQUAL", "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_BETWEEN", "COMPARE_NOT_BETWEEN", "COMPARE_LESSTHAN", "COMPARE_GREATERTHAN", "COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM",
    "COMPARE_NOT_DISTINCT_FROM", "CONJUNCTION_AND", "CONJUNCTION_OR", "WINDOW_ROW_NUMBER",
})
#: The record's place in its file, which the lake gives beside its columns.
PLACE_IN_FILE = "#record"
_HOLE = re.compile(r"\{said:[a-z0-9_]*\}")


def check(sql: str, columns: Collection[str]) -> None:
    """Refuse an expression that does more than compute on one record.

    Args:
        sql: one expression, as a mapping has it (``{said:name}`` and the other marks of the lake may stand in it).
        columns: the raw columns that it may name.

    Raises:
        BadInput: something in it is not listed; the message names it and says what is allowed.

    Cost: about a millisecond.
    """
    _walk(_parsed(_HOLE.sub("cast(null as varchar)", sql)), frozenset({*columns, PLACE_IN_FILE}), frozenset())


class _Parser:
    """One connection of this process that only parses; one thread at a time uses it, and a forked process makes its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None

    def tree(self, sql: str) -> str:
        """The tree of ``select SQL``, as JSON."""
        with self._lock:
            if self._con is None:
                shut: dict[str, str | bool | int | float | list[str]] = {
                    "enable_external_access": False, "autoload_known_extensions": False, "autoinstall_known_extensions": False, "threads": 1}
                self._con = duckdb.connect(config=shut)
            rows = self._con.execute("select json_serialize_sql(?::varchar)", [f"select {sql}"]).fetchall()
        return str(rows[0][0])


_parser = _Parser()


#: Parsers of the process this one was forked from: never closed here, since their threads are not here.
_parents: list[_Parser] = []


def _anew() -> None:
    global _parser
    _parents.append(_parser)
    _parser = _Parser()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)


def _parsed(sql: str) -> dict[str, Any]:
    tree = json.loads(_parser.tree(sql))
    if tree.get("error"):
        raise BadInput(f"{short(sql)} is not one expression ({tree.get('error_message')}).")
    statements = tree["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    bare = (
        node.get("type") == "SELECT_NODE" and len(node["select_list"]) == 1 and node["from_table"]["type"] == "EMPTY" and not node["modifiers"]
        and not node["cte_map"]["map"] and not any(node.get(k) for k in ("where_clause", "group_expressions", "group_sets", "having", "sample", "qualify"))
    )
    if not bare:
        raise BadInput(f"{short(sql)} is more than one expression; a mapping has one for each column, over the columns of the record.")
    return dict(node["select_list"][0])


def _walk(node: Any, columns: frozenset[str], bound: frozenset[str]) -> None:
    """Look at a node and at all below it; ``bound`` are the names that a lambda gives."""
    if isinstance(node, list):
        for inner in node:
            _walk(inner, columns, bound)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("class")
    if kind is None:
        _walk(list(node.values()), columns, bound)
    elif kind == "COLUMN_REF":
        names = node["column_names"]
        if names[0] not in bound and (len(names) != 1 or names[0] not in columns):
            raise BadInput(f"{short('.'.join(map(str, names)))!r} is not a column of the record; allowed are the columns that the mapping names.")
    elif kind == "FUNCTION":
        _function(node, columns, bound)
    elif kind == "CAST":
        _type(node["type_expr"])
        _walk(node["child"], columns, bound)
    elif kind in _KINDS and node.get("type") in _TYPES_OF_NODE:
        _walk([v for k, v in node.items() if k not in ("class", "type", "literal")], columns, bound)
    else:
        what = str(node.get("type") or kind).lower().replace("_", " ")
        raise BadInput(f"{what} may not stand in a mapping; allowed are columns, texts, numbers, comparisons, case, casts and "
                       "the functions of docs/mapping.md.")


def _function(node: dict[str, Any], columns: frozenset[str], bound: frozenset[str]) -> None:
    name = str(node["function_name"]).lower()
    over = name in OVER_LISTS
    if not (over or name in SCALAR or name in OWN) or node.get("schema") or node.get("catalog"):
        raise BadInput(f"the function {short(name)!r} may not stand in a mapping; allowed are the functions of docs/mapping.md and what they are made of, "
                       "none of which reads a file, a setting or the environment.")
    if node.get("filter") or node.get("distinct") or (node.get("order_bys") or {}).get("orders"):
        raise BadInput(f"{name} is written here as it is over many rows; a mapping looks at one record.")
    for argument in node["arguments"]:
        given = argument.get("expression", argument)
        if over and given.get("class") == "LAMBDA":
            _walk(given["expr"], columns, bound | _given(given["lhs"]))
        else:
            _walk(given, columns, bound)


def _given(node: dict[str, Any]) -> frozenset[str]:
    """The names that stand before a lambda's body."""
    if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        return frozenset(node["column_names"])
    if node.get("class") == "FUNCTION" and node.get("function_name") == "row":
        return frozenset().union(*(_given(a.get("expression", a)) for a in node["arguments"]))
    raise BadInput("a lambda in a mapping gives plain names to what it is over.")


def _type(node: dict[str, Any]) -> None:
    name = str(node.get("type_name", "")).lower()
    if node.get("class") != "TYPE" or name not in TYPES or node.get("schema") or node.get("catalog"):
        raise BadInput(f"the type {short(name)!r} may not stand in a mapping; allowed are {', '.join(sorted(TYPES))}.")
    for inner in node.get("children", ()):
        if inner.get("class") == "TYPE":
            _type(inner)
        elif inner.get("class") != "CONSTANT":
            raise BadInput(f"the type {short(name)!r} may only be given plain numbers.")

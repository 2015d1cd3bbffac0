"""A source's mapping as SQL: which records become rows of which table, and why the others do not.

The SQL has layers, so that each expression is computed once: raw records, steps that several columns share, canonical columns,
and the choice of rows that are sound.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake.filling import Filling
from workbench.lake.records import NUMBER
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import BLANKS, Reading, Stepped, _step

#: How ``expressions.text`` leaves out texts that mean nothing.
_BLANK = re.compile(r"""\(case when ("[^"]+") in \(((?:'[^']*'(?:, )?)+)\) then null else \1 end\)""")
_LITERAL = re.compile("'[^']*'")
_NO_PART = "not of a kind that this source knows"


@dataclass(frozen=True)
class Provenance:
    """What every row of a batch carries beside its line."""

    source: str
    batch_id: str
    recorded_at: str


def sound_rows(source: Source, part: Part, raw: str, fill: Filling, provenance: Provenance | None, bare: Collection[str] = (),
               full: Collection[str] = ()) -> str:
    """SQL of the part's rows that can be used: canonical columns, then provenance (only ``line`` for None).

    ``bare``: raw columns of which no value begins or ends with a blank; ``full``: of these, those in which none is one of ``BLANKS``.
    """
    columns = [f"{name('@' + c)} as {name(c)}" for c in schema.table(part.table).columns]
    if provenance:
        columns += [f"{_constant(provenance.source)} as source", f"{_constant(provenance.batch_id)} as batch_id"]
    columns.append(f"{name(NUMBER)} as line")
    if provenance:
        columns.append(f"timestamptz {literal(provenance.recorded_at)} as recorded_at")
    sql = f"select {', '.join(columns)} from ({_mapped(source, part, raw)}) where {' and '.join(_sound(part))}"
    return fill(_unblanked(_untrimmed(sql, bare), full))


def unchanged(source: Source, part: Part, fill: Filling, bare: Collection[str], full: Collection[str]) -> dict[str, str]:
    """Canonical text columns that are raw columns as they stand, and which, where ``bare`` and ``full`` are as in ``sound_rows``."""
    raw = {written: c for c in (*source.columns, *source.optional) for written in (name(c), *([c] if c.isidentifier() else []))}
    about = schema.table(part.table).columns
    found = {column: fill(_unblanked(_untrimmed(str(sql), bare), full)) for column, sql in part.columns.items() if about[column].type == "VARCHAR"}
    return {column: raw[sql] for column, sql in found.items() if sql in raw}


def empty(part: Part) -> list[str]:
    """The canonical columns that a part leaves empty in every row."""
    return [column for column in schema.table(part.table).columns if part.columns.get(column, "null") == "null"]


def unsound_rows(source: Source, part: Part, raw: str, fill: Filling) -> str:
    """SQL of the part's records that cannot be used: record, reason."""
    cases = " ".join(f"when {condition} then {literal(reason)}" for condition, reason in _reasons(part))
    return fill(f"select record, reason from (select {name(NUMBER)} as record, case {cases} end as reason from ({_mapped(source, part, raw)})) "
                  "where reason is not null")


def strange_rows(source: Source, raw: str, fill: Filling) -> str:
    """SQL of the records that no part takes: record, reason; "" when a part takes all."""
    if any(part.where == "true" for part in source.parts):
        return ""
    taken = " or ".join(f"coalesce({part.where}, false)" for part in source.parts)
    return fill(f"select {name(NUMBER)} as record, {literal(_NO_PART)} as reason from ({raw}) where not ({taken})")


def refused_rows(source: Source, raw: str, fill: Filling) -> list[str]:
    """All SQL that gives records that cannot be used: record, reason."""
    strange = strange_rows(source, raw, fill)
    return [*(unsound_rows(source, part, raw, fill) for part in source.parts), *([strange] if strange else [])]


def looks_around(source: Source) -> bool:
    """Whether an expression looks at more than one record, as window functions do."""
    return any(re.search(r"\bover\s*\(", sql) for part in source.parts for sql in (*part.columns.values(), part.where, *(c for c, _ in part.reject)))


def tells_apart(source: Source) -> bool:
    """Whether an expression looks at the number of a record, so that two records with the same values may differ."""
    return looks_around(source) or any(NUMBER in sql for part in source.parts for sql in (*part.columns.values(), part.where, *(c for c, _ in part.reject)))


def _mapped(source: Source, part: Part, raw: str) -> str:
    """The records this part takes, with the raw columns, the steps, and each canonical column as ``@column``."""
    before = source.parts[: source.parts.index(part)]
    takes = [f"coalesce({part.where}, false)"] if part.where != "true" else []
    takes += [f"not coalesce({other.where}, false)" for other in before]
    where = f" where {' and '.join(takes)}" if takes else ""
    rows = f"select * from ({raw}){where}"
    refs: dict[str, str] = {}
    for level in _levels(part):
        rows = f"select *, {', '.join(f'{_stepped(sql, refs)} as {name(step)}' for step, sql in level.items())} from ({rows})"
        refs.update((sql, name(step)) for step, sql in level.items())
    finals = ["*"]
    for column, about in schema.table(part.table).columns.items():
        given = part.columns.get(column, "null")
        sql = given.quick if isinstance(given, Stepped) else given
        finals.append(f"cast({_stepped(sql, refs)} as {about.type}) as {name('@' + column)}")
    return f"select {', '.join(finals)} from ({rows})"


def _levels(part: Part) -> list[dict[str, str]]:
    """The steps that the part's columns share, those that are made of others behind those."""
    steps: dict[str, str] = {}
    for expression in part.columns.values():
        if isinstance(expression, Stepped):
            steps.update(expression.steps)
    depths: dict[str, int] = {}
    for step, sql in sorted(steps.items(), key=lambda item: len(item[1])):
        depths[step] = 1 + max((depths[inner] for inner in depths if steps[inner] in sql), default=-1)
    return [{step: steps[step] for step, depth in depths.items() if depth == level} for level in range(max(depths.values(), default=-1) + 1)]


def _stepped(sql: str, refs: Mapping[str, str]) -> str:
    """SQL with the steps in the place of what they hold."""
    for held in sorted((held for held in refs if held in sql), key=len, reverse=True):
        sql = _put(sql, held, refs[held])
    return sql


def _untrimmed(sql: str, bare: Collection[str]) -> str:
    """SQL that does not trim where there is nothing to trim."""
    for column in bare:
        for written in (column, name(column)) if column.isidentifier() else (name(column),):
            sql = _put(sql, f"trim({written})", name(column))
    return sql


def _unblanked(sql: str, full: Collection[str]) -> str:
    """SQL that does not look for texts that mean nothing where there are none."""
    held = {name(c) for c in full} | {name(_step(f"trim({written})")) for c in full for written in (c, name(c))}

    def kept(case: re.Match[str]) -> str:
        return case[1] if case[1] in held and set(_LITERAL.findall(case[2])) <= {literal(b) for b in BLANKS} else case[0]

    return _BLANK.sub(kept, sql) if held else sql


def _constant(value: str) -> str:
    """A text that is the same in every row, as a type that is written as one text and some bits."""
    return f"cast({literal(value)} as enum({literal(value)}))"


def _put(sql: str, held: str, to: str) -> str:
    """SQL with ``to`` for a whole expression ``held``; as it is where ``held`` names what in this SQL is the argument of a lambda."""
    if held not in sql or any(re.search(rf'(?<![\w"]){re.escape(v)}(?![\w"])', held) for v in re.findall(r"lambda (\w+)", sql)):
        return sql
    return re.sub(r'(?<![\w"])' + re.escape(held), lambda _: to, sql)


def _sound(part: Part) -> list[str]:
    """Conditions that a row that can be used meets, all of them; each looks at its cheap half first."""
    conditions = []
    for column, expression in part.columns.items():
        if isinstance(expression, Reading):
            conditions.append(f"({expression.probe or name('@' + column)} is not null or {expression.given} is null)")
    conditions += [f"{name('@' + column)} is not null" for column, about in schema.table(part.table).columns.items() if about.required]
    conditions += [f"not coalesce({condition}, false)" for condition, _ in part.reject]
    return conditions or ["true"]


def _reasons(part: Part) -> list[tuple[str, str]]:
    """(condition, reason) in the order in which they are looked at."""
    reasons = []
    for column, expression in part.columns.items():
        if isinstance(expression, Reading):
            reasons.append((f"({expression.probe or name('@' + column)} is null and {expression.given} is not null)", f"{column} not readable"))
    for column, about in schema.table(part.table).columns.items():
        if about.required:
            reasons.append((f"{name('@' + column)} is null", f"no {column}"))
    return [*reasons, *part.reject]

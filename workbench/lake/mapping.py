"""A source's mapping as SQL: which records become rows of which table, and why the others do not.

The SQL has layers, so that each expression is computed once: raw records, steps that several columns share, canonical columns,
and the choice of rows that are sound.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench import schema
from workbench.engines.duckdb import literal, name
from workbench.lake.filling import Filling
from workbench.lake.records import NUMBER
from workbench.loaders import Part, Source
from workbench.loaders.expressions import Reading, Stepped

_NO_PART = "not of a kind that this source knows"


@dataclass(frozen=True)
class Provenance:
    """What every row of a batch carries beside its line."""

    source: str
    batch_id: str
    recorded_at: str


def sound_rows(source: Source, part: Part, raw: str, fill: Filling, provenance: Provenance) -> str:
    """SQL of the part's rows that can be used: canonical columns, then provenance."""
    columns = [f"{name('@' + c)} as {name(c)}" for c in schema.table(part.table).columns]
    columns += [f"{literal(provenance.source)} as source", f"{literal(provenance.batch_id)} as batch_id", f"{name(NUMBER)} as line"]
    columns.append(f"timestamptz {literal(provenance.recorded_at)} as recorded_at")
    unsound = " or ".join(f"coalesce({condition}, false)" for condition, _ in _reasons(part))
    return fill(f"select {', '.join(columns)} from ({_mapped(source, part, raw)}) where not ({unsound})")


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


def _mapped(source: Source, part: Part, raw: str) -> str:
    """The records this part takes, with the raw columns, the steps, and each canonical column as ``@column``."""
    before = source.parts[: source.parts.index(part)]
    takes = [f"coalesce({part.where}, false)"] if part.where != "true" else []
    takes += [f"not coalesce({other.where}, false)" for other in before]
    steps: dict[str, str] = {}
    for expression in part.columns.values():
        if isinstance(expression, Stepped):
            steps.update(expression.steps)
    stepped = ", ".join(["*", *(f"{sql} as {name(step)}" for step, sql in steps.items())])
    finals = ["*"]
    for column, about in schema.table(part.table).columns.items():
        given = part.columns.get(column, "null")
        finals.append(f"cast({given.quick if isinstance(given, Stepped) else given} as {about.type}) as {name('@' + column)}")
    where = f" where {' and '.join(takes)}" if takes else ""
    return f"select {', '.join(finals)} from (select {stepped} from ({raw}){where})"


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

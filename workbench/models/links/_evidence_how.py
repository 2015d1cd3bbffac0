"""How the records of one thing were merged, and what taking a step back would change."""

from __future__ import annotations

from typing import Any

import polars as pl

from workbench.errors import BadInput
from workbench.models.links._evidence_against import differing
from workbench.models.links._evidence_made import Evidence
from workbench.models.wording import several
from workbench.results import Basis, Ranking, origin_of

_STEPS = pl.Schema(
    {
        "left": pl.String(),
        "right": pl.String(),
        "left_label": pl.String(),
        "right_label": pl.String(),
        "probability": pl.Float64(),
        "by": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "reason": pl.String(),
        "differs": pl.String(),
        "splits": pl.Int64(),
        "statements": pl.Int64(),
    }
)


def merged(evidence: Evidence, entity: str) -> Ranking:
    codes = evidence.find(entity)
    if len(codes) > 1:
        raise BadInput(f"{len(codes)} things are called {entity!r}: {', '.join(evidence.network.named(codes)[:8])}. Give one of these ids.")
    thing, label, members = *evidence.nodes.select("id", "label").row(codes[0]), evidence.members(codes[0])
    steps = _steps(evidence, thing, members["record"].to_list())
    rows: list[dict[str, Any]] = []
    touching = _touching(evidence, codes[0])
    for i, step in enumerate(steps.iter_rows(named=True)):
        apart = _apart(members["record"].to_list(), [s for j, s in enumerate(steps.select("left", "right").rows()) if j != i], step["left"], step["right"])
        called = evidence.called(pl.Series([step["left"], step["right"]]))
        rows.append(
            {
                **step,
                "left_label": called[0],
                "right_label": called[1],
                "splits": len(apart),
                "statements": sum(touching.get(r, 0) for r in apart),
                "differs": "; ".join(differing(evidence, [step["left"], step["right"]])["text"].to_list()),
            }
        )
    table = pl.DataFrame(rows, schema_overrides=_STEPS, schema=list(_STEPS)) if rows else pl.DataFrame(schema=_STEPS)
    table = table.cast(_STEPS).sort("probability", "left", "right", nulls_last=True)
    basis = Basis.of(
        evidence,
        method="merge steps of records, each taken back in turn",
        used=len(table),
        parameters={"entity": entity, "thing": thing},
        source="stored steps of entity resolution; a person's judgement outranks a score",
    )
    headline = _said(thing, str(label), len(members), table, len(evidence.steps))
    return Ranking(headline=headline, table=table, layers=(), basis=basis, base=origin_of(evidence).base)


def _steps(evidence: Evidence, thing: str, members: list[str]) -> pl.DataFrame:
    """The steps of one thing, records as "kind:key"."""
    if evidence.steps.is_empty():
        return pl.DataFrame(schema={c: t for c, t in _STEPS.items() if c in ("left", "right", "probability", "by", "at", "reason")})
    kind, _, key = thing.partition(":")
    given = evidence.steps
    if "kind" in given.columns:
        given = given.filter(pl.col("kind") == kind)
    full = [
        pl.when(pl.col(c).cast(pl.String).str.starts_with(f"{kind}:"))
        .then(pl.col(c).cast(pl.String))
        .otherwise(pl.lit(f"{kind}:") + pl.col(c).cast(pl.String))
        .alias(c)
        for c in ("left", "right")
    ]
    mine = given.with_columns(full).filter(
        (pl.col("entity_id").cast(pl.String).is_in([key, thing])) | (pl.col("left").is_in(members) & pl.col("right").is_in(members))
    )
    blank = {c: pl.lit(None, dtype=_STEPS[c]).alias(c) for c in ("probability", "by", "at", "reason") if c not in mine.columns}
    return mine.with_columns(*blank.values()).select("left", "right", "probability", "by", "at", "reason").unique(maintain_order=True).sort("left", "right")


def _touching(evidence: Evidence, code: int) -> dict[str, int]:
    """How many statements name each record of a thing."""
    net = evidence.network
    rows = evidence.frame[net.statements(net.edge[net.first[code] : net.first[code + 1]])]
    thing = evidence.nodes["id"][code]
    mine = rows.select(record=pl.when(pl.col("source") == thing).then("source_record").otherwise("target_record"))
    return dict(mine.group_by("record").len().iter_rows())


def _apart(members: list[str], kept: list[tuple[str, str]], left: str, right: str) -> list[str]:
    """The records that part from the others without a step between left and right: the smaller side; [] where other steps still hold both together."""
    near: dict[str, set[str]] = {}
    for a, b in kept:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)

    def side(start: str) -> set[str]:
        seen, todo = {start}, [start]
        while todo:
            for other in near.get(todo.pop(), set()) - seen:
                seen.add(other)
                todo.append(other)
        return seen

    one, two = side(left), side(right)
    if right in one:
        return []
    halves = two & {*members, right}, one & {*members, left}
    return sorted(halves[0] if len(halves[0]) <= len(halves[1]) else halves[1])


def _said(thing: str, label: str, members: int, table: pl.DataFrame, steps: int) -> str:
    name = f"{label} ({thing})"
    if members < 2 and table.is_empty():
        return f"{name} rests on one record; nothing was merged."
    if table.is_empty():
        if members and not steps:
            return f"Cannot tell how the {members} records of {name} were merged: no merge steps were given; pass steps= of the resolution to build()."
        return f"Cannot tell by comparisons how the {members} records of {name} were merged: no step names them (a shared plate, number or address joins them)."
    people = table.filter(pl.col("by").is_not_null() & (pl.col("by") != "model")).height
    weak = table.row(0, named=True)
    least = (
        f"; the weakest: {weak['left']} = {weak['right']}"
        + ("" if weak["probability"] is None else " at over 0.99" if weak["probability"] > 0.995 else f" at {weak['probability']:.2f}")
        + (f", where {weak['differs']}" if weak["differs"] else "")
    )
    effect = (
        f"; without it {several(weak['splits'], 'record')} with {several(weak['statements'], 'statement')} would part"
        if weak["splits"]
        else "; without it the others still hold them together"
    )
    steps_said = f"{several(len(table), 'step')}, {people or 'none'} of them a person's judgement"
    return f"{name} was merged from {several(members, 'record')} by {steps_said}{least}{effect}."

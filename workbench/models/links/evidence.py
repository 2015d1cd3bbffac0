"""What ties these two, by which rows, how much of it would chance give, and what speaks against it?

``build`` turns all tables into statements about people, vehicles, phones, addresses, incidents and calls, one row a statement, each naming the row of the
table that says it. ``why`` answers for two things: rows between them, paths with a source for every step, what chance would give, and what speaks against.
``how`` tells by which comparisons or whose judgement the records of one thing were merged.

Expected numbers of paths: ties reshuffled so that every thing keeps how many ties it has to things of each kind (the configuration model; M. E. J. Newman,
S. H. Strogatz, D. J. Watts, Physical Review E 64, 2001, 026118). Paths are ranked by the strength of their statements and by how few other ways lead on
from each thing between (path-constrained random walks; N. Lao, W. W. Cohen, Machine Learning 81, 2010, 53-67).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, finite
from workbench.models.codes import numbered
from workbench.models.links import _evidence_rows as tables
from workbench.models.links import _evidence_why as reasons
from workbench.models.links._evidence_how import merged
from workbench.models.links._evidence_made import Evidence
from workbench.models.links._evidence_near import Reach, near
from workbench.models.links._facts import Facts, things
from workbench.models.window import Moment, moment
from workbench.models.wording import several
from workbench.results import Links, Ranking, recorded

__all__ = ["Evidence", "Facts", "build", "how", "why"]


def build(
    facts: Facts,
    *,
    identities: pl.DataFrame | None = None,
    steps: pl.DataFrame | None = None,
    convoys: pl.DataFrame | None = None,
    judgements: pl.DataFrame | None = None,
    scenes: Sequence[str] | None = None,
    metres: float = 400.0,
    minutes: float = 30.0,
    asof: Moment | None = None,
) -> Evidence:
    """The evidence graph over all tables.

    Args:
        facts: the tables.
        identities: which records are one thing: kind, record_id, entity_id (as ``links.identities`` gives); their statements come under the entity.
        steps: how they were merged: kind, entity_id, left, right, probability, reason, by, at; for ``how``.
        convoys: pairs of plates that travelled together: plate, other, together, expected, p, and where there is one ``evidence`` (read ids); the reads are
            the statements.
        judgements: what people decided about two records: left, right, verdict ("same", "different", "unsure", "ruled out"), by, at, reason.
        scenes: incidents that reads are compared with; None = all with a place and a time known to within 12 hours.
        metres, minutes: a plate was near an incident when read within both. Only plates on record, stopped in an interview or in a convoy make such links.
        asof: only what had happened strictly before.

    Raises:
        BadInput: a column is missing, or an option is out of range.

    Cost: O(rows); the statements are made and put into arrays by polars and compiled loops, with no Python step a row.
    """
    finite(metres=metres, minutes=minutes)
    if not (0 < metres <= 100_000 and 0 < minutes <= 10_080):
        raise BadInput(f"metres={metres!r} and minutes={minutes!r} must be over 0 and at most 100,000 and 10,080, e.g. 400 and 30.")
    given = {
        "facts": facts,
        "identities": identities,
        "steps": steps,
        "convoys": convoys,
        "judgements": judgements,
        "scenes": None if scenes is None else list(scenes),
        "metres": metres,
        "minutes": minutes,
        "asof": None if asof is None else moment(asof),
    }
    _checked(identities, steps, judgements)
    held = facts.once() if asof is None else facts.before(moment(asof)).once()
    reach = Reach(metres, minutes)
    together, crowded = tables.offended(held)
    parts = [
        tables.involved(held),
        together,
        tables.tied(held),
        tables.reports(held),
        tables.arrested(held),
        tables.interviewed(held),
        tables.placed(held),
        tables.telephoned(held),
    ]
    notes = (
        [f"{several(crowded, 'incident')} with over {tables.CROWD} suspects or arrestees: pairs of them are not made, the incident ties them."]
        if crowded
        else []
    )
    if convoys is not None:
        travelled, bare = tables.travelled(held, convoys)
        parts.append(travelled)
        notes += [f"{several(bare, 'pair')} of the convoys given have no read together in these tables and make no link."] if bare else []
    parts.append(
        near(held.reads, held.incidents if scenes is None else held.incidents.filter(pl.col("incident_id").is_in(list(scenes))), _watched(held, parts), reach)
    )
    statements, nodes, records = _merged(held, tables.stack(parts), identities)
    return Evidence(
        held, statements, nodes, records, reach=reach, notes=notes, steps=steps, judgements=judgements, made={k: v for k, v in given.items() if v is not None}
    )


def _checked(identities: pl.DataFrame | None, steps: pl.DataFrame | None, judgements: pl.DataFrame | None) -> None:
    if identities is not None:
        schema.require(identities, "kind", "record_id", "entity_id", what="The frame of identities")
        twice = identities.select("kind", "record_id", "entity_id").unique().filter(pl.len().over("kind", "record_id") > 1)
        if len(twice):
            raise BadInput(f"The {twice['kind'][0]} record {twice['record_id'][0]!r} belongs to {len(twice)} entities; a record can be of one only.")
    if steps is not None:
        schema.require(steps, "entity_id", "left", "right", what="The frame of merge steps")
    if judgements is not None:
        schema.require(judgements, "left", "right", "verdict", what="The frame of judgements")


def _watched(facts: Facts, parts: Sequence[pl.DataFrame]) -> pl.Series:
    """Plates that reads near incidents are kept of."""
    named = [
        part.select(c).to_series().filter(part[c].str.starts_with("vehicle:")).str.strip_prefix("vehicle:")
        for part in parts
        for c in ("source", "target")
        if part.height
    ]
    return pl.concat([facts.vehicles["plate"].drop_nulls().cast(pl.String).rename("plate"), *(n.rename("plate") for n in named)]).unique()


def _merged(facts: Facts, rows: pl.DataFrame, identities: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Statements about things instead of records, the things, and the records of each; all in an order of their own."""
    calls = facts.calls.select(
        record=pl.lit("call:") + pl.col("call_id"),
        id=pl.lit("call:") + pl.col("call_id"),
        kind=pl.lit("call"),
        label=pl.col("call_id"),
        detail=pl.col("call_type").fill_null("call"),
        lon=pl.col("lon"),
        lat=pl.col("lat"),
    ).unique("record", keep="first")
    known = pl.concat([things(facts), calls])
    if identities is not None:
        one = identities.select(record=pl.format("{}:{}", "kind", "record_id"), _entity=pl.format("{}:{}", "kind", "entity_id")).unique("record")
        known = known.join(one, on="record", how="left", maintain_order="left")
        whole = pl.col("_entity").is_not_null().all().over("id") & (pl.col("_entity").n_unique().over("id") == 1)
        by_id = (
            known.filter(whole & (pl.col("id") != pl.col("record"))).select(record="id", id="_entity").unique("record")
        )  # a plate all of whose records are one
        lone = one.join(known, on="record", how="anti")
        known = known.with_columns(id=pl.coalesce("_entity", "id")).drop("_entity")
        moves = [known.select("record", "id"), by_id.join(known, on="record", how="anti"), lone.rename({"_entity": "id"}).select("record", "id")]
        moved = pl.concat(moves).filter(pl.col("record") != pl.col("id")).unique("record", keep="first", maintain_order=True)
    else:
        moved = known.filter(pl.col("record") != pl.col("id")).select("record", "id")
    rows = rows.with_columns(source_record="source", target_record="target")
    for end, at in zip(("source", "target"), numbered(moved["record"], rows["source"], rows["target"]), strict=True):
        there = np.flatnonzero(at >= 0)
        if len(there):
            rows = rows.with_columns(rows[end].scatter(there, moved["id"].gather(at[there].astype(np.uint32))).alias(end))
    rows = rows.filter(pl.col("source") != pl.col("target")) if (rows["source"] == rows["target"]).any() else rows  # two records of one thing
    records = known.select("record", "id", "kind", "label", "detail").sort("record")
    first = known.sort("id", "record").unique("id", keep="first", maintain_order=True).drop("record").select("id", "kind", "label", "detail", "lon", "lat")
    strange = [
        rows[end].filter(pl.Series(at < 0)).alias("id")
        for end, at in zip(("source", "target"), numbered(first["id"], rows["source"], rows["target"]), strict=True)
    ]
    others = (
        pl.concat(strange)
        .unique()
        .to_frame()
        .select(
            "id",
            kind=pl.col("id").str.split_exact(":", 1).struct[0],
            label=pl.col("id").str.replace(r"^[a-z]+:", ""),
            detail=pl.lit(""),
            lon=pl.lit(None, dtype=pl.Float64),
            lat=pl.lit(None, dtype=pl.Float64),
        )
    )
    return rows, pl.concat([first, others]).sort("id"), records


@recorded
def why(evidence: Evidence, a: str, b: str, *, hops: int = 4, most: int = 10, hub: int | None = 100, asof: Moment | None = None) -> Links:
    """What ties two things: the rows between them, the paths with a source for every step, what chance would give, and what speaks against it.

    Args:
        evidence: as ``build`` made it.
        a, b: "kind:key", an incident or report number, a plate, a person's key or name, a telephone number or an address.
        hops: steps of a path at most, 1 to 6.
        most: paths shown, the strongest and rarest first.
        hub: things tied to more others than this are shown as hubs, and paths through them are not followed; None = follow them too.
        asof: only statements before this, or without a time.

    Returns: Links. ``table``: one row a step of a path (path 0 = directly): path, step, source, target, kind, rows, first_at, last_at, strength, score,
    length, observed, expected, by_chance, base_rate, text. ``evidence``: the statements, those for first, then what speaks against (polarity "against").
    Graph attributes: observed, expected (paths by number of steps), by_chance, against.

    ``by_chance`` is the chance that two things with as many ties have a path this short or shorter when ties are dealt out anew: at most the expected number
    of such paths (Markov's inequality), so it errs on the side of caution. Of a direct tie by reads ``expected`` and ``by_chance`` are what the headline
    says, too: the p of the convoy given, or the plate's own habit; null where too few days of reads can tell.

    Raises:
        NotFound: nothing is called so. BadInput: several things are, both names are one thing, or an option is out of range.

    Cost: the steps from both ends to the middle; under 50 ms among 5 M statements once the first question has made its tables.
    """
    return reasons.answer(evidence, a, b, reasons.Asked(hops, most, hub, None if asof is None else moment(asof)))


@recorded
def how(evidence: Evidence, entity: str) -> Ranking:
    """By which comparisons or whose judgement the records of one thing were merged, and what taking each step back would change.

    Args:
        evidence: as ``build`` made it, with ``identities`` and ``steps``.
        entity: the entity ("person:E12"), one of its records, or what it is called.

    Returns: Ranking, one row a step, the weakest first: left, right, left_label, right_label, probability, by, at, reason, differs (what the two records
    contradict each other in), splits (records that would part from the others without this step; 0 = others hold them together), statements (rows about
    those records).

    Raises:
        NotFound: nothing is called so. BadInput: several things are.
    """
    return merged(evidence, entity)

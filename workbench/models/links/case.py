"""Who and what is tied to this incident, plate, person, phone or address, and by which rows?

The graph is grown step by step from the centre over recorded ties (involvements, associations, incidents on one report; a phone or an
address shared by two people is a node between them) and over plates read near the incidents' places and times. No edge exists without
the rows that make it. Plates near scenes carry what chance would give (``_scenes``); things tied to very many others are shown, but not
followed. Method: snowball sampling with every link documented, J. Xu and H. Chen, "CrimeNet Explorer", ACM TOIS 23, 2005, 201-226.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from workbench import schema
from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.models.links import _told
from workbench.models.links._facts import Facts, resolve, things, ties
from workbench.models.links._grow import How, checked, grow
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import several
from workbench.results import Basis, Links, Ranking, origin_of, recorded

__all__ = ["Facts", "around", "new_links", "timeline"]

_SOURCE = "Xu and Chen 2005; chance of plates near scenes: own habits at the same hours (Poisson-binomial)"
_OPTIONS: dict[str, Any] = {"hops": 2, "reads_window": "14d", "metres": 800.0, "minutes": 30.0, "plates": 5, "hub": 25, "max_nodes": 150}
_NEWS = pl.Schema(
    {
        "case_number": pl.String(),
        "source_label": pl.String(),
        "target_label": pl.String(),
        "kind": pl.String(),
        "text": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "new": pl.String(),
        "rows_new": pl.Int64(),
        "weight": pl.Float64(),
        "base_rate": pl.String(),
        "source": pl.String(),
        "target": pl.String(),
    }
)


@recorded
def around(
    facts: Facts,
    centre: str | Sequence[str],
    *,
    hops: int = 2,
    reads_window: Span = "14d",
    asof: Moment | None = None,
    metres: float = 800.0,
    minutes: float = 30.0,
    plates: int = 5,
    hub: int = 25,
    max_nodes: int = 150,
) -> Links:
    """The entity graph around one thing, or around several (a case's subjects).

    Args:
        facts: the tables.
        centre: "kind:key", an incident or report number, a plate, a person's key or name, a telephone number or an address; or a list of these.
        hops: how many ties away from the centre.
        reads_window: reads this long before and after an incident tell a plate's habits there, against which being near is judged.
        asof: only what had happened strictly before.
        metres, minutes: a plate is near an incident when read within both of its place and time span.
        plates: how many plates near the centre's own incidents are taken in even if nothing sets them apart: those near two or more of them, or on
            record, the least expected first.
        hub: a thing tied to more than this many others is shown but not followed, unless it is the centre.
        max_nodes: nodes kept at most; the furthest, then the least tied, go first.

    Returns: Links. Node attributes: kind, label, detail, hop, centre, hub, ties (how many things it is tied to in the tables), lon, lat; vehicles near
    scenes also near, expected (by chance), p (of at least as many), as_often (plates near as many), by_chance (plates as surprising that chance would
    give). Scenes are the incidents fewest steps from the centre. Edge attributes: kind, label, weight, evidence, base_rate. ``table``: one row an
    edge; ``evidence``: one row an evidence row.

    Raises:
        NotFound: nothing is called so. BadInput: several records are, or an option is out of range.

    Cost: one pass over the tables and numpy over reads x scenes; 5,000 people and 150,000 reads in well under a second.
    """
    how = checked(hops, span(reads_window, "reads_window"), metres, minutes, plates, hub, max_nodes)
    at = None if asof is None else moment(asof)
    held = facts if at is None else facts.before(at)
    named = things(held)
    asked = [centre] if isinstance(centre, str) else list(centre)
    if not asked:
        raise BadInput("No centre was given; name an incident, plate, person, phone or address.")
    centres = list(dict.fromkeys(i for c in asked for i in resolve(c, held, named)))
    return _links(held, named, ties(held, named), centres, how, at)


def _links(facts: Facts, named: pl.DataFrame, tied: pl.DataFrame, centres: list[str], how: How, asof: datetime | None) -> Links:
    grown = grow(facts, tied, centres, how)
    evidence = _told.evidence(facts, grown, how)
    nodes = _told.nodes(named, tied, facts, grown, centres)
    table = _told.table(evidence, nodes, grown)
    frames = (facts.incidents, facts.involvements, facts.associations, facts.people, facts.vehicles, facts.phones, facts.addresses, facts.reads)
    basis = Basis.of(
        *frames,
        method="ties of record and plates read near scenes, followed step by step",
        source=_SOURCE,
        used=len(evidence),
        asof=asof,
        notes=_told.notes(grown, nodes, how),
        parameters={"centre": centres, **{k: v for k, v in how.__dict__.items()}},
    )
    return Links(
        headline=_told.headline(nodes, table, grown, centres, how, facts),
        table=table,
        layers=_told.layers(facts, nodes, evidence),
        basis=basis,
        base=origin_of(*frames).base,
        graph=_told.graph(nodes, table, evidence),
        evidence=evidence,
        centre=centres[0],
    )


def timeline(links: Links) -> pl.DataFrame:
    """What happened when, out of a graph's evidence: at, kind, label, id, source, target; one row an evidence row with a time, oldest first."""
    return (
        links.evidence.filter(pl.col("at").is_not_null())
        .select(
            "at",
            kind=pl.when(pl.col("table") == "reads")
            .then(pl.lit("read"))
            .when(pl.col("table") == "associations")
            .then(pl.lit("person"))
            .otherwise(pl.lit("incident")),
            label="text",
            id=pl.when(pl.col("table") == "reads").then(pl.format("read:{}", "key")).otherwise(pl.col("source")),
            source="source",
            target="target",
        )
        .unique()
        .sort("at", "kind", "label", "id", "source", "target")
    )


@recorded
def new_links(facts: Facts, cases: Mapping[str, Sequence[str]] | pl.DataFrame, since: Moment, *, asof: Moment | None = None, **options: Any) -> Ranking:
    """Ties around open cases whose evidence is newer than ``since``: the briefing's "new on open cases".

    Args:
        facts: the tables.
        cases: case number -> its subjects (anything ``around`` takes as centre), or a frame with columns case_number, kind, id.
        since: evidence that happened at or after this (and strictly before ``asof``) counts as new.
        options: as for ``around``.

    Returns: a Ranking, one row an edge: case_number, source_label, target_label, kind, text (its newest row), at, new ("new link" or "more evidence"),
    rows_new, weight, base_rate, source, target; strongest first. Subjects that are not in the tables are noted, not dropped silently.

    Raises:
        BadInput: no case, or options out of range. Cost: one ``around`` a case.
    """
    start, end = moment(since, "since"), None if asof is None else moment(asof)
    subjects = _subjects(cases)
    if not subjects:
        raise BadInput("No case was given; write e.g. cases={'2026-0142': ['person:P1']}.")
    held = facts if end is None else facts.before(end)
    wrong = next((name for name in options if name not in _OPTIONS), None)
    if wrong:
        raise BadInput(f"There is no option {wrong!r}.{did_you_mean(wrong, _OPTIONS)}")
    given = _OPTIONS | options
    how = checked(window=span(given.pop("reads_window"), "reads_window"), **given)
    named = things(held)
    tied = ties(held, named)
    pieces: list[pl.DataFrame] = [pl.DataFrame(schema=_NEWS)]
    notes: list[str] = []
    for case, wanted in subjects.items():
        centres: list[str] = []
        for subject in wanted:
            try:
                centres += resolve(subject, held, named)
            except (NotFound, BadInput) as unclear:
                notes.append(f"Case {case}: {unclear}")
        if centres:
            pieces.append(_news(_links(held, named, tied, list(dict.fromkeys(centres)), how, end), case, start))
    table = pl.concat(pieces).sort(["weight", "at", "case_number", "source", "target"], descending=[True, True, False, False, False])
    stretch = f"since {start:%Y-%m-%d %H:%M} UTC"
    if table.is_empty():
        headline = f"No new link on {several(len(subjects), 'open case')} {stretch}."
    else:
        best, told = table.row(0, named=True), table["case_number"].n_unique()
        headline = (
            f"{several(len(table), 'link')} on {told} of {several(len(subjects), 'open case')} with evidence {stretch}; "
            f"strongest ({best['case_number']}): {best['text']}."
        )
    frames = (held.incidents, held.involvements, held.associations, held.reads)
    basis = Basis.of(
        *frames,
        method="ties around each case's subjects, kept where an evidence row is new",
        source=_SOURCE,
        used=len(table),
        asof=end,
        notes=tuple(notes),
        parameters={"since": start, "cases": list(subjects), **how.__dict__},
    )
    return Ranking(headline=headline, table=table, layers=(), basis=basis, base=origin_of(*frames).base)


def _subjects(cases: Mapping[str, Sequence[str]] | pl.DataFrame) -> dict[str, list[str]]:
    if not isinstance(cases, pl.DataFrame):
        return {str(k): list(v) for k, v in cases.items()}
    schema.require(cases, "case_number", "kind", "id", what="The frame of case subjects")
    out: dict[str, list[str]] = {}
    for case, kind, key in cases.select("case_number", "kind", "id").iter_rows():
        out.setdefault(case, []).append(key if str(key).startswith(f"{kind}:") else f"{kind}:{key}")
    return out


def _news(links: Links, case: str, since: datetime) -> pl.DataFrame:
    low, high = pl.min_horizontal("source", "target").alias("_a"), pl.max_horizontal("source", "target").alias("_b")
    fresh = (
        links.evidence.filter(pl.col("at") >= since)
        .with_columns(low, high)
        .sort("at", "table", "key")
        .group_by("_a", "_b")
        .agg(rows_new=pl.len().cast(pl.Int64), at=pl.col("at").last(), news=pl.col("text").last())
    )
    edges = links.table.with_columns(low, high).join(fresh, on=["_a", "_b"], how="inner")
    first = pl.when(pl.col("rows_new") == pl.col("rows")).then(pl.lit("new link")).otherwise(pl.lit("more evidence"))
    return edges.drop("text").rename({"news": "text"}).with_columns(case_number=pl.lit(case), new=first).select(list(_NEWS))

"""What a grown graph says: its evidence, nodes and edges, the sentence, and what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.layers import Layer, Lines, Points
from workbench.models.links._facts import TIES, Facts
from workbench.models.links._grow import Grown, How
from workbench.models.wording import several

_STANDS_OUT = 0.05  # a plate is named when fewer than this many as surprising are expected among all plates compared


def evidence(facts: Facts, grown: Grown, how: How) -> pl.DataFrame:
    vehicles = [i[8:] for i in grown.hop if i.startswith("vehicle:")]
    close = grown.near.reads.filter(pl.col("plate").is_in(vehicles)).join(
        facts.incidents.select("incident_id", what=pl.coalesce("report_number", "incident_id")).unique("incident_id", keep="first"),
        on="incident_id",
        how="left",
    )
    minutes = (pl.col("seconds").abs() / 60).round(0).cast(pl.Int64)
    when = (
        pl.when(pl.col("seconds") < 0)
        .then(pl.format("{} min before it", minutes))
        .when(pl.col("seconds") > 0)
        .then(pl.format("{} min after it", minutes))
        .otherwise(pl.lit("within its time"))
    )
    reads = close.select(
        source=pl.format("vehicle:{}", "plate"),
        target=pl.format("incident:{}", "incident_id"),
        kind=pl.lit("read near"),
        table=pl.lit("reads"),
        key=pl.col("read_id"),
        at=pl.col("read_at"),
        text=pl.format("{} read by {} {} m from {}, {}", "plate", "reader", pl.col("metres").round(0).cast(pl.Int64), "what", when),
    )
    return pl.concat([grown.ties, reads.cast(TIES)]).unique().sort("source", "target", "table", "at", "key")


def nodes(named: pl.DataFrame, tied: pl.DataFrame, facts: Facts, grown: Grown, centres: list[str]) -> pl.DataFrame:
    both = pl.concat([tied.select("source", "target"), tied.select(source="target", target="source")]).unique()
    base = pl.DataFrame({"id": list(grown.hop), "hop": list(grown.hop.values())}, schema={"id": pl.String(), "hop": pl.Int64()}).with_row_index("_order")
    known = named.sort("record").unique("id", keep="first", maintain_order=True).drop("record")
    degree = both.join(base.select(source="id"), on="source", how="semi").group_by("source").len("ties")
    odds = grown.near.odds.with_columns(id=pl.format("vehicle:{}", "plate")).drop("plate")
    kind, key = pl.col("id").str.split_exact(":", 1).struct[0], pl.col("id").str.replace(r"^[a-z]+:", "")
    return (
        base.join(known, on="id", how="left")
        .join(degree.rename({"source": "id"}), on="id", how="left")
        .join(odds, on="id", how="left")
        .sort("_order")
        .select(
            "id",
            "hop",
            kind=pl.coalesce("kind", kind),
            label=pl.coalesce("label", key),
            detail=pl.col("detail").fill_null(""),
            ties=pl.col("ties").fill_null(0).cast(pl.Int64),
            centre=pl.col("id").is_in(centres),
            hub=pl.col("id").is_in(list(grown.hubs)),
            lon="lon",
            lat="lat",
            near="near",
            expected="expected",
            p="p",
            as_often="as_often",
            by_chance="by_chance",
        )
    )


def _with_ends(edges: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """Edges with what is known of both ends; what chance would give is that of the vehicle, at whichever end it stands."""
    who = nodes.select("id", "label", "hop", "near", "expected", "p", "as_often", "ties", "kind")
    odds = ("near", "expected", "p", "as_often")
    return (
        edges.join(
            who.select("label", "hop", "ties", "kind", *odds, source="id").rename({"label": "source_label", "hop": "_h1", "ties": "_t1", "kind": "_k1"}),
            on="source",
            how="left",
        )
        .join(
            who.select(*odds, target="id", target_label="label", _h2="hop", _t2="ties", _k2="kind"),
            on="target",
            how="left",
            suffix="_b",
        )
        .with_columns(pl.coalesce(c, f"{c}_b").alias(c) for c in odds)  # the vehicle may stand at either end
    )


def table(evidence: pl.DataFrame, nodes: pl.DataFrame, grown: Grown) -> pl.DataFrame:
    """One row an edge; a pair tied in several ways is one edge with all its kinds in the label."""
    low, high = pl.min_horizontal("source", "target"), pl.max_horizontal("source", "target")
    strength = pl.col("table").replace_strict({"involvements": 3.0, "associations": 2.0, "incidents": 1.5}, default=1.0)
    edges = (
        evidence.with_columns(_a=low, _b=high, _w=strength)
        .group_by("_a", "_b")
        .agg(
            pl.col("source").first(),
            pl.col("target").first(),
            pl.col("kind").sort_by(-pl.col("_w"), "kind").first(),
            label=pl.col("kind").unique().sort().str.join(", "),
            rows=pl.len().cast(pl.Int64),
            first_at=pl.col("at").min(),
            last_at=pl.col("at").max(),
            weight=pl.col("_w").max(),
            text=pl.col("text").sort_by(-pl.col("_w"), "at").first(),
        )
    )
    joined = _with_ends(edges, nodes)
    chance = pl.format(
        "near {} of {} scenes, {} expected by chance; {} of {} plates as often",
        "near",
        pl.lit(grown.near.scenes),
        pl.col("expected").round(2),
        "as_often",
        pl.lit(grown.near.plates),
    )
    shared = (
        pl.when(pl.col("_k2").is_in(["phone", "address", "vehicle", "person"]))
        .then(pl.format("{} is tied to {} things", "target_label", "_t2"))
        .otherwise(pl.format("{} is tied to {} things", "source_label", "_t1"))
    )
    surprise = pl.when(pl.col("kind") == "read near").then((-pl.col("p").clip(1e-9, 1.0).log10()).clip(0.3, 5.0)).otherwise(pl.col("weight"))
    return joined.select(
        "source",
        "source_label",
        "target",
        "target_label",
        "kind",
        "label",
        "rows",
        "first_at",
        "last_at",
        weight=surprise.round(2),
        base_rate=pl.coalesce(
            pl.when(pl.col("label").str.contains("read near")).then(chance), shared, pl.format("{} is in no other row of these tables", "target_label")
        ),
        hop=pl.max_horizontal("_h1", "_h2"),
        text="text",
    ).sort(["hop", "weight", "source", "target"], descending=[False, True, False, False])


def graph(nodes: pl.DataFrame, table: pl.DataFrame, evidence: pl.DataFrame) -> Any:
    import networkx as nx

    graph = nx.Graph()
    for row in nodes.iter_rows(named=True):
        graph.add_node(row["id"], **{k: v for k, v in row.items() if k != "id" and v is not None})
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for e in evidence.iter_rows(named=True):
        rows.setdefault((min(e["source"], e["target"]), max(e["source"], e["target"])), []).append(
            {"table": e["table"], "key": e["key"], "at": e["at"].isoformat() if e["at"] else None, "text": e["text"]}
        )
    for t in table.iter_rows(named=True):
        graph.add_edge(
            t["source"],
            t["target"],
            kind=t["kind"],
            label=t["label"],
            weight=t["weight"],
            base_rate=t["base_rate"],
            evidence=rows[min(t["source"], t["target"]), max(t["source"], t["target"])],
        )
    return graph


def notes(grown: Grown, nodes: pl.DataFrame, how: How) -> tuple[str, ...]:
    labels = dict(nodes.select("id", "label").iter_rows())
    notes = [f"{labels.get(i, i)} ({i}) is tied to {n} things and was not followed." for i, n in grown.hubs.items() if i in labels][:8]
    if grown.cut:
        notes.append(f"{grown.cut} further things are tied to these and were left out (max_nodes = {how.max_nodes}).")
    if grown.skipped:
        notes.append(f"{grown.skipped} incidents further away were not compared with reads.")
    if grown.near.scenes and len(grown.near.odds):
        notes.append(
            f"{len(grown.near.odds):,} of {several(grown.near.plates, 'plate')} read thereabouts passed at least one of {several(grown.near.scenes, 'scene')} "
            "at its time; being near is a lead, not a match."
        )
    return (*notes, *grown.near.notes)


def headline(nodes: pl.DataFrame, table: pl.DataFrame, grown: Grown, centres: list[str], how: How, facts: Facts) -> str:
    first = nodes.row(0, named=True)
    name = f"{first['kind'].capitalize()} {first['label']}" + (f" ({first['detail']})" if first["detail"] else "")
    if len(centres) > 1:
        name += f" and {len(centres) - 1} more"
    count = dict(nodes.filter(~pl.col("centre")).group_by("kind").len().iter_rows())
    if not count:
        rows = len(facts.involvements) + len(facts.associations)
        return (
            f"Cannot tell: nothing is tied to {name} in {rows:,} involvements and associations and {len(facts.reads):,} reads; "
            "load the records of people, or ask for more metres, minutes or a later time."
        )
    many = {"person": "people", "address": "addresses"}
    other = {"incident": "other incident" if first["kind"] == "incident" else "incident"}
    parts = [several(count[k], other.get(k, k), many.get(k, "")) for k in ("person", "vehicle", "phone", "address", "incident") if k in count]
    said = f"{name}: {', '.join(parts[:-1])}{' and ' if len(parts) > 1 else ''}{parts[-1]} within {several(how.hops, 'step')}"
    odds = nodes.filter(pl.col("near").is_not_null()).sort("p", "id")
    if grown.picked and len(odds.filter("centre")):
        own = odds.filter("centre").row(0, named=True)
        return (
            f"{said}; {own['label']} was read near {own['near']} of {several(grown.near.scenes, 'incident')} shown, where its habits would give "
            f"{own['expected']:.1g} (they are shown because it was near, so the number alone proves nothing)."
        )
    if grown.near.scenes == 0 or grown.near.plates == 0:
        return f"{said}; no plate reader was near, so nothing can be told from reads."
    if odds.is_empty() or odds["by_chance"][0] > _STANDS_OUT:
        return f"{said}; of {several(grown.near.plates, 'plate')} read thereabouts none stands out from chance at {several(grown.near.scenes, 'scene')}."
    best = odds.row(0, named=True)
    return (
        f"{said}; strongest by reads: {best['label']}, near {best['near']} of {grown.near.scenes} scenes, {best['expected']:.1g} expected by chance "
        f"({best['as_often']} of {grown.near.plates:,} plates as often)."
    )


def layers(facts: Facts, nodes: pl.DataFrame, evidence: pl.DataFrame) -> tuple[Layer, ...]:
    located = nodes.filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
    layers: list[Layer] = []
    read = evidence.filter(pl.col("table") == "reads")
    seen = (
        facts.reads.select("read_id", "read_at", "lon", "lat")
        .join(read.select(read_id="key", source="source", target="target", text="text"), on="read_id", how="inner")
        .sort("source", "target", "read_at", "read_id")
    )
    if len(seen):
        groups = seen.group_by("source", "target", maintain_order=True).agg("lon", "lat", pl.len())
        paths = tuple(np.column_stack([lon, lat]) for lon, lat in groups.select("lon", "lat").iter_rows())
        several = [i for i, p in enumerate(paths) if len(p) > 1]
        if several:
            layers.append(
                Lines("Passages near scenes", tuple(paths[i] for i in several), tuple(groups["source"].gather(several).to_list()), role="track", arrows=True)
            )
        once = seen.unique("read_id", keep="first", maintain_order=True)
        layers.append(
            Points(
                "Reads near scenes",
                once["lon"].to_numpy(),
                once["lat"].to_numpy(),
                tuple(f"read:{r}" for r in once["read_id"].to_list()),
                tuple(once["text"].to_list()),
                kind="read",
            )
        )
    if len(located):
        tips = located.select(pl.format("{} {} {}", "kind", "label", "detail")).to_series().str.strip_chars().to_list()
        layers.append(
            Points(
                "Incidents and addresses",
                located["lon"].to_numpy(),
                located["lat"].to_numpy(),
                tuple(located["id"].to_list()),
                tuple(tips),
                kinds=tuple(located["kind"].to_list()),
            )
        )
    return tuple(layers)

"""What is between two things, told: one row a step, the sentence, the graph, what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.layers import Layer, Points
from workbench.models.links._evidence_made import Evidence
from workbench.models.links._evidence_near import usual
from workbench.models.wording import several

if TYPE_CHECKING:
    from workbench.models.links._evidence_why import Ways

TABLE = pl.Schema(
    {
        "path": pl.Int64(),
        "step": pl.Int64(),
        "source": pl.String(),
        "source_label": pl.String(),
        "target": pl.String(),
        "target_label": pl.String(),
        "kind": pl.String(),
        "label": pl.String(),
        "rows": pl.Int64(),
        "first_at": pl.Datetime("us", "UTC"),
        "last_at": pl.Datetime("us", "UTC"),
        "strength": pl.Float64(),
        "score": pl.Float64(),
        "length": pl.Int64(),
        "observed": pl.Int64(),
        "expected": pl.Float64(),
        "by_chance": pl.Float64(),
        "base_rate": pl.String(),
        "text": pl.String(),
    }
)
ROWS = pl.Schema(
    {
        "source": pl.String(),
        "target": pl.String(),
        "kind": pl.String(),
        "table": pl.String(),
        "key": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "text": pl.String(),
        "strength": pl.Float64(),
        "polarity": pl.String(),
    }
)
_MANY = {"person": "people", "address": "addresses", "other": "others"}
_SMALL = 0.05


@dataclass(frozen=True, eq=False)
class Shown:
    """ways: the paths; rows: statements shown; against: rows that contradict; more: of each tie (low, high id) its statements in all;
    reads: what these say of the direct tie, where it rests on some."""

    ways: Ways
    rows: pl.DataFrame
    against: pl.DataFrame
    more: dict[tuple[str, str], dict[str, Any]]
    asof: datetime | None
    reads: OfReads | None = None


def evidence(shown: Shown) -> pl.DataFrame:
    """The rows for, then the rows against."""
    contrary = shown.against.with_columns(strength=pl.lit(None, dtype=pl.Float64), polarity=pl.lit("against"))
    return pl.concat([shown.rows.select(list(ROWS)).cast(ROWS), contrary.select(list(ROWS)).cast(ROWS)])


def table(graph: Evidence, shown: Shown) -> pl.DataFrame:
    """One row a step of a path; path 0 is the direct tie."""
    ways, net = shown.ways, graph.network
    texts: dict[tuple[str, str], str] = {}
    for source, target, text in shown.rows.sort("strength", "at", "key", descending=[True, False, False]).select("source", "target", "text").iter_rows():
        texts.setdefault((min(source, target), max(source, target)), text)
    names = dict(zip(np.unique(ways.nodes[ways.nodes >= 0]).tolist(), net.named(np.unique(ways.nodes[ways.nodes >= 0])), strict=True))
    label = dict(zip(names.values(), graph.called(pl.Series(list(names.values()), dtype=pl.String)).to_list(), strict=True))
    rates: dict[int, str] = {}
    out: list[dict[str, Any]] = []
    number = 0
    for path, (nodes, edges, length) in enumerate(zip(ways.nodes.tolist(), ways.edges.tolist(), ways.length.tolist(), strict=True)):
        number += length > 1
        for step in range(length):
            a, b, e = nodes[step], nodes[step + 1], edges[step]
            about = shown.more[min(names[a], names[b]), max(names[a], names[b])]
            if e not in rates:
                rates[e] = _base_rate(graph, shown, b if b != ways.b and step < length - 1 else a, names[a], names[b], about)
            out.append(
                {
                    "path": number if length > 1 else 0,
                    "step": step + 1,
                    "source": names[a],
                    "source_label": label[names[a]],
                    "target": names[b],
                    "target_label": label[names[b]],
                    "kind": about["kind"],
                    "label": ", ".join(about["kinds"]),
                    "rows": about["rows"],
                    "first_at": about["first_at"],
                    "last_at": about["last_at"],
                    "strength": about["strength"],
                    "score": float(ways.score[path]),
                    "length": length,
                    "observed": ways.observed[length - 1],
                    "expected": ways.expected[length - 1],
                    "by_chance": ways.by_chance if length == 1 or shown.reads is None else min(1.0, sum(e or 0.0 for e in ways.expected[1:length])),
                    "base_rate": rates[e],
                    "text": texts[min(names[a], names[b]), max(names[a], names[b])],
                }
            )
    return pl.DataFrame(out, schema=TABLE) if out else pl.DataFrame(schema=TABLE)


def _base_rate(graph: Evidence, shown: Shown, via: int, source: str, target: str, about: dict[str, Any]) -> str:
    """What chance or habit would give for one step: of reads the plate's own habit, otherwise how many share the thing that is shared."""
    reads = of_reads(graph, source, target, shown.more)
    if reads is not None:
        return reads.text
    kind, tied = graph.kinds[0][int(graph.kinds[1][via])], int(graph.network.degree[via])
    said = f"{graph.nodes['label'][via]} is tied to {several(tied, 'thing')}"
    things, pairs = shown.ways.shared[kind]
    if kind in ("person", "other") or not things:
        return said
    of = int((graph.kinds[1] == graph.kinds[1][via]).sum())
    return f"{said}; of {several(of, kind, _MANY.get(kind, ''))} {things:,} tie two people or more ({several(pairs, 'pair')})"


@dataclass(frozen=True)
class OfReads:
    """What reads say of a tie that rests on them: the chance of one as strong (None: cannot tell), and the sentence with the figures behind it."""

    chance: float | None
    text: str


def of_reads(graph: Evidence, source: str, target: str, more: dict[tuple[str, str], dict[str, Any]]) -> OfReads | None:
    """Of a tie by reads the p of the convoy given, or how often the plate is read there by its own habit; None for a tie without reads."""
    kinds = more.get((min(source, target), max(source, target)), {}).get("kinds", ())
    if "travelled with" in kinds:
        ends = [sorted(_plates(graph, end)) for end in (source, target)]
        given = graph.made.get("convoys")
        if given is None:
            return OfReads(None, "as often as the convoys given say")
        both = (pl.col("plate").is_in(ends[0]) & pl.col("other").is_in(ends[1])) | (pl.col("plate").is_in(ends[1]) & pl.col("other").is_in(ends[0]))
        row = given.filter(both).sort("p", nulls_last=True).row(0, named=True)
        expected, p = (f"{row[c]:.2g}" if row[c] is not None else "an unknown number" for c in ("expected", "p"))
        return OfReads(row["p"], f"{row['together']} times together, {expected} expected by chance, p = {p}")
    if "read near" not in kinds:
        return None
    plate, scene = (source, target) if source.startswith("vehicle:") else (target, source)
    own, incident = graph.places("reads", "plate", _plates(graph, plate)), graph.held("incidents", "incident_id", [scene.partition(":")[2]])
    at, lon, lat = graph.track
    habit = usual(at[own], lon[own], lat[own], incident.row(0, named=True), graph.reach, graph.reading) if len(incident) else None
    if habit is None:
        return OfReads(None, "too few days of reads to tell its habit there")
    return OfReads(habit[0], f"read there at those hours on {habit[1]} of {habit[2]} other days: {habit[0]:.0%} by its own habit")


def _plates(graph: Evidence, vehicle: str) -> set[str]:
    return {vehicle.partition(":")[2], *graph.members(graph.network.code(vehicle))["label"].to_list()}


def headline(graph: Evidence, shown: Shown, table: pl.DataFrame, hops: int, hub: int | None) -> str:
    ways = shown.ways
    one, two = (f"{graph.nodes['label'][c]} ({graph.nodes['id'][c]})" for c in (ways.a, ways.b))
    contrary = f" Against: {several(len(shown.against), 'row')}, e.g. {shown.against['text'][0]}." if len(shown.against) else ""
    if not len(ways.length) and not sum(ways.observed):
        return _nothing(graph, shown, one, two, hops, hub) + contrary
    direct = int((ways.length == 1).sum())
    paths = sum(ways.observed) - direct
    rows = shown.more[min(graph.nodes["id"][ways.a], graph.nodes["id"][ways.b]), max(graph.nodes["id"][ways.a], graph.nodes["id"][ways.b])] if direct else None
    parts = [f"directly by {several(rows['rows'], 'row')} ({', '.join(rows['kinds'])})"] if rows else []
    parts += [f"by {several(paths, 'path')} of up to {several(hops, 'step')}"] if paths else []
    steps = next(k for k, n in enumerate(ways.observed, start=1) if n)
    chance = shown.reads.text if shown.reads is not None else _dealt(ways, steps)
    kind = graph.kinds[0][int(graph.kinds[1][ways.b])]
    many = _MANY.get(kind, kind + "s")
    others = f"{'at least ' if ways.at_least else ''}{ways.others:,} of {ways.of:,} other {many} are as near to {graph.nodes['label'][ways.a]}"
    return f"{one} and {two} are tied {' and '.join(parts)}; {chance}; {others}.{contrary}"


def _dealt(ways: Ways, steps: int) -> str:
    """What ties dealt out anew would give of the shortest paths."""
    n, expected, by_chance = sum(ways.observed[:steps]), sum(e or 0.0 for e in ways.expected[:steps]), ways.by_chance
    what = several(n, "direct tie" if steps == 1 else f"path of {steps} steps", "" if steps == 1 else f"paths of {steps} steps")
    rare = by_chance is not None and by_chance <= _SMALL
    return f"{what} where chance would give {expected:.2g}" + (
        f" (at most {by_chance:.2g} of pairs with as many ties have one)" if rare else ", so that alone does not stand out"
    )


def _nothing(graph: Evidence, shown: Shown, one: str, two: str, hops: int, hub: int | None) -> str:
    ways, net = shown.ways, graph.network
    bare = [name for name, c in ((one, ways.a), (two, ways.b)) if not net.degree[c]]
    if bare:
        missing = f"no row of any table ties {' or '.join(bare)} to anything; load the involvements, associations, arrests or reads that name it"
    elif ways.hubs:
        missing = f"both are tied to {', '.join(str(graph.nodes['label'][h]) for h in ways.hubs)}, which so many share that it says little; hub=None follows it"
    else:
        missing = f"ask for more than {several(hops, 'step')}" + (f", hub=None to follow things tied to over {hub} others," if hub is not None else "")
        missing += " or load further tables (calls, interviews, telephone calls)"
    return f"Cannot tell what ties {one} and {two}: there is no path of up to {several(hops, 'step')} in {len(graph):,} statements; {missing}."


def notes(graph: Evidence, shown: Shown, hub: int | None) -> list[str]:
    ways, label = shown.ways, graph.nodes["label"]
    said = [
        f"{label[h]} ({graph.nodes['id'][h]}) is tied to {int(graph.network.degree[h]):,} things: shown as a hub, paths through it were not followed."
        for h in ways.hubs
    ]
    for end in (ways.a, ways.b):
        if hub is not None and graph.network.degree[end] > hub:
            said.append(f"{label[end]} is itself tied to {int(graph.network.degree[end]):,} things, so paths from it are many by nature.")
    if ways.echoes:
        said.append(f"{several(ways.echoes, 'path')} of two steps rest on the same rows as the direct tie and are not counted twice.")
    if ways.unlisted > 0:
        said.append(f"{ways.unlisted:,} further paths, longer or weaker, were counted but not ranked.")
    cut = sum(1 for about in shown.more.values() if about["rows"] > 20)
    if cut:
        said.append(f"Of {several(cut, 'tie')} only the 20 strongest and oldest rows are shown; the table says how many there are.")
    undated = shown.rows.filter(pl.col("at").is_null()).height if shown.asof is not None else 0
    if undated:
        said.append(f"{several(undated, 'row')} without a time may be later than {shown.asof:%Y-%m-%d %H:%M} UTC.")
    said.append("Strength is a setting by kind of row, not a probability; paths through one record are not independent of each other.")
    return said


def graph(made: Evidence, shown: Shown, table: pl.DataFrame) -> Any:
    """The steps of the paths as networkx; every edge with its rows."""
    import networkx as nx

    ways, net = shown.ways, made.network
    codes = np.unique(np.concatenate([ways.nodes[ways.nodes >= 0], [ways.a, ways.b], np.array(ways.hubs, dtype=np.int64)])).astype(np.int64)
    contrary: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in shown.against.iter_rows(named=True):
        contrary.setdefault((min(r["source"], r["target"]), max(r["source"], r["target"])), []).append(_plain(r))
    out: Any = nx.Graph(
        observed=list(ways.observed),
        expected=[e if e is None else float(f"{e:.6g}") for e in ways.expected],
        by_chance=ways.by_chance,
        against=[r for rows in contrary.values() for r in rows],
        centre=made.nodes["id"][ways.a],
    )
    for code, row in zip(codes.tolist(), made.nodes[codes].iter_rows(named=True), strict=True):
        given = {k: v for k, v in row.items() if k != "id" and v is not None}
        records = made.members(code)["record"].to_list()
        out.add_node(row["id"], **given, ties=int(net.degree[code]), hub=code in ways.hubs, centre=code in (ways.a, ways.b), records=records)
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in shown.rows.iter_rows(named=True):
        rows.setdefault((min(r["source"], r["target"]), max(r["source"], r["target"])), []).append(_plain(r))
    rates = {(min(s, t), max(s, t)): rate for s, t, rate in table.select("source", "target", "base_rate").iter_rows()}
    for pair, about in shown.more.items():
        hub = next((made.nodes["label"][h] for h in ways.hubs if made.nodes["id"][h] in pair), "")
        out.add_edge(
            *pair,
            kind=about["kind"],
            label=", ".join(about["kinds"]),
            weight=about["strength"],
            rows=about["rows"],
            evidence=rows[pair],
            against=contrary.get(pair, []),
            base_rate=rates.get(pair, f"{hub} is a hub that very many share"),
        )
    return out


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {"table": row["table"], "key": row["key"], "at": row["at"].isoformat() if row["at"] else None, "text": row["text"]}


def layers(made: Evidence, shown: Shown) -> tuple[Layer, ...]:
    codes = np.unique(np.concatenate([shown.ways.nodes[shown.ways.nodes >= 0], [shown.ways.a, shown.ways.b]])).astype(np.int64)
    located = made.nodes[codes].filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
    if located.is_empty():
        return ()
    tips = located.select(pl.format("{} {} {}", "kind", "label", "detail")).to_series().str.strip_chars().to_list()
    return (
        Points(
            "Incidents and addresses",
            located["lon"].to_numpy(),
            located["lat"].to_numpy(),
            tuple(located["id"].to_list()),
            tuple(tips),
            kinds=tuple(located["kind"].to_list()),
        ),
    )

"""What an answer about a network shows: names, evidence, the chart's graph and what lies on the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.layers import KINDS, Layer, Lines, Points
from workbench.models.links._network import Network

_EVIDENCE = ("kind", "table", "key", "at", "text")


class Names:
    """What things are called for people, what they are and where; ``nodes`` has id and, optional, kind, label, lon, lat."""

    def __init__(self, net: Network, nodes: pl.DataFrame | None) -> None:
        self.net = net
        self.known: dict[Any, dict[str, Any]] = {}
        self.nodes = nodes
        if nodes is not None:
            schema.require(nodes, "id", what="The nodes frame")
            for column in ("id", "label", "kind"):
                if column in nodes.columns and nodes.schema[column].is_nested():
                    raise BadInput(f"Column {column!r} of the nodes frame is {nodes.schema[column]}; it must be text (an id may be a whole number).")
            self.nodes = nodes.with_columns(pl.col("id").cast(net.ids.dtype, strict=False))

    def fetch(self, codes: Any) -> None:
        """Look up what is known of numbered things."""
        if self.nodes is None or not len(codes):
            return
        wanted = self.nodes.filter(pl.col("id").is_in(self.net.named(codes))).unique("id", keep="first", maintain_order=True)
        self.known |= {row["id"]: row for row in wanted.iter_rows(named=True)}

    def name(self, code: int) -> str:
        return str(self.net.ids[code])

    def about(self, code: int) -> dict[str, Any]:
        thing = self.net.ids[code]
        if thing not in self.known:
            self.fetch([code])
        return self.known.get(thing, {})

    def label(self, code: int) -> str:
        return str(self.about(code).get("label") or self.name(code))

    def kind(self, code: int) -> str:
        before, colon, _ = self.name(code).partition(":")
        return str(self.about(code).get("kind") or (before if colon else "thing"))


def figure(value: float) -> str:
    """A number in a sentence: 0.034, 4.5, 1,204."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def evidence(net: Network, edges: Any, okay: Any) -> pl.DataFrame:
    """The statements of the edges: source, target, kind, table, key, at, text, as far as the frame has them, and strength."""
    rows = net.statements(edges)
    frame = net.frame[rows.tolist()] if len(rows) else net.frame.clear()
    kinds = {"at": pl.Datetime("us", "UTC")}
    missing = [pl.lit(None, dtype=kinds.get(c, pl.String())).alias(c) for c in _EVIDENCE if c not in frame.columns]
    columns = ["source", "target", *_EVIDENCE, *(["strength"] if "strength" in frame.columns else [])]
    return frame.with_columns(pl.col("source").cast(pl.String), pl.col("target").cast(pl.String), *missing).select(columns)


def graph(names: Names, codes: Any, edges: Any, evidence: pl.DataFrame, extra: dict[int, dict[str, Any]]) -> Any:
    """The networkx graph that the link chart draws: nodes with kind, label, ties and ``extra``; edges with kind, label, weight and evidence."""
    import networkx as nx

    net, made = names.net, nx.Graph()
    names.fetch(codes)
    for code in np.asarray(codes).tolist():
        place = {k: v for k, v in names.about(code).items() if k in ("lon", "lat") and v is not None}
        made.add_node(names.name(code), kind=names.kind(code), label=names.label(code), ties=int(net.degree[code]), **place, **extra.get(code, {}))
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for e in evidence.iter_rows(named=True):
        rows.setdefault((min(e["source"], e["target"]), max(e["source"], e["target"])), []).append(
            {"table": e["table"], "key": e["key"], "text": e["text"], "kind": e["kind"]})
    low, high = net.ends
    for e in np.asarray(edges).tolist():
        a, b = names.name(int(low[e])), names.name(int(high[e]))
        held = rows.get((min(a, b), max(a, b)), [])
        kinds = sorted({r["kind"] for r in held if r["kind"]})
        made.add_edge(a, b, kind=kinds[0] if kinds else "tie", label=", ".join(kinds), weight=float(net.strengths[e]), evidence=held,
                      statements=int(net.stated[e + 1] - net.stated[e]))
    return made


def layers(names: Names, codes: Any, edges: Any) -> tuple[Layer, ...]:
    """Things that have a place, and the ties between them."""
    names.fetch(codes)
    placed = {c: (a["lon"], a["lat"]) for c in np.asarray(codes).tolist() if (a := names.about(c)).get("lon") is not None and a.get("lat") is not None}
    if not placed:
        return ()
    low, high = names.net.ends
    tied = [(int(low[e]), int(high[e])) for e in np.asarray(edges).tolist() if int(low[e]) in placed and int(high[e]) in placed]
    lines = Lines("Ties", tuple(np.array([placed[a], placed[b]]) for a, b in tied), ids=tuple(f"{names.name(a)}|{names.name(b)}" for a, b in tied),
                  tips=tuple(f"{names.label(a)} - {names.label(b)}" for a, b in tied), role="link")
    at = np.array(list(placed.values()), dtype=float)
    points = Points("Things", at[:, 0], at[:, 1], ids=tuple(names.name(c) for c in placed), tips=tuple(names.label(c) for c in placed), kind="place",
                    kinds=tuple(k if (k := names.kind(c)) in KINDS else "place" for c in placed))
    return (lines, points) if tied else (points,)

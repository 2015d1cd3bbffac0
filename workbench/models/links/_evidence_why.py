"""Paths between two things, ranked; what chance would give; and all of it as one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.models.links import _evidence_told as told
from workbench.models.links._evidence_against import against
from workbench.models.links._evidence_chance import Dealt, dealt
from workbench.models.links._evidence_made import Evidence
from workbench.models.links._meet import Ball
from workbench.models.links._network import Flags, Floats, Ints, limit
from workbench.results import Basis, Links, origin_of

_LISTED = 20_000  # paths that are ranked; the shortest, then strongest, of more
_SHOWN = 20  # rows of one step that are shown
_LOOKED = 300_000  # ties gone along at most to count who is as near
_SOURCE = "Newman, Strogatz and Watts 2001 (expected paths); Lao and Cohen 2010 (ranking)"


@dataclass(frozen=True)
class Asked:
    hops: int
    most: int
    hub: int | None
    asof: datetime | None


@dataclass(frozen=True, eq=False)
class Ways:
    """Paths between things a and b (codes), the best first (p of them).

    Attributes:
        nodes, edges: i4, shapes (p, hops + 1) and (p, hops), -1 behind the end. length, score: shape (p,).
        observed, expected: paths by number of steps. by_chance: of a path this short, at most; of a direct
            tie by reads what these give (None: cannot tell). others: how many of b's kind are as near to a as b is
            (``at_least``: so many at least), of ``of``. hubs: codes of hubs tied to both. unlisted: paths that were not ranked.
        chance: ties by kind. shared: kind -> (things of it that tie two people or more, pairs of people so tied).
    """

    a: int
    b: int
    nodes: Ints
    edges: Ints
    length: Ints
    score: Floats
    observed: tuple[int, ...]
    expected: Sequence[float | None]
    by_chance: float | None
    others: int
    at_least: bool
    of: int
    hubs: list[int]
    unlisted: int
    echoes: int
    chance: Dealt
    shared: dict[str, tuple[int, int]]


def answer(evidence: Evidence, a: str, b: str, asked: Asked) -> Links:
    if isinstance(asked.most, bool) or not isinstance(asked.most, int) or asked.most < 1:
        raise BadInput(f"most={asked.most!r} does not do; give a whole number of at least 1, e.g. 10.")
    one, two, notes = *_ends(evidence, a, b), list(evidence.notes)
    if len(one) > 1 or len(two) > 1:
        notes.append("A report number names several incidents; the first was taken (they are tied as of one report).")
    ways = _ways(evidence, one[0], two[0], asked)
    used = np.unique(np.concatenate([ways.edges[ways.edges >= 0], _hub_edges(evidence, ways)])).astype(np.int64)
    rows, more = _rows(evidence, used, asked.asof)
    on = np.unique(np.concatenate([ways.nodes[ways.nodes >= 0], [ways.a, ways.b]]))
    contrary = against(evidence, evidence.network.named(on), rows, asked.asof)
    reads = told.of_reads(evidence, evidence.nodes["id"][ways.a], evidence.nodes["id"][ways.b], more) if ways.observed[0] else None
    if reads is not None:  # ties dealt out anew know only which pairs were handed in, the reads how often the two would meet
        ways = replace(ways, expected=[reads.chance, *ways.expected[1:]], by_chance=reads.chance)
    shown = told.Shown(ways, rows, contrary, more, asked.asof, reads)
    table = told.table(evidence, shown)
    basis = Basis.of(
        evidence,
        method="statements between two things and paths of them, against ties dealt out anew",
        source=_SOURCE,
        used=len(rows),
        asof=asked.asof,
        notes=(*notes, *told.notes(evidence, shown, asked.hub)),
        parameters={"a": a, "b": b, "hops": asked.hops, "most": asked.most, "hub": asked.hub},
    )
    return Links(
        headline=told.headline(evidence, shown, table, asked.hops, asked.hub),
        table=table,
        layers=told.layers(evidence, shown),
        basis=basis,
        base=origin_of(evidence).base,
        graph=told.graph(evidence, shown, table),
        evidence=told.evidence(shown),
        centre=evidence.nodes["id"][ways.a],
    )


def _ends(evidence: Evidence, a: str, b: str) -> tuple[list[int], list[int]]:
    one, two = evidence.find(a), evidence.find(b)
    if set(one) & set(two):
        raise BadInput(f"{a!r} and {b!r} are one thing, {evidence.nodes['id'][one[0]]!r}; how(evidence, {a!r}) tells by which steps their records were merged.")
    return one, two


def _ways(evidence: Evidence, a: int, b: int, asked: Asked) -> Ways:
    net, okay = evidence.network, evidence.before(asked.asof)
    found = net.routes(a, b, asked.hops, okay, _LISTED, asked.hub)
    edges, nodes, length = found.edges.astype(np.int64), found.nodes.astype(np.int64), found.length
    strong = _strengths(evidence, edges, asked.asof)
    inside = np.where((nodes[:, 1:-1] >= 0) & (nodes[:, 2:] >= 0), np.maximum(net.degree[np.maximum(nodes[:, 1:-1], 0)] - 1, 1), 1)
    score = strong.prod(axis=1) / inside.astype(float).prod(axis=1)
    order = np.lexsort((*nodes.T[::-1], length, -score)) if len(score) else np.zeros(0, np.int64)
    order, echoes = _without_echoes(evidence, edges, length, order, asked.most)
    chance, shared = _dealt(evidence, okay, asked)
    expected = chance.expected(a, b, asked.hops)
    nearest = next((k for k, n in enumerate(found.counts, start=1) if n), 0)
    others, whole = _as_near(evidence, a, b, nearest, okay, asked.hub) if nearest else (0, True)
    kind = evidence.kinds[1]
    return Ways(
        a,
        b,
        nodes[order],
        edges[order],
        length[order],
        score[order],
        found.counts,
        expected,
        min(1.0, sum(expected[:nearest])) if nearest else 1.0,
        others,
        not whole,
        int((kind == kind[b]).sum()) - 1,
        _hubs(evidence, a, b, okay, asked.hub),
        found.count - len(length),
        echoes,
        chance,
        shared,
    )


def _strengths(evidence: Evidence, edges: Ints, asof: datetime | None) -> Floats:
    """Strength of each step's strongest statement that counts, 1 behind a path's end; shape of ``edges``."""
    net = evidence.network
    if asof is None:
        return np.where(edges >= 0, net.strengths[np.maximum(edges, 0)] if net.edges else 1.0, 1.0)
    used = np.unique(edges[edges >= 0])
    if not len(used):
        return np.ones(edges.shape)
    rows = evidence.frame[net.statements(used)]
    value = np.where(rows.select((pl.col("at").is_null() | (pl.col("at") < asof)).fill_null(True)).to_series().to_numpy(), rows["strength"].to_numpy(), 0.0)
    many = net.stated[used + 1] - net.stated[used]
    best = np.maximum.reduceat(value, np.concatenate([[0], np.cumsum(many)[:-1]]))
    return np.where(edges >= 0, best[np.minimum(np.searchsorted(used, np.maximum(edges, 0)), len(used) - 1)], 1.0)


def _without_echoes(evidence: Evidence, edges: Ints, length: Ints, order: Ints, most: int) -> tuple[Ints, int]:
    """The best paths, without those of two steps or more that rest on no row which the direct tie does not rest on too; and how many of these there were."""
    direct = np.flatnonzero(length == 1)
    first = order[: most + 200]
    if not len(direct):
        return first[:most], 0

    def keys(path: int) -> set[tuple[str, str]]:
        rows = evidence.frame[evidence.network.statements(edges[path][edges[path] >= 0])]
        return set(rows.select("table", "key").iter_rows())

    held = keys(int(direct[0]))
    echo = [p for p in first if length[p] == 2 and keys(int(p)) <= held]
    return np.array([p for p in first if p not in set(echo)][:most], dtype=np.int64), len(echo)


def _dealt(evidence: Evidence, okay: Flags, asked: Asked) -> tuple[Dealt, dict[str, tuple[int, int]]]:
    """Ties by kind, and how many things of each kind people share: counted once for a moment and hub limit."""
    kept = evidence.__dict__.setdefault("_dealt", {})
    key = (asked.asof, asked.hub)
    if key not in kept:
        if len(kept) > 3:
            kept.clear()
        names, kind = evidence.kinds
        made = dealt(evidence.network, kind, len(names), okay, asked.hub)
        people = made.ties[:, names.index("person")].astype(np.int64)
        shared = {}
        for i, name in enumerate(names):
            d = people[(kind == i) & (people > 1)]
            shared[name] = (len(d), int((d * (d - 1) // 2).sum()))
        kept[key] = (made, shared)
    found: tuple[Dealt, dict[str, tuple[int, int]]] = kept[key]
    return found


def _as_near(evidence: Evidence, a: int, b: int, steps: int, okay: Flags, hub: int | None) -> tuple[int, bool]:
    """How many others of b's kind are within as many steps of a, and whether all were looked at."""
    ball = Ball(evidence.network, a, okay, limit(hub))
    while ball.depth < steps and ball.open and ball.cost() <= _LOOKED:
        ball.grow()
    kind = evidence.kinds[1]
    reached = ball.reached()
    reached = reached[(reached != a) & (reached != b)]
    return int((kind[reached] == kind[b]).sum()), ball.depth >= steps or not ball.open


def _hubs(evidence: Evidence, a: int, b: int, okay: Flags, hub: int | None) -> list[int]:
    """Things tied to both, and to more others than are followed."""
    if hub is None:
        return []
    net, near = evidence.network, []
    for end in (a, b):
        span = slice(int(net.first[end]), int(net.first[end + 1]))
        tied = net.others[span]
        near.append(tied[okay[net.edge[span]].astype(bool)] if len(okay) else tied)
    both = np.intersect1d(near[0], near[1])
    return [int(v) for v in both[net.degree[both] > hub]][:8]


def _hub_edges(evidence: Evidence, ways: Ways) -> Ints:
    net = evidence.network
    return np.array([net.between(end, h) for h in ways.hubs for end in (ways.a, ways.b)], dtype=np.int64)


def _rows(evidence: Evidence, edges: Ints, asof: datetime | None) -> tuple[pl.DataFrame, dict[tuple[str, str], dict[str, Any]]]:
    """The statements of edges with their sentences, at most 20 a tie, the strongest and oldest first; and of each tie how many there are and from when."""
    net = evidence.network
    at = net.statements(edges)
    some = evidence.frame[at].with_columns(
        _row=pl.Series(at, dtype=pl.Int64), _low=pl.min_horizontal("source", "target"), _high=pl.max_horizontal("source", "target")
    )
    some = some.filter(pl.col("at").is_null() | (pl.col("at") < asof)) if asof is not None else some
    some = some.sort(
        "_low", "_high", "strength", "at", "table", "key", "kind", "source_record", descending=[False, False, True, False, False, False, False, False]
    )
    each = some.group_by("_low", "_high", maintain_order=True).agg(
        rows=pl.len(),
        first_at=pl.col("at").min(),
        last_at=pl.col("at").max(),
        strength=pl.col("strength").max(),
        kinds=pl.col("kind").unique().sort(),
        kind=pl.col("kind").first(),
        note=pl.col("note").first(),
    )
    more = {(r["_low"], r["_high"]): r for r in each.iter_rows(named=True)}
    few = some.filter(pl.int_range(pl.len()).over("_low", "_high") < _SHOWN)
    return evidence.statements(few["_row"].to_numpy()), more

"""By which ways are these people, vehicles, phones or places tied to each other, and would chance tie them as well?

All paths of up to so many steps between two or more ends, with filters by kind, time and strength of the evidence. Things tied to very many others (a
hospital, a bus stop, a shared telephone number) tie everybody to everybody: they are shown but not followed, and it is said how many paths they would add.
Beside the number of paths stands what chance would give where everything keeps its number of ties (see ``_random_graphs``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, counts
from workbench.models.links import _meet, _random_graphs, _shown
from workbench.models.links._meet import Found
from workbench.models.links._network import Network, limit
from workbench.models.links._shown import figure
from workbench.models.window import Moment, moment
from workbench.models.wording import rounded, several
from workbench.results import Basis, Links, origin_of, recorded

__all__ = ["paths", "prepare"]

_SOURCE = "bidirectional search; chance: configuration model by kinds (Newman, Strogatz and Watts 2001), edge swaps (Maslov and Sneppen 2002)"
_DRAWN = 5_000  # edges up to which random graphs are drawn for p
_ADDED = 200_000  # paths through hubs are counted up to here


@dataclass(frozen=True, eq=False)
class _Pair:
    """The paths of two ends: how many by chance, how probable at least as many (None: not drawn), and what hubs would add (None: more than counted)."""

    found: Found
    expected: float
    p: float | None
    added: int | None
    hubs: list[int]


def prepare(edges: pl.DataFrame) -> Network:
    """Statements made ready to be asked many times; every question of graphs takes a network in place of the frame.

    Args:
        edges: one row a statement: source, target (texts "kind:key", or whole numbers), optional kind, at, strength, weight; see ``Network.of``.

    Raises:
        BadInput: a column is missing or of another type. Cost: 5 M rows of numbers 0.4 s, of texts about 2 s.
    """
    return Network.of(edges)


@recorded
def paths(
    edges: pl.DataFrame | Network,
    ends: Sequence[Any],
    *,
    hops: int = 4,
    kinds: Iterable[str] | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    strength: float | None = None,
    hub: int | None = 100,
    most: int = 200,
    replicates: int = 199,
    seed: int = 1,
    nodes: pl.DataFrame | None = None,
) -> Links:
    """All paths between two or more ends.

    Args:
        edges: statements, see ``prepare``.
        ends: two or more names; every two of them are joined.
        hops: steps of a path at most, 1 to 6.
        kinds, since, until, strength: only ties with at least one statement of these kinds, at or after ``since`` and before ``until`` (UTC), of at least
            this strength (0 to 1). A statement without a time fits no filter by time.
        hub: a thing tied to more than this many others is shown, not followed, unless it is an end; None follows everything.
        most: paths that come back for each two ends, the shortest, then the strongest; all are counted.
        replicates: random graphs drawn for p, where there are up to 5,000 ties; 0 for none.
        nodes: id, and optional kind, label, lon, lat, for names and the map.

    Returns: Links. ``table``: one row a path: source, target, hops, strength (of its weakest step), path (labels), kinds, statements, first_at, last_at,
    paths (of these two ends in all), expected (by chance), p. ``evidence``: the statements of every step. Nodes of the graph carry kind, label, hub, end.

    Raises:
        NotFound: nothing is called so. BadInput: fewer than two ends, or an option out of range. CannotTell: no statements, or more paths than can be counted.

    Cost: milliseconds for two ends among 5 M edges; random graphs up to 2 s.
    """
    net = Network.of(edges)
    counts(seed=seed)
    listed = list(ends) if isinstance(ends, Iterable) and not isinstance(ends, str) else []
    if any(isinstance(end, bool) or not isinstance(end, (str, int)) for end in listed) or len(set(listed)) < 2:
        raise BadInput(f"ends={ends!r} does not do; give two or more different names, e.g. ['person:P1', 'person:P2'].")
    if not len(net):
        raise CannotTell("I cannot tell: there is no statement that ties two things. Give the links of the tables in question, or a longer time.")
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 0:
        raise BadInput(f"replicates={replicates!r} does not do; give a whole number of at least 0.")
    okay = net.passing(kinds=kinds, since=since, until=until, strength=strength)
    names = list(dict.fromkeys(listed))
    codes = [net.code(name) for name in names]
    chance = _Chance(net, okay, limit(hub))
    pairs = [_pair(net, a, b, hops, okay, hub, most, chance, replicates, seed) for a, b in combinations(codes, 2)]
    said = _shown.Names(net, nodes)
    used = np.unique(np.concatenate([p.found.edges[p.found.edges >= 0] for p in pairs]).astype(np.int64))
    evidence = _shown.evidence(net, used, okay)
    hubs = sorted({h for p in pairs for h in p.hubs})
    shown = np.unique(np.concatenate([codes, hubs, *(p.found.nodes[p.found.nodes >= 0] for p in pairs)]).astype(np.int64))
    table = pl.concat([_rows(said, p) for p in pairs]).sort(["hops", "strength", "source", "target", "path"], descending=[False, True, False, False, False])
    extra = {c: {"end": c in codes, "hub": c in hubs} for c in shown.tolist()}
    basis = Basis.of(
        net, method=f"all simple paths of up to {hops} steps, met in the middle", source=_SOURCE, time="at" if "at" in net.frame.columns else "",
        used=len(evidence), notes=_notes(net, pairs, hub, okay, said),
        parameters={"ends": names, "hops": hops, "kinds": None if kinds is None else sorted({kinds} if isinstance(kinds, str) else kinds),
                    "since": None if since is None else moment(since, "since"), "until": None if until is None else moment(until, "until"),
                    "strength": strength, "hub": hub, "most": most, "replicates": replicates, "seed": seed})
    return Links(headline=_headline(said, codes, pairs, hops), table=table, layers=_shown.layers(said, shown, used), basis=basis, base=origin_of(net).base,
                 graph=_shown.graph(said, shown, used, evidence, extra), evidence=evidence, centre=str(names[0]))


class _Chance:
    """What the expected number of paths follows from, made once for a filter; hubs are left out as they are not followed."""

    def __init__(self, net: Network, okay: Any, most: int) -> None:
        self.net, self.okay, self.most = net, okay, most
        key = ("chance", id(okay) if len(okay) else 0, most)
        if key not in net.held:
            low, high = net.ends
            small = net.degree <= most
            use = small[low] & small[high]
            if len(okay):
                use &= okay.astype(bool)
            ties = _random_graphs.stubs(low[use], high[use], net.types, len(net))
            net.held[key] = (okay, ties, *_random_graphs.sums(ties, net.types))
        _, self.ties, self.pairs, self.all = net.held[key]

    def own(self, end: int, other: int) -> Any:
        """Ties of an end by type, to things that are followed and to the other end."""
        net = self.net
        start, stop = net.first[end], net.first[end + 1]
        to = net.others[start:stop]
        use = (net.degree[to] <= self.most) | (to == other)
        if len(self.okay):
            use &= self.okay[net.edge[start:stop]].astype(bool)
        return np.bincount(net.types[to[use]], minlength=self.ties.shape[1]).astype(float)

    def expected(self, a: int, b: int, hops: int) -> float:
        own = (self.own(a, b), self.own(b, a))
        return sum(_random_graphs.expected((a, b), own, self.net.types, self.pairs, self.all, (self.ties[a], self.ties[b]), hops))

    def drawn(self, a: int, b: int, hops: int, replicates: int, seed: int) -> list[int] | None:
        """Paths between the ends in random graphs; None where the graph is too large for that."""
        net = self.net
        low, high = net.ends
        small = net.degree <= self.most
        small[[a, b]] = True
        use = small[low] & small[high]
        if len(self.okay):
            use &= self.okay.astype(bool)
        if not replicates or np.count_nonzero(use) > _DRAWN:
            return None
        low, high, out = low[use], high[use], []
        for r in range(replicates):
            x, y = _random_graphs.drawn(low, high, net.types, seed=seed * 1_000_003 + r)
            made = Network(pl.DataFrame(), net.ids, x, y)
            among = _meet.between(made, a, b, hops, np.zeros(0, np.uint8), limit(None))
            out.append(0 if among is None else int(_meet.counted(among, hops)[0].sum()))
        return out


def _pair(net: Network, a: int, b: int, hops: int, okay: Any, hub: int | None, most: int, chance: _Chance, replicates: int, seed: int) -> _Pair:
    found = net.routes(a, b, hops, okay, most, hub)
    expected, p = chance.expected(a, b, hops), None
    drawn = chance.drawn(a, b, hops, replicates, seed)
    if drawn is not None:
        expected = float(np.mean(drawn))
        p = (1 + sum(d >= found.count for d in drawn)) / (len(drawn) + 1)
    if hub is None or not (net.degree > hub).any():
        return _Pair(found, expected, p, 0, [])
    among = _meet.between(net, a, b, hops, okay, limit(None))
    if among is None:
        return _Pair(found, expected, p, 0, [])
    inner = among.codes[:-2]
    busy = inner[net.degree[inner] > hub]
    counts, whole = _meet.counted(among, hops, _ADDED + found.count)
    busy = busy[np.argsort(-net.degree[busy], kind="stable")][:5]
    return _Pair(found, expected, p, int(counts.sum()) - found.count if whole else None, busy.tolist())


def _rows(said: _shown.Names, pair: _Pair) -> pl.DataFrame:
    net, found = said.net, pair.found
    frame = net.frame
    routes = []
    for nodes, edges, n, weakest in zip(found.nodes.tolist(), found.edges.tolist(), found.length.tolist(), found.strength.tolist(), strict=True):
        rows = net.statements(edges[:n])
        kinds = sorted(frame["kind"].gather(rows).drop_nulls().unique().to_list()) if "kind" in frame.columns else []
        at = frame["at"].gather(rows) if "at" in frame.columns else pl.Series([None], dtype=pl.Datetime("us", "UTC"))
        routes.append((said.name(nodes[0]), said.name(nodes[n]), n, weakest, " - ".join(said.label(i) for i in nodes[:n + 1]), ", ".join(kinds), len(rows),
                       at.min(), at.max(), found.count, pair.expected, pair.p))
    schema: dict[str, Any] = {"source": pl.String, "target": pl.String, "hops": pl.Int64, "strength": pl.Float64, "path": pl.String, "kinds": pl.String,
              "statements": pl.Int64, "first_at": pl.Datetime("us", "UTC"), "last_at": pl.Datetime("us", "UTC"), "paths": pl.Int64, "expected": pl.Float64,
              "p": pl.Float64}
    return pl.DataFrame(routes, schema=schema, orient="row")


def _headline(said: _shown.Names, codes: list[int], pairs: list[_Pair], hops: int) -> str:
    told = []
    for (a, b), pair in zip(combinations(codes, 2), pairs, strict=True):
        who = f"{said.label(a)} and {said.label(b)}"
        chance = f"{figure(pair.expected)} expected by chance" + (f", p {rounded(pair.p)}" if pair.p is not None else "")
        if not pair.found.count:
            one = f"No path of up to {several(hops, 'step')} joins {who} ({chance})"
        else:
            nodes, n = pair.found.nodes[0].tolist(), int(pair.found.length[0])
            by = " by way of " + " and ".join(said.label(i) for i in nodes[1:n]) if n > 1 else ", directly"
            more = pair.p <= 0.05 if pair.p is not None else pair.found.count > pair.expected + 2 * np.sqrt(pair.expected) + 1
            verdict = "" if more else "; that is no more than chance would give"
            one = f"{several(pair.found.count, 'path')} of up to {several(hops, 'step')} {'joins' if pair.found.count == 1 else 'join'} {who}, " \
                  f"the shortest of {several(n, 'step')}{by} ({chance}{verdict})"
        if pair.hubs:
            added = f"more than {_ADDED:,}" if pair.added is None else f"{pair.added:,}"
            one += f"; things tied to very many others, which were not followed, would add {added}"
        told.append(one + ".")
    if len(told) > 3:
        joined = sum(1 for p in pairs if p.found.count)
        return f"{joined} of {len(pairs)} pairs of the {len(codes)} ends are joined by paths of up to {several(hops, 'step')}. " + " ".join(told[:2])
    return " ".join(told)


def _notes(net: Network, pairs: list[_Pair], hub: int | None, okay: Any, said: _shown.Names) -> tuple[str, ...]:
    out = ["A path says that records tie things step by step, not that anybody at one end knows of the other."]
    hubs = list(dict.fromkeys(h for p in pairs for h in p.hubs))
    if hubs:
        named = ", ".join(f"{said.label(h)} ({net.degree[h]:,})" for h in hubs[:5])
        out.append(f"Not followed since tied to more than {hub} others: {named}{' and more' if any(p.added is None for p in pairs) else ''}.")
    if any(p.p is None for p in pairs):
        out.append("The number expected by chance is a mean; how far numbers scatter about it was not drawn (too many ties, or replicates=0).")
    cut = sum(p.found.count - len(p.found) for p in pairs)
    if cut:
        out.append(f"{several(cut, 'longer or weaker path is', 'longer or weaker paths are')} counted but not listed (most).")
    partial = [p.found.complete for p in pairs if p.found.complete < p.found.nodes.shape[1] - 1]
    if partial:
        out.append(f"There are too many paths to count them all: counts are complete up to {several(min(partial), 'step')} only.")
    left = net.loops + net.nameless
    if left:
        out.append(f"{several(left, 'statement')} left out that tie a thing to itself or name nothing at an end.")
    if len(okay) and ("at" in net.frame.columns) and net.frame["at"].null_count():
        out.append(f"{several(net.frame['at'].null_count(), 'statement')} without a time; a filter by time leaves them out.")
    return tuple(out)

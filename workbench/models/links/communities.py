"""Which groups hang together more than with the rest, how firmly, and is there more grouping than chance would give?

Communities by the Leiden method (``_leiden``), which leaves none that falls apart. Two figures say what they are worth: modularity beside that of random
graphs where everything keeps its number of ties (R. Guimera, M. Sales-Pardo and L. A. N. Amaral, Physical Review E 70, 2004, 025101(R),
doi:10.1103/PhysRevE.70.025101), and how often two members stay together when ties are drawn anew with repeats (M. Rosvall and C. T. Bergstrom, PLoS ONE 5,
2010, e8694, doi:10.1371/journal.pone.0008694).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, counts, finite
from workbench.models.links import _leiden, _random_graphs, _shown
from workbench.models.links._network import Network
from workbench.models.wording import rounded, several
from workbench.results import Basis, Links, origin_of, recorded

_SOURCE = "Traag, Waltman and van Eck 2019 (Leiden), doi:10.1038/s41598-019-41695-z; Guimera and others 2004; Rosvall and Bergstrom 2010"
_FEW = 2_000  # ties up to which several starts are made
_DRAWN = ((20_000, 99), (200_000, 19))  # ties, and random graphs drawn up to there; none above
_CHART = 2_000  # things up to which the graph shows each; above it shows communities
_FIRM = 0.7


@recorded
def communities(
    edges: pl.DataFrame | Network,
    *,
    resolution: float = 1.0,
    weighted: bool = False,
    replicates: int | None = None,
    seed: int = 1,
    nodes: pl.DataFrame | None = None,
) -> Links:
    """The communities of a network.

    Args:
        edges: statements, see ``links.paths.prepare``.
        resolution: over 1 gives more and smaller communities, under 1 fewer and larger.
        weighted: ties count by the column weight.
        replicates: random graphs, and redrawings of the ties; None for 99 up to 20,000 ties, 19 up to 200,000, none above.
        nodes: id, and optional kind, label, lon, lat, for names and the map.

    Returns: Links. ``table``: one row a community: community (1 = the largest), things, inside and outward (ties), stays (how often two members stay
    together, null where not drawn), firm (stays at least 0.7), named (members with most ties), members (ids). The graph's nodes carry community and stays;
    above 2,000 things its nodes are the communities. ``evidence`` is empty.

    Raises:
        BadInput: an option is out of range. CannotTell: there is no tie.

    Cost: O(m) a pass; 5 M ties in about 8 s, 1,500 ties with 99 random graphs and 99 redrawings in 1 s.
    """
    net = Network.of(edges)
    finite(resolution=resolution)
    counts(seed=seed)
    if not 0 < resolution <= 100:
        raise BadInput(f"resolution={resolution!r} does not do; give a number over 0 up to 100, e.g. 1.")
    if replicates is not None and (isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 0):
        raise BadInput(f"replicates={replicates!r} does not do; give a whole number of at least 0, or None.")
    if not net.edges:
        raise CannotTell("I cannot tell: there is no tie between two things. Give the links of the tables in question, or a longer time.")
    if weighted and "weight" not in net.frame.columns:
        raise BadInput("The edges frame has no column 'weight'; leave weighted=False, or give one.")
    weight = net.weights if weighted else np.ones(net.edges)
    many = next((k for size, k in _DRAWN if net.edges <= size), 0) if replicates is None else replicates
    starts = 5 if net.edges <= _FEW else 1
    community, quality = best(net.first, net.others, weight[net.edge], resolution, seed, starts)
    by_chance = _by_chance(net, weight, resolution, seed, starts, many)
    stays = _stays(net, weight, community, resolution, seed, many)
    p = (1 + int(np.sum(by_chance >= quality - 1e-12))) / (many + 1) if many else None
    said = _shown.Names(net, nodes)
    table = _table(net, said, community, stays)
    basis = Basis.of(
        net, method=f"Leiden, modularity at resolution {resolution:g}{', weighted' if weighted else ''}", source=_SOURCE,
        used=len(net.rows), notes=_notes(net, many), time="at" if "at" in net.frame.columns else "",
        parameters={"resolution": resolution, "weighted": weighted, "replicates": many, "seed": seed, "modularity": round(quality, 6),
                    "modularity_by_chance": [round(float(q), 4) for q in np.quantile(by_chance, [0.0, 0.5, 1.0])] if many else None, "p": p})
    graph, layers = _chart(net, said, community, stays, table)
    return Links(headline=_headline(net, table, quality, by_chance, p), table=table, layers=layers, basis=basis, base=origin_of(net).base, graph=graph,
                 evidence=_shown.evidence(net, [], []), centre=str(table["members"][0][0]))


def best(first: Any, others: Any, weight: Any, resolution: float, seed: int, starts: int) -> tuple[Any, float]:
    """The best partition of several starts."""
    found = [_leiden.partition(first, others, weight, resolution=resolution, seed=seed * 7919 + k, rounds=10 if len(others) < 2_000_000 else 1)
             for k in range(starts)]
    return max(found, key=lambda f: f[1])


def _by_chance(net: Network, weight: Any, resolution: float, seed: int, starts: int, many: int) -> Any:
    """Modularity of random graphs with the same numbers of ties; weights are dealt out anew."""
    low, high = net.ends
    out = np.empty(many)
    for r in range(many):
        made = Network(pl.DataFrame(), net.ids, *_random_graphs.drawn(low, high, net.types, seed=seed * 1_000_003 + r))
        drawn = np.random.default_rng([seed, r]).permutation(weight)
        out[r] = best(made.first, made.others, drawn[made.edge], resolution, seed + r, starts)[1]
    return out


def _stays(net: Network, weight: Any, community: Any, resolution: float, seed: int, many: int) -> Any:
    """How many of its community's members each thing is together with when ties are drawn anew with repeats; nan where that is not known."""
    if not many:
        return np.full(len(net), np.nan)
    sizes = np.bincount(community)[community]
    total = np.zeros(len(net))
    for r in range(many):
        drawn = weight * np.random.default_rng([seed, 7, r]).poisson(1.0, net.edges)
        again, _ = best(net.first, net.others, drawn[net.edge], resolution, seed + r, 1) if drawn.any() else (np.arange(len(net)), 0.0)
        _, back, together = np.unique(community.astype(np.int64) * len(net) + again, return_inverse=True, return_counts=True)
        total += (together[back.ravel()] - 1) / np.maximum(sizes - 1, 1)
    return np.where(sizes > 1, total / many, np.nan)


def _table(net: Network, said: _shown.Names, community: Any, stays: Any) -> pl.DataFrame:
    low, high = net.ends
    many = int(community.max()) + 1
    same = community[low] == community[high]
    inside = np.bincount(community[low][same], minlength=many)
    outward = np.bincount(community[low][~same], minlength=many) + np.bincount(community[high][~same], minlength=many)
    held = pl.DataFrame({"code": np.arange(len(net)), "community": community.astype(np.int64), "degree": net.degree, "stays": stays,
                         "id": net.ids.cast(pl.String)}).sort(["community", "degree", "code"], descending=[False, True, False])
    groups = held.group_by("community", maintain_order=True).agg(
        things=pl.len().cast(pl.Int64), stays=pl.col("stays").fill_nan(None).mean(), top=pl.col("code").head(5), members="id")
    shown = np.unique(np.concatenate([np.asarray(t) for t in groups["top"].head(50).to_list()]))
    said.fetch(shown)
    named = [", ".join(said.label(c) for c in top) if k < 50 else None for k, top in enumerate(groups["top"].to_list())]
    firm = pl.when(pl.col("stays").is_null()).then(None).otherwise(pl.col("stays") >= _FIRM)
    return groups.select(community=pl.col("community") + 1, things="things", inside=pl.Series(inside.astype(np.int64)),
                         outward=pl.Series(outward.astype(np.int64)), stays="stays", firm=firm, named=pl.Series(named, dtype=pl.String), members="members")


def _headline(net: Network, table: pl.DataFrame, quality: float, by_chance: Any, p: float | None) -> str:
    groups = table.filter(pl.col("things") > 1)
    found = f"{several(len(groups), 'community', 'communities')} among {several(len(net), 'thing')} and {several(net.edges, 'tie')}, modularity {quality:.3f}"
    if p is None:
        return f"{found}. Whether that is more than chance would give was not drawn; give replicates, e.g. 19."
    spread = f"random graphs with the same numbers of ties have {by_chance.min():.3f} to {by_chance.max():.3f}"
    if p > 0.05:
        return (f"There is no more structure than chance would give: modularity {quality:.3f}, {spread} (p {rounded(p)}). "
                f"The {several(len(groups), 'community', 'communities')} listed are not to be read as groups.")
    firm = int(groups["firm"].sum())
    return f"{found}; {spread} (p {rounded(p)}). {firm} of them {'is' if firm == 1 else 'are'} firm: two members stay together in at least " \
           f"{_FIRM:.0%} of redrawings of the ties."


def _notes(net: Network, many: int) -> tuple[str, ...]:
    out = ["A community is a set of things with more ties among them than their numbers of ties would give; it is not yet a gang or a group that acts."]
    if 0 < many < 19:
        out.append(f"With {many} random graphs the smallest p is {1 / (many + 1):.2f}; give at least 19.")
    if net.loops + net.nameless:
        out.append(f"{several(net.loops + net.nameless, 'statement')} left out that tie a thing to itself or name nothing at an end.")
    return tuple(out)


def _chart(net: Network, said: _shown.Names, community: Any, stays: Any, table: pl.DataFrame) -> tuple[Any, Any]:
    import networkx as nx

    if len(net) <= _CHART:
        codes, every = np.arange(len(net)), np.arange(net.edges)
        extra = {int(c): {"community": int(community[c]) + 1, "stays": None if np.isnan(stays[c]) else float(stays[c])} for c in codes}
        return _shown.graph(said, codes, every, _shown.evidence(net, [], []), extra), _shown.layers(said, codes, every)
    graph = nx.Graph()
    top = min(len(table), 200)
    for row in table.head(top).iter_rows(named=True):
        graph.add_node(f"community:{row['community']}", kind="community", label=f"{row['community']} ({row['things']:,})", things=row["things"],
                       stays=row["stays"])
    low, high = (community[e].astype(np.int64) for e in net.ends)
    use = (low != high) & (low < top) & (high < top)
    between, many = np.unique(np.minimum(low[use], high[use]) * top + np.maximum(low[use], high[use]), return_counts=True)
    for key, n in zip(between.tolist(), many.tolist(), strict=True):
        graph.add_edge(f"community:{key // top + 1}", f"community:{key % top + 1}", kind="ties", label=f"{n:,} ties", weight=float(n), evidence=[])
    return graph, ()

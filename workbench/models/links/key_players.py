"""Who holds this network together, who stands between its parts, and can that be told although ties are missing?

Each thing's degree, betweenness, closeness, PageRank, core, constraint and effective size; and sets of key players. What was never recorded can change who
comes first: ties are dropped and added at stated rates, and each rank comes with the interval it had (S. P. Borgatti, K. M. Carley and D. Krackhardt,
Social Networks 28, 2006, 124-136, doi:10.1016/j.socnet.2005.05.001). Key players: S. P. Borgatti, Computational and Mathematical Organization Theory 12,
2006, 21-34, doi:10.1007/s10588-006-7084-x. Brokers: R. S. Burt, *Structural Holes*, 1992.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, counts, did_you_mean, finite
from workbench.models.links import _measures, _pagerank, _shown
from workbench.models.links._network import Network
from workbench.models.wording import several
from workbench.results import Basis, Ranking, origin_of, recorded

MEASURES = ("betweenness", "degree", "closeness", "pagerank", "core", "constraint", "effective_size")
_SOURCE = "Brandes 2001; Burt 1992; Borgatti 2006; missing ties: Borgatti, Carley and Krackhardt 2006"
_EXACT = 1_000_000_000  # things x ties up to which all shortest paths are followed
_PIVOTS = 256  # starts sampled above that, as long as they go along no more than
_GONE = 600_000_000  # things and ties in all; 64 at least
_FEWEST = 64
_WORK = 4_000_000_000  # ties gone along for rank intervals at most
_ALL = 200  # things up to which every one is tried as a key player
_TRIED = 60  # of more, those with the highest betweenness or degree
_STARTS = 500  # distances are taken from so many things at most


@recorded
def brokers(
    edges: pl.DataFrame | Network,
    *,
    by: str = "betweenness",
    missing: float = 0.1,
    spurious: float = 0.05,
    replicates: int = 200,
    seed: int = 1,
    nodes: pl.DataFrame | None = None,
) -> Ranking:
    """Things in order of a measure, with the interval of each rank.

    Args:
        edges: statements, see ``links.paths.prepare``.
        by: betweenness (share of shortest paths between others), degree, closeness, pagerank, core, constraint (least first: a broker has little) or
            effective_size.
        missing: ties not recorded, as a share of those recorded; so many are added, their ends drawn by number of ties.
        spurious: share of the recorded ties that may be wrong; each is dropped with this chance.
        replicates: networks with such changes; 0 for none. Fewer where the network is too large, none where it is far too large.
        nodes: id, and optional kind, label, lon, lat, for names and the map.

    Returns: Ranking, one row a thing: rank, id, label, kind, the measures (null where the network is too large for one), betweenness_error (standard error
    where starts were sampled, else 0), betweenness_low, betweenness_high (its interval; see the basis),
    rank_low, rank_high (90 % of the changed networks), first (share of them in which it came first).

    Raises:
        BadInput: an option is out of range. CannotTell: there is no tie.

    Cost: betweenness O(n m), two threads; above n x m = 1e9 from 256 sampled starts, fewer for very large networks
        (64 for 1 M things and 5 M ties). Equal for any number of threads.
    """
    net = Network.of(edges)
    _checked(net, by, missing, spurious, replicates, seed)
    found, between = _all(net, seed)
    if found[by] is None:
        raise CannotTell(f"I cannot tell: {by} of {len(net):,} things is too much; rank by degree, pagerank or betweenness, or take the things around one.")
    rank = _ranks(found[by], by)
    many = _affordable(net, by, replicates)
    drawn = np.stack([_ranks(_one(made, by, seed), by) for made in _changed(net, missing, spurious, many, seed)]) if many else None
    said = _shown.Names(net, nodes)
    order = np.argsort(rank, kind="stable")
    said.fetch(order[:2000])
    columns: dict[str, Any] = {"rank": rank.astype(np.int64), "id": net.ids.cast(pl.String)}
    columns |= {m: pl.Series(values, dtype=pl.Float64) if values is not None else pl.Series([None] * len(net), dtype=pl.Float64) for m, values in found.items()}
    columns |= {"betweenness_error": between.error, "betweenness_low": between.low, "betweenness_high": between.high}
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0, method="nearest") if drawn is not None else (None, None)
    columns |= {"rank_low": low, "rank_high": high, "first": None if drawn is None else (drawn == 1).mean(axis=0)}
    table = pl.DataFrame({k: v if v is not None else pl.Series([None] * len(net), dtype=pl.Float64) for k, v in columns.items()})[order.tolist()]
    table = _named(table, said.nodes).with_columns(pl.col("rank_low", "rank_high").cast(pl.Int64))
    basis = Basis.of(net, method=f"{by} of each thing, ranks under {missing:.0%} missing and {spurious:.0%} wrong ties", source=_SOURCE,
                     used=len(net.rows), notes=_notes(net, many, replicates, between.error), time="at" if "at" in net.frame.columns else "",
                     parameters={"by": by, "missing": missing, "spurious": spurious, "replicates": many, "seed": seed})
    return Ranking(headline=_headline(table, by, missing, spurious, many), table=table, layers=_shown.layers(said, order[:50], []), basis=basis,
                   base=origin_of(net).base)


@recorded
def key_players(edges: pl.DataFrame | Network, *, size: int = 3, aim: str = "fragment", replicates: int = 50, missing: float = 0.1, spurious: float = 0.05,
                seed: int = 1, nodes: pl.DataFrame | None = None) -> Ranking:
    """The set of so many things without which the network falls apart most (KPP-Neg), or from which it is reached best (KPP-Pos).

    Args:
        edges: statements, see ``links.paths.prepare``.
        size: how many, 1 to 10.
        aim: "fragment": the set whose removal leaves the others furthest apart (distance-weighted fragmentation); "reach": from which all are fewest steps.
        replicates, missing, spurious: as for ``brokers``; how often each is in the set of a changed network.

    Returns: Ranking, one row a member in the order of choice: id, label, kind, degree, score (of the set up to this one), stays (share of changed networks
    in whose set it is), random_score (mean of 99 sets of the same size drawn at random). Chosen greedily, then exchanged one for one while that is better.

    Raises:
        BadInput: an option is out of range. CannotTell: there are no more things than the set is to have.

    Cost: about tried things x starts x ties; above 200 things only the 60 with the highest betweenness or degree are tried.
    """
    net = Network.of(edges)
    _checked(net, "degree", missing, spurious, replicates, seed)
    if aim not in ("fragment", "reach"):
        raise BadInput(f"aim={aim!r} is not known.{did_you_mean(str(aim), ('fragment', 'reach'))}")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 10:
        raise BadInput(f"size={size!r} does not do; give 1 to 10.")
    if len(net) <= size + 1:
        raise CannotTell(f"I cannot tell: {len(net)} things are tied, and {size} of them are to be chosen; give more links, or a smaller size.")
    chosen, scores = _set(net, size, aim, seed)
    work = (min(len(net), _TRIED) if len(net) > _ALL else len(net)) * size * min(len(net), _STARTS) * len(net.others) * (1 if aim == "fragment" else 0.01)
    many = min(replicates, int(_WORK // max(1.0, work)))
    stays = np.zeros(len(net))
    for made in _changed(net, missing, spurious, many, seed):
        stays[_set(made, size, aim, seed)[0]] += 1
    rng = np.random.default_rng([seed, 99])
    chance = float(np.mean([_score(net, rng.choice(len(net), size, replace=False), aim, seed) for _ in range(99 if len(net) <= 2_000 else 19)]))
    said = _shown.Names(net, nodes)
    said.fetch(chosen)
    table = pl.DataFrame({"id": [said.name(c) for c in chosen], "label": [said.label(c) for c in chosen], "kind": [said.kind(c) for c in chosen],
                          "degree": net.degree[chosen], "score": scores, "stays": pl.Series(stays[chosen] / many if many else [None] * size, dtype=pl.Float64),
                          "random_score": [chance] * size})
    does = "leaves the others furthest apart" if aim == "fragment" else "reaches all others in fewest steps"
    what = "distance-weighted fragmentation" if aim == "fragment" else "distance-weighted reach"
    headline = f"The set of {size} that {does}: {', '.join(table['label'].to_list())} ({what} {scores[-1]:.2f}; {chance:.2f} for sets drawn at random)"
    least = float(stays[chosen].min() / many) if many else 1.0
    if many:
        headline += f". With {missing:.0%} of ties missing and {spurious:.0%} wrong, each stays in it in at least {least:.0%} of {many} changed networks"
        headline += "" if least >= 0.5 else ", so who belongs to it cannot be told firmly"
    notes = ["Key by position says nothing about what a person does."] + ([] if many else ["How far missing ties change the set was not drawn."])
    if len(net) > _ALL:
        notes.append(f"Only the {_TRIED} with the highest betweenness or degree were tried.")
    basis = Basis.of(net, method=f"key players ({aim}), greedy with exchange", source=_SOURCE, used=len(net.rows), notes=tuple(notes),
                     parameters={"size": size, "aim": aim, "replicates": many, "missing": missing, "spurious": spurious, "seed": seed})
    return Ranking(headline=headline + ".", table=table, layers=_shown.layers(said, chosen, []), basis=basis, base=origin_of(net).base)


def _checked(net: Network, by: str, missing: float, spurious: float, replicates: int, seed: int) -> None:
    if by not in MEASURES:
        raise BadInput(f"by={by!r} is not known.{did_you_mean(str(by), MEASURES)}")
    finite(missing=missing, spurious=spurious)
    if not 0 <= missing <= 1 or not 0 <= spurious < 1:
        raise BadInput(f"missing={missing!r} and spurious={spurious!r} are shares; give 0 to 1, e.g. 0.1.")
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 0:
        raise BadInput(f"replicates={replicates!r} does not do; give a whole number of at least 0.")
    counts(seed=seed)
    if seed < 0:
        raise BadInput(f"seed={seed!r} does not do; give a whole number of at least 0.")
    if not net.edges:
        raise CannotTell("I cannot tell: there is no tie between two things. Give the links of the tables in question, or a longer time.")


def _starts(net: Network, seed: int, most: int) -> Any:
    if len(net) <= most:
        return np.arange(len(net), dtype=np.int32)
    return np.sort(np.random.default_rng([seed, 3]).choice(len(net), most, replace=False)).astype(np.int32)


def _pivots(net: Network) -> int:
    """Starts of sampled betweenness, fewer the larger the network."""
    return int(min(_PIVOTS, max(_FEWEST, _GONE // (len(net) + len(net.others)))))


def _one(net: Network, by: str, seed: int) -> Any:
    """One measure of each thing; None where the network is too large for it."""
    none, exact = np.zeros(0), len(net) * net.edges <= _EXACT
    if by == "degree":
        return net.degree.astype(float)
    if by == "betweenness":
        return _measures.betweenness(net.first, net.others, _starts(net, seed, len(net) if exact else _pivots(net))).share
    if by == "closeness":
        return _measures.closeness(net.first, net.others, np.arange(len(net), dtype=np.int32)) if exact else None
    if by == "pagerank":
        return _pagerank.pagerank(net.first, net.others, none)
    if by == "core":
        return _measures.cores(net.first, net.others).astype(float)
    if float(np.sum(net.degree.astype(float) ** 2)) > _EXACT:
        return None
    return _measures.holes(net.first, net.others, none)[0 if by == "constraint" else 1]


def _all(net: Network, seed: int) -> tuple[dict[str, Any], _measures.Betweenness]:
    exact = len(net) * net.edges <= _EXACT
    between = _measures.betweenness(net.first, net.others, _starts(net, seed, len(net) if exact else _pivots(net)))
    return {m: between.share if m == "betweenness" else _one(net, m, seed) for m in MEASURES}, between


def _ranks(values: Any, by: str) -> Any:
    """1 = first; equals share the best of their ranks."""
    key = values if by == "constraint" else -values
    key = np.round(np.where(np.isnan(key), np.inf, key), 12)
    return np.searchsorted(np.sort(key), key) + 1


def _affordable(net: Network, by: str, replicates: int) -> int:
    starts = len(net) if len(net) * net.edges <= _EXACT else _pivots(net)
    work = (starts if by in ("betweenness", "closeness") else 60) * len(net.others) + 20 * len(net)
    many = min(replicates, int(_WORK // max(1, work)))
    return many if many >= min(20, replicates) else 0


def _changed(net: Network, missing: float, spurious: float, many: int, seed: int) -> Any:
    """Networks with ties dropped, and ties added between things drawn by their number of ties."""
    low, high = net.ends
    for r in range(many):
        rng = np.random.default_rng([seed, 5, r])
        keep = rng.random(net.edges) >= spurious
        ends = net.others[rng.integers(0, len(net.others), 2 * rng.poisson(missing * net.edges))]
        one, two = np.split(ends, 2)
        yield Network(pl.DataFrame(), net.ids, np.concatenate([low[keep], one]), np.concatenate([high[keep], two]))


def _score(net: Network, members: Any, aim: str, seed: int) -> float:
    n = len(net)
    chosen = np.asarray(members, dtype=np.int32)
    if aim == "reach":
        return _measures.reach(net.first, net.others, chosen) / n
    gone = np.zeros(n, dtype=np.uint8)
    gone[chosen] = 1
    starts = _starts(net, seed, _STARTS)
    left = int(len(starts) - gone[starts].sum())
    near, _ = _measures.apart(net.first, net.others, gone, starts)
    others = n - len(chosen) - 1
    return 1.0 - near / (left * others) if left and others > 0 else 1.0


def _set(net: Network, size: int, aim: str, seed: int) -> tuple[list[int], list[float]]:
    """The set chosen greedily, then exchanged while that is better; and the score of its first one, two, ... members."""
    tried = np.arange(len(net))
    if len(net) > _ALL:
        between = _measures.betweenness(net.first, net.others, _starts(net, seed, _pivots(net))).share
        tried = np.union1d(np.argsort(-between, kind="stable")[:_TRIED // 2], np.argsort(-net.degree, kind="stable")[:_TRIED // 2])
    chosen: list[int] = []

    def best(rest: list[int]) -> tuple[float, int]:
        return max((_score(net, [*rest, c], aim, seed), -c) for c in tried.tolist() if c not in rest)

    for _ in range(size):
        chosen.append(-best(chosen)[1])
    now = _score(net, chosen, aim, seed)
    for _ in range(2 * size):
        options = [(*best(chosen[:k] + chosen[k + 1:]), k) for k in range(size)]
        value, minus, k = max(options)
        if value <= now + 1e-12:
            break
        chosen, now = [*chosen[:k], *chosen[k + 1:], -minus], value
    return chosen, [_score(net, chosen[:k + 1], aim, seed) for k in range(size)]


def _named(table: pl.DataFrame, nodes: pl.DataFrame | None) -> pl.DataFrame:
    """With label and kind behind the id."""
    plain = table.with_columns(_kind=pl.col("id").str.extract(r"^([^:]+):", 1).fill_null("thing"))
    for column in ("label", "kind"):
        if nodes is not None and column in nodes.columns:
            known = nodes.select(pl.col("id").cast(pl.String), pl.col(column).cast(pl.String)).unique("id", keep="first")
            plain = plain.join(known, on="id", how="left", maintain_order="left")
        else:
            plain = plain.with_columns(pl.lit(None, dtype=pl.String).alias(column))
    made = plain.with_columns(label=pl.coalesce("label", "id"), kind=pl.coalesce("kind", "_kind")).drop("_kind")
    return made.select("rank", "id", "label", "kind", *[c for c in made.columns if c not in ("rank", "id", "label", "kind")])


def _headline(table: pl.DataFrame, by: str, missing: float, spurious: float, many: int) -> str:
    top, word = table.row(0, named=True), by.replace("_", " ")
    sampled = by == "betweenness" and table["betweenness_high"].sum() > table["betweenness"].sum()
    value = f"{word} {_shown.figure(top[by])}"
    if sampled:
        near = int((table["betweenness_high"].slice(1) >= top["betweenness_low"]).sum())
        value += f", {_shown.figure(top['betweenness_low'])} to {_shown.figure(top['betweenness_high'])} from a sample" + (
            f", in which {several(near, 'other')} may stand as high" if near else "")
    equal = int((table["rank"] == 1).sum())
    first = f"{top['label']} comes first by {word} of {several(len(table), 'thing')} ({value})" if equal == 1 else \
        f"{equal} of {several(len(table), 'thing')} share the first place by {word} ({value}), {top['label']} among them"
    if not many:
        return f"{first}. How far missing ties change that was not drawn."
    rates = f"with {missing:.0%} of ties missing and {spurious:.0%} wrong"
    rivals = table.slice(1).filter(pl.col("rank_low") <= top["rank_high"])
    if len(rivals):
        named = ", ".join(rivals["label"].head(3).to_list())
        return f"I cannot tell who is first by {word}: {top['label']} is ({value}), but {rates} its rank runs from {top['rank_low']} to {top['rank_high']}, " \
               f"and {several(len(rivals), 'other')} may stand as high ({named}{' and others' if len(rivals) > 3 else ''}). More links would tell."
    return f"{first}, also {rates} (first in {top['first']:.0%} of {many} changed networks)."


def _notes(net: Network, many: int, asked: int, error: Any) -> tuple[str, ...]:
    out = ["A high rank says where a thing stands among the ties recorded; whoever is watched more has more ties recorded."]
    if error.any():
        out.append(f"Betweenness is from {_pivots(net)} of {len(net):,} starts drawn at random; the truth lies between "
                   "betweenness_low and betweenness_high; on graphs of 400 things that held the truth in 95 of 100 cases and more, on far larger ones it was "
                   "not tried.")
    if many < asked:
        out.append(f"Rank intervals are from {many} changed networks instead of {asked}, since the network is large.")
    if net.loops + net.nameless:
        out.append(f"{several(net.loops + net.nameless, 'statement')} left out that tie a thing to itself or name nothing at an end.")
    return tuple(out)

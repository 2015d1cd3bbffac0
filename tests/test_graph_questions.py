"""Questions of graphs: arrays and paths against networkx on random graphs, chance, communities, brokers, periods, and what cannot be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell, NotFound
from workbench.models.links import _leiden, _measures, _network, _pagerank, _random_graphs, communities, key_players, paths, slices
from workbench.models.links._network import Network

START = datetime(2026, 1, 5, tzinfo=UTC)
PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=40).filter(lambda p: any(a != b for a, b in p))


def statements(pairs: Any, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"source": [f"person:{a:02}" for a, _ in pairs], "target": [f"person:{b:02}" for _, b in pairs], **more})


def like(pairs: Any) -> Any:
    graph = nx.Graph()
    graph.add_nodes_from(f"person:{i:02}" for p in pairs for i in p)
    graph.add_edges_from((f"person:{a:02}", f"person:{b:02}") for a, b in pairs if a != b)
    return graph


def two_groups(each: int, seed: int) -> pl.DataFrame:
    """Two groups of many ties, and one thing between them."""
    rng = np.random.default_rng(seed)
    pairs = [(g * each + a, g * each + b) for g in (0, 1) for a in range(each) for b in range(a) if rng.random() < 0.6]
    return statements([*pairs, (0, 99), (1, 99), (each, 99), (each + 1, 99)])


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_the_arrays_hold_the_graph_that_networkx_holds(pairs: Any) -> None:
    net, graph = Network.of(statements(pairs)), like(pairs)
    assert net.ids.to_list() == sorted(graph) and net.edges == graph.number_of_edges()
    assert all(net.neighbours(v) == sorted(graph[v]) for v in graph)
    assert net.loops == sum(a == b for a, b in pairs)
    rows = net.statements(np.arange(net.edges)).tolist()
    assert sorted(rows) == [r for r, (a, b) in enumerate(pairs) if a != b]
    assert nx.utils.graphs_equal(nx.Graph(net.to_networkx().edges), nx.Graph(graph.edges))
    for v in graph:
        near = nx.single_source_shortest_path_length(graph, v, 2)
        assert dict(net.ego(v, 2).select("id", "hop").iter_rows()) == near


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(1, 6), st.sampled_from([None, 2, 4]), st.integers(0, 1000))
def test_all_paths_are_found_and_no_others(pairs: Any, hops: int, hub: int | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    strength = rng.choice([0.2, 0.5, 1.0], len(pairs))
    net = Network.of(statements(pairs, strength=strength))
    graph = like([p for p, s in zip(pairs, strength, strict=True) if s >= 0.5])
    a, b = rng.choice(net.ids.to_list(), 2, replace=False).tolist()
    graph.add_nodes_from([a, b])
    kept = graph.subgraph([v for v in graph if v in (a, b) or hub is None or net.degree[net.code(v)] <= hub])
    found = net.paths(a, b, hops=hops, strength=0.5, max_degree=hub)
    assert sorted(found.names()) == sorted(nx.all_simple_paths(kept, a, b, cutoff=hops))
    order = [(n, -s, p) for n, s, p in found.table().iter_rows()]
    assert order == sorted(order) and found.count == len(found)
    if found.count > 1:
        assert net.paths(a, b, hops=hops, strength=0.5, max_degree=hub, most=1).names() == found.names()[:1]


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.sampled_from([3, 4]), st.sampled_from([None, 2, 4]), st.integers(1, 30), st.integers(0, 1000))
def test_paths_of_few_steps_counted_without_listing_are_as_many_and_the_first_ones(pairs: Any, hops: int, hub: int | None, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = Network.of(statements(pairs, kind=rng.choice(["met", "called"], len(pairs)).tolist()))
    a, b = rng.choice(net.ids.to_list(), 2, replace=False).tolist()
    kinds = net.frame["kind"].head(1).to_list() if seed % 2 else None
    every, some = (net.paths(a, b, hops=hops, kinds=kinds, max_degree=hub, most=m) for m in (None, most))
    assert some.counts == every.counts and some.complete == hops
    assert some.names() == every.names()[:most] and some.edges.tolist() == every.edges[:most].tolist()


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_measures_are_those_of_networkx_and_communities_hang_together(pairs: Any) -> None:
    net, graph = Network.of(statements(pairs)), like(pairs)
    ids, everyone = net.ids.to_list(), np.arange(len(net), dtype=np.int32)

    def same(ours: Any, theirs: dict[str, float]) -> None:
        np.testing.assert_allclose(ours, [theirs[i] for i in ids], rtol=0, atol=1e-9)

    same(_measures.betweenness(net.first, net.others, everyone).share, nx.betweenness_centrality(graph))
    same(_pagerank.pagerank(net.first, net.others, np.zeros(0)), nx.pagerank(graph, tol=1e-14, max_iter=5000))
    same(_measures.holes(net.first, net.others, np.zeros(0))[1], nx.effective_size(graph))
    same(_measures.cores(net.first, net.others), nx.core_number(graph))
    found, quality = _leiden.partition(net.first, net.others, np.ones(len(net.others)), resolution=1.0, seed=1, rounds=5)
    groups = [set(net.named(np.flatnonzero(found == k))) for k in range(int(found.max()) + 1)]
    assert all(nx.is_connected(graph.subgraph(g)) for g in groups)
    assert abs(quality - nx.community.modularity(graph, groups)) < 1e-9


def test_statements_too_many_for_packed_numbers_are_sorted_the_same_by_counting() -> None:
    rng = np.random.default_rng(6)
    for n, rows in ((1, 5), (30, 2_000), (500, 400)):
        source, target = rng.integers(-1, n, (2, rows)).astype(np.int32)
        packed, counted = _network._sorted(n, source, target), _network._counted(n, source, target)
        assert packed[2] == counted[2] == int(((source >= 0) & (target >= 0) & (source != target)).sum())
        np.testing.assert_array_equal(packed[0], counted[0])
        np.testing.assert_array_equal(packed[1], counted[1])


def test_names_may_be_whole_numbers_near_or_far_from_zero_and_statements_may_be_nameless() -> None:
    for low in (0, 10**12, -5):
        net = Network.of(pl.DataFrame({"source": [low, low + 1, None, low], "target": [low + 1, low + 7, low, low]}))
        assert net.ids.to_list() == [low, low + 1, low + 7] and (net.edges, net.nameless, net.loops) == (2, 1, 1)
        assert net.neighbours(low + 1) == [low, low + 7]


def test_random_graphs_keep_the_ties_of_each_thing_by_kind() -> None:
    graph = nx.gnm_random_graph(60, 150, seed=2)
    low, high = np.array(graph.edges, dtype=np.int32).T.copy()
    types = (np.arange(60) % 3).astype(np.int32)
    a, b = _random_graphs.drawn(low, high, types, seed=5)
    np.testing.assert_array_equal(_random_graphs.stubs(a, b, types, 60), _random_graphs.stubs(low, high, types, 60))
    drawn = {(min(p), max(p)) for p in zip(a.tolist(), b.tolist(), strict=True)}
    assert len(drawn) == 150 and all(x != y for x, y in drawn) and drawn != {(min(p), max(p)) for p in graph.edges}


def test_the_number_expected_by_chance_is_the_mean_of_random_graphs() -> None:
    graph = nx.gnm_random_graph(400, 800, seed=4)
    net = Network.of(pl.DataFrame(list(graph.edges), schema=["source", "target"], orient="row"))
    chance = paths._Chance(net, np.zeros(0, np.uint8), 10**6)
    drawn = chance.drawn(3, 7, 5, 300, 1)
    assert drawn is not None and abs(chance.expected(3, 7, 5) - np.mean(drawn)) < 0.15 * np.mean(drawn) + 0.2


def test_planted_paths_are_more_than_chance_and_hubs_are_shown_but_not_followed() -> None:
    graph = nx.gnm_random_graph(60, 60, seed=1)
    pairs = [*graph.edges, *[(x, y) for k in range(5) for x, y in ((70, 80 + k), (80 + k, 71))], *[(90, k) for k in range(60)], (90, 70), (90, 71)]
    frame = statements(pairs, kind=["met"] * len(pairs), at=[START + timedelta(days=k) for k in range(len(pairs))])
    answer = paths.paths(frame, ["person:70", "person:71"], hops=3, hub=30)
    assert answer.table["paths"][0] == 5 and answer.table["p"][0] <= 0.05 and "5 paths of up to 3 steps join" in answer.headline
    assert "would add 1." in answer.headline and "no more than chance" not in answer.headline
    assert answer.graph.nodes["person:90"]["hub"] and not answer.graph.nodes["person:80"]["hub"]
    assert len(answer.evidence) == 10 and "<svg" not in answer.headline and answer._repr_html_()
    late = paths.paths(frame, ["person:70", "person:71"], hops=3, hub=30, since=START + timedelta(days=400))
    assert late.headline.startswith("No path of up to 3 steps joins person:70 and person:71")


def test_groups_planted_are_found_and_none_are_claimed_of_a_random_graph() -> None:
    groups = [(g * 8 + a, g * 8 + b) for g in range(4) for a in range(8) for b in range(a)] + [(g * 8, (g + 1) % 4 * 8) for g in range(4)]
    answer = communities.communities(statements(groups), replicates=39)
    assert answer.basis.parameters["p"] <= 0.05 and answer.table["things"].to_list() == [8] * 4 and answer.table["firm"].all()
    graph = nx.gnm_random_graph(80, 160, seed=3)
    plain = communities.communities(statements(graph.edges), replicates=39)
    assert plain.headline.startswith("There is no more structure than chance would give")
    again = communities.communities(statements(graph.edges), replicates=39)
    assert again.headline == plain.headline and again.table.equals(plain.table)


def test_the_one_between_two_groups_comes_first_and_is_the_key_player() -> None:
    frame = two_groups(8, 2)
    answer = key_players.brokers(frame, missing=0.02, spurious=0.02, replicates=60)
    assert answer.table["id"][0] == "person:99" and answer.table["rank_low"][0] == 1
    cut = key_players.key_players(frame, size=1, replicates=10)
    assert cut.table["id"].to_list() == ["person:99"] and cut.table["score"][0] > cut.table["random_score"][0]
    ring = key_players.brokers(statements([(k, (k + 1) % 10) for k in range(10)]), replicates=40)
    assert ring.headline.startswith("I cannot tell who is first")


@pytest.mark.parametrize("drawn", [32, 100])
def test_sampled_betweenness_lies_within_its_interval_in_95_cases_of_100(drawn: int) -> None:
    made = {"hubs": nx.barabasi_albert_graph(400, 3, seed=1), "tree": nx.barabasi_albert_graph(400, 1, seed=2), "even": nx.gnm_random_graph(400, 900, seed=3),
            "groups": nx.connected_caveman_graph(40, 10), "clustered": nx.powerlaw_cluster_graph(400, 2, 0.5, seed=4),
            "ring": nx.watts_strogatz_graph(400, 4, 0.05, seed=5)}
    for name, graph in made.items():
        net = Network.of(pl.DataFrame(list(graph.edges), schema=["source", "target"], orient="row"))
        exact = _measures.betweenness(net.first, net.others, np.arange(len(net), dtype=np.int32))
        assert not exact.error.any() and (exact.low == exact.share).all() and (exact.high == exact.share).all()
        top, within, mean = np.argsort(-exact.share)[:40], [], np.zeros(len(net))
        for seed in range(40):
            starts = np.random.default_rng(seed).choice(len(net), drawn, replace=False).astype(np.int32)
            some = _measures.betweenness(net.first, net.others, starts)
            inside = (some.low <= exact.share + 1e-12) & (exact.share <= some.high + 1e-12)
            within.append((inside[top].mean(), inside.mean()))
            mean += some.share / 40
        assert min(np.mean(within, axis=0)) >= 0.95, (name, np.mean(within, axis=0))
        assert abs(mean[top].sum() / exact.share[top].sum() - 1) < 0.05


def test_periods_say_who_entered_and_left() -> None:
    days = [0, 1, 40, 41, 80]
    frame = statements([(1, 2), (2, 3), (1, 2), (2, 4), (1, 3)], at=[START + timedelta(days=d) for d in days])
    table = slices.periods(frame, every="1mo").table
    assert table["entered"].to_list() == [3, 1, 0] and table["left"].to_list() == [None, 1, 2] and table["returned"].to_list() == [0, 0, 1]
    assert table["kept"].to_list() == [None, 1, 0] and slices.members(frame).table.filter(pl.col("id") == "person:01")["present"][0] == 3


def test_what_cannot_be_told_or_used_is_said_in_a_sentence() -> None:
    none = statements([]).cast(pl.String)
    for call in (lambda f: paths.paths(f, ["a", "b"]), communities.communities, key_players.brokers, key_players.key_players):
        with pytest.raises(CannotTell, match="I cannot tell"):
            call(none)
    with pytest.raises(CannotTell, match="I cannot tell"):
        slices.periods(statements([(1, 2)], at=pl.Series([None], dtype=pl.Datetime("us", "UTC"))))
    one = statements([(1, 2)], strength=[0.5])
    with pytest.raises(NotFound, match="Did you mean 'person:01'"):
        paths.paths(one, ["person:1", "person:02"])
    for wrong in ({"ends": ["person:01"]}, {"ends": ["person:01", "person:02"], "hops": 9}, {"ends": ["person:01", "person:02"], "kinds": ["met"]}):
        with pytest.raises(BadInput):
            paths.paths(one, **wrong)
    with pytest.raises(BadInput, match="must be 0 to 1"):
        Network.of(statements([(1, 2)], strength=[2.0]))
    with pytest.raises(BadInput, match="both must be texts"):
        Network.of(pl.DataFrame({"source": [1.5], "target": ["a"]}))
    for call in (key_players.brokers, key_players.key_players):
        for odd in ({"missing": "x"}, {"spurious": None}, {"seed": "x"}, {"seed": -1}):
            with pytest.raises(BadInput):
                call(one, **odd)
    for odd in ({"ends": [["person:01"], "person:02"]}, {"ends": 7}, {"seed": "x"}, {"strength": "x"}, {"kinds": [1]}):
        with pytest.raises(BadInput):
            paths.paths(one, **{"ends": ["person:01", "person:02"], **odd})
    with pytest.raises(BadInput, match="kind holds Int64"):
        Network.of(one.with_columns(kind=pl.lit(1, dtype=pl.Int64)))
    with pytest.raises(BadInput, match="'label' of the nodes frame is List"):
        key_players.brokers(one, nodes=pl.DataFrame({"id": ["person:01"], "label": [["A"]]}))
    with pytest.raises(BadInput, match="by='betweennes' is not known"):
        key_players.brokers(one, by="betweennes")

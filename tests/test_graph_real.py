"""Measures of real networks (Caviar, Noordin Top, Moreno crime) are those of networkx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

from workbench.models.links import _leiden, _measures, _pagerank, communities, key_players, paths, slices
from workbench.models.links._network import Network

EVERY = np.zeros(0)


def layers(folder: Path, name: str) -> pl.DataFrame:
    """All layers as statements; names and layers as they stand in the file."""
    frame = pl.read_csv(folder / "networks" / f"{name}_edges.csv", infer_schema_length=0).rename({"from": "source", "to": "target"})
    return frame.with_columns(pl.col("weight").cast(pl.Float64)) if "weight" in frame.columns else frame


def networks(folder: Path) -> list[Network]:
    caviar, noordin = layers(folder, "covert_10"), layers(folder, "covert_34")
    moreno = layers(folder, "moreno_crime").with_columns(pl.format("incident:{}", "source"), pl.format("person:{}", "target"))
    return [Network.of(f) for f in (*caviar.partition_by("layer"), *noordin.partition_by("layer"), noordin, moreno)]


def test_measures_of_real_networks_are_those_of_networkx(real_data: Path) -> None:
    for net in networks(real_data):
        graph, ids = net.to_networkx(), net.ids.to_list()
        half, everyone = net.weights[net.edge], np.arange(len(net), dtype=np.int32)

        def same(ours: Any, theirs: dict[Any, float], ids: list[Any] = ids) -> None:
            np.testing.assert_allclose(ours, [theirs[i] for i in ids], rtol=0, atol=1e-9)

        same(net.degree, dict(graph.degree))
        same(_measures.betweenness(net.first, net.others, everyone).share, nx.betweenness_centrality(graph))
        same(_measures.closeness(net.first, net.others, everyone), nx.closeness_centrality(graph))
        same(_measures.cores(net.first, net.others), nx.core_number(graph))
        same(_pagerank.pagerank(net.first, net.others, EVERY), nx.pagerank(graph, weight=None, tol=1e-14, max_iter=5000))
        same(_pagerank.pagerank(net.first, net.others, half), nx.pagerank(graph, tol=1e-14, max_iter=5000))
        same(_measures.holes(net.first, net.others, half)[0], nx.constraint(graph, weight="weight"))
        parts = _measures.components(net.first, net.others)
        wanted = nx.connected_components(graph)
        assert {frozenset(net.named(np.flatnonzero(parts == k))) for k in set(parts.tolist())} == {frozenset(c) for c in wanted}
        given = np.arange(len(net), dtype=np.int32) % 4
        groups = [set(net.named(np.flatnonzero(given == k))) for k in range(min(4, len(net)))]
        for weight, name in ((np.ones(len(half)), None), (half, "weight")):
            assert abs(_leiden.modularity(net.first, net.others, weight, given) - nx.community.modularity(graph, groups, weight=name)) < 1e-9


def test_communities_of_real_networks_are_no_worse_than_those_of_networkx(real_data: Path) -> None:
    for net in networks(real_data):
        graph = net.to_networkx()
        _, quality = communities.best(net.first, net.others, np.ones(len(net.others)), 1.0, 1, 5)
        theirs = np.mean([nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=s, weight=None), weight=None) for s in range(5)])
        assert quality > theirs - 0.005


def test_caviar_has_its_eleven_phases_and_its_known_broker(real_data: Path) -> None:
    caviar = layers(real_data, "covert_10")
    whole = caviar.filter(pl.col("layer") == "CAVIAR_FULL")
    phases = caviar.filter(pl.col("layer") != "CAVIAR_FULL").with_columns(phase=pl.col("layer").str.extract(r"(\d+)$").cast(pl.Int64))
    answer = slices.periods(phases, by="phase")
    assert answer.table["period"].to_list() == [str(k) for k in range(1, 12)]
    assert answer.table["ties"].to_list()[:3] == [18, 28, 56] and answer.table["things"].to_list()[:3] == [15, 24, 33]
    assert answer.table["kept"].sum() > answer.table["kept_by_chance"].sum()
    each = slices.members(phases, by="phase").table
    assert each["kept"].sum() == 2 * answer.table["kept"].sum() and abs(each["kept_by_chance"].sum() - 2 * answer.table["kept_by_chance"].sum()) < 1e-6
    first = key_players.brokers(whole, replicates=40)
    assert first.table["id"][0] == "1" and first.headline.startswith("1 comes first by betweenness of 110 things")


@pytest.mark.parametrize("hops", [2, 3, 4])
def test_all_paths_in_caviar_are_those_of_networkx(real_data: Path, hops: int) -> None:
    net = Network.of(layers(real_data, "covert_10").filter(pl.col("layer") == "CAVIAR_FULL"))
    graph = net.to_networkx()
    found = net.paths("1", "82", hops=hops)
    assert sorted(found.names()) == sorted(nx.all_simple_paths(graph, "1", "82", cutoff=hops))
    assert paths.paths(net, ["1", "82"], hops=hops, hub=None, replicates=0).table["paths"][0] == found.count

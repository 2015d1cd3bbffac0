"""The street network: corners, places, pairs and reach, against networkx and against direct search."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.geo.network import Placed, StreetNetwork

PLANE = Plane.local(41.6, -90.9)


def streets(lines: list[Any], **more: Any) -> pl.DataFrame:
    """A frame of the table streets from lines in metres."""
    texts = []
    for line in lines:
        x, y = np.array(line, dtype=float).T
        texts.append(json.dumps({"type": "LineString", "coordinates": np.stack(PLANE.to_degrees(x, y), axis=1).tolist()}))
    return pl.DataFrame({"street_id": [f"s{k}" for k in range(len(lines))], "geometry": texts, **more})


def random_lines(seed: int, n: int = 40, m: int = 80) -> list[Any]:
    """Straight and bent streets between random corners, some of them double, some loops, some parts apart."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 1000, (n, 2))
    lines = []
    for _ in range(m):
        a, b = rng.integers(0, n, 2)
        bend = (corner[a] + corner[b]) / 2 + rng.normal(0, 30, 2)
        lines.append([corner[a], bend, corner[b]] if a == b or rng.random() < 0.5 else [corner[a], corner[b]])
    return lines


def graph(network: StreetNetwork, one_way: bool = False, cost: Any = None) -> nx.MultiDiGraph:
    price, made = network.length if cost is None else cost, nx.MultiDiGraph()
    made.add_nodes_from(range(len(network.x)))
    for s in range(len(network)):
        a, b = int(network.begin[s]), int(network.end[s])
        if not one_way or network.way[2 * s]:
            made.add_edge(a, b, weight=float(price[s]))
        if not one_way or network.way[2 * s + 1]:
            made.add_edge(b, a, weight=float(price[s]))
    return made


def all_pairs(network: StreetNetwork, p: Placed, q: Placed, *, one_way: bool = False, cost: Any = None) -> Any:
    """Distances by networkx between the corners and the ends of each place's street."""
    price = network.length if cost is None else cost
    far = np.full((len(network.x),) * 2, math.inf)
    for a, row in nx.all_pairs_dijkstra_path_length(graph(network, one_way, cost)):
        for b, d in row.items():
            far[a, b] = d
    out = np.full((len(p), len(q)), math.inf)
    for i in range(len(p)):
        for j in range(len(q)):
            s, t, a, b = int(p.segment[i]), int(q.segment[j]), float(p.at[i]), float(q.at[j])
            leave = [(int(network.end[s]), (1 - a) * price[s], 2 * s), (int(network.begin[s]), a * price[s], 2 * s + 1)]
            come = [(int(network.begin[t]), b * price[t], 2 * t), (int(network.end[t]), (1 - b) * price[t], 2 * t + 1)]
            way = network.way if one_way else np.ones(2 * len(network))
            best = [c + far[u, v] + d for u, c, h in leave if way[h] for v, d, g in come if way[g]]
            if s == t and (b >= a and way[2 * s] or b <= a and way[2 * s + 1]):
                best.append(abs(a - b) * price[s])
            out[i, j] = min(best, default=math.inf)
    return out


def places(network: StreetNetwork, n: int, seed: int) -> Placed:
    rng = np.random.default_rng(seed)
    return Placed(rng.integers(0, len(network), n), rng.random(n), np.zeros(n), 100.0)


@given(st.integers(0, 10_000), st.floats(20, 2000))
@settings(max_examples=15, deadline=None)
def test_pairs_along_the_streets_are_those_of_networkx(seed: int, within: float) -> None:
    network = StreetNetwork.of(streets(random_lines(seed)), plane=PLANE)
    p = places(network, 30, seed)
    i, j, d = network.pairs(p, within)
    exact = all_pairs(network, p, p)
    wanted = {(a, b) for a in range(30) for b in range(a + 1, 30) if exact[a, b] <= within - 1e-6}
    assert wanted <= set(zip(i.tolist(), j.tolist(), strict=True)) and bool((d <= within).all())
    assert len(i) == len(set(zip(i.tolist(), j.tolist(), strict=True)))
    assert np.allclose(d, exact[i, j], atol=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_with_one_way_streets_and_driving_times_distances_are_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = random_lines(seed)
    ways = rng.choice([None, "forward", "backward"], len(lines)).tolist()
    network = StreetNetwork.of(streets(lines, one_way=pl.Series(ways, dtype=pl.String), speed_limit=rng.uniform(5, 20, len(lines))), plane=PLANE)
    p, q = places(network, 20, seed), places(network, 15, seed + 1)
    i, j, d = network.distances(p, q, 120.0, cost=network.seconds(), one_way=True)
    exact = all_pairs(network, p, q, one_way=True, cost=network.seconds())
    assert len(i) == int((exact <= 120).sum()) and np.allclose(d, exact[i, j], atol=1e-9)
    i, v, d = network.reach(p, 60.0, cost=network.seconds(), one_way=True)
    lone = nx.multi_source_dijkstra_path_length(graph(network, True, network.seconds()), {0})
    assert set(lone) and bool((d <= 60.0).all()) and len(set(zip(i.tolist(), v.tolist(), strict=True))) == len(i)


def test_reach_gives_each_corner_its_shortest_way() -> None:
    network = StreetNetwork.of(streets(random_lines(5)), plane=PLANE)
    p = places(network, 10, 3)
    i, v, d = network.reach(p, 900.0)
    far = dict(nx.all_pairs_dijkstra_path_length(graph(network)))
    for a in range(10):
        s, t = int(p.segment[a]), float(p.at[a])
        wanted = {}
        for u in range(len(network.x)):
            best = min(far[int(network.begin[s])].get(u, math.inf) + t * network.length[s], far[int(network.end[s])].get(u,
                math.inf) + (1 - t) * network.length[s])
            if best <= 900:
                wanted[u] = best
        got = dict(zip(v[i == a].tolist(), d[i == a].tolist(), strict=True))
        assert got.keys() == wanted.keys() and all(abs(got[u] - wanted[u]) < 1e-6 for u in wanted)


@given(st.integers(0, 10_000), st.floats(5, 300))
@settings(max_examples=15, deadline=None)
def test_a_point_lies_on_its_nearest_street_or_on_none(seed: int, limit: float) -> None:
    network = StreetNetwork.of(streets(random_lines(seed)), plane=PLANE)
    rng = np.random.default_rng(seed)
    px, py = rng.uniform(-400, 1400, (2, 60))
    placed = network.snap(px, py, limit=limit)
    best = np.full(60, math.inf)
    for s in range(len(network)):
        a, b = network.starts[s], network.starts[s + 1]
        for k in range(a, b - 1):
            u = np.array([network.vx[k], network.vy[k]])
            w = np.array([network.vx[k + 1], network.vy[k + 1]]) - u
            t = np.clip(((px - u[0]) * w[0] + (py - u[1]) * w[1]) / max(float(w @ w), 1e-12), 0, 1)
            best = np.minimum(best, np.hypot(u[0] + t * w[0] - px, u[1] + t * w[1] - py))
    on = placed.segment >= 0
    assert bool((on == (best <= limit)).all()) and placed.unplaced == int((best > limit).sum())
    assert np.allclose(placed.distance[on], best[on], atol=1e-6)
    x, y = network.spots(placed.segment[on], placed.at[on])
    assert np.allclose(np.hypot(x - px[on], y - py[on]), best[on], atol=1e-5)


def test_the_answer_does_not_depend_on_the_number_of_threads() -> None:
    network = StreetNetwork.of(streets(random_lines(1)), plane=PLANE)
    p = places(network, 2000, 0)
    one, four = network.pairs(p, 150.0, threads=1), network.pairs(p, 150.0, threads=4)
    assert all(np.array_equal(a, b) for a, b in zip(one, four, strict=True))


def test_pairs_are_the_same_when_the_plane_is_turned_or_streets_are_reordered() -> None:
    frame = streets(random_lines(2))
    rng = np.random.default_rng(0)
    lon, lat = PLANE.to_degrees(*rng.uniform(0, 1000, (2, 50)))
    points = pl.DataFrame({"lon": lon, "lat": lat})
    found = []
    for f, plane in ((frame, PLANE), (frame.sample(fraction=1, shuffle=True, seed=1), PLANE), (frame, PLANE.turn(33))):
        network = StreetNetwork.of(f, plane=plane)
        found.append(network.pairs(network.place(points), 400.0))
    for other in found[1:]:
        assert np.array_equal(found[0][0], other[0]) and np.array_equal(found[0][1], other[1]) and np.allclose(found[0][2], other[2], atol=1e-4)


def test_ends_that_nearly_meet_are_one_corner() -> None:
    lines = [[(0, 0), (100, 0)], [(100.3, 0.2), (200, 0)], [(103, 0), (103, 50)]]
    assert len(StreetNetwork.of(streets(lines), plane=PLANE).x) == 5
    assert len(StreetNetwork.of(streets(lines), plane=PLANE, snap=0).x) == 6
    assert len(StreetNetwork.of(streets(lines), plane=PLANE, snap=5).x) == 4


def test_rows_without_a_usable_line_are_left_out_and_counted() -> None:
    good = streets([[(0, 0), (100, 0)]])
    bad = ['{"type": "LineString", "coordinates": [[0, 0]]}', None, '{"type": "Point", "coordinates": [1, 2]}', "nonsense",
        '{"type": "LineString", "coordinates": []}']
    for some in (bad, bad[:2], [*bad[:1], bad[4]]):
        network = StreetNetwork.of(pl.concat([pl.DataFrame({"street_id": [f"b{k}" for k in range(len(some))], "geometry": pl.Series(some, dtype=pl.String)}),
            good]))
        assert len(network) == 1 and network.left_out == len(some) and network.ids == ("s0",) and network.row.tolist() == [len(some)]
        assert network.length[0] == pytest.approx(100, abs=0.1)


def test_what_is_no_network_is_said_so() -> None:
    with pytest.raises(BadInput, match="no column 'geometry'"):
        StreetNetwork.of(pl.DataFrame({"street_id": ["a"]}))
    for frame in (streets([]).with_columns(pl.col("geometry").cast(pl.String)), streets([[(0, 0), (0, 0)]]), pl.DataFrame({"geometry": pl.Series([None],
        dtype=pl.String)})):
        with pytest.raises(CannotTell, match="no network; load a source of streets"):
            StreetNetwork.of(frame)
    network = StreetNetwork.of(streets([[(0, 0), (100, 0)]]), plane=PLANE)
    with pytest.raises(BadInput, match="limit=0"):
        network.snap([0.0], [0.0], limit=0)
    with pytest.raises(BadInput, match="within=-1"):
        network.pairs(places(network, 2, 0), -1)
    with pytest.raises(BadInput, match="A cost for each of the 1 segments"):
        network.reach(places(network, 2, 0), 5.0, cost=np.array([1.0, 2.0]))


def test_a_point_without_a_position_lies_on_no_street() -> None:
    network = StreetNetwork.of(streets([[(0, 0), (100, 0)]]), plane=PLANE)
    placed = network.snap([math.nan, 50.0, 1e9], [0.0, 3.0, 0.0])
    assert placed.segment.tolist() == [-1, 0, -1] and placed.distance[1] == pytest.approx(3)
    assert len(network.pairs(placed, 10.0)[0]) == 0


def test_real_streets_of_a_city_are_one_network(real_data: Path, tmp_path: Path) -> None:
    from workbench import loaders
    from workbench.lake import Lake

    lake = Lake(tmp_path / "lake")
    lake.load(loaders.find("osm_streets"), real_data / "roads" / "portland-central-filtered.osm.pbf")
    network = StreetNetwork.of(lake.frame("streets"))
    whole = max(nx.connected_components(nx.Graph(graph(network))), key=len)
    assert len(network) > 8000 and len(whole) > 0.8 * len(network.x)
    p = places(network, 300, 0)
    i, j, d = network.pairs(p, 500.0)
    far = {a: nx.single_source_dijkstra_path_length(graph(network), int(network.begin[p.segment[a]]), cutoff=1500) for a in range(3)}
    for a in range(3):
        mine = d[(i == a)]
        for b, got in zip(j[i == a].tolist(), mine.tolist(), strict=True):
            through = far[a].get(int(network.begin[p.segment[b]]), math.inf) + p.at[a] * network.length[p.segment[a]] + p.at[b] * network.length[p.segment[b]]
            assert got <= through + 1e-6

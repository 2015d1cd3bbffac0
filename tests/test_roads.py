"""The drive graph: against networkx on random streets and on a real city, places on it, and what an extract gives."""

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

from workbench.errors import BadInput, CannotTell, NotFound
from workbench.geo import Plane, extract
from workbench.geo.network import StreetNetwork
from workbench.models.pursuit import roads as drives
from workbench.models.pursuit._graph import SPEEDS, Places, Roads
from workbench.results import recording

PLANE = Plane.local(41.6, -90.9)


def streets(lines: list[Any], **more: Any) -> pl.DataFrame:
    """A frame of the table streets from lines in metres."""
    texts = []
    for line in lines:
        x, y = np.array(line, dtype=float).T
        texts.append(json.dumps({"type": "LineString", "coordinates": np.stack(PLANE.to_degrees(x, y), axis=1).tolist()}))
    return pl.DataFrame({"street_id": [f"s{k}" for k in range(len(lines))], "geometry": texts, **more})


def random_streets(seed: int, n: int = 40, m: int = 70) -> pl.DataFrame:
    """Straight and bent streets of all kinds between random corners: one way and not, doubled, loops, dead ends, chains of bends, parts apart."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 3000, (n, 2))
    lines: list[Any] = []
    for _ in range(m):
        a, b = rng.integers(0, n, 2)
        bend = (corner[a] + corner[b]) / 2 + rng.normal(0, 60, 2)
        if rng.random() < 0.3:  # a street in two pieces: its middle is merged away
            lines += [[corner[a], bend], [bend, corner[b]]]
        else:
            lines.append([corner[a], bend, corner[b]])
    k = len(lines)
    return streets(lines, one_way=rng.choice([None, None, "forward", "backward"], k).tolist(), speed_limit=rng.choice([None, 10.0, 20.0], k).tolist(),
                   **{"class": rng.choice(["residential", "primary", "motorway", "unheard"], k).tolist()})


def plain_graph(frame: pl.DataFrame) -> tuple[nx.MultiDiGraph, StreetNetwork, Any]:
    """The same streets unmerged, in networkx: its largest strongly connected part."""
    net = StreetNetwork.of(frame)
    kind = frame["class"].to_list() if "class" in frame.columns else [""] * len(frame)
    usual = np.array([SPEEDS.get(kind[r], 25 * 0.44704) for r in net.row])
    cost = net.length / np.where(net.speed > 0, net.speed, usual)
    made = nx.MultiDiGraph()
    for s in range(len(net)):
        a, b = int(net.begin[s]), int(net.end[s])
        if net.way[2 * s]:
            made.add_edge(a, b, weight=float(cost[s]))
        if net.way[2 * s + 1]:
            made.add_edge(b, a, weight=float(cost[s]))
    part = max(nx.strongly_connected_components(made), key=len)
    return made.subgraph(part).copy(), net, cost


def by_networkx(frame: pl.DataFrame, made: Roads, a: Places, b: Places) -> Any:
    """Times between places by networkx on the unmerged graph, each place between the ends of its street."""
    whole, _, _ = plain_graph(frame)
    net, cost = made.network, made._cost
    far = dict(nx.all_pairs_dijkstra_path_length(whole, weight="weight"))
    out = np.full((len(a), len(b)), math.inf)
    for i in range(len(a)):
        s = int(a.segment[i])
        leave = [(int(net.end[s]), (1 - a.at[i]) * cost[s])] * int(net.way[2 * s]) + [(int(net.begin[s]), a.at[i] * cost[s])] * int(net.way[2 * s + 1])
        for j in range(len(b)):
            t = int(b.segment[j])
            come = [(int(net.begin[t]), b.at[j] * cost[t])] * int(net.way[2 * t]) + [(int(net.end[t]), (1 - b.at[j]) * cost[t])] * int(net.way[2 * t + 1])
            every = [x + far[u][v] + y for u, x in leave for v, y in come]
            if s == t:
                ahead = (b.at[j] - a.at[i]) * cost[s]
                every += [ahead] * int(net.way[2 * s] and ahead >= 0) + [-ahead] * int(net.way[2 * s + 1] and ahead <= 0)
            out[i, j] = min(every)
    return out


def some_places(made: Roads, seed: int, n: int) -> Places:
    """Places anywhere on the streets of a graph."""
    rng = np.random.default_rng(seed)
    x, y = made.network.spots(rng.integers(0, len(made.network), n), rng.random(n))
    return made.place(*made.plane.to_degrees(x, y))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_times_of_merged_random_streets_are_those_of_networkx_on_the_unmerged(seed: int) -> None:
    frame = random_streets(seed)
    made = drives.graph(frame)
    a, b = some_places(made, seed, 7), some_places(made, seed + 1, 4)
    expected = by_networkx(frame, made, a, b)
    assert made.times(a, b) == pytest.approx(expected, abs=1e-6)
    assert made.times(b, a, threads=1).T.shape == expected.shape
    assert made.times(a.take([0]), b) == pytest.approx(expected[:1], abs=1e-6)
    i, j = np.divmod(np.arange(28)[::-1], 4)
    assert made.pairs(a, b, i, j) == pytest.approx(expected[i, j], abs=1e-6)
    bound = float(np.median(expected))
    short = made.times(a, b, within=bound)
    assert (np.isfinite(short) == (expected <= bound + 1e-9)).mean() > 0.95 and np.all(np.isclose(short, expected, atol=1e-6) | np.isinf(short))
    for k in range(3):
        seconds, metres, line = made.way(a.take([k]), b.take([k]))
        assert seconds == pytest.approx(expected[k, k], abs=1e-6)
        x, y = made.plane.to_metres(line[:, 0], line[:, 1])
        assert np.hypot(np.diff(x), np.diff(y)).sum() == pytest.approx(metres, abs=0.01)
        assert (x[0], y[0], x[-1], y[-1]) == pytest.approx((a.x[k], a.y[k], b.x[k], b.y[k]), abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_part_kept_is_the_largest_strongly_connected_one_of_networkx(seed: int) -> None:
    frame = random_streets(seed, m=45)
    whole, _, _ = plain_graph(frame)
    made = drives.graph(frame)
    corners = set(made.network.begin.tolist()) | set(made.network.end.tolist())
    assert len(corners) == whole.number_of_nodes()
    merged = nx.MultiDiGraph(zip(made.tail.tolist(), made.head.tolist(), strict=True))
    assert nx.is_strongly_connected(merged)
    assert made.seconds.sum() == pytest.approx(sum(d["weight"] for _, _, d in whole.edges(data=True)))


def test_a_ring_of_one_way_streets_is_a_graph_of_one_node() -> None:
    ring = [(0, 0), (500, 0), (500, 500), (0, 500)]
    made = drives.graph(streets([[p, q] for p, q in zip(ring, ring[1:] + ring[:1], strict=True)], one_way=["forward"] * 4, speed_limit=[10.0] * 4))
    assert (len(made.x), len(made), made.metres.sum()) == (1, 1, pytest.approx(2000, rel=1e-4))
    a, b = (made.place(*PLANE.to_degrees([x], [y])) for x, y in ((100, 0), (50, 0)))
    assert made.times(a, b)[0, 0] == pytest.approx(195, rel=1e-4)  # round the ring, not fifty metres back
    assert made.way(a, b)[:2] == pytest.approx((195, 1950), rel=1e-4)
    assert made.times(b, a)[0, 0] == pytest.approx(5, rel=1e-3)


def test_a_node_as_a_place_has_the_times_of_the_node() -> None:
    made = drives.graph(random_streets(11))
    graph = nx.MultiDiGraph()
    graph.add_weighted_edges_from(zip(made.tail.tolist(), made.head.tolist(), made.seconds.tolist(), strict=True))
    v = list(range(0, len(made.x), 2))
    expected = [[nx.dijkstra_path_length(graph, a, b) for b in v] for a in v]
    assert made.times(made.nodes(v), made.nodes(v)) == pytest.approx(np.array(expected), abs=1e-9)


def test_the_order_of_the_streets_and_moving_the_city_change_no_time() -> None:
    frame = random_streets(5)
    one, other = drives.graph(frame), drives.graph(frame.sample(fraction=1.0, shuffle=True, seed=3))
    lon, lat = PLANE.to_degrees(np.linspace(100, 2900, 9), np.linspace(200, 2500, 9))
    first = one.times(one.place(lon, lat), one.place(lon[::-1], lat[::-1]))
    assert other.times(other.place(lon, lat), other.place(lon[::-1], lat[::-1])) == pytest.approx(first, rel=1e-6, abs=1e-6)
    assert one.times(one.place(lon, lat), one.place(lon[::-1], lat[::-1]), threads=1).tolist() == first.tolist()


def test_a_point_says_how_far_it_lies_from_its_street_and_none_is_put_on_a_far_one() -> None:
    made = drives.graph(streets([[(0, 0), (1000, 0)], [(1000, 0), (1000, 800)]], **{"class": ["residential", "footway"]}), limit=100)
    put = made.place(*PLANE.to_degrees([400, 400, math.nan], [30, 101, 0]))
    assert put.off[0] == pytest.approx(30, abs=0.1) and put.on.tolist() == [True, False, False] and math.isinf(put.off[1])
    assert made.place([math.nan], [41.6]).on.tolist() == [False]
    assert math.isinf(made.times(put, put)[0, 1]) and made.times(put, put)[0, 0] == 0


def test_times_and_drives_are_told_in_sentences_and_can_be_written_down() -> None:
    frame = streets([[(0, 0), (1000, 0)], [(1000, 0), (2000, 0)]], speed_limit=[10.0, 20.0])
    made = drives.graph(frame)
    lon, lat = PLANE.to_degrees([0.0, 1000.0, 2000.0], [0.0, 10.0, 0.0])
    places = pl.DataFrame({"name": ["west", "middle", "east"], "lon": lon, "lat": lat})
    told = drives.times(places.head(1), places.tail(2), made)
    assert told.table["minutes"].to_list() == pytest.approx([100 / 60, 150 / 60], rel=1e-4) and told.table["destination_off_m"][0] == pytest.approx(10, abs=0.1)
    assert "from west to middle, takes 1.7 minutes" in told.headline and told.basis.run["arguments"]["roads"]["$"] == "prepared"
    way = drives.drive(made, (lon[0], lat[0]), (lon[2], lat[2]))
    assert way.headline.startswith("2.5 minutes at free flow over 2.0 km")
    assert way.basis.notes == made.notes and not any("OpenStreetMap" in n for n in made.notes)
    again = recording.read(recording.written(made), lambda _: frame)
    assert isinstance(again, Roads) and again.seconds.tolist() == made.seconds.tolist()


@pytest.mark.parametrize(("say", "words"), [
    (lambda m: drives.drive(m, (0.0, 0.0), (-90.9, 41.6)), "more than 150 m from every street"),
    (lambda m: drives.drive(m, (-90.9, 141.6), (-90.9, 41.6)), "is no place"),
    (lambda m: drives.drive(m, "here", (-90.9, 41.6)), "is no place"),
    (lambda m: drives.times(pl.DataFrame({"lon": [0.0], "lat": [0.0]}), pl.DataFrame({"lon": [0.0], "lat": [0.0]}), m), "None of the 1 origin lies within"),
    (lambda m: drives.times(pl.DataFrame({"x": [0.0]}), pl.DataFrame({"lon": [0.0], "lat": [0.0]}), m), "has no column 'lon'"),
    (lambda m: drives.graph(pl.DataFrame({"name": ["A"]})), "has no column 'geometry'"),
    (lambda m: drives.graph(m.frame.head(0)), "no streets one may drive"),
    (lambda m: drives.graph(streets([[(0, 0), (1, 1)]], **{"class": ["footway"]})), "no streets one may drive"),
    (lambda m: drives.graph(streets([[(0, 0), (100, 0)]], one_way=["forward"])), "not joined up"),
    (lambda m: drives.graph(m.frame, limit=0), "limit=0 m does not do"),
    (lambda m: extract.streets("nowhere.osm.pbf"), "There is no file"),
])
def test_what_cannot_be_told_is_said(say: Any, words: str) -> None:
    made = drives.graph(streets([[(0, 0), (1000, 0)]]))
    with pytest.raises((BadInput, CannotTell, NotFound), match=words):
        say(made)


def test_the_made_up_citys_streets_make_a_graph(samples: Path, city: Any) -> None:
    made = drives.graph(city.table("streets"))
    assert made.share > 0.95 and len(made.x) > 1000 and "OpenStreetMap" not in " ".join(made.notes)


def test_a_damaged_extract_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.osm.pbf").write_bytes(b"not an extract")
    with pytest.raises(BadInput, match="damaged or no OpenStreetMap extract"):
        extract.streets(tmp_path / "x.osm.pbf")
    (tmp_path / "y.osm").write_text('<osm version="0.6"><node id="1" lat="41" lon="-90"/></osm>')
    with pytest.raises(BadInput, match="holds no street"):
        extract.streets(tmp_path / "y.osm")


def test_directions_speeds_and_what_is_shut_come_out_of_an_extract(tmp_path: Path) -> None:
    ways = [("1 2 3", {"highway": "primary", "maxspeed": "50"}), ("4 2 5", {"highway": "residential", "oneway": "-1", "maxspeed": "30 mph"}),
            ("5 1", {"highway": "motorway"}), ("3 4", {"highway": "service", "access": "private"}), ("1 4", {"highway": "footway"}),
            ("1 9", {"highway": "residential"})]
    nodes = "".join(f'<node id="{k}" lat="{41 + k / 1000}" lon="{-90 - (k % 3) / 1000}"/>' for k in range(1, 6))
    told = "".join(f'<way id="{10 + k}">' + "".join(f'<nd ref="{r}"/>' for r in refs.split()) + "".join(f'<tag k="{a}" v="{b}"/>' for a, b in tags.items())
                   + "</way>" for k, (refs, tags) in enumerate(ways))
    (tmp_path / "small.osm").write_text(f'<osm version="0.6">{nodes}{told}</osm>')
    found = extract.streets(tmp_path / "small.osm")
    assert found["street_id"].to_list() == ["10.0", "10.1", "11.0", "11.1", "12.0"]
    assert found["one_way"].to_list() == [None, None, "backward", "backward", "forward"]
    assert found["speed_limit"].to_list() == pytest.approx([13.889, 13.889, 13.411, 13.411, None])
    assert json.loads(found["geometry"][0])["coordinates"] == [[-90.001, 41.001], [-90.002, 41.002]]


def test_columbus_gives_the_times_of_networkx_and_names_whose_streets_they_are(real_data: Path) -> None:
    frame = extract.streets(real_data / "roads" / "columbus.osm.pbf")
    made = drives.graph(frame)
    assert extract.ATTRIBUTION in made.notes and made.share > 0.95 and len(made.x) < 20_000
    whole, _, _ = plain_graph(frame.filter(pl.col("class") != "nothing"))
    assert len(set(made.network.begin.tolist()) | set(made.network.end.tolist())) == whole.number_of_nodes()
    rng = np.random.default_rng(1)
    a, b = made.place(made.lon[(k := rng.integers(0, len(made.x), 5))], made.lat[k]), some_places(made, 2, 30)
    net, cost = made.network, made._cost
    found = made.times(a, b)
    for i in range(2):
        node = int(np.hypot(net.x - a.x[i], net.y - a.y[i]).argmin())
        far = nx.single_source_dijkstra_path_length(whole, node, weight="weight")
        for j in range(len(b)):
            s = int(b.segment[j])
            ways = [far[int(net.begin[s])] + b.at[j] * cost[s]] * int(net.way[2 * s])
            ways += [far[int(net.end[s])] + (1 - b.at[j]) * cost[s]] * int(net.way[2 * s + 1])
            assert found[i, j] == pytest.approx(min(ways), abs=1e-6)
            assert made.way(a.take([i]), b.take([j]))[0] == pytest.approx(found[i, j], abs=1e-6)
    assert drives.drive(made, (float(made.lon[0]), float(made.lat[0])), (float(made.lon[9]), float(made.lat[9]))).basis.notes[-1] == extract.ATTRIBUTION

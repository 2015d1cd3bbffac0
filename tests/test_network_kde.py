"""Density on streets: mass kept, each kernel against its definition worked by brute force, and what it says when it cannot tell."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_network import PLANE, places, random_lines, streets
from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid
from workbench.geo.network import Placed, StreetNetwork
from workbench.geo.segments import Segments
from workbench.models.hotspots import network_kde
from workbench.models.window import past

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
#: Streets every 100 m, both ways, 21 x 21 corners.
TOWN = streets([[(100 * i, 100 * j), (100 * i + 100, 100 * j)] for i in range(20) for j in range(21)]
               + [[(100 * i, 100 * j), (100 * i, 100 * j + 100)] for i in range(21) for j in range(20)])
GRID = Grid(PLANE, -100.0, -100.0, 22, 22, 100.0)


def incidents(x: Any, y: Any, days: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in days]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def along(n: int, seed: int, *, hot: float = 0.0) -> pl.DataFrame:
    """Incidents along the streets of TOWN, a share of them on two blocks of one street."""
    rng = np.random.default_rng(seed)
    line, run = 100.0 * rng.integers(0, 21, n), rng.uniform(0, 2000, n)
    level = rng.random(n) < 0.5
    x, y = np.where(level, run, line), np.where(level, line, run)
    near = rng.random(n) < hot
    return incidents(np.where(near, rng.uniform(800, 1000, n), x) + rng.normal(0, 4, n), np.where(near, 1500.0, y) + rng.normal(0, 4, n), rng.uniform(0.1,
        365, n))


@given(st.integers(0, 10_000), st.sampled_from(network_kde.KERNELS), st.floats(20, 600))
@settings(max_examples=15, deadline=None)
def test_every_incident_keeps_its_mass(seed: int, kernel: str, bandwidth: float) -> None:
    network = StreetNetwork.of(streets(random_lines(seed)), plane=PLANE)
    p = places(network, 25, seed)
    p.segment[:3] = -1
    weights = np.random.default_rng(seed).uniform(0, 3, 25)
    mass = network_kde.spread(Segments(network, 20.0), p, bandwidth, kernel=kernel, weights=weights)
    assert abs(float(mass.sum()) - float(weights[3:].sum())) < 1e-9 * weights.sum()
    assert kernel == "continuous" or mass.min() > -1e-12


def by_hand(tiling: Segments, p: Placed, bandwidth: float, *, continuous: bool) -> Any:
    """The equal-split kernels by walking every path (Okabe and Sugihara 2012, chapter 9), the quartic kernel integrated by many small steps."""
    net, reach, out = tiling.network, math.sqrt(7) * bandwidth, np.zeros(len(tiling))
    first, leaving = net.adjacency

    def mass(d: float) -> float:
        u = min(max(d, 0.0) / reach, 1.0)
        return 0.9375 * (u - 2 * u**3 / 3 + u**5 / 5)

    def walk(h: int, d: float, w: float) -> None:
        s, low, many = h >> 1, int(tiling.first[h >> 1]), int(tiling.first[(h >> 1) + 1] - tiling.first[h >> 1])
        step = net.length[s] / many
        for q in range(many):
            out[low + (q if h % 2 == 0 else many - 1 - q)] += w * (mass(d + (q + 1) * step) - mass(d + q * step))
        d += float(net.length[s])
        if d >= reach or abs(w) < 1e-7:
            return
        node = int(net.head[h])
        n = int(first[node + 1] - first[node])
        for g in leaving[first[node] : first[node + 1]].tolist():
            if g == h ^ 1:
                back = w if n == 1 else w * (2 / n - 1) if continuous else 0.0
                if back:
                    walk(g, d, back)
            else:
                walk(g, d, w * 2 / n if continuous else w / (n - 1))

    for s, at in zip(p.segment.tolist(), p.at.tolist(), strict=True):
        walk(2 * s, -at * float(net.length[s]), 1.0)
        walk(2 * s + 1, -(1 - at) * float(net.length[s]), 1.0)
    return out


@pytest.mark.parametrize("kernel", ["continuous", "discontinuous"])
def test_equal_split_kernels_agree_with_a_walk_along_every_path(kernel: str) -> None:
    network = StreetNetwork.of(TOWN.head(300), plane=PLANE)
    tiling = Segments(network, 20.0)
    p = Placed(np.array([30, 31, 150, 299, 0]), np.array([0.1, 0.5, 0.9, 0.3, 0.5]), np.zeros(5), 100.0)
    exact = by_hand(tiling, p, 130.0, continuous=kernel == "continuous")
    got = network_kde.spread(tiling, p, 130.0, kernel=kernel)
    assert exact.sum() == pytest.approx(5, abs=0.01) and np.abs(got - exact).max() < 0.03 * exact.max()


def test_on_streets_of_uneven_length_the_rounding_of_equal_split_steps_stays_small() -> None:
    network = StreetNetwork.of(streets(random_lines(3, 12, 16)), plane=PLANE)
    tiling, p = Segments(network, 25.0), places(StreetNetwork.of(streets(random_lines(3, 12, 16)), plane=PLANE), 6, 1)
    exact, got = by_hand(tiling, p, 120.0, continuous=False), network_kde.spread(tiling, p, 120.0, kernel="discontinuous")
    assert np.abs(got - exact).sum() < 0.05 * exact.sum()


def test_on_one_long_street_heat_is_a_gaussian() -> None:
    network = StreetNetwork.of(streets([[(0, 0), (4000, 0)]]), plane=PLANE)
    tiling = Segments(network, 20.0)
    for h in (60.0, 150.0, 400.0):
        got = network_kde.spread(tiling, Placed(np.array([0]), np.array([0.5025]), np.zeros(1), 1.0), h)
        edge = np.arange(201) * 20.0
        phi = np.array([0.5 * math.erfc(-(e - 2010.0) / h / math.sqrt(2)) for e in edge])
        assert np.abs(got - np.diff(phi)).max() < 1.3 * (20.0 / h) ** 2 / 6 * np.diff(phi).max() + 1e-4


@given(st.integers(0, 1000), st.floats(30, 500))
@settings(max_examples=5, deadline=None)
def test_the_series_of_the_heat_kernel_agrees_with_the_matrix_exponential(seed: int, bandwidth: float) -> None:
    from scipy.linalg import expm

    network = StreetNetwork.of(streets(random_lines(seed, 15, 22)), plane=PLANE)
    tiling = Segments(network, 30.0)
    flow = network_kde._Flow(tiling)
    dense = np.diag(flow.out_rate)
    row = np.repeat(np.arange(len(tiling)), np.diff(flow.first))
    np.add.at(dense, (row, flow.to), -flow.rate)
    assert np.abs(dense.sum(axis=0)).max() < 1e-12  # no mass is lost
    p = places(network, 10, seed)
    mass = np.bincount(tiling.tiles(p), minlength=len(tiling)).astype(float)
    exact = expm(-dense * bandwidth**2 / 2) @ mass
    assert np.abs(network_kde.spread(tiling, p, bandwidth) - exact).max() < 1e-9


def test_heat_never_jumps_the_river() -> None:
    banks = streets([[(0, 0), (1000, 0)], [(0, 20), (1000, 20)]])
    tiling = Segments(StreetNetwork.of(banks, plane=PLANE), 25.0)
    mass = network_kde.spread(tiling, Placed(np.array([0]), np.array([0.5]), np.zeros(1), 1.0), 300.0)
    assert mass[tiling.segment == 1].sum() == 0 and mass.sum() == pytest.approx(1)


def test_the_likeliest_bandwidth_is_short_where_incidents_crowd_and_long_where_they_do_not() -> None:
    network = StreetNetwork.of(TOWN, plane=PLANE)
    tiling = Segments(network, 50.0)
    crowded, even = (network.place(f) for f in (along(400, 1, hot=0.9), along(400, 1)))
    assert network_kde.likeliest(tiling, crowded) <= 160 < 360 <= network_kde.likeliest(tiling, even)


@pytest.mark.parametrize("kernel", network_kde.KERNELS)
def test_a_surface_sums_to_the_window_s_rate_and_finds_the_planted_street(kernel: str) -> None:
    frame = along(365, 2, hot=0.4)
    made = network_kde.surface(frame, GRID, ASOF, streets=TOWN, kernel=kernel, bandwidth=100.0, horizon="7d")
    assert made.expected.sum() == pytest.approx(7.0, rel=0.02) and made.expected.min() > -1e-3
    x, y = GRID.centres_metres()
    top = made.top(0.01)
    assert bool((np.hypot(x[top] - 900, y[top] - 1500) < 250).all()) and "network kernel density" in made.basis.method
    assert bool((made.lower <= made.expected + 1e-9).all()) and bool((made.upper >= np.floor(made.expected)).all())


def test_the_order_of_rows_and_a_turn_of_the_grid_change_nothing() -> None:
    frame = along(300, 3, hot=0.3)
    grid = Grid(PLANE, -150.0, -150.0, 23, 23, 100.0)
    a = network_kde.surface(frame, grid, ASOF, streets=TOWN)
    b = network_kde.surface(frame.sample(fraction=1, shuffle=True, seed=0), grid, ASOF, streets=TOWN)
    assert np.array_equal(a.expected, b.expected) and a.headline == b.headline
    turned = Grid(PLANE.turn(90), -150.0, -2150.0, 23, 23, 100.0)
    c = network_kde.surface(frame, turned, ASOF, streets=TOWN, bandwidth=a.basis.parameters["bandwidth"])
    at = turned.index(*turned.plane.to_metres(*grid.centres()))
    assert np.allclose(c.expected[at], a.expected, atol=0.02 * a.expected.max())


def test_the_estimate_is_the_surface_and_looks_at_nothing_after_its_moment() -> None:
    frame = along(300, 3, hot=0.3)
    before = past(frame, GRID, ASOF, "365d", least=10)
    made = network_kde.estimate(before, GRID, timedelta(days=7), streets=TOWN)
    assert np.array_equal(made.expected, network_kde.surface(frame, GRID, ASOF, streets=TOWN).expected)
    early = ASOF - timedelta(days=100)
    told = network_kde.surface(frame, GRID, early, streets=TOWN)
    assert np.array_equal(told.expected, network_kde.surface(frame.filter(pl.col("started_at") < early), GRID, early, streets=TOWN).expected)


def test_incidents_far_from_every_street_stay_in_their_own_cell() -> None:
    frame = along(100, 5)
    far = incidents([2090.0] * 2, [2090.0] * 2, [3.0, 4.0])
    made = network_kde.surface(pl.concat([frame, far]), GRID, ASOF, streets=TOWN, limit=50.0, bandwidth=100.0, horizon="365d")
    assert made.expected.sum() == pytest.approx(102, rel=0.03) and made.expected[21 * 22 + 21] >= 2
    assert any("2 of 102 incidents lie farther than 50 m from any street" in n for n in made.basis.notes)


def test_streets_are_ranked_with_intervals_and_drawn() -> None:
    frame = along(500, 2, hot=0.4)
    made = network_kde.segments(frame, TOWN, ASOF, bandwidth=60.0, most=5)
    first = made.table.head(2)
    assert set(first["street_id"]) == {f"s{21 * i + 15}" for i in (8, 9)} and first["rank"].to_list() == [1, 2]
    assert bool(((made.table["lower"] <= made.table["expected"]) & (made.table["expected"] <= made.table["upper"])).all())
    assert made.table["share_so_far"].is_sorted() and "of 84 km" in made.headline and "90 % interval" in made.headline
    assert {type(layer).__name__ for layer in made.layers} == {"Areas", "Lines"} and made.layers[1].ids[0].startswith("street:s")
    assert "<svg" in made.drawing() and made.basis.run["arguments"]["most"] == 5
    by_km = network_kde.segments(frame, TOWN, ASOF, bandwidth=60.0, by="per_km")
    assert by_km.table["per_km"].is_sorted(descending=True)


@pytest.mark.parametrize(("change", "said"), [
    ({"kernel": "gauss"}, "kernel='gauss' is not known"), ({"bandwidth": 5.0}, "A bandwidth of 5.0 does not do"), ({"bandwidth": math.nan}, "bandwidth of nan"),
    ({"lixel": 0}, "lixel=0"), ({"limit": -1.0}, "limit=-1.0"), ({"streets": "streets"}, "streets is a str"),
    ({"streets": pl.DataFrame({"name": ["a"]})}, "no column 'geometry'"), ({"horizon": "soon"}, "horizon 'soon'"),
])
def test_wrong_input_is_named_with_what_would_do(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        network_kde.surface(along(50, 1), GRID, ASOF, **{"streets": TOWN, **change})


def test_what_cannot_be_told_says_what_is_missing() -> None:
    frame = along(50, 1)
    elsewhere = streets([[(90_000, 90_000), (90_100, 90_000)]])
    nowhere = frame.with_columns(lon=pl.lit(None, dtype=pl.Float64))
    one = incidents([500.0] * 20, [500.0] * 20, range(1, 21))
    for call, said in (
        (lambda: network_kde.surface(frame.head(3), GRID, ASOF, streets=TOWN), "At least 10 are needed"),
        (lambda: network_kde.surface(frame, GRID, datetime(2020, 1, 1, tzinfo=UTC), streets=TOWN), "choose a later asof"),
        (lambda: network_kde.surface(nowhere, GRID, ASOF, streets=TOWN), "has a position"),
        (lambda: network_kde.surface(one, GRID, ASOF, streets=TOWN), "same address"),
        (lambda: network_kde.surface(frame.clear(), GRID, ASOF, streets=TOWN), "has no rows"),
        (lambda: network_kde.surface(frame, GRID, ASOF), "give streets=city.table"),
        (lambda: network_kde.surface(frame, GRID, ASOF, streets=elsewhere), "are these the streets of this city"),
        (lambda: network_kde.segments(frame, elsewhere, ASOF), "can be placed"),
        (lambda: network_kde.segments(frame, TOWN.clear(), ASOF), "there is no network"),
        (lambda: network_kde.surface(frame, Grid(PLANE, 0.0, 0.0, 2, 2, 100.0, np.zeros(4, dtype=bool)), ASOF, streets=TOWN), "No cell of the grid"),
    ):
        with pytest.raises(CannotTell, match=said):
            call()
    with pytest.raises(BadInput, match="The network lies on the plane"):
        network_kde.surface(frame, GRID, ASOF, streets=StreetNetwork.of(TOWN))


def test_the_made_up_city_is_told_by_street(city: Any) -> None:
    burglaries = city.incidents(offence="burglary")
    made = network_kde.segments(burglaries, city.table("streets"), "2026-06-01")
    assert made.table.height == 20 and "street segments" in made.headline and made.basis.run["arguments"]["streets"]["call"]["method"] == "table"

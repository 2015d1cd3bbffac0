"""Local statistics: published values, the exact law against every arrangement and against simulation, planted places, nothing where nothing is."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane, Polygon
from workbench.models.hotspots import _local, local

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 30, 25, 200.0)
SIX = np.array([(10, 10), (20, 10), (40, 10), (15, 20), (30, 20), (30, 30)], dtype=float)
VALUES = np.array([2, 3, 3.2, 5, 8, 7])


def incidents(x: Any, y: Any, *, plane: Plane = PLANE, seed: int = 0) -> pl.DataFrame:
    lon, lat = plane.to_degrees(x, y)
    minutes = np.random.default_rng(seed).integers(1, 300 * 1440, len(lon))
    at = [ASOF - timedelta(minutes=int(m)) for m in minutes]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def even(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 6000, n), rng.uniform(0, 5000, n)


def planted(seed: int, plane: Plane = PLANE) -> pl.DataFrame:
    """1,500 anywhere and 90 within one block of 3 x 3 cells about (2700, 2700)."""
    rng = np.random.default_rng(seed)
    x, y = even(1500, seed)
    return incidents(np.append(x, rng.uniform(2400, 3000, 90)), np.append(y, rng.uniform(2400, 3000, 90)), plane=plane, seed=seed)


def test_the_published_example_comes_out_to_every_digit() -> None:
    near = ((SIX[:, None] - SIX) ** 2).sum(2) <= 15**2
    np.fill_diagonal(near, False)
    gi, star, moran = _local.standardised(VALUES, near @ VALUES, near.sum(1))
    assert gi == pytest.approx([-1.0136729, -0.04361589, 1.31558703, -0.31412676, 1.15373986, 1.77833941], abs=1e-7)  # documentation of PySAL's G_Local
    assert star == pytest.approx([-1.39727626, -0.28917762, 0.65064964, -0.28917762, 1.23452088, 2.02424331], abs=1e-7)
    assert moran == pytest.approx([0.32926829, -0.08885017, -0.86236934, -0.01916376, -0.08623693, 1.32229965], abs=1e-7)  # esda 2.9 Moran_Local


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=5, max_size=9), st.integers(1, 4), st.integers(0, 24))
def test_the_exact_law_is_that_of_every_possible_choice_of_neighbours(values: list[int], k: int, seen: int) -> None:
    v = np.array(values)
    k, n = min(k, len(v) - 1), len(v)
    seen = min(seen, k * int(v.max()))
    low, high, equal = _local.exact(v, np.full(n, seen), np.full(n, k))
    for i in range(n):
        sums = np.array([sum(c) for c in itertools.combinations(np.delete(v, i), k)])
        assert (low[i], high[i], equal[i]) == pytest.approx(((sums <= seen).mean(), (sums >= seen).mean(), (sums == seen).mean()), abs=1e-12)


def test_simulated_permutations_agree_with_the_exact_law() -> None:
    values = np.random.default_rng(1).negative_binomial(0.6, 0.3, len(GRID)).astype(float)
    sums, sizes = _local.over_grid(values, GRID, _local.offsets("queen", None, 200.0))
    law = _local.judge(values, sums, sizes, permutations=None, seed=0, threads=None)
    drawn = _local.judge(values, sums, sizes, permutations=9999, seed=0, threads=None)
    for a, b in ((law.low, drawn.low), (law.high, drawn.high)):
        assert np.abs(a - b).max() < 5 * np.sqrt(0.25 / 9999)
    assert law.how.startswith("exact") and drawn.how.startswith("9,999")


def test_neighbours_on_a_grid_are_those_of_a_plain_search_and_of_the_same_squares_as_areas() -> None:
    inside = np.random.default_rng(2).random(7 * 6) < 0.8
    grid = Grid(PLANE, 0.0, 0.0, 7, 6, 100.0, inside)
    values = np.where(inside, np.arange(42.0), 0.0)
    squares = [Polygon((np.vstack([c, c[:1]]),)) for c in grid.corners(np.flatnonzero(inside))]
    at = np.flatnonzero(inside)
    for weights, distance, near in (("queen", None, lambda r, c: max(r, c) == 1), ("rook", None, lambda r, c: r + c == 1),
                                    ("distance", 210.0, lambda r, c: 0 < r * r + c * c <= 4.41)):
        sums, sizes = _local.over_grid(values, grid, _local.offsets(weights, distance, 100.0))
        pairs = {(int(a), int(b)) for a in at for b in at if near(abs(a // 7 - b // 7), abs(a % 7 - b % 7))}
        assert [sum(values[b] for a, b in pairs if a == i) for i in at] == sums[at].tolist()
        assert [sum(a == i for a, _ in pairs) for i in at] == sizes[at].tolist()
        one, other = _local.pairs_of_areas(squares, weights, distance)
        assert {(int(at[a]), int(at[b])) for a, b in zip(one, other, strict=True)} == pairs


def test_p_values_are_uniform_where_counts_are_shuffled() -> None:
    rng = np.random.default_rng(3)
    grid = Grid(PLANE, 0.0, 0.0, 8, 8, 100.0)
    steps, drawn = _local.offsets("queen", None, 100.0), []
    for _ in range(1000):
        values = rng.poisson(1.5, 64).astype(float)
        sums, sizes = _local.over_grid(values, grid, steps)
        j = _local.judge(values, sums, sizes, permutations=None, seed=0, threads=None)
        i = int(rng.integers(64))
        drawn.append(j.high[i] - rng.random() * j.equal[i])  # spread over the step, as counts are whole
    assert kstest(drawn, "uniform").pvalue > 0.01


def test_a_planted_place_is_hot_and_nothing_is_claimed_in_an_even_city() -> None:
    answer = local.getis(planted(4), GRID, ASOF)
    hot = answer.table.filter(pl.col("class") == "hot")["cell"].to_list()
    block = {(13 + r) * 30 + 13 + c for r in (-1, 0, 1) for c in (-1, 0, 1)}
    assert len(block & set(hot)) >= 8 and len(hot) <= 25
    assert "hot at 5 % false discovery rate" in answer.headline and answer.layers[0].palette == "change"
    assert sum(local.getis(incidents(*even(1500, s)), GRID, ASOF).table["class"].n_unique() > 1 for s in range(20)) <= 3
    quiet = local.moran(incidents(*even(1500, 0)), GRID, ASOF)
    assert quiet.headline.startswith("None of 750 cells") and quiet.layers == ()


def test_local_moran_tells_like_from_unlike() -> None:
    x, y = even(1500, 5)
    empty = ((x - 4500) ** 2 + (y - 1500) ** 2 > 700**2) | ((abs(x - 4500) < 100) & (abs(y - 1500) < 100))
    extra = np.random.default_rng(6).uniform(-90, 90, (2, 25))
    table = local.moran(incidents(np.append(x[empty], 4500 + extra[0]), np.append(y[empty], 1500 + extra[1])), GRID, ASOF).table
    middle = 7 * 30 + 22
    assert table.filter(cell=middle)["class"][0] == "high-low"
    assert "low-low" in table["class"].to_list()


def test_order_of_rows_place_of_the_city_and_threads_change_nothing() -> None:
    frame = planted(7)
    here = local.getis(frame, GRID, ASOF, permutations=199, threads=1).table
    assert here.equals(local.getis(frame.sample(fraction=1.0, shuffle=True, seed=1), GRID, ASOF, permutations=199, threads=3).table)
    far = Plane.local(-33.9, 151.2)
    moved = local.getis(planted(7, far), Grid(far, 0.0, 0.0, 30, 25, 200.0), ASOF, permutations=199).table
    assert moved.drop("lon", "lat").equals(here.drop("lon", "lat"))


def test_areas_are_judged_like_cells() -> None:
    squares = {f"B{k}": Polygon((np.vstack([c, c[:1]]),)) for k, c in enumerate(GRID.corners(np.arange(len(GRID))))}
    frame = planted(8)
    a, b = local.getis(frame, GRID, ASOF), local.getis(frame, squares, ASOF)
    assert a.table["z"].to_list() == pytest.approx(b.table["z"].to_list()) and b.table["area"][0] == f"B{a.table['cell'][0]}"
    assert "areas" in b.headline and b.layers[0].ids[0].startswith("area:B") and "arguments" in b.basis.run


def test_what_cannot_be_answered_is_said() -> None:
    frame = planted(9)
    with pytest.raises(CannotTell, match="same address"):
        local.getis(frame.with_columns(lon=pl.lit(-90.85), lat=pl.lit(41.62)), GRID, ASOF)
    with pytest.raises(CannotTell, match="At least 10"):
        local.getis(frame.head(1), GRID, ASOF)
    with pytest.raises(CannotTell, match="choose a later asof"):
        local.getis(frame, GRID, "2020-01-01")
    with pytest.raises(CannotTell, match="no cell|No cell"):
        local.getis(frame, Grid(PLANE, 0.0, 0.0, 30, 25, 200.0, np.zeros(750, dtype=bool)), ASOF)
    with pytest.raises(CannotTell, match="at least 9"):
        local.getis(frame, Grid(PLANE, 0.0, 0.0, 2, 2, 3000.0), ASOF)
    with pytest.raises(CannotTell, match="no area"):
        local.getis(frame, {}, ASOF)
    with pytest.raises(CannotTell, match="has a position"):
        local.getis(frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), GRID, ASOF)
    with pytest.raises(BadInput, match="no column 'lon'"):
        local.getis(frame.drop("lon"), GRID, ASOF)
    for options in ({"weights": "bishop"}, {"weights": "distance"}, {"distance": 500.0}, {"weights": "distance", "distance": 20.0}, {"rate": 2.0},
                    {"permutations": 3}):
        with pytest.raises(BadInput, match="does not do|not known"):
            local.getis(frame, GRID, ASOF, **options)

"""Risk terrain: layers, fits and what is chosen, each against something known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.hotspots import _products, risk_terrain
from workbench.models.hotspots import _terrain_fit as fitting
from workbench.models.hotspots import _terrain_layers as terrain_layers

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 50, 40, 100.0)


def frame(x: Any, y: Any, days_before: Any = None) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    made = pl.DataFrame({"lon": lon, "lat": lat})
    if days_before is None:
        return made
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return made.with_columns(pl.Series("started_at", at, dtype=pl.Datetime("us", "UTC")))


def places(n: int, seed: int, grid: Grid = GRID) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return frame(rng.uniform(0, grid.nx * grid.cell, n), rng.uniform(0, grid.ny * grid.cell, n))


def incidents(log_rate: Any, seed: int, *, swing: float = 0.0, grid: Grid = GRID) -> pl.DataFrame:
    """Incidents by cell with that logarithm of the mean, spread over a year; ``swing`` = dispersion."""
    rng = np.random.default_rng(seed)
    mean = np.exp(np.broadcast_to(log_rate, (len(grid),)))
    counts = rng.poisson(mean * rng.gamma(1 / swing, swing, len(grid)) if swing else mean)
    cell = np.repeat(np.arange(len(grid)), counts)
    return frame((cell % grid.nx + rng.random(len(cell))) * grid.cell, (cell // grid.nx + rng.random(len(cell))) * grid.cell, rng.uniform(0.01, 364, len(cell)))


def near(features: pl.DataFrame, reach: float, grid: Grid = GRID) -> Any:
    return terrain_layers.nearest(*grid.metres(features), grid, reach) <= reach


def city(seed: int, *, swing: float = 0.0) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Bars treble the risk within 300 m, stops double it within 150 m; five more factors do nothing."""
    layers = {name: places(60, 100 * seed + k) for k, name in enumerate(("bars", "stops", "parks", "schools", "shops", "lamps", "banks"))}
    rate = -1.2 + np.log(3) * near(layers["bars"], 300) + np.log(2) * near(layers["stops"], 150)
    return incidents(rate, seed, swing=swing), layers


def counted(seed: int, n: int = 900, layers: int = 6, swing: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = (rng.random((n, layers)) < rng.uniform(0.1, 0.5, layers)).astype(float)
    mean = np.exp(-0.3 + x[:, :3] @ np.array([0.9, 0.5, -0.6]))
    return x, rng.poisson(mean * rng.gamma(1 / swing, swing, n) if swing else mean).astype(float)


def as_table(x: Any, y: Any) -> fitting.Table:
    rows, at = fitting.collapse(x)
    return fitting.table(rows, at, y)


# --- layers -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_feature_is_the_one_that_a_search_tree_finds(seed: int) -> None:
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-700, 5700, 80), rng.uniform(-700, 4700, 80)
    exact = cKDTree(np.column_stack([x, y])).query(np.column_stack(GRID.centres_metres()))[0]
    found = terrain_layers.nearest(x, y, GRID, 430.0)
    np.testing.assert_allclose(found, np.where(exact <= 430.0, exact, np.inf), atol=1e-6)


def test_dense_is_where_weighted_features_crowd_and_the_layers_differ() -> None:
    crowd = pl.concat([places(40, 1), frame(np.random.default_rng(0).normal(1000, 80, 60), np.random.default_rng(1).normal(3000, 80, 60))])
    found, _ = terrain_layers.features({"a": crowd}, GRID, ASOF, timedelta(days=365))
    x, y = GRID.centres_metres()
    dense = terrain_layers.dense(found[0], GRID, 200.0)
    assert np.hypot(x[dense] - 1000, y[dense] - 3000).max() < 800 and dense.sum() > 5
    twin = terrain_layers.Features("b", found[0].x, found[0].y, found[0].weight)
    layers, values, notes = terrain_layers.build([found[0], twin], GRID, [150.0, 300.0], ("distance", "density"))
    assert len({v.tobytes() for v in values.T}) == len(layers) and {layer.factor for layer in layers} == {"a"}
    assert "4 layers are the same as another one." in notes


def test_large_products_cut_small_are_the_products() -> None:
    a, b, w = np.random.default_rng(0).random((30_001, 21)), np.random.default_rng(1).random((21, 7)), np.random.default_rng(2).random(30_001)
    np.testing.assert_allclose(_products.gram(a, w), a.T @ (a * w[:, None]), rtol=1e-10)
    np.testing.assert_allclose(_products.product(a, b), a @ b, rtol=1e-10)
    np.testing.assert_allclose(_products.sums(a, w), w @ a, rtol=1e-10)


# --- fits -------------------------------------------------------------------------------------------------------------------------


def test_poisson_coefficients_errors_and_likelihood_are_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    x, y = counted(1)
    other = sm.GLM(y, sm.add_constant(x), family=sm.families.Poisson()).fit()
    made = fitting.fit(as_table(x, y), range(6))
    np.testing.assert_allclose(made.beta, other.params, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(made.covariance)), other.bse, rtol=1e-5)
    assert made.ok and made.loglik == pytest.approx(other.llf, abs=1e-5) and made.bic == pytest.approx(-2 * other.llf + 7 * np.log(len(y)), abs=1e-4)


def test_negative_binomial_coefficients_and_dispersion_are_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    x, y = counted(2, n=1500, swing=0.8)
    other = sm.NegativeBinomial(y, sm.add_constant(x)).fit(disp=0, maxiter=500, method="bfgs", gtol=1e-8)
    made = fitting.fit(as_table(x, y), range(6), negative=True)
    np.testing.assert_allclose(np.r_[made.beta, made.alpha], other.params, atol=1e-4)
    assert made.loglik >= other.llf - 1e-6
    given = sm.GLM(y, sm.add_constant(x), family=sm.families.NegativeBinomial(alpha=made.alpha)).fit(tol=1e-12)
    np.testing.assert_allclose(made.beta, given.params, atol=1e-5)


def test_where_counts_are_hardly_dispersed_at_all_or_wildly_the_fit_stays_finite() -> None:
    x, y = counted(3)
    even = fitting.fit(as_table(x, np.minimum(y, 1.0)), range(6), negative=True)
    assert np.isfinite(even.loglik) and even.alpha < 0.05
    wild = np.zeros(900)
    wild[:3] = (4000, 50, 700)
    made = fitting.fit(as_table(x, wild), range(2), negative=True)
    assert np.isfinite(made.loglik) and made.alpha > 10


@pytest.mark.parametrize("positive", [False, True])
def test_the_elastic_net_meets_its_conditions_at_every_penalty(positive: bool) -> None:
    x, y = counted(4, layers=20)
    t = as_table(x, y)
    road = fitting.penalties(t.x, t.y, t.m)
    betas = fitting.elastic_net(t.x, t.y, t.m, road, mix=0.5, positive=positive)
    share = t.m @ t.x / t.m.sum()
    s = np.sqrt(share * (1 - share))
    for penalty, b in zip(road, betas, strict=True):
        residual = t.y - t.m * np.exp(b[0] + t.x @ b[1:])
        slope = t.x.T @ residual / t.m.sum() - penalty * 0.5 * s**2 * b[1:]
        inside = b[1:] != 0
        assert abs(residual.sum()) < 1e-5 * t.m.sum()
        np.testing.assert_allclose(slope[inside], penalty * 0.5 * s[inside] * np.sign(b[1:][inside]), atol=1e-6)
        assert np.all((slope if positive else np.abs(slope))[~inside] <= penalty * 0.5 * s[~inside] + 1e-6)
    assert not betas[0, 1:].any() and betas[-1, 1:].any() and (betas[:, 1:].min() >= 0 or not positive)


@pytest.mark.parametrize(("seed", "swing"), [(5, 0.0), (6, 0.7), (7, 0.0), (8, 0.7)])
def test_stepwise_chooses_what_trying_every_set_chooses(seed: int, swing: float) -> None:
    x, y = counted(seed, swing=swing)
    t, negative = as_table(x, y), swing > 0
    found = fitting.stepwise(t, np.arange(6), range(6), negative=negative, positive=False)
    every = [fitting.fit(t, chosen, negative=negative) for k in range(7) for chosen in combinations(range(6), k)]
    best = min(every, key=lambda f: f.bic)
    assert set(found.columns) == set(best.columns) and found.bic == pytest.approx(best.bic, abs=1e-4)


# --- the terrain ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swing", [0.0, 0.6])
def test_planted_factors_are_found_with_reach_and_strength_and_noise_is_not(swing: float) -> None:
    rows, layers = city(3, swing=swing)
    found = risk_terrain.factors(rows, GRID, ASOF, layers=layers, operations=("distance",), resamples=20)
    got = {r["factor"]: r for r in found.table.iter_rows(named=True)}
    assert set(got) == {"bars", "stops"}
    assert got["bars"]["reach_m"] == 300 and got["stops"]["reach_m"] == 150
    assert got["bars"]["lower"] < 3 < got["bars"]["upper"] and got["stops"]["lower"] < 2 < got["stops"]["upper"]
    assert got["bars"]["chosen"] == 1.0 and got["bars"]["p"] < 1e-6
    assert found.basis.parameters["counts"] == ("negative binomial" if swing else "Poisson")
    assert found.headline.startswith("Of 7 factors, 2 go with ") and "chosen in 100 % of resamples" in found.headline and "too narrow" in found.headline


def test_where_nothing_is_planted_few_factors_are_chosen() -> None:
    wrong, small = 0, Grid(PLANE, 0.0, 0.0, 36, 30, 100.0)
    for seed in range(30):
        layers = {f"f{k}": places(20, 1000 + 10 * seed + k, small) for k in range(6)}
        wrong += len(risk_terrain.factors(incidents(-1.0, seed, grid=small), small, ASOF, layers=layers, resamples=0).table)
    assert wrong / (30 * 6) <= 0.05  # docs/risk-terrain.md states the rate


def test_protective_layers_are_kept_only_when_asked_for() -> None:
    layers = {"lamps": places(60, 1), "parks": places(60, 2)}
    rows = incidents(0.0 - 0.9 * near(layers["lamps"], 300), 4)
    assert risk_terrain.factors(rows, GRID, ASOF, layers=layers, operations=("distance",), resamples=0).table.is_empty()
    both = risk_terrain.factors(rows, GRID, ASOF, layers=layers, operations=("distance",), resamples=0, aggravating=False)
    assert both.table["factor"].to_list() == ["lamps"] and both.table["upper"][0] < 0.6


def test_the_surface_is_the_relative_risk_times_the_rate() -> None:
    rows, layers = city(5)
    made = risk_terrain.surface(rows, GRID, ASOF, layers=layers, operations=("distance",))
    assert made.expected.sum() == pytest.approx(len(rows) * 7 / 364, rel=0.02)
    both, none = near(layers["bars"], 300) & near(layers["stops"], 150), ~near(layers["bars"], 300) & ~near(layers["stops"], 150)
    assert made.expected[both].mean() / made.expected[none].mean() == pytest.approx(6, rel=0.2)
    assert "risk terrain" in made.basis.method and made.headline.startswith("Expect about ")


def test_features_and_incidents_known_only_at_or_after_asof_change_nothing() -> None:
    rows, layers = city(6)
    dated = layers | {"calls": places(80, 9).with_columns(started_at=pl.lit(ASOF - timedelta(days=40)))}
    later = {k: v for k, v in dated.items()} | {"calls": pl.concat([dated["calls"], places(300, 10).with_columns(started_at=pl.lit(ASOF))])}
    alone = risk_terrain.surface(rows, GRID, ASOF, layers=dated)
    after = frame(np.full(500, 4000.0), np.full(500, 500.0), np.full(500, -1.0))
    every = risk_terrain.surface(pl.concat([rows, after]), GRID, ASOF, layers=later)
    assert np.array_equal(alone.expected, every.expected) and alone.headline == every.headline
    one, two = (risk_terrain.factors(rows, GRID, ASOF, layers=given, resamples=5) for given in (dated, later))
    assert one.table.equals(two.table)


def test_order_of_rows_and_of_features_and_what_is_kept_in_memory_change_nothing() -> None:
    rows, layers = city(7)
    here = risk_terrain.factors(rows, GRID, ASOF, layers=layers, resamples=5)
    mixed = {name: f.sample(fraction=1, shuffle=True, seed=2) for name, f in layers.items()}
    risk_terrain._kept.clear()
    there = risk_terrain.factors(rows.sample(fraction=1, shuffle=True, seed=1), GRID, ASOF, layers=mixed, resamples=5)
    assert here.table.equals(there.table)


# --- cannot tell ------------------------------------------------------------------------------------------------------------------


def test_without_layers_it_says_what_can_be_given() -> None:
    for ask in (risk_terrain.surface, risk_terrain.factors):
        for given in (None, {}):
            with pytest.raises(CannotTell, match=r"needs features beside the incidents, and none were given.*places, cameras, calls of one kind"):
                ask(incidents(-1.0, 1), GRID, ASOF, layers=given)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"bars": places(5, 1).with_columns(lon=pl.lit(None, dtype=pl.Float64))}, CannotTell, r"None of the 1 layers \(bars\) holds a feature with a position"),
        ({"calls": places(5, 1).with_columns(started_at=pl.lit(ASOF))}, CannotTell, "known before 2026-01-01 00:00 UTC"),
        ({"bars": frame([-90_000.0], [-90_000.0])}, CannotTell, "No layer separates the 2000 cells"),
        ({"bars": pl.DataFrame({"x": [1.0]})}, BadInput, "no column 'lon'"),
        ({"bars": "places.csv"}, BadInput, "Layer 'bars' is a str; a polars.DataFrame"),
        ([places(5, 1)], BadInput, "layers is a list; a mapping of names to frames"),
        ({"bars": places(5, 1).with_columns(weight=pl.lit(-1.0))}, BadInput, "Layer 'bars' has a weight of -1"),
    ],
)
def test_layers_that_do_not_do_are_named(given: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        risk_terrain.surface(incidents(-1.0, 1), GRID, ASOF, layers=given)


@pytest.mark.parametrize(
    ("rows", "asof", "sentence"),
    [
        (incidents(-1.0, 1).head(9), ASOF, "At least 30 are needed"),
        (incidents(-1.0, 1).with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.62)), ASOF, "lie at the same address"),
        (incidents(-1.0, 1), "2020-01-01", "Nothing was known before 2020-01-01"),
        (incidents(-1.0, 1).with_columns(lon=pl.lit(None, dtype=pl.Float64)), ASOF, "has a position"),
    ],
)
def test_too_little_to_go_on_is_said(rows: pl.DataFrame, asof: Any, sentence: str) -> None:
    with pytest.raises(CannotTell, match=sentence):
        risk_terrain.factors(rows, GRID, asof, layers={"bars": places(30, 1)})


def test_options_that_do_not_do_are_refused_and_an_empty_area_is_said() -> None:
    rows, layers = incidents(-1.0, 1), {"bars": places(30, 1)}
    bad: list[dict[str, Any]] = [{"block": 0}, {"extents": 40}, {"operations": ("near",)}, {"resamples": -1}]
    for wrong, sentence in zip(bad, ("block=0 does not do", "extents=40 does not do", "operations=", "resamples=-1"), strict=True):
        with pytest.raises(BadInput, match=sentence):
            risk_terrain.factors(rows, GRID, ASOF, layers=layers, **wrong)
    nowhere = Grid(PLANE, 0.0, 0.0, 50, 40, 100.0, np.zeros(2000, dtype=bool))
    with pytest.raises(CannotTell, match="No cell of the grid lies in the study area"):
        risk_terrain.surface(rows, nowhere, ASOF, layers=layers)


def test_features_without_position_are_counted_in_the_notes_and_one_lone_feature_does() -> None:
    rows, layers = city(8)
    gone = layers["bars"].with_columns(lon=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise("lon"))
    found = risk_terrain.factors(rows, GRID, ASOF, layers={"bars": gone, "hall": frame([2500.0], [2000.0])}, resamples=0)
    assert any("7 of 60 features of bars have no position" in note for note in found.basis.notes)

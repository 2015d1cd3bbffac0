"""Lagged counts and boosted counts: what is learned inside the past, against something known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell, NotFound
from workbench.geo import Grid, Plane
from workbench.models.hotspots import _lags, counts, kde, lagged
from workbench.models.hotspots.backtest import held
from workbench.models.window import past

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 24, 20, 250.0)
WEEK = timedelta(days=7)


def incidents(x: Any, y: Any, days_before: Any, *, asof: datetime = ASOF) -> pl.DataFrame:
    """Incidents at metres x, y, some days before asof."""
    lon, lat = PLANE.to_degrees(x, y)
    at = [asof - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def scattered(n: int, seed: int, *, days: float = 700) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return incidents(rng.uniform(0, 6000, n), rng.uniform(0, 5000, n), rng.uniform(0.01, days, n))


def uneven(n: int, seed: int, *, days: float = 700, again: float = 0.0) -> pl.DataFrame:
    """Incidents by cells of gamma risk; a share of them is followed by another within some 80 m and 5 days."""
    rng = np.random.default_rng(seed)
    risk = rng.gamma(0.4, 1.0, len(GRID))
    cell = rng.choice(len(GRID), n, p=risk / risk.sum())
    x, y = (cell % 24 + rng.random(n)) * 250, (cell // 24 + rng.random(n)) * 250
    ago = rng.uniform(0.01, days, n)
    twice = rng.random(n) < again
    x, y = np.r_[x, x[twice] + rng.normal(0, 80, twice.sum())].clip(1, 5999), np.r_[y, y[twice] + rng.normal(0, 80, twice.sum())].clip(1, 4999)
    return incidents(x, y, np.abs(np.r_[ago, ago[twice] - rng.exponential(5, twice.sum())]) + 0.01)


# --- features ---------------------------------------------------------------------------------------------------------------------


def holed() -> Grid:
    inside = np.random.default_rng(0).random(24 * 20) < 0.8
    return Grid(PLANE, 0.0, 0.0, 24, 20, 250.0, inside)


@given(st.integers(0, 10_000), st.sampled_from([150.0, 400.0, 900.0]))
@settings(max_examples=15, deadline=None)
def test_spreading_keeps_every_total_inside_the_study_area(seed: int, bandwidth: float) -> None:
    grid = holed()
    values = np.where(grid.inside, np.random.default_rng(seed).poisson(0.2, (3, len(grid))), 0.0)
    spread = _lags.Spreading(grid, bandwidth)(values)
    np.testing.assert_allclose(spread.sum(axis=1), values.sum(axis=1), atol=1e-9)
    assert spread[:, ~grid.inside].max() == 0 and spread.min() >= 0


def test_spreading_is_a_gaussian_also_across_the_blocks_it_is_worked_in() -> None:
    grid = Grid(PLANE, 0.0, 0.0, 150, 131, 100.0)
    values = np.zeros((1, len(grid)))
    values[0, 65 * 150 + 64] = 1.0
    spread = _lags.Spreading(grid, 300.0)(values)[0].reshape(131, 150)
    x = (np.arange(150) - 64) * 100.0
    np.testing.assert_allclose(spread[65], spread[65, 64] * np.exp(-(x**2) / (2 * 300**2)), atol=0.02 * spread.max())
    np.testing.assert_allclose(spread[:, 64][::-1][:131], spread[:, 64], atol=1e-12)


def test_the_weighted_sum_in_every_cell_is_that_of_the_features_cell_by_cell() -> None:
    grid = holed()
    before = past(uneven(900, 1), grid, ASOF, "700d", least=5)
    lags = _lags.Lags((7 * 86400.0, float("inf")), (0.0, 300.0, 700.0), True)
    weights = np.random.default_rng(1).random(len(lags))
    length = before.length.total_seconds()
    cells = np.flatnonzero(grid.inside)
    features, totals = _lags.at_cells(before.cell, before.age, length, lags, grid, 604800.0, cells)
    mixed = _lags.mixed(before.cell, before.age, length, lags, grid, 604800.0, weights)
    np.testing.assert_allclose(mixed[cells], features @ weights, rtol=1e-9)
    np.testing.assert_allclose(features.sum(axis=0), totals, rtol=1e-9)
    assert len(lags.names) == len(lags) == features.shape[1]


# --- the regression ---------------------------------------------------------------------------------------------------------------


def test_the_regression_finds_the_maximum_that_a_general_optimiser_finds() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(5)
    features = rng.gamma(1, 1, (400, 5)) + 0.01
    totals, start = np.array([900.0, 700, 500, 400, 300]), np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    for strength in (3.0, 300.0):
        found = lagged.regress(features, totals, start, strength)

        def loss(v: Any, pull: float = strength) -> float:
            w = np.exp(v)
            return -float(np.log(features @ w).sum() - totals @ w + pull * start @ np.log(w) - pull * w.sum())

        other = np.exp(minimize(loss, np.log(found) + 0.3, method="BFGS", options={"gtol": 1e-8}).x)
        np.testing.assert_allclose(found, other, rtol=2e-3, atol=1e-5)
        assert loss(np.log(found)) <= loss(np.log(other)) + 1e-6


def test_planted_weights_are_recovered() -> None:
    rng = np.random.default_rng(2)
    every, true = rng.gamma(0.5, 0.2, (60_000, 3)), np.array([0.7, 0.0001, 0.5])
    came = rng.poisson(every @ true)
    found = lagged.regress(every[np.repeat(np.arange(len(every)), came)], every.sum(axis=0), np.full(3, 1 / 3), 3.0)
    np.testing.assert_allclose(found, true, atol=0.04)


# --- the forecast -----------------------------------------------------------------------------------------------------------------


def test_what_recurs_soon_and_near_is_weighed_when_planted_and_not_when_it_is_not() -> None:
    def quick(frame: pl.DataFrame) -> float:
        made = lagged.estimate(past(frame, GRID, ASOF, "700d", least=5), GRID, timedelta(days=2))
        return sum(v for k, v in made.parameters["shares of the total"].items() if k.startswith(("half-life 2 d", "half-life 7 d")))

    assert quick(uneven(12_000, 3, again=0.6)) > 0.1
    assert quick(uneven(18_000, 3)) < 0.04


def test_where_risk_is_even_the_forecast_is_nearly_even_and_its_total_right() -> None:
    made = lagged.surface(scattered(5000, 4), GRID, ASOF)
    assert made.expected.sum() == pytest.approx(50, rel=0.1)
    assert made.expected.max() < 2.5 * made.expected.mean()
    assert made.headline.startswith("Expect about ") and "weights learned from" in made.basis.method


def test_it_forecasts_uneven_risk_with_quick_recurrence_better_than_counts_and_kernel_density() -> None:
    score: dict[str, float] = {"lagged": 0.0, "counts": 0.0, "kde": 0.0}
    frame = uneven(7000, 9, again=0.3)
    for k in range(1, 7):
        asof = ASOF - timedelta(days=14 * k)
        came = GRID.count(frame.filter((pl.col("started_at") >= asof) & (pl.col("started_at") < asof + timedelta(days=14)))).astype(float)
        before = past(frame, GRID, asof, "700d", least=5)
        for name, model in (("lagged", lagged), ("counts", counts), ("kde", kde)):
            expected = np.maximum(model.estimate(before, GRID, timedelta(days=14)).expected, 1e-6)
            score[name] += float((came * np.log(expected) - expected).sum())
    assert score["lagged"] > max(score["counts"], score["kde"])


@pytest.mark.parametrize("horizon", ["6h", "1d", "30d", "92d"])
def test_any_horizon_gets_its_share_of_the_rate(horizon: str) -> None:
    made = lagged.surface(uneven(3000, 6, days=1000), GRID, ASOF, horizon=horizon)
    days = {"6h": 0.25, "1d": 1, "30d": 30, "92d": 92}[horizon]
    assert made.expected.sum() == pytest.approx(3 * days, rel=0.25)


def test_nothing_known_at_or_after_asof_is_used_nor_kept_in_memory_for_an_earlier_moment() -> None:
    frame = uneven(2500, 5).with_columns(ended_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")), reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    later = scattered(400, 6, days=0.5).with_columns(ended_at=pl.lit(ASOF + timedelta(hours=1)), reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    told_later = scattered(400, 7).with_columns(ended_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")), reported_at=pl.lit(ASOF))
    both = pl.concat([frame, later, told_later])
    lagged.surface(both, GRID, ASOF + timedelta(days=3))
    every, alone = lagged.surface(both, GRID, ASOF), lagged.surface(frame, GRID, ASOF)
    assert np.array_equal(every.expected, alone.expected) and every.headline == alone.headline


def test_what_is_kept_in_memory_changes_no_answer() -> None:
    frame = uneven(2500, 8)
    days = [ASOF - timedelta(days=d) for d in (0, 1, 2, 30)]
    kept = [lagged.surface(frame, GRID, day, window="500d").expected for day in days]
    for day, before in zip(days, kept, strict=True):
        lagged._learned.clear()
        assert np.array_equal(lagged.surface(frame, GRID, day, window="500d").expected, before)


def test_moving_the_city_or_reordering_the_rows_changes_nothing() -> None:
    frame = uneven(1500, 4)
    here = lagged.surface(frame, GRID, ASOF)
    assert np.array_equal(lagged.surface(frame.sample(fraction=1, shuffle=True, seed=1), GRID, ASOF).expected, here.expected)
    there = Grid(Plane.local(41.6, -88.9), 0.0, 0.0, 24, 20, 250.0)
    np.testing.assert_allclose(lagged.surface(frame.with_columns(pl.col("lon") + 2.0), there, ASOF).expected, here.expected, atol=1e-9)


# --- cannot tell ------------------------------------------------------------------------------------------------------------------


def test_a_short_past_is_forecast_with_the_starting_mix_and_says_so() -> None:
    made = lagged.surface(scattered(20, 1, days=30), GRID, ASOF)
    assert "starting mix" in made.basis.method and "too little to learn weights from" in " ".join(made.basis.notes)
    assert made.expected.sum() == pytest.approx(20 / 30 * 7, rel=0.5)


@pytest.mark.parametrize(
    ("frame", "asof", "sentence"),
    [
        (scattered(3, 1), ASOF, r"3 of 3 incidents of the 1,461 days before 2026-01-01 can be placed. At least \d+ are needed"),
        (scattered(50, 1).with_columns(lon=pl.lit(None, dtype=pl.Float64)), ASOF, r"None of the 50 incidents .* has a position"),
        (scattered(50, 1).with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.62)), ASOF, "All 50 incidents lie at the same address"),
        (scattered(50, 1), "2020-01-01", r"Nothing was known before 2020-01-01 00:00 UTC: the first of the 50 rows"),
        (scattered(50, 1).head(0), ASOF, "the frame has no rows"),
    ],
)
def test_too_little_to_go_on_is_said_with_what_would_do(frame: pl.DataFrame, asof: Any, sentence: str) -> None:
    with pytest.raises(CannotTell, match=sentence):
        lagged.surface(frame, GRID, asof)


def test_an_empty_study_area_is_said_and_wrong_options_are_refused_with_what_would_do() -> None:
    nowhere = Grid(PLANE, 0.0, 0.0, 4, 4, 250.0, np.zeros(16, dtype=bool))
    with pytest.raises(CannotTell, match="No cell of the grid lies in the study area"):
        lagged.surface(scattered(50, 1), nowhere, ASOF)
    with pytest.raises(BadInput, match="half_lives='7d' does not do; give several"):
        lagged.surface(scattered(50, 1), GRID, ASOF, half_lives="7d")
    with pytest.raises(BadInput, match="A bandwidth of -5 does not do; give metres"):
        lagged.surface(scattered(50, 1), GRID, ASOF, bandwidths=(-5,))
    with pytest.raises(BadInput, match="prior=0 does not do"):
        lagged.surface(scattered(50, 1), GRID, ASOF, prior=0)
    with pytest.raises(BadInput, match="started_at"):
        lagged.surface(scattered(50, 1).drop("started_at"), GRID, ASOF)


def test_one_cell_or_a_strip_of_cells_is_an_area_too() -> None:
    for nx, ny in ((1, 1), (400, 1), (1, 90)):
        grid = Grid(PLANE, 0.0, 0.0, nx, ny, 6000.0 if nx == 1 and ny == 1 else 250.0)
        made = lagged.surface(uneven(2500, 2), grid, ASOF)
        assert np.isfinite(made.expected).all() and made.expected.sum() > 0


# --- boosted ----------------------------------------------------------------------------------------------------------------------


def test_boosting_finds_what_recurs_and_gives_the_same_trees_for_the_same_seed() -> None:
    pytest.importorskip("lightgbm")
    from workbench.models.hotspots import boosted

    frame = uneven(5000, 9, again=0.3)
    made = boosted.surface(frame, GRID, ASOF)
    boosted._grown.clear()
    again = boosted.surface(frame.sample(fraction=1, shuffle=True, seed=3), GRID, ASOF)
    assert np.array_equal(made.expected, again.expected) and "trees grown on" in made.basis.method
    assert made.expected.sum() == pytest.approx(len(frame) / 100, rel=0.25)
    busy = GRID.count(frame)
    assert np.corrcoef(made.expected, busy)[0, 1] > 0.8


def test_boosting_uses_layers_that_are_given_and_nothing_known_after_asof() -> None:
    pytest.importorskip("lightgbm")
    from workbench.models.hotspots import boosted

    frame, bars = uneven(3000, 2), scattered(30, 5).drop("started_at")
    later = scattered(500, 6).with_columns(started_at=pl.lit(ASOF))
    dated = {"bars": bars, "calls": scattered(200, 7)}
    alone = boosted.surface(frame, GRID, ASOF, layers=dated)
    every = boosted.surface(pl.concat([frame, later]), GRID, ASOF, layers=dated | {"calls": pl.concat([dated["calls"], later])})
    assert np.array_equal(alone.expected, every.expected)
    assert alone.basis.parameters["features"] == boosted.surface(frame, GRID, ASOF).basis.parameters["features"] + 2


def test_without_lightgbm_boosting_names_the_extra_and_is_still_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import models
    from workbench.models.hotspots import boosted

    monkeypatch.setattr(boosted.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotFound, match=r"LightGBM is not installed.*extra 'boosting'.*hotspots.lagged"):
        boosted.surface(scattered(200, 1), GRID, ASOF)
    assert {"hotspots.boosted", "hotspots.lagged", "hotspots.risk_terrain"} <= set(models.surfaces())


def test_too_few_incidents_to_grow_trees_and_a_wrong_seed_are_said() -> None:
    pytest.importorskip("lightgbm")
    from workbench.models.hotspots import boosted

    with pytest.raises(CannotTell, match="too few to grow trees; at least 100 after 4 origins are needed"):
        boosted.surface(scattered(60, 1, days=60), GRID, ASOF)
    with pytest.raises(BadInput, match="seed=-1 does not do"):
        boosted.surface(scattered(60, 1), GRID, ASOF, seed=-1)


# --- real -------------------------------------------------------------------------------------------------------------------------


def chicago(folder: Path, kind: str) -> pl.DataFrame:
    """Incidents of 2013 to 2016 as the portal has them (their local time taken as UTC: both sides of the comparison alike)."""
    parts = [pl.read_parquet(folder / "chicago" / f"chicago_crimes_{year}.parquet").filter(pl.col("Primary Type") == kind) for year in range(2013, 2017)]
    return pl.concat(parts).select(started_at=pl.col("Date").dt.replace_time_zone("UTC"), lon="Longitude", lat="Latitude").filter(pl.col("lat") > 41)




def test_on_chicago_burglaries_it_beats_counts_and_kernel_density(real_data: Path) -> None:
    frame = chicago(real_data, "BURGLARY")
    grid = Grid.around(frame, cell=300)
    found: dict[str, list[float]] = {"lagged": [], "counts": [], "kde": []}
    for k in range(12):
        asof = datetime(2016, 1, 4, tzinfo=UTC) + timedelta(days=28 * k)
        came = came_in_week(grid, frame, asof)
        for name, model, window in (("lagged", lagged, "1461d"), ("counts", counts, "365d"), ("kde", kde, "365d")):
            expected = model.estimate(past(frame, grid, asof, window, least=5), grid, WEEK).expected
            found[name].append(float(np.mean([held(expected, came, share) / came.sum() / share for share in (0.01, 0.02, 0.05)])))
    assert np.mean(found["lagged"]) > max(np.mean(found["counts"]), np.mean(found["kde"]))


def came_in_week(grid: Grid, frame: pl.DataFrame, asof: datetime) -> Any:
    return grid.count(frame.filter((pl.col("started_at") >= asof) & (pl.col("started_at") < asof + WEEK))).astype(float)

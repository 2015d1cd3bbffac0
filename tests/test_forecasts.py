"""Forecasts of places: what every one of them keeps, and what each finds that was planted for it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.hotspots import _choosing, counts, fourier, kde, long_run, promap, self_exciting
from workbench.models.window import Past, past

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
INSIDE = np.arange(16 * 12) % 16 < 15  # the last column lies outside the area
GRID = Grid(PLANE, 0.0, 0.0, 16, 12, 250.0, INSIDE)
MODELS = [counts, kde, long_run, promap, self_exciting, fourier]
FORECASTS = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__.rsplit(".", 1)[1])


def incidents(x: Any, y: Any, days_before: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return pl.DataFrame({"incident_id": [f"i{k}" for k in range(len(at))], "started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def scattered(n: int, seed: int, *, days: float = 400) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return incidents(rng.uniform(0, 3749, n), rng.uniform(0, 3000, n), rng.uniform(0.01, days, n))


def clustered(n: int, seed: int, *, share: float = 0.5, days: float = 400, at: tuple[float, float] = (1400.0, 1900.0)) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    near = rng.random(n) < share
    x = np.where(near, rng.normal(at[0], 200, n), rng.uniform(0, 3749, n)).clip(1, 3749)
    y = np.where(near, rng.normal(at[1], 200, n), rng.uniform(0, 3000, n)).clip(1, 2999)
    return incidents(x, y, rng.uniform(0.01, days, n))


def placed(frame: pl.DataFrame, *, window: str = "1095d") -> Past:
    return past(frame, GRID, ASOF, window, least=5)


# --- what every forecast keeps -----------------------------------------------------------------------------------------------------


@FORECASTS
def test_the_expectations_sum_to_about_the_rate_and_lie_inside_the_area_only(model: Any) -> None:
    frame = clustered(1200, 1)
    surface = model.surface(frame, GRID, ASOF, horizon="14d")
    assert surface.expected.sum() == pytest.approx(int((GRID.locate(frame) >= 0).sum()) * 14 / 400, rel=0.15)
    assert (surface.expected >= 0).all() and np.isfinite(surface.expected).all()
    assert surface.expected[~INSIDE].sum() == 0
    assert (surface.lower <= surface.upper).all() and surface.headline.startswith("Expect about ")


@FORECASTS
def test_the_planted_cluster_is_where_most_is_expected(model: Any) -> None:
    x, y = GRID.centres_metres()
    top = model.surface(clustered(800, 2), GRID, ASOF).top(0.02)
    assert np.hypot(x[top] - 1400, y[top] - 1900).max() < 600


@FORECASTS
def test_moving_the_city_or_reordering_rows_changes_nothing(model: Any) -> None:
    frame = clustered(500, 3)
    there = Grid(Plane.local(41.6, -88.9), 0.0, 0.0, 16, 12, 250.0, INSIDE)
    here = model.surface(frame, GRID, ASOF).expected
    assert np.array_equal(model.surface(frame.sample(fraction=1, shuffle=True, seed=1), GRID, ASOF).expected, here)
    np.testing.assert_allclose(model.surface(frame.with_columns(pl.col("lon") + 2.0), there, ASOF).expected, here, atol=1e-5 * here.max())


@FORECASTS
def test_rows_known_at_or_after_asof_change_nothing(model: Any) -> None:
    frame = clustered(400, 4).with_columns(reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    later = clustered(200, 5, at=(3000.0, 500.0)).with_columns(reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    future = later.with_columns(started_at=pl.lit(ASOF) + pl.duration(hours=pl.int_range(pl.len())))
    told = later.with_columns(reported_at=pl.lit(ASOF))
    alone, every = model.surface(frame, GRID, ASOF), model.surface(pl.concat([frame, future, told]), GRID, ASOF)
    assert np.array_equal(alone.expected, every.expected)
    assert alone.headline == every.headline


@FORECASTS
def test_an_estimate_of_an_earlier_moment_is_the_surface_asked_for_then(model: Any) -> None:
    frame = clustered(900, 6)
    then = ASOF - timedelta(days=30)
    window = timedelta(days=300)
    back = placed(frame).back(then, window, least=50)
    asked = past(frame, GRID, then, window, least=50)
    made, again = (model.estimate(p, GRID, timedelta(days=7)) for p in (back, asked))
    np.testing.assert_allclose(made.expected, again.expected, rtol=1e-9, atol=1e-15)
    assert made.method == again.method


@FORECASTS
def test_even_scatter_gives_no_hotspot_that_holds_much_more_than_its_share(model: Any) -> None:
    """Counted on what really comes next: over six futures the best 5 % hold about 5 %."""
    held = []
    for seed in range(6):
        surface = model.surface(scattered(900, 50 + seed), GRID, ASOF)
        came = GRID.locate(scattered(2000, 80 + seed))
        held.append(np.isin(came, surface.top(0.05)).mean() * GRID.n_inside / len(surface.top(0.05)))
    assert 0.85 < np.mean(held) < 1.15


@FORECASTS
@pytest.mark.parametrize(
    ("frame", "asof", "sentence"),
    [
        (scattered(3, 1), ASOF, r"3 of 3 incidents of the .* can be placed\. At least \d+ are needed"),
        (scattered(60, 1).with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in ("lon", "lat")), ASOF, r"None of the \d+ incidents .* has a position"),
        (scattered(60, 1).with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.61)), ASOF, r"All \d+ incidents lie at the same address"),
        (scattered(60, 1), "2020-01-01", "Nothing was known before 2020-01-01"),
        (scattered(60, 1).with_columns(started_at=pl.lit(None, dtype=pl.Datetime("us", "UTC"))), ASOF, "Nothing was known before"),
    ],
)
def test_too_little_to_go_on_is_said_in_a_sentence(model: Any, frame: pl.DataFrame, asof: Any, sentence: str) -> None:
    with pytest.raises(CannotTell, match=sentence):
        model.surface(frame, GRID, asof)


@FORECASTS
def test_an_empty_area_or_a_missing_column_is_said(model: Any) -> None:
    with pytest.raises(CannotTell, match="No cell of the grid lies in the study area"):
        model.surface(scattered(60, 1), Grid(PLANE, 0.0, 0.0, 16, 12, 250.0, np.zeros(192, dtype=bool)), ASOF)
    with pytest.raises(BadInput, match="lon"):
        model.surface(scattered(60, 1).drop("lon"), GRID, ASOF)


# --- choosing by the past ----------------------------------------------------------------------------------------------------------


def test_caught_agrees_with_counting_cell_by_cell() -> None:
    from workbench.models.hotspots import backtest

    rng = np.random.default_rng(7)
    expected, came = rng.integers(0, 4, (3, 300)).astype(float), rng.integers(0, 300, 90)
    counted = np.bincount(came, minlength=300).astype(float)
    by_hand = [np.mean([backtest.held(e, counted, s) / s for s in _choosing.SHARES]) for e in expected]
    np.testing.assert_allclose(_choosing.caught(expected, came), by_hand)


def test_a_forecast_that_says_nothing_catches_its_share_and_no_more() -> None:
    assert _choosing.caught(np.ones((1, 500)), np.arange(200))[0] == pytest.approx(200)


def test_steady_places_are_remembered_long_and_moving_ones_forgotten_soon() -> None:
    rng = np.random.default_rng(8)
    n, days = 4000, rng.uniform(0.01, 800, 4000)
    steady = incidents(*(rng.normal(c, 60, n) for c in (1400.0, 1900.0)), days)
    spots = rng.uniform(200, 2800, (40, 2))  # every twenty days the incidents move on
    moving = incidents(*(spots[(days // 20).astype(int)] + rng.normal(0, 60, (n, 2))).clip(1, 2999).T, days)
    even = scattered(1500, 9, days=800)
    at = {name: counts.estimate(placed(pl.concat([even, frame])), GRID, timedelta(days=7)).parameters["half_life"] for name, frame in
          (("steady", steady), ("moving", moving))}
    assert at["moving"] == "half-life 30 days" and at["steady"] in ("half-life 365 days", "all alike", "half-life 180 days")


def test_a_half_life_given_is_kept_and_a_short_past_falls_back() -> None:
    assert counts.estimate(placed(clustered(500, 1)), GRID, timedelta(days=7), half_life="45d").parameters["half_life"] == "half-life 45 days"
    made = counts.estimate(placed(clustered(200, 1, days=20)), GRID, timedelta(days=7))
    assert made.parameters["half_life"] == "half-life 90 days" and "too short a past" in made.method


# --- each its own ------------------------------------------------------------------------------------------------------------------


def test_long_run_lies_between_a_cells_own_count_and_its_neighbourhood() -> None:
    own = np.bincount(placed(clustered(700, 10)).cell, minlength=len(GRID)).astype(float)
    near, alone, mixed = (long_run.long_run(own, GRID, 375.0, v) for v in (math.inf, 0.0, 2.0))
    assert np.array_equal(alone, own)
    assert near.sum() == pytest.approx(own.sum(), rel=1e-6)
    assert ((mixed >= np.minimum(own, near) - 1e-12) & (mixed <= np.maximum(own, near) + 1e-12)).all()


def test_what_is_recent_turns_the_long_run_mean() -> None:
    frame = pl.concat([scattered(2000, 11), incidents(np.full(12, 600.0), np.full(12, 600.0), np.linspace(1, 20, 12))])
    still, turned = (long_run.surface(frame, GRID, ASOF, recent="28d", own=2.0, steady=s).expected for s in (math.inf, 3.0))
    cell = GRID.index(np.array([600.0]), np.array([600.0]))[0]
    assert turned[cell] > 2.5 * still[cell] and turned.argmax() == cell


def test_promap_sums_distance_and_age_as_published() -> None:
    """One incident ten days ago: one whole week, and whole half-cells from it to each centre."""
    frame = incidents([1111.0, 3000.0], [1140.0, 300.0], [10.0, 80.0])
    risk = promap.raised(past(frame, GRID, ASOF, "90d", least=2), GRID, 400.0, timedelta(days=56))
    x, y = GRID.centres_metres()
    d = np.hypot(x - 1111.0, y - 1140.0)
    by_hand = np.where(d <= 400, 1 / (1 + np.floor(2 * d / 250)) / 2, 0.0)
    np.testing.assert_allclose(risk, by_hand * INSIDE, atol=1e-12)


def test_promap_takes_bands_given_and_refuses_others() -> None:
    frame = clustered(300, 12)
    one = promap.surface(frame, GRID, ASOF, distances=(1, 0), weeks=(1,), memory="28d").expected
    assert (one > 0).sum() < (promap.surface(frame, GRID, ASOF, memory="28d").expected > 0).sum()
    with pytest.raises(BadInput, match="give a risk of at least 0 for each band"):
        promap.surface(frame, GRID, ASOF, weeks=(-1.0,))
    with pytest.raises(BadInput, match="reach of 0"):
        promap.surface(frame, GRID, ASOF, reach=0)
    with pytest.raises(CannotTell, match="use a longer memory"):
        promap.surface(frame.filter(pl.col("started_at") < ASOF - timedelta(days=60)), GRID, ASOF)


def test_the_regression_is_the_same_for_the_same_seed_and_refuses_odd_settings() -> None:
    frame = clustered(900, 13)
    one, two, other = (fourier.surface(frame, GRID, ASOF, seed=s, features=15, ridge=3.0).expected for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    for wrong, sentence in (({"features": -1}, "features=-1"), ({"length": 0.0}, "length=0.0"), ({"ridge": math.nan}, "ridge=nan")):
        with pytest.raises(BadInput, match=sentence):
            fourier.surface(frame, GRID, ASOF, **wrong)  # type: ignore[arg-type]


def test_newton_agrees_with_a_poisson_regression_by_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(14)
    x = np.c_[np.ones(400), rng.normal(0, 1, (400, 3))]
    y = rng.poisson(np.exp(x @ np.array([-1.0, 0.5, -0.3, 0.8]))).astype(float)
    ours = fourier._newton(x, y, np.ones(400), np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(ours, sm.GLM(y, x, family=sm.families.Poisson()).fit(tol=1e-12).params, atol=1e-4)


@pytest.mark.slow
def test_on_real_burglaries_the_forecasts_beat_fixed_counts_and_kernel_density(chicago_path: Any) -> None:
    from functools import partial

    import workbench as wb
    from workbench.models.hotspots import backtest

    city = wb.open_workbench(chicago_path)
    frame = city.incidents("2013-01-01", "2017-01-01", offence="burglary")
    grid = Grid.around(frame, cell=250)
    models = {"long_run": long_run.surface, "fourier": fourier.surface, "fixed": partial(counts.surface, window="365d", half_life="90d"),
              "kde": partial(kde.surface, bandwidth=200.0)}
    table = backtest.rolling(frame, grid, models, start="2016-01-04", end="2016-12-20", step="56d", draws=200).table.filter(measure="pai")
    mean = {m: table.filter(model=m)["overall"].mean() for m in models}
    assert min(mean["long_run"], mean["fourier"]) > max(mean["fixed"], mean["kde"])  # type: ignore[type-var, call-overload]

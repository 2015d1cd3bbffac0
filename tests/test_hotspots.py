"""Hotspots: surfaces, their intervals, the back-test and claimed places, each against something known."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import models
from workbench.errors import BadInput, CannotTell, NotFound
from workbench.geo import Grid, Plane, Polygon
from workbench.models import chance
from workbench.models.hotspots import backtest, claims, counts, kde
from workbench.models.window import moment, span

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 24, 20, 250.0)


def incidents(x: Any, y: Any, days_before: Any, *, asof: datetime = ASOF) -> pl.DataFrame:
    """Incidents at metres x, y, some days before asof."""
    lon, lat = PLANE.to_degrees(x, y)
    at = [asof - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return pl.DataFrame({"incident_id": [f"i{k}" for k in range(len(at))], "started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def scattered(n: int, seed: int, *, days: float = 365) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return incidents(rng.uniform(0, 6000, n), rng.uniform(0, 5000, n), rng.uniform(0.01, days, n))


def clustered(n: int, seed: int, *, share: float = 0.5, days: float = 365, at: tuple[float, float] = (1500.0, 3500.0)) -> pl.DataFrame:
    """A share of incidents about one point (standard deviation 250 m), the rest anywhere."""
    rng = np.random.default_rng(seed)
    near = rng.random(n) < share
    x = np.where(near, rng.normal(at[0], 250, n), rng.uniform(0, 6000, n)).clip(1, 5999)
    y = np.where(near, rng.normal(at[1], 250, n), rng.uniform(0, 5000, n)).clip(1, 4999)
    return incidents(x, y, rng.uniform(0.01, days, n))


# --- kernel density ---------------------------------------------------------------------------------------------------------------


def direct(x: Any, y: Any, grid: Grid, h: float) -> Any:
    """The same quantity without binning: every point's Gaussian integrated over every cell."""
    phi = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))
    cols = phi((grid.x0 + np.arange(grid.nx + 1)[:, None] * grid.cell - x[None, :]) / h)
    rows = phi((grid.y0 + np.arange(grid.ny + 1)[:, None] * grid.cell - y[None, :]) / h)
    return (np.diff(rows, axis=0) @ np.diff(cols, axis=0).T).ravel()


@pytest.mark.parametrize("bandwidth", [90.0, 250.0, 700.0])
def test_kernel_density_agrees_with_direct_summation(bandwidth: float) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(3000, 800, 400).clip(1, 5999), rng.normal(2500, 700, 400).clip(1, 4999)
    exact = direct(x, y, GRID, bandwidth)
    assert np.abs(kde.spread(x, y, GRID, bandwidth, edge=False) - exact).max() < 0.002 * exact.max()


def test_one_point_is_spread_as_a_gaussian_wherever_it_lies_in_its_cell() -> None:
    for x in (3000.0, 3060.0, 3125.0, 3249.0):
        exact = direct(np.array([x]), np.array([2600.0]), GRID, 200.0)
        got = kde.spread(np.array([x]), np.array([2600.0]), GRID, 200.0, edge=False)
        assert np.abs(got - exact).max() < 0.01 * exact.max()


def test_with_edge_correction_all_mass_stays_in_the_study_area() -> None:
    area = Polygon.box(-90.93, 41.58, -90.87, 41.62)
    grid = Grid.over(Polygon((np.array([[-90.93, 41.58], [-90.87, 41.58], [-90.9, 41.62], [-90.93, 41.58]]),)), cell=200)
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "started_at": [ASOF - timedelta(days=float(d)) for d in rng.uniform(0.1, 364.9, 600)],
            "lon": rng.uniform(area.bounds[0], area.bounds[2], 600),
            "lat": rng.uniform(area.bounds[1], area.bounds[3], 600),
        }
    )
    surface = kde.surface(frame, grid, ASOF, bandwidth=400)
    inside = int((grid.locate(frame) >= 0).sum())
    length = (ASOF - frame["started_at"].min()) / timedelta(days=7)  # type: ignore[operator]
    assert surface.expected.sum() == pytest.approx(inside / length, rel=1e-9)
    assert surface.expected[~grid.inside].sum() == 0
    assert f"{600 - inside} lie outside the area" in " ".join(surface.basis.notes)


def test_the_planted_cluster_is_where_most_is_expected() -> None:
    for model in (kde.surface, counts.surface):
        surface = model(clustered(800, 1), GRID, ASOF)
        x, y = GRID.centres_metres()
        top = surface.top(0.02)
        assert np.hypot(x[top] - 1500, y[top] - 3500).max() < 700
        assert surface.table["cell"].to_list() == top.tolist()[: len(surface.table)]


def test_the_likeliest_bandwidth_is_wide_for_even_scatter_and_narrow_for_tight_clusters() -> None:
    even, tight = scattered(600, 2), clustered(600, 2, share=0.9)
    assert kde.likeliest(GRID.locate(even), GRID) >= 4 * kde.likeliest(GRID.locate(tight), GRID)


def test_moving_the_city_or_reordering_the_rows_changes_nothing() -> None:
    frame = clustered(500, 4)
    moved = frame.with_columns(pl.col("lon") + 2.0)
    there = Grid(Plane.local(41.6, -88.9), 0.0, 0.0, 24, 20, 250.0)
    for model in (kde.surface, counts.surface):
        here = model(frame, GRID, ASOF)
        assert np.array_equal(model(frame.sample(fraction=1, shuffle=True, seed=1), GRID, ASOF).expected, here.expected)
        np.testing.assert_allclose(model(moved, there, ASOF).expected, here.expected, atol=1e-9)


@pytest.mark.parametrize("model", [kde.surface, counts.surface])
def test_nothing_known_at_or_after_asof_is_used(model: Any) -> None:
    frame = clustered(300, 5).with_columns(ended_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")), reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    later = clustered(200, 6, at=(5000.0, 500.0)).with_columns(
        started_at=pl.lit(ASOF), ended_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")), reported_at=pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    )
    found_later = later.with_columns(started_at=pl.lit(ASOF - timedelta(days=3)), ended_at=pl.lit(ASOF + timedelta(hours=1)))
    told_later = later.with_columns(started_at=pl.lit(ASOF - timedelta(days=3)), reported_at=pl.lit(ASOF))
    alone = model(frame, GRID, ASOF)
    every = model(pl.concat([frame, later, found_later, told_later]), GRID, ASOF)
    assert np.array_equal(alone.expected, every.expected)
    assert alone.headline == every.headline


def test_an_incident_one_second_before_asof_is_used() -> None:
    frame = pl.concat([scattered(100, 7), incidents([100.0], [100.0], [1 / 86400])])
    assert counts.surface(frame, GRID, ASOF).expected[0] > counts.surface(frame.head(100), GRID, ASOF).expected[0]


def test_the_sentence_names_total_interval_and_where() -> None:
    surface = kde.surface(clustered(800, 1), GRID, ASOF, zone="America/Chicago")
    assert surface.headline.startswith("Expect about 15 incidents in the 7 days from 2025-12-31 18:00 (90 % interval ")
    assert "% of the area where most are expected" in surface.headline
    assert surface.basis.asof == ASOF and surface.basis.used == 800 and "bandwidth" in surface.basis.parameters


# --- counts -----------------------------------------------------------------------------------------------------------------------


def test_plain_counts_are_the_count_carried_forward() -> None:
    frame = pl.concat([scattered(400, 8), incidents([10.0], [10.0], [365.0])])
    surface = counts.surface(frame, GRID, ASOF, half_life=None, window="365d", horizon="14d")
    np.testing.assert_allclose(surface.expected, GRID.count(frame) * 14 / 365, rtol=1e-12)


def test_with_a_half_life_an_old_incident_counts_half() -> None:
    frame = incidents(np.r_[np.full(5, 100.0), np.full(5, 1100.0)], np.full(10, 100.0), np.r_[np.full(5, 10.0), np.full(5, 100.0)])
    surface = counts.surface(frame, GRID, ASOF, half_life="90d", window="100d")
    assert surface.expected[0] == pytest.approx(2 * surface.expected[4])


def test_steady_incidents_give_the_same_total_with_and_without_half_life() -> None:
    frame = incidents(*np.random.default_rng(1).uniform(0, 5000, (2, 3650)), np.linspace(0.05, 365, 3650))
    plain, fading = (counts.surface(frame, GRID, ASOF, half_life=h).expected.sum() for h in (None, "60d"))
    assert fading == pytest.approx(plain, rel=0.01)


def test_ties_at_the_cut_are_said() -> None:
    frame = incidents(np.arange(20) * 260.0 + 100, np.full(20, 100.0), np.full(20, 5.0))
    assert "20 cells have the same expectation" in " ".join(counts.surface(frame, GRID, ASOF, half_life=None).basis.notes)


# --- intervals --------------------------------------------------------------------------------------------------------------------


def test_intervals_hold_what_they_say_when_the_future_is_like_the_past() -> None:
    rng = np.random.default_rng(11)
    risk = rng.gamma(0.6, 1.0, len(GRID))
    x, y = GRID.centres_metres()
    held = []
    for _ in range(12):
        weekly = rng.poisson(risk[None, :] * rng.gamma(4, 0.25, (53, 1)) * 0.6)  # weeks differ by half their mean
        cell = np.concatenate([np.repeat(np.arange(len(GRID)), w) for w in weekly])
        days = np.concatenate([np.full(w.sum(), 7.0 * k - 3.5) for k, w in enumerate(weekly)])
        surface = counts.surface(incidents(x[cell], y[cell], days), GRID, ASOF, half_life=None, window="364d")
        busy = surface.expected > 0.5
        held.append(np.mean((weekly[0] >= surface.lower)[busy] & (weekly[0] <= surface.upper)[busy]))  # type: ignore[operator]
        total = surface.headline.split("90 % interval ")[1].split(")")[0].replace(",", "").split(" to ")
        held.append(float(total[0]) <= weekly[0].sum() <= float(total[1]))
    assert np.mean(held[::2]) > 0.88
    assert np.sum(held[1::2]) >= 9


@given(st.floats(0.01, 250), st.sampled_from([0.0, 0.1, 0.9, 5.0]))
@settings(max_examples=40, deadline=None)
def test_the_interval_agrees_with_summing_the_distribution(mean: float, spread: float) -> None:
    def pmf(k: int) -> float:
        if spread == 0:
            return math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
        r = 1 / spread
        return math.exp(math.lgamma(k + r) - math.lgamma(r) - math.lgamma(k + 1) - r * math.log1p(mean / r) + k * math.log(mean / (mean + r)))

    lower, upper = (int(v[0]) for v in chance.interval(mean, spread))
    cdf = np.cumsum([pmf(k) for k in range(upper + 1)])
    assert cdf[upper] >= 0.95 - 1e-9 and (upper == 0 or cdf[upper - 1] < 0.95 + 1e-9)
    assert cdf[lower] >= 0.05 - 1e-9 and (lower == 0 or cdf[lower - 1] < 0.05 + 1e-9)


def test_above_three_hundred_the_interval_goes_on_smoothly() -> None:
    means = np.array([299.0, 301.0])
    lower, upper = chance.interval(means, 0.02)
    assert np.all(np.abs(np.diff(lower)) <= 3) and np.all(np.abs(np.diff(upper)) <= 4)


def test_the_chance_of_at_least_k_agrees_with_trying_every_outcome() -> None:
    p = np.array([[0.1, 0.5, 0.9, 0.3]])
    worlds = [(math.prod(q if hit else 1 - q for q, hit in zip(p[0], w, strict=True)), sum(w)) for w in np.ndindex(2, 2, 2, 2)]
    for k in range(6):
        assert chance.at_least(k, p)[0] == pytest.approx(sum(q for q, hits in worlds if hits >= k), abs=1e-12)


# --- cannot tell ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [kde.surface, counts.surface])
@pytest.mark.parametrize(
    ("frame", "asof", "sentence"),
    [
        (scattered(3, 1), ASOF, r"3 of 3 incidents of the [0-9,]+ days before 2026-01-01 can be placed. At least \d+ are needed"),
        (scattered(50, 1).with_columns(lon=pl.lit(None, dtype=pl.Float64)), ASOF, r"None of the 50 incidents .* has a position"),
        (scattered(50, 1).with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.62)), ASOF, "All 50 incidents lie at the same address"),
        (scattered(50, 1), "2020-01-01", r"Nothing was known before 2020-01-01 00:00 UTC: the first of the 50 rows"),
        (scattered(50, 1).head(0), ASOF, "the frame has no rows"),
    ],
)
def test_too_little_to_go_on_is_said_with_what_would_do(model: Any, frame: pl.DataFrame, asof: Any, sentence: str) -> None:
    with pytest.raises(CannotTell, match=sentence):
        model(frame, GRID, asof)


def test_an_empty_study_area_is_said() -> None:
    nowhere = Grid(PLANE, 0.0, 0.0, 4, 4, 250.0, np.zeros(16, dtype=bool))
    with pytest.raises(CannotTell, match="No cell of the grid lies in the study area"):
        kde.surface(scattered(50, 1), nowhere, ASOF)


def test_options_that_cannot_be_are_refused_with_what_could() -> None:
    with pytest.raises(BadInput, match=r"bandwidth of 20.*at least a quarter of a cell \(62.5 m here\)"):
        kde.surface(scattered(50, 1), GRID, ASOF, bandwidth=20)
    with pytest.raises(BadInput, match="write e.g. '14d'"):
        kde.surface(scattered(50, 1), GRID, ASOF, window="a year")
    with pytest.raises(BadInput, match="has no column 'started_at'"):
        counts.surface(scattered(50, 1).drop("started_at"), GRID, ASOF)


def test_times_and_lengths_are_read_as_people_write_them() -> None:
    assert moment("2026-05-01") == moment(date(2026, 5, 1)) == datetime(2026, 5, 1, tzinfo=UTC)
    assert moment("2026-05-01T06:00-05:00") == datetime(2026, 5, 1, 11, tzinfo=UTC)
    assert span("1d12h") == timedelta(hours=36) == span(timedelta(hours=36))
    with pytest.raises(BadInput, match="not longer than nothing"):
        span("0d")


# --- back-test --------------------------------------------------------------------------------------------------------------------


def test_the_area_share_is_cut_exactly_and_ties_count_in_proportion() -> None:
    expected, came = np.array([5.0, 3.0, 3.0, 1.0]), np.array([4.0, 2.0, 0.0, 1.0])
    assert backtest.held(expected, came, 0.25) == 4
    assert backtest.held(expected, came, 0.125) == 2  # half of the first cell
    assert backtest.held(expected, came, 0.5) == 5  # the first, and half of two that tie
    assert backtest.held(expected, came, 1.0) == 7


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=30), st.floats(0.001, 1.0))
@settings(max_examples=80, deadline=None)
def test_what_is_held_is_the_mean_over_all_ways_to_break_ties(cells: list[tuple[int, int]], share: float) -> None:
    expected, came = (np.array(v, dtype=float) for v in zip(*cells, strict=True))
    area, left, want = share * len(cells), share * len(cells), 0.0
    for level in sorted(set(expected), reverse=True):
        tied = expected == level
        take = min(left, tied.sum())
        want, left = want + came[tied].sum() * take / tied.sum(), left - take
    assert backtest.held(expected, came, share) == pytest.approx(want, abs=1e-6 * max(1, area))


def hotspot_years(seed: int, n: int = 3000) -> pl.DataFrame:
    return clustered(n, seed, share=0.3, days=730)


def test_a_model_that_knows_beats_one_that_does_not_and_the_sentence_says_so() -> None:
    def south_west(frame: pl.DataFrame, grid: Grid, asof: datetime) -> Any:
        surface = counts.surface(frame, grid, asof)
        surface.expected[:] = np.linspace(1, 0, len(grid))
        return surface

    result = backtest.rolling(hotspot_years(1), GRID, {"kde": kde.surface, "corner": south_west}, start="2025-06-01", end="2025-12-31")
    assert "kde is better (difference" in result.headline
    best = result.table.filter((pl.col("model") == "kde") & (pl.col("share") == 0.02) & (pl.col("measure") == "pai")).row(0, named=True)
    assert best["lower"] < best["overall"] < best["upper"] and best["overall"] > 8
    assert len(result.layers) == 2


def test_a_model_against_itself_cannot_be_told_apart() -> None:
    result = backtest.rolling(hotspot_years(2), GRID, {"a": counts.surface, "b": counts.surface}, start="2025-09-01", end="2025-12-31")
    assert "cannot tell which is better (difference 0.0 points, 90 % interval 0.0 to 0.0)" in result.headline


def test_on_even_scatter_no_model_is_better_than_chance() -> None:
    result = backtest.rolling(scattered(4000, 3, days=730), GRID, {"kde": kde.surface, "counts": counts.surface}, start="2025-03-01", end="2025-12-31")
    pai = result.table.filter((pl.col("measure") == "pai") & (pl.col("share") == 0.05))
    assert pai.select(((pl.col("lower") < 1.25) & (pl.col("upper") > 0.8)).all()).item()


def test_models_see_only_what_was_known_before_the_origin() -> None:
    seen: list[tuple[datetime, datetime]] = []

    def spy(frame: pl.DataFrame, grid: Grid, asof: datetime) -> Any:
        latest = frame.select(pl.max_horizontal("started_at", "reported_at").max()).item()
        seen.append((latest, asof))
        return counts.surface(frame, grid, asof)

    frame = hotspot_years(4).with_columns(reported_at=pl.col("started_at") + pl.duration(days=4))
    backtest.rolling(frame, GRID, {"spy": spy}, start="2025-10-01", end="2025-12-31")
    assert len(seen) == 13 and all(latest < asof for latest, asof in seen)


def test_scores_match_a_hand_made_fold() -> None:
    past = incidents(np.r_[np.full(6, 100.0), np.full(3, 5900.0)], np.r_[np.full(6, 100.0), np.full(3, 4900.0)], np.arange(9) + 20.0)
    future = incidents([110.0, 120.0, 3000.0, 5900.0], [90.0, 110.0, 2000.0, 4900.0], [6.0, 5.0, 4.0, 3.0])
    result = backtest.rolling(
        pl.concat([past, future]),
        GRID,
        {"counts": partial(counts.surface, half_life=None)},
        start=ASOF - timedelta(days=7),
        end=ASOF,
        shares=(1 / 480, 2 / 480),
    )
    hits = dict(result.scores.filter(pl.col("measure") == "hit_rate").select("share", "value").iter_rows())
    assert hits == {1 / 480: 0.5, 2 / 480: 0.75}
    assert result.scores.filter((pl.col("measure") == "pai") & (pl.col("share") == 2 / 480))["value"].item() == pytest.approx(180.0)  # (3/4) / (2/480)
    assert "too few forecasts for an interval" in result.headline


def test_folds_without_incidents_are_reported_not_dropped() -> None:
    frame = hotspot_years(5)
    gap = frame.filter(~pl.col("started_at").is_between(ASOF - timedelta(days=28), ASOF - timedelta(days=14)))
    result = backtest.rolling(gap, GRID, {"counts": counts.surface}, start=ASOF - timedelta(days=70), end=ASOF)
    empty = result.scores.filter((pl.col("n") == 0) & pl.col("measure").is_in(["pai", "hit_rate"]))
    assert empty["origin"].n_unique() == 2 and empty["value"].null_count() == len(empty)
    assert set(result.table["without_incidents"]) == {2} and set(result.table["folds"]) == {10}
    assert "2 of 10 folds had no incident" in result.basis.notes[0]


def test_the_same_seed_gives_the_same_intervals_and_row_order_does_not_matter() -> None:
    frame, run = hotspot_years(6), partial(backtest.rolling, grid=GRID, models={"kde": kde.surface}, start="2025-10-01", end="2025-12-31")
    first = run(frame, seed=7)
    again = run(frame.sample(fraction=1, shuffle=True, seed=3), seed=7)
    assert first.table.equals(again.table) and first.headline == again.headline and first.basis.data == again.basis.data
    assert not first.table.equals(run(frame, seed=8).table)


def test_where_a_model_cannot_tell_the_fold_stays_in_without_a_value() -> None:
    frame = incidents(*np.random.default_rng(2).uniform(100, 4900, (2, 120)), np.linspace(0.5, 60, 120))
    result = backtest.rolling(frame, GRID, {"counts": counts.surface, "kde": partial(kde.surface, window="5d")}, start=ASOF - timedelta(days=59), end=ASOF)
    assert result.table.filter(pl.col("model") == "counts")["could_not_tell"].max() == 1
    assert "a model could not tell" in " ".join(result.basis.notes)


def test_a_back_test_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match="no horizon of 7 days fits"):
        backtest.rolling(hotspot_years(1), GRID, {"counts": counts.surface}, start="2025-12-01", end="2025-12-03")
    with pytest.raises(BadInput, match="area share of 2"):
        backtest.rolling(hotspot_years(1), GRID, {"counts": counts.surface}, start="2025-11-01", end="2025-12-03", shares=(2,))
    with pytest.raises(CannotTell, match="No incident that can be placed happened in any of the 4 folds"):
        backtest.rolling(hotspot_years(1), GRID, {"counts": counts.surface}, start="2026-02-01", end="2026-03-01")


# --- claimed places ---------------------------------------------------------------------------------------------------------------


def town(seed: int, *, planted: bool) -> pl.DataFrame:
    """12,000 incidents on 3,000 addresses, a tenth burglaries, their share drifting from west to east; two spots of 45 more burglaries when planted."""
    rng = np.random.default_rng(seed)
    addresses = rng.uniform((0, 0), (6000, 5000), (3000, 2))
    x, y = addresses[rng.choice(3000, 12000, p=(w := rng.gamma(0.7, 1, 3000)) / w.sum())].T
    burglary = rng.random(12000) < 0.06 + 0.08 * x / 6000
    if planted:
        extra = np.concatenate([rng.normal(c, 120, (45, 2)) for c in ((1500, 3500), (4400, 1200))])
        x, y, burglary = np.r_[x, extra[:, 0]], np.r_[y, extra[:, 1]], np.r_[burglary, np.ones(90, dtype=bool)]
    return incidents(x, y, rng.uniform(0.1, 364, len(x))).with_columns(burglary=burglary)


def test_planted_hotspots_are_claimed_and_little_else() -> None:
    frame = town(1, planted=True)
    result = claims.claimed(frame.filter("burglary"), frame, GRID, ASOF, window="365d")
    x, y = PLANE.to_metres(result.table["lon"].to_numpy(), result.table["lat"].to_numpy())
    for px, py in ((1500, 3500), (4400, 1200)):
        assert np.hypot(x - px, y - py).min() < 300
    assert len(result.table) <= 3
    assert "more than chance would give (at most 1 % risk that any claim is false" in result.headline


def test_on_shuffled_offences_and_without_hotspots_claims_stay_at_the_stated_rate() -> None:
    false = 0
    for seed in range(20):
        frame = town(seed, planted=seed < 10).with_columns(pl.col("burglary").shuffle(seed=seed)) if seed < 10 else town(seed, planted=False)
        false += len(claims.claimed(frame.filter("burglary"), frame, GRID, ASOF, window="365d", rate=0.05, draws=199).table) > 0
    assert false <= 4  # P(over 4 of 20 at 5 %) = 0.003


def test_positions_drawn_anew_over_the_area_give_no_claim_without_a_background() -> None:
    false = sum(len(claims.claimed(scattered(1200, s), None, GRID, ASOF, rate=0.05, draws=199).table) > 0 for s in range(12))
    assert false <= 3


def test_a_claim_needs_enough_draws_and_others_to_compare_with() -> None:
    frame = town(1, planted=False)
    with pytest.raises(BadInput, match="at least 99 draws"):
        claims.claimed(frame.filter("burglary"), frame, GRID, ASOF, draws=20)
    with pytest.raises(CannotTell, match="other incidents are too few to compare with"):
        claims.claimed(frame.filter("burglary"), frame.filter("burglary"), GRID, ASOF)


# --- the folder -------------------------------------------------------------------------------------------------------------------


def test_models_are_found_in_their_folders() -> None:
    assert {"hotspots.kde", "hotspots.counts", "hotspots.backtest", "hotspots.claims", "links.case", "plates.history"} <= set(models.names())
    assert {"hotspots.counts", "hotspots.kde"} <= set(models.surfaces())
    assert models.find("hotspots.kde") is kde
    with pytest.raises(NotFound, match=r"Did you mean 'hotspots\.kde'"):
        models.find("hotspots.kd")


def test_every_forecast_can_say_its_question() -> None:
    assert all(question.endswith("?") or "?" in question for question in models.surfaces().values())


# --- real and made-up cities ------------------------------------------------------------------------------------------------------


def test_on_chicago_burglaries_of_2014_both_models_are_far_better_than_chance(real_data: Path) -> None:
    raw = pl.concat(
        [pl.read_parquet(real_data / "chicago" / f"chicago_crimes_{year}.parquet").filter(pl.col("Primary Type") == "BURGLARY") for year in (2013, 2014)]
    )
    frame = raw.select(incident_id=pl.col("ID").cast(pl.String), started_at=pl.col("Date").dt.replace_time_zone("UTC"), lon="Longitude", lat="Latitude").filter(
        pl.col("lat").is_null() | (pl.col("lat") > 41)
    )
    result = backtest.rolling(
        frame, Grid.around(frame, cell=250), {"kde": kde.surface, "counts": counts.surface}, start="2014-01-01", end="2014-12-31", step="28d"
    )
    pai = result.table.filter((pl.col("measure") == "pai") & (pl.col("share") == 0.02))
    assert len(pai) == 2 and (pai["lower"] > 6).all()


def test_every_planted_hotspot_of_the_made_up_city_is_claimed(city: Any, samples: Path) -> None:
    everything, grid = city.incidents(), city.grid(250)
    for spot in json.loads((samples / "planted.json").read_text(encoding="utf-8"))["hotspots"]:
        offence = everything.filter(pl.col("nibrs").is_in(spot["nibrs"]))
        found = claims.claimed(offence, everything, grid, city.asof, draws=399).table
        x, y = grid.plane.to_metres(found["lon"].to_numpy(), found["lat"].to_numpy())
        px, py = grid.plane.to_metres(spot["lon"], spot["lat"])
        assert len(found) and np.hypot(x - px, y - py).min() < spot["radius_metres"] + grid.cell, spot["name"]
        assert len(found) <= 4, spot["name"]


def test_on_the_made_up_city_with_offences_shuffled_nothing_is_claimed(city: Any) -> None:
    everything, grid = city.incidents(), city.grid(250)
    false = 0
    for seed in range(6):
        shuffled = everything.with_columns(pl.col("nibrs").shuffle(seed=seed))
        false += len(claims.claimed(shuffled.filter(pl.col("nibrs") == "220"), shuffled, grid, city.asof, rate=0.02, draws=199).table) > 0
    assert false <= 1  # P(over 1 of 6 at 2 %) = 0.006


def test_on_the_made_up_city_the_next_week_lies_within_the_interval(city: Any) -> None:
    everything, grid = city.incidents(), city.grid(250)
    held = []
    for weeks in range(1, 13):
        origin = city.asof - timedelta(weeks=weeks)
        came = grid.count(everything.filter(pl.col("started_at").is_between(origin, origin + timedelta(weeks=1), closed="left")))
        surface = kde.surface(everything, grid, origin)
        busy = surface.top(0.2)
        held.append(np.mean((came >= surface.lower)[busy] & (came <= surface.upper)[busy]))  # type: ignore[operator]
    assert np.mean(held) > 0.88

"""Scores by hand and by brute force, the fast path against the slow one, intervals that hold what they say, and expected counts by area."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane, Polygon
from workbench.models import chance, forecast, window
from workbench.models import level as levels
from workbench.models.hotspots import _area_record, _bootstrap, _scores, areas, backtest, counts, kde

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 16, 12, 250.0)


def incidents(x: Any, y: Any, days_before: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return pl.DataFrame({"incident_id": [f"i{k}" for k in range(len(at))], "started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def town(n: int, seed: int, days: float = 730) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    near = rng.random(n) < 0.4
    x = np.where(near, rng.normal(1500, 250, n), rng.uniform(0, 4000, n)).clip(1, 3999)
    y = np.where(near, rng.normal(1800, 250, n), rng.uniform(0, 3000, n)).clip(1, 2999)
    return incidents(x, y, rng.uniform(0.01, days, n))


def value(frame: pl.DataFrame, measure: str, share: float) -> Any:
    return frame.filter((pl.col("measure") == measure) & ((pl.col("share") - share).abs() < 1e-12))["value"].item()


# --- scores of ranking ------------------------------------------------------------------------------------------------------------


def test_every_measure_of_four_cells_is_as_worked_out_by_hand() -> None:
    got = backtest.scores([4.0, 2.0, 1.0, 1.0], [1, 3, 0, 4], shares=(0.25, 0.5), before=[2, 2, 2, 2], struck=[0.5, 1.0, 0.0, 1.0])
    half = {m: value(got, m, 0.5) for m in _scores.BY_SHARE}
    # the first two cells hold 4 of 8; the best two would hold 7; 6 were expected there; they held 4 of 8 before
    assert half == pytest.approx({"pai": 1.0, "hit_rate": 0.5, "pei": 4 / 7, "pei_star": 4 / 7, "rri": 6 / 4, "recapture": (4 / 4) / (8 / 8), "success": 0.75})
    assert value(got, "pai", 0.25) == pytest.approx((1 / 8) / 0.25) and value(got, "pei", 0.25) == pytest.approx(1 / 4)
    # curve through (0, 0), (1/4, 1/8), (1/2, 1/2), then one straight line over the tie to (1, 1)
    assert value(got, "area", 1.0) == pytest.approx(0.25 * (1 / 16) + 0.25 * (5 / 16) + 0.5 * 0.75)
    assert value(got, "area_20", 0.2) == pytest.approx(0.05)


def test_the_best_whole_tiles_of_unequal_area_are_found_exactly() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        n, area = rng.integers(0, 6, 9).astype(float), rng.uniform(0.5, 3.0, 9)
        cap = float(rng.uniform(0.3, area.sum()))
        sets = (s for k in range(10) for s in combinations(range(9), k) if area[list(s)].sum() <= cap)
        want = max(n[list(s)].sum() for s in sets)
        assert backtest.best_whole(n, area, cap) == (want, True)
        assert backtest.best(n, area, cap) >= want - 1e-9


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 5), st.floats(0.1, 4)), min_size=2, max_size=25), st.floats(0.01, 1.0), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_forecast_holds_more_than_the_best_and_who_knows_the_counts_holds_it(tiles: list[tuple[float, int, float]], share: float, equal: bool) -> None:
    expected, came, area = (np.array(v, dtype=float) for v in zip(*tiles, strict=True))
    sizes = None if equal else area
    got = backtest.scores(expected, came, sizes, shares=(share,))
    for measure in ("pei", "pei_star"):
        assert value(got, measure, share) is None or -1e-12 <= value(got, measure, share) <= 1 + 1e-9
    oracle = value(backtest.scores(came, came, sizes, shares=(share,)), "pei_star", share)
    assert oracle is None or oracle == pytest.approx(1.0)
    x, y = backtest.curve(expected, came, sizes)
    if came.sum():
        assert (np.diff(x) > 0).all() and (np.diff(y) >= -1e-12).all() and x[-1] == pytest.approx(1) and y[-1] == pytest.approx(1)
        assert 0 <= backtest.curve_area(expected, came, sizes, up_to=share) <= 1
    if equal and came.sum():
        assert np.interp(share, x, y) * came.sum() == pytest.approx(backtest.held(expected, came, share), abs=1e-9)


def test_merging_equal_tiles_into_larger_ones_of_one_risk_changes_no_score() -> None:
    small = backtest.scores([3, 3, 1, 1], [2, 2, 1, 0], shares=(0.5,))
    large = backtest.scores([6, 1, 1], [4, 1, 0], [2.0, 1.0, 1.0], shares=(0.5,))
    assert [value(small, m, 0.5) for m in ("pai", "pei_star", "rri")] == [value(large, m, 0.5) for m in ("pai", "pei_star", "rri")]


def test_scores_of_arrays_that_do_not_fit_are_refused_with_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"shapes \(2,\), \(3,\)"):
        backtest.scores([1, 2], [1, 2, 3])
    with pytest.raises(BadInput, match="expected holds a value"):
        backtest.scores([1, math.nan], [1, 2])
    with pytest.raises(BadInput, match="area holds a value"):
        backtest.scores([1, 1], [1, 2], [0, 1])
    with pytest.raises(BadInput, match="Shares"):
        backtest.scores([1, 1], [1, 2], shares=(0,))
    with pytest.raises(BadInput, match="up_to=2"):
        backtest.curve_area([1, 1], [1, 2], up_to=2)
    assert backtest.scores([1, 1], [0, 0]).filter(pl.col("measure") == "pai")["value"].null_count() == 3


# --- scores of distributions ------------------------------------------------------------------------------------------------------


def chances(mean: float, spread: float, many: int) -> Any:
    k = np.arange(many)
    if spread == 0:
        logs = k * math.log(mean) - mean - np.array([math.lgamma(i + 1) for i in k])
    else:
        r = 1 / spread
        logs = np.array([math.lgamma(i + r) - math.lgamma(r) - math.lgamma(i + 1) for i in k]) - r * math.log1p(mean / r) + k * math.log(mean / (mean + r))
    return np.exp(logs)


@given(st.floats(0.001, 150), st.sampled_from([0.0, 0.05, 1.0]), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_crps_and_log_score_equal_the_brute_force_sum(mean: float, spread: float, n: int) -> None:
    pmf = chances(mean, spread, 6000)
    cdf = np.cumsum(pmf)
    logs, crps, pit = backtest.distribution([mean], spread, [n], 0.25)
    if pmf[n] > 1e-250:
        assert logs[0] == pytest.approx(math.log(pmf[n]), rel=1e-9, abs=1e-9)
    assert crps[0] == pytest.approx(np.sum((cdf - (n <= np.arange(6000))) ** 2), rel=1e-6, abs=1e-8)
    assert pit[0] == pytest.approx((cdf[n - 1] if n else 0.0) + 0.25 * pmf[n], abs=1e-9)


def test_the_randomised_pit_is_uniform_where_the_distributions_are_right() -> None:
    rng = np.random.default_rng(5)
    ps = []
    for _ in range(1000):
        mean = rng.gamma(0.5, 2.0, 120) + 1e-3
        n = rng.poisson(mean * rng.gamma(1 / 0.3, 0.3, 120))
        ps.append(backtest.uniform(backtest.distribution(mean, 0.3, n, rng.random(120))[2])[1])
    assert backtest.uniform(ps)[1] > 0.001
    assert 0.03 < np.mean(np.array(ps) < 0.05) < 0.07


def test_the_randomised_pit_finds_a_forecast_that_is_too_low() -> None:
    rng = np.random.default_rng(6)
    mean = rng.gamma(0.5, 2.0, 2000) + 1e-3
    assert backtest.uniform(backtest.distribution(mean * 0.8, 0.0, rng.poisson(mean), rng.random(2000))[2])[1] < 1e-4


# --- rolling ----------------------------------------------------------------------------------------------------------------------

MODELS = {"counts": partial(counts.surface, half_life="60d", window="365d"), "kde": partial(kde.surface, bandwidth=300.0, window="200d")}
SPAN = {"start": "2025-10-01", "end": "2025-12-31"}


def asked_whole(model: Any) -> Any:
    return lambda frame, grid, asof, horizon="7d": model(frame, grid, asof, horizon=horizon)


def test_incidents_placed_once_give_the_same_scores_as_asking_the_model_each_time() -> None:
    late = town(1500, 1).with_columns(reported_at=pl.col("started_at") + pl.duration(hours=pl.int_range(pl.len()) % 90))
    fast = backtest.rolling(late, GRID, MODELS, **SPAN)
    slow = backtest.rolling(late, GRID, {k: asked_whole(m) for k, m in MODELS.items()}, **SPAN)
    assert "Asked as a whole" not in " ".join(fast.basis.notes) and "Asked as a whole at every origin, which is slower: counts, kde." in slow.basis.notes
    a, b = (r.scores["value"].to_numpy() for r in (fast, slow))
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert fast.headline == slow.headline


def test_a_quick_model_is_a_model_and_runs_on_placed_incidents() -> None:
    both = backtest.Quick(lambda before, grid, horizon: counts.estimate(before, grid, horizon, half_life="60d"))
    result = backtest.rolling(town(1500, 1), GRID, {"counts": MODELS["counts"], "quick": both}, **SPAN)
    by = {m: f["value"].to_list() for (m,), f in result.scores.sort("model", "origin", "measure", "share").group_by("model")}
    assert by["counts"] == by["quick"] and "Asked" not in " ".join(result.basis.notes)


def test_a_module_whose_surface_and_estimate_differ_is_asked_as_a_whole() -> None:
    other = backtest.Quick(lambda before, grid, horizon: counts.estimate(before, grid, horizon, half_life=None), least=5)
    object.__setattr__(other, "estimate", Turning())
    result = backtest.rolling(town(1500, 1), GRID, {"turning": other}, **SPAN)
    assert "Asked as a whole at every origin, which is slower: turning." in result.basis.notes


class Turning:
    """An estimate that gives another answer each time it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, before: Any, grid: Grid, horizon: timedelta) -> forecast.Estimate:
        self.times += 1
        made = counts.estimate(before, grid, horizon, half_life=None)
        return forecast.Estimate(made.expected * self.times, made.exposure, "turning", {})


def test_several_horizons_have_each_their_folds_and_the_horizon_is_given_to_the_model() -> None:
    result = backtest.rolling(town(3000, 2), GRID, {"counts": MODELS["counts"]}, horizon=("28d", "7d"), **SPAN)
    folds = dict(result.table.group_by("horizon").agg(pl.col("folds").first()).iter_rows())
    assert folds == {timedelta(days=7): 13, timedelta(days=28): 10}
    rri = result.table.filter((pl.col("measure") == "rri") & (pl.col("share") == 0.05))["overall"]
    assert rri.is_between(0.7, 1.6).all()  # with the horizon of the fold; four times off otherwise


def test_each_measure_of_a_fold_is_what_the_pure_functions_give() -> None:
    frame = town(2500, 3)
    result = backtest.rolling(frame, GRID, {"counts": MODELS["counts"]}, start=ASOF - timedelta(days=7), end=ASOF, shift="8h")
    known = frame.filter(pl.col("started_at") < ASOF - timedelta(days=7))
    surface = MODELS["counts"](known, GRID, ASOF - timedelta(days=7))
    came = frame.filter(pl.col("started_at") >= ASOF - timedelta(days=7))
    before = GRID.count(known.filter(pl.col("started_at") >= ASOF - timedelta(days=372)))
    parts = [GRID.count(came.filter(pl.col("started_at").is_between(a, a + timedelta(hours=8), closed="left"))) > 0
             for a in (ASOF - timedelta(days=7) + timedelta(hours=8 * i) for i in range(21))]
    want = backtest.scores(surface.expected, GRID.count(came), before=before, struck=np.mean(parts, axis=0))
    for measure in (*_scores.BY_SHARE, "area", "area_20"):
        for row in result.scores.filter(pl.col("measure") == measure).iter_rows(named=True):
            assert row["value"] == pytest.approx(value(want, measure, row["share"])), measure


def test_rows_in_any_order_and_a_moved_city_give_the_same_answer() -> None:
    frame = town(1500, 4)
    one = backtest.rolling(frame, GRID, MODELS, **SPAN)
    again = backtest.rolling(frame.sample(fraction=1, shuffle=True, seed=1), GRID, MODELS, **SPAN)
    assert one.table.equals(again.table) and one.scores.equals(again.scores)
    there = Grid(Plane.local(41.6, -88.9), 0.0, 0.0, 16, 12, 250.0)
    moved = backtest.rolling(frame.with_columns(pl.col("lon") + 2.0), there, MODELS, **SPAN)
    np.testing.assert_allclose(moved.scores["value"].to_numpy(), one.scores["value"].to_numpy(), rtol=1e-6, atol=1e-9)


def test_the_reference_differs_from_itself_by_nothing_and_wins_add_up() -> None:
    table = backtest.rolling(town(1500, 5), GRID, MODELS, **SPAN).table
    own = table.filter(pl.col("model") == "counts")
    assert set(own["reference"]) == {"counts"} and (own["difference"].drop_nulls() == 0).all() and (own["won"] == 0).all()
    other = table.filter((pl.col("model") == "kde") & (pl.col("measure") == "pai") & (pl.col("share") == 0.05)).row(0, named=True)
    assert other["difference_lower"] <= other["difference"] <= other["difference_upper"] and other["won"] + other["lost"] <= other["folds"]
    mean = own.filter((pl.col("measure") == "pai") & (pl.col("share") == 0.05)).row(0, named=True)
    assert other["mean_difference"] == pytest.approx(other["mean"] - mean["mean"])


def test_block_bootstrap_intervals_hold_what_they_say() -> None:
    rng, held = np.random.default_rng(8), 0
    for trial in range(300):
        noise = rng.normal(0, 1, 64)
        series = 5 + (noise[2:] + 0.5 * noise[1:-1])  # neighbouring folds go together
        drawn = _bootstrap.times(62, 5, trial, 400)
        low, high = np.quantile(drawn @ series / 62, [0.05, 0.95])
        held += low <= 5 <= high
    assert 0.82 < held / 300 < 0.95
    assert (_bootstrap.times(10, 4, 0, 50).sum(axis=1) == 10).all()


def test_what_cannot_be_scored_is_refused_with_a_sentence() -> None:
    frame = town(900, 6)
    with pytest.raises(BadInput, match="No horizon was given"):
        backtest.rolling(frame, GRID, MODELS, horizon=(), **SPAN)
    with pytest.raises(BadInput, match=r"reference 'count' is none of the models.*counts"):
        backtest.rolling(frame, GRID, MODELS, reference="count", **SPAN)
    with pytest.raises(BadInput, match="level=1"):
        backtest.rolling(frame, GRID, MODELS, level=1, **SPAN)
    with pytest.raises(BadInput, match="no column"):
        backtest.rolling(frame.drop("started_at"), GRID, MODELS, **SPAN)
    with pytest.raises(CannotTell, match="In none of the 13 folds could every model tell"):
        backtest.rolling(frame.filter(pl.col("started_at") >= pl.lit(ASOF - timedelta(days=2))), GRID, MODELS, **SPAN)
    with pytest.raises(CannotTell, match="No incident that can be placed"):
        backtest.rolling(frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), GRID, MODELS, **SPAN)
    same = incidents(np.full(300, 100.0), np.full(300, 100.0), np.linspace(0.5, 300, 300))
    with pytest.raises(CannotTell, match="In none"):
        backtest.rolling(same, GRID, MODELS, **SPAN)


def test_times_that_are_missing_and_a_study_area_leave_the_rest_alone() -> None:
    frame = town(1500, 7)
    holes = pl.concat([frame, frame.head(20).with_columns(started_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))])
    inside = np.arange(len(GRID)) % 16 < 12
    part = Grid(PLANE, 0.0, 0.0, 16, 12, 250.0, inside)
    one, other = (backtest.rolling(f, part, MODELS, **SPAN).table for f in (frame, holes))
    assert one.equals(other)
    assert one.filter(pl.col("measure") == "hit_rate")["overall"].is_between(0, 1).all()


# --- level ------------------------------------------------------------------------------------------------------------------------


def daily(years: float, rate: Any, seed: int) -> Any:
    """Poisson counts by day, the latest first; ``rate`` of the day's number before asof."""
    day = np.arange(int(years * 365))
    return np.random.default_rng(seed).poisson(rate(day)).astype(float)


def test_a_season_is_seen_ahead_where_two_years_are_known() -> None:
    season = lambda day: 20 * np.exp(0.5 * np.cos(2 * np.pi * (-day - 0.5) / 365.2425))  # noqa: E731
    counts_ = daily(4, season, 1)
    found = levels.level(counts_, np.ones(len(counts_)), 91.0)
    want = season(-np.arange(1, 92)).sum()
    assert found.total == pytest.approx(want, rel=0.05) and found.season > 1.1 and found.origins > 20


def test_a_drop_of_the_level_is_followed_and_steady_counts_give_their_mean() -> None:
    fell = daily(3, lambda day: np.where(day < 60, 10.0, 30.0), 2)
    assert levels.level(fell, np.ones(len(fell)), 7.0).total == pytest.approx(70, rel=0.15)
    steady = daily(3, lambda day: np.full(len(day), 25.0), 3)
    found = levels.level(steady, np.ones(len(steady)), 7.0)
    assert found.total == pytest.approx(175, rel=0.05) and found.spread < 0.01


def test_days_of_the_week_and_reports_that_come_late_are_allowed_for() -> None:
    week = np.array([5.0, 5, 5, 5, 5, 40, 40])
    counts_ = np.random.default_rng(4).poisson(week[(-np.arange(800) - 1) % 7]).astype(float)
    for day in (1, 2, 7):
        assert levels.level(counts_, np.ones(800), float(day)).total == pytest.approx(week[:day].sum(), rel=0.25)
    late = np.concatenate([[0.5, 0.6, 0.8, 0.9], np.ones(796)])
    steady = np.random.default_rng(5).poisson(30 * late).astype(float)
    assert levels.level(steady, late, 7.0).total == pytest.approx(210, rel=0.07)


def test_too_short_a_past_gives_the_plain_rate_and_leaves_an_estimate_alone() -> None:
    found = levels.level(np.full(20, 3.0), np.ones(20), 7.0)
    assert found.total == pytest.approx(21) and found.origins == 0
    before = window.past(town(60, 1, days=20), GRID, ASOF, "30d", least=1)
    made = counts.estimate(before, GRID, timedelta(days=7), half_life=None)
    assert forecast.levelled(before, made, timedelta(days=7)) is made


def test_the_level_looks_at_nothing_known_at_or_after_the_origin() -> None:
    frame = town(3000, 2)
    whole = window.past(frame, GRID, ASOF, "365d", least=1)
    then = ASOF - timedelta(days=100)
    alone = window.past(frame.filter(pl.col("started_at") < then), GRID, then, "365d", least=1)
    np.testing.assert_array_equal(whole.back(then).days[0][:600], alone.days[0][:600])
    assert forecast.level(whole.back(then), timedelta(days=7)) == forecast.level(alone, timedelta(days=7))


# --- by area ----------------------------------------------------------------------------------------------------------------------


def boundaries(edges: list[tuple[str, float, float]]) -> pl.DataFrame:
    """Strips of the town from x to x metres, 3 km high."""
    rows = []
    for name, a, b in edges:
        (w, e), (s, n) = PLANE.to_degrees(np.array([a, b]), np.array([0.0, 3000.0]))
        rows.append({"kind": "beat", "name": name, "valid_from": None, "valid_to": None, "geometry": json.dumps(Polygon.box(w, s, e, n).to_geojson())})
    return pl.DataFrame(rows, schema_overrides={"valid_from": pl.Date, "valid_to": pl.Date})


STRIPS = boundaries([("A", 0, 1000), ("B", 1000, 2500), ("C", 2500, 4000)])


def test_expected_counts_by_beat_add_up_to_the_level_and_follow_where_incidents_fell() -> None:
    frame = town(6000, 9)
    model = partial(kde.surface, bandwidth=300.0)
    result = areas.expected(model(frame, GRID, ASOF), STRIPS, frame, model=model)
    assert result.table["area"][0] == "B" and result.table["expected"].sum() == pytest.approx(6000 / 730 * 7, rel=0.15)
    assert (result.table["lower"] < result.table["expected"]).all() and (result.table["upper"] > result.table["expected"]).all()
    assert "most in B" in result.headline and len(result.layers) == 1
    x, _ = GRID.centres_metres()
    labels = ["A" if v < 1000 else "B" if v < 2500 else "C" for v in x]
    other = areas.expected(model(frame, GRID, ASOF), labels, frame, model=model)
    both = result.table.join(other.table, on="area", suffix="_cells")
    np.testing.assert_allclose(both["expected"], both["expected_cells"], rtol=0.03)
    assert areas.expected(model(frame, GRID, ASOF), STRIPS, frame.sample(fraction=1, shuffle=True, seed=2), model=model).table.equals(result.table)


def test_intervals_by_area_hold_what_they_say_where_weeks_swing_together() -> None:
    rng, held, many = np.random.default_rng(10), 0, 0
    for _ in range(40):
        share, weeks = rng.dirichlet(np.full(12, 3.0)), 61
        rate = 500 * share * rng.gamma(25, 1 / 25, (weeks, 1))  # all areas of a week by a fifth
        came = rng.poisson(rate * rng.gamma(50, 1 / 50, (weeks, 12))).astype(float)
        now = np.tile(500 * share, (weeks, 1))
        judged = _area_record.judged(now[0], _area_record.Record(now[1:], came[1:]))
        low, high = _area_record.interval(judged, 0.9)
        use = judged.expected >= 20
        held, many = held + int(((came[0] >= low) & (came[0] <= high))[use].sum()), many + int(use.sum())
    assert many > 300 and 0.84 < held / many < 0.95


def test_an_area_that_was_lastingly_under_is_corrected_and_one_week_is_not_enough() -> None:
    rng = np.random.default_rng(11)
    now = np.full((60, 10), 30.0)
    came = rng.poisson(now * np.where(np.arange(10) == 3, 1.5, 1.0)).astype(float)
    factor = _area_record.judged(now[0], _area_record.Record(now, came)).factor
    assert factor[3] > 1.3 and np.abs(np.delete(factor, 3) - 1).max() < 0.15
    few = _area_record.judged(now[0], _area_record.Record(now[:3], came[:3]))
    assert (few.factor == 1).all() and (few.variance == 30).all()


def test_areas_that_cannot_be_answered_are_refused_with_a_sentence() -> None:
    frame = town(400, 12, days=50)
    surface = counts.surface(frame, GRID, ASOF)
    with pytest.raises(BadInput, match="2 labels for 192 cells"):
        areas.expected(surface, ["A", "B"], frame)
    with pytest.raises(CannotTell, match="None of the 0 areas lies on the grid"):
        areas.expected(surface, [None] * 192, frame)
    with pytest.raises(BadInput, match="level=0"):
        areas.expected(surface, STRIPS, frame, level=0)
    with pytest.raises(BadInput, match="no estimate that could be asked"):
        areas.expected(surface, STRIPS, frame, model=lambda frame, grid, asof: surface)
    with pytest.raises(CannotTell, match="Nothing was known before"):
        areas.expected(surface, STRIPS, frame.with_columns(pl.col("started_at") + pl.duration(days=900)))
    short = areas.expected(surface, STRIPS, frame)
    assert "intervals assume pure chance" in " ".join(short.basis.notes) and "No model was named" in " ".join(short.basis.notes)


def test_on_chicago_thefts_intervals_by_district_and_week_cover_what_they_say(real_data: Path) -> None:
    frame = pl.concat([
        pl.read_parquet(real_data / "chicago" / f"chicago_crimes_{year}.parquet").filter(pl.col("Primary Type") == "THEFT") for year in (2013, 2014, 2015)
    ]).select("District", started_at=pl.col("Date").dt.replace_time_zone("UTC"), lon="Longitude", lat="Latitude").filter(pl.col("lat") > 41).sort("started_at")
    grid = Grid.around(frame, cell=500)
    last = datetime(2015, 12, 30, tzinfo=UTC)
    before = window.past(frame, grid, last, "1095d", least=1)
    names, area = np.unique(before.frame["District"].fill_null("").to_numpy().astype(str), return_inverse=True)
    pairs, n = np.unique(before.cell * len(names) + area, return_counts=True)
    split = _area_record.Split(pairs // len(names), pairs % len(names), n / np.bincount(before.cell)[pairs // len(names)], len(names))
    record = _area_record.record(before, grid, timedelta(days=7), split, area, partial(counts.estimate, half_life="90d"), timedelta(days=300), 100)
    held = []
    for week in range(40):
        judged = _area_record.judged(record.expected[week], _area_record.Record(record.expected[week + 1 : week + 61], record.came[week + 1 : week + 61]))
        low, high = _area_record.interval(judged, 0.9)
        held.append(((record.came[week] >= low) & (record.came[week] <= high))[judged.expected >= 20])
    assert 0.86 < np.mean(np.concatenate(held)) < 0.94


def test_the_interval_of_many_cells_is_that_of_each_alone() -> None:
    rng = np.random.default_rng(13)
    mean, spread = np.append(rng.gamma(0.5, 4.0, 300), [0.0, 200.0, 400.0]), rng.uniform(0, 0.5, 303)
    together = chance.interval(mean, spread)
    alone = [chance.interval(m, a) for m, a in zip(mean, spread, strict=True)]
    np.testing.assert_array_equal(together, np.array([[lo[0] for lo, _ in alone], [up[0] for _, up in alone]]))

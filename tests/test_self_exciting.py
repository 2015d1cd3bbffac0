"""The self-exciting model: planted parameters come back, nothing planted gives nothing, and the forecast adds up."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.engines import kernels
from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.hotspots import _self_exciting as inner
from workbench.models.hotspots import _self_exciting_fit as fitting
from workbench.models.hotspots import self_exciting
from workbench.models.hotspots._self_exciting import Fitted
from workbench.models.window import past

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
SIDE, DAYS = 12_000.0, 1000.0
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 48, 48, 250.0)


def simulated(n: int, seed: int, *, near: float = 0.0, spread: float = 70.0, delay: float = 9.0, same: float = 0.0, same_delay: float = 4.0,
              clusters: int = 12, houses: int = 0) -> tuple[Any, Any, Any]:
    """x, y (metres) and day of a branching process: background about clusters and anywhere (or at houses), offspring near by and at the same address."""
    rng = np.random.default_rng(seed)
    first = int(n * (1 - near - same))
    middle, width = rng.uniform(1500, SIDE - 1500, (clusters, 2)), rng.uniform(500, 1500, clusters)
    which = rng.integers(0, clusters, first)
    at = np.where(rng.random(first)[:, None] < 0.4, rng.uniform(0, SIDE, (first, 2)), middle[which] + rng.normal(0, 1, (first, 2)) * width[which][:, None])
    if houses:
        place = rng.uniform(0, SIDE, (houses, 2))
        at = place[rng.choice(houses, first, p=(w := rng.gamma(0.7, 1, houses)) / w.sum())]
    every, days = [at], [rng.uniform(0, DAYS, first)]
    while len(every[-1]):
        where, when = every[-1], days[-1]
        a, b = (np.repeat(np.arange(len(when)), rng.poisson(k, len(when))) for k in (near, same))
        at = np.r_[where[a] + rng.normal(0, spread, (len(a), 2)), where[b]]
        then = np.r_[when[a] + rng.exponential(delay, len(a)), when[b] + rng.exponential(same_delay, len(b))]
        use = (then < DAYS) & (at > 0).all(axis=1) & (at < SIDE).all(axis=1)
        every.append(at[use])
        days.append(then[use])
    at, then = np.concatenate(every), np.concatenate(days)
    inside = (at > 0).all(axis=1) & (at < SIDE).all(axis=1)
    order = np.argsort(then[inside])
    return at[inside][order, 0].copy(), at[inside][order, 1].copy(), then[inside][order]


def fitted(x: Any, y: Any, t: Any, **settings: Any) -> tuple[Fitted, Any]:
    return fitting.fit(fitting.problem(x, y, DAYS - t, GRID, DAYS, settings.get("reach", 400.0), settings.get("memory", 90.0)))


def frame_of(x: Any, y: Any, t: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(x, y)
    at = [ASOF - timedelta(seconds=round((DAYS - d) * 86400)) for d in t]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


# --- what was planted ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("near", "spread", "delay"), [(0.25, 70.0, 9.0), (0.5, 40.0, 5.0), (0.1, 60.0, 12.0)])
def test_planted_triggering_is_recovered(near: float, spread: float, delay: float) -> None:
    made, covariance = fitted(*simulated(6000, 1, near=near, spread=spread, delay=delay))
    assert made.near == pytest.approx(near, abs=0.03)
    assert made.spread == pytest.approx(spread, rel=0.1)
    assert made.decay == pytest.approx(delay, rel=0.25)
    assert made.same < 0.005 and 0.002 < math.sqrt(covariance[0, 0]) < 0.03


def test_planted_repeats_at_the_address_are_told_from_those_near_by() -> None:
    made, covariance = fitted(*simulated(6000, 2, near=0.15, same=0.1))
    assert made.near == pytest.approx(0.15, abs=0.03) and made.same == pytest.approx(0.1, abs=0.02)
    assert made.same_decay == pytest.approx(4.0, rel=0.2)
    assert math.sqrt(covariance[3, 3]) < 0.01


def test_the_standard_error_is_about_the_scatter_over_simulations() -> None:
    runs = [fitted(*simulated(1500, 100 + k, near=0.25)) for k in range(16)]
    told = np.mean([math.sqrt(c[0, 0]) for _, c in runs])
    assert 0.6 < np.std([m.near for m, _ in runs], ddof=1) / told < 1.6


# --- nothing planted -----------------------------------------------------------------------------------------------------------------


def test_times_known_only_as_spans_widen_the_errors_and_keep_the_branching() -> None:
    x, y, t = simulated(3000, 5, near=0.3, delay=6.0)
    frame, rng = frame_of(x, y, t), np.random.default_rng(1)
    hours = rng.uniform(0, 48, frame.height)
    share = rng.random(frame.height)
    spans = frame.with_columns(started_at=pl.col("started_at") - pl.duration(minutes=pl.Series((60 * hours * share).round().astype(np.int64))),
                               ended_at=pl.col("started_at") + pl.duration(minutes=pl.Series((60 * hours * (1 - share)).round().astype(np.int64))))
    plain, drawn = (self_exciting.fit(spans, GRID, ASOF, aoristic=k, seed=2) for k in (0, 3))
    value = {r["quantity"]: r for r in drawn.table.iter_rows(named=True)}
    assert value["near"]["value"] == pytest.approx(0.3, abs=0.05) and value["spread"]["value"] == pytest.approx(70, rel=0.15)
    errors = dict(plain.table.select("quantity", "standard_error").iter_rows())
    assert value["delay"]["standard_error"] > 0.9 * errors["delay"] and drawn.basis.parameters["aoristic"] == 3
    assert drawn.fitted.near == pytest.approx(value["near"]["value"])


def test_without_triggering_the_branching_is_near_nothing_and_its_interval_holds_it() -> None:
    for seed in range(5):
        made, covariance = fitted(*simulated(4000, 20 + seed))
        assert made.near < 0.03 and made.same == 0
        assert not np.isfinite(covariance[0, 0]) or made.near - 1.96 * math.sqrt(covariance[0, 0]) <= 0


def test_busy_addresses_alone_are_not_taken_for_repeats_and_the_likelihood_stays_bounded() -> None:
    made, covariance = fitted(*simulated(5000, 30, houses=600))
    assert math.isfinite(made.likelihood)
    assert made.same - 1.96 * math.sqrt(covariance[3, 3]) <= 0.01 and made.same < 0.04 and made.near < 0.03
    assert made.address + made.repeat > 0.5


def test_nothing_planted_is_said_as_nothing_told() -> None:
    found = self_exciting.fit(frame_of(*simulated(1500, 40)), GRID, ASOF)
    assert "no triggering can be told from chance" in found.headline or "cannot tell whether" in found.headline


# --- the answer ----------------------------------------------------------------------------------------------------------------------


def test_the_sentence_says_how_many_how_near_and_how_soon_with_an_interval() -> None:
    found = self_exciting.fit(frame_of(*simulated(4000, 3, near=0.2, same=0.08)), GRID, ASOF)
    row = {r["quantity"]: r for r in found.table.to_dicts()}
    assert row["branching"]["lower"] < 0.28 < row["branching"]["upper"]
    assert f"each led to {row['branching']['value']:.2f} further ones (95 % interval" in found.headline
    assert "near by (spread" in found.headline and "at the same address (mean delay" in found.headline
    assert found.basis.run["function"].endswith("self_exciting:fit")


def test_parameters_of_a_fit_can_be_given_and_give_the_same_surface() -> None:
    frame = frame_of(*simulated(2000, 4, near=0.2))
    found = self_exciting.fit(frame, GRID, ASOF)
    given, own = (self_exciting.surface(frame, GRID, ASOF, fitted=f) for f in (found.fitted, None))
    assert np.array_equal(given.expected, own.expected)
    assert "arguments" in given.basis.run


def test_a_fresh_incident_raises_the_cells_about_it_and_an_old_one_does_not() -> None:
    x, y, t = simulated(2500, 5, near=0.3, clusters=3)
    made = self_exciting.fit(frame_of(x, y, t), GRID, ASOF).fitted
    cell = GRID.index(np.array([11_000.0]), np.array([600.0]))[0]
    fresh, old = (self_exciting.surface(frame_of(np.r_[x, np.full(3, 11_000.0)], np.r_[y, np.full(3, 600.0)], np.r_[t, np.full(3, DAYS - d)]), GRID, ASOF,
                                        fitted=made, half_life=None).expected[cell] for d in (1.0, 85.0))
    assert fresh > old + 0.2


def test_what_is_led_to_integrates_to_the_branching() -> None:
    out = inner.spilled(np.array([6000.0]), np.array([6100.0]), np.array([0.3]), 80.0, 400.0, GRID)
    assert out.sum() == pytest.approx(0.3, rel=1e-5)
    assert self_exciting._between(np.zeros(1), 1e9, 90.0, 10.0)[0] == pytest.approx(1.0)


def test_within_a_long_horizon_further_generations_add_up_to_the_clusters_size() -> None:
    made = Fitted((0.0,) * 5, 0.0, 0.0, 0.3, 2.0, 50.0, 0.1, 1.0, 0.0, 100.0, 400.0, 30.0)
    assert self_exciting._growth(made, 2000.0, 0.0) == pytest.approx(1 / (1 - 0.4), rel=0.05)
    assert self_exciting._growth(made, 0.01, 0.0) == pytest.approx(1.0, abs=0.01)


# --- the workings --------------------------------------------------------------------------------------------------------------------


def test_close_pairs_are_all_pairs_by_brute_force() -> None:
    rng = np.random.default_rng(6)
    x, y, t = rng.uniform(0, 3000, 300).round(-2), rng.uniform(0, 3000, 300).round(-2), np.sort(rng.uniform(0, 200, 300))
    address = inner.addresses(x, y, GRID)
    found = inner.pairs(x, y, t, address, 400.0, 60.0)
    near, same = np.diff(found.near), np.diff(found.same)
    for position, j in enumerate(found.order):
        before = (t < t[j]) & (t >= t[j] - 60)
        d = np.hypot(x - x[j], y - y[j])
        assert near[position] == (before & (d > 0) & (d < 400)).sum() and same[position] == (before & (d == 0)).sum()


def test_the_likelihood_rises_and_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    given = fitting.problem(*(a if k < 2 else DAYS - a for k, a in enumerate(simulated(1200, 7, near=0.3))), GRID, DAYS, 400.0, 90.0)
    at = np.full(fitting._LEVEL_SPREAD + 1, 0.1)
    at[[fitting._RATE, fitting._AGAIN, fitting._SPREAD, fitting._LEVEL_SPREAD]] = np.log([0.1, 0.1, 60.0, 150.0])
    heights = []
    for _ in range(12):
        at, height = fitting._step(at, given)
        heights.append(height)
    assert (np.diff(heights) > -1e-6 * abs(heights[0])).all()
    one = fitting.fit(given)[0]
    monkeypatch.setattr(fitting, "each", lambda call, parts: kernels.each(call, parts, threads=1))
    assert fitting.fit(given)[0] == one


def test_earlier_counts_at_an_address() -> None:
    assert inner.earlier(np.array([3, 1, 3, 3, 1, 2])).tolist() == [0, 0, 1, 2, 1, 0]


def test_settings_and_data_that_cannot_do_are_said() -> None:
    frame = frame_of(*simulated(200, 8))
    with pytest.raises(BadInput, match="reach of 3 m"):
        self_exciting.surface(frame, GRID, ASOF, reach=3)
    with pytest.raises(CannotTell, match="happened at the same moment"):
        self_exciting.fit(frame.with_columns(started_at=pl.lit(ASOF - timedelta(days=9))), GRID, ASOF)
    with pytest.raises(CannotTell, match="At least 50 are needed"):
        self_exciting.fit(frame.head(40), GRID, ASOF)
    few = past(frame, GRID, ASOF, "1095d", least=50)
    assert np.isfinite(self_exciting.estimate(few, GRID, timedelta(days=7)).expected).all()

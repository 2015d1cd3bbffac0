"""Acting on a forecast: cells, posts, rounds, follow-up, displacement, response and workload, each against something known."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane, Polygon
from workbench.models.hotspots import kde
from workbench.models.patrol import _posts, allocate, displacement, follow_up, workload
from workbench.models.patterns import response
from workbench.results import Plan, Surface

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 12, 10, 250.0)
HALVES = {"west": Polygon.box(-90.95, 41.5, -90.882, 41.7), "east": Polygon.box(-90.882, 41.5, -90.8, 41.7)}


def incidents(n: int = 300, seed: int = 1, *, days: float = 365, asof: datetime = ASOF) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    near = rng.random(n) < 0.5
    x = np.where(near, rng.normal(900, 250, n), rng.uniform(0, 3000, n)).clip(1, 2999)
    y = np.where(near, rng.normal(1500, 250, n), rng.uniform(0, 2500, n)).clip(1, 2499)
    lon, lat = PLANE.to_degrees(x, y)
    at = [asof - timedelta(seconds=round(s)) for s in rng.uniform(60, days * 86400, n)]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat,
                         "beat": rng.choice(["a", "b", "c", "d"], n).tolist()})


@pytest.fixture(scope="module")
def surface() -> Surface:
    return kde.surface(incidents(), GRID, ASOF, bandwidth=300)


# --- displacement -----------------------------------------------------------------------------------------------------------------


def test_the_weighted_displacement_difference_is_the_published_one() -> None:
    estimate, se, z = displacement.wdd([20, 20], [20, 10])
    assert estimate == -10 and se == pytest.approx(8.366600, abs=1e-6) and z == pytest.approx(-1.195229, abs=1e-6)
    found = displacement.wdd([50, 50], [50, 30], treated_about=[40, 45], control_about=[30, 30])
    assert (found.estimate, found.local, found.displaced) == (-15, -20, 5) and found.se == pytest.approx(math.sqrt(325))
    longer = displacement.wdd([40, 20], [40, 10], lengths=(2, 1))
    assert longer.estimate == -10 and longer.se == pytest.approx(math.sqrt(30 + 0.25 * 80))


def test_under_no_change_its_p_values_are_uniform() -> None:
    rng = np.random.default_rng(5)
    p = np.sort([displacement.wdd(rng.poisson(200, 2), rng.poisson(300, 2), treated_about=rng.poisson(100, 2), control_about=rng.poisson(80, 2)).p
                 for _ in range(1000)])
    distance = max(np.max(np.arange(1, 1001) / 1000 - p), np.max(p - np.arange(1000) / 1000))
    assert distance < 1.63 / math.sqrt(1000)


def test_a_planted_fall_is_found_and_a_lack_of_one_is_said() -> None:
    frame = incidents(4000, days=360)
    start = ASOF - timedelta(days=180)
    fewer = frame.with_row_index().filter(~((pl.col("beat") == "a") & (pl.col("started_at") >= start) & (pl.col("index") % 2 == 0))).drop("index")
    found = displacement.change(fewer, ASOF, treated=["a"], control=["b"], start=start)
    row = found.table.row(-1, named=True)
    assert row["upper"] < 0 and "fewer incidents" in found.headline
    assert "No change can be told from chance" in displacement.change(frame, ASOF, treated=["a"], control=["b"], start=start).headline


@pytest.mark.parametrize(("options", "said"), [
    ({"treated": "a", "control": ["b"]}, "give a list"), ({"treated": ["a"], "control": ["a"]}, "can be one only"),
    ({"treated": ["aa"], "control": ["b"]}, "no incident with beat 'aa'"), ({"treated": [], "control": ["b"]}, "No beat|No area"),
    ({"treated": ["a"], "control": ["b"], "start": ASOF + timedelta(days=1)}, "no time after"),
])
def test_areas_that_do_not_do_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        displacement.change(incidents(), ASOF, **{"start": ASOF - timedelta(days=90), **options})


def test_too_few_incidents_cannot_tell_of_a_change() -> None:
    with pytest.raises(CannotTell, match="at least 10"):
        displacement.change(incidents(12), ASOF, treated=["a"], control=["b"], start=ASOF - timedelta(days=90))
    with pytest.raises(CannotTell, match="No incident was counted"):
        displacement.wdd([0, 0], [0, 0])


# --- cells ------------------------------------------------------------------------------------------------------------------------


def tiny(expected: Any) -> Surface:
    grid = Grid(PLANE, 0.0, 0.0, 4, 2, 250.0)
    basis = kde.surface(incidents(), GRID, ASOF, bandwidth=300).basis
    return Surface(headline="", table=pl.DataFrame(), layers=(), basis=basis, grid=grid, expected=np.asarray(expected, dtype=float), asof=ASOF,
                   horizon=timedelta(days=7))


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8).filter(any), st.integers(1, 8), st.integers(0, 3), st.integers(0, 3),
       st.sampled_from([1.0, 0.7, 0.5]))
@settings(max_examples=120, deadline=None)
def test_cells_under_conditions_are_the_best_there_are(expected: list[int], k: int, west: int, east: int, most: float) -> None:
    plan_of, middle = tiny(expected), PLANE.to_degrees(np.array([500.0]), np.array([0.0]))[0][0]
    areas = {"west": Polygon.box(-91, 41, middle, 42), "east": Polygon.box(middle, 41, -90, 42)}
    side = np.array([0, 0, 1, 1] * 2)
    high = math.floor(most * k + 1e-9)
    best = max((sum(expected[c] for c in chosen) for chosen in itertools.combinations(range(8), k)
                if all(min(low, 4) <= sum(side[c] == s for c in chosen) <= high for s, low in ((0, west), (1, east)))), default=None)
    if best is None:
        with pytest.raises(BadInput, match="cannot all be met"):
            allocate.cells(plan_of, share=k / 8, areas=areas, least={"west": west, "east": east}, most=most)
        return
    plan = allocate.cells(plan_of, share=k / 8, areas=areas, least={"west": west, "east": east}, most=most)
    assert plan.table["expected"].sum() == best and plan.table.height == k and plan.gap == 0
    assert plan.prices is not None and (plan.prices["expected_lost"] >= 0).all()


def test_without_conditions_cells_are_those_of_the_surface(surface: Surface) -> None:
    plan = allocate.cells(surface, share=0.1)
    assert set(plan.table["cell"]) == set(surface.top(0.1).tolist()) and plan.prices is not None and plan.prices.is_empty()


def test_what_a_condition_costs_is_said(surface: Surface) -> None:
    plan = allocate.cells(surface, share=0.1, areas=HALVES, least={"east": 6})
    assert plan.table.filter(pl.col("area") == "east").height >= 6 and "the conditions cost" in plan.headline
    assert plan.prices is not None
    row = plan.prices.row(0, named=True)
    assert row["expected_lost"] > 0 and row["pai_without"] > row["pai"]
    assert plan.table.filter(pl.col("reason") == "minimum of its area").height


@pytest.mark.parametrize(("options", "said"), [
    ({"share": 0}, "share=0"), ({"least": 2}, "need areas"), ({"areas": HALVES, "least": {"nord": 1}}, "no area 'nord'"),
    ({"areas": HALVES, "most": 0.2, "share": 0.1}, "cannot all be met"), ({"areas": HALVES, "most": 2.0}, "from 0 to 1")])
def test_conditions_that_do_not_do_are_refused(surface: Surface, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        allocate.cells(surface, **options)
    with pytest.raises(CannotTell, match="expects nothing"):
        allocate.cells(tiny([0] * 8))


# --- posts and rounds -------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_choice_of_posts_beats_the_proved_gap(seed: int, k: int, cover: bool) -> None:
    rng = np.random.default_rng(seed)
    at, to, weight = rng.uniform(0, 100, (12, 2)), rng.uniform(0, 100, (7, 2)), rng.gamma(1, 1, 12)
    cost = np.hypot(*(at[:, None] - to[None]).transpose(2, 0, 1))
    every = [list(c) for c in itertools.combinations(range(7), k)]
    if cover:
        chosen, gap = _posts.covering(cost < 35, weight, k)
        value, best = float(weight @ (cost < 35)[:, chosen].any(axis=1)), max(float(weight @ (cost < 35)[:, c].any(axis=1)) for c in every)
        assert value <= best + 1e-9 <= value * (1 + gap) + 1e-6
        assert value >= 0.63 * best
    else:
        chosen, gap = _posts.median(cost, weight, k)
        value, best = float(weight @ cost[:, chosen].min(axis=1)), min(float(weight @ cost[:, c].min(axis=1)) for c in every)
        assert value * (1 - gap) - 1e-6 <= best <= value + 1e-9
    assert len(set(chosen.tolist())) == k


def test_posts_stand_where_incidents_are_and_say_how_good_they_are(surface: Surface) -> None:
    one = allocate.posts(surface, 1)
    x, y = GRID.plane.to_metres(one.table["lon"].to_numpy(), one.table["lat"].to_numpy())
    assert np.hypot(x - 1000, y - 1450)[0] < 500 and one.gap is not None and one.gap < 0.05
    three, near = allocate.posts(surface, 3), allocate.posts(surface, 3, within="1m")
    assert three.table["expected"].sum() == pytest.approx(surface.expected.sum())
    assert "no other choice" in three.headline and "within 1 minute (" in near.headline
    with pytest.raises(BadInput, match="units=0"):
        allocate.posts(surface, 0)


def test_rounds_visit_each_cell_in_time_and_never_two_at_once(surface: Surface) -> None:
    plan = allocate.cells(surface, share=0.08)
    made = allocate.rounds(plan, "2026-01-01 18:00", units=3, busy=0.4, seed=4)
    assert isinstance(made, Plan) and set(made.table["cell"]) == set(plan.table["cell"])
    assert made.table["from"].min() >= datetime(2026, 1, 1, 18, tzinfo=UTC) and made.table["to"].max() <= datetime(2026, 1, 2, 2, tzinfo=UTC)  # type: ignore[operator]
    for _, part in made.table.group_by("unit"):
        ends, begins = part.sort("from")["to"].to_list(), part.sort("from")["from"].to_list()
        assert all(e <= b for e, b in zip(ends, begins[1:], strict=False)) and part["cell"].n_unique() <= 3
    assert made.table.equals(allocate.rounds(plan, "2026-01-01 18:00", units=3, busy=0.4, seed=4).table)
    assert not made.table.equals(allocate.rounds(plan, "2026-01-01 18:00", units=3, busy=0.4, seed=5).table)
    with pytest.raises(CannotTell, match="no time for one visit"):
        allocate.rounds(plan, "2026-01-01 18:00", shift="10m")
    with pytest.raises(BadInput, match="1 to 9 units"):
        allocate.rounds(plan, "2026-01-01 18:00", units=10)


def test_how_a_plan_was_made_can_be_asked_again(city: Any, tmp_path: Any) -> None:
    from workbench import cli

    burglaries = city.incidents("2025-07-01", "2026-07-01", offence="burglary")
    plan = allocate.cells(kde.surface(burglaries, city.grid(cell=400), "2026-06-01"), share=0.05)
    rounds = allocate.rounds(plan, "2026-06-01 18:00")
    assert "cannot" not in rounds.basis.run
    rounds.save(tmp_path / "rounds.json")
    assert cli.main(["basis", "verify", str(tmp_path / "rounds.json"), "-w", str(city.path)]) in (0, None)


# --- follow-up --------------------------------------------------------------------------------------------------------------------


def test_a_plan_is_followed_up_with_what_came_and_where_units_were(surface: Surface) -> None:
    plan = allocate.cells(surface, share=0.05)
    later = incidents(40, 7, days=7, asof=ASOF + timedelta(days=7))
    cell = int(plan.table["cell"][0])
    lon, lat = (a[cell] for a in GRID.centres())
    seen = [ASOF + timedelta(hours=20, minutes=2 * k) for k in range(11)] + [ASOF + timedelta(hours=23)]
    units = pl.DataFrame({"unit": ["1A"] * 12, "seen_at": pl.Series(seen, dtype=pl.Datetime("us", "UTC")), "lon": [lon] * 12, "lat": [lat] * 12})
    asof = ASOF + timedelta(days=7)
    found = follow_up.followed(plan, surface, later, units, asof)
    counts = GRID.count(later)
    assert found.table["came"].to_list() == counts[plan.table["cell"].to_numpy()].tolist()
    assert found.table["minutes"][0] == pytest.approx(20) and found.table["days_dosed"].to_list() == [1] + [0] * (plan.table.height - 1)
    assert "1 of 6 had at least 15 minutes on some day" in found.headline and "patrol.displacement" in found.basis.notes[0]
    assert follow_up.followed(plan, surface, later, None, asof).table["minutes"].null_count() == plan.table.height
    with pytest.raises(CannotTell, match="look again when it is over"):
        follow_up.followed(plan, surface, later, None, ASOF + timedelta(days=6))
    with pytest.raises(CannotTell, match="No incident"):
        follow_up.followed(plan, surface, incidents(), None, asof)


# --- response and workload --------------------------------------------------------------------------------------------------------


def calls(n: int, seed: int, *, rate: float = 1 / 900, never: float = 0.2, days: int = 28) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    received = [ASOF - timedelta(seconds=round(s)) for s in rng.uniform(7200, days * 86400, n)]
    wait, cancel = rng.exponential(1 / rate, n), np.where(rng.random(n) < never, rng.exponential(900, n), np.inf)
    reached = wait < cancel
    moment = pl.Datetime("us", "UTC")

    def after(seconds: Any, where: Any) -> pl.Series:
        return pl.Series([r + timedelta(seconds=float(s)) if w else None for r, s, w in zip(received, seconds, where, strict=True)], dtype=moment)

    return pl.DataFrame({
        "received_at": pl.Series(received, dtype=moment), "dispatched_at": after(wait * 0, np.ones(n, bool)), "arrived_at": after(wait, reached),
        "cleared_at": after(np.where(reached, wait + 1800, np.minimum(cancel, 1e6)), np.ones(n, bool)), "self_initiated": [False] * n,
        "doubts": pl.Series([[]] * n, dtype=pl.List(pl.String)), "units": pl.Series([["1A"]] * n, dtype=pl.List(pl.String)), "priority": ["1"] * n})


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_kaplan_meier_agrees_with_statsmodels(waits: list[tuple[int, bool]]) -> None:
    from statsmodels.duration.survfunc import SurvfuncRight

    wait, reached = np.array([w for w, _ in waits], dtype=float), np.array([r for _, r in waits])
    median, low, high, _ = response.kaplan_meier(wait, reached)
    if not reached.any():
        assert median is None
        return
    peer = SurvfuncRight(wait, reached.astype(int))
    below = peer.surv_times[peer.surv_prob <= 0.5 + 1e-12]
    assert median == (below[0] if len(below) else None)
    assert low is None or median is None or low <= median
    assert high is None or median is None or high >= median


def test_calls_that_nobody_reached_make_response_slower_not_quicker() -> None:
    frame = calls(4000, 3, never=0.5)
    censored, without = response.survival(frame, ASOF), response.by_group(frame, ASOF)
    true = 900 * math.log(2)
    row = censored.table.row(0, named=True)
    assert row["low"] <= true <= row["high"] and row["censored"] > 500 and row["median"] > without.table["median"][0]
    assert "were not reached" in censored.headline


def test_hours_and_weekdays_group_by_the_local_clock() -> None:
    frame = calls(3000, 4)
    assert response.survival(frame, ASOF, by="hour", zone="America/Chicago").table.height == 24
    assert sorted(response.survival(frame, ASOF, by="weekday").table["weekday"].to_list()) == list(range(1, 8))
    with pytest.raises(CannotTell, match="No call"):
        response.survival(frame.filter(pl.col("arrived_at").is_null()), ASOF)


def test_erlangs_formula_agrees_with_its_tables_and_a_simulated_desk() -> None:
    assert workload.waiting(2.0, 3) == pytest.approx(4 / 9) and workload.waiting(10, 10) == 1.0 and workload.waiting(0, 2) == 0.0
    assert workload.waiting(8.0, 10) == pytest.approx(0.4092, abs=5e-4)
    rng = np.random.default_rng(2)
    arrive, serve = np.cumsum(rng.exponential(0.5, 60_000)), rng.exponential(1.0, 60_000)
    free, waited = np.zeros(3), 0
    for a, s in zip(arrive, serve, strict=True):
        k = int(free.argmin())
        waited += free[k] > a
        free[k] = max(free[k], a) + s
    assert waited / 60_000 == pytest.approx(4 / 9, abs=0.02)


@given(st.floats(0.0, 40), st.floats(0.1, 2), st.floats(0, 15), st.floats(0.02, 0.5), st.floats(0.3, 0.9))
@settings(max_examples=80, deadline=None)
def test_the_units_needed_are_enough_and_one_fewer_is_not(rate: float, hours: float, limit: float, late: float, most: float) -> None:
    units, load = workload.needed(rate, hours, limit=limit, late=late, most=most), rate * hours

    def enough(n: int) -> bool:
        return n >= 1 and load / n <= most + 1e-6 and workload.waiting(load, n) * math.exp(-max(0.0, n - load) / hours * limit / 60) <= late + 1e-9

    assert enough(units) and not (units > 1 and enough(units - 1) and load / (units - 1) < most - 1e-6)


def test_the_week_adds_up_to_the_work_there_was() -> None:
    frame = calls(5000, 6, never=0.0, days=28)
    found = workload.week(frame, ASOF, window="28d")
    assert found.table.height == 168 and found.table["calls"].sum() * 4 == pytest.approx(5000, rel=0.05)
    bound = ((frame["cleared_at"] - frame["dispatched_at"]).dt.total_seconds() / 3600).sum()
    assert found.table["unit_hours"].sum() * 4 == pytest.approx(bound, rel=0.06)
    assert ((found.table["low"] <= found.table["calls"]) & (found.table["calls"] <= found.table["high"])).all()
    assert (found.table["units_high"] >= found.table["units"]).all()
    with pytest.raises(CannotTell, match="whole weeks"):
        workload.week(calls(100, 1, days=10), ASOF)
    with pytest.raises(CannotTell, match="at least 50"):
        workload.week(calls(30, 1), ASOF)

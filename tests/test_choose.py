"""The stacked ensemble and the choice between it and prior counts: what was planted is found, nothing later is looked at, and the page says which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import models
from workbench.errors import BadInput, CannotTell, NotFound
from workbench.geo import Grid, Plane
from workbench.models import window
from workbench.models.hotspots import choose, counts, ensemble

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 24, 20, 250.0)
WEEK = timedelta(days=7)


def incidents(x: Any, y: Any, days_before: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in np.asarray(days_before)]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def city(n: int, seed: int, days: float = 900) -> pl.DataFrame:
    """A third of the incidents about four places, the rest anywhere."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(1000, 4000, (4, 2))[rng.integers(0, 4, n)]
    near = rng.random(n) < 0.35
    x = np.where(near, rng.normal(centre[:, 0], 150), rng.uniform(0, 6000, n)).clip(1, 5999)
    y = np.where(near, rng.normal(centre[:, 1], 150), rng.uniform(0, 5000, n)).clip(1, 4999)
    return incidents(x, y, rng.uniform(0.01, days, n))


def even(n: int, seed: int, days: float = 900) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return incidents(rng.uniform(1, 5999, n), rng.uniform(1, 4999, n), rng.uniform(0.01, days, n))


# --- the ensemble -------------------------------------------------------------------------------------------------------------------


def test_the_ensemble_ranks_the_planted_places_first_and_its_weights_sum_to_one() -> None:
    surface = ensemble.surface(city(3000, 1), GRID, ASOF)
    assert surface.expected.min() >= 0 and surface.expected.shape == (len(GRID),)
    before = window.past(city(3000, 1), GRID, ASOF, "1825d", least=5)
    mix = ensemble.weights(before, GRID, WEEK, ensemble.spreading(GRID))
    assert mix.weights.sum() == pytest.approx(1) and (mix.weights >= 0).all() and mix.origins > 5
    top = surface.top(0.05)
    rows = city(3000, 1)
    assert np.isin(GRID.locate(rows), top).mean() > 0.25


def test_evenly_scattered_incidents_are_forecast_nearly_evenly() -> None:
    made = ensemble.surface(even(3000, 2), GRID, ASOF).expected
    plain = counts.surface(even(3000, 2), GRID, ASOF, half_life=None).expected
    assert made.std() / made.mean() < 0.6 * plain.std() / plain.mean()


def test_em_finds_the_proportions_of_a_planted_mixture() -> None:
    rng = np.random.default_rng(3)
    densities = rng.dirichlet(np.ones(200) * 0.3, 3)
    truth = np.array([0.6, 0.3, 0.1])
    came = rng.choice(200, 60_000, p=truth @ densities)
    places, often = np.unique(came, return_counts=True)
    found = ensemble.proportions(densities[:, places].T, often.astype(float), np.full(3, 1 / 3), 400)
    assert found == pytest.approx(truth, abs=0.02)


def test_one_round_of_em_never_makes_what_came_less_likely() -> None:
    rng = np.random.default_rng(4)
    likely, often, now = rng.random((50, 5)), rng.integers(1, 4, 50).astype(float), np.full(5, 0.2)
    before = -np.inf
    for _ in range(20):
        chance = float(often @ np.log(likely @ now))
        assert chance >= before - 1e-9
        before, now = chance, ensemble.proportions(likely, often, now, 1)


def test_a_kernel_keeps_all_mass_inside_also_at_the_border_and_equals_direct_blurring() -> None:
    inside = np.ones(len(GRID), dtype=bool)
    inside[GRID.nx * 10:] = False
    grid = Grid(PLANE, 0.0, 0.0, GRID.nx, GRID.ny, 250.0, inside)
    one = np.zeros((1, len(grid)), dtype=np.float32)
    one[0, 3] = 1.0
    scales = ensemble.spreading(grid)
    for k in range(len(scales)):
        by = np.zeros(len(ensemble.START.ravel()) + 1)
        by[(k + 1) * len(ensemble.HALF_LIVES)] = 1.0
        made = ensemble.mixed(np.repeat(one, len(ensemble.HALF_LIVES), axis=0), grid, scales, by)
        assert made.sum() == pytest.approx(1) and (made[~inside] == 0).all()
        every = ensemble._at(np.repeat(one, len(ensemble.HALF_LIVES), axis=0), grid, scales, np.arange(40))
        assert every[:, (k + 1) * len(ensemble.HALF_LIVES)] == pytest.approx(made[:40], abs=1e-6)


def test_a_large_grid_is_blurred_in_blocks_to_the_same_values() -> None:
    rng = np.random.default_rng(5)
    from workbench.models.hotspots import kde

    matrix = kde.blurring(400, 100.0, 120.0).astype(np.float32)
    values = rng.random((400, 7)).astype(np.float32)
    assert ensemble._banded(matrix, values) == pytest.approx(matrix @ values, abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_what_happens_at_or_after_asof_changes_nothing(seed: int) -> None:
    rows = city(400, seed)
    later = incidents([2500.0] * 30, [2500.0] * 30, -np.linspace(0, 20, 30))
    asked = {"window": "900d"}
    assert np.array_equal(ensemble.surface(rows, GRID, ASOF, **asked).expected, ensemble.surface(pl.concat([rows, later]), GRID, ASOF, **asked).expected)


@settings(max_examples=8, deadline=None)
@given(st.permutations(list(range(120))))
def test_the_order_of_the_rows_changes_nothing(order: list[int]) -> None:
    rows = city(120, 6)
    assert np.array_equal(ensemble.surface(rows, GRID, ASOF).expected, ensemble.surface(rows[order], GRID, ASOF).expected)


def test_few_incidents_are_forecast_by_the_starting_mix_and_it_is_said() -> None:
    surface = ensemble.surface(city(12, 7, days=60), GRID, ASOF)
    assert "starting mix" in surface.basis.method and surface.expected.sum() > 0
    learned = ensemble.surface(city(2000, 7), GRID, ASOF)
    assert "learned from" in learned.basis.method and "learn" not in ensemble.surface(city(2000, 7), GRID, ASOF, learn=False).basis.method.split(";")[0][:60]


# --- the choice ---------------------------------------------------------------------------------------------------------------------


def test_the_ensemble_is_offered_where_it_beats_prior_counts_and_the_sentence_has_the_figures() -> None:
    found = choose.best(city(4000, 8), GRID, ASOF)
    assert found.name == "ensemble" and found.won > found.folds / 2 and found.pai[0] > found.pai[1]
    assert found.sentence.startswith("The stacked ensemble is used: it was better than prior counts in ")
    assert f"of {found.folds} earlier forecasts" in found.sentence
    assert "mean PAI" in found.sentence and f"{found.pai[0]:.2f} against {found.pai[1]:.2f}" in found.sentence


def test_prior_counts_are_kept_where_the_candidate_does_not_win_most_and_it_is_said() -> None:
    hits = np.zeros((8, 2, 6))
    hits[:, 0], hits[:, 1] = 1.0, 2.0
    hits[:4, 0] = 3.0  # better in half of the folds, which is not most
    found = choose._judged("ensemble", "Stacked ensemble", hits, np.full(8, 20.0), WEEK)
    assert found.name == "counts" and "Prior counts are used: the stacked ensemble was better only in 4 of 8 earlier forecasts" in found.sentence
    hits[:5, 0] = 3.0
    assert choose._judged("ensemble", "Stacked ensemble", hits, np.full(8, 20.0), WEEK).name == "ensemble"
    hits[:5, 0], hits[5:, 0] = 2.01, 0.0  # wins most folds by a hair and loses over all
    assert choose._judged("ensemble", "Stacked ensemble", hits, np.full(8, 20.0), WEEK).name == "counts"


def test_the_figures_in_the_sentence_are_those_counted_by_hand() -> None:
    hits = np.array([[[1, 1, 2, 3, 5, 6], [1, 1, 1, 2, 4, 6]]] * 4, dtype=float)
    found = choose._judged("ensemble", "Stacked ensemble", hits, np.full(4, 10.0), WEEK)
    assert found.pai == pytest.approx(((10 + 10 + 10) / 3, (10 + 5 + 8) / 3)) and found.came == 40 and found.won == 4
    assert "20.0 % of 40 incidents in 2 % of the area, prior counts 10.0 %" in found.sentence


def test_too_short_a_past_gets_prior_counts_and_says_what_would_do() -> None:
    found = choose.best(city(200, 9, days=50), GRID, ASOF)
    assert found.name == "counts" and "are needed. Load more years" in found.sentence
    surface = choose.surface(city(200, 9, days=50), GRID, ASOF)
    assert found.sentence in surface.basis.notes and surface.expected.sum() > 0


def test_the_surface_of_the_choice_is_that_of_the_model_offered() -> None:
    rows = city(3000, 8)
    found = choose.best(rows, GRID, ASOF)
    assert np.allclose(choose.surface(rows, GRID, ASOF).expected, found.surface(rows, GRID, ASOF, window="1825d").expected)
    assert choose.surface(rows, GRID, ASOF).basis.parameters["offered"] == found.name


def test_a_page_gets_the_model_it_names_and_best_answers_for_any_frame() -> None:
    rows = city(500, 10)
    assert choose.model("kde", rows, GRID, ASOF).name == "kde" and "asked for" in choose.model("kde", rows, GRID, ASOF).sentence
    nothing = choose.model("best", rows.head(0), GRID, ASOF)
    assert nothing.name == "counts" and nothing.sentence.startswith("Prior counts are used: Nothing was known before")
    with pytest.raises(NotFound, match="Did you mean"):
        choose.model("ensembel", rows, GRID, ASOF)
    with pytest.raises(BadInput, match="cannot stand against prior counts"):
        choose.surface(rows, GRID, ASOF, candidate="claims")


@pytest.mark.parametrize(("rows", "said"), [
    (incidents([100.0] * 3, [100.0] * 3, [1, 2, 3]), "At least 5"),
    (incidents([100.0] * 9, [100.0] * 9, range(1, 10)), "same address"),
    (incidents([100.0, 900.0] * 5, [100.0] * 10, [-d for d in range(1, 11)]), "Nothing was known before"),
    (incidents([100.0] * 9, [100.0] * 9, range(1, 10)).with_columns(lon=pl.lit(None, dtype=pl.Float64)), "has a position"),
])
def test_what_cannot_be_forecast_is_answered_with_a_sentence(rows: pl.DataFrame, said: str) -> None:
    for ask in (ensemble.surface, choose.surface):
        with pytest.raises(CannotTell, match=said):
            ask(rows, GRID, ASOF)
    with pytest.raises(BadInput, match="started_at"):
        ensemble.surface(rows.drop("started_at"), GRID, ASOF)


def test_an_empty_study_area_is_answered_with_a_sentence() -> None:
    nowhere = Grid(PLANE, 0.0, 0.0, 4, 4, 250.0, np.zeros(16, dtype=bool))
    with pytest.raises(CannotTell, match="nowhere to forecast"):
        choose.surface(city(100, 11), nowhere, ASOF)


def test_the_listed_forecasts_need_nothing_but_incidents() -> None:
    listed = models.surfaces()
    assert {"hotspots.choose", "hotspots.ensemble", "hotspots.counts", "hotspots.kde"} <= set(listed)
    for name in listed:
        assert hasattr(models.find(name), "surface"), name

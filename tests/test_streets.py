"""How concentrated incidents are on streets and addresses: known values, chance, planted streets, and what cannot be told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_network_kde import GRID, TOWN, along, incidents
from workbench.errors import BadInput, CannotTell
from workbench.geo import Hexagons
from workbench.models.hotspots import streets

counts = st.lists(st.integers(0, 30), min_size=2, max_size=60).filter(lambda v: sum(v) > 0)


def observed(made: Any, measure: str) -> dict[str, Any]:
    return made.table.row(by_predicate=pl.col("measure").str.contains(measure), named=True)


# --- the measures ------------------------------------------------------------------------------------------------------------------


def test_known_gini_coefficients_come_out() -> None:
    assert streets.gini([5, 5, 5, 5]) == pytest.approx(0)
    assert streets.gini([0, 0, 0, 12]) == pytest.approx(0.75)
    assert streets.gini([1, 2, 3, 4]) == pytest.approx(0.25)
    assert streets.gini([1, 1, 1] + [0] * 7) == pytest.approx(0.7) and streets.gini([1, 1, 1] + [0] * 7, generalized=True) == pytest.approx(0)
    assert streets.gini([3] + [0] * 9, generalized=True) == pytest.approx(10 / 3 * (0.9 - 1) + 1)


@given(counts)
@settings(max_examples=60, deadline=None)
def test_gini_is_twice_the_area_between_lorenz_curve_and_diagonal(values: list[int]) -> None:
    places, held = streets.lorenz(values)
    assert places[-1] == held[-1] == 1.0 or held[-1] == pytest.approx(1)
    assert streets.gini(values) == pytest.approx(2 * float(np.trapezoid(held, places)) - 1, abs=1e-9)
    assert bool((np.diff(held) >= 0).all()) and bool((np.diff(np.diff(held)) <= 1e-12).all())


@given(counts, st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_the_generalized_gini_does_not_change_with_empty_places_and_is_the_plain_one_where_incidents_outnumber_places(values: list[int], more: int) -> None:
    whole, plain = streets.gini(values, generalized=True), streets.gini(values)
    if sum(values) >= len(values):
        assert whole == pytest.approx(plain)
    else:
        assert streets.gini(values + [0] * more, generalized=True) == pytest.approx(whole)
    assert -1e-9 <= whole <= 1


def test_poisson_tails_are_right_far_out() -> None:
    from scipy.stats import poisson

    for mean in (0.01, 0.7, 4.0, 60.0):
        got = streets._at_least(80, mean)
        assert np.allclose(got[:82], poisson.sf(np.arange(82) - 1, mean), rtol=1e-6)


# --- the answer --------------------------------------------------------------------------------------------------------------------


def test_planted_streets_hold_more_than_chance() -> None:
    made = streets.concentration(along(600, 3, hot=0.5), TOWN)
    half = observed(made, "50 %")
    assert half["observed"] < half["chance_lower"] / 2 and half["p"] == pytest.approx(1 / 200) and half["lower"] <= half["observed"] <= half["upper"]
    assert "more than chance alone would put together" in made.headline and "840 street segments" in made.headline
    assert set(made.scores["series"]) == {"observed", "chance", "most even"} and made.scores.filter(pl.col("places") == 1)["incidents"].to_list() == [1.0] * 3


def test_incidents_that_fall_anywhere_are_no_law_of_concentration() -> None:
    p = [observed(streets.concentration(along(200, 100 + k), TOWN, draws=39, seed=k), "50 %")["p"] for k in range(25)]
    assert sum(v <= 0.1 for v in p) <= 6 and sum(v > 0.5 for v in p) >= 6
    made = streets.concentration(along(200, 1), TOWN)
    assert "which chance alone could put together as well" in made.headline and "against the most even spread that 200 incidents allow" in made.headline
    assert observed(made, "^Gini")["observed"] > 0.7 and observed(made, "generalized")["observed"] < 0.35  # more places than incidents


def test_long_streets_hold_more_by_chance_when_every_metre_has_the_same_chance() -> None:
    rng = np.random.default_rng(0)
    from tests.test_network import streets as lines

    town = lines([[(0, 200 * k), (1000 if k < 10 else 100, 200 * k)] for k in range(40)])
    metres = np.array([1000.0] * 10 + [100.0] * 30)
    at = rng.choice(40, 500, p=metres / metres.sum())
    frame = incidents(rng.random(500) * metres[at], 200.0 * at, np.ones(500))
    place, length = (observed(streets.concentration(frame, town, even=e), "50 %") for e in ("place", "length"))
    assert place["p"] < 0.02 and length["p"] > 0.05


def test_the_same_seed_gives_the_same_answer_and_the_order_of_rows_changes_nothing() -> None:
    frame = along(300, 3, hot=0.3)
    a, b = streets.concentration(frame, TOWN), streets.concentration(frame.sample(fraction=1, shuffle=True, seed=2), TOWN)
    assert a.table.equals(b.table) and a.headline == b.headline
    assert not a.table.equals(streets.concentration(frame, TOWN, seed=1).table)


def test_without_streets_addresses_are_the_places_and_it_says_which_are_known() -> None:
    frame = pl.DataFrame({"address": ["1 Elm St"] * 9 + ["1  ELM st ", "2 Elm St", "3 Elm St", None, ""]})
    made = streets.concentration(frame)
    assert "12 incidents" in made.headline and "3 addresses that occur in the data" in made.headline
    assert any("2 of 14 incidents are without address" in n for n in made.basis.notes)
    known = streets.concentration(frame, places=100)
    assert "100 addresses (" in known.headline and observed(known, "50 %")["observed"] < 0.01
    again = streets.repeats(frame)
    assert again.table["label"].to_list() == ["1 ELM ST"] and again.table["incidents"].to_list() == [10]
    with pytest.raises(BadInput, match="places=2 does not do: 3 addresses occur"):
        streets.concentration(frame, places=2)


def test_squares_and_hexagons_are_places_too() -> None:
    frame = along(400, 3, hot=0.5)
    for tiling, word in ((GRID, "squares"), (Hexagons.around(frame, area=10_000.0), "hexagons")):
        made = streets.concentration(frame, tiling=tiling)
        assert word in made.headline and made.layers and "<svg" in made.drawing()
        assert streets.repeats(frame, tiling=tiling).table["lon"].is_between(-91, -90).all()


def test_repeat_streets_stand_first_with_their_base_rate() -> None:
    made = streets.repeats(along(600, 3, hot=0.5), TOWN, least=3)
    first = made.table.head(2)
    assert {t.split("(")[1] for t in first["label"]} == {f"s{21 * i + 15})" for i in (8, 9)}
    assert bool((made.table["incidents"] >= 3).all()) and bool((first["chance"] < 1e-9).all()) and first["as_many"].to_list() == [1, 2]
    assert bool((first["first_at"] <= first["last_at"]).all()) and "if every one had the same chance" in made.headline
    expected = 840 * (1 - sum(math.exp(-600 / 840) * (600 / 840) ** k / math.factorial(k) for k in range(3)))
    assert f"about {expected:,.0f} would" in made.headline


@pytest.mark.parametrize(("change", "said"), [
    ({"shares": (0.5, 1.2)}, "shares="), ({"shares": ()}, "shares="), ({"draws": 3}, "draws=3"), ({"even": "area"}, "even='area'"),
    ({"tiling": GRID}, "streets and tiling were both given"), ({"streets": None, "column": "adress"}, "no column 'adress'"),
    ({"streets": None, "tiling": GRID, "even": "length"}, "needs streets="),
])
def test_wrong_input_is_named(change: dict[str, Any], said: str) -> None:
    frame = along(50, 1).with_columns(address=pl.lit("x"))
    with pytest.raises(BadInput, match=said):
        streets.concentration(frame, **{"streets": TOWN, **change})


def test_too_little_or_one_place_cannot_be_told() -> None:
    frame = along(50, 1)
    nowhere = frame.with_columns(lon=pl.lit(None, dtype=pl.Float64))
    for some in (frame.head(4), frame.clear(), nowhere):
        with pytest.raises(CannotTell, match="At least 10 are needed"):
            streets.concentration(some, TOWN)
    with pytest.raises(CannotTell, match=r"All 20 incidents lie on one place \(street \(s320\)"):
        streets.concentration(incidents([1550.0] * 20, [500.0] * 20, range(20)), TOWN)
    with pytest.raises(CannotTell, match="has 2 or more"):
        streets.repeats(frame.head(1), TOWN)
    with pytest.raises(CannotTell, match="there is no network"):
        streets.concentration(frame, TOWN.clear())
    with pytest.raises(BadInput, match="no column 'lon'"):
        streets.concentration(pl.DataFrame({"x": [1]}), TOWN)

"""Andresen's test: Fisher's exact test against scipy, similar and planted-apart sets, the bootstrap interval, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import fisher_exact

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane, Polygon
from workbench.models.patterns import sppt

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 8, 8, 500.0)


def incidents(seed: int, n: int = 2000, extra: int = 0, plane: Plane = PLANE) -> pl.DataFrame:
    """Incidents that fall toward the south-west, and ``extra`` in the cell about (3250, 3250)."""
    rng = np.random.default_rng(seed)
    x, y = (np.append(4000 * rng.beta(1, 2, n), rng.uniform(3000, 3500, extra)) for _ in range(2))
    lon, lat = plane.to_degrees(x, y)
    at = [ASOF - timedelta(days=float(d)) for d in rng.uniform(1, 300, len(x))]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def test_fishers_test_is_scipys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 30, 40), rng.integers(0, 30, 40)
    wanted = [fisher_exact([[i, 400 - i], [j, 250 - j]])[1] for i, j in zip(a.tolist(), b.tolist(), strict=True)]
    assert sppt.fisher(a, 400, b, 250) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("method", ["proportions", "bootstrap"])
def test_an_area_that_holds_more_of_the_second_set_is_named(method: str) -> None:
    answer = sppt.similarity(incidents(2), incidents(3, extra=150), GRID, ASOF, method=method)
    assert answer.table.filter(cell=6 * 8 + 6)["differs"][0] == 1 and "a larger share in" in answer.headline
    assert answer.layers[0].palette == "change"


def test_two_draws_of_one_pattern_are_similar_where_chance_in_both_is_allowed_for() -> None:
    s = [sppt.similarity(incidents(10 + k), incidents(50 + k), GRID, ASOF).basis.parameters["s"] for k in range(20)]
    assert sum(v < 1 for v in s) <= 4 and np.mean(s) > 0.995
    one = sppt.similarity(incidents(10), incidents(50), GRID, ASOF)
    assert one.headline.startswith("The two sets are similar in 100 % of 64 areas") and one.layers == ()
    both = sppt.similarity(incidents(10), incidents(50), GRID, ASOF, method="bootstrap").basis.parameters
    assert both["s"] < 0.9, "Andresen's interval takes the base set as without chance, so it tells apart what is alike"


def test_the_bootstrap_interval_holds_the_test_sets_own_percentages() -> None:
    table = sppt.similarity(incidents(4), incidents(4), GRID, ASOF, method="bootstrap").table
    assert (table["differs"] == 0).all() and (table["low"] <= table["test_percent"]).all() and (table["high"] >= table["test_percent"]).all()


def test_robust_s_leaves_empty_areas_out_and_areas_by_name_agree_with_cells() -> None:
    wide = Grid(PLANE, 0.0, 0.0, 16, 8, 500.0)
    answer = sppt.similarity(incidents(5), incidents(6, extra=150), wide, ASOF)
    kept = answer.table.filter(pl.col("base") + pl.col("test") > 0)
    assert answer.basis.parameters["robust s"] == pytest.approx((kept["differs"] == 0).mean()) and len(kept) <= 64
    squares = {f"B{k}": Polygon((np.vstack([c, c[:1]]),)) for k, c in enumerate(wide.corners(np.arange(128)))}
    named = sppt.similarity(incidents(5), incidents(6, extra=150), squares, ASOF)
    assert named.basis.parameters["s"] == answer.basis.parameters["s"] and named.layers[0].ids == ("area:B102",) or "area" in named.table.columns


def test_order_of_rows_and_place_of_the_city_change_nothing() -> None:
    a = sppt.similarity(incidents(7), incidents(8, extra=100), GRID, ASOF, method="bootstrap", seed=3).table
    mixed: Any = [f.sample(fraction=1.0, shuffle=True, seed=1) for f in (incidents(7), incidents(8, extra=100))]
    assert a.equals(sppt.similarity(*mixed, GRID, ASOF, method="bootstrap", seed=3).table)
    far = Plane.local(-33.9, 151.2)
    moved = Grid(far, 0.0, 0.0, 8, 8, 500.0)
    assert a.equals(sppt.similarity(incidents(7, plane=far), incidents(8, extra=100, plane=far), moved, ASOF, method="bootstrap", seed=3).table)


def test_what_cannot_be_answered_is_said() -> None:
    a, b = incidents(9), incidents(10)
    for bad, why in ((b.head(1), "at least 20"), (b.with_columns(lon=pl.lit(None, dtype=pl.Float64)), "have a position"), (b.head(0), "choose a later asof")):
        with pytest.raises(CannotTell, match=why):
            sppt.similarity(a, bad, GRID, ASOF)
    with pytest.raises(CannotTell, match="choose a later asof"):
        sppt.similarity(a, b, GRID, "2020-01-01")
    with pytest.raises(CannotTell, match="no areas"):
        sppt.similarity(a, b, {}, ASOF)
    with pytest.raises(CannotTell, match="no areas"):
        sppt.similarity(a, b, Grid(PLANE, 0.0, 0.0, 8, 8, 500.0, np.zeros(64, dtype=bool)), ASOF)
    for options in ({"method": "chi"}, {"share": 1.0}, {"draws": 9}):
        with pytest.raises(BadInput):
            sppt.similarity(a, b, GRID, ASOF, **options)
    with pytest.raises(BadInput, match="lon"):
        sppt.similarity(a, b.drop("lon"), GRID, ASOF)
    one = sppt.similarity(a, b.with_columns(lon=pl.lit(a["lon"][0]), lat=pl.lit(a["lat"][0])), GRID, ASOF)
    assert "a larger share in 1 area" in one.headline

"""Middles, spreads and nearest neighbours: worked values, conventions, planted shifts, chance where there is only chance, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.spatial import ConvexHull
from scipy.stats import kstest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.patterns import centrography

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 20, 16, 250.0)


def incidents(x: Any, y: Any, days_before: Any = None, *, plane: Plane = PLANE) -> pl.DataFrame:
    lon, lat = plane.to_degrees(x, y)
    days = np.linspace(1, 300, len(lon)) if days_before is None else days_before
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in days]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def long_and_narrow(n: int, seed: int, turn: float = 30.0) -> tuple[Any, Any]:
    """Normal with 600 m along ``turn`` degrees from north and 200 m across, about (2500, 2000)."""
    a, b = np.random.default_rng(seed).normal(0, 1, (2, n)) * np.array([[600.0], [200.0]])
    t = np.radians(turn)
    return (2500 + a * np.sin(t) + b * np.cos(t)).clip(1, 4999), (2000 + a * np.cos(t) - b * np.sin(t)).clip(1, 3999)


def value(answer: Any, measure: str) -> float:
    return answer.table.filter(measure=measure)["value"][0]


def test_four_corners_come_out_as_worked_by_hand_in_every_convention() -> None:
    x, y = np.array([0.0, 4.0, 0.0, 4.0]), np.array([0.0, 0.0, 2.0, 2.0])  # along x: squares of 2, along y: of 1
    assert centrography.ellipse(x, y, "yuill") == pytest.approx((2, 1, 90))
    assert centrography.ellipse(x, y, "arcgis") == pytest.approx((2 * 2**0.5, 2**0.5, 90))
    assert centrography.ellipse(x, y, "crimestat") == pytest.approx(((2 * 16 / 2) ** 0.5, (2 * 4 / 2) ** 0.5, 90))
    assert centrography.ellipse(x, y, "share", 1 - np.exp(-0.5))[0] == pytest.approx((16 / 3) ** 0.5)  # one sample standard deviation
    assert centrography.convex(x, y).tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]
    assert centrography.median(x, y) == pytest.approx((2, 1))
    assert centrography.median(np.array([0.0, 0.0, 0.0, 9.0]), np.array([0.0, 0.0, 0.0, 9.0])) == pytest.approx((0, 0), abs=1e-6)


def test_direction_spread_median_and_hull_are_found() -> None:
    x, y = long_and_narrow(800, 1)
    answer = centrography.centre(incidents(x, y), GRID, ASOF)
    assert value(answer, "ellipse_direction") == pytest.approx(30, abs=3)
    assert value(answer, "ellipse_holds") == pytest.approx(0.68, abs=0.04)
    assert value(answer, "ellipse_major") / value(answer, "ellipse_minor") == pytest.approx(3, abs=0.3)
    assert value(answer, "standard_distance") == pytest.approx(np.sqrt(x.var() + y.var()), rel=1e-5)
    assert value(answer, "hull_area") == pytest.approx(ConvexHull(np.column_stack([x, y])).volume / 1e6, rel=1e-5)
    least = minimize(lambda c: np.hypot(x - c[0], y - c[1]).sum(), [2500, 2000], tol=1e-10).x
    assert centrography.median(x, y) == pytest.approx(least, abs=0.05)
    assert [len(layer.ids) for layer in answer.layers] == [2, 2] and "30 degrees from north" in answer.headline.replace("29 d", "30 d").replace("31 d", "30 d")


def test_a_planted_move_is_found_and_chance_is_not_taken_for_one() -> None:
    rng = np.random.default_rng(13)
    x, y, days = rng.normal(2000, 500, 400), rng.normal(2000, 500, 400), rng.uniform(0.1, 363.9, 400)
    still = centrography.moved(incidents(x, y, days), GRID, ASOF)
    assert still.headline.startswith("The mean centre is not shown to have moved")
    answer = centrography.moved(incidents(x + 300 * (days < 91), y, days), GRID, ASOF)
    assert answer.headline.startswith("The mean centre moved") and answer.table["moved"][3] == pytest.approx(300, abs=120)
    assert answer.table["incidents"].sum() >= 398 and answer.layers[0].numbers == (1, 2, 3, 4)
    p = [centrography.moved(incidents(rng.normal(2000, 500, 40), rng.normal(2000, 500, 40), rng.uniform(0.1, 181.9, 40)), GRID, ASOF, periods=2, draws=99,
                            seed=k).basis.parameters["p"] for k in range(150)]
    assert kstest(np.array(p) - rng.random(150) / 100, "uniform").pvalue > 0.01


def test_the_nearest_neighbour_index_is_that_of_clark_and_evans() -> None:
    mean, error = centrography.expected(400, 4e6, 8000.0, 1, False)
    assert mean == pytest.approx(0.5 * 100) and error == pytest.approx(0.26136 / np.sqrt(400 / 1e4), rel=1e-4)
    assert centrography.expected(400, 4e6, 8000.0, 2, False)[0] == pytest.approx(75)  # Thompson: 0.75 / sqrt(density)
    mean, error = centrography.expected(400, 4e6, 8000.0, 1, True)
    assert mean == pytest.approx(50 + (0.0514 + 0.041 / 20) * 20) and error == pytest.approx(np.sqrt(0.0703 * 25 + 0.037 * 8000 * np.sqrt(4e6 / 400**5)))
    assert centrography.perimeter(GRID) == 18_000


def test_nearest_neighbour_p_values_are_uniform_in_an_even_city_also_with_its_edges() -> None:
    from scipy.spatial import cKDTree

    rng, p = np.random.default_rng(3), []
    mean, error = centrography.expected(100, 2e7, 18_000.0, 1, True)
    for _ in range(1000):
        points = rng.uniform(0, [5000, 4000], (100, 2))
        z = (cKDTree(points).query(points, k=2)[0][:, 1].mean() - mean) / error
        p.append(z)
    assert kstest(p, "norm").pvalue > 0.01


def test_clusters_lie_close_and_lattices_far() -> None:
    rng = np.random.default_rng(4)
    even = centrography.neighbours(incidents(rng.uniform(0, 5000, 300), rng.uniform(0, 4000, 300)), GRID, ASOF, order=3)
    assert "no closer and no farther" in even.headline and even.table["order"].to_list() == [1, 2, 3]
    assert "closer together" in centrography.neighbours(incidents(*long_and_narrow(300, 5)), GRID, ASOF).headline
    gx, gy = np.meshgrid(np.arange(125, 5000, 250.0), np.arange(125, 4000, 250.0))
    far = centrography.neighbours(incidents(gx.ravel(), gy.ravel()), GRID, ASOF)
    assert "farther apart" in far.headline and far.table["observed"][0] == pytest.approx(250)


def test_order_of_rows_and_place_of_the_city_change_nothing() -> None:
    x, y = long_and_narrow(200, 6)
    far = Plane.local(-33.9, 151.2)
    for ask in (centrography.centre, centrography.neighbours, centrography.moved):
        a = ask(incidents(x, y), GRID, ASOF).table
        assert a.equals(ask(incidents(x, y).sample(fraction=1.0, shuffle=True, seed=1), GRID, ASOF).table)
        b = ask(incidents(x, y, plane=far), Grid(far, 0.0, 0.0, 20, 16, 250.0), ASOF).table
        numbers = [c for c in a.columns if a.schema[c] == pl.Float64 and c not in ("lon", "lat")]
        assert all(u == pytest.approx(v, rel=1e-5, abs=1e-5) for u, v in zip(a.select(numbers).rows(), b.select(numbers).rows(), strict=True)
                   if None not in u)


def test_what_cannot_be_answered_is_said() -> None:
    frame = incidents(*long_and_narrow(60, 7))
    for ask in (centrography.centre, centrography.neighbours, centrography.moved):
        for bad, why in ((frame.head(1), "At least"), (frame.with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.61)), "same address"),
                         (frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), "has a position")):
            with pytest.raises(CannotTell, match=why):
                ask(bad, GRID, ASOF)
        with pytest.raises(CannotTell, match="choose a later asof"):
            ask(frame, GRID, "2020-01-01")
        with pytest.raises(CannotTell, match="No cell"):
            ask(frame, Grid(PLANE, 0.0, 0.0, 20, 16, 250.0, np.zeros(320, dtype=bool)), ASOF)
        with pytest.raises(BadInput, match="lat"):
            ask(frame.drop("lat"), GRID, ASOF)
    with pytest.raises(CannotTell, match="at least 5 are needed"):
        centrography.moved(incidents(*long_and_narrow(60, 7), np.linspace(1, 80, 60)), GRID, ASOF)
    with pytest.raises(BadInput, match="convention"):
        centrography.centre(frame, GRID, ASOF, convention="circle")
    with pytest.raises(BadInput, match="order"):
        centrography.neighbours(frame, GRID, ASOF, order=0)
    with pytest.raises(CannotTell, match="no 70-th neighbour"):
        centrography.neighbours(frame, GRID, ASOF, order=70)

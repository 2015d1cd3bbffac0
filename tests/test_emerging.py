"""Emerging hot spots: every category by its definition, the trend test against scipy, planted histories, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import kendalltau, kstest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.patterns import emerging

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 20, 20, 250.0)


def incidents(seed: int, hot: dict[tuple[int, int], list[int]], plane: Plane = PLANE) -> pl.DataFrame:
    """400 incidents a slice anywhere; and in the 3 x 3 cells about each (column, row) so many more in each slice, oldest first."""
    rng, x, y, age = np.random.default_rng(seed), [], [], []
    for k in range(12):
        for n, (cx, cy), wide in [(400, (2500.0, 2500.0), 2500.0), *((v[k], ((c + 0.5) * 250, (r + 0.5) * 250), 375.0) for (c, r), v in hot.items())]:
            x += (cx + rng.uniform(-wide, wide, n)).tolist()
            y += (cy + rng.uniform(-wide, wide, n)).tolist()
            age += (28 * (11 - k) + rng.uniform(0.01, 27.99, n)).tolist()
    lon, lat = plane.to_degrees(np.clip(x, 1, 4999), np.clip(y, 1, 4999))
    at = [ASOF - timedelta(seconds=round(a * 86400)) for a in age]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


CASES = [
    ("0000000001", 0, "new"), ("0000000111", 0, "consecutive"), ("0111111111", 1, "intensifying"), ("1111111111", -1, "diminishing"),
    ("1101111111", 0, "persistent"), ("0010010001", 0, "sporadic"), ("0010110011", 0, "sporadic"), ("00c0010011", 0, "oscillating"),
    ("1111111110", 0, "historical"), ("111111111c", 0, "historical"), ("0000000000", 1, ""), ("1111111100", 0, ""), ("cc11001100", 0, ""),
    ("000000c001", 0, "new"), ("1111111111", 0, "persistent"),
]


@pytest.mark.parametrize(("history", "direction", "kind"), CASES)
def test_each_category_is_decided_as_documented_hot_and_cold_alike(history: str, direction: int, kind: str) -> None:
    state = np.array([{"0": 0, "1": 1, "c": -1}[c] for c in history])[:, None]
    hot, cold = emerging.categories(state, np.array([direction])), emerging.categories(-state, np.array([-direction]))
    last = {"111111111c": "historical"}.get(history)
    if last:  # cold for the first time in the last slice, after a hot past: the newest state is told
        assert hot == ["new cold spot"] and cold == ["new hot spot"]
    else:
        assert hot == [f"{kind} hot spot" if kind else ""] and cold == [f"{kind} cold spot" if kind else ""]


def test_the_trend_is_kendalls() -> None:
    values = np.random.default_rng(1).integers(0, 6, (14, 30)).astype(float)
    z, p = emerging.mann_kendall(values)
    for k in range(30):
        tau = kendalltau(np.arange(14), values[:, k], variant="b")
        assert np.sign(tau.statistic) == np.sign(z[k]) or abs(z[k]) < 1e-9
    z, p = emerging.mann_kendall(np.arange(10.0)[:, None])  # S = 45, variance 125
    assert z[0] == pytest.approx(44 / np.sqrt(125)) and p[0] == pytest.approx(8.3e-5, rel=0.01)
    z, _ = emerging.mann_kendall(np.array([[1.0], [1.0], [2.0], [3.0]]))  # S = 5; variance (4*3*13 - 2*1*9) / 18
    assert z[0] == pytest.approx(4 / np.sqrt(138 / 18))


def test_trend_p_values_are_uniform_without_a_trend() -> None:
    p = emerging.mann_kendall(np.random.default_rng(2).normal(size=(60, 1000)))[1]
    assert kstest(p, "uniform").pvalue > 0.01


def test_planted_histories_are_named_and_an_even_city_has_none() -> None:
    rise = [0] * 11 + [90]
    stay, gone = [60] * 12, [60] * 11 + [0]
    grow = [30 + 10 * k for k in range(12)]
    answer = emerging.hot_spots(incidents(3, {(3, 3): rise, (15, 4): stay, (4, 15): gone, (15, 15): grow}), GRID, ASOF)
    by = {r["cell"]: r["category"] for r in answer.table.iter_rows(named=True)}
    assert by[3 * 20 + 3] == "new hot spot" and by[4 * 20 + 15] in ("persistent hot spot", "diminishing hot spot")
    assert by[15 * 20 + 4] == "historical hot spot" and by[15 * 20 + 15] == "intensifying hot spot"
    assert "new hot spot" in answer.headline and answer.layers[0].palette == "change"
    quiet = emerging.hot_spots(incidents(4, {}), GRID, ASOF)
    assert (quiet.table["category"] != "").sum() <= 4


def test_order_of_rows_and_place_of_the_city_change_nothing() -> None:
    frame = incidents(5, {(3, 3): [60] * 12})
    a = emerging.hot_spots(frame, GRID, ASOF).table
    assert a.equals(emerging.hot_spots(frame.sample(fraction=1.0, shuffle=True, seed=1), GRID, ASOF).table)
    far = Plane.local(-33.9, 151.2)
    b = emerging.hot_spots(incidents(5, {(3, 3): [60] * 12}, far), Grid(far, 0.0, 0.0, 20, 20, 250.0), ASOF).table
    assert b.select("cell", "category", "hot").equals(a.select("cell", "category", "hot"))


def test_what_cannot_be_answered_is_said() -> None:
    frame = incidents(6, {})
    cases: list[tuple[pl.DataFrame, Any, Any, str]] = [
        (frame.head(1), GRID, ASOF, "At least 30"), (frame, GRID, "2020-01-01", "choose a later asof"),
        (frame.with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.61)), GRID, ASOF, "same address"),
        (frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), GRID, ASOF, "has a position"),
        (frame.filter(pl.col("started_at") > ASOF - timedelta(days=60)), GRID, ASOF, "reach back"),
        (frame, Grid(PLANE, 0.0, 0.0, 20, 20, 250.0, np.zeros(400, dtype=bool)), ASOF, "No cell"),
        (frame, Grid(PLANE, 0.0, 0.0, 2, 2, 2500.0), ASOF, "at least 9"),
    ]
    for rows, grid, asof, why in cases:
        with pytest.raises(CannotTell, match=why):
            emerging.hot_spots(rows, grid, asof)
    with pytest.raises(BadInput, match="from 10 to 500"):
        emerging.hot_spots(frame, GRID, ASOF, slices=4)
    with pytest.raises(BadInput, match="started_at"):
        emerging.hot_spots(frame.drop("started_at"), GRID, ASOF)

"""The space-time permutation scan: every cylinder tried by hand, p-values that are uniform, a planted outbreak, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.patterns import _cylinders, scan

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 40, 40, 200.0)


def incidents(x: Any, y: Any, days_before: Any, *, plane: Plane = PLANE) -> pl.DataFrame:
    lon, lat = plane.to_degrees(x, y)
    at = [ASOF - timedelta(seconds=round(float(d) * 86400)) for d in days_before]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def city(seed: int, *, n: int = 400, planted: int = 0, begin: float = 40.0, plane: Plane = PLANE) -> pl.DataFrame:
    """Incidents about five busy places, more of them of late; planted ones within 150 m of (5000, 3000) in the 5 days from ``begin`` days before asof."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(1000, 7000, (5, 2))[rng.integers(0, 5, n)]
    xy = (middle + rng.normal(0, 700, (n, 2))).clip(1, 7999)
    days = np.minimum(rng.uniform(0.01, 179.9, n), rng.uniform(0.01, 300, n))
    more = np.array([5000.0, 3000.0]) + rng.uniform(-100, 100, (planted, 2))
    return incidents(*np.vstack([xy, more]).T, np.append(days, begin - rng.uniform(0.01, 4.99, planted)), plane=plane)


def direct(x: Any, y: Any, day: Any, days: int, radius: float, most: int, longest: int, least: int, alive: bool) -> tuple[float, int, int, int, int]:
    n, best = len(x), (0.0, 0, 0, 0, 0)
    on = np.bincount(day, minlength=days)
    for px, py in sorted(set(zip(x.tolist(), y.tolist(), strict=True))):
        square = (x - px) ** 2 + (y - py) ** 2
        for r in sorted(set(square[square <= radius**2].tolist())):
            inside = square <= r
            if inside.sum() > most:
                continue
            for s in range(days):
                for e in range(s, min(days, s + longest)):
                    c, m = int((inside & (day >= s) & (day <= e)).sum()), inside.sum() * on[s : e + 1].sum() / n
                    if c >= least and c > m and (e == days - 1 or not alive):
                        value = c * np.log(c / m) + ((n - c) * np.log((n - c) / (n - m)) if c < n else 0)
                        if value > best[0] + 1e-12:
                            best = (value, int(inside.sum()), s, e, c)
    return best


@pytest.mark.parametrize("alive", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_cylinder_is_that_of_trying_every_one(seed: int, alive: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y, day = rng.integers(0, 12, 60) * 100.0, rng.integers(0, 12, 60) * 100.0, rng.integers(0, 15, 60)
    best = _cylinders.best(_cylinders.circles(x, y, 400.0, 30), day, 15, 5, 2, alive)
    k = int(best.value.argmax())
    wanted = direct(x, y, day, 15, 400.0, 30, 5, 2, alive)
    assert best.value[k] == pytest.approx(wanted[0]) and wanted[0] > 0
    days = np.bincount(day, minlength=15)[best.first[k] : best.last[k] + 1].sum()
    m, c = best.circle[k] * days / 60, best.count[k]
    assert best.value[k] == pytest.approx(c * np.log(c / m) + (60 - c) * np.log((60 - c) / (60 - m)))


def test_p_values_are_uniform_when_places_and_days_do_not_know_of_each_other() -> None:
    rng, p = np.random.default_rng(5), []
    for k in range(1000):
        x, y, day = rng.normal(0, 900, 40), rng.normal(0, 900, 40), rng.integers(0, 20, 40)
        found = _cylinders.circles(x, y, 500.0, 20)
        value = _cylinders.best(found, day, 20, 5, 2, False).value.max()
        null = _cylinders.maxima(found, day, 20, 5, 2, False, 19, k, 1)
        p.append((1 + (null > value + 1e-9).sum() + rng.random() * (np.abs(null - value) <= 1e-9).sum() - rng.random()) / 20)
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_planted_outbreak_is_found_at_its_place_and_start_and_dies_with_its_time() -> None:
    answer = scan.clusters(city(6, planted=12), GRID, ASOF, window="180d", permutations=99)
    row = answer.table.row(0, named=True)
    x, y = PLANE.to_metres(row["lon"], row["lat"])
    assert row["claimed"] and row["p"] == 0.01 and np.hypot(x - 5000, y - 3000) < 300 and row["counted"] >= 10
    assert abs((row["first"] - (ASOF - timedelta(days=40))).days) <= 1 and row["days"] <= 6
    assert answer.headline.startswith("1 space-time cluster stands out") and len(answer.layers[0].polygons) == 1
    late = scan.clusters(city(6, planted=12), GRID, ASOF, window="180d", permutations=99, alive=True, longest="14d")
    assert not late.table["claimed"].any()
    now = scan.clusters(city(6, planted=12, begin=5.0), GRID, ASOF, window="180d", permutations=99, alive=True, longest="14d")
    assert now.table["claimed"][0] and now.table["recurrence_days"][0] == pytest.approx(100) and "once in 100 days" in now.headline
    smooth = scan.clusters(city(6, planted=12), GRID, ASOF, window="180d", permutations=99, gumbel=True)
    assert smooth.table["p"][0] < 0.01


def test_busy_places_and_busy_days_alone_are_no_clusters() -> None:
    claims = [scan.clusters(city(100 + s, n=150), GRID, ASOF, window="180d", permutations=39).table["claimed"].any() for s in range(16)]
    assert sum(claims) <= 4
    quiet = scan.clusters(city(101, n=250), GRID, ASOF, window="180d", permutations=99)
    assert quiet.headline.startswith("No space-time cluster stands out")


def test_clusters_share_no_incident() -> None:
    table = scan.clusters(city(7, planted=8), GRID, ASOF, window="180d", permutations=19).table
    x, y = PLANE.to_metres(table["lon"].to_numpy(), table["lat"].to_numpy())
    assert table["ratio"].is_sorted(descending=True) and len({(round(a), round(b)) for a, b in zip(x, y, strict=True)}) == len(table)


def test_order_of_rows_place_of_the_city_and_threads_change_nothing() -> None:
    a = scan.clusters(city(8, planted=8), GRID, ASOF, window="180d", permutations=99, threads=1).table
    assert a.equals(scan.clusters(city(8, planted=8).sample(fraction=1.0, shuffle=True, seed=2), GRID, ASOF, window="180d", permutations=99, threads=4).table)
    far = Plane.local(-33.9, 151.2)
    b = scan.clusters(city(8, planted=8, plane=far), Grid(far, 0.0, 0.0, 40, 40, 200.0), ASOF, window="180d", permutations=99).table
    assert b["counted"].equals(a["counted"]) and b["first"].equals(a["first"]) and b["ratio"].to_list() == pytest.approx(a["ratio"].to_list(), rel=1e-6)


def test_what_cannot_be_answered_is_said() -> None:
    frame = city(9)
    for bad, why in ((frame.head(1), "At least 20"), (frame.with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.61)), "same address"),
                     (frame.with_columns(lat=pl.lit(None, dtype=pl.Float64)), "has a position")):
        with pytest.raises(CannotTell, match=why):
            scan.clusters(bad, GRID, ASOF)
    with pytest.raises(CannotTell, match="choose a later asof"):
        scan.clusters(frame, GRID, "2020-01-01")
    with pytest.raises(CannotTell, match="twice the longest"):
        scan.clusters(frame, GRID, ASOF, window="20d")
    with pytest.raises(CannotTell, match="No cell"):
        scan.clusters(frame, Grid(PLANE, 0.0, 0.0, 40, 40, 200.0, np.zeros(1600, dtype=bool)), ASOF)
    with pytest.raises(BadInput, match="lon"):
        scan.clusters(frame.drop("lon"), GRID, ASOF)
    for options in ({"radius": 0.0}, {"longest": "6h"}, {"least": 1}, {"permutations": 9}, {"rate": 0.0}):
        with pytest.raises(BadInput, match="do not do|does not do"):
            scan.clusters(frame, GRID, ASOF, **options)

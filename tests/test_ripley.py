"""Ripley's K: a plain double loop and pointpats, edges, envelopes that hold what they say, planted clusters, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.patterns import _circles, ripley

ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, 0.0, 0.0, 20, 16, 250.0)  # 5,000 by 4,000 m


def incidents(x: Any, y: Any, *, plane: Plane = PLANE, seed: int = 0) -> pl.DataFrame:
    lon, lat = plane.to_degrees(x, y)
    minutes = np.random.default_rng(seed).permutation(300 * 1440)[: len(lon)] + 1
    at = [ASOF - timedelta(minutes=int(m)) for m in minutes]
    return pl.DataFrame({"started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


def even(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 5000, n), rng.uniform(0, 4000, n)


def pairs(n: int, seed: int, spread: float = 60.0) -> tuple[Any, Any]:
    """Points in twos: half anywhere, each with another near it."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(200, 4800, n // 2), rng.uniform(200, 3800, n // 2)
    return np.append(x, x + rng.normal(0, spread, n // 2)), np.append(y, y + rng.normal(0, spread, n // 2))


def direct(x: Any, y: Any, xs: Any, ys: Any, same: bool, weight: Any, step: float, bins: int) -> Any:
    out = np.zeros(bins)
    for i in range(len(x)):
        for j in range(len(xs)):
            d = math.hypot(x[i] - xs[j], y[i] - ys[j])
            if d <= step * bins and not (same and i == j):
                out[max(0, math.ceil(d / step) - 1)] += weight(x[i], y[i], xs[j], ys[j], d)
    return out


def round_the_circle(xa: float, ya: float, xb: float, yb: float, d: float) -> float:
    angle = (np.arange(20_000) + 0.5) * 2 * np.pi / 20_000
    px, py = xa + d * np.cos(angle), ya + d * np.sin(angle)
    return 1 / ((px >= 0) & (px <= 5000) & (py >= 0) & (py <= 4000)).mean()


WEIGHTS = {
    "none": lambda *_: 1.0, "isotropic": round_the_circle,
    "translation": lambda xa, ya, xb, yb, d: 2e7 / ((5000 - abs(xa - xb)) * (4000 - abs(ya - yb))),
}


@pytest.mark.parametrize("correction", _circles.CORRECTIONS)
def test_pairs_and_edge_weights_are_those_of_a_plain_double_loop(correction: str) -> None:
    region = _circles.Region.of(GRID, correction, 1500.0)
    (x, y), (xs, ys) = even(90, 1), even(40, 2)
    u = np.ones(90)
    found = _circles.summed((x, y, u), None, region, 150.0, 10)
    assert found == pytest.approx(direct(x, y, x, y, True, WEIGHTS[correction], 150.0, 10), rel=1e-3 if correction == "isotropic" else 1e-9)
    found = _circles.summed((x, y, u), (xs, ys, np.ones(40)), region, 150.0, 10)
    assert found == pytest.approx(direct(x, y, xs, ys, False, WEIGHTS[correction], 150.0, 10), rel=1e-3 if correction == "isotropic" else 1e-9)


def test_translation_in_any_area_is_exact() -> None:
    rectangle = Grid(PLANE, 0.0, 0.0, 20, 18, 250.0, np.arange(360) < 320)  # the same rectangle as an area within a larger grid
    (x, y), u = even(300, 3), np.ones(300)
    plain = _circles.summed((x, y, u), None, _circles.Region.of(GRID, "translation", 1000.0), 100.0, 10)
    masked = _circles.summed((x, y, u), None, _circles.Region.of(rectangle, "translation", 1000.0), 100.0, 10)
    assert masked == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("correction", ["translation", "isotropic"])
def test_k_of_even_scattering_is_the_area_of_the_circle_also_near_edges(correction: str) -> None:
    times = [ripley.clustering(incidents(*even(150, s)), GRID, ASOF, correction=correction, radius=1500.0, steps=3, simulations=0).table["times"].to_numpy()
             for s in range(60)]
    assert np.mean(times, axis=0) == pytest.approx([1, 1, 1], abs=0.03)


def test_pairs_counted_are_those_of_pointpats() -> None:
    distance_statistics = pytest.importorskip("pointpats.distance_statistics")
    x, y = pairs(200, 4)
    support, peer = distance_statistics.k(np.column_stack([x, y]), support=np.linspace(0, 1000, 11))
    mine = _circles.summed((x, y, np.ones(200)), None, _circles.Region.of(GRID, "none", 1000.0), 100.0, 10)
    shared = peer[1:] / np.cumsum(mine)
    assert shared == pytest.approx(np.full(10, shared[0]), rel=1e-9)  # they differ by one constant, how pairs are scaled


def test_p_values_are_uniform_under_even_scattering() -> None:
    region, rng, p = _circles.Region.of(GRID, "translation", 800.0), np.random.default_rng(5), []
    for _ in range(1000):
        curves = [np.cumsum(_circles.summed((rng.uniform(0, 5000, 40), rng.uniform(0, 4000, 40), np.ones(40)), None, region, 80.0, 10)) for _ in range(20)]
        p.append(_circles.envelope(np.array(curves), 0.95)[2])
    assert kstest(np.array(p) - rng.random(1000) / 20, "uniform").pvalue > 0.01


def test_the_envelope_holds_a_curve_just_when_p_says_so() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        curves = np.cumsum(rng.normal(0, 1, (100, 8)), axis=1)
        low, high, p = _circles.envelope(curves, 0.9)
        assert bool(((curves[0] >= low) & (curves[0] <= high)).all()) == (p > 0.1)


def test_planted_pairs_are_found_at_their_distance_and_none_in_an_even_city() -> None:
    answer = ripley.clustering(incidents(*pairs(300, 7)), GRID, ASOF, simulations=99, seed=1)
    assert answer.headline.startswith("Incidents lie closer together than chance at 50 to") and "p = 0.010" in answer.headline
    assert answer.table["outside"][:3].to_list() == ["more"] * 3
    quiet = ripley.clustering(incidents(*even(300, 8)), GRID, ASOF, simulations=99, seed=1)
    assert quiet.headline.startswith("No distance up to 1,000 m stands out") and any("background=" in note for note in quiet.basis.notes)


def test_an_offence_dealt_out_evenly_among_clustered_incidents_does_not_stand_out() -> None:
    x, y = pairs(600, 9)
    pick = np.random.default_rng(10).permutation(600)
    few, rest = incidents(x[pick[:150]], y[pick[:150]]), incidents(x[pick[150:]], y[pick[150:]])
    assert "stands out" in ripley.clustering(few, GRID, ASOF, background=rest, simulations=99).headline
    assert "stands out" in ripley.cross(few, rest, GRID, ASOF, simulations=99).headline
    near = incidents(*(v[:150] + 5.0 for v in (x, y)), seed=2)
    drawn = ripley.cross(incidents(x[:150], y[:150]), near, GRID, ASOF, null="shift", simulations=99)
    assert "lie closer together than chance at 50" in drawn.headline


def test_order_of_rows_place_of_the_city_and_threads_change_nothing() -> None:
    x, y = pairs(200, 12)
    a = ripley.clustering(incidents(x, y), GRID, ASOF, simulations=39, threads=1)
    b = ripley.clustering(incidents(x, y).sample(fraction=1.0, shuffle=True, seed=1), GRID, ASOF, simulations=39, threads=3)
    assert a.table.equals(b.table)
    far = Plane.local(-33.9, 151.2)
    c = ripley.clustering(incidents(x, y, plane=far), Grid(far, 0.0, 0.0, 20, 16, 250.0), ASOF, simulations=39)
    assert c.table["k"].to_list() == pytest.approx(a.table["k"].to_list(), rel=1e-6) and c.table["outside"].equals(a.table["outside"])


def test_what_cannot_be_answered_is_said() -> None:
    frame, rest = incidents(*even(60, 13)), incidents(*even(200, 14))
    for bad, why in ((frame.head(1), "At least 20"), (frame.with_columns(lon=pl.lit(-90.88), lat=pl.lit(41.61)), "same address"),
                     (frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), "has a position")):
        with pytest.raises(CannotTell, match=why):
            ripley.clustering(bad, GRID, ASOF)
        with pytest.raises(CannotTell, match=why):
            ripley.cross(rest, bad, GRID, ASOF)
    with pytest.raises(CannotTell, match="choose a later asof"):
        ripley.clustering(frame, GRID, "2020-01-01")
    with pytest.raises(CannotTell, match="No cell"):
        ripley.clustering(frame, Grid(PLANE, 0.0, 0.0, 20, 16, 250.0, np.zeros(320, dtype=bool)), ASOF)
    with pytest.raises(CannotTell, match="other incidents are too few"):
        ripley.clustering(rest, GRID, ASOF, background=frame)
    with pytest.raises(BadInput, match="lat"):
        ripley.clustering(frame.drop("lat"), GRID, ASOF)
    for options in ({"radius": 3000.0}, {"correction": "torus"}, {"steps": 0}, {"simulations": 3}):
        with pytest.raises(BadInput):
            ripley.clustering(frame, GRID, ASOF, **options)
    holed = Grid(PLANE, 0.0, 0.0, 20, 16, 250.0, np.arange(320) > 3)
    with pytest.raises(BadInput, match="rectang"):
        ripley.cross(frame, rest, holed, ASOF, null="shift")
    with pytest.raises(BadInput, match="rectang"):
        ripley.clustering(frame, holed, ASOF, correction="isotropic")

"""Turned planes, hexagons and pieces of street: centres found again, points counted once, forecasts summed without loss, drawn where they lie."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_network import PLANE, random_lines, streets
from workbench import layers
from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Hexagons, Plane, Polygon, from_squares
from workbench.geo.network import StreetNetwork
from workbench.geo.segments import Segments
from workbench.models.hotspots import kde
from workbench.results import recording
from workbench.session import wire
from workbench.views import figures, leaflet, paper, scene
from workbench.views.scales import scale_of

turns = st.floats(-360, 360, allow_nan=False).map(lambda v: round(v, 3))


def frame(x: Any, y: Any, plane: Plane = PLANE) -> pl.DataFrame:
    lon, lat = plane.to_degrees(x, y)
    return pl.DataFrame({"lon": lon, "lat": lat})


# --- a turned plane ----------------------------------------------------------------------------------------------------------------


@given(turns, st.lists(st.tuples(st.floats(-20_000, 20_000), st.floats(-20_000, 20_000)), min_size=2, max_size=10))
@settings(max_examples=60, deadline=None)
def test_turning_a_plane_keeps_lengths_and_its_text_makes_it_again(degrees: float, points: list[tuple[float, float]]) -> None:
    x, y = np.array(points).T
    turned = PLANE.turn(degrees)
    assert Plane(turned.crs) == turned and turned.turned == pytest.approx(degrees) and turned.turn(0) == PLANE
    tx, ty = turned.to_metres(*PLANE.to_degrees(x, y))
    assert np.allclose(np.hypot(np.diff(tx), np.diff(ty)), np.hypot(np.diff(x), np.diff(y)), atol=1e-3)
    back = PLANE.to_metres(*turned.to_degrees(tx, ty))
    assert np.allclose(back[0], x, atol=1e-3) and np.allclose(back[1], y, atol=1e-3)


def test_the_x_axis_points_so_many_degrees_north_of_east() -> None:
    x, y = PLANE.to_metres(*PLANE.turn(30).to_degrees(1000.0, 0.0))
    assert (x, y) == (pytest.approx(1000 * math.cos(math.pi / 6)), pytest.approx(500))
    feet = Plane("EPSG:3435@-12.5")
    assert feet.turned == -12.5 and np.allclose(feet.to_metres(*feet.to_degrees([350_000.0], [10_000.0])), [[350_000.0], [10_000.0]])


@pytest.mark.parametrize("crs", ["local:41.6,-90.9@x", "local:41.6@30", "EPSG:99999999@30", "nowhere@3"])
def test_a_plane_that_cannot_be_read_says_how_one_is_written(crs: str) -> None:
    with pytest.raises(BadInput, match="@30"):
        Plane(crs).to_metres([0.0], [0.0])


def test_a_turn_that_is_no_number_is_refused() -> None:
    for value in (math.nan, math.inf, True, "30"):
        with pytest.raises(BadInput, match="cannot be turned"):
            PLANE.turn(value)


def test_a_grid_on_a_turned_plane_is_written_down_and_sent_like_any_other() -> None:
    grid = Grid(PLANE.turn(30), -500.0, 0.0, 7, 5, 100.0)
    again = recording.read(recording.written(grid), lambda said: pl.DataFrame())
    assert again.plane == grid.plane and np.array_equal(again.corners([3]), grid.corners([3]))
    sent = wire._decode({"$grid": [grid.plane.crs, grid.x0, grid.y0, grid.nx, grid.ny, grid.cell, {"$array": wire._array(grid.inside)}]}, 0)
    assert sent.plane == grid.plane


@given(turns)
@settings(max_examples=15, deadline=None)
def test_density_on_a_turned_grid_is_that_of_a_turned_city(degrees: float) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(3000, 700, (2, 200)).clip(1, 5999)
    straight, turned = Grid(PLANE, 0.0, 0.0, 24, 24, 250.0), Grid(PLANE.turn(degrees), 0.0, 0.0, 24, 24, 250.0)
    at = turned.plane.to_metres(*turned.plane.to_degrees(x, y))
    assert np.allclose(kde.spread(*at, turned, 300.0), kde.spread(x, y, straight, 300.0), atol=1e-6)


def test_a_turned_grid_covers_what_it_is_laid_around_and_over() -> None:
    rng = np.random.default_rng(0)
    points = frame(rng.normal(0, 2000, 300), rng.normal(0, 500, 300))
    for degrees in (0.0, 17.0, 45.0, 90.0, -60.0):
        grid = Grid.around(points, cell=200, turned=degrees)
        assert grid.plane.turned == degrees and int(grid.count(points).sum()) == 300
    area = Polygon.box(-90.93, 41.58, -90.87, 41.62)
    upright, turned = Grid.over(area, cell=50), Grid.over(area, cell=50, turned=30)
    assert turned.area_km2 == pytest.approx(upright.area_km2, rel=0.02) and turned.area_m2.sum() == pytest.approx(turned.area_km2 * 1e6)


def test_every_view_draws_a_turned_grid_where_it_lies() -> None:
    grid = Grid(PLANE.turn(30), 0.0, 0.0, 4, 3, 500.0)
    values = np.arange(1.0, 13.0)
    cells = layers.tiles("c", grid, values)
    assert isinstance(cells, layers.Cells) and len(cells.cells) == 12
    corners = grid.corners([0])[0]
    x, y = PLANE.to_metres(corners[:, 0], corners[:, 1])
    assert np.allclose(x, [0, 500 * math.cos(math.pi / 6), 500 * math.cos(math.pi / 6) - 250, -250], atol=0.01)
    assert len(re.findall("<path", paper.svg((cells,)))) >= 4 and leaflet.draw((cells,)) is not None
    head, body = scene.read(scene.scene((cells,)))
    _, offset, size = head["layers"][0]["lattice"]
    lattice = np.frombuffer(body, dtype=np.float64, count=size, offset=offset).reshape(-1, 2)
    assert np.allclose(lattice[-1], grid.corners([11])[0][2])
    assert all(np.isclose(np.hypot(*(PLANE.to_metres(*p[1])[k] - PLANE.to_metres(*p[0])[k] for k in (0, 1))) % 500, (0, 500), atol=0.1).any()
               for p in figures.outline(grid, (0, 1, 5)))


def test_a_turned_grid_of_very_many_cells_becomes_an_upright_image_of_the_same_cells() -> None:
    import base64
    import struct
    import zlib

    grid = Grid(PLANE.turn(30), 0.0, 0.0, 40, 30, 100.0)
    values = np.where(np.arange(1200) % 40 < 20, 1.0, 5.0)  # two halves
    layer = layers.tiles("c", grid, values)
    scale = scale_of(values)
    uri, (west, south, east, north) = figures.picture(layer, scale)
    raw = base64.b64decode(uri.split(",")[1])
    wide, tall = struct.unpack(">II", raw[16:24])
    data = b"".join(raw[m.start() + 4 : m.start() + 4 + struct.unpack(">I", raw[m.start() - 4 : m.start()])[0]] for m in re.finditer(b"IDAT", raw))
    pixels = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(tall, wide * 4 + 1)[:, 1:].reshape(tall, wide, 4)
    lon, lat = grid.plane.to_degrees(*np.array([[500.0, 3500.0], [1500.0, 1500.0]]))
    seen = [tuple(pixels[int((north - b) / (north - south) * tall), int((a - west) / (east - west) * wide)]) for a, b in zip(lon, lat, strict=True)]
    assert seen[0] != seen[1] and seen[0][3] and seen[1][3] and not pixels[0, 0, 3] and not pixels[-1, -1, 3]
    assert (pixels[..., 3] > 0).mean() == pytest.approx(1200 * 1e4 / ((4000 * .866 + 1500) * (2000 + 3000 * .866)), rel=0.03)


# --- hexagons ----------------------------------------------------------------------------------------------------------------------


@given(st.booleans(), st.floats(20, 400), turns, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_point_lies_in_the_hexagon_whose_middle_is_nearest(flat: bool, side: float, degrees: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = frame(*rng.uniform(-2000, 2000, (2, 40)))
    tiling = Hexagons.around(points, side=side, flat=flat, turned=degrees)
    at = tiling.locate(points)
    assert int(tiling.count(points).sum()) == 40 and bool((at >= 0).all())
    cx, cy = tiling.centres_metres()
    assert np.array_equal(tiling.index(cx, cy), np.arange(len(tiling)))
    x, y = tiling.metres(points)
    far = np.hypot(x[:, None] - cx, y[:, None] - cy)
    assert np.allclose(far[np.arange(40), at], far.min(axis=1), atol=1e-6) and far.min(axis=1).max() <= side + 1e-6


@pytest.mark.parametrize("flat", [False, True])
def test_hexagons_have_the_area_they_say_and_leave_no_gap(flat: bool) -> None:
    tiling = Hexagons(PLANE, 0.0, 0.0, 9, 8, 100.0, flat)
    corners = tiling.corners(range(len(tiling)))
    x, y = PLANE.to_metres(corners[..., 0], corners[..., 1])
    shoelace = 0.5 * np.abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(axis=1))
    assert np.allclose(shoelace, tiling.hexagon_m2, rtol=1e-6) and tiling.area_m2.sum() == pytest.approx(shoelace.sum())
    grid = Grid(PLANE, 300.0, 300.0, 4, 4, 100.0)
    assert (Hexagons.on(grid, area=1e4, flat=flat).hexagon_m2) == pytest.approx(1e4)
    inner = np.random.default_rng(0).uniform(400, 700, (2, 5000))
    assert bool((tiling.index(*inner) >= 0).all())


def test_hexagons_over_an_area_leave_out_those_whose_middle_lies_outside() -> None:
    area = Polygon((np.array([[-90.93, 41.58], [-90.87, 41.58], [-90.9, 41.62], [-90.93, 41.58]]),))
    tiling = Hexagons.over(area, area=10_000.0, turned=20)
    assert tiling.area_km2 == pytest.approx(Grid.over(area, cell=20).area_km2, rel=0.02)
    assert tiling.index(*tiling.centres_metres())[~tiling.inside].max() == -1 and tiling.n_inside == int(tiling.inside.sum())


def test_what_is_no_tiling_is_refused_with_a_sentence() -> None:
    points = frame(np.array([0.0, 100.0]), np.array([0.0, 100.0]))
    for wrong in ({"side": 0.0}, {"area": -1.0}, {"side": math.nan}, {"side": True}):
        with pytest.raises(BadInput, match="no size of a hexagon"):
            Hexagons.around(points, **wrong)
    with pytest.raises(BadInput, match="give one of them"):
        Hexagons.around(points, side=3.0, area=5.0)
    with pytest.raises(BadInput, match="hexagons are not possible"):
        Hexagons.around(points, side=0.01)
    with pytest.raises(CannotTell, match="no area to lay hexagons over"):
        Hexagons.around(pl.DataFrame({"lon": [None], "lat": [None]}, schema={"lon": pl.Float64, "lat": pl.Float64}))
    with pytest.raises(BadInput, match="longest=0"):
        Segments(StreetNetwork.of(streets([[(0, 0), (9, 0)]])), 0)


# --- pieces of street --------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.floats(5, 300))
@settings(max_examples=25, deadline=None)
def test_pieces_of_street_are_short_enough_and_add_up_to_the_streets(seed: int, longest: float) -> None:
    network = StreetNetwork.of(streets(random_lines(seed)), plane=PLANE)
    tiling = Segments(network, longest, width=10.0)
    assert tiling.length.max() <= longest + 1e-6 and np.allclose(np.add.reduceat(tiling.length, tiling.first[:-1]), network.length)
    assert tiling.area_m2.sum() == pytest.approx(10 * network.length.sum())
    x, y = tiling.centres_metres()
    found = tiling.index(x, y)
    off = found != np.arange(len(tiling))
    fx, fy = (v[np.maximum(found, 0)] for v in (x, y))
    assert bool((found >= 0).all()) and bool((np.hypot(fx - x, fy - y)[off] <= longest + 1e-6).all())  # another only where streets cross or lie on each other
    pick = np.random.default_rng(seed).integers(0, len(tiling), 5)
    for path, t in zip(tiling.paths(pick), pick, strict=True):
        px, py = PLANE.to_metres(path[:, 0], path[:, 1])
        assert np.hypot(np.diff(px), np.diff(py)).sum() == pytest.approx(tiling.length[t], rel=1e-6)


def test_a_point_far_from_every_street_lies_on_no_piece() -> None:
    tiling = Segments(StreetNetwork.of(streets([[(0, 0), (100, 0)]]), plane=PLANE), 20.0, limit=50.0)
    points = frame(np.array([10.0, 95.0, 50.0]), np.array([1.0, -49.0, 51.0]))
    assert tiling.locate(points).tolist() == [0, 4, -1] and tiling.count(points).tolist() == [1, 0, 0, 0, 1]
    assert Segments(tiling.network, 20.0, keep=np.array([False, True, True, True, True])).locate(points).tolist() == [-1, 4, 2]


# --- a square forecast on another tiling -------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), turns, st.booleans(), st.floats(60, 500))
@settings(max_examples=25, deadline=None)
def test_a_forecast_on_squares_is_summed_onto_any_tiling_without_loss(seed: int, degrees: float, flat: bool, side: float) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid(PLANE.turn(degrees), -200.0, -100.0, 12, 9, 120.0)
    expected = np.where(rng.random(len(grid)) < 0.3, 0.0, rng.gamma(0.5, 2.0, len(grid)))
    network = StreetNetwork.of(streets(random_lines(seed)), plane=PLANE)
    for tiling in (Hexagons.on(grid, side=side, flat=flat), Segments(network, side), Hexagons.around(frame(*rng.uniform(0, 500, (2, 9))), side=side), grid):
        out = from_squares(tiling, grid, expected)
        assert out.shape == (len(tiling),) and abs(out.sum() - expected.sum()) <= 1e-9 * max(1.0, expected.sum())
        assert bool((out >= 0).all()) and not out[~tiling.inside].any()
    assert np.allclose(from_squares(grid, grid, expected), expected)


def test_an_even_forecast_stays_even_on_hexagons_and_goes_by_length_on_streets() -> None:
    grid = Grid(PLANE, 0.0, 0.0, 30, 30, 100.0)
    tiling = Hexagons.on(grid, area=40_000.0)
    out = from_squares(tiling, grid, np.full(len(grid), 2.0), fine=24)
    x, y = tiling.centres_metres()
    deep = (x > 300) & (x < 2700) & (y > 300) & (y < 2700)
    assert np.allclose(out[deep], 8.0, rtol=0.02)
    network = StreetNetwork.of(streets([[(50, 50), (50, 90)], [(60, 20), (80, 20)], [(1000, 1000), (1050, 1000)]]), plane=PLANE)
    value = np.zeros(len(grid))
    value[0] = 9.0
    assert np.allclose(from_squares(Segments(network), grid, value), [6.0, 3.0, 0.0], rtol=1e-5)
    value[:] = 0.0
    value[899] = 1.0  # no street in it: to the nearest
    assert np.allclose(from_squares(Segments(network), grid, value), [0.0, 0.0, 1.0])
    with pytest.raises(BadInput, match="expected has shape"):
        from_squares(tiling, grid, np.ones(3))


def test_tiles_are_drawn_edge_to_edge_in_every_view() -> None:
    grid = Grid(PLANE, 0.0, 0.0, 6, 6, 300.0)
    network = StreetNetwork.of(streets(random_lines(0)), plane=PLANE)
    for tiling, role in ((Hexagons.on(grid), "tile"), (Segments(network, 100.0), "ribbon")):
        layer = layers.tiles("t", tiling, np.arange(len(tiling)) % 7, unit="incidents")
        assert isinstance(layer, layers.Areas) and layer.role == role and "0" not in layer.ids and len(layer.ids) == len(layer.polygons)
        drawing = paper.svg((layer,))
        assert drawing.count("stroke-opacity") >= len(layer.polygons) * 0.9 and "incidents" in drawing
        assert leaflet.draw((layer,)) is not None and len(scene.scene((layer,))) > 1000
    with pytest.raises(BadInput, match="give one each"):
        layers.tiles("t", grid, np.ones(3))

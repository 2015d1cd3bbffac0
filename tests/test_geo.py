"""Degrees and metres, polygons and the grid."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane, Polygon, positions

WGS84 = Geod(ellps="WGS84")
places = st.tuples(st.floats(-60, 60), st.floats(-179, 179))


def frame(lon: list[float | None], lat: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({"lon": lon, "lat": lat}, schema={"lon": pl.Float64, "lat": pl.Float64})


@given(places, st.floats(0, 30_000), st.floats(0, 360))
@settings(max_examples=200, deadline=None)
def test_within_30_km_the_local_plane_agrees_with_the_ellipsoid(place: tuple[float, float], distance: float, bearing: float) -> None:
    lat, lon = place
    to_lon, to_lat, _ = WGS84.fwd(lon, lat, bearing, distance)
    if abs(to_lon - lon) > 180:
        return  # over the date line: no city lies there
    x, y = Plane.local(lat, lon).to_metres(to_lon, to_lat)
    widening = math.tan(math.radians(abs(lat))) * distance / 6.37e6  # meridians converge: the stated error of the projection, growing polewards
    assert math.hypot(x, y) == pytest.approx(distance, rel=0.0003 + widening, abs=1.0)


def test_between_two_points_of_one_city_lengths_are_right_to_three_in_a_thousand() -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-87.9, -87.5, 400), rng.uniform(41.64, 42.03, 400)
    x, y = Plane.local(41.84, -87.68).to_metres(lon, lat)
    flat = np.hypot(np.diff(x), np.diff(y))
    _, _, true = WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    assert np.abs(flat / true - 1).max() < 0.003


@given(places, st.lists(st.tuples(st.floats(-40_000, 40_000), st.floats(-40_000, 40_000)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_metres_to_degrees_and_back_changes_nothing(place: tuple[float, float], points: list[tuple[float, float]]) -> None:
    plane = Plane.local(*place)
    x, y = np.array(points).T
    back_x, back_y = plane.to_metres(*plane.to_degrees(x, y))
    assert np.allclose(back_x, x, atol=1e-4) and np.allclose(back_y, y, atol=1e-4)


def test_a_state_plane_in_feet_still_gives_metres() -> None:
    feet, metres = Plane("EPSG:3435"), Plane("EPSG:26971")  # Illinois East, US feet and metres
    a, b = (-87.62, 41.88), (-87.60, 41.88)
    for plane in (feet, metres):
        x, y = plane.to_metres([a[0], b[0]], [a[1], b[1]])
        assert math.hypot(x[1] - x[0], y[1] - y[0]) == pytest.approx(WGS84.inv(*a, *b)[2], rel=1e-4)
        lon, lat = plane.to_degrees(x, y)
        assert lon == pytest.approx([a[0], b[0]], abs=1e-7) and lat == pytest.approx([a[1], b[1]], abs=1e-7)


def test_a_missing_position_stays_missing_on_both_kinds_of_plane() -> None:
    for plane in (Plane.local(41.9, -87.6), Plane("EPSG:26971")):
        x, y = plane.to_metres([-87.6, math.nan], [41.9, math.nan])
        assert np.isfinite([x[0], y[0]]).all() and np.isnan([x[1], y[1]]).all()


@pytest.mark.parametrize(("crs", "says"), [
    ("local:here", "is not readable; write 'local:41.88,-87.63'"),
    ("EPSG:4326", "has no metres; use a state plane or UTM zone"),
    ("EPSG:99999999", "is not known; write e.g. 'EPSG:26971'"),
])
def test_a_crs_that_cannot_serve_is_refused_with_one_that_can(crs: str, says: str) -> None:
    with pytest.raises(BadInput, match="CRS") as e:
        Plane(crs).to_metres([0.0], [0.0])
    assert says in str(e.value) and crs in str(e.value)


def test_a_frame_without_positions_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="no column 'lat'.*It has: lon, beat"):
        positions(pl.DataFrame({"lon": [1.0], "beat": ["a"]}))


def test_a_hole_in_a_polygon_is_outside_and_a_second_part_is_inside() -> None:
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    island = [[20, 0], [21, 0], [21, 1], [20, 1], [20, 0]]
    area = Polygon.from_geojson({"type": "MultiPolygon", "coordinates": [[square, hole], [island]]}, "two parts")
    assert area.contains([1, 5, 20.5, 15, math.nan], [1, 5, 0.5, 0.5, 1]).tolist() == [True, False, True, False, False]
    assert area.bounds == (0, 0, 21, 10)


@given(st.floats(-170, 170), st.floats(-60, 60), st.floats(0.01, 5), st.floats(0.01, 5), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_box_contains_just_what_lies_between_its_sides(west: float, south: float, width: float, height: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lon, lat = west + rng.uniform(-1, 2, 200) * width, south + rng.uniform(-1, 2, 200) * height
    between = (lon > west) & (lon < west + width) & (lat > south) & (lat < south + height)
    assert (Polygon.box(west, south, west + width, south + height).contains(lon, lat) == between).all()


def test_a_polygon_survives_geojson_and_a_line_is_no_area() -> None:
    area = Polygon.box(-90.9, 41.6, -90.8, 41.7)
    assert Polygon.from_geojson(area.to_geojson()).bounds == area.bounds
    with pytest.raises(BadInput, match="'LineString' is not an area; a Polygon or MultiPolygon is needed"):
        Polygon.from_geojson({"type": "LineString", "coordinates": [[0, 0], [1, 1]]})


def test_every_point_lies_in_the_cell_whose_corners_surround_it() -> None:
    rng = np.random.default_rng(3)
    points = frame(list(rng.normal(-90.9, 0.03, 500)), list(rng.normal(41.6, 0.03, 500)))
    grid = Grid.around(points, cell=250)
    at = grid.locate(points)
    assert (at >= 0).all()
    corners = grid.corners(at)
    lon, lat = positions(points)
    assert ((lon >= corners[:, 0, 0] - 1e-9) & (lon <= corners[:, 2, 0] + 1e-9) & (lat >= corners[:, 0, 1] - 1e-9) & (lat <= corners[:, 2, 1] + 1e-9)).all()


def test_counting_loses_no_row_and_does_not_mind_their_order() -> None:
    rng = np.random.default_rng(4)
    points = frame([*rng.normal(-90.9, 0.03, 300), None], [*rng.normal(41.6, 0.03, 300), None])
    grid = Grid.around(points, cell=400)
    count = grid.count(points)
    assert count.sum() == 300 and len(count) == len(grid)
    assert (grid.count(points.sample(fraction=1.0, shuffle=True, seed=1)) == count).all()


def test_a_grid_over_an_area_counts_only_what_lies_inside() -> None:
    area = Polygon((np.array([[-90.90, 41.60], [-90.80, 41.60], [-90.80, 41.70], [-90.90, 41.60]]),), "half a box")
    grid = Grid.over(area, cell=150)
    share = grid.n_inside / len(grid)
    assert 0.4 < share < 0.6
    x, y = Plane.local(41.65, -90.85).to_metres(area.rings[0][:, 0], area.rings[0][:, 1])
    true = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2e6
    assert grid.area_km2 == pytest.approx(true, rel=0.02)
    assert grid.locate(frame([-90.89, -90.81], [41.69, 41.61])).tolist()[0] == -1
    lon, lat = grid.centres()
    assert (area.contains(lon, lat) == grid.inside).all()


def test_a_cell_is_its_stated_size_in_metres() -> None:
    grid = Grid.over(Polygon.box(-90.95, 41.55, -90.85, 41.65), cell=250)
    corners = grid.corners([0, grid.nx * (grid.ny // 2) + grid.nx // 2, len(grid) - 1])
    for south_west, south_east, north_east, _ in corners:
        assert WGS84.inv(*south_west, *south_east)[2] == pytest.approx(250, rel=0.003)
        assert WGS84.inv(*south_east, *north_east)[2] == pytest.approx(250, rel=0.003)


@pytest.mark.parametrize(("cell", "says"), [
    (0, "A cell of 0 m is not possible"), (-5, "A cell of -5 m"), (math.nan, "A cell of nan m"), (0.5, "choose a larger cell than 0.5 m"),
])
def test_a_grid_that_cannot_be_is_refused_with_what_would_do(cell: float, says: str) -> None:
    points = frame([-90.9, -90.8], [41.6, 41.7])
    with pytest.raises(BadInput) as e:
        Grid.around(points, cell=cell)
    assert says in str(e.value)


def test_rows_without_any_position_give_no_grid_but_a_reason() -> None:
    with pytest.raises(CannotTell, match="None of the 2 rows has a position"):
        Grid.around(frame([None, None], [None, None]))

"""Which area a point is in: exact against an oracle in fractions, one area and only one on shared borders, and the map of the row's own day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, NotFound
from workbench.geo import Areas, Polygon, boundaries, locate, locate_all

Points = np.ndarray[Any, np.dtype[np.float64]]


def ring(*corners: tuple[float, float]) -> Polygon:
    return Polygon((np.array([*corners, corners[0]], dtype=float),))


def holds(polygon: Polygon, x: Fraction, y: Fraction) -> bool:
    """Even-odd, half open, without any rounding."""
    odd = False
    for line in polygon.rings:
        for one, other in zip(line[:-1], line[1:], strict=True):
            a, b, c, d = (Fraction(float(v)) for v in (*one, *other))
            if (b > y) != (d > y) and x < a + (y - b) / (d - b) * (c - a):
                odd = not odd
    return odd


def oracle(polygons: list[Polygon], points: Points) -> Iterator[list[int]]:
    for x, y in points:
        yield [k for k, p in enumerate(polygons) if holds(p, Fraction(float(x)), Fraction(float(y)))]


def telling(polygons: list[Polygon], rng: np.random.Generator) -> Points:
    """Corners, middles of edges, points level with corners, and points anywhere."""
    corners = np.vstack([r for p in polygons for r in p.rings])
    middles = np.vstack([(r[1:] + r[:-1]) / 2 for p in polygons for r in p.rings])
    room = np.maximum(np.ptp(corners, axis=0), 1e-12) / 8
    low, high = corners.min(axis=0) - room, corners.max(axis=0) + room
    level = np.column_stack([rng.uniform(low[0], high[0], 20), rng.choice(corners[:, 1], 20)])
    above = np.column_stack([rng.choice(corners[:, 0], 20), rng.uniform(low[1], high[1], 20)])
    return np.vstack([corners, middles, level, above, rng.uniform(low, high, (40, 2))])


def agree(polygons: list[Polygon], points: Points, side: int) -> None:
    wanted = list(oracle(polygons, points))
    assert Areas(polygons, side=side).locate(*points.T).tolist() == [w[0] if w else -1 for w in wanted]
    pairs = [(n, k) for n, w in enumerate(wanted) for k in w]
    assert list(zip(*(a.tolist() for a in Areas(polygons, side=side).locate_all(*points.T)), strict=True)) == pairs


@given(st.integers(0, 2**32), st.sampled_from([1.0, 0.1, 1e-3, 1 / 3, 1e-13]), st.sampled_from([0.0, -87.6]), st.sampled_from([8, 64, 300]))
@settings(max_examples=40, deadline=None)
def test_any_polygons_corners_and_edges_are_answered_as_exact_arithmetic_answers_them(seed: int, scale: float, shift: float, side: int) -> None:
    """Overlapping, self-crossing, with corners on one another's edges; also some that are hardly larger than numbers can be told apart."""
    rng = np.random.default_rng(seed)
    polygons = [ring(*map(tuple, shift + rng.integers(0, 9, (int(rng.integers(3, 9)), 2)) * scale)) for _ in range(int(rng.integers(1, 7)))]
    agree(polygons, telling(polygons, rng), side)


@given(st.lists(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=6), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_corners_of_any_floats_do_too(shapes: list[list[tuple[float, float]]]) -> None:
    polygons = [ring(*corners) for corners in shapes]
    agree(polygons, telling(polygons, np.random.default_rng(1)), 64)


def mosaic(rng: np.random.Generator, n: int = 6) -> list[Polygon]:
    """A grid of bent quadrilaterals that share their corners exactly: every place inside is in one of them."""
    x, y = np.meshgrid(np.arange(n + 1.0), np.arange(n + 1.0))
    x[1:-1, 1:-1] += rng.uniform(-0.3, 0.3, (n - 1, n - 1))
    y[1:-1, 1:-1] += rng.uniform(-0.3, 0.3, (n - 1, n - 1))
    spot = np.dstack([x, y])
    return [ring(*(tuple(spot[j, i]) for j, i in ((r, c), (r, c + 1), (r + 1, c + 1), (r + 1, c)))) for r in range(n) for c in range(n)]


def test_every_point_on_a_shared_border_belongs_to_exactly_one_area() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cells = mosaic(rng)
        points = telling(cells, rng)
        points = points[(points > 0).all(axis=1) & (points < 6).all(axis=1)]
        point, area = locate_all(cells, *points.T)
        assert (np.bincount(point, minlength=len(points)) == 1).all()
        assert (area == locate(cells, *points.T)).all()


def test_on_a_border_the_area_to_the_east_and_to_the_north_has_the_point() -> None:
    west, east, north = Polygon.box(0, 0, 1, 1), Polygon.box(1, 0, 2, 1), Polygon.box(0, 1, 2, 2)
    lon, lat = [1.0, 0.5, 1.0, 0.0, 2.0, 1.0], [0.5, 1.0, 1.0, 0.0, 0.5, 2.0]
    assert locate([west, east, north], lon, lat).tolist() == [1, 2, 2, 0, -1, -1]


def test_holes_parts_missing_positions_and_no_areas_are_answered() -> None:
    holed = Polygon((*Polygon.box(0, 0, 10, 10).rings, *Polygon.box(4, 4, 6, 6).rings, *Polygon.box(20, 0, 21, 1).rings))
    assert locate([holed], [1, 5, 20.5, 15, np.nan, 1, np.inf], [1, 5, 0.5, 0.5, 1, np.nan, 1]).tolist() == [0, -1, 0, -1, -1, -1, -1]
    assert locate([], [1.0], [1.0]).tolist() == [-1] and locate([holed], [], []).tolist() == []
    assert locate_all([], [1.0], [1.0])[0].tolist() == []


def test_of_overlapping_areas_the_first_is_given_and_all_on_asking() -> None:
    wide, narrow = Polygon.box(0, 0, 4, 4), Polygon.box(1, 1, 2, 2)
    assert locate([wide, narrow], [1.5], [1.5]).tolist() == [0] and locate([narrow, wide], [1.5, 3], [1.5, 3]).tolist() == [0, 1]
    assert [a.tolist() for a in locate_all([wide, narrow], [1.5, 3.0], [1.5, 3.0])] == [[0, 0, 1], [0, 1, 0]]


def test_moving_and_reordering_the_points_changes_no_answer() -> None:
    rng = np.random.default_rng(7)
    cells, points = mosaic(rng), rng.uniform(-1, 7, (300_000, 2))
    found = locate(cells, *points.T)
    order = rng.permutation(len(points))
    assert (locate(cells, *points[order].T) == found[order]).all()
    few = slice(0, 1000)
    assert (locate(cells, *points[few].T) == found[few]).all(), "a coarser raster answers alike"
    assert np.mean(found >= 0) == pytest.approx(36 / 64, abs=0.01)


def test_an_outline_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="area '12' has a corner that is no number"):
        locate([Polygon((np.array([[0, 0], [1, np.nan], [1, 1], [0, 0]]),), "12")], [0.5], [0.5])
    with pytest.raises(BadInput, match="2 longitudes and 1 latitudes"):
        locate([Polygon.box(0, 0, 1, 1)], [0.5, 0.6], [0.5])


def beats(folder: Path) -> list[Polygon]:
    features = json.loads((folder / "chicago" / "police_beats_dec2012.geojson").read_text())["features"]
    return [Polygon.from_geojson(f["geometry"], f["properties"]["BEAT_NUM"]) for f in features]


def test_real_incidents_get_the_beats_that_shapely_gives_them(real_data: Path) -> None:
    """Where shapely says that a point touches no border; on a border it gives two areas or none, we one."""
    shapely = pytest.importorskip("shapely")
    polygons = beats(real_data)
    rows = pl.read_parquet(real_data / "chicago" / "chicago_crimes_2016.parquet", columns=["Longitude", "Latitude", "Beat"]).drop_nulls().head(120_000)
    lon, lat = rows["Longitude"].to_numpy(), rows["Latitude"].to_numpy()
    found = locate(polygons, lon, lat)
    features = json.loads((real_data / "chicago" / "police_beats_dec2012.geojson").read_text())["features"]
    shapes = np.array([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
    point, area = shapely.STRtree(shapes).query(shapely.points(lon, lat), predicate="within")
    theirs = np.full(len(lon), -1)
    theirs[point] = area
    differ = np.flatnonzero(theirs != found)
    on_border = shapely.dwithin(shapely.union_all(shapely.boundary(shapes)), shapely.points(lon[differ], lat[differ]), 1e-12)
    assert on_border.all() and len(differ) < 50
    names = np.array([p.name for p in polygons])
    assert np.mean(names[found[found >= 0]] == rows["Beat"].to_numpy()[found >= 0]) > 0.9, "most recorded beats are those of the 2012 map"


# --- maps with days -----------------------------------------------------------------------------------------------------------------------


def box(west: float, south: float, east: float, north: float) -> str:
    return json.dumps(Polygon.box(west, south, east, north).to_geojson())


def maps() -> pl.DataFrame:
    """Beat 1 and 2; on 1 April 2026 beat 2 gave its eastern half to beat 3."""
    rows = [
        ("beat", "1", date(2020, 1, 1), None, box(0, 0, 1, 1)),
        ("beat", "2", date(2020, 1, 1), date(2026, 3, 31), box(1, 0, 3, 1)),
        ("beat", "2", date(2026, 4, 1), None, box(1, 0, 2, 1)),
        ("beat", "3", date(2026, 4, 1), None, box(2, 0, 3, 1)),
        ("district", "A", date(2020, 1, 1), None, box(0, 0, 3, 1)),
    ]
    shape = {"kind": pl.String, "name": pl.String, "valid_from": pl.Date, "valid_to": pl.Date, "geometry": pl.String}
    return pl.DataFrame(rows, schema=shape, orient="row")


def rows(*happened: tuple[float | None, datetime | None]) -> pl.DataFrame:
    shape = {"lon": pl.Float64, "lat": pl.Float64, "started_at": pl.Datetime("us", "UTC"), "beat": pl.String}
    return pl.DataFrame([(x, None if x is None else 0.5, at, "as recorded") for x, at in happened], schema=shape, orient="row")


def test_each_row_gets_the_beat_of_its_own_local_day() -> None:
    before, after = datetime(2026, 4, 1, 4, 59, tzinfo=UTC), datetime(2026, 4, 1, 5, 0, tzinfo=UTC)  # midnight in Chicago
    frame = rows((2.5, before), (2.5, after), (0.5, before), (None, before), (2.5, None), (9.0, after), (2.5, datetime(2010, 1, 1, tzinfo=UTC)))
    found = boundaries.assign(frame, maps(), "beat", zone="America/Chicago")
    assert found.to_list() == ["2", "3", "1", None, None, None, None]
    assert set(frame["beat"]) == {"as recorded"}


def test_any_day_can_be_asked_for_instead() -> None:
    frame = rows((2.5, datetime(2026, 7, 1, tzinfo=UTC)), (2.5, None))
    assert boundaries.assign(frame, maps(), "beat", on="2021-05-05").to_list() == ["2", "2"]
    assert boundaries.assign(frame, maps(), "beat", on=date(2026, 7, 1)).to_list() == ["3", "3"]
    assert boundaries.assign(frame, maps(), "district", on="2026-07-01").to_list() == ["A", "A"]
    assert list(boundaries.on_day(maps(), "beat", date(2026, 3, 31))) == ["1", "2"]


def test_a_later_map_goes_before_an_earlier_one_that_nobody_closed() -> None:
    open_ended = maps().with_columns(valid_to=pl.lit(None, dtype=pl.Date))
    frame = rows((2.5, datetime(2026, 7, 1, tzinfo=UTC)), (2.5, datetime(2025, 7, 1, tzinfo=UTC)))
    assert boundaries.assign(frame, open_ended, "beat").to_list() == ["3", "2"]


def test_what_cannot_be_asked_is_refused_with_what_can() -> None:
    frame = rows((0.5, datetime(2026, 7, 1, tzinfo=UTC)))
    with pytest.raises(NotFound, match="no map of kind 'beats'. Did you mean 'beat'"):
        boundaries.assign(frame, maps(), "beats")
    with pytest.raises(BadInput, match="on='yesterday' is not a day"):
        boundaries.assign(frame, maps(), "beat", on="yesterday")
    with pytest.raises(BadInput, match="no column 'reported_at'"):
        boundaries.assign(frame, maps(), "beat", time="reported_at")
    with pytest.raises(BadInput, match="a Date or a time with its zone is needed"):
        boundaries.assign(frame.with_columns(pl.col("started_at").dt.replace_time_zone(None)), maps(), "beat")


def test_the_made_up_citys_redrawn_beat_is_that_of_the_day(samples: Path) -> None:
    features = json.loads((samples / "sample_boundaries.geojson").read_text())["features"]
    frame = pl.DataFrame([{**f["properties"], "geometry": json.dumps(f["geometry"])} for f in features], infer_schema_length=None)
    frame = frame.with_columns(pl.col("valid_from", "valid_to").str.to_date())
    incidents = pl.read_csv(samples / "sample_incidents.csv.gz", truncate_ragged_lines=True, infer_schema=False).select(
        pl.col("Longitude").cast(pl.Float64, strict=False).alias("lon"), pl.col("Latitude").cast(pl.Float64, strict=False).alias("lat"), beat="Beat",
        at=pl.col("Occurred From").str.to_datetime("%m/%d/%Y %H:%M", strict=False).cast(pl.Date)).drop_nulls().filter(pl.col("lon") < -1)
    old = boundaries.assign(incidents, frame, "beat", on="2025-06-01")
    inside = old.is_not_null()
    assert inside.mean() > 0.99 and (old == incidents["beat"]).filter(inside).mean() > 0.98  # type: ignore[operator]
    by_day = boundaries.assign(incidents, frame, "beat", time="at")
    moved = incidents.with_columns(now=by_day).filter(pl.col("now") == "413")
    assert len(moved) > 10 and set(moved["beat"]) == {"405"} and moved["at"].min() >= date(2026, 4, 1)  # type: ignore[operator]

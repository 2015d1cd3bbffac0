"""The NIJ mode against figures worked out by hand, the rules' limits, coordinates in feet, and the past alone."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane, Polygon
from workbench.models.hotspots import _scores, _study, nij
from workbench.models.hotspots._search import MODELS, Chosen, Shape
from workbench.models.hotspots._study import SQUARE_MILE
from workbench.models.hotspots._tiles import FOOT, Tiling, best_of

ASOF = date(2017, 3, 1)
PLANE = Plane.local(45.5, -122.6)
FEET = "EPSG:2913"  # a state plane in international feet


def events(n: int, seed: int, *, days: float = 500, after: float = 95, kinds: tuple[str, ...] = ("burglary", "car theft")) -> pl.DataFrame:
    """A city of 5 x 4 km with a few addresses that are struck again and again; dates alone."""
    rng = np.random.default_rng(seed)
    hot = np.column_stack([rng.uniform(300, 4700, 25), rng.uniform(300, 3700, 25)])
    near = rng.random(n) < 0.4
    which = rng.integers(0, 25, n)
    x, y = (np.where(near, hot[which, k], rng.uniform(0, top, n)) for k, top in ((0, 5000), (1, 4000)))
    lon, lat = PLANE.to_degrees(x, y)
    day = [ASOF + timedelta(days=int(d)) for d in rng.uniform(-days, after, n)]
    return pl.DataFrame({"date": day, "lon": lon, "lat": lat, "category": rng.choice(list(kinds), n)})


def square(side: float) -> Polygon:
    lon, lat = PLANE.to_degrees(np.array([0, side, side, 0, 0.0]), np.array([0, 0, side, side, 0.0]))
    return Polygon((np.column_stack([lon, lat]),))


def fixed(many: int, tiles: list[int], *, side: float = 600.0) -> nij.Flagged:
    """Flagged tiles of a given upright tiling of 10 x 10."""
    tiling = Tiling(side * FOOT, side * FOOT, 0.0, 0.0, 0.0, 10, 10)
    chosen = Chosen(Shape(side, side, many), 0.0, (0.0, 0.0), MODELS[0], "by hand")
    return nij.Flagged("burglary", "1w", "pai", 0.0, chosen, tiling, np.array(tiles), np.ones(len(tiles)), {"counts": np.array([0]), "kde": np.array(tiles)})


def at_tiles(tiles: list[int], side: float = 600.0) -> tuple[Any, Any]:
    """The middles of tiles, metres."""
    t = np.array(tiles)
    return (t % 10 + 0.5) * side * FOOT, (t // 10 + 0.5) * side * FOOT


def whole(side: float = 6000.0) -> _study.Study:
    area = square(side * FOOT)
    return _study.Study(PLANE, np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), ("burglary",), (area,), (side * FOOT) ** 2, 0, ())


def test_pai_and_pei_are_those_worked_out_by_hand() -> None:
    """100 equal cells, 2 flagged: n 3 of N 10, so PAI = 0.3 / 0.02 = 15; the best two cells hold 4 + 3, so PEI = 3 / 7."""
    x, y = at_tiles([11] * 3 + [22] * 4 + [33] * 2 + [44])
    said = nij.measures(fixed(2, [11, 90]), x, y, whole())
    assert (said["n"], said["N"], said["best"]) == (3, 10, 7)
    assert said["pai"] == pytest.approx(15.0) and said["pei"] == pytest.approx(3 / 7)
    assert said["pei_star"] == pytest.approx(3 / 7)  # whole cells: the cap is the same two cells
    assert said["counts_n"] == 0 and said["kde_n"] == 3


def test_pei_star_counts_a_cell_at_the_border_with_the_part_of_it_in_the_area() -> None:
    """The area is 9.5 cells wide, so tile 9 is half in it: it costs half, and one cell's area holds it and half of the next best."""
    area = square(0.0)
    lon, lat = PLANE.to_degrees(np.array([0, 9.5, 9.5, 0, 0.0]) * 600 * FOOT, np.array([0, 0, 10, 10, 0.0]) * 600 * FOOT)
    area = Polygon((np.column_stack([lon, lat]),))
    seen = _study.Study(PLANE, np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), ("burglary",), (area,), 95 * (600 * FOOT) ** 2, 0, ())
    x, y = at_tiles([9] * 4 + [22] * 4 + [11] * 2)
    said = nij.measures(fixed(1, [11]), x - 1.0, y, seen)
    assert said["best"] == 4 and said["best_capped"] == pytest.approx(4 + 2) and said["pei"] == pytest.approx(0.5) and said["pei_star"] == pytest.approx(2 / 6)


def test_nothing_that_came_gives_no_ratio_and_a_sentence() -> None:
    said = nij.measures(fixed(1, [11]), np.empty(0), np.empty(0), whole())
    assert said["pai"] is None and said["pei"] is None and said["pei_star"] is None
    made = nij.forecast(events(300, 1, after=0), ASOF, cell=600, total=0.25, tilings=1, horizons=["1w"])
    none = events(1, 1).with_columns(date=pl.lit(date(2020, 1, 1)))
    assert nij.score(made, none).headline.startswith("Cannot tell: no event")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 99), max_size=60), st.sets(st.integers(0, 99), min_size=1, max_size=8))
def test_no_flagging_holds_more_than_the_best(came: list[int], flagged: set[int]) -> None:
    x, y = at_tiles(came)
    said = nij.measures(fixed(len(flagged), sorted(flagged)), x, y, whole())
    assert said["best"] >= said["n"] and said["best_capped"] >= said["n"] - 1e-9
    if said["pei"] is not None:
        assert 0 <= said["pei"] <= 1 and said["pei_star"] <= 1 + 1e-9


def test_the_best_of_scores_is_what_sorting_gives_and_ties_go_by_number() -> None:
    rng = np.random.default_rng(2)
    score = rng.integers(0, 6, 200).astype(float)
    assert best_of(score, 30).tolist() == np.argsort(-score, kind="stable")[:30].tolist() or set(score[best_of(score, 30)]) == set(np.sort(score)[::-1][:30])
    assert sorted(score[best_of(score, 30)])[::-1] == sorted(score, reverse=True)[:30]
    assert best_of(np.zeros(5), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("cell", "total"), [((125, 500), 0.25), (250, 0.75), (600, 0.3), (None, None)])
def test_every_forecast_keeps_to_the_rules(cell: Any, total: float | None) -> None:
    made = nij.forecast(events(900, 3), ASOF, cell=cell, total=total, tilings=4, horizons=["1w", "3m"])
    for f in made.flagged:
        shape = f.chosen.shape
        assert 62_500 <= shape.width * shape.height <= 360_000 and min(shape.width, shape.height) >= 125
        assert 0.25 - 1e-9 <= shape.square_miles <= 0.75 + 1e-9
        assert len(f.tiles) == shape.many == len(set(f.tiles.tolist()))
    assert set(made.table.columns) >= {"category", "horizon", "aim", "rank", "lon", "lat"}


@pytest.mark.parametrize(("options", "said"), [
    ({"cell": 200}, "outside the rules"), ({"cell": 700}, "outside the rules"), ({"cell": (100, 700)}, "at least 125 feet"), ({"total": 0.2}, "0.25 to 0.75"),
    ({"total": 0.8}, "0.25 to 0.75"), ({"horizons": ["4w"]}, "There is no horizon '4w'"), ({"aims": ["roc"]}, "There is no aim"),
    ({"categories": ["burglery"]}, "Did you mean 'burglary'"), ({"crs": "EPSG:1"}, "not known"), ({"category": "kind"}, "no column 'kind'"),
    ({"area": "x"}, "study area of type str"), ({"area": -3}, "not possible"),
])
def test_what_is_outside_the_rules_is_refused_with_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        nij.forecast(events(60, 4), ASOF, **{"tilings": 1, **options})


def test_months_are_those_of_the_calendar() -> None:
    assert nij._lengths(_study.day_of("2017-03-01"), list(nij.HORIZONS)) == {"1w": 7.0, "2w": 14.0, "1m": 31.0, "2m": 61.0, "3m": 92.0}
    assert nij._lengths(_study.day_of("2017-01-31"), ["1m"]) == {"1m": 28.0}


def test_feet_of_a_state_plane_and_degrees_give_the_same_scores() -> None:
    frame = events(800, 5)
    from pyproj import Transformer

    x, y = Transformer.from_crs(4326, FEET, always_xy=True).transform(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    feet = frame.select("date", "category").with_columns(x=pl.Series(x), y=pl.Series(y))
    asked: dict[str, Any] = {"area": 7.5, "cell": 400, "total": 0.5, "tilings": 1, "horizons": ["3m"], "categories": ["burglary"]}
    one, other = nij.challenge(frame, ASOF, **asked).table, nij.challenge(feet, ASOF, crs=FEET, **asked).table
    assert one["N"].to_list() == other["N"].to_list()
    assert one["pai"].to_numpy() == pytest.approx(other["pai"].to_numpy(), rel=0.4)  # the origin of the cells differs, the places do not
    with pytest.raises(BadInput, match="no degrees; name their CRS"):
        nij.challenge(feet, ASOF)


@settings(max_examples=4, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_moving_the_city_by_whole_cells_and_mixing_its_rows_changes_no_score(east: int, north: int) -> None:
    frame = events(400, 6)
    x, y = Plane(FEET).to_metres(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    x, y = np.round(x / FOOT), np.round(y / FOOT)
    asked: dict[str, Any] = {"crs": FEET, "area": 7.5, "cell": 500, "total": 0.25, "tilings": 1, "horizons": ["2m"]}
    here = frame.select("date", "category").with_columns(x=pl.Series(x), y=pl.Series(y))
    moved = here.with_columns(pl.col("x") + 500.0 * east, pl.col("y") + 500.0 * north).sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(nij.challenge(here, ASOF, **asked).table, nij.challenge(moved, ASOF, **asked).table, rel_tol=1e-6)


def test_what_comes_after_asof_moves_no_cell() -> None:
    frame = events(700, 7)
    spike = pl.DataFrame({"date": [ASOF] * 200, "lon": [frame["lon"][0]] * 200, "lat": [frame["lat"][0]] * 200, "category": ["burglary"] * 200})
    asked: dict[str, Any] = {"tilings": 3, "horizons": ["1w", "1m"]}
    one, other = nij.forecast(frame, ASOF, **asked), nij.forecast(pl.concat([frame, spike]), ASOF, **asked)
    assert_frame_equal(one.table, other.table)


def test_addresses_struck_again_are_found() -> None:
    table = nij.challenge(events(2500, 8), ASOF, area=7.5, tilings=4).table
    pai = table.filter(pl.col("aim") == "pai")
    assert pai["pai"].mean() > 10  # 40 % of events at 25 addresses, 3.3 % of the area flagged: at most 12 or so
    assert len(table) == 2 * 5 * 2


def test_three_events_of_a_category_are_enough_for_an_answer_that_says_so() -> None:
    frame = pl.concat([events(400, 9, kinds=("burglary",)), events(3, 10, after=-1, kinds=("arson",))])
    made = nij.forecast(frame, ASOF, tilings=2, horizons=["1w"])
    assert {f.category for f in made.flagged} == {"burglary", "arson"}
    assert all("too few events" in f.chosen.why for f in made.flagged if f.category == "arson")
    refused = nij.forecast(pl.concat([frame, events(5, 11, days=-5, kinds=("fraud",))]), ASOF, tilings=1, horizons=["1w"], categories=["burglary", "fraud"])
    assert "No event of 'fraud' is known" in refused.refused["fraud"]


def test_events_outside_the_area_and_without_position_are_counted_and_left_out() -> None:
    frame = events(500, 12)
    lost = frame.head(4).with_columns(lon=pl.Series([None, 0.0, -122.6, -100.0]), lat=pl.Series([None, 0.0, 46.4, 30.0]))
    made = nij.forecast(pl.concat([frame, lost]), ASOF, area=square(3000.0), tilings=1, horizons=["1w"])
    notes = " ".join(made.basis.notes)
    assert "have no position" in notes and "outside the study area" in notes and "The study area given counts 3.5 square miles" in notes


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M"])
def test_dates_as_text_in_the_usual_forms_are_read(form: str) -> None:
    text = pl.Series("date", [datetime(2017, 2, 3, 4, 5).strftime(form), datetime(2017, 12, 31).strftime(form), None])
    read = _study.days(text)
    assert math.floor(read[0]) == 17_200 and math.floor(read[1]) == 17_531 and np.isnan(read[2])
    with pytest.raises(BadInput, match="not all of one readable form"):
        _study.days(pl.Series("date", ["soon"]))


def test_one_point_one_address_and_no_past_are_answered() -> None:
    one = events(1, 13).with_columns(date=pl.lit(date(2017, 1, 1)))
    assert len(nij.forecast(one, ASOF, tilings=1, horizons=["1w"], aims=["pai"]).flagged) == 1
    same = pl.concat([one] * 30)
    assert len(nij.forecast(same, ASOF, tilings=1, horizons=["1w"]).flagged) == 2
    with pytest.raises(CannotTell, match="Nothing is known before|no event before asof"):
        nij.forecast(events(50, 14), "2001-01-01")
    with pytest.raises(CannotTell, match="None of the 0 events"):
        nij.forecast(events(50, 14).head(0), ASOF)


def test_the_cells_are_written_whole_as_csv_and_geojson(tmp_path: Path) -> None:
    made = nij.forecast(events(300, 15), ASOF, tilings=1, horizons=["1w"], aims=["pai"], cell=500, categories=["burglary"])
    assert pl.read_csv(made.to_csv(tmp_path / "cells.csv")).height == made.table.height
    told = json.loads(made.to_geojson(tmp_path / "cells.geojson").read_text())
    assert len(told["features"]) == made.table.height
    ring = np.array(told["features"][0]["geometry"]["coordinates"][0])
    x, y = PLANE.to_metres(ring[:, 0], ring[:, 1])
    assert (ring[0] == ring[-1]).all() and abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2 == pytest.approx((500 * FOOT) ** 2, rel=0.01)
    assert {f.name for f in tmp_path.iterdir()} == {"cells.csv", "cells.geojson"}


def test_the_area_of_a_polygon_with_a_hole_leaves_the_hole_out() -> None:
    outer, hole = square(4000.0).rings[0], square(1000.0).rings[0]
    seen = _study.study(events(40, 16), x="lon", y="lat", time="date", category="category", crs=None, area=Polygon((outer, hole)))
    assert seen.square_metres == pytest.approx(15e6, rel=0.01)
    plain = _study.study(events(40, 16), x="lon", y="lat", time="date", category=None, crs=None, area=square(4000.0))
    assert plain.square_metres == pytest.approx(16e6, rel=1e-3)
    assert pytest.approx(2_589_988.11, abs=0.01) == SQUARE_MILE and _scores.best([4, 4], [0.5, 1.0], 1.0) == 6


def test_the_command_works_on_a_file_and_writes_the_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from workbench import cli

    events(150, 17, kinds=("burglary",)).write_csv(tmp_path / "events.csv")
    assert cli.main(["nij", str(tmp_path / "events.csv"), "--asof", "2017-03-01", "--cells", str(tmp_path / "cells.geojson")]) == 0
    said = capsys.readouterr().out
    assert "category,horizon,aim,cell" in said and sum(line.startswith("burglary,") for line in said.splitlines()) == 10
    assert (tmp_path / "cells.geojson").exists()
    assert cli.main(["nij", str(tmp_path / "none.csv"), "--asof", "2017-03-01"]) == 1 and "There is no file" in capsys.readouterr().err
    assert cli.main(["nij", str(tmp_path / "events.csv"), "--asof", "2017-03-01", "--cells", "cells.pdf"]) == 1
    assert ".geojson or .csv" in capsys.readouterr().err

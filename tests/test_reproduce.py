"""Run again from its basis: equal however the lake was treated since, and what was changed, lost or never recorded is named."""

from __future__ import annotations

import functools
import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import workbench as wb
from workbench import results
from workbench.errors import BadInput, NotFound
from workbench.geo import Grid, Polygon
from workbench.models.hotspots import backtest, counts, kde
from workbench.models.links import case as links_case
from workbench.models.patterns import clock, expected
from workbench.models.plates import history
from workbench.results import Basis, Origin, recording, remember, saving

CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "tests of the workbench"}
ASOF = "2026-07-01"

# --- a basis and a result as text -----------------------------------------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
                     lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


@given(method=st.text(), parameters=st.dictionaries(st.text(), PLAIN, max_size=5), rows=st.integers(0, 2**40), span=st.none() | st.tuples(MOMENTS, MOMENTS),
       asof=st.none() | MOMENTS, versions=st.dictionaries(st.sampled_from(["incidents", "batches", "journal", "known"]), st.integers(0, 2**50)),
       notes=st.lists(st.text(), max_size=3), run=st.dictionaries(st.text(), PLAIN, max_size=3))
@settings(max_examples=120, deadline=None)
def test_a_basis_read_from_its_json_is_the_same_basis(notes: list[str], **said: Any) -> None:
    basis = Basis(notes=tuple(notes), source="s", workspace="w", data="d", code="c", used=1, **said)
    again = Basis.from_json(basis.to_json())
    assert again == basis and again.to_json() == basis.to_json() and again.known == basis.known


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"method": 1}', "null", '{"span": null, "asof": "x", "notes": []}'])
def test_what_is_no_basis_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not the basis of a result"):
        Basis.from_json(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | MOMENTS.map(lambda t: t.replace(fold=0)) | st.dates() | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10)


def nothing(_: dict[str, Any]) -> pl.DataFrame:
    raise AssertionError("no frame was written")


@given(value=VALUES)
@settings(max_examples=150, deadline=None)
def test_arguments_come_back_as_they_were(value: Any) -> None:
    again = recording.read(json.loads(json.dumps(recording.written(value))), nothing)
    assert repr(again) == repr(value)


def test_places_arrays_and_configured_models_come_back_as_they_were() -> None:
    grid = Grid.over(Polygon.box(-90.95, 41.5, -90.85, 41.6, "box"), cell=500.0)
    model = functools.partial(kde.surface, bandwidth=300.0, window="30d")
    given = {"grid": grid, "models": {"kde": model, "counts": counts.surface}, "window": np.float64(2.5)}
    again = recording.read(json.loads(json.dumps(recording.written(given))), nothing)
    assert np.array_equal(again["grid"].inside, grid.inside) and (again["grid"].x0, again["grid"].plane) == (grid.x0, grid.plane)
    assert again["models"]["kde"].func is kde.surface and again["models"]["kde"].keywords == model.keywords
    assert again["models"]["counts"] is counts.surface and again["window"] == 2.5


@pytest.mark.parametrize("said", [
    {"$": "function", "of": "os:system"}, {"$": "function", "of": "workbench.models.hotspots.kde:np"}, {"$": "function", "of": "workbench.models:find"},
    {"$": "function", "of": "workbench.models.hotspots.kde:__import__"}, {"$": "shape", "of": "subprocess:Popen", "v": {}}, {"$": "function", "of": 3},
    {"$": "shape", "of": "workbench.geo:os", "v": {}}, {"$": "array", "type": "|O", "shape": [1], "v": ""}, {"$": "what", "v": 1}, {"v": 1},
    {"$": "array", "type": "<f8", "shape": [10**12], "v": ""}, {"$": "partial", "of": "builtins:eval", "args": ["1"], "keywords": {"$": "dict", "v": []}},
    {"$": "shape", "of": "workbench.geo.grid:Grid", "v": {"no": 1}}, {"$": "datetime", "v": "never"}, {"$": "shape", "of": "workbench.models...:x", "v": {}}])
def test_a_file_can_name_nothing_but_models_and_places(said: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        recording.read(said, nothing)


def test_a_frame_knows_its_call_and_rows_picked_out_of_it_do_not(city: Any) -> None:
    frame = city.incidents("2026-06-01", ASOF, offence="burglary")
    [call] = results.origin_of(frame).calls
    assert (call.method, call.arguments, call.versions) == ("incidents", {"start": "2026-06-01", "end": ASOF, "offence": "burglary"}, city.versions)
    assert results.origin_of(frame.head(3)).calls == () and results.origin_of(frame.head(3)).versions == city.versions
    assert "hand" in recording.written(frame.head(3)) and recording.written(frame)["call"]["method"] == "incidents"
    assert results.origin_of(city.sql("select 1 as one", [])).calls[0].method == "sql"
    assert results.origin_of(city.history("incidents", frame["incident_id"][0])).calls[0].arguments["key"] == [frame["incident_id"][0]]


def test_a_models_basis_says_how_to_run_it_and_a_back_test_is_recorded_once(city: Any) -> None:
    frame = city.incidents(end=ASOF, offence="burglary")
    grid = city.grid(1000)
    score = backtest.rolling(frame, grid, {"counts": functools.partial(counts.surface, window="90d")}, start="2026-06-01", end=ASOF, seed=7, draws=50)
    run = score.basis.run
    assert run["function"] == "workbench.models.hotspots.backtest:rolling" and run["arguments"]["seed"] == 7
    assert [name for name, _ in recording.calls_of(run)] == ["incidents"]
    links = links_case.around(city.facts(reads_since="2026-06-20"), frame["incident_id"][0], asof=ASOF)
    frames = dict(recording.calls_of(links.basis.run))
    assert all("call" in said for said in frames.values()) and frames["facts.reads"]["call"]["arguments"] == {"start": "2026-06-20"}


SHAPES = {"s": pl.String, "i": pl.Int32, "f": pl.Float64, "b": pl.Boolean, "d": pl.Date, "t": pl.Datetime("us", "UTC"), "l": pl.List(pl.String),
          "p": pl.Duration("us"), "x": pl.Struct({"a": pl.Int64, "b": pl.List(pl.Float64)})}


def test_a_saved_result_comes_back_with_table_and_basis_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    row = ["é<&", 1, float("nan"), True, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), ["a", None], timedelta(hours=1, microseconds=3),
           {"a": 1, "b": [0.1]}]
    table = pl.DataFrame([row, [None] * 9], schema=SHAPES, orient="row")
    result = results.Ranking(headline="One.", table=table, layers=(), basis=Basis("m", parameters={"a": [1]}))
    file = result.save(tmp_path / "one.json")
    again = results.read(file)
    assert again.headline == "One." and again.basis == result.basis
    assert_frame_equal(again.table, table)
    said = json.loads(file.read_text())
    said["table"]["rows"][0][1] = 2
    file.write_text(json.dumps(said))
    with pytest.raises(BadInput, match="changed after it was saved: column i"):
        results.read(file)
    for text, why in (("{", "cannot be read"), ("{}", "no saved result"), ('{"kind": "workbench result", "format": 9}', "format 9")):
        file.write_text(text)
        with pytest.raises(BadInput, match=why):
            results.read(file)
    with pytest.raises(NotFound):
        results.read(tmp_path / "none.json")
    with pytest.raises(BadInput, match="no folder"):
        result.save(tmp_path / "none" / "x.json")


def test_what_is_saved_pins_its_versions_so_that_vacuum_spares_them(own_city: Path, tmp_path: Path) -> None:
    city = wb.open_workbench(own_city)
    week = clock.week(city.incidents(end=ASOF), ASOF, runs=9)
    week.save(tmp_path / "week.json")
    [pin] = city.lake.pins().rows(named=True)
    assert pin["why"] == "result week.json" and all(f"{t} {v}" in pin["versions"] for t, v in city.versions.items())
    assert city.audit.entries(2)["action"].to_list() == ["keep", "keep"]


_ = (Origin, remember, shutil, saving, expected, history)

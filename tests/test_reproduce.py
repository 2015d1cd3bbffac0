"""Run again from its basis: equal however the lake was treated since, and what was changed, lost or never recorded is named."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
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
from workbench import briefings, cli, reproduce, results, workspace
from workbench.briefings import blocks, runner
from workbench.errors import BadInput, NotFound
from workbench.geo import Grid, Polygon
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.models.hotspots import backtest, counts, kde
from workbench.models.links import case as links_case
from workbench.models.patterns import clock, expected
from workbench.models.plates import history
from workbench.results import Basis, recording, saving

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


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"method": 1}', "null", '{"span": null, "asof": "x", "notes": []}'])
def test_what_is_no_basis_is_refused(said: str) -> None:
    with pytest.raises(BadInput, match="not the basis of a result"):
        Basis.from_json(said)


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
    for content, why in (("{", "cannot be read"), ("{}", "no saved result"), ('{"kind": "workbench result", "format": 9}', "format 9")):
        file.write_text(content)
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



# --- run again ------------------------------------------------------------------------------------------------------------------------


def answers(city: Any) -> dict[str, results.Result]:
    """One answer of each kind of model, on frames as the workbench gave them."""
    past, grid = city.incidents(end=ASOF, offence="burglary"), city.grid(1000)
    facts = city.facts(reads_since="2026-06-20")
    return {
        "risk": kde.surface(past, grid, ASOF),
        "score": backtest.rolling(past, grid, {"counts": functools.partial(counts.surface, window="90d")}, start="2026-05-20", end=ASOF, seed=7, draws=99),
        "week": clock.week(city.incidents("2026-05-01", ASOF), ASOF, runs=19, seed=3),
        "counted": expected.counts(city.incidents("2026-01-01", ASOF), ASOF, groups=city.agency.offence_groups, weeks=8),
        "links": links_case.around(facts, past["incident_id"][-1], asof=ASOF),
        "news": links_case.new_links(facts, {"2026-0142": [f"incident:{past['incident_id'][-1]}"]}, "2026-06-20", asof=ASOF),
        "track": history.history(city.reads("2026-06-20", ASOF), "ABC1234"),
        "quality": city.quality("calls"),
    }


def further_loads(path: Path, folder: Path) -> None:
    """New editions and new rows come in, small files are folded, what no pin spares is vacuumed."""
    rows = (path / "sample_more.csv")
    city = wb.open_workbench(path, **CASE)
    lines = [f"m{n},2026-06-{10 + n % 15:02d}T03:00:00,-90.9,41.56" for n in range(60)]
    rows.write_text("\n".join(["id,at,lon,lat", *lines]) + "\n", encoding="utf-8")
    more = Source(name="more", title="more burglaries", columns=("id", "at", "lon", "lat"), parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("at"), "iso"), "nibrs": "'220'", "offence": "'BURGLARY'",
        "lon": "try_cast(\"lon\" as double)", "lat": "try_cast(\"lat\" as double)"}),))
    assert workspace.load(path, more, rows).added == 60
    city.lake.compact()
    city.lake.vacuum(0)


def test_every_answer_comes_out_equal_after_loads_compaction_and_vacuum_and_a_changed_cell_is_named(own_city: Path, tmp_path: Path) -> None:
    city = wb.open_workbench(own_city, **CASE)
    made = answers(city)
    files = {name: result.save(tmp_path / f"{name}.json") for name, result in made.items()}
    further_loads(own_city, tmp_path)
    now = wb.open_workbench(own_city, **CASE)
    assert now.incidents(end=ASOF, offence="burglary").height > city.incidents(end=ASOF, offence="burglary").height
    for name, file in files.items():
        verdict = reproduce.verify(file, now)
        assert (verdict.outcome, verdict.differences) == (reproduce.EQUAL, ()), (name, verdict.lines())
        assert results.read(file).headline == made[name].headline
    done = now.audit.entries(1).row(0, named=True)
    assert done["action"] == "verify" and done["phase"] == "done" and done["object"] == "quality.json"

    said = json.loads(files["week"].read_text())
    said["table"]["rows"][5][2] = 999.5
    said["headline"] = said["headline"].replace("e", "E", 1)
    for resigned in (False, True):  # whoever changes a figure may make new hashes, too
        files["week"].write_text(json.dumps(saving.signed(said) if resigned else said))
        verdict = reproduce.verify(files["week"], now)
        assert verdict.outcome == reproduce.DIFFERS and verdict.code == 1
        column_ = made["week"].table.columns[2]
        assert any(f"column {column_!r}, row 6 says 999.5" in d for d in verdict.differences) and any("the headline says" in d for d in verdict.differences)
        assert any("changed after it was saved" in d for d in verdict.differences) is not resigned

    shut = wb.open_workbench(own_city)
    refused = reproduce.verify(files["track"], shut)
    assert refused.code == 3 and "the gate refuses it" in refused.sentence and "case and a purpose" in refused.sentence
    assert reproduce.verify(files["risk"], shut).code == 0, "incidents need no case"

    for name in now.lake.pins()["name"]:
        now.lake.unpin(name)
    now.lake.vacuum(0)
    gone = reproduce.verify(files["risk"], now)
    assert gone.code == 3 and "vacuumed and no pin spared them" in gone.sentence
    purged = pl.DataFrame({"certificate_id": ["P-7"], "at": [datetime.now(UTC) + timedelta(minutes=1)], "table": ["incidents"], "rows": [3]})
    named = reproduce.verify(files["risk"], now, certificates=lambda _: purged)
    assert named.code == 3 and "purged rows prevent it" in named.sentence and "certificate P-7" in named.sentence


def test_what_cannot_be_run_again_says_why(city: Any, tmp_path: Path) -> None:
    frame = city.incidents("2026-06-01", ASOF)
    cases = {"hand": (clock.week(frame.head(200), ASOF, runs=9), "the frame 'incidents' .* by hand"),
             "bare": (results.Ranking(headline="H", table=pl.DataFrame({"a": [1]}), layers=(), basis=Basis("m")), "names no function of a model")}
    for name, (result, why) in cases.items():
        verdict = reproduce.verify(results.Result.save(dataclasses.replace(result, basis=dataclasses.replace(result.basis, keep=None)),
                                                       tmp_path / f"{name}.json"), city)
        assert verdict.code == 3 and re.search(why, verdict.sentence), verdict.lines()
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(BadInput, match="none of what can be run again"):
        reproduce.verify(tmp_path / "x.txt", city)
    with pytest.raises(NotFound):
        reproduce.verify(tmp_path / "none.json", city)
    hostile = saving.document(dataclasses.replace(cases["bare"][0], basis=Basis("m", run={"function": "os:system", "arguments": {"command": "true"}})))
    (tmp_path / "h.json").write_text(json.dumps(saving.signed(hostile)))
    verdict = reproduce.verify(tmp_path / "h.json", city)
    assert verdict.code == 3 and "no function of a model" in verdict.sentence


def test_an_answer_of_an_earlier_moment_comes_out_equal_whatever_was_learnt_since(own_city: Path, tmp_path: Path) -> None:
    then = wb.open_workbench(own_city, known=datetime.now(UTC))
    risk = counts.surface(then.incidents(end=ASOF, offence="burglary"), then.grid(1000), ASOF)
    file = risk.save(tmp_path / "risk.json")
    further_loads(own_city, tmp_path)
    assert risk.basis.known == then.known_at and ("Known at", f"{then.known_at:%Y-%m-%d %H:%M:%S} UTC") in risk.basis.lines()
    assert reproduce.verify(file, wb.open_workbench(own_city)).outcome == reproduce.EQUAL
    fresh = wb.open_workbench(own_city, known=then.known_at)
    assert counts.surface(fresh.incidents(end=ASOF, offence="burglary"), fresh.grid(1000), ASOF).headline == risk.headline


@pytest.fixture(scope="module")
def briefed(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = Path(shutil.copytree(untouched_city, tmp_path_factory.mktemp("briefed") / "city"))
    city = wb.open_workbench(path, **CASE)
    files = briefings.run(city, "daily_briefing", {"asof": "2026-07-01T06:00", "folds": "2", "weeks": "4", "cell": "1000"})
    further_loads(path, path.parent)
    return {"path": path, "files": files, "runs": {}}


@pytest.fixture
def run_once(briefed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cells with the same parameters in the same workspace are run again once for all the files that ask for it; anything else is run."""
    runs, again = briefed["runs"], runner.again

    def kept(workbench: Any, source: Any, values: Any, **more: Any) -> dict[str, Any]:
        key = json.dumps([str(workbench.path), source["cells"], dict(values)], sort_keys=True, default=str)
        if key not in runs:
            runs[key] = json.dumps(again(workbench, source, values, **more))
        return json.loads(runs[key])  # type: ignore[no-any-return]

    monkeypatch.setattr(runner, "again", kept)


@pytest.mark.usefixtures("run_once")
@pytest.mark.parametrize("kind", ["ipynb", "html", "pdf"])
def test_a_daily_briefing_comes_out_equal_from_each_of_its_files_and_a_changed_figure_is_named(briefed: dict[str, Any], kind: str, tmp_path: Path) -> None:
    file: Path = getattr(briefed["files"], kind)
    city = wb.open_workbench(briefed["path"], **CASE)
    verdict = reproduce.verify(file, city)
    assert (verdict.outcome, verdict.differences) == (reproduce.EQUAL, ()), verdict.lines()
    assert dict(reproduce.show(file))["Briefing"] == "daily_briefing" and "Record" in dict(reproduce.show(file))
    assert not list((briefed["path"] / "out").glob(".*")), "nothing of the run stays"
    forged = tmp_path / file.name
    if kind == "pdf":
        forged.write_bytes(file.read_bytes().replace(b"/Title", b"/Titel", 1))
        wanted = "pages of the PDF"
    elif kind == "html":
        forged.write_text(re.sub(r"<p class='figure'><b>[\d,]+</b>", "<p class='figure'><b>4,711</b>", file.read_text(), count=1))
        wanted = r"block \d+ \(cards.*4,711"
    else:
        said = json.loads(file.read_text())
        shown = [o["data"][blocks.MIME] for c in said["cells"] for o in c.get("outputs", []) if blocks.MIME in o.get("data", {})]
        block = next(b for b in shown if b["kind"] == "cards")
        block["cards"][0]["count"] = 4711
        forged.write_text(json.dumps(said))
        wanted = r"cell \d+ \(cards.*\), cards 1, count says '4711'"
    assert forged.read_bytes() != file.read_bytes()
    told = reproduce.verify(forged, city)
    assert told.code == 1 and re.search(wanted, "\n".join(told.differences)), told.lines()


def test_a_changed_record_another_code_and_a_missing_case_are_named_and_foreign_code_is_not_run(
        briefed: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, path = briefed["files"], briefed["path"]
    page = tmp_path / "page.html"
    page.write_text(files.html.read_text().replace("&quot;run_id&quot;: &quot;", "&quot;run_id&quot;: &quot;9", 1))
    assert "Record" in dict(reproduce.show(page)) and "changed" in dict(reproduce.show(page))["Record"]
    said = json.loads(files.ipynb.read_text())
    foreign = {**said, "metadata": {k: v for k, v in said["metadata"].items() if k != "workbench"}}
    foreign["cells"] = [*said["cells"], {"cell_type": "code", "source": "open('ran', 'w').write('x')", "outputs": [], "metadata": {}, "execution_count": 1}]
    (tmp_path / "foreign.ipynb").write_text(json.dumps(foreign))
    command = ["basis", "verify", str(tmp_path / "foreign.ipynb"), "-w", str(path), "--case", CASE["case"], "--purpose", "investigation",
               "--reason", "checking the figures of this briefing"]
    assert cli.main(command) == 3 and "running a notebook is running its code" in capsys.readouterr().out
    assert not (path / "ran").exists()
    assert cli.main(["basis", "verify", str(files.html), "-w", str(path)]) == 3
    assert "only under" in capsys.readouterr().out
    page.write_text("<html><p>no record</p></html>")
    assert cli.main(["basis", "verify", str(page), "-w", str(path)]) == 3
    assert cli.main(["basis", "show", str(files.pdf)]) == 0 and "Table versions:" in capsys.readouterr().out
    assert cli.main(["basis", "verify", str(tmp_path / "nothing.json"), "-w", str(path)]) == 3


def test_a_notebook_with_a_versions_parameter_comes_out_equal_and_one_without_says_what_it_lacks(own_city: Path, tmp_path: Path) -> None:
    import nbformat.v4 as nb

    setup = "import workbench as wb\nfrom workbench.models.patterns import clock\n"
    pinned = nb.new_notebook(cells=[
        nb.new_code_cell("workspace: str | None = None\nversions: dict[str, int] | None = None", metadata={"tags": ["parameters"]}),
        nb.new_code_cell(setup + "city = wb.open_workbench(workspace, versions=versions)\nweek = clock.week(city.incidents(), '2026-07-01', runs=9)\nweek"),
        nb.new_code_cell("print(city.incidents().height)\nobject()")])
    loose = nb.new_notebook(cells=[nb.new_code_cell(setup + "clock.week(wb.open_workbench().incidents(), '2026-07-01', runs=9)")])
    (own_city / "notebooks" / "pinned.ipynb").write_text(json.dumps(pinned))
    (own_city / "notebooks" / "loose.ipynb").write_text(json.dumps(loose))
    city = wb.open_workbench(own_city)
    city.lake.pin(city.versions, "test")
    for name, given_ in (("pinned", {"workspace": str(own_city), "versions": city.versions}), ("loose", {})):
        executed = runner.again(city, json.loads((own_city / "notebooks" / f"{name}.ipynb").read_text()), given_)
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(executed))
    assert reproduce.verify(tmp_path / "loose.ipynb", city).outcome == reproduce.EQUAL, "as long as nothing was loaded"
    further_loads(own_city, tmp_path)
    now = wb.open_workbench(own_city)
    assert reproduce.verify(tmp_path / "pinned.ipynb", now).outcome == reproduce.EQUAL
    lacking = reproduce.verify(tmp_path / "loose.ipynb", now)
    assert lacking.code == 3 and "takes no parameter `versions`" in lacking.sentence

"""The one gate: what it gives, what it refuses, and that it writes everything down."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import workbench as wb
from workbench import results
from workbench.errors import AccessRefused, BadInput, NotFound, WorkbenchError
from workbench.schema import TABLES

PERSONAL = [n for n, t in TABLES.items() if t.personal]


@pytest.fixture
def closed(city_path: Path) -> Any:
    """The made-up city opened without a case."""
    return wb.open_workbench(city_path)


def test_frames_are_plain_polars_frames_with_the_canonical_columns(city: Any) -> None:
    for name, frame in (("incidents", city.incidents()), ("calls", city.calls()), ("reads", city.reads("2026-06-10", "2026-06-11"))):
        assert type(frame) is pl.DataFrame
        assert frame.height > 100
        wanted = list(TABLES[name].all_columns()) + (["offence_group"] if name == "incidents" else [])
        assert frame.columns == wanted
        assert frame.schema[TABLES[name].time] == pl.Datetime("us", "UTC")


def test_a_period_takes_its_start_and_leaves_its_end_in_local_time(city: Any) -> None:
    may = city.incidents("2026-05-01", "2026-06-01")
    june = city.incidents("2026-06-01", "2026-07-01")
    both = city.incidents("2026-05-01", "2026-07-01")
    assert may.height + june.height == both.height > 0
    assert may["started_at"].min() >= datetime(2026, 5, 1, 5, tzinfo=UTC)
    assert may["started_at"].max() < datetime(2026, 6, 1, 5, tzinfo=UTC)
    with pytest.raises(BadInput, match="is empty"):
        city.incidents("2026-06-01", "2026-06-01")


def test_an_offence_is_the_agencys_group_and_a_slip_names_the_nearest(city: Any) -> None:
    burglaries = city.incidents(offence="burglary")
    assert set(burglaries["nibrs"]) == {"220"} and set(burglaries["offence_group"]) == {"burglary"}
    assert burglaries.height == city.incidents().filter(pl.col("offence_group") == "burglary").height
    assert burglaries.height == city.sql("select count(*) n from incidents where offence_group = 'burglary'")["n"][0]
    with pytest.raises(NotFound, match="Did you mean 'burglary'"):
        city.incidents(offence="burglery")


def test_beat_is_as_recorded_and_area_is_the_polygon(city: Any) -> None:
    beat = city.beats()[0]
    recorded, inside = city.incidents(beat=beat), city.incidents(area=beat)
    assert set(recorded["beat"]) == {beat}
    assert inside["lon"].null_count() == 0
    polygon = city.agency.beats[beat]
    every = city.incidents()
    truth = every.filter(pl.Series(polygon.contains(every["lon"].to_numpy(), every["lat"].to_numpy())))
    assert set(inside["incident_id"]) == set(truth["incident_id"])
    w, s, e, n = polygon.bounds
    assert city.incidents(area=(w, s, e, n)).height >= inside.height
    for wrong in ({"beat": beat + "x"}, {"area": "nowhere at all"}):
        with pytest.raises(NotFound):
            city.incidents(**wrong)
    with pytest.raises(BadInput, match="west, south, east, north"):
        city.incidents(area=(e, s, w, n))


@pytest.mark.parametrize("name", PERSONAL)
def test_a_personal_table_without_case_and_purpose_is_refused_with_an_example(closed: Any, name: str) -> None:
    for ask in (lambda: closed.table(name), lambda: closed.sql(f"select count(*) from {name}")):
        with pytest.raises(AccessRefused, match=r"wb\.open_workbench\('once-city', case='2026-0142', purpose="):
            ask()
    assert closed.audit.entries(1)["phase"][0] == "refused"


def test_incidents_and_calls_need_no_case_and_a_case_without_purpose_is_not_enough(closed: Any, city_path: Path) -> None:
    assert closed.incidents().height and closed.calls().height
    for bound in ({"case": "2026-0142"}, {"purpose": "investigation"}):
        with pytest.raises(AccessRefused):
            wb.open_workbench(city_path, **bound).reads("2026-06-10", "2026-06-11")
    assert closed.bind(case="2026-0142", purpose="investigation", reason="who was near the scenes").reads("2026-06-10", "2026-06-11").height


@pytest.mark.parametrize("query", [
    "with incidents as (select * from reads) select * from incidents",
    "select (select count(*) from people) from calls limit 1",
    "select * from calls where exists (from reads)",
    "select count(*) from rejects",
    "SELECT count(*) FROM \"Reads\"",
])
def test_no_turn_of_sql_reaches_a_closed_table(closed: Any, query: str) -> None:
    with pytest.raises(AccessRefused):
        closed.sql(query)


def test_sql_reads_no_file_changes_no_setting_and_takes_one_select(closed: Any, city_path: Path) -> None:
    reads_file = closed.lake.files("reads", closed.versions)[0]
    for query in (f"select * from read_parquet('{reads_file}')", f"from '{reads_file}'", f"select * from read_text('{city_path}/agency.toml')",
                  f"select * from glob('{city_path}/**')", "select * from read_csv('/etc/passwd')", "select * from closed",
                  "select * from query('select 1 from reads')"):
        with pytest.raises(WorkbenchError):
            closed.sql(query)
    for query in ("delete from incidents", "select 1; select 2", "set threads = 1", "copy incidents to 'x.csv'", "attach 'x.db'", "", "selct 1",
                  "install httpfs"):
        with pytest.raises(BadInput):
            closed.sql(query)


def test_sql_takes_parameters_and_returns_a_frame(city: Any) -> None:
    query = "select plate, count(*) n from reads where read_at >= ? group by plate having n > ? order by n desc"
    found = city.sql(query, [datetime(2026, 6, 20, tzinfo=UTC), 3])
    assert found.columns == ["plate", "n"] and found.height and found["n"].min() > 3
    assert city.sql("select count(*) n from batches")["n"][0] == city.batches().height


def test_every_access_is_written_as_intent_and_outcome_with_case_and_rows(own_city: Path) -> None:
    city = wb.open_workbench(own_city, case="2026-0142", purpose="investigation", reason="near the scenes", user="ann")
    frame = city.reads("2026-06-10", "2026-06-11")
    city.sql("select 1 as one")
    rows = city.audit.entries()
    mine = rows.filter(pl.col("user") == "ann")
    assert mine["action"].to_list() == ["open", "query", "query", "sql", "sql"]
    assert mine["phase"].to_list()[1:3] == ["intent", "done"]
    assert mine["case_number"].unique().to_list() == ["2026-0142"] and mine["reason"].unique().to_list() == ["near the scenes"]
    assert json.loads(mine["detail"][2])["rows"] == frame.height
    assert city.audit.verify()[0]


def test_versions_stay_pinned_until_refresh_and_open_the_same_state_again(own_city: Path, samples: Path, tmp_path: Path) -> None:
    from workbench import workspace
    from workbench.loaders import find

    city = wb.open_workbench(own_city)
    before, pinned = city.incidents().height, dict(city.versions)
    lines = _raw(samples)
    header, row = lines[0], next(ln for ln in lines[1:] if ln.count(",") >= lines[0].count(","))
    extra = tmp_path / "extra.csv"
    number = row.split(",")[0]
    extra.write_text(header + "\n" + row.replace(number, number[:-1] + "X9", 1) + "\n", encoding="utf-8")
    report = workspace.load(own_city, find("sample_incidents"), extra)
    assert (report.read, report.added) == (1, 1)
    assert city.incidents().height == before, "pinned"
    assert wb.open_workbench(own_city, versions=pinned).incidents().height == before
    assert city.refresh().incidents().height == before + 1
    with pytest.raises(NotFound, match="version"):
        wb.open_workbench(own_city, versions={**pinned, "incidents": 999})


def _raw(samples: Path) -> list[str]:
    import gzip

    with gzip.open(samples / "sample_incidents.csv.gz", "rt", encoding="utf-8") as file:
        return [file.readline().rstrip("\r\n") for _ in range(400)]


def test_a_result_names_the_versions_even_of_a_filtered_frame(city: Any) -> None:
    some = city.incidents(offence="burglary").filter(pl.col("lon").is_not_null()).head(50)
    basis = results.Basis.of(some, method="test", time="started_at")
    assert basis.versions == city.versions
    assert basis.rows == 50 and basis.workspace == city.path.name
    assert results.origin_of(some).base() == city.base()
    assert results.fingerprint(some) == results.fingerprint(some.sample(fraction=1, shuffle=True, seed=3)) != results.fingerprint(some.head(49))


def test_rejects_show_raw_text_of_plates_and_persons_only_with_a_case(city: Any, closed: Any) -> None:
    personal = [s for s in city.rejects()["source"].unique() if s in ("sample_reads", "sample_people", "sample_hotlist")]
    assert personal, "the made-up city has dirty records of plates or persons"
    hidden, shown = (w.rejects().filter(pl.col("source").is_in(personal)) for w in (closed, city))
    assert hidden.height == shown.height and hidden["raw"].null_count() == hidden.height and shown["raw"].null_count() == 0
    assert closed.rejects().filter(pl.col("source") == "sample_incidents")["raw"].null_count() == 0


def test_search_finds_numbers_names_plates_and_phones_but_persons_only_with_a_case(city: Any, closed: Any) -> None:
    person = city.table("people").row(0, named=True)
    phone = city.table("phones")["number"][0]
    plate = city.table("vehicles")["plate"].drop_nulls()[0]
    report = city.incidents()["report_number"].drop_nulls()[0]
    assert f"person:{person['person_id']}" in city.find(f"{person['given_name']} {person['surname']}".upper())["id"]
    assert any(i.startswith("phone:") for i in city.find(phone)["id"])
    assert f"vehicle:{plate}" == city.find(plate.lower())["id"][0]
    assert set(closed.find(report)["kind"]) == {"incident"}
    assert "case:2026-0142" in closed.find("2026-0142")["id"]
    assert closed.find(plate).filter(pl.col("kind") == "vehicle").height == 0
    for hostile in ("' or 1=1 --", "%%%aa", "<script>alert(1)</script>", "\\'; drop table x"):
        assert city.find(hostile).columns == ["kind", "id", "label"]
    with pytest.raises(BadInput, match="at least two"):
        city.find("'%")


def test_the_grid_covers_the_study_area_and_asof_ends_the_last_day(city: Any) -> None:
    grid = city.grid(250)
    assert 500 < grid.n_inside < 20_000
    inside = grid.locate(city.incidents().drop_nulls("lon")) >= 0
    assert inside.mean() > 0.95
    latest = city.incidents()["started_at"].max()
    assert timedelta(0) < city.asof - latest <= timedelta(days=1)
    assert city.asof.astimezone(city.agency.tz).hour == 0


def test_opening_nothing_says_how_to_make_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotFound, match="workbench init"):
            wb.open_workbench(path)


def test_opening_without_a_path_finds_the_workspace_above(city_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(city_path / "notebooks")
    assert wb.open_workbench().path == city_path.resolve()


def test_nothing_is_written_outside_the_workspace_by_asking(own_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    city = wb.open_workbench(own_city, case="2026-0142", purpose="investigation", reason="who was near the scenes")
    city.incidents(), city.facts(), city.sql("select * from incidents order by random()"), city.find("26"), city.grid(), city.base()
    assert list(away.iterdir()) == []

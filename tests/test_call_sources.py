"""Sources of calls for service: each quirk of each real file and ten-row export, and the response figures that rest on their times."""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from workbench import loaders, schema
from workbench.errors import BadInput, CannotTell
from workbench.lake import Lake
from workbench.loaders.kit import expressions, functions, times
from workbench.models.patterns import response


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def loaded(name: str, *paths: Path, lake: Path) -> pl.DataFrame:
    """The calls of a source after its files went in, with balancing counts."""
    held = Lake(lake)
    for path in paths:
        report = held.load(loaders.find(name), path)
        assert report.read == report.added + report.updated + report.duplicate + report.rejected > 0
    return held.frame("calls")


def write(path: Path, header: tuple[str, ...], *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *([row.get(c, "") for c in header] for row in rows)])
    return path


@pytest.fixture(scope="session")
def exports(real_data: Path) -> Path:
    """The folder of ten-row exports."""
    return real_data.parent / "domain" / "schemas" / "samples"


# ---------------------------------------------------------------- doubts


def doubts(*chain: str | None) -> list[str] | None:
    stages = ("received", "dispatched", "en_route", "arrived", "cleared", "closed")
    expression = times.chain_doubts(**{s: expressions.local_time(s, "iso") for s, _ in zip(stages, chain, strict=False)})
    given = ", ".join(f"{'null' if v is None else expressions.quoted('2026-01-01 ' + v)}::varchar as {s}" for s, v in zip(stages, chain, strict=False))
    steps = "".join(f", {sql} as {expressions.column(step)}" for step, sql in expression.steps)
    con = duckdb.connect()
    functions.register(con)
    sql = f"select {expression}, {expression.quick} from (select *{steps} from (select {given}))".replace(expressions.ZONE, "UTC")
    full, quick = con.execute(sql).fetchall()[0]
    con.close()
    assert full == quick
    return full  # type: ignore[no-any-return]


def test_doubts_name_every_pair_of_times_that_cannot_be_and_nothing_else() -> None:
    assert doubts("10:00", "10:05", "10:06", "10:20", "11:00", "11:00") is None
    assert doubts("10:00", "10:00", "10:00", "10:00") is None, "at once is possible"
    assert doubts("10:00", None, None, None) is None and doubts(None, None, None, None) is None, "what is not known is not doubtful"
    assert doubts("10:00", "10:05", None, "10:02") == ["arrived before dispatched"]
    assert doubts("10:00", "09:59", "10:02", "10:20", "10:10") == ["dispatched before received", "cleared before arrived"]


# ---------------------------------------------------------------- New Orleans and response figures


def test_new_orleans_says_1036_seconds_leaves_out_what_an_officer_found_and_flags_what_cannot_be(exports: Path, tmp_path: Path) -> None:
    calls = loaded("new_orleans_calls", exports / "new_orleans_calls_for_service_2017.csv", lake=tmp_path)
    took = calls.with_columns(response.seconds(calls), response.left_out(calls))
    by_id = {r["call_id"]: r for r in took.iter_rows(named=True)}
    assert by_id["A0000117"]["response_seconds"] == 1036 and by_id["A0000117"]["doubts"] is None
    found, wrong = by_id["A0000217"], by_id["A0000617"]
    assert (found["self_initiated"], found["dispatched_at"], found["response_seconds"], found["left_out"]) == (True, None, None, "self-initiated")
    assert (wrong["doubts"], wrong["response_seconds"], wrong["left_out"]) == (["arrived before dispatched"], None, "doubtful times")
    assert calls.filter(pl.col("lon").is_between(-90.2, -89.9) & pl.col("lat").is_between(29.8, 30.1)).height == calls.height == 10
    assert (calls["call_type"] != calls["initial_type"]).sum() > 0
    result = response.by_group(calls, "2017-02-01", by="district", window="60d")
    assert result.table["calls"].sum() == 10 and result.table["timed"].sum() == took["response_seconds"].drop_nulls().len()
    assert result.table.select(pl.sum_horizontal("timed", *response.REASONS)).to_series().sum() == 10, "every call is timed or left out for one reason"
    assert "Left out: 1 self-initiated" in dict(result.basis.lines())["Note"] and "1 doubtful times" in dict(result.basis.lines())["Note"]


def calls_of(minutes: list[float], **columns: Any) -> pl.DataFrame:
    """Made-up calls that were reached after so many minutes."""
    start = at(2026, 5, 1)
    received = [start + timedelta(minutes=7 * i) for i in range(len(minutes))]
    frame = pl.DataFrame({
        "call_id": [str(i) for i in range(len(minutes))], "received_at": received, "dispatched_at": [r + timedelta(seconds=20) for r in received],
        "arrived_at": [r + timedelta(minutes=m) for r, m in zip(received, minutes, strict=True)], "priority": ["1"] * len(minutes)})
    frame = frame.with_columns(self_initiated=pl.lit(False), doubts=pl.lit(None, dtype=pl.List(pl.String)))
    return frame.with_columns(**{name: pl.Series(name, values) for name, values in columns.items()})


def test_response_figures_agree_with_numpy_hold_the_true_median_and_do_not_depend_on_order() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(60):
        minutes = rng.lognormal(2.0, 0.8, 81)
        row = response.by_group(calls_of(list(minutes)), "2026-06-01", window="60d").table.row(0, named=True)
        middle, most = 60 * np.quantile(minutes, [0.5, 0.9])
        assert (row["median"], row["p90"]) == (pytest.approx(middle, abs=1e-3), pytest.approx(most, abs=1e-3))
        held += row["low"] <= 60 * np.exp(2.0) <= row["high"]
    assert held >= 53, "a 95 % interval holds the true median nearly always"
    calls = calls_of(list(minutes), priority=["1", "2", "3"] * 27)
    shuffled = calls.sample(fraction=1.0, shuffle=True, seed=1)
    first, second = (response.by_group(c, "2026-06-01", window="60d") for c in (calls, shuffled))
    assert first.table.equals(second.table) and first.headline == second.headline and "Slowest priority" in first.headline


def test_groups_that_are_alike_seldom_differ_beyond_their_intervals() -> None:
    rng, apart = random.Random(3), 0
    for _ in range(40):
        calls = calls_of([rng.lognormvariate(2, 0.8) for _ in range(120)], priority=[rng.choice("12") for _ in range(120)])
        low, high = response.by_group(calls, "2026-06-01", window="60d").table.select("low", "high").sort("low").rows()
        apart += low[1] < high[0]
    assert apart <= 2, "intervals of the same median lie apart in less than one in twenty"


def test_nothing_after_asof_is_looked_at_and_few_calls_get_no_interval() -> None:
    calls = calls_of([10.0, 10.0, 10.0, 600.0])
    table = response.by_group(calls, at(2026, 5, 1, 1), window="1d").table
    row = table.row(0, named=True)
    assert (row["calls"], row["timed"], row["never on scene"], row["low"]) == (4, 3, 1, None), "who has not arrived by then is not on scene"
    wrong = calls.with_columns(arrived_at=pl.col("received_at") - timedelta(seconds=1))
    assert response.left_out(wrong).unique().to_list() == ["on scene before received"]
    with pytest.raises(CannotTell, match=r"no call was received in that time\. Choose a longer window"):
        response.by_group(calls, "2025-01-01")
    with pytest.raises(CannotTell, match="Left out: 4 on scene before received"):
        response.by_group(wrong, "2026-06-01", window="60d")
    with pytest.raises(BadInput, match="no column 'priorit'. Did you mean 'priority'"):
        response.by_group(calls, "2026-06-01", by="priorit")
    assert response.seconds(schema.TABLES["calls"].empty()).is_empty()


# ---------------------------------------------------------------- Wilmington


def test_wilmington_has_the_whole_chain_its_units_and_a_place_in_feet(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "cad_other" / "Wilmington_ShotspotterCAD_calls.csv"
    calls, raw = loaded("wilmington_calls", file, lake=tmp_path), pl.read_csv(file, infer_schema=False)
    assert calls.height == raw.height == calls["call_id"].n_unique()
    for ours, theirs in {"dispatched_at": "first Dispatch Time", "en_route_at": "first unit on the way", "arrived_at": "first unit there",
                         "cleared_at": "last unit to leave the scene"}.items():
        assert calls[ours].null_count() == raw.filter(pl.col(theirs) == "NULL").height
    assert calls["closed_at"].null_count() == 0
    placed = calls.drop_nulls("lon")
    assert placed.filter(pl.col("lon").is_between(-78.1, -77.7) & pl.col("lat").is_between(34.0, 34.4)).height == placed.height
    both = calls.join(raw.with_row_index("line", offset=1).with_columns(pl.col("line").cast(pl.Int64)), on="line").drop_nulls("Latitude")
    off = (both["lat"] - both["Latitude"].cast(pl.Float64)).abs().median()
    assert off is not None and float(off) < 0.0005, "feet and degrees agree within some 50 m"  # type: ignore[arg-type]
    assert raw.filter(pl.col("geox") == "0").height >= calls["lon"].null_count() > 0
    units = calls["units"].drop_nulls()
    assert units.list.len().is_between(1, 2).all() and (units.list.n_unique() == units.list.len()).all()
    assert not calls["disposition"].drop_nulls().str.contains(r"^\s|\s$").any()
    local = calls["received_at"].dt.convert_time_zone("America/New_York").dt.strftime("%m/%d/%Y %H:%M:%S")
    assert (calls.with_columns(local=local).join(raw.with_row_index("line", offset=1).select(pl.col("line").cast(pl.Int64), "calltime"), on="line")
            .select((pl.col("local") == pl.col("calltime")).mean()).item()) > 0.999
    assert calls["doubts"].drop_nulls().list.len().min() != 0, "no empty list of doubts"
    figures = response.by_group(calls, "2016-01-01", by="call_source", window="2000d").table.row(0, named=True)
    assert 120 < figures["median"] < 1200 and figures["calls"] == calls.height


# ---------------------------------------------------------------- Nashville, San Diego, Montgomery


def test_nashville_takes_off_the_doubled_byte_order_mark_and_keeps_calls_without_a_place(real_data: Path, tmp_path: Path) -> None:
    calls = loaded("nashville_calls", real_data / "cad_other" / "nashville_calls_2024.csv.gz", lake=tmp_path)
    assert calls.height == 26_935 == calls["call_id"].n_unique()
    assert 0.3 < calls["lon"].null_count() / calls.height < 0.35 and calls["call_type"].null_count() == 0
    assert calls["call_type"].str.starts_with("TEN-CODE ").sum() > 0 and not calls["disposition"].drop_nulls().str.contains('"').any()
    hour = calls["received_at"].dt.convert_time_zone("America/Chicago").dt.hour()
    assert hour.is_between(7, 18).mean() > hour.is_in([1, 2, 3, 4, 5]).mean() * 4  # type: ignore[operator]
    assert calls["units"].drop_nulls().list.len().unique().to_list() == [1]


def test_san_diego_joins_the_code_lists_beside_the_file_and_puts_the_address_together(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "cad_other" / "sandiego_pd_calls_for_service_2023_datasd.csv.gz"
    calls = loaded("san_diego_calls", file, lake=tmp_path / "lake")
    assert calls.height == calls["call_id"].n_unique() and calls["lon"].null_count() == calls.height
    assert (calls["call_type"] != calls["category"]).mean() > 0.98 and "FLAG DOWN/FIELD INITIATED" in set(calls["call_type"])  # type: ignore[operator]
    assert calls["disposition"].str.len_chars().median() > 5, "wordings, not codes"  # type: ignore[operator]
    assert "-1" not in set(calls["beat"].drop_nulls()) and calls.filter(pl.col("beat").is_null())["district"].null_count() == calls["beat"].null_count() > 0
    assert calls.filter(pl.col("beat").is_not_null())["district"].null_count() / calls.height < 0.01
    assert calls["address"].str.contains(r"^[^&]+ & [^&]+$").sum() > 500 and calls["address"].str.starts_with("0 ").sum() == 0
    alone = tmp_path / "alone.csv"
    source = loaders.find("san_diego_calls")
    write(alone, source.columns, {"incident_num": "E1", "date_time": "2023-01-01 00:00:05", "call_type": "FD", "disposition": "K", "beat": "523",
                                  "address_number_primary": "4000", "address_dir_primary": "E", "address_road_primary": "ANY", "address_sfx_primary": "ST"})
    row = loaded("san_diego_calls", alone, lake=tmp_path / "other").row(0, named=True)
    assert (row["call_type"], row["disposition"], row["district"], row["address"]) == ("FD", "K", None, "4000 E ANY ST"), "without the lists codes stand"


def test_montgomery_takes_time_and_station_out_of_the_text_and_drops_far_places(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "cad_other" / "montgomery_pa_911.csv.gz"
    calls, raw = loaded("montgomery_pa_calls", file, lake=tmp_path / "lake"), pl.read_csv(file, infer_schema=False)
    assert set(calls["category"]) == {"EMS", "Fire", "Traffic"} and not calls["call_type"].str.contains(r"^(EMS|Fire|Traffic):|-$").any()
    assert raw.select("desc", "title").unique().height == calls.height, "the same call sent again is one call"
    late = (calls["revised_at"] - calls["received_at"]).dt.total_minutes()
    assert late.median() < 10 and calls.filter(pl.col("units").is_not_null()).height > 0.5 * calls.height  # type: ignore[operator]
    far = calls.filter(pl.col("lon").is_null())
    assert 0 < far.height < 50 and calls["lon"].drop_nulls().is_between(-76.3, -74.5).all() and calls["lat"].drop_nulls().is_between(39.5, 40.8).all()
    header = ("lat", "lng", "desc", "zip", "title", "timeStamp", "twp", "addr", "e")
    row = {"lat": "40.2", "lng": "-75.5", "desc": "A RD & B ST; HERE; 2016-05-27 @ 18:41:07-Station:STA27;", "title": "Fire: GAS-ODOR/LEAK",
           "timeStamp": "2016-05-27 18:46:01", "twp": "HERE", "addr": "A RD & B ST", "e": "1"}
    rows = [row, {**row, "timeStamp": "2016-05-27 18:47:01"}, {**row, "desc": "A RD; HERE;", "title": "Traffic: VEHICLE ACCIDENT -"},
            {**row, "desc": "C RD; HERE; Station 332; 2016-05-27 @ 25:41:07;"}]
    lake = Lake(tmp_path / "small")
    report = lake.load(loaders.find("montgomery_pa_calls"), write(tmp_path / "a.csv", header, *rows))
    assert (report.added, report.updated, report.rejects_by_reason) == (2, 1, {"received_at not readable": 1})
    frame = lake.frame("calls").sort("received_at")
    assert frame["received_at"].to_list() == [at(2016, 5, 27, 22, 41, 7), at(2016, 5, 27, 22, 46, 1)] and frame["units"].to_list() == [["Station STA27"], None]
    assert frame["call_type"].to_list() == ["GAS-ODOR/LEAK", "VEHICLE ACCIDENT"]


# ---------------------------------------------------------------- the ten-row exports


def test_hartford_tells_discovered_from_reported(exports: Path, tmp_path: Path) -> None:
    calls = loaded("hartford_calls", exports / "hartford_police_calls.csv", lake=tmp_path)
    assert set(calls["call_source"]) == {"officer", "citizen"} and calls["self_initiated"].to_list() == [s == "officer" for s in calls["call_source"]]
    assert "02:56" in calls["received_at"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M").to_list()
    assert calls["call_type"].str.contains(": ").sum() == 1


def test_exports_that_do_not_say_when_a_call_was_received_say_so_in_doubts(exports: Path, tmp_path: Path) -> None:
    named = {"seattle_calls": "seattle_911_response.csv", "rockford_calls": "rockford_dispatch.csv", "los_angeles_calls": "lapd_calls_2015.csv"}
    for name, file in named.items():
        calls = loaded(name, exports / file, lake=tmp_path / name)
        assert calls.height == 10 and calls["doubts"].list.first().unique().to_list() == [times.NOT_RECEIVED], name
        assert response.seconds(calls).null_count() == 10, "no response figure is made of a time that stands for another"
    assert "006" in set(calls["category"]) and calls.filter(category="006")["self_initiated"].to_list() == [True]


def test_san_francisco_and_santa_rosa_keep_what_they_say(exports: Path, tmp_path: Path) -> None:
    frisco = loaded("san_francisco_calls", exports / "san_francisco_police_calls.csv", lake=tmp_path / "a")
    assert frisco.height == 10 and frisco["address"].str.contains("Pier 7, Sf").sum() == 1
    rosa = loaded("santa_rosa_calls", exports / "santa_rosa_calls.csv", lake=tmp_path / "b")
    assert rosa.height == 10 and rosa["lon"].null_count() == 10 and rosa["self_initiated"].all() and "CITE" in set(rosa["disposition"].drop_nulls())
    source = loaders.find("santa_rosa_calls")
    row = {"date_time": "2017-03-06T09:57:00", "event_num": "1", "nature_code": "T", "event_source": "911", "location": "(38.44, -122.71)"}
    one = loaded("santa_rosa_calls", write(tmp_path / "c.csv", source.columns, row), lake=tmp_path / "c").row(0, named=True)
    assert (one["lat"], one["lon"], one["self_initiated"], one["call_type"]) == (38.44, -122.71, False, "T")


# ---------------------------------------------------------------- Flock-style events

EVENT: dict[str, Any] = {
    "externalId": "CAD-1", "eventType": "BURGLARY", "priority": 1, "timestamp": "2026-05-01T10:00:00Z", "displayStatus": "pending", "area": "B2",
    "location": {"latitude": 40.1, "longitude": -75.2, "streetAddress": "1 ANY ST", "city": "HERE"}, "callerInfo": {"name": "NOBODY"},
    "dispatchedUnits": ["A1"], "narratives": ["door found open"], "updatedAt": "2026-05-01T10:00:10Z"}


def test_an_event_sent_again_is_an_edition_and_all_editions_are_kept(tmp_path: Path) -> None:
    later = {**EVENT, "displayStatus": "on scene", "eventType": "ROBBERY", "dispatchedUnits": [{"name": "A1"}, {"callSign": "B2"}],
             "narratives": [{"narrative": "door found open"}, {"text": "one detained"}], "updatedAt": "2026-05-01T10:09:00Z"}
    closed = {**later, "displayStatus": "closed", "closedAt": "2026-05-01T11:00:00Z", "updatedAt": "2026-05-01T11:00:00Z"}
    source, lake = loaders.find("flock_calls"), Lake(tmp_path / "lake")
    first = tmp_path / "events.json"
    first.write_text(json.dumps({"events": [EVENT, {**EVENT, "externalId": "CAD-2", "location": None, "dispatchedUnits": None}]}), encoding="utf-8")
    second = tmp_path / "events.ndjson"
    older, broken = {**EVENT, "updatedAt": "2026-05-01T09:00:00Z"}, {"externalId": "CAD-3"}
    second.write_text("\n".join(json.dumps(e) for e in (later, closed, older, broken)), encoding="utf-8")
    report = lake.load(source, first)
    assert (report.added, report.rejected) == (2, 0)
    report = lake.load(source, second)
    assert (report.added, report.updated, report.read) == (0, 2, 4) and report.rejected == 2 and "no call_type" not in report.rejects_by_reason
    row = lake.frame("calls").filter(call_id="CAD-1").row(0, named=True)
    assert (row["disposition"], row["call_type"], row["units"], row["closed_at"]) == ("closed", "ROBBERY", ["A1", "B2"], at(2026, 5, 1, 11))
    assert (row["narrative"], row["address"], row["lon"]) == ("door found open\none detained", "1 ANY ST, HERE", -75.2)
    con = lake.connect()
    editions = lake.relation_sql("calls", lake.versions(), history=True)
    history = con.execute(f"select disposition from {editions} where call_id = 'CAD-1' order by revised_at").fetchall()
    con.close()
    assert [d for d, in history] == ["pending", "on scene", "closed"]
    bare = lake.frame("calls").filter(call_id="CAD-2").row(0, named=True)
    assert (bare["lon"], bare["units"], bare["address"]) == (None, None, None)
    assert "NOBODY" not in str(lake.frame("calls").rows()), "who called is not taken"

"""Call-detail records: numbers, durations, directions and times however a carrier writes them, and what is planted in the made-up city."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from workbench.errors import AccessRefused
from workbench.lake import Lake
from workbench.loaders import find
from workbench.loaders.call_detail_records import seconds, telephone


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def asked(expression: str, value: str | None) -> Any:
    with duckdb.connect() as con:
        return con.execute(f"select {expression} from (select ?::varchar as x)", [value]).fetchone()[0]  # type: ignore[index]


@pytest.mark.parametrize(("given", "number"), [
    ("(563) 555-0100", "+15635550100"), ("1-563-555-0100", "+15635550100"), ("+1 563 555 0100", "+15635550100"), ("011 44 20 7946 0000", "+442079460000"),
    ("0044 20 7946 0000", "+442079460000"), ("+49 30 1234567", "+49301234567"), ("tel:+15635550100;phone-context=x", "+15635550100"),
    ("sip:+15635550100@ims.example", "+15635550100"), ("611", "611"), ("0301234567", "0301234567"), ("Anonymous", None), ("", None), (None, None),
])
def test_numbers_become_digits_in_international_form_where_that_can_be_told(given: str | None, number: str | None) -> None:
    assert asked(telephone('"x"'), given) == number


@pytest.mark.parametrize(("given", "length"), [
    ("75", 75.0), ("75.5", 75.5), ("75 s", 75.0), ("1:15", 75.0), ("0:01:15", 75.0), ("01:00:05", 3605.0), ("1m 15s", 75.0), ("PT1M15S", 75.0), ("2h", 7200.0),
    ("1 hour", 3600.0), ("3 min 5 sec", 185.0), ("PT", None), ("a while", None), ("-5", None), ("1:2:3:4", None), ("", None),
])
def test_durations_are_read_in_every_usual_notation(given: str, length: float | None) -> None:
    assert asked(str(seconds('"x"')), given) == length


def test_a_targets_export_with_direction_gives_caller_and_called(tmp_path: Path) -> None:
    file = tmp_path / "cdr.csv"
    file.write_text("Target Number,Other Party,Direction,Call Date,Call Time,Duration,Service Type,First Cell ID,Azimuth,Latitude,Longitude\n"
                    "(563) 555-0100,1-563-555-0111,Incoming,06/01/2026,1:05 PM,1:15,Voice MT,310-1,120,41.6,-90.9\n"
                    "5635550100,011 44 20 7946 0000,Outgoing,06/01/2026,13:10:00,1m 5s,SMS-MO,310-1,,0,0\n"
                    "5635550100,Anonymous,Incoming,06/01/2026,14:10:00,2,VoLTE,310-1,400,41.6,-90.9\n"
                    ",Private,Outgoing,06/01/2026,14:10:00,5,Voice,310-1,1,41.6,-90.9\n"
                    "5635550100,611,out,06/01/2026,14:12:00,a while,data session,,,,\n", encoding="utf-8")
    lake = Lake(tmp_path / "lake")
    report = lake.load(find("call_detail_records"), file, zone="America/Chicago")
    assert report.rejects_by_reason == {"azimuth not readable": 1, "no number of either party": 1, "seconds not readable": 1}
    rows = lake.frame("phone_calls").sort("started_at").select("caller", "called", "started_at", "seconds", "kind", "azimuth", "lon").rows()
    assert rows == [("+15635550111", "+15635550100", utc(2026, 6, 1, 18, 5), 75.0, "voice", 120.0, -90.9),
                    ("+15635550100", "+442079460000", utc(2026, 6, 1, 18, 10), 65.0, "text", None, None)]
    assert lake.load(find("call_detail_records"), file, zone="America/Chicago").duplicate == 2, "the same file again adds nothing"


def test_both_parties_may_have_a_column_each_and_times_an_offset(tmp_path: Path) -> None:
    file = tmp_path / "cdr.csv"
    file.write_text("Record ID,Calling Party,Called Party,Start Time,Duration Minutes,Cell Site\n"
                    "1,+15635550100,tel:+15635550111,2026-06-01T13:05:00-05:00,1.5,A7\n")
    lake = Lake(tmp_path / "lake")
    assert lake.load(find("call_detail_records"), file, zone="UTC").added == 1
    row = lake.frame("phone_calls").row(0, named=True)
    assert (row["call_id"], row["caller"], row["called"], row["started_at"]) == ("1", "+15635550100", "+15635550111", utc(2026, 6, 1, 18, 5))
    assert (row["seconds"], row["cell"], row["kind"]) == (90.0, "A7", None)


def test_the_two_planted_numbers_speak_before_and_after_the_scenes_by_the_nearest_cell(tmp_path: Path, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text())
    lake = Lake(tmp_path / "lake")
    report = lake.load(find("sample_phone_calls"), samples / "sample_phone_calls.csv.gz")
    told = planted["files"]["sample_phone_calls.csv.gz"]
    assert {k: getattr(report, k) for k in ("read", "added", "updated", "duplicate", "rejected")} == {k: v for k, v in told.items() if k != "without_place"}
    lake.load(find("sample_incidents"), samples / "sample_incidents.csv.gz")
    pair, calls = planted["phone_calls"]["numbers"], lake.frame("phone_calls")
    scenes = lake.frame("incidents").filter(pl.col("incident_id").is_in(planted["phone_calls"]["before_and_after"]))
    between = calls.filter(pl.col("caller").is_in(pair) & pl.col("called").is_in(pair)).sort("started_at")
    assert scenes.height == len(planted["phone_calls"]["before_and_after"]) >= 8
    assert between.height == 2 * scenes.height, "they speak at no other time"
    first = between.gather_every(2)["started_at"].to_list()
    assert all(timedelta(0) < b - a < timedelta(minutes=80) for a, b in zip(first, between.gather_every(2, 1)["started_at"].to_list(), strict=True))


def test_call_records_need_a_case_and_are_in_the_made_up_city(city: Any, city_path: Path) -> None:
    import workbench as wb

    numbers = set(city.table("phones")["number"])
    calls = city.rows("phone_calls", "2026-06-01", "2026-07-01")
    assert calls.height > 100 and set(calls["caller"]) | set(calls["called"]) <= numbers
    with pytest.raises(AccessRefused):
        wb.open_workbench(city_path).table("phone_calls")

"""Sources of what a crime centre watches and gathers: plate readers, hotlists, gunshots, cameras, units, posts, counts, arrests and the like.

Real files are read for their quirks and counts; vendors' records are written here by hand, with made-up values.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl
import pytest

from workbench import loaders
from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.lake import Lake
from workbench.loaders import find
from workbench.loaders.kit import expressions, lists, moments, regions
from workbench.models.plates import hotlist

MINE = (
    "openalpr_groups",
    "openalpr_results",
    "openalpr_csv",
    "flock_reads",
    "flock_hotlist",
    "generic_reads",
    "ncic_hotlist",
    "washington_gunshots",
    "oakland_gunshots",
    "st_louis_gunshots",
    "san_francisco_gunshots",
    "gunshot_csv",
    "gunshot_xml",
    "gunshot_arrivals",
    "casings_csv",
    "chicago_red_light_cameras",
    "chicago_speed_cameras",
    "camera_registry",
    "unit_cameras",
    "avl_csv",
    "unit_positions",
    "posts_export",
    "people_counts_csv",
    "arrests_csv",
    "baltimore_arrests",
    "interviews_csv",
    "warrants_csv",
    "recoveries_csv",
    "people_csv",
    "vehicles_csv",
    "involvements_csv",
    "call_detail_records",
)


def ndjson(path: Path, *records: dict[str, Any] | str) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


def table(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def loaded(tmp_path: Path, name: str, file: Path, *, zone: str | None = "America/Chicago", **said: str) -> tuple[Lake, Any]:
    lake = Lake(tmp_path / "lake")
    report = lake.load(find(name), file, zone=zone, said=said or None)
    assert report.read == report.added + report.updated + report.duplicate + report.rejected
    return lake, report


def evaluated(expression: str, *records: dict[str, str | None]) -> list[Any]:
    """An expression over raw records, its quick form and its full form, which must agree."""
    shown = ["(" + ", ".join([str(k), *("null" if v is None else expressions.quoted(v) for v in r.values())]) + ")" for k, r in enumerate(records)]
    names = ", ".join(["n", *(expressions.column(c) for c in records[0])])
    steps = "".join(f", {sql} as {expressions.column(step)}" for step, sql in getattr(expression, "steps", ()))
    raw = f"select * from (values {', '.join(shown)}) as v({names})"
    sql = f"select ({expression})::varchar, ({getattr(expression, 'quick', expression)})::varchar from (select *{steps} from ({raw})) order by n"
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    rows = con.execute(sql.replace(expressions.ZONE, "America/Chicago")).fetchall()
    con.close()
    assert [full for full, _ in rows] == [quick for _, quick in rows]
    return [full for full, _ in rows]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


# ---------------------------------------------------------------- all of them


def test_no_two_columns_of_a_source_listen_to_the_same_header() -> None:
    def folded(word: str) -> str:
        return re.sub(r"[\W_]+", "", word.casefold()) or word

    for name in MINE:
        source, owner = find(name), {}
        raw = (*source.columns, *source.optional)
        assert set(source.also) <= set(raw), name
        for column in raw:
            for word in {folded(w) for w in (column, *source.also.get(column, ()))}:
                assert owner.setdefault(word, column) == column, (name, word)


# ---------------------------------------------------------------- states


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("us-ne", "NB"),
        ("NE", "NB"),
        ("Nebraska", "NB"),
        ("nebraska", "NB"),
        ("NB", "NB"),
        ("us-gu", "GM"),
        ("GU", "GM"),
        ("new_hampshire", "NH"),
        ("u.s._virgin_islands", "VI"),
        ("washington_dc", "DC"),
        ("il", "IL"),
        ("ca-nb", "NK"),
        ("QC", "PQ"),
        ("Saskatchewan", "SN"),
        ("eu-de", "EU-DE"),
    ],
)
def test_states_in_any_spelling_become_ncic_codes_and_unknown_ones_stay(given: str, code: str) -> None:
    assert regions.ncic(given) == code


def test_the_state_table_agrees_with_the_crosswalk_of_the_field(real_data: Path) -> None:
    rows = list(csv.DictReader((real_data.parent / "domain" / "codes" / "state_crosswalk.csv").open(encoding="utf-8")))
    for row in rows:
        for spelling in (row["usps"], row["name"], row["openalpr_region"], row["flock_state"]):
            assert regions.ncic(spelling) == row["ncic_lis"], spelling
    assert len(rows) == 54


def test_the_same_state_table_works_in_the_lake_and_in_python(tmp_path: Path) -> None:
    words = ("us-ne", "NE", "Guam", "new_hampshire", "ca-nb", "QC", "eu-de", "XX")
    file = table(tmp_path / "v.csv", "vehicle id,plate,state", *(f"{k},AAA000{k},{w}" for k, w in enumerate(words)), "9,BBB1,")
    lake, _ = loaded(tmp_path, "vehicles_csv", file)
    assert lake.frame("vehicles").sort("vehicle_id")["region"].to_list() == [*(regions.ncic(w) for w in words), None]


# ---------------------------------------------------------------- plate reads


def group(**changed: Any) -> dict[str, Any]:
    base = {
        "data_type": "alpr_group",
        "version": 3,
        "epoch_start": 1780000000123,
        "epoch_end": 1780000002456,
        "agent_uid": "AGENT",
        "camera_id": 1234,
        "gps_latitude": 41.6,
        "gps_longitude": -90.9,
        "best_uuid": "AGENT-1234-1780000001000",
        "best_plate_number": "KRT4821",
        "best_confidence": 92.5,
        "best_region": "us-ne",
        "travel_direction": 180.0,
        "is_parked": False,
        "candidates": [
            {"plate": "KRT4821", "confidence": 92.5, "matches_template": 1},
            {"plate": "KRT482I", "confidence": 71.25, "matches_template": 0},
            {"plate": "KRT-4B21", "confidence": 80.0, "matches_template": 0},
            {"plate": "KRT4B21", "confidence": 12.0, "matches_template": 0},
        ],
        "vehicle": {
            "color": [{"name": "silver-gray", "confidence": 80.1}, {"name": "white", "confidence": 9}],
            "make": [{"name": "halden", "confidence": 40}],
            "make_model": [{"name": "halden_arrow", "confidence": 30}],
            "body_type": [{"name": "sedan-standard", "confidence": 60}],
        },
        "web_server_config": {"camera_label": "North gate", "agent_label": "Fairground"},
    }
    return {k: v for k, v in {**base, **changed}.items() if v is not None}


def test_openalpr_groups_keep_their_candidates_and_map_state_confidence_and_vehicle(tmp_path: Path) -> None:
    file = ndjson(
        tmp_path / "groups.ndjson",
        group(),
        group(
            best_uuid=None,
            best_plate_number=None,
            best_region=None,
            best_confidence=None,
            candidates=None,
            vehicle=None,
            web_server_config=None,
            best_plate={"plate": "qqq 0001", "confidence": 55.5, "region": "mo", "candidates": [{"plate": "QQQ0001", "confidence": 55.5}]},
            gps_latitude=-1,
            gps_longitude=-1,
        ),
        {"data_type": "heartbeat", "timestamp": 1780000000000},
        group(best_uuid="b", best_plate_number="", best_plate=None),
        group(best_uuid="c", epoch_start="x"),
        group(best_uuid="d", best_confidence=140),
        group(),
        "not json",
    )
    lake, report = loaded(tmp_path, "openalpr_groups", file)
    assert (report.added, report.duplicate) == (2, 1)
    assert report.rejects_by_reason == {
        "not of a kind that this source knows": 1,
        "no plate": 1,
        "read_at not readable": 1,
        "confidence not readable": 1,
        "not readable as JSON": 1,
    }
    one, two = lake.frame("reads").sort("line").to_dicts()
    assert one["plate"] == "KRT4821" and one["region"] == "NB" and one["reader"] == "North gate" and one["confidence"] == 0.925
    assert one["alternatives"] == ["KRT4B21", "KRT482I"] and one["alternative_confidences"] == [0.8, 0.7125]
    assert one["read_at"] == utc(2026, 5, 28, 20, 26, 40, 123000) and (one["lon"], one["lat"]) == (-90.9, 41.6)
    assert (one["make"], one["model"], one["colour"], one["body"]) == ("halden", "halden_arrow", "silver-gray", "sedan-standard")
    assert one["direction"] is None and one["moving"] is None and one["image"] == "AGENT-1234-1780000001000"
    assert two["plate"] == "QQQ0001" and two["plate_raw"] == "qqq 0001" and two["region"] == "MO" and two["reader"] == "1234" and two["lon"] is None
    assert two["alternatives"] is None and re.fullmatch(r"[0-9a-f]{32}", two["read_id"])


def test_an_openalpr_camera_whose_bearing_and_kind_are_said_gives_direction_and_moving(tmp_path: Path) -> None:
    lake, _ = loaded(
        tmp_path, "openalpr_groups", ndjson(tmp_path / "g.ndjson", group(), group(best_uuid="z", travel_direction=None)), bearing="270", moving="no"
    )
    assert lake.frame("reads").sort("line").select("direction", "moving").rows() == [(90.0, False), (None, False)]


def test_openalpr_results_give_the_surest_plate_of_a_frame(tmp_path: Path) -> None:
    results = [
        {"plate": "AAA0001", "confidence": 60.0, "region": "us-ia", "candidates": []},
        {
            "plate": "BBB0002",
            "confidence": 90.0,
            "region": "us-il",
            "candidates": [{"plate": "BBB0002", "confidence": 90}, {"plate": "8BB0002", "confidence": 70}],
        },
    ]
    base = {"data_type": "alpr_results", "uuid": "u1", "camera_id": 7, "epoch_time": 1780000000123}
    file = ndjson(tmp_path / "r.ndjson", {**base, "results": results}, {**base, "uuid": "u2", "results": []})
    lake, report = loaded(tmp_path, "openalpr_results", file)
    assert report.rejects_by_reason == {"no plate": 1}
    row = lake.frame("reads").row(0, named=True)
    assert (row["plate"], row["region"], row["confidence"], row["alternatives"], row["reader"]) == ("BBB0002", "IL", 0.9, ["8BB0002"], "7")


def test_the_forensic_csv_is_read_under_its_own_and_under_screen_headers(tmp_path: Path) -> None:
    own = table(
        tmp_path / "own.csv",
        "best_uuid,best_plate,best_confidence,region,camera,camera_id,site,epoch_time_start,gps_latitude,gps_longitude,vehicle_make",
        "u1,KRT4821,91.5,us-ne,Gate,12,Depot,2026-05-28T20:26:40.123Z,41.6,-90.9,halden",
        "u2,,91.5,us-ne,Gate,12,Depot,2026-05-28T20:26:40Z,41.6,-90.9,",
    )
    screen = table(
        tmp_path / "screen.csv",
        "Plate Number;Start Time;Camera Name;Confidence;Plate Region;Site Name",
        "KRT-4821;05/28/2026 03:26:40 PM;Gate;91.5;us-ne;Depot",
    )
    lake, report = loaded(tmp_path, "openalpr_csv", own)
    assert report.rejects_by_reason == {"no plate": 1}
    lake.load(find("openalpr_csv"), screen, zone="America/Chicago")
    rows = lake.frame("reads").sort("read_at", descending=True)
    assert rows["plate"].to_list() == ["KRT4821"] * 2 and rows["region"].to_list() == ["NB"] * 2 and rows["confidence"].to_list() == [0.915] * 2
    assert rows["read_at"].to_list() == [utc(2026, 5, 28, 20, 26, 40, 123000), utc(2026, 5, 28, 20, 26, 40)]


def flock(**changed: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "capturedAt": "2026-05-28T20:26:40.5Z",
        "device": {
            "id": "d1",
            "type": "camera",
            "name": "5th and Elm",
            "network": {"id": "n", "name": "Fairwater"},
            "location": {"name": "5th", "latitude": 41.6, "longitude": -90.9, "streetAddress": "500 ELM ST"},
        },
        "state": {"state": "nebraska", "confidence": 0.9},
        "plate": {"plate": "KRT4821", "confidence": 0.97},
        "link": "https://vendor.invalid/r1",
        **changed,
    }


def test_a_flock_style_lookup_is_read_as_json_and_as_lines(tmp_path: Path) -> None:
    file = ndjson(
        tmp_path / "reads.ndjson",
        flock(),
        flock(id="r2", state=None, capturedAt="2026-05-28T15:26:40-05:00"),
        flock(id="r3", plate={"confidence": 0.1}),
        flock(id="r4", capturedAt="yesterday"),
    )
    lake, report = loaded(tmp_path, "flock_reads", file)
    assert report.rejects_by_reason == {"no plate": 1, "read_at not readable": 1}
    one, two = lake.frame("reads").sort("read_id").to_dicts()
    assert (one["plate"], one["region"], one["reader"], one["address"], one["confidence"]) == ("KRT4821", "NB", "d1", "500 ELM ST", 0.97)
    assert one["read_at"] == utc(2026, 5, 28, 20, 26, 40, 500000) and two["read_at"] == utc(2026, 5, 28, 20, 26, 40) and two["region"] is None
    document = tmp_path / "lookup.json"
    document.write_text(json.dumps({"results": [flock(), flock(id="r9")], "totalItems": 2}))
    again = lake.load(find("flock_reads"), document)
    assert (again.read, again.added, again.duplicate) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        (
            "a.csv",
            "Read ID,License Plate,State,Timestamp,Camera Name,Latitude,Longitude,Confidence,Direction,Device Type",
            "7,krt-4821,Nebraska,2026-05-28T15:26:40-05:00,Gate,41.6,-90.9,92.5,NB,Fixed",
        ),
        ("b.csv", "guid|VRM|plate_state|Date|Time|Device|lat|lon|score|heading|mobile", "7|KRT 4821|NE|05/28/2026|3:26:40 PM|Gate|41.6|-90.9|0.925|0|no"),
        ("c.tsv", "id\ttag\tregion\tRead Time\treader\ty\tx\tconf\tbearing\tmoving", "7\tKRT4821\tus-ne\t1780000000\tGate\t41.6\t-90.9\t92.5\tnorth\tfalse"),
        (
            "d.csv",
            "id;plate_no;issuing state;event time;camera;lat;lng;certainty;direction of travel;reader type",
            "7;KRT4821;NB;2026-05-28 15:26:40;Gate;41.6;-90.9;.925;Northbound;stationary",
        ),
    ],
)
def test_reads_of_any_reader_are_one_read_whatever_the_headers(tmp_path: Path, name: str, header: str, row: str) -> None:
    lake, _ = loaded(tmp_path, "generic_reads", table(tmp_path / name, header, row))
    read = lake.frame("reads").row(0, named=True)
    got = {k: read[k] for k in ("read_id", "plate", "region", "reader", "read_at", "lon", "lat", "confidence", "direction", "moving")}
    assert got == {
        "read_id": "7",
        "plate": "KRT4821",
        "region": "NB",
        "reader": "Gate",
        "read_at": utc(2026, 5, 28, 20, 26, 40),
        "lon": -90.9,
        "lat": 41.6,
        "confidence": 0.925,
        "direction": 0.0,
        "moving": False,
    }


def test_candidates_of_a_generic_csv_are_kept_and_none_is_made_up(tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        "plate,time,reader,alternatives,alternative confidences,device type",
        "B0Q1234,2026-05-28 10:00:00,R1,8OD1234;B0Q1234;BOQ1234,41;92;63,mobile",
        "B0Q1234,2026-05-28 10:01:00,R1,,,",
        "A,2026-05-28 10:00:00,,,,fixed",
    )
    lake, report = loaded(tmp_path, "generic_reads", file)
    assert report.rejects_by_reason == {"no reader": 1}
    rows = lake.frame("reads").sort("line")
    assert rows["alternatives"].to_list() == [["BOQ1234", "8OD1234"], None] and rows["alternative_confidences"].to_list() == [[0.63, 0.41], None]
    assert rows["moving"].to_list() == [True, None] and loaded(tmp_path / "two", "generic_reads", file, moving="yes")[0].frame("reads")["moving"].all()


# ---------------------------------------------------------------- hotlists


def test_an_ncic_list_is_read_with_pipes_expiry_reason_and_the_dutch_are_no_nebraskans(tmp_path: Path) -> None:
    file = table(
        tmp_path / "list.txt",
        "NIC|LIC|LIS|LIY|LIT|VIN|VYR|VMA|VMO|VST|VCO|MKE|ORI|OCA|DOE|EXP",
        "V1|KRT-4821|NB|2026|PC|1xx|2019|HALD|ARR|4D|SIL|EV|IA0123400|26-001|20260601|20270531",
        "V2|QQQ0001|NE|2026|PC||||||||IA0123400||20260602|",
        "V3||IA|2026|PC|||||||EL|IA0123400||20260602|",
        "V4|AAA0001|IA||||||||| EW |IA0123400||06/03/2026|",
        "V5|AAA0002|IA|||||||||EL|IA0123400||2026-13-01|",
    )
    lake, report = loaded(tmp_path, "ncic_hotlist", file, listed_at="2026-06-15T06:00")
    assert report.rejects_by_reason == {"no reason": 1, "no plate": 1, "valid_from not readable": 1}
    one, four = lake.frame("hotlist").sort("entry_id").to_dicts()
    assert (one["plate"], one["region"], one["plate_year"], one["plate_type"], one["vin"], one["year"]) == ("KRT4821", "NB", 2026, "PC", "1XX", 2019)
    assert (one["make"], one["model"], one["body"], one["colour"]) == ("HALD", "ARR", "4D", "SIL")
    assert (one["message_key"], one["reason"], one["list_name"], one["agency"], one["report_number"]) == (
        "EV",
        "stolen vehicle",
        "stolen vehicle",
        "IA0123400",
        "26-001",
    )
    assert one["valid_from"] == utc(2026, 6, 1, 5) and one["valid_to"] == utc(2027, 6, 1, 5), "the day it expires still counts"
    assert one["listed_at"] == utc(2026, 6, 15, 11) and four["reason"] == "wanted person" and four["valid_to"] is None
    dutch = table(tmp_path / "b.csv", "LIC,LIS,reason,DOE", "NL0001,NE,seen,2026-06-01")
    lake.load(find("ncic_hotlist"), dutch)
    assert lake.frame("hotlist").filter(pl.col("plate") == "NL0001").select("region", "listed_at").row(0) == ("NE", None)


def test_a_flock_style_list_needs_to_be_told_when_it_was_drawn_up(tmp_path: Path) -> None:
    file = ndjson(
        tmp_path / "h.ndjson",
        {
            "id": "e1",
            "plate": "krt4821",
            "state": "nebraska",
            "reason": "stolen",
            "caseNumber": "26-1",
            "expiry": "2026-07-01T00:00:00Z",
            "note": {"message": "approach with care"},
        },
        {"id": "e2", "plate": "QQQ1", "reason": "", "caseNumber": "26-2"},
    )
    with pytest.raises(BadInput, match="flock_hotlist needs listed_at"):
        loaded(tmp_path, "flock_hotlist", file)
    lake, report = loaded(tmp_path, "flock_hotlist", file, listed_at="2026-06-15T06:00Z", list_name="custom")
    assert report.rejects_by_reason == {"no reason": 1}
    row = lake.frame("hotlist").row(0, named=True)
    assert (row["reason"], row["region"], row["list_name"], row["valid_to"]) == ("stolen; approach with care", "NB", "custom", utc(2026, 7, 1))


def test_a_list_older_than_a_day_is_called_stale_in_a_sentence(tmp_path: Path) -> None:
    def entry(name: str, listed: datetime | None, until: datetime | None = None) -> dict[str, Any]:
        return {"plate": "A", "list_name": name, "valid_from": utc(2026, 6, 1), "valid_to": until, "listed_at": listed, "source": "s"}

    rows = [
        entry("stolen", utc(2026, 6, 14)),
        entry("stolen", utc(2026, 6, 13)),
        entry("stolen", utc(2026, 6, 14), utc(2026, 6, 10)),
        entry("wanted", utc(2026, 6, 15, 6)),
        entry("own", None),
    ]
    shape = {"valid_to": pl.Datetime("us", "UTC"), "listed_at": pl.Datetime("us", "UTC"), "valid_from": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(rows, schema_overrides=shape)
    said = hotlist.stale(frame, utc(2026, 6, 15, 7))
    assert said.headline == "1 of 3 hotlists is stale: 'stolen' is 31 hours old; confirm every hit at the source. 1 list does not say when it was drawn up."
    by = {r["list_name"]: r for r in said.table.iter_rows(named=True)}
    assert by["stolen"]["stale"] and not by["wanted"]["stale"] and by["own"]["stale"] is None
    assert by["stolen"]["sentence"] == (
        "Hotlist 'stolen' (2 entries in force) is stale: it was drawn up on 2026-06-14, 31 hours ago (the limit is 24 hours); "
        "1 entry is no longer in its newest edition."
    )
    assert by["wanted"]["sentence"] == "Hotlist 'wanted' (1 entry in force) was drawn up on 2026-06-15 06:00, 1 hour ago."
    assert by["own"]["sentence"] == "Hotlist 'own' (1 entry in force) does not say when it was drawn up, so whether it is stale is not known."
    assert not hotlist.stale(frame, utc(2026, 6, 15, 7), oldest="2d").table["stale"].any()
    with pytest.raises(CannotTell, match="The hotlist does not say when it was drawn up, so whether it is stale is not known"):
        hotlist.stale(frame.filter(pl.col("list_name") == "own"), utc(2026, 6, 15))
    two = pl.concat([frame.filter(pl.col("list_name") == "own").with_columns(list_name=pl.lit(n)) for n in ("own", "shop")])
    with pytest.raises(CannotTell, match="None of the 2 hotlists says when it was drawn up, so whether they are stale is not known"):
        hotlist.stale(two, utc(2026, 6, 15))
    with pytest.raises(CannotTell, match="There is no hotlist"):
        hotlist.stale(frame.clear(), utc(2026, 6, 15))


# ---------------------------------------------------------------- gunshots: the real files


def test_the_real_gunshot_files_load_with_every_alert_kept(real_data: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    files = {
        "washington_gunshots": ("dc_shotspotter_incidents_2006_2013.csv.gz", 39_066),
        "oakland_gunshots": ("OakShots_latlong.csv", 17_185),
        "st_louis_gunshots": ("st_louis_data.csv", 13_319),
        "san_francisco_gunshots": ("San_Francisco_ShotSpotter.csv", 4_385),
    }
    for name, (file, read) in files.items():
        report = lake.load(find(name), real_data / "gunshots" / file)
        again = lake.load(find(name), real_data / "gunshots" / file)
        print(f"{file}: {report.read} read, {report.added} added, {report.updated} updated, {report.duplicate} duplicate, {report.rejected} rejected")
        assert (report.read, report.added, again.duplicate) == (read, read, read)
    rows = {
        r["source"]: r
        for r in lake.query(
            """select source, count(*) n, count(lon) placed, min(lon) west, max(lon) east, min(lat) south, max(lat) north, min(fired_at) first,
        max(fired_at) last, list_sort(list(distinct kind)) kinds, count(rounds) rounds, count(*) filter (time_precision = 'day') as whole_days
        from gunshots group by source""",
            versions=lake.versions(),
        ).to_dicts()
    }
    dc, oak, stl, sf = (rows[name] for name in files)
    assert dc["kinds"] == ["multiple", "single"] and dc["n"] - dc["placed"] == 1 and -77.2 < dc["west"] < dc["east"] < -76.8
    assert oak["n"] - oak["placed"] == 12 and oak["south"] > 37.6 and oak["north"] < 38.0 and oak["first"].year == 2008
    assert stl["whole_days"] == stl["n"] and 25 <= stl["n"] - stl["placed"] <= 40 and stl["north"] < 38.8 and stl["east"] < -90
    assert {"multiple", "single", "gunshot or firework"} <= set(stl["kinds"]) and stl["last"] == utc(2015, 10, 5, 5)
    assert sf["rounds"] == sf["n"] == sf["placed"] and sf["first"] >= utc(2013, 1, 1, 8)


def test_st_louis_alerts_that_look_alike_are_kept_one_by_one(real_data: Path, tmp_path: Path) -> None:
    raw = (real_data / "gunshots" / "st_louis_data.csv").read_bytes().replace(b"\r", b"").decode().splitlines()[1:]
    assert len(set(raw)) < 0.6 * len(raw)
    lake, report = loaded(tmp_path, "st_louis_gunshots", real_data / "gunshots" / "st_louis_data.csv", zone=None)
    assert report.added == len(raw) == lake.frame("gunshots")["gunshot_id"].n_unique()


def test_a_st_louis_alert_with_a_broken_coordinate_stays_without_a_place(tmp_path: Path) -> None:
    rows = ["Type,Date,Latitude,Longitude", "Single_Gunshot,6/29/2014,3866,-90.23", "multiple_Gunshots,9/8/2015,38.67,90.25"]
    rows.append("Single_Gunshot,9/8/2015,38.67,-90.2")
    file = tmp_path / "s.csv"
    file.write_bytes("".join(row + "\r\r\n" for row in rows).encode())
    lake, report = loaded(tmp_path, "st_louis_gunshots", file, zone=None)
    rows = lake.frame("gunshots").sort("line")
    assert report.added == 3 and rows["lon"].to_list() == [None, None, -90.2] and rows["kind"].to_list() == ["single", "multiple", "single"]
    assert rows["fired_at"][0] == utc(2014, 6, 29, 5) and rows["time_precision"].to_list() == ["day"] * 3


# ---------------------------------------------------------------- gunshots: vendor-like


def test_a_vendors_alert_csv_is_read_in_feet_percent_and_two_time_columns(tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        "Alert ID;Incident Date;Time;Classification;Round Count;Score;Accuracy (ft);Latitude;Longitude;CAD Number;Last Modified",
        "77;06/05/2026;11:15:02 PM;Multiple Gunshots;7;88;100;41.6;-90.9;C1;06/05/2026 23:20:00",
        "77;06/05/2026;11:15:02 PM;Fireworks;7;88;100;41.6;-90.9;C1;06/06/2026 08:00:00",
        "78;06/05/2026;;Single Gunshot;1;0.5;;0;0;;",
        "79;;;x;1;;;;;;",
    )
    lake, report = loaded(tmp_path, "gunshot_csv", file)
    assert (report.added, report.updated, report.rejects_by_reason) == (2, 1, {"no fired_at": 1})
    one, two = lake.frame("gunshots").sort("gunshot_id").to_dicts()
    assert (one["kind"], one["rounds"], one["confidence"], one["error_m"], one["call_id"]) == ("fireworks", 7, 0.88, 30.48, "C1")
    assert one["fired_at"] == utc(2026, 6, 6, 4, 15, 2) and one["time_precision"] is None
    assert two["time_precision"] == "day" and two["lon"] is None and two["kind"] == "single"


def test_a_vendors_alerts_are_read_as_lines_and_as_xml(tmp_path: Path) -> None:
    lines = ndjson(
        tmp_path / "a.ndjson",
        {
            "id": "9",
            "dateTime": "2026-06-05T23:15:02-05:00",
            "type": "SINGLE",
            "rounds": 1,
            "location": {"latitude": 41.6, "longitude": -90.9, "address": "1 ELM ST"},
            "confidence": 0.9,
            "accuracy": 12,
        },
        {"id": "10", "dateTime": "", "type": "SINGLE"},
    )
    lake, report = loaded(tmp_path, "gunshot_xml", lines)
    assert report.rejects_by_reason == {"no fired_at": 1}
    xml = tmp_path / "a.xml"
    xml.write_text(
        '<?xml version="1.0"?><feed><incident id="11"><dateTime>2026-06-05T23:16:02-05:00</dateTime><type>MULTIPLE</type><rounds>4</rounds>'
        "<location><latitude>41.61</latitude><longitude>-90.91</longitude></location></incident></feed>"
    )
    assert lake.load(find("gunshot_xml"), xml).added == 1
    one, two = sorted(lake.frame("gunshots").to_dicts(), key=lambda r: r["fired_at"])
    assert (one["gunshot_id"], one["kind"], one["lon"], one["address"], one["error_m"]) == ("9", "single", -90.9, "1 ELM ST", 12.0)
    assert (two["gunshot_id"], two["kind"], two["rounds"], two["lat"], two["fired_at"]) == ("11", "multiple", 4, 41.61, utc(2026, 6, 6, 4, 16, 2))


def test_arrival_times_keep_their_microseconds(tmp_path: Path) -> None:
    file = table(
        tmp_path / "t.csv",
        "incident id,sensor id,time of arrival,lat,lon,elevation_ft,spl",
        "G1,S1,2026-06-05T23:15:02.123456-05:00,41.6,-90.9,30,88.5",
        "G1,S2,1780000000123456,41.6,-90.9,,",
        "G1,,2026-06-05T23:15:02Z,41.6,-90.9,,",
    )
    lake, report = loaded(tmp_path, "gunshot_arrivals", file)
    rows = lake.frame("arrivals").sort("sensor")
    assert report.rejects_by_reason == {"no sensor": 1} and rows["arrived_at"].dt.microsecond().to_list() == [123456, 123456]
    assert rows["arrived_at"][0] == utc(2026, 6, 6, 4, 15, 2, 123456) and rows["height_m"].to_list() == [9.144, None] and rows["level_db"][0] == 88.5


def test_casings_of_one_weapon_share_a_group_until_somebody_confirms_it(tmp_path: Path) -> None:
    file = table(
        tmp_path / "c.csv",
        "Exhibit,Date Recovered,Recovery Time,Case Number,Caliber,Head Stamp,NIBIN Lead,Status",
        "E1,06/05/2026,23:40,26-1,9mm,HX,L7,Unconfirmed",
        "E2,06/09/2026,01:10,26-2,9mm,HX,L7,Hit",
        "E3,never,,26-2,9mm,HX,,",
    )
    lake, report = loaded(tmp_path, "casings_csv", file)
    rows = lake.frame("casings").sort("casing_id")
    assert (
        report.rejects_by_reason == {"found_at not readable": 1}
        and rows["grade"].to_list() == ["lead", "confirmed"]
        and rows["calibre"].to_list() == ["9MM"] * 2
    )
    assert rows["weapon_group"].to_list() == ["L7"] * 2 and rows["found_at"][0] == utc(2026, 6, 6, 4, 40)


# ---------------------------------------------------------------- cameras and units


def test_chicagos_cameras_load_with_their_approaches(real_data: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    red = lake.load(find("chicago_red_light_cameras"), real_data / "chicago" / "Red_Light_Camera_Locations.csv")
    speed = lake.load(find("chicago_speed_cameras"), real_data / "chicago" / "Speed_Camera_Locations.csv")
    assert (red.added, red.rejected, speed.added, speed.rejected) == (149, 0, 160, 0)
    rows = lake.frame("cameras")
    assert rows["lon"].null_count() == 0 and rows["kind"].value_counts().sort("kind").rows() == [("red light", 149), ("speed", 160)]
    assert set(rows.explode("approaches")["approaches"]) == {"NB", "SB", "EB", "WB", "SEB", "SWB", "NWB", "NEB"} & set(rows.explode("approaches")["approaches"])
    assert (rows["approaches"].list.len() > 1).sum() > 100 and rows["active_from"].dt.convert_time_zone("America/Chicago").dt.hour().unique().to_list() == [0]


def test_a_registry_keeps_what_a_camera_sees_and_leaves_a_residents_name_out(tmp_path: Path) -> None:
    file = table(
        tmp_path / "r.csv",
        "Camera ID,Type,Location,Latitude,Longitude,Facing,FOV,Range (ft),Retention (hours),Owner Type,Owner Name,Agreement,Installed,Removed",
        "1,Private,1 ELM,41.6,-90.9,SW,90,100,72,Business,Elm Books,On Request,06/01/2024,",
        "2,Private,2 ELM,41.6,-90.9,45,120,60,168,Resident,Somebody,Registry only,,2026-06-01",
        "3,Street,3 ELM,41.6,-90.9,upwards,90,10,1,City,,Live,,",
    )
    lake, report = loaded(tmp_path, "camera_registry", file)
    one, two = lake.frame("cameras").sort("camera_id").to_dicts()
    assert report.rejects_by_reason == {"bearing not readable": 1}
    assert (one["bearing"], one["field_of_view"], one["range_m"], one["retention_days"], one["owner"], one["consent"]) == (
        225.0,
        90.0,
        30.48,
        3.0,
        "Elm Books",
        "on request",
    )
    assert two["owner"] is None and two["owner_kind"] == "resident" and two["active_to"] == utc(2026, 6, 2, 5)


def test_body_and_vehicle_cameras_belong_to_a_unit(tmp_path: Path) -> None:
    file = table(
        tmp_path / "u.csv", "Serial Number,Device Type,Assigned To,Assigned,Retention (days)", "B1,BWC,1B2,06/01/2026,180", "V1,Dash cam,1B2,,90", "B2,BWC,,,90"
    )
    lake, report = loaded(tmp_path, "unit_cameras", file)
    assert report.rejects_by_reason == {"no unit": 1}
    assert lake.frame("cameras").sort("camera_id").select("camera_id", "kind", "unit", "lon").rows() == [
        ("B1", "body", "1B2", None),
        ("V1", "vehicle", "1B2", None),
    ]


@pytest.mark.parametrize(
    ("column", "given", "said", "speed"),
    [
        ("speed_mph", "30", "", 13.4112),
        ("Speed (km/h)", "36", "", 10.0),
        ("m/s", "7.5", "", 7.5),
        ("knots", "10", "", 5.14444),
        ("speed", "30", "mph", 13.4112),
        ("speed", "30", "", None),
    ],
)
def test_the_unit_of_speed_is_told_by_the_columns_name_or_said_and_never_guessed(
    tmp_path: Path, column: str, given: str, said: str, speed: float | None
) -> None:
    file = table(
        tmp_path / "a.csv",
        f"Unit ID,Timestamp,Lat,Lon,{column},Course,Status",
        f"1B2,2026-06-19T20:00:05-05:00,41.6,-90.9,{given},117,En Route",
        "1B2,x,41.6,-90.9,1,1,",
    )
    lake, report = loaded(tmp_path, "avl_csv", file, **({"speed_unit": said} if said else {}))
    row = lake.frame("units").row(0, named=True)
    assert report.rejects_by_reason == {"seen_at not readable": 1} and row["status"] == "en route" and row["direction"] == 117.0
    assert row["speed"] == speed if speed is None else abs(row["speed"] - speed) < 1e-9


def test_heartbeats_become_unit_positions(tmp_path: Path) -> None:
    beat = {
        "externalId": "car-7",
        "subjectType": "vehicle",
        "subjectSubtype": "patrol",
        "nickname": "1B2",
        "latitude": 41.6,
        "longitude": -90.9,
        "updatedAt": "2026-06-20T01:00:05Z",
        "deviceStatus": "Recording",
        "additionalMetadata": {"heading": {"type": "number", "value": 90}, "callId": "C1"},
    }
    file = ndjson(
        tmp_path / "b.ndjson", beat, {**beat, "updatedAt": "2026-06-20T01:00:35Z", "latitude": 41.61}, {k: v for k, v in beat.items() if k != "updatedAt"}, beat
    )
    lake, report = loaded(tmp_path, "unit_positions", file)
    assert (report.added, report.duplicate, report.rejects_by_reason) == (2, 1, {"no seen_at": 1})
    row = lake.frame("units").sort("seen_at").row(0, named=True)
    assert (row["unit"], row["status"], row["direction"], row["call_id"], row["seen_at"]) == ("1B2", "recording", 90.0, "C1", utc(2026, 6, 20, 1, 0, 5))


# ---------------------------------------------------------------- posts and counts


def test_posts_need_a_case_and_a_legal_basis_and_keep_no_authors_name(tmp_path: Path) -> None:
    file = ndjson(
        tmp_path / "p.ndjson",
        {"id": "1", "created_at": "2026-06-05T20:00:00Z", "user": {"id": 42, "screen_name": "larksong"}, "text": "easy money", "media": []},
        {"id": "2", "created_at": "2026-06-05T21:00:00Z", "user": {"id": 42}, "text": "again"},
        {"id": "3", "created_at": "2026-06-05T21:00:00Z", "text": "nobody"},
    )
    for said, lacking in (({}, "case_number"), ({"case_number": "26-1"}, "legal_basis")):
        with pytest.raises(BadInput, match=f"posts_export needs {lacking}"):
            loaded(tmp_path, "posts_export", file, **said)
    lake, report = loaded(tmp_path, "posts_export", file, case_number="26-1", legal_basis="order 26-118", platform="townsquare")
    assert report.rejects_by_reason == {"no author": 1}
    rows = lake.frame("posts").sort("posted_at")
    assert rows["author"].n_unique() == 1 and re.fullmatch(r"[0-9a-f]{32}", rows["author"][0]) and rows["media"].to_list() == [False, None]
    assert rows.select("platform", "case_number", "legal_basis", "text").row(0) == ("townsquare", "26-1", "order 26-118", "easy money")
    assert not any(b"larksong" in p.read_bytes() for p in (tmp_path / "lake").rglob("*.parquet") if "rejects" not in str(p))
    other = Lake(tmp_path / "other")
    other.load(find("posts_export"), file, said={"case_number": "26-1", "legal_basis": "order 26-118", "platform": "townsquare"})
    assert other.frame("posts")["author"][0] != rows["author"][0], "another lake has another key"


def test_counts_may_give_their_span_as_end_or_minutes_or_say_it_with_the_load(tmp_path: Path) -> None:
    lake, report = loaded(
        tmp_path,
        "people_counts_csv",
        table(tmp_path / "a.csv", "Counter,Date,Hour,Value", "C1,06/05/2026,7,41", "C1,06/05/2026,8,-1", "C1,06/05/2026,9,many"),
        minutes="60",
    )
    assert report.rejects_by_reason == {"the count is below nothing": 1, "count not readable": 1}
    row = lake.frame("people_counts").row(0, named=True)
    assert (row["started_at"], row["ended_at"], row["count"], row["kind"]) == (utc(2026, 6, 5, 12), utc(2026, 6, 5, 13), 41, "people")
    ends = table(
        tmp_path / "b.csv",
        "sensor,from,to,total,class",
        "C2,2026-06-05T07:00:00Z,2026-06-05T07:15:00Z,9,bicycles",
        "C2,2026-06-05T07:00:00Z,2026-06-05T06:00:00Z,9,x",
    )
    assert lake.load(find("people_counts_csv"), ends).rejects_by_reason == {"the span ends before it begins": 1}


# ---------------------------------------------------------------- people, objects, locations, events


def test_baltimores_arrests_have_date_and_time_apart_and_rows_without_a_number_are_kept(tmp_path: Path) -> None:
    head = "Arrest,Age,Sex,Race,ArrestDate,ArrestTime,ArrestLocation,IncidentOffense,IncidentLocation,Charge,ChargeDescription,District,Post,Neighborhood"
    file = table(
        tmp_path / "b.csv",
        head,
        "17000001,23,M,B,01/06/2017,10:15,,4E-Common Assault,1 Any St,1 1415,ASSAULT,Central,111,Downtown",
        ",30,F,W,2017-01-06T00:00:00.000,23.45,2 Any St,Unknown Offense,,1 1420,THEFT,Eastern,,",
        ",30,F,W,2017-01-06T00:00:00.000,23.45,2 Any St,Unknown Offense,,1 1420,THEFT,Eastern,,",
        "17000002,x,M,B,01/06/2017,10:15,,6A-Larceny,,,,Central,,",
    )
    lake, report = loaded(tmp_path, "baltimore_arrests", file, zone=None)
    assert (report.added, report.duplicate, report.rejects_by_reason) == (3, 0, {"age not readable": 1})
    one, two, _ = lake.frame("arrests").sort("line").to_dicts()
    assert (one["arrest_id"], one["nibrs"], one["arrested_at"], one["address"]) == ("17000001", "13B", utc(2017, 1, 6, 15, 15), "1 Any St")
    assert (two["nibrs"], two["arrested_at"]) == ("UNKNOWN", utc(2017, 1, 7, 4, 45))


def test_the_same_name_and_birthday_are_one_key_in_people_warrants_arrests_and_interviews(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    people = table(
        tmp_path / "p.csv",
        "Full Name,DOB,Sex,HGT,Weight,Tattoos",
        '"HASK, Tavric",03/14/1991,M,511,180,ANCHOR ARM',
        '"Lorika Wend",1988-05-23,F,5\'4",,',
        '"Wendel, A",,,70,,',
        '"Wendel, B",,,178,,',
        ",,M,,,",
    )
    assert lake.load(find("people_csv"), people).rejects_by_reason == {"no person_id": 1}
    warrants = table(
        tmp_path / "w.csv",
        "Warrant Number|Last Name|First Name|Date of Birth|Date Issued|Expiration|Charge|Status",
        "W1|Hask|TAVRIC|1991-03-14|06/01/2026|06/30/2026|BURGLARY|Outstanding",
        "W2||||06/01/2026||THEFT|Open",
        "W3|Hask|Tavric|3/14/91|06/01/2026||THEFT|Quashed",
    )
    assert lake.load(find("warrants_csv"), warrants, zone="America/Chicago").rejects_by_reason == {"no person_id": 1}
    arrests = table(tmp_path / "a.csv", "Arrest ID,Arrest Date,Arrest Time,Arrestee,DOB,Charge", '1,06/05/2026,1310,"HASK, TAVRIC",03/14/1991,BURGLARY')
    lake.load(find("arrests_csv"), arrests, zone="America/Chicago")
    stops = table(
        tmp_path / "i.csv",
        "FI Number,Contact Date,Time,Subject,DOB,With,Plate,Notes",
        '5,06/05/2026,1:10 PM,"Hask, Tavric",1991-03-14,P1; P2,krt-4821,walked off',
    )
    lake.load(find("interviews_csv"), stops, zone="America/Chicago")
    key = lake.frame("people").filter(pl.col("surname") == "HASK").row(0, named=True)
    assert (key["given_name"], key["born_on"], key["height_cm"], key["weight_kg"], key["marks"]) == ("Tavric", date(1991, 3, 14), 180.3, 81.6, "ANCHOR ARM")
    assert lake.frame("people").filter(pl.col("surname") == "Wend").select("given_name", "height_cm").row(0) == ("Lorika", 162.6)
    assert sorted(lake.frame("people").filter(pl.col("surname") == "Wendel")["height_cm"]) == [177.8, 178.0]
    wanted = lake.frame("warrants").sort("warrant_id")
    assert wanted["person_id"].to_list() == [key["person_id"]] * 2 and wanted["status"].to_list() == ["active", "recalled"]
    assert wanted["valid_to"][0] == utc(2026, 7, 1, 5), "the day it expires still counts"
    arrest, stop = lake.frame("arrests").row(0, named=True), lake.frame("interviews").row(0, named=True)
    assert arrest["person_id"] == stop["person_id"] == key["person_id"] and arrest["arrested_at"] == stop["interviewed_at"] == utc(2026, 6, 5, 18, 10)
    assert stop["with_people"] == ["P1", "P2"] and stop["plate"] == "KRT4821" and arrest["nibrs"] == "UNKNOWN"


def test_vehicles_recoveries_and_involvements_under_usual_headers(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    cars = table(tmp_path / "v.csv", "VIN,LIC,LIS,VMA,VMO,VST,VCO,VYR", "1abc,krt-4821,NE,HALD,ARR,4D,SIL,2019", ",qqq 1,IA,,,,,", ",,,,,,,")
    assert lake.load(find("vehicles_csv"), cars).rejects_by_reason == {"no vehicle_id": 1}
    found = lake.frame("vehicles").sort("plate").to_dicts()
    assert [r["vehicle_id"] for r in found][0] == "1ABC" and found[0]["region"] == "NB" and found[0]["year"] == 2019 and len(found) == 2
    back = table(
        tmp_path / "r.csv",
        "Plate Number,Plate State,Theft Report,Date Stolen,Recovery Date,Recovery Time,Condition",
        "KRT4821,us-ne,26-1,06/01/2026,06/05/2026,1405,BURNED",
        "KRT4821,us-ne,26-1,06/09/2026,06/05/2026,,",
    )
    assert lake.load(find("recoveries_csv"), back, zone="America/Chicago").rejects_by_reason == {"recovered before it was stolen": 1}
    row = lake.frame("recoveries").row(0, named=True)
    assert (row["plate"], row["region"], row["condition"], row["recovered_at"]) == ("KRT4821", "NB", "burned", utc(2026, 6, 5, 19, 5))
    parts = table(tmp_path / "n.csv", "Incident Number,Involvement,Person ID,Vehicle ID", "I1,VIC,P1,", "I1,Suspect Vehicle,,V1", "I1,Lookout,P2,", "I1,SUS,,")
    assert lake.load(find("involvements_csv"), parts).rejected == 1
    assert sorted(lake.frame("involvements").select("entity_kind", "entity_id", "role").rows()) == [
        ("person", "P1", "victim"),
        ("person", "P2", "lookout"),
        ("vehicle", "V1", "used"),
    ]


# ---------------------------------------------------------------- expressions of their own


def test_a_time_is_read_however_it_is_written_and_a_two_digit_year_is_of_this_century() -> None:
    right = "2026-06-01 15:00:00+00"
    good = ("2026-06-01 10:00:00", "2026-06-01T10:00", "2026-06-01T15:00:00Z", "2026-06-01T10:00:00-0500", "6/1/26 10:00", "06/01/2026 10:00:00 AM")
    good += ("6/1/2026 10:00",)
    good += ("20260601100000", "1-Jun-26 10:00:00", "06-01-2026 10:00", "6-1-2026 10:00:00 AM", "2026/6/1 10:00", "Jun 01, 2026 10:00", "1780326000")
    good += ("1780326000000", "1780326000000000")
    wrong = ("", None, "13:00", "2026-06-31 10:00", "99/99/2026", "soon", "infinity", "epoch", "3/14")
    got = evaluated(moments.any_time("t"), *({"t": t} for t in (*good, *wrong)))
    assert dict(zip((*good, *wrong), got, strict=True)) == {**dict.fromkeys(good, right), **dict.fromkeys(wrong)}
    ends = evaluated(moments.until("t"), {"t": "06/01/2026"}, {"t": "06/01/2026 10:00"}, {"t": "2026-06-01"})
    assert ends == ["2026-06-02 05:00:00+00", right, "2026-06-02 05:00:00+00"]
    assert evaluated(moments.day("t"), {"t": "3/14/91"}, {"t": "1991-03-14"}, {"t": "03/14/1991 0:00"}, {"t": "x"}) == ["1991-03-14"] * 3 + [None]
    clocks = [{"c": clock, "d": "06/01/2026"} for clock in ("13:05", "1305", "1:05 PM", "2026-06-01 13:05")]
    assert evaluated(moments.any_time(moments.stamp("c", "d")), *clocks) == ["2026-06-01 18:05:00+00"] * 4
    odd = evaluated(moments.any_time(moments.stamp("c", "d")), {"c": "7", "d": "2026-06-01T00:00:00"}, {"c": None, "d": "2026-06-01"}, {"c": "7", "d": None})
    assert odd == ["2026-06-01 12:00:00+00", "2026-06-01 05:00:00+00", None]
    assert evaluated(lists.share("t"), *({"t": t} for t in ("0.5", "50", "93 %", "1", "101", "x"))) == ["0.5", "0.5", "0.93", "1.0", None, None]


def test_sources_of_one_release_find_their_columns_in_any_order_and_case(tmp_path: Path) -> None:
    assert set(MINE) <= set(loaders.names())
    lake, report = loaded(tmp_path, "avl_csv", table(tmp_path / "a.csv", "LONGITUDE,latitude,CALL SIGN,GPS Time,KPH", "-90.9,41.6,1B2,2026-06-01 10:00:00,72"))
    assert report.added == 1 and lake.frame("units").select("speed", "lon").row(0) == (20.0, -90.9)
    assert lake.frame("units")["seen_at"][0] - utc(2026, 6, 1, 15) == timedelta(0)


# ---------------------------------------------------------------- what was planted in the made-up city

NAMES = ("gunshots", "arrivals", "casings", "cameras", "units", "call_events", "counts", "arrests", "interviews", "warrants", "recoveries", "posts",
         "phone_calls")
PLANE = Plane.local(41.6, -90.9)


@pytest.fixture(scope="session")
def city(made_once: Callable[[str, Callable[[Path], Any]], Path], samples: Path) -> Lake:
    """A lake with the made-up city's incidents, calls, people, and all that is watched and gathered; read only."""

    def make(folder: Path) -> None:
        for name in ("incidents", "calls", "people", *NAMES):
            file = next(p for p in sorted(samples.glob(f"sample_{name}.*")) if p.suffix != ".py")
            Lake(folder).load(find(f"sample_{name}"), file)

    return Lake(made_once("sensors-of-the-city", make))


@pytest.fixture(scope="module")
def planted(samples: Path) -> dict[str, Any]:
    return dict(json.loads((samples / "planted.json").read_text()))


def away(frame: pl.DataFrame, lon: float, lat: float) -> Any:
    """Metres of each row from a point."""
    x, y = PLANE.to_metres(np.array([lon]), np.array([lat]))
    a, b = PLANE.to_metres(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    return np.hypot(a - x[0], b - y[0])


def wall(frame: pl.DataFrame, column: str) -> pl.Series:
    return frame[column].dt.convert_time_zone("America/Chicago")


def test_the_planted_gunfire_stands_out_and_its_alerts_come_just_before_the_calls(city: Lake, planted: dict[str, Any]) -> None:
    spot = planted["gunshots"]["cluster"]
    shots = city.frame("gunshots").drop_nulls("lon")
    near = shots.filter(pl.Series(away(shots, spot["lon"], spot["lat"]) <= spot["radius_metres"] + 60))
    assert len(near) >= spot["planted"] and len(near) / len(shots) > 0.15
    late = near.filter(pl.Series(wall(near, "fired_at").dt.strftime("%Y-%m-%d") >= spot["since"]))
    weekend = (wall(late, "fired_at") - timedelta(hours=4)).dt.weekday().is_in([5, 6]).mean()
    assert weekend > 0.85
    calls = city.frame("calls")
    linked = shots.filter(pl.col("call_id").is_not_null()).join(calls, on="call_id", suffix="_call")
    seconds = (linked["received_at"] - linked["fired_at"]).dt.total_seconds()
    assert len(linked) >= 15 and seconds.min() >= 25 and seconds.max() <= 125  # type: ignore[operator]
    new_year = shots.filter(wall(shots, "fired_at").dt.strftime("%m-%d %H") == "01-01 00")
    assert (new_year["kind"] == "fireworks").mean() > 0.9 and (shots["kind"] == "fireworks").sum() >= new_year.height


def test_arrival_times_lead_back_to_where_the_shot_was_fired(city: Lake, planted: dict[str, Any]) -> None:
    """Least squares over a grid about the alert; the echo is found as the one arrival that does not fit."""
    truth, arrivals = planted["arrivals"], city.frame("arrivals")
    for event in truth["events"]:
        rows = arrivals.filter(pl.col("gunshot_id") == event["gunshot_id"])
        x, y = PLANE.to_metres(rows["lon"].to_numpy(), rows["lat"].to_numpy())
        ox, oy = (float(v[0]) for v in PLANE.to_metres(np.array([event["lon"]]), np.array([event["lat"]])))
        fired = datetime.fromisoformat(event["fired_at"])
        late = (rows["arrived_at"] - fired).dt.total_microseconds().to_numpy() / 1e6 - np.hypot(x - ox, y - oy) / truth["sound_metres_per_second"]
        echo = rows["sensor"].to_numpy() == (event["echo"] or "")
        assert rows.height == event["sensors"] and np.abs(late[~echo]).max() < 0.008 and (not echo.any() or late[echo][0] > 0.3), event
        sound = ~echo
        seconds = (rows["arrived_at"] - rows["arrived_at"].min()).dt.total_microseconds().to_numpy()[sound] / 1e6
        grid = np.stack(np.meshgrid(np.arange(ox - 60, ox + 61, 2.0), np.arange(oy - 60, oy + 61, 2.0)), axis=-1).reshape(-1, 2)
        residual = seconds - np.hypot(x[sound] - grid[:, :1], y[sound] - grid[:, 1:]) / truth["sound_metres_per_second"]
        best = grid[np.argmin(residual.var(axis=1))]
        assert np.hypot(*(best - [ox, oy])) < 10, event


def test_casings_of_one_weapon_tie_three_shootings(city: Lake, planted: dict[str, Any]) -> None:
    casings, reports = city.frame("casings"), set(city.frame("incidents")["report_number"])
    for weapon, scenes in planted["casings"]["weapons"].items():
        own = casings.filter(pl.col("weapon_group") == weapon)
        assert sorted(own["report_number"].unique()) == sorted(scenes) and own["calibre"].n_unique() == 1
    assert len(planted["casings"]["weapons"]["L26-007"]) == 3 and set(casings["report_number"]) <= reports
    assert sorted(casings.filter(pl.col("grade") == "confirmed")["casing_id"]) == planted["casings"]["confirmed"]


def test_units_are_at_the_scenes_of_their_calls_and_drive_no_faster_than_a_car(city: Lake, planted: dict[str, Any]) -> None:
    units, truth = city.frame("units"), planted["units"]
    assert sorted(units["unit"].unique()) == sorted(truth["units"]) and len(truth["scenes"]) >= 20
    for scene in truth["scenes"]:
        zone = ZoneInfo("America/Chicago")
        since, until = (datetime.fromisoformat(scene[k]).replace(tzinfo=zone).astimezone(UTC) for k in ("from", "until"))
        there = units.filter((pl.col("unit") == scene["unit"]) & pl.col("seen_at").is_between(since, until, closed="left") & pl.col("lon").is_not_null())
        if there.height:
            assert away(there, scene["lon"], scene["lat"]).max() < 20 and set(there["status"]) == {"on scene"} and set(there["call_id"]) == {scene["call"]}
    assert float(units["speed"].max()) < 36  # type: ignore[arg-type]
    called = units.drop_nulls("call_id").join(city.frame("calls"), on="call_id", suffix="_call")
    assert called.height == units["call_id"].is_not_null().sum() and called.filter(~pl.col("units").list.contains(pl.col("unit"))).is_empty()


def test_changes_of_a_call_follow_its_own_moments(city: Lake, planted: dict[str, Any]) -> None:
    events, calls = city.frame("call_events"), city.frame("calls")
    assert events["call_id"].n_unique() == planted["call_events"]["calls"] and set(events["call_id"]) <= set(calls["call_id"])
    for status, moment in (("received", "received_at"), ("dispatched", "dispatched_at"), ("arrived", "arrived_at")):
        first = events.filter(pl.col("status") == status).group_by("call_id").agg(pl.col("changed_at").min()).join(calls, on="call_id")
        assert (first["changed_at"] - first[moment]).dt.total_seconds().abs().max() <= 1, status  # type: ignore[operator]
    assert sorted(events.filter(pl.col("status") == "priority")["call_id"].unique()) == sorted(planted["call_events"]["raised"])
    assert set(events["status"]) == {"received", "dispatched", "en route", "arrived", "cleared", "closed", "priority"}


def test_the_match_fills_the_stadium_once(city: Lake, planted: dict[str, Any]) -> None:
    match, counts = planted["people_counts"]["match"], city.frame("people_counts")
    own = counts.filter(pl.col("counter") == match["counter"])
    own = own.with_columns(day=wall(own, "started_at").dt.strftime("%Y-%m-%d"), hour=wall(own, "started_at").dt.hour())
    evening = (
        own.filter(pl.col("hour").is_between(match["from_hour"], match["to_hour"] - 1))
        .group_by("day")
        .agg(pl.col("count").sum())
        .sort("count", descending=True)
    )
    assert evening["day"][0] == match["day"] and evening["count"][0] > 4 * evening["count"][1]
    assert ((counts["ended_at"] - counts["started_at"]).dt.total_minutes() == 60).all() and (counts["low"] <= counts["count"]).all()


def test_cameras_look_at_the_planted_doors_and_units_have_theirs(city: Lake, planted: dict[str, Any]) -> None:
    cameras = {r["camera_id"]: r for r in city.frame("cameras").iter_rows(named=True)}
    positions = planted["series"][1]["positions"]
    for seen in planted["cameras"]["looking_at_glass_doors"]:
        camera = cameras[seen["camera"]]
        dx, dy = (
            b[0] - a[0]
            for a, b in zip(
                PLANE.to_metres(np.array([camera["lon"]]), np.array([camera["lat"]])), PLANE.to_metres(*np.array([positions[seen["scene"]]]).T), strict=True
            )
        )
        turn = (np.degrees(np.arctan2(dx, dy)) - camera["bearing"] + 180) % 360 - 180
        assert np.hypot(dx, dy) <= camera["range_m"] and abs(turn) <= camera["field_of_view"] / 2, seen
    worn = [c for c in cameras.values() if c["unit"]]
    assert len(worn) == planted["cameras"]["of_units"] and {c["kind"] for c in worn} == {"body", "vehicle"} and not any(c["lon"] for c in worn)
    assert not any(c["owner"] for c in cameras.values() if c["owner_kind"] == "resident")


def test_the_crew_stands_together_on_three_cards_and_its_leader_is_wanted(city: Lake, planted: dict[str, Any]) -> None:
    cards = city.frame("interviews")
    pair = set(planted["interviews"]["pair"])
    both = cards.filter(pl.col("person_id").is_in(list(pair))).filter(pl.col("with_people").list.set_intersection(list(pair)).list.len() > 0)
    assert sorted(both["interview_id"].str.slice(0, 9).unique()) == planted["interviews"]["crew_together"] and both.height == 6
    assert set(both["plate"]) == {planted["series"][0]["crew"]["scout_plate"]}
    together = cards.explode("with_people").drop_nulls("with_people").group_by("person_id", "with_people").len().sort("len", descending=True)
    assert together["len"][0] == 3 and set(together.row(0)[:2]) == pair and together["len"][2] <= 1
    wanted = city.frame("warrants")
    leader = wanted.filter(pl.col("warrant_id") == planted["warrants"]["leader"]["warrant"]).row(0, named=True)
    assert (leader["person_id"], leader["status"]) == (planted["series"][0]["crew"]["people"]["leader"], "active")
    assert (wanted["status"] == "active").sum() == planted["warrants"]["active"] and set(wanted["person_id"]) <= set(city.frame("people")["person_id"])


def test_stolen_cars_are_left_near_one_place_and_arrests_point_at_what_is_there(city: Lake, planted: dict[str, Any]) -> None:
    found, drop = city.frame("recoveries"), planted["recoveries"]["drop"]
    near = found.filter(pl.Series(away(found, drop["lon"], drop["lat"]) <= 1.5 * drop["radius_metres"]))
    assert sorted(near["recovery_id"]) == sorted(planted["recoveries"]["left_there"]) and near.height > 5
    assert set(found["vehicle_id"]) <= set(city.frame("vehicles")["vehicle_id"]) and (found["recovered_at"] > found["stolen_at"]).all()
    assert set(found["report_number"]) <= set(city.frame("incidents")["report_number"]) and set(found["region"]) == {"IA"}
    arrests, incidents = city.frame("arrests"), city.frame("incidents")
    assert set(arrests["incident_id"]) <= set(incidents["incident_id"]) and set(arrests["person_id"]) <= set(city.frame("people")["person_id"])
    joined = arrests.join(incidents, on="incident_id", suffix="_incident")
    assert (joined["nibrs"] == joined["nibrs_incident"]).all() and (joined["arrested_at"] > joined["reported_at"]).mean() > 0.99


def test_one_author_posts_from_beside_the_scenes_within_the_hour(city: Lake, planted: dict[str, Any]) -> None:
    posts, series = city.frame("posts"), planted["series"][1]
    own = posts.filter(pl.col("post_id").is_in(planted["posts"]["near_scenes"])).sort("posted_at")
    assert own["author"].n_unique() == 1 and posts.filter(pl.col("author") == own["author"][0]).height == own.height == 3
    hits: dict[str, int] = {}
    zone = ZoneInfo("America/Chicago")
    for at, (lon, lat) in zip(series["true_at"], series["positions"], strict=True):
        when = datetime.fromisoformat(at).replace(tzinfo=zone).astimezone(UTC)
        soon = posts.drop_nulls("lon").filter(pl.col("posted_at").is_between(when, when + timedelta(hours=1)))
        for author in soon.filter(pl.Series(away(soon, lon, lat) < 200))["author"]:
            hits[author] = hits.get(author, 0) + 1
    assert hits == {own["author"][0]: 3} and set(posts["case_number"]) == {planted["posts"]["case"]}

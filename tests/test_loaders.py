"""Sources: how they are found, what their expressions do, and the real files with their quirks."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from workbench import loaders, schema
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake
from workbench.loaders import Part, Source, chicago_crimes, san_antonio_calls, seattle_reads
from workbench.loaders.kit import expressions, functions

CHICAGO = chicago_crimes.SOURCE.columns
MINIMAL = {"incident_id": "a", "started_at": "b", "nibrs": "c"}


def table_of(lake: Lake, about: str) -> pl.DataFrame:
    """Print and give the counts of every file that was loaded."""
    frame = lake.batches().select("file", "read", "added", "updated", "duplicate", "rejected", "seconds")
    with pl.Config(tbl_rows=-1, tbl_width_chars=120, fmt_str_lengths=40, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(f"\n{about}\n{frame}")
    assert frame.filter(pl.col("read") != pl.sum_horizontal("added", "updated", "duplicate", "rejected")).is_empty()
    return frame


def evaluated(expression: str, zone: str = "America/Chicago", **raw: str | None) -> Any:
    """An expression over one raw record, its quick form and its full form, which must agree."""
    given = ", ".join(f"{'null' if v is None else expressions.quoted(v)}::varchar as {expressions.column(k)}" for k, v in raw.items())
    steps = "".join(f", {sql} as {expressions.column(step)}" for step, sql in getattr(expression, "steps", ()))
    quick = getattr(expression, "quick", expression)
    sql = f"select ({expression})::varchar, ({quick})::varchar from (select *{steps} from (select {given}))"
    con = duckdb.connect()
    functions.register(con)
    con.execute("set TimeZone = 'UTC'")
    full, fast = con.execute(sql.replace(expressions.ZONE, zone)).fetchall()[0]
    con.close()
    assert full == fast
    return full


# ---------------------------------------------------------------- finding sources


def test_sources_are_found_by_their_file_without_being_imported() -> None:
    assert {"chicago_crimes", "san_antonio_calls", "seattle_reads"} <= set(loaders.names())
    for name in loaders.names():
        source = loaders.find(name)
        assert source.name == name and source.title and source.notes and set(source.tables) <= set(schema.TABLES)
    assert not {"expressions"} & set(loaders.names())


def test_a_source_of_the_agency_is_found_beside_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "our_calls.py").write_text(
        "from workbench.loaders import Part, Source\nfrom workbench.loaders.kit.expressions import text, utc_time\n"
        "SOURCE = Source(name='our_calls', title='ours', columns=('a', 'b'), parts=(Part('calls', {'call_id': text('a'), 'received_at': utc_time('b')}),))\n")
    (tmp_path / "broken.py").write_text("SOURCE = 1 / 0")
    (tmp_path / "other.py").write_text("SOURCE = 'calls'")
    assert "our_calls" in loaders.names(tmp_path) and "our_calls" not in loaders.names()
    assert loaders.find("our_calls", tmp_path).tables == ("calls",)
    with pytest.raises(BadInput, match="'broken' .* cannot be used: ZeroDivisionError"):
        loaders.find("broken", tmp_path)
    with pytest.raises(BadInput, match=r"must set SOURCE to a workbench\.loaders\.Source; it has str"):
        loaders.find("other", tmp_path)


def test_a_misspelt_source_table_column_or_form_is_met_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="no source 'chicago_crime'. Did you mean 'chicago_crimes'"):
        loaders.find("chicago_crime")
    with pytest.raises(NotFound, match="Did you mean 'incidents'"):
        Part("incident", {})
    with pytest.raises(BadInput, match="no column 'offense'. Did you mean 'offence'"):
        Part("incidents", {**MINIMAL, "offense": "x"})
    with pytest.raises(BadInput, match="must give started_at, nibrs"):
        Part("incidents", {"incident_id": "x"})
    with pytest.raises(BadInput, match="has the form 'cvs'. Did you mean 'csv'"):
        Source(name="s", title="s", parts=(Part("incidents", MINIMAL),), columns=("a",), formats=("cvs",))


def test_the_mapping_version_changes_with_what_changes_rows_and_with_nothing_else() -> None:
    def made(**changed: Any) -> str:
        return Source(**{"name": "s", "title": "s", "parts": (Part("incidents", MINIMAL),), "columns": ("a", "b", "c"), **changed}).mapping_version()

    same = made()
    assert same == made(title="other", notes=("a note",))
    others = [made(zone="America/Chicago"), made(parts=(Part("incidents", {**MINIMAL, "mo": "a"}),)), made(delimiter="|"), made(encoding="cp1252")]
    assert len({same, *others}) == 5


# ---------------------------------------------------------------- expressions


@settings(max_examples=25, deadline=None)
@given(st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1)),
       st.sampled_from(["America/Chicago", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "UTC"]))
def test_a_wall_clock_time_means_what_the_time_zone_database_says(at: datetime, zone: str) -> None:
    at = at.replace(microsecond=0)
    right = at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    got = evaluated(expressions.local_time("t", "iso"), zone, t=f"{at:%Y-%m-%d %H:%M:%S}")
    assert datetime.fromisoformat(got + ":00") == right


def test_a_time_that_never_was_moves_forward_and_one_that_was_twice_is_the_first() -> None:
    chicago = expressions.local_time("t", "%m/%d/%Y %I:%M:%S %p", "iso")
    for wall, right in {
        "03/12/2017 01:59:59 AM": "2017-03-12 07:59:59+00", "03/12/2017 02:30:00 AM": "2017-03-12 08:30:00+00",
        "03/12/2017 03:30:00 AM": "2017-03-12 08:30:00+00", "11/05/2017 12:59:59 AM": "2017-11-05 05:59:59+00",
        "11/05/2017 01:30:00 AM": "2017-11-05 06:30:00+00", "11/05/2017 02:00:00 AM": "2017-11-05 08:00:00+00",
        "01/01/2017 12:01:00 AM": "2017-01-01 06:01:00+00", "01/01/2017 12:01:00 PM": "2017-01-01 18:01:00+00",
        "2017-07-01T00:00:00": "2017-07-01 05:00:00+00",
    }.items():
        assert evaluated(chicago, t=wall) == right, wall
    for wrong in ("", None, "02/30/2017 01:00:00 AM", "13:00", "infinity", "-infinity", "epoch", "NA"):
        assert evaluated(chicago, t=wrong) is None
        assert evaluated(expressions.utc_time("t", "%b %d, %Y"), t=wrong) is None
    assert evaluated(expressions.utc_time("t", "%b %d, %Y"), t=" Mar 02, 2017 ") == "2017-03-02 00:00:00+00"


def test_the_other_expressions_read_what_is_there_and_null_the_rest() -> None:
    assert [evaluated(expressions.text("t"), t=v) for v in (" a ", "NA", "", None, "na")] == ["a", None, None, None, "na"]
    assert evaluated(expressions.text("t", ("",)), t="NA") == "NA"
    assert [evaluated(expressions.number("t", 0, 1), t=v) for v in ("0.5", "2", "nan", "x")] == ["0.5", None, None, None]
    assert [evaluated(expressions.yes_no("t"), t=v) for v in ("TRUE", " n ", "1", "maybe", None)] == ["true", "false", "true", None, None]
    assert [evaluated(expressions.epoch_ms("t"), t=v) for v in ("1667278839000", "9" * 18, "x", None)] == ["2022-11-01 05:00:39+00", None, None, None]
    assert [evaluated(expressions.lookup("t", {"a": "1", "it's": "2"}, "0"), t=v) for v in ("a", " it's ", "b", None)] == ["1", "2", "0", "0"]
    assert [evaluated(expressions.utc_time("t"), t=v) for v in ("2024-02-20 11:08:25-05", "infinity", "x")] == ["2024-02-20 16:08:25+00", None, None]
    assert [evaluated(expressions.date("t", "%m/%d/%Y"), t=v) for v in ("02/03/1990", "x")] == ["1990-02-03", None]
    assert evaluated(expressions.json_list("t"), t='["A", "B 7"]') == "[A, 'B 7']" or "B 7" in evaluated(expressions.json_list("t"), t='["A", "B 7"]')
    assert evaluated(expressions.split("t", ";"), t="A; B") == "[A, B]" and evaluated(expressions.split("t"), t=None) is None
    assert evaluated(expressions.stable_id("a", "b"), a="x", b=None) != evaluated(expressions.stable_id("a", "b"), a=None, b="x")


@pytest.mark.parametrize(("lon", "lat", "found"), [
    ("-87.6", "41.8", True), ("-87.6", "", False), ("", "41.8", False), ("0", "0", False), ("0.0004", "-0.0001", False), ("-87.6", "91", False),
    ("nan", "41", False),
    ("-91.686566", "36.619446", False), ("-91.6865661", "36.6194459", False), ("-91.68", "36.61", True),
])
def test_a_place_is_both_coordinates_or_none(lon: str, lat: str, found: bool) -> None:
    place = expressions.place("x", "y", nowhere=(chicago_crimes.MISSOURI,))
    assert (evaluated(place["lon"], x=lon, y=lat) is not None) == (evaluated(place["lat"], x=lon, y=lat) is not None) == found


# ---------------------------------------------------------------- the real files


def raw_row(**changed: str) -> list[str]:
    row = {"ID": "1", "Case Number": "HZ1", "Date": "01/01/2017 12:01:00 AM", "Block": "0XX W X ST", "IUCR": "0110", "Primary Type": "HOMICIDE",
           "Description": "D", "Location Description": "ALLEY", "Arrest": "true", "Domestic": "false", "Beat": "0412", "District": "004", "FBI Code": "01A",
           "Updated On": "02/11/2018 03:57:41 PM", "Latitude": "41.8", "Longitude": "-87.6"}
    return [{**row, **changed}[c] for c in CHICAGO]


def write(path: Path, header: tuple[str, ...], rows: list[list[str]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    return path


def test_chicago_keeps_zeros_nulls_the_missouri_point_and_names_unmapped_codes(tmp_path: Path) -> None:
    rows = [raw_row(), raw_row(ID="2", Latitude="36.619446", Longitude="-91.686566"), raw_row(ID="3", **{"FBI Code": "99"}), raw_row(ID="4", Date="2017"),
            raw_row(ID="5", Latitude="", Longitude="", Arrest="")]
    lake = Lake(tmp_path / "lake")
    report = lake.load(chicago_crimes.SOURCE, write(tmp_path / "a.csv", CHICAGO, rows))
    assert (report.added, report.rejects_by_reason) == (4, {"started_at not readable": 1})
    frame = lake.frame("incidents").sort("incident_id")
    expected = {
        **dict.fromkeys(frame.columns), "incident_id": "1", "report_number": "HZ1", "started_at": datetime(2017, 1, 1, 6, 1, tzinfo=UTC),
        "offence_code": "0110", "offence": "HOMICIDE", "offence_detail": "D", "nibrs": "09A", "premise": "ALLEY", "address": "0XX W X ST",
        "lon": -87.6, "lat": 41.8, "beat": "0412", "district": "004", "arrest": True, "domestic": False,
        "revised_at": datetime(2018, 2, 11, 21, 57, 41, tzinfo=UTC), "source": "chicago_crimes", "line": 1, "batch_id": report.batch_id,
        "recorded_at": frame["recorded_at"][0]}
    assert frame.row(0, named=True) == expected
    assert frame["lon"].to_list() == [-87.6, None, -87.6, None] and frame["nibrs"][2] == "UNKNOWN" and frame["arrest"][3] is None


def test_san_antonio_tells_the_time_by_its_epoch_and_drops_what_is_junk(tmp_path: Path) -> None:
    header = ("Date", "Time", "Address", "Zipcode", "Category", "ProblemType", "PatrolDistrict", "Substation", "IncidentNumber", "LAT", "LON",
              "ResponseDate", "URL")

    def row(number: str, time: str, epoch: str, **changed: str) -> list[str]:
        base = {"Date": "11/01/22", "Time": time, "Address": "1 Any St, Apt 7", "Category": "c", "ProblemType": "p", "PatrolDistrict": "7210",
                "Substation": "PRUE", "IncidentNumber": number, "LAT": "29.5", "LON": "-98.5", "ResponseDate": epoch}
        return [{**dict.fromkeys(header, ""), **base, **changed}[c] for c in header]

    rows = [row("a", " 8:31:55", "1667352715000"), row("b", "11:23:24 AM", ""), row("c", " 8:31:55", ""),
            row("d", "", "1667352715000", LAT="0.00001", LON="-0.00001"), row("a", " 8:31:55", "1667352715000"),
            row("a", " 8:31:55", "1667352715000", ProblemType="q"), row("e", " 8:31:55", "1667352715"), row("", "", "1667352715000")]
    lake = Lake(tmp_path / "lake")
    report = lake.load(san_antonio_calls.SOURCE, write(tmp_path / "a.csv", header, rows))
    assert (report.added, report.updated, report.duplicate) == (3, 1, 1)
    assert report.rejects_by_reason == {"no received_at": 1, "ResponseDate is not of the day in Date": 1, "no call_id": 1}
    frame = lake.frame("calls").sort("call_id")
    assert frame["received_at"].dt.strftime("%H:%M").to_list() == ["01:31", "16:23", "01:31"], "20:31, 11:23 and 20:31 in Chicago"
    assert frame["call_type"].to_list() == ["q", "p", "p"] and frame["lat"].to_list() == [29.5, 29.5, None] and frame["address"][0] == "1 Any St, Apt 7"


def test_seattle_reads_move_have_no_id_and_say_na_for_nothing(tmp_path: Path) -> None:
    header = ("zipcode", "dt", "location", "address", "device", "plate_hash", "lon", "lat", "whitepc")
    rows = [["98101", "10/07/2021 - 16:30:51", place, "1 A St", "SPD1 _Deleted_2", "8b79df", lon, lat, "1"] for place, lon, lat in
            (("WEST", "-122.3", "47.6"), ("EAST", "NA", "NA"), ("WEST", "-122.3", "47.6"))]
    rows.append(["NA", "10/07/2021 - 16:30:51", "NA", "NA", "SPD1", "NA", "NA", "NA", "NA"])
    lake = Lake(tmp_path / "lake")
    report = lake.load(seattle_reads.SOURCE, write(tmp_path / "a.csv", header, rows, "|"))
    assert (report.added, report.duplicate, report.rejects_by_reason) == (2, 1, {"no plate": 1})
    frame = lake.frame("reads").sort("line")
    assert frame["plate"].to_list() == ["8B79DF"] * 2 and frame["plate_raw"].to_list() == ["8b79df"] * 2 and frame["moving"].to_list() == [True, True]
    assert frame["reader"].unique().to_list() == ["SPD1 _Deleted_2"] and frame["lon"].to_list() == [-122.3, None]
    assert frame["read_at"][0] == datetime(2021, 10, 7, 23, 30, 51, tzinfo=UTC)
    lake.load(seattle_reads.SOURCE, write(tmp_path / "b.csv", header, rows[1:2], "|"))
    assert lake.frame("reads").height == 2


def test_chicago_2013_to_2017_loads_with_every_record_accounted_for(chicago_path: Path, real_data: Path) -> None:
    lake = Lake(chicago_path / "lake")
    read = dict(table_of(lake, "Chicago").select("file", "read").iter_rows())
    assert read == {"chicago_crimes_2013.parquet": 307_030, "chicago_crimes_2014.parquet": 275_200, "chicago_crimes_2015.parquet": 263_929,
                    "chicago_crimes_2016.parquet": 268_813, "Crimes_-_2017.csv.gz": 267_792}
    with gzip.open(real_data / "chicago" / "Crimes_-_2017.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        assert sum(1 for _ in csv.reader(stream)) - 1 == 267_792
    versions = lake.versions()
    facts = lake.query("""select count(*) n, count(distinct incident_id) ids, count(*) - count(lon) nowhere,
        count(*) filter (length(beat) <> 4 or length(district) <> 3) cut, count(*) filter (nibrs = 'UNKNOWN') unknown,
        min(started_at) low, max(started_at) high, min(lat) south from incidents""", versions=versions).row(0, named=True)
    raw = duckdb.sql(f"""select count(*), count(*) filter ("Latitude" is null), count(*) filter (abs("Latitude" - 36.619446) < 1e-5)
        from read_parquet('{real_data}/chicago/chicago_crimes_*.parquet')""").fetchall()[0]
    lost = duckdb.sql(f"""select count(*) filter (Latitude is null), count(*) filter (abs(Latitude - 36.619446) < 1e-5)
        from read_csv('{real_data}/chicago/Crimes_-_2017.csv.gz', types = {{'Latitude': 'DOUBLE'}})""").fetchall()[0]
    assert facts["n"] == facts["ids"] == 1_382_764 and facts["cut"] == facts["unknown"] == 0
    assert raw[2] + lost[1] == 14 and facts["nowhere"] == raw[1] + raw[2] + lost[0] + lost[1] and facts["south"] > 41
    assert (facts["low"], facts["high"].astimezone(ZoneInfo("America/Chicago")).year) == (datetime(2013, 1, 1, 6, tzinfo=UTC), 2017)


def test_the_same_incidents_from_raw_text_and_from_typed_parquet_are_equal(real_data: Path, tmp_path: Path) -> None:
    typed = pl.read_parquet(real_data / "chicago" / "chicago_crimes_2016.parquet").gather_every(531)
    typed.write_parquet(tmp_path / "typed.parquet")
    clock = "%m/%d/%Y %I:%M:%S %p"
    raw = typed.with_columns(pl.col("Date", "Updated On").dt.strftime(clock), pl.col("Arrest", "Domestic").cast(pl.String))
    raw.write_csv(tmp_path / "raw.csv")
    assert re.search(r"\d\d/\d\d/2016 \d\d:\d\d:\d\d [AP]M", (tmp_path / "raw.csv").read_text())
    frames = []
    for name in ("typed.parquet", "raw.csv"):
        lake = Lake(tmp_path / name.replace(".", "-"))
        assert lake.load(chicago_crimes.SOURCE, tmp_path / name).added == typed.height
        frames.append(lake.frame("incidents").drop("batch_id", "recorded_at").sort("line"))
    assert_frame_equal(*frames)


@pytest.fixture(scope="session")
def calls_and_reads(real_data: Path, made_once: Callable[[str, Callable[[Path], Any]], Path]) -> Lake:
    """A lake with all San Antonio calls and the Seattle reads; read only."""
    def make(folder: Path) -> None:
        lake = Lake(folder)
        for file in sorted((real_data / "sanantonio_cad").glob("sapd_*.csv*")):
            lake.load(san_antonio_calls.SOURCE, file)
        lake.load(seattle_reads.SOURCE, real_data / "seattle_lpr" / "spd_alpr_2021-10-01_to_05.csv.gz")

    return Lake(made_once("calls_and_reads", make))


def test_all_san_antonio_files_load_with_every_record_accounted_for(calls_and_reads: Lake, real_data: Path) -> None:
    frame = table_of(calls_and_reads, "San Antonio and Seattle").filter(pl.col("file").str.starts_with("sapd"))
    assert frame.height == 34 and frame["read"].sum() == 571_987
    for name in ("sapd_2025-01.csv", "sapd_2022-11.csv.gz"):
        opened = gzip.open if name.endswith("gz") else open
        with opened(real_data / "sanantonio_cad" / name, "rt", encoding="utf-8", newline="") as stream:
            assert sum(1 for _ in csv.reader(stream)) - 1 == frame.filter(pl.col("file") == name)["read"][0]
    refused = calls_and_reads.rejects()
    assert refused["reason"].unique().to_list() == ["no call_id"] and refused.height == frame["rejected"].sum() == 9
    facts = calls_and_reads.query("select count(*), count(distinct call_id), count(*) - count(lon) from calls", versions=calls_and_reads.versions()).row(0)
    assert facts == (571_978, 571_978, 1)


def test_san_antonio_calls_agree_with_their_clock_once_the_lost_am_and_pm_are_back(calls_and_reads: Lake, real_data: Path) -> None:
    frame = calls_and_reads.query("select call_id, timezone('America/Chicago', received_at) as wall from calls", versions=calls_and_reads.versions())
    files = sorted((real_data / "sanantonio_cad").glob("sapd_*.csv*"))[::6]
    raw = pl.concat([pl.read_csv(f, infer_schema=False, columns=["Date", "Time", "IncidentNumber"]) for f in files])
    both = raw.join(frame, left_on="IncidentNumber", right_on="call_id").with_columns(pl.col("Time").str.strip_chars())
    assert both.height > 90_000
    clock, kept = pl.col("Date") + " " + pl.col("Time"), pl.col("Time").str.ends_with("M")
    marked = both.filter(kept).with_columns(clock.str.strptime(pl.Datetime("us"), "%m/%d/%y %I:%M:%S %p").alias("clock"))
    bare = both.filter(~kept).with_columns(clock.str.strptime(pl.Datetime("us"), "%m/%d/%y %H:%M:%S").alias("clock"))
    assert bare.height > 2 * marked.height
    assert (marked["wall"] - marked["clock"]).abs().max() <= timedelta(seconds=1)
    off = (bare["wall"] - bare["clock"]).dt.total_seconds()
    afternoon = off.filter(off > 3600)
    assert 0.5 < len(afternoon) / len(off) < 0.75
    assert (afternoon - 12 * 3600).abs().max() <= 1 and off.filter(off <= 3600).abs().max() <= 1


def test_the_seattle_reads_load_with_every_record_accounted_for(calls_and_reads: Lake) -> None:
    ledger = calls_and_reads.batches().filter(pl.col("source") == "seattle_reads")
    assert ledger.select("read", "added", "updated", "duplicate", "rejected").rows() == [(51_065, 51_065, 0, 0, 0)]
    facts = calls_and_reads.query("""select count(*), count(distinct plate), count(lon), count(distinct reader), bool_and(moving), min(read_at), max(read_at),
        bool_and(length(plate) = 40 and plate = upper(plate_raw)) from reads""", versions=calls_and_reads.versions()).row(0)
    assert facts[:2] == (51_065, 40_684) and 0.76 < facts[2] / facts[0] < 0.78 and facts[3] >= 7 and facts[4] and facts[7]
    local = ZoneInfo("America/Los_Angeles")
    assert (facts[5].astimezone(local).date().isoformat(), facts[6].astimezone(local).date().isoformat()) == ("2021-10-01", "2021-10-05")

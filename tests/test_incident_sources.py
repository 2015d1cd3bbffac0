"""Sources of incident history: each quirk of each real file, and of the exports whose ten rows lie beside them."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import workbench as wb
from workbench import loaders, workspace
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake, files
from workbench.loaders.kit import expressions, functions, nibrs, times
from workbench.loaders.kit.expressions import column, joined, padded
from workbench.loaders.los_angeles_incidents import SOURCE as LOS_ANGELES
from workbench.loaders.new_york_incidents import SOURCE as NEW_YORK
from workbench.loaders.st_louis_incidents import SOURCE as ST_LOUIS
from workbench.loaders.uk_street_crimes import SOURCE as UK
from workbench.loaders.washington_incidents import SOURCE as WASHINGTON
from workbench.results import Basis


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def evaluated(expression: str, zone: str = "America/Chicago", **raw: str | None) -> Any:
    """An expression over one raw record, its quick form and its full form, which must agree."""
    given = ", ".join(f"{'null' if v is None else expressions.quoted(v)}::varchar as {column(k)}" for k, v in raw.items())
    steps = "".join(f", {sql} as {column(step)}" for step, sql in getattr(expression, "steps", ()))
    con = duckdb.connect()
    functions.register(con)
    con.execute("set TimeZone = 'UTC'")
    sql = f"select ({expression})::varchar, ({getattr(expression, 'quick', expression)})::varchar from (select *{steps} from (select {given}))"
    full, fast = con.execute(sql.replace(expressions.ZONE, zone)).fetchall()[0]
    con.close()
    assert full == fast
    return full


def loaded(name: str, *paths: Path, lake: Path, **said: str) -> pl.DataFrame:
    """The first table of a source after its files went in, with balancing counts."""
    source, held = loaders.find(name), Lake(lake)
    for path in paths:
        report = held.load(source, path, said=said)
        assert report.read == report.added + report.updated + report.duplicate + report.rejected > 0
    return held.frame(source.tables[0])


def write(path: Path, header: tuple[str, ...], *rows: dict[str, str], delimiter: str = ",", encoding: str = "utf-8", bom: bytes = b"") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *([row.get(c, "") for c in header] for row in rows)])
    path.write_bytes(bom + text.getvalue().encode(encoding))
    return path


# ---------------------------------------------------------------- codes


def test_every_code_of_every_table_is_a_nibrs_code_and_what_no_table_has_is_unknown() -> None:
    assert {"220", "13A", "23F", "90Z"} <= set(nibrs.codes())
    for name in nibrs.tables():
        assert nibrs.table(name), name
        assert all(code in nibrs.codes() or code == nibrs.UNKNOWN for _, code in nibrs.table(name)), name
    for name in loaders.names():
        source = loaders.find(name)
        for part in source.parts:
            assert "nibrs" not in part.columns or "UNKNOWN" in part.columns["nibrs"] or part.columns["nibrs"].strip("'") in nibrs.codes(), name
    with pytest.raises(NotFound, match="no code table 'ohoi'. Did you mean 'ohio'"):
        nibrs.table("ohoi")


def test_the_codes_are_those_of_the_shared_list(real_data: Path) -> None:
    shared = pl.read_csv(real_data.parent / "domain" / "codes" / "nibrs.csv", infer_schema=False)
    assert set(nibrs.codes()) == set(shared["code"])


@pytest.mark.parametrize(("wording", "code"), [
    ("LARCENY/THEFT: GRAND THEFT FROM LOCKED AUTO", "23F"), ("VEHICLE THEFT: STOLEN AUTOMOBILE", "240"), ("CAR PROWL: THEFT-CARPROWL", "23F"),
    ("BURGLARY OF VEHICLE", "23F"), ("BURGLARY: BURGLARY OF APARTMENT HOUSE", "220"), ("ROBBERY BY THREAT", "120"), ("ASSAULT INFORMATION", "UNKNOWN"),
    ("MURDER & NON-NEGL. MANSLAUGHTER", "09A"), ("HOMICIDE-NEGLIGENT-VEHICLE", "09B"), ("THEFT-BUILDING", "23D"), ("ASSLT-NONAGG", "13B"),
    ("ASSAULT: AGGRAVATED ASSAULT WITH BODILY FORCE", "13A"), ("AGG ASSLT OTHER WPN SPOUSE/PARTNER", "13A"), ("POSSESSION OF BURGLARY TOOLS", "90Z"),
    ("DRIVING UNDER THE INFLUENCE OF ALCOHOL", "90D"), ("DRUGS/ALCOHOL VIOLATIONS", "35A"), ("NON-CRIMINAL: LOST PROPERTY", "UNKNOWN"),
    ("WEAPON LAWS: POSS OF PROHIBITED WEAPON", "520"), ("TRESPASS", "90J"), ("PROMOTION OF PROSTITUTION", "40B"), ("CRIMINAL THREATS", "13C"),
    ("STOLEN PROPERTY: STOLEN PROPERTY, POSSESSION WITH KNOWLEDGE", "280"), ("VEHICLE BREAK-IN/THEFT", "23F"), ("THEFT OF AUTO PARTS", "23G"),
    ("TRAFFIC COLLISION", "UNKNOWN"), ("HIT AND RUN", "90Z"), ("STALKING", "13C"), ("FORGERY/COUNTERFEITING", "250"), ("ARSON", "200"),
])
def test_wordings_become_the_code_of_the_first_pattern_that_fits(wording: str, code: str) -> None:
    assert nibrs.worded("wordings", wording) == code
    assert nibrs.worded("wordings", "QWERTZ") is None


# ---------------------------------------------------------------- expressions


def test_a_day_and_a_clock_in_two_columns_are_one_moment() -> None:
    both = times.on_clock("d", "c")
    for clock, right in {"130": "06:30", "0": "05:00", "0005": "05:05", "5": "05:05", "2359": "04:59", "7:05": "12:05", "23:59:59": "04:59:59",
                         "24:00": "05:00", "": "05:00"}.items():
        got = evaluated(both, d="2026-07-01T00:00:00", c=clock)
        assert got is not None and got.split(" ")[1].startswith(right), (clock, got)
    assert evaluated(both, d="07/01/2026", c="24:00:00") == "2026-07-02 05:00:00+00"
    assert evaluated(times.on_clock("d", "c", bare="end"), d="2026-07-01", c=None) == "2026-07-02 05:00:00+00"
    for day, clock in (("2026-07-01", "2460"), ("2026-07-01", "2500"), ("2026-07-01", "noon"), ("2026-13-01", "1200"), ("", "1200"), (None, None)):
        assert evaluated(both, d=day, c=clock) is None
    assert evaluated(both, d="2026-03-08", c="230") == "2026-03-08 08:30:00+00", "a time that never was moves forward"
    assert evaluated(both, d="2026-11-01", c="130") == "2026-11-01 06:30:00+00", "of a time that was twice, the first"


def test_months_days_epochs_and_fractions_of_a_day_are_read() -> None:
    assert evaluated(times.month_start("m"), "Europe/London", m="2026-07") == "2026-06-30 23:00:00+00"
    assert evaluated(times.month_end("m"), "Europe/London", m="2026-12-01") == "2027-01-01 00:00:00+00"
    assert [evaluated(times.month_start("m"), m=v) for v in ("2026-13", "July", "", None)] == [None] * 4
    assert evaluated(times.day_end("d"), d="2026-03-08") == "2026-03-09 05:00:00+00", "a day of 23 hours"
    assert evaluated(times.on_fraction("d", "f"), d="2026-01-01", f="0.6180555555555556") == "2026-01-01 20:50:00+00"
    assert [evaluated(times.on_fraction("d", "f"), d="2026-01-01", f=v) for v in ("1.5", "x", "-0.1")] == [None] * 3
    assert evaluated(times.epoch_s("t"), t="1490954100") == "2017-03-31 09:55:00+00"
    assert [evaluated(times.epoch_s("t"), t=v) for v in ("1e9x", "9" * 17, "")] == [None] * 3


def test_codes_get_their_zeros_back_and_texts_are_joined_without_the_empty_ones() -> None:
    assert [evaluated(padded("t", 6), t=v) for v in ("21000", " 142320 ", "1234567", "")] == ["021000", "142320", "1234567", None]
    assert evaluated(joined(", ", "a", "b"), a="x", b=None) == "x" and evaluated(joined(", ", "a", "b"), a=None, b=None) is None
    assert column('a"b') == '"a""b"'


# ---------------------------------------------------------------- St. Louis

HEAD_ST_LOUIS = ("Complaint", "CodedMonth", "DateOccur", "FlagCrime", "FlagUnfounded", "FlagAdministrative", "Count", "FlagCleanup", "Crime", "District",
                 "Description", "ILEADSAddress", "ILEADSStreet", "Neighborhood", "LocationName", "LocationComment",
                 "CADAddress", "CADStreet", "XCoord", "YCoord")


def complaint(**changed: str) -> dict[str, str]:
    return {"Complaint": "15-000001", "CodedMonth": "2015-03", "DateOccur": "3/1/2015 0:30", "FlagCrime": "Y", "Count": "1", "Crime": "21000",
            "District": "5", "Description": "RAPE -- FORCIBLE", "ILEADSAddress": "3000", "ILEADSStreet": "ANY  ",
            "XCoord": "901500", "YCoord": "1020300", **changed}


def test_st_louis_keeps_every_row_marks_what_is_unfounded_and_widens_what_has_no_time(tmp_path: Path) -> None:
    rows = [complaint(), complaint(), complaint(Crime="142320", Description="DESTRUCTION OF PROPERTY"), complaint(Count="-1"),
            complaint(Complaint="15-2", DateOccur="03/05/2015 00:01"), complaint(Complaint="15-3", DateOccur="01/01/1900 00:00"),
            complaint(Complaint="15-4", XCoord="0", YCoord="0", ILEADSAddress="0", District="0"), complaint(Complaint="15-5", Count="2"),
            complaint(Complaint="15-6", Description="ROBBERY-HIGHWAY /FIREARM USED/ATTEMPT", Crime="31112"),
            complaint(Complaint="15-7", DateOccur="13/45/2015 00:00"), complaint(Complaint="")]
    lake = Lake(tmp_path / "lake")
    report = lake.load(ST_LOUIS, write(tmp_path / "march2015.csv", HEAD_ST_LOUIS, *rows))
    assert report.added == 8 and report.rejects_by_reason == {"Count is neither 1 nor -1": 1, "started_at not readable": 1, "no incident_id": 1}
    held = {r["incident_id"]: r for r in lake.frame("incidents").iter_rows(named=True)}
    assert set(held) == {"15-000001/021000/2015-03", "15-000001/021000/2015-03/2", "15-000001/142320/2015-03", "15-000001/021000/2015-03/unfounded",
                         "15-2/021000/2015-03", "15-3/021000/2015-03", "15-4/021000/2015-03", "15-6/031112/2015-03"}
    first, gone = held["15-000001/021000/2015-03"], held["15-000001/021000/2015-03/unfounded"]
    assert (first["unfounded"], gone["unfounded"], gone["status"]) == (False, True, "un-founded")
    assert (first["offence_code"], first["nibrs"], first["address"], first["started_at"]) == ("021000", "11A", "3000 ANY", at(2015, 3, 1, 6, 30))
    assert -90.4 < first["lon"] < -90.1 and 38.5 < first["lat"] < 38.8, "feet of Missouri East lie in the city"
    no_time, no_day, no_place = held["15-2/021000/2015-03"], held["15-3/021000/2015-03"], held["15-4/021000/2015-03"]
    assert (no_time["started_at"], no_time["ended_at"], no_time["time_precision"]) == (at(2015, 3, 5, 6), at(2015, 3, 6, 6), "day")
    assert (no_day["started_at"].year, no_day["ended_at"], no_day["time_precision"]) == (1900, at(2015, 4, 1, 5), "unknown")
    assert (no_place["lon"], no_place["address"], no_place["district"]) == (None, "ANY", None)
    assert (held["15-6/031112/2015-03"]["attempted"], held["15-6/031112/2015-03"]["weapon"]) == (True, "FIREARM")
    again = lake.load(ST_LOUIS, write(tmp_path / "march2015-again.csv", HEAD_ST_LOUIS, *rows, complaint(Complaint="15-8")))
    assert (again.added, again.updated, again.duplicate) == (1, 0, 8), "the same rows get the same ids"


def test_st_louis_reads_either_encoding_and_the_month_with_other_names(tmp_path: Path) -> None:
    wide = tuple({"CodedMonth": "Coded Month", "DateOccur": "Date Occur", "FlagCrime": "Flag-Crime", "ILEADSAddress": "ILEADS-Address",
                  "ILEADSStreet": "ILEADS-Street", "XCoord": "X-Coord", "YCoord": "Y-Coord"}.get(c, c) for c in HEAD_ST_LOUIS) + ("Beat", "ILeads Add")
    renamed = dict(zip(HEAD_ST_LOUIS, wide, strict=False))
    may = {renamed[k]: v for k, v in complaint(Complaint="17-1").items()} | {"Beat": "529", "ILeads Add": "5/14/2017 16:16"}
    lake = Lake(tmp_path / "lake")
    assert lake.load(ST_LOUIS, write(tmp_path / "may.csv", wide, may)).added == 1
    for number, (encoding, bom) in enumerate([("cp1252", b""), ("cp1252", b"\xef\xbb\xbf"), ("utf-8", b"\xef\xbb\xbf")]):
        file = write(tmp_path / f"{number}.csv", HEAD_ST_LOUIS, complaint(Complaint=f"16-{number}", ILEADSStreet="CAFÉ RD"), encoding=encoding, bom=bom)
        assert lake.load(ST_LOUIS, file).added == 1
    frame = lake.frame("incidents").sort("report_number")
    assert frame["address"].to_list() == ["3000 CAFÉ RD"] * 3 + ["3000 ANY"]
    assert (frame["beat"][3], frame["reported_at"][3]) == ("529", at(2017, 5, 14, 21, 16))


def raw_st_louis(folder: Path) -> pl.DataFrame:
    """Complaint, code and count of every row of every file, read by Python's own csv."""
    rows = []
    for file in sorted(folder.glob("*/*.csv*")):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for row in csv.DictReader(io.StringIO(content.removeprefix(b"\xef\xbb\xbf").decode("cp1252", "replace"), newline="")):
            rows.append((file.name, row["Complaint"].strip(), row["Crime"].strip().zfill(6), int(row["Count"])))
    return pl.DataFrame(rows, schema=["file", "complaint", "code", "count"], orient="row")


def test_all_48_months_of_st_louis_load_and_count_founded_less_unfounded(st_louis_path: Path, real_data: Path) -> None:
    st_louis = Lake(st_louis_path)
    raw, held, ledger = raw_st_louis(real_data / "stlouis" / "raw"), st_louis.frame("incidents"), st_louis.batches()
    assert ledger.height == raw["file"].n_unique() == 48
    assert ledger["added"].sum() == ledger["read"].sum() == held.height == raw.height and ledger["rejected"].sum() == 0, "nothing is lost, nothing collapses"
    assert dict(ledger.select("file", "read").iter_rows()) == dict(raw.group_by("file").len().iter_rows())
    net = pl.when("unfounded").then(-1).otherwise(1).sum()
    ours = held.group_by(code="offence_code").agg(count=net).sort("code")
    theirs = raw.group_by("code").agg(pl.col("count").sum()).sort("code")
    assert_frame_equal(ours, theirs, check_dtypes=False)
    assert held["unfounded"].sum() == raw.filter(pl.col("count") < 0).height
    assert held["report_number"].n_unique() == raw["complaint"].n_unique() < held.height


def city_over(lake: Path, folder: Path) -> wb.Workbench:
    """A workbench over a lake that is there already."""
    path = workspace.create(folder, name="Test", zone="America/Chicago").path
    (path / "lake").rmdir()
    (path / "lake").symlink_to(lake)
    return wb.open_workbench(path)


def test_a_row_that_un_founds_another_leaves_out_both_and_one_without_a_partner_is_said(tmp_path: Path) -> None:
    rows = [complaint(), complaint(DateOccur="3/2/2015 0:30"), complaint(Crime="142320"), complaint(Complaint="15-2"),
            complaint(CodedMonth="2015-04", DateOccur="3/2/2015 0:30", Count="-1"), complaint(Complaint="14-9", DateOccur="3/9/2015 10:00", Count="-1"),
            complaint(Complaint="15-2", Crime="31111", Count="-1")]
    lake = Lake(tmp_path / "lake")
    lake.load(ST_LOUIS, write(tmp_path / "march.csv", HEAD_ST_LOUIS, *rows))
    city = city_over(tmp_path / "lake", tmp_path / "city")
    net = city.incidents()
    left = {"15-000001/021000/2015-03", "15-000001/142320/2015-03", "15-2/021000/2015-03"}
    assert set(net["incident_id"]) == left, "of two alike the one of the same time goes"
    said = "2 rows take back an incident that the lake does not hold, so nothing was left out for them: the agency's own net count is lower by 2."
    assert Basis.of(net, method="m", notes=("own",)).notes == ("own", said) and Basis.of(net.filter(pl.col("lon") < 0), method="m").notes == (said,)
    day = city.incidents("2015-03-09", "2015-03-10")
    assert day.is_empty() and Basis.of(day, method="m").notes == (said.replace("2 rows take", "1 row takes").replace("them", "it").replace("by 2", "by 1"),)
    assert Basis.of(city.incidents("2015-03-20", "2015-03-21"), method="m").notes == ()
    assert Basis.of(city.incidents(area=(-90.3, 38.5, -90.1, 38.8)), method="m").notes == (said,)
    assert Basis.of(city.incidents(area=(-80.3, 38.5, -80.1, 38.8)), method="m").notes == ()
    every = city.incidents(unfounded=True)
    assert every.height == 7 and every["withdraws"].sum() == 3 and Basis.of(every, method="m").notes == ()


def test_a_founded_row_loaded_after_the_one_that_takes_it_back_is_left_out_too(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.load(ST_LOUIS, write(tmp_path / "april.csv", HEAD_ST_LOUIS, complaint(CodedMonth="2015-04", Count="-1"), complaint(Complaint="15-7")))
    city = city_over(tmp_path / "lake", tmp_path / "city")
    assert city.incidents().height == 1 and "1 row takes back" in Basis.of(city.incidents(), method="m").notes[0]
    lake.load(ST_LOUIS, write(tmp_path / "march.csv", HEAD_ST_LOUIS, complaint()))
    assert city.incidents().height == 1 and city.refresh().incidents()["report_number"].to_list() == ["15-7"]
    assert Basis.of(city.incidents(), method="m").notes == ()


def test_the_plain_count_of_st_louis_is_the_departments_net_count_but_for_what_is_said(st_louis_path: Path, real_data: Path, tmp_path: Path) -> None:
    raw = raw_st_louis(real_data / "stlouis" / "raw")
    by = raw.group_by("complaint", "code").agg(plus=(pl.col("count") > 0).sum(), minus=(pl.col("count") < 0).sum())
    lone = by.select((pl.col("minus").cast(pl.Int64) - pl.col("plus").cast(pl.Int64)).clip(0)).sum().item()
    net = city_over(st_louis_path, tmp_path / "city").incidents()
    assert net.height - lone == raw["count"].sum() and 0 < lone < 0.001 * net.height, "un-founded rows of before the first month find no partner"
    assert Basis.of(net, method="m").notes[0].startswith(f"{lone:,} rows take back an incident that the lake does not hold")
    ours = net.group_by(complaint="report_number", code="offence_code").len("count").sort("complaint", "code")
    theirs = by.select("complaint", "code", count=pl.col("plus").cast(pl.Int64) - pl.col("minus").cast(pl.Int64)).filter(pl.col("count") > 0)
    assert_frame_equal(ours, theirs.sort("complaint", "code"), check_dtypes=False)


def test_st_louis_lies_in_the_city_and_its_codes_are_known(st_louis_path: Path) -> None:
    held = Lake(st_louis_path).frame("incidents")
    placed = held.drop_nulls("lon")
    assert abs(placed["lon"].median() + 90.242) < 0.002 and abs(placed["lat"].median() - 38.631) < 0.002  # type: ignore[operator]
    assert placed.filter(pl.col("lon").is_between(-90.35, -90.15) & pl.col("lat").is_between(38.5, 38.8)).height > 0.99 * placed.height
    assert 0.02 < 1 - placed.height / held.height < 0.05
    assert held["offence_code"].str.len_chars().unique().to_list() == [6] and (held["nibrs"] == "UNKNOWN").mean() < 0.001  # type: ignore[operator]
    days = held.filter(pl.col("time_precision") == "day")
    assert days.height > 1000 and (days["ended_at"] - days["started_at"]).dt.total_hours().is_in([23, 24, 25]).all()
    assert held.filter(pl.col("time_precision") == "unknown")["started_at"].dt.year().unique().to_list() == [1900]
    assert held.filter(pl.col("started_at").dt.year().is_between(1901, 1999))["time_precision"].null_count() > 0, "an old date that was meant stays"


# ---------------------------------------------------------------- Washington


def test_washington_tells_its_two_conventions_of_time_by_their_form(tmp_path: Path) -> None:
    row = {"CCN": "18000001", "REPORT_DAT": "2018-01-01T04:28:13.000Z", "METHOD": "OTHERS", "OFFENSE": "THEFT F/AUTO", "BLOCK": "1 - 99 BLOCK OF A STREET NW",
           "DISTRICT": "2", "PSA": "207", "LATITUDE": "38.9", "LONGITUDE": "-77.0", "START_DATE": "2018-01-01T01:00:00.000Z", "END_DATE": ""}
    later = {**row, "CCN": "24000001", "METHOD": "GUN", "REPORT_DAT": "2024/02/20 11:08:25+00", "START_DATE": "", "END_DATE": ""}
    lake = Lake(tmp_path / "lake")
    report = lake.load(WASHINGTON, write(tmp_path / "a.csv", WASHINGTON.columns, row, row, later, {**later, "CCN": "3", "START_DATE": "20.02.2024"}))
    assert (report.added, report.rejects_by_reason) == (3, {"started_at not readable": 1})
    frame = lake.frame("incidents").sort("incident_id")
    assert frame["incident_id"].to_list() == ["18000001", "18000001/2", "24000001"] and frame["nibrs"].unique().to_list() == ["23F"]
    assert frame["reported_at"].to_list() == [at(2018, 1, 1, 9, 28, 13)] * 2 + [at(2024, 2, 20, 11, 8, 25)], "a false Z is local, a true +00 is UTC"
    assert frame["started_at"].to_list() == [at(2018, 1, 1, 6)] * 2 + [at(2024, 2, 20, 11, 8, 25)], "the report stands for a start that is not given"
    assert frame["weapon"].to_list() == [None, None, "GUN"]


def test_washington_shifts_agree_with_the_clock_in_both_years(real_data: Path, tmp_path: Path) -> None:
    for year in (2018, 2024):
        file = real_data / "dc" / f"Crime_Incidents_in_{year}_partial.csv.gz"
        held = loaded("washington_incidents", file, lake=tmp_path / str(year))
        raw = pl.read_csv(file, infer_schema=False).with_row_index("line", offset=1).select(pl.col("line").cast(pl.Int64), "CCN", "SHIFT", "END_DATE")
        both = held.join(raw, on="line")
        assert both.height == held.height == raw.height and (both["CCN"] == both["report_number"]).all()
        hour = both.filter(SHIFT="MIDNIGHT")["reported_at"].dt.convert_time_zone("America/New_York").dt.hour()
        assert (hour.is_in([23, 0, 1, 2, 3, 4, 5, 6, 7])).mean() > 0.95  # type: ignore[operator]
        assert held["ended_at"].null_count() == raw["END_DATE"].null_count() and (held["nibrs"] == "UNKNOWN").sum() == 0
    assert held["incident_id"].n_unique() == held.height > held["report_number"].n_unique()


# ---------------------------------------------------------------- data.police.uk


def test_uk_months_are_windows_and_rows_that_say_the_same_are_not_one(tmp_path: Path) -> None:
    header = ("Crime ID", "Month", "Reported by", "Falls within", "Longitude", "Latitude", "Location", "LSOA code", "LSOA name", "Crime type",
              "Last outcome category", "Context")
    noise = {"Month": "2016-07", "Falls within": "A Police", "Longitude": "-1.55", "Latitude": "53.59", "Location": "On or near A Hill",
             "LSOA code": "E01", "Crime type": "Anti-social behaviour"}
    theft = {**noise, "Crime ID": "f" * 64, "Crime type": "Shoplifting", "Last outcome category": "Under investigation"}
    lake = Lake(tmp_path / "lake")
    file = write(tmp_path / "a.csv", header, noise, noise, theft, {**noise, "Location": "No Location", "Longitude": "", "Latitude": ""},
                 {**theft, "Crime ID": "e" * 64, "Crime type": "Vehicle crime"})
    assert lake.load(UK, file).added == 5
    again = write(tmp_path / "b.csv", header, noise, noise, noise, {**theft, "Last outcome category": "Offender fined"})
    report = lake.load(UK, again)
    assert (report.added, report.updated, report.duplicate) == (1, 1, 2), "a third row is new, the outcome is an edition, the other two are held"
    frame = lake.frame("incidents").sort("incident_id")
    assert frame["started_at"].unique().to_list() == [at(2016, 6, 30, 23)] and frame["ended_at"].unique().to_list() == [at(2016, 7, 31, 23)]
    assert set(frame["time_precision"]) == {"month"} and frame["address"].null_count() == frame["lon"].null_count() == 1
    assert frame.filter(report_number="f" * 64)["status"].to_list() == ["Offender fined"]
    assert sorted(frame["nibrs"].unique().to_list()) == ["23C", "90C", "UNKNOWN"]


def test_the_uk_files_lose_no_row(real_data: Path, tmp_path: Path) -> None:
    files_of_uk = sorted((real_data / "uk").glob("*street.csv.gz"))
    held = loaded("uk_street_crimes", *files_of_uk, lake=tmp_path)
    raw = pl.concat([pl.read_csv(f, infer_schema=False) for f in files_of_uk])
    assert held.height == raw.height == held["incident_id"].n_unique()
    assert held["report_number"].null_count() == raw["Crime ID"].null_count() and held["lon"].null_count() == raw["Longitude"].null_count()
    assert dict(held["offence"].value_counts().iter_rows()) == dict(raw["Crime type"].value_counts().iter_rows())
    mixed = raw.filter(pl.col("Crime type").is_in(["Violence and sexual offences", "Vehicle crime"])).height
    assert held.filter(nibrs="UNKNOWN").height == mixed


def test_occurrences_are_counted_over_the_whole_file_however_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = UK.columns
    row = {"Month": "2016-07", "Falls within": "A Police", "Location": "On or near A Hill", "Crime type": "Anti-social behaviour"}
    file = write(tmp_path / "a.csv", header, *[row] * 3000)
    monkeypatch.setattr(files, "FIRST", 1000)
    monkeypatch.setattr(files, "LARGEST", 1000)
    lake = Lake(tmp_path / "lake")
    assert lake.load(UK, file).added == 3000 == lake.frame("incidents")["incident_id"].n_unique()


# ---------------------------------------------------------------- Los Angeles, New York, San Francisco, Chicago


def test_los_angeles_reads_both_exports_and_keeps_mo_codes_in_order(tmp_path: Path) -> None:
    old = ("date_rptd", "dr_no", "date_occ", "time_occ", "area", "area_name", "rd", "crm_cd", "crm_cd_desc", "status", "status_desc",
           "location", "cross_street")
    new = ("DR_NO", "Date Rptd", "DATE OCC", "TIME OCC", "AREA ", "AREA NAME", "Rpt Dist No", "Crm Cd", "Crm Cd Desc", "Mocodes", "Premis Desc", "Weapon Desc",
           "Status", "Status Desc", "LOCATION", "Cross Street", "LAT", "LON")
    first = {"date_rptd": "2014-12-31T00:00:00", "dr_no": "140000001", "date_occ": "2014-12-30T00:00:00", "time_occ": "5", "area_name": "Central", "rd": "0176",
             "crm_cd": "320", "crm_cd_desc": "BURGLARY, ATTEMPTED", "status_desc": "Invest Cont", "location": "1ST    ST", "cross_street": "A AV"}
    second = {"DR_NO": "200000001", "Date Rptd": "01/08/2020 12:00:00 AM", "DATE OCC": "01/07/2020 12:00:00 AM", "TIME OCC": "2230", "AREA NAME": "Central",
              "Rpt Dist No": "0176", "Crm Cd": "998", "Crm Cd Desc": "BATTERY - SIMPLE ASSAULT", "Mocodes": "0444 913 1822", "Status Desc": "Adult Arrest",
              "LOCATION": "1100 W  ANY PL", "LAT": "34.0", "LON": "-118.3"}
    none = {**second, "DR_NO": "3", "Crm Cd": "997", "Crm Cd Desc": "TRAFFIC DR #", "LAT": "0", "LON": "0", "Mocodes": "", "TIME OCC": "9999"}
    lake = Lake(tmp_path / "lake")
    assert lake.load(LOS_ANGELES, write(tmp_path / "2014.csv", old, first)).added == 1
    report = lake.load(LOS_ANGELES, write(tmp_path / "2020.csv", new, second, none, {**none, "TIME OCC": "0001"}))
    assert (report.added, report.rejects_by_reason) == (2, {"started_at not readable": 1})
    frame = lake.frame("incidents").sort("incident_id")
    assert frame["started_at"].to_list() == [at(2014, 12, 30, 8, 5), at(2020, 1, 8, 6, 30), at(2020, 1, 7, 8, 1)]
    assert frame["mo"].to_list() == [None, "0444 0913 1822", None] and frame["nibrs"].to_list() == ["220", "13B", "UNKNOWN"]
    assert frame["address"].to_list() == ["1ST ST & A AV", "1100 W ANY PL", "1100 W ANY PL"] and frame["lon"].to_list() == [None, -118.3, None]
    assert frame["attempted"].to_list() == [True, False, False] and frame["arrest"].to_list() == [False, True, True]
    assert frame["beat"].unique().to_list() == ["0176"]


def test_new_york_windows_attempts_and_missing_starts(tmp_path: Path) -> None:
    row = {"cmplnt_num": "1", "cmplnt_fr_dt": "12/31/2015", "cmplnt_fr_tm": "23:45:00", "cmplnt_to_dt": "2015-12-31T00:00:00", "cmplnt_to_tm": "24:00:00",
           "rpt_dt": "01/02/2016", "ky_cd": "341", "ofns_desc": "PETIT LARCENY", "pd_cd": "321.0", "pd_desc": "LARCENY,PETIT FROM AUTO",
           "crm_atpt_cptd_cd": "ATTEMPTED", "boro_nm": "BRONX", "addr_pct_cd": "44", "latitude": "40.8", "longitude": "-73.9"}
    lake = Lake(tmp_path / "lake")
    rows = [row, {**row, "cmplnt_num": "2", "cmplnt_fr_dt": "", "cmplnt_fr_tm": "", "pd_desc": "LARCENY,PETIT FROM STORE-SHOPL"},
            {**row, "cmplnt_num": "3", "cmplnt_to_tm": "", "ky_cd": "105", "pd_desc": "(null)", "ofns_desc": "ROBBERY", "crm_atpt_cptd_cd": "COMPLETED"},
            {**row, "cmplnt_num": "4", "cmplnt_fr_dt": "13/31/2015"}, {**row, "cmplnt_num": "5", "ky_cd": "999", "ofns_desc": "?", "pd_desc": ""}]
    report = lake.load(NEW_YORK, write(tmp_path / "a.csv", NEW_YORK.columns, *rows))
    assert (report.added, report.rejects_by_reason) == (4, {"started_at not readable": 1})
    frame = lake.frame("incidents").sort("incident_id")
    assert frame["started_at"].to_list() == [at(2016, 1, 1, 4, 45), at(2016, 1, 2, 5), at(2016, 1, 1, 4, 45), at(2016, 1, 1, 4, 45)]
    assert frame["ended_at"].to_list() == [at(2016, 1, 1, 5)] * 4 and frame["time_precision"].to_list() == [None, "unknown", None, None]
    assert frame["nibrs"].to_list() == ["23F", "23C", "120", "UNKNOWN"] and frame["attempted"].to_list() == [True, True, False, True]
    assert frame["offence_detail"].to_list()[2] is None and frame["offence_code"][0] == "321"


def test_the_ten_row_exports_load_whole_and_sound(real_data: Path, tmp_path: Path) -> None:
    folder = real_data.parent / "domain" / "schemas" / "samples"
    frames = {name: loaded(name, folder / file, lake=tmp_path / name) for name, file in {
        "los_angeles_incidents": "lapd_crime_2014.csv", "new_york_incidents": "nypd_complaints_historic.csv", "austin_incidents": "austin_incident_extract.csv",
        "san_francisco_incidents": "san_francisco_incidents_2003_2018.csv", "seattle_incidents": "seattle_police_report_incident.csv",
        "seattle_offences": "seattle_report_offense.csv", "montgomery_md_incidents": "montgomery_county_crime.csv",
        "honolulu_incidents": "honolulu_incidents.csv",
        "chicago_crimes": "chicago_crimes.csv"}.items()}
    assert all(frame.height == 10 for frame in frames.values())
    for name, frame in frames.items():
        assert frame["started_at"].null_count() == frame["offence"].null_count() == 0, name
        assert frame.filter(pl.col("ended_at") < pl.col("started_at")).is_empty(), name
    austin = frames["austin_incidents"]["started_at"].dt.convert_time_zone("America/Chicago")
    assert austin.dt.strftime("%H:%M").is_in(["00:00", "01:30", "01:25"]).sum() >= 3, "times without leading zeros"
    several = frames["san_francisco_incidents"].group_by("report_number").len()["len"].max()
    assert several is not None and int(several) > 1  # type: ignore[call-overload]
    assert frames["san_francisco_incidents"]["domestic"].sum() > 0
    honolulu = frames["honolulu_incidents"]
    days = honolulu["started_at"].dt.convert_time_zone("Pacific/Honolulu").dt.strftime("%y%m%d")
    assert (days == honolulu["report_number"].str.slice(3, 6)).all(), "the report number carries the local day"
    maryland = frames["montgomery_md_incidents"]
    assert maryland["offence_code"].str.len_chars().unique().to_list() == [4] and {"23D", "23F", "13A", "240"} <= set(maryland["nibrs"])
    assert set(frames["seattle_offences"]["time_precision"]) == {"unknown"}
    assert frames["chicago_crimes"]["beat"].str.len_chars().unique().to_list() == [4]


def test_seattle_offences_take_the_time_of_the_incident_from_the_file_beside_them(tmp_path: Path) -> None:
    offences = (":updated_at", "cdw_offense_id", "cdw_incident_id", "offense_code", "offense_code_extension", "crime_type", "summary_offense_code",
                "summary_crime_type")
    row = {":updated_at": "1472417905", "cdw_offense_id": "70", "cdw_incident_id": "55", "offense_code": "2305", "offense_code_extension": "0",
           "crime_type": "THEFT-CARPROWL", "summary_crime_type": "CAR PROWL"}
    file = write(tmp_path / "offences.csv", offences, row, {**row, "cdw_offense_id": "71", "cdw_incident_id": "56"})
    write(tmp_path / "seattle_police_report_incident.csv", ("rms_cdw_id", "occurred_date_or_date_range_start"),
          {"rms_cdw_id": "55", "occurred_date_or_date_range_start": "2014-01-01T10:00:00"})
    frame = loaded("seattle_offences", file, lake=tmp_path / "lake").sort("incident_id")
    assert frame["started_at"].to_list() == [at(2014, 1, 1, 18), at(2016, 8, 28, 20, 58, 25)] and frame["time_precision"].to_list() == [None, "unknown"]
    assert frame["nibrs"].to_list() == ["23F", "23F"] and frame["ended_at"].to_list() == [None, at(2016, 8, 28, 20, 58, 25)]


# ---------------------------------------------------------------- teaching sets


def test_rows_that_repeat_a_number_or_say_the_same_are_all_kept(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "incident_samples"
    for name, file, separator in (("cincinnati_burglaries", "cincinnati_burglary.csv.gz", ","), ("nottingham_burglaries", "nottingham_burglary.csv.gz", ","),
                                  ("lancashire_antisocial", "lancashire_asb.tab.gz", "\t"), ("new_york_shootings", "nyc_shootings.csv", ","),
                                  ("vancouver_thefts", "vancouver_thefts.csv.gz", ","), ("san_francisco_robberies", "san_francisco_robbery.csv", ",")):
        held = loaded(name, folder / file, lake=tmp_path / name)
        raw = pl.read_csv(folder / file, infer_schema=False, separator=separator)
        assert held.height == raw.height == held["incident_id"].n_unique(), name
        if "incident_no" in raw.columns:
            assert held["report_number"].n_unique() == raw["incident_no"].n_unique() < held.height


def test_survey_coordinates_of_the_teaching_sets_lie_where_they_should(real_data: Path, tmp_path: Path) -> None:
    for name, file, box in (
        ("vancouver_thefts", "incident_samples/vancouver_thefts.csv.gz", (-123.3, 49.19, -123.0, 49.32)),
        ("new_york_burglaries", "incident_samples/aoristic_NYburg.csv", (-74.3, 40.45, -73.65, 40.95)),
        ("washington_burglaries", "dc/aoristic_dcburglaries.csv", (-77.15, 38.78, -76.9, 39.01)),
    ):
        held = loaded(name, real_data / file, lake=tmp_path / name)
        inside = held.filter(pl.col("lon").is_between(box[0], box[2]) & pl.col("lat").is_between(box[1], box[3]))
        assert inside.height > 0.999 * held.height, name
    washington = pl.read_csv(real_data / "dc" / "aoristic_dcburglaries.csv")
    assert held["ended_at"].null_count() == washington["EndDateTime"].null_count() > 0


def test_many_rows_on_many_threads_get_their_degrees_and_the_process_lives() -> None:
    script = """
import duckdb
from pyproj import Transformer
from workbench.loaders.kit import functions
con = duckdb.connect()
con.execute("set threads = 4; set enable_progress_bar = false")
functions.register(con)
con.execute("create table feet as select 880000.0 + i / 10 as x, 1010000.0 + i / 10 as y from range(200000) t(i)")
got = con.execute("select sum(p[1]), sum(p[2]) from (select planar_degrees('ESRI:102696', x, y) as p from feet)").fetchone()
x, y = (con.execute(f"select {c} from feet").fetchnumpy()[c] for c in "xy")
lon, lat = Transformer.from_crs("ESRI:102696", 4326, always_xy=True).transform(x, y)
print(abs(got[0] - lon.sum()) < 1e-4 and abs(got[1] - lat.sum()) < 1e-4)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "True", done.stderr[-500:]


def test_vancouver_clocks_are_local_and_a_row_without_an_hour_is_a_day(tmp_path: Path) -> None:
    source = loaders.find("vancouver_thefts")
    row = {"TYPE": "Theft from Vehicle", "YEAR": "2020", "MONTH": "7", "DAY": "1", "HOUR": "0", "MINUTE": "5", "HUNDRED_BLOCK": "11XX ANY ST", "X": "490320.3",
           "Y": "5458606.9"}
    file = write(tmp_path / "a.csv", source.columns, row, {**row, "HOUR": "", "MINUTE": "", "X": "0", "Y": "0"})
    frame = loaded("vancouver_thefts", file, lake=tmp_path / "l").sort("line")
    assert frame["started_at"].to_list() == [at(2020, 7, 1, 7, 5), at(2020, 7, 1, 7)] and frame["ended_at"].to_list() == [None, at(2020, 7, 2, 7)]
    assert frame["time_precision"].to_list() == [None, "day"] and frame["lon"][1] is None


def test_the_sheets_of_the_workbook_are_three_cities_in_two_zones(real_data: Path, tmp_path: Path) -> None:
    book = real_data / "incident_samples" / "aggravated_assaults.xlsx"
    boxes = {"austin_assaults": (-98.1, 30.0, -97.4, 30.6), "fort_worth_assaults": (-97.6, 32.5, -97.0, 33.1), "seattle_assaults": (-122.5, 47.4, -122.2, 47.8)}
    for name, box in boxes.items():
        held = loaded(name, book, lake=tmp_path / name)
        zone = loaders.find(name).zone
        years = held["started_at"].dt.convert_time_zone(zone).dt.year()
        assert years.unique().to_list() == [2019], name
        assert held.filter(pl.col("lon").is_between(box[0], box[2]) & pl.col("lat").is_between(box[1], box[3])).height > 0.99 * held.height, name


def test_linked_burglaries_have_windows_marks_and_a_place_only_where_a_crs_is_said(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "crime_series"
    bare = loaded("crimelinkage_burglaries", folder / "crimelinkage_crimes.csv", lake=tmp_path / "bare")
    placed = loaded("crimelinkage_burglaries", folder / "crimelinkage_crimes.csv", lake=tmp_path / "placed", crs="EPSG:26985")
    assert bare["lon"].null_count() == bare.height and placed["lon"].null_count() == 0
    assert bare["mo"].str.contains(r"^MO1=\S+").mean() > 0.9 and bare["incident_id"].n_unique() == bare.height  # type: ignore[operator]
    assert bare["ended_at"].null_count() == 0
    pairs = loaded("crimelinkage_offenders", folder / "crimelinkage_offenders.csv", lake=tmp_path / "bare")
    assert set(pairs["role"]) == {"suspect"} and 0.3 < bare["incident_id"].is_in(pairs["incident_id"].implode()).mean() < 1  # type: ignore[operator]
    with pytest.raises(BadInput, match="not known"):
        Lake(tmp_path / "no").load(loaders.find("crimelinkage_burglaries"), folder / "crimelinkage_crimes.csv", said={"crs": "EPSG:99999"})

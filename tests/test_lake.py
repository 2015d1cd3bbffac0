"""The lake: counts that balance, editions, rejects, views at pinned versions, and what stands on disk."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from workbench import schema
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake, LoadReport
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, date, json_list, local_time, number, place, text, whole

RAW = ("id", "when", "what", "x", "y", "changed")
TOY = Source(
    name="toy", title="a toy of incidents", zone="America/Chicago", columns=RAW, formats=("csv", "parquet"),
    parts=(Part("incidents", {
        "incident_id": text("id"),
        "started_at": local_time(column("when"), "%Y-%m-%d %H:%M"),
        "offence": text("what"),
        "nibrs": "'220'",
        **place("x", "y"),
        "revised_at": local_time("changed", "%Y-%m-%d"),
    }, reject=(("what = 'TEST'", "a test entry"),)),),
)
CALLS = Source(
    name="toy_calls", title="calls without a revision time", columns=("id", "at", "kind"),
    parts=(Part("calls", {"call_id": text("id"), "received_at": local_time(column("at"), "iso"), "call_type": text("kind")}),),
)
PEOPLE = Source(
    name="toy_people", title="several tables in one file", columns=("record", "id"), optional=("name", "born", "number", "year", "units"), formats=("ndjson",),
    parts=(
        Part("people", {"person_id": text("id"), "surname": text("name"), "born_on": date("born")}, where="record = 'person'"),
        Part("phones", {"phone_id": text("id"), "number": text("number")}, where="record = 'phone'"),
        Part("vehicles", {"vehicle_id": text("id"), "year": whole("year")}, where="record in ('vehicle', 'person')"),
        Part("calls", {"call_id": text("id"), "received_at": "timestamptz '2026-01-01 00:00:00+00'", "units": json_list("units")}, where="record = 'call'"),
    ),
)
GOOD = ["1", "2026-05-01 22:10", "BURGLARY", "-87.6", "41.8", "2026-05-02"]


def write(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = RAW) -> Path:
    """A CSV file by Python's own writer."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def counts(report: LoadReport) -> tuple[int, int, int, int, int]:
    assert report.read == report.added + report.updated + report.duplicate + report.rejected
    return report.read, report.added, report.updated, report.duplicate, report.rejected


def view(lake: Lake, table: str = "incidents") -> pl.DataFrame:
    about = schema.table(table)
    return lake.frame(table).select(list(about.columns)).sort(*about.key)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_first_load_adds_every_record_and_says_where_each_came_from(lake: Lake, tmp_path: Path) -> None:
    report = lake.load(TOY, write(tmp_path / "a.csv", [GOOD, ["2", "2026-05-01 23:00", "THEFT", "", "", ""]]), user="ann")
    assert counts(report) == (2, 2, 0, 0, 0)
    frame = lake.frame("incidents").sort("line")
    assert frame.columns == list(schema.table("incidents").all_columns())
    assert frame.schema == schema.table("incidents").empty().schema
    assert frame["started_at"].to_list() == [datetime(2026, 5, 2, 3, 10, tzinfo=UTC), datetime(2026, 5, 2, 4, tzinfo=UTC)]
    assert frame["lon"].to_list() == [-87.6, None]
    assert frame["line"].to_list() == [1, 2]
    assert set(frame["source"]) == {"toy"} and set(frame["batch_id"]) == {report.batch_id}
    ledger = lake.batches().row(0, named=True)
    assert (ledger["file"], ledger["user"], ledger["read"], ledger["tables"]) == ("a.csv", "ann", 2, ["incidents"])
    assert len(ledger["sha256"]) == 64 and ledger["bytes"] == (tmp_path / "a.csv").stat().st_size
    assert ledger["recorded_at"] >= frame["recorded_at"].max()
    assert list(report.to_json()) == ["source", "file", "read", "added", "updated", "duplicate", "rejected", "seconds"]


def test_the_same_file_again_adds_nothing_and_says_so(lake: Lake, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", [GOOD, ["", "2026-05-01 23:00", "THEFT", "", "", ""]])
    first = lake.load(TOY, file)
    before = lake.versions()
    again = lake.load(TOY, (tmp_path / "renamed.csv").joinpath("..", "a.csv").resolve())
    assert again.already and counts(again) == (2, 0, 0, 1, 1)
    assert again.batch_id == first.batch_id and "nothing to add, the same file was loaded on" in again.sentence()
    assert lake.versions() == before


def test_a_newer_export_that_overlaps_updates_what_changed_and_nothing_else(lake: Lake, tmp_path: Path) -> None:
    lake.load(TOY, write(tmp_path / "a.csv", [[str(i), *GOOD[1:]] for i in range(10)]))
    pinned = lake.versions()
    newer = [[str(i), *GOOD[1:5], "2026-06-01" if i in (6, 7) else GOOD[5]] for i in range(5, 15)]
    assert counts(lake.load(TOY, write(tmp_path / "b.csv", newer))) == (10, 5, 2, 3, 0)
    frame = lake.frame("incidents")
    assert frame.height == 15 and frame["incident_id"].n_unique() == 15
    assert frame.filter(pl.col("revised_at").dt.month() == 6)["incident_id"].sort().to_list() == ["6", "7"]
    assert lake.frame("incidents", pinned).filter(pl.col("revised_at").dt.month() == 6).is_empty()
    history = lake.query("select count(*) n from incidents", versions=lake.versions())["n"][0]
    con = lake.connect()
    assert con.sql(f"select count(*) from {lake.relation_sql('incidents', lake.versions(), history=True)}").fetchall() == [(17,)] and history == 15


def test_an_older_edition_is_not_taken_and_is_kept_with_its_reason(lake: Lake, tmp_path: Path) -> None:
    lake.load(TOY, write(tmp_path / "a.csv", [GOOD]))
    report = lake.load(TOY, write(tmp_path / "b.csv", [[*GOOD[:2], "THEFT", *GOOD[3:5], "2026-05-01"], [*GOOD[:2], "ARSON", *GOOD[3:5], ""]]))
    assert counts(report) == (2, 0, 0, 0, 2)
    assert lake.frame("incidents")["offence"].to_list() == ["BURGLARY"]
    kept = lake.rejects()
    assert kept["reason"].to_list() == ["older edition than the one held (revised_at)"] * 2
    assert kept["line"].to_list() == [2, 3] and kept["raw"][0].startswith("1,2026-05-01 22:10,THEFT")


def test_within_a_file_each_record_is_compared_with_the_edition_before_it(lake: Lake, tmp_path: Path) -> None:
    rows = [["a", "2026-01-01", "X"], ["a", "2026-01-01", "X"], ["a", "2026-01-01", "Y"], ["a", "2026-01-01", "X"], ["b", "2026-01-01", "X"]]
    assert counts(lake.load(CALLS, write(tmp_path / "a.csv", rows, ("id", "at", "kind")))) == (5, 2, 2, 1, 0)
    assert view(lake, "calls")["call_type"].to_list() == ["X", "X"]
    assert lake.frame("calls").filter(pl.col("call_id") == "a")["line"].to_list() == [4]


def test_several_tables_come_out_of_one_file_and_each_record_goes_to_the_first_part_that_takes_it(lake: Lake, tmp_path: Path) -> None:
    records = [
        {"record": "person", "id": "p1", "name": "Doe", "born": "1990-02-03"}, {"record": "phone", "id": "t1", "number": 5551234},
        {"record": "vehicle", "id": "v1", "year": 2011}, {"record": "ghost", "id": "g1"}, {"record": "person", "id": "p2", "born": "soon"},
        {"record": "call", "id": "c1", "units": ["A12", "B, \"7\""]}, {"record": "phone", "id": "t2"},
    ]
    file = tmp_path / "a.ndjson.gz"
    with gzip.open(file, "wt", encoding="utf-8") as stream:
        stream.write("\n".join(map(json.dumps, records)) + "\n\n{not json}\n[1]\n{}\n")
    report = lake.load(PEOPLE, file)
    assert counts(report) == (10, 4, 0, 0, 6)
    assert report.rejects_by_reason == {
        "not of a kind that this source knows": 2, "born_on not readable": 1, "no number": 1, "not readable as JSON": 1, "not a JSON object": 1}
    assert view(lake, "people").select("person_id", "surname", "born_on").rows() == [("p1", "Doe", datetime(1990, 2, 3).date())]
    assert lake.frame("phones")["number"].to_list() == ["5551234"]
    assert lake.frame("vehicles")["vehicle_id"].to_list() == ["v1"]
    assert lake.frame("calls")["units"].to_list() == [["A12", "B, \"7\""]]
    rejects = lake.rejects()
    assert rejects["line"].to_list() == [4, 5, 7, 9, 10, 11] and json.loads(rejects["raw"][1]) == records[4]


def test_rejects_keep_line_raw_text_and_reason_exactly_even_behind_quoted_newlines_and_broken_records(lake: Lake, tmp_path: Path) -> None:
    lines = [
        b"id,when,what,x,y,changed",
        b"1,2026-05-01 22:10,\"BREAK\nIN, REAR\",-87.6,41.8,2026-05-02",
        b"2,2026-05-01,THEFT,,,",
        b"",
        b"3,2026-05-01 22:10,THEFT,,",
        b"4,2026-05-01 22:10,\"THEFT,,,",
        b"5,2026-05-01 22:10,\"A\r\nB\",,,2026-13-01",
        b"6,2026-05-01 22:10,caf\xe9,,,",
        b"7,2026-05-01 22:10,TEST,,,",
        b"8,2026-05-01 22:10,the 5\" pipe,abc,1,",
        b"9,2026-05-01 22:10,the 5\" pipe,,,",
        b",2026-05-01 22:10,NUMBERLESS,,,\r",
        b"10,2026-05-01 22:10,NU\0L,,,",
    ]
    file = tmp_path / "dirty.csv"
    file.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    report = lake.load(TOY, file)
    assert counts(report) == (11, 2, 0, 0, 9)
    kept = [(r["line"], r["reason"], r["raw"]) for r in lake.rejects().iter_rows(named=True)]
    assert kept == [
        (4, "started_at not readable", "2,2026-05-01,THEFT,,,"),
        (6, "5 fields, the header has 6", "3,2026-05-01 22:10,THEFT,,"),
        (7, "a quotation mark is opened and not properly closed", "4,2026-05-01 22:10,\"THEFT,,,"),
        (8, "revised_at not readable", "5,2026-05-01 22:10,\"A\r\nB\",,,2026-13-01"),
        (10, "has bytes that are not utf-8 text", "6,2026-05-01 22:10,caf\\xe9,,,"),
        (11, "a test entry", "7,2026-05-01 22:10,TEST,,,"),
        (12, "lon not readable", "8,2026-05-01 22:10,the 5\" pipe,abc,1,"),
        (14, "no incident_id", ",2026-05-01 22:10,NUMBERLESS,,,"),
        (15, "has a NUL byte, which is not text", "10,2026-05-01 22:10,NU\\x00L,,,"),
    ]
    frame = lake.frame("incidents").sort("line")
    assert frame["offence"].to_list() == ["BREAK\nIN, REAR", "the 5\" pipe"] and frame["line"].to_list() == [1, 9]


def test_a_rejected_row_of_a_parquet_file_is_kept_as_json_with_its_number(lake: Lake, tmp_path: Path) -> None:
    frame = pl.DataFrame([GOOD, ["2", "never", "THEFT", None, None, None]], schema=list(RAW), orient="row")
    frame.write_parquet(tmp_path / "a.parquet")
    assert counts(lake.load(TOY, tmp_path / "a.parquet")) == (2, 1, 0, 0, 1)
    row = lake.rejects().row(0, named=True)
    assert (row["line"], row["reason"]) == (2, "started_at not readable")
    assert json.loads(row["raw"]) == {"id": "2", "when": "never", "what": "THEFT", "x": None, "y": None, "changed": None}


@pytest.mark.parametrize(("content", "name", "said"), [
    (None, "gone.csv", r"There is no file .*gone\.csv"),
    (b"", "empty.csv", "empty.csv is empty; nothing was loaded"),
    (b"id,when,what,x,y,changed\n", "header.csv", "has a header and no record"),
    (b"id,when,wath,x,y\n1,2,3,4,5\n", "other.csv", r"is not a file of toy: it has no column 'what', 'changed'\. Did you mean 'wath'\?"),
    (b"a;b\n1;2\n", "semicolon.csv", "it has no column 'id', 'when'"),
    (b"1,2\n", "a.xlsx", r"a.xlsx is not of a form that toy reads; its files end in \.csv"),
    (gzip.compress(b"id,when,what,x,y,changed\n" + b"1,2,3,4,5,6\n" * 9999)[:200], "cut.csv.gz", "cut off or damaged"),
    (b"not gzip at all", "wrong.csv.gz", "cut off or damaged"),
    (b"not zip at all", "wrong.csv.zip", "cut off or damaged"),
    (b"PAR1 not parquet", "wrong.parquet", "cut off, damaged or no Parquet file"),
    ("id,when\n".encode("utf-16"), "wide.csv", "it has no column 'what', 'x', 'y', 'changed'"),
])
def test_a_file_that_cannot_be_loaded_is_refused_in_a_sentence_and_leaves_nothing(
        lake: Lake, tmp_path: Path, content: bytes | None, name: str, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        lake.load(TOY, tmp_path / name)
    assert lake.versions() == {} and lake.frame("incidents").is_empty()
    assert not [p for p in (tmp_path / "lake").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_folder_an_unknown_zone_and_a_zip_of_two_are_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; give a file"):
        lake.load(TOY, tmp_path)
    with pytest.raises(BadInput, match="There is no time zone 'Chicago'"):
        lake.load(TOY, write(tmp_path / "a.csv", [GOOD]), zone="Chicago")
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(BadInput, match="holds 2 files"):
        lake.load(TOY, tmp_path / "two.csv.zip")


@pytest.mark.parametrize("form", ["plain", "crlf", "cr", "gz", "zip", "bom", "double bom", "reordered", "upper", "no last newline", "quoted"])
def test_the_same_records_in_any_wrapping_are_the_same_rows(tmp_path: Path, form: str) -> None:
    rows = [[str(i), *GOOD[1:]] for i in range(50)] + [["99", "2026-05-01 22:10", "A, \"B\"", "", "", ""]]
    header, name = list(RAW), "a.csv"
    if form == "reordered":
        header, rows = [*RAW[::-1], "extra"], [[*r[::-1], "z"] for r in rows]
    if form == "upper":
        header = [f" {h.upper()} " for h in RAW]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL)
    writer.writerows([header, *rows])
    data = out.getvalue().encode()
    data = {"crlf": data.replace(b"\n", b"\r\n"), "cr": data.replace(b"\n", b"\r"), "bom": b"\xef\xbb\xbf" + data,
            "double bom": b"\xc3\xaf\xc2\xbb\xc2\xbf" + data, "no last newline": data.rstrip(b"\n")}.get(form, data)
    if form == "gz":
        data, name = gzip.compress(data), "a.csv.gz"
    if form == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("inside.csv", data)
        data, name = packed.getvalue(), "a.csv.zip"
    (tmp_path / name).write_bytes(data)
    lake = Lake(tmp_path / "lake")
    assert counts(lake.load(TOY, tmp_path / name)) == (51, 51, 0, 0, 0)
    assert view(lake).filter(pl.col("incident_id") == "99")["offence"].to_list() == ["A, \"B\""]
    assert view(lake)["revised_at"].null_count() == 1 and view(lake)["lat"].sum() == pytest.approx(50 * 41.8)


def test_another_zone_or_mapping_reads_the_same_bytes_anew(lake: Lake, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", [GOOD])
    lake.load(TOY, file)
    report = lake.load(TOY, file, zone="America/New_York")
    assert not report.already
    assert counts(report) == (1, 0, 0, 0, 1), "its revised_at is an hour earlier than the one held"
    assert lake.batches()["mapping_version"].n_unique() == 2


def test_a_pinned_state_stays_as_it_was_and_an_unknown_one_is_refused(lake: Lake, tmp_path: Path) -> None:
    assert lake.versions() == {} and lake.check({}) == {}
    lake.load(TOY, write(tmp_path / "a.csv", [GOOD]))
    pinned = lake.versions()
    before = lake.frame("incidents", pinned)
    for i in range(2, 6):
        lake.load(TOY, write(tmp_path / f"{i}.csv", [[str(i), *GOOD[1:]], [*GOOD[:5], f"2026-07-0{i}"]]))
    assert_frame_equal(lake.frame("incidents", pinned), before)
    assert_frame_equal(Lake(lake.path).frame("incidents", lake.check(pinned)), before)
    assert lake.batches(pinned).height == 1 and lake.frame("incidents").height == 5
    with pytest.raises(NotFound, match="Table 'incidents' has no version 99; its newest is"):
        lake.check({**pinned, "incidents": 99})
    with pytest.raises(NotFound, match="nothing has been loaded into it"):
        lake.check({**pinned, "calls": 0})
    with pytest.raises(NotFound, match="Did you mean 'incidents'"):
        lake.check({"incident": 1})
    with pytest.raises(NotFound, match="Did you mean 'incidents'"):
        lake.frame("incidnets")


def test_a_question_in_sql_sees_the_tables_and_nothing_else(lake: Lake, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.csv", [GOOD])
    lake.load(TOY, secret)
    lake.load(CALLS, write(tmp_path / "c.csv", [["a", "2026-01-01", "X"]], ("id", "at", "kind")))
    pinned = lake.versions()
    asked = lake.query("select i.offence, c.call_type, i.started_at from incidents i, calls c where i.incident_id = ?", ["1"], versions=pinned)
    assert asked.rows() == [("BURGLARY", "X", datetime(2026, 5, 2, 3, 10, tzinfo=UTC))]
    assert lake.query("select count(*) n from reads", versions=pinned)["n"].to_list() == [0]
    for sql in (f"select * from read_csv('{secret}')", f"copy (select 1) to '{lake.files('incidents', pinned)[0]}'", "select 1; copy (select 1) to 'out.csv'",
                "copy incidents to 'out.csv'", "set enable_external_access = true", "select nothing from incidents", "selct", "attach 'x.db'"):
        with pytest.raises((BadInput, NotFound)):
            lake.query(sql, versions=pinned)
    for sql in ("select * from calls", f"select * from read_parquet('{lake.files('calls', pinned)[0]}')"):
        with pytest.raises((BadInput, NotFound), match="calls"):
            lake.query(sql, versions=pinned, tables=["incidents"])


def test_other_readers_of_delta_see_the_same_rows(lake: Lake, tmp_path: Path) -> None:
    lake.load(TOY, write(tmp_path / "a.csv", [GOOD, ["", *GOOD[1:]]]))
    lake.load(PEOPLE, _lines(tmp_path / "p.ndjson", {"record": "call", "id": "c1", "units": ["A", "B"]}))
    for table in lake.versions():
        ours = lake.frame(table)
        assert_frame_equal(pl.scan_delta(str(lake.path / table)).collect().select(ours.columns), ours, check_row_order=False)
        dataset = pl.DataFrame(DeltaTable(lake.path / table).to_pyarrow_dataset().to_table())
        assert_frame_equal(dataset.select(ours.columns), ours, check_row_order=False)


def test_the_log_of_a_table_holds_no_value_of_any_row(lake: Lake, tmp_path: Path) -> None:
    lake.load(TOY, write(tmp_path / "a.csv", [["SECRET77", *GOOD[1:]], ["", "2026-05-01 22:10", "SECRET88", "", "", ""]]), user="SECRET99")
    for _ in range(2):
        logs = list(lake.path.glob("*/_delta_log/*"))
        assert len(logs) >= 6
        for log in logs:
            said = log.read_bytes()
            assert b"SECRET" not in said and b"minValues" not in said and b"BURGLARY" not in said, log
        for table in lake.versions():
            DeltaTable(lake.path / table).create_checkpoint()


def test_a_column_that_a_later_release_adds_is_null_in_older_rows(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lake import tables

    today = tables.SHAPES["incidents"]
    monkeypatch.setitem(tables.SHAPES, "incidents", {n: c for n, c in today.items() if n != "mo"})
    about = schema.TABLES["incidents"]
    shorter = schema.Table(about.name, about.help, about.key, {n: c for n, c in about.columns.items() if n != "mo"}, about.time)
    monkeypatch.setitem(schema.TABLES, "incidents", shorter)
    lake.load(TOY, write(tmp_path / "a.csv", [GOOD]))
    monkeypatch.undo()
    assert Lake(lake.path).frame("incidents")["mo"].to_list() == [None]
    lake.load(TOY, write(tmp_path / "b.csv", [["2", *GOOD[1:]], GOOD]))
    frame = Lake(lake.path).frame("incidents")
    assert frame["mo"].to_list() == [None, None] and frame.height == 2


def test_progress_is_told_by_phase_and_never_goes_back(lake: Lake, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    lake.load(TOY, write(tmp_path / "a.csv", [[str(i), *GOOD[1:]] for i in range(1000)]), progress=lambda phase, share: told.append((phase, share)))
    phases = list(dict.fromkeys(phase for phase, _ in told))
    assert phases == ["checking", "reading", "comparing", "writing"]
    assert all(0 <= share <= 1 for _, share in told) and told[-1] == ("writing", 1.0)


def test_a_path_with_blanks_and_quotes_is_a_path(tmp_path: Path) -> None:
    home = tmp_path / "the city's é #1 & more"
    home.mkdir()
    lake = Lake(home / "lake")
    report = lake.load(TOY, write(home / "a b's.csv", [GOOD, ["", *GOOD[1:]]]))
    assert counts(report) == (2, 1, 0, 0, 1)
    assert lake.frame("incidents").height == 1 and lake.rejects()["file"].to_list() == ["a b's.csv"]
    assert lake.query("select count(*) n from incidents", versions=lake.versions())["n"][0] == 1
    with pytest.raises(BadInput, match="has '%20' in its path"):
        Lake(tmp_path / "my%20city").load(TOY, home / "a b's.csv")


CELLS = st.sampled_from([
    "", " ", "NA", "1", "2", "3", "4", "x", "a,b", "a\"b", "\"", "\"\"", "line\nbreak", "crlf\r\nbreak", "2026-05-01 22:10", "2026-05-01 22:10 ",
    "2026-02-30 10:00", "infinity", "-infinity", "epoch", "nan", "inf", "1e400", "9" * 40, "-87.6", "41.8", "2026-05-02", "2025-05-02", "THEFT", "TEST", "é",
    "\u2028", "'", "\\", ";", "|", "\t", "#"])
ROWS = st.lists(st.lists(CELLS, min_size=6, max_size=6), min_size=1, max_size=12)
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)


@QUICK
@given(rows=ROWS, ending=st.sampled_from(["\n", "\r\n"]), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_random_dirty_records_always_balance_and_every_cell_survives(
        tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], ending: str, quoting: int) -> None:
    home = tmp_path_factory.mktemp("dirty")
    with (home / "a.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator=ending, quoting=quoting).writerows([RAW, *rows])
    report = Lake(home / "lake").load(TOY, home / "a.csv")
    assert counts(report)[0] == len(rows)
    lake = Lake(home / "lake")
    assert lake.rejects().height == report.rejected
    con = lake.connect()
    for line, offence in con.sql(f"select line, offence from {lake.relation_sql('incidents', lake.versions(), history=True)}").fetchall():
        assert (offence or "") == ("" if rows[line - 1][2].strip(" ") in ("", "NA") else rows[line - 1][2].strip(" "))
    con.close()


@QUICK
@given(junk=st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_at_all_balance_or_are_refused(tmp_path_factory: pytest.TempPathFactory, junk: list[bytes]) -> None:
    home = tmp_path_factory.mktemp("junk")
    (home / "a.csv").write_bytes(b"id,when,what,x,y,changed\n1,2026-05-01 22:10,BURGLARY,-87.6,41.8,2026-05-02\n" + b"\n".join(junk))
    lake = Lake(home / "lake")
    report = lake.load(TOY, home / "a.csv")
    assert counts(report)[1] >= 1 and lake.rejects().height == report.rejected
    assert lake.frame("incidents").height == report.added


EDITION = st.tuples(st.sampled_from("abc"), st.sampled_from(["X", "Y"]), st.sampled_from(["", "2026-01-01", "2026-01-02", "2026-01-03"]))
EDITIONS = st.lists(EDITION, min_size=1, max_size=14)


@QUICK
@given(editions=EDITIONS, cut=st.integers(0, 14))
def test_splitting_a_file_in_two_changes_neither_the_view_nor_the_sums(
        tmp_path_factory: pytest.TempPathFactory, editions: list[tuple[str, str, str]], cut: int) -> None:
    home = tmp_path_factory.mktemp("split")
    rows = [[key, "2026-05-01 22:10", what, "", "", changed] for key, what, changed in editions]
    whole, halves = Lake(home / "whole"), Lake(home / "halves")
    at_once = counts(whole.load(TOY, write(home / "whole.csv", rows)))
    by_halves = [0, 0, 0, 0, 0]
    for name, half in (("1.csv", rows[:cut]), ("2.csv", rows[cut:])):
        if half:
            report = halves.load(TOY, write(home / name, half))
            if not report.already:
                by_halves = [a + b for a, b in zip(by_halves, counts(report), strict=True)]
    assert_frame_equal(view(whole), view(halves))
    assert view(whole).rows() == _oracle(editions)
    if rows[:cut] != rows[cut:]:
        assert tuple(by_halves) == at_once
    again = halves.load(TOY, write(home / "again.csv", [*rows, ["z", "2026-05-01 22:10", "Z", "", "", ""]]))
    held = {row[0]: row for row in _oracle(editions)}
    assert again.added == 1 and again.updated <= len(rows)
    assert {row[0]: row for row in view(halves).rows() if row[0] != "z"}.keys() == held.keys()


def _oracle(editions: list[tuple[str, str, str]]) -> list[tuple[object, ...]]:
    """The current view by a plain loop: an edition is taken unless it was revised earlier than the one held."""
    held: dict[str, tuple[str, str]] = {}
    for key, what, changed in editions:
        if key not in held or changed >= held[key][1]:
            held[key] = (what, changed)
    blank = schema.table("incidents").empty().select(list(schema.table("incidents").columns))
    rows = [{"incident_id": k, "started_at": datetime(2026, 5, 2, 3, 10, tzinfo=UTC), "offence": what, "nibrs": "220",
             "revised_at": datetime(2026, 1, int(changed[-2:]), 6, tzinfo=UTC) if changed else None} for k, (what, changed) in sorted(held.items())]
    return pl.DataFrame(rows, schema=blank.schema).rows()


def _lines(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def test_a_number_out_of_its_range_is_not_readable(lake: Lake, tmp_path: Path) -> None:
    source = Source(name="toy_reads", title="reads", columns=("id", "c"), parts=(Part("reads", {
        "read_id": text("id"), "plate": text("id"), "reader": "'R1'", "read_at": "timestamptz '2026-01-01 00:00:00+00'", "confidence": number("c", 0, 1)}),))
    report = lake.load(source, write(tmp_path / "a.csv", [["1", "0.5"], ["2", "1.5"], ["3", ""], ["4", "nan"], ["5", "x"]], ("id", "c")))
    assert counts(report) == (5, 2, 0, 0, 3) and report.rejects_by_reason == {"confidence not readable": 3}

"""Rejected records: listed, written out in the form they came in, mended and taken in, or dismissed; never lost and never counted twice."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.conftest import CASE
from workbench import cli, workspace
from workbench.casebook import Casebook
from workbench.errors import BadInput, NotFound
from workbench.intake import rejects, watch, watch_config
from workbench.intake.ingest import Delivery
from workbench.lake import Lake, tables
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, keyed_hash, local_time, text

PLUGIN = """
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
SOURCE = Source(name='toy', title='a toy', columns=('id', 'when', 'what'), formats=('csv', 'json', 'excel', 'parquet'), delimiter={delimiter!r},
    encoding={encoding!r}, parts=(Part('incidents', {{'incident_id': text('id'), 'started_at': local_time(column('when'), '%Y-%m-%d'), 'offence': text('what'),
    'nibrs': "'220'"}}),))
"""
BAD = ['1,2026-05-01,GOOD', '2,never,"TWO\nLINES, ""QUOTED"""', '3,2026-05-03', '4,2026-05-04,"OPEN', '5,2026-05-05,TH\u00c9FT', '6,,', "7,2026-13-01,X"]


def city_with(tmp_path: Path, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    folder = workspace.create(tmp_path / "city", name="Test", zone="UTC").path
    (folder / "plugins" / "loaders" / "toy.py").write_text(PLUGIN.format(delimiter=delimiter, encoding=encoding))
    return folder


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return city_with(tmp_path)


def run(city: Path, *args: str) -> int:
    return cli.main(["rejects", *args, "-w", str(city)])


def load(city: Path, file: Path) -> str:
    return workspace.load(city, rejects.reading(workspace.source(city, "toy")) if file.suffix == ".ndjson" else workspace.source(city, "toy"), file).batch_id


def dirty(folder: Path, delimiter: str = ",", encoding: str = "utf-8", header: str = "id,when,what") -> Path:
    file = folder / "dirty.csv"
    file.write_bytes("\n".join([header, *BAD, ""]).replace(",", delimiter).encode(encoding))
    return file


def mend(file: Path, *changes: tuple[str, str]) -> None:
    content = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    file.write_text(content, encoding="utf-8")


def held(city: Path) -> pl.DataFrame:
    return Lake(city / "lake").rejects()


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "cp1252"), ("|", ""), ("\t", "utf-8"), ("", "")])
def test_rejects_are_written_mended_and_taken_in_and_those_still_bad_stay_open_once(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], delimiter: str, encoding: str) -> None:
    city = city_with(tmp_path, delimiter, encoding)
    mark = delimiter or ";"
    load(city, dirty(tmp_path, mark, encoding or "cp1252"))
    assert held(city).height == 5
    capsys.readouterr()
    assert run(city, "export", "last") == 0
    file = next(p for p in (city / "out").glob("rejects-*.csv") if ".reasons" not in p.name)
    with file.open(encoding="utf-8", newline="") as stream:
        assert stream.readline() == "id,when,what\n".replace(",", mark)
    with file.with_name(file.name + rejects.BESIDE).open(newline="") as stream:
        beside = list(csv.DictReader(stream))
    assert [(r["record"], r["line"]) for r in beside] == [("1", "3"), ("2", "5"), ("3", "8"), ("4", "9"), ("5", "6")], "an open quotation mark comes last"
    assert beside[1]["reason"] == "2 fields, the header has 3"
    assert file.stat().st_mode & 0o077 == 0 and f"workbench rejects resubmit {file}" in capsys.readouterr().out
    mend(file, ("never", "2026-05-02"), (f"3{mark}2026-05-03", f"3{mark}2026-05-03{mark}THR\u00c9E"), ('"OPEN', '"SHUT"'))
    assert run(city, "resubmit", str(file)) == 1, "two are still bad"
    said = capsys.readouterr().out
    assert "3 mended records taken in as batch" in said and "2 still cannot be used and stay open" in said
    frame = Lake(city / "lake").frame("incidents").sort("incident_id")
    assert frame["incident_id"].to_list() == ["1", "2", "3", "4", "5"]
    assert frame["offence"].to_list() == ["GOOD", f'TWO\nLINES{mark} "QUOTED"', "THR\u00c9E", "SHUT", "TH\u00c9FT"]
    state = held(city)
    first, second = (state.filter(pl.col("file") == name).sort("line") for name in ("dirty.csv", file.name))
    assert first["outcome"].to_list() == ["mended", "mended", "mended", None, None]
    assert set(first["resolved_by"].drop_nulls()) == set(second["batch_id"]) and second["outcome"].to_list() == ["dismissed"] * 2
    assert run(city, "list") == 0
    said = capsys.readouterr().out
    assert "2 open" in said and said.count("open") == 1 and "no started_at" in said
    mend(file, ("6;;".replace(";", mark), "6;2026-05-06;X".replace(";", mark)), ("2026-13-01", "2026-12-01"))
    assert run(city, "resubmit", str(file)) == 0
    assert "none is left" in capsys.readouterr().out and held(city).filter(pl.col("outcome").is_null()).is_empty()
    assert Lake(city / "lake").frame("incidents").height == 7
    assert run(city) == 0 and "No reject is open." in capsys.readouterr().out


def test_the_same_mended_file_again_changes_nothing(tmp_path: Path, city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(city, dirty(tmp_path))
    run(city, "export", "last", "--having", "not readable", "--file", str(tmp_path / "mend"))
    file = tmp_path / "mend.csv"
    mend(file, ("never", "2026-05-02"))
    assert run(city, "resubmit", str(file)) == 1
    before = held(city)
    assert run(city, "resubmit", str(file)) == 1
    assert held(city).equals(before)
    assert "0 mended" in capsys.readouterr().out.splitlines()[-1]


def test_a_mended_load_whose_marks_were_lost_is_marked_the_next_time(tmp_path: Path, city: Path) -> None:
    load(city, dirty(tmp_path))
    run(city, "export", "last", "--having", "not readable", "--file", str(tmp_path / "mend"))
    mend(tmp_path / "mend.csv", ("never", "2026-05-02"), ("2026-13-01", "2026-12-01"))
    workspace.load(city, rejects.reading(workspace.source(city, "toy")), tmp_path / "mend.csv")
    assert held(city).filter(pl.col("outcome").is_not_null()).is_empty(), "as after a process that was killed between the load and the marks"
    assert run(city, "resubmit", str(tmp_path / "mend.csv")) == 0
    assert held(city).filter(pl.col("outcome") == "mended").height == 2


@pytest.mark.parametrize("form", ["json", "xlsx", "parquet", "ndjson"])
def test_rejects_of_other_forms_go_out_and_come_back_as_one_json_object_a_line(tmp_path: Path, city: Path, form: str) -> None:
    records = [{"id": "1", "when": "2026-05-01", "what": "A"}, {"id": "2", "when": "soon", "what": 'B "x"\nY'}, {"id": None, "when": "2026-05-01", "what": "C"}]
    file = tmp_path / f"a.{form}"
    if form == "xlsx":
        book = openpyxl.Workbook()
        for row in (list(records[0]), *(list(r.values()) for r in records)):
            book.active.append(row)
        book.save(file)
    elif form == "parquet":
        pl.DataFrame(records).write_parquet(file)
    else:
        file.write_text(json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records)))
    load(city, file)
    assert run(city, "export", "last", "--file", str(tmp_path / "mend")) == 0
    mend(tmp_path / "mend.ndjson", ("soon", "2026-05-02"))
    assert run(city, "resubmit", str(tmp_path / "mend.ndjson")) == 1
    assert held(city).sort("recorded_at", "line")["outcome"].to_list() == ["mended", None, "dismissed"]
    assert Lake(city / "lake").frame("incidents").sort("incident_id")["offence"].to_list() == ["A", 'B "x"\nY']


def test_records_are_dismissed_with_a_reason_only(tmp_path: Path, city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch = load(city, dirty(tmp_path))
    assert run(city, "dismiss", batch[:16], "--having", "field") == 1
    assert "with a reason: --because" in capsys.readouterr().err
    assert run(city, "dismiss", batch[:16], "--having", "FIELDS", "--because", "cut off by the vendor") == 0
    assert run(city, "dismiss", "last", "--line", "8", "--line", "9", "--because", "tests") == 0
    assert held(city).sort("line")["outcome"].to_list() == [None, "dismissed", None, "dismissed", "dismissed"]
    assert run(city, "list", "--all") == 0
    assert ", 1 dismissed" in capsys.readouterr().out
    assert run(city, "dismiss", "last", "--line", "8", "--because", "tests") == 1, "it is not open any more"
    assert run(city, "dismiss", "last", "--because", "the rest") == 0 and run(city, "export", "last") == 1
    assert "no open reject to write" in capsys.readouterr().err


def test_they_are_listed_with_reasons_counts_and_an_example_and_shown_with_their_lines(
        tmp_path: Path, city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(city) == 0 and "There are no rejects." in capsys.readouterr().out
    load(city, dirty(tmp_path))
    assert run(city) == 0
    said = capsys.readouterr().out
    assert "toy  dirty.csv: 5 open" in said and "      2  started_at not readable" in said and 'e.g. 2,never,"TWO LINES, ""QUOTED"""' in said
    assert run(city, "list", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(r["open"] for r in rows) == 5 and {r["reason"] for r in rows} >= {"no started_at", "started_at not readable"}
    assert run(city, "show", "last", "--having", "quotation") == 0
    assert capsys.readouterr().out == "line 6: a quotation mark is opened and not properly closed\n  4,2026-05-04,\"OPEN\n"
    assert run(city, "show", "last", "--most", "1") == 0
    assert "... and 4 more; --most 5 shows all." in capsys.readouterr().out
    for args, wrong in (("show nosuch", "No batch with rejects begins with 'nosuch'"), ("show", "workbench rejects show last"),
                        ("show last --having moon", "No reject has a reason with 'moon'"), ("show last --line 77", "no open reject on line 77"),
                        ("resubmit nowhere.csv", "There is no file nowhere.csv")):
        assert run(city, *args.split()) == 1
        assert wrong in capsys.readouterr().err


def test_a_file_that_is_out_of_step_with_its_list_is_refused(tmp_path: Path, city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(city, dirty(tmp_path))
    run(city, "export", "last", "--file", str(tmp_path / "mend"))
    file = tmp_path / "mend.csv"
    mend(file, ("6,,\n", ""))
    assert run(city, "resubmit", str(file)) == 1
    assert "has 4 records, mend.csv.reasons.csv lists 5. Keep them in step" in capsys.readouterr().err
    beside = tmp_path / "mend.csv.reasons.csv"
    beside.write_text("".join(line for line in beside.read_text().splitlines(keepends=True) if "no started_at" not in line))
    mend(file, ("never", "2026-05-02"))
    assert run(city, "resubmit", str(file)) == 1
    assert held(city).filter(pl.col("file") == "dirty.csv").sort("line")["outcome"].to_list() == ["mended", None, None, None, None]
    beside.write_text("a,b\n1,2\n")
    assert run(city, "resubmit", str(file)) == 1
    assert "is not the list that was written with" in capsys.readouterr().err
    with pytest.raises(NotFound):
        rejects.batch(held(city), "")


def test_the_text_of_plates_and_persons_needs_a_case_even_when_a_whole_file_was_rejected(
        tmp_path: Path, untouched_city: Path, own_city: Path, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = workspace.source(own_city, "sample_reads")
    header = ",".join((*source.columns, *source.optional))
    (tmp_path / "reads.csv").write_text(f"{header}\n" + "PLATE99," * (header.count(",")) + "x\n", encoding="utf-8")
    report = workspace.load(own_city, source, tmp_path / "reads.csv")
    assert report.rejected == report.read == 1
    capsys.readouterr()
    assert run(own_city, "show", report.batch_id) == 0
    said = capsys.readouterr().out
    assert "PLATE99" not in said and "give --case and --purpose" in said
    assert run(own_city, "list", report.batch_id) == 0 and "PLATE99" not in capsys.readouterr().out
    assert run(own_city, "export", report.batch_id) == 1
    assert "a case and a purpose are needed" in capsys.readouterr().err
    bound = ["--case", CASE["case"], "--purpose", CASE["purpose"], "--reason", CASE["reason"]]
    assert run(own_city, "show", report.batch_id, *bound) == 0 and "PLATE99" in capsys.readouterr().out
    assert run(own_city, "export", report.batch_id, *bound) == 0
    entries = wb.open_workbench(own_city).audit.entries().filter(pl.col("action") == "export rejects")
    assert entries["phase"].to_list() == ["intent", "failed", "intent", "done"] and entries["case_number"].to_list()[-1] == CASE["case"]


def everywhere(folder: Path) -> bytes:
    """All that lies in a workspace, Parquet files unpacked."""
    found = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.append(file.read_bytes())
        if found[-1][:4] == b"PAR1":
            found.append(json.dumps(pl.read_parquet(file).to_dicts(), default=str, ensure_ascii=False).encode())
    return b"\n".join(found)


POSTS = {
    "csv": """id,created_at,username,handle,display name,text,lat
1,2026-06-05T20:00:00Z,larksong,,Lark Song,easy money,
2,never,larksong,,Lark Song,"again, ""twice"" here",
3,2026-06-05T21:00:00Z,,larksong2,Lark Song,no position,north
4,2026-06-05T21:00:00Z,larksong,Lark Song
5,2026-06-05T21:00:00Z,larksong,"Lark Song,open,
""",
    "ndjson": """{"id": "1", "created_at": "2026-06-05T20:00:00Z", "user": {"id": 421017, "screen_name": "larksong"}, "text": "easy money", "url": "larksong"}
{"id": "2", "created_at": "never", "user": {"id": 421017, "screen_name": "larksong"}, "text": "again", "link": "x/larksong", "lat": 41.5}
{"id": "3", "created_at": "nor now", "user": {"id": 421017}, "author": "larksong", "text": "more"}
{"id": "4", "user": "larksong" and no JSON
""",
}


@pytest.mark.parametrize("form", sorted(POSTS))
def test_no_authors_name_lies_anywhere_in_the_workspace_even_where_posts_were_rejected(
        tmp_path: Path, city: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"posts.{form}"
    file.write_text(POSTS[form], encoding="utf-8")
    given = ["--set", "case_number=26-1", "--set", "legal_basis=order 26-118", "--set", "platform=townsquare"]
    assert cli.main(["load", "posts_export", str(file), *given, "-w", str(city)]) == 0
    refused = held(city).sort("line")
    assert refused.height == len(POSTS[form].splitlines()) - (2 if form == "csv" else 1), refused
    own = Lake(city / "lake").frame("posts")["author"][0]
    assert f"hash:{own}" in refused["raw"][0] and "again" in refused["raw"][0] and refused["raw"][-1].startswith("(not kept")
    Casebook(city / "casebook.db").open_case("26-1", "Posts before the robberies", user="ann")
    bound = ["--case", "26-1", "--purpose", "investigation", "--reason", "who wrote before the robberies"]
    assert run(city, "export", "last", *bound, "--file", str(city / "out" / "mend")) == 0
    mended = city / "out" / f"mend.{form}"
    mend(mended, ("never", "2026-06-06T20:00:00Z"))
    run(city, "resubmit", str(mended), *bound)
    posts = Lake(city / "lake").frame("posts").sort("post_id")
    assert posts["author"].to_list() == [own, own] and posts["text"][1] in ("again", 'again, "twice" here'), "the mended post has the same author"
    lying = everywhere(city).lower()
    assert b"easy money" in lying
    for name in (b"larksong", b"lark song", b"421017"):
        assert name not in lying


def test_a_dead_letter_of_posts_holds_no_authors_name(tmp_path: Path, city: Path) -> None:
    (city / "watch.toml").write_text('[[webhook]]\nsource = "posts_export"\nset = {case_number = "26-1", legal_basis = "o", platform = "p"}\n')
    given = watch.Given(source=lambda name: workspace.source(city, name), load=lambda drop, file: pytest.fail("no file was dropped"))
    watcher = watch.Watch(city, watch_config.read(city), given, user="tester", say=lambda line: None)
    watcher.ingest.start()
    records = [line.encode() for line in POSTS["ndjson"].splitlines()]
    counts = watcher.ingest.put(Delivery(watcher.doors["posts_export"].feed, records, [("larksong and no JSON", "not readable as JSON")])).result(timeout=30)
    assert (counts.accepted, counts.rejected) == (1, 4)
    own = Lake(city / "lake").frame("posts")["author"][0]
    assert sum(f"hash:{own}" in raw for raw in held(city)["raw"]) == 2
    assert b"larksong" not in everywhere(city)
    watcher.ingest.stop()
    watcher.fold()
    assert held(city).height == 4 and b"larksong" not in everywhere(city) and b"421017" not in everywhere(city)
    watcher.writer.close()


def test_a_hash_of_an_agencys_own_mapping_is_hidden_too_and_other_sources_keep_their_text(tmp_path: Path, city: Path) -> None:
    frame = pl.DataFrame({"id": ["1", "2"], "when": ["2026-05-01", "never"], "what": ["Ida Holm", "Ida Holm"], "more": ["Ida Holm"] * 2})
    frame.write_parquet(tmp_path / "a.parquet")
    load(city, tmp_path / "a.parquet")
    assert "Ida Holm" in held(city)["raw"][0], "this source hashes nothing"
    other = tmp_path / "other"
    hashing = replace(workspace.source(city, "toy"), parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "%Y-%m-%d"), "offence": keyed_hash(text("what")), "nibrs": "'220'"}),))
    Lake(other).load(hashing, tmp_path / "a.parquet")
    (raw,) = Lake(other).rejects()["raw"]
    assert json.loads(raw) == {"id": "2", "when": "never", "what": f"hash:{Lake(other).frame('incidents')['offence'][0]}"}


SAYING = """
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, said, text
SOURCE = Source(name='saying', title='a toy that asks', columns=('id', 'when'), zone='UTC', asks={'about': 'the case'}, takes={'beat': 'the beat'}, parts=(
    Part('incidents', {'incident_id': text('id'), 'started_at': local_time(column('when'), 'iso'), 'offence': said('about'), 'nibrs': "'220'",
    'beat': said('beat')}),))
"""


def test_mended_records_are_read_in_the_zone_and_with_what_was_said_before(tmp_path: Path, city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (city / "plugins" / "loaders" / "saying.py").write_text(SAYING)
    (tmp_path / "in.csv").write_text("id,when\n1,2026-05-01 10:00\n2,never\n3,nor this\n")
    given = ["--zone", "America/Chicago", "--set", "about=2026-0142's case", "--set", "beat=12"]
    assert cli.main(["load", "saying", str(tmp_path / "in.csv"), *given, "-w", str(city)]) == 0
    first = Lake(city / "lake").batches().row(0, named=True)
    assert (first["zone"], json.loads(first["said"])) == ("America/Chicago", {"about": "2026-0142's case", "beat": "12"})
    capsys.readouterr()
    assert cli.main(["status", "-w", str(city)]) == 0 and "(about=2026-0142's case, beat=12), read in America/Chicago: 1 added" in capsys.readouterr().out
    assert run(city, "list") == 0 and "in.csv (about=2026-0142's case, beat=12): 2 open" in capsys.readouterr().out
    run(city, "export", "last", "--file", str(tmp_path / "mend"))
    mend(tmp_path / "mend.csv", ("never", "2026-05-02 10:00"))
    assert run(city, "resubmit", str(tmp_path / "mend.csv")) == 1, "one is still bad"
    row = Lake(city / "lake").frame("incidents", where="incident_id = '2'").row(0, named=True)
    assert (f"{row['started_at']:%H:%M}", row["offence"], row["beat"]) == ("15:00", "2026-0142's case", "12")
    mend(tmp_path / "mend.csv", ("nor this", "2026-05-03 10:00"))
    assert run(city, "resubmit", str(tmp_path / "mend.csv"), "--zone", "UTC", "--set", "beat=13") == 0
    row = Lake(city / "lake").frame("incidents", where="incident_id = '3'").row(0, named=True)
    assert (f"{row['started_at']:%H:%M}", row["offence"], row["beat"]) == ("10:00", "2026-0142's case", "13"), "what is said now counts"


def test_a_ledger_of_before_zone_and_said_were_kept_still_opens(tmp_path: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tables.SHAPES, "batches", {n: c for n, c in tables.SHAPES["batches"].items() if n not in ("zone", "said")})
    load(city, dirty(tmp_path))
    monkeypatch.undo()
    assert Lake(city / "lake").batches().select("zone", "said").rows() == [(None, None)]
    assert run(city, "export", "last", "--file", str(tmp_path / "mend")) == 0
    mend(tmp_path / "mend.csv", ("never", "2026-05-02"))
    assert run(city, "resubmit", str(tmp_path / "mend.csv")) == 1 and cli.main(["status", "-w", str(city)]) == 0
    assert Lake(city / "lake").batches().select("zone", "said").rows() == [(None, None), ("UTC", "{}")]


def test_everything_that_is_done_with_rejects_is_in_the_audit(tmp_path: Path, city: Path) -> None:
    load(city, dirty(tmp_path))
    run(city, "export", "last", "--file", str(tmp_path / "mend"))
    mend(tmp_path / "mend.csv", ("never", "2026-05-02"), ('"OPEN', '"SHUT"'))
    run(city, "resubmit", str(tmp_path / "mend.csv"))
    run(city, "dismiss", held(city).row(0, named=True)["batch_id"], "--because", "no use")
    entries = wb.open_workbench(city).audit.entries()
    done = entries.filter(pl.col("phase") == "done")
    assert {"export rejects", "resubmit rejects", "dismiss rejects", "load"} <= set(done["action"])
    assert json.loads(done.filter(pl.col("action") == "resubmit rejects")["detail"][0])["mended"] == 2


def test_a_header_that_was_not_kept_is_told_from_the_source_or_asked_for(tmp_path: Path) -> None:
    source = Source(name="s", title="s", columns=("id", "when", "what"), parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "iso"), "offence": "what", "nibrs": "'220'"}),))
    frame = pl.DataFrame({"batch_id": ["b"] * 2, "line": [2, 3], "reason": ["r", "s"], "raw": ["1,2,3", "4,5"], "source": ["s"] * 2})
    assert rejects.write(frame, None, source, tmp_path / "a").file.read_text() == "id,when,what\n1,2,3\n4,5\n"
    with pytest.raises(BadInput, match="is not known"):
        rejects.write(frame.with_columns(raw=pl.lit("1,2,3,4,5")), None, source, tmp_path / "a")


FIELD = st.text(st.sampled_from('ab,;"\n\r \u00e9\x00'), max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_whatever_was_rejected_every_record_is_accounted_for_in_the_written_file(tmp_path: Path, rows: list[list[str]], end: str) -> None:
    file = tmp_path / "any.csv"
    file.write_bytes(end.join(["id,when,what", "1,2026-05-01,GOOD", *(",".join(r) for r in rows)]).encode())
    lake = Lake(tmp_path / f"lake{len(list(tmp_path.glob('lake*')))}")
    source = Source(name="s", title="s", columns=("id", "when", "what"), parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "%Y-%m-%d"), "offence": "what", "nibrs": "'220'"}),))
    report = lake.load(source, file)
    kept = lake.rejects()
    assert report.read == report.added + report.rejected + report.duplicate + report.updated and kept.height == report.rejected
    if not kept.height:
        return
    written = rejects.write(kept, "id,when,what", source, tmp_path / "mend")
    try:
        claimed = rejects.claims(written.file)
    except BadInput as error:
        assert "Keep them in step" in str(error), "two broken quotation marks may close one another; then nothing is paired by chance"
    else:
        assert sorted(claimed.lines) == sorted(kept["line"].to_list()) and written.records == kept.height

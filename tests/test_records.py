"""The loading pass: records told from bytes, blocks and their seams, encodings, delimiters, line ends, wall clocks, batches in memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from workbench import schema
from workbench.engines.duckdb import connect
from workbench.errors import BadInput
from workbench.lake import Lake, files, records, stage, texts
from workbench.lake.filling import Filling
from workbench.loaders import Part, Source
from workbench.loaders.kit import clock, functions
from workbench.loaders.kit.expressions import column, local_time, number, place, split, text

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)
CALL = {"call_id": text("id"), "received_at": local_time(column("at"), "iso"), "call_type": text("kind")}
PLAIN = Source(name="plain", title="three columns", columns=("id", "at", "kind"), parts=(Part("calls", CALL),), formats=("csv", "ndjson", "json"))
OPEN = Source(name="open", title="told encoding and delimiter", columns=("id", "at", "kind"), parts=(Part("calls", CALL),), encoding="", delimiter="",
              also={"kind": ("type",)}, zone="America/Chicago")
HEADER = b"id,at,kind\n"
UNCLOSED = "a quotation mark is opened and not properly closed"
Told = tuple[dict[int, list[str | None]], list[tuple[int, int, str, str]]]


@contextmanager
def sized(block: int, piece: int = 1 << 22) -> Iterator[None]:
    """Blocks and pieces of other sizes than usual, so that a few bytes have seams."""
    was = texts.BLOCK, files.FIRST, files.LARGEST
    texts.BLOCK, files.FIRST, files.LARGEST = block, piece, piece
    try:
        yield
    finally:
        texts.BLOCK, files.FIRST, files.LARGEST = was


def told(file: Path, source: Source = PLAIN, work: Path | None = None) -> Told:
    """What the pass makes of a file: record -> its values; and (record, line, reason, raw) of the broken ones. Checks the sums and ``bare`` by the way."""
    ready = files.Ready(source, file, source.form(file))
    sound: dict[int, list[str | None]] = {}
    con = connect()
    for piece in files.pieces(ready, work or file.parent):
        con.register(files.FRAME, piece.frame)
        rows = con.sql(f"select * from ({piece.raw})").pl()
        assert rows.height == piece.records
        for name in piece.bare:
            assert not any(v and ({unicodedata.category(v[0]), unicodedata.category(v[-1])} & {"Zs"}) for v in rows[name])
        for number_, *values in rows.iter_rows():
            sound[number_] = values
            assert piece.batches
        files.note(ready, piece, rows[records.NUMBER].to_list())
        con.unregister(files.FRAME)
    con.close()
    broken = [json.loads(line) for line in ready.broken_file.read_text().splitlines()] if ready.broken_file else []
    assert ready.read == len(sound) + len(broken) and ready.broken == len(broken)
    assert sorted([*sound, *(b["record"] for b in broken)]) == list(range(1, ready.read + 1))
    noted = list(files.raw_texts(ready, iter(sorted(sound))))
    ready.noted.clear()
    assert list(files.raw_texts(ready, iter(sorted(sound)))) == noted, "the second pass gives the same texts as were noted"
    return sound, [(b["record"], b["line"], b["reason"], b["raw"]) for b in broken]


def slowly(data: bytes, width: int = 3) -> Told:
    """The same, byte by byte in plain Python."""
    end = b"\r" if b"\n" not in data and b"\r" in data else b"\n"
    lines = data.split(end)
    if not lines[-1]:
        lines.pop()
    sound: dict[int, list[str | None]] = {}
    broken: list[tuple[int, int, str, str]] = []
    index, record = 1, 0
    while index < len(lines):
        raw = lines[index].rstrip(b"\r")
        if not raw.strip():
            index += 1
            continue
        record += 1
        fields, used = _slow_record(lines, index, end)
        problem, whole = "", end.join(lines[index:index + max(used, 1)]).rstrip(b"\r")
        if fields is None or (len(fields) != width and used > 1):
            problem, whole, used = UNCLOSED, raw, 1
        elif len(fields) != width:
            problem = f"{len(fields)} field{'s' if len(fields) != 1 else ''}, the header has {width}"
        elif b"\0" in whole:
            problem = "has a NUL byte, which is not text"
        else:
            try:
                sound[record] = [f.decode() or None for f in fields]
            except UnicodeDecodeError:
                problem = "has bytes that are not utf-8 text"
        if problem:
            broken.append((record, index + 1, problem, records.as_text(whole)))
        index += used
    return sound, broken


def _slow_record(lines: list[bytes], index: int, end: bytes) -> tuple[list[bytes] | None, int]:
    fields: list[bytes] = []
    line, at, last = lines[index].rstrip(b"\r"), 0, index
    while True:
        if line[at:at + 1] != b'"':
            stop = line.find(b",", at)
            stop = len(line) if stop < 0 else stop
            fields.append(line[at:stop])
            at = stop
        else:
            value, at = b"", at + 1
            while True:
                if at >= len(line):
                    if last + 1 >= len(lines):
                        return None, 1
                    value += lines[last][len(line):] + end
                    last, at = last + 1, 0
                    line = lines[last].rstrip(b"\r")
                    continue
                if line[at:at + 2] == b'""':
                    value, at = value + b'"', at + 2
                elif line[at:at + 1] == b'"':
                    at += 1
                    break
                else:
                    value, at = value + line[at:at + 1], at + 1
            fields.append(value)
        if at >= len(line):
            return fields, last - index + 1
        if line[at:at + 1] != b",":
            return None, 1
        at += 1


# ---------------------------------------------------------------- records


PIECES = st.sampled_from([b"a", b"7", b",", b",", b",", b'"', b'"', b'""', b'"x,y"', b'"p\nq"', b" ", b"\n", b"\n", b"\r\n", b"\r\r\n", b"\r", b"\0", b"\xe9",
                          "é".encode(), "\u3000".encode(), b"\xef\xbb\xbf", b",,\n", b"1,2,3\n", b'1,"2",3\n', b"\\", b"'", b"NA"])


@settings(QUICK, max_examples=400)
@given(parts=st.lists(PIECES, max_size=40), block=st.sampled_from([4, 16, 50, 1 << 21]))
def test_every_record_of_any_bytes_is_told_as_a_slow_reading_tells_it(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], block: int) -> None:
    file = tmp_path_factory.mktemp("any") / "a.csv"
    file.write_bytes(HEADER + b"".join(parts))
    expected = slowly(file.read_bytes())
    with sized(block, 40):
        if not expected[0] and not expected[1]:
            with pytest.raises(BadInput, match="no record"):
                told(file)
        else:
            assert told(file) == expected


CELLS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), max_size=12)


@QUICK
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=20), ending=st.sampled_from(["\n", "\r\n"]),
       quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), block=st.sampled_from([30, 1 << 21]),
       delimiter=st.sampled_from([",", ";", "|", "\t"]))
def test_what_pythons_csv_writer_wrote_comes_back_cell_by_cell(
        tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], ending: str, quoting: Any, block: int, delimiter: str) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=ending, quoting=quoting, delimiter=delimiter).writerows([["id", "at", "kind"], *rows])
    file = tmp_path_factory.mktemp("written") / "a.csv"
    file.write_text(out.getvalue(), encoding="utf-8", newline="")
    source = Source(name="s", title="s", columns=PLAIN.columns, parts=PLAIN.parts, delimiter=delimiter)
    with sized(block, 200):
        sound, broken = told(file, source)
    assert not broken and [[v or "" for v in sound[n + 1]] for n in range(len(rows))] == rows


def test_lines_behind_an_unclosed_quote_at_the_end_of_a_block_are_looked_at_as_all_others(tmp_path: Path) -> None:
    lines = [b"%d,2026-01-01,x" % n for n in range(200)]
    lines[90], lines[97], lines[99] = b'90,"2026-01-01,x', b"97,2026-01-01,caf\xe9", b"99,too,many,fields"
    (tmp_path / "a.csv").write_bytes(HEADER + b"\n".join(lines))
    for block in (400, 900, 1300, 1700, 1 << 21):
        with sized(block):
            assert [(r, reason) for r, _, reason, _ in told(tmp_path / "a.csv")[1]] == [
                (91, UNCLOSED), (98, "has bytes that are not utf-8 text"), (100, "4 fields, the header has 3")]


def test_a_quotation_mark_that_is_closed_beyond_a_thousand_lines_spoils_its_line_only(tmp_path: Path) -> None:
    for lines, many in ((900, 1), (1200, 1201)):
        (tmp_path / "a.csv").write_bytes(HEADER + b'1,2026-01-01,"open\n' + b"2,2026-01-01,x\n" * (lines - 1) + b'end"\n3,2026-01-01,x\n')
        sound, broken = told(tmp_path / "a.csv")
        assert len(sound) + len(broken) == many + 1
        assert [b[2] for b in broken] == ([] if many == 1 else [UNCLOSED, "1 field, the header has 3"])


def test_a_line_without_end_is_refused_instead_of_filling_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST", 1 << 22)
    (tmp_path / "a.csv").write_bytes(HEADER + b"x" * (1 << 23) + b"\n1,2,3\n")
    with pytest.raises(BadInput, match="a line of more than 4 MB"):
        told(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(HEADER + b"1,2," + b"x" * (3 << 20) + b"\n1,2,3\n")
    assert len(told(tmp_path / "a.csv")[0]) == 2


JSONS = st.sampled_from([
    b"", b" ", b"{}", b"[]", b"1", b"{", b'{"id":1}', b'{"id":NaN}', b'{"id":"\\ud800"}', b'{"id":"\\u0000"}', b'{"id":"caf\xe9"}', b'{"id":"caf\xc3\xa9"}',
    b'{"ID":"x","at":{"b":[1,2.5]}}', b'{"id":1e400,"at":12345678901234567890,"kind":true}', b'{"a~b":1,"a/b":2,"id":"y"}', b'{"id":"a\rb"}'])


@settings(QUICK, max_examples=150)
@given(lines=st.lists(st.one_of(JSONS, st.binary(max_size=12)), max_size=12), ending=st.sampled_from([b"\n", b"\r\n"]), block=st.sampled_from([20, 1 << 21]))
def test_every_line_of_ndjson_is_a_record_a_broken_one_or_blank(
        tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ending: bytes, block: int) -> None:
    file = tmp_path_factory.mktemp("json") / "a.ndjson"
    data = b'{"id":"0","at":null,"kind":""}' + ending + ending.join(lines)
    file.write_bytes(data)
    with sized(block, 60):
        sound, broken = told(file)
    assert len(sound) + len(broken) == sum(bool(line.strip()) for line in data.split(b"\n"))
    for record, line, _, raw in broken:
        assert raw == records.as_text(data.split(b"\n")[line - 1].strip()) and record <= line
    assert sound[1] == ["0", None, ""]


def test_members_of_json_are_found_by_their_other_names_and_keep_what_was_written(tmp_path: Path) -> None:
    rows = [{"Id": 7, "AT": "2026-01-01", "type": {"a": [1, 2.50]}}, {"id": "8", "at": None, "kind": "x"},
            {"id": 12345678901234567890, "at": "2026-01-02", "Kind": [True]}]
    (tmp_path / "a.ndjson").write_text("\n".join(map(json.dumps, rows)))
    source = Source(name="s", title="s", columns=PLAIN.columns, parts=PLAIN.parts, also={"kind": ("type",)}, formats=("ndjson",))
    assert told(tmp_path / "a.ndjson", source)[0] == {
        1: ["7", "2026-01-01", '{"a":[1,2.5]}'], 2: ["8", None, "x"], 3: ["12345678901234567890", "2026-01-02", "[true]"]}


# ---------------------------------------------------------------- encodings, delimiters, line ends, packings, forms


ROWS = [["1", "2026-05-01 22:10", "CAFÉ – “x”"], ["2", "2026-05-01 23:10", "THEFT"], ["3", "2026-05-02 01:10", "A,B;C"]]


def loaded(folder: Path, name: str, data: bytes, source: Source = OPEN) -> pl.DataFrame:
    """The calls of a file in a lake of its own."""
    file = folder / name
    file.write_bytes(data)
    lake = Lake(folder / f"lake-{name}")
    report = lake.load(source, file)
    assert report.read == report.added + report.duplicate + report.updated + report.rejected
    return lake.frame("calls").select("call_id", "received_at", "call_type", "line").sort("line")


def written(delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", delimiter=delimiter).writerows([["id", "at", "kind"], *ROWS])
    return out.getvalue()


@pytest.mark.parametrize("how", [
    "utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be", "crlf cp1252", "gz", "zst", "semicolon", "tab", "pipe", "cr cr lf", "old mac"])
def test_the_same_records_in_any_encoding_delimiter_and_line_end_are_the_same_rows(tmp_path: Path, how: str) -> None:
    plain = loaded(tmp_path, "plain.csv", written().encode())
    assert plain["call_type"].to_list() == [r[2] for r in ROWS]
    data, name = written().encode(), "a.csv"
    if how in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        data = written().encode(how)
    elif how == "utf-16-be":
        data = b"\xfe\xff" + written().encode("utf-16-be")
    elif how == "crlf cp1252":
        data = written().replace("\n", "\r\n").encode("cp1252")
    elif how == "gz":
        data, name = gzip.compress(data), "a.csv.gz"
    elif how == "zst":
        data, name = pytest.importorskip("zstandard").ZstdCompressor().compress(data), "a.csv.zst"
    elif how in ("semicolon", "tab", "pipe"):
        data = written({"semicolon": ";", "tab": "\t", "pipe": "|"}[how]).encode()
    elif how == "cr cr lf":
        data = data.replace(b"\n", b"\r\r\n")
    elif how == "old mac":
        data = data.replace(b"\n", b"\r")
    assert_frame_equal(loaded(tmp_path, name, data), plain)


def test_the_encoding_is_utf_8_only_where_the_whole_file_is_and_a_byte_that_windows_lacks_is_rejected(tmp_path: Path) -> None:
    late = written().encode("utf-8") + b"4,2026-05-02 01:10,na\xefve\n"
    assert texts.told_encoding(_file(tmp_path, "late.csv", late)) == "cp1252"
    assert texts.told_encoding(_file(tmp_path, "utf.csv", written().encode())) == "utf-8"
    assert texts.told_encoding(_file(tmp_path, "cut.csv", "aé".encode()[:-1])) == "cp1252"
    with sized(3):
        assert texts.told_encoding(_file(tmp_path, "seam.csv", "é–“x”".encode() * 9)) == "utf-8"
    lake = Lake(tmp_path / "lake")
    report = lake.load(OPEN, _file(tmp_path, "win.csv", written().encode("cp1252") + b"4,2026-05-02 01:10,\x81\n"))
    assert (report.read, report.rejected, report.rejects_by_reason) == (4, 1, {"has bytes that are not cp1252 text": 1})


def _file(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_half_a_character_of_utf_16_spoils_its_record_only(tmp_path: Path) -> None:
    data = written().encode("utf-16-le")
    bad = data.replace("T".encode("utf-16-le"), b"\x00\xd8", 1)
    frame = loaded(tmp_path, "a.csv", b"\xff\xfe" + bad)
    assert frame["line"].to_list() == [1, 3]
    assert loaded(tmp_path, "b.csv", b"\xff\xfe" + data + b"4")["line"].to_list() == [1, 2, 3]


@pytest.mark.parametrize(("header", "delimiter"), [
    ("id,at,kind", ","), ("id;at;kind", ";"), ("id\tat\tkind", "\t"), ("id|at|kind", "|"), ('id;"at, local";at;kind', ";"), ("id;at;kind;a,b,c,d,e", ";"),
    ("alone", ","), ('"id","at; of day","kind","at"', ","), ("what|a|b,c", "|"),
])
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, header: str, delimiter: str) -> None:
    ready = files.Ready(OPEN, _file(tmp_path, "a.csv", (header + "\n1,2\n").encode()), "csv")
    files._texts(ready, tmp_path)
    assert ready.delimiter == delimiter


def test_a_delimiter_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be told: its header has ',' and ';' alike"):
        loaded(tmp_path, "a.csv", b"one,two;three\n1,2;3\n")
    with pytest.raises(BadInput, match="must be one ASCII character"):
        loaded(tmp_path, "a.csv", b"id\n", Source(name="s", title="s", columns=("id",), parts=PLAIN.parts, delimiter="::"))


def test_returns_before_line_ends_make_no_rows_of_their_own(tmp_path: Path) -> None:
    sound, broken = told(_file(tmp_path, "a.csv", b"id,at,kind\r\r\n1,2,3\r\r\n\r\r\n4,5,\"6\r\r\n7\"\r\r\n8,9\r\r\n"))
    assert sound == {1: ["1", "2", "3"], 2: ["4", "5", "6\r\r\n7"]}
    assert broken == [(3, 6, "2 fields, the header has 3", "8,9")]


def test_a_document_is_unfolded_and_loaded_and_its_rejects_are_counted_by_record(tmp_path: Path) -> None:
    rows = [{"id": str(n), "at": "never" if n == 2 else "2026-05-01 22:10", "kind": f"k{n}"} for n in range(4)]
    lake = Lake(tmp_path / "lake")
    report = lake.load(PLAIN, _file(tmp_path, "a.json", json.dumps(rows, indent=1).encode()))
    assert (report.read, report.added, report.rejected) == (4, 3, 1)
    kept = lake.rejects().row(0, named=True)
    assert kept["line"] == 3 and json.loads(kept["raw"]) == rows[2] and kept["reason"] == "received_at not readable"


# ---------------------------------------------------------------- pieces and mapping


def dirty(rows: int) -> bytes:
    """Calls of which some cannot be read, some are broken and some lie over two lines."""
    times = [b"never" if n % 17 == 3 else b"2026-05-%02d 22:%02d" % (1 + n % 28, n % 60) for n in range(rows)]
    lines = [b"%d,%b,kind %d%b" % (n, times[n], n, b" " if n % 5 else b"") for n in range(rows)]
    lines[::13] = [line + b",more" for line in lines[::13]]
    lines[1::29] = [b'%d,2026-05-01,"two\nlines"' % n for n in range(1, rows, 29)]
    return HEADER + b"\n".join(lines) + b"\n"


def test_how_a_file_is_cut_into_blocks_and_pieces_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path, "a.csv", dirty(3000))
    seen = []
    for place_, (block, piece, noted) in enumerate([(1 << 21, 1 << 24, 100_000), (500, 9_000, 100_000), (3_000, 20_000, 50), (9_000, 1, 0)]):
        monkeypatch.setattr(files, "NOTED", noted)
        lake = Lake(tmp_path / str(place_))
        with sized(block, piece):
            report = lake.load(PLAIN, file)
        calls = lake.frame("calls").drop("batch_id", "recorded_at").sort("line")
        seen.append((report.rejects_by_reason, calls, lake.rejects().select("line", "reason", "raw")))
        assert report.read == 3000 == calls.height + report.rejected
    for reasons, calls, kept in seen[1:]:
        assert reasons == seen[0][0]
        assert_frame_equal(calls, seen[0][1])
        assert_frame_equal(kept, seen[0][2])


REVISED = Source(name="revised", title="with editions", columns=("id", "what", "changed"), parts=(Part("incidents", {
    "incident_id": text("id"), "started_at": "timestamptz '2026-01-01 00:00:00+00'", "nibrs": "'220'", "offence": text("what"),
    "revised_at": local_time("changed", "%Y-%m-%d")}),))
EDITIONS = st.tuples(st.sampled_from(["a", "b", "b", ""]), st.sampled_from(["X", "a text longer than twelve bytes", "a text longer than twelve letters"]),
                     st.sampled_from(["", "2026-01-02", "2026-01-03", "never"]), st.integers(1, 4))


@settings(QUICK, max_examples=25)
@given(before=st.lists(EDITIONS, max_size=3), rows=st.lists(EDITIONS, min_size=1, max_size=12), block=st.sampled_from([60, 1 << 21]))
def test_records_that_say_the_same_as_the_one_before_are_duplicates_or_rejected_as_that_is(
        tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, str, str, int]], rows: list[tuple[str, str, str, int]], block: int) -> None:
    home = tmp_path_factory.mktemp("again")
    seen = []
    for name in ("at once", "one by one"):
        lake = Lake(home / name)
        with sized(block, 2 * block), pytest.MonkeyPatch.context() as patch:
            if name == "one by one":
                patch.setattr("workbench.lake.mapping.tells_apart", lambda source: True)
            for number_, part in enumerate((before, rows)):
                lines = [f"{i},{what},{changed}\n" for i, what, changed, times in part for _ in range(times)]
                file = _file(home, f"{name}{number_}.csv", ("id,what,changed\n" + "".join(lines)).encode())
                report = lake.load(REVISED, file) if part else None
        assert report is not None
        seen.append(((report.read, report.added, report.updated, report.duplicate, report.rejected), report.rejects_by_reason,
                     lake.frame("incidents").drop("batch_id", "recorded_at").sort("incident_id"),
                     lake.rejects().select("line", "reason", "raw", "recorded_at").drop("recorded_at")))
    assert seen[0][:2] == seen[1][:2]
    assert_frame_equal(seen[0][2], seen[1][2])
    assert_frame_equal(seen[0][3], seen[1][3])


def test_a_mapping_that_looks_at_several_records_sees_the_whole_file_at_once(tmp_path: Path) -> None:
    counted = {**CALL, "call_id": f"""trim(id) || '/' || (row_number() over (partition by id order by "{records.NUMBER}"))"""}
    source = Source(name="counted", title="counted", columns=PLAIN.columns, parts=(Part("calls", counted),))
    file = _file(tmp_path, "a.csv", HEADER + b"".join(b"%d,%b,x\n" % (n % 3, b"2026-01-01" if n != 7 else b"never") for n in range(300)))
    with sized(100, 200):
        lake = Lake(tmp_path / "lake")
        report = lake.load(source, file)
    assert (report.read, report.added, report.rejected) == (300, 299, 1)
    assert set(lake.frame("calls")["call_id"]) == {f"{n % 3}/{1 + n // 3}" for n in range(300) if n != 7}
    assert lake.rejects()["raw"].to_list() == ["1,never,x"]


EDGED = st.sampled_from(["", " ", "a", " a", "a ", "\u00a0a", "a\u3000", " NA ", "NA", "null", "é", " é", "x y", "\ta", "3", " 3 ", "40 ", "nan"])


@settings(QUICK, max_examples=25)
@given(rows=st.lists(st.tuples(EDGED, EDGED, EDGED, EDGED), min_size=1, max_size=15), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_leaving_out_trims_where_nothing_is_to_trim_changes_no_value(
        tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], quoting: Any) -> None:
    """A raw column that is called like a lambda's argument, and trims spelt in several ways, stay what they are."""
    home = tmp_path_factory.mktemp("trim")
    source = Source(name="t", title="t", columns=("x", "y", "A B", "at"), parts=(Part("calls", {
        "call_id": text(column("at")), "received_at": "timestamptz '2026-01-01 00:00:00+00'", "call_type": text(column("A B")), "units": split("y", " "),
        **place("x", "y"),
        "narrative": "concat_ws('|', rtrim(x), ltrim(\"x\"), trim(x), trim(\"A B\"), ltrim(\"A B\"))", "priority": number("x")}),))
    for name, block in (("a", 1 << 21), ("b", 20)):
        with (home / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n", quoting=quoting).writerows([("x", "y", "A B", "at"), *((*r[:3], str(n)) for n, r in enumerate(rows))])
        with sized(block, block):
            Lake(home / name).load(source, home / f"{name}.csv")
    one, other = (Lake(home / n).frame("calls").sort("line").drop("batch_id", "recorded_at") for n in "ab")
    assert_frame_equal(one, other)
    for row in one.iter_rows(named=True):
        x, _, ab, _ = rows[row["line"] - 1]
        narrative = [_strip(x, right=True), _strip(x, left=True), _strip(x, True, True)] if x else []
        assert row["narrative"] == "|".join([*narrative, *([_strip(ab, True, True), _strip(ab, left=True)] if ab else [])])
        assert row["call_type"] == (None if _strip(ab, True, True) in ("", "NA", "null") else _strip(ab, True, True))


def _strip(value: str, left: bool = False, right: bool = False) -> str:
    blanks = " \u00a0\u3000"
    return (value.lstrip(blanks) if left else value).rstrip(blanks) if right else (value.lstrip(blanks) if left else value)


def test_records_in_memory_become_what_a_file_with_them_becomes(tmp_path: Path) -> None:
    rows: list[bytes] = [b'{"id": "1", "at": "2026-05-01 22:10", "kind": "a"}', b'{"id": 2, "at": "never"}', b"[]",
                         b'{"id": 3,\n "at": "2026-05-01T22:11:00", "KIND": {"b": 1}}', b'{"id": "\xff"}', b'{"at": "2026-05-01 22:10"}']
    con = connect()
    functions.register(con)
    frames, refused = stage.map_records(PLAIN, rows, Filling(PLAIN, tmp_path / "live", "America/Chicago"), con)
    assert refused == [(2, "received_at not readable"), (3, "not a JSON object"), (5, "has bytes that are not utf-8 text"), (6, "no call_id")]
    assert frames["calls"].columns == [*schema.table("calls").columns, "line"]
    assert frames["calls"].select("call_id", "received_at", "call_type", "line").rows() == [
        ("1", datetime(2026, 5, 2, 3, 10, tzinfo=UTC), "a", 1), ("3", datetime(2026, 5, 2, 3, 11, tzinfo=UTC), '{"b":1}', 4)]
    assert stage.map_records(PLAIN, [], Filling(PLAIN, tmp_path / "live", "UTC"), con) == ({}, [])
    assert stage.map_records(PLAIN, [b"{}"], Filling(PLAIN, tmp_path / "live", "UTC"), con) == ({}, [(1, "no call_id")])
    con.close()


# ---------------------------------------------------------------- wall clocks


ZONES = ["America/Chicago", "America/New_York", "America/Los_Angeles", "Australia/Lord_Howe", "Europe/Dublin", "Europe/London", "Pacific/Apia",
         "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns", "Antarctica/Troll", "America/Sao_Paulo", "Asia/Tehran", "UTC", "Etc/GMT+7"]
EPOCH = datetime(1970, 1, 1)


def by_zoneinfo(zone: str, wall: int) -> int:
    at = (EPOCH + timedelta(microseconds=wall)).replace(tzinfo=ZoneInfo(zone))
    offset = at.utcoffset()
    assert offset is not None
    return wall - offset // timedelta(microseconds=1)


@pytest.mark.parametrize("zone", ZONES)
def test_wall_clock_times_become_utc_as_zoneinfo_has_it_around_every_change_and_at_any_time(zone: str) -> None:
    around = clock._changes(zone)[0]
    near = (around[:, None] + np.array([-3_600_000_000, -1_800_000_000, -1, 0, 1, 1_799_999_999, 1_800_000_000, 3_600_000_000])).ravel()
    anywhere = np.random.default_rng(7).integers(-6_000_000_000_000_000, 8_000_000_000_000_000, 3000)
    walls = np.concatenate([near, anywhere])
    assert clock.to_utc(zone, walls).tolist() == [by_zoneinfo(zone, int(w)) for w in walls]


@settings(QUICK, max_examples=40)
@given(walls=st.lists(st.one_of(st.none(), st.datetimes(datetime(1890, 1, 1), datetime(2150, 1, 1))), min_size=1, max_size=30), zone=st.sampled_from(ZONES))
def test_times_that_do_not_exist_and_those_that_happened_twice_follow_the_rule_in_sql_too(walls: list[datetime | None], zone: str) -> None:
    con = connect()
    functions.register(con)
    shown = [None if w is None else f"{w.replace(microsecond=0)}" for w in walls]
    con.register("raw", pl.DataFrame({"t": pl.Series(shown, dtype=pl.String)}))
    expression = local_time("t", "iso", zone=zone)
    step = ", ".join(f'{sql} as "{name}"' for name, sql in expression.steps)
    got = con.execute(f"select epoch_us({expression}), epoch_us({expression.quick}) from (select *, {step} from raw)").fetchall()
    right = [None if w is None else by_zoneinfo(zone, (w.replace(microsecond=0) - EPOCH) // timedelta(microseconds=1)) for w in walls]
    assert got == [(r, r) for r in right]
    con.close()


def test_years_that_python_has_not_and_infinity_are_no_fault() -> None:
    con = connect()
    functions.register(con)
    values = "(timestamp 'infinity'), (timestamp '-infinity'), (timestamp '250000-01-01'), (null)"
    got = con.execute(f"select cast(wall_to_utc('America/Chicago', t) as varchar) from (values {values}) v(t)").fetchall()
    assert got == [("infinity",), ("-infinity",), ("250000-01-01 06:00:00+00",), (None,)]
    con.close()


# ---------------------------------------------------------------- long

FUZZ = """
import sys, tempfile
from pathlib import Path
import atheris
with atheris.instrument_imports(include=["workbench.lake." + name for name in ("records", "plain", "texts", "files", "stage", "mapping")]):
    from workbench.lake import files, mapping, records, stage, texts
from workbench.engines.duckdb import connect
from workbench.errors import BadInput
from workbench.lake import rejects
from workbench.lake.filling import Filling
from workbench.loaders import Part, Source
from workbench.loaders.kit import functions
from workbench.loaders.kit.expressions import column, local_time, text

parts = (Part("calls", {"call_id": text("id"), "received_at": local_time(column("at"), "%m/%d/%Y %H:%M", "iso"), "call_type": text("kind")}),)
sources = [Source(name="s", title="s", columns=("id", "at", "kind"), parts=parts, encoding=e, delimiter=d, formats=("csv", "ndjson"), zone="America/Chicago")
           for e in ("utf-8", "", "cp1252") for d in (",", "")]
work = Path(tempfile.mkdtemp())
con = connect()
functions.register(con)
rejected = 0

def one(data):
    if len(data) < 3: return
    source, block, form = sources[data[0] % len(sources)], 1 + data[1] * (1 + data[2] // 128), "ndjson" if data[2] & 1 else "csv"
    texts.BLOCK, files.FIRST, files.LARGEST = block, 3 * block, 3 * block
    file = work / f"a.{form}"
    header = b'{"id":"1","at":"2026-01-01","kind":"x"}\\n' if form == "ndjson" else b"id,at,kind\\n"
    file.write_bytes((header if data[2] & 2 else b"") + data[3:])
    ready = files.Ready(source, file, form)
    fill = Filling(source, file, source.zone)
    rejects.begin(con)
    try:
        if data[2] & 4 and len(data) < 400:
            staged = stage.stage_file(con, ready, work, fill, mapping.Provenance("s", "b", "2026-01-01T00:00:00+00:00"), lambda share: None)
            sound = sum(f.rows for f in staged["calls"])
            refused = con.execute("select count(*), count(distinct record) from refused").fetchone()
            assert refused[0] == refused[1] and sound + refused[0] + ready.broken + len(ready.repeats) == ready.read, (sound, refused, ready.broken, ready.read)
        else:
            pieces = list(files.pieces(ready, work))
            assert sum(p.records for p in pieces) + ready.broken == ready.read
    except BadInput:
        pass

atheris.Setup([sys.argv[0], "-max_total_time=" + sys.argv[1], "-timeout=20", "-rss_limit_mb=4000", "-max_len=3000"], one)
atheris.Fuzz()
"""


@pytest.mark.soak
def test_ten_minutes_of_fuzzing_find_no_crash_no_hang_and_no_record_unaccounted_for(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    (tmp_path / "fuzz.py").write_text(FUZZ)
    done = subprocess.run([sys.executable, "fuzz.py", "600"], cwd=tmp_path, capture_output=True, text=True, timeout=1200, check=False,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
    assert done.returncode == 0, done.stderr[-3000:]
    print(re.findall(r"^#\d+.*DONE.*$", done.stderr, re.M)[-1:])

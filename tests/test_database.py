"""A records system's table read from a real PostgreSQL server (and SQLite): one snapshot, in chunks, and the next time only what is new."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.postgres import PASSWORD, Postgres
from workbench import cli, workspace
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.intake import database, highwater

PLUGIN = """
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, text, utc_time
SOURCE = Source(name='rms', title='incidents of a records system', columns=('incident_id', 'started_at'), optional=('offence', 'updated_at', 'beat'),
    parts=(Part('incidents', {'incident_id': text('incident_id'), 'started_at': utc_time(column('started_at'), 'iso'), 'offence': text('offence'),
    'beat': text('beat'), 'nibrs': "'220'", 'revised_at': utc_time(column('updated_at'), 'iso')}),))
"""
TABLE = """
create schema if not exists cad;
create table cad.incidents (incident_id text primary key, started_at timestamptz, offence text, beat char(4), updated_at timestamptz, number serial,
    doubts text[], about jsonb, fine numeric(12, 2), closed boolean, day date, photo bytea, ratio double precision);
insert into cad.incidents select 'R' || lpad(i::text, 6, '0'), timestamptz '2026-05-01 00:00+00' + i * interval '1 minute', 'BURGLARY', '0412',
    timestamptz '2026-05-02 00:00+00' + i * interval '1 second' from generate_series(1, 25000) i;
create view cad.recent as select * from cad.incidents where number > 24990;
"""


@pytest.fixture(scope="module")
def told(postgres: Postgres) -> tuple[Postgres, str]:
    """The server and a database with a table of 25,000 incidents."""
    name = postgres.database()
    with postgres.connect(name) as con:
        con.execute(TABLE.encode())
    return postgres, name


@pytest.fixture
def own(postgres: Postgres) -> tuple[Postgres, str]:
    """The same in a database that the test may change."""
    name = postgres.database()
    with postgres.connect(name) as con:
        con.execute(TABLE.replace("25000", "500").replace("24990", "490").encode())
    return postgres, name


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(database.PASSWORD, PASSWORD)
    folder = workspace.create(tmp_path / "city", name="Test", zone="America/Chicago").path
    (folder / "plugins" / "loaders" / "rms.py").write_text(PLUGIN)
    return folder


def address(told: tuple[Postgres, str]) -> str:
    return told[0].url(told[1], password=False).replace("+psycopg", "")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in file.read_text(encoding="utf-8").splitlines()]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    found: dict[str, int] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_table_is_read_in_chunks_by_a_cursor_on_the_server_and_every_row_comes_out(told: tuple[Postgres, str], city: Path) -> None:
    steps: list[tuple[int, int]] = []
    got = database.read(address(told), "cad.incidents", city / "in", progress=lambda n, rows: steps.append((n, rows)))
    assert steps == [(1, 10_000), (2, 20_000), (3, 25_000)] and got.rows == 25_000
    rows = lines(got.file)
    assert len({r["incident_id"] for r in rows}) == 25_000
    assert rows[0]["started_at"].endswith("+00:00") and rows[0]["beat"] == "0412"
    assert got.file.stat().st_mode & 0o077 == 0, "for the user's eyes only"
    assert database.read(address(told), "cad.recent", city / "in").rows == 10, "a view is read as a table is"


def test_values_of_every_kind_come_out_as_they_stand(own: tuple[Postgres, str], city: Path) -> None:
    with own[0].connect(own[1]) as con:
        con.execute("""update cad.incidents set doubts = '{"a","b, \\"c\\""}', about = '{"n": 1.10}', fine = 1234567890.10, closed = false, day = '2026-01-02',
            photo = '\\x00ff', ratio = 'NaN', offence = null where incident_id = 'R000001'""")
        con.execute("create table odd as select interval '90 minutes' as span, time '18:30' as clock, '10.0.0.1'::inet as host, "
                    "'0b7f5a0e-1d6c-4a53-8d2e-0123456789ab'::uuid as id, timestamp '2026-01-02 03:04:05.6' as naive")
    row = next(r for r in lines(database.read(address(own), "cad.incidents", city / "in").file) if r["incident_id"] == "R000001")
    assert (row["doubts"], row["fine"], row["closed"], row["day"], row["photo"], row["ratio"], row["offence"]) == (
        ["a", 'b, "c"'], "1234567890.10", False, "2026-01-02", "00ff", "nan", None)
    assert lines(database.read(address(own), "odd", city / "in").file) == [
        {"span": 5400.0, "clock": "18:30:00", "host": "10.0.0.1", "id": "0b7f5a0e-1d6c-4a53-8d2e-0123456789ab", "naive": "2026-01-02 03:04:05.600000"}]


def test_one_snapshot_is_read_whatever_others_write_meanwhile(told: tuple[Postgres, str], own: tuple[Postgres, str], city: Path) -> None:
    started, written = threading.Event(), threading.Event()

    def write() -> None:
        started.wait(30)
        with own[0].connect(own[1]) as con:
            con.execute("delete from cad.incidents where number > 15000")
            con.execute("insert into cad.incidents (incident_id) values ('LATE')")
        written.set()

    with own[0].connect(own[1]) as con:
        con.execute("insert into cad.incidents (incident_id) select 'M' || i from generate_series(501, 25000) i")
    writer = threading.Thread(target=write)
    writer.start()

    def seen(chunk: int, rows: int) -> None:
        if chunk == 1:
            started.set()
            assert written.wait(30)

    got = database.read(address(own), "cad.incidents", city / "in", progress=seen)
    writer.join()
    assert got.rows == 25_000 and "LATE" not in got.file.read_text()
    assert database.read(address(own), "cad.incidents", city / "in").rows == 15_001


def test_the_next_time_only_new_rows_are_read_and_one_committed_late_is_not_missed(
        own: tuple[Postgres, str], city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fetch", address(own), "--table", "cad.incidents", "--to", "rms", "--since", "updated_at", "--overlap", "60s", "--json", "-w", str(city)]
    slow = own[0].connect(own[1])
    slow.execute("insert into cad.incidents (incident_id, started_at, updated_at) values ('SLOW', '2026-05-02', '2026-05-02 00:08:15+00')")
    assert cli.main(command) == 0
    assert (first := said(capsys))["added"] == first["read"] == 500
    slow.commit()
    slow.close()
    with own[0].connect(own[1]) as con:
        con.execute("update cad.incidents set offence = 'ARSON', updated_at = '2026-05-03 00:00+00' where incident_id = 'R000007'")
        con.execute("insert into cad.incidents (incident_id, started_at, updated_at) values ('NEW', '2026-05-03', '2026-05-03'), "
                    "('UNDATED', '2026-05-03', null)")
    assert cli.main(command) == 0
    second = said(capsys)
    assert (second["added"], second["updated"], second["duplicate"]) == (3, 1, 61), "SLOW, NEW and UNDATED; R000007; what lies in the overlap"
    assert cli.main(command) == 0
    third = said(capsys)
    assert (third["added"], third["updated"], third["read"]) == (0, 0, 3)
    frame = wb.open_workbench(city).incidents()
    assert frame.height == 503 and frame.filter(frame["incident_id"] == "R000007")["offence"].to_list() == ["ARSON"]
    assert not list((city / "in").glob("*.ndjson")), "the file goes once it is loaded"


@pytest.mark.parametrize(("column", "mark", "expected"), [
    ("number", 490, 500 - 480 + 1), ("day", None, 500), ("fine", "400.50", 100), ("incident_id", "R000490", 11)])
def test_a_mark_may_be_a_number_a_date_or_a_text(own: tuple[Postgres, str], city: Path, column: str, mark: Any, expected: int) -> None:
    with own[0].connect(own[1]) as con:
        con.execute("update cad.incidents set fine = number, day = date '2026-01-01' + number")
    url = address(own)
    first = database.read(url, "cad.incidents", city / "in", source="rms", since=column)
    assert first.rows == 500 and first.mark is not None
    highwater.move(city / "in", database.feed(url, "cad.incidents", "rms", column), mark if mark is not None else "2025-01-01")
    assert database.read(url, "cad.incidents", city / "in", source="rms", since=column, overlap=10 if column == "number" else None).rows == expected


def test_a_mark_does_not_move_when_the_rows_could_not_be_loaded(own: tuple[Postgres, str], city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with own[0].connect(own[1]) as con:
        con.execute("alter table cad.incidents rename column started_at to begun")
    command = ["fetch", address(own), "--table", "cad.incidents", "--to", "rms", "--since", "updated_at", "-w", str(city)]
    assert cli.main(command) == 1
    assert "it has no column 'started_at'" in capsys.readouterr().err
    assert highwater.mark(city / "in", database.feed(address(own), "cad.incidents", "rms", "updated_at")) is None


def test_a_row_dated_far_ahead_does_not_stop_the_feed(own: tuple[Postgres, str], city: Path) -> None:
    with own[0].connect(own[1]) as con:
        con.execute("update cad.incidents set updated_at = '2999-01-01' where incident_id = 'R000003'")
    assert database.read(address(own), "cad.incidents", city / "in", since="updated_at").mark.startswith("2026-05-02 00:08:20")


def test_the_password_is_neither_taken_from_the_address_nor_written_down(own: tuple[Postgres, str], city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for url in (own[0].url(own[1]), address(own) + f"?password={PASSWORD.replace(' ', '%20')}"):
        with pytest.raises(BadInput, match="carries a password") as caught:
            database.read(url, "cad.incidents", city / "in")
        assert PASSWORD not in str(caught.value)
    assert cli.main(["fetch", address(own), "--table", "cad.incidents", "--to", "rms", "--since", "updated_at", "--keep", "-w", str(city)]) == 0
    entries = wb.open_workbench(city).audit.entries()
    assert any("postgresql://127.0.0.1" in o for o in entries["object"])
    for file in city.rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes(), file
    shown = capsys.readouterr()
    assert PASSWORD not in shown.out + shown.err


def test_what_is_wrong_is_said_in_a_sentence(told: tuple[Postgres, str], city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = city / "in"
    with pytest.raises(NotFound, match=r"has no table 'cad.incident'\. Did you mean 'incidents'\?"):
        database.read(address(told), "cad.incident", folder)
    with pytest.raises(NotFound, match=r"has no table 'nowhere.incidents'"):
        database.read(address(told), "nowhere.incidents", folder)
    with pytest.raises(NotFound, match=r"has no column 'updated'\. Did you mean 'updated_at'\?"):
        database.read(address(told), "cad.incidents", folder, since="updated")
    with pytest.raises(BadInput, match="no driver"):
        database.read("oracle://h/db", "t", folder)
    with pytest.raises(BadInput, match="no address of a database"):
        database.read("postgresql", "t", folder)
    with pytest.raises(BadInput, match="There is no file"):
        database.read(f"sqlite:///{tmp_path}/none.db", "t", folder)
    with pytest.raises(WorkbenchError, match="could not be read"):
        database.read("postgresql://keeper@127.0.0.1:1/x", "t", folder)
    monkeypatch.setenv(database.PASSWORD, "wrong")
    with pytest.raises(WorkbenchError, match="password authentication failed"):
        database.read(address(told), "cad.incidents", folder)
    assert not list(folder.glob("*.ndjson")) and not list(folder.glob(".*part"))
    assert cli.main(["fetch", address(told), "-w", str(city)]) == 1


def test_a_name_with_quotes_or_capitals_is_a_name_and_nothing_else(own: tuple[Postgres, str], city: Path) -> None:
    with own[0].connect(own[1]) as con:
        con.execute('create table "Odd; drop table x --" as select 1 as "A b"')
    assert lines(database.read(address(own), "Odd; drop table x --", city / "in").file) == [{"A b": 1}]


def test_another_database_is_read_in_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "rms.db"
    with sqlite3.connect(file) as con:
        con.execute("create table calls (id integer primary key, at text, note blob)")
        con.executemany("insert into calls values (?, ?, ?)", [(i, f"2026-05-{1 + i % 28:02}", b"\x01") for i in range(2000)])
    url = f"sqlite:///{file}"
    got = database.read(url, "calls", tmp_path / "in", since="id")
    assert (got.rows, got.mark) == (2000, 1999) and lines(got.file)[3] == {"id": 3, "at": "2026-05-04", "note": "01"}
    highwater.move(tmp_path / "in", database.feed(url, "calls", "", "id"), got.mark)
    assert database.read(url, "calls", tmp_path / "in", since="id").rows == 1001


def test_a_large_table_needs_no_more_memory_than_a_few_chunks(own: tuple[Postgres, str], city: Path, root: Path) -> None:
    with own[0].connect(own[1]) as con:
        con.execute("create table big as select i, repeat('x', 1500) as t from generate_series(1, 35000) i")
    code = ("import sys, resource; from pathlib import Path; from workbench.intake import database; peak = lambda: resource.getrusage(resource.RUSAGE_SELF)."
            "ru_maxrss; database.read(sys.argv[1], 'cad.recent', Path(sys.argv[2])); before = peak(); database.read(sys.argv[1], 'big', Path(sys.argv[2])); "
            "print(peak() - before)")
    done = subprocess.run([sys.executable, "-c", code, address(own), str(city / "in")], capture_output=True, text=True, check=True, cwd=root)
    assert int(done.stdout) < 35_000, "kilobytes more; the table has 50 MB"

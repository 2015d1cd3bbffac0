"""Texts made to be SQL, patterns, paths or nonsense, given to everything that takes a text: a value, a sentence, and never another person's row."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import gate, schema, workspace
from workbench.casebook import Casebook
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.lake import Lake
from workbench.loaders import Part, Source
from workbench.oversight import evidence, expunge, holds
from workbench.oversight.audit import Audit, Person

WHY = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes of the burglaries"}
#: Another person: no hostile text may bring their row out.
CANARY = "QZXWVKJ"
HOSTILE = [
    "'", "''", '"', "`", ";", "--", "/*", "\\", "\\'", "'; drop table incidents; --", "' or 1=1 --", "' or '1'='1", '" or ""="', "') or ('1'='1", "1 or 1=1",
    "x' union all select * from people --", "x') union select plate from vehicles --", "%' or 1=1 --", "%", "_", "*", ".*", "(?i).*", "[",
    "a{99999}", "(" * 500,
    "?", "$1", "$name", ":name", "{0}", "%s", "%(x)s", "{{7*7}}", "${7*7}", "null", "NULL", "true", "0", "-1", "1e309", "nan", "'||'", "\x00",
    "a\x00b", "\n", "\r\n",
    "\t", "\u202e", "\ufeff", "\ud800", "a\udfff", "\U0010ffff", "e\u0301" * 50, "\u0130", "\u1e9e", "a" * 20_000, "'" * 5000, "../../etc/passwd",
    "file:///etc/passwd",
    "read_text('/etc/passwd')", "(select plate from vehicles limit 1)", "getenv('HOME')", "incidents", "people", "recorded_at", "#file", "main.people",
]  # fmt: skip
PIECES = ["'", '"', "--", ";", "/*", "*/", " or ", "1=1", " union select ", "%", "_", "*", "\\", "$1", "?", "(", ")", "people", "plate", "\x00",
"\ud800", "A", "1"]
TEXT = st.one_of(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join), st.text(max_size=30), st.text(string.punctuation, max_size=20))
MODEST = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@dataclass
class Place:
    """A small city with one row of another person in every table that tests ask."""

    path: Path
    city: Any
    counts: dict[str, int]

    def counted(self) -> dict[str, int]:
        lake = Lake(self.path / "lake")
        return {t: lake.frame(t).height for t in lake.versions() if t in schema.TABLES}


def source(table: str, columns: dict[str, str]) -> Source:
    """A source whose columns are those of the table."""
    kinds = {n: c.type for n, c in schema.TABLES[table].columns.items()}
    taken = {n: f'"{n}"' if kinds[n] == "VARCHAR" else f'try_cast("{n}" as {kinds[n]})' for n in columns}
    return Source(f"hostile_{table}", table, (Part(table, taken),), tuple(columns), formats=("csv",))


ROWS: dict[str, dict[str, str]] = {
    "incidents": {"incident_id": CANARY, "started_at": "2026-05-01T10:00:00Z", "nibrs": "220", "offence": CANARY, "address": f"1 {CANARY} ST", "beat": "B1",
                  "narrative": CANARY},
    "calls": {"call_id": CANARY, "received_at": "2026-05-01T10:00:00Z", "call_type": CANARY, "beat": "B1", "address": CANARY},
    "reads": {"read_id": CANARY, "read_at": "2026-05-01T10:00:00Z", "plate": CANARY, "reader": "R1", "lon": "-90.9", "lat": "41.6"},
    "people": {"person_id": CANARY, "given_name": CANARY, "surname": CANARY},
    "vehicles": {"vehicle_id": CANARY, "plate": CANARY},
    "phones": {"phone_id": CANARY, "number": "5556688"},
    "involvements": {"involvement_id": CANARY, "incident_id": CANARY, "entity_kind": "person", "entity_id": CANARY, "role": "suspect"},
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("sql")
    city = workspace.create(folder / "city", name="Fairwater", zone="America/Chicago", bounds=(-91.0, 41.5, -90.8, 41.7)).path
    for table, row in ROWS.items():
        known = {n: v for n, v in row.items() if n in schema.TABLES[table].columns}
        needed = {n: CANARY for n, c in schema.TABLES[table].columns.items() if c.required and n not in known}
        columns = {**known, **needed}
        file = folder / f"{table}.csv"
        file.write_text(",".join(columns) + "\n" + ",".join(columns.values()) + "\n", encoding="utf-8")
        assert Lake(city / "lake").load(source(table, columns), file).added == 1, table
    Casebook(city / "casebook.db").open_case(WHY["case"], "Glass door series", user="test")
    made = Place(city, wb.open_workbench(city, **WHY), {})
    made.counts = made.counted()
    assert made.counts["people"] == 1 and made.city.reads(plate=CANARY).height == 1, "the canary is there for who asks for it"
    return made


def rows_of(got: Any) -> list[dict[str, Any]]:
    return got.to_dicts() if isinstance(got, pl.DataFrame) else [got] if isinstance(got, dict) else []


def held_to(call: Callable[[], Any], text: str, *, whole: bool = False) -> None:
    """A call gives no row of the canary, or says no in a sentence. ``whole``: it names a table or query, whose rows are its answer."""
    try:
        got = call()
    except WorkbenchError as error:
        said = str(error)
        assert said and len(said) < 70_000 and "root:" not in said and "Traceback" not in said
        assert not any(w in said for w in ("Parser Error", "Binder Error", "sqlite3", "sqlalche.me")) or whole, said
        return
    if not whole:
        assert CANARY not in repr(rows_of(got)), (text, got)


def questions(place: Place, text: str) -> list[Callable[[], Any]]:
    """Everything of a session that takes a text and looks for it."""
    city = place.city
    return [
        lambda: city.find(text), lambda: city.search(text), lambda: city.search("x", table=text),
        lambda: city.table(text) if text not in schema.TABLES else None,
        lambda: city.rows(text) if text not in schema.TABLES else None, lambda: city.rows("calls", text), lambda: city.incidents(text),
        lambda: city.incidents(offence=text), lambda: city.incidents(beat=text), lambda: city.incidents(area=text), lambda: city.calls(call_type=text),
        lambda: city.calls(beat=text), lambda: city.calls(area=text), lambda: city.reads(plate=text), lambda: city.reads(reader=text),
        lambda: city.reads(area=text), lambda: city.history("calls", text), lambda: city.history("people", text),
        lambda: city.history(text, CANARY) if text not in schema.TABLES else None, lambda: city.changes("people", text), lambda: city.known(text),
        lambda: city.grid(area=text) and None, lambda: city.quality(text) if text not in schema.TABLES else None,
        lambda: city.sql("select * from people where person_id = ?", [text]),
        lambda: city.sql("select * from reads where plate = ? or reader = ?", [text, text]),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_listed_text_given_to_a_session_is_a_value(place: Place, text: str) -> None:
    for call in questions(place, text):
        held_to(call, text)


@MODEST
@given(text=TEXT)
def test_any_text_given_to_a_session_is_a_value(place: Place, text: str) -> None:
    for call in questions(place, text):
        held_to(call, text)


@MODEST
@given(text=TEXT)
def test_a_text_as_a_query_is_one_select_or_is_refused(place: Place, text: str) -> None:
    for query in (text, f"select * from incidents where {text}", f"select {text} from calls", f"select '{text}' from incidents", f'select "{text}" from calls'):
        held_to(lambda query=query: place.city.sql(query), text, whole=True)
    assert place.counted() == place.counts


@pytest.mark.parametrize("query", [
    "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "from read_text('/etc/passwd')", "copy incidents to '/tmp/x.csv'",
    "attach '/tmp/x.db'",
    "install httpfs", "load httpfs", "set memory_limit = '1TB'", "pragma database_list", "select getenv('HOME')", "select 1; select 2", "delete from incidents",
    "create table x as select 1", "select * from glob('/**')", "select * from duckdb_settings()", "select * from duckdb_views",
    "from information_schema.tables",
    "select current_setting('allowed_paths')",
    "from pg_catalog.pg_class", "select * from (select (select max(sql) from duckdb_views()))", "from sqlite_master", "from system.main.duckdb_views",
    "select (from pragma_database_list limit 1)", "select * from parquet_metadata('/etc/passwd')",
    "with x as (select * from read_blob('/etc/passwd')) select * from x", "call pragma_version()", "explain select 1", "select * from sqlite_scan('x', 'y')",
    "select * from place", "select * from city", "export database '/tmp/x'", "update people set surname = 'x'", "values (1); drop view incidents",
])  # fmt: skip
def test_a_query_reaches_neither_files_nor_settings_nor_variables(place: Place, query: str) -> None:
    try:
        got = place.city.sql(query)
    except WorkbenchError as error:
        assert "root:" not in str(error)
    else:
        pytest.fail(f"{query} gave {got.height} rows")
    assert place.counted() == place.counts


def beneath(place: Place, text: str) -> list[Callable[[], Any]]:
    """What stands below a session and takes texts: the lake's look-ups, the gate's functions, orders and holds (none of which changes a fact)."""
    lake, agency = Lake(place.path / "lake"), place.city.agency
    versions = lake.versions()
    until = datetime.now(UTC) + timedelta(days=30)
    facts = "the plate was read at Main and Fifth two minutes after the robbery"
    order = {"court": "County Court", "number": "26-1", "date": "2026-05-01"}
    return [
        lambda: lake.lookup("reads", "plate", [text]), lambda: lake.lookup("reads", "reader", [text, text]), lambda: lake.lookup("people", text, ["x"]),
        lambda: lake.frame("people", where="surname = ?", params=[text]), lambda: lake.history("people", [text]), lambda: lake.history(text, ["x"]),
        lambda: lake.hourly("calls", text, until, until), lambda: lake.check({text: 0}),
        lambda: gate.find(lake, versions, None, text, tables=gate.SEARCHED_TABLES, most=40) if len(text.strip()) > 1 else None,
        lambda: gate.between(agency, "started_at", text, None), lambda: gate.polygon(agency, text),
        lambda: expunge.preview(place.path, expunge.Order(**order, persons=(text,))),
        lambda: expunge.run(place.path, expunge.Order(**order, persons=(text,)), user="test"),
        lambda: expunge.Order("x", text, text, ("y",)),
        lambda: holds.add(place.path, "26-1", sworn_by="A. Smith", facts=facts, citation="GS 20-183.32", select={"plates": [text], "persons": [text]},
                          user="test", until=until) and holds.held(place.path, lake, versions, datetime.now(UTC)),
        lambda: holds.add(place.path, text, sworn_by=text, facts=facts, citation=text, select={"area": text, "start": until, "end": until}, user=text,
                          until=until),
        lambda: evidence.attach(place.path, WHY["case"], "people", text, "shows who was seen there", "test"),
        lambda: evidence.attach(place.path, text, "people", "x", "shows who was seen there", "test"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE[::2], ids=range(0, len(HOSTILE), 2))
def test_a_listed_text_given_to_what_stands_below_a_session_is_a_value(place: Place, text: str) -> None:
    for call in beneath(place, text):
        held_to(call, text)
    kept = holds.held(place.path, Lake(place.path / "lake"), Lake(place.path / "lake").versions(), datetime.now(UTC))
    assert all(f.is_empty() for f in kept.values()), "a hold on a hostile text keeps nobody else's rows"


@settings(MODEST, max_examples=6)
@given(text=TEXT)
def test_any_text_given_to_what_stands_below_a_session_is_a_value(place: Place, text: str) -> None:
    for call in beneath(place, text):
        held_to(call, text)


def book(casebook: Casebook, text: str) -> Iterator[Callable[[], Any]]:
    yield lambda: casebook.open_case(text, text, user=text, purpose=text, reason=text)
    yield lambda: (casebook.case(text), casebook.subjects(text), casebook.leads(text))
    yield lambda: casebook.cases(text)
    yield lambda: casebook.add_subject(WHY["case"], f"person:{text}", text, user=text)
    yield lambda: casebook.add_subject(text, text, text, user=text)
    yield lambda: casebook.judge(casebook.add_lead(WHY["case"], text, text, text, user=text), "unsure", text, user=text)
    yield lambda: casebook.judge(1, text, text, user=text)
    yield lambda: casebook.judge(10**30, "unsure", "nothing is there", user="test")
    yield lambda: casebook.close_case(text, text, user=text) if text != WHY["case"] else None


def kept_whole(casebook: Casebook, text: str) -> None:
    before = casebook.cases().height
    for call in book(casebook, text):
        with contextlib.suppress(WorkbenchError):
            call()
    now = casebook.cases()
    assert now.height in (before, before + 1)
    assert now.filter(pl.col("case_number") == WHY["case"])["status"].to_list() == ["open"]


def test_listed_texts_given_to_a_casebook_are_values(tmp_path: Path) -> None:
    casebook = Casebook(tmp_path / "casebook.db")
    casebook.open_case(WHY["case"], "Glass door series", user="test")
    for text in HOSTILE:
        kept_whole(casebook, text)
    numbers = set(casebook.cases()["case_number"])
    assert {"'; drop table incidents; --", "%", "\x00", "a" * 20_000} <= numbers and not any("\ud800" in n for n in numbers)


def test_listed_texts_given_to_a_casebook_of_postgresql_are_values(postgres: Any) -> None:
    casebook = Casebook(postgres.url(postgres.database()).replace("postgresql://", "postgresql+psycopg://"))
    casebook.open_case(WHY["case"], "Glass door series", user="test")
    for text in HOSTILE[::3]:
        kept_whole(casebook, text)
    kept_whole(casebook, "\x00")
    kept_whole(casebook, "\ud800")


def test_texts_given_to_the_audit_are_values_and_the_chain_holds(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.db")
    for text in HOSTILE:
        try:
            audit.write(Person(text, text, text, text, text), text, text, detail={text: [text]})
        except WorkbenchError as error:
            assert str(error)
    audit.write(Person("anna"), "query", "people", plate=CANARY)
    for text in HOSTILE:
        if CANARY not in text:
            with contextlib.suppress(BadInput):
                audit.forget([text], person=Person("root"), why="court order")
    sound, said = audit.verify()
    assert sound, said


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_workspace_opened_with_hostile_words_is_opened_for_nobody_else(place: Place, text: str) -> None:
    for words in ({"case": text}, {"purpose": text}, {"reason": text}, {"role": text}):
        with contextlib.suppress(WorkbenchError):
            wb.open_workbench(place.path, **(WHY | words)).table("people")
    with contextlib.suppress(WorkbenchError):
        assert wb.open_workbench(place.path, **WHY, user=text).user == text


def test_after_all_of_it_the_lake_is_as_it_was_and_a_missing_id_is_told(place: Place) -> None:
    assert place.counted() == place.counts
    assert place.city.reads(plate=CANARY).height == 1
    with pytest.raises(NotFound):
        expunge.preview(place.path, expunge.Order("c", "1", "2026-05-01", ("' or 1=1 --",)))
    sound, said = Audit(place.path / "audit.db").verify()
    assert sound, said

"""Mappings written to do harm: whatever is put into one, it computes on the record's own columns or it is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import loaders, schema, workspace
from workbench.engines.duckdb import name
from workbench.errors import BadInput, WorkbenchError
from workbench.intake.propose import propose
from workbench.lake import Lake
from workbench.lake.filling import Filling
from workbench.loaders.kit import confined, mapped
from workbench.loaders.kit.phrases import FUNCTIONS

CANARY = "canary-7f3a91"
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)
HOSTILE_SQL = [
    "(select 1)",
    "(select content from read_text('/etc/passwd'))",
    "read_text('/etc/passwd')",
    "getenv('HOME')",
    "current_setting('memory_limit')",
    "a) from range(3) --",
    "a from a",
    "a; drop table a",
    "a, b",
    "version()",
    "current_database()",
    "random()",
    "uuid()",
    "now()",
    "current_date",
    "nextval('s')",
    "pg_typeof(a)",
    "glob('/')",
    "list_filter([a], lambda x: getenv('HOME') is null)",
    "list_transform([a], lambda x: (select 1))",
    "count(*)",
    "sum(a) over ()",
    "row_number() over (order by getenv('HOME'))",
    "row_number() over (partition by (select 1))",
    "other",
    "a.b",
    "tbl.a",
    "*",
    "columns('.*')",
    "cast(a as enum('x'))",
    "a::struct(x int)",
    "query('select 1')",
    "query_table('x')",
    "sniff_csv('/etc/passwd')",
    "parquet_scan('/x')",
    "system.main.trim(a)",
    "main.trim(a)",
    "concat(distinct a)",
    "string_agg(a order by b)",
    "exists (select 1)",
    "a in (select 1)",
    "?",
    "$1",
    "$name",
    "getvariable('x')",
    "set_config('a', 'b')",
    "enum_range(null)",
    "json_execute_serialized_sql('{}')",
    "a collate nocase",
    "default",
    "x -> getenv('HOME')",
    "case when (select true) then a end",
    "[x for x in [getenv('HOME')]]",
    "trim(a, (select 'x'))",
    "a[(select 1)]",
    "cast((select 1) as varchar)",
    "try(getenv('HOME'))",
    "repeat(a, 1000000000)",
    "range(1000000000)",
    "'x' || read_blob('/etc/passwd')",
    "icu_sort_key(a, 'de')",
    "write_log('x')",
    "a filter (where b)",
    "from_hex('00')",
    "current_user",
    "session_user",
]


@pytest.mark.parametrize("sql", HOSTILE_SQL)
def test_sql_that_looks_at_more_than_the_record_is_refused_with_its_part_named(sql: str) -> None:
    with pytest.raises(BadInput) as refused:
        confined.check(sql, ["a"])
    assert len(str(refused.value)) < 600


def test_every_built_in_source_of_one_record_and_every_sample_would_pass() -> None:
    """Built-in sources are code; those that look at one record alone keep to the same list, so the list is not too narrow."""
    passed = 0
    for source in map(loaders.find, loaders.names()):
        for part in source.parts:
            for column, sql in part.columns.items():
                columns = (*source.columns, *source.optional)
                if (
                    "{beside:" in sql or "list(" in sql and " over (" in sql or "list_aggregate(" in sql
                ):  # built-in sources only: no function of the language makes these
                    continue
                try:
                    confined.check(sql, columns)
                    passed += 1
                except BadInput as error:
                    raise AssertionError(f"{source.name}.{column}: {error}\n{sql[:400]}") from None
    assert passed > 900


def test_every_function_of_the_language_as_docs_write_it_passes() -> None:
    """The usage lines of the docstrings, each as a column of a mapping."""
    from workbench.loaders.kit.grammar import Reader
    from workbench.loaders.kit.pieces import Place, Value

    for function in FUNCTIONS.values():
        written = (function.__doc__ or "").split("`")[1].replace("{...}", '{"a": "b"}')
        reader = Reader({"codes": {"a": "b"}, "table": {"a": "b"}})
        found = reader.read(written)
        made = found.columns.values() if isinstance(found, Place) else [found.sql]
        for sql in made:
            confined.check(sql, (*reader.used.columns, *dict(getattr(sql, "steps", ()))))
        assert isinstance(found, (Place, Value)) or found.sql


# --- property: hostile pieces in every place of the language --------------------------------------------------------------------------------------

PIECES = [
    "'",
    "''",
    '"',
    '""',
    "\\",
    "\\'",
    "')",
    '") from',
    " --",
    "/*",
    "*/",
    ";",
    "$$",
    "{",
    "}",
    "{said:x}",
    "{zone}",
    "{salt}",
    "{beside:a:b:c}",
    "sa",
    "lt}",
    "read_text('CANARY_FILE')",
    "getenv('CANARY_ENV')",
    "(select content from read_text('CANARY_FILE'))",
    "' || getenv('CANARY_ENV') || '",
    "'); select getenv('CANARY_ENV'); --",
    "\" || getenv('CANARY_ENV') || \"",
    'trim("',
    "trim(a)",
    "case when",
    "null end)",
    "lambda w:",
    "\n",
    "\t",
    "Case No",
    "a",
    "\u202e",
    "é",
    "NA",
    "', 'x') from read_text('CANARY_FILE') --",
    "\\1",
    "(?i)",
    "[",
    "]",
    "(",
    ")",
    "%Y",
    "%",
    "1",
    "0",
]
TEXT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)


def _quoted(text: str) -> str:
    return repr(text)


ARGUMENT = st.one_of(
    TEXT.map(_quoted), TEXT.map(_quoted), st.integers(-2, 5).map(str), st.just("codes"), TEXT.map(lambda t: f"[{t!r}]"), TEXT.map(lambda t: f"{{{t!r}: {t!r}}}")
)
CALL = st.recursive(
    ARGUMENT,
    lambda inner: st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, min_size=1, max_size=3)).map(lambda c: f"{c[0]}({', '.join(c[1])})"),
    max_leaves=6,
)
EXPRESSION = st.one_of(CALL, TEXT, TEXT.map(lambda t: f"text({t})"))


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    file = tmp_path / "canary.txt"
    file.write_text(CANARY, encoding="utf-8")
    monkeypatch.setenv("WB_CANARY", CANARY)
    yield {"CANARY_FILE": str(file), "CANARY_ENV": "WB_CANARY"}


_RAN: list[str] = []


@given(data=st.data())
@QUIET
def test_an_expression_made_of_hostile_pieces_is_refused_or_computes_on_its_columns_alone(data: Any, canaries: dict[str, str], tmp_path: Path) -> None:
    from workbench.lake import mapping
    from workbench.lake.load import Load
    from workbench.lake.view import View

    written = data.draw(EXPRESSION)
    for mark, value in canaries.items():
        written = written.replace(mark, value)
    column = data.draw(st.sampled_from(sorted(schema.table("incidents").columns)))
    columns = {"incident_id": 'text("Case No")', "started_at": 'time("D", "%Y-%m-%d")', column: written}
    try:
        source = mapped.Written("odd", "incidents", columns, lookups={"codes": {"a": "b"}}, asks={"x": "x"}).source()
    except WorkbenchError:
        return
    _RAN.append(written)
    fill = Filling(source, tmp_path / "odd.csv", "UTC", {"x": "' || getenv('WB_CANARY') || '"}, tmp_path)
    raw = 'select 1::bigint as "' + mapping.NUMBER + '"' + "".join(f", 'a' as {name(c)}" for c in dict.fromkeys((*source.columns, *source.optional)))
    load = Load(tmp_path, View(tmp_path), source, tmp_path / "odd.csv", "UTC", "x", "256MB", lambda phase, share: None)
    with load._engine() as con:
        for sql in (mapping.sound_rows(source, source.parts[0], raw, fill, None), *mapping.refused_rows(source, raw, fill)):
            try:
                got = con.execute(sql).fetchall()
            except Exception as error:  # an expression may fail on a value; what it says must not be the canary either
                got = [(str(error).split("LINE 1")[0],)]
            assert CANARY not in repr(got)


def test_the_hostile_expressions_were_not_all_refused_before_they_could_try() -> None:
    """Goes with the test above: a property over nothing would hold too."""
    if _RAN:
        assert len(_RAN) > 20 and any("getenv" in w or "read_text" in w for w in _RAN)


def test_a_header_that_holds_a_mark_of_the_lake_is_refused_before_it_is_filled_in(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds a mark that the lake fills in itself"):
        mapped.Written("odd", "incidents", {"incident_id": 'text("{salt} Case")', "started_at": 'time("D", "%Y")'}).source()


def test_headers_of_an_export_that_are_sql_become_a_mapping_that_loads_them_as_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WB_CANARY", CANARY)
    folder = workspace.create(tmp_path / "city", name="X", zone="America/Chicago").path
    nasty = [
        'Case"No',
        "Date'); select getenv('WB_CANARY') --",
        'Offense" from t --',
        "Address\" || getenv('WB_CANARY') || \"",
        "Latitude",
        "Longitude",
        "=cmd|'/c calc'!A0",
    ]
    rows = ["\t".join(nasty)] + [
        "\t".join([f"C{i:04}", f"2026-03-{1 + i % 28:02} 1{i % 10}:05:00", "Burglary", f"{i}00 Main St", f"41.8{i % 10}", f"-87.6{i % 10}", "x"])
        for i in range(60)
    ]
    file = tmp_path / "odd.tsv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    proposal = propose(file, "incidents", zone="America/Chicago")
    for column, header in zip(("incident_id", "started_at", "offence", "address", "mo"), (*nasty[:4], nasty[6]), strict=True):
        form = f'time({json.dumps(header)}, "%Y-%m-%d %H:%M:%S")' if column == "started_at" else f"text({json.dumps(header)})"
        proposal = proposal.with_column(column, form)
    text = mapped.write(replace(proposal.written(), name="odd"))
    assert mapped.parsed(text, "odd")
    (folder / "plugins" / "loaders").mkdir(parents=True, exist_ok=True)
    (folder / "plugins" / "loaders" / "odd.toml").write_text(text, encoding="utf-8")
    workspace.load(folder, workspace.source(folder, "odd"), file)
    rows_held = Lake(folder / "lake").frame("incidents").to_dicts()
    assert len(rows_held) == 60 and CANARY not in repr(rows_held)
    assert {r["address"] for r in rows_held} == {f"{i}00 Main St" for i in range(60)}


@pytest.mark.parametrize(
    "value", ["' || getenv('WB_CANARY') || '", "{salt}", "{zone}", "{said:case_number}", "'); drop table batches; --", "\x00", "../../etc", "\u202eabc"]
)
def test_what_is_said_with_a_load_stays_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WB_CANARY", CANARY)
    folder = workspace.create(tmp_path / "city", name="X", zone="UTC").path
    (folder / "plugins" / "loaders" / "odd.toml").write_text(
        'table = "incidents"\n[columns]\n'
        'incident_id = \'text("id")\'\nstarted_at = \'time("at", "%Y-%m-%d")\'\naddress = \'text(said("x"))\'\n[asks]\nx = "anything"\n',
        encoding="utf-8",
    )
    file = tmp_path / "odd.csv"
    file.write_text("id,at\n1,2026-01-01\n", encoding="utf-8")
    try:
        workspace.load(folder, workspace.source(folder, "odd"), file, said={"x": value})
    except WorkbenchError:
        return
    held = Lake(folder / "lake").frame("incidents")["address"].to_list()
    assert held == [value.strip()] and os.environ["WB_CANARY"] not in repr(held)


def test_the_connection_that_loads_reaches_the_lake_and_the_export_and_nothing_else(tmp_path: Path) -> None:
    """A Python source of an agency's own may write any SQL; the engine that runs it is shut in all the same."""
    from workbench.lake.load import Load
    from workbench.lake.view import View

    (tmp_path / "lake").mkdir()
    (tmp_path / "secret.csv").write_text(f"a\n{CANARY}\n", encoding="utf-8")
    (tmp_path / "export.csv").write_text("a\n1\n", encoding="utf-8")
    mine = [CANARY]
    source = loaders.find("sample_incidents")
    with Load(tmp_path / "lake", View(tmp_path / "lake"), source, tmp_path / "export.csv", "UTC", "x", "256MB", lambda phase, share: None)._engine() as con:
        assert con.execute(f"select * from read_csv('{tmp_path}/export.csv')").fetchall()
        con.execute(f"copy (select 1) to '{tmp_path}/lake/x.parquet' (format parquet)")
        for sql in (
            f"select * from read_csv('{tmp_path}/secret.csv')",
            f"select * from '{tmp_path}/lake/../secret.csv'",
            "select content from read_text('/etc/passwd')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/other.db'",
            "install httpfs",
            "load httpfs",
            "select getenv('HOME')",
            "set enable_external_access = true",
            "select * from mine",
            f"select * from glob('{tmp_path}/*')",
            "select * from 'https://127.0.0.1/x.csv'",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(sql).fetchall()
    assert mine and not (tmp_path / "out.csv").exists() and not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("kind", ["loaders", "models", "apps"])
def test_no_python_plug_in_is_imported_where_the_agency_says_off(tmp_path: Path, kind: str) -> None:
    from workbench import apps, models

    folder = workspace.create(tmp_path / "city", name="X", zone="UTC").path
    (folder / "plugins" / kind).mkdir(parents=True, exist_ok=True)
    ran = tmp_path / "ran"
    (folder / "plugins" / kind / "odd.py").write_text(f"open({str(ran)!r}, 'w').close()\ndef app(workbench):\n    return None\n", encoding="utf-8")
    load: dict[str, Any] = {
        "loaders": lambda: loaders.find("odd", plugins=folder / "plugins" / "loaders"),
        "models": lambda: models.find("odd", plugins=folder / "plugins" / "models"),
        "apps": lambda: apps.find("odd", plugins=folder / "plugins").load(),
    }
    toml = folder / "agency.toml"
    written = toml.read_text(encoding="utf-8")
    for how in ('"off"', '"of"', "1"):
        toml.write_text(f"{written}\n[server]\nplugins = {how}\n", encoding="utf-8")
        with pytest.raises(BadInput, match="plugins ="):
            load[kind]()
        assert not ran.exists()
    toml.write_text(f'{written}\n[server]\nplugins = "on"\n', encoding="utf-8")
    if kind == "loaders":
        with pytest.raises(BadInput, match="SOURCE"):
            load[kind]()
    else:
        load[kind]()
    assert ran.exists()

"""The canonical tables keep their promises, and docs/data-model.md tells them as they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from workbench import schema
from workbench.errors import BadInput, NotFound
from workbench.schema import BATCHES, PROVENANCE, PURGES, REJECTS, RESOLUTIONS, TABLES, Table

EVERY = [*TABLES.values(), BATCHES, REJECTS, RESOLUTIONS, PURGES]


@pytest.mark.parametrize("table", EVERY, ids=lambda t: t.name)
def test_a_table_is_named_and_keyed_as_the_house_says(table: Table) -> None:
    assert set(table.key) <= set(table.columns), "the key is made of columns"
    assert all(table.columns[k].required for k in table.key)
    assert not table.time or table.columns[table.time].required, "a range over time can lose no row"
    for name, column in table.columns.items():
        assert name.islower() and column.help, name
        if column.type == "TIMESTAMPTZ":
            assert name.endswith(("_at", "_from", "_to")), f"{table.name}.{name}: times end in _at"
        if column.type == "DATE":
            assert name.endswith(("_on", "_from", "_to")) or name in ("since", "until"), f"{table.name}.{name}"
        assert name not in PROVENANCE or table in (BATCHES, REJECTS, RESOLUTIONS, PURGES)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_an_empty_frame_has_the_types_that_duckdb_gives(table: Table) -> None:
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.execute("create table t (" + ", ".join('"' + n + '" ' + c.type for n, c in table.all_columns().items()) + ")")
        made = db.sql("select * from t").pl()
    assert made.schema == table.empty().schema


def test_every_table_about_plates_or_people_needs_a_case() -> None:
    personal = {t.name for t in TABLES.values() if t.personal}
    assert personal >= {"reads", "hotlist", "people", "vehicles", "phones", "addresses", "involvements", "associations"}
    assert not personal & {"incidents", "calls"}
    for table in TABLES.values():
        if {"plate", "person_id", "surname", "number", "entity_id"} & set(table.columns):
            assert table.personal, table.name


def test_an_unknown_table_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="There is no table 'incident'. Did you mean 'incidents'?"):
        schema.table("incident")
    assert schema.table("reads") is TABLES["reads"]


def test_a_frame_that_lacks_a_column_is_refused_with_the_nearest_it_has() -> None:
    with pytest.raises(BadInput, match="The incidents has no column 'started_at'. Did you mean 'started'?"):
        schema.require(pl.DataFrame({"started": [1]}), "started_at", what="The incidents")
    with pytest.raises(BadInput, match="is a dict; a polars.DataFrame is needed"):
        schema.require({"started_at": []}, "started_at")


def test_a_time_without_zone_is_refused_and_any_zone_becomes_utc() -> None:
    local = pl.DataFrame({"t": [datetime(2026, 7, 1, 12)]})
    with pytest.raises(BadInput, match="'t' has no time zone"):
        schema.utc(local, ["t"])
    with pytest.raises(BadInput, match="'t' is String, not a time"):
        schema.utc(pl.DataFrame({"t": ["2026"]}), ["t"])
    made = schema.utc(local.with_columns(pl.col("t").dt.replace_time_zone("America/Chicago")), ["t"])
    assert made.schema["t"] == pl.Datetime("us", "UTC") and made["t"][0].hour == 17


def test_the_data_model_page_tells_every_table_column_and_type(root: Path) -> None:
    page = (root / "docs" / "data-model.md").read_text(encoding="utf-8")
    for table in EVERY:
        start = page.find(f"\n## {table.name}\n")
        assert start >= 0, f"docs/data-model.md has no part '## {table.name}'"
        part = page[start + 1 : page.find("\n## ", start + 1) if "\n## " in page[start + 1 :] else None]
        assert table.help in part and ", ".join(f"`{k}`" for k in table.key) in part
        assert ("It needs a case" in part) == table.personal, table.name
        told = [line for line in part.splitlines() if line.startswith("| `")]
        wanted = [f"| `{n}` | {c.type} | {'yes' if c.required else ''} | {c.help} |" for n, c in table.columns.items()]
        assert told == wanted, f"docs/data-model.md, {table.name}: differs from workbench/schema"
    for name, column in PROVENANCE.items():
        assert f"| `{name}` | {column.type} | yes | {column.help} |" in page


def test_the_readme_names_every_table_on_a_line_of_its_own(root: Path) -> None:
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    for table in TABLES.values():
        assert any(f"`{table.name}`" in line and table.help in line for line in lines), table.name

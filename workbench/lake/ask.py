"""A question in SQL, answered from the pinned tables and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from workbench.lake import Lake


def ask(lake: Lake, sql: str, params: Sequence[Any] | Mapping[str, Any], versions: Mapping[str, int], allowed: Sequence[str],
        derived: Mapping[str, str]) -> pl.DataFrame:
    """Run one SELECT over views of the allowed tables; see ``Lake.query``."""
    con = lake.connect()
    try:
        shown = [t for t in lake.tables_in(sql) if t in allowed]
        files = [f for t in shown for f in lake.files(t, versions)]
        for table in shown:
            further = f", {derived[table]}" if table in derived else ""
            con.execute(f"create view {name(table)} as select *{further} from {lake.relation_sql(table, versions)}")
        paths = ", ".join(literal(f) for f in files)
        con.execute(f"set allowed_paths = [{paths}]; set python_enable_replacements = false; set enable_external_access = false; set lock_configuration = true")
        return _answer(con, sql, params)
    finally:
        con.close()


def _answer(con: duckdb.DuckDBPyConnection, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> pl.DataFrame:
    try:
        given = dict(params) if isinstance(params, Mapping) else list(params)
        relation = con.sql(sql, params=given) if given else con.sql(sql)
        if relation is None:
            raise BadInput("The SQL gives no rows; one SELECT is needed.")
        return relation.pl()
    except duckdb.CatalogException as error:
        raise NotFound(_first(error)) from error
    except duckdb.Error as error:
        raise BadInput(_first(error)) from error


def _first(error: duckdb.Error) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])

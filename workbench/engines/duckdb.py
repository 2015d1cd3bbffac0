"""DuckDB connections with bounded memory: times are UTC, nothing is fetched from a network, spilled data go where they are told."""

from __future__ import annotations

from pathlib import Path

import duckdb

#: Memory one connection may use before it spills to disk.
MEMORY = "2GB"


def connect(*, memory: str = MEMORY, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to an in-memory DuckDB.

    Args:
        memory: what it may hold in memory, e.g. "2GB"; larger work spills to ``spill``.
        spill: a folder for spilled data; None = no spilling, a query that needs more memory than that fails.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'; set autoinstall_known_extensions = false; set autoload_known_extensions = false")
    con.execute(f"set memory_limit = {literal(memory)}; set enable_progress_bar = false")
    con.execute(f"set temp_directory = {literal(str(spill) if spill else '')}")
    return con


def literal(value: str) -> str:
    """A Python text as a SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def name(column: str) -> str:
    """A column or table name quoted for SQL."""
    return '"' + column.replace('"', '""') + '"'

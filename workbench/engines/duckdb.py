"""DuckDB connections with bounded memory: times are UTC, nothing is fetched from a network, spilled data go where they are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

#: Memory one connection may use before it spills to disk.
MEMORY = "2GB"


def connect(*, memory: str = MEMORY, spill: Path | None = None, within: Sequence[Path] | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to an in-memory DuckDB.

    Args:
        memory: what it may hold in memory, e.g. "2GB"; larger work spills to ``spill``.
        spill: a folder for spilled data; None = no spilling, a query that needs more memory than that fails.
        within: folders and files that may be read and written, nothing else of the machine, nor Python's variables; None = whatever the process may.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'; set autoinstall_known_extensions = false; set autoload_known_extensions = false")
    con.execute(f"set memory_limit = {literal(memory)}; set enable_progress_bar = false")
    con.execute(f"set temp_directory = {literal(str(spill) if spill else '')}")
    if within is not None:
        _shut(con, within)
    return con


def _shut(con: duckdb.DuckDBPyConnection, within: Sequence[Path]) -> None:
    """Leave a connection these folders and files, as they are named, as they are called in full, and as they are where a link leads to them."""
    named = dict.fromkeys(str(form) for path in within for form in (path, path.absolute(), path.resolve()))
    folders, files = ([literal(n) for n in named if Path(n).is_file() is kind] for kind in (False, True))
    con.execute(f"set allowed_directories = [{', '.join(folders)}]; set allowed_paths = [{', '.join(files)}]")
    con.execute("set python_enable_replacements = false; set enable_external_access = false")


def literal(value: str) -> str:
    """A Python text as a SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def name(column: str) -> str:
    """A column or table name quoted for SQL."""
    return '"' + column.replace('"', '""') + '"'

"""A table or view of a records system's database, read into a file that is then loaded like any other.

PostgreSQL, or any other database that SQLAlchemy has a driver for. One snapshot is read (repeatable read, read only), in chunks by a cursor on the
server, so that neither side holds it all. With a high-water column only rows at or above the mark of the last time, less an overlap, are asked for; a
transaction that was slow to commit is so still read, and what the lake holds already is counted as such. The password is never in the
address: it comes from the environment or, of PostgreSQL, from ~/.pgpass.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from workbench.errors import BadInput, NotFound, WorkbenchError, did_you_mean
from workbench.intake import highwater
from workbench.intake.fetch import Fetched

#: Rows fetched from the server at a time.
CHUNK = 10_000
#: The environment variable that may hold the password.
PASSWORD = "WORKBENCH_DB_PASSWORD"  # noqa: S105 - the name of a variable


def address(url: str) -> sql.URL:
    """A database's address, with the password of the environment.

    Raises:
        BadInput: it cannot be read, or carries a password.
    """
    try:
        made = sql.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except (ArgumentError, ValueError) as error:
        raise BadInput("That is no address of a database; write e.g. postgresql://reader@records.example:5432/rms") from error
    if made.password or any("passw" in name.lower() for name in made.query):
        raise BadInput(f"The address of {made.host or made.database} carries a password, which others could read in the list of processes; leave it out "
                       f"and set {PASSWORD} in the environment, or use ~/.pgpass.")
    if made.get_backend_name() == "sqlite" and not Path(made.database or "").is_file():
        raise BadInput(f"There is no file {made.database}.")
    if made.get_backend_name() == "postgresql" and "connect_timeout" not in made.query:
        made = made.update_query_dict({"connect_timeout": "15"})
    password = os.environ.get(PASSWORD)
    return made.set(password=password) if password else made


def shown(url: str) -> str:
    """The address as it may be written down: without user, password and options."""
    made = sql.make_url(url)
    port = f":{made.port}" if made.port else ""
    return f"{made.get_backend_name()}://{made.host or ''}{port}/{made.database or ''}"


def read(url: str, table: str, folder: Path, *, source: str = "", since: str = "", overlap: timedelta | int | None = None,
         progress: Callable[[int, int], None] | None = None) -> Fetched:
    """Read a table into an NDJSON file.

    Args:
        url: SQLAlchemy's address, e.g. "postgresql://reader@records.example/rms".
        table: its name, with its schema where that is not the usual one: "cad.calls".
        folder: the workspace's ``in`` folder.
        source: that the file is for, which tells marks of one table apart.
        since: high-water column; "" = read all. Rows without a value in it are read each time.
        overlap: how far before the mark to begin; see ``highwater.before``.
        progress: called with chunks and rows so far.

    Returns:
        The file, its rows, and the highest value of the column. The caller moves the mark (``feed``) when the rows are loaded.

    Raises:
        NotFound: there is no such table or column. BadInput: the address cannot be used.
        WorkbenchError: the database cannot be reached, or refuses.
    """
    target, told = address(url), shown(url)
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "-", source or table)
    part = folder / f".{stem}-{os.getpid()}.part"
    fetched = Fetched(folder / f"{stem}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.ndjson")
    try:
        engine = sql.create_engine(target, poolclass=sql.NullPool)
        with _snapshot(engine) as con, open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            query = _query(con, table, told, since, highwater.mark(folder, feed(url, table, source, since)) if since else None, overlap)
            result = con.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(query)
            names = list(result.keys())
            place = names.index(since) if since else -1
            encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
            for rows in result.partitions(CHUNK):
                for row in rows:
                    out.write(encode(dict(zip(names, map(plain, row), strict=True))) + "\n")
                fetched.rows, fetched.pages = fetched.rows + len(rows), fetched.pages + 1
                if since:
                    fetched.mark = _highest(fetched.mark, (plain(row[place]) for row in rows))
                if progress:
                    progress(fetched.pages, fetched.rows)
        os.replace(part, fetched.file)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise BadInput(f"There is no driver for {target.drivername} here ({error}); install one, or export the table to a file.") from error
    except SQLAlchemyError as error:
        raise WorkbenchError(f"{told} could not be read: {_said(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return fetched


def feed(url: str, table: str, source: str, since: str) -> str:
    """The name of a table's mark."""
    return f"{source}|{shown(url)}|{table}|{since}"


def _snapshot(engine: sql.Engine) -> sql.Connection:
    con = engine.connect()
    kind = engine.dialect.name
    if kind == "postgresql":
        return con.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    if kind in ("mysql", "mariadb"):
        return con.execution_options(isolation_level="REPEATABLE READ")
    return con


def _query(con: sql.Connection, table: str, told: str, since: str, mark: Any, overlap: timedelta | int | None) -> Any:
    """SELECT of all columns, above the mark where there is one."""
    inspected = sql.inspect(con)
    schema, _, name = table.rpartition(".")
    try:
        columns = {c["name"]: c["type"] for c in inspected.get_columns(name, schema=schema or None)}
    except sql.exc.NoSuchTableError as error:
        known = not schema or schema in inspected.get_schema_names()
        held = [*inspected.get_table_names(schema or None), *inspected.get_view_names(schema or None)] if known else []
        raise NotFound(f"{told} has no table {table!r}.{did_you_mean(name, held)}") from error
    if since and since not in columns:
        raise NotFound(f"Table {table!r} has no column {since!r}.{did_you_mean(since, columns)}")
    query = sql.select(sql.text("*")).select_from(sql.table(name, schema=schema or None))
    if mark is None:
        return query
    column = sql.column(since, columns[since])
    return query.where(sql.or_(column >= _typed(highwater.before(mark, overlap), columns[since]), column.is_(None)))


def _typed(value: Any, kind: Any) -> Any:
    """A mark as its column's type wants it."""
    try:
        wanted = kind.python_type
    except RuntimeError:  # a type that has no counterpart in Python
        return value
    if wanted in (datetime, date) and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment if wanted is datetime else moment.date()
    return wanted(value) if wanted in (int, Decimal, float) else value


def _highest(mark: Any, values: Any) -> Any:
    for value in values:
        if value is not None and not highwater.ahead(value) and (mark is None or highwater.later(value, mark)):
            mark = value
    return mark


def plain(value: Any) -> Any:
    """A value of a database as JSON has it: times as ISO text (UTC where they have a zone), exact numbers and bytes as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat(sep=" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    return str(value)


def _said(error: SQLAlchemyError) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]

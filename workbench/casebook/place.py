"""Where the casebook of a workspace is: its own SQLite file, or the PostgreSQL database that ``[casebook] url`` of agency.toml names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from workbench import agency as agencies
from workbench import casebook
from workbench.casebook import Casebook
from workbench.errors import BadInput, did_you_mean

FILE = "casebook.db"
#: The environment variable that may hold the database's password.
PASSWORD = "WORKBENCH_CASEBOOK_PASSWORD"  # noqa: S105 - the name of a variable
_EXAMPLE = 'url = "postgresql://workbench@records.example/casebook"'


def of(folder: str | Path) -> Casebook:
    """The casebook of a workspace; its tables are made on first use.

    Raises:
        BadInput: ``[casebook]`` of agency.toml cannot be used, or a casebook with rows is left in the folder beside the database it names.
    """
    url = address(Path(folder))
    if url is None:
        return Casebook(Path(folder) / FILE)
    if (Path(folder) / FILE).exists() and _filled(Path(folder) / FILE):
        raise BadInput(f"{agencies.FILE} [casebook] names a database, but the workspace still holds a {FILE} with rows, which a purge of that database would "
                       f"not reach. Put {FILE} away, or take the url out.")
    return Casebook(url.render_as_string(hide_password=False))


def there(folder: str | Path) -> bool:
    """Whether a workspace has a casebook already; makes none."""
    return (Path(folder) / FILE).exists() or address(Path(folder)) is not None


def address(folder: Path) -> sa.URL | None:
    """The database that agency.toml names, with the password of the environment; None where the casebook is a file.

    Raises:
        BadInput: an unknown key, no address of a PostgreSQL database, or one that carries a password.
    """
    if not (folder / agencies.FILE).is_file():
        return None
    said = agencies.read(folder).settings.get("casebook", {})
    for key in said:
        if key != "url":
            raise BadInput(f"{agencies.FILE} [casebook] has an unknown key {key!r}.{did_you_mean(key, ('url',))}")
    if "url" not in said:
        return None
    try:
        made = sa.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", str(said["url"])))
    except (sa.exc.ArgumentError, ValueError):
        made = None
    if made is None or made.get_backend_name() != "postgresql" or not made.database:
        raise BadInput(f"{agencies.FILE} [casebook] url is no address of a PostgreSQL database; write e.g. {_EXAMPLE}")
    if made.password or any("passw" in name.lower() for name in made.query):
        raise BadInput(f"{agencies.FILE} [casebook] url carries a password; leave it out and set {PASSWORD} in the environment, or use ~/.pgpass.")
    word = os.environ.get(PASSWORD)
    return made.update_query_dict({"connect_timeout": "15"}).set(password=word) if word else made.update_query_dict({"connect_timeout": "15"})


def rows(folder: Path) -> Iterator[tuple[str, str]]:
    """Every row of a casebook that is kept in a database, as text, with its table; none where it is a file, whose own bytes can be searched."""
    if address(folder) is None:
        return
    with of(folder).engine.connect() as db:
        for table in _tables(db):
            for row in db.execute(sa.select(sa.text("*")).select_from(sa.table(table))):
                yield table, "\n".join(str(v) for v in row if v is not None)


def vacuumed(folder: Path) -> list[str]:
    """Have the database write its tables of the casebook again, so that nothing of deleted rows stays in their files; gives a sentence where it could not."""
    with of(folder).engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        try:
            db.execute(sa.text("set lock_timeout = '10s'"))
            for table in _tables(db):
                db.execute(sa.text(f'vacuum (full) "{table}"'))
        except sa.exc.DBAPIError as error:
            return [f"casebook: the database did not write its tables again ({str(error.orig).splitlines()[0]}), so deleted rows can stay in its files until "
                    "somebody runs VACUUM FULL there"]
    return []


def _tables(db: sa.Connection) -> list[str]:
    """The tables of the casebook that are there."""
    return sorted(set(casebook._meta.tables) & set(sa.inspect(db).get_table_names()))


def _filled(file: Path) -> bool:
    """Whether any table of an SQLite casebook has a row."""
    engine = Casebook(file).engine
    with engine.connect() as db:
        return any(db.execute(sa.select(sa.literal(1)).select_from(sa.table(t)).limit(1)).first() for t in sa.inspect(db).get_table_names())

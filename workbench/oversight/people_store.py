"""The file that accounts, tokens and signed-in sessions lie in: SQLite, readable by its owner only, safe from several processes at once."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

_CREATE = """
create table if not exists accounts(user text primary key, role text not null, hash text, via text not null, subject text unique,
  created_at real not null, changed_at real not null, signed_in_at real, closed int not null default 0, must_change int not null default 0);
create table if not exists tries(name text primary key, failures int not null, until real not null, at real not null);
create table if not exists buckets(name text primary key, held real not null, at real not null, told_at real not null default 0);
create table if not exists tokens(token_id integer primary key, user text not null, name text not null, hash text not null unique,
  created_at real not null, expires_at real not null, used_at real, revoked_at real);
create table if not exists sessions(hash text primary key, user text not null, began_at real not null, acted_at real not null, locked int not null default 0);
create table if not exists pending(state text primary key, browser text not null, nonce text not null, verifier text not null,
  next text not null, at real not null);
create table if not exists secrets(name text primary key, value text not null);
"""


def digest(secret: str) -> str:
    """SHA-256 of a random secret, in hex: what is kept in its place."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Store:
    """One ``accounts.db``. One connection for each thread and process, kept open.

    Args:
        file: the SQLite file; made with mode 0600 on the first change.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._held = threading.local()

    def _open(self) -> sqlite3.Connection:
        held: tuple[int, sqlite3.Connection] | None = getattr(self._held, "db", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        db.execute("pragma busy_timeout=30000")
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("pragma secure_delete=on")
        db.executescript(_CREATE)
        db.execute("insert or ignore into secrets values ('names', ?)", (secrets.token_hex(32),))
        self._held.db = (os.getpid(), db)
        return db

    def exists(self) -> bool:
        """Whether there is such a file; nothing is made."""
        return self.file.is_file() and self.file.stat().st_size > 0

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one SELECT; none where there is no file yet.

        Raises:
            WorkbenchError: the file cannot be read; nobody gets in then.
        """
        if not self.exists():
            return []
        with self._clear():
            return self._open().execute(query, values).fetchall()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction that nobody else's can come between; whole or not at all.

        Raises:
            WorkbenchError: the file cannot be written; nobody gets in then.
        """
        with self._clear():
            db = self._open()
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")

    @contextlib.contextmanager
    def _clear(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as e:
            raise WorkbenchError(f"The accounts {self.file.name} cannot be used ({type(e).__name__}: {e}), so nobody can sign in.") from e

    def secret(self, name: str) -> str:
        """A random secret of this workspace, 256 bits in hex, made on the first use."""
        if found := self.read("select value from secrets where name = ?", name):
            return str(found[0][0])
        return self.remember(name, secrets.token_hex(32), again=False)

    def remember(self, name: str, value: str, *, again: bool = True) -> str:
        """Keep a value under a name, over what was there if ``again``; returns what is kept now."""
        with self.change() as db:
            db.execute(f"insert or {'replace' if again else 'ignore'} into secrets values (?, ?)", (name, value))
            return str(db.execute("select value from secrets where name = ?", (name,)).fetchone()[0])

    def covered(self, text: str) -> str:
        """A keyed hash that stands for a text that must not be kept, such as a name that is no account's (it may be a password typed in the wrong field)."""
        return hmac.new(bytes.fromhex(self.secret("names")), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:24]

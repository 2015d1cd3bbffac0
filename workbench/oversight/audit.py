"""The audit: every access written down as intent before it happens and as outcome after, each entry chained to the one before.

A store of its own (SQLite, write-ahead log), so that no other writer's lock can stall it and it can be given to an outsider alone.
Entry n holds SHA-256 over entry n-1's hash and its own text in canonical JSON, so that an edited, removed or reordered entry breaks
the chain at a place ``verify`` names. What it cannot see: someone who reads the workspace's files without the workbench.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import WorkbenchError

_START = "0" * 64
_FIELDS = ("seq", "at", "deed", "phase", "user", "host", "action", "object", "case_number", "purpose", "reason", "detail")
_CREATE = """
create table if not exists entries(
  seq integer primary key, at text not null, deed text not null, phase text not null, user text not null, host text not null,
  action text not null, object text not null, case_number text, purpose text, reason text, detail text not null, previous text not null, hash text not null)
"""


@dataclass(frozen=True)
class Person:
    """Who is asking and for what, as bound when a workbench is opened; ``emergency`` is a break-glass access, reviewed afterwards."""

    user: str
    case_number: str | None = None
    purpose: str | None = None
    reason: str | None = None
    role: str = ""
    emergency: bool = False


def current_user() -> str:
    """The operating system's name of who runs this process."""
    with contextlib.suppress(Exception):
        return getpass.getuser()
    return f"uid {os.getuid()}"


class Audit:
    """The audit store of one workspace.

    Args:
        file: the SQLite file; made on the first entry.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
            try:
                db.execute("pragma busy_timeout=30000")
                db.execute("pragma journal_mode=wal")
                db.execute("pragma synchronous=full")
                db.execute(_CREATE)
                yield db
            finally:
                db.close()
        except sqlite3.Error as e:
            raise WorkbenchError(f"The audit {self.file} cannot be written ({e}), so nothing is shown; without an entry there is no access.") from e

    def write(self, person: Person, action: str, object: str, *, phase: str = "note", deed: str | None = None, **detail: Any) -> str:
        """Append one entry and return its deed id. One transaction; safe from several processes at once. O(1).

        Raises:
            WorkbenchError: the store cannot be written; the caller must then not go on.
        """
        deed = deed or hashlib.sha256(f"{time.time_ns()}{os.getpid()}{os.urandom(8).hex()}".encode()).hexdigest()[:16]
        with self._open() as db:
            db.execute("begin immediate")
            last = db.execute("select seq, hash from entries order by seq desc limit 1").fetchone() or (0, _START)
            values = (last[0] + 1, datetime.now(UTC).isoformat(timespec="microseconds"), deed, phase, person.user, socket.gethostname(), action, object,
                      person.case_number, person.purpose, person.reason, json.dumps(detail, sort_keys=True, default=str, ensure_ascii=False))
            db.execute(f"insert into entries values ({','.join('?' * 14)})", (*values, last[1], _hash(last[1], values)))
            db.execute("commit")
        return deed

    @contextlib.contextmanager
    def deed(self, person: Person, action: str, object: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """Write the intent, let the body act, write the outcome (done, refused or failed) with what the body put into the dict."""
        key = self.write(person, action, object, phase="intent", **detail)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except BaseException as e:
            refused = isinstance(e, PermissionError)
            self.write(person, action, object, phase="refused" if refused else "failed", deed=key, error=type(e).__name__, **outcome)
            raise
        self.write(person, action, object, phase="done", deed=key, **outcome)

    def entries(self, last: int | None = None) -> pl.DataFrame:
        """The entries in order, or the last few; one row each, hashes included."""
        with self._open() as db:
            rows = db.execute("select * from entries order by seq desc limit ?", (-1 if last is None else last,)).fetchall()[::-1]
        return pl.DataFrame(rows, schema={"seq": pl.Int64} | dict.fromkeys((*_FIELDS[1:], "previous", "hash"), pl.String), orient="row")

    def verify(self) -> tuple[bool, str]:
        """Recompute the chain. Returns (True, sentence) or (False, sentence naming the first entry that does not fit). O(entries)."""
        before, expected, n = _START, 1, 0
        with self._open() as db:
            for row in db.execute(f"select {','.join(_FIELDS)}, previous, hash from entries order by seq"):
                values, previous, own = row[:-2], row[-2], row[-1]
                if values[0] != expected:
                    return False, f"Entry {expected} is missing: the next one there is entry {values[0]} of {values[1]}."
                if previous != before:
                    return False, f"Entry {values[0]} of {values[1]} does not follow the one before it; an entry was removed, added or reordered here."
                if own != _hash(previous, values):
                    return False, f"Entry {values[0]} of {values[1]} was changed after it was written."
                before, expected, n = own, expected + 1, n + 1
        return True, f"All {n:,} entries fit; the last hash is {before[:16]}."


def _hash(previous: str, values: tuple[Any, ...]) -> str:
    return hashlib.sha256((previous + json.dumps(values, ensure_ascii=False)).encode()).hexdigest()

"""The file the audit lies in: its tables, one connection kept open per process and thread, and the carrying over of older stores."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import hashlib
import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.oversight import chain

VERSION = 2
#: Seconds that a writer waits for the others.
PATIENCE = 60.0
_KEPT_OPEN = 12
_TEXTS = ", ".join(f"{f} text" + ("" if f in chain.NULLABLE else " not null") for f in chain.FIELDS)
ENTRIES = (f"create table entries(seq integer primary key, {_TEXTS}, key blob not null, sealed blob not null, fields blob not null, "
           "previous blob not null, hash blob not null, opened text) strict")
TABLES = {
    "entries": ENTRIES,
    "head": "create table head(one integer primary key check (one = 1), seq integer not null, hash blob not null, at text not null) strict",
    "roots": "create table roots(root integer primary key, last_seq integer not null, entry integer not null, body text not null) strict",
    "forgotten": ("create table forgotten(entry integer not null, deed text not null, seq integer not null, residue blob not null, "
                  "primary key (entry, seq)) strict"),
}
INSERT = f"insert into entries values ({','.join('?' * (len(chain.FIELDS) + 7))})"
_OLD = ("seq", "at", "deed", "phase", "user", "host", "action", "object", "case_number", "purpose", "reason", "detail")


@dataclass
class _Kept:
    db: sqlite3.Connection
    file: tuple[int, int]
    used: float
    busy: bool = False


_kept: dict[tuple[int, str], _Kept] = {}
_lock = threading.Lock()


def _abandon() -> None:
    """After a fork the child opens its own connections; those of the parent are never touched, not even closed."""
    global _lock
    _lock = threading.Lock()
    for one in _kept.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one.db))
    _kept.clear()


def close_all() -> None:
    """Close what this process keeps open; it opens again at the next entry."""
    with _lock:
        idle = [k for k, one in _kept.items() if not one.busy]
        closing = [_kept.pop(k) for k in idle]
    for one in closing:
        with contextlib.suppress(sqlite3.Error):
            one.db.close()


os.register_at_fork(after_in_child=_abandon)
atexit.register(close_all)


@contextlib.contextmanager
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    """This thread's connection to an audit file, made and brought to the present form where needed. A file put in its place is noticed.

    Raises:
        sqlite3.Error: it cannot be opened or is no audit.
    """
    name = (threading.get_ident(), str(file))
    with _lock:
        one = _kept.get(name)
        if one is not None and (one.busy or one.file != _identity(file)):
            if not one.busy:
                _kept.pop(name).db.close()
            one = None
        if one is not None:
            one.busy = True
    if one is None:
        db = _open(file)
        one = _Kept(db, _identity(file) or (0, 0), 0.0, True)
        with _lock:
            if name not in _kept:
                _kept[name] = one
            spare = sorted((o.used, k) for k, o in _kept.items() if not o.busy)[:max(0, len(_kept) - _KEPT_OPEN)]
            closing = [_kept.pop(k) for _, k in spare]
        for other in closing:
            other.db.close()
    try:
        yield one.db
    except BaseException:
        if one.db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                one.db.execute("rollback")
        raise
    finally:
        one.used, one.busy = time.monotonic(), False
        if _kept.get(name) is not one:
            one.db.close()


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        at = os.stat(file)
    except OSError:
        return None
    return at.st_dev, at.st_ino


def begin(db: sqlite3.Connection) -> None:
    """Begin a transaction that writes; waits for other writers up to ``PATIENCE`` seconds, asking again every millisecond or so.

    Raises:
        sqlite3.OperationalError: it did not get its turn.
    """
    patient(db, "begin immediate")


def patient(db: sqlite3.Connection, statement: str) -> Any:
    """Run a statement that may find the store locked, again and again until it gets its turn; gives its first row."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return db.execute(statement).fetchone()
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.0002, 0.0015))


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        patient(db, "pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("pragma secure_delete=on")
        if patient(db, "pragma user_version")[0] != VERSION:
            begin(db)
            _bring_up(db)
            db.execute("commit")
        db.execute("pragma busy_timeout=2")
    except BaseException:
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection) -> None:
    version = db.execute("pragma user_version").fetchone()[0]
    if version == VERSION:
        return
    if version > VERSION:
        raise sqlite3.DatabaseError(f"it was written by a newer workbench (form {version}, this one knows {VERSION})")
    old = db.execute("select 1 from sqlite_master where type = 'table' and name = 'entries'").fetchone()
    if old:
        db.execute("alter table entries rename to entries_1")
    for statement in TABLES.values():
        db.execute(statement)
    if old:
        _carry_over(db)
        db.execute("drop table entries_1")
    db.execute(f"pragma user_version={VERSION}")


def append(db: sqlite3.Connection, values: tuple[str | None, ...]) -> tuple[int, str]:
    """Add one entry inside a transaction; gives its number and the time of the entry before it ("" for the first).

    The number goes on from what the store says it holds (``head``), so that what was cut off stays missing for ever.
    """
    found = db.execute("select seq, hash, at, (select max(seq) from entries) from head").fetchone()
    if found is None:
        last = db.execute("select seq, hash, at from entries order by seq desc limit 1").fetchone() or (0, chain.START, "")
        found = (*last, last[0])
    held, previous, before, highest = found
    seq = max(held, highest or 0) + 1
    _put(db, seq, values, previous)
    return seq, before


def _put(db: sqlite3.Connection, seq: int, values: tuple[str | None, ...], previous: bytes) -> bytes:
    key = os.urandom(32)
    seal, fields = chain.commit(key, values)
    own = chain.link(previous, seq, seal, fields)
    db.execute(INSERT, (seq, *values, key, seal, fields, previous, own, None))
    db.execute("insert or replace into head values (1, ?, ?, ?)", (seq, own, values[0]))
    return own


def _carry_over(db: sqlite3.Connection) -> None:
    """Entries of the first form (a chain over clear text): their chain is checked, they keep number and words, and an entry says what was found."""
    good, sentence, last, rows = check_first_form(db, "entries_1")
    previous, altered = chain.START, 0
    columns = ", ".join(_OLD)
    for row in db.execute(f"select {columns} from entries_1 order by seq").fetchall():
        had = {f: None if v is None else fit(str(v)) for f, v in zip(_OLD, row, strict=True)}
        values = tuple(had.get(f, "0" if f == "emergency" else "") for f in chain.FIELDS)
        altered += any(v is not None and had[f] != str(v) for f, v in zip(_OLD, row, strict=True))
        previous = _put(db, int(row[0]), values, previous)
    from workbench.oversight.audit import Person, current_user, entry

    said = {"entries": rows, "last_hash": last, "fit": good, "found": sentence, "respelt": altered}
    append(db, entry(Person(current_user()), "carried over", "audit of the first form", "note", None, said))


def check_first_form(db: sqlite3.Connection, table: str, upto: int | None = None) -> tuple[bool, str, str, int]:
    """Recompute the chain over clear text of a store of the first form: does it fit, a sentence, the last hash, how many entries.

    With ``upto`` the rows are those carried over into the present form, which keep their words but not their old hashes.
    """
    before, expected, rows = "0" * 64, 1, 0
    hashes = ", previous, hash" if upto is None else ", null, null"
    for row in db.execute(f"select {', '.join(_OLD)}{hashes} from {table} where seq <= ? order by seq", (upto or 2**62,)):
        values, previous, own = row[:-2], row[-2], row[-1]
        again = hashlib.sha256((before + json.dumps(values, ensure_ascii=False)).encode("utf-8", "surrogatepass")).hexdigest()
        if values[0] != expected:
            return False, f"Entry {expected} was missing before the store was carried over.", before, rows
        if upto is None and previous != before:
            return False, f"Entry {values[0]} did not follow the one before it when the store was carried over.", before, rows
        if upto is None and own != again:
            return False, f"Entry {values[0]} had been changed before the store was carried over.", before, rows
        before, expected, rows = again, expected + 1, rows + 1
    return True, f"All {rows:,} entries fitted.", before, rows


def fit(text: str) -> str:
    """A text as it can be kept: no lone surrogates, and the two characters that would confuse where a field ends are made visible."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x1f", "\u241f").replace("\x00", "\u2400")

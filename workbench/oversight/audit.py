"""The audit: every access written down as intent before it happens and as outcome after, each entry chained to the one before.

A store of its own (SQLite, write-ahead log), so that no other writer's lock can stall it and it can be given to an outsider alone.
``chain`` says how an entry is committed: an edited, removed, added or reordered entry is named by ``verify``, and single fields can be
left out of a copy (``redacted``) or forgotten (``forgetting``) while the chain still holds. Each day is signed (``roots``).
What it cannot see: someone who reads the workspace's files without the workbench; docs/audit.md has the rest.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import WorkbenchError
from workbench.oversight import chain, plain, store

#: From this many entries on a check is shared among processes.
_MANY = 60_000
_SHOWN = 6


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


def entry(person: Person, action: str, object: str, phase: str, deed: str | None, detail: dict[str, Any]) -> tuple[str | None, ...]:
    """The fields of a new entry, in the order of ``chain.FIELDS``; nothing secret is in them."""
    values: tuple[str | None, ...] = (
        datetime.now(UTC).isoformat(timespec="microseconds"), deed or os.urandom(8).hex(), phase, person.user, socket.gethostname(), person.role,
        "1" if person.emergency else "0", action, plain.text(object), person.case_number, person.purpose,
        None if person.reason is None else plain.text(person.reason), plain.detail(detail))
    return tuple(None if v is None else store.fit(str(v)) for v in values)


class Audit:
    """The audit store of one workspace.

    Args:
        file: the SQLite file; made on the first entry.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextlib.contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The store itself, for the other rooms of oversight.

        Raises:
            WorkbenchError: it cannot be opened or written.
        """
        try:
            with store.connection(self.file) as db:
                yield db
        except sqlite3.Error as e:
            raise WorkbenchError(f"The audit {self.file} cannot be written ({e}), so nothing is shown; without an entry there is no access.") from e

    def write(self, person: Person, action: str, object: str, *, phase: str = "note", deed: str | None = None, **detail: Any) -> str:
        """Append one entry and return its deed id. One transaction, on the disk when this returns; safe from several processes at once. O(1).

        The first entry of a new UTC day has the days before it signed (``roots``).

        Raises:
            WorkbenchError: the store cannot be written; the caller must then not go on.
        """
        values = entry(person, action, object, phase, deed, detail)
        with self.opened() as db:
            store.begin(db)
            seq, before = store.append(db, values)
            db.execute("commit")
        if before and before[:10] < str(values[0])[:10]:
            from workbench.oversight import roots

            roots.of_finished_days(self, upto=seq - 1)
        return str(values[1])

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

    def entries(self, last: int | None = None, *, first_seq: int | None = None, last_seq: int | None = None) -> pl.DataFrame:
        """The entries in order, or the last few, or those from a number to a number; one row each, hashes as hex.

        Columns: seq, the fields of ``chain.FIELDS`` (``emergency`` is a Boolean), previous, hash, and ``forgotten``: which fields were
        forgotten and by which deed, or null.
        """
        schema = {"seq": pl.Int64} | dict.fromkeys(chain.FIELDS, pl.String) | dict.fromkeys(("previous", "hash", "opened"), pl.String)
        with self.opened() as db:
            rows = db.execute(f"select seq, {', '.join(chain.FIELDS)}, lower(hex(previous)), lower(hex(hash)), opened from entries "
                              "where seq between ? and ? order by seq desc limit ?",
                              (0 if first_seq is None else first_seq, 2**62 if last_seq is None else last_seq, -1 if last is None else last)).fetchall()[::-1]
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        gone = pl.col("opened").str.json_path_match("$.gone").alias("forgotten")
        return frame.with_columns(pl.col("emergency") == "1", gone).drop("opened")

    def verify(self) -> tuple[bool, str]:
        """Recompute the chain and compare it with the signed roots: (True, sentence) or (False, sentence naming what does not fit).

        Every edited, removed, added or moved entry is named. O(entries): about three seconds for a million on two cores.
        """
        found, sentence = self.check()
        if not found:
            return True, sentence
        more = f" And {len(found) - _SHOWN:,} further findings." if len(found) > _SHOWN else ""
        return False, " ".join(f.sentence for f in found[:_SHOWN]) + more

    def check(self, *, processes: int | None = None, deep: bool = False, copied: Collection[dict[str, Any]] = ()) -> tuple[list[chain.Finding], str]:
        """All findings, and the sentence for when there are none.

        Args:
            processes: how many share the work; by default as many as there are cores, and one for few entries.
            deep: recompute every field's commitment and every root's tree too (some ten times as long).
            copied: roots noted elsewhere, to compare with (``roots.read``).
        """
        from workbench.oversight import examine

        try:
            with self.opened():
                pass
            with contextlib.closing(chain.read_only(self.file)) as db:
                db.execute("begin")
                seen = self._seen(db, processes)
                found = [*examine.shape(db), *chain.findings(db, seen), *examine.ends(db, seen), *examine.forgotten(db, seen),
                         *examine.carried(db, seen), *examine.signed(db, seen, copied)]
                if deep:
                    found += examine.every_field(db, seen, known={f.first for f in found})
                said = examine.roots_sentence(db, seen)
        except (sqlite3.Error, WorkbenchError) as e:
            return [chain.Finding(0, 0, "file", f"The audit {self.file} cannot be read as a whole: {e}.")], ""
        return examine.ordered(found), f"All {seen['rows']:,} entries fit; the last hash is {seen['end'][1][:16]}.{said}"

    def _seen(self, db: sqlite3.Connection, processes: int | None) -> dict[str, Any]:
        first, last, rows = db.execute("select ifnull(min(seq), 1), ifnull(max(seq), 0), count(*) from entries").fetchone()
        shares = processes or (len(os.sched_getaffinity(0)) if rows >= _MANY else 1)
        if shares == 1:
            return chain.join([chain.scan(db, first, last)])
        ends = [first + (last - first + 1) * i // shares for i in range(1, shares)] + [last + 1]
        ranges = list(zip([first, *ends[:-1]], ends, strict=True))
        others = [subprocess.Popen([sys.executable, "-I", chain.__file__, str(self.file), str(a), str(b - 1)], stdout=subprocess.PIPE) for a, b in ranges[1:]]
        parts = [chain.scan(db, ranges[0][0], ranges[0][1] - 1)]
        for other in others:
            said = other.communicate()[0]
            if other.returncode:
                raise sqlite3.DatabaseError("a process that checked a part of it failed")
            parts.append(chain.read_scan(said))
        return chain.join(parts)

    def forget(self, values: Collection[str], *, person: Person | None = None, why: str = "forgotten on order", certificate: str = "") -> int:
        """Take values out of every field they occur in; gives how many fields. See ``forgetting.forget``."""
        from workbench.oversight import forgetting

        return forgetting.forget(self, values, person=person or Person(current_user()), why=why, certificate=certificate)

"""How often a password may be tried: a name is closed for a growing time after wrong ones, and names and addresses have a token bucket each.

Everything lies in ``accounts.db``, so that a restart of the server gives nobody a fresh start and several processes count together. A try is
counted as wrong before the password is looked at and taken back when it was right: tries made at the same moment cannot slip past the limit.
Names without an account are counted just the same, so that a closed name does not tell whether it exists.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from workbench.oversight.people_store import Store
from workbench.oversight.sign_in_settings import SignIn

#: The longest time a name is closed, in seconds; after as long without a try its wrong ones are forgotten.
LONGEST = 86_400.0


@dataclass(frozen=True)
class Rate:
    """A token bucket: ``burst`` at once, then ``each`` seconds for one more."""

    burst: float
    each: float


PER_ADDRESS = Rate(30, 6.0)
PER_NAME = Rate(12, 6.0)


@dataclass(frozen=True)
class Let:
    """Whether a try was let through; else why not, and whether this refusal is worth an entry in the audit (one a minute is)."""

    through: bool
    why: str = ""
    failures: int = 0
    until: float = 0.0
    tell: bool = True


class Tries:
    """The counts of one workspace."""

    def __init__(self, store: Store, settings: SignIn) -> None:
        self.store, self.settings = store, settings

    def take(self, name: str, address: str, now: float) -> Let:
        """Ask to try a password for a name; a try let through stands as a wrong one until :meth:`right` takes it back."""
        key = self.store.covered(name)
        with self.store.change() as db:
            db.execute("delete from tries where at < ? and until < ?", (now - LONGEST, now))
            for bucket, rate in ((f"address {address}", PER_ADDRESS), (f"name {key}", PER_NAME)):
                if not _drop(db, bucket, rate, now):
                    return Let(False, "too many tries", tell=_worth(db, bucket, now))
            row = db.execute("select failures, until from tries where name = ?", (key,)).fetchone() or (0, 0.0)
            if row[1] > now:
                return Let(False, "closed for some time", row[0], row[1], tell=_worth(db, f"name {key}", now))
            failures = row[0] + 1
            over = failures - self.settings.tries
            until = now + min(LONGEST, self.settings.lock_minutes * 60 * 2.0 ** min(over, 40)) if over >= 0 else 0.0
            db.execute("insert or replace into tries values (?, ?, ?, ?)", (key, failures, until, now))
        return Let(True, "", failures, until)

    def allow(self, what: str, now: float, rate: Rate = PER_ADDRESS) -> bool:
        """Take one drop out of a bucket of any name."""
        with self.store.change() as db:
            return _drop(db, what, rate, now)

    def right(self, db: sqlite3.Connection, name: str) -> None:
        """The password was right: forget the wrong ones, in a transaction of the caller's."""
        db.execute("delete from tries where name = ?", (self.store.covered(name),))

    def until(self, name: str, now: float) -> float:
        """Until when a name is closed, seconds since 1970; 0 when it is not."""
        found = self.store.read("select until from tries where name = ? and until > ?", self.store.covered(name), now)
        return float(found[0][0]) if found else 0.0


def _drop(db: sqlite3.Connection, name: str, rate: Rate, now: float) -> bool:
    held, at = db.execute("select held, at from buckets where name = ?", (name,)).fetchone() or (rate.burst, now)
    held = min(rate.burst, held + max(0.0, now - at) / rate.each)
    passed = held >= 1.0
    db.execute("insert into buckets(name, held, at) values (?, ?, ?) on conflict(name) do update set held = excluded.held, at = excluded.at",
               (name, held - 1.0 if passed else held, now))
    db.execute("delete from buckets where at < ?", (now - LONGEST,))
    return passed


def _worth(db: sqlite3.Connection, name: str, now: float) -> bool:
    """Whether a minute has gone by since a refusal under this name was last told to the audit."""
    return db.execute("update buckets set told_at = ? where name = ? and told_at < ?", (now, name, now - 60)).rowcount > 0

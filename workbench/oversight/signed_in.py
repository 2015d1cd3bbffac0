"""Who is signed in just now: sessions that lock when nobody does anything, end after some hours, and fall with the account.

The browser holds a random key, the workspace its SHA-256 (``accounts.db``), so that every process of the server sees the same, a restart signs
nobody in or out, and a person who is removed or closed is out at the next action.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from workbench.oversight.accounts import Account, Accounts
from workbench.oversight.audit import Person
from workbench.oversight.people_store import digest


@dataclass(frozen=True)
class Signed:
    """One person signed in.

    ``state``: open, locked (nobody did anything for a while) or change (a new password comes first); ``left``: seconds until it locks or ends.
    """

    user: str
    role: str
    via: str
    state: str
    left: float
    key: str

    @property
    def open(self) -> bool:
        """Whether pages are shown."""
        return self.state == "open"


class Sessions:
    """The sessions of one workspace."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts, self.store, self.settings = accounts, accounts.store, accounts.settings

    @property
    def idle(self) -> float:
        """Seconds without an action after which a session locks."""
        return self.settings.idle_minutes * 60

    @property
    def longest(self) -> float:
        """Seconds after which a session ends whatever is done."""
        return self.settings.session_hours * 3600

    def begin(self, account: Account, *, instead: str = "") -> str:
        """Begin a session for somebody who was checked just now; returns the browser's key. One it stands in the place of ends."""
        key, now = secrets.token_urlsafe(32), self.accounts.clock()
        with self.store.change() as db:
            db.execute("delete from sessions where began_at < ? or hash = ?", (now - self.longest, digest(instead)))
            db.execute("insert into sessions(hash, user, began_at, acted_at) values (?, ?, ?, ?)", (digest(key), account.user, now, now))
        return key

    def state(self, key: str) -> Signed | None:
        """Who holds a key, None for nobody. Reading does not count as an action. One indexed look-up."""
        if not key:
            return None
        hash, now = digest(key), self.accounts.clock()
        found = self.store.read("select s.user, a.role, a.via, s.began_at, s.acted_at, s.locked, a.closed, a.must_change from sessions s "
                                "join accounts a using (user) where s.hash = ?", hash)
        if not found:
            return None
        user, role, via, began, acted, locked, closed, must = found[0]
        if closed or not 0 <= now - began + 60 <= self.longest + 60:
            self._end(hash, user, role, "session closed" if closed else "session ended")
            return None
        left = min(self.idle - (now - acted), self.longest - (now - began))
        if locked or now - acted >= self.idle:
            if not locked:
                self._lock(hash, user, role)
            return Signed(user, role, via, "locked", 0.0, hash)
        return Signed(user, role, via, "change" if must else "open", left, hash)

    def act(self, key: str) -> Signed | None:
        """The person did something: the time until it locks begins anew. A locked session stays locked."""
        signed = self.state(key)
        if signed is None or signed.state == "locked":
            return signed
        with self.store.change() as db:
            db.execute("update sessions set acted_at = ? where hash = ? and locked = 0", (self.accounts.clock(), signed.key))
        return self.state(key)

    def lock(self, key: str) -> None:
        """Lock now."""
        signed = self.state(key)
        if signed is not None and signed.state != "locked":
            self._lock(signed.key, signed.user, signed.role)

    def end(self, key: str) -> None:
        """Sign out."""
        signed = self.state(key)
        if signed is not None:
            self._end(signed.key, signed.user, signed.role, "sign-out")

    def alive(self, hash: str) -> bool:
        """Whether the session behind a hash is open; for the server, which watches the pages it holds."""
        now = self.accounts.clock()
        return bool(self.store.read("select 1 from sessions s join accounts a using (user) where s.hash = ? and s.locked = 0 and a.closed = 0 and "
                                    "a.must_change = 0 and s.acted_at > ? and s.began_at > ?", hash, now - self.idle, now - self.longest))

    def _lock(self, hash: str, user: str, role: str) -> None:
        with self.store.change() as db:
            first = db.execute("update sessions set locked = 1 where hash = ? and locked = 0", (hash,)).rowcount
        if first:
            self.accounts.audit.write(Person(user, role=role), "session locked", user, idle_minutes=self.settings.idle_minutes)

    def _end(self, hash: str, user: str, role: str, action: str) -> None:
        with self.store.change() as db:
            first = db.execute("delete from sessions where hash = ?", (hash,)).rowcount
        if first:
            self.accounts.audit.write(Person(user, role=role), action, user)

"""Who has an account here, whether a password or token is theirs, and what became of every try.

Local accounts lie in ``accounts.db``: of a password its argon2id hash is kept, of a token its SHA-256. A wrong name, a wrong password, a name
closed for a while and one closed by a person are answered with the same sentence after the same work. Everything is written to the audit,
never a password or a token; a name that no account has is written as a keyed hash, because it may be a password typed in the wrong field.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from argon2 import PasswordHasher

from workbench import agency as agencies
from workbench.errors import AccessRefused, BadInput, NotFound, SignInRefused, did_you_mean
from workbench.oversight import passwords
from workbench.oversight.audit import Audit, Person, current_user
from workbench.oversight.people_store import Store, digest
from workbench.oversight.sign_in_settings import SignIn, role_known
from workbench.oversight.tries import Let, Tries

FILE = "accounts.db"
REFUSED = ("The name or the password is not right, or it was tried too often. After several wrong tries a name is closed for some minutes; "
           "wait, or ask whoever looks after the accounts here.")
TOKEN_REFUSED = "The token is not known here, or it has run out or was taken back. A new one: workbench people token NAME"  # noqa: S105 - a sentence
_USER = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_FIELDS = "user, role, via, created_at, changed_at, signed_in_at, closed, must_change"


@dataclass(frozen=True)
class Account:
    """One person's account. ``closed``: by a person, until reopened; ``locked_until``: by wrong tries; ``via``: password or oidc."""

    user: str
    role: str
    via: str = "password"
    created_at: datetime | None = None
    changed_at: datetime | None = None
    signed_in_at: datetime | None = None
    closed: bool = False
    must_change: bool = False
    locked_until: datetime | None = None

    @property
    def locked(self) -> bool:
        """Whether nobody gets in with it now."""
        return self.closed or self.locked_until is not None


class Accounts:
    """The accounts of one workspace.

    Args:
        file: ``accounts.db``; the workspace is the folder it lies in. Nothing is made before the first account.
        settings: how people sign in; None = as agency.toml says.
        hasher: the argon2 parameters; hashes made with others are made anew at the next sign-in.
        clock: seconds since 1970.
    """

    def __init__(self, file: Path, *, settings: SignIn | None = None, hasher: PasswordHasher | None = None, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(file)
        self.audit = Audit(file.parent / "audit.db")
        self.agency = agencies.read(file.parent) if (file.parent / agencies.FILE).is_file() else None
        self.settings = settings or (SignIn.of(self.agency) if self.agency is not None else SignIn())
        self.hasher = hasher or PasswordHasher()
        self.clock = clock
        self.tries = Tries(self.store, self.settings)

    # ------------------------------------------------------------------ who there is

    def any(self) -> bool:
        """Whether there is an account; makes no file."""
        return bool(self.store.read("select 1 from accounts limit 1"))

    def get(self, user: str) -> Account:
        """One account.

        Raises:
            NotFound: nobody has that name; the message names the nearest.
        """
        found = self.store.read(f"select {_FIELDS} from accounts where user = ?", named(user))
        if not found:
            known = [r[0] for r in self.store.read("select user from accounts")]
            raise NotFound(f"There is no account {user!r}.{did_you_mean(user, known)}")
        return self._account(found[0])

    def list(self) -> pl.DataFrame:
        """Every account by name: user, role, via, created_at, changed_at, signed_in_at, closed, must_change, locked_until (UTC)."""
        rows = [vars(self._account(r)) for r in self.store.read(f"select {_FIELDS} from accounts order by user")]
        when = pl.Datetime("us", "UTC")
        return pl.DataFrame(rows, schema={"user": pl.String, "role": pl.String, "via": pl.String, "created_at": when, "changed_at": when,
                                          "signed_in_at": when, "closed": pl.Boolean, "must_change": pl.Boolean, "locked_until": when}, orient="row")

    def _account(self, row: tuple[Any, ...]) -> Account:
        user, role, via, created, changed, signed, closed, must = row
        until = self.tries.until(user, self.clock())
        return Account(user, role, via, moment(created), moment(changed), moment(signed), bool(closed), bool(must), moment(until or None))

    # ------------------------------------------------------------------ changing them

    def add(self, user: str, role: str, password: str, *, must_change: bool = False, by: Person | None = None) -> Account:
        """Make an account.

        Raises:
            BadInput: a name or role that cannot be, a password that is too weak, or the name is taken.
        """
        user = named(user)
        if self.agency is not None:
            role_known(self.agency, role)
        kept = passwords.hashed(self.hasher, self.fit(user, password))
        with self.audit.deed(_by(by), "account added", user, role=role), self.store.change() as db:
            now = self.clock()
            try:
                db.execute("insert into accounts values (?, ?, ?, 'password', null, ?, ?, null, 0, ?)", (user, role, kept, now, now, int(must_change)))
            except sqlite3.IntegrityError:
                raise BadInput(f"There is an account {user!r} already; give it another password with: workbench people password {user}") from None
        return self.get(user)

    def fit(self, user: str, password: str) -> str:
        """The password in normal form, if this person may use it; see ``passwords.check``."""
        own = [user, *([self.agency.name] if self.agency is not None else [])]
        return passwords.check(password, least=self.settings.min_length, own=own)

    def set_password(self, user: str, password: str, *, must_change: bool = False, by: Person | None = None) -> None:
        """Give another password; ends every session of that person and reopens the name after wrong tries.

        Raises:
            BadInput: too weak, the same as before, or the person signs in elsewhere. NotFound: no such account.
        """
        account = self.get(user)
        if account.via != "password":
            raise BadInput(f"{account.user} signs in with the agency's own sign-in, so there is no password to change here.")
        password = self.fit(account.user, password)
        before = self.store.read("select hash from accounts where user = ?", account.user)[0][0]
        if before and passwords.matches(self.hasher, before, password):
            raise BadInput("That is the password as it was; take another one.")
        kept = passwords.hashed(self.hasher, password)
        with self.audit.deed(_by(by), "password changed", account.user, must_change=must_change), self.store.change() as db:
            self._changed(db, account.user, "hash = ?, must_change = ?", kept, int(must_change))
            self.tries.right(db, account.user)

    def set_role(self, user: str, role: str, *, by: Person | None = None) -> None:
        """Give another role; ends every session of that person, so that the new one holds at once."""
        account = self.get(user)
        if self.agency is not None:
            role_known(self.agency, role)
        with self.audit.deed(_by(by), "role changed", account.user, before=account.role, after=role), self.store.change() as db:
            self._changed(db, account.user, "role = ?", role)

    def lock(self, user: str, *, by: Person | None = None) -> None:
        """Close an account until it is reopened: sessions end, tokens are refused."""
        account = self.get(user)
        with self.audit.deed(_by(by), "account locked", account.user), self.store.change() as db:
            self._changed(db, account.user, "closed = 1")

    def unlock(self, user: str, *, by: Person | None = None) -> None:
        """Open an account again, whoever or whatever closed it."""
        account = self.get(user)
        with self.audit.deed(_by(by), "account unlocked", account.user), self.store.change() as db:
            db.execute("update accounts set closed = 0 where user = ?", (account.user,))
            self.tries.right(db, account.user)

    def remove(self, user: str, *, by: Person | None = None) -> None:
        """Remove an account with its sessions and tokens. What the person did stays in the audit."""
        account = self.get(user)
        with self.audit.deed(_by(by), "account removed", account.user, role=account.role), self.store.change() as db:
            for table in ("sessions", "tokens", "accounts"):
                db.execute(f"delete from {table} where user = ?", (account.user,))

    def _changed(self, db: sqlite3.Connection, user: str, what: str, *values: Any) -> None:
        if not db.execute(f"update accounts set {what}, changed_at = ? where user = ?", (*values, self.clock(), user)).rowcount:
            raise NotFound(f"The account {user!r} was removed just now.")
        db.execute("delete from sessions where user = ?", (user,))

    # ------------------------------------------------------------------ is it them

    def check(self, user: str, password: str, *, address: str = "") -> Account:
        """The account, if name and password are right. Some 50 ms and 64 MB for the hash, whether the name exists or not.

        Args:
            address: where the try comes from, for the limit on one address.

        Raises:
            SignInRefused: not right, closed, or tried too often; one sentence for all of them.
        """
        now, name = self.clock(), user.encode("utf-8", "replace").decode().strip().casefold()[:200]
        decoy = self._decoy()
        let = self.tries.take(name, address, now)
        if not let.through:
            if let.tell:
                self._refused(name, address, let.why)
            raise SignInRefused(REFUSED)
        row = (self.store.read("select hash, closed from accounts where user = ?", name) or [(None, 0)])[0]
        right = passwords.matches(self.hasher, row[0] or decoy, password) and row[0] is not None
        if not right or row[1]:
            self._refused(name, address, "closed" if right else "wrong", let)
            raise SignInRefused(REFUSED)
        account = self.get(name)
        self.audit.write(Person(name, role=account.role), "sign-in", name, address=address, via="password")
        anew = passwords.hashed(self.hasher, passwords.normal(password)) if self.hasher.check_needs_rehash(row[0]) else row[0]
        with self.store.change() as db:
            same = db.execute("update accounts set signed_in_at = ?, hash = ? where user = ? and hash = ? and closed = 0", (now, anew, name, row[0])).rowcount
            if same:
                self.tries.right(db, name)
        if not same:
            self._refused(name, address, "changed meanwhile")
            raise SignInRefused(REFUSED)
        return self.get(name)

    def _decoy(self) -> str:
        """A hash of no password, made with the parameters of today: what a try at a name without account is measured against."""
        kept = self.store.read("select value from secrets where name = 'decoy'")
        if kept and not self.hasher.check_needs_rehash(kept[0][0]):
            return str(kept[0][0])
        return self.store.remember("decoy", passwords.hashed(self.hasher, secrets.token_hex(32)))

    def _refused(self, name: str, address: str, why: str, let: Let | None = None) -> None:
        known = bool(self.store.read("select 1 from accounts where user = ?", name))
        object = name if known else f"unknown name {self.store.covered(name)}"
        nobody = Person("not signed in")
        self.audit.write(nobody, "sign-in", object, phase="refused", why=why, address=address, failures=let.failures if let else None)
        if let is not None and let.until:
            self.audit.write(nobody, "name closed", object, until=moment(let.until), failures=let.failures, address=address)

    def admit(self, subject: str, user: str, role: str, *, address: str = "") -> Account:
        """The account of somebody whom the agency's own sign-in vouches for; made at the first time, its role as told each time.

        Args:
            subject: issuer and subject, which stay the same when a name changes hands.

        Raises:
            SignInRefused: the account is closed, or the name belongs to somebody else here.
        """
        try:
            user = named(user)
            role = role_known(self.agency, role) if self.agency is not None else role
        except BadInput as e:
            raise SignInRefused(str(e)) from None
        now = self.clock()
        with self.store.change() as db:
            held = db.execute("select subject, closed, role from accounts where user = ?", (user,)).fetchone()
            other = db.execute("select user from accounts where subject = ? and user <> ?", (subject, user)).fetchone()
            why = "name taken" if held and held[0] != subject or other else "closed" if held and held[1] else ""
            if not why:
                if not held:
                    db.execute("insert into accounts values (?, ?, null, 'oidc', ?, ?, ?, null, 0, 0)", (user, role, subject, now, now))
                self.audit.write(Person(user, role=role), "sign-in", user, address=address, via="oidc", role=role, before=held[2] if held else None)
                db.execute("update accounts set role = ?, signed_in_at = ? where user = ?", (role, now, user))
                if held and held[2] != role:
                    db.execute("delete from sessions where user = ?", (user,))
        if why:
            self.audit.write(Person("not signed in"), "sign-in", user, phase="refused", why=why, address=address, via="oidc")
            taken = "This name belongs to another account here" if why == "name taken" else "The account is closed"
            raise SignInRefused(f"{taken}; ask whoever looks after the accounts.")
        return self.get(user)

    # ------------------------------------------------------------------ tokens

    def token(self, user: str, days: float = 30, *, name: str = "", by: Person | None = None) -> str:
        """A token that stands for a person until it runs out; it is given once and kept nowhere.

        Raises:
            BadInput: not between a minute and 366 days. NotFound: no such account.
        """
        if not 1 / 1440 <= days <= 366:
            raise BadInput(f"A token for {days:g} days is not possible; give 1 to 366, e.g. 30.")
        account, made, now = self.get(user), f"wb_{secrets.token_urlsafe(32)}", self.clock()
        with self.audit.deed(_by(by), "token made", account.user, name=name, days=days) as outcome, self.store.change() as db:
            row = db.execute("insert into tokens(user, name, hash, created_at, expires_at) values (?, ?, ?, ?, ?)",
                             (account.user, name, digest(made), now, now + days * 86400))
            outcome["token_id"] = row.lastrowid
        return made

    def tokens(self, user: str | None = None) -> pl.DataFrame:
        """Tokens by number, of one person or of all: token_id, user, name, created_at, expires_at, used_at, revoked_at (UTC). Never the token."""
        who = named(user) if user is not None else None
        rows = self.store.read("select token_id, user, name, created_at, expires_at, used_at, revoked_at from tokens where user = ? or ? is null "
                               "order by token_id", who, who)
        when = pl.Datetime("us", "UTC")
        return pl.DataFrame([(*r[:3], *map(moment, r[3:])) for r in rows], orient="row",
                            schema={"token_id": pl.Int64, "user": pl.String, "name": pl.String, "created_at": when, "expires_at": when, "used_at": when,
                                    "revoked_at": when})

    def revoke(self, token_id: int, *, by: Person | None = None) -> None:
        """Take a token back.

        Raises:
            NotFound: there is no such token.
        """
        found = self.store.read("select user, name from tokens where token_id = ? and revoked_at is null", token_id)
        if not found:
            raise NotFound(f"There is no token {token_id} that could be taken back; workbench people token --list shows them.")
        with self.audit.deed(_by(by), "token revoked", found[0][0], token_id=token_id, name=found[0][1]), self.store.change() as db:
            db.execute("update tokens set revoked_at = ? where token_id = ?", (self.clock(), token_id))

    def who(self, token: str) -> Account:
        """Whose token it is. One indexed look-up; when it was last used is kept to the minute.

        Raises:
            SignInRefused: unknown, run out, taken back, or the account is closed.
        """
        now = self.clock()
        found = self.store.read("select token_id, user, expires_at, revoked_at, used_at from tokens where hash = ?", digest(token))
        row = found[0] if found else (None, "", 0.0, None, None)
        why = "unknown" if row[0] is None else "revoked" if row[3] is not None else "run out" if row[2] <= now else ""
        account = None if why else next(iter(self.store.read(f"select {_FIELDS} from accounts where user = ?", row[1])), None)
        if account is None or account[6]:
            if self.tries.allow("token refusals told", now):
                self.audit.write(Person("not signed in"), "token", row[1] or "unknown", phase="refused", why=why or "closed", token_id=row[0])
            raise SignInRefused(TOKEN_REFUSED)
        if row[4] is None or now - row[4] >= 60:
            with self.store.change() as db:
                db.execute("update tokens set used_at = ? where token_id = ?", (now, row[0]))
        return self._account(account)


def role_of(folder: Path, user: str) -> str | None:
    """The role of a person's account in a workspace, None where they have none. One look at a small file.

    Raises:
        AccessRefused: the account was closed by a person.
    """
    found = Store(folder / FILE).read("select role, closed from accounts where user = ?", user.strip().lower())
    if found and found[0][1]:
        raise AccessRefused(f"The account of {user} is closed; whoever looks after the accounts can open it: workbench people unlock {user}")
    return str(found[0][0]) if found else None


def named(user: str) -> str:
    """A user name in the form it is kept: lower case.

    Raises:
        BadInput: it has other characters than letters, digits and ``. _ @ + -``.
    """
    name = user.strip().casefold()
    if not _USER.fullmatch(name):
        raise BadInput("A user name is 1 to 64 letters, digits or . _ @ + - and begins with a letter or digit, e.g. anna.schmidt")
    return name


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _by(person: Person | None) -> Person:
    return person or Person(current_user())

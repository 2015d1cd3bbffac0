"""Who holds which token. Only hashes are kept: a token is shown once, when it is made, and cannot be told from the file.

Where the workspace has accounts (``workbench.oversight.accounts``), those alone decide: a person who is locked there is refused here.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import BadInput, NotFound, SignInRefused, did_you_mean
from workbench.oversight.audit import Person

FILE = "tokens.json"
_ACCOUNTS = "workbench.oversight.accounts"
REFUSED = "The server does not take this token: it is unknown, has run out or was withdrawn. Ask whoever runs the server for a new one."


def hashed(token: str) -> str:
    """What is kept of a token. A token has 256 random bits, so one SHA-256 is enough: there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The tokens of one workspace, in ``tokens.json`` (mode 600).

    Args:
        path: the workspace.
    """

    def __init__(self, path: Path) -> None:
        self.file = path / FILE
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], dict[str, dict[str, str]]] | None = None

    def make(self, user: str, *, days: int = 90) -> str:
        """A new token for a person; the only time it is shown. Earlier ones stay good until they run out or are withdrawn.

        Raises:
            BadInput: the name or the days make no sense.
        """
        if not user.strip() or not user.isprintable() or len(user) > 100:
            raise BadInput(f"{user!r} is not a person's name; write e.g. workbench serve token anna")
        if not 1 <= days <= 3660:
            raise BadInput(f"A token for {days} days is not possible; give 1 to 3660.")
        token, now = "wb_" + secrets.token_urlsafe(32), datetime.now(UTC)
        row = {"user": user.strip(), "made_at": now.isoformat(timespec="seconds"), "ends_at": (now + timedelta(days=days)).isoformat(timespec="seconds")}
        self._change(lambda held: held | {hashed(token): row})
        return token

    def withdraw(self, user: str) -> int:
        """Withdraw every token of a person; sessions under them end with their next question. Returns how many.

        Raises:
            NotFound: the person holds none.
        """
        gone: list[str] = []

        def without(held: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
            gone.extend(h for h, row in held.items() if row["user"] == user)
            return {h: row for h, row in held.items() if row["user"] != user}

        names = {row["user"] for row in self._held().values()}
        if user not in names:
            raise NotFound(f"Nobody called {user!r} holds a token.{did_you_mean(user, names)}")
        self._change(without)
        return len(gone)

    def listed(self) -> pl.DataFrame:
        """Who holds tokens: user, made_at, ends_at, hash (its first 8 digits)."""
        rows = [{"user": r["user"], "made_at": r["made_at"], "ends_at": r["ends_at"], "hash": h[:8]} for h, r in self._held().items()]
        return pl.DataFrame(rows, schema=dict.fromkeys(("user", "made_at", "ends_at", "hash"), pl.String)).sort("user", "made_at")

    def who(self, token: str) -> Person:
        """The person who holds a token.

        Raises:
            SignInRefused: nobody does, or it has run out.
        """
        row = self._held().get(hashed(token))
        if row is None or datetime.fromisoformat(row["ends_at"]) <= datetime.now(UTC):
            raise SignInRefused(REFUSED)
        return Person(row["user"])

    def _held(self) -> dict[str, dict[str, str]]:
        try:
            seen = self.file.stat()
        except FileNotFoundError:
            return {}
        stamp = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        with self._lock:
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, _rows(self.file))
            return self._read[1]

    def _change(self, how: Callable[[dict[str, dict[str, str]]], dict[str, dict[str, str]]]) -> None:
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            held = how(_rows(self.file) if self.file.exists() else {})
            fresh = self.file.with_name(f".{FILE}.{os.getpid()}.part")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
                json.dump(held, out, indent=1, sort_keys=True)
                out.flush()
                os.fsync(out.fileno())
            os.replace(fresh, self.file)
            os.fsync(folder)
        finally:
            os.close(folder)


def _rows(file: Path) -> dict[str, dict[str, str]]:
    try:
        rows: Any = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(r["user"], str) and datetime.fromisoformat(r["ends_at"]).tzinfo and r["made_at"] for r in rows.values()):
            raise ValueError("a row is not one")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise BadInput(f"{FILE} of the workspace cannot be read ({type(e).__name__}); nobody is let in. Remove it and make new tokens: "
                       "workbench serve token NAME") from None
    return dict(rows)


def who(path: Path) -> Callable[[str], Person]:
    """The function that tells who holds a token: the workspace's accounts where it has any, else its ``tokens.json``."""
    own = Tokens(path)
    accounts: Any = importlib.import_module(_ACCOUNTS).Accounts(path / "accounts.db") if importlib.util.find_spec(_ACCOUNTS) else None

    def asked(token: str) -> Person:
        if accounts is None or not accounts.any():
            return own.who(token)
        account = accounts.who(token)
        if getattr(account, "locked", False):
            raise SignInRefused(REFUSED)
        return Person(account.user, role=account.role)

    return asked

"""The sessions of a server: one opened workbench each, bound to the token that opened it, ended when nobody asks."""

from __future__ import annotations

import contextlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, SignInRefused, WorkbenchError
from workbench.oversight.audit import Person
from workbench.serving.settings import Settings
from workbench.session import Workbench, opened_for

_BOUND = ("case", "purpose", "reason", "versions", "known", "role", "emergency")
_OURS = frozenset({"self", "person", "action", "object", "phase", "deed", "peer", "told_by"})
UNKNOWN = "This session has ended or is not yours. Open the workbench again: wb.open_workbench(...) or city.bind(...)."
#: Deeds that one session may have begun and not ended, and the longest text of one.
_DEEDS, _LONGEST = 100, 20_000


class FromPeer:
    """The audit of a session: each entry also names the machine that asked."""

    def __init__(self, audit: Any, peer: str) -> None:
        self._audit, self._peer = audit, peer

    def write(self, person: Person, action: str, object: str, **more: Any) -> str:
        """As ``Audit.write``."""
        return str(self._audit.write(person, action, object, peer=self._peer, **more))

    def deed(self, person: Person, action: str, object: str, **detail: Any) -> Any:
        """As ``Audit.deed``."""
        return self._audit.deed(person, action, object, peer=self._peer, **detail)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._audit, name)


@dataclass(eq=False)
class Session:
    """One opened workbench of a person."""

    key: str
    holder: str
    city: Workbench
    asked_at: float
    lock: threading.RLock = field(default_factory=threading.RLock)
    deeds: dict[str, tuple[str, str]] = field(default_factory=dict)
    busy: int = 0

    def deed(self, phase: str, deed: str | None, action: str, object: str, detail: dict[str, Any]) -> str:
        """Write what the client says it does to the audit, marked as its word.

        Raises:
            BadInput: it is not such a deed, or one that this session did not begin.
        """
        if not (isinstance(action, str) and isinstance(object, str) and isinstance(detail, dict) and phase in ("intent", "done", "failed", "refused")):
            raise BadInput("A deed is a phase, an action, an object and figures.")
        if len(repr((action, object, detail))) > _LONGEST:
            raise BadInput(f"A deed's text is longer than {_LONGEST:,} characters.")
        told = {(f"{k}_" if k in _OURS else k): v for k, v in detail.items()}
        with self.lock:
            if phase == "intent":
                if len(self.deeds) >= _DEEDS:
                    raise BadInput(f"{_DEEDS} deeds are begun and not ended in this session.")
                key = self.city.audit.write(self.city.person, action, object, phase="intent", told_by="client", **told)
                self.deeds[key] = (action, object)
                return key
            if deed is None or self.deeds.get(deed) != (action, object):
                raise BadInput("This session did not begin that deed.")
            del self.deeds[deed]
            self.city.audit.write(self.city.person, action, object, phase=phase, deed=deed, told_by="client", **told)
        return deed

    def end(self, why: str) -> None:
        """Write the end of the session, and of deeds that nobody will end."""
        with self.lock:
            for key, (action, object) in self.deeds.items():
                self.city.audit.write(self.city.person, action, object, phase="failed", deed=key, told_by="server", error=why)
            self.deeds.clear()
            self.city.audit.write(self.city.person, "close", self.city.path.name, why=why)


class Sessions:
    """All sessions of a server.

    Args:
        path: the workspace.
        settings: limits.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        self._held: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def open(self, person: Person, holder: str, peer: str, asked: Any) -> Session:
        """Open the workspace for a person, through the gate as anybody does; a role asked for is theirs or a lower one.

        Raises:
            BadInput: something else than case, purpose, reason and versions was sent. AccessRefused: the gate says no.
        """
        if not isinstance(asked, dict) or set(asked) - set(_BOUND):
            raise BadInput(f"A session is opened with {', '.join(_BOUND)} and nothing else.")
        bound = _checked({k: v for k, v in asked.items() if v not in (None, False)})
        self._room(person.user)
        who = Person(person.user, bound.pop("case", None), bound.pop("purpose", None), bound.pop("reason", None), person.role, bound.pop("emergency", False))
        city = opened_for(self.path, who, **bound)
        vars(city)["audit"] = FromPeer(city.audit, peer)
        key = secrets.token_urlsafe(24)
        city.audit.write(city.person, "connect", city.path.name)
        made = Session(key, holder, city, time.monotonic())
        with self._lock:
            self._held[key] = made
        return made

    def _room(self, user: str) -> None:
        self.sweep()
        most = max(1, self.settings.sessions // 4)
        with self._lock:
            mine = sorted((s for s in self._held.values() if s.city.user == user), key=lambda s: s.asked_at)
        for old in mine[: max(0, len(mine) - most + 1)]:
            self._end(old, "a newer session of the same person")
        if len(self._held) >= self.settings.sessions:
            raise WorkbenchError(f"The server holds {len(self._held)} sessions, as many as it may; try again when somebody has gone.")

    @contextlib.contextmanager
    def of(self, key: Any, holder: str) -> Iterator[Session]:
        """A session, kept while it is used.

        Raises:
            SignInRefused: there is none, or another token opened it; the sentence does not say which.
        """
        self.sweep()
        with self._lock:
            found = self._held.get(key) if isinstance(key, str) else None
            if found is None or not hmac.compare_digest(found.holder, holder):
                raise SignInRefused(UNKNOWN)
            found.busy += 1
        try:
            yield found
        finally:
            with self._lock:
                found.busy -= 1
                found.asked_at = time.monotonic()

    def close(self, key: Any, holder: str) -> None:
        """End a session because its client says so; one that is gone already is no fault."""
        with contextlib.suppress(SignInRefused), self.of(key, holder) as found:
            self._end(found, "the client closed it")

    def sweep(self) -> None:
        """End the sessions that nobody asked for longer than the limit."""
        before = time.monotonic() - self.settings.idle_minutes * 60
        with self._lock:
            old = [s for s in self._held.values() if s.asked_at < before and not s.busy]
        for one in old:
            self._end(one, f"nothing was asked for {self.settings.idle_minutes:g} minutes")

    def end_all(self, why: str) -> None:
        """End every session."""
        for one in list(self._held.values()):
            self._end(one, why)

    def _end(self, session: Session, why: str) -> None:
        with self._lock:
            if self._held.pop(session.key, None) is None:
                return
        with contextlib.suppress(WorkbenchError):
            session.end(why)


def _checked(bound: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, each of its kind."""
    for name, value in bound.items():
        good = isinstance(value, dict) and all(type(n) is int for n in value.values()) if name == "versions" else \
            value is True if name == "emergency" else isinstance(value, str) and len(value) <= 2000
        if not good:
            raise BadInput(f"{name} is not readable; give a text" + (" of at most 2,000 characters." if name != "versions" else ": number pairs."))
    return bound

"""A workbench whose files lie with a server: the same ``city.*``, every question asked there, models run here on the frames that come back.

Made by ``open_workbench("grpc://...")``. Whoever asks is known by a token; case, purpose and reason pass the same gate, on the server,
and every question is written to the server's audit. What is done here with rows that have come is not seen by it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from workbench.agency import Agency
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput
from workbench.gate import Place, When
from workbench.geo import Grid
from workbench.oversight.access import Decision
from workbench.oversight.audit import Person
from workbench.results import Origin, remember
from workbench.session import Workbench, wire
from workbench.session import line as lines
from workbench.session.address import parse

#: Questions that are answered with a frame.
FRAMES = ("incidents", "calls", "reads", "rows", "table", "sql", "history", "holdings", "batches", "rejects", "search", "find", "changes", "evidence")
#: Those among them whose frames have an origin (workspace, versions, notes), which goes into the basis of every result.
TRACED = ("incidents", "calls", "reads", "rows", "table", "sql", "history", "changes")
#: Questions that are answered with a value.
VALUES = ("asof", "beats", "grid", "warnings", "may_see", "may", "decide", "gaps", "keep", "attach", "permit", "refresh")
#: What the casebook is asked with a frame, and with a value.
CASE_FRAMES, CASE_VALUES = ("cases", "subjects", "leads"), ("case", "open_case", "add_subject", "add_lead", "judge")
_WITH_SERVER = ("path", "lake", "audit", "engine", "policy", "until")


def connect(address: str, *, case: str | None = None, purpose: str | None = None, reason: str | None = None, versions: dict[str, int] | None = None,
            user: str | None = None, token: str | None = None, **more: Any) -> Remote:
    """Open a workbench at a server; see ``open_workbench``.

    Raises:
        BadInput: the address is not one, or ``user`` is given. SignInRefused: no token, or not one of the server's. WorkbenchError: nobody answers.
    """
    if user is not None:
        raise BadInput(f"user={user!r} cannot be given to a server: it knows who asks by the token. Leave it out.")
    line = lines.Line(parse(address), lines.token(token))
    if isinstance(more.get("known"), date):
        more["known"] = more["known"].isoformat()
    return Remote(line, {"case": case, "purpose": purpose, "reason": reason, "versions": versions, **{k: v for k, v in more.items() if v}})


class Remote(Workbench):
    """An opened workspace of a server. Made by :func:`connect`; see ``open_workbench``."""

    def __init__(self, line: lines.Line, asked: dict[str, Any]) -> None:
        head, *maps = line.act("open", asked)
        opened = wire.unpack(head)
        self._line, self._asked, self._session, self._workspace = line, asked, str(opened["session"]), str(opened["workspace"])
        self.person: Person = opened["person"]
        self.versions = dict(opened["versions"])
        self.agency = RemoteAgency.of(opened["agency"], opened["study_area"], dict(_named(part) for part in maps))
        self.close = weakref.finalize(self, line.hang_up, self._session)

    def __getattr__(self, name: str) -> Any:
        if name in _WITH_SERVER:
            raise AccessRefused(f"city.{name} is not here: the files of {vars(self).get('_workspace', 'the workspace')} lie with the server, and only its "
                                "service account can open them. Ask with city.incidents, city.sql and the like.")
        raise AttributeError(f"A workbench of a server has no {name!r}.")

    def __dir__(self) -> list[str]:
        return [n for n in object.__dir__(self) if n not in _WITH_SERVER]

    def bind(self, *, case: str, purpose: str, reason: str | None = None, **more: Any) -> Remote:
        """The same workspace, versions and role, bound to a case and purpose: a session of its own at the server."""
        return self._anew(case=case, purpose=purpose, reason=reason, **more)

    def emergency(self, reason: str) -> Remote:
        """Break the glass: for some minutes what a higher role sees, without a case; see ``Workbench.emergency``."""
        return self._anew(reason=reason, emergency=True)

    def known(self, at: When) -> Self:
        """The same as known at a moment; see ``Workbench.known``."""
        return self._anew(case=self.case, purpose=None if self.person.emergency else self.purpose, reason=self.reason, emergency=self.person.emergency,  # type: ignore[return-value]
                          known=at.isoformat() if isinstance(at, date) else at)

    def again(self) -> Self:
        """The same person at the newest versions, in a session of its own."""
        return self._anew(case=self.case, purpose=None if self.person.emergency else self.purpose, reason=self.reason, emergency=self.person.emergency,  # type: ignore[return-value]
                          versions=None)

    def _anew(self, **asked: Any) -> Remote:
        wanted = {"versions": self.versions, "role": self.person.role, **asked}
        return Remote(self._line, {k: v for k, v in wanted.items() if v})

    def decide(self, name: str) -> Decision:
        """What the policy says of this person and a table, as the server decides."""
        found: Decision = self._value("decide", name)
        return found

    def may(self, deed: str) -> bool:
        """Whether this person may do something at the server."""
        return bool(self._value("may", deed))

    def gaps(self) -> tuple[str, ...]:
        """What was known at this workbench's moment and is purged since."""
        return tuple(self._value("gaps"))

    def keep(self, versions: Mapping[str, int], why: str) -> dict[str, str]:
        """Pin versions at the server for something saved here."""
        return dict(self._value("keep", dict(versions), why))

    def permit(self, deed: str, detail: Mapping[str, Any]) -> None:
        """Ask the server whether a model may answer a question that is asked of few only; see ``Workbench.permit``."""
        self._value("permit", deed, {k: v if wire.carries(v) else str(v) for k, v in detail.items()})

    def attach(self, name: str, *keys: Any, why: str) -> list[int]:
        """Copy rows to the evidence of the case bound, at the server; see ``Workbench.attach``."""
        return list(self._value("attach", name, *keys, why=why))

    def require(self, deed: str) -> None:
        """Not at a server: what changes the workspace is done where it is."""
        raise AccessRefused("What changes the workspace is done where it is, not by a client of its server.")

    def enter(self, page: str, tables: Sequence[str], deeds: Sequence[str] = ()) -> None:
        """Not at a server: its own apps serve pages."""
        raise AccessRefused("Pages are served by the server's own apps: workbench serve.")

    def refresh(self) -> Self:
        """Pin the newest versions; returns self."""
        self.versions = dict(self._value("refresh"))
        self.__dict__.pop("asof", None)
        return self

    @cached_property
    def asof(self) -> datetime:
        """The end of the local day of the latest incident, UTC; asked of the server once."""
        found: datetime = self._value("asof")
        return found

    @cached_property
    def casebook(self) -> Casebook:
        """Cases, subjects, leads and judgements, kept by the server; what is about persons only for a case."""
        return RemoteCasebook(self)

    def beats(self) -> list[str]:
        """Beats: those of the map, else those recorded."""
        return list(self._value("beats"))

    def grid(self, cell: float = 250.0, area: Place | None = None) -> Grid:
        """A grid over the study area (or a beat or district), as the server lays it."""
        found: Grid = self._value("grid", cell, area)
        return found

    def warnings(self) -> list[str]:
        """What whoever works with this workspace must know today, one sentence each."""
        return list(self._value("warnings"))

    def may_see(self, name: str) -> bool:
        """Whether the server would show a table under this case, purpose and role."""
        return bool(self._value("may_see", name))

    def map_file(self, path: str | Path, table: str | None = None, **more: Any) -> Any:
        """Not at a server: a mapping is a file of the workspace."""
        raise AccessRefused("A mapping is made where the workspace is, by whoever loads: workbench map FILE --to TABLE --name NAME")

    @contextlib.contextmanager
    def deed(self, action: str, object: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """Tell the server's audit of something done here: intent before the body, outcome after it. Put figures into the dict yielded."""
        told = {k: v if wire.carries(v) else str(v) for k, v in detail.items()}
        key = self._act("deed", phase="intent", deed=None, action=action, object=object, detail=told)
        outcome: dict[str, Any] = {}
        phase = "done"
        try:
            yield outcome
        except BaseException as e:
            phase, outcome["error"] = "refused" if isinstance(e, PermissionError) else "failed", type(e).__name__
            raise
        finally:
            figures = {k: v if wire.carries(v) else str(v) for k, v in outcome.items()}
            self._act("deed", phase=phase, deed=key, action=action, object=object, detail=figures)

    # ------------------------------------------------------------------ asked of the server

    def _question(self, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"session": self._session, "method": method, "args": list(args), "kwargs": kwargs}

    def _ask(self, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> pl.DataFrame:
        frame, noted = self._line.frame(self._question(method, args, kwargs))
        if noted is None:
            return frame
        known = {f.name for f in dataclasses.fields(Origin)}
        ours = {"base": self.base, "keep": self.keep, "permit": self.permit}
        return remember(frame, Origin(**({k: v for k, v in noted.items() if k in known} | ours)))

    def _value(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return wire.unpack(self._line.act("call", self._question(method, args, kwargs))[0])

    def _act(self, kind: str, **body: Any) -> Any:
        return wire.unpack(self._line.act(kind, {"session": self._session, **body})[0])

    def _frame(self, name: str, where: Sequence[str], params: Sequence[Any], area: Any = None, plate: str | None = None, /, **asked: Any) -> pl.DataFrame:
        if where or params or area is not None or plate is not None:
            raise BadInput("A server takes no conditions of a client; use incidents, calls, reads, rows or sql.")
        return self.table(name)

    def _origin(self, notes: tuple[str, ...] = ()) -> Origin:
        return Origin(self._workspace, dict(self.versions), self.base, notes, keep=self.keep, permit=self.permit, user=self.user)


class RemoteCasebook(Casebook):
    """The casebook of a server. Who writes is known by the token; ``user=`` may be given as for a casebook here and must be that person."""

    def __init__(self, city: Remote) -> None:
        self._city = city

    def __getattr__(self, name: str) -> Any:
        if name in _WITH_SERVER:
            raise AccessRefused("This casebook is kept by the server and cannot do that; it is done where the workspace is.")
        raise AttributeError(f"A casebook of a server has no {name!r}.")

    def fill(self, file: Path, *, user: str) -> int:
        """Not at a server: it is filled where the workspace is."""
        raise AccessRefused("The casebook is filled from a file where the workspace is, by its service account.")


class RemoteAgency(Agency):
    """An agency as its server tells it: places and words, no settings; its maps came with it, so that no file is opened."""

    @classmethod
    def of(cls, told: dict[str, Any], study_area: Any, maps: dict[str, bytes]) -> RemoteAgency:
        """From what the server sent."""
        known = {f.name for f in dataclasses.fields(Agency)}
        made = cls(**{"folder": Path(), **{k: v for k, v in told.items() if k in known - {"folder"}}})
        vars(made).update(_maps=maps, study_area=study_area)
        return made

    def features(self, kind: str) -> list[dict[str, Any]]:
        """The GeoJSON features of one of the maps, as they came when the workbench was opened."""
        sent = vars(self)["_maps"].get(kind)
        return [] if sent is None else list(json.loads(sent))

    def path(self, name: str) -> Path:
        """Not at a server: its files are not here."""
        raise AccessRefused(f"{name!r} is a file of the workspace, which lies with the server.")


def _named(part: bytes) -> tuple[str, bytes]:
    name, _, data = part.partition(b"\0")
    return name.decode(), data


def _as_local(name: str, of: type, ask: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> Callable[..., Any]:
    """A method that looks like the local one, refuses the same wrong arguments, and asks the server."""
    local = getattr(of, name)
    signature = inspect.signature(local)

    @functools.wraps(local)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        signature.bind(self, *args, **kwargs)
        return ask(self, args, kwargs)

    return asked


def _fit() -> None:
    for name in FRAMES:
        setattr(Remote, name, _as_local(name, Workbench, lambda city, a, k, name=name: city._ask(name, a, k)))  # type: ignore[misc]
    for name in CASE_FRAMES:
        setattr(RemoteCasebook, name, _as_local(name, Casebook, lambda book, a, k, name=name: book._city._ask(f"casebook.{name}", a, k)))  # type: ignore[misc]
    for name in CASE_VALUES:
        setattr(RemoteCasebook, name, _as_local(name, Casebook, lambda book, a, k, name=name: book._city._value(f"casebook.{name}", *a, **k)))  # type: ignore[misc]


_fit()
__all__ = ["CASE_FRAMES", "CASE_VALUES", "FRAMES", "TRACED", "VALUES", "Remote", "RemoteAgency", "RemoteCasebook", "connect"]

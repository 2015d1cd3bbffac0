"""An opened workspace: who is asking, the pinned versions, and the gate that every access passes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from workbench import agency as agencies
from workbench import gate
from workbench.casebook import Casebook, place
from workbench.errors import AccessRefused, BadInput, NotFound, WorkbenchError, did_you_mean
from workbench.lake import Lake, known
from workbench.layers import Layer
from workbench.oversight import masking
from workbench.oversight.access import Decision, Policy, require
from workbench.oversight.audit import Audit, Person
from workbench.oversight.policy import ASKED, DEEDS
from workbench.results import Origin, remember
from workbench.schema import TABLES
from workbench.session import asked
from workbench.session.shown import Shown


class Opened:
    """A workspace, a person and pinned versions.

    Args:
        path: the workspace folder.
        person: who asks; ``role`` "" = the role that agency.toml gives them. Programs that know who is asking (a server with accounts) name it.
        versions: table versions to pin; None = the newest.
        until: when an emergency access ends; None = a full span from now on.

    Raises:
        AccessRefused: the case, purpose or reason will not do; it is written to the audit.
    """

    def __init__(self, path: Path, person: Person, versions: dict[str, int] | None = None, *, until: datetime | None = None) -> None:
        self.path = path
        self.agency = agencies.read(path)
        self.policy = Policy.of(self.agency)
        self.audit = Audit(path / "audit.db")
        self.person = self._admitted(person)
        self.until = until or (datetime.now(UTC) + timedelta(minutes=self.policy.settings.emergency_minutes) if person.emergency else None)
        self.lake = Shown(path / "lake", self.decide, self.require, self._raw)
        self.versions = self.lake.check(versions) if versions is not None else self.lake.versions()
        self._write("open", path.name, versions=self.versions)
        if person.emergency and until is None:
            acting = self.policy.acting(self.person).name
            self._write("emergency", path.name, role=self.person.role, sees_as=acting, until=self.until, review="needed")

    def _admitted(self, person: Person) -> Person:
        """The person with their role and a trimmed reason, once what they bind has been checked; a refusal is written down."""
        person = replace(person, role=person.role or self.policy.chosen(person.user), case_number=person.case_number or None, purpose=person.purpose or None,
                         reason=person.reason.strip() if person.reason is not None else None)
        try:
            self.policy.role(person.role)
            if person.emergency:
                require(self.agency, person, "emergency")
            self.policy.bound(person, self._casebook)
        except WorkbenchError as error:
            self.audit.write(person, "open", self.path.name, phase="refused", error=type(error).__name__, said=str(error), role=person.role)
            raise
        return person

    @cached_property
    def _casebook(self) -> Casebook:
        return place.of(self.path)

    @property
    def casebook(self) -> Casebook:
        """Cases, subjects, leads and judgements.

        Raises:
            AccessRefused: the role does not work on cases.
        """
        self.require("cases")
        return self._casebook

    @property
    def user(self) -> str:
        """Who is asking."""
        return self.person.user

    @property
    def case(self) -> str | None:
        """The case bound."""
        return self.person.case_number

    @property
    def purpose(self) -> str | None:
        """The purpose bound."""
        return self.person.purpose

    @property
    def reason(self) -> str | None:
        """The reason bound."""
        return self.person.reason

    @property
    def role(self) -> str:
        """The role in which they ask."""
        return self.person.role

    def __repr__(self) -> str:
        bound = f"case {self.case}, {self.purpose}" if self.case else "no case bound: plates and persons are closed"
        if self.person.emergency:
            bound = f"EMERGENCY ACCESS until {self.until:%H:%M} UTC, reviewed afterwards"
        tables = ", ".join(f"{k} {v}" for k, v in sorted(self.versions.items()) if k in TABLES) or "no table yet"
        return f"Workbench of {self.agency.name} ({self.role}; {bound}; versions: {tables}{asked.moment_said(self.versions)})"

    def refresh(self) -> Self:
        """Pin the newest versions; a moment of knowledge stays. Returns self."""
        self.versions = {**self.lake.versions(), **{k: v for k, v in self.versions.items() if k == known.KEY}}
        self.__dict__.pop("asof", None)
        self._write("refresh", self.path.name, versions=self.versions)
        return self

    # ------------------------------------------------------------------ the gate

    @contextlib.contextmanager
    def deed(self, action: str, object: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """Write a deed of this person's to the audit: intent before the body, outcome after it. Put figures into the dict yielded."""
        with self.audit.deed(self.person, action, object, **detail, **self._marks) as outcome:
            outcome.update({"emergency": True} if self.person.emergency else {})
            self._alive()
            yield outcome

    @property
    def _marks(self) -> dict[str, Any]:
        return {"role": self.person.role} | ({"emergency": True} if self.person.emergency else {})

    def _write(self, action: str, object: str, **detail: Any) -> None:
        self.audit.write(self.person, action, object, **detail, **{k: v for k, v in self._marks.items() if k not in detail})

    def _alive(self) -> None:
        if self.until is not None and datetime.now(UTC) >= self.until:
            raise AccessRefused(f"The emergency access of {self.user} ended at {self.until:%Y-%m-%d %H:%M} UTC. Go on under a case: "
                                f"{self.policy.asking(('Plates and persons',)).partition('Open it so: ')[2]}")

    def decide(self, name: str) -> Decision:
        """What the policy says of this person and a table, now: allowed or not with the sentence, what is masked, how old rows may be.

        Raises:
            NotFound: no such table. AccessRefused: an emergency access is over.
        """
        self._alive()
        return self.policy.decide(self.person, name, datetime.now(UTC))

    def may(self, deed: str) -> bool:
        """Whether this person may do something: a word of ``workbench.oversight.policy.DEEDS``, e.g. "export"."""
        return self.policy.role(self.person.role).does(deed)

    def require(self, deed: str) -> None:
        """Go on only where the person may do something; a refusal is written to the audit.

        Raises:
            AccessRefused: their role may not, or an emergency access is over. BadInput: no such deed.
        """
        try:
            self._alive()
            require(self.agency, self.person, deed)
        except AccessRefused as error:
            self.audit.write(self.person, deed, self.path.name, phase="refused", error=type(error).__name__, said=str(error), **self._marks)
            raise

    def permit(self, deed: str, detail: Mapping[str, Any]) -> None:
        """Let a model answer a question that is asked of few only, or that must leave a trace; see ``workbench.results.permitted``.

        A deed of the policy ("all pairs") needs a role that may do it; every other one ("pattern of life", "description") a case, or an emergency.

        Raises:
            AccessRefused: the sentence says who may, or how to name a case; the refusal is written to the audit. BadInput: no such question.
        """
        if deed not in ASKED:
            raise BadInput(f"{deed!r} is not a question of a model that needs leave.{did_you_mean(deed, ASKED)}")
        with self.deed("ask", deed, asked=dict(detail)):
            if deed in DEEDS:
                require(self.agency, self.person, deed)
            elif not (self.person.case_number or self.person.emergency):
                raise AccessRefused(f"This is asked only for a case ({deed}). {self.policy.asking(('Plates and persons',)).partition(': ')[2]}")

    def enter(self, page: str, tables: Sequence[str], deeds: Sequence[str] = ()) -> None:
        """Open a page that rests on some tables: refused, and written down, where the role sees one of them neither under a case nor in an emergency,
        or where the page is for some deeds and the role may do none of them.

        Raises:
            AccessRefused: the sentence says which role does.
        """
        higher = self.policy.role(self.policy.settings.emergency_role)
        with self.deed("view", page):
            if deeds and not any(self.may(d) for d in deeds):
                who = ", ".join(r.name for r in self.policy.roles.values() if any(r.does(d) for d in deeds)) or "no role"
                raise AccessRefused(f"The role {self.role} does not see this page ({page}); it is for: {who}.")
            for name in tables:
                glass = self.may("emergency") and higher.sees(name)  # the page then asks for a case or an emergency; its rows pass the gate by themselves
                if name in TABLES and not self.policy.acting(self.person).sees(name) and not glass:
                    raise AccessRefused(self.decide(name).sentence)

    def may_see(self, name: str) -> bool:
        """Whether this workbench may show a table."""
        return self.decide(name).allowed

    def again(self) -> Self:
        """The same workspace and person at the newest versions, as another workbench; an emergency access ends when it would have ended."""
        self._alive()
        return type(self)(self.path, self.person, until=self.until)

    def _raw(self, source: str) -> bool:
        """Whether the raw text of a source's rejects may be seen: where all its tables are, whole; a source that is not known may be about anything."""
        from workbench import loaders

        try:
            tables: Sequence[str] = loaders.find(source, plugins=self.path / "plugins" / "loaders").tables
        except WorkbenchError:
            tables = tuple(TABLES)
        return all((d := self.decide(t)).allowed and not d.masked and not d.hidden for t in tables)

    def _need(self, names: Sequence[str]) -> None:
        role, wanted = self.policy.acting(self.person), [n for n in names if n in TABLES]
        for name in wanted:
            if not role.sees(name):
                raise AccessRefused(self.decide(name).sentence)
        closed = tuple(n for n in wanted if not self.may_see(n))
        if "rejects" in names:
            if role.masked() or not all(role.sees(t) for t in TABLES):
                raise AccessRefused(f"The text of rejected records may tell anything, so the role {role.name} does not ask for it in SQL; see city.rejects().")
            closed += ("rejects",) if not self.may_see("people") else ()
        if closed:
            raise AccessRefused(self.policy.asking(closed))

    def _aged(self, name: str, start: gate.When | None, end: gate.When | None) -> tuple[str, ...]:
        """Refuse a period that begins before the rows the role sees; where none was named, the note that older rows are left out."""
        decision = self.decide(name)
        if decision.oldest is None:
            return ()
        low, high = (None if v is None else self.agency.moment(v) for v in (start, end))
        role, days = self.policy.acting(self.person), self.policy.acting(self.person).limit(name)
        if (low is not None and low < decision.oldest) or (low is None and high is not None and high <= decision.oldest):
            raise AccessRefused(f"The role {role.name} sees {name} of the last {days} days only, from {decision.oldest:%Y-%m-%d %H:%M} UTC on; "
                                f"older rows are for: {self.policy.who(name, older=True)}.")
        return () if low is not None else (f"Rows of {name} before {decision.oldest:%Y-%m-%d %H:%M} UTC are left out: the role {role.name} sees "
                                           f"the last {days} days.",)

    def _noted(self, names: Sequence[str]) -> tuple[str, ...]:
        """What limits an answer over some tables: ages left out, columns empty, kinds masked."""
        found = []
        for name in names:
            decision = self.decide(name)
            found += [f"The role {self.policy.acting(self.person).name} sees {name} without {', '.join(decision.hidden)}."] if decision.hidden else []
            found += [f"In {name}, {', '.join(decision.masked)} are masked"
                      + (f"; positions of masked rows are those of cells of some 2 km (place_error_m {masking.ERROR_M:,.0f})." if "lon" in TABLES[name].columns
                         else ".")] if decision.masked else []
        return tuple(found)

    def _frame(self, name: str, where: Sequence[str], params: Sequence[Any], area: gate.Place | None = None, plate: str | None = None, /,
               **asked: Any) -> pl.DataFrame:
        with self.deed("query", name, **{k: str(v) for k, v in asked.items() if v is not None}) as outcome:
            self._need([name])
            notes = (*self._aged(name, asked.get("start"), asked.get("end")), *self._noted([name]))
            clauses, values = list(where), list(params)
            polygon = None if area is None else gate.polygon(self.agency, area)
            if polygon is not None:
                w, s, e, n = polygon.bounds
                clauses.append("lon between ? and ? and lat between ? and ?")
                values += [w, e, s, n]
            conditions = " and ".join(f"({c})" for c in clauses)
            if plate is None:
                frame = self.lake.frame(name, self.versions, where=conditions, params=values)
            else:
                frame = gate.only(self.lake.lookup(name, "plate", [plate], self.versions), conditions, values)
            if polygon is not None:
                frame = frame.filter(pl.Series(polygon.contains(frame["lon"].to_numpy(), frame["lat"].to_numpy())))
            if name == "incidents":
                frame = frame.with_columns(gate.offence_group(self.agency.offence_groups))
            outcome["rows"] = frame.height
        return remember(frame, self._origin(notes))

    def _origin(self, notes: tuple[str, ...] = ()) -> Origin:
        return Origin(self.path.name, dict(self.versions), self.base, (*notes, *self.gaps()), keep=self.keep, permit=self.permit, user=self.user)

    @cached_property
    def _counted(self) -> Lake:
        """The lake as it stands, for counts and newest times that are told to whoever sees a table under some case."""
        return Lake(self.path / "lake")

    def gaps(self) -> tuple[str, ...]:
        """What was known at this workbench's moment and is purged since, one sentence a table; () where it has no moment."""
        if known.KEY not in self.versions:
            return ()
        return asked.not_whole(asked.certificates(self.path), self.versions)

    def keep(self, versions: Mapping[str, int], why: str) -> dict[str, str]:
        """Pin the versions that something saved rests on, and say as SHA-256 what else of the workspace it rests on."""
        self.require("export")
        with self.deed("keep", why, versions=dict(versions)) as outcome:
            outcome["pin"] = self.lake.pin(versions, why, self.user)
        return asked.resting(self.path)

    def _known(self, name: str, column: str, value: str) -> None:
        if not self.may_see(name):
            return  # refused, and written down, where its rows are asked for
        known = self.lake.query(f"select distinct {column} v from {name} where {column} is not null", versions=self.versions)["v"].to_list()
        if value not in known and value not in (self.agency.beats if column == "beat" else ()):
            raise NotFound(f"No {column} {value!r} in {name}.{did_you_mean(value, known)}")

    @cached_property
    def _base(self) -> tuple[Layer, ...]:
        return gate.base_layers(self.agency)

    def base(self) -> tuple[Layer, ...]:
        """The agency's own base map as layers: water, streets, beats. Nothing comes from off the machine."""
        return self._base

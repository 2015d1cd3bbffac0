"""Who is asking, for which case and why: the Workbench object, the one gate that every access passes.

A workbench is opened once with case, purpose and reason; table versions are pinned until ``refresh()``. Each access is written to the
audit as intent, then done, then written as outcome. Frames come back as plain ``polars.DataFrame`` with canonical columns.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from workbench import agency as agencies
from workbench import gate
from workbench.errors import AccessRefused, BadInput, CannotTell, NotFound, whole
from workbench.gate import Place, When
from workbench.geo import Grid
from workbench.oversight.access import Policy
from workbench.oversight.audit import Audit, Person, current_user
from workbench.schema import TABLES
from workbench.session.asked import noting
from workbench.session.attaching import Attaching

if TYPE_CHECKING:
    from workbench.intake.quality import Quality

__all__ = ["Place", "When", "Workbench", "find_workspace", "open_workbench", "opened_for"]


def open_workbench(path: str | Path | None = None, *, case: str | None = None, purpose: str | None = None, reason: str | None = None,
                   versions: dict[str, int] | None = None, known: When | None = None, user: str | None = None, role: str | None = None,
                   emergency: bool = False, token: str | None = None) -> Workbench:
    """Open a workspace and bind who is asking, for which case and why.

    Args:
        path: the workspace folder; None = the nearest parent of the working directory that holds agency.toml. Or the address of a server that
            owns one: "grpc://127.0.0.1:8815", "grpc+unix:///run/workbench/workbench.sock", "grpc+tls://server:8815".
        case, purpose, reason: needed before any plate or person is shown: an open case of the casebook, a purpose of the agency's list, and a reason
            that says what is to be learnt, e.g. case="2026-0142", purpose="investigation", reason="who was near the scenes".
        versions: table versions of an earlier basis, to see the same state again; None = the newest.
        known: show what was known at this moment ("2026-05-01 18:00", local) and nothing recorded later; None = all. See ``Workbench.known``.
        user: who asks; None = the operating system's user. A server knows it by the token.
        role: in which of their roles, or a lower one; None = the first that agency.toml gives them.
        emergency: break the glass: see for a short time what a higher role sees, without a case but with a reason; reviewed afterwards.
        token: for a server; None = $WORKBENCH_TOKEN, else the file ~/.config/workbench/token.

    Raises:
        NotFound: there is no workspace, or a version is not there.
        BadInput: agency.toml has an error, or ``known`` lies in the future.
        AccessRefused: a role that is not theirs, a case that is not open, a purpose that is not on the list, or a reason that says nothing.
        SignInRefused: the server does not take the token.
    """
    if isinstance(path, str) and path.startswith("grpc") and "://" in path:
        from workbench.session import remote

        return remote.connect(path, case=case, purpose=purpose, reason=reason, versions=versions, user=user, token=token, role=role, emergency=emergency,
                              known=known)
    if token is not None:
        raise BadInput("token= is for a server, e.g. open_workbench('grpc://127.0.0.1:8815', token=...); a workspace folder needs none.")
    asked = Person(user or current_user(), case, purpose, reason, "", emergency)
    return opened_for(find_workspace(path), asked, role=role, versions=versions, known=known)


def opened_for(folder: Path, person: Person, *, role: str | None = None, versions: dict[str, int] | None = None, known: When | None = None) -> Workbench:
    """Open a workspace for a person whom a program knows: a server that they signed in to.

    Args:
        folder: the workspace.
        person: who asks; their ``role`` is that of their account, "" = what accounts or agency.toml give their name.
        role: the role they ask for, theirs or a lower one.
        versions, known: as for ``open_workbench``.

    Raises:
        As ``open_workbench``.
    """
    whole([person.user, person.case_number, person.purpose, person.reason, role], "What the workbench was opened with")
    try:
        chosen = Policy.of(agencies.read(folder)).chosen(person.user, role, (person.role,) if person.role else ())
    except AccessRefused as error:
        Audit(folder / "audit.db").write(replace(person, role=role or person.role), "open", folder.name, phase="refused", error=type(error).__name__,
                                         said=str(error))
        raise
    purpose = person.purpose or ("emergency" if person.emergency else None)
    city = Workbench(folder, replace(person, role=chosen, purpose=purpose), versions)
    return city if known is None else city.known(known)


def find_workspace(path: str | Path | None = None) -> Path:
    """The folder of a workspace: the one given, or the nearest parent of the working directory that holds agency.toml.

    Raises:
        NotFound: there is none.
    """
    start = Path(path).expanduser().resolve() if path is not None else Path.cwd()
    if path is not None:
        if not (start / agencies.FILE).is_file():
            raise NotFound(f"{path} is no workspace (it holds no {agencies.FILE}); make one with: workbench init {path} --sample")
        return start
    for folder in (start, *start.parents):
        if (folder / agencies.FILE).is_file():
            return folder
    raise NotFound(f"No workspace found from {start} upwards; make one with: workbench init city --sample, then use -w city.")


class Workbench(Attaching):
    """An opened workspace. Made by :func:`open_workbench`; see there."""

    def bind(self, *, case: str, purpose: str, reason: str | None = None) -> Workbench:
        """The same workspace, versions and role, bound to a case, a purpose and a reason; never an emergency access.

        Raises:
            AccessRefused: the case is not open, the purpose not on the list, or the reason says nothing.
        """
        return Workbench(self.path, Person(self.user, case, purpose, reason, self.role), self.versions)

    def emergency(self, reason: str) -> Workbench:
        """Break the glass: for some minutes what a higher role sees, without a case. Every entry is marked, and it is reviewed afterwards.

        Raises:
            AccessRefused: the role may not, or the reason says nothing.
        """
        return Workbench(self.path, Person(self.user, None, "emergency", reason, self.role, True), self.versions)

    # ------------------------------------------------------------------ where and when

    @cached_property
    def asof(self) -> datetime:
        """The end of the local day of the latest incident (not later than when it was recorded), UTC; now when there is none, or the role sees none.
        Never later than the moment of knowledge, where the workbench has one."""
        if not self.policy.acting(self.person).sees("incidents"):
            return self.cut(datetime.now(UTC))
        latest = self._counted.query("select max(started_at) v from incidents where started_at <= recorded_at", versions=self.versions)["v"][0]
        return self.cut(self.agency.end_of_day(latest) if latest is not None else datetime.now(UTC))

    def offences(self) -> list[str]:
        """The agency's offence groups."""
        return list(self.agency.offence_groups)

    def beats(self) -> list[str]:
        """Beats: those of the map, else those recorded."""
        if self.agency.beats:
            return list(self.agency.beats)
        with self.deed("query", "incidents", what="beats"):
            self._need(["incidents"])
        return self.lake.query("select distinct beat v from incidents where beat is not null order by 1", versions=self.versions)["v"].to_list()

    def areas(self) -> list[str]:
        """Names that ``area=`` takes: all, districts, beats."""
        return ["all", *self.agency.districts, *self.agency.beats] if self.agency.beats else ["all"] if self.agency.study_area is not None else []

    def grid(self, cell: float = 250.0, area: Place | None = None) -> Grid:
        """A grid over the study area (or a beat or district); without one, over where 99.8 % of the incidents lie.

        Raises:
            CannotTell: there is neither a study area nor an incident with a position.
        """
        if area is None and self.agency.study_area is None:
            with self.deed("query", "incidents", what="extent"):
                self._need(["incidents"])
        return gate.grid(self.agency, self.lake, self.versions, cell, area)

    def quality(self, name: str = "incidents") -> Quality:
        """How far the rows of a table can be trusted, and what their faults would do to a hotspot map; see ``workbench.intake.quality``."""
        from workbench.intake import quality

        frame = self.table(name)
        area = self.agency.study_area
        return quality.check(frame, name, zone=self.agency.zone, area=area, grid=self.grid() if area is not None else None)

    def warnings(self) -> list[str]:
        """What whoever works with this workspace must know today, one sentence each: hotlists that are stale, or of unknown age."""
        from workbench.models.plates import hotlist

        if not self.policy.acting(self.person).sees("hotlist"):
            return []
        lists = self._counted.query("select list_name, source, plate, valid_from, valid_to, listed_at from hotlist", versions=self.versions)
        try:
            found = hotlist.stale(lists, self.cut(datetime.now(UTC)), zone=self.agency.zone)
        except CannotTell as untold:
            return [*self.gaps(), *([str(untold)] if lists.height else [])]
        return [*self.gaps(), *found.table.filter(pl.col("stale").fill_null(True))["sentence"].to_list()]

    # ------------------------------------------------------------------ search

    @noting
    def search(self, text: str, table: str = "incidents", start: When | None = None, end: When | None = None, *, most: int = 100) -> pl.DataFrame:
        """Rows of a table that tell of some words in narrative, MO or wording, best first: key, at, score, column, snippet.

        ``sliding door`` (both words), ``"kicked in"``, ``pry*``, ``garage | shed``, ``-vehicle``; see ``workbench.lake.words``.

        Raises:
            BadInput: nothing to look for. NotFound: the table is not searched. AccessRefused: it is personal and no case is bound.
        """
        from workbench.lake import words

        with self.deed("search", table, text=text, start=str(start or ""), end=str(end or "")) as outcome:
            self._need([table])
            if table in TABLES:
                self._aged(table, start, end)
            where, params = gate.between(self.agency, TABLES[table].time, start, end) if table in TABLES and TABLES[table].time else ([], [])
            found = words.search(self.lake, table, self.versions, text, where=" and ".join(where), params=tuple(params), most=most)
            outcome["rows"] = found.height
        return found

    @noting
    def find(self, text: str, *, most: int = 40) -> pl.DataFrame:
        """Cases, incidents and (with case and purpose) vehicles, people, phones and addresses that match a text.

        Returns a frame kind, id ("<kind>:<key>"), label; nearest first: exact, then beginning with it, then holding it. O(rows of those tables).

        Raises:
            BadInput: fewer than two letters or digits. AccessRefused: the role sees nothing that could be found.
        """
        wanted = text.strip()
        if len(re.sub(r"\W", "", wanted)) < 2:
            raise BadInput(f"{text!r} is too short to search; give at least two letters or digits of a number, plate, name, phone or address.")
        with self.deed("search", "entities", text=wanted) as outcome:
            seen = [name for name in gate.SEARCHED_TABLES if self.may_see(name)]
            cases = self._casebook if self.may("cases") else None
            if not seen and cases is None:
                raise AccessRefused(f"The role {self.role} sees neither facts nor cases, so there is nothing for it to search.")
            found = gate.find(self.lake, self.versions, cases, wanted, tables=seen, most=most)
            outcome["rows"] = found.height
        return found

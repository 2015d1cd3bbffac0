"""Who may see and do what? One decision for a person, a table and a moment, asked by every way into the workbench."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.agency import Agency
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput, NotFound, did_you_mean
from workbench.oversight import masking, policy, reasons
from workbench.oversight.audit import Person
from workbench.oversight.policy import ALL, DEEDS, Role
from workbench.schema import TABLES, table


@dataclass(frozen=True)
class Decision:
    """What was decided: ``sentence`` says why, ``masked`` are the kinds masked in the table, ``hidden`` its empty columns, ``oldest`` the earliest seen."""

    allowed: bool
    sentence: str
    masked: tuple[str, ...] = ()
    oldest: datetime | None = None
    hidden: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the table is seen as it stands."""
        return self.allowed and not self.masked and self.oldest is None and not self.hidden


@dataclass(frozen=True)
class Policy:
    """An agency's roles and its [access] settings."""

    roles: dict[str, Role]
    settings: policy.Settings
    workspace: str = "city"
    example: str = "2026-0142"
    folder: Path | None = None

    @classmethod
    def of(cls, agency: Agency) -> Policy:
        """The policy of an agency, made once for each reading of agency.toml.

        Raises:
            BadInput: [roles] or [access] has an error.
        """
        held = agency.__dict__.get("_policy")
        if held is None:
            roles = policy.roles(agency.settings.get("roles", {}))
            held = cls(roles, policy.settings(agency.settings.get("access", {}), roles), agency.folder.name, agency.demo_case or "2026-0142",
                       agency.folder)
            agency.__dict__["_policy"] = held
        return held

    def held(self, user: str) -> tuple[str, ...]:
        """The roles given to a user, by their account where they have one; the first is taken where none is asked for.

        Raises:
            AccessRefused: their account was closed.
        """
        from workbench.oversight import accounts

        of_account = accounts.role_of(self.folder, user) if self.folder is not None and (self.folder / accounts.FILE).exists() else None
        if of_account is not None:
            return (of_account,)
        return self.settings.people.get(user, self.settings.default)

    def chosen(self, user: str, asked: str | None = None, held: tuple[str, ...] = ()) -> str:
        """The role in which a user acts: the one asked for where they hold it or one above it, else their first. ``held``: where a server knows it.

        Raises:
            AccessRefused: it is not theirs. NotFound: there is no such role.
        """
        held = held or self.held(user)
        if not asked:
            return held[0]
        role = self.role(asked)
        if asked in held or any(role.within(self.roles[h]) for h in held):
            return asked
        raise AccessRefused(f"{user} does not hold the role {asked} ({'is' if len(held) == 1 else 'holds'} {', '.join(held)}); "
                            "whoever keeps agency.toml can give it under [access] people.")

    def role(self, name: str) -> Role:
        """A role by name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.roles:
            raise NotFound(f"There is no role {name!r}.{did_you_mean(name, self.roles)}")
        return self.roles[name]

    def acting(self, person: Person) -> Role:
        """The role whose sight a person has: their own, or in an emergency the higher one."""
        own = self.role(person.role or self.held(person.user)[0])
        higher = self.roles[self.settings.emergency_role]
        return higher if person.emergency and not higher.within(own) else own

    def needs_case(self, name: str) -> bool:
        """Whether a table is shown only for a case, a purpose and a reason."""
        return table(name).personal or name in self.settings.needs_case

    def who(self, name: str, *, older: bool = False) -> str:
        """The roles that see a table (older rows of it: without a limit of days), in words."""
        found = [r.name for r in self.roles.values() if r.sees(name) and not (older and r.limit(name))]
        return _listed(found) or "no role"

    def decide(self, person: Person, name: str, now: datetime) -> Decision:
        """Whether a person sees a table, and what of it.

        Raises:
            NotFound: no such table.
        """
        role, spec = self.acting(person), table(name)
        if not role.sees(name):
            return Decision(False, f"The role {role.name} does not see {name}; {self.who(name)} {'do' if ' and ' in self.who(name) else 'does'}.")
        if self.needs_case(name) and not person.emergency and not (person.case_number and person.purpose and person.reason):
            return Decision(False, self.asking((name,)))
        limit = role.limit(name)
        kinds = tuple(k for k in role.masked() if masking.touches(name, k))
        hidden = tuple(c for c in role.hidden.get(name, ()) if c in spec.columns)
        says = [f"The role {role.name} sees {name}"]
        says += [f" of the last {limit} days"] if limit else []
        says += [f" without {_listed(hidden)}"] if hidden else []
        says += [f"; {_listed(kinds)} are masked"] if kinds else []
        return Decision(True, "".join(says) + ".", kinds, now - timedelta(days=limit) if limit else None, hidden)

    def asking(self, names: tuple[str, ...]) -> str:
        """How to open a workbench that may show tables about plates and persons."""
        about = "about plates or persons" if any(n not in TABLES or TABLES[n].personal for n in names) else "shown only for a case"
        return (f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {about}: a case and a purpose are needed, and a reason. Open it so: "
                f"wb.open_workbench({self.workspace!r}, case={self.example!r}, purpose={self.settings.purposes[0]!r}, reason={reasons.EXAMPLE!r})")

    def bound(self, person: Person, casebook: Casebook) -> None:
        """Check what a person binds: a purpose of the list, a reason that means something, a case that is there and open. Nothing bound passes.

        Raises:
            AccessRefused: one of them will not do; the sentence says what would.
        """
        if person.emergency:
            reasons.check(person.reason, case=person.case_number, purpose=person.purpose)
            return
        if person.purpose and person.purpose not in self.settings.purposes:
            raise AccessRefused(f"The purpose {person.purpose!r} is not on the agency's list.{did_you_mean(person.purpose, self.settings.purposes)}")
        if person.reason is not None or (person.case_number and person.purpose):
            reasons.check(person.reason, case=person.case_number, purpose=person.purpose)
        if person.case_number:
            role = self.acting(person)
            try:
                case = casebook.case(person.case_number)
            except NotFound as untold:
                raise AccessRefused(f"{untold} A case is opened with: workbench case NUMBER --title TITLE") from None
            if case["status"] != "open" and not role.does("closed cases"):
                who = _listed([r.name for r in self.roles.values() if r.does("closed cases")]) or "no role"
                raise AccessRefused(f"Case {person.case_number} is {case['status']}, so nothing is looked into under it; {who} may.")


def require(agency: Agency, person: Person, deed: str) -> None:
    """Ask whether a person may do something (a word of ``policy.DEEDS``). The caller writes the refusal to the audit (``Audit.deed`` does).

    Raises:
        AccessRefused: their role may not; the sentence says which may. BadInput: no such deed.
    """
    if deed not in DEEDS:
        raise BadInput(f"There is no deed {deed!r}.{did_you_mean(deed, DEEDS)}")
    held = Policy.of(agency)
    role = held.role(person.role or held.held(person.user)[0])  # an emergency lets somebody see more, not do more
    if not role.does(deed):
        who = _listed([r.name for r in held.roles.values() if r.does(deed)]) or "no role"
        raise AccessRefused(f"The role {role.name} of {person.user} may not do this ({deed}: {DEEDS[deed]}); {who} may." + _unset(agency, person))


def _unset(agency: Agency, person: Person) -> str:
    """How to give roles, for a workspace that says nothing of them yet."""
    if "access" in agency.settings:
        return ""
    return f' agency.toml gives nobody a role yet; write into it: [access] people = {{ {person.user} = ["supervisor", "administrator", "auditor"] }}'


def matrix(held: Policy) -> list[dict[str, Any]]:
    """What each role sees of each table, one row a table: "all", "30 d", "masked", "" (nothing); "*" behind it = only for a case."""
    rows = []
    for name in TABLES:
        row: dict[str, Any] = {"table": name}
        for role in held.roles.values():
            limit = role.limit(name)
            parts = [f"{limit} d"] if limit else []
            parts += ["masked"] if any(masking.touches(name, k) for k in role.masked()) else []
            parts += ["part"] if role.hidden.get(name) else []
            row[role.name] = (", ".join(parts) or "all") + ("*" if held.needs_case(name) else "") if role.sees(name) else ""
        rows.append(row)
    return rows


def _listed(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


__all__ = ["ALL", "Decision", "Policy", "matrix", "require"]

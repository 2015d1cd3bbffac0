"""What a role is: which tables, columns and ages of data it sees, what of it is masked, and what it may do; read from agency.toml.

``[roles]`` overrides a built-in role of the same name whole; ``[access]`` says who has which role. Every key is checked when a workspace is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import BadInput, did_you_mean
from workbench.schema import TABLES

ALL = "*"
#: What is masked for a role that does not have it in ``unmasked``.
KINDS = ("victims", "juveniles", "sexual offences")
#: What a role may do beside seeing facts.
DEEDS = {
    "load": "take facts in: load, fetch, watch, map, geocode, mend rejects",
    "upkeep": "look after the lake: compact, vacuum, pin",
    "export": "write rows out of the workbench: rejects, rows behind a finding",
    "brief": "run briefings",
    "all pairs": "look for vehicles that travel together among all plates at once, not of one plate or scene",
    "cases": "see the casebook and open cases",
    "closed cases": "work under a case that is closed",
    "serve": "serve the hub and the apps, open the notebook server",
    "emergency": "break the glass: see for a short time what a higher role sees, reviewed afterwards",
    "review": "work through the review queue",
    "approve": "approve what others ask for",
    "hold": "put facts under a legal hold, and lift it",
    "purge": "delete what is past its limit, and expunge",
    "intelligence": "keep intelligence records apart from facts",
    "people": "add, lock and change accounts",
    "settings": "change what the workspace is: complete it, change its settings",
    "audit": "read and verify the audit",
}
#: Questions of models that go through the gate once more: a deed needs its role, the others a case.
ASKED = ("all pairs", "pattern of life", "description")
PURPOSES = ("investigation", "missing person", "officer safety", "court preparation", "training")
_OPEN = ("incidents", "calls", "call_events", "gunshots", "people_counts", "closures", "events", "cameras", "units", "boundaries", "streets", "rooms")
_ANALYST = tuple(t for t in TABLES if not TABLES[t].personal)
_WHAT = ("offence_code", "offence", "offence_detail", "nibrs", "mo", "weapon", "narrative", "domestic", "arrest", "status")


@dataclass(frozen=True)
class Role:
    """What people of a role see and may do.

    Args:
        tables: tables seen, "*" = all.
        hidden: table -> columns that are empty for this role.
        unmasked: kinds of KINDS seen as they are, "*" = all.
        days: table -> rows are seen for so many days, counted back from now; "*" = every table that has a time.
        may: deeds of DEEDS, "*" = all.
    """

    name: str
    tables: tuple[str, ...] = ()
    hidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmasked: tuple[str, ...] = ()
    days: Mapping[str, int] = field(default_factory=dict)
    may: tuple[str, ...] = ()
    about: str = ""

    def sees(self, table: str) -> bool:
        """Whether the role sees a table at all."""
        return ALL in self.tables or table in self.tables

    def does(self, deed: str) -> bool:
        """Whether the role may do a deed."""
        return ALL in self.may or deed in self.may

    def masked(self) -> tuple[str, ...]:
        """The kinds that are masked for the role."""
        return () if ALL in self.unmasked else tuple(k for k in KINDS if k not in self.unmasked)

    def limit(self, table: str) -> int | None:
        """Days for which rows of a table are seen; None = however old."""
        return self.days.get(table, self.days.get(ALL)) if TABLES[table].time else None

    def within(self, other: Role) -> bool:
        """Whether the role sees and does nothing that another does not: a lower role, which whoever holds the other may take."""
        mine = [t for t in TABLES if self.sees(t)]
        aged = all(other.limit(t) is None or (self.limit(t) or 10**9) <= (other.limit(t) or 0) for t in mine)
        columns = all(set(other.hidden.get(t, ())) <= set(self.hidden.get(t, ())) for t in mine)
        return (all(other.sees(t) for t in mine) and aged and columns and set(other.masked()) <= set(self.masked())
                and all(other.does(d) for d in DEEDS if self.does(d)))


#: Roles of an agency that names none of its own by these names.
DEFAULTS: dict[str, Role] = {r.name: r for r in (
    Role("patrol", (*_OPEN, "hotlist"), days={"calls": 90, "incidents": 365}, may=("emergency",), about="what happened and what is wanted"),
    Role("analyst", _ANALYST, may=("load", "export", "brief", "cases", "serve", "emergency"), about="patterns and forecasts; no persons, no plates"),
    Role("detective", (ALL,), unmasked=(ALL,), days={"reads": 30}, may=("load", "export", "brief", "cases", "serve", "emergency", "intelligence"),
         about="case work, under a case, a purpose and a reason"),
    Role("supervisor", (ALL,), unmasked=(ALL,), may=("load", "upkeep", "export", "brief", "cases", "closed cases", "serve", "emergency", "intelligence",
                                                     "all pairs", "review", "approve", "hold"), about="older reads, closed cases, approvals, review"),
    Role("auditor", (), may=("audit", "review"), about="the audit and the review queue, no facts"),
    Role("ems", ("calls", "call_events", "incidents", "closures", "events", "units", "boundaries", "streets", "rooms"),
         hidden={"incidents": _WHAT}, days={"calls": 30, "incidents": 30}, about="where help is needed; no offences, plates or persons"),
    Role("administrator", (), may=("load", "upkeep", "purge", "people", "settings", "serve"), about="people, settings and upkeep, no facts"),
)}


@dataclass(frozen=True)
class Settings:
    """[access]: who has which role, and what is asked of them."""

    default: tuple[str, ...] = ("analyst",)
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    purposes: tuple[str, ...] = PURPOSES
    needs_case: frozenset[str] = frozenset()
    emergency_role: str = "supervisor"
    emergency_minutes: int = 60


def roles(section: Mapping[str, Any]) -> dict[str, Role]:
    """The roles of an agency: the built-in ones, overridden and joined by those of [roles].

    Raises:
        BadInput: a key, table, column, kind or deed that is not there; the message names the nearest.
    """
    return {**DEFAULTS, **{name: _role(name, value) for name, value in section.items()}}


def settings(section: Mapping[str, Any], known: Mapping[str, Role]) -> Settings:
    """[access] of agency.toml.

    Raises:
        BadInput: an unknown key or role, or a value of another kind.
    """
    keys = ("default_role", "people", "purposes", "needs_case", "emergency_role", "emergency_minutes")
    _keys("agency.toml [access]", section, keys)
    people = section.get("people", {})
    if not isinstance(people, Mapping):
        raise BadInput('agency.toml [access] people must say who has which role, e.g. people = { anna = "detective" }.')
    minutes = section.get("emergency_minutes", 60)
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= 60:
        raise BadInput(f"agency.toml [access] emergency_minutes = {minutes!r}; write whole minutes from 1 to 60.")
    purposes = _texts("[access] purposes", section.get("purposes", list(PURPOSES)))
    if not purposes:
        raise BadInput('agency.toml [access] purposes names none; write e.g. purposes = ["investigation", "missing person"].')
    return Settings(
        default=_named("default_role", section.get("default_role", "analyst"), known),
        people={str(who): _named(f"people.{who}", held, known) for who, held in people.items()},
        purposes=purposes, needs_case=frozenset(_tables("[access] needs_case", section.get("needs_case", []))),
        emergency_role=_named("emergency_role", section.get("emergency_role", "supervisor"), known)[0], emergency_minutes=minutes)


def _named(key: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    found = _texts(f"[access] {key}", [value] if isinstance(value, str) else value)
    for name in found:
        if name not in set(known):
            raise BadInput(f"agency.toml [access] {key} names the role {name!r}, which there is not.{did_you_mean(name, known)}")
    if not found:
        raise BadInput(f'agency.toml [access] {key} names no role; write e.g. "detective".')
    return found


def _role(name: str, value: Any) -> Role:
    where = f"agency.toml role {name}"
    if not isinstance(value, Mapping):
        raise BadInput(f'{where} = {value!r}; write {{ tables = ["incidents", "calls"], may = ["brief"], about = "..." }}.')
    _keys(where, value, ("tables", "hidden", "unmasked", "days", "may", "about"))
    hidden, days = value.get("hidden", {}), value.get("days", {})
    if not isinstance(hidden, Mapping) or not isinstance(days, Mapping):
        raise BadInput(f'{where}: hidden and days are by table, e.g. hidden = {{ incidents = ["narrative"] }}, days = {{ reads = 30 }}.')
    for table, columns in hidden.items():
        about = TABLES[_tables(f"role {name} hidden", [table])[0]]
        for column in _texts(f"role {name} hidden {table}", columns):
            if column not in about.columns or column in (*about.key, about.time):
                free = [c for c in about.columns if c not in (*about.key, about.time)]
                raise BadInput(f"{where} hides {column!r} of {table}, which is no column that can be hidden.{did_you_mean(column, free)}")
    for table, limit in days.items():
        if table != ALL and not TABLES[_tables(f"role {name} days", [table])[0]].time:
            raise BadInput(f"{where} limits the age of {table}, whose rows have no time; leave it out.")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise BadInput(f"{where} days {table} = {limit!r}; write whole days, e.g. {table} = 30.")
    return Role(
        name, _tables(f"role {name} tables", value.get("tables", [])), {t: tuple(c) for t, c in hidden.items()},
        _among(f"{where} unmasked", value.get("unmasked", []), KINDS), dict(days), _among(f"{where} may", value.get("may", []), DEEDS),
        str(value.get("about", "")))


def _keys(where: str, section: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in section:
        if key not in known:
            raise BadInput(f"{where} has an unknown key {key!r}.{did_you_mean(key, known)}")


def _texts(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v.strip() for v in value):
        raise BadInput(f'agency.toml {where} = {value!r}; write a list of texts, e.g. ["incidents", "calls"].')
    return tuple(value)


def _among(where: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    for word in (found := _texts(where.removeprefix("agency.toml "), value)):
        if word != ALL and word not in set(known):
            raise BadInput(f"{where} names {word!r}.{did_you_mean(word, known)}")
    return found


def _tables(where: str, value: Any) -> tuple[str, ...]:
    return _among(f"agency.toml {where}", value, TABLES)

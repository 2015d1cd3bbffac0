"""An opened workspace: who is asking, the pinned versions, and the gate that every access passes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from workbench import agency as agencies
from workbench import gate
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, NotFound, did_you_mean
from workbench.lake import Lake
from workbench.layers import Layer
from workbench.oversight.audit import Audit, Person
from workbench.results import Origin, remember
from workbench.schema import TABLES, table


class Opened:
    """A workspace, a person and pinned versions."""

    def __init__(self, path: Path, person: Person, versions: dict[str, int] | None = None) -> None:
        self.path = path
        self.agency = agencies.read(path)
        self.lake = Lake(path / "lake")
        self.audit = Audit(path / "audit.db")
        self.person = person
        self.versions = self.lake.check(versions) if versions is not None else self.lake.versions()
        self.audit.write(person, "open", path.name, versions=self.versions)

    @cached_property
    def casebook(self) -> Casebook:
        """Cases, subjects, leads and judgements."""
        return Casebook(self.path / "casebook.db")

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

    def __repr__(self) -> str:
        bound = f"case {self.case}, {self.purpose}" if self.case else "no case bound: plates and persons are closed"
        tables = ", ".join(f"{k} {v}" for k, v in sorted(self.versions.items()) if k in TABLES) or "no table yet"
        return f"Workbench of {self.agency.name} ({bound}; versions: {tables})"

    def refresh(self) -> Self:
        """Pin the newest versions; returns self."""
        self.versions = self.lake.versions()
        self.__dict__.pop("asof", None)
        self.audit.write(self.person, "refresh", self.path.name, versions=self.versions)
        return self

    # ------------------------------------------------------------------ the gate

    @contextlib.contextmanager
    def deed(self, action: str, object: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """Write a deed of this person's to the audit: intent before the body, outcome after it. Put figures into the dict yielded."""
        with self.audit.deed(self.person, action, object, **detail) as outcome:
            yield outcome

    def may_see(self, name: str) -> bool:
        """Whether this workbench may show a table."""
        return not table(name).personal or bool(self.case and self.purpose)

    def _need(self, names: Sequence[str]) -> None:
        closed = [n for n in names if n in TABLES and not self.may_see(n) or n == "rejects" and not (self.case and self.purpose)]
        if closed:
            raise AccessRefused(
                f"{', '.join(closed)} {'is' if len(closed) == 1 else 'are'} about plates or persons: a case and a purpose are needed. Open it so: "
                f"wb.open_workbench({self.path.name!r}, case={self.agency.demo_case or '2026-0142'!r}, purpose='investigation', "
                "reason='who was near the scenes')")

    def _frame(self, name: str, where: Sequence[str], params: Sequence[Any], area: gate.Place | None = None, plate: str | None = None, /,
               **asked: Any) -> pl.DataFrame:
        with self.deed("query", name, **{k: str(v) for k, v in asked.items() if v is not None}) as outcome:
            self._need([name])
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
        return remember(frame, self._origin())

    def _origin(self) -> Origin:
        return Origin(self.path.name, dict(self.versions), self.base)

    def _known(self, name: str, column: str, value: str) -> None:
        known = self.lake.query(f"select distinct {column} v from {name} where {column} is not null", versions=self.versions)["v"].to_list()
        if value not in known and value not in (self.agency.beats if column == "beat" else ()):
            raise NotFound(f"No {column} {value!r} in {name}.{did_you_mean(value, known)}")

    @cached_property
    def _base(self) -> tuple[Layer, ...]:
        return gate.base_layers(self.agency)

    def base(self) -> tuple[Layer, ...]:
        """The agency's own base map as layers: water, streets, beats. Nothing comes from off the machine."""
        return self._base

"""Expungement: a court's order removes a person from facts, cases and outputs, with a certificate.

The person's records and the rows that tie them (involvements, associations, arrests, interviews, warrants) go with every edition; so do vehicles,
phones and addresses that nobody else is tied to, and the calls of those phones' numbers. Their ids and whole names leave every other file unless a
row that stays has them; the ids are barred, so that an export sent again does not bring the person back. Case evidence stays unless the order seals it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench import casebook, schema
from workbench.casebook import place
from workbench.engines.duckdb import literal
from workbench.errors import BadInput, NotFound, whole
from workbench.lake import Lake
from workbench.lake.purge import Selection
from workbench.oversight import holds, purge
from workbench.oversight.certificate import Certificate

#: Tables of things that go with the person when nobody else is tied to them, by the word for them in ties.
_THINGS = {"vehicle": "vehicles", "phone": "phones", "address": "addresses"}


@dataclass(frozen=True)
class Order:
    """A court's order: court, number, date (ISO), the person's record ids, and whether it seals case evidence, too.

    Raises:
        BadInput: something is missing.
    """

    court: str
    number: str
    date: str
    persons: tuple[str, ...]
    evidence_too: bool = False

    def __post_init__(self) -> None:
        whole([self.court, self.number, self.date, self.persons], "The order")
        if not self.court.strip() or not self.number.strip() or not self.persons or not all(p.strip() for p in self.persons):
            raise BadInput("An expungement order names its court, its number and the ids of the person's records.")
        try:
            date.fromisoformat(self.date)
        except ValueError:
            raise BadInput(f"The order's date {self.date!r} is not a date; write it as 2026-05-01.") from None


def preview(path: str | Path, order: Order) -> dict[str, int]:
    """Table -> rows (current) that the order removes.

    Raises:
        NotFound: no record has one of the ids.
    """
    lake = Lake(Path(path) / "lake")
    selection = _selection(lake, order)
    found = {t: lake.frame(t, where=where).height for t, where in selection.rows.items()}
    return {t: n for t, n in found.items() if n}


def run(path: str | Path, order: Order, *, user: str) -> Certificate:
    """Carry an order out; see the module. One that was killed is finished by the next purge or expungement.

    Raises:
        NotFound: no record has one of the ids. BadInput: a legal hold in force keeps a row of the person. WorkbenchError: a watcher does not answer.
    """
    folder = purge._workspace(path)
    lake = Lake(folder / "lake")
    with purge.locked(folder):
        purge.finish(folder)
        selection = _selection(lake, order)
        versions, moment = lake.versions(), datetime.now(UTC)
        kept = {t: f for t, f in holds.held(folder, lake, versions, moment).items() if t in selection.rows and f.height}
        for table, frame in kept.items():
            key = list(schema.TABLES[table].key)
            here = lake.frame(table, versions, where=selection.rows[table]).join(frame, on=key)
            if here.height:
                raise BadInput(f"Hold {here['hold_id'][0]} keeps {here.height:,} rows of {table} that the order means; have the court settle that, and "
                               "release the hold first.")
        sealed = _evidence(folder, lake, selection) if order.evidence_too else []
        said = f"order {order.number} of {order.court}, {order.date}"
        about = {"kind": "Expungement", "user": user, "reason": said, "policy": [said], "moment": moment.isoformat(), "holds": [], "order": said,
                 "evidence": sealed, "persons": list(order.persons), "outputs_before": None, "cases_before": None}
        purge_id = purge.new_id("expunge")
        purge.begin(folder, purge_id, lake, selection, about, sorted(order.persons))
        return purge.carry_on(folder, purge_id)


def _selection(lake: Lake, order: Order) -> Selection:
    versions = lake.versions()
    ids = ", ".join(map(literal, order.persons))
    rows = {}
    for table, about in schema.TABLES.items():
        parts = [f"person_id in ({ids})"] if "person_id" in about.columns else []
        if "entity_kind" in about.columns:
            parts.append(f"(entity_kind = 'person' and entity_id in ({ids}))")
        if parts and table in versions:
            rows[table] = " or ".join(parts)
    if not any(lake.frame(t, versions, where=w).height for t, w in rows.items()):
        raise NotFound(f"No record has the id {', '.join(order.persons)}; the order can have been carried out already (workbench retention show).")
    for kind, table in _THINGS.items():
        lonely = _lonely(lake, versions, kind, rows)
        if lonely and table in versions:
            rows[table] = f"{schema.TABLES[table].key[0]} in ({', '.join(map(literal, lonely))})"
    numbers = _numbers(lake, versions, rows) if "phone_calls" in versions else []
    if numbers:
        rows["phone_calls"] = " or ".join(f"{c} in ({', '.join(map(literal, numbers))})" for c in ("caller", "called"))
    return Selection(rows=rows, barred=order.persons)


def _numbers(lake: Lake, versions: dict[str, int], rows: dict[str, str]) -> list[str]:
    """The numbers, of every edition, of the telephones that go, but for those that a telephone which stays has."""
    if "phones" not in rows:
        return []
    con = lake.connect()
    try:
        every, now = (lake.relation_sql("phones", versions, history=h) for h in (True, False))
        found = con.execute(f"select distinct number from {every} where number is not null and ({rows['phones']}) and number not in "
                            f"(select number from {now} where number is not null and not ({rows['phones']})) order by 1").fetchall()
    finally:
        con.close()
    return [str(n) for (n,) in found]


def _lonely(lake: Lake, versions: dict[str, int], kind: str, rows: dict[str, str]) -> list[str]:
    """The things of a kind that the person is tied to and nothing else is."""
    if "associations" not in rows:
        return []
    ties = lake.frame("associations", versions, where=f"entity_kind = {literal(kind)} and ({rows['associations']})")["entity_id"].unique()
    if ties.is_empty():
        return []
    named = f"entity_kind = {literal(kind)} and entity_id in ({', '.join(map(literal, ties.to_list()))})"
    others = lake.frame("associations", versions, where=f"{named} and not ({rows['associations']})")["entity_id"].to_list()
    if "involvements" in versions:
        others += lake.frame("involvements", versions, where=named)["entity_id"].to_list()
    return sorted(set(ties.to_list()) - set(others))


def _evidence(folder: Path, lake: Lake, selection: Selection) -> list[int]:
    """The numbers of the evidence whose rows the order means."""
    keys: dict[str, set[Any]] = {t: set(lake.frame(t, where=w).select(list(schema.TABLES[t].key)).rows()) for t, w in selection.rows.items()}
    columns = (casebook.evidence.c.evidence_id, casebook.evidence.c.table_name, casebook.evidence.c.row_key)
    if not place.there(folder):
        return []
    with place.of(folder).engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(casebook.evidence.c.row_json.is_not(None))).all()
    return [int(n) for n, table, key in rows if tuple(json.loads(key)) in keys.get(table, ())]

"""What a purge or an order does to cases: those closed beyond their limit lose evidence, leads and subjects; evidence of an order's person is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench import casebook
from workbench.casebook import place


def forget(folder: Path, said: Mapping[str, Any]) -> list[str]:
    """Empty the cases that were closed before ``said["cases_before"]``, and seal or delete the evidence rows ``said["evidence"]``; gives what was done."""
    if not place.there(folder):
        return []
    done: list[str] = []
    with place.of(folder).engine.begin() as db:
        if said.get("cases_before"):
            query = sa.select(casebook.closings.c.case_number).where(casebook.closings.c.closed_at < datetime.fromisoformat(said["cases_before"]))
            for (number,) in db.execute(query).all():
                done += _empty(db, str(number))
        for number in said.get("evidence", ()):
            where = casebook.evidence.c.evidence_id == number
            db.execute(casebook.evidence.update().where(where).values(row_json=None, row_key="[]", why="(sealed by an order)", sealed_by=said["order"]))
        if said.get("evidence"):
            done.append(f"casebook: {len(said['evidence']):,} pieces of evidence sealed by the order")
    return done


def _empty(db: sa.Connection, number: str) -> list[str]:
    lead = sa.select(casebook.leads.c.lead_id).where(casebook.leads.c.case_number == number)
    count = db.execute(casebook.judgements.delete().where(casebook.judgements.c.lead_id.in_(lead))).rowcount
    for table in (casebook.leads, casebook.subjects, casebook.evidence):
        count += db.execute(table.delete().where(table.c.case_number == number)).rowcount
    return [f"casebook: case {number} is beyond the limit of closed cases; {count:,} rows of evidence, leads and subjects deleted"] if count else []

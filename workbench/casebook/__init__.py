"""The casebook: what people do - cases, their subjects, leads and judgements. Transactions, so SQLAlchemy (SQLite, or PostgreSQL by URL).

What the machine says (a lead) and what a person decided (a judgement) are separate rows: a lead is not a match until someone judges it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench.errors import BadInput, NotFound, did_you_mean

_meta = sa.MetaData()
cases = sa.Table(
    "cases", _meta,
    sa.Column("case_number", sa.String, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False, default="open"),
    sa.Column("purpose", sa.String),
    sa.Column("reason", sa.String),
    sa.Column("opened_by", sa.String, nullable=False),
    sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
)
subjects = sa.Table(
    "case_subjects", _meta,
    sa.Column("case_number", sa.ForeignKey("cases.case_number"), primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),  # "<kind>:<key>"
    sa.Column("why", sa.String, nullable=False),
    sa.Column("added_by", sa.String, nullable=False),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
)
leads = sa.Table(
    "leads", _meta,
    sa.Column("lead_id", sa.Integer, primary_key=True),
    sa.Column("case_number", sa.ForeignKey("cases.case_number"), nullable=False),
    sa.Column("entity", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("basis", sa.String, nullable=False),  # the Basis as JSON
    sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
)
judgements = sa.Table(
    "judgements", _meta,
    sa.Column("judgement_id", sa.Integer, primary_key=True),
    sa.Column("lead_id", sa.ForeignKey("leads.lead_id"), nullable=False),
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("judged_by", sa.String, nullable=False),
    sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
)
evidence = sa.Table(
    "case_evidence", _meta,
    sa.Column("evidence_id", sa.Integer, primary_key=True),
    sa.Column("case_number", sa.ForeignKey("cases.case_number"), nullable=False),
    sa.Column("table_name", sa.String, nullable=False),
    sa.Column("row_key", sa.String, nullable=False),  # the key's values as a JSON list
    sa.Column("row_json", sa.String),  # every edition up to then as canonical JSON; null = sealed by an order
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("attached_by", sa.String, nullable=False),
    sa.Column("attached_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("sealed_by", sa.String),
    sa.UniqueConstraint("case_number", "table_name", "row_key", "sha256"),
)
closings = sa.Table(
    "case_closings", _meta,
    sa.Column("case_number", sa.ForeignKey("cases.case_number"), primary_key=True),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("closed_by", sa.String, nullable=False),
    sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
)
holds = sa.Table(
    "holds", _meta,
    sa.Column("hold_id", sa.Integer, primary_key=True),
    sa.Column("matter", sa.String, nullable=False),  # case number or matter
    sa.Column("sworn_by", sa.String, nullable=False),
    sa.Column("facts", sa.String, nullable=False),
    sa.Column("citation", sa.String, nullable=False),
    sa.Column("selector", sa.String, nullable=False),  # JSON, see oversight.holds
    sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("made_by", sa.String, nullable=False),
    sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("released_by", sa.String),
    sa.Column("released_at", sa.DateTime(timezone=True)),
    sa.Column("release_why", sa.String),
)
VERDICTS = ("confirmed", "ruled out", "unsure")
STATUSES = ("open", "closed")
KINDS = ("incident", "person", "vehicle", "phone", "address", "read")


class Casebook:
    """The work store of one workspace.

    Args:
        url: an SQLAlchemy URL, or the path of an SQLite file (made on first use).
    """

    def __init__(self, url: str | Path) -> None:
        file, where = isinstance(url, Path), f"sqlite:///{url}" if isinstance(url, Path) else url
        pool = sa.NullPool if str(url).startswith("postgresql") else None  # no connection stays open that a purge would have to wait for
        self.engine = sa.create_engine(where, connect_args={"timeout": 30} if file else {}, poolclass=pool)
        if isinstance(url, Path):
            sa.event.listen(self.engine, "connect", lambda db, record: db.execute("pragma secure_delete = on"))
        sa.event.listen(self.engine, "handle_error", _unfit)
        _meta.create_all(self.engine)

    def open_case(self, case_number: str, title: str, *, user: str, purpose: str = "investigation", reason: str = "", at: datetime | None = None) -> None:
        """Add a case.

        Raises:
            BadInput: the number is taken or empty.
        """
        if not case_number.strip():
            raise BadInput("A case needs a number, e.g. '2026-0142'.")
        row = {"case_number": case_number, "title": title, "status": "open", "purpose": purpose, "reason": reason,
               "opened_by": user, "opened_at": at or datetime.now(UTC)}
        try:
            with self.engine.begin() as db:
                db.execute(cases.insert().values(**row))
        except sa.exc.IntegrityError:
            raise BadInput(f"Case {case_number!r} is there already.") from None

    def close_case(self, case_number: str, why: str, *, user: str, at: datetime | None = None) -> None:
        """Close a case; from then on its own retention runs.

        Raises:
            NotFound: no such case. BadInput: it is closed already, or no reason is given.
        """
        if not why.strip():
            raise BadInput("A case is closed with a reason, e.g. why='cleared by arrest, sentence final'.")
        if self.case(case_number)["status"] == "closed":
            raise BadInput(f"Case {case_number!r} is closed already.")
        with self.engine.begin() as db:
            db.execute(cases.update().where(cases.c.case_number == case_number).values(status="closed"))
            db.execute(closings.insert().values(case_number=case_number, why=why, closed_by=user, closed_at=at or datetime.now(UTC)))

    def add_subject(self, case_number: str, entity: str, why: str, *, user: str, at: datetime | None = None) -> None:
        """Attach an incident, person, vehicle, phone or address ("<kind>:<key>") to a case; attaching it again changes nothing.

        Raises:
            NotFound: no such case. BadInput: the entity is not "<kind>:<key>".
        """
        self.case(case_number)
        kind, _, key = entity.partition(":")
        if kind not in KINDS or not key:
            raise BadInput(f"{entity!r} is not an entity; write kind:key with a kind of {', '.join(KINDS)}, e.g. 'vehicle:ABC1234'.")
        with self.engine.begin() as db:
            have = db.execute(sa.select(subjects.c.entity).where(subjects.c.case_number == case_number, subjects.c.entity == entity)).first()
            if not have:
                db.execute(subjects.insert().values(case_number=case_number, entity=entity, why=why, added_by=user, added_at=at or datetime.now(UTC)))

    def add_lead(self, case_number: str, entity: str, text: str, basis: str, *, user: str) -> int:
        """Keep what the machine says about an entity with what it rests on; returns the lead's id.

        Raises:
            NotFound: no such case.
        """
        self.case(case_number)
        with self.engine.begin() as db:
            made = db.execute(leads.insert().values(case_number=case_number, entity=entity, text=text, basis=basis, made_at=datetime.now(UTC)))
            return int(made.inserted_primary_key[0])  # type: ignore[index]

    def judge(self, lead_id: int, verdict: str, why: str, *, user: str) -> None:
        """Keep what a person decided about a lead; earlier judgements stay.

        Raises:
            BadInput: unknown verdict or no reason. NotFound: no such lead.
        """
        if verdict not in VERDICTS:
            raise BadInput(f"Verdict {verdict!r} is not known.{did_you_mean(verdict, VERDICTS)}")
        if not why.strip():
            raise BadInput("A judgement needs its reason, e.g. why='plate confirmed on the image by the detective'.")
        with self.engine.begin() as db:
            if not db.execute(sa.select(leads.c.lead_id).where(leads.c.lead_id == lead_id)).first():
                raise NotFound(f"There is no lead {lead_id}.")
            db.execute(judgements.insert().values(lead_id=lead_id, verdict=verdict, why=why, judged_by=user, judged_at=datetime.now(UTC)))

    def case(self, case_number: str) -> dict[str, Any]:
        """One case as a dict.

        Raises:
            NotFound: no such case; the message names the nearest.
        """
        with self.engine.connect() as db:
            row = db.execute(sa.select(cases).where(cases.c.case_number == case_number)).mappings().first()
            if row is None:
                known = [r[0] for r in db.execute(sa.select(cases.c.case_number))]
                raise NotFound(f"There is no case {case_number!r}.{did_you_mean(case_number, known)}")
        return dict(row)

    def cases(self, status: str | None = None) -> pl.DataFrame:
        """All cases, or those of a status ("open", "closed"), by number.

        Raises:
            BadInput: unknown status.
        """
        if status is not None and status not in STATUSES:
            raise BadInput(f"Status {status!r} is not known.{did_you_mean(status, STATUSES)}")
        return self._frame(cases, None if status is None else cases.c.status == status, cases.c.case_number)

    def subjects(self, case_number: str) -> pl.DataFrame:
        """What is attached to a case: entity, why, added_by, added_at."""
        self.case(case_number)
        return self._frame(subjects, subjects.c.case_number == case_number, subjects.c.entity)

    def leads(self, case_number: str) -> pl.DataFrame:
        """A case's leads, each with its latest judgement (null = nobody has judged it)."""
        found = self._frame(leads, leads.c.case_number == case_number, leads.c.lead_id)
        latest = self._frame(judgements, None, judgements.c.judgement_id).unique("lead_id", keep="last", maintain_order=True)
        return found.join(latest.select("lead_id", "verdict", "judged_by", "judged_at"), on="lead_id", how="left")

    def _frame(self, table: sa.Table, where: Any, order: Any) -> pl.DataFrame:
        kinds: dict[str, Any] = {c.name: _kind(c.type) for c in table.columns}
        query = sa.select(table).order_by(order)
        with self.engine.connect() as db:
            rows = db.execute(query if where is None else query.where(where)).mappings().all()
        data = {c: [_aware(r[c]) for r in rows] for c in kinds}
        return pl.DataFrame(data, schema=kinds)

    def fill(self, file: Path, *, user: str) -> int:
        """Add the cases of a JSON file ([{case_number, title, purpose, reason, subjects: [{entity, why}]}]); those there already stay.

        Returns how many are new.

        Raises:
            BadInput: the file is not such a list.
        """
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            wanted = [(c["case_number"], c["title"], c) for c in data]
        except (json.JSONDecodeError, KeyError, TypeError) as e:
            raise BadInput(f"{file} is not a list of cases with case_number and title ({e}).") from None
        have = set(self.cases()["case_number"].to_list())
        for number, title, c in wanted:
            if number not in have:
                at = datetime.fromisoformat(c["opened_at"]) if c.get("opened_at") else None
                self.open_case(number, title, user=user, purpose=c.get("purpose", "investigation"), reason=c.get("reason", ""), at=at)
            for s in c.get("subjects", ()):
                self.add_subject(number, s["entity"], s.get("why", ""), user=user)
        return sum(number not in have for number, _, _ in wanted)


def _unfit(context: Any) -> None:
    """A value that the store cannot hold, as a sentence."""
    error = context.original_exception
    if isinstance(error, (UnicodeEncodeError, OverflowError)) or "0x00" in str(error) or "out of range" in str(error):
        raise BadInput(f"The casebook cannot hold what it was given ({str(error).splitlines()[0]}); write the text anew.") from None


def _kind(type: Any) -> Any:
    if isinstance(type, sa.DateTime):
        return pl.Datetime("us", "UTC")
    return pl.Int64 if isinstance(type, sa.Integer) else pl.String


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

"""Criminal intelligence records under 28 CFR Part 23, apart from the facts: no frame, model, map or search of the workbench reads them.

A record is about somebody who is *suspected*; a fact is something that happened. So each record carries what makes the suspicion reasonable, how
the information was come by, how far source and content can be trusted, when it must be looked at again and who was given it; and it goes when
nobody has validated it in time, five years at the latest. What does not reach reasonable suspicion is a tip: it is kept apart, for a year,
and is not handed on except to avoid imminent danger.

Source: 28 CFR 23.20, 58 FR 48452 (1993), policy clarification 63 FR 71752 (1998); grading after the LEIU Criminal Intelligence File Guidelines.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench.errors import AccessRefused, BadInput, NotFound, did_you_mean

FILE = "intelligence.db"
KINDS = ("criminal intelligence", "tip")
RELIABILITY = ("reliable", "usually reliable", "unreliable", "unknown")
VALIDITY = ("confirmed", "probable", "doubtful", "cannot be judged")
SENSITIVITY = ("unclassified", "restricted", "confidential", "sensitive")
VERDICTS = ("validated", "purge")
#: The longest a record may be kept without being validated, days (28 CFR 23.20(h): five years), and a tip.
LONGEST = {"criminal intelligence": 1825, "tip": 365}
#: Words that point at what nobody may be recorded for by itself (28 CFR 23.20(b)).
_PROTECTED = re.compile(
    r"\b(religio\w*|(?:church|mosque|synagogue|temple|parish|union)(?!\s+(?:st|street|rd|road|ave|avenue|ln|lane|dr|drive|blvd)\b)|muslims?|islam\w*|christians?|jew\w*|hindu\w*|sikhs?|atheis\w*|politic\w*|democrats?|republicans?|"
    r"socialis\w*|communis\w*|anarchis\w*|protest\w*|demonstrat(?:ors?|ions?)|rall(?:y|ies)|march(?:ers|ed)|activis\w*|unions|strikers?|petition\w*|advocac\w*|"
    r"ideolog\w*|belief\w*|congregation\w*|journalis\w*)\b", re.IGNORECASE)
_TABLES = sa.MetaData()
_records = sa.Table(
    "records", _TABLES,
    sa.Column("record_id", sa.String, primary_key=True),
    *(sa.Column(n, sa.String, nullable=False) for n in (
        "kind", "subject", "activity", "basis", "obtained", "reliability", "validity", "sensitivity", "text", "agency", "control_official", "submitted_by")),
    *(sa.Column(n, sa.String) for n in ("protected", "protected_link")),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("review_by", sa.Date, nullable=False),
    sa.Column("keep_until", sa.Date, nullable=False),
)
_others = sa.Table(
    "noncriminal", _TABLES,
    sa.Column("record_id", sa.ForeignKey("records.record_id"), primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),
    sa.Column("why", sa.String, nullable=False),
)
_reviews = sa.Table(
    "reviews", _TABLES,
    sa.Column("review_id", sa.Integer, primary_key=True),
    *(sa.Column(n, sa.String, nullable=False) for n in ("record_id", "verdict", "facts", "reviewed_by")),
    sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
)
_shares = sa.Table(
    "disseminations", _TABLES,
    sa.Column("share_id", sa.Integer, primary_key=True),
    *(sa.Column(n, sa.String, nullable=False) for n in ("record_id", "to_person", "to_agency", "need", "reason", "released_by")),
    sa.Column("agrees", sa.Boolean, nullable=False),
    sa.Column("imminent_danger", sa.Boolean, nullable=False),
    sa.Column("shared_at", sa.DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class Submission:
    """What somebody wants to keep about somebody.

    Args:
        subject: "person:<id>" of the casebook's kind, or the name of an organisation.
        activity: the definable criminal activity, as an offence (NIBRS code or wording).
        basis: the facts that give a trained officer reason to believe that the subject may be involved in it.
        obtained: how the information was come by, lawfully (23.20(d)).
        reliability, validity: of the source and of what it says; see RELIABILITY, VALIDITY.
        text: the information itself.
        agency, control_official: who submits it and who answers for it.
        sensitivity: the label it is handled by.
        kind: "criminal intelligence", or "tip" when there is no reasonable suspicion (yet).
        protected: the political, religious or social view, association or activity that it touches on, if it does.
        protected_link: how that directly relates to criminal conduct; without it nothing protected is kept (23.20(b)).
        noncriminal: entity -> why it is named, for others who are not suspected of anything; they are labelled as such.
        review_by: when it is to be looked at again; None = in a year, and not later than it may be kept.
        keep_days: days it is kept when nobody validates it; None = as long as its kind may be.
    """

    subject: str
    activity: str
    basis: str
    obtained: str
    reliability: str
    validity: str
    text: str
    agency: str
    control_official: str
    sensitivity: str = "restricted"
    kind: str = "criminal intelligence"
    protected: str | None = None
    protected_link: str | None = None
    noncriminal: Mapping[str, str] = field(default_factory=dict)
    review_by: date | None = None
    keep_days: int | None = None


@dataclass(frozen=True)
class Purged:
    """What a purge took away: ids, and for each who had been given it and must be told: (record_id, person, agency)."""

    records: tuple[str, ...]
    told: tuple[tuple[str, str, str], ...]


class Intelligence:
    """The intelligence records of one workspace.

    Args:
        file: an SQLite file of its own, made on first use and readable by its owner only.
    """

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        self.engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 30})
        sa.event.listen(self.engine, "connect", _set_up)
        _TABLES.create_all(self.engine)
        self.file.chmod(0o600)

    def add(self, wanted: Submission, *, user: str, now: datetime | None = None) -> str:
        """Keep a record; returns its id.

        Raises:
            BadInput: something is lacking that the regulation asks for; the message says what and shows how it could read.
        """
        at = now or datetime.now(UTC)
        review_by, keep_until = _checked(wanted, at.date())
        record = f"{'T' if wanted.kind == 'tip' else 'I'}{at:%y%m%d}-{secrets.token_hex(4)}"
        row = {n: getattr(wanted, n) for n in ("kind", "subject", "activity", "basis", "obtained", "reliability", "validity", "sensitivity", "text", "agency",
                                               "control_official", "protected", "protected_link")}
        with self.engine.begin() as db:
            db.execute(_records.insert().values(record_id=record, submitted_by=user, added_at=at, review_by=review_by, keep_until=keep_until, **row))
            for entity, why in wanted.noncriminal.items():
                db.execute(_others.insert().values(record_id=record, entity=entity, why=why))
        return record

    def records(self, *, subject: str | None = None, now: datetime | None = None) -> pl.DataFrame:
        """The records, or those of a subject, oldest first; ``label`` is what any display must show with it, ``state`` is current, review due or expired."""
        today = (now or datetime.now(UTC)).date()
        where = None if subject is None else _records.c.subject == subject
        frame = self._frame(_records, where, _records.c.added_at)
        state = pl.when(pl.col("keep_until") < today).then(pl.lit("expired")).when(pl.col("review_by") < today).then(pl.lit("review due")).otherwise(
            pl.lit("current"))
        label = pl.concat_str(pl.col("sensitivity").str.to_uppercase(), pl.lit(" / source "), "reliability", pl.lit(", content "), "validity", pl.lit(" / "),
                              "agency", pl.lit(" / "), "control_official")
        marked = pl.when(pl.col("kind") == "tip").then(pl.lit("TIP, NO REASONABLE SUSPICION / ") + label).otherwise(label)
        return frame.with_columns(state.alias("state"), marked.alias("label"))

    def record(self, record_id: str, *, now: datetime | None = None) -> dict[str, Any]:
        """One record as a dict, with ``noncriminal`` (entity -> why), ``label`` and ``state``.

        Raises:
            NotFound: there is none.
        """
        frame = self.records(now=now)
        found = frame.filter(pl.col("record_id") == record_id)
        if found.is_empty():
            raise NotFound(f"There is no intelligence record {record_id!r}.{did_you_mean(record_id, frame['record_id'])}")
        others = self._frame(_others, _others.c.record_id == record_id, _others.c.entity)
        return {**found.row(0, named=True), "noncriminal": dict(others.select("entity", "why").iter_rows())}

    def due(self, *, days: int = 0, now: datetime | None = None) -> pl.DataFrame:
        """Records whose review is due within some days, or that are kept no longer then; the most urgent first."""
        until = (now or datetime.now(UTC)).date() + timedelta(days=days)
        return self.records(now=now).filter((pl.col("review_by") <= until) | (pl.col("keep_until") <= until)).sort("keep_until", "review_by", "record_id")

    def review(self, record_id: str, verdict: str, facts: str, *, user: str, next_review: date | None = None, keep_days: int | None = None,
               now: datetime | None = None) -> None:
        """Validate a record, which begins its time anew (at most five years, 23.20(h)), or have it purged at the next purge.

        Args:
            verdict: "validated" or "purge".
            facts: what still makes the suspicion reasonable, or why it does not.
            next_review, keep_days: as in a submission.

        Raises:
            BadInput: unknown verdict, no facts, or a date out of bounds. AccessRefused: the reviewer submitted it. NotFound: no such record.
        """
        at, row = now or datetime.now(UTC), self.record(record_id, now=now)
        if verdict not in VERDICTS:
            raise BadInput(f"Verdict {verdict!r} is not known.{did_you_mean(verdict, VERDICTS)}")
        if row["submitted_by"] == user:
            raise AccessRefused(f"{user} submitted record {record_id}; somebody else must review it.")
        _say(facts, "facts of the review", "co-defendant convicted in March; two more sales watched in May")
        if verdict == "validated" and row["state"] == "expired":
            raise BadInput(f"Record {record_id} ran out on {row['keep_until']}; it can only be purged. New facts make a new record.")
        review_by, keep_until = row["review_by"], at.date() - timedelta(days=1)
        if verdict == "validated":
            review_by, keep_until = _dates(row["kind"], next_review, keep_days, at.date())
        with self.engine.begin() as db:
            db.execute(_reviews.insert().values(record_id=record_id, verdict=verdict, facts=facts, reviewed_by=user, reviewed_at=at))
            db.execute(_records.update().where(_records.c.record_id == record_id).values(review_by=review_by, keep_until=keep_until))

    def reviews(self, record_id: str) -> pl.DataFrame:
        """A record's reviews, oldest first."""
        return self._frame(_reviews, _reviews.c.record_id == record_id, _reviews.c.review_id)

    def share(self, record_id: str, *, to_person: str, to_agency: str, need: str, reason: str, user: str, agrees: bool = False,
              imminent_danger: bool = False, now: datetime | None = None) -> dict[str, Any]:
        """Hand a record on and write down to whom, why and when (23.20(e) to (g)); returns it with its label.

        Args:
            need: what the recipient needs it for in a law enforcement activity (need to know and right to know).
            agrees: the recipient keeps to procedures that conform to 28 CFR Part 23.
            imminent_danger: it is given to avoid imminent danger to life or property; then neither agreement nor suspicion is asked for.

        Raises:
            AccessRefused: the regulation does not let it be given. BadInput: recipient, need or reason is lacking. NotFound: no such record.
        """
        at, row = now or datetime.now(UTC), self.record(record_id, now=now)
        for what, said in (("recipient", to_person), ("recipient's agency", to_agency)):
            if not said.strip():
                raise BadInput(f"The {what} is lacking; who is given an intelligence record is written down.")
        _say(need, "recipient's need", "burglary case 2026-0142, looks for the buyer of the goods")
        _say(reason, "reason", "asked for in writing on May 4, same crew suspected")
        today = at.date()
        if row["keep_until"] < today:
            raise AccessRefused(f"Record {record_id} ran out on {row['keep_until']} and waits for its purge; it is not given to anybody.")
        if not imminent_danger:
            if row["review_by"] < today:
                raise AccessRefused(f"Record {record_id} was to be reviewed by {row['review_by']}; review it before it is given to anybody.")
            if row["kind"] == "tip":
                raise AccessRefused(f"Record {record_id} is a tip without reasonable suspicion; it is only given to avoid imminent danger to life or property.")
            if not agrees:
                raise AccessRefused(f"{to_agency} has not agreed to procedures that conform to 28 CFR Part 23, so record {record_id} is not given (23.20(f)).")
        with self.engine.begin() as db:
            db.execute(_shares.insert().values(record_id=record_id, to_person=to_person, to_agency=to_agency, need=need, reason=reason, released_by=user,
                                               agrees=agrees, imminent_danger=imminent_danger, shared_at=at))
        return row

    def shares(self, record_id: str | None = None) -> pl.DataFrame:
        """The dissemination log, oldest first; it outlives the records, without what they said."""
        return self._frame(_shares, None if record_id is None else _shares.c.record_id == record_id, _shares.c.share_id)

    def purge(self, *, now: datetime | None = None) -> Purged:
        """Delete the records that are kept no longer, with their reviews and whom they name; no byte of them is left. The dissemination log stays."""
        today = (now or datetime.now(UTC)).date()
        with self.engine.connect() as db:
            gone = [r[0] for r in db.execute(sa.select(_records.c.record_id).where(_records.c.keep_until < today).order_by(_records.c.record_id))]
        return self._delete(gone)

    def expunge(self, entities: Iterable[str]) -> Purged:
        """Delete every record about some entities, by order of a court; where they are only named beside others, their naming."""
        wanted = list(entities)
        with self.engine.begin() as db:
            gone = [r[0] for r in db.execute(sa.select(_records.c.record_id).where(_records.c.subject.in_(wanted)).order_by(_records.c.record_id))]
            db.execute(_others.delete().where(_others.c.entity.in_(wanted)))
        return self._delete(gone)

    def _delete(self, gone: Sequence[str]) -> Purged:
        given = self.shares().filter(pl.col("record_id").is_in(list(gone))).select("record_id", "to_person", "to_agency").unique()
        with self.engine.begin() as db:
            for table in (_others, _reviews, _records):
                db.execute(table.delete().where(table.c.record_id.in_(gone)))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(sa.text("vacuum"))
        return Purged(tuple(gone), tuple(given.sort(given.columns).iter_rows()))

    def _frame(self, table: sa.Table, where: Any, order: Any) -> pl.DataFrame:
        shape: dict[str, Any] = {c.name: _kind(c.type) for c in table.columns}
        query = sa.select(table).order_by(order)
        with self.engine.connect() as db:
            rows = db.execute(query if where is None else query.where(where)).mappings().all()
        return pl.DataFrame({c: [_aware(r[c]) for r in rows] for c in shape}, schema=shape)


def _checked(wanted: Submission, today: date) -> tuple[date, date]:
    """The dates of a submission that has all that it needs."""
    for name, known in (("kind", KINDS), ("reliability", RELIABILITY), ("validity", VALIDITY), ("sensitivity", SENSITIVITY)):
        if getattr(wanted, name) not in known:
            raise BadInput(f"{name} {getattr(wanted, name)!r} is not known.{did_you_mean(str(getattr(wanted, name)), known)}")
    for name in ("subject", "activity", "text", "agency", "control_official"):
        if not getattr(wanted, name).strip():
            raise BadInput(f"An intelligence record needs {name}.")
    _say(wanted.obtained, "way the information was obtained", "told by a named witness in a recorded interview")
    if wanted.kind == "criminal intelligence":
        _say(wanted.basis, "basis of reasonable suspicion", "watched selling from the car on May 2 and 9; phone tied to two arrested buyers", words=6)
        if wanted.reliability in ("unknown", "unreliable") and wanted.validity in ("doubtful", "cannot be judged"):
            raise BadInput(f"A source that is {wanted.reliability} with content that is {wanted.validity} gives no reasonable suspicion; "
                           "keep it as kind='tip'.")
    touches = sorted({m.group(0).lower() for s in (wanted.text, wanted.basis, wanted.subject) for m in _PROTECTED.finditer(s)})
    if (wanted.protected or touches) and len((wanted.protected_link or "").split()) < 6:
        what = wanted.protected or ", ".join(touches)
        raise BadInput(f"The record touches on a protected view, association or activity ({what}). It may only be kept where that directly relates to "
                       "criminal conduct (28 CFR 23.20(b)): leave it out, or say how in protected_link, "
                       "e.g. 'the shop's cellar is where the stolen goods are handed over'.")
    for entity, why in wanted.noncriminal.items():
        _say(why, f"reason for naming {entity}", "owner of the car that was used, not suspected")
    return _dates(wanted.kind, wanted.review_by, wanted.keep_days, today)


def _dates(kind: str, review_by: date | None, keep_days: int | None, today: date) -> tuple[date, date]:
    longest = LONGEST[kind]
    days = longest if keep_days is None else keep_days
    if not 1 <= days <= longest:
        raise BadInput(f"A record of kind {kind} is kept 1 to {longest} days without being validated, not {days}.")
    until = today + timedelta(days=days)
    review = min(until, today + timedelta(days=365)) if review_by is None else review_by
    if not today < review <= until:
        raise BadInput(f"The review on {review} must lie after {today} and not after {until}, when the record runs out.")
    return review, until


def _say(text: str, what: str, example: str, *, words: int = 3) -> None:
    if len(re.findall(r"\w{2,}", text)) < words:
        wrong = f"{text!r} says too little" if text.strip() else "is lacking"
        raise BadInput(f"The {what} {wrong}; write it so that somebody else can judge it, e.g. {example!r}.")


def _set_up(connection: Any, _: Any) -> None:
    for pragma in ("busy_timeout=30000", "secure_delete=on", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _kind(type: Any) -> Any:
    if isinstance(type, sa.DateTime):
        return pl.Datetime("us", "UTC")
    if isinstance(type, sa.Date):
        return pl.Date()
    return pl.Boolean() if isinstance(type, sa.Boolean) else pl.Int64() if isinstance(type, sa.Integer) else pl.String()


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

"""What people decided about who is who: same, different or unsure, undone or not, and who has which pair before them.

Rows are appended and never changed: an undo is a further row. What a person says is kept apart from what the model scored; ``frame`` gives what stands.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench.casebook import Casebook, _meta
from workbench.errors import BadInput, NotFound, did_you_mean

said = sa.Table(
    "identity_judgements",
    _meta,
    sa.Column("judgement_id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("left_id", sa.String, nullable=False),  # the smaller record id
    sa.Column("right_id", sa.String, nullable=False),
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("judged_by", sa.String, nullable=False),
    sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("undoes", sa.Integer, unique=True),  # the judgement that this row takes back
)
holds = sa.Table(
    "identity_review",
    _meta,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("left_id", sa.String, primary_key=True),
    sa.Column("right_id", sa.String, primary_key=True),
    sa.Column("held_by", sa.String, nullable=False),
    sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
)
ids = sa.Table(
    "identity_ids",
    _meta,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("record_id", sa.String, primary_key=True),
    sa.Column("entity_id", sa.String, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),  # when the entity first bore it
)
VERDICTS = ("same", "different", "unsure")
KINDS = ("person", "vehicle", "address")
#: How long a pair stays with whoever took it.
HOLD = timedelta(minutes=30)
_SCHEMA: dict[str, Any] = {
    "judgement_id": pl.Int64,
    "kind": pl.String,
    "left": pl.String,
    "right": pl.String,
    "verdict": pl.String,
    "why": pl.String,
    "by": pl.String,
    "at": pl.Datetime("us", "UTC"),
}


class Judgements:
    """Judgements on pairs of records, and the queue of those to be judged, in the casebook's store."""

    def __init__(self, casebook: Casebook) -> None:
        self.engine = casebook.engine
        _meta.create_all(self.engine, tables=[said, holds], checkfirst=True)

    def judge(self, kind: str, left: str, right: str, verdict: str, why: str, *, user: str, at: datetime | None = None) -> int:
        """Add a judgement on two records; it stands in place of an earlier one on them. Returns its number. Ends the hold on the pair.

        Raises:
            BadInput: kind or verdict unknown, no reason, or not two records.
        """
        pair = _pair(kind, left, right)
        if verdict not in VERDICTS:
            raise BadInput(f"Verdict {verdict!r} is not known.{did_you_mean(verdict, VERDICTS)}")
        if not why.strip():
            raise BadInput("A judgement needs its reason, e.g. why='same photograph, and the same scar'.")
        with self.engine.begin() as db:
            made = db.execute(said.insert().values(**pair, verdict=verdict, why=why, judged_by=user, judged_at=at or datetime.now(UTC)))
            db.execute(holds.delete().where(*(holds.c[c] == v for c, v in pair.items())))
            return int(made.inserted_primary_key[0])  # type: ignore[index]

    def undo(self, judgement_id: int, why: str, *, user: str, at: datetime | None = None) -> int:
        """Take a judgement back by a further row; what stood on the pair before it stands again. Returns the row's number.

        Raises:
            NotFound: there is no such judgement. BadInput: it is undone already, is an undo itself, or no reason is given.
        """
        if not why.strip():
            raise BadInput("Taking a judgement back needs its reason, e.g. why='judged the wrong pair'.")
        with self.engine.connect() as db:
            row = db.execute(sa.select(said).where(said.c.judgement_id == judgement_id)).mappings().first()
        if row is None:
            raise NotFound(f"There is no judgement {judgement_id}.")
        if row["undoes"] is not None:
            raise BadInput(f"Row {judgement_id} takes judgement {row['undoes']} back; judge the pair anew instead of undoing the undo.")
        values = {c: row[c] for c in ("kind", "left_id", "right_id", "verdict")}
        try:
            with self.engine.begin() as db:
                made = db.execute(said.insert().values(**values, why=why, judged_by=user, judged_at=at or datetime.now(UTC), undoes=judgement_id))
                return int(made.inserted_primary_key[0])  # type: ignore[index]
        except sa.exc.IntegrityError:
            raise BadInput(f"Judgement {judgement_id} is taken back already.") from None

    def frame(self, kind: str) -> pl.DataFrame:
        """The judgements that stand, the last on each pair: judgement_id, kind, left, right, verdict, why, by, at; for ``identities.resolve``."""
        _kind(kind)
        undone = sa.select(said.c.undoes).where(said.c.undoes.is_not(None))
        query = sa.select(said).where(said.c.kind == kind, said.c.undoes.is_(None), said.c.judgement_id.not_in(undone)).order_by(said.c.judgement_id)
        return self._read(query).unique(["left", "right"], keep="last", maintain_order=True)

    def history(self, kind: str) -> pl.DataFrame:
        """Every row ever written, in order, with ``undoes`` (the judgement it takes back, or null)."""
        _kind(kind)
        return self._read(sa.select(said).where(said.c.kind == kind).order_by(said.c.judgement_id), undoes=True)

    def _read(self, query: sa.Select[tuple[object, ...]], *, undoes: bool = False) -> pl.DataFrame:
        with self.engine.connect() as db:
            rows = db.execute(query).mappings().all()
        data = [
            (r["judgement_id"], r["kind"], r["left_id"], r["right_id"], r["verdict"], r["why"], r["judged_by"], _aware(r["judged_at"]), r["undoes"])
            for r in rows
        ]
        made = pl.DataFrame(data, schema={**_SCHEMA, "undoes": pl.Int64}, orient="row")
        return made if undoes else made.drop("undoes")

    def take(self, review: pl.DataFrame, n: int = 10, *, user: str, at: datetime | None = None) -> pl.DataFrame:
        """The next pairs of a review (``Identities.review``) for one person: those already theirs first; nobody else is given them for half an hour.

        Judged pairs are passed over. Two persons who ask at once get different pairs.

        Raises:
            BadInput: n is under 1.
        """
        if n < 1:
            raise BadInput(f"n={n} pairs cannot be taken; ask for 1 or more.")
        now = at or datetime.now(UTC)
        taken: list[int] = []
        done = {k: set(self.frame(k).select("left", "right").iter_rows()) for k in review["kind"].unique().to_list()} if len(review) else {}
        for i, row in enumerate(review.iter_rows(named=True)):
            if len(taken) == n:
                break
            pair = _pair(row["kind"], row["left"], row["right"])
            if (pair["left_id"], pair["right_id"]) not in done[row["kind"]] and self._hold(pair, user, now):
                taken.append(i)
        return review[taken]

    def _hold(self, pair: dict[str, str], user: str, now: datetime) -> bool:
        where = [holds.c[c] == v for c, v in pair.items()]
        try:
            with self.engine.begin() as db:
                mine = db.execute(holds.update().where(*where, sa.or_(holds.c.held_by == user, holds.c.held_at < now - HOLD)).values(held_by=user, held_at=now))
                if mine.rowcount:
                    return True
                if db.execute(sa.select(holds.c.held_by).where(*where)).first():
                    return False
                db.execute(holds.insert().values(**pair, held_by=user, held_at=now))
            return True
        except sa.exc.IntegrityError:  # somebody else took it in this moment
            return False

    def held(self, kind: str, *, at: datetime | None = None) -> pl.DataFrame:
        """Who has which pair before them now: left, right, held_by, held_at."""
        _kind(kind)
        since = (at or datetime.now(UTC)) - HOLD
        with self.engine.connect() as db:
            rows = (
                db.execute(sa.select(holds).where(holds.c.kind == kind, holds.c.held_at >= since).order_by(holds.c.held_at, holds.c.left_id)).mappings().all()
            )
        return pl.DataFrame(
            [(r["left_id"], r["right_id"], r["held_by"], _aware(r["held_at"])) for r in rows],
            schema={"left": pl.String, "right": pl.String, "held_by": pl.String, "held_at": pl.Datetime("us", "UTC")},
            orient="row",
        )

    def give_back(self, kind: str, left: str, right: str, *, user: str) -> bool:
        """End one's own hold on a pair without judging it; whether there was one."""
        pair = _pair(kind, left, right)
        with self.engine.begin() as db:
            return bool(db.execute(holds.delete().where(*(holds.c[c] == v for c, v in pair.items()), holds.c.held_by == user)).rowcount)


class Ids:
    """Which id each record of an entity of two records or more bore last, so that the next run gives the same; an id is the record that founded the entity."""

    def __init__(self, casebook: Casebook) -> None:
        self.engine = casebook.engine
        _meta.create_all(self.engine, tables=[ids], checkfirst=True)

    def every(self) -> pl.DataFrame:
        """All that is held: kind, record_id, entity_id, since."""
        with self.engine.connect() as db:
            rows = [(*row, _aware(at)) for *row, at in db.execute(sa.select(ids.c.kind, ids.c.record_id, ids.c.entity_id, ids.c.since))]
        return pl.DataFrame(rows, schema={"kind": pl.String, "record_id": pl.String, "entity_id": pl.String, "since": pl.Datetime("us", "UTC")}, orient="row")

    def frame(self, kind: str, visible: pl.Series) -> pl.DataFrame:
        """The ids of the records in ``visible``, but for those named after a record that is not among them: record_id, entity_id, since."""
        _kind(kind)
        found = self.every().filter(pl.col("kind") == kind).drop("kind")
        seen = visible.cast(pl.String).implode()
        return found.filter(pl.col("record_id").is_in(seen) & founder(pl.col("entity_id")).is_in(seen)).sort("record_id")

    def keep(self, kind: str, identities: pl.DataFrame, *, at: datetime | None = None) -> int:
        """Keep the ids of an answer (``Identities.identities``); gives how many records bear another than before. One transaction.

        What is held of records that are not in the answer stays, and so does an id named after one of these: who asked may see fewer records than others.
        """
        visible = identities["record_id"]
        before, now = self.frame(kind, visible), at or datetime.now(UTC)
        since = dict(before.select("entity_id", "since").iter_rows())
        had, shown = dict(before.select("record_id", "entity_id").iter_rows()), identities.filter(
            (pl.len().over("entity_id") > 1) | (pl.col("entity_id") != pl.col("record_id")))
        have = dict(shown.select("record_id", "entity_id").iter_rows())
        changed = sorted(r for r in {*had, *have} if had.get(r) != have.get(r))
        try:
            with self.engine.begin() as db:
                for record in changed:
                    if record in had:
                        db.execute(ids.delete().where(ids.c.kind == kind, ids.c.record_id == record))
                others = {r for (r,) in db.execute(sa.select(ids.c.record_id).where(ids.c.kind == kind))}
                changed = [r for r in changed if r in had or r not in others]
                for record in changed:
                    if record in have:
                        db.execute(ids.insert().values(kind=kind, record_id=record, entity_id=have[record], since=since.get(have[record], now)))
        except sa.exc.IntegrityError:  # somebody else kept theirs in this moment; these stand
            return 0
        return len(changed)


def founder(entity: pl.Expr) -> pl.Expr:
    """The record that an id is named after ("P17#2": P17)."""
    return entity.str.replace(r"#\d+$", "")


def _kind(kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"Identities of kind {kind!r} are not judged.{did_you_mean(kind, KINDS)}")


def _pair(kind: str, left: str, right: str) -> dict[str, str]:
    _kind(kind)
    if not left or not right or left == right:
        raise BadInput(f"A judgement is about two records; {left!r} and {right!r} are not two.")
    return {"kind": kind, "left_id": min(left, right), "right_id": max(left, right)}


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

"""Hits of the hotlist in the casebook: unverified until a person says of plate, state and entry, each yes or no, what is true.

What a matcher found is one row, what a person said of it a further one; nothing is changed, and an undoing is a row as well. Two persons who verify one hit at
the same time write the same step of it, which the store allows once: the second is told who was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from workbench.casebook import Casebook, _aware, _kind, _meta
from workbench.errors import BadInput, NotFound, WorkbenchError, did_you_mean, whole

hits = sa.Table(
    "hits", _meta,
    sa.Column("hit_id", sa.String, primary_key=True),
    sa.Column("entry_id", sa.String, nullable=False),
    sa.Column("plate", sa.String, nullable=False),
    sa.Column("region", sa.String),
    sa.Column("list_name", sa.String),
    sa.Column("reason", sa.String),
    sa.Column("read_id", sa.String, nullable=False),
    sa.Column("read_plate", sa.String, nullable=False),
    sa.Column("read_region", sa.String),
    sa.Column("reader", sa.String, nullable=False),
    sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("added_by", sa.String, nullable=False),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
)
checks = sa.Table(
    "hit_checks", _meta,
    sa.Column("hit_id", sa.ForeignKey("hits.hit_id"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),  # 1, 2, ...: verified, undone, verified ...
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("plate_right", sa.Boolean),
    sa.Column("state_right", sa.Boolean),
    sa.Column("entry_active", sa.Boolean),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("checked_by", sa.String, nullable=False),
    sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
)
STATES = ("unverified", "confirmed", "rejected")
_ASKED = (("plate", "plate wrong"), ("state", "state wrong"), ("active", "no longer active"))
_FOUND = tuple(c.name for c in hits.columns if c.name not in ("added_by", "added_at"))
_TYPES: dict[type, Any] = {sa.Boolean: pl.Boolean, sa.Float: pl.Float64}


class Unverified(WorkbenchError):
    """A hit that nobody has confirmed was to be shown as one."""


class Hits:
    """The hits of a casebook; their tables are made on first use."""

    def __init__(self, casebook: Casebook) -> None:
        self.engine = casebook.engine
        _meta.create_all(self.engine, tables=[hits, checks], checkfirst=True)

    def add(self, found: pl.DataFrame, *, user: str, at: datetime | None = None) -> int:
        """Keep hits as ``hotlist.match`` or a ``Matcher`` gave them, all unverified; those that are held already stay as they are. Gives how many are new.

        Raises:
            BadInput: columns are missing, or a value that must be there is not.
        """
        missing = [c for c in _FOUND if c not in found.columns]
        if missing:
            raise BadInput(f"The frame of hits has no column {missing[0]!r}; give the table of hotlist.match as it is.")
        made = {"added_by": user, "added_at": at or datetime.now(UTC)}
        new = 0
        for row in found.select(_FOUND).iter_rows(named=True):
            whole(row, "A hit")
            empty = [c.name for c in hits.columns if not c.nullable and c.name in row and row[c.name] is None]
            if empty:
                raise BadInput(f"Hit {row['hit_id']!r} has no {empty[0]}; give the table of hotlist.match as it is.")
            try:
                with self.engine.begin() as db:
                    db.execute(hits.insert().values(**row, **made))
                new += 1
            except sa.exc.IntegrityError:
                continue  # held already: by an earlier batch, or by whoever added it a moment ago
        return new

    def verify(self, hit_id: str, *, plate: bool, state: bool, active: bool, user: str, note: str = "", at: datetime | None = None) -> str:
        """Say of a hit, having looked: is the plate the listed one, is the state, is the entry still active at its source? Gives the state it has now.

        Raises:
            BadInput: one of the three is not answered with yes or no, nobody is named, or somebody has verified it already (the message says who).
            NotFound: there is no such hit.
        """
        given = {"plate": plate, "state": state, "active": active}
        for name, value in given.items():
            if not isinstance(value, bool):
                raise BadInput(f"{name}={value!r} is neither yes nor no. A hit is verified by answering all three: plate=, state=, active= with True or False.")
        if not user.strip():
            raise BadInput("A hit is verified by a person: give user=.")
        now = self.hit(hit_id)
        if now["state"] != "unverified":
            raise BadInput(self._already(now))
        verdict = "confirmed" if all(given.values()) else "rejected"
        self._step(hit_id, now["step"] + 1, verdict, user, note, at, plate_right=plate, state_right=state, entry_active=active)
        return verdict

    def undo(self, hit_id: str, why: str, *, user: str, at: datetime | None = None) -> None:
        """Take back what was said of a hit: it is unverified again; what was said stays on record.

        Raises:
            BadInput: nobody has verified it, or no reason is given. NotFound: there is no such hit.
        """
        if not why.strip() or not user.strip():
            raise BadInput("A verification is undone by a person, with a reason, e.g. why='wrong picture was open'.")
        now = self.hit(hit_id)
        if now["state"] == "unverified":
            raise BadInput(f"Hit {hit_id!r} is unverified, so there is nothing to undo.")
        self._step(hit_id, now["step"] + 1, "undone", user, why, at)

    def _step(self, hit_id: str, step: int, verdict: str, user: str, note: str, at: datetime | None, **said: bool) -> None:
        row = {"hit_id": hit_id, "step": step, "verdict": verdict, "note": note, "checked_by": user, "checked_at": at or datetime.now(UTC), **said}
        whole(row, "What was said of the hit")
        try:
            with self.engine.begin() as db:
                db.execute(checks.insert().values(**row))
        except sa.exc.IntegrityError:
            raise BadInput(self._already(self.hit(hit_id))) from None

    def _already(self, now: Mapping[str, Any]) -> str:
        if now["state"] == "unverified":
            return f"Hit {now['hit_id']!r} was changed by {now['checked_by']} a moment ago; look at it again."
        reason = f" ({now['why']})" if now["why"] else ""
        return (f"Hit {now['hit_id']!r} was {now['state']}{reason} by {now['checked_by']} at {now['checked_at']:%Y-%m-%d %H:%M} UTC already; nothing was "
                "written. To say otherwise, undo that first.")

    def hit(self, hit_id: str) -> dict[str, Any]:
        """One hit with its state, as a row of ``frame``, and ``step``: how often something was said of it.

        Raises:
            NotFound: there is no such hit; the message names the nearest.
        """
        found = self._rows(hits.c.hit_id == hit_id)
        if not found:
            with self.engine.connect() as db:
                known = [r[0] for r in db.execute(sa.select(hits.c.hit_id).limit(2000))]
            raise NotFound(f"There is no hit {hit_id!r}.{did_you_mean(hit_id, known)}")
        return found[0]

    def frame(self, state: str | None = None) -> pl.DataFrame:
        """All hits, or those of a state, the latest read first: what was found, state, why (of a rejection), plate_right, state_right, entry_active, note,
        checked_by, checked_at.

        Raises:
            BadInput: unknown state.
        """
        if state is not None and state not in STATES:
            raise BadInput(f"State {state!r} is not known.{did_you_mean(state, STATES)}")
        rows = [r for r in self._rows(None) if state is None or r["state"] == state]
        kinds = {c.name: _TYPES.get(type(c.type), _kind(c.type)) for c in (*hits.columns, *checks.columns)}
        order = [*(c.name for c in hits.columns), "state", "why", "plate_right", "state_right", "entry_active", "note", "checked_by", "checked_at"]
        return pl.DataFrame({c: [r[c] for r in rows] for c in order}, schema={c: kinds.get(c, pl.String) for c in order})

    def said(self, hit_id: str) -> pl.DataFrame:
        """Everything that was said of a hit, in order: step, verdict, plate_right, state_right, entry_active, note, checked_by, checked_at."""
        self.hit(hit_id)
        with self.engine.connect() as db:
            rows = db.execute(sa.select(checks).where(checks.c.hit_id == hit_id).order_by(checks.c.step)).mappings().all()
        kinds = {c.name: _TYPES.get(type(c.type), _kind(c.type)) for c in checks.columns if c.name != "hit_id"}
        return pl.DataFrame({c: [_aware(r[c]) for r in rows] for c in kinds}, schema=kinds)

    def require_confirmed(self, ids: Iterable[str]) -> None:
        """Refuse to go on unless each of these hits is confirmed.

        Raises:
            Unverified: one is not, or is not in the casebook at all; the message names the first and says what to do.
        """
        wanted = sorted(set(ids))
        if not wanted:
            return
        state = {r["hit_id"]: r for r in self._rows(None)} if len(wanted) > 50 else {r["hit_id"]: r for w in wanted for r in self._rows(hits.c.hit_id == w)}
        wrong = [w for w in wanted if w not in state or state[w]["state"] != "confirmed"]
        if not wrong:
            return
        first = state.get(wrong[0])
        what = "is not in the casebook" if first is None else f"is {first['state']}" + (f" ({first['why']}, by {first['checked_by']})" if first["why"] else "")
        more = f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""
        raise Unverified(f"Hit {wrong[0]!r} cannot enter a bulletin or briefing: it {what}, not confirmed{more}. A person must first say that plate and state "
                         "are right and that the entry is still active: workbench hits verify HIT --plate yes --state yes --active yes")

    def _rows(self, where: Any) -> list[dict[str, Any]]:
        """Hits with the latest that was said of each."""
        last = sa.select(checks.c.hit_id, sa.func.max(checks.c.step).label("step")).group_by(checks.c.hit_id).subquery()
        told = checks.alias()
        query = (sa.select(hits, *(c for c in told.columns if c.name != "hit_id"))
                 .select_from(hits.outerjoin(last, last.c.hit_id == hits.c.hit_id)
                              .outerjoin(told, sa.and_(told.c.hit_id == hits.c.hit_id, told.c.step == last.c.step)))
                 .order_by(hits.c.read_at.desc(), hits.c.hit_id))
        with self.engine.connect() as db:
            rows = db.execute(query if where is None else query.where(where)).mappings().all()
        return [_stated({k: _aware(v) for k, v in row.items()}) for row in rows]


def _stated(row: dict[str, Any]) -> dict[str, Any]:
    verdict = row.pop("verdict")
    answers = (row["plate_right"], row["state_right"], row["entry_active"])
    why = ", ".join(text for (_, text), right in zip(_ASKED, answers, strict=True) if right is False) or None
    return {**row, "state": verdict if verdict in STATES else "unverified", "why": why, "step": row["step"] or 0}

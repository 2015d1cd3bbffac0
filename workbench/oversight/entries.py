"""The entries of the audit as somebody reads them: chosen and counted in the store itself, so that a page need not take them all.

Nothing here decides who may read them (``access.require``) or what of them is covered (``covered``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from workbench.errors import BadInput
from workbench.oversight import chain, watch
from workbench.oversight.audit import Audit

PHASES = ("intent", "done", "note", "refused", "failed")
_ACTION = "case instr(action, ' ') when 0 then action else substr(action, 1, instr(action, ' ') - 1) end"
_LOTS = 500


@dataclass(frozen=True)
class Wanted:
    """Which entries: every field that is not empty must fit.

    Args:
        user, action, phase, case: as they stand in an entry; ``case`` is a part of the number, upper and lower case are one.
        start, end: the first and the last day, in the agency's time zone.
        glass: break-glass entries only.
    """

    user: str = ""
    action: str = ""
    phase: str = ""
    case: str = ""
    start: date | None = None
    end: date | None = None
    glass: bool = False

    def told(self) -> dict[str, str]:
        """What is asked for, in words, for the audit."""
        return {f.name: str(v) for f in fields(self) if (v := getattr(self, f.name)) not in ("", None, False)}

    def sql(self, zone: ZoneInfo) -> tuple[str, list[str]]:
        """The condition with its values.

        Raises:
            BadInput: it ends before it begins, or there is no such phase.
        """
        if self.start and self.end and self.end < self.start:
            raise BadInput(f"The time ends on {self.end} before it begins on {self.start}; change one of them.")
        if self.phase and self.phase not in PHASES:
            raise BadInput(f"{self.phase!r} is no phase; they are {', '.join(PHASES)}.")
        found = [(f"{c} = ?", v) for c, v in (("user", self.user), ("action", self.action), ("phase", self.phase)) if v]
        found += [("instr(lower(case_number), ?) > 0", self.case.strip().lower())] if self.case.strip() else []
        found += [("at >= ?", _at(self.start, zone))] if self.start else []
        found += [("at < ?", _at(self.end + timedelta(days=1), zone))] if self.end else []
        found += [("emergency = ?", "1")] if self.glass else []
        return " and ".join(c for c, _ in found) or "1", [v for _, v in found]


@dataclass(frozen=True)
class Figures:
    """How many: entries in all; accesses, refusals and break-glass entries today and in the last 7 days; and how many people asked in those days."""

    entries: int
    today: int
    week: int
    refused_today: int
    refused_week: int
    glass_today: int
    glass_week: int
    people: int


def find(audit: Audit, wanted: Wanted, *, zone: ZoneInfo, most: int = 500) -> tuple[pl.DataFrame, int]:
    """The newest entries that fit, newest first, and how many fit in all. One pass over the store; only ``most`` rows are taken out of it.

    Columns as ``Audit.entries`` without the hashes.

    Raises:
        BadInput: as ``Wanted.sql``.
    """
    where, values = wanted.sql(zone)
    with audit.opened() as db:
        number = db.execute(f"select count(*) from entries where {where}", values).fetchone()[0]
        return frame(db, f"{where} order by seq desc limit ?", [*values, most]), number


def of(audit: Audit, seqs: Iterable[int]) -> pl.DataFrame:
    """The entries of some numbers, in order, with ``outcome``: how the deed of each ended ("" where nothing more is written), and ``rows``:
    how many it gave."""
    chosen = sorted(set(seqs))
    with audit.opened() as db:
        parts = [frame(db, f"seq in ({_marks(lot)}) order by seq", lot) for lot in _lots(chosen)] or [frame(db, "0", [])]
        found = pl.concat(parts)
        deeds = found["deed"].unique().to_list()
        ended: dict[str, tuple[str, str | None]] = {}
        if chosen:
            for lot in _lots(deeds):
                ended |= {d: (p, str(n) if n is not None else None) for d, p, n in db.execute(
                    "select deed, phase, case when json_valid(detail) then json_extract(detail, '$.rows') end from entries "
                    f"where seq >= ? and phase in ('done', 'refused', 'failed') and deed in ({_marks(lot)})", (chosen[0], *lot))}
    ends = [ended.get(d, ("" if p == "intent" else p, None)) for d, p in found.select("deed", "phase").iter_rows()]
    return found.with_columns(pl.Series("outcome", [e[0] for e in ends], pl.String), pl.Series("rows", [e[1] for e in ends], pl.String))


def named(audit: Audit, field: str) -> list[str]:
    """The values that ``user`` or ``action`` takes in the entries, sorted.

    Raises:
        BadInput: another field.
    """
    if field not in ("user", "action"):
        raise BadInput(f"The values of {field!r} are not listed; user and action are.")
    with audit.opened() as db:
        return [str(v) for (v,) in db.execute(f"select distinct {field} from entries order by 1")]


def figures(audit: Audit, now: datetime, zone: ZoneInfo) -> Figures:
    """The figures of the head of a page; days are those of the agency's time zone. Two passes over the store."""
    day = now.astimezone(zone).date()
    today, week = _at(day, zone), _at(day - timedelta(days=6), zone)
    kinds = {f"k{n}": kind for n, kind in enumerate(sorted(watch.ASKING))}
    asking = f"(phase in ('intent', 'note') and {_ACTION} in ({', '.join(':' + k for k in kinds)}))"
    glass = "(emergency = '1' and phase in ('intent', 'note'))"
    sums = ", ".join(f"ifnull(sum({c} and at >= :today), 0), ifnull(sum({c}), 0)" for c in (asking, "(phase = 'refused')", glass))
    with audit.opened() as db:
        number = db.execute("select count(*) from entries").fetchone()[0]
        said = db.execute(f"select {sums}, count(distinct case when {asking} then user end) from entries where at >= :week",
                          {"today": today, "week": week} | kinds).fetchone()
    return Figures(number, *(int(v) for v in said))


def frame(db: sqlite3.Connection, where: str, values: Collection[object], columns: tuple[str, ...] = chain.FIELDS) -> pl.DataFrame:
    """Entries by a condition that the caller wrote: seq and the fields asked for; ``emergency`` is a Boolean."""
    rows = db.execute(f"select seq, {', '.join(columns)} from entries where {where}", tuple(values)).fetchall()
    made = pl.DataFrame(rows, schema={"seq": pl.Int64} | dict.fromkeys(columns, pl.String), orient="row")
    return made.with_columns(pl.col("emergency") == "1") if "emergency" in columns else made


def _at(day: date, zone: ZoneInfo) -> str:
    """The beginning of a local day as an entry's time is written."""
    return datetime.combine(day, time(), zone).astimezone(UTC).isoformat(timespec="microseconds")


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def _lots(values: list[int] | list[str]) -> list[list[int] | list[str]]:
    return [values[n:n + _LOTS] for n in range(0, len(values), _LOTS)]

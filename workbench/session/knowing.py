"""What was known when: the workbench as it would have answered at an earlier moment, and what changed between two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

import polars as pl

from workbench.errors import BadInput
from workbench.gate import When
from workbench.lake import known, withdrawn
from workbench.schema import table
from workbench.session.asked import noting
from workbench.session.facts import Facts

_HEAD = {"change": pl.String, "column": pl.String, "old": pl.String, "new": pl.String, "recorded_at": pl.Datetime("us", "UTC"), "batch_id": pl.String}
_PROVENANCE = ("source", "batch_id", "line", "recorded_at")


class Knowing(Facts):
    """As-of: an earlier state of knowledge, and the steps between two."""

    def known(self, at: When) -> Self:
        """The same workspace, person and versions as known at a moment: every frame, search and SQL shows the latest edition that had been recorded by
        then, rows withdrawn later as they stood, and nothing recorded later. Settings, maps and the casebook are those of today.

        Args:
            at: local date or time of the agency as text, a date, or an aware datetime.

        Raises:
            BadInput: it is unreadable, lies in the future, or after the moment that this workbench is bound to.
        """
        when = self.agency.moment(at)
        if self.known_at is not None and when > self.known_at:
            raise BadInput(f"This workbench shows what was known at {self.known_at:%Y-%m-%d %H:%M} UTC and nothing later; open the workspace anew.")
        return type(self)(self.path, self.person, known.at(self.versions, when), until=self.until)

    @property
    def known_at(self) -> datetime | None:
        """The moment after which nothing recorded is shown, UTC; None: all that is recorded."""
        return known.moment(self.versions)

    @noting
    def changes(self, name: str, since: When, until: When | None = None) -> pl.DataFrame:
        """Which rows of a table were added, changed or withdrawn between two moments of knowledge.

        Args:
            name: canonical table.
            since: what had been recorded by then is where it starts from.
            until: the later moment; None = all that is recorded (or this workbench's own moment).

        Returns:
            The key columns, then change ("added", "changed", "withdrawn"), column, old, new (as text; only of "changed", one row a column),
            recorded_at and batch_id of the edition that says so. Withdrawn are incidents that the agency un-founded or took back by a row of
            their own, beside the columns that changed. Sorted by key. Rows that were purged since are in neither state.

        Raises:
            NotFound: no such table. BadInput: the later moment is not later, or lies in the future. AccessRefused: as for ``table``.

        Cost: two windows over the editions of the table.
        """
        about = table(name)
        start = self.agency.moment(since)
        end = self.agency.moment(until) if until is not None else self.known_at
        if end is not None and start >= end:
            raise BadInput(f"Nothing can have changed from {since} to {until if until is not None else end}; the second moment must be the later one.")
        before, after = self.known(start), self if until is None else self.known(until)
        key = list(about.key)
        now = after._frame(name, ["recorded_at > ?"], [start], None, None, since=since, until=until)
        first = key[0]
        wanted = now[first].cast(pl.String).unique().to_list()
        then = before._frame(name, [f'cast("{first}" as varchar) in (select unnest(?::varchar[]))'], [wanted], None, None, since=since, until=until)
        told = [*_told(now, then, key)]
        if name == "incidents":
            told += self._withdrawn(now, before, after)
        shape: dict[str, Any] = {**{k: now.schema[k] for k in key}, **_HEAD}
        return pl.DataFrame(told, schema=shape, orient="row").sort(*key, "change", "column", nulls_last=True)

    def _withdrawn(self, now: pl.DataFrame, before: Knowing, after: Knowing) -> list[tuple[Any, ...]]:
        """Incidents that stood before and do not after: un-founded, or taken back by another row."""
        stood = before._standing()
        late = after._standing()
        gone = stood.join(late, on="incident_id", how="anti")["incident_id"].to_list()
        said = {row["incident_id"]: (row["recorded_at"], row["batch_id"]) for row in now.iter_rows(named=True)}
        return [(i, "withdrawn", None, None, None, *said.get(i, (None, None))) for i in gone]

    def _standing(self) -> pl.DataFrame:
        """The ids of the incidents that count: founded, and not taken back."""
        gone = withdrawn.find(self.lake, self.versions)
        return self.lake.query("select incident_id from incidents where unfounded is distinct from true and withdraws is distinct from true "
                               "and incident_id not in (select unnest(?::varchar[]))", [gone.incidents], versions=self.versions)

    def cut(self, end: datetime) -> datetime:
        """An ``asof`` that is not later than what was known: the earlier of a moment and this workbench's own; without one, not later than now."""
        return min(end, self.known_at or end).astimezone(UTC)


def _told(now: pl.DataFrame, then: pl.DataFrame, key: list[str]) -> list[tuple[Any, ...]]:
    """Added and changed rows, one tuple a column that changed."""
    columns = [c for c in now.columns if c not in (*key, *_PROVENANCE)]
    old = {tuple(row[k] for k in key): row for row in then.iter_rows(named=True)}
    out: list[tuple[Any, ...]] = []
    for row in now.iter_rows(named=True):
        name = tuple(row[k] for k in key)
        where = (row["recorded_at"], row["batch_id"])
        held = old.get(name)
        if held is None:
            out.append((*name, "added", None, None, None, *where))
            continue
        out += [(*name, "changed", c, _text(held.get(c)), _text(row[c]), *where) for c in columns if held.get(c) != row[c]]
    return out


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)

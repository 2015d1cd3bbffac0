"""The lake as one person sees it: every relation that a query can name is what the policy lets through, so no question sees more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import AccessRefused
from workbench.lake import Lake
from workbench.oversight import masking
from workbench.oversight.access import Decision
from workbench.schema import TABLES


class Shown(Lake):
    """A lake behind the gate. It reads; what changes the lake asks ``may`` first.

    Args:
        path: the lake's folder.
        decide: what the person sees of a table, now.
        may: raises AccessRefused where the person may not do a deed.
        raw: whether the raw text of a source's rejects may be seen.
    """

    def __init__(self, path: Path, decide: Callable[[str], Decision], may: Callable[[str], None], raw: Callable[[str], bool]) -> None:
        super().__init__(path)
        self._decide, self._may, self._raw = decide, may, raw

    def relation_sql(self, table: str, versions: Mapping[str, int], *, history: bool = False, **more: Any) -> str:
        """SQL of a table's rows as they may be seen; see ``Lake.relation_sql``.

        Raises:
            AccessRefused: the table is closed to this person.
        """
        if table not in TABLES:
            return super().relation_sql(table, versions, history=history, **more)
        decision = self._open(table)
        if decision.whole:
            return super().relation_sql(table, versions, history=history, **more)
        stand = super().relation_sql
        return masking.relation(table, lambda name, every: stand(name, versions, history=every, **more), kinds=decision.masked, hidden=decision.hidden,
                                oldest=decision.oldest, now=datetime.now(UTC), history=history)

    def files(self, table: str, versions: Mapping[str, int], **more: Any) -> list[str]:
        """The files that a query over a table reads, those by which it is told what is masked among them."""
        behind = masking.needs(table, self._decide(table).masked) if table in TABLES else ()
        return list(dict.fromkeys(f for t in dict.fromkeys((table, *behind)) for f in super(Shown, self).files(t, versions, **more)))

    def lookup(self, table: str, column: str, values: Sequence[str], versions: Mapping[str, int] | None = None, **more: Any) -> pl.DataFrame:
        """Rows with one of some values in a column, as they may be seen; see ``Lake.lookup``."""
        decision = self._open(table)
        if decision.masked or decision.hidden:
            marks = ", ".join("?" for _ in values)
            return self.frame(table, versions, where=f'"{column}" in ({marks})' if values else "false", params=list(values), **more)
        found = super().lookup(table, column, values, versions, **more)
        return found if decision.oldest is None else found.filter(pl.col(TABLES[table].time) >= decision.oldest)

    def rejects(self, versions: Mapping[str, int] | None = None, *, open_only: bool = False) -> pl.DataFrame:
        """The rejected records, with the raw text of sources whose tables are seen whole."""
        frame = super().rejects(versions, open_only=open_only)
        shut = [name for name in frame["source"].unique().to_list() if not self._raw(name)]
        return frame.with_columns(pl.when(pl.col("source").is_in(shut)).then(None).otherwise(pl.col("raw")).alias("raw")) if shut else frame

    def superseded_by(self, table: str, batch_id: str, versions: Mapping[str, int], where: str) -> pl.DataFrame:
        """The rows that a batch superseded, where the table is seen whole."""
        if not self._open(table).whole:
            raise AccessRefused(f"Superseded rows of {table} are shown only to a role that sees the whole table; ask for history() instead.")
        return super().superseded_by(table, batch_id, versions, where)

    def load(self, *given: Any, **options: Any) -> Any:
        """Take a file in; see ``Lake.load``."""
        self._may("load")
        return super().load(*given, **options)

    def resolve(self, *given: Any, **options: Any) -> int:
        """Say what became of rejects; see ``Lake.resolve``."""
        self._may("load")
        return super().resolve(*given, **options)

    def compact(self, table: str | None = None) -> Any:
        """Fold small files; see ``Lake.compact``."""
        self._may("upkeep")
        return super().compact(table)

    def vacuum(self, *given: Any, **options: Any) -> Any:
        """Delete what only old versions read; see ``Lake.vacuum``."""
        self._may("upkeep")
        return super().vacuum(*given, **options)

    def unpin(self, name: str) -> None:
        """Take a pin away; see ``Lake.unpin``."""
        self._may("upkeep")
        super().unpin(name)

    def _open(self, table: str) -> Decision:
        decision = self._decide(table) if table in TABLES else Decision(True, "")
        if not decision.allowed:
            raise AccessRefused(decision.sentence)
        return decision

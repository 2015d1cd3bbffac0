"""A table of another database, asked again and again for what is new: PostgreSQL, SQLite or whatever SQLAlchemy has a driver for.

Each poll takes the rows whose high-water column lies at or above where it stood ``overlap_seconds`` ago, so that a transaction which
began then and committed late is not missed; rows that were taken already are told by their content and left out. How far it got is
kept in the journal in the same group as the rows, so a restart goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.intake import watch_config
from workbench.intake.ingest import Behind, Counts, Delivery, Feed, Ingest

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Rows handed over at a time; how many such chunks behind the newest are asked for again where no poll is old enough to say more.
CHUNK, BEHIND = 1000, 10
#: Seconds that a database which does not answer is left alone (doubling up to the last), and rows remembered as taken.
PAUSES, REMEMBERED = (1.0, 60.0), 500_000


def as_text(value: Any) -> str | None:
    """A column's value as the text that a mapping reads: times in ISO, lists and objects as JSON, None for nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    return str(value)


def record(row: Any) -> bytes:
    """A row as one JSON object of column -> text; columns without a value are left out."""
    found = {column: text for column, value in row.items() if (text := as_text(value)) is not None}
    return json.dumps(found, ensure_ascii=False).encode(errors="backslashreplace")


class Poll:
    """Asks one table.

    Args:
        workspace: whose environment and files hold the password.
        table: what is asked.
        feed: how its rows are mapped.
        ingest: takes them.
        mark: where an earlier watcher got to, as it is kept in the journal; None = from the beginning.
        told: says what went wrong.
    """

    def __init__(self, workspace: Path, table: watch_config.Table, feed: Feed, ingest: Ingest, mark: dict[str, Any] | None,
                 told: Callable[[str], None]) -> None:
        self._workspace, self.table, self._feed, self._ingest, self._told = workspace, table, feed, ingest, told
        self.top: Any = _from_mark(mark["top"]) if mark else None
        floor = _from_mark(mark["floor"]) if mark else None
        #: (when, how far): the floor of the next poll is how far it had got ``overlap_seconds`` ago.
        self._past: deque[tuple[float, Any]] = deque([(-1e18, floor)])
        self._taken: OrderedDict[bytes, float] = OrderedDict()
        self.trouble = ""
        self._engine: Engine | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"table {table.called}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the poll that is under way."""
        self._ending.set()
        self._thread.join(timeout=30)
        if self._engine is not None:
            self._engine.dispose()

    def _run(self) -> None:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        pause = PAUSES[0]
        while True:
            try:
                self.poll()
                if self.trouble:
                    self._told(f"table {self.table.called}: answers again")
                self.trouble, pause, wait = "", PAUSES[0], self.table.every_seconds
            except (SQLAlchemyError, Behind, OSError, BadInput) as error:
                said = str(error.orig if isinstance(error, DBAPIError) and error.orig else error).strip().splitlines()[0]
                if said != self.trouble:
                    self._told(f"table {self.table.called}: {said}; trying again")
                self.trouble, wait, pause = said, pause, min(2 * pause, PAUSES[1])
            if self._ending.wait(wait):
                return

    def poll(self) -> int:
        """Ask once; gives how many rows were new. They are durable when it returns."""
        now = time.monotonic()
        floor = self._floor(now)
        new, pending, firsts = 0, deque[Future[Counts]](), deque[Any](maxlen=BEHIND)
        for rows in self._chunks(floor):
            fresh = self._fresh(rows, now)
            tops = [top for row in rows if _past_or_number(top := row[self.table.high_water])]
            firsts += tops[:1]
            self.top = max([*tops, self.top] if self.top is not None else tops, default=None)
            if fresh:
                new += len(fresh)
                mark = self._mark(floor if floor is not None else self._near(firsts))
                pending.append(self._ingest.put(Delivery(self._feed, fresh, marks={self._key: mark} if mark else {})))
            while len(pending) > 4:
                pending.popleft().result()
        for future in pending:
            future.result()
        if floor is None and firsts:
            self._past[0] = (-1e18, self._near(firsts))
        self._past.append((time.monotonic(), self.top))
        while self._taken and now - next(iter(self._taken.values())) > 2 * (self.table.overlap_seconds + self.table.every_seconds) + 60:
            self._taken.popitem(last=False)
        return new

    def _near(self, firsts: deque[Any]) -> Any:
        """How far back a first pass is asked for again: some chunks, and for times also the overlap."""
        if not firsts:
            return None
        near = self.top - timedelta(seconds=self.table.overlap_seconds) if isinstance(self.top, datetime) else firsts[0]
        return min(near, firsts[0])

    @property
    def _key(self) -> str:
        return mark_name(self.table)

    def _floor(self, now: float) -> Any:
        while len(self._past) > 1 and self._past[1][0] <= now - self.table.overlap_seconds:
            self._past.popleft()
        return self._past[0][1]

    def _mark(self, floor: Any) -> dict[str, Any]:
        """What a restart needs: how far it got, and from where it asks again."""
        return {"top": _to_mark(self.top), "floor": _to_mark(floor)} if self.top is not None else {}

    def _fresh(self, rows: list[dict[str, Any]], now: float) -> list[bytes]:
        """The records that were not taken already; all are remembered as seen now."""
        found = []
        for row in rows:
            made = record(row)
            digest = hashlib.blake2b(made, digest_size=12).digest()
            if digest not in self._taken:
                found.append(made)
            self._taken[digest] = now
            self._taken.move_to_end(digest)
        while len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return found

    def _chunks(self, floor: Any) -> Iterator[list[dict[str, Any]]]:
        from sqlalchemy import text

        high = self._quoted(self.table.high_water)
        asked = re.sub(r"(?<!:):(?=\w)", r"\\:", self.table.query.strip().rstrip(";"))
        inside = f"({asked}) as q" if self.table.query else ".".join(map(self._quoted, self.table.table.split(".")))
        where, given = (f"{high} >= :floor", {"floor": floor}) if floor is not None else (f"{high} is not null", {})
        with self._connected().connect().execution_options(stream_results=True, yield_per=CHUNK) as con:
            result = con.execute(text(f"select * from {inside} where {where} order by {high}"), given)
            if self.table.high_water not in set(result.keys()):
                raise BadInput(f"there is no column {self.table.high_water!r}; write it as the database does")
            for rows in result.mappings().partitions(CHUNK):
                yield [dict(row) for row in rows]

    def _quoted(self, name: str) -> str:
        return self._connected().dialect.identifier_preparer.quote_identifier(name)

    def _connected(self) -> Engine:
        if self._engine is None:
            from sqlalchemy import create_engine, event
            from sqlalchemy.engine import make_url
            from sqlalchemy.exc import ArgumentError

            try:
                url = make_url(self.table.url)
            except ArgumentError as error:
                raise BadInput(f"{self.table.url!r} is no database URL, e.g. postgresql+psycopg://reader@cad-server/cad") from error
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            word = watch_config.password(self._workspace, self.table)
            engine = create_engine(url.set(password=word) if word is not None else url, pool_pre_ping=True, pool_size=1)
            if engine.dialect.name == "sqlite":
                event.listen(engine, "connect", lambda con, _: con.execute("pragma query_only = on"))
            self._engine = engine.execution_options(postgresql_readonly=True) if engine.dialect.name == "postgresql" else engine
        return self._engine


def mark_name(table: watch_config.Table) -> str:
    """What the journal keeps a table's mark under; another column or query begins afresh."""
    about = hashlib.sha256(json.dumps([table.url, table.table, table.query, table.high_water]).encode()).hexdigest()[:8]
    return f"table {table.called} {about}"


def _past_or_number(value: Any) -> bool:
    """Whether a high-water value may move the mark: a time that has not come yet may not, or all that is written until then would be missed."""
    if not isinstance(value, date):
        return True
    if not isinstance(value, datetime):
        return value <= (datetime.now(UTC) + timedelta(days=1)).date()
    if value.tzinfo is None:
        return value <= datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=14)
    return value <= datetime.now(UTC) + timedelta(minutes=5)


def _to_mark(value: Any) -> list[str] | None:
    """A high-water value with its kind, so that it can be compared in the database again."""
    if value is None:
        return None
    kinds = {datetime: "datetime", date: "date", int: "int", float: "float", str: "str"}
    kind = kinds.get(type(value), "decimal" if type(value).__name__ == "Decimal" else "")
    if not kind:
        raise BadInput(f"the high-water column holds {type(value).__name__}; it must be a time or a number that only grows")
    return [kind, value.isoformat() if isinstance(value, date) else str(value)]


def _from_mark(mark: list[str] | None) -> Any:
    from decimal import Decimal

    if mark is None:
        return None
    read: dict[str, Callable[[str], Any]] = {"datetime": datetime.fromisoformat, "date": date.fromisoformat, "int": int, "float": float, "str": str,
                                             "decimal": Decimal}
    return read[mark[0]](mark[1])

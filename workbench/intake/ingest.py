"""From deliveries to durable journal lines: one thread maps what has come in meanwhile, and writes and flushes it as one group.

A delivery is answered when its group is on disk. Groups are gathered for a few hundredths of a second, so that fifty events a second
cost some twenty flushes, and a thousand hardly more.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lake.journal import DUPLICATE, REJECT
from workbench.lake.journal_map import Mapper
from workbench.lake.journal_write import Line, Stream, Writer

#: Seconds for which a group is gathered, records of the largest group, and bytes that may wait before senders are told to come later.
GATHER, LARGEST, MOST_WAITING = 0.02, 4000, 64 << 20


class Behind(WorkbenchError):
    """The journal cannot take more at the moment; the sender should come again later."""


@dataclass(frozen=True)
class Feed:
    """Where records come from: what it is called in dead letters, how they are mapped and whose batch they are."""

    name: str
    mapper: Mapper
    stream: Stream


@dataclass
class Counts:
    """What became of a delivery."""

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    position: int = 0


@dataclass
class Delivery:
    """Records of one feed that are answered together.

    Args:
        feed: whose they are.
        records: each one JSON object.
        broken: (raw text, reason) of what is no record: straight to the dead letters.
        marks: of the feed, kept with the records in the same group.
    """

    feed: Feed
    records: Sequence[bytes]
    broken: Sequence[tuple[str, str]] = ()
    marks: dict[str, Any] = field(default_factory=dict)
    done: Future[Counts] = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 200 + sum(map(len, self.records)) + sum(len(raw) for raw, _ in self.broken)


class Ingest:
    """The thread that maps and writes.

    Args:
        writer: of the journal.
        told: called with each delivery and its counts once it is durable.
    """

    def __init__(self, writer: Writer, told: Callable[[Delivery, Counts], None]) -> None:
        self._writer, self._told = writer, told
        self._waiting: list[Delivery] = []
        self._bytes = 0
        self._some = threading.Condition()
        self._ending = False
        self.writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, delivery: Delivery) -> Future[Counts]:
        """Hand a delivery in; the future is done when it is durable.

        Raises:
            Behind: too much waits already, or the watcher is stopping.
        """
        with self._some:
            if self._ending:
                raise Behind("The watcher is stopping; send it again in a moment.")
            if self._bytes > MOST_WAITING:
                raise Behind("The journal is behind; send it again in a moment.")
            self._waiting.append(delivery)
            self._bytes += delivery.size
            self._some.notify()
        return delivery.done

    @property
    def behind(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def stop(self) -> None:
        """Take what waits, then end."""
        with self._some:
            self._ending = True
            self._some.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._some:
                while not self._waiting and not self._ending:
                    self._some.wait()
                if not self._waiting:
                    return
            if not self._ending:
                time.sleep(GATHER)
            with self._some:
                group, records = list[Delivery](), 0
                while self._waiting and (not group or records + len(self._waiting[0].records) <= LARGEST):
                    group.append(self._waiting.pop(0))
                    records += len(group[-1].records)
                self._bytes -= sum(d.size for d in group)
            self._take(group)

    def _take(self, group: list[Delivery]) -> None:
        """Map and write one group; each delivery learns what became of it, or why it was not taken."""
        try:
            lines = _lines(group)
            marks = {name: mark for d in group for name, mark in d.marks.items()}
            with self.writing:
                kinds = self._writer.append([line for _, own in lines for line in own], marks)
                position = self._writer.position
        except Exception as error:
            reason = Behind(f"The journal cannot be written ({error}); send it again later.") if isinstance(error, OSError) else error
            for delivery in group:
                delivery.done.set_exception(reason)
            return
        at = 0
        for delivery, own in lines:
            mine = kinds[at:at + len(own)]
            at += len(own)
            duplicate, rejected = mine.count(DUPLICATE), mine.count(REJECT)
            counts = Counts(len(mine), len(mine) - duplicate - rejected, duplicate, rejected, position)
            delivery.done.set_result(counts)
            self._told(delivery, counts)


def _lines(group: list[Delivery]) -> list[tuple[Delivery, list[Line]]]:
    """The journal lines of each delivery; records of one feed are mapped together."""
    together: dict[int, list[Delivery]] = {}
    for delivery in group:
        together.setdefault(id(delivery.feed), []).append(delivery)
    made: dict[int, list[Line]] = {}
    for deliveries in together.values():
        feed = deliveries[0].feed
        mapped = iter(feed.mapper.map([r for d in deliveries for r in d.records]))
        for delivery in deliveries:
            own = []
            for record in delivery.records:
                one = next(mapped)
                own.append(Line(one.table, feed.stream, one.body) if one.table else _letter(feed, record.decode(errors="backslashreplace"), one.reason))
            made[id(delivery)] = own + [_letter(feed, raw, reason) for raw, reason in delivery.broken]
    return [(delivery, made[id(delivery)]) for delivery in group]


def _letter(feed: Feed, raw: str, reason: str) -> Line:
    if feed.mapper.mask:
        raw = feed.mapper.mask.record(raw)
    return Line(REJECT, feed.stream, json.dumps({"file": feed.name, "reason": reason, "raw": raw.replace("\0", "\\x00")}))

"""The watcher: takes in what comes live, from folders, webhooks and tables, until it is told to stop.

One process a workspace. Webhooks and tables go through the journal (durable and visible within a fraction of a second, folded into the
Delta tables about every minute); dropped files are loaded as by ``workbench load``. It may be killed at any moment: what was answered
is there once, and the next start goes on from where the journal says.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import BadInput, WorkbenchError
from workbench.intake import watch_config
from workbench.intake.folder import Drops
from workbench.intake.ingest import Counts, Delivery, Feed, Ingest
from workbench.intake.sqltable import Poll, mark_name
from workbench.intake.watch_config import Folder, Watching
from workbench.lake import compact, journal, journal_fold, purge
from workbench.lake.journal_map import Mapper
from workbench.lake.journal_write import Stream, Writer, locked
from workbench.lake.report import LoadReport
from workbench.lake.view import View
from workbench.loaders import Source
from workbench.oversight.audit import Audit, Person

#: A segment is folded before its time when it holds so many records or bytes.
MOST_RECORDS, MOST_BYTES = 20_000, 32 << 20


@dataclass(frozen=True)
class Given:
    """What the rooms above lend the watcher: how a source is found, and how a file is loaded."""

    source: Callable[[str], Source]
    load: Callable[[Folder, Path], LoadReport]


class Watch:
    """One watcher.

    Args:
        workspace: its folder.
        watching: what it takes in.
        given: how sources are found and files loaded.
        user: who runs it, for ledger and audit.
        say: prints one line.

    Raises:
        BadInput: another one runs already, or something in ``watch.toml`` cannot be used.
        NotFound: a source is not there.
    """

    def __init__(self, workspace: Path, watching: Watching, given: Given, *, user: str, say: Callable[[str], None] = print) -> None:
        self.workspace, self.watching, self.user = workspace, watching, user
        self.root = workspace / "lake"
        self.audit, self.person = Audit(workspace / "audit.db"), Person(user)
        self._print, self._printing = say, threading.Lock()
        self._told: dict[str, Counts] = {}
        self._told_lock = threading.Lock()
        sources = {name: given.source(name) for name in watching.sources}
        self.root.mkdir(parents=True, exist_ok=True)
        self.view = View(self.root)
        self.writer = Writer(self.root, fresh_since=_last_loaded(self.view))
        self.ingest = Ingest(self.writer, self._tell)
        self.doors = self._doors(sources)
        self.drops = Drops(workspace, watching.folder, given.load, self.say)
        self.polls = [self._poll(table, sources[table.source]) for table in watching.table]
        self._ending = threading.Event()
        self._folder = threading.Thread(target=self._fold_on, name="fold", daemon=True)

    def _feed(self, name: str, source: Source, zone: str, said: Mapping[str, str]) -> Feed:
        mapper = Mapper(source, self.root, beside=self.workspace / watch_config.FILE, zone=zone or None, said=said)
        told = json.dumps(mapper.said, ensure_ascii=False)
        return Feed(name, mapper, Stream(source.name, mapper.mapping_version, source.tables, self.user, mapper.zone, told))

    def _doors(self, sources: Mapping[str, Source]) -> dict[str, Any]:
        import os

        from workbench.intake.webhook import Door

        doors = {}
        for hook in self.watching.webhook:
            if hook.secret_env and not os.environ.get(hook.secret_env):
                raise BadInput(f"{watch_config.FILE}, [[webhook]] {hook.source!r}: the environment has no {hook.secret_env}.")
            doors[hook.source] = Door(self._feed("webhook", sources[hook.source], hook.zone, hook.set), os.environ.get(hook.secret_env, ""))
        return doors

    def _poll(self, table: watch_config.Table, source: Source) -> Poll:
        feed = self._feed(f"table {table.called}", source, table.zone, table.set)
        return Poll(self.workspace, table, feed, self.ingest, self.writer.marks.get(mark_name(table)), self.say)

    # ------------------------------------------------------------------ running

    def run(self) -> None:
        """Take in until SIGTERM or SIGINT, then fold and end."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        from workbench.intake.webhook import serve

        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        _warm()
        self.audit.write(self.person, "watch", self.workspace.name, sources=self.watching.sources, position=self.writer.position)
        server, where = None, self.watching.server
        if self.doors:
            token = watch_config.token(self.workspace, where)
            server = serve(self.doors, self.ingest, token=token, most=where.most_bytes, position=lambda: self.writer.position, told=self.say)
            try:
                server.listen(where.port, address=where.host)
            except OSError as error:
                raise BadInput(f"Port {where.port} on {where.host} cannot be listened on: {error.strerror}; choose another in {watch_config.FILE}.") from error
        self.ingest.start()
        self._folder.start()
        self.drops.start()
        for poll in self.polls:
            poll.start()
        self._say_what(server is not None)
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), 1.0)
            except TimeoutError:
                self._say_counts()
        if server is not None:
            server.stop()
            await asyncio.wait_for(_ignoring(server.close_all_connections()), 10)
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        """Take in what waits, fold it, and say so."""
        for poll in self.polls:
            poll.stop()
        self.drops.stop()
        self.ingest.stop()
        self._say_counts()
        self._ending.set()
        self._folder.join()
        try:
            self.fold()
        finally:
            self.audit.write(self.person, "watch ended", self.workspace.name, position=self.writer.position)
            self.writer.close()
        self.say(f"stopped at position {self.writer.position:,}; everything is folded")

    def _fold_on(self) -> None:
        """Fold when it is time or when the open segment is large; what an earlier watcher left, at once."""
        due = time.monotonic()
        while not self._ending.is_set():
            records, size = self.writer.waiting
            asked = self.root / journal.FOLDER / purge.ASKED
            if asked.exists() or time.monotonic() >= due or records >= MOST_RECORDS or size >= MOST_BYTES:
                try:
                    wanted = asked.exists()
                    self.fold()
                    if wanted:
                        journal_fold.clear(self.root, self.view, stays=0.0)
                        asked.unlink(missing_ok=True)
                except Exception as error:
                    self.say(f"fold: {type(error).__name__}: {error}; trying again, nothing is lost")
                due = time.monotonic() + self.watching.journal.fold_seconds
            self._ending.wait(min(0.2, self.watching.journal.fold_seconds))

    def fold(self) -> None:
        """Close the open segment and fold whatever is not folded yet."""
        with self.ingest.writing:
            self.writer.rotate()
        for segment in journal_fold.due(self.root, self.view):
            with self.audit.deed(self.person, "fold", f"journal from {segment.first}") as outcome:
                done = journal_fold.fold(self.root, self.view, segment, self.writer)
                outcome.update(batches=[r.batch_id for r in done], **{k: sum(getattr(r, k) for r in done) for k in (
                    "read", "added", "updated", "duplicate", "rejected")})
            for r in done:
                self.say(f"{r.source}: {r.file} folded in {r.seconds:.1f} s: {r.added:,} new, {r.updated:,} updated, {r.duplicate:,} held already, "
                         f"{r.rejected:,} rejected")
            held = journal.manifest(segment) or {"batches": []}
            compact.after_load(self.root, self.view, sorted({table for batch in held["batches"] for table in batch["rows"]} | {"rejects"}))
        journal_fold.clear(self.root, self.view)

    # ------------------------------------------------------------------ telling

    def say(self, line: str) -> None:
        """Print one line with the time; a token or password is never part of it."""
        with self._printing:
            self._print(f"{datetime.now():%H:%M:%S} {line}")

    def _tell(self, delivery: Delivery, counts: Counts) -> None:
        name = f"{delivery.feed.stream.source} {delivery.feed.name}"
        with self._told_lock:
            held = self._told.setdefault(name, Counts())
            for field in ("received", "accepted", "duplicate", "rejected"):
                setattr(held, field, getattr(held, field) + getattr(counts, field))
            held.position = counts.position

    def _say_counts(self) -> None:
        """One line a feed for what came in since the last."""
        with self._told_lock:
            told, self._told = self._told, {}
        for name, c in told.items():
            more = "".join(f", {n:,} {word}" for n, word in ((c.duplicate, "held already"), (c.rejected, "rejected")) if n)
            self.say(f"{name}: {c.received:,} records, {c.accepted:,} taken{more}; position {c.position:,}")

    def _say_what(self, served: bool) -> None:
        where = self.watching.server
        if served:
            self.say(f"webhooks at http://{where.host}:{where.port}/in/<source> for {', '.join(self.doors)}; the token is in {where.token_file}")
        for folder in self.watching.folder:
            self.say(f"folder {folder.path}/{folder.pattern} -> {folder.source}")
        for table in self.watching.table:
            self.say(f"table {table.called} -> {table.source}, every {table.every_seconds:g} s")
        self.say(f"watching, position {self.writer.position:,}; Ctrl-C folds and stops")


def _warm() -> None:
    """Import what the first fold would (pyarrow takes pandas with it where that is installed): an import would hold up every thread meanwhile."""
    import pyarrow

    pyarrow.array([""])


async def _ignoring(work: Any) -> None:
    try:
        await work
    except Exception as error:
        print(f"closing: {error}", file=sys.stderr)


def _last_loaded(view: View) -> int:
    """When a batch that did not come from the journal was last recorded, microseconds; 0 for never."""
    versions = view.settled()
    files = view.files("batches", versions)
    if not files:
        return 0
    other = pl.read_parquet(files, columns=["file", "recorded_at"]).filter(~pl.col("file").str.contains(r"^journal \d+-\d+$"))
    latest = other["recorded_at"].max()
    return int(latest.timestamp() * 1_000_000) + 1 if isinstance(latest, datetime) else 0


@dataclass(frozen=True)
class Status:
    """Where the journal stands: last position, records not folded yet, dead letters among those and in all live batches, whether a watcher runs."""

    running: bool
    position: int
    waiting: int
    dead_letters_waiting: int
    dead_letters: int
    marks: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """For people."""
        lines = [f"A watcher is {'running' if self.running else 'not running'}; the journal stands at position {self.position:,}.",
                 f"{self.waiting:,} records wait to be folded, {self.dead_letters_waiting:,} of them dead letters; "
                 f"{self.dead_letters:,} dead letters came in live so far."]
        return lines + [f"{name} has got to {mark['top'][1]}." for name, mark in sorted(self.marks.items())]


def status(workspace: Path) -> Status:
    """Where a workspace's journal stands.

    Raises:
        WorkbenchError: nothing has been taken in live yet.
    """
    root = workspace / "lake"
    position = journal.position(root)
    if position is None:
        raise WorkbenchError("Nothing has been watched here yet; begin with: workbench watch --example")
    view = View(root)
    versions = view.versions()
    running = False
    try:
        locked(root / journal.FOLDER).close()
    except BadInput:
        running = True
    from workbench.engines.duckdb import connect

    con = connect()
    try:
        live = [row for row in con.execute(f"select file, \"read\", rejected, batch_id from ({view.current('batches', versions)})").fetchall()
                if journal.numbers(row[0])]
    finally:
        con.close()
    folded = view.visible(versions)
    waiting = [row for row in live if row[3] not in folded]
    marks: dict[str, Any] = {}
    for segment in journal.segments(root):
        marks.update(journal.marks(segment))
    return Status(running, position, sum(r[1] for r in waiting), sum(r[2] for r in waiting), sum(r[2] for r in live), marks)

"""Writing the journal: groups of lines appended and flushed to disk as a whole, and made good again after a kill.

There is one writer a lake, who holds a lock. A group becomes visible (``head`` moves) once it has been flushed; a group that was cut off
is cut away at the next start, so that it is there wholly or not at all. What a reader sees of it: nothing until then.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import IO, Any

from workbench import schema
from workbench.errors import BadInput
from workbench.lake import journal, tables
from workbench.lake.journal import BATCH, DUPLICATE, END, REJECT, Segment

#: Keys whose last edition the writer remembers, so that a repeated delivery is told at once.
REMEMBERED = 200_000


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start:error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


codecs.register_error("workbench-json", _escaped)


@dataclass(frozen=True)
class Line:
    """One record on its way in.

    Args:
        kind: the table it fills, or ``rejects``.
        stream: whose it is.
        body: its canonical columns as a JSON object; for rejects: file, reason, raw.
    """

    kind: str
    stream: Stream
    body: str


@dataclass(frozen=True)
class Stream:
    """What the records of a batch have in common; a segment has one batch for each."""

    source: str
    mapping_version: str
    tables: tuple[str, ...]
    user: str
    zone: str = ""
    said: str = "{}"


@dataclass
class _Known:
    """What the open segment holds so far."""

    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: int = 0

    def add(self, batch: str, kind: str, size: int, position: int) -> None:
        held = self.batches[batch]
        held["first"], held["last"] = held["first"] or position, position
        held["read"] += 1
        held["bytes"] += size
        if kind in (REJECT, DUPLICATE):
            held[{REJECT: "rejected", DUPLICATE: "duplicate"}[kind]] += 1
        else:
            held["rows"][kind] = held["rows"].get(kind, 0) + 1
        self.lines += 1


class Writer:
    """The one who appends to a lake's journal. Opening it makes good what a kill has left.

    Args:
        root: the lake's folder.
        fresh_since: journal lines recorded before this (microseconds) are not remembered: something else was loaded since.

    Raises:
        BadInput: another process writes this journal.
    """

    def __init__(self, root: Path, *, fresh_since: int = 0) -> None:
        self.root, self.home = root, root / journal.FOLDER
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.home)
        self.marks: dict[str, Any] = {}
        self._known, self._seen = _Known(), OrderedDict[tuple[str, str], bytes]()
        self._ledger, self._moment = tables.latest(root, "batches"), 0
        self.position, self._folding = 0, False
        self._head = os.open(self.home / journal.HEAD, os.O_RDWR | os.O_CREAT, 0o644)
        self._recover(fresh_since)
        self._publish()
        os.fsync(self._head)

    def append(self, lines: Sequence[Line], marks: Mapping[str, Any] | None = None) -> list[str]:
        """Put lines into the journal, all or none of them; they are on disk and visible when it returns.

        A row that is exactly the last edition of its key, or a dead letter that is one already, is written down as a duplicate. Gives each
        line's kind as it was written.

        Raises:
            OSError: the disk is full or fails; nothing was added.
        """
        self._tell_loads_apart()
        now = max(time.time_ns() // 1000, self._moment + 1)
        position, parts, kinds = self.position, list[bytes](), list[str]()
        fresh: dict[tuple[str, str], bytes] = {}
        added: list[tuple[str, str, int, int]] = []
        batches = {stream: self._batch(stream) for stream in {line.stream for line in lines}}
        for line in lines:
            batch = batches[line.stream]
            if batch not in self._known.batches:
                parts.append(_line(position + 1, BATCH, batch, line.stream.source, now, self._declare(batch, line.stream)))
            position += 1
            kind, body = line.kind, line.body.encode("ascii", "workbench-json").decode("ascii")
            key, digest = _named(kind, line.stream.source, body)
            if fresh.get(key, self._seen.get(key)) == digest:
                kind, body = DUPLICATE, ""
            else:
                fresh[key] = digest
            text = _line(position, kind, batch, line.stream.source, now, body)
            parts.append(text)
            kinds.append(kind)
            added.append((batch, kind, len(text), position))
        said = {**(marks or {})}
        data = b"".join(parts)
        data += _line(position, END, f"{zlib.crc32(data):08x}", str(len(parts)), now, json.dumps(said) if said else "")
        self._write(data)
        self.position, self._moment = position, now
        self.marks.update(said)
        for one in added:
            self._known.add(*one)
        self._remember(fresh)
        self._publish()
        return kinds

    def rotate(self) -> Segment | None:
        """Close the open segment, if it holds a record, and begin the next; gives the closed one, which may be folded."""
        if not self._known.lines:
            return None
        closed, file = self._segment, self._file
        self._close(closed, self._known)
        try:
            self._begin()
        except OSError:
            closed.manifest.unlink(missing_ok=True)
            raise
        os.close(file)
        self._known = _Known()
        return closed

    @property
    def waiting(self) -> tuple[int, int]:
        """Records and bytes in the open segment."""
        return self._known.lines, self._size

    @contextmanager
    def folding(self, before: int | None) -> Iterator[None]:
        """While a fold commits to the ledger, which it holds locked at version ``before``: nothing else is loaded, so what is remembered still holds."""
        self._folding = True
        try:
            yield
            if self._ledger == before:
                self._ledger = tables.latest(self.root, "batches")
        finally:
            self._folding = False

    def close(self) -> None:
        """Let go of the files and the lock."""
        for handle in (self._file, self._head):
            os.close(handle)
        self._lock.close()

    # ------------------------------------------------------------------ inside

    def _write(self, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            self._known.batches = {b: held for b, held in self._known.batches.items() if held["read"]}
            raise
        self._size += len(data)

    def _publish(self) -> None:
        os.pwrite(self._head, b"%015d%015d\n" % (self.position, self.position), 0)

    def _batch(self, stream: Stream) -> str:
        about = f"{self._segment.path.stem} {stream.source} {stream.mapping_version}"
        begun = time.gmtime(self._segment.begun // 1_000_000)
        return f"{time.strftime('%Y%m%dT%H%M%S', begun)}-{sha256(about.encode()).hexdigest()[:8]}"

    def _declare(self, batch: str, stream: Stream) -> str:
        about = {"mapping_version": stream.mapping_version, "tables": list(stream.tables), "user": stream.user, "zone": stream.zone, "said": stream.said}
        self._known.batches[batch] = _fresh(batch, stream.source, about)
        return json.dumps(about)

    def _remember(self, fresh: Mapping[tuple[str, str], bytes]) -> None:
        for key, digest in fresh.items():
            self._seen[key] = digest
            self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _tell_loads_apart(self) -> None:
        """A file that was loaded meanwhile may hold another edition of a key: then the same delivery again is news, and it belongs into a
        batch of its own, since a fold takes all of a batch for later than what the tables hold."""
        ledger = self._ledger if self._folding else tables.latest(self.root, "batches")
        if ledger != self._ledger:
            self.rotate()
            self._seen.clear()
            self._ledger = ledger

    def _begin(self) -> None:
        begun = max(time.time_ns() // 1000, self._moment + 1)
        path = self.home / f"{self.position + 1:015d}-{begun:016d}.tsv"
        first = _line(self.position, END, f"{zlib.crc32(b''):08x}", "0", begun, json.dumps(self.marks) if self.marks else "")
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            out.write(first)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, path)
        _flush(self.home)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._segment, self._size, self._moment = Segment(path, self.position + 1, begun), len(first), begun

    def _close(self, segment: Segment, known: _Known) -> None:
        about = {"last": self.position, "batches": list(known.batches.values())}
        part = segment.manifest.with_suffix(".part")
        with part.open("w", encoding="ascii") as out:
            json.dump(about, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, segment.manifest)
        _flush(self.home)

    def _recover(self, fresh_since: int) -> None:
        """Read what is there; cut off what was not finished; go on behind it."""
        for stray in self.home.glob("*.part"):
            stray.unlink()
        open_one = None
        for segment in journal.segments(self.root):
            known = _Known()
            size = self._read(segment, known, fresh_since)
            about = journal.manifest(segment)
            if about is None:
                os.truncate(segment.path, size)
                open_one = (segment, known, size)
            else:
                self.position, open_one = max(self.position, about["last"]), None
        self.position = max(self.position, self._cut())
        if open_one is None:
            self._begin()
            return
        self._segment, self._known, self._size = open_one
        self._file = os.open(self._segment.path, os.O_WRONLY | os.O_APPEND)
        os.fsync(self._file)

    def _cut(self) -> int:
        cut = self.home / journal.CUT
        return int(json.loads(cut.read_text(encoding="ascii"))["position"]) if cut.exists() else 0

    def _read(self, segment: Segment, known: _Known, fresh_since: int) -> int:
        """Take in the whole groups of a segment; gives the size up to the end of the last."""
        size = 0
        for lines, end in _groups(segment.path):
            fresh: dict[tuple[str, str], bytes] = {}
            for fields in lines:
                position, kind, batch, source, moment, body = fields
                if kind == BATCH:
                    known.batches[batch] = _fresh(batch, source, json.loads(body))
                    continue
                known.add(batch, kind, sum(map(len, fields)) + 6, int(position))
                if kind != DUPLICATE and int(moment) > fresh_since:
                    key, digest = _named(kind, source, body)
                    fresh[key] = digest
            self._remember(fresh)
            self.position, self._moment = int(end[0]), int(end[4])
            self.marks.update(json.loads(end[5]) if end[5] else {})
            size = int(end[6])
        return size


def _fresh(batch: str, source: str, about: Mapping[str, Any]) -> dict[str, Any]:
    return {"batch_id": batch, "source": source, **about, "first": 0, "last": 0, "read": 0, "duplicate": 0, "rejected": 0, "bytes": 0, "rows": {}}


def locked(home: Path) -> IO[str]:
    """The writer's lock; it is let go when the stream is closed or the process ends.

    Raises:
        BadInput: another process holds it.
    """
    lock = (home / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise BadInput("Another watcher is running for this workspace; stop that one first (workbench watch --status tells of it).") from error
    return lock


def _line(position: int, kind: str, batch: str, source: str, moment: int, body: str) -> bytes:
    return f"{position:015d}\t{kind}\t{batch}\t{source}\t{moment:016d}\t{body}\n".encode("ascii", "workbench-json")


def _groups(path: Path) -> Iterator[tuple[list[list[str]], list[str]]]:
    """The whole groups of a segment: the fields of their lines, and those of the closing line with the offset behind it as a seventh."""
    lines: list[list[str]] = []
    crc, offset = 0, 0
    with path.open("rb") as stream:
        for raw in stream:
            fields = raw.decode("ascii", "replace").rstrip("\n").split("\t")
            if len(fields) != 6 or not raw.endswith(b"\n"):
                return
            offset += len(raw)
            if fields[1] != END:
                crc = zlib.crc32(raw, crc)
                lines.append(fields)
                continue
            if fields[2] != f"{crc:08x}" or fields[3] != str(len(lines)):
                return
            yield lines, [*fields, str(offset)]
            lines, crc = [], 0


def _named(kind: str, source: str, body: str) -> tuple[tuple[str, str], bytes]:
    """What a line is remembered by: its table and key (a dead letter: its source and itself), and a digest of all of it."""
    digest = blake2b(body.encode(), digest_size=12).digest()
    if kind == REJECT:
        return (kind, source + digest.hex()), digest
    row = json.loads(body)
    return (kind, json.dumps([row[k] for k in schema.table(kind).key])), digest


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

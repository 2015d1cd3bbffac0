"""One load: a file of a source becomes one batch, all of it visible at once or none of it.

The file is checked, counted and numbered (``files``), mapped into staged Parquet by DuckDB (``mapping``), and only then, under the
locks of the tables it fills, compared with what the lake holds (``compare``), moved in and committed: facts, rejects, and last
the row in ``batches`` that makes them visible. Nothing is left to see when it stops anywhere before.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from workbench.engines.duckdb import connect, literal
from workbench.errors import BadInput, WorkbenchError
from workbench.lake import compare, files, floors, mapping, masking, purge, rejects, sweep, tables, texts
from workbench.lake.filling import Filling
from workbench.lake.report import LoadReport
from workbench.lake.stage import stage_file
from workbench.lake.view import View
from workbench.loaders import Source
from workbench.loaders.kit import functions

Progress = Callable[[str, float], None]
#: Files of the ledger above which they are folded into one; pinned versions keep theirs.
_FOLD = 64


@dataclass
class _Settled:
    """What a file's rows were found to be: how many of each kind, the files each table gets, and when they count as recorded."""

    moment: datetime
    counts: dict[str, int]
    moves: dict[str, list[tables.DataFile]] = field(default_factory=dict)


@dataclass
class Load:
    """What one load knows while it runs."""

    root: Path
    view: View
    source: Source
    file: Path
    zone: str
    user: str
    memory: str
    progress: Progress
    said: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    batch_id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}")
    recorded_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sha256: str = ""
    size: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    fill: Filling = field(init=False)

    def run(self) -> LoadReport:
        """Do it.

        Raises:
            BadInput: the file cannot be loaded as this source; nothing was loaded.
        """
        files.check(self.file)
        _zone(self.zone)
        self.said = self.source.saying(self.said)
        self.fill = Filling(self.source, self.file, self.zone, self.said, self.root)
        self.source.form(self.file)
        before = self.file.stat()
        self.size = before.st_size
        self.progress("checking", 0.0)
        sweep.sweep(self.root, self.view)
        with self._engine() as con:
            if self._as_large(con):
                self.sha256 = texts.digest(self.file)
                known = self._known(con)
                if known is not None:
                    return known
            with sweep.working(self.root, self.view, self.batch_id) as work:
                ready = files.Ready(self.source.told(self.said), self.file, self.source.form(self.file), crs=self.said.get("crs", ""))
                staged = self._stage(con, ready, work)
                self.left_out = floors.leave_out(con, ready, staged, purge.floors(self.root), purge.barred(self.root))
                with tables.locked(self.root, *self.source.tables), ThreadPoolExecutor(1) as summing:
                    digest = None if self.sha256 else summing.submit(texts.digest, self.file)
                    settled = self._compare(con, ready, staged, work)
                    self.sha256 = digest.result() if digest else self.sha256
                    after = self.file.stat()
                    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                        raise BadInput(f"{self.file.name} changed while it was read; nothing was loaded. Load it again when it is complete.")
                    return self._known(con) or self._commit(con, ready, settled, work)

    @contextmanager
    def _engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        con = connect(memory=self.memory, spill=sweep.folder(self.root, self.batch_id) / "spill", within=(self.root, self.file))
        functions.register(con)
        try:
            yield con
        finally:
            con.close()

    def _as_large(self, con: duckdb.DuckDBPyConnection) -> bool:
        """Whether a file of as many bytes was loaded before, with the same source and mapping: then it is worth its sum to see whether it is the same."""
        return self._batch(con, "bytes", self.size) is not None

    def _batch(self, con: duckdb.DuckDBPyConnection, column: str, value: str | int) -> tuple[Any, ...] | None:
        versions = self.view.versions()
        if "batches" not in versions:
            return None
        row: tuple[Any, ...] | None = con.execute(
            f"select batch_id, read, rejected, strftime(recorded_at, '%Y-%m-%d %H:%M') from ({self.view.current('batches', versions)}) "
            f"where {column} = ? and source = ? and mapping_version = ? order by recorded_at limit 1",
            [value, self.source.name, self.source.mapping_version(self.zone, self.said)]).fetchone()
        return row

    def _known(self, con: duckdb.DuckDBPyConnection) -> LoadReport | None:
        """The report of the same bytes, source and mapping loaded before, if there is one."""
        row = self._batch(con, "sha256", self.sha256)
        if row is None:
            return None
        return LoadReport(source=self.source.name, file=str(self.file), read=row[1], added=0, updated=0, duplicate=row[1] - row[2], rejected=row[2],
                          seconds=round(time.monotonic() - self.began, 3), batch_id=row[0], already=True, first_loaded=row[3])

    def _stage(self, con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path) -> dict[str, list[tables.DataFile]]:
        """Map the file's records into Parquet files of the batch, and note those that cannot be used."""
        provenance = mapping.Provenance(self.source.name, self.batch_id, self.recorded_at.isoformat())
        return stage_file(con, ready, work, self.fill, provenance, lambda share: self.progress("reading", share))

    def _compare(self, con: duckdb.DuckDBPyConnection, ready: files.Ready, staged: dict[str, list[tables.DataFile]], work: Path) -> _Settled:
        """Under the tables' locks: tell what is new from what is held, and settle what goes into each table. Nothing leaves the working folder."""
        self.progress("comparing", 0.0)
        versions = self.view.versions()
        latest = self._latest(con, versions)
        counts = {"added": sum(self.left_out.values()), "updated": 0, "duplicate": len(ready.repeats)}
        settled = _Settled(max(datetime.now(UTC), self.recorded_at, latest), counts)
        for table, stage in staged.items():
            if not stage:
                continue
            judged = compare.judge(con, self.view, table, [f.path for f in stage], versions, ready.hashes)
            if "older" in judged.counts:
                counts["duplicate"] -= rejects.refuse_older(con, ready.repeats)
            counts["updated"] += judged.counts.get("updated", 0)
            counts["duplicate"] += judged.counts.get("duplicate", 0)
            counts["added"] += sum(f.rows for f in stage) - sum(judged.counts.values())
            settled.moves[table] = compare.settle(con, table, stage, judged, self.batch_id, work, moment=settled.moment, late=self.recorded_at < latest)
        return settled

    def _commit(self, con: duckdb.DuckDBPyConnection, ready: files.Ready, settled: _Settled, work: Path) -> LoadReport:
        """Under the same locks: check the counts, move in, make visible."""
        counts = settled.counts
        self.rejected = rejects.by_reason(con, ready)
        self._balance(ready, counts)
        self.progress("writing", 0.0)
        refused = rejects.write(con, ready, work, self.batch_id, settled.moment.isoformat(), masking.Mask(ready.source, self.fill))
        for table, moved in settled.moves.items():
            if moved:
                compare.place(self.root, table, self.batch_id, work)
                tables.append(self.root, table, moved)
        if refused:
            with tables.locked(self.root, "rejects"):
                tables.append(self.root, "rejects", [refused])
        floors.note(self.root, self.batch_id, self.left_out, work)
        seconds = self._make_visible(con, ready, counts, [t for t, moved in settled.moves.items() if moved], work)
        self.progress("writing", 1.0)
        return LoadReport(source=self.source.name, file=str(self.file), read=ready.read, added=counts["added"], updated=counts["updated"],
                          duplicate=counts["duplicate"], rejected=sum(self.rejected.values()), seconds=seconds, batch_id=self.batch_id,
                          rejects_by_reason=dict(self.rejected), left_out=dict(self.left_out))

    def _balance(self, ready: files.Ready, counts: dict[str, int]) -> None:
        found = sum(counts.values()) + sum(self.rejected.values())
        if found != ready.read:
            raise WorkbenchError(f"{self.file.name} holds {ready.read:,} records but {found:,} were accounted for; nothing was loaded. "
                                 "This is a fault of the workbench: please report it with the file's first lines.")

    def _latest(self, con: duckdb.DuckDBPyConnection, versions: dict[str, int]) -> datetime:
        """Just later than any batch that is visible, whatever the clock did."""
        first = datetime(1970, 1, 1, tzinfo=UTC)
        if "batches" not in versions:
            return first
        row = con.execute(f"select epoch_us(max(recorded_at)) from ({self.view.current('batches', versions)})").fetchone()
        return first + timedelta(microseconds=row[0] + 1) if row and row[0] is not None else first

    def _make_visible(self, con: duckdb.DuckDBPyConnection, ready: files.Ready, counts: dict[str, int], filled: list[str], work: Path) -> float:
        """Commit the ledger row; before this nothing of the batch can be seen, after it all."""
        with tables.locked(self.root, "batches"):
            versions = self.view.settled()
            moment = max(datetime.now(UTC), self.recorded_at, self._latest(con, versions))
            seconds = round(time.monotonic() - self.began, 3)
            row = {
                "batch_id": literal(self.batch_id), "source": literal(self.source.name),
                "mapping_version": literal(self.source.mapping_version(self.zone, self.said)),
                "file": literal(self.file.name), "sha256": literal(self.sha256), "bytes": str(self.size), "read": str(ready.read),
                "added": str(counts["added"]), "updated": str(counts["updated"]), "duplicate": str(counts["duplicate"]),
                "rejected": str(sum(self.rejected.values())), "tables": f"[{', '.join(literal(t) for t in filled)}]",
                "user": literal(self.user), "recorded_at": literal(moment.isoformat()), "seconds": str(seconds),
                "zone": literal(self.zone), "said": literal(json.dumps(dict(self.said), ensure_ascii=False)), "header": rejects.header(ready),
            }
            picked = ", ".join(f'cast({row[n]} as {c.type}) as "{n}"' for n, c in tables.SHAPES["batches"].items())
            path = work / f"{self.batch_id}-rec-0.parquet"
            rows, earlier = f"select {picked}", self.view.files("batches", versions)
            fold = len(earlier) >= _FOLD
            if fold:
                rows += f" union all by name ({self.view.current('batches', versions)})"
            written = con.execute(f"copy ({rows}) to {literal(str(path))} (format parquet)").fetchone()
            count = int(written[0]) if written else 0
            tables.append(self.root, "batches", [tables.DataFile(path, count)], remove=[f.name for f in earlier] if fold else ())
        return seconds


def _zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError) as error:
        raise BadInput(f"There is no time zone {zone!r}; use an IANA name such as 'America/Chicago'.") from error

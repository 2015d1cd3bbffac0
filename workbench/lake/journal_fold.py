"""Folding: the batches of a closed journal segment become ordinary batches of the Delta tables, exactly once.

A batch keeps the id that its rows carry, so a fold that was killed is swept like any killed load and done again, and one that was
committed is visible and is passed over. Rows keep their line (the position) and the time at which they came in.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from workbench.engines.duckdb import connect, literal
from workbench.lake import compare, journal, tables
from workbench.lake.journal import REJECT, Segment
from workbench.lake.journal_write import Writer
from workbench.lake.report import LoadReport
from workbench.lake.sweep import folder, sweep, working
from workbench.lake.view import View

#: Seconds that a folded segment stays, for those who have pinned a state before the fold and read it still.
STAYS = 3600.0
_OLDER = "older edition than the one held (revised_at)"
#: Files of the ledger above which they are folded into one; pinned versions keep theirs.
_LEDGER = 64


def due(root: Path, view: View) -> list[Segment]:
    """Closed segments with a batch that is not visible yet, oldest first; what killed folds left is swept first."""
    sweep(root, view)
    visible = view.visible(view.settled())
    found = []
    for segment in journal.segments(root):
        about = journal.manifest(segment)
        if about and any(batch["batch_id"] not in visible for batch in about["batches"]):
            found.append(segment)
    return found


def fold(root: Path, view: View, segment: Segment, writer: Writer | None = None) -> list[LoadReport]:
    """Fold the batches of a closed segment that are not visible yet; ``writer`` is the journal's, where it is in this process.

    Cost: about 0.2 s and 20 µs a record; other loads of the same tables wait, what comes in live does not.
    """
    about = journal.manifest(segment) or {"batches": []}
    made = (_Fold(root, view, segment, batch, writer).run() for batch in about["batches"])
    return [report for report in made if report is not None]


def clear(root: Path, view: View, *, stays: float = STAYS) -> int:
    """Delete segments that were folded longer ago than ``stays`` seconds; gives how many. What they held is read from Delta from then on."""
    versions = view.settled()
    visible, gone = view.visible(versions), []
    for segment in journal.segments(root):
        about = journal.manifest(segment)
        whole = about is not None and all(batch["batch_id"] in visible for batch in about["batches"])
        if not whole or time.time() - segment.manifest.stat().st_mtime < stays:
            break
        gone.append((segment, about["last"] if about else 0))
    if gone:
        part = root / journal.FOLDER / "cut.part"
        with part.open("w", encoding="ascii") as out:
            json.dump({"position": gone[-1][1], "batches": versions["batches"]}, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, root / journal.FOLDER / journal.CUT)
    for segment, _ in gone:
        segment.path.unlink(missing_ok=True)
        segment.manifest.unlink(missing_ok=True)
    return len(gone)


class _Fold:
    """One batch on its way into the tables."""

    def __init__(self, root: Path, view: View, segment: Segment, batch: dict[str, Any], writer: Writer | None) -> None:
        self.root, self.view, self.segment, self.batch, self.writer = root, view, segment, batch, writer
        self.id: str = batch["batch_id"]
        self.file = f"journal {batch['first']}-{batch['last']}"
        self.began = time.monotonic()
        self.counts = {"added": 0, "updated": 0, "duplicate": batch["duplicate"], "rejected": batch["rejected"]}

    def run(self) -> LoadReport | None:
        """Do it, unless it has been done."""
        if self.id in self.view.visible(self.view.settled()):
            return None
        filled = sorted(self.batch["rows"])
        con = connect(memory="512MB", spill=folder(self.root, self.id) / "spill", within=(self.root,))
        con.execute("set threads = 1")
        try:
            with working(self.root, self.view, self.id) as work:
                staged = {table: self._stage(con, table, number, work) for number, table in enumerate(filled)}
                with tables.locked(self.root, *filled):
                    return self._commit(con, staged, work)
        finally:
            con.close()

    def _rows(self, table: str) -> str:
        return journal.lines_sql(table, [str(self.segment.path)], f"b = {literal(self.id)}")

    def _stage(self, con: duckdb.DuckDBPyConnection, table: str, number: int, work: Path) -> Path:
        path = work / f"{self.id}-new-{number}.parquet"
        _copy(con, self._rows(table), path)
        return path

    def _commit(self, con: duckdb.DuckDBPyConnection, staged: dict[str, Path], work: Path) -> LoadReport:
        versions = self.view.settled()
        refused: list[str] = [self._rows(REJECT)] if self.batch["rejected"] else []
        moves = {}
        for table, path in staged.items():
            judged = compare.judge(con, self.view, table, [path], versions)
            self.counts["updated"] += judged.counts.get("updated", 0) - _came_first(judged)
            self.counts["duplicate"] += judged.counts.get("duplicate", 0)
            if judged.counts.get("older"):
                self.counts["rejected"] += judged.counts["older"]
                refused.append(self._older(con, path, work / f"older-{table}.parquet"))
            moves[table] = self._settled(con, table, path, judged, work)
        self.counts["added"] = self.batch["read"] - sum(self.counts[k] for k in ("updated", "duplicate", "rejected"))
        for table, moved in moves.items():
            if moved:
                compare.place(self.root, table, self.id, work)
                tables.append(self.root, table, [moved])
        if refused:
            path = work / f"{self.id}-rec-0r.parquet"
            count = _copy(con, f"({' union all by name '.join(refused)}) order by line", path)
            with tables.locked(self.root, REJECT):
                tables.append(self.root, REJECT, [tables.DataFile(path, count)])
        return self._make_visible(con, [t for t, moved in moves.items() if moved], work)

    def _settled(self, con: duckdb.DuckDBPyConnection, table: str, path: Path, judged: compare.Judged, work: Path) -> tables.DataFile | None:
        """The file that goes into the table, with its sidecars: each row with the time at which it came in; None when nothing is left."""
        count = self.batch["rows"][table]
        if len(judged.dropped):
            copy = work / f"again-{table}.parquet"
            rows = f"read_parquet({literal(str(path))}, file_row_number = true) anti join (from verdict where verdict <> 'updated') using (line)"
            count = _copy(con, f"select * exclude (file_row_number) from {rows} order by file_row_number", copy)
            if not count:
                return None
            copy.rename(path)
        moved = tables.DataFile(path, count)
        compare.sidecars(judged, [moved], {}, work, table, self.id)
        return moved

    def _older(self, con: duckdb.DuckDBPyConnection, path: Path, to: Path) -> str:
        """Rows that the agency had revised since: rejects, with the canonical row as their text."""
        body = "cast(to_json(struct_pack(*columns(r.* exclude (source, batch_id, line, recorded_at)))) as varchar)"
        _copy(con, f"select batch_id, source, 'journal' as file, line, {literal(_OLDER)} as reason, {body} as raw, recorded_at "
                   f"from read_parquet({literal(str(path))}) r semi join (from verdict where verdict = 'older') using (line)", to)
        return f"select * from read_parquet({literal(str(to))})"

    def _make_visible(self, con: duckdb.DuckDBPyConnection, filled: list[str], work: Path) -> LoadReport:
        """Commit the ledger row; until then the rows are read from the journal, from then on out of the tables."""
        with tables.locked(self.root, "batches"):
            versions = self.view.settled()
            row = {
                "batch_id": literal(self.id), "source": literal(self.batch["source"]), "mapping_version": literal(self.batch["mapping_version"]),
                "file": literal(self.file), "sha256": literal(self._digest()), "bytes": str(self.batch["bytes"]), "read": str(self.batch["read"]),
                **{k: str(n) for k, n in self.counts.items()}, "tables": f"[{', '.join(map(literal, filled or self.batch['tables']))}]",
                "user": literal(self.batch["user"]), "recorded_at": literal(self._moment(con, versions).isoformat()),
                "seconds": str(round(time.monotonic() - self.began, 3)),
                **{k: literal(self.batch[k]) for k in ("zone", "said") if self.batch.get(k)},
            }
            picked = ", ".join(f'cast({row.get(n, "null")} as {c.type}) as "{n}"' for n, c in tables.SHAPES["batches"].items())
            rows, earlier = f"select {picked}", self.view.files("batches", versions)
            if len(earlier) >= _LEDGER:
                rows += f" union all by name ({self.view.current('batches', versions)})"
            path = work / f"{self.id}-rec-0.parquet"
            count = _copy(con, rows, path)
            with self.writer.folding(versions.get("batches")) if self.writer else nullcontext():
                tables.append(self.root, "batches", [tables.DataFile(path, count)], remove=[f.name for f in earlier] if len(earlier) >= _LEDGER else ())
        return LoadReport(source=self.batch["source"], file=self.file, read=self.batch["read"], **self.counts,
                            seconds=round(time.monotonic() - self.began, 3), batch_id=self.id)

    def _moment(self, con: duckdb.DuckDBPyConnection, versions: dict[str, int]) -> datetime:
        """Now, but later than any batch that is visible, whatever the clock did."""
        row = con.execute(f"select epoch_us(max(recorded_at)) from ({self.view.current('batches', versions)})").fetchone()
        latest = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(row[0] if row and row[0] else 0) + 1)
        return max(datetime.now(UTC), latest)

    def _digest(self) -> str:
        """SHA-256 of the batch's lines as they stand in the journal."""
        digest, mark = hashlib.sha256(), b"\t" + self.id.encode() + b"\t"
        with self.segment.path.open("rb") as stream:
            for line in stream:
                if mark in line[:200]:
                    digest.update(line)
        return digest.hexdigest()


def _came_first(judged: compare.Judged) -> int:
    """Rows that came in before every edition that the tables hold of their key: those were loaded meanwhile, as newer editions."""
    met, rows = judged.met, judged.rows
    earliest: dict[int, int] = {}
    for key, recorded in zip(met.held_key.tolist(), met.held.recorded.tolist(), strict=True):
        earliest[key] = min(recorded, earliest.get(key, recorded))
    first = {key: place for place, key in sorted(zip(met.place.tolist(), met.key.tolist(), strict=True), key=lambda pair: -rows.line[pair[0]])}
    out = set(judged.dropped.tolist())
    return sum(1 for key, place in first.items() if key in earliest and rows.recorded[place] < earliest[key] and int(rows.line[place]) not in out)


def _copy(con: duckdb.DuckDBPyConnection, rows: str, to: Path) -> int:
    """Write rows as Parquet; gives how many, and leaves no file for none."""
    written = con.execute(f"copy ({rows}) to {literal(str(to))} (format parquet, compression zstd)").fetchone()
    count = int(written[0]) if written else 0
    if not count:
        to.unlink(missing_ok=True)
    return count



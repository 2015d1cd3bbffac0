"""What became of the records that could not be used? Listed, written out to be mended, taken in again, or dismissed with a reason.

Rejects go out batch by batch in the form they came in (CSV under its own header, else one JSON object a line) with a list beside them that says
line and reason of each. The records stay byte for byte as they came, since they are loaded again: look at them in an editor, a spreadsheet may take a
cell for a formula. When the mended file comes back, record n of the file is row n of that list; those that are now taken in are
marked as mended by the new batch, the others stay open where they were.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import polars as pl

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.intake.batch import widened
from workbench.lake import Lake, LoadReport
from workbench.lake.forms import opened
from workbench.lake.masking import NOT_KEPT
from workbench.lake.records import Csv, Ndjson
from workbench.lake.texts import Blocks
from workbench.loaders import Source
from workbench.views import sheets

#: What the list beside a file of rejects ends in.
BESIDE = ".reasons.csv"
_OPENED = "a quotation mark is opened"
_COLUMNS = ("record", "batch_id", "line", "reason", "sha256")


@dataclass(frozen=True)
class Written:
    """A batch's rejects on disk: the ``file`` to mend, and the list ``beside`` it."""

    file: Path
    beside: Path
    records: int

    def sentence(self) -> str:
        """One line for people."""
        return (f"{self.records:,} record{'' if self.records == 1 else 's'} written to {self.file}, the reasons to {self.beside.name}. Mend the records, keep "
                f"their order, then: workbench rejects resubmit {self.file}")


@dataclass(frozen=True)
class Settled:
    """What came of mended records: how many were taken in, and how many are still rejected."""

    mended: int
    still: int
    report: LoadReport

    def sentence(self) -> str:
        """One line for people."""
        still = f"{self.still:,} still cannot be used and stay open" if self.still else "none is left"
        return f"{self.mended:,} mended record{'' if self.mended == 1 else 's'} taken in as batch {self.report.batch_id}; {still}."


def summary(rejects: pl.DataFrame, batches: pl.DataFrame) -> pl.DataFrame:
    """One row a batch and reason: batch_id, source, file, loaded (UTC), reason, open, mended, dismissed, example; newest batch first.

    Args:
        rejects: as ``Workbench.rejects`` gives them.
        batches: the ledger.
    """
    counted = rejects.group_by("batch_id", "source", "file", "reason").agg(
        pl.col("outcome").is_null().sum().alias("open"), (pl.col("outcome") == "mended").sum().alias("mended"),
        (pl.col("outcome") == "dismissed").sum().alias("dismissed"), pl.col("raw").sort_by("line").drop_nulls().first().alias("example"))
    loaded = batches.select("batch_id", pl.col("recorded_at").alias("loaded"))
    return counted.join(loaded, on="batch_id", how="left").sort(["loaded", "batch_id", "open", "reason"], descending=[True, True, True, False])


def batch(rejects: pl.DataFrame, which: str) -> str:
    """The id of a batch with rejects: given whole, by its beginning, or as "last".

    Raises:
        NotFound: none or several begin so.
    """
    known = rejects.sort("recorded_at", "batch_id")["batch_id"].unique(maintain_order=True).to_list()
    if which == "last" and known:
        return str(known[-1])
    found = [b for b in known if b.startswith(which)] if which else []
    if len(found) != 1:
        raise NotFound(f"{'Several batches begin' if found else 'No batch with rejects begins'} with {which!r}.{did_you_mean(which, found or known)}")
    return str(found[0])


def closed(rejects: pl.DataFrame, personal: Callable[[str], bool]) -> pl.DataFrame:
    """The same without the raw text of sources that are about plates or persons.

    Args:
        rejects: as ``Workbench.rejects`` gives them.
        personal: whether a source is.
    """
    shut = [s for s in rejects["source"].unique().to_list() if personal(s)]
    return rejects.with_columns(pl.when(pl.col("source").is_in(shut)).then(None).otherwise(pl.col("raw")).alias("raw"))


def narrowed(rejects: pl.DataFrame, reason: str) -> pl.DataFrame:
    """Those whose reason holds a text, upper and lower case alike.

    Raises:
        NotFound: there is none.
    """
    found = rejects.filter(pl.col("reason").str.to_lowercase().str.contains(reason.lower(), literal=True))
    if found.is_empty():
        raise NotFound(f"No reject has a reason with {reason!r}.{did_you_mean(reason, rejects['reason'].unique().to_list())}")
    return found


def write(rejects: pl.DataFrame, header: str | None, source: Source | None, to: Path) -> Written:
    """Write one batch's rejects to be mended, for the user's eyes only.

    Args:
        rejects: of one batch, with their raw text.
        header: of the file they came from, where it was CSV and the ledger knows it.
        source: that read them; its columns stand for a header that is not known.
        to: the file without its suffix.

    Raises:
        BadInput: nothing to write, text that may not be seen, or a header that cannot be told.
    """
    if rejects.is_empty():
        raise BadInput("There is no open reject to write.")
    if rejects["raw"].null_count():
        raise BadInput("These records are about plates or persons: a case and a purpose are needed, e.g. --case 2026-0142 --purpose investigation")
    as_json = header is None and all(raw.lstrip().startswith(("{", NOT_KEPT)) for raw in rejects["raw"].to_list())
    if header is None and not as_json:
        header = _header(rejects, source)
    ordered = rejects.with_columns(pl.col("reason").str.starts_with(_OPENED).alias("last")).sort("last", "line")
    file = to.with_name(f"{to.name}{'.ndjson' if as_json else '.csv'}")
    beside = file.with_name(file.name + BESIDE)
    with _private(file) as out:
        if not as_json:
            out.write(f"{header}\n")
        out.writelines(f"{raw}\n" for raw in ordered["raw"])
    with _private(beside) as out:
        table = csv.writer(out)
        table.writerow(_COLUMNS)
        for n, (batch_id, line, reason, raw) in enumerate(ordered.select("batch_id", "line", "reason", "raw").iter_rows(), 1):
            table.writerow((n, batch_id, line, sheets.cell(reason), _digest(raw)))
    return Written(file, beside, ordered.height)


@dataclass(frozen=True)
class Claims:
    """A mended file and what its records were: the ``batch_id`` that rejected them, and their ``lines`` there, in the file's order."""

    file: Path
    batch_id: str
    lines: list[int]
    changed: int


def claims(file: Path) -> Claims:
    """A mended file with the list beside it.

    Raises:
        BadInput: there is no such file or list, or they do not have as many records.
    """
    beside = file.with_name(file.name + BESIDE)
    for path in (file, beside):
        if not path.is_file():
            raise BadInput(f"There is no file {path}. Rejects are written out with: workbench rejects export last")
    with beside.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or any(c not in rows[0] for c in _COLUMNS) or len({r["batch_id"] for r in rows}) != 1 or not all((r["line"] or "").isdecimal() for r in rows):
        raise BadInput(f"{beside.name} is not the list that was written with {file.name}; write both anew.")
    held = _raws(file)
    if len(held) != len(rows):
        raise BadInput(f"{file.name} has {len(held)} records, {beside.name} lists {len(rows)}. Keep them in step: a record that is not mended is taken out of "
                       "both, and a quotation mark that is opened is closed.")
    changed = sum(_digest(raw) != row["sha256"] for raw, row in zip((r for _, r in held), rows, strict=True))
    return Claims(file, rows[0]["batch_id"], [int(r["line"]) for r in rows], changed)


def reading(source: Source) -> Source:
    """The source as it reads a mended file: NDJSON too, and in whatever encoding an editor has saved it."""
    return replace(widened(source), encoding="")


def loaded_with(batches: pl.DataFrame, batch_id: str, source: Source) -> tuple[str | None, dict[str, str]]:
    """The zone of a batch and what was said with it, as the ledger has them; what the source does not ask for any more is left out.

    Args:
        batches: the ledger; one of before these columns were kept gives None and nothing.
        batch_id: the load that rejected the records.
        source: that reads them now.
    """
    rows = batches.filter(pl.col("batch_id") == batch_id).select("zone", "said").rows()
    zone, said = rows[0] if rows else (None, None)
    known = {*source.asks, *source.takes}
    return zone, {n: v for n, v in json.loads(said or "{}").items() if n in known}


def told(batch: Mapping[str, Any]) -> str:
    """What was said with a batch of the ledger, in brackets behind a blank; "" where that is nothing."""
    said = ", ".join(f"{n}={v}" for n, v in json.loads(batch.get("said") or "{}").items())
    return f" ({said})" if said else ""


def settle(lake: Lake, claimed: Claims, report: LoadReport, user: str) -> Settled:
    """Mark the mended records of a load as mended, and leave the others open where they were, not twice.

    Args:
        lake: it.
        claimed: what the file's records were.
        report: of the load of that file, also of an earlier one of the same bytes.
        user: who did it.
    """
    every = lake.rejects()
    again = set(every.filter(pl.col("batch_id") == report.batch_id)["line"].to_list())
    open_there = set(every.filter((pl.col("batch_id") == claimed.batch_id) & pl.col("outcome").is_null())["line"].to_list())
    places = [line for line, _ in _raws(claimed.file)]
    mended = [old for old, new in zip(claimed.lines, places, strict=True) if new not in again and old in open_there]
    if mended:
        lake.resolve(claimed.batch_id, mended, "mended", resolved_by=report.batch_id, user=user)
    twice = every.filter((pl.col("batch_id") == report.batch_id) & pl.col("outcome").is_null())["line"].to_list()
    if twice:
        lake.resolve(report.batch_id, twice, "dismissed", reason=f"came with mended rejects of batch {claimed.batch_id} and stays open there", user=user)
    return Settled(len(mended), len(again), report)


def _header(rejects: pl.DataFrame, source: Source | None) -> str:
    """The source's own columns as a header, where the records have as many fields."""
    if source is not None and source.delimiter and "csv" in source.formats:
        for columns in ((*source.columns, *source.optional), source.columns):
            rows = list(csv.reader(rejects["raw"].to_list(), delimiter=source.delimiter))
            if 2 * sum(len(r) == len(columns) for r in rows) >= len(rows):
                return source.delimiter.join(columns)
    raise BadInput("The header of the file that these records came from is not known (it was loaded before headers were kept); "
                   "mend them in that file and load it.")


def _raws(file: Path) -> list[tuple[int, str]]:
    """(line, text) of every record of a mended file."""
    found = []
    with opened(file) as stream:
        blocks = Blocks(stream, file.name)
        if file.suffix == ".csv":
            with file.open(encoding="utf-8-sig", errors="replace") as head:
                first = head.readline()
            delimiter = max((",", ";", "\t", "|"), key=first.count)
            records: Csv | Ndjson = Csv(blocks, delimiter)
        else:
            records = Ndjson(blocks)
        for part in records.batches():
            for number in range(part.first, part.first + part.read):
                line, raw = part.raw(number)
                found.append((line, raw.decode("utf-8", "replace")))
    return found


def _private(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="")


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


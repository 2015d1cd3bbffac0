"""Records that cannot be used: gathered with their reason, line and raw text, and written as one file of the ``rejects`` table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from workbench.engines.duckdb import literal
from workbench.lake import files, mapping, masking, tables
from workbench.lake.filling import Filling
from workbench.loaders import Source

Array = npt.NDArray[np.int64]
_OLDER = "older edition than the one held (revised_at)"


def begin(con: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary table ``refused`` (record, reason) of the records that can be taken apart but not used."""
    con.execute("create or replace temp table refused (record bigint, reason varchar)")


def collect(con: duckdb.DuckDBPyConnection, source: Source, piece: files.Piece, fill: Filling) -> None:
    """Take the records of a piece that the mapping cannot use into ``refused``; a second pass over it, only made when there are any."""
    for part in source.parts:
        con.execute(f"insert into refused {mapping.unsound_rows(source, part, piece.raw, fill)}")
    strange = mapping.strange_rows(source, piece.raw, fill)
    if strange:
        con.execute(f"insert into refused {strange}")


def header(ready: files.Ready) -> str:
    """SQL of the header of a CSV file as one line, null of any other form."""
    if ready.form != "csv":
        return "null"
    odd = (ready.delimiter, '"', "\n", "\r")
    return literal(ready.delimiter.join('"' + c.replace('"', '""') + '"' if any(o in c for o in odd) else c for c in ready.header))


def refuse_older(con: duckdb.DuckDBPyConnection, repeats: Array) -> int:
    """Take the older editions of the latest comparison into ``refused``, and the ``repeats`` (record, record it repeats) of them; gives how many those are."""
    con.execute(f"insert into refused select line, {literal(_OLDER)} from verdict where verdict = 'older'")
    older = con.sql("select line from verdict where verdict = 'older'").fetchnumpy()["line"]
    again = repeats[np.isin(repeats[:, 1], older), 0].tolist()
    if again:
        con.execute(f"insert into refused select unnest(?::bigint[]), {literal(_OLDER)}", [again])
    return len(again)


def by_reason(con: duckdb.DuckDBPyConnection, ready: files.Ready) -> dict[str, int]:
    """How many records were rejected for each reason, the broken ones included."""
    every = "select reason from refused"
    if ready.broken_file:
        every += f" union all select reason from {_spooled(ready.broken_file)}"
    return dict(con.execute(f"select reason, count(*) from ({every}) group by all order by all").fetchall())


def write(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, batch_id: str, recorded_at: str,
          mask: masking.Mask) -> tables.DataFile | None:
    """Write the rejects of a load, in order of line, what the source only keeps as a hash hidden; None when there are none."""
    raw = mask.lost_sql() if mask else "raw"
    parts = [f"select line, reason, {raw} as raw from {_spooled(ready.broken_file)}"] if ready.broken_file else []
    if con.execute("select count(*) from refused").fetchone() != (0,):
        rows = _parquet_rows(ready) if ready.form == "parquet" else ""
        if rows and not mask:
            parts.append(rows)
        else:
            parts.append(f"select line, reason, raw from {_spooled(_masked_rows(con, rows, mask, work) if rows else _text_rows(con, ready, work, mask))}")
    if not parts:
        return None
    path = work / f"{batch_id}-rec-0r.parquet"
    rows = (f"select {literal(batch_id)} as batch_id, {literal(ready.source.name)} as source, {literal(ready.file.name)} as file, line, reason, raw, "
            f"timestamptz {literal(recorded_at)} as recorded_at from ({' union all '.join(parts)}) order by line")
    written = con.execute(f"copy ({rows}) to {literal(str(path))} (format parquet, compression zstd)").fetchone()
    return tables.DataFile(path, int(written[0]) if written else 0)


def _text_rows(con: duckdb.DuckDBPyConnection, ready: files.Ready, work: Path, mask: masking.Mask) -> Path:
    """A second pass over the file that picks out the refused records as they stand."""
    path, reasons = work / "refused.ndjson", {}
    result = con.execute("select record, reason from refused order by record")

    def wanted() -> Iterator[int]:
        while rows := result.fetchmany(10_000):
            for record, reason in rows:
                reasons[record] = reason
                yield record

    with path.open("w", encoding="utf-8") as out:
        for record, line, raw in files.raw_texts(ready, wanted()):
            if mask:
                raw = mask.row(raw, ready.header, ready.delimiter) if ready.form == "csv" else mask.record(raw)
            out.write(json.dumps({"record": record, "line": line, "reason": reasons.pop(record), "raw": raw}) + "\n")
    return path


def _masked_rows(con: duckdb.DuckDBPyConnection, rows: str, mask: masking.Mask, work: Path) -> Path:
    """The refused rows of a Parquet file with what is to be hidden in them."""
    path = work / "refused.ndjson"
    result = con.execute(rows)
    with path.open("w", encoding="utf-8") as out:
        while found := result.fetchmany(10_000):
            out.writelines(json.dumps({"line": line, "reason": reason, "raw": mask.record(raw)}) + "\n" for line, reason, raw in found)
    return path


def _parquet_rows(ready: files.Ready) -> str:
    rows = f"select * from read_parquet({literal(str(ready.file))}, file_row_number = true)"
    raw = "cast(to_json(struct_pack(*columns(r.* exclude (file_row_number)))) as varchar)"
    return f"select record as line, reason, {raw} as raw from refused join ({rows}) r on file_row_number + 1 = record"


def _spooled(path: Path) -> str:
    shape = "{'record': 'BIGINT', 'line': 'BIGINT', 'reason': 'VARCHAR', 'raw': 'VARCHAR'}"
    return f"read_json({literal(str(path))}, format = 'newline_delimited', columns = {shape}, maximum_object_size = {1 << 26})"

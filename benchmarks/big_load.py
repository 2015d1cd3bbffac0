"""How fast do ten million dirty plate reads go in, checked and mapped, beside tools that only read the text, and how fast do they come out?"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.process import in_turn, measure

ROWS, SMALL = 10_000_000, 100_000
TITLE = f"Loading: {ROWS:,} dirty plate reads, CSV of 1.1 GB"
_SAMPLE = Path(__file__).resolve().parents[1] / "data" / "samples" / "sample_reads.csv.gz"
_MONTHS = (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)

_LOAD = """
import sys
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake
report = Lake(Path(sys.argv[2])).load(loaders.find("sample_reads"), Path(sys.argv[1]))
assert report.read == report.added + report.duplicate + report.rejected == int(sys.argv[3]) and not report.already, report
"""
_FRESH = f"""
import shutil, sys
shutil.rmtree(sys.argv[2], ignore_errors=True)
{_LOAD}"""
_AGAIN = """
import sys
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake
assert Lake(Path(sys.argv[2])).load(loaders.find("sample_reads"), Path(sys.argv[1])).already
"""
_FRAME = """
import sys
from pathlib import Path
from workbench.lake import Lake
assert Lake(Path(sys.argv[1])).frame("reads").height > 0.99 * int(sys.argv[2])
"""
_DIRT = "encoding = 'utf-8', strict_mode = false, ignore_errors = true"
_DUCKDB = f"""
import sys, duckdb
con = duckdb.connect()
con.execute(f"create table t as select * from read_csv('{{sys.argv[1]}}', {_DIRT})")
"""
_DUCKDB_FRAME = f"""
import sys, duckdb
frame = duckdb.connect().sql(f"select * from read_csv('{{sys.argv[1]}}', {_DIRT})").pl()
"""
_DUCKDB_PARQUET = """
import glob, sys, duckdb
frame = duckdb.connect().sql(f"select * from read_parquet({glob.glob(sys.argv[1] + '/reads/**/*.parquet', recursive=True)!r})").pl()
assert frame.height > 0.99 * int(sys.argv[2])
"""
_POLARS = """
import sys, polars
polars.read_csv(sys.argv[1], ignore_errors=True, truncate_ragged_lines=True, encoding="utf8-lossy", quote_char=None)
"""


def write_reads(to: Path, rows: int) -> None:
    """Write a CSV of plate reads: those of the made-up city over and over with other plates and times, and with dirt.

    Of every 10,000 lines about one is torn, two have bytes that are no UTF-8, one has a comma within quotes, one a stray quotation mark, one a
    quotation mark that is never closed; some times are none, some plates are missing, some lines are blank or stand there twice. The same
    bytes for the same ``rows``; about 1 s for a million.
    """
    import polars as pl

    sample = pl.read_csv(_SAMPLE, infer_schema=False, truncate_ragged_lines=True)
    sample = sample.filter(pl.all_horizontal(pl.col("Read Time", "Plate", "Longitude", "Latitude").is_not_null())).unique("Read ID", maintain_order=True)
    left, turn = rows, 0
    with to.open("wb") as out:
        out.write((",".join(sample.columns) + "\n").encode())
        while left > 0:
            lines = _turn(sample, turn)[:left]
            left, turn = left - len(lines), turn + 1
            for place in range(7_000, len(lines), 20_000):
                lines[place] += b"\n"
            out.write(b"\n".join(lines) + b"\n")


def _turn(sample: Any, turn: int) -> list[bytes]:
    import polars as pl

    row = pl.int_range(pl.len())
    month = f"2026-{_MONTHS[turn % len(_MONTHS)]:02d}"
    letters, digits = pl.col("Plate").str.slice(0, 3), pl.col("Plate").str.slice(3).cast(pl.Int64, strict=False).fill_null(77)
    moved = sample.with_columns(
        (pl.lit("R") + (10_000_001 + turn * sample.height + row).cast(pl.String)).alias("Read ID"),
        pl.when(row % 10_500 != 99).then(letters + ((digits * 31 + turn * 7) % 10_000).cast(pl.String).str.zfill(4)).alias("Plate"),
        pl.when(row % 12_000 == 77).then(pl.lit("2026-06-31T25:00:00-05:00")).otherwise(pl.lit(month) + pl.col("Read Time").str.slice(7)).alias("Read Time"),
    )
    lines: list[bytes] = moved.write_csv(include_header=False, quote_style="never").encode().splitlines()
    for place in range(500, len(lines), 5_000):
        lines[place] = lines[place - 1]
    for place in range(1_234, len(lines), 26_000):
        lines[place] = lines[place][:40]
    for place in range(4_321, len(lines), 9_000):
        lines[place] = lines[place].replace(b" ROAD", b" CAF\xe9 ROAD").replace(b" AVENUE", b" CAF\xe9 AVENUE")
    for first, every, before, after in ((777, 8_000, b'"', b', EAST"'), (2_777, 15_000, b"", b' 5" PIPE'), (6_777, 30_000, b'"', b"")):
        for place in range(first, len(lines), every):
            fields = lines[place].split(b",")
            fields[4:5] = [before + field + after for field in fields[4:5]]
            lines[place] = b",".join(fields)
    return lines


def run() -> list[dict[str, Any]]:
    """One row a tool: whole processes, start and imports included."""
    into, again, small, outof = f"{ROWS:,} reads in", "the same file again", f"{SMALL:,} reads in, to a lake that has none", "all reads out, as a Polars frame"
    with tempfile.TemporaryDirectory() as home:
        big, few, lake, other = (str(Path(home) / n) for n in ("reads.csv", "few.csv", "lake", "other"))
        write_reads(Path(big), ROWS)
        write_reads(Path(few), SMALL)
        note = f"raw columns into memory; {_DIRT}: what it cannot read is left out unsaid"
        first, raw = in_turn(
            3,
            lambda: measure(into, "workbench load", _FRESH, big, lake, str(ROWS), repeats=1,
                            note="every record checked, mapped, times to UTC, compared, written as Parquet, committed; broken ones kept with line and reason"),
            lambda: measure(into, "duckdb read_csv", _DUCKDB, big, repeats=1, note=note))
        rows = [
            first,
            raw,
            measure(into, "polars.read_csv", _POLARS, big, repeats=1, note="raw columns into memory; utf8-lossy, quotes as ordinary characters: wrong rows"),
            measure(again, "workbench load", _AGAIN, big, lake, repeats=1, note=f"nothing to add; {median(first['seconds']):.1f} s the first time"),
            measure(small, "workbench load", _FRESH, few, other, str(SMALL), repeats=3, note="a process of its own, imports included"),
            measure(small, "duckdb read_csv", _DUCKDB, few, repeats=3, note=note),
            measure(outof, "workbench frame", _FRAME, lake, str(ROWS), repeats=3, note="Lake.frame: latest edition of each read, 24 columns"),
            measure(outof, "duckdb read_parquet", _DUCKDB_PARQUET, lake, str(ROWS), repeats=3, note="the lake's own files as they lie"),
            measure(outof, "duckdb read_csv", _DUCKDB_FRAME, big, repeats=1, note="the text again; 12 columns, times left as text"),
            measure(outof, "polars.read_csv", _POLARS, big, repeats=1, note="the text again"),
        ]
    return rows


if __name__ == "__main__":
    write_reads(Path(sys.argv[1]), int(sys.argv[2]))

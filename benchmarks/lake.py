"""Does the lake keep up at ten million reads: updates, re-sent files, the current view, and the questions people ask?

Reads of 90 days by 200 readers are made by SQL, loaded through the lake's own path, updated and looked after; the questions are then put
to the lake and to DuckDB over the very Parquet file that was loaded, both in this process and warm.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from workbench.lake import Lake
from workbench.loaders import Part, Source

TITLE = "The lake at 10 million reads: updates and questions, in process and warm"
ROWS, CHANGED, REPEATS = 10_000_000, 100_000, 15
_COLUMNS = {
    "read_id": "printf('%016x', hash(i))", "plate": "plate", "region": "case when p % 9 = 0 then 'NB' else 'IL' end", "reader": "printf('R%03d', r)",
    "read_at": "timestamptz '2026-01-01 00:00:00+00' + to_microseconds((i * {step})::bigint)", "confidence": "0.8 + (hash(i, 5) % 200) / 1000.0",
    "direction": "((r % 8) * 45)::double", "make": "['FORD', 'TOYOTA', 'HONDA', 'NISSAN', 'KIA'][1 + (p % 5)::int]",
    "colour": "['BLACK', 'WHITE', 'RED', 'BLUE'][1 + (p % 4)::int]", "moving": "r > 150",
    "lon": "-87.9 + ((r * 37) % 200) / 1000.0 + if(r > 150, (hash(i, 1) % 1000) / 100000.0, 0)",
    "lat": "41.6 + ((r * 53) % 200) / 1000.0 + if(r > 150, (hash(i, 2) % 1000) / 100000.0, 0)",
}
SOURCE = Source(name="bench_reads", title="made-up reads", columns=tuple(_COLUMNS), formats=("parquet",),
                parts=(Part("reads", {c: f'"{c}"' for c in _COLUMNS}),))
_HOUR = (datetime(2026, 2, 15, 10, tzinfo=UTC), datetime(2026, 2, 15, 11, tzinfo=UTC))
_MONTH = (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
_BOX = "lon between -87.80 and -87.75 and lat between 41.65 and 41.70"
_SUMS = "select count(*), avg(confidence), max(plate), min(lon), max(lat), max(read_id) from"


def generate(file: Path, rows: int = ROWS) -> None:
    """Write made-up reads, in order of time; a plate is read 8 times on average, the busiest some thousand times."""
    picked = ", ".join(f'{sql.format(step=90 * 86_400_000_000 // rows)} as "{column}"' for column, sql in _COLUMNS.items())
    plate = "chr(65 + (p % 26)::int) || chr(65 + (p // 26 % 26)::int) || chr(65 + (p // 676 % 26)::int) || printf('%04d', p * 7919 % 10000)"
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute(f"copy (select {picked} from (select *, {plate} as plate from (select i, (hash(i, 7) % 200)::bigint as r, "
                f"floor(power((hash(i, 3) % 1000000007) / 1000000007.0, 2) * 1200000)::bigint as p from range({rows}) t(i)))) "
                f"to '{file}' (format parquet, compression zstd)")
    con.close()


def timed(do: Callable[[], Any], repeats: int = 1) -> list[float]:
    """Seconds of each repetition."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        do()
        found.append(time.perf_counter() - start)
    return found


def row(task: str, method: str, seconds: list[float], note: str = "") -> dict[str, Any]:
    """One line of the table."""
    return {"task": task, "method": method, "seconds": seconds, "note": note}


def run() -> list[dict[str, Any]]:
    """Updates first, then the view, then the questions."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        file = folder / "reads.parquet"
        generate(file)
        lake = Lake(folder / "lake")
        return [*_loads(lake, folder, file), *_view(lake, file), *_questions(lake, file)]


def _loads(lake: Lake, folder: Path, file: Path) -> list[dict[str, Any]]:
    task = f"{ROWS:,} reads, and {CHANGED:,} of them changed"
    first = timed(lambda: lake.load(SOURCE, file))
    again = timed(lambda: lake.load(SOURCE, file), 3)
    con, updates = duckdb.connect(), []
    con.execute("set TimeZone = 'UTC'")
    for n in range(3):
        changed = folder / f"changed{n}.parquet"
        con.execute(f"copy (select * replace (0.5 + 0.1 * {n} as confidence) from '{file}' where hash(read_id, {n}) % {ROWS // CHANGED} = 0 limit {CHANGED}) "
                    f"to '{changed}' (format parquet)")
        reports: list[Any] = []
        updates += timed(lambda reports=reports, changed=changed: reports.append(lake.load(SOURCE, changed)))  # type: ignore[misc]
        assert reports[0].updated == reports[0].read and reports[0].added == 0, reports[0]
    con.close()
    return [row(task, "update", updates, "keys looked up among all held, new editions appended, the old ones left out of the view"),
            row(task, "first load", first, "from Parquet, with key index"), row(task, "the same file again", again, "known by its SHA-256")]


def _view(lake: Lake, file: Path) -> list[dict[str, Any]]:
    task = "six aggregates over all reads, after three updates"
    versions = lake.versions()
    files = [f for f in lake.files("reads", versions) if f.endswith(".parquet")]
    con = lake.connect()
    current = f"{_SUMS} {lake.relation_sql('reads', versions)}"
    plain = f"{_SUMS} read_parquet({files})"
    both: list[list[float]] = [[], []]
    for _ in range(5):
        both[0] += timed(lambda: con.sql(current).fetchall())
        both[1] += timed(lambda: con.sql(plain).fetchall())
    con.close()
    return [row(task, "current view", both[0], "rows that were superseded are left out"), row(task, "plain scan of the same files", both[1])]


def _questions(lake: Lake, file: Path) -> list[dict[str, Any]]:
    laid = timed(lake.compact)
    versions, con = lake.versions(), duckdb.connect()
    con.execute("set TimeZone = 'UTC'; set parquet_metadata_cache = true")
    usual = con.execute(f"select plate from '{file}' group by plate having count(*) = 30 order by plate limit 1").fetchall()[0][0]
    busy = con.execute(f"select plate from '{file}' group by plate order by count(*) desc limit 1").fetchall()[0][0]
    where, rows = f"read_at >= ? and read_at < ? and {_BOX}", []
    beats = "case when reader < 'R100' then 'B' || right(reader, 1) else 'B1' || right(reader, 1) end"
    raw = f"select {beats} as beat, date_trunc('hour', read_at) as hour, count(*) as n from '{file}' where read_at >= ? and read_at < ? group by all"
    asked: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("one plate's 30 reads of 90 days", lambda: lake.lookup("reads", "plate", [usual], versions),
         lambda: con.sql(f"select * from '{file}' where plate = ?", params=[usual]).pl()),
        ("the busiest plate's reads", lambda: lake.lookup("reads", "plate", [busy], versions),
         lambda: con.sql(f"select * from '{file}' where plate = ?", params=[busy]).pl()),
        ("reads of one hour in a box", lambda: lake.frame("reads", versions, where=where, params=_HOUR),
         lambda: con.sql(f"select * from '{file}' where {where}", params=list(_HOUR)).pl()),
        ("reads of a month by beat and hour", lambda: _by_beat(lake, versions), lambda: con.sql(raw, params=list(_MONTH)).pl()),
    ]
    for task, ours, theirs in asked:
        assert ours().height == theirs().height, task
        rows += [row(task, "lake", timed(ours, REPEATS)), row(task, "duckdb over the file as loaded", timed(theirs, REPEATS))]
    con.close()
    return [*rows, row("looking after it", "compact", laid, "small files folded, reads laid out by plate")]


def _by_beat(lake: Lake, versions: dict[str, int]) -> Any:
    beats = {f"R{n:03d}": f"B{n % 10}" if n < 100 else f"B1{n % 10}" for n in range(200)}
    return lake.hourly("reads", "reader", *_MONTH, versions=versions, groups=beats)

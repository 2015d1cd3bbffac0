"""What a staged row is to the lake: a new key, a new edition of a key it holds, exactly what it holds, or older than that.

Each record is compared with the edition before it of its key: the one earlier in the file, or else the lake's current one. An
edition that the agency revised earlier than the one before it (``revised_at``; none counts as earliest) is older and is not taken.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from workbench import schema
from workbench.engines.duckdb import literal, name


def judge(con: duckdb.DuckDBPyConnection, table: str, staged: list[Path], held: str, *, empty: bool) -> dict[str, int]:
    """Make the temporary table ``verdict`` (line, verdict) of the staged rows that are not simply new; gives how many of each.

    Verdicts are updated, duplicate and older; rows that are not in it are new. ``held`` is SQL of the lake's current rows, ``empty``
    says that there are none. Cost: one pass over the keys held, and a sort of the rows whose keys occur twice.
    """
    about = schema.table(table)
    key = ", ".join(name(k) for k in about.key)
    rows = from_files(staged)
    con.execute("drop table if exists verdict; drop table if exists known")
    known = f"select {key} from {rows} group by all having count(*) > 1"
    if not empty:
        known += f" union select distinct {key} from {rows} semi join (select {key} from ({held})) using ({key})"
    con.execute(f"create temp table known as {known}")
    if con.execute("select count(*) from known").fetchone() == (0,):
        return {}
    body = ", ".join(name(c) for c in about.columns)
    revised = "coalesce(revised_at, timestamptz '-infinity')" if "revised_at" in about.columns else "0"
    both = f"select {key}, {revised} as revised, row({body}) as body, line as place from {rows} semi join known using ({key})"
    if not empty:
        both += f" union all select {key}, {revised}, row({body}), 0 from ({held}) semi join known using ({key})"
    con.execute(f"""
        create temp table verdict as
        with every as (
            select *, coalesce(max(revised) over (partition by {key} order by place rows between unbounded preceding and 1 preceding) > revised, false) as older
            from ({both})),
        kept as (
            select *, lag(place) over (partition by {key} order by place) as before, lag(body) over (partition by {key} order by place) as held
            from every where not older)
        select place as line, case when body is not distinct from held then 'duplicate' else 'updated' end as verdict
        from kept where place > 0 and before is not null
        union all select place, 'older' from every where older""")
    return dict(con.execute("select verdict, count(*) from verdict group by all").fetchall())


def write(con: duckdb.DuckDBPyConnection, staged: list[Path], verdict: str, recorded_at: str, to: Path) -> int:
    """Write the staged rows of one verdict ("new" for those without one) as a Parquet file; gives how many. No file for none."""
    pick = "anti join verdict using (line)" if verdict == "new" else f"semi join (from verdict where verdict = {literal(verdict)}) using (line)"
    rows = f"select * replace (timestamptz {literal(recorded_at)} as recorded_at) from {from_files(staged)} {pick}"
    written = con.execute(f"copy ({rows}) to {literal(str(to))} (format parquet, compression zstd)").fetchone()
    count = int(written[0]) if written else 0
    if not count:
        to.unlink(missing_ok=True)
    return count


def from_files(files: list[Path]) -> str:
    """SQL of the rows of staged files."""
    return f"read_parquet([{', '.join(literal(str(f)) for f in files)}])"

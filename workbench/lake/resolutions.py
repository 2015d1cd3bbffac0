"""What became of rejected records: mended and taken in by a later batch, or dismissed with a reason. Appended, never changed; the latest counts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from workbench.engines.duckdb import connect, literal
from workbench.errors import BadInput, NotFound
from workbench.lake import tables
from workbench.lake.sweep import sweep, working
from workbench.lake.view import View

OUTCOMES = ("mended", "dismissed")


def resolve(root: Path, view: View, batch_id: str, lines: Iterable[int], outcome: str, resolved_by: str | None, reason: str | None, user: str) -> int:
    """Write down what became of some rejected records of a batch; see ``Lake.resolve``."""
    if outcome not in OUTCOMES:
        raise BadInput(f"outcome={outcome!r} is neither 'mended' nor 'dismissed'.")
    if outcome == "dismissed" and not (reason or "").strip():
        raise BadInput("A reject is dismissed with a reason: say why it is not taken in.")
    if outcome == "mended" and not resolved_by:
        raise BadInput("A mended reject names the batch that took it in (resolved_by).")
    wanted = sorted(set(lines))
    sweep(root, view)
    con = connect(memory="256MB", within=(root,))
    try:
        asked = f"select distinct line from ({view.current('rejects', view.versions())}) where batch_id = ?"
        held = {line for (line,) in con.execute(asked, [batch_id]).fetchall()}
        lacking = [line for line in wanted if line not in held]
        if lacking or not wanted:
            raise NotFound(f"Batch {batch_id} rejected no record on line {', '.join(map(str, lacking[:5])) or '(none was named)'}; "
                           f"it rejected {len(held):,} record{'' if len(held) == 1 else 's'}.")
        owner = f"{tables.RESOLUTION}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        with working(root, view, owner) as work:
            path = work / f"{owner}-rec-0.parquet"
            given = {"batch_id": literal(batch_id), "line": "line", "outcome": literal(outcome), "resolved_by": literal(resolved_by) if resolved_by else "null",
                     "reason": literal(reason) if reason else "null", "user": literal(user), "recorded_at": literal(datetime.now(UTC).isoformat())}
            picked = ", ".join(f'cast({given[n]} as {c.type}) as "{n}"' for n, c in tables.SHAPES["resolutions"].items())
            con.register("resolved", pl.DataFrame({"line": wanted}).to_arrow())
            con.execute(f"copy (select {picked} from resolved order by line) to {literal(str(path))} (format parquet, compression zstd)")
            with tables.locked(root, "resolutions"):
                tables.append(root, "resolutions", [tables.DataFile(path, len(wanted))])
    finally:
        con.close()
    return len(wanted)


def joined(view: View, versions: Mapping[str, int], *, open_only: bool) -> str:
    """SQL of the rejects with ``outcome`` and ``resolved_by`` of their latest resolution, null where they are open."""
    latest = (f"select batch_id, line, outcome, resolved_by from ({view.current('resolutions', versions)}) "
              "qualify row_number() over (partition by batch_id, line order by recorded_at desc) = 1")
    sql = f"select r.*, outcome, resolved_by from ({view.current('rejects', versions)}) r left join ({latest}) using (batch_id, line)"
    return f"{sql} where outcome is null" if open_only else sql

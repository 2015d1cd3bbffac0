"""Which values are missing, and which rows are alike in all but their key?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from workbench.intake.quality.finding import Finding, Looked, percent
from workbench.schema import PROVENANCE

#: A share of missing values from which on it is worth a doubt, and from which on it is serious, for what maps and models rest on.
DOUBT, BAD = 0.02, 0.10
#: Columns that maps and models rest on, where a table has them.
_RESTED_ON = ("lon", "nibrs", "offence", "call_type", "plate", "reader", "beat", "district", "ended_at", "reported_at", "arrived_at", "region")


def missing(looked: Looked) -> Iterator[Finding]:
    """Completeness: one finding for places, one for codes that are UNKNOWN, one for all other columns together, with every share named."""
    frame = looked.frame
    if "lon" in frame.columns and "lon" in looked.about.columns:
        yield _places(looked)
    if "nibrs" in frame.columns:
        rows = np.flatnonzero((frame["nibrs"].is_null() | (frame["nibrs"] == "UNKNOWN")).to_numpy())
        level = "bad" if len(rows) > BAD * frame.height else "doubt" if len(rows) > DOUBT * frame.height else "fine"
        says = f"{percent(len(rows), frame.height)} of the rows have an offence that the NIBRS table does not know (UNKNOWN)."
        yield Finding("unknown offence", level, rows, says, "They are in no offence group, so no map of one shows them." if len(rows) else "")
    yield _others(looked)


def _places(looked: Looked) -> Finding:
    frame = looked.frame
    rows = np.flatnonzero(~looked.placed)
    level = "bad" if len(rows) > BAD * frame.height else "doubt" if len(rows) > DOUBT * frame.height else "fine"
    says = f"{percent(len(rows), frame.height)} of the rows have no usable position."
    if not len(rows):
        return Finding("no place", level, rows, says)
    effect = f"A hotspot map leaves out {len(rows):,} rows."
    by = next((c for c in ("beat", "district", "reader") if c in frame.columns and frame[c].null_count() < frame.height / 2), None)
    if by:
        shares = frame.select(by, without=pl.Series(~looked.placed)).drop_nulls(by).group_by(by).agg(pl.len(), pl.col("without").mean())
        shares = shares.filter(pl.col("len") >= 30)
        if shares.height:
            worst = shares.sort("without", by, descending=[True, False]).row(0, named=True)
            effect += f" The {by} that loses most, {worst[by]}, loses {percent(worst['without'], 1)} of its own: it looks quieter than it is."
    return Finding("no place", level, rows, says, effect)


def _others(looked: Looked) -> Finding:
    frame = looked.frame
    columns = [c for c in looked.about.columns if c in frame.columns and c not in ("lon", "lat", "place_basis", "doubts")]
    shares = {c: frame[c].null_count() / frame.height for c in columns}
    partly = {c: s for c, s in shares.items() if 0 < s < 1}
    never = [c for c, s in shares.items() if s == 1]
    said = ", ".join(f"{c} {percent(s, 1)}" for c, s in sorted(partly.items(), key=lambda pair: -pair[1])[:8])
    says = f"Missing: {said}." if said else "No column is partly empty."
    if never:
        says += f" Never given: {', '.join(never[:8])}" + (f" and {len(never) - 8} more." if len(never) > 8 else ".")
    worst = max((s for c, s in partly.items() if c in _RESTED_ON), default=0.0)
    column = next((c for c, s in partly.items() if c in _RESTED_ON and s == worst), None)
    rows = np.flatnonzero(frame[column].is_null().to_numpy()) if column else np.zeros(0, dtype=np.int64)
    return Finding("completeness", "doubt" if worst > DOUBT else "fine", rows, says)


def alike(looked: Looked) -> Iterator[Finding]:
    """Rows that are the same in all but their key and provenance: entered twice, or one report with several rows."""
    frame, about = looked.frame, looked.about
    columns = [c for c in frame.columns if c in about.columns and c not in about.key and c not in PROVENANCE]
    if not about.time or about.time not in columns or len(columns) < 3:
        return
    plain = frame.select(pl.col(c).list.join("\x1f") if frame.schema[c] == pl.List(pl.String) else pl.col(c)
                         for c in columns if frame.schema[c] != pl.List(pl.Float64))
    first = plain.with_row_index("row").unique(subset=plain.columns, keep="first", maintain_order=False)["row"].to_numpy()
    again = np.ones(frame.height, dtype=bool)
    again[first] = False
    rows = np.flatnonzero(again)
    level = "bad" if len(rows) > 0.05 * frame.height else "doubt" if len(rows) > 0.002 * frame.height else "fine"
    says = f"{len(rows):,} rows ({percent(len(rows), frame.height)}) repeat another row in all but the key."
    yield Finding("alike in all but the key", level, rows, says, looked.without(rows) if len(rows) else "", placed=True)

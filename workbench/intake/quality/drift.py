"""Is the newest export of a source still what the one before it was?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from workbench.intake.quality.finding import Finding, Looked, percent

#: Columns whose values are compared, where a table has them.
KINDS = ("offence", "offence_code", "call_type", "category", "priority", "disposition", "region", "reader", "kind", "beat", "district")
#: Rows below which two exports are not compared, change of a missing share that is told, and population stability index that is told.
FEWEST, POINTS, PSI = 200, 0.05, 0.25


def drifted(looked: Looked) -> Iterator[Finding]:
    """One finding for each source with two batches or more: shares of missing values and of kinds, values never seen before.

    The population stability index of a column is sum((p - q) ln(p / q)) over its values; above 0.25 it is usually called a large
    change (Siddiqi, *Credit Risk Scorecards*, Wiley 2006, chapter 9).
    """
    frame = looked.frame
    if "batch_id" not in frame.columns or "recorded_at" not in frame.columns or "source" not in frame.columns:
        return
    order = frame.group_by("source", "batch_id").agg(pl.len(), pl.col("recorded_at").max()).sort("source", "recorded_at", "batch_id")
    for (source,), batches in sorted(order.group_by("source"), key=lambda pair: str(pair[0])):
        if batches.height < 2:
            continue
        large = batches.filter(pl.col("len") >= FEWEST)
        name = f"drift of {source}"
        none = np.zeros(0, dtype=np.int64)
        if large.height < 2:
            yield Finding(name, "fine", none, f"I cannot tell whether the exports of {source} changed: fewer than two hold {FEWEST} rows.")
            continue
        before, now = large["batch_id"][-2], large["batch_id"][-1]
        said = _changes(looked, frame.filter(pl.col("batch_id") == before), frame.filter(pl.col("batch_id") == now))
        rows = np.flatnonzero((frame["batch_id"] == now).to_numpy()) if said else none
        text = "; ".join(said[:6]) + (f"; and {len(said) - 6} more" if len(said) > 6 else "")
        yield Finding(name, "doubt" if said else "fine", rows, f"The newest export of {source} differs from the one before: {text}." if said else
                      f"The newest export of {source} is like the one before.", "A map of change may show a change of recording." if said else "")


def _changes(looked: Looked, before: pl.DataFrame, now: pl.DataFrame) -> list[str]:
    said = []
    for column in looked.about.columns:
        if column not in now.columns:
            continue
        old, new = (f[column].null_count() / f.height for f in (before, now))
        if abs(old - new) > POINTS:
            said.append(f"{column} is missing in {percent(new, 1)}, was {percent(old, 1)}")
    for column in KINDS:
        if column not in now.columns or now.schema[column] != pl.String or now[column].n_unique() > 500:
            continue
        p, q = (f[column].drop_nulls().value_counts(normalize=True) for f in (now, before))
        both = p.join(q, on=column, how="full", coalesce=True, suffix="_before").fill_null(0.0)
        if not p.height or not q.height:
            continue
        a, b = np.maximum(both["proportion"].to_numpy(), 1e-4), np.maximum(both["proportion_before"].to_numpy(), 1e-4)
        index = float(np.sum((a - b) * np.log(a / b)))
        fresh = _only(both, "proportion", "proportion_before", now.height, column)
        gone = _only(both, "proportion_before", "proportion", before.height, column)
        if index > PSI:
            said.append(f"{column} is spread otherwise (stability index {index:.2f})")
        if fresh:
            said.append(f"{column} has {len(fresh)} new values, e.g. {fresh[0]!r}")
        if gone:
            said.append(f"{column} lost {len(gone)} values, e.g. {gone[0]!r}")
    return said


def _only(both: pl.DataFrame, here: str, there: str, rows: int, column: str) -> list[str]:
    """Values with ten rows or more on one side and none on the other, most frequent first."""
    found = both.filter((pl.col(there) == 0) & (pl.col(here) * rows >= 10))
    return [str(v) for v in found.sort(here, descending=True)[column].to_list()]

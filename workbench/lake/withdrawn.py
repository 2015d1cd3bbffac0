"""Which incidents did a later row of the same export take back?

Some agencies never change a row: they send another that takes it back (``withdraws``). Such a row stands for one founded incident of the
same ``report_number`` and ``offence_code``, and both are left out of a net count. Which of several alike it is does not change the count:
one that started at the same time is taken first, then the latest, then by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from workbench.lake import Lake

_NAMES = ["report_number", "offence_code"]


@dataclass(frozen=True)
class Withdrawn:
    """What was taken back: ``incidents``, the ids of founded rows; and ``lone``, the rows that take back one that the lake does not hold."""

    incidents: list[str]
    lone: pl.DataFrame


def find(lake: Lake, versions: Mapping[str, int]) -> Withdrawn:
    """The incidents that were taken back, at pinned versions.

    Cost: one pass over one column where no row takes any back; else also over the numbers and codes.
    """
    takers = lake.frame("incidents", versions, where="withdraws")
    if takers.is_empty():
        return Withdrawn([], takers)
    numbers = takers["report_number"].drop_nulls().unique().to_list()
    founded = lake.frame("incidents", versions, where="unfounded is distinct from true and withdraws is distinct from true "
                         "and report_number in (select unnest(?::varchar[]))", params=[numbers])
    return pair(takers, founded)


def pair(takers: pl.DataFrame, founded: pl.DataFrame) -> Withdrawn:
    """Give each row that takes one back a founded row of its number and code, as far as there are any. O(n log n).

    Args:
        takers: incidents that take others back.
        founded: incidents that stand.
    """
    wanted = takers.group_by(_NAMES).agg(pl.len().alias("#wanted"), pl.col("started_at").alias("#times"))
    alike = founded.join(wanted, on=_NAMES).with_columns(pl.col("started_at").is_in(pl.col("#times")).alias("#same"))
    ranked = alike.sort("#same", "started_at", "incident_id", descending=[True, True, False]).with_columns(pl.int_range(pl.len()).over(_NAMES).alias("#nth"))
    gone = ranked.filter(pl.col("#nth") < pl.col("#wanted"))
    held = founded.group_by(_NAMES).len("#held")
    nth = takers.sort("incident_id").with_columns(pl.int_range(pl.len()).over(_NAMES).alias("#nth")).join(held, on=_NAMES, how="left")
    lone = nth.filter(pl.col("#nth") >= pl.col("#held").fill_null(0)).select(takers.columns)
    return Withdrawn(gone["incident_id"].to_list(), lone)

"""How old are the hotlists, and can a hit on them be relied on?

A plate stays on a copy of a list after it was cleared at the source, and one that was entered since is not on it. A list older than a
day is therefore called stale: every hit on it must be confirmed at the source first (and so must any other before somebody is stopped).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from workbench import schema
from workbench.errors import CannotTell
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, origin_of, recorded

_NO_NAME = "(list without a name)"


@recorded
def stale(hotlist: pl.DataFrame, asof: Moment, *, oldest: Span = "24h", zone: str = "UTC") -> Ranking:
    """The age of each list, the stalest first, with a sentence a list.

    Args:
        hotlist: the hotlist table.
        asof: now; lists drawn up later are not looked at.
        oldest: the age from which a list is stale.
        zone: zone of the times in the sentences.

    Returns: a Ranking. ``table``: list_name, source, listed_at (of its newest edition), hours (age), stale (null = the list does not say when it was drawn up),
    entries (in force), left (entries in force that the newest edition no longer has), sentence.

    Raises:
        CannotTell: the hotlist is empty, or no list says when it was drawn up.
        BadInput: columns are missing, or ``oldest`` is no length of time.

    Cost: one pass over the entries.
    """
    schema.require(hotlist, "plate", "list_name", "valid_from", "valid_to", "listed_at", what="The hotlist frame")
    at, limit = moment(asof), span(oldest, "oldest")
    frame = schema.utc(hotlist, ["valid_from", "valid_to", "listed_at"])
    frame = frame if "source" in frame.columns else frame.with_columns(source=pl.lit(""))
    frame = frame.filter((pl.col("valid_from") <= at) & (pl.col("listed_at").is_null() | (pl.col("listed_at") <= at)))
    if frame.is_empty():
        when = "" if hotlist.is_empty() else f" that was drawn up before {local(at, zone)}"
        raise CannotTell(f"There is no hotlist{when}, so nothing can be told of its age.")
    table = _table(frame, at, limit.total_seconds() / 3600, zone)
    known = table.filter(pl.col("stale").is_not_null())
    if known.is_empty():
        lists = "The hotlist does not say when it was drawn up" if len(table) == 1 else f"None of the {len(table):,} hotlists says when it was drawn up"
        raise CannotTell(f"{lists}, so whether {'it is' if len(table) == 1 else 'they are'} stale is not known. Confirm every hit at the source, and load "
                         "the list again with --set listed_at=... or with a column that gives the time.")
    basis = Basis.of(hotlist, method="age of each list's newest edition", time="listed_at", used=frame.height, asof=at,
                     parameters={"oldest": said(limit), "zone": zone},
                     notes=("A copy of a list says nothing of what happened at the source since: confirm a hit there before acting on it.",))
    return Ranking(headline=_headline(table, limit.total_seconds() / 3600), table=table, layers=(), basis=basis, base=origin_of(hotlist).base)


def _table(frame: pl.DataFrame, at: datetime, limit: float, zone: str) -> pl.DataFrame:
    force = pl.col("valid_to").is_null() | (pl.col("valid_to") > at)
    newest = pl.col("listed_at").max()
    rows = (
        frame.with_columns(pl.col("list_name").fill_null(_NO_NAME))
        .group_by("list_name", "source")
        .agg(listed_at=newest, entries=force.sum().cast(pl.Int64), left=(force & (pl.col("listed_at") < newest)).sum().cast(pl.Int64))
        .with_columns(hours=(pl.lit(at) - pl.col("listed_at")).dt.total_seconds() / 3600)
        .with_columns(stale=pl.col("hours") > limit)
        .sort("hours", "list_name", "source", descending=[True, False, False], nulls_last=False)
        .select("list_name", "source", "listed_at", "hours", "stale", "entries", "left")
    )
    return rows.with_columns(sentence=pl.Series([_sentence(row, limit, zone) for row in rows.iter_rows(named=True)], dtype=pl.String))


def _sentence(row: dict[str, Any], limit: float, zone: str) -> str:
    name, entries = f"Hotlist {row['list_name']!r}", several(row["entries"], "entry", "entries")
    if row["hours"] is None:
        return f"{name} ({entries} in force) does not say when it was drawn up, so whether it is stale is not known."
    drawn = f"was drawn up on {local(row['listed_at'], zone)}, {_age(row['hours'])} ago"
    left = f"; {several(row['left'], 'entry is', 'entries are')} no longer in its newest edition" if row["left"] else ""
    if row["stale"]:
        return f"{name} ({entries} in force) is stale: it {drawn} (the limit is {_age(limit)}){left}."
    return f"{name} ({entries} in force) {drawn}{left}."


def _headline(table: pl.DataFrame, limit: float) -> str:
    bad, unknown = int(table["stale"].sum()), table["stale"].null_count()
    untold = f" {several(unknown, 'list does', 'lists do')} not say when {'it was' if unknown == 1 else 'they were'} drawn up." if unknown else ""
    if not bad:
        return f"{several(len(table) - unknown, 'hotlist')}, none older than {_age(limit)}.{untold}"
    worst = table.filter(pl.col("stale")).row(0, named=True)
    return (f"{bad} of {several(len(table), 'hotlist')} {'is' if bad == 1 else 'are'} stale: {worst['list_name']!r} is {_age(worst['hours'])} old; "
            f"confirm every hit at the source.{untold}")


def _age(hours: float) -> str:
    return several(round(hours), "hour") if hours < 72 else several(round(hours / 24), "day")

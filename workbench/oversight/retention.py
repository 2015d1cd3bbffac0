"""How long may each row be kept, and who says so? Limits by table from ``[retention]`` of agency.toml and from the jurisdiction's law, as data.

``limits/*.csv`` holds what the law of some jurisdictions says, with citation, source and whether somebody has checked it; only checked ones are used
unless ``unverified = true``. Where the agency and the law both set a limit, the stricter counts. A limit counts from a row's own time (``Table.time``),
of a table without one from when its last edition was recorded; of rejects from when they were recorded.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from workbench import agency as agencies
from workbench import schema
from workbench.agency import Agency
from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.lake import Lake, journal
from workbench.lake import purge as lake_purge

_FOLDER = Path(__file__).parent / "limits"
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0, "month": 30 * 86400.0, "year": 365 * 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+?)s?(?: after closing)?", re.IGNORECASE)
#: What can be limited beside the canonical tables.
OTHERS = ("rejects", "outputs", "cases", "intelligence")
_SWITCHES = ("jurisdiction", "unverified")


@dataclass(frozen=True)
class Limit:
    """How long rows of a table are kept, and ``source``: the setting or statute that says so; ``exception`` is what the law exempts."""

    table: str
    span: timedelta
    source: str
    exception: str = ""

    def sentence(self) -> str:
        """One line for people."""
        longer = f"; longer for: {self.exception}, by a hold or as case evidence" if self.exception else ""
        return f"{self.table}: {spoken(self.span)} ({self.source}){longer}"


@dataclass(frozen=True)
class Law:
    """One row of ``limits/*.csv``; ``span`` is None where the law sets none."""

    jurisdiction: str
    name: str
    table: str
    span: timedelta | None
    exception: str
    other_duty: str
    citation: str
    sources: str
    verified: bool


@dataclass(frozen=True)
class Policy:
    """The limits of a workspace by table; ``cases`` counts from a case's closing, ``outputs`` from a file's last change."""

    jurisdiction: str
    limits: Mapping[str, Limit]

    def sentences(self) -> list[str]:
        """One line a limit."""
        return [self.limits[t].sentence() for t in sorted(self.limits)]

    def table_limits(self) -> dict[str, Limit]:
        """Those of facts and rejects."""
        return {t: limit for t, limit in self.limits.items() if t in schema.TABLES or t == "rejects"}

    def cutoff(self, table: str, now: datetime) -> datetime:
        """The time before which rows of a table are due."""
        return now - self.limits[table].span


def span(value: Any, what: str) -> timedelta:
    """Days as a number, or a text such as "21 days", "3 minutes", "10 years after closing".

    Raises:
        BadInput: it is neither, or not above 0.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 365_000:
        return timedelta(days=float(value))
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found and found[2].lower() in _UNITS and 0 < float(found[1]) * _UNITS[found[2].lower()] < 365_000 * 86400:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2].lower()])
    raise BadInput(f'{agencies.FILE} retention {what} = {value!r}; write days, e.g. {what} = 90, or a span such as "21 days" or "3 minutes".')


def spoken(value: timedelta) -> str:
    """A span in its largest whole unit."""
    for unit in ("year", "day", "hour", "minute", "second"):
        count = value.total_seconds() / _UNITS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count):,} {unit}{'' if count == 1 else 's'}"
    return f"{value.total_seconds():g} seconds"


@cache
def laws() -> tuple[Law, ...]:
    """Every limit that comes with the workbench, checked or not."""
    found = []
    for file in sorted(_FOLDER.glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                found.append(Law(row["jurisdiction"], row["name"], row["table"], span(row["limit"], row["jurisdiction"]) if row["limit"] else None,
                                 row["exception"], row["other_duty"], row["citation"], row["sources"], row["verified"] == "yes"))
    return tuple(found)


def policy(agency: Agency) -> Policy:
    """The limits of an agency.

    Raises:
        BadInput: an unknown key or value of ``[retention]``; a jurisdiction whose limit nobody has checked, without ``unverified = true``.
    """
    settings = dict(agency.retention)
    limits: dict[str, Limit] = {}
    jurisdiction = str(settings.get("jurisdiction", ""))
    unverified = settings.get("unverified", False)
    if not isinstance(unverified, bool):
        raise BadInput(f"{agencies.FILE} retention unverified = {unverified!r}; write true or false.")
    for key, value in settings.items():
        if key in _SWITCHES:
            continue
        if key not in schema.TABLES and key not in OTHERS:
            raise BadInput(f"{agencies.FILE} [retention] has an unknown key {key!r}.{did_you_mean(key, (*schema.TABLES, *OTHERS, *_SWITCHES))}")
        limits[key] = Limit(key, span(value, key), f"{agencies.FILE} [retention] {key} = {value}")
    for law in _of(jurisdiction, unverified) if jurisdiction else ():
        cited = f"{law.name}, {law.citation or law.sources}" + ("" if law.verified else ", not verified")
        held = limits.get(law.table)
        if law.span is not None and (held is None or law.span < held.span):
            limits[law.table] = Limit(law.table, law.span, cited, law.exception)
    return Policy(jurisdiction, limits)


def _of(jurisdiction: str, unverified: bool) -> list[Law]:
    found = [law for law in laws() if law.jurisdiction == jurisdiction]
    if not found:
        known = did_you_mean(jurisdiction, (law.jurisdiction for law in laws()))
        raise BadInput(f"{agencies.FILE} [retention] jurisdiction = {jurisdiction!r} is not known.{known}")
    if not unverified and not any(law.verified for law in found):
        raise BadInput(f"The limit of {found[0].name} has not been checked by anybody ({found[0].sources}); read {found[0].citation or 'the law'} and set the "
                       "days yourself, or write unverified = true under [retention].")
    return [law for law in found if law.verified or unverified]


def selection(rules: Policy, now: datetime, kept: Mapping[str, pl.DataFrame]) -> lake_purge.Selection:
    """What is beyond its limit at a moment, for ``Lake.purge``."""
    rows: dict[str, str] = {}
    editions: dict[str, str] = {}
    floors: dict[str, datetime] = {}
    for table in rules.table_limits():
        cutoff = rules.cutoff(table, now)
        rows[table] = f"{moment(table)} < timestamptz {literal(cutoff.isoformat())}"
        if table in schema.TABLES and schema.TABLES[table].time:
            editions[table], floors[table] = rows[table], cutoff
    return lake_purge.Selection(rows, editions, {}, kept, floors)


def moment(table: str) -> str:
    """SQL of the time from which a row's limit counts."""
    time = schema.TABLES[table].time if table in schema.TABLES else ""
    return f"coalesce({name(time)}, recorded_at)" if time else "recorded_at"


def due(path: str | Path, now: datetime | None = None, *, days: float = 0.0, sample: int = 5) -> pl.DataFrame:
    """What the next purge takes out, when it runs ``days`` after ``now``.

    Args:
        path: the workspace.
        now: UTC; None = the clock.
        days: days ahead of it, 1 = "gone tomorrow".
        sample: keys shown.

    Returns:
        table, limit, source, rows (current, due), goes (those that will be purged), held, holds (their numbers), in_evidence, earliest, latest, keys (a sample
        of those that go, never of more than ``sample``).

    Raises:
        NotFound: there is no workspace. BadInput: ``[retention]`` cannot be used.
    """
    from workbench.oversight import evidence, holds

    folder = Path(path)
    if not (folder / agencies.FILE).is_file():
        raise NotFound(f"{path} is no workspace (it holds no {agencies.FILE}).")
    then = (now or datetime.now(UTC)) + timedelta(days=days)
    rules, lake = policy(agencies.read(folder)), Lake(folder / "lake")
    versions = lake.versions()
    kept = holds.held(folder, lake, versions, then)
    found = []
    for table, limit in sorted(rules.table_limits().items()):
        if table not in versions and journal.KEY not in versions:
            continue
        found.append(_due(lake, versions, table, limit, rules.cutoff(table, then), kept.get(table), evidence.keys(folder, table), sample))
    shape: dict[str, Any] = {
        "table": pl.String, "limit": pl.String, "source": pl.String, "rows": pl.Int64, "goes": pl.Int64, "held": pl.Int64, "holds": pl.String,
        "in_evidence": pl.Int64, "earliest": pl.Datetime("us", "UTC"), "latest": pl.Datetime("us", "UTC"), "keys": pl.List(pl.String)}
    return pl.DataFrame(found, schema=shape, orient="row").filter(pl.col("rows") > 0)


def _due(lake: Lake, versions: Mapping[str, int], table: str, limit: Limit, cutoff: datetime, kept: pl.DataFrame | None, copied: set[str],
         sample: int) -> tuple[Any, ...]:
    key = schema.TABLES[table].key if table in schema.TABLES else ("batch_id", "line")
    con = lake.connect()
    try:
        columns = ", ".join(f"cast({name(k)} as varchar) as {name(k)}" for k in key)
        current = lake.relation_sql(table, versions)
        rows = con.sql(f"select {columns}, {moment(table)} as \"#at\" from {current} where {moment(table)} < ?", params=[cutoff]).pl()
    finally:
        con.close()
    rows = rows.with_columns(pl.concat_str([pl.col(k) for k in key], separator="\x1f").alias("#key"))
    held, by = 0, ""
    going = rows
    if kept is not None and kept.height:
        marks = kept.with_columns(pl.col(k).cast(pl.String) for k in key)
        here = rows.join(marks, on=list(key), how="semi")
        going, held = rows.join(marks, on=list(key), how="anti"), here.height
        by = ", ".join(str(h) for h in sorted(set(marks.join(rows, on=list(key), how="semi")["hold_id"].to_list())))
    return (table, spoken(limit.span), limit.source, rows.height, going.height, held, by, int(rows["#key"].is_in(list(copied)).sum()),
            rows["#at"].min(), rows["#at"].max(), going.sort("#at")["#key"].head(sample).str.replace_all("\x1f", " ").to_list())

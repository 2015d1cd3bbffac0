"""Which hits of the hotlist and judgements on who is who would a purge of a date take? Looked up as the purge itself does; nothing is begun by it.

A purge deletes in two steps: what its rows take with them, then what holds a value that nothing else has any more. The second is foreseen here by asking
the rows that stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from workbench import agency as agencies
from workbench import schema
from workbench.casebook import place
from workbench.engines.duckdb import literal, name
from workbench.lake import Lake, journal
from workbench.lake import purge as lake_purge
from workbench.lake.purge import Selection
from workbench.lake.tables import SHAPES
from workbench.oversight import casework, holds, purge, retention
from workbench.oversight.casework import Work
from workbench.oversight.traces import Search


def work(path: str | Path, now: datetime | None = None, *, days: float = 0.0) -> Work:
    """What of the casebook the purge takes that runs ``days`` after ``now``; ``respected`` are the holds that keep hits.

    Args:
        path: the workspace.
        now: UTC; None = the clock.
        days: days ahead of it.

    Raises:
        NotFound: there is no workspace. BadInput: ``[retention]`` cannot be used.

    Cost: that of looking up the rows that go; waits while a purge runs. Nothing is deleted.
    """
    folder = purge._workspace(path)
    moment = (now or datetime.now(UTC)) + timedelta(days=days)
    rules, lake = retention.policy(agencies.read(folder)), Lake(folder / "lake")
    if not place.there(folder):
        return Work()
    with purge.locked(folder):
        home = folder / purge.FOLDER / purge._WORK / purge.new_id("preview")  # one that is killed is swept away by the next purge
        home.mkdir(parents=True)
        try:
            versions = lake.versions()
            kept = holds.held(folder, lake, versions, moment)
            selection = purge._with_barred(retention.selection(rules, moment, kept), lake, versions)
            said = purge.survey(folder, home, lake, selection, {"holds": [], **purge.moments(rules, moment)}, [])
            found = casework.laid(home)
            values = pl.read_parquet(home / "values.parquet")["value"].to_list()
            more = _without_owner(folder, home, lake, versions, selection, said, found, values)
        finally:
            shutil.rmtree(home)
    return replace(found, judgements=found.judgements | more.judgements, pairs=found.pairs | more.pairs, named=found.named | more.named,
                   hits=found.hits | more.hits, respected=tuple(said["holds"]))


def _without_owner(folder: Path, home: Path, lake: Lake, versions: Mapping[str, int], selection: Selection, said: Mapping[str, Any], going: Work,
                   values: list[str]) -> Work:
    """Judgements and pairs on a value that nothing which stays has. A hit that stays has its own values, so none comes to it in this way."""
    named = Search(values).in_bytes(_bytes(casework.judged(folder, going)))
    search = Search(named)
    held = search.in_bytes(_bytes(casework.texts(folder, said, going.hits))) | purge.beside(folder, search) if named else set[str]()
    for table in schema.TABLES if named - held else ():
        if table in versions or journal.KEY in versions:
            held |= search.in_bytes(_bytes(_rest(lake, versions, table, selection, home, sorted(named))))
    return casework.found(folder, Search(named - held)) if named - held else Work()


def _rest(lake: Lake, versions: Mapping[str, int], table: str, selection: Selection, home: Path, values: list[str]) -> str:
    """The texts of the rows of a table that stay, in every edition, of those rows in which a value stands."""
    gone = lake_purge.doomed(lake._view, versions, table, selection, home)
    using = ", ".join(dict.fromkeys([*map(name, schema.TABLES[table].key), "batch_id", "line"]))
    texts = ", ".join(f"array_to_string({name(c)}, ' ')" if about.type.endswith("[]") else name(c)
                      for c, about in SHAPES[table].items() if about.type.startswith("VARCHAR"))
    where = " or ".join(f"contains(lower(\"#\"), lower({literal(v)}))" for v in values)
    con = lake.connect()
    try:
        rows = con.sql(f"select \"#\" from (select concat_ws(chr(10), {texts}) as \"#\" from {lake.relation_sql(table, versions, history=True)} "
                       f"anti join ({gone}) using ({using})) where {where}").pl()
    finally:
        con.close()
    return "\n".join(rows["#"].to_list())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

"""Legal holds: who swore to which facts, that some rows must outlive their limit, from when until when. A held row is not purged.

The shape follows North Carolina's sworn preservation request (GS 20-183.32): reader or area, plate, dates, specific facts, case. A hold ends by itself
and is renewed with facts sworn anew, or released with who and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from workbench import agency as agencies
from workbench import casebook, plates, schema
from workbench.casebook import place
from workbench.engines.duckdb import literal, name
from workbench.errors import BadInput, NotFound, did_you_mean, whole
from workbench.lake import Lake

#: What a selector may say.
SELECTS = ("plates", "persons", "readers", "area", "tables", "start", "end")
#: The longest that one hold runs before it is sworn anew.
LONGEST = timedelta(days=366)
_VAGUE = frozenset((
    "investigation", "case", "needed", "hold", "legal", "ongoing", "important", "evidence", "crime", "police", "business", "request", "for", "the", "an", "a",
    "of", "is", "as", "to", "we", "it", "and", "this", "because", "keep", "data", "records", "all", "please", "test"))
_EXAMPLE = "'the plate was read at Main and 5th two minutes after the robbery of 3 May; the victim named the make and colour'"


def add(path: str | Path, matter: str, *, sworn_by: str, facts: str, citation: str, select: Mapping[str, Any], user: str, until: datetime,
        begins: datetime | None = None) -> int:
    """Place a hold; gives its number.

    Args:
        path: the workspace.
        matter: case number or matter.
        sworn_by: who swore to the facts.
        facts: the specific facts, at least six words that say something.
        citation: statute or order that allows it.
        select: what is held: plates, persons (ids), readers, area (beat or district), tables, start and end (aware times of the rows).
        user: who enters it.
        until: when it ends, at most 366 days after it begins.
        begins: when; None = now.

    Raises:
        BadInput: something is missing or vague, or selects nothing in particular. NotFound: unknown table or area.
    """
    whole([matter, sworn_by, facts, citation, user, [v for v in select.values() if not isinstance(v, datetime)]], "The hold")
    start = begins or datetime.now(UTC)
    for what, value in (("matter", matter), ("sworn_by", sworn_by), ("citation", citation)):
        if not value.strip():
            raise BadInput(f"A hold names its {what.replace('_', ' ')}; it was left empty.")
    _telling(facts)
    if not start < until <= start + LONGEST:
        raise BadInput(f"A hold runs at most {LONGEST.days} days and ends after it begins; {until:%Y-%m-%d} was given. Renew it with facts sworn anew.")
    chosen = _selector(Path(path), select)
    row = {"matter": matter, "sworn_by": sworn_by, "facts": facts, "citation": citation, "selector": json.dumps(chosen), "begins_at": start, "ends_at": until,
           "made_by": user, "made_at": datetime.now(UTC)}
    with place.of(path).engine.begin() as db:
        return int(db.execute(casebook.holds.insert().values(**row)).inserted_primary_key[0])  # type: ignore[index]


def renew(path: str | Path, hold_id: int, *, facts: str, sworn_by: str, until: datetime, user: str) -> int:
    """A new hold on the same rows with facts sworn anew; the old one stays as it is. Gives the new number.

    Raises:
        NotFound: no such hold. BadInput: as for ``add``.
    """
    old = _row(path, hold_id)
    held = json.loads(old["selector"])
    held.update({k: datetime.fromisoformat(held[k]) for k in ("start", "end") if k in held})
    return add(path, old["matter"], sworn_by=sworn_by, facts=facts, citation=old["citation"], select=held, user=user, until=until)


def release(path: str | Path, hold_id: int, why: str, user: str) -> None:
    """End a hold before its time.

    Raises:
        NotFound: no such hold. BadInput: it is released already, or no reason is given.
    """
    if len(why.split()) < 2:
        raise BadInput(f"why={why!r} says too little; write why the rows need not be kept any longer, e.g. 'charges dropped on 4 June'.")
    if _row(path, hold_id)["released_at"] is not None:
        raise BadInput(f"Hold {hold_id} is released already.")
    with place.of(path).engine.begin() as db:
        db.execute(casebook.holds.update().where(casebook.holds.c.hold_id == hold_id).values(
            released_by=user, released_at=datetime.now(UTC), release_why=why))


def listed(path: str | Path, now: datetime | None = None) -> pl.DataFrame:
    """All holds with ``state``: in force, not begun, ended or released."""
    found = place.of(path)._frame(casebook.holds, None, casebook.holds.c.hold_id)
    moment = pl.lit(now or datetime.now(UTC), pl.Datetime("us", "UTC"))
    state = (pl.when(pl.col("released_at").is_not_null()).then(pl.lit("released")).when(pl.col("ends_at") <= moment).then(pl.lit("ended"))
             .when(pl.col("begins_at") > moment).then(pl.lit("not begun")).otherwise(pl.lit("in force")))
    return found.with_columns(state.alias("state"))


def held(path: str | Path, lake: Lake, versions: Mapping[str, int], now: datetime) -> dict[str, pl.DataFrame]:
    """The keys that holds in force keep: table -> key columns and hold_id.

    A hold keeps a key when any of its editions fulfils the selector. Cost: one pass over the selecting columns for each hold and table.
    """
    found: dict[str, list[pl.DataFrame]] = {}
    in_force = listed(path, now).filter(pl.col("state") == "in force") if place.there(path) else pl.DataFrame()
    con = lake.connect()
    try:
        for row in in_force.iter_rows(named=True):
            chosen = json.loads(row["selector"])
            for table in schema.TABLES:
                where = _where(Path(path), table, chosen) if table in versions or "journal" in versions else None
                if where is not None:
                    key = ", ".join(map(name, schema.TABLES[table].key))
                    spot = ", lon, lat" if "area" in chosen else ""
                    rows = con.sql(f"select distinct {key}{spot}, {row['hold_id']} as hold_id from {lake.relation_sql(table, versions, history=True)} "
                                   f"where {where}").pl()
                    if spot:
                        inside = agencies.read(Path(path)).area(chosen["area"]).contains(rows["lon"].to_numpy(), rows["lat"].to_numpy())
                        rows = rows.filter(pl.Series(inside)).drop("lon", "lat").unique()
                    found.setdefault(table, []).append(rows)
    finally:
        con.close()
    return {table: pl.concat(parts) for table, parts in found.items()}


def of_hits(path: str | Path, hits: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Which of some hits (hit_id, plate, read_plate, reader, read_at) holds in force mean: hit_id, hold_id, matter. A hold on an area or on persons means
    reads, which keep their hits by themselves."""
    in_force = listed(path, now).filter(pl.col("state") == "in force") if hits.height else pl.DataFrame()
    found = []
    for row in in_force.iter_rows(named=True):
        chosen = json.loads(row["selector"])
        if chosen.keys() & {"area", "persons"} or "reads" not in chosen.get("tables", ["reads"]):
            continue
        test = pl.lit(True)
        if "plates" in chosen:
            test &= pl.col("plate").is_in(chosen["plates"]) | pl.col("read_plate").is_in(chosen["plates"])
        if "readers" in chosen:
            test &= pl.col("reader").is_in(chosen["readers"])
        test &= pl.col("read_at") >= datetime.fromisoformat(chosen["start"]) if "start" in chosen else pl.lit(True)
        test &= pl.col("read_at") < datetime.fromisoformat(chosen["end"]) if "end" in chosen else pl.lit(True)
        found += [(h, row["hold_id"], row["matter"]) for h in hits.filter(test)["hit_id"].to_list()]
    return pl.DataFrame(found, schema={"hit_id": pl.String, "hold_id": pl.Int64, "matter": pl.String}, orient="row")


def _row(path: str | Path, hold_id: int) -> dict[str, Any]:
    rows = listed(path)
    found = rows.filter(pl.col("hold_id") == hold_id)
    if found.is_empty():
        raise NotFound(f"There is no hold {hold_id}.{did_you_mean(str(hold_id), map(str, rows['hold_id'].to_list()))}")
    return found.row(0, named=True)


def _telling(facts: str) -> None:
    words = {w for w in "".join(c if c.isalnum() else " " for c in facts.lower()).split()}
    if len(words - _VAGUE) < 6:
        raise BadInput(f"The sworn facts {facts!r} are too vague for a hold; say specifically why these rows matter, e.g. {_EXAMPLE}.")


def _selector(path: Path, select: Mapping[str, Any]) -> dict[str, Any]:
    for key in select:
        if key not in SELECTS:
            raise BadInput(f"A hold cannot select by {key!r}.{did_you_mean(key, SELECTS)}")
    chosen: dict[str, Any] = {}
    for key in ("plates", "persons", "readers", "tables"):
        values = [select[key]] if isinstance(select.get(key), str) else list(select.get(key) or ())
        if values:
            chosen[key] = [plates.normal(str(v)) or str(v) for v in values] if key == "plates" else [str(v) for v in values]
    for table in chosen.get("tables", ()):
        schema.table(table)
    if select.get("area"):
        agencies.read(path).area(str(select["area"]))
        chosen["area"] = str(select["area"])
    for key in ("start", "end"):
        value = select.get(key)
        if value is not None:
            if not isinstance(value, datetime) or value.tzinfo is None:
                raise BadInput(f"A hold's {key} is a time with a zone; {value!r} was given.")
            chosen[key] = value.isoformat()
    there = chosen.keys() & {"readers", "area"}
    if not chosen.keys() & {"plates", "persons"} and not (there and {"start", "end"} <= chosen.keys()):
        raise BadInput("A hold selects plates or persons, or readers or an area with both start and end; all rows of a table cannot be held.")
    return chosen


def _where(path: Path, table: str, chosen: Mapping[str, Any]) -> str | None:
    """SQL of a table's rows that a selector means; None where it cannot mean any of them."""
    about = schema.TABLES[table]
    if "tables" in chosen and table not in chosen["tables"]:
        return None
    parts = []
    for key, columns in (("plates", ("plate",)), ("readers", ("reader",)), ("persons", ("person_id", "entity_id"))):
        if key in chosen:
            held_ = [c for c in columns if c in about.columns]
            if not held_:
                return None
            listed_ = ", ".join(map(literal, chosen[key]))
            parts.append("(" + " or ".join(f"{name(c)} in ({listed_})" for c in held_) + ")")
    if "area" in chosen:
        if "lon" not in about.columns:
            return None
        west, south, east, north = agencies.read(path).area(chosen["area"]).bounds
        parts.append(f"lon between {west} and {east} and lat between {south} and {north}")
    if "start" in chosen or "end" in chosen:
        if not about.time:
            return None
        parts += [f"{name(about.time)} {sign} timestamptz {literal(chosen[k])}" for k, sign in (("start", ">="), ("end", "<")) if k in chosen]
    return " and ".join(parts)

"""What the gate lets through: offence groups as SQL, one locked-down SELECT, the base map, and search over names and numbers."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import duckdb
import numpy as np
import polars as pl

from workbench import plates
from workbench.agency import Agency
from workbench.casebook import Casebook
from workbench.errors import BadInput
from workbench.geo import Grid, Polygon
from workbench.lake import Lake
from workbench.layers import Areas, Layer, Lines

When = str | date | datetime
Place = str | Polygon | Sequence[float]
_WORDING = "offence:"


def polygon(agency: Agency, area: Place) -> Polygon:
    """What ``area=`` means: a beat or district by name, a Polygon, or (west, south, east, north).

    Raises:
        NotFound: no such beat or district. BadInput: four numbers that are no box.
    """
    if isinstance(area, Polygon):
        return area
    if isinstance(area, str):
        return agency.area(area)
    box = tuple(float(v) for v in area)
    if len(box) != 4 or box[0] >= box[2] or box[1] >= box[3]:
        raise BadInput(f"area={area!r} is not a place; give a beat or district by name, a Polygon, or (west, south, east, north).")
    return Polygon.box(*box)


def between(agency: Agency, column: str, start: When | None, end: When | None) -> tuple[list[str], list[Any]]:
    """Conditions and their values for a time in [start, end), local days of the agency.

    Raises:
        BadInput: the period is empty or unreadable.
    """
    low, high = (None if v is None else agency.moment(v) for v in (start, end))
    if low is not None and high is not None and low >= high:
        raise BadInput(f"The period from {start} to {end} is empty; start must lie before end (the end itself is not included).")
    pairs = [(f"{column} >= ?", low), (f"{column} < ?", high)]
    return [c for c, v in pairs if v is not None], [v for _, v in pairs if v is not None]


def only(frame: pl.DataFrame, conditions: str, values: Sequence[Any]) -> pl.DataFrame:
    """The rows of a small frame that fulfil SQL conditions with ``?`` for values."""
    if not conditions:
        return frame
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.register("rows", frame)
        return db.sql(f"select * from rows where {conditions}", params=list(values)).pl() if values else db.sql(f"select * from rows where {conditions}").pl()


def grid(agency: Agency, lake: Lake, versions: dict[str, int], cell: float, area: Place | None) -> Grid:
    """A grid over an area, the study area, or where 99.8 % of the incidents lie; see ``Workbench.grid``."""
    over = polygon(agency, area) if area is not None else agency.study_area
    if over is not None:
        return Grid.over(over, cell=cell, crs=agency.crs)
    frame = lake.query("select lon, lat from incidents where lon is not null and lat is not null", versions=versions)
    if frame.height > 1000:
        low, high = ([float(np.quantile(frame[c].to_numpy(), q)) for c in ("lon", "lat")] for q in (0.001, 0.999))
        frame = frame.filter(pl.col("lon").is_between(low[0], high[0]) & pl.col("lat").is_between(low[1], high[1]))
    return Grid.around(frame, cell=cell, crs=agency.crs)


def offence_clause(codes: Sequence[str]) -> tuple[str, list[Any]]:
    """A WHERE clause over incidents for an offence group's codes, with its parameters."""
    wordings = [c[len(_WORDING):].strip().upper() for c in codes if c.startswith(_WORDING)]
    nibrs = [c for c in codes if not c.startswith(_WORDING)]
    return "list_contains(?::varchar[], nibrs) or list_contains(?::varchar[], upper(coalesce(offence, '')))", [nibrs, wordings]


def offence_group(groups: Mapping[str, Sequence[str]]) -> pl.Expr:
    """The column ``offence_group``: the first group of the agency that an incident belongs to, else "other"."""
    out: Any = pl.lit("other")
    for name, codes in reversed(list(groups.items())):
        wordings = [c[len(_WORDING):].strip().upper() for c in codes if c.startswith(_WORDING)]
        nibrs = [c for c in codes if not c.startswith(_WORDING)]
        member = pl.col("nibrs").is_in(nibrs) | pl.col("offence").str.to_uppercase().is_in(wordings).fill_null(False)
        out = pl.when(member).then(pl.lit(name)).otherwise(out)
    return out.alias("offence_group")


def offence_group_sql(groups: Mapping[str, Sequence[str]]) -> str:
    """The same column as SQL, to be put behind SELECT."""

    def texts(values: Sequence[str]) -> str:
        return "[" + ", ".join("'" + v.replace("'", "''") + "'" for v in values) + "]::varchar[]"

    whens = []
    for name, codes in groups.items():
        wordings = [c[len(_WORDING):].strip().upper() for c in codes if c.startswith(_WORDING)]
        nibrs = [c for c in codes if not c.startswith(_WORDING)]
        label = name.replace("'", "''")
        whens.append(f"when list_contains({texts(nibrs)}, nibrs) or list_contains({texts(wordings)}, upper(coalesce(offence, ''))) then '{label}'")
    return (f"case {' '.join(whens)} else 'other' end" if whens else "'other'") + " as offence_group"


class _Reading:
    """One connection of this process that only reads queries, for one thread at a time: to open one takes longer than most queries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        self._lock.acquire()
        try:
            if self._con is None:
                self._con = duckdb.connect(config={"threads": 1})
            return self._con
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_reading = _Reading()
#: Those of the process this one was forked from: never closed here, since their threads are not here.
_parents: list[_Reading] = []


def _anew() -> None:
    global _reading
    _parents.append(_reading)
    _reading = _Reading()


os.register_at_fork(after_in_child=_anew)


def tables_in(query: str) -> list[str]:
    """The tables a SELECT names, lower case, however deep.

    Raises:
        BadInput: it is not exactly one SELECT.
    """
    with _reading as db:
        try:
            statements = db.extract_statements(query)
        except duckdb.Error as e:
            raise BadInput(f"The query cannot be read: {_first_line(e)}") from None
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            example = 'city.sql("select beat, count(*) n from incidents group by beat")'
            raise BadInput(f"Only one SELECT is taken here; facts are never changed by a query. Example: {example}")
        tree = json.loads(db.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()[0][0])
    if tree.get("error"):
        raise BadInput(f"The query cannot be read: {tree.get('error_message')}")
    names: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            _inward(node)
            if isinstance(node.get("table_name"), str) and node.get("type") == "BASE_TABLE":
                names.add(node["table_name"].lower())
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(tree)
    return sorted(names)


#: Functions that give rows and look at nothing but their arguments.
_ROWS_OF = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
#: Functions that tell of the machine or the process.
_TELLING = frozenset({"getenv", "current_setting", "getvariable", "current_database", "current_schemas"})


def _inward(node: Mapping[str, Any]) -> None:
    """Refuse what looks at the engine instead of the tables: its settings, catalogue, functions that read.

    Raises:
        BadInput: the node does.
    """
    kind, function = node.get("type"), node.get("function")
    name = str(node.get("function_name", "")).lower()
    if kind == "TABLE_FUNCTION" and isinstance(function, dict):
        name = str(function.get("function_name", "")).lower()
        if name not in _ROWS_OF:
            raise BadInput(f"The function {name!r} gives no rows here; ask the canonical tables.")
    if node.get("class") == "FUNCTION" and name in _TELLING:
        raise BadInput(f"The function {name!r} cannot be asked here; it tells of the machine.")
    if kind == "BASE_TABLE":
        table, place = str(node.get("table_name", "")).lower(), str(node.get("schema_name", "")).lower()
        if node.get("catalog_name") or place not in ("", "main") or table.startswith(("duckdb_", "pragma_", "sqlite_", "pg_")):
            raise BadInput(f"{'.'.join(p for p in (place, table) if p)!r} is no canonical table.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") + "."


def base_layers(agency: Agency) -> tuple[Layer, ...]:
    """Water, streets by class and beats of an agency as quiet layers, in drawing order."""
    out: list[Layer] = []
    water = [f for f in agency.features("water")]
    areas = tuple(Polygon.from_geojson(f["geometry"], _label(f)) for f in water if f["geometry"]["type"].endswith("Polygon"))
    if areas:
        out.append(Areas("water", areas, ids=tuple(p.name for p in areas), role="water"))
    lines = [path for f in water for path in _paths(f["geometry"])]
    if lines:
        out.append(Lines("river", tuple(lines), role="river"))
    streets: dict[str, list[Any]] = {}
    for f in agency.features("streets"):
        kind = str((f.get("properties") or {}).get("class") or "street")
        role = "bridge" if (f.get("properties") or {}).get("bridge") else "street"
        weight = {"motorway": 2.5, "freeway": 2.5, "trunk": 2.0, "primary": 1.8, "arterial": 1.6, "secondary": 1.4, "collector": 1.2}.get(kind, 0.7)
        streets.setdefault(role, []).extend((path, _label(f), weight) for path in _paths(f["geometry"]))
    for role, found in streets.items():
        out.append(Lines("bridges" if role == "bridge" else "streets", tuple(p for p, _, _ in found), tips=tuple(t for _, t, _ in found), role=role,
                         weights=tuple(w for _, _, w in found)))
    if agency.beats:
        out.append(Areas("beats", tuple(agency.beats.values()), ids=tuple(agency.beats), tips=tuple(f"beat {b}" for b in agency.beats), role="beat"))
    return tuple(out)


def _label(feature: dict[str, Any]) -> str:
    return str((feature.get("properties") or {}).get("name") or "")


def _paths(geometry: dict[str, Any]) -> list[Any]:
    if geometry["type"] == "LineString":
        return [np.asarray(geometry["coordinates"], dtype=float)[:, :2]]
    if geometry["type"] == "MultiLineString":
        return [np.asarray(c, dtype=float)[:, :2] for c in geometry["coordinates"]]
    return []


# What is searched: table, kind, expression of the key, expression of the label, expressions of the texts matched.
_SEARCHED = (
    ("incidents", "incident", "incident_id",
     "concat_ws(', ', coalesce(report_number, incident_id), offence, address, strftime(started_at, '%Y-%m-%d'))", ("incident_id", "report_number", "address")),
    ("vehicles", "vehicle", "coalesce(plate, vehicle_id)", "concat_ws(' ', plate, colour, make, model)", ("plate", "vehicle_id")),
    ("people", "person", "person_id", "concat_ws(' ', given_name, surname, coalesce('born ' || born_on::varchar, ''))",
     ("given_name || ' ' || surname", "surname || ' ' || given_name", "person_id")),
    ("phones", "phone", "phone_id", "number", ("regexp_replace(number, '[^0-9]', '', 'g')", "number", "phone_id")),
    ("addresses", "address", "address_id", "address", ("address", "address_id")),
)


#: Tables that ``find`` can look into.
SEARCHED_TABLES = (*(name for name, *_ in _SEARCHED), "reads")


def find(lake: Lake, versions: dict[str, int], casebook: Casebook | None, text: str, *, tables: Sequence[str], most: int) -> pl.DataFrame:
    """Entities of some tables (and cases, where a casebook is given) that match a text: (kind, id, label), exact first, then beginning, then holding it."""
    low = text.lower()
    digits = "" if any(c.isalpha() for c in text) else "".join(c for c in text if c.isdigit())
    parts, params = [], []
    for name, kind, key, label, fields in _SEARCHED:
        if name not in tables:
            continue
        wanted = {"vehicle": plates.normal(text).lower() or low, "phone": digits or low}.get(kind, low)
        rank = "least(" + ", ".join(f"case when lower({f}) = ? then 0 when starts_with(lower({f}), ?) then 1 when contains(lower({f}), ?) then 2 else 9 end"
                                    for f in fields) + ", 9)"
        params += [wanted] * 3 * len(fields)
        parts.append(f"select distinct '{kind}' kind, '{kind}:' || {key} id, {label} as label, {rank} as rank from {name}")
    if "reads" in tables:
        known = " and plate not in (select plate from vehicles where plate is not null)" if "vehicles" in tables else ""
        parts.append("select distinct 'vehicle' kind, 'vehicle:' || plate id, plate || ' (read)' as label, if(lower(plate) = ?, 0, 1) as rank "
                     f"from reads where starts_with(lower(plate), ?){known}")
        params += [plates.normal(text).lower()] * 2
    found = pl.DataFrame(schema={"kind": pl.String, "id": pl.String, "label": pl.String, "rank": pl.Int32})
    if parts:
        query = f"select kind, id, label, rank from ({' union all '.join(parts)}) where rank < 9 order by rank, kind, label, id limit {int(most)}"
        found = lake.query(query, params, versions=versions, tables=tables).with_columns(pl.col("rank").cast(pl.Int32))
    if casebook is not None:
        known_cases = casebook.cases()
        hits = known_cases.filter(pl.any_horizontal(pl.col("case_number", "title").str.to_lowercase().str.contains(low, literal=True)))
        titled = pl.col("case_number") + ", " + pl.col("title")
        cases = hits.select(kind=pl.lit("case"), id=pl.lit("case:") + pl.col("case_number"), label=titled, rank=pl.lit(0, dtype=pl.Int32))
        found = pl.concat([cases, found])
    return found.sort("rank", maintain_order=True).head(most).select("kind", "id", "label")

"""What every format of interchange writes and reads: things, links with their evidence rows, and what is to be said about the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from workbench import schema
from workbench.errors import BadInput

NODES = pl.Schema({"id": pl.String(), "kind": pl.String(), "label": pl.String(), "lon": pl.Float64(), "lat": pl.Float64()})
EDGES = pl.Schema({"source": pl.String(), "target": pl.String(), "kind": pl.String(), "table": pl.String(), "key": pl.String(),
                   "at": pl.Datetime("us", "UTC"), "text": pl.String(), "strength": pl.Float64()})
#: What a statement carries beside the two ends and the kind of its link.
_STATED = ("table", "key", "at", "text", "strength")
#: Attributes of a link in a file; what is not among them and not evidence is kept as it came.
LINK = ("kind", "rows", "first_at", "last_at", "strength", "base_rate", "evidence")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_LABELS, _KINDS = ("label", "name", "title", "shared name"), ("kind", "type", "relation", "relationship", "interaction", "label")
_LONS, _LATS, _TIMES = ("lon", "longitude", "lng"), ("lat", "latitude"), ("at", "date", "time", "timestamp", "datetime", "first_at")


@dataclass
class Bundle:
    """Things and links as plain dicts: a link has source, target, kind and ``evidence``, a list of statements; ``notes`` are sentences for people."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def bundle(edges: pl.DataFrame, nodes: pl.DataFrame | None, about: Mapping[str, str]) -> Bundle:
    """Frames as things and links. O(rows).

    Raises:
        BadInput: a column or an end is missing, or a time has no zone.
    """
    schema.require(edges, "source", "target", what="The frame of edges")
    for column in EDGES:
        if column in edges.columns and edges.schema[column].is_nested():
            raise BadInput(f"Column {column!r} of the edges is {edges.schema[column]}; it must be {EDGES[column]}.")
    made = Bundle(about={k: v for k, v in about.items() if v})
    full = edges.with_columns([pl.lit(None, dtype=t).alias(c) for c, t in EDGES.items() if c not in edges.columns])
    full = schema.utc(full, ["at"]) if full.schema["at"] != pl.Null() else full.with_columns(pl.col("at").cast(EDGES["at"]))
    full = full.with_columns(pl.col(c).cast(t) for c, t in EDGES.items() if c != "at")
    if full["source"].null_count() + full["target"].null_count():
        endless_rows = full.filter(pl.col("source").is_null() | pl.col("target").is_null()).height
        raise BadInput(f"{endless_rows} edges have no source or no target; every link has two ends.")
    grouped: dict[tuple[str, str, str | None], dict[str, Any]] = {}
    endless = 0
    for row in full.iter_rows(named=True):
        at = (row.pop("source"), row.pop("target"), row.pop("kind"))
        link = grouped.setdefault(at, {"source": at[0], "target": at[1], "kind": at[2], "evidence": []})
        said, lost = _plain(row)
        endless += lost
        link["evidence"].append(said)
    made.links = list(grouped.values())
    made.nodes, lost = _things(nodes, made)
    if endless + lost:
        made.notes.append(f"{endless + lost} numbers that are not finite were left empty.")
    bare = sum(1 for link in made.links if not any(e.get("table") for e in link["evidence"]))
    if bare:
        made.notes.append(f"{bare} of {len(made.links)} links name no evidence row: nobody can check them.")
    return made


def _things(nodes: pl.DataFrame | None, made: Bundle) -> tuple[list[dict[str, Any]], int]:
    """Things in order, those only named by a link behind them."""
    out: dict[str, dict[str, Any]] = {}
    lost = 0
    if nodes is not None:
        schema.require(nodes, "id", what="The frame of nodes")
        full = nodes.with_columns([pl.lit(None, dtype=t).alias(c) for c, t in NODES.items() if c not in nodes.columns])
        full = full.with_columns(pl.col(c).cast(t) for c, t in NODES.items())
        if full["id"].null_count():
            raise BadInput(f"{full['id'].null_count()} nodes have no id; every thing needs one, e.g. 'person:P1'.")
        for row in full.iter_rows(named=True):
            said, n = _plain(row)
            lost += n
            out.setdefault(row["id"], said)
        if len(out) < full.height:
            made.notes.append(f"{full.height - len(out)} nodes repeat an id; the first of each is kept.")
    named = 0
    for link in made.links:
        for end in (link["source"], link["target"]):
            if end not in out:
                kind, colon, key = end.partition(":")
                out[end] = {"id": end, "kind": kind if colon else None, "label": key if colon else end, "lon": None, "lat": None}
                named += 1
    if named and nodes is not None:
        made.notes.append(f"{named} things are named by a link only; their kind is taken from their id.")
    return list(out.values()), lost


def _plain(row: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Values as JSON holds them, and how many numbers had to be left out."""
    out, lost = {}, 0
    for name, value in row.items():
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        elif isinstance(value, date):
            value = value.isoformat()
        elif isinstance(value, float) and not math.isfinite(value):
            value, lost = None, lost + 1
        elif value is not None and not isinstance(value, (str, int, float, bool)):
            value = json.dumps(value, default=str, ensure_ascii=False)
        out[name] = value
    return out, lost


def told(link: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a link: LINK, with all evidence rows as one JSON text."""
    rows = link["evidence"]
    times = sorted(e["at"] for e in rows if e.get("at"))
    strengths = [e["strength"] for e in rows if e.get("strength") is not None]
    out = {"kind": link["kind"], "rows": len(rows), "first_at": times[0] if times else None, "last_at": times[-1] if times else None,
           "strength": max(strengths) if strengths else None, "base_rate": next((e["base_rate"] for e in rows if e.get("base_rate")), None),
           "evidence": json.dumps([{k: v for k, v in e.items() if v is not None} for e in rows], ensure_ascii=False)}
    return out


def first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of some attributes that says something, whatever the case of its name."""
    lower = {str(k).lower(): v for k, v in row.items()}
    return next((lower[n] for n in names if lower.get(n) is not None), None)


def number(value: Any) -> float | None:
    """A finite number out of an attribute, else None."""
    try:
        made = float(value)
    except (TypeError, ValueError):
        return None
    return made if math.isfinite(made) else None


class Reader:
    """Gathers what a file says and makes frames of it; ``zone`` is that of times that name none."""

    def __init__(self, zone: str | None) -> None:
        self.zone = zone
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: list[dict[str, Any]] = []
        self.about: dict[str, str] = {}
        self.notes: list[str] = []
        self.zoneless = self.timeless = self.bare = self.repeated = 0

    def thing(self, id: str, said: Mapping[str, Any]) -> None:
        """One thing and its attributes."""
        label, kind = first(said, _LABELS), first(said, ("kind", "type"))
        rest = {k: v for k, v in said.items() if k.lower() not in ("id", "label", "kind", "lon", "lat")}
        if id in self.nodes:
            self.repeated += 1
            return
        prefix, colon, _ = id.partition(":")
        self.nodes[id] = {"id": id, "kind": str(kind) if kind is not None else (prefix if colon else None), "label": None if label is None else str(label),
                          "lon": number(first(said, _LONS)), "lat": number(first(said, _LATS)), **{k: v for k, v in rest.items() if k not in NODES}}

    def link(self, source: str, target: str, said: Mapping[str, Any], key: str = "") -> None:
        """One link: its evidence rows where the file has them, else one row that says it stood in the file."""
        kind = first(said, _KINDS)
        ends = {"source": source, "target": target, "kind": None if kind is None else str(kind)}
        rows = said.get("evidence")
        if isinstance(rows, str):
            try:
                rows = json.loads(rows)
            except ValueError:
                rows = None
        if isinstance(rows, list) and rows and all(isinstance(r, dict) for r in rows):
            self.edges += [{**ends, **{k: v for k, v in r.items() if k not in ends and k != "at"}, "at": self.moment(r.get("at"))} for r in rows]
            return
        self.bare += 1
        text = first(said, ("text", "description", "desc", "summary"))
        rest = {k: v for k, v in said.items() if k not in EDGES and k not in LINK and k != "id"}
        self.edges.append({**ends, "table": "imported", "key": key or f"link {len(self.edges) + 1}", "at": self.moment(first(said, _TIMES)),
                           "text": None if text is None else str(text), "strength": number(first(said, ("strength", "weight"))), **rest})

    def moment(self, value: Any) -> datetime | None:
        """A time as UTC; None where it is none, or names no zone and none was given."""
        if value is None or value == "":
            return None
        try:
            at = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.timeless += 1
            return None
        if at.tzinfo is None:
            if self.zone is None:
                self.zoneless += 1
                return None
            at = at.replace(tzinfo=ZoneInfo(self.zone))
        try:
            return at.astimezone(UTC)
        except OverflowError:
            self.timeless += 1
            return None

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
        """Nodes, edges and what is to be said."""
        for edge in self.edges:
            for end in (edge["source"], edge["target"]):
                if end not in self.nodes:
                    self.thing(end, {})
        say = ((self.bare, "{} links came without evidence rows; each has one row that says where it stood in the file."),
               (self.zoneless, "{} times name no zone and were left empty; give zone= to read them."),
               (self.timeless, "{} times could not be read and were left empty."), (self.repeated, "{} things repeat an id; the first of each is kept."))
        notes = (*self.notes, *(text.format(n) for n, text in say if n))
        return _frame(list(self.nodes.values()), NODES), _frame(self.edges, EDGES), notes


def _frame(rows: list[dict[str, Any]], wanted: pl.Schema) -> pl.DataFrame:
    """Rows as a frame: the columns of the contract in their types, then what else they carry; mixed values become texts."""
    columns: dict[str, pl.Series] = {}
    for name in dict.fromkeys((*wanted, *(k for row in rows for k in row))):
        values = [row.get(name) for row in rows]
        if name in wanted:
            kind = wanted[name]
            if kind == pl.String():
                values = [v if v is None or isinstance(v, str) else str(v) for v in values]
            elif kind == pl.Float64():
                values = [number(v) for v in values]
            columns[name] = pl.Series(name, values, dtype=kind)
            continue
        kinds = {type(v) for v in values if v is not None}
        if not kinds <= {str, int, float, bool} or len(kinds - {int}) > 1 or kinds == {int, bool} or kinds == {int, str} or (
                int in kinds and any(isinstance(v, int) and abs(v) >= 2**63 for v in values)):
            values = [v if v is None or isinstance(v, str) else json.dumps(v, default=str, ensure_ascii=False) for v in values]
        elif float in kinds:
            values = [None if v is None else float(v) for v in values]
        columns[name] = pl.Series(name, values)
    return pl.DataFrame(columns)


def clean(given: Bundle) -> Bundle:
    """The same with what XML cannot hold (control characters) shown as U+FFFD, which is said; ids stay apart."""
    lost = 0

    def text(value: Any) -> Any:
        nonlocal lost
        if not isinstance(value, str):
            return value
        made, n = _FORBIDDEN.subn("\ufffd", value)
        lost += n
        return made

    ids: dict[str, str] = {}
    taken = {node["id"] for node in given.nodes}
    for node in given.nodes:
        made = wanted = text(node["id"])
        k = 2
        while made != node["id"] and made in taken:
            made, k = f"{wanted} ({k})", k + 1
        taken.add(made)
        ids[node["id"]] = made
    out = Bundle(about={text(k): text(v) for k, v in given.about.items()}, notes=list(given.notes))
    out.nodes = [{text(k): text(v) for k, v in n.items()} | {"id": ids[n["id"]]} for n in given.nodes]
    out.links = [{"source": ids[e["source"]], "target": ids[e["target"]], "kind": text(e["kind"]),
                  "evidence": [{text(k): text(v) for k, v in row.items()} for row in e["evidence"]]} for e in given.links]
    if lost:
        out.notes.append(f"{lost} control characters that XML cannot hold were written as \ufffd.")
    return out


def placed(node: Mapping[str, Any]) -> tuple[float, float] | None:
    """(lon, lat) where a thing has a place on earth."""
    lon, lat = node.get("lon"), node.get("lat")
    return (float(lon), float(lat)) if lon is not None and lat is not None and -180 <= lon <= 180 and -90 <= lat <= 90 else None


def left_out(given: Bundle, spots: Mapping[str, Any], drawn: int, form: str) -> str:
    """What a file of places says of that which has none; empty where nothing was left out."""
    without, links = len(given.nodes) - len(spots), len(given.links) - drawn
    if not without + links:
        return ""
    return f"{form} holds only what has a place: {without} of {len(given.nodes)} things and {links} of {len(given.links)} links were left out."

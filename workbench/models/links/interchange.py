"""How do links go to another tool and come back, with their evidence?

``write`` gives the bytes of a file, ``read`` takes them; neither opens one. A link in a file carries all its evidence rows, how many there are, the first
and last time, the strongest strength and the base rate, and the file says where it came from and that it is a lead, not a match. Formats: GraphML 1.0,
GEXF 1.3, Cytoscape JSON, FollowTheMoney 4 entities, i2 .anx, KML 2.2, GeoJSON (RFC 7946), CSV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from workbench.errors import BadInput, did_you_mean, whole
from workbench.models.links import _inter_anx, _inter_form, _inter_json, _inter_sheets, _inter_xml
from workbench.results import Links, code_version, origin_of

__all__ = ["CAVEAT", "FORMATS", "READABLE", "Chart", "Written", "read", "write"]

CAVEAT = "Lead, not a match: each link is a reason to look and carries its evidence rows and base rate; nothing here was judged by a person."
#: Format -> how its file is called.
FORMATS = {"graphml": "links.graphml", "gexf": "links.gexf", "cytoscape": "links.cyjs", "ftm": "links.ftm.json", "anx": "links.anx", "kml": "links.kml",
           "geojson": "links.geojson", "csv": "edges.csv"}
READABLE = ("graphml", "gexf", "cytoscape", "ftm", "anx", "csv")


@dataclass(frozen=True, eq=False)
class Written:
    """Files by name (one, but for CSV), and sentences on what they could not hold."""

    files: dict[str, bytes]
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes of the one file; of CSV those of the edges."""
        return self.files.get("edges.csv") or next(iter(self.files.values()))


@dataclass(frozen=True, eq=False)
class Chart:
    """What a file held: ``nodes`` (id, kind, label, lon, lat, ...), ``edges`` (one row an evidence row: source, target, kind, table, key, at in UTC, text,
    strength, ...), ``about`` (what the file says of itself) and ``notes`` (what could not be read)."""

    nodes: pl.DataFrame
    edges: pl.DataFrame
    about: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write(links: Links | pl.DataFrame | Any, format: str, *, nodes: pl.DataFrame | None = None, case: str = "", caveat: str = CAVEAT,
          title: str = "Links") -> Written:
    """The bytes of a file with these links.

    Args:
        links: a Links result, anything with frames ``edges`` and ``nodes`` (a Chart too), or the frame of edges: source, target ("kind:key"), kind, table,
            key, at, text, strength, one row an evidence row; further columns go along as far as the format has room.
        format: one of FORMATS.
        nodes: id, kind, label, lon, lat and whatever else; things only named by a link are added.
        case: case number, written into the file.
        caveat: what must be known by whoever opens the file.
        title: of the file.

    Returns: Written. KML and GeoJSON hold only what has a place; FollowTheMoney holds times to the second and no further columns of evidence;
    XML holds no control characters. What a file could not hold is said in its notes.

    Raises:
        BadInput: unknown format, missing columns, an edge without an end, a time without zone.

    Cost: O(rows).
    """
    _known(format, FORMATS)
    for name, text in (("case", case), ("caveat", caveat), ("title", title)):
        if not isinstance(text, str):
            raise BadInput(f"{name}={str(text)[:60]!r} is no text.")
        whole(text, f"The {name}")
    edges, found, about = _taken(links)
    about = {"title": title, "case": case, "caveat": caveat, **about}
    given = _inter_form.bundle(edges, nodes if nodes is not None else found, about)
    if format == "csv":
        return Written(_inter_sheets.write(given), tuple(given.notes))
    makers = {"graphml": _inter_xml.graphml, "gexf": _inter_xml.gexf, "kml": _inter_xml.kml, "cytoscape": _inter_json.cytoscape,
              "geojson": _inter_json.geojson, "ftm": _inter_json.ftm, "anx": _inter_anx.anx}
    data = makers[format](given)
    return Written({FORMATS[format]: data}, tuple(given.notes))


def read(data: bytes | str | Mapping[str, bytes], format: str, *, zone: str | None = None) -> Chart:
    """What a file holds, of this workbench or of another tool.

    Args:
        data: its bytes; of CSV those of the edges, or {"nodes.csv": ..., "edges.csv": ...}.
        format: one of READABLE.
        zone: time zone of times that name none; without it they are left empty and counted.

    Returns: Chart. A link that came without evidence rows has one (table "imported", key its number in the file).

    Raises:
        BadInput: the file is not what it should be, brings a document type or entities, or no such format or zone.

    Cost: O(bytes).
    """
    _known(format, READABLE)
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            raise BadInput(f"{zone!r} is no time zone; write e.g. 'America/Chicago'.") from None
    reader = _inter_form.Reader(zone)
    if isinstance(data, Mapping) and format != "csv":
        raise BadInput(f"A {format} file is one file; give its bytes.")
    if isinstance(data, Mapping):
        _inter_sheets.read(data, reader)
    else:
        plain = data.encode() if isinstance(data, str) else bytes(data)
        readers = {"graphml": _inter_xml.read_graphml, "gexf": _inter_xml.read_gexf, "cytoscape": _inter_json.read_cytoscape, "ftm": _inter_json.read_ftm,
                   "anx": _inter_anx.read_anx, "csv": lambda text, into: _inter_sheets.read({"edges.csv": text}, into)}
        try:
            readers[format](plain, reader)
        except UnicodeDecodeError as error:
            raise BadInput(f"This {format} file is not UTF-8 text: {error}.") from None
    found, edges, notes = reader.frames()
    return Chart(found, edges, reader.about, notes)


def _known(format: str, known: Any) -> None:
    if not isinstance(format, str) or format not in known:
        raise BadInput(f"There is no format {format!r} here.{did_you_mean(format, known)}")


def _taken(links: Any) -> tuple[pl.DataFrame, pl.DataFrame | None, dict[str, str]]:
    """Edges, nodes and provenance of what was given."""
    if isinstance(links, Links):
        rates = links.table.select("source", "target", "base_rate").unique(["source", "target"]) if "base_rate" in links.table.columns else None
        edges = links.evidence if rates is None else _with_rates(links.evidence, rates)
        rows = [{"id": str(i), **{k: v for k, v in said.items() if k != "id"}} for i, said in links.graph.nodes(data=True)]
        basis = links.basis
        about = {"method": basis.method, "workspace": basis.workspace, "versions": ", ".join(f"{k} {v}" for k, v in sorted(basis.versions.items())),
                 "data": basis.data, "code": f"workbench {basis.code}", "notes": " ".join(basis.notes)}
        return edges, pl.DataFrame(rows, infer_schema_length=None) if rows else None, about
    if isinstance(links, pl.DataFrame):
        origin = origin_of(links)
        return links, None, {"workspace": origin.workspace, "versions": ", ".join(f"{k} {v}" for k, v in sorted(origin.versions.items())),
                             "code": f"workbench {code_version()}", "notes": " ".join(origin.notes)}
    found: Any = getattr(links, "edges", None)
    nodes: Any = getattr(links, "nodes", None)
    if not isinstance(found, pl.DataFrame) or not (nodes is None or isinstance(nodes, pl.DataFrame)):
        raise BadInput(f"A {type(links).__name__} has no links that can be written; give a Links result, or the frames of edges and nodes.")
    said = getattr(links, "about", None)
    return found, nodes, {**_taken(found)[2], **(said if isinstance(said, dict) else {})}


def _with_rates(evidence: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Evidence rows with the base rate of their edge, whichever way round the table has it."""
    both = pl.concat([rates, rates.select(source="target", target="source", base_rate="base_rate")]).unique(["source", "target"])
    return evidence.join(both, on=["source", "target"], how="left", maintain_order="left")

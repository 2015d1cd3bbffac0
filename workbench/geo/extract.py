"""Streets straight out of an OpenStreetMap extract (.osm.pbf): the ways that one may drive, cut at every corner, as a frame of the table ``streets``.

For a street graph without a workspace, and quickly. The lake loads the same extract with house numbers and other names beside it
(source ``osm_streets``); what counts as a street, its direction and its cuts are the same there. Turn restrictions and barriers are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, NotFound

#: Must stand beside whatever is made of OpenStreetMap data and shown (Open Database License 1.0).
ATTRIBUTION = "Streets: (c) OpenStreetMap contributors, Open Database License."
#: Classes of way that a car may use (links of the first five too).
DRIVE = frozenset({
    "motorway", "trunk", "primary", "secondary", "tertiary", "motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link",
    "unclassified", "residential", "living_street", "service", "road", "busway_shared",
})
SHUT = frozenset({"no", "private", "agricultural", "forestry", "emergency"})
_SPEED = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(mph|km/?h|kph|kmh|knots)?")
_UNITS = {"mph": 0.44704, "knots": 0.514444}


def drivable(tags: Any) -> bool:
    """Whether a car may use a way with these tags (a mapping of OpenStreetMap keys)."""
    return tags.get("highway") in DRIVE and tags.get("area") != "yes" and not any(tags.get(k) in SHUT for k in ("access", "motor_vehicle", "motorcar"))


def one_way(tags: Any) -> str | None:
    """"forward" or "backward" along a way's nodes; None for both ways."""
    said = tags.get("oneway")
    if said in ("yes", "true", "1"):
        return "forward"
    if said in ("-1", "reverse"):
        return "backward"
    if said in ("no", "false", "0"):
        return None
    return "forward" if tags.get("highway") in ("motorway", "motorway_link") or tags.get("junction") in ("roundabout", "circular") else None


def metres_a_second(text: str | None) -> float | None:
    """A maxspeed tag in metres a second (km/h where no unit is given); None for what is no speed ("signals")."""
    found = _SPEED.fullmatch(text.strip().lower()) if text else None
    return round(float(found[1]) * _UNITS.get(found[2] or "", 1 / 3.6), 3) if found else None


def streets(path: str | Path) -> pl.DataFrame:
    """The streets of an extract.

    Args:
        path: .osm.pbf (or .osm, .osm.bz2).

    Returns: one row a piece of street between two corners: street_id ("way.piece"), name, class, one_way, speed_limit (metres a second), from_node, to_node,
    geometry (GeoJSON LineString, WGS84), source ("osm_streets").

    Raises:
        NotFound: there is no such file. BadInput: it is damaged, no extract, or holds no street.

    Cost: about 0.5 s for 16,000 ways with 140,000 nodes; memory some 60 bytes a node of the file.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"There is no file {str(path)!r}; give an OpenStreetMap extract, e.g. 'columbus.osm.pbf'.")
    ways, refs, coordinates, counts = _read(file)
    if not ways:
        raise BadInput(f"{file.name} holds no street that one may drive; is it an extract with its roads?")
    return _pieces(ways, np.array(refs, dtype=np.int64), coordinates, np.array(counts, dtype=np.int64))


def _read(file: Path) -> tuple[list[tuple[Any, ...]], list[int], Any, list[int]]:
    """(id, name, class, one_way, speed) of each way; the node numbers, (lon, lat) and number of its nodes."""
    import osmium

    ways: list[tuple[Any, ...]] = []
    refs: list[int] = []
    lines: list[str] = []
    counts: list[int] = []
    try:
        reader = osmium.FileProcessor(str(file), osmium.osm.NODE | osmium.osm.WAY).with_locations()
        reader = reader.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY)).with_filter(osmium.filter.TagFilter(*(("highway", kind) for kind in DRIVE)))
        write = osmium.geom.WKBFactory().create_linestring
        thing: Any
        for thing in reader:
            tags = thing.tags
            if not drivable(tags):
                continue
            try:
                line, own = write(thing, osmium.geom.ALL)[18:], [n.ref for n in thing.nodes]
            except osmium.InvalidLocationError:  # an extract may cut a way off: what lies within stays
                kept = [(n.ref, n.lon, n.lat) for n in thing.nodes if n.location.valid()]
                line, own = np.array([n[1:] for n in kept], dtype="<f8").tobytes().hex(), [n[0] for n in kept]
            if len(own) > 1:
                ways.append((thing.id, tags.get("name") or tags.get("ref"), tags.get("highway"), one_way(tags), metres_a_second(tags.get("maxspeed"))))
                counts.append(len(own))
                lines.append(line)
                refs += own
    except (RuntimeError, OSError, ValueError, osmium.InvalidLocationError) as error:
        raise BadInput(f"{file.name} is cut off, damaged or no OpenStreetMap extract ({error}); nothing was read.") from error
    return ways, refs, np.frombuffer(bytes.fromhex("".join(lines)), dtype="<f8").reshape(-1, 2), counts


def _pieces(ways: list[tuple[Any, ...]], refs: Any, at: Any, counts: Any) -> pl.DataFrame:
    """Every way in pieces between corners: nodes that are used twice, and its ends."""
    _, which, uses = np.unique(refs, return_inverse=True, return_counts=True)
    begins = np.concatenate([[0], np.cumsum(counts)])
    end = np.zeros(len(refs), dtype=bool)
    end[begins[:-1]] = end[begins[1:] - 1] = True
    stop = np.flatnonzero(end | (uses[which] > 1))
    way = np.repeat(np.arange(len(ways)), counts)
    first = np.flatnonzero(way[stop[:-1]] == way[stop[1:]])
    a, b = stop[first], stop[first + 1]
    number = np.arange(len(a)) - np.searchsorted(way[a], way[a])
    long = b - a + 1
    vertex = np.repeat(a - np.concatenate([[0], np.cumsum(long)[:-1]]), long) + np.arange(long.sum())
    points = pl.DataFrame({"piece": np.repeat(np.arange(len(a)), long), "lon": at[vertex, 0].round(7), "lat": at[vertex, 1].round(7)})
    lines = points.select("piece", text=pl.format("[{},{}]", "lon", "lat")).group_by("piece", maintain_order=True).agg(pl.col("text").str.join(","))
    about = pl.DataFrame(ways, schema={"way": pl.Int64, "name": pl.String, "class": pl.String, "one_way": pl.String, "speed_limit": pl.Float64}, orient="row")
    return pl.concat([about[way[a]], pl.DataFrame({"number": number, "from": refs[a], "to": refs[b]}), lines], how="horizontal").select(
        street_id=pl.format("{}.{}", "way", "number"), name="name", **{"class": pl.col("class")}, one_way="one_way", speed_limit="speed_limit",
        from_node=pl.col("from").cast(pl.String), to_node=pl.col("to").cast(pl.String),
        geometry=pl.concat_str(pl.lit('{"type":"LineString","coordinates":['), pl.col("text"), pl.lit("]}")), source=pl.lit("osm_streets"))

"""Boundaries, streets, floor plans, closures, events and alerts: real files and the made-up city's load, agree with one another, and keep their days."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput
from workbench.geo import Plane, Polygon, geometry, locate
from workbench.lake import Lake
from workbench.lake.forms import nested
from workbench.loaders import find
from workbench.loaders.kit.where import speed


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def take(lake: Lake, source: str, file: Path, **said: str) -> Any:
    report = lake.load(find(source), file, said=said)
    assert report.read == report.added + report.updated + report.duplicate + report.rejected
    return report


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def feature(shape: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": shape}


def collection(*features: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


def square(west: float, south: float, size: float = 0.01) -> dict[str, Any]:
    return Polygon.box(west, south, west + size, south + size).to_geojson()


def line(*positions: tuple[float, float]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [list(p) for p in positions]}


def corners(text: str) -> np.ndarray[Any, Any]:
    return np.vstack(Polygon.from_geojson(json.loads(text)).rings)


def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The largest distance of a corner of one outline from the other outline, metres."""
    a, d = other[:-1], np.diff(other, axis=0)
    away = one[:, None] - a
    share = np.clip((away * d).sum(axis=2) / np.maximum((d * d).sum(axis=1), 1e-9), 0, 1)
    return float(np.hypot(*np.moveaxis(away - share[:, :, None] * d, 2, 0)).min(axis=1).max())


# --- boundaries -----------------------------------------------------------------------------------------------------------------------------


def test_a_shapefile_in_feet_and_its_geojson_agree_to_a_metre(lake: Lake, real_data: Path) -> None:
    """Chicago's beats: Illinois East in US feet against the same in degrees."""
    folder = real_data / "chicago"
    take(lake, "boundaries", folder / "police_beats_dec2012.geojson", kind="beat")
    take(lake, "boundaries", folder / "shapefile_police_beats_dec2012" / "PoliceBeatDec2012.shp", kind="beat", valid_from="2012-12-01")
    held = lake.frame("boundaries").sort("name")
    old, new = (held.filter(pl.col("valid_from") == d) for d in (date(1, 1, 1), date(2012, 12, 1)))
    assert len(old) == len(new) == 275 and old["name"].to_list() == new["name"].to_list() and old["parent"].equals(new["parent"])
    assert "0111" in set(old["name"]), "leading zeros stay"
    plane = Plane("EPSG:26971")
    for a, b in zip(old["geometry"], new["geometry"], strict=True):
        one, two = (np.column_stack(plane.to_metres(*corners(g).T)) for g in (a, b))
        assert max(apart(one, two), apart(two, one)) < 1
    assert old["area_km2"].to_numpy() == pytest.approx(new["area_km2"].to_numpy(), rel=1e-3)


def test_several_features_of_one_name_become_one_area_of_several_parts(lake: Lake, real_data: Path) -> None:
    """277 records, 275 beats: nothing is lost, nothing replaced."""
    report = take(lake, "boundaries", real_data / "chicago" / "police_beats_dec2012.geojson", kind="beat")
    assert (report.read, report.added, report.duplicate, report.rejected) == (277, 275, 2, 0)
    raw = json.loads((real_data / "chicago" / "police_beats_dec2012.geojson").read_text())["features"]
    names = Counter(f["properties"]["BEAT_NUM"] for f in raw)
    parts = sum(len(f["geometry"]["coordinates"]) if f["geometry"]["type"] == "MultiPolygon" else 1 for f in raw)
    held = {n: json.loads(g) for n, g in lake.frame("boundaries").select("name", "geometry").iter_rows()}
    assert set(held) == set(names)
    assert sum(len(g["coordinates"]) if g["type"] == "MultiPolygon" else 1 for g in held.values()) == parts


@pytest.mark.parametrize(("file", "kind", "more", "added", "some", "km2"), [
    ("stlouis/stl_neighborhoods.geojson", "neighbourhood", {}, 88, "Academy", 160.9),
    ("stlouis/stl_wards.geojson", "ward", {}, 14, "7", 171.5),
    ("stlouis/stl_boundary.geojson", "city", {"name": "St. Louis"}, 1, "St. Louis", 171.5),
    ("stlouis/stl_boundary_wgs84.geojson", "city", {"name": "St. Louis"}, 1, "St. Louis", 171.5),
    ("chicago/police_districts_dec2012.geojson", "district", {}, 23, "31", 607.8),
    ("chicago/community_areas.geojson", "community area", {}, 77, "DOUGLAS", 598.1),
    ("incident_samples/vancouver_neighbourhoods.geojson", "neighbourhood", {}, 22, "Kitsilano", 118.9),
])
def test_real_maps_of_every_kind_load_under_the_names_people_use(
    lake: Lake, real_data: Path, file: str, kind: str, more: dict[str, str], added: int, some: str, km2: float) -> None:
    report = take(lake, "boundaries", real_data / file, kind=kind, **more)
    held = lake.frame("boundaries")
    assert report.added == added == len(held) and some in set(held["name"]) and set(held["kind"]) == {kind}
    assert held["area_km2"].sum() == pytest.approx(km2, rel=0.01)


def test_the_boundary_in_feet_lies_on_the_one_in_degrees(lake: Lake, real_data: Path) -> None:
    for file, name in (("stl_boundary.geojson", "feet"), ("stl_boundary_wgs84.geojson", "degrees")):
        take(lake, "boundaries", real_data / "stlouis" / file, kind="city", name=name)
    plane = Plane.local(38.63, -90.24)
    feet, degrees = (np.column_stack(plane.to_metres(*corners(g).T)) for g in lake.frame("boundaries").sort("name", descending=True)["geometry"])
    assert max(apart(feet, degrees), apart(degrees, feet)) < 1


def test_feet_without_a_crs_are_refused_until_it_is_said(lake: Lake, tmp_path: Path, real_data: Path) -> None:
    about = json.loads((real_data / "stlouis" / "stl_boundary.geojson").read_text())
    about.pop("crs")
    bare = written(tmp_path / "bare.geojson", about)
    with pytest.raises(BadInput, match=r"does not say its coordinate system.*--set crs="):
        take(lake, "boundaries", bare, kind="city", name="St. Louis")
    take(lake, "boundaries", bare, kind="city", name="St. Louis", crs="ESRI:102696")
    assert lake.frame("boundaries")["area_km2"].item() == pytest.approx(171.5, rel=0.01)


def test_a_map_needs_its_kind_and_can_be_told_its_days_names_and_parents(lake: Lake, tmp_path: Path) -> None:
    areas = collection(feature(square(-90, 41), POLY="A7", REGION="North"), feature(square(-91, 41), POLY="B2", REGION=None))
    file = written(tmp_path / "areas.geojson", areas)
    with pytest.raises(BadInput, match="boundaries needs kind: what the areas are"):
        take(lake, "boundaries", file)
    assert take(lake, "boundaries", file, kind="zone").rejects_by_reason == {"no name": 2}
    take(lake, "boundaries", file, kind="zone", name_field="POLY", parent_field="region", valid_from="2026-01-01", valid_to="2026-12-31")
    held = lake.frame("boundaries").sort("name")
    assert held["name"].to_list() == ["A7", "B2"] and held["parent"].to_list() == ["North", None]
    assert held["valid_from"].unique().to_list() == [date(2026, 1, 1)] and held["valid_to"].unique().to_list() == [date(2026, 12, 31)]
    assert take(lake, "boundaries", file, kind="zone", name_field="POLY", valid_from="the first").rejects_by_reason == {"valid_from not readable": 2}


def test_the_same_map_with_a_later_day_is_kept_beside_the_earlier_one(lake: Lake, tmp_path: Path) -> None:
    old = written(tmp_path / "old.geojson", collection(feature(square(-90, 41), beat="1")))
    new = written(tmp_path / "new.geojson", collection(feature(square(-90, 41, 0.005), beat="1"), feature(square(-89.995, 41, 0.005), beat="2")))
    take(lake, "boundaries", old, kind="beat")
    take(lake, "boundaries", new, kind="beat", valid_from="2026-05-01")
    assert lake.frame("boundaries").sort("valid_from", "name").select("name", "valid_from").rows() == [
        ("1", date(1, 1, 1)), ("1", date(2026, 5, 1)), ("2", date(2026, 5, 1))]


@pytest.mark.parametrize("shape", [
    line((-90, 41), (-90, 42)), {"type": "Polygon", "coordinates": [[[-90, 41], [-90, 42], [-90, 41]]]}, {"type": "Polygon", "coordinates": []},
    {"type": "Polygon", "coordinates": [[[-90, 41], [-90, 42], [-91, 42], [-91, 41]]]}, {"type": "Polygon", "coordinates": "far"}, {"type": "Polygon"},
])
def test_what_is_no_area_is_rejected_with_its_text(lake: Lake, tmp_path: Path, shape: dict[str, Any]) -> None:
    file = written(tmp_path / "areas.geojson", collection(feature(square(-90, 41), beat="1"), feature(shape, beat="2")))
    report = take(lake, "boundaries", file, kind="beat")
    assert (report.added, report.rejects_by_reason) == (1, {"geometry not readable": 1})
    assert '"beat": "2"' in lake.rejects()["raw"].item()


def test_areas_and_lengths_are_those_of_the_ellipsoid() -> None:
    degree = Polygon.box(-90, 41, -89, 42).to_geojson()
    lat = np.radians(np.linspace(41, 42, 10_001))
    s2 = 0.0066943799901413165 * np.sin(lat) ** 2
    strips = 6378.137**2 * (1 - 0.0066943799901413165) / (1 - s2) ** 2 * np.cos(lat)
    assert geometry.area_km2(degree) == pytest.approx(strips.mean() * np.radians(1) ** 2, rel=1e-4)
    holed = {"type": "Polygon", "coordinates": [degree["coordinates"][0], Polygon.box(-89.9, 41.1, -89.8, 41.2).to_geojson()["coordinates"][0]]}
    assert geometry.area_km2(degree) - geometry.area_km2(holed) == pytest.approx(geometry.area_km2(Polygon.box(-89.9, 41.1, -89.8, 41.2).to_geojson()))
    assert geometry.length_m(line((-90, 41), (-90, 42))) == pytest.approx(111_055, rel=1e-4)
    assert geometry.middle(line((-90, 41), (-90, 41.5), (-90, 42))) == pytest.approx((-90, 41.5), abs=1e-3)
    assert geometry.middle(degree) == pytest.approx((-89.5, 41.5), abs=1e-3)


# --- streets ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def portland(made_once: Callable[[str, Callable[[Path], Any]], Path], real_data: Path) -> Lake:
    def load(folder: Path) -> None:
        Lake(folder / "lake").load(find("osm_streets"), real_data / "roads" / "portland-central-filtered.osm.pbf")

    return Lake(made_once("places-portland", load) / "lake")


def merged(streets: pl.DataFrame) -> tuple[int, int, float]:
    """Nodes, directed edges and kilometres of the largest strongly connected part, with nodes of a mere bend taken out."""
    import networkx as nx

    graph = nx.DiGraph()
    for a, b, way, metres in streets.select("from_node", "to_node", "one_way", "length_m").iter_rows():
        if way != "backward":
            graph.add_edge(a, b, metres=metres)
        if way != "forward":
            graph.add_edge(b, a, metres=metres)
    graph = graph.subgraph(max(nx.strongly_connected_components(graph), key=len)).copy()
    metres = sum(m for _, _, m in graph.edges(data="metres"))
    for node in list(graph):
        near = (set(graph.predecessors(node)) | set(graph.successors(node))) - {node}
        if len(near) == 2 and graph.in_degree(node) == graph.out_degree(node):
            a, b = near
            for u, v in ((a, b), (b, a)):
                if graph.has_edge(u, node) and graph.has_edge(node, v):
                    graph.add_edge(u, v, metres=0.0)
            graph.remove_node(node)
    return graph.number_of_nodes(), graph.number_of_edges(), metres / 1000


def test_the_streets_of_a_real_extract_make_the_drive_graph_that_is_known_of_it(portland: Lake) -> None:
    """Figures of another tool for the same file: 3,800 nodes, 10,318 directed edges, 1,116 km without service roads."""
    streets = portland.frame("streets")
    nodes, edges, km = merged(streets.filter(pl.col("class") != "service"))
    assert nodes == pytest.approx(3800, rel=0.02) and edges == pytest.approx(10_318, rel=0.02) and km == pytest.approx(1116, rel=0.02)


def test_street_pieces_end_at_corners_and_nowhere_between(portland: Lake) -> None:
    streets = portland.frame("streets")
    assert streets["street_id"].n_unique() == len(streets)
    inside: set[tuple[float, float]] = set()
    ends: dict[tuple[float, float], set[str]] = defaultdict(set)
    for a, b, text in streets.select("from_node", "to_node", "geometry").iter_rows():
        places = [tuple(p) for p in json.loads(text)["coordinates"]]
        inside |= set(places[1:-1])
        ends[places[0]].add(a)
        ends[places[-1]].add(b)
    assert not inside & set(ends), "a corner is a corner of every street through it"
    assert np.mean([len(n) == 1 for n in ends.values()]) > 0.999
    lengths = [geometry.length_m(json.loads(g)) for g in streets["geometry"].head(200)]
    assert streets["length_m"].head(200).to_numpy() == pytest.approx(np.array(lengths))


def test_tags_of_a_street_become_its_columns(portland: Lake) -> None:
    streets = portland.frame("streets")
    assert set(streets["one_way"].drop_nulls()) <= {"forward", "backward"} and streets.filter(pl.col("class") == "motorway")["one_way"].null_count() == 0
    assert streets["name"].null_count() / len(streets) < 0.25 and not {"footway", "cycleway", "steps", "path"} & set(streets["class"])
    assert streets["speed_limit"].drop_nulls().is_between(2, 36).all() and streets["speed_limit"].count() > 5000
    assert any("405" in a for row in streets["aliases"].drop_nulls() for a in row), "the number of a highway is another name of it"


def test_speeds_are_read_with_their_unit_and_words_are_no_speed(lake: Lake) -> None:
    con = lake.connect()
    try:
        given = {"35 mph": 15.646, "35mph": 15.646, "50": 13.889, "50 km/h": 13.889, "30.5": 8.472, "signals": None, "none": None, "50;30": None, "": None}
        found = {g: con.execute(f"select {speed('x')} from (select ? as x)", [g]).fetchone()[0] for g in given}  # type: ignore[index]
    finally:
        con.close()
    assert found == given


OSM = """<?xml version="1.0" encoding="UTF-8"?><osm version="0.6">
<node id="1" version="1" lat="41.6" lon="-90.9"/><node id="2" version="1" lat="41.6" lon="-90.899"/><node id="3" version="1" lat="41.6" lon="-90.898"/>
<node id="4" version="1" lat="41.601" lon="-90.899"/><node id="5" version="1" lat="41.602" lon="-90.899"/>
<node id="11" version="1" lat="41.60015" lon="-90.8998"><tag k="addr:housenumber" v="102"/><tag k="addr:street" v="Main Street"/></node>
<node id="12" version="1" lat="41.60015" lon="-90.8992"><tag k="addr:housenumber" v="108"/><tag k="addr:street" v="Main Street"/></node>
<node id="13" version="1" lat="41.59985" lon="-90.8995"><tag k="addr:housenumber" v="105"/><tag k="addr:street" v="Main Street"/></node>
<node id="14" version="1" lat="41.65" lon="-90.8995"><tag k="addr:housenumber" v="999"/><tag k="addr:street" v="Main Street"/></node>
<way id="7" version="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="residential"/><tag k="name" v="Main Street"/><tag k="old_name" v="Mill Rd"/>
<tag k="ref" v="US 6; SR 22"/><tag k="maxspeed" v="25 mph"/><tag k="lanes" v="2"/></way>
<way id="8" version="1"><nd ref="2"/><nd ref="4"/><nd ref="5"/><tag k="highway" v="motorway"/></way>
<way id="9" version="1"><nd ref="5"/><nd ref="3"/><tag k="highway" v="footway"/></way>
<way id="10" version="1"><nd ref="5"/><nd ref="1"/><tag k="highway" v="service"/><tag k="access" v="private"/></way>
</osm>
"""


def test_a_small_map_is_cut_at_its_corners_with_house_numbers_on_their_sides(lake: Lake, tmp_path: Path) -> None:
    import osmium

    plain, packed = written(tmp_path / "small.osm", OSM), tmp_path / "small.osm.pbf"
    with osmium.SimpleWriter(str(packed)) as out:
        for thing in osmium.FileProcessor(str(plain)):
            out.add(thing)
    assert take(lake, "osm_streets", packed).added == 3
    rows = {r["street_id"]: r for r in lake.frame("streets").iter_rows(named=True)}
    assert set(rows) == {"7.0", "7.1", "8.0"}, "no footway and nothing private"
    west = rows["7.0"]
    assert (west["name"], west["aliases"], west["class"], west["lanes"]) == ("Main Street", ["Mill Rd", "US 6", "SR 22"], "residential", 2)
    assert west["speed_limit"] == pytest.approx(11.176) and (west["from_node"], west["to_node"]) == ("1", "2") and west["one_way"] is None
    assert (west["left_from"], west["left_to"], west["right_from"], west["right_to"]) == (100, 110, 105, 105)
    assert rows["7.1"]["left_from"] is None and rows["8.0"]["one_way"] == "forward"
    everything = Lake(tmp_path / "all")
    assert take(everything, "osm_ways", packed).added == 5


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x0d\x0a\x09OSMHeader", b"not a map at all", b"\0" * 500])
def test_a_damaged_extract_is_refused(lake: Lake, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.osm.pbf"
    file.write_bytes(data)
    with pytest.raises(BadInput):
        take(lake, "osm_streets", file)
    assert lake.frame("streets").is_empty()


def test_a_street_file_with_the_census_names_is_read(lake: Lake, tmp_path: Path) -> None:
    path = line((-90.9, 41.6), (-90.899, 41.6))
    two = {"type": "MultiLineString", "coordinates": [[[-90.9, 41.7], [-90.899, 41.7]], [[-90.899, 41.7], [-90.898, 41.7]]]}
    torn = {"type": "MultiLineString", "coordinates": [[[-90.9, 41.7], [-90.899, 41.7]], [[-90.8, 41.7], [-90.79, 41.7]]]}
    file = written(tmp_path / "edges.geojson", collection(
        feature(path, TLID=7, FULLNAME="E Main St", MTFCC="S1400", LFROMADD="100", LTOADD="198", RFROMADD="101", RTOADD="199", TNIDF=1, TNIDT=2, ONEWAY="FT"),
        feature(two, TLID=8, PREDIR="N", STREET="Oak", SUFTYPE="Ave", LFROMADD="0", LTOADD="", RFROMADD="12-41", RTOADD="12-59", SPEEDLIMIT=30),
        feature(torn, TLID=9, FULLNAME="Gap Rd"), feature(path, TLID=10, FULLNAME="Bad St", LFROMADD="rear", LTOADD="198")))
    report = take(lake, "streets_geojson", file, speed_unit="mph")
    assert (report.added, report.rejects_by_reason) == (2, {"geometry not readable": 1, "left_from not readable": 1})
    main, oak = lake.frame("streets").sort("street_id").iter_rows(named=True)
    assert (main["name"], main["class"], main["one_way"], main["left_from"], main["right_to"], main["from_node"]) == (
        "E Main St", "residential", "forward", 100, 199, "1")
    assert (oak["name"], oak["left_from"], oak["right_from"], oak["right_to"]) == ("N Oak Ave", None, 41, 59) and oak["speed_limit"] == pytest.approx(13.411)
    assert (oak["from_node"], oak["to_node"]) == ("-90.900000,41.700000", "-90.898000,41.700000") and len(json.loads(oak["geometry"])["coordinates"]) == 3


# --- floor plans, closures, events, alerts ----------------------------------------------------------------------------------------------------


def test_imdf_words_become_rooms_doors_and_stairs(lake: Lake, tmp_path: Path) -> None:
    file = written(tmp_path / "plan.geojson", collection(
        feature(square(-90.9, 41.6, 0.0001), id="u1", category="classroom", name={"en": "Room 12"}, level_id="L1", building_ids=["B9"]),
        feature(square(-90.8, 41.6, 0.0001), id="u2", category="elevator", name=None, level_id="L1", building_ids=["B9"]),
        feature(line((-90.9, 41.6), (-90.9, 41.60001)), id="o1", category="pedestrian", level_id="L1", building_ids=["B9"], connects=["u1", "u2"]),
        feature(square(-90.7, 41.6, 0.0001), id="u3", category="stairs", level_id=None, building_ids=["B9"])))
    report = take(lake, "floor_plan", file)
    assert report.rejects_by_reason == {"no floor": 1}
    rows = {r["room_id"]: r for r in lake.frame("rooms").iter_rows(named=True)}
    assert {k: r["kind"] for k, r in rows.items()} == {"u1": "room", "u2": "lift", "o1": "door"}
    assert (rows["u1"]["name"], rows["u1"]["building"], rows["o1"]["connects"]) == ("Room 12", "B9", ["u1", "u2"])
    assert take(lake, "floor_plan", file, floor="L2").added == 1


def test_the_made_up_schools_doors_lead_to_pieces_that_are_there(lake: Lake, samples: Path) -> None:
    take(lake, "sample_floor_plan", samples / "sample_floor_plan.geojson")
    rooms = lake.frame("rooms")
    assert set(rooms["kind"]) == {"room", "corridor", "stair", "lift", "door", "exit"} and set(rooms["floor"]) == {"0", "1"}
    ids = set(rooms["room_id"])
    assert all(set(c) <= ids for c in rooms["connects"].drop_nulls())
    doors = rooms.filter(pl.col("kind") == "door")
    assert (doors["connects"].list.len() == 2).all()
    reached = {c for row in doors["connects"] for c in row}
    assert set(rooms.filter(pl.col("kind").is_in(["room", "stair"]))["room_id"]) <= reached, "every room has a door"


def test_closures_come_as_a_list_or_in_the_exchange_of_work_zones(lake: Lake, tmp_path: Path, samples: Path) -> None:
    report = take(lake, "sample_closures", samples / "sample_closures.csv")
    assert report.added == 60 and set(report.rejects_by_reason) == {"it ends before it starts", "no started_at"}
    zone = feature(
        line((-90.9, 41.6), (-90.88, 41.6)), start_date="2026-06-01T12:00:00Z", end_date="2026-06-02T12:00:00Z", vehicle_impact="all-lanes-closed",
        core_details={"event_type": "work-zone", "road_names": ["Linden Avenue"], "direction": "eastbound", "update_date": "2026-05-30T08:00:00Z"})
    later = {"type": "Feature", "properties": {"core_details": {"road_names": ["X"]}, "start_date": "soon"}, "geometry": None}
    file = written(tmp_path / "zones.geojson", collection({**zone, "id": "wz-1"}, later))
    assert take(lake, "closures", file).rejects_by_reason == {"started_at not readable": 1}
    row = lake.frame("closures", where="closure_id = 'wz-1'").row(0, named=True)
    assert (row["street"], row["reason"], row["full"], row["direction"]) == ("Linden Avenue", "work-zone", True, "eastbound")
    assert row["started_at"] == datetime(2026, 6, 1, 12, tzinfo=UTC) and row["revised_at"] == datetime(2026, 5, 30, 8, tzinfo=UTC)
    assert (row["lon"], row["lat"]) == pytest.approx((-90.89, 41.6), abs=1e-4)


def test_any_feed_of_events_is_read_by_the_usual_names(lake: Lake, tmp_path: Path, samples: Path) -> None:
    assert take(lake, "sample_events", samples / "sample_events.csv").added == 90
    rows = '{"timestamp": "2026-06-01T20:00:00-05:00", "type": "ALARM", "message": "Panic alarm", "latitude": 41.6, "longitude": -90.9}\n' * 2
    report = take(lake, "event_feed", written(tmp_path / "feed.ndjson", rows + '{"timestamp": "2026-06-01T20:00:00-05:00", "type": ""}\n'))
    assert (report.added, report.duplicate, report.rejects_by_reason) == (1, 1, {"no kind": 1})
    row = lake.frame("events", where="kind = 'ALARM' and source = 'event_feed'").row(0, named=True)
    assert row["happened_at"] == datetime(2026, 6, 2, 1, tzinfo=UTC) and (row["narrative"], row["lon"], row["lat"]) == ("Panic alarm", -90.9, 41.6)


ALERT = """<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{id}</identifier><sender>x.example</sender><sent>{sent}</sent>
<status>{status}</status><msgType>{kind}</msgType><scope>Public</scope>{more}</alert>"""
INFO = """<info><language>{language}</language><category>Met</category><event>{event}</event><urgency>Expected</urgency><severity>{severity}</severity>
<certainty>Likely</certainty><headline>{event}!</headline>{area}</info>"""


def test_alerts_keep_their_area_their_language_and_what_became_of_them(lake: Lake, tmp_path: Path) -> None:
    ring = "<area><areaDesc>{}</areaDesc><polygon>41.6,-90.9 41.6,-90.8 41.7,-90.8 41.6,-90.9</polygon></area>"
    around = "<area><areaDesc>Around</areaDesc><circle>41.5,-90.5 1.5</circle></area>"
    spanish = INFO.format(language="es-US", event="Inundacion", severity="Severe", area=ring.format("Norte"))
    english = INFO.format(language="en-US", event="Flood", severity="Severe", area=ring.format("North") + around)
    first = ALERT.format(id="a-1", sent="2026-05-01T10:00:00-05:00", status="Actual", kind="Alert", more=spanish + english)
    told = "<references>x.example,a-1,2026-05-01T10:00:00-05:00</references>"
    broken = INFO.format(language="en", event="Gale", severity="Minor", area="<area><areaDesc>B</areaDesc><polygon>41,-90 far</polygon></area>")
    parts = [first, ALERT.format(id="t-1", sent="2026-05-02T10:00:00-05:00", status="Test", kind="Alert", more=english),
             ALERT.format(id="k-1", sent="2026-05-02T10:00:00-05:00", status="Actual", kind="Ack", more=""),
             ALERT.format(id="b-1", sent="2026-05-02T10:00:00-05:00", status="Actual", kind="Alert", more=broken)]
    file = written(tmp_path / "alerts.xml", f"<feed>{''.join(parts)}</feed>")
    report = take(lake, "cap_alerts", file, language="en")
    assert report.read == 7 and (report.added, report.rejected) == (4, 3) and report.rejects_by_reason == {
        "geometry not readable": 1, "no kind": 1, "an info block in another language, not taken": 1}
    north, around_ = (lake.frame("events", where=f"event_id = '{i}'").row(0, named=True) for i in ("a-1", "a-1/2"))
    for row in (north, around_):
        assert (row["alert_id"], row["kind"], row["title"], row["severity"], row["status"]) == ("a-1", "Flood", "Flood!", "Severe", "active")
    assert (north["address"], around_["address"]) == ("North", "Around")
    shapes = [Polygon.from_geojson(json.loads(r["geometry"])) for r in (north, around_)]
    assert locate(shapes, [-90.81, -90.5, -90.7], [41.61, 41.505, 41.61]).tolist() == [0, 1, -1]
    assert [geometry.area_km2(json.loads(r["geometry"])) for r in (north, around_)] == pytest.approx([46.2, 7.0], rel=0.02)
    assert lake.frame("events", where="alert_id = 't-1'")["status"].to_list() == ["test"] * 2

    over = ALERT.format(id="a-2", sent="2026-05-01T15:00:00-05:00", status="Actual", kind="Cancel", more=told + english)
    assert take(lake, "cap_alerts", written(tmp_path / "cancel.xml", over)).updated == 2
    rows = lake.frame("events", where="alert_id = 'a-1'")
    assert rows["status"].to_list() == ["cancelled"] * 2 and rows["revised_at"].to_list() == [datetime(2026, 5, 1, 20, tzinfo=UTC)] * 2


def test_of_an_alert_in_several_languages_one_is_taken_and_the_others_are_counted(tmp_path: Path) -> None:
    area = "<area><areaDesc>{}</areaDesc></area>"

    def said(language: str, event: str, *areas: str) -> str:
        one = INFO.format(language=language, event=event, severity="Severe", area="".join(map(area.format, areas)))
        return one if language else one.replace("<language></language>", "")

    def kinds(more: str, **words: str) -> tuple[dict[str, tuple[str, str]], int]:
        lake = Lake(tmp_path / f"lake{len(list(tmp_path.glob('lake*')))}")
        report = take(lake, "cap_alerts", written(tmp_path / "a.xml", ALERT.format(id="k", sent="2026-05-01T10:00:00Z", status="Actual", kind="Alert",
                                                                                  more=more)), **words)
        assert report.read == report.added + report.rejected
        return {r["event_id"]: (r["kind"], r["address"]) for r in lake.frame("events").iter_rows(named=True)}, report.rejected

    both = said("es-US", "Viento", "Norte") + said("en-US", "Wind", "North") + said("en-US", "Gust", "Hill", "Pier") + said("fr", "Vent", "Nord")
    english = {"k": ("Wind", "North"), "k/2": ("Gust", "Hill"), "k/3": ("Gust", "Pier")}
    assert kinds(both) == ({"k": ("Viento", "Norte")}, 3), "the language of the first block"
    assert kinds(both, language="en") == (english, 2) == kinds(both, language="EN-us"), "all blocks of the language that was asked for"
    assert kinds(both, language="de") == ({"k": ("Viento", "Norte")}, 3), "none is in it"
    assert kinds(said("", "Wind", "North") + said("es", "Viento", "Norte"), language="en") == ({"k": ("Wind", "North")}, 1), "none said is en-US"
    assert kinds(said("en", "Wind")) == ({"k": ("Wind", None)}, 0), "a block without an area is one row"
    assert kinds("<references>x,k,2026-05-01T09:00:00Z</references>") == ({}, 1), "an alert without a block has no kind"


def test_a_path_of_elements_that_is_none_is_refused() -> None:
    for wrong in ("a/[b:=c]", "a[b:=c]/d", "a/b[c]"):
        with pytest.raises(BadInput, match="is no path of elements"):
            nested.path(wrong)
    assert nested.path("") == ("", []) and nested.path("a/b[c:d=e/f]/g") == ("a", [nested.Step("b", "c", "d", "e/f"), nested.Step("g")])


def test_the_made_up_citys_watch_is_one_event_that_was_cancelled_and_its_test_is_a_test(lake: Lake, samples: Path) -> None:
    report = take(lake, "sample_alerts", samples / "sample_alerts.xml")
    assert (report.added, report.updated) == (4, 2)
    status = dict(lake.frame("events").select("event_id", "status").iter_rows())
    assert Counter(status.values()) == {"active": 2, "cancelled": 1, "test": 1}


def test_every_sample_of_places_loads_with_the_counts_planted(lake: Lake, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text())["files"]
    for file in ("sample_boundaries.geojson", "sample_streets.geojson.gz", "sample_floor_plan.geojson", "sample_closures.csv", "sample_events.csv",
                 "sample_alerts.xml"):
        told = take(lake, file.split(".")[0], samples / file).to_json()
        assert {k: told[k] for k in ("read", "added", "updated", "duplicate", "rejected")} == {
            k: planted[file][k] for k in ("read", "added", "updated", "duplicate", "rejected")}, file

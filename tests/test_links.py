"""Links around a case: what is tied to what, by which rows, and what chance would give."""

from __future__ import annotations

import json
import time
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, NotFound
from workbench.geo import Plane
from workbench.layers import Points
from workbench.models.links import case
from workbench.models.links.case import Facts, around, new_links, timeline

START = datetime(2026, 6, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def small() -> Facts:
    """Two burglaries; Ana (suspect in the first) and Ben (in the second) use one telephone; Ben owns a van; Cy lives where a hundred do."""
    lon, lat = PLANE.to_degrees([0.0, 4000.0], [0.0, 0.0])
    people = [("P1", "Ana", "Ortiz"), ("P2", "Ben", "Lund"), ("P3", "Cy", "Moss"), *((f"H{i}", "Resident", f"No{i}") for i in range(100))]
    return Facts(
        incidents=pl.DataFrame(
            {
                "incident_id": ["I1", "I2", "I3"],
                "report_number": ["26-1", "26-2", "26-2"],
                "started_at": [at(100), at(200), at(200)],
                "offence": ["BURGLARY", "BURGLARY", "DAMAGE"],
                "lon": [*lon, lon[1]],
                "lat": [*lat, lat[1]],
            }
        ),
        people=pl.DataFrame(people, schema=["person_id", "given_name", "surname"], orient="row"),
        vehicles=pl.DataFrame({"vehicle_id": ["V1", "V2"], "plate": ["VAN001", None], "make": ["Ford", "Kia"]}),
        phones=pl.DataFrame({"phone_id": ["T1", "T2"], "number": ["15635550100", "15635550100"]}),
        addresses=pl.DataFrame({"address_id": ["A1", "A2"], "address": ["1 Tower Plaza", "1  TOWER plaza"], "lon": [lon[0]] * 2, "lat": [lat[0]] * 2}),
        involvements=pl.DataFrame(
            [("L1", "I1", "person", "P1", "suspect"), ("L2", "I2", "person", "P2", "suspect"), ("L3", "I1", "vehicle", "V2", "used")],
            schema=["involvement_id", "incident_id", "entity_kind", "entity_id", "role"],
            orient="row",
        ),
        associations=pl.DataFrame(
            [
                ("B1", "P1", "phone", "T1", "subscriber", date(2026, 1, 1)),
                ("B2", "P2", "phone", "T2", "subscriber", date(2026, 6, 20)),
                ("B3", "P2", "vehicle", "V1", "owner", None),
                ("B4", "P2", "address", "A1", "resident", None),
                ("B5", "P3", "address", "A2", "resident", None),
                *((f"C{i}", f"H{i}", "address", "A1", "resident", None) for i in range(100)),
            ],
            schema=["association_id", "person_id", "entity_kind", "entity_id", "relation", "since"],
            orient="row",
            infer_schema_length=None,
        ),
    )


def with_reads(seed: int, *, planted: bool = True, scenes: int = 6) -> Facts:
    """Scenes at reader corners on different days, 400 commuters who pass all readers at the same hours every day, and one plate at 5 of 6 scenes."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-4000, 4000, (12, 2))
    when = [at(24 * (5 + 2 * k) + rng.uniform(8, 20)) for k in range(scenes)]
    lon, lat = PLANE.to_degrees(places[:, 0], places[:, 1])
    incidents = pl.DataFrame(
        {
            "incident_id": [f"I{k}" for k in range(scenes)],
            "report_number": [f"26-{k}" for k in range(scenes)],
            "started_at": when,
            "offence": "BURGLARY",
            "lon": lon[:scenes] + 0.001,
            "lat": lat[:scenes],
        }
    )
    rows: list[tuple[str, int, datetime]] = []
    for k in range(400):
        route, hour = rng.choice(12, 3, replace=False), rng.uniform(6, 21)
        days = np.flatnonzero(rng.random(25) < 0.8)
        rows += [(f"CAR{k:04d}", int(r), at(24 * float(d) + hour + rng.normal(0, 0.2) + 0.1 * j)) for d in days for j, r in enumerate(route)]
    if planted:
        rows += [("BAD0001", k, when[k] + timedelta(minutes=float(rng.uniform(-20, 20)))) for k in range(scenes - 1)]
    reads = pl.DataFrame(
        {
            "read_id": [f"r{i}" for i in range(len(rows))],
            "plate": [p for p, _, _ in rows],
            "reader": [f"R{r}" for _, r, _ in rows],
            "read_at": [t for _, _, t in rows],
            "lon": lon[[r for _, r, _ in rows]],
            "lat": lat[[r for _, r, _ in rows]],
        }
    )
    people = pl.DataFrame({"person_id": ["P1"], "surname": ["Ortiz"], "given_name": ["Ana"]})
    involvements = pl.DataFrame(
        {
            "involvement_id": [f"L{k}" for k in range(scenes)],
            "incident_id": [f"I{k}" for k in range(scenes)],
            "entity_kind": "person",
            "entity_id": "P1",
            "role": "suspect",
        }
    )
    return Facts(incidents=incidents, people=people, involvements=involvements, reads=reads)


# --- ties of record ---------------------------------------------------------------------------------------------------------------


def test_two_people_with_one_telephone_are_found_through_it() -> None:
    links = around(small(), "26-1", hops=3)
    assert nx.shortest_path(links.graph, "incident:I1", "person:P2") == ["incident:I1", "person:P1", "phone:T1", "person:P2"]
    assert links.graph.nodes["vehicle:V2"]["label"] == "V2" and links.graph.nodes["person:P1"]["label"] == "Ana Ortiz"
    assert links.headline.startswith("Incident 26-1 (BURGLARY, 2026-06-05 04:00 UTC): 2 people, 1 vehicle and 1 phone within 3 steps")


def test_every_step_adds_what_is_one_tie_further() -> None:
    facts = small()
    one, two = (set(around(facts, "person:P1", hops=h).graph) for h in (1, 2))
    assert one == {"person:P1", "incident:I1", "phone:T1"}
    assert two == one | {"vehicle:V2", "person:P2"}


def test_every_kind_of_name_finds_its_thing() -> None:
    facts = small()
    for name, centre in (
        ("incident:I1", "incident:I1"),
        ("I1", "incident:I1"),
        ("26-1", "incident:I1"),
        ("van 001", "vehicle:VAN001"),
        ("vehicle:V1", "vehicle:VAN001"),
        ("P2", "person:P2"),
        ("ben  lund", "person:P2"),
        ("+1 563 555-0100", "phone:T1"),
        ("phone:T2", "phone:T1"),
        ("1 tower plaza", "address:A1"),
    ):
        assert around(facts, name, hops=1).centre == centre


def test_incidents_on_one_report_are_tied_and_both_are_the_centre() -> None:
    links = around(small(), "26-2", hops=1)
    assert links.graph.edges["incident:I2", "incident:I3"]["kind"] == "same report"
    assert links.headline.startswith("Incident 26-2 (BURGLARY, 2026-06-09 08:00 UTC) and 1 more: 1 person")


def test_a_thing_tied_to_very_many_is_shown_but_not_followed_and_this_is_said() -> None:
    links = around(small(), "P2", hops=2)
    assert links.graph.nodes["address:A1"]["hub"] and links.graph.nodes["address:A1"]["ties"] == 102
    assert not [n for n in links.graph if n.startswith("person:H")]
    assert "1 Tower Plaza (address:A1) is tied to 102 things and was not followed." in links.basis.notes


def test_as_the_centre_it_is_followed_up_to_max_nodes_and_the_rest_is_counted() -> None:
    links = around(small(), "1 Tower Plaza", hops=1, max_nodes=50)
    assert links.graph.number_of_nodes() == 50
    assert "53 further things are tied to these and were left out (max_nodes = 50)." in links.basis.notes


@pytest.mark.parametrize("centre", ["26-1", "26-2", "P2", "VAN001", "1 Tower Plaza", "phone:T1"])
def test_no_edge_exists_without_rows_that_can_be_looked_up(centre: str) -> None:
    facts = small()
    links = around(facts, centre, hops=3)
    keys = {"involvements": "involvement_id", "associations": "association_id", "incidents": "incident_id", "reads": "read_id"}
    assert links.graph.number_of_edges() == len(links.table) > 0
    for _, _, data in links.graph.edges(data=True):
        assert data["evidence"] and data["base_rate"]
        for row in data["evidence"]:
            assert row["key"] in getattr(facts, row["table"])[keys[row["table"]]]
    pairs = {frozenset(pair) for pair in links.evidence.select("source", "target").iter_rows()}
    assert pairs == {frozenset(edge) for edge in links.graph.edges}
    assert sum(len(d["evidence"]) for _, _, d in links.graph.edges(data=True)) == len(links.evidence)


def test_reordering_the_rows_or_moving_the_city_changes_nothing() -> None:
    facts = with_reads(1)
    shuffled = Facts(**{f.name: getattr(facts, f.name).sample(fraction=1, shuffle=True, seed=3) for f in fields(Facts)})
    here, there = around(facts, "26-0"), around(shuffled, "26-0")
    assert here.table.equals(there.table) and here.evidence.equals(there.evidence) and here.headline == there.headline
    assert list(here.graph.nodes) == list(there.graph.nodes)
    moved = replace(facts, incidents=facts.incidents.with_columns(pl.col("lon") + 1), reads=facts.reads.with_columns(pl.col("lon") + 1))
    assert around(moved, "26-0").headline == here.headline


def test_nothing_that_happened_at_or_after_asof_is_used() -> None:
    facts = small()
    links = around(facts, "P1", hops=3, asof=datetime(2026, 6, 20, tzinfo=UTC))
    assert "person:P2" not in links.graph  # his subscription is of 20 June
    assert "person:P2" in around(facts, "P1", hops=3, asof=datetime(2026, 6, 20, 0, 0, 1, tzinfo=UTC)).graph
    early = around(facts, "P1", hops=1, asof=at(100))
    assert "incident:I1" not in early.graph


# --- reads near scenes ------------------------------------------------------------------------------------------------------------


def test_the_plate_at_five_of_six_scenes_is_found_with_what_chance_would_give() -> None:
    links = around(with_reads(1), "P1", hops=2)
    node = links.graph.nodes["vehicle:BAD0001"]
    assert node["near"] == 5 and node["expected"] < 0.5 and node["as_often"] == 1
    assert "strongest by reads: BAD0001, near 5 of 6 scenes" in links.headline and "expected by chance (1 of " in links.headline
    edge = links.graph.edges["vehicle:BAD0001", "incident:I0"]
    assert edge["kind"] == "read near" and edge["evidence"][0]["table"] == "reads" and " m from 26-0, " in edge["evidence"][0]["text"]


def test_without_a_planted_plate_none_stands_out_at_the_stated_rate() -> None:
    claimed = sum("strongest by reads" in around(with_reads(seed, planted=False), "P1", hops=2).headline for seed in range(100, 112))
    assert claimed <= 2  # at most 1 in 20 towns: P(over 2 of 12) = 0.02


def test_a_commuter_who_passes_every_day_is_no_surprise() -> None:
    facts = with_reads(2)
    daily = pl.DataFrame(
        {
            "read_id": [f"d{i}" for i in range(25 * 6)],
            "plate": "BUS0001",
            "reader": "bus",
            "lon": np.tile(facts.incidents["lon"], 25),
            "lat": np.tile(facts.incidents["lat"], 25),
            "read_at": [t.replace(month=6, day=1) + timedelta(days=d) for d in range(25) for t in facts.incidents["started_at"]],
        }
    )
    busy = replace(facts, reads=pl.concat([facts.reads.select(daily.columns), daily.cast(facts.reads.select(daily.columns).schema)]))  # type: ignore[arg-type]
    nodes = around(busy, "P1", hops=2).graph.nodes
    assert "vehicle:BUS0001" not in nodes and "vehicle:BAD0001" in nodes


def test_for_a_plate_the_incidents_it_was_read_near_are_the_first_step() -> None:
    links = around(with_reads(1), "BAD 0001", hops=1)
    assert {n for n in links.graph if n.startswith("incident:")} == {f"incident:I{k}" for k in range(5)}
    assert any(isinstance(layer, Points) and layer.kind == "read" for layer in links.layers)


def test_scenes_without_place_or_time_are_left_out_and_counted() -> None:
    facts = with_reads(1)
    vague = facts.incidents.with_columns(
        lon=pl.when(pl.col("incident_id") == "I0").then(None).otherwise("lon"),
        ended_at=pl.when(pl.col("incident_id") == "I1").then(pl.col("started_at") + pl.duration(hours=30)),
    )
    notes = " ".join(around(replace(facts, incidents=vague), "P1").basis.notes)
    assert "1 of 6 incidents have no position" in notes and "1 incidents have a time span over 12 hours" in notes


# --- telling ----------------------------------------------------------------------------------------------------------------------


def test_the_timeline_has_a_row_for_every_dated_row_of_evidence() -> None:
    links = around(with_reads(1), "P1")
    events = timeline(links)
    assert events["at"].is_sorted() and len(events) == links.evidence["at"].is_not_null().sum()
    assert set(events["kind"]) == {"incident", "read"}


def test_new_links_are_those_whose_evidence_is_newer() -> None:
    ranking = new_links(small(), {"2026-0142": ["person:P1"], "2026-0001": ["person:P3"]}, "2026-06-15", hops=3)
    assert ranking.table.select("case_number", "source", "target", "new").rows() == [("2026-0142", "person:P2", "phone:T1", "new link")]
    assert ranking.headline.startswith("1 link on 1 of 2 open cases with evidence since 2026-06-15 00:00 UTC; strongest (2026-0142): Ben Lund is subscriber")


def test_new_links_take_the_casebooks_frame_and_say_when_there_are_none() -> None:
    subjects = pl.DataFrame({"case_number": ["2026-0142", "2026-0142"], "kind": ["person", "person"], "id": ["P1", "person:P99"]})
    ranking = new_links(small(), subjects, "2026-08-01")
    assert ranking.table.is_empty() and "case_number" in ranking.table.columns
    assert ranking.headline == "No new link on 1 open case since 2026-08-01 00:00 UTC."
    assert "Case 2026-0142: No incident, report, plate" in ranking.basis.notes[0]


def test_nothing_tied_is_said_with_how_much_was_looked_through() -> None:
    facts = replace(small(), involvements=Facts().involvements, associations=Facts().associations)
    links = around(facts, "P1")
    assert links.headline.startswith("Cannot tell: nothing is tied to Person Ana Ortiz") and links.table.is_empty()
    assert links.graph.number_of_nodes() == 1


def test_a_name_that_is_not_there_or_not_clear_is_refused_with_what_is() -> None:
    with pytest.raises(NotFound, match="No incident, report, plate, person, phone or address is called '26-9' .* Did you mean '26-"):
        around(small(), "26-9")
    twins = replace(small(), people=pl.concat([small().people, small().people.head(1).with_columns(person_id=pl.lit("P77"))]))
    with pytest.raises(BadInput, match="2 records are called 'Ana Ortiz': person:P1"):
        around(twins, "Ana Ortiz")
    with pytest.raises(BadInput, match="hops=9 does not do"):
        around(small(), "P1", hops=9)
    with pytest.raises(BadInput, match="no option 'hop'. Did you mean 'hops'"):
        new_links(small(), {"a": ["P1"]}, "2026-01-01", hop=2)


def test_tables_that_are_not_given_are_empty_and_wrong_ones_are_refused() -> None:
    assert len(Facts().reads) == 0
    with pytest.raises(BadInput, match="The reads frame has no column 'read_id'"):
        Facts(reads=pl.DataFrame({"plate": ["A"]}))
    with pytest.raises(NotFound):
        around(Facts(), "ABC123")


def test_five_thousand_people_and_150_000_reads_take_under_a_second() -> None:
    rng = np.random.default_rng(0)
    facts = with_reads(1)
    n, m = 5000, 150_000
    many: dict[str, Any] = {
        "people": pl.DataFrame({"person_id": [f"Q{i}" for i in range(n)], "surname": [f"S{i}" for i in range(n)], "given_name": "A"}),
        "phones": pl.DataFrame({"phone_id": [f"T{i}" for i in range(3000)], "number": [f"1563555{i:04d}" for i in range(3000)]}),
        "associations": pl.DataFrame(
            {
                "association_id": [f"B{i}" for i in range(12000)],
                "person_id": [f"Q{i}" for i in rng.integers(0, n, 12000)],
                "entity_kind": "phone",
                "entity_id": [f"T{i}" for i in rng.integers(0, 3000, 12000)],
                "relation": "subscriber",
            }
        ),
        "reads": facts.reads.select(pl.all().sample(m, with_replacement=True, seed=1)).with_columns(read_id=pl.format("n{}", pl.int_range(m))),
    }
    city = replace(facts, **many)
    around(city, "Q1", hops=2)
    start = time.process_time()
    around(city, "26-0", hops=2)
    assert time.process_time() - start < 2.0  # two cores shared with the rest of the tests; about 0.4 s alone


def test_in_the_made_up_city_the_crews_cars_stand_out_at_the_scenes_of_its_series(city: Any, samples: Path) -> None:
    series = json.loads((samples / "planted.json").read_text(encoding="utf-8"))["series"]
    facts = city.facts()
    for planted in series:
        links = around(facts, [f"incident:{i}" for i in planted["incident_ids"]], asof=city.asof)
        crew = planted.get("crew")
        cars = {crew["van_plate"], crew["scout_plate"]} if crew else {planted["stakeout"]["plate"]}
        standing = {n[8:] for n, d in links.graph.nodes(data=True) if d.get("by_chance", 1.0) <= 0.05}
        assert cars <= standing and len(standing - cars) <= 1, (planted["name"], standing)


def test_in_the_made_up_city_the_case_leads_to_the_crew_and_every_edge_has_its_rows(city: Any, samples: Path) -> None:
    crew = json.loads((samples / "planted.json").read_text(encoding="utf-8"))["series"][0]["crew"]
    links = around(city.facts(), city.casebook.subjects("2026-0142")["entity"].to_list(), hops=3, asof=city.asof)
    assert {f"vehicle:{crew['van_plate']}", f"phone:{crew['shared_phone']}"} <= set(links.graph)
    assert sum(f"person:{p}" in links.graph for p in crew["people"].values()) >= 2
    assert all(data["evidence"] for _, _, data in links.graph.edges(data=True))


def test_the_module_opens_with_its_question() -> None:
    assert "?" in (case.__doc__ or "").splitlines()[0]

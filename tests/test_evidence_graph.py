"""The evidence graph: every link has its rows, paths are all there are, chance is what reshuffling gives, and what contradicts is shown."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_links import at, small, with_reads
from workbench.errors import BadInput, NotFound
from workbench.models import codes as _codes
from workbench.models.links import case, evidence
from workbench.models.links.evidence import Evidence, Facts, build, how, why

CREW = ("P003170", "P003171", "P003172", "P003173")


def frame(columns: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=columns.split(), orient="row", infer_schema_length=None)


def rich() -> Facts:
    """All tables: Ana and Ben offended together, Ben and Cy telephone, Dee was stopped with Cy in the van; Eve is a victim; Fay has nothing."""
    lon, lat = [-90.9, -90.8, -90.9], [41.6, 41.65, 41.6]
    return Facts(
        incidents=pl.DataFrame(
            {
                "incident_id": ["I1", "I2", "I3"],
                "report_number": ["26-1", "26-2", None],
                "started_at": [at(100), at(200), at(300)],
                "ended_at": [at(100), at(200), None],
                "offence": ["BURGLARY", "ROBBERY", None],
                "address": ["1 OAK ST", None, None],
                "lon": lon,
                "lat": lat,
            }
        ),
        people=frame(
            "person_id given_name surname born_on sex",
            ("P1", "Ana", "Ortiz", date(1990, 1, 1), "F"),
            ("P1b", "Anna", "Ortis", date(1990, 1, 10), "F"),
            ("P2", "Ben", "Lund", None, "M"),
            ("P3", "Cy", "Moss", None, None),
            ("P4", "Dee", "Ray", None, None),
            ("P5", "Eve", "Hart", None, None),
            ("P6", "Fay", "Lone", None, None),
        ),
        vehicles=frame("vehicle_id plate", ("V1", "VAN001")),
        phones=frame("phone_id number", ("T1", "15635550100"), ("T2", "15635550200")),
        addresses=frame("address_id address", ("A1", "1 Oak St")),
        involvements=frame(
            "involvement_id incident_id entity_kind entity_id role",
            ("L1", "I1", "person", "P1", "suspect"),
            ("L2", "I1", "person", "P2", "arrestee"),
            ("L3", "I1", "person", "P5", "victim"),
            ("L4", "I2", "vehicle", "V1", "used"),
        ),
        associations=frame(
            "association_id person_id entity_kind entity_id relation since until",
            ("B1", "P2", "phone", "T1", "subscriber", None, None),
            ("B2", "P3", "phone", "T2", "subscriber", date(2026, 6, 20), None),
            ("B3", "P4", "phone", "T2", "subscriber", None, date(2026, 1, 1)),
            ("B4", "P1b", "address", "A1", "resident", None, None),
        ),
        **happened(lon, lat),
    )


def happened(lon: list[float], lat: list[float]) -> dict[str, pl.DataFrame]:
    """The rest of it: arrests, a stop, calls, reads and telephone calls."""
    return dict(
        arrests=frame(
            "arrest_id person_id incident_id report_number arrested_at charge lon lat",
            ("R1", "P2", "I1", None, at(150), "BURGLARY", lon[0], lat[0]),
            ("R2", "P1", "I2", None, at(100.05), "ROBBERY", -90.5, 41.6),
        ),
        interviews=pl.DataFrame({"interview_id": ["F1"], "interviewed_at": [at(250)], "person_id": ["P4"], "plate": ["VAN001"], "with_people": [["P3"]]}),
        calls=frame(
            "call_id received_at call_type address report_number", ("C1", at(99), "ALARM", "1  oak st", None), ("C2", at(201), "ROBBERY", None, "26-2")
        ),
        reads=frame(
            "read_id plate reader read_at lon lat",
            ("r1", "VAN001", "R1", at(200.1), lon[1], lat[1]),
            ("r2", "CAR002", "R1", at(200.2), lon[1], lat[1]),
            ("r3", "VAN001", "R9", at(200.05), -90.3, 41.9),
        ),
        phone_calls=frame(
            "phone_call_id cdr_id caller called started_at seconds",
            ("D1", "D1", "+1 563 555 0100", "15635550200", at(50), 63.0),
            ("D2", "D2", "15635550200", "999", at(51), 5.0),
        )
        if evidence.Facts().call_key == "phone_call_id"
        else Facts().phone_calls,
    )


def shuffled(facts: Facts, seed: int) -> Facts:
    return Facts(**{f.name: getattr(facts, f.name).sample(fraction=1, shuffle=True, seed=seed) for f in fields(Facts)})


def plain(graph: Evidence) -> nx.Graph:
    return nx.Graph(list(graph.frame.select("source", "target").iter_rows()))


# --- no link without evidence -----------------------------------------------------------------------------------------------------


def borne_out(graph: Evidence) -> None:
    """Every edge of the arrays has rows, every row its key in its table."""
    net = graph.network
    assert (np.diff(net.stated) > 0).all() and net.edges == plain(graph).number_of_edges()
    for table, key in graph.frame.select("table", "key").iter_rows():
        assert key in getattr(graph.facts, table)[graph.facts.key(table)].to_list()


KEYS = st.sampled_from(["1", "2", "3", "4", "5"])
TIMES = st.one_of(st.none(), st.integers(0, 900).map(at))
STRIPES = {
    "incidents": (
        "incident_id",
        {
            "started_at": st.integers(0, 900).map(at),
            "report_number": st.one_of(st.none(), KEYS),
            "nibrs": st.just("220"),
            "address": st.one_of(st.none(), KEYS),
            "lon": st.one_of(st.none(), st.floats(-91, -90.9)),
            "lat": st.just(41.6),
        },
    ),
    "people": ("person_id", {"surname": st.one_of(st.none(), KEYS)}),
    "vehicles": ("vehicle_id", {"plate": st.one_of(st.none(), KEYS)}),
    "phones": ("phone_id", {"number": KEYS}),
    "addresses": ("address_id", {"address": st.one_of(st.none(), KEYS)}),
    "involvements": (
        "involvement_id",
        {
            "incident_id": KEYS,
            "entity_kind": st.sampled_from(["person", "vehicle", "phone", "address"]),
            "entity_id": KEYS,
            "role": st.sampled_from(["suspect", "arrestee", "victim", "used", "strange"]),
        },
    ),
    "associations": (
        "association_id",
        {
            "person_id": KEYS,
            "entity_kind": st.sampled_from(["person", "vehicle", "phone", "address"]),
            "entity_id": KEYS,
            "relation": st.sampled_from(["owner", "associate"]),
            "since": st.one_of(st.none(), st.dates(date(2026, 1, 1))),
        },
    ),
    "arrests": (
        "arrest_id",
        {
            "person_id": st.one_of(st.none(), KEYS),
            "incident_id": st.one_of(st.none(), KEYS),
            "report_number": st.one_of(st.none(), KEYS),
            "arrested_at": st.integers(0, 900).map(at),
        },
    ),
    "interviews": (
        "interview_id",
        {
            "interviewed_at": st.integers(0, 900).map(at),
            "person_id": st.one_of(st.none(), KEYS),
            "plate": st.one_of(st.none(), KEYS),
            "with_people": st.one_of(st.none(), st.lists(KEYS, max_size=3)),
        },
    ),
    "calls": ("call_id", {"received_at": st.integers(0, 900).map(at), "address": st.one_of(st.none(), KEYS), "report_number": st.one_of(st.none(), KEYS)}),
    "reads": (
        "read_id",
        {"plate": KEYS, "reader": KEYS, "read_at": st.integers(0, 900).map(at), "lon": st.one_of(st.none(), st.floats(-91, -90.9)), "lat": st.just(41.6)},
    ),
}


@st.composite
def any_facts(draw: Any) -> Facts:
    made = {}
    for name, (key, columns) in STRIPES.items():
        rows = draw(st.lists(st.fixed_dictionaries({key: KEYS, **columns}), max_size=6))
        if rows:
            kinds = {c: t for c, t in getattr(Facts(), name).schema.items() if c in rows[0]}
            made[name] = pl.DataFrame(rows, schema=kinds)
    return Facts(**made)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_facts(), st.randoms(use_true_random=False))
def test_whatever_the_tables_hold_every_link_has_rows_and_every_row_its_key_in_its_table(facts: Facts, random: Any) -> None:
    graph = build(facts)
    borne_out(graph)
    things = graph.nodes["id"].to_list()
    if len(things) > 1:
        a, b = random.sample(things, 2)
        links = why(graph, a, b, hops=3)
        assert all(d["evidence"] and d["base_rate"] for _, _, d in links.graph.edges(data=True))
        assert {frozenset(p) for p in links.evidence.filter(pl.col("polarity") == "for").select("source", "target").iter_rows()} == {
            frozenset(e) for e in links.graph.edges
        }
        assert sum(links.graph.graph["observed"]) == sum(1 for _ in nx.all_simple_paths(plain(graph), a, b, cutoff=3)) if {a, b} <= set(plain(graph)) else True


def test_a_statement_without_its_row_cannot_be_made() -> None:
    graph = build(rich())
    give = {"nodes": graph.nodes, "records": graph.records, "reach": graph.reach}
    first = graph.frame.head(1)
    Evidence(rich(), first, **give)  # as it stands it can
    for change, said in (
        ({"key": pl.lit("L99")}, "rests on the row 'L99', which is not in"),
        ({"key": pl.lit(None, dtype=pl.String)}, "1 statements have no key"),
        ({"table": pl.lit("rumours")}, "'rumours' is no table that evidence can come from"),
        ({"strength": pl.lit(7.0)}, "Strengths must be 0 to 1"),
        ({"target": pl.col("source")}, "ties a thing to itself"),
        ({"target": pl.lit("person:X")}, "not among the things given"),
    ):
        with pytest.raises(BadInput, match=said):
            Evidence(rich(), first.with_columns(**change), **give)
    with pytest.raises(BadInput, match="has no column 'key'"):
        Evidence(rich(), first.drop("key"), **give)


def test_every_table_gives_its_statements() -> None:
    graph = build(rich())
    borne_out(graph)
    said = {(r["source"], r["target"], r["kind"], r["key"]) for r in graph.frame.iter_rows(named=True)}
    assert {
        ("person:P1", "incident:I1", "suspect", "L1"),
        ("person:P1", "person:P2", "co-offending", "L1"),
        ("person:P1", "person:P2", "co-offending", "L2"),
        ("person:P2", "phone:T1", "subscriber", "B1"),
        ("person:P2", "incident:I1", "arrested for", "R1"),
        ("person:P4", "vehicle:VAN001", "stopped in", "F1"),
        ("person:P4", "person:P3", "stopped with", "F1"),
        ("incident:I1", "address:A1", "happened at", "I1"),
        ("call:C1", "address:A1", "call at", "C1"),
        ("call:C2", "incident:I2", "reported as", "C2"),
        ("vehicle:VAN001", "incident:I2", "used", "L4"),
        ("vehicle:VAN001", "incident:I2", "read near", "r1"),
    } <= said
    assert not graph.frame.filter(pl.col("source") == "vehicle:CAR002").height  # not on record: no link of reads
    texts = graph.statements(np.arange(len(graph)))["text"].to_list()
    assert "Ana Ortiz is suspect in 26-1" in texts and "Dee Ray was stopped with Cy Moss" in texts
    assert "VAN001 was read near 26-2 by R1, 0 m off (one of 2 plates read there then)" in texts


def test_telephone_calls_tie_the_numbers_on_record() -> None:
    facts = rich()
    if not len(facts.phone_calls):
        names = list(facts.phone_calls.columns)
        row = {facts.call_key: "D1", "caller": "+1 563 555 0100", "called": "15635550200", "started_at": at(50), "seconds": 63}
        facts = replace(facts, phone_calls=pl.concat([facts.phone_calls, pl.DataFrame([row])], how="diagonal_relaxed").select(names))
    links = why(build(facts), "P2", "P3")
    assert links.table.filter(pl.col("length") == 3)["kind"].to_list() == ["subscriber", "called", "subscriber"]
    assert "15635550100 called 15635550200 for 63 s" in links.table["text"].to_list()


def test_pairs_that_travelled_together_rest_on_their_reads() -> None:
    reads = pl.concat(
        [
            frame("read_id plate reader read_at lon lat", *((f"{p}{k}", p, f"R{k}", at(24 * k + d / 100), -90.9, 41.6) for k in range(5)))
            for p, d in (("AAA", 0), ("BBB", 1))
        ]
    )
    pair = {"plate": ["AAA"], "other": ["BBB"], "together": [5], "expected": [0.21], "p": [0.0004]}
    for convoys in (pl.DataFrame(pair), pl.DataFrame({**pair, "evidence": [["AAA0", "BBB0", "AAA1", "BBB1"]]})):
        graph = build(Facts(reads=reads), convoys=convoys)
        borne_out(graph)
        links = why(graph, "AAA", "BBB")
        assert "5 times together, 0.21 expected by chance, p = 0.0004" in links.headline
        assert links.table["base_rate"][0] == "5 times together, 0.21 expected by chance, p = 0.0004"
    bare = build(Facts(reads=reads), convoys=pl.DataFrame({**pair, "other": ["CCC"]}))
    assert len(bare) == 0 and bare.notes == ("1 pair of the convoys given have no read together in these tables and make no link.",)
    with pytest.raises(BadInput, match="The frame of convoys has no column 'p'"):
        build(Facts(), convoys=pl.DataFrame(pair).drop("p"))


# --- why ---------------------------------------------------------------------------------------------------------------------------


def test_all_paths_are_found_and_the_best_is_the_one_through_the_rarest_thing() -> None:
    rng = np.random.default_rng(4)
    ends = [(f"P{a}", f"T{b}") for a, b in {(int(a), int(b)) for a, b in rng.integers(0, 12, (40, 2))}]
    facts = Facts(
        people=pl.DataFrame({"person_id": [f"P{i}" for i in range(12)]}),
        phones=pl.DataFrame({"phone_id": [f"T{i}" for i in range(12)], "number": [str(i) for i in range(12)]}),
        associations=pl.DataFrame(
            {
                "association_id": [f"B{i}" for i in range(len(ends))],
                "person_id": [a for a, _ in ends],
                "entity_kind": "phone",
                "entity_id": [b for _, b in ends],
                "relation": "subscriber",
            }
        ),
    )
    graph = build(facts)
    peer = plain(graph)
    for a, b in ((f"person:P{i}", f"person:P{j}") for i in range(5) for j in range(5) if i < j):
        links = why(graph, a, b, most=1000, hub=None)
        ours = {tuple([*group["source"], group["target"][-1]]) for _, group in links.table.group_by("path")}
        assert ours == {tuple(p) for p in nx.all_simple_paths(peer, a, b, cutoff=4)}
        scores = {tuple([*g["source"], g["target"][-1]]): g["score"][0] for _, g in links.table.group_by("path")}
        for path, score in scores.items():
            assert score == pytest.approx(0.9 ** (len(path) - 1) / np.prod([max(peer.degree(v) - 1, 1) for v in path[1:-1]]))
        assert links.table["score"].is_sorted(descending=True)
        assert why(graph, a, b, most=1, hub=None).table["path"].n_unique() == (1 if ours else 0)


def test_the_direct_rows_are_not_counted_again_as_a_path_through_the_incident() -> None:
    links = why(build(replace(rich(), arrests=Facts().arrests)), "P1", "P2")
    assert links.table.filter(pl.col("path") == 0)["rows"].to_list() == [2] and links.table["length"].to_list() == [1]
    assert "1 path of two steps rest on the same rows as the direct tie and are not counted twice." in links.basis.notes


def test_what_many_share_is_shown_as_a_hub_and_followed_only_when_asked() -> None:
    graph = build(small())
    links = why(graph, "P2", "P3")
    assert links.headline.startswith("Cannot tell what ties Ben Lund (person:P2) and Cy Moss (person:P3): there is no path of up to 4 steps")
    assert "1 Tower Plaza, which so many share that it says little; hub=None follows it" in links.headline
    assert links.graph.nodes["address:A1"]["hub"] and len(links.evidence) == 2
    asked = why(graph, "P2", "P3", hub=None)
    assert asked.table["length"].to_list() == [2, 2] and "101 of 102 other people are as near" in asked.headline


def test_the_order_of_rows_changes_nothing() -> None:
    facts = replace(with_reads(1), associations=small().associations, phones=small().phones, vehicles=pl.DataFrame({"vehicle_id": ["V"], "plate": ["BAD0001"]}))
    here, there = (why(build(f), "BAD0001", "P1") for f in (facts, shuffled(facts, 5)))
    assert here.table.equals(there.table) and here.evidence.equals(there.evidence) and here.headline == there.headline
    assert here.basis.data == there.basis.data and here.basis.notes == there.basis.notes and here.table.height


def test_nothing_at_or_after_asof_is_used() -> None:
    graph = build(small())
    assert why(graph, "P1", "P2").table.height == 2
    early = datetime(2026, 6, 20, tzinfo=UTC)  # his subscription is of 20 June
    assert why(graph, "P1", "P2", asof=early).headline.startswith("Cannot tell")
    assert why(graph, "P1", "P2", asof=early + timedelta(seconds=1)).table.height == 2
    assert why(build(small(), asof=early), "P1", "P2").headline.startswith("Cannot tell")
    assert why(graph, "P1", "P2", asof="2001-01-01").table.is_empty()


def test_chance_is_what_dealing_the_ties_out_anew_gives() -> None:
    rng = np.random.default_rng(2)
    who, what = rng.integers(0, 300, 900), (150 * rng.random(900) ** 1.4).astype(int)
    seen, expected, claimed, pairs = 0, 0.0, 0, 0
    for _ in range(3):
        rng.shuffle(what)
        facts = Facts(
            people=pl.DataFrame({"person_id": [f"P{i}" for i in range(300)]}),
            phones=pl.DataFrame({"phone_id": [f"T{i}" for i in range(150)], "number": [str(i) for i in range(150)]}),
            associations=pl.DataFrame(
                {
                    "association_id": [f"B{i}" for i in range(900)],
                    "person_id": [f"P{i}" for i in who],
                    "entity_kind": "phone",
                    "entity_id": [f"T{i}" for i in what],
                    "relation": "subscriber",
                }
            ),
        )
        graph = build(facts)
        for a, b in rng.integers(0, 300, (60, 2)):
            if a != b:
                links = why(graph, f"person:P{a}", f"person:P{b}", hops=2, hub=None)
                seen += sum(links.graph.graph["observed"])
                expected += sum(links.graph.graph["expected"])
                claimed += bool(links.table.height and links.graph.graph["by_chance"] <= 0.05)
                pairs += 1
    assert seen == pytest.approx(expected, rel=0.3) and expected > 10
    assert claimed <= 0.05 * pairs + 3 * np.sqrt(0.05 * 0.95 * pairs)


# --- what speaks against -----------------------------------------------------------------------------------------------------------


def contrary(links: Any) -> set[tuple[str, str, str]]:
    return set(links.evidence.filter(pl.col("polarity") == "against").select("kind", "table", "key").iter_rows())


def test_what_speaks_against_is_shown_with_its_rows() -> None:
    graph = build(rich())
    assert ("arrested elsewhere", "arrests", "R2") in contrary(why(graph, "P1", "26-1"))  # 33 km away three minutes later
    assert ("was victim", "involvements", "L3") in contrary(why(graph, "P5", "P1"))
    assert ("not at the same time", "associations", "B2") in contrary(why(graph, "P3", "P4"))
    assert ("read elsewhere", "reads", "r3") in contrary(why(graph, "VAN001", "26-2"))
    eve = why(graph, "P5", "P1")
    assert eve.headline.count("Against: 2 rows, e.g. ") == 1 and "Eve Hart is victim in 26-1, not a suspect" in eve.evidence["text"].to_list()
    assert contrary(why(graph, "P2", "26-1", hops=1)) == set()
    assert [r["key"] for r in why(graph, "P1", "26-1").graph.edges["incident:I1", "person:P1"]["against"]] == ["R2"]


def test_somebody_arrested_shortly_before_for_something_else_may_have_been_held() -> None:
    facts = rich()
    held = replace(
        facts, arrests=pl.concat([facts.arrests, facts.arrests.head(1).with_columns(arrest_id=pl.lit("R3"), incident_id=pl.lit("I3"), arrested_at=at(95))])
    )
    assert ("perhaps in custody", "arrests", "R3") in contrary(why(build(held), "P2", "26-1"))


def test_merged_records_that_contradict_each_other_are_told_and_judgements_count() -> None:
    same = frame("kind record_id entity_id", ("person", "P1", "E1"), ("person", "P1b", "E1"))
    graph = build(rich(), identities=same, judgements=frame("left right verdict by reason", ("person:P1", "person:P1b", "different", "rey", "met both")))
    links = why(graph, "P1b", "P2")
    assert links.centre == "person:E1" and links.graph.nodes["person:E1"]["records"] == ["person:P1", "person:P1b"]
    assert {("different date of birth", "people", "P1b"), ("judged different", "judgements", "0")} <= contrary(links)
    assert "Anna Ortis [person:P1b] is resident of 1 Oak St" in why(graph, "P1", "address:A1").table["text"][0]
    with pytest.raises(BadInput, match="are one thing, 'person:E1'; how"):
        why(graph, "P1", "P1b")


# --- how ---------------------------------------------------------------------------------------------------------------------------


def test_the_steps_of_a_merge_are_told_with_what_taking_them_back_would_change() -> None:
    same = frame("kind record_id entity_id", ("person", "P1", "E1"), ("person", "P1b", "E1"), ("person", "P6", "E1"))
    steps = frame(
        "kind entity_id left right probability reason by at",
        ("person", "E1", "P1", "P1b", 0.91, "name near, birth near", "model", None),
        ("person", "E1", "P1b", "P6", None, "finger print", "rey", at(3)),
    )
    ranking = how(build(rich(), identities=same, steps=steps), "P1b")
    assert ranking.table.select("left", "right", "splits", "statements", "by").rows() == [
        ("person:P1", "person:P1b", 1, 4, "model"),
        ("person:P1b", "person:P6", 1, 0, "rey"),
    ]
    assert "date of birth 1990-01-01" in ranking.table["differs"][0]
    assert ranking.headline.startswith("Ana Ortiz (person:E1) was merged from 3 records by 2 steps, 1 of them a person's judgement; the weakest: person:P1 = ")
    ring = pl.concat(
        [steps, frame("kind entity_id left right probability reason by at", ("person", "E1", "P1", "P6", 0.99, "", "model", None)).cast(steps.schema)]
    )  # type: ignore[arg-type]
    assert how(build(rich(), identities=same, steps=ring), "P1").table["splits"].to_list() == [0, 0, 0]
    assert how(build(rich()), "P1").headline == "Ana Ortiz (person:P1) rests on one record; nothing was merged."
    assert how(build(rich(), identities=same), "P1").headline.startswith("Cannot tell how the 3 records of Ana Ortiz (person:E1) were merged")


def test_an_edge_of_a_case_that_is_both_on_record_and_read_near_says_what_chance_would_give() -> None:
    facts = with_reads(1)
    used = pl.DataFrame({"involvement_id": ["LV"], "incident_id": ["I0"], "entity_kind": ["vehicle"], "entity_id": ["V"], "role": ["used"]})
    facts = replace(
        facts, vehicles=pl.DataFrame({"vehicle_id": ["V"], "plate": ["BAD0001"]}), involvements=pl.concat([facts.involvements.select(used.columns), used])
    )
    table = case.around(facts, "26-0").table
    assert table["base_rate"].null_count() == 0
    both = table.filter(pl.col("label") == "read near, used")
    assert both["source"].to_list() == ["incident:I0"] and "expected by chance" in both["base_rate"][0]


# --- edges of the question ---------------------------------------------------------------------------------------------------------


def test_questions_that_cannot_be_answered_say_what_is_missing() -> None:
    graph = build(rich())
    nothing = why(graph, "P6", "P1")
    assert "no row of any table ties Fay Lone (person:P6) to anything; load the involvements" in nothing.headline and nothing.table.is_empty()
    assert nothing.graph.number_of_nodes() == 2 and nothing.graph.number_of_edges() == 0
    assert build(Facts()).frame.is_empty()
    with pytest.raises(NotFound, match="Nothing is called 'Zed' in the 0 things"):
        why(build(Facts()), "Zed", "P1")
    with pytest.raises(BadInput, match="hops=9 does not do"):
        why(graph, "P1", "P2", hops=9)
    with pytest.raises(BadInput, match="most=0 does not do"):
        why(graph, "P1", "P2", most=0)
    with pytest.raises(BadInput, match="A hub limit of 0 does not do"):
        why(graph, "P1", "P2", hub=0)
    with pytest.raises(BadInput, match="metres=-1 and minutes=30.0 must be over 0"):
        build(rich(), metres=-1)
    with pytest.raises(BadInput, match="The frame of identities has no column 'entity_id'"):
        build(rich(), identities=pl.DataFrame({"kind": ["person"], "record_id": ["P1"]}))
    with pytest.raises(BadInput, match="The person record 'P1' belongs to 2 entities"):
        build(rich(), identities=frame("kind record_id entity_id", ("person", "P1", "E1"), ("person", "P1", "E2")))
    twins = replace(rich(), people=pl.concat([rich().people, rich().people.head(1).with_columns(person_id=pl.lit("P77"))]))
    with pytest.raises(BadInput, match="2 records are called 'Ana Ortiz'"):
        why(build(twins), "Ana Ortiz", "P2")


def test_rows_that_come_twice_count_once() -> None:
    twice = Facts(**{f.name: pl.concat([getattr(rich(), f.name)] * 2) for f in fields(Facts)})
    assert len(build(twice)) == len(build(rich()))


def test_texts_are_numbered_as_a_dictionary_would() -> None:
    rng = np.random.default_rng(1)
    names = pl.Series([f"n{i}" for i in range(500)])
    asked = pl.Series([None if i % 17 == 0 else f"n{rng.integers(0, 600)}" for i in range(2000)], dtype=pl.String)
    place = {n: i for i, n in enumerate(names)}
    assert _codes.numbered(names, asked)[0].tolist() == [place.get(v, -1) if v is not None else -1 for v in asked]
    assert _codes.repeated(pl.Series(["a", "b", "a"])) and not _codes.repeated(names)
    assert _codes.lacking(names, pl.Series(["n1", "x"])) == 1 and _codes.lacking(names, names) == -1


# --- the made-up city --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fairwater(city_path: Path) -> Evidence:
    import workbench as wb

    return build(wb.open_workbench(city_path, case="2026-0142", purpose="investigation", reason="who was near the scenes").facts())


def test_in_the_made_up_city_the_crew_is_tied_more_closely_than_chance_and_the_stops_are_found(fairwater: Evidence, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text(encoding="utf-8"))
    assert set(planted["series"][0]["crew"]["people"].values()) == set(CREW)
    for i, a in enumerate(CREW):
        for b in CREW[:i]:
            links = why(fairwater, f"person:{a}", f"person:{b}")
            assert links.graph.graph["by_chance"] <= 0.05 and links.table.height, links.headline
    one, two = planted["interviews"]["pair"]
    stops = why(fairwater, f"person:{one}", f"person:{two}").evidence.filter(pl.col("kind") == "stopped with")
    cards = {k.rsplit("-", 1)[0] for k in stops["key"].to_list()}
    assert cards == set(planted["interviews"]["crew_together"])
    assert "at most" in why(fairwater, f"person:{one}", f"person:{two}").headline


def test_in_the_made_up_city_random_people_are_seldom_tied_more_closely_than_chance(fairwater: Evidence) -> None:
    rng = np.random.default_rng(8)
    people = fairwater.nodes.filter(pl.col("kind") == "person")["id"].to_list()
    found = [why(fairwater, *(people[i] for i in rng.choice(len(people), 2, replace=False)), hops=2) for _ in range(60)]
    assert sum(bool(links.table.height) for links in found) <= 6


def test_in_the_made_up_city_the_answer_knows_its_tables_and_can_be_asked_again(fairwater: Evidence) -> None:
    links = why(fairwater, f"person:{CREW[1]}", f"person:{CREW[0]}")
    assert links.basis.versions["involvements"] >= 0 and "cannot" not in links.basis.run
    assert links.basis.run["arguments"]["evidence"]["of"] == "workbench.models.links.evidence:build"
    assert links.chart() is not None and "<svg" in links._repr_html_()
    assert {d["kind"] for _, d in links.graph.nodes(data=True)} >= {"person"}

"""A search by description on made-up records, and links written and read: whole processes, imports included, networkx beside them where it has the format."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Descriptions and interchange: 20,000 people on record; 100,000 evidence rows (whole process, imports included)"
_WITNESS = {"age": (25, 35), "height_cm": 180, "weight_kg": 80, "hair": "brown", "eyes": "blue", "marks": "tattoo", "sex": "M"}
_PEOPLE, _INVOLVED, _EDGES = 20_000, 60_000, 100_000

_SEARCH = """
import sys, polars as pl
from workbench.models.links.description import Facts, search
folder = sys.argv[1]
facts = Facts(**{n: pl.read_parquet(f"{folder}/{n}.parquet") for n in ("people", "incidents", "involvements")})
found = search(facts, {"age": (25, 35), "height_cm": 180, "hair": "brown", "eyes": "blue"}, at=(-90.9, 41.6, "2026-06-20T12:00:00-05:00"))
print(found.headline)
"""
_WRITE = """
import sys, polars as pl
from workbench.models.links import interchange
made = interchange.write(pl.read_parquet(sys.argv[1] + "/edges.parquet"), sys.argv[2])
open(sys.argv[1] + "/links." + sys.argv[2], "wb").write(made.data)
"""
_READ = """
import sys
from workbench.models.links import interchange
chart = interchange.read(open(sys.argv[1] + "/links." + sys.argv[2], "rb").read(), sys.argv[2])
assert chart.edges.height == ROWS
""".replace("ROWS", str(_EDGES))
_PEER = """
import sys, networkx as nx, polars as pl
graph = nx.MultiGraph()
for i, row in enumerate(pl.read_parquet(sys.argv[1] + "/edges.parquet").iter_rows(named=True)):
    graph.add_edge(row["source"], row["target"], key=i, kind=row["kind"], table=row["table"], row=row["key"], text=row["text"])
nx.write_graphml_xml(graph, sys.argv[1] + "/theirs.graphml")
"""
_PEER_READ = """
import sys, networkx as nx
assert nx.read_graphml(sys.argv[1] + "/theirs.graphml").number_of_edges() == ROWS
""".replace("ROWS", str(_EDGES))


def _make(folder: Path) -> None:
    import polars as pl

    rng = np.random.default_rng(11)
    start = pl.lit("2022-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    pl.DataFrame({"person_id": [f"P{i}" for i in range(_PEOPLE)], "height_cm": rng.normal(176, 8, _PEOPLE), "hair": rng.choice(["BRO", "BLK", "BLN"], _PEOPLE),
                  "eyes": rng.choice(["BRO", "BLU", "GRN"], _PEOPLE), "days": rng.integers(0, 20_000, _PEOPLE)}).with_columns(
        born_on=pl.date(1950, 1, 1) + pl.duration(days="days")).drop("days").write_parquet(folder / "people.parquet")
    at = np.sort(rng.integers(0, 1_600 * 86_400, _INVOLVED))
    pl.DataFrame({"incident_id": [f"I{i}" for i in range(_INVOLVED)], "seconds": at, "lon": -90.9 + rng.normal(0, 0.05, _INVOLVED),
                  "lat": 41.6 + rng.normal(0, 0.04, _INVOLVED)}).with_columns(started_at=start + pl.duration(seconds="seconds")).drop("seconds").write_parquet(
        folder / "incidents.parquet")
    who = (_PEOPLE * rng.random(_INVOLVED) ** 2).astype(int)
    pl.DataFrame({"involvement_id": [f"L{i}" for i in range(_INVOLVED)], "incident_id": [f"I{i}" for i in range(_INVOLVED)], "entity_kind": "person",
                  "entity_id": [f"P{w}" for w in who], "role": "arrestee"}).write_parquet(folder / "involvements.parquet")
    pl.DataFrame({"source": [f"person:P{i}" for i in rng.integers(0, 20_000, _EDGES)], "target": [f"incident:I{i}" for i in rng.integers(0, 40_000, _EDGES)],
                  "kind": rng.choice(["suspect", "victim"], _EDGES), "table": "involvements", "key": [f"L{i}" for i in range(_EDGES)],
                  "text": "is suspect in 26-1 (BURGLARY)", "strength": rng.random(_EDGES)}).write_parquet(folder / "edges.parquet")


def _city(folder: Path) -> dict[str, Any]:
    """Who was arrested in solved incidents of the made-up city, found by what a witness might have said; the question alone, in this process."""
    from workbench import workspace
    from workbench.models.links import description
    from workbench.session import open_workbench

    made = workspace.create(folder, sample=True)
    for _ in workspace.load_sample(made.path):
        pass
    first = open_workbench(made.path)
    details = first.casebook.case(first.agency.demo_case or "")
    city = first.bind(case=details["case_number"], purpose=details["purpose"], reason=details["reason"])
    facts = city.facts()
    start = time.perf_counter()
    found = description.search(facts, _WITNESS, at=(-90.9, 41.6, city.asof))
    took = time.perf_counter() - start
    bins = found.reliability.filter(found.reliability["leads"] > 0)
    told = "; ".join(f"{100 * r['from']:g} to {100 * r['to']:g} %: {100 * r['right']:.0f} % of {r['leads']:,}" for r in bins.iter_rows(named=True))
    return {"task": "search, made-up city, solved incidents left out", "method": "workbench description.search", "seconds": took,
            "note": f"who was arrested stands in the first ten in {100 * (found.first_ten or 0):.0f} %; of the leads told so likely so many were right: {told}"}


def run() -> list[dict[str, Any]]:
    """One row a task and tool."""
    with tempfile.TemporaryDirectory() as name:
        _make(Path(name))
        rows = [measure(f"search, {_PEOPLE:,} people, chances tested on 300 solved incidents", "workbench description.search", _SEARCH, name)]
        for form in ("graphml", "gexf", "cytoscape", "ftm"):
            rows.append(measure(f"write {form}, {_EDGES:,} evidence rows", "workbench interchange.write", _WRITE, name, form))
            rows.append(measure(f"read {form}, {_EDGES:,} evidence rows", "workbench interchange.read", _READ, name, form))
        rows.append(_city(Path(name, "city")))
        rows.append(measure(f"write graphml, {_EDGES:,} evidence rows", "networkx", _PEER, name))
        rows.append(measure(f"read graphml, {_EDGES:,} evidence rows", "networkx", _PEER_READ, name))
    return rows

"""Links leave for other tools and come back: nothing is lost that the format has room for, and what it has not is said."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.conftest import CASE
from workbench import cli
from workbench.errors import BadInput
from workbench.models.links import case
from workbench.models.links import interchange as ix

#: Formats that hold every character, every time and every further column of the evidence.
WHOLE = ("cytoscape", "csv")
XML = ("graphml", "gexf")
CLEAN = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="".join(map(chr, range(32))) + "\ufffe\uffff"), max_size=12)
HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    st.sampled_from(["=cmd|' /C calc'!A0", "'=1", "''+x", "-5", "@SUM(A1)", "]]>", "<!ENTITY x 'y'>", "a\r\nb\tc",
                     "&#0;", "", '"', "\u2028\u202e", "{}", "null"]),
)
XMLABLE = HOSTILE.map(lambda t: "".join(c for c in t if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff")))
TIMES = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
IDS = ("person:P1", "phone:T 1", "incident:Ü/2", "address:<a>&\"'", "vehicle:AB=1", "thing")


def frames(text: st.SearchStrategy[str]) -> st.SearchStrategy[pl.DataFrame]:
    row = st.fixed_dictionaries({
        "source": st.sampled_from(IDS), "target": st.sampled_from(IDS), "kind": text.filter(bool), "table": st.sampled_from(["involvements", "reads"]),
        "key": text.filter(bool), "at": TIMES, "text": st.none() | text, "strength": st.none() | st.floats(0, 1), "base_rate": st.none() | text.filter(bool),
    })
    schema = {"source": pl.String, "target": pl.String, "kind": pl.String, "table": pl.String, "key": pl.String, "at": pl.Datetime("us", "UTC"),
              "text": pl.String, "strength": pl.Float64, "base_rate": pl.String}
    return st.lists(row, min_size=1, max_size=8).map(lambda rows: pl.DataFrame(rows, schema=schema))


def rows(frame: pl.DataFrame, *without: str) -> list[Any]:
    """Its rows in an order of their own: a link gathers its rows, so their order in the file is another."""
    return sorted(frame.drop(*without).rows(), key=repr)


def back(edges: pl.DataFrame, form: str, **more: Any) -> ix.Chart:
    made = ix.write(edges, form, **more)
    return ix.read(made.files if form == "csv" else made.data, form)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames(HOSTILE), st.sampled_from(WHOLE))
def test_any_text_and_time_comes_back_as_it_went(edges: pl.DataFrame, form: str) -> None:
    chart = back(edges, form)
    wanted = [c for c in edges.columns if c in chart.edges.columns]
    assert rows(chart.edges.select(wanted)) == rows(edges.select(wanted))
    assert all(edges[c].null_count() == edges.height for c in edges.columns if c not in wanted)
    assert set(chart.nodes["id"]) == {*edges["source"], *edges["target"]}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames(XMLABLE), st.sampled_from(XML))
def test_what_xml_can_hold_comes_back_through_xml(edges: pl.DataFrame, form: str) -> None:
    chart = back(edges, form)
    wanted = [c for c in edges.columns if c in chart.edges.columns]
    assert rows(chart.edges.select(wanted)) == rows(edges.select(wanted)) and chart.notes == ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames(CLEAN.map(lambda t: " ".join(t.split()))))
def test_followthemoney_keeps_all_but_fractions_of_seconds(edges: pl.DataFrame) -> None:
    edges = edges.with_columns(pl.col("at").dt.truncate("1s"), pl.col("text").replace("", None))
    chart = back(edges, "ftm")
    wanted = [c for c in edges.columns if c in chart.edges.columns]
    assert rows(chart.edges.select(wanted)) == rows(edges.select(wanted))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames(CLEAN.map(lambda t: " ".join(t.split()))))
def test_an_i2_chart_keeps_things_links_and_cards(edges: pl.DataFrame) -> None:
    edges = edges.filter(pl.col("source") != pl.col("target")).with_columns(pl.col("text").replace("", None))
    if edges.height:
        chart = back(edges, "anx")
        wanted = [c for c in ("source", "target", "kind", "table", "key", "at", "text", "strength")]
        assert rows(chart.edges.select(wanted)) == rows(edges.select(wanted))


def small() -> tuple[pl.DataFrame, pl.DataFrame]:
    at = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    edges = pl.DataFrame({"source": ["person:P1", "person:P1", "incident:I1"], "target": ["phone:T1", "phone:T1", "address:A1"],
                          "kind": ["subscriber", "subscriber", "scene"], "table": ["associations", "interviews", "involvements"], "key": ["B1", "F1", "N1"],
                          "at": [at, None, at], "text": ["a", "b", "c"], "strength": [0.5, None, 1.0], "base_rate": ["1 of 3 phones is shared", None, None]})
    nodes = pl.DataFrame({"id": ["person:P1", "phone:T1", "incident:I1", "address:A1"], "kind": ["person", "phone", "incident", "address"],
                          "label": ["Ana Ortiz", "+15635550100", "26-1", "1 Tower Plaza"], "lon": [None, None, -90.1, -90.2], "lat": [None, None, 41.5, 41.6],
                          "hop": [0, 1, 2, 3], "hub": [False, None, True, False], "p": [0.5, None, 0.25, float("nan")]})
    return edges, nodes


@pytest.mark.parametrize("form", ["graphml", "gexf", "cytoscape"])
def test_things_keep_their_attributes_with_their_types(form: str) -> None:
    edges, nodes = small()
    made = ix.write(edges, form, nodes=nodes)
    assert "1 numbers that are not finite were left empty." in made.notes
    wanted = nodes.with_columns(pl.col("p").fill_nan(None))
    assert ix.read(made.data, form).nodes.select(wanted.columns).equals(wanted)


@pytest.mark.parametrize("form", sorted(ix.FORMATS))
def test_every_file_names_its_case_and_says_that_it_is_a_lead(form: str) -> None:
    edges, nodes = small()
    made = ix.write(edges, form, nodes=nodes, case="2026-0142")
    text = b"".join(made.files.values()).decode()
    assert "2026-0142" in text and "Lead, not a match" in text
    assert "1 of 3 phones is shared" in text or form in ("kml", "geojson")
    assert ix.write(edges, form, nodes=nodes, case="2026-0142").files == made.files, "the same links give the same bytes"


def test_control_characters_are_said_and_ids_stay_apart() -> None:
    edges = pl.DataFrame({"source": ["a\x00", "a\x01", "a\ufffd"], "target": "b", "kind": "k", "table": "t", "key": "1"})
    made = ix.write(edges, "graphml")
    assert any("control characters that XML cannot hold" in n for n in made.notes)
    assert ix.read(made.data, "graphml").edges["source"].n_unique() == 3
    assert back(edges, "cytoscape").edges["source"].to_list() == edges["source"].to_list()


@pytest.mark.parametrize("form", ["kml", "geojson"])
def test_a_file_of_places_counts_what_has_none(form: str) -> None:
    edges, nodes = small()
    made = ix.write(edges, form, nodes=nodes)
    assert any("2 of 4 things and 1 of 2 links were left out" in n for n in made.notes)
    assert "2 of 4 things and 1 of 2 links were left out" in made.data.decode()
    if form == "geojson":
        kinds = [f["geometry"]["type"] for f in json.loads(made.data)["features"]]
        assert kinds == ["Point", "Point", "LineString"]


def test_no_cell_of_the_csv_runs_in_a_spreadsheet() -> None:
    edges = pl.DataFrame({"source": ["=1+1"], "target": ["@x"], "kind": ["+k"], "table": ["t"], "key": ["-1x"], "=bad": ["=evil()"]})
    made = ix.write(edges, "csv")
    for data in made.files.values():
        for line in pl.read_csv(io.BytesIO(data), infer_schema=False, has_header=False).rows():
            assert not [c for c in line if c and c[0] in "=+-@"]
    assert back(edges, "csv").edges["=bad"].to_list() == ["=evil()"]


def test_networkx_reads_our_graphml_and_we_read_its() -> None:
    edges, nodes = small()
    graph = nx.read_graphml(io.BytesIO(ix.write(edges, "graphml", nodes=nodes).data))
    assert graph.nodes["person:P1"]["label"] == "Ana Ortiz" and graph.number_of_edges() == 2
    theirs = nx.MultiDiGraph()
    theirs.add_node("x", label="X", longitude=-90.0, latitude=41.0)
    theirs.add_edge("x", "y", relation="knows", date="2026-06-01T12:00:00", weight=0.5)
    for name, wrote in (("graphml", nx.generate_graphml), ("gexf", nx.generate_gexf)):
        chart = ix.read("\n".join(wrote(theirs)), name, zone="America/Chicago")
        row = chart.edges.row(0, named=True)
        assert (row["source"], row["target"], row["table"]) == ("x", "y", "imported") and row["at"] == datetime(2026, 6, 1, 17, tzinfo=UTC)
        assert chart.nodes.filter(pl.col("id") == "x")["lon"][0] == -90.0
        assert any("without evidence rows" in n for n in chart.notes)
    assert any("name no zone" in n for n in ix.read("\n".join(nx.generate_graphml(theirs)), "graphml").notes)


def test_another_tools_csv_is_known_by_its_usual_headers() -> None:
    chart = ix.read("\ufeffSource,Target,Type,Weight,Comment\na,b,knows,0.5,=x\n".encode(), "csv")
    assert chart.edges.row(0, named=True) | {"Comment": "=x", "kind": "knows", "strength": 0.5} == chart.edges.row(0, named=True)
    with pytest.raises(BadInput, match="edges.csv has no column 'target'"):
        ix.read(b"Source,Taget\na,b\n", "csv")
    with pytest.raises(BadInput, match="row without target"):
        ix.read(b"Source,Target\na,\n", "csv")


def test_links_around_a_case_go_out_with_evidence_and_base_rate(city: Any) -> None:
    links = case.around(city.facts(), city.casebook.subjects("2026-0142")["entity"].to_list())
    for form in ix.READABLE:
        chart = back(links, form, case="2026-0142")
        assert chart.edges.height == links.evidence.height and chart.nodes.height == links.graph.number_of_nodes(), form
        assert chart.edges["table"].null_count() == 0 and (form == "anx" or chart.edges["base_rate"].null_count() == 0)


def test_links_leave_from_the_command_line_for_a_case_only_and_the_audit_says_so(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, asked = ["-w", str(own_city)], [x for k, v in CASE.items() for x in (f"--{k}", v)]
    assert cli.main(["export-links", "graphml", *here, *asked]) == 0
    file = own_city / "out" / "links-2026-0142" / "links.graphml"
    said = capsys.readouterr().out
    chart = ix.read(file.read_bytes(), "graphml")
    assert str(file) in said and "Lead, not a match" in said and chart.about["case"] == "2026-0142" and chart.edges.height > 100
    assert file.stat().st_mode & 0o077 == 0 and [f.name for f in file.parent.iterdir()] == ["links.graphml"]
    city = wb.open_workbench(own_city, **CASE)
    told = json.dumps(city.audit.entries(50).select("action", "phase", "detail").rows(), default=str)
    assert '"export links", "done"' in told and "links.graphml" in told

    to = own_city / "two"
    assert cli.main(["export-links", "csv", "vehicle:YXK8164", "person:P003171", "--to", str(to), *here, *asked]) == 0
    assert {f.name for f in to.iterdir()} == {"nodes.csv", "edges.csv", "about.csv"}
    assert {"vehicle:YXK8164", "person:P003171"} <= set(ix.read({f.name: f.read_bytes() for f in to.iterdir()}, "csv").nodes["id"])

    capsys.readouterr()
    wrong = ((["dot"], "There is no format 'dot' here"), (["csv", "a", "b", "c"], "3 things are named"), (["csv", "person:NOBODY"], "person:NOBODY"))
    for line, words in wrong:
        assert cli.main(["export-links", *line, *here, *asked]) == 1
        assert words in capsys.readouterr().err
    assert cli.main(["export-links", "csv", *here]) == 1
    assert "for a case only" in capsys.readouterr().err
    (own_city / "file").write_text("")
    assert cli.main(["export-links", "csv", "vehicle:YXK8164", "--to", str(own_city / "file" / "x"), *here, *asked]) == 1
    assert "cannot be made: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("form", ix.READABLE)
@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00garbage", b"<a/>", b"[1,2", b"{}",
                                  b'<!DOCTYPE x [<!ENTITY e "boom">]><graphml>&e;</graphml>', b"[" * 100_000])
def test_a_file_that_is_none_is_refused_with_a_sentence(form: str, data: bytes) -> None:
    with pytest.raises(BadInput, match=r"^[A-Z]|csv"):
        ix.read(data, form)


def test_entities_are_not_unfolded() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><graphml><graph><node id="&b;"/></graph></graphml>'
    with pytest.raises(BadInput, match="brings a document type"):
        ix.read(bomb, "graphml")


def test_what_cannot_be_written_is_said() -> None:
    edges, _ = small()
    with pytest.raises(BadInput, match="no format 'grapml' here. Did you mean 'graphml'"):
        ix.write(edges, "grapml")
    with pytest.raises(BadInput, match="no column 'source'"):
        ix.write(edges.drop("source"), "csv")
    with pytest.raises(BadInput, match="have no source or no target"):
        ix.write(edges.with_columns(target=pl.lit(None, dtype=pl.String)), "gexf")
    with pytest.raises(BadInput, match="has no time zone"):
        ix.write(edges.with_columns(at=pl.lit(datetime(2026, 1, 1))), "gexf")
    with pytest.raises(BadInput, match="has no links that can be written"):
        ix.write("links", "gexf")
    with pytest.raises(BadInput, match="is no time zone"):
        ix.read(b"", "csv", zone="Mars/Base")
    assert ix.write(edges.select("source", "target"), "graphml").notes == ("2 of 2 links name no evidence row: nobody can check them.",)
    for form in ix.FORMATS:
        assert ix.write(edges.clear(), form).files

"""Every kind of layer through every medium, and what the widgets are sent."""

from __future__ import annotations

import inspect
import json
import re
import time
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta

import ipyleaflet
import networkx as nx
import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, NotFound
from workbench.geo import Grid, Plane, Polygon
from workbench.layers import KINDS, Areas, Cells, Layer, Lines, Points, Wedges
from workbench.views import charts, figures, leaflet, linkchart, paper, scales, scene, tables, theme, webmap

PLANE = Plane.local(41.6, -90.9)
HOSTILE = '<img src=x onerror="alert(1)">&amp;\'</text><script>alert(2)</script>\x00\x0b'


def degrees(x, y):
    return np.stack(PLANE.to_degrees(np.asarray(x, dtype=float), np.asarray(y, dtype=float)), axis=1)


def cells(n: int = 12, palette: str = "risk", name: str = "Risk", text: str = "") -> Cells:
    grid = Grid(PLANE, -1500, -1500, n, n, 250)
    values = np.random.default_rng(1).gamma(0.5, 1, n * n) - (0.5 if palette == "change" else 0)
    return Cells(
        name,
        grid,
        np.arange(n * n),
        values,
        unit=text or "expected incidents in 7 days",
        tips=(text,) * (n * n) if text else (),
        marked=(0, 1, n),
        palette=palette,
    )


def points(n: int = 11, text: str = "tip", **rest) -> Points:
    at = degrees(np.linspace(-1200, 1200, n), np.linspace(900, -900, n))
    return Points(
        "Points", at[:, 0], at[:, 1], tuple(f"p{i}" for i in range(n)), tips=(text,) * n, kinds=tuple(KINDS[i % len(KINDS)] for i in range(n)), **rest
    )


def lines(role: str = "track", text: str = "a road", name: str = "Lines", **rest) -> Lines:
    return Lines(name, (degrees([-1000, 0, 900], [0, 400, -300]), degrees([0, 10], [0, 500])), ids=("l1", "l2"), tips=(text,) * 2, role=role, **rest)


def areas(role: str = "area", text: str = "12B", name: str = "Areas", values: tuple[float, ...] = ()) -> Areas:
    ring = degrees([-1000, 1000, 1000, -1000, -1000], [-800, -800, 800, 800, -800])
    hole = degrees([-200, 200, 200, -200, -200], [-200, -200, 200, 200, -200])
    return Areas(
        name,
        (Polygon((ring, hole), text), Polygon((hole,), text)),
        ids=("a1", "a2"),
        tips=(text,) * 2,
        role=role,
        values=values,
        unit="calls",
        palette="change",
    )


def wedges(text: str = "camera") -> Wedges:
    at = degrees([0, 500], [0, 500])
    return Wedges("Wedges", at[:, 0], at[:, 1], np.array([0.0, 90.0]), np.array([60.0, 360.0]), np.array([300.0, 200.0]), ids=("w1", "w2"), tips=(text,) * 2)


def base() -> tuple[Layer, ...]:
    return lines("river", name="River"), lines("street", name="Streets", weights=(1.0, 4.0)), lines("bridge", name="Bridges"), areas("beat", name="Beats")


EVERY = {
    "cells": cells(), "change": cells(palette="change"), "plain": cells(palette="plain"), "points": points(), "weighted": points(weights=np.arange(11.0)),
    "numbered": points(numbers=tuple(range(1, 12))), "track": lines("track", arrows=True), "link": lines("link", weights=(1.0, 9.0)), "street": lines("street"),
    "river": lines("river"), "bridge": lines("bridge"), "area": areas(), "beat": areas("beat"), "valued": areas(values=(-3.0, 4.0)), "wedges": wedges(),
}  # fmt: skip


def flat(text: str) -> ET.Element:
    return ET.fromstring(text)


# --- every kind through every medium ---


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_of_layer_is_drawn_by_all_three_media(kind):
    layer = EVERY[kind]
    head, body = scene.read(scene.scene((layer,), base()))
    described = head["layers"][-1]
    assert described["name"] == layer.name and not described["base"]
    assert all(
        ref[1] + 8 <= len(body) + 8 and ref[1] % 8 == 0
        for ref in described.values()
        if isinstance(ref, list) and len(ref) == 3 and ref[0] in ("f8", "f4", "i4", "u1", "u4")
    )
    drawing, empty = paper.svg((layer,), base=base()), paper.svg((), base=base())
    assert len(list(flat(drawing).iter())) > len(list(flat(empty).iter()))
    chart = leaflet.draw((layer,), base=base())
    assert layer.name in [part.name for part in chart.layers]


def test_all_layers_together_fit_on_one_map():
    together = (cells(), areas(values=(1.0, 2.0)), lines(arrows=True), points(), wedges())
    assert len(scene.read(scene.scene(together, base()))[0]["layers"]) == 9
    assert flat(paper.svg(together, base=base(), title="Everything")).tag.endswith("svg")
    assert len(leaflet.draw(together, base=base()).layers) > 8


@pytest.mark.parametrize("role", ["street", "river", "bridge", "track", "link"])
def test_every_role_of_lines_has_a_look_of_its_own(role):
    looks = {r: paper._line_style(r, paper.Frame(-91, 41.5, -90.8, 41.7, 600, 600, 0)) for r in ("street", "river", "bridge", "track", "link")}
    assert sum(look == looks[role] for look in looks.values()) == 1


def test_a_map_in_a_notebook_asks_for_no_tile():
    chart = leaflet.draw((cells(), points()), base=base())
    assert not [
        layer for layer in chart.layers if isinstance(layer, (ipyleaflet.TileLayer, ipyleaflet.RasterLayer)) and "http" in str(getattr(layer, "url", ""))
    ]
    state = json.dumps([{k: v for k, v in layer.get_state().items() if k in ("url", "data")} for layer in chart.layers], default=str)
    assert "http" not in state


def test_a_click_in_a_notebook_reaches_python_with_layer_and_id():
    got: list[str] = []
    chart = leaflet.draw((cells(), points()), picked=got.append)
    by_name = {part.name: part for part in chart.layers}
    risk = by_name["Risk"].layers[0]
    risk._handle_mouse_events(None, {"event": "click", "feature": risk.data["features"][3]}, None)
    spot = by_name["Points"]
    spot._handle_mouse_events(None, {"event": "click", "feature": spot.data["features"][2]}, None)
    assert got == [f"Risk|{risk.data['features'][3]['properties']['at']}", "Points|p2"]


def test_many_cells_become_one_image_on_paper_and_in_the_notebook():
    many = cells(150)
    drawing = flat(paper.svg((many,)))
    images = [e for e in drawing.iter() if e.tag.endswith("image")]
    assert len(images) == 1 and next(v for k, v in images[0].items() if k.endswith("href")).startswith("data:image/png;base64,")
    assert any(isinstance(part, ipyleaflet.ImageOverlay) for part in leaflet.draw((many,)).layers[-1].layers)
    assert scene.read(scene.scene((many,)))[0]["layers"][0]["image"] is True


def test_very_many_points_are_counted_in_python_and_labelled_so():
    rng = np.random.default_rng(2)
    at = degrees(rng.normal(0, 2000, 12_000), rng.normal(0, 2000, 12_000))
    many = Points("Reads", at[:, 0], at[:, 1], tuple(map(str, range(12_000))), kind="read")
    packet = scene.scene((many,))
    described = scene.read(packet)[0]["layers"][0]
    assert described["type"] == "cells" and described["note"].startswith("12,000 points, counted in squares of")
    assert len(packet) < 200_000
    assert int(figures.counted(many)[0].values.sum()) == 12_000
    assert "counted in squares of" in paper.svg((many,))


# --- text stays text ---


def test_hostile_text_is_inert_on_paper():
    layers = (cells(text=HOSTILE, name=HOSTILE), areas(text=HOSTILE, name=HOSTILE + "2"), points(text=HOSTILE))
    drawing = flat(paper.svg(layers, base=base(), title=HOSTILE))
    assert not [e for e in drawing.iter() if e.tag.rpartition("}")[2] in ("script", "img", "foreignObject")]
    assert not [a for e in drawing.iter() for a in e.attrib if a.startswith("on")]


def test_hostile_text_is_inert_in_the_notebook_map():
    chart = leaflet.draw((cells(text=HOSTILE, name=HOSTILE), points(text=HOSTILE)), base=base())
    assert not any("<" in part.name for part in chart.layers)
    boxes = [c.widget for c in chart.controls if isinstance(c, ipyleaflet.WidgetControl)]
    assert not any("<script" in b.value or "<img" in b.value for b in boxes)
    assert {type(b).__name__ for b in boxes} == {"HTML", "Label"}, "tips go into a Label, which takes no markup"


def test_hostile_text_is_inert_in_tables():
    shown = tables.html(pl.DataFrame({HOSTILE: [HOSTILE], "n": [1]})) + tables.basis_html([(HOSTILE, HOSTILE)])
    assert "<script" not in shown and "<img" not in shown and "&lt;script" in shown


def test_our_scripts_never_write_markup(root):
    for source in sorted((root / "js" / "src").glob("*.js")):
        text = source.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|bindTooltip|bindPopup|eval\(", text), source.name


def test_the_built_scripts_carry_their_licences_and_name_no_other_machine_to_load_from():
    folder = webmap.SCRIPT.parent
    licences = (folder / "LICENSES.txt").read_text()
    for package in ("leaflet 1.9.4", "cytoscape 3", "cytoscape-fcose 2", "cose-base", "layout-base"):
        assert package in licences
    for script in (webmap.SCRIPT, linkchart.SCRIPT):
        text = script.read_text()
        assert "import(" not in text and "unpkg" not in text and "jsdelivr" not in text and "sourceMappingURL" not in text


# --- what travels ---


def test_recolouring_sends_only_values_and_is_quick():
    grid = Grid(PLANE, 0, 0, 100, 50, 100)
    drawn = webmap.Drawn()
    geometry = drawn.show((Cells("Risk", grid, np.arange(5000), np.random.default_rng(0).random(5000)),), base())
    start = time.perf_counter()
    packet = drawn.recolour("Risk", np.random.default_rng(1).random(5000))
    assert time.perf_counter() - start < 0.1
    head, _ = scene.read(packet)
    assert set(head["layers"][0]) == {"name", "scale", "values", "tips"} and head["edition"] == 1
    assert len(packet) < 5000 * 4 + 1500 < len(geometry)


def test_recolouring_one_layer_keeps_the_new_values_of_another():
    drawn = webmap.Drawn()
    drawn.show((cells(), areas(values=(1.0, 2.0))))
    drawn.recolour("Risk", np.ones(144))
    head, _ = scene.read(drawn.recolour("Areas", (3.0, 4.0)))
    assert [part["name"] for part in head["layers"]] == ["Risk", "Areas"]
    drawn.show((cells(),))
    assert [part["name"] for part in scene.read(drawn.recolour("Risk", np.zeros(144)))[0]["layers"]] == ["Risk"]


def test_points_without_a_position_are_not_sent_but_counted():
    layer = Points("Points", np.array([-90.9, np.nan]), np.array([41.6, 41.7]), ("a", "b"))
    described = scene.read(scene.scene((layer,)))[0]["layers"][0]
    assert described["ids"] == ["a"] and described["missing"] == 1


def test_both_faces_of_a_widget_load_the_same_script():
    from workbench.views.widgets_jupyter import JupyterLinkChart

    assert webmap.WebMap._bundle == webmap.SCRIPT and linkchart.LinkChart._bundle == linkchart.SCRIPT
    assert str(webmap.JupyterMap._esm) == webmap.SCRIPT.read_text()
    assert str(JupyterLinkChart._esm) == linkchart.SCRIPT.read_text()


def test_the_map_widget_shows_and_recolours():
    chart = webmap.WebMap((cells(),), base=base(), height=400)
    first = chart.scene
    chart.recolour("Risk", np.ones(144))
    assert chart.scene is first and scene.read(chart.values)[0]["layers"][0]["name"] == "Risk"
    chart.show((points(),))
    assert chart.values == b"" and [layer["name"] for layer in scene.read(chart.scene)[0]["layers"]] == ["River", "Streets", "Bridges", "Beats", "Points"]


# --- shapes ---


def test_the_outline_of_marked_cells_leaves_out_the_edges_between_them():
    grid = Grid(PLANE, 0, 0, 5, 5, 100)
    assert len(figures.outline(grid, (6, 7, 11, 12))) == 4
    assert len(figures.outline(grid, (6,))) == 4 and len(figures.outline(grid, (6, 18))) == 8
    assert figures.outline(grid, ()) == []


def test_a_sector_reaches_as_far_as_it_says_in_its_direction():
    ring = figures.sectors(wedges())[0]
    x, y = PLANE.to_metres(ring[:, 0], ring[:, 1])
    far = np.hypot(x, y)
    assert far.max() == pytest.approx(300, rel=1e-3) and far[0] == far[-1] == pytest.approx(0, abs=1e-6)
    assert (y >= -1e-6).all() and np.abs(np.degrees(np.arctan2(x[1:-1], y[1:-1]))).max() == pytest.approx(30, abs=0.1)


def test_a_name_is_set_inside_its_area_even_when_the_middle_is_a_hole():
    area = areas().polygons[0]
    lon, lat = figures.label_place(area)
    assert area.contains(np.array([lon]), np.array([lat])).all()


# --- colours ---


def test_classes_of_risk_have_rising_limits_and_nothing_expected_is_not_painted():
    values = np.concatenate([np.zeros(50), np.random.default_rng(0).gamma(0.4, 1, 2000)])
    scale = scales.scale_of(values, "risk", "per week")
    assert list(scale.breaks) == sorted(set(scale.breaks)) and len(scale.colours) == len(scale.breaks) + 1 == len(scale.labels) == len(scale.dark)
    assert (scale.classes(values)[:50] == scales.BLANK).all() and scale.classes([np.nan])[0] == scales.BLANK
    assert scale.classes([max(values)])[0] == len(scale.colours) - 1


def test_change_is_symmetric_about_nothing():
    scale = scales.scale_of(np.linspace(-8, 20, 300), "change")
    assert list(scale.breaks) == [-b for b in reversed(scale.breaks)] and scale.labels[len(scale.labels) // 2] == "about the same"
    middle = len(scale.colours) // 2
    assert scale.classes([0.0])[0] == middle


def test_few_whole_numbers_get_a_class_each():
    assert scales.scale_of([0, 1, 2, 3, 1]).labels == ("1", "2", "3")
    assert scales.scale_of([0, 0]).labels == ("none",)


@pytest.mark.parametrize("dark", [False, True])
def test_lightness_of_the_risk_ramp_moves_one_way_only(dark):
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(theme.rgb, theme.ramp("risk", 9, dark))]
    steps = np.diff(light)
    assert (steps > 0).all() if dark else (steps < 0).all()


def test_kinds_have_distinct_colours_and_icons():
    assert set(KINDS) <= set(theme.KIND)
    assert len({k.colour for k in theme.KIND.values()}) == len({k.icon for k in theme.KIND.values()}) == len(theme.KIND)
    assert theme.kind("boat").word == "Boat"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.12345, "0.123"), (1234.5, "1,234"), (float("nan"), "-"), (0.0000123, "1.2e-05"), (3.0, "3"), (-0.5, "-0.5"), (99.96, "100")],
)
def test_numbers_are_written_for_people(value, shown):
    assert scales.number(value) == shown


# --- paper ---


def test_a_paper_map_has_legend_scale_and_north_and_names_that_do_not_collide():
    text = paper.svg((cells(),), base=base(), title="Where next")
    words = ["".join(e.itertext()) for e in flat(text).iter() if e.tag.endswith("text")]
    assert "Where next" in words and "N" in words and any(" km" in w or " m (" in w for w in words) and "Risk" in words
    room = paper.Labels(100, 0, 100)
    assert room.claim(10, 10, 20, 10) and not room.claim(15, 12, 20, 10) and not room.claim(95, 10, 20, 10)


def test_a_paper_map_uses_plain_svg_only():
    text = paper.svg(tuple(EVERY[k] for k in ("cells", "points", "track", "valued", "wedges")), base=base())
    assert not any(word in text for word in ("var(", "foreignObject", "<style", "http://www.w3.org/1999/xhtml", "url(http"))
    assert theme.FONT in text


def test_nothing_to_draw_gives_a_drawing_that_says_so():
    assert "Nothing to show" in paper.svg(())
    far = Points("P", np.array([np.nan]), np.array([np.nan]), ("a",))
    assert "Nothing to show" in paper.svg((far,))
    assert scene.read(scene.scene((far,)))[0]["bounds"] is None


def test_one_point_makes_a_map_of_its_surroundings():
    text = paper.svg((Points("P", np.array([-90.9]), np.array([41.6]), ("a",)),), width=300)
    assert "nan" not in text and "inf" not in text and flat(text) is not None


# --- tables and charts ---


def test_a_table_sets_numbers_right_and_says_how_many_rows_are_left():
    frame = pl.DataFrame(
        {"plate": [f"ABC{i}" for i in range(20)], "n": range(20), "read_at": [datetime(2026, 7, 1, 3, tzinfo=UTC)] * 20, "batch_id": ["x"] * 20}
    )
    shown = tables.html(frame, rows=5, zone="America/Chicago")
    assert shown.count("<tr>") == 6 and "15 more rows" in shown and "2026-06-30 22:00" in shown and "batch" not in shown.lower()
    assert "text-align:right" in shown and ">Read<" in shown
    assert "No rows" in tables.html(frame.clear())


def test_values_in_tables_are_written_for_people():
    assert [tables.text(v) for v in (None, True, 12345, 0.25, timedelta(hours=30), timedelta(minutes=5), [1, 2], date(2026, 7, 1))] == [
        "", "yes", "12,345", "0.25", "1 d 6 h", "5 min", "1, 2", "2026-07-01"]  # fmt: skip


def scores() -> pl.DataFrame:
    rows = [
        {"model": m, "origin": datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=w), "share": s, "measure": k, "value": v + w / 100}
        for m, v in (("kde", 0.2), ("counts", 0.1)) for w in range(6) for s in (0.01, 0.02, 0.05) for k in ("hit_rate", "pai")
    ]  # fmt: skip
    return pl.DataFrame(rows)


def events() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"id": f"e{i}", "at": datetime(2026, 6, 1, i, tzinfo=UTC), "kind": KINDS[i % 3], "label": HOSTILE.replace("\x00", "").replace("\x0b", "")}
            for i in range(9)
        ]
    )


def test_every_chart_becomes_svg_without_a_browser():
    week = pl.DataFrame([{"week": date(2026, 1, 5) + timedelta(weeks=i), "count": i, "expected": 3.0, "lower": 1.0, "upper": 6.0} for i in range(9)])
    made = [
        charts.backtest(scores()), charts.backtest(scores(), measure="pai", share=0.05, dark=True), charts.hit_rate_curve(scores()),
        charts.timeline(events(), width=500), charts.by_hour(events(), time="at", zone="America/Chicago", week_start="Sunday"),
        charts.weekly(week, title="A week"), charts.weekly(week.select("week", "count")),
        charts.against(pl.DataFrame({"label": ["Burglary"], "count": [3], "expected": [5.0]})), charts.timeline(events().clear(), width=300),
    ]  # fmt: skip
    for chart in made:
        drawing = charts.svg(chart)
        assert flat(drawing).tag.endswith("svg") and "<script" not in drawing


def test_every_public_chart_is_in_that_list():
    public = {n for n, f in inspect.getmembers(charts, inspect.isfunction) if f.__module__ == charts.__name__ and not n.startswith("_")}
    assert public == {"svg", "backtest", "hit_rate_curve", "timeline", "by_hour", "weekly", "against"}


def test_a_click_on_the_timeline_is_a_selection_of_ids():
    import panel as pn

    pane = pn.pane.Vega(charts.timeline(events(), selected=["e3"]))
    assert charts.PICKED in pane.selection.param
    spec = charts.timeline(events()).to_dict()
    assert any(p.get("name") == charts.PICKED and p["select"]["fields"] == ["id"] for p in spec["params"])


def test_a_timeline_shows_the_agencys_clock():
    spec = charts.timeline(events(), zone="America/Chicago").to_dict()
    assert "2026-05-31T19:00:00" in json.dumps(spec)


def test_a_chart_in_a_saved_page_is_a_drawing_without_a_request():
    bundle = charts.backtest(scores())._repr_mimebundle_()
    shown = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "image/svg+xml" in shown and "cdn" not in json.dumps(shown)


# --- the link chart ---


def graph() -> nx.Graph:
    g = nx.Graph()
    g.add_node("case:1", kind="case", label="2026-0142")
    g.add_node("person:9", kind="person", label=HOSTILE)
    g.add_node("boat:1", label="Sea Breeze")
    g.add_edge(
        "case:1",
        "person:9",
        id="e1",
        kind="suspect",
        label="suspect",
        weight=3,
        evidence=[{"table": "involvements", "key": "i1", "text": "report 26-1: suspect"}] * 6,
    )
    g.add_edge("person:9", "boat:1", weight=float("nan"))
    return g


def test_a_graph_becomes_the_same_elements_whatever_its_order():
    nodes, edges = linkchart.elements(graph(), "case:1")
    turned = nx.Graph()
    turned.add_nodes_from(reversed(list(graph().nodes(data=True))))
    turned.add_edges_from(graph().edges(data=True))
    assert [n["id"] for n in nodes] == [n["id"] for n in linkchart.elements(turned, "case:1")[0]] == ["boat:1", "case:1", "person:9"]
    assert nodes[0]["kind"] == "boat" and next(n for n in nodes if n["id"] == "case:1")["centre"]
    assert [e["weight"] for e in edges] == [3.0, 1.0] and "and 2 more" in edges[0]["tip"]


def test_the_link_chart_drops_from_the_selection_what_is_gone():
    chart = linkchart.LinkChart(graph())
    chart.selected = ["case:1", "e1"]
    smaller = graph()
    smaller.remove_node("person:9")
    chart.show(smaller)
    assert chart.selected == ["case:1"] and {n["id"] for n in scene.read(chart.scene)[0]["nodes"]} == {"case:1", "boat:1"}
    assert linkchart.chart(graph(), centre="case:1").chart_height == 520


# --- errors say what is wrong ---


def test_errors_say_what_was_wrong_and_what_would_be_right():
    drawn = webmap.Drawn()
    drawn.show((cells(), points()))
    for act, error, words in [
        (lambda: drawn.recolour("Rsk", np.ones(144)), NotFound, "Did you mean 'Risk'"),
        (lambda: drawn.recolour("Points", np.ones(11)), BadInput, "has no values"),
        (lambda: drawn.recolour("Risk", np.ones(3)), BadInput, "3 values for the 144 features"),
        (lambda: scene.check((cells(), cells())), BadInput, "Two layers are called 'Risk'"),
        (lambda: paper.svg(("x",)), BadInput, "str cannot be drawn"),
        (lambda: paper.svg((cells(),), width=20), BadInput, "too small"),
        (lambda: scales.scale_of([1.0], "rsk"), BadInput, "Did you mean 'risk'"),
        (lambda: linkchart.elements({}), BadInput, "dict is not a graph"),
        (lambda: linkchart.elements(graph(), "case:2"), NotFound, "Did you mean 'case:1'"),
        (lambda: charts.backtest(scores(), measure="pay"), BadInput, "Did you mean 'pai'"),
        (lambda: charts.backtest(scores(), share=0.3), BadInput, "0.01, 0.02, 0.05"),
        (lambda: charts.timeline(scores()), BadInput, "no column 'id'"),
        (lambda: charts.by_hour(events(), time="at", week_start="Funday"), BadInput, "not a weekday"),
    ]:
        with pytest.raises(error, match="(?s)" + words.replace("(", r"\(")):
            act()

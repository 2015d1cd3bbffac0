"""The two widgets in a real Chromium: what is drawn, what a click sends to Python, that text stays text, and that nothing of a session remains."""

from __future__ import annotations

import base64
import gc
import json
import socket
import weakref
from typing import Any

import networkx as nx
import numpy as np
import panel as pn
import pytest

from workbench.geo import Grid, Plane, Polygon
from workbench.layers import Areas, Cells, Lines, Points
from workbench.views import linkchart, webmap
from workbench.views.linkchart import LinkChart
from workbench.views.webmap import WebMap

pytestmark = pytest.mark.browser

PLANE = Plane.local(41.6, -90.9)
HOSTILE = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>'
GRID = Grid(PLANE, -5000, -2500, 100, 50, 100)
DRAWN = ".wb-map canvas >> nth=0"

#: Where a node lies on the page.
NODE = "(e, id) => { const p = e.chart.cy.$id(id).renderedPosition(), b = e.getBoundingClientRect(); return [b.x + p.x, b.y + p.y]; }"


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.6, 1, len(GRID))


def layers(name: str = "Risk") -> tuple[Any, ...]:
    at = np.stack(PLANE.to_degrees(np.array([-3000.0, 3000.0]), np.array([1500.0, -1500.0])), axis=1)
    return (
        Cells(name, GRID, np.arange(len(GRID)), values(0), unit="expected incidents", marked=(10, 11)),
        Points("Incidents", at[:, 0], at[:, 1], ("i1", "i2"), tips=(f"Burglary {HOSTILE}", "Robbery")),
    )


def ground() -> tuple[Any, ...]:
    line = np.stack(PLANE.to_degrees(np.linspace(-5000, 5000, 9), np.zeros(9)), axis=1)
    return Lines("Streets", (line,), tips=("Main Street",), role="street"), Areas("Beats", (Polygon.box(*GRID_BOX, name="1A"),), role="beat")


GRID_BOX = (-90.95, 41.58, -90.85, 41.62)


def graph() -> nx.Graph:
    g = nx.Graph(centre="case:1")
    g.add_node("case:1", kind="case", label="2026-0142")
    for i in range(12):
        g.add_node(f"person:{i}", kind="person", label=HOSTILE if i == 0 else f"Person {i}")
        g.add_edge("case:1" if i < 5 else f"person:{i - 5}", f"person:{i}", id=f"e{i}", kind="suspect", label="suspect", weight=i + 1)
    return g


def at_cell(page: Any, cell: int) -> tuple[float, float]:
    """Where the middle of a cell lies on the page."""
    lon, lat = (float(v[cell]) for v in GRID.centres())
    return at_place(page, lon, lat)


def at_place(page: Any, lon: float, lat: float) -> tuple[float, float]:
    box = page.locator(".wb-map").bounding_box()
    x, y = page.locator(".wb-map").evaluate("(e, p) => { const q = e.chart.map.latLngToContainerPoint(p); return [q.x, q.y]; }", [lat, lon])
    return box["x"] + x + 1, box["y"] + y + 1


def answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def shown(open_page, serve_here):
    """``shown(make)`` serves what ``make`` returns, opens it, and gives the page and the objects made for it.

    ``page.session`` is the session's document: what Python changes after the page sent something is changed there (``add_next_tick_callback``), since a change
    from another thread while Panel still works on the page's message is held for an echo of it and is not sent.
    """

    def opened(make, wait: str = DRAWN):
        kept: list[Any] = []
        page = open_page(serve_here(lambda: kept.append((make(), pn.state.curdoc)) or kept[-1][0]), width=1100, height=720)
        page.locator(wait).wait_for(state="attached")
        page.session = kept[-1][1]
        return page, kept[-1][0]

    return opened


def test_a_click_on_a_cell_and_on_a_point_reaches_python_also_when_it_is_the_same_again(shown, until):
    page, chart = shown(lambda: WebMap(layers(), base=ground()))
    got: list[str] = []
    chart.param.watch(lambda event: got.append(event.new), "picked")
    page.mouse.click(*at_cell(page, 2525))
    until(lambda: chart.picked == "Risk|2525", what="the click on the cell")
    page.wait_for_timeout(600)
    page.mouse.click(*at_cell(page, 2525))
    until(lambda: got == ["Risk|2525", "", "Risk|2525"], what="the second click")
    page.wait_for_timeout(700)
    lon, lat = PLANE.to_degrees(3000.0, -1500.0)
    page.mouse.click(*at_place(page, float(lon), float(lat)))
    until(lambda: chart.picked == "Incidents|i2", what="the click on the point")
    page.mouse.click(*at_place(page, -90.9, 41.5745))
    until(lambda: chart.picked == "", what="the click beside everything")


def test_recolouring_repaints_five_thousand_cells_quickly_and_sends_no_geometry(shown, until):
    page, chart = shown(lambda: WebMap(layers(), base=ground()))
    box = page.locator(".wb-map")
    box.evaluate("e => { e.kept = e.chart.layers; e.before = e.chart.data._container.toDataURL(); }")
    chart.recolour("Risk", values(7))
    until(lambda: box.evaluate("e => e.before !== e.chart.data._container.toDataURL()"), what="the new colours")
    assert box.evaluate("e => e.kept === e.chart.layers"), "the layers were built anew"
    once = "(() => { const t = performance.now(); e.chart.recolour(false); e.chart.data.redraw(); return performance.now() - t; })"
    took = box.evaluate(f"e => Math.min(...Array.from({{length: 5}}, {once}))")
    assert took <= 100, f"{took:.0f} ms"


def test_hostile_text_in_tips_names_and_labels_stays_text(shown, until):
    page, _ = shown(lambda: pn.Column(WebMap(layers(HOSTILE), height=330), LinkChart(graph(), height=330)))
    page.locator(".wb-chart canvas").first.wait_for(state="attached")
    lon, lat = PLANE.to_degrees(-3000.0, 1500.0)
    page.mouse.move(*at_place(page, float(lon), float(lat)))
    until(lambda: HOSTILE in (page.locator(".wb-map .wb-tip").text_content() or ""), what="the tooltip")
    assert HOSTILE in page.locator(".wb-map .wb-panel").text_content()
    page.mouse.move(*page.locator(".wb-chart").evaluate(NODE, "person:0"))
    until(lambda: HOSTILE in (page.locator(".wb-chart .wb-tip").text_content() or ""), what="the tooltip of the node")
    assert page.locator(".wb-map img, .wb-map script, .wb-chart img, .wb-chart script").count() == 0
    assert page.evaluate("window.evil") is None


def test_python_chooses_what_is_emphasised_and_the_map_goes_there(shown, until):
    page, chart = shown(lambda: WebMap(layers(), base=ground()))
    box = page.locator(".wb-map")
    box.evaluate("e => e.chart.map.setView([41.7, -91.2], 15, {animate: false})")
    chart.selected = ["i1", "Risk|77"]
    until(lambda: box.evaluate("e => e.chart.chosen.length") == 2, what="the emphasis")
    until(lambda: box.evaluate("e => e.chart.map.getBounds().contains([41.6, -90.9])"), what="the move")


def test_the_map_is_zoomed_and_moved_by_keys_and_its_layers_are_switched(shown, until):
    page, _ = shown(lambda: WebMap(layers(), base=ground()))
    box = page.locator(".wb-map")
    zoom = box.evaluate("e => e.chart.map.getZoom()")
    page.locator(".wb-map .leaflet-container").focus()
    page.keyboard.press("+")
    until(lambda: box.evaluate("e => e.chart.map.getZoom()") > zoom, what="the zoom")
    page.locator(".wb-map label", has_text="Risk").locator("input").uncheck()
    assert box.evaluate("e => e.chart.layers.find(l => l.name === 'Risk').visible") is False
    assert page.locator(".wb-map .leaflet-control-scale-line").count() == 2


def test_the_page_follows_dark_and_light(shown, until):
    page, chart = shown(lambda: WebMap(layers(), dark=True))
    box = page.locator(".wb-map")
    dark = box.evaluate("e => getComputedStyle(e).getPropertyValue('--land')")
    chart.dark = False
    until(lambda: box.evaluate("e => getComputedStyle(e).getPropertyValue('--land')") != dark, what="the light scheme")


def test_the_link_chart_selects_both_ways_asks_to_expand_and_always_lies_the_same(shown, until):
    page, chart = shown(lambda: LinkChart(graph()), wait=".wb-chart canvas >> nth=0")
    box = page.locator(".wb-chart")
    page.mouse.click(*box.evaluate(NODE, "person:3"))
    until(lambda: chart.selected == ["person:3"], what="the selection in Python")
    page.session.add_next_tick_callback(lambda: setattr(chart, "selected", ["person:1", "e1"]))
    until(lambda: box.evaluate("e => e.chart.cy.$(':selected').map(x => x.id()).sort().join()") == "e1,person:1", what="the selection on the page")
    page.wait_for_timeout(400)
    page.mouse.dblclick(*box.evaluate(NODE, "person:2"))
    until(lambda: chart.expand == "person:2", what="the wish to expand")
    lie = "e => JSON.stringify(e.chart.cy.nodes().map(n => [n.id(), Math.round(n.position('x')), Math.round(n.position('y'))]))"
    first = box.evaluate(lie)
    box.evaluate("e => e.chart.arrange(true)")
    assert box.evaluate(lie) == first
    larger = graph()
    larger.add_node("phone:1", kind="phone", label="555")
    larger.add_edge("phone:1", "person:2", id="new", kind="owner", label="owner", weight=1)
    chart.show(larger)
    until(lambda: box.evaluate("e => e.chart.cy.nodes().length") == 14, what="the new node")
    before, after = ({k: (x, y) for k, x, y in json.loads(t)} for t in (first, box.evaluate(lie)))
    moved = {k: (before[k], after[k]) for k in before if max(abs(before[k][0] - after[k][0]), abs(before[k][1] - after[k][1])) > 2}
    assert not moved, "what was there stays where it was"


def test_nothing_of_a_closed_session_is_kept(open_page, until):
    kept: list[weakref.ref[Any]] = []

    def app() -> pn.viewable.Viewable:
        chart, links = WebMap(layers(), base=ground(), height=300), LinkChart(graph(), height=300)
        kept.extend(weakref.ref(thing) for thing in (chart, links, chart._drawn))
        return pn.Column(chart, links)

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = pn.serve({"/": app}, port=port, address="127.0.0.1", show=False, threaded=True, verbose=False, websocket_origin="*",
                      check_unused_sessions_milliseconds=300, unused_session_lifetime_milliseconds=4000)  # fmt: skip
    try:
        until(lambda: answers(port), what="the server")
        page = open_page(f"http://127.0.0.1:{port}/")
        page.locator(DRAWN).wait_for(state="attached")
        assert any(ref() is not None for ref in kept)
        page.close()
        until(lambda: gc.collect() is not None and all(ref() is None for ref in kept), seconds=30, what="letting go of the session")
    finally:
        server.stop()


@pytest.mark.parametrize("script", [webmap.SCRIPT, linkchart.SCRIPT], ids=["map", "link chart"])
def test_the_notebook_face_draws_what_python_holds_once_it_has_a_size_and_leaves_nothing_behind(page, until, script):
    widget = webmap.JupyterMap(layers(), base=ground()) if script == webmap.SCRIPT else linkchart.chart(graph())
    state = {k: v for k, v in widget.get_state().items() if k in ("picked", "selected", "expand", "dark", "map_height", "chart_height")}
    packet = base64.b64encode(bytes(widget.scene)).decode()
    page.set_content("<div id=place style='width:800px;display:none'></div>")
    page.evaluate(
        """async ([code, state, packet]) => {
            const bytes = Uint8Array.from(atob(packet), c => c.charCodeAt(0)), heard = new Map();
            const held = { ...state, scene: new DataView(bytes.buffer), values: new DataView(new ArrayBuffer(0)) };
            const model = { get: k => held[k], set: (k, v) => { held[k] = v; }, save_changes() {}, on: (k, f) => heard.set(k, f), off: k => heard.delete(k) };
            const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), face = await import(url);
            window.heard = heard; window.leave = await face.default.render({ model, el: document.getElementById('place') });
        }""",
        [script.read_text(), state, packet],
    )
    page.wait_for_timeout(200)
    assert page.locator("#place canvas").count() == 0, "nothing is drawn into what has no size"
    page.evaluate("document.getElementById('place').style.display = ''")
    page.locator("#place canvas").first.wait_for(state="attached")
    assert page.evaluate("heard.size") >= 4
    page.evaluate("leave()")
    assert page.evaluate("document.getElementById('place').children.length + heard.size") == 0

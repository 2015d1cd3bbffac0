"""The apps as a person meets them: real Chromium, the real server, the made-up city."""

from __future__ import annotations

import gc
import logging
import re
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from workbench.apps import find, listed, names
from workbench.apps import server as serving_room
from workbench.oversight.audit import Audit
from workbench.session import open_workbench

pytestmark = pytest.mark.browser

SIZES = [(1440, 900), (1024, 768)]


def expect(thing: Any) -> Any:
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=30_000)
    return expected(thing)


def demo(page: Any, server: Any) -> Any:
    """Open the case app and its demo case in one click."""
    page.goto(f"{server.url}case_link")
    page.get_by_role("button", name="Use the demo case").click()
    expect(page.get_by_text("rows tie these things together")).to_be_visible()
    expect(page.locator(".wb-chart canvas").first).to_be_visible()
    return page


def cells(server: Any, share: float) -> int:
    """How many whole cells of the page's grid a share of the area is."""
    return int(open_workbench(server.workspace).grid(250).n_inside * share + 1e-9)


def node_at(page: Any, kind: str) -> tuple[float, float, str]:
    """Where a node of a kind is on the screen, and its id."""
    chart = page.locator(".wb-chart")
    chart.scroll_into_view_if_needed()
    x, y, name = chart.evaluate(
        """(e, kind) => { const n = e.chart.cy.nodes().filter(n => n.data('kind') === kind)[0], p = n.renderedPosition(), b = e.getBoundingClientRect();
           return [b.x + p.x, b.y + p.y, n.id()] }""", kind)
    return x, y, name


# --- they render ------------------------------------------------------------------------------------------------------------------


def test_the_hub_lists_every_app_found_and_how_fresh_the_data_are(page: Any, server: Any) -> None:
    page.goto(server.url)
    for entry in listed():
        card = page.locator("a.app", has_text=entry.title)
        expect(card).to_be_visible()
        expect(card).to_contain_text(entry.question)
    table = page.locator("table").first
    for name, rows in open_workbench(server.workspace).holdings().select("table", "rows").iter_rows():
        expect(table.locator("tr", has=page.get_by_text(name, exact=True))).to_contain_text(f"{rows:,}")
    expect(table).to_contain_text("30 Jun 2026")
    expect(page.get_by_text("2026-0142").first).to_be_visible()
    assert page.title() == open_workbench(server.workspace).agency.name
    page.locator("a.app", has_text="Hotspots").click()
    expect(page.get_by_text("Expect about")).to_be_visible()
    assert page.title().startswith("Hotspots")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_hotspots_shows_sentence_map_ranking_and_back_test(open_page: Callable[..., Any], server: Any, width: int, height: int) -> None:
    page = open_page(f"{server.url}hotspots", width=width, height=height)
    expect(page.get_by_text("Expect about")).to_be_visible()
    expect(page.locator(".wb-map canvas").first).to_be_visible()
    expect(page.get_by_role("table", name="Cells by expected incidents").locator("tbody tr")).to_have_count(cells(server, 0.02))
    expect(page.get_by_text(re.compile(r"Over \d+ forecasts of 7 days"))).to_be_visible()
    expect(page.locator(".vega-embed canvas, .vega-embed svg").nth(1)).to_be_visible()
    painted = page.locator(".wb-map canvas").nth(1).evaluate(
        "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size")
    assert painted > 4
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_case_link_shows_chart_map_timeline_and_evidence_with_base_rates(open_page: Callable[..., Any], server: Any, width: int, height: int) -> None:
    page = demo(open_page(width=width, height=height), server)
    assert page.locator(".wb-chart").evaluate("e => e.chart.cy.nodes().length") > 10
    assert page.locator(".wb-map").evaluate("e => e.chart.layers.filter(l => !l.base).reduce((n, l) => n + l.n, 0)") > 5
    expect(page.locator(".vega-embed canvas, .vega-embed svg").first).to_be_visible()
    table = page.get_by_role("table", name="Evidence")
    expect(table).to_contain_text("How much it says")
    expect(table.locator("tbody")).to_contain_text("tied to")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_plates_shows_who_stands_out_at_the_scenes_and_answers_about_any_plate(open_page: Callable[..., Any], server: Any, width: int, height: int) -> None:
    page = open_page(f"{server.url}plates", width=width, height=height)
    page.get_by_role("button", name="Use the demo case").click()
    expect(page.get_by_text("2 plates stand out")).to_be_visible()
    rows = page.get_by_role("table", name="Rows behind the sentence")
    expect(rows.locator("tbody tr").first).to_contain_text("HCC1427")
    assert page.locator(".wb-map").evaluate("e => e.chart.layers.filter(l => !l.base).reduce((n, l) => n + l.n, 0)") > 5
    page.get_by_label("Plate").first.fill("hcc?427")
    page.get_by_role("button", name="Search").click()
    fitting = page.get_by_role("table", name="Plates that fit")
    fitting.locator("tbody tr", has_text="HCC1427").click()
    expect(page.get_by_text(re.compile(r"HCC1427 was read \d+ times"))).to_be_visible()
    page.get_by_role("button", name="Who travelled with it?").click()
    expect(page.get_by_text(re.compile(r"YXK8164 passed \d+ spots with it"))).to_be_visible()
    page.get_by_label("Plate").first.fill("yxk 8164")  # typed, and asked about without a search
    page.get_by_role("button", name="Where was it?").click()
    expect(page.get_by_text(re.compile(r"YXK8164 was read \d+ times"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    last = Audit(server.workspace / "audit.db").entries(12)
    assert last.filter((pl.col("action") == "plates") & (pl.col("object") == "HCC1427")).height >= 2, "each question is written down"


def test_why_two_things_are_tied_is_told_with_what_speaks_against(page: Any, server: Any) -> None:
    demo(page, server)
    page.get_by_label("And what ties it to").fill("YXK8164")
    page.get_by_role("button", name="Why?").click()
    expect(page.get_by_text(re.compile("YXK8164.*(path|tied|rows?)")).first).to_be_visible()
    expect(page.get_by_role("table", name="Evidence").locator("tbody tr").first).to_be_visible()


# --- a click reaches Python and changes the page ------------------------------------------------------------------------------------


def test_a_click_on_a_map_cell_shows_what_is_behind_it(page: Any, server: Any) -> None:
    page.goto(f"{server.url}hotspots")
    expect(page.get_by_text(re.compile(r"rank 1 of"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Over \d+ forecasts"))).to_be_visible()
    table = page.get_by_role("table", name="Cells by expected incidents")
    second = table.locator("tbody tr").nth(1)
    cell = int(second.get_attribute("data-id"))
    lon, lat = (float(v[cell]) for v in open_workbench(server.workspace).grid(250).centres())
    x, y = page.locator(".wb-map").evaluate(
        "(e, at) => { const m = e.chart.map, p = m.latLngToContainerPoint(at), b = m.getContainer().getBoundingClientRect(); return [b.x + p.x, b.y + p.y] }",
        [lat, lon])
    page.mouse.click(x, y)
    expect(page.get_by_text(f"cell {cell})")).to_be_visible()
    expect(second).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("table", name="Incidents in the cell").locator("tbody tr").first).to_be_visible()


def test_a_row_of_the_ranking_is_chosen_by_keyboard(page: Any, server: Any) -> None:
    page.goto(f"{server.url}hotspots")
    expect(page.get_by_text(re.compile(r"rank 1 of"))).to_be_visible()
    rows = page.get_by_role("table", name="Cells by expected incidents").locator("tbody tr")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(rows.nth(2)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text(f"cell {rows.nth(2).get_attribute('data-id')})")).to_be_visible()
    expect(page.get_by_text(re.compile(r"rank 3 of"))).to_be_visible()


def test_a_click_on_a_node_narrows_map_timeline_and_evidence(page: Any, server: Any) -> None:
    demo(page, server)
    rows = page.get_by_role("table", name="Evidence").locator("tbody tr")
    before = rows.count()
    x, y, name = node_at(page, "vehicle")
    page.mouse.click(x, y)
    expect(page.get_by_text(re.compile(r": [\d,]+ of [\d,]+ evidence rows"))).to_be_visible()
    expect(rows).not_to_have_count(before)
    assert name.removeprefix("vehicle:") in rows.first.inner_text()
    assert page.locator(".wb-map").evaluate("e => e.chart.model.get('selected').length") > 0
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(before)


def test_an_evidence_row_lights_up_its_line_in_the_chart_and_its_place_on_the_map(page: Any, server: Any, until: Callable[..., Any]) -> None:
    demo(page, server)
    row = page.get_by_role("table", name="Evidence").locator("tbody tr", has_text="read by").first
    row.click()
    expect(page.get_by_text(re.compile(r": 1 of [\d,]+ evidence rows"))).to_be_visible()
    chart, where = page.locator(".wb-chart"), page.locator(".wb-map")
    until(lambda: chart.evaluate("e => e.chart.cy.$('edge:selected').length") == 1, what="the line selected")
    until(lambda: any(s.startswith("read:") for s in where.evaluate("e => [...e.chart.model.get('selected')]")), what="the read on the map")
    expect(row).to_have_attribute("aria-selected", "true")


def test_a_mark_of_the_timeline_and_a_point_of_the_map_choose_their_evidence(page: Any, server: Any) -> None:
    demo(page, server)
    chosen = page.get_by_text(re.compile(r": [\d,]+ of [\d,]+ evidence rows"))
    drawing = page.locator(".vega-embed canvas, .vega-embed svg").first
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    for x in range(int(box["width"]) - 4, 60, -5):  # the newest mark lies rightmost in the first lane
        page.mouse.move(box["x"] + x, box["y"] + 18)
        if page.locator("#vg-tooltip-element.visible").count():
            page.mouse.click(box["x"] + x, box["y"] + 18)
            break
    expect(chosen).to_be_visible()
    expect(page.locator("tr[aria-selected=true]").first).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(chosen).to_have_count(0)
    where = page.locator(".wb-map")
    where.scroll_into_view_if_needed()
    x, y = where.evaluate(
        """e => { const c = e.chart, l = c.layers.find(l => !l.base && l.type === 'points' && l.ids.some(i => i.startsWith('incident:')));
           const at = i => c.map.latLngToContainerPoint([Math.atan(Math.sinh(Math.PI * (1 - 2 * l.y[i]))) * 180 / Math.PI, l.x[i] * 360 - 180]);
           const places = l.ids.map((_, i) => at(i)), left = places.reduce((a, b) => (a.x < b.x ? a : b)), b = c.map.getContainer().getBoundingClientRect();
           return [b.x + left.x, b.y + left.y] }""")
    page.mouse.click(x, y)
    expect(chosen).to_be_visible()
    picked = where.evaluate("e => e.chart.model.get('picked')").partition("|")[2]
    assert picked in page.locator(".wb-chart").evaluate("e => [...e.chart.model.get('selected')]")


# --- case, purpose and reason -------------------------------------------------------------------------------------------------------


def test_without_purpose_no_plate_and_no_person_reaches_the_browser(page: Any, server: Any, until: Callable[..., Any]) -> None:
    city = open_workbench(server.workspace, case="2026-0142", purpose="investigation", reason="who was near the scenes")
    plate, person = city.table("vehicles")["plate"].drop_nulls()[0], city.table("people")["person_id"][0]
    seen: list[str] = []
    page.on("websocket", lambda s: s.on("framereceived", lambda m: seen.append(m if isinstance(m, str) else m.decode("latin-1"))))
    page.goto(f"{server.url}case_link")
    expect(page.get_by_text("Which case is this for?")).to_be_visible()
    for asked in (plate, person):
        page.get_by_label("Search").fill(asked)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text(f"Nothing matches '{asked}' in the cases and incidents.")).to_be_visible()
    page.get_by_label("Search").fill("FW26-00291")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("table", name="What was found").locator("tbody tr").first.click()
    expect(page.get_by_text("a case, a purpose and a reason are needed")).to_be_visible()
    plates = set(city.table("vehicles")["plate"].drop_nulls().to_list()) | set(city.reads()["plate"].unique().to_list())
    people = set(city.table("people")["surname"].drop_nulls().str.to_uppercase().to_list())
    words = set(re.findall(r"[A-Z0-9]{4,}", "".join(seen).upper()))
    assert not (words & plates) - {plate} and not words & people
    assert page.locator(".wb-chart").count() == 0 or not page.locator(".wb-chart").is_visible()


def test_the_form_asks_calmly_and_the_audit_knows_who_asked_why(page: Any, server: Any) -> None:
    number = next(n for n in open_workbench(server.workspace).casebook.cases("open")["case_number"].to_list() if n != "2026-0142")
    page.goto(f"{server.url}case_link?case={number}")
    expect(page.get_by_label("Case number")).to_have_value(number)
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_text("Say in a few words what is to be learnt")).to_be_visible()
    page.get_by_label("Case number").fill("2026-9999")
    page.get_by_label("Reason").fill("who was near the scenes")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_text("There is no case '2026-9999'.")).to_be_visible()
    page.get_by_label("Case number").fill(number)
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_text("Every search is written to the audit.")).to_be_visible()
    expect(page.get_by_text("rows tie these things together")).to_be_visible()
    entries = open_workbench(server.workspace).audit.entries(200)
    mine = entries.filter((entries["case_number"] == number) & (entries["reason"] == "who was near the scenes"))
    assert {"people", "reads"} <= set(mine["object"].to_list())


# --- nothing found, nothing known, nothing kind --------------------------------------------------------------------------------------


def test_hostile_search_text_stays_text(page: Any, server: Any) -> None:
    demo(page, server)
    asked = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>'; drop table reads; --"
    page.get_by_label("Search").fill(asked)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing matches")).to_contain_text("<img src=x")
    assert page.title().startswith("Case links")
    assert page.locator("img[src=x]").count() == 0


def test_a_search_of_one_letter_and_an_offence_without_rows_are_answered_in_sentences(page: Any, server: Any) -> None:
    demo(page, server)
    page.get_by_label("Search").fill("a")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("'a' is too short to search")).to_be_visible()
    page.goto(f"{server.url}hotspots")
    expect(page.get_by_text("Expect about")).to_be_visible()
    page.get_by_role("group", name="Forecast from the morning of").get_by_role("spinbutton", name="Year").click()
    page.keyboard.type("20240703")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("before|needed|begin"))
    expect(page.get_by_text("There is no forecast for this choice.")).to_be_visible()
    assert "Traceback" not in page.content()


def test_another_choice_gives_another_forecast(page: Any, server: Any) -> None:
    page.goto(f"{server.url}hotspots")
    sentence = page.get_by_text("Expect about")
    expect(sentence).to_contain_text("7 days")
    page.get_by_label("Looking ahead").click()
    page.get_by_text("14 days", exact=True).last.click()
    expect(sentence).to_contain_text("14 days")
    page.get_by_label("Share of the area to cover").click()
    page.get_by_text("1 %", exact=True).last.click()
    expect(page.get_by_role("table", name="Cells by expected incidents").locator("tbody tr")).to_have_count(cells(server, 0.01))


def test_the_dark_theme_reaches_map_and_charts(page: Any, server: Any, until: Callable[..., Any]) -> None:
    page.goto(f"{server.url}hotspots")
    expect(page.get_by_text("rank 1 of")).to_be_visible()
    page.get_by_label("Toggle theme").click()
    until(lambda: page.locator(".wb-map").evaluate("e => e.chart.dark"), what="the dark map")
    background = page.locator("main").evaluate("e => getComputedStyle(e).backgroundColor")
    assert max(int(v) for v in re.findall(r"\d+", background)[:3]) < 60


# --- the server -----------------------------------------------------------------------------------------------------------------------


def test_the_server_says_its_address_and_offers_no_admin_page_and_no_foreign_socket(server: Any) -> None:
    assert any(server.url in line for line in server.lines)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as missing:
        opener.open(f"{server.url}admin", timeout=20)
    assert missing.value.code == 404
    host = server.url.split("/")[2]
    with socket.create_connection(tuple(host.split(":")), timeout=20) as raw:  # type: ignore[arg-type]
        raw.sendall(f"GET /hotspots/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://elsewhere.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        assert b"403" in raw.recv(200).splitlines()[0]


def test_a_taken_port_gives_another_one_and_says_so(served_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = serving_room.background(open_workbench(served_city), port=port)
        try:
            assert served.moved and served.port != port
        finally:
            served.stop()


def test_a_closed_session_leaves_nothing_behind(browser: Any, served_city: Path, until: Callable[..., Any]) -> None:
    from workbench.apps.case_link import _CaseLink
    from workbench.apps.hotspots import _Hotspots
    from workbench.views.linkchart import LinkChart
    from workbench.views.webmap import WebMap

    def alive() -> dict[str, int]:
        gc.collect()
        held = gc.get_objects()
        return {c.__name__: sum(issubclass(type(o), c) for o in held) for c in (_Hotspots, _CaseLink, WebMap, LinkChart)}

    logging.disable(logging.CRITICAL)  # the test runner keeps every log record, and with it the events in them
    served = serving_room.background(open_workbench(served_city), keep_session=3)
    before = alive()  # what other tests left in this process
    try:
        def visit() -> None:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{served.url}hotspots")
            expect(page.get_by_text("rank 1 of")).to_be_visible()
            page.goto(f"{served.url}case_link")
            page.get_by_role("button", name="Use the demo case").click()
            expect(page.get_by_text("rows tie these things together")).to_be_visible()
            context.close()
            until(lambda: served.sessions() == 0, seconds=30, what="the end of the sessions")

        for _ in range(2):
            visit()
            until(lambda: all(n <= before[name] for name, n in alive().items()), seconds=20, what=f"freed objects (still {alive()})")
    finally:
        logging.disable(logging.NOTSET)
        served.stop()


# --- found by their folder ----------------------------------------------------------------------------------------------------------


def test_an_agencys_own_app_is_found_in_its_workspace_and_served_in_the_frame(page: Any, own_city: Path) -> None:
    folder = own_city / "plugins" / "apps"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quiet_hours.py").write_text(
        '"""When is it quiet?"""\nimport panel as pn\nTITLE = "Quiet hours"\nQUESTION = "When is it quiet?"\nNEEDS = ("calls",)\n\n\n'
        'def app(workbench):\n    return pn.pane.Str(f"{workbench.calls().height} calls looked at")\n', encoding="utf-8")
    (folder / "broken.py").write_text("def app(workbench):\n    return 1 / 0\n", encoding="utf-8")
    assert {"quiet_hours", "broken"} <= set(names(own_city / "plugins"))
    served = serving_room.background(open_workbench(own_city))
    try:
        page.goto(served.url)
        page.locator("a.app", has_text="Quiet hours").click()
        expect(page.get_by_text(f"{open_workbench(own_city).calls().height} calls looked at")).to_be_visible()
        page.goto(f"{served.url}broken")
        expect(page.get_by_text("a fault in the workbench")).to_be_visible()
        assert "ZeroDivisionError" not in page.content()
    finally:
        served.stop()


def test_an_unknown_app_is_answered_with_the_nearest_name() -> None:
    from workbench.errors import NotFound

    with pytest.raises(NotFound, match="Did you mean 'hotspots'"):
        find("hotspot")


def test_listing_the_apps_imports_none_of_them() -> None:
    import sys

    code = "import sys; from workbench import apps; apps.listed(); assert not {'panel', 'workbench.apps.hotspots'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr

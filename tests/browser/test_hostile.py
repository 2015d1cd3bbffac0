"""Rows, names and addresses made to run in a page: shown as texts in real Chromium, on every page that shows them, and run by none."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import workbench as wb
from tests.browser.conftest import Recorder
from workbench import schema, workspace
from workbench.apps.server import background
from workbench.casebook import Casebook
from workbench.lake import Lake
from workbench.loaders import Part, Source
from workbench.models.hotspots import kde
from workbench.models.links import case as links_case

pytestmark = pytest.mark.browser

#: Everything that could become a part of a page carries data-evil, and everything that could run sets window.owned.
EVIL = [
    "HOSTILE<script data-evil>window.owned=1</script><img data-evil src=x onerror=window.owned=2>",
    "HOSTILE\"'><svg data-evil onload=window.owned=3><iframe data-evil srcdoc='<script>parent.owned=4</script>'></iframe>",
    "HOSTILE<a data-evil href='javascript:window.owned=5'>x</a> [x](javascript:window.owned=6) ![i](http://evil.example/i.png) <b data-evil>*b*</b>",
    "HOSTILE{{constructor.constructor('window.owned=7')()}} ${window.owned=8} {% raw %} <%= 7*7 %> #{7*7} <style data-evil>*{display:none}</style>",
    "HOSTILE');window.owned=9;(' \\u0022);window.owned=10// datum['constructor']['constructor']('window.owned=11')() </script></title></textarea><u data-evil>",
    'HOSTILE#read("/etc/passwd") $x$ #panic("x") @ref <data-evil> \u202egnp.exe\u202c \u0000\u0007\x1b]0;owned\x07 '
    '</td></table><form data-evil action=//evil.example>',
    "HOSTILE" + "very long " * 800 + "<img data-evil src=x onerror=window.owned=12>",
]  # fmt: skip
LOOKED = """() => { const found = []; let text = 0; const walk = (root) => { for (const e of root.querySelectorAll('*')) {
    if (e.hasAttribute('data-evil') || /^javascript:/i.test(e.getAttribute('href') || '') || /evil[.]example/.test(e.getAttribute('src') || '')
        || [...e.attributes].some(a => /^on/i.test(a.name) && /owned/.test(a.value))) found.push(e.outerHTML.slice(0, 200));
    for (const n of e.childNodes) if (n.nodeType === 3 && !/^(script|style)$/i.test(e.tagName)) text += n.data.split('HOSTILE').length - 1;
    if (e.shadowRoot) walk(e.shadowRoot); } }; walk(document); return { owned: window.owned ?? null, found, text } }"""
WHY = {"case": "HOSTILE<img data-evil src=x onerror=window.owned=20>", "purpose": "investigation",
       "reason": "who was near the scenes <img data-evil src=x onerror=window.owned=21>"}
KINDS = ("person", "vehicle", "phone", "address")


def value(kind: str, name: str, row: int, at: int) -> str:
    """A cell: whatever can be a text is hostile."""
    if kind == "VARCHAR":
        return EVIL[(row + at) % len(EVIL)].replace("\0", "")
    if kind == "TIMESTAMPTZ":
        return f"2026-06-{1 + row % 28:02d}T{(7 * row + at) % 24:02d}:30:00Z"
    return {"DATE": "2026-06-01", "BOOLEAN": "false", "BIGINT": "3"}.get(kind, str(-90.97 + 0.009 * (row % 20)) if name == "lon" else
                                                                        str(41.52 + 0.008 * (row % 19)) if name == "lat" else "1")


def load(city: Path, table: str, rows: int) -> None:
    """Rows of a table through a source of its own columns, as an agency's export would bring them."""
    about = schema.TABLES[table]
    left = ("geometry", "unfounded", "withdraws", "valid_to", "revised_at")
    taken = {n: c.type for n, c in about.columns.items() if not c.type.endswith("[]") and n not in left}
    lines = []
    for row in range(rows):
        line = {n: value(kind, n, row, at) for at, (n, kind) in enumerate(taken.items())}
        line.update({k: f"{row} {line[k]}"[:300] for k in about.key if taken.get(k) == "VARCHAR"})
        if "entity_kind" in line:
            kind = KINDS[row % 4]
            line.update(entity_kind=kind, entity_id=f"{row // 4} {EVIL[(row // 4 + ID_AT) % len(EVIL)]}"[:300])
        for n in ("incident_id", "person_id"):
            if n in line and n not in about.key:
                line[n] = f"{row % 8} {EVIL[(row % 8 + ID_AT) % len(EVIL)]}".replace("\0", "")[:300]
        lines.append(line)
    file = city.parent / f"{table}.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        table_out = csv.DictWriter(stream, list(taken))
        table_out.writeheader()
        table_out.writerows(lines)
    columns = {n: f'"{n}"' if kind == "VARCHAR" else f'try_cast("{n}" as {kind})' for n, kind in taken.items()}
    Lake(city / "lake").load(Source(f"hostile_{table}", f"{EVIL[0]}", (Part(table, columns),), tuple(taken), formats=("csv",)), file)


#: The keys of incidents, people, vehicles ... are their first columns.
ID_AT = 0


#: The tables whose texts the pages show.
SHOWN = ("incidents", "calls", "reads", "hotlist", "people", "vehicles", "phones", "addresses", "involvements", "associations", "cameras")


@dataclass
class Hostile:
    """A workspace of hostile rows, served."""

    path: Path
    url: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    city = workspace.create(tmp_path_factory.mktemp("hostile") / "city", name="NAME", zone="America/Chicago", bounds=(-91.0, 41.5, -90.8, 41.7)).path
    toml = (city / "agency.toml").read_text(encoding="utf-8").replace('"NAME"', json.dumps(EVIL[0]))
    square = [[-90.95, 41.55], [-90.85, 41.55], [-90.85, 41.65], [-90.95, 41.65], [-90.95, 41.55]]
    for kind, geometry in (("water", {"type": "Polygon", "coordinates": [square]}), ("streets", {"type": "LineString", "coordinates": square[:3]}),
                           ("beats", {"type": "Polygon", "coordinates": [square]})):
        feature = {"type": "Feature", "properties": {"name": EVIL[1], "beat": EVIL[0], "district": EVIL[2], "class": EVIL[3]}, "geometry": geometry}
        (city / "map" / f"{kind}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        toml = toml.replace(f'# {kind} = "map/{kind}.geojson"', f'{kind} = "map/{kind}.geojson"')
    (city / "agency.toml").write_text(toml, encoding="utf-8")
    for table in SHOWN:
        load(city, table, {"incidents": 60}.get(table, 8))
    book = Casebook(city / "casebook.db")
    book.open_case(WHY["case"], EVIL[1], user=EVIL[2], reason=EVIL[0])
    lake = Lake(city / "lake")
    for kind, table in (("person", "people"), ("vehicle", "vehicles"), ("incident", "incidents")):
        for key in lake.frame(table)[schema.TABLES[table].key[0]].to_list()[:2]:
            book.add_subject(WHY["case"], f"{kind}:{key}", EVIL[3], user=EVIL[2])
    served = background(wb.open_workbench(city, **WHY))
    yield Hostile(city, served.url)
    served.stop()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page whose dialogs, navigations and requests are written down, and must not be."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.recorder = Recorder()
    page.recorder.attach(page)
    page.went, page.asked = [], []
    page.on("dialog", lambda d: (page.asked.append(d.message), d.dismiss()))
    page.on("popup", lambda p: page.asked.append(p.url))
    yield page
    inert(page)
    context.close()


def inert(page: Any, wanted: int = 0) -> None:
    """Nothing of the texts ran, became an element, opened, or left the machine; and so many of them are there as texts."""
    got = page.evaluate(LOOKED)
    assert got["owned"] is None and not got["found"], got
    assert not page.asked and not page.recorder.away(), (page.asked, page.recorder.away())
    assert got["text"] >= wanted, got


def test_the_hub_shows_hostile_names_and_cases_as_texts(hostile: Hostile, tab: Any) -> None:
    tab.goto(hostile.url)
    tab.get_by_text("Cases being worked").wait_for()
    tab.get_by_text("HOSTILE<script data-evil>").first.wait_for()
    inert(tab, 2)
    assert tab.url == hostile.url


def test_the_hotspot_page_shows_hostile_rows_and_maps_as_texts(hostile: Hostile, tab: Any) -> None:
    tab.goto(f"{hostile.url}hotspots?area={quote(EVIL[0])}&offence={quote(EVIL[3])}")
    tab.locator("canvas").first.wait_for()
    tab.wait_for_timeout(1500)
    box = tab.locator("canvas").first.bounding_box()
    for share in (0.3, 0.5, 0.7):
        tab.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"])
        tab.mouse.click(box["x"] + share * box["width"], box["y"] + share * box["height"])
    inert(tab, 1)


def test_the_link_page_shows_hostile_people_plates_and_texts_as_texts(hostile: Hostile, tab: Any) -> None:
    tab.goto(f"{hostile.url}case_link?case={quote(WHY['case'])}")
    tab.get_by_text("rows tie these things together").wait_for()
    tab.locator(".wb-chart canvas").first.wait_for()
    tab.wait_for_timeout(1500)
    chart = tab.locator(".wb-chart").first
    points = chart.evaluate("e => { const b = e.getBoundingClientRect(); return e.chart.cy.nodes().map(n => { const p = n.renderedPosition(); "
                            "return [b.x + p.x, b.y + p.y] }).slice(0, 6) }")
    assert points
    for x, y in points:
        tab.mouse.move(x, y)
        tab.mouse.click(x, y)
        tab.wait_for_timeout(150)
    inert(tab, 5)
    search = tab.get_by_label("Search").first
    for text in ("HOSTILE", EVIL[0], EVIL[4]):
        search.fill(text[:300])
        search.press("Enter")
        tab.wait_for_timeout(700)
        inert(tab, 5)


def test_hostile_ways_to_a_page_stay_on_this_server_and_run_nothing(hostile: Hostile, tab: Any) -> None:
    for way in ("sign-in?next=javascript:window.owned=30", "sign-in?next=//evil.example/", f"sign-in?next=/&user={quote(EVIL[0])}",
    f"case_link?case={quote(EVIL[1])}",
                f"hotspots?area={quote(EVIL[1])}#{quote(EVIL[0])}", f"%3Cimg%20data-evil%20src=x%20onerror=window.owned=31%3E?x={quote(EVIL[0])}"):
        tab.goto(hostile.url + way)
        tab.wait_for_timeout(300)
        assert tab.url.startswith(hostile.url)
        inert(tab)


def test_what_a_notebook_shows_of_hostile_rows_runs_nothing(hostile: Hostile, tab: Any) -> None:
    city = wb.open_workbench(hostile.path, **WHY)
    incidents = city.incidents()
    risk = kde.surface(incidents, city.grid(500), city.asof)
    subjects = city.casebook.subjects(WHY["case"])["entity"].to_list()
    links = links_case.around(city.facts(), subjects, hops=2, asof=city.asof)
    told: list[str] = []

    def make() -> None:
        told.extend([risk._repr_html_(), links._repr_html_(), incidents.head(20)._repr_html_(), city.quality()._repr_html_()])

    thread = threading.Thread(target=make)  # Playwright's loop runs in this one
    thread.start()
    thread.join()
    assert len(told) == 4 and any("HOSTILE" in t for t in told)
    for shown in told:
        tab.set_content(f"<!doctype html><body>{shown}</body>")
        tab.wait_for_timeout(200)
        inert(tab)

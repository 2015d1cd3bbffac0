"""Briefings: parameters refused before anything runs, three whole files or none, numbers that equal a recount, hostile text inert."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pypdf import PdfReader

import workbench as wb
from workbench import briefings
from workbench.briefings import blocks, declared, html, notebook, pdf
from workbench.errors import BadInput, NotFound, WorkbenchError

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> #panic(\"x\") $x$ *b* @ref \\u{41} [l](http://evil.example) </style> \" ' & </td>"
ASOF = "2026-07-01"


# --- parameters -------------------------------------------------------------------------------------------------------------------


CELL = """
asof: date = "2026-07-01"  # nothing later
days: int = 7  # how many
share: float = 0.02  # of the area
quiet: bool = False  # say less
until: datetime | None = None  # empty = now
offences: list[str] = ["burglary", "robbery"]  # which
versions: dict[str, int] | None = None  # tables
area: str = "all"  # where
"""


def test_each_type_is_read_from_the_text_of_a_command_line() -> None:
    known = declared.parse(CELL)
    assert [(p.name, p.type, p.help) for p in known][:2] == [("asof", "date", "nothing later"), ("days", "int", "how many")]
    assert known[0].default == date(2026, 7, 1)
    given = {"asof": "2026-06-30", "days": "14", "share": "0.05", "quiet": "yes", "until": "2026-06-30T06:00", "offences": "theft, burglary",
             "versions": '{"incidents": 3}', "area": "B-12"}
    assert declared.check(known, given) == {
        "asof": date(2026, 6, 30), "days": 14, "share": 0.05, "quiet": True, "until": datetime(2026, 6, 30, 6), "offences": ["theft", "burglary"],
        "versions": {"incidents": 3}, "area": "B-12"}
    assert declared.check(known, {"until": ""}) == {"until": None}


@pytest.mark.parametrize(("name", "value"), [
    ("asof", "yesterday"), ("asof", 20260701), ("days", "seven"), ("days", "7.5"), ("days", True), ("days", None), ("share", "much"), ("share", "nan"),
    ("quiet", "maybe"), ("until", "2026-13-01"), ("offences", [1, 2]), ("versions", "[1]"), ("area", 12)])
def test_an_ill_typed_value_is_refused_with_one_that_would_do(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=rf"Parameter '{name}' must be an? .* e\.g\. .* is not"):
        declared.check(declared.parse(CELL), {name: value})


def test_an_unknown_name_is_refused_with_the_nearest_and_the_list() -> None:
    with pytest.raises(BadInput, match=r"no parameter 'ofences'. Did you mean 'offences'\? Its parameters: asof, days"):
        declared.check(declared.parse(CELL), {"ofences": "theft"})


@pytest.mark.parametrize(("line", "said"), [
    ("asof = 3", "name: type = default"), ("asof: Path = 'x'", "has the type 'Path'"), ("days: int = days_of()", "plain value"),
    ("days: int = 'x'", "must be an int"),
    ("days: int = 1\ndays: int = 2", "declared twice"), ("days: int = ", "not Python"), ("import os", "name: type = default")])
def test_a_parameters_cell_that_breaks_the_form_says_how_to_write_it(line: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        declared.parse(line, "mine.ipynb")


def test_a_wrong_parameter_is_refused_before_anything_runs(city: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean 'asof'"):
        briefings.run(city, "daily_briefing", {"as_of": ASOF}, tmp_path / "out")
    with pytest.raises(BadInput, match="'weeks' must be an int"):
        briefings.run(city, "daily_briefing", {"weeks": "twelve"}, tmp_path / "out")
    with pytest.raises(NotFound, match="Did you mean 'daily_briefing'"):
        briefings.run(city, "daily_brief", {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the run on the made-up city --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run by the command line, in a home of its own."""
    base = tmp_path_factory.mktemp("briefing")
    home, workspace = base / "home", base / "city"
    home.mkdir()
    shutil.copytree(untouched_city, workspace)
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(wb.__file__).parents[1])}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "XDG_CACHE_HOME"):
        env.pop(name, None)
    command = [sys.executable, "-m", "workbench.cli", "brief", "daily_briefing", "-w", str(workspace), "-p", f"asof={ASOF}", "-p", "folds=4"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    files = {Path(line).suffix[1:]: Path(line) for line in done.stdout.split()}
    executed = json.loads(files["ipynb"].read_text())
    return {"workspace": workspace, "home": home, "files": files, "notebook": executed, "blocks": notebook.blocks(executed), "stderr": done.stderr}


def of(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [b for b in made["blocks"] if b["kind"] == kind]
    return found + [r for b in made["blocks"] if b["kind"] == "beside" for r in (b["left"], *b["right"]) if r["kind"] == kind]


def test_three_whole_files_come_out_and_nothing_else(made: dict[str, Any]) -> None:
    assert {f.name for f in made["files"].values()} == {f"daily_briefing_{ASOF}.{k}" for k in ("ipynb", "html", "pdf")}
    assert {p.name for p in (made["workspace"] / "out").iterdir()} == {f.name for f in made["files"].values()}
    assert not list(made["home"].iterdir()), "a run leaves the home folder as it was"
    assert made["files"]["pdf"].read_bytes().startswith(b"%PDF-")


def test_no_cell_warns(made: dict[str, Any]) -> None:
    assert not [o for c in made["notebook"]["cells"] for o in c.get("outputs", []) if o["output_type"] in ("error", "stream")]


class References(HTMLParser):
    """Collects whatever a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "link", "form", "base"):
            self.found.append(tag)
        for name, value in attrs:
            outside = name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href") and not (value or "").startswith("data:image/svg+xml;base64,")
            if outside or name.startswith("on") or "url(" in (value or ""):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_html(text: str) -> References:
    page = References()
    page.feed(text)
    return page


def test_the_page_refers_to_nothing_outside_itself(made: dict[str, Any]) -> None:
    text = made["files"]["html"].read_text()
    assert read_html(text).found == []
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style and not re.search(r"@import|url\(|@font-face", style[1])
    assert "default-src 'none'" in text
    for drawing in of(made, "drawing"):
        assert not re.search(r"<script|<foreignObject|\bhref\s*=\s*[\"'](?!#|data:)|\son\w+=", drawing["svg"])


def test_screen_and_paper_both_say_the_bottom_line_and_what_it_rests_on(made: dict[str, Any]) -> None:
    lines = of(made, "bottom_line")[0]["lines"]
    assert len(lines) == 3 and all(re.search(r"\d", line) for line in lines)
    shown = re.sub(r"\s+", " ", " ".join(read_html(made["files"]["html"].read_text()).text))
    pages = [p.extract_text() for p in PdfReader(made["files"]["pdf"]).pages]
    paper = re.sub(r"\s+", "", "".join(pages))
    run_id = json.loads((made["files"]["ipynb"]).read_text())["metadata"]["papermill"]["parameters"]["run_id"]
    for line in lines:
        assert line in shown and re.sub(r"\s+", "", line) in paper
    answers = of(made, "basis")[0]["answers"]
    assert {"What happened", "Where to look", "Back-test", "When to look", "New on open cases"} <= {a["name"] for a in answers}
    for answer in answers:
        for label, text in answer["lines"]:
            if label in ("Method", "Data fingerprint", "Table versions"):
                assert re.sub(r"\s+", "", text) in paper and text in shown
    assert run_id in shown and all(run_id in p for p in pages) and f"Page {len(pages)} of {len(pages)}" in pages[-1]
    assert "unverified lead" in shown.lower() and 2 <= len(pages) <= 4


def test_the_numbers_equal_an_independent_recount(made: dict[str, Any]) -> None:
    city = wb.open_workbench(made["workspace"])
    zone, until = city.agency.zone, datetime(2026, 7, 1)
    frame = city.sql("select started_at, ended_at, reported_at, nibrs, report_number from incidents").with_columns(
        pl.col("started_at", "ended_at", "reported_at").dt.convert_time_zone(zone).dt.replace_time_zone(None))

    def week(back: int, what: pl.Expr) -> int:
        end = until - timedelta(days=7 * back)
        told = pl.max_horizontal("started_at", pl.coalesce("reported_at", "ended_at", "started_at"))
        return frame.filter(what, pl.col("started_at") >= end - timedelta(days=7), pl.col("started_at") < end, told < end).height

    cards = of(made, "cards")[0]["cards"]
    assert {c["label"].lower() for c in cards} == set(city.offences())
    for card in cards:
        member = pl.col("nibrs").is_in(city.agency.offence_groups[card["label"].lower()])
        counts = [week(k, member) for k in range(13)]
        assert card["count"] == counts[0] and card["before"] == counts[:0:-1]
        assert card["expected"] == pytest.approx(np.mean(counts[1:]))
        assert card["low"] <= card["expected"] <= card["high"]
    day = frame.filter(pl.coalesce("reported_at", "started_at").is_between(until - timedelta(days=1), until, closed="left"))
    table = next(t for t in of(made, "table") if t["caption"].startswith("Reported in the last 24 hours"))
    shown = [row[-1] for row in table["rows"]]
    left = int(re.match(r"(\d+)", table["more"])[1]) if table["more"] else 0  # type: ignore[index]
    assert set(shown) - {"–"} <= set(day["report_number"].to_list()) and len(shown) + left == day.height


def test_the_places_listed_are_those_of_the_forecast(made: dict[str, Any]) -> None:
    from workbench.models.hotspots import choose

    city = wb.open_workbench(made["workspace"])
    until = city.agency.moment(ASOF)
    past = city.incidents(end=until, offence="burglary")
    choice = choose.model("best", past, city.grid(250), until)
    risk = choice.surface(past, city.grid(250), until, zone=city.agency.zone)
    assert choice.sentence in {note["text"] for note in of(made, "note")}
    table = next(t for t in of(made, "table") if [h["text"] for h in t["heads"]][0] == "No.")
    x, y = risk.grid.centres_metres()
    left, highest = risk.expected.copy(), []
    for _ in table["rows"]:
        best = int(left.argmax())
        highest.append(f"{left[best]:,.2f}")
        left[np.hypot(x - x[best], y - y[best]) < 500] = -1
    assert [row[2] for row in table["rows"]] == highest and len(highest) == 8
    assert risk.headline[1:] in of(made, "bottom_line")[0]["lines"][1]


def test_new_links_are_leads_with_a_base_rate_and_each_case_is_looked_into_under_its_own_purpose(made: dict[str, Any]) -> None:
    city = wb.open_workbench(made["workspace"])
    leads = of(made, "leads")[0]
    assert leads["items"] and {i["case"] for i in leads["items"]} <= set(city.casebook.cases("open")["case_number"].to_list())
    assert all(line["rate"] for item in leads["items"] for line in item["lines"])
    entries = city.audit.entries(400)
    asked = entries.filter(pl.col("object") == "people")
    assert set(asked["case_number"].drop_nulls()) == set(city.casebook.cases("open")["case_number"].to_list())
    assert entries.filter(pl.col("action") == "brief")["phase"].to_list().count("intent") == 1 and city.audit.verify()[0]


def test_an_area_with_hardly_any_incidents_is_briefed_and_says_what_it_cannot_tell(made: dict[str, Any]) -> None:
    city = wb.open_workbench(made["workspace"])
    asked = {"asof": ASOF, "area": city.beats()[0], "offence": "homicide", "folds": 1, "cell": 1000}
    files = briefings.run(city, "daily_briefing", asked, made["workspace"] / "beat")
    said = " ".join(read_html(files.html.read_text()).text)
    assert f"Beat {city.beats()[0]}" in said and "annot tell" in said


# --- what goes wrong --------------------------------------------------------------------------------------------------------------


def template(folder: Path, name: str, *sources: str, parameters: str = "case: str | None = None  # case") -> None:
    """A briefing of the workspace's own."""
    cells = [{"cell_type": "code", "id": f"c{i}", "metadata": {"tags": ["parameters"] if i == 0 else []}, "source": s, "outputs": [], "execution_count": None}
             for i, s in enumerate((parameters, *sources))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "templates" / f"{name}.ipynb").write_text(json.dumps(book))


HEAD = ("from workbench.briefings import blocks\n"
        "blocks.masthead('T', agency={0!r}, area={0!r}, period={0!r}, handling={0!r}, facts={{'x': {0!r}}})")


def test_what_a_report_says_is_printed_and_never_run(own_city: Path) -> None:
    show = ("import polars as pl\nblocks.beside(blocks.table(pl.DataFrame({{'a': [{0!r}]}}), {{'a': {0!r}}}, caption={0!r}), "
            "[blocks.note({0!r}), blocks.leads([{{'case': {0!r}, 'title': {0!r}, 'lines': [{{'text': {0!r}, 'rate': {0!r}}}], 'note': {0!r}}}], empty='')])")
    cards = "blocks.cards([{{'label': {0!r}, 'count': 3, 'unit': {0!r}, 'flag': {0!r}, 'more': [[{0!r}, {0!r}]]}}], caption={0!r})"
    bound = "case: str | None = None  # a\npurpose: str | None = None  # b\nreason: str | None = None  # c\nworkspace: str | None = None  # d"
    asked = "import workbench as wb\ncity = wb.open_workbench(workspace, case=case, purpose=purpose, reason=reason)\n"
    says = [HEAD.format(EVIL), f"blocks.bottom_line({EVIL!r})", show.format(EVIL), cards.format(EVIL), f"print({EVIL!r})"]
    template(own_city, "hostile", *says, asked + "print(city.case, city.purpose, city.reason)", parameters=bound)
    files = briefings.run(wb.open_workbench(own_city, case="2026-0142", purpose="investigation", reason="it's \"quoted\"\n{{x}} \\"), "hostile")
    page = read_html(files.html.read_text())
    assert "2026-0142 investigation it's \"quoted\"" in " ".join(page.text), "the notebook is bound to the case of the workbench that ran it"
    assert page.found == [] and " ".join(page.text).count("<script>alert(1)</script>") >= 15
    paper = "".join("".join(p.extract_text() for p in PdfReader(files.pdf).pages).split())
    assert paper.count("<script>alert(1)</script>") >= 15 and '#panic("x")$x$*b*@ref\\u{41}' in paper


def test_a_failing_cell_is_named_and_its_notebook_kept_aside(own_city: Path) -> None:
    template(own_city, "broken", HEAD.format("a"), "import workbench as wb\nwb.open_workbench('.').incidents(offence='burglery')")
    with pytest.raises(WorkbenchError, match=r"'broken' stopped in cell 3: NotFound: .*Did you mean 'burglary'.*failed\.ipynb"):
        briefings.run(wb.open_workbench(own_city), "broken")
    left = [p.name for p in (own_city / "out").iterdir()]
    assert len(left) == 1 and left[0].startswith("broken_") and left[0].endswith(".failed.ipynb")


def test_a_workspace_other_than_the_opened_one_is_refused(city: Any) -> None:
    with pytest.raises(BadInput, match="'workspace' is .* leave it out"):
        briefings.run(city, "daily_briefing", {"workspace": "."})


def processes_in(folder: Path) -> list[int]:
    """Processes whose command line or working directory names a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = os.readlink(entry / "cwd") + " " + (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in where and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_a_run_killed_midway_leaves_nothing_half_written_and_no_process(own_city: Path) -> None:
    template(own_city, "slow", HEAD.format("a"), "import time\nfrom pathlib import Path\nPath('out/started').touch()\ntime.sleep(120)")
    env = {**os.environ, "PYTHONPATH": str(Path(wb.__file__).parents[1])}
    command = [sys.executable, "-m", "workbench.cli", "brief", "slow", "-w", str(own_city)]
    run = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (own_city / "out" / "started").exists() and time.monotonic() < end:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    (own_city / "out" / "started").unlink()
    assert not [p for p in (own_city / "out").iterdir() if not p.name.startswith(".")]
    while processes_in(own_city) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_in(own_city) == [], "papermill and the kernel end with the run"
    template(own_city, "slow", HEAD.format("a"))
    briefings.run(wb.open_workbench(own_city), "slow")
    assert len(list((own_city / "out").iterdir())) == 3, "what the dead run left is swept by the next"


# --- blocks -----------------------------------------------------------------------------------------------------------------------


def test_a_notebook_shows_a_block_as_html_and_carries_it_as_data() -> None:
    shown = blocks.note(EVIL)._repr_mimebundle_()
    assert shown[blocks.MIME] == {"kind": "note", "text": EVIL, "tone": "plain"} and read_html(shown["text/html"]).found == []


@pytest.mark.parametrize("wrong", [
    lambda: blocks.bottom_line(), lambda: blocks.bottom_line("a", "b", "c", "d"), lambda: blocks.drawing("<p>no drawing</p>"),
    lambda: blocks.note("x", tone="loud"), lambda: blocks.table(pl.DataFrame({"a": [1]}), {"b": "B"})])
def test_a_block_that_cannot_be_printed_is_refused(wrong: Any) -> None:
    with pytest.raises(BadInput):
        wrong()


def test_numbers_times_and_gaps_are_printed_as_people_read_them() -> None:
    frame = pl.DataFrame({"n": [12345], "x": [0.126], "at": [datetime(2026, 7, 1, 4, 30, tzinfo=UTC)], "none": [None], "list": [["A", "B"]], "yes": [True]})
    made = blocks.table(frame, {c: c for c in frame.columns}, zone="America/Chicago", places={"x": 2})
    assert made.data["rows"] == [["12,345", "0.13", "Tue 30 Jun 23:30", "–", "A, B", "yes"]]


def test_markdown_cells_become_headings_and_plain_paragraphs() -> None:
    assert notebook.words("## Where **now**\nSome `words`\nhere.\n\n- one\n- two") == [
        {"kind": "heading", "level": 2, "text": "Where now"}, *({"kind": "text", "text": t} for t in ("Some words here.", "• one", "• two"))]


def test_every_kind_of_block_has_both_faces(tmp_path: Path) -> None:
    card = {"label": "theft", "count": 1234, "unit": "in 7 days", "expected": 1200.4, "low": 1000, "high": 1400, "change": 2.8, "small_base": False,
            "flag": "above", "before": [1, 2, 3], "more": [["24 h", "3"]]}
    bare = {"label": "arson", "count": 0, "expected": None, "flag": "cannot tell"}
    page = [blocks.masthead("T", agency="A", area="B", period="P", handling="H", facts={}), blocks.bottom_line("one"), blocks.cards([card, bare]),
            blocks.cards([]), blocks.table(pl.DataFrame({"a": [1]}), {"a": "A"}),
            blocks.drawing("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'/>", caption="c"),
            blocks.leads([], empty="nothing"), blocks.note("n", tone="warn"), blocks.basis({}), blocks.Block("heading", {"level": 2, "text": "h"}),
            blocks.Block("text", {"text": "t"}), blocks.Block("clock", {"days": ["Mon"], "values": [[0.0] * 24], "caption": "", "headline": "h"})]
    data = [b.to_dict() for b in [*page, blocks.beside(page[4], [page[7]])]]
    assert {b["kind"] for b in data} == set(blocks.KINDS)
    assert all(html.render(b) for b in data)
    made = pdf.typeset(data, tmp_path, title="T", run="r", made_at=datetime(2026, 7, 1, tzinfo=UTC))
    assert "1,234" in PdfReader(tmp_path / "x.pdf" if (tmp_path / "x.pdf").write_bytes(made) else "").pages[0].extract_text()


# --- a real city ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_chicago_is_briefed(chicago_path: Path, tmp_path: Path) -> None:
    city = wb.open_workbench(chicago_path)
    files = briefings.run(city, "daily_briefing", {"asof": "2017-06-01", "cell": 800, "folds": 2, "lookback": 7}, tmp_path)
    cards = {c["label"]: c for b in notebook.blocks(json.loads(files.ipynb.read_text())) if b["kind"] == "cards" for c in b["cards"]}
    week = city.incidents("2017-05-25", "2017-06-01", offence="burglary")
    assert cards["Burglary"]["count"] == week.height > 100 and cards["Burglary"]["expected"] > 100
    said = " ".join(read_html(files.html.read_text()).text)
    assert "Chicago" in said and "no open case" in said and len(PdfReader(files.pdf).pages) >= 2

"""The oversight page as an auditor or a supervisor meets it: real Chromium, the real server, the made-up city, made-up people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server, serving
from tests.test_oversight import put
from workbench.oversight import certificate
from workbench.oversight.audit import Audit, Person, current_user

pytestmark = pytest.mark.browser
CASE = "2026-0142"


def expect(thing: Any) -> Any:
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=30_000)
    return expected(thing)


def accesses(folder: Path) -> None:
    """A few accesses of made-up people, of the last days."""
    audit, now = Audit(folder / "audit.db"), datetime.now(UTC)
    reyes = Person("d.reyes", CASE, "investigation", "partial plate from the robbery of 3 June", "detective")
    novak = Person("f.novak", None, None, "armed man fled toward the school in a gray van", "patrol", True)
    for n in range(6):
        put(audit, now - timedelta(hours=60 - n), reyes, "query", "reads", plate="KTX4417")
        put(audit, now - timedelta(hours=50 - n), Person(("b.okafor", "e.tanaka", "g.hart")[n % 3], CASE, "investigation", "tip 118 names the driver",
                                                         "detective"), "query", "reads", plate=f"LRX{2200 + n}")
    put(audit, now - timedelta(hours=30), novak, "query", "reads", plate="MRX2231")
    put(audit, now - timedelta(hours=20), Person(current_user(), None, None, "child missing, last seen at Oak Park", "patrol", True), "query", "reads")
    put(audit, now - timedelta(hours=3), Person("g.hart", role="analyst"), "query", "people", "refused")


@pytest.fixture(scope="module")
def watched(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product serving a city in which somebody asked for one plate again and again."""
    folder = Path(shutil.copytree(untouched_city, tmp_path_factory.mktemp("watched") / "city"))
    accesses(folder)
    said = {"certificate_id": "P-1", "kind": "purge", "at": datetime.now(UTC).isoformat(), "user": "kim", "reason": "past the limit",
            "policy": ["reads: 60 days"], "root": "", "salt": "", "outputs": [], "work": [], "holds": [],
            "tables": {"reads": {"rows": 7, "earliest": None, "latest": None, "files_rewritten": 1, "files_deleted": 0, "version": 3}},
            "verification": {"values": 7, "files": 3, "bytes": 900, "found": 0, "otherwise_held": 0, "too_short": 0, "where": []}}
    certificate.write(folder, "P-1", said)
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
def test_the_head_says_whether_the_chain_is_whole_and_what_waits(open_page: Callable[..., Any], watched: Server, width: int, height: int) -> None:
    page = open_page(f"{watched.url}oversight", width=width, height=height)
    expect(page.get_by_text("The audit is whole")).to_be_visible()
    expect(page.get_by_text("No root is signed yet")).to_be_visible()
    for label in ("Accesses today", "Refused today", "Break-glass, 7 days", "Waiting for review", "Last purge", "Gone tomorrow"):
        expect(page.get_by_text(label, exact=True)).to_be_visible()
    expect(page.get_by_text("135,350 rows")).to_be_visible()
    expect(page.get_by_role("table", name="Review queue")).to_contain_text("BREAK-GLASS")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_flag_is_picked_looked_into_and_decided_and_ones_own_is_not(page: Any, watched: Server) -> None:
    page.goto(f"{watched.url}oversight")
    queue, behind = page.get_by_role("table", name="Review queue"), page.get_by_role("table", name="Entries behind the item")
    expect(page.get_by_text("Looked through the last 90 days just now")).to_be_visible()
    queue.locator("tbody tr", has_text=current_user()).filter(has_text="BREAK-GLASS").click()
    expect(page.get_by_text("somebody else has to review it")).to_be_visible()
    expect(page.get_by_role("button", name="Justified", exact=True)).to_be_hidden()
    queue.locator("tbody tr", has_text="same target").click()
    expect(page.get_by_text("d.reyes asked for KTX4417 6 times")).to_be_visible()
    expect(behind.locator("tbody tr")).to_have_count(6)
    expect(behind).to_contain_text("done, 3 rows")
    page.get_by_role("button", name="Justified", exact=True).click()
    expect(page.get_by_text("A decision needs a note")).to_be_visible()
    page.get_by_role("textbox", name="Note").fill("call 118 named the plate")
    page.get_by_role("button", name="Justified", exact=True).click()
    expect(page.get_by_text("Written down: justified.")).to_be_visible()
    expect(queue.locator("tbody tr", has_text="same target")).to_have_count(0)
    page.get_by_role("button", name="Decided").click()
    expect(queue.locator("tbody tr", has_text="same target")).to_have_count(1)
    last = Audit(watched.workspace / "audit.db").entries().filter(action="review").row(-1, named=True)
    assert json.loads(last["detail"])["note"] == "call 118 named the plate"


def test_the_log_finds_what_was_refused_and_saves_it(page: Any, watched: Server, tmp_path: Path) -> None:
    page.goto(f"{watched.url}oversight")
    expect(page.get_by_text("The audit is whole")).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    table = page.get_by_role("table", name="Log")
    expect(table).to_contain_text("KTX4417")
    page.get_by_role("button", name="Refused only").click()
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(table).to_contain_text("g.hart")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save this list").click()
    saved.value.save_as(tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text().count("refused") == 1
    assert Audit(watched.workspace / "audit.db").entries(1)["action"][0] == "export audit"


def test_a_certificate_is_verified_in_a_sentence_and_the_matrix_is_shown(page: Any, watched: Server) -> None:
    page.goto(f"{watched.url}oversight")
    expect(page.get_by_text("The audit is whole")).to_be_visible()
    page.get_by_role("tab", name="Retention").click()
    expect(page.get_by_text("agency.toml [retention] reads = 60")).to_be_visible()
    page.get_by_role("table", name="Certificates").locator("tbody tr", has_text="P-1").click()
    page.get_by_role("button", name="Verify the certificate").click()
    expect(page.get_by_text("Certificate P-1 is as it was signed")).to_be_visible()
    page.get_by_role("tab", name="Who may see what").click()
    expect(page.get_by_text("the audit and the review queue, no facts")).to_be_visible()

"""What auditors and supervisors see of the audit: chosen and counted in the store, covered for who sees no facts, and a page for them only."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.test_access import edited
from workbench import agency as agencies
from workbench import apps
from workbench.apps import hub, oversight_head, oversight_log, oversight_review, page
from workbench.errors import AccessRefused, BadInput
from workbench.oversight import audit as audits
from workbench.oversight import covered, entries, review, store, watch
from workbench.oversight.access import Policy
from workbench.oversight.audit import Audit, Person
from workbench.oversight.entries import Wanted

ZONE = ZoneInfo("America/Chicago")
GOOD = "van seen at the Oak Street burglary"
PEOPLE = 'people = { ann = "detective", sue = "supervisor", ada = "auditor", cal = "analyst", kim = "keeper" }\ndefault_role = "analyst"'
ROLES = ('detective = { tables = ["*"], unmasked = ["*"], days = { reads = 30 }, may = ["cases", "serve", "export", "emergency"] }\n'
         'keeper = { tables = ["incidents"], may = ["audit"] }')


def put(audit: Audit, at: datetime, person: Person, action: str, object: str, phase: str = "done", **detail: object) -> None:
    """A deed of that time: its intent, and how it ended."""
    with audit.opened() as db:
        store.begin(db)
        key = None
        for n, (what, said) in enumerate((("intent", detail), (phase, {"rows": 3}))):
            values = list(audits.entry(person, action, object, what, key, said))
            values[0], key = (at + timedelta(milliseconds=40 * n)).isoformat(timespec="microseconds"), values[1]
            store.append(db, tuple(values))
        db.execute("commit")


@pytest.fixture
def small(tmp_path: Path) -> Audit:
    (tmp_path / "agency.toml").write_text('[agency]\nname = "A"\nzone = "UTC"\n[audit]\nsample = 0.0\nrepeats = 3\n')
    return Audit(tmp_path / "audit.db")


NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
ANN = Person("ann", "2026-0142", "investigation", GOOD, "detective")


def test_entries_are_chosen_by_every_field_and_counted_beyond_what_is_shown(small: Audit) -> None:
    for n in range(6):
        put(small, NOW - timedelta(days=n), ANN, "query", "reads", plate="ABC1234")
    put(small, NOW, Person("bob", role="analyst"), "query", "people", "refused")
    put(small, NOW, Person("bob", None, None, "child missing, Oak Park", "patrol", True), "query", "reads")
    found, number = entries.find(small, Wanted(), zone=ZONE, most=4)
    assert number == 16 and found["seq"].to_list() == [16, 15, 14, 13]
    assert entries.find(small, Wanted(phase="refused"), zone=ZONE)[0]["user"].to_list() == ["bob"]
    assert entries.find(small, Wanted(user="ann", case="0142", start=date(2026, 5, 19)), zone=ZONE)[1] == 4
    assert entries.find(small, Wanted(end=date(2026, 5, 15)), zone=ZONE)[1] == 2
    assert entries.find(small, Wanted(glass=True), zone=ZONE)[1] == 2
    assert entries.find(small, Wanted(case="' or 1=1 --"), zone=ZONE)[1] == 0
    assert entries.named(small, "user") == ["ann", "bob"]
    with pytest.raises(BadInput, match="ends on 2026-05-01 before it begins"):
        entries.find(small, Wanted(start=date(2026, 5, 2), end=date(2026, 5, 1)), zone=ZONE)


def test_the_figures_are_those_of_the_agencys_own_day(small: Audit) -> None:
    midnight = datetime(2026, 5, 20, 5, tzinfo=UTC)  # 00:00 in Chicago
    for at in (midnight - timedelta(minutes=1), midnight + timedelta(minutes=1), midnight - timedelta(days=6), midnight - timedelta(days=6, minutes=1)):
        put(small, at, ANN, "query", "reads")
    put(small, midnight + timedelta(hours=1), ANN, "load", "sample_calls")
    put(small, midnight + timedelta(hours=1), Person("bob"), "query", "people", "refused")
    put(small, midnight - timedelta(hours=1), Person("fay", emergency=True), "search", "people")
    assert entries.figures(small, NOW, ZONE) == entries.Figures(14, 2, 5, 1, 1, 0, 1, 3)


def test_each_review_item_has_the_entries_behind_it_with_how_they_ended(small: Audit) -> None:
    now = datetime.now(UTC)
    for n in range(4):
        put(small, now - timedelta(hours=9 - n), ANN, "query", "reads", plate="ABC1234")
        put(small, now - timedelta(hours=9 - n), ANN, "query", "reads", plate=f"OTHER{n}")
    review.fill(small, agencies.read(small.file.parent))
    item = review.queue(small).filter(pl.col("kind") == "same target").row(0, named=True)
    behind = review.behind(small, item["item"])
    assert behind["seq"].to_list() == [1, 5, 9, 13] and behind["outcome"].to_list() == ["done"] * 4 and behind["rows"].to_list() == ["3"] * 4
    assert item["since"] == behind["at"][0] and watch.rate_in(item["sentence"]).startswith("I cannot tell how unusual")


def test_the_watch_looks_back_90_days_but_at_break_glass_however_old_it_is(small: Audit) -> None:
    now = datetime.now(UTC)
    for n in range(5):
        put(small, now - timedelta(days=200 + n), ANN, "query", "reads", plate="ABC1234")
    put(small, now - timedelta(days=199), Person("fay", None, None, "child missing, Oak Park", "patrol", True), "query", "reads")
    put(small, now, ANN, "query", "reads", plate="NEW1")
    agency = agencies.read(small.file.parent)
    review.fill(small, agency)
    kinds = review.queue(small)["kind"].to_list()
    assert "break-glass" in kinds and "same target" not in kinds and kinds.count("sample") >= 2
    assert review.fill(small, agency) == review.Filled(0, 0)


# --- covered ----------------------------------------------------------------------------------------------------------------------


def row(action: str = "query", object: str = "reads", reason: str | None = GOOD, case: str | None = "2026-0142", **detail: object) -> dict[str, object]:
    return {"action": action, "object": object, "reason": reason, "case_number": case, "detail": json.dumps(detail)}


def test_what_was_searched_for_is_covered_and_what_was_done_is_not() -> None:
    seen = covered.entry(row(plate="ABC1234", start="2026-05-01", rows=12, role="detective"))
    assert json.loads(seen["detail"]) == {"plate": "A•••4", "start": "2026-05-01", "rows": 12, "role": "detective"} and seen["object"] == "reads"
    seen = covered.entry(row("search", "people", text="Rosalind Achterberg, born 1984-02-03"))
    assert "osalind" not in str(seen) and "chterberg" not in str(seen) and "1984" not in str(seen) and seen["object"] == "people"
    seen = covered.entry(row("links", "person:P000017, vehicle:ABC1234"))
    assert seen["object"] == "person:P•••7, vehicle:A•••4"
    seen = covered.entry(row("sql", "lake", query="select plate from reads where plate = 'ABC1234' and reader = 'R-17'"))
    assert "select plate from reads where plate = 'A•••4'" in seen["detail"] and "R-17" not in seen["detail"]
    seen = covered.entry(row("query", "people", said="There is no plate 'QQQ9999'. Did you mean 'Miller'?"))
    assert "QQQ9999" not in seen["detail"] and "Miller" not in seen["detail"]


def test_reasons_stay_readable_without_plates_phones_and_names_searched_for() -> None:
    seen = covered.entry(row("search", "people", "who Rosalind called on 312-555-0142 from ABC1234 on 2026-05-01, case 2026-0142", text="rosalind"))
    assert seen["reason"] == "who R•••d called on 3•••2 from A•••4 on 2026-05-01, case 2026-0142"
    assert covered.entry(row())["reason"] == GOOD


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[A-Z]{3}[0-9]{4}|[B-DF-HJ-NP-TV-XZ]{6,9}", fullmatch=True),
       st.sampled_from(["query", "search", "links", "sql", "anything", "keep"]),
       st.sampled_from(["plate", "text", "query", "key", "zone", "person", "said", "note"]))
def test_no_plate_comes_through_by_object_detail_or_reason(plate: str, action: str, key: str) -> None:
    inside = f"'{plate}'" if key == "said" else plate
    made = row(action, f"vehicle:{plate}", f"who drove {plate} that night", **{key: inside, "more": {"deep": [plate, {"x": f"a {plate} b"}]}})
    seen = covered.entry(made)
    assert plate.lower() not in " ".join(str(v) for v in seen.values()).lower()


def test_an_item_of_the_queue_is_covered_too() -> None:
    base = {"user": "ann", "note": None, "count": 7}
    seen = covered.item({**base, "kind": "same target", "what": "ABC1234", "sentence": "ann asked for ABC1234 7 times within 30 days, under 2026-0142."})
    assert seen["what"] == "A•••4" and seen["sentence"] == "ann asked for A•••4 7 times within 30 days, under 2026-0142."
    seen = covered.item({**base, "kind": "other's case", "what": "C26B0117", "sentence": "ann asked 3 times under case C26B0117, which is closed."})
    assert "C26B0117" in seen["sentence"] and seen["what"] == "C26B0117"
    seen = covered.item({**base, "kind": "sample", "what": "search Achterberg", "sentence": "Drawn at random: entry 7 of ann, search Achterberg."})
    assert "chterberg" not in str(seen)


def test_who_sees_every_table_about_persons_whole_reads_the_log_whole(own_city: Path) -> None:
    policy = Policy.of(wb.open_workbench(edited(own_city, ROLES, PEOPLE), user="sue").agency)
    assert [covered.needed(policy, Person(u, role=r)) for u, r in (("sue", "supervisor"), ("ada", "auditor"), ("kim", "keeper"))] == [False, True, True]


# --- the page ---------------------------------------------------------------------------------------------------------------------


def test_the_page_is_for_who_may_audit_or_review_and_a_refusal_is_calm_and_written_down(own_city: Path) -> None:
    edited(own_city, ROLES, PEOPLE)
    entry = apps.find("oversight")
    assert entry.deeds == ("audit", "review") and entry.needs == ()
    for user, may in (("ann", False), ("cal", False), ("sue", True), ("ada", True), ("kim", True)):
        city = wb.open_workbench(own_city, user=user)
        assert entry.is_for(city) is may
        card = hub._app_card(entry, hub.holdings(city), city)
        assert card.startswith("<a class=app") is may and ("your role is" in card) is not may
        assert ("Oversight" in page.heading(city, "")) is may
    with pytest.raises(AccessRefused, match=r"does not see this page .oversight.; it is for: supervisor, auditor, keeper"):
        entry.page(wb.open_workbench(own_city, user="ann"))
    assert Audit(own_city / "audit.db").entries(1).select("user", "phase", "object").row(0) == ("ann", "refused", "oversight")


def test_the_log_shows_and_saves_what_was_asked_for_and_that_is_written_down_too(own_city: Path) -> None:
    edited(own_city, ROLES, PEOPLE)
    audit = Audit(own_city / "audit.db")
    put(audit, datetime.now(UTC), ANN, "query", "reads", plate="ABC1234")
    put(audit, datetime.now(UTC), Person("mal", "2026-0142", "investigation", "=HYPERLINK(1)"), "query", "=cmd()", "refused")
    log = oversight_log.Log(wb.open_workbench(own_city, user="ada"), hide=True)
    log.first()
    shown = json.dumps(log.table.content, ensure_ascii=False)
    assert "A•••4" in shown and "ABC1234" not in shown
    log._only_refused()
    assert [r["cells"][2] for r in log.table.content["rows"]] == ["mal"]
    saved = log.export()
    lines = list(csv.reader(io.StringIO(saved.read().decode()))) if saved else []
    assert len(lines) == 2 and "'=HYPERLINK(1)" in lines[1]
    last = audit.entries(2)
    assert last["action"].to_list() == ["export audit"] * 2 and json.loads(last["detail"][0])["filter"]["phase"] == "refused"
    denied = oversight_log.Log(wb.open_workbench(own_city, user="sue"), hide=False)
    denied.show()
    assert not denied.table.content["rows"] and "may not do this (audit" in denied.message.pane.object
    assert audit.entries(1)["phase"][0] == "refused"


def test_a_decision_is_somebody_elses(own_city: Path) -> None:
    edited(own_city, ROLES, PEOPLE)
    audit = Audit(own_city / "audit.db")
    for user in ("ann", "Sue"):
        put(audit, datetime.now(UTC), Person(user, None, None, "armed man near the school", "patrol", True), "query", "reads")
    tab = oversight_review.Review(wb.open_workbench(own_city, user="sue"), False, lambda: None)
    tab.fill()
    items = dict(tab.queue.filter(pl.col("kind") == "break-glass").select("user", "item").iter_rows())
    tab.choose(items["Sue"])
    assert not tab.form.visible and "somebody else has to review it" in tab.said.pane.object
    tab.note.value = "I was right to"
    tab.decide("justified")
    assert "somebody else has to review it" in tab.said.pane.object and audit.entries(1)["phase"][0] == "refused"
    tab.choose(items["ann"])
    tab.note.value = ""
    tab.decide("justified")
    assert "needs a note" in tab.said.pane.object
    tab.note.value = "<b>call 118</b> told of the man"
    tab.decide("justified")
    assert items["ann"] not in tab.queue["item"].to_list() and items["Sue"] in tab.queue["item"].to_list()
    tab.which.value = "Decided"
    assert tab.queue["item"].to_list() == [items["ann"]]
    tab.choose(items["ann"])
    assert "&lt;b&gt;call 118" in tab.about.object and not tab.form.visible


def test_what_is_not_set_up_is_said_so(own_city: Path) -> None:
    file = own_city / agencies.FILE
    text = file.read_text(encoding="utf-8")
    file.write_text(text[:text.index("[retention]")] + text[text.index("[roles]"):], encoding="utf-8")
    city = wb.open_workbench(own_city)
    tiles = {t.label: t for t in oversight_head.kept(city, datetime.now(UTC))}
    assert tiles["Gone tomorrow"].figure == "I cannot tell" and tiles["Last purge"].figure == "none" and tiles["Intelligence reviews"].figure == "none kept"
    assert "I cannot tell" in oversight_head.root_sentence(city)[0]
    head = oversight_head.Head(city)
    head.check()
    assert "The audit is whole" in head.verdict.object
    with city.audit.opened() as db:
        db.execute("update entries set user = 'nobody' where seq = 1")
    head.check()
    assert "The audit does not fit" in head.verdict.object and "Entry 1" in head.verdict.object

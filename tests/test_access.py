"""Who may see what: roles by table, column and age, purposes, reasons that mean something, masks that no question gets round, and break-glass."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import agency as agencies
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput, NotFound
from workbench.oversight import policy, reasons
from workbench.oversight.access import Policy, matrix, require
from workbench.oversight.audit import Audit, Person
from workbench.results import Basis, origin_of
from workbench.schema import TABLES

BOUND = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes"}
GOOD = ("who was near the scenes", "quién estaba cerca de las escenas", "series of burglaries on weekday mornings", "owner says the toll is not theirs",
        "two cars reported together after midnight", "robbery suspects fled in a red truck", "find the van seen by a neighbor",
        "welfare check on missing child",
        "vehículo robado visto en el puente", "same entry as in the May burglaries", "wer war in der Nähe der Tatorte", "hit and run on Oak Street")
VAGUE = ("", "   ", "test", "tests", "asdf", "asdf asdf", "qwerty uiop", "police business", "official police business", "investigation", "because",
         "because I need to",
         "n/a", "N/A n/a", "criminal investigation",
         "case 2026-0142", "2026-0142 investigation", "2026 0142", "checking something", "look look look",
         "aaaaaaaa aaaaaaa",
         "xxx xxx", "12345 67890", "information please", "routine check", "asdasd qweqwe", "motivo policial", "trabajo de investigación",
         "zzz kkk", "just looking", "......")


def edited(folder: Path, roles: str = "", access: str = "") -> Path:
    """The workspace with other [roles] and [access]."""
    text = (folder / agencies.FILE).read_text(encoding="utf-8")
    (folder / agencies.FILE).write_text(f"{text[:text.index('[roles]')]}[roles]\n{roles}\n[access]\n{access}\n", encoding="utf-8")
    return folder


# --- reasons ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", GOOD)
def test_a_reason_that_says_what_is_to_be_learnt_passes(reason: str) -> None:
    assert reasons.check(f"  {reason} ", case="2026-0142", purpose="investigation") == reason


@pytest.mark.parametrize("reason", VAGUE)
def test_a_vague_reason_is_refused_with_one_that_would_do(reason: str) -> None:
    with pytest.raises(AccessRefused, match="e.g. reason='who was near the scenes"):
        reasons.check(reason, case="2026-0142", purpose="investigation")


@given(st.lists(st.sampled_from(sorted(reasons._FILLER | reasons._LITTLE)), max_size=12), st.sampled_from([" ", ", ", " - ", "\n"]))
def test_no_string_of_filler_words_is_a_reason(words: list[str], between: str) -> None:
    assert reasons.vague(between.join(words))


@given(st.text(max_size=80))
def test_any_text_is_either_kept_or_refused_with_a_sentence(text: str) -> None:
    try:
        assert reasons.check(text) == " ".join(text.split())
    except AccessRefused as refused:
        assert str(refused).endswith("burglaries'.")


# --- the policy -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("roles", "access", "said"), [
    ('x = { tables = ["incidentz"] }', "", "Did you mean 'incidents'"), ('x = { tabels = [] }', "", "Did you mean 'tables'"),
    ('x = { unmasked = ["victim"] }', "", "Did you mean 'victims'"), ('x = { may = ["exprot"] }', "", "Did you mean 'export'"),
    ('x = { days = { people = 3 } }', "", "have no time"), ('x = { days = { reads = 0 } }', "", "whole days"),
    ('x = { hidden = { incidents = ["incident_id"] } }', "", "no column that can be hidden"), ('x = 3', "", "write { tables"),
    ("", 'defalt_role = "analyst"', "Did you mean 'default_role'"), ("", 'default_role = "analist"', "Did you mean 'analyst'"),
    ("", 'people = { ann = "detectiv" }', "Did you mean 'detective'"), ("", "emergency_minutes = 90", "from 1 to 60"), ("", "purposes = []", "names none"),
    ("", 'needs_case = ["cals"]', "Did you mean 'calls'")])
def test_a_slip_in_the_settings_is_said_when_the_workspace_is_opened(own_city: Path, roles: str, access: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        wb.open_workbench(edited(own_city, roles, access))


def test_the_built_in_roles_see_what_the_page_on_them_says() -> None:
    held = Policy(policy.roles({}), policy.Settings())
    now = datetime(2026, 7, 1, tzinfo=UTC)
    seen = {name: {t for t in TABLES if held.decide(Person("a", "c", "p", "r", name), t, now).allowed} for name in held.roles}
    assert seen["auditor"] == seen["administrator"] == set()
    assert not {t for t in seen["analyst"] if TABLES[t].personal} and "incidents" in seen["analyst"]
    assert seen["detective"] == seen["supervisor"] == set(TABLES)
    assert not {t for t in seen["ems"] if TABLES[t].personal} and "offence" in held.decide(Person("a", role="ems"), "incidents", now).hidden
    assert held.decide(Person("a", "c", "p", "r", "detective"), "reads", now).oldest == now - timedelta(days=30)
    assert held.decide(Person("a", "c", "p", "r", "supervisor"), "reads", now).whole
    assert held.roles["analyst"].within(held.roles["supervisor"]) and not held.roles["supervisor"].within(held.roles["detective"])
    assert not held.roles["auditor"].within(held.roles["supervisor"]), "who approves does not read the audit of it"
    assert len(matrix(held)) == len(TABLES)


def test_a_person_takes_a_lower_role_and_never_one_that_is_not_theirs(own_city: Path) -> None:
    edited(own_city, "", 'default_role = "analyst"\npeople = { ann = "supervisor", ben = ["detective", "administrator"] }')
    assert wb.open_workbench(own_city, user="ann").role == "supervisor"
    assert wb.open_workbench(own_city, user="ann", role="analyst").role == "analyst"
    assert wb.open_workbench(own_city, user="ben", role="administrator").role == "administrator"
    assert wb.open_workbench(own_city, user="carl").role == "analyst"
    for user, role in (("carl", "detective"), ("ben", "supervisor"), ("ann", "administrator"), ("ann", "auditor")):
        with pytest.raises(AccessRefused, match=f"does not hold the role {role}"):
            wb.open_workbench(own_city, user=user, role=role)
    last = Audit(own_city / "audit.db").entries(1)
    assert last["phase"][0] == "refused" and last["user"][0] == "ann" and "auditor" in last["detail"][0]
    with pytest.raises(NotFound, match="Did you mean 'detective'"):
        wb.open_workbench(own_city, user="ann", role="detektive")


def test_what_a_role_may_do_is_asked_by_one_function(own_city: Path) -> None:
    agency = agencies.read(edited(own_city, "", 'people = { ann = "supervisor" }'))
    require(agency, Person("ann"), "review")
    with pytest.raises(AccessRefused, match="The role supervisor of ann may not do this .*; administrator may"):
        require(agency, Person("ann"), "purge")
    with pytest.raises(AccessRefused):
        require(agency, Person("ann", role="analyst", emergency=True), "review")
    with pytest.raises(BadInput, match="Did you mean 'purge'"):
        require(agency, Person("ann"), "purg")


# --- case, purpose, reason --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given_", "said"), [
    ({"case": "2026-0143"}, "There is no case '2026-0143'. Did you mean"), ({"purpose": "curiosity"}, "not on the agency's list"),
    ({"reason": "police business"}, "would fit any search"), ({"reason": None}, "A reason is needed"), ({"reason": "case 2026-0142"}, "would fit|repeats")])
def test_case_purpose_and_reason_are_checked_when_they_are_bound_and_refusals_are_logged(city_path: Path, given_: dict[str, Any], said: str) -> None:
    with pytest.raises(AccessRefused, match=said):
        wb.open_workbench(city_path, **{**BOUND, **given_}, user="bind-test")
    last = Audit(city_path / "audit.db").entries().filter(pl.col("user") == "bind-test").tail(1)
    assert (last["action"][0], last["phase"][0]) == ("open", "refused") and "said" in json.loads(last["detail"][0])


def test_a_closed_case_is_refused_but_to_whom_may_work_under_closed_cases(own_city: Path) -> None:
    import sqlalchemy as sa

    edited(own_city, "", 'default_role = "detective"\npeople = { ann = "supervisor" }')
    book = Casebook(own_city / "casebook.db")
    with book.engine.begin() as db:
        db.execute(sa.text("update cases set status = 'closed' where case_number = '2026-0142'"))
    with pytest.raises(AccessRefused, match="Case 2026-0142 is closed, .*supervisor may"):
        wb.open_workbench(own_city, **BOUND)
    assert wb.open_workbench(own_city, **BOUND, user="ann").table("people").height


def test_tables_of_the_settings_need_a_case_too(own_city: Path) -> None:
    edited(own_city, 'detective = { tables = ["*"], unmasked = ["*"] }', 'default_role = "detective"\nneeds_case = ["calls"]')
    with pytest.raises(AccessRefused, match="calls is shown only for a case"):
        wb.open_workbench(own_city).calls()
    assert wb.open_workbench(own_city, **BOUND).calls().height


# --- columns and age --------------------------------------------------------------------------------------------------------------


def test_hidden_columns_are_empty_on_every_path(own_city: Path) -> None:
    hidden = 'hidden = { incidents = ["offence", "narrative", "mo", "nibrs", "offence_detail"] }'
    edited(own_city, f'ems = {{ tables = ["incidents", "calls"], {hidden} }}', 'default_role = "ems"')
    city = wb.open_workbench(own_city)
    frame = city.incidents()
    assert frame.height and frame["offence"].null_count() == frame.height and set(frame["offence_group"]) == {"other"}
    assert city.sql("select count(*) n from incidents where nibrs is not null or narrative is not null")["n"][0] == 0
    assert city.history("incidents", frame["incident_id"][0])["offence"].null_count() >= 1
    assert city.search("door").height == 0
    assert any("without offence" in n for n in Basis.of(frame, method="x").notes)


def test_older_rows_are_left_out_of_every_path_and_asking_for_them_names_who_may(own_city: Path) -> None:
    newest = datetime(2026, 6, 30, tzinfo=UTC)
    days = (datetime.now(UTC) - newest).days + 5
    edited(own_city, f'detective = {{ tables = ["*"], unmasked = ["*"], days = {{ reads = {days}, incidents = {days} }} }}', 'default_role = "detective"')
    city, oldest = wb.open_workbench(own_city, **BOUND), datetime.now(UTC) - timedelta(days=days)
    whole = city._counted
    reads = city.reads()
    truth = whole.frame("reads", city.versions)
    old, young = truth.filter(pl.col("read_at") < oldest - timedelta(minutes=5)), truth.filter(pl.col("read_at") > oldest + timedelta(minutes=5))
    assert old.height and young.height
    assert reads["read_at"].min() >= oldest - timedelta(minutes=1) and young.height <= reads.height < truth.height
    for frame in (reads, city.table("reads"), city.facts().reads, city.sql("select * from reads")):
        assert frame["read_at"].min() >= oldest - timedelta(minutes=1)
        assert any("before" in n and "left out" in n for n in origin_of(frame).notes)
    assert any("left out" in n for n in Basis.of(reads.head(0), *city.facts().__dict__.values(), method="x").notes)
    assert city.sql("select count(*) n from reads where read_at < ?", [oldest - timedelta(minutes=5)])["n"][0] == 0
    gone = old.filter(~pl.col("plate").is_in(young["plate"].to_list()))["plate"][0]
    assert city.reads(plate=gone).height == 0
    assert city.history("reads", old["read_id"][0]).height == 0
    for ask in (lambda: city.reads("2026-05-01"), lambda: city.reads(end="2026-05-01"), lambda: city.reads("2026-05-01", plate=gone),
                lambda: city.rows("reads", "2026-05-01", "2026-05-02"), lambda: city.search("door", start="2026-05-01"),
                lambda: city.facts(reads_since="2026-05-01")):
        with pytest.raises(AccessRefused, match=r"of the last \d+ days only, from 2026-06-\d\d .*older rows are for: .*supervisor"):
            ask()
    assert city.audit.entries(1)["phase"][0] == "refused"
    assert city.search("door").filter(pl.col("at") < oldest - timedelta(minutes=5)).height == 0


# --- break-glass ------------------------------------------------------------------------------------------------------------------


def test_breaking_the_glass_shows_what_a_higher_role_sees_needs_a_reason_and_is_marked(own_city: Path) -> None:
    edited(own_city, 'patrol = { tables = ["incidents"], may = ["emergency"] }', 'default_role = "patrol"\npeople = { eve = "ems" }')
    with pytest.raises(AccessRefused, match="would fit any search"):
        wb.open_workbench(own_city, emergency=True, reason="police business")
    with pytest.raises(AccessRefused, match="may not do this"):
        wb.open_workbench(own_city, emergency=True, reason="armed man fled toward the school", user="eve")
    with pytest.raises(AccessRefused):
        wb.open_workbench(own_city).table("people")
    city = wb.open_workbench(own_city, emergency=True, reason="armed man fled toward the school")
    assert city.table("people").height and city.reads("2026-06-29", "2026-06-30").height and "EMERGENCY" in repr(city)
    mine = city.audit.entries().filter(pl.col("reason") == "armed man fled toward the school", pl.col("phase") != "refused")
    assert "emergency" in mine["action"].to_list() and all(json.loads(d)["emergency"] for d in mine["detail"])
    with pytest.raises(AccessRefused, match="may not do this"):
        city.require("purge")


def test_an_emergency_access_ends_after_its_minutes_on_every_path_and_is_not_stretched(own_city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited(own_city, "", 'default_role = "analyst"\nemergency_minutes = 10')
    city = wb.open_workbench(own_city, emergency=True, reason="armed man fled toward the school")
    assert timedelta(minutes=9) < city.until - datetime.now(UTC) <= timedelta(minutes=10)
    assert city.again().until == city.until
    city.until = datetime.now(UTC) - timedelta(seconds=1)
    for ask in (lambda: city.incidents(), lambda: city.sql("select 1"), lambda: city.find("ab"), lambda: city.table("people"), lambda: city.again(),
                lambda: city.holdings(), lambda: city.lake.frame("people"), lambda: city.casebook):
        with pytest.raises(AccessRefused, match="emergency access .* ended"):
            ask()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_lower_role_never_sees_more_than_the_one_it_is_within(data: st.DataObject) -> None:
    held = Policy(policy.roles({}), policy.Settings())
    low, high = (data.draw(st.sampled_from(sorted(held.roles))) for _ in range(2))
    now = datetime(2026, 7, 1, tzinfo=UTC)
    if held.roles[low].within(held.roles[high]):
        for name in TABLES:
            a, b = (held.decide(Person("x", "c", "p", "r", r), name, now) for r in (low, high))
            aged = b.oldest is None or (a.oldest is not None and b.oldest <= a.oldest)
            assert not a.allowed or (b.allowed and set(b.masked) <= set(a.masked) and set(b.hidden) <= set(a.hidden) and aged)


def test_a_question_asked_of_few_passes_the_gate_once_more_and_is_written_down(own_city: Path) -> None:
    from workbench.results import permitted

    people = 'people = { una = "detective", sven = "supervisor", ana = "analyst" }'
    edited(own_city, access=f'default_role = "analyst"\n{people}')
    for user, good in (("una", False), ("sven", True)):
        opened = wb.open_workbench(own_city, **BOUND, user=user)
        reads = opened.table("vehicles")
        permitted(reads, deed="pattern of life", plate="ABC1234")
        if good:
            permitted(reads, deed="all pairs")
        else:
            with pytest.raises(AccessRefused, match="all pairs.*supervisor may"):
                permitted(reads, deed="all pairs")
        said = opened.audit.entries(3)["detail"].to_list()
        assert any("ABC1234" in text for text in opened.audit.entries(6)["detail"].to_list()) and said
    open_to_all = wb.open_workbench(own_city, user="ana").incidents("2026-06-01", "2026-06-03")
    with pytest.raises(AccessRefused, match="asked only for a case"):
        permitted(open_to_all, deed="description")
    with pytest.raises(BadInput, match="Did you mean"):
        permitted(open_to_all, deed="descriptions")
    permitted(pl.DataFrame({"a": [1]}), deed="all pairs")
    una, sven = (wb.open_workbench(own_city, **BOUND, user=user) for user in ("una", "sven"))
    both = (una.table("vehicles"), sven.table("vehicles"))
    permitted(both[1], deed="all pairs")
    with pytest.raises(AccessRefused, match="what several people were given here"):
        permitted(both[0].head(3), deed="all pairs")

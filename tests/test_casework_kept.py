"""Hits, judgements on who is who, telephone calls and questions about plates are kept, deleted, watched and refused as other data about people is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import workbench as wb
from tests.test_access import edited
from tests.test_audit_watch import plate, rows
from tests.test_expunge import ORDER, city
from tests.test_keep import READS, write
from tests.test_purge import FACTS, HEADER, NOW, at, bytes_of, workspace
from workbench import serving
from workbench.casebook import Casebook, place
from workbench.casebook.hits import Hits
from workbench.casebook.identities import Ids, Judgements
from workbench.cli import retention as cli
from workbench.errors import AccessRefused
from workbench.lake import Lake
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.models.plates import convoy
from workbench.oversight import casework, certificate, covered, evidence, expunge, holds, preview, purge, watch
from workbench.oversight.audit import Audit, Person

CALLS = Source(name="toy_cdr", title="telephone calls", columns=("id", "caller", "called", "at"),
               parts=(Part("phone_calls", {"call_id": text("id"), "caller": text("caller"), "called": text("called"),
                                           "started_at": local_time(column("at"), "iso")}),))
PHONES = Source(name="toy_phones", title="phones", columns=("id", "number"), parts=(Part("phones", {"phone_id": text("id"), "number": text("number")}),))
TIES = Source(name="toy_more_ties", title="ties", columns=("id", "person", "entity"),
              parts=(Part("associations", {"association_id": text("id"), "person_id": text("person"), "entity_kind": "'phone'", "entity_id": text("entity"),
                                           "relation": "'subscriber'"}),))
PERSONS = Source(name="toy_persons", title="people", columns=("id", "surname"), parts=(Part("people", {"person_id": text("id"), "surname": text("surname")}),))
OLD = [("READ-OLD-1", "QXJZ0001", 40), ("READ-OLD-2", "QXJZ0002", 41), ("READ-OLD-3", "QXJZ0003", 42), ("READ-OLD-4", "QXJZ0004", 43)]


def hit(number: int, read: str, seen: str, days: float, listed: str | None = None, first: str | None = None) -> dict[str, object]:
    return {"hit_id": f"ENTRY-{number}/{first or read}", "entry_id": f"ENTRY-{number}", "plate": listed or seen, "region": None, "list_name": "stolen",
            "reason": "stolen", "read_id": read, "read_plate": seen, "read_region": None, "reader": "R1", "read_at": NOW - timedelta(days=days),
            "kind": "exact", "probability": 0.9}


def watched(tmp_path: Path, moved: Callable[[Path], Path] = lambda path: path) -> tuple[Path, Hits]:
    """Four old reads with a hit each, one new read whose pass began with an old one, and a hit whose read the lake never had."""
    path = moved(workspace(tmp_path / "city"))
    Lake(path / "lake").load(READS, write(path / "in/reads.csv", HEADER, [*((r, p, at(d), "R1") for r, p, d in OLD),
                                                                          ("READ-NEW-1", "QXJZ0005", at(3), "R1")]))
    book = Hits(place.of(path))
    found = [hit(n, r, p, d, listed="QXJZOO02" if n == 2 else None) for n, (r, p, d) in enumerate(OLD, 1)]
    more = [hit(5, "READ-NEW-1", "QXJZ0005", 3), hit(6, "READ-GONE-6", "QXJZ0006", 50), hit(7, "READ-LIVE-7", "QXJZ0007", 2)]
    assert book.add(pl.DataFrame([*found, *more], infer_schema_length=None), user="anna") == 7
    for n in (1, 3, 4):
        book.verify(f"ENTRY-{n}/READ-OLD-{n}", plate=True, state=True, active=n != 4, note=f"saw QXJZ000{n}", user="berta")
    Audit(path / "audit.db").write(Person("anna"), "hits verify", "ENTRY-2/READ-OLD-2")
    return path, book


def test_a_hit_goes_with_its_read_and_no_byte_of_it_stays(tmp_path: Path) -> None:
    path, book = watched(tmp_path)
    made = purge.run(path, NOW, user="anna", reason="daily purge")
    gone = [*(v for r, p, _ in OLD for v in (r, p)), "QXJZOO02", "READ-GONE-6", "QXJZ0006"]
    assert bytes_of(path, gone) == {} and made.body["verification"]["found"] == 0
    assert sorted(book.frame()["read_id"]) == ["READ-LIVE-7", "READ-NEW-1"]
    assert "casebook: hits with what was said of them deleted, since the reads they came from are kept no longer: 5" in made.body["work"]
    assert certificate.verify(path, made.certificate_id)[0]


def test_a_confirmed_hit_whose_read_is_evidence_stays_with_the_case_and_goes_with_it(tmp_path: Path) -> None:
    path, book = watched(tmp_path)
    for n in (1, 2, 4):  # confirmed, unverified, rejected
        evidence.attach(path, "C1", "reads", f"READ-OLD-{n}", "the car of the robbery", "anna")
    purge.run(path, NOW, user="anna", reason="daily purge")
    assert sorted(book.frame()["read_id"]) == ["READ-LIVE-7", "READ-NEW-1", "READ-OLD-1"] and book.said("ENTRY-1/READ-OLD-1").height == 1
    Casebook(path / "casebook.db").close_case("C1", "sentence final", user="anna", at=NOW - timedelta(days=900))
    (path / "agency.toml").write_text((path / "agency.toml").read_text() + 'cases = "1 year after closing"\n')
    purge.run(path, NOW, user="anna", reason="daily purge")
    assert sorted(book.frame()["read_id"]) == ["READ-LIVE-7", "READ-NEW-1"] and bytes_of(path, ["READ-OLD-1", "QXJZ0001"]) == {}


def test_the_preview_of_a_purge_shows_the_hits_and_judgements_that_it_then_deletes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, book = watched(tmp_path)
    toml = path / "agency.toml"
    toml.write_text(toml.read_text() + "people = 30\n")
    Lake(path / "lake").load(PERSONS, write(path / "in/people.csv", "id,surname", [("PERS-000001", "A"), ("PERS-000002", "B")]))
    judged = Judgements(place.of(path))
    for left, right in (("PERS-000001", "PERS-000009"), ("PERS-000008", "PERS-000009"), ("QXJZ0001", "PERS-000009")):  # of a record, of none, of a value
        judged.judge("person", left, right, "different", "another scar", user="anna")
    assert judged.take(pl.DataFrame({"kind": ["person"], "left": ["PERS-000002"], "right": ["PERS-000007"]}), user="anna").height == 1
    bore = {"PERS-000001": "PERS-000001", "PERS-000007": "PERS-000001", "PERS-000005": "PERS-000004", "PERS-000004": "PERS-000004"}
    assert Ids(place.of(path)).keep("person", pl.DataFrame({"record_id": list(bore), "entity_id": list(bore.values())})) == 4
    number = holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"plates": ["QXJZOO02"]}, user="anna",
                       begins=NOW - timedelta(days=1), until=NOW + timedelta(days=30))
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.name != "lock")
    now = preview.work(path, NOW)
    assert (len(now.hits), len(now.judgements), len(now.pairs), [h["hold_id"] for h in now.respected]) == (4, 1, 0, [number])
    later = datetime.now(UTC) + timedelta(days=60)
    shown = preview.work(path, later)
    assert (len(shown.hits), len(shown.judgements), len(shown.pairs), shown.respected) == (7, 2, 1, ())
    assert now.named == frozenset() and shown.named == {("person", "PERS-000001"), ("person", "PERS-000007")}  # the record's, and one named after it
    cli._preview(path, argparse.Namespace(days=60.0))
    assert "7 hits with what was said of them go, since the reads they came from are kept no longer" in capsys.readouterr().out
    assert sorted(f for f in path.rglob("*") if f.is_file() and f.name != "lock") == files and book.frame().height == 7
    made = purge.run(path, later, user="anna", reason="daily purge")
    assert [line for line in made.body["work"] if " deleted, since " in line] == [f"casebook: {what} deleted, since {why}: {n}"
                                                                                  for n, what, why in casework.counted(shown)]
    assert Ids(place.of(path)).every()["record_id"].sort().to_list() == ["PERS-000004", "PERS-000005"] and bytes_of(path, ["PERS-000001"]) == {}


def test_a_hold_on_the_listed_plate_keeps_its_hit_and_the_certificate_says_so(tmp_path: Path) -> None:
    path, book = watched(tmp_path)
    number = holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"plates": ["QXJZOO02"]}, user="anna",
                       begins=NOW - timedelta(days=1), until=NOW + timedelta(days=30))
    made = purge.run(path, NOW, user="anna", reason="daily purge")
    assert "ENTRY-2/READ-OLD-2" in book.frame()["hit_id"].to_list() and book.frame().height == 3
    assert {"hold_id": number, "matter": "C1", "table": "hits", "rows": 1} in made.body["holds"] and made.body["verification"]["found"] == 0
    holds.release(path, number, "charges dropped on 4 June", "anna")
    purge.run(path, NOW, user="anna", reason="daily purge")
    assert book.frame().height == 2 and bytes_of(path, ["READ-OLD-2", "QXJZ0002"]) == {}


def test_a_purge_killed_before_hits_are_deleted_still_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, book = watched(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(purge.clearing, "tidy_sqlite", lambda file: (_ for _ in ()).throw(KeyboardInterrupt))
        broken.setattr(purge.clearing, "casebook", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            purge.run(path, NOW, user="anna", reason="daily purge")
    assert book.frame().height == 2
    with purge.locked(path):
        made = purge.finish(path)
    assert any("reads they came from are kept no longer: 5" in line for line in made[0].body["work"])
    assert bytes_of(path, ["READ-OLD-1", "QXJZ0001", "QXJZOO02"]) == {}


def test_judgements_on_a_person_go_with_an_order_and_others_stay(tmp_path: Path) -> None:
    path = city(tmp_path)
    book = Judgements(Casebook(path / "casebook.db"))
    first = book.judge("person", "PERS-000017", "PERS-000018", "same", "Ambrosius Quillfeather has the same scar", user="anna")
    book.undo(first, "another scar", user="berta")
    book.judge("person", "PERS-000018", "PERS-000021", "different", "not Ambrosius Quillfeather either", user="anna")
    pairs = pl.DataFrame({"kind": ["person", "vehicle"], "left": ["PERS-000017", "VEH-LONELY1"], "right": ["PERS-000022", "VEH-SHARED1"]})
    assert book.take(pairs, user="anna").height == 2
    made = expunge.run(path, ORDER, user="anna")
    assert book.history("person").select("left", "right", "why").rows() == [("PERS-000018", "PERS-000021", "not (purged) either")]
    assert book.held("person").is_empty() and book.held("vehicle").is_empty()
    assert {line.rsplit(": ", 1)[1] for line in made.body["work"] if "a record they are about" in line} == {"2"}
    assert bytes_of(path, ["PERS-000017", "Ambrosius Quillfeather", "VEH-LONELY1"]) == {} and made.body["verification"]["found"] == 0


def test_an_order_takes_the_hits_of_plates_that_nothing_else_has_and_the_calls_of_the_persons_own_numbers(tmp_path: Path) -> None:
    path, lake = city(tmp_path), Lake(tmp_path / "city/lake")
    lake.load(PHONES, write(path / "in/phones.csv", "id,number", [("PHONE-0001", "+15155550101"), ("PHONE-0002", "+15155550202"),
                                                                  ("PHONE-0003", "+15155550303")]))
    lake.load(TIES, write(path / "in/lines.csv", "id,person,entity", [
        ("LINE-000001", "PERS-000017", "PHONE-0001"), ("LINE-000002", "PERS-000017", "PHONE-0002"), ("LINE-000003", "PERS-000018", "PHONE-0002")]))
    lake.load(CALLS, write(path / "in/calls.csv", "id,caller,called,at", [
        ("CALL-000001", "+15155550101", "+15155550303", at(5)), ("CALL-000002", "+15155550303", "+15155550101", at(5)),
        ("CALL-000003", "+15155550202", "+15155550303", at(5))]))
    book = Hits(Casebook(path / "casebook.db"))
    book.add(pl.DataFrame([hit(1, "READ-1", "QXJ00O01", 1, listed="QXJ00001"), hit(2, "READ-2", "QXJ00002", 1)], infer_schema_length=None), user="anna")
    assert expunge.preview(path, ORDER)["phone_calls"] == 2
    made = expunge.run(path, ORDER, user="anna")
    assert made.rows["phone_calls"] == 2 and lake.frame("phone_calls")["call_id"].to_list() == ["CALL-000003"]
    assert sorted(lake.frame("phones")["phone_id"]) == ["PHONE-0002", "PHONE-0003"] and book.frame()["plate"].to_list() == ["QXJ00002"]
    assert bytes_of(path, ["+15155550101", "CALL-000001", "PHONE-0001", "QXJ00001"]) == {} and made.body["verification"]["found"] == 0


def test_telephone_calls_have_a_limit_of_their_own_and_their_numbers_go(tmp_path: Path) -> None:
    path = workspace(tmp_path / "city")
    (path / "agency.toml").write_text((path / "agency.toml").read_text() + "phone_calls = 365\n")
    Lake(path / "lake").load(CALLS, write(path / "in/calls.csv", "id,caller,called,at", [("CALL-000001", "+15155550101", "+15155550303", at(400)),
                                                                                         ("CALL-000002", "+15155550303", "+15155550404", at(5))]))
    assert purge.run(path, NOW, user="anna", reason="daily purge").rows == {"phone_calls": 1}
    assert bytes_of(path, ["+15155550101", "CALL-000001"]) == {} and bytes_of(path, ["+15155550303"])


def test_repeats_on_the_page_plates_in_ties_and_in_questions_of_models_are_flagged_and_one_search_counts_once() -> None:
    page = [one for _ in range(4) for one in ({"action": "plates", "object": "ABC1234", "detail": json.dumps({"question": "What are its habits?"})},
                                              {"action": "ask", "object": "pattern of life", "detail": json.dumps({"asked": {"plate": "abc 1234"}})})]
    assert "same target" not in watch.flags(rows(*page))["kind"].to_list()
    asked = {"action": "ask", "object": "pattern of life", "detail": json.dumps({"asked": {"plate": "ABC1234"}})}
    tied = {"action": "why", "object": "vehicle:ABC1234 and person:P1"}
    parts = [{"action": "plates", "object": "AB?1*"}, {"action": "plates", "object": "scenes"}] * 6
    for more in (asked, tied, {"detail": plate("ABC1234")}):
        apart = [{}, {}, more]  # two minutes after the last search
        found = watch.flags(rows(*page, *apart, *parts)).filter(pl.col("kind") == "same target")
        assert found.select("user", "what", "count").rows() == [("ann", "ABC1234", 5)]
    assert watch.flags(rows({"action": "plates", "object": "own 111"}), own={"ann": ["OWN111"]})["kind"].to_list() == ["own"]
    unasked = watch.flags(rows({"object": "recoveries", "case_number": None}, {"object": "incidents", "case_number": None}))
    assert unasked.filter(pl.col("kind") == "no case")["count"].to_list() == [1]


@pytest.mark.parametrize(("action", "object", "detail", "shown"), [
    ("plates", "KTX4417", {"question": "Who travelled with it?"}, "K•••7"),
    ("plates", "scenes", {"question": "Plates near the scenes"}, "scenes"),
    ("why", "vehicle:KTX4417 and person:P000017", {}, "vehicle:K•••7 and person:P•••7"),
    ("hits verify", "H0002/R10012345", {"plate": "yes", "note": "it is KTX4417"}, "H•••2/R•••5"),
    ("hits list", "unverified", {}, "unverified"),
    ("ask", "pattern of life", {"asked": {"plate": "KTX4417", "case_number": "2026-0142"}}, "pattern of life"),
    ("ask", "KTX4417", {}, "K•••7"),
])
def test_an_auditor_reads_what_was_done_and_no_plate(action: str, object: str, detail: dict[str, object], shown: str) -> None:
    out = covered.entry({"action": action, "object": object, "case_number": "2026-0142", "reason": "KTX4417 near the scenes", "detail": json.dumps(detail)})
    assert out["object"] == shown and not any("KTX4417" in str(v) or "R10012345" in str(v) for v in out.values())
    assert json.loads(out["detail"]).get("question") == detail.get("question")


def test_over_the_wire_all_pairs_are_refused_to_a_detective_and_the_servers_audit_has_it(own_city: Path) -> None:
    sees = 'tables = ["*"], unmasked = ["*"], may = ["brief"]'  # however old: the built-in one sees reads of the last 30 days
    edited(own_city, roles=f"detective = {{ {sees} }}", access='people = { una = "detective", sven = "supervisor" }')
    people = {"una-token": Person("una"), "sven-token": Person("sven")}
    server = serving.listen(own_city, "grpc://127.0.0.1:0", who=lambda token: people[token])
    why = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes of the burglaries"}
    try:
        for user in ("una", "sven"):
            there = wb.open_workbench(server.url, token=f"{user}-token", **why)
            reads = there.table("reads")
            if user == "una":
                with pytest.raises(AccessRefused, match="all pairs.*supervisor may"):
                    convoy.pairs(reads, asof=there.asof, zone=there.agency.zone)
            else:
                assert convoy.pairs(reads, asof=there.asof, zone=there.agency.zone).headline
            there.close()
    finally:
        assert server.stop()
    entries = Audit(own_city / "audit.db").entries(40).filter((pl.col("action") == "ask") & (pl.col("object") == "all pairs"))
    ended = {(r["user"], r["phase"]) for r in entries.iter_rows(named=True)}
    assert {("una", "refused"), ("sven", "done")} <= ended and ("una", "done") not in ended
    assert all('"peer"' in d for d in entries.filter(pl.col("phase") == "intent")["detail"])

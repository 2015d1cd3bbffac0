"""An expungement order removes a person and nobody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.test_keep import write
from tests.test_purge import FACTS, bytes_of, live, workspace
from workbench import cli
from workbench.casebook import Casebook
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.oversight import certificate, evidence, expunge, holds, purge
from workbench.oversight.audit import Audit

PEOPLE = Source(name="toy_people", title="people", columns=("id", "surname", "given"),
                parts=(Part("people", {"person_id": text("id"), "surname": text("surname"), "given_name": text("given")}),))
TIES = Source(name="toy_ties", title="ties", columns=("id", "person", "kind", "entity"),
              parts=(Part("associations", {"association_id": text("id"), "person_id": text("person"), "entity_kind": text("kind"), "entity_id": text("entity"),
                                           "relation": "'owner'"}),))
CARS = Source(name="toy_cars", title="cars", columns=("id", "plate"), parts=(Part("vehicles", {"vehicle_id": text("id"), "plate": text("plate")}),))
ARRESTS = Source(name="toy_arrests", title="arrests", columns=("id", "person", "at"),
                 parts=(Part("arrests", {"arrest_id": text("id"), "person_id": text("person"), "arrested_at": local_time(column("at"), "iso")}),))
ORDER = expunge.Order("Circuit Court", "26-EX-14", "2026-05-04", ("PERS-000017",))
GONE = ["PERS-000017", "Quillfeather, Ambrosius", "Ambrosius Quillfeather", "VEH-LONELY1", "QXJ00001", "ARREST-00017", "TIE-000001"]


def city(tmp_path: Path) -> Path:
    path = workspace(tmp_path / "city")
    lake = Lake(path / "lake")
    lake.load(PEOPLE, write(path / "in/people.csv", "id,surname,given", [("PERS-000017", "Quillfeather", "Ambrosius"), ("PERS-000018", "Dunmore", "Tilda")]))
    lake.load(PEOPLE, write(path / "in/again.csv", "id,surname,given", [("PERS-000017", "Quillfeather", "Ambrosius J")]))
    lake.load(CARS, write(path / "in/cars.csv", "id,plate", [("VEH-LONELY1", "QXJ00001"), ("VEH-SHARED1", "QXJ00002")]))
    lake.load(TIES, write(path / "in/ties.csv", "id,person,kind,entity", [
        ("TIE-000001", "PERS-000017", "vehicle", "VEH-LONELY1"), ("TIE-000002", "PERS-000017", "vehicle", "VEH-SHARED1"),
        ("TIE-000003", "PERS-000018", "vehicle", "VEH-SHARED1")]))
    lake.load(ARRESTS, write(path / "in/arrests.csv", "id,person,at", [("ARREST-00017", "PERS-000017", "2026-05-01T10:00:00")]))
    (path / "out/brief.html").write_text("<p>Ambrosius Quillfeather and Tilda Dunmore</p>", encoding="utf-8")
    desk = Casebook(path / "casebook.db")
    desk.add_subject("C1", "person:PERS-000017", "seen near", user="anna")
    desk.add_lead("C1", "person:PERS-000017", "Quillfeather, Ambrosius was near", json.dumps({}), user="anna")
    return path


def test_an_order_removes_a_person_from_facts_cases_and_outputs_and_spares_everybody_else(tmp_path: Path) -> None:
    path = city(tmp_path)
    assert expunge.preview(path, ORDER) == {"people": 1, "associations": 2, "arrests": 1, "vehicles": 1}
    made = expunge.run(path, ORDER, user="anna")
    assert made.rows == {"people": 2, "vehicles": 1, "associations": 2, "arrests": 1} and certificate.verify(path, made.certificate_id)[0]
    assert bytes_of(path, GONE) == {} and made.body["verification"]["found"] == 0
    lake = Lake(path / "lake")
    assert lake.frame("people")["person_id"].to_list() == ["PERS-000018"] and lake.frame("vehicles")["vehicle_id"].to_list() == ["VEH-SHARED1"]
    assert lake.frame("associations")["association_id"].to_list() == ["TIE-000003"] and not (path / "out/brief.html").exists()
    assert "26-EX-14" in made.body["policy"][0] and Casebook(path / "casebook.db").subjects("C1").height == 1
    with pytest.raises(NotFound, match="No record"):
        expunge.run(path, ORDER, user="anna")


def test_an_export_sent_again_does_not_bring_the_person_back(tmp_path: Path) -> None:
    path = city(tmp_path)
    expunge.run(path, ORDER, user="anna")
    lake = Lake(path / "lake")
    report = lake.load(PEOPLE, write(tmp_path / "new.csv", "id,surname,given", [("PERS-000017", "Quillfeather", "Ambrosius"), ("PERS-000019", "Orr", "Ida")]))
    assert report.left_out == {"people": 1} and sorted(lake.frame("people")["person_id"]) == ["PERS-000018", "PERS-000019"]
    assert bytes_of(path, GONE) == {}


def test_what_comes_in_live_about_the_person_goes_with_the_next_purge(tmp_path: Path) -> None:
    path = city(tmp_path)
    expunge.run(path, ORDER, user="anna")
    rows = [{"person_id": "PERS-000017", "surname": "Quillfeather", "given_name": "Ambrosius"},
            {"person_id": "PERS-000020", "surname": "Orr", "given_name": "Ida"}]
    live(path, rows, table="people")
    assert Lake(path / "lake").frame("people").height == 3
    made = purge.run(path, user="anna", reason="daily purge under the retention policy")
    assert made.rows == {"people": 1} and sorted(Lake(path / "lake").frame("people")["person_id"]) == ["PERS-000018", "PERS-000020"]
    assert bytes_of(path, GONE) == {}


@pytest.mark.parametrize("sealed", [False, True])
def test_case_evidence_stays_unless_the_order_seals_it(tmp_path: Path, sealed: bool) -> None:
    path = city(tmp_path)
    evidence.attach(path, "C1", "people", "PERS-000017", "named by the clerk", "anna")
    expunge.run(path, expunge.Order(ORDER.court, ORDER.number, ORDER.date, ORDER.persons, sealed), user="anna")
    assert evidence.verify(path, "C1")["state"].to_list() == ["sealed" if sealed else "purged"]
    assert bool(bytes_of(path, GONE)) is not sealed


def test_a_hold_on_the_person_is_settled_before_the_order(tmp_path: Path) -> None:
    path, now = city(tmp_path), datetime.now(UTC)
    holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"persons": ["PERS-000017"]}, user="anna",
              until=now + timedelta(days=30))
    with pytest.raises(BadInput, match="Hold 1 keeps"):
        expunge.run(path, ORDER, user="anna")
    assert Lake(path / "lake").frame("people").height == 2


def test_the_command_carries_an_order_out_only_when_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = city(tmp_path)
    order = ["expunge", "-w", str(path), "PERS-000017", "--court", "Circuit Court", "--number", "26-EX-14", "--date", "2026-05-04"]
    assert cli.main(order) == 1 and "1 of people" in capsys.readouterr().err
    assert cli.main([*order, "--yes"]) == 0 and "rows purged" in capsys.readouterr().out
    assert Audit(path / "audit.db").entries()["action"].to_list()[-2:] == ["expunge", "expunge"]
    assert cli.main([*order[:-1], "soon"]) == 1

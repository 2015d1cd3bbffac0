"""Case evidence through the gate: who may copy rows to a case, who sees them, and what stays when the facts are purged or expunged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import workbench as wb
from tests.test_access import BOUND, edited
from tests.test_intelligence import GOOD
from workbench import cli
from workbench.errors import AccessRefused, BadInput, NotFound
from workbench.oversight import expunge, purge
from workbench.oversight.audit import Audit
from workbench.oversight.intelligence import FILE, Intelligence


def test_rows_are_attached_under_a_case_by_who_sees_them_whole_and_outlive_a_purge(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = wb.open_workbench(own_city, **BOUND)
    key, plate = city.sql("select read_id, plate from reads order by read_at limit 1").row(0)
    with pytest.raises(AccessRefused, match="a case and a purpose are needed"):
        wb.open_workbench(own_city).attach("reads", key, why="the car at the second scene")
    with pytest.raises(BadInput, match="says too little"):
        city.attach("reads", key, why="car")
    with pytest.raises(NotFound, match="There is no row 'nowhere' of reads"):
        city.attach("reads", "nowhere", why="the car at the second scene")
    made = city.attach("reads", key, why="the car at the second scene")
    assert city.attach("reads", key, why="the car at the second scene") == made
    held = city.evidence().row(0, named=True)
    assert held["sound"] and held["state"] == "in the lake" and plate in held["row_json"]

    certificate = purge.run(own_city, user="ben", reason="daily purge under the retention policy")  # all reads of the made-up city are older than its limit
    held = wb.open_workbench(own_city, **BOUND).evidence().row(0, named=True)
    assert held["sound"] and held["state"] == "purged" and held["certificate_id"] == certificate.certificate_id and plate in held["row_json"]
    asked = ["--case", BOUND["case"], "--purpose", BOUND["purpose"], "--reason", BOUND["reason"], "-w", str(own_city)]
    assert cli.main(["evidence", *asked]) == 0
    assert f"the fact is purged (certificate {certificate.certificate_id})" in capsys.readouterr().out
    assert cli.main(["evidence", "reads", key, "--why", "the car at the second scene", *asked]) == 1  # there is no such row any more
    log = Audit(own_city / "audit.db").entries()
    assert {"attach", "view"} <= set(log["action"]) and Audit(own_city / "audit.db").verify()[0]


def test_a_role_that_sees_rows_masked_copies_none_and_reads_none(own_city: Path) -> None:
    whole = wb.open_workbench(own_city, **BOUND)
    number = whole.sql("select person_id from people order by 1 limit 1").row(0)[0]
    whole.attach("people", number, why="the owner of the car")
    edited(own_city, 'junior = { tables = ["*"], may = ["cases"] }\nclerk = { tables = ["*"], unmasked = ["*"] }',
           'default_role = "junior"\npeople = { clerk = "clerk" }')
    junior = wb.open_workbench(own_city, **BOUND)
    with pytest.raises(AccessRefused, match="sees people without victims, juveniles"):
        junior.attach("people", number, why="the owner of the car")
    assert junior.evidence()["row_json"].to_list() == [None]
    with pytest.raises(AccessRefused, match="cases"):
        wb.open_workbench(own_city, **BOUND, user="clerk").evidence()


def test_an_order_takes_a_persons_intelligence_records_too_and_a_purge_those_past_their_time(own_city: Path) -> None:
    number = wb.open_workbench(own_city, **BOUND).sql("select person_id from people order by 1 limit 1").row(0)[0]
    held = Intelligence(own_city / FILE)
    about = held.add(replace(GOOD, subject=f"person:{number}"), user="ann")
    old = held.add(replace(GOOD, text="an old record", keep_days=30), user="ann", now=datetime(2026, 1, 1, tzinfo=UTC))
    other = held.add(replace(GOOD, noncriminal={f"person:{number}": "his neighbour, not suspected of anything"}), user="ann")
    made = expunge.run(own_city, expunge.Order("Circuit Court", "26-EX-14", "2026-05-04", (number,)), user="ben")
    assert set(held.records()["record_id"]) == {old, other} and held.record(other)["noncriminal"] == {} and about
    assert "intelligence: 1 record deleted" in made.body["work"] and made.body["verification"]["found"] == 0
    made = purge.run(own_city, user="ben", reason="daily purge under the retention policy")
    assert held.records()["record_id"].to_list() == [other] and "intelligence: 1 record deleted" in made.body["work"]

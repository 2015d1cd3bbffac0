"""Limits come from settings and statutes, holds and evidence outlive them, and a certificate that was changed is found out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.test_keep import READS, write
from tests.test_purge import FACTS, HEADER, NOW, TOML, at, bytes_of, planted, workspace
from workbench import agency, cli
from workbench.casebook import Casebook
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake
from workbench.oversight import certificate, evidence, holds, purge, retention

HEAD = '[agency]\nname = "Toy"\nzone = "UTC"\n[retention]\n'


def rules(tmp_path: Path, text: str) -> retention.Policy:
    (tmp_path / "agency.toml").write_text(HEAD + text, encoding="utf-8")
    return retention.policy(agency.read(tmp_path))


@pytest.mark.parametrize(("text", "span", "source"), [
    ("reads = 90", timedelta(days=90), "reads = 90"),
    ("reads = 0.5", timedelta(hours=12), "reads = 0.5"),
    ('reads = "3 minutes"', timedelta(minutes=3), "3 minutes"),
    ('jurisdiction = "US-NH"\nreads = 90', timedelta(minutes=3), "New Hampshire, RSA 261:75-b"),
    ('jurisdiction = "US-NC"\nreads = "21 days"', timedelta(days=21), "21 days"),
    ('jurisdiction = "US-MN"\nunverified = true', timedelta(days=60), "Minnesota, Minn Stat 13.824, not verified"),
])
def test_the_stricter_of_agency_and_law_counts_and_says_where_it_comes_from(tmp_path: Path, text: str, span: timedelta, source: str) -> None:
    limit = rules(tmp_path, text).limits["reads"]
    assert limit.span == span and source in limit.source


@pytest.mark.parametrize(("text", "said"), [
    ('jurisdiction = "US-MN"', "has not been checked"), ('jurisdiction = "US-ZZ"', "is not known"), ("raeds = 3", "Did you mean 'reads'"),
    ('reads = "soon"', "write days"), ("reads = -1", "write days"), ('unverified = "yes"', "true or false"),
])
def test_a_setting_that_makes_no_sense_is_refused_with_what_would(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rules(tmp_path, text)


def test_every_limit_of_the_law_names_its_source() -> None:
    assert len(retention.laws()) == 20
    assert all(law.sources and (law.citation or not law.verified or law.jurisdiction in ("US-AL", "FLOCK-DEFAULT")) for law in retention.laws())


def city(tmp_path: Path) -> tuple[Path, list[str]]:
    path, plates = workspace(tmp_path / "city"), planted(6)
    Lake(path / "lake").load(READS, write(tmp_path / "a.csv", HEADER, [(f"row-{i}", p, at(40 - 5 * i), "R1") for i, p in enumerate(plates)]))
    return path, plates


def test_gone_tomorrow_says_what_goes_what_a_hold_keeps_and_what_a_case_has(tmp_path: Path) -> None:
    path, plates = city(tmp_path)
    holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"plates": [plates[0]]}, user="anna",
              begins=NOW - timedelta(days=1), until=NOW + timedelta(days=90))
    evidence.attach(path, "C1", "reads", "row-1", "seen at the scene", "anna")
    now, later = (retention.due(path, NOW, days=d).row(0, named=True) for d in (0, 1))
    assert (now["rows"], now["goes"], now["held"], now["holds"], now["in_evidence"], now["keys"]) == (2, 1, 1, "1", 1, ["row-1"])
    assert (later["rows"], later["goes"], later["keys"]) == (3, 2, ["row-1", "row-2"])
    assert now["earliest"] == NOW - timedelta(days=40) and "reads = 30" in now["source"]


def test_a_held_row_stays_until_the_hold_is_released_and_evidence_outlives_both(tmp_path: Path) -> None:
    path, plates = city(tmp_path)
    number = holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"plates": [plates[0]]}, user="anna",
                       begins=NOW - timedelta(days=1), until=NOW + timedelta(days=90))
    evidence.attach(path, "C1", "reads", ["row-0", "row-1"], "seen at the scene", "anna")
    first = purge.run(path, NOW, user="anna", reason="daily")
    assert first.rows == {"reads": 1} and first.body["holds"] == [{"hold_id": number, "matter": "C1", "table": "reads", "rows": 1}]
    checked = evidence.verify(path, "C1")
    assert checked["state"].to_list() == ["in the lake", "purged"] and checked["certificate_id"].to_list() == [None, first.certificate_id]
    holds.release(path, number, "charges were dropped", "anna")
    second = purge.run(path, NOW, user="anna", reason="daily")
    assert second.rows == {"reads": 1} and evidence.verify(path, "C1")["sound"].all()
    assert plates[0] in evidence.of(path, "C1")["row_json"][0] and second.body["verification"]["otherwise_held"] > 0
    with Casebook(path / "casebook.db").engine.begin() as db:
        db.exec_driver_sql("update case_evidence set row_json = replace(row_json, 'R1', 'R2') where evidence_id = 1")
    assert evidence.verify(path, "C1")["sound"].to_list() == [False, True]


def test_evidence_goes_when_its_case_has_been_closed_for_longer_than_its_limit(tmp_path: Path) -> None:
    path, plates = city(tmp_path)
    (path / "agency.toml").write_text(TOML + 'cases = "10 years after closing"\n', encoding="utf-8")
    evidence.attach(path, "C1", "reads", "row-0", "seen at the scene", "anna")
    Casebook(path / "casebook.db").close_case("C1", "sentence final", user="anna", at=NOW - timedelta(days=3651))
    purge.run(path, NOW, user="anna", reason="daily")
    assert evidence.of(path, "C1").is_empty() and bytes_of(path, plates[:2]) == {}


@pytest.mark.parametrize(("change", "said"), [
    ({"facts": "ongoing investigation, needed for the case"}, "too vague"), ({"sworn_by": " "}, "sworn by"), ({"citation": ""}, "citation"),
    ({"select": {"readers": ["R1"]}}, "start and end"), ({"select": {"colour": "red"}}, "cannot select"), ({"until": NOW + timedelta(days=900)}, "at most 366"),
])
def test_a_hold_that_is_vague_or_holds_everything_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    given = {"sworn_by": "Sgt. Toy", "facts": FACTS, "citation": "GS 20-183.32", "select": {"plates": ["ABC1234"]}, "until": NOW + timedelta(days=9), **change}
    with pytest.raises(BadInput, match=said):
        holds.add(workspace(tmp_path / "city"), "C1", user="anna", begins=NOW, **given)  # type: ignore[arg-type]


def test_a_row_that_is_not_there_cannot_be_attached(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="may have been purged"):
        evidence.attach(city(tmp_path)[0], "C1", "reads", "row-99", "seen at the scene", "anna")


def test_a_certificate_that_was_changed_is_found_out(tmp_path: Path) -> None:
    path, _ = city(tmp_path)
    made = purge.run(path, NOW, user="anna", reason="daily")
    file = path / "certificates" / f"{made.certificate_id}.json"
    assert certificate.verify(path, made.certificate_id)[0] and (path / "keys/retention.pem").stat().st_mode & 0o077 == 0
    said = json.loads(file.read_text(encoding="utf-8"))
    said["body"]["tables"]["reads"]["rows"] = 1
    file.write_text(json.dumps(said), encoding="utf-8")
    sound, told = certificate.verify(path, made.certificate_id)
    assert not sound and "was changed" in told


def test_the_command_previews_and_deletes_only_when_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plates = city(tmp_path)
    assert cli.main(["retention", "-w", str(path), "purge"]) == 1
    assert "Nothing was deleted" in capsys.readouterr().err and Lake(path / "lake").frame("reads").height == 6
    sworn = ["--sworn-by", "Sgt. Toy", "--facts", FACTS, "--citation", "GS 20-183.32", "--plate", plates[0]]
    assert cli.main(["retention", "-w", str(path), "hold", "C1", *sworn]) == 0
    assert cli.main(["retention", "-w", str(path), "preview"]) == 0
    assert "1 held (hold 1)" in capsys.readouterr().out
    assert cli.main(["retention", "-w", str(path), "purge", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "rows purged: 5 of reads" in out
    assert cli.main(["retention", "-w", str(path), "verify", out.split()[1].rstrip(":")]) == 0
    assert cli.main(["retention", "-w", str(path), "release", "1", "--why", "charges were dropped"]) == 0
    for action in ("show", "holds"):
        assert cli.main(["retention", "-w", str(path), action]) == 0
    assert "released" in capsys.readouterr().out


def test_a_watcher_that_runs_clears_its_journal_when_a_purge_asks(tmp_path: Path) -> None:
    path, plates = city(tmp_path)
    (path / "drop").mkdir(exist_ok=True)
    (path / "watch.toml").write_text('[[folder]]\npath = "drop"\npattern = "*.csv"\nsource = "sample_reads"\n', encoding="utf-8")
    watcher = subprocess.Popen([sys.executable, "-m", "workbench.cli", "watch", "-w", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until = time.monotonic() + 60
        while not (path / "lake/_journal/head").exists() and time.monotonic() < until:
            time.sleep(0.1)
        made = purge.run(path, NOW, user="anna", reason="daily")
        assert made.rows == {"reads": 2} and bytes_of(path, plates[:2]) == {}
    finally:
        watcher.terminate()
        assert watcher.wait(timeout=60) == 0, watcher.stdout and watcher.stdout.read()

"""The commands, as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import cli


def run(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "workbench.cli", *map(str, args)], capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def test_a_new_workspace_has_its_folders_and_agency_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", str(tmp_path / "here"), "--name", "Here PD", "--zone", "America/Chicago", "--bounds", "-88", "41", "-87", "42"]) == 0
    made = {p.name for p in (tmp_path / "here").iterdir()}
    assert {"agency.toml", "lake", "casebook.db", "audit.db", "notebooks", "templates", "plugins", "out", "map"} <= made
    assert "Next: workbench sources" in capsys.readouterr().out
    assert (tmp_path / "here" / "notebooks" / "01_first_look.ipynb").exists()


def test_init_again_completes_and_overwrites_nothing_and_a_strange_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "here"
    cli.main(["init", str(folder)])
    (folder / "agency.toml").write_text('[agency]\nname = "Mine"\nzone = "UTC"\n')
    (folder / "templates" / "daily_briefing.ipynb").unlink()
    assert cli.main(["init", str(folder)]) == 0
    assert "Completed" in capsys.readouterr().out
    assert "Mine" in (folder / "agency.toml").read_text() and (folder / "templates" / "daily_briefing.ipynb").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("x")
    assert cli.main(["init", str(tmp_path / "other")]) == 1
    assert "not empty and is no workspace" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.doc"]


def test_load_prints_one_json_object_a_file_with_exactly_the_agreed_keys(tmp_path: Path, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["init", str(tmp_path / "here"), "--zone", "America/Chicago"])
    capsys.readouterr()
    file = samples / "sample_incidents.csv.gz"
    for turn in range(2):
        assert cli.main(["load", "sample_incidents", str(file), "--json", "-w", str(tmp_path / "here")]) == 0
        said = json.loads(capsys.readouterr().out)
        assert list(said) == ["source", "file", "read", "added", "updated", "duplicate", "rejected", "seconds"]
        assert said["read"] == said["added"] + said["updated"] + said["duplicate"] + said["rejected"] > 10_000
        assert (said["added"] == 0) == (turn == 1)


@pytest.mark.parametrize(("args", "said"), [
    (["load", "sample_incident", "x.csv"], "Did you mean 'sample_incidents'"),
    (["load", "sample_incidents", "nowhere.csv"], "nowhere.csv"),
    (["brief", "daily_brief"], "daily_briefing"),
    (["brief", "daily_briefing", "-p", "asof"], "NAME=VALUE"),
    (["brief", "daily_briefing", "-p", "asoff=2026-07-01"], "asof"),
    (["case", "2026-9999"], "needs a title"),
])
def test_a_slip_is_one_sentence_on_stderr_with_what_would_be_right(city_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str) -> None:
    assert cli.main([*args, "-w", str(city_path)]) == 1
    out = capsys.readouterr()
    assert said in out.err and "Traceback" not in out.err and out.out == ""


def test_status_sources_cases_and_audit_say_what_is_there(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ((["status"], "reads"), (["sources"], "chicago_crimes"), (["case"], "2026-0142"), (["audit", "verify"], "entries fit"), (["audit"], "load"))
    for args, said in wanted:
        assert cli.main([*args, "-w", str(own_city)]) == 0
        assert said in capsys.readouterr().out
    assert cli.main(["case", "2026-0900", "--title", "Stolen vans", "-w", str(own_city)]) == 0
    assert "Stolen vans" in capsys.readouterr().out
    assert cli.main(["sources", "--json", "-w", str(own_city)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"seattle_reads", "san_antonio_calls", "sample_people"} <= {x["source"] for x in lines}


def test_a_tampered_audit_makes_verify_fail(own_city: Path) -> None:
    import sqlite3

    with sqlite3.connect(own_city / "audit.db") as db:
        db.execute("update entries set user = 'nobody' where seq = 2")
    done = run("audit", "verify", "-w", own_city)
    assert done.returncode == 1 and "Entry 2" in done.stdout


def test_help_lists_every_command_and_a_wrong_one_exits_with_2() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("init", "load", "sources", "status", "case", "brief", "serve", "lab", "audit", "demo"):
        assert f"  {command} " in done.stdout
    assert run("nonsense").returncode == 2


def test_a_command_finds_the_workspace_above_the_working_directory(city_path: Path) -> None:
    done = run("case", cwd=city_path / "notebooks")
    assert done.returncode == 0 and "2026-0142" in done.stdout

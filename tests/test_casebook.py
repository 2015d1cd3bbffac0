"""The casebook: cases, subjects, leads, and judgements that never overwrite what the machine said."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.casebook import Casebook
from workbench.errors import BadInput, NotFound


@pytest.fixture
def book(tmp_path: Path) -> Casebook:
    book = Casebook(tmp_path / "casebook.db")
    book.open_case("2026-0142", "Garage burglaries", user="ann", reason="series")
    return book


def test_a_case_is_there_when_the_casebook_is_opened_again(book: Casebook, tmp_path: Path) -> None:
    again = Casebook(tmp_path / "casebook.db")
    assert again.case("2026-0142")["title"] == "Garage burglaries"
    assert again.cases("open")["case_number"].to_list() == ["2026-0142"]


def test_a_number_is_taken_once_and_a_wrong_one_names_the_nearest(book: Casebook) -> None:
    with pytest.raises(BadInput, match="is there already"):
        book.open_case("2026-0142", "Again", user="bob")
    with pytest.raises(NotFound, match="Did you mean '2026-0142'"):
        book.case("2026-0141")


def test_a_subject_attached_twice_stands_once(book: Casebook) -> None:
    for _ in range(2):
        book.add_subject("2026-0142", "vehicle:ABC1234", "seen near four scenes", user="ann")
    assert book.subjects("2026-0142")["entity"].to_list() == ["vehicle:ABC1234"]
    with pytest.raises(BadInput, match="kind:key"):
        book.add_subject("2026-0142", "ABC1234", "", user="ann")


def test_a_lead_is_no_match_until_judged_and_judgements_are_kept_beside_it(book: Casebook) -> None:
    lead = book.add_lead("2026-0142", "vehicle:ABC1234", "near 4 of 9 scenes, 0.3 expected", "{}", user="ann")
    assert book.leads("2026-0142")["verdict"].to_list() == [None]
    book.judge(lead, "unsure", "plate not legible", user="bob")
    book.judge(lead, "confirmed", "image checked", user="cem")
    row = book.leads("2026-0142").row(0, named=True)
    assert (row["verdict"], row["judged_by"], row["text"]) == ("confirmed", "cem", "near 4 of 9 scenes, 0.3 expected")
    with pytest.raises(BadInput, match="confirmed"):
        book.judge(lead, "confirmd", "x", user="cem")
    with pytest.raises(BadInput, match="needs its reason"):
        book.judge(lead, "confirmed", " ", user="cem")
    with pytest.raises(NotFound, match="no lead 99"):
        book.judge(99, "confirmed", "x", user="cem")


def test_demo_cases_are_filled_once_and_bad_files_are_refused(book: Casebook, tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text('[{"case_number": "2026-0200", "title": "Van", "subjects": [{"entity": "incident:1", "why": "first"}]}]')
    assert book.fill(file, user="ann") == 1
    assert book.fill(file, user="ann") == 0
    assert book.subjects("2026-0200").height == 1
    file.write_text('{"a": 1}')
    with pytest.raises(BadInput, match="list of cases"):
        book.fill(file, user="ann")

"""Full-text search: what is asked is found, ranked, and shown where it stands; hostile text only finds nothing."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import AccessRefused, BadInput, NotFound
from workbench.lake import words


@pytest.fixture(scope="module")
def city(city_path: Path) -> wb.Workbench:
    return wb.open_workbench(city_path)


def test_every_row_found_holds_the_words_and_none_that_does_is_missed(city: wb.Workbench) -> None:
    columns = ("narrative", "mo", "offence", "offence_detail", "premise")
    whole = pl.concat_str(*columns, separator=" ", ignore_nulls=True).str.to_lowercase()
    texts = city.incidents(unfounded=True).select("incident_id", text=whole)
    word = next(w for w in re.findall(r"[a-z]{5,}", " ".join(texts["text"].head(2000).to_list())) if 20 < texts["text"].str.contains(rf"\b{w}\b").sum() < 2000)
    found = city.search(word, most=100_000)
    assert set(found["key"]) == set(texts.filter(pl.col("text").str.contains(rf"\b{word}\b"))["incident_id"])
    assert found["score"].is_sorted(descending=True)
    assert all(word in s.lower() for s in found["snippet"])
    start = city.search(word[:4] + "*", most=100_000)
    assert set(found["key"]) <= set(start["key"])
    without = city.search(f"{word[:4]}* -{word}", most=100_000)
    assert set(without["key"]) == set(start["key"]) - set(found["key"])


def test_phrases_alternatives_and_accents() -> None:
    def holds(text: str, asked: str) -> bool:
        import duckdb

        tests = [(t.without, t.regex) for t in words.terms(asked)]
        with duckdb.connect() as con:
            return all(con.execute("select regexp_matches(strip_accents(lower(?)), ?)", [text, r]).fetchone() == (not without,) for without, r in tests)

    assert holds("Suspect KICKED in the rear door", '"kicked in"') and not holds("in he kicked", '"kicked in"')
    assert holds("pried garage door", "garage | shed") and holds("shed door", "garage | shed") and not holds("rear door", "garage | shed")
    assert holds("Café window pry-marks", "cafe pry") and holds("cafe", "CAFÉ")
    assert not holds("prying", "pry") and holds("prying", "pry*") and not holds("glass door", "door -glass")
    assert holds("0344 1402", "0344") and not holds("10344", "0344")


def test_a_search_that_names_nothing_is_refused_with_an_example(city: wb.Workbench) -> None:
    for asked in ("", "  ", "-glass", '""', "| |"):
        with pytest.raises(BadInput, match="names no word to look for"):
            city.search(asked)
    with pytest.raises(NotFound, match="Searched: incidents"):
        city.search("glass", table="incident")


def test_texts_about_persons_need_a_case(city: wb.Workbench) -> None:
    with pytest.raises(AccessRefused):
        city.search("stopped", table="interviews")


@settings(max_examples=40, deadline=None)
@given(asked=st.text(max_size=30))
def test_any_text_is_searched_for_or_refused_in_a_sentence(city: wb.Workbench, asked: str) -> None:
    try:
        found = city.search(asked, most=5)
    except BadInput as refused:
        assert "names no word to look for" in str(refused)
    else:
        assert found.height <= 5 and found["score"].is_sorted(descending=True) and found.columns == ["key", "at", "score", "column", "snippet"]

"""What a plate is: one normal form in Python and in SQL, look-alikes, partial plates."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import plates
from workbench.errors import BadInput

TEXTS = st.text(st.sampled_from("abcXYZ0189 -_.·/#ÄößйŁOQDI5S"), max_size=10)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_the_normal_form_is_the_same_in_python_and_sql_and_is_its_own_normal_form(text: str) -> None:
    normal = plates.normal(text)
    assert plates.normal(normal) == normal
    quoted = "'" + text.replace("'", "''") + "'"
    by_sql = duckdb.sql(f"select {plates.normal_sql(quoted)}, {plates.shape_sql(plates.normal_sql(quoted))}").fetchall()
    assert by_sql == [(normal or None, plates.shape(text) or None)]


def test_blanks_dashes_and_case_make_no_difference_and_a_hash_passes_unharmed() -> None:
    assert {plates.normal(p) for p in ("abc-1234", "ABC 1234", " aBc1234 ", "A.B.C_1234")} == {"ABC1234"}
    assert plates.normal("8b79df67f2106d2e") == "8B79DF67F2106D2E"
    assert plates.normal(" - ") == ""


def test_plates_that_readers_confuse_have_one_shape() -> None:
    assert plates.look_alike("B0I-5", "8OL S") and plates.shape("QO0D") == "0000"
    assert not plates.look_alike("ABC1234", "ABC1235")
    for group in plates.LOOK_ALIKES:
        assert len({plates.shape(c) for c in group}) == 1


@pytest.mark.parametrize(("partial", "look_alikes", "fit"), [
    ("ABC1234", False, {"ABC1234"}),
    ("ab?1*", False, {"ABC1234", "ABX19"}),
    ("*34", False, {"ABC1234"}),
    ("A8C1234", True, {"ABC1234"}),
    ("A8C1234", False, set()),
    ("abx-19", False, {"ABX19"}),
])
def test_a_partial_plate_finds_the_plates_that_fit_in_python_polars_and_duckdb(partial: str, look_alikes: bool, fit: set[str]) -> None:
    known = ["ABC1234", "ABX19", "ZZZ999"]
    pattern = plates.pattern(partial, look_alikes=look_alikes)
    assert {p for p in known if plates.fits(p, partial, look_alikes=look_alikes)} == fit
    assert set(pl.Series(known).filter(pl.Series(known).str.contains(pattern))) == fit
    assert {row[0] for row in duckdb.sql(f"select p from (select unnest({known}) p) where regexp_matches(p, '{pattern}')").fetchall()} == fit


def test_a_partial_plate_without_any_known_character_is_refused() -> None:
    with pytest.raises(BadInput, match="has no letter or digit, so every plate would fit"):
        plates.pattern("?? *")

"""Plate search is exact (against brute force by rapidfuzz and regular expressions), ranked by likelihood, and says what chance would give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from workbench import plates
from workbench.errors import BadInput, CannotTell
from workbench.models.plates import misreads, search
from workbench.models.plates._search import key, pack, texts

FEW = st.text(st.sampled_from("AB01O8"), min_size=1, max_size=12)
STRANGE = st.text(st.sampled_from("AB01OÄЙ"), min_size=1, max_size=11)
PARTIAL = st.text(st.sampled_from("AB01O8??**"), min_size=1, max_size=9).filter(lambda p: any(c not in "?*" for c in p))


def found(frame: pl.DataFrame | Any, partial: str, **options: Any) -> set[str]:
    return set(search.search(frame, partial, most=10**9, **options).table["plate"])


def framed(names: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"plate": names}, schema={"plate": pl.String})


def made_up(n: int, seed: int = 0) -> list[str]:
    """Plates of several formats, 1 to 12 characters, some in other alphabets, some with the same letter several times."""
    rng = np.random.default_rng(seed)
    out = []
    for form in rng.choice(["AAA9999", "9AAA999", "AA99", "A", "AAAAAAAA", "999999999", "AAAA99999999", "AÄ999"], n, p=[.4, .2, .1, .02, .1, .08, .05, .05]):
        out.append("".join("Ä" if c == "Ä" else str(rng.choice(list("AABCO" if c == "A" else "00128")))for c in form))
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(FEW, STRANGE), min_size=1, max_size=40), st.one_of(FEW, STRANGE), st.sampled_from([0, 1, 2]))
def test_edits_find_exactly_the_plates_within_that_distance(names: list[str], asked: str, edits: int) -> None:
    if len(asked) <= edits:
        return
    assert found(framed(names), asked, edits=edits) == {n for n in names if Levenshtein.distance(asked, n) <= edits}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(FEW, STRANGE), min_size=1, max_size=40), PARTIAL)
def test_wildcards_find_exactly_the_plates_that_fit_the_pattern(names: list[str], partial: str) -> None:
    assert found(framed(names), partial) == {n for n in names if plates.fits(n, partial)}


@settings(max_examples=100, deadline=None)
@given(st.lists(FEW, min_size=1, max_size=40), st.one_of(FEW, PARTIAL))
def test_look_alikes_find_exactly_the_plates_that_differ_in_them_alone(names: list[str], partial: str) -> None:
    assert found(framed(names), partial, look_alikes=True) == {n for n in names if plates.fits(n, partial, look_alikes=True)}


def distance(partial: str, name: str) -> int:
    """Least edits between a plate and anything that a pattern stands for, by the book."""
    row = list(range(len(name) + 1))
    for c in partial:
        if c == "*":
            for j in range(1, len(row)):
                row[j] = min(row[j], row[j - 1])
            continue
        new = [row[0] + 1]
        for j, d in enumerate(name, 1):
            new.append(min(row[j - 1] + (c not in ("?", d)), row[j] + 1, new[-1] + 1))
        row = new
    return row[-1]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(FEW, STRANGE), min_size=1, max_size=30), PARTIAL, st.sampled_from([1, 2]))
def test_wildcards_and_edits_at_once_find_exactly_what_is_near_the_pattern(names: list[str], partial: str, edits: int) -> None:
    if sum(c not in "?*" for c in partial) <= edits:
        return
    assert found(framed(names), partial, edits=edits) == {n for n in names if distance(partial, n) <= edits}


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_plates_of_many_formats_are_searched_exactly(seed: int) -> None:
    names = made_up(2000, seed)
    held = search.index(framed(names))
    rng = np.random.default_rng(seed)
    for asked in rng.choice(names, 8):
        for edits in (0, 1, 2):
            if len(asked) > edits:
                assert found(held, asked, edits=edits) == {n for n in set(names) if Levenshtein.distance(asked, n) <= edits}, (asked, edits)
                both = {n for n in set(names) if Levenshtein.distance(asked, n) <= edits or plates.fits(n, asked, look_alikes=True)}
                assert found(held, asked, edits=edits, look_alikes=True) == both
        cut = int(rng.integers(0, len(asked)))
        for partial in (asked[:cut + 1] + "*", "*" + asked[cut:], "*" + asked[cut] + "*", asked[:cut] + "?" + asked[cut + 1:] + "A", "A?*?",
                        "*A*B*?*1*"):
            assert found(held, partial) == {n for n in set(names) if plates.fits(n, partial)}, partial


def test_the_number_of_a_plate_and_its_text_are_one() -> None:
    names = ["A", "ABCDEFGH", "00000000", "Z9", "ABCDEFGHI", "", "Ä1", "a1"]
    numbers = pack(pl.Series(names))
    assert [bool(n) for n in numbers] == [True, True, True, True, False, False, False, False]
    assert texts(numbers[:4]) == names[:4] and [int(n) for n in numbers[:4]] == [key(n) for n in names[:4]]
    assert pack(pl.Series(["AB", None, "CD"]).slice(1)).tolist() == [0, key("CD")]


def test_what_was_read_most_comes_first_and_reads_are_counted() -> None:
    frame = framed(["ABC1234"] * 3 + ["ABC1235"] * 5 + ["XYZ0001", None])  # type: ignore[list-item]
    table = search.search(frame, "ABC123?").table
    assert table.select("plate", "reads").rows() == [("ABC1235", 5), ("ABC1234", 3)]
    counted = search.search(pl.DataFrame({"plate": ["ABC1234", "ABC1235", "ABC1234"], "reads": [3, 5, 1]}), "abc-123?")
    assert counted.table["reads"].to_list() == [5, 4] and counted.basis.parameters["fit"] == 2
    assert len(search.search(frame, "ABC*", most=1).table) == 1 and "2 of 3 plates fit ABC*" in search.search(frame, "ABC*", most=1).headline


def test_a_look_alike_is_likelier_than_another_edit() -> None:
    table = search.search(framed(["ABC1X34", "A8C1234", "ABC1234", "ABC123"]), "ABC1234", edits=1).table
    assert table["plate"].to_list()[:2] == ["ABC1234", "A8C1234"] and table["likelihood"][0] == 1.0
    assert table["edits"].to_list() == [0, 1, 1, 1]


def test_two_characters_that_changed_places_are_two_edits() -> None:
    frame = framed(["BAC1234"])
    assert found(frame, "ABC1234", edits=1) == set() and found(frame, "ABC1234", edits=2) == {"BAC1234"}


def test_a_search_is_narrowed_to_state_make_and_colour_that_were_read_at_least_once() -> None:
    frame = pl.DataFrame({"plate": ["ABC1234", "ABC1234", "ABC1235", "ABC1236", "ABC1234567"], "region": ["IA", "IL", "IL", None, "IL"],
                          "make": ["FORD", None, "KIA", "KIA", "KIA"], "colour": [None] * 5})
    held = search.index(frame.with_columns(pl.col("colour").cast(pl.String)))
    assert found(held, "ABC*", region="il") == {"ABC1234", "ABC1235", "ABC1234567"}
    assert found(held, "ABC123?", region="IL", make="Kia") == {"ABC1235"} and found(held, "ABC1234", edits=1, make="kia") == {"ABC1235", "ABC1236"}
    assert found(held, "ABC*", colour="RED") == set() and found(held, "ABC*", region="TX") == set()
    with pytest.raises(BadInput, match="come without a column 'region'"):
        search.search(framed(["ABC1234"]), "ABC*", region="IA")


def test_what_chance_would_give_is_what_plates_drawn_at_random_do_give() -> None:
    rng = np.random.default_rng(5)

    def drawn(n: int, rng: np.random.Generator) -> list[str]:
        return ["".join(p) for p in np.hstack([rng.choice(list("ABCDEFGHJK"), (n, 3)), rng.choice(list("0123456789"), (n, 3))]).tolist()]

    names = drawn(20_000, rng)
    held = search.index(framed(names))
    for partial, options in (("AB?1??", {}), ("*B12*", {}), ("ABC123", {"edits": 1}), ("ABC123", {"edits": 2}), ("A8C1??", {"look_alikes": True})):
        one = search.search(held, partial, **options)
        made = drawn(50_000, np.random.default_rng(101))
        fits = len(found(framed(made), partial, **options))
        assert one.basis.parameters["chance"] * 2.5 == pytest.approx(fits, abs=4 * max(1, fits) ** 0.5 + 1, rel=0.1)
        assert "by chance" in one.headline


def test_nothing_found_says_so_and_is_no_proof() -> None:
    answer = search.search(framed(["ABC1234"]), "ZZZ9999")
    assert answer.table.is_empty() and answer.headline.startswith("None of 1 plate fits ZZZ9999") and "does not mean" in answer.headline


@pytest.mark.parametrize(("options", "said"), [
    ({"partial": "??*"}, "no letter or digit"), ({"partial": "AB", "edits": 2}, "give more of the plate"), ({"edits": 3}, "give 0, 1 or 2"),
    ({"most": 0}, "at least 1"), ({"partial": "A" * 65}, "64 are the most"), ({"confusion": "yes"}, "plates.misreads.confusion"),
])
def test_a_question_that_cannot_be_asked_is_refused_in_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        search.search(framed(["ABC1234"]), **{"partial": "ABC1234", **options})


def test_no_plates_at_all_and_frames_that_are_none_are_told_apart() -> None:
    with pytest.raises(CannotTell, match="no plates to search in"):
        search.search(framed([]), "ABC1234")
    with pytest.raises(CannotTell, match="no plates"):
        search.search(pl.DataFrame({"plate": [None, ""]}, schema={"plate": pl.String}), "ABC1234")
    with pytest.raises(BadInput, match="no column 'plate'"):
        search.search(pl.DataFrame({"palte": ["A"]}), "ABC1234")
    with pytest.raises(BadInput, match="whole numbers from 0"):
        search.search(pl.DataFrame({"plate": ["A"], "reads": [-1]}), "ABC1234")
    with pytest.raises(BadInput, match="not in a list"):
        search.search(["ABC1234"], "ABC1234")  # type: ignore[arg-type]


def test_the_basis_says_how_to_ask_again_and_costs_nothing_twice() -> None:
    held = search.index(framed(["ABC1234", "ABC1235"]))
    answer = search.search(held, "ABC123?")
    assert answer.basis.run["arguments"]["where"]["$"] == "prepared" and json.loads(answer.basis.to_json())["parameters"]["fit"] == 2
    assert search.search(held, "ABC123?").basis.data == answer.basis.data == search.search(framed(["ABC1234", "ABC1235"]), "ABC123?").basis.data


def pairs(*both: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(both, schema=["read", "true"], orient="row")


def test_confusions_are_learnt_and_change_the_order_of_what_is_found() -> None:
    learnt = misreads.confusion(pairs(*[("HBC1234", "MBC1234")] * 30, ("A8C1", "ABC1")))
    assert learnt.pairs == 31 and learnt.table.row(0, named=True)["true"] == "M" and "M as H (30)" in learnt.headline
    frame = framed(["HAB1234", "NAB1234"])
    assert search.search(frame, "MAB1234", edits=1, confusion=learnt).table["plate"][0] == "HAB1234"
    assert found(frame, "MAB1234", look_alikes=True, confusion=learnt) == {"HAB1234"} and found(frame, "MAB1234", look_alikes=True) == set()
    np.testing.assert_allclose(learnt.read_as.sum(axis=1), 1.0)
    assert (learnt.read_as > 0).all() and (np.diag(learnt.read_as) >= 0.5).all()


def test_characters_left_out_and_read_in_addition_are_aligned() -> None:
    learnt = misreads.confusion(pairs(*[("BC1234", "ABC1234")] * 50, *[("1ABC1234", "ABC1234")] * 20), checked=1000)
    assert learnt.missed > learnt.added > misreads.known().missed
    assert learnt.table.filter(pl.col("times") > 0).is_empty()


def test_without_right_reads_the_rate_is_said_to_be_assumed_and_with_them_it_is_measured() -> None:
    only = misreads.confusion(pairs(*[("A8C", "ABC")] * 40))
    assert any("assumption" in n for n in only.basis.notes)
    rated = misreads.confusion(pairs(*[("A8C", "ABC")] * 40), checked=400)
    i, j = misreads.CHARACTERS.index("B"), misreads.CHARACTERS.index("8")
    assert rated.read_as[i, j] > only.read_as[i, j] and not any("assumption" in n for n in rated.basis.notes)


def test_nothing_to_learn_from_is_told() -> None:
    with pytest.raises(CannotTell, match="no pairs of a read plate and the true one"):
        misreads.confusion(pl.DataFrame({"read": [None, "-"], "true": ["A", "B"]}))
    with pytest.raises(BadInput, match="no column 'true'"):
        misreads.confusion(pl.DataFrame({"read": ["A"]}))
    with pytest.raises(BadInput, match="checked=1"):
        misreads.confusion(pairs(("A", "B"), ("A", "A")), checked=1)


def test_the_misreads_planted_in_the_made_up_city_are_learnt_and_their_true_plates_found(city: Any, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text(encoding="utf-8"))["misreads"]
    truth = pl.DataFrame(planted["read_id_and_true_plate"], schema=["read_id", "true"], orient="row")
    reads = city.reads()
    both = reads.select("read_id", read="plate").join(truth, on="read_id")
    learnt = misreads.confusion(both.head(len(both) // 2), checked=len(reads) // 2)
    seen = learnt.table.filter(pl.col("times") > 0)
    assert seen.height >= 15 and seen["known"].all()
    groups = {frozenset(g) for g in planted["groups"]}
    for row in seen.head(15).iter_rows(named=True):
        assert any({row["true"], row["read"]} <= g for g in groups)
    held = search.index(reads.filter(~pl.col("read_id").is_in(truth["read_id"].implode())))
    wrong = both.tail(300).filter(pl.col("true").is_in(reads["plate"].implode()))
    first = [search.search(held, read, look_alikes=True, confusion=learnt, most=3).table["plate"].to_list() for read in wrong["read"]]
    assert np.mean([t in f for t, f in zip(wrong["true"], first, strict=True)]) > 0.98
    assert re.search(r"Learnt from [\d,]+ verified reads", learnt.headline)

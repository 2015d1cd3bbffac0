"""The shapes of answer: their sentence, table, drawing and basis, and how a basis knows where its rows came from."""

from __future__ import annotations

import gc
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import results
from workbench.geo import Grid, Plane
from workbench.layers import Cells
from workbench.results import Basis, Origin, Ranking, Surface, fingerprint, origin_of, remember

DAY = datetime(2026, 7, 1, tzinfo=UTC)
ROWS = pl.DataFrame({"incident_id": ["a", "b", "c"], "started_at": [DAY, DAY - timedelta(days=3), None], "batch_id": ["b1", "b1", "b2"], "n": [1, 2, None]})


def surface(expected: list[float], inside: list[bool] | None = None) -> Surface:
    grid = Grid(Plane.local(41.6, -90.9), 0, 0, len(expected), 1, 250, np.array(inside or [True] * len(expected)))
    cells = Cells("risk", grid, np.arange(len(expected)), np.array(expected), unit="expected incidents in 7 days")
    return Surface(headline="Two cells <hold> most.", table=pl.DataFrame({"cell": range(len(expected))}), layers=(cells,), grid=grid, asof=DAY,
                   basis=Basis.of(ROWS, method="counts", time="started_at"), expected=np.array(expected), horizon=timedelta(days=7))


@given(st.permutations(range(12)), st.permutations(["a", "b", "s"]))
@settings(max_examples=50, deadline=None)
def test_the_fingerprint_does_not_mind_the_order_of_rows_or_columns(rows: list[int], columns: list[str]) -> None:
    frame = pl.DataFrame({"a": range(12), "b": [i % 3 for i in range(12)], "s": [None if i == 4 else str(i) for i in range(12)]})
    assert fingerprint(frame[rows].select(columns)) == fingerprint(frame)


@given(st.integers(0, 2), st.sampled_from(["incident_id", "n"]))
@settings(max_examples=20, deadline=None)
def test_the_fingerprint_changes_with_any_value(row: int, column: str) -> None:
    changed = ROWS.with_row_index("i").with_columns(pl.when(pl.col("i") == row).then(pl.lit(99)).otherwise(pl.col(column)).alias(column)
                                                    if column == "n" else
                                                    pl.when(pl.col("i") == row).then(pl.lit("z")).otherwise(pl.col(column)).alias(column)).drop("i")
    assert fingerprint(changed) != fingerprint(ROWS)


def test_the_fingerprint_sees_a_row_more_a_row_less_and_two_frames_apart() -> None:
    assert len({fingerprint(ROWS), fingerprint(ROWS[:2]), fingerprint(pl.concat([ROWS, ROWS])), fingerprint(ROWS, ROWS), fingerprint(ROWS.clear())}) == 5


def test_lists_of_units_count_in_the_fingerprint() -> None:
    one = pl.DataFrame({"units": [["A1", "A2"], None]})
    other = pl.DataFrame({"units": [["A1", "A3"], None]})
    assert fingerprint(one) != fingerprint(other)


def test_a_frame_and_rows_picked_out_of_it_are_traced_to_their_table_versions() -> None:
    frame = ROWS.clone()
    remember(frame, Origin("city", {"incidents": 4}))
    assert origin_of(frame).versions == {"incidents": 4}
    assert origin_of(frame.filter(pl.col("incident_id") == "c")).versions == {"incidents": 4}
    assert origin_of(pl.DataFrame({"made": ["by hand"]})) == Origin()
    assert Basis.of(frame, method="m").versions == {"incidents": 4}


def test_the_note_of_a_frame_goes_when_the_frame_goes() -> None:
    gc.collect()
    before = len(results._by_frame)
    frame = pl.DataFrame({"a": [1]})
    remember(frame, Origin("city", {"incidents": 1}))
    assert len(results._by_frame) == before + 1
    del frame
    gc.collect()
    assert len(results._by_frame) == before


def test_a_basis_tells_rows_span_and_notes_in_a_fixed_order_and_as_json() -> None:
    basis = Basis.of(ROWS, method="counts", source="Chainey 2008", used=2, time="started_at", asof=DAY, notes=("one row has no time",),
                     parameters={"window": timedelta(days=365), "area": None})
    lines = basis.lines()
    assert [label for label, _ in lines][:6] == ["Method", "Source", "Parameters", "Rows", "Span", "As of"]
    told = dict(lines)
    assert told["Rows"] == "2 of 3 usable"
    assert told["Span"] == "2026-06-28 00:00 to 2026-07-01 00:00 UTC"
    assert told["Parameters"] == "window = 365 d", "what was not set is not told"
    assert told["Note"] == "one row has no time"
    data = json.loads(basis.to_json())
    assert data["rows"] == 3 and data["asof"] == "2026-07-01T00:00:00+00:00" and data["data"] == fingerprint(ROWS)


def test_an_empty_frame_still_has_a_basis() -> None:
    basis = Basis.of(ROWS.clear(), method="counts", time="started_at")
    assert basis.rows == 0 and basis.span is None and len(basis.data) == 16


def test_the_top_cells_cover_at_most_their_share_and_ties_do_not_depend_on_chance() -> None:
    expected = [1.0, 5.0, 5.0, 5.0, 0.0, 2.0, 9.0, 1.0, 0.0, 3.0]
    assert surface(expected).top(0.3).tolist() == [6, 1, 2]
    assert surface(expected).top(0.001).tolist() == [6], "at least one cell"
    inside = [True] * 6 + [False] + [True] * 3
    assert surface(expected, inside).top(0.2).tolist() == [1], "the best cell lies outside the study area; 20 % of nine cells is one"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_a_larger_share_holds_the_cells_of_the_smaller(expected: list[float], share: float) -> None:
    made = surface(expected)
    small, large = made.top(share / 2), made.top(share)
    assert set(small.tolist()) <= set(large.tolist())
    assert len(large) <= max(1, share * len(expected) + 1e-6)


def test_a_result_shows_sentence_table_drawing_and_basis_in_this_order_and_escapes_text() -> None:
    pytest.importorskip("workbench.views.tables")
    html = surface([1.0, 2.0])._repr_html_()
    assert "Two cells &lt;hold&gt; most." in html and "<hold>" not in html
    at = [html.index(part) for part in ("Two cells", "<table", "<svg", "counts")]
    assert at == sorted(at)
    assert "http" not in html.replace("http://www.w3.org", ""), "nothing is fetched"


def test_a_result_shows_the_times_of_its_table_in_the_zone_that_was_asked_for_and_says_which() -> None:
    table = ROWS.select("started_at").with_columns(p=pl.lit(1e-9))
    asked = [Basis("co-travel", parameters={"zone": "America/Chicago"}), Basis("co-travel", parameters={"zone": "no/where"})]
    here, nowhere = (Ranking(headline="Three.", table=table, layers=(), basis=basis)._repr_html_() for basis in asked)
    assert "2026-06-30 19:00" in here and "Times: America/Chicago" in here and "&lt; 0.001" in here
    assert "2026-07-01 00:00" in nowhere and "Times: UTC" in nowhere


def test_a_result_without_anything_to_draw_shows_no_drawing() -> None:
    pytest.importorskip("workbench.views.tables")
    ranking = Ranking(headline="Nobody was read near the scenes.", table=ROWS.clear(), layers=(), basis=Basis("co-travel"))
    assert "<svg" not in ranking._repr_html_()

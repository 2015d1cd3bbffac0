"""The exceptions board: published figures of its tests, planted changes found, nothing flagged beyond the stated rate where nothing changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import exp, lgamma, log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import exceptions
from workbench.models.patterns.exceptions import board, e_test, last_year, percent_change, poisson_z

ZONE = "America/Chicago"
ASOF = datetime(2026, 6, 17, 5, tzinfo=UTC)  # Wednesday, midnight in Chicago
WALL = datetime(2026, 6, 17)


def test_the_published_figures_come_out_to_seven_digits() -> None:
    assert e_test(6, 2) == pytest.approx(0.1748748, abs=5e-8)
    assert e_test(25, 16) == pytest.approx(0.1647963, abs=5e-8)
    assert poisson_z(25, 16) == 2.0 and poisson_z(16, 25) == -2.0


def plainly(k1: int, k2: int, n1: int, n2: int) -> float:
    """The e-test summed pair by pair; which pairs count is decided in whole numbers."""
    if k1 * n2 == k2 * n1:
        return 1.0
    rate = (k1 + k2) / (n1 + n2)
    top = int(max(n1, n2) * rate + 12 * (max(n1, n2) * rate) ** 0.5 + 40)
    law = [[exp(x * log(n * rate) - n * rate - lgamma(x + 1)) for x in range(top)] for n in (n1, n2)]
    seen, of = (k1 * n2 - k2 * n1) ** 2, k1 * n2 * n2 + k2 * n1 * n1
    return sum(law[0][a] * law[1][b] for a in range(top) for b in range(top)
               if a + b and (a * n2 - b * n1) ** 2 * of >= seen * (a * n2 * n2 + b * n1 * n1))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([(1, 1), (59, 60), (7, 28), (1, 5)]))
def test_the_e_test_equals_the_plain_sum_over_all_pairs(k1: int, k2: int, over: tuple[int, int]) -> None:
    assert e_test(k1, k2, *over) == pytest.approx(plainly(k1, k2, *over), abs=1e-10)
    assert e_test(k1, k2, *over) == pytest.approx(e_test(k2, k1, over[1], over[0]), abs=1e-10)


def test_the_e_test_takes_thousands_at_once_and_is_scipys_but_for_what_scipy_loses_in_rounding() -> None:
    from scipy.stats import poisson_means_test

    r = np.random.default_rng(1)
    a, b = r.poisson(r.gamma(1, 30, 3000)), r.poisson(r.gamma(1, 30, 3000))
    p = e_test(a, b, 28, 27)
    assert p.shape == (3000,) and ((p >= 0) & (p <= 1)).all()
    for i in range(0, 1500, 100):
        theirs = poisson_means_test(a[i], 28, b[i], 27).pvalue  # pairs exactly as far apart as those seen may be left out there
        assert theirs - 1e-9 <= p[i] <= 1.05 * theirs + 1e-9 or min(a[i], b[i]) == 0
    assert p[np.flatnonzero((a == 25) & (b == 63))[0]] == pytest.approx(plainly(25, 63, 28, 27), rel=1e-9)
    assert e_test(0, 0) == 1.0 and e_test(9000, 9400) == pytest.approx(0.0032, abs=2e-4)
    assert e_test(np.array([[1, 2], [3, 4]]), 2).shape == (2, 2)


@pytest.mark.parametrize("mean", [0.3, 2.0, 11.0, 80.0])
def test_p_values_of_counts_are_small_no_more_often_than_they_say(mean: float) -> None:
    r = np.random.default_rng(int(mean * 10))
    p = e_test(r.poisson(mean, 20_000), r.poisson(mean * 28 / 30, 20_000), 30, 28)
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) <= level + 4 * (level * (1 - level) / 20_000) ** 0.5 + 0.08 * level  # the e-test may pass its level by a little


def test_the_interval_of_a_percent_change_holds_the_true_one() -> None:
    r = np.random.default_rng(3)
    a, b = r.poisson(13.0, 5000), r.poisson(10.0, 5000)
    _, low, high = percent_change(a, b)
    assert np.mean((low <= 30) & (high >= 30)) >= 0.95
    change, low, high = percent_change(5, 0)
    assert np.isnan(change[0]) and high[0] == np.inf and low[0] > -100
    assert percent_change(59, 60, 59, 60)[0][0] == pytest.approx(0)
    for wrong in ((-1, 2), (1, 2, 0, 1)):
        with pytest.raises(BadInput, match="count is negative|must be above 0"):
            poisson_z(*wrong)
    with pytest.raises(BadInput, match="whole counts"):
        e_test(1.5, 2)


def test_a_year_to_date_is_compared_with_the_same_days_over_29_february() -> None:
    assert last_year(date(2024, 2, 29)) == date(2023, 3, 1)  # both hold the whole of 28 February
    assert last_year(date(2024, 3, 1)) == date(2023, 3, 1) and last_year(date(2025, 3, 1)) == date(2024, 3, 1)
    wall = [datetime(2022, 12, 1) + timedelta(days=d, hours=12) for d in range(500)]
    asof = datetime(2024, 3, 1, 6, tzinfo=UTC)
    row = board(rows(wall), asof, by=None, zone=ZONE, spans=["ytd"]).table.filter(against="last year").row(0, named=True)
    assert row["count"] == 60 and row["past"] == pytest.approx(60) and row["percent"] == pytest.approx(0) and row["p"] == 1.0  # one a day, 60 and 59 days


def rows(wall: list[datetime], **more: object) -> pl.DataFrame:
    """Incidents at local times."""
    frame = pl.DataFrame({"started_at": wall, **({"offence": "burglary", "beat": "B1"} | more)}, schema_overrides={"started_at": pl.Datetime("us")})
    return frame.with_columns(pl.col("started_at").dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC"),
                              nibrs=pl.lit(None, dtype=pl.String)).drop_nulls("started_at")


def city(seed: int, days: int = 420, beats: int = 5, mean: float = 0.5, extra: int = 0, season: float = 0.0) -> pl.DataFrame:
    """Two offences in some beats, Poisson a day; ``extra`` burglaries in beat B0 in the last seven days."""
    r = np.random.default_rng(seed)
    when, offence, beat = [], [], []
    turn = 1 + season * np.sin(2 * np.pi * np.arange(days) / 365.25)
    for b in range(beats):
        for kind in ("burglary", "robbery"):
            n = r.poisson(mean * (1 + b) / 3 * turn)
            age = np.repeat(np.arange(days), n) + r.uniform(0, 1, n.sum())
            if kind == "burglary" and b == 0 and extra:
                age = np.append(age, r.uniform(0, 7, extra))
            when += [WALL - timedelta(days=float(a)) for a in age]
            offence += [kind] * len(age)
            beat += [f"B{b}"] * len(age)
    return rows(when, offence=offence, beat=beat)


def test_counts_beside_the_span_before_and_last_year_equal_a_plain_recount() -> None:
    frame = city(1)
    table = board(frame, ASOF, zone=ZONE).table
    wall = frame.filter(beat="B3", offence="robbery")["started_at"].dt.convert_time_zone(ZONE).dt.replace_time_zone(None).to_list()

    def within(begin: datetime, end: datetime) -> int:
        return sum(begin <= t < end for t in wall)

    def row(span: str, against: str) -> dict[str, object]:
        return table.filter(beat="B3", offence="robbery", span=span, against=against).row(0, named=True)

    week, day = timedelta(days=7), timedelta(days=1)
    assert row("7d", "previous")["count"] == within(WALL - week, WALL) and row("7d", "previous")["past"] == within(WALL - 2 * week, WALL - week)
    assert row("28d", "last year")["past"] == within(WALL - 392 * day, WALL - 364 * day)
    assert row("ytd", "expected")["count"] == within(datetime(2026, 1, 1), WALL)
    assert row("ytd", "last year")["flag"] == "cannot tell"  # the records begin in April 2025
    nine = [within(WALL - (k + 1) * week, WALL - k * week) for k in range(8, -1, -1)]
    mean = np.mean(nine[:8]) ** 0.5
    assert row("7d", "previous")["weeks"] == nine and row("7d", "previous")["band_high"] == pytest.approx((mean + 1.5) ** 2)
    one = row("28d", "previous")
    assert one["z"] == pytest.approx(poisson_z(one["count"], one["past"])) and one["p"] == pytest.approx(e_test(one["count"], int(one["past"])))
    assert one["grey"] == (one["past"] < 10) and table.height == 5 * 2 * 8


def test_a_planted_rise_is_flagged_and_named_with_its_interval() -> None:
    answer = board(city(2, extra=16), ASOF, zone=ZONE)
    found = answer.table.filter(pl.col("flag").is_in(["above", "below"]))
    assert set(found["beat"]) == {"B0"} and set(found["offence"]) == {"burglary"} and set(found["flag"]) == {"above"}
    assert answer.headline.startswith("Burglary in beat B0: ") and "95 %" in answer.headline and "stand out" in answer.headline


def test_where_nothing_changed_something_is_flagged_no_more_often_than_the_rate_says() -> None:
    tries = 40
    boards = (board(city(100 + s, days=150, beats=4), ASOF, zone=ZONE, rate=0.1).table for s in range(tries))
    hit = sum(table["flag"].is_in(["above", "below"]).any() for table in boards)
    assert hit <= 8  # 10 % of 40 is 4; passed by chance less than once in 20 times


def test_p_values_against_the_expectation_are_small_no_more_often_than_they_say() -> None:
    boards = [board(city(300 + s, days=430, season=0.4), ASOF, zone=ZONE).table.filter(against="expected") for s in range(12)]
    p = np.concatenate([table["p"].drop_nulls().to_numpy() for table in boards])
    assert len(p) == 240 and np.mean(p <= 0.05) <= 0.075 and np.mean(p <= 0.2) <= 0.26


def test_a_season_is_no_exception() -> None:
    wall = [WALL - timedelta(days=d, hours=h) for d in range(1100) for h in range(round(12 + 6 * np.sin(2 * np.pi * (d + 20) / 365.25)))]
    table = board(rows(wall), ASOF, by=None, zone=ZONE).table.filter(against="expected")
    assert (table["percent"].abs() < 8).all() and (table["flag"] == "").all()


def test_the_agencys_week_ends_the_spans_and_a_begun_day_is_left_out() -> None:
    frame = city(5)
    monday = board(frame, ASOF, zone=ZONE, week_start="Monday")
    assert monday.basis.parameters["end"] == "2026-06-15" and board(frame, ASOF, zone=ZONE).basis.parameters["end"] == "2026-06-17"
    later = board(frame, ASOF + timedelta(hours=13), zone=ZONE)
    assert later.basis.parameters["end"] == "2026-06-17" and later.table.drop("weeks").equals(board(frame, ASOF, zone=ZONE).table.drop("weeks"))


def test_late_reports_are_left_out_of_every_span_alike() -> None:
    frame = rows([WALL - timedelta(days=d, hours=h) for d in range(400) for h in (1, 5, 9)])
    late = frame.with_columns(reported_at=pl.col("started_at") + timedelta(days=3))
    table = board(late, ASOF, by=None, zone=ZONE, spans=["7d"]).table
    assert table["count"].unique().to_list() == [12] and table.filter(pl.col("against") != "expected")["past"].unique().to_list() == [12.0]
    assert table.filter(against="expected")["past"][0] == pytest.approx(12, rel=0.02) and (table["flag"] == "").all()


def test_neither_order_nor_later_rows_nor_another_name_of_the_beats_changes_the_board() -> None:
    frame = city(6)
    later = frame.with_columns(started_at=pl.col("started_at") + timedelta(days=430))
    mixed = pl.concat([frame, later]).sample(fraction=1.0, shuffle=True, seed=1)
    one, other = board(frame, ASOF, zone=ZONE).table, board(mixed, ASOF, zone=ZONE).table
    assert one.equals(other)
    named = board(frame.with_columns(beat=pl.lit("x") + pl.col("beat")), ASOF, zone=ZONE).table
    assert np.allclose(named["q"].fill_null(-1), one["q"].fill_null(-1))


def test_what_cannot_be_told_is_said() -> None:
    short = board(city(7, days=9), ASOF, zone=ZONE)
    assert set(short.table["flag"]) == {"cannot tell"} and "do not reach far enough back" in short.headline
    assert any("not complete" in n for n in board(city(7), ASOF + timedelta(days=6), zone=ZONE).basis.notes)
    with pytest.raises(CannotTell, match="choose a later asof"):
        board(city(7), datetime(2020, 1, 1, tzinfo=UTC), zone=ZONE)
    for wrong, match in (({"spans": ["7 days"]}, "7d, 28d, ytd"), ({"week_start": "mondy"}, "Did you mean 'monday'"), ({"rate": 0}, "between 0 and 1"),
                         ({"by": "bet"}, "beat"), ({"zone": "Chicago"}, "Time zone")):
        with pytest.raises(BadInput, match=match):
            board(city(7, days=20), ASOF, **({"zone": ZONE} | wrong))


def test_chicago_has_more_exceptions_than_its_weeks_in_a_drawn_order(real_data: Path) -> None:
    kinds = ["BURGLARY", "ROBBERY", "MOTOR VEHICLE THEFT", "BATTERY"]
    files = [real_data / "chicago" / f"chicago_crimes_{y}.parquet" for y in (2014, 2015, 2016)]
    real = pl.concat([pl.read_parquet(file, columns=["Date", "Primary Type", "District"]) for file in files])
    real = real.filter(pl.col("Primary Type").is_in(kinds)).rename({"Primary Type": "offence", "District": "beat"})
    week = (real["Date"] - datetime(2014, 1, 1)).dt.total_days() // 7
    order = np.random.default_rng(1).permutation(int(week.max()) + 1)
    moved = real.with_columns(Date=pl.col("Date") + pl.duration(days=pl.Series((order[week.to_numpy()] - week.to_numpy()) * 7)))

    def flagged(frame: pl.DataFrame) -> int:
        told = frame.select(nibrs=pl.lit(None, dtype=pl.String), offence="offence", beat="beat", started_at=pl.col("Date").dt.replace_time_zone(
            ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")).drop_nulls("started_at")
        return exceptions.board(told, "2016-10-31T05:00", zone=ZONE).table["flag"].is_in(["above", "below"]).sum()

    assert flagged(real) >= 5 * max(1, flagged(moved))

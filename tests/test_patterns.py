"""Counts against what was expected, and the heat clock: planted effects found, nothing found where nothing was planted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, nbinom

from workbench import models
from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import clock, expected

ASOF = datetime(2026, 7, 1, 5, tzinfo=UTC)  # midnight in Chicago
ZONE = "America/Chicago"
CODES = {"220": 3.0, "240": 2.4, "120": 0.9, "13A": 1.5}
GROUPS = {"burglary": ["220"], "vehicle theft": ["240"], "robbery": ["120"], "assault": ["13A"]}


def records(seed: int, *, days: int = 130, swing: float = 0.0, extra: dict[str, int] | None = None) -> pl.DataFrame:
    """Incidents of a quiet city: Poisson a day (negative binomial with ``swing``), plus ``extra`` by code in the last 7 days."""
    r = np.random.default_rng(seed)
    codes, ages = [], []
    for code, rate in CODES.items():
        for day in range(days):
            n = r.poisson(r.gamma(1 / swing, rate * swing) if swing else rate)
            codes += [code] * n
            ages += (86400 * (day + r.uniform(0, 1, n))).tolist()
        n = (extra or {}).get(code, 0)
        codes += [code] * n
        ages += (86400 * 7 * r.uniform(0, 1, n)).tolist()
    start = [ASOF - timedelta(seconds=a) for a in ages]
    frame = pl.DataFrame({"nibrs": codes, "offence": codes, "started_at": start, "beat": [f"B{i}" for i in r.integers(0, 12, len(codes))]})
    never = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    return frame.with_columns(pl.col("started_at").dt.cast_time_unit("us"), ended_at=never, reported_at=never).sort("started_at")


def counted(frame: pl.DataFrame, **options: object) -> pl.DataFrame:
    return expected.counts(frame, ASOF, groups=GROUPS, zone=ZONE, **options).table


def test_counts_and_expectations_equal_a_plain_recount() -> None:
    frame = records(1)
    row = counted(frame).filter(offence="burglary", window="7d").row(0, named=True)
    wall = frame.filter(nibrs="220")["started_at"].to_list()
    weeks = [sum(ASOF - timedelta(days=7 * (k + 1)) <= t < ASOF - timedelta(days=7 * k) for t in wall) for k in range(13)]
    assert row["count"] == weeks[0] and row["expected"] == pytest.approx(np.mean(weeks[1:])) and row["spans"] == 12
    mean = (sum(weeks[1:]) + 0.5) / 12
    wide = max(1.0, np.var(weeks[1:], ddof=1) / np.mean(weeks[1:])) * mean * (1 + 1 / 12)
    law = nbinom(mean**2 / (wide - mean), mean / wide)
    assert (row["low"], row["high"]) == (law.ppf(0.025), law.ppf(0.975))
    assert row["p"] == pytest.approx(min(1, 2 * min(law.cdf(weeks[0]), law.sf(weeks[0] - 1))))


def test_a_planted_rise_is_found_and_named_in_the_headline() -> None:
    answer = expected.counts(records(2, extra={"120": 25}), ASOF, groups=GROUPS, zone=ZONE)
    row = answer.table.filter(offence="robbery", window="7d").row(0, named=True)
    assert row["flag"] == "above" and row["q"] < 0.001
    assert answer.headline.startswith("Robbery: ") and "more than expected" in answer.headline and "95 %" in answer.headline


def test_in_a_quiet_city_something_is_flagged_no_more_often_than_the_rate_says() -> None:
    tries = 60
    quiet = sum(counted(records(100 + s))["flag"].is_in(["above", "below"]).any() for s in range(tries))
    moving = sum(counted(records(500 + s, swing=0.4))["flag"].is_in(["above", "below"]).any() for s in range(tries))
    assert quiet <= 7 and moving <= 10  # 5 % of 60 is 3; these bounds are passed by chance less than once in 20 and 1000 times


def test_the_answer_does_not_depend_on_the_order_of_rows_or_on_rows_after_asof() -> None:
    frame = records(3)
    later = frame.with_columns(started_at=pl.col("started_at") + timedelta(days=150))
    mixed = pl.concat([frame, later]).sample(fraction=1.0, shuffle=True, seed=4)
    assert counted(mixed).equals(counted(frame))


def test_reports_that_came_late_are_left_out_of_every_span_alike() -> None:
    frame = records(5).with_columns(reported_at=pl.col("started_at") + timedelta(days=4))
    week = counted(frame, windows=("7d",)).filter(offence="burglary").row(0, named=True)
    known = pl.col("started_at").is_between(ASOF - timedelta(days=7), ASOF - timedelta(days=4), closed="left")
    assert week["count"] == frame.filter(known, nibrs="220").height
    assert week["flag"] == "" and week["expected"] < 12.0, "a span before counts only what had been reported by its end"


def test_beats_are_compared_with_themselves() -> None:
    frame = records(6)
    surge = frame.filter(nibrs="240").head(14).with_columns(beat=pl.lit("B3"), started_at=pl.lit(ASOF - timedelta(days=2)).dt.cast_time_unit("us"))
    table = counted(pl.concat([frame, surge]), by="beat", windows=("7d",))
    assert table.filter(pl.col("flag") == "above").select("beat", "offence").rows() == [("B3", "vehicle theft")]


def test_the_q_values_are_those_of_scipy() -> None:
    p = np.random.default_rng(7).uniform(0, 1, 40) ** 2
    assert expected.adjusted(p) == pytest.approx(false_discovery_control(p))


def test_an_offence_can_be_named_by_the_agencys_own_wording() -> None:
    frame = records(8).with_columns(nibrs=pl.lit("UNKNOWN"), offence=pl.when(nibrs="220").then(pl.lit("Burglary ")).otherwise(pl.lit("THEFT")))
    table = expected.counts(frame, ASOF, groups={"burglary": ["offence:BURGLARY"]}, zone=ZONE, windows=("7d",)).table
    assert table["count"][0] == records(8).filter(pl.col("nibrs") == "220", pl.col("started_at") >= ASOF - timedelta(days=7)).height


def test_a_day_stays_a_day_when_clocks_change() -> None:
    asof = datetime(2026, 3, 11, 5, tzinfo=UTC)  # midnight in Chicago, three days after clocks went forward
    wall = [datetime(2026, 3, 10) - timedelta(days=7 * k) for k in range(14)]
    each = pl.DataFrame({"started_at": [w + timedelta(minutes=5) for w in wall]})
    frame = each.with_columns(pl.col("started_at").dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC"), nibrs=pl.lit("220"), offence=pl.lit("BURGLARY"))
    row = expected.counts(frame, asof, groups={"burglary": ["220"]}, zone=ZONE, windows=("24h",)).table.row(0, named=True)
    assert (row["count"], row["expected"], row["spans"]) == (1, 1.0, 12)


def test_too_few_weeks_are_said_and_nothing_at_all_is_refused() -> None:
    answer = expected.counts(records(9, days=20), ASOF, groups=GROUPS, zone=ZONE)
    assert set(answer.table["flag"]) == {"cannot tell"} and "do not reach far enough back" in answer.headline
    with pytest.raises(CannotTell, match="choose a later asof"):
        expected.counts(records(9), ASOF - timedelta(days=900), groups=GROUPS)
    with pytest.raises(BadInput, match="'1 week'"):
        expected.counts(records(9), ASOF, groups=GROUPS, windows=("1 week",))


def test_stale_records_are_said_in_the_basis() -> None:
    answer = expected.counts(records(10), ASOF + timedelta(days=9), groups=GROUPS, zone=ZONE)
    assert any("not complete" in note for note in answer.basis.notes)


def at_hour(hour: int, n: int, seed: int, span: int = 0) -> pl.DataFrame:
    r = np.random.default_rng(seed)
    days, minutes = r.integers(0, 60, n).tolist(), r.integers(0, 60, n).tolist()
    start = [datetime(2026, 6, 30) - timedelta(days=d) + timedelta(hours=hour, minutes=m) for d, m in zip(days, minutes, strict=True)]
    frame = pl.DataFrame({"started_at": start}).with_columns(pl.col("started_at").dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC"))
    return frame.with_columns(ended_at=pl.col("started_at") + timedelta(hours=span) if span else pl.lit(None, dtype=pl.Datetime("us", "UTC")))


def test_a_planted_evening_is_found_in_local_hours() -> None:
    frame = pl.concat([at_hour(h, 4, h) for h in range(24)] + [at_hour(20, 40, 99)])
    answer = clock.week(frame, ASOF, zone=ZONE)
    evening = answer.table.group_by("hour").agg(pl.col("incidents").sum()).sort("incidents", descending=True)
    assert evening["hour"][0] == 20 and "p = 0.002" in answer.headline
    assert any(f"{h:02d}:00 to {h + 4:02d}:00" in answer.headline for h in (17, 18, 19, 20))


def test_an_even_city_has_no_busy_hour() -> None:
    frame = pl.concat([at_hour(h, 10, h) for h in range(24)])
    assert clock.week(frame, ASOF, zone=ZONE).headline.startswith("No time of day stands out")


def test_an_incident_is_spread_over_the_hours_it_can_have_happened_in() -> None:
    start = datetime(2026, 6, 1, 13, 30, tzinfo=UTC)  # a Monday
    frame = pl.DataFrame({"started_at": [start, start], "ended_at": [start + timedelta(hours=2), None]})
    table = clock.week(frame, ASOF).table.filter(pl.col("incidents") > 0)
    assert table.rows() == [("Mon", 13, pytest.approx(1.25)), ("Mon", 14, pytest.approx(0.5)), ("Mon", 15, pytest.approx(0.25))]


def test_what_may_have_happened_over_a_week_is_left_out_and_counted() -> None:
    frame = pl.concat([at_hour(9, 5, 1), at_hour(9, 3, 2, span=24 * 6)])
    answer = clock.week(frame, ASOF, zone=ZONE)
    assert answer.table["incidents"].sum() == pytest.approx(5) and any(n.startswith("3 that may have happened") for n in answer.basis.notes)


def test_the_patterns_are_listed_with_the_other_models() -> None:
    assert {"patterns.expected", "patterns.clock"} <= set(models.names())

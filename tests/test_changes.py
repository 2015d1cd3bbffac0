"""Changepoints against the plain search over all cuts, dates with their interval, weekly bands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import changes
from workbench.views import charts

FIRST = date(2020, 1, 6)
ZONE = "America/Chicago"


def series(counts: np.ndarray, step: int = 7) -> pl.DataFrame:
    return pl.DataFrame({"week": [FIRST + timedelta(days=step * i) for i in range(len(counts))], "count": np.asarray(counts, dtype=np.int64)})


def plainly(n: np.ndarray, over: float, penalty: float | str, least: int) -> list[int]:
    """The best cut by looking at every one, without pruning; the cost of a stretch from its likelihood, count by count."""
    size, long = len(n), penalty == "mbic"
    each = 3 * np.log(size) if long else penalty

    def cost(a: int, b: int) -> float:
        x, m = n[a:b].astype(float), n[a:b].mean()
        if m == 0:
            value = 0.0
        elif over:
            r = 1 / over
            value = -2 * np.sum(x * np.log(m / (m + r)) + r * np.log(r / (m + r)))
        else:
            value = -2 * np.sum(x * np.log(m) - m)
        return value + (np.log((b - a) / size) if long else 0.0)

    best, last = np.full(size + 1, np.inf), np.zeros(size + 1, dtype=int)
    best[0] = -each
    for t in range(least, size + 1):
        for s in [0, *range(least, t - least + 1)]:
            if (value := best[s] + cost(s, t) + each) < best[t] - 1e-9:
                best[t], last[t] = value, s
    cuts, t = [], size
    while last[t] > 0:
        t = int(last[t])
        cuts.append(t)
    return cuts[::-1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 60), st.sampled_from([0.0, 0.05]), st.sampled_from(["mbic", 4.0]), st.sampled_from([1, 2, 5]))
def test_the_cut_is_the_best_of_all_cuts(seed: int, size: int, over: float, penalty: float | str, least: int) -> None:
    r = np.random.default_rng(seed)
    n = r.poisson(np.repeat(r.gamma(1.5, 5, size // 8 + 1), 8)[:size])
    assert changes.segments(n, dispersion=over, penalty=penalty, least=least) == plainly(n, over, penalty, least)


def test_where_nothing_changed_a_change_is_claimed_in_under_five_of_a_hundred_series() -> None:
    r = np.random.default_rng(1)
    made = {"poisson": lambda: r.poisson(12, 104), "low": lambda: r.poisson(0.6, 156), "uneven": lambda: r.poisson(r.gamma(10, 1.2, 104)),
            "short": lambda: r.poisson(5, 40)}
    for name, draw in made.items():
        wrong = np.mean([len(changes.segments(n, dispersion=changes.dispersion(n))) > 0 for n in (draw() for _ in range(250))])
        assert wrong <= 0.075, name


def test_a_planted_change_is_dated_and_its_interval_holds_the_true_date() -> None:
    held, found = 0, 0
    for seed in range(60):
        r = np.random.default_rng(seed)
        answer = changes.changepoints(series(r.poisson(np.r_[np.full(60, 10.0), np.full(50, 16.0)])), seed=seed)
        if answer.table.height == 2:
            found += 1
            held += answer.table["earliest"][1] <= FIRST + timedelta(days=420) <= answer.table["latest"][1]
    assert found >= 50 and held >= 0.8 * found
    assert answer.headline.startswith("The level changed: it began with 2021-0") and "90 %" in answer.headline
    assert answer.table["change"][0] is None and answer.table["change"][1] == pytest.approx(60, abs=25)


def test_moving_the_dates_or_the_order_of_rows_changes_nothing_else() -> None:
    n = np.random.default_rng(4).poisson(np.r_[np.full(30, 4.0), np.full(30, 9.0), np.full(30, 3.0)])
    one = changes.changepoints(series(n)).table
    other = changes.changepoints(series(n).sample(fraction=1.0, shuffle=True, seed=1).with_columns(pl.col("week") + timedelta(days=700))).table
    assert one.height == 3 and one["periods"].to_list() == other["periods"].to_list()
    assert (other["begins"] - one["begins"] == timedelta(days=700)).all()
    daily = changes.changepoints(series(n, step=1).rename({"week": "at"})).table
    assert daily["periods"].to_list() == one["periods"].to_list()
    assert changes.changepoints(series(n)).headline.startswith("2 changes of level; the last began with ")


def test_a_series_that_cannot_be_cut_is_refused_with_a_sentence() -> None:
    with pytest.raises(CannotTell, match="7 periods are too few"):
        changes.changepoints(series(np.ones(7)))
    with pytest.raises(CannotTell, match="no incident in any period"):
        changes.changepoints(series(np.zeros(30)))
    gap = series(np.ones(30)).filter(pl.col("week") != FIRST + timedelta(days=70))
    for bad, match in ((gap, "Periods are missing"), (series(np.ones(30)).with_columns(pl.col("count") - 2), "negative or not whole"),
                       (pl.concat([series(np.ones(30))] * 2), "same time"), (series(np.ones(30)).drop("count"), "count")):
        with pytest.raises(BadInput, match=match):
            changes.changepoints(bad)
    for wrong, match in (({"cost": "poison"}, "Did you mean 'poisson'"), ({"penalty": 0}, "'mbic' or a number"), ({"least": 0}, "whole number of periods")):
        with pytest.raises(BadInput, match=match):
            changes.changepoints(series(np.arange(30)), **wrong)
    assert changes.changepoints(series(np.full(30, 6))).headline.startswith("No change of level in 30 periods: 6.0 a period")


def records(seed: int, weeks: int, season: float = 0.0, swing: float = 0.0, mean: float = 20.0, extra: int = 0) -> pl.DataFrame:
    """Incidents of one kind up to Monday 2026-06-01 in Chicago."""
    r = np.random.default_rng(seed)
    end = datetime(2026, 6, 1, 5, tzinfo=UTC)
    rate = mean * (1 + season * np.sin(2 * np.pi * np.arange(weeks) * 7 / 365.25)) * (r.gamma(1 / swing, swing, weeks) if swing else 1.0)
    n = r.poisson(rate)
    n[0] += extra
    age = np.repeat(np.arange(weeks), n) * 7 + r.uniform(0, 6.9, n.sum())
    frame = pl.DataFrame({"started_at": [end - timedelta(days=float(a)) for a in age]}, schema={"started_at": pl.Datetime("us", "UTC")})
    return frame.with_columns(offence=pl.lit("burglary"), nibrs=pl.lit(None, dtype=pl.String))


@pytest.mark.parametrize(("band", "season"), [("weeks", 0.0), ("years", 0.3), ("season", 0.3)])
@pytest.mark.parametrize("swing", [0.0, 0.05])
def test_a_band_holds_as_many_weeks_as_it_says(band: str, season: float, swing: float) -> None:
    out = np.concatenate([(changes.weekly(records(s, 215, season, swing), "2026-06-01T05:00", band=band, zone=ZONE, level=0.9).table["flag"] != "").to_numpy()
                          for s in range(12)])
    assert 0.02 <= out.mean() <= 0.13


def test_a_planted_week_stands_out_and_the_table_is_what_the_chart_needs() -> None:
    answer = changes.weekly(records(3, 120, extra=25), "2026-06-03T05:00", zone=ZONE)
    last = answer.table.row(-1, named=True)
    assert last["flag"] == "above" and last["week"] == date(2026, 5, 25) and answer.table.height == 52 and "above its band" in answer.headline
    assert last["expected"] == pytest.approx((answer.table["count"][-9:-1].sum() + 0.5) / 8)
    assert "</svg>" in charts.svg(charts.weekly(answer.table))
    monday = changes.weekly(records(3, 120), "2026-06-03T05:00", zone=ZONE, week_start="sunday").table
    assert monday["week"][-1] == date(2026, 5, 24)


def test_bands_that_cannot_be_made_are_refused_with_a_sentence() -> None:
    short = records(5, 6)
    with pytest.raises(CannotTell, match="needs at least 9"):
        changes.weekly(short, "2026-06-01T05:00", zone=ZONE)
    with pytest.raises(CannotTell, match="needs at least 54"):
        changes.weekly(records(5, 30), "2026-06-01T05:00", zone=ZONE, band="season")
    with pytest.raises(CannotTell, match="choose a later asof"):
        changes.weekly(short, "2020-01-01")
    for wrong, match in (({"band": "seasn"}, "Did you mean 'season'"), ({"week_start": "x"}, "not a weekday"), ({"offence": "burglry"}, "mean 'burglary'")):
        with pytest.raises(BadInput, match=match):
            changes.weekly(records(5, 30), "2026-06-01T05:00", zone=ZONE, **wrong)


def test_a_season_is_learnt_from_a_whole_year_before_the_first_week_shown() -> None:
    answer = changes.weekly(records(5, 104), "2026-06-01T05:00", zone=ZONE, band="season")
    assert answer.table.height == 103 - 53 and (answer.table["expected"] / answer.table["count"].mean()).is_between(0.6, 1.6).all()


def test_the_result_of_weekly_is_taken_as_it_is_and_can_be_asked_again() -> None:
    weeks = changes.weekly(records(5, 60), "2026-06-01T05:00", zone=ZONE)
    by_result, by_table = changes.changepoints(weeks), changes.changepoints(weeks.table)
    assert by_result.headline == by_table.headline and by_result.table.equals(by_table.table)
    assert by_result.basis.run["arguments"]["counts"]["$"] == "result" and by_table.basis.run["arguments"]["counts"]["$"] == "frame"

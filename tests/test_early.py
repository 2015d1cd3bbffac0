"""Early detection: false alarms no more often than promised, planted rises noticed, a state that can be put away and taken up again."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom, poisson

from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import early
from workbench.models.patterns.early import Bayesian, Detector

DAY = 4 + 3 * np.sin(2 * np.pi * np.arange(24) / 24)  # what is expected by hour


def hours(counts: np.ndarray, expected: np.ndarray) -> pl.DataFrame:
    start = datetime(2026, 5, 1)
    return pl.DataFrame({"at": [start + timedelta(hours=i) for i in range(len(counts))], "count": counts, "expected": expected})


@pytest.mark.parametrize(("side", "dispersion"), [("more", 0.0), ("fewer", 0.0), ("both", 0.0), ("more", 0.2)])
def test_false_alarms_are_at_least_as_far_apart_as_promised(side: str, dispersion: float) -> None:
    waits = early.delays(np.tile(DAY, 200), 1.0, run_length=150, side=side, dispersion=dispersion, runs=300, seed=1)
    assert np.minimum(waits, 4800).mean() >= 150  # cut off at the end of the series, which only makes it less
    # the sharper bound behind it: the chance of an alarm within t counts is at most t / run_length
    assert np.mean(waits <= 50) <= 50 / 150


def test_alarms_come_no_sooner_when_less_happens_than_expected() -> None:
    usual = early.delays(np.tile(DAY, 100), 1.0, run_length=100, runs=200, seed=2)
    quiet = early.delays(np.tile(DAY, 100), 0.9, run_length=100, runs=200, seed=2)
    assert np.minimum(quiet, 2400).mean() > np.minimum(usual, 2400).mean()


def test_the_bets_behind_the_evidence_are_fair_whatever_is_expected() -> None:
    x = np.arange(4000)
    for mean in (0.05, 1.0, 30.0):
        for ratio in early.MORE + early.FEWER:
            assert np.sum(np.exp(poisson.logpmf(x, mean) + early._log_ratio(x, mean, ratio, 0.0))) == pytest.approx(1)
            assert np.sum(np.exp(nbinom.logpmf(x, 5, 1 / (1 + 0.2 * mean)) + early._log_ratio(x, mean, ratio, 0.2))) == pytest.approx(1)


def test_a_planted_doubling_is_noticed_soon_and_its_beginning_is_named() -> None:
    r = np.random.default_rng(3)
    expected = np.tile(DAY, 20)
    count = r.poisson(expected * np.where(np.arange(480) < 400, 1, 2))
    for method in early.METHODS:
        answer = early.watch(hours(count, expected), method=method, run_length=20_000)
        first = answer.table.with_row_index("i").filter(pl.col("alarm") & (pl.col("i") >= 400)).row(0, named=True)
        assert first["i"] <= 415 and abs(first["i"] - first["since"] + 1 - 400) <= 8, method
        assert not answer.table["alarm"][:400].any() and answer.headline.startswith("Alarm at 2026-05-")
    assert np.median(early.delays(expected, 2.0, seed=1)) < np.median(early.delays(expected, 1.5, seed=1)) < np.inf


def test_the_promise_and_the_delay_are_told() -> None:
    expected = np.tile(DAY, 10)
    calm = early.watch(hours(np.full(240, 3), expected), run_length=500)
    assert calm.headline.startswith("No alarm in 240 counts: 720 where 960.0 were expected") and "500 counts apart" in calm.headline
    assert any("guaranteed" in n for n in calm.basis.notes) and any("2 times the expected one is noticed after" in n for n in calm.basis.notes)
    other = early.watch(hours(np.full(240, 3), expected), method="bocpd")
    assert any("measured, not guaranteed" in n for n in other.basis.notes)
    fall = early.watch(hours(np.full(240, 1), expected), side="fewer")
    assert fall.table["alarm"].any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.01, 30)), min_size=2, max_size=40), st.sampled_from(early.SIDES), st.integers(1, 30))
def test_a_detector_that_is_put_away_and_taken_up_says_the_same(counts: list[tuple[int, float]], side: str, cut: int) -> None:
    whole, parted = Detector(run_length=50, side=side), Detector(run_length=50, side=side)
    steps = [whole.update(c, e) for c, e in counts]
    again = [parted.update(c, e) for c, e in counts[:cut]]
    parted = Detector.from_json(parted.to_json())
    again += [parted.update(c, e) for c, e in counts[cut:]]
    assert steps == again and whole.to_json() == parted.to_json()
    assert len(json.loads(whole.to_json())["evidence"]) == len(whole.ratios)


def test_the_online_form_equals_the_sum_over_all_beginnings() -> None:
    r = np.random.default_rng(5)
    counts, expected = r.poisson(3, 30), np.full(30, 2.5)
    detector = Detector(run_length=1e9)
    for t in range(30):
        told = detector.update(int(counts[t]), 2.5).evidence
        every = [np.exp(np.sum(early._log_ratio(counts[j : t + 1], expected[j : t + 1], ratio, 0.0))) for ratio in early.MORE for j in range(t + 1)]
        assert told == pytest.approx(math.log(np.sum(every) / len(early.MORE)))


def test_bayesian_probabilities_are_those_of_the_plain_sum_over_all_cuts() -> None:
    counts, expected = [3, 4, 2, 9, 8], [3.0, 3.0, 2.0, 3.0, 3.0]
    told = Bayesian(mean_run=20, recent=2)
    for c, e in zip(counts, expected, strict=True):
        told.update(c, e)

    def predicted(a: int, b: int) -> float:
        """Chance of the counts a to b - 1 under one level."""
        total, chance_, count = 6.0, 1.0, 6.0
        for c, e in zip(counts[a:b], expected[a:b], strict=True):
            chance_ *= nbinom.pmf(c, count, total / (total + e))
            total, count = total + e, count + c
        return chance_

    def upto(t: int) -> float:
        """Chance of the first t counts and that a level begins behind them."""
        return 1.0 if t == 0 else sum(upto(s) * predicted(s, t) * (19 / 20) ** (t - s - 1) * (1 / 20) for s in range(t))

    joint = np.array([upto(5), *(upto(s) * predicted(s, 5) * (19 / 20) ** (5 - s) for s in range(4, -1, -1))])
    assert np.allclose(told.chances, joint / joint.sum())
    for _ in range(400):
        told.update(3, 3.0)
    assert len(told.chances) == early._LONGEST and sum(told.chances) == pytest.approx(1)


def test_a_baseline_is_made_of_what_lay_before_only() -> None:
    r = np.random.default_rng(6)
    frame = hours(r.poisson(5, 24 * 12), np.ones(24 * 12)).drop("expected")
    made = early.baseline(frame, cycle=24, cycles=4)
    count = frame["count"].to_numpy()
    assert made.height == 24 * 8 and made["expected"][0] == pytest.approx((count[0] + count[24] + count[48] + count[72] + 0.5) / 4)
    changed = frame.with_columns(count=pl.when(pl.int_range(pl.len()) >= 200).then(99).otherwise("count"))
    assert early.baseline(changed, cycle=24, cycles=4)["expected"][: 200 - 96].equals(made["expected"][: 200 - 96])


def test_what_does_not_do_is_refused_with_a_sentence() -> None:
    for wrong, match in (({"run_length": 1}, "counts are to lie between"), ({"side": "mor"}, "Did you mean 'more'"), ({"dispersion": -1}, "0 \\(Poisson\\)")):
        with pytest.raises(BadInput, match=match):
            Detector(**wrong)
    for count, expected, match in ((-1, 1.0, "A count of -1"), (1.5, 1.0, "A count of 1.5"), (1, 0.0, "An expectation of 0.0"), (1, math.nan, "An exp")):
        with pytest.raises(BadInput, match=match):
            Detector().update(count, expected)
    for text in ("", "{}", '{"form": 9}', '{"form": 1, "evidence": [1], "cusum": [0], "began": [1]}', "[]"):
        with pytest.raises(BadInput, match="not the state of a detector"):
            Detector.from_json(text)
    with pytest.raises(BadInput, match="sure between 0 and 1"):
        Bayesian(sure=1.0)
    frame = hours(np.full(5, 2), np.full(5, 2.0))
    with pytest.raises(BadInput, match="Did you mean 'bocpd'"):
        early.watch(frame, method="bcpd")
    with pytest.raises(BadInput, match="no expectation"):
        early.watch(frame.with_columns(expected=pl.lit(None, dtype=pl.Float64)))
    with pytest.raises(CannotTell, match="no period"):
        early.watch(frame.head(0))
    with pytest.raises(BadInput, match="expected"):
        early.watch(frame.drop("expected"))
    with pytest.raises(BadInput, match="at least 1"):
        early.baseline(frame, cycle=0)

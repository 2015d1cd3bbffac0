"""Mantel's and Jacquez's tests: exact moments, chance, planted interaction, and answers that do not depend on how they are computed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.test_near_repeat import metres, scattered
from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import space_time
from workbench.models.patterns._placed import placed

TESTS = (space_time.mantel, space_time.jacquez)


@pytest.mark.parametrize("transform", space_time.TRANSFORMS)
def test_mantels_moments_are_those_of_all_permutations(transform: str) -> None:
    rng = np.random.default_rng(2)
    x, y, t = rng.uniform(0, 500, 7), rng.uniform(0, 500, 7), np.sort(rng.uniform(0, 50, 7))
    ready = placed(metres(x, y, t), least=2)
    how = (0, int(transform == "reciprocal"), 100.0, 1.0)
    days = (ready.start - ready.start[0]) / 86_400e6
    a, b = np.hypot(ready.x[:, None] - ready.x, ready.y[:, None] - ready.y), np.abs(days[:, None] - days)
    if transform == "reciprocal":
        a, b = 1 / (a + 100), 1 / (b + 1)
    iu = np.triu_indices(7, 1)
    every = np.array([(a[iu] * b[np.ix_(p, p)][iu]).sum() for p in map(list, itertools.permutations(range(7)))])
    mean, variance, _ = space_time._moments(ready, days, how, 1)
    assert np.isclose(mean, every.mean()) and np.isclose(variance, every.var())
    assert np.isclose(space_time._permuted_mantel(ready, days, how, 9, 1, 1)[0], (a[iu] * b[iu]).sum())


def test_jacquez_counts_what_is_near_in_both() -> None:
    rng = np.random.default_rng(4)
    x, y, t = rng.uniform(0, 500, 40), rng.uniform(0, 500, 40), rng.permutation(40) * 1.7 + rng.uniform(0, 0.3, 40)
    table = space_time.jacquez(metres(x, y, t), k=3, permutations=19).table
    d, gap = np.hypot(x[:, None] - x, y[:, None] - y), np.abs(t[:, None] - t)
    np.fill_diagonal(d, np.inf)
    np.fill_diagonal(gap, np.inf)
    for k in (1, 2, 3):
        both = sum(len(set(np.argsort(d[i])[:k]) & set(np.argsort(gap[i])[:k])) for i in range(40))
        assert table["cumulative"][k - 1] == both
    assert table["specific"].sum() == table["cumulative"][-1]


@pytest.mark.parametrize("test", TESTS)
def test_planted_interaction_is_found_and_shuffled_times_show_none(test: Any) -> None:
    planted = scattered(250, 3, planted=80)
    found = test(planted)
    assert found.table["p"][0] <= 0.01 and "more than chance" in found.headline
    assert test(planted.with_columns(pl.col("started_at").shuffle(seed=4))).table["p"][-1] > 0.05


@pytest.mark.parametrize("test", TESTS)
def test_p_is_uniform_under_chance(test: Any) -> None:
    from scipy.stats import kstest

    rng = np.random.default_rng(7)
    p = [test(metres(rng.uniform(0, 900, 25), rng.uniform(0, 900, 25), rng.uniform(0, 99, 25)), permutations=39, seed=k, threads=1).table["p"][-1]
         - rng.uniform(0, 1 / 40) for k in range(1000)]
    if test is space_time.mantel:
        assert kstest(p, "uniform").pvalue > 0.01
    else:  # counts tie, and ties count against a finding
        assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("test", TESTS)
def test_threads_and_order_of_rows_change_nothing(test: Any) -> None:
    incidents = scattered(120, 2, planted=20)
    want = test(incidents, permutations=99, threads=1).table
    assert test(incidents[::-1], permutations=99, threads=3).table.equals(want)


@pytest.mark.parametrize("test", TESTS)
def test_too_little_or_too_much_is_told(test: Any) -> None:
    with pytest.raises(CannotTell, match="At least"):
        test(scattered(5, 1))
    with pytest.raises(CannotTell, match="same address"):
        test(metres([1] * 20, [1] * 20, range(20)))
    with pytest.raises(CannotTell, match=r"near_repeat\.knox"):
        test(scattered(20_001, 1))
    with pytest.raises(CannotTell, match="was known before"):
        test(scattered(30, 1), asof="2001-01-01")
    with pytest.raises(BadInput, match="metric"):
        test(scattered(30, 1), metric="taxi")


def test_options_that_do_not_do_are_named() -> None:
    with pytest.raises(BadInput, match="transform"):
        space_time.mantel(scattered(30, 1), transform="log")
    with pytest.raises(BadInput, match="above 0"):
        space_time.mantel(scattered(30, 1), days=0)
    with pytest.raises(BadInput, match="1 to 50"):
        space_time.jacquez(scattered(80, 1), k=51)
    assert space_time.mantel(scattered(30, 1), permutations=0).table["p"][0] is None

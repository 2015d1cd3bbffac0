"""What a day's count of a whole city is expected to be from its past: level, trend, season and weekday, as a Poisson regression on days.

Log link; six weekdays; two yearly harmonics where the past holds at least a year, and a straight trend where it holds two (in less it cannot be told from
the season). Of a past under a year only the last weeks are used, with a straight trend, which there stands for the season too.
Source: P. McCullagh and J. A. Nelder, *Generalized Linear Models*, 2nd ed. 1989, chapter 6; for
counts of health and crime by day: C. P. Farrington et al., JRSS A 159, 1996, 547-563.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.geo import Floats, Ints

_YEAR = 365.2425
_WEEKDAY_FROM, _TREND_FROM, SEASON_FROM = 28, 730, 365
_LATELY = 112
_FEWEST = 20  # incidents, under which only the level is fitted


@dataclass(frozen=True)
class Fit:
    """Expected counts of days: ``expected`` and the standard error of its logarithm for a whole span, by ``days`` after ``origin``."""

    origin: int
    terms: tuple[str, ...]
    values: Floats
    covariance: Floats
    overdispersion: float

    def days(self, first: int, last: int) -> Floats:
        """Expected counts of the days first to last - 1 (ordinals, as of ``date.toordinal``), shape (last - first,)."""
        return np.exp(_design(np.arange(first, last), self.origin, self.terms) @ self.values)

    def total(self, first: int, last: int) -> tuple[float, float]:
        """Expected count of a span of days, and the relative variance that comes from the fit."""
        design = _design(np.arange(first, last), self.origin, self.terms)
        each = np.exp(design @ self.values)
        gradient = each @ design / each.sum()
        return float(each.sum()), float(gradient @ self.covariance @ gradient)


def fit(counts: Ints, first: int) -> Fit:
    """Fit the regression to counts of days that follow each other from day ``first`` (an ordinal), shape (days,), at least one. O(days)."""
    short = len(counts) < SEASON_FROM
    if short and len(counts) > _LATELY:
        counts, first = counts[-_LATELY:], first + len(counts) - _LATELY
    n, total = len(counts), float(counts.sum())
    terms = ["level"]
    if total >= _FEWEST:
        terms += ["weekday"] if n >= _WEEKDAY_FROM and _every_weekday(counts, first) else []
        terms += ["trend"] if n >= _TREND_FROM or short else []
        terms += [] if short else ["season"]
    if len(terms) == 1:
        rate = (total + 0.5) / n
        return Fit(first, tuple(terms), np.array([np.log(rate)]), np.array([[1.0 / (total + 0.5)]]), 1.0)
    from statsmodels.genmod.families import Poisson  # statsmodels.api would load all of it
    from statsmodels.genmod.generalized_linear_model import GLM

    design = _design(np.arange(first, first + n), first, tuple(terms))
    with warnings.catch_warnings():  # counts that the regression meets exactly are no fault
        warnings.simplefilter("ignore")
        model: Any = GLM(counts.astype(float), design, family=Poisson()).fit(maxiter=50)
    over = max(1.0, float(model.pearson_chi2 / max(n - design.shape[1], 1)))
    return Fit(first, tuple(terms), np.asarray(model.params), np.asarray(model.cov_params()) * over, over)


def _every_weekday(counts: Ints, first: int) -> bool:
    return bool((np.bincount(np.arange(first, first + len(counts)) % 7, weights=counts, minlength=7) > 0).all())


def _design(days: Ints, origin: int, terms: tuple[str, ...]) -> Floats:
    columns: list[Floats] = [np.ones(len(days))]
    if "weekday" in terms:
        columns += [(days % 7 == k).astype(float) - (days % 7 == 6) for k in range(6)]
    if "trend" in terms:
        columns.append((days - origin) / _YEAR)
    if "season" in terms:
        for k in (1, 2):
            turn = 2 * np.pi * k * days / _YEAR
            columns += [np.sin(turn), np.cos(turn)]
    return np.column_stack(columns)

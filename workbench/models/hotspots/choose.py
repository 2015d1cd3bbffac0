"""Which forecast is offered for these incidents? The stacked ensemble, if it beat prior counts in most earlier forecasts; else prior counts, and it is said.

The comparison is made inside the past: at up to twelve earlier moments, four weeks (or a horizon) apart, both models forecast from what was known
then, and what came is counted in the best 0.5 to 10 % of the area that each named (six shares, each weighing alike). A model that is not better in more
than half of them, and over all of them, is not offered: a plainer one does as well, and its errors are easier to see.
Sources: L. J. Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16, 2000, 437-450 (rolling origins); S. Chainey,
L. Tompson, S. Uhlig, "The utility of hotspot mapping for predicting spatial patterns of crime", Security Journal 21, 2008, 4-28 (PAI).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from workbench import models
from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import counts
from workbench.models.hotspots._scores import held
from workbench.models.window import Moment, Past, Span, past, span
from workbench.results import Surface, recorded

TITLE = "Best for this offence"
#: Models that may stand against prior counts, by the name of their file: those that need nothing but incidents.
CANDIDATES = ("ensemble", "lagged", "long_run", "kde")

_FOLDS = 12
_LEAST_FOLDS = 4
_LEAST_CAME = 30
_STRETCH = timedelta(days=28)
_SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)  # of the area, at which a fold is judged: one alone holds too few incidents
_TOLD = (0.01, 0.02, 0.05)  # those of the mean PAI that is told
_SAID = 0.02  # share of the area that the sentence speaks of


@dataclass(frozen=True, eq=False)
class Choice:
    """Which model is offered, and why.

    Args:
        name: the file of the model: "ensemble", "counts" or another candidate.
        sentence: what was compared and found, for the page.
        folds, won: earlier forecasts compared, and in how many the candidate was better (a tie is half a win).
        came: incidents that came in them.
        pai: mean over 1, 2 and 5 % of the area, candidate and prior counts; nan where nothing could be compared.
    """

    name: str
    sentence: str
    folds: int
    won: float
    came: int
    pai: tuple[float, float]

    @property
    def module(self) -> ModuleType:
        """The module of the model."""
        return importlib.import_module(f"workbench.models.hotspots.{self.name}")

    @property
    def surface(self) -> Callable[..., Surface]:
        """Its forecast: ``surface(incidents, grid, asof, *, horizon, ...)``."""
        found: Callable[..., Surface] = self.module.surface
        return found

    @property
    def title(self) -> str:
        """What it is called on a page."""
        return str(self.module.TITLE)


@recorded
def surface(
    incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "1825d", candidate: str = "ensemble", horizon: Span = "7d", zone: str = "UTC"
) -> Surface:
    """Expected incidents by cell over ``horizon``, by the candidate if it beat prior counts on this past, else by prior counts.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area get 0.
        asof: nothing known at or after it is used, for the forecast or the choice; text without a zone is UTC.
        window: how far back incidents count; the comparison is made inside it.
        candidate: the model that is compared with prior counts, one of CANDIDATES.
        horizon: how far ahead.
        zone: zone of the times in the sentence.

    Returns: a Surface; the first note of its basis says which model was taken and with what figures.

    Raises:
        CannotTell: under 5 incidents can be placed, all lie at one address, nothing lies before asof, or the area is empty.
        BadInput: columns, times or a candidate that cannot be used.

    Cost: twelve forecasts of each of the two models, and one; about 2 s with the ensemble on 20,000 cells.
    """
    ahead = span(horizon, "horizon")
    before = past(incidents, grid, asof, window, least=5)
    made = estimate(before, grid, ahead, candidate=candidate)
    return forecast.told(before, incidents, grid, made, horizon=ahead, zone=zone, name="Expected incidents (best for this offence)",
                         source="Tashman 2000; Chainey, Tompson and Uhlig 2008")


def estimate(before: Past, grid: Grid, horizon: timedelta, *, candidate: str = "ensemble") -> Estimate:
    """The expectation alone, from incidents that are already placed; see ``surface``."""
    choice = between(before, grid, horizon, candidate=candidate)
    made: Estimate = choice.module.estimate(before, grid, horizon)
    compared = {"offered": choice.name, "folds": choice.folds, "won": choice.won, "pai": [None if np.isnan(p) else round(p, 3) for p in choice.pai]}
    return replace(made, parameters={**made.parameters, **compared}, notes=(choice.sentence, *made.notes))


def best(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "1825d", candidate: str = "ensemble", horizon: Span = "7d") -> Choice:
    """Which model is offered for these incidents; arguments and errors as of ``surface``."""
    return between(past(incidents, grid, asof, window, least=5), grid, span(horizon, "horizon"), candidate=candidate)


def model(method: str, incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "1825d", horizon: Span = "7d") -> Choice:
    """The model that a page asked for by name; "best" is the one offered. Where nothing can be compared prior counts are named, and their forecast says why.

    Raises:
        NotFound: there is no such model. BadInput: columns or times that cannot be used.
    """
    if method in ("best", "choose"):
        try:
            return best(incidents, grid, asof, window=window, horizon=horizon)
        except CannotTell as reason:
            return Choice("counts", f"Prior counts are used: {reason}", 0, 0.0, 0, (float("nan"), float("nan")))
    found = models.find(f"hotspots.{method}")
    title = str(getattr(found, "TITLE", method))
    return Choice(method, f"{title} was asked for; it was not compared with prior counts.", 0, 0.0, 0, (float("nan"), float("nan")))


def between(before: Past, grid: Grid, horizon: timedelta, *, candidate: str = "ensemble") -> Choice:
    """The candidate or prior counts, compared at up to twelve earlier moments of this past; see the head of this file.

    Raises:
        BadInput: there is no such candidate.
    """
    if candidate not in CANDIDATES:
        raise BadInput(f"{candidate!r} cannot stand against prior counts.{did_you_mean(candidate, CANDIDATES)} Choose one of {', '.join(CANDIDATES)}.")
    rival = importlib.import_module(f"workbench.models.hotspots.{candidate}")
    step = max(_STRETCH, horizon)
    most = min(_FOLDS, int(before.length * (2 / 3) / step))
    hits, came = [], []
    for k in range(most, 0, -1):
        fold = _fold(before, grid, rival, horizon, step, k)
        if fold is not None:
            hits.append(fold[0])
            came.append(fold[1])
    return _judged(candidate, str(rival.TITLE), np.array(hits), np.array(came, dtype=float), horizon)


def _fold(before: Past, grid: Grid, rival: Any, horizon: timedelta, step: timedelta, k: int) -> tuple[list[list[float]], int] | None:
    """What each of the two caught at the shares after the moment ``k`` steps back, and how many came; None where nothing came or one could not tell.

    The forecast is for the horizon, but looked at over the whole step: a single week holds too few incidents to choose by.
    """
    ago = k * step.total_seconds()
    there = before.cell[(before.age <= ago) & (before.age > ago - step.total_seconds())]
    if not len(there):
        return None
    counted = np.bincount(there, minlength=len(grid)).astype(float)[grid.inside]
    try:
        then = before.back(before.asof - k * step, least=5)
        made: list[Floats] = [m.estimate(then, grid, horizon).expected[grid.inside] for m in (rival, counts)]
    except CannotTell:
        return None
    return [[held(e, counted, s) for s in _SHARES] for e in made], len(there)


def _judged(candidate: str, title: str, hits: Floats, came: Floats, horizon: timedelta) -> Choice:
    folds, total = len(came), int(came.sum())
    if folds < _LEAST_FOLDS or total < _LEAST_CAME:
        why = (f"Prior counts are used: the past holds {folds} earlier forecasts with {total} incidents to compare the {title.lower()} with them, and at least "
               f"{_LEAST_FOLDS} with {_LEAST_CAME} are needed. Load more years, or take a wider offence group.")
        return Choice("counts", why, folds, 0.0, total, (float("nan"), float("nan")))
    usual = np.maximum(hits.mean(axis=(0, 1)), 1e-9)
    by_fold = (hits / usual).mean(axis=2) / came[:, None] * came.mean()
    lead = by_fold[:, 0] - by_fold[:, 1]
    won = float((lead > 1e-12).sum() + 0.5 * (np.abs(lead) <= 1e-12).sum())
    told = [_SHARES.index(t) for t in _TOLD]
    ours, theirs = (float((hits[:, m].sum(axis=0)[told] / total / np.array(_TOLD)).mean()) for m in (0, 1))
    at = _SHARES.index(_SAID)
    share = [100 * hits[:, m, at].sum() / total for m in (0, 1)]
    figures = (f"{share[0]:.1f} % of {total:,} incidents in {100 * _SAID:g} % of the area, prior counts {share[1]:.1f} %; mean PAI at 1, 2 and 5 % "
               f"{ours:.2f} against {theirs:.2f}")
    tests = f"in {won:g} of {folds} earlier forecasts"
    if won > folds / 2 and (hits[:, 0].sum(axis=0) / usual).mean() > (hits[:, 1].sum(axis=0) / usual).mean():
        return Choice(candidate, f"The {title.lower()} is used: it was better than prior counts {tests}. It held {figures}.", folds, won, total, (ours, theirs))
    return Choice("counts", f"Prior counts are used: the {title.lower()} was better only {tests}. It held {figures}.", folds, won, total, (ours, theirs))

"""The folds of a back-test: what each model expected at each origin from what was known then, and what came."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints
from workbench.models import forecast
from workbench.models.forecast import Estimate
from workbench.models.hotspots import _scores
from workbench.models.window import Past, Span, known_at, past, span
from workbench.results import Surface, origin_of, remember

Model = Callable[..., Surface]
_FEW = 100  # incidents under which a model is asked as a whole, since it may say that they are too few
_YEAR = timedelta(days=365)


@dataclass(frozen=True, eq=False)
class Quick:
    """A forecast given by its bare estimate, so that a back-test places the incidents only once; also a model as any other: it gives a Surface.

    Args:
        estimate: callable(past, grid, horizon) -> Estimate; it looks at nothing but the Past.
        window: how far back the Past reaches.
        least: incidents needed at least.
    """

    estimate: Callable[[Past, Grid, timedelta], Estimate]
    window: Span = "365d"
    least: int = 5

    def __call__(self, incidents: pl.DataFrame, grid: Grid, asof: datetime, *, horizon: Span = "7d") -> Surface:
        """The Surface of one origin. Raises: CannotTell, BadInput as every forecast."""
        ahead = span(horizon, "horizon")
        before = past(incidents, grid, asof, self.window, least=self.least)
        made = self.estimate(before, grid, ahead)
        return forecast.told(before, incidents, grid, made, horizon=ahead, zone="UTC", name="Expected incidents", source="")


@dataclass(eq=False)
class Fast:
    """What a model does with placed incidents; ``agrees`` once it was compared with the model itself."""

    estimate: Callable[[Past, Grid, timedelta], Estimate]
    window: timedelta
    horizon: timedelta | None
    least: int
    agrees: bool | None = None


@dataclass(eq=False)
class Known:
    """The incidents in order of when they were known, and their placed form as of the last origin."""

    source: pl.DataFrame
    frame: pl.DataFrame
    known: Ints
    began: Ints
    by_start: Ints
    start: Ints
    cells: Ints
    grid: Grid
    placed: Past | None
    unplaced: int = 0
    pasts: dict[timedelta, Past] = field(default_factory=dict)
    shown: dict[tuple[str, datetime, timedelta], Surface] = field(default_factory=dict)

    @classmethod
    def of(cls, incidents: pl.DataFrame, grid: Grid, last: datetime) -> Known:
        """Sorted and placed once. O(n log n)."""
        schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
        frame = schema.utc(incidents, [c for c in ("started_at", "ended_at", "reported_at") if c in incidents.columns])
        both = frame.with_columns(_known=known_at(frame)).sort("_known")
        known, frame = both["_known"].drop_nulls().dt.epoch("us").to_numpy(), both.drop("_known")
        began = frame["started_at"].dt.epoch("us").fill_null(np.iinfo(np.int64).max).to_numpy()
        order = np.argsort(began, kind="stable")
        known = np.concatenate([np.full(len(frame) - len(known), np.iinfo(np.int64).min), known])
        placed, first = None, frame["started_at"].min()
        if isinstance(first, datetime) and first < last:
            try:
                placed = past(frame, grid, last, last - first, least=0)
            except CannotTell:
                placed = None  # every model says so itself, origin by origin
        return cls(incidents, frame, known, began, order, began[order], grid.locate(frame), grid, placed)

    def came(self, begin: datetime, end: datetime) -> Ints:
        """Cells of the incidents that began from ``begin`` to before ``end``, -1 for those that cannot be placed."""
        low, high = (int(np.searchsorted(self.start, _micros(t), side="left")) for t in (begin, end))
        return self.cells[self.by_start[low:high]]

    def counts(self, begin: datetime, end: datetime) -> Floats:
        """Counts by cell of that stretch, shape (len(grid),)."""
        at = self.came(begin, end)
        return np.bincount(at[at >= 0], minlength=len(self.grid)).astype(float)

    def past(self, origin: datetime, window: timedelta) -> Past | None:
        """What a model with this window may look at, None where it has to be asked as a whole (too little, or all at one place)."""
        if self.placed is None:
            return None
        if window not in self.pasts:
            before = self.placed.back(origin, window)
            first = self._first(origin, before)
            self.pasts[window] = before if first == before.start else replace(before, start=first)
        before = self.pasts[window]
        return before if len(before) >= _FEW and (np.ptp(before.x) >= 1.0 or np.ptp(before.y) >= 1.0) else None

    def _first(self, origin: datetime, before: Past) -> datetime:
        """Where the stretch begins: the window's start, or the first incident known at the origin if that is later."""
        limit = _micros(origin)
        rows = int(np.searchsorted(self.known, limit, side="left"))
        asked = origin - before.window
        if rows == 0:
            return before.start
        first = self._earliest[rows - 1]
        low = _micros(asked)
        return asked if first <= low else asked + timedelta(microseconds=int(first - low))

    @functools.cached_property
    def _earliest(self) -> Ints:
        return np.minimum.accumulate(self.began)

    def frame_at(self, origin: datetime) -> pl.DataFrame:
        """The rows known strictly before an origin."""
        return remember(self.frame.head(int(np.searchsorted(self.known, _micros(origin), side="left"))), origin_of(self.source))


def _micros(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) / timedelta(microseconds=1))


def fast(model: Any) -> Fast | None:
    """How a model is run on placed incidents: a Quick, or ``surface`` (bare or partial, by keywords) of a module that has ``estimate``; else None."""
    if isinstance(model, Quick):
        return Fast(model.estimate, span(model.window), None, model.least)
    given: dict[str, Any] = {}
    function: Any = model
    if isinstance(model, functools.partial):
        if model.args:
            return None
        function, given = model.func, dict(model.keywords)
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    if module is None or not hasattr(module, "estimate") or not hasattr(module, "surface") or module.surface is not function:
        return None
    estimate: Callable[..., Estimate] = module.estimate
    takes = inspect.signature(function).parameters
    defaults = {k: p.default for k, p in takes.items() if p.default is not inspect.Parameter.empty}
    options = [k for k, p in inspect.signature(estimate).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    if set(given) - set(options) - {"window", "horizon", "zone"} or "window" not in defaults:
        return None
    every = {**defaults, **given}
    try:
        window = span(every["window"])
        own = span(given["horizon"], "horizon") if "horizon" in given else None
    except BadInput:
        return None  # the model itself says what is wrong
    return Fast(functools.partial(estimate, **{k: every[k] for k in options if k in every}), window, own, 0)


def horizons(models: Mapping[str, Model]) -> dict[str, timedelta | None | bool]:
    """For each model the horizon it was given, None where it takes the fold's, False where it takes none."""
    out: dict[str, timedelta | None | bool] = {}
    for name, model in models.items():
        own = model.keywords.get("horizon") if isinstance(model, functools.partial) else None
        if own is not None:
            out[name] = span(own, "horizon")
            continue
        try:
            takes = inspect.signature(model).parameters
        except (TypeError, ValueError):
            takes = {}  # type: ignore[assignment]
        out[name] = None if "horizon" in takes else False
    return out


@dataclass(frozen=True, eq=False)
class Run:
    """What a back-test's folds of one horizon gave.

    names; origins; ``top`` and ``bottom``: numerators and denominators of the measures, shape (models, folds, measures), nan where a model could not tell;
    ``hits``: incidents held, (models, folds, shares); ``events``: (folds,); ``pit``: histograms of the randomised PIT, (models, folds, bins).
    """

    names: tuple[str, ...]
    horizon: timedelta
    origins: list[datetime]
    shares: tuple[float, ...]
    top: Floats
    bottom: Floats
    hits: Floats
    events: Floats
    pit: Floats
    unplaced: int
    asked: tuple[str, ...]


BINS = 100


def run(known: Known, models: Mapping[str, Model], quick: dict[str, Fast | None], origins: list[datetime], ahead: timedelta, shares: tuple[float, ...],
        shift: timedelta | None, seed: int) -> Run:
    """Every model at every origin."""
    measures = len(_scores.BY_SHARE) * len(shares) + len(_scores.OVERALL)
    top, bottom = np.full((2, len(models), len(origins), measures), np.nan)
    events, pit, unplaced = np.zeros(len(origins)), np.zeros((len(models), len(origins), BINS)), 0
    given, inside = horizons(models), known.grid.inside
    every = bool(inside.all())
    for f, origin in enumerate(origins):
        known.pasts.clear()
        at = known.came(origin, origin + ahead)
        unplaced += int((at < 0).sum())
        counts = np.bincount(at[at >= 0], minlength=len(known.grid)).astype(float)
        before, struck = known.counts(origin - _YEAR, origin), _struck(known, origin, ahead, shift, counts)
        if not every:
            counts, before, struck = counts[inside], before[inside], struck[inside]
        events[f] = counts.sum()
        tops, told = _scores.tops_of(counts, None, shares), []
        for m, (name, model) in enumerate(models.items()):
            try:
                expected, spread = _forecast(known, name, model, quick, origin, ahead, given[name])
            except CannotTell:
                continue
            if not every:
                expected, spread = expected[inside], spread[inside]
            top[m, f, :-3], bottom[m, f, :-3] = _scores.by_share(expected, counts, None, shares, before, struck, tops)
            told.append((m, _scores.floored(expected), spread))
        if told:
            draws = np.random.default_rng([seed, f]).random(len(counts))
            logs, crps, pits = _scores.distribution(np.stack([e for _, e, _ in told]), np.stack([s for _, _, s in told]), counts, draws)
            for (m, *_), ls, cs, ps in zip(told, *(v.reshape(len(told), -1) for v in (logs, crps, pits)), strict=True):
                pit[m, f] = np.bincount(np.minimum((ps * BINS).astype(np.int64), BINS - 1), minlength=BINS)
                top[m, f, -3:], bottom[m, f, -3:] = (ls.sum(), cs.sum(), apart(pit[m, f])), (len(ls), len(cs), 1.0)
    asked = tuple(name for name, way in quick.items() if way is None or way.agrees is False)
    return Run(tuple(models), ahead, origins, shares, top, bottom, top[:, :, : len(shares)], events, pit, unplaced, asked)


def apart(histogram: Floats) -> float:
    """Largest distance of a histogram of equal bins between 0 and 1 from uniform, at the bins' edges."""
    total = histogram.sum()
    if total == 0:
        return float("nan")
    return float(np.abs(np.cumsum(histogram) / total - np.arange(1, len(histogram) + 1) / len(histogram)).max())


def _struck(known: Known, origin: datetime, ahead: timedelta, shift: timedelta | None, counts: Floats) -> Floats:
    """Share of a cell's shifts of the fold with at least one incident."""
    if shift is None:
        return (counts > 0).astype(float)
    many = max(1, round(ahead / shift))
    return np.asarray(sum((known.counts(origin + shift * i, min(origin + shift * (i + 1), origin + ahead)) > 0).astype(float) for i in range(many)) / many)


def _forecast(known: Known, name: str, model: Model, quick: dict[str, Fast | None], origin: datetime, ahead: timedelta,
              given: timedelta | None | bool) -> tuple[Floats, Floats]:
    """Expected counts and their dispersion, shape (len(grid),): from placed incidents where the model can do that and agrees with itself."""
    way, own = quick[name], given if isinstance(given, timedelta) else ahead
    before = known.past(origin, way.window) if way is not None and way.agrees is not False else None
    if way is None or before is None or len(before) < way.least:
        return _asked(known, name, model, origin, own, given is not False)
    made = way.estimate(before, known.grid, own)
    if way.agrees is None:
        whole, spread = _asked(known, name, model, origin, own, given is not False)
        way.agrees = bool(np.allclose(made.expected, whole, rtol=1e-9, atol=1e-12 * max(1.0, float(whole.max(initial=0.0)))))
        if not way.agrees:
            return whole, spread
    _shaped(name, made.expected, known.grid)
    return made.expected, forecast.dispersion(before, made.expected, made.exposure, own)


def _asked(known: Known, name: str, model: Model, origin: datetime, own: timedelta, takes: bool) -> tuple[Floats, Floats]:
    surface = surface_at(known, model, origin, own if takes else None)
    _shaped(name, surface.expected, known.grid)
    known.shown = {**{k: v for k, v in known.shown.items() if k[1] == origin}, (name, origin, own): surface}  # of one origin only
    said = surface.basis.parameters
    cells, seconds = said.get("dispersion of cells"), said.get("seconds as certain")
    if isinstance(cells, float) and isinstance(seconds, float) and seconds > 0:
        return surface.expected, forecast.spread_of(surface.expected, cells, seconds, surface.horizon)
    return surface.expected, np.zeros(len(known.grid))


def surface_at(known: Known, model: Model, origin: datetime, ahead: timedelta | None) -> Surface:
    """The model's own Surface at an origin, from what was known then. Raises: CannotTell."""
    frame = known.frame_at(origin)
    return model(frame, known.grid, origin) if ahead is None else model(frame, known.grid, origin, horizon=ahead)


def _shaped(name: str, expected: Floats, grid: Grid) -> None:
    if expected.shape != (len(grid),):
        raise BadInput(f"Model {name!r} gave {expected.shape} values for {len(grid)} cells; it must forecast on the grid it is given.")
    if not (np.isfinite(expected).all() and (expected >= 0).all()):
        raise BadInput(f"Model {name!r} gave expectations that are negative or no number; counts are expected, 0 or more in every cell.")

"""The NIJ mode's search: size, direction and origin of tiles, total area and sharpness, tried on earlier moments of the past and scored on what came.

How a place is scored is the stacked ensemble's: the same-place counts that fade, at the events' own places, and the kernels beside them. At areas as small as
these a kernel costs hits, so how much of it is kept (``Model.kept``) is tried too, and whether all other events lend their places (``Model.lent``).
Source of searching direction and origin: G. Mohler, M. D. Porter, "Rotational grid, PAI-maximizing crime forecasts", Statistical Analysis and Data Mining
11, 2018, 227-236, doi:10.1002/sam.11389.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from workbench.geo import Floats, Grid, Ints
from workbench.models.hotspots import ensemble
from workbench.models.hotspots._study import DAY, SQUARE_MILE, Study
from workbench.models.hotspots._tiles import FOOT, Sampler, Tiling, best_of

_ORIGINS, _APART = 12, 30.0
_LEAST = 25  # events that must have come in the validation
_MARGIN = 1.05  # lent places, and a total area other than the usual, must be this much better
_LOOKED = 6  # tilings for choosing size, area and model; all of them for choosing direction and origin


@dataclass(frozen=True)
class Model:
    """How places are scored: ``kept`` of the kernels' part, and ``lent`` times the places of all other events."""

    kept: float
    lent: float


MODELS = (Model(0.5, 0.0), Model(0.15, 0.0), Model(1.0, 0.0), Model(0.5, 1.0))


@dataclass(frozen=True)
class Shape:
    """Width and height of a tile in feet, and how many are flagged."""

    width: float
    height: float
    many: int

    @property
    def square_miles(self) -> float:
        """Total area flagged."""
        return self.many * self.width * self.height * FOOT**2 / SQUARE_MILE


@dataclass(frozen=True)
class Chosen:
    """What is flagged: tiles by shape, direction (degrees) and shift (parts of a tile), the model, and how it was chosen."""

    shape: Shape
    turned: float
    shift: tuple[float, float]
    model: Model
    why: str


@dataclass(frozen=True, eq=False)
class Field:
    """Scores at one moment: distinct places with their weight, of the category's own and of all other events, and the kernels' part on a grid."""

    own: tuple[Ints, Floats]
    other: tuple[Ints, Floats]
    kernels: Any


class Scorer:
    """Scores of places for one category and one size of tile, at any moment of the past.

    Args:
        study: the events.
        own: numbers of the category's events that may be learned from.
        other: numbers of all others.
        until: the day of asof.
        side: of the cells on which the kernels lie, metres.
    """

    def __init__(self, study: Study, own: Ints, other: Ints, until: float, side: float) -> None:
        self.study, self.until, self.own, self.other = study, until, own, other
        self.grid: Grid = study.grid(side, np.concatenate([own, other]))
        self.before = study.past(self.grid, own, until)
        self.scales = ensemble.spreading(self.grid)
        self.mix = ensemble.weights(self.before, self.grid, timedelta(days=30), self.scales)
        self._fields: dict[float, Field] = {}

    def at(self, day: float, places: Ints, many: int) -> Field:
        """The field as of a day, from what came before it; ``places`` numbers the distinct place of every event of the study, 0 to ``many`` - 1."""
        if day in self._fields:
            return self._fields[day]
        day_of = self.study.day
        use = self.own[day_of[self.own] < day]
        age = day - day_of[use]
        raw = np.zeros(len(use))
        for weight, half in zip(self.mix.weights, ensemble.HALF_LIVES, strict=False):
            fading = np.ones(len(use)) if math.isinf(half) else np.exp2(-age / half)
            raw += weight * fading / max(float(fading.sum()), 1e-30)
        near = self.other[(day_of[self.other] < day) & (day_of[self.other] >= day - 730)]
        kernels = self.mix.weights.copy()
        kernels[: len(ensemble.HALF_LIVES)] = 0.0
        ago = (self.until - day) * DAY
        faded = ensemble.faded(self.before, self.grid, np.asarray(ensemble.HALF_LIVES) * DAY, ago)
        smooth = ensemble.mixed(faded, self.grid, self.scales, kernels) * float(kernels.sum())
        made = Field(_summed(places[use], raw, many), _summed(places[near], np.full(len(near), 1 / max(len(near), 1)), many), smooth.astype(np.float32))
        self._fields[day] = made
        return made


def places_of(study: Study, before: float) -> tuple[Ints, Floats, Floats]:
    """The distinct place (to 10 cm) of each event before a day, and their positions; nothing later is looked at."""
    n = int(np.searchsorted(study.day, before, side="left"))
    x, y = study.x[:n], study.y[:n]
    _, first, which = np.unique(np.round(x * 10) * 1e9 + np.round(y * 10), return_index=True, return_inverse=True)
    return which.astype(np.int64), x[first], y[first]


def _summed(places: Ints, weights: Floats, many: int) -> tuple[Ints, Floats]:
    total: Floats = np.bincount(places, weights=weights, minlength=many).astype(float)
    there = np.flatnonzero(total)
    return there, total[there]


def parts(field: Field, tile: Ints, sampler: Sampler, lent: bool) -> tuple[Floats, Floats, Floats]:
    """Score of every open tile by own places, by lent places and by kernels; ``tile`` is the number among them of each distinct place."""
    many = len(sampler.tiles)
    own: Floats = np.bincount(tile[field.own[0]], weights=field.own[1], minlength=many).astype(float)
    other: Floats = np.bincount(tile[field.other[0]], weights=field.other[1], minlength=many).astype(float) if lent else np.zeros(many)
    return own, other, sampler.read(field.kernels)


def tilings(many: int) -> list[tuple[float, tuple[float, float]]]:
    """Directions and shifts to try, the upright one first, then evenly mixed."""
    found = [(0.0, (0.0, 0.0))]
    for k in range(1, many):
        found.append(((k * 0.618034 % 1) * 90.0 if k % 3 else 0.0, (k * 0.754878 % 1, k * 0.569840 % 1)))
    return found


@dataclass(eq=False)
class Tried:
    """Hits and best possible hits, shape (tilings, origins, models, areas, horizons); events that came, shape (origins, horizons)."""

    hits: Floats
    best: Floats
    came: Floats


def tried(scorer: Scorer, shapes: Sequence[Shape], ways: Sequence[tuple[float, tuple[float, float]]], models: Sequence[Model], lengths: Sequence[float],
          places: tuple[Ints, Floats, Floats]) -> Tried:
    """Every tiling, model and number of tiles at up to twelve moments of the past, thirty days apart. Shapes differ in how many tiles only."""
    study, (which, px, py) = scorer.study, places
    days = study.day[scorer.own]
    first = float(days.min()) if len(days) else scorer.until
    start = first + max(60.0, (scorer.until - first) / 3)
    origins = [o for k in range(_ORIGINS) if (o := scorer.until - min(lengths) - _APART * k) >= start]
    fields = [scorer.at(o, which, len(px)) for o in origins]
    out = Tried(np.zeros((len(ways), len(origins), len(models), len(shapes), len(lengths))), np.zeros((len(ways), len(origins), len(shapes), len(lengths))),
                np.zeros((len(origins), len(lengths))))
    coming = [[scorer.own[(days >= o) & (days < o + h)] if o + h <= scorer.until + 1e-9 else np.empty(0, dtype=np.int64) for h in lengths] for o in origins]
    out.came = np.array([[len(c) for c in row] for row in coming], dtype=float).reshape(len(origins), len(lengths))
    for w, (turned, shift) in enumerate(ways):
        tiling = Tiling.over(px, py, shapes[0].width * FOOT, shapes[0].height * FOOT, turned, shift)
        sampler = Sampler.of(tiling, scorer.grid, tiling.index(px, py))
        tile = sampler.number(tiling.index(px, py))
        for o, field in enumerate(fields):
            _try(out, w, o, field, [tile[which[c]] for c in coming[o]], tile, sampler, models, shapes)
    return out


def _try(out: Tried, w: int, o: int, field: Field, coming: list[Ints], tile: Ints, sampler: Sampler, models: Sequence[Model], shapes: Sequence[Shape]) -> None:
    """One tiling at one moment, every model, number of tiles and horizon."""
    most = max(s.many for s in shapes)
    for h, there in enumerate(coming):
        counts = np.sort(np.unique(there, return_counts=True)[1])[::-1]
        out.best[w, o, :, h] = [counts[: s.many].sum() for s in shapes]
    own, other, kernels = parts(field, tile, sampler, any(m.lent for m in models))
    rank = np.full(len(own), most + 1, dtype=np.int64)
    for m, model in enumerate(models):
        top = best_of(own + model.kept * kernels + (model.lent * other if model.lent else 0.0), most)
        rank[top] = np.arange(len(top))
        for h, there in enumerate(coming):
            out.hits[w, o, m, :, h] = [(rank[there] < s.many).sum() for s in shapes]
        rank[top] = most + 1


def pai(made: Tried, shapes: Sequence[Shape], square_metres: float) -> Floats:
    """Pooled over moments: shape (tilings, models, areas, horizons); nan where nothing came."""
    share = np.array([s.square_miles * SQUARE_MILE / square_metres for s in shapes])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(made.hits.sum(axis=1) / made.came.sum(axis=0) / share[:, None])


def pei(made: Tried) -> Floats:
    """Pooled over moments: shape (tilings, models, areas, horizons)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(made.hits.sum(axis=1) / made.best.sum(axis=1)[:, None])


def choose(scorers: Sequence[Scorer], shapes: Sequence[Sequence[Shape]], lengths: Sequence[float], square_metres: float, places: tuple[Ints, Floats, Floats],
           ways: int) -> dict[tuple[str, int], Chosen]:
    """For each aim and horizon the best shape, model, direction and origin; shapes[i] are the numbers of tiles of one size, scored by scorers[i].

    Size, area and model go by the mean over tilings (a single tiling's score is mostly luck), for PAI over all horizons, for PEI by horizon; then the
    direction and origin by the mean over horizons. Where too little came, the usual: the smallest tiles, for PAI the least area, for PEI the most.
    """
    every = tilings(max(ways, 1))
    looked = every[: min(_LOOKED, len(every))]
    first = [tried(s, sh, looked, MODELS, lengths, places) for s, sh in zip(scorers, shapes, strict=True)]
    came = first[0].came.sum(axis=0) if len(first[0].came) else np.zeros(len(lengths))
    found: dict[tuple[str, int], Chosen] = {}
    finer: dict[tuple[int, Model], Tried] = {}
    for aim in ("pai", "pei"):
        grades = [(pai(t, sh, square_metres) if aim == "pai" else pei(t)) for t, sh in zip(first, shapes, strict=True)]
        for h in range(len(lengths)):
            if came.sum() < _LEAST or came[h] == 0:
                found[aim, h] = Chosen(_usual(shapes[0], aim), 0.0, (0.0, 0.0), MODELS[0], "the usual setting: too few events to choose by")
                continue
            i, m, a = _pick([np.nanmean(g, axis=(0, 3)) if aim == "pai" else np.mean(g[..., h], axis=0) for g in grades])
            key = (i, MODELS[m])
            if key not in finer:
                finer[key] = tried(scorers[i], shapes[i], every, MODELS[m : m + 1], lengths, places)
            grade = pai(finer[key], shapes[i], square_metres) if aim == "pai" else pei(finer[key])
            turned, shift = every[int(np.nanargmax(np.nanmean(grade[:, 0, a], axis=1)))]
            found[aim, h] = Chosen(shapes[i][a], turned, shift, MODELS[m], f"chosen on {len(first[i].came)} earlier moments with {came[h]:,.0f} events")
    return found


def _pick(grades: list[Floats]) -> tuple[int, int, int]:
    """Size, model and area of the best grade; models that lend must be better by a margin."""
    best, choice = -1.0, (0, 0, 0)
    for i, grade in enumerate(grades):
        for m in range(grade.shape[0]):
            for a in range(grade.shape[1]):
                value = float(grade[m, a]) / (_MARGIN if MODELS[m].lent else 1.0)
                if value > best + 1e-12:
                    best, choice = value, (i, m, a)
    return choice


def _usual(shapes: Sequence[Shape], aim: str) -> Shape:
    return (min if aim == "pai" else max)(shapes, key=lambda s: s.many)

"""Would this forecast have helped? Rolling origins: forecast from what was known then, score on what came.

At every origin each model sees only incidents known strictly before it. Its cells are taken from the highest expectation down until the
area share is reached *exactly*: the cells that tie at the cut, of which the last is usually a fraction, count in proportion to the area
still open (so ties are never broken in favour of a model). Hit rate is n/N; PAI = (n/N)/(a/A), 1 = no better than chance; docs/scoring.md
defines every measure. Sources: S. Chainey, L. Tompson, S. Uhlig, Security Journal 21, 2008, 4-28, doi:10.1057/palgrave.sj.8350066 (PAI);
J. Hunt, *Do Crime Hot Spots Move?*, thesis, American University, 2016 (PEI); N. Levine, Security Journal 21, 2008, 295-302
(recapture); A. Wheeler, W. Steenbeek, Journal of Quantitative Criminology 37, 2021, 445-480,
doi:10.1007/s10940-020-09457-7 (RRI as predicted over observed, PEI); T. Gneiting, A. Raftery, JASA 102, 2007, 359-378,
doi:10.1198/016214506000001437 (log score, CRPS); C. Czado, T. Gneiting, L. Held, Biometrics 65, 2009, 1254-1261,
doi:10.1111/j.1541-0420.2009.01191.x (PIT of counts); G. O. Mohler et al., JASA 110, 2015, 1399-1411 (comparing forecasts at equal area);
D. N. Politis, J. P. Romano, "A circular block-resampling procedure for stationary data", 1992 (intervals).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid
from workbench.layers import Cells, Layer, Points
from workbench.models.hotspots import _bootstrap
from workbench.models.hotspots._bootstrap import LEAST, Summary
from workbench.models.hotspots._folds import Known, Model, Quick, Run, fast, horizons, run, surface_at
from workbench.models.hotspots._scores import best, best_whole, curve, curve_area, distribution, held, scores, uniform
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, said
from workbench.results import Basis, Matrix, Surface, origin_of, recorded

__all__ = ["Model", "Quick", "best", "best_whole", "curve", "curve_area", "distribution", "held", "rolling", "scores", "uniform"]


@recorded
def rolling(
    incidents: pl.DataFrame,
    grid: Grid,
    models: Mapping[str, Model],
    *,
    start: Moment,
    end: Moment,
    step: Span = "7d",
    horizon: Span | Sequence[Span] = "7d",
    shares: Sequence[float] = (0.01, 0.02, 0.05),
    reference: str | None = None,
    shift: Span | None = None,
    level: float = 0.9,
    seed: int = 0,
    draws: int = 2000,
    zone: str = "UTC",
) -> Matrix:
    """Score models over the origins start, start + step, ... whose horizon ends by ``end``.

    Args:
        incidents: started_at, lon, lat and what the models need; also rows from before ``start`` to learn from.
        grid: cells; only those of its study area count.
        models: name -> callable(incidents, grid, asof), e.g. ``functools.partial(kde.surface, bandwidth=300)``; one that takes ``horizon`` and
            was given none gets the fold's. ``surface`` of a module with ``estimate``, bare or partial, and a ``Quick`` run on incidents placed once
            (compared with the model itself at the first origin; where they differ it is asked itself every time, and the basis says so).
        start, end: first origin; end of the last horizon. Text without a zone is UTC.
        horizon: how far ahead; several are scored one after the other, each on its own folds.
        shares: area shares, each over 0 and at most 1; the middle one is used for the sentence.
        reference: the model that the others are compared with; None = "counts" where there is one, else the first.
        shift: length of a shift for "success", e.g. "8h", counted from the origin; None = the whole horizon is one.
        level: of the intervals.
        seed, draws: of the randomised PIT and of the block bootstrap (folds drawn in runs, the same ones for every model).
        zone: zone of the times in the sentence.

    Returns: a Matrix. ``scores``: model, origin, share, measure, value, n (incidents of the fold), hits, horizon; a fold where the model could not
    tell, and for measures by incident one without incidents, has value null and stays in. Measures: at each share pai, hit_rate, pei, pei_star, rri,
    recapture, success; over the area (share 1, area_20: 0.2) area, area_20, log_score, crps, pit. ``table``: a row for each model, share, measure and
    horizon: overall (sum over sum), lower, upper, mean of the folds, folds, without_incidents, could_not_tell, mean_lower, mean_upper, difference from
    the reference with difference_lower and _upper, the same of the means (mean_difference...), won and lost (folds better and worse than the reference's).

    Raises:
        CannotTell: nothing happened in any fold, or no model could tell in any.
        BadInput: no model, no whole fold between start and end, a share, the level or the reference out of range.

    Cost: origins x models forecasts, and 2 ms a forecast for the scores on 6,400 cells; 365 daily origins x 6 models there in about 7 s with plain models.
    """
    first, last, stride = moment(start, "start"), moment(end, "end"), span(step, "step")
    ahead = _ahead(horizon)
    wanted = _checked(models, shares, first, last, ahead, level)
    against = _reference(models, reference)
    origins = {h: [first + stride * i for i in range(int((last - h - first) / stride) + 1)] for h in ahead}
    known = Known.of(incidents, grid, max(o[-1] for o in origins.values()))
    quick = {name: fast(model) for name, model in models.items()}
    told = []
    for h in ahead:
        for way in quick.values():
            if way is not None and way.agrees:
                way.agrees = None  # it may agree for one horizon and not for another
        folds = run(known, models, quick, origins[h], h, wanted, None if shift is None else span(shift, "shift"), seed)
        _told_anything(folds, first, last)
        block = max(math.ceil(h / stride), round(len(origins[h]) ** (1 / 3)))
        told.append((Summary(folds, block, seed, draws), block))
    parameters = {"models": list(models), "start": first, "end": last, "step": said(stride), "horizon": ", ".join(said(h) for h in ahead),
                  "shares": list(wanted), "reference": against, "seed": seed, "draws": draws, "block": told[0][1], "cell": f"{grid.cell:g} m",
                  **({"shift": said(span(shift))} if shift is not None else {})}
    basis = Basis.of(
        incidents,
        method="rolling-origin back-test, area cut exactly, paired circular block bootstrap",
        time="started_at",
        source="Chainey, Tompson and Uhlig 2008; Gneiting and Raftery 2007; Mohler et al. 2015; Politis and Romano 1992",
        asof=last,
        notes=_notes([t for t, _ in told], models),
        parameters=parameters,
    )
    number = list(models).index(against)
    return Matrix(
        headline=_headline(told[0][0], stride, local(first, zone), level),
        table=pl.concat([_bootstrap.table(t, number, level) for t, _ in told]),
        layers=_layers(incidents, known, models, told[0][0]),
        basis=basis,
        base=origin_of(incidents).base,
        scores=pl.concat([_bootstrap.scores(t) for t, _ in told]),
    )


def _ahead(horizon: Span | Sequence[Span]) -> tuple[timedelta, ...]:
    if isinstance(horizon, (str, timedelta)):
        return (span(horizon, "horizon"),)
    if not len(horizon):
        raise BadInput("No horizon was given; write e.g. horizon='7d' or horizon=('7d', '28d').")
    return tuple(sorted({span(h, "horizon") for h in horizon}))


def _reference(models: Mapping[str, Model], asked: str | None) -> str:
    if asked is None:
        return "counts" if "counts" in models else next(iter(models))
    if asked not in models:
        raise BadInput(f"The reference {asked!r} is none of the models.{did_you_mean(asked, list(models))}")
    return asked


def _told_anything(folds: Run, first: datetime, last: datetime) -> None:
    if folds.events.sum() == 0:
        raise CannotTell(
            f"No incident that can be placed happened in any of the {len(folds.origins)} folds from {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
            "choose a longer stretch."
        )
    if not np.isfinite(folds.top).all(axis=(0, 2)).any():
        raise CannotTell(
            f"In none of the {len(folds.origins)} folds could every model tell ({', '.join(folds.names)}); "
            f"give them more incidents from before {first:%Y-%m-%d}."
        )


def _notes(told: list[Summary], models: Mapping[str, Model]) -> tuple[str, ...]:
    notes: list[str] = []
    for one in told:
        folds, of = one.run, f" (horizon {said(one.run.horizon)})" if len(told) > 1 else ""
        notes.append(f"{int((folds.events == 0).sum())} of {len(folds.origins)} folds had no incident{of}; they are in the scores without a value and weigh "
                     "nothing overall, but for log score, CRPS and PIT.")
        if not one.both.all():
            notes.append(f"In {int((~one.both).sum())} folds a model could not tell{of}; the overall figures compare the other {one.folds}.")
        if folds.unplaced:
            notes.append(f"{folds.unplaced} incidents of the folds have no position in the area and are not scored{of}.")
        for name, own in horizons(models).items():
            if isinstance(own, timedelta) and own != folds.horizon:
                notes.append(f"{name} forecasts {said(own)} and was scored on {said(folds.horizon)}: its RRI, log score, CRPS and PIT compare unequal lengths.")
    if told[-1].run.asked:
        notes.append(f"Asked as a whole at every origin, which is slower: {', '.join(told[-1].run.asked)}.")
    return tuple(dict.fromkeys(notes))


def _checked(models: Mapping[str, Model], shares: Sequence[float], first: datetime, last: datetime, ahead: tuple[timedelta, ...],
             level: float) -> tuple[float, ...]:
    if not models:
        raise BadInput("No model was given; write e.g. models={'counts': counts.surface, 'kde': kde.surface}.")
    wrong = [s for s in shares if not 0 < s <= 1]
    if wrong or not len(shares):
        raise BadInput(f"An area share of {wrong[0] if wrong else None!r} does not do; give shares over 0 and up to 1, e.g. (0.01, 0.02, 0.05).")
    if not 0 < level < 1:
        raise BadInput(f"level={level!r} does not do; give the share of cases that an interval is to hold, over 0 and under 1, e.g. 0.9.")
    if first + max(ahead) > last:
        raise BadInput(f"Between start {first:%Y-%m-%d} and end {last:%Y-%m-%d} no horizon of {said(max(ahead))} fits; choose a later end.")
    return tuple(sorted({float(s) for s in shares}))


def _headline(told: Summary, stride: timedelta, since: str, level: float) -> str:
    folds = told.run
    s = len(folds.shares) // 2
    share, events, used = folds.shares[s], folds.events[told.both], told.folds
    if events.sum() == 0:
        return f"Cannot tell: nothing happened in the {used} folds in which every model could forecast."
    at = len(folds.shares) + s  # the hit rate
    overall, rates = told.overall[:, at], told.overalls[:, :, at]
    order = sorted(range(len(folds.names)), key=lambda m: (-overall[m], folds.names[m]))
    best_, wide = order[0], f"{100 * level:g} % interval"
    low, high = (float(v) for v in _ends(rates[:, best_], level))
    start = (
        f"Over {used} forecasts of {said(folds.horizon)}, one every {said(stride)} from {since}, {folds.names[best_]} held {100 * overall[best_]:.1f} % "
        f"of {events.sum():,.0f} incidents in {100 * share:.3g} % of the area"
    )
    few = used < LEAST
    figure = f" (PAI {overall[best_] / share:.1f}" + ("" if few else f", {wide} {low / share:.1f} to {high / share:.1f}") + ")"
    if len(order) == 1:
        return start + figure + ("; too few forecasts for an interval." if few else ".")
    other = order[1]
    down, up = (float(v) for v in _ends(rates[:, best_] - rates[:, other], level))
    beside = f"{folds.names[other]} {100 * overall[other]:.1f} %"
    between = f"difference {100 * (overall[best_] - overall[other]):.1f} points, {wide} {100 * down:.1f} to {100 * up:.1f}"
    if few:
        return f"{start}{figure}, {beside}: cannot tell which is better from {used} forecasts; at least {LEAST} are needed."
    if down > 0:
        return f"{start}{figure}, {beside}: {folds.names[best_]} is better ({between})."
    return f"{start}{figure}, {beside}: cannot tell which is better ({between})."


def _ends(draws: Floats, level: float) -> Any:
    return np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])


def _layers(incidents: pl.DataFrame, known: Known, models: Mapping[str, Model], told: Summary) -> tuple[Layer, ...]:
    folds, grid = told.run, known.grid
    s, origin, ahead = len(folds.shares) // 2, folds.origins[-1], folds.horizon
    number = int(np.argmax(folds.hits[:, told.both, s].sum(axis=1)))
    best_ = folds.names[number]
    if np.isnan(folds.top[number, -1, 0]):
        return ()
    own = horizons(models)[best_]
    length = own if isinstance(own, timedelta) else ahead
    kept = known.shown.get((best_, origin, length))
    surface: Surface = kept if kept is not None else surface_at(known, models[best_], origin, None if own is False else length)
    top = np.sort(surface.top(folds.shares[s]))
    came = (
        schema.utc(incidents, ["started_at"])
        .filter((pl.col("started_at") >= origin) & (pl.col("started_at") < origin + ahead))
        .sort("started_at", "lon", "lat")
    )
    at = grid.locate(came)
    came = came.filter(pl.Series(at >= 0, dtype=pl.Boolean))
    ids = came["incident_id"].to_list() if "incident_id" in came.columns else [str(i) for i in range(len(came))]
    caught = np.isin(at[at >= 0], top)
    tips = tuple(f"{w:%Y-%m-%d %H:%M} UTC, {'inside' if c else 'outside'} the area chosen" for w, c in zip(came["started_at"].to_list(), caught, strict=True))
    return (
        Cells(f"Chosen by {best_} on {origin:%Y-%m-%d}", grid, top, surface.expected[top], unit=f"expected incidents in {said(ahead)}"),
        Points("What came", came["lon"].to_numpy(), came["lat"].to_numpy(), tuple(ids), tips=tips, kind="incident"),
    )

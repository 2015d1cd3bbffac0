"""Would this forecast have helped? Rolling origins: forecast from what was known then, score on what came.

At every origin each model sees only incidents known strictly before it. Its cells are taken from the highest expectation down until the
area share is reached *exactly*: the cells that tie at the cut, of which the last is usually a fraction, count in proportion to the area
still open (so ties are never broken in favour of a model). Hit rate is n/N; PAI = (n/N)/(a/A), 1 = no better than chance. Sources:
S. Chainey, L. Tompson, S. Uhlig, Security Journal 21, 2008, 4-28 (PAI); G. O. Mohler et al., JASA 110, 2015, 1399-1411 (comparing
forecasts at equal area); D. N. Politis, J. P. Romano, "A circular block-resampling procedure for stationary data", 1992 (intervals).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.layers import Cells, Layer, Points
from workbench.models.window import Moment, Span, known_at, moment, span
from workbench.models.wording import local, said
from workbench.results import Basis, Matrix, Surface, origin_of, recorded, remember

Model = Callable[[pl.DataFrame, Grid, datetime], Surface]

_LEAST_FOLDS = 6  # fewer give no interval worth the name


@dataclass(frozen=True, eq=False)
class _Folds:
    """hits: (models, folds, shares), nan where a model could not tell; events: (folds,)."""

    names: tuple[str, ...]
    origins: list[datetime]
    shares: tuple[float, ...]
    hits: Floats
    events: Floats
    unplaced: int


@recorded
def rolling(
    incidents: pl.DataFrame,
    grid: Grid,
    models: Mapping[str, Model],
    *,
    start: Moment,
    end: Moment,
    step: Span = "7d",
    horizon: Span = "7d",
    shares: Sequence[float] = (0.01, 0.02, 0.05),
    seed: int = 0,
    draws: int = 2000,
    zone: str = "UTC",
) -> Matrix:
    """Score models over the origins start, start + step, ... whose horizon ends by ``end``.

    Args:
        incidents: started_at, lon, lat and what the models need; also rows from before ``start`` to learn from.
        grid: cells; only those of its study area count.
        models: name -> callable(incidents, grid, asof), e.g. ``functools.partial(kde.surface, bandwidth=300)``; give it the same horizon.
        start, end: first origin; end of the last horizon. Text without a zone is UTC.
        shares: area shares, each over 0 and at most 1; the middle one is used for the sentence.
        seed, draws: of the block bootstrap behind the 90 % intervals (folds drawn in runs, the same ones for every model).
        zone: zone of the times in the sentence.

    Returns: a Matrix. ``scores``: model, origin, share, measure ("pai", "hit_rate"), value, n (incidents of the fold), hits; a fold without
    incidents, or where the model could not tell, has value null and stays in. ``table``: a row for each model, share and measure: overall (all hits
    over all incidents), lower, upper, mean of the folds, folds, without_incidents, could_not_tell.

    Raises:
        CannotTell: nothing happened in any fold, or no model could tell in any.
        BadInput: no model, no whole fold between start and end, a share out of range.

    Cost: origins x models forecasts; 52 weekly origins x 2 models on 20,000 cells in a few seconds.
    """
    first, last, stride, ahead = moment(start, "start"), moment(end, "end"), span(step, "step"), span(horizon, "horizon")
    wanted = _checked(models, shares, first, last, ahead)
    origins = [first + stride * i for i in range(int((last - ahead - first) / stride) + 1)]
    folds, shown = _run(incidents, grid, models, origins, ahead, wanted)
    if folds.events.sum() == 0:
        raise CannotTell(
            f"No incident that can be placed happened in any of the {len(origins)} folds from {first:%Y-%m-%d} to {last:%Y-%m-%d}; choose a longer stretch."
        )
    both = np.isfinite(folds.hits).all(axis=(0, 2))
    if not both.any():
        raise CannotTell(
            f"In none of the {len(origins)} folds could every model tell ({', '.join(folds.names)}); give them more incidents from before {first:%Y-%m-%d}."
        )
    block = max(math.ceil(ahead / stride), round(len(origins) ** (1 / 3)))
    rates = _resampled(folds, both, block, seed, draws)
    table, scores = _table(folds, both, rates), _scores(folds)
    basis = Basis.of(
        incidents,
        method="rolling-origin back-test, area cut exactly, paired circular block bootstrap",
        time="started_at",
        source="Chainey, Tompson and Uhlig 2008; Mohler et al. 2015; Politis and Romano 1992",
        asof=last,
        notes=_notes(folds, both),
        parameters={
            "models": list(folds.names),
            "start": first,
            "end": last,
            "step": said(stride),
            "horizon": said(ahead),
            "shares": list(wanted),
            "seed": seed,
            "draws": draws,
            "block": block,
            "cell": f"{grid.cell:g} m",
        },
    )
    headline = _headline(folds, both, rates, stride, ahead, local(first, zone))
    return Matrix(
        headline=headline,
        table=table,
        layers=_layers(incidents, grid, shown, folds, both, origins[-1], ahead),
        basis=basis,
        base=origin_of(incidents).base,
        scores=scores,
    )


def _notes(folds: _Folds, both: Any) -> tuple[str, ...]:
    notes = [
        f"{int((folds.events == 0).sum())} of {len(folds.origins)} folds had no incident; they are in the scores without a value and weigh nothing overall."
    ]
    if not both.all():
        notes.append(f"In {int((~both).sum())} folds a model could not tell; the overall figures compare the other {int(both.sum())}.")
    if folds.unplaced:
        notes.append(f"{folds.unplaced} incidents of the folds have no position in the area and are not scored.")
    return tuple(notes)


def _checked(models: Mapping[str, Model], shares: Sequence[float], first: datetime, last: datetime, ahead: timedelta) -> tuple[float, ...]:
    if not models:
        raise BadInput("No model was given; write e.g. models={'counts': counts.surface, 'kde': kde.surface}.")
    wrong = [s for s in shares if not 0 < s <= 1]
    if wrong or not shares:
        raise BadInput(f"An area share of {wrong[0] if wrong else None!r} does not do; give shares over 0 and up to 1, e.g. (0.01, 0.02, 0.05).")
    if first + ahead > last:
        raise BadInput(f"Between start {first:%Y-%m-%d} and end {last:%Y-%m-%d} no horizon of {said(ahead)} fits; choose a later end.")
    return tuple(sorted(float(s) for s in shares))


def _run(
    incidents: pl.DataFrame, grid: Grid, models: Mapping[str, Model], origins: list[datetime], ahead: timedelta, shares: tuple[float, ...]
) -> tuple[_Folds, dict[str, Surface]]:
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    frame = schema.utc(incidents, [c for c in ("started_at", "ended_at", "reported_at") if c in incidents.columns])
    known = frame.with_columns(_known=known_at(frame)).sort("_known")
    when, frame = known["_known"], known.drop("_known")
    began, cells = frame["started_at"], grid.locate(frame)
    hits = np.full((len(models), len(origins), len(shares)), np.nan)
    events, unplaced, shown = np.zeros(len(origins)), 0, {}
    for f, origin in enumerate(origins):
        seen = int(when.search_sorted(origin, side="left"))
        came = cells[((began >= origin) & (began < origin + ahead)).fill_null(False).to_numpy()]
        counts = np.bincount(came[came >= 0], minlength=len(grid)).astype(float)
        events[f], unplaced = counts.sum(), unplaced + int((came < 0).sum())
        past = remember(frame.head(seen), origin_of(incidents))
        for m, (name, model) in enumerate(models.items()):
            try:
                surface = model(past, grid, origin)
            except CannotTell:
                continue
            if surface.expected.shape != (len(grid),):
                raise BadInput(f"Model {name!r} gave {surface.expected.shape} values for {len(grid)} cells; it must forecast on the grid it is given.")
            hits[m, f] = [held(surface.expected[grid.inside], counts[grid.inside], share) for share in shares]
            shown[name] = surface
    return _Folds(tuple(models), origins, shares, hits, events, unplaced), shown


def held(expected: Floats, counts: Floats, share: float) -> float:
    """Incidents in the cells of highest expectation that make up exactly ``share`` of the area, ties at the cut in proportion. O(n)."""
    area = share * len(expected)
    k = min(len(expected), max(1, math.ceil(area - 1e-9)))
    cut = np.partition(expected, len(expected) - k)[len(expected) - k]
    above, tied = expected > cut, expected == cut
    return float(counts[above].sum() + counts[tied].sum() * (area - above.sum()) / tied.sum())


def _resampled(folds: _Folds, both: Any, block: int, seed: int, draws: int) -> Floats:
    """Overall hit rates under the circular block bootstrap, the same folds for every model: shape (draws, models, shares)."""
    hits, events = folds.hits[:, both], folds.events[both]
    n = len(events)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, size=(draws, math.ceil(n / block)))
    drawn = ((starts[:, :, None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]
    times = np.zeros((draws, n))
    np.add.at(times, (np.arange(draws)[:, None], drawn), 1.0)
    total = times @ events
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("dn,mns->dms", times, hits) / total[:, None, None])


def _scores(folds: _Folds) -> pl.DataFrame:
    models, count, shares = folds.hits.shape
    m, f, s = (a.ravel() for a in np.meshgrid(np.arange(models), np.arange(count), np.arange(shares), indexing="ij"))
    hits, n = folds.hits.ravel(), folds.events[f]
    rate = np.divide(hits, n, out=np.full(len(n), np.nan), where=n > 0)
    share = np.asarray(folds.shares)[s]
    origins = pl.Series(folds.origins, dtype=pl.Datetime("us", "UTC"))
    long = pl.DataFrame(
        {
            "model": np.asarray(folds.names, dtype=object)[m].tolist(),
            "origin": origins.gather(f),
            "share": share,
            "hit_rate": rate,
            "pai": rate / share,
            "n": n.astype(np.int64),
            "hits": hits,
        }
    )
    tidy = long.unpivot(["pai", "hit_rate"], index=["model", "origin", "share", "n", "hits"], variable_name="measure", value_name="value")
    return (
        tidy.with_columns(pl.col("value", "hits").fill_nan(None))
        .select("model", "origin", "share", "measure", "value", "n", "hits")
        .sort("model", "origin", "share", "measure")
    )


def _table(folds: _Folds, both: Any, rates: Floats) -> pl.DataFrame:
    rows = []
    events = folds.events[both]
    for m, name in enumerate(folds.names):
        for s, share in enumerate(folds.shares):
            hits = folds.hits[m, both, s]
            full = events > 0
            overall, mean = hits.sum() / events.sum() if events.sum() else np.nan, float(np.mean(hits[full] / events[full])) if full.any() else np.nan
            low, high = np.nanquantile(rates[:, m, s], [0.05, 0.95]) if len(events) >= _LEAST_FOLDS and full.any() else (np.nan, np.nan)
            for measure, scale in (("pai", 1 / share), ("hit_rate", 1.0)):
                rows.append(
                    (
                        name,
                        share,
                        measure,
                        *(float(v * scale) for v in (overall, low, high, mean)),
                        len(folds.events),
                        int((folds.events == 0).sum()),
                        int(np.isnan(folds.hits[m, :, s]).sum()),
                    )
                )
    names = ["model", "share", "measure", "overall", "lower", "upper", "mean", "folds", "without_incidents", "could_not_tell"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("overall", "lower", "upper", "mean").fill_nan(None))


def _headline(folds: _Folds, both: Any, rates: Floats, stride: timedelta, ahead: timedelta, since: str) -> str:
    s = len(folds.shares) // 2
    share, events, used = folds.shares[s], folds.events[both], int(both.sum())
    if events.sum() == 0:
        return f"Cannot tell: nothing happened in the {used} folds in which every model could forecast."
    overall = folds.hits[:, both, s].sum(axis=1) / events.sum()
    order = sorted(range(len(folds.names)), key=lambda m: (-overall[m], folds.names[m]))
    best = order[0]
    low, high = (float(v) for v in np.nanquantile(rates[:, best, s], [0.05, 0.95]))
    start = (
        f"Over {used} forecasts of {said(ahead)}, one every {said(stride)} from {since}, {folds.names[best]} held {100 * overall[best]:.1f} % "
        f"of {events.sum():,.0f} incidents in {100 * share:.3g} % of the area"
    )
    few = used < _LEAST_FOLDS
    figure = f" (PAI {overall[best] / share:.1f}" + ("" if few else f", 90 % interval {low / share:.1f} to {high / share:.1f}") + ")"
    if len(order) == 1:
        return start + figure + ("; too few forecasts for an interval." if few else ".")
    other = order[1]
    gap = rates[:, best, s] - rates[:, other, s]
    down, up = (float(v) for v in np.nanquantile(gap, [0.05, 0.95]))
    beside = f"{folds.names[other]} {100 * overall[other]:.1f} %"
    between = f"difference {100 * (overall[best] - overall[other]):.1f} points, 90 % interval {100 * down:.1f} to {100 * up:.1f}"
    if few:
        return f"{start}{figure}, {beside}: cannot tell which is better from {used} forecasts; at least {_LEAST_FOLDS} are needed."
    if down > 0:
        return f"{start}{figure}, {beside}: {folds.names[best]} is better ({between})."
    return f"{start}{figure}, {beside}: cannot tell which is better ({between})."


def _layers(incidents: pl.DataFrame, grid: Grid, shown: dict[str, Surface], folds: _Folds, both: Any, origin: datetime, ahead: timedelta) -> tuple[Layer, ...]:
    s = len(folds.shares) // 2
    best = folds.names[int(np.argmax(folds.hits[:, both, s].sum(axis=1)))]
    if best not in shown or shown[best].asof != origin:
        return ()
    surface = shown[best]
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
        Cells(f"Chosen by {best} on {origin:%Y-%m-%d}", grid, top, surface.expected[top], unit=f"expected incidents in {said(ahead)}"),
        Points("What came", came["lon"].to_numpy(), came["lat"].to_numpy(), tuple(ids), tips=tips, kind="incident"),
    )

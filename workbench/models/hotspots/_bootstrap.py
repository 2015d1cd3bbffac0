"""What the folds of a back-test add up to: overall and mean scores, their intervals and those of differences, by a paired circular block bootstrap.

Every measure is a ratio of sums over folds, so a draw is a count of how often each fold was drawn, the same for every model, times numerators and denominators.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats
from workbench.models.hotspots import _scores
from workbench.models.hotspots._folds import Run, apart

LEAST = 6  # fewer folds give no interval worth the name
LOWER_IS_BETTER = ("crps", "pit")


def measures(shares: tuple[float, ...]) -> list[tuple[str, float]]:
    """(measure, area share) in the order of a Run's last axis; the whole area is share 1."""
    return [(m, s) for m in _scores.BY_SHARE for s in shares] + [(m, 0.2 if m == "area_20" else 1.0) for m in _scores.OVERALL]


def times(folds: int, block: int, seed: int, draws: int) -> Floats:
    """How often each fold is in each draw of the circular block bootstrap: shape (draws, folds), rows sum to ``folds``."""
    starts = np.random.default_rng(seed).integers(0, folds, size=(draws, math.ceil(folds / block)))
    drawn = ((starts[:, :, None] + np.arange(block)) % folds).reshape(draws, -1)[:, :folds]
    flat = (drawn + np.arange(draws)[:, None] * folds).ravel()
    return np.bincount(flat, minlength=draws * folds).reshape(draws, folds).astype(float)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, nan where bottom is 0."""
    return np.divide(top, bottom, out=np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan), where=bottom > 0)


class Summary:
    """Overall (sums over sums) and mean of the folds with draws of both: shapes (models, measures) and (draws, models, measures).

    ``both``: folds in which every model could tell; only those are compared.
    """

    def __init__(self, run: Run, block: int, seed: int, draws: int) -> None:
        self.run, self.both = run, np.isfinite(run.top).all(axis=(0, 2))
        top, bottom = run.top[:, self.both], run.bottom[:, self.both]
        self.values = ratio(run.top, run.bottom)
        value = ratio(top, bottom)
        full = np.isfinite(value)
        self.folds = int(self.both.sum())
        some = self.folds > 0
        self.overall, self.mean = ratio(top.sum(axis=1), bottom.sum(axis=1)), ratio(np.where(full, value, 0.0).sum(axis=1), full.sum(axis=1).astype(float))
        if some:
            histograms = run.pit[:, self.both].sum(axis=1)
            self.overall[:, -1] = [apart(h) for h in histograms]
        shape = (draws, len(run.names), top.shape[2])
        drawn = times(self.folds, block, seed, draws) if some else np.zeros((draws, 0))
        overs, unders, sums, many = (self._drawn(drawn, v, shape) for v in (top, bottom, np.where(full, value, 0.0), full.astype(float)))
        self.overalls, self.means = ratio(overs, unders), ratio(sums, many)

    @staticmethod
    def _drawn(drawn: Floats, values: Floats, shape: tuple[int, ...]) -> Floats:
        return np.asarray(drawn @ np.swapaxes(values, 0, 1).reshape(values.shape[1], -1)).reshape(shape)

    def between(self, draws: Floats, level: float) -> Floats:
        """Lower and upper end of the draws, shape (2, ...), nan where there are too few folds."""
        if self.folds < LEAST:
            return np.full((2, *draws.shape[1:]), np.nan)
        ends = np.full((2, *draws.shape[1:]), np.nan)
        some = np.isfinite(draws).any(axis=0)
        if some.any():
            ends[:, some] = np.nanquantile(draws[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
        return ends


def better(measure: str, values: Floats) -> Floats:
    """The same values so that more is better."""
    if measure == "rri":
        return -np.abs(values - 1)
    return -values if measure in LOWER_IS_BETTER else values


def table(told: Summary, reference: int, level: float) -> pl.DataFrame:
    """A row for each model, measure and share; see ``backtest.rolling``."""
    run = told.run
    lower, upper = told.between(told.overalls, level)
    mean_lower, mean_upper = told.between(told.means, level)
    apart_lower, apart_upper = told.between(told.overalls - told.overalls[:, [reference]], level)
    apart_mean_lower, apart_mean_upper = told.between(told.means - told.means[:, [reference]], level)
    rows: list[dict[str, Any]] = []
    for m, name in enumerate(run.names):
        for k, (measure, share) in enumerate(measures(run.shares)):
            mine, other = better(measure, told.values[m, told.both, k]), better(measure, told.values[reference, told.both, k])
            given = measure != "pit"  # its pooled histogram is not a mean of the folds, so no interval is made of it
            rows.append({
                "model": name, "share": share, "measure": measure, "overall": told.overall[m, k],
                "lower": lower[m, k] if given else np.nan, "upper": upper[m, k] if given else np.nan, "mean": told.mean[m, k],
                "folds": len(run.events), "without_incidents": int((run.events == 0).sum()), "could_not_tell": int(np.isnan(run.top[m, :, 0]).sum()),
                "mean_lower": mean_lower[m, k], "mean_upper": mean_upper[m, k],
                "difference": told.overall[m, k] - told.overall[reference, k],
                "difference_lower": apart_lower[m, k] if given else np.nan, "difference_upper": apart_upper[m, k] if given else np.nan,
                "mean_difference": told.mean[m, k] - told.mean[reference, k],
                "mean_difference_lower": apart_mean_lower[m, k], "mean_difference_upper": apart_mean_upper[m, k],
                "won": int((mine > other + 1e-12).sum()), "lost": int((mine < other - 1e-12).sum()),
                "reference": run.names[reference], "horizon": run.horizon,
            })
    floats = [k for k, v in rows[0].items() if isinstance(v, float)]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(floats).fill_nan(None))


def scores(told: Summary) -> pl.DataFrame:
    """A row for each model, origin, share and measure."""
    run, kinds = told.run, measures(told.run.shares)
    models, folds, many = told.values.shape
    m, f, k = (a.ravel() for a in np.indices((models, folds, many)))
    hits = np.full((models, folds, many), np.nan)
    for j, (_, share) in enumerate(kinds):
        if share in run.shares and kinds[j][0] in _scores.BY_SHARE:
            hits[:, :, j] = run.hits[:, :, run.shares.index(share)]
    names, said = pl.Series(run.names, dtype=pl.String), pl.Series([x for x, _ in kinds], dtype=pl.String)
    frame = pl.DataFrame({
        "model": names.gather(m), "origin": pl.Series(run.origins, dtype=pl.Datetime("us", "UTC")).gather(f),
        "share": np.array([s for _, s in kinds])[k], "measure": said.gather(k), "value": told.values.ravel(),
        "n": run.events[f].astype(np.int64), "hits": hits.ravel(), "horizon": pl.Series([run.horizon] * len(m), dtype=pl.Duration("us")),
    })
    return frame.with_columns(pl.col("value", "hits").fill_nan(None)).sort("model", "origin", "share", "measure")

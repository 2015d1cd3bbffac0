"""The Knox table: bands with their ends, exact moments of a count of close pairs under permutation, and what the permutations say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo import Floats, Ints
from workbench.models import window
from workbench.models.patterns.expected import adjusted
from workbench.models.wording import said

CLOSED = ("left", "right")
_DAY = 86_400_000_000
_RARE = 10.0  # below this expectation the closed form takes the Poisson tail


@dataclass(frozen=True, eq=False)
class Bands:
    """Distance and time bands.

    Args:
        metres: ends of the distance bands, rising from 0; with a same-place band the second is its upper end.
        spans: ends of the time bands, rising from 0, microseconds.
        closed: "left" holds a band's lower end and not its upper (100 to 200 m: 100 <= d < 200); "right" the other way round (100 < d <= 200).
            Distance 0 and time 0 always lie in the first band.
        same: the first distance band is the same place.
        open: a last distance band and a last time band without end stand behind.
    """

    metres: Floats
    spans: Ints
    closed: str
    same: bool
    open: bool

    @property
    def cuts(self) -> Floats:
        """The distance edges as half-open ones, to the micrometre."""
        if self.closed == "left":
            return self.metres
        moved = self.metres + 1e-6
        moved[0] = 0.0
        if self.same:
            moved[1] = self.metres[1]
        return moved

    def distance_names(self) -> list[str]:
        """What each distance band is called."""
        ends = [f"{a:,.10g} to {b:,.10g} m" for a, b in zip(self.metres[:-1], self.metres[1:], strict=True)]
        if self.same:
            ends[0] = "same place"
            if len(ends) > 1:
                ends[1] = f"0 to {self.metres[2]:,.10g} m"
        return [*ends, f"over {self.metres[-1]:,.10g} m"] if self.open else ends

    def time_names(self) -> list[str]:
        """What each time band is called."""
        unit, word = next(((u, w) for u, w in ((_DAY, "days"), (_DAY // 24, "hours"), (_DAY // 1440, "minutes")) if not (self.spans % u).any()), (1, "us"))
        ends = [f"{a // unit:,} to {b // unit:,} {word}" for a, b in zip(self.spans[:-1], self.spans[1:], strict=True)]
        return [*ends, f"over {self.spans[-1] // unit:,} {word}"] if self.open else ends


def bands(distances: Sequence[float], times: Sequence[window.Span], same_place: float | None, closed: str, *, unbounded: bool) -> Bands:
    """The bands asked for.

    Raises:
        BadInput: ends that do not rise from above 0, or an unknown ``closed``.
    """
    if closed not in CLOSED:
        raise BadInput(f"closed={closed!r} is not known; 'left' holds the lower end of a band, 'right' the upper.")
    if isinstance(distances, (str, int, float)) or isinstance(times, (str, timedelta)) or not len(distances) or not len(times):
        raise BadInput("distances and times are lists of the upper ends of the bands, e.g. distances=(100, 200), times=('7d', '14d').")
    metres = np.array([0.0, *(() if same_place is None else (same_place,)), *(float(d) for d in distances)])
    spans = np.array([0, *(window.span(t, "times") // timedelta(microseconds=1) for t in times)], dtype=np.int64)
    if not np.isfinite(metres).all() or (np.diff(metres) <= 0).any():
        raise BadInput(f"The distances {list(distances)} do not rise from above {0 if same_place is None else same_place:g} m; give the upper ends in metres.")
    if (np.diff(spans) <= 0).any():
        raise BadInput(f"The times {list(times)} do not rise; give the upper ends, e.g. ('7d', '14d', '21d').")
    return Bands(metres, spans, closed, same_place is not None, unbounded)


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact mean and variance of every band's count under free permutation of the times; shape (distance bands, time bands)."""

    mean: Floats
    variance: Floats


def time_links(times: Ints, below: Ints) -> Ints:
    """How many others lie within each time band of every point (``below`` are the bands' ends), shape (bands, n). O(n log n x bands)."""
    ordered = np.sort(times)
    near = [np.searchsorted(ordered, times + e, side="left") - np.searchsorted(ordered, times - e, side="right") - 1 for e in below]
    return np.array([late - soon for soon, late in zip([np.zeros_like(times), *near[:-1]], near, strict=True)], dtype=np.int64)


def moments(space: Ints, time: Ints) -> Moments:
    """Exact moments of sum a_ij b_ij over pairs when the times are permuted (Barton and David 1966).

    ``space`` and ``time`` are the links of each point by band, shapes (S, n) and (K, n). Two pairs of incidents are the same pair, share one incident, or
    share none; each case has its own chance of both being close in time.
    """
    n = space.shape[1]
    every = n * (n - 1) / 2
    s1, t1 = (links.sum(axis=1) / 2.0 for links in (space, time))
    s2, t2 = ((links.astype(float) * (links - 1)).sum(axis=1) / 2.0 for links in (space, time))
    mean = np.outer(s1, t1) / every
    s3, t3 = s1**2 - s1 - 2 * s2, t1**2 - t1 - 2 * t2
    second = mean + np.outer(2 * s2, 2 * t2) / (n * (n - 1.0) * (n - 2)) + np.outer(s3, t3) / (every * (n - 2) * (n - 3) / 2)
    return Moments(mean, np.maximum(second - mean**2, 0.0))


def tail(observed: Floats, exact: Moments) -> Floats:
    """P(count >= observed) from the moments: Poisson where under 10 are expected, else normal with continuity correction; the same shape."""
    out = np.ones(np.shape(observed))
    for at in np.ndindex(*out.shape):
        count, mean, variance = float(observed[at]), float(exact.mean[at]), float(exact.variance[at])
        if mean < _RARE:
            below = [math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(math.ceil(count))] if mean > 0 else [1.0] * (count > 0)
            out[at] = max(0.0, 1.0 - math.fsum(below))
        elif variance > 0:
            out[at] = 0.5 * math.erfc((count - 0.5 - mean) / math.sqrt(2 * variance))
    return np.minimum(out, 1.0)


def chances(counts: Any) -> tuple[Floats, Floats, Floats, Floats]:
    """One-sided p, p of the largest over all bands, and the middle 90 % of the permutations; ``counts`` is (S, K, permutations + 1), observed first.

    The observed order counts as one of the permutations, and ties count. The largest: of the standardised excesses, so that rare bands weigh as much as common
    ones (Westfall and Young 1993, single step); bands that never vary are left out.
    """
    values = np.asarray(counts, dtype=float)
    p = (values >= values[..., :1] - 1e-9).mean(axis=-1)
    spread = values.std(axis=-1, keepdims=True)
    excess = (values - values.mean(axis=-1, keepdims=True)) / np.where(spread > 1e-12, spread, np.inf)
    highest = excess.reshape(-1, excess.shape[-1]).max(axis=0)
    family = (highest[None, None, :] >= excess[..., :1] - 1e-9).mean(axis=-1)
    return p, family, np.quantile(values[..., 1:], 0.05, axis=-1, method="inverted_cdf"), np.quantile(values[..., 1:], 0.95, axis=-1, method="inverted_cdf")


def opened(counts: Ints, space: Ints, time: Ints, n: int) -> Ints:
    """The counts with a last row and column for all that is farther: what is left of each band's pairs, which no permutation changes.

    ``counts`` is (draws, S, K, permutations + 1); ``space`` and ``time`` are the pairs in each distance band and (by draw) in each time band.
    """
    draws, s, k, many = counts.shape
    out = np.zeros((draws, s + 1, k + 1, many), dtype=np.int64)
    out[:, :s, :k] = counts
    out[:, :s, k] = space[None, :, None] - counts.sum(axis=2)
    out[:, s, :k] = time[:, :, None] - counts.sum(axis=1)
    out[:, s, k] = n * (n - 1) // 2 - out[:, :s].sum(axis=(1, 2)) - out[:, s, :k].sum(axis=1)
    return out


def frame(layout: Bands, observed: Floats, expected: Floats, exact: Moments | None, simulated: tuple[Floats, Floats, Floats, Floats] | None) -> pl.DataFrame:
    """The table: one row a distance and time band."""
    names, spans = layout.distance_names(), layout.time_names()
    metres, days = [*layout.metres, math.inf], [*(layout.spans / _DAY), math.inf]
    s, k = observed.shape
    blank = np.full((s, k), np.nan)
    first = (exact.mean, np.sqrt(exact.variance), tail(observed, exact)) if exact is not None else (blank, blank, blank)
    p, family, low, high = simulated if simulated is not None else (blank, blank, blank, blank)
    q = adjusted(p.ravel()) if simulated is not None else blank.ravel()
    columns: dict[str, Any] = {
        "distance": np.repeat(names, k), "time": np.tile(spans, s), "from_m": np.repeat(metres[:s], k), "to_m": np.repeat(metres[1 : s + 1], k),
        "from_days": np.tile(days[:k], s), "to_days": np.tile(days[1 : k + 1], s), "observed": observed.ravel(), "expected": expected.ravel(),
        "low": low.ravel(), "high": high.ravel(), "first_sd": first[1].ravel(), "first_p": first[2].ravel(), "p": p.ravel(), "q": q, "p_any": family.ravel()}
    made = pl.DataFrame(columns).with_columns(ratio=pl.when(pl.col("expected") > 0).then(pl.col("observed") / pl.col("expected")))
    empty = ("low", "high", "first_sd", "first_p", "p", "q", "p_any")
    return made.with_columns(pl.col(c).fill_nan(None) for c in empty).select(*list(columns)[:8], "ratio", *list(columns)[8:])


def named(length: int) -> str:
    """Microseconds as words."""
    return said(timedelta(microseconds=int(length)))

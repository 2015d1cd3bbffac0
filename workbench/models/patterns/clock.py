"""When in the week does it happen?

The heat clock: weekday by hour of day. A burglary found in the evening may have happened at any hour since the morning, so an
incident is not put at its start but spread evenly over the hours it can have happened in (aoristic weights: Ratcliffe and McCullagh,
*International Journal of Geographical Information Science* 12, 1998, 751-764), by real elapsed time, also where clocks change. Intervals for
each hour, and hours by area, are in ``patterns.aoristic``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.models.patterns import _hours
from workbench.models.patterns._placed import since
from workbench.models.window import Moment, known_before, moment, said, span
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONGEST = timedelta(days=3)


@recorded
def week(incidents: pl.DataFrame, asof: Moment, *, zone: str = "UTC", window: str = "84d", block: int = 4, runs: int = 499, seed: int = 0) -> Result:
    """Spread incidents over the 168 hours of the week and name the busiest block of hours of the day.

    Args:
        incidents: canonical incidents; ``started_at`` to ``ended_at`` is the span in which one can have happened.
        asof: nothing known later is looked at (text without a zone is UTC).
        zone: the agency's time zone: hours are wall-clock hours.
        window: how far back from asof, e.g. "84d".
        block: length of the busiest block looked for, hours.
        runs: how often the block is looked for in evenly scattered times, to tell a busy block from chance.
        seed: of those runs.

    Returns:
        A Result; its table has weekday ("Mon"...), hour (0-23) and incidents (expected number, fractions because of the spreading),
        168 rows. Incidents that may have happened over more than three days are left out and counted in the basis.

    Raises:
        BadInput: a column is missing, a span is unreadable or the zone is not known. CannotTell: no incident with a usable time in the window.

    Cost: O(n + hours of the window + runs x 24).
    """
    if any(isinstance(v, bool) or not isinstance(v, int) for v in (block, runs)) or not 1 <= block < 24 or runs < 1:
        raise BadInput(f"block={block!r} with runs={runs!r} does not do; give a block of 1 to 23 hours and a whole number of runs from 1 on.")
    require(incidents, "started_at", "ended_at", what="incidents")
    at, length = moment(asof), span(window)
    inside = known_before(incidents, at).filter(pl.col("started_at") >= since(at, length))
    spans = _hours.spans(inside)
    usable = spans.only(spans.end - spans.start <= _LONGEST // timedelta(microseconds=1))
    if not len(usable):
        raise CannotTell(f"No incident in the {said(length)} before {at:%Y-%m-%d} has a time within three days; choose a longer window or another offence.")
    line = _hours.timeline(int(usable.start.min()), int(usable.end.max()), _hours.checked(zone))
    sums = _hours.moments(usable, line, np.zeros(len(usable), dtype=np.int64), 1, 168)
    clock = sums[0, 0].reshape(7, 24)
    grid = pl.DataFrame({"weekday": np.repeat(WEEKDAYS, 24), "hour": np.tile(np.arange(24), 7), "incidents": clock.ravel()})
    exact = int(sums[4].sum())
    basis = Basis.of(
        inside, method="incidents spread over the hours they can have happened in (aoristic weights)",
        source="Ratcliffe and McCullagh, IJGIS 12 (1998) 751-764", used=len(usable), time="started_at", asof=at,
        parameters={"window": window, "block": block, "runs": runs, "seed": seed, "zone": zone},
        notes=(f"{exact:,} of {len(usable):,} have a time known to the hour; the others are spread over their hours.",
               f"{len(spans) - len(usable):,} that may have happened over more than three days are left out."))
    return Result(headline=_headline(clock, len(usable), block, runs, seed), table=grid, layers=(), basis=basis, base=origin_of(incidents).base)


def _busiest(by_hour: np.ndarray[Any, Any], block: int) -> np.ndarray[Any, Any]:
    """Sum of each block of hours of the day starting at 0 ... 23, over midnight too; last axis is the hour."""
    twice = np.concatenate([by_hour, by_hour[..., : block - 1]], axis=-1)
    steps = np.cumsum(np.concatenate([np.zeros((*by_hour.shape[:-1], 1)), twice], axis=-1), axis=-1)
    return steps[..., block:] - steps[..., :-block]


def _headline(clock: np.ndarray[Any, Any], n: int, block: int, runs: int, seed: int) -> str:
    sums = _busiest(clock.sum(axis=0), block)
    start = int(sums.argmax())
    chance = _busiest(np.random.default_rng(seed).multinomial(n, np.full(24, 1 / 24), size=runs).astype(float), block).max(axis=1)
    p = (1 + int((chance >= sums[start] - 1e-9).sum())) / (runs + 1)
    share, usual = sums[start] / n, float(np.quantile(chance, 0.95)) / n
    hours = f"{start:02d}:00 to {(start + block) % 24:02d}:00"
    if p > 0.05:
        return (f"No time of day stands out among {n:,} incidents: the busiest {block} hours ({hours}) hold {100 * share:.0f} %, "
                f"and chance alone gives up to {100 * usual:.0f} %.")
    day = WEEKDAYS[int(clock[:, (start + np.arange(block)) % 24].sum(axis=1).argmax())]
    return f"{100 * share:.0f} % of {n:,} incidents fall into {hours} (chance alone: at most {100 * usual:.0f} %, p = {p:.3f}), most of them on {day}."

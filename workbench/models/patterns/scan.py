"""Where and when did incidents bunch in space and time together, beyond what busy places and busy days explain?

The space-time permutation scan: every cylinder (a circle on the map by a run of days) is compared with the count that its place and its days lead one to
expect, ``incidents in the circle x incidents on the days / all``, and the best is judged against the best of permutations that deal the days out among the
incidents anew. M. Kulldorff, R. Heffernan, J. Hartman, R. Assuncao and F. Mostashari, "A space-time permutation scan statistic for disease outbreak
detection", *PLoS Medicine* 2(3), 2005, e59, doi:10.1371/journal.pmed.0020059; Gumbel approximation: A. M. Abrams, K. Kleinman and M. Kulldorff,
*International Journal of Health Geographics* 9, 2010, 61, doi:10.1186/1476-072X-9-61.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints, Polygon
from workbench.layers import Areas
from workbench.models.patterns import _cylinders
from workbench.models.window import Moment, Span, past, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, origin_of, recorded

TITLE = "Space-time permutation scan"
_LEAST = 20
_DAY = 86400.0
_PAIRS = 60_000_000


@recorded
def clusters(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, window: Span = "365d", radius: float = 1000.0, longest: Span = "30d", alive: bool = False,
             least: int = 3, permutations: int = 999, rate: float = 0.05, gumbel: bool = False, seed: int = 0, zone: str = "UTC",
             threads: int | None = None) -> Ranking:
    """The strongest space-time clusters that share no place, with Monte Carlo p-values.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: its cells are the study area; circles lie about the incidents' own places.
        asof: nothing known at or after it is used; days are the spans of 24 hours that end at it.
        window: how far back incidents count.
        radius: of the largest circle, metres; no circle holds more than half of the incidents.
        longest: of the longest run of days (whole days).
        alive: look only at clusters that reach the last day (prospective); the recurrence interval is then given.
        least: incidents that a cluster must have.
        permutations: of the days among the incidents.
        rate: clusters with a larger p are not claimed.
        gumbel: p from a Gumbel law fitted to the permutations' maxima, for p-values below 1 / (permutations + 1).
        seed, threads: of the permutations; the answer is the same for any number of threads.
        zone: of the times in the sentence.

    Returns: a Ranking, the strongest first: rank, lon, lat, radius, first, last (UTC, the span of whole days), days, counted, expected, times, ratio
    (log-likelihood), p (chance that a city without interaction shows so strong a cluster anywhere), claimed, recurrence_days (alive only: an alarm as strong
    comes about by chance once in so many days, if it is asked once a day). At most 20 rows.

    Raises:
        CannotTell: under 20 incidents or 10 days, circles that hold too many pairs, or as ``window.past``. BadInput: options out of range.

    Cost: O(permutations x incident pairs within radius), some 80 ns each.
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    length = int(span(longest, "longest").total_seconds() // _DAY)
    _checked(radius, length, least, permutations, rate)
    before = past(incidents, grid, asof, window, least=_LEAST)
    days = int(math.ceil(before.length.total_seconds() / _DAY - 1e-9))
    if days < 10 or length > days / 2:
        raise CannotTell(f"The incidents span {several(days, 'day')}; at least 10, and twice the longest cluster ({several(length, 'day')}), are needed: use a "
                         "longer window or a shorter longest=.")
    day = (days - np.maximum(np.ceil(before.age / _DAY), 1)).astype(np.int64).clip(0, days - 1)
    wide, high = np.ptp(before.x) + radius, np.ptp(before.y) + radius
    if len(before) ** 2 * min(1.0, math.pi * radius**2 / (wide * high)) > _PAIRS:
        raise CannotTell(f"Circles of {radius:g} m about {len(before):,} incidents hold more pairs than can be looked at; use a shorter window or radius.")
    found = _cylinders.circles(np.ascontiguousarray(before.x), np.ascontiguousarray(before.y), radius, len(before) // 2)
    best = _cylinders.best(found, day, days, length, least, alive)
    null = _cylinders.maxima(found, day, days, length, least, alive, permutations, seed, threads)
    picked = _apart(found, best)
    p = np.array([_p(float(best.value[k]), null, gumbel) for k in picked])
    table = _table(found, best, picked, p, day, days, before.asof, grid, rate, alive)
    basis = Basis.of(
        incidents, method=f"space-time permutation scan, {'alive clusters' if alive else 'all clusters'}, {permutations:,} permutations", time="started_at",
        used=len(before), asof=before.asof, source="Kulldorff et al. 2005; Abrams et al. 2010",
        notes=(*before.notes, "A place or season that is always busy is no cluster here; a place that became busy for good can be one."),
        parameters={"window": said(before.window), "radius": radius, "longest": said(timedelta(days=length)), "alive": alive, "least": least,
                    "permutations": permutations, "rate": rate, "gumbel": gumbel, "seed": seed})
    return Ranking(headline=_headline(table, len(before), zone), table=table, layers=_layers(table, grid), basis=basis, base=origin_of(incidents).base)


def _checked(radius: float, length: int, least: int, permutations: int, rate: float) -> None:
    if not (0 < radius < math.inf) or length < 1 or least < 2:
        raise BadInput(f"radius={radius!r}, longest={length} days, least={least!r} do not do: give metres, at least one whole day, and 2 or more incidents.")
    if not 0 < rate < 1 or isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < 1 / rate - 1.000001:
        raise BadInput(f"permutations={permutations!r} with rate={rate!r} does not do: a p-value of rate needs at least 1 / rate - 1 permutations.")


def _p(value: float, null: Floats, gumbel: bool) -> float:
    if gumbel and len(null) > 1:
        scale = max(float(null.std(ddof=1)) * math.sqrt(6) / math.pi, 1e-12)
        return -math.expm1(-math.exp(-(value - (float(null.mean()) - 0.5772156649015329 * scale)) / scale))
    return (1 + int((null >= value - 1e-9).sum())) / (len(null) + 1)


def _apart(found: _cylinders.Circles, best: _cylinders.Best) -> list[int]:
    """Places of the strongest cylinders, none with an incident in its circle that is also in a stronger one's."""
    taken: set[int] = set()
    picked: list[int] = []
    for k in np.lexsort((best.circle, -best.value)):
        if best.value[k] <= 0 or len(picked) == 20:
            break
        held = set(found.row[found.begin[k] : found.begin[k] + best.circle[k]].tolist())
        if not held & taken:
            taken |= held
            picked.append(int(k))
    return picked


def _table(found: _cylinders.Circles, best: _cylinders.Best, picked: list[int], p: Floats, day: Ints, days: int, asof: datetime, grid: Grid, rate: float,
           alive: bool) -> pl.DataFrame:
    at = np.array(picked, dtype=np.int64)
    lon, lat = grid.plane.to_degrees(found.x[at], found.y[at])
    circle, first, last, counted = best.circle[at], best.first[at], best.last[at], best.count[at]
    before = np.concatenate([[0], np.cumsum(np.bincount(day, minlength=days))])
    expected = circle * (before[last + 1] - before[first]) / len(day)
    kind = pl.Datetime("us", "UTC")
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(at) + 1), "lon": lon, "lat": lat, "radius": np.sqrt(found.square[found.begin[at] + circle - 1]),
        "first": pl.Series([asof - timedelta(days=int(days - d)) for d in first], dtype=kind),
        "last": pl.Series([asof - timedelta(days=int(days - d - 1)) for d in last], dtype=kind), "days": last - first + 1, "counted": counted,
        "expected": expected, "times": counted / np.maximum(expected, 1e-12), "ratio": best.value[at], "p": p, "claimed": p <= rate}
    if alive:
        columns["recurrence_days"] = 1 / np.maximum(p, 1e-300)
    return pl.DataFrame(columns)


def _headline(table: pl.DataFrame, n: int, zone: str) -> str:
    if table.is_empty():
        return f"No circle and run of days holds more of the {n:,} incidents than its place and its days lead one to expect."
    row = table.row(0, named=True)
    what = (f"{row['counted']} incidents within {row['radius']:,.0f} m of {row['lat']:.4f}, {row['lon']:.4f} from {local(row['first'], zone)} to "
            f"{local(row['last'], zone)}, {row['expected']:.1f} expected (p = {row['p']:.2g})")
    claimed = int(table["claimed"].sum())
    often = f"; by chance as strong once in {row['recurrence_days']:,.0f} days" if "recurrence_days" in table.columns else ""
    if not claimed:
        return f"No space-time cluster stands out among {n:,} incidents: the strongest, {what}, is not rare enough{often}."
    return f"{several(claimed, 'space-time cluster stands', 'space-time clusters stand')} out among {n:,} incidents; the strongest: {what}{often}."


def _layers(table: pl.DataFrame, grid: Grid) -> tuple[Areas, ...]:
    claimed = table.filter("claimed")
    if claimed.is_empty():
        return ()
    angle = np.linspace(0, 2 * np.pi, 49)
    x, y = grid.plane.to_metres(claimed["lon"].to_numpy(), claimed["lat"].to_numpy())
    polygons, tips = [], []
    for k, row in enumerate(claimed.iter_rows(named=True)):
        r = max(row["radius"], 25.0)
        polygons.append(Polygon((np.column_stack(grid.plane.to_degrees(x[k] + r * np.cos(angle), y[k] + r * np.sin(angle))),)))
        tips.append(f"cluster {row['rank']}: {row['counted']} counted, {row['expected']:.1f} expected, {row['days']} days from {row['first']:%Y-%m-%d}")
    ranks = claimed["rank"].to_list()
    return (Areas("Space-time clusters", tuple(polygons), ids=tuple(f"cluster:{r}" for r in ranks), tips=tuple(tips),
                  values=tuple(claimed["times"].to_list()), unit="times what is expected"),)

"""Where is the risk raised now, because something happened there lately, by how much, and until when?

Each incident of the last weeks has a zone about it: as far as the Knox table of the incidents known at that moment shows more than chance for its age, with
the ratio that the table gives. As it ages the zone shrinks and its ratio falls by the bands of the table; after the last raised band it is gone. A zone is
about places, never about persons.

Method: Bowers, Johnson and Pease, *British J. Criminology* 44, 2004, 641-658 (doi 10.1093/bjc/azh036) for zones; ratios fall with time by isotonic
regression (Barlow et al. 1972); which bands count is decided by permutation with a false discovery rate of 5 % over the bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import CannotTell
from workbench.geo import Floats, Ints, Plane, Polygon
from workbench.layers import Areas, Points
from workbench.models import window
from workbench.models.patterns import _knox
from workbench.models.patterns._chains import falling
from workbench.models.patterns._counted import Counted, How, counted, whole
from workbench.models.patterns._placed import Placed, placed
from workbench.models.patterns.expected import adjusted
from workbench.models.wording import local, several
from workbench.results import Basis, Result, origin_of, recorded

SOURCE = "Bowers, Johnson and Pease 2004; Knox 1964"
_DRAWN = 500
_SURE = 0.05


@recorded
def zones(
    incidents: pl.DataFrame,
    asof: window.Moment,
    *,
    distances: Sequence[float] = (100, 200, 300, 400, 500),
    times: Sequence[window.Span] = ("7d", "14d", "21d", "28d"),
    same_place: float | None = 0.01,
    closed: str = "left",
    metric: str = "euclidean",
    keep: str | None = None,
    permutations: int = 999,
    seed: int = 1,
    zone: str = "UTC",
    crs: str | None = None,
    threads: int | None = None,
) -> Result:
    """The zones of raised risk at a moment.

    Args:
        incidents: started_at with lon, lat (or x, y in metres); reported_at, ended_at where known. A year or more of them makes the table.
        asof: nothing known at or after it is used; zones are as of then.
        distances, times, same_place, closed, metric, keep, permutations, seed, zone, crs, threads: as for ``near_repeat.knox``.

    Returns: a Result; one row a ring about an incident, the highest ratio first: incident, started_at, age_days, from_m, radius_m, ratio (pairs observed over
    expected at that age), falls_at (when it enters the next time band), ends_at (when the ring is gone), lon, lat (x, y for a frame in metres).
    No row where no band shows more than chance or nothing happened lately; the headline says which.

    Raises:
        CannotTell: under 10 incidents were known before asof, all at one address or time, or none within the last distance of another.
        BadInput: options that cannot be used.

    Cost: that of ``near_repeat.knox``.
    """
    at = window.moment(asof)
    layout = _knox.bands(distances, times, same_place, closed, unbounded=False)
    ready = placed(incidents, asof=at, crs=crs, question="zones of raised risk")
    if whole(permutations, "permutations", 0) == 0:
        raise CannotTell("Zones need permutations, since they decide how far and how long the risk is raised; give permutations=999.")
    made = counted(ready, incidents, layout, How(metric=metric, keep=keep, permutations=permutations, seed=seed, zone=zone, threads=threads))
    reach, ratio = _raised(layout, made)
    table = _zones(ready, layout, reach, ratio, at)
    method = f"Knox ratios about each incident of the last {_knox.named(layout.spans[-1])}, {metric} distances, {permutations} permutations"
    basis = Basis.of(incidents, method=method, source=SOURCE, used=len(ready), time="started_at", asof=at, notes=(*ready.notes, *made.notes),
                     parameters={"distances": list(distances), "times": [_knox.named(s) for s in layout.spans[1:]], "same_place": same_place, "closed": closed,
                                 "keep": keep, "seed": seed, "zone": zone, "crs": crs,
                                 "reach_m": [float(layout.metres[r + int(layout.same)]) if r else 0.0 for r in reach]})
    return Result(headline=_headline(table, layout, reach, at, zone), table=table, layers=_layers(table, ready.plane), basis=basis,
                  base=origin_of(incidents).base)


def _raised(layout: _knox.Bands, made: Counted) -> tuple[Ints, Floats]:
    """How many rings about an incident are raised at each age, shape (time bands,), and the ratio in each, shape (rings, time bands).

    The same place belongs to the first ring. Rings count from the inside as long as each is above chance; a zone never grows again with age.
    """
    skip = 1 + int(layout.same)
    rings = np.concatenate([made.table[:skip].sum(axis=0)[None], made.table[skip:]])
    expected = np.concatenate([made.expected[:skip].sum(axis=0)[None], made.expected[skip:]])
    p = _knox.chances(rings)[0]
    sure = (adjusted(p.ravel()).reshape(p.shape) <= _SURE) & (rings[..., 0] > expected)
    reach = np.minimum.accumulate(np.cumprod(sure, axis=0).sum(axis=0))
    return reach.astype(np.int64), np.array([falling(o, e) for o, e in zip(rings[..., 0], expected, strict=True)])


def _zones(ready: Placed, layout: _knox.Bands, reach: Ints, ratio: Floats, at: datetime) -> pl.DataFrame:
    now = round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    age = now - ready.start
    band = np.searchsorted(layout.spans, age, side="right") - 1
    inside = (band >= 0) & (band < len(reach))
    recent = np.flatnonzero(inside & (reach[np.where(inside, band, 0)] > 0))
    many = reach[band[recent]]
    row = np.repeat(recent, many)
    ring = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    k, names = band[row], np.array(ready.links(), dtype=object)
    first, second = (ready.x, ready.y) if ready.plane is None else (ready.lon, ready.lat)
    ends = layout.spans[1 + np.array([int(np.flatnonzero(reach > r).max(initial=0)) for r in range(len(ratio))])]

    def when(moments: Ints) -> pl.Series:
        return pl.Series(moments, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))

    rims = layout.metres[1 + int(layout.same):]
    places = ("x", "y") if ready.plane is None else ("lon", "lat")
    return pl.DataFrame({
        "incident": pl.Series(names[row].tolist(), dtype=pl.String), "started_at": when(ready.start[row]), "age_days": age[row] / 86_400e6,
        "from_m": np.concatenate([[0.0], rims])[ring], "radius_m": rims[ring], "ratio": ratio[ring, k],
        "falls_at": when(ready.start[row] + layout.spans[k + 1]), "ends_at": when(ready.start[row] + ends[ring]), places[0]: first[row], places[1]: second[row],
    }).sort(["ratio", "started_at", "incident", "radius_m"], descending=[True, True, False, False])


def _headline(table: pl.DataFrame, layout: _knox.Bands, reach: Ints, at: datetime, zone: str) -> str:
    when = local(at, zone)
    if not reach.any():
        return (f"No zone as of {when}: what was known then shows no more near repeats than chance would give, "
                "so no place is under raised risk for having been hit.")
    long = _knox.named(layout.spans[int(np.flatnonzero(reach > 0).max()) + 1])
    if table.is_empty():
        return f"No zone as of {when}: the risk is raised for {long} after an incident, and none began within them."
    top, hit = table.row(0, named=True), table["incident"].n_unique()
    return (f"As of {when} the surroundings of {several(hit, 'incident')} are under raised risk, up to {top['ratio']:.1f} times chance "
            f"{top['from_m']:,.10g} to {top['radius_m']:,.10g} m away; all are gone {long} after their incident.")


def _layers(table: pl.DataFrame, plane: Plane | None) -> tuple[Areas | Points, ...]:
    if plane is None or table.is_empty():
        return ()
    shown = table.head(_DRAWN).sort("radius_m", "ratio", descending=[True, False])  # the inner rings on top
    lon, lat, names = shown["lon"].to_numpy(), shown["lat"].to_numpy(), shown["incident"].to_list()
    x, y = plane.to_metres(lon, lat)
    angle = np.linspace(0, 2 * np.pi, 25)
    rings: list[Any] = [plane.to_degrees(a + r * np.cos(angle), b + r * np.sin(angle)) for a, b, r in zip(x, y, shown["radius_m"], strict=True)]
    tips = tuple(f"{r['ratio']:.1f} times chance until {r['falls_at']:%Y-%m-%d %H:%M} UTC, after {r['incident']}" for r in shown.iter_rows(named=True))
    areas = Areas("Zones of raised risk", tuple(Polygon((np.column_stack(ring),)) for ring in rings), tips=tips,
                  ids=tuple(f"zone:{name}:{radius:.10g}" for name, radius in zip(names, shown["radius_m"], strict=True)),
                  values=tuple(shown["ratio"].to_list()), unit="times chance")
    one = shown.unique("incident", keep="last", maintain_order=True)
    return areas, Points("Incidents behind them", one["lon"].to_numpy(), one["lat"].to_numpy(), ids=tuple(f"incident:{name}" for name in one["incident"]))

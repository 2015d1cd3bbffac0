"""Which incident follows which: is it an originator, a repeat, a near repeat or alone, and what chains do they form?

An incident is a repeat when an earlier one lies at the same place within the span, a near repeat when one lies close by within it, an originator when
others follow it and it follows none; the rest is isolated. A chain is a set that such links connect, however long it grows.

Method: classes as in Ratcliffe and Rengert, *Security Journal* 21, 2008, 58-76 (doi 10.1057/palgrave.sj.8350068); chains as in Haberman and Ratcliffe,
*Policing* 6, 2012, 151-166 (doi 10.1093/police/pas012). Chance: the same links with the times shuffled among the places.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput
from workbench.geo import Floats
from workbench.layers import Lines, Points
from workbench.models import window
from workbench.models.patterns import _pairs
from workbench.models.patterns._chains import Followed, followed
from workbench.models.patterns._counted import whole
from workbench.models.patterns._placed import Placed, placed
from workbench.models.wording import said, several
from workbench.results import Basis, Ranking, Result, origin_of, recorded

SOURCE = "Ratcliffe and Rengert 2008; Haberman and Ratcliffe 2012"
ROLES = ("originator", "repeat", "near repeat", "isolated")
_DRAWN = 60  # chains on the map
_FEWEST = 2


@recorded
def classify(
    incidents: pl.DataFrame,
    *,
    metres: float = 200.0,
    within: window.Span = "14d",
    same_place: float = 0.01,
    metric: str = "euclidean",
    asof: window.Moment | None = None,
    crs: str | None = None,
    permutations: int = 99,
    seed: int = 1,
) -> Result:
    """Say of each incident whether it starts, repeats or stands alone.

    Args:
        incidents: started_at with lon, lat (or x, y in metres); incident_id where known.
        metres: incidents up to this far apart are close by (this far included).
        within: and up to this long after (included).
        same_place: under this many metres is the same place.
        metric: "euclidean" or "manhattan".
        asof: nothing known at or after it is used.
        crs: a projected CRS for distances; None = a metre plane about the incidents.
        permutations: shuffles of the times that say how many would follow another by chance; 0 = not said.
        seed: of them.

    Returns: a Result; one row an incident in order of time: incident, started_at, role, chain (from 1; null for isolated), follows (the latest earlier
    one, at the same place before close by), metres and days to it.

    Raises:
        CannotTell: under 2 incidents can be used, or all lie at one address or one time. BadInput: options that cannot be used.

    Cost: O(n log n + pairs within the distance x permutations).
    """
    ready, pairs, links, span = _linked(incidents, metres, within, same_place, metric, asof, crs)
    role = _roles(links)
    names = ready.links()
    table = pl.DataFrame({
        "incident": names, "started_at": ready.frame["started_at"], "role": role, "chain": pl.Series(links.chain + 1, dtype=pl.Int64),
        "follows": pl.Series([names[b] if b >= 0 else None for b in links.before], dtype=pl.String), "metres": links.metres,
        "days": links.gap / 86_400e6,
    }).with_columns(pl.when(pl.col("chain") > 0).then(pl.col("chain")).alias("chain"), pl.col("metres").fill_nan(None),
                    pl.when(pl.col("follows").is_not_null()).then(pl.col("days")).alias("days"))
    many = {r: role.count(r) for r in ROLES}
    chance = _chance(pairs, ready, span, whole(permutations, "permutations", 0), seed)
    follow = many["repeat"] + many["near repeat"]
    told = "" if chance is None else f" By chance alone {chance[0]:,.0f} would follow another, {follow:,} do (p = {chance[1]:.3f})."
    headline = (f"Of {len(ready):,} incidents {many['repeat']:,} are repeats at the same place, {many['near repeat']:,} near repeats "
                f"within {metres:,.10g} m and {said(window.span(within))}, {many['originator']:,} start a chain and {many['isolated']:,} stand alone.{told}")
    return Result(headline=headline, table=table, layers=_points(ready, role, names), base=origin_of(incidents).base,
                  basis=_basis(incidents, ready, "originator and near-repeat classes", asof, metres, within, same_place, metric, crs, permutations, seed))


@recorded
def chains(
    incidents: pl.DataFrame,
    *,
    metres: float = 200.0,
    within: window.Span = "14d",
    same_place: float = 0.01,
    metric: str = "euclidean",
    asof: window.Moment | None = None,
    crs: str | None = None,
    least: int = _FEWEST,
) -> Ranking:
    """The chains of incidents that follow one another, the longest first.

    Args:
        least: chains of fewer incidents are left out. The rest as for ``classify``.

    Returns: a Ranking; one row a chain: chain (the number ``classify`` gives), incidents, repeats, near_repeats, first_at, last_at, days (first to last),
    reach_m (farthest from the middle), lon, lat of the middle (null for a frame in metres), members (what the incidents are called, in order of time), and
    with ``asof`` open: whether its last incident is no older than ``within``.

    Raises:
        CannotTell, BadInput: as ``classify``.

    Cost: O(n log n + pairs within the distance).
    """
    ready, _, links, _ = _linked(incidents, metres, within, same_place, metric, asof, crs)
    rows, paths = _chains(ready, links, whole(least, "least", 2), None if asof is None else window.moment(asof), window.span(within))
    shape: dict[str, Any] = {"chain": pl.Int64, "incidents": pl.Int64, "repeats": pl.Int64, "near_repeats": pl.Int64, "first_at": pl.Datetime("us", "UTC"),
             "last_at": pl.Datetime("us", "UTC"), "days": pl.Float64, "reach_m": pl.Float64, "lon": pl.Float64, "lat": pl.Float64,
             "members": pl.List(pl.String), **({} if asof is None else {"open": pl.Boolean})}
    table = pl.DataFrame(rows, schema=shape, orient="row").sort(["incidents", "last_at", "chain"], descending=[True, True, False])
    return Ranking(headline=_told(table, len(ready), metres, within), table=table, layers=_lines(table, paths), base=origin_of(incidents).base,
                   basis=_basis(incidents, ready, "chains of repeats and near repeats", asof, metres, within, same_place, metric, crs, 0, 0))


def _linked(incidents: pl.DataFrame, metres: float, within: window.Span, same_place: float, metric: str, asof: window.Moment | None,
            crs: str | None) -> tuple[Placed, _pairs.Pairs, Followed, int]:
    if not metres >= same_place > 0:
        raise BadInput(f"metres={metres!r} and same_place={same_place!r} do not do; same_place is above 0 and metres not below it.")
    span = window.span(within, "within") // timedelta(microseconds=1)
    ready = placed(incidents, asof=asof, crs=crs, least=_FEWEST)
    pairs = _pairs.near(ready.x, ready.y, float(metres), metric)
    return ready, pairs, followed(pairs, ready.start, span, same_place), span


def _roles(links: Followed) -> list[str]:
    number = np.where(links.same, 1, np.where(links.near, 2, np.where(links.later, 0, 3)))
    return [ROLES[k] for k in number]


def _chance(pairs: _pairs.Pairs, ready: Placed, span: int, permutations: int, seed: int) -> tuple[float, float] | None:
    """How many incidents would follow another if the times were shuffled, and the share of shuffles with at least as many as seen."""
    if not permutations:
        return None
    rng, found, n = np.random.default_rng(seed), np.empty(permutations + 1), len(ready)
    order = np.arange(n)
    pi, pj = np.minimum(pairs.i, pairs.j), np.maximum(pairs.i, pairs.j)
    for k in range(permutations + 1):
        i, j = order[pi], order[pj]
        soon = np.abs(ready.start[i] - ready.start[j]) <= span
        after = np.zeros(n, dtype=bool)
        after[np.maximum(i, j)[soon]] = True  # numbers are in order of time
        found[k] = after.sum()
        order = rng.permutation(n)
    return float(found[1:].mean()), float((found >= found[0]).mean())


def _chains(ready: Placed, links: Followed, least: int, asof: datetime | None, within: timedelta) -> tuple[list[tuple[Any, ...]], dict[int, Floats]]:
    rows: list[tuple[Any, ...]] = []
    paths: dict[int, Floats] = {}
    names = ready.links()
    order = np.argsort(links.chain, kind="stable")
    order = order[links.chain[order] >= 0]
    for members in np.split(order, np.flatnonzero(np.diff(links.chain[order])) + 1) if len(order) else []:
        if len(members) < least:
            continue
        x, y = ready.x[members], ready.y[members]
        first, last = int(ready.start[members[0]]), int(ready.start[members[-1]])
        lon, lat = (None, None) if ready.plane is None else (float(v) for v in ready.plane.to_degrees(x.mean(), y.mean()))
        same = int(links.same[members].sum())
        near = int((links.near & ~links.same)[members].sum())
        number = int(links.chain[members[0]]) + 1
        row = (number, len(members), same, near, _when(first), _when(last), (last - first) / 86_400e6, float(np.hypot(x - x.mean(), y - y.mean()).max()),
               lon, lat, [names[m] for m in members])
        rows.append(row if asof is None else (*row, asof - _when(last) <= within))
        paths[number] = np.column_stack([ready.lon[members], ready.lat[members]])
    return rows, paths if ready.plane is not None else {}


def _when(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _told(table: pl.DataFrame, n: int, metres: float, within: window.Span) -> str:
    where = f"within {metres:,.10g} m and {said(window.span(within))} of one another"
    if table.is_empty():
        return f"No chain: none of {n:,} incidents lies {where}."
    longest = table.row(0, named=True)
    live = f" {several(int(table['open'].sum()), 'chain is', 'chains are')} still open." if "open" in table.columns else ""
    return (f"{several(table.height, 'chain')} of incidents {where} hold {int(table['incidents'].sum()):,} of {n:,} incidents; the longest has "
            f"{longest['incidents']:,} in {longest['days']:,.0f} days.{live} Chance alone makes chains too where incidents lie thick; the test is knox.")


def _points(ready: Placed, role: list[str], names: list[str]) -> tuple[Points, ...]:
    if ready.plane is None:
        return ()
    made = []
    for kind, label in zip(ROLES[:3], ("Originators", "Repeats", "Near repeats"), strict=True):
        at = [k for k, r in enumerate(role) if r == kind]
        tips = tuple(f"{names[k]}: {kind}, {_when(int(ready.start[k])):%Y-%m-%d %H:%M} UTC" for k in at)
        made.append(Points(label, ready.lon[at], ready.lat[at], ids=tuple(f"incident:{names[k]}" for k in at), tips=tips))
    return tuple(made)


def _lines(table: pl.DataFrame, paths: dict[int, Floats]) -> tuple[Lines, ...]:
    shown = [row for row in table.head(_DRAWN).iter_rows(named=True) if row["chain"] in paths]
    if not shown:
        return ()
    tips = tuple(f"chain {r['chain']}: {r['incidents']} incidents, {r['first_at']:%Y-%m-%d} to {r['last_at']:%Y-%m-%d}" for r in shown)
    return (Lines("Chains", tuple(paths[r["chain"]] for r in shown), ids=tuple(f"chain:{r['chain']}" for r in shown), tips=tips, role="track", arrows=True),)


def _basis(incidents: pl.DataFrame, ready: Placed, method: str, asof: window.Moment | None, metres: float, within: window.Span, same_place: float, metric: str,
           crs: str | None, permutations: int, seed: int) -> Basis:
    return Basis.of(incidents, method=f"{method} ({metric} distance)", source=SOURCE, used=len(ready), time="started_at", notes=ready.notes,
                    asof=None if asof is None else window.moment(asof),
                    parameters={"metres": metres, "within": said(window.span(within)), "same_place": same_place, "crs": crs,
                                **({"permutations": permutations, "seed": seed} if permutations else {})})

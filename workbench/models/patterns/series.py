"""Which other incidents belong to this one's series, which series are there, and what goes on the bulletin?

Every incident is compared with those of the series by the Bayes factors of a fitted ``linkage``; a candidate's score is the mean of its log Bayes factors
with the series (average linkage, as in Porter 2016), and beside it stands how many incidents would score as high if none belonged. Source: M. D. Porter, The
American Statistician 70, 2016, 152-165; series are found by average-linkage clustering (same paper, section 4), and counted beside what the same incidents
give when times and ways are dealt out anew among places.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace as changed
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Ints
from workbench.layers import Points
from workbench.models.patterns import linkage as linking
from workbench.models.patterns._placed import located, since
from workbench.models.patterns.linkage import Linkage, Traits
from workbench.models.window import Moment, Span, known_before, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, Result, origin_of, recorded
from workbench.schema import require

SOURCE = "Porter, The American Statistician 70 (2016) 152-165; Reich and Porter, JRSS A 178 (2015) 465-480"
_LARGEST = 6000
_PAIRS = 200_000  # drawn for base rates
_RARE = 0.05


@recorded
def like(
    incidents: pl.DataFrame,
    linkage: Linkage,
    series: str | Collection[str],
    asof: Moment,
    *,
    window: Span = "730d",
    most: int = 20,
    zone: str = "UTC",
) -> Ranking:
    """Incidents that may belong to a series, the likeliest first: leads, not matches.

    Args:
        incidents: what ``linkage`` was fitted on, of one offence or several alike.
        linkage: from ``linkage.fit``.
        series: id of an incident, or of the incidents taken to be a series.
        asof, window: only incidents known before, and begun so far back.
        most: leads at most.
        zone: zone of times in the sentence.

    Returns: a Ranking; its table: rank, incident_id, started_at, lon, lat, times (Bayes factor: so many times likelier if by the same offender), chance
    (that it belongs, under the share of linked pairs among solved incidents), as_high (how many of the incidents looked at would score as high by chance
    alone), nearest (id in the series), reasons.

    Raises:
        BadInput: an id is not there. CannotTell: no other incident in the window, or the linkage learnt nothing that tells offenders apart.

    Cost: O(incidents x series).
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise BadInput(f"most={most!r} does not do; give a whole number of leads from 1 on.")
    at, length = moment(asof), span(window)
    ids = [series] if isinstance(series, str) else [str(s) for s in series]
    known = known_before(incidents, at).filter(pl.col("started_at") >= since(at, length))
    _checked(known, ids, at, length)
    _telling(linkage)
    known = known.sort("started_at", "incident_id")
    t = linking.traits(known, linkage.also, linkage.zone)
    where = {key: n for n, key in enumerate(t.ids)}
    own = np.array([where[key] for key in ids], dtype=np.int64)
    rest = np.setdiff1d(np.flatnonzero(np.isfinite(t.x)), own)
    if not len(rest):
        raise CannotTell(f"There is no other incident with a position in the {said(length)} before {at:%Y-%m-%d}; choose a longer window.")
    pairs = np.stack([linkage.scored(linking.evidence(t, rest, np.full(len(rest), o))) for o in own], axis=1)
    score = pairs.mean(axis=1)
    order = np.lexsort((rest, -score))[:most]
    null = _null(linkage, t, len(own))
    table = pl.DataFrame({
        "rank": np.arange(1, len(order) + 1), "incident_id": [t.ids[k] for k in rest[order]],
        "times": np.exp(np.clip(score[order], -50, 50)), "chance": 1 / (1 + np.exp(-np.clip(score[order] + linkage.prior, -50, 50))),
        "as_high": len(rest) * (1 + len(null) - np.searchsorted(null, score[order], side="left")) / (1 + len(null)),
        "nearest": [t.ids[own[k]] for k in pairs[order].argmax(axis=1)],
        "reasons": [_reasons(known, t, int(rest[k]), int(own[pairs[k].argmax()])) for k in order]})
    table = table.join(known.select(pl.col("incident_id").cast(pl.String), "started_at", "lon", "lat"), on="incident_id", how="left", maintain_order="left")
    table = table.select("rank", "incident_id", "started_at", "lon", "lat", "times", "chance", "as_high", "nearest", "reasons")
    first = table.row(0, named=True)
    sure = int((table["as_high"] < _RARE).sum())
    text = (f"{several(sure, 'incident')} of {several(len(rest), 'other')} in the {said(length)} before {local(at, zone)} score higher than chance gives "
            f"in one search of twenty; the likeliest, {first['incident_id']} of {local(first['started_at'], zone)}, is {_times(first['times'])} likelier if "
            f"done by the same offender ({first['as_high']:.1f} would score as high by chance). These are leads to check, not matches.")
    basis = Basis.of(incidents, method="mean log Bayes factor with the incidents of the series", source=SOURCE, used=len(rest), asof=at,
                     notes=(f"Base rate: as_high of a row is how many of {len(rest):,} unrelated incidents would score as high (pairs drawn at random).",
                            *linkage.basis.notes),
                     parameters={"series": ids, "window": said(length), "learnt": linkage.headline})
    return Ranking(headline=text, table=table, layers=_layers(known, ids, table), basis=basis, base=origin_of(incidents).base)


def _times(value: float) -> str:
    return f"{value:,.0f} times" if value >= 1.5 else "hardly"


def _checked(known: pl.DataFrame, ids: list[str], at: datetime, length: timedelta) -> None:
    require(known, "incident_id", "started_at", "lon", "lat", what="incidents")
    have = set(known["incident_id"].cast(pl.String).to_list())
    if not ids:
        raise BadInput("No incident was named; give the id of one, or a list of ids.")
    if len(have) < known.height:
        raise BadInput("An incident_id occurs more than once in the frame; give one row an incident.")
    for key in ids:
        if key not in have:
            raise BadInput(f"There is no incident {key!r} among those begun in the {said(length)} before {at:%Y-%m-%d} and known then."
                           f"{did_you_mean(key, have)}")


def _telling(linkage: Linkage) -> None:
    if linkage.low <= 0.5:
        raise CannotTell("The solved series it was learnt from do not tell offences of one offender from those of others (series held out: "
                         f"{100 * linkage.auc:.0f} % of pairs in the right order, where 50 % is chance), so no incident can be said to belong to a series. "
                         "Learn from solved series of one offence, or name them by hand.")


def _null(linkage: Linkage, t: Traits, size: int) -> Floats:
    """Sorted scores of incidents with a series of that size to which they do not belong: pairs of incidents at random (few of which are of one offender). Of a
    series, the larger of one pair and its mean with others: an incident near one of a series is near the others too."""
    rng = np.random.default_rng(size)
    placed = np.flatnonzero(np.isfinite(t.x))
    i, j = rng.integers(0, len(placed), _PAIRS), rng.integers(0, len(placed) - 1, _PAIRS)
    base = linkage.scored(linking.evidence(t, placed[i], placed[np.where(j >= i, j + 1, j)]))
    if size == 1:
        return np.sort(base)
    more = rng.choice(base, (len(base), min(size, 8))).mean(axis=1)
    return np.sort(np.maximum(base, (base + more) / 2))


def _reasons(frame: pl.DataFrame, t: Traits, i: int, j: int) -> str:
    words = linking.shared_words(frame, t.ids[i], t.ids[j])[:4]
    return linking.reasons(t, i, j) + (f"; both: {', '.join(words)}" if words else "")


def _layers(known: pl.DataFrame, ids: list[str], table: pl.DataFrame) -> tuple[Points, ...]:
    mine = known.filter(pl.col("incident_id").cast(pl.String).is_in(ids)).sort("started_at")
    tips = table.with_columns(tip=pl.format("{}: {}", "incident_id", "reasons"))
    return (Points.of("The series", mine, key="incident_id"), Points.of("Leads", tips, key="incident_id", tip="tip"))


@recorded
def found(
    incidents: pl.DataFrame,
    linkage: Linkage,
    asof: Moment,
    *,
    window: Span = "180d",
    least: int = 3,
    times: float = 100.0,
    draws: int = 20,
    seed: int = 0,
) -> Ranking:
    """Sets of incidents that may be series, strongest first, beside how many as strong chance gives.

    Args:
        incidents: of one offence or several alike.
        linkage: from ``linkage.fit``.
        asof, window: only incidents known before, and begun so far back; at most 6,000 of them.
        least: incidents of a series at least.
        times: sets are merged as long as the mean Bayes factor between them is at least this.
        draws, seed: how often times and ways are dealt out anew among the places, to see what chance gives.

    Returns: a Ranking; its table: rank, incidents (ids, in order of time), size, first, last, lon, lat (mean), times (mean Bayes factor inside),
    by_chance (sets as strong that shuffled incidents give: strength is by how much the mean log
    Bayes factor exceeds that of ``times``, times the incidents beyond the first).

    Raises:
        CannotTell: under 10 incidents with a position, or the linkage learnt nothing that tells offenders apart.
        BadInput: more than 6,000, or options out of range.

    Cost: O(incidents^2) for each draw; 1,000 incidents in about a second a draw.
    """
    at, length = moment(asof), span(window)
    if least < 2 or not times > 1 or draws < 1:
        raise BadInput(f"least={least!r}, times={times!r}, draws={draws!r} do not do; at least 2 incidents, over 1 times, at least 1 draw.")
    require(incidents, "incident_id", "started_at", "lon", "lat", what="incidents")
    known = located(known_before(incidents, at).filter(pl.col("started_at") >= since(at, length)))
    if known.height < 10:
        raise CannotTell(f"{known.height} incidents of the {said(length)} before {at:%Y-%m-%d} have a position; at least 10 are needed.")
    _telling(linkage)
    if known.height > _LARGEST:
        raise BadInput(f"{known.height:,} incidents are more than the {_LARGEST:,} compared all with all; choose a shorter window or one offence.")
    known = known.sort("started_at", "incident_id")
    t = linking.traits(known, linkage.also, linkage.zone)
    sets = _clusters(t, linkage, math.log(times), least)
    rng = np.random.default_rng(seed)
    shuffled = np.array([_strength(len(s), v, times) for _ in range(draws) for s, v in _clusters(_dealt(t, rng), linkage, math.log(times), least)])
    rows = []
    ids = np.array(t.ids)
    for members, strength in sorted(sets, key=lambda s: (-_strength(len(s[0]), s[1], times), s[0][0])):
        part = known[members]
        rows.append({"incidents": ids[members].tolist(), "size": len(members), "first": part["started_at"].min(), "last": part["started_at"].max(),
                     "lon": part["lon"].mean(), "lat": part["lat"].mean(), "times": math.exp(min(strength, 50)),
                     "by_chance": float((shuffled >= _strength(len(members), strength, times) - 1e-9).sum()) / draws})
    when = known.schema["started_at"]
    shape = {"incidents": pl.List(pl.String()), "size": pl.Int64(), "first": when, "last": when,
             **{c: pl.Float64() for c in ("lon", "lat", "times", "by_chance")}}
    table = pl.DataFrame(rows, schema=shape).with_row_index("rank", offset=1)
    strong = table.filter(pl.col("by_chance") < _RARE).height
    text = (f"{several(table.height, 'set')} of at least {least} incidents may be series in the {said(length)} before {at:%Y-%m-%d}; shuffled incidents give "
            f"{len(shuffled) / draws:.1f} such sets on average, and {several(strong, 'set is', 'sets are')} stronger than chance gives in one map of "
            "twenty.")
    basis = Basis.of(incidents, method="average-linkage clusters of log Bayes factors, beside those of shuffled incidents", source=SOURCE,
                     used=known.height, asof=at, notes=("A set is a reason to look at the reports together, not proof of one offender.", *linkage.basis.notes),
                     parameters={"window": said(length), "least": least, "times": times, "draws": draws, "seed": seed, "learnt": linkage.headline})
    layer = Points.of("Middles of the sets", table.with_columns(key=pl.col("rank").cast(pl.String), tip=pl.format("set {}: {} incidents", "rank", "size")),
                      key="key", tip="tip")
    return Ranking(headline=text, table=table, layers=(layer,) if table.height else (), basis=basis, base=origin_of(incidents).base)


def _strength(size: int, mean: float, times: float) -> float:
    return (size - 1) * (mean - math.log(times))


def _dealt(t: Traits, rng: np.random.Generator) -> Traits:
    """The same places with times, and ways, each dealt out anew (both in blocks of a row: the words with the codes)."""
    when, how = rng.permutation(len(t)), rng.permutation(len(t))
    return changed(t, middle=t.middle[when], hour=t.hour[when], words=t.words[how], weight=t.weight[how], codes=t.codes[how])


def _clusters(t: Traits, linkage: Linkage, cut: float, least: int) -> list[tuple[Ints, float]]:
    """(rows, mean log Bayes factor) of average-linkage clusters cut at ``cut``, within what pairs above the cut tie together."""
    from scipy.cluster.hierarchy import fcluster
    from scipy.cluster.hierarchy import linkage as merged
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(t)
    one, other = [], []
    for a in range(0, n, 200):
        i, j = np.triu_indices(min(n, a + 200) - a, 1)
        block_i, block_j = [i + a], [j + a]
        if a + 200 < n:
            p, q = np.meshgrid(np.arange(a, min(n, a + 200)), np.arange(a + 200, n), indexing="ij")
            block_i.append(p.ravel())
            block_j.append(q.ravel())
        i, j = np.concatenate(block_i), np.concatenate(block_j)
        use = linkage.scored(linking.evidence(t, i, j)) >= cut
        one.append(i[use])
        other.append(j[use])
    i, j = np.concatenate(one), np.concatenate(other)
    _, label = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    out: list[tuple[Ints, float]] = []
    for tied in np.flatnonzero(np.bincount(label) >= least):
        rows = np.flatnonzero(label == tied)
        first, second = np.triu_indices(len(rows), 1)
        scores = linkage.scored(linking.evidence(t, rows[first], rows[second]))
        made = fcluster(merged(60.0 - np.clip(scores, -50, 50), "average"), 60.0 - cut, "distance")
        for c in np.flatnonzero(np.bincount(made) >= least):
            members = made == c
            out.append((rows[members], float(scores[members[first] & members[second]].mean())))
    return out


@recorded
def bulletin(incidents: pl.DataFrame, series: Collection[str], asof: Moment, *, name: str = "", zone: str = "UTC") -> Result:
    """What a series bulletin says: the incidents in order, where their middle lies, how far apart in time, when in the week, and what they share.

    Args:
        incidents: canonical incidents.
        series: ids of the incidents taken to be a series, at least two.
        asof: nothing known later is looked at.
        name: what the series is called.
        zone: zone of times.

    Returns: a Result; its table has one row an incident in order of time: number, incident_id, from, until (local wall time), days_since (the one before), and
    report_number, address, premise, offence, mo, weapon where recorded. Layers: the incidents numbered, the ellipse that holds 68 % of a normal scatter.

    Raises:
        BadInput: an id is not there, or under two.

    Cost: O(series).
    """
    at, ids = moment(asof), list(dict.fromkeys(str(s) for s in series))
    require(incidents, "incident_id", "started_at", "lon", "lat", what="incidents")
    known = known_before(incidents, at)
    have = set(known["incident_id"].cast(pl.String).to_list())
    for key in ids:
        if key not in have:
            raise BadInput(f"There is no incident {key!r} known before {at:%Y-%m-%d}.{did_you_mean(key, have)}")
    if len(ids) < 2:
        raise BadInput(f"A series has at least two incidents; {len(ids)} was named.")
    from workbench.models.patterns import _bulletin

    rows = known.filter(pl.col("incident_id").cast(pl.String).is_in(ids)).sort("started_at", "incident_id")
    if rows["started_at"].null_count():
        raise BadInput(f"{several(rows['started_at'].null_count(), 'incident')} of the series {'has' if rows['started_at'].null_count() == 1 else 'have'} no "
                       "time, so the order of the series is not known; give the time, or leave them out.")
    text = _bulletin.sentence(rows, name, zone)
    basis = Basis.of(incidents, method="incidents named as a series by whoever asks, in order of time", used=rows.height, asof=at,
                     notes=("That these incidents are one series is a person's judgement, not a finding.",),
                     parameters={"series": ids, "name": name, "zone": zone})
    return Result(headline=text, table=_bulletin.table(rows, zone), layers=_bulletin.layers(rows, zone), basis=basis, base=origin_of(incidents).base)


"""Were two offences done by the same offender? Bayes factors learnt from solved ones.

For each pair of incidents several kinds of evidence are looked at: metres apart, days apart, how far apart in the time of day, how much of the way it was
done they share (rare words count more), and whether premise, weapon and further columns agree (rare values count more). How much each bin of each kind
speaks for "same offender" is its share among pairs of solved series over its share among pairs of different offenders; the logarithms add up. Since kinds of
evidence overlap, their sum is scaled so that it is calibrated on series that were held out. Sources: M. D. Porter, "A statistical approach to crime linkage",
The American Statistician 70, 2016, 152-165, doi:10.1080/00031305.2015.1123185; B. J. Reich, M. D. Porter, "Partially supervised spatiotemporal clustering
for burglary crime series identification", JRSS A 178, 2015, 465-480; C. Bennell, D. V. Canter, Science & Justice 42, 2002, 153-164 (distance and time).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Ints, Plane, positions
from workbench.models.patterns._hours import checked
from workbench.models.window import Moment, known_before, moment
from workbench.models.wording import several
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require, utc

SOURCE = "Porter, The American Statistician 70 (2016) 152-165; Reich and Porter, JRSS A 178 (2015) 465-480"
_METRES = (0, 50, 150, 400, 1000, 2000, 4000, 8000, 16000)
_DAYS = (0, 1, 3, 7, 14, 30, 60, 120, 365)
_HOURS = (0, 1, 2, 4, 6, 8)
_SHARED = (0, 0.02, 0.1, 0.2, 0.35, 0.5, 0.75)
_PRIOR = 2.0  # weight of a bin's prior, in pairs
_FEWEST = 8
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Traits:
    """What is compared of n incidents: metres, hours since 1970 of the middle of the window, hour of the day (nan = window over 12 h), words, codes."""

    ids: list[str]
    x: Floats
    y: Floats
    middle: Floats
    hour: Floats
    words: Any  # scipy sparse (n, words), rows of idf weights
    weight: Floats  # sum of a row's weights
    codes: Ints  # (n, columns), -1 = not recorded
    rarity: tuple[Floats, ...]  # share of incidents with each code, a column

    def __len__(self) -> int:
        return len(self.ids)


def traits(incidents: pl.DataFrame, also: Sequence[str] = (), zone: str = "UTC") -> Traits:
    """What is compared of each incident; ``mo``, ``premise``, ``weapon`` where the frame has them, and the columns ``also``.

    Raises:
        BadInput: a column is missing. CannotTell: no row has a position.
    """
    from scipy.sparse import csr_array

    require(incidents, "incident_id", "started_at", "lon", "lat", *also, what="incidents")
    frame = utc(incidents, [c for c in ("started_at", "ended_at") if c in incidents.columns])
    lon, lat = positions(frame)
    ok = np.isfinite(lon) & np.isfinite(lat)
    if not ok.any():
        raise CannotTell(f"None of the {frame.height} incidents has a position, so distances between them are not known; load rows with lon and lat.")
    x, y = Plane.local(round(float(np.median(lat[ok])), 3), round(float(np.median(lon[ok])), 3)).to_metres(*(np.where(ok, v, np.nan) for v in (lon, lat)))
    end = pl.max_horizontal("started_at", "ended_at") if "ended_at" in frame.columns else pl.col("started_at")
    span = frame.select(s=pl.col("started_at").dt.epoch("us") / 3.6e9, e=end.fill_null(pl.col("started_at")).dt.epoch("us") / 3.6e9,
                        off=pl.col("started_at").dt.convert_time_zone(zone).dt.base_utc_offset().dt.total_seconds() / 3600
                        + pl.col("started_at").dt.convert_time_zone(zone).dt.dst_offset().dt.total_seconds() / 3600)
    start, stop, offset = (span[c].to_numpy() for c in ("s", "e", "off"))
    middle = (start + stop) / 2
    hour = np.where(stop - start <= 12, (middle + offset) % 24, np.nan)
    texts = frame["mo"].to_list() if "mo" in frame.columns else [None] * frame.height
    bags = [sorted(set(re.findall(r"[^\W_]{2,}|\d", (t or "").lower()))) for t in texts]
    vocabulary = {w: k for k, w in enumerate(sorted({w for bag in bags for w in bag}))}
    column = np.array([vocabulary[w] for bag in bags for w in bag], dtype=np.int64)
    idf = np.log((1 + frame.height) / (1 + np.bincount(column, minlength=len(vocabulary)))) if len(vocabulary) else np.zeros(0)
    pointer = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])
    words = csr_array((np.sqrt(idf[column]), column, pointer), shape=(frame.height, max(1, len(vocabulary))))
    columns = [*(c for c in ("premise", "weapon", "attempted", "offence_detail") if c in frame.columns and c not in also), *also]
    codes, rarity = np.full((frame.height, len(columns)), _UNKNOWN, dtype=np.int64), []
    for k, name in enumerate(columns):
        values = frame[name].cast(pl.String)
        levels = {v: i for i, v in enumerate(sorted(values.drop_nulls().unique().to_list()))}
        codes[:, k] = [levels.get(v, _UNKNOWN) for v in values.to_list()]
        known = codes[codes[:, k] >= 0, k]
        rarity.append(np.bincount(known, minlength=max(1, len(levels))) / max(1, len(known)))
    return Traits(frame["incident_id"].cast(pl.String).to_list(), x, y, middle, hour, words, np.asarray(words.multiply(words).sum(axis=1)).ravel(), codes,
                  tuple(rarity))


def evidence(t: Traits, i: Ints, j: Ints) -> Ints:
    """The bin of each kind of evidence for pairs (i, j), shape (pairs, 4 + columns); -1 where it is not known. O(pairs)."""
    out = np.full((len(i), 4 + t.codes.shape[1]), _UNKNOWN, dtype=np.int64)
    metres = np.hypot(t.x[i] - t.x[j], t.y[i] - t.y[j])
    for k, (value, edges) in enumerate(((metres, _METRES), (np.abs(t.middle[i] - t.middle[j]) / 24, _DAYS))):
        known = np.isfinite(value)
        out[known, k] = np.searchsorted(edges, value[known], side="right") - 1
    around = np.abs(t.hour[i] - t.hour[j])
    around = np.minimum(around, 24 - around)
    known = np.isfinite(around)
    out[known, 2] = np.searchsorted(_HOURS, around[known], side="right") - 1
    both = (t.weight[i] > 0) & (t.weight[j] > 0)
    if both.any():
        a, b = i[both], j[both]
        shared = np.asarray(t.words[a].multiply(t.words[b]).sum(axis=1)).ravel()
        ratio = shared / np.maximum(t.weight[a] + t.weight[b] - shared, 1e-12)
        out[both, 3] = np.searchsorted(_SHARED, ratio, side="right") - 1
    for k, rare in enumerate(t.rarity):
        a, b = t.codes[i, k], t.codes[j, k]
        known = (a >= 0) & (b >= 0)
        how = np.searchsorted((0.05, 0.2), rare[np.maximum(a, 0)], side="left")  # 0 rare, 1, 2 common
        out[known, 4 + k] = np.where(a[known] == b[known], 1 + how[known], 0)
    return out


@dataclass(frozen=True, eq=False, kw_only=True)
class Linkage(Result):
    """What was learnt: ``weights[kind][bin]`` is the log Bayes factor of a bin, ``slope`` scales their sum. ``auc`` is of series held out,
    ``low`` that of the worst part.

    ``null`` are sorted log Bayes factors of pairs of different offenders, from which base rates follow; ``prior`` is the log odds that two incidents of
    the records are by one offender.
    """

    kinds: tuple[str, ...]
    weights: tuple[Floats, ...]
    slope: float
    auc: float
    low: float
    prior: float
    null: Floats
    also: tuple[str, ...]
    zone: str

    def scored(self, bins: Ints) -> Floats:
        """Log Bayes factors of rows of ``evidence``; what is not known says nothing."""
        return self.slope * _summed(bins, self.weights)

    def predict(self, incidents: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Natural log Bayes factor for "same offender" of pairs of incident ids, shape (pairs,).

        Raises:
            BadInput: an id is not in the frame, or a column is missing.
        """
        t = traits(incidents, self.also, self.zone)
        at = {key: n for n, key in enumerate(t.ids)}
        for key in {k for pair in pairs for k in pair}:
            if str(key) not in at:
                raise BadInput(f"There is no incident {key!r} in the frame.")
        i, j = (np.array([at[str(p[s])] for p in pairs], dtype=np.int64) for s in (0, 1))
        return self.scored(evidence(t, i, j))


def _summed(bins: Ints, weights: Sequence[Floats]) -> Floats:
    total = np.zeros(len(bins))
    for k, w in enumerate(weights):
        known = bins[:, k] >= 0
        total[known] += w[bins[known, k]]
    return total


def solved_of(involvements: pl.DataFrame, roles: Sequence[str] = ("arrestee", "suspect")) -> pl.DataFrame:
    """Solved series from the table ``involvements``: incident_id, series (the person), of persons with several incidents in these roles."""
    require(involvements, "incident_id", "entity_kind", "entity_id", "role", what="involvements")
    rows = involvements.filter(pl.col("entity_kind") == "person", pl.col("role").is_in(list(roles))).select("incident_id", series="entity_id").unique()
    return rows.filter(pl.len().over("series") > 1).sort("series", "incident_id")


@recorded
def fit(
    incidents: pl.DataFrame,
    solved: pl.DataFrame,
    asof: Moment,
    *,
    also: Sequence[str] = (),
    zone: str = "UTC",
    folds: int = 5,
    sample: int = 200_000,
    seed: int = 0,
) -> Linkage:
    """Learn from solved series how much each kind of evidence tells.

    Args:
        incidents: incident_id, started_at, lon, lat; ended_at, mo, premise, weapon, attempted, offence_detail where recorded. All records, not only the
            solved ones: they say what is rare.
        solved: incident_id, series (whoever did it; an incident may be in several), by hand or from ``solved_of``; or the table ``involvements``, of which
            ``solved_of`` is then asked.
        asof: incidents not known before it are not looked at, also where they are solved (text without a zone is UTC).
        also: further columns whose agreement is evidence.
        zone: zone of the time of day.
        folds: series are dealt into so many parts; each is scored by what was learnt from the others.
        sample: pairs of different offenders drawn.
        seed: of the draw.

    Returns: a Linkage; its table has one row a kind of evidence and bin: kind, from, linked, unlinked (shares), factor (Bayes factor, before scaling).

    Raises:
        CannotTell: under 8 series of at least two incidents. BadInput: a column is missing.

    Cost: O(linked pairs + sample); 0.3 s for 200,000 pairs.
    """
    checked(zone)
    if any(isinstance(v, bool) or not isinstance(v, int) for v in (folds, sample)) or folds < 2 or sample < 100:
        raise BadInput(f"folds={folds!r} with sample={sample!r} does not do; give at least 2 parts, so that each is scored by the others, and 100 pairs.")
    if "series" not in solved.columns and {"entity_kind", "entity_id", "role"} <= set(solved.columns):
        solved = solved_of(solved)
    require(solved, "incident_id", "series", what="solved")
    at = moment(asof)
    require(incidents, "incident_id", "started_at", what="incidents")
    known = known_before(incidents, at).sort("started_at", "incident_id")
    t = traits(known, also, zone)
    i, j, group = _linked(t, solved)
    series = np.unique(group)
    if len(series) < _FEWEST:
        raise CannotTell(f"{len(series)} solved series with at least two incidents were known before {at:%Y-%m-%d}; at least {_FEWEST} "
                         "are needed to learn what offences of one offender have in common. Load arrests or suspects (involvements), or name solved series.")
    rng = np.random.default_rng(seed)
    a, b = _unlinked(t, solved, sample, rng)
    linked, apart = evidence(t, i, j), evidence(t, a, b)
    size = np.bincount(np.searchsorted(series, group))[np.searchsorted(series, group)]
    share = 1.0 / np.sqrt(2.0 * size)  # a series of m has m (m - 1) / 2 pairs: each incident counts about alike
    sizes = [len(_METRES), len(_DAYS), len(_HOURS), len(_SHARED), *[4] * t.codes.shape[1]]
    part = rng.permutation(np.arange(len(series)) % folds)[np.searchsorted(series, group)]
    half = rng.integers(0, folds, len(a))
    inside, outside = np.empty(len(i)), np.empty(len(a))
    for f in range(folds):
        w = _weights(linked[part != f], share[part != f], apart[half != f], sizes)
        inside[part == f], outside[half == f] = _summed(linked[part == f], w), _summed(apart[half == f], w)
    slope = _slope(inside, share, outside)
    weights = _weights(linked, share, apart, sizes)
    pairs = len(t) * (len(t) - 1) / 2
    prior = math.log(max(len(i), 1) / max(pairs - len(i), 1))
    kinds = ("metres apart", "days apart", "hours of the day apart", "way it was done shared",
             *(c for c in ("premise", "weapon", "attempted", "offence_detail") if c in known.columns and c not in also), *also)
    auc = _auc(inside, share, outside)
    basis = Basis.of(incidents, solved, method="Bayes factors of binned evidence (naive Bayes), scaled on held-out series", source=SOURCE, used=len(t),
                     time="started_at", asof=at,
                     parameters={"series": len(series), "linked pairs": len(i), "unlinked pairs": len(a), "also": list(also), "zone": zone, "folds": folds,
                                 "seed": seed, "slope": round(slope, 4), "auc": round(auc, 4)},
                     notes=("Learnt from solved offences: offenders who are caught, and series that are seen as such, may differ from the others.",))
    low, high = _auc_interval(inside, share, outside, part)
    text = (f"Learnt from {len(series)} solved series ({several(len(i), 'pair')}): of a pair by one offender and a pair by two, the "
            f"first has the higher score in {100 * auc:.0f} % of cases (series held out; {100 * low:.0f} to {100 * high:.0f} % over the parts)."
            + (" That is no better than chance: it tells nothing." if low <= 0.5 else ""))
    return Linkage(headline=text, table=_told(kinds, sizes, weights, linked, apart, share), layers=(), basis=basis, base=origin_of(incidents).base, kinds=kinds,
                   weights=weights, slope=slope, auc=auc, low=low, prior=prior, null=np.sort(slope * outside), also=tuple(also), zone=zone)


def _linked(t: Traits, solved: pl.DataFrame) -> tuple[Ints, Ints, np.ndarray[Any, Any]]:
    at = pl.DataFrame({"incident_id": pl.Series(t.ids, dtype=pl.String), "row": np.arange(len(t))})
    rows = solved.select(pl.col("incident_id", "series").cast(pl.String)).unique().join(at, on="incident_id").sort("series", "row")
    i, j, group = [], [], []
    for (name,), part in rows.group_by("series", maintain_order=True):
        a, b = np.triu_indices(part.height, 1)
        i.append(part["row"].to_numpy()[a])
        j.append(part["row"].to_numpy()[b])
        group += [str(name)] * len(a)
    if not group:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.array([], dtype=str)
    return np.concatenate(i).astype(np.int64), np.concatenate(j).astype(np.int64), np.array(group)


def _unlinked(t: Traits, solved: pl.DataFrame, sample: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pairs of solved incidents of different offenders where there are enough, else of any incidents of which no series has both."""
    whose: dict[str, set[str]] = {}
    for key, name in solved.select(pl.col("incident_id", "series").cast(pl.String)).iter_rows():
        whose.setdefault(key, set()).add(name)
    pool = np.array([n for n, key in enumerate(t.ids) if key in whose], dtype=np.int64)
    if len(pool) < 100:
        pool = np.arange(len(t), dtype=np.int64)
    if len(pool) * (len(pool) - 1) // 2 <= sample:
        a, b = np.triu_indices(len(pool), 1)
    else:
        a, b = rng.integers(0, len(pool), sample), rng.integers(0, len(pool) - 1, sample)
        b = np.where(b >= a, b + 1, b)
    i, j = pool[a], pool[b]
    keep = np.array([not (whose.get(t.ids[p], set()) & whose.get(t.ids[q], set())) for p, q in zip(i.tolist(), j.tolist(), strict=True)], dtype=bool)
    return i[keep], j[keep]


def _weights(linked: Ints, share: Floats, apart: Ints, sizes: Sequence[int]) -> tuple[Floats, ...]:
    out = []
    for k, size in enumerate(sizes):
        a, b = linked[:, k] >= 0, apart[:, k] >= 0
        n = np.bincount(apart[b, k], minlength=size).astype(float)
        base = (n + 0.5) / (n.sum() + 0.5 * size)
        m = np.bincount(linked[a, k], share[a], minlength=size) / max(float(share[a].mean()), 1e-12) if a.any() else np.zeros(size)
        out.append(np.log((m + _PRIOR * size * base) / (m.sum() + _PRIOR * size)) - np.log(base))
    return tuple(out)


def _slope(inside: Floats, share: Floats, outside: Floats) -> float:
    """Logistic slope of held-out scores, both sides weighing alike, between 0.05 and 1.5 (Newton)."""
    x, y = np.r_[inside, outside], np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    w = np.r_[share / share.sum(), np.full(len(outside), 1 / max(1, len(outside)))]
    a, b = 0.0, 0.5
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(a + b * x, -40, 40)))
        g, h = w * (y - p), w * p * (1 - p) + 1e-12
        m = np.array([[h.sum(), (h * x).sum()], [(h * x).sum(), (h * x * x).sum() + 1e-9]])
        da, db = np.linalg.solve(m, [g.sum(), (g * x).sum()])
        a, b = a + float(np.clip(da, -1, 1)), b + float(np.clip(db, -0.3, 0.3))
        if abs(da) + abs(db) < 1e-9:
            break
    return float(np.clip(b, 0.05, 1.5))


def _auc(inside: Floats, share: Floats, outside: Floats) -> float:
    low, high = np.searchsorted(np.sort(outside), inside, side="left"), np.searchsorted(np.sort(outside), inside, side="right")
    return float((share * (low + high)).sum() / (2 * len(outside) * share.sum()))


def _auc_interval(inside: Floats, share: Floats, outside: Floats, part: Ints) -> tuple[float, float]:
    each = [_auc(inside[part == f], share[part == f], outside) for f in np.unique(part)]
    return min(each), max(each)


def _told(kinds: Sequence[str], sizes: Sequence[int], weights: Sequence[Floats], linked: Ints, apart: Ints, share: Floats) -> pl.DataFrame:
    edges = {0: [f"{v} m" for v in _METRES], 1: [f"{v} days" for v in _DAYS], 2: [f"{v} h" for v in _HOURS], 3: [f"{100 * v:g} %" for v in _SHARED]}
    rows = []
    for k, (kind, size) in enumerate(zip(kinds, sizes, strict=True)):
        a, b = linked[:, k] >= 0, apart[:, k] >= 0
        m, n = np.bincount(linked[a, k], share[a], minlength=size), np.bincount(apart[b, k], minlength=size)
        names = edges.get(k, ["different", "same, rare", "same", "same, common"])
        rows += [{"kind": kind, "from": names[s], "linked": float(m[s] / max(m.sum(), 1e-12)), "unlinked": float(n[s] / max(n.sum(), 1)),
                  "factor": math.exp(weights[k][s])} for s in range(size)]
    return pl.DataFrame(rows)


def reasons(t: Traits, i: int, j: int) -> str:
    """In words what two incidents have in common: "310 m and 3 days apart, within 2 h in the time of day, both: sliding, door"."""
    metres, days = math.hypot(t.x[i] - t.x[j], t.y[i] - t.y[j]), abs(t.middle[i] - t.middle[j]) / 24
    told = [f"{metres:,.0f} m apart" if math.isfinite(metres) else "one has no position", f"{days:.0f} days apart" if days >= 1 else "within a day"]
    around = abs(t.hour[i] - t.hour[j])
    if math.isfinite(around):
        told.append(f"{min(around, 24 - around):.0f} h apart in the time of day")
    return ", ".join(told)


def shared_words(incidents: pl.DataFrame, one: str, other: str) -> list[str]:
    """Words that the ``mo`` of two incidents share, the rarest in the frame first."""
    if "mo" not in incidents.columns:
        return []
    texts = dict(incidents.select(pl.col("incident_id").cast(pl.String), "mo").iter_rows())
    bags = [set(re.findall(r"[^\W_]{2,}|\d", (texts.get(k) or "").lower())) for k in (one, other)]
    common = bags[0] & bags[1]
    counts = {w: incidents["mo"].str.to_lowercase().str.contains(rf"\b{re.escape(w)}\b").sum() for w in common}
    return sorted(common, key=lambda w: (counts[w], w))

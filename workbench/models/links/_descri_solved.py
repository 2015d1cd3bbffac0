"""Who was known before an incident, how near and how lately, and what solved incidents teach of that: factors by distance and wording, and calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Floats, Plane
from workbench.models.links._descri_traits import Description, Traits, factors, listed, tokens, witnessed
from workbench.models.links._facts import Facts
from workbench.models.patterns.journey import _wilson

Ints = np.ndarray[Any, np.dtype[np.int64]]
OFFENDERS, USED = ("suspect", "arrestee"), ("used", "stolen")
_OWNS = ("owner", "driver")
#: Edges of the distance bins (m) and of the share of the incident's MO words that stand in earlier ones.
_METRES, _SHARES = np.array([250.0, 500, 1000, 2000, 4000, 8000]), np.array([0.01, 0.34, 0.67])
BUCKETS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_YEAR, _CASES, _FEWEST, _PSEUDO = 365.0, 300, 30, 5.0
_SLOPES = np.arange(0.0, 1.55, 0.1)


@dataclass(frozen=True, eq=False)
class Past:
    """Involvements of those who may be listed: ``who`` (row of ``ids``), day, day from which it is known, place in metres (nan) and MO words of each; homes
    alike; ``solved`` are the latest incidents whose doer is known: id, day, x, y, words, who; ``undated``: parts as arrestee without a
    row among the arrests, of how many."""

    ids: list[str]
    who: Ints
    day: Floats
    known: Floats
    x: Floats
    y: Floats
    words: list[frozenset[str]]
    key: list[str]
    home_who: Ints
    home_x: Floats
    home_y: Floats
    home_since: Floats
    solved: list[tuple[str, float, float, float, frozenset[str], list[int]]]
    undated: tuple[int, int]


def past(facts: Facts, kind: str, at: datetime, plane: Plane) -> Past:
    """What had happened and was known strictly before ``at``. O(involvements).

    A part as arrestee is known from the arrest on, where the table of arrests has it, others from the incident on: nothing says when they came to be known.
    """
    held = facts.before(at)
    started = held.incidents.unique("incident_id", keep="last").select("incident_id", "started_at", "lon", "lat", "mo")
    rows = held.involvements.join(started, on="incident_id", how="inner").filter(pl.col("started_at").is_not_null())
    role = pl.col("role").str.to_lowercase()
    first = facts.arrests.select("incident_id", entity_id="person_id", arrested_at="arrested_at").drop_nulls()
    first = first.group_by("incident_id", "entity_id").agg(pl.col("arrested_at").min())
    known = pl.when(role == "arrestee").then(pl.max_horizontal("started_at", "arrested_at")).otherwise(pl.col("started_at"))
    rows = rows.join(first, on=["incident_id", "entity_id"], how="left", maintain_order="left").with_columns(known_at=known).drop("arrested_at")
    rows = rows.filter(pl.col("known_at") < at)
    arrested = rows.filter((pl.col("entity_kind") == "person") & (role == "arrestee")).join(first, on=["incident_id", "entity_id"], how="left")["arrested_at"]
    people = rows.filter((pl.col("entity_kind") == "person") & role.is_in(OFFENDERS))
    own = held.associations.filter((pl.col("entity_kind") == kind) & pl.col("relation").str.to_lowercase().is_in(_OWNS))
    if kind == "person":
        events, proven = people, people.filter(role == "arrestee")
    else:
        used = rows.filter((pl.col("entity_kind") == "vehicle") & role.is_in(USED))
        theirs = people.drop("entity_id").with_columns(person_id=people["entity_id"]).join(own.select("person_id", "entity_id"), on="person_id", how="inner")
        events, proven = pl.concat([used, theirs.select(used.columns)]), used.filter(role == "used")
    events = events.sort("known_at", maintain_order=True).unique(["incident_id", "entity_id"], keep="first", maintain_order=True)
    events = events.sort("started_at", "incident_id", "entity_id")
    ids = events["entity_id"].unique(maintain_order=True).to_list()
    row_of = {key: n for n, key in enumerate(ids)}
    x, y = _metres(events, plane)
    homes = held.associations.filter((pl.col("entity_kind") == "address") & (kind == "person")).join(
        held.addresses.select("address_id", "lon", "lat"), left_on="entity_id", right_on="address_id", how="inner").filter(pl.col("person_id").is_in(ids))
    hx, hy = _metres(homes, plane)
    since = homes["since"].cast(pl.Date).to_physical().cast(pl.Float64).fill_null(-np.inf).to_numpy()
    solved = []
    latest = proven.sort("started_at", "incident_id")["incident_id"].unique(maintain_order=True).tail(_CASES)
    for part in proven.filter(pl.col("incident_id").is_in(latest.implode())).sort("started_at", "incident_id").partition_by("incident_id", maintain_order=True):
        px, py = _metres(part.head(1), plane)
        solved.append((part["incident_id"][0], _days(part["started_at"])[0], float(px[0]), float(py[0]), tokens(part["mo"][0]),
                       sorted({row_of[e] for e in part["entity_id"].to_list()})))
    return Past(ids, np.array([row_of[e] for e in events["entity_id"].to_list()], dtype=np.int64), _days(events["started_at"]), _days(events["known_at"]), x, y,
                [tokens(t) for t in events["mo"].to_list()], events["incident_id"].to_list(),
                np.array([row_of[p] for p in homes["person_id"].to_list()], dtype=np.int64), hx, hy, since, solved, (arrested.null_count(), len(arrested)))


def _days(times: pl.Series) -> Floats:
    return times.dt.epoch("us").cast(pl.Float64).to_numpy() / 86_400e6


def _metres(frame: pl.DataFrame, plane: Plane) -> tuple[Floats, Floats]:
    lon, lat = (frame[c].cast(pl.Float64).fill_null(np.nan).to_numpy() for c in ("lon", "lat"))
    x, y = plane.to_metres(lon, lat)
    return np.asarray(x), np.asarray(y)


@dataclass(frozen=True, eq=False)
class Scene:
    """Those known before a moment: rows of ``Past.ids``, prior weight (lately and often involved), metres from the nearest earlier incident or home (nan),
    how often involved, day last involved, and the best share of the MO words found in one earlier incident (nan where none is asked)."""

    rows: Ints
    prior: Floats
    metres: Floats
    times: Ints
    last: Floats
    shared: Floats


def scene(p: Past, day: float, x: float, y: float, words: frozenset[str] = frozenset(), *, radius: float = np.inf) -> Scene:
    """Who was known before a day, of those with a place within ``radius`` metres or with none on record. O(involvements)."""
    n, before = len(p.ids), (p.day < day) & (p.known < day)
    who = p.who[before]
    times = np.bincount(who, minlength=n)
    prior = np.bincount(who, np.exp((p.day[before] - day) / _YEAR), minlength=n) + 0.1 * times
    last, metres, shared = np.full(n, -np.inf), np.full(n, np.inf), np.full(n, np.nan)
    np.maximum.at(last, who, p.day[before])
    if np.isfinite(x) and np.isfinite(y):
        d = np.hypot(p.x[before] - x, p.y[before] - y)
        np.fmin.at(metres, who, d)
        live = p.home_since <= day
        np.fmin.at(metres, p.home_who[live], np.hypot(p.home_x[live] - x, p.home_y[live] - y))
    if words:
        shared[:] = 0.0
        at = np.flatnonzero(before)
        np.maximum.at(shared, who, np.array([len(words & p.words[i]) for i in at], dtype=float) / len(words))
    metres[np.isinf(metres)] = np.nan
    rows = np.flatnonzero((times > 0) & ~(metres > radius))
    return Scene(rows, prior[rows], metres[rows], times[rows], last[rows], shared[rows])


def _bins(values: Floats, edges: Floats) -> Ints:
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)


@dataclass(frozen=True, eq=False)
class Learnt:
    """Log factors by bin of distance and of shared words, the share of solved incidents whose doer was on record before, and from how many."""

    near: Floats
    worded: Floats
    known: float
    cases: int

    def context(self, s: Scene) -> tuple[Floats, Floats]:
        """Log factors of distance and wording for those of a scene; 0 where nothing is known."""
        return tuple(np.where(b >= 0, w[np.maximum(b, 0)], 0.0)  # type: ignore[return-value]
                     for b, w in ((_bins(s.metres, _METRES), self.near), (_bins(s.shared, _SHARES), self.worded)))


def learn(p: Past, cases: list[tuple[Any, ...]], scenes: list[Scene]) -> Learnt:
    """What cases teach: doers against everybody known then, weighted by how likely each was before distance and wording were looked at."""
    sizes = len(_METRES) + 1, len(_SHARES) + 1
    same, other = [np.zeros(k) for k in sizes], [np.zeros(k) for k in sizes]
    known = 0
    for case, s in zip(cases, scenes, strict=True):
        hit = np.isin(s.rows, case[5])
        known += bool(hit.any())
        if not hit.any():
            continue
        for k, (values, edges) in enumerate(((s.metres, _METRES), (s.shared, _SHARES))):
            b: Ints = _bins(values, edges)
            ok = b >= 0
            if (hit & ok).any():
                same[k] += np.bincount(b[hit & ok], minlength=sizes[k]) / (hit & ok).sum()
                other[k] += np.bincount(b[ok], s.prior[ok] / s.prior[ok].sum(), minlength=sizes[k])
    near, worded = (_factors(a, seen) for a, seen in zip(same, other, strict=True))
    return Learnt(np.log(near[0]), np.log(_rising(*worded)), (known + 1) / (len(cases) + 2), len(cases))


def _factors(same: Floats, other: Floats) -> tuple[Floats, Floats]:
    """How many times likelier a doer is in each bin than anybody, drawn towards 1 as by ``_PSEUDO`` cases without effect; and the share of anybody in it."""
    share = other / other.sum() if other.sum() else np.full(len(other), 1 / len(other))
    share = np.maximum(share, 1e-6)
    return (same + _PSEUDO * share) / (same.sum() + _PSEUDO) / share, share


def _rising(factor: Floats, share: Floats) -> Floats:
    """The factors nearest to the given ones that never fall from bin to bin: neighbours that fall are pooled (isotonic regression, weighted by share; M. Ayer
    et al., Annals of Mathematical Statistics 26, 1955, 641-647). More words in common can then never count as less."""
    pools: list[tuple[float, float, int]] = []  # factor, share, bins
    for value, weight in zip(factor.tolist(), share.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (a, v, m), (b, w, n) = pools[-2:]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, m + n)]
    return np.repeat([f for f, _, _ in pools], [n for _, _, n in pools])


def chances(prior: Floats, score: Floats, known: float, slope: float) -> Floats:
    """The chance of each, and behind them that it is none: prior times ``exp(slope x score)``; who is not on record fits like the average."""
    logs = np.append(np.log(known * prior / prior.sum()) + slope * score, np.log(1 - known))
    made = np.exp(logs - logs.max())
    return np.asarray(made / made.sum())


@dataclass(frozen=True, eq=False)
class Tested:
    """What is used (``learnt``, ``slope``) and how it did on cases left out: told chances, whether right, ranks of the doer among those known."""

    learnt: Learnt
    slope: float
    said: Floats
    right: Floats
    ranks: Floats
    of: Floats

    def table(self) -> pl.DataFrame:
        """Reliability: from, to, leads, said (mean), right (share), low, high (95 % Wilson interval)."""
        rows = []
        for low, high in zip(BUCKETS[:-1], BUCKETS[1:], strict=True):
            there = (self.said >= low) & ((self.said < high) | (high == 1.0))
            n = int(there.sum())
            share = float(self.right[there].mean()) if n else None
            bounds = _wilson(share, n) if share is not None else (None, None)
            rows.append({"from": low, "to": high, "leads": n, "said": float(self.said[there].mean()) if n else None, "right": share, "low": bounds[0],
                         "high": bounds[1]})
        return pl.DataFrame(rows, schema={"from": pl.Float64, "to": pl.Float64, "leads": pl.Int64, "said": pl.Float64, "right": pl.Float64, "low": pl.Float64,
                                          "high": pl.Float64})


def calibrate(p: Past, traits: Traits, asked: Description, *, radius: float, seed: int,
              more: Callable[[Description, Ints, int, np.random.Generator], Floats] | None = None,
              worn: Callable[[float], list[frozenset[str] | None]] | None = None) -> Tested | None:
    """Ask the same of the latest solved incidents, each described as a witness might have described who was arrested; None where there are too few.

    Each half is scored with what the other half teaches. ``more`` adds a score of its own (the vehicles of a person); ``worn`` gives
    what was told of clothing before a day, so that no case is tested on its own narrative.
    """
    cases = p.solved
    if len(cases) < _FEWEST:
        return None
    scenes = [scene(p, c[1], c[2], c[3], c[4] if "mo" in asked else frozenset(), radius=radius) for c in cases]
    then = [traits if worn is None else replace(traits, texts={**traits.texts, "clothing": listed(worn(c[1]))}) for c in cases]
    described = [_described(t, asked, c, s, np.random.default_rng([seed, n]), more) for n, (t, c, s) in enumerate(zip(then, cases, scenes, strict=True))]
    halves = [np.arange(h, len(cases), 2) for h in (0, 1)]
    said, right, ranks, of = [], [], [], []
    for mine, theirs in (halves, halves[::-1]):
        taught = learn(p, [cases[i] for i in theirs], [scenes[i] for i in theirs])
        slope = _slope([(cases[i], scenes[i], described[i]) for i in theirs], taught)
        for i in mine:
            s = scenes[i]
            if not len(s.rows):
                continue
            total = described[i] + sum(taught.context(s))
            chance, hit = chances(s.prior, total, taught.known, slope)[:-1], np.isin(s.rows, cases[i][5])
            said.append(chance)
            right.append(hit.astype(float))
            if hit.any():
                ranks.append(1.0 + float((chance > chance[hit].max()).sum()))
                of.append(float(len(s.rows)))
    if not said:
        return None
    taught = learn(p, cases, scenes)
    slope = _slope(list(zip(cases, scenes, described, strict=True)), taught)
    return Tested(taught, slope, np.concatenate(said), np.concatenate(right), np.array(ranks), np.array(of))


def _described(traits: Traits, asked: Description, case: tuple[Any, ...], s: Scene, rng: np.random.Generator, more: Any) -> Floats:
    """Log factor of the description for those known before a solved incident."""
    doer = int(case[5][int(rng.integers(len(case[5])))])
    at = datetime.fromtimestamp(case[1] * 86_400, tz=UTC)
    if not len(s.rows):
        return np.zeros(0)
    seen = witnessed(asked, traits, doer, at, rng)
    score = sum(factors(seen, traits.take(s.rows), at).values(), np.zeros(len(s.rows)))
    return score + more(asked, s.rows, doer, rng) if more is not None else score


def _slope(cases: list[tuple[Any, Scene, Floats]], taught: Learnt) -> float:
    """How far the factors can be believed: the power under which the doers were likeliest."""
    gain = np.zeros(len(_SLOPES))
    for case, s, described in cases:
        if not len(s.rows):
            continue
        total, hit = described + sum(taught.context(s)), np.isin(s.rows, case[5])
        weight, step = taught.known * s.prior / s.prior.sum(), np.exp((_SLOPES[1] - _SLOPES[0]) * np.clip(total, -40, 40))
        for k in range(len(_SLOPES)):  # weight is prior times exp(slope x score), a step further each time
            right = float(weight[hit].sum()) if hit.any() else 1 - taught.known
            gain[k] += np.log(max(right / (float(weight.sum()) + 1 - taught.known), 1e-12))
            weight = weight * step
    return float(_SLOPES[int(np.argmax(gain))])

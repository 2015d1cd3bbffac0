"""Whose record, or which vehicle's, is like what a witness described?

A list of people (or vehicles) to look at, never one name alone. What is described is weighed attribute by attribute: how much likelier is this description
for this record than for the others, with the errors that witnesses make; an attribute that a record lacks says nothing. Before that stands how lately and
how often somebody was involved, and how near earlier incidents and homes lie; what distance and wording tell is learnt from solved incidents. The chances
are tested on solved incidents left out, each described as a witness might have described who was arrested, and what came of them stands in
``reliability``. Race and sex count only where they are described, and that is written to the audit.

Weighing by likelihood ratio: C. G. G. Aitken, F. Taroni, *Statistics and the Evaluation of Evidence for Forensic Scientists* (2nd ed., Wiley 2004). What
descriptions are worth: C. A. Meissner, S. L. Sporer, J. W. Schooler, "Person descriptions as eyewitness evidence", Handbook of Eyewitness Psychology II
(2007) 3-34: general, and more often right than telling. The errors of witnesses used here (``ERRORS``) are assumptions in that range, not learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, counts, finite
from workbench.geo import Floats, Plane
from workbench.layers import Points
from workbench.models.links import _descri_solved as solved
from workbench.models.links._descri_traits import ERRORS, PERSON, PROTECTED, VEHICLE, Traits, checked, factors, people, tokens, told, vehicles, witnessed
from workbench.models.links._facts import Facts
from workbench.models.window import Moment, moment
from workbench.models.wording import several
from workbench.results import Basis, Ranking, origin_of, permitted, recorded

__all__ = ["Described", "Facts", "search"]

_SOURCE = ("Aitken and Taroni 2004 (likelihood ratios); Meissner, Sporer and Schooler 2007 (witnesses); "
           "factors by distance and wording learnt from solved incidents")


@dataclass(frozen=True, eq=False, kw_only=True)
class Described(Ranking):
    """A ranking with how such chances turned out: ``reliability`` has one row a range of chances (from, to, leads, said, right, low, high), empty where
    there are too few solved incidents; ``none`` is the chance that it is nobody on the list, ``first_ten`` how often who was arrested stood among the first
    ten of a solved incident left out."""

    reliability: pl.DataFrame
    none: float | None = None
    first_ten: float | None = None


@recorded
def search(facts: Facts, description: Mapping[str, Any], *, at: tuple[float, float, Moment], fillers: int = 6, most: int = 20, radius: float = 20_000.0,
           seed: int = 1) -> Described:
    """People, or vehicles where only a vehicle is described, in the order in which their records fit what was described.

    Args:
        facts: the tables; people, vehicles, involvements, incidents, associations and addresses are looked at.
        description: of a person age (years), height_cm, weight_kg (each a number or (lowest, highest)), build ("thin", "medium", "heavy"), hair, eyes, marks,
            clothing, mo (words), sex, race; of a vehicle plate (``?`` one unknown character, ``*`` any number), make, model, colour, body.
        at: longitude, latitude and time of the incident; nothing that happened, and no arrest that was made, at or after it is looked at.
        fillers: at least so many others are on the list beside the first.
        most: rows at most (never fewer than ``fillers`` + 1).
        radius: those are looked at who have an earlier incident or home within so many metres, or no place on record; doubled until there are enough.
        seed: of the descriptions made for the test on solved incidents.

    Returns: a Described. Table: rank, entity ("person:KEY"), label, chance (null where it could not be tested), factor (how many times likelier the
    description is for this record than for those on record), as_high (how many of those looked at have as high a factor), metres (from the nearest earlier
    incident or home), incidents, last_at, held (attributes described that the record holds), reasons.

    Raises:
        BadInput: an attribute or number that cannot be, no place or time. CannotTell: fewer than ``fillers`` + 1 are on record, or no record holds anything
        of what is described. AccessRefused: no case is bound.

    Cost: O(records + solved incidents tested (300 at most) x those known).
    """
    if not isinstance(description, Mapping):
        raise BadInput(f"description={str(description)[:60]!r} does not do; give attributes and what was seen of them, e.g. {{'hair': 'RED'}}.")
    asked = checked(description)
    lon, lat, when = _where(at)
    counts(fillers=fillers, most=most, seed=seed)
    if radius != math.inf:
        finite(radius=radius)
    if seed < 0:
        raise BadInput(f"seed={seed!r} does not do; give a whole number of at least 0.")
    if fillers < 1 or most < 1 or not radius > 0:
        raise BadInput(f"fillers={fillers!r}, most={most!r} and radius={radius!r} must be over 0: a name is never shown alone.")
    used, guarded = [k for k in asked], [k for k in asked if k in PROTECTED]
    permitted(facts.people, facts.involvements, facts.vehicles, deed="description", used=used, protected=guarded)
    kind = "person" if any(k in PERSON for k in asked if k not in ("mo",)) or not any(k in VEHICLE for k in asked) else "vehicle"
    p = solved.past(facts, kind, when, Plane.local(lat, lon))
    day = when.timestamp() / 86_400
    words = asked.get("mo", frozenset())
    here, reach = _widened(p, day, words, radius, fillers)
    every = _traits(facts, kind, p, when)
    own = {k: v for k, v in asked.items() if k in (PERSON if kind == "person" else (*VEHICLE, "mo"))}
    cars = _Cars.of(facts, p, {k: v for k, v in asked.items() if k in VEHICLE}, when) if kind == "person" else None
    traits = every.take(here.rows)
    parts = factors(own, traits, when)
    if cars is not None:
        parts["vehicle"] = cars.score(cars.asked, here.rows)
    if not any(part.any() for part in parts.values()) and not words:
        raise CannotTell(f"No record of the {len(here.rows)} {_many(kind)} known before tells them apart by {', '.join(used)}, so the description singles out "
                         "nobody; other attributes, or records that hold these, would do.")
    tested = solved.calibrate(p, every, own, radius=reach, seed=seed, more=cars.more if cars is not None else None,
                              worn=_worn(facts, p) if "clothing" in own else None)
    score = sum(parts.values(), np.zeros(len(here.rows)))
    near, worded = tested.learnt.context(here) if tested else (np.zeros(len(score)), np.zeros(len(score)))
    slope, known = (tested.slope, tested.learnt.known) if tested else (1.0, 0.5)
    chance = solved.chances(here.prior, score + near + worded, known, slope)
    order = np.lexsort((here.rows, -chance[:-1]))[: max(most, fillers + 1)]
    parts |= {"distance": near, "mo": worded}
    table = _table(facts, kind, p, here, order, traits, own, parts, score, chance, tested, when, cars)
    none = float(1 - chance[:-1][order].sum()) if tested else None
    basis = Basis.of(facts.people, facts.vehicles, facts.involvements, facts.incidents, facts.associations, facts.addresses, method="likelihood ratios of a "
                     "description over records, chances tested on solved incidents", source=_SOURCE, used=len(here.rows), asof=when,
                     notes=(*_notes(tested, guarded, radius, reach, own, kind), *_undated(p)),
                     parameters={"described": used, "protected attributes used": guarded or "none", "fillers": fillers, "radius": reach,
                                 "slope": round(slope, 2),
                                 "errors assumed": {k: ERRORS[k] for k in used if k in ERRORS}, "seed": seed})
    empty = solved.Tested(solved.Learnt(np.zeros(0), np.zeros(0), 0.5, 0), 1.0, *[np.zeros(0)] * 4)
    return Described(headline=_headline(table, here, tested, none, kind), table=table, layers=_layers(lon, lat, p, here, order, kind, Plane.local(lat, lon)),
                     basis=basis, base=origin_of(facts.incidents, facts.people).base, reliability=(tested or empty).table(), none=none,
                     first_ten=float((tested.ranks <= 10).mean()) if tested is not None and len(tested.ranks) else None)


def _where(at: tuple[float, float, Moment]) -> tuple[float, float, datetime]:
    try:
        lon, lat, when = at
        lon, lat = float(lon), float(lat)
    except (TypeError, ValueError):
        raise BadInput(f"at={at!r} does not do; give (longitude, latitude, time), e.g. (-90.9, 41.6, '2026-06-01T22:10:00-05:00').") from None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise BadInput(f"at={at!r} is no place on earth; give longitude first, then latitude.")
    return lon, lat, moment(when, "at")


def _many(kind: str) -> str:
    return "people" if kind == "person" else "vehicles"


def _widened(p: solved.Past, day: float, words: frozenset[str], radius: float, fillers: int) -> tuple[solved.Scene, float]:
    """Those looked at, and within what radius: doubled until there are enough."""
    reach = radius
    while True:
        here = solved.scene(p, day, 0.0, 0.0, words, radius=reach)
        if len(here.rows) >= fillers + 1:
            return here, reach
        if reach == math.inf:
            raise CannotTell(f"Only {len(here.rows)} records of anybody involved in an incident before stand in the tables, and {fillers + 1} are needed "
                             "so that no name is shown alone; earlier involvements (suspect, arrestee) would do.")
        reach = reach * 2 if reach < 4e6 else math.inf


def _traits(facts: Facts, kind: str, p: solved.Past, when: datetime) -> Traits:
    if kind == "vehicle":
        return vehicles(facts.vehicles, p.ids)
    texts = dict(facts.incidents.filter(pl.col("started_at") < when).select("incident_id", "narrative").drop_nulls().iter_rows())
    clothing: dict[str, str] = {}
    for who, key in zip(p.who.tolist(), p.key, strict=True):
        if key in texts:
            clothing[p.ids[who]] = f"{clothing.get(p.ids[who], '')} {texts[key]}"
    return people(facts.people, p.ids, clothing)


def _worn(facts: Facts, p: solved.Past) -> Callable[[float], list[frozenset[str] | None]]:
    """A function of a day: the words of the narratives of each one's incidents that were known before it; None where there are none."""
    texts = facts.incidents.filter(pl.col("incident_id").is_in(pl.Series(p.key, dtype=pl.String).implode())).select("incident_id", "narrative").drop_nulls()
    words = {key: tokens(text) for key, text in texts.iter_rows()}

    def before(day: float) -> list[frozenset[str] | None]:
        found: list[frozenset[str] | None] = [None] * len(p.ids)
        for i in np.flatnonzero((p.day < day) & (p.known < day)).tolist():
            if p.key[i] in words:
                found[p.who[i]] = (found[p.who[i]] or frozenset()) | words[p.key[i]]
        return found

    return before


@dataclass(frozen=True, eq=False)
class _Cars:
    """The vehicles of those who may be listed: row of the person and of the vehicle, one a tie."""

    asked: dict[str, Any]
    traits: Traits
    person: Any
    car: Any
    at: datetime

    @classmethod
    def of(cls, facts: Facts, p: solved.Past, asked: dict[str, Any], at: datetime) -> _Cars | None:
        """None where no vehicle is described."""
        if not asked:
            return None
        ties = facts.before(at).associations.filter((pl.col("entity_kind") == "vehicle") & pl.col("person_id").is_in(p.ids)).unique(["person_id", "entity_id"],
                                                                                                                                maintain_order=True)
        ids, row = ties["entity_id"].unique(maintain_order=True).to_list(), {k: n for n, k in enumerate(p.ids)}
        at_car = {k: n for n, k in enumerate(ids)}
        return cls(asked, vehicles(facts.vehicles, ids), np.array([row[k] for k in ties["person_id"].to_list()], dtype=np.int64),
                   np.array([at_car[k] for k in ties["entity_id"].to_list()], dtype=np.int64), at)

    def score(self, asked: dict[str, Any], rows: Any) -> Floats:
        """Log factor of persons: the mean over their vehicles, over the mean of those who have one; 0 for who has none on record."""
        each = np.exp(sum(factors(asked, self.traits, self.at).values(), np.zeros(len(self.traits.ids))))
        n = int(max(rows.max(), self.person.max() if len(self.person) else 0)) + 1
        count, total = np.bincount(self.person, minlength=n), np.bincount(self.person, each[self.car], minlength=n)
        mean = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)[rows]
        out = np.zeros(len(rows))
        has = np.isfinite(mean)
        if has.any():
            out[has] = np.log(mean[has] / mean[has].mean())
        return out

    def more(self, _: dict[str, Any], rows: Any, doer: int, rng: np.random.Generator) -> Floats:
        """The same for a solved incident: one of the doer's vehicles as a witness might have told it."""
        own = np.flatnonzero(self.person == doer)
        if not len(own):
            return np.zeros(len(rows))
        return self.score(witnessed(self.asked, self.traits, int(self.car[own[int(rng.integers(len(own)))]]), self.at, rng), rows)


def _table(facts: Facts, kind: str, p: solved.Past, here: solved.Scene, order: Any, traits: Traits, own: dict[str, Any], parts: dict[str, Floats],
           score: Floats, chance: Floats, tested: solved.Tested | None, at: datetime, cars: _Cars | None) -> pl.DataFrame:
    told_by = ["given_name", "surname"] if kind == "person" else ["plate", "colour", "make"]
    frame = facts.people if kind == "person" else facts.vehicles
    names = dict(frame.select(f"{kind}_id", pl.concat_str(told_by, separator=" ", ignore_nulls=True)).iter_rows())
    by_score = np.sort(score)
    rows = []
    for rank, i in enumerate(order.tolist(), 1):
        key = traits.ids[i]
        shown = sorted(((float(v[i]), name) for name, v in parts.items() if abs(v[i]) >= 0.05), reverse=True)
        reasons = "; ".join(f"{_said(name, own, traits, i, at, here)} (x{math.exp(v):.2g})" for v, name in shown)
        lack = [k for k in own if k not in ("mo",) and told(k, own[k], traits, i, at).endswith("not recorded")]
        metres = float(here.metres[i])
        rows.append({"rank": rank, "entity": f"{kind}:{key}", "label": names.get(key) or key, "chance": float(chance[i]) if tested else None,
                     "factor": float(np.exp(score[i])), "as_high": int(len(score) - np.searchsorted(by_score, score[i] - 1e-9)),
                     "metres": metres if math.isfinite(metres) else None, "incidents": int(here.times[i]),
                     "last_at": datetime.fromtimestamp(here.last[i] * 86_400, tz=at.tzinfo),
                     "held": len([k for k in own if k != "mo"]) - len(lack) + (cars is not None),
                     "reasons": reasons + (f"; not recorded: {', '.join(lack)}" if lack else "")})
    return pl.DataFrame(rows, schema={"rank": pl.Int64, "entity": pl.String, "label": pl.String, "chance": pl.Float64, "factor": pl.Float64,
                                      "as_high": pl.Int64,
                                      "metres": pl.Float64, "incidents": pl.Int64, "last_at": pl.Datetime("us", "UTC"), "held": pl.Int64, "reasons": pl.String})


def _said(name: str, own: dict[str, Any], traits: Traits, i: int, at: datetime, here: solved.Scene) -> str:
    if name == "distance":
        return f"{here.metres[i]:,.0f} m from an earlier incident or home"
    if name == "mo":
        return f"{100 * here.shared[i]:.0f} % of the MO words in an earlier incident"
    return "vehicle on record" if name == "vehicle" else told(name, own[name], traits, i, at)


def _notes(tested: solved.Tested | None, guarded: list[str], radius: float, reach: float, own: dict[str, Any], kind: str) -> tuple[str, ...]:
    notes = [f"Protected attributes used because they are in the description: {', '.join(guarded)}; that is in the audit." if guarded else
             "No protected attribute (race, sex) was used.",
             "It ranks records, not people: who was never involved, or stands on record under another name, is not on the list.",
             "The errors of witnesses are assumed (see the parameters), not learnt."]
    if reach > radius:
        notes.append(f"Too few were known within {radius:,.0f} m; it was widened to {'everybody on record' if math.isinf(reach) else f'{reach:,.0f} m'}.")
    if tested is None:
        notes.append("There are fewer than 30 solved incidents to test on, so no chances are told, and distance and wording do not count.")
    else:
        if len(tested.ranks):
            within = 100 * float((tested.ranks <= 10).mean())
            notes.append(f"On {len(tested.ranks)} solved incidents left out, described with the same errors, who was arrested stood in the first ten "
                         f"{within:.0f} % of the time, of {np.median(tested.of):.0f} {_many(kind)} on record.")
        notes.append("Solved incidents are not all incidents: whoever is never arrested is not among those it was tested on.")
    if "clothing" in own and kind == "person":
        notes.append("Clothing is looked for in the narratives of earlier incidents and counts little: people change it.")
    return tuple(notes)


def _undated(p: solved.Past) -> list[str]:
    """Of how many arrests nothing says when they were."""
    some, of = p.undated
    return [f"{some:,} of {of:,} parts as arrestee have no row among the arrests; they count as known from the incident on."] if some else []


def _headline(table: pl.DataFrame, here: solved.Scene, tested: solved.Tested | None, none: float | None, kind: str) -> str:
    first, n = table.row(0, named=True), len(here.rows)
    text = f"{several(table.height, 'record')} to look at, of {n:,} {_many(kind)} on record before"
    if tested is None or none is None:
        return (f"{text}; the description fits {first['as_high']:,} of them as well as the first. How likely it is any of them cannot be told: fewer than 30 "
                "solved incidents are there to test it on.")
    text += f": the chance that it is none of these is {100 * none:.0f} %, that it is the first {100 * first['chance']:.0f} %"
    row = next((r for r in tested.table().iter_rows(named=True) if r["from"] <= first["chance"] and (first["chance"] < r["to"] or r["to"] == 1.0)), None)
    if row is not None and row["leads"]:
        text += (f" (of {row['leads']:,} such leads on solved incidents left out, {100 * row['right']:.0f} % were right, 95 % interval "
                 f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %)")
    return f"{text}. {several(first['as_high'], 'record')} of {n:,} fit the description as well as the first."


def _layers(lon: float, lat: float, p: solved.Past, here: solved.Scene, order: Any, kind: str, plane: Plane) -> tuple[Points, ...]:
    scene = Points("Where it happened", np.array([lon]), np.array([lat]), ids=("place:described",), tips=("where it happened",), kind="place")
    rows = np.flatnonzero(np.isin(p.who, here.rows[order]) & np.isfinite(p.x))
    nearest = rows[np.argsort(np.hypot(p.x[rows], p.y[rows]), kind="stable")]
    _, first = np.unique(p.who[nearest], return_index=True)
    shown = nearest[np.sort(first)]
    if not len(shown):
        return (scene,)
    x, y = plane.to_degrees(p.x[shown], p.y[shown])
    return (scene, Points("Nearest earlier incident of each", np.asarray(x), np.asarray(y), ids=tuple(f"incident:{p.key[i]}" for i in shown),
                          tips=tuple(f"{kind}:{p.ids[p.who[i]]}" for i in shown)))

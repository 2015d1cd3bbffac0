"""Which raw column is which canonical column: names and values together, each raw column once, the assignment with the highest sum."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench import schema
from workbench.intake import propose_words, synonyms
from workbench.intake.propose_units import Unit
from workbench.intake.sniff import Profile

#: Below this a raw column is left alone: for a column that the table must have, and for any other.
LEAST, USUAL = 0.36, 0.5
_IDS = frozenset(
    {
        "incident_id",
        "call_id",
        "read_id",
        "gunshot_id",
        "entry_id",
        "camera_id",
        "arrest_id",
        "person_id",
        "vehicle_id",
        "recovery_id",
        "interview_id",
        "warrant_id",
        "casing_id",
        "post_id",
        "count_id",
        "event_id",
        "closure_id",
        "arrival_id",
        "phone_id",
        "address_id",
        "street_id",
        "room_id",
    }
)
_KINDS = frozenset(
    {
        "offence",
        "call_type",
        "initial_type",
        "category",
        "premise",
        "kind",
        "disposition",
        "status",
        "colour",
        "make",
        "list_name",
        "condition",
        "race",
        "weapon",
        "call_source",
    }
)
_ARMED = re.compile(
    r"(?i)\b(gun|handgun|firearm|pistol|rifle|knife|knives|schusswaffe|messer|arme a feu|couteau|"
    r"arma de fuego|arma blanca|cuchillo|pistola|coltello|faca|vuurwapen|mes)\b"
)
_FIRST = frozenset({"initial", "first", "original", "erst", "erstmeldung", "inicial"})
_AREAS = frozenset({"beat", "district"})


@dataclass(frozen=True)
class Match:
    """One canonical column and the unit that fills it."""

    column: str
    unit: Unit
    score: float
    named: float
    reason: str
    runner_up: str = ""
    runner_score: float = 0.0
    doubts: tuple[str, ...] = field(default=())


def match(table: schema.Table, units: Sequence[Unit], *, skip: Sequence[str] = ()) -> dict[str, Match]:
    """Canonical column -> what fills it. ``skip`` names canonical columns that are filled otherwise (places).

    Cost: canonical columns x units scores, then the Hungarian method (scipy), milliseconds for hundreds of columns.
    """
    from scipy.optimize import linear_sum_assignment

    columns = [
        c
        for c in table.columns
        if c not in skip
        and c not in ("place_basis", "time_precision", "nibrs", "geometry", "plate_raw", "doubts", "alternative_confidences")
        or (c == "nibrs" and any(u.profile.nibrs > 0.8 for u in units))
    ]
    if not units or not columns:
        return {}
    named = np.array([[u.score(table.name, c) for u in units] for c in columns])
    fits = np.array([[fit(u, c, table) for u in units] for c in columns])
    scores = named * fits * np.array([u.quality for u in units])[None, :] + _unnamed(columns, units, table, fits)
    must = np.array([table.columns[c].required or c in ("address",) for c in columns])[:, None]
    scores[scores < np.where(must, LEAST, USUAL)] = 0.0
    rows, places = linear_sum_assignment(-((scores * np.where(must, 1.15, 1.0)) ** 4))
    out: dict[str, Match] = {}
    taken: set[str] = set()
    for row, place in sorted(zip(rows, places, strict=True), key=lambda rp: -scores[rp]):
        unit, score = units[place], float(scores[row, place])
        if score < LEAST or taken & set(unit.raw):
            continue
        taken |= set(unit.raw)
        out[columns[row]] = _told(columns[row], unit, score, float(named[row, place]), scores[row], units, place)
    return _again(out, table, columns, units, scores, named, taken)


def _again(
    out: dict[str, Match], table: schema.Table, columns: list[str], units: Sequence[Unit], scores: np.ndarray, named: np.ndarray, taken: set[str]
) -> dict[str, Match]:
    """Columns whose unit shared a raw column with a better one (a day alone beside day and hour) get the best that is left."""
    for row, column in enumerate(columns):
        if column in out:
            continue
        left = [(float(scores[row, i]), i) for i, u in enumerate(units) if not taken & set(u.raw) and scores[row, i] >= LEAST]
        if left:
            score, place = max(left)
            taken |= set(units[place].raw)
            out[column] = _told(column, units[place], score, float(named[row, place]), scores[row], units, place)
    return {c: out[c] for c in table.columns if c in out}


def _told(column: str, unit: Unit, score: float, named: float, row: np.ndarray, units: Sequence[Unit], place: int) -> Match:
    rivals = [(float(s), i) for i, s in enumerate(row) if i != place and not set(units[i].raw) & set(unit.raw)]
    other, at = max(rivals, default=(0.0, -1))
    how = "is called so" if named > 0.9 else "its name is close" if named > 0.6 else "its name hints at it" if named > 0.3 else "told from the values alone"
    return Match(column, unit, score, named, how, " + ".join(units[at].raw) if other > 0.3 else "", other, unit.doubts)


def fit(unit: Unit, column: str, table: schema.Table) -> float:
    """How well what a unit holds suits a canonical column, 0 to 1.1; 0 = it cannot be."""
    type_, p = table.columns[column].type, unit.profile
    if not p.given:
        return 0.0 if unit.times is not None else 0.62
    if type_ in ("TIMESTAMPTZ", "DATE"):
        if unit.times is None or unit.times.kind in ("clock", "hhmm", "fraction"):
            return 0.0
        return 0.95 if type_ == "TIMESTAMPTZ" or unit.times.kind == "day" else 0.6
    if p.times is not None and p.times.kind in ("clock", "hhmm", "fraction"):
        return 0.0
    if unit.times is not None:
        return 0.45 if unit.times.kind == "epoch" and column in _IDS else 0.0
    if type_ in ("DOUBLE", "BIGINT"):
        if column == "direction":
            return 1.0 if p.number or p.length <= 10 else 0.0
        return 0.0 if not p.number else 0.5 if type_ == "BIGINT" and not p.whole else 1.0
    if type_ == "BOOLEAN":
        return _truth(p, column)
    if type_ == "VARCHAR[]":
        if column == "alternatives" and p.number or p.yes_no:
            return 0.0
        return 0.3 if p.length >= 60 or p.place_text or (p.number and p.unique > 0.9 and p.given >= 8) else 1.0
    return _text(p, column)


def offences(p: Profile) -> float:
    """Share of the values that word an offence."""
    total = sum(p.some.values())
    return sum(n for t, n in list(p.some.items())[:400] if propose_words.code_of(t) not in ("", "UNKNOWN")) / total if total else 0.0


def _truth(p: Profile, column: str) -> float:
    if p.yes_no:
        return 1.0
    if column in ("self_initiated", "attempted", "arrest") and p.distinct <= 12 and p.letters > 0.8:
        return 0.9
    return 0.0


def _text(p: Profile, column: str) -> float:
    if p.json_list or (p.place_text and not (column == "narrative" and p.words > 4)):
        return 0.0
    if column == "initial_type" and not _FIRST & set(synonyms.split(p.name)):
        return 0.4
    many = p.given >= 100
    if column in _IDS:
        if p.words > 2.2 or p.address > 0.5 or p.yes_no or (p.number and not p.whole):
            return 0.1
        return 1.0 if p.unique > 0.97 else 0.9 if p.unique > 0.8 else (0.75 if p.unique > 0.5 else 0.3) if many else 0.7
    if column == "report_number":
        return 0.1 if p.words > 2.5 or p.yes_no else 1.0 if p.unique > 0.7 or not many or p.filled < 0.5 else 0.5
    if column == "address":
        return 0.0 if p.number or p.yes_no else 0.75 + 0.35 * p.address if p.letters > 0.5 else 0.1
    if column in _AREAS:
        return 0.1 if p.length > 32 or (p.given >= 2000 and p.unique > 0.5) or (p.number and not p.whole) or p.address > 0.5 else 1.0
    if column == "plate":
        return 1.05 if p.plate > 0.6 or p.hashed > 0.8 else 0.3
    if column == "vin":
        return 1.05 if p.vin > 0.5 else 0.2
    if column == "region":
        return 1.0 if p.length <= 16 and not (many and p.distinct > 120) and not p.number else 0.1
    if column == "reader":
        return 0.2 if many and p.unique > 0.8 else 1.0
    if column == "offence_code" or column == "charge_code":
        return 0.25 if p.letters > 0.6 and p.words > 1.4 or p.length > 16 else 0.1 if p.yes_no or (many and p.unique > 0.9) else 1.0
    if column == "priority":
        return 0.1 if p.distinct > 60 or p.length > 24 else 1.0
    if column == "nibrs":
        return 1.0 if p.nibrs > 0.8 else 0.0
    if column in ("weapon", "mo") and p.letters > 0.5 and p.distinct <= 200:
        armed = sum(n for t, n in p.solid.items() if _ARMED.search(t)) / max(1, sum(p.solid.values()))
        return 1.6 if column == "weapon" and armed > 0.05 else 0.6 if column == "mo" and armed > 0.05 else 1.0
    if column == "offence_detail" and p.given >= 5 and p.letters > 0.5 and offences(p) == 0:
        return 0.75
    if column == "premise" and p.address > 0.5:
        return 0.4
    if column in _KINDS or column in ("offence_detail", "charge"):
        if p.yes_no and column not in ("status",):
            return 0.3
        return (
            (0.55 if column in ("status", "disposition", "race") else 0.35)
            if p.letters < 0.5
            else 0.35
            if many and p.unique > 0.7 and column != "offence_detail"
            else 1.0
        )
    if column == "narrative" and p.given >= 5 and offences(p) > 0.6:
        return 0.4
    if column in ("narrative", "text"):
        return 1.0 if p.letters > 0.5 and not p.yes_no and (p.words >= 2 or p.filled < 0.3) else 0.3
    return 0.5 if p.number and not p.whole else 1.0


def _unnamed(columns: Sequence[str], units: Sequence[Unit], table: schema.Table, fits: np.ndarray) -> np.ndarray:
    """What the values say by themselves, where a name says nothing."""
    out = np.zeros(fits.shape)
    for i, column in enumerate(columns):
        for j, unit in enumerate(units):
            p = unit.profile
            if fits[i, j] == 0 or not p.given:
                continue
            if column == table.time and unit.times is not None:
                out[i, j] = 0.12 if unit.times.kind != "epoch" or p.hint else 0.05
            elif column == "offence" and p.given >= 5 and p.letters > 0.8 and offences(p) > 0.6:
                out[i, j] = 0.52
            elif column == "address" and p.address > 0.7 or column == "plate" and (p.plate > 0.9 and p.given >= 20) and p.unique > 0.2:
                out[i, j] = 0.3
            elif column == "vin" and p.vin > 0.8:
                out[i, j] = 0.5
            elif column == "region" and p.states > 0.9:
                out[i, j] = 0.2
            elif (
                column == table.key[0]
                and column in _IDS
                and p.unique == 1.0
                and p.given >= 50
                and p.filled == 1
                and p.words < 1.5
                and not (p.number and not p.whole)
            ):
                out[i, j] = 0.1
            elif column == "nibrs" and p.nibrs > 0.9 and p.given >= 20:
                out[i, j] = 0.6
    return out

"""What was described against what stands in a record: for each attribute the log of how much likelier the description is for a record than for the others.

Records that lack an attribute say nothing about it. Numbers carry the witness's error as a standard deviation, words how often a witness has them right;
a small share of records is taken to be wrong, so that nothing alone rules anybody out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import plates
from workbench.errors import BadInput, did_you_mean
from workbench.geo import Floats, Ints

PROTECTED = ("race", "sex")
NUMBERS = {"age": (3.0, 110.0), "height_cm": (90.0, 230.0), "weight_kg": (20.0, 300.0)}
_WORDS = ("hair", "eyes", "sex", "race", "build")
PERSON = (*NUMBERS, *_WORDS, "marks", "clothing", "mo")
VEHICLE = ("plate", "make", "model", "colour", "body")
#: Standard deviation of a witness's number, or how often a word is right (marks, clothing: how often what was seen stands in the record).
ERRORS = {"age": 5.0, "height_cm": 6.0, "weight_kg": 9.0, "hair": 0.7, "eyes": 0.6, "sex": 0.98, "race": 0.9, "build": 0.6, "marks": 0.5, "clothing": 0.1,
          "plate": 0.9, "make": 0.85, "model": 0.75, "colour": 0.7, "body": 0.8}
UNITS = {"age": "years", "height_cm": "cm", "weight_kg": "kg"}
_WRONG = 0.02
_MOST = math.log(50.0)
_CODES = {"BLK": "BLACK", "BRO": "BROWN", "BLN": "BLOND", "BLONDE": "BLOND", "GRY": "GREY", "GRAY": "GREY", "RED": "RED", "SDY": "SANDY", "WHI": "WHITE",
          "BLU": "BLUE", "GRN": "GREEN", "HAZ": "HAZEL", "MALE": "M", "FEMALE": "F", "MAN": "M", "WOMAN": "F", "SLIM": "THIN", "STOCKY": "HEAVY",
          "LARGE": "HEAVY"}
_UNKNOWN = ("", "X" * 3, "UNK", "UNKNOWN", "U", "N/A")
_SMALL = frozenset(("THE", "AND", "WITH", "HIS", "HER", "FOR", "FROM", "WAS", "WERE", "ARM", "LEFT", "RIGHT", "UPPER", "LOWER"))
Description = dict[str, Any]


def word(value: Any) -> str | None:
    """A word as it is compared: upper case, codes written out; None where it says nothing."""
    text = " ".join(str(value).upper().split()) if value is not None else ""
    return None if text in _UNKNOWN else _CODES.get(text, text)


def tokens(text: Any) -> frozenset[str]:
    """The words of a text that may tell something."""
    found = (w for w in re.split(r"[^\w]+", str(text).upper()) if len(w) > 2) if text is not None else ()
    return frozenset(w for w in found if w not in _SMALL)


def checked(description: Mapping[str, Any]) -> Description:
    """A description with numbers as (low, high), words in one form; what is None or empty is left out.

    Raises:
        BadInput: an attribute that is not known, a number out of range, or nothing described.
    """
    out: Description = {}
    for name, value in description.items():
        if name not in (*PERSON, *VEHICLE):
            raise BadInput(f"A description has no {name!r}.{did_you_mean(name, (*PERSON, *VEHICLE))}")
        if value is None or value == "":
            continue
        if name in NUMBERS:
            out[name] = _band(name, value)
        elif name in ("marks", "clothing", "mo"):
            text = value if isinstance(value, str) else " ".join(map(str, value))
            if tokens(text):
                out[name] = tokens(text)
        elif name == "plate":
            plates.pattern(str(value))
            out[name] = str(value).upper()
        elif (said := word(value)) is not None:
            out[name] = said
    if out.get("build", "THIN") not in ("THIN", "MEDIUM", "HEAVY"):
        raise BadInput(f"build={description['build']!r} does not do; write 'thin', 'medium' or 'heavy'.")
    if not out:
        raise BadInput(f"Nothing is described. Give at least one of: {', '.join((*PERSON, *VEHICLE))}.")
    return out


def _band(name: str, value: Any) -> tuple[float, float]:
    low, high = NUMBERS[name]
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        a, b = (float(v) for v in pair)
    except (TypeError, ValueError):
        a = b = math.nan
    if not low <= a <= b <= high:
        raise BadInput(f"{name}={value!r} does not do; give a number or (lowest, highest) in {UNITS[name]} between {low:g} and {high:g}.")
    return a, b


class Words:
    """One word or none a record, as numbers: ``names`` in order, ``codes`` i8, shape (n,), -1 for none."""

    def __init__(self, names: list[str], codes: Ints) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, values: Iterable[str | None]) -> Words:
        listed = list(values)
        names = sorted({v for v in listed if v is not None})
        place = {v: i for i, v in enumerate(names)}
        return cls(names, np.array([-1 if v is None else place[v] for v in listed], dtype=np.int64))

    def __getitem__(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]

    def take(self, rows: Any) -> Words:
        """Of some records."""
        return Words(self.names, self.codes[rows])


@dataclass(frozen=True, eq=False)
class Traits:
    """Records as arrays, one entry a record: ``numbers`` (nan = not recorded; "born" in days since 1970), ``words``, ``texts`` (frozensets or None)."""

    ids: Any
    numbers: dict[str, Floats]
    words: dict[str, Words]
    texts: dict[str, Any]

    def take(self, rows: Any) -> Traits:
        """Some of them, by row numbers."""
        return Traits(self.ids[rows], {k: v[rows] for k, v in self.numbers.items()}, {k: v.take(rows) for k, v in self.words.items()},
                      {k: v[rows] for k, v in self.texts.items()})


def listed(values: Iterable[Any]) -> Any:
    """Python objects as an array of one dimension."""
    every = list(values)
    out = np.empty(len(every), dtype=object)
    out[:] = every
    return out


def people(frame: pl.DataFrame, ids: list[str], clothing: Mapping[str, str]) -> Traits:
    """Traits of persons by their ids; ``clothing`` are texts in which a person's clothing may be told."""
    full = pl.DataFrame({"person_id": ids}, schema={"person_id": pl.String}).join(frame.unique("person_id", keep="last"), on="person_id", how="left",
                                                                                 maintain_order="left")
    born = full["born_on"].cast(pl.Date, strict=False).to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()
    numbers = {"born": born} | {c: full[c].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy() for c in ("height_cm", "weight_kg")}
    words = {c: Words.of(word(v) for v in full[c].to_list()) for c in ("hair", "eyes", "sex", "race")}
    with np.errstate(invalid="ignore", divide="ignore"):
        mass = numbers["weight_kg"] / (numbers["height_cm"] / 100) ** 2
    words["build"] = Words.of(None if not np.isfinite(m) else "THIN" if m < 21 else "HEAVY" if m >= 27 else "MEDIUM" for m in mass)
    marks = [None if v is None else tokens(v) for v in full["marks"].to_list()]
    worn = [tokens(clothing[i]) if i in clothing else None for i in ids]
    return Traits(listed(ids), numbers, words, {"marks": listed(marks), "clothing": listed(worn)})


def vehicles(frame: pl.DataFrame, ids: list[str]) -> Traits:
    """Traits of vehicles by their ids."""
    full = pl.DataFrame({"vehicle_id": ids}, schema={"vehicle_id": pl.String}).join(frame.unique("vehicle_id", keep="last"), on="vehicle_id", how="left",
                                                                                   maintain_order="left")
    return Traits(listed(ids), {}, {c: Words.of(word(v) for v in full[c].to_list()) for c in VEHICLE}, {})


def factors(asked: Description, traits: Traits, at: datetime) -> dict[str, Floats]:
    """For each attribute asked for (but "mo") the log factor of each record, 0 where it does not hold it. O(records)."""
    out = {}
    for name, said in asked.items():
        if name in NUMBERS:
            out[name] = _number(said, _ages(traits, at) if name == "age" else traits.numbers.get(name), ERRORS[name], len(traits.ids))
        elif name in ("marks", "clothing"):
            out[name] = _words_in(said, traits.texts.get(name), ERRORS[name], len(traits.ids))
        elif name == "plate":
            fits = re.compile(plates.pattern(said)), re.compile(plates.pattern(said, look_alikes=True))
            told = traits.words.get("plate") or Words([], np.full(len(traits.ids), -1))
            chance = np.array([*(ERRORS[name] if fits[0].match(p) else 0.08 if fits[1].match(p) else 0.0 for p in told.names), np.nan])
            out[name] = _rated(chance[told.codes])  # -1 is the last
        elif name != "mo":
            out[name] = _word(said, traits.words.get(name), ERRORS[name], len(traits.ids))
    return out


def _ages(traits: Traits, at: datetime) -> Floats | None:
    born = traits.numbers.get("born")
    return None if born is None else (at.timestamp() / 86_400 - born) / 365.2425


def _rated(chance: Floats) -> Floats:
    """Log of each record's chance of being so described over the mean of all that hold the attribute; nan gives 0."""
    known = np.isfinite(chance)
    out = np.zeros(len(chance))
    mean = float(chance[known].mean()) if known.any() else 0.0
    if mean > 0:
        out[known] = np.log((1 - _WRONG) * chance[known] / mean + _WRONG)
    return out


def _number(said: tuple[float, float], values: Floats | None, error: float, n: int) -> Floats:
    if values is None:
        return np.zeros(n)
    spread = math.sqrt(error**2 + (said[1] - said[0]) ** 2 / 12)
    return _rated(np.exp(-0.5 * ((sum(said) / 2 - values) / spread) ** 2))


def _word(said: str, words: Words | None, right: float, n: int) -> Floats:
    held = 0 if words is None else int(np.count_nonzero(words.codes >= 0))
    if words is None or not held:
        return np.zeros(n)
    same = words.codes == (words.names.index(said) if said in words.names else -2)
    share = int(np.count_nonzero(same)) / held
    chance = np.where(same, right + (1 - right) * share, (1 - right) * max(share, 1e-3))
    return _rated(np.where(words.codes < 0, np.nan, chance))


def _words_in(said: frozenset[str], texts: Any, right: float, n: int) -> Floats:
    """Rarer words tell more; all together at most a factor of 50, since words of one mark go together."""
    out = np.zeros(n)
    known = [i for i in range(n) if texts is not None and texts[i] is not None]
    if texts is None or not known:
        return out
    for w in sorted(said):
        has = np.array([w in (texts[i] or ()) for i in known])
        share = (has.sum() + 0.5) / (len(known) + 1)
        seen = right + (1 - right) * share
        out[known] += np.where(has, math.log(seen / share), math.log((1 - seen) / (1 - share)))
    return np.clip(out, -_MOST, _MOST)


def witnessed(asked: Description, traits: Traits, row: int, at: datetime, rng: np.random.Generator) -> Description:
    """How a witness might describe one record, in the attributes asked for and with the errors assumed; what it does not hold is left out."""
    out: Description = {}
    for name, said in asked.items():
        if name in NUMBERS:
            ages = _ages(traits, at)
            values = ages if name == "age" else traits.numbers.get(name)
            if values is not None and math.isfinite(values[row]):
                low, high = NUMBERS[name]
                middle, half = values[row] + rng.normal(0, ERRORS[name]), (said[1] - said[0]) / 2
                middle = float(np.clip(middle + rng.uniform(-half, half), low + half, high - half))
                out[name] = (middle - half, middle + half)
        elif name in traits.texts:
            own = traits.texts[name][row]
            if own:
                out[name] = frozenset(w for w in sorted(own) if rng.random() < max(ERRORS[name], 0.5)) or frozenset([min(own)])
        elif name in traits.words and traits.words[name][row] is not None:
            own_word = str(traits.words[name][row])
            words = traits.words[name]
            known = words.codes[words.codes >= 0]
            if name == "plate":
                keep = max(1, sum(c not in "?*" for c in said))
                out[name] = own_word[:keep] + "*"
            else:
                out[name] = own_word if rng.random() < ERRORS[name] else words.names[int(known[int(rng.integers(len(known)))])]
    return out


def told(name: str, said: Any, traits: Traits, row: int, at: datetime) -> str:
    """What stands in a record of an attribute, for the reasons."""
    if name == "age":
        ages = _ages(traits, at)
        return "age not recorded" if ages is None or not math.isfinite(ages[row]) else f"was {int(ages[row])}"
    if name in NUMBERS:
        values = traits.numbers.get(name)
        return f"{name} not recorded" if values is None or not math.isfinite(values[row]) else f"{values[row]:.0f} {UNITS[name]}"
    if name in traits.texts:
        own = traits.texts[name][row]
        shared = ", ".join(sorted(w.lower() for w in said & (own or frozenset())))
        return f"{name} not recorded" if own is None else f"{name}: {shared or 'none of the words'}"
    found = traits.words[name][row] if name in traits.words else None
    return f"{name} {found if name in ('plate', 'sex', 'race') else found.lower()}" if found is not None else f"{name} not recorded"

"""What kind of values does a raw column hold? Counted, not guessed: shares of numbers, times, yes and no, plates, codes, addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from workbench.intake import sniff_times
from workbench.intake.synonyms import WORDS
from workbench.loaders.kit.expressions import BLANKS

#: Words that stand for "nothing" beside those the expressions know; in a column of numbers or times they are named in the mapping.
NOTHING = frozenset(WORDS["nothing"])
_YES, _NO = frozenset(WORDS["yes"]), frozenset(WORDS["no"])
_PLAIN_WORDS = frozenset({"true", "yes", "y", "t", "1", "false", "no", "n", "f", "0"})
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?|[-+]?\d+,\d+")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_DMS = re.compile(r"\s*[NSEWO]?\s*-?\d{1,3}\s*[°ºd:]\s*\d{1,2}\s*['’′m:]\s*(\d{1,2}([.,]\d+)?\s*(\"|''|”|″|s)?)?\s*[NSEWO]?\s*", re.I)
_POINT = re.compile(r"(?i)\s*(SRID=\d+;)?\s*POINT\s*Z?\s*\(\s*[-+]?[\d.]+\s+[-+]?[\d.]+.*")
_PAIR = re.compile(r"([-+]?\d{1,3}\.\d+)\s*[,;]\s*([-+]?\d{1,3}\.\d+)\s*\)?\s*$")
_PLATE = re.compile(r"(?=.*\d)(?=.*[A-Z])[A-Z0-9]{2,4}[- ·]?[A-Z0-9]{1,4}[- ]?[A-Z0-9]{0,4}")
_HASH = re.compile(r"[0-9a-f]{16,128}")
_NO_DAY = re.compile(r"0{1,4}([/.-])0{1,2}\1(0{1,4})(\s0?0:00(:00)?)?")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_KINDS = (
    "st|str|street|ave?|avenue|rd|road|blvd|boulevard|dr|drive|ln|lane|ct|court|pl|place|hwy|highway|pkwy|way|ter|terrace|cir|circle|trl|block|blk|plaza|sq|close"
    "|crescent|row|alley|aly|loop|pike|freeway|fwy|strasse|straße|weg|platz|allee|gasse|straat|laan|gracht|plein"
)
_FRONT = "rue|chemin|quai|calle|avenida|av|avenue|paseo|carrera|rua|travessa|via|viale|piazza|corso|boulevard"
_STREET = re.compile(rf"\w\W+({_KINDS})\b\.?|^({_FRONT})\b\.? \w|\w(strasse|straße|str\.|weg|platz|gasse|straat|laan|gracht|plein)\b", re.I)
#: NIBRS offence codes, and codes of states.
NIBRS, _STATES = frozenset(WORDS["nibrs"]), frozenset(WORDS["states"])


@dataclass(frozen=True)
class Profile:
    """One raw column: its name, how an expression names it, and its sampled values."""

    name: str
    written: str
    values: Sequence[str | None]
    hint: bool = False
    day_first: bool | None = None

    @cached_property
    def texts(self) -> Counter[str]:
        """Distinct values, trimmed, without those that mean nothing, and how often each is there."""
        counted: Counter[str] = Counter()
        for value, n in Counter(self.values).items():
            text = "" if value is None else value.strip()
            if text and text not in BLANKS:
                counted[text] += n
        return counted

    @cached_property
    def nothings(self) -> tuple[str, ...]:
        """Words of the column that mean "nothing" and that the expressions do not know by themselves."""
        return tuple(t for t in self.texts if t.lower() in NOTHING or _NO_DAY.fullmatch(t))

    @cached_property
    def solid(self) -> Counter[str]:
        """``texts`` without ``nothings``."""
        return Counter({t: n for t, n in self.texts.items() if t not in self.nothings}) if self.nothings else self.texts

    @cached_property
    def some(self) -> Counter[str]:
        """``solid``, at most 3,000 of its values, taken evenly: enough to tell what they look like."""
        if len(self.solid) <= 3000:
            return self.solid
        listed, step = list(self.solid.items()), len(self.solid) / 3000
        return Counter(dict(listed[int(i * step)] for i in range(3000)))

    @cached_property
    def given(self) -> int:
        """How many sampled rows hold something."""
        return sum(self.texts.values())

    @property
    def filled(self) -> float:
        """Share of rows that hold something."""
        return self.given / len(self.values) if self.values else 0.0

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.texts)

    @property
    def unique(self) -> float:
        """Distinct values a given one; 1 = each is there once."""
        return self.distinct / self.given if self.given else 0.0

    def share(self, pattern: re.Pattern[str]) -> float:
        """Share of the solid values that a pattern fits as a whole."""
        total = sum(self.some.values())
        return sum(n for t, n in self.some.items() if pattern.fullmatch(t)) / total if total else 0.0

    @cached_property
    def number(self) -> str:
        """How its numbers are written: plain, comma (decimal), thousands; "" where it does not hold numbers."""
        for kind, pattern in (("plain", _NUMBER), ("thousands", _THOUSANDS), ("comma", _COMMA_NUMBER)):
            share = self.share(pattern)
            if share >= 0.95 or (kind == "thousands" and share > 0.2 and share + self.share(_NUMBER) >= 0.98):
                return kind
        mixed = sum(n for t, n in self.some.items() if _COMMA_NUMBER.fullmatch(t) or re.fullmatch(r"[-+]?\d+", t))
        return "comma" if self.solid and mixed >= 0.95 * sum(self.some.values()) and self.share(_COMMA_NUMBER) > 0.2 else ""

    @cached_property
    def numbers(self) -> list[float | None]:
        """Its rows as numbers, None where there is none."""
        return [as_number(v, self.number) for v in self.values]

    @cached_property
    def known(self) -> list[float]:
        """The numbers there are, sorted."""
        return sorted(v for v in self.numbers if v is not None)

    @property
    def low(self) -> float:
        """2nd percentile of its numbers."""
        return self.known[len(self.known) // 50] if self.known else 0.0

    @property
    def high(self) -> float:
        """98th percentile of its numbers."""
        return self.known[-1 - len(self.known) // 50] if self.known else 0.0

    @cached_property
    def whole(self) -> bool:
        """Its numbers are whole ones."""
        return bool(self.known) and all(v == int(v) for v in self.known if abs(v) < 1e18)

    @cached_property
    def length(self) -> float:
        """Mean length of what is given."""
        return sum(len(t) * n for t, n in self.texts.items()) / self.given if self.given else 0.0

    @cached_property
    def words(self) -> float:
        """Mean number of words."""
        return sum(len(t.split()) * n for t, n in self.texts.items()) / self.given if self.given else 0.0

    @cached_property
    def letters(self) -> float:
        """Share of given values with a letter."""
        return sum(n for t, n in self.texts.items() if any(c.isalpha() for c in t)) / self.given if self.given else 0.0

    @cached_property
    def times(self) -> sniff_times.Times | None:
        """What it shows as times, or None."""
        sequence = [v.strip() for v in self.values if v is not None and v.strip()]
        return sniff_times.sniff(self.solid, sequence, day_first=self.day_first, hint=self.hint)

    @cached_property
    def yes_no(self) -> bool:
        """Its values are words for yes and no."""
        words = {t.lower() for t in self.solid}
        return bool(words) and words <= _YES | _NO and len(words) <= 4

    @property
    def plain_yes_no(self) -> bool:
        """They are such that need no lists."""
        return {t.lower() for t in self.solid} <= _PLAIN_WORDS

    def yes_words(self) -> tuple[list[str], list[str]]:
        """The words for yes and for no, as they stand."""
        return [t for t in self.solid if t.lower() in _YES], [t for t in self.solid if t.lower() in _NO]

    @cached_property
    def plate(self) -> float:
        """Share of values that could be registrations."""
        return self.share(_PLATE) if 3 <= self.length <= 10 else 0.0

    @cached_property
    def hashed(self) -> float:
        """Share of values that are long hexadecimal numbers."""
        return self.share(_HASH)

    @cached_property
    def vin(self) -> float:
        """Share of values that could be vehicle identification numbers."""
        return self.share(_VIN)

    @cached_property
    def address(self) -> float:
        """Share of values that read like addresses, blocks or crossings."""
        total = sum(self.some.values())
        hits = sum(
            n for t, n in self.some.items() if _STREET.search(t) or (re.match(r"\d+\S* ", t) and re.search(r"[A-Za-z]{3}", t)) or " / " in t or " & " in t
        )
        return hits / total if total and self.words >= 1.3 else 0.0

    @cached_property
    def nibrs(self) -> float:
        """Share of values that are NIBRS offence codes."""
        total = sum(self.some.values())
        return sum(n for t, n in self.some.items() if t.upper() in NIBRS) / total if total else 0.0

    @cached_property
    def states(self) -> float:
        """Share of values that are codes of states."""
        total = sum(self.some.values())
        return sum(n for t, n in self.some.items() if t.upper() in _STATES) / total if total else 0.0

    @cached_property
    def place_text(self) -> str:
        """point, lat_lon or dms: how a position is written in a text; "" where none is."""
        total = sum(self.some.values())
        if not total:
            return ""
        if self.share(_POINT) > 0.8:
            return "point"
        if sum(n for t, n in self.some.items() if _PAIR.search(t)) > 0.8 * total:
            return "pair"
        if self.share(_DMS) > 0.9 and self.times is None:
            return "dms"
        return "geometry" if sum(n for t, n in self.some.items() if t.startswith("{") and '"Point"' in t) > 0.5 * total else ""

    @cached_property
    def json_list(self) -> bool:
        """Its values are JSON lists of texts."""
        total = sum(self.some.values())
        return bool(total) and sum(n for t, n in self.some.items() if t.startswith("[") and t.endswith("]")) > 0.9 * total

    def separator(self) -> str:
        """What parts a list of short codes in its values; "" where nothing does."""
        for mark in (";", "|", ",", "/", " "):
            with_it = [t for t in self.solid if mark in t]
            if with_it and all(len(p.strip()) <= 14 for t in with_it for p in t.split(mark)):
                return mark
        return ""

    def example(self) -> str:
        """Its most frequent value, cut short."""
        text = next((t for t, _ in self.texts.most_common(1)), "")
        return text if len(text) <= 40 else text[:37] + "..."


def as_number(value: str | None, kind: str) -> float | None:
    """A text as a number written that way, None where it is none."""
    if value is None or not kind:
        return None
    text = value.strip()
    if kind == "comma":
        text = text.replace(".", "").replace(" ", "").replace(",", ".")
    elif kind == "thousands":
        text = text.replace(",", "")
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if abs(found) < 1e300 else None


def dms(text: str) -> float | None:
    """Degrees, minutes and seconds as degrees, None where the text is none."""
    if not _DMS.fullmatch(text):
        return None
    parts = [float(n.replace(",", ".")) for n in re.findall(r"\d+(?:[.,]\d+)?", text)][:3]
    value = sum(p / 60**i for i, p in enumerate(parts))
    return -value if re.search(r"(?i)[SWO]|^\s*-", text) else value


def pair(text: str) -> tuple[float, float] | None:
    """The two numbers at the end of a text such as (41.88, -87.63)."""
    found = _PAIR.search(text)
    return (float(found[1]), float(found[2])) if found else None


def point(text: str) -> tuple[float, float] | None:
    """Longitude and latitude of POINT (-87.63 41.88)."""
    found = re.search(r"\(\s*([-+]?[\d.]+)\s+([-+]?[\d.]+)", text)
    try:
        return (float(found[1]), float(found[2])) if found else None
    except ValueError:
        return None

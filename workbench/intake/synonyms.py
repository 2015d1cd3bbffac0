"""What does a column's name mean? Names are taken into words, abbreviations spelt out, and held against the phrases of ``synonyms.toml``."""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections import Counter
from functools import lru_cache
from importlib import resources
from typing import Any

from rapidfuzz import fuzz

#: Words that names and values are read by, from ``words.toml``.
WORDS: dict[str, Any] = tomllib.loads(resources.files("workbench.intake").joinpath("words.toml").read_text(encoding="utf-8"))
_SHORT: dict[str, str] = WORDS["short"]
_STOP = frozenset(WORDS["stop"])
_FEW = frozenset({"id", "x", "y", "to", "of", "no", "on", "at", "mo"})


@lru_cache(maxsize=20_000)
def tokens(name: str) -> tuple[str, ...]:
    """A column's name as words: ``CMPLNT_FR_DT`` is (complaint, from, date), ``Längengrad`` (langengrad,)."""
    text = name.replace("ß", "ss")
    text = re.sub(r"([a-zà-ÿ0-9])([A-ZÀ-Þ])", r"\1 \2", text)
    text = re.sub(r"([A-ZÀ-Þ]+)([A-ZÀ-Þ][a-zà-ÿ])", r"\1 \2", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    found: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+", plain):
        folded = word.replace("ae", "a").replace("oe", "o").replace("ue", "u") if len(word) > 4 else word
        for part in _SHORT.get(word, _SHORT.get(folded, folded)).split():
            found.append(_singular(part))
    kept = [w for w in found if w not in _STOP]
    return tuple(kept or found)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(maxsize=1)
def phrases() -> dict[str, dict[str, tuple[tuple[tuple[str, ...], bool], ...]]]:
    """Table -> column -> (words, strong) of every phrase, in the file's order; "common" for all tables."""
    written = tomllib.loads(resources.files("workbench.intake").joinpath("synonyms.toml").read_text(encoding="utf-8"))
    return {t: {c: tuple((tokens(p.lstrip("~")), not p.startswith("~")) for p in list_) for c, list_ in columns.items()} for t, columns in written.items()}


@lru_cache(maxsize=1)
def _weights() -> dict[str, float]:
    """How much a word says: one that is in many columns' phrases says little."""
    columns: Counter[str] = Counter()
    total = 0
    for table in phrases().values():
        for known in table.values():
            total += 1
            columns.update({w for words, _ in known for w in words})
    return {w: math.log((total + 1) / n) / math.log(total + 1) for w, n in columns.items()}


@lru_cache(maxsize=20_000)
def split(name: str) -> tuple[str, ...]:
    """``tokens``, with words that were written together taken apart: ``blockaddress`` is (block, address)."""
    known = _weights()
    out: list[str] = []
    for word in tokens(name):
        out += [word] if word in known or len(word) < 6 else _parts(word) or [word]
    return tuple(out)


def _parts(word: str) -> list[str] | None:
    """The fewest known words that make up a word, None where there are none."""
    known = _weights()
    best: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            head, piece = best[start], word[start:end]
            spelt = _singular(_SHORT.get(piece, piece))
            fits = (len(piece) > 2 and (spelt in known or piece in known)) or piece in _FEW
            if head is not None and fits:
                made = [*head, *spelt.split()]
                held = best[end]
                if held is None or len(made) < len(held):
                    best[end] = made
    found = best[len(word)]
    return found if found is not None and 1 < len(found) <= 4 else None


def score(name: str, table: str, column: str) -> float:
    """How well a raw column's name fits a canonical column, 0 to 1: 1 = it is called so, 0.55 at most for a weak sign."""
    known = phrases().get(table, {}).get(column) or phrases()["common"].get(column) or ()
    own = (tokens(column), True)
    name_words, taken_apart = tokens(name), split(name)
    if column in ("beat", "district"):
        name_words, taken_apart = _bare(name_words), _bare(taken_apart)
    best = 0.0
    for place, (words, strong) in enumerate((*known, own)):
        found = max(_alike(name_words, words), _alike(taken_apart, words) * 0.99 if taken_apart != name_words else 0.0)
        found *= (1.0 if strong else 0.55) * (1 - 0.0015 * min(place, 40))
        best = max(best, found)
    return best


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """A name without the words that only say that it is a name or number of something."""
    return tuple(w for w in words if w not in ("id", "name", "number", "code")) or words


@lru_cache(maxsize=400_000)
def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    if not one or not other:
        return 0.0
    if "".join(one) == "".join(other):
        return 1.0
    if sorted(one) == sorted(other):
        return 0.97
    weight = _weights()

    def heavy(word: str) -> float:
        return 0.15 if word.isdigit() else max(0.12, weight.get(word, 0.9))

    left, hit = list(other), 0.0
    for word in one:
        near = max(left, key=lambda w: _near(word, w), default="")
        closeness = _near(word, near) if near else 0.0
        if closeness:
            hit += closeness * (heavy(word) + heavy(near)) / 2
            left.remove(near)
    precision = hit / sum(map(heavy, one))
    recall = hit / sum(map(heavy, other))
    return 0.92 * 2 * precision * recall / (precision + recall) if hit else 0.0


@lru_cache(maxsize=400_000)
def _near(one: str, other: str) -> float:
    if one == other:
        return 1.0
    short, long = sorted((one, other), key=len)
    if len(short) >= 4 and long.startswith(short):
        return 0.9
    if len(short) >= 5:
        alike = fuzz.ratio(one, other) / 100
        return alike * 0.95 if alike >= 0.84 else 0.0
    return 0.0


def speaks_of_time(name: str) -> bool:
    """Whether a column's name says that it holds dates or times, so that bare numbers in it may be such."""
    return bool(_TIME & set(split(name)))


_TIME = frozenset(_singular(w) for w in WORDS["time"])

"""Words in values: NIBRS codes by the wording of an offence, the parts of an address, columns that are brothers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from workbench.intake import synonyms
from workbench.intake.sniff import Profile
from workbench.loaders.kit import nibrs as codes


def nibrs(profiles: Sequence[Profile]) -> tuple[tuple[Profile, ...], float] | None:
    """The columns whose wording tells the offence best, and the share of rows that get a code; None where no wording tells."""
    worded = [p for p in profiles if p.given and p.letters > 0.5]
    best: tuple[tuple[Profile, ...], float] | None = None
    for tried in [*((p,) for p in worded), *([tuple(worded[:2])] if len(worded) > 1 else [])]:
        pairs = Counter(zip(*(p.values for p in tried), strict=True))
        total = sum(n for row, n in pairs.items() if any(row))
        known = sum(n for row, n in pairs.items() if code_of(*(t for t in row if t)) not in ("", codes.UNKNOWN)) / max(1, total)
        if known > (best[1] + 0.03 if best else 0.2):
            best = tried, known
    return best


def code_of(*wording: str) -> str:
    """The NIBRS offence a wording means, UNKNOWN where it is no offence, "" where it cannot be told."""
    text = ": ".join(w.strip() for w in wording if w and w.strip()).upper()
    return codes.worded("wordings", text) or codes.worded("wordings_abroad", text) or ""


_DIRECTIONS = frozenset({"N", "S", "E", "W", "NE", "NW", "SE", "SW", "NORTH", "SOUTH", "EAST", "WEST"})


def address(street: Profile, found: Mapping[str, Profile], used: set[str]) -> tuple[str, tuple[str, ...]] | None:
    """An address joined out of columns beside each other (number, direction, street, kind), and those columns; None where the street stands alone."""
    names = list(found)
    at = names.index(street.name) if street.name in names else -1
    if at < 0 or street.letters < 0.5:
        return None
    leading = sum(n for t, n in street.texts.items() if re.match(r"\d+[A-Z]? |\d{1,5}X+|X+ |.*\bblock\b", t, re.I)) / max(1, street.given)
    if leading > 0.5:
        return None
    before = [found[n] for n in names[max(0, at - 3) : at] if n not in used]
    after = [found[n] for n in names[at + 1 : at + 3] if n not in used]
    parts: list[Profile] = []
    number = next((p for p in reversed(before + after[:1]) if _house(p)), None)
    if number is None:
        return None
    behind = after[:1] == [number]
    parts += [] if behind else [number]
    parts += [
        p
        for p in before
        if p is not number and p.solid and ({t.upper() for t in p.solid} <= _DIRECTIONS or {"dir", "direction", "predir"} & set(_pieces(p.name)))
    ]
    parts.append(street)
    parts += [number] if behind else []
    if after and {"suffix", "sfx", "type", "suf"} & set(synonyms.split(after[0].name)) and after[0].words < 1.2 and not _other_side(after[0]):
        parts.append(after[0])
    joined = ", ".join(p.written for p in parts)
    return f'text(join({joined}, " "))', tuple(p.name for p in parts)


def _other_side(p: Profile) -> bool:
    return any(w in p.name.lower() for w in ("intersect", "cross"))


def _house(p: Profile) -> bool:
    words = set(synonyms.split(p.name)) | set(re.findall(r"[a-z]+", p.name.lower()))
    named = words & {"number", "house", "block", "address", "hausnummer", "numero", "hundred", "add", "huisnummer", "civico"} or any(
        w.endswith("address") or w.startswith("haus") for w in words
    )
    return bool(named) and bool(p.number) and p.whole and p.given > 0


_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def siblings(first: str, found: Mapping[str, Profile], used: set[str]) -> list[str]:
    """Columns called like one but for a number: FIRST APPROACH, SECOND APPROACH; UNIT1, UNIT2."""
    bare = _unnumbered(first)
    if bare == _pieces(first):
        return []
    return [n for n in found if n != first and n not in used and _unnumbered(n) == bare and _pieces(n) != bare]


def _pieces(name: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", name.lower())


def _unnumbered(name: str) -> list[str]:
    return [w for w in _pieces(name) if w not in _ORDINALS and not w.isdigit()]


def camera_kind(name: str) -> str:
    """The kind of camera that a file's name says; "" where it says none."""
    low = name.replace("_", " ").lower()
    return next(
        (
            k
            for k, words in (("red light", ("red light", "redlight")), ("speed", ("speed",)), ("plate reader", ("lpr", "alpr", "anpr")), ("body", ("body",)))
            if any(w in low for w in words)
        ),
        "",
    )

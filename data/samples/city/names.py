"""Invented names: streets, people, plates, telephone numbers. None can be traced to anybody, and any likeness is chance.

Telephone numbers lie in 555-0100 to 555-0199, the block kept free for fiction in every area code. Plates are three letters and four
digits, a form that no state named here gives to ordinary cars; people's names are put together from syllables.
"""

from __future__ import annotations

import numpy as np

from .plane import Ints, stream

_FIRST = (
    "Alder",
    "Ash",
    "Bram",
    "Briar",
    "Cedar",
    "Clover",
    "Copper",
    "Dove",
    "Elder",
    "Elm",
    "Fern",
    "Flint",
    "Hazel",
    "Heron",
    "Holly",
    "Iron",
    "Juniper",
    "Lark",
    "Larch",
    "Maple",
    "Marsh",
    "Meadow",
    "Mill",
    "Moss",
    "Oak",
    "Otter",
    "Pine",
    "Plover",
    "Reed",
    "Robin",
    "Rowan",
    "Sage",
    "Sorrel",
    "Spruce",
    "Stone",
    "Swan",
    "Teal",
    "Thistle",
    "Vale",
    "Walnut",
    "Wheat",
    "Willow",
    "Wren",
    "Yarrow",
)
_SECOND = (
    "",
    "bank",
    "brook",
    "burn",
    "croft",
    "dale",
    "field",
    "ford",
    "gate",
    "grove",
    "hurst",
    "ing",
    "ley",
    "mere",
    "moor",
    "ridge",
    "side",
    "stead",
    "ton",
    "ward",
    "well",
    "wick",
    "wood",
    "worth",
)
_GIVEN_A = (
    "Al",
    "Bren",
    "Cor",
    "Da",
    "El",
    "Fen",
    "Gar",
    "Hal",
    "Io",
    "Jas",
    "Kel",
    "Lor",
    "Mar",
    "Nev",
    "Or",
    "Per",
    "Quil",
    "Ros",
    "Sel",
    "Tav",
    "Ul",
    "Var",
    "Wen",
    "Yas",
    "Zel",
    "Ad",
    "Bir",
    "Cas",
    "Dor",
    "Em",
)
_GIVEN_B = (
    "a",
    "an",
    "ara",
    "dric",
    "een",
    "el",
    "en",
    "eth",
    "ian",
    "ika",
    "in",
    "ine",
    "is",
    "len",
    "lo",
    "mond",
    "na",
    "nor",
    "o",
    "on",
    "ra",
    "rel",
    "ric",
    "sa",
    "ten",
    "tor",
    "us",
    "va",
    "win",
    "yn",
)
_FAMILY_A = (
    "Ambr",
    "Bald",
    "Bech",
    "Brost",
    "Carv",
    "Cord",
    "Dask",
    "Dell",
    "Ebr",
    "Fald",
    "Fenn",
    "Garr",
    "Grev",
    "Hask",
    "Hol",
    "Inger",
    "Jarr",
    "Karv",
    "Kest",
    "Lund",
    "Mard",
    "Mell",
    "Nav",
    "Nord",
    "Orv",
    "Pell",
    "Prand",
    "Quent",
    "Rask",
    "Rend",
    "Salv",
    "Stev",
    "Tarr",
    "Thorn",
    "Ulv",
    "Vand",
    "Varr",
    "Wend",
    "Wol",
    "Yarr",
)
_FAMILY_B = (
    "ado",
    "aker",
    "an",
    "ari",
    "ask",
    "ek",
    "ell",
    "ender",
    "eno",
    "er",
    "esi",
    "eth",
    "ett",
    "ick",
    "iel",
    "ill",
    "im",
    "ing",
    "is",
    "itz",
    "lund",
    "mar",
    "mont",
    "ner",
    "o",
    "or",
    "osa",
    "quist",
    "sen",
    "sky",
    "son",
    "stad",
    "strom",
    "ul",
    "ury",
    "vane",
    "well",
    "wen",
    "worth",
    "yk",
)
#: No O, I, Q: what is left still has look-alikes (B 8, S 5, Z 2, G 6, D 0, L 1).
_LETTERS = np.array(list("ABCDEFGHJKLMNPRSTUVWXYZ"))
#: Area codes in use or not, what matters is the 555-01xx behind them.
AREA_CODES = tuple(range(219, 980, 19))


def street_names() -> list[str]:
    """Some 1,000 different street names, shuffled, without their suffix; plain words come first."""
    rng = stream("names")
    plain = list(_FIRST)
    joined = [a + b for a in _FIRST for b in _SECOND[1:] if a[-1] != b[0]]
    rng.shuffle(plain)
    rng.shuffle(joined)
    return plain + joined


def plates(n: int, rng: np.random.Generator, taken: set[str] | None = None) -> list[str]:
    """``n`` different plates such as KRT4821, none of them in ``taken``, which grows."""
    taken = set() if taken is None else taken
    out: list[str] = []
    while len(out) < n:
        letters = _LETTERS[rng.integers(0, len(_LETTERS), (n - len(out) + 64, 3))]
        digits = rng.integers(0, 10_000, len(letters))
        for row, number in zip(letters, digits, strict=True):
            plate = "".join(row) + f"{number:04d}"
            if plate not in taken and len(out) < n:
                taken.add(plate)
                out.append(plate)
    return out


def phones(n: int, rng: np.random.Generator) -> list[str]:
    """``n`` different numbers such as (314) 555-0142; at most 4,000."""
    picks = rng.permutation(len(AREA_CODES) * 100)[:n]
    return [f"({AREA_CODES[p // 100]}) 555-01{p % 100:02d}" for p in picks]


def people(n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """``n`` (surname, given name) pairs, all different."""
    seen: set[tuple[str, str]] = set()
    out: list[tuple[str, str]] = []
    while len(out) < n:
        a, b, c, d = (int(rng.integers(len(s))) for s in (_FAMILY_A, _FAMILY_B, _GIVEN_A, _GIVEN_B))
        name = (_FAMILY_A[a] + _FAMILY_B[b], _GIVEN_A[c] + _GIVEN_B[d])
        if name not in seen:
            seen.add(name)
            out.append(name)
    return out


def pick(rng: np.random.Generator, weights: object, n: int) -> Ints:
    """``n`` row numbers drawn by weight, with replacement. O(n log rows)."""
    total = np.cumsum(np.asarray(weights, dtype=float))
    return np.searchsorted(total, rng.random(n) * total[-1], side="right").astype(np.int64)

"""What does an address say: a house on a street, a hundred block, a corner, or only a street? For addresses as US agencies write them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_DIRECTIONS = {
    "N": ("NORTH", "NO", "NTH"), "S": ("SOUTH", "SO", "STH"), "E": ("EAST",), "W": ("WEST",),
    "NE": ("NORTHEAST",), "NW": ("NORTHWEST",), "SE": ("SOUTHEAST",), "SW": ("SOUTHWEST",),
}
#: Street suffixes as the postal service abbreviates them, and how else they are written.
_SUFFIXES = {
    "ALY": "ALLEY ALLY AL", "ARC": "ARCADE", "AVE": "AV AVEN AVENU AVENUE AVN AVNUE", "BCH": "BEACH", "BLF": "BLUFF",
    "BLVD": "BOULEVARD BLV BL BOUL BVD BD",
    "BND": "BEND", "BRG": "BRIDGE BRDGE", "BRK": "BROOK",
    "BYP": "BYPASS BYPA BYPS", "CIR": "CIRCLE CIRC CRCL CI CR", "CMN": "COMMON", "COR": "CORNER",
    "CRES": "CRESCENT CRSNT CRSENT", "CRK": "CREEK", "CSWY": "CAUSEWAY", "CT": "COURT CRT", "CTR": "CENTER CENTRE CNTR", "CV": "COVE", "DR": "DRIVE DRV DRIV",
    "EST": "ESTATE", "ESTS": "ESTATES", "EXPY": "EXPRESSWAY EXPWY EXPR", "EXT": "EXTENSION EXTN", "FLD": "FIELD", "FRST": "FOREST", "FWY": "FREEWAY FRWY FRY",
    "GDN": "GARDEN", "GDNS": "GARDENS", "GLN": "GLEN", "GRN": "GREEN", "GRV": "GROVE", "HBR": "HARBOR", "HL": "HILL", "HLS": "HILLS", "HOLW": "HOLLOW",
    "HTS": "HEIGHTS", "HWY": "HIGHWAY HIWAY HIWY HWAY HY HGWY", "ISLE": "", "JCT": "JUNCTION", "KNL": "KNOLL", "LK": "LAKE", "LN": "LANE LA", "LNDG": "LANDING",
    "LOOP": "LP", "MALL": "", "MDW": "MEADOW", "MDWS": "MEADOWS", "MNR": "MANOR", "MTN": "MOUNTAIN", "OVAL": "", "PARK": "PRK", "PASS": "", "PATH": "",
    "PIKE": "PK", "PKWY": "PARKWAY PARKWY PKWAY PKY PY PW", "PL": "PLACE PLC", "PLZ": "PLAZA PLZA PZ", "PT": "POINT", "RAMP": "", "RD": "ROAD", "RDG": "RIDGE",
    "ROW": "", "RUN": "", "SHR": "SHORE", "SPUR": "", "SQ": "SQUARE SQR", "ST": "STREET STR STRT", "STA": "STATION", "TER": "TERRACE TERR TE",
    "TPKE": "TURNPIKE TPK",
    "TRCE": "TRACE", "TRL": "TRAIL TR", "TUNL": "TUNNEL", "VIA": "", "VLG": "VILLAGE", "VLY": "VALLEY", "VW": "VIEW", "WALK": "WK", "WAY": "WY",
    "XING": "CROSSING CRSSNG",
}
_WORDS = ("FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH", "NINTH", "TENTH", "ELEVENTH", "TWELFTH", "THIRTEENTH",
          "FOURTEENTH", "FIFTEENTH", "SIXTEENTH", "SEVENTEENTH", "EIGHTEENTH", "NINETEENTH", "TWENTIETH")
_DIRECTION = {word: d for d, words in _DIRECTIONS.items() for word in (d, *words)}
_SUFFIX = {word: s for s, words in _SUFFIXES.items() for word in (s, *words.split())}
_BOUND = {"NB": "NB", "SB": "SB", "EB": "EB", "WB": "WB", "NORTHBOUND": "NB", "SOUTHBOUND": "SB", "EASTBOUND": "EB", "WESTBOUND": "WB"}
#: Words of a highway's kind -> what it is called here; a bare "highway 290" may be any of them.
_ROUTES = {"US": "US", "USHY": "US", "I": "I", "IH": "I", "IS": "I", "INTERSTATE": "I", "SR": "SR", "SH": "SR", "STATE": "SR", "FM": "FM", "RM": "RM",
           "CR": "CR", "COUNTY": "CR", "HWY": "HWY", "ROUTE": "HWY", "RTE": "HWY", "RT": "HWY"}
_SERVICE = re.compile(r"\b(?:SVRD|SVCRD|(?:SVC|SERVICE|SERV|FRONTAGE|FRTG|ACCESS) (?:RD|ROAD)|FRONTAGE)\b")
_UNITS = "APT|APTS|APARTMENT|UNIT|STE|SUITE|RM|ROOM|FLOOR|LOT|BLDG|BUILDING|TRLR|TRAILER|SPC|DEPT|PH"
_UNIT = re.compile(rf"(?<=\S)\s+(?:(?:{_UNITS})\b(?!\s*$).*|(?:FL|NO)\s+\w+$|#.*)$")
_GLUED = re.compile(r"-|(?<=^IH)(?=\d)|(?<=^I)(?=\d)|(?<=^US)(?=\d)|(?<=^SR)(?=\d)|(?<=^SH)(?=\d)|(?<=^FM)(?=\d)")
_BETWEEN = re.compile(r"\s*(?:&|@|\\|(?<!\d)/|/(?!\d)|\bAND\b|\bAT\b)\s*")
_BLOCK = r"(?:BLOCK|BLK|BLCK|BLOC)"
_FORMS = tuple((kind, re.compile(form)) for kind, form in (
    ("span", rf"^(\d+)\s*(?:-|TO|THRU)\s*(\d+)\s+{_BLOCK}(?:\s+OF)?\s+(.+)$"),
    ("masked", rf"^(\d*)\s?(X{{1,4}})\s+(?:{_BLOCK}\s+)?(?:OF\s+)?(.+)$"),
    ("block", rf"^(\d+)()\s*{_BLOCK}(?:\s+OF)?\s+(.+)$"),
    ("block", rf"^{_BLOCK}\s+(\d+)()\s+(?:OF\s+)?(.+)$"),
    ("behind", rf"^(.+?)\s+(\d+)\s*{_BLOCK}$"),
))
_NUMBER = re.compile(r"^(\d+)[A-Z]?(?:\s*-\s*\d+[A-Z]?)?(?:\s+\d/\d)?\s+(.+)$")


@dataclass(frozen=True)
class Name:
    """A street's name taken apart: what stands before, the name itself, its kind, what stands behind; and whether it is a service road, and the
    way of travel."""

    base: str
    before: str = ""
    suffix: str = ""
    behind: str = ""
    service: bool = False
    travel: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """What it is looked up by: the name itself, then with its direction or its kind as part of it (North River Drive, Avenue Road)."""
        with_before = f"{self.before} {self.base}" if self.before else ""
        with_suffix = f"{self.base} {self.suffix}" if self.suffix else ""
        return tuple(k for k in (self.base, with_before, with_suffix) if k)

    @property
    def numbered(self) -> bool:
        """Its name is a number: then spelling is not bent."""
        return any(c.isdigit() for c in self.base)


@dataclass(frozen=True)
class Address:
    """What an address says. ``kind``: address, hundred block, intersection, street, or "" = nothing that can be read."""

    kind: str
    street: Name | None = None
    low: int = 0
    high: int = 0
    cross: Name | None = None


@lru_cache(maxsize=200_000)
def read(text: str | None) -> Address:
    """Take an address apart."""
    line = _line(text or "")
    if not line:
        return Address("")
    sides = [s for s in _BETWEEN.split(re.sub(r"^(?:INTERSECTION|INT|CORNER)\s+(?:OF\s+)?", "", line)) if s]
    first = _one(sides[0]) if sides else Address("")
    if len(sides) > 1 and first.kind == "street":
        other = _one(sides[1])
        if other.street is not None:
            return Address("intersection", first.street, cross=other.street)
    return first


@lru_cache(maxsize=200_000)
def name(text: str) -> Name | None:
    """Take a street's name apart; None where nothing is left of it."""
    line = _line(text)
    service = bool(_SERVICE.search(line))
    words = _SERVICE.sub(" ", line).split()
    travel = next((_BOUND[w] for w in words if w in _BOUND), "")
    words = [w for w in words if w not in _BOUND]
    before = behind = suffix = ""
    if len(words) > 1 and words[0] in _DIRECTION and not (len(words) == 2 and words[1] in _SUFFIX):
        before, words = _DIRECTION[words[0]], words[1:]
    if len(words) > 1 and words[-1] in _DIRECTION and not (len(words) == 2 and words[0] in ("AVE", "AVENUE", "AV", "STREET")):
        behind, words = _DIRECTION[words[-1]], words[:-1]
    route = _route(words)
    if route:
        return Name(route, before, "", behind, service, travel)
    if len(words) > 1 and words[-1] in _SUFFIX:
        suffix, words = _SUFFIX[words[-1]], words[:-1]
    base = " ".join(_word(w, k, words) for k, w in enumerate(words))
    return Name(base, before, suffix, behind, service, travel) if base else None


def _line(text: str) -> str:
    """Upper case without accents, points and what stands in brackets; what follows a comma (town, state) goes."""
    plain = unicodedata.normalize("NFKD", text.upper()).encode("ascii", "ignore").decode()
    plain = re.sub(r"\([^)]*\)|[.'`\"]", "", plain)
    head, comma, _ = plain.partition(",")
    if comma and re.search(r"[A-Z]{2}", head):
        plain = head
    return " ".join(re.sub(r"[^A-Z0-9&@/\\#-]+", " ", plain).split())


def _one(line: str) -> Address:
    """An address without a second street."""
    line = _UNIT.sub("", line).strip(" -")
    for kind, form in _FORMS:
        found = form.match(line)
        if not found:
            continue
        given, more, rest = found.groups() if kind != "behind" else (found[2], "", found[1])
        street = name(rest)
        if street is None:
            continue
        if kind == "masked":
            unit = 10 ** len(more)
            low = int(given or 0) * unit
            return Address("hundred block", street, low, low + unit - 1)
        low = int(given) // 100 * 100 if kind != "span" else int(given)
        return Address("hundred block", street, low, max(int(more), low) if kind == "span" else low + 99)
    found = _NUMBER.match(line)
    if found and not re.match(r"^(?:ST|ND|RD|TH)\b", found[2]):
        street = name(found[2])
        if street is not None and not (len(found[2].split()) == 1 and found[2] in _SUFFIX) and found[2] not in _DIRECTION:
            number = int(found[1])
            return Address("address", street, number, number) if number else Address("hundred block", street, 0, 99)
    street = name(line)
    return Address("street", street) if street is not None and re.search(r"[A-Z]", line) else Address("")


def _route(words: list[str]) -> str:
    """ "US 290", "I 35", "SR 16", "HWY 7" out of the words of a numbered highway; "" for any other street."""
    words = [part for w in words for part in _GLUED.split(w) if part]
    if "U" in words[:1] and words[1:2] == ["S"]:
        words = ["US", *words[2:]]
    number = next((w for w in words if re.fullmatch(r"\d{1,4}[A-Z]?", w)), "")
    rest = [w for w in words if w != number]
    if not number or not rest or any(w not in _ROUTES and w not in ("HIGHWAY", "HWAY", "RD", "ROAD", "LOOP") for w in rest):
        return ""
    kinds = [_ROUTES[w] for w in rest if w in _ROUTES]
    kind = next((k for k in kinds if k != "HWY"), "HWY" if kinds or {"HIGHWAY", "HWAY"} & set(rest) else "")
    return f"{kind} {number}" if kind else ""


def _word(word: str, place: int, words: list[str]) -> str:
    """One word of a name in its one form: ordinals as their number, directions and saints short."""
    ordinal = re.fullmatch(r"(\d+)(?:ST|ND|RD|TH)?", word)
    if ordinal:
        return f"{int(ordinal[1])}TH"
    if word in _WORDS:
        return f"{_WORDS.index(word) + 1}TH"
    if word in _DIRECTION and len(word) > 2:
        return _DIRECTION[word]
    return {"SAINT": "ST", "MOUNT": "MT", "FORT": "FT"}.get(word, word) if place < len(words) - 1 else word

"""Which state issued a plate: NCIC codes out of postal codes, names, OpenALPR's "us-ne" and Flock's "new_hampshire".

NCIC's codes are not the post's: Nebraska is NB (NE is the Netherlands), Guam is GM (GU is Guanajuato), American Samoa AM (AS is Australia),
Quebec is PQ, Saskatchewan SN (SK is the Seminole Nation). Source: NCIC 2000 code list in NIEM 1.0.
"""

from __future__ import annotations

import re

from workbench.loaders.kit.expressions import Stepped, _step, quoted, text

_SAME = """AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut, DE Delaware, DC District of Columbia, FL Florida,
GA Georgia, HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, KS Kansas, KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts,
MI Michigan, MN Minnesota, MS Mississippi, MO Missouri, MT Montana, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico, NY New York,
NC North Carolina, ND North Dakota, OH Ohio, OK Oklahoma, OR Oregon, PA Pennsylvania, RI Rhode Island, SC South Carolina, SD South Dakota, TN Tennessee,
TX Texas, UT Utah, VT Vermont, VA Virginia, WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming, PR Puerto Rico, VI U.S. Virgin Islands"""
#: Postal code -> (NCIC code, name) of states and territories, and of provinces.
STATES: dict[str, tuple[str, str]] = {
    **{pair[:2]: (pair[:2], pair[3:]) for pair in re.split(r",\s+", _SAME)},
    "NE": ("NB", "Nebraska"), "GU": ("GM", "Guam"), "AS": ("AM", "American Samoa"),
}
PROVINCES: dict[str, tuple[str, str]] = {
    "AB": ("AB", "Alberta"), "BC": ("BC", "British Columbia"), "MB": ("MB", "Manitoba"), "NB": ("NK", "New Brunswick"), "NL": ("NF", "Newfoundland"),
    "NS": ("NS", "Nova Scotia"), "NT": ("NT", "Northwest Territories"), "ON": ("ON", "Ontario"), "PE": ("PE", "Prince Edward Island"),
    "QC": ("PQ", "Quebec"), "SK": ("SN", "Saskatchewan"), "YT": ("YT", "Yukon"),
}
#: Other words for them.
_ALSO = {"WASHINGTON DC": "DC", "WASHINGTON D C": "DC", "VIRGIN ISLANDS": "VI", "NEWFOUNDLAND AND LABRADOR": "NF", "CANADA": "CD", "MEXICO": "MM",
         "FEDERAL": "US", "US GOVERNMENT": "US", "UNKNOWN": "XX"}


def _key(words: str) -> str:
    return re.sub(r"[^A-Z0-9]+", " ", words.upper()).strip()


#: Two letters that mean something else in NCIC than the post means by them. NB stays Nebraska: New Brunswick is met as its name or "ca-nb".
_TWO = {post: ncic for post, (ncic, _) in {**PROVINCES, **STATES}.items() if post != ncic and post != "NB" and post not in ("NL", "SK")}
_TWO |= {"SK": "SN"}
_LONG = {
    **{_key(name): ncic for ncic, name in (*STATES.values(), *PROVINCES.values())},
    **{f"US {post}": ncic for post, (ncic, _) in STATES.items()},
    **{f"CA {post}": ncic for post, (ncic, _) in PROVINCES.items()},
    **_ALSO,
}


def ncic(region: str) -> str:
    """The NCIC code of a state however it is written; what is not known comes back in upper case as it was given.

    ``ncic("us-ne") == ncic("Nebraska") == ncic("NE") == "NB"``. O(length).
    """
    key = _key(region)
    return _TWO.get(key) or _LONG.get(key) or region.strip().upper()


def region(expr: str) -> Stepped:
    """The same as ``ncic`` in DuckDB; null where nothing is given."""
    given = text(expr, ("",))
    key = f"trim(regexp_replace(upper({given}), '[^A-Z0-9]+', ' ', 'g'))"
    two = " ".join(f"when {quoted(post)} then {quoted(code)}" for post, code in _TWO.items())
    pairs = ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in _LONG.items())
    short, long = f"(case {key} {two} else upper({given}) end)", f"coalesce((map {{{pairs}}})[{key}], upper({given}))"
    return Stepped(f"(case when length({key}) <= 2 then {short} else {long} end)", (*given.steps, (_step(given), str(given)), (_step(key), key)))


def ncic_region(expr: str) -> Stepped:
    """A state that is in NCIC's code already: upper case, nothing translated (NE is the Netherlands here)."""
    return Stepped(f"upper({text(expr, ('',))})")

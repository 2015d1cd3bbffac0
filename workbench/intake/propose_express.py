"""How is a matched raw column written so that it fills a canonical column: units of measure, words for yes and no, lists, scales."""

from __future__ import annotations

import json
import re

from workbench import schema
from workbench.intake import synonyms
from workbench.intake.propose_match import Match
from workbench.intake.sniff import Profile

_OFFICER = re.compile(r"(?i)officer|self|on.?view|pro.?active|^o$|initiated by (pd|police)|streife|selbst|patrouille|patrulla|agente|oficial|proattiv|eigen")
_ATTEMPT = re.compile(r"(?i)attempt|versuch|tent|intent|poging|^a$")
_ARREST = re.compile(r"(?i)arrest|festnahme|interpell|deten|aanhoud|custody|booked")
#: Words in a name that say a unit, and the factor that makes it the table's.
_FACTORS: dict[str, tuple[tuple[re.Pattern[str], float, str], ...]] = {
    "speed": (
        (re.compile(r"mph|miles"), 0.44704, "miles an hour"),
        (re.compile(r"km|kph"), 1 / 3.6, "kilometres an hour"),
        (re.compile(r"knot|kts"), 0.514444, "knots"),
        (re.compile(r"m s|mps|meter"), 1.0, "metres a second"),
    ),
    "range_m": ((re.compile(r"feet|ft\b"), 0.3048, "feet"),),
    "height_m": ((re.compile(r"feet|ft\b"), 0.3048, "feet"),),
    "error_m": ((re.compile(r"feet|ft\b"), 0.3048, "feet"),),
    "height_cm": ((re.compile(r"\bin\b|inch"), 2.54, "inches"), (re.compile(r"\bm\b"), 100.0, "metres")),
    "weight_kg": ((re.compile(r"lb|pound"), 0.45359237, "pounds"),),
}

Made = tuple[str, str, list[str]]


def express(table: schema.Table, column: str, m: Match) -> Made | None:
    """(expression, how, doubts) of a match; None where what the column holds cannot fill it after all."""
    type_, p = table.columns[column].type, m.unit.profile
    written = p.written
    if type_ == "TIMESTAMPTZ":
        return (m.unit.expression, _time_said(m), []) if m.unit.expression else None
    if type_ == "DATE":
        times = m.unit.times
        formats = ", ".join(json.dumps(f, ensure_ascii=False) for f in (times.formats if times else ()) if f != "iso")
        return (f"date(day({written}))" if not formats else f"date({written}, {formats})"), _time_said(m), []
    if type_ == "BOOLEAN":
        return _truth(column, p)
    if type_ in ("DOUBLE", "BIGINT"):
        return _number(column, type_, p)
    if type_ == "VARCHAR[]":
        if p.json_list:
            return f'list({written}, "json")', "a JSON list", []
        separator = p.separator() if column == "units" or column == "approaches" else p.separator().strip()
        return f"list({written}, {json.dumps(separator or ';')})", f"a list parted by {separator!r}" if separator else "", []
    if column == "plate":
        return f"plate({written})", "in normal form", []
    if column == "author":
        return f"hash({written})", "kept as a keyed hash", []
    if column == "region" and p.states > 0.8:
        return f"state({written})", "as NCIC codes it", []
    return f"text({written})", "", []


def _time_said(m: Match) -> str:
    times = m.unit.times
    if times is None:
        return ""
    said = {"epoch": f"counted since 1970 ({times.unit}), UTC", "excel": "days as Excel counts them", "month": "a month"}.get(times.kind, "")
    if not said and times.formats:
        said = "as " + ", ".join("ISO 8601" if f == "iso" else f for f in times.formats[:3])
    if times.order_basis:
        said += f"; the {times.order} stands in front ({times.order_basis})"
    if times.share < 0.999:
        said += f"; {times.share:.1%} of the values fit"
    return said + (" with its own offset" if times.tail == "offset" else "")


def _truth(column: str, p: Profile) -> Made | None:
    if p.yes_no:
        if p.plain_yes_no:
            return f"yes_no({p.written})", "", []
        yes, no = p.yes_words()
        if yes and no:
            return f"yes_no({p.written}, {json.dumps(yes, ensure_ascii=False)}, {json.dumps(no, ensure_ascii=False)})", "", []
        return (f"one_of({p.written}, {', '.join(json.dumps(w, ensure_ascii=False) for w in yes)})" if yes else f"yes_no({p.written})"), "", []
    pattern = {"self_initiated": _OFFICER, "attempted": _ATTEMPT, "arrest": _ARREST}.get(column)
    words = [t for t in p.solid if pattern is not None and pattern.search(t)]
    if not words:
        if not p.given:
            return f"yes_no({p.written})", "", []
        return None
    others = [t for t in p.solid if t not in words]
    shown = ", ".join(json.dumps(w, ensure_ascii=False) for w in words[:20])
    return f"one_of({p.written}, {shown})", f"true for {', '.join(words[:3])}" + (f", false for {', '.join(others[:3])}" if others else ""), []


def _number(column: str, type_: str, p: Profile) -> Made:
    name = p.written
    if p.nothings:
        name = f"empty({name}, {', '.join(json.dumps(w, ensure_ascii=False) for w in p.nothings[:12])})"
    if column == "direction" and not p.number:
        return f"compass({p.written})", "points of the compass", []
    if p.number in ("comma", "thousands"):
        name = f"{p.number}({name})"
    if type_ == "BIGINT":
        return f"whole({name})", "", []
    factor, how, doubts = _factor(column, p)
    return (f"number({name}, {factor!r})" if factor != 1 else f"number({name})"), how, doubts


def _factor(column: str, p: Profile) -> tuple[float, str, list[str]]:
    if column == "confidence" and p.known and p.high > 1.5:
        return (0.01, "per cent", []) if p.known[-1] <= 100 else (0.001, "per mille", [])
    words = " ".join(synonyms.tokens(p.name)) + " " + p.name.lower()
    for pattern, factor, unit in _FACTORS.get(column, ()):
        if pattern.search(words):
            return factor, unit, []
    middle = p.known[len(p.known) // 2] if p.known else 0
    if column == "height_cm" and 48 <= middle <= 84:
        return 2.54, "inches, by their size", ["the unit is told from the numbers alone"]
    if column == "weight_kg" and middle > 120:
        return 0.45359237, "pounds, by their size", ["the unit is told from the numbers alone"]
    if column == "speed" and p.known:
        return 1.0, "", ["its unit is not known; it is taken as metres a second"]
    return 1.0, "", []

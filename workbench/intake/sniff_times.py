"""Which times do these texts show? Formats that fit all values or most, and what in them is not certain.

A text is matched with shapes of dates and clocks, not with a list of formats, so that every separator and order is seen. Whether the
day or the month stands first is decided by evidence over the whole sample (a number above 12, days that follow each other in the
file's order, another column) and is marked as open where there is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_WEEKDAY = r"(?P<weekday>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}),?\s+"
_DATES = (
    r"(?P<Y>\d{4})(?P<s>[-/.])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    r"(?P<A>\d{1,2})(?P<s>[/.\-])(?P<B>\d{1,2})(?P=s)(?P<y>\d{4}|\d{2})",
    r"(?P<d>\d{1,2})(?P<s>[- /.]?)(?P<b>[A-Za-z]{3,9})(?P<t>[- /.,]{1,2})(?P<y>\d{4}|\d{2})",
    r"(?P<b>[A-Za-z]{3,9})(?P<s>[ .\-]{1,2})(?P<d>\d{1,2})(?P<t>,? ?|-)(?P<y>\d{4})",
    r"(?P<Y>(?:19|20)\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])",
)
_CLOCK = (
    r"(?P<H>\d{1,2})(?P<c>[:hH])(?P<M>\d{2})(?:(?P<c2>[:mM])(?P<S>\d{2})(?P<f>[.,]\d{1,9})?)?(?P<gap> ?)"
    r"(?P<p>[AaPp]\.?[Mm]\.?)?(?P<word> ?(?:Uhr|hrs?|h)(?![a-z]))?|(?P<H4>\d{2})(?P<M4>\d{2})(?P<S4>\d{2})?"
)
_TAIL = r"\s*(?P<tail>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
_BETWEEN = r"(?P<between>[T_]|,?\s+(?:-|@|um|at|às|à)?\s*|)"
_WHOLE = [re.compile(rf"\s*(?:{_WEEKDAY})?{d}(?:{_BETWEEN}(?:{_CLOCK}){_TAIL})?\s*", re.I if "[A-Za-z]" in d else 0) for d in _DATES]
_ONLY_CLOCK = re.compile(rf"\s*(?:{_CLOCK.split('|(?P<H4>')[0]})\s*")
_MONTHS = {m: i for i, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}
_FULL = ("january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december")
_EPOCH = {"s": 1.0, "ms": 1e3, "us": 1e6}
_LOW, _HIGH = 315532800, 2208988800  # 1980, 2040
#: Share of the given values that must fit before a column counts as one of times.
ENOUGH = 0.8
#: Distinct values looked at, at most, taken evenly.
_MOST = 6000


@dataclass(frozen=True)
class Seen:
    """One text taken apart: its format with ``{A}`` and ``{B}`` where the order of day and month is open, and its parts."""

    form: str
    year: int
    a: int
    b: int
    clock: tuple[int, int, int] | None
    tail: str
    ordered: bool

    def at(self, day_first: bool) -> datetime | None:
        """The moment it shows, as written, without a zone."""
        month, day = (self.a, self.b) if self.ordered or not day_first else (self.b, self.a)
        hour, minute, second = self.clock or (0, 0, 0)
        try:
            return datetime(self.year, month, day, hour, minute, second)
        except ValueError:
            return None


@dataclass(frozen=True)
class Times:
    """What a column shows as times.

    Args:
        kind: moment, day, month, clock, fraction (of a day), hhmm, epoch, excel.
        formats: strptime formats, the most frequent first; "iso" for ISO 8601.
        share: of the given values that fit.
        tail: what stands behind the time: "", "Z" (any sign of UTC), "offset" (other offsets), or the word.
        unit: of an epoch or the length of a clock in digits.
        order: "day" or "month" where that had to be decided, else "".
        order_basis: what decided it; "" = nothing did.
        doubts: what is not certain, one sentence each.
    """

    kind: str
    formats: tuple[str, ...] = ()
    share: float = 1.0
    tail: str = ""
    unit: str = ""
    order: str = ""
    order_basis: str = ""
    slashes: bool = False
    midnights: float = 0.0
    doubts: tuple[str, ...] = field(default=())


@lru_cache(maxsize=200_000)
def seen(text: str) -> Seen | None:
    """A text as a date, with or without a time; None where it is none."""
    for shape in _WHOLE:
        match = shape.fullmatch(text)
        if match is None:
            continue
        g = match.groupdict()
        if shape is _WHOLE[3]:
            g["month_first"] = "1"
        month = _month(g)
        if g.get("b") is not None and month is None:
            continue
        clock = _clock(g)
        has_clock = g["H"] is not None or g["H4"] is not None
        if has_clock and clock is None:
            continue
        year = int(g.get("Y") or g["y"])
        year += 0 if year > 99 else 2000 if year < 69 else 1900
        ordered = g.get("A") is None
        a, b = (int(g["A"]), int(g["B"])) if not ordered else (month or int(g["m"]), int(g["d"]))
        if not (1 <= a <= 31 and 1 <= b <= 31 and 1850 <= year <= 2150):
            continue
        form = _date_form(g) + ((g["between"] if has_clock else "") + _clock_form(g) if has_clock else "")
        return Seen(re.sub(r"\s+", " ", form), year, a, b, clock, g["tail"] or "", ordered)
    return None


def _month(g: dict[str, str | None]) -> int | None:
    word = (g.get("b") or "").lower()
    return _MONTHS.get(word[:3]) if word in _MONTHS or word in _FULL or word == "may" else None


def _date_form(g: dict[str, str | None]) -> str:
    front = "" if g["weekday"] is None else ("%a" if len(g["weekday"]) == 3 else "%A") + ", "
    y = "%Y" if g.get("Y") or len(g["y"] or "") == 4 else "%y"
    if g.get("A"):
        return f"{front}{{A}}{g['s']}{{B}}{g['s']}{y}"
    if g.get("b"):
        b = "%b" if len(g["b"] or "") == 3 else "%B"
        return front + (f"{b}{g['s']}%d{g['t']}{y}" if "month_first" in g else f"%d{g['s']}{b}{g['t']}{y}")
    return f"{front}%Y{g.get('s') or ''}%m{g.get('s') or ''}%d"


def _clock(g: dict[str, str | None]) -> tuple[int, int, int] | None:
    hour, minute, second = (int(g[a] or g[b] or 0) for a, b in (("H", "H4"), ("M", "M4"), ("S", "S4")))
    half = (g["p"] or "")[:1].lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    return (hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _clock_form(g: dict[str, str | None]) -> str:
    if g["H4"] is not None:
        return "%H%M" + ("%S" if g["S4"] else "")
    form = ("%I" if g["p"] else "%H") + str(g["c"]) + "%M"
    if g["S"] is not None:
        form += f"{g['c2']}%S" + (f"{(g['f'] or '')[0]}%f" if g["f"] else "")
    return form + (f"{g['gap']}%p" if g["p"] else "") + (g["word"] or "")


def sniff(values: Counter[str], sequence: Sequence[str], *, day_first: bool | None = None, hint: bool = False) -> Times | None:
    """What the values show as times, None where too few do.

    Args:
        values: distinct texts (trimmed, none blank) and how often each is there.
        sequence: texts in the order of the file, to see days that follow one another.
        day_first: what another column of the file has shown.
        hint: the column's name speaks of a time, so that bare numbers may be one.
    """
    if len(values) > _MOST:
        step = len(values) / _MOST
        listed = list(values.items())
        values = Counter(dict(listed[int(i * step)] for i in range(_MOST)))
    total = sum(values.values())
    if not total:
        return None
    return _numbers(values, total, hint) or _clocks(values, total) or _dates(values, sequence, total, day_first)


def _dates(values: Counter[str], sequence: Sequence[str], total: int, day_first: bool | None) -> Times | None:
    forms: Counter[tuple[str, str]] = Counter()
    tails: Counter[str] = Counter()
    midnight, fits, months = 0, 0, 0
    first, second = 0, 0
    for text, n in values.items():
        got = seen(text)
        if got is None:
            months += n if re.fullmatch(r"(19|20)\d{2}[-/](0[1-9]|1[0-2])", text) else 0
            continue
        fits += n
        forms[got.form, got.tail if got.tail in ("UTC", "GMT") else ""] += n
        tails["Z" if got.tail in ("Z", "+00", "+00:00", "+0000", "UTC", "GMT") else "offset" if got.tail else ""] += n
        midnight += n if got.clock in (None, (0, 0, 0)) else 0
        if not got.ordered:
            first, second = first + n * (got.a > 12), second + n * (got.b > 12)
    if months >= ENOUGH * total and months > fits:
        separator = next(t for t in values if re.fullmatch(r"\d{4}[-/]\d{2}", t))[4]
        return Times("month", (f"%Y{separator}%m",), months / total, midnights=1.0)
    if fits < ENOUGH * total:
        return None
    order, basis, doubts = _order(first, second, sequence, day_first) if any("{A}" in f for f, _ in forms) else ("", "", [])
    a, b = ("%d", "%m") if order == "day" else ("%m", "%d")
    formats = list(dict.fromkeys(f.format(A=a, B=b) if "{A}" in f else f for (f, _), _ in forms.most_common(6)))
    tail = tails.most_common(1)[0][0]
    if len([t for t in tails if t]) > 1 or (tail and tails[""]):
        shown = ", ".join(f"{t or 'none'}: {n:,}" for t, n in tails.items())
        doubts.append(f"Some times name an offset from UTC and some do not ({shown}).")
    day = all("%H" not in f and "%I" not in f for f in formats)
    doubts += _half_days(values, formats)
    if any("%y" in f for f in formats):
        years = [s.year for s in map(seen, values) if s]
        doubts += ["Years have two digits; 69 to 99 are read as 1969 to 1999."] if max(years) - min(years) > 30 else []
    return Times(
        "day" if day or (midnight == fits and fits > 1) else "moment",
        tuple(_iso(formats)),
        fits / total,
        tail,
        order=order,
        order_basis=basis,
        slashes=any(f.startswith("%Y/") for f in formats),
        midnights=midnight / fits,
        doubts=tuple(doubts),
    )


def _iso(formats: list[str]) -> list[str]:
    """Formats of ISO 8601 replaced by that word."""
    return list(dict.fromkeys("iso" if re.fullmatch(r"%Y-%m-%d([T ]%H:%M(:%S(\.%f)?)?)?", f) else f for f in formats))


def _order(first: int, second: int, sequence: Sequence[str], day_first: bool | None) -> tuple[str, str, list[str]]:
    if first and second:
        order = "day" if first > second else "month"
        return (
            order,
            "most values",
            [
                f"Day and month change places: {first:,} values can only have the day in front, {second:,} only the month; "
                f"they are read with the {order} in front and the others are rejected."
            ],
        )
    if first or second:
        return ("day", f"{first:,} values have a number above 12 in front", []) if first else ("month", f"{second:,} values have a number above 12 behind", [])
    if day_first is not None:
        return ("day" if day_first else "month"), "another column of the file", []
    runs = {o: _follows([s.at(o) for s in map(seen, sequence[:3000]) if s]) for o in (True, False)}
    if max(runs.values()) > 0.97 and min(runs.values()) < max(runs.values()) - 0.03:
        order = "day" if runs[True] > runs[False] else "month"
        return order, "the file is in order of time that way", []
    return "month", "", ["No value tells whether the day or the month stands in front."]


def _follows(times: Sequence[datetime | None]) -> float:
    """Share of steps that go one way, up or down (the better of the two); 0 where there are too few different days."""
    known = [t for t in times if t is not None]
    if len({t.date() for t in known}) < 6 or len(known) < len(times):
        return 0.0
    steps = [(b - a).total_seconds() for a, b in zip(known, known[1:], strict=False) if a != b]
    return max(sum(s > 0 for s in steps), sum(s < 0 for s in steps)) / len(steps) if steps else 0.0


def _half_days(values: Counter[str], formats: Sequence[str]) -> list[str]:
    """AM and PM there on some values only."""
    if not any("%p" in f for f in formats) or not any("%H" in f for f in formats):
        return []
    return [_lost(values)]


def _lost(values: Counter[str]) -> str:
    plain = sum(n for t, n in values.items() if ":" in t and not re.search(r"[AaPp]\.?[Mm]", t))
    return f"{plain:,} of {sum(values.values()):,} times have lost their AM or PM; whether 8:31 is morning or evening cannot be told from them."


def _clocks(values: Counter[str], total: int) -> Times | None:
    forms: Counter[str] = Counter()
    hours: Counter[int] = Counter()
    for text, n in values.items():
        match = _ONLY_CLOCK.fullmatch(text)
        if match is None:
            continue
        g = {"H4": None, "M4": None, "S4": None, **match.groupdict()}
        clock = _clock(g)
        if clock is not None:
            forms[_clock_form(g)] += n
            hours[clock[0]] += n
    if sum(forms.values()) < ENOUGH * total:
        return None
    doubts: tuple[str, ...] = ()
    formats = [f for f, _ in forms.most_common(4)]
    if any("%p" in f for f in formats) and any("%H" in f for f in formats):
        doubts, formats = (_lost(values),), [f for f in formats if "%p" in f]
    return Times("clock", tuple(formats), sum(forms.values()) / total, midnights=hours[0] / total, doubts=doubts)


def _numbers(values: Counter[str], total: int, hint: bool) -> Times | None:
    """Counts of seconds, days, or digits of a clock."""
    numbers: list[tuple[float, int, str]] = []
    for text, n in values.items():
        if re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", text):
            numbers.append((float(text), n, text))
    if sum(n for _, n, _ in numbers) < ENOUGH * total:
        return None
    given = sum(n for _, n, _ in numbers)
    for unit, factor in _EPOCH.items():
        fits = sum(n for v, n, _ in numbers if _LOW * factor <= v <= _HIGH * factor)
        if fits >= 0.95 * given and not (unit == "s" and not hint and len(numbers) > 5 and _dense(numbers)):
            return Times("epoch", (), fits / total, unit=unit, midnights=sum(n for v, n, _ in numbers if v % (86400 * factor) == 0) / given)
    compact = sum(n for v, n, t in numbers if re.fullmatch(r"(19|20)\d{12}|(19|20)\d{6}", t) and seen(t))
    if compact >= 0.95 * given:
        return None
    if not hint:
        return None
    if all(0 <= v < 1 for v, _, _ in numbers) and sum("." in t for _, _, t in numbers) > 0.3 * len(numbers):
        return Times("fraction", (), given / total)
    for digits, high in ((4, 2359), (6, 235959)):
        fits = sum(n for v, n, _ in numbers if v == int(v) and 0 <= v <= high and v % 100 < 60 and (digits == 4 or v // 100 % 100 < 60))
        long = sum(n for v, n, _ in numbers if v >= (100 if digits == 4 else 10_000))
        if fits >= 0.97 * given and long >= 0.3 * given and max(v for v, _, _ in numbers) > (23 if digits == 4 else 2359):
            return Times("hhmm", ("%H%M" if digits == 4 else "%H%M%S",), fits / total, unit=str(digits))
    if sum(n for v, n, _ in numbers if 18000 <= v <= 60000) >= 0.97 * given:
        return Times("excel", (), given / total, midnights=sum(n for v, n, _ in numbers if v == int(v)) / given)
    return None


def _dense(numbers: Sequence[tuple[float, int, str]]) -> bool:
    """Whether numbers follow one another closely, as counted-up ids do, and no column name says that they are times."""
    values = sorted(v for v, _, _ in numbers)
    return (values[-1] - values[0]) / len(values) < 5


def walls(times: Times, texts: Sequence[str | None], clocks: Sequence[str | None] | None = None, clock: Times | None = None) -> list[datetime | None]:
    """The moments that a column (with ``clocks``: of days, beside one of clocks) shows, as written; None where there is none. Epochs are UTC."""
    days = [_wall(times, t) for t in texts]
    if clocks is None or clock is None:
        return days
    out = []
    for day, text in zip(days, clocks, strict=True):
        hour = None if text is None else wall_clock(clock, text.strip())
        out.append(None if day is None or hour is None else datetime(day.year, day.month, day.day) + hour)
    return out


def _wall(times: Times, text: str | None) -> datetime | None:
    if text is None or not text.strip():
        return None
    try:
        if times.kind == "epoch":
            return datetime.fromtimestamp(float(text) / _EPOCH[times.unit], UTC).replace(tzinfo=None)
        if times.kind == "excel":
            return datetime(1899, 12, 30) + timedelta(seconds=round(float(text) * 86400))
        if times.kind == "month":
            return datetime(int(text[:4]), int(text[5:7]), 1)
    except (ValueError, OverflowError, OSError):
        return None
    got = seen(text.strip())
    return got.at(times.order == "day") if got else None


def wall_clock(clock: Times, text: str) -> timedelta | None:
    """The hour that a text of a clock column shows, as time since midnight."""
    if clock.kind == "clock":
        match = _ONLY_CLOCK.fullmatch(text)
        got = _clock({"H4": None, "M4": None, "S4": None, **match.groupdict()}) if match else None
        if got is None or ("%p" in "".join(clock.formats) and not (match and match["p"])):
            return None
        return timedelta(hours=got[0], minutes=got[1], seconds=got[2])
    try:
        number = float(text)
    except ValueError:
        return None
    if clock.kind == "fraction":
        return timedelta(seconds=round(number * 86400)) if 0 <= number < 1 else None
    digits = f"{int(number):0{clock.unit or 4}d}"
    hour, minute, second = int(digits[:-2] if len(digits) == 4 else digits[:-4]), int(digits[-2:] if len(digits) == 4 else digits[-4:-2]), 0
    return timedelta(hours=hour, minutes=minute, seconds=second) if hour < 24 and minute < 60 else None


def with_order(times: Times, day_first: bool, basis: str) -> Times:
    """The same, with day or month in front as told from elsewhere."""
    left = tuple(d for d in times.doubts if not d.startswith("No value tells")) if basis else times.doubts
    if not times.order or times.order_basis or (times.order == "day") == day_first:
        return replace(times, order_basis=basis or times.order_basis, doubts=left)
    swapped = tuple(f.replace("%m", "\0").replace("%d", "%m").replace("\0", "%d") for f in times.formats)
    return replace(times, formats=swapped, order="day" if day_first else "month", order_basis=basis, doubts=left)

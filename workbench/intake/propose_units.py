"""What could fill a canonical column: raw columns as they are, and columns that only together say something (day and hour, parts of a date)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from workbench.intake import sniff_times, synonyms
from workbench.intake.sniff import Profile
from workbench.intake.sniff_file import Sample
from workbench.intake.sniff_times import Times

_WORDS_OF_TIME = frozenset(synonyms.tokens("date time hour hours clock day hr 24hr 24 uhrzeit zeit datum heure fecha hora data ora tijd month"))


@dataclass(frozen=True)
class Unit:
    """One thing that may fill a canonical column.

    Args:
        raw: the raw columns it is made of.
        names: their names as the header has them, for the match.
        times: what it shows as times; None for anything else.
        clock: of a day and a clock in two columns: the clock.
        expression: of times: how it is written, with ``{utc}`` undecided.
        doubts: what is not certain about it.
    """

    raw: tuple[str, ...]
    names: tuple[str, ...]
    profile: Profile
    times: Times | None = None
    clock: Profile | None = None
    expression: str = ""
    day_expression: str = ""
    doubts: tuple[str, ...] = field(default=())
    quality: float = 1.0

    def walls(self) -> list[datetime | None]:
        """The moments it shows, as written."""
        if self.times is None:
            return []
        if self.clock is not None and self.clock.times is not None:
            return sniff_times.walls(self.times, self.profile.values, self.clock.values, self.clock.times)
        return sniff_times.walls(self.times, self.profile.values)

    def score(self, table: str, column: str) -> float:
        """How well its name fits a canonical column, 0 to 1."""
        best = max(synonyms.score(n, table, column) for n in self.names)
        if self.times is not None:
            best = max([best, *(0.98 * synonyms.score(s, table, column) for n in self.names if (s := stem(n)))])
        return best


def stem(name: str) -> str:
    """A column's name without the words that say date or time; "" when nothing is left."""
    return " ".join(w for w in synonyms.split(name) if w not in _WORDS_OF_TIME)


def profiles(sample: Sample) -> dict[str, Profile]:
    """Every raw column with its values; whether the day stands first in dates is decided over all columns of the file together."""
    found = {n: Profile(n, sample.written[n], v, synonyms.speaks_of_time(n)) for n, v in sample.columns.items()}
    told = {p.times.order == "day" for p in found.values() if p.times is not None and p.times.order_basis}
    if len(told) == 1:
        order = told.pop()
        found = {n: replace(p, day_first=order) if p.times is not None and p.times.order and not p.times.order_basis else p for n, p in found.items()}
    return found


def units(found: dict[str, Profile], *, american: bool, west: bool) -> list[Unit]:
    """All units of a file.

    Args:
        found: the file's raw columns.
        american: where nothing tells, the month stands first.
        west: the zone lies west of Greenwich (a midnight kept as an epoch is then still of the same UTC day).
    """
    out: list[Unit] = []
    found = {n: p for n, p in found.items() if not _opened(n, p, found)}
    clocks = {n: p for n, p in found.items() if p.times is not None and p.times.kind in ("clock", "hhmm", "fraction")}
    for name, profile in found.items():
        if profile.times is None and _hours(profile):
            clocks[name] = profile
    paired: set[str] = set()
    for name, profile in found.items():
        times = profile.times
        if times is None or name in clocks:
            continue
        times = _ordered(times, american)
        partner = _partner(name, times, clocks, found, west)
        if partner is not None:
            paired.add(partner)
            out.append(_pair(profile, times, clocks[partner], west))
        out.append(_alone(profile, times, partner is not None))
    parts = _parts(found)
    if parts is not None:
        out.append(parts)
    out = _different(out)
    out += [Unit((n,), (n,), p) for n, p in found.items() if p.times is None or p.times.kind == "epoch" or n in clocks]
    return out


def _opened(name: str, profile: Profile, found: dict[str, Profile]) -> bool:
    """Whether a column holds JSON objects whose members stand as columns of their own."""
    return any(n.startswith(f"{name}.") for n in found) and all(t[:1] in "{[" for t in list(profile.texts)[:20])


def _different(units: list[Unit]) -> list[Unit]:
    """Without times in two columns that another column says in one."""
    single = [u.walls() for u in units if u.clock is None and u.times is not None and u.times.kind == "moment" and not u.times.tail]
    return [u for u in units if u.clock is None or not any(_same(u.walls(), w) for w in single)]


def _same(one: Sequence[datetime | None], other: Sequence[datetime | None]) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return len(pairs) > 0.5 * len(one) and all(a.replace(second=0) == b.replace(second=0) for a, b in pairs)


def _ordered(times: Times, american: bool) -> Times:
    if not times.order or times.order_basis:
        return times
    day_first = not american or any("." in f for f in times.formats)
    guess = sniff_times.with_order(times, day_first, "")
    said = "day" if day_first else "month"
    return replace(guess, doubts=(f"No value tells whether the day or the month stands in front; it is read with the {said} in front. Check it.",))


def _alone(profile: Profile, times: Times, has_partner: bool) -> Unit:
    written = _empty(profile)
    kind = {"moment": 1.0, "epoch": 1.0, "excel": 0.97, "day": 0.9, "month": 0.8}.get(times.kind, 0.9)
    quality = kind * (0.6 + 0.4 * times.share) * (0.6 if has_partner else 1.0)
    return Unit((profile.name,), (profile.name,), profile, times, None, expression(written, times), doubts=times.doubts, quality=quality)


def _empty(profile: Profile) -> str:
    """How a column of numbers or times is named, with the words in it that mean nothing."""
    if not profile.nothings:
        return profile.written
    return f"empty({profile.written}, {', '.join(json.dumps(w, ensure_ascii=False) for w in profile.nothings[:12])})"


def expression(written: str, times: Times) -> str:
    """How a column of times is read."""
    formats = ", ".join(json.dumps(f, ensure_ascii=False) for f in times.formats)
    if times.kind == "epoch":
        return f'epoch({written}, "{times.unit}")'
    if times.kind == "excel":
        return f"excel({written})"
    if times.tail:
        named = written if not times.slashes else f'replace({written}, "/", "-")'
        if all(f == "iso" or f.startswith("%Y/") for f in times.formats):
            return f"utc({named})"
        return f"utc(bare({written}), {formats})" if times.tail == "Z" else f"time({written}, {formats})"
    return f"time({written}, {formats})"


def as_wall(unit: Unit) -> Unit:
    """The same unit read as wall-clock time although it says UTC."""
    formats = ", ".join(json.dumps(f, ensure_ascii=False) for f in (unit.times.formats if unit.times is not None else ()))
    return replace(unit, expression=f"time(bare({_empty(unit.profile)}), {formats})")


def _hours(profile: Profile) -> bool:
    """Whole numbers from 0 to 23 under a name that says hour."""
    named = {"hour", "stunde", "heure", "hora", "ora", "uur", "uhrzeit"} & set(synonyms.tokens(profile.name))
    return bool(named) and profile.number == "plain" and profile.whole and profile.known[0] >= 0 and 3 < profile.known[-1] <= 23


def _partner(name: str, times: Times, clocks: dict[str, Profile], found: dict[str, Profile], west: bool) -> str | None:
    """The clock column that belongs to a column of days, None where there is none."""
    dateless = times.kind in ("day", "epoch", "excel") or times.midnights > 0.97 or (west and times.tail in ("Z", "") and _same_hour(found[name], times))
    if not dateless or not clocks or (times.kind == "epoch" and times.midnights < 0.97 and not _same_hour(found[name], times)):
        return None
    mine, order = set(synonyms.split(stem(name))), list(found)
    ranked = []
    for other in clocks:
        its = set(synonyms.split(stem(other)))
        alike = len(mine & its) / max(1, len(mine | its)) if mine or its else 1.0
        ranked.append((alike, -abs(order.index(other) - order.index(name)), other))
    alike, distance, other = max(ranked)
    days = [n for n, p in found.items() if p.times is not None and p.times.kind in ("day", "moment", "epoch", "excel") and n not in clocks]
    alone = len(days) == 1 and len(clocks) == 1
    beside = distance == -1 and order.index(other) == order.index(name) + 1
    generic = not set(synonyms.split(stem(other))) or not mine
    return other if alike >= 0.5 or alone or (beside and (generic or alike > 0)) else None


def _same_hour(profile: Profile, times: Times) -> bool:
    """Moments that all stand at one or two full hours: midnights of another zone, summer and winter."""
    walls = [w for w in sniff_times.walls(times, profile.values) if w is not None]
    return len(walls) >= 8 and len({w.hour for w in walls}) <= 2 and all(w.minute == 0 and w.second == 0 for w in walls)


def _pair(day: Profile, times: Times, clock: Profile, west: bool) -> Unit:
    """A day and a clock in two columns."""
    wall = clock.times
    day_written, clock_written = _empty(day), _empty(clock)
    if times.kind == "epoch":
        mode = "utc" if times.midnights > 0.97 or west else "local"
        day_written, forms = f'epoch_day({day_written}, "{times.unit}", "{mode}")', ["%Y-%m-%d"]
    elif times.kind == "excel":
        day_written, forms = f"excel_day({day_written})", ["%Y-%m-%d"]
    else:
        forms = [_day_form(f) for f in times.formats]
        if any(_day_form(f) != f for f in times.formats) or (times.formats == ("iso",) and any("T" in t or ":" in t for t in list(day.solid)[:50])):
            day_written = f"day({day_written})"
    if wall is None:
        clocks = ["%H"]
    elif wall.kind == "hhmm":
        clock_written, clocks = f"pad({clock_written}, {wall.unit})", list(wall.formats)
    elif wall.kind == "fraction":
        clock_written, clocks = f"clock({clock_written})", ["%H:%M:%S"]
    else:
        clocks = list(wall.formats)
    formats = [f"{d} {c}" for d in dict.fromkeys(forms) for c in clocks][:8]
    formats = ["iso" if f in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M") else f for f in formats]
    shown = ", ".join(json.dumps(f, ensure_ascii=False) for f in dict.fromkeys(formats))
    doubts = times.doubts + (wall.doubts if wall is not None else ("Only the hour is given.",))
    missing = sum(c is None or not c.strip() for d, c in zip(day.values, clock.values, strict=True) if d is not None and d.strip())
    alone = expression(_empty(day), times) if times.kind not in ("epoch",) else ""
    return Unit(
        (day.name, clock.name),
        (f"{day.name} {clock.name}", day.name, clock.name),
        day,
        times,
        clock,
        f"date_and_time({day_written}, {clock_written}, {shown})",
        alone if missing else "",
        doubts,
        0.99 * (0.6 + 0.4 * times.share) * (0.5 if wall is not None and wall.doubts else 1.0),
    )


def _day_form(form: str) -> str:
    """The part of a format that is the day."""
    if form == "iso":
        return "%Y-%m-%d"
    return re.split(r"[ T_]?(?=%[HI])", form)[0].rstrip(" ,-@")


_PARTS = ("year", "month", "day", "hour", "minute")
_PART_WORDS = {
    "year": {"year", "jahr", "annee", "ano", "anno", "jaar", "yr", "yyyy"},
    "month": {"month", "monat", "mois", "mes", "mese", "maand", "mon", "mm"},
    "day": {"day", "tag", "jour", "dia", "giorno", "dag", "dd"},
    "hour": {"hour", "stunde", "heure", "hora", "ora", "uur", "hr", "hh"},
    "minute": {"minute", "minuten", "minuto", "min", "minuut", "mi"},
}
_RANGES = {"year": (1900, 2100), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}


def _parts(found: dict[str, Profile]) -> Unit | None:
    """Year, month and day (hour, minute) in columns of their own."""
    taken: dict[str, Profile] = {}
    for part in _PARTS:
        low, high = _RANGES[part]
        for name, p in found.items():
            named = _PART_WORDS[part] & set(re.findall(r"[a-z]+", name.lower()))
            fits = p.number == "plain" and p.whole and p.known and low <= p.known[0] and p.known[-1] <= high
            if named and fits and all(t.name != name for t in taken.values()):
                taken[part] = p
                break
    if not {"year", "month", "day"} <= set(taken):
        return None
    used = [part for part in _PARTS if part in taken and (part != "minute" or "hour" in taken)]
    form = " ".join({"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M"}[p] for p in used)
    texts: list[str | None] = []
    for row in zip(*(taken[p].numbers for p in used), strict=True):
        whole = [int(v) for v in row if v is not None]
        clock = f" {whole[3]:02d}:{(whole[4] if len(whole) > 4 else 0):02d}" if len(whole) == len(row) > 3 else ""
        texts.append(f"{whole[0]:04d}-{whole[1]:02d}-{whole[2]:02d}{clock}" if len(whole) == len(row) else None)
    joined = Profile(" ".join(taken[p].name for p in used), "", texts)
    if joined.times is None:
        return None
    written = f'time(join({", ".join(taken[p].written for p in used)}, " "), "{form}")'
    return Unit(tuple(taken[p].name for p in used), ("date time",), joined, joined.times, None, written, quality=0.95 if "hour" in used else 0.85)


def numbered(names: Sequence[str]) -> str:
    """Some names for a sentence."""
    shown = ", ".join(repr(n) for n in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")

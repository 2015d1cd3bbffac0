"""Texts cut and joined out of raw columns, for the functions of a mapping file (``loaders.kit.phrases``), and what those are made of.

The first line of each docstring is how the function is written and what it gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import BadInput
from workbench.loaders.kit import expressions as x


@dataclass(frozen=True)
class Raw:
    """Text of a record, as SQL: a raw column, or something cut or joined out of raw columns."""

    sql: str


@dataclass(frozen=True)
class Value:
    """The value of one canonical column: what it is, and its SQL."""

    kind: str
    sql: str


@dataclass(frozen=True)
class Place:
    """The values of ``lon`` and ``lat``."""

    columns: Mapping[str, str]


@dataclass
class Columns:
    """Which raw columns and asked-for names the expressions of a mapping use, in order of their use."""

    columns: dict[str, None] = field(default_factory=dict)
    asked: dict[str, None] = field(default_factory=dict)

    def raw(self, given: Any, where: str) -> str:
        """SQL of the raw text that an argument names."""
        if isinstance(given, Raw):
            return given.sql
        if isinstance(given, str):
            if not given:
                raise BadInput(f"{where} needs the name of a column; it was given an empty text.")
            self.columns[given] = None
            return x.column(given)
        raise BadInput(f"{where} needs the name of a column in quotes; it was given {short(shown(given))}.")


def short(text: str) -> str:
    """A text cut to 80 characters, for messages."""
    return text if len(text) <= 80 else text[:77] + "..."


def shown(value: Any) -> str:
    """An argument in words, for messages."""
    return {Value: "a finished value", Place: "a place"}.get(type(value), repr(value))


def words(given: Any, where: str) -> str:
    """An argument that must be a text with something in it."""
    if not isinstance(given, str) or not given:
        raise BadInput(f"{where} needs a text in quotes; it was given {short(shown(given))}.")
    return given


def count(given: Any, where: str, low: int = 1, high: int = 1000) -> int:
    """An argument that must be a whole number of some range."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise BadInput(f"{where} needs a whole number from {low} to {high}; it was given {short(shown(given))}.")
    return given


def join(r: Columns, *pieces: Any) -> Raw:
    """`join("House", "Street", " ")`: the columns' texts behind one another with the last argument between; what is blank is left out."""
    if len(pieces) < 3:
        raise BadInput('join(...) needs two columns or more and, last, what stands between them: join("House", "Street", " ").')
    if not isinstance(pieces[-1], str):
        raise BadInput('join(...) ends with the text between the pieces, e.g. " ".')
    between = x.quoted(pieces[-1])
    return Raw(f"nullif(concat_ws({between}, {', '.join(x.text(r.raw(p, 'join')) for p in pieces[:-1])}), '')")


def part(r: Columns, column: Any, separator: Any, number: Any) -> Raw:
    """`part("Title", ":", 2)`: one piece of a text that is parted by something, 1 = the first."""
    sql = f"split_part({r.raw(column, 'part')}, {x.quoted(words(separator, 'part'))}, {count(number, 'part')})"
    return Raw(f"nullif(trim({sql}), '')")


def day(r: Columns, column: Any) -> Raw:
    """`day("Date")`: what stands before the first blank or T: the day of a text that has a time too."""
    return Raw(f"regexp_extract({r.raw(column, 'day')}, '^\\s*([^\\sT]+)', 1)")


def pad(r: Columns, column: Any, length: Any) -> Raw:
    """`pad("Time", 4)`: zeros put in front until it has that many characters; blank stays blank."""
    raw, wide = r.raw(column, "pad"), count(length, "pad", 1, 20)
    bare = f"regexp_replace({x.text(raw)}, '^(\\d+)\\.0+$', '\\1')"
    return Raw(f"(case when length({bare}) < {wide} then lpad({bare}, {wide}, '0') else {bare} end)")


def clock(r: Columns, column: Any) -> Raw:
    """`clock("Time")`: a fraction of a day (0.75) as 18:00:00."""
    number = f"try_cast({r.raw(column, 'clock')} as double)"
    span = f"to_microseconds(cast(round({number} * 86400) as bigint) * 1000000)"
    return Raw(f"(case when {number} >= 0 and {number} < 1 then strftime(timestamp '2000-01-01 00:00:00' + {span}, '%H:%M:%S') end)")


def epoch_day(r: Columns, column: Any, unit: Any = "s", where: Any = "local") -> Raw:
    """`epoch_day("Date", "s", "utc")`: the day (2026-05-31) of a count since 1970, in UTC or ("local") on the wall clocks of the zone."""
    if unit not in ("s", "ms", "us") or where not in ("utc", "local"):
        raise BadInput('epoch_day(...) takes a unit ("s", "ms", "us") and "utc" or "local".')
    count = f"try_cast({r.raw(column, 'epoch_day')} as double) * { {'s': 1e6, 'ms': 1e3, 'us': 1.0}[unit]!r}"
    moment = f"make_timestamp(cast(case when abs({count}) < 1e17 then {count} end as bigint))"
    return Raw(f"strftime({moment}, '%Y-%m-%d')" if where == "utc" else f"strftime(timezone({x.quoted(x.ZONE)}, timezone('UTC', {moment})), '%Y-%m-%d')")


def excel_day(r: Columns, column: Any) -> Raw:
    """`excel_day("Date")`: the day (2026-05-31) of a count of days as Excel has it."""
    number = f"try_cast({r.raw(column, 'excel_day')} as double)"
    return Raw(f"(case when {number} between 1 and 80000 then strftime(date '1899-12-30' + cast(floor({number}) as integer), '%Y-%m-%d') end)")


def replace(r: Columns, column: Any, old: Any, new: Any) -> Raw:
    """`replace("Column", "/", "-")`: one text put for another, everywhere."""
    if not isinstance(new, str):
        raise BadInput("replace(...) needs a text to put in, which may be empty.")
    return Raw(f"replace({r.raw(column, 'replace')}, {x.quoted(words(old, 'replace'))}, {x.quoted(new)})")


def bare(r: Columns, column: Any) -> Raw:
    """`bare("Time")`: a time without the Z or +00 at its end, for exports that say UTC and mean wall time."""
    return Raw(f"regexp_replace({r.raw(column, 'bare')}, '\\s*(Z|[+-]\\d\\d(:?\\d\\d)?)\\s*$', '')")


def comma(r: Columns, column: Any) -> Raw:
    """`comma("Longitude")`: a number with a decimal comma; points and blanks in it part thousands."""
    return Raw(f"replace(replace(replace({r.raw(column, 'comma')}, '.', ''), ' ', ''), ',', '.')")


def thousands(r: Columns, column: Any) -> Raw:
    """`thousands("X")`: a number whose thousands are parted by commas."""
    return Raw(f"replace({r.raw(column, 'thousands')}, ',', '')")


def minus(r: Columns, column: Any) -> Raw:
    """`minus("Longitude")`: a number that lost its minus sign; one that has it stays as it is."""
    raw = r.raw(column, "minus")
    return Raw(f"(case when try_cast({raw} as double) > 0 then '-' || trim({raw}) else {raw} end)")


def scaled(r: Columns, column: Any, factor: Any) -> Raw:
    """`scaled("Lat", 0.000001)`: a number times a factor."""
    if isinstance(factor, bool) or not isinstance(factor, (int, float)):
        raise BadInput("scaled(...) needs a number as its factor.")
    raw = r.raw(column, "scaled")
    return Raw(f"coalesce(cast(try_cast({raw} as double) * {float(factor)!r} as varchar), {raw})")


def dms(r: Columns, column: Any) -> Raw:
    """`dms("Longitude")`: degrees, minutes and seconds (41°52'12.5"N, also with W, E, S in front or behind) as degrees."""
    raw = r.raw(column, "dms")
    numbers = f"regexp_extract_all({raw}, '\\d+(?:[.,]\\d+)?')"
    piece = [f"coalesce(try_cast(replace({numbers}[{i}], ',', '.') as double), 0)" for i in (1, 2, 3)]
    sign = f"(case when regexp_matches({raw}, '(?i)[SWO]|^\\s*-') then -1 else 1 end)"
    return Raw(f"(case when len({numbers}) between 1 and 3 then cast({sign} * ({piece[0]} + {piece[1]} / 60 + {piece[2]} / 3600) as varchar) else {raw} end)")


def empty(r: Columns, column: Any, *these: Any) -> Raw:
    """`empty("Column", "-", "None")`: the text, but nothing where it is one of the words."""
    if not these:
        raise BadInput('empty(...) needs the words that mean nothing: empty("Column", "-", "None").')
    raw = r.raw(column, "empty")
    return Raw(f"(case when trim({raw}) not in ({', '.join(x.quoted(words(w, 'empty')) for w in these)}) then {raw} end)")


def member(r: Columns, column: Any, path: Any) -> Raw:
    """`member("vehicle", "$.plate.text")`: a member of a column that holds JSON."""
    where = words(path, "member")
    if not re.fullmatch(r'\$(\.("[^"\\]+"|[\w@#:-]+)|\[\d+\])*', where):
        raise BadInput(f"member(...): {short(where)!r} is not a path such as '$.vehicle.plate' or '$.units[0]'.")
    return Raw(x.member(r.raw(column, "member"), where))


def said(r: Columns, name: Any) -> Raw:
    """`said("case_number")`: what is said with the load, --set case_number=...; it must stand under [asks]."""
    word = words(name, "said")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
        raise BadInput(f"said(...): {word!r} is not a name; use small letters, digits and _.")
    r.asked[word] = None
    return Raw(x.said(word))

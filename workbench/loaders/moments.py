"""A time however it is written, as a DuckDB expression: for sources whose files come from many makers.

Where ``loaders.expressions`` reads the one format of a known export, these try several. A month stands before its day.
"""

from __future__ import annotations

from workbench.loaders.expressions import ZONE, Reading, local_time, quoted, text

#: Formats of a day, the month first, a four-digit year behind a two-digit one (which would be taken for the first century).
DAYS = ("%m/%d/%y", "%m/%d/%Y", "%Y%m%d", "%d-%b-%y", "%d-%b-%Y", "%Y/%m/%d", "%b %d, %Y")
_CLOCKS = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S.%f")
_STAMPS = (*(d + c for d in ("%m/%d/%y", "%m/%d/%Y", "%Y/%m/%d") for c in _CLOCKS),
           "%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%d %H%M", "%Y%m%d%H%M%S")


def any_time(expr: str, zone: str = ZONE) -> Reading:
    """A moment as UTC. A wall clock is of ``zone`` unless an offset or Z stands behind it; bare digits are seconds, milliseconds or
    microseconds since 1970 by their number (10, 13, 16), or yyyymmddhhmmss (14) and yyyymmdd (8); a day alone is its midnight."""
    given = f"trim({expr})"
    wall = local_time(expr, "iso", *_STAMPS, *DAYS, zone=zone)
    count = f"try_cast({given} as hugeint)"
    whole = "^[0-9]{%s}(\\.[0-9]+)?$"
    cases = [
        f"when regexp_matches({given}, {quoted(whole % '9,10')}) then to_timestamp(try_cast({given} as double))",
        f"when regexp_matches({given}, '^[0-9]{{13}}$') then timezone('UTC', make_timestamp_ms({count}::bigint))",
        f"when regexp_matches({given}, '^[0-9]{{16}}$') then timezone('UTC', make_timestamp({count}::bigint))",
        f"when {_offset(given)} then try_cast({given} as timestamptz)",
    ]
    return Reading.of(f"(case {' '.join(cases)} else {wall} end)", text(expr), wall.steps, f"(case {' '.join(cases)} else {wall.quick} end)")


def stamp(time: str, date: str) -> str:
    """One text out of two raw columns that may hold a moment together: a clock (13:05, 1:05 PM, 1305, or just the hour) is put behind its
    date, whose own midnight is left out; what is a whole moment already stays alone."""
    clock, day_ = text(time), text(date)
    bare = f"regexp_matches({clock}, '^[0-9]{{1,2}}(:[0-9]{{2}}){{1,2}}(\\.[0-9]+)?( ?[AaPp]\\.?[Mm]\\.?)?$|^[0-9]{{1,4}}$')"
    digits = f"regexp_matches({clock}, '^[0-9]+$')"
    padded = f"(case when length({clock}) <= 2 then lpad({clock}, 2, '0') || '00' else lpad({clock}, 4, '0') end)"
    shown = f"(case when {digits} then left({padded}, 2) || ':' || right({padded}, 2) else {clock} end)"
    plain = f"regexp_replace({day_}, '([T ]0?0:00(:00(\\.0+)?)?|[T ]12:00(:00)? AM)$', '')"
    return f"(case when {clock} is null then {day_} when {day_} is null then {clock} when {bare} then {plain} || ' ' || {shown} else {clock} end)"


def until(expr: str, zone: str = ZONE) -> Reading:
    """The end of a span: a day alone counts to its end (the midnight behind it), anything else as in ``any_time``."""
    given = f"trim({expr})"
    alone, moment = _day(given), any_time(expr, zone)
    end = f"timezone({quoted(zone)}, {alone} + interval 1 day)"
    both = (f"(case when {alone} is not null then {end} else {m} end)" for m in (moment, moment.quick))
    return Reading.of(next(both), text(expr), moment.steps, next(both))


def day(expr: str) -> Reading:
    """A day without time in any of the usual forms; a time behind it is left out."""
    given = f"trim({expr})"
    first = f"regexp_extract({given}, '^[^ T]+')"
    return Reading.of(f"cast(coalesce({_day(given)}, {_day(first)}) as date)", text(expr))


def precise(expr: str) -> str:
    """The ``time_precision`` of what ``any_time`` reads: "day" where no clock is given, else null."""
    return f"(case when {_day(f'trim({expr})')} is not null then 'day' end)"


def _day(given: str) -> str:
    """The midnight of a text that is a day and nothing else."""
    plain = f"(case when regexp_matches({given}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$') then try_cast({given} as timestamp) end)"
    tries = ", ".join(f"try_strptime({given}, {quoted(f)})" for f in DAYS)
    return f"(case when {given} between '0' and '[' and length({given}) <= 12 then coalesce({plain}, {tries}) end)"


def _offset(given: str) -> str:
    return f"regexp_matches({given}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9:.]+ ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$')"

"""A time however it is written, as a DuckDB expression: for sources whose files come from many makers.

Where ``loaders.kit.expressions`` reads the one format of a known export, these tell the format of each text. A month stands before its day.
The text is bound once (``list_transform([text], lambda t: ...)[1]``), so that the expression stays small however often it is looked at.
"""

from __future__ import annotations

from workbench.loaders.kit.expressions import ZONE, Reading, Stepped, _ref, _step, quoted, text

#: What sets a text apart -> how its day is written. Two digits of a year are told apart first: strptime's %Y takes 26 for the year 26.
_DAYS = (
    ("regexp_matches(t, '^[0-9]{4}-')", "%Y-%m-%d"),
    ("contains(t, '/') and regexp_matches(t, '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}([^0-9]|$)')", "%m/%d/%y"),
    ("contains(t, '/') and not regexp_matches(t, '^[0-9]{4}/')", "%m/%d/%Y"),
    ("contains(t, '/')", "%Y/%m/%d"),
    ("regexp_matches(t, '^[0-9]{1,2}-[A-Za-z]{3}-[0-9]{2}([^0-9]|$)')", "%d-%b-%y"),
    ("regexp_matches(t, '^[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}')", "%d-%b-%Y"),
    ("regexp_matches(t, '^[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}')", "%m-%d-%Y"),
    ("regexp_matches(t, '^[A-Za-z]{3} [0-9]{1,2}, [0-9]{4}')", "%b %d, %Y"),
    ("regexp_matches(t, '^(19|20)[0-9]{6}( |$)')", "%Y%m%d"),
)
_HALF_DAY, _FULL_DAY = (" %I:%M:%S %p", " %I:%M %p", " %I %p"), ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " - %H:%M:%S")


_WITH_OFFSET = ("case when regexp_matches(t, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+ ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$') then try_cast(t as timestamptz) end")
_SINCE_1970 = ("case when regexp_matches(t, '^[0-9]{9,10}([.][0-9]+)?$') then to_timestamp(try_cast(t as double)) "
               "when regexp_matches(t, '^[0-9]{13}$') then timezone('UTC', make_timestamp_ms(try_cast(t as bigint))) "
               "when regexp_matches(t, '^[0-9]{16}$') then timezone('UTC', make_timestamp(try_cast(t as bigint))) end")


def any_time(expr: str, zone: str = ZONE) -> Reading:
    """A moment as UTC. A wall clock is of ``zone`` unless an offset or Z stands behind it; bare digits are seconds, milliseconds or
    microseconds since 1970 by their number (10, 13, 16), or yyyymmddhhmmss (14) and yyyymmdd (8); a day alone is its midnight."""
    wall = _wall(expr)
    step, zone_ = _step(wall), quoted(zone)

    def first(wall: str) -> str:
        at = f"timezone({zone_}, {wall})"
        earlier = f"make_timestamptz(epoch_us({at}) - 3600000000)"
        return f"coalesce({absolute}, case when timezone({zone_}, {earlier}) = {wall} then {earlier} else {at} end)"

    absolute = _bound(expr, f"case when contains(t, '/') then null when contains(t, '-') then {_WITH_OFFSET} else {_SINCE_1970} end")
    once = ((_step(expr), expr),) if "(" in expr else ()
    return Reading.of(first(wall), text(expr), (*once, (step, wall)), first(_ref(step)))


def stamp(time: str, date: str) -> str:
    """One text out of two raw columns that may hold a moment together: a clock (13:05, 1:05 PM, 1305, or just the hour) is put behind its
    date, whose own midnight is left out; what is a whole moment already stays alone."""
    clock, day_ = text(time), text(date)
    bare = "^[0-9]{1,2}(:[0-9]{2}){1,2}([.][0-9]+)?( ?[AaPp][Mm])?$|^[0-9]{1,4}$"
    shown = (f"case when contains({clock}, ':') then {clock} when length({clock}) <= 2 then {clock} || ':00' "
             f"else left(lpad({clock}, 4, '0'), 2) || ':' || right({clock}, 2) end")
    midnight = "([T ]0?0:00(:00([.]0+)?)?|[T ]12:00(:00)? AM)$"
    both = f"regexp_replace({day_}, {quoted(midnight)}, '') || ' ' || {shown}"
    return (f"(case when {day_} is null then {clock} when {clock} is null then {day_} "
            f"when regexp_matches({clock}, {quoted(bare)}) then {both} else {clock} end)")


def until(expr: str, zone: str = ZONE) -> Reading:
    """The end of a span: a day alone counts to its end (the midnight behind it), anything else as in ``any_time``."""
    moment, alone = any_time(expr, zone), _midnight(expr)
    end = f"timezone({quoted(zone)}, {alone} + interval 1 day)"
    return Reading.of(f"coalesce({end}, {moment})", text(expr), moment.steps, f"coalesce({end}, {moment.quick})")


def day(expr: str) -> Reading:
    """A day without time in any of the usual forms; a time behind it is left out."""
    return Reading.of(f"cast({_wall(expr)} as date)", text(expr))


def precise(expr: str) -> str:
    """The ``time_precision`` of what ``any_time`` reads: "day" where no clock is given, else null."""
    return f"(case when {_midnight(expr)} is not null then 'day' end)"


def held(sql: str) -> Stepped:
    """The same expression, computed once for all the columns of a part that use it."""
    return Stepped(sql, ((_step(sql), str(sql)),))


def _bound(expr: str, body: str) -> str:
    """``body`` over the trimmed text, which it calls t."""
    return f"list_transform([trim({expr})], lambda t: {body})[1]"


def _wall(expr: str) -> str:
    """The wall-clock time of a text, null where it is none; a day alone is its midnight."""

    def tries(day_: str, clocks: tuple[str, ...]) -> str:
        return ", ".join(f"try_strptime(t, {quoted(day_ + clock)})" for clock in clocks)

    cases = []
    for apart, form in _DAYS:
        whole = "try_cast(t as timestamp)" if form == "%Y-%m-%d" else f"coalesce({tries(form, _FULL_DAY)})"
        cases.append(f"when {apart} then case when t ilike '%m' then coalesce({tries(form, _HALF_DAY)}) when t >= '0' then {whole} end")
    run = "when regexp_matches(t, '^(19|20)[0-9]{12}$') then try_strptime(t, '%Y%m%d%H%M%S')"
    return _bound(expr, f"case {' '.join(cases)} {run} end")


def _midnight(expr: str) -> str:
    """The midnight of a text that is a day and nothing else."""
    cases = " ".join(f"when {apart} then try_strptime(t, {quoted(form)})" for apart, form in _DAYS)
    return _bound(expr, f"case when length(t) > 12 then null {cases} end")

"""Expressions for times that do not stand in one field as one text: a day and a clock, a month, an epoch, a fraction of a day; and for
what several fields or several records say together. As in ``loaders.kit.expressions``, SQL over raw text goes in and SQL comes out."""

from __future__ import annotations

from workbench.loaders.kit.expressions import ZONE, Reading, Stepped, _ref, _step, date, quoted, text, to_utc

_DAY = ("iso", "%m/%d/%Y")
_STAGES = ("received", "dispatched", "en route", "arrived", "cleared", "closed")
#: Doubt about a call whose export does not say when it was received: its first time known stands for that.
NOT_RECEIVED = "no time received, the first time known stands for it"


def wall_time(wall: str, given: str, zone: str = ZONE) -> Reading:
    """A TIMESTAMP without zone, computed out of raw columns, as UTC, by the rule of ``expressions.local_time``.

    Args:
        wall: SQL of the wall-clock time.
        given: SQL of the raw text it came from, null where nothing was given.
    """
    step = _step(wall)
    return Reading.of(to_utc(wall, zone), given, ((step, wall),), to_utc(_ref(step), zone))


def epoch_s(expr: str) -> Reading:
    """Seconds since 1970-01-01 UTC."""
    count = f"try_cast({expr} as bigint)"
    return Reading.of(f"timezone('UTC', make_timestamp(case when abs({count}) < 250000000000 then {count} * 1000000 end))", text(expr))


def seconds(clock: str) -> str:
    """Seconds since midnight of 23:59, 23:59:59 or 2359, with or without leading zeros (130 = 01:30, 0 = midnight); 24:00 is the midnight
    that ends the day. Null for anything else."""
    clean = f"(case when length(trim({clock})) between 1 and 3 then lpad(trim({clock}), 4, '0') else trim({clock}) end)"
    parts = f"regexp_extract({clean}, '^([0-9]{{1,2}}):?([0-9]{{2}})(?::([0-9]{{2}})(?:[.]0+)?)?$', ['h', 'm', 's'])"
    read = ", ".join(f"{p} := coalesce(try_cast(t.{p} as bigint), {other})" for p, other in (("h", "null"), ("m", "null"), ("s", "0")))
    total = "(t.h * 3600 + t.m * 60 + t.s)"
    return (f"(list_transform(list_transform([{parts}], lambda t: struct_pack({read})), "
            f"lambda t: case when t.m < 60 and t.s < 60 and {total} <= 86400 then {total} end)[1])")


def on_clock(day: str, clock: str, *formats: str, bare: str = "start") -> Reading:
    """A day and a clock time that stand in two columns.

    Args:
        day: its column, in ``formats`` of strptime or "iso" (default: ISO or 12/31/2026); the time it may carry is not looked at.
        clock: its column, see ``seconds``.
        bare: what a day without a clock time means: its "start" or its "end".
    """
    read = date(day, *(formats or _DAY))
    without = 0 if bare == "start" else 86400
    since = f"(case when {text(clock)} is null then {without} else {seconds(clock)} end)"
    return wall_time(f"(cast({read} as timestamp) + to_seconds({since}))", read.given)


def on_fraction(day: str, fraction: str, *formats: str) -> Reading:
    """A day, and a time of day as a fraction of it (0.5 = noon), as spreadsheets keep it; rounded to the second."""
    read = date(day, *(formats or _DAY))
    share = f"try_cast({fraction} as double)"
    since = f"(case when {share} >= 0 and {share} < 1 then cast(round({share} * 86400) as bigint) end)"
    return wall_time(f"(cast({read} as timestamp) + to_seconds({since}))", read.given)


def either(*tries: Reading) -> Reading:
    """The first of several readings of one raw text that can read it."""
    steps: dict[str, str] = {}
    for one in tries:
        steps.update(one.steps)
    probe = f"coalesce({', '.join(one.probe or one.quick for one in tries)})" if any(one.probe for one in tries) else ""
    return Reading.of(f"coalesce({', '.join(tries)})", tries[0].given, tuple(steps.items()), f"coalesce({', '.join(one.quick for one in tries)})", probe)


def instead(first: Reading, other: Reading) -> Reading:
    """The first reading; the other where nothing was given for the first. What was given and cannot be read stays unreadable."""
    steps = dict([*first.steps, *other.steps])

    def chosen(first_sql: str, other_sql: str) -> str:
        return f"(case when {first.given} is null then {other_sql} else {first_sql} end)"

    return Reading.of(chosen(first, other), first.given, tuple(steps.items()), chosen(first.quick, other.quick))


def day_start(expr: str, *formats: str) -> Reading:
    """The midnight that begins a day."""
    read = date(expr, *(formats or _DAY))
    return wall_time(f"cast({read} as timestamp)", read.given)


def day_end(expr: str, *formats: str) -> Reading:
    """The midnight that ends a day."""
    read = date(expr, *(formats or _DAY))
    return wall_time(f"(cast({read} as timestamp) + interval 1 day)", read.given)


def month_start(expr: str) -> Reading:
    """The midnight that begins a month, of 2026-05 or any day in it."""
    return wall_time(_month(expr), text(expr))


def month_end(expr: str) -> Reading:
    """The midnight that ends a month, of 2026-05 or any day in it."""
    return wall_time(f"({_month(expr)} + interval 1 month)", text(expr))


def chain_doubts(received: str = "", dispatched: str = "", en_route: str = "", arrived: str = "", cleared: str = "", closed: str = "") -> Stepped:
    """Column ``doubts`` of a call: what its times cannot be, "arrived before dispatched" and the like; null where nothing is doubtful.

    Each argument is the expression of that time; "" = the source has none. A call that lacks a time is not doubtful for it.
    """
    chain = [(name, e) for name, e in zip(_STAGES, (received, dispatched, en_route, arrived, cleared, closed), strict=True) if e]
    steps: dict[str, str] = {}
    for _, expression in chain:
        steps.update(expression.steps if isinstance(expression, Stepped) else ())

    def listed(sql: dict[str, str]) -> str:
        pairs = [(earlier, later) for i, (earlier, _) in enumerate(chain) for later, _ in chain[i + 1:]]
        cases = ", ".join(f"case when {sql[later]} < {sql[earlier]} then {quoted(f'{later} before {earlier}')} end" for earlier, later in pairs)
        return f"nullif(list_filter([{cases}], lambda x: x is not null), cast([] as varchar[]))"

    quick = {name: e.quick if isinstance(e, Stepped) else e for name, e in chain}
    return Stepped(listed({name: str(e) for name, e in chain}), tuple(steps.items()), listed(quick))


def occurrence(*exprs: str) -> str:
    """1 for the first record of the file with these values, 2 for the second, and so on, in the file's order. With it, records that are
    alike get ids of their own, and the same ids again when the file is sent again. A file of such a source is mapped in one piece."""
    return f"""(row_number() over (partition by {', '.join(exprs)} order by "#record"))"""


def counted_id(*exprs: str) -> str:
    """The values joined by /; the second record with the same values gets /2 behind them, the third /3. Null where the first is null."""
    joined = f"concat_ws('/', {', '.join(exprs)})"
    nth = occurrence(*exprs)
    return f"(case when {exprs[0]} is not null then {joined} || case when {nth} > 1 then '/' || {nth} else '' end end)"


def _month(expr: str) -> str:
    return f"date_trunc('month', cast({date(expr, '%Y-%m', 'iso')} as timestamp))"

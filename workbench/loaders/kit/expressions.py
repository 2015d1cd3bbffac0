"""Ready-made DuckDB expressions for the mapping of a source: text, times, numbers, places.

Every function takes SQL over the raw columns (all text) and returns SQL. What can be *given but not readable* comes back as a
``Reading``, which remembers how to tell, so that the lake can reject such a record with its reason instead of losing the value.

Wall-clock times become UTC by the rule: a time that does not exist (clocks went forward) is taken by the offset before the
change, so 02:30 becomes 03:30 summer time; a time that happened twice (clocks went back) is taken as the first of the two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Self

from workbench.errors import BadInput

#: Stands for the source's time zone; the lake puts in the zone that the load was given.
ZONE = "{zone}"
#: Stands for the lake's own secret, so that hashes of one lake say nothing in another.
SALT = "{salt}"
#: Stands before a hash in the raw text of a reject.
HASHED = "hash:"
#: Texts that mean "nothing here".
BLANKS = ("", "NA", "N/A", "NULL", "null")


class Stepped(str):
    """SQL that is complete as a text, and that also carries a quicker form for the lake: ``steps``, (name, SQL) pairs to be
    computed once, and ``quick``, the same value in terms of the steps."""

    steps: tuple[tuple[str, str], ...]
    quick: str

    def __new__(cls, sql: str, steps: tuple[tuple[str, str], ...] = (), quick: str = "") -> Self:
        self = super().__new__(cls, sql)
        self.steps, self.quick = steps, quick or sql
        return self


class Reading(Stepped):
    """SQL of a value that is read out of text and may be unreadable.

    ``given`` is the raw text it was read from, null where nothing was given; ``probe`` is null exactly when what was given cannot
    be read ("" = the value itself tells).
    """

    given: str
    probe: str

    @classmethod
    def of(cls, sql: str, given: str, steps: tuple[tuple[str, str], ...] = (), quick: str = "", probe: str = "") -> Reading:
        """The expression ``sql`` read from ``given``."""
        self = cls(sql, steps, quick)
        self.given, self.probe = given, probe
        return self


def quoted(value: str) -> str:
    """A Python text as a SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def column(name: str) -> str:
    """A raw column by its name in the file, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def text(expr: str, blanks: Sequence[str] = BLANKS) -> Stepped:
    """Trimmed; null where only blanks or one of ``blanks`` (compared exactly) is left."""
    trimmed = f"trim({expr})"
    step = _step(trimmed)

    def kept(value: str) -> str:
        return f"(case when {value} in ({', '.join(quoted(b) for b in blanks)}) then null else {value} end)"

    return Stepped(kept(trimmed), ((step, trimmed),), kept(_ref(step)))


def local_time(expr: str, *formats: str, zone: str = ZONE) -> Reading:
    """A wall-clock time of ``zone`` (default: the source's) as UTC.

    ``formats`` are strptime formats, tried in order; "iso" stands for 2026-05-31 23:59:59 with or without T and fractions.
    """
    wall = _wall(expr, formats)
    trimmed, step = f"trim({expr})", _step(wall)
    return Reading.of(to_utc(wall, zone), text(expr), ((_step(trimmed), trimmed), (step, wall)), to_utc(_ref(step), zone))


def to_utc(wall: str, zone: str = ZONE) -> str:
    """SQL of a TIMESTAMP that a zone's wall clock shows (default: the source's zone) as UTC, by the rule of this module."""
    return f"wall_to_utc({quoted(zone)}, {wall})"


def utc_time(expr: str, *formats: str) -> Reading:
    """A time that is UTC already. With no format: ISO 8601, where an offset in the text is honoured."""
    if not formats:
        return Reading.of(f"(case when {_looks_iso(expr)} then try_cast({expr} as timestamptz) end)", text(expr))
    return Reading.of(f"timezone('UTC', {_wall(expr, formats)})", text(expr))


def epoch_ms(expr: str) -> Reading:
    """Milliseconds since 1970-01-01 UTC."""
    count = f"try_cast({expr} as bigint)"
    return Reading.of(f"timezone('UTC', make_timestamp_ms(case when abs({count}) < 250000000000000 then {count} end))", text(expr))


def date(expr: str, *formats: str) -> Reading:
    """A day without time. Default format: 2026-05-31."""
    return Reading.of(f"cast({_wall(expr, formats or ('%Y-%m-%d',))} as date)", text(expr))


def number(expr: str, low: float | None = None, high: float | None = None) -> Reading:
    """A finite number; one outside ``low`` to ``high`` counts as not readable."""
    value = f"try_cast({expr} as double)"
    step = _step(value)

    def bounded(x: str) -> str:
        if low is not None and high is not None:
            return f"(case when {x} between {low} and {high} then {x} end)"
        tests = [f"isfinite({x})", *([f"{x} >= {low}"] if low is not None else []), *([f"{x} <= {high}"] if high is not None else [])]
        return f"(case when {' and '.join(tests)} then {x} end)"

    return Reading.of(bounded(value), text(expr), ((step, value),), bounded(_ref(step)))


def whole(expr: str) -> Reading:
    """A whole number."""
    return Reading.of(f"try_cast({expr} as bigint)", text(expr))


def yes_no(expr: str) -> Reading:
    """true/false, yes/no, y/n, t/f, 1/0, in any case."""
    words = {"true": "true", "yes": "true", "y": "true", "t": "true", "1": "true", "false": "false", "no": "false", "n": "false", "f": "false", "0": "false"}
    table = ", ".join(f"{quoted(k)}: {v}" for k, v in words.items())
    return Reading.of(f"(map {{{table}}})[lower(trim({expr}))]", text(expr))


def lookup(expr: str, table: Mapping[str, str], default: str) -> str:
    """The value that ``table`` has for the text, ``default`` for any other and for none."""
    pairs = ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in table.items())
    return f"coalesce((map {{{pairs}}})[trim({expr})], {quoted(default)})"


def place(lon: str, lat: str, nowhere: Sequence[tuple[float, float]] = ()) -> dict[str, str]:
    """Columns ``lon`` and ``lat``: both or neither.

    There is no position where one is missing, out of the range of degrees, within 0.001 degrees of 0,0, or within 0.00001 degrees
    of one of ``nowhere`` (lon, lat): points that a geocoder gives for "not found". The row is kept without a place; only a
    coordinate that is no number at all counts as not readable.
    """
    x, y = f"try_cast({lon} as double)", f"try_cast({lat} as double)"
    tests = [f"abs({x}) <= 180", f"abs({y}) <= 90", f"(abs({x}) >= 0.001 or abs({y}) >= 0.001)"]
    tests += [f"not (abs({x} - ({a})) < 0.00001 and abs({y} - ({b})) < 0.00001)" for a, b in nowhere]
    sound = f"({' and '.join(tests)})"
    steps = ((_step(x), x), (_step(y), y), (_step(sound), sound))
    a, b, ok = (_ref(step) for step, _ in steps)
    return {
        "lon": Reading.of(f"(case when {sound} then {x} end)", text(lon), steps, f"(case when {ok} then {a} end)", probe=a),
        "lat": Reading.of(f"(case when {sound} then {y} end)", text(lat), steps, f"(case when {ok} then {b} end)", probe=b),
    }


def planar_place(x: str, y: str, crs: str, nowhere: Sequence[tuple[float, float]] = ()) -> dict[str, str]:
    """Columns ``lon`` and ``lat`` out of coordinates in a projected CRS ("ESRI:102696": feet or metres as the CRS has them).

    There is no position where one is missing or zero, or within one unit of one of ``nowhere`` (x, y). Only a coordinate that is no
    number at all counts as not readable.
    """
    a, b = f"try_cast({x} as double)", f"try_cast({y} as double)"
    steps = ((_step(a), a), (_step(b), b))

    def point(a: str, b: str) -> str:
        tests = [f"isfinite({a})", f"isfinite({b})", f"{a} <> 0", f"{b} <> 0"]
        tests += [f"not (abs({a} - ({u})) < 1 and abs({b} - ({v})) < 1)" for u, v in nowhere]
        return f"(case when {' and '.join(tests)} then planar_degrees({quoted(crs)}, {a}, {b}) end)"

    whole = point(a, b)
    step = _step(whole)
    every = (*steps, (step, whole))
    return {
        "lon": Reading.of(f"({whole})[1]", text(x), every, f"({_ref(step)})[1]", probe=_ref(steps[0][0])),
        "lat": Reading.of(f"({whole})[2]", text(y), every, f"({_ref(step)})[2]", probe=_ref(steps[1][0])),
    }


def member(expr: str, path: str) -> str:
    """A member of a raw column that holds JSON, as text: ``member(column("vehicle"), "$.color[0].name")``. Null where it is not there."""
    return f"json_extract_string(try_cast({expr} as json), {quoted(path)})"


def said(name: str) -> str:
    """What was said with the load under that name (``Source.asks``, ``Source.takes``); null where it was not."""
    return f"{{said:{name}}}"


def listed(name: str, key: str, value: str, expr: str) -> str:
    """The wording that the code list ``name`` (``Source.beside``) has for a text: its column ``value`` where its column ``key`` equals
    ``expr``; null where it has none or the list is not there."""
    return f"({{beside:{name}:{key}:{value}}})[trim({expr})]"


def keyed_hash(expr: str) -> str:
    """32 hex digits of a text and this lake's own secret: the same text is the same hash in this lake, and nobody can try out texts elsewhere.

    A text that is such a hash already, as the rejects have it ("hash:" before it), stands for itself. The raw columns that ``expr`` looks at are
    hidden in the rejects (``lake.masking``).
    """
    open_ = f"regexp_full_match({expr}, '{HASHED}[0-9a-f]{{32}}')"
    return (f"(case when {expr} is null then null when {open_} then right({expr}, 32) "
            f"else left(sha256({quoted(SALT)} || chr(31) || {expr}), 32) end)")


def split(expr: str, separator: str = ";") -> str:
    """A text list with blanks trimmed; null where nothing is given."""
    given = text(expr)
    return f"(case when {given} is not null then list_transform(string_split({given}, {quoted(separator)}), lambda x: trim(x)) end)"


def joined(separator: str, *exprs: str) -> str:
    """The texts that are there with ``separator`` between them; null where none is."""
    return f"nullif(concat_ws({quoted(separator)}, {', '.join(exprs)}), '')"


def padded(expr: str, width: int) -> str:
    """A code with the zeros in front that a spreadsheet took, up to ``width`` characters; a longer one as it is."""
    given = text(expr)
    return f"lpad({given}, cast(greatest({width}, length({given})) as integer), '0')"


def json_list(expr: str) -> Reading:
    """A JSON array of texts, e.g. ["A12", "B7"]."""
    given = text(expr)
    return Reading.of(f"try_cast(try_cast({expr} as json) as varchar[])", given)


def stable_id(*exprs: str) -> str:
    """32 hex digits made of the given values: the same for the same values in any file, on any day."""
    parts = ", chr(31), ".join(f"coalesce({e}, chr(30))" for e in exprs)
    return f"md5(concat({parts}))"


def _wall(expr: str, formats: Sequence[str]) -> str:
    if not formats:
        raise BadInput("A time needs its format, e.g. '%m/%d/%Y %I:%M:%S %p', or 'iso'.")
    tries = [_iso(expr) if f == "iso" else _by_format(expr, f, besides_iso="iso" in formats) for f in formats]
    return tries[0] if len(tries) == 1 else f"coalesce({', '.join(tries)})"


def _iso(expr: str) -> str:
    return f"(case when {_looks_iso(expr)} then try_cast({expr} as timestamp) end)"


def _looks_iso(expr: str) -> str:
    return f"(trim({expr}) like '____-__-%' and trim({expr}) >= '0')"


def _by_format(expr: str, form: str, besides_iso: bool) -> str:
    """One try, made only on a text that may fit: a failing one costs eight times as much, and DuckDB takes the words infinity and
    epoch for a time in any format."""
    read = f"try_strptime(trim({expr}), {quoted(form)})"
    if besides_iso and not form.startswith("%Y-%m-%d"):
        return f"(case when not {_looks_iso(expr)} and {_may_fit(expr, form)} then {read} end)"
    return f"(case when {_may_fit(expr, form)} then {read} end)"


def _may_fit(expr: str, form: str) -> str:
    """Whether a text begins with a digit, where the format wants one, or not like one of those words."""
    if re.match(r"%-?[dmYyHIjS]", form):
        return f"trim({expr}) between '0' and ':'"
    return f"regexp_matches({expr}, '^\\s*[^-\\siIeE]')"


def _step(sql: str) -> str:
    return "~" + hashlib.md5(sql.encode(), usedforsecurity=False).hexdigest()[:10]


def _ref(step: str) -> str:
    return f'"{step}"'

"""The functions that may stand in a mapping file: each takes columns and texts and gives SQL; nothing reaches SQL unquoted.

The first line of each docstring is how the function is written and what it gives; messages, the widget and docs/mapping.md show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from workbench import plates
from workbench.errors import BadInput
from workbench.loaders.kit import expressions as x
from workbench.loaders.kit import nibrs as codes
from workbench.loaders.kit import pieces, regions, times
from workbench.loaders.kit.functions import known_crs
from workbench.loaders.kit.pieces import Columns, Place, Raw, Value, short, shown, words

_DIRECTIVES = re.compile(r"%-?[YymdHIMSfgpbBaAj]|%%")


def _formats(given: tuple[Any, ...], where: str) -> list[str]:
    out = []
    for one in given:
        form = words(one, where)
        if form != "iso":
            wrong = re.search(r"%(?!-?[YymdHIMSfgpbBaAj%])-?.?", form)
            if wrong:
                raise BadInput(f"{where}: {wrong[0]!r} in {form!r} is not a part of a time; use %Y %y %m %d %b %B %H %I %p %M %S %f.")
            if not _DIRECTIVES.search(form):
                raise BadInput(f"{where}: {form!r} is not a format of a time, e.g. '%m/%d/%Y %H:%M', or 'iso'.")
        out.append(form)
    return out


def text(r: Columns, column: Any) -> Value:
    """`text("Column")`: the text, without blanks around it."""
    return Value("text", x.text(r.raw(column, "text")))


def const(r: Columns, value: Any) -> Value:
    """`const("stolen")`: the same for every record."""
    if isinstance(value, bool):
        return Value("truth", "true" if value else "false")
    return Value("text", f"cast({x.quoted(words(value, 'const'))} as varchar)")


def id_(r: Columns, *columns: Any) -> Value:
    """`id("Date", "Address")`: a stable id made of what the columns hold: the same values give the same id in any file."""
    if not columns:
        raise BadInput("id(...) needs the columns that tell one record from another.")
    return Value("text", x.stable_id(*(x.text(r.raw(c, "id")) for c in columns)))


def numbered(r: Columns, *columns: Any) -> Value:
    """`numbered("Case No")`: an id that several rows of one file may share: the second gets /2 behind it, the third /3."""
    if not columns:
        raise BadInput('numbered(...) needs a column: numbered("Case No").')
    return Value("text", times.counted_id(*(x.text(r.raw(c, "numbered")) for c in columns)))


def nibrs(r: Columns, *columns: Any) -> Value:
    """`nibrs("Offense", "Description")`: the NIBRS offence code told from the wording in several languages; UNKNOWN where it cannot be told."""
    if not columns:
        raise BadInput('nibrs(...) needs the columns that word the offence: nibrs("Offense").')
    texts = [x.text(r.raw(c, "nibrs")) for c in columns]
    return Value("text", codes.first(codes.by_words(*texts), codes.by_words(*texts, name="wordings_abroad")))


def state(r: Columns, column: Any) -> Value:
    """`state("State")`: a state as NCIC codes it, however it is written: Nebraska, NE and us-ne are NB."""
    return Value("text", regions.region(r.raw(column, "state")))


def plate(r: Columns, column: Any) -> Value:
    """`plate("LIC")`: a registration in normal form: capitals and digits only."""
    return Value("text", plates.normal_sql(x.text(r.raw(column, "plate"))))


def lookup(r: Columns, column: Any, table: Any, default: Any = None) -> Value:
    """`lookup("Code", {"1": "urgent"}, "UNKNOWN")`: what a table has for the text; the last argument, or nothing, where it has none."""
    if not isinstance(table, dict):
        raise BadInput('lookup(...) needs a table: {"Y": "yes"}, or the name of one in this file ([lookup.name]).')
    raw = x.text(r.raw(column, "lookup"))
    if not table:
        return Value("text", x.quoted(words(default, "lookup")) if default is not None else "cast(null as varchar)")
    pairs = ", ".join(f"{x.quoted(k.strip())}: {x.quoted(v)}" for k, v in {k.strip(): v for k, v in table.items()}.items())
    sql = f"(map {{{pairs}}})[{raw}]"
    return Value("text", f"coalesce({sql}, {x.quoted(words(default, 'lookup'))})" if default is not None else sql)


def hash_(r: Columns, column: Any) -> Value:
    """`hash("Author")`: a keyed hash of the text: the same text gives the same hash in this lake, and nobody can try out texts elsewhere."""
    return Value("text", x.keyed_hash(x.text(r.raw(column, "hash"))))


def unless(r: Columns, column: Any, word: Any) -> Value:
    """`unless("Time", "day")`: a fixed text where the column is blank; nothing where it holds something."""
    return Value("text", f"(case when {x.text(r.raw(column, 'unless'))} is null then {x.quoted(words(word, 'unless'))} end)")


def time(r: Columns, column: Any, *formats: Any) -> Value:
    """`time("Date", "%m/%d/%Y %H:%M")`: a wall-clock time of the source's zone; several formats are tried in order, "iso" is 2026-05-31 23:59."""
    return Value("time", x.local_time(r.raw(column, "time"), *(_formats(formats, "time") or ["iso"])))


def date_and_time(r: Columns, day: Any, time: Any, *formats: Any) -> Value:
    """`date_and_time("Date", "Time", "%m/%d/%Y %H:%M")`: a wall-clock time whose day and hour stand in two columns; nothing where one is blank."""
    both = f"({x.text(r.raw(day, 'date_and_time'))} || ' ' || {x.text(r.raw(time, 'date_and_time'))})"
    return Value("time", x.local_time(both, *(_formats(formats, "date_and_time") or ["iso"])))


def utc(r: Columns, column: Any, *formats: Any) -> Value:
    """`utc("Time")`: a time that is UTC, or says its own offset (2026-05-31T23:59:59-05:00); with formats: read by them as UTC."""
    given = _formats(formats, "utc")
    return Value("time", x.utc_time(r.raw(column, "utc"), *given))


def epoch(r: Columns, column: Any, unit: Any = "s") -> Value:
    """`epoch("Time", "ms")`: seconds ("s"), milliseconds ("ms") or microseconds ("us") since 1970, UTC."""
    if unit not in ("s", "ms", "us"):
        raise BadInput(f'epoch(...): {short(shown(unit))} is not a unit; write "s", "ms" or "us".')
    raw = r.raw(column, "epoch")
    factor = {"s": 1000.0, "ms": 1.0, "us": 0.001}[unit]
    count = f"cast(cast(round(try_cast({raw} as double) * {factor}) as bigint) as varchar)"
    safe = f"(case when abs(try_cast({raw} as double)) < 1e17 then {count} end)"
    found = x.epoch_ms(safe)
    return Value("time", x.Reading.of(found, x.text(raw), found.steps, found.quick, found.probe))


def excel(r: Columns, column: Any) -> Value:
    """`excel("Date")`: a wall-clock time as Excel counts it, days since 1899-12-30 (42736.5)."""
    raw = r.raw(column, "excel")
    number = f"try_cast({raw} as double)"
    moment = f"timestamp '1899-12-30 00:00:00' + to_microseconds(cast(round({number} * 86400) as bigint) * 1000000)"
    wall = f"(case when {number} between 1 and 80000 then strftime({moment}, '%Y-%m-%d %H:%M:%S') end)"
    found = x.local_time(wall, "iso")
    return Value("time", x.Reading.of(found, x.text(raw), found.steps, found.quick, found.probe))


def date(r: Columns, column: Any, *formats: Any) -> Value:
    """`date("Born", "%m/%d/%Y")`: a day without time."""
    return Value("date", x.date(r.raw(column, "date"), *_formats(formats, "date")))


def number(r: Columns, column: Any, factor: Any = 1) -> Value:
    """`number("Speed", 0.44704)`: a number, times a factor where one is given (miles an hour to metres a second)."""
    if isinstance(factor, bool) or not isinstance(factor, (int, float)):
        raise BadInput("number(...) takes a number as its factor.")
    found = x.number(r.raw(column, "number"))
    if factor == 1:
        return Value("number", found)
    sql = f"(({found}) * {float(factor)!r})"
    return Value("number", x.Reading.of(sql, found.given, found.steps, f"(({found.quick}) * {float(factor)!r})"))


def whole(r: Columns, column: Any) -> Value:
    """`whole("Rounds")`: a whole number."""
    return Value("whole", x.whole(r.raw(column, "whole")))


def yes_no(r: Columns, column: Any, yes: Any = None, no: Any = None) -> Value:
    """`yes_no("Arrest", ["JA"], ["NEIN"])`: true or false; without lists: yes/no, true/false, y/n, t/f, 1/0."""
    raw = r.raw(column, "yes_no")
    if yes is None and no is None:
        return Value("truth", x.yes_no(raw))
    words = {}
    for given, truth in ((yes, "true"), (no, "false")):
        if not isinstance(given, list) or not given or not all(isinstance(w, str) for w in given):
            raise BadInput('yes_no(...) takes two lists of words: yes_no("Arrest", ["JA"], ["NEIN"]).')
        words.update({w.strip().lower(): truth for w in given})
    table = ", ".join(f"{x.quoted(k)}: {v}" for k, v in words.items())
    return Value("truth", x.Reading.of(f"(map {{{table}}})[lower(trim({raw}))]", x.text(raw)))


def one_of(r: Columns, column: Any, *these: Any) -> Value:
    """`one_of("Origin", "OFFICER", "SELF")`: true where the text is one of the words, false for any other, nothing for none."""
    if not these:
        raise BadInput('one_of(...) needs one word or more: one_of("Origin", "OFFICER").')
    return Value("truth", f"({x.text(r.raw(column, 'one_of'))} in ({', '.join(x.quoted(words(w, 'one_of')) for w in these)}))")


def given(r: Columns, column: Any) -> Value:
    """`given("Arrest Date")`: true where the column holds something, else false."""
    return Value("truth", f"({x.text(r.raw(column, 'given'))} is not null)")


def list_(r: Columns, column: Any, separator: Any = ";") -> Value:
    """`list("Units", ";")`: a list of texts parted by something; "json" for a JSON list."""
    raw = r.raw(column, "list")
    if separator == "json":
        return Value("list", x.json_list(raw))
    return Value("list", x.split(raw, words(separator, "list")))


def several(r: Columns, *columns: Any) -> Value:
    """`several("First Approach", "Second Approach")`: a list of what the columns hold, blanks left out."""
    if not columns:
        raise BadInput("several(...) needs columns.")
    texts = ", ".join(x.text(r.raw(c, "several")) for c in columns)
    return Value("list", f"nullif(list_filter([{texts}], lambda w: w is not null), []::varchar[])")


def first(r: Columns, *values: Any) -> Value:
    """`first("A", "B")`: the first that gives something; columns, or finished values of one kind."""
    if len(values) < 2:
        raise BadInput('first(...) needs two or more: first("A", "B").')
    if any(isinstance(v, Place) for v in values):
        raise BadInput("first(...) does not take places.")
    made = [v if isinstance(v, Value) else text(r, v) for v in values]
    kinds = {m.kind for m in made}
    if len(kinds) > 1:
        raise BadInput(f"first(...) was given {' and '.join(sorted(kinds))}; all must be of one kind.")
    sql = f"coalesce({', '.join(m.sql for m in made)})"
    read = [m.sql for m in made if isinstance(m.sql, x.Reading)]
    if not read:
        return Value(made[0].kind, sql)
    return Value(made[0].kind, x.Reading.of(sql, f"coalesce({', '.join(m.given for m in read)})"))


def _nowhere(points: Any) -> list[tuple[float, float]]:
    if points is None:
        return []
    good = isinstance(points, list) and all(isinstance(p, list) and len(p) == 2 and all(isinstance(v, (int, float)) for v in p) for p in points)
    if not good:
        raise BadInput("nowhere is a list of points that mean no position: nowhere=[[-91.686566, 36.619446]].")
    return [(float(a), float(b)) for a, b in points]


def degrees(r: Columns, lon: Any, lat: Any, nowhere: Any = None) -> Place:
    """`degrees("Longitude", "Latitude")`: WGS84 degrees, longitude first; nowhere=[[lon, lat]] names points that mean no position."""
    return Place(x.place(r.raw(lon, "degrees"), r.raw(lat, "degrees"), _nowhere(nowhere)))


def planar(r: Columns, east: Any, north: Any, crs: Any, nowhere: Any = None) -> Place:
    """`planar("X", "Y", "EPSG:2264")`: survey coordinates (feet or metres as the CRS has them), east first."""
    name = words(crs, "planar")
    if not re.fullmatch(r"[A-Z]+:\d+", name) or not known_crs(name):
        raise BadInput(f"CRS {short(name)!r} is not known or not a projected one; write e.g. 'ESRI:102696' or 'EPSG:2264'.")
    return Place(x.planar_place(r.raw(east, "planar"), r.raw(north, "planar"), name, _nowhere(nowhere)))


_NUMBER = r"[-+]?\d+(?:\.\d+)?"


def _pair(raw: str, lon_first: bool, nowhere: Any, pattern: str) -> Place:
    one, two = (f"nullif(regexp_extract({raw}, {x.quoted(pattern)}, {i}), '')" for i in (1, 2))
    return Place(x.place(one if lon_first else two, two if lon_first else one, _nowhere(nowhere)))


def point(r: Columns, column: Any, nowhere: Any = None) -> Place:
    """`point("Location")`: a text such as POINT (-87.63 41.88), longitude first."""
    return _pair(r.raw(column, "point"), True, nowhere, rf"(?i)POINT\s*Z?\s*\(\s*({_NUMBER})\s+({_NUMBER})")


def lat_lon(r: Columns, column: Any, nowhere: Any = None) -> Place:
    """`lat_lon("Location")`: a text that holds (41.88, -87.63), latitude first."""
    return _pair(r.raw(column, "lat_lon"), False, nowhere, rf"({_NUMBER})\s*[,;]\s*({_NUMBER})\s*\)?\s*$")


def lon_lat(r: Columns, column: Any, nowhere: Any = None) -> Place:
    """`lon_lat("Location")`: a text that holds (-87.63, 41.88), longitude first."""
    return _pair(r.raw(column, "lon_lat"), True, nowhere, rf"({_NUMBER})\s*[,;]\s*({_NUMBER})\s*\)?\s*$")


def geometry(r: Columns, column: Any, nowhere: Any = None) -> Place:
    """`geometry("geometry")`: a GeoJSON point."""
    raw = r.raw(column, "geometry")
    return Place(x.place(x.member(raw, "$.coordinates[0]"), x.member(raw, "$.coordinates[1]"), _nowhere(nowhere)))


def compass(r: Columns, column: Any) -> Value:
    """`compass("Heading")`: a direction as degrees clockwise of north: N, NB, North, NNE, or a number."""
    raw = r.raw(column, "compass")
    points = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
    words = {p: 22.5 * i for i, p in enumerate(points)} | {p + "B": 22.5 * i for i, p in enumerate(points)}
    words |= {w: 45.0 * i for i, w in enumerate(("NORTH", "NORTHEAST", "EAST", "SOUTHEAST", "SOUTH", "SOUTHWEST", "WEST", "NORTHWEST"))}
    words |= {w + "BOUND": v for w, v in list(words.items()) if len(w) > 3}
    table = ", ".join(f"{x.quoted(k)}: {v}" for k, v in words.items())
    sql = f"coalesce((map {{{table}}})[upper(regexp_replace(trim({raw}), '[ .-]', '', 'g'))], try_cast({raw} as double))"
    return Value("number", x.Reading.of(sql, x.text(raw)))


#: Every function of the language by the name it is written with.
FUNCTIONS: dict[str, Callable[..., Raw | Value | Place]] = {
    f.__name__.rstrip("_"): f
    for f in (
        text,
        const,
        id_,
        numbered,
        nibrs,
        state,
        plate,
        lookup,
        hash_,
        unless,
        time,
        date_and_time,
        utc,
        epoch,
        excel,
        date,
        number,
        whole,
        yes_no,
        one_of,
        given,
        list_,
        several,
        first,
        degrees,
        planar,
        point,
        lat_lon,
        lon_lat,
        geometry,
        compass,
        pieces.join,
        pieces.part,
        pieces.day,
        pieces.pad,
        pieces.clock,
        pieces.epoch_day,
        pieces.excel_day,
        pieces.replace,
        pieces.bare,
        pieces.comma,
        pieces.thousands,
        pieces.minus,
        pieces.scaled,
        pieces.dms,
        pieces.empty,
        pieces.member,
        pieces.said,
    )
}

"""Where, which way and how fast: a place that must lie in a box, or may be told by a shape, a direction as degrees or a compass word, a speed limit."""

from __future__ import annotations

from typing import cast

from workbench.loaders.kit.expressions import Reading, column, number, place, quoted, text
from workbench.loaders.kit.geometry import Geometry

#: (west, south, east, north) in degrees.
Box = tuple[float, float, float, float]
_WINDS = ("n north", "ne northeast", "e east", "se southeast", "s south", "sw southwest", "w west", "nw northwest")


def place_in(lon: str, lat: str, box: Box) -> dict[str, str]:
    """Columns ``lon`` and ``lat`` like ``expressions.place``, none where the point lies outside ``box``: a longitude that lost its minus, a
    latitude without its point, a geocoder's default far away. The row is kept without a place."""
    inside = f"try_cast({lon} as double) between {box[0]} and {box[2]} and try_cast({lat} as double) between {box[1]} and {box[3]}"
    out: dict[str, str] = {}
    for name, sql in place(lon, lat).items():
        found = cast(Reading, sql)
        out[name] = Reading.of(f"(case when {inside} then {found} end)", found.given, found.steps, f"(case when {inside} then {found.quick} end)", found.probe)
    return out


def place_or_middle(lon: str, lat: str, shape: Geometry) -> dict[str, str]:
    """Columns ``lon`` and ``lat`` like ``expressions.place``; where nothing is given, the middle of a shape."""
    out: dict[str, str] = {}
    for (name, sql), middle in zip(place(lon, lat).items(), shape.middle(), strict=True):
        own = cast(Reading, sql)
        steps = (*own.steps, *shape.measure().steps)
        out[name] = Reading.of(f"coalesce({own}, {middle})", own.given, steps, f"coalesce({own.quick}, {middle.quick})", own.probe)
    return out


def heading(name: str) -> Reading:
    """Degrees clockwise of north out of a raw column that has degrees, or a compass word such as NB, northwest, Southbound."""
    given = column(name)
    words = " ".join(f"when '{w}' then {45.0 * i}" for i, ws in enumerate(_WINDS) for w in ws.split())
    word = f"regexp_replace(regexp_replace(lower({given}), '[^a-z]', '', 'g'), '(bound|b)$', '')"
    return Reading.of(f"coalesce({number(given, 0, 360)}, case {word} {words} end)", text(given))


def speed(expr: str, unit: str = "km/h") -> str:
    """Metres a second out of "35 mph", "50" (in ``unit``) or "50 km/h"; null for any other text ("signals", "none", several)."""
    given = f"lower(trim({expr}))"
    figure = f"try_cast(regexp_extract({given}, '^([0-9]+(\\.[0-9]+)?)\\s*(mph|km/?h|kph|kmh|knots)?$', 1) as double)"
    unit_of = f"coalesce(nullif(regexp_extract({given}, '[a-z][a-z/]*$'), ''), {quoted(unit)})"
    return f"round({figure} * case {unit_of} when 'mph' then 0.44704 when 'knots' then 0.514444 else 1 / 3.6 end, 3)"

"""Where and which way, for exports that are not to be trusted: a place that must lie in a box, a direction as degrees or a compass word."""

from __future__ import annotations

from typing import cast

from workbench.loaders.kit.expressions import Reading, column, number, place, text

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


def heading(name: str) -> Reading:
    """Degrees clockwise of north out of a raw column that has degrees, or a compass word such as NB, northwest, Southbound."""
    given = column(name)
    words = " ".join(f"when '{w}' then {45.0 * i}" for i, ws in enumerate(_WINDS) for w in ws.split())
    word = f"regexp_replace(regexp_replace(lower({given}), '[^a-z]', '', 'g'), '(bound|b)$', '')"
    return Reading.of(f"coalesce({number(given, 0, 360)}, case {word} {words} end)", text(given))

"""Positions of patrol units as their vehicles send them (AVL), out of a CSV: one row a fix."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, said, text
from workbench.loaders.kit.moments import any_time, stamp
from workbench.loaders.kit.where import heading

_TIME = stamp(column("time"), column("date"))
#: Raw column -> metres a second in one of its units.
_SPEEDS = {"speed_ms": "1.0", "speed_kmh": "(1.0 / 3.6)", "speed_mph": "0.44704", "speed_knots": "0.514444"}
_UNIT = f"(case lower({said('speed_unit')}) when 'm/s' then 1.0 when 'km/h' then 1 / 3.6 when 'mph' then 0.44704 when 'knots' then 0.514444 end)"
_NUMBERS = {c: number(column(c), 0, 400) for c in (*_SPEEDS, "speed")}

SOURCE = Source(
    name="avl_csv",
    title="unit positions, AVL (CSV)",
    formats=("csv", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("unit", "lat", "lon"),
    optional=("time", "date", "speed", *_SPEEDS, "heading", "status", "call_id"),
    also={
        "unit": ("unit id", "unit_id", "call sign", "callsign", "vehicle", "vehicle id", "radio", "car", "resource"),
        "time": ("timestamp", "datetime", "date time", "date/time", "seen_at", "gps time", "fix time", "report time", "utc"),
        "date": ("day", "report date"),
        "lat": ("latitude", "y", "gps lat"), "lon": ("longitude", "lng", "long", "x", "gps lon"),
        "speed": ("velocity",), "speed_mph": ("mph", "speed (mph)", "speed mi/h"), "speed_kmh": ("kmh", "kph", "km/h", "speed (km/h)", "speed_kph"),
        "speed_ms": ("m/s", "mps", "speed (m/s)", "speed_mps"), "speed_knots": ("knots", "kn", "speed (kn)"),
        "heading": ("direction", "course", "bearing", "azimuth"),
        "status": ("unit status", "state"), "call_id": ("call", "call number", "cad number", "incident", "event", "event number"),
    },
    takes={"speed_unit": "unit of a column that is just called speed: mph, km/h, m/s or knots"},
    parts=(
        Part("units", {
            "unit": text(column("unit")),
            "seen_at": any_time(_TIME),
            **place(column("lon"), column("lat")),
            "speed": Reading.of(f"coalesce({', '.join(f'{_NUMBERS[c]} * {f}' for c, f in _SPEEDS.items())}, {_NUMBERS['speed']} * {_UNIT})",
                                f"coalesce({', '.join(_NUMBERS[c].given for c in _SPEEDS)}, "
                                f"case when {said('speed_unit')} is not null then {_NUMBERS['speed'].given} end)"),
            "direction": heading("heading"),
            "status": f"lower({text(column('status'))})",
            "call_id": text(column("call_id")),
        }),
    ),
    notes=(
        "The unit of speed is told by the column's name (speed_mph, km/h, m/s, knots) and becomes metres a second.",
        "A column that is just called speed is taken only if its unit is said with the load (speed_unit); else speed stays empty, since nobody can know it.",
        "A fix at 0,0 or without a position is kept without a place. A time without an offset is wall time of the zone given with the load.",
        "A unit has one fix a moment: a second one of the same moment is a new edition.",
    ),
)

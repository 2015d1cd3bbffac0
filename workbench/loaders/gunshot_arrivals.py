"""Raw arrival times behind gunshot alerts: when one sound reached each sensor, for those who would locate it themselves."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, stable_id, text
from workbench.loaders.kit.moments import any_time

_SENSOR, _TIME, _ALERT = (text(column(c)) for c in ("sensor", "time", "alert"))
_FEET, _METRES = number(column("height_ft")), number(column("height_m"))

SOURCE = Source(
    name="gunshot_arrivals",
    title="gunshot sensor arrival times (CSV)",
    formats=("csv", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("sensor", "time"),
    optional=("id", "alert", "level", "lat", "lon", "height_m", "height_ft"),
    also={
        "id": ("arrival id", "arrival_id", "row id"),
        "alert": ("gunshot_id", "alert id", "incident id", "event id", "event"),
        "sensor": ("sensor id", "sensor_id", "microphone", "node", "station"),
        "time": ("arrival time", "arrived_at", "arrived at", "toa", "time of arrival", "timestamp", "utc"),
        "level": ("level_db", "db", "spl", "amplitude_db", "loudness"),
        "lat": ("latitude", "sensor lat", "sensor_lat", "sensor latitude"), "lon": ("longitude", "lng", "sensor lon", "sensor_lon", "sensor longitude"),
        "height_m": ("height", "elevation_m", "sensor height m"), "height_ft": ("elevation_ft", "sensor height ft"),
    },
    parts=(
        Part("arrivals", {
            "arrival_id": f"coalesce({text(column('id'))}, {stable_id(_ALERT, _SENSOR, _TIME)})",
            "gunshot_id": _ALERT,
            "sensor": _SENSOR,
            "arrived_at": any_time(column("time")),
            "level_db": number(column("level")),
            **place(column("lon"), column("lat")),
            "height_m": Reading.of(f"coalesce({_METRES}, {_FEET} * 0.3048)", f"coalesce({_METRES.given}, {_FEET.given})"),
        }),
    ),
    notes=(
        "Times are kept to the microsecond; sound goes a third of a millimetre in one. Give them with an offset (or Z), or as microseconds since 1970.",
        "The position is the sensor's. A height in feet becomes metres.",
        "Without an id the alert, sensor and time make one.",
    ),
)

"""When the sounds behind some of Fairwater's gunshot alerts reached each sensor (a made-up city)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, number, place, text, utc_time

SOURCE = Source(
    name="sample_arrivals",
    title="Fairwater (made-up city): arrival times of gunshots at sensors",
    zone="America/Chicago",
    columns=("Arrival", "Alert", "Sensor", "Arrived", "Level dB", "Sensor Latitude", "Sensor Longitude", "Height m"),
    parts=(
        Part("arrivals", {
            "arrival_id": text(column("Arrival")),
            "gunshot_id": text(column("Alert")),
            "sensor": text(column("Sensor")),
            "arrived_at": utc_time(column("Arrived")),
            "level_db": number(column("Level dB")),
            **place(column("Sensor Longitude"), column("Sensor Latitude")),
            "height_m": number(column("Height m")),
        }),
    ),
    notes=(
        "Times are UTC to the microsecond; positions are those of the sensors.",
        "One arrival is an echo: it comes later than the way explains.",
    ),
)

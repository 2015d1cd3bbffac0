"""Where six units of Fairwater, the made-up city, were over two days of June: a fix every half minute of their shifts."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, text, utc_time

_MPH = number(column("Speed_mph"), 0, 250)

SOURCE = Source(
    name="sample_units",
    title="Fairwater (made-up city): unit positions (AVL)",
    zone="America/Chicago",
    columns=("Unit", "Time", "Latitude", "Longitude", "Speed_mph", "Heading", "Status", "Call"),
    parts=(
        Part("units", {
            "unit": text(column("Unit")),
            "seen_at": utc_time(column("Time")),
            **place(column("Longitude"), column("Latitude")),
            "speed": Reading.of(f"round({_MPH} * 0.44704, 2)", _MPH.given),
            "direction": number(column("Heading"), 0, 360),
            "status": f"lower({text(column('Status'))})",
            "call_id": text(column("Call")),
        }),
    ),
    notes=("Times carry their offset. Speeds are miles an hour and become metres a second.", "A fix at 0,0 is kept without a place."),
)

"""Gunshot sensor alerts of Fairwater, the made-up city, as the system's console exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, local_time, number, place, text, whole
from workbench.loaders.kit.shots import shot_kind

_TIME = "%Y-%m-%d %H:%M:%S"
_FEET = number(column("Accuracy_ft"), 0)

SOURCE = Source(
    name="sample_gunshots",
    title="Fairwater (made-up city): gunshot sensor alerts",
    zone="America/Chicago",
    columns=("Alert", "Fired", "Classification", "Rounds", "Confidence", "Accuracy_ft", "Latitude", "Longitude", "Address", "Beat", "District", "CAD Number",
             "Report Number", "Disposition", "Revised"),
    parts=(
        Part("gunshots", {
            "gunshot_id": text(column("Alert")),
            "fired_at": local_time(column("Fired"), _TIME),
            "kind": shot_kind(column("Classification")),
            "rounds": whole(column("Rounds")),
            "confidence": number(column("Confidence"), 0, 1),
            "error_m": Reading.of(f"round({_FEET} * 0.3048, 1)", _FEET.given),
            "call_id": text(column("CAD Number")),
            "report_number": text(column("Report Number")),
            "disposition": text(column("Disposition")),
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
            "beat": text(column("Beat")),
            "district": text(column("District")),
            "revised_at": local_time(column("Revised"), _TIME),
        }),
    ),
    notes=(
        "Times are wall time of America/Chicago. The accuracy is given in feet and kept in metres.",
        "Some alerts are looked at again and turn out to be fireworks: a later edition (Revised) replaces the earlier one.",
        "An alert at 0,0 is kept without a place.",
    ),
)

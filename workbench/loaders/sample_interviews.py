"""Field interviews of Fairwater, the made-up city: one row a person on a card."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, split, text

SOURCE = Source(
    name="sample_interviews",
    title="Fairwater (made-up city): field interviews",
    zone="America/Chicago",
    columns=("Card", "Line", "Contact Time", "Person", "With", "Plate", "Reason", "Unit", "Remarks", "Address", "Latitude", "Longitude", "Beat"),
    parts=(
        Part("interviews", {
            "interview_id": text(column("Line")),
            "interviewed_at": local_time(column("Contact Time"), "%Y-%m-%d %H:%M:%S"),
            "person_id": text(column("Person")),
            "plate": plates.normal_sql(text(column("Plate"))),
            "with_people": split(column("With")),
            "reason": text(column("Reason")),
            "unit": text(column("Unit")),
            "narrative": text(column("Remarks")),
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
            "beat": text(column("Beat")),
        }),
    ),
    notes=("A card with several people is several lines; the others on it are named by their records.", "Times are wall time of America/Chicago."),
)

"""Plate reads of Fairwater's fixed readers (a made-up city; the plates are of an invented pattern)."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, number, place, text, utc_time

SOURCE = Source(
    name="sample_reads",
    title="Fairwater (made-up city): plate reads of fixed readers",
    zone="America/Chicago",
    columns=("Read ID", "Plate", "State", "Camera", "Location", "Read Time", "Confidence", "Heading", "Make", "Color", "Latitude", "Longitude"),
    parts=(
        Part(
            "reads",
            {
                "read_id": text(column("Read ID")),
                "plate": plates.normal_sql(text(column("Plate"))),
                "plate_raw": text(column("Plate")),
                "region": text(column("State"), ("",)),
                "reader": text(column("Camera")),
                "read_at": utc_time(column("Read Time")),
                "confidence": number(column("Confidence"), 0, 1),
                "direction": number(column("Heading"), 0, 360),
                "make": text(column("Make")),
                "colour": text(column("Color")),
                "moving": "false",
                "address": text(column("Location")),
                **place(column("Longitude"), column("Latitude")),
            },
        ),
    ),
    notes=(
        "Times carry their offset from UTC, which is honoured.",
        "Some reads are wrong in one character (a look-alike); their confidence is lower. They are kept as read.",
        "A read without a plate is rejected; one at 0,0 is kept without a place.",
    ),
)

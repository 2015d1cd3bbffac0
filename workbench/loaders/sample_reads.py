"""Plate reads of the made-up city Fairwater's fixed readers."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, local_time, number, place, text

SOURCE = Source(
    name="sample_reads",
    title="Fairwater plate reads (made-up city)",
    zone="America/Chicago",
    columns=("id", "captured", "camera", "camera_name", "plate", "state", "confidence", "heading", "make", "color", "lat", "lon"),
    parts=(Part("reads", {
        "read_id": text(column("id")),
        "plate": plates.normal_sql(text(column("plate"))),
        "plate_raw": text(column("plate")),
        "region": text(column("state")),
        "reader": text(column("camera")),
        "read_at": local_time(column("captured"), "iso"),
        "confidence": number(column("confidence"), 0, 1),
        "direction": number(column("heading"), 0, 360),
        "make": text(column("make")),
        "colour": text(column("color")),
        "moving": "false",
        "address": text(column("camera_name")),
        **place(column("lon"), column("lat")),
    }),),
    notes=("Readers are fixed.", "About one read in a hundred has a look-alike character wrong, with a low confidence."),
)

"""The wanted plates of Fairwater, the made-up city."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text

_TIME = "%m/%d/%Y %H:%M"

SOURCE = Source(
    name="sample_hotlist",
    title="Fairwater (made-up city): hotlist",
    zone="America/Chicago",
    columns=("Entry", "Plate", "State", "List", "Reason", "Case", "Make", "Model", "Color", "Entered", "Expires"),
    parts=(
        Part(
            "hotlist",
            {
                "entry_id": text(column("Entry")),
                "plate": plates.normal_sql(text(column("Plate"))),
                "region": text(column("State"), ("",)),
                "list_name": text(column("List")),
                "reason": text(column("Reason")),
                "report_number": text(column("Case")),
                "make": text(column("Make")),
                "model": text(column("Model")),
                "colour": text(column("Color")),
                "valid_from": local_time(column("Entered"), _TIME),
                "valid_to": local_time(column("Expires"), _TIME),
            },
        ),
    ),
    notes=("Plates are written with or without a dash.", "Entries that have expired are kept with their expiry; a hit counts only while an entry is valid."),
)

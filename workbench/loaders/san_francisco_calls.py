"""Police department calls for service in San Francisco, as the city's data portal exported them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, joined, local_time, text

_SPOT = text(column("common_location"))

SOURCE = Source(
    name="san_francisco_calls",
    title="San Francisco police calls for service (city data portal)",
    zone="America/Los_Angeles",
    columns=("crime_id", "original_crimetype_name", "call_dttm", "disposition", "address", "common_location"),
    also={"call_dttm": ("Call Date Time",)},
    parts=(
        Part("calls", {
            "call_id": text(column("crime_id")),
            "call_type": text(column("original_crimetype_name")),
            "received_at": local_time(column("call_dttm"), "iso", "%m/%d/%Y %I:%M:%S %p"),
            "disposition": text(column("disposition")),
            "address": joined(", ", text(column("address")), _SPOT),
        }),
    ),
    notes=(
        "The call's day and time are taken from the joined column; disposition is the department's code (HAN = handled).",
        "There are no coordinates; a common place (Pier 7, Sf) is put behind the address.",
        "The export does not say what officers initiated.",
    ),
)

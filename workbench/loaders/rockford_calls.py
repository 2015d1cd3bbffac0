"""Dispatch log of the Rockford, Illinois, police, as the city's data portal exported it."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.loaders.kit.times import NOT_RECEIVED

_SENT = local_time(column("dispatch_datetime"), "iso", "%m/%d/%Y %I:%M:%S %p")

SOURCE = Source(
    name="rockford_calls",
    title="Rockford police dispatch log (city data portal)",
    zone="America/Chicago",
    columns=("event_number", "full_address", "reporting_district", "incident_type", "dispatch_datetime"),
    parts=(
        Part("calls", {
            "call_id": text(column("event_number")),
            "call_type": text(column("incident_type")),
            "received_at": _SENT,
            "dispatched_at": _SENT,
            "address": f"replace({text(column('full_address'))}, '&', ' & ')",
            "beat": text(column("reporting_district")),
            "doubts": f"['{NOT_RECEIVED}']",
        }),
    ),
    notes=(
        "Only the time of dispatch is known; it stands for the time received, and doubts says so.",
        "There are no coordinates; corners are written with &. The reporting district is the beat.",
    ),
)

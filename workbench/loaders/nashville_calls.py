"""Calls for service of the Metro Nashville Police Department, as the city's open data exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, joined, local_time, place, split, text

_HOW = f"trim({text(column('Disposition Description'))}, chr(34))"
_TEN, _ENDED = text(column("Tencode")), text(column("Disposition Code"))

SOURCE = Source(
    name="nashville_calls",
    title="Nashville police calls for service (city open data)",
    zone="America/Chicago",
    columns=("Event Number", "Complaint Number", "Tencode", "Tencode Description", "Tencode Suffix Description", "Disposition Code",
             "Disposition Description", "Block", "Street Name", "Unit Dispatched", "Sector", "Zone", "Latitude", "Longitude", "Call_Received"),
    parts=(
        Part("calls", {
            "call_id": text(column("Event Number")),
            "call_type": f"coalesce({text(column('Tencode Description'))}, 'TEN-CODE ' || {_TEN})",
            "category": _TEN,
            "received_at": local_time(column("Call_Received"), "iso", "%m/%d/%Y %I:%M:%S %p"),
            "units": split(column("Unit Dispatched")),
            "disposition": f"coalesce({_HOW}, {_ENDED})",
            "report_number": text(column("Complaint Number")),
            "address": joined(" ", text(column("Block")), text(column("Street Name"))),
            **place(column("Longitude"), column("Latitude")),
            "beat": text(column("Zone")),
            "district": text(column("Sector")),
            "narrative": text(column("Tencode Suffix Description")),
        }),
    ),
    notes=(
        "The byte order mark in front of the header is encoded twice; it is taken off.",
        "The ten-code is the category, its wording the type; where the wording is missing it is \"TEN-CODE 43\". The suffix (PROGRESS, ALARM) is in narrative.",
        "Positions are rounded to three decimals (about 100 m); a third of the calls have none and are kept without a place.",
        "One unit is named, no time but that of the call; response figures cannot be had.",
    ),
)

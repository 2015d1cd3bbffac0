"""Calls for service of the Los Angeles Police Department, one file a year, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, text
from workbench.loaders.kit.times import NOT_RECEIVED, on_clock

_CODE = text(column("call_type_code"))
_SENT = on_clock(column("dispatch_date"), column("dispatch_time"), "iso", "%m/%d/%Y", "%m/%d/%Y %I:%M:%S %p")

SOURCE = Source(
    name="los_angeles_calls",
    title="Los Angeles police calls for service (city data portal)",
    zone="America/Los_Angeles",
    columns=("incident_number", "area_occ", "rpt_dist", "dispatch_date", "dispatch_time", "call_type_code", "call_type_text"),
    also={"area_occ": ("Area Occurred",), "rpt_dist": ("Reporting District",), "call_type_text": ("Call Type Description",)},
    parts=(
        Part("calls", {
            "call_id": text(column("incident_number")),
            "call_type": f"coalesce({text(column('call_type_text'))}, {_CODE})",
            "category": _CODE,
            "self_initiated": f"(case when {_CODE} in ('006', '6') then true end)",
            "received_at": _SENT,
            "dispatched_at": _SENT,
            "beat": text(column("rpt_dist")),
            "district": text(column("area_occ")),
            "doubts": f"['{NOT_RECEIVED}']",
        }),
    ),
    notes=(
        "Only the time of dispatch is known (day and time in two columns); it stands for the time received, and doubts says so.",
        "The type's code is the category, leading zeros kept; code 6 (out for investigation) is an officer's own.",
        "There is neither address nor position: the reporting district is the beat, the area the district.",
    ),
)

"""Calls for service of the Santa Rosa, California, police, as the county's data portal exported them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text

_WHO = text(column("event_source"))
_POINT = "'^[(] *(-?[0-9.]+) *, *(-?[0-9.]+) *[)]$'"


def _coordinate(number: int) -> str:
    return f"nullif(regexp_extract(trim({column('location')}), {_POINT}, {number}), '')"


SOURCE = Source(
    name="santa_rosa_calls",
    title="Santa Rosa police calls (county data portal)",
    zone="America/Los_Angeles",
    columns=("date_time", "event_num", "incident_num", "nature_code", "nature_description", "beat_zone", "event_source", "disposition_code", "disposition",
             "location", "id"),
    parts=(
        Part("calls", {
            "call_id": f"coalesce({text(column('event_num'))}, {text(column('id'))})",
            "call_type": f"coalesce({text(column('nature_description'))}, {text(column('nature_code'))})",
            "category": text(column("nature_code")),
            "self_initiated": f"(upper({_WHO}) = 'OFFICER')",
            "call_source": f"lower({_WHO})",
            "received_at": local_time(column("date_time"), "iso", "%m/%d/%Y %I:%M:%S %p"),
            "disposition": f"coalesce({text(column('disposition'))}, {text(column('disposition_code'))})",
            "report_number": text(column("incident_num")),
            **place(_coordinate(2), _coordinate(1)),
            "beat": text(column("beat_zone")),
        }),
    ),
    notes=(
        "The event source says what officers initiated; the nature's code is the category.",
        "The location is \"(latitude, longitude)\", \"(0,0)\" or \"na\"; the last two are none.",
    ),
)

"""Every change of status of Fairwater's calls over four days of June, the calls' own and each unit's (a made-up city)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, stable_id, text

_FIELDS = tuple(text(column(c)) for c in ("Call Number", "At", "Unit", "Status"))

SOURCE = Source(
    name="sample_call_events",
    title="Fairwater (made-up city): status changes of calls",
    zone="America/Chicago",
    columns=("Call Number", "At", "Unit", "Status", "Detail"),
    parts=(
        Part("call_events", {
            "call_event_id": stable_id(*_FIELDS),
            "call_id": _FIELDS[0],
            "changed_at": local_time(column("At"), "%Y-%m-%d %H:%M:%S"),
            "status": f"lower({_FIELDS[3]})",
            "unit": _FIELDS[2],
            "detail": text(column("Detail")),
        }),
    ),
    notes=(
        "Times are wall time of America/Chicago. A change without a unit is the call's own: received, closed, or another priority.",
        "There is no id: call, moment, unit and status make one.",
    ),
)

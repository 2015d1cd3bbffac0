"""Calls for service of Fairwater, the made-up city, as its dispatch system exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, split, text

_MOMENTS = ("Received", "Dispatched", "En Route", "Arrived", "Cleared")


def _moment(name: str) -> str:
    return local_time(column(name), "%Y-%m-%d %H:%M:%S")


SOURCE = Source(
    name="sample_calls",
    title="Fairwater (made-up city): calls for service",
    zone="America/Chicago",
    columns=(
        "Call Number",
        "Problem",
        "Category",
        "Priority",
        "Origin",
        *_MOMENTS,
        "Units",
        "Disposition",
        "Report Number",
        "Address",
        "Beat",
        "District",
        "Latitude",
        "Longitude",
    ),
    parts=(
        Part(
            "calls",
            {
                "call_id": text(column("Call Number")),
                "call_type": text(column("Problem")),
                "category": text(column("Category")),
                "priority": text(column("Priority")),
                "self_initiated": f"({text(column('Origin'))} = 'OFFICER')",
                "received_at": _moment("Received"),
                "dispatched_at": _moment("Dispatched"),
                "en_route_at": _moment("En Route"),
                "arrived_at": _moment("Arrived"),
                "cleared_at": _moment("Cleared"),
                "units": split(column("Units")),
                "disposition": text(column("Disposition")),
                "report_number": text(column("Report Number")),
                "address": text(column("Address")),
                **place(column("Longitude"), column("Latitude")),
                "beat": text(column("Beat")),
                "district": text(column("District")),
            },
        ),
    ),
    notes=(
        "Times are wall time of America/Chicago with seconds; in the hour that occurs twice a call can seem an hour longer than it was.",
        "Priority 1 is most urgent. What an officer found (Origin OFFICER) has no dispatch and stands outside response figures.",
        "Units are parted by ; with the first one sent in front. Some calls are cancelled before anybody arrives; a few units arrive before they are sent.",
    ),
)

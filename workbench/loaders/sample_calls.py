"""Calls for service of the made-up city Fairwater, as its dispatch system exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, local_time, place, split, text, yes_no

SOURCE = Source(
    name="sample_calls",
    title="Fairwater calls for service (made-up city)",
    zone="America/Chicago",
    columns=("CAD Number", "Nature", "Category", "Priority", "Self Initiated", "Received", "Dispatched", "En Route", "Arrived", "Cleared", "Units", "Disposition", "Report Number",
             "Location", "Beat", "District", "X", "Y"),
    parts=(Part("calls", {
        "call_id": text(column("CAD Number")),
        "call_type": text(column("Nature")),
        "category": text(column("Category")),
        "priority": text(column("Priority")),
        "self_initiated": yes_no(column("Self Initiated")),
        "received_at": local_time(column("Received"), "iso"),
        "dispatched_at": local_time(column("Dispatched"), "iso"),
        "en_route_at": local_time(column("En Route"), "iso"),
        "arrived_at": local_time(column("Arrived"), "iso"),
        "cleared_at": local_time(column("Cleared"), "iso"),
        "units": split(column("Units"), " "),
        "disposition": text(column("Disposition")),
        "report_number": text(column("Report Number")),
        "address": text(column("Location")),
        **place(column("X"), column("Y")),
        "beat": text(column("Beat")),
        "district": text(column("District")),
    }),),
    notes=("Self-initiated calls were never dispatched.", "A few units press arrived before dispatched; the times are kept as they are."),
)

"""The hotlist of the made-up city Fairwater, with NCIC field names."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, local_time, text

SOURCE = Source(
    name="sample_hotlist",
    title="Fairwater hotlist (made-up city)",
    zone="America/Chicago",
    columns=("Entry", "LIC", "LIS", "List", "Reason", "OCA", "VMA", "VMO", "VCO", "Entered", "Expires"),
    parts=(Part("hotlist", {
        "entry_id": text(column("Entry")),
        "plate": plates.normal_sql(text(column("LIC"))),
        "region": text(column("LIS")),
        "list_name": text(column("List")),
        "reason": text(column("Reason")),
        "report_number": text(column("OCA")),
        "make": text(column("VMA")),
        "model": text(column("VMO")),
        "colour": text(column("VCO")),
        "valid_from": local_time(column("Entered"), "%m/%d/%Y %H:%M"),
        "valid_to": local_time(column("Expires"), "%m/%d/%Y %H:%M"),
    }),),
    notes=("An entry may have expired; valid_to says when.",),
)

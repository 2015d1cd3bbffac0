"""Cartridge casings found at shootings in Fairwater, the made-up city, with the laboratory's groups."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text

SOURCE = Source(
    name="sample_casings",
    title="Fairwater (made-up city): cartridge casings",
    zone="America/Chicago",
    columns=("Item", "Report", "Found", "Caliber", "Head Stamp", "Group", "Grade", "Address", "Latitude", "Longitude"),
    parts=(
        Part("casings", {
            "casing_id": text(column("Item")),
            "report_number": text(column("Report")),
            "found_at": local_time(column("Found"), "%Y-%m-%d %H:%M:%S"),
            "calibre": text(column("Caliber")),
            "maker": text(column("Head Stamp")),
            "weapon_group": text(column("Group")),
            "grade": f"lower({text(column('Grade'))})",
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
        }),
    ),
    notes=(
        "Casings of one group are thought to come from one weapon; most casings belong to none.",
        "A casing that was confirmed under the microscope comes again as a new edition.",
    ),
)

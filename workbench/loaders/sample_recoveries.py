"""Stolen vehicles that were found in Fairwater, the made-up city."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text
from workbench.loaders.kit.regions import region

_TIME = "%Y-%m-%d %H:%M:%S"

SOURCE = Source(
    name="sample_recoveries",
    title="Fairwater (made-up city): vehicle recoveries",
    zone="America/Chicago",
    columns=("Recovery No", "Vehicle", "Plate", "State", "Theft Report", "Stolen", "Recovered", "Condition", "Address", "Latitude", "Longitude"),
    parts=(
        Part("recoveries", {
            "recovery_id": text(column("Recovery No")),
            "vehicle_id": text(column("Vehicle")),
            "plate": plates.normal_sql(text(column("Plate"))),
            "region": region(column("State")),
            "report_number": text(column("Theft Report")),
            "stolen_at": local_time(column("Stolen"), _TIME),
            "recovered_at": local_time(column("Recovered"), _TIME),
            "condition": f"lower({text(column('Condition'))})",
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
        }, reject=(('"@recovered_at" < "@stolen_at"', "recovered before it was stolen"),)),
    ),
    notes=("The position is where the vehicle was found. States are written out and become NCIC codes.", "A recovery before the theft is rejected."),
)

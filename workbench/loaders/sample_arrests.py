"""Arrests of Fairwater, the made-up city: one row a person arrested for an incident."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text, whole

SOURCE = Source(
    name="sample_arrests",
    title="Fairwater (made-up city): arrests",
    zone="America/Chicago",
    columns=("Arrest No", "Arrest Date", "Arrest Time", "Person", "Incident", "Report", "Charge", "Code", "NIBRS", "Age", "Sex", "Race", "Address", "Latitude",
             "Longitude", "District"),
    parts=(
        Part("arrests", {
            "arrest_id": text(column("Arrest No")),
            "person_id": text(column("Person")),
            "incident_id": text(column("Incident")),
            "report_number": text(column("Report")),
            "arrested_at": local_time(f"concat_ws(' ', {column('Arrest Date')}, {column('Arrest Time')})", "%m/%d/%Y %H:%M"),
            "charge": text(column("Charge")),
            "charge_code": text(column("Code")),
            "nibrs": f"coalesce({text(column('NIBRS'))}, 'UNKNOWN')",
            "age": whole(column("Age")),
            "sex": text(column("Sex")),
            "race": text(column("Race")),
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
            "district": text(column("District")),
        }),
    ),
    notes=(
        "Date and time are two columns, wall time of America/Chicago.",
        "The person is a record of sample_people; sex as there, race drawn at random for bias audits.",
    ),
)

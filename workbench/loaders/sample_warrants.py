"""Warrants of Fairwater, the made-up city."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text

SOURCE = Source(
    name="sample_warrants",
    title="Fairwater (made-up city): warrants",
    zone="America/Chicago",
    columns=("Warrant No", "Issued", "Expires", "Person", "Offense", "Offense Code", "Court", "Status", "Caution", "Extradition"),
    parts=(
        Part("warrants", {
            "warrant_id": text(column("Warrant No")),
            "person_id": text(column("Person")),
            "issued_at": local_time(column("Issued"), "%m/%d/%Y"),
            "valid_to": local_time(column("Expires"), "%m/%d/%Y"),
            "offence": text(column("Offense")),
            "offence_code": text(column("Offense Code")),
            "court": text(column("Court")),
            "status": f"lower({text(column('Status'))})",
            "caution": text(column("Caution")),
            "extradition": text(column("Extradition")),
        }),
    ),
    notes=("Days are wall time of America/Chicago.", "A warrant that was served comes again as a new edition; one without a person is rejected."),
)

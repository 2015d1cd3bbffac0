"""Burglaries in Cincinnati (teaching set of the R package crimemappingdata, from the city's open data)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, local_time, place, text
from workbench.loaders.kit.times import counted_id

SOURCE = Source(
    name="cincinnati_burglaries",
    title="Cincinnati burglaries (teaching set)",
    zone="America/New_York",
    columns=("incident_no", "offense_date", "offense", "longitude", "latitude"),
    parts=(
        Part("incidents", {
            "incident_id": counted_id(text(column("incident_no"))),
            "report_number": text(column("incident_no")),
            "started_at": local_time(column("offense_date"), "%Y-%m-%dT%H:%M:%SZ"),
            "offence": text(column("offense")),
            "nibrs": nibrs.first(nibrs.by_code(column("offense"), "ohio")),
            **place(column("longitude"), column("latitude")),
        }),
    ),
    notes=(
        "The Z behind the times is false: they are local.",
        "An incident number has several rows (victims, units of a building); all are kept, the second is NUMBER/2. Count report numbers for burglaries.",
        "Ohio's burglary and aggravated burglary are both NIBRS 220.",
    ),
)

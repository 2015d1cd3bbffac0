"""Robberies in San Francisco (teaching set of the R package crimemappingdata)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text

SOURCE = Source(
    name="san_francisco_robberies",
    title="San Francisco robberies (teaching set)",
    zone="America/Los_Angeles",
    columns=("uid", "offense_type", "date_time", "longitude", "latitude"),
    parts=(
        Part("incidents", {
            "incident_id": text(column("uid")),
            "started_at": local_time(column("date_time"), "%Y-%m-%dT%H:%M:%SZ"),
            "offence": text(column("offense_type")),
            "nibrs": "'120'",
            **place(column("longitude"), column("latitude")),
        }),
    ),
    notes=("The Z behind the times is false: by the hour profile they are local (most before and after midnight, fewest at six in the morning).",),
)

"""Shootings in New York (teaching set of the R package crimemappingdata, from the police department's open data)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, text, yes_no
from workbench.loaders.kit.times import counted_id, day_end, day_start

_MURDER = yes_no(column("murder"))

SOURCE = Source(
    name="new_york_shootings",
    title="New York shootings (teaching set)",
    zone="America/New_York",
    columns=("incident_key", "boro", "occur_date", "murder", "longitude", "latitude"),
    parts=(
        Part("incidents", {
            "incident_id": counted_id(text(column("incident_key"))),
            "report_number": text(column("incident_key")),
            "started_at": day_start(column("occur_date"), "%Y-%m-%d"),
            "ended_at": day_end(column("occur_date"), "%Y-%m-%d"),
            "time_precision": "'day'",
            "offence": f"(case when {_MURDER} then 'SHOOTING, MURDER' else 'SHOOTING' end)",
            "nibrs": f"(case when {_MURDER} then '09A' when not {_MURDER} then '13A' else 'UNKNOWN' end)",
            "weapon": "'FIREARM'",
            **place(column("longitude"), column("latitude")),
            "district": text(column("boro")),
        }),
    ),
    notes=(
        "One row a victim: an incident key has several; the second is KEY/2. Count report numbers for shootings.",
        "Only the day is given: the window is the whole day, precision \"day\".",
    ),
)

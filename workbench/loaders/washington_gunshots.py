"""Gunshot sensor alerts of Washington DC, 2006 to 2013, as released."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.loaders.kit.shots import shot_kind
from workbench.loaders.kit.where import place_in

SOURCE = Source(
    name="washington_gunshots",
    title="Washington DC gunshot sensor alerts (public release)",
    zone="America/New_York",
    columns=("Coverage Area", "Incident ID", "Date Time", "Type", "Longitude-100meter", "Latitude-100meter"),
    parts=(
        Part("gunshots", {
            "gunshot_id": text(column("Incident ID")),
            "fired_at": local_time(column("Date Time"), "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M"),
            "kind": shot_kind(column("Type")),
            "error_m": "70.0",
            **place_in(column("Longitude-100meter"), column("Latitude-100meter"), (-77.2, 38.7, -76.8, 39.1)),
            "district": f"regexp_replace({text(column('Coverage Area'))}, '^WashingtonDC', '')",
        }),
    ),
    notes=(
        "Times are wall time of Washington without seconds.",
        "Positions are rounded to a thousandth of a degree (about 100 m), so they may be 70 m off; those near 0,0 and outside the city are none.",
        "The coverage area is the police district (WashingtonDC7D is 7D).",
        "Fireworks around New Year and 4 July are counted as gunshots in this release.",
    ),
)

"""Speed cameras of Chicago, as the city's data portal lists them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text
from workbench.loaders.kit.lists import gathered

SOURCE = Source(
    name="chicago_speed_cameras",
    title="Chicago speed camera locations (city data portal)",
    zone="America/Chicago",
    columns=("LOCATION ID", "ADDRESS", "FIRST APPROACH", "GO-LIVE DATE", "LATITUDE", "LONGITUDE"),
    optional=("SECOND APPROACH", "ID"),
    parts=(
        Part("cameras", {
            "camera_id": text(column("LOCATION ID")),
            "kind": "'speed'",
            "name": text(column("ADDRESS")),
            "address": text(column("ADDRESS")),
            **place(column("LONGITUDE"), column("LATITUDE")),
            "approaches": gathered(*(text(column(f"{n} APPROACH")) for n in ("FIRST", "SECOND"))),
            "owner_kind": "'city'",
            "active_from": local_time(column("GO-LIVE DATE"), "%m/%d/%Y"),
        }),
    ),
    notes=(
        "The location id (CHI015) is the id; the portal's own row number is not taken.",
        "Approaches become a list; the day it went live is its midnight in Chicago; the file has a byte-order mark.",
    ),
)

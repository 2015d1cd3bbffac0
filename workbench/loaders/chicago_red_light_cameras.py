"""Red-light cameras of Chicago, as the city's data portal lists them: one row an intersection."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, text
from workbench.loaders.kit.lists import gathered

SOURCE = Source(
    name="chicago_red_light_cameras",
    title="Chicago red-light camera locations (city data portal)",
    zone="America/Chicago",
    columns=("INTERSECTION", "FIRST APPROACH", "GO LIVE DATE", "LATITUDE", "LONGITUDE"),
    optional=("SECOND APPROACH", "THIRD APPROACH"),
    parts=(
        Part("cameras", {
            "camera_id": f"'red light ' || {text(column('INTERSECTION'))}",
            "kind": "'red light'",
            "name": text(column("INTERSECTION")),
            "address": text(column("INTERSECTION")),
            **place(column("LONGITUDE"), column("LATITUDE")),
            "approaches": gathered(*(text(column(f"{n} APPROACH")) for n in ("FIRST", "SECOND", "THIRD"))),
            "owner_kind": "'city'",
            "active_from": local_time(column("GO LIVE DATE"), "%m/%d/%Y"),
        }),
    ),
    notes=(
        "There is no number: the intersection's name is the id.",
        "Up to three approaches (directions of traffic that are watched) become a list.",
        "The day it went live is its midnight in Chicago; the file has a byte-order mark.",
    ),
)

"""Gunshot sensor alerts of San Francisco, 2013 to 2015, as released, with addresses geocoded by whoever released them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, stable_id, text, whole
from workbench.loaders.kit.lists import nth
from workbench.loaders.kit.shots import shot_kind
from workbench.loaders.kit.where import place_in

_FIELDS = tuple(text(column(f)) for f in ("Date", "Time", "Rnds", "returned address", "Latitude", "Longitude"))

SOURCE = Source(
    name="san_francisco_gunshots",
    title="San Francisco gunshot sensor alerts (public release)",
    zone="America/Los_Angeles",
    columns=("Type", "ID", "Date", "Time", "Rnds", "Beat", "DISPO", "returned address", "Latitude", "Longitude"),
    parts=(
        Part("gunshots", {
            "gunshot_id": f"coalesce({text(column('ID'))}, {stable_id(*_FIELDS, nth(*_FIELDS))})",
            "fired_at": local_time(f"concat_ws(' ', {column('Date')}, {column('Time')})", "%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S"),
            "kind": shot_kind(column("Type")),
            "rounds": whole(column("Rnds")),
            "disposition": text(column("DISPO")),
            "address": text(column("returned address")),
            "place_basis": f"(case when {text(column('returned address'))} is not null then 'address' end)",
            **place_in(column("Longitude"), column("Latitude"), (-123.2, 37.6, -122.3, 37.95)),
            "beat": text(column("Beat")),
        }),
    ),
    notes=(
        "Date (1-Jan-13) and Time stand in two columns, wall time of San Francisco.",
        "Two thirds of the rows have no ID and no type; their values and which of its like a row is make the id.",
        "The address is what a geocoder gave back, and so is the position.",
    ),
)

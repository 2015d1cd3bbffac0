"""Gunshot sensor alerts of St. Louis, 2013 to 2015, as released: a day and a position to the nearest kilometre."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, stable_id, text
from workbench.loaders.kit.lists import nth
from workbench.loaders.kit.shots import shot_kind
from workbench.loaders.kit.where import place_in

_FIELDS = tuple(text(column(f)) for f in ("Type", "Date", "Latitude", "Longitude"))

SOURCE = Source(
    name="st_louis_gunshots",
    title="St. Louis gunshot sensor alerts (public release, day only)",
    zone="America/Chicago",
    columns=("Type", "Date", "Latitude", "Longitude"),
    parts=(
        Part("gunshots", {
            "gunshot_id": stable_id(*_FIELDS, nth(*_FIELDS)),
            "fired_at": local_time(column("Date"), "%m/%d/%y", "%m/%d/%Y"),
            "time_precision": "'day'",
            "kind": shot_kind(column("Type")),
            "error_m": "700.0",
            **place_in(column("Longitude"), column("Latitude"), (-90.4, 38.5, -90.1, 38.8)),
        }),
    ),
    notes=(
        "Only the day is known: fired_at is its midnight in St. Louis and time_precision says day.",
        "Positions are rounded to a hundredth of a degree (about 1 km), so they may be 700 m off.",
        "A latitude of 3866, a longitude without its minus and the like are not mended: the alert is kept without a place.",
        "There is no id, and alerts of one day and square look alike: a row's values and which of its like it is make the id, so that each is kept.",
        "Lines end in two carriage returns and a line feed; the kind is written in several ways.",
    ),
)

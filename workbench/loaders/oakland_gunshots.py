"""Gunshot sensor calls of Oakland, 2008 to 2013, as released."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.loaders.kit.shots import shot_kind
from workbench.loaders.kit.where import place_in

SOURCE = Source(
    name="oakland_gunshots",
    title="Oakland gunshot sensor calls (public release)",
    zone="America/Los_Angeles",
    columns=("CAD_", "BEAT", "DATE___TIM", "ADDRESS", "DESCRIPTIO", "XCOORD", "YCOORD"),
    parts=(
        Part("gunshots", {
            "gunshot_id": text(column("CAD_")),
            "fired_at": local_time(column("DATE___TIM"), "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M"),
            "kind": shot_kind(column("DESCRIPTIO")),
            "call_id": text(column("CAD_")),
            "address": text(column("ADDRESS")),
            **place_in(column("XCOORD"), column("YCOORD"), (-122.5, 37.6, -122.0, 38.0)),
            "beat": text(column("BEAT")),
        }),
    ),
    notes=(
        "Times are wall time of Oakland without seconds.",
        "XCOORD and YCOORD hold longitude and latitude; Xrough and Yrough (survey feet, rounded) are not taken.",
        "A point in the Pacific (-141, 30) stands for \"not found\"; what lies outside the city is kept without a place.",
        "Each row is the call made of an alert, so its number is both.",
    ),
)

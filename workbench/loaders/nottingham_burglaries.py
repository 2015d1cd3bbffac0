"""Burglaries in Nottingham (teaching set of the R package crimemappingdata, from data.police.uk)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, stable_id, text
from workbench.loaders.kit.times import counted_id, month_end, month_start

_PARTS = ("month", "longitude", "latitude", "location", "lsoa_code")

SOURCE = Source(
    name="nottingham_burglaries",
    title="Nottingham burglaries (teaching set)",
    zone="Europe/London",
    delimiter=",",
    columns=_PARTS,
    parts=(
        Part("incidents", {
            "incident_id": counted_id(stable_id(*(text(column(c)) for c in _PARTS))),
            "started_at": month_start(column("month")),
            "ended_at": month_end(column("month")),
            "time_precision": "'month'",
            "offence": "'Burglary'",
            "nibrs": "'220'",
            "address": text(column("location")),
            **place(column("longitude"), column("latitude")),
        }),
    ),
    notes=(
        "Only the month is known, written as its first day: the window is the whole month, precision \"month\".",
        "There is no id, and many rows are alike: what the row says and a running number among those make one, so none is lost.",
        "Positions are anchor points that many crimes share, not addresses.",
    ),
)

"""Burglaries in Washington DC with start and end (teaching set of the R package aoristic)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, planar_place, stable_id, text
from workbench.loaders.kit.times import counted_id

_PARTS = ("X", "Y", "StartDateTime", "EndDateTime")

SOURCE = Source(
    name="washington_burglaries",
    title="Washington DC burglaries with start and end (teaching set)",
    zone="America/New_York",
    columns=_PARTS,
    parts=(
        Part("incidents", {
            "incident_id": counted_id(stable_id(*(text(column(c)) for c in _PARTS))),
            "started_at": local_time(column("StartDateTime"), "iso"),
            "ended_at": local_time(column("EndDateTime"), "iso"),
            "offence": "'BURGLARY'",
            "nibrs": "'220'",
            **planar_place(column("X"), column("Y"), "EPSG:2248"),
        }),
    ),
    notes=(
        "Coordinates are survey feet of Maryland (EPSG:2248). The end is missing for some, where only one time is known.",
        "There is no id: what the row says and a running number among rows that say the same make one.",
    ),
)

"""Burglaries in New York with from and to (teaching set of the R package aoristic)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, planar_place, stable_id, text
from workbench.loaders.kit.times import counted_id, on_fraction

_PARTS = ("CMPLNT_FR_DT", "CMPLNT_FR_TM", "CMPLNT_TO_DT", "CMPLNT_TO_TM", "X_COORD_CD", "Y_COORD_CD")

SOURCE = Source(
    name="new_york_burglaries",
    title="New York burglaries with from and to (teaching set)",
    zone="America/New_York",
    columns=_PARTS,
    parts=(
        Part("incidents", {
            "incident_id": counted_id(stable_id(*(text(column(c)) for c in _PARTS))),
            "started_at": on_fraction(column("CMPLNT_FR_DT"), column("CMPLNT_FR_TM")),
            "ended_at": on_fraction(column("CMPLNT_TO_DT"), column("CMPLNT_TO_TM")),
            "offence": "'BURGLARY'",
            "nibrs": "'220'",
            **planar_place(column("X_COORD_CD"), column("Y_COORD_CD"), "EPSG:2263"),
        }),
    ),
    notes=(
        "Times are fractions of a day (0.618 = 14:50), rounded to the second, local.",
        "Coordinates are survey feet of New York, Long Island (EPSG:2263).",
        "There is no id: what the row says and a running number among rows that say the same make one.",
    ),
)

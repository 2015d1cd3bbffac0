"""Thefts in Vancouver, British Columbia, in the form of the police department's open data."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, planar_place, stable_id, text
from workbench.loaders.kit.times import counted_id, on_clock

_PARTS = ("TYPE", "YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "HUNDRED_BLOCK", "NEIGHBOURHOOD", "X", "Y")
_DAY = "(" + " || '-' || ".join(f"trim({column(c)})" for c in ("YEAR", "MONTH", "DAY")) + ")"
_HOUR = text(column("HOUR"))
_CLOCK = f"({_HOUR} || ':' || lpad(coalesce({text(column('MINUTE'))}, '0'), 2, '0'))"

SOURCE = Source(
    name="vancouver_thefts",
    title="Vancouver thefts (police open data)",
    zone="America/Vancouver",
    columns=_PARTS,
    parts=(
        Part("incidents", {
            "incident_id": counted_id(stable_id(*(text(column(c)) for c in _PARTS))),
            "started_at": on_clock(_DAY, _CLOCK, "%Y-%m-%d"),
            "ended_at": f"(case when {_HOUR} is null then {on_clock(_DAY, 'cast(null as varchar)', '%Y-%m-%d', bare='end')} end)",
            "time_precision": f"(case when {_HOUR} is null then 'day' end)",
            "offence": text(column("TYPE")),
            "nibrs": nibrs.first(nibrs.by_code(column("TYPE"), "vancouver")),
            "address": text(column("HUNDRED_BLOCK")),
            **planar_place(column("X"), column("Y"), "EPSG:26910"),
            "district": text(column("NEIGHBOURHOOD")),
        }),
    ),
    notes=(
        "The time is five whole numbers (year, month, day, hour, minute), local; a row without an hour is the whole day.",
        "Coordinates are UTM zone 10 north (EPSG:26910), metres; 0 is none.",
        "There is no id: what the row says and a running number among rows that say the same make one.",
    ),
)

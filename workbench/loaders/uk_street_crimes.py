"""Street-level crime of the police forces of England and Wales, as data.police.uk publishes it, one file a month and force."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, place, stable_id, text
from workbench.loaders.kit.times import month_end, month_start, occurrence

_SAID = ("Month", "Falls within", "Longitude", "Latitude", "Location", "LSOA code", "Crime type")
_ALIKE = stable_id(*(text(column(c)) for c in ("Crime ID", *_SAID)))
_NTH = occurrence(_ALIKE)

SOURCE = Source(
    name="uk_street_crimes",
    title="Street-level crime of England and Wales (data.police.uk)",
    zone="Europe/London",
    columns=("Crime ID", *_SAID),
    optional=("Last outcome category", "Context"),
    parts=(
        Part("incidents", {
            "incident_id": f"coalesce({text(column('Crime ID'))}, {_ALIKE} || case when {_NTH} > 1 then '/' || {_NTH} else '' end)",
            "report_number": text(column("Crime ID")),
            "started_at": month_start(column("Month")),
            "ended_at": month_end(column("Month")),
            "time_precision": "'month'",
            "offence": text(column("Crime type")),
            "offence_detail": text(column("Context")),
            "nibrs": nibrs.first(nibrs.by_code(column("Crime type"), "uk")),
            "address": f"nullif({text(column('Location'))}, 'No Location')",
            **place(column("Longitude"), column("Latitude")),
            "district": text(column("Falls within")),
            "status": text(column("Last outcome category")),
        }),
    ),
    notes=(
        "Only the month is published: the window is the whole month, precision \"month\". No clock or weekday pattern can be drawn from it.",
        "Positions are anchor points that many crimes share, not addresses; a row without one is kept without a place.",
        "Anti-social behaviour has no Crime ID: what the row says and a running number among rows that say the same make one.",
        "Violence and sexual offences, and vehicle crime, are wider than any NIBRS code and are UNKNOWN.",
        "A later file of the same month brings new outcomes as new editions.",
    ),
)

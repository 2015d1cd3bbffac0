"""Incident extract of the Austin Police Department, as the city's data portal exports it."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, place, text
from workbench.loaders.kit.times import counted_id, epoch_s, seconds, wall_time

_DAY = epoch_s(column("date"))
_TIME = text(column("time"))
_SINCE = f"(case when {_TIME} is null then 0 else {seconds(column('time'))} end)"
_WORDS = text(column("crime_type"))

SOURCE = Source(
    name="austin_incidents",
    title="Austin incident extract (city data portal)",
    zone="America/Chicago",
    columns=("incident_report_number", "crime_type", "date", "time", "location_type", "address", "longitude", "latitude"),
    parts=(
        Part("incidents", {
            "incident_id": counted_id(text(column("incident_report_number"))),
            "report_number": text(column("incident_report_number")),
            "started_at": wall_time(f"(date_trunc('day', timezone('UTC', {_DAY})) + to_seconds({_SINCE}))", _DAY.given),
            "time_precision": f"(case when {_TIME} is null then 'day' end)",
            "offence": _WORDS,
            "nibrs": nibrs.first(nibrs.by_words(_WORDS)),
            "attempted": f"regexp_matches({_WORDS}, '^ATT|ATTEMPT')",
            "premise": text(column("location_type")),
            "address": text(column("address")),
            **place(column("longitude"), column("latitude")),
        }),
    ),
    notes=(
        "The day is seconds since 1970 of a midnight somewhere in the United States; its day in UTC is the day meant.",
        "The time is 24-hour digits without leading zeros (130 = 01:30, 0 = midnight), local.",
        "A report number with several rows keeps them all; the second is NUMBER/2.",
        "Rows that only record information are UNKNOWN. The extract has no coordinates for most rows.",
    ),
)

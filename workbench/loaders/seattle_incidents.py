"""Police report incidents of the Seattle Police Department, as the city's data portal exported them until 2018."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, joined, local_time, place, text
from workbench.loaders.kit.times import instead

_TIMES = ("iso", "%m/%d/%Y %I:%M:%S %p")
_CLASS, _WORDS = text(column("summarized_offense_description")), text(column("offense_type"))
_START = local_time(column("occurred_date_or_date_range_start"), *_TIMES)
_REPORT = local_time(column("date_reported"), *_TIMES)

SOURCE = Source(
    name="seattle_incidents",
    title="Seattle police report incidents (city data portal)",
    zone="America/Los_Angeles",
    columns=("rms_cdw_id", "general_offense_number", "offense_code", "offense_code_extension", "offense_type", "summarized_offense_description",
             "date_reported", "occurred_date_or_date_range_start", "occurred_date_range_end", "hundred_block_location", "district_sector", "zone_beat",
             "longitude", "latitude"),
    parts=(
        Part("incidents", {
            "incident_id": text(column("rms_cdw_id")),
            "report_number": text(column("general_offense_number")),
            "started_at": instead(_START, _REPORT),
            "ended_at": local_time(column("occurred_date_range_end"), *_TIMES),
            "reported_at": _REPORT,
            "offence_code": joined("-", text(column("offense_code")), text(column("offense_code_extension"))),
            "offence": _WORDS,
            "offence_detail": _CLASS,
            "nibrs": nibrs.first(nibrs.by_words(_CLASS, _WORDS)),
            "address": text(column("hundred_block_location")),
            **place(column("longitude"), column("latitude")),
            "beat": text(column("zone_beat")),
            "district": text(column("district_sector")),
        }),
    ),
    notes=(
        "A report has a row for each offence; RMS CDW ID names the row.",
        "Occurred start and end are a window; the end is empty when only one time is known. Without a start the report's time stands.",
        "The offence code is code-extension (2404-1); wordings become NIBRS codes by patterns.",
    ),
)

"""Reported crimes of Montgomery County, Maryland, as the county's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, joined, local_time, padded, text
from workbench.loaders.kit.times import instead

_TIMES = ("iso", "%m/%d/%Y %I:%M:%S %p")
_CODE = padded(column("incident_type"), 4)
_WORDS = text(column("narrative"))
_START, _REPORT = local_time(column("start_date"), *_TIMES), local_time(column("date"), *_TIMES)

SOURCE = Source(
    name="montgomery_md_incidents",
    title="Montgomery County, Maryland, reported crimes (county data portal)",
    zone="America/New_York",
    columns=("incident_id", "case_number", "date", "incident_type", "narrative", "location", "city", "place", "beat", "start_date", "end_date",
             "police_district_number"),
    parts=(
        Part("incidents", {
            "incident_id": text(column("incident_id")),
            "report_number": text(column("case_number")),
            "started_at": instead(_START, _REPORT),
            "ended_at": local_time(column("end_date"), *_TIMES),
            "reported_at": _REPORT,
            "offence_code": _CODE,
            "offence": _WORDS,
            "nibrs": nibrs.first(nibrs.by_prefix(_CODE, "montgomery_md"), nibrs.by_words(_WORDS)),
            "premise": text(column("place")),
            "address": joined(", ", text(column("location")), text(column("city"))),
            "beat": text(column("beat")),
            "district": text(column("police_district_number")),
        }),
    ),
    notes=(
        "Start and end are a window; the end is empty when only one time is known. Without a start the time of dispatch stands.",
        "The class code is padded to four digits; its first two are the class of the Uniform Crime Report, the last tells larcenies apart.",
        "What the class does not tell goes by its wording; recovered property and the like are UNKNOWN.",
        "There are no coordinates.",
    ),
)

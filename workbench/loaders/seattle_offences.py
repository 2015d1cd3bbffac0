"""Offences of Seattle police reports, one row an offence, as the city's data portal exported them: codes and wordings, no time, no place."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import Reading, column, joined, listed, local_time, text
from workbench.loaders.kit.times import epoch_s

_CLASS, _WORDS = text(column("summary_crime_type")), text(column("crime_type"))
_REVISED = epoch_s(column(":updated_at"))
_START = local_time(listed("incidents", "rms_cdw_id", "occurred_date_or_date_range_start", column("cdw_incident_id")), "iso")

SOURCE = Source(
    name="seattle_offences",
    title="Seattle report offences (city data portal)",
    zone="America/Los_Angeles",
    columns=(":updated_at", "cdw_offense_id", "cdw_incident_id", "offense_code", "offense_code_extension", "crime_type", "summary_crime_type"),
    beside={"incidents": "*police_report_incident*.csv"},
    parts=(
        Part("incidents", {
            "incident_id": f"'offence-' || {text(column('cdw_offense_id'))}",
            "report_number": text(column("cdw_incident_id")),
            "started_at": Reading.of(f"coalesce({_START}, {_REVISED})", _REVISED.given),
            "ended_at": f"(case when {_START} is null then {_REVISED} end)",
            "time_precision": f"(case when {_START} is null then 'unknown' end)",
            "offence_code": joined("-", text(column("offense_code")), text(column("offense_code_extension"))),
            "offence": _WORDS,
            "offence_detail": _CLASS,
            "nibrs": nibrs.first(nibrs.by_words(_CLASS, _WORDS)),
            "revised_at": _REVISED,
        }),
    ),
    notes=(
        "The file has neither time nor place. The time is looked up in the file of police report incidents beside it (RMS CDW ID).",
        "Without that file, or where it has no such incident, the row's last change stands for the time, precision \"unknown\": it happened before.",
        "Do not count these beside seattle_incidents: both describe the same reports.",
    ),
)

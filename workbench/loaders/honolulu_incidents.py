"""Crime incidents of the Honolulu Police Department, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, text
from workbench.loaders.kit.times import epoch_s

_WORDS = text(column("type"))

SOURCE = Source(
    name="honolulu_incidents",
    title="Honolulu crime incidents (city data portal)",
    zone="Pacific/Honolulu",
    columns=("objectid", "kilonbr", "blockaddress", "cmid", "date", "type"),
    optional=("status",),
    parts=(
        Part("incidents", {
            "incident_id": f"coalesce({text(column('cmid'))}, {text(column('objectid'))})",
            "report_number": text(column("kilonbr")),
            "started_at": epoch_s(column("date")),
            "offence": _WORDS,
            "nibrs": nibrs.first(nibrs.by_words(_WORDS)),
            "address": f"replace({text(column('blockaddress'))}, '&', ' & ')",
            "status": f"nullif({text(column('status'))}, 'U')",
        }),
    ),
    notes=(
        "The time is seconds since 1970, UTC; it agrees with the day in the report number, which is Honolulu's.",
        "CMID (agency, report number, offence) names the row; OBJECTID changes from export to export.",
        "There are no coordinates; corners are written with &. A status of U is none.",
    ),
)

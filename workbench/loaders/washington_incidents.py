"""Crime incidents of the Metropolitan Police Department, Washington DC, as the city's open-data site exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import Reading, column, local_time, place, text, utc_time
from workbench.loaders.kit.times import counted_id, either, instead


def _moment(name: str) -> Reading:
    wall = local_time(column(name), "%Y-%m-%dT%H:%M:%S.%gZ", "%Y-%m-%dT%H:%M:%SZ")
    return either(wall, utc_time(column(name), "%Y/%m/%d %H:%M:%S+00"))


_START, _REPORT = _moment("START_DATE"), _moment("REPORT_DAT")

SOURCE = Source(
    name="washington_incidents",
    title="Washington DC crime incidents (city open data)",
    zone="America/New_York",
    columns=("CCN", "REPORT_DAT", "METHOD", "OFFENSE", "BLOCK", "DISTRICT", "PSA", "LATITUDE", "LONGITUDE", "START_DATE", "END_DATE"),
    parts=(
        Part("incidents", {
            "incident_id": counted_id(text(column("CCN"))),
            "report_number": text(column("CCN")),
            "started_at": instead(_START, _REPORT),
            "ended_at": _moment("END_DATE"),
            "reported_at": _REPORT,
            "offence": text(column("OFFENSE")),
            "nibrs": nibrs.first(nibrs.by_code(column("OFFENSE"), "washington")),
            "weapon": f"nullif({text(column('METHOD'))}, 'OTHERS')",
            "address": text(column("BLOCK")),
            **place(column("LONGITUDE"), column("LATITUDE")),
            "beat": text(column("PSA")),
            "district": text(column("DISTRICT")),
        }),
    ),
    notes=(
        "Two conventions of time, told apart by their form: 2018-01-01T04:28:13.000Z is local time with a false Z, 2024/02/20 11:08:25+00 is truly UTC.",
        "START_DATE and END_DATE are the window; START_DATE reaches back decades where an old death was ruled a homicide. Without it the report's time stands.",
        "A CCN can cover several victims, one row each; the second is CCN/2. OBJECTID changes from export to export and is not used.",
        "Metres (X, Y, XBLOCK, YBLOCK) are not taken; LATITUDE and LONGITUDE are of the block.",
    ),
)

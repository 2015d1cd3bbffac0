"""Reported crimes of the Los Angeles Police Department, as the city's data portal exports them: yearly files of old, and the later one with MO codes."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, joined, place, text
from workbench.loaders.kit.times import day_start, on_clock

_DAYS = ("iso", "%m/%d/%Y", "%m/%d/%Y %I:%M:%S %p")
_CODE, _WORDS = text(column("crm_cd")), text(column("crm_cd_desc"))
_MO = text(column("mocodes"))
_PLACE = f"regexp_replace({text(column('location'))}, '\\s+', ' ', 'g')"
_CROSS = f"regexp_replace({text(column('cross_street'))}, '\\s+', ' ', 'g')"

SOURCE = Source(
    name="los_angeles_incidents",
    title="Los Angeles reported crimes (city data portal)",
    zone="America/Los_Angeles",
    columns=("dr_no", "date_rptd", "date_occ", "time_occ", "area_name", "rd", "crm_cd", "crm_cd_desc", "status_desc", "location"),
    optional=("cross_street", "mocodes", "premis_desc", "weapon_desc", "lat", "lon"),
    also={"rd": ("Rpt Dist No", "RD"), "dr_no": ("DR_NO", "DR NO.")},
    parts=(
        Part("incidents", {
            "incident_id": text(column("dr_no")),
            "report_number": text(column("dr_no")),
            "started_at": on_clock(column("date_occ"), column("time_occ"), *_DAYS),
            "reported_at": day_start(column("date_rptd"), *_DAYS),
            "time_precision": f"(case when {text(column('time_occ'))} is null then 'day' end)",
            "offence_code": _CODE,
            "offence": _WORDS,
            "nibrs": nibrs.first(nibrs.by_code(_CODE, "los_angeles"), nibrs.by_words(_WORDS)),
            "attempted": f"contains(upper({_WORDS}), 'ATTEMPT')",
            "mo": f"(case when {_MO} is not null then list_aggregate(list_transform(string_split_regex({_MO}, '[ ,]+'), "
                  "lambda x: lpad(x, cast(greatest(4, length(x)) as integer), '0')), 'string_agg', ' ') end)",
            "weapon": text(column("weapon_desc")),
            "premise": text(column("premis_desc")),
            "address": joined(" & ", _PLACE, _CROSS),
            **place(column("lon"), column("lat")),
            "beat": text(column("rd")),
            "district": text(column("area_name")),
            "arrest": f"(case when {text(column('status_desc'))} is not null then contains({text(column('status_desc'))}, 'Arrest') end)",
            "status": text(column("status_desc")),
        }),
    ),
    notes=(
        "Day and time stand in two columns; the time is 24-hour digits that may have lost their leading zeros (5 = 00:05).",
        "MO codes (Mocodes of the later export) are kept in the order given, four digits each, parted by blanks.",
        "The crime code becomes a NIBRS code by table, by its wording where the table has none; traffic reports (997) are UNKNOWN.",
        "A corner is two columns, joined by &. The yearly files have no coordinates; 0,0 is none.",
        "The day of the report has no time: reported_at is its midnight.",
    ),
)

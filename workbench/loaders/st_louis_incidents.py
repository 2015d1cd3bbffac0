"""Reported crimes of the St. Louis Metropolitan Police Department, one file a coded month, as the department publishes them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, local_time, padded, planar_place, text, whole
from workbench.loaders.kit.times import counted_id, wall_time

#: Survey feet of the city's own maps; the files do not say so.
CRS = "ESRI:102696"
_FORMS = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S")
_AT = column("DateOccur")
_GIVEN = text(_AT)
_READ = f"coalesce({', '.join(f'try_strptime(trim({_AT}), {chr(39)}{f}{chr(39)})' for f in _FORMS)})"
_NO_DATE = f"year({_READ}) = 1900"
_NO_TIME = f"({_READ} = date_trunc('day', {_READ}) + interval 1 minute)"
_MONTH_END = f"(try_strptime(trim({column('CodedMonth')}), '%Y-%m') + interval 1 month)"
_END = f"(case when {_NO_DATE} then {_MONTH_END} when {_NO_TIME} then date_trunc('day', {_READ}) + interval 1 day end)"
_COUNT = whole(column("Count"))
_UNFOUNDED = f"({_COUNT} < 0)"
_CODE = padded(column("Crime"), 6)
_WORDS = f"regexp_replace({text(column('Description'))}, '\\s+', ' ', 'g')"


def _road(number: str, street: str) -> str:
    plain = f"nullif({text(column(number))}, '0')"
    return f"(case when {text(column(street))} is not null then concat_ws(' ', {plain}, {text(column(street))}) end)"


SOURCE = Source(
    name="st_louis_incidents",
    title="St. Louis reported crimes (monthly files)",
    zone="America/Chicago",
    encoding="",
    columns=("Complaint", "CodedMonth", "DateOccur", "Count", "Crime", "District", "Description", "ILEADSAddress", "ILEADSStreet", "XCoord", "YCoord"),
    optional=("FlagUnfounded", "FlagAdministrative", "CADAddress", "CADStreet", "Beat", "ILeads Add"),
    parts=(
        Part("incidents", {
            "incident_id": counted_id(text(column("Complaint")), _CODE, text(column("CodedMonth")), f"(case when {_UNFOUNDED} then 'unfounded' end)"),
            "report_number": text(column("Complaint")),
            "started_at": wall_time(f"(case when {_NO_TIME} then date_trunc('day', {_READ}) else {_READ} end)", _GIVEN),
            "ended_at": wall_time(_END, "cast(null as varchar)"),
            "reported_at": local_time(column("ILeads Add"), *_FORMS),
            "time_precision": f"(case when {_NO_DATE} then 'unknown' when {_NO_TIME} then 'day' end)",
            "offence_code": _CODE,
            "offence": _WORDS,
            "nibrs": nibrs.first(nibrs.by_prefix(_CODE, "st_louis")),
            "attempted": f"regexp_matches(upper({_WORDS}), 'ATTEMPT|[/ -]ATT( |/|$)')",
            "weapon": f"nullif(regexp_extract(upper({_WORDS}), 'FIREARM|KNIFE|STRNGARM|OTHR WEPN|OTH DANG WEP|HNDS,FST,FEET'), '')",
            "address": f"coalesce({_road('ILEADSAddress', 'ILEADSStreet')}, {_road('CADAddress', 'CADStreet')})",
            **planar_place(column("XCoord"), column("YCoord"), CRS),
            "beat": text(column("Beat")),
            "district": f"nullif({text(column('District'))}, '0')",
            "status": f"(case when {_UNFOUNDED} then 'un-founded' when {text(column('FlagAdministrative'))} = 'Y' then 'administrative' end)",
            "unfounded": _UNFOUNDED,
            "withdraws": _UNFOUNDED,
        }, reject=((f"{_COUNT} is null or abs({_COUNT}) <> 1", "Count is neither 1 nor -1"),)),
    ),
    notes=(
        "Bytes are Windows-1252 in some months, with or without a UTF-8 BOM; the 26-column month spells its names with blanks and dashes.",
        "Coordinates are survey feet (ESRI:102696); 0 is none, the incident is kept without a place.",
        "A row of Count -1 un-founds an earlier complaint: it is kept as a row of its own, marked unfounded, and takes back one row of its complaint "
        "and code (withdraws).",
        "One complaint has a row for each offence and victim; complaint, code, month and a running number name it, so none is lost.",
        "00:01 stands for an unknown time: the window is the whole day, precision \"day\". The year 1900 stands for an unknown day: precision \"unknown\", "
        "the window ends with the coded month. Other old dates are as recorded.",
        "The crime code is padded to six digits; its leading digits give the NIBRS code.",
        "Neighborhood, LocationName and LocationComment are not taken.",
    ),
)

"""Wanted plates under NCIC field names (LIC, LIS, LIY, LIT, VIN, VYR, VMA, VMO, VST, VCO, MKE, ORI, OCA, NIC), as a state's extract gives them."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, lookup, said, stable_id, text, whole
from workbench.loaders.kit.moments import any_time, until
from workbench.loaders.kit.regions import ncic_region

#: NCIC message keys of records that enter something -> what that is.
MESSAGES = {
    "EV": "stolen vehicle", "EV-A": "stolen vehicle, armed or hazardous", "EF": "felony vehicle", "EF-A": "felony vehicle, armed or hazardous",
    "EL": "stolen or lost plate", "EL-A": "stolen or lost plate, armed or hazardous", "EP": "stolen part", "EW": "wanted person",
    "EW-A": "wanted person, armed or hazardous", "EMJ": "missing juvenile", "EMD": "missing person, disability", "EME": "missing person, endangered",
    "EMI": "missing person, involuntary", "EMV": "missing person, catastrophe", "EMO": "missing person, other",
}
_PLATE = plates.normal_sql(text(column("LIC")))
_LISTED = f"coalesce({text(column('listed_at'))}, {said('listed_at')})"
_ENTERED = f"coalesce({text(column('DTE'))}, {text(column('DOT'))}, {_LISTED})"
_MESSAGE = f"nullif({lookup('upper(' + column('MKE') + ')', MESSAGES, '')}, '')"
_REASON = f"coalesce({text(column('reason'))}, {text(column('MIS'))}, {_MESSAGE}, 'NCIC message key ' || {text(column('MKE'))})"

SOURCE = Source(
    name="ncic_hotlist",
    title="hotlist with NCIC field names (CSV, pipes or tabs too)",
    formats=("csv", "excel"),
    delimiter="",
    encoding="",
    columns=("LIC",),
    optional=("LIS", "LIY", "LIT", "VIN", "VYR", "VMA", "VMO", "VST", "VCO", "MKE", "ORI", "OCA", "NIC", "DTE", "DOT", "EXP", "MIS",
              "reason", "list", "listed_at"),
    also={
        "LIC": ("plate", "license plate", "license", "plate number", "tag", "license number"),
        "LIS": ("state", "plate state", "license state", "region"),
        "LIY": ("license year", "plate year"), "LIT": ("license type", "plate type"),
        "VYR": ("year", "vehicle year"), "VMA": ("make", "vehicle make"), "VMO": ("model", "vehicle model"), "VST": ("style", "body", "vehicle style"),
        "VCO": ("color", "colour", "vehicle color"), "MKE": ("message key",), "ORI": ("agency", "originating agency"),
        "OCA": ("case", "case number", "agency case number", "report number"), "NIC": ("entry", "entry id", "nic number", "record number", "id"),
        "DTE": ("DOE", "DOI", "date of entry", "entry date", "entered", "date entered", "valid from", "begin date"),
        "DOT": ("date of theft", "theft date", "DOW", "date of warrant"),
        "EXP": ("expires", "expiry", "expiration", "expiration date", "valid to", "end date", "purge date", "DOP"),
        "MIS": ("miscellaneous", "remarks", "notes", "comments"),
        "reason": ("alert reason", "offense", "description", "alarm type", "alert type"),
        "list": ("list name", "hotlist", "category"),
        "listed_at": ("extract date", "list date", "run date", "file date", "generated", "as of"),
    },
    takes={"listed_at": "when the list was drawn up, e.g. 2026-06-15T06:00, if the file does not say", "list_name": "what the list is called"},
    parts=(
        Part("hotlist", {
            "entry_id": f"coalesce({text(column('NIC'))}, "
                        f"{stable_id(_PLATE, text(column('LIS')), text(column('ORI')), text(column('OCA')), text(column('MKE')))})",
            "plate": _PLATE,
            "region": ncic_region(column("LIS")),
            "plate_year": whole(column("LIY")),
            "plate_type": text(column("LIT")),
            "list_name": f"coalesce({text(column('list'))}, {said('list_name')}, {_MESSAGE})",
            "message_key": f"upper({text(column('MKE'))})",
            "reason": _REASON,
            "report_number": text(column("OCA")),
            "agency": text(column("ORI")),
            "vin": f"upper({text(column('VIN'))})",
            "make": text(column("VMA")),
            "model": text(column("VMO")),
            "body": text(column("VST")),
            "colour": text(column("VCO")),
            "year": whole(column("VYR")),
            "valid_from": any_time(_ENTERED),
            "valid_to": until(column("EXP")),
            "listed_at": any_time(_LISTED),
        }),
    ),
    notes=(
        "States are NCIC codes already and are kept: NE is the Netherlands here, Nebraska is NB.",
        "An entry counts from its date of entry; where there is none from the date of theft or warrant, else from when the list was drawn up.",
        "An expiry that is a day alone counts to the end of that day.",
        "Where no reason stands in the file, the remarks or the wording of the message key do; an entry with none of these is rejected.",
        "The delimiter (comma, pipe, tab, semicolon) is told from the header.",
        "Say with the load when the list was drawn up (listed_at) if the file does not: without it whether the list is stale is not known.",
    ),
)

"""Reported crimes of the Chicago Police Department, as the city's data portal exports them: raw CSV, or Parquet with types."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, local_time, lookup, padded, place, text, yes_no

#: FBI code of the Illinois report -> NIBRS offence, where the IUCR code does not tell finer (``codes/chicago_iucr.csv``): all other larceny is 23H.
NIBRS = {
    "01A": "09A", "01B": "09B", "02": "11A", "03": "120", "04A": "13A", "04B": "13A", "05": "220", "06": "23H", "07": "240", "08A": "13B",
    "08B": "13B", "09": "200", "10": "250", "11": "26A", "12": "270", "13": "280", "14": "290", "15": "520", "16": "40A", "17": "11D",
    "18": "35A", "19": "39A", "20": "90F", "22": "90G", "24": "90C", "26": "90Z",
}
#: Where the city's geocoder puts what it does not find: a point in Missouri, the state plane's x = y = 0.
MISSOURI = (-91.686566, 36.619446)
_TIMES = ("%m/%d/%Y %I:%M:%S %p", "iso")


def _plain(name: str) -> str:
    return text(column(name), ("",))


SOURCE = Source(
    name="chicago_crimes",
    title="Chicago reported crimes (city data portal)",
    zone="America/Chicago",
    formats=("csv", "parquet"),
    columns=("ID", "Case Number", "Date", "Block", "IUCR", "Primary Type", "Description", "Location Description", "Arrest", "Domestic",
             "Beat", "District", "FBI Code", "Updated On", "Latitude", "Longitude"),
    parts=(
        Part("incidents", {
            "incident_id": _plain("ID"),
            "report_number": _plain("Case Number"),
            "started_at": local_time(column("Date"), *_TIMES),
            "offence_code": _plain("IUCR"),
            "offence": _plain("Primary Type"),
            "offence_detail": _plain("Description"),
            "nibrs": nibrs.first(nibrs.by_code(padded(column("IUCR"), 4), "chicago_iucr"), lookup(column("FBI Code"), NIBRS, "UNKNOWN")),
            "premise": _plain("Location Description"),
            "address": _plain("Block"),
            **place(column("Longitude"), column("Latitude"), nowhere=(MISSOURI,)),
            "beat": _plain("Beat"),
            "district": _plain("District"),
            "arrest": yes_no(column("Arrest")),
            "domestic": yes_no(column("Domestic")),
            "revised_at": local_time(column("Updated On"), *_TIMES),
        }),
    ),
    notes=(
        "Times are Chicago wall time, 12-hour with AM/PM in the CSV; they become UTC.",
        "A point in Missouri (36.619446, -91.686566) stands for \"not found\": the incident is kept without a place, as are those with no coordinates.",
        "Leading zeros of beat, district and IUCR are kept.",
        "A case number can cover several incidents; the row's own ID is the key.",
        "The IUCR code tells thefts, frauds, threats and trespass apart; the rest goes by the FBI code; UNKNOWN where neither table has it.",
        "Both spellings of the portal are read: Case Number and case_number, times with AM and PM or ISO.",
        "A later export's edition (Updated On) replaces an earlier one; an older one is not taken.",
    ),
)

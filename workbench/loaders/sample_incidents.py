"""Incidents of Fairwater, the made-up city, as its records system exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, local_time, lookup, place, text, yes_no

#: The agency's own codes ("UCR" in the export) -> NIBRS.
NIBRS = {
    "0110": "09A", "0211": "11A", "0310": "120", "0320": "120", "0330": "120", "0410": "13A", "0420": "13A", "0510": "220", "0511": "220", "0520": "220",
    "0610": "23F", "0615": "23G", "0620": "23C", "0630": "23D", "0640": "23H", "0645": "23A", "0710": "240", "0810": "13B", "0820": "13C", "0900": "200",
    "1010": "250", "1110": "26A", "1120": "26F", "1310": "280", "1410": "290", "1510": "520", "1810": "35A", "1820": "35B", "2110": "90D", "2410": "90C",
    "2610": "90J", "2690": "90Z",
}
_TIME = "%m/%d/%Y %H:%M"

SOURCE = Source(
    name="sample_incidents",
    title="Fairwater (made-up city): incidents",
    zone="America/Chicago",
    columns=("Incident ID", "Report Number", "Occurred From", "Occurred To", "Reported", "UCR", "Offense", "Offense Description", "MO", "Premise", "Address", "Beat",
             "District", "Longitude", "Latitude", "Arrest", "Domestic", "Last Modified"),
    parts=(
        Part("incidents", {
            "incident_id": text(column("Incident ID")),
            "report_number": text(column("Report Number")),
            "started_at": local_time(column("Occurred From"), _TIME),
            "ended_at": local_time(column("Occurred To"), _TIME),
            "reported_at": local_time(column("Reported"), _TIME),
            "offence_code": text(column("UCR")),
            "offence": text(column("Offense")),
            "offence_detail": text(column("Offense Description")),
            "nibrs": lookup(column("UCR"), NIBRS, "UNKNOWN"),
            "mo": text(column("MO")),
            "premise": text(column("Premise")),
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
            "beat": text(column("Beat")),
            "district": text(column("District")),
            "arrest": yes_no(column("Arrest")),
            "domestic": yes_no(column("Domestic")),
            "revised_at": local_time(column("Last Modified"), _TIME),
        }),
    ),
    notes=(
        "Times are wall time of America/Chicago; many are rounded, and 00:01 often stands for \"time not known\".",
        "\"Occurred To\" is empty when only one time is known.",
        "Leading zeros of the code are kept; the code becomes a NIBRS code, UNKNOWN when it is not in the table.",
        "A position of 0,0 or none at all: the incident is kept without a place.",
        "A later edition of a row (Last Modified) replaces the earlier one; an older one is rejected.",
    ),
)

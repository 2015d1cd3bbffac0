"""Incidents of the made-up city Fairwater, as its records system exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, local_time, lookup, place, text, yes_no

#: The city's local codes -> NIBRS offences.
NIBRS = {
    "2201": "220", "2203": "220", "2207": "220", "1201": "120", "1313": "13A", "1399": "13B", "2404": "240", "2305": "23F", "2308": "23H", "2303": "23C",
    "2901": "290", "3532": "35A", "5203": "520", "2602": "26C", "0902": "09A", "2005": "200", "5404": "90D",
}
_TIME = "%m/%d/%Y %H:%M"

SOURCE = Source(
    name="sample_incidents",
    title="Fairwater incidents (made-up city)",
    zone="America/Chicago",
    columns=("Incident Number", "Report Number", "Occurred From", "Occurred To", "Reported", "UCR", "Offense", "Detail", "MO", "Premise", "Block Address", "Beat", "District",
             "Longitude", "Latitude", "Arrest", "Domestic", "Last Change"),
    parts=(Part("incidents", {
        "incident_id": text(column("Incident Number")),
        "report_number": text(column("Report Number")),
        "started_at": local_time(column("Occurred From"), _TIME),
        "ended_at": local_time(column("Occurred To"), _TIME),
        "reported_at": local_time(column("Reported"), _TIME),
        "offence_code": text(column("UCR")),
        "offence": text(column("Offense")),
        "offence_detail": text(column("Detail")),
        "nibrs": lookup(column("UCR"), NIBRS, "UNKNOWN"),
        "mo": text(column("MO")),
        "premise": text(column("Premise")),
        "address": text(column("Block Address")),
        **place(column("Longitude"), column("Latitude")),
        "beat": text(column("Beat")),
        "district": text(column("District")),
        "arrest": yes_no(column("Arrest")),
        "domestic": yes_no(column("Domestic")),
        "revised_at": local_time(column("Last Change"), _TIME),
    }),),
    notes=("Burglaries and thefts carry the earliest and latest time they can have happened.", "0, 0 means that the geocoder found nothing: kept without a place."),
)

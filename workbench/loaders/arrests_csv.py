"""Arrests as a records system or a city's portal lists them (CSV), under the usual headers."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, stable_id, text, whole
from workbench.loaders.kit.keys import PERSON, person
from workbench.loaders.kit.moments import any_time, stamp

_WHEN = stamp(column("time"), column("date"))

SOURCE = Source(
    name="arrests_csv",
    title="arrests (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=("id", "time", "date", *PERSON, "incident_id", "report_number", "charge", "charge_code", "nibrs", "age", "sex", "race", "address", "lat", "lon",
              "district"),
    also={
        **PERSON,
        "id": ("arrest id", "arrest_id", "arrest", "arrest number", "arrest no", "booking number", "booking id"),
        "time": ("arrested at", "arrested_at", "arrest time", "arrest datetime", "arrest date time", "datetime", "timestamp"),
        "date": ("arrest date", "date of arrest", "booking date"),
        "incident_id": ("incident id", "incident", "event id"),
        "report_number": ("report", "case number", "report no", "incident number", "dr number", "oca"),
        "charge": ("charge description", "offense", "offence", "charge group", "charge desc", "arrest charge"),
        "charge_code": ("code", "statute", "charge code", "ucr", "offense code"), "nibrs": ("nibrs code", "nibrs offense code"),
        "age": ("age at arrest", "arrestee age"), "sex": ("gender", "sex code"), "race": ("descent", "ethnicity", "race code"),
        "address": ("location", "arrest location", "place"), "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"),
        "district": ("precinct", "area", "division", "command"),
    },
    parts=(
        Part("arrests", {
            "arrest_id": f"coalesce({text(column('id'))}, {stable_id(person(), _WHEN, text(column('charge')), text(column('address')))})",
            "person_id": person(),
            "incident_id": text(column("incident_id")),
            "report_number": text(column("report_number")),
            "arrested_at": any_time(_WHEN),
            "charge": text(column("charge")),
            "charge_code": text(column("charge_code")),
            "nibrs": f"coalesce(upper({text(column('nibrs'))}), 'UNKNOWN')",
            "age": whole(column("age")),
            "sex": text(column("sex")),
            "race": text(column("race")),
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
            "district": text(column("district")),
        }),
    ),
    notes=(
        "Date and time may be one column or two; the clock may be 13:05, 1:05 PM or 1305.",
        "Where only a name and day of birth are given they make the person's id, the same as in people_csv.",
        "The NIBRS code is taken only where the file has one, else it is UNKNOWN.",
        "Without an arrest number the person, time, charge and place make the id.",
    ),
)

"""Arrests of the Baltimore Police Department, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, stable_id, text, whole
from workbench.loaders.kit.lists import nth
from workbench.loaders.kit.moments import any_time, stamp

#: First sign of the agency's offence wording ("4E-Common Assault") -> NIBRS.
NIBRS = {"1": "09A", "2": "11A", "3": "120", "4": "13A", "5": "220", "6": "23H", "7": "240"}
_FIELDS = ("Arrest", "Age", "Sex", "Race", "ArrestDate", "ArrestTime", "ArrestLocation", "IncidentOffense", "IncidentLocation", "Charge", "ChargeDescription",
           "District", "Post", "Neighborhood")
_OFFENCE = text(column("IncidentOffense"))
_SIGN = f"regexp_extract({_OFFENCE}, '^([1-9])[A-Z]', 1)"
_CASES = " ".join(f"when '{k}' then '{v}'" for k, v in NIBRS.items())
_ALL = tuple(text(column(f)) for f in _FIELDS)
_CLOCK = f"replace({column('ArrestTime')}, '.', ':')"

SOURCE = Source(
    name="baltimore_arrests",
    title="Baltimore arrests (city data portal)",
    zone="America/New_York",
    columns=("Arrest", "ArrestDate", "ArrestTime", "Charge", "ChargeDescription"),
    optional=("Age", "Sex", "Race", "ArrestLocation", "IncidentOffense", "IncidentLocation", "District", "Post", "Neighborhood", "Longitude", "Latitude",
              "Location 1"),
    also={"IncidentOffense": ("incidento",), "IncidentLocation": ("incidentl",), "Neighborhood": ("name1",)},
    parts=(
        Part("arrests", {
            "arrest_id": f"coalesce({text(column('Arrest'))}, {stable_id(*_ALL, nth(*_ALL))})",
            "arrested_at": any_time(stamp(_CLOCK, column("ArrestDate"))),
            "charge": text(column("ChargeDescription")),
            "charge_code": text(column("Charge")),
            "nibrs": f"(case when starts_with({_OFFENCE}, '4E') then '13B' else coalesce(case {_SIGN} {_CASES} end, 'UNKNOWN') end)",
            "age": whole(column("Age")),
            "sex": text(column("Sex")),
            "race": text(column("Race")),
            "address": f"coalesce({text(column('ArrestLocation'))}, {text(column('IncidentLocation'))})",
            **place(column("Longitude"), column("Latitude")),
            "district": text(column("District")),
        }),
    ),
    notes=(
        "Date and time are two columns, wall time of Baltimore; the clock is written 10:15 or 10.15.",
        "The arrest number is the id; rows without one get theirs from all their values, so that each is kept.",
        "The incident's wording begins with the agency's code (4E-Common Assault), whose first digit tells the NIBRS code; all else is UNKNOWN.",
        "Longitude and Latitude are taken where the edition has them; the combined \"Location 1\", post and neighbourhood are not.",
    ),
)

"""Incident reports of the San Francisco Police Department 2003 to 2018, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, place, text
from workbench.loaders.kit.times import on_clock

#: Where the portal puts what it cannot place.
NOWHERE = (-120.5, 90.0)
_CLASS, _DETAIL, _HOW = (text(column(c)) for c in ("category", "descript", "resolution"))

SOURCE = Source(
    name="san_francisco_incidents",
    title="San Francisco incident reports 2003 to 2018 (city data portal)",
    zone="America/Los_Angeles",
    columns=("incidntnum", "category", "descript", "date", "time", "pddistrict", "resolution", "address", "x", "y", "pdid"),
    parts=(
        Part("incidents", {
            "incident_id": text(column("pdid")),
            "report_number": text(column("incidntnum")),
            "started_at": on_clock(column("date"), column("time")),
            "offence_code": f"right({text(column('pdid'))}, 5)",
            "offence": _CLASS,
            "offence_detail": _DETAIL,
            "nibrs": nibrs.first(nibrs.by_words(_CLASS, _DETAIL)),
            "attempted": f"regexp_matches({_DETAIL}, '^ATTEMPT|, ATT|ATTEMPTED')",
            "address": text(column("address")),
            **place(column("x"), column("y"), nowhere=(NOWHERE,)),
            "district": text(column("pddistrict")),
            "arrest": f"starts_with({_HOW}, 'ARREST')",
            "domestic": f"(case when contains({_DETAIL}, 'DOMESTIC VIOLENCE') then true end)",
            "status": f"nullif({_HOW}, 'NONE')",
            "unfounded": f"({_HOW} = 'UNFOUNDED')",
        }),
    ),
    notes=(
        "An incident number has a row for each of its codes; PdId names the row, and its last five digits are the code.",
        "Day and time stand in two columns, local time.",
        "The wording becomes a NIBRS code by patterns; non-criminal rows and secondary codes are UNKNOWN.",
        "A resolution of UNFOUNDED marks the row. The point -120.5, 90 is none.",
    ),
)

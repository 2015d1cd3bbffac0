"""People as a records system lists them (CSV), under the usual headers; NCIC field names are known too."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, text
from workbench.loaders.kit.keys import PERSON, given_name, person, surname
from workbench.loaders.kit.moments import day

_PLAIN, _INCHES, _CM = text(column("height")), number(column("height_in"), 20, 100), number(column("height_cm"), 50, 250)
#: 5'11", 5-11 or NCIC's 511 in inches.
_FEET = f"regexp_extract({_PLAIN}, '^([3-7])[^0-9]*([0-9]{{1,2}})[^0-9]*$', 1)"
_REST = f"regexp_extract({_PLAIN}, '^([3-7])[^0-9]*([0-9]{{1,2}})[^0-9]*$', 2)"
_BY_FEET = f"(case when try_cast({_REST} as integer) < 12 then try_cast({_FEET} as integer) * 12 + try_cast({_REST} as integer) end)"
#: A bare number: two digits are inches, three that begin with 1 or 2 centimetres.
_BARE = (f"(case when regexp_matches({_PLAIN}, '^[0-9]{{2}}$') then try_cast({_PLAIN} as double) * 2.54 "
         f"when regexp_matches({_PLAIN}, '^[12][0-9]{{2}}$') then try_cast({_PLAIN} as double) else {_BY_FEET} * 2.54 end)")
_POUNDS, _KG = number(column("weight_lb"), 20, 1000), number(column("weight_kg"), 10, 500)

SOURCE = Source(
    name="people_csv",
    title="people (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=(*PERSON, "sex", "race", "height", "height_in", "height_cm", "weight_lb", "weight_kg", "hair", "eyes", "marks"),
    also={
        **PERSON,
        "person_id": (*PERSON["person_id"], "id", "record id"),
        "sex": ("gender", "sex code"), "race": ("descent", "ethnicity", "rac"),
        "height": ("hgt",), "height_in": ("height (in)", "height inches"), "height_cm": ("height (cm)",),
        "weight_lb": ("weight", "wgt", "weight (lb)", "weight lbs"), "weight_kg": ("weight (kg)",),
        "hair": ("hair color", "hair colour", "hai"), "eyes": ("eye color", "eye colour", "eye"), "marks": ("smt", "scars marks tattoos", "tattoos"),
    },
    parts=(
        Part("people", {
            "person_id": person(),
            "surname": surname(),
            "given_name": given_name(),
            "born_on": day(column("born_on")),
            "sex": text(column("sex")),
            "race": text(column("race")),
            "height_cm": Reading.of(f"coalesce({_CM}, round(coalesce({_INCHES} * 2.54, {_BARE}), 1))", f"coalesce({_CM.given}, {_INCHES.given}, {_PLAIN})"),
            "weight_kg": Reading.of(f"coalesce({_KG}, round({_POUNDS} * 0.45359237, 1))", f"coalesce({_KG.given}, {_POUNDS.given})"),
            "hair": text(column("hair")),
            "eyes": text(column("eyes")),
            "marks": text(column("marks")),
        }),
    ),
    notes=(
        "A name may be one column (LAST, FIRST or First Last) or two.",
        "Without an id the name and day of birth make one, the same in every source of this kind; a row with neither id nor name is rejected.",
        "A height is inches (70), centimetres (178), 5'11\" or NCIC's 511; a weight without unit is pounds; kept are centimetres and kilograms.",
        "Nothing is merged here: two records stay two until somebody judges them to be one person.",
    ),
)

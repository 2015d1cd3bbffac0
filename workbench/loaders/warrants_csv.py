"""Warrants as a court or a records system lists them (CSV); NCIC field names are known too."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, text
from workbench.loaders.kit.keys import PERSON, person
from workbench.loaders.kit.moments import any_time, until

_STATUS = f"lower({text(column('status'))})"

SOURCE = Source(
    name="warrants_csv",
    title="warrants (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("id",),
    optional=("issued", "expires", *PERSON, "offence", "offence_code", "court", "status", "caution", "extradition"),
    also={
        **PERSON,
        "id": ("warrant id", "warrant_id", "warrant number", "warrant no", "warrant", "wno", "docket", "nic"),
        "issued": ("issued at", "issue date", "date issued", "warrant date", "dow", "date of warrant"),
        "expires": ("valid to", "expiry", "expiration date", "expiration", "exp"),
        "offence": ("offense", "charge", "charge description"), "offence_code": ("off", "offense code", "charge code"),
        "court": ("issuing court", "issuing agency", "court name", "ori"), "status": ("warrant status", "state"),
        "caution": ("caution and medical", "cmc", "warning", "officer safety"), "extradition": ("exl", "extradition limits", "pickup radius"),
    },
    parts=(
        Part("warrants", {
            "warrant_id": text(column("id")),
            "person_id": person(),
            "issued_at": any_time(column("issued")),
            "valid_to": until(column("expires")),
            "offence": text(column("offence")),
            "offence_code": text(column("offence_code")),
            "court": text(column("court")),
            "status": f"(case when regexp_matches({_STATUS}, '^(active|open|outstanding|issued|wanted)$') then 'active' "
                      f"when regexp_matches({_STATUS}, '^(served|executed|closed|cleared|arrested)$') then 'served' "
                      f"when regexp_matches({_STATUS}, '^(recalled|quashed|cancelled|canceled|withdrawn|vacated)$') then 'recalled' "
                      f"else coalesce({_STATUS}, 'active') end)",
            "caution": text(column("caution")),
            "extradition": text(column("extradition")),
        }),
    ),
    notes=(
        "Words for the status become active, served or recalled; another word is kept; a list without a status column holds active warrants.",
        "Where only a name and day of birth are given they make the person's id, the same as in people_csv, which reads the names out of the same file.",
        "A warrant without a person is rejected. An expiry that is a day alone counts to the end of that day.",
        "A change of status is a new edition.",
    ),
)

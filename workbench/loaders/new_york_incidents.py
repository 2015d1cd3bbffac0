"""Complaints of the New York Police Department (historic), as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit import nibrs
from workbench.loaders.kit.expressions import column, joined, place, text
from workbench.loaders.kit.times import day_start, instead, on_clock

_BLANKS = ("", "NA", "(null)")
_DAYS = ("iso", "%m/%d/%Y")
_KEY, _WORDS, _DETAIL = (text(column(c), _BLANKS) for c in ("ky_cd", "ofns_desc", "pd_desc"))
_FROM = on_clock(column("cmplnt_fr_dt"), column("cmplnt_fr_tm"), *_DAYS)
_REPORT = day_start(column("rpt_dt"), *_DAYS)


def _plain(name: str) -> str:
    return text(column(name), _BLANKS)


SOURCE = Source(
    name="new_york_incidents",
    title="New York complaints, historic (city data portal)",
    zone="America/New_York",
    columns=("cmplnt_num", "cmplnt_fr_dt", "cmplnt_fr_tm", "cmplnt_to_dt", "cmplnt_to_tm", "rpt_dt", "ky_cd", "ofns_desc", "pd_cd", "pd_desc",
             "crm_atpt_cptd_cd", "boro_nm", "addr_pct_cd", "latitude", "longitude"),
    optional=("prem_typ_desc", "loc_of_occur_desc", "law_cat_cd"),
    parts=(
        Part("incidents", {
            "incident_id": _plain("cmplnt_num"),
            "report_number": _plain("cmplnt_num"),
            "started_at": instead(_FROM, _REPORT),
            "ended_at": on_clock(column("cmplnt_to_dt"), column("cmplnt_to_tm"), *_DAYS, bare="end"),
            "reported_at": _REPORT,
            "time_precision": f"(case when {_FROM.given} is null then 'unknown' when {text(column('cmplnt_fr_tm'))} is null then 'day' end)",
            "offence_code": f"regexp_replace(coalesce({_plain('pd_cd')}, {_KEY}), '[.]0$', '')",
            "offence": _WORDS,
            "offence_detail": _DETAIL,
            "nibrs": nibrs.first(f"(case when {_KEY} in ('109', '341') then {nibrs.by_words(_DETAIL)} end)", nibrs.by_code(_KEY, "new_york"),
                                 nibrs.by_words(_WORDS, _DETAIL)),
            "attempted": f"({_plain('crm_atpt_cptd_cd')} = 'ATTEMPTED')",
            "premise": joined(", ", _plain("prem_typ_desc"), f"lower({_plain('loc_of_occur_desc')})"),
            **place(column("longitude"), column("latitude")),
            "beat": _plain("addr_pct_cd"),
            "district": _plain("boro_nm"),
        }),
    ),
    notes=(
        "From and to are a window; each is a day and a time in two columns, and 24:00 is the midnight that ends the day.",
        "No from: the day of the report stands for it, precision \"unknown\". A from or to without a time is the whole day.",
        "Larceny is told apart by the finer wording (from auto, shoplifting, from building), all else by the offence class.",
        "(null) is nothing. Precinct is the beat, borough the district; the file has no address. Feet (X, Y) are not taken.",
    ),
)

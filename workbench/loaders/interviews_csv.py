"""Field interviews (stops, contact cards) as a records system lists them (CSV): one row a person on a card."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, text
from workbench.loaders.kit.keys import PERSON, person
from workbench.loaders.kit.lists import parted
from workbench.loaders.kit.moments import any_time, stamp

_WHEN = stamp(column("time"), column("date"))

SOURCE = Source(
    name="interviews_csv",
    title="field interviews (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=("id", "card", "time", "date", *PERSON, "plate", "with_people", "reason", "unit", "narrative", "address", "lat", "lon", "beat"),
    also={
        **PERSON,
        "id": ("interview id", "interview_id", "row id"),
        "card": ("fi number", "fi no", "card number", "contact number", "fio number", "fic number", "stop id", "fi"),
        "time": ("interviewed at", "interviewed_at", "contact time", "stop time", "datetime", "contact date time", "timestamp"),
        "date": ("contact date", "stop date", "interview date"),
        "plate": ("license plate", "vehicle plate", "tag", "lic", "plate number"),
        "with_people": ("with", "associates", "companions", "other people", "others"),
        "reason": ("basis", "stop reason", "circumstance", "contact reason"), "unit": ("officer unit", "call sign", "callsign"),
        "narrative": ("notes", "remarks", "comments", "text"), "address": ("location", "stop location"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"), "beat": ("zone", "sector", "district"),
    },
    parts=(
        Part("interviews", {
            "interview_id": f"coalesce({text(column('id'))}, coalesce({text(column('card'))}, {_WHEN}) || coalesce(' / ' || {person()}, ''))",
            "interviewed_at": any_time(_WHEN),
            "person_id": person(),
            "plate": plates.normal_sql(text(column("plate"))),
            "with_people": parted(column("with_people")),
            "reason": text(column("reason")),
            "unit": text(column("unit")),
            "narrative": text(column("narrative")),
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
            "beat": text(column("beat")),
        }),
    ),
    notes=(
        "A card with several people is several rows; card number (else the time) and person make the id.",
        "The people one was with are record ids parted by ; , or |.",
        "Where only a name and day of birth are given they make the person's id, the same as in people_csv.",
        "Being stopped says nothing of guilt: an interview ties people to a place and to each other, no more.",
    ),
)

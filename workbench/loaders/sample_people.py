"""People, vehicles, telephones and addresses of Fairwater, the made-up city, and how they are tied to incidents and to one another."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, date, number, place, text, whole

_ID = text(column("id"))
_PLATE = plates.normal_sql(text(column("tag")))


def _kind(name: str) -> str:
    return f"{column('record')} = '{name}'"


def _centimetres(expr: str) -> Reading:
    inches = number(expr, 20, 100)
    return Reading.of(f"round({inches} * 2.54, 1)", inches.given)


def _kilograms(expr: str) -> Reading:
    pounds = number(expr, 50, 700)
    return Reading.of(f"round({pounds} * 0.45359237, 1)", pounds.given)


SOURCE = Source(
    name="sample_people",
    title="Fairwater (made-up city): people, vehicles, telephones, addresses and their ties",
    zone="America/Chicago",
    formats=("ndjson",),
    columns=("record", "id"),
    optional=(
        "last",
        "first",
        "dob",
        "sex",
        "height_in",
        "weight_lb",
        "hair",
        "eyes",
        "marks",
        "tag",
        "state",
        "make",
        "model",
        "color",
        "year",
        "no",
        "street",
        "lat",
        "lon",
        "incident",
        "kind",
        "entity",
        "role",
        "person",
        "relation",
        "from",
        "to",
    ),
    parts=(
        Part(
            "people",
            {
                "person_id": _ID,
                "surname": text(column("last"), ("",)),
                "given_name": text(column("first"), ("",)),
                "born_on": date(column("dob")),
                "sex": text(column("sex")),
                "height_cm": _centimetres(column("height_in")),
                "weight_kg": _kilograms(column("weight_lb")),
                "hair": text(column("hair")),
                "eyes": text(column("eyes")),
                "marks": text(column("marks")),
            },
            where=_kind("person"),
        ),
        Part(
            "vehicles",
            {
                "vehicle_id": _ID,
                "plate": _PLATE,
                "region": text(column("state"), ("",)),
                "make": text(column("make")),
                "model": text(column("model")),
                "colour": text(column("color")),
                "year": whole(column("year")),
            },
            where=_kind("vehicle"),
        ),
        Part(
            "phones",
            {
                "phone_id": _ID,
                "number": f"('+1' || nullif(regexp_replace({text(column('no'))}, '[^0-9]', '', 'g'), ''))",
            },
            where=_kind("phone"),
        ),
        Part("addresses", {"address_id": _ID, "address": text(column("street")), **place(column("lon"), column("lat"))}, where=_kind("address")),
        Part(
            "involvements",
            {
                "involvement_id": _ID,
                "incident_id": text(column("incident")),
                "entity_kind": text(column("kind")),
                "entity_id": text(column("entity")),
                "role": text(column("role")),
            },
            where=_kind("involvement"),
        ),
        Part(
            "associations",
            {
                "association_id": _ID,
                "person_id": text(column("person")),
                "entity_kind": text(column("kind")),
                "entity_id": text(column("entity")),
                "relation": text(column("relation")),
                "since": date(column("from")),
                "until": date(column("to")),
            },
            where=_kind("association"),
        ),
    ),
    notes=(
        'One JSON object a line; its member "record" says what it is. Any other kind is rejected.',
        "The same person may have several records under different spellings; nothing is merged here.",
        "Heights are given in inches and kept in centimetres, weights in pounds and kept in kilograms; telephone numbers become +1 and ten digits.",
    ),
)

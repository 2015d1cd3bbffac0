"""People, vehicles, phones, addresses and their parts in incidents, of the made-up city Fairwater: one JSON record a line."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.expressions import column, date, number, place, text, whole

_IS = '"record" = '

SOURCE = Source(
    name="sample_people",
    title="Fairwater people, vehicles, phones, addresses and involvements (made-up city)",
    zone="America/Chicago",
    formats=("ndjson",),
    columns=("record", "id"),
    optional=("last", "first", "dob", "sex", "height", "plate", "state", "make", "colour", "year", "number", "address", "lat", "long", "incident", "kind", "key", "role", "person",
              "relation", "since"),
    parts=(
        Part("people", {"person_id": text("id"), "surname": text("last"), "given_name": text("first"), "born_on": date("dob"), "sex": text("sex"), "height_cm": number("height", 30, 260)},
             where=_IS + "'person'"),
        Part("vehicles", {"vehicle_id": text("id"), "plate": plates.normal_sql(text("plate")), "region": text("state"), "make": text("make"), "colour": text("colour"),
                          "year": whole(column("year"))}, where=_IS + "'vehicle'"),
        Part("phones", {"phone_id": text("id"), "number": text("number")}, where=_IS + "'phone'"),
        Part("addresses", {"address_id": text("id"), "address": text("address"), **place(column("long"), column("lat"))}, where=_IS + "'address'"),
        Part("involvements", {"involvement_id": text("id"), "incident_id": text("incident"), "entity_kind": text("kind"), "entity_id": text(column("key")), "role": text("role")},
             where=_IS + "'involvement'"),
        Part("associations", {"association_id": text("id"), "person_id": text("person"), "entity_kind": text("kind"), "entity_id": text(column("key")), "relation": text("relation"),
                              "since": date("since")}, where=_IS + "'association'"),
    ),
    notes=("The same person can have several records under other spellings; which ones are one person is for a model and then a human to say.",),
)

"""Who and what had which part in which incident (CSV): persons, vehicles, telephones, addresses."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, stable_id, text

_KIND = f"lower({text(column('kind'))})"
_KINDS = {"person": ("person", "people", "subject", "name", "p"), "vehicle": ("vehicle", "car", "auto", "v"), "phone": ("phone", "telephone", "number", "t"),
          "address": ("address", "location", "place", "a")}
_GIVEN = " ".join(f"when {_KIND} in ({', '.join(repr(w) for w in words)}) then '{kind}'" for kind, words in _KINDS.items())
#: Which of the four entity columns of a wide file is filled.
_WIDE = " ".join(f"when {text(column(c))} is not null then '{k}'" for k, c in (("person", "person"), ("vehicle", "vehicle"), ("phone", "phone"),
                                                                            ("address", "address_id")))
_ENTITY_KIND = f"(case {_GIVEN} when {_KIND} is not null then {_KIND} {_WIDE} when {text(column('entity'))} is not null then 'person' end)"
_ENTITY = f"coalesce({text(column('entity'))}, {', '.join(text(column(c)) for c in ('person', 'vehicle', 'phone', 'address_id'))})"
_ROLE = f"lower({text(column('role'))})"
_ROLES = {"victim": ("vic", "v", "complainant/victim"), "suspect": ("sus", "s", "offender", "susp"), "arrestee": ("arr", "arrested", "defendant"),
          "witness": ("wit", "w"), "reporting party": ("rp", "complainant", "reportee", "caller"), "stolen": ("stolen vehicle",),
          "used": ("suspect vehicle", "used in crime")}
_SAID = " ".join(f"when {_ROLE} in ({', '.join(repr(w) for w in words)}) then '{role}'" for role, words in _ROLES.items())

SOURCE = Source(
    name="involvements_csv",
    title="involvements of people, vehicles, telephones and addresses in incidents (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("incident", "role"),
    optional=("id", "kind", "entity", "person", "vehicle", "phone", "address_id"),
    also={
        "id": ("involvement id", "involvement_id", "row id"),
        "incident": ("incident id", "incident_id", "incident number", "event id", "crime id"),
        "role": ("involvement", "involvement type", "part", "person type", "type"),
        "kind": ("entity kind", "entity_kind", "entity type", "object type"), "entity": ("entity id", "entity_id", "object id"),
        "person": ("person id", "person_id", "name id", "mni", "subject id"), "vehicle": ("vehicle id", "vehicle_id"),
        "phone": ("phone id", "phone_id", "telephone"), "address_id": ("address id", "location id"),
    },
    parts=(
        Part("involvements", {
            "involvement_id": f"coalesce({text(column('id'))}, {stable_id(text(column('incident')), _ENTITY_KIND, _ENTITY, _ROLE)})",
            "incident_id": text(column("incident")),
            "entity_kind": _ENTITY_KIND,
            "entity_id": _ENTITY,
            "role": f"(case {_SAID} else {_ROLE} end)",
        }),
    ),
    notes=(
        "The thing is named by kind and id, or by a column of its own (person id, vehicle id, ...); where only an entity id is given it is a person.",
        "Short words for roles (VIC, SUS, WIT, RP) become whole ones; another word is kept in lower case.",
        "Without an id the incident, the thing and its role make one.",
    ),
)

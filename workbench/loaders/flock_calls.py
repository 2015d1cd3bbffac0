"""CAD events as a Flock-style interface gives them (JSON): one object an event, told apart by its external id and sent again when it changes."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, joined, member, place, text, utc_time

_UNIT = ("$.name", "$.callSign", "$.unitId", "$.id", "$.externalId")
_NOTE = ("$.narrative", "$.text", "$.message", "$.body", "$.value")


def _members(name: str, paths: tuple[str, ...]) -> str:
    """A text list of a JSON array of texts or of objects, of which the first of ``paths`` is taken."""
    tries = ", ".join(f"json_extract_string(x, '{path}')" for path in paths)
    taken = f"case when json_type(x) = 'OBJECT' then coalesce({tries}) else json_extract_string(x, '$') end"
    given = f"try_cast(try_cast({column(name)} as json) as json[])"
    return f"nullif(list_filter(list_transform({given}, lambda x: {taken}), lambda t: t is not null and t <> ''), cast([] as varchar[]))"


def _spot(name: str) -> str:
    return text(member(column("location"), f"$.{name}"))


SOURCE = Source(
    name="flock_calls",
    title="CAD events, Flock-style interface (JSON)",
    zone="UTC",
    formats=("json", "ndjson"),
    records="events",
    columns=("externalId", "eventType", "timestamp"),
    optional=("displayId", "priority", "displayPriority", "closedAt", "displayStatus", "department", "area", "narratives", "location", "dispatchedUnits",
              "updatedAt"),
    also={"updatedAt": ("modifiedAt", "lastUpdatedAt", "lastModifiedAt")},
    parts=(
        Part("calls", {
            "call_id": text(column("externalId")),
            "call_type": text(column("eventType")),
            "category": text(column("department")),
            "priority": f"coalesce({text(column('displayPriority'))}, {text(column('priority'))})",
            "received_at": utc_time(column("timestamp")),
            "closed_at": utc_time(column("closedAt")),
            "units": _members("dispatchedUnits", _UNIT),
            "disposition": text(column("displayStatus")),
            "address": joined(", ", f"coalesce({_spot('streetAddress')}, {_spot('name')})", _spot("city")),
            **place(_spot("longitude"), _spot("latitude")),
            "beat": text(column("area")),
            "narrative": f"array_to_string({_members('narratives', _NOTE)}, chr(10))",
            "doubts": f"(case when {utc_time(column('closedAt'))} < {utc_time(column('timestamp'))} then ['closed before received'] end)",
            "revised_at": utc_time(column("updatedAt")),
        }),
    ),
    notes=(
        "An event is told apart by externalId. Sent again with another status, units or type it is a new edition: the newest is shown, all are kept.",
        "updatedAt orders the editions; an event that does not carry it is newer when it comes later. An edition older than the one held is rejected.",
        "Units and narratives may be texts or objects. The status shown is the disposition.",
        "callerInfo, involvedPersons and involvedVehicles are not taken.",
    ),
)

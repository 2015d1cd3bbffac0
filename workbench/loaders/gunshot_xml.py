"""Alerts of a gunshot sensor system as its vendor's feed sends them (XML): one ``incident`` element an alert."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, member, number, place, stable_id, text, whole
from workbench.loaders.kit.lists import share
from workbench.loaders.kit.moments import any_time
from workbench.loaders.kit.shots import shot_kind

_WHERE = column("location")


def _inner(name: str, *others: str) -> str:
    """A column, or a member of that name (or one of ``others``) of the location."""
    members = ", ".join(member(_WHERE, f'$."{n}"') for n in (name, *others, f"@{name}"))
    return str(text(f"coalesce({column(name)}, {members})"))


_LON, _LAT = _inner("longitude", "lon", "x"), _inner("latitude", "lat", "y")
_TIME = text(column("time"))
_ERROR = number(_inner("accuracy", "error"), 0)

SOURCE = Source(
    name="gunshot_xml",
    title="gunshot sensor alerts (vendor-like XML)",
    formats=("xml", "ndjson"),
    records="incident",
    columns=(),
    optional=("id", "time", "type", "rounds", "confidence", "accuracy", "location", "latitude", "longitude",
              "address", "beat", "district", "cad", "report", "disposition", "updated"),
    also={
        "id": ("incidentId", "alertId", "eventId", "number"),
        "time": ("dateTime", "incidentTime", "alertTime", "triggerTime", "timestamp", "firedAt"),
        "type": ("classification", "incidentType", "kind"),
        "rounds": ("roundCount", "numberOfRounds", "shots"),
        "confidence": ("score", "probability"),
        "accuracy": ("accuracyMeters", "errorMeters", "uncertainty", "error"), "latitude": ("lat",), "longitude": ("lon", "lng"),
        "location": ("position", "place", "point"),
        "cad": ("cadId", "cadNumber", "callNumber"), "report": ("reportNumber", "caseNumber"),
        "updated": ("lastUpdated", "modified", "revised"),
    },
    parts=(
        Part("gunshots", {
            "gunshot_id": f"coalesce({text(column('id'))}, {stable_id(_TIME, _LAT, _LON)})",
            "fired_at": any_time(_TIME),
            "kind": shot_kind(column("type")),
            "rounds": whole(column("rounds")),
            "confidence": share(column("confidence")),
            "error_m": Reading.of(_ERROR, _ERROR.given),
            "call_id": text(column("cad")),
            "report_number": text(column("report")),
            "disposition": text(column("disposition")),
            "address": _inner("address"),
            **place(_LON, _LAT),
            "beat": text(column("beat")),
            "district": text(column("district")),
            "revised_at": any_time(column("updated")),
        }),
    ),
    notes=(
        "One incident element is one alert; id, time and type may be attributes or elements, the position flat or inside a location element.",
        "Times are ISO with an offset, or wall time of the zone given with the load. Accuracies are metres.",
        "An alert sent again is a new edition if anything differs.",
    ),
)

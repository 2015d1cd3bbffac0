"""Any feed of events: a time, a kind, and where it has them a place and words (CSV, NDJSON, JSON, GeoJSON)."""

from workbench.geo.geometry import AREAS, LINES
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, stable_id, text
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.moments import any_time, until
from workbench.loaders.kit.where import place_or_middle

_SHAPE = Geometry(column("geometry"), (*AREAS, *LINES, "Point", "MultiPoint"))
_OWN = tuple(text(column(n)) for n in ("time", "kind", "title", "text", "address", "lon", "lat"))

SOURCE = Source(
    name="event_feed",
    title="event feed: time, place, kind, text (CSV, NDJSON, JSON, GeoJSON)",
    zone="UTC",
    formats=("csv", "ndjson", "json", "geojson", "excel"),
    delimiter="",
    encoding="",
    columns=("time", "kind"),
    optional=("id", "end", "title", "text", "severity", "urgency", "certainty", "status", "address", "lon", "lat", "geometry", "updated"),
    also={
        "time": ("happened_at", "start", "starts_at", "begins", "started_at", "start_time", "timestamp", "datetime", "date_time", "when", "date", "at",
                 "event_time", "created_at"),
        "kind": ("type", "category", "event_type", "event", "class"), "id": ("event_id", "event id", "identifier", "guid", "uid", "key"),
        "end": ("ended_at", "ends", "ends_at", "end_time", "until", "expires"), "title": ("headline", "summary", "subject", "name"),
        "text": ("description", "narrative", "details", "detail", "message", "body", "remarks", "notes"), "status": ("state",),
        "address": ("place", "location", "venue", "where", "street"), "lon": ("longitude", "lng", "long", "x"), "lat": ("latitude", "y"),
        "updated": ("updated_at", "last_updated", "modified", "revised_at"), "severity": ("priority", "level"),
    },
    takes={"crs": "the coordinate system, where the file does not say it"},
    parts=(
        Part("events", {
            "event_id": f"coalesce({text(column('id'))}, {stable_id(*_OWN)})",
            "happened_at": any_time(column("time")),
            "ended_at": until(column("end")),
            "kind": text(column("kind")),
            "title": text(column("title")),
            "narrative": text(column("text")),
            "severity": text(column("severity")),
            "urgency": text(column("urgency")),
            "certainty": text(column("certainty")),
            "status": f"lower({text(column('status'))})",
            "geometry": _SHAPE.shape(),
            "address": text(column("address")),
            **place_or_middle(column("lon"), column("lat"), _SHAPE),
            "revised_at": any_time(column("updated")),
        }),
    ),
    notes=(
        "Times with an offset are honoured; others are wall time of --zone.",
        "An event without an id gets one of its own values, so the same event in two files is one.",
    ),
)

"""Closed roads and lanes: a list (CSV), or GeoJSON, plain or with the fields of the work zone exchange (WZDx)."""

from workbench.geo.geometry import AREAS, LINES
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, member, stable_id, text, yes_no
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.moments import any_time, until
from workbench.loaders.kit.where import place_or_middle

_SHAPE = Geometry(column("geometry"), (*AREAS, *LINES, "Point", "MultiPoint"))
_CORE = column("core_details")
_STREET = f"coalesce({text(column('street'))}, {member(_CORE, '$.road_names[0]')}, {member(column('road_names'), '$[0]')})"
_IMPACT = f"lower({text(column('vehicle_impact'))})"
_GIVEN = yes_no(column("full"))
_ALL = "('all-lanes-closed', 'full', 'closed', 'road closed', 'full closure')"
_FULL = f"coalesce({_GIVEN}, case when {_IMPACT} in {_ALL} then true when {_IMPACT} is not null then false end)"

SOURCE = Source(
    name="closures",
    title="closed roads (CSV, GeoJSON, work zone exchange)",
    zone="UTC",
    formats=("csv", "geojson", "ndjson", "excel"),
    delimiter="",
    encoding="",
    columns=("start",),
    optional=("id", "street", "road_names", "core_details", "end", "reason", "full", "vehicle_impact", "direction", "address", "lon", "lat", "geometry",
              "updated"),
    also={
        "id": ("closure_id", "closure", "permit", "permit_no", "event_id"), "street": ("road", "road_name", "street_name", "on_street", "onstreet", "route"),
        "start": ("start_date", "started_at", "closed from", "from_date", "begin", "start_time", "start_datetime"),
        "end": ("end_date", "ended_at", "closed until", "to_date", "until", "end_time", "reopens", "end_datetime"),
        "reason": ("cause", "event_type", "type", "description", "purpose"), "full": ("full_closure", "closed", "all_lanes"),
        "vehicle_impact": ("impact", "status"), "direction": ("dir", "travel_direction"), "address": ("location", "between", "limits"),
        "lon": ("longitude", "lng", "x"), "lat": ("latitude", "y"), "updated": ("update_date", "last_updated", "modified", "revised_at"),
    },
    takes={"crs": "the coordinate system, where the file does not say it"},
    parts=(
        Part("closures", {
            "closure_id": f"coalesce({text(column('id'))}, {stable_id(_STREET, text(column('start')), text(column('address')), column('geometry'))})",
            "street": _STREET,
            "started_at": any_time(column("start")),
            "ended_at": until(column("end")),
            "reason": f"lower(coalesce({text(column('reason'))}, {member(_CORE, '$.event_type')}))",
            "full": Reading.of(_FULL, _GIVEN.given, probe=_GIVEN),
            "direction": f"nullif(coalesce({text(column('direction'))}, {member(_CORE, '$.direction')}), 'unknown')",
            "geometry": _SHAPE.shape(),
            "address": f"coalesce({text(column('address'))}, {member(_CORE, '$.description')})",
            **place_or_middle(column("lon"), column("lat"), _SHAPE),
            "revised_at": any_time(f"coalesce({column('updated')}, {member(_CORE, '$.update_date')})"),
        }, reject=(('"@ended_at" < "@started_at"', "it ends before it starts"),)),
    ),
    notes=(
        "Times with an offset are honoured; others are wall time of --zone. A last day without a time counts to its end.",
        "A line or area stands on the map by the point half-way along it or in its middle, where no position is given.",
        "WZDx: road names, direction and event type are taken from core_details; vehicle_impact all-lanes-closed is a full closure.",
    ),
)

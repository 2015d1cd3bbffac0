"""A registry of cameras: where each looks, how far, how long it keeps its film, whose it is and what the owner agreed to."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, text, yes_no
from workbench.loaders.kit.lists import parted
from workbench.loaders.kit.moments import any_time, until
from workbench.loaders.kit.where import heading

_METRES, _FEET = number(column("range_m"), 0), number(column("range_ft"), 0)
_DAYS, _HOURS = number(column("retention_days"), 0), number(column("retention_hours"), 0)
_OWNER = f"lower({text(column('owner_kind'))})"
_RESIDENT = f"regexp_matches({_OWNER}, 'resident|private person|home')"


def _either(one: Reading, other: Reading, factor: str) -> Reading:
    return Reading.of(f"coalesce({one}, {other} * {factor})", f"coalesce({one.given}, {other.given})")


SOURCE = Source(
    name="camera_registry",
    title="camera registry (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("id",),
    optional=("kind", "name", "address", "lat", "lon", "bearing", "field_of_view", "range_m", "range_ft", "height_m", "approaches", "retention_days",
              "retention_hours", "live", "owner_kind", "owner", "consent", "active_from", "active_to"),
    also={
        "id": ("camera id", "camera_id", "camera", "device id", "registry number", "asset"),
        "kind": ("type", "camera type"), "name": ("camera name", "label", "title"), "address": ("location", "street address"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"),
        "bearing": ("heading", "direction", "azimuth", "facing", "looks"), "field_of_view": ("fov", "angle", "view angle"),
        "range_m": ("range", "range (m)", "distance_m", "reach_m"), "range_ft": ("range (ft)", "distance_ft"), "height_m": ("height", "mount height m"),
        "approaches": ("approach", "directions"), "retention_days": ("retention", "retention (days)", "days kept", "storage days"),
        "retention_hours": ("retention (hours)", "hours kept"), "live": ("live view", "stream", "live access"),
        "owner_kind": ("owner type", "ownership", "category"), "owner": ("owner name", "contact", "organisation", "organization", "business"),
        "consent": ("agreement", "permission", "access", "sharing"), "active_from": ("installed", "since", "go live", "go-live date", "active from"),
        "active_to": ("removed", "decommissioned", "until", "active to"),
    },
    parts=(
        Part("cameras", {
            "camera_id": text(column("id")),
            "kind": f"coalesce(lower({text(column('kind'))}), 'private')",
            "name": text(column("name")),
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
            "bearing": heading("bearing"),
            "field_of_view": number(column("field_of_view"), 0, 360),
            "range_m": _either(_METRES, _FEET, "0.3048"),
            "height_m": number(column("height_m"), 0),
            "approaches": parted(column("approaches")),
            "retention_days": _either(_DAYS, _HOURS, "1 / 24"),
            "live": yes_no(column("live")),
            "owner_kind": _OWNER,
            "owner": f"(case when coalesce({_RESIDENT}, false) then null else {text(column('owner'))} end)",
            "consent": f"lower({text(column('consent'))})",
            "active_from": any_time(column("active_from")),
            "active_to": until(column("active_to")),
        }),
    ),
    notes=(
        "A bearing is degrees clockwise of north or a compass word; ranges in feet become metres, retention in hours becomes days.",
        "Where the owner is a resident the owner's name is left out on purpose; the registry's number is enough to ask.",
        "A camera of no stated kind is private.",
    ),
)

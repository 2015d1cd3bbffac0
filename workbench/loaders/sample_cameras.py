"""The camera registry of Fairwater, the made-up city: street, transport and private cameras, and those of units."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, number, place, text, yes_no

_OWNER = text(column("Owner Kind"))

SOURCE = Source(
    name="sample_cameras",
    title="Fairwater (made-up city): cameras",
    zone="America/Chicago",
    columns=("Camera", "Kind", "Name", "Address", "Latitude", "Longitude", "Bearing", "Field of View", "Range", "Retention", "Owner Kind", "Owner", "Consent",
             "Unit", "Installed", "Live"),
    parts=(
        Part("cameras", {
            "camera_id": text(column("Camera")),
            "kind": text(column("Kind")),
            "name": text(column("Name")),
            "address": text(column("Address")),
            **place(column("Longitude"), column("Latitude")),
            "bearing": number(column("Bearing"), 0, 360),
            "field_of_view": number(column("Field of View"), 0, 360),
            "range_m": number(column("Range"), 0),
            "retention_days": number(column("Retention"), 0),
            "live": yes_no(column("Live")),
            "owner_kind": _OWNER,
            "owner": f"(case when {_OWNER} = 'resident' then null else {text(column('Owner'))} end)",
            "consent": f"lower({text(column('Consent'))})",
            "unit": text(column("Unit")),
            "active_from": local_time(column("Installed"), "%m/%d/%Y"),
        }),
    ),
    notes=(
        "Bearings are degrees clockwise of north, ranges metres, retention days.",
        "Cameras of units (body, vehicle) have no place: they are where their unit is. No resident's name is kept.",
    ),
)

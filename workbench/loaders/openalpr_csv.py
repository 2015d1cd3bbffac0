"""Plate reads as the OpenALPR (Rekor Scout) web server lists them: a CSV export of its plate search."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, said, stable_id, text, yes_no
from workbench.loaders.kit.lists import candidates, percent
from workbench.loaders.kit.moments import any_time
from workbench.loaders.kit.regions import region

_RAW = text(column("best_plate"))
_PLATE = plates.normal_sql(_RAW)
_READER = f"coalesce({text(column('camera'))}, {text(column('camera_id'))})"
_TURN, _BEARING = number(column("direction_of_travel_degrees"), -360, 360), number(said("bearing"), 0, 360)

SOURCE = Source(
    name="openalpr_csv",
    title="OpenALPR / Rekor Scout plate search export (forensic CSV)",
    delimiter="",
    encoding="",
    columns=("best_plate", "epoch_time_start"),
    optional=("best_uuid", "best_confidence", "region", "camera", "camera_id", "site", "agent_uid", "gps_latitude", "gps_longitude",
              "direction_of_travel_degrees", "vehicle_make", "vehicle_make_model", "vehicle_color", "vehicle_body_type", "candidates"),
    also={
        "best_plate": ("Plate Number", "Plate", "best_plate_number", "License Plate"),
        "epoch_time_start": ("Start Time", "Time", "epoch_start", "Date", "Timestamp", "Local Time"),
        "best_uuid": ("UUID", "Image ID"),
        "best_confidence": ("Confidence", "Plate Confidence"),
        "region": ("Plate Region", "Plate State", "State", "best_region"),
        "camera": ("Camera Name", "camera_name"),
        "camera_id": ("Camera ID", "camera_number"),
        "site": ("Site Name", "Agent", "agent_label"),
        "gps_latitude": ("Latitude", "lat"),
        "gps_longitude": ("Longitude", "lon", "lng"),
        "direction_of_travel_degrees": ("Direction", "travel_direction", "Direction of Travel"),
        "vehicle_make": ("Make",),
        "vehicle_make_model": ("Make Model", "Model"),
        "vehicle_color": ("Color", "Colour"),
        "vehicle_body_type": ("Body Type", "Body"),
    },
    takes={"bearing": "where the camera looks, degrees clockwise of north (for a file of one camera)",
           "moving": "yes where the cameras ride on vehicles, no where they are fixed"},
    parts=(
        Part("reads", {
            "read_id": f"coalesce({text(column('best_uuid'))}, {stable_id(_READER, text(column('epoch_time_start')), _PLATE)})",
            "plate": _PLATE,
            "plate_raw": _RAW,
            "region": region(column("region")),
            "reader": f"coalesce({_READER}, {text(column('site'))}, {text(column('agent_uid'))})",
            "read_at": any_time(column("epoch_time_start")),
            "confidence": percent(column("best_confidence")),
            **candidates(column("candidates"), _PLATE),
            "direction": Reading.of(f"(({_TURN} + {_BEARING} + 360) % 360)", f"(case when {said('bearing')} is not null then {_TURN.given} end)"),
            "make": text(column("vehicle_make")),
            "model": text(column("vehicle_make_model")),
            "colour": text(column("vehicle_color")),
            "body": text(column("vehicle_body_type")),
            "moving": yes_no(said("moving")),
            "image": text(column("best_uuid")),
            "address": text(column("site")),
            **place(column("gps_longitude"), column("gps_latitude"), nowhere=((-1, -1),)),
        }),
    ),
    notes=(
        "Columns are those of the web server's plate search; several spellings of each are known.",
        "Times carry an offset, or are milliseconds since 1970; a bare wall clock is of the zone given with the load.",
        "Confidences are percent and become 0 to 1; where a candidates column (JSON) is exported they are kept as alternatives.",
        "The direction of travel is an angle in the picture, so a direction is given only where the camera's bearing is said with the load.",
        "Without a UUID the read's camera, time and plate make its id.",
    ),
)

"""Plate reads as OpenALPR (Rekor Scout) sends them: one ``alpr_group`` object a vehicle that passed, out of a webhook or the agent's queue."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, epoch_ms, member, number, place, said, stable_id, text, yes_no
from workbench.loaders.kit.lists import candidates, percent
from workbench.loaders.kit.regions import region

_BEST = column("best_plate")
_RAW = f"coalesce({text(column('best_plate_number'))}, {text(member(_BEST, '$.plate'))})"
_PLATE = plates.normal_sql(_RAW)
_CAMERA = text(column("camera_id"))
_SITE = f"coalesce({text(column('agent_uid'))}, {text(column('site_id'))})"
_TURN, _BEARING = number(column("travel_direction"), -360, 360), number(said("bearing"), 0, 360)


def _vehicle(what: str) -> str:
    return text(member(column("vehicle"), f"$.{what}[0].name"))


SOURCE = Source(
    name="openalpr_groups",
    title="OpenALPR / Rekor Scout plate groups (alpr_group JSON)",
    formats=("ndjson", "json"),
    columns=("data_type", "epoch_start", "camera_id"),
    optional=("best_plate_number", "best_plate", "best_confidence", "best_region", "best_uuid", "candidates", "epoch_end", "agent_uid", "site_id",
              "gps_latitude", "gps_longitude", "travel_direction", "vehicle", "web_server_config"),
    takes={"bearing": "where the camera looks, degrees clockwise of north (for a file of one camera)",
           "moving": "yes where the camera rides on a vehicle, no where it is fixed"},
    parts=(
        Part("reads", {
            "read_id": f"coalesce({text(column('best_uuid'))}, {stable_id(_SITE, _CAMERA, text(column('epoch_start')), _PLATE)})",
            "plate": _PLATE,
            "plate_raw": _RAW,
            "region": region(f"coalesce({text(column('best_region'))}, {text(member(_BEST, '$.region'))})"),
            "reader": f"coalesce({text(member(column('web_server_config'), '$.camera_label'))}, {_CAMERA})",
            "read_at": epoch_ms(column("epoch_start")),
            "confidence": percent(f"coalesce({column('best_confidence')}, {member(_BEST, '$.confidence')})"),
            **candidates(f"coalesce({column('candidates')}, {member(_BEST, '$.candidates')})", _PLATE),
            "direction": Reading.of(f"(({_TURN} + {_BEARING} + 360) % 360)", f"(case when {said('bearing')} is not null then {_TURN.given} end)"),
            "make": _vehicle("make"),
            "model": _vehicle("make_model"),
            "colour": _vehicle("color"),
            "body": _vehicle("body_type"),
            "moving": yes_no(said("moving")),
            "image": text(column("best_uuid")),
            "address": text(member(column("web_server_config"), "$.agent_label")),
            **place(column("gps_longitude"), column("gps_latitude"), nowhere=((-1, -1),)),
        }, where=f"coalesce({column('data_type')}, 'alpr_group') = 'alpr_group'"),
    ),
    notes=(
        "One group is one vehicle that passed, read in several frames; the time is that of its first frame (epoch_start, UTC).",
        "Candidate plates are kept as alternatives, likeliest first, without the chosen one; confidences in percent become 0 to 1.",
        "Regions such as us-ne become NCIC codes (NB); one that is not known is kept in upper case as given.",
        "travel_direction is an angle in the picture (0 = away from the camera), so direction is given only where the camera's bearing is said.",
        "Pictures inside the message are not taken; the id by which the agent gives them is.",
        "Heartbeats, alerts and single results are not groups and are rejected with their text.",
    ),
)

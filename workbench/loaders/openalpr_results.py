"""Plate reads as OpenALPR (Rekor Scout) sends them frame by frame: one ``alpr_results`` object a frame, with the plates that are in it."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, epoch_ms, member, place, said, stable_id, text, yes_no
from workbench.loaders.kit.lists import candidates, percent
from workbench.loaders.kit.regions import region

_RESULTS = column("results")
_SURE = "try_cast(json_extract_string(x, '$.confidence') as double)"
_ALL = f"coalesce(from_json(try_cast({_RESULTS} as json), '[\"JSON\"]'), [])"
_MOST = f"list_max(list_transform({_ALL}, lambda x: {_SURE}))"
#: The result the reader is surest of, as JSON text.
_BEST = f"cast(coalesce(list_filter({_ALL}, lambda x: {_SURE} = {_MOST})[1], {_ALL}[1]) as varchar)"
_RAW = text(member(_BEST, "$.plate"))
_PLATE = plates.normal_sql(_RAW)
_CAMERA = text(column("camera_id"))

SOURCE = Source(
    name="openalpr_results",
    title="OpenALPR / Rekor Scout plate results of single frames (alpr_results JSON)",
    formats=("ndjson", "json"),
    columns=("data_type", "epoch_time", "results"),
    optional=("uuid", "camera_id", "agent_uid", "site_id", "gps_latitude", "gps_longitude"),
    takes={"moving": "yes where the camera rides on a vehicle, no where it is fixed"},
    parts=(
        Part("reads", {
            "read_id": f"coalesce({text(column('uuid'))}, {stable_id(_CAMERA, text(column('epoch_time')), _PLATE)})",
            "plate": _PLATE,
            "plate_raw": _RAW,
            "region": region(member(_BEST, "$.region")),
            "reader": f"coalesce({_CAMERA}, {text(column('agent_uid'))}, {text(column('site_id'))})",
            "read_at": epoch_ms(column("epoch_time")),
            "confidence": percent(member(_BEST, "$.confidence")),
            **candidates(member(_BEST, "$.candidates"), _PLATE),
            "moving": yes_no(said("moving")),
            "image": text(column("uuid")),
            **place(column("gps_longitude"), column("gps_latitude"), nowhere=((-1, -1),)),
        }, where=f"coalesce({column('data_type')}, 'alpr_results') = 'alpr_results'"),
    ),
    notes=(
        "The same vehicle is in many frames, so openalpr_groups is the source for counting; this one is for whoever keeps only the frames.",
        "Of several plates in one frame the surest is the read; the others have frames, and a group, of their own.",
        "A frame in which nothing was read is rejected (no plate).",
        "Candidates, confidences and regions are as in openalpr_groups; results say nothing of the vehicle.",
    ),
)

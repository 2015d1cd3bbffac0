"""Plate reads as a Flock-style lookup answers: objects of the list ``results``, each with plate, state, device and time."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, member, place, said, text, utc_time, yes_no
from workbench.loaders.kit.lists import candidates
from workbench.loaders.kit.regions import region

_DEVICE = column("device")
_RAW = text(member(column("plate"), "$.plate"))
_PLATE = plates.normal_sql(_RAW)


def _certainty(expr: str) -> Reading:
    value = f"try_cast({expr} as double)"
    return Reading.of(f"(case when {value} between 0 and 1 then {value} end)", text(expr))


SOURCE = Source(
    name="flock_reads",
    title="Flock-style plate lookup (reads/lookup JSON)",
    formats=("json", "ndjson"),
    records="results",
    columns=("id", "capturedAt", "device", "plate"),
    optional=("state", "link", "vehicle", "candidates"),
    takes={"moving": "yes where the devices ride on vehicles, no where they are fixed"},
    parts=(
        Part("reads", {
            "read_id": text(column("id")),
            "plate": _PLATE,
            "plate_raw": _RAW,
            "region": region(member(column("state"), "$.state")),
            "reader": f"coalesce({text(member(_DEVICE, '$.id'))}, {text(member(_DEVICE, '$.name'))})",
            "read_at": utc_time(column("capturedAt")),
            "confidence": _certainty(member(column("plate"), "$.confidence")),
            **candidates(column("candidates"), _PLATE, scale=1.0),
            "make": text(member(column("vehicle"), "$.make")),
            "model": text(member(column("vehicle"), "$.model")),
            "colour": text(member(column("vehicle"), "$.color")),
            "body": text(member(column("vehicle"), "$.bodyType")),
            "moving": yes_no(said("moving")),
            "image": text(column("link")),
            "address": f"coalesce({text(member(_DEVICE, '$.location.streetAddress'))}, {text(member(_DEVICE, '$.location.name'))}, "
                       f"{text(member(_DEVICE, '$.name'))})",
            **place(member(_DEVICE, "$.location.longitude"), member(_DEVICE, "$.location.latitude")),
        }),
    ),
    notes=(
        "In a JSON document the reads are its list results; as NDJSON each line is one read.",
        "Times are RFC 3339 with Z or an offset, which is honoured.",
        "The state is a word such as new_hampshire and becomes its NCIC code; how sure the reader was of the state is not kept.",
        "The reader is the device's id; its position is where the device stands.",
        "The link to the vendor's page of the read is kept and never fetched.",
    ),
)

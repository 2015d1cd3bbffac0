"""911 incident responses of the Seattle Police Department, as the city's data portal exported them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, local_time, place, text
from workbench.loaders.kit.times import NOT_RECEIVED

_TIMES = ("iso", "%m/%d/%Y %I:%M:%S %p")
_SCENE, _CLEAR = (local_time(column(c), *_TIMES) for c in ("at_scene_time", "event_clearance_date"))

SOURCE = Source(
    name="seattle_calls",
    title="Seattle 911 incident responses (city data portal)",
    zone="America/Los_Angeles",
    columns=("cad_cdw_id", "cad_event_number", "general_offense_number", "event_clearance_description", "event_clearance_group", "event_clearance_date",
             "hundred_block_location", "district_sector", "zone_beat", "longitude", "latitude", "initial_type_description", "at_scene_time"),
    parts=(
        Part("calls", {
            "call_id": f"coalesce({text(column('cad_event_number'))}, {text(column('cad_cdw_id'))})",
            "call_type": text(column("event_clearance_description")),
            "initial_type": text(column("initial_type_description")),
            "category": text(column("event_clearance_group")),
            "call_source": "'911'",
            "received_at": Reading.of(f"least({_SCENE}, {_CLEAR})", f"coalesce({_SCENE.given}, {_CLEAR.given})"),
            "arrived_at": _SCENE,
            "cleared_at": _CLEAR,
            "report_number": text(column("general_offense_number")),
            "address": text(column("hundred_block_location")),
            **place(column("longitude"), column("latitude")),
            "beat": text(column("zone_beat")),
            "district": text(column("district_sector")),
            "doubts": f"list_filter(['{NOT_RECEIVED}', case when {_CLEAR} < {_SCENE} then 'cleared before arrived' end], lambda x: x is not null)",
        }),
    ),
    notes=(
        "The export does not say when a call was received: the first time known (on scene, or cleared) stands for it, and doubts says so, "
        "so no response figure is made of it.",
        "The type at clearance and the type first given are both kept; old rows have only the first.",
        "The CAD event number is the key.",
    ),
)

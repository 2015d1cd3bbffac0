"""Calls of the Wilmington, North Carolina, police made of gunshot alerts, with the full chain of times."""

from typing import cast

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, local_time, place, planar_place, stable_id, text
from workbench.loaders.kit.times import chain_doubts, counted_id, either

#: State plane of North Carolina, survey feet; the file does not say so.
CRS = "EPSG:2264"
_CHAIN = {"received": "calltime", "dispatched": "first Dispatch Time", "en_route": "first unit on the way", "arrived": "first unit there",
          "cleared": "last unit to leave the scene", "closed": "timeclose"}
_AT = {stage: local_time(column(name), "%m/%d/%Y %H:%M:%S") for stage, name in _CHAIN.items()}
_FIRST, _PRIME = text(column("FIRST UNIT DISPATCHED")), text(column("primeunit"))
_FEET, _DEGREES = (cast("dict[str, Reading]", at) for at in (
    planar_place(column("geox"), column("geoy"), CRS), place(column("Longitude"), column("Latitude"))))

SOURCE = Source(
    name="wilmington_calls",
    title="Wilmington gunshot calls (CAD export)",
    zone="America/New_York",
    columns=("calltime", "street", "geox", "geoy", "nature", "FIRST UNIT DISPATCHED", "first Dispatch Time", "first unit on the way", "first unit there",
             "last unit to leave the scene", "primeunit", "closecode", "notes", "timeclose", "Latitude", "Longitude"),
    parts=(
        Part("calls", {
            "call_id": counted_id(stable_id(*(text(column(c)) for c in ("calltime", "street", "notes")))),
            "call_type": text(column("nature")),
            "self_initiated": "false",
            "call_source": "'gunshot sensor'",
            **{f"{stage}_at": expression for stage, expression in _AT.items()},
            "units": f"(case when {_FIRST} is not null or {_PRIME} is not null then "
                     f"list_filter([{_FIRST}, case when {_PRIME} <> {_FIRST} or {_FIRST} is null then {_PRIME} end], lambda x: x is not null) end)",
            "disposition": text(column("closecode")),
            "address": text(column("street")),
            "lon": either(_FEET["lon"], _DEGREES["lon"]),
            "lat": either(_FEET["lat"], _DEGREES["lat"]),
            "narrative": text(column("notes")),
            "doubts": chain_doubts(**_AT),
        }),
    ),
    notes=(
        "The chain is whole: call, dispatch, under way, on scene, last unit clear, closed; NULL is none. Times are local, month first.",
        "The first unit sent and the prime unit are the units, in this order.",
        "geox and geoy are survey feet (EPSG:2264), the call's own place; 0 is none, and then the sensor's Longitude and Latitude stand.",
        "There is no id: time, street and notes make one. Blanks around codes are taken off; reptaken and the crossroads are not taken.",
        "Times that cannot be in their order are named in doubts.",
    ),
)

"""Calls for service of the New Orleans Police Department, one file a year, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, planar_place, text, yes_no
from workbench.loaders.kit.times import chain_doubts

_AT = {stage: local_time(column(name), "iso", "%m/%d/%Y %I:%M:%S %p") for stage, name in (
    ("received", "timecreate"), ("dispatched", "timedispatch"), ("arrived", "timearrive"), ("closed", "timeclosed"))}

SOURCE = Source(
    name="new_orleans_calls",
    title="New Orleans calls for service (city data portal)",
    zone="America/Chicago",
    columns=("nopd_item", "type_", "typetext", "priority", "initialtypetext", "mapx", "mapy", "timecreate", "timedispatch", "timearrive", "timeclosed",
             "dispositiontext", "selfinitiated", "beat", "block_address", "policedistrict"),
    parts=(
        Part("calls", {
            "call_id": text(column("nopd_item")),
            "call_type": text(column("typetext")),
            "initial_type": text(column("initialtypetext")),
            "category": text(column("type_")),
            "priority": text(column("priority")),
            "self_initiated": yes_no(column("selfinitiated")),
            "call_source": f"(case when {yes_no(column('selfinitiated'))} then 'officer' end)",
            **{f"{stage}_at": expression for stage, expression in _AT.items()},
            "disposition": text(column("dispositiontext")),
            "address": text(column("block_address")),
            **planar_place(column("mapx"), column("mapy"), "EPSG:3452"),
            "beat": text(column("beat")),
            "district": text(column("policedistrict")),
            "doubts": chain_doubts(**_AT),
        }),
    ),
    notes=(
        "MapX and MapY are survey feet of Louisiana South (EPSG:3452); 0 is none.",
        "What an officer found (SelfInitiated) was never dispatched and stands outside response figures.",
        "The type as last called and as first called are both kept; the type's code is the category.",
        "Times that cannot be in their order (arrived before dispatched) are named in doubts.",
    ),
)

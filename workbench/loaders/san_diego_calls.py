"""Calls for service of the San Diego Police Department, with the code lists that lie beside the file."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, joined, listed, local_time, text

_TYPE, _ENDED = text(column("call_type")), text(column("disposition"))
_BEAT = f"nullif({text(column('beat'))}, '-1')"
_MAIN = joined(" ", f"nullif({text(column('address_number_primary'))}, '0')",
               *(text(column(f"address_{part}_primary")) for part in ("dir", "road", "sfx")))
_CROSS = joined(" ", *(text(column(f"address_{part}_intersecting")) for part in ("dir", "road", "sfx")))

SOURCE = Source(
    name="san_diego_calls",
    title="San Diego police calls for service (city open data)",
    zone="America/Los_Angeles",
    columns=("incident_num", "date_time", "address_number_primary", "address_dir_primary", "address_road_primary", "address_sfx_primary",
             "address_dir_intersecting", "address_road_intersecting", "address_sfx_intersecting", "call_type", "disposition", "beat", "priority"),
    beside={"types": "*cfs_calltypes*.csv", "dispositions": "*dispo_codes*.csv", "beats": "*beat_codes*.csv"},
    parts=(
        Part("calls", {
            "call_id": text(column("incident_num")),
            "call_type": f"coalesce({listed('types', 'call_type', 'description', column('call_type'))}, {_TYPE})",
            "category": _TYPE,
            "priority": text(column("priority")),
            "received_at": local_time(column("date_time"), "iso"),
            "disposition": f"coalesce({listed('dispositions', 'dispo_code', 'description', column('disposition'))}, {_ENDED})",
            "address": joined(" & ", _MAIN, _CROSS),
            "beat": _BEAT,
            "district": listed("beats", "beat", "neighborhood", _BEAT),
        }),
    ),
    notes=(
        "The code lists of call types, dispositions and beats are read where they lie beside the file (their byte order marks and empty columns are dropped); "
        "without them codes stand for wordings. The code of the type is the category.",
        "There are no coordinates. The address is seven columns; number 0 is none, and a second street makes a corner, joined by &.",
        "Beat -1 is none. day_of_week (1 = Sunday) is not taken.",
    ),
)

"""Aggravated assaults in Seattle: sheet "Seattle" of the workbook of three cities (teaching set of the R package crimemappingdata)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, stable_id, text
from workbench.loaders.kit.times import counted_id

_PARTS = ("date", "longitude", "latitude", "location_type", "location_category")

SOURCE = Source(
    name="seattle_assaults",
    title="Seattle aggravated assaults (teaching set, Excel)",
    zone="America/Los_Angeles",
    formats=("excel", "csv"),
    records="Seattle",
    columns=_PARTS,
    parts=(
        Part("incidents", {
            "incident_id": counted_id(stable_id(*(text(column(c)) for c in _PARTS))),
            "started_at": local_time(column("date"), "iso"),
            "offence": "'AGGRAVATED ASSAULT'",
            "nibrs": "'13A'",
            "premise": f"coalesce({text(column('location_type'))}, {text(column('location_category'))})",
            **place(column("longitude"), column("latitude")),
        }),
    ),
    notes=(
        "One sheet of a workbook; its other sheets are cities of other sources and time zones.",
        "There is no id: what the row says and a running number among rows that say the same make one. A row without a date is rejected.",
    ),
)

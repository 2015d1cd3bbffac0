"""Cartridge casings as an evidence or ballistics system lists them: one row a casing, with the laboratory's group where it has one."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, text
from workbench.loaders.kit.moments import any_time, stamp

_FOUND = stamp(column("time"), column("found"))
_SURE = f"lower({text(column('grade'))})"

SOURCE = Source(
    name="casings_csv",
    title="cartridge casings (CSV)",
    formats=("csv", "parquet", "excel", "ndjson"),
    delimiter="",
    encoding="",
    columns=("id", "found"),
    optional=("time", "report_number", "calibre", "maker", "weapon_group", "grade", "address", "lat", "lon"),
    also={
        "id": ("casing id", "casing_id", "evidence id", "item", "item number", "exhibit", "specimen", "evidence number", "property number"),
        "found": ("found at", "found_at", "recovered", "recovery date", "date recovered", "collected", "collected at", "date", "incident date"),
        "time": ("recovery time", "time found"),
        "report_number": ("report", "case number", "incident number", "report no", "dr number", "oca"),
        "calibre": ("caliber", "cal", "calibre/gauge"),
        "maker": ("head stamp", "headstamp", "manufacturer", "brand", "make"),
        "weapon_group": ("group", "link", "lead", "weapon", "nibin lead", "cluster", "link id", "lead id", "gun"),
        "grade": ("confidence", "status", "link status", "result"),
        "address": ("location", "scene"), "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"),
    },
    parts=(
        Part("casings", {
            "casing_id": text(column("id")),
            "report_number": text(column("report_number")),
            "found_at": any_time(_FOUND),
            "calibre": f"upper({text(column('calibre'))})",
            "maker": text(column("maker")),
            "weapon_group": text(column("weapon_group")),
            "grade": f"(case when {_SURE} in ('confirmed', 'hit', 'identification', 'match') then 'confirmed' "
                     f"when {_SURE} in ('lead', 'unconfirmed', 'potential', 'presumptive') then 'lead' else {_SURE} end)",
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
        }),
    ),
    notes=(
        "Casings that share a group are thought to come from one weapon: a laboratory's lead (grade lead) until a microscope confirmed it (grade confirmed).",
        "Calibres are upper case as recorded: 9MM and 9X19 stay two words.",
        "A new result of the laboratory is a new edition of the casing.",
    ),
)

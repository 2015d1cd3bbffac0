"""Stolen vehicles that were found, as a records system lists them (CSV)."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, place, stable_id, text
from workbench.loaders.kit.moments import any_time, stamp
from workbench.loaders.kit.regions import region

_WHEN = stamp(column("time"), column("recovered"))
_PLATE = plates.normal_sql(text(column("plate")))

SOURCE = Source(
    name="recoveries_csv",
    title="vehicle recoveries (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("recovered",),
    optional=("id", "time", "vehicle_id", "plate", "state", "report_number", "stolen", "condition", "address", "lat", "lon"),
    also={
        "id": ("recovery id", "recovery_id", "recovery number", "tow number"),
        "recovered": ("recovered at", "recovered_at", "recovery date", "date recovered", "found", "found at", "date of recovery", "dor"),
        "time": ("recovery time", "time recovered"),
        "vehicle_id": ("vehicle id", "vehicle"), "plate": ("license plate", "plate number", "tag", "lic", "license"),
        "state": ("plate state", "region", "lis"), "report_number": ("report", "case number", "theft report", "oca", "report no"),
        "stolen": ("stolen at", "stolen_at", "theft date", "date stolen", "date of theft", "dot"),
        "condition": ("vehicle condition", "recovery condition", "state of vehicle"), "address": ("location", "recovery location"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"),
    },
    parts=(
        Part("recoveries", {
            "recovery_id": f"coalesce({text(column('id'))}, {stable_id(_PLATE, text(column('vehicle_id')), _WHEN)})",
            "vehicle_id": text(column("vehicle_id")),
            "plate": _PLATE,
            "region": region(column("state")),
            "report_number": text(column("report_number")),
            "stolen_at": any_time(column("stolen")),
            "recovered_at": any_time(_WHEN),
            "condition": f"lower({text(column('condition'))})",
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
        }, reject=(('"@recovered_at" < "@stolen_at"', "recovered before it was stolen"),)),
    ),
    notes=(
        "The position is where the vehicle was found, not where it was stolen; the report's number leads to the theft.",
        "A recovery before the theft is rejected. States become NCIC codes.",
    ),
)

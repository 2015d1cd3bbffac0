"""Vehicles as a records system or a registration extract lists them (CSV); NCIC field names are known too."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, stable_id, text, whole
from workbench.loaders.kit.regions import region

_PLATE, _VIN = plates.normal_sql(text(column("plate"))), f"upper({text(column('vin'))})"

SOURCE = Source(
    name="vehicles_csv",
    title="vehicles (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=("id", "plate", "state", "vin", "make", "model", "body", "color", "year"),
    also={
        "id": ("vehicle id", "vehicle_id", "record id", "vehicle"),
        "plate": ("license plate", "plate number", "license", "tag", "lic", "registration"), "state": ("plate state", "region", "lis", "issuing state"),
        "vin": ("vehicle identification number",), "make": ("vma", "vehicle make"), "model": ("vmo", "vehicle model"),
        "body": ("vst", "style", "body style", "body type"), "color": ("vco", "colour", "vehicle color"), "year": ("vyr", "model year", "vehicle year"),
    },
    parts=(
        Part("vehicles", {
            "vehicle_id": f"coalesce({text(column('id'))}, {_VIN}, case when {_PLATE} is not null then {stable_id(_PLATE, region(column('state')))} end)",
            "plate": _PLATE,
            "region": region(column("state")),
            "vin": _VIN,
            "make": text(column("make")),
            "model": text(column("model")),
            "body": text(column("body")),
            "colour": text(column("color")),
            "year": whole(column("year")),
        }),
    ),
    notes=(
        "Without an id the VIN is it, and without a VIN the plate and its state make one; a row with none of them is rejected.",
        "States become NCIC codes; plates are kept in normal form.",
    ),
)

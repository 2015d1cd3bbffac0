"""Alerts of a gunshot sensor system as its vendor's console exports them (CSV)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, stable_id, text, whole
from workbench.loaders.kit.lists import share
from workbench.loaders.kit.moments import any_time, precise, stamp
from workbench.loaders.kit.shots import shot_kind

_TIME = stamp(column("time"), column("date"))
_FEET, _METRES = number(column("error_ft"), 0), number(column("error_m"), 0)

SOURCE = Source(
    name="gunshot_csv",
    title="gunshot sensor alerts (vendor-like CSV)",
    formats=("csv", "parquet", "excel", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=("id", "time", "date", "type", "rounds", "confidence", "error_m", "error_ft", "lat", "lon", "address", "beat", "district", "call_id",
              "report_number", "disposition", "revised"),
    also={
        "id": ("alert id", "incident id", "flex id", "event id", "shotspotter id", "gunshot_id", "alert number", "publish id"),
        "time": ("datetime", "date time", "date/time", "alert time", "trigger time", "fired at", "fired_at", "incident time", "event time", "timestamp",
                 "discharge time"),
        "date": ("incident date", "alert date", "day"),
        "type": ("classification", "incident type", "kind", "alert type", "event type", "ml type"),
        "rounds": ("rnds", "round count", "shots", "number of rounds", "rounds fired", "shot count"),
        "confidence": ("score", "probability", "certainty"),
        "error_m": ("accuracy_m", "error radius m", "uncertainty_m", "accuracy (m)", "error (m)", "accuracy meters"),
        "error_ft": ("accuracy_ft", "error radius ft", "accuracy (ft)", "error (ft)", "accuracy feet"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"),
        "address": ("location", "street address", "nearest address"),
        "beat": ("zone", "coverage area"), "district": ("precinct",),
        "call_id": ("cad id", "cad number", "cad_", "call number", "cfs number"),
        "report_number": ("report", "case number", "rms number"),
        "disposition": ("dispo", "result", "outcome"),
        "revised": ("updated", "last modified", "reviewed at", "revised at"),
    },
    parts=(
        Part("gunshots", {
            "gunshot_id": f"coalesce({text(column('id'))}, {stable_id(_TIME, text(column('lat')), text(column('lon')), text(column('rounds')))})",
            "fired_at": any_time(_TIME),
            "time_precision": precise(_TIME),
            "kind": shot_kind(column("type")),
            "rounds": whole(column("rounds")),
            "confidence": share(column("confidence")),
            "error_m": Reading.of(f"coalesce({_METRES}, {_FEET} * 0.3048)", f"coalesce({_METRES.given}, {_FEET.given})"),
            "call_id": text(column("call_id")),
            "report_number": text(column("report_number")),
            "disposition": text(column("disposition")),
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
            "beat": text(column("beat")),
            "district": text(column("district")),
            "revised_at": any_time(column("revised")),
        }),
    ),
    notes=(
        "Headers are known in several spellings; date and time may be two columns; a time without an offset is wall time of the zone given with the load.",
        "A date alone is kept as its midnight with time_precision day.",
        "An accuracy in feet becomes metres; a confidence above 1 is percent.",
        "Without an id the time, position and rounds make one. A later revision of an alert replaces the earlier one.",
    ),
)

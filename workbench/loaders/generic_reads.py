"""Plate reads out of any reader's CSV: plate, time and reader under the usual headers; fixed and moving readers."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, place, said, stable_id, text, yes_no
from workbench.loaders.kit.lists import share, split_candidates
from workbench.loaders.kit.moments import any_time, stamp
from workbench.loaders.kit.regions import region
from workbench.loaders.kit.where import heading

_RAW = text(column("plate"))
_PLATE = plates.normal_sql(_RAW)
_READER = text(column("reader"))
_TIME = stamp(column("time"), column("date"))
_MOVING = f"coalesce({text(column('moving'))}, {said('moving')})"
_RIDES = f"(case when lower({_MOVING}) in ('mobile', 'moving', 'vehicle') then true when lower({_MOVING}) in ('fixed', 'stationary', 'static') then false end)"

SOURCE = Source(
    name="generic_reads",
    title="plate reads of any reader (CSV)",
    formats=("csv", "parquet", "excel", "ndjson"),
    delimiter="",
    encoding="",
    columns=("plate", "reader"),
    optional=("id", "time", "date", "state", "confidence", "lat", "lon", "heading", "make", "model", "color", "body", "moving", "location", "image",
              "candidates", "candidate_confidences"),
    also={
        "id": ("read id", "read_id", "readid", "guid", "uuid", "event id", "capture id", "detection id", "record id"),
        "plate": ("plate number", "license plate", "licence plate", "license plate number", "licenseplate", "lp", "lpn", "vrm", "registration", "tag",
                  "tag number", "plate text", "plate read", "plate_no", "lic", "kennzeichen", "plaque", "matricula", "targa"),
        "time": ("read time", "read_time", "timestamp", "datetime", "date time", "date/time", "capture time", "captured at", "capturedat", "read at", "read_at",
                 "event time", "time stamp", "detected at", "utc time", "local time"),
        "date": ("read date", "capture date", "day", "event date"),
        "reader": ("camera", "camera name", "camera id", "camera_id", "device", "device name", "device id", "device_id", "reader id", "reader name", "sensor",
                   "source", "unit", "lpr", "alpr", "site"),
        "state": ("plate state", "plate_state", "region", "jurisdiction", "issuing state", "lis", "state code"),
        "confidence": ("plate confidence", "score", "ocr confidence", "conf", "certainty", "ocr score"),
        "lat": ("latitude", "y", "gps lat", "gps latitude", "lat_dd"),
        "lon": ("longitude", "lng", "long", "x", "gps lon", "gps long", "gps longitude", "lon_dd"),
        "heading": ("direction", "travel direction", "bearing", "direction of travel"),
        "make": ("vehicle make", "vma"), "model": ("vehicle model", "vmo"), "color": ("colour", "vehicle color", "vehicle colour", "vco"),
        "body": ("body type", "body style", "vehicle type", "vst"),
        "moving": ("mobile", "reader type", "device type", "camera type"),
        "location": ("address", "place", "street", "location name", "site name"),
        "image": ("image id", "image url", "picture", "photo"),
        "candidates": ("alternatives", "alternates", "other plates", "alternate plates"),
        "candidate_confidences": ("alternative confidences", "alternate confidences"),
    },
    takes={"moving": "yes where the readers ride on vehicles, no where they are fixed, if the file does not say"},
    parts=(
        Part("reads", {
            "read_id": f"coalesce({text(column('id'))}, {stable_id(_READER, _TIME, _PLATE)})",
            "plate": _PLATE,
            "plate_raw": _RAW,
            "region": region(column("state")),
            "reader": _READER,
            "read_at": any_time(_TIME),
            "confidence": share(column("confidence")),
            **split_candidates(column("candidates"), column("candidate_confidences"), _PLATE),
            "direction": heading("heading"),
            "make": text(column("make")),
            "model": text(column("model")),
            "colour": text(column("color")),
            "body": text(column("body")),
            "moving": Reading.of(f"coalesce({_RIDES}, {yes_no(_MOVING)})", text(_MOVING)),
            "image": text(column("image")),
            "address": text(column("location")),
            **place(column("lon"), column("lat")),
        }),
    ),
    notes=(
        "Headers are known in many spellings; the delimiter is told from the header.",
        "A time without an offset is wall time of the zone given with the load; the month stands before the day; date and time may be two columns.",
        "A confidence above 1 is percent. Directions are degrees or compass words (NB, southwest).",
        "States become NCIC codes: NE is taken for Nebraska (NB) and bare NB too; one that is not known is kept in upper case as given.",
        "Other plates the reader thought possible (ABC123;A8C123) are kept as alternatives; none is made up from look-alike characters.",
        "Without an id the reader, time and plate make one.",
    ),
)

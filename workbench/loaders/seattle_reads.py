"""Licence-plate reads of the Seattle Police Department's patrol and parking vehicles, as released (plates are hashes)."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, stable_id, text

_FIELDS = ("dt", "location", "address", "device", "plate_hash", "lon", "lat")

SOURCE = Source(
    name="seattle_reads",
    title="Seattle police plate reads (public release, plates hashed)",
    zone="America/Los_Angeles",
    delimiter="|",
    columns=_FIELDS,
    parts=(
        Part("reads", {
            "read_id": stable_id(*(text(column(f)) for f in _FIELDS)),
            "plate": plates.normal_sql(text(column("plate_hash"))),
            "plate_raw": text(column("plate_hash")),
            "reader": text(column("device")),
            "read_at": local_time(column("dt"), "%m/%d/%Y - %H:%M:%S"),
            "moving": "true",
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
        }),
    ),
    notes=(
        "Fields are parted by |; the text NA means nothing.",
        "Readers ride on vehicles, so one reader reads at many places, and is listed under more than one location; the device is the reader.",
        "About a quarter of the reads have no position; they are kept without a place.",
        "There is no id: the read's own values make one, so the same read in two files is one read.",
        "Census figures of the ZIP code are not taken.",
    ),
)

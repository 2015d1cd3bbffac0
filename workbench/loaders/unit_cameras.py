"""Cameras that officers wear and cars carry: which unit has which camera, from when to when."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, number, text, yes_no
from workbench.loaders.kit.moments import any_time, until

_WORDS = f"lower({text(column('kind'))})"
_KIND = (f"(case when regexp_matches({_WORDS}, 'body|bwc|worn') then 'body' when regexp_matches({_WORDS}, 'vehicle|car|dash|icv|mav') then 'vehicle' "
         f"else coalesce({_WORDS}, 'body') end)")

SOURCE = Source(
    name="unit_cameras",
    title="body and vehicle cameras by unit (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("id", "unit"),
    optional=("kind", "name", "retention_days", "live", "active_from", "active_to"),
    also={
        "id": ("camera id", "camera_id", "serial", "serial number", "device id", "camera"),
        "unit": ("unit id", "unit_id", "call sign", "callsign", "assigned to", "assigned unit", "car"),
        "kind": ("type", "camera type", "device type"), "name": ("label", "camera name", "model"),
        "retention_days": ("retention", "retention (days)"), "live": ("live view", "stream"),
        "active_from": ("assigned", "assigned at", "from", "issued"), "active_to": ("returned", "to", "until"),
    },
    parts=(
        Part("cameras", {
            "camera_id": text(column("id")),
            "kind": _KIND,
            "name": text(column("name")),
            "retention_days": number(column("retention_days"), 0),
            "live": yes_no(column("live")),
            "owner_kind": "'police'",
            "unit": text(column("unit")),
            "active_from": any_time(column("active_from")),
            "active_to": until(column("active_to")),
        }, reject=((f"{text(column('unit'))} is null", "no unit"),)),
    ),
    notes=(
        "BWC and body-worn become body; dash, in-car and ICV become vehicle; without a kind a camera is a body camera.",
        "Such a camera has no place of its own: it is where its unit is (unit positions).",
        "A camera given to another unit is a new edition; the former unit stays in the history.",
    ),
)

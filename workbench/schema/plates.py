"""Tables of plates: reads of them, and the lists of wanted ones."""

from __future__ import annotations

from workbench.schema.shape import PLACE, Column, Table

PLATES = (
    Table("reads", "one plate seen by one reader at one time", ("read_id",), {
        "read_id": Column("VARCHAR", "the vendor's id, or a hash of what was read", True),
        "plate": Column("VARCHAR", "normalised registration (workbench.plates.normal)", True),
        "plate_raw": Column("VARCHAR", "as the reader gave it"),
        "region": Column("VARCHAR", "issuing state, NCIC code"),
        "reader": Column("VARCHAR", "the device", True),
        "read_at": Column("TIMESTAMPTZ", "when", True),
        "confidence": Column("DOUBLE", "0 to 1, the reader's own claim"),
        "alternatives": Column("VARCHAR[]", "other plates the reader thought possible, normalised, likeliest first; plate itself left out"),
        "alternative_confidences": Column("DOUBLE[]", "0 to 1, one for each alternative"),
        "direction": Column("DOUBLE", "travel, degrees clockwise of north"),
        "make": Column("VARCHAR", "as read"),
        "model": Column("VARCHAR", "as read"),
        "colour": Column("VARCHAR", "as read"),
        "body": Column("VARCHAR", "body style as read"),
        "moving": Column("BOOLEAN", "the reader rides on a vehicle, so its place changes"),
        "image": Column("VARCHAR", "the vendor's reference of the picture; never fetched"),
        **PLACE,
    }, time="read_at", personal=True),
    Table("hotlist", "one wanted plate", ("entry_id",), {
        "entry_id": Column("VARCHAR", "id of the entry (NCIC: NIC)", True),
        "plate": Column("VARCHAR", "normalised registration (NCIC: LIC)", True),
        "region": Column("VARCHAR", "issuing state, NCIC code (LIS)"),
        "plate_year": Column("BIGINT", "year the plate expires (LIY)"),
        "plate_type": Column("VARCHAR", "kind of plate (LIT)"),
        "list_name": Column("VARCHAR", "e.g. stolen, wanted, missing"),
        "message_key": Column("VARCHAR", "NCIC message key (MKE)"),
        "reason": Column("VARCHAR", "why it is on the list", True),
        "report_number": Column("VARCHAR", "the report or case behind it (OCA)"),
        "agency": Column("VARCHAR", "who entered it (ORI)"),
        "vin": Column("VARCHAR", "vehicle identification number"),
        "make": Column("VARCHAR", "make (VMA)"),
        "model": Column("VARCHAR", "model (VMO)"),
        "body": Column("VARCHAR", "body style (VST)"),
        "colour": Column("VARCHAR", "colour (VCO)"),
        "year": Column("BIGINT", "model year (VYR)"),
        "valid_from": Column("TIMESTAMPTZ", "entered", True),
        "valid_to": Column("TIMESTAMPTZ", "expires"),
        "listed_at": Column("TIMESTAMPTZ", "when the list was drawn up; one older than a day is stale"),
    }, time="valid_from", personal=True),
)

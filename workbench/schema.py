"""The canonical tables: what every source is turned into and every model can rely on.

A table is a name, a key and columns with a type and a meaning. Times are UTC (``TIMESTAMPTZ`` in DuckDB, ``Datetime("us", "UTC")``
in Polars), positions WGS84 degrees. Every fact row also carries PROVENANCE: where it came from and when the lake learnt it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from workbench.errors import BadInput, NotFound, did_you_mean

_POLARS: dict[str, pl.DataType] = {
    "VARCHAR": pl.String(),
    "DOUBLE": pl.Float64(),
    "BIGINT": pl.Int64(),
    "BOOLEAN": pl.Boolean(),
    "DATE": pl.Date(),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
    "VARCHAR[]": pl.List(pl.String()),
}


@dataclass(frozen=True)
class Column:
    """One column: DuckDB type and what it means; ``required`` means a row without it is rejected."""

    type: str
    help: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One canonical table.

    Args:
        name: plural.
        help: what a row is.
        key: the columns that name a row; the current view holds the latest edition per key.
        time: the column that says when it happened ("" for things without a time); ranges and retention use it.
        personal: a row is about a plate or a person, so a case, a purpose and a reason are needed to see it.
        columns: name -> Column.
    """

    name: str
    help: str
    key: tuple[str, ...]
    columns: dict[str, Column] = field(repr=False)
    time: str = ""
    personal: bool = False

    def all_columns(self) -> dict[str, Column]:
        """Canonical columns followed by PROVENANCE."""
        return {**self.columns, **PROVENANCE}

    def empty(self) -> pl.DataFrame:
        """A frame with every column and no row."""
        return pl.DataFrame(schema={n: _POLARS[c.type] for n, c in self.all_columns().items()})


PROVENANCE: dict[str, Column] = {
    "source": Column("VARCHAR", "the source that read it, e.g. chicago_crimes", True),
    "batch_id": Column("VARCHAR", "the load it came with; the batches table says file, SHA-256 and counts", True),
    "line": Column("BIGINT", "record number in the file, 1 = first record behind the header", True),
    "recorded_at": Column("TIMESTAMPTZ", "when the lake learnt it", True),
}

_PLACE = {
    "address": Column("VARCHAR", "as recorded (often a block)"),
    "lon": Column("DOUBLE", "WGS84 degrees; null = no usable position, the row is kept"),
    "lat": Column("DOUBLE", "WGS84 degrees"),
}

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        Table("incidents", "one recorded offence (records system)", ("incident_id",), {
            "incident_id": Column("VARCHAR", "the agency's id of this row", True),
            "report_number": Column("VARCHAR", "the agency's report number; may cover several incidents"),
            "started_at": Column("TIMESTAMPTZ", "earliest it can have happened", True),
            "ended_at": Column("TIMESTAMPTZ", "latest it can have happened; null = only one time is known"),
            "reported_at": Column("TIMESTAMPTZ", "when police learnt of it"),
            "offence_code": Column("VARCHAR", "the agency's own code, leading zeros kept"),
            "offence": Column("VARCHAR", "the agency's own wording, e.g. BURGLARY"),
            "offence_detail": Column("VARCHAR", "its finer wording, e.g. FORCIBLE ENTRY"),
            "nibrs": Column("VARCHAR", "NIBRS offence code, e.g. 220; UNKNOWN when the table has none", True),
            "mo": Column("VARCHAR", "how it was done, free text or codes parted by blanks"),
            "premise": Column("VARCHAR", "kind of place, e.g. RESIDENCE"),
            **_PLACE,
            "beat": Column("VARCHAR", "patrol area as recorded that day"),
            "district": Column("VARCHAR", "command area as recorded that day"),
            "arrest": Column("BOOLEAN", "an arrest was made"),
            "domestic": Column("BOOLEAN", "domestic circumstances"),
            "revised_at": Column("TIMESTAMPTZ", "when the agency last changed its row; a newer edition replaces an older one"),
        }, time="started_at"),
        Table("calls", "one call for service (CAD); may become no incident", ("call_id",), {
            "call_id": Column("VARCHAR", "the agency's id of the call", True),
            "call_type": Column("VARCHAR", "problem as recorded"),
            "category": Column("VARCHAR", "the agency's wider class of problem"),
            "priority": Column("VARCHAR", "as recorded; 1 is most urgent where numeric"),
            "self_initiated": Column("BOOLEAN", "an officer found it, nobody called; outside response figures"),
            "received_at": Column("TIMESTAMPTZ", "call taken", True),
            "dispatched_at": Column("TIMESTAMPTZ", "first unit sent"),
            "en_route_at": Column("TIMESTAMPTZ", "first unit under way"),
            "arrived_at": Column("TIMESTAMPTZ", "first unit on scene"),
            "cleared_at": Column("TIMESTAMPTZ", "last unit free again"),
            "units": Column("VARCHAR[]", "units that were sent, first one first"),
            "disposition": Column("VARCHAR", "how it ended"),
            "report_number": Column("VARCHAR", "report written from it, if any"),
            **_PLACE,
            "beat": Column("VARCHAR", "patrol area as recorded"),
            "district": Column("VARCHAR", "command area as recorded"),
        }, time="received_at"),
        Table("reads", "one plate seen by one reader at one time", ("read_id",), {
            "read_id": Column("VARCHAR", "the vendor's id, or a hash of what was read", True),
            "plate": Column("VARCHAR", "normalised registration (workbench.plates.normal)", True),
            "plate_raw": Column("VARCHAR", "as the reader gave it"),
            "region": Column("VARCHAR", "issuing state, NCIC code"),
            "reader": Column("VARCHAR", "the device", True),
            "read_at": Column("TIMESTAMPTZ", "when", True),
            "confidence": Column("DOUBLE", "0 to 1, the reader's own claim"),
            "direction": Column("DOUBLE", "travel, degrees clockwise of north"),
            "make": Column("VARCHAR", "as read"),
            "colour": Column("VARCHAR", "as read"),
            "moving": Column("BOOLEAN", "the reader rides on a vehicle, so its place changes"),
            **_PLACE,
        }, time="read_at", personal=True),
        Table("hotlist", "one wanted plate", ("entry_id",), {
            "entry_id": Column("VARCHAR", "id of the entry", True),
            "plate": Column("VARCHAR", "normalised registration", True),
            "region": Column("VARCHAR", "issuing state, NCIC code"),
            "list_name": Column("VARCHAR", "e.g. stolen, wanted, missing"),
            "reason": Column("VARCHAR", "why it is on the list", True),
            "report_number": Column("VARCHAR", "the report or case behind it"),
            "make": Column("VARCHAR", "make"),
            "model": Column("VARCHAR", "model"),
            "colour": Column("VARCHAR", "colour"),
            "valid_from": Column("TIMESTAMPTZ", "entered", True),
            "valid_to": Column("TIMESTAMPTZ", "expires"),
        }, time="valid_from", personal=True),
        Table("people", "one person as one record holds them; the same person may have several records", ("person_id",), {
            "person_id": Column("VARCHAR", "id of the record", True),
            "surname": Column("VARCHAR", "family name as recorded"),
            "given_name": Column("VARCHAR", "given names as recorded"),
            "born_on": Column("DATE", "date of birth"),
            "sex": Column("VARCHAR", "as recorded"),
            "height_cm": Column("DOUBLE", "height in centimetres"),
        }, personal=True),
        Table("vehicles", "one vehicle as one record holds it", ("vehicle_id",), {
            "vehicle_id": Column("VARCHAR", "id of the record", True),
            "plate": Column("VARCHAR", "normalised registration"),
            "region": Column("VARCHAR", "issuing state, NCIC code"),
            "make": Column("VARCHAR", "make"),
            "model": Column("VARCHAR", "model"),
            "colour": Column("VARCHAR", "colour"),
            "year": Column("BIGINT", "model year"),
        }, personal=True),
        Table("phones", "one telephone number", ("phone_id",), {
            "phone_id": Column("VARCHAR", "id of the record", True),
            "number": Column("VARCHAR", "digits, international form where known", True),
        }, personal=True),
        Table("addresses", "one address as one record holds it", ("address_id",), {
            "address_id": Column("VARCHAR", "id of the record", True),
            **_PLACE,
        }, personal=True),
        Table("involvements", "the part a person, vehicle, phone or address has in an incident", ("involvement_id",), {
            "involvement_id": Column("VARCHAR", "id of the row", True),
            "incident_id": Column("VARCHAR", "the incident", True),
            "entity_kind": Column("VARCHAR", "person, vehicle, phone or address", True),
            "entity_id": Column("VARCHAR", "key in that kind's table", True),
            "role": Column("VARCHAR", "suspect, arrestee, victim, witness, reporting party, used, stolen, scene, contact", True),
        }, personal=True),
        Table("associations", "a recorded tie of a person to a vehicle, phone, address or person", ("association_id",), {
            "association_id": Column("VARCHAR", "id of the row", True),
            "person_id": Column("VARCHAR", "the person's record", True),
            "entity_kind": Column("VARCHAR", "vehicle, phone, address or person", True),
            "entity_id": Column("VARCHAR", "key in that kind's table", True),
            "relation": Column("VARCHAR", "owner, driver, subscriber, resident, relative, associate", True),
            "since": Column("DATE", "first known"),
            "until": Column("DATE", "last known; null = still"),
        }, personal=True),
    )
}

#: How the lake writes down its own work.
BATCHES = Table("batches", "one file taken in by one load", ("batch_id",), {
    "batch_id": Column("VARCHAR", "id", True),
    "source": Column("VARCHAR", "the source", True),
    "mapping_version": Column("VARCHAR", "hash of the source's mapping", True),
    "file": Column("VARCHAR", "file name without its folder", True),
    "sha256": Column("VARCHAR", "of the file's bytes", True),
    "bytes": Column("BIGINT", "size of the file", True),
    "read": Column("BIGINT", "records in the file = added + updated + duplicate + rejected", True),
    "added": Column("BIGINT", "new keys", True),
    "updated": Column("BIGINT", "new editions of keys the lake held", True),
    "duplicate": Column("BIGINT", "records the lake held exactly so already", True),
    "rejected": Column("BIGINT", "records kept in rejects with a reason", True),
    "tables": Column("VARCHAR[]", "tables that got rows", True),
    "user": Column("VARCHAR", "who loaded", True),
    "recorded_at": Column("TIMESTAMPTZ", "when the batch became visible", True),
    "seconds": Column("DOUBLE", "how long it took", True),
})
REJECTS = Table("rejects", "one record that could not be used, as it stood in the file", ("batch_id", "line"), {
    "batch_id": Column("VARCHAR", "the load", True),
    "source": Column("VARCHAR", "the source", True),
    "file": Column("VARCHAR", "file name", True),
    "line": Column("BIGINT", "line of the file on which the record starts, 1 = first line (the header where there is one)", True),
    "reason": Column("VARCHAR", "a sentence", True),
    "raw": Column("VARCHAR", "the record as text", True),
    "recorded_at": Column("TIMESTAMPTZ", "when", True),
})


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    if name not in TABLES:
        raise NotFound(f"There is no table {name!r}.{did_you_mean(name, TABLES)}")
    return TABLES[name]


def require(frame: pl.DataFrame, *columns: str, what: str = "The frame") -> None:
    """Check at a model's door that a frame has some columns.

    Raises:
        BadInput: naming the first missing column, with the nearest that is there.
    """
    if not isinstance(frame, pl.DataFrame):
        raise BadInput(f"{what} is a {type(frame).__name__}; a polars.DataFrame is needed.")
    for column in columns:
        if column not in frame.columns:
            raise BadInput(f"{what} has no column {column!r}.{did_you_mean(column, frame.columns)}")


def utc(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Cast time columns to microseconds UTC; a time without zone is refused, because nobody can know what it means.

    Raises:
        BadInput: a column is not a time, or has no zone.
    """
    casts = []
    for name in columns:
        kind = frame.schema[name]
        if not isinstance(kind, pl.Datetime):
            raise BadInput(f"Column {name!r} is {kind}, not a time; it must be Datetime with time zone UTC.")
        if kind.time_zone is None:
            raise BadInput(f"Column {name!r} has no time zone; say which with .dt.replace_time_zone('America/Chicago').dt.convert_time_zone('UTC').")
        casts.append(pl.col(name).dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    return frame.with_columns(casts) if casts else frame

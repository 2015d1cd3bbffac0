"""How the lake writes down its own work: batches, rejects, what became of them, and what was purged."""

from __future__ import annotations

from workbench.schema.shape import Column, Table

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
    "zone": Column("VARCHAR", "time zone in which its wall clocks were read"),
    "said": Column("VARCHAR", "what was said with the load (--set NAME=VALUE), as a JSON object"),
    "header": Column("VARCHAR", "the header of a CSV file, by which its rejects can be written out again"),
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
RESOLUTIONS = Table("resolutions", "what became of a reject: mended and taken in, or dismissed with a reason", ("batch_id", "line"), {
    "batch_id": Column("VARCHAR", "the load that rejected it", True),
    "line": Column("BIGINT", "its line in that load's file", True),
    "outcome": Column("VARCHAR", "mended or dismissed", True),
    "resolved_by": Column("VARCHAR", "the batch in which the mended record was taken in"),
    "reason": Column("VARCHAR", "why it was dismissed"),
    "user": Column("VARCHAR", "who", True),
    "recorded_at": Column("TIMESTAMPTZ", "when", True),
})
PURGES = Table("purges", "how many rows of a batch a purge took out of a table, or a load left out as older than what was purged", ("batch_id", "table"), {
    "batch_id": Column("VARCHAR", "the load that brought them", True),
    "table": Column("VARCHAR", "the table, or rejects", True),
    "rows": Column("BIGINT", "rows that are gone, every edition", True),
    "current": Column("BIGINT", "of these, rows that were the latest edition of their key", True),
    "certificate_id": Column("VARCHAR", "the purge's certificate", True),
    "recorded_at": Column("TIMESTAMPTZ", "when", True),
})

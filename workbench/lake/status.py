"""How the lake stands: versions, files, rows, and what is only kept for older versions."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from workbench.lake import tables
from workbench.lake.view import View


def status(root: Path, view: View) -> pl.DataFrame:
    """See ``Lake.status``. Reads the footers of the files, no row."""
    import pyarrow.parquet as pq

    versions = view.settled()
    rows = []
    for table, version in versions.items():
        files = view.files(table, versions)
        needed = {f.name for f in files}
        here = {f.name for f in files if tables.kind_of(f.name) != tables.OLD}
        superseded = sum(pq.read_metadata(f).num_rows for f in files if tables.kind_of(f.name) == tables.OLD)
        listed = [pl.read_parquet(f) for f in view.sidecars(table, versions)]
        if listed:
            superseded += pl.concat(listed).unique().filter(pl.col("file").is_in(list(here))).height
        spare = sum(f.stat().st_size for f in (root / table).glob("*.parquet") if f.name not in needed)
        rows.append((table, version, len(files), sum(pq.read_metadata(f).num_rows for f in files), superseded,
                     sum(f.stat().st_size for f in files), spare))
    shape = {"table": pl.String, "version": pl.Int64, "files": pl.Int64, "rows": pl.Int64, "superseded": pl.Int64, "bytes": pl.Int64, "spare": pl.Int64}
    return pl.DataFrame(rows, schema=shape, orient="row")

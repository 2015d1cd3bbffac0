"""The first rows of a file as a mapping would load them, through the loading machinery itself."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from workbench import schema
from workbench.intake.sniff_file import Sample
from workbench.lake import Lake
from workbench.loaders import Source


@dataclass(frozen=True)
class Preview:
    """The first rows as they would load: ``rows``, how many records were read, and what is rejected: (reason, how many), with the raw records."""

    rows: pl.DataFrame
    read: int
    rejected: dict[str, int]
    rejects: pl.DataFrame


def preview(source: Source, sample: Sample, asks: Mapping[str, str], rows: int, count: int) -> Preview:
    """The first ``rows`` of ``count`` sampled records as they would load, through the loading machinery into a lake that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.ndjson"
        some = min(count, sample.rows)
        with file.open("w", encoding="utf-8", errors="replace") as out:
            for row in range(some):
                record = sample.record(row)
                for name in (*source.columns, *source.optional):
                    record.setdefault(name, None)
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
        lake = Lake(Path(folder) / "lake")
        plain = replace(source, formats=("ndjson",), records="", encoding="utf-8", delimiter=",", beside={})
        report = lake.load(plain, file, said={name: "preview" for name in asks})
        table = source.tables[0]
        good = lake.frame(table).sort("line") if report.added or report.updated else schema.table(table).empty()
        bad = lake.rejects()
        reasons = Counter(bad["reason"].to_list()) if bad.height else Counter()
        return Preview(
            good.head(rows).drop("source", "batch_id", "recorded_at"), some, dict(reasons.most_common()), bad.select("line", "reason", "raw").head(rows)
        )

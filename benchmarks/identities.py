"""Who is one person: FEBRL 3 and 4, 50,000 historical persons, 1 M persons and 1,000 more; the workbench against Splink alone, whole processes, imports included.

Splink alone is run as its own material shows it: for the historical persons the settings of its worked example on that file (``_PLAIN`` below), for FEBRL
and the 1 M the comparisons of its library with hand-chosen blocking rules (``_RULES``, ``_COMPARED``). Both sides give F1 over pairs of records of one group.
FEBRL and the historical persons lie in the folder that WORKBENCH_REAL_DATA names (../shared/data without it) and are left out where that is missing.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure

TITLE = "Who is one person: FEBRL, historical persons, 1 M persons and 1,000 more (whole process, imports included)"
PERSONS = 1_000_000

_SCORE = """
import sys, json, polars as pl
def score(found, truth):
    both = found.join(truth, on="record_id")
    def pairs(*by):
        n = both.group_by(by).len()["len"].cast(pl.Int64)
        return int((n * (n - 1) // 2).sum())
    hit, made, true = pairs("entity_id", "cluster"), pairs("entity_id"), pairs("cluster")
    return {"precision": hit / max(made, 1), "recall": hit / true, "f1": 2 * hit / (made + true)}
def note(path, **more):
    open(path, "w").write(json.dumps(more))
"""
_OURS = _SCORE + """
from workbench.models.links import identities
records = pl.read_parquet(sys.argv[1])
made = identities.resolve(records.drop("cluster"), OPTIONS)
note(sys.argv[2], threshold=made.expected["threshold"], expected_precision=float(made.expected["precision"]), **score(made.identities, records.select("record_id", "cluster")))
"""
_MORE = _SCORE + """
import time
from workbench.models.links import identities
records = pl.read_parquet(sys.argv[1])
late = records.sample(1_000, seed=3)
early = records.join(late, on="record_id", how="anti")
made = identities.resolve(early.drop("cluster"))
wall, cpu = time.perf_counter(), time.process_time()
more = identities.resolve(late.drop("cluster"), known=made)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
both = made.identities.join(more.identities, on="record_id")
moved = both.filter(pl.col("entity_id") != pl.col("entity_id_right")).height
note(sys.argv[2], seconds=wall, cpu=cpu, moved=moved, **score(more.identities, records.select("record_id", "cluster")))
"""
_PEER = _SCORE + """
import logging, warnings
import pyarrow.parquet as pq
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
import splink.comparison_library as cl
logging.disable(logging.WARNING); warnings.filterwarnings("ignore")
records = pl.read_parquet(sys.argv[1])
api, kind = DuckDBAPI(), "dedupe_only"
given = [api.register(records.drop("cluster", *(["first_last"] if "first_last" in records.columns else [])).to_arrow())]
SETTINGS
linker = Linker(given, settings, log_level=None)
TRAIN
pairs = linker.inference.predict(threshold_match_probability=0.01)
groups = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
found = pl.from_arrow(groups.as_duckdbpyrelation().arrow()) if hasattr(groups, "as_duckdbpyrelation") else pl.from_pandas(groups.as_pandas_dataframe())
note(sys.argv[2], threshold=0.95, **score(found.select("record_id", entity_id="cluster_id"), records.select("record_id", "cluster")))
"""


def persons(n: int, seed: int = 1) -> Any:
    """Made-up records: four fifths of ``n`` persons once each, the rest further records of them with other spellings, slips and moves; truth in ``cluster``.

    Names are put together from syllables, a few of them common and most rare (Zipf); telephone and licence are missing in a third to a half of the records.
    """
    import polars as pl

    rng = np.random.default_rng(seed)
    syllables = np.array("ba be bo da den do el er fa far gan go ha hen il in ja jo ka ken la len ma mar mi na nor o pa per ra ri ro sa sen ta ter to va ver vi wa wen zo".split())

    def names(count: int, parts: int) -> np.ndarray[Any, Any]:
        return np.unique(["".join(rng.choice(syllables, parts)) for _ in range(count)])

    def zipf(values: np.ndarray[Any, Any], count: int, flat: float) -> np.ndarray[Any, Any]:
        return rng.permutation(values)[np.minimum((rng.pareto(flat, count) * 8).astype(int), len(values) - 1)]

    own = n * 4 // 5
    days = np.datetime64("1945-01-01") + rng.integers(0, 365 * 62, own)
    streets = names(4_000, 3)
    base = pl.DataFrame({
        "cluster": np.arange(own), "given_name": zipf(names(3_000, 2), own, 0.9), "surname": zipf(names(20_000, 3), own, 0.5), "born_on": days.astype("datetime64[D]").astype(str),
        "street": rng.choice(streets, own), "house": rng.integers(1, 9_999, own).astype(str), "postcode": (70_000 + np.minimum(rng.pareto(0.8, own) * 15, 299).astype(int)).astype(str),
        "phone": rng.integers(2 * 10**9, 10**10 - 1, own).astype(str), "number": rng.integers(10**8, 10**9, own).astype(str)})
    again = base[rng.integers(0, own, n - own)]
    again = again.with_columns(_spoilt(again["given_name"], rng, 0.15, 0.03), _spoilt(again["surname"], rng, 0.12, 0.01), _spoilt(again["born_on"], rng, 0.08, 0.08, digits=True),
                               _spoilt(again["phone"], rng, 0.05, 0.45, digits=True), _spoilt(again["number"], rng, 0.04, 0.4, digits=True))
    moved = pl.Series(rng.random(n - own) < 0.3)
    again = again.with_columns(street=pl.when(moved).then(pl.Series(rng.choice(streets, n - own))).otherwise("street"),
                               house=pl.when(moved).then(pl.Series(rng.integers(1, 9_999, n - own).astype(str))).otherwise("house"))
    base = base.with_columns(pl.when(pl.Series(rng.random(own) >= 0.35)).then(c).alias(c) for c in ("phone", "number"))
    return pl.concat([base, again]).with_columns(record_id=pl.Series([f"R{k:07}" for k in rng.permutation(n)]), cluster=pl.col("cluster").cast(pl.String))


def _spoilt(column: Any, rng: np.random.Generator, wrong: float, missing: float, *, digits: bool = False) -> Any:
    """The column with some values missing and some with one character changed, dropped or turned round."""
    import polars as pl

    def slip(value: str) -> str:
        k = int(rng.integers(0, len(value) - 1))
        if digits:
            return value if value[k] == "-" else value[:k] + str(rng.integers(10)) + value[k + 1:]
        how = rng.integers(3)
        return value[:k] + value[k + 1:] if how == 0 else value[:k] + value[k + 1] + value[k] + value[k + 2:] if how == 1 else value[:k] + "e" + value[k + 1:]

    values = column.to_list()
    chance = rng.random(len(values))
    for i in np.flatnonzero(chance < wrong + missing).tolist():
        values[i] = None if chance[i] < missing else slip(values[i])
    return pl.Series(column.name, values, dtype=pl.String)

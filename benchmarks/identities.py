"""Who is one person: FEBRL 3 and 4, 50,000 historical persons, 1 M persons and 1,000 more; the workbench against Splink alone, whole processes.

Splink alone is run with the settings of its own worked examples, as its documentation gives them: ``deduplicate_50k_synthetic`` for the historical persons
(groups at .95), ``febrl3`` (which makes no groups; .95 here), the detailed model of ``febrl4`` (.99), all under
https://moj-analytical-services.github.io/splink/demos/examples/examples_index.html. For the 1 M, of which it has no example, it is the comparisons of its
library with hand-chosen blocking rules. Seeds are added. Both sides give F1 over pairs of records of one group.
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
_OURS = (
    _SCORE
    + """
from workbench.models.links import identities
records = pl.read_parquet(sys.argv[1])
made = identities.resolve(records.drop("cluster"), OPTIONS)
note(sys.argv[2], threshold=made.expected["threshold"],
     expected_precision=float(made.expected["precision"]), **score(made.identities, records.select("record_id", "cluster")))
"""
)
_MORE = (
    _SCORE
    + """
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
)
_PEER = (
    _SCORE
    + """
import logging, warnings
import pyarrow.parquet as pq
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
import splink.comparison_library as cl
logging.disable(logging.WARNING); warnings.filterwarnings("ignore")
records = pl.read_parquet(sys.argv[1])
api, kind, at = DuckDBAPI(), "KIND", AT
given = [api.register(part.drop("cluster", "file", strict=False).to_arrow()) for part in (records.partition_by("file") if kind == "link_only" else [records])]
SETTINGS
linker = Linker(given, settings, log_level=None)
TRAIN
pairs = linker.inference.predict(threshold_match_probability=0.01)
groups = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=at)
found = pl.from_arrow(groups.as_pyarrow_table())
note(sys.argv[2], threshold=at, **score(found.select("record_id", entity_id="cluster_id"), records.select("record_id", "cluster")))
"""
)


def persons(n: int, seed: int = 1) -> Any:
    """Made-up records: four fifths of ``n`` persons once each, the rest further records of them with other spellings, slips and moves; truth in ``cluster``.

    Names are put together from syllables, a few of them common and most rare (Zipf); telephone and licence are missing in a third to a half of the records.
    """
    import polars as pl

    rng = np.random.default_rng(seed)
    syllables = np.array(
        ["ba", "be", "bo", "da", "den", "do", "el", "er", "fa", "far", "gan", "go", "ha", "hen", "il", "in", "ja", "jo", "ka", "ken", "la", "len",
            "ma", "mar", "mi", "na", "nor", "o", "pa", "per", "ra", "ri", "ro", "sa", "sen", "ta", "ter", "to", "va", "ver", "vi", "wa", "wen", "zo"]
    )

    def names(count: int, parts: int) -> np.ndarray[Any, Any]:
        return np.unique(["".join(rng.choice(syllables, parts)) for _ in range(count)])

    def zipf(values: np.ndarray[Any, Any], count: int, flat: float) -> np.ndarray[Any, Any]:
        return rng.permutation(values)[np.minimum((rng.pareto(flat, count) * 8).astype(int), len(values) - 1)]

    own = n * 4 // 5
    days = np.datetime64("1945-01-01") + rng.integers(0, 365 * 62, own)
    streets = names(4_000, 3)
    base = pl.DataFrame(
        {
            "cluster": np.arange(own),
            "given_name": zipf(names(3_000, 2), own, 0.9),
            "surname": zipf(names(20_000, 3), own, 0.5),
            "born_on": days.astype("datetime64[D]").astype(str),
            "street": rng.choice(streets, own),
            "house": rng.integers(1, 9_999, own).astype(str),
            "postcode": (70_000 + np.minimum(rng.pareto(0.8, own) * 15, 299).astype(int)).astype(str),
            "phone": rng.integers(2 * 10**9, 10**10 - 1, own).astype(str),
            "number": rng.integers(10**8, 10**9, own).astype(str),
        }
    )
    again = base[rng.integers(0, own, n - own)]
    again = again.with_columns(
        _spoilt(again["given_name"], rng, 0.15, 0.03),
        _spoilt(again["surname"], rng, 0.12, 0.01),
        _spoilt(again["born_on"], rng, 0.08, 0.08, digits=True),
        _spoilt(again["phone"], rng, 0.05, 0.45, digits=True),
        _spoilt(again["number"], rng, 0.04, 0.4, digits=True),
    )
    moved = pl.Series(rng.random(n - own) < 0.3)
    again = again.with_columns(
        street=pl.when(moved).then(pl.Series(rng.choice(streets, n - own))).otherwise("street"),
        house=pl.when(moved).then(pl.Series(rng.integers(1, 9_999, n - own).astype(str))).otherwise("house"),
    )
    base = base.with_columns(pl.when(pl.Series(rng.random(own) >= 0.35)).then(c).alias(c) for c in ("phone", "number"))
    return pl.concat([base, again]).with_columns(record_id=pl.Series([f"R{k:07}" for k in rng.permutation(n)]), cluster=pl.col("cluster").cast(pl.String))


def _spoilt(column: Any, rng: np.random.Generator, wrong: float, missing: float, *, digits: bool = False) -> Any:
    """The column with some values missing and some with one character changed, dropped or turned round."""
    import polars as pl

    def slip(value: str) -> str:
        k = int(rng.integers(0, len(value) - 1))
        if digits:
            return value if value[k] == "-" else value[:k] + str(rng.integers(10)) + value[k + 1 :]
        how = rng.integers(3)
        return (
            value[:k] + value[k + 1 :] if how == 0 else value[:k] + value[k + 1] + value[k] + value[k + 2 :] if how == 1 else value[:k] + "e" + value[k + 1 :]
        )

    values = column.to_list()
    chance = rng.random(len(values))
    for i in np.flatnonzero(chance < wrong + missing).tolist():
        values[i] = None if chance[i] < missing else slip(values[i])
    return pl.Series(column.name, values, dtype=pl.String)


_PLAIN = """
settings = SettingsCreator(link_type=kind, unique_id_column_name="record_id", blocking_rules_to_generate_predictions=[
    block_on("substr(first_name,1,3)", "substr(surname,1,4)"), block_on("surname", "dob"), block_on("first_name", "dob"),
    block_on("postcode_fake", "first_name"),
    block_on("postcode_fake", "surname"), block_on("dob", "birth_place"), block_on("substr(postcode_fake,1,3)", "dob"),
    block_on("substr(postcode_fake,1,3)", "first_name"), block_on("substr(postcode_fake,1,3)", "surname"),
    block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)")],
    comparisons=[cl.ForenameSurnameComparison("first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"),
                 cl.DateOfBirthComparison("dob", input_is_string=True), cl.PostcodeComparison("postcode_fake"),
                 cl.ExactMatch("birth_place").configure(term_frequency_adjustments=True),
                 cl.ExactMatch("occupation").configure(term_frequency_adjustments=True)])
"""
_PLAIN_TRAIN = """
linker.training.estimate_probability_two_random_records_match(["l.first_name = r.first_name and l.surname = r.surname and l.dob = r.dob",
    "substr(l.first_name,1,2) = substr(r.first_name,1,2) and l.surname = r.surname and substr(l.postcode_fake,1,2) = substr(r.postcode_fake,1,2)",
    "l.dob = r.dob and l.postcode_fake = r.postcode_fake"], recall=0.6)
linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("first_name", "surname"), estimate_without_term_frequencies=True)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("dob"), estimate_without_term_frequencies=True)
"""
_FEBRL_3 = """
settings = SettingsCreator(link_type=kind, unique_id_column_name="record_id", blocking_rules_to_generate_predictions=[
    block_on("number"), block_on("given_name"), block_on("surname"), block_on("born_on"), block_on("postcode")],
    comparisons=[cl.NameComparison("given_name"), cl.NameComparison("surname"),
                 cl.DateOfBirthComparison("born_on", input_is_string=True, datetime_format="%Y%m%d"), cl.DamerauLevenshteinAtThresholds("number", [2]),
                 cl.ExactMatch("house").configure(term_frequency_adjustments=True), cl.ExactMatch("postcode").configure(term_frequency_adjustments=True)])
"""
_FEBRL_3_TRAIN = """
linker.training.estimate_probability_two_random_records_match([block_on("number"), block_on("given_name", "surname", "born_on"),
    "l.given_name = r.surname and l.surname = r.given_name and l.born_on = r.born_on"], recall=0.9)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=2)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("born_on"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("postcode"))
"""
_FEBRL_4 = """
settings = SettingsCreator(link_type=kind, unique_id_column_name="record_id", blocking_rules_to_generate_predictions=[
    block_on("given_name", "surname"), "l.given_name = r.surname and l.surname = r.given_name", block_on("born_on"), block_on("number"),
    block_on("state", "street"), block_on("house", "street"), block_on("postcode")],
    comparisons=[cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
                 cl.NameComparison("surname").configure(term_frequency_adjustments=True),
                 cl.DateOfBirthComparison("born_on", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True),
                 cl.DamerauLevenshteinAtThresholds("number", [1, 2]), cl.ExactMatch("house").configure(term_frequency_adjustments=True),
                 cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True)])
"""
_FEBRL_4_TRAIN = """
linker.training.estimate_probability_two_random_records_match([block_on("number"), block_on("given_name", "surname", "born_on")], recall=0.8)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("born_on"), estimate_without_term_frequencies=True)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("postcode"), estimate_without_term_frequencies=True)
"""
_LIBRARY = """
settings = SettingsCreator(link_type=kind, unique_id_column_name="record_id", retain_matching_columns=False, blocking_rules_to_generate_predictions=[
    block_on("number"), RULES block_on("surname", "born_on"), block_on("given_name", "born_on"), block_on("street", "house"), block_on("born_on", "postcode"),
    block_on("given_name", "surname", "postcode")],
    comparisons=[cl.JaroWinklerAtThresholds("given_name", [0.92, 0.8]).configure(term_frequency_adjustments=True),
                 cl.JaroWinklerAtThresholds("surname", [0.92, 0.8]).configure(term_frequency_adjustments=True),
                 cl.DamerauLevenshteinAtThresholds("born_on", [1, 2]),
                 cl.DamerauLevenshteinAtThresholds("number", [1]), cl.ExactMatch("house"), cl.ExactMatch("street"), PHONE
                 cl.ExactMatch("postcode").configure(term_frequency_adjustments=True)])
"""
_LIBRARY_TRAIN = """
linker.training.estimate_probability_two_random_records_match([block_on("number")], recall=0.6)
linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("surname", "born_on"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("number"))
"""


def _folder() -> Path | None:
    named = os.environ.get("WORKBENCH_REAL_DATA")
    folder = (Path(named) if named else Path(__file__).resolve().parent.parent.parent / "shared" / "data") / "entity_resolution"
    return folder if folder.is_dir() else None


def _febrl(folder: Path, *names: str) -> Any:
    import polars as pl

    frames = []
    for name in names:
        frame = pl.read_csv(folder / "febrl" / f"{name}.csv", infer_schema_length=0)
        frames.append(frame.rename({c: c.strip() for c in frame.columns}).with_columns(pl.all().str.strip_chars()).with_columns(file=pl.lit(name)))
    frame = pl.concat(frames).rename(
        {"rec_id": "record_id", "date_of_birth": "born_on", "soc_sec_id": "number", "street_number": "house", "address_1": "street", "suburb": "place"}
    )
    kept = ("given_name", "surname", "born_on", "number", "house", "street", "place", "postcode", "state")
    columns = [pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in kept]
    return frame.select("record_id", "file", *columns, cluster=pl.col("record_id").str.extract(r"rec-(\d+)"))


def _row(task: str, method: str, code: str, data: Path, repeats: int) -> dict[str, Any]:
    """One measured row, with the figures of accuracy the code wrote in its note."""
    import json

    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        row = measure(task, method, code, str(data), out.name, repeats=repeats)
        said = json.loads(out.read())
    row["note"] = ", ".join(f"{k} {v:.5g}" for k, v in said.items())
    return row


def _peer(settings: str, train: str, *, kind: str = "dedupe_only", at: float = 0.95) -> str:
    """The source of a run of Splink alone."""
    return _PEER.replace("SETTINGS", settings).replace("TRAIN", train).replace("KIND", kind).replace("AT", str(at), 1)


def run(persons_: int = PERSONS) -> list[dict[str, Any]]:
    """One row a file and method: seconds, CPU and memory of whole processes; F1 over pairs, threshold and what the model expected in the note.

    With fewer ``persons_`` than a million it takes less time.
    """
    import polars as pl

    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder, data = _folder(), Path(made, "records.parquet")
        if folder is not None:
            given = pl.read_parquet(folder / "historical_figures_with_errors_50k.parquet").rename({"unique_id": "record_id"})
            given.with_columns(first_name_surname_concat=pl.col("first_name") + " " + pl.col("surname")).write_parquet(data)
            task, peer = "50,578 historical persons", "Splink, settings of its worked example"
            rows.append(_row(task, "workbench identities.resolve", _OURS.replace("OPTIONS", "relatives_apart=False"), data, 1))
            rows.append(_row(task, peer, _peer(_PLAIN, _PLAIN_TRAIN), data, 1))
            for name, files, options, code in (
                ("FEBRL 3", ["dataset3"], "relatives_apart=False", _peer(_FEBRL_3, _FEBRL_3_TRAIN)),
                ("FEBRL 4", ["dataset4a", "dataset4b"], "relatives_apart=False, across='file', one_to_one=True",
                 _peer(_FEBRL_4, _FEBRL_4_TRAIN, kind="link_only", at=0.99)),
            ):
                _febrl(folder, *files).write_parquet(data)
                rows.append(_row(name, "workbench identities.resolve", _OURS.replace("OPTIONS", options), data, 1))
                default = _OURS.replace("OPTIONS", options.replace("relatives_apart=False", "relatives_apart=True"))
                rows.append(_row(name, "workbench identities.resolve, twins kept apart (the default)", default, data, 1))
                rows.append(_row(name, peer, code, data, 1))
        persons(persons_).write_parquet(data)
        task = f"{persons_:,} records of persons"
        rows.append(_row(task, "workbench identities.resolve", _OURS.replace("OPTIONS", ""), data, 1))
        phone = 'cl.DamerauLevenshteinAtThresholds("phone", [1]),'
        code = _peer(_LIBRARY.replace("RULES", 'block_on("phone"),').replace("PHONE", phone), _LIBRARY_TRAIN)
        rows.append(_row(task, "Splink, comparisons of its library", code, data, 1))
        rows.append(_row(task, "workbench, then 1,000 more by known= (seconds and cpu of these in the note)", _MORE, data, 1))
    return rows

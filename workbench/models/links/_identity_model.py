"""How much each agreement says: a Fellegi-Sunter model trained by Splink, kept as JSON, and the scores of pairs of records by it.

Weights are Splink's (m and u of each level of agreement, equality weighed by how common the value is); they are applied here, by the same conditions in
DuckDB, so that a thousand new records are scored without training or scanning the million that are there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from workbench.engines.duckdb import connect
from workbench.models.links import _identity_fields as fields_of
from workbench.models.links._identity_fields import Fields

Floats = np.ndarray[Any, np.dtype[np.float64]]
Levels = np.ndarray[Any, np.dtype[np.int8]]
#: Records in the sample whose pairs tell how often chance agrees; pairs a training session looks at, at most and at least.
_SAMPLE, _MOST, _LEAST = 800, 100_000, 40
#: What is taken before anything is learnt: weight of it in pairs, share of true pairs that agree exactly, and differ.
_PRIOR, _SAME, _DIFFER = 30.0, 0.85, 0.04
_USUAL = {
    "given": 3e-3,
    "surname": 1e-3,
    "date": 5e-5,
    "number": 1e-6,
    "house": 0.01,
    "text": 2e-3,
    "postcode": 5e-3,
    "measure": 0.05,
    "same": 0.1,
    "position": 1e-4,
}
#: Log odds of chance below which a pair is not kept, and pairs scored at a time.
FLOOR, _CHUNK = -7.0, 1_000_000


@dataclass(frozen=True)
class Model:
    """What was learnt: for each role the words, conditions, m and u of its levels (the last level: they differ), and the share of all pairs that match.

    ``sessions`` says over which blocks it was trained and on how many pairs.
    """

    kind: str
    roles: tuple[str, ...]
    words: dict[str, list[str]]
    conditions: dict[str, list[str]]
    m: dict[str, list[float]]
    u: dict[str, list[float]]
    prior: float
    sessions: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        """The model as one JSON object; no value of any record is in it."""
        return json.dumps({"form": 1, **self.__dict__}, sort_keys=True)

    def weights(self, role: str) -> Floats:
        """Natural log of m / u by level, index -1 (the last) for a missing value: 0."""
        return np.append(np.log(np.asarray(self.m[role]) / np.asarray(self.u[role])), 0.0)


def levels(made: Fields) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Words and conditions of the levels of each role."""
    said = {role: fields_of.comparison(role, fields_of.ROLES[made.kind][role], made.roles) for role in made.roles}
    words = {role: [w for w, _ in parts] + [f"{fields_of.WORDS.get(role, role.replace('_', ' '))} differs"] for role, parts in said.items()}
    return words, {role: [c for _, c in parts] for role, parts in said.items()}


def trained(frame: pl.DataFrame, made: Fields, seed: int) -> Model:
    """Learn from the prepared records; the same records and seed give the same model."""
    words, conditions = levels(made)
    copies = {n: pl.col(c) for n, c in (("given_copy", "given_name"), ("surname_copy", "surname")) if c in frame.columns}
    frame = frame.with_columns(**copies)
    u, pairs = _by_chance(frame, made, conditions, seed)
    found: dict[str, list[tuple[float, list[float]]]] = {role: [] for role in made.roles}
    sessions = []
    for rule in made.rules(trained=True):
        learnt, n = _session(frame, made, rule, conditions, u, seed)
        if learnt:
            sessions.append({"block": list(rule), "pairs": n})
        for role, m in learnt.items():
            found[role].append((float(n), m))
    learned: dict[str, list[float]] = {}
    for role in made.roles:
        usual, seen = _usual_m(len(words[role])), found[role]
        total = sum(n for n, _ in seen)
        mean = sum((n * np.asarray(one) for n, one in seen), np.zeros(len(usual))) / total if total else usual
        kept = (mean * min(total, 3_000) + usual * _PRIOR) / (min(total, 3_000) + _PRIOR)
        learned[role] = [float(v) for v in kept / kept.sum()]
    prior = 1.0 / max(len(frame), 2)
    return Model(made.kind, tuple(made.roles), words, conditions, learned, {r: [float(v) for v in u[r]] for r in made.roles}, prior, sessions)


def _usual_m(n: int) -> Floats:
    middle = (1 - _SAME - _DIFFER) / max(n - 2, 1)
    out: Floats = np.array([_SAME, *[middle] * (n - 2), _DIFFER])
    return out / out.sum()


def _settings(made: Fields, conditions: dict[str, list[str]], roles: Sequence[str], u: dict[str, Floats] | None) -> dict[str, Any]:
    compared = []
    for role in roles:
        parts = [{"sql_condition": f"{role}_l is null or {role}_r is null", "label_for_charts": "missing", "is_null_level": True}]
        usual = _usual_m(len(conditions[role]) + 1)
        for i, condition in enumerate([*conditions[role], "ELSE"]):
            part: dict[str, Any] = {"sql_condition": condition, "label_for_charts": f"level {i}", "m_probability": float(usual[i])}
            if u is not None:
                part["u_probability"] = float(u[role][i])
            parts.append(part)
        compared.append({"output_column_name": role, "comparison_levels": parts})
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "comparisons": compared,
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": False,
        "max_iterations": 40,
        "probability_two_random_records_match": 1e-4,
    }


def _linker(frame: pl.DataFrame, settings: dict[str, Any]) -> Any:
    """A Splink linker on a connection of its own, one thread, so that sums come out the same to the last digit."""
    import logging

    from splink import DuckDBAPI, Linker, SettingsCreator

    db = connect()
    db.execute("set threads = 1")
    logging.getLogger("splink").setLevel(logging.ERROR)
    return Linker(DuckDBAPI(db).register(frame.to_arrow()), SettingsCreator(**settings), log_level=None, validate_settings=False)


def _learnt(linker: Any, which: str) -> dict[str, list[float | None]]:
    """m or u by role and level, None where nothing was seen."""
    out: dict[str, list[float | None]] = {}
    for compared in linker.misc.save_model_to_json()["comparisons"]:
        parts = [p for p in compared["comparison_levels"] if not p.get("is_null_level")]
        out[compared["output_column_name"]] = [p.get(which) if isinstance(p.get(which), float) else None for p in parts]
    return out


def _by_chance(frame: pl.DataFrame, made: Fields, conditions: dict[str, list[str]], seed: int) -> tuple[dict[str, Floats], float]:
    """u by role and level: equality over all pairs of records, the other levels over all pairs of a sample, beside what is usual."""
    order = frame["record_id"].hash(seed=seed).arg_sort()
    sample = frame[order.head(_SAMPLE).sort()]
    learnt: dict[str, list[float | None]] = {}
    if len(sample) >= 50:
        linker = _linker(sample, _settings(made, conditions, made.roles, None))
        linker.training.estimate_u_using_random_sampling(max_pairs=1e9, min_count_per_level=None, num_chunks=1)
        learnt = _learnt(linker, "u_probability")
    out: dict[str, Floats] = {}
    for role in made.roles:
        n, usual = len(conditions[role]) + 1, _USUAL[fields_of.ROLES[made.kind][role]]
        counts = frame[role].drop_nulls().value_counts()["count"].to_numpy().astype(float)
        held = counts.sum()
        pairs = held * (held - 1) / 2
        true = held / 2  # as many pairs as that may be of the same: what is left is chance
        equal = (max(float((counts * (counts - 1)).sum()) / 2 - true, 0.0) + 1_000 * usual) / (pairs + 1_000)
        sampled = float(sample[role].count()) ** 2 / 2
        rest = [((v or 0.0) * sampled + 2 * usual) / (sampled + 100) for v in learnt.get(role, [None] * n)[1:-1]]
        differ = max(1 - equal - sum(rest), 0.01)
        out[role] = np.array([equal, *rest, differ]) / (equal + sum(rest) + differ)
    return out, float(len(sample)) ** 2 / 2


def _session(
    frame: pl.DataFrame,
    made: Fields,
    rule: tuple[str, ...],
    conditions: dict[str, list[str]],
    u: dict[str, Floats],
    seed: int,
) -> tuple[dict[str, list[float]], int]:
    """m of the roles that are not in the rule, by Splink's expectation maximisation over pairs that agree on the rule."""
    block = frame.select(fields_of.key(rule).alias("key"))["key"]
    sizes = pl.DataFrame({"key": block}).drop_nulls().group_by("key").len().filter((pl.col("len") > 1) & (pl.col("len") < 1_000))
    sizes = sizes.sort(pl.col("key").hash(seed=seed)).with_columns(pairs=(pl.col("len") * (pl.col("len") - 1) // 2).cum_sum())
    chosen = sizes.filter(pl.col("pairs") <= _MOST)
    roles = [r for r in made.roles if r not in {part.split(":")[0] for part in rule}]
    if chosen.is_empty() or not roles or int(chosen["pairs"][-1]) < _LEAST:
        return {}, 0
    part = frame.filter(block.is_in(chosen["key"].implode())).with_columns(block=block.filter(block.is_in(chosen["key"].implode())))
    linker = _linker(part, _settings(made, conditions, roles, u))
    n = int(chosen["pairs"][-1])
    linker.training.estimate_parameters_using_expectation_maximisation("l.block = r.block", estimate_without_term_frequencies=True)
    learnt = _learnt(linker, "m_probability")
    return {role: [0.0 if v is None else v for v in learnt[role]] for role in roles}, n

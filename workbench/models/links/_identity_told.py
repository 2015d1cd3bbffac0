"""Identities in words: steps, what is to be reviewed, what the model expects of itself, and the sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.models.links._identity_scores import Pairs, logistic
from workbench.models.links._identity_state import State, apart
from workbench.models.wording import several

#: Probabilities between which a pair is worth a person's time, and rows of the queue.
BETWEEN, _QUEUE = (0.05, 0.999), 1_000
_MANY = {"person": "persons", "vehicle": "vehicles", "address": "addresses"}
_STEPS: Any = {
    "kind": pl.String,
    "entity_id": pl.String,
    "left": pl.String,
    "right": pl.String,
    "probability": pl.Float64,
    "reason": pl.String,
    "by": pl.String,
    "at": pl.Datetime("us", "UTC"),
}


def reasons(state: State, pairs: Pairs) -> list[str]:
    """What agrees and what differs in each pair: "same surname, born on one character off; number differs"."""
    model = state.model
    said = []
    for i, role in enumerate(model.roles):
        words = np.array([*model.words[role], ""], dtype=object)
        said.append(words[pairs.level[i]])
    out = []
    last = {words[-1] for words in model.words.values()}
    for row in zip(*said, strict=True):
        for_, against = [w for w in row if w and w not in last], [w for w in row if w in last]
        out.append("; ".join(filter(None, (", ".join(for_), ", ".join(against)))))
    return out


def steps(state: State, entity: pl.Series) -> pl.DataFrame:
    """How each entity of two records or more came about: the strongest pairs that hold it together, what people judged first. O(joined pairs)."""
    kind, names = state.fields.kind, state.frame["record_id"]
    group, pairs = state.group, state.pairs
    said = [(v, *rows) for v in reversed(state.verdicts.values()) if v.verdict == "same" and (rows := _rows_of(state, v)) and group[rows[0]] == group[rows[1]]]
    home = np.arange(len(group))

    def root(a: int) -> int:
        while home[a] != a:
            home[a] = home[home[a]]
            a = home[a]
        return a

    by_person, chosen = [], []
    for verdict, a, b in said:
        if root(a) != root(b):
            home[root(b)] = root(a)
            by_person.append((kind, entity[a], verdict.left, verdict.right, None, "judged the same", verdict.by, verdict.at))
    inside = np.flatnonzero(group[pairs.left] == group[pairs.right])
    inside = inside[np.lexsort((pairs.right[inside], pairs.left[inside], -np.round(pairs.odds[inside], 6)))]
    for k, a, b in zip(inside.tolist(), pairs.left[inside].tolist(), pairs.right[inside].tolist(), strict=True):
        a, b = root(a), root(b)
        if a != b:
            home[b] = a
            chosen.append(k)
    picked = pairs.where(np.array(chosen, dtype=np.int64))
    model = pl.DataFrame(
        {
            "entity_id": entity.gather(picked.left),
            "left": names.gather(picked.left),
            "right": names.gather(picked.right),
            "probability": picked.probability,
            "reason": pl.Series(reasons(state, picked), dtype=pl.String),
        }
    )
    model = model.select(pl.lit(kind).alias("kind"), pl.all(), pl.lit("model").alias("by"), pl.lit(None, dtype=_STEPS["at"]).alias("at"))
    people = pl.DataFrame(by_person, schema=_STEPS, orient="row")
    return pl.concat([people, model.cast(dict(_STEPS))]).sort("entity_id", maintain_order=True)


def _rows_of(state: State, verdict: Any) -> tuple[int, int] | None:
    at = [state.frame["record_id"].index_of(r) for r in (verdict.left, verdict.right)]
    return None if at[0] is None or at[1] is None else (at[0], at[1])


def expected(state: State) -> dict[str, float]:
    """Precision and recall that the model expects of the pairs looked at, and pairs of different ones that chance alone would join."""
    pairs, p = state.pairs, state.pairs.probability
    inside = state.group[pairs.left] == state.group[pairs.right]
    joined, all_ = float(p[inside].sum()), float(p.sum())
    n = len(state.frame)
    return {
        "precision": joined / inside.sum() if inside.any() else 1.0,
        "recall": joined / all_ if all_ > 0 else 1.0,
        "by_chance": _by_chance(state) * n * (n - 1) / 2,
        "threshold": state.threshold,
    }


def _by_chance(state: State) -> float:
    """The chance that two records of different ones reach the threshold: the weights of independent agreements, summed on a grid of 0.1."""
    step, half, model = 0.1, 1_000, state.model
    spread = np.zeros(2 * half + 1)
    spread[half] = 1.0
    for role in model.roles:
        filled = 1 - state.frame[role].null_count() / max(len(state.frame), 1)
        weight, u = model.weights(role)[:-1], np.asarray(model.u[role])
        new = (1 - filled**2) * spread
        for w, share in zip(weight, u, strict=True):
            new += filled**2 * share * _shifted(spread, int(np.clip(round(w / step), -half, half)))
        spread = new
    need = np.log(state.threshold / (1 - state.threshold)) - np.log(model.prior / (1 - model.prior))
    return float(spread[max(0, min(2 * half, half + int(np.ceil(need / step)))) :].sum())


def _shifted(spread: Any, by: int) -> Any:
    out = np.zeros_like(spread)
    if by >= 0:
        out[by:] = spread[: len(spread) - by]
        out[-1] += spread[len(spread) - by :].sum()
    else:
        out[:by] = spread[-by:]
        out[0] += spread[:-by].sum()
    return out


def review(state: State) -> pl.DataFrame:
    """Pairs for people, the most informative first: how unsure the score is, times the pairs of records that hang on it."""
    pairs, p, names = state.pairs, state.pairs.probability, state.frame["record_id"]
    size = np.bincount(state.group, minlength=len(state.group))
    split = state.group[pairs.left] != state.group[pairs.right]
    twins = apart(state.model, pairs) & state.relatives_apart
    over = split & (p >= state.threshold)
    wanted = ((p >= BETWEEN[0]) & (p <= BETWEEN[1])) | over
    at = np.flatnonzero(wanted)
    a, b = state.group[pairs.left[at]], state.group[pairs.right[at]]
    stake = np.where(split[at], size[a] * size[b], size[a] - 1)
    unsure = np.where(over[at], 0.5, np.minimum(p[at], 1 - p[at]))
    score = unsure * stake
    at_order = np.lexsort((pairs.right[at], pairs.left[at], -np.round(score, 9)))[: _QUEUE + len(state.verdicts)]
    at, stake, unsure = at[at_order], stake[at_order], unsure[at_order]
    picked = pairs.where(at)
    why = [
        "given names differ, all else alike: twins or relatives?" if t else "other records of the two speak against it" if o else ""
        for t, o in zip((twins[at] & (p[at] >= state.threshold)).tolist(), over[at].tolist(), strict=True)
    ]
    frame = pl.DataFrame(
        {
            "kind": pl.Series([state.fields.kind] * len(at), dtype=pl.String),
            "left": names.gather(picked.left),
            "right": names.gather(picked.right),
            "probability": picked.probability,
            "reason": pl.Series(reasons(state, picked), dtype=pl.String),
            "entity_left": state.entity.gather(picked.left),
            "entity_right": state.entity.gather(picked.right),
            "at_stake": pl.Series(stake, dtype=pl.Int64),
            "apart": pl.Series(why, dtype=pl.String),
        }
    )
    done = pl.DataFrame([(v.left, v.right) for v in state.verdicts.values()], schema={"one": pl.String, "other": pl.String}, orient="row")
    return frame.join(
        done, left_on=[pl.min_horizontal("left", "right"), pl.max_horizontal("left", "right")], right_on=["one", "other"], how="anti", maintain_order="left"
    ).head(_QUEUE)


def table(state: State) -> pl.DataFrame:
    """Entities of two records or more, the weakest link first: entity_id, records, record_ids, weakest (probability)."""
    pairs, group = state.pairs, state.group
    size = np.bincount(group, minlength=len(group))
    many = np.flatnonzero(size[group] > 1)
    inside = group[pairs.left] == group[pairs.right]
    best = np.full(len(group), -np.inf)
    np.maximum.at(best, pairs.left[inside], pairs.odds[inside])
    np.maximum.at(best, pairs.right[inside], pairs.odds[inside])
    rows = pl.DataFrame({"group": group[many], "record_id": state.frame["record_id"].gather(many), "odds": best[many]})
    made = rows.group_by("group").agg(pl.len().alias("records"), pl.col("record_id").sort().alias("record_ids"), pl.col("odds").min())
    made = made.select(state.entity.gather(made["group"]).alias("entity_id"), "records", "record_ids", "odds")
    shown = made.with_columns(weakest=pl.when(pl.col("odds").is_finite()).then(pl.Series(logistic(made["odds"].fill_nan(None).to_numpy()), nan_to_null=True)))
    return shown.drop("odds").sort("weakest", "entity_id", nulls_last=True)


def headline(state: State, figures: dict[str, float]) -> str:
    """The sentence."""
    n, kind = len(state.frame), state.fields.kind
    entities = int((state.group == np.arange(n)).sum())
    if n < 2:
        return f"I cannot tell: there {'is one record' if n == 1 else 'are no records'}, and it takes two to be of one {kind}."
    if not state.looked:
        keys = "; ".join(" with ".join(r) for r in state.fields.rules()[:3])
        return f"I cannot tell: no two of the {n:,} records agree on any key ({keys}); fuller records would do."
    start = f"{several(n, 'record')} are of {several(entities, kind, _MANY[kind])}: {several(n - entities, 'record')} join another."
    if entities == n:
        return f"{start} By chance alone {_few(figures['by_chance'])} of different {_MANY[kind]} would be joined."
    return (
        f"{start} Of the pairs joined the model expects {figures['precision']:.1%} to be right, and that they are {figures['recall']:.1%} of the true ones "
        f"among those looked at; by chance alone {_few(figures['by_chance'])} of different {_MANY[kind]} would agree as much."
    )


def _few(pairs: float) -> str:
    return "fewer than one pair" if pairs < 1 else several(round(pairs), "pair")


def notes(state: State) -> tuple[str, ...]:
    """What limits the answer."""
    out = [
        "The figures are the model's own, reckoned as if fields agreed independently; relatives who share a name and an address agree more often than that.",
        "Race and sex are never compared.",
    ]
    if not state.model.sessions:
        out.append("Too few pairs agree on any key to learn from: usual values stand for what would be learnt.")
    if state.missed:
        out.append(f"{several(state.missed, 'pair')} of very common keys were left to narrower keys.")
    if state.unkept:
        out.append("Judged the same, but kept apart by judgements of 'different': " + ", ".join(f"{a} and {b}" for a, b in state.unkept[:5]) + ".")
    if state.absent:
        out.append(f"{several(state.absent, 'judgement')} about records that are not here had no effect.")
    return tuple(out)

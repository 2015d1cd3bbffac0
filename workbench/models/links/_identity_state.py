"""What an answer about identities keeps, so that the next one only looks at what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, did_you_mean
from workbench.models.links import _identity_fields as fields_of
from workbench.models.links import _identity_groups as grouping
from workbench.models.links import _identity_ids as ids
from workbench.models.links import _identity_model as learning
from workbench.models.links import _identity_pairs as pairing
from workbench.models.links import _identity_scores as scoring
from workbench.models.links._identity_fields import Fields
from workbench.models.links._identity_model import Floats, Model
from workbench.models.links._identity_pairs import Index, Ints
from workbench.models.links._identity_scores import Pairs

VERDICTS = ("same", "different", "unsure")
#: Share of joined pairs that may be wrong by the model's own reckoning, where the caller names no threshold.
WRONG = 0.005


@dataclass(frozen=True)
class Verdict:
    """The last judgement on a pair of records."""

    left: str
    right: str
    verdict: str
    by: str
    at: datetime | None


@dataclass(frozen=True)
class State:
    """Prepared records, the model, scored pairs, groups and ids; rows are positions in ``frame``."""

    fields: Fields
    frame: pl.DataFrame
    index: Index
    model: Model
    pairs: Pairs
    group: Ints
    entity: pl.Series
    ledger: ids.Ledger
    verdicts: dict[tuple[str, str], Verdict]
    threshold: float
    one_to_one: bool
    relatives_apart: bool
    seed: int
    looked: int
    missed: int
    unkept: tuple[tuple[str, str], ...] = ()
    absent: int = 0
    part: Ints | None = None  # what hangs together by pairs that gain; None where it has to be looked at anew


def judged(judgements: pl.DataFrame | None) -> dict[tuple[str, str], Verdict]:
    """The last verdict on each pair (smaller id first).

    Raises:
        BadInput: columns are missing, a verdict is unknown, a record is judged against itself.
    """
    if judgements is None:
        return {}
    schema.require(judgements, "left", "right", "verdict", what="The judgements frame")
    out: dict[tuple[str, str], Verdict] = {}
    rows = judgements.with_row_index("order_")
    for row in rows.sort(["at", "order_"] if "at" in rows.columns else ["order_"]).iter_rows(named=True):
        left, right, verdict = str(row["left"]), str(row["right"]), row["verdict"]
        if verdict not in VERDICTS:
            raise BadInput(f"Verdict {verdict!r} is not known.{did_you_mean(str(verdict), VERDICTS)}")
        if left == right or row["left"] is None or row["right"] is None:
            raise BadInput(f"A judgement is about two records; {left!r} and {right!r} are not two.")
        pair = (min(left, right), max(left, right))
        out.pop(pair, None)
        out[pair] = Verdict(*pair, verdict, str(row.get("by") or ""), row.get("at"))
    return out


def first(
    records: pl.DataFrame, made: Fields, verdicts: dict[tuple[str, str], Verdict], at_least: float | None, one_to_one: bool, relatives_apart: bool, seed: int
) -> State:
    """Train, compare, group and name all records."""
    frame = fields_of.prepared(records, made)
    model = learning.trained(frame, made, seed)
    files = _files(frame)
    left, right, index, missed = pairing.blocks(pairing.keyed(frame, made), files)
    left, right, level = scoring.possible(model, left, right, scoring.compared(frame, model, left, right))
    weight = scoring.weighed(model, frame, left, level, _common(frame, model))
    possible = max(_possible(len(frame), files), 1.0)
    model, odds = scoring.fitted(model, weight, level, possible, _equal(frame, model))
    pairs = Pairs(left, right, level, odds).where(odds > scoring.FLOOR)
    threshold = _threshold(pairs) if at_least is None else at_least
    nobody = pl.Series([None] * len(frame), dtype=pl.String)
    state = State(
        made,
        frame,
        index,
        model,
        pairs,
        np.arange(len(frame)),
        nobody,
        ids.Ledger({}, {}, 0),
        verdicts,
        threshold,
        one_to_one,
        relatives_apart,
        seed,
        len(left),
        missed,
    )
    return _grouped(state, None)


def named_as(state: State, before: pl.DataFrame) -> State:
    """The same groups, with the ids that their records bore in an earlier run (record_id, entity_id, since); a group that bore one alone keeps it."""
    if before.is_empty():
        return state
    names = state.frame["record_id"]
    had = pl.DataFrame({"record_id": names, "g": state.group}).join(before.unique("record_id", keep="last"), on="record_id", how="left", maintain_order="left")
    id_ = pl.col("entity_id")
    alone = id_.is_null() & (pl.len().over("g") == 1) & ~pl.col("record_id").is_in(before["entity_id"].implode())
    had = had.with_columns(entity_id=pl.when(alone).then(pl.col("record_id")).otherwise(id_))
    sure = had.select((id_.null_count().over("g") == 0) & (id_.n_unique().over("g") == 1) & (pl.col("g").n_unique().over("entity_id") == 1)).to_series()
    since = {name: int(at.timestamp() * 1e6) for name, at in before.sort("since").select("entity_id", "since").iter_rows()}
    ledger = ids.Ledger({}, since, max(since.values(), default=0))
    entity, ledger = ids.named(state.group, names, had["entity_id"], ledger, ~sure.to_numpy())
    return replace(state, entity=entity, ledger=ledger)


def again(records: pl.DataFrame, known: State, verdicts: dict[tuple[str, str], Verdict], withdrawn: Sequence[str]) -> State:
    """Add, change and take away records and judgements; what they do not touch stays as it is."""
    new = fields_of.prepared(records, known.fields) if len(records) else known.frame.clear()
    held = known.frame.with_row_index("row").filter(pl.col("record_id").is_in(new["record_id"].implode()))
    same = held.join(new, on=known.frame.columns, how="semi", nulls_equal=True)
    new = new.filter(~pl.col("record_id").is_in(same["record_id"].implode()))
    gone = held.filter(pl.col("record_id").is_in(new["record_id"].implode()))["row"].to_list()
    if len(withdrawn):
        gone += known.frame.with_row_index("row").filter(pl.col("record_id").is_in(pl.Series(list(withdrawn), dtype=pl.String).implode()))["row"].to_list()
    changed = {
        p
        for p in {*known.verdicts, *verdicts}
        if (known.verdicts.get(p) is None) != (verdicts.get(p) is None) or known.verdicts[p].verdict != verdicts[p].verdict
    }
    before = known.entity
    was = dict(zip(known.frame["record_id"].gather(gone).to_list(), before.gather(gone).to_list(), strict=True)) if gone else {}
    state = _without(known, np.array(gone, dtype=np.int64)) if gone else known
    touched = np.zeros(len(state.frame), dtype=bool)
    if gone:
        touched |= state.entity.is_in(pl.Series(list(was.values()), dtype=pl.String).implode()).to_numpy()
    index = replace_index(state.index)
    start, keys = len(state.frame), pairing.keyed(new, known.fields)
    left, right = pairing.fellows(index, keys, start)
    frame = pl.concat([state.frame, new])
    files = _files(frame)
    if files is not None:
        apart = files[left] != files[right]
        left, right = left[apart], right[apart]
    added = _added(frame, state.model, left, right)
    entity = pl.concat([state.entity, pl.Series([was.get(r) for r in new["record_id"].to_list()], dtype=pl.String)])
    touched = np.concatenate([touched, np.ones(len(new), dtype=bool)])
    if changed:
        touched |= frame["record_id"].is_in(pl.Series([r for p in changed for r in p], dtype=pl.String).implode()).to_numpy()
    state = replace(
        state,
        frame=frame,
        index=index,
        pairs=scoring.together(state.pairs, added),
        entity=entity,
        verdicts=verdicts,
        looked=state.looked + len(left),
        group=np.concatenate([state.group, np.arange(start, len(frame))]),
        part=None if changed else state.part,
    )
    return _grouped(state, touched, len(added))


def replace_index(index: Index) -> Index:
    """A copy that can be added to; sorted parts are joined when there are many."""
    parts = [list(p) for p in index.parts]
    for p in parts:
        if len(p) > 6:
            keys, rows = np.concatenate([k for k, _ in p]), np.concatenate([r for _, r in p])
            order = np.argsort(keys, kind="stable")
            p[:] = [(keys[order], rows[order])]
    return Index(index.keys, list(index.largest), parts)


def _without(state: State, gone: Ints) -> State:
    """The state without some rows; the rows behind them move up."""
    keep = np.ones(len(state.frame), dtype=bool)
    keep[gone] = False
    to = (np.cumsum(keep) - 1).astype(np.int32)
    pairs = state.pairs.where(keep[state.pairs.left] & keep[state.pairs.right])
    pairs = replace(pairs, left=to[pairs.left], right=to[pairs.right])
    parts = [[(k[keep[r]], to[r[keep[r]]]) for k, r in p] for p in state.index.parts]
    index = Index(np.ascontiguousarray(state.index.keys[:, keep]), state.index.largest, parts)
    group = state.group[keep]
    _, first_, inverse = np.unique(group, return_index=True, return_inverse=True)
    mask = pl.Series(keep)
    return replace(state, frame=state.frame.filter(mask), index=index, pairs=pairs, group=first_[inverse.ravel()], entity=state.entity.filter(mask), part=None)


def _added(frame: pl.DataFrame, model: Model, left: Any, right: Any) -> Pairs:
    """Scores of pairs of which the right one is new; how common a value is is counted among all records."""
    left, right, level = scoring.possible(model, left, right, scoring.compared(frame, model, left, right))
    common = {}
    rows = np.unique(right)
    for role in scoring.TERMS[model.kind]:
        if role in model.roles:
            values = frame[role].gather(rows).drop_nulls().unique()
            counts = frame.lazy().select(role).filter(pl.col(role).is_in(values.implode())).group_by(role).len().collect()
            total = max(len(frame) - frame[role].null_count(), 1)
            share = frame.select(role).with_row_index("row")[rows].join(counts, on=role, how="left").with_columns(pl.col("len").fill_null(1) / total)
            by_row = np.ones(len(frame))
            by_row[share["row"].to_numpy()] = share["len"].to_numpy()
            common[role] = by_row
    weight = scoring.weighed(model, frame, right, level, common)
    odds = weight + np.log(model.prior / (1 - model.prior))
    return Pairs(left, right, level, odds).where(odds > scoring.FLOOR)


def _common(frame: pl.DataFrame, model: Model) -> dict[str, Floats]:
    """The share of the records with a value that hold the same one, by row, for roles where that matters."""
    return {
        role: (frame.select(pl.len().over(role) / max(len(frame) - frame[role].null_count(), 1))).to_series().to_numpy()
        for role in scoring.TERMS[model.kind]
        if role in model.roles
    }


def _equal(frame: pl.DataFrame, model: Model) -> dict[str, float]:
    """Pairs of all records that hold an equal value, by role."""
    out = {}
    for role in model.roles:
        counts = frame[role].drop_nulls().value_counts()["count"].to_numpy().astype(float)
        out[role] = float((counts * (counts - 1)).sum() / 2)
    return out


def _possible(n: int, files: Ints | None) -> float:
    total = n * (n - 1) / 2
    return total if files is None else total - float(sum(c * (c - 1) / 2 for c in np.bincount(files).tolist()))


def _files(frame: pl.DataFrame) -> Ints | None:
    if "file" not in frame.columns:
        return None
    return frame["file"].fill_null("").rank("dense").to_numpy().astype(np.int64)


def _threshold(pairs: Pairs) -> float:
    """The lowest probability, 0.5 at least, from which the model expects at most WRONG of the joined pairs to be wrong."""
    p = np.sort(pairs.probability[pairs.odds > 0])[::-1]
    if not len(p):
        return 0.5
    wrong = np.cumsum(1 - p) / np.arange(1, len(p) + 1)
    fit = np.flatnonzero(wrong <= WRONG)
    last = int(fit[-1]) if len(fit) else -1
    if last == len(p) - 1:
        return 0.5
    return float(np.clip((p[last] + p[last + 1]) / 2 if last >= 0 else 1 - WRONG, 0.5, 1 - 1e-9))


def _rows(state: State, pairs: list[tuple[str, str]]) -> tuple[list[tuple[int, int]], int]:
    """Rows of pairs of record ids, and how many of them name a record that is not there."""
    wanted = pl.Series([r for p in pairs for r in p], dtype=pl.String).unique()
    found = state.frame.select("record_id").with_row_index("row").filter(pl.col("record_id").is_in(wanted.implode()))
    at = dict(zip(found["record_id"].to_list(), found["row"].to_list(), strict=True))
    there = [(at[a], at[b]) for a, b in pairs if a in at and b in at]
    return there, len(pairs) - len(there)


def gains(state: State) -> Floats:
    """What each pair speaks for one entity: its log odds from the threshold on, what is lacking to it below; twins and the like are held apart."""
    lacks = state.pairs.odds - float(np.log(state.threshold / (1 - state.threshold)))
    gain = np.where(lacks >= 0, np.maximum(state.pairs.odds, 1e-6), lacks)
    return np.where(apart(state.model, state.pairs), -np.inf, gain) if state.relatives_apart else gain


def apart(model: Model, pairs: Pairs) -> Any:
    """Pairs of persons whose given names differ although surname and birth date agree, and no number does: twins, or a parent and child of one name."""
    held = np.zeros(len(pairs), dtype=bool)
    if model.kind != "person" or not {"given_name", "surname"} <= set(model.roles):
        return held
    at = {role: i for i, role in enumerate(model.roles)}
    held = pairs.level[at["given_name"]] == len(model.conditions["given_name"])
    held &= pairs.level[at["surname"]] != len(model.conditions["surname"])
    for role in ("number",):
        if role in at:
            held &= ~np.isin(pairs.level[at[role]], (0, 1))
    return held


def _grouped(state: State, touched: Any, added: int = 0) -> State:
    """Group and name; with ``touched`` (mask of rows) only what hangs together with them. The last ``added`` pairs are new."""
    verdicts = list(state.verdicts.values())[::-1]
    said = {v: _rows(state, [(j.left, j.right) for j in verdicts if j.verdict == v]) for v in VERDICTS}
    gain = gains(state)
    unsure, n = said["unsure"][0], len(state.frame)
    if unsure:
        code = state.pairs.left.astype(np.int64) * n + state.pairs.right
        no = np.isin(code, np.array([min(p) * n + max(p) for p in unsure], dtype=np.int64))
        gain = np.where(no, np.minimum(gain, 0.0), gain)
    pairs, files = state.pairs, _files(state.frame) if state.one_to_one else None
    fresh = touched is None or state.entity.null_count() == n
    if state.part is None:
        part = grouping.parts(n, pairs.left, pairs.right, gain, said["same"][0])
    else:
        new = slice(len(pairs) - added, None)
        part = grouping.widened(state.part, n, pairs.left[new], pairs.right[new], gain[new], said["same"][0])
    only = None if fresh else _reached(part, state.group, touched)
    group, unkept = grouping.groups(part, pairs.left, pairs.right, gain, said["same"][0], said["different"][0], files, only)
    if only is None:
        entity, ledger = ids.named(group, state.frame["record_id"], None, None)
    else:
        group = np.where(only, group, state.group)
        entity, ledger = ids.named(group, state.frame["record_id"], state.entity, state.ledger, only)
    names = state.frame["record_id"]
    return replace(
        state, group=group, entity=entity, ledger=ledger, part=part, absent=sum(s[1] for s in said.values()),
        unkept=tuple((names[a], names[b]) for a, b in unkept),
    )


def _reached(part: Ints, group: Ints, touched: Any) -> Any:
    """The touched rows, what is connected with them, and what was of one entity with them (mask)."""
    out = touched
    while True:
        hit, mate = np.zeros(len(part), dtype=bool), np.zeros(len(part), dtype=bool)
        hit[part[out]] = True
        wider = hit[part]
        mate[group[wider]] = True
        wider |= mate[group]
        if (wider == out).all():
            return out
        out = wider

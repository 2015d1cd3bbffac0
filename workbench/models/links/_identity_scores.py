"""Scores of pairs of records by a trained model, and what the model itself expects of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from workbench.engines.duckdb import connect
from workbench.models.links._identity_model import Floats, Levels, Model

Rows = np.ndarray[Any, np.dtype[np.int32]]
#: Log odds below which a pair is not kept, and pairs compared at a time.
FLOOR, _CHUNK = -7.0, 1_000_000
#: How the weight of an equal value is bounded by how common it is: no rarer than this share of records is believed.
_RAREST = 2e-6
#: Rounds of fitting, and how many true pairs the values learnt before count for in each; log odds from which on pairs are
#: looked at in it.
_ROUNDS, _HOLD, _UNLIKELY = 6, 20.0, -10.0


@dataclass(frozen=True)
class Pairs:
    """Scored pairs: rows l < r, the level of agreement of each role (shape (roles, pairs); -1 = missing) and log odds that both are one."""

    left: Rows
    right: Rows
    level: Levels
    odds: Floats

    def __len__(self) -> int:
        return len(self.left)

    def where(self, keep: Any) -> Pairs:
        """The pairs picked by a mask or by positions."""
        return Pairs(self.left[keep], self.right[keep], np.ascontiguousarray(self.level[:, keep]), self.odds[keep])

    @property
    def probability(self) -> Floats:
        """1 / (1 + exp(-odds))."""
        return logistic(self.odds)


def logistic(odds: Floats) -> Floats:
    """The probability of log odds."""
    out: Floats = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
    return out


def together(a: Pairs, b: Pairs) -> Pairs:
    """The pairs of both."""
    return Pairs(
        np.concatenate([a.left, b.left]), np.concatenate([a.right, b.right]), np.concatenate([a.level, b.level], axis=1), np.concatenate([a.odds, b.odds])
    )


def compared(frame: pl.DataFrame, model: Model, left: Rows, right: Rows) -> Levels:
    """The level of agreement of each role for each pair, shape (roles, pairs). About 5 s of CPU for a million pairs of eight roles."""
    out = np.full((len(model.roles), len(left)), -1, dtype=np.int8)
    columns = [c for c in frame.columns if c not in ("record_id", "file", "seen")]
    cases = []
    for role in model.roles:
        tests = (
            " ".join(f"when {c} then {i}" for i, c in enumerate(model.conditions[role])).replace("surname_copy", "surname").replace("given_copy", "given_name")
        )
        cases.append(f"(case when {role}_l is null or {role}_r is null then -1 {tests} else {len(model.conditions[role])} end)::tinyint as {role}")
    db = connect()
    for start in range(0, len(left), _CHUNK):
        one, other = left[start : start + _CHUNK], right[start : start + _CHUNK]
        pairs = pl.DataFrame([s for c in columns for s in (frame[c].gather(one).alias(f"{c}_l"), frame[c].gather(other).alias(f"{c}_r"))])
        db.register("pairs", pairs.to_arrow())
        found = db.execute(f"select {', '.join(cases)} from pairs").fetchnumpy()
        for i, role in enumerate(model.roles):
            out[i, start : start + len(one)] = found[role]
        db.unregister("pairs")
    db.close()
    return out


def possible(model: Model, left: Rows, right: Rows, level: Levels) -> tuple[Rows, Rows, Levels]:
    """The pairs that can be one: another house number is another address, however near and whatever the score."""
    if model.kind != "address" or "house" not in model.roles:
        return left, right, level
    keep = level[model.roles.index("house")] <= 0
    return left[keep], right[keep], np.ascontiguousarray(level[:, keep])


def weighed(model: Model, frame: pl.DataFrame, left: Rows, level: Levels, common: dict[str, Floats]) -> Floats:
    """The sum of weights of each pair without the prior; an equal value weighs by the share of records that hold it (``common``, by row of ``left``)."""
    total = np.zeros(len(left))
    for i, role in enumerate(model.roles):
        weight = model.weights(role)
        total += weight[level[i]]
        if role in common:
            equal = np.flatnonzero(level[i] == 0)
            total[equal] += np.log(model.u[role][0] / np.maximum(common[role][left[equal]], _RAREST))
    return total


def fitted(model: Model, weight: Floats, level: Levels, possible: float, equal: dict[str, float]) -> tuple[Model, Floats]:
    """The model fitted to all pairs that were looked at, from what Splink learnt; and the log odds of the pairs.

    The share of pairs that match, the m of each level among them, and what equality says by chance once the matches are taken out, in turn.

    Args:
        possible: pairs that could be looked at. equal: pairs of all records that hold an equal value, by role.
    """
    whole, m, u, prior = weight, {r: list(v) for r, v in model.m.items()}, {r: list(v) for r, v in model.u.items()}, model.prior
    likely = np.flatnonzero(weight + np.log(prior) > _UNLIKELY)  # the others add nothing that could be seen
    every, level, weight = level, np.ascontiguousarray(level[:, likely]), weight[likely]
    for _ in range(_ROUNDS):
        for _ in range(10):
            p = logistic(weight + np.log(prior))
            before, prior = prior, min(max(float(p.sum()), 1.0) / possible, 0.5)
            if abs(prior / before - 1) < 1e-3:
                break
        for i, role in enumerate(model.roles):
            seen = np.bincount(level[i] + 1, weights=p, minlength=len(m[role]) + 1)[1:]
            new = (seen + _HOLD * np.asarray(m[role])) / (seen.sum() + _HOLD)
            chance = np.asarray(u[role])
            common = role in TERMS[model.kind]
            share = float(np.clip((equal[role] - new[0] * prior * possible) / possible, max(chance[0] / 1_000, 1e-8), 0.9))
            after = chance.copy()
            after[0] = share
            change = np.log(new / np.asarray(m[role])) - (0.0 if common else np.log(after / chance))
            weight += np.append(change, 0.0)[level[i]]
            whole = whole + np.append(change, 0.0)[every[i]]
            m[role], u[role] = [float(v) for v in new], [float(v) for v in after]
    prior = min(max(float(logistic(weight + np.log(prior)).sum()), 1.0) / possible, 0.5)
    return replace(model, prior=prior, m=m, u=u), whole + np.log(prior / (1 - prior))


#: Roles of which a common value says less than a rare one.
TERMS: dict[str, tuple[str, ...]] = {
    "person": ("given_name", "surname", "house", "street", "place", "postcode", "occupation"),
    "vehicle": ("make", "model", "body", "colour", "region"),
    "address": ("house", "street", "place", "postcode"),
}

"""Ids that stay: which group of records keeps which id when records come and go and judgements change.

An id is the record that founded the entity. A group that once had an id gets it back, so that what is undone is undone; otherwise a union keeps the older
id (then that of more records), and when a group splits the id stays with the part that holds more of its records (then with the smaller record id).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Ledger:
    """Every set of records that has had an id: by its fingerprint the id (the latest), and in which round the id was first given."""

    sets: dict[int, str]
    since: dict[str, int]
    round: int


def named(group: Ints, record: pl.Series, before: pl.Series | None, ledger: Ledger | None, touched: Any = None) -> tuple[pl.Series, Ledger]:
    """The id of each row, and the ledger after it.

    Args:
        group: smallest row of each row's group. record: record ids.
        before: id that each row had before, null for a new one; None where nothing was before.
        touched: rows whose group may have changed (mask); the others keep theirs.
    """
    if before is None or ledger is None:
        smallest = pl.DataFrame({"g": group, "r": record}).select(pl.col("r").min().over("g"))["r"]
        return smallest, Ledger({}, {}, 0)
    rows = np.flatnonzero(touched) if touched is not None else np.arange(len(group))
    names, had = record.gather(rows).to_list(), before.gather(rows).to_list()
    members: dict[int, list[int]] = defaultdict(list)
    for i, g in enumerate(group[rows].tolist()):
        members[g].append(i)
    hashed = record.gather(rows).hash(seed=11).to_list()
    sets, since, now = dict(ledger.sets), dict(ledger.since), ledger.round + 1
    old: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(had):
        if name is not None:
            old[name].append(i)
    for name, who in old.items():
        sets[_set(who, hashed)] = name
        since.setdefault(name, 0)
    elsewhere = np.ones(len(group), dtype=bool)
    elsewhere[rows] = False
    wanted = pl.Series([*names, *(sets[s] for who in members.values() if (s := _set(who, hashed)) in sets)], dtype=pl.String)
    others = before.filter(pl.Series(elsewhere))
    held = set(others.filter(others.is_in(wanted.implode())).to_list())
    given = _claims(members, names, had, hashed, sets, since, held)
    taken = {*given.values(), *held}
    for g, who in sorted(members.items(), key=lambda m: min(names[i] for i in m[1])):
        if g not in given:
            given[g] = _fresh(sorted(names[i] for i in who), taken, since)
            taken.add(given[g])
            since[given[g]] = now
    new = [""] * len(rows)
    for g, who in members.items():
        sets[_set(who, hashed)] = given[g]
        for i in who:
            new[i] = given[g]
    return before.clone().scatter(rows, new) if len(rows) else before, Ledger(sets, since, now)


def _set(who: list[int], hashed: list[int]) -> int:
    return int(sum(hashed[i] for i in who) % 2**64)


def _claims(
    members: dict[int, list[int]], names: list[str], had: list[str | None], hashed: list[int], sets: dict[int, str], since: dict[str, int], held: set[str]
) -> dict[int, str]:
    """Which group takes which id that has been: first a set that had one before, then by overlap."""
    given: dict[int, str] = {}
    taken = set(held)
    for g in sorted(members, key=lambda g: (-len(members[g]), min(names[i] for i in members[g]))):
        name = sets.get(_set(members[g], hashed))
        if name is not None and name not in taken:
            given[g] = name
            taken.add(name)
    share: dict[tuple[str, int], int] = defaultdict(int)
    first: dict[tuple[str, int], str] = {}
    for g, who in members.items():
        for i in who:
            name = had[i]
            if name is not None:
                share[name, g] += 1
                first[name, g] = min(first.get((name, g), names[i]), names[i])
    parts: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for (name, g), n in share.items():
        parts[name].append((-n, first[name, g], g))
    for name in sorted(parts, key=lambda n: (since.get(n, 0), -sum(-p[0] for p in parts[n]), n)):
        n, _, g = min(parts[name])
        if name not in taken and g not in given:
            given[g] = name
            taken.add(name)
    return given


def _fresh(members: list[str], taken: set[str], since: dict[str, int]) -> str:
    """An id that nobody has had: the first record of the group, or the next that is free; then with a number."""
    for name in members:
        if name not in taken and name not in since:
            return name
    k = 2
    while (name := f"{members[0]}#{k}") in taken or name in since:
        k += 1
    return name

"""Tables and sentences of convoys: companions with their reasons and the reads behind them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.geo import positions
from workbench.layers import Layer, Points
from workbench.models.plates import _convoy_kernels as kernels
from workbench.models.plates._convoy import Floats, Habits, Null, Pairs, Rules
from workbench.models.plates._convoy_moving import settled
from workbench.models.plates._passages import Codes, bits
from workbench.models.wording import several

_HABIT = 0.5  # share of co-reads that the same hours and places would give on any other day, from which a pair is habitual
_DAYS, _SHARE = 10, 2 / 3  # together on so many days and half of all at least, and on such a share of the days on which both were read
Near = tuple[Codes, Codes]


def co_reads(habits: Habits, p: int, within: int) -> Near:
    """Positions of the reads of a plate and of those of others within so many seconds at their spots, one row a co-read."""
    mine = habits.of_plate(p)
    none = np.zeros(0, np.uint32)
    k = kernels.near(mine, habits.plate, habits.spot, habits.at, within, none, none)
    own, others = np.empty(k, np.uint32), np.empty(k, np.uint32)
    if k:
        kernels.near(mine, habits.plate, habits.spot, habits.at, within, own, others)
    return own, others


def around_plate(habits: Habits, p: int, rules: Rules) -> tuple[Pairs, Near]:
    """The candidates of one plate and its co-reads."""
    own, others = co_reads(habits, p, rules.within)
    plate_bits, spot_bits, day_bits = bits(max(habits.many - 1, 0)), bits(max(habits.spots - 1, 0)), bits(max(habits.days - 1, 0))
    keys = habits.plate[others].astype(np.uint64) << np.uint64(spot_bits) | habits.spot[own]
    keys = keys << np.uint64(day_bits) | np.minimum(habits.day[own], habits.day[others])
    keys.sort()
    most = len(keys) // rules.reads + 1
    low, high, counts = np.empty(most, np.uint32), np.empty(most, np.uint32), np.empty((most, 4), np.int32)
    seen = np.zeros(max(habits.days, 1), np.int32)
    m = kernels.runs(keys, plate_bits, spot_bits, day_bits, 0, rules.reads, rules.spots, rules.days, seen, low, high, counts)
    other = high[:m]
    return Pairs(np.minimum(other, np.uint32(p)), np.maximum(other, np.uint32(p)), counts[:m].copy(), len(keys)), (own, others)


def table(habits: Habits, pairs: Pairs, rules: Rules, expected: Floats, score: Floats, p: Floats, q: Floats, *, most: int, first: Any = None,
          co: Near | None = None) -> pl.DataFrame:
    """The rows of a ranking: companions by p, then habitual ones by p, ``most`` of each; ``first`` is the plate asked about (of each pair)."""
    usual = expected * (rules.wide / rules.within) >= _HABIT * pairs.counts[:, 0]
    pick, reasons = _picked(habits, pairs, np.lexsort((pairs.high, pairs.low, -score, p)), usual, most)
    swap = np.zeros(len(pick), dtype=bool) if first is None else pairs.high[pick] == (first if np.isscalar(first) else first[pick])
    one, other = np.where(swap, pairs.high[pick], pairs.low[pick]), np.where(swap, pairs.low[pick], pairs.high[pick])
    counts, e = pairs.counts[pick], expected[pick]
    names = habits.passages.plates
    rows = _rows(habits, one, other, rules.within, co)
    made = pl.DataFrame({
        "plate": names.gather(one), "other": names.gather(other), "together": counts[:, 0].astype(np.int64), "expected": e,
        "ratio": pl.Series([n / x if x > 0 else None for n, x in zip(counts[:, 0].tolist(), e.tolist(), strict=True)], dtype=pl.Float64),
        "p": p[pick], "q": q[pick],
        "days": counts[:, 2].astype(np.int64), "spots": counts[:, 1].astype(np.int64),
        "habitual": pl.Series([bool(r) for r in reasons], dtype=pl.Boolean),
        "reason": pl.Series(reasons, dtype=pl.String), "co_reads": counts[:, 3].astype(np.int64),
        "evidence": _evidence(habits, rows),
    })
    moves = "moving" in habits.passages.frame.columns and len(made)
    if not moves:
        return made
    return settled(habits, made, [rows[0][a:b] for a, b in pairwise(rows[1].tolist())], rules, 2 * habits.passages.options["spot"])


def _picked(habits: Habits, pairs: Pairs, order: Any, usual: Any, most: int) -> tuple[Any, list[str]]:
    """The first ``most`` companions and the first ``most`` habitual ones, in order, and why each is habitual ("" where it is not)."""
    often = ~usual & (pairs.counts[:, 2] >= max(_DAYS, habits.days / 2))
    plain = np.cumsum(~(usual | often)[order])
    why = {}
    more = 0  # companions among those that were often together
    for at in np.flatnonzero(often[order]).tolist():
        if plain[at] + more >= most:
            break
        i = int(order[at])
        why[i] = _reason(habits, pairs, i)
        more += not why[i]
    seldom = ~(usual | often)
    seldom[[i for i, reason in why.items() if not reason]] = True
    usual = usual.copy()
    usual[[i for i, reason in why.items() if reason]] = True
    first, second = order[seldom[order]][:most], order[usual[order]][:most]
    same = "their habits bring them to the same places in the same quarter of an hour on other days too"
    return np.concatenate([first, second]), [""] * len(first) + [why.get(int(i), same) for i in second]


def _reason(habits: Habits, pairs: Pairs, i: int) -> str:
    """Why a pair that is often together is habitual; "" when it is not."""
    low, high = (np.unique(habits.of[habits.first[x] : habits.first[x + 1]]) for x in (pairs.low[i], pairs.high[i]))
    both = len(np.intersect1d(low, high, assume_unique=True))
    if pairs.counts[i, 2] >= _SHARE * both:
        return f"together on {pairs.counts[i, 2]} of the {both} days on which both were read"
    return ""


def _rows(habits: Habits, one: Codes, other: Codes, within: int, co: Near | None) -> tuple[Any, Any]:
    """The rows of the frame behind each pair, in order of time, pair after pair, and where each pair's begin."""
    if co is not None:
        return _of_co(habits, other, np.zeros(len(one), dtype=np.int64), [co])
    reads = habits.first[1:] - habits.first[:-1]
    light = np.where(reads[one] <= reads[other], one, other)
    each, which = np.unique(light, return_inverse=True)
    return _of_co(habits, np.where(light == one, other, one), which.ravel(), [co_reads(habits, p, within) for p in each.tolist()])


def _of_co(habits: Habits, second: Codes, which: Any, found: list[Near]) -> tuple[Any, Any]:
    """As ``_rows``: of each second plate, its co-reads with the plate whose co-reads are ``found[which]``."""
    if not len(second):
        return np.zeros(0, np.uint32), np.zeros(1, np.int64)
    plates_bits = np.uint64(bits(max(habits.many - 1, 0)))
    own, others = (np.concatenate([f[k] for f in found]) for k in (0, 1))
    met = np.repeat(np.arange(len(found), dtype=np.uint64), [len(f[0]) for f in found]) << plates_bits | habits.plate[others]
    order = np.argsort(met, kind="stable")
    met, own, others = met[order], own[order], others[order]
    wanted = np.asarray(which, dtype=np.uint64) << plates_bits | second
    low, high = np.searchsorted(met, wanted), np.searchsorted(met, wanted, side="right")
    many = high - low
    at = np.repeat(low - np.concatenate([[0], np.cumsum(many)[:-1]]), many) + np.arange(int(many.sum()))
    pair = np.repeat(np.arange(len(second)), many)
    pair, read = np.concatenate([pair, pair]), np.concatenate([own[at], others[at]])
    order = np.lexsort((read, habits.at[read], pair))
    pair, read = pair[order], read[order]
    fresh = np.concatenate([[True], (pair[1:] != pair[:-1]) | (read[1:] != read[:-1])])[: len(read)]
    pair, read = pair[fresh], read[fresh]
    return habits.passages.row[read if habits.places is None else habits.places[read]], np.searchsorted(pair, np.arange(len(second) + 1))


def _evidence(habits: Habits, rows: tuple[Any, Any]) -> pl.Series:
    """The ids of the reads behind each pair; their row numbers where reads have none."""
    frame, (which, ends) = habits.passages.frame, rows
    if not len(which):
        return pl.Series("evidence", [[]] * (len(ends) - 1), dtype=pl.List(pl.String))
    ids = frame["read_id"].gather(which).cast(pl.String) if "read_id" in frame.columns else pl.Series(which).cast(pl.String)
    pair = np.repeat(np.arange(len(ends) - 1), np.diff(ends))  # every pair has some
    return pl.DataFrame({"pair": pair, "evidence": ids}).group_by("pair", maintain_order=True).agg("evidence")["evidence"]


def of_plate(made: pl.DataFrame, wanted: str, own: int, rules: Rules, pairs: Pairs, level: float) -> str:
    """The sentence on one plate's companions."""
    read = f"{wanted} was read {several(own, 'time')}"
    if not len(pairs):
        return (f"{read}, and no other plate passed {several(rules.spots, 'spot')} within {rules.within} s of it at least {several(rules.reads, 'time')} "
                f"on {several(rules.days, 'day')}.")
    few = list(zip(made["habitual"].to_list(), made["q"].to_list(), strict=True))  # a query of polars would wake its threads
    found = [i for i, (habitual, q) in enumerate(few) if not habitual and q <= level]
    usual = sum(habitual and q <= level for habitual, q in few)
    but = " but habitual companions" if usual else ""
    apart = f" {several(usual, 'habitual companion')} (car pool, bus, fleet) {'stands' if usual == 1 else 'stand'} apart." if usual else ""
    if not found:
        top = made.row(0, named=True)
        return (f"{read} and no plate{but} travelled with it more than chance: of {several(len(pairs), 'candidate')} the likeliest, {top['other']}, "
                f"passed {several(top['together'], 'spot')} with it where their habits would give {top['expected']:.1f} ({_q(top['q'])}).{apart}")
    top = made.row(found[0], named=True)
    as_many = int((pairs.counts[:, 0] >= top["together"]).sum()) - 1
    return (f"{read}; {top['other']} passed {several(top['together'], 'spot')} with it within {rules.within} s on {several(top['days'], 'day')}, where "
            f"their habits would give {top['expected']:.2g} ({_q(top['q'])}); {several(len(found), 'companion')} found with at most {level:.0%} false. "
            f"{_others(as_many, len(pairs) - 1)}{apart}")


def _others(as_many: int, others: int) -> str:
    if not others:
        return "No other plate passed spots with it often enough to look at."
    return f"Of {several(others, 'other candidate')} {as_many:,} {'has' if as_many == 1 else 'have'} as many co-reads, which says nothing by itself."


def of_all(made: pl.DataFrame, pairs: Pairs, null: Null, level: float) -> str:
    """The sentence on pairs."""
    found = made.filter(~pl.col("habitual") & (pl.col("q") <= level))
    usual = int((made["habitual"] & (made["q"] <= level)).sum())
    apart = f" {several(usual, 'habitual pair')} (car pools, buses, fleets) stand apart." if usual else ""
    base = f"{several(len(pairs), 'pair')} passed spots together often enough to look at; days dealt out anew give {null.mean:,.0f}"
    if found.is_empty():
        but = " but habitual ones" if usual else ""
        return f"No pair of plates{but} travelled together more than chance: {base}, and none stands out at {level:.0%} false.{apart}"
    top = found.row(0, named=True)
    many = int((pairs.counts[:, 0] >= top["together"]).sum()) - 1
    return (f"{several(len(found), 'pair')} travelled together more than their habits would give, at most {level:.0%} of them by chance; first "
            f"{top['plate']} and {top['other']}: {several(top['together'], 'spot')} on {several(top['days'], 'day')} where habits give {top['expected']:.2g} "
            f"({_q(top['q'])}). {base}; {several(many, 'other pair')} {'has' if many == 1 else 'have'} as many co-reads as the first.{apart}")


def _q(q: float) -> str:
    return f"q = {q:.3f}" if q >= 0.001 else "q under 0.001"


def layers(habits: Habits, made: pl.DataFrame, within: int) -> tuple[Layer, ...]:
    """The spots of the first pair's reads, with the times."""
    frame = habits.passages.frame
    if made.is_empty() or "read_id" not in frame.columns:
        return ()
    one, other = (np.array([habits.passages.code(made[c][0])], dtype=np.uint32) for c in ("plate", "other"))
    rows = frame.select("read_id", "plate", "reader", "read_at", "lon", "lat")[_rows(habits, one, other, within, None)[0]]
    lon, lat = positions(rows)
    placed = np.isfinite(lon) & np.isfinite(lat)
    if not placed.any():
        return ()
    rows = rows.filter(pl.Series(placed))
    rows = schema.utc(rows, ["read_at"]).with_columns(pl.col("read_id").cast(pl.String)).sort("read_at", "read_id")
    tips = tuple(f"{a} {b} {c:%Y-%m-%d %H:%M:%S} UTC" for a, b, c in rows.select("plate", "reader", "read_at").iter_rows())
    first, second = made["plate"][0], made["other"][0]
    lon, lat = positions(rows)
    return (Points(f"{first} with {second}", lon, lat, tuple(rows["read_id"]), tips, kind="read"),)

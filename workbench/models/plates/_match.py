"""Reads against a hotlist, batch by batch: which read may be which listed plate, and how likely it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.geo import Floats, Ints, positions
from workbench.models.plates import _search_kernels as loops
from workbench.models.plates._search import Index, filtered, pack
from workbench.models.plates._search_patterns import shape
from workbench.models.plates.misreads import Confusion

#: The confidence of a read that claims none; how often readers tell the state rightly, and chance does; how many plates have a twin of another state.
_CLAIMED, _STATE, _STATE_BY_CHANCE, _TWIN = 0.9, 0.9, 0.5, 0.05
_RAREST = 1e-6  # no plate is less likely to be there than this
COLUMNS: dict[str, Any] = {
    "hit_id": pl.String, "entry_id": pl.String, "plate": pl.String, "region": pl.String, "list_name": pl.String, "reason": pl.String, "read_id": pl.String,
    "read_plate": pl.String, "read_region": pl.String, "reader": pl.String, "read_at": pl.Datetime("us", "UTC"), "kind": pl.String, "state_agrees": pl.Boolean,
    "probability": pl.Float64, "by_chance": pl.Float64, "reads": pl.Int64, "last_at": pl.Datetime("us", "UTC"), "state": pl.String}
KINDS = ("exact", "alternative", "look-alike")


class Entries:
    """A hotlist made ready: entries by plate, and by the shape of their plate."""

    def __init__(self, hotlist: pl.DataFrame, confusion: Confusion) -> None:
        schema.require(hotlist, "entry_id", "plate", "valid_from", what="The hotlist frame")
        extra = [pl.lit(None, dtype=t).alias(c) for c, t in (("region", pl.String), ("list_name", pl.String), ("reason", pl.String),
                 ("valid_to", pl.Datetime("us", "UTC")), ("listed_at", pl.Datetime("us", "UTC"))) if c not in hotlist.columns]
        frame = schema.utc(hotlist.with_columns(extra), ["valid_from", "valid_to", "listed_at"])
        frame = frame.filter(pl.col("plate").is_not_null() & (pl.col("plate") != "") & pl.col("entry_id").is_not_null()).sort("entry_id", "listed_at")
        self.frame = frame.unique("entry_id", keep="last", maintain_order=True).with_columns(region=pl.col("region").str.to_uppercase())
        self.confusion, self.shape = confusion, shape(confusion)
        self.keys = pack(self.frame["plate"])
        table = np.frombuffer(self.shape, dtype=np.uint8).copy()
        shaped = np.empty_like(self.keys)
        loops.mapped(self.keys, table, shaped)
        main = np.flatnonzero(self.keys)
        order = main[np.argsort(shaped[main], kind="stable")]
        self.shaped, self.rows, self.table = shaped[order], order, table
        self.bits, _ = filtered(np.unique(self.shaped))
        self.by_plate = self.frame.select("plate", entry=pl.int_range(pl.len(), dtype=pl.Int64))

    def chances(self, traffic: Index) -> tuple[Floats, Floats]:
        """How many plates of the traffic would have each entry's plate, and a look-alike of it, were they drawn character by character."""
        length = np.array([int(f).bit_length() - 1 for f in range(512)])
        many, out = np.zeros(9), np.zeros((2, len(self.frame)))
        often = np.zeros((9, 8, 36))
        for form in np.flatnonzero(traffic.many):
            many[length[form]] += traffic.many[form]
            often[length[form]] += traffic.many[form] * traffic.share[form]
        often /= np.maximum(many, 1.0)[:, None, None]
        main = np.flatnonzero(self.keys)
        codes = _codes(self.keys[main])
        size = (codes >= 0).sum(axis=1)
        out[:, main] = many[size]
        wide = often @ self.confusion.mates.T.astype(float)  # [length, place, true]: that a character is one that it is read as
        for j in range(8):
            on = np.flatnonzero(codes[:, j] >= 0)
            out[0, main[on]] *= often[size[on], j, codes[on, j]]
            out[1, main[on]] *= wide[size[on], j, codes[on, j]]
        return out[0], out[1] - out[0]


def _codes(keys: Any) -> Ints:
    """Characters as numbers, (n, 8); -1 behind the end."""
    held = keys.astype(">u8").view(np.uint8).reshape(-1, 8).astype(np.int64)
    return np.where(held == 0, -1, np.where(held < 58, held - 48, held - 55))


def density(traffic: Index) -> float:
    """How much of the plates there can be is there: the chance that a plate drawn like those of this traffic is some other vehicle's of it."""
    form = np.flatnonzero(traffic.many)
    if not len(form):
        return 0.02
    many, size = traffic.many[form], np.array([int(f).bit_length() - 1 for f in form])
    same = np.where(np.arange(8) < size[:, None], (traffic.share[form] ** 2).sum(axis=2), 1.0).prod(axis=1)
    return float(np.clip((many * -np.expm1(-(many - 1) * same)).sum() / many.sum(), _RAREST, 1.0))


def _expected(codes: Ints, traffic: Index, own: Any = None, free: int = -1) -> Floats:
    """How many plates of the traffic would be each text (n, 8), were they drawn character by character within their format; ``free``: with any letter, or any
    digit, at that place; ``own``: the text stands in the traffic itself, and does not speak for itself."""
    form = np.ones(len(codes), dtype=np.int64)
    for j in range(8):
        form = np.where(codes[:, j] >= 0, 2 * form + (codes[:, j] >= 10), form)
    less = np.zeros(len(codes)) if own is None else own.astype(float)
    many = traffic.many[form]
    rest = np.maximum(0.0, many - less)
    out = rest.copy()
    for j in range(8):
        on = np.flatnonzero((codes[:, j] >= 0) & (j != free))
        out[on] *= np.maximum(0.0, traffic.share[form[on], j, codes[on, j]] * many[on] - less[on]) / np.maximum(1.0, rest[on])
    return out


def _crowded(codes: Ints, traffic: Index, own: Any = None) -> Floats:
    """The chance that each text (n, 8) is the plate of some vehicle of the traffic."""
    return np.clip(-np.expm1(-_expected(codes, traffic, own)), _RAREST, 1.0)


def crowd(names: pl.Series, traffic: Index, confusion: Confusion) -> tuple[Floats, Floats]:
    """Of each text: the chance that it is itself some vehicle's plate, and that a plate it is a misread of is one (weighted by how characters are read).

    A format that no vehicle has (a digit where all have a letter) is a misread, and of few plates; one that many have is likely to be somebody's.
    """
    keys, back = np.unique(pack(names), return_inverse=True)
    codes = _codes(keys)
    at = np.minimum(np.searchsorted(traffic.sorted, keys), max(0, len(traffic.sorted) - 1))
    own = traffic.sorted[at] == keys if len(traffic.sorted) else np.zeros(len(keys), dtype=bool)
    right = np.diag(confusion.read_as)
    share = confusion.read_as / right[:, None]  # [true, read]
    np.fill_diagonal(share, 0.0)
    usual = density(traffic)
    near, total = np.zeros(len(keys)), np.zeros(len(keys))
    here = _crowded(codes, traffic, own)
    for j in range(8):
        for read in range(36):
            on = np.flatnonzero(codes[:, j] == read)
            if not len(on):
                continue
            alike = np.flatnonzero(confusion.mates[:, read] & (share[:, read] > 0))
            unlike = np.flatnonzero(~confusion.mates[:, read])
            total[on] += share[:, read].sum()
            changed, others = codes[on], np.zeros(len(on))
            for first, room in ((0, 10.0), (10, 26.0)):
                changed[:, j] = first
                others += np.minimum(room, _expected(changed, traffic, free=j))
            for true in alike:
                changed[:, j] = true
                held = _crowded(changed, traffic)
                near[on] += share[true, read] * held
                others -= held
            near[on] += share[unlike, read].mean() * np.clip(others - here[on], 0.0, None)
    near = np.where(total > 0, np.maximum(near / np.maximum(total, 1e-12), _RAREST), usual)
    here = np.where(keys == 0, usual, here)
    return here[back], near[back]


def pairs(reads: pl.DataFrame, listed: Entries, *, alternatives: bool, look_alikes: bool) -> pl.DataFrame:
    """Which read may be which entry: row, entry, kind, weight (of the text being the listed plate's, see ``matched``), in order of row and entry."""
    confidence = reads["confidence"].cast(pl.Float64) if "confidence" in reads.columns else pl.Series([None] * reads.height, dtype=pl.Float64)
    sure = confidence.fill_nan(None).fill_null(_CLAIMED).clip(0.01, 0.999).to_numpy()
    row, entry, exact, share = _looked(reads["plate"], listed, look_alikes)
    weight = np.where(exact, sure[row], (1 - sure[row]) * share)
    found = [pl.DataFrame({"row": row, "entry": entry, "kind": np.where(exact, KINDS[0], KINDS[2]), "weight": weight})]
    if alternatives and "alternatives" in reads.columns:
        found.append(_others(reads, listed, sure))
    kinds = pl.concat([f.cast({"row": pl.Int64, "entry": pl.Int64, "kind": pl.String, "weight": pl.Float64}) for f in found])
    best = kinds.sort("row", "entry", "weight", descending=[False, False, True]).unique(["row", "entry"], keep="first", maintain_order=True)
    return best.with_columns(sure=pl.Series(sure[best["row"].to_numpy()]))


def _looked(names: pl.Series, listed: Entries, look_alikes: bool) -> tuple[Ints, Ints, Any, Floats]:
    """(row, entry, whether the plates are equal, share of the misreads of the row's text that the entry is) by the read's own text."""
    keys = pack(names)
    maybe = np.empty(len(keys), dtype=np.uint8)
    loops.screened(keys, listed.table, listed.bits, maybe)
    rows = np.flatnonzero(maybe)
    shaped = np.empty(len(rows), dtype=np.uint64)
    loops.mapped(keys[rows], listed.table, shaped)
    low, high = np.searchsorted(listed.shaped, shaped, "left"), np.searchsorted(listed.shaped, shaped, "right")
    many = high - low
    row = np.repeat(rows, many)
    spot = np.repeat(low - np.concatenate([[0], np.cumsum(many)[:-1]]) if len(many) else low, many) + np.arange(int(many.sum()))
    entry = listed.rows[spot]
    exact = keys[row] == listed.keys[entry]
    read, true = _codes(keys[row]), _codes(listed.keys[entry])
    share, mates = _share(read, true, listed.confusion)
    keep = exact | (mates & look_alikes)
    side = np.flatnonzero(keys == 0)
    more = pl.DataFrame({"row": side, "plate": names.gather(side)}).join(listed.by_plate, on="plate", how="inner")
    row, entry = np.concatenate([row[keep], more["row"].to_numpy()]), np.concatenate([entry[keep], more["entry"].to_numpy()])
    return row, entry, np.concatenate([exact[keep], np.ones(len(more), dtype=bool)]), np.concatenate([share[keep], np.ones(len(more))])


def _share(read: Ints, true: Ints, confusion: Confusion) -> tuple[Floats, Any]:
    """Of all misreads that give a text, the share of one true plate; whether they differ in look-alikes only. Arrays (n, 8)."""
    on = (read >= 0) & (true >= 0)
    r, t = np.where(on, read, 0), np.where(on, true, 0)
    right = np.diag(confusion.read_as)
    ratio = np.where(on, confusion.read_as[t, r] / right[r], 1.0).prod(axis=1)
    every = (confusion.read_as.sum(axis=0) - right) / right
    total = np.where(on, every[r], 0.0).sum(axis=1)
    mates = (np.where(on, confusion.mates[t, r], (read < 0) & (true < 0))).all(axis=1)
    return np.minimum(1.0, ratio / np.maximum(total, 1e-12)), mates


def _others(reads: pl.DataFrame, listed: Entries, sure: Floats) -> pl.DataFrame:
    """Hits by the other plates that the reader thought possible."""
    claims = "alternative_confidences" in reads.columns
    have = reads.select("alternatives", claim=pl.col("alternative_confidences") if claims else pl.lit(None, dtype=pl.List(pl.Float64)),
                        row=pl.int_range(pl.len(), dtype=pl.Int64)).filter(pl.col("alternatives").list.len() > 0)
    many = pl.col("alternatives").list.len()
    have = have.with_columns(many=many, claim=pl.when(pl.col("claim").list.len() == many).then("claim").otherwise(
        pl.lit(None, dtype=pl.Float64).repeat_by(many))).explode("alternatives", "claim")
    met = have.join(listed.by_plate, left_on="alternatives", right_on="plate", how="inner")
    left = (1 - sure[met["row"].to_numpy()]) / (met["many"].to_numpy() + 1)
    weight = np.where(met["claim"].is_not_null().to_numpy(), met["claim"].fill_null(0.0).clip(0.001, 0.999).to_numpy(), left)
    return met.select("row", "entry", kind=pl.lit(KINDS[1]), weight=pl.Series(weight, dtype=pl.Float64))


def matched(reads: pl.DataFrame, listed: Entries, *, alternatives: bool, look_alikes: bool, prior: float, dense: float | Index,
            asof: datetime | None) -> pl.DataFrame:
    """Reads (columns checked, times UTC) of listed plates inside the entries' time in force, each with the probability that it is the listed plate.

    The weight of the listed plate is confidence x confusion x ``prior`` x state; against it stand a vehicle of this traffic whose plate is what was
    read, or another misread (``dense``: how many of all possible plates are in this traffic; or the traffic, from which that follows text by text).
    """
    found = pairs(reads, listed, alternatives=alternatives, look_alikes=look_alikes)
    wanted = ["read_id", "plate", "reader", "read_at", *(["region"] if "region" in reads.columns else [])]
    left = reads.select(pl.col(wanted).gather(found["row"])).rename({"plate": "read_plate", **({"region": "read_region"} if "region" in wanted else {})})
    left = left if "read_region" in left.columns else left.with_columns(read_region=pl.lit(None, dtype=pl.String))
    right = listed.frame.select(pl.col("entry_id", "plate", "region", "list_name", "reason", "valid_from", "valid_to", "listed_at").gather(found["entry"]))
    both = pl.concat([found, left.with_columns(pl.col("read_region").str.to_uppercase()), right], how="horizontal")
    both = both.filter((pl.col("read_at") >= pl.col("valid_from")) & (pl.col("valid_to").is_null() | (pl.col("read_at") < pl.col("valid_to"))))
    if asof is not None:
        both = both.filter((pl.col("read_at") < asof) & (pl.col("listed_at").is_null() | (pl.col("listed_at") <= asof)))
    agrees = pl.col("region") == pl.col("read_region")
    factor = pl.when(agrees.is_null()).then(1.0).when(agrees).then(_STATE / _STATE_BY_CHANCE).otherwise((1 - _STATE) / (1 - _STATE_BY_CHANCE))
    ours = pl.col("weight") * prior * factor
    if isinstance(dense, Index):
        here, near = crowd(both["read_plate"], dense, listed.confusion)
        own = np.where((both["kind"] == KINDS[2]).to_numpy(), _crowded(_codes(pack(both["plate"])), dense), 0.0)  # the listed plate is no other one
        both = both.with_columns(here=pl.Series(here), near=pl.Series(near), own=pl.Series(own))
    else:
        both = both.with_columns(here=pl.lit(dense), near=pl.lit(dense), own=pl.lit(0.0))
    misread = ((1 - pl.col("sure")) * pl.col("near") - pl.col("weight") * pl.col("own")).clip(lower_bound=_RAREST)
    theirs = misread + pl.col("sure") * pl.col("here") * pl.when(pl.col("kind") == KINDS[0]).then(_TWIN).otherwise(1.0)
    return both.with_columns(state_agrees=agrees, probability=ours / (ours + theirs))


def bursts(found: pl.DataFrame, seen: dict[tuple[str, str], tuple[datetime, str, float, int, datetime]], gap: timedelta) -> pl.DataFrame:
    """One row a pass: reads of an entry by a reader that follow each other within ``gap``; the best read of each. ``seen`` is carried on between batches:
    a pass that goes on is given again, under its own id, only when a better read of it came."""
    order = found.sort("entry_id", "reader", "read_at", "read_id")
    same = (pl.col("entry_id") == pl.col("entry_id").shift()) & (pl.col("reader") == pl.col("reader").shift())
    apart = pl.col("read_at") - pl.col("read_at").shift() > gap
    order = order.with_columns(burst=(~same | apart).fill_null(True).cum_sum())
    best = order.sort("burst", "probability", "read_at", "read_id", descending=[False, True, False, False]).group_by("burst", maintain_order=True).first()
    about = order.group_by("burst", maintain_order=True).agg(
        first_at=pl.col("read_at").first(), last_at=pl.col("read_at").last(), reads=pl.len().cast(pl.Int64), first=pl.col("read_id").first())
    rows = []
    for row in best.join(about, on="burst", maintain_order="left").iter_rows(named=True):
        key = (row["entry_id"], row["reader"])
        held = seen.get(key)
        goes_on = held is not None and row["first_at"] - held[0] <= gap and held[4] - row["last_at"] <= gap
        if held is not None and goes_on:
            last, hit, top, many, first = held
            seen[key] = (max(last, row["last_at"]), hit, max(top, row["probability"]), many + row["reads"], min(first, row["first_at"]))
            if row["probability"] <= top:
                continue
        else:
            hit = f"{row['entry_id']}/{row['first']}"
            new = (row["last_at"], hit, row["probability"], row["reads"], row["first_at"])
            if held is None or row["last_at"] >= held[0]:  # a pass that came late does not take the place of a later one
                seen[key] = new
        carried = seen[key] if goes_on else (row["last_at"], hit, 0.0, row["reads"], row["first_at"])
        rows.append({**row, "hit_id": hit, "reads": carried[3], "last_at": carried[0], "state": "unverified", "by_chance": row.get("by_chance")})
    return pl.DataFrame({c: [r[c] for r in rows] for c in COLUMNS}, schema=COLUMNS)


def asked(reads: pl.DataFrame) -> pl.DataFrame:
    """The reads as ``matched`` takes them; those without plate, reader or time are left out."""
    schema.require(reads, "read_id", "plate", "reader", "read_at", what="The reads frame")
    if reads.schema["plate"] != pl.String:
        raise BadInput(f"Column 'plate' of the reads is {reads.schema['plate']}, not text.")
    texts = [c for c in ("read_id", "reader", "region") if c in reads.columns]
    for column in texts:
        if reads.schema[column].is_nested():
            raise BadInput(f"Column {column!r} of the reads is {reads.schema[column]}, not text.")
    if {"lon", "lat"} <= set(reads.columns):
        positions(reads)
    reads = reads.with_columns(pl.col(texts).cast(pl.String))
    return schema.utc(reads, ["read_at"]).filter(pl.col("plate").is_not_null() & pl.col("reader").is_not_null() & pl.col("read_at").is_not_null())



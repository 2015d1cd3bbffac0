"""Distinct plates made ready to be searched: as numbers, sorted, with a filter that says which are not there; and the four ways through them.

Plates of one to eight characters 0-9 and A-Z are one 64-bit number each. Edits are looked up (every plate that could be meant is tried against the filter,
then found by bisection); wildcards are compared under masks, all plates at once, the most read first. Any other plate (longer, other alphabets) lies
beside them as text and is gone through one by one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.engines import kernels
from workbench.errors import BadInput, whole
from workbench.geo import Floats, Ints
from workbench.models.plates import _search_kernels as loops
from workbench.models.plates import _search_patterns as patterns
from workbench.models.plates.misreads import CHARACTERS, Confusion
from workbench.results import Prepared

Keys = np.ndarray[Any, np.dtype[np.uint64]]
#: Columns by which a search can be narrowed.
NARROWED = ("region", "make", "colour")
_COMBINED = 200_000  # look-alikes tried one by one up to here
_NUMBER = {**{c: i for i, c in enumerate(CHARACTERS)}, "?": -1, "*": -2}
_NONE = np.zeros(0, dtype=np.uint8)


def pack(names: pl.Series) -> Keys:
    """Plates (normal form) as numbers; 0 where they do not fit into one."""
    held = names.fill_null("").cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
    buffers = held.buffers()
    kind = np.int64 if "large" in str(held.type) else np.int32
    first = np.frombuffer(buffers[1], dtype=kind)[held.offset: held.offset + len(held) + 1].astype(np.int64)
    data = np.frombuffer(buffers[2], dtype=np.uint8) if buffers[2] is not None and buffers[2].size else np.zeros(1, dtype=np.uint8)
    out = np.empty(len(names), dtype=np.uint64)
    loops.packed(data, first, out)
    return out


def key(plate: str) -> int:
    """One plate as a number (1 to 8 characters)."""
    return int.from_bytes(plate.encode().ljust(8, b"\0"), "big")


def texts(keys: Keys) -> list[str]:
    """Numbers as plates."""
    return [t.decode() for t in keys.astype(">u8").view("S8").tolist()]


def filtered(keys: Keys) -> tuple[Any, Ints]:
    """A filter of 16 to 32 bits a plate that says which are not there, and where the sorted plates with each first two characters begin."""
    bits = np.zeros(1 << min(24, max(9, len(keys)).bit_length() + 2), dtype=np.uint8)
    bucket = np.zeros(65_537, dtype=np.int64)
    loops.filtered(keys, bits, bucket)
    return bits, bucket


@dataclass(frozen=True)
class Found:
    """What fits: positions (those of side plates behind the others), what speaks for each, how many fit in all and how many chance would give."""

    at: Ints
    weight: Floats
    edits: Ints
    total: int
    chance: float


class Index(Prepared):
    """Distinct plates, the most read first; made by ``workbench.models.plates.search.index``.

    Attributes (P plates of up to eight characters 0-9 and A-Z, Q others):
        keys: u8, shape (P,). reads: i8, shape (P + Q,): how often each was read. others: the Q plates as text.
    """

    maker = "workbench.models.plates.search:index"

    def __init__(self, frame: pl.DataFrame) -> None:
        schema.require(frame, "plate", what="The frame of plates")
        if frame.schema["plate"] != pl.String:
            raise BadInput(f"Column 'plate' is {frame.schema['plate']}, not text; give plates in normal form (workbench.plates.normal).")
        self.frame = frame
        times = _times(frame)
        packed = pack(frame["plate"])
        row = np.flatnonzero(packed)
        order = row[np.argsort(packed[row])]
        listed = packed[order]
        new = np.flatnonzero(np.concatenate([[True], listed[1:] != listed[:-1]])) if len(listed) else np.zeros(0, dtype=np.int64)
        self.sorted: Keys = np.ascontiguousarray(listed[new])
        reads = np.add.reduceat(times[order], new) if len(new) else np.zeros(0, dtype=np.int64)
        often = np.argsort(-reads, kind="stable")
        self.rank = np.empty(len(new), dtype=np.int64)
        self.rank[often] = np.arange(len(new))
        self.keys: Keys = self.sorted[often]
        odd = frame.select("plate", row=pl.int_range(pl.len()), n=pl.Series(times)).filter(
            pl.Series(packed == 0) & pl.col("plate").is_not_null() & (pl.col("plate") != ""))
        side = odd.group_by("plate").agg(pl.col("n").sum()).sort("n", "plate", descending=[True, False])
        self.others = side["plate"]
        self.reads: Ints = np.concatenate([reads[often], side["n"].to_numpy()]).astype(np.int64)
        self._rows = (order, new, odd)
        self._allowed: dict[tuple[str, str], np.ndarray[Any, np.dtype[np.uint8]]] = {}
        self._postings = {c: self._posted(c) for c in NARROWED if c in frame.columns}
        del self._rows
        self.bits, self.bucket = filtered(self.sorted)
        self._habits()

    def __len__(self) -> int:
        return len(self.reads)

    def _posted(self, column: str) -> tuple[dict[str, int], Ints, Ints]:
        """For each value of a column the plates read with it at least once: (number of a value, where its plates begin, plates)."""
        order, new, odd = self._rows
        if self.frame.schema[column].is_nested():
            raise BadInput(f"Column {column!r} is {self.frame.schema[column]}, not text.")
        values = self.frame[column].cast(pl.String).str.strip_chars().str.to_uppercase()
        names = values.drop_nulls().unique().sort()
        code = values.cast(pl.Enum(names)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        plate = np.full(self.frame.height, -1, dtype=np.int64)
        group = np.repeat(np.arange(len(new)), np.diff(np.concatenate([new, [len(order)]])))
        plate[order] = self.rank[group]
        if odd.height:
            number = pl.DataFrame({"plate": self.others, "at": np.arange(len(self.others)) + len(self.keys)})
            at = odd.join(number, on="plate", how="left", maintain_order="left")
            plate[at["row"].to_numpy()] = at["at"].to_numpy()
        known = (code >= 0) & (plate >= 0)
        both = np.unique(code[known] * len(self.reads) + plate[known])
        first = np.searchsorted(both, np.arange(len(names) + 1) * len(self.reads))
        return dict(zip(names.to_list(), range(len(names)), strict=True)), first, both % max(1, len(self.reads))

    def allowed(self, **wanted: str | None) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """1 for the plates that were read with all the wanted values; None = nothing is wanted. The last few are kept."""
        out = None
        for column, value in wanted.items():
            if value is None:
                continue
            if not isinstance(value, str):
                raise BadInput(f"{column}={value!r} is no text.")
            whole(value, column)
            if column not in self._postings:
                raise BadInput(f"{column}={value!r} was asked for, but the plates come without a column {column!r}; index reads that have it, or leave it out.")
            name = str(value).strip().upper()
            held = self._allowed.get((column, name))
            if held is None:
                held = np.zeros(len(self.reads), dtype=np.uint8)
                numbers, first, rows = self._postings[column]
                if name in numbers:
                    held[rows[first[numbers[name]]: first[numbers[name] + 1]]] = 1
                if len(self._allowed) >= 8:
                    self._allowed.pop(next(iter(self._allowed)))
                self._allowed[column, name] = held
            out = held if out is None else out & held
        return out

    def _habits(self) -> None:
        """How many plates have each format, and how often each character stands at each place in it."""
        self.many = np.zeros(512)
        self.share = np.zeros((512, 8, 36))
        bytes_ = self.sorted.astype(">u8").view(np.uint8).reshape(-1, 8)
        form = np.ones(len(bytes_), dtype=np.int64)
        for j in range(8):
            held = bytes_[:, j]
            form = np.where(held > 0, 2 * form + (held >= 65), form)
        self.many += np.bincount(form, minlength=512)[:512] * (np.arange(512) > 1)
        used = np.zeros(256, dtype=bool)
        for j in range(8):
            held = bytes_[:, j]
            count = np.bincount(form * 256 + held, minlength=512 * 256).reshape(512, 256)
            used |= count.sum(axis=0) > 0
            self.share[:, j] = count[:, [ord(c) for c in CHARACTERS]] / np.maximum(1.0, self.many)[:, None]
        self.alphabet = np.flatnonzero(used[1:]).astype(np.uint64) + np.uint64(1)

    @cached_property
    def side(self) -> tuple[Any, Ints]:
        """The other plates as numbers of characters, and where each begins."""
        return coded(self.others.to_list())

    def shaped(self, table: bytes) -> tuple[Keys, Keys]:
        """The plates with look-alikes replaced by one of them, and which characters each then holds; the last kind is kept."""
        if getattr(self, "_shape", None) is None or self._shape[0] != table:
            same = table == bytes(range(256))
            keys = self.keys if same else np.empty_like(self.keys)
            if not same:
                loops.mapped(self.keys, np.frombuffer(table, dtype=np.uint8).copy(), keys)
            held = np.empty_like(keys)
            loops.present(keys, held)
            self._shape: Any = (table, keys, held)
        return self._shape[1], self._shape[2]

    def names(self, at: Ints) -> list[str]:
        """The plates at some positions."""
        side = len(self.keys)
        out = texts(self.keys[np.minimum(at, max(0, side - 1))]) if side else [""] * len(at)
        return [self.others[int(i) - side] if i >= side else t for i, t in zip(at.tolist(), out, strict=True)] if len(self.others) else out


def _times(frame: pl.DataFrame) -> Ints:
    if "reads" not in frame.columns:
        return np.ones(frame.height, dtype=np.int64)
    if not frame.schema["reads"].is_integer() or frame["reads"].null_count() or (frame["reads"] < 0).any():
        raise BadInput("Column 'reads' must say how often each plate was read: whole numbers from 0 on, none missing.")
    return frame["reads"].cast(pl.Int64).to_numpy()


def coded(names: list[str]) -> tuple[Any, Ints]:
    """Texts as numbers of characters (0 to 35 for 0-9 and A-Z, others from 36 on), one behind the other, and where each begins."""
    first = np.concatenate([[0], np.cumsum([len(n) for n in names])]).astype(np.int64)
    points = np.frombuffer("".join(names).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    digit, letter = (points >= 48) & (points <= 57), (points >= 65) & (points <= 90)
    return np.where(digit, points - 48, np.where(letter, points - 55, points + 36)).astype(np.int32), first


def asked(partial: list[str]) -> Any:
    """The characters of what is asked for, as ``coded``, ? as -1, * as -2."""
    return np.array([_NUMBER.get(c, ord(c) + 36) for c in partial], dtype=np.int32)


def weigh(codes: Any, first: Ints, wanted: Any, confusion: Confusion) -> tuple[Floats, Ints, Any]:
    """(cost, edits, whether only look-alikes differ) of plates given as ``coded``."""
    n = len(first) - 1
    weight, edits, same = np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=bool)
    longest = int(np.diff(first).max(initial=0))
    missed, added = -np.log(confusion.missed), -np.log(confusion.added)
    loops.weighed(codes, first, wanted, confusion.costs, confusion.mates, missed, added, np.empty((6, longest + 1)), weight, edits, same)
    return weight, edits, same


def weigh_keys(keys: Keys, wanted: Any, confusion: Confusion) -> tuple[Floats, Ints, Any]:
    """The same of plates given as numbers."""
    codes, first = np.empty(8 * len(keys), dtype=np.int32), np.empty(len(keys) + 1, dtype=np.int64)
    loops.unpacked(np.ascontiguousarray(keys), codes, first)
    return weigh(codes, first, wanted, confusion)


def find(held: Index, partial: list[str], *, edits: int, confusion: Confusion, alike: bool, allowed: Any, most: int) -> Found:
    """The likeliest ``most`` plates; every argument checked already. ``partial``: characters, ? and *."""
    wanted = asked(partial)
    known = [c for c in partial if c not in "?*"]
    wild, plain = len(known) < len(partial), all(c in CHARACTERS for c in known)
    if edits and (wild or not plain):
        at, weight, count, chance = *_every(held, wanted, edits, alike, confusion), float("nan")
    elif wild or not plain:
        return _patterned(held, partial, wanted, alike, confusion, allowed, most)
    else:
        rows, chance = _looked_up(held, "".join(partial), edits, alike, confusion)
        weight, count, _ = weigh_keys(held.keys[rows], wanted, confusion)
        at, weight, count = _with_side(held, rows, weight, count, wanted, edits, alike, confusion)
    if allowed is not None:
        keep = allowed[at].astype(bool)
        at, weight, count, chance = at[keep], weight[keep], count[keep], chance * float(allowed.mean())
    return _best(held, at, weight, count, len(at), chance, most)


def _best(held: Index, at: Ints, weight: Floats, edits: Ints, total: int, chance: float, most: int) -> Found:
    order = np.lexsort((at, -held.reads[at], weight))[:most]
    return Found(at[order], weight[order], edits[order], total, chance)


def _with_side(held: Index, at: Ints, weight: Floats, count: Ints, wanted: Any, edits: int, alike: bool, confusion: Confusion) -> tuple[Ints, Floats, Ints]:
    if not len(held.others):
        return at, weight, count
    more, distance, same = weigh(*held.side, wanted, confusion)
    keep = np.flatnonzero((distance <= edits) | (same & alike))
    return np.concatenate([at, keep + len(held.keys)]), np.concatenate([weight, more[keep]]), np.concatenate([count, distance[keep]])


def _looked_up(held: Index, plate: str, edits: int, alike: bool, confusion: Confusion) -> tuple[Ints, float]:
    """Positions of the plates within some edits of one, and how many chance would give."""
    chance = np.zeros(1)
    words, left = {plate}, edits
    while len(next(iter(words), "")) > 8 and left:
        words = {w[:i] + w[i + 1:] for w in words for i in range(len(w))}
        left -= 1
    parts = [_tried(held, w, left, chance) for w in sorted(words) if len(w) <= 8]
    if alike and len(plate) <= 8:
        parts.append(_alike(held, plate, confusion, chance))
    found = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return held.rank[np.unique(found)], float(chance[0])


def _tried(held: Index, word: str, edits: int, chance: Floats) -> Ints:
    room, before = 512 if edits < 2 else 65_536, float(chance[0])
    while True:
        out = np.empty(room, dtype=np.int64)
        n = loops.near(held.sorted, held.bits, held.bucket, held.alphabet, key(word), len(word), edits, held.many, held.share, chance, out)
        if n <= room:
            return out[:n]
        room, chance[0] = n, before


def _alike(held: Index, plate: str, confusion: Confusion, chance: Floats) -> Ints:
    """Places (among the sorted) of the plates that differ from one in look-alikes only."""
    options = [np.flatnonzero(confusion.mates[CHARACTERS.index(c)]) for c in plate]
    ways = int(np.prod([len(o) for o in options], dtype=float))
    if ways > _COMBINED:
        found = _scanned(held, list(plate), True, confusion, None, 1 << 40)[0]
        where = np.searchsorted(held.sorted, held.keys[found])
        return where.astype(np.int64)
    flat = np.array([ord(CHARACTERS[i]) for o in options for i in o], dtype=np.uint64)
    first = np.concatenate([[0], np.cumsum([len(o) for o in options])]).astype(np.int64)
    out = np.empty(ways, dtype=np.int64)
    n = loops.alike(held.sorted, held.bits, held.bucket, flat, first, np.zeros(len(plate), dtype=np.int64), held.many, held.share, chance, out)
    return out[:n]


def _patterned(held: Index, partial: list[str], wanted: Any, alike: bool, confusion: Confusion, allowed: Any, most: int) -> Found:
    """Wildcards: without look-alikes all that fit are equally likely, and the most read come first anyhow."""
    at, total, chance = _scanned(held, partial, alike, confusion, allowed, 1 << 40 if alike else most)
    weight, count, _ = weigh_keys(held.keys[at], wanted, confusion)
    if not alike:
        weight[:] = 0.0
    if len(held.others):
        more, distance, same = weigh(*held.side, wanted, confusion)
        ok = same if alike else distance == 0
        if allowed is not None:
            ok = ok & allowed[len(held.keys):].astype(bool)
        keep = np.flatnonzero(ok)
        total += len(keep)
        at, count = np.concatenate([at, keep + len(held.keys)]), np.concatenate([count, distance[keep]])
        weight = np.concatenate([weight, more[keep] if alike else np.zeros(len(keep))])
    return _best(held, at, weight, count, total, chance, most)


def _scanned(held: Index, partial: list[str], alike: bool, confusion: Confusion, allowed: Any, most: int) -> tuple[Ints, int, float]:
    """Positions of the plates (of up to eight characters) that fit a pattern, the most read first; how many there are; how many chance would give."""
    known = [c for c in partial if c not in "?*"]
    literal = [c for c in partial if c != "*"]
    if len(literal) > 8 or any(c not in CHARACTERS for c in known):
        return np.zeros(0, dtype=np.int64), 0, 0.0
    table, star = patterns.automaton(partial, alike, confusion)
    shape = patterns.shape(confusion) if alike else bytes(range(256))
    plain = [chr(shape[ord(c)]) if c != "?" and c != "*" else c for c in partial]
    ways = patterns.laid(plain)
    looked = held.keys if not alike else held.shaped(shape)[0]
    if not ways:
        looked = held.shaped(shape)[1]
        need = 0
        for c in plain:
            need |= 0 if c in "?*" else 1 << (ord(c) & 63)
        ways = [(need, need)]
    contained = not alike and [c == "*" for c in partial] == [True, False, True]  # that it is held at all says it
    verify = int(alike or (looked is not held.keys and not contained) or literal[-1] == "?")  # a ? at the end is also nothing to a mask
    masks, values = (np.array([w[k] for w in ways], dtype=np.uint64) for k in (0, 1))
    end, size = len(literal), len(held.keys)
    ok = _NONE if allowed is None else allowed

    def part(bounds: tuple[int, int]) -> tuple[Ints, int]:
        out = np.empty(min(most, bounds[1] - bounds[0]), dtype=np.int64)
        n = loops.scan(looked, held.keys, masks, values, table, star, end, verify, ok, np.empty(512, dtype=np.uint64),
                       np.empty(513, dtype=np.uint64), *bounds, out)
        return out[:n], n

    cuts = [0, size // 2 // 512 * 512, size] if size > 200_000 else [0, size]
    parts = kernels.each(part, list(itertools.pairwise(cuts)))
    chance = loops.usual(held.many, held.share, table, star, end, np.zeros(1 << (end + 1)), np.zeros(1 << (end + 1)))
    return np.concatenate([p[0] for p in parts])[:most], sum(p[1] for p in parts), float(chance) * (float(ok.mean()) if ok.size else 1.0)


def _every(held: Index, wanted: Any, edits: int, alike: bool, confusion: Confusion) -> tuple[Ints, Floats, Ints]:
    """Edits of a pattern, or of other alphabets: every plate is gone through."""
    def part(start: int) -> tuple[Ints, Floats, Ints]:
        weight, count, same = weigh_keys(held.keys[start: start + 500_000], wanted, confusion)
        keep = np.flatnonzero((count <= edits) | (same & alike))
        return keep + start, weight[keep], count[keep]

    parts = kernels.each(part, range(0, len(held.keys), 500_000))
    at, weight, count = (np.concatenate([p[k] for p in parts]) if parts else np.zeros(0, dtype=np.int64 if k != 1 else float) for k in range(3))
    return _with_side(held, at, weight, count, wanted, edits, alike, confusion)

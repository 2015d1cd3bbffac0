"""Co-travel in numbers: pairs that pass spots together, what their habits alone would give, and how often days dealt out anew do as well.

Chance. A plate's habits are its reads by spot and second of the day. Were its days independent of another plate's, a co-read would come up wherever
the habits of one day of the first meet those of another day of the second; such co-passings within ``wide`` seconds are counted over all pairs of different
days of one kind (working days, weekends) and scaled to ``within``: the pair's own expectation. To it is added what any two plates so often read
would give, since habits of few reads are known badly. Co-reads come in runs (one trip passes several readers), so the count is taken as geometric about its
expectation e, P(N >= n) = (e / (1 + e))^n, and its score is -log of that.

The score is not taken at its word: every plate's days are dealt out anew, independently, and the whole search is made again on that city, where nobody travels
together. p is the share of its candidates with so high a score, at the upper end of its error: all its high scores are found (the
expectation of others need not be counted to the end), and beyond the highest an exponential tail is fitted (T. A. Knijnenburg et al.,
*Fewer permutations, more accurate P-values*, Bioinformatics 25 (2009) i161, doi:10.1093/bioinformatics/btp211). A day begins in the quietest hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from workbench.engines.kernels import each
from workbench.models.plates import _convoy_kernels as kernels
from workbench.models.plates import _laid_kernels as loops
from workbench.models.plates._passages import Codes, Ints, Passages, bits, firsts, in_parts, ordered

Floats = np.ndarray[Any, np.dtype[np.float64]]
_TOD = kernels.TOD
_CHUNK = 20_000  # pairs whose expectation one thread takes at a time
_SAMPLE = 50_000  # candidates of a city dealt out anew that are scored in any case
_HIGH = 0.002  # share of the highest scores of such a city that are all found
_ENOUGH = 10_000  # candidates after which no more cities are dealt out
_MOST = 20  # cities dealt out at most
_STUB = 0.1  # of the reads of the middle day, under which a day is a stub
_TAIL = 250  # highest scores to which the tail is fitted
_SEEN = 25  # of them, beyond which it is fitted and not counted


@dataclass(frozen=True)
class Rules:
    """What counts: seconds between two reads of one pass, seconds within which habits meet, and the least co-reads, spots and days of a candidate."""

    within: int
    wide: int
    reads: int
    spots: int
    days: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Candidates: plate numbers (low < high), shape (n,), and counts (together, spots, days, co-reads), i4, shape (n, 4); ``events`` co-reads in all."""

    low: Codes
    high: Codes
    counts: Any
    events: int

    def __len__(self) -> int:
        return len(self.low)


@dataclass(frozen=True, eq=False)
class Null:
    """Scores of candidates of cities in which every plate's days were dealt out anew.

    Attributes:
        scores: rising, shape (n,): all the high ones, and a sample of the others.
        above: how many candidates of these cities score as high or higher, shape (n + 1,), the last 0.
        cities, mean: how many such cities, and candidates in each on average.
    """

    scores: Floats
    above: Floats
    cities: int
    mean: float

    @classmethod
    def of(cls, scores: Floats, weights: Floats, cities: int) -> Null:
        """From scores in any order, each standing for ``weights`` candidates."""
        order = np.argsort(scores, kind="stable")
        above = np.concatenate([np.cumsum(weights[order][::-1])[::-1], [0.0]])
        return cls(scores[order], above, cities, float(above[0]) / cities)

    def p(self, score: Floats) -> Floats:
        """The chance of so high a score for a candidate, at the upper end of its error.

        Where ``_SEEN`` candidates or more reach the score, they are counted (and 1.645 standard errors added); beyond, the tail falls exponentially from
        there, its mean taken from the ``_TAIL`` highest, at the upper end of its error too.
        """
        n, total = len(self.scores), max(float(self.above[0]), float(self.cities))
        out = _upper(self.above[np.searchsorted(self.scores, score, side="left")]) / total
        k = min(_TAIL, n // 20)
        if k >= 10:
            level = float(self.scores[n - min(k, _SEEN)])
            excess = float(np.mean(self.scores[n - k :] - self.scores[n - k - 1])) * (1 + 1.645 / np.sqrt(k))
            far = score > level
            if excess > 0:
                out[far] = _upper(self.above[n - min(k, _SEEN)]) / total * np.exp(-(score[far] - level) / excess)
        out = np.maximum(out, 1e-300)
        return np.minimum(out, 1.0)


def _upper(count: Any) -> Any:
    """A count of independent cases at the upper end of its error."""
    return count + 1 + 1.645 * np.sqrt(count)


class Habits:
    """Reads before a moment laid out to ask who travels with whom; see the head of this file.

    Attributes (n reads, P plates, D days):
        plate, spot, at, day: the reads in order of (spot, second, plate), u4, u4, i8, u2, shape (n,); ``places`` their positions in the Passages.
        first, key, of: by plate: ``key[first[p]:first[p + 1]]`` are its (spot << 17) + second of the day, rising, i8; ``of`` their days, u2.
        kind, weight: of each day, whether it is a weekend, and 1 / (days of its kind - 1), shape (D,).
    """

    def __init__(self, passages: Passages, before: int | None) -> None:
        self.passages, self.many = passages, len(passages.plates)
        use = None if before is None else np.flatnonzero(passages.at < before)
        self.places = None if use is None or len(use) == len(passages) else use
        self.plate, self.spot, self.at = passages.plate, passages.spot, passages.at
        if self.places is not None:
            self.plate, self.spot, self.at = passages.plate[self.places], passages.spot[self.places], passages.at[self.places]
        self.spots = int(self.spot[-1]) + 1 if len(self.spot) else 0
        self.quiet, dates, self.day = self._dated()
        self.days = len(dates)
        self.kind, self.weight, self.listed, self.kinds = _kinds(dates)
        self.first = firsts(self.plate, self.many)
        self.nulls: dict[tuple[Rules, int], tuple[Null, float]] = {}

    def __len__(self) -> int:
        return len(self.at)

    def _dated(self) -> tuple[int, Ints, Any]:
        """The quietest hour, the dates (days since 1970, from that hour on), and the number of each read's."""
        n, day = len(self), np.zeros(len(self), dtype=np.uint16)
        if not n:
            return 0, np.zeros(0, np.int64), day
        ahead, quarter = self.passages.ahead
        clock = np.zeros(24, dtype=np.int64)
        loops.hours(self.at, ahead, quarter, 0, n, clock)
        quiet = int(np.argmin(clock))
        low = (int(self.at.min()) - 90_000) // 86_400 - 1
        many = np.zeros((int(self.at.max()) + 90_000) // 86_400 - low + 2, dtype=np.int64)
        loops.dates(self.at, ahead, quarter, quiet * 3600, low, 0, n, many)
        dates, number = _numbered(many)
        in_parts(n, lambda a, b: loops.days(self.at, ahead, quarter, quiet * 3600, low, number, a, b, day))
        return quiet, dates + low, day

    @cached_property
    def _by_plate(self) -> tuple[Ints, Any]:
        n, (ahead, quarter), shift = len(self), self.passages.ahead, self.quiet * 3600
        spot_bits, day_bits = bits(max(self.spots - 1, 0)), bits(max(self.days - 1, 0))
        if bits(self.many) + spot_bits + _TOD + day_bits > 64:
            second = (self.at + ahead[self.at // 900 - quarter] - shift) % 86400
            order = np.lexsort((self.day, second, self.spot, self.plate))
            return ((self.spot.astype(np.int64) << _TOD) | second)[order], self.day[order]
        keys, of = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint16)
        in_parts(n, lambda a, b: loops.by_habit(self.plate, self.spot, self.at, self.day, ahead, quarter, shift, spot_bits, day_bits, a, b, keys))
        keys.sort()
        in_parts(n, lambda a, b: loops.taken_apart(keys, day_bits, spot_bits + _TOD, a, b, of))
        return keys.view(np.int64), of

    @property
    def key(self) -> Ints:
        """(spot << 17) + second of the day, see above. Made at the first asking, O(n log n)."""
        return self._by_plate[0]

    @property
    def of(self) -> Any:
        """Days of ``key``."""
        return self._by_plate[1]

    @cached_property
    def by_plate(self) -> Codes:
        """Positions of the reads, plate by plate (from ``first``), in order of time."""
        return self.passages.by_plate[1] if self.places is None else ordered(self.plate, self.at, None)

    def of_plate(self, p: int) -> Codes:
        """Positions of a plate's reads in order of time."""
        return self.by_plate[self.first[p] : self.first[p + 1]]

    def candidates(self, rules: Rules, *, threads: int | None = None) -> Pairs:
        """All pairs with enough co-reads, spots and days. O(co-reads log co-reads), in parts of a few hundred MB."""
        return searched(self.plate, self.spot, self.at, self.day, rules, self.many, self.spots, self.days, threads)

    def events(self, rules: Rules) -> int:
        """How many co-reads there are. O(co-reads)."""
        return int(kernels.counted(self.plate, self.spot, self.at, rules.within, 0, len(self), np.zeros(self.many, dtype=np.int64)))

    def expected(self, low: Codes, high: Codes, rules: Rules, *, days: Any = None, most: Any = None, threads: int | None = None) -> Floats:
        """Co-reads that the habits of each pair would give were its days independent (``days``: other days of the reads). O(reads of both) a pair.

        ``most``: of each pair, beyond which it need not be known; what comes back is then more than that.
        """
        out = np.zeros(len(low))
        of = self.of if days is None else days
        stop = np.full(len(low), np.inf) if most is None else most * (rules.wide / rules.within)

        def some(start: int) -> None:
            kernels.expected(low, high, self.first, self.key, of, self.kind, self.weight, rules.wide, start, min(start + chunk, len(low)), stop, out)

        chunk = min(_CHUNK, max(500, -(-len(low) // 4)))
        each(some, range(0, len(low), chunk), threads=threads)
        out *= rules.within / rules.wide
        return out

    def score(self, pairs: Pairs, expected: Floats, rate: float) -> Floats:
        """-log of the chance of so many co-reads, see the head of this file; ``rate`` as of ``base``."""
        low, high = ((self.first[x.astype(np.int64) + 1] - self.first[x]).astype(float) for x in (pairs.low, pairs.high))
        e = expected + rate * low * high
        out: Floats = pairs.counts[:, 0] * np.log1p(1.0 / np.maximum(e, 1e-12))
        return out

    def base(self, events: int) -> float:
        """Co-reads among any two reads of different plates."""
        reads = np.diff(self.first).astype(float)
        return float(2 * events / max(1.0, reads.sum() ** 2 - np.square(reads).sum()))

    def dealt(self, rules: Rules, seed: int, *, threads: int | None = None) -> tuple[Pairs, Any]:
        """The candidates of a city in which each plate's days are dealt out anew, and the days of the reads by plate."""
        plate, spot, at, day, new = self._deal(seed, threads)
        return searched(plate, spot, at, day, rules, self.many, self.spots, self.days, threads), new

    def _deal(self, seed: int, threads: int | None) -> tuple[Codes, Codes, Ints, Any, Any]:
        """Plate, spot, second and day of the reads in their new order, and the days by plate."""
        n, (key, of) = len(self), self._by_plate
        at_bits, plate_bits = bits(max(self.days - 1, 0)) + _TOD, bits(max(self.many - 1, 0))
        new, packed = np.empty_like(of), np.empty(n, dtype=np.uint64)
        cuts = np.searchsorted(self.first, np.linspace(0, n, 5)).clip(0, self.many).tolist()
        each(lambda part: kernels.shuffled(self.first, of, key, self.listed, self.kinds, seed, at_bits, plate_bits, *part, new, np.empty_like(self.listed),
                                           packed), list(pairwise([0, *cuts[1:-1], self.many])), threads=threads)
        packed.sort()
        plate, spot, at, day = np.empty(n, np.uint32), np.empty(n, np.uint32), packed.view(np.int64), np.empty(n, np.uint16)
        in_parts(n, lambda a, b: kernels.apart(packed, at_bits, plate_bits, a, b, plate, spot, at, day))
        return plate, spot, at, day, new

    def null(self, rules: Rules, seed: int, *, threads: int | None = None) -> Null:
        """What scores candidates reach where nobody travels together; made once for each setting and kept with the reads."""
        found: list[Floats] = []
        weights: list[Floats] = []
        total, cities, floor = 0, 0, np.inf
        while total < _ENOUGH and cities < _MOST:
            cities += 1
            pairs, days = self.dealt(rules, (seed << 16) + cities, threads=threads)
            total += len(pairs)
            if len(pairs):
                scores, weight, floor = self._screened(pairs, days, rules, floor, threads)
                found.append(scores)
                weights.append(weight)
        if not found:
            return Null(np.zeros(0), np.zeros(1), cities, 0.0)
        return Null.of(np.concatenate(found), np.concatenate(weights), cities)

    def _screened(self, pairs: Pairs, days: Any, rules: Rules, floor: float, threads: int | None) -> tuple[Floats, Floats, float]:
        """Scores of a city's candidates, of how many each stands, and the score from which all are there; below it, where there are many, a sample."""
        rate, step, n = self.base(pairs.events), -(-len(pairs) // _SAMPLE), len(pairs)
        some = np.arange(0, n, step)
        scores = np.full(n, -np.inf)
        scores[some] = self._scores_of(pairs, some, days, rules, rate, threads)
        if step == 1:
            return scores, np.ones(n), floor
        if not np.isfinite(floor):
            floor = float(np.quantile(scores[some], 1 - _HIGH))
        reads = np.diff(self.first).astype(float)
        most = 1.0 / np.expm1(floor / pairs.counts[:, 0]) - rate * reads[pairs.low] * reads[pairs.high]  # of higher expectation no score is high
        may = most >= 0
        may[some] = False
        high = np.flatnonzero(may)
        scores[high] = self._scores_of(pairs, high, days, rules, rate, threads, most[high])
        low = some[scores[some] < floor]
        top = np.flatnonzero(scores >= floor)
        weight = np.concatenate([np.full(len(low), (n - len(top)) / max(1, len(low))), np.ones(len(top))])
        return np.concatenate([scores[low], scores[top]]), weight, floor

    def _scores_of(self, pairs: Pairs, which: Ints, days: Any, rules: Rules, rate: float, threads: int | None,
                   most: Any = None) -> Floats:
        some = Pairs(pairs.low[which], pairs.high[which], pairs.counts[which], pairs.events)
        return self.score(some, self.expected(some.low, some.high, rules, days=days, most=most, threads=threads), rate)


def _numbered(many: Ints) -> tuple[Ints, Any]:
    """The dates with reads, and the number of each date; a stub of a day (trips that end after it) is taken to the day before."""
    whole = many >= max(1.0, _STUB * float(np.median(many[many > 0])))
    return np.flatnonzero(whole), np.maximum(np.cumsum(whole) - 1, 0).astype(np.uint16)


def _kinds(dates: Ints) -> tuple[Any, Floats, Any, Ints]:
    """Weekend or not of each day (all alike where either has under four), 1 / (days of its kind - 1), the days by kind, where each kind begins."""
    kind = ((dates + 3) % 7 >= 5).astype(np.uint8)
    if min(int(kind.sum()), len(kind) - int(kind.sum())) < 4:
        kind[:] = 0
    many = np.bincount(kind, minlength=2)
    weight = 1.0 / np.maximum(many - 1, 1)
    listed = np.argsort(kind, kind="stable").astype(np.uint16)
    return kind, weight[kind], listed, np.concatenate([[0], np.cumsum(many)]).astype(np.int64)


def searched(plate: Codes, spot: Codes, at: Ints, day: Any, rules: Rules, many: int, spots: int, days: int, threads: int | None) -> Pairs:
    """Candidates among reads in order of (spot, second), see ``Habits.candidates``."""
    n, lows = len(plate), []
    edges = np.linspace(0, n, 5).astype(np.int64)

    def count(k: int) -> int:
        lows.append(np.zeros(many, dtype=np.int64))
        return int(kernels.counted(plate, spot, at, rules.within, int(edges[k]), int(edges[k + 1]), lows[-1]))

    events = sum(each(count, range(4), threads=threads))
    low = np.sum(lows, axis=0)
    plate_bits, spot_bits, day_bits = bits(max(many - 1, 0)), bits(max(spots - 1, 0)), bits(max(days - 1, 0))
    room = 64 - plate_bits - spot_bits - day_bits
    parts = _parts(low, min(16_000_000, max(4_000_000, events // 12)), 1 << min(room, 40))

    def one(part: tuple[int, int, int]) -> Pairs:
        first, last, size = part
        keys = np.empty(size, dtype=np.uint64)
        kernels.filled(plate, spot, at, day, rules.within, first, last, plate_bits, spot_bits, day_bits, keys)
        keys.sort()
        most = size // rules.reads + 1
        a, b, counts = np.empty(most, np.uint32), np.empty(most, np.uint32), np.empty((most, 4), np.int32)
        m = kernels.runs(keys, plate_bits, spot_bits, day_bits, first, rules.reads, rules.spots, rules.days, np.zeros(max(days, 1), np.int32), a, b, counts)
        return Pairs(a[:m].copy(), b[:m].copy(), counts[:m].copy(), size)

    found = each(one, parts, threads=threads)
    if not found:
        return Pairs(np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros((0, 4), np.int32), events)
    return Pairs(np.concatenate([f.low for f in found]), np.concatenate([f.high for f in found]), np.concatenate([f.counts for f in found]), events)


def _parts(low: Ints, most: int, wide: int) -> list[tuple[int, int, int]]:
    """Ranges of plates with about so many co-reads each and no wider than the packed numbers hold: first, one past the last, co-reads."""
    ends = np.cumsum(low)
    parts, first, done = [], 0, 0
    while first < len(low) and done < (int(ends[-1]) if len(ends) else 0):
        last = min(max(int(np.searchsorted(ends, done + most, side="right")), first + 1), first + wide, len(low))
        if int(ends[last - 1]) > done:
            parts.append((first, last, int(ends[last - 1]) - done))
        first, done = last, int(ends[last - 1])
    return parts


def discoveries(p: Floats) -> Floats:
    """q of each p by Benjamini and Hochberg (1995): the share of false ones among all with p as small."""
    order = np.argsort(p, kind="stable")
    q = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty(len(p))
    out[order] = np.minimum.accumulate(q[::-1])[::-1].clip(0, 1) if len(p) else q
    return out

"""Has a stream of counts begun to run above (or below) what was expected, as soon as that can be said?

Two detectors that are fed one count after the other, each beside what was expected of it:

* ``e``: a Shiryaev-Roberts e-detector (J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
  New England Journal of Statistics in Data Science 2, 2024, 229-260, doi:10.51387/23-NEJSDS51). Whatever the expectations are, as long as they are
  right, alarms are at least ``run_length`` counts apart on average: that is a theorem, and it holds for counts of any law whose mean, given what
  came before, does not pass the expected one and that vary no more than Poisson (or than the dispersion given).
* ``bocpd``: Bayesian online changepoint detection (R. P. Adams and D. J. C. MacKay, 2007, arXiv:0710.3742) of the ratio of counts to expectations,
  gamma-Poisson, that also says how likely a change is and how large. How often it alarms falsely is found by simulation and stated.
``Detector`` holds the state, a few numbers that can be kept as JSON; ``watch`` runs a whole series.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats
from workbench.models.patterns._hours import spaced
from workbench.models.wording import several
from workbench.results import Basis, Result, origin_of, recorded, table_of
from workbench.schema import require

METHODS = ("e", "bocpd")
SIDES = ("more", "fewer", "both")
#: Ratios of the true rate to the expected one that are looked for, with equal weight on each.
MORE = (1.25, 1.5, 2.0, 3.0, 5.0)
FEWER = (0.8, 0.6, 0.4, 0.2)
_LONGEST = 200  # run lengths that bocpd keeps apart
_PRIOR = 6.0  # of bocpd: a new level lies about the expected one as if 6 had been expected and 6 counted
_STATE = 1  # form of the state as JSON


@dataclass(frozen=True)
class Step:
    """What one count says: ``evidence`` (alarm at ``Detector.threshold``), ``alarm``, and ``since``: how many counts ago the change seems to have begun."""

    evidence: float
    alarm: bool
    since: int


@dataclass
class Detector:
    """An e-detector that is fed one count after the other; O(ratios) time and memory for each, however long it runs.

    Args:
        run_length: counts between false alarms on average, at least (1 / alpha).
        side: "more", "fewer" or "both": which changes are looked for.
        dispersion: how much counts vary about their expectation beyond chance: variance ``m + dispersion * m**2``; 0 = Poisson.
        restart: begin anew after an alarm; without, the alarm stays.

    The evidence is the mean of Shiryaev-Roberts statistics ``M = L (1 + M)`` over likelihood ratios L of ``MORE`` and ``FEWER``; without a change its
    mean is at most the number of counts seen, so that it reaches ``run_length`` after that many counts or later on average.

    Raises:
        BadInput: a run_length not above 1, an unknown side, a negative dispersion.
    """

    run_length: float = 1000.0
    side: str = "more"
    dispersion: float = 0.0
    restart: bool = True
    seen: int = 0
    evidence: list[float] = field(default_factory=list)
    cusum: list[float] = field(default_factory=list)
    began: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not _number(self.run_length) or self.run_length <= 1:
            raise BadInput(f"run_length={self.run_length!r} does not do; give how many counts are to lie between false alarms, e.g. 1000.")
        if self.side not in SIDES:
            raise BadInput(f"side={self.side!r} does not do; write one of {', '.join(SIDES)}.{did_you_mean(str(self.side), SIDES)}")
        if not _number(self.dispersion) or self.dispersion < 0:
            raise BadInput(f"dispersion={self.dispersion!r} does not do; give 0 (Poisson) or more.")
        if not self.evidence:
            self._anew()

    @property
    def threshold(self) -> float:
        """The evidence at which it alarms."""
        return math.log(self.run_length)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ratios of the true rate to the expected one that are looked for."""
        return {"more": MORE, "fewer": FEWER, "both": MORE + FEWER}[self.side]

    def update(self, count: int, expected: float) -> Step:
        """Take one count in and say what it all says now. ``evidence`` is the logarithm of the statistic; -inf before anything has been seen.

        Raises:
            BadInput: a count that is negative or not whole, an expectation not above 0.
        """
        _check(count, expected)
        self.seen += 1
        for i, ratio in enumerate(self.ratios):
            gain = _log_ratio(count, expected, ratio, self.dispersion)
            self.evidence[i] = gain + _log_one_more(self.evidence[i])
            if self.cusum[i] <= 0:
                self.cusum[i], self.began[i] = 0.0, self.seen
            self.cusum[i] += gain
        top = max(self.evidence)
        level = top + math.log(sum(math.exp(v - top) for v in self.evidence) / len(self.evidence))
        best = max(range(len(self.cusum)), key=lambda i: (self.cusum[i], -i))
        since = self.seen - self.began[best] + 1 if self.cusum[best] > 0 else 0
        alarm = level >= self.threshold
        if alarm and self.restart:
            self._anew()
        return Step(level, alarm, since)

    def to_json(self) -> str:
        """Everything it knows, as JSON; ``from_json`` goes on from it with the same bits."""
        return json.dumps({"form": _STATE, "run_length": self.run_length, "side": self.side, "dispersion": self.dispersion, "restart": self.restart,
                           "seen": self.seen, "evidence": [None if v == -math.inf else v for v in self.evidence], "cusum": self.cusum, "began": self.began})

    @classmethod
    def from_json(cls, text: str) -> Detector:
        """The detector that ``to_json`` wrote.

        Raises:
            BadInput: it is none.
        """
        try:
            said = json.loads(text)
            if said.pop("form") != _STATE:
                raise ValueError("another form")
            said["evidence"] = [-math.inf if v is None else float(v) for v in said["evidence"]]
            made = cls(**said)
            if not len(made.evidence) == len(made.cusum) == len(made.began) == len(made.ratios):
                raise ValueError("of unlike lengths")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(f"This is not the state of a detector: {type(error).__name__}: {error}.") from None
        return made

    def _anew(self) -> None:
        many = len(self.ratios)
        self.evidence, self.cusum, self.began = [-math.inf] * many, [0.0] * many, [self.seen + 1] * many


@dataclass
class Bayesian:
    """Bayesian online changepoint detection; O(200) time and memory for each count.

    Args:
        mean_run: counts between changes that are expected beforehand (1 / hazard).
        recent: a change is one that began at most so many counts ago.
        side: "more", "fewer" or "both".
        sure: probability of such a change at which it alarms.
        ratio: so far must the rate lie from the expected one at least: 1.25 = a quarter more, or a fifth fewer.

    Raises:
        BadInput: a value that does not do.
    """

    mean_run: float = 500.0
    recent: int = 24
    side: str = "more"
    sure: float = 0.9
    ratio: float = 1.25
    chances: list[float] = field(default_factory=lambda: [1.0])
    counted: list[float] = field(default_factory=lambda: [_PRIOR])
    wanted: list[float] = field(default_factory=lambda: [_PRIOR])

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise BadInput(f"side={self.side!r} does not do; write one of {', '.join(SIDES)}.{did_you_mean(str(self.side), SIDES)}")
        if not (self.mean_run > 1 and 0 < self.sure < 1 and 1 <= self.recent < _LONGEST and self.ratio > 1):
            raise BadInput(f"mean_run must lie above 1, sure between 0 and 1, recent from 1 to {_LONGEST - 1} and ratio above 1; given were {self.mean_run!r}, "
                           f"{self.sure!r}, {self.recent!r} and {self.ratio!r}.")

    def update(self, count: int, expected: float) -> Step:
        """Take one count in. ``evidence`` is the probability that the rate changed within the last ``recent`` counts and now lies beyond ``ratio``.

        Raises:
            BadInput: a count that is negative or not whole, an expectation not above 0.
        """
        _check(count, expected)
        state = [np.array([v]) for v in (self.chances, self.counted, self.wanted)]
        state, level = _learn(state, np.array([count]), np.array([expected]), self)
        self.chances, self.counted, self.wanted = ([float(v) for v in part[0]] for part in state)
        likeliest = int(np.argmax(self.chances[: self.recent + 1]))
        return Step(float(level[0]), bool(level[0] >= self.sure), likeliest)


@recorded
def watch(counts: pl.DataFrame | Result, *, method: str = "e", side: str = "more", run_length: float = 1000.0, dispersion: float = 0.0, sure: float = 0.9,
          seed: int = 0) -> Result:
    """Run a detector over a whole series and say when it alarmed.

    Args:
        counts: ``at`` (or ``week``), ``count`` and ``expected`` (above 0): one row a period, in any order; expectations must be made of what lay before.
            Or the result of ``changes.weekly``.
        method: "e" or "bocpd".
        side: "more", "fewer" or "both".
        run_length: of "e": counts between false alarms on average, at least.
        dispersion: of "e": see ``Detector``.
        sure: of "bocpd": the probability at which it alarms.
        seed: of the simulations that give the delay, and the false alarms of "bocpd".

    Returns:
        A Result; its table has one row a period: at, count, expected, evidence, alarm, since (how many counts ago the change seems to have begun). "e" begins
        anew after an alarm. The notes say how often it alarms falsely and how soon it sees a rate half as high again and twice as high.

    Raises:
        CannotTell: no period. BadInput: missing columns, or values that do not do.

    Cost: O(periods) for "e", O(200 x periods) for "bocpd", and 200 simulated series.
    """
    counts = table_of(counts)
    time = "week" if "week" in getattr(counts, "columns", ()) else "at"
    require(counts, time, "count", "expected", what="counts")
    if method not in METHODS:
        raise BadInput(f"method={method!r} does not do; write one of {', '.join(METHODS)}.{did_you_mean(str(method), METHODS)}")
    if counts.is_empty():
        raise CannotTell("There is no period to look at; give one row a period with its count and what was expected.")
    rows = counts.sort(time)
    if rows.select(time, "count", "expected").null_count().sum_horizontal().item():
        raise BadInput("A period has no time, no count or no expectation; leave it out, or give all three.")
    if rows[time].n_unique() < rows.height:
        raise BadInput("Two periods begin at the same time, so which came first is not known; give one count a period.")
    detector = Detector(run_length, side, dispersion) if method == "e" else Bayesian(side=side, sure=sure)
    steps = [detector.update(c, e) for c, e in zip(rows["count"].to_list(), rows["expected"].to_list(), strict=True)]
    table = rows.select(pl.col(time).alias("at"), "count", pl.col("expected").cast(pl.Float64)).with_columns(
        evidence=pl.Series([s.evidence for s in steps], dtype=pl.Float64), alarm=pl.Series([s.alarm for s in steps]),
        since=pl.Series([s.since for s in steps], dtype=pl.Int64))
    notes = _promises(detector, table["expected"].to_numpy(), seed)
    parameters = {"method": method, "side": side, **({"run_length": run_length, "dispersion": dispersion} if method == "e" else {"sure": sure})}
    basis = Basis.of(counts, method="Shiryaev-Roberts e-detector" if method == "e" else "Bayesian online changepoint detection (gamma-Poisson)",
                     source="Shin, Ramdas and Rinaldo, NEJSDS 2 (2024)" if method == "e" else "Adams and MacKay, arXiv:0710.3742 (2007)", used=rows.height,
                     notes=notes, parameters=parameters)
    return Result(headline=_headline(table, detector), table=table, layers=(), basis=basis, base=origin_of(counts).base)


def baseline(counts: pl.DataFrame, *, cycle: int = 168, cycles: int = 8) -> pl.DataFrame:
    """Add ``expected``: the mean of the counts at the same place of the ``cycles`` cycles before (168 hours: the same hour of the week), and half a count.

    Rows that have not so many cycles before them are left out. Such a mean is itself uncertain: give the detector a ``dispersion`` of about 1 / (cycles x mean)
    besides what counts vary, or its alarms come sooner than promised.

    Raises:
        BadInput: missing columns, a missing count, periods that are missing or there twice, or cycle and cycles that are no whole numbers above 0. O(rows).
    """
    time = "week" if "week" in getattr(counts, "columns", ()) else "at"
    require(counts, time, "count", what="counts")
    if (not all(type(v) is int and v >= 1 for v in (cycle, cycles)) or not counts.schema["count"].is_numeric()
            or counts.select(time, "count").null_count().sum_horizontal().sum()):
        raise BadInput(f"cycle={cycle!r} and cycles={cycles!r} must be whole numbers of at least 1, and every row needs its time and its count.")
    spaced(counts[time].sort())
    before = pl.sum_horizontal(pl.col("count").shift(cycle * k) for k in range(1, cycles + 1))
    return counts.sort(time).with_columns(expected=(before + 0.5) / cycles).slice(cycle * cycles)


def delays(expected: Floats, ratio: float, *, run_length: float = 1000.0, side: str = "more", dispersion: float = 0.0, runs: int = 200,
           seed: int = 0) -> Floats:
    """Counts until the e-detector alarms when the rate is ``ratio`` times the expected one from the first of them on, simulated; inf where it does not.

    ``expected`` has shape (periods,) and is gone through from its beginning; comes back shape (runs,). With ``ratio`` 1 these are the times to a false alarm.

    Raises:
        BadInput: as ``Detector``.

    Cost: O(runs x periods x ratios).
    """
    detector = Detector(run_length, side, dispersion)
    rng = np.random.default_rng(seed)
    evidence = np.zeros((len(detector.ratios), runs))
    out = np.full(runs, np.inf)
    open_ = np.arange(runs)
    for t, mean in enumerate(expected):
        rate = np.full(len(open_), mean * ratio)
        if dispersion > 0:
            rate = rate * rng.gamma(1 / dispersion, dispersion, len(open_))
        count = rng.poisson(rate)
        for i, r in enumerate(detector.ratios):
            evidence[i] = np.exp(np.minimum(_log_ratio(count, mean, r, dispersion), 600.0)) * (1 + evidence[i])
        done = evidence.mean(axis=0) >= run_length
        out[open_[done]] = t + 1
        open_, evidence = open_[~done], evidence[:, ~done]
        if not len(open_):
            break
    return out


def _log_ratio(count: Any, expected: Any, ratio: float, dispersion: float) -> Any:
    """Logarithm of the likelihood ratio of a rate ``ratio`` times the expected one."""
    if dispersion <= 0:
        return count * math.log(ratio) - expected * (ratio - 1)
    return count * math.log(ratio) - (count + 1 / dispersion) * (math.log1p(dispersion * ratio * expected) - math.log1p(dispersion * expected))


def _log_one_more(value: float) -> float:
    """log(1 + exp(value))."""
    return value + math.log1p(math.exp(-value)) if value > 0 else math.log1p(math.exp(value))


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _check(count: Any, expected: Any) -> None:
    if not _number(count) or count < 0 or float(count) % 1:
        raise BadInput(f"A count of {count!r} does not do; a whole number from 0 on is needed.")
    if not _number(expected) or expected <= 0:
        raise BadInput(f"An expectation of {expected!r} does not do; a number above 0 is needed (an hour in which nothing is expected: a small one).")


def _learn(state: list[Floats], count: Any, expected: Any, told: Bayesian) -> tuple[list[Floats], Floats]:
    """One step of many filters at once; each part of the state has shape (filters, run lengths)."""
    from scipy.special import gammainc, gammaln

    chances, counted, wanted = state
    x, m = np.asarray(count, dtype=float)[:, None], np.asarray(expected, dtype=float)[:, None]
    fit = np.exp(gammaln(counted + x) - gammaln(counted) - gammaln(x + 1) + counted * np.log(wanted / (wanted + m)) + x * np.log(m / (wanted + m)))
    weight = chances * np.maximum(fit, 1e-300)
    fresh = weight.sum(axis=1, keepdims=True) / told.mean_run
    grown = weight * (1 - 1 / told.mean_run)
    if grown.shape[1] >= _LONGEST:  # the longest run takes in the one before it
        grown = np.concatenate([grown[:, :-2], grown[:, -2:].sum(axis=1, keepdims=True)], axis=1)
        counted, wanted = (np.concatenate([v[:, :-2], v[:, -1:]], axis=1) for v in (counted, wanted))
    first = np.full((len(x), 1), _PRIOR)
    chances = np.concatenate([fresh, grown], axis=1)
    chances /= chances.sum(axis=1, keepdims=True)
    counted, wanted = np.concatenate([first, counted + x], axis=1), np.concatenate([first, wanted + m], axis=1)
    lately = slice(1, told.recent + 1)
    a, b = counted[:, lately], wanted[:, lately]
    beyond = np.zeros_like(a)
    if told.side in ("more", "both"):
        beyond += 1 - gammainc(a, b * told.ratio)
    if told.side in ("fewer", "both"):
        beyond += gammainc(a, b / told.ratio)
    return [chances, counted, wanted], (chances[:, lately] * beyond).sum(axis=1)


def _alarms(told: Bayesian, expected: Floats, ratio: float, runs: int, seed: int) -> Iterator[tuple[int, Any]]:
    """Which of some simulated series alarm, count by count."""
    rng = np.random.default_rng(seed)
    state = [np.full((runs, 1), v) for v in (1.0, _PRIOR, _PRIOR)]
    for t, mean in enumerate(expected):
        state, level = _learn(state, rng.poisson(mean * ratio, runs), np.full(runs, mean), told)
        yield t, level >= told.sure


def _promises(detector: Detector | Bayesian, expected: Floats, seed: int) -> tuple[str, ...]:
    """How often it alarms falsely, and how soon truly; in sentences."""
    side = "more" if detector.side == "both" else detector.side
    ratios = (1.5, 2.0) if side == "more" else (1 / 1.5, 0.5)
    path = np.resize(expected, max(min(len(expected), 2000), 500))
    if isinstance(detector, Detector):
        first = (f"As long as the expectations are right, alarms are at least {detector.run_length:,.0f} counts apart on average (guaranteed); an "
                 "expectation that is too low on the side looked for gives more.")
        waits = [delays(path, r, run_length=detector.run_length, side=detector.side, dispersion=detector.dispersion, seed=seed) for r in ratios]
    else:
        path = path[:500]
        false = np.zeros(100, dtype=bool)
        begun = 0
        for _, alarm in _alarms(detector, path, 1.0, 100, seed):
            begun += int((alarm & ~false).sum())
            false = alarm
        first = (f"Where nothing changed it began {begun / 100:.2f} alarms in {len(path)} counts (100 simulated series, counts Poisson about these "
                 "expectations); this is measured, not guaranteed.")
        waits = []
        for r in ratios:
            wait = np.full(100, np.inf)
            for t, alarm in _alarms(detector, path, r, 100, seed):
                wait[alarm & np.isinf(wait)] = t + 1
                if np.isfinite(wait).all():
                    break
            waits.append(wait)
    return (first, *(f"A rate {r:.3g} times the expected one is noticed after {_wait(w, len(path))} (median of {len(w)} simulated series)."
                     for r, w in zip(ratios, waits, strict=True)))


def _wait(waits: Floats, most: int) -> str:
    middle = float(np.sort(waits)[len(waits) // 2])
    return several(int(middle), "count") if math.isfinite(middle) else f"more than {several(most, 'count')}"


def _headline(table: pl.DataFrame, detector: Detector | Bayesian) -> str:
    alarms = table.with_row_index("i").filter("alarm")
    if isinstance(detector, Detector):
        rate = f"false alarms are at least {detector.run_length:,.0f} counts apart on average"
    else:
        rate = f"an alarm is a probability of {detector.sure:.2f} or more"
    if alarms.is_empty():
        return f"No alarm in {several(table.height, 'count')}: {table['count'].sum():,} where {table['expected'].sum():,.1f} were expected ({rate})."
    row = alarms.row(-1, named=True)
    start = max(0, row["i"] - max(row["since"], 1) + 1)
    stretch = table.slice(start, row["i"] - start + 1)
    word = "since" if stretch.height > 1 else "at"
    return (f"Alarm at {row['at']}: {stretch['count'].sum():,} {word} {stretch['at'][0]} where {stretch['expected'].sum():,.1f} were expected; "
            f"{several(alarms.height, 'count')} of {table.height:,} at alarm ({rate}).")

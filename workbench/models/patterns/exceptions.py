"""Which beats and offences need an explanation at the next meeting?

The exceptions board (the sheet behind a CompStat meeting): for each area and offence the last 7 days, the last 28 and the year to date, beside the span before,
the same span of last year and what level, trend, season and weekday lead one to expect. A percent change is never a reason by itself: it stands beside its
interval, and is greyed where the count it is taken of is below 10. What is flagged is flagged by p-values, at a stated false discovery rate over every
comparison on the board.

Sources: A. P. Wheeler, IJPSM 18, 2016, 159-172 (z, band); Krishnamoorthy and Thomson, JSPI 119, 2004, 23-35 (e-test); Benjamini and Hochberg, JRSS B 57, 1995,
289-300 (false discovery rate); the expectation: Poisson regression on days for the whole city (``_season``), shared out by each area's part of the last year, a
new count being negative binomial about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Ints
from workbench.models import chance, window
from workbench.models.patterns import _hours, _season, expected
from workbench.models.patterns._two_counts import e_test, percent_change, poisson_z
from workbench.models.wording import said, several
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require

__all__ = ["SMALL_BASE", "board", "e_test", "last_year", "percent_change", "poisson_z"]

#: A percent change is greyed where the count it is taken of is below this.
SMALL_BASE = 10.0
#: The z beyond which a count is marked.
FAR = 3.0
SPANS = ("7d", "28d", "ytd")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SOURCE = "Wheeler, IJPSM 18 (2016); Krishnamoorthy and Thomson, JSPI 119 (2004); Benjamini and Hochberg, JRSS B 57 (1995)"
_DAY = timedelta(days=1)
_YEAR, _BEFORE, _WEEKS = timedelta(days=364), 3 * 366, 8
_LEAST_DAYS = 56  # of records before a span, for an expectation
_COLUMNS = ("offence", "span", "against", "count", "past", "difference", "percent", "percent_low", "percent_high", "grey", "low", "high", "z", "far", "p", "q",
            "flag", "weeks", "band_low", "band_high")


@dataclass(frozen=True)
class _Counter:
    """The rows known at asof, by pair of area and offence; ``gap`` is what lies between the end of the current spans and asof."""

    pair: Ints
    at: Ints
    told: Ints
    pairs: int
    first: date
    end: datetime
    gap: timedelta

    def count(self, begin: datetime, end: datetime) -> Ints:
        """Counts by pair from begin to end, of what had been told as long after the end as the current spans have had."""
        use = (self.at >= _us(begin)) & (self.at < _us(end)) & (self.told < _us(end + self.gap))
        return np.bincount(self.pair[use], minlength=self.pairs)

    def held(self, begin: datetime) -> bool:
        """Do the records reach back so far?"""
        return begin.date() >= self.first


@recorded
def board(incidents: pl.DataFrame, asof: window.Moment, *, groups: Mapping[str, Iterable[str]] | None = None, by: str | None = "beat", zone: str = "UTC",
          week_start: str | None = None, spans: Sequence[str] = SPANS, rate: float = 0.05) -> Result:
    """The exceptions board.

    Args:
        incidents: canonical incidents of some years; ``started_at`` decides the span, the time of report what was known at its end.
        asof: nothing known later is looked at. Spans end with the last whole day before it on the agency's clock; a begun day is left out.
        groups: offence group -> NIBRS codes ("220") or wordings ("offence:BURGLARY"); without it the agency's own ``offence`` is used.
        by: area column; None = the whole city.
        zone: the agency's.
        week_start: "monday" and so on: the spans end with the agency's last whole week instead (the sheet of a weekly meeting).
        spans: of "7d", "28d", "ytd".
        rate: share of chance findings accepted among what is flagged (false discovery rate over all rows of the table).

    Returns:
        A Result. Its table has one row an area, offence, span and ``against`` ("previous", "last year", "expected"): count, past (what it is
        compared with, put on the same length), difference, percent with percent_low and percent_high (95 %), grey (percent not to be read), low
        and high (95 % of what was to be expected; "expected" only), z, far (|z| > 3), p (e-test; of the negative binomial for "expected"), q,
        flag ("above", "below", "", "cannot tell"), and in rows "7d" against "previous": weeks (the last nine, the current one last), band_low
        and band_high (Wheeler's band of the eight before).
        "ytd" has no "previous"; a year to date beside one with a 29 February is compared by rates.

    Raises:
        CannotTell: no incident was known before asof. BadInput: a column is missing, or a span, weekday or zone is none.

    Cost: O(rows x spans) and a regression for each offence and span (0.02 s).
    """
    require(incidents, "started_at", "nibrs", "offence", *([by] if by else []), what="incidents")
    _check(spans, week_start, rate)
    at = window.moment(asof)
    known = expected.known_rows(incidents, at, _hours.checked(zone), groups, by)
    now = expected.wall_clock(at, zone)
    end = _ending(now, week_start)
    known = known.filter(pl.col("at") < end)
    if known.is_empty():
        raise CannotTell(f"No incident was known before {at:%Y-%m-%d %H:%M} UTC that lies in a whole {'week' if week_start else 'day'}, so there is nothing to "
                         "count; choose a later asof or load incidents.")
    names, counter = _counter(known, by, end, now - end)
    parts = [part for span in spans for part in _span(names, counter, span)]
    table = _flagged(pl.concat(parts), rate)
    keys = [by] if by else []
    order: list[Any] = [pl.col("span").replace_strict({s: i for i, s in enumerate(SPANS)}, return_dtype=pl.Int64), "against"]
    table = table.sort(*keys, "offence", *order).select(*keys, *_COLUMNS)
    basis = Basis.of(incidents, method="counts against the span before, the same span of last year (e-test) and level, trend, season and weekday "
                     f"(Poisson regression, negative binomial; false discovery rate {100 * rate:.0f} %)", source=SOURCE, used=known["row"].n_unique(),
                     time="started_at", asof=at, notes=_notes(incidents, known, counter, now),
                     parameters={"spans": list(spans), "by": by, "zone": zone, "week_start": week_start, "rate": rate, "end": f"{end:%Y-%m-%d}"})
    return Result(headline=_headline(table, by), table=table, layers=(), basis=basis, base=origin_of(incidents).base)


def last_year(end: date) -> date:
    """The same end of a year to date a year earlier: an end before 29 February becomes one before 1 March, so that both hold the whole of 28 February."""
    if (end.month, end.day) == (2, 29):
        return date(end.year - 1, 3, 1)
    return end.replace(year=end.year - 1)


def _check(spans: Sequence[str], week_start: str | None, rate: float) -> None:
    strange = [s for s in spans if s not in SPANS]
    if strange or not spans:
        raise BadInput(f"spans={list(spans)!r} does not do; give some of {', '.join(SPANS)}.")
    if week_start is not None and str(week_start).lower() not in WEEKDAYS:
        raise BadInput(f"week_start={week_start!r} is not a weekday.{did_you_mean(str(week_start), WEEKDAYS)}")
    if not 0 < rate < 1:
        raise BadInput(f"rate={rate!r} does not do; give a share between 0 and 1, e.g. 0.05.")


def _ending(now: datetime, week_start: str | None) -> datetime:
    midnight = datetime(now.year, now.month, now.day)
    if week_start is None:
        return midnight
    return midnight - ((midnight.weekday() - WEEKDAYS.index(week_start.lower())) % 7) * _DAY


def _us(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1)) / timedelta(microseconds=1))


def _counter(known: pl.DataFrame, by: str | None, end: datetime, gap: timedelta) -> tuple[pl.DataFrame, _Counter]:
    """Every area with every offence, and the rows by their number."""
    offences = known.select("offence").unique().sort("offence")
    names = known.select(by).unique().sort(by).join(offences, how="cross") if by else offences
    names = names.with_row_index("pair")
    rows = known.join(names, on=[*([by] if by else []), "offence"], how="left", maintain_order="left")
    at, told = (rows[c].cast(pl.Datetime("us")).to_physical().to_numpy() for c in ("at", "told"))
    first = cast(datetime, known["at"].min())
    return names, _Counter(rows["pair"].to_numpy().astype(np.int64), at, told, names.height, first.date(), end, gap)


def _bounds(counter: _Counter, span: str) -> tuple[datetime, datetime, list[tuple[str, datetime, datetime]]]:
    """Begin and end of the current span, and of those it is compared with."""
    end = counter.end
    if span == "ytd":
        begin = datetime((end - _DAY).year, 1, 1)
        stop = last_year(end.date())
        return begin, end, [("last year", datetime(begin.year - 1, 1, 1), datetime(stop.year, stop.month, stop.day))]
    length = window.span(span)
    return end - length, end, [("previous", end - 2 * length, end - length), ("last year", end - length - _YEAR, end - _YEAR)]


def _span(names: pl.DataFrame, counter: _Counter, span: str) -> list[pl.DataFrame]:
    begin, end, others = _bounds(counter, span)
    count, days = counter.count(begin, end), (end - begin).days
    out = []
    for against, start, stop in others:
        if counter.held(start):
            past, length = counter.count(start, stop), (stop - start).days
            percent, low, high = percent_change(count, past, days, length)
            z, p = poisson_z(count, past, days, length), e_test(count, past, days, length)
            frame = _rows(names, span, against, count, past * (days / length), percent, low, high, past < SMALL_BASE, z, p)
        else:
            frame = _untold(names, span, against, count)
        if (span, against) == ("7d", "previous"):
            frame = _with_band(frame, counter, end)
        out.append(frame)
    made = _expectation(names, counter, span, begin, end)
    if made is None:
        return [*out, _untold(names, span, "expected", count)]
    mean, spread = made
    size = 1 / spread
    from scipy.special import betainc

    below, above = betainc(size, count + 1.0, size / (size + mean)), np.where(count > 0, betainc(np.maximum(count, 1e-9), size, mean / (size + mean)), 1.0)
    p = np.minimum(1.0, 2 * np.minimum(below, above))
    least, most = chance.interval(mean, spread, level=0.95)
    scale = 100 / mean
    frame = _rows(names, span, "expected", count, mean, scale * (count - mean), scale * (np.maximum(0.0, _garwood(count)[0]) - mean),
                  scale * (_garwood(count)[1] - mean), mean < SMALL_BASE, (count - mean) / np.sqrt(mean + spread * mean**2), p)
    return [*out, frame.with_columns(low=pl.Series(least.astype(np.int64)), high=pl.Series(most.astype(np.int64)))]


def _garwood(count: Ints) -> tuple[Floats, Floats]:
    """95 % interval of a Poisson mean from its count (Garwood 1936)."""
    from scipy.special import gammaincinv

    return np.where(count > 0, gammaincinv(np.maximum(count, 1e-9), 0.025), 0.0), gammaincinv(count + 1.0, 0.975)


def _expectation(names: pl.DataFrame, counter: _Counter, span: str, begin: datetime, end: datetime) -> tuple[Floats, Floats] | None:
    """Mean and dispersion of each pair's count over the span, from what lies before it; None where the records are too short: a year to date needs a year."""
    if (begin.date() - counter.first).days < (_season.SEASON_FROM if span == "ytd" else _LEAST_DAYS) + 1:
        return None
    offence = names["offence"].to_numpy()
    mean, spread = np.zeros(counter.pairs), np.zeros(counter.pairs)
    for name in dict.fromkeys(offence.tolist()):
        mine = np.flatnonzero(offence == name)
        mean[mine], spread[mine] = _shared_out(counter, mine, span, begin, end)
    return mean, spread


def _shared_out(counter: _Counter, mine: Ints, span: str, begin: datetime, end: datetime) -> tuple[Floats, Floats]:
    chosen = np.isin(counter.pair, mine)
    day = counter.at[chosen] // 86_400_000_000 + date(1970, 1, 1).toordinal()
    first, stop = max(counter.first.toordinal() + 1, begin.toordinal() - _BEFORE), begin.toordinal()
    fitted = _season.fit(np.bincount(day[(day >= first) & (day < stop)] - first, minlength=stop - first), first)
    lately = max(first, stop - 365)
    in_base = np.bincount(counter.pair[chosen][(day >= lately) & (day < stop)], minlength=counter.pairs)[mine] + 0.5
    share = in_base / in_base.sum()
    length = end - begin
    step = timedelta(days=28) if span == "ytd" else length
    seen, wanted, complete = [], [], []
    for k in range(1, 27 if span == "7d" else 14):
        b, e = begin - k * step, begin - (k - 1) * step
        if b.toordinal() < max(first, fitted.origin):
            break
        total = fitted.total(b.toordinal(), e.toordinal())[0]
        use = (day >= b.toordinal()) & (day < e.toordinal())
        seen.append(counter.count(b, e)[mine])
        complete.append((seen[-1].sum(), use.sum()))
        wanted.append(total * share)
    told = sum(c for c, _ in complete) / max(sum(u for _, u in complete), 1) if complete and span != "ytd" else 1.0
    told = told if told > 0 else 1.0
    over = chance.dispersion(np.array(seen, dtype=float), np.array(wanted) * told) if seen else 0.0
    total, vague = fitted.total(begin.toordinal(), end.toordinal())
    drift = _drift(counter, mine, chosen, day, first, begin, end) if span == "ytd" else 0.0
    return total * share * told, np.maximum(over, drift) + vague + 1 / in_base


def _drift(counter: _Counter, mine: Ints, chosen: Any, day: Ints, first: int, begin: datetime, end: datetime) -> float:
    """How far a year to date lay from what the years before had led one to expect, the year before: dispersion over the areas; 0 where that is too early."""
    start, stop = datetime(begin.year - 1, 1, 1).toordinal(), last_year(end.date()).toordinal()
    if start - first < 365:
        return 0.0
    fitted = _season.fit(np.bincount(day[(day >= first) & (day < start)] - first, minlength=start - first), first)
    before = np.bincount(counter.pair[chosen][(day >= start - 365) & (day < start)], minlength=counter.pairs)[mine] + 0.5
    seen = np.bincount(counter.pair[chosen][(day >= start) & (day < stop)], minlength=counter.pairs)[mine]
    mean = fitted.total(start, stop)[0] * before / before.sum()
    return chance.dispersion(seen.astype(float), mean)


def _rows(names: pl.DataFrame, span: str, against: str, count: Any, past: Any, percent: Any, low: Any, high: Any, grey: Any, z: Any, p: Any) -> pl.DataFrame:
    past = np.asarray(past, dtype=float)
    frame = names.with_columns(
        span=pl.lit(span), against=pl.lit(against), count=pl.Series(count.astype(np.int64)), past=pl.Series(past), difference=pl.Series(count - past),
        percent=pl.Series(percent).fill_nan(None), percent_low=pl.Series(low).fill_nan(None), percent_high=pl.Series(high).fill_nan(None), grey=pl.Series(grey),
        z=pl.Series(z, dtype=pl.Float64), p=pl.Series(p, dtype=pl.Float64))
    return _empty(frame)


def _untold(names: pl.DataFrame, span: str, against: str, count: Ints) -> pl.DataFrame:
    missing = {c: pl.lit(None, dtype=pl.Float64) for c in ("past", "difference", "percent", "percent_low", "percent_high")}
    return _empty(names.with_columns(span=pl.lit(span), against=pl.lit(against), count=pl.Series(count.astype(np.int64)), **missing, grey=pl.lit(True),
                                     z=pl.lit(None, dtype=pl.Float64), p=pl.lit(None, dtype=pl.Float64)))


def _empty(frame: pl.DataFrame) -> pl.DataFrame:
    """With the columns that only some rows fill."""
    kinds: dict[str, Any] = {"low": pl.Int64, "high": pl.Int64, "weeks": pl.List(pl.Int64), "band_low": pl.Float64, "band_high": pl.Float64}
    return frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in kinds.items())


def _with_band(frame: pl.DataFrame, counter: _Counter, end: datetime) -> pl.DataFrame:
    """The last nine weeks, and where a ninth is to be expected after the eight: within 3 on the scale of ``poisson_z``, their mean taken as it is."""
    weeks = [end - k * 7 * _DAY for k in range(_WEEKS + 1, -1, -1)]
    if not counter.held(weeks[0]):
        return frame
    counts = np.column_stack([counter.count(a, b) for a, b in zip(weeks[:-1], weeks[1:], strict=True)])
    middle = np.sqrt(counts[:, :_WEEKS].mean(axis=1))
    return frame.with_columns(weeks=pl.Series(counts.tolist(), dtype=pl.List(pl.Int64)), band_low=pl.Series(np.maximum(0.0, middle - FAR / 2) ** 2),
                              band_high=pl.Series((middle + FAR / 2) ** 2))


def _flagged(table: pl.DataFrame, rate: float) -> pl.DataFrame:
    known = table["p"].is_not_null().to_numpy()
    q = np.full(table.height, np.nan)
    q[known] = expected.adjusted(table["p"].drop_nulls().to_numpy())
    side = pl.when(pl.col("count") > pl.col("past")).then(pl.lit("above")).otherwise(pl.lit("below"))
    flag = pl.when(pl.col("q").is_null()).then(pl.lit("cannot tell")).when(pl.col("q") <= rate).then(side).otherwise(pl.lit(""))
    return table.with_columns(q=pl.Series(q).fill_nan(None), far=pl.col("z").abs() > FAR).with_columns(flag=flag)


def _headline(table: pl.DataFrame, by: str | None) -> str:
    tested = table.filter(pl.col("q").is_not_null())
    if tested.is_empty():
        return "The records do not reach far enough back to compare anything with: neither the span before nor last year's lies within them."
    flagged = tested.filter(pl.col("flag").is_in(["above", "below"])).sort("q", "p", *([by] if by else []), "offence", "span", "against")
    if flagged.is_empty():
        return f"No exception: of {several(tested.height, 'comparison')} none lies outside what chance gives."
    row = flagged.row(0, named=True)
    where = f" in {by} {row[by]}" if by else ""
    name, than = str(row["offence"]), {"previous": "in the span before", "last year": "in the same span of last year", "expected": "expected"}[row["against"]]
    when = "this year" if row["span"] == "ytd" else f"in {said(window.span(row['span']))}"
    change = "" if row["percent"] is None else f", {row['percent']:+.0f} % (95 %: {row['percent_low']:+.0f} to {row['percent_high']:+.0f})"
    pairs = flagged.select([*([by] if by else []), "offence"]).unique().height
    return (f"{name[:1].upper()}{name[1:]}{where}: {row['count']:,} {when}, {row['past']:,.1f} {than}{change}. {flagged.height:,} of {tested.height:,} "
            f"comparisons stand out, about {several(pairs, 'pair') if by else several(pairs, 'offence')}{' of area and offence' if by else ''}.")


def _notes(incidents: pl.DataFrame, known: pl.DataFrame, counter: _Counter, now: datetime) -> tuple[str, ...]:
    notes = [f"Spans end on {counter.end:%Y-%m-%d} at midnight; a day (or week) that has only begun is not counted.",
             "A z beyond 3 is marked (far) but no flag: of two Poisson counts one in thirty differs so by chance.",
             "A percent change is never a reason for a flag.",
             "The e-test takes counts to vary by chance alone; where they vary more, its p-values are too small."]
    newest = cast(datetime, known["at"].max())
    if counter.end - newest > 2 * _DAY:
        notes.append(f"The newest incident is of {newest:%Y-%m-%d %H:%M}, {(now - newest).days} days before asof: the latest spans are not complete.")
    if "reported_at" not in incidents.columns or incidents["reported_at"].null_count() == incidents.height:
        notes.append("Times of report are not in these records, so late reports make the latest spans look emptier than they are.")
    else:
        notes.append("A span before counts only what had been reported as soon after its end as the latest span's reports had to be.")
    return tuple(notes)

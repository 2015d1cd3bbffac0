"""What may be looked at: rows known strictly before ``asof``, and of those the ones within a window.

Leakage is prevented here once for every model. A row counts as known from its ``reported_at``; where that is not recorded, from
``ended_at`` (a burglary between Friday and Monday is found on Monday), and where that is missing too, from ``started_at``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints
from workbench.models.wording import said

Moment = str | date | datetime
Span = str | timedelta

_NONE: Floats = np.zeros(0)
_MEMORY = timedelta(days=6 * 365)  # how far back days are counted
_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def moment(value: Moment, what: str = "asof") -> datetime:
    """A time as UTC datetime. Text and dates mean midnight UTC unless they carry a zone (the session turns local days into UTC).

    Raises:
        BadInput: the text is no ISO date or time.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise BadInput(f"{what} {value!r} is not a date or time; write e.g. '2026-05-01' or '2026-05-01T06:00'.") from None
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise BadInput(f"{what} is a {type(value).__name__}; a date, a datetime or text like '2026-05-01' is needed.")
        value = datetime(value.year, value.month, value.day)
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise BadInput(f"{what} {value.isoformat()!r} lies before the year 1 or after 9999 in UTC; give a time between.") from None


def span(value: Span, what: str = "window") -> timedelta:
    """A length of time: a timedelta, or text such as "14d", "36h", "1d12h" (w, d, h, m = minutes, s).

    Raises:
        BadInput: unreadable, or not longer than nothing.
    """
    length = value
    if isinstance(length, str):
        parts = re.findall(r"(\d+(?:\.\d+)?)([wdhms])", length)
        if not parts or "".join(n + u for n, u in parts) != length.replace(" ", ""):
            raise BadInput(f"{what} {value!r} is not a length of time; write e.g. '14d', '36h' or '1d12h'.")
        try:
            length = timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in parts))
        except OverflowError:
            raise BadInput(f"{what} {value!r} is longer than time is counted; write e.g. '14d', '36h' or '1d12h'.") from None
    if not isinstance(length, timedelta):
        raise BadInput(f"{what} is a {type(value).__name__}; a timedelta or text like '14d' is needed.")
    if length <= timedelta(0):
        raise BadInput(f"{what} {value!r} is not longer than nothing; write e.g. '14d'.")
    return length


def known_at(frame: pl.DataFrame) -> pl.Expr:
    """When each incident was known (see the head of this file), never before it began; an expression over the frame."""
    after = [c for c in ("reported_at", "ended_at") if c in frame.columns]
    return pl.max_horizontal("started_at", pl.coalesce(*after, "started_at")) if after else pl.col("started_at")


def known_before(incidents: pl.DataFrame, asof: datetime) -> pl.DataFrame:
    """The incidents known strictly before ``asof``. O(n).

    Raises:
        BadInput: no column started_at, or times without a zone.
    """
    schema.require(incidents, "started_at", what="The incidents frame")
    frame = schema.utc(incidents, [c for c in ("started_at", "ended_at", "reported_at") if c in incidents.columns])
    return frame.filter(known_at(frame) < asof)


@dataclass(frozen=True, eq=False)
class Past:
    """Incidents that may be used for a forecast, placed on a grid.

    Args:
        rows: the rows of ``source`` used, in order of time and place, so that a result never depends on the order of the rows given.
        x, y, cell: metres on the grid's plane and cell number of each, shape (n,).
        age: seconds before asof at which each began, falling, shape (n,).
        known: seconds before asof since which each was known, shape (n,).
        start, asof: the stretch of time they come from; ``start`` is later than the window's when the data begin later.
        window: the window asked for.
        looked: rows given; ``in_window`` of them lie in the window, ``unplaced`` of those have no position, ``outside`` lie outside the area.
        notes: what limits the answer.
        older: age and known of the incidents before ``start``, up to six years back; only ``days`` looks at them.
        whole: the Past this one was taken ``back`` from; None for one that was not.
    """

    source: pl.DataFrame = field(repr=False)
    rows: Ints
    x: Floats
    y: Floats
    cell: Ints
    age: Floats
    known: Floats
    start: datetime
    asof: datetime
    window: timedelta
    looked: int
    in_window: int
    unplaced: int
    outside: int
    notes: tuple[str, ...]
    older: tuple[Floats, Floats] = field(default=(_NONE, _NONE), repr=False)
    whole: Past | None = field(default=None, repr=False)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows used, shape (n, columns of the incidents)."""
        return self.source if len(self.rows) == self.source.height else self.source[self.rows]

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def length(self) -> timedelta:
        """From ``start`` to ``asof``."""
        return self.asof - self.start

    def back(self, asof: datetime, window: timedelta | None = None, *, least: int = 0) -> Past:
        """What was known at an earlier moment, for validation within the past: O(rows of the window), no frame is touched.

        Args:
            asof: that moment, UTC; at most this Past's own.
            window: how far back from it; None = as far as this Past reaches.
            least: so many rows are needed at least.

        Raises:
            CannotTell: under ``least`` rows.
        """
        later = (self.asof - asof).total_seconds()
        start = self.start if window is None else max(self.start, asof - window)
        first = int(np.searchsorted(-self.age, -(self.asof - start).total_seconds(), side="left"))
        last = int(np.searchsorted(-self.age, -later, side="left"))
        use = first + np.flatnonzero(self.known[first:last] > later)
        n = len(use)
        if n < least:
            raise CannotTell(f"{n} incidents of the {said(asof - start)} before {asof:%Y-%m-%d} were known then; at least {least} are needed.")
        return Past(self.source, self.rows[use], self.x[use], self.y[use], self.cell[use], self.age[use] - later, self.known[use] - later, start, asof,
                    asof - start if window is None else window, n, n, 0, 0, (), whole=self.whole or self)

    @cached_property
    def _periods(self) -> dict[float, tuple[int, float, float, float, Ints, Ints]]:
        return {}

    def periods(self, horizon: timedelta) -> tuple[int, float, float, float, Ints, Ints]:
        """Whole stretches of the horizon's length within the window: how many, their mean total, the dispersion of the totals, the sum of squared counts
        over cells and stretches, and the cells that had incidents with how many. O(n log n), once for each length."""
        seconds = horizon.total_seconds()
        if seconds not in self._periods:
            many = int(self.length.total_seconds() / seconds + 1e-9)
            period = np.floor(self.age / seconds).astype(np.int64)
            use = period < many
            period, cell = period[use], self.cell[use]
            totals = np.bincount(period, minlength=many).astype(float)
            mean = float(totals.mean()) if many else 0.0
            spread = max(0.0, (float(totals.var(ddof=1)) - mean) / mean**2) if mean > 0 and many > 1 else 0.0
            _, n = np.unique(cell * max(many, 1) + period, return_counts=True)
            cells, counted = np.unique(cell, return_counts=True)
            self._periods[seconds] = (many, mean, round(spread, 6), float(np.sum(n.astype(float) ** 2)), cells, counted)
        return self._periods[seconds]

    @cached_property
    def _long(self) -> tuple[Floats, Floats]:
        return np.concatenate([self.older[0], self.age]), np.concatenate([self.older[1], self.known])

    @cached_property
    def days(self) -> tuple[Floats, Floats]:
        """Incidents known of each day, also from before the window (up to six years), the 24 hours before asof first, and the share of a day's incidents
        that is usually known when it is so old; shapes (n,), both. The first day of the data may be broken and is left out. O(n)."""
        age, known = (self.whole or self)._long
        later = ((self.whole or self).asof - self.asof).total_seconds()
        last = int(np.searchsorted(-age, -later, side="left"))
        age, known = age[:last] - later, known[:last] - later
        seen = known > 0
        age, known = age[seen], known[seen]
        n = int(max(self.length.total_seconds(), float(age[0]) if len(age) else 0.0) // 86400)
        return np.bincount((age // 86400).astype(np.int64), minlength=n)[:n].astype(float), _complete(age, known, n)


def _complete(age: Floats, known: Floats, n: int) -> Floats:
    """Share of a day's incidents that is known when the day is so many days old, from those of 60 days to two years ago; 1 where under 100 tell."""
    settled = (age >= 60 * 86400) & (age < 730 * 86400)
    delay = (age - known)[settled]
    if len(delay) < 100 or not delay.any():
        return np.ones(n)
    reached = np.searchsorted(np.sort(delay), (np.arange(min(n, 60)) + 0.5) * 86400.0, side="right") / len(delay)
    return np.concatenate([reached, np.ones(n - len(reached))])


def past(incidents: pl.DataFrame, grid: Grid, asof: Moment, window: Span, *, least: int) -> Past:
    """The usable incidents of a window before ``asof``. O(n log n).

    Raises:
        CannotTell: nothing lies before asof, the study area is empty, too few rows (under ``least``) can be placed, or all lie at one address.
        BadInput: missing columns or unreadable times.
    """
    at, length = moment(asof), span(window)
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    if grid.n_inside == 0:
        raise CannotTell("No cell of the grid lies in the study area, so there is nowhere to forecast for; use a larger area or smaller cells.")
    known = known_before(incidents, at)
    if known.is_empty():
        first = schema.utc(incidents, ["started_at"])["started_at"].min() if len(incidents) else None
        why = f"the first of the {len(incidents):,} rows is of {first:%Y-%m-%d %H:%M} UTC" if isinstance(first, datetime) else "the frame has no rows"
        raise CannotTell(f"Nothing was known before {at:%Y-%m-%d %H:%M} UTC: {why}; choose a later asof or load earlier incidents.")
    first = known["started_at"].min()
    start = max(at - length, first) if isinstance(first, datetime) else at - length
    kept = known.filter(pl.col("started_at") >= at - max(length, _MEMORY)).sort("started_at", "lon", "lat")
    x, y = grid.metres(kept)
    cell = grid.index(x, y)
    since = kept.select(known_at(kept).alias("at"))["at"]
    age, told = ((at - c).dt.total_microseconds().to_numpy() / 1e6 for c in (kept["started_at"], since))
    early = int(kept["started_at"].search_sorted(at - length, side="left"))
    before = np.flatnonzero(cell[:early] >= 0)
    older = (age[before], told[before])
    inside, x, y, cell, age, told = kept[early:], x[early:], y[early:], cell[early:], age[early:], told[early:]
    placed, ok = np.isfinite(x) & np.isfinite(y), cell >= 0
    unplaced, outside = int((~placed).sum()), int((placed & ~ok).sum())
    used = inside.filter(pl.Series(ok, dtype=pl.Boolean)) if not ok.all() else inside
    x, y, cell = x[ok], y[ok], cell[ok]
    _enough(len(cell), least, len(inside), unplaced, outside, at, length)
    if len(cell) > 1 and np.ptp(x) < 1.0 and np.ptp(y) < 1.0:
        raise CannotTell(
            f"All {len(cell)} incidents lie at the same address ({used['lat'][0]:.5f}, {used['lon'][0]:.5f}); a surface would only redraw this one point. "
            "Check how they were given positions, or look at a wider offence group."
        )
    notes = _notes(len(inside), unplaced, outside, start, at, length, known["started_at"].max())
    return Past(used, np.arange(len(cell), dtype=np.int64), x, y, cell, age[ok], told[ok], start, at, length, len(incidents), len(inside), unplaced, outside,
                notes, older)


def _enough(n: int, least: int, rows: int, unplaced: int, outside: int, at: datetime, length: timedelta) -> None:
    if n >= least:
        return
    where = f"the {said(length)} before {at:%Y-%m-%d}"
    if rows and unplaced == rows:
        raise CannotTell(f"None of the {rows} incidents of {where} has a position, so no place can be named; load a source with lon and lat, or geocode them.")
    lost = "".join((f"; {unplaced} have no position" if unplaced else "", f"; {outside} lie outside the area" if outside else ""))
    raise CannotTell(f"{n} of {rows} incidents of {where} can be placed{lost}. At least {least} are needed: use a longer window or a wider offence group.")


def _notes(rows: int, unplaced: int, outside: int, start: datetime, at: datetime, length: timedelta, newest: object) -> tuple[str, ...]:
    notes = []
    if unplaced or outside:
        notes.append(f"{unplaced} of {rows} incidents in the window have no position and {outside} lie outside the area; they are not in the forecast.")
    if start - (at - length) > length * 0.1:
        notes.append(
            f"The data begin on {start:%Y-%m-%d}, so the window is {said(timedelta(days=round((at - start).total_seconds() / 86400)) or at - start)} "
            f"instead of {said(length)}."
        )
    if isinstance(newest, datetime) and at - newest > max(timedelta(days=7), length * 0.05):
        notes.append(f"The newest incident is {(at - newest).days} days older than asof; if the data end there, the forecast is too low.")
    return tuple(notes)

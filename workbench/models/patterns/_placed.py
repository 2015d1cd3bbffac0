"""Incidents with a place and a time, in an order of their own, so that no answer depends on the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Ints, Plane, positions
from workbench.models import window

_KEEP = {"weekday": "day of the week", "month": "calendar month", "season": "season"}


@dataclass(frozen=True, eq=False)
class Placed:
    """The usable incidents in order of time and place.

    Args:
        frame: their rows; ``rows`` are their numbers in the frame given.
        x, y: metres; ``lon``, ``lat``: degrees (nan where the frame holds metres).
        start, end: microseconds since 1970, equal where no window is recorded.
        plane: the metre plane, None where the frame holds metres.
        looked: rows given.
        notes: what was left out and why.
    """

    frame: pl.DataFrame
    rows: Ints
    x: Floats
    y: Floats
    lon: Floats
    lat: Floats
    start: Ints
    end: Ints
    plane: Plane | None
    looked: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)

    def links(self) -> list[str]:
        """What each incident is called: incident_id, else "row N" of the frame given."""
        if "incident_id" in self.frame.columns:
            return [str(v) for v in self.frame["incident_id"].to_list()]
        return [f"row {r}" for r in self.rows]


def placed(incidents: pl.DataFrame, *, asof: window.Moment | None = None, crs: str | None = None, least: int = 10, question: str = "near repeats") -> Placed:
    """The incidents that have a place and a time; lon and lat, or where there are none x and y in metres.

    Raises:
        BadInput: columns are missing. CannotTell: under ``least`` are usable, or all lie at one address or in one moment.
    """
    schema.require(incidents, "started_at", what="The incidents frame")
    at = None if asof is None else window.moment(asof)
    numbered = incidents.with_row_index("_row")
    known = schema.utc(numbered, [c for c in ("started_at", "ended_at", "reported_at") if c in incidents.columns]) if at is None else (
        window.known_before(numbered, at))
    metres = not {"lon", "lat"} <= set(incidents.columns) and {"x", "y"} <= set(incidents.columns)
    first, second = _numbers(known, "x", "y") if metres else positions(known)
    timed, there = known["started_at"].is_not_null().to_numpy(), np.isfinite(first) & np.isfinite(second)
    usable = np.flatnonzero(timed & there)
    _enough(len(usable), least, incidents, known, timed, there, at, question)
    last = pl.coalesce("ended_at", "started_at") if "ended_at" in known.columns else pl.col("started_at")
    begun, ended = (known.select(c.dt.epoch("us").fill_null(0).cast(pl.Int64)).to_series().to_numpy() for c in (pl.col("started_at"), last))
    reversed_ = int((ended < begun)[usable].sum())
    ended = np.maximum(ended, begun)
    usable = usable[np.lexsort((second[usable], first[usable], ended[usable], begun[usable]))]
    lon, lat = (first[usable], second[usable]) if not metres else (np.full(len(usable), np.nan),) * 2
    plane = None if metres else Plane(crs) if crs else Plane.local(round(float(np.mean(lat)), 3), round(float(np.mean(lon)), 3))
    x, y = (first[usable], second[usable]) if plane is None else plane.to_metres(lon, lat)
    if np.ptp(x) < 0.01 and np.ptp(y) < 0.01:
        raise CannotTell(f"All {len(usable)} incidents lie at the same address, so there is no near and far; check how they were given positions, "
                         "or look at a wider area.")
    if begun[usable].max() == begun[usable].min() and ended[usable].max() == ended[usable].min():
        raise CannotTell(f"All {len(usable)} incidents have the same time, so there is no earlier and later; check how their times were read.")
    notes = [text for n, text in (
        (int((~timed).sum()), "{} incidents have no time and are left out."), (int((timed & ~there).sum()), "{} incidents have no position and are left out."),
        (reversed_, "{} incidents end before they begin; the beginning is taken.")) for text in ([text.format(f"{n:,}")] if n else [])]
    picked = known[usable]
    return Placed(picked.drop("_row"), picked["_row"].to_numpy().astype(np.int64), x, y, lon, lat, begun[usable], ended[usable], plane, incidents.height,
                  tuple(notes))


def located(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose lon and lat are both finite numbers. O(n)."""
    lon, lat = positions(frame)
    return frame.filter(pl.Series(np.isfinite(lon) & np.isfinite(lat), dtype=pl.Boolean))


def since(at: datetime, length: timedelta) -> datetime:
    """Where a window of that length before ``at`` begins; not before the first year that a calendar here has."""
    first = datetime.min.replace(tzinfo=UTC)
    return at - length if at - first > length else first


def _numbers(frame: pl.DataFrame, *columns: str) -> tuple[Floats, Floats]:
    first, second = (frame[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in columns)
    return first, second


def _enough(n: int, least: int, given: pl.DataFrame, known: pl.DataFrame, timed: Any, there: Any, at: object, question: str) -> None:
    if n >= least:
        return
    if given.is_empty():
        raise CannotTell(f"The frame has no rows; at least {least} incidents with a place and a time are needed for {question}.")
    if known.is_empty():
        raise CannotTell(f"None of the {given.height:,} incidents was known before {at:%Y-%m-%d %H:%M} UTC; choose a later asof or load earlier incidents.")
    lost = "".join(f"; {int((~had).sum()):,} have no {what}" for had, what in ((timed, "time"), (there, "position")) if not had.all())
    raise CannotTell(f"{n:,} of {known.height:,} incidents have a place and a time{lost}. At least {least} are needed for {question}: use a longer span, "
                     "a larger area or a wider offence group.")


def days(moments: Ints, zone: str) -> Ints:
    """The local calendar day of each moment, days since 1970; any shape.

    Raises:
        BadInput: unknown zone.
    """
    return _local(moments.ravel(), zone).dt.date().cast(pl.Int32).to_numpy().astype(np.int64).reshape(moments.shape)


def strata(moments: Ints, zone: str, keep: str | None) -> Ints | None:
    """What a permutation leaves as it is: the weekday, calendar month or season (Dec to Feb, ...) of each moment; None for nothing.

    Raises:
        BadInput: unknown ``keep`` or zone.
    """
    if keep is None:
        return None
    if keep not in _KEEP:
        raise BadInput(f"keep={keep!r} is not known; write one of {', '.join(_KEEP)}, or None.")
    local = _local(moments, zone)
    number = local.dt.weekday() if keep == "weekday" else local.dt.month() if keep == "month" else (local.dt.month() % 12) // 3
    return number.to_numpy().astype(np.int64)


def _local(moments: Ints, zone: str) -> pl.Series:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadInput(f"Time zone {zone!r} is not known; write e.g. 'America/Chicago' or 'UTC'.") from None
    return pl.Series(moments, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)


def drawn(start: Ints, end: Ints, draws: int, seed: int) -> Ints:
    """Times drawn evenly from each window, microseconds, shape (draws, n)."""
    share = np.random.default_rng(seed).random((draws, len(start)))
    out: Ints = start + np.floor(share * (end - start + 1)).astype(np.int64)
    return np.minimum(out, end)

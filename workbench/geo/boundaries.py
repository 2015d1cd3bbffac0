"""Which beat, district or neighbourhood was each row in, by the map of its own day or by the map of any day?

Boundaries carry the days for which they hold, so redrawing districts does not rewrite history: what the agency recorded stays in the row's
own column, and what a map says is a join made when it is asked for.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.geo.join import locate
from workbench.geo.plane import positions
from workbench.geo.polygon import Polygon

_NEEDED = ("kind", "name", "valid_from", "valid_to", "geometry")


def assign(frame: pl.DataFrame, boundaries: pl.DataFrame, kind: str, *, on: str | date = "row", time: str = "started_at", zone: str = "UTC") -> pl.Series:
    """The name of the area that each row lies in.

    Args:
        frame: rows with lon and lat.
        boundaries: the table ``boundaries``: kind, name, valid_from, valid_to, geometry (GeoJSON text).
        kind: which map: "beat", "district", "neighbourhood", or the agency's word.
        on: "row" = the map of each row's local day; a date, or text such as "2026-05-01" = the map of that day for all rows.
        time: column of the row's time (a Date, or a time with its zone); only looked at with on="row".
        zone: time zone of the local day.

    Returns:
        Text series of the frame's length; null where a row has no position, no time, or lies in no area of that day's map. Where two areas
        overlap, the one of the later map wins, then the name first in the alphabet; on a shared border see ``geo.join``.

    Raises:
        NotFound: there is no boundary of that kind. BadInput: a column is missing, the day is unreadable, or a geometry is no area.
    """
    areas = _of_kind(boundaries, kind)
    lon, lat = positions(frame)
    days = _days(frame, on, time, zone)
    begins, lasts = areas["valid_from"].drop_nulls().to_list(), areas["valid_to"].drop_nulls().to_list()
    edges = sorted({*begins, *(date.fromordinal(d.toordinal() + 1) for d in lasts if d < date.max)})
    names: list[str | None] = [None] * frame.height
    if days.null_count() == len(days):
        return pl.Series(kind, names, dtype=pl.String)
    span = np.searchsorted(np.array(edges, dtype="datetime64[D]"), days.fill_null(date.min).to_numpy().astype("datetime64[D]"), side="right")
    known = days.is_not_null().to_numpy()
    out = np.full(frame.height, None, dtype=object)
    for number in np.unique(span[known]):
        rows = np.flatnonzero(known & (span == number))
        at = edges[number - 1] if number else date.min
        valid = areas.filter((pl.col("valid_from").fill_null(date.min) <= at) & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= at)))
        found = locate(_polygons(valid), lon[rows], lat[rows])
        held = found >= 0
        out[rows[held]] = np.array(valid["name"].to_list(), dtype=object)[found[held]]
    return pl.Series(kind, out.tolist(), dtype=pl.String)


def on_day(boundaries: pl.DataFrame, kind: str, day: date) -> dict[str, Polygon]:
    """The map of one day: area -> polygon, the latest map first.

    Raises:
        NotFound, BadInput: as for :func:`assign`.
    """
    areas = _of_kind(boundaries, kind)
    valid = areas.filter((pl.col("valid_from").fill_null(date.min) <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= day)))
    return dict(zip(valid["name"].to_list(), _polygons(valid), strict=True))


def _of_kind(boundaries: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The boundaries of a kind: those of the latest map first, and only the latest of a name where spans of days overlap."""
    for column in _NEEDED:
        if column not in boundaries.columns:
            raise BadInput(f"The boundaries have no column {column!r}; they have: {', '.join(boundaries.columns)}.")
    areas = boundaries.filter(pl.col("kind") == kind).sort(["valid_from", "name"], descending=[True, False], nulls_last=True)
    if not areas.height:
        known = boundaries["kind"].drop_nulls().unique().to_list()
        how = "" if known else " Load one with: workbench load boundaries FILE --set kind=beat"
        raise NotFound(f"There is no map of kind {kind!r}.{did_you_mean(kind, known)}{how}")
    last = pl.col("valid_from").shift(1).over("name") - pl.duration(days=1)
    return areas.with_columns(valid_to=pl.min_horizontal("valid_to", last.cast(pl.Date)))


def _polygons(areas: pl.DataFrame) -> list[Polygon]:
    return [Polygon.from_geojson(json.loads(geometry), name) for name, geometry in areas.select("name", "geometry").iter_rows()]


def _days(frame: pl.DataFrame, on: str | date, time: str, zone: str) -> pl.Series:
    if on != "row":
        try:
            day = date.fromisoformat(on) if isinstance(on, str) else on.date() if isinstance(on, datetime) else on
        except ValueError:
            raise BadInput(f"on={on!r} is not a day; write \"row\" or a day such as '2026-05-01'.") from None
        return pl.Series([day] * frame.height, dtype=pl.Date)
    if time not in frame.columns:
        near = did_you_mean(time, frame.columns)
        raise BadInput(f"The frame has no column {time!r} to take each row's day from.{near} Or give one day for all: on='2026-05-01'.")
    kind = frame.schema[time]
    if isinstance(kind, pl.Date):
        return frame[time]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise BadInput(f"Column {time!r} is {kind}; a Date or a time with its zone is needed.")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadInput(f"Time zone {zone!r} is not known; write an IANA name such as 'America/Chicago'.") from None
    return frame[time].dt.convert_time_zone(zone).dt.date()

"""Dated events of a study area on a metre plane, from a frame in any coordinate system: what the NIJ mode works on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid, Ints, Plane, Polygon
from workbench.geo.join import locate
from workbench.models.hotspots._tiles import degrees
from workbench.models.window import Past

SQUARE_MILE = 1609.344**2
DAY = 86400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y/%m/%d", "%m/%d/%y", "%d.%m.%Y")
_FAR = 20.0  # times the middle half's extent from the median: a position so far off is an error


@dataclass(frozen=True, eq=False)
class Study:
    """Events of a study area.

    Args:
        plane: the metre plane.
        x, y: metres on it, shape (n,).
        day: days since 1970 (fractions for times), rising, shape (n,).
        kind: index into ``kinds``, shape (n,).
        kinds: the categories.
        areas: polygons of the study area, degrees.
        square_metres: its area.
        rows: rows given.
        notes: what was left out and how the area was found.
    """

    plane: Plane
    x: Floats
    y: Floats
    day: Floats
    kind: Ints
    kinds: tuple[str, ...]
    areas: tuple[Polygon, ...]
    square_metres: float
    rows: int
    notes: tuple[str, ...]

    def inside(self, x: Floats, y: Floats) -> Any:
        """Which points (metres) lie in the study area; shape of x."""
        lon, lat = degrees(self.plane, x, y)
        return (locate(self.areas, lon.ravel(), lat.ravel()) >= 0).reshape(x.shape)

    def grid(self, cell: float, use: Any) -> Grid:
        """Upright cells over the area; a cell is inside if its middle lies in the area or one of the events ``use`` lies in it."""
        ring = np.concatenate([r for a in self.areas for r in a.rings])
        px, py = self.plane.to_metres(ring[:, 0], ring[:, 1])
        x0, y0 = math.floor(float(px.min()) / cell) * cell, math.floor(float(py.min()) / cell) * cell
        nx, ny = max(int((float(px.max()) - x0) // cell) + 1, 2), max(int((float(py.max()) - y0) // cell) + 1, 2)
        bare = Grid(self.plane, x0, y0, nx, ny, cell)
        inside = self.inside(*bare.centres_metres())
        at = bare.index(self.x[use], self.y[use])
        inside[at[at >= 0]] = True
        return Grid(self.plane, x0, y0, nx, ny, cell, inside)

    def past(self, grid: Grid, use: Ints, until: float) -> Past:
        """The events ``use`` (before day ``until``) on a grid, as the models take them."""
        cell = grid.index(self.x[use], self.y[use])
        use, cell = use[cell >= 0], cell[cell >= 0]
        age = (until - self.day[use]) * DAY
        asof = _EPOCH + timedelta(days=until)
        start = _EPOCH + timedelta(days=math.floor(float(self.day[use].min()))) if len(use) else asof - timedelta(days=1)
        length = max(asof - start, timedelta(days=1))
        return Past(pl.DataFrame(), use, self.x[use], self.y[use], cell, age, age, asof - length, asof, length, len(use), len(use), 0, 0, ())


def study(events: pl.DataFrame, *, x: str, y: str, time: str, category: str | None, crs: str | None, area: Any, before: float = math.inf,
          plane: Plane | None = None) -> Study:
    """Read a frame of events; see ``nij.forecast`` for the arguments. Plane, hull and what lies impossibly far off go by events before day ``before``
    alone; ``plane`` is used where given.

    Raises:
        BadInput: a column is missing or unreadable, the CRS unknown, the area no polygon. CannotTell: no row has a position and a date.
    """
    for name in (x, y, time, *([category] if category else [])):
        if name not in events.columns:
            raise BadInput(f"The events have no column {name!r}.{did_you_mean(name, events.columns)} They have: {', '.join(events.columns)}.")
    day = days(events[time])
    earlier = ~(day >= before)
    plane, px, py = _placed(events, x, y, crs, earlier, plane)
    dated = np.isfinite(day)
    there = np.isfinite(px) & np.isfinite(py)
    ok = dated & there
    if not ok.any():
        raise CannotTell(f"None of the {events.height} events has both a position and a date; the columns {x!r}, {y!r} and {time!r} are needed.")
    far = ok & ~_near(px, py, ok & earlier if (ok & earlier).any() else ok)
    ok &= ~far
    names = events[category].cast(pl.String).fill_null("(none)") if category else pl.Series(["all"] * events.height)
    areas, size, how = _area(area, plane, px[ok & earlier], py[ok & earlier])
    lon, lat = degrees(plane, px, py)
    outside = ok.copy()
    outside[ok] = locate(areas, lon[ok], lat[ok]) < 0 if area is not None and not isinstance(area, (int, float)) else False
    ok &= ~outside
    order = np.flatnonzero(ok)[np.lexsort((py[ok], px[ok], day[ok]))]
    kinds = tuple(sorted(set(names.to_list())))
    code = {k: i for i, k in enumerate(kinds)}
    kind = np.array([code[k] for k in names.to_list()], dtype=np.int64)
    lost = [(int((~there).sum()), "have no position"), (int((there & ~dated).sum()), "have no date"), (int(far.sum()), "lie impossibly far off"),
            (int(outside.sum()), "lie outside the study area")]
    notes = tuple(f"{n:,} of {events.height:,} events {why} and are left out." for n, why in lost if n)
    return Study(plane, px[order], py[order], day[order], kind[order], kinds, areas, size, events.height, (*notes, how))


def days(column: pl.Series) -> Floats:
    """Dates or times as days since 1970, by the clock on the wall; null is nan.

    Raises:
        BadInput: text that is no date, or another type.
    """
    if column.dtype == pl.String:
        column = _read(column)
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us"))
    if not isinstance(column.dtype, pl.Datetime):
        raise BadInput(f"The column {column.name!r} holds {column.dtype}, no dates; give dates, times or text like 2017-03-01.")
    plain = column.dt.replace_time_zone(None).dt.cast_time_unit("us")
    return plain.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() / 8.64e10


def _read(text: pl.Series) -> pl.Series:
    given = text.str.strip_chars().replace("", None)
    for form in (None, *_FORMS):
        try:
            made = given.str.to_datetime(form, strict=False, time_unit="us") if form else given.str.slice(0, 19).str.replace(" ", "T").str.to_datetime(
                "%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us").fill_null(given.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
        except pl.exceptions.PolarsError:
            continue
        if made.null_count() == given.null_count():
            return made.alias(text.name)
    wrong = given.drop_nulls()
    raise BadInput(f"The dates in {text.name!r}, such as {wrong[0] if len(wrong) else ''!r}, are not all of one readable form; write 2017-03-01 or 03/01/2017.")


def _placed(events: pl.DataFrame, x: str, y: str, crs: str | None, earlier: Any, plane: Plane | None) -> tuple[Plane, Floats, Floats]:
    try:
        a, b = (events[c].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(float) for c in (x, y))
    except pl.exceptions.PolarsError:
        raise BadInput(f"The columns {x!r} and {y!r} are not both numbers; give coordinates as numbers.") from None
    a, b = np.where(np.isfinite(a), a, np.nan), np.where(np.isfinite(b), b, np.nan)
    zero = (a == 0) & (b == 0)
    a, b = np.where(zero, np.nan, a), np.where(zero, np.nan, b)
    if crs is None or crs.upper().replace(" ", "") in ("EPSG:4326", "WGS84", "OGC:CRS84"):
        if np.nanmax(np.abs(a), initial=0) > 180 or np.nanmax(np.abs(b), initial=0) > 90:
            raise BadInput(f"The columns {x!r} and {y!r} hold values such as {np.nanmax(np.abs(a)):,.0f}, no degrees; name their CRS, e.g. crs='EPSG:3435'.")
        known = np.isfinite(a) & np.isfinite(b) & earlier
        if plane is None:
            plane = Plane.local(round(float(np.median(b[known])), 3), round(float(np.median(a[known])), 3)) if known.any() else Plane.local(0.0, 0.0)
        return (plane, *plane.to_metres(a, b))
    plane = Plane(crs)
    unit = plane._transformers[2] if plane._local is None else 1.0
    return plane, a * unit, b * unit


def _near(x: Floats, y: Floats, ok: Any) -> Any:
    near = np.ones(len(x), dtype=bool)
    for v in (x, y):
        low, middle, high = np.quantile(v[ok], [0.25, 0.5, 0.75])
        near &= np.abs(v - middle) <= max(_FAR * (high - low), 20_000.0)
    return near


def _area(area: Any, plane: Plane, x: Floats, y: Floats) -> tuple[tuple[Polygon, ...], float, str]:
    if area is None or isinstance(area, (int, float)):
        if not len(x):
            raise CannotTell("There is no event before asof, so there is no area to lay cells over; give an area, or a later asof.")
        hull = _hull(x, y)
        lon, lat = degrees(plane, hull[:, 0], hull[:, 1])
        own = (Polygon((np.column_stack([lon, lat]),), "convex hull of the events"),)
        if area is None:
            size = max(_size(hull[:, 0], hull[:, 1]), 1.0)
            return own, size, f"No study area was given: it is the convex hull of the events known, {size / SQUARE_MILE:,.1f} square miles."
        if not (area > 0 and math.isfinite(area)):
            raise BadInput(f"A study area of {area!r} square miles is not possible; give a polygon, or its size in square miles.")
        told = f"The study area counts {area:,.2f} square miles, as given; cells may lie anywhere in the convex hull of the events."
        return own, float(area) * SQUARE_MILE, told
    polygons = polygons_of(area)
    size = 0.0
    for ring in (r for p in polygons for r in p.rings):
        rx, ry = plane.to_metres(ring[:, 0], ring[:, 1])
        size += _signed(rx, ry) if len(polygons) == 1 and len(polygons[0].rings) == 1 else 0.0
    if size == 0.0:
        size = _rastered(polygons, plane)
    return polygons, abs(size), f"The study area given counts {abs(size) / SQUARE_MILE:,.1f} square miles."


def polygons_of(area: Any) -> tuple[Polygon, ...]:
    """The polygons of a Polygon, several, or a GeoJSON geometry, feature or collection in degrees.

    Raises:
        BadInput: it is none of these.
    """
    if isinstance(area, Polygon):
        return (area,)
    if isinstance(area, (list, tuple)) and area and all(isinstance(a, Polygon) for a in area):
        return tuple(area)
    if isinstance(area, dict):
        if "features" in area:
            return tuple(p for f in area["features"] for p in polygons_of(f))
        return (Polygon.from_geojson(area.get("geometry", area)),)
    raise BadInput(f"A study area of type {type(area).__name__} does not do; give a Polygon, GeoJSON, a size in square miles, or none.")


def _signed(x: Floats, y: Floats) -> float:
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _size(x: Floats, y: Floats) -> float:
    return _signed(x, y)


def _rastered(polygons: tuple[Polygon, ...], plane: Plane) -> float:
    """Area of several rings, holes left out, by a million points."""
    ring = np.concatenate([r for p in polygons for r in p.rings])
    x, y = plane.to_metres(ring[:, 0], ring[:, 1])
    wide, high = float(np.ptp(x)), float(np.ptp(y))
    step = math.sqrt(max(wide * high, 1.0) / 1e6)
    gx, gy = np.meshgrid(np.arange(x.min() + step / 2, x.max(), step), np.arange(y.min() + step / 2, y.max(), step))
    lon, lat = degrees(plane, gx, gy)
    return float((locate(polygons, lon.ravel(), lat.ravel()) >= 0).sum()) * step**2


def _hull(x: Floats, y: Floats) -> Floats:
    """The convex hull, closed, shape (k, 2) (Andrew's monotone chain); a point or a line is widened to a box of 500 m."""
    points = np.unique(np.column_stack([x, y]), axis=0)
    if len(points) < 3 or min(np.ptp(points[:, 0]), np.ptp(points[:, 1])) < 1.0:
        (x0, y0), (x1, y1) = points.min(axis=0) - 250, points.max(axis=0) + 250
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])
    halves = []
    for side in (points, points[::-1]):
        chain: list[Any] = []
        for p in side.tolist():
            while len(chain) > 1 and (chain[-1][0] - chain[-2][0]) * (p[1] - chain[-2][1]) <= (chain[-1][1] - chain[-2][1]) * (p[0] - chain[-2][0]):
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return np.array([*halves[0], *halves[1], halves[0][0]])


def day_of(value: str | date | datetime, what: str = "asof") -> float:
    """A date or wall-clock time as days since 1970. Raises: BadInput, it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise BadInput(f"{what} {value!r} is not a date; write e.g. '2017-03-01'.") from None
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise BadInput(f"{what} is a {type(value).__name__}; a date or text like '2017-03-01' is needed.")
        value = datetime(value.year, value.month, value.day)
    return (value.replace(tzinfo=UTC) - _EPOCH).total_seconds() / 86400

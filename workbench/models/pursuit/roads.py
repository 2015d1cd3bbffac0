"""How long does the drive take, by the streets? A compact drive graph, times from many places to many, and the quickest way between two.

Free-flow times are a lower bound of what a law-abiding driver needs; what a fast one needs is a share of them. The graph is the largest strongly
connected part of the streets; corners where one street simply goes on as another are merged, with their geometry kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import positions
from workbench.layers import Layer, Lines, Points
from workbench.models.pursuit._graph import Places, Roads
from workbench.models.window import Span, span
from workbench.models.wording import said, several
from workbench.results import Basis, Ranking, Track, origin_of, recorded

_SOURCE = "Dijkstra 1959 (doi:10.1007/BF01386390); Tarjan 1972 (doi:10.1137/0201010); A*: Hart, Nilsson, Raphael 1968 (doi:10.1109/TSSC.1968.300136)"
_LARGEST = 5_000_000


def graph(streets: pl.DataFrame, *, limit: float = 150.0) -> Roads:
    """The drive graph of some streets, made ready to be asked many times.

    Args:
        streets: the streets table (``city.table("streets")``), or what ``workbench.geo.extract.streets`` reads from an .osm.pbf: ``geometry`` and, where
            known, class, one_way, speed_limit (metres a second), source. Footways, cycleways, steps and tracks are left out.
        limit: metres within which a point is put on a street.

    Returns: the graph; ``notes`` say what share of the streets it holds and, for OpenStreetMap data, whose they are. Turn restrictions are not used: the
    streets table has none, so a time may be shorter than the shortest legal drive, never longer.

    Raises:
        CannotTell: no streets one may drive, or none that are joined up. BadInput: no column geometry, or a limit that is none.

    Cost: about 0.15 s for 30,000 pieces of street.
    """
    return Roads(streets, limit=limit)


@recorded
def times(origins: pl.DataFrame, destinations: pl.DataFrame, roads: Roads | pl.DataFrame, *, within: Span | None = None) -> Ranking:
    """Quickest free-flow drives from each origin to each destination.

    Args:
        origins, destinations: lon, lat and, where there is one, a column ``name``.
        roads: the drive graph, or streets to make it of.
        within: drives that take longer are left out; None = all.

    Returns: a Ranking, the quickest first. ``table``: origin, destination (row number or name), minutes, straight_km, origin_off_m, destination_off_m
    (metres from each point to its street).

    Raises:
        CannotTell: no place of one side lies near a street, or no drive is as short as ``within``.
        BadInput: columns are missing, or more than 5,000,000 pairs are asked for.

    Cost: one search a place of the fewer side, about 2 ms each in a city of 18,000 nodes.
    """
    roads = roads if isinstance(roads, Roads) else graph(roads)
    sides, names = [], []
    for frame, what in ((origins, "origins"), (destinations, "destinations")):
        schema.require(frame, "lon", "lat", what=f"The frame of {what}")
        put = roads.place(*positions(frame))
        if not put.on.any():
            raise CannotTell(f"None of the {several(len(frame), what[:-1])} lies within {roads.limit:g} m of a street one may drive, so no drive can be timed; "
                             "check their positions, or load the streets about them.")
        sides.append(put)
        rows = pl.Series([str(k) for k in range(len(frame))], dtype=pl.String)
        if "name" in frame.columns and frame.schema["name"].is_nested():
            raise BadInput(f"Column 'name' of the {what} is {frame.schema['name']}, not text.")
        names.append(frame["name"].cast(pl.String).zip_with(frame["name"].is_not_null(), rows) if "name" in frame.columns else rows)
    a, b = sides
    if len(a) * len(b) > _LARGEST:
        raise BadInput(f"{len(a):,} x {len(b):,} drives are too many for one table; ask for at most {_LARGEST:,}.")
    most = None if within is None else span(within, "within")
    found = roads.times(a, b, within=math.inf if most is None else most.total_seconds())
    i, j = np.nonzero(np.isfinite(found))
    if not len(i):
        raise CannotTell(f"No drive between them takes {said(most) if most else 'a finite time'} or less; ask for a longer one.")
    x, y = (np.hypot(a.x[i] - b.x[j], a.y[i] - b.y[j]), found[i, j])
    table = pl.DataFrame({"origin": names[0].gather(i), "destination": names[1].gather(j), "minutes": y / 60, "straight_km": x / 1000,
                          "origin_off_m": a.off[i], "destination_off_m": b.off[j]}).sort("minutes", "origin", "destination", maintain_order=True)
    off = len(a) - int(a.on.sum()) + len(b) - int(b.on.sum())
    best = table.row(0, named=True)
    apart = f" {several(off, 'place lies', 'places lie')} near no street." if off else ""
    headline = (f"{several(len(table), 'drive')} of {len(a) * len(b):,}; the quickest, from {best['origin']} to {best['destination']}, takes "
                f"{best['minutes']:.1f} minutes at free flow, the middle one {float(np.median(y)) / 60:.1f}.{apart}")
    basis = Basis.of(origins, destinations, roads, method="shortest free-flow times on the drive graph (Dijkstra)", source=_SOURCE,
                     parameters={"within": within, "limit": f"{roads.limit:g} m"}, notes=roads.notes)
    return Ranking(headline=headline, table=table, layers=_points((origins, a, "Origins"), (destinations, b, "Destinations")), basis=basis,
                   base=origin_of(origins, destinations, roads).base)


def _points(*sides: tuple[pl.DataFrame, Places, str]) -> tuple[Layer, ...]:
    layers = []
    for frame, put, name in sides:
        lon, lat = positions(frame)
        on = np.flatnonzero(put.on)
        layers.append(Points(name, lon[on], lat[on], tuple(f"place:{name.lower()} {k}" for k in on), tuple(f"{put.off[k]:.0f} m from its street" for k in on),
                             kind="place"))
    return tuple(layers)


@recorded
def drive(roads: Roads | pl.DataFrame, origin: tuple[float, float], destination: tuple[float, float]) -> Track:
    """The quickest free-flow drive between two places.

    Args:
        roads: the drive graph, or streets to make it of.
        origin, destination: (lon, lat), degrees.

    Returns: a Track. ``table``: minutes, kilometres (by street), straight_km, origin_off_m and destination_off_m (metres to their streets); one row.

    Raises:
        CannotTell: a place lies near no street. BadInput: a place is none.

    Cost: some milliseconds.
    """
    roads = roads if isinstance(roads, Roads) else graph(roads)
    put = [place_of(roads, at, what) for at, what in ((origin, "origin"), (destination, "destination"))]
    seconds, metres, line = roads.way(*put)
    if not math.isfinite(seconds):
        raise CannotTell("There is no drive between the two places on these streets.")
    straight = math.hypot(put[0].x[0] - put[1].x[0], put[0].y[0] - put[1].y[0])
    headline = (f"{seconds / 60:.1f} minutes at free flow over {metres / 1000:.1f} km of street ({straight / 1000:.1f} km straight); the places lie "
                f"{put[0].off[0]:.0f} m and {put[1].off[0]:.0f} m from their streets.")
    table = pl.DataFrame({"minutes": [seconds / 60], "kilometres": [metres / 1000], "straight_km": [straight / 1000], "origin_off_m": [float(put[0].off[0])],
                          "destination_off_m": [float(put[1].off[0])]})
    basis = Basis.of(roads, method="quickest free-flow way on the drive graph (A*)", source=_SOURCE,
                     parameters={"origin": list(origin), "destination": list(destination)}, notes=roads.notes)
    return Track(headline=headline, table=table, layers=(Lines("Quickest drive", (line,), ("way:0",), (headline,), role="track", arrows=True),), basis=basis,
                 base=origin_of(roads).base)


def place_of(roads: Roads, at: Any, what: str) -> Places:
    """One (lon, lat) on the graph.

    Raises:
        BadInput: it is no place on earth. CannotTell: no street lies near it.
    """
    ok = isinstance(at, (tuple, list)) and len(at) == 2 and all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in at)
    if not ok or abs(at[0]) > 180 or abs(at[1]) > 90:
        raise BadInput(f"{what} {at!r} is no place; give (longitude, latitude) in degrees, e.g. (-90.91, 41.60).")
    put = roads.place([at[0]], [at[1]])
    if not put.on[0]:
        raise CannotTell(f"The {what} ({at[0]:.5f}, {at[1]:.5f}) lies more than {roads.limit:g} m from every street one may drive; check it (longitude comes "
                         "first), or load the streets about it.")
    return put

"""What can be drawn: cells, points, lines, areas, wedges. No word on how; a view decides that.

A layer carries its geometry in WGS84 degrees, an id a feature (so that a click can be answered) and a plain-text tip a feature
(never HTML: views must escape or use text nodes). Values are numbers; colours come from the palette named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import BadInput, did_you_mean
from workbench.geo import Grid, Hexagons, Polygon, positions
from workbench.geo.segments import Segments

#: Palette names a view must know. "risk" is sequential (pale yellow to dark red), "change" diverges around 0 (blue, white, red),
#: "plain" is one muted colour, "kind" colours by entity kind.
PALETTES = ("risk", "change", "plain", "kind")

#: Kinds of thing a point can stand for; views have an icon and a colour for each.
KINDS = ("incident", "call", "read", "person", "vehicle", "phone", "address", "camera", "unit", "gunshot", "place")


@dataclass(frozen=True, eq=False)
class Cells:
    """Grid squares with a value each.

    Args:
        name: shown in the layer control.
        grid: the grid.
        cells: cell numbers drawn, shape (k,).
        values: one number a drawn cell, shape (k,).
        unit: what a value is, for the legend ("expected incidents in 7 days").
        tips: one plain text a drawn cell, or empty.
        marked: cell numbers outlined as chosen (e.g. the top 2 %).
        palette: one of PALETTES.
    """

    name: str
    grid: Grid
    cells: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, np.dtype[np.float64]]
    unit: str = ""
    tips: tuple[str, ...] = ()
    marked: tuple[int, ...] = ()
    palette: str = "risk"

    def __post_init__(self) -> None:
        _same_length(self.name, len(self.cells), values=len(self.values), tips=len(self.tips) or len(self.cells))


@dataclass(frozen=True, eq=False)
class Points:
    """Points with an id each. ``kind`` is one of KINDS (one for all, or one a point through ``kinds``).

    ``weights`` (shape (n,), optional) scales the mark's area; ``numbers`` puts an order number into the mark (a track, a series).
    """

    name: str
    lon: np.ndarray[Any, np.dtype[np.float64]]
    lat: np.ndarray[Any, np.dtype[np.float64]]
    ids: tuple[str, ...]
    tips: tuple[str, ...] = ()
    kind: str = "incident"
    kinds: tuple[str, ...] = ()
    weights: np.ndarray[Any, np.dtype[np.float64]] | None = None
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.lon)
        _same_length(self.name, n, lat=len(self.lat), ids=len(self.ids), tips=len(self.tips) or n, kinds=len(self.kinds) or n)

    @classmethod
    def of(cls, name: str, frame: pl.DataFrame, *, key: str, tip: str = "", kind: str = "incident") -> Points:
        """A point for each row of a frame that has a position.

        Args:
            name: shown in the layer control.
            frame: with columns lon and lat.
            key: column whose values, behind ``kind:``, are the ids.
            tip: column shown as the tip; without it the key.
            kind: one of KINDS.

        Raises:
            BadInput: a column is missing.
        """
        lon, lat = positions(frame)
        for column in (key, tip or key):
            if column not in frame.columns:
                raise BadInput(f"The frame has no column {column!r}.{did_you_mean(column, frame.columns)}")
        ok = np.isfinite(lon) & np.isfinite(lat)
        placed = frame.filter(pl.Series(ok, dtype=pl.Boolean))
        texts = [tuple(str(v) for v in placed[c].to_list()) for c in (key, tip or key)]
        return cls(name, lon[ok], lat[ok], ids=tuple(f"{kind}:{v}" for v in texts[0]), tips=texts[1], kind=kind)


@dataclass(frozen=True, eq=False)
class Lines:
    """Paths of (lon, lat), each an array of shape (k, 2). ``role`` is "street", "river", "bridge", "track", "link" or "marked"; ``arrows`` shows direction."""

    name: str
    paths: tuple[np.ndarray[Any, np.dtype[np.float64]], ...]
    ids: tuple[str, ...] = ()
    tips: tuple[str, ...] = ()
    role: str = "link"
    arrows: bool = False
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.paths)
        _same_length(self.name, n, ids=len(self.ids) or n, tips=len(self.tips) or n, weights=len(self.weights) or n)


@dataclass(frozen=True, eq=False)
class Areas:
    """Polygons, outlined; filled by ``values`` where given (palette as for Cells). ``role`` "beat" is drawn as a quiet base outline,
    "tile" (one of many that lie side by side) without one, "ribbon" (a piece of street) edged in its own colour, so that it is seen however thin."""

    name: str
    polygons: tuple[Polygon, ...]
    ids: tuple[str, ...] = ()
    tips: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    unit: str = ""
    role: str = "area"
    palette: str = "risk"

    def __post_init__(self) -> None:
        n = len(self.polygons)
        _same_length(self.name, n, ids=len(self.ids) or n, tips=len(self.tips) or n, values=len(self.values) or n)


@dataclass(frozen=True, eq=False)
class Wedges:
    """Fields of view: a sector at (lon, lat) from ``bearing - spread / 2`` to ``bearing + spread / 2`` degrees clockwise of north, ``reach`` metres long."""

    name: str
    lon: np.ndarray[Any, np.dtype[np.float64]]
    lat: np.ndarray[Any, np.dtype[np.float64]]
    bearing: np.ndarray[Any, np.dtype[np.float64]]
    spread: np.ndarray[Any, np.dtype[np.float64]]
    reach: np.ndarray[Any, np.dtype[np.float64]]
    ids: tuple[str, ...] = field(default=())
    tips: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.lon)
        _same_length(self.name, n, lat=len(self.lat), bearing=len(self.bearing), spread=len(self.spread), reach=len(self.reach),
                     ids=len(self.ids) or n, tips=len(self.tips) or n)


Layer = Cells | Points | Lines | Areas | Wedges


def tiles(name: str, tiling: Grid | Hexagons | Segments, values: Any, *, shown: Any = None, unit: str = "", tips: tuple[str, ...] = (),
          palette: str = "risk") -> Cells | Areas:
    """Values on any tiling as a layer: squares as Cells, hexagons and pieces of street as Areas; the id of each is its number.

    Args:
        values: one number a tile, shape (tiles,).
        shown: numbers of the tiles to draw, in order; None = those inside with a value that is not 0.
        tips: one text a tile drawn, or empty.

    Raises:
        BadInput: values do not fit the tiling.
    """
    every = np.asarray(values, dtype=np.float64)
    if every.shape != (len(tiling),):
        raise BadInput(f"Layer {name!r}: values of shape {every.shape} for {len(tiling)} tiles; give one each.")
    drawn = np.flatnonzero(tiling.inside & (every != 0)) if shown is None else np.asarray(shown, dtype=np.int64)
    if isinstance(tiling, Grid):
        return Cells(name, tiling, drawn, every[drawn], unit=unit, tips=tips, palette=palette)
    role = "ribbon" if isinstance(tiling, Segments) else "tile"
    return Areas(name, tiling.polygons(drawn), ids=tuple(str(t) for t in drawn.tolist()), tips=tips, values=tuple(every[drawn].tolist()), unit=unit,
                 role=role, palette=palette)


def _same_length(layer: str, n: int, **others: int) -> None:
    for what, k in others.items():
        if k != n:
            raise BadInput(f"Layer {layer!r}: {k} {what} for {n} features; give one each or none.")


def bounds(layers: tuple[Layer, ...] | list[Layer]) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) around everything drawn, or None when nothing has a position."""
    lon: list[np.ndarray[Any, Any]] = []
    lat: list[np.ndarray[Any, Any]] = []
    for layer in layers:
        if isinstance(layer, Cells):
            c = layer.grid.corners(layer.cells).reshape(-1, 2)
            lon.append(c[:, 0])
            lat.append(c[:, 1])
        elif isinstance(layer, (Points, Wedges)):
            lon.append(np.asarray(layer.lon))
            lat.append(np.asarray(layer.lat))
        else:
            rings = layer.paths if isinstance(layer, Lines) else tuple(r for p in layer.polygons for r in p.rings)
            lon += [r[:, 0] for r in rings]
            lat += [r[:, 1] for r in rings]
    x, y = (np.concatenate(v) if v else np.empty(0) for v in (lon, lat))
    ok = np.isfinite(x) & np.isfinite(y)
    if not ok.any():
        return None
    x, y = x[ok], y[ok]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())

"""Shapes that every medium needs and no layer holds: the outline of marked cells, sectors, squares that count many points, pixels."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np

from workbench.geo import Grid, Plane, Polygon
from workbench.layers import Cells, Points, Wedges
from workbench.views import theme
from workbench.views.scales import BLANK, Scale

#: Above this many cells a layer is painted as one image, one pixel a cell.
IMAGE_ABOVE = 20_000
#: Above this many points a layer is counted into squares before it leaves Python, and says so.
COUNT_ABOVE = 10_000

#: A turned grid's image has at most about this many pixels along its diagonal, two a cell where that is fewer.
_PIXELS = 3000

Array = np.ndarray[Any, Any]


def outline(grid: Grid, cells: tuple[int, ...] | Array) -> list[Array]:
    """The edge around a set of cells as straight paths of (lon, lat), each of shape (2, 2); edges inside the set are left out.

    Collinear pieces are joined. O(cells of the grid).
    """
    at = np.asarray(cells, dtype=np.int64)
    if not len(at):
        return []
    mask = np.zeros((grid.ny + 2, grid.nx + 2), dtype=bool)
    mask[at // grid.nx + 1, at % grid.nx + 1] = True
    flat = [(row, a, row, b) for row, a, b in _runs(mask[1:, 1:-1] != mask[:-1, 1:-1])]
    upright = [(a, column, b, column) for column, a, b in _runs((mask[1:-1, 1:] != mask[1:-1, :-1]).T)]
    pieces = np.array(flat + upright, dtype=float)
    lon, lat = grid.plane.to_degrees(grid.x0 + pieces[:, [1, 3]] * grid.cell, grid.y0 + pieces[:, [0, 2]] * grid.cell)
    return list(np.stack([lon, lat], axis=2))


def _runs(edges: Array) -> list[tuple[int, int, int]]:
    """(row, start, stop) of each unbroken run of True along the rows."""
    padded = np.pad(edges.astype(np.int8), ((0, 0), (1, 1)))
    step = np.diff(padded, axis=1)
    row, start = np.nonzero(step == 1)
    _, stop = np.nonzero(step == -1)
    return [(int(r), int(a), int(b)) for r, a, b in zip(row, start, stop, strict=True)]


def sectors(layer: Wedges) -> list[Array]:
    """Each wedge as a closed ring of (lon, lat), about one point every 5 degrees; a spread of 360 or more is a full circle."""
    out = []
    for lon, lat, bearing, spread, reach in zip(layer.lon, layer.lat, layer.bearing, layer.spread, layer.reach, strict=True):
        full = spread >= 360
        turn = np.radians(np.linspace(bearing - spread / 2, bearing + spread / 2, max(3, math.ceil(min(spread, 360) / 5) + 1)))
        x, y = np.sin(turn) * reach, np.cos(turn) * reach
        if not full:
            x, y = np.concatenate([[0.0], x, [0.0]]), np.concatenate([[0.0], y, [0.0]])
        out.append(np.stack(Plane.local(float(lat), float(lon)).to_degrees(x, y), axis=1))
    return out


def counted(layer: Points) -> tuple[Cells, str]:
    """Very many points as counts in squares, and the sentence that says so. O(n)."""
    lon, lat = np.asarray(layer.lon, dtype=float), np.asarray(layer.lat, dtype=float)
    ok = np.isfinite(lon) & np.isfinite(lat)
    plane = Plane.local(round(float(np.median(lat[ok])), 3), round(float(np.median(lon[ok])), 3))
    x, y = plane.to_metres(lon[ok], lat[ok])
    (x0, x1), (y0, y1) = np.quantile(x, (0.001, 0.999)), np.quantile(y, (0.001, 0.999))
    wanted = max(x1 - x0, y1 - y0, 100.0) / 60
    side = next((s for s in (20.0, 50.0, 100.0, 200.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0) if s >= wanted), 10_000.0)
    left, low = math.floor(x.min() / side) * side, math.floor(y.min() / side) * side
    side = max(side, math.ceil(max(x.max() - left, y.max() - low) / 1500))
    grid = Grid(plane, left, low, int((x.max() - left) // side) + 1, int((y.max() - low) // side) + 1, side)
    counts = grid.index(x, y)
    number, n = np.unique(counts[counts >= 0], return_counts=True)
    note = f"{int(ok.sum()):,} points, counted in squares of {side:,.0f} m"
    return Cells(layer.name, grid, number, n.astype(float), unit=f"in each {side:,.0f} m square"), note


def lattice(grid: Grid, steps: int = 16) -> Array:
    """(lon, lat) of ``steps + 1`` by ``steps + 1`` points spread evenly over the grid from its south-west corner, shape (steps + 1, steps + 1, 2).

    Between them a cell's place is found by straight interpolation, right to well under a metre over a city, on any projected CRS.
    """
    x = grid.x0 + np.linspace(0, grid.nx * grid.cell, steps + 1)
    y = grid.y0 + np.linspace(0, grid.ny * grid.cell, steps + 1)
    return np.stack(grid.plane.to_degrees(*np.meshgrid(x, y)), axis=2)


def picture(layer: Cells, scale: Scale) -> tuple[str, tuple[float, float, float, float]]:
    """The cells as one PNG (data URI), one pixel a cell (of a turned grid two), north up, and its (west, south, east, north)."""
    grid = layer.grid
    colours = np.zeros((256, 4), dtype=np.uint8)
    for i, (colour, alpha) in enumerate(zip(scale.colours, scale.alphas, strict=True)):
        colours[i] = (*theme.rgb(colour), round(alpha * 255))
    pixels = np.full(len(grid), BLANK, dtype=np.uint8)
    pixels[np.asarray(layer.cells)] = scale.classes(layer.values)
    edge = lattice(grid, 1)
    west, south, east, north = (float(v) for v in (*edge.reshape(-1, 2).min(axis=0), *edge.reshape(-1, 2).max(axis=0)))
    if grid.plane.turned:  # an image lies north up, so each of its pixels takes the cell under its middle
        fine = _PIXELS / math.hypot(grid.nx, grid.ny)
        wide, tall = (max(2, math.ceil(min(2.0, fine) * n)) for n in _extent(grid))
        lon, lat = np.meshgrid(west + (np.arange(wide) + 0.5) / wide * (east - west), north - (np.arange(tall) + 0.5) / tall * (north - south))
        at = grid.index(*grid.plane.to_metres(lon, lat))
        rows = np.where(at >= 0, pixels[np.maximum(at, 0)], BLANK)
    else:
        west, south, east, north = float(edge[0, :, 0].min()), float(edge[0, :, 1].min()), float(edge[:, 1, 0].max()), float(edge[1, :, 1].max())
        rows = pixels.reshape(grid.ny, grid.nx)[::-1]
    data = png(colours[rows])
    return "data:image/png;base64," + base64.b64encode(data).decode(), (west, south, east, north)


def _extent(grid: Grid) -> tuple[float, float]:
    """Columns and rows that a turned grid spans from west to east and from south to north."""
    c, s = abs(math.cos(math.radians(grid.plane.turned))), abs(math.sin(math.radians(grid.plane.turned)))
    return grid.nx * c + grid.ny * s, grid.nx * s + grid.ny * c


def png(rgba: Array) -> bytes:
    """An RGBA image of shape (height, width, 4), uint8, as PNG bytes."""
    height, width, _ = rgba.shape
    rows = np.zeros((height, width * 4 + 1), dtype=np.uint8)
    rows[:, 1:] = rgba.reshape(height, width * 4)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def label_place(polygon: Polygon) -> tuple[float, float]:
    """(lon, lat) well inside an area, for its name: of a 9 x 9 grid of candidates the one farthest from the edge. O(edges)."""
    west, south, east, north = polygon.bounds
    lon, lat = (a.ravel() for a in np.meshgrid(np.linspace(west, east, 11)[1:-1], np.linspace(south, north, 11)[1:-1]))
    inside = polygon.contains(lon, lat)
    if not inside.any():
        return (west + east) / 2, (south + north) / 2
    lon, lat = lon[inside], lat[inside]
    shrink = math.cos(math.radians((south + north) / 2))
    far = np.full(len(lon), np.inf)
    for ring in polygon.rings:
        ax, ay = ring[:-1, 0] * shrink, ring[:-1, 1]
        dx, dy = np.diff(ring[:, 0]) * shrink, np.diff(ring[:, 1])
        px, py = lon[:, None] * shrink - ax, lat[:, None] - ay
        t = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-18), 0, 1)
        far = np.minimum(far, ((px - t * dx) ** 2 + (py - t * dy) ** 2).min(axis=1))
    best = int(np.argmax(np.round(far, 12)))
    return float(lon[best]), float(lat[best])

"""Maps for paper: the same layers as an SVG that stands alone (no style sheet, no script, no image from elsewhere) and prints crisply.

Everything is clipped to the frame; legend, scale bar and north arrow belong to the drawing. resvg (Typst), browsers and office programs
all draw it alike, so only plain SVG 1.1 is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import BadInput
from workbench.layers import Areas, Cells, Layer, Lines, Points, Wedges, bounds
from workbench.views import figures, paper_legend, theme
from workbench.views.marks import Labels, escape, mark, text_width
from workbench.views.scales import BLANK, scale_of
from workbench.views.scene import check

Array = np.ndarray[Any, Any]
_C = theme.LIGHT
_BASE = {"water": 0, "river": 0, "street": 1, "bridge": 2, "beat": 4}


@dataclass(frozen=True)
class Frame:
    """Degrees to drawing units (1/96 inch): an equirectangular fit about the middle of the map, north up."""

    west: float
    south: float
    east: float
    north: float
    width: float
    height: float
    top: float

    @property
    def per_metre(self) -> float:
        """Drawing units in a metre."""
        return self.height / ((self.north - self.south) * 110_950)

    def xy(self, path: Array) -> Array:
        """(lon, lat) rows to (x, y) rows."""
        at = np.asarray(path, dtype=float)
        x = (at[:, 0] - self.west) / (self.east - self.west) * self.width
        y = self.top + (self.north - at[:, 1]) / (self.north - self.south) * self.height
        return np.stack([x, y], axis=1)

    def sees(self, xy: Array, slack: float = 12) -> bool:
        """Whether any of a path's box lies in the frame."""
        low, high = xy.min(axis=0), xy.max(axis=0)
        return bool(high[0] > -slack and low[0] < self.width + slack and high[1] > self.top - slack and low[1] < self.top + self.height + slack)


def svg(layers: Sequence[Layer], *, base: Sequence[Layer] = (), width: int = 640, height: int | None = None, title: str = "", legend: bool = True) -> str:
    """Draw layers over a base map.

    Args:
        layers: what to draw; cells lie lowest, points highest.
        base: streets, river, beats beneath.
        width: of the drawing, in CSS pixels (1/96 inch).
        height: of the map without title and legend; chosen from the shape of the place if not given.
        title: set above the map.
        legend: whether a legend is set below the map.

    Returns:
        one ``<svg>`` element as text, valid XML. Nothing drawable gives a drawing that says so.

    Raises:
        BadInput: the width or height is too small, something is not a layer, or two layers share a name.
    """
    if width < 120 or (height is not None and height < 80):
        raise BadInput(f"A drawing of {width} x {height or 'any'} is too small to read; give at least width=120 and height=80.")
    drawn, under = check(layers), check(base)
    top = 26.0 if title else 0.0
    frame = _frame(drawn, under, float(width), height, top)
    head = [f'<text x="0" y="16" font-size="14" font-weight="bold" fill="{_C["ink"]}">{escape(title)}</text>'] if title else []
    if frame is None:
        box = f'<rect x="0" y="{top:g}" width="{width}" height="{height or 120}" fill="{_C["land"]}"/>'
        middle = f'x="{width / 2:g}" y="{top + (height or 120) / 2:g}" text-anchor="middle" font-size="12" fill="{_C["muted"]}"'
        note = f"<text {middle}>Nothing to show on the map.</text>"
        return _wrap([*head, box, note], width, top + (height or 120), title)
    labels = Labels(width, top, frame.height)
    labels.claim(frame.width - 34, top + 4, 34, 40)
    labels.claim(0, top + frame.height - 30, 150, 30)
    body = list(_body(drawn, under, frame, labels))
    keys, below = paper_legend.keys(drawn, frame.width, frame.top + frame.height + 10) if legend else ([], 0.0)
    total = top + frame.height + (below + 12 if keys else 0)
    clip = f'<clipPath id="map"><rect x="0" y="{top:g}" width="{width}" height="{frame.height:g}"/></clipPath>'
    land = f'<rect x="0" y="{top:g}" width="{width}" height="{frame.height:g}" fill="{_C["land"]}"/>'
    edge = f'<rect x="0.5" y="{top + 0.5:g}" width="{width - 1}" height="{frame.height - 1:g}" fill="none" stroke="{_C["rule"]}"/>'
    furniture = [paper_legend.scale_bar(frame.per_metre, 10, top + frame.height - 12, width), paper_legend.north(width - 18, top + 22)]
    return _wrap([*head, f"<defs>{clip}</defs>", land, '<g clip-path="url(#map)">', *body, *furniture, "</g>", edge, *keys], width, total, title)


def _wrap(parts: Iterable[str], width: float, height: float, title: str) -> str:
    name = f"<title>{escape(title)}</title>" if title else "<title>Map</title>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:.1f}" width="{width:g}" height="{height:.1f}" role="img" '
        f'font-family="{theme.FONT}" stroke-linejoin="round" stroke-linecap="round">{name}{"".join(parts)}</svg>'
    )


def _frame(drawn: tuple[Layer, ...], under: tuple[Layer, ...], width: float, height: int | None, top: float) -> Frame | None:
    around = bounds(drawn) or bounds(under)
    if around is None:
        return None
    west, south, east, north = around
    lon, lat = (west + east) / 2, (south + north) / 2
    shrink = math.cos(math.radians(lat))
    wide, tall = max((east - west) * shrink * 110_950, 900.0) * 1.06, max((north - south) * 110_950, 600.0) * 1.06
    high = float(height) if height else min(max(width * tall / wide, width * 0.45), width * 1.1)
    metre = min(width / wide, high / tall)
    half_x, half_y = width / metre / 2 / 110_950 / shrink, high / metre / 2 / 110_950
    return Frame(lon - half_x, lat - half_y, lon + half_x, lat + half_y, width, high, top)


def _body(drawn: tuple[Layer, ...], under: tuple[Layer, ...], frame: Frame, labels: Labels) -> Iterable[str]:
    rest = sorted(under, key=lambda layer: _BASE.get(getattr(layer, "role", ""), 3))
    yield from itertools.chain.from_iterable(_draw(layer, frame, True) for layer in rest if _BASE.get(getattr(layer, "role", ""), 3) < 4)
    fills = [layer for layer in drawn if isinstance(layer, (Cells, Areas))]
    yield from itertools.chain.from_iterable(_draw(layer, frame, False) for layer in sorted(fills, key=lambda layer: isinstance(layer, Areas)))
    beats = [layer for layer in rest if isinstance(layer, Areas) and _BASE.get(layer.role, 3) >= 4]
    yield from itertools.chain.from_iterable(_draw(layer, frame, True) for layer in beats)
    marks = [layer for layer in drawn if not isinstance(layer, (Cells, Areas))]
    order = {Wedges: 0, Lines: 1, Points: 2}
    for some in (layer for layer in marks if isinstance(layer, Points) and len(layer.lon) <= 60):
        for x, y in frame.xy(np.stack([some.lon, some.lat], axis=1)).tolist():
            labels.claim(x - 6, y - 6, 12, 12)
    for named in (*(f for f in fills if isinstance(f, Areas)), *beats):
        yield from _names(named, frame, labels)
    yield from itertools.chain.from_iterable(_draw(layer, frame, False) for layer in sorted(marks, key=lambda layer: order[type(layer)]))


def _draw(layer: Layer, frame: Frame, base: bool) -> Iterable[str]:
    if isinstance(layer, Points) and len(layer.lon) > figures.COUNT_ABOVE:
        return _cells(figures.counted(layer)[0], frame)
    if isinstance(layer, Cells):
        return _cells(layer, frame)
    if isinstance(layer, Points):
        return _points(layer, frame)
    if isinstance(layer, Lines):
        return _lines(layer, frame)
    if isinstance(layer, Areas):
        return _areas(layer, frame, base)
    return _wedges(layer, frame)


def path(xy: Array, close: bool = False) -> str:
    """Path data of a line, a tenth of a unit fine, points that fall together left out."""
    at = np.round(xy, 1)
    keep = np.concatenate([[True], np.any(np.diff(at, axis=0) != 0, axis=1)])
    points = [f"{x:g} {y:g}" for x, y in at[keep].tolist()]
    return "M" + "L".join(points) + ("Z" if close else "")


def _cells(layer: Cells, frame: Frame) -> Iterable[str]:
    scale, grid = scale_of(layer.values, layer.palette, layer.unit), layer.grid
    if len(layer.cells) > figures.IMAGE_ABOVE:
        uri, (west, south, east, north) = figures.picture(layer, scale)
        (x0, y0), (x1, y1) = frame.xy(np.array([[west, north], [east, south]]))
        yield (
            f'<image x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}" preserveAspectRatio="none" image-rendering="optimizeSpeed" '
            f'href="{uri}"/>'
        )
    else:
        classes, number = scale.classes(layer.values), np.asarray(layer.cells)
        for k, (colour, alpha) in enumerate(zip(scale.colours, scale.alphas, strict=True)):
            at = np.sort(number[classes == k])
            if len(at) and k != BLANK:
                yield f'<path fill="{colour}" fill-opacity="{alpha:g}" shape-rendering="crispEdges" d="{_squares(grid, at, frame)}"/>'
    edge = figures.outline(grid, layer.marked)
    if edge:
        d = "".join(path(frame.xy(piece)) for piece in edge)
        yield f'<path fill="none" stroke="{_C["halo"]}" stroke-width="3.2" stroke-linecap="square" d="{d}"/>'
        yield f'<path fill="none" stroke="{_C["mark"]}" stroke-width="1.5" stroke-linecap="square" d="{d}"/>'


def _squares(grid: Any, at: Array, frame: Frame) -> str:
    """Neighbours of one row and class become one rectangle, which keeps the file small and free of seams."""
    start = np.concatenate([[True], (np.diff(at) != 1) | (at[1:] % grid.nx == 0)])
    first, last = at[start], at[np.concatenate([start[1:], [True]])]
    west, east = grid.corners(first), grid.corners(last)
    rings = np.stack([west[:, 0], east[:, 1], east[:, 2], west[:, 3]], axis=1)
    return "".join(path(frame.xy(ring), True) for ring in rings)


def _points(layer: Points, frame: Frame) -> Iterable[str]:
    at = frame.xy(np.stack([np.asarray(layer.lon, dtype=float), np.asarray(layer.lat, dtype=float)], axis=1))
    weights = None if layer.weights is None else np.nan_to_num(np.asarray(layer.weights, dtype=float))
    top = float(weights.max()) if weights is not None and len(weights) else 0.0
    large = bool(layer.numbers) or len(at) <= 80
    for i, (x, y) in enumerate(at.tolist()):
        if not (math.isfinite(x) and math.isfinite(y)) or not frame.sees(at[i : i + 1]):
            continue
        size = 0.75 + 1.35 * math.sqrt(max(0.0, float(weights[i])) / top) if weights is not None and top > 0 else 1.0
        look = theme.kind(layer.kinds[i] if layer.kinds else layer.kind)
        yield mark(x, y, (6.5 if large else 2.3) * size, look, number=layer.numbers[i] if layer.numbers else None, plain=not large)


def _lines(layer: Lines, frame: Frame) -> Iterable[str]:
    top = max(layer.weights, default=0.0) or 1.0
    bands: dict[float, list[Array]] = {}
    for i, line in enumerate(layer.paths):
        xy = frame.xy(line)
        if len(xy) > 1 and frame.sees(xy):
            width = round(4 * (0.75 + 1.5 * math.sqrt(max(0.0, layer.weights[i]) / top))) / 4 if layer.weights else 1.0
            bands.setdefault(width, []).append(xy)
    casing, line_style = _line_style(layer.role, frame)
    for style, (band, lines) in itertools.product((casing, line_style), sorted(bands.items())):
        if style is None:
            continue
        colour, width, cap = style
        major = colour == _C["street"] and band > 1.2
        d = "".join(path(xy) for xy in lines)
        yield f'<path fill="none" stroke="{_C["street_major"] if major else colour}" stroke-width="{width * band:.2f}" stroke-linecap="{cap}" d="{d}"/>'
    if layer.arrows:
        heads = "".join(_arrows(xy) for lines in bands.values() for xy in lines)
        yield f'<path fill="{line_style[0]}" d="{heads}"/>'


def _line_style(role: str, frame: Frame) -> tuple[tuple[str, float, str] | None, tuple[str, float, str]]:
    if role == "river":
        wide = max(3.2, 120 * frame.per_metre)
        return (_C["water_edge"], wide + 1.2, "round"), (_C["water"], wide, "round")
    if role == "street":
        wide = min(max(0.45, 9 * frame.per_metre), 4.0)
        return (None, (_C["street"], wide, "round")) if wide < 2 else ((_C["street"], wide + 1, "round"), ("#ffffff", wide, "round"))
    if role == "bridge":
        wide = min(max(1.6, 16 * frame.per_metre), 6.0)
        return (_C["bridge"], wide + 1.4, "butt"), ("#ffffff", wide, "butt")
    if role == "track":
        return (_C["halo"], 4.2, "round"), (_C["track"], 2.2, "round")
    return (_C["halo"], 2.8, "round"), (_C["link"], 1.4, "round")


def _arrows(xy: Array) -> str:
    out = []
    for (x0, y0), (x1, y1) in itertools.pairwise(xy.tolist()):
        length = math.hypot(x1 - x0, y1 - y0)
        if length < 18:
            continue
        ux, uy, mx, my = (x1 - x0) / length, (y1 - y0) / length, (x0 + x1) / 2, (y0 + y1) / 2
        tip, left, right = (mx + 5 * ux, my + 5 * uy), (mx - 4 * ux - 3.8 * uy, my - 4 * uy + 3.8 * ux), (mx - 4 * ux + 3.8 * uy, my - 4 * uy - 3.8 * ux)
        out.append(path(np.array([tip, left, right]), True))
    return "".join(out)


def _areas(layer: Areas, frame: Frame, base: bool) -> Iterable[str]:
    scale = scale_of(layer.values, layer.palette, layer.unit) if layer.values else None
    classes = scale.classes(layer.values) if scale else None
    water, beat = layer.role in ("water", "river"), layer.role == "beat" and scale is None
    for i, polygon in enumerate(layer.polygons):
        rings = [frame.xy(ring) for ring in polygon.rings]
        if not any(frame.sees(ring) for ring in rings):
            continue
        d = "".join(path(ring, True) for ring in rings)
        if water:
            yield f'<path fill="{_C["water"]}" fill-rule="evenodd" stroke="{_C["water_edge"]}" stroke-width="0.6" d="{d}"/>'
            continue
        fill = "none" if beat else f'{_C["area"]}" fill-opacity="0.07'
        if scale is not None and classes is not None:
            fill = "none" if classes[i] == BLANK else f'{scale.colours[classes[i]]}" fill-opacity="{scale.alphas[classes[i]] * 0.85:g}'
            if layer.role in ("tile", "ribbon"):  # a hairline of its own colour closes the seams; a thin ribbon is made wide enough to see
                if fill != "none":
                    yield f'<path fill="{fill}" fill-rule="evenodd" stroke="{fill.replace("fill-", "stroke-")}" stroke-width="{_EDGES[layer.role]}" d="{d}"/>'
                continue
        stroke = f'{_C["beat"]}" stroke-width="0.7" stroke-dasharray="4 2 1 2' if beat else f'{_C["area"]}" stroke-width="{0.8 if scale else 1.5}'
        yield f'<path fill="{fill}" fill-rule="evenodd" stroke="{stroke}" d="{d}"/>'


#: Width of the edge of tiles and ribbons, which have their fill's colour.
_EDGES = {"tile": 0.3, "ribbon": 1.6}


def _names(layer: Areas, frame: Frame, labels: Labels) -> Iterable[str]:
    size, colour = 9.0, _C["beat_label"] if layer.role == "beat" else _C["ink"]
    for polygon in layer.polygons if layer.role not in ("water", "river") else ():
        place = figures.label_place(polygon)
        ((x, y),) = frame.xy(np.array([place])).tolist()
        wide = text_width(polygon.name, size, bold=True)
        west, _, east, _ = polygon.bounds
        room = (east - west) / (frame.east - frame.west) * frame.width
        if not polygon.name or wide > room * 0.95 or not labels.claim(x - wide / 2 - 2, y - size / 2 - 1, wide + 4, size + 2):
            continue
        common = f'x="{x:.1f}" y="{y + size * 0.36:.1f}" text-anchor="middle" font-size="{size:g}" font-weight="bold"'
        name = escape(polygon.name)
        yield f'<text {common} fill="none" stroke="{_C["land"]}" stroke-width="2.4" stroke-opacity="0.85">{name}</text>'
        yield f'<text {common} fill="{colour}">{name}</text>'


def _wedges(layer: Wedges, frame: Frame) -> Iterable[str]:
    for ring in figures.sectors(layer):
        xy = frame.xy(ring)
        if frame.sees(xy):
            yield f'<path fill="{_C["wedge"]}" fill-opacity="0.2" stroke="{_C["wedge"]}" stroke-width="1" d="{path(xy, True)}"/>'

"""Maps in a notebook by ipyleaflet: the same layers, over streets and beats from local data; no tile layer, so no request off the machine.

Every text that comes from data is shown as text: layer names and legend are escaped, tips appear in a box that takes no markup.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import ipyleaflet
import ipywidgets
import numpy as np

from workbench.layers import Areas, Cells, Layer, Lines, Points, Wedges, bounds
from workbench.views import figures, theme
from workbench.views.scales import BLANK, Scale, number, scale_of
from workbench.views.scene import check

_C = theme.LIGHT
_ORDER: dict[type, int] = {Cells: 0, Areas: 1, Wedges: 2, Lines: 3, Points: 4}
_BASE = {"water": 0, "river": 0, "street": 1, "bridge": 2}
#: Panes from the ground up, so that what is small lies above what is large whatever is drawn first; points lie in Leaflet's own above these.
_PANES = {name: {"zIndex": 310 + 10 * i} for i, name in enumerate(("wb-ground", "wb-base", "wb-fill", "wb-beats", "wb-shape"))}
#: Numbered points get a mark with their number each, up to this many.
_NUMBERED = 200

#: Width of the edge of tiles and of ribbons (pieces of street), which have their fill's colour.
_EDGES = {"tile": 0.3, "ribbon": 2.5}

Picked = Callable[[str], None]


def draw(layers: Sequence[Layer], *, base: Sequence[Layer] = (), height: int = 480, picked: Picked | None = None) -> ipyleaflet.Map:
    """An ipyleaflet map of some layers.

    Args:
        layers: what to draw; each needs its own name.
        base: streets, river, beats beneath.
        height: pixels.
        picked: called with "<layer>|<feature id>" (cells: the cell number) at every click on a feature that has an id.

    The pointer shows a feature's tip in the box at the lower left; the layer control hides and shows; the legend stands below it.

    Raises:
        BadInput: something is not a layer, or two layers share a name.
    """
    drawn, under = check(layers), check(base)
    around = bounds(drawn) or bounds(under) or (-98.6, 39.8, -98.5, 39.9)
    west, south, east, north = around
    chart = ipyleaflet.Map(
        layers=(_ground(),),
        panes=_PANES,
        center=((south + north) / 2, (west + east) / 2),
        zoom=_zoom(around, height),
        min_zoom=3,
        max_zoom=19,
        zoom_snap=0.25,
        zoom_delta=1,
        scroll_wheel_zoom=True,
        attribution_control=False,
        layout=ipywidgets.Layout(height=f"{height}px", border=f"1px solid {_C['rule']}"),
    )
    chart.default_style = ipyleaflet.MapStyle(cursor="grab")
    tip = ipywidgets.Label(value="", layout=ipywidgets.Layout(max_width="320px", margin="0 8px"))
    for layer in sorted(under, key=lambda layer: _BASE.get(getattr(layer, "role", ""), 3)):
        for part in _parts(layer, True):
            chart.add(part)
    for layer in sorted(drawn, key=lambda layer: _ORDER[type(layer)]):
        chart.add(_group(layer, tip, picked))
    if len(drawn) + len(under) > 1:
        chart.add(ipyleaflet.LayersControl(position="topright"))
    legend = "".join(_legend(layer) for layer in drawn)
    if legend:
        room = f"max-width:230px;max-height:{max(80, height - 110)}px;overflow:auto"
        look = f"font:12px/1.5 {theme.WEB_FONT};padding:4px 10px;color:{_C['ink']};background:{_C['panel']};{room}"
        chart.add(ipyleaflet.WidgetControl(widget=ipywidgets.HTML(f"<div style='{look}'>{legend}</div>"), position="topright"))
    chart.add(ipyleaflet.ScaleControl(position="bottomleft"))
    chart.add(ipyleaflet.WidgetControl(widget=tip, position="bottomleft"))
    return chart


def _ground() -> ipyleaflet.GeoJSON:
    """The colour of land under everything, where another map would have its tiles."""
    world = {"type": "Polygon", "coordinates": [[[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]]]}
    return _geojson("", [_feature(world, {"stroke": False, "fillColor": _C["land"], "fillOpacity": 1, "interactive": False}, -1)], pane="wb-ground")


def _zoom(around: tuple[float, float, float, float], height: int) -> float:
    """The zoom at which a box fits a map about 900 wide, in quarters."""
    west, south, east, north = around
    turns = max((east - west) / 360 * 256 / 860, 1e-9)
    tall = (
        max(math.log(math.tan(math.pi / 4 + math.radians(north) / 2)) - math.log(math.tan(math.pi / 4 + math.radians(south) / 2)), 1e-9)
        / (2 * math.pi)
        * 256
        / (height * 0.94)
    )
    return max(3.0, min(16.5, math.floor(-math.log2(max(turns, tall)) * 4) / 4))


def _feature(geometry: dict[str, Any], style: dict[str, Any], at: int) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"style": style, "at": at}}


def _geojson(name: str, features: list[dict[str, Any]], pane: str = "", **options: Any) -> ipyleaflet.GeoJSON:
    for feature in features if pane else ():
        feature["properties"]["style"]["pane"] = pane  # ipyleaflet hands a layer's own pane to images only
    return ipyleaflet.GeoJSON(name=html.escape(name), data={"type": "FeatureCollection", "features": features}, **options)


def _coordinates(path: Any) -> list[list[float]]:
    rounded: list[list[float]] = np.round(np.asarray(path, dtype=float)[:, :2], 6).tolist()
    return rounded


def _group(layer: Layer, tip: ipywidgets.Label, picked: Picked | None) -> ipyleaflet.Layer:
    """One entry of the layer control, with its hover and click."""
    still = isinstance(layer, Points) and len(layer.lon) > figures.COUNT_ABOVE
    shown: Layer = figures.counted(layer)[0] if isinstance(layer, Points) and still else layer
    parts = _parts(shown, False)
    ids, tips = _ids(shown), _tips(shown)

    def over(event: str = "", feature: dict[str, Any] | None = None, **_: Any) -> None:
        if feature:
            at = feature["properties"].get("at", -1)
            tip.value = tips[at].replace("\n", "  |  ") if 0 <= at < len(tips) else ""

    def click(event: str = "", feature: dict[str, Any] | None = None, **_: Any) -> None:
        at = feature["properties"].get("at", -1) if feature else -1
        if picked is not None and not still and 0 <= at < len(ids):
            picked(f"{layer.name}|{ids[at]}")

    for part in parts:
        if isinstance(part, ipyleaflet.GeoJSON):
            part.on_hover(over)
            part.on_click(click)
        elif isinstance(part, ipyleaflet.Marker):
            at = int(part.alt)
            part.on_click(lambda at=at, **_: click(feature={"properties": {"at": at}}))
            part.on_mouseover(lambda at=at, **_: over(feature={"properties": {"at": at}}))
    return parts[0] if len(parts) == 1 else ipyleaflet.LayerGroup(layers=tuple(parts), name=html.escape(layer.name))


def _ids(layer: Layer) -> list[str]:
    return [str(c) for c in layer.cells] if isinstance(layer, Cells) else list(layer.ids)


def _tips(layer: Layer) -> list[str]:
    if layer.tips:
        return list(layer.tips)
    if isinstance(layer, Cells) or (isinstance(layer, Areas) and layer.values):
        return [f"{number(float(v))} {layer.unit}".strip() for v in layer.values]
    return [p.name for p in layer.polygons] if isinstance(layer, Areas) else list(layer.ids)


def _parts(layer: Layer, base: bool) -> list[Any]:
    if isinstance(layer, Cells):
        return _cells(layer)
    if isinstance(layer, Points):
        return _points(layer)
    if isinstance(layer, Lines):
        return _lines(layer, base)
    if isinstance(layer, Areas):
        return _areas(layer, base)
    style = {"color": _C["wedge"], "weight": 1.5, "fillColor": _C["wedge"], "fillOpacity": 0.2}
    return [
        _geojson(
            layer.name,
            [_feature({"type": "Polygon", "coordinates": [_coordinates(r)]}, style, i) for i, r in enumerate(figures.sectors(layer))],
            "wb-shape",
            hover_style={"fillOpacity": 0.4},
        )
    ]


def _cells(layer: Cells) -> list[Any]:
    scale = scale_of(layer.values, layer.palette, layer.unit)
    parts: list[Any] = []
    if len(layer.cells) > figures.IMAGE_ABOVE:
        uri, (west, south, east, north) = figures.picture(layer, scale)
        parts.append(ipyleaflet.ImageOverlay(url=uri, bounds=((south, west), (north, east)), name=html.escape(layer.name), pane="wb-fill"))
    else:
        corners, classes = np.round(layer.grid.corners(layer.cells), 6), scale.classes(layer.values)
        rings = np.concatenate([corners, corners[:, :1]], axis=1).tolist()
        features = []
        for i, (ring, k) in enumerate(zip(rings, classes.tolist(), strict=True)):
            if k != BLANK:
                style = {"stroke": False, "fillColor": scale.colours[k], "fillOpacity": scale.alphas[k]}
                features.append(_feature({"type": "Polygon", "coordinates": [ring]}, style, i))
        parts.append(_geojson(layer.name, features, "wb-fill", hover_style={"stroke": True, "color": _C["ink"], "weight": 2}))
    edge = [_coordinates(p) for p in figures.outline(layer.grid, layer.marked)]
    if edge:
        shape = {"type": "MultiLineString", "coordinates": edge}
        styles = [{"color": colour, "weight": weight, "interactive": False} for colour, weight in ((_C["halo"], 4.5), (_C["mark"], 2.2))]
        parts += [_geojson(f"{layer.name} marked", [_feature(shape, style, -1)], "wb-fill") for style in styles]
    return parts


def _points(layer: Points) -> list[Any]:
    weights = None if layer.weights is None else np.nan_to_num(np.asarray(layer.weights, dtype=float))
    top = float(weights.max()) if weights is not None and len(weights) else 0.0
    features, marks = [], []
    for i, (lon, lat) in enumerate(zip(np.asarray(layer.lon).tolist(), np.asarray(layer.lat).tolist(), strict=True)):
        if not (math.isfinite(lon) and math.isfinite(lat)):
            continue
        look = theme.kind(layer.kinds[i] if layer.kinds else layer.kind)
        size = 0.75 + 1.35 * math.sqrt(max(0.0, float(weights[i])) / top) if weights is not None and top > 0 else 1.0
        if layer.numbers and len(layer.lon) <= _NUMBERED:
            marks.append(_numbered(lon, lat, look, int(layer.numbers[i]), i))
            continue
        style = {
            "radius": round((6.5 if len(layer.lon) <= 300 else 3.5) * size, 1),
            "color": "#ffffff",
            "weight": 1.2,
            "fillColor": look.colour,
            "fillOpacity": 0.95,
        }
        features.append(_feature({"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]}, style, i))
    if marks:
        return marks
    return [_geojson(layer.name, features, point_style={"radius": 6.5}, hover_style={"color": _C["accent"], "weight": 4})]


def _numbered(lon: float, lat: float, look: theme.Kind, order: int, at: int) -> ipyleaflet.Marker:
    disc = (
        f"position:absolute;left:-11px;top:-11px;width:20px;height:20px;border-radius:50%;background:{look.colour};border:1.5px solid #fff;color:#fff;"
        f"text-align:center;font:700 11px/20px {theme.FONT}"
    )
    icon = ipyleaflet.DivIcon(html=f"<div style='{disc}'>{order}</div>", icon_size=[0, 0], icon_anchor=[1, 1], bg_pos=[0, 0])
    return ipyleaflet.Marker(location=(lat, lon), icon=icon, draggable=False, alt=str(at), keyboard=True)


def _lines(layer: Lines, base: bool) -> list[Any]:
    top = max(layer.weights, default=0.0) or 1.0
    casing, (colour, weight) = _STROKES.get(layer.role, (None, (_C["link"], 2.0)))
    widths = [0.75 + 1.5 * math.sqrt(max(0.0, w) / top) for w in layer.weights] or [1.0] * len(layer.paths)
    style = {"color": colour, "lineCap": "butt" if layer.role == "bridge" else "round"}
    if base:  # one feature a width: thousands of streets become a handful of paths
        bands: dict[float, list[Any]] = {}
        for path, width in zip(layer.paths, widths, strict=True):
            bands.setdefault(round(width * 4) / 4, []).append(_coordinates(path))
        strokes = ([casing] if casing else []) + [(colour, weight)]
        features = [
            _feature({"type": "MultiLineString", "coordinates": paths}, {**style, "color": c, "weight": w * band, "interactive": False}, -1)
            for c, w in strokes
            for band, paths in sorted(bands.items())
        ]
        return [_geojson(layer.name, features, "wb-base")]
    features = [
        _feature({"type": "LineString", "coordinates": _coordinates(p)}, {**style, "weight": weight * w}, i)
        for i, (p, w) in enumerate(zip(layer.paths, widths, strict=True))
    ]
    if layer.arrows:
        features += [
            _feature({"type": "Polygon", "coordinates": [head]}, {"color": colour, "weight": 1, "fillColor": colour, "fillOpacity": 1}, i)
            for i, p in enumerate(layer.paths)
            for head in _arrows(np.asarray(p, dtype=float), bounds((layer,)) or (0, 0, 1, 1))
        ]
    return [_geojson(layer.name, features, "wb-shape", hover_style={"color": _C["ink"]})]


_STROKES: dict[str, tuple[tuple[str, float] | None, tuple[str, float]]] = {
    "street": (None, (_C["street"], 1.3)),
    "river": ((_C["water_edge"], 9.0), (_C["water"], 7.5)),
    "bridge": ((_C["bridge"], 7.0), ("#ffffff", 4.0)),
    "track": (None, (_C["track"], 3.0)),
    "link": (None, (_C["link"], 2.0)),
}


def _arrows(path: Any, around: tuple[float, float, float, float]) -> list[list[list[float]]]:
    """A small triangle in the middle of every leg that is long enough, pointing along it, in degrees."""
    west, south, east, north = around
    shrink, size = math.cos(math.radians((south + north) / 2)), max(east - west, north - south) / 90
    out = []
    for (x0, y0), (x1, y1) in zip(path[:-1], path[1:], strict=True):
        dx, dy = (x1 - x0) * shrink, y1 - y0
        long = math.hypot(dx, dy)
        if long < 3 * size:
            continue
        ux, uy, mx, my = dx / long * size, dy / long * size, (x0 + x1) / 2, (y0 + y1) / 2
        ring = [
            (mx + ux / shrink, my + uy),
            (mx + (-0.7 * ux - 0.6 * uy) / shrink, my - 0.7 * uy + 0.6 * ux),
            (mx + (-0.7 * ux + 0.6 * uy) / shrink, my - 0.7 * uy - 0.6 * ux),
        ]
        out.append([[round(float(a), 6), round(float(b), 6)] for a, b in (*ring, ring[0])])
    return out


def _areas(layer: Areas, base: bool) -> list[Any]:
    scale: Scale | None = scale_of(layer.values, layer.palette, layer.unit) if layer.values else None
    classes = scale.classes(layer.values).tolist() if scale else []
    features = []
    for i, polygon in enumerate(layer.polygons):
        if layer.role in ("water", "river"):
            style: dict[str, Any] = {"color": _C["water_edge"], "weight": 1, "fillColor": _C["water"], "fillOpacity": 1}
        elif scale is not None and layer.role in _EDGES:
            if classes[i] == BLANK:
                continue
            colour, alpha = scale.colours[classes[i]], scale.alphas[classes[i]] * 0.85
            style = {"color": colour, "opacity": alpha, "weight": _EDGES[layer.role], "fillColor": colour, "fillOpacity": alpha}
        elif scale is not None and classes[i] != BLANK:
            style = {"color": _C["area"], "weight": 1, "fillColor": scale.colours[classes[i]], "fillOpacity": scale.alphas[classes[i]] * 0.85}
        elif layer.role == "beat":
            style = {"color": _C["beat"], "weight": 1.2, "dashArray": "6 3 1.5 3", "fillOpacity": 0}
        else:
            style = {"color": _C["area"], "weight": 2, "fillColor": _C["area"], "fillOpacity": 0.07}
        features.append(_feature(polygon.to_geojson(), {**style, **({"interactive": False} if base else {})}, i))
    pane = "wb-fill" if not base else "wb-base" if layer.role in _BASE else "wb-beats"
    return [_geojson(layer.name, features, pane, **({} if base else {"hover_style": {"weight": 3}}))]


def _legend(layer: Layer) -> str:
    """The words and colours of a layer, escaped."""
    rows, note = [], ""
    if isinstance(layer, Points) and len(layer.lon) > figures.COUNT_ABOVE:
        layer, note = figures.counted(layer)
    if isinstance(layer, (Cells, Areas)) and len(layer.values):
        scale = scale_of(layer.values, layer.palette, layer.unit)
        note = note or scale.unit
        rows = [
            _key(f"background:{c};opacity:{max(a, 0.25):g}", label)
            for c, a, label in reversed(list(zip(scale.colours, scale.alphas, scale.labels, strict=True)))
            if label
        ]
    elif isinstance(layer, Points):
        counts = Counter(layer.kinds or (layer.kind,) * len(layer.lon))
        rows = [_key(f"background:{theme.kind(k).colour};border-radius:50%;width:12px", f"{theme.kind(k).word} ({n:,})") for k, n in counts.items()]
    elif isinstance(layer, Lines):
        rows = [_key(f"background:{_STROKES.get(layer.role, _STROKES['link'])[1][0]};height:3px;vertical-align:3px", layer.role)]
    else:
        colour = _C["area"] if isinstance(layer, Areas) else _C["wedge"]
        rows = [_key(f"border:2px solid {colour};box-sizing:border-box", layer.role if isinstance(layer, Areas) else "field of view")]
    words = f"<div>{html.escape(note)}</div>" if note else ""
    return f"<div style='margin-bottom:4px'><b>{html.escape(layer.name)}</b>{words}{''.join(rows)}</div>"


def _key(style: str, words: str) -> str:
    return f"<div><i style='display:inline-block;width:14px;height:12px;margin-right:7px;vertical-align:-1px;{style}'></i>{html.escape(words)}</div>"

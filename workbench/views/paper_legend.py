"""What stands on a paper map besides the map: the legend below it, the scale bar, the north arrow."""

from __future__ import annotations

import math
from collections import Counter

from workbench.layers import Areas, Cells, Layer, Lines, Points
from workbench.views import figures, theme
from workbench.views.marks import escape, fit, mark, text_width
from workbench.views.scales import Scale, number, scale_of

_C = theme.LIGHT
_SIZE, _LIMIT, _ROW, _GAP = 9.5, 8.2, 15.0, 16.0


def keys(layers: tuple[Layer, ...], width: float, top: float) -> tuple[list[str], float]:
    """The legend of some layers as SVG parts set in rows from ``top`` down, and how tall they are together."""
    out: list[str] = []
    y = top
    for layer in layers:
        if isinstance(layer, Points) and len(layer.lon) > figures.COUNT_ABOVE:
            layer, note = figures.counted(layer)
        else:
            note = ""
        if isinstance(layer, (Cells, Areas)) and len(layer.values):
            parts, tall = _classes(layer, scale_of(layer.values, layer.palette, layer.unit), note, width, y)
        else:
            parts, tall = _row(_entries(layer), layer.name, width, y)
        out += parts
        y += tall
    return out, y - top


def _classes(layer: Cells | Areas, scale: Scale, note: str, width: float, y: float) -> tuple[list[str], float]:
    """A band of colours, palest first, each with its limit beneath; the name and unit above."""
    name, unit = fit(layer.name, _SIZE, width * 0.5), note or scale.unit
    start = text_width(name, _SIZE, bold=True) + 8
    out = [_text(0, y + 9, name, weight="bold", colour=_C["ink"])]
    if unit:
        out.append(_text(start, y + 9, fit(unit, _SIZE, width - start)))
    shown = [(c, a, label) for c, a, label in zip(scale.colours, scale.alphas, scale.labels, strict=True) if label]
    marked = getattr(layer, "marked", ())
    words = f"{len(marked):,} marked {'cell' if len(marked) == 1 else 'cells'}"
    aside = text_width(words, _SIZE) + 40 if marked else 0.0
    step = min(92.0, (width - aside) / max(1, len(shown)))
    roomy = all(text_width(label, _LIMIT) <= step - 4 for _, _, label in shown)
    for i, (colour, alpha, label) in enumerate(shown):
        x = i * step
        box = f'x="{x:.1f}" y="{y + 15:.1f}" width="{step - 1:.1f}" height="9"'
        out.append(f'<rect {box} fill="{_C["land"]}"/><rect {box} fill="{colour}" fill-opacity="{alpha:g}" stroke="{_C["rule"]}" stroke-width="0.4"/>')
        if roomy:
            out.append(_text(x + 1, y + 33, label, size=_LIMIT))
    if not roomy:
        out += _limits(scale, step, y + 33)
    if marked:
        x = len(shown) * step + 14
        out.append(
            f'<rect x="{x:.1f}" y="{y + 15:.1f}" width="13" height="9" fill="none" stroke="{_C["mark"]}" stroke-width="1.5"/>' + _text(x + 19, y + 23, words)
        )
    return out, 42.0


def _limits(scale: Scale, step: float, y: float) -> list[str]:
    """Where words would not fit: the limit between two classes as a number beneath their border, those left out that would touch."""
    out, free = [], 0.0
    for i, limit in enumerate(scale.breaks):
        words, x = number(limit), (i + 1) * step
        half = text_width(words, _LIMIT) / 2
        if x - half >= free:
            out.append(_text(x - half, y, words, size=_LIMIT))
            free = x + half + 4
    return out


def _entries(layer: Layer) -> list[tuple[str, str]]:
    """(sample drawn about 0, 0; words) of each thing a layer shows."""
    if isinstance(layer, Points):
        counts = Counter(layer.kinds or (layer.kind,) * len(layer.lon))
        return [(mark(0, 0, 5, theme.kind(k)), f"{theme.kind(k).word} ({n:,})") for k, n in counts.items()]
    if isinstance(layer, Lines):
        colour = {"river": _C["water"], "street": _C["street_major"], "bridge": _C["bridge"], "track": _C["track"]}.get(layer.role, _C["link"])
        return [(f'<path d="M-7 0H7" stroke="{colour}" stroke-width="2.4" fill="none"/>', layer.role)]
    colour = _C["area"] if isinstance(layer, Areas) else _C["wedge"]
    return [
        (
            f'<rect x="-6.5" y="-4.5" width="13" height="9" fill="{colour}" fill-opacity="0.15" stroke="{colour}" stroke-width="1.2"/>',
            layer.role if isinstance(layer, Areas) else "field of view",
        )
    ]


def _row(entries: list[tuple[str, str]], name: str, width: float, y: float) -> tuple[list[str], float]:
    start = min(text_width(name, _SIZE, bold=True) + 14, width * 0.4)
    out, x, rows = [_text(0, y + 9, fit(name, _SIZE, width * 0.4), weight="bold", colour=_C["ink"])], start, 1
    for sample, words in entries:
        words = fit(words, _SIZE, max(20.0, width - start - 16))
        wide = 16 + text_width(words, _SIZE) + _GAP
        if x + wide - _GAP > width and x > start:
            x, rows = start, rows + 1
        at = y + 6 + (rows - 1) * _ROW
        out.append(f'<g transform="translate({x + 7:.1f} {at:.1f})">{sample}</g>' + _text(x + 18, at + 3.4, words))
        x += wide
    return out, rows * _ROW + 5


def _text(x: float, y: float, words: str, *, size: float = _SIZE, weight: str = "normal", colour: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{colour or _C["muted"]}">{escape(words)}</text>'


def scale_bar(per_metre: float, x: float, y: float, width: float) -> str:
    """A bar of a round length, about a fifth of the width, with metres or kilometres and miles."""
    most = width / 5 / per_metre
    power = 10 ** math.floor(math.log10(most))
    metres = next(m * power for m in (5, 2, 1) if m * power <= most)
    long = metres * per_metre
    words = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    words += f" ({metres / 1609.344:.1f} mi)" if metres >= 1000 else f" ({metres / 0.3048:,.0f} ft)"
    bar = f"M{x:.1f} {y - 4:.1f}V{y:.1f}H{x + long:.1f}V{y - 4:.1f}"
    return (
        f'<path fill="none" stroke="{_C["land"]}" stroke-width="4" d="{bar}"/>'
        f'<path fill="none" stroke="{_C["ink"]}" stroke-width="1.2" stroke-linecap="butt" d="{bar}"/>'
        f'<text x="{x + 4:.1f}" y="{y - 4:.1f}" font-size="8.5" fill="none" stroke="{_C["land"]}" stroke-width="2.5">{words}</text>'
        f'<text x="{x + 4:.1f}" y="{y - 4:.1f}" font-size="8.5" fill="{_C["ink"]}">{words}</text>'
    )


def north(x: float, y: float) -> str:
    """An arrow to the north with its letter."""
    return (
        f'<path transform="translate({x:.1f} {y:.1f})" fill="{_C["ink"]}" stroke="{_C["land"]}" stroke-width="1.2" paint-order="stroke" '
        'd="M0 -13L5.5 3L0 0L-5.5 3Z"/>'
        f'<text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle" font-size="10" font-weight="bold" fill="{_C["ink"]}">N</text>'
    )

"""How everything looks: colours, palettes, icons and type, one source for screen (Python, JavaScript, Panel), charts and paper.

Navy ink on warm paper, one accent, a sequential ramp for risk whose lightness falls evenly (so it reads in grey and for every kind of
colour vision) and a diverging one for change. Kinds of thing differ in colour *and* icon, so colour never carries a meaning alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "Liberation Sans, DejaVu Sans, sans-serif"
#: For web pages, where the system's own face comes first; without quotes, so that it can stand in any attribute.
WEB_FONT = "Inter, Segoe UI, Liberation Sans, DejaVu Sans, Arial, sans-serif"

INK, ACCENT, PAPER = "#14233a", "#0b6fa4", "#f6f3ec"
GOOD, WARN, BAD = "#2e7d4f", "#b36b00", "#b3261e"

LIGHT: dict[str, str] = {
    "ink": INK,
    "muted": "#5c6675",
    "faint": "#8c95a3",
    "rule": "#d9dce2",
    "panel": "#ffffff",
    "page": "#f7f8fa",
    "accent": ACCENT,
    "on_accent": "#ffffff",
    "land": PAPER,
    "street": "#ddd6c8",
    "street_major": "#cfc6b4",
    "street_fill": "#ffffff",
    "water": "#bcd5e4",
    "water_edge": "#94b8ce",
    "bridge": "#8f8778",
    "beat": "#8a93a6",
    "beat_label": "#5f6880",
    "area": "#14233a",
    "link": "#5a6b86",
    "track": "#0b6fa4",
    "mark": "#14233a",
    "halo": "#ffffff",
    "wedge": "#0b6fa4",
    "shadow": "rgba(20,35,58,.18)",
    "node_text": "#14233a",
    "edge": "#a9b2c0",
    "edge_text": "#5c6675",
    "canvas": "#fbfbfc",
}
DARK: dict[str, str] = {
    "ink": "#e8ecf3",
    "muted": "#a3adbd",
    "faint": "#768194",
    "rule": "#364256",
    "panel": "#1b2534",
    "page": "#121924",
    "accent": "#5ab8ea",
    "on_accent": "#0d1420",
    "land": "#1a222e",
    "street": "#333e4e",
    "street_major": "#435064",
    "street_fill": "#3a4557",
    "water": "#173a52",
    "water_edge": "#28587a",
    "bridge": "#69768a",
    "beat": "#5d6c84",
    "beat_label": "#98a5ba",
    "area": "#dbe4f0",
    "link": "#93a3bb",
    "track": "#5ab8ea",
    "mark": "#f5f7fa",
    "halo": "#10161f",
    "wedge": "#5ab8ea",
    "shadow": "rgba(0,0,0,.5)",
    "node_text": "#e8ecf3",
    "edge": "#56637a",
    "edge_text": "#a3adbd",
    "canvas": "#141c28",
}

#: Ramps from low to high; `ramp` takes any number of steps out of them.
RISK = ("#fff0b8", "#fdd482", "#fbae52", "#f2803d", "#d94a30", "#ad1f2d", "#740b26")
CHANGE = ("#1c4a86", "#5a8cc4", "#b0cde5", "#efece4", "#f2b79e", "#d4634b", "#961a2a")
PLAIN = ("#8a94a3",)
#: On a dark map more is brighter, as the eye expects there.
RISK_DARK = ("#3d3038", "#5c3339", "#8a3a36", "#bd4e2f", "#e3772e", "#f6ad49", "#ffe596")
CHANGE_DARK = ("#7dbcff", "#4a86c8", "#35587f", "#333c49", "#71443e", "#bf6047", "#ff9f7c")
RAMPS: dict[str, tuple[str, ...]] = {"risk": RISK, "change": CHANGE, "plain": PLAIN, "kind": PLAIN}
RAMPS_DARK: dict[str, tuple[str, ...]] = {**RAMPS, "risk": RISK_DARK, "change": CHANGE_DARK}

#: Colours of series in charts, in order; told apart by every kind of colour vision (after Okabe and Ito, 2008, deepened for print).
SERIES = ("#0b6fa4", "#d1691f", "#2b8a5e", "#8a4f9e", "#b38600", "#5a6472", "#b8436d")


@dataclass(frozen=True)
class Kind:
    """How one kind of thing looks: ``icon`` is SVG path data in a 24 x 24 box, filled by the even-odd rule."""

    word: str
    colour: str
    icon: str


KIND: dict[str, Kind] = {
    "case": Kind("Case", "#8f6f00", "M2 4.5h7.2l2.3 2.7H22V20H2zM4.5 10v1.8h15V10z"),
    "incident": Kind("Incident", "#bf3325", "M12 3 22.5 21h-21zM11 9.5v5.5h2V9.5zM11 16.5v2h2v-2z"),
    "call": Kind("Call for service", "#c27800", "M3 4h18v12H11l-5 4.5V16H3zM7 8v1.8h10V8zM7 11.5v1.8h7v-1.8z"),
    "read": Kind("Plate read", "#00838f", "M1.5 7h21v10h-21zM3.5 9v6h17V9zM5.5 10.8h3.5v2.4H5.5zM10.3 10.8h3.5v2.4h-3.5zM15 10.8h3.5v2.4H15z"),
    "person": Kind("Person", "#1f5fa8", "M12 2.8a4.7 4.7 0 1 1 0 9.4a4.7 4.7 0 1 1 0-9.4zM3 21.5c0-5 3.9-8 9-8s9 3 9 8z"),
    "vehicle": Kind(
        "Vehicle",
        "#6b3fa0",
        "M5 6.8A2.2 2.2 0 0 1 7 5.5h10a2.2 2.2 0 0 1 2 1.3l1.7 4.2A2 2 0 0 1 22 13v6h-3.5v-2h-13v2H2v-6"
        "a2 2 0 0 1 1.3-2zM6.2 10.8"
        "h11.6l-1.3-3.3h-9zM4.8 13v2h3v-2zM16.2 13v2h3v-2z",
    ),
    "phone": Kind("Phone", "#2e7d32", "M8 1.5h8a2 2 0 0 1 2 2v17a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2v-17a2 2 0 0 1 2-2zM8 4.5V18h8V4.5zM11 19.5v1.6h2v-1.6z"),
    "address": Kind("Address", "#8a5526", "M12 2.5 1.5 11.5H4.5V21H10v-6h4v6h5.5v-9.5h3z"),
    "camera": Kind("Camera", "#455a64", "M2 6.5h13v11H2zM16.5 10.5 22 7v10l-5.5-3.5z"),
    "unit": Kind(
        "Patrol unit",
        "#1b3a6b",
        "M12 1.8 3.5 5v6.5c0 5 3.6 8.8 8.5 10.7c4.9-1.9 8.5-5.7 8.5-10.7V5zM12 7l1.4 3h3.2l-2.5 2.2.9 3.3L12 13.7l-3 1.8.9-3.3L7.4 10h3.2z",
    ),
    "gunshot": Kind("Gunshot", "#a8155f", "M12 1.5l2 6.2L20 4l-3.7 6 6.2 2-6.2 2L20 20l-6-3.7-2 6.2-2-6.2L4 20l3.7-6-6.2-2 6.2-2L4 4l6 3.7z"),
    "place": Kind(
        "Place",
        "#5f6b3a",
        "M12 1.8a7.3 7.3 0 0 0-7.3 7.3c0 5.2 7.3 13.1 7.3 13.1s7.3-7.9 7.3-13.1A7.3 7.3 0 0 0 12 1.8zM12 6.3a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6z",
    ),
}
UNKNOWN = Kind("Other", "#6b7280", "M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18zM12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8z")


def kind(name: str) -> Kind:
    """How a kind looks; a kind nobody drew yet gets the neutral mark and its own name as word."""
    known = KIND.get(name)
    return known or Kind(name.replace("_", " ").capitalize() or UNKNOWN.word, UNKNOWN.colour, UNKNOWN.icon)


def rgb(colour: str) -> tuple[int, int, int]:
    """``"#0b6fa4"`` to (11, 111, 164)."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(a: str, b: str, share: float) -> str:
    """The colour ``share`` of the way from ``a`` to ``b``."""
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(rgb(a), rgb(b), strict=True))


def ramp(palette: str, steps: int, dark: bool = False) -> tuple[str, ...]:
    """``steps`` colours evenly out of a palette, low to high; one step gives the upper part of the ramp, not its palest colour."""
    stops = (RAMPS_DARK if dark else RAMPS)[palette]
    if len(stops) == 1:
        return stops * steps
    out = []
    for i in range(steps):
        at = (i / (steps - 1) if steps > 1 else 0.7) * (len(stops) - 1)
        low = min(int(at), len(stops) - 2)
        out.append(mix(stops[low], stops[low + 1], at - low))
    return tuple(out)


def scheme(dark: bool = False) -> dict[str, str]:
    """The named colours of the light or dark scheme."""
    return DARK if dark else LIGHT


def for_script(kinds: set[str]) -> dict[str, Any]:
    """What the widgets need of the theme, JSON-able: both schemes, the font, and the kinds that occur."""
    shown = {name: kind(name) for name in sorted(kinds, key=lambda k: (list(KIND).index(k) if k in KIND else len(KIND), k))}
    return {"light": LIGHT, "dark": DARK, "font": WEB_FONT, "kinds": {n: {"word": k.word, "colour": k.colour, "icon": k.icon} for n, k in shown.items()}}


def vega_config(dark: bool = False) -> dict[str, Any]:
    """The Altair / Vega-Lite ``config`` of every chart."""
    c = scheme(dark)
    axis = {
        "labelColor": c["muted"],
        "titleColor": c["muted"],
        "domainColor": c["rule"],
        "tickColor": c["rule"],
        "gridColor": c["rule"],
        "gridOpacity": 0.6,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelFlush": False,
    }
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "title": {
            "color": c["ink"],
            "fontSize": 14,
            "fontWeight": "bold",
            "anchor": "start",
            "offset": 12,
            "subtitleColor": c["muted"],
            "subtitleFontSize": 11,
            "subtitlePadding": 4,
        },
        "legend": {
            "labelColor": c["ink"],
            "titleColor": c["muted"],
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 2,
        },
        "header": {"labelColor": c["ink"], "titleColor": c["muted"]},
        "range": {"category": list(SERIES), "heatmap": list(RISK), "ramp": list(RISK), "diverging": list(CHANGE)},
        "line": {"strokeWidth": 2},
        "bar": {"color": c["accent"]},
        "text": {"color": c["ink"]},
        "rule": {"color": c["muted"]},
        "point": {"color": c["accent"]},
    }


def css(dark: bool = False) -> str:
    """The scheme as CSS custom properties (``--wb-ink``, ``--wb-accent`` ...), for Panel pages and saved HTML."""
    return ":root{" + "".join(f"--wb-{k.replace('_', '-')}:{v};" for k, v in scheme(dark).items()) + f"--wb-font:{WEB_FONT};" + "}"

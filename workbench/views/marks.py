"""Small parts of drawings for paper: the mark of a kind, label room, text widths, escaping."""

from __future__ import annotations

import re
from html import escape as _escape

from workbench.views import theme

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[] -1"), set("mwMW@%")


def escape(text: str) -> str:
    """Text that may stand anywhere in XML; characters XML cannot hold at all are left out."""
    return _escape(_NOT_XML.sub("", str(text)), quote=True)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is in Liberation Sans (Arial's widths), in the unit of ``size``; right to a tenth."""
    each = sum(0.3 if c in _NARROW else 0.86 if c in _WIDE else 0.68 if c.isupper() else 0.55 for c in text)
    return each * size * (1.06 if bold else 1.0)


def fit(text: str, size: float, room: float) -> str:
    """The text, shortened with an ellipsis where it would not fit into ``room``."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def mark(x: float, y: float, radius: float, look: theme.Kind, *, number: int | None = None, plain: bool = False) -> str:
    """The disc of a kind with its icon or an order number in white; ``plain`` leaves both out."""
    disc = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2f}" fill="{look.colour}" stroke="#ffffff" stroke-width="{0.6 if plain else 1:g}"/>'
    if plain:
        return disc
    if number is not None:
        size = radius * (1.25 if abs(number) < 100 else 0.9)
        return disc + (
            f'<text x="{x:.1f}" y="{y + size * 0.36:.1f}" text-anchor="middle" font-size="{size:.1f}" font-weight="bold" fill="#ffffff">{number}</text>'
        )
    k = radius * 1.28 / 24
    return disc + f'<path transform="translate({x - 12 * k:.2f} {y - 12 * k:.2f}) scale({k:.4f})" fill="#ffffff" fill-rule="evenodd" d="{look.icon}"/>'


class Labels:
    """Room for labels: what is claimed once cannot be claimed again, nor can room outside the frame."""

    def __init__(self, width: float, top: float, height: float) -> None:
        self._frame = (0.0, top, width, top + height)
        self._taken: list[tuple[float, float, float, float]] = []

    def claim(self, x: float, y: float, width: float, height: float) -> bool:
        """Take a box if it is free."""
        left, top, right, bottom = self._frame
        if x < left or y < top or x + width > right or y + height > bottom:
            return False
        if any(x < a + c and x + width > a and y < b + d and y + height > b for a, b, c, d in self._taken):
            return False
        self._taken.append((x, y, width, height))
        return True

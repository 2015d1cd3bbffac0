"""How a number becomes a colour: classes with round limits, the same on screen and on paper, and their words in the legend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import BadInput, did_you_mean
from workbench.layers import PALETTES
from workbench.views import theme

#: Class number of a cell that is not painted: no value, or (for "risk") nothing expected there.
BLANK = 255


@dataclass(frozen=True)
class Scale:
    """Classes of values. Class i holds ``breaks[i - 1] <= value < breaks[i]``; ``floor`` says that zero and less are not painted;
    ``dark`` holds the colours for a dark page."""

    breaks: tuple[float, ...]
    colours: tuple[str, ...]
    alphas: tuple[float, ...]
    labels: tuple[str, ...]
    unit: str = ""
    floor: bool = False
    dark: tuple[str, ...] = ()

    def classes(self, values: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Class number of each value, shape (n,), BLANK where there is nothing to paint. O(n log classes)."""
        v = np.asarray(values, dtype=float)
        out = np.searchsorted(np.asarray(self.breaks), v, side="right").astype(np.uint8)
        out[~np.isfinite(v)] = BLANK
        if self.floor:
            out[v <= 0] = BLANK
        return out

    def to_json(self) -> dict[str, Any]:
        """What a widget needs to paint and to draw the legend."""
        return {
            "breaks": list(self.breaks),
            "colours": list(self.colours),
            "alphas": list(self.alphas),
            "labels": list(self.labels),
            "unit": self.unit,
            "floor": self.floor,
            "dark": list(self.dark or self.colours),
        }


def number(value: float) -> str:
    """A number for people: three figures, thousands parted, no trailing noughts; "-" for none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.0005:
        return f"{value:.1e}"
    text = f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scale_of(values: Any, palette: str = "risk", unit: str = "") -> Scale:
    """Choose classes for some values.

    "risk" takes quantiles that part the upper end finely when there are many values (hotspots are rare) and evenly when there are few;
    "change" is symmetric about 0. Limits are rounded to two figures, so that the legend can be read aloud. O(n log n).

    Raises:
        BadInput: the palette is unknown.
    """
    if palette not in PALETTES:
        raise BadInput(f"Palette {palette!r} is unknown.{did_you_mean(palette, PALETTES)}")
    v = np.asarray(values, dtype=float)
    v = v[np.isfinite(v)]
    if palette == "change":
        return _change(v, unit)
    if palette in ("plain", "kind"):
        return Scale((), theme.ramp(palette, 1), (0.5,), ("",), unit)
    floor = len(v) > 0 and float(v.min()) >= 0
    v = v[v > 0] if floor else v
    if not len(v):
        return Scale((), theme.ramp("risk", 1), (0.6,), ("none",), unit, floor)
    whole = bool(np.all(v == np.round(v)))
    if whole and float(v.max()) - float(v.min()) <= 6:
        steps = sorted({float(x) for x in v})
        return _risk(tuple(steps[1:]), tuple(number(s) for s in steps), unit, floor)
    shares = (0.5, 0.75, 0.88, 0.95, 0.98, 0.995) if len(v) >= 200 else (0.2, 0.4, 0.6, 0.8)
    breaks: list[float] = []
    for q in np.quantile(v, shares):
        b = _round(float(q), whole)
        if float(v.min()) < b <= float(v.max()) and (not breaks or b > breaks[-1]):
            breaks.append(b)
    return _risk(tuple(breaks), _ranges(breaks), unit, floor)


def _risk(breaks: tuple[float, ...], labels: tuple[str, ...], unit: str, floor: bool) -> Scale:
    k = len(breaks) + 1
    alphas = tuple(round(0.16 + 0.72 * (i / (k - 1) if k > 1 else 0.7) ** 0.7, 3) for i in range(k))
    return Scale(breaks, theme.ramp("risk", k), alphas, labels, unit, floor, theme.ramp("risk", k, dark=True))


def _change(v: np.ndarray[Any, Any], unit: str) -> Scale:
    high = float(np.quantile(np.abs(v), 0.98)) if len(v) else 1.0
    high = _round(high, False) or 1.0
    positive = sorted({_round(high * s, False) for s in (0.15, 0.5, 1.0)})
    breaks = [*(-b for b in reversed(positive)), *positive]
    k = len(breaks) + 1
    middle = k // 2
    alphas = tuple(round(0.12 + 0.78 * abs(i - middle) / middle, 3) for i in range(k))
    labels = list(_ranges(breaks))
    labels[middle] = "about the same"
    return Scale(tuple(breaks), theme.ramp("change", k), alphas, tuple(labels), unit, dark=theme.ramp("change", k, dark=True))


def _ranges(breaks: list[float]) -> tuple[str, ...]:
    if not breaks:
        return ("any",)
    inner = [f"{number(a)} to {number(b)}" for a, b in zip(breaks, breaks[1:], strict=False)]
    return (f"under {number(breaks[0])}", *inner, f"{number(breaks[-1])} and more")


def _round(value: float, whole: bool) -> float:
    if value == 0 or not math.isfinite(value):
        return 0.0
    if whole and abs(value) < 100:
        return float(math.ceil(value))
    digits = 1 - math.floor(math.log10(abs(value)))
    return round(value, digits)

"""The map on screen: a small Leaflet widget, drawn by one vendored script with two faces, ``WebMap`` (Panel) and ``JupyterMap`` (anywidget).

Geometry travels once as bytes; a new colouring sends only numbers. A click comes back as ``picked``, "<layer>|<feature id>" (cells: the
cell number; "" for a click beside everything). Nothing outside the widget holds on to what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.layers import Layer
from workbench.views import scene

if TYPE_CHECKING:
    from workbench.views.widgets_jupyter import JupyterMap as JupyterMap
    from workbench.views.widgets_panel import WebMap as WebMap

#: The built script; both faces load this one file.
SCRIPT = Path(__file__).parent / "static" / "webmap.js"


class Drawn:
    """What a map shows: the layers, their edition, and the values given since."""

    def __init__(self) -> None:
        self.layers: tuple[Layer, ...] = ()
        self.base: tuple[Layer, ...] = ()
        self.edition = 0
        self._values: dict[str, tuple[Any, tuple[str, ...]]] = {}

    def show(self, layers: Sequence[Layer], base: Sequence[Layer] | None = None) -> bytes:
        """Replace what is drawn (the base only if given); returns the scene to send."""
        drawn, under = scene.check(layers), self.base if base is None else scene.check(base)
        packet = scene.scene(drawn, under, edition=self.edition + 1)
        self.layers, self.base, self.edition = drawn, under, self.edition + 1
        self._values = {}
        return packet

    def recolour(self, name: str, values: Any, tips: Sequence[str] = ()) -> bytes:
        """New numbers for one layer; returns the values to send (those given before for other layers included)."""
        new = {**self._values, name: (np.asarray(values, dtype=float), tuple(tips))}
        packet = scene.values(self.layers, new, edition=self.edition)
        self._values = new
        return packet


def __getattr__(name: str) -> Any:
    """The two faces, each loaded with its own framework only when asked for."""
    if name == "WebMap":
        from workbench.views.widgets_panel import WebMap

        return WebMap
    if name == "JupyterMap":
        from workbench.views.widgets_jupyter import JupyterMap

        return JupyterMap
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The Jupyter faces of the two widgets. Import them from ``webmap`` and ``linkchart``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import networkx as nx
import traitlets

from workbench.layers import Layer
from workbench.views import linkchart, webmap


class JupyterMap(anywidget.AnyWidget):
    """The map widget in a notebook: the same script and the same traits as the Panel face ``WebMap``."""

    _esm = webmap.SCRIPT
    scene = traitlets.Bytes(b"").tag(sync=True)
    values = traitlets.Bytes(b"").tag(sync=True)
    picked = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    dark = traitlets.Bool(None, allow_none=True).tag(sync=True)
    map_height = traitlets.Int(480).tag(sync=True)

    def __init__(self, layers: Sequence[Layer] = (), *, base: Sequence[Layer] = (), height: int = 480, **traits: Any) -> None:
        self._drawn = webmap.Drawn()
        super().__init__(**{**traits, "scene": self._drawn.show(layers, base), "map_height": height})

    def show(self, layers: Sequence[Layer], *, base: Sequence[Layer] | None = None) -> None:
        """Replace what is drawn; the base stays unless another is given."""
        packet = self._drawn.show(layers, base)
        with self.hold_sync():
            self.values = b""
            self.scene = packet

    def recolour(self, name: str, values: Any, *, tips: Sequence[str] = ()) -> None:
        """New numbers for the cells or areas of one layer; no geometry is sent."""
        self.values = self._drawn.recolour(name, values, tips)


class JupyterLinkChart(anywidget.AnyWidget):
    """The link chart in a notebook: the same script and the same traits as the Panel face ``LinkChart``."""

    _esm = linkchart.SCRIPT
    scene = traitlets.Bytes(b"").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    expand = traitlets.Unicode("").tag(sync=True)
    dark = traitlets.Bool(None, allow_none=True).tag(sync=True)
    chart_height = traitlets.Int(520).tag(sync=True)

    def __init__(self, graph: nx.Graph | None = None, *, height: int = 520, centre: str | None = None, **traits: Any) -> None:
        packet = linkchart.packet(nx.Graph() if graph is None else graph, centre)
        super().__init__(**{**traits, "scene": packet, "chart_height": height})

    def show(self, graph: nx.Graph, *, centre: str | None = None) -> None:
        """Replace the graph; nodes that stay keep their place."""
        self.scene = linkchart.packet(graph, centre)

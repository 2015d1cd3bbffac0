"""The Panel faces of the two widgets. Import them from ``webmap`` and ``linkchart``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import networkx as nx
import panel as pn
import param

from workbench.layers import Layer
from workbench.views import linkchart, webmap


class WebMap(pn.custom.AnyWidgetComponent):
    """Layers on a map in a Panel app.

    Args:
        layers: what to draw; each needs its own name.
        base: the base map (streets, river, beats), drawn beneath and not clickable.
        height: pixels.

    ``picked`` is the last click ("<layer>|<feature id>"); ``selected`` lists ids, plain or with their layer, to emphasise; ``dark`` follows
    the page around unless set.

    Raises:
        BadInput: something is not a layer, or two layers share a name.
    """

    scene = param.Bytes(default=b"", doc="What is drawn; sent once per show().")
    values = param.Bytes(default=b"", doc="Numbers given since; sent by recolour().")
    picked = param.String(default="", doc="The last click: '<layer>|<feature id>', '' beside everything.")
    selected = param.List(default=[], item_type=str, doc="Ids to emphasise.")
    dark = param.Boolean(default=None, allow_None=True, doc="Dark scheme; None follows the page.")
    map_height = param.Integer(default=560, bounds=(60, None), doc="Pixels.")

    _bundle: ClassVar[Any] = webmap.SCRIPT

    def __init__(self, layers: Sequence[Layer] = (), *, base: Sequence[Layer] = (), height: int = 560, **params: Any) -> None:
        self._drawn = webmap.Drawn()
        packet = self._drawn.show(layers, base)
        super().__init__(**{"sizing_mode": "stretch_width", "map_height": height, **params, "scene": packet})

    def show(self, layers: Sequence[Layer], *, base: Sequence[Layer] | None = None) -> None:  # type: ignore[override, unused-ignore]
        """Replace what is drawn; the base stays unless another is given. The view moves only if the layers lie elsewhere."""
        self.param.update(scene=self._drawn.show(layers, base), values=b"")

    def recolour(self, name: str, values: Any, *, tips: Sequence[str] = ()) -> None:
        """New numbers for the cells or areas of one layer, in its order; no geometry is sent. Tips given earlier are dropped.

        Raises:
            NotFound: no such layer.
            BadInput: it has no values, or another number of features.
        """
        self.values = self._drawn.recolour(name, values, tips)


class LinkChart(pn.custom.AnyWidgetComponent):
    """A link chart in a Panel app; see workbench.views.linkchart for what the graph must carry.

    ``selected`` lists node and edge ids and can be set from either side; ``expand`` is the id of the node last double-clicked.

    Raises:
        BadInput: not a graph, or two things share an id.
        NotFound: the centre is not in the graph.
    """

    scene = param.Bytes(default=b"", doc="What is drawn; sent once per show().")
    selected = param.List(default=[], item_type=str, doc="Ids of chosen nodes and edges.")
    expand = param.String(default="", doc="Id of the node last double-clicked.")
    dark = param.Boolean(default=None, allow_None=True, doc="Dark scheme; None follows the page.")
    chart_height = param.Integer(default=520, bounds=(60, None), doc="Pixels.")

    _bundle: ClassVar[Any] = linkchart.SCRIPT

    def __init__(self, graph: nx.Graph | None = None, *, height: int = 520, centre: str | None = None, **params: Any) -> None:
        packet = linkchart.packet(nx.Graph() if graph is None else graph, centre)
        super().__init__(**{"sizing_mode": "stretch_width", "chart_height": height, **params, "scene": packet})

    def show(self, graph: nx.Graph, *, centre: str | None = None) -> None:  # type: ignore[override, unused-ignore]
        """Replace the graph; nodes that stay keep their place. What was selected and is gone is no longer selected."""
        packet = linkchart.packet(graph, centre)
        nodes, edges = linkchart.elements(graph, centre)
        there = {e["id"] for e in (*nodes, *edges)}
        self.param.update(scene=packet, selected=[s for s in self.selected if s in there], expand="")

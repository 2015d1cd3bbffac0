"""The link chart: an entity graph drawn by cytoscape.js, one vendored script with two faces, ``LinkChart`` (Panel) and ``chart`` (Jupyter).

Takes a networkx graph whose nodes carry ``kind`` and ``label`` and whose edges carry ``kind``, ``label``, ``weight`` and ``id``. What is
selected on either side is ``selected`` on both; a double click on a node puts its id into ``expand``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.views import scene, theme

if TYPE_CHECKING:
    from workbench.views.widgets_jupyter import JupyterLinkChart
    from workbench.views.widgets_panel import LinkChart as LinkChart

#: The built script; both faces load this one file.
SCRIPT = Path(__file__).parent / "static" / "linkchart.js"


def elements(graph: nx.Graph, centre: str | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes and edges as plain rows, sorted by id so that the same graph is always laid out the same way. O(nodes + edges).

    ``centre`` (default: the graph's own ``graph["centre"]``) is drawn larger.

    Raises:
        BadInput: what was given is not a networkx graph.
        NotFound: the centre is not in the graph.
    """
    if not isinstance(graph, nx.Graph):
        raise BadInput(f"{type(graph).__name__} is not a graph; give a networkx graph (a Links result's .graph).")
    centre = graph.graph.get("centre") if centre is None else centre
    if centre and centre not in graph:
        raise NotFound(f"The centre {centre!r} is not in the graph.{did_you_mean(centre, graph.nodes)}")
    nodes = []
    for node, data in sorted(graph.nodes(data=True), key=lambda item: str(item[0])):
        kind, label = str(data.get("kind") or str(node).partition(":")[0]), str(data.get("label") or node)
        tip = str(data.get("tip") or f"{label}\n{theme.kind(kind).word}, {_ties(graph.degree(node))}")
        nodes.append({"id": str(node), "kind": kind, "label": label, "tip": tip, "centre": node == centre})
    edges = []
    for source, target, data in graph.edges(data=True):
        label, weight = str(data.get("label") or data.get("kind") or ""), _weight(data.get("weight"))
        key = str(data.get("id") or f"{source}~{target}~{data.get('kind', '')}")
        evidence = data.get("evidence") or []
        rows = [str(e.get("text", "")) if isinstance(e, dict) else str(e) for e in evidence][:4]
        more = [f"and {len(evidence) - 4} more"] if len(evidence) > 4 else []
        tip = str(data.get("tip") or "\n".join([label or "tie", *(r for r in rows if r), *more]))
        edges.append(
            {
                "id": key,
                "source": str(source),
                "target": str(target),
                "kind": str(data.get("kind") or ""),
                "label": label,
                "weight": weight,
                "tip": tip,
                "directed": graph.is_directed(),
            }
        )
    edges.sort(key=lambda e: str(e["id"]))
    twice = {e["id"] for a, e in zip(edges, edges[1:], strict=False) if a["id"] == e["id"]} | ({e["id"] for e in edges} & {n["id"] for n in nodes})
    if twice:
        raise BadInput(f"The id {min(twice)!r} stands for more than one node or edge; give each edge its own 'id'.")
    return nodes, edges


def packet(graph: nx.Graph, centre: str | None = None) -> bytes:
    """The graph and the looks it needs, as bytes for the widget."""
    nodes, edges = elements(graph, centre)
    looks = theme.for_script({n["kind"] for n in nodes})
    return scene.Packet().to_bytes({"theme": looks, "nodes": nodes, "edges": edges})


def chart(graph: nx.Graph, *, height: int = 520, centre: str | None = None) -> JupyterLinkChart:
    """The link chart as a Jupyter widget; ``.selected`` and ``.expand`` can be observed."""
    from workbench.views.widgets_jupyter import JupyterLinkChart

    return JupyterLinkChart(graph, height=height, centre=centre)


def _ties(n: int) -> str:
    return "1 link" if n == 1 else f"{n:,} links"


def _weight(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 1.0
    return number if math.isfinite(number) and number > 0 else 1.0


def __getattr__(name: str) -> Any:
    """The Panel face, loaded with Panel only when asked for."""
    if name == "LinkChart":
        from workbench.views.widgets_panel import LinkChart

        return LinkChart
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

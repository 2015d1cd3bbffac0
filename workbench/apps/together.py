"""Link chart, map, timeline and evidence table of one answer, selecting together: choose something in one and the others follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.page import careful, text
from workbench.apps.picktable import MOST_ROWS, PickTable
from workbench.layers import Points
from workbench.results import Links
from workbench.session import Workbench
from workbench.views import charts, theme
from workbench.views.linkchart import LinkChart
from workbench.views.webmap import WebMap

_COLUMNS = {"when": "When", "text": "Evidence", "kind": "Tie", "base_rate": "How much it says", "record": "Record"}


class Together:
    """The four views and what is chosen in them. An evidence row is known by its number in ``links.evidence``."""

    def __init__(self, workbench: Workbench, message: page.Message) -> None:
        self.workbench, self.message = workbench, message
        self.links: Links | None = None
        self.rows = pl.DataFrame()
        self.edges: dict[str, tuple[str, str]] = {}
        self._following = self.dark = False
        self._chosen_rows: set[str] = set()
        self.placed: set[str] = set()
        self.chart = LinkChart(height=480, margin=0)
        self.map = WebMap(base=workbench.base(), height=480, margin=0)
        none = "No evidence row belongs to this choice."
        self.table = PickTable(height_px=300, label="Evidence", empty=none, sizing_mode="stretch_width", margin=0)
        self.timeline = page.Drawing(self._from_timeline)
        self.chosen = page.html_pane("")
        self.all = pmui.Button(label="Show all", variant="outlined", size="small", margin=0, visible=False)
        self.all.on_click(lambda _: self.clear())
        self.chart.param.watch(lambda e: self._from("chart", e.new), "selected")
        self.map.param.watch(lambda e: self._from("map", [e.new] if e.new else []), "picked")
        self.table.when_picked(lambda row: self._from("table", [row]))
        head = pn.Row(self.chosen, self.all, stylesheets=[":host { gap: 12px; align-items: center; }"], margin=0, sizing_mode="stretch_width")
        how = "Click a node or a line to see its evidence. Double-click a node to centre on it."
        self.chart_card = page.card("Who and what is tied together", self.chart, note=how)
        self.map_card = page.card("Where", self.map, note="Click a point to see what it belongs to.")
        self.time_card = page.card("When", self.timeline.view, note="Incidents and plate reads. Since when a tie is known stands in the table below.")
        self.table_card = page.card("Evidence", head, self.table)
        self.view = page.column(
            page.grid(self.chart_card, self.map_card, wide="minmax(0, 1fr) minmax(0, 1fr)", align="start"), self.time_card, self.table_card, visible=False)

    # ------------------------------------------------------------------ showing an answer

    def show(self, links: Links) -> None:
        """Show one answer whole, nothing chosen."""
        self.links = links
        rate = links.table.select(_a=pl.min_horizontal("source", "target"), _b=pl.max_horizontal("source", "target"), base_rate="base_rate").unique(
            ["_a", "_b"], keep="first", maintain_order=True)
        evidence = links.evidence.with_row_index("row").with_columns(_a=pl.min_horizontal("source", "target"), _b=pl.max_horizontal("source", "target"))
        clock = pl.col("at").dt.convert_time_zone(self.workbench.agency.zone).dt.strftime("%Y-%m-%d %H:%M")
        since = pl.format("since {}", pl.col("at").dt.strftime("%Y-%m-%d"))
        self.rows = evidence.join(rate, on=["_a", "_b"], how="left", maintain_order="left").with_columns(
            record=pl.format("{} {}", "table", "key"), place=pl.when(pl.col("table") == "reads").then(pl.format("read:{}", "key")),
            when=pl.when(pl.col("table") == "associations").then(since).otherwise(clock)).sort("at", nulls_last=True, maintain_order=True)
        graph = nx.Graph(links.graph)
        self.edges = {}
        for i, (a, b, data) in enumerate(graph.edges(data=True)):
            data["id"] = f"edge {i}"
            self.edges[f"edge {i}"] = (min(a, b), max(a, b))
        self._following = True
        try:
            self.chart.param.update(selected=[])
            self.chart.show(graph, centre=links.centre)
            self.map.param.update(picked="", selected=[])
            self.map.show(links.layers)
        finally:
            self._following = False
        self.placed = {i for layer in links.layers if isinstance(layer, Points) for i in layer.ids}
        self._tell(set(), None)
        self._fill(self.rows, [])
        self._draw_time([])
        self.view.visible = True

    def hide(self) -> None:
        """Show nothing and keep nothing."""
        self.links, self.rows, self.edges = None, pl.DataFrame(), {}
        self.view.visible = False

    def clear(self) -> None:
        """Nothing chosen: everything bright, the whole table."""
        self._apply("nobody", set(), set(), None)

    # ------------------------------------------------------------------ one choice, four views

    def _from(self, view: str, ids: Sequence[str]) -> None:
        if self._following or self.links is None:
            return
        with careful(self.message):
            if view == "table":
                self._apply(view, *self._of_rows([int(i) for i in ids]))
            elif view == "timeline":
                self._apply(view, *self._of_rows([int(i) for i in ids])) if ids else self.clear()
            else:
                self._choose(view, [i.partition("|")[2] if "|" in i else i for i in ids])

    def _from_timeline(self, ids: list[str]) -> None:
        """Marks clicked; a chart that was only drawn again says what is chosen already."""
        if set(ids) != self._chosen_rows:
            self._chosen_rows = set(ids)
            self._from("timeline", ids)

    def redraw(self, dark: bool) -> None:
        """Draw everything for a light or a dark page."""
        self.chart.dark = self.map.dark = dark
        self.dark = dark
        if self.links is not None:
            self._draw_time(sorted(self._chosen_rows))

    def _choose(self, view: str, ids: Sequence[str]) -> None:
        """Nodes, edges or points chosen on the chart or the map."""
        if not ids:
            return self.clear()
        reads = [i for i in ids if i.startswith("read:")]
        if reads:
            found = self.rows.filter(pl.col("place").is_in(reads))["row"].to_list()
            return self._apply(view, *self._of_rows(found))
        nodes, edges = {i for i in ids if i in self.links.graph}, {i for i in ids if i in self.edges}  # type: ignore[union-attr]
        pairs = [self.edges[e] for e in edges]
        mine = pl.col("source").is_in(nodes) | pl.col("target").is_in(nodes)
        for a, b in pairs:
            mine = mine | ((pl.col("_a") == a) & (pl.col("_b") == b))
        self._apply(view, nodes, edges, self.rows.filter(mine)["row"].to_list())
        return None

    def _of_rows(self, rows: Sequence[int]) -> tuple[set[str], set[str], list[int]]:
        """The nodes and edges that evidence rows tie."""
        found = self.rows.filter(pl.col("row").is_in(rows))
        pairs = set(found.select("_a", "_b").iter_rows())
        return {n for p in pairs for n in p}, {e for e, pair in self.edges.items() if pair in pairs}, list(rows)

    def _apply(self, view: str, nodes: set[str], edges: set[str], rows: list[int] | None) -> None:
        found = self.rows if rows is None else self.rows.filter(pl.col("row").is_in(rows))
        places = {p for c in ("place", "source", "target") for p in found[c].drop_nulls().to_list()} & self.placed if rows is not None else set()
        self._following = True
        try:
            if view != "chart":
                self.chart.selected = sorted(edges or nodes)
            self.map.selected = sorted(places)
            if view == "nobody":
                self.map.picked = ""
        finally:
            self._following = False
        ids = [str(r) for r in rows or []]
        if view == "table":
            self.table.selected = ids
        elif view == "timeline":
            self._fill(self.rows, ids)
        else:
            self._fill(found, [])
        if view != "timeline":
            self._draw_time(ids)
        self._tell(nodes if not edges or view == "chart" else set(), rows)

    def _fill(self, rows: pl.DataFrame, selected: Iterable[str]) -> None:
        self.table.fill(rows.head(MOST_ROWS), _COLUMNS, ids=[str(r) for r in rows["row"].to_list()], zone=self.workbench.agency.tz)
        self.table.selected = list(selected)

    def _draw_time(self, ids: Sequence[str]) -> None:
        happened = self.rows.filter(pl.col("at").is_not_null() & (pl.col("table") != "associations"))
        kind = pl.when(pl.col("table") == "reads").then(pl.lit("read")).otherwise(pl.lit("incident"))
        events = happened.select("at", kind=kind, label="text", id=pl.col("row").cast(pl.String))
        self.time_card.visible = events.height > 0
        self._chosen_rows = {str(i) for i in ids}
        if events.height:
            self.timeline.show(charts.timeline(events, zone=self.workbench.agency.zone, selected=ids, dark=self.dark))

    def _tell(self, nodes: set[str], rows: list[int] | None) -> None:
        """Say above the table what is chosen and how common it is."""
        self.all.visible = rows is not None
        total = self.rows.height
        if rows is None:
            more = f" The first {MOST_ROWS} are listed." if total > MOST_ROWS else ""
            self.chosen.object = (f"<p class=small>{total:,} rows tie these things together.{more} Choose a node, a point, a row or a moment to narrow "
                                  "them down.</p>")
            return
        graph: Any = self.links.graph if self.links else nx.Graph()
        parts = []
        for node in sorted(nodes)[:3]:
            data = graph.nodes[node]
            rate = f", tied to {_count(data['ties'], 'thing')} in all" if data.get("ties") else ""
            if data.get("near") is not None:
                rate += f"; near {_count(data['near'], 'scene')}, {data['expected']:.2g} expected by chance, {_count(data['as_often'], 'plate')} as often"
            parts.append(f"<b>{text(str(data['label']))}</b> ({text(theme.kind(data['kind']).word.lower())}{text(rate)})")
        said = " and ".join(parts) or "This"
        self.chosen.object = f"<p class=small>{said}: {len(rows):,} of {total:,} evidence rows.</p>"


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}" + ("" if n == 1 else "s")

"""Any answer on a page: its sentence, map, rows and what it rests on, the map and the rows selecting together."""

from __future__ import annotations

from typing import Any

import polars as pl

from workbench.apps import page
from workbench.apps.page import text
from workbench.apps.picktable import MOST_ROWS, PickTable
from workbench.layers import Points
from workbench.results import Result
from workbench.session import Workbench
from workbench.views.webmap import WebMap

#: Columns that are ids or are drawn on the map: not for reading.
_HIDDEN = {"lon", "lat", "read_at", "read_id", "evidence", "source", "target", "number"}
_WORDS = {"local_at": "When", "kmh": "km/h", "p": "p", "q": "q", "n": "Number", "expected": "Expected by habits",
          "by_chance": "Plates by chance", "metres": "m from the last", "gap_hours": "Hours since"}


class Answer:
    """The place for one answer; ``show`` fills it, ``hide`` empties it."""

    def __init__(self, workbench: Workbench, *, height: int = 420, label: str = "Rows behind the sentence") -> None:
        self.workbench, self.result, self.ids = workbench, None, {}  # type: tuple[Workbench, Result | None, dict[str, str]]
        self.sentence, self.foot, self.more = page.html_pane(""), page.html_pane(""), page.html_pane("")
        self.map = WebMap(base=workbench.base(), map_height=height, sizing_mode="stretch_width", margin=0)
        self.table = PickTable(height_px=height - 30, label=label, empty="There is no row.", sizing_mode="stretch_width", margin=0)
        self.table.when_picked(lambda row: self._light(row))
        self.map.param.watch(lambda event: self._from_map(str(event.new or "")), "picked")
        self.map_card = page.card("Where", self.map)
        self.table_card = page.card("Rows", self.more, self.table)
        self.view = page.column(page.card("", self.sentence, self.foot), self.map_card, self.table_card, visible=False)

    def show(self, result: Result) -> None:
        """Show one answer whole."""
        self.result = result
        self.sentence.object = f"<p class=sentence>{text(result.headline)}</p>"
        self.foot.object = page.basis_markup(result.basis.lines())
        self.map.param.update(picked="", selected=[])
        self.map.show(result.layers)
        self.map_card.visible = bool(result.layers)
        shown = _shown(result.table)
        rows = result.table.height
        self.more.object = f"<p class=small>The first {MOST_ROWS:,} of {rows:,} are listed.</p>" if rows > MOST_ROWS else ""
        self.ids = _ids(result)
        self.table.fill(_readable(result.table.select(list(shown))), shown, ids=[str(i) for i in range(min(rows, MOST_ROWS))], zone=self.workbench.agency.tz)
        self.table_card.visible = rows > 0
        self.view.visible = True

    def hide(self) -> None:
        """Show nothing and keep nothing."""
        self.result, self.ids = None, {}
        self.map.show(())
        self.table.clear("There is no row.")
        self.view.visible = False

    def redraw(self, dark: bool) -> None:
        """Draw the map for a light or a dark page."""
        self.map.dark = dark

    def _light(self, row: str) -> None:
        point = self.ids.get(row)
        self.map.selected = [point] if point else []

    def _from_map(self, picked: str) -> None:
        point = picked.partition("|")[2] if "|" in picked else picked
        self.table.selected = [row for row, held in self.ids.items() if held == point]


def _ids(result: Result) -> dict[str, str]:
    """Which point of the map belongs to which row: by the read, plate, incident or reader that both name."""
    points = {i for layer in result.layers if isinstance(layer, Points) for i in layer.ids}
    out: dict[str, str] = {}
    for column, kind in (("read_id", "read"), ("plate", "vehicle"), ("other", "vehicle"), ("incident_id", "incident"), ("reader", "reader")):
        if column in result.table.columns and result.table.schema[column] == pl.String:
            for n, key in enumerate(result.table[column].head(MOST_ROWS).to_list()):
                if f"{kind}:{key}" in points:
                    out.setdefault(str(n), f"{kind}:{key}")
    return out


def _shown(table: pl.DataFrame) -> dict[str, str]:
    """The columns that a person reads, with their headings."""
    kept: dict[str, Any] = {}
    for name, kind in table.schema.items():
        nested = kind.is_nested() and not (isinstance(kind, pl.List) and kind.inner == pl.String and name in ("days", "readers", "reasons"))
        empty = table[name].null_count() == table.height or (kind == pl.String and not (table[name].fill_null("") != "").any())
        if name not in _HIDDEN and not nested and not empty and not name.startswith("_"):
            kept[name] = _WORDS.get(name, name.replace("_", " ").capitalize())
    return kept


def _readable(table: pl.DataFrame) -> pl.DataFrame:
    """Chances as people read them: three digits, and "under 0.001"."""
    chances = [c for c in ("p", "q") if table.schema.get(c) == pl.Float64]
    return table.with_columns(pl.when(pl.col(c) < 0.001).then(pl.lit("under 0.001")).otherwise(pl.col(c).round(3).cast(pl.String)).alias(c) for c in chances)

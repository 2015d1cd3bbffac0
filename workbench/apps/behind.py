"""What is behind one cell of a forecast: its expectation and rank, its incidents week by week, and the incidents themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from workbench.apps import page
from workbench.apps.page import text
from workbench.apps.picktable import PickTable
from workbench.results import Surface
from workbench.session import Workbench
from workbench.views import charts
from workbench.views.scales import number

_COLUMNS = {"started_at": "Began", "offence_detail": "Offence", "address": "Address", "report_number": "Report"}
WEEKS = 52


def weekly(frame: pl.DataFrame, surface: Surface) -> pl.DataFrame:
    """Incidents by week over the year before a forecast, weeks without any included: columns week (its first moment, UTC) and count."""
    first = surface.asof - timedelta(weeks=WEEKS)
    weeks = pl.DataFrame({"week": [first + timedelta(weeks=i) for i in range(WEEKS)]}, schema={"week": pl.Datetime("us", "UTC")})
    number_of = ((pl.col("started_at") - first).dt.total_seconds() // (7 * 86400)).cast(pl.Int64).alias("n")
    counted = frame.filter(pl.col("started_at") >= first).group_by(number_of).len("count")
    every = weeks.with_row_index("n").cast({"n": pl.Int64}).join(counted, on="n", how="left", maintain_order="left")
    return every.select("week", pl.col("count").fill_null(0).cast(pl.Int64))


class Behind:
    """The card beside the map."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench, self.dark = workbench, False
        self.counts = pl.DataFrame({"count": []}, schema={"count": pl.Int64})
        self.words = page.html_pane("<p class=lead>Click a cell on the map or a row of the table.</p>")
        self.chart = page.Drawing()
        self.list = PickTable(height_px=210, label="Incidents in the cell", empty="No incident lies in this cell; its expectation comes from those around it.",
                              sizing_mode="stretch_width", margin=0, visible=False)
        self.card = page.card("Behind the chosen cell", self.words, self.chart.view, self.list)

    def clear(self) -> None:
        """Nothing chosen."""
        self.words.object = "<p class=lead>Nothing is chosen.</p>"
        self.counts = self.counts.clear()
        self.list.visible = False
        self.chart.hide()

    def show(self, surface: Surface, incidents: pl.DataFrame, cell: int, offence: str) -> None:
        """Show one cell; incidents known before the forecast only."""
        here = incidents.filter(pl.Series(surface.grid.locate(incidents) == cell, dtype=pl.Boolean)).sort("started_at", descending=True)
        self.words.object = self._words(surface, here, cell, offence)
        self.counts = weekly(here, surface)
        self.draw()
        columns = {c: t for c, t in _COLUMNS.items() if c in here.columns and here[c].null_count() < here.height} or {"started_at": "Began"}
        self.list.fill(here, columns, ids=here["incident_id"].to_list(), zone=self.workbench.agency.tz)
        self.list.visible = True

    def draw(self) -> None:
        """Draw the weeks of the cell shown."""
        if int(self.counts["count"].sum()):
            self.chart.show(charts.weekly(self.counts, width="container", height=120, dark=self.dark))
        else:
            self.chart.hide()

    def _words(self, surface: Surface, here: pl.DataFrame, cell: int, offence: str) -> str:
        inside: Any = surface.expected[surface.grid.inside]
        rank = int((inside > surface.expected[cell]).sum()) + 1
        beat = here["beat"].drop_nulls().mode().sort() if here.height else pl.Series([], dtype=pl.String)
        where = f"beat {beat[0]}, " if len(beat) else ""
        span = f", 90 % of the time {surface.lower[cell]:.0f} to {surface.upper[cell]:.0f}" if surface.lower is not None and surface.upper is not None else ""
        year = int((here["started_at"] >= surface.asof - timedelta(weeks=WEEKS)).sum())
        return (f"<p class=lead><b>{number(float(surface.expected[cell]))} expected</b>{span}; rank {rank:,} of {len(inside):,} cells ({text(where)}"
                f"cell {cell}). {year:,} in the last {WEEKS} weeks, {here.height:,} in all.</p>")

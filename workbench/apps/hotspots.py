"""Where are the next incidents most likely, what is behind each place, and how good would this forecast have been?"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench import models
from workbench.apps import page
from workbench.apps.behind import Behind
from workbench.apps.page import careful, text
from workbench.apps.picktable import PickTable
from workbench.errors import CannotTell, WorkbenchError
from workbench.geo import Grid
from workbench.layers import Cells, Layer
from workbench.models.hotspots import backtest, choose
from workbench.results import Matrix, Surface
from workbench.session import Workbench
from workbench.views import charts
from workbench.views.webmap import WebMap

TITLE = "Hotspots"
QUESTION = "Where are the next incidents most likely, what is behind each place, and how far can the forecast be trusted?"
NEEDS = ("incidents",)
ICON = ("M3 3h5.200v5.200H3zM9.400 3h5.200v5.200H9.400zM15.800 3H21v5.200h-5.200zM3 9.400h5.200v5.200H3zM15.800 9.400H21v5.200h-5.200z"
        "M3 15.800h5.200V21H3zM9.400 15.800h5.200V21H9.400zM10.400 10.400h3.200v3.200h-3.200z")

SHARES = {"0.5 %": 0.005, "1 %": 0.01, "2 %": 0.02, "3 %": 0.03, "5 %": 0.05, "10 %": 0.10}
AHEAD = {"1 day": "1d", "3 days": "3d", "7 days": "7d", "14 days": "14d", "28 days": "28d"}
BACK = {"90 days": "90d", "180 days": "180d", "1 year": "365d", "2 years": "730d", "5 years": "1825d"}
CELLS = {"150 m": 150.0, "250 m": 250.0, "400 m": 400.0}
TESTED = timedelta(days=182)
_FIRST = "hotspots.choose"  # the method that stands in the box at first
_BESIDE = ("hotspots.counts", "hotspots.kde")  # methods that every test shows beside the one chosen
_SAID = 0.02  # the share that a forecast's own sentence speaks of


def app(workbench: Workbench) -> pmui.Page:
    """The page."""
    return _Hotspots(workbench).page()


def place_names(frame: pl.DataFrame, grid: Grid, cells: Any, asof: datetime) -> pl.DataFrame:
    """For each cell: the address and beat most often recorded there, and its incidents of the last 28 days. Columns cell, place, beat, recent."""
    at = frame.with_columns(pl.Series("cell", grid.locate(frame))).filter(pl.col("cell").is_in([int(c) for c in cells]))
    common = [pl.col(c).drop_nulls().mode().sort().first().alias(n) for c, n in (("address", "place"), ("beat", "beat"))]
    return at.group_by("cell").agg(*common, (pl.col("started_at") >= asof - timedelta(days=28)).sum().cast(pl.Int64).alias("recent"))


class _Hotspots:
    """One open page: its widgets, and the answer they show."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench, self.agency = workbench, workbench.agency
        self.methods = {_title(name): name for name in models.surfaces()}
        self.surface: Surface | None = None
        self.matrix: Matrix | None = None
        self.dark, self.used = False, _FIRST
        self.incidents = pl.DataFrame()
        self.turn, self.one = 0, threading.Lock()
        self._widgets()
        self._parts()

    def _widgets(self) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (7, 14), "size": "small"}
        offences = self.workbench.offences()
        last = self.workbench.asof.astimezone(self.agency.tz).date()
        self.offence = pmui.Select(label="Offence", options=offences, value="burglary" if "burglary" in offences else offences[0], **wide)
        first = next((t for t, n in self.methods.items() if n == _FIRST), next(iter(self.methods)))
        self.method = pmui.Select(label="Method", options=list(self.methods), value=first, **wide)
        self.asof = pmui.DatePicker(label="Forecast from the morning of", value=last, end=last, **wide)
        self.ahead = pmui.Select(label="Looking ahead", options=AHEAD, value="7d", **wide)
        self.back = pmui.Select(label="Learning from the last", options=BACK, value="1825d", **wide)
        self.share = pmui.Select(label="Share of the area to cover", options=SHARES, value=0.02, **wide)
        self.cell = pmui.Select(label="Side of a cell", options=CELLS, value=250.0, **wide)
        self.why = page.html_pane("", margin=(2, 16, 10, 16))
        for widget in (self.offence, self.method, self.asof, self.ahead, self.back, self.cell):
            widget.param.watch(lambda _: self.work(), "value")
        self.share.param.watch(lambda _: self.reshare(), "value")

    def _parts(self) -> None:
        self.message, self.tested = page.Message(), page.Message()
        self.sentence = page.html_pane("<p class=sentence>Working out the forecast.</p>")
        self.foot = page.html_pane("")
        self.map = WebMap(base=self.workbench.base(), map_height=500, sizing_mode="stretch_width", margin=0)
        self.map.param.watch(lambda event: self.pick(_cell_of(event.new)), "picked")
        self.table = PickTable(height_px=268, label="Cells by expected incidents", empty="No cell to rank yet.", sizing_mode="stretch_width", margin=0)
        self.table.when_picked(lambda chosen: self.pick(int(chosen)))
        self.behind = Behind(self.workbench)
        self.score = page.html_pane("<p class=lead>The test runs once the forecast stands.</p>")
        self.chart = page.Drawing()

    def page(self) -> pmui.Page:
        """Lay the page out; the first forecast is worked out when the browser has it."""
        sidebar = [page.html_pane("<p class=eyebrow>What to forecast</p>", margin=(14, 16, 2, 16)), self.offence, self.asof, self.ahead, self.share,
                   page.html_pane("<p class=eyebrow>How</p>", margin=(12, 16, 2, 16)), self.method, self.why, self.back, self.cell]
        self.answer = page.card("", self.sentence, self.foot)
        self.map_card = page.card("Expected incidents by cell", self.map, note="Outlined: the cells to cover. Click a cell to see what is behind it.")
        self.test_card = page.card("How good would it have been?", self.tested.pane, self.score, self.chart.view)
        self.table_card = page.card("Cells to cover, most expected first", self.table)
        main = page.column(
            self.message.pane, self.answer,
            page.grid(page.column(self.map_card, self.test_card), page.column(self.table_card, self.behind.card), wide="minmax(0, 1fr) 430px", align="start"),
        )
        pn.state.onload(self.work)
        made = page.shell(self.workbench, TITLE, [main], here="hotspots", sidebar=sidebar)
        made.param.watch(lambda event: self.redraw(event.new), "dark_theme")
        return made

    def redraw(self, dark: bool) -> None:
        """Draw map and charts for a light or a dark page."""
        self.map.dark = dark
        self.dark = self.behind.dark = dark
        self.behind.draw()
        self._draw_test()

    # ------------------------------------------------------------------ the forecast

    def work(self) -> None:
        """Work the forecast out again, then test it; a later change of a widget overtakes an earlier one."""
        self.turn += 1
        mine = self.turn
        with self.one, careful(self.message, self.map_card, self.table_card, self.answer):
            if mine != self.turn:
                return
            self._forecast()
        if self.surface is not None and mine == self.turn:
            with self.one, careful(self.tested, self.test_card):
                if mine == self.turn:
                    self._test()

    def _model(self, asof: datetime) -> Any:
        """The forecast asked for; for "best for this offence" the model that is offered, and the page says which and why."""
        name, why = self.methods[self.method.value], ""
        if name == _FIRST:
            choice = choose.model("best", self.incidents, self.grid, asof, window=self.back.value, horizon=self.ahead.value)
            name, why = f"hotspots.{choice.name}", f" {choice.sentence}"
        self.used = name
        self.why.object = f"<p class=small>{text(models.surfaces()[self.methods[self.method.value]] + why)}</p>"
        return partial(models.find(name).surface, window=self.back.value, horizon=self.ahead.value, zone=self.agency.zone)

    def _forecast(self) -> None:
        self.surface = None
        asof = self.agency.moment(self.asof.value)
        try:
            self.incidents = self.workbench.incidents(end=asof, offence=self.offence.value)
            if self.incidents.is_empty():
                raise CannotTell(f"There is no {self.offence.value} before {self._day(asof)} in the incidents; choose another offence or a later day.")
            self.grid = self.workbench.grid(self.cell.value)
            self.surface = self._model(asof)(self.incidents, self.grid, asof)
        except WorkbenchError:
            self._nothing()
            raise
        self.show()

    def reshare(self) -> None:
        """Outline another share of the same forecast."""
        with careful(self.message):
            self.show()
            self._draw_test()

    def _nothing(self) -> None:
        self.sentence.object, self.foot.object = "<p class=sentence>There is no forecast for this choice.</p>", ""
        self.map.show(())
        self.table.clear("No cell can be ranked for this choice.")
        self.behind.clear()
        self._untested("Without a forecast there is nothing to test.")

    def _untested(self, why: str) -> None:
        self.matrix, self.score.object = None, f"<p class=lead>{text(why)}</p>"
        self.chart.hide()

    def show(self) -> None:
        """Draw the forecast there is, with the cells of the chosen share outlined."""
        surface = self.surface
        if surface is None:
            return
        top = surface.top(self.share.value)
        held = float(surface.expected[top].sum()) / max(float(surface.expected.sum()), 1e-12)
        self.sentence.object = f"<p class=sentence>{text(surface.headline)}</p>"
        size = f"{100 * self.share.value:g} % of the area ({len(top) * surface.grid.cell**2 / 1e6:.2g} km²)"
        more = f"<p class=lead>The {len(top):,} outlined cells cover {size} and should hold about {held:.0%} of them.</p>" if self.share.value != _SAID else ""
        self.foot.object = more + page.basis_markup(surface.basis.lines())
        self.map.show(self._layers(surface, top))
        ranked = self._ranked(surface, top)
        self.table.fill(ranked, {"rank": "#", "place": "Where", "beat": "Beat", "expected": "Expected", "recent": "28 days"},
                        ids=[str(c) for c in ranked["cell"].to_list()], zone=self.agency.tz, bars=("expected",))
        if len(top):
            self.pick(int(top[0]))

    def _layers(self, surface: Surface, top: Any) -> tuple[Layer, ...]:
        return tuple(replace(layer, name="cells", marked=tuple(int(c) for c in top)) if isinstance(layer, Cells) else layer for layer in surface.layers)

    def _ranked(self, surface: Surface, top: Any) -> pl.DataFrame:
        frame = pl.DataFrame({"rank": range(1, len(top) + 1), "cell": [int(c) for c in top], "expected": surface.expected[top]})
        named = place_names(self.incidents, surface.grid, top, surface.asof)
        return frame.join(named, on="cell", how="left", maintain_order="left").with_columns(pl.col("recent").fill_null(0))

    def _day(self, moment: datetime) -> str:
        return page.local(moment, self.workbench)

    # ------------------------------------------------------------------ one cell

    def pick(self, cell: int | None) -> None:
        """Choose a cell, on the map and in the table, and show what is behind it."""
        if cell is None or self.surface is None:
            return
        self.map.selected = [f"cells|{cell}"]
        self.table.selected = [str(cell)]
        with careful(self.message):
            self.behind.show(self.surface, self.incidents, cell, self.offence.value)

    # ------------------------------------------------------------------ the test

    def _test(self) -> None:
        """Score the method used, prior counts and kernel density at weekly origins of the half year before, at the chosen share and its neighbours."""
        surface = self.surface
        if surface is None:
            return
        self._untested("Forecasting every week of the half year before, from what was known then.")
        end, ahead = surface.asof, surface.horizon
        start = self.agency.moment(end.astimezone(self.agency.tz).date() - TESTED)
        each = {_title(name): partial(models.find(name).surface, window=self.back.value, horizon=self.ahead.value)
                for name in dict.fromkeys((self.used, *_BESIDE))}
        try:
            self.matrix = backtest.rolling(self.incidents, self.grid, each, start=start, end=end, step=max(timedelta(days=7), ahead), horizon=ahead,
                                           shares=sorted({0.01, 0.02, 0.05, self.share.value}), zone=self.agency.zone)
        except WorkbenchError:
            self._untested("")
            raise
        self.score.object = f"<p class=lead>{text(self.matrix.headline)}</p>{page.basis_markup(self.matrix.basis.lines())}"
        self._draw_test()

    def _draw_test(self) -> None:
        if self.matrix is not None:
            known = sorted(self.matrix.scores["share"].unique().to_list())
            share = min(known, key=lambda s: abs(s - self.share.value))
            self.chart.show(charts.backtest(self.matrix.scores, measure="pai", share=share, width="container", height=190, dark=self.dark))


def _cell_of(picked: str) -> int | None:
    """The cell's number in what the map says was picked ("cells|123"), or None."""
    layer, _, number = picked.partition("|")
    return int(number) if layer == "cells" and number.isdigit() else None


def _title(name: str) -> str:
    """What a forecasting model is called on the page: its TITLE, else its file's name."""
    return str(getattr(models.find(name), "TITLE", name.rpartition(".")[2].replace("_", " ").capitalize()))



"""Where was this plate, who travelled with it, what was near the scenes, and is any of it more than chance?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Any

import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench import plates as plate_names
from workbench.apps import page
from workbench.apps.access import CaseForm
from workbench.apps.answer import Answer
from workbench.apps.page import careful, text
from workbench.apps.picktable import PickTable
from workbench.errors import CannotTell
from workbench.models import plates as models
from workbench.models.plates import cloned, contradict, convoy, history, life, search, stakeout
from workbench.results import Result
from workbench.session import Workbench

TITLE = "Plates"
QUESTION = "Where was this plate, who travelled with it, which plates were near the scenes, and is any of it more than chance?"
NEEDS = ("incidents", "reads")
ICON = "M3 6h18v12H3zM4.500 7.500v9h15v-9zM6.500 10h2v4h-2zM10 10h2v4h-2zM13.500 10h4v1.500h-4zM13.500 12.800h4v1.200h-4z"

WHERE, WITH, HABITS, ONE, AGAINST, SCENES = ("Where was it?", "Who travelled with it?", "What are its habits?", "Can it be one vehicle?",
                                             "What speaks against?", "Plates near the scenes")
_DAYS = 30  # of reads that the page looks at


def app(workbench: Workbench) -> pmui.Page:
    """The page."""
    return _Plates(workbench).page()


class _Plates:
    """One open page: the plate asked about, the question, and the answer."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.message = page.Message()
        self.plate, self.turn, self.one = "", 0, threading.Lock()
        hint = "a plate, or part of one: ABC1234, AB?1*, misread ones are found too"
        self.find = pmui.TextInput(label="Plate", placeholder=hint, size="small", sizing_mode="stretch_width", margin=0)
        self.go = pmui.Button(label="Search", color="primary", variant="contained", margin=0, height=40)
        self.go.on_click(lambda _: self.search())
        self.find.param.watch(lambda _: self.search(), "enter_pressed")
        self.question = pmui.RadioButtonGroup(options=[WHERE, WITH, HABITS, ONE, AGAINST, SCENES], value=WHERE, size="small", margin=0, color="primary")
        self.question.param.watch(lambda _: self.work(), "value")
        self.found = PickTable(height_px=240, label="Plates that fit", empty="No plate fits.", sizing_mode="stretch_width", margin=0)
        self.found.when_picked(lambda plate: self.choose(plate))
        self.fits = page.html_pane("")
        self.found_card = page.card("Plates that fit", self.fits, self.found, visible=False)
        self.answer = Answer(workbench)
        self.place = pn.Column(margin=0, sizing_mode="stretch_width", visible=False)

    def page(self) -> pmui.Page:
        """Lay the page out; where no case is open the form for one comes first."""
        line = page.grid(self.find, self.go, wide="minmax(0, 1fr) auto", narrow="minmax(0, 1fr) auto", align="center")
        words = page.html_pane("<p class=small>Every plate that is looked up is written to the audit under the case. A read is what a reader took the plate "
                               "to be: look at the picture before acting on it.</p>")
        self.top = page.card("", line, pn.Row(self.question, margin=(10, 0, 0, 0), sizing_mode="stretch_width"), words)
        self.main = page.column(self.place, self.top, self.message.pane, self.found_card, self.answer.view)
        if self.workbench.may_see("reads"):
            pn.state.onload(self.begin)
        else:
            self.top.visible = False
            wanted = (pn.state.location.query_params if pn.state.location else {}).get("case", "")
            self.place.append(CaseForm(self.workbench, self.opened, wanted=str(wanted)).card)
            self.place.visible = True
        self.made = made = page.shell(self.workbench, TITLE, [self.main], here="plates")
        made.param.watch(lambda event: self.answer.redraw(event.new), "dark_theme")
        return made

    def opened(self, workbench: Workbench) -> None:
        """Go on under a case: the form goes."""
        self.workbench = self.answer.workbench = workbench
        self.__dict__.pop("_reads", None)
        self.__dict__.pop("_index", None)
        self.made.header[0].object = page.heading(workbench, "plates")
        self.place.clear()
        self.place.visible, self.top.visible = False, True
        self.begin()

    def begin(self) -> None:
        """With a case whose scenes are known the plates near them are shown; else the page waits for a plate."""
        with careful(self.message, self.main):
            if self._scenes().height >= 2:
                self.question.value = SCENES  # which works
            else:
                self.message.show("Search a plate to begin; part of one will do.")

    # ------------------------------------------------------------------ what it works on

    @cached_property
    def _reads(self) -> Any:
        until = self.workbench.asof
        reads = self.workbench.reads(until - timedelta(days=_DAYS), until)
        if reads.is_empty():
            raise CannotTell(f"There is no read in the last {_DAYS} days of the data, so nothing can be told of any plate; load reads first.")
        return models.prepare(reads, zone=self.workbench.agency.zone)

    @cached_property
    def _index(self) -> Any:
        return search.index(self._reads.frame)

    def _scenes(self) -> pl.DataFrame:
        number = self.workbench.case
        subjects = self.workbench.casebook.subjects(str(number))["entity"].to_list() if number else []
        wanted = [s.partition(":")[2] for s in subjects if s.startswith("incident:")]
        return self.workbench.incidents().filter(pl.col("incident_id").is_in(wanted) & pl.col("lon").is_not_null())

    # ------------------------------------------------------------------ searching

    def search(self) -> None:
        """A plate that was read is asked about at once; for a part, or one never read, those that fit are listed."""
        plate = ""
        with careful(self.message, self.main):
            typed = page.typed(self.find)
            self.found_card.visible = False
            if self._read(typed):
                plate = plate_names.normal(typed)
            else:
                self._list(typed)
        if plate:
            self.choose(plate)

    def _read(self, typed: str) -> bool:
        """Whether what was typed is a whole plate that was read."""
        return not ({"?", "*"} & set(typed)) and self._reads.code(typed) is not None

    def _list(self, typed: str) -> None:
        known = len(plate_names.normal(typed))
        edits = 0 if {"?", "*"} & set(typed) else min(2, max(0, known - 4))  # of a short one nearly everything is two edits away
        with self.workbench.deed("plates", typed, question="which plates fit") as outcome:
            fitting = search.search(self._index, typed, edits=edits, look_alikes=True, most=100)
            outcome["rows"] = fitting.table.height
        if fitting.table.is_empty():
            raise CannotTell(fitting.headline)
        self.fits.object = f"<p class=small>{text(fitting.headline)}</p>"
        columns = {c: c.replace("_", " ").capitalize() for c, kind in fitting.table.schema.items() if not kind.is_nested()}
        self.found.fill(fitting.table, columns, ids=fitting.table["plate"].to_list(), zone=self.workbench.agency.tz)
        self.found_card.visible = True

    def choose(self, plate: str) -> None:
        """Ask about a plate."""
        self.plate = plate
        self.find.param.update(value=plate, value_input=plate)
        if self.question.value == SCENES:
            self.question.value = WHERE  # which works
        else:
            self.work()

    # ------------------------------------------------------------------ answering

    def work(self) -> None:
        """Answer the question that is chosen, about the plate that is chosen; a later question overtakes an earlier one."""
        self.turn += 1
        mine = self.turn
        with self.one, careful(self.message, self.main):
            if mine != self.turn:
                return
            self.answer.hide()
            typed = page.typed(self.find)
            if self.question.value != SCENES and typed and plate_names.normal(typed) != self.plate:  # typed, but not searched
                if not self._read(typed):
                    self._list(typed)
                    return
                self.plate, self.found_card.visible = plate_names.normal(typed), False
            if not self.plate and self.question.value != SCENES:
                self.message.show("Search a plate first; part of one will do.")
                return
            with self.workbench.deed("plates", self.plate if self.question.value != SCENES else "scenes", question=self.question.value):
                self.answer.show(self._answered())

    def _answered(self) -> Result:
        asof, zone, reads = self.workbench.asof, self.workbench.agency.zone, self._reads
        ask: dict[str, Callable[[], Result]] = {
            WHERE: lambda: history.history(reads.frame, self.plate, asof=asof, zone=zone),
            WITH: lambda: convoy.companions(reads, self.plate, asof=asof, zone=zone),
            HABITS: lambda: life.pattern(reads, self.plate, case_number=str(self.workbench.case or ""), asof=asof, zone=zone),
            ONE: lambda: cloned.impossible(reads, plate=self.plate, zone=zone),
            AGAINST: lambda: contradict.against(reads, self.plate, scenes=self._needed_scenes(), asof=asof, zone=zone),
            SCENES: lambda: stakeout.stakeout(reads, self._needed_scenes(), asof=asof, zone=zone),
        }
        return ask[self.question.value]()

    def _needed_scenes(self) -> pl.DataFrame:
        scenes = self._scenes()
        if scenes.is_empty():
            raise CannotTell(f"No incident with a place is attached to case {self.workbench.case}, so there is no scene to compare with; attach the case's "
                             "incidents first (page Case links, or workbench case).")
        return scenes

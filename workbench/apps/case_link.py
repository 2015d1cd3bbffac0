"""Who and what is tied to this case, plate, person, phone or address, where and when, and by which records?"""

from __future__ import annotations

from typing import Any

import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.access import CaseForm
from workbench.apps.page import careful, text
from workbench.apps.picktable import PickTable
from workbench.apps.together import Together
from workbench.errors import AccessRefused, CannotTell, NotFound
from workbench.models.links import case as links_case
from workbench.models.links import evidence
from workbench.results import Links
from workbench.session import Workbench
from workbench.views import theme

TITLE = "Case links"
QUESTION = "Who and what is tied to this case, plate, person, phone or address, and which records say so?"
NEEDS = ("incidents", "people", "vehicles", "phones", "addresses", "involvements", "reads")
ICON = ("M6 3.500a3 3 0 0 1 2.900 3.700l3.400 1.900a3 3 0 1 1-.7 1.300L8.200 8.500A3 3 0 1 1 6 3.500zM15 14.200l1.300-.5 1.300 2.900a3 3 0 1 1-1.300.6z"
        "M11.200 13.300l1.100.9-2.500 3a3 3 0 1 1-1.100-.9z")

STEPS = {"1 step": 1, "2 steps": 2, "3 steps": 3}
_MANY = 3  # with more subjects than this, one step already fills the chart


def app(workbench: Workbench) -> pmui.Page:
    """The page."""
    return _CaseLink(workbench).page()


class _CaseLink:
    """One open page: the search, the form where it is needed, and the four views."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.message = page.Message()
        self.centre: list[str] = []
        self.facts: links_case.Facts | None = None
        self.evidence: evidence.Evidence | None = None
        hint = "case or report number, plate, name, phone or address"
        self.find = pmui.TextInput(label="Search", placeholder=hint, size="small", sizing_mode="stretch_width", margin=0)
        self.go = pmui.Button(label="Search", color="primary", variant="contained", margin=0, height=40)
        self.other = pmui.TextInput(label="And what ties it to", placeholder="a plate, name, phone or report number", size="small",
                                    sizing_mode="stretch_width", margin=0)
        self.why = pmui.Button(label="Why?", color="primary", variant="outlined", margin=0, height=40)
        self.why.on_click(lambda _: self.explain())
        self.other.param.watch(lambda _: self.explain(), "enter_pressed")
        self.steps = pmui.Select(label="Followed for", options=STEPS, value=2, size="small", width=130, margin=0)
        self.go.on_click(lambda _: self.search())
        self.find.param.watch(lambda _: self.search(), "enter_pressed")
        self.steps.param.watch(lambda _: self.draw(), "value")
        self.results = PickTable(height_px=240, label="What was found", empty="Nothing was found.", sizing_mode="stretch_width", margin=0)
        self.results.when_picked(self.choose)
        self.results_card = page.card("What was found", self.results, note="Pick a row to see what is tied to it.", visible=False)
        self.answer = page.html_pane("")
        self.answer_card = page.card("", self.answer, visible=False)
        self.views = Together(workbench, self.message)
        self.views.chart.param.watch(lambda e: self.centre_on([e.new]) if e.new else None, "expand")
        self.bar = page.html_pane(self._bound())
        self.place = pn.Column(margin=0, sizing_mode="stretch_width", visible=False)

    def page(self) -> pmui.Page:
        """Lay the page out. Where a case is bound already its subjects are shown at once."""
        row = "minmax(0, 1fr) auto auto"
        top = page.card("", page.grid(self.find, self.go, self.steps, self.other, self.why, wide=f"{row} minmax(0, 1fr) auto", narrow=row, align="center"),
                        self.bar)
        self.main = page.column(top, self.place, self.message.pane, self.results_card, self.answer_card, self.views.view)
        if self.workbench.case or self.workbench.person.emergency:
            pn.state.onload(self.show_case)
        else:
            self.ask()
        self.made = made = page.shell(self.workbench, TITLE, [self.main], here="case_link")
        made.param.watch(lambda event: self.views.redraw(event.new), "dark_theme")
        return made

    # ------------------------------------------------------------------ the case it is for

    def _bound(self) -> str:
        if self.workbench.person.emergency and self.workbench.until is not None:
            until = page.local(self.workbench.until, self.workbench, "%H:%M")
            return (f'<div class="message warning" role=note><b>Emergency access until {until}</b> ({text(str(self.workbench.reason))}). '
                    "Every search is marked in the audit and reviewed afterwards.</div>")
        if not self.workbench.case:
            return "<p class=small>No case is open: incidents and case numbers can be searched, plates and people cannot.</p>"
        why = ", ".join(t for t in (self.workbench.purpose, self.workbench.reason) if t)
        return f"<p class=small>For case <b>{text(self.workbench.case)}</b> ({text(why)}). Every search is written to the audit.</p>"

    def ask(self) -> None:
        """Put the form on the page unless it is there."""
        if not len(self.place):
            wanted = (pn.state.location.query_params if pn.state.location else {}).get("case", "")
            self.place.append(CaseForm(self.workbench, self.opened, wanted=str(wanted)).card)
            self.place.visible = True

    def opened(self, workbench: Workbench) -> None:
        """Go on under a case: the form goes, the case's subjects are shown."""
        self.workbench = self.views.workbench = workbench
        self.facts = self.evidence = None
        self.made.header[0].object = page.heading(workbench, "case_link")
        self.bar.object = self._bound()
        self.place.clear()
        self.place.visible = False
        self.message.clear()
        self.show_case()

    def show_case(self) -> None:
        """What is tied to the subjects of the case bound."""
        with careful(self.message, self.main):
            if self.workbench.person.emergency:
                self.message.show("Search a case or report number, plate, name, phone or address to begin.")
                return
            number = str(self.workbench.case)
            try:
                subjects = self.workbench.casebook.subjects(number)["entity"].to_list()
            except NotFound:
                subjects = []
            if not subjects:
                self.message.show(f"Nobody and nothing is attached to case {number} yet. Search a report number, plate, name, phone or address to begin.")
                return
            self.centre = subjects
            steps = 1 if len(subjects) > _MANY else 2
            if self.steps.value != steps:
                self.steps.value = steps  # which draws
            else:
                self._draw()

    # ------------------------------------------------------------------ searching

    def search(self) -> None:
        """Look for what was typed; one finding is shown at once, several are listed."""
        with careful(self.message, self.results_card):
            typed = page.typed(self.find)
            found = self.workbench.find(typed)
            self.results_card.visible = False
            if found.is_empty():
                where = "cases, incidents, plates, people, phones and addresses" if self.workbench.may_see("people") else "cases and incidents"
                closed = "" if self.workbench.may_see("people") else " Plates, people, phones and addresses are searched once a case is open."
                self.message.show(f"Nothing matches {typed.strip()!r} in the {where}.{closed}")
                return
            if found.height == 1:
                self.choose(found["id"][0])
            else:
                self._list(found)

    def _list(self, found: pl.DataFrame) -> None:
        shown = found.with_columns(pl.col("kind").replace_strict({k: theme.kind(k).word for k in found["kind"].unique().to_list()}).alias("what"))
        self.results.fill(shown, {"what": "What", "label": "Which"}, ids=found["id"].to_list(), zone=self.workbench.agency.tz)
        self.results_card.visible = True

    def choose(self, entity: str) -> None:
        """Centre on a finding: a case stands for its subjects."""
        with careful(self.message):
            kind, _, key = entity.partition(":")
            centre = self.workbench.casebook.subjects(key)["entity"].to_list() if kind == "case" else [entity]
            if not centre:
                raise CannotTell(f"Nobody and nothing is attached to case {key} yet, so there is nothing to follow.")
            self.centre_on(centre)

    def centre_on(self, centre: list[str]) -> None:
        """Show what is tied to some entities."""
        self.centre = centre
        self.draw()

    def explain(self) -> None:
        """What ties what is shown to something else: paths with a source for every step, what chance would give, and what speaks against."""
        with careful(self.message, self.main):
            typed = page.typed(self.other)
            if not self.centre or not typed:
                raise CannotTell("Search something first, then name here what it may be tied to.")
            found = self.workbench.find(typed)
            found = found.filter((pl.col("kind") != "case") & ~pl.col("id").is_in(self.centre))
            if found.is_empty():
                raise CannotTell(f"Nothing else is called {typed!r}, so there is nothing to tie it to.")
            end = found["id"][0]
            with self.workbench.deed("why", f"{', '.join(self.centre)} and {end}"[:200]):
                if self.evidence is None:
                    self.evidence = evidence.build(self._facts(), asof=self.workbench.asof)
                told = [evidence.why(self.evidence, centre, end) for centre in self.centre]
                links = min(told, key=lambda each: (each.table.is_empty(), each.table["length"].min() if each.table.height else 0))
            self._tell(links)
            self.views.show(links)

    # ------------------------------------------------------------------ the answer

    def draw(self) -> None:
        """Work the links out again around the centre."""
        if self.centre:
            with careful(self.message, self.main):
                self._draw()

    def _draw(self) -> None:
        try:
            with self.workbench.deed("links", ", ".join(self.centre)[:200], steps=self.steps.value):
                links = links_case.around(self._facts(), self.centre, hops=self.steps.value, asof=self.workbench.asof)
        except AccessRefused:
            self.views.hide()
            self.answer_card.visible = False
            self.ask()
            self.message.show("To follow this further a case, a purpose and a reason are needed, because it leads to plates and people. Enter them above.")
            return
        self._tell(links)
        self.views.show(links)

    def _facts(self) -> Any:
        if self.facts is None:
            self.facts = self.workbench.facts()
        return self.facts

    def _tell(self, links: Links) -> None:
        self.answer.object = f"<p class=sentence>{text(links.headline)}</p>{page.basis_markup(links.basis.lines())}"
        self.answer_card.visible = True

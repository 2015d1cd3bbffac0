"""Is the audit whole, who asked for what, what should somebody look at, and what is kept for how long?"""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from workbench.apps import page
from workbench.apps.oversight_head import Head
from workbench.apps.oversight_kept import Kept, sight
from workbench.apps.oversight_log import Log
from workbench.apps.oversight_review import Review
from workbench.apps.page import text
from workbench.oversight import covered
from workbench.oversight.access import Policy
from workbench.session import Workbench

TITLE = "Oversight"
QUESTION = "Is the audit whole, who asked for what and why, what should somebody look at, and what is kept for how long?"
NEEDS = ()
DEEDS = ("audit", "review")
ICON = ("M12 2 20 5v6.200c0 5-3.300 9-8 10.800C7.300 20.200 4 16.200 4 11.200V5zM11 14.400 16.700 8.700 15.300 7.300 11 11.600 8.900 9.500 7.500 10.900z")


def app(workbench: Workbench) -> pmui.Page:
    """The page."""
    return _Oversight(workbench).page()


class _Oversight:
    """One open page. The head and what the store holds come at once; verifying, looking for flags and asking the lake run beside it."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        hide = covered.needed(workbench.policy, workbench.person)
        self.head = Head(workbench)
        self.review = Review(workbench, hide, self.counted)
        self.log = Log(workbench, hide)
        self.kept = Kept(workbench)

    def page(self) -> pmui.Page:
        """Lay the page out."""
        may = self.workbench.may
        tabs = [("Review queue", self.review.view if may("review") else _not_for(self.workbench.policy, "review", "The review queue")),
                ("Log", self.log.view if may("audit") else _not_for(self.workbench.policy, "audit", "The whole log")),
                ("Retention", self.kept.view), ("Who may see what", sight(self.workbench))]
        self.tabs = pmui.Tabs(*tabs, sizing_mode="stretch_width", margin=0, dynamic=True)
        self.tabs.param.watch(lambda event: self.shown(event.new), "active")
        self.head.figures()
        pn.state.onload(self.head.check)
        if may("review"):
            self.review.list()
            pn.state.onload(self.review.fill)
        pn.state.onload(self.head.upkeep)
        if not may("review"):
            self.tabs.active = 1
            pn.state.onload(self.log.first)
        return page.shell(self.workbench, TITLE, [page.column(self.head.view, self.tabs)], here="oversight")

    def shown(self, tab: int) -> None:
        """Fill a tab when it is first shown."""
        if tab == 1 and self.workbench.may("audit"):
            self.log.first()
        elif tab == 2:
            self.kept.first()

    def counted(self) -> None:
        """The figures anew."""
        self.head.figures()


def _not_for(held: Policy, deed: str, what: str) -> pn.Column:
    who = ", ".join(r.name for r in held.roles.values() if r.does(deed)) or "no role"
    return page.card("", page.html_pane(f"<p class=lead>{text(what)} is for: {text(who)}.</p>"))

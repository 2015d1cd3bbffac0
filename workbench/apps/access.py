"""The calm form that asks for case, purpose and reason before a plate or a person is shown."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from workbench.apps import page
from workbench.apps.page import careful, text
from workbench.errors import BadInput
from workbench.session import Workbench

PURPOSES = ("investigation", "missing person", "officer safety", "court preparation", "training")


class CaseForm:
    """The form as a card. ``opened(workbench)`` is called with the workbench bound to the case once the form is complete.

    Args:
        workbench: not bound yet.
        wanted: a case number to begin with.
    """

    def __init__(self, workbench: Workbench, opened: Callable[[Workbench], None], *, wanted: str = "") -> None:
        self.workbench, self._opened = workbench, opened
        self.message = page.Message()
        self.case = pmui.TextInput(label="Case number", value=wanted, placeholder="e.g. 2026-0142", size="small", sizing_mode="stretch_width", margin=0)
        self.purpose = pmui.Select(label="Purpose", options=list(PURPOSES), value=PURPOSES[0], size="small", sizing_mode="stretch_width", margin=0)
        self.reason = pmui.TextInput(label="Reason", placeholder="what you hope to learn, in a few words", size="small", sizing_mode="stretch_width", margin=0)
        self.button = pmui.Button(label="Open the case", color="primary", variant="contained", margin=0)
        self.button.on_click(lambda _: self.open())
        self.reason.param.watch(lambda _: self.open() if self.case.value and self.reason.value else None, "enter_pressed")
        buttons = [self.button]
        demo = workbench.agency.demo_case
        if demo:
            self.demo = pmui.Button(label=f"Use the demo case {demo}", color="primary", variant="outlined", margin=0)
            self.demo.on_click(lambda _: self.open_demo(demo))
            buttons.append(self.demo)
        words = ("<p class=lead>Plates and people are shown only for a case. What you enter here is written to the audit together with every search that "
                 "follows. Incidents and case numbers can be searched without it.</p>")
        example = f"<p class=small>{text(demo)} belongs to the made-up city, so nobody real is in it.</p>" if demo else ""
        self.card = page.card(
            "Which case is this for?", page.html_pane(words), self.message.pane,
            page.grid(self.case, self.purpose, self.reason, wide="minmax(0, 1fr) minmax(0, 1fr) minmax(0, 2fr)", below=900, styles={"margin-top": "8px"}),
            pn.Row(*buttons, stylesheets=[":host { gap: 10px; flex-wrap: wrap; margin-top: 6px; }"], margin=0), page.html_pane(example),
        )

    def open(self) -> None:
        """Check what was entered and bind the case."""
        with careful(self.message, self.card):
            number, reason = (str(w.value_input or w.value or "").strip() for w in (self.case, self.reason))
            if not number:
                raise BadInput("Enter the number of the case this is for, e.g. 2026-0142.")
            if len(reason) < 5:
                raise BadInput("Say in a few words why plates and people are looked at, e.g. who was near the scenes.")
            self.workbench.casebook.case(number)
            self._opened(self.workbench.bind(case=number, purpose=self.purpose.value, reason=reason))

    def open_demo(self, number: str) -> None:
        """Bind the made-up city's demo case with the purpose and reason its casebook holds."""
        with careful(self.message, self.card):
            case = self.workbench.casebook.case(number)
            self._opened(self.workbench.bind(case=number, purpose=case["purpose"] or PURPOSES[0], reason=case["reason"] or "demonstration"))

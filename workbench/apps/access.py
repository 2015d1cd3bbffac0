"""The calm form that asks for case, purpose and reason before a plate or a person is shown, and the marked way for an emergency."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from workbench.apps import page
from workbench.apps.page import careful, text
from workbench.errors import BadInput
from workbench.oversight import reasons
from workbench.session import Workbench

_GLASS = (":host { margin-top: 14px; border-top: 1px solid var(--mui-palette-divider, #d5dae1); padding-top: 12px; }")


class CaseForm:
    """The form as a card. ``opened(workbench)`` is called with the workbench bound to the case once the form is complete.

    Args:
        workbench: not bound yet.
        wanted: a case number to begin with.
    """

    def __init__(self, workbench: Workbench, opened: Callable[[Workbench], None], *, wanted: str = "") -> None:
        self.workbench, self._opened = workbench, opened
        self.message = page.Message()
        purposes = list(workbench.policy.settings.purposes)
        line: dict[str, str | int] = {"size": "small", "sizing_mode": "stretch_width", "margin": 0}
        self.case = pmui.TextInput(label="Case number", value=wanted, placeholder="e.g. 2026-0142", **line)
        self.purpose = pmui.Select(label="Purpose", options=purposes, value=purposes[0], **line)
        self.reason = pmui.TextInput(label="Reason", placeholder=f"what you hope to learn, e.g. {reasons.EXAMPLE}", **line)
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
        row = page.grid(self.case, self.purpose, self.reason, wide="minmax(0, 1fr) minmax(0, 1fr) minmax(0, 2fr)", below=900, styles={"margin-top": "8px"})
        acts = pn.Row(*buttons, stylesheets=[":host { gap: 10px; flex-wrap: wrap; margin-top: 6px; }"], margin=0)
        self.card = page.card("Which case is this for?", page.html_pane(words), self.message.pane, row, acts, page.html_pane(example), *self._glass())

    def _glass(self) -> list[pn.Column]:
        """The way for an emergency, where the role has it: folded until it is asked for."""
        if not self.workbench.may("emergency"):
            return []
        settings = self.workbench.policy.settings
        self.show_glass = pmui.Button(label="No case number yet, and it cannot wait", color="warning", variant="text", margin=0)
        self.why = pmui.TextInput(label="What has happened", placeholder="e.g. armed man fled toward the school in a gray van", size="small",
                                  sizing_mode="stretch_width", margin=0)
        self.break_glass = pmui.Button(label="Open for the emergency", color="warning", variant="contained", margin=0)
        words = (f'<div class="message warning" role=note><b>Emergency access.</b> For {settings.emergency_minutes} minutes you see what the role '
                 f"{text(settings.emergency_role)} sees, without a case. Every search is marked in the audit, and a supervisor reviews it afterwards.</div>")
        self.glass = pn.Column(
            page.html_pane(words), page.grid(self.why, self.break_glass, wide="minmax(0, 1fr) auto", align="center", below=700, styles={"margin-top": "12px"}),
            sizing_mode="stretch_width", margin=(8, 0, 0, 0), visible=False)
        self.show_glass.on_click(lambda _: self._unfold())
        self.break_glass.on_click(lambda _: self.open_emergency())
        self.why.param.watch(lambda _: self.open_emergency() if self.why.value else None, "enter_pressed")
        return [pn.Column(self.show_glass, self.glass, stylesheets=[_GLASS], sizing_mode="stretch_width", margin=0)]

    def _unfold(self) -> None:
        self.glass.visible = not self.glass.visible

    def open(self) -> None:
        """Check what was entered and bind the case; a reason that says nothing is refused with one that would do."""
        with careful(self.message, self.card):
            number, reason = (page.typed(w) for w in (self.case, self.reason))
            if not number:
                raise BadInput("Enter the number of the case this is for, e.g. 2026-0142.")
            self._opened(self.workbench.bind(case=number, purpose=self.purpose.value, reason=reason))

    def open_demo(self, number: str) -> None:
        """Bind the made-up city's demo case with the purpose and reason its casebook holds."""
        with careful(self.message, self.card):
            case = self.workbench.casebook.case(number)
            self._opened(self.workbench.bind(case=number, purpose=case["purpose"] or self.purpose.options[0], reason=case["reason"]))

    def open_emergency(self) -> None:
        """Break the glass, with a reason."""
        with careful(self.message, self.card):
            self._opened(self.workbench.emergency(page.typed(self.why)))

"""The review queue on the oversight page: what waits, the accesses behind it, and the decision somebody else takes."""

from __future__ import annotations

from functools import partial
from typing import Any

import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.oversight_head import CSS
from workbench.apps.oversight_log import outcome_of, plain, shown_times
from workbench.apps.page import careful, text
from workbench.apps.picktable import PickTable
from workbench.oversight import covered, review, watch
from workbench.oversight.audit import Audit
from workbench.session import Workbench

_WAITS, _DONE = "Waiting", "Decided"
#: Order in which kinds are shown; what is always reviewed first.
FIRST = ("break-glass", "own", "same target", "other's case", "no case", "off hours", "vague reason", "export", "refused", "sample")
MEANS = watch.KINDS | {"sample": "drawn at random from everybody's accesses"}
_COLUMNS = {"what_kind": "Why", "user": "Who", "shown": "What", "count": "Times", "rate": "As high", "first": "Since"}
_BEHIND = {"time": "When", "asked": "Asked", "bound": "For", "reason": "Reason", "ended": "Outcome"}


def shown(queue: pl.DataFrame, hide: bool) -> pl.DataFrame:
    """The queue as the table shows it: break-glass first, then by kind, the newest first; covered where ``hide``.

    Columns as ``review.COLUMNS``, and what the table shows.
    """
    if queue.is_empty():
        return queue
    rows = [covered.item(r) if hide else r for r in queue.iter_rows(named=True)]
    order = {k: n for n, k in enumerate(FIRST)}
    rows.sort(key=lambda r: (order.get(r["kind"], len(FIRST)), -r["last_seq"]))
    for r in rows:
        r["what_kind"] = ("BREAK-GLASS" if r["kind"] == "break-glass" else r["kind"]) + (f" ({r['status']})" if r["status"] != "undecided" else "")
        r["shown"] = r["what"]
        r["rate"] = _rate(watch.rate_in(r["sentence"]))
        r["first"] = str(r["since"] or r["made_at"])[:10]
    return pl.DataFrame(rows, schema=review.COLUMNS | dict.fromkeys(("what_kind", "shown", "rate", "first"), pl.String))


def _rate(said: str) -> str:
    """The base rate in few words: "0 of 7 others"."""
    return "cannot tell" if said.startswith("I cannot") else said.replace("other users score as high.", "others") or "-"


class Review:
    """The tab. ``changed()`` is called when an item was decided or the queue was filled."""

    def __init__(self, workbench: Workbench, hide: bool, changed: Any) -> None:
        self.workbench, self.hide, self._changed = workbench, hide, changed
        self.audit: Audit = workbench.audit
        self.queue = pl.DataFrame()
        self.item: dict[str, Any] | None = None
        self.message, self.said = page.Message(), page.Message()
        self.which = pmui.RadioButtonGroup(options=[_WAITS, _DONE], value=_WAITS, size="small", margin=0)
        self.which.param.watch(lambda _: self.list(), "value")
        self.status = page.html_pane("<p class=small>Looking through the accesses.</p>", styles={"align-self": "center"})
        self.table = PickTable(height_px=430, label="Review queue", empty="Nothing waits for review.", sizing_mode="stretch_width", margin=0)
        self.table.when_picked(self.choose)
        self.about = page.html_pane("", stylesheets=[CSS])
        self.behind = PickTable(height_px=260, label="Entries behind the item", empty="No entry is kept with it.", sizing_mode="stretch_width", margin=0)
        self.note = pmui.TextAreaInput(label="Note", placeholder="why you decide so, e.g. call 2026-118 named the plate", rows=2, size="small",
                                       sizing_mode="stretch_width", margin=0)
        looks = (("justified", "Justified", "success"), ("not justified", "Not justified", "error"), ("follow up", "Follow up", "primary"))
        self.buttons = {d: pmui.Button(label=label, color=colour, variant="outlined", margin=0, height=40) for d, label, colour in looks}
        for decision, button in self.buttons.items():
            button.on_click(partial(self._decided, decision))
        acts = pn.Row(*self.buttons.values(), stylesheets=[":host { gap: 8px; flex-wrap: wrap; }"], margin=0)
        asked = page.grid(self.note, acts, wide="minmax(0, 1fr) auto", below=1300, align="center", styles={"margin-top": "10px"})
        self.form = pn.Column(asked, margin=0, sizing_mode="stretch_width")  # a grid itself would not hide
        head = page.grid(self.which, self.status, wide="auto minmax(0, 1fr)", narrow="auto minmax(0, 1fr)", align="center")
        self.card = page.card("What somebody should look at", head, self.message.pane, self.table,
                              note="A flag is a reason to look, not a finding of misconduct. As high: how many other users score as high. Pick a row.")
        self.detail = page.card("", self.about, self.behind, self.said.pane, self.form)
        self.view = page.grid(self.card, self.detail, wide="minmax(0, 11fr) minmax(0, 10fr)", below=1000, align="start")
        self._close()

    # ------------------------------------------------------------------ the queue

    def fill(self) -> None:
        """Look for flags and draw samples, then show the queue; written to the audit."""
        self.list()
        with careful(self.message):
            self.workbench.require("review")
            with self.workbench.deed("audit review", "entries") as outcome:
                filled = review.fill(self.audit, self.workbench.agency, review.cases(self.workbench.path))
                outcome.update(flags=filled.flags, samples=filled.samples)
            self.list()
            new = f"{filled.flags:,} new flags, {filled.samples:,} new samples." if filled.flags or filled.samples else "Nothing new."
            self.status.object = (f"<p class=small>Looked through the last {watch.DAYS} days just now: {new}</p>")
        self._changed()

    def list(self) -> None:
        """Show what the store holds."""
        with careful(self.message):
            every = review.queue(self.audit, every=True)
            waits = pl.col("status").is_in(["undecided", "follow up"])
            self.queue = shown(every.filter(waits if self.which.value == _WAITS else ~waits), self.hide)
            if self.queue.is_empty():
                self.table.clear("Nothing waits for review." if self.which.value == _WAITS else "Nothing has been decided yet.")
                self._close()
                return
            columns = _COLUMNS if self.which.value == _WAITS else _COLUMNS | {"decided_by": "By"}
            self.table.fill(self.queue, columns, ids=self.queue["item"].to_list(), zone=self.workbench.agency.tz)
            if self.item is not None and self.item["item"] in self.queue["item"].to_list():
                self.table.selected = [self.item["item"]]
            else:
                self._close()

    def _close(self) -> None:
        self.item, self.behind.visible, self.form.visible = None, False, False
        self.said.clear()
        self.about.object = "<p class=lead>Pick an item to see the accesses behind it, in their order, and to decide.</p>"

    def choose(self, item: str) -> None:
        """Show the accesses behind an item; written to the audit."""
        with careful(self.message, self.detail):
            found = self.queue.filter(pl.col("item") == item).to_dicts()
            if not found:
                return
            with self.workbench.deed("audit review", item, about=found[0]["user"]) as outcome:
                rows = review.behind(self.audit, item)
                outcome["entries"] = rows.height
            self.item = found[0]
            self.said.clear()
            self._tell(rows)
            self.behind.visible = True

    def _tell(self, rows: pl.DataFrame) -> None:
        it = self.item or {}
        glass = ' <span class="mark glass">break-glass</span>' if it["kind"] == "break-glass" else ""
        done = ""
        if it["decided_by"]:
            when = str(it["decided_at"])[:16].replace("T", " ")
            said = f"{str(it['status']).capitalize()}: decided by {it['decided_by']} on {when} UTC. {it['note'] or ''}"
            done = f"<p class=lead>{text(said)}</p>"
        self.about.object = (f"<p class=eyebrow>{text(it['user'])}: {text(MEANS.get(it['kind'], it['kind']))}{glass}</p>"
                             f"<p class=sentence>{text(it['sentence'])}</p>{done}")
        seen = shown_times(covered.frame(rows) if self.hide else rows, self.workbench).with_columns(
            outcome_of(), pl.concat_str("action", "object", pl.col("detail").map_elements(plain, return_dtype=pl.String), separator=" ").alias("asked"),
            pl.concat_str(pl.col("case_number").fill_null("no case"), pl.col("purpose"), separator=", ", ignore_nulls=True).alias("bound"))
        self.behind.fill(seen, _BEHIND, ids=[str(s) for s in seen["seq"].to_list()], zone=self.workbench.agency.tz)
        mine = review.about(it["user"], self.workbench.person)
        open_ = it["status"] in ("undecided", "follow up")
        self.form.visible = open_ and not mine
        if mine and open_:
            self.said.show("This item is about you, so somebody else has to review it.")

    # ------------------------------------------------------------------ the decision

    def _decided(self, decision: str, _: Any) -> None:
        self.decide(decision)

    def decide(self, decision: str) -> None:
        """Write the decision with its note."""
        if self.item is None:
            return
        with careful(self.said, self.form):
            self.workbench.require("review")
            item = self.item["item"]
            note = page.typed(self.note)
            review.decide(self.audit, item, self.workbench.person, decision, note)
            self.note.param.update(value="", value_input="")
            self.list()
            stays = " It stays in the queue until it is justified or not." if decision == "follow up" else ""
            self.message.show(f"Written down: {decision}.{stays}")
            if self.item is not None:
                self.said.show(f"Written down: {decision}.{stays}")
            self._changed()

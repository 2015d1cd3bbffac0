"""What is kept for how long, what goes tomorrow, holds and certificates; and who may see what: two tabs of the oversight page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import panel as pn
import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.oversight_head import CSS
from workbench.apps.page import careful, text
from workbench.apps.picktable import PickTable
from workbench.casebook import place
from workbench.oversight import certificate, holds, policy, purge, retention
from workbench.oversight.access import matrix
from workbench.session import Workbench


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A plain table of escaped text; ``numbers`` are the columns set to the right."""
    right = set(numbers)
    th = "".join(f'<th scope=col{" class=n" if n in right else ""}>{text(h)}</th>' for n, h in enumerate(heads))
    body = "".join("<tr>" + "".join(f'<td{" class=n" if n in right else ""}>{text(v)}</td>' for n, v in enumerate(r)) + "</tr>" for r in rows)
    return f"<div class=wide><table><thead><tr>{th}</tr></thead><tbody>{body}</tbody></table></div>"


class Kept:
    """The tab of retention; nothing is asked of the lake before it is first shown (``first``)."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench, self._begun = workbench, False
        self.message, self.said = page.Message(), page.Message()
        self.limits, self.due, self.held = (page.html_pane("<p class=lead>Looking.</p>", stylesheets=[CSS]) for _ in range(3))
        self.purges = PickTable(height_px=240, label="Certificates", empty="Nothing was purged yet, so there is no certificate.", sizing_mode="stretch_width",
                                margin=0)
        self.purges.when_picked(self._choose)
        self.verify = pmui.Button(label="Verify the certificate", color="primary", variant="outlined", margin=0, disabled=True)
        self.verify.on_click(lambda _: self.check())
        self.chosen = ""
        self.text = page.html_pane("", stylesheets=[CSS])
        acts = page.grid(self.verify, self.said.pane, wide="auto minmax(0, 1fr)", align="center", below=700)
        self.view = page.column(
            self.message.pane,
            page.grid(page.card("How long rows are kept", self.limits, note="The stricter of the agency's setting and the law counts."),
                      page.card("Gone tomorrow", self.due, note="What a purge in 24 hours would take out; nothing goes by itself."),
                      wide="minmax(0, 1fr) minmax(0, 1fr)", align="start"),
            page.card("Legal holds", self.held, note="Held rows outlive their limit until the hold ends or is released."),
            page.card("Certificates of what was purged", self.purges, acts, self.text, note="Pick one, then verify that it is as it was signed."))

    def first(self) -> None:
        """Look, once; written to the audit."""
        if self._begun:
            return
        self._begun = True
        with careful(self.message):
            now = datetime.now(UTC)
            with self.workbench.deed("audit retention", "retention") as outcome:
                self.limits.object = self._limits()
                self.held.object = self._holds(now)
                outcome["certificates"] = self._certificates()
                self.due.object = self._due(now)

    def _limits(self) -> str:
        rules = retention.policy(self.workbench.agency)
        if not rules.limits:
            return ("<p class=lead>I cannot tell: no limit is set, so nothing is ever purged. Set them under <b>[retention]</b> in agency.toml.</p>")
        rows = [(t, retention.spoken(one.span), one.source, one.exception or "-") for t, one in sorted(rules.limits.items())]
        return table(("Table", "Kept for", "Who says so", "Except"), rows)

    def _due(self, now: datetime) -> str:
        if not retention.policy(self.workbench.agency).table_limits():
            return "<p class=lead>I cannot tell: no limit of a table is set.</p>"
        found = retention.due(self.workbench.path, now, days=1.0, sample=0)
        if found.is_empty():
            return "<p class=lead>Nothing: no row is beyond its limit.</p>"
        rows = [(r["table"], f"{r['goes']:,}", f"{r['held']:,}" + (f" (hold {r['holds']})" if r["holds"] else ""), f"{r['in_evidence']:,}",
                 f"{self._day(r['earliest'])} to {self._day(r['latest'])}") for r in found.iter_rows(named=True)]
        return table(("Table", "Rows that go", "Held back", "Copied to case evidence", "From, to"), rows, (1,))

    def _holds(self, now: datetime) -> str:
        if not place.there(self.workbench.path):
            return "<p class=lead>None: there is no casebook yet.</p>"
        found = holds.listed(self.workbench.path, now).filter(pl.col("state").is_in(["in force", "not begun"])).sort("ends_at")
        if found.is_empty():
            return "<p class=lead>No hold is in force.</p>"
        rows = [(str(r["hold_id"]), r["matter"], r["sworn_by"], r["citation"], self._day(r["begins_at"]), self._day(r["ends_at"]), r["state"])
                for r in found.iter_rows(named=True)]
        return table(("Hold", "Matter", "Sworn by", "Under", "Begins", "Ends", "State"), rows)

    def _certificates(self) -> int:
        rows = purge.certificates(self.workbench.path)
        files = {f.stem for f in (self.workbench.path / certificate.FOLDER).glob("*.json")}
        found = [certificate.read(self.workbench.path, name) for name in sorted(files)]
        made = [(c.certificate_id, datetime.fromisoformat(c.body["at"]), c.body["kind"], c.body["user"], c.body["reason"],
                 ", ".join(f"{n:,} of {t}" for t, n in c.rows.items()) or "none", sum(c.rows.values())) for c in found]
        shape: dict[str, Any] = {"id": pl.String, "at": pl.Datetime("us", "UTC"), "kind": pl.String, "user": pl.String, "reason": pl.String,
                                 "rows": pl.String, "sum": pl.Int64}
        frame = pl.DataFrame(made, schema=shape, orient="row").sort("at", descending=True)
        if frame.height:
            self.purges.fill(frame, {"at": "When", "id": "Certificate", "kind": "Kind", "user": "By", "reason": "Why", "rows": "Rows purged"},
                             ids=frame["id"].to_list(), zone=self.workbench.agency.tz)
        else:
            self.purges.clear("Nothing was purged yet, so there is no certificate.")
        return max(frame.height, rows["certificate_id"].n_unique())

    def _day(self, moment: datetime | None) -> str:
        return page.local(moment, self.workbench, "%-d %b %Y") if moment is not None else "-"

    def _choose(self, name: str) -> None:
        self.chosen, self.verify.disabled = name, False
        self.said.clear()

    def check(self) -> None:
        """Say whether the certificate chosen is as it was signed; written to the audit."""
        with careful(self.said):
            with self.workbench.deed("audit certificate", self.chosen) as outcome:
                good, sentence = certificate.verify(self.workbench.path, self.chosen)
                outcome["fit"] = good
            self.said.show(sentence, "info" if good else "error")


def sight(workbench: Workbench) -> pn.Column:
    """The tab with what each role sees and may do."""
    held = workbench.policy
    names = list(held.roles)
    words = {"": "-"}
    rows = [[r["table"], *(words.get(r[n], r[n]) for n in names)] for r in matrix(held)]
    sees = table(("Table", *names), rows)
    deeds = table(("Role", "About", "May"), [(r.name, r.about or "-", "everything" if policy.ALL in r.may else ", ".join(r.may) or "nothing beside")
                                           for r in held.roles.values()])
    given = "; ".join(f"{who}: {', '.join(has)}" for who, has in held.settings.people.items())
    everybody = f"Everybody{' else' if given else ''} without an account is {', '.join(held.settings.default)}{'. ' + given if given else ''}."
    note = ("all: every row; 30 d: rows of the last 30 days; masked: victims, juveniles or sexual offences are masked; part: some columns are empty; "
            "*: only for an open case, with a purpose and a reason; -: nothing.")
    return page.column(page.card("What each role sees", page.html_pane(sees, stylesheets=[CSS]), note=note),
                       page.card("What each role may do", page.html_pane(deeds, stylesheets=[CSS]), note=everybody))

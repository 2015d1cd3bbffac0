"""The log on the oversight page: entries of the audit by person, action, phase, case and time, covered for who sees no facts."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, timedelta
from typing import Any

import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.page import careful
from workbench.apps.picktable import MOST_ROWS, PickTable
from workbench.errors import BadInput
from workbench.oversight import covered, entries
from workbench.oversight.entries import PHASES, Wanted
from workbench.session import Workbench

_ANY = "any"
#: Entries that one export holds at most.
MOST = 200_000
_COLUMNS = {"seq": "#", "time": "When", "user": "Who", "role": "Role", "what": "Phase", "action": "Did", "object": "On", "case_number": "Case",
            "purpose": "Purpose", "reason": "Reason", "detail": "Detail"}
_SAVED = ("seq", "at", "deed", "phase", "user", "host", "role", "emergency", "action", "object", "case_number", "purpose", "reason", "detail")


def shown_times(found: pl.DataFrame, workbench: Workbench) -> pl.DataFrame:
    """With ``time``: when, on the agency's wall clock, to the second."""
    clock = pl.col("at").str.to_datetime(time_zone="UTC", strict=False).dt.convert_time_zone(workbench.agency.zone).dt.strftime("%Y-%m-%d %H:%M:%S")
    return found.with_columns(clock.alias("time"))


def outcome_of() -> pl.Expr:
    """``ended``: how a deed ended, with its rows and a mark for break-glass."""
    rows = pl.when(pl.col("rows").is_not_null()).then(pl.format(", {} rows", "rows")).otherwise(pl.lit(""))
    return pl.concat_str(pl.when(pl.col("outcome") == "").then(pl.lit("no outcome")).otherwise("outcome"), rows,
                         pl.when("emergency").then(pl.lit(" BREAK-GLASS")).otherwise(pl.lit(""))).alias("ended")


def as_csv(found: pl.DataFrame) -> str:
    """Entries as CSV, oldest first; a text that a spreadsheet would run as a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_SAVED)
    for row in found.select(_SAVED).reverse().iter_rows():
        writer.writerow([f"'{v}" if isinstance(v, str) and v[:1] in "=+-@\t\r" and v else v for v in row])
    return out.getvalue()


def plain(detail: str) -> str:
    """The detail of an entry in words: names and values, without what the columns tell already."""
    try:
        said = json.loads(detail)
    except ValueError:
        return detail
    if not isinstance(said, dict):
        return detail
    left = {k: v for k, v in said.items() if k not in ("role", "emergency") and v not in ("", None, [], {})}
    return "; ".join(f"{k.replace('_', ' ')}: {v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in left.items())


class Log:
    """The tab; nothing is read before it is first shown (``first``)."""

    def __init__(self, workbench: Workbench, hide: bool) -> None:
        self.workbench, self.hide, self._begun = workbench, hide, False
        self.message = page.Message()
        line: dict[str, Any] = {"size": "small", "sizing_mode": "stretch_width", "margin": 0}
        self.user = pmui.Select(label="Person", options=[_ANY], value=_ANY, **line)
        self.action = pmui.Select(label="Action", options=[_ANY], value=_ANY, **line)
        self.phase = pmui.Select(label="Phase", options=[_ANY, *PHASES], value=_ANY, **line)
        self.case = pmui.TextInput(label="Case number", placeholder="or a part of it", **line)
        today = datetime.now(workbench.agency.tz).date()
        self.start = pmui.DatePicker(label="From", value=today - timedelta(days=6), **line)
        self.end = pmui.DatePicker(label="To", value=today, **line)
        self.glass = pmui.Checkbox(label="break-glass only", value=False, margin=0)
        self.refused = pmui.Button(label="Refused only", color="primary", variant="outlined", size="small", margin=0)
        self.refused.on_click(lambda _: self._only_refused())
        self.fresh = pmui.Button(label="Show all", variant="text", size="small", margin=0)
        self.fresh.on_click(lambda _: self._all())
        self.save = pmui.FileDownload(label="Save this list", callback=self.export, filename="audit-log.csv", variant="outlined",
                                      size="small", margin=0)
        for widget in (self.user, self.action, self.phase, self.case, self.start, self.end, self.glass):
            widget.param.watch(lambda _: self.show(), "value")
        self.number = page.html_pane("", styles={"align-self": "center"})
        self.table = PickTable(height_px=520, label="Log", empty="No entry fits.", sizing_mode="stretch_width", margin=0)
        wide = "repeat(6, minmax(0, 1fr))"
        filters = page.grid(self.user, self.action, self.phase, self.case, self.start, self.end, wide=wide, narrow="repeat(3, minmax(0, 1fr))", below=1200)
        acts = page.grid(self.number, self.glass, self.refused, self.fresh, self.save, wide="minmax(0, 1fr) auto auto auto auto",
                         narrow="minmax(0, 1fr) auto auto auto auto", below=800, align="center")
        note = "Every access as it was written down, newest first."
        note += (" Your role sees no facts: plates, names and numbers that were searched for keep their first and last character only." if hide else "")
        self.view = page.card("The log", filters, acts, self.message.pane, self.table, note=note)
        self._still = False

    def first(self) -> None:
        """Fill the choices and show the last seven days, once."""
        if self._begun:
            return
        self._begun = True
        with careful(self.message):
            self.user.options = [_ANY, *entries.named(self.workbench.audit, "user")]
            self.action.options = [_ANY, *entries.named(self.workbench.audit, "action")]
        self.show()

    def wanted(self) -> Wanted:
        """What the widgets ask for."""
        def said(value: Any) -> str:
            return "" if value in (None, _ANY) else str(value)

        return Wanted(said(self.user.value), said(self.action.value), said(self.phase.value), str(self.case.value or ""), _day(self.start.value),
                      _day(self.end.value), bool(self.glass.value))

    def show(self) -> None:
        """The newest entries that fit; what was asked for is written to the audit."""
        if self._still:
            return
        with careful(self.message, self.table):
            self.workbench.require("audit")
            wanted = self.wanted()
            with self.workbench.deed("audit show", "entries", filter=wanted.told()) as outcome:
                found, number = entries.find(self.workbench.audit, wanted, zone=self.workbench.agency.tz, most=MOST_ROWS)
                outcome["rows"] = number
            seen = shown_times(covered.frame(found) if self.hide else found, self.workbench)
            glass = pl.when("emergency").then(pl.concat_str("phase", pl.lit(" BREAK-GLASS"))).otherwise("phase")
            said = pl.col("detail").map_elements(plain, return_dtype=pl.String)
            seen = seen.with_columns(glass.alias("what"), said.alias("detail"))
            self.table.fill(seen, _COLUMNS, ids=[str(s) for s in seen["seq"].to_list()], zone=self.workbench.agency.tz)
            more = f", the newest {MOST_ROWS} shown" if number > MOST_ROWS else ""
            self.number.object = f"<p class=small>{number:,} {'entry fits' if number == 1 else 'entries fit'}{more}.</p>"

    def _only_refused(self) -> None:
        self._set(phase="refused")

    def _all(self) -> None:
        self._set(user=_ANY, action=_ANY, phase=_ANY, case="", start=None, end=None, glass=False)

    def _set(self, **values: Any) -> None:
        self._still = True
        try:
            for name, value in values.items():
                getattr(self, name).value = value
        finally:
            self._still = False
        self.show()

    def export(self) -> io.BytesIO | None:
        """The filtered list as CSV; written to the audit with what was asked for."""
        with careful(self.message):
            self.workbench.require("audit")
            wanted = self.wanted()
            with self.workbench.deed("export audit", "entries", filter=wanted.told(), covered=self.hide) as outcome:
                found, number = entries.find(self.workbench.audit, wanted, zone=self.workbench.agency.tz, most=MOST)
                if number > MOST:
                    raise BadInput(f"{number:,} entries fit, and one list holds at most {MOST:,}; narrow the time.")
                outcome["rows"] = found.height
                data = as_csv(covered.frame(found) if self.hide else found)
            return io.BytesIO(data.encode("utf-8"))
        return io.BytesIO(b"")


def _day(value: Any) -> date | None:
    return value.date() if isinstance(value, datetime) else value

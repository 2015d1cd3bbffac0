"""The first page: which questions can be answered here, and how fresh the data behind them are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from workbench.apps import Entry, page
from workbench.apps.page import text
from workbench.schema import TABLES
from workbench.schema.events import EVENTS
from workbench.schema.persons import PERSONS
from workbench.schema.places import PLACES
from workbench.schema.plates import PLATES
from workbench.session import Workbench

#: Stands for an app without an icon of its own.
_APP = "M4 4h16v16H4zM6.500 9v8.500h11V9z"
#: Tables by what they are about, in the schema's order.
_GROUPS = (("What happened", EVENTS), ("Plates", PLATES), ("People, vehicles and what ties them", PERSONS), ("Places and sensors", PLACES))
_CSS = Path(__file__).with_name("hub.css").read_text(encoding="utf-8")


def home(workbench: Workbench, entries: Sequence[Entry]) -> Any:
    """The hub page of a workspace."""
    held = holdings(workbench)
    cards = page.html_pane(f"<div class=cards>{''.join(_app_card(e, held, workbench) for e in entries)}</div>", stylesheets=[_CSS])
    agency = workbench.agency
    about = agency.about or "Choose a question. Nothing on these pages leaves this machine."
    head = page.html_pane(f"<h1>{text(agency.name)}</h1><p class=lead>{text(about)}</p>", stylesheets=[_CSS], margin=(4, 2))
    main = page.column(
        head, cards,
        *([page.card("Cases being worked", page.html_pane(_cases(workbench, entries), stylesheets=[_CSS]))] if workbench.may("cases") else []),
        page.card("What the workbench holds", page.html_pane(_holdings_table(held, workbench), stylesheets=[_CSS])),
    )
    return page.shell(workbench, "Home", [main], width=1240)


def holdings(workbench: Workbench) -> pl.DataFrame:
    """What the workbench holds, with when each table was last loaded: table, rows, version, latest, loaded_at."""
    loads = workbench.batches()
    by_table = loads.explode("tables").group_by(pl.col("tables").alias("table")).agg(pl.col("recorded_at").max().alias("loaded_at"))
    return workbench.holdings().filter(pl.col("rows") > 0).join(by_table, on="table", how="left", maintain_order="left")


def _app_card(entry: Entry, held: pl.DataFrame, workbench: Workbench) -> str:
    icon = f'<svg viewBox="0 0 24 24" aria-hidden=true><path fill-rule=evenodd d="{text(entry.icon or _APP)}"/></svg>'
    head = f"<div class=head>{icon}<h2>{text(entry.title)}</h2></div><p class=question>{text(entry.question)}</p>"
    whose = _listing([r.name for r in workbench.policy.roles.values() if any(r.does(d) for d in entry.deeds)] or ["no role"])
    if not entry.is_for(workbench):
        return f'<div class="app closed">{head}<p class=needs>This page is for {text(whose)}; your role is {text(workbench.role)}.</p></div>'
    have = {row["table"]: row for row in held.iter_rows(named=True)}
    missing = [n for n in entry.needs if n not in have]
    if entry.deeds and not entry.needs:
        needs = f"For {text(whose)}. Every visit is written down."
    elif not entry.needs:
        needs = "Needs no data."
    elif missing:
        needs = f"Needs {text(', '.join(missing))}: not loaded yet. <b>workbench load</b> takes them in."
    else:
        newest = max((have[n]["latest"] for n in entry.needs if have[n]["latest"] is not None), default=None)
        needs = f"Rests on {text(_listing(entry.needs))}." + (f" Newest row: {text(page.local(newest, workbench, '%-d %b %Y, %H:%M'))}." if newest else "")
    return f'<a class=app href="./{text(quote(entry.name))}">{head}<p class=needs>{needs}</p></a>'


def _listing(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _holdings_table(held: pl.DataFrame, workbench: Workbench) -> str:
    if held.is_empty() and not any(workbench.policy.acting(workbench.person).sees(t) for t in TABLES):
        return f"<p class=lead>The role {text(workbench.role)} sees no facts.</p>"
    if held.is_empty():
        return ("<p class=lead>Nothing has been loaded yet. Take in a file with <b>workbench load SOURCE FILE</b>; "
                "<b>workbench sources</b> lists what can be read.</p>")
    have = {r["table"]: r for r in held.iter_rows(named=True)}
    rows = ""
    for title, tables in _GROUPS:
        lines = "".join(_line(have[t.name], workbench) for t in tables if t.name in have)
        rows += f"<tbody><tr class=group><th colspan=6 scope=rowgroup>{title}</th></tr>{lines}</tbody>" if lines else ""
    loads = workbench.batches()
    refused = int(loads["rejected"].sum()) if loads.height else 0
    foot = f"{loads.height:,} files taken in; {refused:,} records could not be used and are kept with their reason." if loads.height else ""
    heads = ("<th scope=col>Table</th><th scope=col>A row is</th><th class=n scope=col>Rows</th><th scope=col>Latest in it</th>"
             "<th class=n scope=col>Days behind</th><th scope=col>Last loaded</th>")
    if any(_behind(r["latest"], workbench) for r in have.values()):
        foot += " Days behind: how much older the latest row of a table is than the latest incident."
    return f"<div class=wide><table><thead><tr>{heads}</tr></thead>{rows}</table></div><p class='small foot'>{text(foot)}</p>"


def _line(row: dict[str, Any], workbench: Workbench) -> str:
    return (f"<tr><td><b>{text(row['table'])}</b></td><td class=help>{text(TABLES[row['table']].help)}</td><td class=n>{row['rows']:,}</td>"
            f"<td class=t>{_when(row['latest'], workbench)}</td><td class=n>{_behind(row['latest'], workbench)}</td>"
            f"<td class=t>{_when(row['loaded_at'], workbench)}</td></tr>")


def _when(moment: datetime | None, workbench: Workbench) -> str:
    return "<span class=help>no time</span>" if moment is None else text(page.local(moment, workbench, "%-d %b %Y, %H:%M"))


def _behind(moment: datetime | None, workbench: Workbench) -> str:
    """Whole days that a table's latest row lies before the latest incident; "" for fewer than two, and where the age says nothing."""
    days = (workbench.asof - moment) // timedelta(days=1) if moment is not None else 0
    return f"{days:,}" if 2 <= days < 100_000 else ""


def _cases(workbench: Workbench, entries: Sequence[Entry]) -> str:
    found = workbench.casebook.cases("open")
    if found.is_empty():
        return "<p class=lead>No case is open in this workspace.</p>"
    linked = any(e.name == "case_link" for e in entries)
    items = []
    for row in found.head(12).iter_rows(named=True):
        number = text(row["case_number"])
        link = f'<a href="./case_link?case={text(quote(row["case_number"]))}">{number}</a>' if linked else f"<b>{number}</b>"
        items.append(f"<li>{link}<div>{text(row['title'])}</div></li>")
    more = f"<p class=small>and {found.height - 12} more</p>" if found.height > 12 else ""
    return f"<ul class=cases>{''.join(items)}</ul>{more}"

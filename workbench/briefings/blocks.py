"""The parts a briefing page is made of: masthead, bottom line, cards, table, drawing, clock, leads, basis, note.

A block is plain data (text, numbers, an SVG drawing). Shown in a notebook it carries two faces: HTML for the screen and
``application/vnd.workbench.block+json`` from which the HTML page and the PDF are set. Text in a block is text: both page makers
escape it, so whatever a report says is printed and never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from workbench.errors import BadInput
from workbench.results import Basis, Result, plain

MIME = "application/vnd.workbench.block+json"
KINDS = ("masthead", "bottom_line", "cards", "table", "drawing", "clock", "leads", "basis", "note", "beside", "heading", "text")


@dataclass(frozen=True)
class Block:
    """One part of a page: ``kind`` is one of KINDS, ``data`` is JSON-able."""

    kind: str
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The block as it is stored in the executed notebook."""
        return {"kind": self.kind, **self.data}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from workbench.briefings import html

        block = self.to_dict()
        return {"text/plain": f"[{self.kind}]", "text/html": html.fragment(block), MIME: json.loads(json.dumps(block, allow_nan=False))}


def masthead(title: str, *, agency: str, area: str, period: str, handling: str, facts: Mapping[str, str]) -> Block:
    """The head of the page.

    Args:
        title: e.g. "Daily briefing".
        agency, area, period: whose, where and when it is about.
        handling: the caveat printed on every page.
        facts: small print to the right, label -> text: produced at, data as of, next.
    """
    return Block("masthead", {"title": title, "agency": agency, "area": area, "period": period, "handling": handling, "facts": _pairs(facts)})


def bottom_line(*lines: str) -> Block:
    """At most three sentences, each with its uncertainty.

    Raises:
        BadInput: none, or more than three.
    """
    if not 1 <= len(lines) <= 3:
        raise BadInput(f"A bottom line has one to three lines; {len(lines)} were given. Move the others into a note.")
    return Block("bottom_line", {"lines": [str(line) for line in lines]})


def cards(items: Sequence[Mapping[str, Any]], *, caption: str = "") -> Block:
    """One card an offence: label, count, unit, expected, low, high, change, small_base, flag, before (counts of earlier spans), more (pairs)."""
    keys = ("label", "count", "unit", "expected", "low", "high", "change", "small_base", "flag", "before", "more")
    return Block("cards", {"cards": [{k: plain(item.get(k)) for k in keys} for item in items], "caption": caption})


def table(frame: pl.DataFrame, columns: Mapping[str, str], *, caption: str = "", empty: str = "Nothing to show.", rows: int = 15,
          places: Mapping[str, int] | None = None, zone: str = "UTC", marked: Sequence[int] = (), muted: Mapping[str, str] | None = None,
          more: str = "") -> Block:
    """A table as people read it: numbers right-aligned with separators, times in local wall time, missing values as a dash.

    Args:
        frame: the rows; the first ``rows`` are printed and the caption says how many more there are.
        columns: column -> heading, in order.
        caption: what the table is; printed above it.
        empty: the sentence that stands there when there is no row.
        places: column -> decimals of its numbers (default 1 for floats).
        zone: for times.
        marked: row numbers set in bold.
        muted: column -> boolean column of the frame; where that is true the value is printed grey.
        more: a sentence printed beneath.

    Raises:
        BadInput: a column is not in the frame, or the rows are hits of the hotlist (entry_id and read_id) without their ``hit_id``, by which the runner sees
            that a person has confirmed each.
    """
    if {"entry_id", "read_id"} <= set(frame.columns) and "hit_id" not in frame.columns:
        raise BadInput("These rows are hits of the hotlist without their hit_id; keep that column (it need not be printed), so that it can be seen "
                       "that they are confirmed.")
    for name in [*columns, *(muted or {}).values()]:
        if name not in frame.columns:
            raise BadInput(f"The frame has no column {name!r}; it has {', '.join(frame.columns)}.")
    shown = frame.head(rows)
    cells = [[_said(row[c], (places or {}).get(c, 1), zone) for c in columns] for row in shown.iter_rows(named=True)]
    grey = [[bool(row[muted[c]]) if muted and c in muted else False for c in columns] for row in shown.iter_rows(named=True)]
    left = f"{frame.height - rows:,} more are not printed. " if frame.height > rows else ""
    heads = [{"text": text, "right": frame.schema[c].is_numeric()} for c, text in columns.items()]
    return Block("table", {"caption": caption, "heads": heads, "rows": cells, "grey": grey, "marked": [int(m) for m in marked], "more": (left + more).strip(),
                           "empty": "" if cells else empty, **({"hits": shown["hit_id"].cast(pl.String).to_list()} if "hit_id" in shown.columns else {})})


def drawing(svg: str, *, caption: str = "") -> Block:
    """An SVG drawing, e.g. ``surface.drawing(width=620)``.

    Raises:
        BadInput: the text is no SVG.
    """
    if "<svg" not in svg[:2000]:
        raise BadInput("A drawing must be an SVG text, as result.drawing() gives it.")
    return Block("drawing", {"svg": svg, "caption": caption})


def clock(week: Result, *, caption: str = "") -> Block:
    """The heat clock of ``patterns.clock.week``: seven days by 24 hours."""
    days = week.table["weekday"].unique(maintain_order=True).to_list()
    values = [week.table.filter(pl.col("weekday") == d).sort("hour")["incidents"].round(4).to_list() for d in days]
    return Block("clock", {"days": days, "values": values, "caption": caption, "headline": week.headline})


def leads(items: Sequence[Mapping[str, Any]], *, empty: str) -> Block:
    """New links, one case an item: case, title, lines (list of {text, rate}), note. Every line is printed as an unverified lead."""
    return Block("leads", {"items": [plain(dict(item)) for item in items], "empty": "" if items else empty})


def basis(named: Mapping[str, Result | Basis]) -> Block:
    """What each answer of the page rests on; what is the same for all of them is said once, at the end."""
    lines = {name: (r.basis if isinstance(r, Result) else r).lines() for name, r in named.items()}
    said = {label: {text for pairs in lines.values() for k, text in pairs if k == label} for label in ("As of", "Table versions", "Code")}
    shared = [[label, texts.pop()] for label, texts in said.items() if len(texts) == 1 and len(lines) > 1]
    answers = [{"name": name, "lines": [list(p) for p in pairs if list(p) not in shared]} for name, pairs in lines.items()]
    return Block("basis", {"answers": [*answers, *([{"name": "All answers", "lines": shared}] if shared else [])]})


def note(text: str, *, tone: str = "plain") -> Block:
    """A sentence set apart; ``tone`` is "plain" or "warn".

    Raises:
        BadInput: another tone.
    """
    if tone not in ("plain", "warn"):
        raise BadInput(f"A note's tone is 'plain' or 'warn', not {tone!r}.")
    return Block("note", {"text": text, "tone": tone})


def beside(left: Block, right: Iterable[Block], *, share: float = 0.58) -> Block:
    """One block with others to its right (below it on a narrow screen); ``share`` is the width of the left one."""
    return Block("beside", {"left": left.to_dict(), "right": [b.to_dict() for b in right], "share": share})


def _pairs(given: Mapping[str, str]) -> list[list[str]]:
    return [[str(k), str(v)] for k, v in given.items()]


def _said(value: Any, places: int, zone: str) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(ZoneInfo(zone)):%a %d %b %H:%M}"
    if isinstance(value, float):
        return f"{value:,.{places}f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return str(value)

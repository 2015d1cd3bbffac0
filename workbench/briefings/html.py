"""Blocks to HTML: one self-contained page without a script or any reference to elsewhere.

Every text goes through ``escape``; drawings are embedded as images, in which a browser runs nothing; the page's own
Content-Security-Policy forbids scripts and requests besides.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from workbench import bundle
from workbench.views import theme

_ARROWS = {"above": "▲ above", "below": "▼ below"}


def page(blocks: Sequence[dict[str, Any]], *, title: str, run: str, folder: Path | None = None, head: str = "") -> str:
    """The whole page as text.

    Args:
        blocks: as stored in the executed notebook, in order.
        title: of the browser tab.
        run: run id, printed in the footer.
        folder: where briefing.html and briefing.css lie; the package's own by default.
        head: put at the end of the page's head (``resting.meta``).
    """
    home = folder or bundle.folder("templates")
    handling = next((b["handling"] for b in blocks if b["kind"] == "masthead"), "")
    made = Template((home / "briefing.html").read_text(encoding="utf-8")).substitute(
        title=escape(title), style=style(home), body="\n".join(render(b) for b in blocks), run=escape(run), handling=escape(handling))
    return made.replace("</head>", f"{head}\n</head>", 1) if head else made


def style(folder: Path | None = None) -> str:
    """The style sheet: the theme's colours as custom properties, then briefing.css."""
    return theme.css() + (folder or bundle.folder("templates")).joinpath("briefing.css").read_text(encoding="utf-8")


def fragment(block: dict[str, Any]) -> str:
    """One block for a notebook; the masthead brings the style sheet with it."""
    sheet = f"<style>{style()}</style>" if block["kind"] == "masthead" else ""
    return f"{sheet}<div class='wb-brief'>{render(block)}</div>"


def render(block: dict[str, Any]) -> str:
    """One block as HTML; a kind that is not known is left out."""
    make = _MAKERS.get(block.get("kind", ""))
    return make(block) if make else ""


def _masthead(b: dict[str, Any]) -> str:
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in b["facts"])
    return (f"<header class='masthead'><p class='handling'>{escape(b['handling'])}</p><div class='band'><div><p class='agency'>{escape(b['agency'])}</p>"
            f"<h1>{escape(b['title'])}</h1><p class='where'>{escape(b['area'])}<span>{escape(b['period'])}</span></p></div><dl>{facts}</dl></div></header>")


def _bottom_line(b: dict[str, Any]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in b["lines"])
    return f"<section class='bottom-line'><h2>Bottom line</h2><ol>{lines}</ol></section>"


def _cards(b: dict[str, Any]) -> str:
    caption = f"<p class='caption'>{escape(b['caption'])}</p>" if b["caption"] else ""
    n = len(b["cards"])
    columns = max(1, math.ceil(n / max(1, math.ceil(n / 6))))
    return f"<div class='cards' style='--columns:{columns}'>{''.join(_card(c) for c in b['cards'])}</div>{caption}"


def _card(c: dict[str, Any]) -> str:
    flag = c["flag"] or ""
    chip = f"<span class='chip'>{_ARROWS[flag]}</span>" if flag in _ARROWS else ""
    more = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in c["more"] or [])
    return (f"<article class='card {escape(flag.replace(' ', '-'))}'><h3>{escape(c['label'])}</h3><p class='figure'><b>{_number(c['count'])}</b>"
            f"<span>{escape(c['unit'] or '')}</span>{chip}</p>{spark(c)}<p class='expected'>{_expected(c)}</p><dl>{more}</dl></article>")


def _expected(c: dict[str, Any]) -> str:
    if c["expected"] is None:
        return "<span class='range'>too few weeks on record</span>"
    change = "" if c["change"] is None else f" <span class='{'change grey' if c['small_base'] else 'change'}'>{c['change']:+.0f} %</span>".replace("-", "−", 1)
    wanted = f"{c['expected']:,.{0 if c['expected'] >= 100 else 1}f}"
    return f"<span>{wanted} expected</span>{change} <span class='range'>95 %: {_number(c['low'])} to {_number(c['high'])}</span>"


def spark(card: dict[str, Any]) -> str:
    """Bars of the spans before, oldest first, then the latest; the expected range as a band behind them."""
    bars = [*(card["before"] or []), card["count"]]
    if len(bars) < 2:
        return ""
    top = max([*bars, card["high"] or 0, 1])
    wide, high = 100 / len(bars), 30.0
    out = []
    if card["high"] is not None:
        y = high - high * card["high"] / top
        out.append(f"<rect class='band' x='0' y='{y:.1f}' width='100' height='{max(0.4, high * (card['high'] - card['low']) / top):.1f}'/>")
    for i, n in enumerate(bars):
        tall = high * n / top
        out.append(f"<rect class='{'now' if i == len(bars) - 1 else 'before'}' x='{i * wide + wide * 0.14:.2f}' y='{high - tall:.1f}' "
                   f"width='{wide * 0.72:.2f}' height='{tall:.1f}'/>")
    label = f"{len(bars) - 1} spans before, then the latest: {', '.join(str(n) for n in bars)}"
    return f"<svg class='spark' viewBox='0 0 100 30' preserveAspectRatio='none' role='img' aria-label='{escape(label)}'>{''.join(out)}</svg>"


def _table(b: dict[str, Any]) -> str:
    caption = f"<caption>{escape(b['caption'])}</caption>" if b["caption"] else ""
    if b["empty"]:
        head = f"<h4>{escape(b['caption'])}</h4>" if b["caption"] else ""
        return f"<div class='empty'>{head}<p>{escape(b['empty'])}</p></div>"
    right = [h["right"] for h in b["heads"]]
    head = "".join(f"<th{' class=right' if r else ''}>{escape(h['text'])}</th>" for h, r in zip(b["heads"], right, strict=True))
    body = []
    for i, (row, grey) in enumerate(zip(b["rows"], b["grey"], strict=True)):
        cells = "".join(f"<td class='{_looks(v, r, g)}'>{escape(v)}</td>" for v, g, r in zip(row, grey, right, strict=True))
        body.append(f"<tr{' class=marked' if i in b['marked'] else ''}>{cells}</tr>")
    more = f"<p class='caption'>{escape(b['more'])}</p>" if b["more"] else ""
    return f"<div class='table'><table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{more}"


def _looks(text: str, right: bool, grey: bool) -> str:
    return " ".join(name for name, on in (("right", right), ("grey", grey), ("short", len(text) <= 16)) if on)


def _drawing(b: dict[str, Any]) -> str:
    data = base64.b64encode(b["svg"].encode()).decode()
    caption = f"<figcaption>{escape(b['caption'])}</figcaption>" if b["caption"] else ""
    return f"<figure><img alt='{escape(b['caption'] or 'drawing')}' src='data:image/svg+xml;base64,{data}'>{caption}</figure>"


def _clock(b: dict[str, Any]) -> str:
    top, shades = max((v for row in b["values"] for v in row), default=0) or 1, theme.ramp("risk", 48)
    hours = "".join(f"<th>{h if h % 3 == 0 else ''}</th>" for h in range(24))
    rows = []
    for day, values in zip(b["days"], b["values"], strict=True):
        colours = [shades[round(v / top * (len(shades) - 1))] for v in values]
        tips = [f"{escape(day)} {h:02d}:00 – {v:.1f}" for h, v in enumerate(values)]
        cells = "".join(f"<td style='background:{colour}' title='{tip}'></td>" for colour, tip in zip(colours, tips, strict=True))
        rows.append(f"<tr><th>{escape(day)}</th>{cells}</tr>")
    caption = f"<figcaption>{escape(b['caption'])}</figcaption>" if b["caption"] else ""
    return (f"<figure class='clock'><p class='headline'>{escape(b['headline'])}</p><table><thead><tr><th></th>{hours}</tr></thead><tbody>{''.join(rows)}"
            f"</tbody></table>{caption}</figure>")


def _leads(b: dict[str, Any]) -> str:
    if b["empty"]:
        return f"<div class='empty'><p>{escape(b['empty'])}</p></div>"
    out = []
    for item in b["items"]:
        lines = "".join(f"<li>{escape(line['text'])}<span class='rate'>{escape(line['rate'])}</span></li>" for line in item["lines"])
        more = f"<p class='caption'>{escape(item['note'])}</p>" if item.get("note") else ""
        mark = "<span class='chip'>unverified lead</span>" if item["lines"] else ""
        out.append(f"<article class='lead'><h3><b>{escape(item['case'])}</b> {escape(item['title'])}{mark}</h3><ul>{lines}</ul>{more}</article>")
    return f"<div class='leads'>{''.join(out)}</div>"


def _basis(b: dict[str, Any]) -> str:
    out = []
    for answer in b["answers"]:
        lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in answer["lines"])
        out.append(f"<details open><summary>{escape(answer['name'])}</summary><dl>{lines}</dl></details>")
    return f"<section class='basis'>{''.join(out)}</section>"


def _note(b: dict[str, Any]) -> str:
    return f"<p class='note {escape(b['tone'])}'>{escape(b['text'])}</p>"


def _beside(b: dict[str, Any]) -> str:
    share = min(0.9, max(0.1, float(b["share"])))
    right = "".join(render(r) for r in b["right"])
    return f"<div class='beside' style='--left:{share:.2f}fr;--right:{1 - share:.2f}fr'><div>{render(b['left'])}</div><div>{right}</div></div>"


def _heading(b: dict[str, Any]) -> str:
    level = min(4, max(1, int(b["level"])))
    return f"<h{level}>{escape(b['text'])}</h{level}>"


def _words(b: dict[str, Any]) -> str:
    return f"<p class='words'>{escape(b['text'])}</p>"


_MAKERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "masthead": _masthead, "bottom_line": _bottom_line, "cards": _cards, "table": _table, "drawing": _drawing, "clock": _clock, "leads": _leads,
    "basis": _basis, "note": _note, "beside": _beside, "heading": _heading, "text": _words,
}


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:,}"

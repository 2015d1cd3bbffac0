"""What every page of the apps shares: the frame with its header, cards, sentences, the basis fold-out, and how an error is said.

Text from data is escaped here once (:func:`text`); nothing else in the apps writes HTML by hand. Colours come from ``views.theme``.
"""

from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import panel as pn
import panel_material_ui as pmui

from workbench.apps import listed
from workbench.errors import WorkbenchError
from workbench.session import Workbench
from workbench.views import charts, theme

log = logging.getLogger("workbench.apps")
text = html.escape

CSS = f"""
:host {{ --wb-font: Roboto, {theme.WEB_FONT}; font-family: var(--wb-font); color: var(--mui-palette-text-primary); }}
p {{ margin: 0; }}
.sentence {{ font-size: 20px; line-height: 1.38; font-weight: 400; letter-spacing: .003em; text-wrap: pretty; }}
.lead {{ font-size: 15px; line-height: 1.5; color: var(--mui-palette-text-secondary); }}
.small {{ font-size: 13px; line-height: 1.45; color: var(--mui-palette-text-secondary); }}
h2, h3 {{ margin: 0; font-weight: 700; letter-spacing: .002em; }}
h2 {{ font-size: 15px; }}
.eyebrow {{ font-size: 12px; font-weight: 700; color: var(--mui-palette-text-secondary); margin-bottom: 4px; }}
.message {{ display: flex; gap: 12px; align-items: flex-start; padding: 12px 16px; border-radius: 8px; font-size: 14.5px; line-height: 1.45;
  border: 1px solid var(--mui-palette-divider); border-left-width: 4px; background: var(--mui-palette-background-paper); }}
.message.warning {{ border-left-color: {theme.WARN}; }} .message.error {{ border-left-color: {theme.BAD}; }} .message.info {{ border-left-color: var(--mui-palette-primary-main); }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; margin: 0; font-size: 13.5px; line-height: 1.45; }}
dt {{ color: var(--mui-palette-text-secondary); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
.chips {{ display: flex; flex-wrap: wrap; gap: 6px; }}
.chip {{ font-size: 12.5px; line-height: 1; padding: 5px 9px; border-radius: 999px; border: 1px solid var(--mui-palette-divider); white-space: nowrap; }}
a {{ color: var(--mui-palette-primary-main); }}
a:focus-visible, summary:focus-visible {{ outline: 2px solid var(--mui-palette-primary-main); outline-offset: 2px; border-radius: 3px; }}
details > summary {{ cursor: pointer; font-size: 13.5px; color: var(--mui-palette-text-secondary); }}
details[open] > summary {{ margin-bottom: 10px; }}
"""

_CARD = """
:host { background: var(--mui-palette-background-paper); border: 1px solid var(--mui-palette-divider); border-radius: 10px; padding: 14px 16px; box-sizing: border-box;
  box-shadow: 0 1px 2px rgba(16, 32, 56, .05); gap: 8px; }
"""

#: Panel's columns carry a hidden button, which a grid would give a cell, and never grow past the window by themselves.
_PLAIN = ".scroll-button { display: none; } :host { max-height: none !important; } "

_HEADER = """
:host { color: #fff; font-family: Roboto, sans-serif; flex: 1; }
.bar { display: flex; align-items: center; gap: 14px; width: 100%; }
nav { display: flex; gap: 4px; margin-left: 18px; flex: 1; }
nav a { color: rgba(255,255,255,.82); text-decoration: none; font-size: 14.5px; padding: 7px 12px; border-radius: 6px; }
nav a:hover { background: rgba(255,255,255,.10); color: #fff; } nav a[aria-current] { background: rgba(255,255,255,.16); color: #fff; font-weight: 700; }
nav a:focus-visible { outline: 2px solid #fff; outline-offset: 1px; }
.who { font-size: 13px; opacity: .85; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.who b { font-weight: 700; }
@media (max-width: 1100px) { .who .more { display: none; } }
"""


def palette(dark: bool) -> dict[str, Any]:
    """The Material palette of one face, from the house's colours."""
    c = theme.scheme(dark)
    return {
        "mode": "dark" if dark else "light",
        "primary": {"main": c["accent"], "contrastText": c["on_accent"]},
        "secondary": {"main": c["muted"]},
        "background": {"default": c["page"], "paper": c["panel"]},
        "text": {"primary": c["ink"], "secondary": c["muted"]},
        "divider": c["rule"],
    }


def look() -> dict[str, Any]:
    """Theme of the Material components, light and dark."""
    shared = {
        "typography": {"fontFamily": f"Roboto, {theme.WEB_FONT}", "fontSize": 14, "h3": {"fontSize": "1.18rem", "fontWeight": 700, "letterSpacing": ".01em"},
                       "button": {"textTransform": "none", "fontWeight": 700}},
        "shape": {"borderRadius": 8},
        "components": {"MuiButton": {"defaultProps": {"disableElevation": True}}},
    }
    return {"light": {**shared, "palette": palette(False)}, "dark": {**shared, "palette": palette(True)}}


_NAVY = theme.INK
#: A grid with its hottest cell: the icon in the browser's tab, inline so that no file is asked for.
_ICON = ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='6' fill='%2314233a'/%3E"
         "%3Cg fill='%23fff' opacity='.45'%3E%3Crect x='6' y='6' width='6' height='6'/%3E%3Crect x='13' y='6' width='6' height='6'/%3E%3Crect x='20' y='6' width='6' height='6'/%3E"
         "%3Crect x='6' y='13' width='6' height='6'/%3E%3Crect x='20' y='13' width='6' height='6'/%3E%3Crect x='6' y='20' width='6' height='6'/%3E"
         "%3Crect x='13' y='20' width='6' height='6'/%3E%3Crect x='20' y='20' width='6' height='6'/%3E%3C/g%3E%3Crect x='13' y='13' width='6' height='6' fill='%23fbae52'/%3E%3C/svg%3E")
_PAGE_SX = {
    "& .header": {"backgroundColor": _NAVY, "backgroundImage": "none", "boxShadow": "none", "color": "#fff"},
    "& .main": {"backgroundColor": "var(--mui-palette-background-default)"},
    "& .sidebar": {"backgroundColor": "var(--mui-palette-background-paper)", "borderRight": "1px solid var(--mui-palette-divider)"},
    "& .main-content": {"padding": "14px 18px 28px", "boxSizing": "border-box"},
}


def html_pane(markup: str, **options: Any) -> pn.pane.HTML:
    """A pane for markup made of escaped text, in the look of the house."""
    return pn.pane.HTML(markup, stylesheets=[CSS, *options.pop("stylesheets", [])], margin=options.pop("margin", 0),
                        sizing_mode=options.pop("sizing_mode", "stretch_width"), **options)


def shell(workbench: Workbench, title: str, main: Sequence[Any], *, here: str = "", sidebar: Sequence[Any] = (), width: int | None = None) -> pmui.Page:
    """The page itself: header with the way to the hub and the other apps, the sidebar, and the main column.

    Args:
        here: name of the app this page is, "" for the hub.
        width: pixels the main column takes at most, centred; None = the whole window.
    """
    header = pn.pane.HTML(heading(workbench, here), stylesheets=[_HEADER], sizing_mode="stretch_width", margin=0)
    return pmui.Page(
        title="Workbench", meta_title=f"{title} · {workbench.agency.name}", header=[header], main=list(main), sidebar=list(sidebar), sidebar_width=248, main_width=width, app_bar_width="100%",
        sidebar_resizable=False, theme_config=look(), sx=_PAGE_SX, busy_indicator="linear", favicon=_ICON, site_url="./",
    )


def heading(workbench: Workbench, here: str) -> str:
    """The way to every app, and for whom and which case the page stands; for ``made.header[0].object`` when a case is opened."""
    entries = [("", "Home"), *((e.name, e.title) for e in listed(workbench.path / "plugins"))]
    links = "".join(f'<a href="./{text(name)}"{" aria-current=page" if name == here else ""}>{text(label)}</a>' for name, label in entries)
    bound = f"case <b>{text(workbench.case)}</b>" if workbench.case else "no case open"
    return (f"<div class=bar><nav aria-label=Apps>{links}</nav><div class=who><span class=more>{text(workbench.agency.name)} &nbsp;·&nbsp; </span>{bound}</div></div>")


class Drawing:
    """A chart that comes and goes; ``picked(ids)`` is called when marks of a clickable chart are clicked.

    A clickable chart gets a new pane each time: Panel's Vega pane can neither take one after having been empty nor change one for another.
    """

    def __init__(self, picked: Callable[[list[str]], None] | None = None) -> None:
        self.view = pn.Column(margin=0, sizing_mode="stretch_width", visible=False, stylesheets=[_PLAIN])
        self._picked = picked

    def show(self, chart: Any) -> None:
        """Draw a chart in place of the one before."""
        if len(self.view) and self._picked is None:
            self.view[0].object = chart
        else:
            pane = pn.pane.Vega(chart, sizing_mode="stretch_width", margin=0, show_actions=False)
            if self._picked is not None:
                pane.selection.param.watch(self._clicked, charts.PICKED)
            self.view[:] = [pane]
        self.view.visible = True

    def _clicked(self, event: Any) -> None:
        if self._picked is not None:
            self._picked(sorted({str(mark["id"]) for mark in event.new or [] if isinstance(mark, dict) and "id" in mark}))

    def hide(self) -> None:
        """Show no chart."""
        self.view.visible = False


def card(title: str, *objects: Any, note: str = "", **options: Any) -> pn.Column:
    """A white card with a heading, and a note in small print where one helps."""
    head = f"<h2>{text(title)}</h2>" + (f'<p class=small>{text(note)}</p>' if note else "")
    first = [html_pane(head)] if title else []
    return pn.Column(*first, *objects, stylesheets=[_PLAIN + _CARD, *options.pop("stylesheets", [])], margin=0, sizing_mode=options.pop("sizing_mode", "stretch_width"), **options)


def grid(*objects: Any, wide: str, narrow: str = "minmax(0, 1fr)", below: int = 1200, gap: int = 14, align: str = "stretch", **options: Any) -> pn.Column:
    """Objects side by side in the columns of ``wide`` (CSS grid), in those of ``narrow`` when the window is narrower than ``below`` pixels."""
    css = (_PLAIN + f":host {{ display: grid !important; grid-template-columns: {wide}; gap: {gap}px; align-items: {align}; }} :host > * {{ min-width: 0; }} "
           f"@media (max-width: {below - 1}px) {{ :host {{ grid-template-columns: {narrow}; }} }}")
    return pn.Column(*objects, stylesheets=[css, *options.pop("stylesheets", [])], margin=0, sizing_mode="stretch_width", **options)


def column(*objects: Any, gap: int = 14, **options: Any) -> pn.Column:
    """Objects one below the other."""
    return pn.Column(*objects, stylesheets=[_PLAIN + f":host {{ gap: {gap}px; }}"], margin=0, sizing_mode="stretch_width", **options)


def basis_markup(lines: Iterable[tuple[str, str]], title: str = "What this rests on") -> str:
    """The basis as a fold-out: label and text, escaped."""
    rows = "".join(f"<dt>{text(label)}</dt><dd>{text(value)}</dd>" for label, value in lines)
    return f"<details><summary>{text(title)}</summary><dl>{rows}</dl></details>" if rows else ""


def local(moment: datetime, workbench: Workbench, form: str = "%-d %B %Y") -> str:
    """A time as the agency's wall clock shows it."""
    return f"{moment.astimezone(workbench.agency.tz):{form}}"


class Message:
    """A place on the page for one sentence to the person: why there is nothing to show, or what went wrong."""

    def __init__(self) -> None:
        self.pane = html_pane("", visible=False)

    def clear(self) -> None:
        """Say nothing."""
        self.pane.param.update(object="", visible=False)

    def show(self, sentence: str, kind: str = "info") -> None:
        """Say a sentence; ``kind`` is info, warning or error."""
        role = "status" if kind == "info" else "alert"
        self.pane.param.update(object=f'<div class="message {kind}" role={role}>{text(sentence)}</div>', visible=True)


def sentence_of(error: BaseException) -> tuple[str, str]:
    """What to say about an error, and its kind. An error made on purpose says itself; any other goes to the log and a plain sentence stands for it."""
    if isinstance(error, WorkbenchError):
        return str(error), "warning"
    log.error("an app failed", exc_info=error)
    return "This could not be worked out because of a fault in the workbench. The details are in the log of the server; nothing was changed.", "error"


@contextlib.contextmanager
def careful(message: Message, *busy: Any) -> Iterator[None]:
    """Run a body with loading indicators on; an error becomes a sentence in ``message``, never a traceback."""
    message.clear()
    for part in busy:
        part.loading = True
    try:
        yield
    except Exception as error:
        message.show(*sentence_of(error))
    finally:
        for part in busy:
            part.loading = False

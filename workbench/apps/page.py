"""What every page of the apps shares: the frame with its header, cards, sentences, the basis fold-out, and how an error is said.

Text from data is escaped here once (:func:`text`); nothing else in the apps writes HTML by hand. Colours come from ``views.theme``.
"""

from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmui
from bokeh.settings import settings
from panel.util import edit_readonly

from workbench.apps import guard, listed
from workbench.errors import WorkbenchError
from workbench.session import Workbench
from workbench.views import charts, theme

log = logging.getLogger("workbench.apps")
text = html.escape

_HERE = Path(__file__).parent
CSS = f":host {{ --wb-warn: {theme.WARN}; --wb-bad: {theme.BAD}; --wb-good: {theme.GOOD}; }}\n" + (_HERE / "page.css").read_text(encoding="utf-8")

_CARD = (_HERE / "card.css").read_text(encoding="utf-8")

#: Panel's columns carry a hidden button, which a grid would give a cell, and never grow past the window by themselves.
_PLAIN = ".scroll-button { display: none; } :host { max-height: none !important; } "

_HEADER = (_HERE / "header.css").read_text(encoding="utf-8")


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
        "typography": {"fontFamily": "Roboto, sans-serif", "fontSize": 14, "h3": {"fontSize": "1.18rem", "fontWeight": 700, "letterSpacing": ".01em"},
                       "button": {"textTransform": "none", "fontWeight": 700}},
        "shape": {"borderRadius": 8},
        "components": {
            "MuiButton": {"defaultProps": {"disableElevation": True}},
            # A drop-down as high as a text field, and its label as large: 12 px when it stands above the line.
            "MuiSelect": {"styleOverrides": {"select": {"&.MuiSelect-select.MuiInputBase-input": {"padding": "8.5px 32px 8.5px 14px !important"}}}},
            "MuiInputLabel": {"styleOverrides": {"root": {"fontSize": "16px !important"}}},
        },
    }
    return {"light": {**shared, "palette": palette(False)}, "dark": {**shared, "palette": palette(True)}}


_NAVY = theme.INK
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
    settings.resources = "server"  # of the whole process; two threads that set it for a moment can leave it at another value, and styles then come from a CDN
    header = pn.pane.HTML(heading(workbench, here), stylesheets=[_HEADER], sizing_mode="stretch_width", margin=0)
    made = pmui.Page(
        title="Workbench", meta_title=bare(f"{title} · {workbench.agency.name}"), header=[header], main=list(main), sidebar=list(sidebar),
        sidebar_width=248, main_width=width, app_bar_width="100%", sidebar_resizable=False, theme_config=look(), sx=_PAGE_SX,
        busy_indicator=None, favicon=_HERE / "icon.svg", site_url="./",
    )
    with edit_readonly(made):
        # Material's page follows a flag of the whole process, which would hold every closed page for ever and show one person's waiting to all.
        made.busy = made.param.loading
    return made


def bare(words: str) -> str:
    """A text for where a template of Panel's writes it as it stands: marks that could end an attribute or begin an element give way to look-alikes."""
    return words.translate(str.maketrans("<>\"'&", "\u2039\u203a\u201d\u2019+"))


def heading(workbench: Workbench, here: str) -> str:
    """The way to every app, and for whom and which case the page stands; for ``made.header[0].object`` when a case is opened."""
    entries = [("", "Home"), *((e.name, e.title) for e in listed(workbench.path / "plugins") if e.is_for(workbench))]
    links = "".join(f'<a href="./{text(name)}"{" aria-current=page" if name == here else ""}>{text(label)}</a>' for name, label in entries)
    bound = f"case <b>{text(workbench.case)}</b>" if workbench.case else "no case open"
    if workbench.person.emergency and workbench.until is not None:
        bound = f"<b class=emergency>emergency access until {local(workbench.until, workbench, '%H:%M')}</b>"
    whose = f"<span class=more>{text(workbench.agency.name)} &nbsp;·&nbsp; </span>{bound}"
    signed = guard.here()
    if signed is not None:
        name = text(signed.user)
        person = f'<a href="./password" title="Change password">{name}</a>' if signed.via == "password" else name
        whose += f' &nbsp;·&nbsp; {person}, {text(signed.role)} &nbsp;·&nbsp; <a href="./sign-out">Sign out</a>'
    return f"<div class=bar><nav aria-label=Apps>{links}</nav><div class=who>{whose}</div></div>"


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
            self.view.objects[0].param.update(object=chart)
        else:
            pane = pn.pane.Vega(chart, sizing_mode="stretch_width", margin=0, show_actions=False)
            if self._picked is not None and pane.selection is not None:
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
    return pn.Column(*first, *objects, stylesheets=[_PLAIN + _CARD], margin=0, sizing_mode="stretch_width", **options)


def grid(*objects: Any, wide: str, narrow: str = "minmax(0, 1fr)", below: int = 1200, gap: int = 14, align: str = "stretch", **options: Any) -> pn.Column:
    """Objects side by side in the columns of ``wide`` (CSS grid), in those of ``narrow`` when the window is narrower than ``below`` pixels."""
    css = (_PLAIN + f":host {{ display: grid !important; grid-template-columns: {wide}; gap: {gap}px; align-items: {align}; }} :host > * {{ min-width: 0; }} "
           f"@media (max-width: {below - 1}px) {{ :host {{ grid-template-columns: {narrow}; }} }}")
    return pn.Column(*objects, stylesheets=[css, *options.pop("stylesheets", [])], margin=0, sizing_mode="stretch_width", **options)


def column(*objects: Any, gap: int = 14, **options: Any) -> pn.Column:
    """Objects one below the other."""
    return pn.Column(*objects, stylesheets=[_PLAIN + f":host {{ gap: {gap}px; }}"], margin=0, sizing_mode="stretch_width", **options)


def typed(field: Any) -> str:
    """What stands in a text field now, as the browser last said.

    Panel hands what was typed and the click behind it to different threads, so the field itself may still hold the text before; the message came in order.
    """
    for model, _ in list(field._models.values()):
        data = getattr(model, "data", model)
        return str(data.value_input or data.value or "").strip()
    return str(field.value_input or field.value or "").strip()


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

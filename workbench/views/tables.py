"""Tables as safe HTML: everything that comes from data is escaped, numbers are set to the right and written for people."""

from __future__ import annotations

import html as _html
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from workbench.views import theme
from workbench.views.scales import number

_CELL = "padding:5px 12px 5px 0;border-bottom:1px solid rgba(128,136,150,.28);vertical-align:top"
_TABLE = f"border-collapse:collapse;font:13px/1.45 {theme.WEB_FONT};margin:6px 0 10px;color:inherit;font-variant-numeric:tabular-nums"
_HEAD = "padding:4px 12px 5px 0;border-bottom:2px solid currentColor;font-weight:600;white-space:nowrap;opacity:.85"
_BLANK = "<span style='opacity:.45'>&ndash;</span>"
#: Columns that hold degrees.
_PLACES = ("lon", "lat")
#: Headings that are not just the column's words.
_HEADINGS = {"nibrs": "NIBRS", "mo": "MO", "lon": "Longitude", "lat": "Latitude"}
_HIDDEN = ("batch_id", "source", "line", "recorded_at")


def html(frame: pl.DataFrame, *, rows: int = 12, zone: str = "UTC", columns: Sequence[str] | None = None) -> str:
    """The first ``rows`` rows of a frame as an HTML table with inline styles (it reads the same in a notebook, an app and a saved page).

    Times are shown in ``zone`` to the minute; provenance columns are left out unless named in ``columns``. A last line says how many rows
    are not shown. An empty frame becomes a sentence.
    """
    names = list(columns) if columns is not None else [c for c in frame.columns if c not in _HIDDEN] or frame.columns
    if frame.is_empty() or not names:
        return "<p style='opacity:.7'>No rows.</p>"
    right = {c for c in names if frame.schema[c].is_numeric()}
    head = "".join(f"<th scope='col' style='{_HEAD};text-align:{'right' if c in right else 'left'}'>{_html.escape(heading(c))}</th>" for c in names)
    shown = frame.select(names).head(rows)
    lines = ({c: _degrees(v) if c in _PLACES else _chance(v) if _is_chance(c) else v for c, v in row.items()} for row in shown.iter_rows(named=True))
    body = "".join("<tr>" + "".join(_cell(v, c in right, zone) for c, v in row.items()) + "</tr>" for row in lines)
    hidden = frame.height - shown.height
    more = f"<p style='opacity:.7;font:12px {theme.WEB_FONT};margin:0 0 10px'>{hidden:,} more {'row' if hidden == 1 else 'rows'}</p>" if hidden else ""
    return f"<table class='wb-table' style=\"{_TABLE}\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def basis_html(lines: Sequence[tuple[str, str]]) -> str:
    """What an answer rests on, as a quiet list that can be folded away; "" when there is nothing to say."""
    if not lines:
        return ""
    rows = "".join(
        f"<dt style='opacity:.65'>{_html.escape(label)}</dt><dd style='margin:0;overflow-wrap:anywhere'>{_html.escape(str(text))}</dd>" for label, text in lines
    )
    grid = "display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:6px 0 0"
    return (
        f"<details class='wb-basis' style='font:12px/1.5 {theme.WEB_FONT};margin:8px 0'>"
        "<summary style='cursor:pointer;opacity:.8'>What this rests on</summary>"
        f"<dl style='{grid}'>{rows}</dl></details>"
    )


def heading(column: str) -> str:
    """A column's name for people: "started_at" becomes "Started", "hit_rate" "Hit rate"."""
    if column in _HEADINGS:
        return _HEADINGS[column]
    words = column.removesuffix("_at").removesuffix("_on").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or column


def text(value: Any, zone: str = "UTC") -> str:
    """One value for people (plain text, not escaped); "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return "" if value != value else "no limit" if value == float("inf") else number(value)
    if isinstance(value, datetime):
        at = value.astimezone(ZoneInfo(zone)) if value.tzinfo else value
        return f"{at:%Y-%m-%d %H:%M}"
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple, pl.Series)):
        return ", ".join(text(v, zone) for v in value)
    return str(value)


def _span(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    days, rest = divmod(seconds, 86_400)
    hours, minutes = divmod(rest // 60, 60)
    if days:
        return f"{sign}{days} d {hours} h" if hours else f"{sign}{days} d"
    return f"{sign}{hours} h {minutes:02d} min" if hours else f"{sign}{minutes} min" if minutes else f"{sign}{seconds} s"


def _degrees(value: Any) -> Any:
    """Degrees to about a metre; three digits would say nothing about where in a city."""
    return f"{value:.5f}" if isinstance(value, float) and value == value else value


def _is_chance(column: str) -> bool:
    return column in ("p", "q") or column.endswith("_p") or column.startswith("p_")


def _chance(value: Any) -> Any:
    """A p-value so small that its digits say nothing is said to be small."""
    return "< 0.001" if isinstance(value, float) and 0 <= value < 0.001 else value


def _cell(value: Any, right: bool, zone: str) -> str:
    shown = _html.escape(text(value, zone)).replace("\n", "<br>") or _BLANK
    wrap = "nowrap" if right or isinstance(value, (datetime, date)) else "normal"
    return f"<td style='{_CELL};text-align:{'right' if right else 'left'};white-space:{wrap}'>{shown}</td>"

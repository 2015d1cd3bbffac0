"""A table whose rows can be picked by mouse or keyboard and lit up from Python: the table beside a map or a chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import panel as pn
import param
import polars as pl

from workbench.views.scales import number

#: More rows than this are not sent to the screen; the page says so.
MOST_ROWS = 500


class PickTable(pn.custom.AnyWidgetComponent):
    """Rows of plain text and numbers. ``selected`` goes both ways; ``picked`` changes only when a person picks a row."""

    content = param.Dict(default={"columns": [], "rows": []}, doc="columns: one {title, kind} each (kind 'num', 'short', 'wide'); rows: one {id, cells} each. "
                         "A cell is text, a number or {value, share, text} drawn with a bar. One parameter, so that rows and ids never part.")
    selected = param.List(default=[], doc="Ids of the rows lit up.")
    picked = param.Dict(default={}, doc="{'id', 'at'} of the row picked last.")
    empty = param.String(default="Nothing to show.", doc="The sentence that stands for no rows.")
    label = param.String(default="Table", doc="What the table is, for a screen reader.")
    height_px = param.Integer(default=320, doc="Height at which the rows begin to scroll.")

    _bundle: ClassVar[Path] = Path(__file__).with_name("picktable.js")

    def fill(self, frame: pl.DataFrame, columns: dict[str, str], *, ids: Sequence[str], zone: ZoneInfo, bars: Sequence[str] = ()) -> None:
        """Show some columns of a frame: ``columns`` maps a column to its heading, ``bars`` names those drawn with a bar. At most MOST_ROWS rows."""
        frame, kept = frame.head(MOST_ROWS), list(columns)
        top = {c: float(frame[c].max() or 1) for c in bars if len(frame)}  # type: ignore[arg-type]
        body = [[_cell(value, zone, top.get(name)) for name, value in zip(kept, row, strict=True)] for row in frame.select(kept).iter_rows()]
        kinds = ["bars" if c in bars else "num" if frame.schema[c].is_numeric() else _width(frame[c]) for c in kept]
        heads = [{"title": title, "kind": kind} for title, kind in zip(columns.values(), kinds, strict=True)]
        rows = [{"id": str(i), "cells": cells} for i, cells in zip(ids, body, strict=False)]
        self.param.update(content={"columns": heads, "rows": rows}, selected=[])

    def clear(self, why: str) -> None:
        """Show no row, and a sentence in their place."""
        self.param.update(content={"columns": [], "rows": []}, selected=[], empty=why)

    def when_picked(self, do: Callable[[str], None]) -> None:
        """Call ``do(id)`` when a person picks a row."""
        self.param.watch(lambda event: do(str(event.new["id"])) if event.new else None, "picked")


def _width(values: pl.Series) -> str:
    """Short texts stay on one line, long ones get room, what lies between may wrap."""
    longest = values.str.len_chars().max() if values.dtype == pl.String() else 0
    length = longest if isinstance(longest, int) else 0
    return "short" if length <= 19 else "wide" if length > 60 else ""


def _cell(value: Any, zone: ZoneInfo, top: float | None) -> Any:
    """One value as the browser gets it."""
    if value is None:
        return ""
    if top is not None:
        return {"value": float(value), "share": float(value) / (top or 1), "text": number(value)}
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}" if value.tzinfo else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (int, str)):
        return value
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return str(value)

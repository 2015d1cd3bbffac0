"""What all charts share: the theme, the rows inside a chart, the agency's clock, and the door that checks columns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt
import polars as pl

from workbench.errors import BadInput
from workbench.views import theme

#: Altair gives no common type for single and layered charts, so none is promised here.
Chart = Any


def dress(chart: Chart, title: str, subtitle: str, width: int | str, height: int, dark: bool) -> Chart:
    """A chart in the theme, with its title; the subtitle says how to read it."""
    chart = chart.properties(
        width=width,
        height=height,
        config=theme.vega_config(dark),
        autosize=alt.AutoSizeParams(type="fit-x" if width == "container" else "pad", contains="padding"),
    )
    if title:
        return chart.properties(title=alt.TitleParams(text=title, subtitle=[subtitle] if subtitle else []))
    return chart.properties(title=alt.TitleParams(text="", subtitle=[subtitle])) if subtitle else chart


def need(frame: pl.DataFrame, *columns: str, what: str) -> None:
    """Raise BadInput when one of the columns is missing; ``what`` names the frame in the message."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise BadInput(f"{what.capitalize()} has no column {missing[0]!r}; {', '.join(columns)} are needed. It has: {', '.join(frame.columns)}.")


def local(times: pl.Series, zone: str) -> pl.Series:
    """Times as wall-clock times of a zone, without the zone; dates and zoneless times stay as they are."""
    kind = times.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return times.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us"))


def inline(values: list[dict[str, Any]]) -> Any:
    """Rows as inline data."""
    return alt.Data(values=values)  # type: ignore[no-untyped-call, unused-ignore]


def data(frame: pl.DataFrame, zone: str = "UTC") -> Any:
    """Rows inside the chart; times as wall-clock text, which every browser shows as it stands."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return (value.astimezone(ZoneInfo(zone)) if value.tzinfo else value).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else value

    return inline([{k: plain(v) for k, v in row.items()} for row in frame.iter_rows(named=True)])

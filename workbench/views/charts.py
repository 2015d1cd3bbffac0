"""Charts for screen and paper by Altair, all in the theme of the workbench.

Data travel inside the chart, so a chart makes no request. Importing this file sets Altair's renderer to SVG: in a notebook or a saved page
a chart is a drawing, not a script from another machine. Times are shown on the agency's clock (``zone``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from workbench.errors import BadInput, did_you_mean
from workbench.views import theme
from workbench.views.chart_parts import Chart, data, dress, inline, local, need
from workbench.views.scales import number

alt.renderers.enable("svg")

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MEASURES = {"hit_rate": "Hit rate", "pai": "PAI (times better than chance)", "pei": "PEI (share of the best possible)", "rri": "RRI (predicted / observed)"}
#: Name of the selection in clickable charts; in a Panel Vega pane: ``pane.selection.picked``.
PICKED = "picked"


def svg(chart: Chart) -> str:
    """A chart as SVG text, without a browser and without a request."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))


def backtest(
    scores: pl.DataFrame, *, measure: str = "hit_rate", share: float | None = None, width: int | str = 560, height: int = 220, dark: bool = False
) -> Chart:
    """How well each model did at each origin of a back-test, with its mean; chance is drawn for the hit rate.

    Args:
        scores: long frame (model, origin, share, measure, value).
        measure: which measure.
        share: which share of the area; the middle one if not given.
        width: pixels, or "container".
        height: pixels.
        dark: colours for a dark page.

    Raises:
        BadInput: a column, the measure or the share is not there.
    """
    rows = _scores(scores, measure)
    shares = sorted(rows["share"].unique().to_list())
    share = shares[len(shares) // 2] if share is None else share
    rows = rows.filter((pl.col("share") - share).abs() < 1e-9)
    if rows.is_empty():
        raise BadInput(f"There are no scores for an area share of {share!r}; there are: {', '.join(f'{s:g}' for s in shares)}.")
    models = sorted(rows["model"].unique().to_list())
    means = [(m, _mean(rows.filter(pl.col("model") == m)["value"])) for m in models]
    rows_in = data(rows.sort("model", "origin").select("model", "origin", "value"))
    colour = _models(models)
    x = alt.X(field="origin", type="temporal", title=None, axis=alt.Axis(format="%d %b %Y", labelOverlap=True, tickCount=6))
    y = alt.Y(field="value", type="quantitative", title=MEASURES.get(measure, measure), axis=alt.Axis(format="%" if measure == "hit_rate" else "~g"))
    tip = [
        alt.Tooltip(field="model", type="nominal", title="Model"),
        alt.Tooltip(field="origin", type="temporal", title="From", format="%Y-%m-%d"),
        alt.Tooltip(field="value", type="quantitative", title=MEASURES.get(measure, measure), format=".3"),
    ]
    line = (
        alt.Chart(rows_in).mark_line(strokeWidth=1.6, opacity=0.85, point=alt.OverlayMarkDef(size=26, filled=True)).encode(x=x, y=y, color=colour, tooltip=tip)
    )
    mean = alt.Chart(rows_in).mark_rule(strokeWidth=1.4, strokeDash=[5, 4]).encode(y=alt.Y(field="value", type="quantitative", aggregate="mean"), color=colour)
    parts: list[Any] = [line, mean]
    chance = share if measure == "hit_rate" else 1.0
    parts.append(
        alt.Chart(inline([{"chance": chance}]))
        .mark_rule(color=theme.scheme(dark)["faint"], strokeDash=[2, 3])
        .encode(y=alt.Y(field="chance", type="quantitative"))
    )
    shown = ", ".join(f"{m} {f'{v:.0%}' if measure == 'hit_rate' else number(v)}" for m, v in means)
    title = f"{MEASURES.get(measure, measure)} in the top {share:.1%} of the area".replace(".0%", "%")
    origins = rows["origin"].n_unique()
    return dress(alt.layer(*parts), title, f"Mean of {origins} {'origin' if origins == 1 else 'origins'}: {shown}. Dotted: chance.", width, height, dark)


def hit_rate_curve(scores: pl.DataFrame, *, width: int | str = 360, height: int = 240, dark: bool = False) -> Chart:
    """Mean hit rate by share of the area watched, a line a model, with the middle half of the origins as a band; dotted is chance.

    ``scores`` as for backtest.

    Raises:
        BadInput: a column is missing, or there is no hit rate among the measures.
    """
    rows = _scores(scores, "hit_rate")
    models = sorted(rows["model"].unique().to_list())
    summary = (
        rows.group_by("model", "share")
        .agg(
            pl.col("value").mean().alias("mean"), pl.col("value").quantile(0.25, "linear").alias("low"), pl.col("value").quantile(0.75, "linear").alias("high")
        )
        .sort("model", "share")
    )
    rows_in, colour = data(summary), _models(models)
    x = alt.X(field="share", type="quantitative", title="Share of the area watched", axis=alt.Axis(format="~%", grid=False, tickCount=5))
    y = alt.Y(field="mean", type="quantitative", title="Share of incidents in it", axis=alt.Axis(format="~%"))
    band = alt.Chart(rows_in).mark_area(opacity=0.15).encode(x=x, y=alt.Y(field="low", type="quantitative"), y2=alt.Y2(field="high"), color=colour)
    tip = [
        alt.Tooltip(field="model", type="nominal", title="Model"),
        alt.Tooltip(field="share", type="quantitative", title="Area", format=".1%"),
        alt.Tooltip(field="mean", type="quantitative", title="Hit rate", format=".1%"),
    ]
    line = alt.Chart(rows_in).mark_line(point=alt.OverlayMarkDef(size=40, filled=True)).encode(x=x, y=y, color=colour, tooltip=tip)
    widest = max(summary["share"].to_list())
    ends = [{"share": 0.0, "mean": 0.0}, {"share": widest, "mean": widest}]
    chance = alt.Chart(inline(ends)).mark_line(strokeDash=[2, 3], strokeWidth=1.3, color=theme.scheme(dark)["faint"]).encode(x=x, y=y)
    return dress(alt.layer(band, chance, line), "Hit rate by share of the area", "Band: middle half of the origins. Dotted: chance.", width, height, dark)


def timeline(
    events: pl.DataFrame, *, zone: str = "UTC", selected: Sequence[str] = (), title: str = "", width: int | str = "container", dark: bool = False
) -> Chart:
    """What happened when, a mark an event, in lanes; a click on marks (Shift for more) is the selection ``picked`` on the field ``id``.

    Args:
        events: frame (id, at, kind, label[, lane][, until]); ``at`` and ``until`` are times with a zone, ``lane`` defaults to the kind's word.
        zone: the agency's time zone.
        selected: ids that are emphasised when it is drawn.
        title: above the chart.
        width: pixels, or "container".
        dark: colours for a dark page.

    Raises:
        BadInput: a column is missing.
    """
    need(events, "id", "at", "kind", "label", what="events")
    looks = {k: theme.kind(k) for k in events["kind"].drop_nulls().unique(maintain_order=True).to_list()}
    rows = events.with_columns(
        pl.col("id").cast(pl.String),
        pl.col("kind").replace_strict({k: v.word for k, v in looks.items()}, default="Other", return_dtype=pl.String).alias("word"),
    )
    rows = rows.with_columns(pl.col("lane").fill_null(pl.col("word")) if "lane" in rows.columns else pl.col("word").alias("lane"))
    lanes = rows["lane"].unique(maintain_order=True).to_list()
    extra = ["until"] if "until" in rows.columns else []
    rows_in = data(rows.filter(pl.col("at").is_not_null()).select("id", "at", "word", "label", "lane", *extra), zone)
    pick = alt.selection_point(name=PICKED, fields=["id"], on="click", toggle="event.shiftKey", value=[{"id": str(s)} for s in selected] or alt.Undefined)
    c = theme.scheme(dark)
    words = [look.word for look in looks.values()]
    colour = alt.Color(field="word", type="nominal", title=None, legend=None, scale=alt.Scale(domain=words, range=[look.colour for look in looks.values()]))
    tip = [
        alt.Tooltip(field="label", type="nominal", title="What"),
        alt.Tooltip(field="at", type="temporal", title="When", format="%a %Y-%m-%d %H:%M"),
        alt.Tooltip(field="lane", type="nominal", title="Lane"),
    ]
    y = alt.Y(
        field="lane",
        type="nominal",
        title=None,
        sort=lanes,
        axis=alt.Axis(grid=True, labelLimit=150, labelFontSize=12, labelColor=c["ink"], domain=False, ticks=False, labelPadding=10),
    )
    x = alt.X(field="at", type="temporal", title=None, axis=alt.Axis(grid=True, labelOverlap=True, tickCount=8), scale=alt.Scale(padding=14))
    bright = alt.condition(pick, alt.value(1), alt.value(0.25))
    parts: list[Any] = []
    if extra:
        parts.append(
            alt.Chart(rows_in)
            .mark_bar(height=8, cornerRadius=4, opacity=0.35)
            .encode(x=x, x2=alt.X2(field="until"), y=y, color=colour)
            .transform_filter("isValid(datum.until)")
        )
    marks = (
        alt.Chart(rows_in)
        .mark_circle(size=95, stroke=c["halo"], strokeWidth=1, cursor="pointer")
        .encode(x=x, y=y, color=colour, tooltip=tip, opacity=bright, size=alt.condition(pick, alt.value(110), alt.value(70)))
    )
    parts.append(marks.add_params(pick))
    return dress(alt.layer(*parts), title, "", width, max(60, 34 * max(1, len(lanes))), dark)


def by_hour(
    frame: pl.DataFrame, *, time: str = "started_at", zone: str = "UTC", week_start: str = "Monday", title: str = "", width: int | str = 480, dark: bool = False
) -> Chart:
    """When in the week: how many rows fall into each hour of each weekday, on the agency's clock, as a heat table with totals in words.

    Raises:
        BadInput: there is no such time column, or ``week_start`` is not a weekday.
    """
    need(frame, time, what="the frame")
    if week_start.capitalize() not in DAYS:
        raise BadInput(f"{week_start!r} is not a weekday.{did_you_mean(week_start, DAYS)}")
    first = DAYS.index(week_start.capitalize())
    days = [*DAYS[first:], *DAYS[:first]]
    at = local(frame[time].drop_nulls(), zone)
    counts = pl.DataFrame({"hour": at.dt.hour().cast(pl.Int64), "day": at.dt.weekday().cast(pl.Int64)}).group_by("hour", "day").len("n")
    full = pl.DataFrame({"hour": list(range(24))}, schema={"hour": pl.Int64}).join(
        pl.DataFrame({"day": list(range(1, 8))}, schema={"day": pl.Int64}), how="cross"
    )
    rows = full.join(counts, on=["hour", "day"], how="left").with_columns(
        pl.col("n").fill_null(0), pl.col("day").replace_strict(dict(enumerate(DAYS, 1)), return_dtype=pl.String).alias("weekday")
    )
    c = theme.scheme(dark)
    most = max(rows["n"].to_list())
    heat = (
        alt.Chart(data(rows.select("hour", "weekday", "n")))
        .mark_rect(cornerRadius=2, stroke=c["panel"], strokeWidth=2)
        .encode(
            x=alt.X(
                field="hour",
                type="ordinal",
                title="Hour of day",
                axis=alt.Axis(labelAngle=0, labelExpr="datum.value % 3 == 0 ? datum.label : ''", domain=False, ticks=False),
            ),
            y=alt.Y(field="weekday", type="nominal", title=None, sort=days, axis=alt.Axis(domain=False, ticks=False, labelColor=c["ink"], labelPadding=8)),
            color=alt.Color(
                field="n",
                type="quantitative",
                title="Rows",
                scale=alt.Scale(domain=[0, max(1, most)], range=[c["page"], *theme.RISK[1:6]]),
                legend=alt.Legend(gradientThickness=8, tickCount=3),
            ),
            tooltip=[
                alt.Tooltip(field="weekday", type="nominal", title="Day"),
                alt.Tooltip(field="hour", type="ordinal", title="Hour"),
                alt.Tooltip(field="n", type="quantitative", title="Rows", format=","),
            ],
        )
    )
    return dress(heat, title, f"{len(at):,} with a time, {frame.height - len(at):,} without." if len(at) < frame.height else "", width, 168, dark)


def weekly(counts: pl.DataFrame, *, title: str = "", width: int | str = 560, height: int = 200, dark: bool = False) -> Chart:
    """Counts a week against what was expected; weeks outside the band stand out.

    Args:
        counts: frame (week, count[, expected, lower, upper]); ``week`` is the day or time a week starts.
        title: above the chart.
        width: pixels, or "container".
        height: pixels.
        dark: colours for a dark page.

    Raises:
        BadInput: a column is missing, or there is a band without an expectation.
    """
    need(counts, "week", "count", what="counts")
    band = {"lower", "upper"} <= set(counts.columns)
    expected = "expected" in counts.columns
    if band and not expected:
        raise BadInput("counts has 'lower' and 'upper' but no 'expected'; give the expectation too.")
    unusual = (
        pl.when(pl.col("count") > pl.col("upper"))
        .then(pl.lit("above"))
        .when(pl.col("count") < pl.col("lower"))
        .then(pl.lit("below"))
        .otherwise(pl.lit("usual"))
        if band
        else pl.lit("usual")
    )
    rows_in, c = (
        data(
            counts.sort("week")
            .with_columns(unusual.alias("is"))
            .select("week", "count", "is", *(["expected"] if expected else []), *(["lower", "upper"] if band else []))
        ),
        theme.scheme(dark),
    )
    x = alt.X(field="week", type="temporal", title=None, axis=alt.Axis(format="%d %b %Y", labelOverlap=True, tickCount=6))
    shown = [c for c in ("count", "expected", "upper") if c in counts.columns]
    top: float = counts.select(pl.max_horizontal(pl.col(shown).cast(pl.Float64).max())).item() or 0.0 if counts.height else 0.0
    whole = alt.Axis(values=list(range(int(top) + 2)), format="d") if top <= 4 else alt.Axis()
    y = alt.Y(field="count", type="quantitative", title="A week", scale=alt.Scale(zero=True), axis=whole)
    parts: list[Any] = []
    if band:
        parts.append(
            alt.Chart(rows_in).mark_area(color=c["faint"], opacity=0.22).encode(x=x, y=alt.Y(field="lower", type="quantitative"), y2=alt.Y2(field="upper"))
        )
    if expected:
        parts.append(
            alt.Chart(rows_in).mark_line(color=c["muted"], strokeDash=[5, 4], strokeWidth=1.3).encode(x=x, y=alt.Y(field="expected", type="quantitative"))
        )
    parts.append(alt.Chart(rows_in).mark_line(color=c["accent"]).encode(x=x, y=y))
    fill = alt.Color(field="is", type="nominal", legend=None, scale=alt.Scale(domain=["above", "usual", "below"], range=[theme.BAD, c["accent"], theme.GOOD]))
    tip = [
        alt.Tooltip(field="week", type="temporal", title="Week from", format="%Y-%m-%d"),
        alt.Tooltip(field="count", type="quantitative", title="Count", format=","),
        *([alt.Tooltip(field="expected", type="quantitative", title="Expected", format=".1f")] if expected else []),
    ]
    parts.append(alt.Chart(rows_in).mark_circle(size=48, opacity=1).encode(x=x, y=y, color=fill, tooltip=tip))
    note = "Dashed: expected." + (" Band: usual range; red above it, green below it." if band else "") if expected else ""
    return dress(alt.layer(*parts), title, note, width, height, dark)


def against(counts: pl.DataFrame, *, title: str = "", width: int | str = 460, dark: bool = False) -> Chart:
    """What happened against what was expected, a row a label: the bar is the count, the tick the expectation, the pale band its usual range.

    ``counts``: frame (label, count, expected[, lower, upper]), drawn in its own order.

    Raises:
        BadInput: a column is missing.
    """
    need(counts, "label", "count", "expected", what="counts")
    band, c = {"lower", "upper"} <= set(counts.columns), theme.scheme(dark)
    unusual = (
        pl.when(pl.col("count") > pl.col("upper"))
        .then(pl.lit("above"))
        .when(pl.col("count") < pl.col("lower"))
        .then(pl.lit("below"))
        .otherwise(pl.lit("usual"))
        if band
        else pl.lit("usual")
    )
    rows_in = data(counts.with_columns(unusual.alias("is")).select("label", "count", "expected", "is", *(["lower", "upper"] if band else [])))
    y = alt.Y(
        field="label",
        type="nominal",
        title=None,
        sort=counts["label"].to_list(),
        axis=alt.Axis(domain=False, ticks=False, labelColor=c["ink"], labelFontSize=12, labelLimit=180, labelPadding=8),
    )
    parts: list[Any] = []
    if band:
        parts.append(
            alt.Chart(rows_in)
            .mark_bar(size=20, color=c["faint"], opacity=0.25, cornerRadius=2)
            .encode(y=y, x=alt.X(field="lower", type="quantitative"), x2=alt.X2(field="upper"))
        )
    fill = alt.Color(field="is", type="nominal", legend=None, scale=alt.Scale(domain=["above", "usual", "below"], range=[theme.BAD, c["accent"], theme.GOOD]))
    x = alt.X(field="count", type="quantitative", title=None, axis=alt.Axis(grid=True, domain=False, ticks=False))
    parts.append(
        alt.Chart(rows_in)
        .mark_bar(size=9, cornerRadiusEnd=2)
        .encode(
            y=y,
            x=x,
            color=fill,
            tooltip=[
                alt.Tooltip(field="label", type="nominal", title="What"),
                alt.Tooltip(field="count", type="quantitative", title="Count", format=","),
                alt.Tooltip(field="expected", type="quantitative", title="Expected", format=".1f"),
            ],
        )
    )
    parts.append(alt.Chart(rows_in).mark_tick(thickness=2, size=20, color=c["ink"]).encode(y=y, x=alt.X(field="expected", type="quantitative")))
    return dress(alt.layer(*parts), title, "Tick: expected." + (" Band: usual range." if band else ""), width, max(40, 30 * counts.height), dark)


def _models(models: list[str]) -> Any:
    return alt.Color(
        field="model",
        type="nominal",
        title=None,
        scale=alt.Scale(domain=models, range=[theme.SERIES[i % len(theme.SERIES)] for i in range(len(models))]),
        legend=alt.Legend(orient="top", offset=4, symbolOpacity=1),
    )


def _scores(scores: pl.DataFrame, measure: str) -> pl.DataFrame:
    need(scores, "model", "origin", "share", "measure", "value", what="scores")
    known = scores["measure"].unique().to_list()
    if measure not in known:
        raise BadInput(f"There is no measure {measure!r} among the scores.{did_you_mean(measure, known)}")
    rows = scores.filter((pl.col("measure") == measure) & pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    if rows.is_empty():
        raise BadInput(f"No score of {measure!r} has a value; the back-test had no incidents to be judged by.")
    return rows


def _mean(values: pl.Series) -> float:
    return float(values.mean() or 0.0)  # type: ignore[arg-type]

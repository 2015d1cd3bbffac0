"""What the daily briefing says: the questions it asks of the models, put as blocks.

The template names each step; what a step needs of code stands here, so that an agency's own briefing can take single steps from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import polars as pl

from workbench.briefings import blocks
from workbench.briefings.blocks import Block
from workbench.errors import AccessRefused, CannotTell
from workbench.geo import Grid, Polygon
from workbench.layers import Lines, Points
from workbench.models.links import case as links_case
from workbench.models.patterns import expected
from workbench.results import Basis, Matrix, Ranking, Result, Surface, code_version
from workbench.session import Workbench

T = TypeVar("T", bound=Result)
#: What a command staff is told first: plates near scenes beyond chance, then suspects and vehicles used; victims and witnesses last.
_TELLING = {"read near": 0, "suspect": 1, "arrestee": 1, "used": 1, "stolen": 1, "victim": 3, "witness": 3, "reporting party": 3, "contact": 3}
#: Who came to harm or helped is not named on a page that is handed round.
_UNPRINTED = [kind for kind, rank in _TELLING.items() if rank == 3]
_SERIOUS = ("homicide", "rape", "robbery", "aggravated assault", "weapons", "arson", "burglary", "vehicle theft")


def ask(question: Callable[..., T], *given: Any, **options: Any) -> T | Result:
    """A model's answer, or, where the data do not allow one, a Result whose headline says so: one empty answer must not stop a briefing."""
    try:
        return question(*given, **options)
    except CannotTell as reason:
        asked = getattr(question, "func", question)  # a functools.partial is the function it holds
        basis = Basis(method=f"{asked.__module__.rpartition('.')[2]}.{asked.__name__}", code=code_version(), notes=(str(reason),))
        return Result(headline=f"Cannot tell: {reason}", table=pl.DataFrame(), layers=(), basis=basis)


def incidents(city: Workbench, area: str, until: datetime, *, weeks: int, offence: str | None = None) -> pl.DataFrame:
    """The incidents a comparison over ``weeks`` rests on, in an area ("all", a district or a beat by name), of one offence group or of all.

    Raises:
        NotFound: no such area or offence group.
    """
    start = until - timedelta(weeks=weeks + 8)  # a 28-day span needs four weeks more, and the first rows of a small area may lie later
    if whole(city, area):
        return city.incidents(start, until, offence=offence)
    if not city.agency.beats and area in city.beats():
        return city.incidents(start, until, offence=offence, beat=area)
    return city.incidents(start, until, offence=offence, area=area)


def whole(city: Workbench, area: str) -> bool:
    """Whether an area parameter means everything."""
    return area.strip().lower() in ("", "all", "city", "study area")


def grid(city: Workbench, area: str, cell: float) -> Grid:
    """The forecast's grid: over the area where it has a boundary, else over everything."""
    bounded = not whole(city, area) and (city.agency.beats or city.agency.districts)
    return city.grid(cell, area) if bounded else city.grid(cell)


def masthead(city: Workbench, *, area: str, until: datetime, handling: str, run_id: str, title: str = "Daily briefing") -> Block:
    """Agency, area and period; produced at, how far each feed reaches, run id."""
    tz = city.agency.tz
    end = until.astimezone(tz)
    shown = end - timedelta(days=1) if end.hour == end.minute == 0 else end
    period = f"{shown:%A} {shown.day} {shown:%B %Y}" + ("" if shown is not end else f", to {end:%H:%M}")
    held = city.holdings()
    facts = {"Produced": f"{datetime.now(tz):%Y-%m-%d %H:%M}", "By": city.user}
    for name, title_ in (("incidents", "Incidents to"), ("calls", "Calls to"), ("reads", "Reads to")):
        latest = held.filter(pl.col("table") == name)["latest"].to_list()
        if latest and latest[0]:
            facts[title_] = f"{min(latest[0], until).astimezone(tz):%Y-%m-%d %H:%M}"
    facts["Run"] = run_id
    name = "Whole city" if whole(city, area) else area if area in city.agency.districts else f"Beat {area}"
    return blocks.masthead(title, agency=city.agency.name, area=name, period=period, handling=handling, facts=facts)


def bottom_line(counted: Result, by_beat: Result, risk: Result, score: Result, links: Result, *, offence: str) -> Block:
    """Three sentences: what stands out, where to look and how good that forecast was, what is new on open cases."""
    beats = _flagged(by_beat)
    local = "" if beats.is_empty() else f" By beat: {expected.sentence(beats.row(0, named=True), 'beat')}"
    where = f"{_capital(offence)}: {risk.headline[:1].lower() + risk.headline[1:] if isinstance(risk, Surface) else risk.headline}"
    tested = _tested(score)
    caution = "" if links.table.is_empty() else " Every link is an unverified lead."
    return blocks.bottom_line(counted.headline + local, f"{where} {tested}".strip(), f"{links.headline}{caution}")


def _flagged(by_beat: Result) -> pl.DataFrame:
    table = by_beat.table
    return table.filter(pl.col("flag").is_in(["above", "below"])).sort("q", "p", "beat", "offence") if "flag" in table.columns else table


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tested(score: Result, share: float = 0.02) -> str:
    """The back-test in one clause, for the share of area that the forecast's own sentence names."""
    if not isinstance(score, Matrix):
        return ""
    row = score.table.filter(pl.col("measure") == "hit_rate", (pl.col("share") - share).abs() < 1e-9).sort("overall", descending=True)
    if row.is_empty() or row["overall"][0] is None:
        return ""
    best = row.row(0, named=True)
    known = best["lower"] is not None and best["lower"] == best["lower"]
    within = f" (90 % interval {100 * best['lower']:.0f} to {100 * best['upper']:.0f} %)" if known else ""
    return f"The last {best['folds']} such forecasts held {100 * best['overall']:.0f} %{within} in {100 * share:.0f} % of the area."


def cards(counted: Result, incidents: pl.DataFrame, city: Workbench, until: datetime, *, weeks: int, window: str = "7d") -> Block:
    """A card an offence group: the latest week against the weeks before, the last 24 hours and 28 days beneath."""
    if counted.table.is_empty():
        return blocks.note(counted.headline, tone="warn")
    before = expected.history(incidents, until, groups=city.agency.offence_groups, zone=city.agency.zone, span=window, weeks=weeks)
    bars = dict(before.select("offence", "before").iter_rows())
    items = []
    for row in counted.table.filter(pl.col("window") == window).iter_rows(named=True):
        others = counted.table.filter(pl.col("offence") == row["offence"], pl.col("window") != window).iter_rows(named=True)
        more = [[o["window"].replace("h", " h").replace("d", " d"), _beside(o)] for o in others]
        items.append({**row, "label": _capital(row["offence"]), "unit": f"in {window[:-1]} days", "before": bars.get(row["offence"]), "more": more})
    order = {name: i for i, name in enumerate(city.agency.offence_groups)}
    items.sort(key=lambda c: (c["flag"] not in ("above", "below"), order.get(c["offence"], 99)))
    caption = (f"Latest 7 days (dark bar) beside each of the {weeks} weeks before; the band is where 95 of 100 such weeks would fall. "
               "Beneath: counted / expected. A percent is grey where fewer than 10 were expected.")
    return blocks.cards(items, caption=caption)


def _beside(row: Mapping[str, Any]) -> str:
    mark = {"above": " ▲", "below": " ▼"}.get(row["flag"], "")
    if row["expected"] is None:
        return f"{row['count']:,}{mark}"
    return f"{row['count']:,}{mark} / {row['expected']:,.{0 if row['expected'] >= 100 else 1}f}"


def exceptions(by_beat: Result) -> Block:
    """Beat by offence: those outside what was to be expected; nothing flagged is said."""
    table, found = by_beat.table, _flagged(by_beat)
    tried = table.filter(pl.col("q").is_not_null()).height if "q" in table.columns else 0
    empty = (f"Nothing is flagged: none of {tried:,} comparisons of a beat and an offence lies outside what its weeks before lead one to expect."
             if tried else f"Beats cannot be compared. {by_beat.headline}")
    caption = f"Exceptions by beat, latest 7 days ({tried:,} comparisons, 1 in 20 of those flagged may be chance)"
    if found.is_empty():
        return blocks.table(pl.DataFrame({"beat": []}), {"beat": "Beat"}, caption="Exceptions by beat, latest 7 days", empty=empty)
    shown = found.with_columns(pl.col("offence").map_elements(_capital, return_dtype=pl.String), range=pl.format("{} to {}", "low", "high"))
    columns = {"beat": "Beat", "offence": "Offence", "flag": "Is", "count": "Count", "expected": "Expected", "range": "95 % range",
               "change": "Change %", "z": "z", "q": "q"}
    return blocks.table(shown, columns, caption=caption, places={"change": 0, "q": 3}, muted={"change": "small_base"}, rows=10)


def latest(incidents: pl.DataFrame, city: Workbench, until: datetime, *, hours: int = 24, rows: int = 5) -> Block:
    """The gravest incidents known of the last hours: time, offence, place, beat, report number."""
    groups = [g for g in (*_SERIOUS, *city.agency.offence_groups) if g in city.agency.offence_groups]
    rank = {g: i for i, g in reversed(list(enumerate(groups)))}
    told = pl.coalesce("reported_at", "started_at")
    window = incidents.filter(told >= until - timedelta(hours=hours), told < until).with_columns(
        rank=pl.col("offence_group").replace_strict(rank, default=len(groups), return_dtype=pl.Int64),
        what=pl.coalesce("offence_detail", "offence").str.to_titlecase(), group=pl.col("offence_group").map_elements(_capital, return_dtype=pl.String))
    shown = window.sort("rank", "started_at", descending=[False, True])
    columns = {"started_at": "Started", "group": "Offence", "what": "As recorded", "address": "Place", "beat": "Beat", "report_number": "Report"}
    late = ("These records do not say when an incident was reported." if incidents["reported_at"].null_count() == incidents.height else
            "Each span before counts only what had been reported by its own end.")
    return blocks.table(shown, columns, caption=f"Reported in the last {hours} hours, gravest first", zone=city.agency.zone, rows=rows,
                        more=f"The latest counts still grow as late reports come in. {late}",
                        empty=f"No incident was reported in the {hours} hours before {until.astimezone(city.agency.tz):%Y-%m-%d %H:%M}.")


def where(risk: Result, score: Result, past: pl.DataFrame, city: Workbench, *, offence: str, places: int = 8, apart: float = 500.0) -> Block:
    """The forecast drawn over streets and beats, the places to look at with expected counts and intervals, and the back-test beneath."""
    if not isinstance(risk, Surface):
        return blocks.note(risk.headline, tone="warn")
    top = highest(risk, places=places, apart=apart)
    marks = Points("Places listed", top["lon"].to_numpy(), top["lat"].to_numpy(), ids=tuple(str(n) for n in top["number"].to_list()),
                   numbers=tuple(top["number"].to_list()), kind="place")
    days = round(risk.horizon / timedelta(days=1))
    drawn = blocks.drawing(replace(risk, layers=(*risk.layers, marks)).drawing(width=520),
                           caption=f"Expected {offence} in {days} days over the beats; the cells outlined are the area named in the bottom line.")
    bounds = [pl.col(c).cast(pl.Int64) for c in ("lower", "upper")]
    listed = top.with_columns(place=pl.Series(places_named(city, top, past, risk.grid), dtype=pl.String), range=pl.format("{} to {}", *bounds))
    table = blocks.table(listed, {"number": "No.", "place": "Place", "expected": "Expected", "range": "90 %"}, places={"expected": 2}, rows=places)
    words = blocks.note(f"Expected in {days} days in one cell of {risk.grid.cell:g} m; places at least {apart:g} m apart.")
    tone = "plain" if isinstance(score, Matrix) else "warn"
    return blocks.beside(drawn, [table, words, blocks.note(f"Back-test. {score.headline}", tone=tone)])


def highest(risk: Surface, *, places: int = 8, apart: float = 500.0) -> pl.DataFrame:
    """The cells with the highest expectation that lie at least ``apart`` metres from each other: number, cell, lon, lat, expected, lower, upper."""
    x, y = risk.grid.centres_metres()
    chosen: list[int] = []
    for cell in risk.top(1.0).tolist():
        if len(chosen) == places or risk.expected[cell] <= 0:
            break
        if all(np.hypot(x[cell] - x[c], y[cell] - y[c]) >= apart for c in chosen):
            chosen.append(cell)
    lon, lat = risk.grid.plane.to_degrees(x[chosen], y[chosen])
    none = np.full(len(risk.expected), np.nan)
    lower, upper = (none if v is None else v for v in (risk.lower, risk.upper))
    return pl.DataFrame({"number": np.arange(1, len(chosen) + 1), "cell": chosen, "lon": lon, "lat": lat, "expected": risk.expected[chosen],
                         "lower": lower[chosen], "upper": upper[chosen]})


def places_named(city: Workbench, cells: pl.DataFrame, past: pl.DataFrame, grid: Grid) -> list[str]:
    """A name for each cell: its nearest one or two streets on the map, else the address its incidents name most often, else its position; and the beat."""
    lines = [layer for layer in city.base() if isinstance(layer, Lines) and layer.role in ("street", "bridge") and layer.tips]
    named = [(path, tip) for layer in lines for path, tip in zip(layer.paths, layer.tips, strict=True) if tip]
    at = pl.Series("cell", grid.locate(past))
    common = past.select("address").with_columns(at).filter(pl.col("address").is_not_null(), pl.col("cell").is_in(cells["cell"].to_list()))
    ranked = common.group_by("cell", "address").len().sort("len", "address", descending=[True, False])
    addresses = dict(ranked.unique("cell", keep="first").select("cell", "address").iter_rows())
    out = []
    for cell, lon, lat in cells.select("cell", "lon", "lat").iter_rows():
        near = " / ".join(_nearest(named, lon, lat)) or str(addresses.get(cell, f"{lat:.4f}, {lon:.4f}"))
        beat = next((name for name, area in city.agency.beats.items() if _inside(area, lon, lat)), "")
        out.append(f"{near}, beat {beat}" if beat else near)
    return out


def _inside(area: Polygon, lon: float, lat: float) -> bool:
    west, south, east, north = area.bounds
    return west <= lon <= east and south <= lat <= north and bool(area.contains([lon], [lat])[0])


def _nearest(named: list[tuple[np.ndarray[Any, Any], str]], lon: float, lat: float) -> list[str]:
    scale = np.array([np.cos(np.radians(lat)), 1.0])
    best: dict[str, float] = {}
    for path, tip in named:
        points = (path - (lon, lat)) * scale
        along, start = np.diff(points, axis=0), points[:-1]
        share = np.clip(-(start * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-18), 0, 1)
        best[tip] = min(best.get(tip, np.inf), float(np.hypot(*(start + share[:, None] * along).T).min()))
    return sorted(best, key=lambda t: (best[t], t))[:2]


def new_links(city: Workbench, until: datetime, *, days: int, case: str | None = None) -> Result:
    """What is new on open cases, each looked into under its own purpose and reason, as the casebook has them; every access is audited.

    Args:
        days: evidence not older than this before ``until`` counts as new.
        case: only this case.

    Raises:
        NotFound: no such case.
    """
    if not city.may("cases"):
        return _none(f"Open cases are not looked into: the role {city.role} does not work on cases.")
    book = city.casebook
    wanted = pl.DataFrame([book.case(case)]) if case else book.cases("open")
    answers: list[Ranking] = []
    refused: dict[str, list[str]] = {}
    for row in wanted.iter_rows(named=True):
        subjects = book.subjects(row["case_number"])["entity"].to_list()
        if not subjects:
            continue
        own = row["case_number"] == city.case
        purpose, reason = (city.purpose, city.reason) if own else (row["purpose"], row["reason"])
        try:
            bound = city.bind(case=row["case_number"], purpose=purpose or "investigation", reason=reason)
            facts = bound.facts(reads_since=until - timedelta(days=days + 28))
        except AccessRefused as no:  # one case that may not be looked into must not stop a briefing; the audit has the refusal, the page says it
            refused.setdefault(str(no), []).append(row["case_number"])
            continue
        answers.append(links_case.new_links(facts, {row["case_number"]: subjects}, until - timedelta(days=days), asof=until))
    unseen = tuple(f"Not looked into: {', '.join(cases)}. {sentence}" for sentence, cases in refused.items())
    if not answers:
        return _none(" ".join(unseen) or "There is no open case with a subject, so no new link was looked for.")
    found = _together(answers, days)
    return replace(found, headline=" ".join((found.headline, *unseen)), basis=replace(found.basis, notes=(*found.basis.notes, *unseen)))


def _none(sentence: str) -> Result:
    return Result(headline=sentence, table=pl.DataFrame(), layers=(), basis=Basis(method="no open case"))


def _together(answers: list[Ranking], days: int) -> Result:
    """The answers of several cases as one."""
    tables = [a.table for a in answers if not a.table.is_empty()]
    cases = f"{len(answers)} open case{'s' if len(answers) > 1 else ''}"
    basis = answers[0].basis
    parameters = {**basis.parameters, "cases": [c for a in answers for c in a.basis.parameters["cases"]]}
    basis = replace(basis, parameters=parameters, rows=sum(a.basis.rows for a in answers),
                    used=sum(a.basis.used for a in answers), data=", ".join(dict.fromkeys(a.basis.data for a in answers)),
                    notes=tuple(dict.fromkeys(n for a in answers for n in a.basis.notes)))
    if not tables:
        return Result(headline=f"No new link on {cases} in the last {days} days.", table=pl.DataFrame(), layers=(), basis=basis)
    rank = pl.col("kind").replace_strict(_TELLING, default=2, return_dtype=pl.Int64)
    table = pl.concat(tables).with_columns(_rank=rank).sort("_rank", -pl.col("weight"), "at", "source", "target", maintain_order=True).drop("_rank")
    best = table.filter(~pl.col("kind").is_in(_UNPRINTED)).head(1).to_dicts()
    strongest = "" if not best else (f"; strongest ({best[0]['case_number']}): {best[0]['text'].rstrip('.')}"
                                     + (f" ({best[0]['base_rate']})" if best[0]["base_rate"] else ""))
    links = f"{table.height} links" if table.height > 1 else "1 link"
    headline = f"{links} on {len(tables)} of {cases} from evidence of the last {days} days{strongest}."
    return Result(headline=headline, table=table, layers=(), basis=basis)


def leads(found: Result, city: Workbench, *, days: int, each: int = 3) -> Block:
    """The new links a case, the most telling first, each with what chance would give; victims and witnesses are not named."""
    empty = f"No new link on open cases in the last {days} days."
    if found.table.is_empty():
        return blocks.leads([], empty=found.headline or empty)
    titles = dict(city.casebook.cases().select("case_number", "title").iter_rows())
    items = []
    for number in found.table["case_number"].unique(maintain_order=True).to_list():
        every = found.table.filter(pl.col("case_number") == number)
        rows = every.filter(~pl.col("kind").is_in(_UNPRINTED))
        # passages of one plate near several scenes are one lead: the latest is told, the others are counted
        thing = pl.when(kind="read near").then("source").otherwise(pl.concat_str("source", "target"))
        grouped = rows.group_by(thing.alias("thing"), maintain_order=True).agg(pl.all().sort_by("at").last(), pl.len().alias("times"))
        lines = [{"text": f"{_capital(r['new'])}, {r['at'].astimezone(city.agency.tz):%a %d %b %H:%M}: {_capital(r['text']).rstrip('.')}"
                          + (f", and {r['times'] - 1} other scene{'s' if r['times'] > 2 else ''}." if r["times"] > 1 else "."),
                  "rate": _capital(r["base_rate"] or "no base rate is known")} for r in grouped.head(each).iter_rows(named=True)]
        left, unprinted = grouped.height - len(lines), every.height - rows.height
        parts = [f"{left} weaker" if left else "", f"{unprinted} of victims, witnesses or callers" if unprinted else ""]
        more = f"Not printed, but in the notebook of this run: {' and '.join(p for p in parts if p)}." if left or unprinted else ""
        items.append({"case": number, "title": titles.get(number, ""), "lines": lines, "note": more})
    return blocks.leads(items, empty=empty)


def staleness(incidents: pl.DataFrame, city: Workbench, until: datetime) -> Block | None:
    """A warning when there is no incident or the newest lies well before ``until``; nothing otherwise."""
    newest = incidents["started_at"].max()
    if not isinstance(newest, datetime):
        return blocks.note("There is no incident in this area and period.", tone="warn")
    late = until - newest
    if late > timedelta(days=2):
        return blocks.note(f"The newest incident is of {newest.astimezone(city.agency.tz):%Y-%m-%d %H:%M}, {late.days} days before this briefing's time: "
                           "the latest counts are not complete and must not be read as a fall.", tone="warn")
    return None


def week(when: Result, *, offence: str) -> Block:
    """The heat clock, or the sentence that says why there is none."""
    if when.table.is_empty():
        return blocks.note(when.headline, tone="warn")
    return blocks.clock(when, caption=f"{_capital(offence)} by day of the week and hour, {when.basis.used:,} incidents; darker = more.")

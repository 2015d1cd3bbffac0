"""How good are the forecasts? Real incidents of two cities, everything chosen on earlier years, scored over the last: ``python -m benchmarks.accuracy``.

Needs Chicago 2013-2017 and St. Louis 2015-2018 in the folder that $WORKBENCH_REAL_DATA names (default: shared/data beside the checkout; see
docs/choosing.md). Loaded and prepared tables go to a temporary folder and stay out of the project; the page is benchmarks/ACCURACY.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench import loaders
from workbench.errors import CannotTell
from workbench.geo import Grid, Polygon
from workbench.geo.join import locate
from workbench.lake import Lake
from workbench.models.hotspots import areas, backtest, choose, counts, nij

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("ACCURACY.md")
DATA = Path(os.environ.get("WORKBENCH_REAL_DATA") or ROOT.parent / "shared" / "data")
CITIES = {"Chicago": ("chicago_crimes", 2017, "chicago/community_areas.geojson"),
          "St. Louis": ("st_louis_incidents", 2018, "stlouis/stl_boundary_wgs84.geojson")}
MAPS = {"Chicago": ("chicago/police_beats_dec2012.geojson", "BEAT_NUM"), "St. Louis": ("stlouis/stl_neighborhoods.geojson", "neighborhood_id")}
OFFENCES = ("burglary", "robbery", "vehicle theft", "assault with firearm")
SINGLE = ("counts", "kde", "long_run", "promap", "lagged", "self_exciting", "fourier")
DATES = ["03-01", "07-01"]
SHARES, CELL, DRAWS, BLOCK = (0.01, 0.02, 0.05), 250.0, 4000, 4


def files(city: str) -> list[Path]:
    """The files of a city, oldest first."""
    if city == "Chicago":
        return [*sorted((DATA / "chicago").glob("chicago_crimes_*.parquet")), DATA / "chicago" / "Crimes_-_2017.csv.gz"]
    return sorted((DATA / "stlouis" / "raw").glob("*/*.csv*"))


def incidents(city: str, folder: Path) -> pl.DataFrame:
    """Incidents of a city with their offence group, through the project's loader; kept in ``folder``."""
    kept = folder / f"{city}.parquet"
    if not kept.exists():
        lake = Lake(folder / f"{city}-lake")
        for file in files(city):
            lake.load(loaders.find(CITIES[city][0]), file)
        gun = pl.col("weapon") == "FIREARM" if city == "St. Louis" else pl.col("offence_detail").str.contains("GUN|FIREARM")
        group = (pl.when(pl.col("nibrs") == "220").then(pl.lit("burglary")).when(pl.col("nibrs") == "120").then(pl.lit("robbery"))
                 .when(pl.col("nibrs") == "240").then(pl.lit("vehicle theft")).when((pl.col("nibrs") == "13A") & gun).then(pl.lit("assault with firearm")))
        frame = lake.frame("incidents").filter(~pl.col("unfounded").fill_null(False)).with_columns(category=group.fill_null("other"))
        part = kept.with_suffix(".part")
        frame.select("started_at", "ended_at", "reported_at", "lon", "lat", "category").write_parquet(part)
        part.replace(kept)
    return pl.read_parquet(kept)


def area(city: str) -> Polygon:
    """The study area: the union of the city's own boundary files."""
    features = json.loads((DATA / CITIES[city][2]).read_text(encoding="utf-8"))["features"]
    return Polygon(tuple(r for f in features for r in Polygon.from_geojson(f["geometry"]).rings), city)


def weekly(folder: Path, only: Iterable[str]) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """PAI of every model at weekly origins of the last year, and what was offered for each set on the eve of that year."""
    made, offered = [], []
    for city, (_, year, _) in CITIES.items():
        frame, grid = incidents(city, folder), Grid.over(area(city), cell=CELL)
        start = datetime(year, 1, 1, tzinfo=UTC)
        for offence in OFFENCES:
            rows = frame.filter(pl.col("category") == offence)
            kept = folder / f"weekly-{city}-{offence}.parquet"
            choice = choose.best(rows, grid, start)
            offered.append({"city": city, "offence": offence, "model": choice.name, "sentence": choice.sentence})
            if not kept.exists():
                began = time.process_time()
                single = {n: importlib.import_module(f"workbench.models.hotspots.{n}").surface for n in only}
                models: dict[str, Callable[..., Any]] = {"default": choice.surface, **single}
                made_now = backtest.rolling(rows, grid, models, start=start, end=start + timedelta(days=364), shares=SHARES, draws=200, reference="default")
                about = {"city": pl.lit(city), "offence": pl.lit(offence), "cells": pl.lit(grid.n_inside), "km2": pl.lit(grid.area_km2)}
                made_now.scores.with_columns(**about).write_parquet(kept)
                print(f"{city}, {offence}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
            made.append(pl.read_parquet(kept))
    return pl.concat(made, how="vertical_relaxed"), offered


def challenges(folder: Path, dates: Iterable[str]) -> pl.DataFrame:
    """The NIJ mode at dates of the last year, month and day given."""
    made = []
    for city, (_, year, _) in CITIES.items():
        events = incidents(city, folder).with_columns(date=pl.col("started_at").dt.convert_time_zone("America/Chicago").dt.date())
        for day in dates:
            kept = folder / f"nij-{city}-{day}.parquet"
            if not kept.exists():
                began = time.process_time()
                table = nij.challenge(events, f"{year}-{day}", area=area(city), categories=OFFENCES, x="lon", y="lat", time="date", category="category").table
                table.with_columns(city=pl.lit(city), asof=pl.lit(f"{year}-{day}")).write_parquet(kept)
                print(f"NIJ {city} {day}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
            made.append(pl.read_parquet(kept))
    return pl.concat(made, how="vertical_relaxed")


def covered(folder: Path) -> pl.DataFrame:
    """Every second week of the last year: what came in each beat (St. Louis: neighbourhood), all offences, beside its 90 % interval."""
    made = []
    for city, (file, name) in MAPS.items():
        kept = folder / f"areas-{city}.parquet"
        if not kept.exists():
            began = time.process_time()
            frame, grid = incidents(city, folder), Grid.over(area(city), cell=CELL)
            features = [f for f in json.loads((DATA / file).read_text(encoding="utf-8"))["features"] if f["geometry"]]
            names = [str(f["properties"][name]) for f in features]
            label = np.where(grid.inside, locate([Polygon.from_geojson(f["geometry"]) for f in features], *grid.centres()), -1)
            labels = [names[i] if i >= 0 else None for i in label]
            model = partial(counts.surface, half_life="90d", window="1095d")
            rows = []
            for week in range(0, 52, 2):
                origin = datetime(CITIES[city][1], 1, 1, tzinfo=UTC) + timedelta(weeks=week)
                past = frame.filter(pl.col("started_at") < origin)
                cell = grid.locate(frame.filter(pl.col("started_at") >= origin, pl.col("started_at") < origin + timedelta(days=7)))
                came = dict(enumerate(np.bincount(label[cell[cell >= 0]][label[cell[cell >= 0]] >= 0], minlength=len(names))))
                table = areas.expected(model(past, grid, origin), labels, past, model=model).table
                at = {n: i for i, n in enumerate(names)}
                rows.append(table.select("area", "expected", "lower", "upper").with_columns(
                    city=pl.lit(city), came=pl.Series([int(came[at[a]]) for a in table["area"].to_list()])))
            pl.concat(rows).write_parquet(kept)
            print(f"Areas of {city}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
        made.append(pl.read_parquet(kept))
    return pl.concat(made, how="vertical_relaxed")


def compared(scores: pl.DataFrame) -> pl.DataFrame:
    """Mean PAI over sets and weeks by share and model, and default minus each with a paired 95 % interval: blocks of weeks drawn, all sets together."""
    pai = scores.filter(pl.col("measure") == "pai").with_columns(week=pl.col("origin").rank("dense").over("city"))
    rng, rows = np.random.default_rng(0), []
    for share in SHARES:
        part = pai.filter((pl.col("share") - share).abs() < 1e-9)
        names = part["model"].unique().sort().to_list()
        sets = part.select("city", "offence").unique(maintain_order=True)
        cube = np.full((len(names), len(sets), int(part["week"].max())), np.nan)  # type: ignore[arg-type]
        where = {(c, o): i for i, (c, o) in enumerate(sets.iter_rows())}
        for model, city, offence, week, value in part.select("model", "city", "offence", "week", "value").iter_rows():
            cube[names.index(model), where[city, offence], int(week) - 1] = np.nan if value is None else value
        weeks = cube.shape[2]
        drawn = ((rng.integers(0, weeks, (DRAWS, math.ceil(weeks / BLOCK)))[:, :, None] + np.arange(BLOCK)) % weeks).reshape(DRAWS, -1)[:, :weeks]
        mean = np.nanmean(cube, axis=(1, 2))
        gap = np.nanmean(cube[names.index("default")][None] - cube, axis=1)
        for m, name in enumerate(names):
            low, high = np.nanquantile(np.nanmean(gap[m][drawn], axis=1), [0.025, 0.975])
            rows.append((share, name, float(mean[m]), float(mean[names.index("default")] - mean[m]), float(low), float(high)))
    return pl.DataFrame(rows, schema=["share", "model", "pai", "ahead", "low", "high"], orient="row")


def page(scores: pl.DataFrame, offered: list[dict[str, Any]], tests: pl.DataFrame, held: pl.DataFrame, took: float, asked: str = "") -> str:
    """The report in Markdown."""
    every = compared(scores)
    lines = ["# How good are the forecasts?", "",
             f"Written by `python -m benchmarks.accuracy{asked}`; not edited by hand. Settings and starting values were fixed on Chicago 2013-2016 and St. "
             "Louis 2015-2017; the last year of each was forecast and scored, never used to choose.", "",
             f"CPU time: {took:.0f} s (kept tables are used again).", "",
             "## Weekly forecasts of the last year", "",
             f"52 weekly origins a set, seven days ahead, square cells of {CELL:g} m. *default* is what `choose` offered on the eve of the year. PAI is the "
             "mean over weeks and sets; *ahead* is default minus the model with a paired 95 % interval (blocks of four weeks drawn, the same for every set and "
             "model).", ""]
    for share in SHARES:
        lines += [f"### {share:.0%} of the area", "", "| model | mean PAI | default ahead by | 95 % interval |", "|---|---|---|---|"]
        for r in every.filter(pl.col("share") == share).sort("pai", descending=True).to_dicts():
            ahead = " | |" if r["model"] == "default" else f" {r['ahead']:+.3f} | {r['low']:+.3f} to {r['high']:+.3f} |"
            lines.append(f"| {r['model']} | {r['pai']:.3f} |{ahead}")
        lines += [""]
    lines += [*_by_set(scores), "", "### What was offered", "", *(f"- {o['city']}, {o['offence']}: {o['sentence']}" for o in offered), ""]
    return "\n".join([*lines, *_by_area(held), *_by_rules(tests), "", *verdict(every, held, tests), ""])


def _by_set(scores: pl.DataFrame) -> list[str]:
    lines = ["### By set", "", "| city | offence | cells | km2 | incidents | share | default | counts | kde |", "|---|---|---|---|---|---|---|---|---|"]
    keys = ["city", "offence", "cells", "km2", "share"]
    pai = scores.filter(pl.col("measure") == "pai", pl.col("model").is_in(["default", "counts", "kde"]))
    wide = pai.group_by(*keys, "model").agg(pl.col("value").mean()).pivot("model", index=keys, values="value")
    came = pai.filter(pl.col("model") == "default").group_by(*keys).agg(pl.col("n").sum())
    for r in wide.join(came, on=keys).sort(keys).to_dicts():
        lines.append(f"| {r['city']} | {r['offence']} | {r['cells']:,} | {r['km2']:.0f} | {r['n']:,} | {r['share']:.0%} | {r['default']:.2f} | "
                     f"{r['counts']:.2f} | {r['kde']:.2f} |")
    pit = scores.filter(pl.col("measure") == "pit").group_by("model").agg(pl.col("value").mean()).sort("value")
    said = ", ".join(f"{m} {v:.3f}" for m, v in pit.iter_rows())
    return [*lines, "", f"Randomised PIT of cells, mean over weeks and sets of its largest distance from uniform (0 = perfectly calibrated): {said}."]


def _by_area(held: pl.DataFrame) -> list[str]:
    lines = ["## Intervals by beat and week", "",
             "`areas.expected` over recent counts, all offences, every second week of the last year, each from what was known then: how many of the counts lay "
             "within their 90 % interval. In St. Louis neighbourhoods stand for beats.", "", "| city | expected | beat-weeks | within | below | above |",
             "|---|---|---|---|---|---|"]
    for city in MAPS:
        for low, high, said in ((20.0, math.inf, "20 and more"), (5.0, 20.0, "5 to 20")):
            part = held.filter(pl.col("city") == city, pl.col("expected") >= low, pl.col("expected") < high)
            if part.height:
                came, lower, upper = (part[c].to_numpy() for c in ("came", "lower", "upper"))
                under, over = float((came < lower).mean()), float((came > upper).mean())
                lines.append(f"| {city} | {said} | {part.height:,} | {100 * (1 - under - over):.1f} % | {100 * under:.1f} % | {100 * over:.1f} % |")
    return [*lines, ""]


def _by_rules(tests: pl.DataFrame) -> list[str]:
    lines = ["## The NIJ challenge's rules", "",
             "Equal cells of 62,500 to 360,000 square feet, 0.25 to 0.75 square miles flagged, settings searched on the past of each date. Counts (last "
             "year's) and kernel density flag as many cells of the same tiling. "
             f"{tests.select('city', 'asof').n_unique()} dates x 4 offences: "
             f"{', '.join(f'{c} {a}' for c, a in tests.select('city', 'asof').unique(maintain_order=True).iter_rows())}.", "",
             "| city | aim | horizon | forecasts | mean N | score | counts | kde |", "|---|---|---|---|---|---|---|---|"]
    both = tests.with_columns(city=pl.lit("both"), horizon=pl.lit("all"))
    for part in (tests, both):
        for r in part.select("city", "aim", "horizon").unique(maintain_order=True).to_dicts():
            g = part.filter(pl.col("city") == r["city"], pl.col("aim") == r["aim"], pl.col("horizon") == r["horizon"])
            mine, count, smooth = (float(g[c].cast(pl.Float64).mean() or 0.0) for c in (r["aim"], f"counts_{r['aim']}", f"kde_{r['aim']}"))  # type: ignore[arg-type]
            lines.append(f"| {r['city']} | {r['aim'].upper()} | {r['horizon']} | {len(g)} | {g['N'].sum() / len(g):.0f} | {mine:.3f} | {count:.3f} | "
                         f"{smooth:.3f} |")
    return lines


def verdict(every: pl.DataFrame, held: pl.DataFrame, tests: pl.DataFrame) -> list[str]:
    """Where the default does not lead, where intervals held too often or too seldom, and where the NIJ mode lay under counts, in words."""
    out = ["## Misses", ""]
    for share in SHARES:
        part = every.filter((pl.col("share") == share) & (pl.col("model") != "default"))
        for r in part.filter(pl.col("ahead") < 0).to_dicts():
            clear = "clearly" if r["high"] < 0 else "within chance"
            out.append(f"- At {share:.0%} {r['model']} was better than the default by {-r['ahead']:.3f} ({clear}: 95 % interval of default minus it "
                       f"{r['low']:+.3f} to {r['high']:+.3f}).")
    for city in MAPS:
        part = held.filter(pl.col("city") == city, pl.col("expected") >= 20.0)
        within = float(((part["came"] >= part["lower"]) & (part["came"] <= part["upper"])).to_numpy().mean()) if part.height else 0.9
        if not 0.87 <= within <= 0.93:
            out.append(f"- {city}: 90 % intervals of areas with 20 and more expected held {100 * within:.1f} % of {part.height} (chance alone: within about "
                       f"{100 * 2 * math.sqrt(0.09 / part.height):.0f} points of 90); the aim was 87 to 93 %.")
    for city, aim, horizon in tests.select("city", "aim", "horizon").unique(maintain_order=True).iter_rows():
        g = tests.filter(pl.col("city") == city, pl.col("aim") == aim, pl.col("horizon") == horizon)
        mine, count = (float(g[c].cast(pl.Float64).mean() or 0.0) for c in (aim, f"counts_{aim}"))  # type: ignore[arg-type]
        if mine < count:
            out.append(f"- {city}, NIJ rules, {aim.upper()} over {horizon}: {mine:.3f}, under the {count:.3f} of last year's counts on the same cells.")
    return out if len(out) > 2 else [*out, "None: the default has the highest mean PAI at every share."]


def main(argv: list[str] | None = None) -> int:
    """Make the tables and write the page; 1 where the data are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="Score the forecasts on two cities and write benchmarks/ACCURACY.md.")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "workbench-accuracy", help="where prepared tables are kept")
    parser.add_argument("--models", nargs="*", default=list(SINGLE), help="single models beside the default")
    parser.add_argument("--dates", nargs="*", default=DATES, help="dates of the NIJ mode, month-day")
    args = parser.parse_args(argv)
    if not (DATA / "chicago").is_dir():
        print(f"There is no real data at {DATA}; name its folder with WORKBENCH_REAL_DATA.", file=sys.stderr)
        return 1
    args.folder.mkdir(parents=True, exist_ok=True)
    try:
        scores, offered = weekly(args.folder, args.models)
        tests = challenges(args.folder, args.dates)
    except CannotTell as reason:
        print(f"The report was not written: {reason}", file=sys.stderr)
        return 1
    asked = f" --models {' '.join(args.models)}" if args.models != list(SINGLE) else ""
    asked += f" --dates {' '.join(args.dates)}" if args.dates != DATES else ""
    part = FILE.with_name(f".{FILE.name}.part")
    part.write_text(page(scores, offered, tests, covered(args.folder), time.process_time(), asked), encoding="utf-8")
    part.replace(FILE)
    print(f"{FILE.name} written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

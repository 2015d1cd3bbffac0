"""The demo: the made-up city from an empty folder to a briefing and served apps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import polars as pl

from workbench import apps, briefings, workspace
from workbench.models import plates
from workbench.models.hotspots import backtest, choose, counts, kde
from workbench.models.links import case as links_case
from workbench.models.plates import convoy, stakeout
from workbench.session import open_workbench


def run(folder: Path, *, serve: bool = True, port: int = 5006, progress: Callable[[str, float], None] | None = None) -> None:
    """Make the workspace (or complete the one there), load, ask the models, write the briefing, then serve until stopped.

    Prints each step and its time; without ``serve`` it ends with the paths of the workspace, the HTML and the PDF.

    Raises:
        BadInput: the folder holds other things.
    """
    steps = 5 if serve else 4
    clock = time.perf_counter()

    def step(n: int, text: str) -> None:
        print(f"[{n}/{steps}] {text}  ({time.perf_counter() - clock:.1f} s)", flush=True)

    made = workspace.create(folder, sample=True)
    step(1, f"workspace {folder}: the made-up city Fairwater")
    for report in workspace.load_sample(made.path, progress=progress):
        print(f"      {report.sentence()}", flush=True)
    first = open_workbench(made.path)
    number = first.agency.demo_case or ""
    details = first.casebook.case(number)
    city = first.bind(case=number, purpose=details["purpose"], reason=details["reason"])
    step(2, "loaded, every record accounted for")

    burglaries, grid, asof = city.incidents(offence="burglary"), city.grid(250), city.asof
    zone = city.agency.zone
    offered = choose.best(burglaries, grid, asof)
    risk = offered.surface(burglaries, grid, asof, zone=zone)
    models = {offered.name: partial(offered.surface, zone=zone), "counts": partial(counts.surface, zone=zone), "kde": partial(kde.surface, zone=zone)}
    start = city.agency.moment(asof.astimezone(city.agency.tz).date() - timedelta(days=182))  # a local morning, as on the page of hotspots
    score = backtest.rolling(burglaries, grid, models, start=start, end=asof, zone=zone)
    subjects = city.casebook.subjects(number)["entity"].to_list()
    links = links_case.around(city.facts(), subjects)
    reads = plates.prepare(city.reads(asof - timedelta(days=30), asof), zone=zone)
    scenes = city.incidents().filter(pl.col("incident_id").is_in([s.partition(":")[2] for s in subjects if s.startswith("incident:")]))
    near = stakeout.stakeout(reads, scenes, asof=asof, zone=zone)
    company = convoy.companions(reads, near.table["plate"][0], asof=asof, zone=zone)
    print(f"      {offered.sentence}", flush=True)
    for result in (risk, score, links, near, company):
        print(f"      {result.headline}", flush=True)
    step(3, "models asked")

    wanted = {"asof": asof.astimezone(city.agency.tz).date().isoformat(), "case": number, "purpose": details["purpose"], "reason": details["reason"]}
    files = briefings.run(city, "daily_briefing", wanted, None, progress=progress)
    step(4, "briefing written")
    print(f"workspace  {made.path}\nhtml       {files.html}\npdf        {files.pdf}", flush=True)
    if serve:
        apps.serve(first, port=port, started=lambda url: step(5, f"the hub is at {url} - Ctrl-C stops it"))

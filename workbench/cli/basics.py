"""The commands everybody begins with: make a workspace, load, look, brief, lab, demo."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from workbench.cli.asking import Add, bar, bound, bound_arguments, pair, required, role_argument
from workbench.errors import BadInput, WorkbenchError, did_you_mean


def commands(add: Add) -> None:
    """Declare them."""
    init = add("init", _init, "make a workspace folder", workspace=False)
    init.add_argument("folder", metavar="DIR", nargs="?", help="where")
    init.add_argument("-w", "--workspace", metavar="DIR", help="the same as DIR")
    init.add_argument("--sample", action="store_true", help="with the made-up city Fairwater, its maps and demo cases, loaded")
    init.add_argument("--name", help="name of your agency")
    init.add_argument("--zone", help="its time zone, e.g. America/Chicago")
    init.add_argument("--bounds", nargs=4, type=float, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="study area in degrees")
    init.add_argument("--beats", type=Path, metavar="GEOJSON", help="beat boundaries, copied into the workspace")

    load = add("load", _load, "load export files into the lake")
    load.add_argument("source", metavar="SOURCE", help="a source; see: workbench sources")
    load.add_argument("files", metavar="FILE", nargs="+", type=Path, help="the export files; a folder or a quoted glob means the files in it")
    load.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="something the source asks for, e.g. case_number=2026-0142")
    load.add_argument("--zone", help="time zone of the file's wall clocks, where it is not the source's own")
    load.add_argument("--json", action="store_true", help="print one JSON object a file")
    role_argument(load)

    sources = add("sources", _sources, "list the sources that can be loaded")
    sources.add_argument("--json", action="store_true", help="print one JSON object a source")
    bound_arguments(add("status", _status, "say what the workspace holds: tables, versions, last loads, audit"))

    case = add("case", _case, "list cases, or open one")
    case.add_argument("number", nargs="?", help="number of a new case")
    case.add_argument("--title", help="title of the new case")
    case.add_argument("--purpose", help="what plates and persons are looked at for under it (default: investigation)")
    case.add_argument("--reason", help="what is to be learnt; briefings look into open cases under this reason")
    role_argument(case)

    brief = add("brief", _brief, "run a briefing: executed notebook, HTML and PDF")
    brief.add_argument("template", nargs="?", metavar="NAME", help="a briefing; without it the briefings and their parameters are listed")
    brief.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the briefing; may be given several times")
    brief.add_argument("--out", type=Path, metavar="DIR", help="folder inside the workspace for the files (default: out)")
    bound_arguments(brief)

    lab = add("lab", _lab, "open JupyterLab in the workspace")
    role_argument(lab)
    lab.add_argument("rest", nargs="*", metavar="ARG", help="further arguments for jupyter lab, behind --")

    demo = add("demo", _demo, "made-up city from nothing to a served hub: workspace, load, models, briefing, apps", workspace=False)
    demo.add_argument("folder", nargs="?", default=None, metavar="DIR", help="where (default: workbench-demo here)")
    demo.add_argument("-w", "--workspace", metavar="DIR", help="the same as DIR")
    demo.add_argument("--no-serve", action="store_true", help="stop after the files")
    demo.add_argument("--port", type=int, default=5006, help="port on 127.0.0.1")


def _folder(args: argparse.Namespace, default: str | None = None) -> str:
    given = [f for f in (args.folder, args.workspace) if f]
    if len(given) == 2 and Path(given[0]).resolve() != Path(given[1]).resolve():
        raise BadInput(f"Two folders were given, {given[0]} and {given[1]}; give one.")
    if not given and default is None:
        raise BadInput("Say where: workbench init city --sample")
    return str(given[0] if given else default)


def _init(args: argparse.Namespace) -> None:
    from workbench import workspace

    folder = _folder(args)
    made = workspace.create(folder, sample=args.sample, name=args.name, zone=args.zone, bounds=tuple(args.bounds) if args.bounds else None, beats=args.beats)
    print(f"{'Made' if made.new else 'Completed'} the workspace {folder}.")
    if args.sample:
        for report in workspace.load_sample(made.path, progress=bar()):
            print(report.sentence())
    print(f"Next: workbench {'serve' if args.sample else 'sources'} -w {folder}")


def _load(args: argparse.Namespace) -> int:
    from workbench import workspace
    from workbench.intake import batch

    folder, person = required(args, "load", args.source)
    source = workspace.source(folder, args.source)
    said = dict(pair(p, "--set", "case_number=2026-0142") for p in args.set)
    files = batch.chosen(source, args.files)
    tally = batch.load_each(
        files,
        lambda file: workspace.load(folder, batch.fitting(source, file), file, progress=None if args.json else bar(), zone=args.zone, said=said,
                                    role=person.role),
        lambda report: print(json.dumps(report.to_json()) if args.json else report.sentence(), flush=True))
    if len(files) > 1 and not args.json:
        print(tally.sentence())
    for complaint in tally.complaints():
        print(f"workbench: {complaint}", file=sys.stderr)
    return 1 if tally.failed else 0


def _sources(args: argparse.Namespace) -> None:
    from workbench.loaders import find, names
    from workbench.session import find_workspace

    plugins = None
    try:
        plugins = find_workspace(args.workspace) / "plugins" / "loaders"
    except WorkbenchError:
        if args.workspace:
            raise
    for name in names(plugins=plugins):
        source = find(name, plugins=plugins)
        tables = sorted({p.table for p in source.parts})
        if args.json:
            print(json.dumps({"source": name, "title": source.title, "tables": tables, "zone": source.zone, "notes": list(source.notes)}))
        else:
            print(f"{name:22} {source.title} -> {', '.join(tables)}")


def _status(args: argparse.Namespace) -> None:
    from workbench.intake import rejects

    city = bound(args)
    print(f"{city.agency.name}  ({city.path})")
    for name, rows, version in city.holdings().select("table", "rows", "version").iter_rows():
        print(f"  {name:14} {rows:>12,} rows   version {version}")
    last = city.batches().sort("recorded_at", descending=True).head(5)
    for row in last.iter_rows(named=True):
        how = f"{rejects.told(row)}, read in {row['zone']}" if row["zone"] else ""
        print(f"  loaded {row['recorded_at']:%Y-%m-%d %H:%M} UTC  {row['source']}  {row['file']}{how}: {row['added']:,} added, {row['rejected']:,} rejected")
    for sentence in city.warnings():
        print(f"  warning: {sentence}")
    print(f"  audit: {city.audit.verify()[1]}")


def _case(args: argparse.Namespace) -> None:
    from workbench.oversight import reasons
    from workbench.session import open_workbench

    city = open_workbench(args.workspace, role=args.role)
    book = city.casebook
    if args.number:
        if not args.title:
            raise BadInput(f"A case needs a title: workbench case {args.number} --title \"Garage burglaries, north side\"")
        purposes = city.policy.settings.purposes
        purpose = args.purpose or ("investigation" if "investigation" in purposes else purposes[0])
        if purpose not in purposes:
            raise BadInput(f"The purpose {purpose!r} is not on the agency's list.{did_you_mean(purpose, purposes)}")
        reason = reasons.check(args.reason, case=args.number, purpose=purpose) if args.reason else ""
        with city.deed("open case", args.number):
            book.open_case(args.number, args.title, user=city.user, purpose=purpose, reason=reason)
    for row in book.cases().iter_rows(named=True):
        print(f"{row['case_number']:14} {row['status']:8} {row['title']}")


def _brief(args: argparse.Namespace) -> None:
    from workbench import briefings

    city = bound(args)
    if not args.template:
        for name in briefings.names(city.path):
            print(name)
            for p in briefings.parameters(name, city.path):
                print(f"  {p.name:16} {p.type:10} default {p.default!r:22} {p.help}")
        return
    given: dict[str, str] = {}
    for text in args.parameter:
        name, value = pair(text, "-p", "asof=2026-07-01")
        given[name] = value
    files = briefings.run(city, args.template, given, args.out, progress=bar())
    for path in (files.ipynb, files.html, files.pdf):
        print(path)


def _lab(args: argparse.Namespace) -> None:
    folder, _ = required(args, "serve", "notebook server")
    home = folder / "out" / ".jupyter"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        os.environ.setdefault(f"JUPYTER_{name}", str(home / name.lower()))
    os.environ.setdefault("JUPYTERLAB_WORKSPACES_DIR", str(home / "workspaces"))
    os.environ.setdefault("JUPYTERLAB_SETTINGS_DIR", str(home / "settings"))
    os.environ.setdefault("IPYTHONDIR", str(home / "ipython"))
    quiet = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"]
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", "--ip=127.0.0.1", *quiet, *args.rest])  # noqa: S606 - the command line's own arguments, no shell


def _demo(args: argparse.Namespace) -> None:
    from workbench import demo

    demo.run(Path(_folder(args, "workbench-demo")), serve=not args.no_serve, port=args.port, progress=bar())

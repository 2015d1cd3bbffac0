"""The command for records that could not be used: ``workbench rejects``, to list, show, export, resubmit and dismiss them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.asking import Add, bar, bound, bound_arguments, pair
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    import polars as pl

    from workbench.session import Workbench

_ACTIONS = ("list", "show", "export", "resubmit", "dismiss")


def commands(add: Add) -> None:
    """Declare it."""
    rejects = add("rejects", _rejects, "records that could not be used: list, show, export to mend, resubmit, dismiss")
    rejects.add_argument("action", nargs="?", default="list", choices=_ACTIONS, help="default: list")
    rejects.add_argument("what", nargs="?", metavar="BATCH|FILE", help="the batch (its beginning, or last); of resubmit the mended file")
    rejects.add_argument("--having", metavar="TEXT", help="only those whose reason holds this text")
    rejects.add_argument("--line", type=int, action="append", default=[], metavar="N", help="only this line of the file; may be given several times")
    rejects.add_argument("--most", type=int, default=20, metavar="N", help="show at most so many (20)")
    rejects.add_argument("--all", action="store_true", help="also those that are mended or dismissed")
    rejects.add_argument("--file", type=Path, metavar="FILE", help="of export: where to, without its suffix (default: out/rejects-BATCH)")
    rejects.add_argument("--because", metavar="TEXT", help="of dismiss: why they are not taken in")
    rejects.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="of resubmit: something the source asks for (default: as it was said before)")
    rejects.add_argument("--zone", help="of resubmit: time zone of the records' wall clocks (default: as loaded before)")
    rejects.add_argument("--json", action="store_true", help="print JSON objects")
    bound_arguments(rejects)


def _rejects(args: argparse.Namespace) -> int:
    city = bound(args)
    deed = {"export": "export", "resubmit": "load", "dismiss": "load"}.get(args.action)
    if deed:
        city.require(deed)
    if args.action == "list":
        _list(city, args)
        return 0
    if not args.what:
        raise BadInput(f"Say which: workbench rejects {args.action} {'FILE' if args.action == 'resubmit' else 'last'}")
    return int({"show": _show, "export": _export, "resubmit": _resubmit, "dismiss": _dismiss}[args.action](city, args) or 0)


def _held(city: Workbench) -> pl.DataFrame:
    """The rejects, without the text of records about what may not be seen: of plates and persons where no case is bound."""
    from workbench.intake import rejects

    held = city.rejects()
    lacking = {s: True for s in held.filter(held["raw"].is_null())["source"].unique().to_list()}
    return rejects.closed(held, lambda name: lacking.get(name, False))


def _chosen(city: Workbench, args: argparse.Namespace) -> pl.DataFrame:
    """One batch's rejects that are meant: open ones, of the reason and lines given."""
    import polars as pl

    from workbench.intake import rejects

    held = _held(city)
    held = held.filter(pl.col("batch_id") == rejects.batch(held, args.what))
    if not args.all:
        held = held.filter(pl.col("outcome").is_null())
    if args.having:
        held = rejects.narrowed(held, args.having)
    if args.line:
        lacking = sorted(set(args.line) - set(held["line"].to_list()))
        if lacking:
            raise NotFound(f"Batch {args.what} has no open reject on line {', '.join(map(str, lacking))}.")
        held = held.filter(pl.col("line").is_in(args.line))
    return held


def _list(city: Workbench, args: argparse.Namespace) -> None:
    import polars as pl

    from workbench.intake import rejects

    held = _held(city)
    if args.what:
        held = held.filter(pl.col("batch_id") == rejects.batch(held, args.what))
    if args.having:
        held = rejects.narrowed(held, args.having)
    frame = rejects.summary(held, city.batches())
    frame = frame if args.all else frame.filter(pl.col("open") > 0)
    if args.json:
        for row in frame.iter_rows(named=True):
            print(_json(row))
        return
    if frame.is_empty():
        print("No reject is open." if held.height else "There are no rejects.")
    ledger = {row["batch_id"]: row for row in city.batches().iter_rows(named=True)}
    for (batch_id,), part in frame.group_by("batch_id", maintain_order=True):
        first = part.row(0, named=True)
        loaded = f"{first['loaded']:%Y-%m-%d %H:%M} UTC" if first["loaded"] else "live"
        print(f"{batch_id}  {loaded}  {first['source']}  {first['file']}{rejects.told(ledger.get(batch_id, {}))}: {part['open'].sum():,} open")
        for row in part.iter_rows(named=True):
            rest = "".join(f", {row[k]:,} {k}" for k in ("mended", "dismissed") if args.all and row[k])
            print(f"  {row['open']:>7,}  {row['reason']}{rest}")
            if row["example"]:
                print(f"           e.g. {_short(row['example'])}")


def _show(city: Workbench, args: argparse.Namespace) -> None:
    held = _chosen(city, args)
    for row in held.head(args.most).iter_rows(named=True):
        if args.json:
            print(_json(row))
            continue
        became = f" ({row['outcome']}{' by ' + row['resolved_by'] if row['resolved_by'] else ''})" if row["outcome"] else ""
        closed = "(about plates or persons: give --case and --purpose and --reason to see it)"
        print(f"line {row['line']:,}: {row['reason']}{became}\n  {closed if row['raw'] is None else row['raw']}")
    if held.height > args.most and not args.json:
        print(f"... and {held.height - args.most:,} more; --most {held.height} shows all.")


def _export(city: Workbench, args: argparse.Namespace) -> None:
    import polars as pl

    from workbench import workspace
    from workbench.intake import rejects

    held = _chosen(city, args)
    if held.is_empty():
        raise BadInput("There is no open reject to write.")
    batch_id, name = held.row(0, named=True)["batch_id"], held.row(0, named=True)["source"]
    ledger = city.batches().filter(pl.col("batch_id") == batch_id)
    try:
        source = workspace.source(city.path, name)
    except NotFound:
        source = None
    to = args.file or city.path / "out" / f"rejects-{batch_id}"
    with city.deed("export rejects", batch_id, file=str(to)) as outcome:
        written = rejects.write(held, ledger["header"][0] if ledger.height else None, source, to)
        outcome["records"] = written.records
    print(json.dumps({"file": str(written.file), "beside": str(written.beside), "records": written.records}) if args.json else written.sentence())


def _resubmit(city: Workbench, args: argparse.Namespace) -> int:
    import polars as pl

    from workbench import workspace
    from workbench.intake import rejects

    claimed = rejects.claims(Path(args.what))
    held = city.lake.rejects().filter(pl.col("batch_id") == claimed.batch_id)
    if held.is_empty():
        raise NotFound(f"This workspace has no batch {claimed.batch_id} with rejects.")
    source = rejects.reading(workspace.source(city.path, held["source"][0]))
    zone, told = rejects.loaded_with(city.lake.batches(), claimed.batch_id, source)
    said = {**told, **dict(pair(p, "--set", "case_number=2026-0142") for p in args.set)}
    with city.deed("resubmit rejects", claimed.batch_id, file=claimed.file.name, changed=claimed.changed) as outcome:
        report = workspace.load(city.path, source, claimed.file, user=city.user, role=city.role, progress=None if args.json else bar(), zone=args.zone or zone,
                                said=said)
        settled = rejects.settle(city.lake, claimed, report, city.user)
        outcome.update(mended=settled.mended, still=settled.still, batch_id=report.batch_id)
    if args.json:
        print(json.dumps({"batch_id": report.batch_id, "mended": settled.mended, "still": settled.still}))
    else:
        print(report.sentence())
        print(settled.sentence())
    return 1 if settled.still else 0


def _dismiss(city: Workbench, args: argparse.Namespace) -> None:
    if not (args.because or "").strip():
        raise BadInput('A reject is dismissed with a reason: --because "test entries of the vendor"')
    held = _chosen(city, args)
    if held.is_empty():
        raise BadInput("There is no open reject to dismiss.")
    batch_id = held["batch_id"][0]
    with city.deed("dismiss rejects", batch_id, because=args.because, having=args.having) as outcome:
        outcome["records"] = city.lake.resolve(batch_id, held["line"].to_list(), "dismissed", reason=args.because, user=city.user)
    print(json.dumps({"batch_id": batch_id, "dismissed": held.height}) if args.json else f"{held.height:,} dismissed of batch {batch_id}: {args.because}")


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False)


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= 110 else one[:107] + "..."

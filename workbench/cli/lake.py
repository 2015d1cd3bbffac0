"""The lake's upkeep: how it stands, fold small files, delete what only old versions read, keep versions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.lake import Lake


def commands(add: Add) -> None:
    """Declare them."""
    lake = add("lake", _lake, "look after the lake: status, compact, vacuum, pin, pins, unpin")
    lake.add_argument("action", nargs="?", choices=("status", "compact", "vacuum", "pin", "pins", "unpin"), default="status", help="default: status")
    lake.add_argument("what", nargs="?", metavar="TABLE or NAME", help="compact: one table; unpin: the pin's name")
    lake.add_argument("--days", type=float, metavar="N", help="vacuum: days for which every version stays readable (default 30)")
    lake.add_argument("--why", metavar="TEXT", help="pin: why the versions of now are to be kept")
    role_argument(lake)


def _lake(args: argparse.Namespace) -> None:
    from workbench.lake import Lake
    from workbench.oversight.audit import Audit

    folder, person = required(args, "upkeep", f"lake {args.action}")
    lake = Lake(folder / "lake")
    if args.action == "status":
        _status(lake)
    elif args.action == "pins":
        for row in lake.pins().iter_rows(named=True):
            print(f"{row['name']}  {row['pinned_at']:%Y-%m-%d %H:%M} UTC  {row['user']}  {row['why']}: {row['versions']}")
    else:
        if args.action == "pin" and not args.why:
            raise BadInput("A pin says why: workbench lake pin --why \"monthly report of June\"")
        if args.action == "unpin" and not args.what:
            raise BadInput("Say which pin: workbench lake unpin NAME; they are listed by: workbench lake pins")
        with Audit(folder / "audit.db").deed(person, f"lake {args.action}", args.what or "lake") as outcome:
            said = _do(lake, args, person.user)
            outcome["said"] = said
        print(said)


def _do(lake: Lake, args: argparse.Namespace, user: str) -> str:
    if args.action == "compact":
        steps = lake.compact(args.what)
        lines = [f"{s.table}: {s.before:,} files became {s.after:,} ({s.rows:,} rows)" for s in steps]
        return "\n".join(lines) if lines else "Nothing to fold: the files are few and in order of time."
    if args.action == "vacuum":
        gone = lake.vacuum() if args.days is None else lake.vacuum(args.days)
        return f"{gone.files:,} files deleted, {gone.bytes / 1e6:,.1f} MB; kept are the newest versions, those of the last days and the pinned ones."
    if args.action == "pin":
        return f"Pinned as {lake.pin(lake.versions(), args.why, user)}."
    lake.unpin(args.what)
    return f"Pin {args.what} taken away."


def _status(lake: Lake) -> None:
    for row in lake.status().iter_rows(named=True):
        print(f"{row['table']:14} version {row['version']:<5} {row['files']:>5,} files {row['rows']:>13,} rows, {row['superseded']:,} superseded; "
              f"{row['bytes'] / 1e6:,.1f} MB, {row['spare'] / 1e6:,.1f} MB only for older versions")
    print(f"{lake.pins().height} pinned")

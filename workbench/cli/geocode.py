"""The command that finds positions: ``workbench geocode``."""

from __future__ import annotations

import argparse
import json

from workbench.cli.asking import Add, bar, required, role_argument


def commands(add: Add) -> None:
    """Declare it."""
    geocode = add("geocode", _geocode, "give rows without a position one, looked up in the workspace's own streets")
    geocode.add_argument("table", metavar="TABLE", nargs="?", default="incidents", help="the table (default: incidents)")
    geocode.add_argument("--dry-run", action="store_true", help="only say how many would be placed, and how")
    how = geocode.add_mutually_exclusive_group()
    how.add_argument("--exact", action="store_true", help="do not bend the spelling of street names")
    how.add_argument("--again", action="store_true", help="only set positions again that an update came without; look nothing up")
    geocode.add_argument("--json", action="store_true", help="print one JSON object")
    role_argument(geocode)


def _geocode(args: argparse.Namespace) -> None:
    from workbench.intake import geocoding
    from workbench.lake import Lake
    from workbench.oversight.audit import Audit

    folder, person = required(args, "load", args.table)
    lake = Lake(folder / "lake")
    with Audit(folder / "audit.db").deed(person, "geocode", args.table, dry_run=args.dry_run, exact=args.exact) as outcome:
        report, batch = geocoding.run(lake, args.table, user=person.user, dry=args.dry_run, only_again=args.again, spelling=not args.exact,
                                      progress=None if args.json else bar())
        outcome.update(tried=report.tried, placed=report.placed, again=report.again, by_basis=report.by_basis, error_m=report.error_m,
                       not_placed=report.by_reason, spelling_bent=report.bent, batch_id=batch.batch_id if batch else None)
        figures = dict(outcome)
    if args.json:
        print(json.dumps({"table": args.table, **figures}))
        return
    print(report.sentence())
    print("Nothing was written (--dry-run)." if args.dry_run else batch.sentence() if batch else "Nothing was written.")

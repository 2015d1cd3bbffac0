"""``workbench quality``: how far can the rows of a table be trusted?"""

from __future__ import annotations

import argparse
import json

from workbench.cli.asking import Add, bound, bound_arguments
from workbench.views import sheets


def commands(add: Add) -> None:
    """Declare it."""
    quality = add("quality", _quality, "look tables through: what is missing, heaped, misplaced, repeated, drifted")
    quality.add_argument("table", nargs="?", help="a table; without it every table that holds rows and may be seen")
    quality.add_argument("--behind", metavar="CHECK", help="print the rows behind one finding as CSV, safe to open in a spreadsheet")
    quality.add_argument("--json", action="store_true", help="print one JSON object a finding")
    bound_arguments(quality)


def _quality(args: argparse.Namespace) -> None:
    city = bound(args)
    names = [args.table] if args.table else [n for n in city.holdings()["table"].to_list() if city.may_see(n)]
    for name in names:
        found = city.quality(name)
        if args.behind:
            print(sheets.csv(found.behind(args.behind)), end="")
            continue
        if args.json:
            for row in found.table.iter_rows(named=True):
                print(json.dumps({"table": name, **row}))
            continue
        print(found.headline)
        for row in found.table.iter_rows(named=True):
            effect = f" {row['map']}" if row["map"] and row["level"] != "fine" else ""
            print(f"  {row['level']:5} {row['check']:26} {row['rows']:>9,}  {row['says']}{effect}")

"""``workbench evidence``: what a case keeps of the facts."""

from __future__ import annotations

import argparse

from workbench.cli.asking import Add, bound, bound_arguments
from workbench.errors import BadInput


def commands(add: Add) -> None:
    """Declare it."""
    keep = add("evidence", _evidence, "a case's evidence: list and check it, or copy rows to it (--case, --purpose, --reason)")
    keep.add_argument("table", nargs="?", metavar="TABLE", help="copy rows of this table")
    keep.add_argument("keys", nargs="*", metavar="KEY", help="their keys")
    keep.add_argument("--why", metavar="TEXT", help="what the rows show")
    bound_arguments(keep)


def _evidence(args: argparse.Namespace) -> int:
    city = bound(args)
    if args.table:
        if not args.keys or not args.why:
            raise BadInput(f'Say which rows and why: workbench evidence {args.table} KEY --why "the getaway car two minutes after the robbery"')
        made = city.attach(args.table, *args.keys, why=args.why)
        print(f"{len(made)} {'row is' if len(made) == 1 else 'rows are'} in the evidence of case {city.case} (number {', '.join(map(str, made))}).")
        return 0
    held = city.evidence()
    for row in held.iter_rows(named=True):
        state = row["state"] + (f" (certificate {row['certificate_id']})" if row["certificate_id"] else "")
        sound = "as it was attached" if row["sound"] else "SEALED" if row["state"] == "sealed" else "CHANGED SINCE IT WAS ATTACHED"
        print(f"{row['evidence_id']:5} {row['table_name']:14} {row['row_key']:24} {sound}; the fact is {state}; {row['attached_by']} "
              f"{row['attached_at']:%Y-%m-%d}: {row['why']}")
    if held.is_empty():
        print(f"Case {city.case} has no evidence yet.")
    return 0 if held["sound"].all() or (held.filter(~held["sound"])["state"] == "sealed").all() else 1

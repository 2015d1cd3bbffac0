"""``workbench audit``: show and verify the chain, sign it, copy it for an outsider, watch and review what people asked."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.oversight.audit import Audit, Person

_ACTIONS = ("show", "verify", "root", "copy", "proof", "watch", "review", "sample")


def commands(add: Add) -> None:
    """Declare it."""
    audit = add("audit", _audit, "show the last audit entries; verify, sign or copy the chain; watch and review what people asked")
    audit.add_argument("action", nargs="?", choices=_ACTIONS, default="show", help="default: show")
    audit.add_argument("what", nargs="*", metavar="WHAT", help="copy: the new file; proof: number of the entry and the new file; review: item and decision "
                       "(justified, not-justified, follow-up)")
    audit.add_argument("--last", type=int, default=20, metavar="N", help="show: how many entries")
    audit.add_argument("--deep", action="store_true", help="verify: recompute every field's hash and every root's tree too")
    audit.add_argument("--roots", type=Path, metavar="FILE", help="verify: compare with roots that were noted elsewhere")
    audit.add_argument("--key", metavar="FINGERPRINT", help="verify: the fingerprint of the key as it was noted elsewhere")
    audit.add_argument("--leave-out", default="", metavar="FIELD,...", help="copy, proof: fields to leave out, e.g. object,reason,detail")
    audit.add_argument("--from", dest="start", metavar="TIME", help="copy: from this time on (UTC), e.g. 2026-05-01")
    audit.add_argument("--to", dest="end", metavar="TIME", help="copy: before this time (UTC)")
    audit.add_argument("--note", default="", help="review: why it was decided so")
    audit.add_argument("--all", action="store_true", help="review: decided items too")
    audit.add_argument("--json", action="store_true", help="print one JSON object a line")
    role_argument(audit)


def _audit(args: argparse.Namespace) -> int:
    from workbench.oversight.audit import Audit

    folder, person = required(args, "review" if args.action in ("watch", "review", "sample") else "audit", f"audit {args.action}")
    audit = Audit(folder / "audit.db")
    if args.what and args.action not in ("copy", "proof", "review"):
        raise BadInput(f"workbench audit {args.action} takes no {args.what[0]!r}.")
    if args.action == "show":
        return _show(audit, args)
    if args.action == "verify":
        return _verify(audit, args)
    if args.action == "root":
        return _root(audit, person, args)
    if args.action in ("copy", "proof"):
        return _copy(audit, person, args)
    if args.action == "review" and args.what:
        return _decide(audit, person, args)
    return _watch(audit, person, args)


def _show(audit: Audit, args: argparse.Namespace) -> int:
    for row in audit.entries(args.last).iter_rows(named=True):
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        bound = f"case {row['case_number']}, {row['purpose']}" if row["case_number"] else "no case"
        glass = " BREAK-GLASS" if row["emergency"] else ""
        print(f"{row['seq']:6} {row['at'][:19]} {row['user']:10} {row['phase']:7} {row['action']} {row['object']} ({bound}){glass}")
    return 0


def _verify(audit: Audit, args: argparse.Namespace) -> int:
    from workbench.oversight import roots

    copied = roots.read(args.roots) if args.roots else []
    found, sentence = audit.check(deep=args.deep, copied=copied)
    complaints = [f.sentence for f in found]
    if args.key:
        noted = args.key.replace(" ", "").lower()
        keys = {roots.fingerprint(r["key"]) for r in roots.held_roots(audit)} if not any(f.kind == "file" for f in found) else set()
        complaints += [f"A root is signed with the key {k}, not with the one noted." for k in sorted(keys) if k.replace(" ", "") != noted]
        if not keys:
            complaints.append("There is no signed root to compare the key with.")
    for complaint in complaints[:100]:
        print(complaint)
    if len(complaints) > 100:
        print(f"And {len(complaints) - 100:,} further findings.")
    if not complaints:
        agree = f" The roots of {args.roots.name} agree." if copied else ""
        print(sentence + agree)
    return 1 if complaints else 0


def _root(audit: Audit, person: Person, args: argparse.Namespace) -> int:
    from workbench.oversight import roots

    made = roots.make(audit, person)
    held = roots.held_roots(audit)
    if args.json:
        for root in held:
            print(json.dumps(root, sort_keys=True))
    elif held:
        print(roots.sentence(held[-1]) if made else f"Nothing new to sign. {roots.sentence(held[-1])}")
        print("Note that line somewhere nobody who can write this workspace can change it.")
    return 0


def _copy(audit: Audit, person: Person, args: argparse.Namespace) -> int:
    from workbench.oversight import redacted

    left = [f.strip() for f in args.leave_out.split(",") if f.strip()]
    if args.action == "copy":
        if len(args.what) != 1:
            raise BadInput("Name the new file: workbench audit copy audit-2026-05.ndjson --leave-out object,reason,detail")
        out = Path(args.what[0])
        with audit.deed(person, "audit copy", out.name, left_out=left, start=args.start, end=args.end) as outcome:
            outcome["entries"] = redacted.copy(audit, out, leave_out=left, start=args.start, end=args.end)
        print(f"{outcome['entries']:,} entries in {out}. Check it anywhere: python verify_copy.py {out.name}")
        return 0
    if len(args.what) != 2 or not args.what[0].isdigit():
        raise BadInput("Name the entry and the new file: workbench audit proof 1204 entry-1204.json")
    out = Path(args.what[1])
    with audit.deed(person, "audit proof", args.what[0], file=out.name, left_out=left):
        root = redacted.proof(audit, int(args.what[0]), out, leave_out=left)
    print(f"Entry {args.what[0]} with its path to root {root['root']} in {out}. Check it anywhere: python verify_copy.py {out.name}")
    return 0


def _watch(audit: Audit, person: Person, args: argparse.Namespace) -> int:
    from workbench import agency as agencies
    from workbench.oversight import review

    folder = audit.file.parent
    agency, cases = agencies.read(folder), review.cases(folder)
    with audit.deed(person, f"audit {args.action}", "entries") as outcome:
        if args.action == "watch":
            rows = review.flags_of(audit, agency, cases).drop("seqs").to_dicts()
        else:
            filled = review.fill(audit, agency, cases)
            outcome.update(flags=filled.flags, samples=filled.samples)
            rows = review.queue(audit, every=args.all).to_dicts()
            if args.action == "sample":
                rows = [r for r in rows if r["kind"] == "sample"]
    for row in rows:
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
        elif args.action == "watch":
            print(f"{row['kind']:13} {row['sentence']}")
        else:
            said = f" [{row['status']}{' by ' + row['decided_by'] if row['decided_by'] else ''}]" if row["status"] != "undecided" else ""
            print(f"{row['item']}  {row['kind']:13} {row['sentence']}{said}")
    if not rows and not args.json:
        print("Nothing stands out." if args.action == "watch" else "Nothing waits for review.")
    elif args.action == "review" and not args.json:
        print("Decide with: workbench audit review ITEM justified --note \"why\"", file=sys.stderr)
    return 0


def _decide(audit: Audit, person: Person, args: argparse.Namespace) -> int:
    from workbench.oversight import review

    if len(args.what) != 2:
        raise BadInput("Name the item and the decision: workbench audit review 1f2e3d4c justified --note \"call 2026-118 named the plate\"")
    decision = args.what[1].replace("-", " ")
    review.decide(audit, args.what[0], person, decision, args.note)
    print(f"Item {args.what[0]}: {decision}.")
    return 0

"""Retention: what is kept for how long, what goes tomorrow, the purge with its certificate, legal holds, expungement."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import BadInput

_ACTIONS = ("show", "preview", "purge", "holds", "hold", "release", "verify")


def commands(add: Add) -> None:
    """Declare them."""
    keep = add("retention", _retention, "limits of the data: show, preview, purge, holds, hold, release, verify")
    keep.add_argument("action", nargs="?", choices=_ACTIONS, default="show", help="default: show")
    keep.add_argument("what", nargs="?", metavar="HOLD, MATTER or CERT", help="release: number of the hold; hold: case or matter; verify: certificate")
    keep.add_argument("--days", type=float, default=1.0, metavar="N", help="preview: what goes when the purge runs N days from now (default 1)")
    keep.add_argument("--yes", action="store_true", help="purge: really delete")
    keep.add_argument("--why", metavar="TEXT", help="purge, release: why")
    keep.add_argument("--sworn-by", metavar="NAME", help="hold: who swore to the facts")
    keep.add_argument("--facts", metavar="TEXT", help="hold: the specific facts")
    keep.add_argument("--citation", metavar="TEXT", help="hold: the statute or order that allows it")
    for option, help_ in (("plate", "a plate"), ("person", "a person's id"), ("reader", "a reader"), ("table", "only this table")):
        keep.add_argument(f"--{option}", action="append", default=[], help=f"hold: {help_}; may be given several times")
    keep.add_argument("--area", help="hold: a beat or district")
    keep.add_argument("--start", metavar="TIME", help="hold: rows from this time on")
    keep.add_argument("--end", metavar="TIME", help="hold: rows before this time")
    keep.add_argument("--until", metavar="DATE", help="hold: when it ends, at most a year from now")
    role_argument(keep)

    out = add("expunge", _expunge, "carry out an expungement order: remove a person from facts, cases and outputs")
    out.add_argument("person", nargs="+", metavar="PERSON_ID", help="ids of the person's records")
    out.add_argument("--court", required=True, help="the court")
    out.add_argument("--number", required=True, help="the order's number")
    out.add_argument("--date", required=True, metavar="DATE", help="the order's date")
    out.add_argument("--evidence-too", action="store_true", help="the order seals case evidence, too")
    out.add_argument("--yes", action="store_true", help="really delete")
    role_argument(out)


def _retention(args: argparse.Namespace) -> int | None:
    from workbench.session import find_workspace

    if args.action in ("show", "verify"):  # the rules and what a certificate says of itself are nobody's secret
        folder = find_workspace(args.workspace)
    else:
        folder, _ = required(args, "hold" if args.action in ("holds", "hold", "release") else "purge", f"retention {args.action}")
    if args.action == "verify":
        return _verify(folder, args)
    {"show": _show, "preview": _preview, "purge": _purge, "holds": _holds, "hold": _hold, "release": _release}[args.action](folder, args)
    return None


def _show(folder: Path, args: argparse.Namespace) -> None:
    from workbench import agency
    from workbench.oversight import purge, retention

    rules = retention.policy(agency.read(folder))
    print("\n".join(rules.sentences()) or "No limit is set: nothing is ever purged. Set them under [retention] in agency.toml.")
    done = purge.certificates(folder)
    last = f", the last of {done['at'].to_list()[-1]:%Y-%m-%d %H:%M} UTC" if done.height else ""
    print(f"{done['certificate_id'].n_unique()} certificates of rows purged{last}")


def _preview(folder: Path, args: argparse.Namespace) -> None:
    from workbench.oversight import casework, outputs, preview, retention

    found, work = retention.due(folder, days=args.days), preview.work(folder, days=args.days)
    for row in found.iter_rows(named=True):
        held = f", {row['held']:,} held (hold {row['holds']})" if row["held"] else ""
        print(f"{row['table']:14} {row['rows']:>12,} rows are beyond {row['limit']} ({row['source']}): {row['goes']:,} go{held}, "
              f"{row['in_evidence']:,} are in case evidence; "
              f"{row['earliest']:%Y-%m-%d %H:%M} to {row['latest']:%Y-%m-%d %H:%M} UTC; e.g. {', '.join(row['keys'])}")
    for count, what, why in casework.counted(work):
        print(f"{'casebook':14} {count:>12,} {what} go, since {why}")
    for hold in work.respected:
        print(f"{'casebook':14} {hold['rows']:>12,} hits stay by hold {hold['hold_id']} ({hold['matter']})")
    for file, why in outputs.due(folder, days=args.days):
        print(f"{file}: {why}")
    if found.is_empty() and not casework.counted(work):
        print(f"Nothing goes within {args.days:g} days.")


def _purge(folder: Path, args: argparse.Namespace) -> None:
    from workbench.oversight import purge
    from workbench.oversight.audit import Audit, Person, current_user

    if not args.yes:
        _preview(folder, argparse.Namespace(days=0.0))
        raise BadInput("Nothing was deleted. A purge cannot be taken back; run it with --yes.")
    person = Person(current_user(), reason=args.why)
    with Audit(folder / "audit.db").deed(person, "purge", "retention") as outcome:
        made = purge.run(folder, user=person.user, reason=args.why or "purge under the retention policy")
        outcome.update(certificate=made.certificate_id, rows=made.rows)
    print(made.sentence())


def _holds(folder: Path, args: argparse.Namespace) -> None:
    from workbench.oversight import holds

    for row in holds.listed(folder).iter_rows(named=True):
        print(f"{row['hold_id']:>4} {row['state']:10} {row['matter']}: {row['selector']} until {row['ends_at']:%Y-%m-%d}; "
              f"sworn by {row['sworn_by']} ({row['citation']})")


def _hold(folder: Path, args: argparse.Namespace) -> None:
    from workbench import agency
    from workbench.oversight import holds
    from workbench.oversight.audit import Audit, Person, current_user

    if not args.what:
        raise BadInput("Say for which case or matter: workbench retention hold 2026-0142 --sworn-by NAME --facts TEXT --citation TEXT --plate PLATE "
                       "--until DATE")
    about, person = agency.read(folder), Person(current_user(), case_number=args.what)
    select = {"plates": args.plate, "persons": args.person, "readers": args.reader, "tables": args.table, "area": args.area,
              "start": about.moment(args.start) if args.start else None, "end": about.moment(args.end) if args.end else None}
    until = about.moment(args.until) if args.until else datetime.now(UTC) + timedelta(days=365)
    with Audit(folder / "audit.db").deed(person, "hold", args.what) as outcome:
        number = holds.add(folder, args.what, sworn_by=args.sworn_by or "", facts=args.facts or "", citation=args.citation or "", select=select,
                           user=person.user, until=until)
        outcome["hold"] = number
    print(f"Hold {number} is in force until {until:%Y-%m-%d}.")


def _release(folder: Path, args: argparse.Namespace) -> None:
    from workbench.oversight import holds
    from workbench.oversight.audit import Audit, Person, current_user

    if not str(args.what or "").isdigit():
        raise BadInput("Say which hold by its number: workbench retention release 3 --why \"charges dropped on 4 June\"")
    person = Person(current_user(), reason=args.why)
    with Audit(folder / "audit.db").deed(person, "release hold", str(args.what)):
        holds.release(folder, int(args.what), args.why or "", person.user)
    print(f"Hold {args.what} is released; what it alone kept goes with the next purge.")


def _verify(folder: Path, args: argparse.Namespace) -> int:
    from workbench.oversight import certificate

    if not args.what:
        raise BadInput("Say which certificate: workbench retention verify purge20260501T000000-ab12cd34")
    sound, said = certificate.verify(folder, args.what)
    print(said)
    return 0 if sound else 1


def _expunge(args: argparse.Namespace) -> None:
    from workbench.oversight import expunge
    from workbench.oversight.audit import Audit

    folder, who = required(args, "purge", "expunge")
    person = replace(who, purpose="expungement", reason=f"order {args.number} of {args.court}")
    order = expunge.Order(args.court, args.number, args.date, tuple(args.person), args.evidence_too)
    if not args.yes:
        found = ", ".join(f"{n:,} of {t}" for t, n in expunge.preview(folder, order).items())
        raise BadInput(f"Nothing was deleted. The order would remove {found or 'no row'}; that cannot be taken back; run it with --yes.")
    with Audit(folder / "audit.db").deed(person, "expunge", f"order {args.number}") as outcome:
        made = expunge.run(folder, order, user=person.user)
        outcome.update(certificate=made.certificate_id, rows=made.rows)
    print(made.sentence())

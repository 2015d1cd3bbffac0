"""``workbench intelligence``: records under 28 CFR Part 23, apart from the facts."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from workbench.oversight.intelligence import Intelligence

TEMPLATE = '''\
# A criminal intelligence record (28 CFR Part 23). Fill it in and give it to: workbench intelligence add FILE
kind = "criminal intelligence"   # or "tip" when there is no reasonable suspicion (yet); a tip goes after a year
subject = "person:P-000000"      # who is suspected, or the name of an organisation
activity = "280 stolen property offenses"
basis = ""                       # the facts that make the suspicion reasonable, so that somebody else can judge them
obtained = ""                    # how the information was come by, lawfully
reliability = "unknown"          # of the source: reliable, usually reliable, unreliable, unknown
validity = "cannot be judged"    # of what it says: confirmed, probable, doubtful, cannot be judged
sensitivity = "restricted"       # unclassified, restricted, confidential, sensitive
text = ""                        # the information itself
agency = ""                      # who submits it
control_official = ""            # who answers for it
# protected = ""                 # a political, religious or social view, association or activity that it touches on, and
# protected_link = ""            # how that directly relates to criminal conduct; without it nothing protected is kept
# review_by = 2027-05-01         # when it is looked at again (a year from now when left out)
# keep_days = 1825               # five years at most

# [noncriminal]                  # others who are named and not suspected of anything
# "vehicle:ABC1234" = "owner of the car that was used, not suspected"
'''


def commands(add: Add) -> None:
    """Declare it."""
    command = add("intelligence", _run, "intelligence records under 28 CFR Part 23: add, review, share, purge")
    role_argument(command)
    deeds = command.add_subparsers(dest="deed", metavar="DEED", required=True)
    deeds.add_parser("template", help="print a record to be filled in")
    deeds.add_parser("add", help="keep a record").add_argument("file", type=Path, metavar="FILE", help="filled-in template")
    deeds.add_parser("list", help="ids, labels and dates, without what the records say")
    deeds.add_parser("show", help="one record whole").add_argument("record", metavar="ID")
    deeds.add_parser("due", help="what must be reviewed").add_argument("--days", type=int, default=30, metavar="N", help="within so many days (default: 30)")
    review = deeds.add_parser("review", help="validate a record, or have it purged")
    review.add_argument("record", metavar="ID")
    review.add_argument("verdict", metavar="VERDICT", help="validated or purge")
    review.add_argument("--facts", required=True, help="what still makes the suspicion reasonable, or why it does not")
    review.add_argument("--next", type=_day, metavar="DAY", help="the next review (default: in a year)")
    share = deeds.add_parser("share", help="hand a record on, and write down to whom")
    share.add_argument("record", metavar="ID")
    for name, about in (("person", "who is given it"), ("agency", "of which agency"), ("need", "what for"), ("reason", "why it is released")):
        share.add_argument(f"--{name}", required=True, help=about)
    share.add_argument("--agrees", action="store_true", help="the agency keeps to procedures that conform to 28 CFR Part 23")
    share.add_argument("--imminent-danger", action="store_true", help="to avoid imminent danger to life or property")
    deeds.add_parser("purge", help="delete what is kept no longer")
    for deed in deeds.choices.values():  # -w and --role may stand behind the deed too
        deed.add_argument("-w", "--workspace", metavar="DIR", default=argparse.SUPPRESS, help="workspace folder")
        deed.add_argument("--role", default=argparse.SUPPRESS, help="in which of your roles")


def _run(args: argparse.Namespace) -> None:
    if args.deed == "template":
        print(TEMPLATE, end="")
        return
    _DEEDS[args.deed](args)


@contextmanager
def _store(args: argparse.Namespace, object: str = "") -> Iterator[tuple[Intelligence, str, dict[str, Any]]]:
    """The records, who asks and the outcome, with the deed in the audit."""
    from workbench.oversight.audit import Audit
    from workbench.oversight.intelligence import Intelligence

    folder, person = required(args, "intelligence", f"intelligence {args.deed}")
    with Audit(folder / "audit.db").deed(person, f"intelligence {args.deed}", object or "intelligence") as outcome:
        yield Intelligence(folder / "intelligence.db"), person.user, outcome


def _add(args: argparse.Namespace) -> None:
    wanted = read(args.file)
    with _store(args) as (held, user, outcome):
        outcome["record"] = record = held.add(wanted, user=user)
        row = held.record(record)
    print(f"{record}: kept until {row['keep_until']}, to be reviewed by {row['review_by']}. {row['label']}")


def read(file: Path) -> Any:
    """A filled-in template as a Submission.

    Raises:
        BadInput: the file cannot be read, or has a key that is not known or not a text.
    """
    from workbench.oversight.intelligence import Submission

    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise BadInput(f"{file} cannot be read as a record: {e}.") from None
    known = {f.name: f for f in fields(Submission)}
    for key, value in data.items():
        if key not in known:
            raise BadInput(f"{file} has an unknown key {key!r}.{did_you_mean(key, known)}")
        fits = {"noncriminal": dict, "review_by": date, "keep_days": int}.get(key, str)
        if not isinstance(value, fits):
            raise BadInput(f"{file} {key} = {value!r} is not {'a day such as 2027-05-01' if fits is date else 'a text' if fits is str else fits.__name__}.")
    data["noncriminal"] = {str(k): str(v) for k, v in data.get("noncriminal", {}).items()}
    return Submission(**{f.name: "" for f in known.values() if f.default is MISSING and f.default_factory is MISSING} | data)


def _list(args: argparse.Namespace) -> None:
    with _store(args) as (held, _, outcome):
        found = held.records()
        outcome["rows"] = found.height
    for row in found.iter_rows(named=True):
        print(f"{row['record_id']:18} {row['state']:11} review {row['review_by']}  kept until {row['keep_until']}  {row['label']}")
    if not found.height:
        print("There is no intelligence record.")


def _show(args: argparse.Namespace) -> None:
    with _store(args, args.record) as (held, _, _outcome):
        row, reviews, shares = held.record(args.record), held.reviews(args.record), held.shares(args.record)
    print(row["label"])
    for name in ("record_id", "kind", "state", "subject", "activity", "basis", "obtained", "text", "protected", "protected_link", "submitted_by", "added_at",
                 "review_by", "keep_until"):
        if row[name] is not None:
            print(f"  {name.replace('_', ' '):16} {row[name]}")
    for entity, why in row["noncriminal"].items():
        print(f"  NONCRIMINAL IDENTIFYING INFORMATION: {entity}: {why}")
    for r in reviews.iter_rows(named=True):
        print(f"  reviewed {r['reviewed_at']:%Y-%m-%d} by {r['reviewed_by']}: {r['verdict']}; {r['facts']}")
    for r in shares.iter_rows(named=True):
        print(f"  given {r['shared_at']:%Y-%m-%d} to {r['to_person']}, {r['to_agency']}: {r['reason']}")


def _due(args: argparse.Namespace) -> None:
    with _store(args) as (held, _, outcome):
        found = held.due(days=args.days)
        outcome["rows"] = found.height
    for row in found.iter_rows(named=True):
        print(f"{row['record_id']:18} {row['state']:11} review by {row['review_by']}, kept until {row['keep_until']}, submitted by {row['submitted_by']}")
    print(f"{found.height} to be reviewed within {args.days} days." if found.height else f"Nothing is to be reviewed within {args.days} days.")


def _review(args: argparse.Namespace) -> None:
    with _store(args, args.record) as (held, user, outcome):
        held.review(args.record, args.verdict, args.facts, user=user, next_review=args.next)
        outcome["verdict"] = args.verdict
        row = held.record(args.record)
    said = f"kept until {row['keep_until']}, next review by {row['review_by']}" if args.verdict == "validated" else "it goes with the next purge"
    print(f"{args.record}: {args.verdict}; {said}.")


def _share(args: argparse.Namespace) -> None:
    with _store(args, args.record) as (held, user, outcome):
        row = held.share(args.record, to_person=args.person, to_agency=args.agency, need=args.need, reason=args.reason, user=user, agrees=args.agrees,
                         imminent_danger=args.imminent_danger)
        outcome.update(to=args.person, agency=args.agency, imminent_danger=args.imminent_danger)
    print(f"Written down: {args.record} is given to {args.person}, {args.agency}.\n{row['label']}\n{row['text']}")


def _purge(args: argparse.Namespace) -> None:
    with _store(args) as (held, _, outcome):
        gone = held.purge()
        outcome.update(records=len(gone.records), recipients=len(gone.told))
    print(f"{len(gone.records)} records were deleted.")
    for record, person, agency in gone.told:
        print(f"  tell {person}, {agency}: {record} is kept no longer and must be deleted there too")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2027-05-01") from None


_DEEDS = {"add": _add, "list": _list, "show": _show, "due": _due, "review": _review, "share": _share, "purge": _purge}

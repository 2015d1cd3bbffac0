"""``workbench identities``: which records are of one person, vehicle or address, and what persons say of pairs of them."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.cli.asking import Add, bound, bound_arguments
from workbench.errors import AccessRefused, BadInput, NotFound

_TABLES = {"person": ("people", "person_id"), "vehicle": ("vehicles", "vehicle_id"), "address": ("addresses", "address_id")}
_EXAMPLES = {"judge": "judge P1 P2 same --why 'same photograph'", "undo": "undo 3 --why 'wrong pair'"}


def commands(add: Add) -> None:
    """Declare it."""
    who = add("identities", _identities, "who is who: resolve, a queue of pairs to judge, judge, list what was judged, undo (--case, --purpose, --reason)")
    who.add_argument("act", nargs="?", choices=["resolve", "queue", "judge", "list", "undo"], default="resolve", help="default: resolve")
    who.add_argument("what", nargs="*", metavar="WHAT", help="judge: LEFT RIGHT same|different|unsure; undo: the number of the judgement")
    who.add_argument("--kind", choices=sorted(_TABLES), default="person", help="what the records are of (default person)")
    who.add_argument("-n", type=int, default=10, metavar="N", help="resolve: entities shown; queue: pairs taken (default 10)")
    who.add_argument("--why", default="", metavar="TEXT", help="judge, undo: the reason (needed)")
    bound_arguments(who)


def _identities(args: argparse.Namespace) -> int:
    if args.n < 1:
        raise BadInput(f"-n {args.n} does not do; ask for 1 or more.")
    given = {"judge": 3, "undo": 1}.get(args.act, 0)
    if len(args.what) != given:
        raise BadInput(f"identities {args.act} takes {given or 'nothing'} more{f', e.g. workbench identities {_EXAMPLES[args.act]}' if given else ''}.")
    city = bound(args)
    table = _TABLES[args.kind][0]
    with city.deed("view", "identities"):
        decision = city.decide(table)
        if not decision.allowed:
            raise AccessRefused(f"Identities of kind {args.kind} are shown to who may see {table}, for a case. {decision.sentence}")
    if args.act != "resolve":
        city.require("cases")
    return {"resolve": _resolve, "queue": _queue, "judge": _judge, "list": _list, "undo": _undo}[args.act](args, city)


def _found(args: argparse.Namespace, city: Any) -> Any:
    """Who is who by the records of the lake and what was judged, under the ids of earlier runs, which are kept in the casebook."""
    from workbench.casebook.identities import Ids, Judgements
    from workbench.models.links import identities

    table, key = _TABLES[args.kind]
    records, kept = city.table(table), Ids(city.casebook)
    before = kept.frame(args.kind, records[key])
    found = identities.resolve(records, kind=args.kind, judgements=Judgements(city.casebook).frame(args.kind), ids=before)
    kept.keep(args.kind, found.identities)
    return found


def _resolve(args: argparse.Namespace, city: Any) -> int:
    with city.deed("identities resolve", args.kind) as outcome:
        found = _found(args, city)
        outcome["rows"] = found.table.height
    print(found.headline)
    for row in found.table.head(args.n).iter_rows(named=True):
        weakest = "" if row["weakest"] is None else f"weakest link {100 * row['weakest']:5.1f} %  "
        print(f"{row['entity_id']:14} {weakest}{', '.join(row['record_ids'])}")
    if found.table.height > args.n:
        print(f"{found.table.height - args.n:,} more; -n shows more of them.")
    if found.review.height:
        print(f"{found.review.height:,} pairs are worth a person's look: workbench identities queue --kind {args.kind}")
    return 0


def _queue(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.identities import Judgements

    with city.deed("identities queue", args.kind) as outcome:
        taken = Judgements(city.casebook).take(_found(args, city).review, args.n, user=city.user)
        outcome["rows"] = taken.height
    for row in taken.iter_rows(named=True):
        print(f"{row['left']:12} {row['right']:12} {100 * row['probability']:5.1f} %  {row['reason']}{'  (' + row['apart'] + ')' if row['apart'] else ''}")
    if taken.is_empty():
        print("There is nothing to judge: what the score leaves open is judged already, or others have it before them.")
    else:
        print("They are yours for half an hour: workbench identities judge LEFT RIGHT same|different|unsure --why TEXT")
    return 0


def _judge(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.identities import Judgements

    left, right, verdict = args.what
    table, key = _TABLES[args.kind]
    with city.deed("identities judge", f"{left} {right}", verdict=verdict, why=args.why) as outcome:
        held = set(city.table(table)[key].to_list())
        for record in (left, right):
            if record not in held:
                raise NotFound(f"There is no record {record!r} among the {table}.")
        outcome["number"] = number = Judgements(city.casebook).judge(args.kind, left, right, verdict, args.why, user=city.user)
    print(f"Judgement {number}: {left} and {right} {'are ' + verdict if verdict != 'unsure' else 'are left open'}. "
          f"To take it back: workbench identities undo {number} --why TEXT")
    return 0


def _list(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.identities import Judgements

    with city.deed("identities list", args.kind) as outcome:
        held = Judgements(city.casebook).frame(args.kind)
        outcome["rows"] = held.height
    for row in held.iter_rows(named=True):
        print(f"{row['judgement_id']:5}  {row['left']:12} {row['right']:12} {row['verdict']:9} by {row['by']}, "
              f"{row['at'].astimezone(city.agency.tz):%Y-%m-%d %H:%M}: {row['why']}")
    if held.is_empty():
        print("Nothing was judged. Pairs that are worth it: workbench identities queue")
    return 0


def _undo(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.identities import Judgements

    number = args.what[0]
    if not number.isdecimal():
        raise BadInput(f"{number!r} is not the number of a judgement; workbench identities list shows them.")
    book = Judgements(city.casebook)
    with city.deed("identities undo", number, why=args.why):
        if int(number) not in book.history(args.kind)["judgement_id"]:
            raise NotFound(f"There is no judgement {number} on records of kind {args.kind}; workbench identities list --kind {args.kind} shows them.")
        book.undo(int(number), args.why, user=city.user)
    print(f"Judgement {number} is taken back; what stood on the pair before it stands again.")
    return 0

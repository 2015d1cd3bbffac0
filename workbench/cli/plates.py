"""``workbench hits``: hits of the hotlist, and what persons say of them."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from workbench.cli.asking import Add, bound, bound_arguments
from workbench.errors import AccessRefused, BadInput


def commands(add: Add) -> None:
    """Declare it."""
    hits = add("hits", _hits, "hits of the hotlist: find and keep new ones, list, verify, undo (--case, --purpose, --reason)")
    hits.add_argument("act", nargs="?", choices=["list", "find", "verify", "undo"], default="list", help="default: list")
    hits.add_argument("hit", nargs="?", metavar="HIT", help="id of the hit to verify or undo")
    hits.add_argument("--state-is", dest="stage", choices=["unverified", "confirmed", "rejected"], help="list only these")
    hits.add_argument("--days", type=float, default=1.0, metavar="N", help="find: in the reads of the last N days (default 1)")
    asked = (("plate", "the plate on the picture is the listed one"), ("state", "so is the state"), ("active", "the entry is still active at its source"))
    for name, what in asked:
        hits.add_argument(f"--{name}", choices=["yes", "no"], help=f"verify: {what}")
    hits.add_argument("--note", default="", metavar="TEXT", help="verify: what was seen; undo: why (needed)")
    bound_arguments(hits)


def _hits(args: argparse.Namespace) -> int:
    city = bound(args)
    city.require("cases")
    if not (city.may_see("reads") and city.may_see("hotlist")):
        raise AccessRefused("Hits are about plates: they are shown to who may see reads and hotlist, for a case. Add e.g. --case 2026-0142 --purpose "
                            'investigation --reason "who passed the scenes"; see: workbench access')
    if args.act == "find":
        return _find(args, city)
    if args.act == "list":
        return _list(args, city)
    if not args.hit:
        raise BadInput(f"Say which hit: workbench hits {args.act} HIT; workbench hits lists them.")
    return _undo(args, city) if args.act == "undo" else _verify(args, city)


def _find(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.hits import Hits
    from workbench.models.plates import hotlist

    if not 0 < args.days <= 3660:
        raise BadInput(f"--days {args.days:g} does not do; give the length of time to look through, e.g. --days 1.")
    found = hotlist.match(city.reads(city.asof - timedelta(days=args.days)), city.table("hotlist"), city.asof, zone=city.agency.zone)
    with city.deed("hits find", "reads", rows=found.table.height) as outcome:
        outcome["rows"] = new = Hits(city.casebook).add(found.table, user=city.user)
    print(found.headline)
    print(f"{new:,} of them {'is' if new == 1 else 'are'} new and kept as unverified; see: workbench hits")
    return 0


def _list(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.hits import Hits

    with city.deed("hits list", args.stage or "all"):
        held = Hits(city.casebook).frame(args.stage)
    for row in held.iter_rows(named=True):
        said = f" by {row['checked_by']}" + (f": {row['why']}" if row["why"] else "") if row["state"] != "unverified" else ""
        print(f"{row['hit_id']:24} {row['plate']:10} read as {row['read_plate']:10} {row['reader']:10} "
              f"{row['read_at'].astimezone(city.agency.tz):%Y-%m-%d %H:%M:%S} {100 * row['probability']:3.0f} %  {row['state']}{said}")
    if held.is_empty():
        print("There are no such hits. Look for some: workbench hits find --days 1")
    return 0


def _verify(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.hits import Hits

    answers = {name: getattr(args, name) for name in ("plate", "state", "active")}
    left = [name for name, answer in answers.items() if answer is None]
    if left:
        raise BadInput(f"A hit is verified by answering all three; --{left[0]} is missing: workbench hits verify {args.hit} --plate yes --state yes "
                       "--active no")
    with city.deed("hits verify", args.hit, **answers):
        state = Hits(city.casebook).verify(args.hit, plate=args.plate == "yes", state=args.state == "yes", active=args.active == "yes", note=args.note,
                                           user=city.user)
    print(f"{args.hit} is {state}.")
    return 0


def _undo(args: argparse.Namespace, city: Any) -> int:
    from workbench.casebook.hits import Hits

    with city.deed("hits undo", args.hit, why=args.note):
        Hits(city.casebook).undo(args.hit, args.note, user=city.user)
    print(f"{args.hit} is unverified again.")
    return 0

"""``workbench search``: which rows tell of these words?"""

from __future__ import annotations

import argparse

from workbench.cli.asking import Add, bound, bound_arguments


def commands(add: Add) -> None:
    """Declare it."""
    search = add("search", _search, "search narratives, MO and wordings for words")
    search.add_argument("words", nargs="+", metavar="WORD", help='words that must all occur; "a phrase", pry*, one | other; behind -- also -word')
    search.add_argument("--table", default="incidents", help="table whose texts are searched (default: incidents)")
    search.add_argument("--from", dest="start", metavar="DAY", help="first day")
    search.add_argument("--to", dest="end", metavar="DAY", help="day after the last")
    search.add_argument("--most", type=int, default=20, metavar="N", help="rows shown at most (default: 20)")
    bound_arguments(search)


def _search(args: argparse.Namespace) -> None:
    city = bound(args)
    found = city.search(" ".join(f'"{w}"' if " " in w else w for w in args.words), args.table, args.start, args.end, most=args.most)
    for key, at, score, column, snippet in found.iter_rows():
        day = f"{at.astimezone(city.agency.tz):%Y-%m-%d %H:%M}" if at else ""
        print(f"{key:16} {day:16} {score:7.2f}  {column}: {snippet}")
    if not found.height:
        print(f"No row of {args.table} tells of that.")

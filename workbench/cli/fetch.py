"""The one command that asks other machines for facts: ``workbench fetch``, from a web feed or a database, into the workspace's ``in`` folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.cli.asking import Add, bar, pair, required, role_argument
from workbench.errors import BadInput


def commands(add: Add) -> None:
    """Declare it."""
    fetch = add("fetch", _fetch, "fetch from a web feed or a database, and load it")
    fetch.add_argument("url", metavar="URL", help="https://... or postgresql://user@host/database (or another database's address); never with a password")
    fetch.add_argument("--to", metavar="SOURCE", help="load what came with this source; without it the file is only fetched")
    fetch.add_argument("--table", help="of a database: the table or view, e.g. cad.calls")
    fetch.add_argument("--since", metavar="COLUMN", help="only rows at or above the highest value of this column that was loaded the last time")
    fetch.add_argument("--overlap", default="", metavar="SPAN", help="how far before that to begin, e.g. 90m, 2d, or 5000 for a column of numbers (1h, 1000)")
    fetch.add_argument("--paging", default="", help="socrata, offset, page, cursor, next or none (default: told from the address)")
    fetch.add_argument("--page", type=int, default=5000, metavar="ROWS", help="rows asked for a page (5000)")
    fetch.add_argument("--order", default="", help="of Socrata: what the rows are ordered by (:id)")
    fetch.add_argument("--where", default="", help="of Socrata: a condition")
    fetch.add_argument("--records", default="", metavar="PATH", help="member of a page's JSON that holds the records, e.g. data.results")
    fetch.add_argument("--next", default="", metavar="PATH", help="member of a page's JSON that holds the next link or cursor, e.g. meta.next")
    fetch.add_argument("--key", default="", metavar="COLUMN", help="what a row is known by where pages overlap; several with commas")
    fetch.add_argument("--name", action="append", default=[], metavar="WHAT=PARAMETER", help="what the server calls limit, offset, page, cursor or since")
    fetch.add_argument("--header", action="append", default=[], metavar="NAME=VARIABLE", help="send a header with the value of an environment variable")
    fetch.add_argument("--most", type=int, default=0, metavar="ROWS", help="stop after so many rows")
    fetch.add_argument("--again", action="store_true", help="begin anew, not where an earlier fetch stopped")
    fetch.add_argument("--keep", action="store_true", help="of a database: keep the file that was loaded")
    fetch.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="something the source asks for")
    fetch.add_argument("--zone", help="time zone of the rows' wall clocks, where it is not the source's own")
    fetch.add_argument("--json", action="store_true", help="print JSON objects")
    role_argument(fetch)


def _fetch(args: argparse.Namespace) -> None:
    from workbench import workspace
    from workbench.intake import batch, highwater
    from workbench.session import open_workbench

    _, person = required(args, "load", "fetch")
    city = open_workbench(args.workspace, role=person.role)
    source = workspace.source(city.path, args.to) if args.to else None
    folder = city.path / "in"
    web = args.url.startswith(("http://", "https://"))
    if not web and "://" not in args.url:
        raise BadInput(f"{args.url!r} is no address; write https://... or postgresql://user@host/database. A file is loaded with: workbench load SOURCE FILE")
    told, feed, read = (_web if web else _database)(args, folder)
    show = None if args.json else _pages()
    with city.deed("fetch", told, to=args.to, table=args.table, since=args.since) as outcome:
        fetched = read(show)
        outcome.update(rows=fetched.rows, pages=fetched.pages, file=fetched.file.name, bytes=fetched.file.stat().st_size)
    if args.json:
        print(json.dumps({"file": str(fetched.file), **{k: getattr(fetched, k) for k in ("rows", "pages", "again", "retried")}}), flush=True)
    else:
        print(fetched.sentence(), flush=True)
    empty = not fetched.document and not fetched.rows
    if source is None or empty:
        if empty:
            fetched.file.unlink()
            if not args.json:
                print("There is nothing new.")
        return
    said = dict(pair(p, "--set", "case_number=2026-0142") for p in args.set)
    report = workspace.load(city.path, batch.fitting(source, fetched.file), fetched.file, progress=None if args.json else bar(), zone=args.zone, said=said,
                            role=person.role)
    print(json.dumps(report.to_json()) if args.json else report.sentence(), flush=True)
    if args.since and fetched.mark is not None:
        highwater.move(folder, feed, fetched.mark)
    if not web and not args.keep:
        fetched.file.unlink()


Read = Callable[[Callable[[int, int], None] | None], Any]


def _web(args: argparse.Namespace, folder: Path) -> tuple[str, str, Read]:
    """A web feed: its address as it may be told, the name of its mark, and what fetches it."""
    from workbench.intake import highwater
    from workbench.intake.fetch import Fetch, Wanted
    from workbench.intake.web import Web, shown

    if args.table:
        raise BadInput("--table is of a database; a web feed has none.")
    wanted = Wanted(
        args.url, paging=args.paging, page=args.page, order=args.order, where=args.where, since=args.since or "", overlap=highwater.overlap(args.overlap),
        key=tuple(k.strip() for k in args.key.split(",") if k.strip()), records=args.records or _records(args), next=args.next,
        names=dict(pair(n, "--name", "limit=per_page") for n in args.name), most=args.most, source=args.to or "")
    headers = {name: _variable(variable) for name, variable in (pair(h, "--header", "X-App-Token=MY_TOKEN") for h in args.header)}
    if wanted.kind == "socrata" and "WORKBENCH_APP_TOKEN" in os.environ:
        headers.setdefault("X-App-Token", os.environ["WORKBENCH_APP_TOKEN"])
    fetch = Fetch(wanted, folder, Web(args.url, headers))
    return shown(args.url), wanted.feed, lambda show: fetch.run(again=args.again, progress=show)


def _database(args: argparse.Namespace, folder: Path) -> tuple[str, str, Read]:
    """A database's table, in the same way."""
    from workbench.intake import database, highwater

    if not args.table:
        raise BadInput("Say which table of the database: --table cad.calls")
    database.address(args.url)
    overlap, since, source = highwater.overlap(args.overlap), args.since or "", args.to or ""
    feed = database.feed(args.url, args.table, source, since)
    return database.shown(args.url), feed, lambda show: database.read(args.url, args.table, folder, source=source, since=since, overlap=overlap, progress=show)


def _records(args: argparse.Namespace) -> str:
    """Where the records of a page lie when nothing is said: where the source has them in its files."""
    if not args.to:
        return ""
    from workbench import workspace
    from workbench.session import find_workspace

    source = workspace.source(find_workspace(args.workspace), args.to)
    return source.records if "json" in source.formats else ""


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise BadInput(f"The environment variable {name} is not set; set it, or name another one behind --header.")
    return value


def _pages() -> Callable[[int, int], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(number: int, rows: int) -> None:
        print(f"\r{number:,} pages, {rows:,} rows", end="", file=sys.stderr, flush=True)

    return show

"""``workbench watch``: take in live what comes by folder, webhook and table."""

from __future__ import annotations

import argparse
import json

from workbench.cli.asking import Add, required, role_argument


def commands(add: Add) -> None:
    """Declare it."""
    watch = add("watch", _watch, "take in live: files dropped in a folder, webhooks, tables of another database (see watch.toml)")
    watch.add_argument("--example", action="store_true", help="print a watch.toml with every setting explained")
    watch.add_argument("--status", action="store_true", help="say where the journal stands: position, backlog, dead letters")
    watch.add_argument("--json", action="store_true", help="with --status: as one JSON object")
    role_argument(watch)


def _watch(args: argparse.Namespace) -> None:
    if args.example:
        from workbench.intake.watch_config import EXAMPLE

        print(EXAMPLE, end="")
        return
    from workbench.intake import watch, watch_config

    folder, person = required(args, "load", "watch")
    if args.status:
        found = watch.status(folder)
        print(json.dumps(found.to_json()) if args.json else "\n".join(found.sentences()))
        return
    from workbench import workspace
    from workbench.oversight.audit import current_user

    given = watch.Given(
        source=lambda name: workspace.source(folder, name),
        load=lambda drop, file: workspace.load(folder, workspace.source(folder, drop.source), file, zone=drop.zone or None, said=dict(drop.set),
                                              role=person.role))
    watch.Watch(folder, watch_config.read(folder), given, user=current_user(), say=lambda line: print(line, flush=True)).run()

"""The command line: parse, one call, one line. ``workbench --help`` lists the commands; one module of this folder, a few commands.

A module declares its commands in ``commands(add)``; nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from workbench.errors import WorkbenchError

#: Modules of this folder that declare no commands.
_OTHERS = frozenset({"asking", "__main__"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 a clear error said on stderr, 2 the command line is wrong."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except WorkbenchError as e:
        print(f"workbench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nworkbench: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    about = "Investigative analytics for real-time crime centres: load exports, ask models, brief commanders."
    parser = argparse.ArgumentParser(prog="workbench", description=about)
    parser.add_argument("--version", action="version", version=f"workbench {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], Any], help: str, *, workspace: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        if workspace:
            sub.add_argument("-w", "--workspace", metavar="DIR", help="workspace folder (default: nearest parent that holds agency.toml)")
        sub.set_defaults(run=run)
        return sub

    found = {m.name for m in pkgutil.iter_modules(__path__)} - _OTHERS
    for module in sorted(found, key=lambda m: (m != "basics", m)):
        importlib.import_module(f"{__name__}.{module}").commands(add)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("workbench")
    except PackageNotFoundError:
        return "(not installed)"

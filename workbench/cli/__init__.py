"""The command line: parse, one call, one line. ``workbench --help`` lists the commands; one module of this folder, a few commands.

A module declares its commands in ``commands(add)``; nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from workbench.errors import WorkbenchError

#: What is not sent to a terminal as it stands: all control characters but tab and line end, and those that turn the direction of writing.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Modules of this folder that declare no commands.
_OTHERS = frozenset({"asking", "__main__"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 a clear error said on stderr, 2 the command line is wrong."""
    args = _parser().parse_args(argv)
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Plain.of(out), Plain.of(err)
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
    finally:
        sys.stdout, sys.stderr = out, err


class Plain:
    """A terminal's stream that is given no control characters: what stands in data must not move the cursor, name the window or turn the writing.

    A progress bar writes its own beside this, to ``bare``.
    """

    def __init__(self, bare: Any) -> None:
        self.bare = bare

    @staticmethod
    def of(stream: Any) -> Any:
        """The stream itself where there is none, or where it is one already."""
        return stream if stream is None or isinstance(stream, Plain) else Plain(stream)

    def write(self, text: str) -> int:
        """Write a text, its control characters as \\x1b or \\u202e."""
        self.bare.write(_CONTROL.sub(lambda c: c[0].encode("unicode_escape").decode("ascii"), text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


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
